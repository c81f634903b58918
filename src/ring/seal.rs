//! Sealing: a segment's collected index becomes sorted tables.

use super::draft::{FlowNumber, FlowStats, SegmentDraft};
use super::facts::SegmentFacts;
use super::footer::{FOOTER_LEN, Footer, TABLES, Table, TablePlace, time_order_width};
use super::granule::{Codec, GranuleEntry, TimeScale, put_end};
use super::ids::SectionId;
use super::log::put_key;
use super::note::{Note, NoteKind};
use super::page::PageWriter;
use super::scan::blocks;
use super::varint;
use crate::time::{Timestamp, Window};
use crate::wire::{FlowKey, community_digest};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

/// Up to so many granules may overlap in time before a segment counts as deeply disordered: a reader holds that many open at once.
pub const OVERLAP_MAX: usize = 256;

/// What sealing needs beside the draft.
pub struct Sealing<'a> {
    /// The segment.
    pub draft: &'a SegmentDraft,
    /// Figures of the IPv4 flows, by number.
    pub stats4: &'a [FlowStats],
    /// Figures of the IPv6 flows, by number.
    pub stats6: &'a [FlowStats],
    /// Bytes of the finished packet file.
    pub data_bytes: u64,
    /// When its last packet arrived.
    pub arrived: Timestamp,
    /// A repair closes it.
    pub mended: bool,
    /// The packet file, read again only where packets are deeply disordered.
    pub data: &'a File,
}

