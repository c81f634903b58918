//! Granules: 4-16 KiB of whole pcapng blocks, the unit of checksums and of reading.
//!
//! A cut reads whole granules, mostly for one packet each: the smaller they are, the quicker it is. How small they can be is what their
//! table may take: 16 bytes an entry make 4 KiB.

use super::bytes::{u32_at, u64_at};
use crate::time::Timestamp;

/// A granule is closed as soon as its packets have so many captured bytes, of which its entry in the table is then less than 0.4 %.
const CAPTURED_MIN: usize = 4 * 1024;
/// It is closed before the block that would take it past this many bytes. A larger packet is a granule of its own.
pub const GRANULE_BYTES_MAX: usize = 16 * 1024;
/// One of fewer bytes than this is worth joining with the next: it was ended because it was published.
pub const SMALL_GRANULE: usize = CAPTURED_MIN;
/// Bytes of one granule, at most.
pub const STORED_LEN_MAX: u64 = (1 << 28) - 4;
/// Where granules of a packet file end, at most: a sealed index cannot tell a place behind it.
pub const STORED_END_MAX: u64 = u32::MAX as u64 * 4;

/// Bytes of one entry in the granule table of a sealed index.
pub const GRANULE_ENTRY_LEN: usize = 16;
/// Bytes of one entry in the log.
pub const LOG_GRANULE_LEN: usize = 20;

/// Whether a granule of so many bytes, so many of them captured, is closed before a block of so many more.
pub fn ends_before(bytes: usize, captured: usize, block: usize) -> bool {
    captured >= CAPTURED_MIN || bytes > 0 && bytes + block > GRANULE_BYTES_MAX
}

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
    /// Where its bytes begin in the packet file; they end where the next granule's begin.
    pub stored_offset: u64,
    /// How many bytes are stored, at most [`STORED_LEN_MAX`].
    pub stored_len: u32,
    /// How they are stored.
    pub codec: Codec,
    /// CRC-32C of the stored bytes.
    pub crc: u32,
    /// A time that none of its packets is below: their lowest, as exactly as the index can say.
    pub low: Timestamp,
    /// A time that none of its packets is above: their highest, as exactly as the index can say, or [`Timestamp::MAX`].
    pub high: Timestamp,
}

/// A granule's number in its segment, and what the index knows of it.
pub type GranuleAt = (u32, GranuleEntry);

impl GranuleEntry {
    /// Where its bytes end in the packet file.
    pub fn stored_end(&self) -> u64 {
        self.stored_offset.saturating_add(u64::from(self.stored_len))
    }

    /// Appends the log's [`LOG_GRANULE_LEN`] bytes: times to 1,024 ns, and no offset, because each begins where the one before ends.
    pub fn put_logged(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.stored_len & 0x0fff_ffff | self.codec.number() << 28).to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.low.as_nanos().to_le_bytes());
        let span = self.high.since(self.low).div_ceil(1024);
        out.extend_from_slice(&u32::try_from(span).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// From [`LOG_GRANULE_LEN`] bytes of the log, and where it begins.
    pub fn logged(bytes: &[u8], stored_offset: u64) -> GranuleEntry {
        let len = u32_at(bytes, 0);
        let low = Timestamp::from_nanos(u64_at(bytes, 8));
        let high = match u32_at(bytes, 16) {
            u32::MAX => Timestamp::MAX,
            span => low.saturating_add(u64::from(span) * 1024),
        };
        GranuleEntry {
            stored_offset,
            stored_len: len & 0x0fff_ffff,
            codec: Codec::from_number(len >> 28),
            crc: u32_at(bytes, 4),
            low,
            high,
        }
    }
}

/// How the granule table of one sealed index tells times: in units of its own, so that four bytes do for a second as for a year.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeScale {
    /// The lowest of the granules' lowest times, 0 not counted.
    pub base: Timestamp,
    /// A unit is 2 to the power of this many nanoseconds.
    pub shift: u32,
}

/// A granule's length in time is told in units that are coarser by so many bits.
const SPAN_SHIFT: u32 = 8;
const SPAN_MAX: u64 = 0xff_ffff;

impl TimeScale {
    /// The finest scale that can tell all these granules' times.
    pub fn of(granules: &[GranuleEntry]) -> TimeScale {
        let base = granules.iter().map(|g| g.low).filter(|t| *t != Timestamp::ZERO).min().unwrap_or(Timestamp::ZERO);
        let top = granules.iter().map(|g| g.high).filter(|t| *t != Timestamp::MAX).max().unwrap_or(base);
        let most = SPAN_MAX << SPAN_SHIFT;
        let span = top.since(base);
        let shift = (0..48).find(|s| span >> s < most).unwrap_or(48);
        TimeScale { base, shift }
    }

    fn time(&self, units: u64) -> Timestamp {
        self.base.saturating_add(units.checked_shl(self.shift).unwrap_or(u64::MAX))
    }

    /// Appends an entry's [`GRANULE_ENTRY_LEN`] bytes.
    pub fn put(&self, granule: &GranuleEntry, out: &mut Vec<u8>) {
        let low =
            (granule.low >= self.base && granule.low != Timestamp::ZERO).then(|| granule.low.since(self.base) >> self.shift);
        let from = self.time(low.unwrap_or(0));
        let unit = self.shift + SPAN_SHIFT;
        let span = (granule.high.since(from) >> unit) + u64::from(granule.high.since(from) & ((1 << unit) - 1) != 0);
        out.extend_from_slice(&((granule.stored_offset / 4) as u32).to_le_bytes());
        out.extend_from_slice(&granule.crc.to_le_bytes());
        out.extend_from_slice(&(low.map_or(0, |l| l + 1) as u32).to_le_bytes());
        out.extend_from_slice(&((span.min(SPAN_MAX) as u32) | granule.codec.number() << 24).to_le_bytes());
    }

