//! The sealed segments of a ring by their own indexes: what is left where the catalogue is damaged. Costs a look at every segment.

use super::facts::SegmentFacts;
use super::files::{Files, LazyFile};
use super::page::PageCache;
use super::paths::segment_of;
use super::sealed::SealedIndex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The index files of a ring.
pub(super) fn indexes(ring: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(ring).into_iter().flatten().filter_map(Result::ok);
    entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "idx"))
}

/// The facts of all segments whose index can be read, in the order of their numbers.
pub(super) fn from_footers(ring: &Path) -> Vec<SegmentFacts> {
    let cache = Arc::new(PageCache::default());
    let mut found: Vec<SegmentFacts> = indexes(ring)
        .filter_map(|path| {
            let id = segment_of(&path)?;
            let files = Arc::new(Files::default());
            let index = SealedIndex::open(LazyFile::new(path, files), 0, cache.clone()).ok()?;
            Some(index.footer().facts).filter(|f| f.id == id)
        })
        .collect();
    found.sort_by_key(|f| f.id);
    found
}
