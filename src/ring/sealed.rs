//! Reading a sealed index: binary searches over its tables, one page at a time.

use super::bytes::{u16_at, u32_at, u48_at};
use super::draft::{FlowNumber, FlowStats};
use super::error::SegmentError;
use super::files::LazyFile;
use super::footer::{FOOTER_LEN, Footer, FooterError, Table, time_order_width};
use super::granule::{Codec, GRANULE_ENTRY_LEN, GranuleEntry, stored_offset};
use super::ids::SectionId;
use super::log::key_at;
use super::note::{NOTE_LEN, Note};
use super::page::{PageCache, PageError, PageReader, payload};
use super::seal::STORED_AS_SEEN;
use super::varint;
use crate::wire::FlowKey;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

const FLOW4_LEN: u64 = 24;
const FLOW6_LEN: u64 = 48;
const PORT_LEN: u64 = 6;
const COMMUNITY_LEN: u64 = 8;
/// Granules of a list are read together with those between them if they are nearer than this.
const LIST_GAP: u32 = 1024;
/// Entries that are read at once for a list: 32 KiB.
const LIST_RUN: u32 = 2048;

/// How to come at flows without reading all of them. Every flow looked for is reached by one of the listed values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Only by reading all.
    All,
    /// Either end lies in one of these ranges: lowest and highest address (as [`crate::wire::spread`] has them), and whether they are IPv6.
    Addresses(Vec<([u8; 16], [u8; 16], bool)>),
    /// One of these ports at either end (TCP, UDP, SCTP).
    Ports(Vec<u16>),
    /// One of these Community ID digests.
    Digests(Vec<[u8; 20]>),
}

/// Index files up to this size are read as a whole: many small segments cost one read each.
const WHOLE_MAX: usize = 16 << 10;
/// Entries that are read one at a time are no wider than this.
const ENTRY_MAX: usize = 64;

/// A sealed index file.
pub struct SealedIndex {
    file: LazyFile,
    pages: PageReader,
    /// The payload of all pages, where the file is small.
    whole: Option<Vec<u8>>,
    footer: Footer,
}

impl SealedIndex {
    /// Opens an index by its footer. `size` is what it should be; a wrong one costs a read, no more.
    pub fn open(file: LazyFile, size: u64, cache: Arc<PageCache>) -> Result<SealedIndex, SegmentError> {
        let path = file.path();
        let handle = file.get().map_err(|e| SegmentError::io(path, e))?;
        let from = size.saturating_sub(if size <= WHOLE_MAX as u64 { size } else { FOOTER_LEN as u64 });
        let mut end = read_from(&handle, from, WHOLE_MAX + 1).map_err(|e| SegmentError::io(path, e))?;
        let mut start = from;
        if end.len() < FOOTER_LEN || end.len() > WHOLE_MAX {
            // Not the size that was told.
            let len = handle.metadata().map_err(|e| SegmentError::io(path, e))?.len();
            start = len.saturating_sub(FOOTER_LEN as u64);
            end = read_from(&handle, start, FOOTER_LEN).map_err(|e| SegmentError::io(path, e))?;
        }
        cache.count_read(end.len() as u64);
        let at = end.len().saturating_sub(FOOTER_LEN);
        let position = start + at as u64;
        let mut bytes = [0; FOOTER_LEN];
        if end.len() >= FOOTER_LEN {
            bytes.copy_from_slice(&end[at..]);
        }
        let footer = Footer::decode(&bytes).map_err(|e| match e {
            FooterError::Version(version) => SegmentError::Version { path: path.to_path_buf(), version },
            e => SegmentError::damaged(path, position, e.to_string()),
        })?;
        if footer.pages_len != position {
            return Err(SegmentError::damaged(path, position, "the index has lost bytes before its footer".into()));
        }
        if !footer.fits() {
            return Err(SegmentError::damaged(path, position, "the index's tables are not where its footer says".into()));
        }
        // Pages of which one is damaged are read one at a time, so that only what needs it is lost.
        let whole = (start == 0).then(|| payload(&end[..at])).flatten();
        let pages = PageReader::new(cache, footer.pages_len);
        Ok(SealedIndex { file, pages, whole, footer })
    }

