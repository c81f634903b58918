//! Which packet carried which bytes: JSON lines beside the contents, written as they come.
//!
//! One line a piece: `{"version":1,"from":0,"to":1460,"source":0,"number":17,"position":5120,"time":"..."}`. `from` and `to` are offsets in
//! the object, `source` the capture file or segment as the manifest's `sources` count them, `number` the packet's number in the analysis,
//! `position` where its record begins in the
//! source. A later version holds bytes of earlier ones, so lines of earlier versions speak of it too unless a later line covers them.

use super::error::StoreError;
use crate::flow::PacketRef;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of lines held before they are written. Default 32 KiB: the file is opened for each piece, so that many can be under way.
pub(super) const LINES_BYTES: usize = 32 << 10;

#[derive(Serialize)]
struct Line {
    version: u32,
    from: u64,
    to: u64,
    source: u32,
    number: u64,
    position: u64,
    time: crate::time::Timestamp,
}

/// The lines of one read or write.
#[derive(Debug)]
pub(super) struct Sidecar {
    path: PathBuf,
    lines: Vec<u8>,
    made: bool,
}

impl Sidecar {
    /// Lines that go to a new file.
    pub(super) fn new(path: PathBuf) -> Sidecar {
        Sidecar { path, lines: Vec::new(), made: false }
    }

    /// A packet carried bytes.
    pub(super) fn say(&mut self, version: u32, from: u64, to: u64, at: &PacketRef) -> Result<(), StoreError> {
        let line = Line { version, from, to, source: at.source, number: at.number, position: at.position, time: at.time };
        // Plain values into memory: it does not fail.
        let _ = serde_json::to_writer(&mut self.lines, &line);
        self.lines.push(b'\n');
        if self.lines.len() >= LINES_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is held.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let made = std::mem::replace(&mut self.made, true);
        let mut how = OpenOptions::new();
        how.append(true).mode(0o600);
        if made {
            how.create(true);
        } else {
            how.create_new(true);
        }
        let file = how.open(&self.path).and_then(|mut file| file.write_all(&self.lines));
        file.map_err(|e| StoreError::io("write", &self.path, e))?;
        self.lines.clear();
        Ok(())
    }

    /// Where they are, once something was written.
    pub(super) fn path(&self) -> Option<&Path> {
        self.made.then_some(self.path.as_path())
    }

    /// Bytes of memory it takes, about.
    pub(super) fn cost(&self) -> usize {
        self.lines.len() + self.path.as_os_str().len()
    }
}
