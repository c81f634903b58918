//! A segment's index while it grows: what the writer collects, what a reader learns from the published records, and what sealing sorts.

use super::aligned::AlignedBuffer;
use super::granule::GranuleEntry;
use super::ids::{SectionId, SegmentId, SensorId, StreamId};
use super::note::{NOTES_MAX, Note, NoteKind};
use crate::packet::Packet;
use crate::time::{Timestamp, Window};
use crate::wire::{Direction, FlowKey, KeyKind};

/// A flow's number in its segment, in order of appearance; IPv6 flows count apart and have the top bit set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowNumber(pub u32);

impl FlowNumber {
    /// The bit that marks IPv6.
    pub const IP6: u32 = 1 << 31;

    /// Whether it counts IPv6 flows.
    pub fn is_ip6(self) -> bool {
        self.0 & Self::IP6 != 0
    }

    /// Its place in the list of its family.
    pub fn index(self) -> usize {
        (self.0 & !Self::IP6) as usize
    }
}

/// What one flow amounts to in one segment. `[0]` is from `a` to `b`, `[1]` from `b` to `a`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowStats {
    /// The lowest time of its packets.
    pub first: Timestamp,
    /// The highest.
    pub last: Timestamp,
    /// Packets each way.
    pub packets: [u64; 2],
    /// Bytes on the wire each way.
    pub bytes: [u64; 2],
}

impl FlowStats {
    /// No packet yet.
    pub const EMPTY: FlowStats = FlowStats { first: Timestamp::MAX, last: Timestamp::ZERO, packets: [0; 2], bytes: [0; 2] };

    /// Counts a packet of so many bytes on the wire.
    pub fn count(&mut self, time: Timestamp, length: u32, direction: Direction) {
        let way = usize::from(direction == Direction::BToA);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.packets[way] += 1;
        self.bytes[way] += u64::from(length);
    }

    /// Adds what another stretch of the same flow amounts to.
    pub fn add(&mut self, other: &FlowStats) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for way in 0..2 {
            self.packets[way] = self.packets[way].saturating_add(other.packets[way]);
            self.bytes[way] = self.bytes[way].saturating_add(other.bytes[way]);
        }
    }
}

/// The unit of publishing: some granules, and what the index needs to know of them. Offsets count from the block's start.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The packets, as pcapng blocks.
    pub data: AlignedBuffer,
    /// The granules in it.
    pub granules: Vec<GranuleEntry>,
    /// For each granule, how many of `numbers` are its.
    pub counts: Vec<u32>,
    /// The flows with packets in each granule, each once a granule.
    pub numbers: Vec<FlowNumber>,
    /// Keys of the flows that the segment had not seen before, in the order of their numbers.
    pub new4: Vec<FlowKey>,
    /// The same of IPv6.
    pub new6: Vec<FlowKey>,
    /// What it tells beside packets.
    pub notes: Vec<Note>,
    /// The section that all its packets belong to.
    pub section: SectionId,
    /// How many packets.
    pub packets: u32,
    /// How many of them a snap length cut.
    pub truncated: u32,
    /// Some packet is earlier than one before it in the segment.
    pub disordered: bool,
    /// The lowest time of the packets that have one; [`Timestamp::MAX`] if none has.
    pub first: Timestamp,
    /// The highest time of its packets.
    pub last: Timestamp,
}

impl Block {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.granules.clear();
        self.counts.clear();
        self.numbers.clear();
        self.new4.clear();
        self.new6.clear();
        self.notes.clear();
        self.section = SectionId::NONE;
        self.packets = 0;
        self.truncated = 0;
        self.disordered = false;
        self.first = Timestamp::MAX;
        self.last = Timestamp::ZERO;
    }

    /// Counts a packet and its time; `newest` is the highest time of the segment so far.
    pub fn count(&mut self, packet: &Packet<'_>, newest: &mut Timestamp) {
        self.packets += 1;
        self.truncated += u32::from(packet.is_truncated());
        self.disordered |= packet.time < *newest;
        *newest = (*newest).max(packet.time);
        self.last = self.last.max(packet.time);
        if packet.time != Timestamp::ZERO {
            self.first = self.first.min(packet.time);
        }
    }

    /// Whether it tells anything.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.notes.is_empty()
    }
}

