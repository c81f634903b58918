//! What people do with pins: make, list and remove them.

use super::data::{DataDir, DataError, space};
use super::facts::SegmentFacts;
use super::name::folder_name;
use super::not_kept::{self, NotKept};
use super::paths::{KEPT_FOLDER, kept_folder};
use super::pins::{self, PIN_BYTES_DEFAULT, PIN_DISK_PART, PIN_VERSION, PINS_FOLDER, PINS_MAX, Pin, Pins};
use super::purge::{Freed, purge};
use super::snapshot::{ReadContext, RingError, RingReader};
use crate::time::{Timestamp, Window};
use serde::Serialize;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a pin cannot be made, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// What it covers is too much.
    #[error(
        "the window holds {bytes} bytes in {segments} segments, which are kept as wholes, and the pin may keep {max_bytes}: give it a shorter window, \
         fewer interfaces, or --max-bytes {bytes} or more"
    )]
    OverBudget {
        /// Bytes that it covers.
        bytes: u64,
        /// In so many segments.
        segments: u64,
        /// What it may keep.
        max_bytes: u64,
    },
    /// A mistyped name would keep nothing, in silence.
    #[error("there is no interface {name:?} here; there are {}", known.join(", "))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// There are as many pins as can be.
    #[error("there are {PINS_MAX} pins already: remove one with `taploop unpin`")]
    TooMany,
    /// No pin has the id.
    #[error("there is no pin {0:?}: `taploop pins` lists them")]
    Unknown(String),
    /// Segments cannot be renamed.
    #[error("{} and {} are on different file systems, so that segments cannot be kept: put both on one", ring.display(), kept.display())]
    OtherFileSystem {
        /// The ring's folder.
        ring: PathBuf,
        /// Where its segments would go.
        kept: PathBuf,
    },
    /// Someone else is at it.
    #[error("pins are being changed by another process: try again when it has ended")]
    Busy,
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PinError {
    /// Whether the request is at fault.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            PinError::OverBudget { .. }
                | PinError::UnknownInterface { .. }
                | PinError::TooMany
                | PinError::Unknown(_)
                | PinError::Data(DataError::Missing(_) | DataError::NotData(_))
        )
    }
}

/// What a pin is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Why.
    pub name: String,
    /// The selection, for people.
    pub selection: String,
    /// Of which interfaces; all where it is empty.
    pub interfaces: Vec<String>,
    /// When.
    pub window: Window,
    /// How long it counts, in nanoseconds.
    pub expires_after: Option<u64>,
    /// Bytes that it may keep; a default where nothing is given.
    pub max_bytes: Option<u64>,
}

/// Segments and their bytes, index included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Amount {
    /// Segments.
    pub segments: u64,
    /// Their packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, facts: &SegmentFacts) {
        self.segments += 1;
        self.packets = self.packets.saturating_add(facts.packets);
        self.bytes = self.bytes.saturating_add(facts.bytes());
    }
}

/// A pin with what it covers now.
#[derive(Clone, Debug, Serialize)]
pub struct Covering {
    /// The pin.
    #[serde(flatten)]
    pub pin: Pin,
    /// Whether it has expired.
    pub expired: bool,
    /// What it covers that is still in rings, growing segments included.
    pub in_ring: Amount,
    /// What it covers that was dropped from them.
    pub kept: Amount,
    /// What was dropped though it covers it.
    pub not_kept: NotKept,
}

/// All pins, and what is wrong.
#[derive(Debug, Default)]
pub struct Listed {
    /// Pins, in the order in which they were made.
    pub pins: Vec<Covering>,
    /// What could not be read, in words.
    pub problems: Vec<String>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> PinError + '_ {
    |source| PinError::Io { path: path.to_path_buf(), source }
}

/// Makes a pin, unless what it covers now is more than it may keep.
pub fn pin(data: &DataDir, wanted: &Wanted) -> Result<Covering, PinError> {
    let known = data.interfaces()?;
    if let Some(name) = wanted.interfaces.iter().find(|i| !known.contains(i)) {
        return Err(PinError::UnknownInterface { name: name.clone(), known });
    }
    let folder = data.path().join(PINS_FOLDER);
    let _lock = lock(data.path())?;
    let mut all = pins::read(data.path()).map_err(io_error(&folder))?;
    if all.pins.len() + all.damaged.len() >= PINS_MAX {
        return Err(PinError::TooMany);
    }
    let now = Timestamp::now();
    let pin = Pin {
        version: PIN_VERSION,
        id: pins::new_id(data.path()).map_err(io_error(&folder))?,
        name: wanted.name.clone(),
        interfaces: wanted.interfaces.clone(),
        from: Some(wanted.window.from).filter(|t| *t != Timestamp::ZERO),
        to: Some(wanted.window.to).filter(|t| *t != Timestamp::MAX),
        selection: wanted.selection.clone(),
        made: now,
        expires: wanted.expires_after.map(|ns| now.saturating_add(ns)),
        max_bytes: wanted.max_bytes.unwrap_or_else(|| default_bytes(data.path())),
    };
    for interface in known.iter().filter(|i| asks_for(&pin, i)) {
        can_keep(data, interface)?;
    }
    let covers = |pin: Pin| -> Result<Covering, PinError> {
        let rings = open(data, &known, |i| asks_for(&pin, i)).into_iter().collect::<Result<Vec<_>, _>>()?;
        covering(pin, &rings, now)
    };
    let before = covers(pin)?;
    let bytes = before.in_ring.bytes.saturating_add(before.kept.bytes);
    if bytes > before.pin.max_bytes {
        let segments = before.in_ring.segments + before.kept.segments;
        return Err(PinError::OverBudget { bytes, segments, max_bytes: before.pin.max_bytes });
    }
    pins::write(data.path(), &before.pin).map_err(io_error(&folder))?;
    all.pins.push(before.pin.clone());
    clean(data, &all)?;
    // What was dropped before it was there is gone, and not told.
    covers(before.pin)
}

