//! The names that files in a ring carry: sensor, stream, segment, section.

use crate::packet::LinkType;
use std::fmt;

/// One data folder, wherever it is copied: 16 random bytes, made once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SensorId(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for SensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl SensorId {
    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<SensorId> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(SensorId(id))
    }
}

/// A segment's number in its ring: counted up from 1, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentId(pub u64);

/// Ten digits, as in file names.
impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

impl SegmentId {
    /// From a file's name without its extension.
    pub fn parse(stem: &str) -> Option<SegmentId> {
        (stem.len() >= 10 && stem.bytes().all(|b| b.is_ascii_digit())).then(|| stem.parse().ok().map(SegmentId)).flatten()
    }
}

/// One ordered stream of packets into a ring. A ring has at most one growing segment a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId {
    /// Which of the recording threads of one interface, in the low byte, and how many more share its packets, in the high one: 0 where
    /// there is one.
    pub fanout: u16,
    /// The link type of all its packets.
    pub link_type: LinkType,
}

impl StreamId {
    /// One of `sharers` (1 to 256) threads that share an interface's packets.
    pub fn shared(number: u16, sharers: u16, link_type: LinkType) -> StreamId {
        StreamId { fanout: number & 0xff | sharers.clamp(1, 256).wrapping_sub(1) << 8, link_type }
    }

    /// Which of them it is.
    pub fn number(self) -> u16 {
        self.fanout & 0xff
    }

    /// How many share the packets.
    pub fn sharers(self) -> u16 {
        (self.fanout >> 8).saturating_add(1)
    }
}

/// A section of an imported pcapng file, whose name-resolution and secrets blocks belong together. 0 is "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SectionId(pub u32);

impl SectionId {
    /// Packets without a section of their own: live ones and those of classic pcap files.
    pub const NONE: SectionId = SectionId(0);
}
