//! Segments whose files are there though no catalogue lists them and no log tells of them: the end of the catalogue was lost, or a log.

use super::catalog::CatalogReader;
use super::catalog_entries::{highest, take_listed};
use super::facts::SegmentFacts;
use super::footers::{Found, index_at};
use super::ids::SegmentId;
use super::kept;
use super::paths::{data_path, index_path, log_path, segment_of};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What lies in a ring's folder and is listed nowhere.
#[derive(Default)]
pub(super) struct Unlisted {
    /// Sealed segments, as their indexes tell them.
    pub sealed: Vec<SegmentFacts>,
    /// Packet files without an index that can be read.
    pub bare: Vec<SegmentId>,
    /// Indexes that are left alone, and why.
    pub left_alone: Vec<(PathBuf, String)>,
}

impl Unlisted {
    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.bare.is_empty() && self.left_alone.is_empty()
    }
}

/// The numbers of all segments of which a file is in a ring's folder.
pub(super) fn numbers(ring: &Path) -> BTreeSet<SegmentId> {
    let files = fs::read_dir(ring).into_iter().flatten().filter_map(|e| e.map(|e| e.path()).ok());
    let of_segment = files.filter(|p| p.extension().is_some_and(|x| x == "pcapng" || x == "idx"));
    of_segment.filter_map(|p| segment_of(&p).filter(|id| p == data_path(ring, *id) || p == index_path(ring, *id))).collect()
}

/// Looks at every file of a ring's folder.
pub(super) fn unlisted(ring: &Path) -> Unlisted {
    let mut found = Unlisted::default();
    for id in unknown(ring, numbers(ring)) {
        let index = index_path(ring, id);
        match index_at(&index) {
            Found::Facts(facts) if facts.id == id => found.sealed.push(facts),
            Found::LeftAlone(why) => found.left_alone.push((index, why)),
            _ if data_path(ring, id).is_file() => found.bare.push(id),
            _ => {}
        }
    }
    found
}

/// Whether a segment that is newer than all those of the catalogue is there and listed nowhere. Looks at few files, but at all where the
/// catalogue says that there are none.
pub(super) fn newer(ring: &Path, catalog: &CatalogReader) -> Option<SegmentId> {
    let Some(highest) = highest(catalog) else {
        return unknown(ring, numbers(ring)).first().copied();
    };
    let mut next = SegmentId(highest.0 + 1);
    while log_path(ring, next).exists() {
        next.0 += 1;
    }
    let is_there = index_path(ring, next).exists() || data_path(ring, next).exists();
    if is_there { unknown(ring, BTreeSet::from([next])).first().copied() } else { None }
}

/// Of segments whose files were seen, those that are listed nowhere. A writer makes the log first and removes it only once the catalogue
/// lists the segment: so the logs are looked at before the catalogue.
fn unknown(ring: &Path, mut seen: BTreeSet<SegmentId>) -> Vec<SegmentId> {
    seen.retain(|id| !log_path(ring, *id).exists() && !kept::has(ring, *id));
    let Ok(catalog) = CatalogReader::open(ring) else { return Vec::new() };
    let Some(oldest) = take_listed(&catalog, &mut seen) else { return seen.into_iter().collect() };
    // Files of one that was dropped may still be there; the oldest are dropped first.
    seen.into_iter()
        .filter(|id| *id > oldest)
        .filter(|id| index_path(ring, *id).exists() || data_path(ring, *id).exists())
        .collect()
}
