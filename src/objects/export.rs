//! `--export-dir`: contents under safe names in a folder, and `manifest.json` that says everything of them.
//!
//! What is in the folder already is neither overwritten nor followed: names that are taken, in any letter case, get a number. A file appears
//! under its name only when it is whole; the manifest is written last.
//!
//! Where provenance was asked for, which packet carried which bytes stands beside each content in `NAME.packets.jsonl`, as JSON lines; their
//! `source` counts the manifest's `sources`. Versions of one read or write share theirs.

use super::disk::PIECE_BYTES;
use super::error::StoreError;
use super::object::{Object, name};
use super::safe_name::{numbered, safe_name};
use super::transfer::Transfer;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Added to the names of incomplete contents.
const PARTIAL: &str = ".partial";

/// Added to the name of a content: the file that says which packets carried it.
const PACKETS: &str = ".packets.jsonl";

/// Numbers that are tried for one name at most: more files of one name than anybody looks at.
const NUMBERS_MAX: u32 = 1_000_000;

/// An export under way. The manifest's entries are written to the folder as they come, so that memory does not grow with them but for names.
#[derive(Debug)]
pub struct Export {
    folder: PathBuf,
    /// All names that are taken, in lower case.
    taken: HashSet<String>,
    /// The number to try next for a name that was taken before.
    next: HashMap<String, u32>,
    manifest: BufWriter<File>,
    manifest_path: PathBuf,
    entries: u64,
    /// Of reads and writes with several versions: where their packets stand.
    shared: HashMap<PathBuf, String>,
    /// The manifest is at its place.
    ended: bool,
}

/// What does not come to its end leaves no manifest, and no beginning of one.
impl Drop for Export {
    fn drop(&mut self) {
        if !self.ended {
            // Nothing can be done about a failure here; its name says that it is not whole.
            let _ = std::fs::remove_file(&self.manifest_path);
        }
    }
}

/// What the manifest says of one object.
#[derive(Serialize)]
struct Entry<'a> {
    /// The file in the folder.
    file: &'a str,
    /// The file in the folder that says which packets carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<&'a str>,
    /// The ranges of it that were seen; what lies between them is a hole.
    seen: &'a [(u64, u64)],
    #[serde(flatten)]
    object: &'a Object,
}

/// Where packets lie: what `source` of a packet counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Source {
    /// A capture file.
    File {
        /// As it was named.
        file: String,
    },
    /// A segment of a ring.
    Segment {
        /// The ring's interface.
        interface: String,
        /// The packet file's name in the ring's folder.
        segment: String,
    },
}

impl Export {
    /// Begins: makes the folder where it is not there, and reads which names are taken in it.
    pub fn new(folder: &Path) -> Result<Export, StoreError> {
        std::fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
        let mut taken = HashSet::new();
        for entry in std::fs::read_dir(folder).map_err(|e| StoreError::io("list", folder, e))? {
            let entry = entry.map_err(|e| StoreError::io("list", folder, e))?;
            taken.insert(entry.file_name().to_string_lossy().to_lowercase());
        }
        let (manifest_path, file) = temporary(folder, "manifest")?;
        let mut manifest = BufWriter::new(file);
        manifest.write_all(b"{\"version\":1,\"objects\":[").map_err(|e| StoreError::io("write", &manifest_path, e))?;
        // The manifest's own name is its.
        taken.insert(String::from("manifest.json"));
        let (next, shared) = (HashMap::new(), HashMap::new());
        Ok(Export { folder: folder.to_owned(), taken, next, manifest, manifest_path, entries: 0, shared, ended: false })
    }

