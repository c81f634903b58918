//! The sealed segments of a ring by their own indexes: what is left where the catalogue is damaged. Costs a look at every segment.

use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::{Files, LazyFile};
use super::footer::{FOOTER_LEN, Footer};
use super::ids::SegmentId;
use super::page::PageCache;
use super::paths::segment_of;
use super::sealed::SealedIndex;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
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

/// The facts in the footer of a segment's index; `None` where the file is gone. Costs one small read.
pub(super) fn facts_in(index: &Path, id: SegmentId) -> Result<Option<SegmentFacts>, SegmentError> {
    let io_error = |e| SegmentError::io(index, e);
    let file = match Files::default().open(index) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error)?,
    };
    let position = file.metadata().map_err(io_error)?.len().saturating_sub(FOOTER_LEN as u64);
    let mut bytes = [0; FOOTER_LEN];
    match file.read_exact_at(&mut bytes, position) {
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(io_error(e)),
        _ => {}
    }
    let footer = Footer::decode(&bytes).map_err(|e| SegmentError::damaged(index, position, e.to_string()))?;
    if footer.facts.id != id {
        return Err(SegmentError::damaged(index, position, "the index belongs to another segment".into()));
    }
    Ok(Some(footer.facts))
}