    /// The footer.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), SegmentError> {
        if let Some(whole) = &self.whole {
            let found = usize::try_from(at).ok().and_then(|at| whole.get(at..)?.get(..out.len()));
            let found = found.ok_or_else(|| SegmentError::damaged(self.path(), at, "the index is cut off".into()))?;
            out.copy_from_slice(found);
            return Ok(());
        }
        let file = self.file.get().map_err(|e| SegmentError::io(self.path(), e))?;
        self.pages.read(&file, at, out).map_err(|e| match e {
            PageError::Io(e) => SegmentError::io(self.path(), e),
            PageError::Checksum { position } => SegmentError::damaged(self.path(), position, e.to_string()),
        })
    }

    /// Where entries `from .. from + n` of a table, each `width` bytes, begin.
    fn place(&self, table: Table, width: u64, from: u64, n: u64) -> Result<u64, SegmentError> {
        let place = self.footer.table(table);
        if from.checked_add(n).is_none_or(|end| end > place.count) {
            return Err(SegmentError::damaged(self.path(), 0, format!("the index points outside its table {table:?}")));
        }
        Ok(place.at + from * width)
    }

    /// Reads entries `from .. from + n` of a table.
    fn entries(&self, table: Table, width: u64, from: u64, n: u64) -> Result<Vec<u8>, SegmentError> {
        let at = self.place(table, width, from, n)?;
        let mut bytes = vec![0; (n * width) as usize];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads one entry of a table.
    fn entry<T>(&self, table: Table, width: u64, i: u64, of: impl FnOnce(&[u8]) -> T) -> Result<T, SegmentError> {
        let at = self.place(table, width, i, 1)?;
        let mut bytes = [0; ENTRY_MAX];
        let bytes = &mut bytes[..width as usize];
        self.read(at, bytes)?;
        Ok(of(bytes))
    }

    /// Granules `from .. from + n`.
    pub fn granules(&self, from: u32, n: u32) -> Result<Vec<GranuleEntry>, SegmentError> {
        let run = self.granule_run(from, n)?;
        (0..n as usize).map(|i| self.granule(&run, i)).collect()
    }

    /// The bytes of as many entries, and of the one after them, which says where the last ends.
    fn granule_run(&self, from: u32, n: u32) -> Result<Vec<u8>, SegmentError> {
        self.entries(Table::Granules, GRANULE_ENTRY_LEN as u64, u64::from(from), u64::from(n) + 1)
    }

    fn granule(&self, run: &[u8], i: usize) -> Result<GranuleEntry, SegmentError> {
        let (entry, next) = run[i * GRANULE_ENTRY_LEN..].split_at(GRANULE_ENTRY_LEN);
        let granule = self.footer.scale.granule(entry, stored_offset(next));
        granule
            .filter(|g| g.codec != Codec::Plain || g.stored_end() <= self.footer.facts.data_bytes)
            .ok_or_else(|| SegmentError::damaged(self.path(), 0, "a granule is too long, or ends outside the packet file".into()))
    }

    /// The granules of a rising list. What lies close together is read at once: the entries of a busy host are most of the table.
    pub fn granule_list(&self, list: &[u32]) -> Result<Vec<GranuleEntry>, SegmentError> {
        let mut entries = Vec::with_capacity(list.len());
        let mut rest = list;
        while let Some(&first) = rest.first() {
            let close = |pair: &[u32]| pair[1].wrapping_sub(pair[0]) < LIST_GAP && pair[1] - first < LIST_RUN;
            let n = 1 + rest.windows(2).take_while(|pair| close(pair)).count();
            let run = self.granule_run(first, rest[n - 1].wrapping_sub(first).saturating_add(1))?;
            for g in &rest[..n] {
                entries.push(self.granule(&run, (g - first) as usize)?);
            }
            rest = &rest[n..];
        }
        Ok(entries)
    }

    /// All notes.
    pub fn notes(&self) -> Result<Vec<Note>, SegmentError> {
        let n = self.footer.table(Table::Notes).count;
        let bytes = self.entries(Table::Notes, NOTE_LEN as u64, 0, n)?;
        Ok(bytes.chunks_exact(NOTE_LEN).map(Note::decode).collect())
    }

    /// From which granule on packets belong to which section.
    pub fn sections(&self) -> Result<Vec<(u32, SectionId)>, SegmentError> {
        let n = self.footer.table(Table::Sections).count;
        let bytes = self.entries(Table::Sections, 8, 0, n)?;
        Ok(bytes.chunks_exact(8).map(|b| (u32_at(b, 0), SectionId(u32_at(b, 4)))).collect())
    }

    /// How many packets the time order has; 0 where it is not stored.
    pub fn time_order_len(&self) -> u64 {
        self.footer.table(Table::TimeOrder).count
    }

    /// The granules of packets `from .. from + n` in order of time. A granule's own packets follow in order of time and then of arrival.
    pub fn time_order(&self, from: u64, n: u64) -> Result<Vec<u32>, SegmentError> {
        let width = time_order_width(self.footer.facts.granules);
        let bytes = self.entries(Table::TimeOrder, width, from, n)?;
        let number = |b: &[u8]| b.iter().rev().fold(0, |n, byte| n << 8 | u32::from(*byte));
        Ok(bytes.chunks_exact(width as usize).map(number).collect())
    }

    /// How many flows there are of both families.
    pub fn flow_count(&self) -> u64 {
        self.family_len(false) + self.family_len(true)
    }

    fn family_len(&self, ip6: bool) -> u64 {
        self.footer.table(if ip6 { Table::Flows6 } else { Table::Flows4 }).count
    }

    /// Flows `from .. from + n` of a family in key order: keys, and where their details are.
    fn flows(&self, ip6: bool, from: u64, n: u64) -> Result<Vec<(FlowKey, u64)>, SegmentError> {
        let (table, width, address) = if ip6 { (Table::Flows6, FLOW6_LEN, 16) } else { (Table::Flows4, FLOW4_LEN, 4) };
        let bytes = self.entries(table, width, from, n)?;
        Ok(bytes.chunks_exact(width as usize).map(|b| (key_at(b, address), u48_at(b, width as usize - 6))).collect())
    }

    fn flow(&self, ip6: bool, rank: u64) -> Result<(FlowKey, u64), SegmentError> {
        let (table, width, address) = if ip6 { (Table::Flows6, FLOW6_LEN, 16) } else { (Table::Flows4, FLOW4_LEN, 4) };
        self.entry(table, width, rank, |b| (key_at(b, address), u48_at(b, width as usize - 6)))
    }

    /// Calls `each` for every flow that `access` reaches, key and place of its details; a flow may come more than once.
    /// `Ok(false)` means that more than `most` would have come: then it was not called at all, or not for all.
    pub fn visit(
        &self,
        access: &Access,
        most: u64,
        mut each: impl FnMut(FlowNumber, &FlowKey, u64),
    ) -> Result<bool, SegmentError> {
        match access {
            Access::All => {
                if self.flow_count() > most {
                    return Ok(false);
                }
                for ip6 in [false, true] {
                    self.visit_range(ip6, 0, self.family_len(ip6), &mut each)?;
                }
            }
            Access::Addresses(ranges) => {
                let mut left = most;
                let mut spans = Vec::new();
                for &(low, high, ip6) in ranges {
                    let n = self.family_len(ip6);
                    let by_a = (
                        self.lower(n, |i| Ok(self.flow(ip6, i)?.0.a < low))?,
                        self.lower(n, |i| Ok(self.flow(ip6, i)?.0.a <= high))?,
                    );
                    let b_of = |i| Ok(self.flow(ip6, u64::from(self.by_b(ip6, i)?))?.0.b);
                    let by_b = (
                        self.lower(n, |i| Ok::<bool, SegmentError>(b_of(i)? < low))?,
                        self.lower(n, |i| Ok::<bool, SegmentError>(b_of(i)? <= high))?,
                    );
                    let found = by_a.1.saturating_sub(by_a.0) + by_b.1.saturating_sub(by_b.0);
                    if found > left {
                        return Ok(false);
                    }
                    left -= found;
                    spans.push((ip6, by_a, by_b));
                }
                for (ip6, by_a, by_b) in spans {
                    self.visit_range(ip6, by_a.0, by_a.1, &mut each)?;
                    for i in by_b.0..by_b.1 {
                        self.visit_one(number(ip6, self.by_b(ip6, i)?), &mut each)?;
                    }
                }
            }
            Access::Ports(ports) => {
                let n = self.footer.table(Table::Ports).count;
                let port_at = |i| self.entry(Table::Ports, PORT_LEN, i, |b| u16_at(b, 0));
                let flow_at = |i| self.entry(Table::Ports, PORT_LEN, i, |b| FlowNumber(u32_at(b, 2)));
                let mut spans = Vec::new();
                let mut left = most;
                for &port in ports {
                    let from = self.lower(n, |i| Ok(port_at(i)? < port))?;
                    let to = self.lower(n, |i| Ok(port_at(i)? <= port))?;
                    let found = to.saturating_sub(from);
                    if found > left {
                        return Ok(false);
                    }
                    left -= found;
                    spans.push((from, to));
                }
                for (from, to) in spans {
                    for i in from..to {
                        self.visit_one(flow_at(i)?, &mut each)?;
                    }
                }
            }
            Access::Digests(digests) => {
                let n = self.footer.table(Table::Community).count;
                let entry = |i| self.entry(Table::Community, COMMUNITY_LEN, i, |b| (u32_at(b, 0), FlowNumber(u32_at(b, 4))));
                for d in digests {
                    let prefix = u32::from_be_bytes([d[0], d[1], d[2], d[3]]);
                    let mut i = self.lower(n, |i| Ok(entry(i)?.0 < prefix))?;
                    while i < n {
                        let (found, flow) = entry(i)?;
                        if found != prefix {
                            break;
                        }
                        self.visit_one(flow, &mut each)?;
                        i += 1;
                    }
                }
            }
        }
        Ok(true)
    }

    fn visit_range(
        &self,
        ip6: bool,
        from: u64,
        to: u64,
        each: &mut impl FnMut(FlowNumber, &FlowKey, u64),
    ) -> Result<(), SegmentError> {
        const AT_ONCE: u64 = 512;
        let mut at = from;
        while at < to {
            let n = AT_ONCE.min(to - at);
            for (i, (key, detail)) in self.flows(ip6, at, n)?.iter().enumerate() {
                each(number(ip6, (at + i as u64) as u32), key, *detail);
            }
            at += n;
        }
        Ok(())
    }

    fn visit_one(&self, number: FlowNumber, each: &mut impl FnMut(FlowNumber, &FlowKey, u64)) -> Result<(), SegmentError> {
        let (key, detail) = self.flow(number.is_ip6(), number.index() as u64)?;
        each(number, &key, detail);
        Ok(())
    }

    /// The key of a flow.
    pub fn key(&self, number: FlowNumber) -> Result<FlowKey, SegmentError> {
        Ok(self.flow(number.is_ip6(), number.index() as u64)?.0)
    }

    fn by_b(&self, ip6: bool, i: u64) -> Result<u32, SegmentError> {
        let table = if ip6 { Table::ByB6 } else { Table::ByB4 };
        self.entry(table, 4, i, |b| u32_at(b, 0))
    }

    /// The first place of `0 .. n` where `is_before` no longer holds.
    fn lower(&self, n: u64, is_before: impl Fn(u64) -> Result<bool, SegmentError>) -> Result<u64, SegmentError> {
        let (mut low, mut high) = (0, n);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle)? { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The flow of exactly this key, and where its details are.
    pub fn find(&self, key: &FlowKey) -> Result<Option<u64>, SegmentError> {
        let ip6 = super::draft::counts_as_ip6(key);
        let n = self.family_len(ip6);
        let at = self.lower(n, |i| Ok(self.flow(ip6, i)?.0 < *key))?;
        if at == n {
            return Ok(None);
        }
        let (found, detail) = self.flow(ip6, at)?;
        Ok((found == *key).then_some(detail))
    }

    /// The figures of a flow as they were seen, and its granules if asked for, appended in rising order.
    pub fn detail(&self, at: u64, granules: Option<&mut Vec<u32>>) -> Result<FlowStats, SegmentError> {
        let place = self.footer.table(Table::Details);
        let mut reader = DetailReader { index: self, at, end: place.count, base: place.at, bytes: Vec::new(), used: 0 };
        let first = self.footer.facts.low.saturating_add(reader.next()?);
        let last = first.saturating_add(reader.next()?);
        let mut words = [0; 4];
        for word in &mut words {
            *word = reader.next()?;
        }
        let [ab, ba, ab_bytes, ba_bytes] = words;
        if reader.next()? != STORED_AS_SEEN {
            for _ in 0..4 {
                reader.next()?;
            }
        }
        if let Some(granules) = granules {
            let n = reader.next()?;
            let most = u64::from(self.footer.facts.granules);
            let outside = || SegmentError::damaged(self.path(), 0, "a flow points outside the segment".into());
            if n > most {
                return Err(outside());
            }
            let mut granule = 0;
            for _ in 0..n {
                granule = reader.next()?.saturating_add(granule);
                if granule >= most {
                    return Err(outside());
                }
                granules.push(granule as u32);
            }
        }
        Ok(FlowStats { first, last, packets: [ab, ba], bytes: [ab_bytes, ba_bytes] })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Up to `most` bytes from a position on, fewer where the file ends.
fn read_from(file: &File, at: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut done = 0;
    while done < most {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn number(ip6: bool, rank: u32) -> FlowNumber {
    FlowNumber(if ip6 { rank | FlowNumber::IP6 } else { rank })
}

/// Reads variable-length numbers of the details table, some at a time.
struct DetailReader<'a> {
    index: &'a SealedIndex,
    base: u64,
    at: u64,
    end: u64,
    bytes: Vec<u8>,
    used: usize,
}

impl DetailReader<'_> {
    fn next(&mut self) -> Result<u64, SegmentError> {
        let mut rest = &self.bytes[self.used..];
        if rest.len() < 10 && self.at < self.end {
            self.bytes.drain(..self.used);
            self.used = 0;
            let n = (self.end - self.at).min(if self.bytes.is_empty() { 128 } else { 2048 }) as usize;
            let before = self.bytes.len();
            self.bytes.resize(before + n, 0);
            self.index.read(self.base + self.at, &mut self.bytes[before..])?;
            self.at += n as u64;
            rest = &self.bytes;
        }
        let len = rest.len();
        let value = varint::take(&mut rest);
        self.used += len - rest.len();
        value.ok_or_else(|| SegmentError::damaged(self.index.path(), 0, "a flow's figures are cut off".into()))
    }
}
