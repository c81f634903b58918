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
    rows: Vec<Row>,
}

/// The place of its interface, its key and its figures.
type Row = ((u32, FlowKey), FlowStats);

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
                interface: self.interfaces[*ring as usize].clone(),
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

/// Flows by interface and key, up to a bound; those that are there are counted on beyond it. They are held once, as the rows of the answer.
struct Counted {
    rows: Vec<Row>,
    places: AHashMap<(u32, FlowKey), u32>,
    most: usize,
    is_full: bool,
    undo: Option<Undo>,
}

/// What takes back the flows of a segment whose index cannot tell all of them: then its packets are counted.
struct Undo {
    rows: usize,
    was_full: bool,
    /// Rows that were there before, as they were.
    before: Vec<(u32, FlowStats)>,
}

impl Counted {
    fn up_to(most: usize) -> Counted {
        Counted { rows: Vec::new(), places: AHashMap::new(), most, is_full: false, undo: None }
    }

    fn add(&mut self, ring: usize, key: FlowKey, stats: &FlowStats) {
        let key = (ring as u32, key);
        if let Some(&place) = self.places.get(&key) {
            let (_, counted) = &mut self.rows[place as usize];
            if let Some(undo) = self.undo.as_mut().filter(|undo| (place as usize) < undo.rows) {
                undo.before.push((place, *counted));
            }
            counted.add(stats);
        } else if self.rows.len() < self.most {
            self.places.insert(key, self.rows.len() as u32);
            self.rows.push((key, *stats));
        } else {
            self.is_full = true;
        }
    }

    /// Begins what [`Counted::keep`] or [`Counted::take_back`] ends.
    fn try_out(&mut self) {
        self.undo = Some(Undo { rows: self.rows.len(), was_full: self.is_full, before: Vec::new() });
    }

    fn keep(&mut self) {
        self.undo = None;
    }

    fn take_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (key, _) in self.rows.drain(undo.rows..) {
            self.places.remove(&key);
        }
        for (place, stats) in undo.before.into_iter().rev() {
            self.rows[place as usize].1 = stats;
        }
        self.is_full = undo.was_full;
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
    let mut counted = Counted::up_to(most);
    let is_flow = |key: &FlowKey| matches!(key.kind(), KeyKind::Ip4 | KeyKind::Ip6);
    let limited = selection.limit_packets.is_some() || selection.limit_bytes.is_some();
    if let Some(layer) = layer_of(&selection.expr).filter(|_| !limited) {
        let access = plan::access(&layer);
        segments.retain(|(ring, facts)| {
            if !rings[*ring].1.window(&selection.window).covers(facts.low, facts.high) {
                return true;
            }
            let Ok(segment) = rings[*ring].0.open_segment(facts) else { return true };
            counted.try_out();
            let told = segment.flows(&access, |k| is_flow(k) && layer.matches_key(k), |k, s| counted.add(*ring, *k, s));
            let is_told = matches!(told, Ok(true));
            if is_told {
                counted.keep();
            } else {
                counted.take_back();
            }
            !is_told
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
    let Counted { mut rows, places, .. } = counted;
    drop(places);
    rows.sort_unstable_by_key(|(at, stats)| (stats.first, *at));
    Ok((Flows { interfaces, rows }, coverage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let key = |n: u8| FlowKey { a: [n; 16], ..FlowKey::IRREGULAR };
        let stats = |packets| FlowStats { packets: [packets; 2], ..FlowStats::EMPTY };
        let mut counted = Counted::up_to(3);
        counted.try_out();
        counted.add(0, key(1), &stats(1));
        counted.add(1, key(1), &stats(2));
        counted.keep();
        let before = counted.rows.clone();
        for _ in 0..2 {
            counted.try_out();
            for n in [1, 1, 2, 2, 3] {
                counted.add(0, key(n), &stats(5));
            }
            assert!(counted.rows.len() == 3 && counted.is_full);
            counted.take_back();
            assert!(counted.rows == before && counted.places.len() == 2 && !counted.is_full);
        }
        counted.add(0, key(2), &stats(7));
        counted.add(0, key(1), &stats(7));
        let packets: Vec<u64> = counted.rows.iter().map(|row| row.1.packets[0]).collect();
        assert_eq!((packets, counted.is_full), (vec![8, 2, 7], false));
    }
}
