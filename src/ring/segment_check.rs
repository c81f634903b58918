//! Checking a sealed segment: its index, its granules, and what stands around them.

use super::disk::{put_statistics, segment_head};
use super::draft::{SegmentDraft, counts_as_ip6};
use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::{Files, LazyFile};
use super::footer::FOOTER_LEN;
use super::granule::Codec;
use super::hosts::{self, Hosts};
use super::ids::SensorId;
use super::page::{PageCache, verify_all};
use super::paths::{data_path, index_path};
use super::sealed::{Access, SealedIndex};
use super::segment::Segment;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong around the packets of a segment that are all there.
pub(super) struct Around {
    /// Files, and what is wrong with them.
    pub problems: Vec<(PathBuf, String)>,
    /// The segment.
    pub segment: Segment,
}

/// What is wrong with a segment.
pub(super) struct Wrong {
    /// The file.
    pub file: PathBuf,
    /// What.
    pub problem: String,
    /// It is damaged or gone. Else it is of a later version, or the disk does not give it, and it is not to be touched.
    pub is_damage: bool,
}

/// Verifies a sealed segment: every page of its index, every granule. Granules that a repair gave up are no finding. What is wrong with
/// these is the error; what is wrong with the rest of the packet file, or with the entry of its hosts, costs no packets.
pub(super) fn check_segment(ring: &Path, interface: &str, facts: &SegmentFacts) -> Result<Around, Wrong> {
    let data = data_path(ring, facts.id);
    let told = |e: SegmentError| {
        let is_damage = matches!(e, SegmentError::Damaged { .. } | SegmentError::Gone(_));
        Wrong { file: data.clone(), problem: e.to_string(), is_damage }
    };
    let files = Arc::new(Files::default());
    let segment = Segment::open_sealed(ring, facts, files, Arc::new(PageCache::default())).map_err(told)?;
    segment.flows(&Access::All, |_| true, |_, _| ()).map_err(told)?;
    segment.notes().map_err(told)?;
    let mut at = 0;
    while at < segment.granule_count() {
        let n = 256.min(segment.granule_count() - at);
        for granule in segment.granules(at, n).map_err(told)? {
            if granule.codec == Codec::Damaged {
                continue;
            }
            segment.packet_file().and_then(|file| file.granule(&granule)).map_err(told)?;
        }
        at += n;
    }
    let index = index_path(ring, facts.id);
    let bytes = fs::read(&index).map_err(|e| told(SegmentError::io(&index, e)))?;
    verify_all(&bytes[..bytes.len().saturating_sub(FOOTER_LEN)]).map_err(|position| Wrong {
        file: index.clone(),
        problem: format!("the index does not agree with its checksum at byte {position}"),
        is_damage: true,
    })?;
    let frame = Frame::of(ring, interface, &segment).map_err(told)?;
    let mut problems = Vec::new();
    let file = File::open(&data).map_err(|e| told(SegmentError::io(&data, e)))?;
    problems.extend(frame.problem(&file).map(|problem| (data.clone(), problem)));
    if hosts::is_damaged(ring, facts.id) {
        let problem = format!("the entry of segment {} does not agree with its checksum", facts.id);
        problems.push((hosts::file_of(ring, facts.id), problem));
    }
    Ok(Around { problems, segment })
}

/// What stands before and after the granules of a packet file.
struct Frame {
    head: Vec<u8>,
    /// Where granules begin and end.
    granules: (u64, u64),
    closing: Vec<u8>,
}

impl Frame {
    fn of(ring: &Path, interface: &str, segment: &Segment) -> Result<Frame, SegmentError> {
        let facts = segment.facts();
        let path = index_path(ring, facts.id);
        let footer = SealedIndex::open(LazyFile::new(path, Arc::default()), facts.index_bytes, Arc::default())?.footer().clone();
        let last = facts.granules.checked_sub(1).map(|last| segment.granules(last, 1)).transpose()?;
        let end = last.as_ref().and_then(|g| g.first()).map(|g| g.stored_offset + u64::from(g.stored_len));
        let start = u64::from(footer.data_start);
        let mut told = SegmentDraft::new(footer.sensor, facts.id, facts.stream, start);
        (told.first, told.high, told.packets, told.notes) = (facts.first, facts.high, facts.packets, segment.notes()?);
        let mut closing = Vec::new();
        put_statistics(&mut closing, &told);
        let head = segment_head(footer.sensor, interface, facts.id, facts.stream);
        Ok(Frame { head, granules: (start, end.unwrap_or(start)), closing })
    }

    fn problem(&self, file: &File) -> Option<String> {
        let agrees = |want: &[u8], at: u64| {
            let mut have = vec![0; want.len()];
            file.read_exact_at(&mut have, at).is_ok() && have == want
        };
        let (start, end) = self.granules;
        if self.head.len() as u64 != start || !agrees(&self.head, 0) {
            return Some(
                "its section header and interface block are not those that were written: other tools cannot read it".into(),
            );
        }
        let len = file.metadata().map_or(0, |m| m.len());
        // Where a repair gave up the end of a file that was cut off, nothing follows.
        let whole = len < end || len == end + self.closing.len() as u64 && agrees(&self.closing, end);
        (!whole).then(|| "the statistics block that closes it is not the one that was written".into())
    }
}

/// Writes anew what stands around the packets.
pub(super) fn mend_frame(ring: &Path, interface: &str, segment: &Segment) -> io::Result<()> {
    let frame = Frame::of(ring, interface, segment).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).write(true).open(segment.data_path())?;
    let (start, end) = frame.granules;
    if frame.head.len() as u64 != start {
        return Err(io::Error::other("its head has another length: the ring's interface is not the one it was written for"));
    }
    file.write_all_at(&frame.head, 0)?;
    if file.metadata()?.len() >= end {
        file.write_all_at(&frame.closing, end)?;
        file.set_len(end + frame.closing.len() as u64)?;
    }
    file.sync_all()
}

/// Writes the entry of a segment's hosts anew.
pub(super) fn mend_hosts(ring: &Path, segment: &Segment) -> io::Result<()> {
    let facts = segment.facts();
    let mut told = SegmentDraft::new(SensorId([0; 16]), facts.id, facts.stream, 0);
    told.damaged = facts.has(SegmentFacts::DAMAGED);
    let each = |key: &crate::wire::FlowKey, _: &_| {
        let keys = if counts_as_ip6(key) { &mut told.keys6 } else { &mut told.keys4 };
        keys.push(*key);
    };
    segment.flows(&Access::All, |_| true, each).map_err(io::Error::other)?;
    hosts::write(ring, facts.id, &Hosts::of(&told))
}