    /// From an entry's bytes and where the next granule begins; `None` where that makes no granule.
    pub fn granule(&self, bytes: &[u8], next: u64) -> Option<GranuleEntry> {
        let stored_offset = stored_offset(bytes);
        let stored_len = next.checked_sub(stored_offset).filter(|len| *len <= STORED_LEN_MAX)?;
        let low = u32_at(bytes, 8).checked_sub(1).map(|l| self.time(u64::from(l)));
        let last = u32_at(bytes, 12);
        let high = match u64::from(last) & SPAN_MAX {
            SPAN_MAX => Timestamp::MAX,
            span => low.unwrap_or(self.base).saturating_add(span.checked_shl(self.shift + SPAN_SHIFT).unwrap_or(u64::MAX)),
        };
        Some(GranuleEntry {
            stored_offset,
            stored_len: stored_len as u32,
            codec: Codec::from_number(last >> 24 & 15),
            crc: u32_at(bytes, 4),
            low: low.unwrap_or(Timestamp::ZERO),
            high,
        })
    }
}

/// Appends what closes a granule table: where the last granule ends.
pub fn put_end(stored_end: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((stored_end / 4) as u32).to_le_bytes());
    out.resize(out.len() + GRANULE_ENTRY_LEN - 4, 0);
}

/// Where the granule of an entry begins in the packet file.
pub fn stored_offset(entry: &[u8]) -> u64 {
    u64::from(u32_at(entry, 0)) * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: fn(u64) -> Timestamp = Timestamp::from_nanos;

    fn entry(low: u64, high: u64) -> GranuleEntry {
        GranuleEntry { stored_offset: 1 << 33, stored_len: 16_384, codec: Codec::Plain, crc: 7, low: T(low), high: T(high) }
    }

    fn through_table(granules: &[GranuleEntry]) -> Vec<GranuleEntry> {
        let scale = TimeScale::of(granules);
        let back = |g: &GranuleEntry| {
            let mut bytes = Vec::new();
            scale.put(g, &mut bytes);
            assert_eq!(bytes.len(), GRANULE_ENTRY_LEN);
            scale.granule(&bytes, g.stored_end()).unwrap()
        };
        granules.iter().map(back).collect()
    }

    #[test]
    fn a_logged_entry_comes_back() {
        let mut bytes = Vec::new();
        let g = entry(1_000_000, 2_000_000);
        g.put_logged(&mut bytes);
        assert_eq!(bytes.len(), LOG_GRANULE_LEN);
        let back = GranuleEntry::logged(&bytes, g.stored_offset);
        assert!(back.high >= g.high && back.high.since(g.high) < 1024);
        assert_eq!(GranuleEntry { high: g.high, ..back }, g);
        let wide = GranuleEntry { codec: Codec::Damaged, ..entry(0, 1 << 60) };
        bytes.clear();
        wide.put_logged(&mut bytes);
        let back = GranuleEntry::logged(&bytes, 0);
        assert_eq!((back.high, back.codec), (Timestamp::MAX, Codec::Damaged));
    }

    #[test]
    fn a_segment_of_seconds_is_told_to_the_nanosecond() {
        let granules = [entry(5_000_000_000, 5_000_000_256), entry(9_000_000_001, 9_000_000_257)];
        assert_eq!(through_table(&granules), granules);
    }

    #[test]
    fn packets_without_a_time_do_not_coarsen_the_scale() {
        let now = 1_700_000_000_000_000_000;
        let granules = [entry(0, now + 256), entry(0, 0), entry(now, now + 512)];
        let back = through_table(&granules);
        assert_eq!((back[0], back[2]), (granules[0], granules[2]));
        assert_eq!((back[1].low, back[1].high), (T(0), T(now)));
    }

    #[test]
    fn an_entry_that_ends_before_it_begins_is_none() {
        let mut bytes = Vec::new();
        TimeScale::default().put(&entry(1, 2), &mut bytes);
        assert_eq!(TimeScale::default().granule(&bytes, 0), None);
        assert_eq!(TimeScale::default().granule(&bytes, (1 << 33) + STORED_LEN_MAX + 4), None);
    }

    proptest! {
        #[test]
        fn no_packet_is_outside_of_what_the_table_says(
            times in proptest::collection::vec((0..u64::MAX, 0..1_u64 << 40, 0..64_u32), 1..20),
        ) {
            let granules: Vec<_> = times.iter().map(|(t, len, s)| entry(t >> s, (t >> s).saturating_add(*len))).collect();
            for (g, back) in granules.iter().zip(through_table(&granules)) {
                prop_assert!(back.low <= g.low && back.high >= g.high);
                prop_assert_eq!(GranuleEntry { low: g.low, high: g.high, ..back }, *g);
            }
        }

        #[test]
        fn any_bytes_are_an_entry(bytes: [u8; 20], shift in 0..64_u32, base: u64, next: u64) {
            let _ = TimeScale { base: T(base), shift }.granule(&bytes, next);
            let _ = GranuleEntry::logged(&bytes, next);
        }
    }
}
