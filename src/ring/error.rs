//! What can go wrong with one segment.

use std::io;
use std::path::{Path, PathBuf};

/// Why something of a segment cannot be had. The other segments are not touched by it.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Its file is not there: dropped meanwhile, or lost.
    #[error("{} is gone", .0.display())]
    Gone(PathBuf),
    /// Its bytes are not those that were written.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What does not fit.
        reason: String,
    },
    /// Made by a later version.
    #[error("{} is of format version {version}, which this program does not know: use a newer one", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The disk says no.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SegmentError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => SegmentError::Gone(path.to_path_buf()),
            _ => SegmentError::Io { path: path.to_path_buf(), source },
        }
    }

    pub(super) fn damaged(path: &Path, position: u64, reason: String) -> Self {
        SegmentError::Damaged { path: path.to_path_buf(), position, reason }
    }
}
