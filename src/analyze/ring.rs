//! Packets of a ring's selection. What the window alone does not tell is read from before it, and from after it until transfers end.

use super::joiner::Analysis;
use super::terms::{AnalyzeError, Found, Origins, Progress};
use crate::cut::coverage::Coverage;
use crate::cut::flows::{FlowRow, Flows, flows};
use crate::cut::visit::visit;
use crate::flow::{Input, PacketRef};
use crate::objects::export::Source;
use crate::ring::data::DataDir;
use crate::ring::ids::SegmentId;
use crate::select::{Expr, LayerExpr, Prefix, Selection};
use crate::time::{SECOND_NS, Timestamp, Window};
use crate::wire::{community_id, parse_community_id};
use ahash::AHashMap;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// How far before the window the set-up of its sessions is looked for. 12 hours: a working day's session.
pub const LOOK_BACK_NS: u64 = 12 * 3600 * SECOND_NS;
/// How far behind the window transfers are followed to their end. 10 minutes.
pub const READ_ON_NS: u64 = 600 * SECOND_NS;
/// TCP flows that are looked back for, those on the ports of SMB, RPC and Kerberos first. 10,000: a file server's clients of a day. What the
/// others lack is said.
pub const FLOWS_MAX: usize = 10_000;
/// Other flows that are looked back for: their connections only.
const OTHER_FLOWS_MAX: usize = 2_000;
/// Hosts whose Kerberos traffic is looked for one by one; of more hosts all of it is.
const HOSTS_MAX: usize = 1_000;
/// Connections of SMB beside the selection's that are read because they may be channels of its sessions. 256 of them.
const CHANNELS_MAX: usize = 256;
/// Their bytes. 256 MiB: a few seconds of reading.
const CHANNELS_BYTES_MAX: u64 = 256 << 20;

/// Port of Kerberos, whose tickets tell whose sessions are.
const PORT_KERBEROS: u16 = 88;
/// Ports of SMB.
const PORTS_SMB: [u16; 2] = [445, 139];
/// Ports of RPC's endpoint mapper and of Kerberos.
const PORTS_BESIDE: [u16; 2] = [135, PORT_KERBEROS];

/// A Community ID's digest.
type Digest = [u8; 20];

/// What is read for a selection: its own flows, also from before and after its window.
pub struct Plan {
    /// What is read, one after another in the order of time: what lies before the window, the window, and what comes after it.
    pub reads: Vec<Selection>,
    /// What was asked for.
    pub asked: Selection,
    /// What the asked one rests on.
    pub coverage: Coverage,
    /// Some of the selection's packets are there.
    pub is_any: bool,
    /// What speaks against the answer: said once each.
    pub warnings: Vec<String>,
    /// The selection's flows, where others are read that may be channels of its sessions.
    own: Option<HashSet<Digest>>,
}

impl Plan {
    /// Whether it must be known over which connections objects went.
    pub fn has_channels(&self) -> bool {
        self.own.is_some()
    }

    /// Whether an object went over one of the selection's flows.
    pub fn is_asked(&self, found: &Found) -> bool {
        let Some(own) = &self.own else { return true };
        let is_own = |id: &str| parse_community_id(id).is_ok_and(|digest| own.contains(&digest));
        is_own(&found.who.community_id) || found.carriers.iter().any(|key| community_id(key).is_some_and(|id| is_own(&id)))
    }
}

/// The flows of a selection, by what they are looked back for.
#[derive(Default)]
struct Sorted {
    /// TCP on the ports of SMB, RPC and Kerberos; other TCP; the rest.
    ids: [Vec<Digest>; 3],
    /// Both ends of TCP.
    hosts: BTreeSet<IpAddr>,
    /// Of SMB's flows.
    smb_hosts: BTreeSet<IpAddr>,
}

fn has_port(row: &FlowRow, ports: &[u16]) -> bool {
    [row.a_port, row.b_port].into_iter().flatten().any(|port| ports.contains(&port))
}

