//! Open files of one reader: a bounded number, opened again when needed.

use ahash::AHashMap;
use rustix::fs::OFlags;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Files that one reader holds open.
pub const FILES_OPEN_MAX: usize = 256;

#[derive(Default)]
struct State {
    open: AHashMap<PathBuf, (Arc<File>, u64)>,
    clock: u64,
    opened: u64,
}

/// Opens files for reading and keeps the last used ones open.
#[derive(Default)]
pub struct Files(Mutex<State>);

impl Files {
    /// The file at `path`, opened if it is not.
    pub fn open(&self, path: &Path) -> io::Result<Arc<File>> {
        let mut s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        s.clock += 1;
        let now = s.clock;
        if let Some((file, used)) = s.open.get_mut(path) {
            *used = now;
            return Ok(file.clone());
        }
        // What is no file might never end or never begin: a FIFO would be waited for.
        let open = |flags: OFlags| OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
        // Only their owner may read files without a mark of it.
        let file = match open(OFlags::NONBLOCK | OFlags::NOATIME) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => open(OFlags::NONBLOCK),
            opened => opened,
        }?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
        }
        let file = Arc::new(file);
        s.opened += 1;
        if s.open.len() >= FILES_OPEN_MAX
            && let Some(oldest) = s.open.iter().min_by_key(|(_, (_, used))| *used).map(|(p, _)| p.clone())
        {
            s.open.remove(&oldest);
        }
        s.open.insert(path.to_path_buf(), (file.clone(), now));
        Ok(file)
    }

    /// Closes a file that will not be needed again.
    pub fn close(&self, path: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.remove(path);
    }

    /// How often a file was opened.
    pub fn opened(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).opened
    }
}

/// A file that is opened when it is read, as often as the bound on open files closes it, and closed with this.
///
/// It may be moved at any moment from one folder to another: it is looked for in both.
pub struct LazyFile {
    path: PathBuf,
    moved_to: Option<PathBuf>,
    files: Arc<Files>,
    last: RefCell<Weak<File>>,
}

impl LazyFile {
    /// Opens nothing yet.
    pub fn new(path: PathBuf, files: Arc<Files>) -> LazyFile {
        LazyFile { path, moved_to: None, files, last: RefCell::default() }
    }

    /// One that may be moved, or have been.
    pub fn or_moved_to(mut self, path: PathBuf) -> LazyFile {
        self.moved_to = Some(path).filter(|p| *p != self.path);
        self
    }

    /// Where it is, if it was not moved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file.
    pub fn get(&self) -> io::Result<Arc<File>> {
        if let Some(file) = self.last.borrow().upgrade() {
            return Ok(file);
        }
        let file = match (self.files.open(&self.path), &self.moved_to) {
            (Err(e), Some(moved_to)) if e.kind() == io::ErrorKind::NotFound => self.files.open(moved_to),
            (opened, _) => opened,
        }?;
        *self.last.borrow_mut() = Arc::downgrade(&file);
        Ok(file)
    }
}

impl Drop for LazyFile {
    fn drop(&mut self) {
        if self.last.get_mut().strong_count() > 0 {
            self.files.close(&self.path);
            self.moved_to.iter().for_each(|path| self.files.close(path));
        }
    }
}