    /// Exports one object; without a stored content an empty file. Returns its file. A content of the same file system is not copied but
    /// linked: keep the folder of contents inside of this one, and remove it at the end.
    pub fn add(&mut self, transfer: &Transfer, object: &Object) -> Result<PathBuf, StoreError> {
        let mut wanted = safe_name(&name(transfer));
        if let Some(stream) = &transfer.file.stream {
            wanted = safe_name(&format!("{wanted}_{stream}"));
        }
        if !transfer.complete {
            wanted.push_str(PARTIAL);
        }
        let temporary_path = match &transfer.content.stored {
            Some(stored) => brought(&self.folder, self.entries, stored, &transfer.content.seen)?,
            None => temporary(&self.folder, "object")?.0,
        };
        let named = self.give_name(&temporary_path, &wanted);
        if named.is_err() {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&temporary_path);
        }
        let named = named?;
        let packets = self.packets(transfer, &named)?;
        let entry = Entry { file: &named, provenance: packets.as_deref(), seen: &transfer.content.seen, object };
        let comma: &[u8] = if self.entries == 0 { b"\n" } else { b",\n" };
        let written = self.manifest.write_all(comma).and_then(|()| Ok(serde_json::to_writer(&mut self.manifest, &entry)?));
        written.map_err(|e| StoreError::io("write", &self.manifest_path, e))?;
        self.entries += 1;
        Ok(self.folder.join(named))
    }

    /// Puts the lines of which packet carried which bytes beside the content of that name; returns their file's.
    fn packets(&mut self, transfer: &Transfer, named: &str) -> Result<Option<String>, StoreError> {
        let Some(lines) = &transfer.provenance else { return Ok(None) };
        if let Some(known) = self.shared.get(lines) {
            return Ok(Some(known.clone()));
        }
        let length = std::fs::metadata(lines).map_err(|e| StoreError::io("read", lines, e))?.len();
        let temporary_path = brought(&self.folder, self.entries, lines, &[(0, length)])?;
        let given = self.give_name(&temporary_path, &format!("{named}{PACKETS}"));
        if given.is_err() {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&temporary_path);
        }
        let given = given?;
        if transfer.versions > 1 {
            self.shared.insert(lines.clone(), given.clone());
        }
        Ok(Some(given))
    }

    /// Ends: puts the manifest to its place, which says what `source` of a packet counts. Returns its path: `manifest.json`, or numbered where that was there.
    pub fn end(mut self, sources: &[Source]) -> Result<PathBuf, StoreError> {
        let written = self.manifest.write_all(b"\n],\"sources\":").and_then(|()| {
            serde_json::to_writer(&mut self.manifest, sources)?;
            self.manifest.write_all(b"}\n")?;
            self.manifest.flush()
        });
        written.map_err(|e| StoreError::io("write", &self.manifest_path, e))?;
        self.taken.remove("manifest.json");
        self.next.remove("manifest.json");
        let path = self.manifest_path.clone();
        let named = self.give_name(&path, "manifest.json")?;
        self.ended = true;
        Ok(self.folder.join(named))
    }

    /// Moves a file to a name that nothing has, the wanted one if possible.
    fn give_name(&mut self, path: &Path, wanted: &str) -> Result<String, StoreError> {
        let lower = wanted.to_lowercase();
        let first = self.next.get(&lower).copied().unwrap_or(1);
        for number in first..NUMBERS_MAX {
            let name = match (number, wanted.strip_suffix(PARTIAL)) {
                (1, _) => String::from(wanted),
                (_, Some(whole)) => format!("{}{PARTIAL}", numbered(whole, number)),
                (_, None) => numbered(wanted, number),
            };
            if !self.taken.insert(name.to_lowercase()) {
                continue;
            }
            let target = self.folder.join(&name);
            match rename_new(path, &target) {
                Ok(()) => {
                    self.next.insert(lower, number + 1);
                    return Ok(name);
                }
                // Somebody made it meanwhile.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(StoreError::io("rename to", &target, e)),
            }
        }
        Err(StoreError::Collisions { path: self.folder.join(wanted) })
    }
}

/// Renames a file to a name that is not taken; never replaces.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that cannot: a second link never replaces either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(e) => Err(e.into()),
    }
}

/// A new file in the folder, under a name that says that it is not whole.
fn temporary(folder: &Path, what: &str) -> Result<(PathBuf, File), StoreError> {
    for number in 0..NUMBERS_MAX {
        let path = folder.join(format!(".{what}-{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(StoreError::io("create", &path, e)),
        }
    }
    Err(StoreError::Collisions { path: folder.join(what) })
}

/// A stored content under a temporary name in the folder: linked where nothing else links to it and the file system is the same, else copied, so
/// that no two exported files are one. A link is made at once: files that are made and replaced cost ext4 a search for each later one.
fn brought(folder: &Path, number: u64, stored: &Path, seen: &[(u64, u64)]) -> Result<PathBuf, StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let unlinked = std::fs::symlink_metadata(stored).is_ok_and(|m| m.is_file() && m.nlink() == 1);
    let link = folder.join(format!(".object-{}-{number}.link", std::process::id()));
    if unlinked && std::fs::hard_link(stored, &link).is_ok() {
        return Ok(link);
    }
    let (path, file) = temporary(folder, "object")?;
    match copy(stored, &file, seen) {
        Ok(()) => Ok(path),
        Err(e) => {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&path);
            Err(StoreError::io("copy into the export folder", stored, e))
        }
    }
}

/// Copies the seen ranges of a stored content; the rest stays a hole.
fn copy(stored: &Path, to: &File, seen: &[(u64, u64)]) -> io::Result<()> {
    let from = File::open(stored)?;
    to.set_len(from.metadata()?.len())?;
    for (start, end) in seen {
        let (mut read, mut write) = (*start, *start);
        while read < *end {
            let length = usize::try_from(*end - read).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(&from, Some(&mut read), to, Some(&mut write), length) {
                Ok(0) => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    copy_plainly(&from, to, read, *end)?;
                    break;
                }
            }
        }
    }
    Ok(())
}

fn copy_plainly(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = start;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let piece = piece.get_mut(..length).unwrap_or_default();
        super::disk::read_at(from, at, piece)?;
        to.write_all_at(piece, at)?;
        at += length as u64;
    }
    Ok(())
}
