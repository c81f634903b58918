//! What the command line and the API take, word by word, and how it becomes a [`Selection`].

use super::community::CommunityId;
use super::expr::{Expr, LayerExpr};
use super::filter::{FilterError, check_filter};
use super::prefix::Prefix;
use super::protocol::Protocol;
use super::selection::Selection;
use super::size_text::Size;
use super::time_text::{Duration, Moment};
use crate::time::{SECOND_NS, Timestamp, Window};

/// The window around a time where `--window` does not say it: five minutes.
pub const AROUND_WINDOW_DEFAULT: Duration = Duration(300 * SECOND_NS);
/// How many terms the flags may make; each address of `--ip` makes one with each of `--peer`.
pub const SELECTION_TERMS_MAX: usize = 10_000;

/// The parts of a selection as they are asked for. All that are given must hold together.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct Request {
    /// Packets of this interface; may be repeated: of any of them
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Packets from or to this address or prefix, inside tunnels too; may be repeated: any of them
    #[arg(long, value_name = "ADDR|CIDR")]
    pub ip: Vec<Prefix>,
    /// The other end of --ip, on the same IP layer; may be repeated: any of them
    #[arg(long, value_name = "ADDR|CIDR")]
    pub peer: Vec<Prefix>,
    /// TCP, UDP or SCTP port of either end; may be repeated: any of them
    #[arg(long, value_name = "N", value_parser = port, allow_negative_numbers = true)]
    pub port: Vec<u16>,
    /// IP protocol, by name or number; may be repeated: any of them
    #[arg(long, value_name = "NAME|N")]
    pub proto: Vec<Protocol>,
    /// VLAN identifier of any tag; may be repeated: any of them
    #[arg(long, value_name = "N", value_parser = vlan, allow_negative_numbers = true)]
    pub vlan: Vec<u16>,
    /// Community ID (version 1); may be repeated: any of them
    #[arg(long, value_name = "ID")]
    pub community_id: Vec<CommunityId>,
    /// From this time on: RFC 3339 with a zone, epoch seconds, now, or -5m (before now)
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<Moment>,
    /// Up to, and not including, this time
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<Moment>,
    /// Half of --window before this time and half after it
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub around: Option<Moment>,
    /// How long the window of --around is [default: 5m]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub window: Option<Duration>,
    /// A filter in pcap-filter syntax, as tcpdump takes it; names of hosts are never looked up
    #[arg(long, value_name = "PCAP-FILTER", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// At most so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub limit_packets: Option<u64>,
    /// At most so many bytes, like 512MiB
    #[arg(long, value_name = "SIZE")]
    pub limit_bytes: Option<Size>,
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no port: write a number, 0 to 65535"))
}

fn vlan(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&n| n <= 4095).ok_or_else(|| format!("{text:?} is no VLAN identifier: write a number, 0 to 4095"))
}

/// Why parts do not make a selection.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The window is empty or runs backwards.
    #[error("--from {from} is not before --to {to}: give an earlier --from or a later --to")]
    FromAfterTo {
        /// The beginning, as understood.
        from: Timestamp,
        /// The end, as understood.
        to: Timestamp,
    },
    /// `--around` and `--from` or `--to`.
    #[error("--around does not go with --from or --to: give --around with --window, or --from and --to")]
    AroundWithFromTo,
    /// `--window` alone.
    #[error("--window needs a middle: give --around T with it, or --from and --to instead")]
    WindowWithoutAround,
    /// A window of no length.
    #[error("--window is empty: give a longer one, like 5m")]
    EmptyWindow,
    /// More than [`SELECTION_TERMS_MAX`].
    #[error("the selection has {0} terms, {SELECTION_TERMS_MAX} are allowed: give prefixes instead of single addresses")]
    TooManyTerms(usize),
    /// A limit of nothing.
    #[error("--limit-packets and --limit-bytes must be at least 1: leave them out for no limit")]
    EmptyLimit,
    /// The filter does not compile.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Request {
    /// The selection, with times made absolute by `now`.
    pub fn resolve(&self, now: Timestamp) -> Result<Selection, RequestError> {
        let window = self.window(now)?;
        if self.limit_packets == Some(0) || self.limit_bytes == Some(Size(0)) {
            return Err(RequestError::EmptyLimit);
        }
        let mut interfaces = self.interface.clone();
        interfaces.sort();
        interfaces.dedup();
        Ok(Selection {
            window,
            from_given: self.from.is_some() || self.around.is_some(),
            to_given: self.to.is_some() || self.around.is_some(),
            interfaces,
            expr: self.expr()?,
            limit_packets: self.limit_packets,
            limit_bytes: self.limit_bytes.map(|s| s.0),
        })
    }

    fn window(&self, now: Timestamp) -> Result<Window, RequestError> {
        if let Some(around) = self.around {
            if self.from.is_some() || self.to.is_some() {
                return Err(RequestError::AroundWithFromTo);
            }
            let length = self.window.unwrap_or(AROUND_WINDOW_DEFAULT).0;
            let middle = around.resolve(now);
            let (before, after) = (length / 2, length - length / 2);
            let window = Window { from: middle.saturating_sub(before), to: middle.saturating_add(after) };
            return if window.from < window.to { Ok(window) } else { Err(RequestError::EmptyWindow) };
        }
        if self.window.is_some() {
            return Err(RequestError::WindowWithoutAround);
        }
        let from = self.from.map_or(Timestamp::ZERO, |t| t.resolve(now));
        let to = self.to.map_or(Timestamp::MAX, |t| t.resolve(now));
        if from < to { Ok(Window { from, to }) } else { Err(RequestError::FromAfterTo { from, to }) }
    }

    fn expr(&self) -> Result<Expr, RequestError> {
        let (ips, peers) = match (unique(&self.ip), unique(&self.peer)) {
            (ips, peers) if ips.is_empty() => (peers, ips),
            both => both,
        };
        let ends = ips.len().saturating_mul(peers.len().max(1));
        let terms = [self.port.len(), self.proto.len(), self.vlan.len(), self.community_id.len()];
        let terms = terms.iter().fold(ends, |sum, &n| sum.saturating_add(n));
        if terms > SELECTION_TERMS_MAX {
            return Err(RequestError::TooManyTerms(terms));
        }
        let ends: Vec<LayerExpr> = if peers.is_empty() {
            ips.into_iter().map(LayerExpr::Ip).collect()
        } else {
            ips.iter().flat_map(|&ip| peers.iter().map(move |&peer| LayerExpr::Pair(ip, peer))).collect()
        };
        let layer = [
            ends,
            unique(&self.port).into_iter().map(LayerExpr::Port).collect(),
            unique(&self.proto).into_iter().map(|p| LayerExpr::Proto(p.0)).collect(),
            unique(&self.community_id).into_iter().map(|c| LayerExpr::CommunityId(c.0)).collect(),
        ];
        let layer: Vec<LayerExpr> = layer.into_iter().filter(|any| !any.is_empty()).map(LayerExpr::any_of).collect();
        let mut parts = Vec::new();
        if !layer.is_empty() {
            parts.push(Expr::Layer(LayerExpr::all_of(layer)));
        }
        let vlans = unique(&self.vlan);
        if !vlans.is_empty() {
            parts.push(Expr::any_of(vlans.into_iter().map(Expr::Vlan)));
        }
        if let Some(filter) = self.filter.as_deref().filter(|f| !f.trim().is_empty()) {
            check_filter(filter)?;
            parts.push(Expr::Filter(filter.to_owned()));
        }
        Ok(Expr::all_of(parts))
    }
}

fn unique<T: Clone + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort();
    values.dedup();
    values
}
