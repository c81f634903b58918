//! The data folder: its mark, its sensor, its rings.

use super::ids::SensorId;
use super::name::{folder_name, kept_name};
use super::rescue;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file that marks a data folder.
pub const MARK_FILE: &str = "taploop.json";
/// The file that lists a ring's sealed segments.
pub const CATALOG_FILE: &str = "catalog";
/// The file that names a ring's interface.
pub const RING_FILE: &str = "ring.json";
/// The version of the folder's layout.
pub const LAYOUT_VERSION: u32 = 1;

/// A data folder.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    sensor: SensorId,
}

/// Why a folder cannot be used as a data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is not there.
    #[error("there is no folder {}: `taploop import --data {} FILE` makes one", .0.display(), .0.display())]
    Missing(PathBuf),
    /// It is there, but not one of ours.
    #[error("{} is not a Taploop data folder: it has no {MARK_FILE}", .0.display())]
    NotData(PathBuf),
    /// Made by a later version.
    #[error("{} has layout version {version}, which this program does not know: use a newer one", path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Its mark cannot be understood.
    #[error("{} is damaged: {reason}: `taploop ring check --repair` makes it anew", path.display())]
    Mark {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk says no.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Mark {
    layout: u32,
    sensor: String,
}

/// How much of a ring is kept. Nothing set keeps everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Bytes of the ring's files, index included.
    pub max_bytes: Option<u64>,
    /// Seconds since a segment's last packet arrived.
    pub max_age_seconds: Option<u64>,
    /// Bytes that stay free on the file system.
    pub min_free_bytes: Option<u64>,
}

/// What `ring.json` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RingInfo {
    /// The version of the folder's layout.
    pub layout: u32,
    /// The interface's true name.
    pub interface: String,
    /// The limits its last writer had.
    #[serde(default)]
    pub retention: Retention,
}

impl DataDir {
    /// Opens an existing data folder.
    pub fn open(path: &Path) -> Result<DataDir, DataError> {
        let mark_path = path.join(MARK_FILE);
        let damaged = |reason: String| DataError::Mark { path: mark_path.clone(), reason };
        let text = match fs::read(&mark_path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory => {
                let path = path.to_path_buf();
                return Err(if path.exists() { DataError::NotData(path) } else { DataError::Missing(path) });
            }
            Err(source) => return Err(DataError::Io { path: mark_path, source }),
        };
        let mark: Mark = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if mark.layout != LAYOUT_VERSION {
            return Err(DataError::Version { path: path.to_path_buf(), version: mark.layout });
        }
        let sensor = SensorId::parse(&mark.sensor).ok_or_else(|| damaged("the sensor id is not 32 hexadecimal digits".into()))?;
        Ok(DataDir { path: path.to_path_buf(), sensor })
    }

    /// Opens a data folder, making it where there is none. A folder with other things in it is refused.
    pub fn open_or_create(path: &Path) -> Result<DataDir, DataError> {
        match Self::open(path) {
            Err(DataError::Missing(_)) => {}
            Err(DataError::NotData(_)) if is_empty_folder(path) => {}
            other => return other,
        }
        let io_error = |source| DataError::Io { path: path.to_path_buf(), source };
        fs::create_dir_all(path).map_err(io_error)?;
        let mut id = [0; 16];
        File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut id)).map_err(io_error)?;
        let mark = Mark { layout: LAYOUT_VERSION, sensor: SensorId(id).to_string() };
        let text = serde_json::to_string_pretty(&mark).map_err(|e| io_error(e.into()))?;
        write_whole_once(&path.join(MARK_FILE), text.as_bytes()).map_err(io_error)?;
        Self::open(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose data it is.
    pub fn sensor(&self) -> SensorId {
        self.sensor
    }

    /// The folder of all rings.
    pub fn rings_path(&self) -> PathBuf {
        self.path.join("rings")
    }

    /// The folder of one interface's ring.
    pub fn ring_path(&self, interface: &str) -> PathBuf {
        self.rings_path().join(folder_name(&kept_name(interface)))
    }

    /// The interfaces that have rings, sorted by name. Folders that are no rings are passed over, and those that no longer say of which
    /// interface they are.
    pub fn interfaces(&self) -> Result<Vec<String>, DataError> {
        let (names, nameless) = self.rings()?;
        nameless.iter().for_each(|e| tracing::warn!("{e}"));
        Ok(names)
    }

    /// The interfaces that have rings, sorted by name, and what is wrong with rings that no longer say of which interface they are.
    pub(super) fn rings(&self) -> Result<(Vec<String>, Vec<DataError>), DataError> {
        let path = self.rings_path();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            Err(source) => return Err(DataError::Io { path, source }),
        };
        let (mut names, mut nameless) = (Vec::new(), Vec::new());
        for entry in entries {
            let ring = entry.map_err(|source| DataError::Io { path: path.clone(), source })?.path();
            match read_ring_info(&ring) {
                Ok(Some(info)) => names.push(info.interface),
                Ok(None) => {}
                // What else it says is told where that ring is opened; it keeps no other from being read.
                Err(e) => match rescue::interface(&ring) {
                    Some(name) => names.push(name),
                    None => nameless.push(e),
                },
            }
        }
        names.sort();
        Ok((names, nameless))
    }

    /// A data folder whose mark is damaged, if its segments still tell the sensor; with `repair`, the mark is written anew.
    pub(super) fn rescue(path: &Path, repair: bool) -> Option<(DataDir, io::Result<()>)> {
        let sensor = rescue::sensor(&path.join("rings"))?;
        let mark = Mark { layout: LAYOUT_VERSION, sensor: sensor.to_string() };
        let written = match serde_json::to_string_pretty(&mark) {
            Ok(text) if repair => replace_file(&path.join(MARK_FILE), text.as_bytes()),
            Ok(_) => Ok(()),
            Err(e) => Err(e.into()),
        };
        Some((DataDir { path: path.to_path_buf(), sensor }, written))
    }
}

