//! Granules: 4-16 KiB of whole pcapng blocks, the unit of checksums and of reading.

use super::bytes::{put_u48, u32_at, u48_at, u64_at};
use crate::time::Timestamp;

/// A granule is closed before the block that would take it past this many bytes. A larger packet is a granule of its own.
pub const GRANULE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one entry in the granule table.
pub const GRANULE_ENTRY_LEN: usize = 32;

/// How a granule's bytes are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// As they are.
    Plain,
    /// Not to be read: a repair found that they do not agree with their checksum.
    Damaged,
    /// A number this version does not know (zstd and encryption are reserved).
    Unknown(u8),
}

impl Codec {
    fn number(self) -> u32 {
        match self {
            Codec::Plain => 0,
            Codec::Damaged => 15,
            Codec::Unknown(n) => u32::from(n) & 15,
        }
    }

    fn from_number(n: u32) -> Codec {
        match n {
            0 => Codec::Plain,
            15 => Codec::Damaged,
            n => Codec::Unknown(n as u8),
        }
    }
}

/// One granule as the index knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GranuleEntry {
    /// Where its blocks begin in the segment's logical bytes (what it would be if nothing were compressed).
    pub logical_offset: u64,
    /// Where its bytes begin in the packet file.
    pub stored_offset: u64,
    /// How many bytes are stored, below 256 MiB.
    pub stored_len: u32,
    /// How they are stored.
    pub codec: Codec,
    /// CRC-32C of the stored bytes.
    pub crc: u32,
    /// The lowest time of its packets.
    pub low: Timestamp,
    /// A time that none of its packets is above: at most 1,023 ns above the highest, or [`Timestamp::MAX`] where the granule spans over 73 minutes.
    pub high: Timestamp,
}

impl GranuleEntry {
    /// Appends the entry's [`GRANULE_ENTRY_LEN`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u48(out, self.logical_offset);
        put_u48(out, self.stored_offset);
        out.extend_from_slice(&(self.stored_len & 0x0fff_ffff | self.codec.number() << 28).to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.low.as_nanos().to_le_bytes());
        let span = self.high.since(self.low).div_ceil(1024);
        out.extend_from_slice(&u32::try_from(span).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// From [`GRANULE_ENTRY_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> GranuleEntry {
        let len = u32_at(bytes, 12);
        let low = Timestamp::from_nanos(u64_at(bytes, 20));
        let high = match u32_at(bytes, 28) {
            u32::MAX => Timestamp::MAX,
            span => low.saturating_add(u64::from(span) * 1024),
        };
        GranuleEntry {
            logical_offset: u48_at(bytes, 0),
            stored_offset: u48_at(bytes, 6),
            stored_len: len & 0x0fff_ffff,
            codec: Codec::from_number(len >> 28),
            crc: u32_at(bytes, 16),
            low,
            high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_32_bytes_and_comes_back() {
        let t = Timestamp::from_nanos;
        let entry = GranuleEntry {
            logical_offset: 1 << 40,
            stored_offset: 1 << 39,
            stored_len: 16_384,
            codec: Codec::Plain,
            crc: 7,
            low: t(1_000_000),
            high: t(2_000_000),
        };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(bytes.len(), GRANULE_ENTRY_LEN);
        let back = GranuleEntry::decode(&bytes);
        assert!(back.high >= entry.high && back.high.since(entry.high) < 1024);
        assert_eq!(GranuleEntry { high: entry.high, ..back }, entry);
        let wide = GranuleEntry { low: t(0), high: t(1 << 60), codec: Codec::Damaged, ..entry };
        bytes.clear();
        wide.encode(&mut bytes);
        assert_eq!(GranuleEntry::decode(&bytes).high, Timestamp::MAX);
        assert_eq!(GranuleEntry::decode(&bytes).codec, Codec::Damaged);
    }
}
