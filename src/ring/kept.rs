//! Segments that pins keep, in `DATA/kept/<interface>/`: the same files as in the ring, moved there before the ring drops them.
//!
//! A segment is moved before the catalogue lets go of it, packet file first. So whoever opens the catalogue and then looks here misses
//! none; what is found in both counts once; and a move that was cut off leaves both files, each in one of the two folders, where readers
//! look for each. The next writer finishes it. Before a segment is deleted its index is set aside under a name that says so: what was cut
//! off there is finished, too, and never taken for damage.

use super::data::sync_folder;
use super::facts::SegmentFacts;
use super::footers::facts_in;
use super::ids::SegmentId;
use super::paths::{data_path, index_path, kept_folder};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is kept of a ring.
#[derive(Default)]
pub(super) struct Kept {
    /// Segments whose index can be read, in the order of their numbers.
    pub segments: Vec<SegmentFacts>,
    /// Those whose index cannot: the segment, the file that is to blame, and what is wrong.
    pub damaged: Vec<(SegmentId, PathBuf, String)>,
    /// Those whose deletion was cut off.
    pub half_deleted: Vec<SegmentId>,
    /// The highest number of any segment here.
    pub newest: Option<SegmentId>,
}

/// The name under which the index of a segment lies that is being deleted.
fn gone_path(folder: &Path, id: SegmentId) -> PathBuf {
    folder.join(format!("{id}.gone.tmp"))
}

/// Which files are there: indexes, packet files, indexes set aside.
fn names(folder: &Path) -> io::Result<[BTreeSet<SegmentId>; 3]> {
    let mut found = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some((stem, kind)) = name.to_str().and_then(|n| n.split_once('.')) else { continue };
        let which = match kind {
            "idx" => 0,
            "pcapng" => 1,
            "gone.tmp" => 2,
            _ => continue,
        };
        found[which].extend(SegmentId::parse(stem));
    }
    Ok(found)
}

/// What is kept of a ring. `known` spares a look at the index of segments that were seen before.
pub(super) fn list(ring: &Path, known: impl Fn(SegmentId) -> Option<SegmentFacts>) -> io::Result<Kept> {
    let folder = kept_folder(ring);
    let [indexes, packets, gone] = names(&folder)?;
    let newest = indexes.iter().chain(&packets).chain(&gone).max().copied();
    let mut kept = Kept { newest, half_deleted: gone.into_iter().collect(), ..Kept::default() };
    for &id in &indexes {
        let path = index_path(&folder, id);
        match known(id).map_or_else(|| facts_in(&path, id), |facts| Ok(Some(facts))) {
            Ok(Some(facts)) => kept.segments.push(facts),
            Ok(None) => {} // deleted meanwhile
            Err(e) => kept.damaged.push((id, path, e.to_string())),
        }
    }
    for &id in packets.difference(&indexes) {
        let is_there = |path: PathBuf| fs::symlink_metadata(path).is_ok();
        // One that is being moved or deleted is not damaged; an index that is moved meanwhile is here after it was there.
        let elsewhere = is_there(index_path(ring, id)) || is_there(index_path(&folder, id)) || is_there(gone_path(&folder, id));
        let path = data_path(&folder, id);
        if !elsewhere && is_there(path.clone()) {
            let reason = "its index is lost, and so no cut has its packets: the file is ordinary pcapng and can be imported";
            kept.damaged.push((id, path, reason.into()));
        }
    }
    Ok(kept)
}

/// Whether a segment is kept: its index is there.
pub(super) fn has(ring: &Path, id: SegmentId) -> bool {
    index_path(&kept_folder(ring), id).exists()
}

/// Moves a segment's files out of its ring. Where that fails, they are in the ring.
pub(super) fn keep(ring: &Path, id: SegmentId) -> io::Result<()> {
    let folder = kept_folder(ring);
    if !folder.is_dir() {
        fs::create_dir_all(&folder)?;
        // The new folders, from the data folder on.
        for made in folder.ancestors().skip(1).take(2) {
            sync_folder(made)?;
        }
    }
    let files = [data_path(ring, id), index_path(ring, id)];
    let to = [data_path(&folder, id), index_path(&folder, id)];
    for (from, to) in files.iter().zip(&to) {
        if to.exists() && from.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", to.display())));
        }
    }
    let move_one = |i: usize| match fs::rename(&files[i], &to[i]) {
        Err(e) if e.kind() != io::ErrorKind::NotFound || !to[i].exists() => Err(e),
        _ => Ok(()),
    };
    move_one(0).and_then(|()| move_one(1)).inspect_err(|_| {
        for (from, to) in files.iter().zip(&to).filter(|(from, _)| !from.exists()) {
            let _ = fs::rename(to, from);
        }
    })
}

/// Makes moves last, before the catalogue lets go of what was moved.
pub(super) fn sync(ring: &Path) -> io::Result<()> {
    sync_folder(&kept_folder(ring)).and_then(|()| sync_folder(ring))
}

/// Segments of which one file lies here and the other still in the ring: their move was cut off, or is going on.
pub(super) fn half_moved(ring: &Path) -> io::Result<Vec<SegmentId>> {
    let folder = kept_folder(ring);
    let [indexes, packets, gone] = names(&folder)?;
    let lies_in_ring = |id: &&SegmentId| {
        let other = if packets.contains(id) { index_path(ring, **id) } else { data_path(ring, **id) };
        !gone.contains(id) && other.exists()
    };
    Ok(packets.symmetric_difference(&indexes).filter(lies_in_ring).copied().collect())
}

/// Finishes moves that were cut off. Only the ring's writer does.
pub(super) fn finish_moves(ring: &Path) -> io::Result<()> {
    let half = half_moved(ring)?;
    for &id in &half {
        keep(ring, id)?;
        tracing::info!(segment = %id, "finished moving a segment that pins keep");
    }
    if half.is_empty() { Ok(()) } else { sync(ring) }
}

/// Deletes a kept segment.
pub(super) fn delete(ring: &Path, id: SegmentId) -> io::Result<()> {
    let folder = kept_folder(ring);
    let gone = gone_path(&folder, id);
    let unless_gone = |done: io::Result<()>| match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    };
    unless_gone(fs::rename(index_path(&folder, id), &gone))?;
    unless_gone(fs::remove_file(data_path(&folder, id)))?;
    unless_gone(fs::remove_file(gone))
}

/// Whether nothing at all is kept of a ring.
pub(super) fn is_empty(ring: &Path) -> bool {
    match fs::read_dir(kept_folder(ring)) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    }
}
