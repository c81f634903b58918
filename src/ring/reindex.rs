//! A damaged segment's index, made again from its packet file and from what else still tells of it.

use super::bytes::{u32_at, u64_at};
use super::data::sync_folder;
use super::disk::{put_statistics, segment_head};
use super::draft::SegmentDraft;
use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::LazyFile;
use super::granule::STORED_END_MAX;
use super::hosts::Hosts;
use super::ids::{SectionId, SensorId};
use super::mend::{self, Tail};
use super::note::{Note, NoteKind};
use super::paths::{data_path, index_path, new_index_path};
use super::seal::{Sealing, write_index};
use super::sealed::SealedIndex;
use crate::pcap::block::INTERFACE_STATISTICS;
use crate::time::Window;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes of the statistics block that closes a packet file, and where the packets stand in it that the interface and the system dropped.
pub(super) const CLOSING_LEN: u64 = 88;
const CLOSING_IFDROP_AT: usize = 60;
const CLOSING_OSDROP_AT: usize = 72;

/// What became of a segment.
pub(super) struct Mended {
    /// The segment now.
    pub facts: SegmentFacts,
    /// Which section its packets belong to is no longer known.
    pub sections_lost: bool,
    /// Its hosts now.
    pub hosts: Hosts,
}

/// Writes a new index for a packet file: from the granules that the old one still knows, else from whole packets alone.
/// What stands around the packets is written anew, too; the entry of its hosts is the caller's to write.
pub(super) fn reindex(ring: &Path, sensor: SensorId, interface: &str, facts: &SegmentFacts) -> io::Result<Mended> {
    let path = data_path(ring, facts.id);
    let packets = OpenOptions::new().read(true).write(true).open(&path)?;
    let index_path = index_path(ring, facts.id);
    let index = match SealedIndex::open(LazyFile::new(index_path.clone(), Arc::default()), 0, Arc::default()) {
        // What it says is not known, but it is not lost.
        Err(e @ (SegmentError::Io { .. } | SegmentError::Version { .. })) => return Err(io::Error::other(e)),
        opened => opened.ok(),
    };
    let index = index.filter(|i| i.footer().facts.id == facts.id);
    let sensor = index.as_ref().map_or(sensor, |i| i.footer().sensor);
    let head = segment_head(sensor, interface, facts.id, facts.stream);
    let data_start = index.as_ref().map_or(head.len() as u64, |i| u64::from(i.footer().data_start));
    let mut draft = SegmentDraft::new(sensor, facts.id, facts.stream, data_start);
    draft.imported = facts.has(SegmentFacts::IMPORTED);
    if let Some(granules) = index.as_ref().and_then(|i| i.granules(0, i.footer().facts.granules).ok()) {
        draft.granules = granules;
    }
    // Which packets belong to which section, only the table tells, unless all belong to one: a guess would hand out another one's secrets.
    let sections = index.as_ref().and_then(|i| i.sections().ok());
    let all_of_one = facts.section_low == facts.section_high;
    let sections_lost = sections.is_none() && !all_of_one;
    let section = if all_of_one { facts.section_high } else { SectionId::NONE };
    draft.sections = sections.unwrap_or_else(|| vec![(0, section)]);
    // A length that no segment has says nothing: then the file has the one that it has.
    let is_length = facts.data_bytes <= STORED_END_MAX && facts.data_bytes.is_multiple_of(4);
    let data_bytes = if is_length { facts.data_bytes } else { packets.metadata()?.len() / 4 * 4 };
    let tail = Tail {
        section,
        // What cannot be read as packets up to there was some.
        packets_to: Some(data_bytes.saturating_sub(CLOSING_LEN)),
        low: facts.low,
        high: facts.high,
    };
    let (mut new, stats4, stats6) = mend::rebuild(&draft, &packets, &tail)?;
    if new.packets == 0 && facts.packets > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    new.high = new.high.min(facts.high);
    new.notes = match index.and_then(|i| i.notes().ok()) {
        Some(notes) => notes,
        None => lost_notes(&packets, facts),
    };
    // All of them had been published, but for those that an earlier repair found.
    new.recovered = facts.recovered;
    new.captured = Some(facts.captured).filter(|w| w.from < w.to);
    if data_start == head.len() as u64 {
        packets.write_all_at(&head, 0)?;
    }
    // A file that was cut off inside of its granules keeps its end: nothing after them can be said in it.
    if packets.metadata()?.len() >= new.data_len {
        let mut closing = Vec::new();
        put_statistics(&mut closing, &new);
        packets.write_all_at(&closing, new.data_len)?;
        packets.set_len(new.data_len + closing.len() as u64)?;
    }
    packets.sync_all()?;
    let data_bytes = packets.metadata()?.len();
    let temporary = new_index_path(ring, facts.id);
    let out = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
    let sealing = Sealing {
        draft: &new,
        stats4: &stats4,
        stats6: &stats6,
        data_bytes,
        arrived: facts.arrived,
        mended: true,
        data: &packets,
    };
    let facts = write_index(&sealing, &out)?;
    out.sync_all()?;
    fs::rename(&temporary, &index_path)?;
    sync_folder(ring)?;
    Ok(Mended { facts, sections_lost, hosts: Hosts::of(&new) })
}

/// Where the index's notes are lost, its facts still say how many packets were dropped, though not when: somewhere while capture ran.
fn lost_notes(packets: &File, facts: &SegmentFacts) -> Vec<Note> {
    if facts.drops == 0 {
        return Vec::new();
    }
    let (os, interface) = closing_drops(packets, facts).unwrap_or((facts.drops, 0));
    let packets = Window { from: facts.low, to: facts.high.saturating_add(1) };
    let window = if facts.captured.from < facts.captured.to { facts.captured } else { packets };
    vec![Note { window, kind: NoteKind::Drops { os, interface } }]
}

/// Who dropped them, as the block that closes the packet file tells, if it agrees with the facts.
fn closing_drops(packets: &File, facts: &SegmentFacts) -> Option<(u64, u64)> {
    let mut block = [0; CLOSING_LEN as usize];
    packets.read_exact_at(&mut block, facts.data_bytes.checked_sub(CLOSING_LEN)?).ok()?;
    let (os, interface) = (u64_at(&block, CLOSING_OSDROP_AT), u64_at(&block, CLOSING_IFDROP_AT));
    (u32_at(&block, 0) == INTERFACE_STATISTICS && os.saturating_add(interface) == facts.drops).then_some((os, interface))
}