/// Writes the sealed index and tells what the segment amounts to.
pub fn write_index(sealing: &Sealing<'_>, out: &File) -> io::Result<SegmentFacts> {
    let draft = sealing.draft;
    let mut w = PageWriter::new(BufWriter::with_capacity(1 << 20, out));
    let mut tables = [TablePlace::default(); TABLES];
    let mut place = |table: Table, at: u64, count: usize| tables[table as usize] = TablePlace { at, count: count as u64 };
    let mut bytes = Vec::new();

    let scale = TimeScale::of(&draft.granules);
    draft.granules.iter().for_each(|granule| scale.put(granule, &mut bytes));
    put_end(draft.data_len, &mut bytes);
    place(Table::Granules, w.position(), draft.granules.len() + 1);
    w.write(&bytes)?;

    let (order4, order6) = (sorted(&draft.keys4), sorted(&draft.keys6));
    let postings = Postings::new(draft);
    // The details come before the flows that point to them.
    let low = if draft.packets == 0 { Timestamp::ZERO } else { draft.low };
    let start = w.position();
    let mut detail_at: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
    let mut written = 0;
    for (family, order, stats) in [(0, &order4, sealing.stats4), (1, &order6, sealing.stats6)] {
        for &i in order {
            detail_at[family].push(written);
            bytes.clear();
            put_detail(&mut bytes, low, stats.get(i as usize).unwrap_or(&FlowStats::EMPTY), postings.of(family == 1, i));
            w.write(&bytes)?;
            written += bytes.len() as u64;
        }
    }
    place(Table::Details, start, written as usize);

    let keys = [&draft.keys4, &draft.keys6];
    for (family, order, table, width) in [(0, &order4, Table::Flows4, 4), (1, &order6, Table::Flows6, 16)] {
        place(table, w.position(), order.len());
        for (rank, &i) in order.iter().enumerate() {
            bytes.clear();
            put_key(&mut bytes, &keys[family][i as usize], width);
            bytes.extend_from_slice(&detail_at[family][rank].to_le_bytes()[..6]);
            w.write(&bytes)?;
        }
    }
    for (family, order, table) in [(0, &order4, Table::ByB4), (1, &order6, Table::ByB6)] {
        let b_of = |&i: &u32| u128::from_be_bytes(keys[family][i as usize].b);
        let mut by_b: Vec<(u128, u32)> = order.iter().map(b_of).zip(0..).collect();
        by_b.sort_unstable();
        place(table, w.position(), by_b.len());
        bytes.clear();
        by_b.iter().for_each(|(_, rank)| bytes.extend_from_slice(&rank.to_le_bytes()));
        w.write(&bytes)?;
    }

    let flows = || {
        let number = |ip6: u32| move |(rank, &i): (usize, &u32)| (rank as u32 | ip6, i as usize);
        let four = order4.iter().enumerate().map(number(0)).map(|(n, i)| (n, &draft.keys4[i]));
        four.chain(order6.iter().enumerate().map(number(FlowNumber::IP6)).map(|(n, i)| (n, &draft.keys6[i])))
    };
    let mut ports: Vec<(u16, u32)> = Vec::new();
    let mut digests: Vec<(u32, u32)> = Vec::new();
    for (number, key) in flows() {
        if key.has_real_ports()
            && let Some((a, b)) = key.ports()
        {
            ports.push((a, number));
            if b != a {
                ports.push((b, number));
            }
        }
        if let Some(d) = community_digest(key) {
            digests.push((u32::from_be_bytes([d[0], d[1], d[2], d[3]]), number));
        }
    }
    ports.sort_unstable();
    digests.sort_unstable();
    place(Table::Ports, w.position(), ports.len());
    bytes.clear();
    for (port, number) in ports {
        bytes.extend_from_slice(&port.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    w.write(&bytes)?;
    place(Table::Community, w.position(), digests.len());
    bytes.clear();
    for (prefix, number) in digests {
        bytes.extend_from_slice(&prefix.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    w.write(&bytes)?;

    let deep = draft.disordered && overlap(&draft.granules) > OVERLAP_MAX;
    if deep {
        let width = time_order_width(draft.granules.len() as u32) as usize;
        let order = time_order(draft, sealing.data)?;
        place(Table::TimeOrder, w.position(), order.len());
        bytes.clear();
        order.iter().for_each(|granule| bytes.extend_from_slice(&granule.to_le_bytes()[..width]));
        w.write(&bytes)?;
    }
    place(Table::Notes, w.position(), draft.notes.len());
    bytes.clear();
    draft.notes.iter().for_each(|n| n.encode(&mut bytes));
    w.write(&bytes)?;
    place(Table::Sections, w.position(), draft.sections.len());
    bytes.clear();
    for (granule, section) in &draft.sections {
        bytes.extend_from_slice(&granule.to_le_bytes());
        bytes.extend_from_slice(&section.0.to_le_bytes());
    }
    w.write(&bytes)?;

    let (mut out, pages_len) = w.finish()?;
    let facts = facts(sealing, deep, pages_len + FOOTER_LEN as u64);
    let footer = Footer { sensor: draft.sensor, pages_len, data_start: draft.data_start as u32, scale, tables, facts };
    out.write_all(&footer.encode())?;
    out.flush()?;
    Ok(facts)
}

fn facts(sealing: &Sealing<'_>, deep: bool, index_bytes: u64) -> SegmentFacts {
    let draft = sealing.draft;
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    // A segment without packets is found by what its notes tell of.
    let tells = |n: &&Note| n.kind == NoteKind::Captured || draft.packets == 0 && n.kind.lost().is_some();
    let captured = draft.notes.iter().filter(tells).map(|n: &Note| n.window).chain(draft.captured);
    let captured = captured
        .reduce(|a, b| Window { from: a.from.min(b.from), to: a.to.max(b.to) })
        .unwrap_or(Window { from: Timestamp::ZERO, to: Timestamp::ZERO });
    // A live stream may have been stopped between its last packets and saying so: it ran until they came.
    let said = !draft.imported && draft.packets > 0 && captured.from < captured.to;
    let captured = if said { Window { to: captured.to.max(draft.high.saturating_add(1)), ..captured } } else { captured };
    // Granules before the first mark belong to no section.
    let marked = draft.sections.iter().map(|s| s.1);
    let before = draft.sections.first().is_none_or(|s| s.0 > 0).then_some(SectionId::NONE);
    let section_low = marked.clone().chain(before).min().unwrap_or_default();
    SegmentFacts {
        id: draft.id,
        stream: draft.stream,
        low: if draft.packets == 0 { Timestamp::MAX } else { draft.low },
        high: draft.high,
        first: draft.first,
        captured,
        packets: draft.packets,
        data_bytes: sealing.data_bytes,
        index_bytes,
        arrived: sealing.arrived,
        drops: draft.drops(),
        granules: draft.granules.len() as u32,
        section_low,
        section_high: marked.max().unwrap_or_default(),
        flags: flag(draft.disordered, SegmentFacts::DISORDERED)
            | flag(deep, SegmentFacts::DEEPLY_DISORDERED)
            | flag(draft.imported, SegmentFacts::IMPORTED)
            | flag(draft.damaged, SegmentFacts::DAMAGED)
            | flag(sealing.mended, SegmentFacts::MENDED),
        truncated: u32::try_from(draft.truncated).unwrap_or(u32::MAX),
        recovered: draft.recovered,
    }
}

fn sorted(keys: &[FlowKey]) -> Vec<u32> {
    // The addresses go along: to look each key up where it lies costs several times as much.
    let number = |i: usize, k: &FlowKey| (u128::from_be_bytes(k.a), u128::from_be_bytes(k.b), i as u32);
    let mut order: Vec<_> = keys.iter().enumerate().map(|(i, k)| number(i, k)).collect();
    order.sort_unstable_by(|x, y| (x.0, x.1).cmp(&(y.0, y.1)).then_with(|| keys[x.2 as usize].cmp(&keys[y.2 as usize])));
    order.into_iter().map(|o| o.2).collect()
}

/// In a flow's details: as many packets and bytes are stored as were seen. Anything else is that the four stored numbers follow, which a
/// cutoff per flow will need.
pub(super) const STORED_AS_SEEN: u64 = 0;

fn put_detail(out: &mut Vec<u8>, low: Timestamp, stats: &FlowStats, granules: &[u32]) {
    varint::put(out, stats.first.since(low));
    varint::put(out, stats.last.since(stats.first));
    for n in stats.packets.iter().chain(&stats.bytes) {
        varint::put(out, *n);
    }
    varint::put(out, STORED_AS_SEEN);
    varint::put(out, granules.len() as u64);
    let mut before = 0;
    for &g in granules {
        varint::put(out, u64::from(g - before));
        before = g;
    }
}

/// The granules of each flow, by a counting sort.
struct Postings {
    starts: [Vec<u32>; 2],
    granules: [Vec<u32>; 2],
}

impl Postings {
    fn new(draft: &SegmentDraft) -> Self {
        let mut starts = [vec![0_u32; draft.keys4.len() + 1], vec![0_u32; draft.keys6.len() + 1]];
        for n in &draft.numbers {
            starts[usize::from(n.is_ip6())][n.index() + 1] += 1;
        }
        for s in &mut starts {
            for i in 1..s.len() {
                s[i] += s[i - 1];
            }
        }
        let mut granules = [0, 1].map(|f: usize| vec![0_u32; starts[f].last().map_or(0, |&n| n as usize)]);
        let mut next = starts.clone();
        for g in 0..draft.granules.len() {
            for n in draft.granule_flows(g) {
                let family = usize::from(n.is_ip6());
                let at = &mut next[family][n.index()];
                granules[family][*at as usize] = g as u32;
                *at += 1;
            }
        }
        Postings { starts, granules }
    }

    fn of(&self, ip6: bool, number: u32) -> &[u32] {
        let family = usize::from(ip6);
        let i = number as usize;
        &self.granules[family][self.starts[family][i] as usize..self.starts[family][i + 1] as usize]
    }
}

/// How many granules overlap in time at the worst place.
fn overlap(granules: &[GranuleEntry]) -> usize {
    let mut edges: Vec<(Timestamp, bool)> = granules.iter().flat_map(|g| [(g.low, false), (g.high, true)]).collect();
    edges.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, is_end) in edges {
        if is_end {
            now = now.saturating_sub(1);
        } else {
            now += 1;
            most = most.max(now);
        }
    }
    most
}

/// The granule of each packet, in order of time and then of arrival; of a granule that was given up its lowest time.
fn time_order(draft: &SegmentDraft, data: &File) -> io::Result<Vec<u32>> {
    let mut all: Vec<(Timestamp, u32)> = Vec::with_capacity(draft.packets as usize);
    let mut bytes = Vec::new();
    for (g, entry) in draft.granules.iter().enumerate() {
        if entry.codec != Codec::Plain {
            // It stands there once, so that whoever reads by the order of time learns that it was given up.
            all.push((entry.low, g as u32));
            continue;
        }
        bytes.resize(entry.stored_len as usize, 0);
        data.read_exact_at(&mut bytes, entry.stored_offset)?;
        all.extend(blocks(&bytes).map(|block| (block.packet.time, g as u32)));
    }
    all.sort_unstable();
    Ok(all.into_iter().map(|(_, granule)| granule).collect())
}