fn digest_of(row: &FlowRow) -> Option<Digest> {
    row.community_id.as_deref().and_then(|id| parse_community_id(id).ok())
}

fn sorted(found: &Flows) -> Sorted {
    let mut all = Sorted::default();
    for row in found.rows() {
        let Some(digest) = digest_of(&row) else { continue };
        let (is_tcp, is_smb) = (row.proto == "tcp", has_port(&row, &PORTS_SMB));
        let place = match is_tcp {
            true if is_smb || has_port(&row, &PORTS_BESIDE) => 0,
            true => 1,
            false => 2,
        };
        all.ids[place].push(digest);
        if is_tcp {
            all.hosts.extend([row.a, row.b]);
        }
        if is_tcp && is_smb {
            all.smb_hosts.extend([row.a, row.b]);
        }
    }
    all
}

/// Looks up what a selection's flows are. `channels`: also connections that may be channels of their sessions are read.
pub fn plan(data: &DataDir, asked: &Selection, channels: bool) -> Result<Plan, AnalyzeError> {
    let (found, coverage) = flows(data, asked)?;
    let is_any = !found.is_empty();
    let is_limited = asked.limit_packets.is_some() || asked.limit_bytes.is_some();
    let is_open = !asked.from_given && !asked.to_given && asked.expr == Expr::All;
    let mut plan = Plan { reads: vec![asked.clone()], asked: asked.clone(), coverage, is_any, warnings: Vec::new(), own: None };
    if is_open || !is_any {
        return Ok(plan);
    }
    let Sorted { ids: [mut tcp, more, mut others], hosts, smb_hosts } = sorted(&found);
    drop(found);
    tcp.extend(more);
    if tcp.is_empty() && others.is_empty() {
        return Ok(plan);
    }
    if tcp.len() > FLOWS_MAX {
        plan.warnings.push(format!(
            "the selection has {} TCP flows: what lies outside its window was read for {FLOWS_MAX} of them, so accounts, shares and names of \
             the others may be missing: ask for hosts or a shorter window",
            tcp.len()
        ));
        tcp.truncate(FLOWS_MAX);
    }
    others.truncate(OTHER_FLOWS_MAX);
    let before = Window { from: asked.window.from.saturating_sub(LOOK_BACK_NS), to: asked.window.from };
    let after = Window { from: asked.window.to, to: asked.window.to.saturating_add(READ_ON_NS) };
    // A limit is of the packets that were asked for: nothing is read beside them, or after them.
    let has_after = asked.to_given && !is_limited;
    let mut parts = tickets(&hosts);
    if channels && !is_limited && !smb_hosts.is_empty() {
        let from = if asked.from_given { before.from } else { asked.window.from };
        let to = if asked.to_given { after.to } else { asked.window.to };
        let own: HashSet<Digest> = tcp.iter().chain(&others).copied().collect();
        let beside = beside(data, asked, Window { from, to }, &own, &smb_hosts)?;
        if !beside.is_empty() {
            plan.own = Some(own);
            parts.push(any_of(beside));
        }
    }
    parts.push(any_of(tcp.into_iter().chain(others)));
    let around = Selection { expr: Expr::any_of(parts.iter().cloned()), limit_packets: None, limit_bytes: None, ..asked.clone() };
    if !is_limited {
        parts.insert(0, asked.expr.clone());
        plan.reads[0].expr = Expr::any_of(parts);
    }
    if asked.from_given {
        plan.reads.insert(0, Selection { window: before, ..around.clone() });
    }
    if has_after {
        plan.reads.push(Selection { window: after, ..around });
    }
    Ok(plan)
}

