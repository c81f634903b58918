//! What the flows of a segment amount to, packet by packet: their numbers, their figures, and which granules they are in.

use super::draft::{Block, FlowNumber, FlowStats, counts_as_ip6};
use crate::packet::Packet;
use crate::wire::{Decoded, Direction, FlowKey, LAYERS_MAX};
use std::collections::HashMap;

struct Tally {
    stats: FlowStats,
    /// The last granule it is in.
    granule: u32,
}

/// The flows of one segment so far.
#[derive(Default)]
pub(super) struct Tallies {
    numbers: HashMap<FlowKey, FlowNumber, ahash::RandomState>,
    four: Vec<Tally>,
    six: Vec<Tally>,
}

impl Tallies {
    /// How many flows.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Counts a packet in all flows that it belongs to, one a layer, and tells the block of new ones and of those that are new in the granule.
    pub(super) fn count(&mut self, decoded: &Decoded, packet: &Packet<'_>, granule: u32, block: &mut Block) {
        let mut seen = [FlowNumber(u32::MAX); LAYERS_MAX];
        let mut count = 0;
        for layer in &decoded.layers {
            let Some((key, direction)) = FlowKey::of(layer) else { continue };
            let number = self.number(&key, block);
            // A layer that repeats an outer one's flow counts once.
            if seen[..count].contains(&number) || count == seen.len() {
                continue;
            }
            seen[count] = number;
            count += 1;
            self.add(number, direction, packet, granule, block);
        }
        if decoded.trailing_tags.packed() != 0 {
            let number = self.number(&FlowKey::tagged(decoded.trailing_tags), block);
            self.add(number, Direction::AToB, packet, granule, block);
        }
        if decoded.irregular {
            let number = self.number(&FlowKey::IRREGULAR, block);
            self.add(number, Direction::AToB, packet, granule, block);
        }
    }

    /// Puts a granule of which nothing is known among those that every plan reads.
    pub(super) fn mark_unknown(&mut self, granule: u32, block: &mut Block) {
        let number = self.number(&FlowKey::IRREGULAR, block);
        self.post(number, granule, block);
    }

    /// The figures of all flows, those of IPv6 apart, by their numbers. What follows is of another segment.
    pub(super) fn take(&mut self) -> (Vec<FlowStats>, Vec<FlowStats>) {
        self.numbers.clear();
        let stats = |tallies: &mut Vec<Tally>| tallies.drain(..).map(|t| t.stats).collect();
        (stats(&mut self.four), stats(&mut self.six))
    }

    fn number(&mut self, key: &FlowKey, block: &mut Block) -> FlowNumber {
        if let Some(&number) = self.numbers.get(key) {
            return number;
        }
        let (tallies, fresh, family) = if counts_as_ip6(key) {
            (&mut self.six, &mut block.new6, FlowNumber::IP6)
        } else {
            (&mut self.four, &mut block.new4, 0)
        };
        let number = FlowNumber(tallies.len() as u32 | family);
        tallies.push(Tally { stats: FlowStats::EMPTY, granule: u32::MAX });
        fresh.push(*key);
        self.numbers.insert(*key, number);
        number
    }

    fn add(&mut self, number: FlowNumber, direction: Direction, packet: &Packet<'_>, granule: u32, block: &mut Block) {
        self.post(number, granule, block).stats.count(packet, direction);
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
