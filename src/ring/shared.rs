//! What the writing, the sealing and the dropping of a ring share.

use super::catalog::CatalogWriter;
use super::clock::Clock;
use super::data::Retention;
use super::dropped::Dropped;
use super::ids::{SectionId, SegmentId, SensorId};
use super::keeper::Keeper;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What went wrong on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError + '_ {
    |source| DiskError { path: path.to_path_buf(), source }
}

/// Files of a growing segment.
pub(super) struct Growing {
    /// Its packet file.
    pub data: Arc<File>,
    /// Its log.
    pub log: File,
    /// Of an import.
    pub imported: bool,
    /// Bytes at the front of the packet file that were let go from the page cache.
    pub let_go: AtomicU64,
    /// Held while an import's record is written, and while its records are made to last.
    pub records: Mutex<()>,
}

/// What both threads share.
pub(super) struct Shared {
    pub ring: PathBuf,
    pub sensor: SensorId,
    pub interface: String,
    pub retention: Retention,
    pub catalog: Mutex<CatalogWriter>,
    /// Segments that are open or being sealed.
    pub unsealed: Mutex<HashMap<SegmentId, Unsealed>>,
    /// Keeps what pins cover.
    pub keeper: Keeper,
    /// What was dropped.
    pub dropped: Mutex<Dropped>,
    /// Bytes that were dropped for the sake of free space beyond what was due.
    pub dropped_ahead: Mutex<u64>,
    /// The first segment that is this writer's own.
    pub first_own: SegmentId,
    /// Whether the disk thread waits for sealed segments to be committed, so that there is something to drop.
    pub pressed: Mutex<Pressed>,
    /// Tells it that some were, or that there is no more sealing.
    pub committed: Condvar,
    /// What ages are told by.
    pub clock: Arc<Clock>,
    /// Files of growing segments, to be synced.
    pub growing: Mutex<HashMap<SegmentId, Arc<Growing>>>,
    /// Sections that are not known to last: they are synced before what names them.
    pub unsynced: Mutex<BTreeSet<SectionId>>,
}

/// A segment that is open or being sealed.
#[derive(Clone, Copy, Default)]
pub(super) struct Unsealed {
    /// Bytes that are kept for it.
    pub room: u64,
    /// Packets that are published.
    pub packets: u64,
}

/// See [`Shared::pressed`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Pressed {
    #[default]
    No,
    Yes,
    /// The sealing thread has ended.
    Ended,
}

impl Shared {
    /// Waits until the sealing thread has committed what it has; `false` where it has ended.
    pub(super) fn wait_for_commit(&self) -> bool {
        let mut pressed = lock(&self.pressed);
        if *pressed == Pressed::Ended {
            return false;
        }
        *pressed = Pressed::Yes;
        while *pressed == Pressed::Yes {
            pressed = self.committed.wait(pressed).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Tells that the disk is full and nothing can be dropped.
    pub(super) fn full(&self, path: &Path) -> DiskError {
        let unsealed = lock(&self.unsealed).values().map(|u| u.packets).sum::<u64>();
        let packets = lock(&self.catalog).live().map(|f| f.packets).sum::<u64>() + unsealed;
        let text = format!(
            "no space left on the disk, and no older segment of this ring to drop; the {packets} packets that it holds stay and can be cut: \
             free some space and go on with the packets after them"
        );
        DiskError { path: path.to_path_buf(), source: io::Error::new(io::ErrorKind::StorageFull, text) }
    }

    /// Releases the disk thread.
    pub(super) fn release(&self, to: Pressed) {
        let mut pressed = lock(&self.pressed);
        if *pressed != Pressed::Ended {
            *pressed = to;
        }
        self.committed.notify_all();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
