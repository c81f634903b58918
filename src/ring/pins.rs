//! Pins: windows whose segments are kept when their ring drops them. One synced file a pin, `DATA/pins/<id>.json`.
//!
//! A file that cannot be understood is named, and keeps nothing that is dropped from then on: what it asks for is not known. But it may be
//! what asked for segments that are kept already: as long as it is there, none of them is deleted.

use super::catalog::reach;
use super::data::{replace_file, sync_folder};
use super::facts::SegmentFacts;
use super::lock::{LOCK_FILE, lock_file};
use super::name::{folder_name, kept_name};
use crate::time::{Timestamp, Window};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The folder of pins, in the data folder.
pub const PINS_FOLDER: &str = "pins";
/// The version of a pin's file.
pub const PIN_VERSION: u32 = 1;
/// Pins that a data folder has at most: they are read each time that a segment is dropped.
pub const PINS_MAX: usize = 1000;
/// Bytes that a pin may come to keep where nothing else is asked for.
pub const PIN_BYTES_DEFAULT: u64 = 10 << 30;
/// But no more than the disk's size by this.
pub const PIN_DISK_PART: u64 = 10;
/// Bytes of a pin's file that are read, at most.
const PIN_FILE_MAX: u64 = 1 << 20;
/// Digits of a pin's id.
const ID_LEN: usize = 8;

/// A window that is kept from being dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pin {
    /// The version of the file.
    pub version: u32,
    /// Eight hexadecimal digits.
    pub id: String,
    /// Why it was made.
    pub name: String,
    /// Of which interfaces; all, also those that come later, where it is empty.
    pub interfaces: Vec<String>,
    /// From when on; from the beginning where it is open.
    pub from: Option<Timestamp>,
    /// Up to when; to the end of time where it is open.
    pub to: Option<Timestamp>,
    /// The selection that it was made with, for people: whole segments are kept, whatever hosts it names.
    pub selection: String,
    /// When it was made.
    pub made: Timestamp,
    /// From when on it no longer counts.
    pub expires: Option<Timestamp>,
    /// Bytes of segments, index included, that it may keep.
    pub max_bytes: u64,
}

impl Pin {
    /// When.
    pub fn window(&self) -> Window {
        Window { from: self.from.unwrap_or(Timestamp::ZERO), to: self.to.unwrap_or(Timestamp::MAX) }
    }

    /// Whether it has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|t| t <= now)
    }

    /// Whether it asks for the interface whose folder has this name.
    pub fn names_folder(&self, folder: &OsStr) -> bool {
        self.interfaces.is_empty() || self.interfaces.iter().any(|i| folder == &*folder_name(&kept_name(i)))
    }

    /// Whether it asks for a segment, if it asks for its interface.
    pub fn covers(&self, facts: &SegmentFacts) -> bool {
        let (low, high) = reach(facts);
        self.window().touches(low, high)
    }
}

/// The pins of a data folder.
#[derive(Default, Debug)]
pub struct Pins {
    /// Those that can be understood, in the order in which they were made.
    pub pins: Vec<Pin>,
    /// Those that cannot, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Whether a text has the form of a pin's id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id that no pin has.
pub(super) fn new_id(data: &Path) -> io::Result<String> {
    let mut random = File::open("/dev/urandom")?;
    loop {
        let mut bytes = [0; ID_LEN / 2];
        random.read_exact(&mut bytes)?;
        let id: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        if !path(data, &id).exists() {
            return Ok(id);
        }
    }
}

/// The file of a pin.
pub(super) fn path(data: &Path, id: &str) -> PathBuf {
    data.join(PINS_FOLDER).join(format!("{id}.json"))
}

/// Reads all pins.
pub(super) fn read(data: &Path) -> io::Result<Pins> {
    let mut all = Pins::default();
    let entries = match fs::read_dir(data.join(PINS_FOLDER)) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(all),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|x| x != "json") {
            continue;
        }
        match read_one(&path) {
            Ok(Some(pin)) => all.pins.push(pin),
            Ok(None) => {}
            Err(reason) => all.damaged.push((path, reason)),
        }
    }
    all.pins.sort_by(|a, b| (a.made, &a.id).cmp(&(b.made, &b.id)));
    all.damaged.sort();
    Ok(all)
}

/// `None` where it was removed meanwhile.
fn read_one(path: &Path) -> Result<Option<Pin>, String> {
    let mut text = String::new();
    match File::open(path).and_then(|f| f.take(PIN_FILE_MAX).read_to_string(&mut text)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| e.to_string())?,
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let version = serde_json::from_str::<Version>(&text).map_err(|e| e.to_string())?.version;
    if version != PIN_VERSION {
        return Err(format!("it is of version {version}, which this program does not know: use a newer one"));
    }
    let pin: Pin = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    if !is_id(&pin.id) || path.file_stem().is_none_or(|stem| stem != &*pin.id) {
        return Err("it does not have the id that it is named after".into());
    }
    Ok(Some(pin))
}

/// Writes a pin so that it lasts.
pub(super) fn write(data: &Path, pin: &Pin) -> io::Result<()> {
    make_folder(data)?;
    replace_file(&path(data, &pin.id), serde_json::to_string_pretty(pin)?.as_bytes())
}

/// Removes a pin so that it stays gone; `false` where there is none.
pub(super) fn remove(data: &Path, id: &str) -> io::Result<bool> {
    match fs::remove_file(path(data, id)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        removed => removed?,
    }
    sync_folder(&data.join(PINS_FOLDER))?;
    Ok(true)
}

fn make_folder(data: &Path) -> io::Result<()> {
    match fs::create_dir(data.join(PINS_FOLDER)) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_folder(data)),
    }
}

/// Keeps others from changing pins, or deleting what none of them covers, until the file is closed; `None` where one of them is at it.
pub(super) fn lock(data: &Path) -> io::Result<Option<File>> {
    make_folder(data)?;
    let path = data.join(PINS_FOLDER).join(LOCK_FILE);
    // Who records may be another user than who pins: a file that cannot be written can still be locked.
    let file = match File::create(&path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
        made => made?,
    };
    lock_file(file)
}
