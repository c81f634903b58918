//! The words of an import: what is asked, how far it has come, what it did, why it failed.

use crate::pcap::reader::{OpenError, ReadError};
use crate::ring::data::Retention;
use crate::ring::dropped::Dropped;
use crate::ring::ring_writer::RingWriteError;
use crate::ring::writer::SEGMENT_BYTES;
use std::collections::BTreeSet;
use std::io::ErrorKind;

/// How to import.
#[derive(Clone, Debug)]
pub struct Options {
    /// One interface for all packets, whatever the files say.
    pub interface: Option<String>,
    /// Limits of the rings. Without any a ring keeps those it has; a new one keeps everything.
    pub retention: Retention,
    /// Bytes of a segment; fewer where the limits or the disk are small.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { interface: None, retention: Retention::default(), segment_bytes: SEGMENT_BYTES }
    }
}

/// How far an import has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The file being read.
    pub file: String,
    /// Bytes of it that were read.
    pub position: u64,
    /// Its bytes, if known.
    pub size: Option<u64>,
    /// Packets of all files so far.
    pub packets: u64,
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Packets of all files.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Files that were read.
    pub files: u64,
    /// Files that were read only up to a damage.
    pub damaged_files: u64,
    /// Times out of range that were clamped.
    pub clamped_times: u64,
    /// The interfaces that got packets.
    pub interfaces: BTreeSet<String>,
    /// What was dropped from the rings to make room.
    pub dropped: Dropped,
    /// Files that could not be read as captures, or whose disk would not give them to their end, and why. They do not keep the others out.
    pub refused: Vec<ImportError>,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read as a capture.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading a file failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing a ring failed.
    #[error(transparent)]
    Write(#[from] RingWriteError),
}

impl ImportError {
    /// Whether the request is at fault: a file that is not there or no capture, a limit that cannot be kept.
    pub fn is_request(&self) -> bool {
        match self {
            ImportError::Open(OpenError::Io { source, .. }) => {
                matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
            }
            ImportError::Open(_) | ImportError::Write(RingWriteError::Limit(_)) => true,
            ImportError::Read(_) | ImportError::Write(_) => false,
        }
    }
}
