//! The flows of a selection: keys with their figures, from the index where it can tell, from the packets elsewhere.

use super::coverage::Coverage;
use super::{CutError, merge, open_rings, segments};
use crate::ring::data::DataDir;
use crate::ring::draft::FlowStats;
use crate::ring::snapshot::ReadContext;
use crate::select::{Expr, LayerExpr, Selection, plan};
use crate::time::Timestamp;
use crate::wire::{Decoded, Direction, FlowKey, KeyKind, apply_hint, community_id, decode, protocol_name};
use serde::Serialize;
use std::collections::BTreeMap;
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

/// Lists the flows of a selection.
pub fn flows(data: &DataDir, selection: &Selection) -> Result<(Vec<FlowRow>, Coverage), CutError> {
    super::check_filters(&selection.expr)?;
    let context = ReadContext::default();
    let rings = open_rings(data, selection, &context)?;
    let (mut segments, link_types) = segments(selection, &rings)?;
    let mut coverage = Coverage::begin(selection, &rings)?;
    let mut judges = merge::judges(selection, &rings, &link_types, &mut coverage)?;
    let mut rows: BTreeMap<(usize, FlowKey), FlowStats> = BTreeMap::new();
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
                rows.entry((*ring, key)).or_insert(FlowStats::EMPTY).add(&stats);
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
            let mut one = FlowStats { first: taken.packet.time, last: taken.packet.time, ..FlowStats::EMPTY };
            let way = usize::from(direction == Direction::BToA);
            one.packets[way] = 1;
            one.bytes[way] = u64::from(taken.packet.original_length);
            rows.entry((taken.ring, key)).or_insert(FlowStats::EMPTY).add(&one);
        }
        ControlFlow::Continue(())
    });
    coverage.finish();
    let row = |((ring, key), stats): ((usize, FlowKey), FlowStats)| {
        let (a, b) = key.addresses()?;
        Some(FlowRow {
            interface: rings[ring].0.interface().to_string(),
            a,
            a_port: key.ports().map(|p| p.0),
            b,
            b_port: key.ports().map(|p| p.1),
            proto: protocol_name(key.proto).map_or_else(|| key.proto.to_string(), str::to_string),
            vlan: key.vlans().iter().collect(),
            community_id: community_id(&key),
            first: stats.first,
            last: stats.last,
            packets_a_to_b: stats.packets[0],
            packets_b_to_a: stats.packets[1],
            bytes_a_to_b: stats.bytes[0],
            bytes_b_to_a: stats.bytes[1],
        })
    };
    let mut rows: Vec<FlowRow> = rows.into_iter().filter_map(row).collect();
    rows.sort_by(|x, y| (x.first, &x.interface, x.a, x.b).cmp(&(y.first, &y.interface, y.a, y.b)));
    Ok((rows, coverage))
}
