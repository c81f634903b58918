//! The sealed segments of a ring by their own indexes: what is left where the catalogue is damaged. Costs a look at every segment.

use super::catalog::CatalogReader;
use super::catalog_entries::readable;
use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::{Files, LazyFile};
use super::footer::{FOOTER_LEN, Footer};
use super::ids::SegmentId;
use super::paths::{indexes, segment_of};
use super::sealed::SealedIndex;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an index file says of its segment.
pub(super) enum Found {
    /// Its facts.
    Facts(SegmentFacts),
    /// It is of a later version, or the disk does not give it: it is not to be touched.
    LeftAlone(String),
    /// It is gone, or damaged.
    Nothing,
}

/// What the index file of a path says.
pub(super) fn index_at(path: &Path) -> Found {
    let file = LazyFile::new(path.to_path_buf(), Arc::default());
    match SealedIndex::open(file, 0, Arc::default()) {
        Ok(index) => Found::Facts(index.footer().facts),
        Err(e @ (SegmentError::Io { .. } | SegmentError::Version { .. })) => Found::LeftAlone(e.to_string()),
        Err(SegmentError::Gone(_) | SegmentError::Damaged { .. }) => Found::Nothing,
    }
}

/// The facts of all segments whose index can be read, in the order of their numbers, and entries of the catalogue that say that files are
/// lost.
pub(super) fn from_footers(ring: &Path) -> Vec<SegmentFacts> {
    let own = |path: PathBuf| match index_at(&path) {
        Found::Facts(facts) if Some(facts.id) == segment_of(&path) => Some(facts),
        _ => None,
    };
    let mut found: Vec<SegmentFacts> = indexes(ring).filter_map(own).collect();
    let entries = CatalogReader::open(ring).map(|c| readable(&c)).unwrap_or_default();
    let lost = |f: &SegmentFacts| f.has(SegmentFacts::LOST) && !found.iter().any(|o| o.id == f.id);
    let lost: Vec<SegmentFacts> = entries.into_iter().filter(lost).collect();
    found.extend(lost);
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
