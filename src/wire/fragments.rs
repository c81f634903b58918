//! Which ports a later fragment belongs to: those that its datagram's first fragment had.

use super::key::spread;
use super::layer::{Decoded, Layer, LayerKind};
use super::protocol::{ICMP, ICMP6};
use crate::time::{SECOND_NS, Timestamp};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

/// How many first fragments are remembered; the oldest makes room.
pub const FRAGMENTS_MAX: usize = 65_536;
/// How long after its first fragment a later one is still taken to belong to it.
const AGE_MAX_NS: u64 = 30 * SECOND_NS;

/// What the fragments of one datagram share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DatagramKey {
    src: [u8; 16],
    dst: [u8; 16],
    id: u32,
    vlan: u32,
    proto: u8,
    ip6: bool,
}

struct First {
    pair: (u16, u16),
    time: Timestamp,
    /// Which of the turns in the queue is the entry's; earlier ones are void.
    turn: u64,
}

/// The first fragments of the last 30 s of packet time, at most [`FRAGMENTS_MAX`] of them.
#[derive(Default)]
pub struct FragmentTable {
    firsts: HashMap<DatagramKey, First, ahash::RandomState>,
    /// In the order of arrival; its first turn has the number `oldest_turn`.
    queue: VecDeque<DatagramKey>,
    oldest_turn: u64,
}

impl FragmentTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers first fragments, and gives a packet that ends in a later fragment its datagram's ports (or ICMP type and code),
    /// if the first one came at most 30 s earlier. Returns what was given, to be stored as the packet's hint ([`apply_hint`]).
    #[inline]
    pub fn resolve(&mut self, decoded: &mut Decoded, time: Timestamp) -> Option<(u16, u16)> {
        if !decoded.fragmented {
            return None;
        }
        self.resolve_fragments(decoded, time)
    }

    /// How many first fragments are remembered.
    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Whether no first fragment is remembered.
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    #[cold]
    fn resolve_fragments(&mut self, decoded: &mut Decoded, time: Timestamp) -> Option<(u16, u16)> {
        for layer in &decoded.layers {
            if layer.fragment.is_some_and(|f| f.first)
                && let (Some(key), Some(pair)) = (key_of(layer), pair_of(layer))
            {
                self.remember(key, pair, time);
            }
        }
        let pair = self.known(&key_of(later(decoded)?)?, time)?;
        apply_hint(decoded, pair);
        Some(pair)
    }

    fn remember(&mut self, key: DatagramKey, pair: (u16, u16), time: Timestamp) {
        if self.queue.len() == FRAGMENTS_MAX
            && let Some(oldest) = self.queue.pop_front()
        {
            if let Entry::Occupied(entry) = self.firsts.entry(oldest)
                && entry.get().turn == self.oldest_turn
            {
                entry.remove();
            }
            self.oldest_turn += 1;
        }
        let turn = self.oldest_turn + self.queue.len() as u64;
        self.queue.push_back(key);
        self.firsts.insert(key, First { pair, time, turn });
    }

    fn known(&self, key: &DatagramKey, time: Timestamp) -> Option<(u16, u16)> {
        let first = self.firsts.get(key)?;
        // A first fragment may have a time a little later: packets are not always in order.
        (time.since(first.time) <= AGE_MAX_NS && first.time.since(time) <= AGE_MAX_NS).then_some(first.pair)
    }
}

/// Gives a packet that ends in a later fragment the ports (or ICMP type and code) that [`FragmentTable::resolve`] found for it.
/// Other packets stay as they are.
pub fn apply_hint(decoded: &mut Decoded, pair: (u16, u16)) {
    if later(decoded).is_none() {
        return;
    }
    let Some(layer) = decoded.layers.last_mut() else { return };
    if is_icmp(layer) {
        layer.icmp = Some((pair.0 as u8, pair.1 as u8));
    } else {
        layer.ports = Some(pair);
    }
}

/// The layer that is a later fragment; nothing comes after one.
fn later(decoded: &Decoded) -> Option<&Layer> {
    decoded.layers.last().filter(|l| l.fragment.is_some_and(|f| !f.first))
}

/// The datagram that a packet is a fragment of: the innermost one.
pub fn datagram_of(decoded: &Decoded) -> Option<DatagramKey> {
    if !decoded.fragmented {
        return None;
    }
    decoded.layers.iter().rev().find_map(key_of)
}