/// All published blocks of one segment, joined.
#[derive(Clone, Debug)]
pub struct SegmentDraft {
    /// Whose data it is.
    pub sensor: SensorId,
    /// The segment.
    pub id: SegmentId,
    /// Its stream.
    pub stream: StreamId,
    /// From a capture file.
    pub imported: bool,
    /// Where granules begin in the packet file: after the section header and interface block.
    pub data_start: u64,
    /// Bytes of the packet file that are published.
    pub data_len: u64,
    /// Keys in the order of their numbers.
    pub keys4: Vec<FlowKey>,
    /// The same of IPv6.
    pub keys6: Vec<FlowKey>,
    /// All granules, offsets in the packet file.
    pub granules: Vec<GranuleEntry>,
    /// For each granule, where its part of `numbers` ends.
    pub ends: Vec<u32>,
    /// The flows with packets in each granule.
    pub numbers: Vec<FlowNumber>,
    /// What it tells beside packets.
    pub notes: Vec<Note>,
    /// From which granule on packets belong to which section.
    pub sections: Vec<(u32, SectionId)>,
    /// How many packets.
    pub packets: u64,
    /// How many a snap length cut.
    pub truncated: u64,
    /// Packets are not in order of time.
    pub disordered: bool,
    /// The lowest time, 0 where a packet has none; [`Timestamp::MAX`] without packets.
    pub low: Timestamp,
    /// The highest time.
    pub high: Timestamp,
    /// The lowest time of packets that have one.
    pub first: Timestamp,
    /// The stretch in which capture ran, up to what is complete.
    pub captured: Option<Window>,
    /// Packets after the last published block, found by a repair.
    pub recovered: u32,
    /// A repair had to give granules up.
    pub damaged: bool,
}

impl SegmentDraft {
    /// An empty segment.
    pub fn new(sensor: SensorId, id: SegmentId, stream: StreamId, data_start: u64) -> Self {
        SegmentDraft {
            sensor,
            id,
            stream,
            imported: false,
            data_start,
            data_len: data_start,
            keys4: Vec::new(),
            keys6: Vec::new(),
            granules: Vec::new(),
            ends: Vec::new(),
            numbers: Vec::new(),
            notes: Vec::new(),
            sections: Vec::new(),
            packets: 0,
            truncated: 0,
            disordered: false,
            low: Timestamp::MAX,
            high: Timestamp::ZERO,
            first: Timestamp::MAX,
            captured: None,
            recovered: 0,
            damaged: false,
        }
    }

    /// Adds a block that was published after all before it. Its data is not looked at.
    pub fn absorb(&mut self, block: &Block) {
        let first_granule = self.granules.len() as u32;
        if !block.granules.is_empty() && self.sections.last().map(|s| s.1).unwrap_or_default() != block.section {
            self.sections.push((first_granule, block.section));
        }
        self.keys4.extend_from_slice(&block.new4);
        self.keys6.extend_from_slice(&block.new6);
        let mut end = self.numbers.len() as u32;
        self.numbers.extend_from_slice(&block.numbers);
        for (granule, count) in block.granules.iter().zip(&block.counts) {
            end += count;
            self.ends.push(end);
            self.low = self.low.min(granule.low);
            self.granules.push(GranuleEntry { stored_offset: self.data_len + granule.stored_offset, ..*granule });
        }
        self.data_len += block.granules.iter().map(|g| u64::from(g.stored_len)).sum::<u64>();
        for note in &block.notes {
            self.add_note(*note);
        }
        self.packets += u64::from(block.packets);
        self.truncated += u64::from(block.truncated);
        self.disordered |= block.disordered;
        self.first = self.first.min(block.first);
        self.high = self.high.max(block.last);
    }

    fn add_note(&mut self, note: Note) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
            return;
        }
        // Full: the last note of the kind grows to cover the new one too.
        let same = |n: &Note| std::mem::discriminant(&n.kind) == std::mem::discriminant(&note.kind);
        if let Some(last) = self.notes.iter_mut().rev().find(|n| same(n)) {
            last.window = Window { from: last.window.from.min(note.window.from), to: last.window.to.max(note.window.to) };
            if let (NoteKind::Drops { os, interface }, NoteKind::Drops { os: more, interface: more_interface }) =
                (&mut last.kind, note.kind)
            {
                *os = os.saturating_add(more);
                *interface = interface.saturating_add(more_interface);
            }
            if let (NoteKind::Unrecorded { packets }, NoteKind::Unrecorded { packets: more }) = (&mut last.kind, note.kind) {
                *packets = packets.saturating_add(more);
            }
        }
    }

    /// The flows of a granule.
    pub fn granule_flows(&self, granule: usize) -> &[FlowNumber] {
        let end = self.ends[granule] as usize;
        let start = granule.checked_sub(1).map_or(0, |g| self.ends[g] as usize);
        &self.numbers[start..end]
    }

    /// The key of a flow.
    pub fn key(&self, number: FlowNumber) -> &FlowKey {
        if number.is_ip6() { &self.keys6[number.index()] } else { &self.keys4[number.index()] }
    }

    /// Packets that are not there, in all notes.
    pub fn drops(&self) -> u64 {
        self.notes.iter().filter_map(|n| n.kind.lost()).fold(0, u64::saturating_add)
    }
}

/// The stretch that an imported segment of packets from `low` to `high` vouches for: its own, and the way to it from the stretch that
/// the import has seen before it.
pub fn vouched(run: Option<Window>, low: Timestamp, high: Timestamp) -> Window {
    let own = Window { from: low, to: high.saturating_add(1) };
    let Some(run) = run else { return own };
    Window {
        from: if low >= run.to { run.to.saturating_sub(1) } else { low },
        to: if high < run.from { run.from.saturating_add(1) } else { own.to },
    }
}

/// Whether flows of this key count as IPv6 ones.
pub fn counts_as_ip6(key: &FlowKey) -> bool {
    key.kind() == KeyKind::Ip6
}
