//! What is known of a whole segment: the entry in the ring's catalogue and the heart of an index's footer.

use super::bytes::{u16_at, u32_at, u64_at};
use super::ids::{SectionId, SegmentId, StreamId};
use crate::packet::LinkType;
use crate::time::{Timestamp, Window};

/// Bytes of encoded facts, their own checksum included.
pub const FACTS_LEN: usize = 128;

/// One segment, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// Its number.
    pub id: SegmentId,
    /// Its stream.
    pub stream: StreamId,
    /// The lowest time of its packets; [`Timestamp::ZERO`] if some have none.
    pub low: Timestamp,
    /// The highest time of its packets.
    pub high: Timestamp,
    /// The lowest time of the packets that have one; [`Timestamp::MAX`] if none has.
    pub first: Timestamp,
    /// From the first to the last moment in which capture ran for it. The notes tell of breaks inside.
    pub captured: Window,
    /// How many packets.
    pub packets: u64,
    /// Bytes of the packet file.
    pub data_bytes: u64,
    /// Bytes of the index file.
    pub index_bytes: u64,
    /// When its last packet arrived here (wall clock), whatever the packet's own time.
    pub arrived: Timestamp,
    /// Packets that were dropped before they reached it.
    pub drops: u64,
    /// How many granules.
    pub granules: u32,
    /// The lowest section its packets belong to.
    pub section_low: SectionId,
    /// The highest.
    pub section_high: SectionId,
    /// Flag bits, see the constants.
    pub flags: u32,
    /// Packets that the snap length cut.
    pub truncated: u32,
    /// Packets found after the last published block when it was mended.
    pub recovered: u32,
}

impl SegmentFacts {
    /// Packets do not follow each other in time.
    pub const DISORDERED: u32 = 1;
    /// So much so that the index stores the time order of every packet.
    pub const DEEPLY_DISORDERED: u32 = 2;
    /// A repair had to give granules up.
    pub const DAMAGED: u32 = 4;
    /// From a capture file, not from a live interface.
    pub const IMPORTED: u32 = 8;
    /// Closed by a repair, not by its writer.
    pub const MENDED: u32 = 16;

    /// A repair found its packet file lost: the entry stays so that answers name what is missing.
    pub const LOST: u32 = 32;

    /// Whether a flag is set.
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of both files.
    pub fn bytes(&self) -> u64 {
        self.data_bytes.saturating_add(self.index_bytes)
    }

    /// The facts and their checksum.
    pub fn encode(&self) -> [u8; FACTS_LEN] {
        let mut o = [0; FACTS_LEN];
        let words = [
            self.id.0,
            self.low.as_nanos(),
            self.high.as_nanos(),
            self.first.as_nanos(),
            self.captured.from.as_nanos(),
            self.captured.to.as_nanos(),
            self.packets,
            self.data_bytes,
            self.index_bytes,
            self.arrived.as_nanos(),
            self.drops,
        ];
        for (i, word) in words.iter().enumerate() {
            o[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        o[88..92].copy_from_slice(&self.granules.to_le_bytes());
        o[92..94].copy_from_slice(&self.stream.fanout.to_le_bytes());
        o[94..96].copy_from_slice(&self.stream.link_type.0.to_le_bytes());
        let halves = [self.section_low.0, self.section_high.0, self.flags, self.truncated, self.recovered];
        for (i, half) in halves.iter().enumerate() {
            o[96 + 4 * i..100 + 4 * i].copy_from_slice(&half.to_le_bytes());
        }
        let crc = crc32c::crc32c(&o[..FACTS_LEN - 4]);
        o[FACTS_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        o
    }

    /// `None` where the bytes do not agree with their checksum.
    pub fn decode(bytes: &[u8]) -> Option<SegmentFacts> {
        let bytes = bytes.get(..FACTS_LEN)?;
        if crc32c::crc32c(&bytes[..FACTS_LEN - 4]) != u32_at(bytes, FACTS_LEN - 4) {
            return None;
        }
        let time = |i: usize| Timestamp::from_nanos(u64_at(bytes, 8 * i));
        Some(SegmentFacts {
            id: SegmentId(u64_at(bytes, 0)),
            low: time(1),
            high: time(2),
            first: time(3),
            captured: Window { from: time(4), to: time(5) },
            packets: u64_at(bytes, 48),
            data_bytes: u64_at(bytes, 56),
            index_bytes: u64_at(bytes, 64),
            arrived: time(9),
            drops: u64_at(bytes, 80),
            granules: u32_at(bytes, 88),
            stream: StreamId { fanout: u16_at(bytes, 92), link_type: LinkType(u16_at(bytes, 94)) },
            section_low: SectionId(u32_at(bytes, 96)),
            section_high: SectionId(u32_at(bytes, 100)),
            flags: u32_at(bytes, 104),
            truncated: u32_at(bytes, 108),
            recovered: u32_at(bytes, 112),
        })
    }
}