/// What is left of what a ring's folder says of itself where that is damaged: its interface.
pub(super) fn rescued_ring_info(ring: &Path) -> Option<RingInfo> {
    Some(RingInfo { layout: LAYOUT_VERSION, interface: rescue::interface(ring)?, retention: Retention::default() })
}

/// What a ring's folder says of itself; `None` where it is not a ring.
pub fn read_ring_info(ring: &Path) -> Result<Option<RingInfo>, DataError> {
    let path = ring.join(RING_FILE);
    let damaged = |reason: String| DataError::Mark { path: path.clone(), reason };
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound && ring.join(CATALOG_FILE).exists() => {
            return Err(damaged("it is gone".into()));
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(DataError::Io { path, source }),
    };
    let info: RingInfo = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if ring.file_name().is_none_or(|folder| folder != &*folder_name(&info.interface)) {
        return Err(damaged("its interface is not the one that the folder is named after".into()));
    }
    if info.layout != LAYOUT_VERSION {
        return Err(DataError::Version { path, version: info.layout });
    }
    Ok(Some(info))
}

/// Writes what a ring's folder says of itself.
pub fn write_ring_info(ring: &Path, info: &RingInfo) -> io::Result<()> {
    let text = serde_json::to_string_pretty(info)?;
    replace_file(&ring.join(RING_FILE), text.as_bytes())
}

/// Replaces a small file so that readers see the old or the new one, and syncs it and its folder.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Like [`replace_file`], but after a power loss the old one, or none, may be there.
pub fn replace_quickly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

/// Like [`replace_file`], but a file that is there already stays.
fn write_whole_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

/// Makes a folder's entries last.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes that are free on a folder's file system, where that is known.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let s = rustix::fs::statvfs(path).ok()?;
    Some(s.f_bavail * s.f_frsize)
}

/// Bytes of a folder's file system, where that is known.
pub fn space(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(path).ok().map(|s| s.f_blocks.saturating_mul(s.f_frsize))
}

/// Whether there is nothing in it, or nothing but the mark that somebody else is just making, and what a new file system comes with.
fn is_empty_folder(path: &Path) -> bool {
    let is_mark = |name: &str| name.starts_with("taploop.") && name.ends_with(".tmp") || name == MARK_FILE;
    let is_none = |name: &str| is_mark(name) || name == "lost+found";
    fs::read_dir(path).is_ok_and(|entries| entries.flatten().all(|e| e.file_name().to_str().is_some_and(is_none)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_data_folder_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        assert!(matches!(DataDir::open(&path), Err(DataError::Missing(_))));
        let made = DataDir::open_or_create(&path).unwrap();
        assert_eq!(DataDir::open_or_create(&path).unwrap().sensor(), made.sensor());
        assert!(made.interfaces().unwrap().is_empty());
        let disk = dir.path().join("disk");
        fs::create_dir_all(disk.join("lost+found")).unwrap();
        DataDir::open_or_create(&disk).unwrap();
        fs::write(dir.path().join("other"), "x").unwrap();
        assert!(matches!(DataDir::open_or_create(dir.path()), Err(DataError::NotData(_))));
        assert!(matches!(DataDir::open(&dir.path().join("other")), Err(DataError::NotData(_))));
    }

    #[test]
    fn rings_are_listed_by_their_true_names() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(dir.path()).unwrap();
        for name in ["eth1", "a/b"] {
            let ring = data.ring_path(name);
            fs::create_dir_all(&ring).unwrap();
            let info = RingInfo { layout: LAYOUT_VERSION, interface: name.into(), retention: Retention::default() };
            write_ring_info(&ring, &info).unwrap();
            assert_eq!(read_ring_info(&ring).unwrap(), Some(info));
        }
        fs::create_dir(data.rings_path().join("lost+found")).unwrap();
        assert_eq!(data.interfaces().unwrap(), ["a/b", "eth1"]);
    }
}
