//! Segments that were dropped, though the state of the catalogue that said so is lost.

use super::facts::SegmentFacts;
use super::ids::SegmentId;
use super::paths::{data_path, index_path, segment_of};
use std::fs;
use std::io;
use std::path::Path;

/// The place after the entries from one on whose segments were dropped without the catalogue saying so: the slot that
/// said it may be damaged. But the oldest are dropped first, and their files go with them.
pub(super) fn dropped_unsaid(ring: &Path, from: u64, entries: u64, entry: impl Fn(u64) -> Option<SegmentFacts>) -> u64 {
    let mut lowest = None;
    let mut at = from;
    while at < entries {
        let Some(facts) = entry(at) else { break };
        let is_gone = |path: &Path| matches!(fs::metadata(path), Err(e) if e.kind() == io::ErrorKind::NotFound);
        // What a repair found lost stays, so that it is named.
        if facts.has(SegmentFacts::LOST) || !is_gone(&data_path(ring, facts.id)) || !is_gone(&index_path(ring, facts.id)) {
            break;
        }
        if lowest.get_or_insert_with(|| lowest_present(ring)).is_none_or(|lowest| facts.id >= lowest) {
            break;
        }
        at += 1;
    }
    at
}

/// The lowest segment of which a file is there.
fn lowest_present(ring: &Path) -> Option<SegmentId> {
    let files = fs::read_dir(ring).ok()?.filter_map(|e| e.map(|e| e.path()).ok());
    let of_segment = files.filter(|p| p.extension().is_some_and(|x| x == "pcapng" || x == "idx"));
    of_segment.filter_map(|p| segment_of(&p)).min()
}
