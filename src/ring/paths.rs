//! Where the files of a segment are in a ring's folder, and whose file one is.

use super::ids::SegmentId;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of growing segments' logs, in a ring's folder.
pub const OPEN_FOLDER: &str = "open";

/// The folder of what is kept of all rings, in the data folder.
pub const KEPT_FOLDER: &str = "kept";

/// The data folder that a ring's folder is in.
pub(super) fn data_of(ring: &Path) -> &Path {
    ring.parent().and_then(Path::parent).unwrap_or(Path::new(""))
}

/// Where segments of a ring are kept that pins cover, once they are dropped from it.
pub(super) fn kept_folder(ring: &Path) -> PathBuf {
    data_of(ring).join(KEPT_FOLDER).join(ring.file_name().unwrap_or_default())
}

/// A segment's packet file.
pub(super) fn data_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(format!("{id}.pcapng"))
}

/// A sealed segment's index.
pub(super) fn index_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(format!("{id}.idx"))
}

/// An index in the making.
pub(super) fn new_index_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(format!("{id}.idx.tmp"))
}

/// A growing segment's log.
pub(super) fn log_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(OPEN_FOLDER).join(format!("{id}.log"))
}

/// The segment that a file belongs to, by its name.
pub(super) fn segment_of(file: &Path) -> Option<SegmentId> {
    SegmentId::parse(file.file_stem()?.to_str()?)
}

/// The index files of a ring.
pub(super) fn indexes(ring: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(ring).into_iter().flatten().filter_map(Result::ok);
    entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "idx"))
}
