//! What can fail in forming and exporting objects: our disk, never the wire.

use std::io;
use std::path::{Path, PathBuf};

/// Our disk failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of ours could not be read, written or made.
    #[error("cannot {doing} {}: {}", path.display(), hint(source))]
    Io {
        /// What was tried: `write`, `create`, ...
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder to export to holds no more room for names that do not collide.
    #[error("too many files named like {} in the folder; export to an empty one", path.display())]
    Collisions {
        /// The name that was wanted.
        path: PathBuf,
    },
    /// A thread of ours ended early, after an error that was told before.
    #[error("forming objects has stopped after an earlier failure in {}; start again", path.display())]
    Stopped {
        /// The folder of the contents.
        path: PathBuf,
    },
}

impl StoreError {
    /// From an error of the operating system.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io { doing, path: path.to_owned(), source }
    }
}

/// The error, and what can be done about it where that is known.
fn hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{source}; free some space or choose another folder, and start again")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{source}; choose a folder that you may write to")
        }
        io::ErrorKind::NotFound => format!("{source}; was the folder removed meanwhile?"),
        _ => source.to_string(),
    }
}
