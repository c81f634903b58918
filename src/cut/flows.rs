//! The flows of a selection: keys with their figures, from the index where it can tell, from the packets elsewhere.

use super::coverage::{Coverage, Reason, ReasonKind};
use super::{CutError, merge, open_rings, segments};
use crate::ring::data::DataDir;
use crate::ring::draft::FlowStats;
use crate::ring::snapshot::ReadContext;
use crate::select::{Expr, LayerExpr, Selection, plan};
use crate::time::Timestamp;
use crate::wire::{Decoded, FlowKey, KeyKind, apply_hint, community_id, decode, protocol_name};
use ahash::AHashMap;
use serde::Serialize;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// One flow on one interface. A key, not a connection: it lasts as long as packets with the key come.
#[derive(Clone, Debug, Serialize)]
pub struct FlowRow {
    /// The interface.
    pub interface: String,
    /// One end.
    pub a: IpAddr,
    /// Its port, or ICMP's stand-in.
    pub a_port: Option<u16>,
    /// The other end.
    pub b: IpAddr,
    /// Its port.
    pub b_port: Option<u16>,
    /// The protocol's name, or its number.
    pub proto: String,
    /// VLAN identifiers, outermost first.
    pub vlan: Vec<u16>,
    /// Community ID, version 1.
    pub community_id: Option<String>,
    /// The time of its first packet.
    pub first: Timestamp,
    /// The time of its last.
    pub last: Timestamp,
    /// Packets.
    pub packets_a_to_b: u64,
    /// Packets.
    pub packets_b_to_a: u64,
    /// Bytes on the wire.
    pub bytes_a_to_b: u64,
    /// Bytes on the wire.
    pub bytes_b_to_a: u64,
}

/// The predicate over a layer that the whole selection comes to; `None` where it speaks of packets.
fn layer_of(expr: &Expr) -> Option<LayerExpr> {
    match expr {
        Expr::All => Some(LayerExpr::And(Vec::new())),
        Expr::Layer(layer) => Some(layer.clone()),
        _ => None,
    }
}

/// The layers that a row is made for, of packets that match.
fn layers_of(expr: &Expr) -> LayerExpr {
    match expr {
        Expr::Layer(layer) => layer.clone(),
        Expr::And(parts) => parts.iter().find(|p| matches!(p, Expr::Layer(_))).map_or(LayerExpr::And(Vec::new()), layers_of),
        _ => LayerExpr::And(Vec::new()),
    }
}

/// Flows that one answer lists; more than that is for a narrower question.
pub const FLOWS_MAX: usize = 250_000;

/// The flows of a selection, by the time of their first packet.
pub struct Flows {
    interfaces: Vec<String>,
    rows: Vec<((usize, FlowKey), FlowStats)>,
}

impl Flows {
    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The flows, made into rows one at a time.
    pub fn rows(&self) -> impl Iterator<Item = FlowRow> {
        self.rows.iter().filter_map(|((ring, key), stats)| {
            let (a, b) = key.addresses()?;
            Some(FlowRow {
                interface: self.interfaces[*ring].clone(),
                a,
                a_port: key.ports().map(|p| p.0),
                b,
                b_port: key.ports().map(|p| p.1),
                proto: protocol_name(key.proto).map_or_else(|| key.proto.to_string(), str::to_string),
                vlan: key.vlans().iter().collect(),
                community_id: community_id(key),
                first: stats.first,
                last: stats.last,
                packets_a_to_b: stats.packets[0],
                packets_b_to_a: stats.packets[1],
                bytes_a_to_b: stats.bytes[0],
                bytes_b_to_a: stats.bytes[1],
            })
        })
    }
}

/// Flows by interface and key, up to a bound; those that are there are counted on beyond it.
struct Counted {
    flows: AHashMap<(usize, FlowKey), FlowStats>,
    most: usize,
    is_full: bool,
}

impl Counted {
    fn add(&mut self, ring: usize, key: FlowKey, stats: &FlowStats) {
        if let Some(flow) = self.flows.get_mut(&(ring, key)) {
            flow.add(stats);
        } else if self.flows.len() < self.most {
            self.flows.insert((ring, key), *stats);
        } else {
            self.is_full = true;
        }
    }
}

/// Lists the flows of a selection, at most [`FLOWS_MAX`].
pub fn flows(data: &DataDir, selection: &Selection) -> Result<(Flows, Coverage), CutError> {
    flows_up_to(data, selection, FLOWS_MAX)
}

pub(super) fn flows_up_to(data: &DataDir, selection: &Selection, most: usize) -> Result<(Flows, Coverage), CutError> {
    super::check_filters(&selection.expr)?;
    let context = ReadContext::default();
    let rings = open_rings(data, selection, &context)?;
    let (mut segments, link_types) = segments(selection, &rings)?;
    let mut coverage = Coverage::begin(selection, &rings)?;
    let mut judges = merge::judges(selection, &rings, &link_types, &mut coverage)?;
    let mut counted = Counted { flows: AHashMap::new(), most, is_full: false };
    let is_flow = |key: &FlowKey| matches!(key.kind(), KeyKind::Ip4 | KeyKind::Ip6);
    let limited = selection.limit_packets.is_some() || selection.limit_bytes.is_some();
    if let Some(layer) = layer_of(&selection.expr).filter(|_| !limited) {
        let access = plan::access(&layer);
        segments.retain(|(ring, facts)| {
            if !selection.window.covers(facts.low, facts.high) {
                return true;
            }
            let Ok(segment) = rings[*ring].0.open_segment(facts) else { return true };
            let mut found = Vec::new();
            let told = segment.flows(&access, |k| is_flow(k) && layer.matches_key(k), |k, s| found.push((*k, *s)));
            if !matches!(told, Ok(true)) {
                return true;
            }
            for (key, stats) in found {
                counted.add(*ring, key, &stats);
            }
            false
        });
    }
    let wanted = layers_of(&selection.expr);
    let mut decoded = Decoded::default();
    let (mut packets, mut bytes) = (0, 0);
    merge::merge(selection, &rings, segments, &mut judges, &mut coverage, |taken, coverage| {
        if super::is_full(selection, packets, bytes, taken, coverage) {
            return ControlFlow::Break(());
        }
        packets += 1;
        bytes += taken.packet.data.len() as u64;
        decode(taken.link_type, taken.packet.data, &mut decoded);
        if let Some(ports) = taken.hint {
            apply_hint(&mut decoded, ports);
        }
        let mut seen: Vec<FlowKey> = Vec::new();
        for layer in decoded.layers.iter().filter(|l| wanted.matches_layer(l)) {
            let Some((key, direction)) = FlowKey::of(layer).filter(|(k, _)| is_flow(k) && !seen.contains(k)) else { continue };
            seen.push(key);
            let mut one = FlowStats::EMPTY;
            one.count(taken.packet.time, taken.packet.original_length, direction);
            counted.add(taken.ring, key, &one);
        }
        ControlFlow::Continue(())
    });
    if counted.is_full {
        coverage.add(Reason {
            reason: ReasonKind::LimitReached,
            interface: String::new(),
            from: None,
            to: None,
            bytes: None,
            detail: format!("there are more than {most} flows, and as many are listed: ask for hosts, ports or a shorter window"),
        });
    }
    coverage.finish();
    let interfaces = rings.iter().map(|(ring, _)| ring.interface().to_string()).collect();
    let mut rows: Vec<((usize, FlowKey), FlowStats)> = counted.flows.into_iter().collect();
    rows.sort_unstable_by_key(|(at, stats)| (stats.first, *at));
    Ok((Flows { interfaces, rows }, coverage))
}