/// Removes a pin, and what is kept that no other covers.
pub fn unpin(data: &DataDir, id: &str) -> Result<Freed, PinError> {
    let folder = data.path().join(PINS_FOLDER);
    if !pins::is_id(id) || !pins::path(data.path(), id).exists() {
        return Err(PinError::Unknown(id.to_string()));
    }
    let _lock = lock(data.path())?;
    if !pins::remove(data.path(), id).map_err(io_error(&folder))? {
        return Err(PinError::Unknown(id.to_string()));
    }
    let all = pins::read(data.path()).map_err(io_error(&folder))?;
    clean(data, &all)
}

/// Lists all pins with what they cover. Changes nothing.
pub fn list(data: &DataDir) -> Result<Listed, PinError> {
    let folder = data.path().join(PINS_FOLDER);
    let all = pins::read(data.path()).map_err(io_error(&folder))?;
    let mut listed = Listed::default();
    for (path, reason) in all.damaged {
        listed.problems.push(format!(
            "{} is no pin that can be understood ({reason}): it keeps nothing more, and nothing that is kept is deleted until it is unpinned",
            path.display()
        ));
    }
    if all.pins.is_empty() {
        return Ok(listed);
    }
    let mut rings = Vec::new();
    for ring in open(data, &data.interfaces()?, |_| true) {
        match ring {
            Ok(ring) => rings.push(ring),
            Err(e) => listed.problems.push(e.to_string()),
        }
    }
    for pin in all.pins {
        listed.pins.push(covering(pin, &rings, Timestamp::now())?);
    }
    Ok(listed)
}

/// Bytes that a pin may keep where nothing is asked for.
fn default_bytes(data: &Path) -> u64 {
    PIN_BYTES_DEFAULT.min(space(data).unwrap_or(u64::MAX) / PIN_DISK_PART)
}

fn asks_for(pin: &Pin, interface: &str) -> bool {
    pin.names_folder(OsStr::new(&folder_name(interface)))
}

fn lock(data: &Path) -> Result<File, PinError> {
    pins::lock(data).map_err(io_error(&data.join(PINS_FOLDER)))?.ok_or(PinError::Busy)
}

/// Whether segments of a ring can be renamed to where they are kept.
fn can_keep(data: &DataDir, interface: &str) -> Result<(), PinError> {
    let ring = data.ring_path(interface);
    let kept = kept_folder(&ring);
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    // The first of the folders that are there already; the others come to lie in it.
    let on = kept.ancestors().find_map(device);
    if device(&ring).is_some_and(|d| on.is_some_and(|on| on != d)) {
        Err(PinError::OtherFileSystem { ring, kept })
    } else {
        Ok(())
    }
}

fn open(data: &DataDir, interfaces: &[String], wanted: impl Fn(&str) -> bool) -> Vec<Result<RingReader, RingError>> {
    let context = ReadContext::default();
    interfaces.iter().filter(|i| wanted(i)).map(|i| RingReader::open(data, i, &context)).collect()
}

fn covering(pin: Pin, rings: &[RingReader], now: Timestamp) -> Result<Covering, PinError> {
    let mut told = Covering {
        expired: pin.is_expired(now),
        pin,
        in_ring: Amount::default(),
        kept: Amount::default(),
        not_kept: NotKept::default(),
    };
    for ring in rings.iter().filter(|r| asks_for(&told.pin, r.interface())) {
        for facts in ring.segments_in(&told.pin.window())? {
            if ring.is_kept(&facts) { &mut told.kept } else { &mut told.in_ring }.add(&facts);
        }
        if let Some(missed) = not_kept::read(ring.path()).remove(&told.pin.id) {
            let sum = &mut told.not_kept;
            sum.segments = sum.segments.saturating_add(missed.segments);
            sum.packets = sum.packets.saturating_add(missed.packets);
            sum.bytes = sum.bytes.saturating_add(missed.bytes);
            sum.why = missed.why;
        }
    }
    Ok(told)
}

/// Deletes of all rings what no pin keeps, and the pins that have expired.
fn clean(data: &DataDir, all: &Pins) -> Result<Freed, PinError> {
    let now = Timestamp::now();
    let mut freed = Freed::default();
    let kept = data.path().join(KEPT_FOLDER);
    let entries = match fs::read_dir(&kept) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries.map_err(io_error(&kept))?),
    };
    for entry in entries.into_iter().flatten() {
        let folder = entry.map_err(io_error(&kept))?.file_name();
        let done = purge(&data.rings_path().join(&folder), all, now).map_err(io_error(&kept.join(&folder)))?;
        freed.segments += done.segments;
        freed.bytes = freed.bytes.saturating_add(done.bytes);
    }
    for pin in all.pins.iter().filter(|p| p.is_expired(now)) {
        pins::remove(data.path(), &pin.id).map_err(io_error(&pins::path(data.path(), &pin.id)))?;
    }
    Ok(freed)
}
