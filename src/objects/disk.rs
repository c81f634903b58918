//! Where contents lie while they form: small ones in memory, larger ones in sparse temporary files, written at their offsets in the file.

use super::error::StoreError;
use super::limits::Limits;
use super::ranges::RangeSet;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are read back, compared or copied at once.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// One content that forms.
#[derive(Debug)]
pub(super) struct Body {
    /// Its number, unique in an analysis.
    pub(super) number: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File,
}

/// A content's bytes when it is handed over to be finished.
#[derive(Debug)]
pub(super) enum Formed {
    /// All of them (unseen bytes are zero).
    Memory(Vec<u8>),
    /// In this temporary file (unseen bytes are holes or zero).
    File(PathBuf),
}

/// The bodies' memory and files.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    open: HashMap<u64, (File, u64)>,
    clock: u64,
    memory: usize,
    next: u64,
    limits: Limits,
}

impl Disk {
    /// Temporary files go into `folder`, which is there.
    pub(super) fn new(folder: PathBuf, limits: Limits) -> Disk {
        Disk { folder, open: HashMap::new(), clock: 0, memory: 0, next: 0, limits }
    }

    /// An empty content.
    pub(super) fn body(&mut self) -> Body {
        self.next += 1;
        Body { number: self.next, place: Place::Memory(Vec::new()) }
    }

    /// Where a content's temporary file is.
    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016x}"))
    }

    /// Puts bytes at an offset.
    pub(super) fn write(&mut self, body: &mut Body, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let end = offset.saturating_add(bytes.len() as u64);
        if let Place::Memory(held) = &mut body.place {
            let grown = usize::try_from(end).unwrap_or(usize::MAX).max(held.len());
            let more = grown - held.len();
            if grown <= self.limits.memory_per_content && self.memory.saturating_add(more) <= self.limits.memory_contents {
                self.memory += more;
                held.resize(grown, 0);
                if let Some(place) = usize::try_from(offset).ok().and_then(|at| held.get_mut(at..at + bytes.len())) {
                    place.copy_from_slice(bytes);
                }
                return Ok(());
            }
            let held = std::mem::take(held);
            self.memory -= held.len();
            body.place = Place::File;
            self.file_write(body.number, 0, &held)?;
        }
        self.file_write(body.number, offset, bytes)
    }

    /// Whether it lies in a file.
    pub(super) fn in_file(body: &Body) -> bool {
        matches!(body.place, Place::File)
    }

    /// Reads bytes that were written before; what was not is zero.
    pub(super) fn read(&mut self, body: &Body, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        match &body.place {
            Place::Memory(held) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(held.len());
                let there = (held.len() - from).min(into.len());
                let (filled, rest) = into.split_at_mut(there);
                filled.copy_from_slice(held.get(from..from + there).unwrap_or_default());
                rest.fill(0);
                Ok(())
            }
            Place::File => {
                let path = self.path(body.number);
                read_at(self.file(body.number)?, offset, into).map_err(|e| StoreError::io("read", &path, e))
            }
        }
    }

    /// Whether the bytes at an offset are these.
    pub(super) fn equals(&mut self, body: &Body, offset: u64, bytes: &[u8]) -> Result<bool, StoreError> {
        let mut held = vec![0; bytes.len().min(PIECE_BYTES)];
        let mut at = offset;
        for piece in bytes.chunks(PIECE_BYTES) {
            let held = held.get_mut(..piece.len()).unwrap_or_default();
            self.read(body, at, held)?;
            if held != piece {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// Makes a range zero again, a hole where the file system can.
    pub(super) fn clear(&mut self, body: &mut Body, from: u64, to: u64) -> Result<(), StoreError> {
        match &mut body.place {
            Place::Memory(held) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(held.len());
                let to = usize::try_from(to).unwrap_or(usize::MAX).min(held.len());
                if let Some(part) = held.get_mut(from..to.max(from)) {
                    part.fill(0);
                }
                Ok(())
            }
            Place::File => {
                let path = self.path(body.number);
                punch(self.file(body.number)?, from, to).map_err(|e| StoreError::io("clear a part of", &path, e))
            }
        }
    }

    /// Copies ranges from one content to another.
    pub(super) fn copy(&mut self, from: &Body, to: &mut Body, ranges: &RangeSet) -> Result<(), StoreError> {
        let mut piece = Vec::new();
        for (start, end, ()) in ranges.iter() {
            let mut at = start;
            while at < end {
                piece.resize(usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES), 0);
                self.read(from, at, &mut piece)?;
                self.write(to, at, &piece)?;
                at += piece.len() as u64;
            }
        }
        Ok(())
    }

    /// Removes a content.
    pub(super) fn discard(&mut self, body: Body) -> Result<(), StoreError> {
        if let Formed::File(path) = self.hand_over(body) {
            std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// Gives a content away: it is not written any more.
    pub(super) fn hand_over(&mut self, body: Body) -> Formed {
        self.open.remove(&body.number);
        match body.place {
            Place::Memory(held) => {
                self.memory -= held.len();
                Formed::Memory(held)
            }
            Place::File => Formed::File(self.path(body.number)),
        }
    }

    fn file_write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(number);
        self.file(number)?.write_all_at(bytes, offset).map_err(|e| StoreError::io("write", &path, e))
    }

    fn file(&mut self, number: u64) -> Result<&File, StoreError> {
        self.clock += 1;
        if !self.open.contains_key(&number) {
            if self.open.len() >= self.limits.files_open.max(1)
                && let Some(idle) = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(n, _)| *n)
            {
                self.open.remove(&idle);
            }
            let path = self.path(number);
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            self.open.insert(number, (file.map_err(|e| StoreError::io("create", &path, e))?, 0));
        }
        let clock = self.clock;
        match self.open.get_mut(&number) {
            Some((file, used)) => {
                *used = clock;
                Ok(file)
            }
            None => Err(StoreError::Stopped { path: self.folder.clone() }),
        }
    }
}

/// Fills `into` from an offset of a file; what lies beyond its end is zero.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        let rest = into.get_mut(done..).unwrap_or_default();
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => {
                rest.fill(0);
                break;
            }
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Frees a range of a file without changing its length; writes zeros where the file system cannot.
fn punch(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let to = to.min(file.metadata()?.len());
    if from >= to {
        return Ok(());
    }
    if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; PIECE_BYTES];
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        file.write_all_at(zeros.get(..length).unwrap_or_default(), at)?;
        at += length as u64;
    }
    Ok(())
}

/// A folder of temporary files that is removed, with all in it, when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one inside of `parent`.
    pub(super) fn new(parent: &Path) -> Result<Scratch, StoreError> {
        use std::os::unix::fs::DirBuilderExt;
        for number in 0..1_000 {
            let path = parent.join(format!(".forming-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch { path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(StoreError::io("create", &path, e)),
            }
        }
        Err(StoreError::Collisions { path: parent.join(".forming") })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; what remains begins with a dot and is named.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
