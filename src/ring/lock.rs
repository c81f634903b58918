//! The lock of a ring, by which its writers exclude each other.
//!
//! A reader that wants to know whether someone writes asks for a shared lock on a handle that cannot write, and gives it back at once. That
//! can meet a writer that is just about to lock: so a writer tries for a while before it gives up.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file's name in the ring's folder.
pub(super) const LOCK_FILE: &str = "lock";
/// How long a writer tries.
const TRY_FOR: Duration = Duration::from_secs(1);
/// How often.
const TRY_EVERY: Duration = Duration::from_millis(10);

/// Locks a ring for writing until the file is closed; `None` where someone else writes it.
pub(super) fn lock(ring: &Path) -> io::Result<Option<File>> {
    lock_file(File::create(ring.join(LOCK_FILE))?)
}

/// Locks a file until it is closed; `None` where someone else has it locked.
pub(super) fn lock_file(file: File) -> io::Result<Option<File>> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if start.elapsed() < TRY_FOR => std::thread::sleep(TRY_EVERY),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// Whether someone writes a ring now, as far as that can be told. Changes nothing.
pub(super) fn is_written(ring: &Path) -> bool {
    let Ok(file) = File::open(ring.join(LOCK_FILE)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_lock_keeps_no_writer_out() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_written(dir.path()));
        assert!(!dir.path().join(LOCK_FILE).exists(), "a look makes nothing");
        let held = lock(dir.path()).unwrap();
        assert!(held.is_some() && is_written(dir.path()));
        assert!(lock(dir.path()).unwrap().is_none());
        drop(held);
        let look = File::open(dir.path().join(LOCK_FILE)).unwrap();
        look.try_lock_shared().unwrap();
        let (started, start) = std::sync::mpsc::channel();
        let path = dir.path().to_path_buf();
        let writer = std::thread::spawn(move || {
            started.send(()).unwrap();
            lock(&path).unwrap().is_some()
        });
        start.recv().unwrap();
        drop(look);
        assert!(writer.join().unwrap());
    }
}