fn key_of(layer: &Layer) -> Option<DatagramKey> {
    Some(DatagramKey {
        src: spread(layer.src?),
        dst: spread(layer.dst?),
        id: layer.fragment?.id,
        vlan: layer.vlans.packed(),
        proto: layer.proto?,
        ip6: layer.kind == LayerKind::Ip6,
    })
}

fn pair_of(layer: &Layer) -> Option<(u16, u16)> {
    if is_icmp(layer) { layer.icmp.map(|(kind, code)| (kind.into(), code.into())) } else { layer.ports }
}

fn is_icmp(layer: &Layer) -> bool {
    layer.proto == Some(if layer.kind == LayerKind::Ip6 { ICMP6 } else { ICMP })
}

#[cfg(test)]
mod tests {
    use super::super::layer::{Fragment, VlanTags};
    use super::*;

    fn packet(id: u32, first: bool, proto: u8) -> Decoded {
        let mut layer = Layer::new(LayerKind::Ip4, VlanTags::default());
        layer.src = Some("10.0.0.1".parse().unwrap());
        layer.dst = Some("10.0.0.2".parse().unwrap());
        layer.proto = Some(proto);
        layer.fragment = Some(Fragment { id, first });
        if first {
            if proto == ICMP { layer.icmp = Some((8, 0)) } else { layer.ports = Some((1000 + (id % 60_000) as u16, 53)) }
        }
        Decoded { layers: vec![layer], fragmented: true, ..Decoded::default() }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * SECOND_NS)
    }

    #[test]
    fn a_later_fragment_takes_its_datagrams_ports_for_30_seconds() {
        let mut table = FragmentTable::new();
        assert_eq!(table.resolve(&mut packet(1, true, 17), at(100)), None);
        for (time, want) in [(100, Some((1001, 53))), (130, Some((1001, 53))), (131, None), (99, Some((1001, 53))), (69, None)] {
            let mut p = packet(1, false, 17);
            assert_eq!(table.resolve(&mut p, at(time)), want, "{time}");
            assert_eq!(p.layers[0].ports, want);
        }
        assert_eq!(table.resolve(&mut packet(2, false, 17), at(100)), None);
        assert_eq!(table.resolve(&mut packet(1, false, 6), at(100)), None);
    }

    #[test]
    fn icmp_takes_type_and_code() {
        let mut table = FragmentTable::new();
        table.resolve(&mut packet(1, true, ICMP), at(1));
        let mut p = packet(1, false, ICMP);
        assert_eq!(table.resolve(&mut p, at(1)), Some((8, 0)));
        assert_eq!((p.layers[0].icmp, p.layers[0].ports), (Some((8, 0)), None));
        let mut again = packet(1, false, ICMP);
        apply_hint(&mut again, (8, 0));
        assert_eq!(again.layers, p.layers);
    }

    #[test]
    fn a_hint_changes_nothing_but_later_fragments() {
        let mut p = packet(1, true, 17);
        apply_hint(&mut p, (7, 7));
        assert_eq!(p.layers[0].ports, Some((1001, 53)));
        let mut none = Decoded::default();
        apply_hint(&mut none, (7, 7));
        assert!(none.layers.is_empty());
    }

    #[test]
    fn the_oldest_makes_room_and_repeats_do_not_grow_the_table() {
        let mut table = FragmentTable::new();
        let ids = FRAGMENTS_MAX as u32;
        for id in 0..ids {
            table.resolve(&mut packet(id, true, 17), at(1));
        }
        assert_eq!(table.len(), FRAGMENTS_MAX);
        table.resolve(&mut packet(0, true, 17), at(1));
        table.resolve(&mut packet(ids, true, 17), at(1));
        // Number 0 came again and stays, 1 was the oldest and is gone.
        assert!(table.resolve(&mut packet(0, false, 17), at(1)).is_some());
        assert!(table.resolve(&mut packet(1, false, 17), at(1)).is_none());
        assert!(table.resolve(&mut packet(ids, false, 17), at(1)).is_some());
        for _ in 0..2 * FRAGMENTS_MAX {
            table.resolve(&mut packet(5, true, 17), at(1));
        }
        assert_eq!(table.len(), 1);
        assert!(table.queue.len() <= FRAGMENTS_MAX);
    }
}
