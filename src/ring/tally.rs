//! What the flows of a segment amount to, packet by packet: their numbers, their figures, and which granules they are in.

use super::draft::{Block, FlowNumber, FlowStats, counts_as_ip6};
use super::flow_table::FlowTable;
use crate::packet::Packet;
use crate::prefetch::prefetch;
use crate::time::Timestamp;
use crate::wire::{Decoded, Direction, FlowKey};

/// One flow. It is all that a packet of it touches, beside its place in the table of numbers.
#[repr(align(32))]
struct Tally {
    key: FlowKey,
    /// The last granule it is in.
    granule: u32,
    stats: FlowStats,
}

/// A packet in one of its flows, to be counted.
struct Noted {
    key: FlowKey,
    direction: Direction,
    length: u32,
    time: Timestamp,
    hash: u64,
}

/// The flows of one segment so far.
///
/// Packets are noted one by one, and counted when their granule is closed: most of the work is waiting for memory, and many flows are
/// looked up at once in the time of one.
#[derive(Default)]
pub(super) struct Tallies {
    /// Their numbers, found by key.
    numbers: FlowTable,
    /// Keyed, so that nobody can make flows that collide.
    hasher: ahash::RandomState,
    four: Vec<Tally>,
    six: Vec<Tally>,
    noted: Vec<Noted>,
}

impl Tallies {
    /// Whether there are so many flows. Where what is noted could make them so many, it is counted first.
    pub(super) fn has(&mut self, flows: usize, granule: u32, block: &mut Block) -> bool {
        if self.numbers.len() + self.noted.len() >= flows {
            self.count(granule, block);
        }
        self.numbers.len() >= flows
    }

    /// Notes a packet in all flows that it belongs to, one a layer.
    pub(super) fn note(&mut self, decoded: &Decoded, packet: &Packet<'_>) {
        let own = self.noted.len();
        for layer in &decoded.layers {
            let Some((key, direction)) = FlowKey::of(layer) else { continue };
            // A layer that repeats an outer one's flow counts once.
            if self.noted[own..].iter().any(|n| n.key == key) {
                continue;
            }
            self.note_flow(key, direction, packet);
        }
        if decoded.trailing_tags.packed() != 0 {
            self.note_flow(FlowKey::tagged(decoded.trailing_tags), Direction::AToB, packet);
        }
        if decoded.irregular {
            self.note_flow(FlowKey::IRREGULAR, Direction::AToB, packet);
        }
    }

    /// Notes a packet in one flow.
    pub(super) fn note_flow(&mut self, key: FlowKey, direction: Direction, packet: &Packet<'_>) {
        let hash = self.hasher.hash_one(key);
        self.numbers.prefetch(hash);
        let (length, time) = (packet.original_length, packet.time);
        self.noted.push(Noted { key, direction, length, time, hash });
    }

    /// Counts what was noted, all of one granule, and tells the block of new flows and of those that are in the granule.
    pub(super) fn count(&mut self, granule: u32, block: &mut Block) {
        let mut noted = std::mem::take(&mut self.noted);
        for n in &noted {
            if let Some(likely) = self.numbers.find(n.hash, |_| true) {
                self.prefetch(likely);
            }
        }
        for n in &noted {
            let number = self.number(n.hash, &n.key, block);
            self.post(number, granule, block).stats.count(n.time, n.length, n.direction);
        }
        noted.clear();
        self.noted = noted;
    }

    /// Puts a granule of which nothing is known among those that every plan reads.
    pub(super) fn mark_unknown(&mut self, granule: u32, block: &mut Block) {
        let number = self.number(self.hasher.hash_one(FlowKey::IRREGULAR), &FlowKey::IRREGULAR, block);
        self.post(number, granule, block);
    }

    /// The figures of all flows, those of IPv6 apart, by their numbers. What follows is of another segment.
    pub(super) fn take(&mut self) -> (Vec<FlowStats>, Vec<FlowStats>) {
        self.numbers.clear();
        let stats = |tallies: &mut Vec<Tally>| tallies.drain(..).map(|t| t.stats).collect();
        (stats(&mut self.four), stats(&mut self.six))
    }

    fn prefetch(&self, number: FlowNumber) {
        let own = if number.is_ip6() { &self.six } else { &self.four };
        if let Some(tally) = own.get(number.index()) {
            prefetch(&tally.key);
            prefetch(&tally.stats.bytes);
        }
    }

    fn number(&mut self, hash: u64, key: &FlowKey, block: &mut Block) -> FlowNumber {
        let ip6 = counts_as_ip6(key);
        let own = if ip6 { &self.six } else { &self.four };
        if let Some(number) = self.numbers.find(hash, |n| n.is_ip6() == ip6 && own[n.index()].key == *key) {
            return number;
        }
        let (own, fresh, family) =
            if ip6 { (&mut self.six, &mut block.new6, FlowNumber::IP6) } else { (&mut self.four, &mut block.new4, 0) };
        let number = FlowNumber(own.len() as u32 | family);
        own.push(Tally { key: *key, granule: u32::MAX, stats: FlowStats::EMPTY });
        fresh.push(*key);
        let (four, six, hasher) = (&self.four, &self.six, &self.hasher);
        let key_of = |n: FlowNumber| if n.is_ip6() { &six[n.index()].key } else { &four[n.index()].key };
        self.numbers.insert(hash, number, |n| hasher.hash_one(key_of(n)));
        number
    }

    fn post(&mut self, number: FlowNumber, granule: u32, block: &mut Block) -> &mut Tally {
        let tallies = if number.is_ip6() { &mut self.six } else { &mut self.four };
        let tally = &mut tallies[number.index()];
        if tally.granule != granule {
            tally.granule = granule;
            block.numbers.push(number);
        }
        tally
    }
}
