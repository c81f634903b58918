//! The end of a sealed index, from which everything in it is found.

use super::bytes::{array16_at, u32_at, u64_at};
use super::facts::{FACTS_LEN, SegmentFacts};
use super::granule::{GRANULE_ENTRY_LEN, TimeScale};
use super::ids::SensorId;
use super::page::PAGE_LEN;
use crate::time::Timestamp;

/// Bytes of the footer, the last ones of the file.
pub const FOOTER_LEN: usize = 384;
/// First bytes of the footer.
pub const FOOTER_MAGIC: [u8; 8] = *b"TLOOPIDX";
/// The format's version.
pub const INDEX_VERSION: u32 = 1;

const TABLES_AT: usize = 48;
const SCALE_AT: usize = 240;
const FACTS_AT: usize = FOOTER_LEN - 4 - FACTS_LEN;

/// The tables of a sealed index, in the order in which the footer lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Table {
    /// Granules in file order, 16 bytes each, and one that says where the last ends.
    Granules,
    /// Flows of IPv4, ARP and the kinds without addresses, sorted by key, 24 bytes each.
    Flows4,
    /// IPv6 flows, sorted by key, 48 bytes each.
    Flows6,
    /// Numbers of `Flows4` sorted by `b`, 4 bytes each.
    ByB4,
    /// Numbers of `Flows6` sorted by `b`.
    ByB6,
    /// Port and flow, sorted, 6 bytes each.
    Ports,
    /// First four bytes of the Community ID's digest (big-endian) and flow, sorted, 8 bytes each.
    Community,
    /// For each flow its figures and its granules; counted in bytes.
    Details,
    /// The granule of each packet, in order of time, [`time_order_width`] bytes each. Only where packets are deeply disordered.
    TimeOrder,
    /// Notes, 40 bytes each.
    Notes,
    /// First granule and number of each section, 8 bytes each.
    Sections,
}

/// How many tables there are.
pub const TABLES: usize = 11;

/// Bytes of an entry in each table, by [`Table`], of a segment of so many granules.
pub const fn entry_len(granules: u32) -> [u64; TABLES] {
    [GRANULE_ENTRY_LEN as u64, 24, 48, 4, 4, 6, 8, 1, time_order_width(granules), 40, 8]
}

/// Bytes of a granule's number in the time order of a segment of so many granules.
pub const fn time_order_width(granules: u32) -> u64 {
    if granules <= 1 << 16 {
        2
    } else if granules <= 1 << 24 {
        3
    } else {
        4
    }
}

/// Where a table stands in the payload of the pages, and how many entries it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TablePlace {
    /// Payload position of its first entry.
    pub at: u64,
    /// Entries (bytes for [`Table::Details`]).
    pub count: u64,
}

/// The footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Whose data it is.
    pub sensor: SensorId,
    /// Bytes of the file before the footer.
    pub pages_len: u64,
    /// Where granules begin in the packet file.
    pub data_start: u32,
    /// How the granule table tells times.
    pub scale: TimeScale,
    /// The tables' places, by [`Table`].
    pub tables: [TablePlace; TABLES],
    /// The segment in numbers.
    pub facts: SegmentFacts,
}

impl Footer {
    /// The footer's bytes.
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut o = [0; FOOTER_LEN];
        o[..8].copy_from_slice(&FOOTER_MAGIC);
        o[8..12].copy_from_slice(&INDEX_VERSION.to_le_bytes());
        o[12..16].copy_from_slice(&self.data_start.to_le_bytes());
        o[16..32].copy_from_slice(&self.sensor.0);
        o[32..40].copy_from_slice(&self.pages_len.to_le_bytes());
        for (i, place) in self.tables.iter().enumerate() {
            let at = TABLES_AT + 16 * i;
            o[at..at + 8].copy_from_slice(&place.at.to_le_bytes());
            o[at + 8..at + 16].copy_from_slice(&place.count.to_le_bytes());
        }
        o[SCALE_AT..SCALE_AT + 8].copy_from_slice(&self.scale.base.as_nanos().to_le_bytes());
        o[SCALE_AT + 8..SCALE_AT + 12].copy_from_slice(&self.scale.shift.to_le_bytes());
        o[FACTS_AT..FACTS_AT + FACTS_LEN].copy_from_slice(&self.facts.encode());
        let crc = crc32c::crc32c(&o[..FOOTER_LEN - 4]);
        o[FOOTER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        o
    }

    /// From the last [`FOOTER_LEN`] bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<Footer, FooterError> {
        if bytes.len() != FOOTER_LEN || bytes[..8] != FOOTER_MAGIC {
            return Err(FooterError::Missing);
        }
        if crc32c::crc32c(&bytes[..FOOTER_LEN - 4]) != u32_at(bytes, FOOTER_LEN - 4) {
            return Err(FooterError::Checksum);
        }
        let version = u32_at(bytes, 8);
        if version != INDEX_VERSION {
            return Err(FooterError::Version(version));
        }
        let place = |i| TablePlace { at: u64_at(bytes, TABLES_AT + 16 * i), count: u64_at(bytes, TABLES_AT + 16 * i + 8) };
        Ok(Footer {
            sensor: SensorId(array16_at(bytes, 16)),
            pages_len: u64_at(bytes, 32),
            data_start: u32_at(bytes, 12),
            scale: TimeScale { base: Timestamp::from_nanos(u64_at(bytes, SCALE_AT)), shift: u32_at(bytes, SCALE_AT + 8).min(63) },
            tables: std::array::from_fn(place),
            facts: SegmentFacts::decode(&bytes[FACTS_AT..]).ok_or(FooterError::Checksum)?,
        })
    }

    /// Whether the tables lie inside the pages, and agree with the facts.
    pub fn fits(&self) -> bool {
        let payload = self.pages_len.saturating_sub(4 * self.pages_len.div_ceil(PAGE_LEN as u64));
        let inside = |(place, width): (&TablePlace, u64)| {
            place.count.checked_mul(width).and_then(|len| place.at.checked_add(len)).is_some_and(|end| end <= payload)
        };
        self.tables.iter().zip(entry_len(self.facts.granules)).all(inside)
            && self.table(Table::Granules).count == u64::from(self.facts.granules) + 1
            && self.table(Table::ByB4).count == self.table(Table::Flows4).count
            && self.table(Table::ByB6).count == self.table(Table::Flows6).count
    }

    /// A table's place.
    pub fn table(&self, table: Table) -> TablePlace {
        self.tables[table as usize]
    }
}

/// Why a file's end is no footer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// Cut off, or no index.
    #[error("the index has no footer: it was cut off or overwritten")]
    Missing,
    /// Changed after it was written.
    #[error("the index's footer does not agree with its checksum")]
    Checksum,
    /// Made by a later version.
    #[error("the index is of format version {0}, which this program does not know: use a newer one")]
    Version(u32),
}

const _: () = assert!(TABLES_AT + 16 * TABLES <= SCALE_AT && SCALE_AT + 12 == FACTS_AT);