/// Flows of SMB that are not the selection's: a session's channels may have other addresses. The ones of its hosts first, then those that
/// moved least.
fn beside(
    data: &DataDir,
    asked: &Selection,
    window: Window,
    own: &HashSet<Digest>,
    hosts: &BTreeSet<IpAddr>,
) -> Result<Vec<Digest>, AnalyzeError> {
    let ports = LayerExpr::any_of(PORTS_SMB.map(LayerExpr::Port));
    let (found, _) = flows(data, &Selection { window, expr: Expr::Layer(ports), ..asked.clone() })?;
    let mut all: Vec<(bool, u64, Digest)> = Vec::new();
    for row in found.rows().filter(|row| row.proto == "tcp") {
        let Some(digest) = digest_of(&row).filter(|digest| !own.contains(digest)) else { continue };
        let is_strange = !hosts.contains(&row.a) && !hosts.contains(&row.b);
        all.push((is_strange, row.bytes_a_to_b.saturating_add(row.bytes_b_to_a), digest));
    }
    all.sort_unstable();
    all.truncate(CHANNELS_MAX);
    let mut bytes = 0_u64;
    let fits = all.into_iter().take_while(|one| {
        bytes = bytes.saturating_add(one.1);
        bytes <= CHANNELS_BYTES_MAX
    });
    Ok(fits.map(|one| one.2).collect())
}

fn any_of(ids: impl IntoIterator<Item = Digest>) -> Expr {
    Expr::Layer(LayerExpr::any_of(ids.into_iter().map(LayerExpr::CommunityId)))
}

/// The Kerberos traffic of hosts.
fn tickets(hosts: &BTreeSet<IpAddr>) -> Vec<Expr> {
    let port = LayerExpr::Port(PORT_KERBEROS);
    if hosts.len() > HOSTS_MAX {
        return vec![Expr::Layer(port)];
    }
    let of = |host: &IpAddr| Expr::Layer(LayerExpr::And(vec![LayerExpr::Ip(Prefix::single(*host)), port.clone()]));
    hosts.iter().map(of).collect()
}

/// Packets between two reports of progress.
const PROGRESS_PACKETS: u64 = 4096;

/// Reads a plan's packets into an analysis; says where they were.
pub fn analyze_ring(
    data: &DataDir,
    plan: &Plan,
    analysis: &mut Analysis<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Origins, AnalyzeError> {
    let (mut number, mut failed) = (0, None);
    // Segments by the place of their ring, in the order in which they were met.
    let (mut segments, mut known, mut last) = (Vec::new(), AHashMap::new(), (usize::MAX, SegmentId(0), 0));
    let mut done = 0;
    plan.warnings.iter().for_each(|warning| analysis.warn(warning.clone()));
    let mut interfaces = Vec::new();
    for read in &plan.reads {
        (_, interfaces) = visit(data, read, |visited| {
            number += 1;
            let packet = visited.packet;
            done += packet.data.len() as u64;
            let place = (visited.ring, visited.segment);
            if (last.0, last.1) != place {
                let source = *known.entry(place).or_insert_with(|| {
                    segments.push(place);
                    segments.len() as u32 - 1
                });
                last = (place.0, place.1, source);
            }
            let at = PacketRef { time: packet.time, number, source: last.2, position: visited.position };
            let input = Input { at, link_type: visited.link_type, data: packet.data, original_length: packet.original_length };
            if number.is_multiple_of(PROGRESS_PACKETS) {
                progress(&Progress { packets: number, done, of: None });
            }
            match analysis.packet(&input) {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            }
        })?;
        if failed.is_some() {
            break;
        }
    }
    progress(&Progress { packets: number, done, of: None });
    if let Some(e) = failed {
        return Err(e);
    }
    let named = |(ring, segment): (usize, SegmentId)| {
        let interface = interfaces.get(ring).cloned().unwrap_or_default();
        Source::Segment { interface, segment: format!("{segment}.pcapng") }
    };
    let sources = segments.into_iter().map(named).collect();
    Ok(Origins { interfaces, sources })
}

/// Whether something that lasted from one time to another is of a window.
pub fn is_within(window: &Window, from: Timestamp, to: Timestamp) -> bool {
    window.touches(from.min(to), to.max(from))
}
