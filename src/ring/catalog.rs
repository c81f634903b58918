//! The catalogue of a ring: one fixed-size entry a sealed segment, in the order of sealing, so that finding the segments of a window
//! does not list the folder and does not grow with the ring.
//!
//! Each 255 entries a summary follows, and a reader that looks for a window reads the summaries and the entries of those that touch it.
//! Dropping advances a counter in the header; the file is written anew when most of it is dropped.

use super::bytes::{u32_at, u64_at};
use super::dropped_unsaid::dropped_unsaid;
use super::facts::{FACTS_LEN, SegmentFacts};
use crate::time::{Timestamp, Window};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use super::data::CATALOG_FILE;

/// First bytes of the file.
pub const CATALOG_MAGIC: [u8; 8] = *b"TLOOPCAT";
/// The format's version.
pub const CATALOG_VERSION: u32 = 1;
/// Entries between two summaries.
pub const GROUP_ENTRIES: u64 = 255;

/// Segments that [`CatalogReader::newest`] tells of: more than can be sealed between listing the growing ones and opening the catalogue.
pub const NEWEST_MAX: u64 = 4096;

pub(super) const HEADER_LEN: u64 = 4096;
pub(super) const STATE_AT: [u64; 2] = [1024, 2048];
/// Bytes of a state that mean anything.
pub(super) const STATE_LEN: usize = 20;
const GROUP_LEN: u64 = (GROUP_ENTRIES + 1) * FACTS_LEN as u64;
/// Dropped entries beyond which the file is written anew, if they are also the larger part.
const DROPPED_MAX: u64 = 1024;

pub(super) fn entry_at(index: u64) -> u64 {
    HEADER_LEN + index / GROUP_ENTRIES * GROUP_LEN + index % GROUP_ENTRIES * FACTS_LEN as u64
}

pub(super) fn entries_in(file_len: u64) -> u64 {
    let body = file_len.saturating_sub(HEADER_LEN);
    let rest = (body % GROUP_LEN / FACTS_LEN as u64).min(GROUP_ENTRIES);
    body / GROUP_LEN * GROUP_ENTRIES + rest
}

/// The sum of some entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// How many segments.
    pub segments: u64,
    /// The lowest time of their packets, and the stretches in which capture ran for them.
    pub low: Timestamp,
    /// The highest.
    pub high: Timestamp,
    /// The lowest time of packets that have one.
    pub first: Timestamp,
    /// The highest time of packets alone.
    pub last: Timestamp,
    /// How many packets.
    pub packets: u64,
    /// Bytes of packet files.
    pub data_bytes: u64,
    /// Bytes of index files.
    pub index_bytes: u64,
    /// Packets that were dropped.
    pub drops: u64,
    /// When the first of them arrived.
    pub arrived_first: Timestamp,
    /// When the last of them arrived.
    pub arrived_last: Timestamp,
    /// Segments a repair had to give granules up in.
    pub damaged: u64,
    /// Segments that were recorded, not imported.
    pub live: u64,
    /// Packets found behind the last published block of a killed writer.
    pub recovered: u64,
}

impl Summary {
    /// Of no segments.
    pub const EMPTY: Summary = Summary {
        segments: 0,
        low: Timestamp::MAX,
        high: Timestamp::ZERO,
        first: Timestamp::MAX,
        last: Timestamp::ZERO,
        packets: 0,
        data_bytes: 0,
        index_bytes: 0,
        drops: 0,
        arrived_first: Timestamp::MAX,
        arrived_last: Timestamp::ZERO,
        damaged: 0,
        live: 0,
        recovered: 0,
    };

    /// Adds a segment.
    pub fn add(&mut self, facts: &SegmentFacts) {
        self.join(&Summary {
            segments: 1,
            low: reach(facts).0,
            high: reach(facts).1,
            first: facts.first,
            last: facts.high,
            packets: facts.packets,
            data_bytes: facts.data_bytes,
            index_bytes: facts.index_bytes,
            drops: facts.drops,
            arrived_first: facts.arrived,
            arrived_last: facts.arrived,
            damaged: u64::from(facts.has(SegmentFacts::DAMAGED)),
            live: u64::from(!facts.has(SegmentFacts::IMPORTED)),
            recovered: u64::from(facts.recovered),
        });
    }

    /// Adds another summary.
    pub fn join(&mut self, o: &Summary) {
        self.segments = self.segments.saturating_add(o.segments);
        self.low = self.low.min(o.low);
        self.high = self.high.max(o.high);
        self.first = self.first.min(o.first);
        self.last = self.last.max(o.last);
        self.packets = self.packets.saturating_add(o.packets);
        self.data_bytes = self.data_bytes.saturating_add(o.data_bytes);
        self.index_bytes = self.index_bytes.saturating_add(o.index_bytes);
        self.drops = self.drops.saturating_add(o.drops);
        self.arrived_first = self.arrived_first.min(o.arrived_first);
        self.arrived_last = self.arrived_last.max(o.arrived_last);
        self.damaged = self.damaged.saturating_add(o.damaged);
        self.live = self.live.saturating_add(o.live);
        self.recovered = self.recovered.saturating_add(o.recovered);
    }

    fn encode(&self) -> [u8; FACTS_LEN] {
        let mut o = [0; FACTS_LEN];
        let words = [
            self.segments,
            self.low.as_nanos(),
            self.high.as_nanos(),
            self.first.as_nanos(),
            self.last.as_nanos(),
            self.packets,
            self.data_bytes,
            self.index_bytes,
            self.drops,
            self.arrived_first.as_nanos(),
            self.arrived_last.as_nanos(),
            self.damaged,
            self.live,
            self.recovered,
        ];
        for (i, word) in words.iter().enumerate() {
            o[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&o[..FACTS_LEN - 4]);
        o[FACTS_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        o
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Summary> {
        let bytes = bytes.get(..FACTS_LEN)?;
        let time = |i: usize| Timestamp::from_nanos(u64_at(bytes, 8 * i));
        (crc32c::crc32c(&bytes[..FACTS_LEN - 4]) == u32_at(bytes, FACTS_LEN - 4)).then(|| Summary {
            segments: u64_at(bytes, 0),
            low: time(1),
            high: time(2),
            first: time(3),
            last: time(4),
            packets: u64_at(bytes, 40),
            data_bytes: u64_at(bytes, 48),
            index_bytes: u64_at(bytes, 56),
            drops: u64_at(bytes, 64),
            arrived_first: time(9),
            arrived_last: time(10),
            damaged: u64_at(bytes, 88),
            live: u64_at(bytes, 96),
            recovered: u64_at(bytes, 104),
        })
    }
}

/// The stretch of time in which a segment has anything to say, both ends inside.
pub(super) fn reach(facts: &SegmentFacts) -> (Timestamp, Timestamp) {
    let captured = (facts.captured.from < facts.captured.to).then_some(facts.captured);
    let low = captured.map_or(facts.low, |w| facts.low.min(w.from));
    let high = captured.map_or(facts.high, |w| facts.high.max(w.to.saturating_sub(1)));
    (low, high)
}

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is none.
    #[error("the ring has no catalogue")]
    Missing,
    /// It does not agree with its checksums.
    #[error("the catalogue is damaged at byte {0}")]
    Damaged(u64),
    /// Made by a later version.
    #[error("the catalogue is of format version {0}, which this program does not know: use a newer one")]
    Version(u32),
    /// The disk says no.
    #[error("the catalogue cannot be read")]
    Io(#[from] io::Error),
}

/// A catalogue as it was when it was opened; later entries are not looked at.
pub struct CatalogReader {
    pub(super) file: File,
    pub(super) entries: u64,
    pub(super) dropped: u64,
    is_torn: bool,
}

impl CatalogReader {
    /// Opens the catalogue of a ring's folder.
    pub fn open(ring: &Path) -> Result<CatalogReader, CatalogError> {
        let file = match File::open(ring.join(CATALOG_FILE)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(CatalogError::Missing),
            Err(e) => return Err(e.into()),
        };
        let dropped = read_header(&file)?;
        let len = file.metadata()?.len();
        let mut entries = entries_in(len);
        let mut is_torn = len.saturating_sub(HEADER_LEN) % FACTS_LEN as u64 != 0;
        // The last entry may be in the making: then it is not there yet.
        if entries > 0 && !matches!(read_entry(&file, entries - 1), Ok(Some(_))) {
            entries -= 1;
            is_torn = true;
        }
        let dropped = dropped_unsaid(ring, dropped, entries, |at| read_entry(&file, at).ok().flatten());
        Ok(CatalogReader { file, entries, dropped: dropped.min(entries), is_torn })
    }

    /// Where an entry begins that is not whole, if there is one: one in the making, or a damaged one.
    pub fn torn_at(&self) -> Option<u64> {
        self.is_torn.then(|| entry_at(self.entries))
    }

    /// The live segments that have packets in the window or for which capture ran in it, with their places.
    pub fn segments_in(&self, window: &Window) -> Result<Vec<(u64, SegmentFacts)>, CatalogError> {
        let mut found = Vec::new();
        let touches = |facts: &SegmentFacts| {
            let (low, high) = reach(facts);
            window.touches(low, high)
        };
        self.visit(
            self.dropped,
            |summary| window.touches(summary.low, summary.high),
            |place, facts| {
                if touches(facts) {
                    found.push((place, *facts));
                }
            },
        )?;
        Ok(found)
    }

    /// The segments that were sealed last, at most [`NEWEST_MAX`].
    pub fn newest(&self) -> Result<Vec<SegmentFacts>, CatalogError> {
        let mut found = Vec::new();
        let from = self.dropped.max(self.entries.saturating_sub(NEWEST_MAX));
        self.visit(from, |_| true, |_, facts| found.push(*facts))?;
        Ok(found)
    }

    /// The sum of all live segments.
    pub fn summary(&self) -> Result<Summary, CatalogError> {
        let mut sum = Summary::EMPTY;
        let mut groups = Summary::EMPTY;
        self.visit(
            self.dropped,
            |summary| {
                groups.join(summary);
                false
            },
            |_, facts| sum.add(facts),
        )?;
        sum.join(&groups);
        Ok(sum)
    }

    /// Goes over the live entries from one on. Where all of a group are, `wanted` is asked whether to look into it.
    fn visit(
        &self,
        from: u64,
        mut wanted: impl FnMut(&Summary) -> bool,
        mut each: impl FnMut(u64, &SegmentFacts),
    ) -> Result<(), CatalogError> {
        let mut index = from;
        let mut bytes = vec![0; GROUP_LEN as usize];
        while index < self.entries {
            let group = index / GROUP_ENTRIES;
            let start = group * GROUP_ENTRIES;
            let is_full = start + GROUP_ENTRIES <= self.entries;
            if is_full && index == start {
                let at = entry_at(start) + GROUP_ENTRIES * FACTS_LEN as u64;
                let mut summary = [0; FACTS_LEN];
                let whole = self.file.read_exact_at(&mut summary, at).is_ok().then(|| Summary::decode(&summary)).flatten();
                // A summary that is not whole is no loss: the entries say the same.
                if whole.is_some_and(|s| !wanted(&s)) {
                    index = start + GROUP_ENTRIES;
                    continue;
                }
            }
            let end = (start + GROUP_ENTRIES).min(self.entries);
            let len = (end - index) as usize * FACTS_LEN;
            self.file.read_exact_at(&mut bytes[..len], entry_at(index))?;
            for (i, entry) in bytes[..len].chunks_exact(FACTS_LEN).enumerate() {
                let place = index + i as u64;
                let facts = SegmentFacts::decode(entry).ok_or(CatalogError::Damaged(entry_at(place)))?;
                each(place, &facts);
            }
            index = end;
        }
        Ok(())
    }
}

fn read_header(file: &File) -> Result<u64, CatalogError> {
    let mut header = [0; HEADER_LEN as usize];
    for _ in 0..3 {
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(CatalogError::Damaged(0)),
            Err(e) => return Err(e.into()),
        }
        if header[..8] != CATALOG_MAGIC {
            return Err(CatalogError::Damaged(0));
        }
        let version = u32_at(&header, 8);
        if version != CATALOG_VERSION {
            return Err(CatalogError::Version(version));
        }
        let newest = STATE_AT.iter().filter_map(|&at| decode_state(&header[at as usize..])).max();
        if let Some((_, dropped)) = newest {
            return Ok(dropped);
        }
    }
    Err(CatalogError::Damaged(STATE_AT[0]))
}

fn encode_state(sequence: u64, dropped: u64) -> [u8; 24] {
    let mut o = [0; 24];
    o[..8].copy_from_slice(&sequence.to_le_bytes());
    o[8..16].copy_from_slice(&dropped.to_le_bytes());
    let crc = crc32c::crc32c(&o[..16]);
    o[16..20].copy_from_slice(&crc.to_le_bytes());
    o
}

pub(super) fn decode_state(bytes: &[u8]) -> Option<(u64, u64)> {
    (crc32c::crc32c(bytes.get(..16)?) == u32_at(bytes, 16)).then(|| (u64_at(bytes, 0), u64_at(bytes, 8)))
}

pub(super) fn read_entry(file: &File, index: u64) -> io::Result<Option<SegmentFacts>> {
    let mut bytes = [0; FACTS_LEN];
    file.read_exact_at(&mut bytes, entry_at(index))?;
    Ok(SegmentFacts::decode(&bytes))
}

/// The catalogue in the hands of the ring's one writer.
pub struct CatalogWriter {
    ring: PathBuf,
    file: File,
    /// All live segments, oldest first.
    live: std::collections::VecDeque<SegmentFacts>,
    entries: u64,
    dropped: u64,
    sequence: u64,
}

impl CatalogWriter {
    /// Opens the catalogue, or writes one of no segments.
    pub fn open(ring: &Path) -> Result<CatalogWriter, CatalogError> {
        let reader = match CatalogReader::open(ring) {
            Ok(reader) => reader,
            Err(CatalogError::Missing) => return Ok(Self::rewrite(ring, Vec::new())?),
            Err(e) => return Err(e),
        };
        let mut live = std::collections::VecDeque::new();
        reader.visit(reader.dropped, |_| true, |_, facts| live.push_back(*facts))?;
        let file = OpenOptions::new().read(true).write(true).open(ring.join(CATALOG_FILE))?;
        let mut header = [0; HEADER_LEN as usize];
        file.read_exact_at(&mut header, 0)?;
        let newest = STATE_AT.iter().filter_map(|&at| decode_state(&header[at as usize..])).max();
        let sequence = newest.map_or(0, |s| s.0);
        Ok(CatalogWriter { ring: ring.to_path_buf(), file, live, entries: reader.entries, dropped: reader.dropped, sequence })
    }

    /// Replaces the catalogue by one of these segments.
    pub fn rewrite(ring: &Path, live: Vec<SegmentFacts>) -> io::Result<CatalogWriter> {
        let temporary = ring.join("catalog.tmp");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        let mut header = vec![0; HEADER_LEN as usize];
        header[..8].copy_from_slice(&CATALOG_MAGIC);
        header[8..12].copy_from_slice(&CATALOG_VERSION.to_le_bytes());
        // Where its number says, so that the next one leaves it alone.
        let at = STATE_AT[1] as usize;
        header[at..at + 24].copy_from_slice(&encode_state(1, 0));
        file.write_all_at(&header, 0)?;
        let mut writer = CatalogWriter {
            ring: ring.to_path_buf(),
            file,
            live: std::collections::VecDeque::new(),
            entries: 0,
            dropped: 0,
            sequence: 1,
        };
        for facts in live {
            writer.put(&facts)?;
        }
        writer.file.sync_all()?;
        fs::rename(&temporary, ring.join(CATALOG_FILE))?;
        super::data::sync_folder(ring)?;
        Ok(writer)
    }

    /// The live segments, oldest first.
    pub fn live(&self) -> impl ExactSizeIterator<Item = &SegmentFacts> {
        self.live.iter()
    }

    /// Adds a sealed segment and makes it last.
    pub fn append(&mut self, facts: &SegmentFacts) -> io::Result<()> {
        self.put(facts)?;
        self.file.sync_data()
    }

    /// Makes what was dropped last.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn put(&mut self, facts: &SegmentFacts) -> io::Result<()> {
        let mut bytes = facts.encode().to_vec();
        let in_group = self.entries % GROUP_ENTRIES;
        if in_group == GROUP_ENTRIES - 1 {
            // Dropped entries of the group no longer count, which readers expect only of groups that are live as a whole.
            let members = std::iter::once(facts).chain(self.live.iter().rev().take(GROUP_ENTRIES as usize - 1));
            let mut summary = Summary::EMPTY;
            members.for_each(|f| summary.add(f));
            bytes.extend_from_slice(&summary.encode());
        }
        self.file.write_all_at(&bytes, entry_at(self.entries))?;
        self.entries += 1;
        self.live.push_back(*facts);
        Ok(())
    }

    /// Takes the oldest segment out. Its files are the caller's to remove, after [`CatalogWriter::sync`].
    pub fn drop_oldest(&mut self) -> io::Result<Option<SegmentFacts>> {
        let Some(facts) = self.live.pop_front() else { return Ok(None) };
        self.dropped += 1;
        if self.dropped > DROPPED_MAX && self.dropped as usize > self.live.len() {
            let live = self.live.iter().copied().collect();
            // On a full disk there may be no space for it: then another time.
            if let Ok(anew) = Self::rewrite(&self.ring, live) {
                *self = anew;
                return Ok(Some(facts));
            }
        }
        self.sequence += 1;
        let at = STATE_AT[(self.sequence % 2) as usize];
        self.file.write_all_at(&encode_state(self.sequence, self.dropped), at)?;
        Ok(Some(facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::ids::{SectionId, SegmentId, StreamId};

    fn facts(id: u64) -> SegmentFacts {
        let t = |n: u64| Timestamp::from_nanos(n);
        SegmentFacts {
            id: SegmentId(id),
            stream: StreamId { fanout: 0, link_type: LinkType::ETHERNET },
            low: t(id * 100),
            high: t(id * 100 + 99),
            first: t(id * 100),
            captured: Window { from: t(id * 100), to: t(id * 100 + 100) },
            packets: 10,
            data_bytes: 1000,
            index_bytes: 10,
            arrived: t(id),
            drops: 1,
            granules: 3,
            section_low: SectionId::NONE,
            section_high: SectionId::NONE,
            flags: 0,
            truncated: 0,
            recovered: 0,
        }
    }

    #[test]
    fn segments_of_a_window_are_found_without_reading_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = CatalogWriter::open(dir.path()).unwrap();
        for id in 1..=1000 {
            w.put(&facts(id)).unwrap();
        }
        let find = |from: u64, to: u64| {
            let window = Window { from: Timestamp::from_nanos(from), to: Timestamp::from_nanos(to) };
            let found = CatalogReader::open(dir.path()).unwrap().segments_in(&window).unwrap();
            found.iter().map(|(_, f)| f.id.0).collect::<Vec<_>>()
        };
        assert_eq!(find(25_050, 25_200), [250, 251]);
        assert_eq!(find(0, 100), Vec::<u64>::new());
        assert_eq!(find(100_000, u64::MAX), [1000]);
        assert_eq!(find(0, u64::MAX).len(), 1000);
        let sum = CatalogReader::open(dir.path()).unwrap().summary().unwrap();
        assert_eq!((sum.segments, sum.packets, sum.drops), (1000, 10_000, 1000));
        for id in 1..=300 {
            assert_eq!(w.drop_oldest().unwrap().unwrap().id.0, id);
        }
        assert_eq!(find(0, u64::MAX).first(), Some(&301));
        assert_eq!(CatalogReader::open(dir.path()).unwrap().summary().unwrap().segments, 700);
        drop(w);
        let mut w = CatalogWriter::open(dir.path()).unwrap();
        assert_eq!(w.live().len(), 700);
        for id in 1001..=3000 {
            w.append(&facts(id)).unwrap();
            w.drop_oldest().unwrap();
        }
        assert!(fs::metadata(dir.path().join(CATALOG_FILE)).unwrap().len() < 1 << 19, "written anew");
        assert_eq!(find(0, u64::MAX), (2301..=3000).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_state_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = CatalogWriter::open(dir.path()).unwrap();
        for id in 1..=4 {
            w.append(&facts(id)).unwrap();
        }
        let path = dir.path().join(CATALOG_FILE);
        for dropped in 1..=3 {
            let before = fs::read(&path).unwrap();
            w.drop_oldest().unwrap();
            let whole = fs::read(&path).unwrap();
            let at = (0..whole.len()).find(|&i| whole[i] != before[i]).unwrap();
            let mut torn = whole.clone();
            torn[at] ^= 0x80;
            fs::write(&path, &torn).unwrap();
            assert_eq!(CatalogReader::open(dir.path()).unwrap().dropped, dropped - 1);
            fs::write(&path, &whole).unwrap();
            assert_eq!(CatalogReader::open(dir.path()).unwrap().dropped, dropped);
        }
    }

    #[test]
    fn half_an_entry_is_not_there_yet_and_a_changed_one_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = CatalogWriter::open(dir.path()).unwrap();
        for id in 1..=3 {
            w.append(&facts(id)).unwrap();
        }
        let path = dir.path().join(CATALOG_FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 50]).unwrap();
        assert_eq!(CatalogReader::open(dir.path()).unwrap().entries, 2);
        let mut changed = whole.clone();
        changed[entry_at(1) as usize + 9] ^= 4;
        fs::write(&path, &changed).unwrap();
        let damaged = CatalogReader::open(dir.path()).unwrap().summary();
        assert!(matches!(damaged, Err(CatalogError::Damaged(at)) if at == entry_at(1)));
    }
}
