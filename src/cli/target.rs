//! Where a result goes: standard output, a device or pipe, or a file that is replaced only when complete.
//!
//! A file grows without a name (`O_TMPFILE`) and gets one when it is complete, so that nothing is left behind however the process
//! ends, by a signal or by a loss of power. Where the file system cannot do that, it grows under a temporary name.

use super::output::Failure;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde::Serialize;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

/// Symbolic links that are followed to the file that is meant.
const LINKS_MAX: usize = 40;

/// Where a result goes. A file is replaced only by [`Target::finish`]; without it, nothing is left behind.
pub(super) struct Target {
    shown: String,
    file: File,
    replaces: Option<Replacement>,
}

struct Replacement {
    path: PathBuf,
    /// Whether something is there already that is given up.
    exists: bool,
    temporary: PathBuf,
    /// Whether the temporary name is in use.
    is_named: bool,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.is_named {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Whether a path means standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|p| path == Path::new(p))
}

/// Whether two paths lead to one file, be it there or not, so that the second result would replace the first. The null device keeps
/// neither.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    match (found(a), found(b)) {
        (Some(a), Some(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()) && !is_null(&a),
        (None, None) => place(a).is_some_and(|p| Some(p) == place(b)),
        _ => false,
    }
}

/// What a result at `path` would meet.
fn found(path: &Path) -> Option<fs::Metadata> {
    if !is_stdout(path) {
        return fs::metadata(path).ok();
    }
    io::stdout().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata()).ok()
}

fn is_null(found: &fs::Metadata) -> bool {
    fs::metadata("/dev/null").is_ok_and(|null| (null.mode(), null.rdev()) == (found.mode(), found.rdev()))
}

/// The folder in which a file at `path` would come to lie, and its name there.
fn place(path: &Path) -> Option<PathBuf> {
    let path = followed(path);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(parent).ok()?.join(path.file_name()?))
}

/// Whether a file that is or would be at `path` lies in a folder, links followed.
pub(super) fn lies_in(path: &Path, folder: &Path) -> bool {
    let path = followed(path);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (fs::canonicalize(parent), fs::canonicalize(folder)) {
        (Ok(parent), Ok(folder)) => parent.starts_with(folder),
        _ => false,
    }
}

impl Target {
    /// Standard output for `-`; what is no regular file (a device, a FIFO) is written directly. A link stays: what it leads to is
    /// replaced, and keeps its permissions and owner.
    pub(super) fn open(path: &Path) -> Result<Target, Failure> {
        let shown = path.display().to_string();
        let cannot = |e: io::Error| Failure::failed(format!("{shown} cannot be written: {e}"));
        if is_stdout(path) {
            let file = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(cannot)?;
            return Ok(Target { shown: "standard output".into(), file, replaces: None });
        }
        let before = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(cannot(e)),
        };
        if before.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(Failure::request(format!("{shown} is a folder: give the name of a file")));
        }
        if before.as_ref().is_some_and(|m| !m.is_file()) {
            let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
            return Ok(Target { shown, file, replaces: None });
        }
        let path = followed(path);
        let Some(name) = path.file_name() else {
            return Err(Failure::request(format!("{shown} names no file: give the name of a file")));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let mut replacement =
            Replacement { temporary: path.with_file_name(hidden), exists: before.is_some(), path, is_named: false };
        let file = match unnamed(replacement.folder()) {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().write(true).create_new(true).open(&replacement.temporary).map_err(cannot)?;
                replacement.is_named = true;
                file
            }
        };
        if let Some(before) = before {
            // The owner first: a change of owner may take permissions away. Only root can give a file away.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
            file.set_permissions(before.permissions()).map_err(cannot)?;
        }
        Ok(Target { shown, file, replaces: Some(replacement) })
    }

    /// Whether a person would see what is written.
    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Takes the bytes.
    pub(super) fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    /// Writes a value and a line end.
    pub(super) fn write_json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Failure::of(&e, false))?;
        let written = self.file.write_all((text + "\n").as_bytes());
        self.unless_gone(written)
    }

    /// Makes it complete, and a file visible under its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let finished = match &mut self.replaces {
            Some(replacement) => replacement.put(&self.file),
            None => Ok(()),
        };
        self.unless_gone(finished)
    }

    fn unless_gone(&self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::failed(format!("{} cannot be written: {e}", self.shown)))
            }
            _ => Ok(()),
        }
    }
}

impl Replacement {
    fn folder(&self) -> &Path {
        self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Gives the file its name.
    fn put(&mut self, file: &File) -> io::Result<()> {
        if self.exists {
            // What is there is given up only for something that lasts.
            file.sync_data()?;
        }
        if !self.is_named {
            if !self.exists {
                match name(file, &self.path) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {} // made by someone else meanwhile
                    done => return done,
                }
            }
            // Only a rename replaces, and it wants a name. One that is in the way was left by a process that is gone.
            match name(file, &self.temporary) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&self.temporary)?;
                    name(file, &self.temporary)?;
                }
                done => done?,
            }
            self.is_named = true;
        }
        fs::rename(&self.temporary, &self.path)?;
        self.is_named = false;
        Ok(())
    }
}

/// A file without a name; `None` where the file system has none, or where the folder cannot be written, which a named one tells.
fn unnamed(folder: &Path) -> Option<File> {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode).ok().map(File::from)
}

fn name(file: &File, path: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// JSON on standard output. A reader that goes away has read enough.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut target = Target::open(Path::new("-"))?;
    target.write_json(value)?;
    target.finish()
}

/// The path that a chain of links leads to, whether or not something is there.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        let Ok(to) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::super::output::WRONG_REQUEST;
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn put(path: &Path, bytes: &[u8]) {
        let mut target = Target::open(path).unwrap();
        target.writer().write_all(bytes).unwrap();
        target.finish().unwrap();
    }

    #[test]
    fn a_file_is_replaced_only_when_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.pcapng");
        let mut target = Target::open(&path).unwrap();
        target.writer().write_all(b"half").unwrap();
        drop(target);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(&path, b"old").unwrap();
        let mut target = Target::open(&path).unwrap();
        target.writer().write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        target.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(Target::open(dir.path()).err().unwrap().status, WRONG_REQUEST);
    }

    #[test]
    fn a_named_temporary_file_does_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.pcapng");
        let temporary = dir.path().join(".cut.tmp");
        let made = || {
            let file = File::create_new(&temporary).unwrap();
            (file, Replacement { path: path.clone(), exists: false, temporary: temporary.clone(), is_named: true })
        };
        drop(made());
        assert!(!temporary.exists());
        let (mut file, mut replacement) = made();
        file.write_all(b"new").unwrap();
        replacement.put(&file).unwrap();
        drop(replacement);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!temporary.exists());
    }

    #[test]
    fn links_stay_and_permissions_too() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link, far) = (dir.path().join("real"), dir.path().join("link"), dir.path().join("far"));
        symlink("link", &far).unwrap();
        symlink("real", &link).unwrap();
        put(&far, b"first"); // the links lead to nothing yet
        assert_eq!(fs::read(&real).unwrap(), b"first");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        put(&far, b"second");
        assert_eq!(fs::read(&real).unwrap(), b"second");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&far).unwrap().is_symlink() && fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn one_file_is_known_by_two_paths() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let same = |a: &str, b: &str| is_same_file(&at(a), &at(b));
        fs::create_dir(at("folder")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink(".", at("here")).unwrap();
        for exists in [false, true] {
            assert!(
                same("file", "./file") && same("file", "folder/../file") && same("file", "here/file") && same("link", "file")
            );
            assert!(!same("file", "other") && !same("file", "folder/file"));
            assert_eq!(at("file").exists(), exists);
            fs::write(at("file"), b"x").unwrap();
        }
        assert!(!is_same_file(Path::new("/dev/null"), Path::new("/dev/null")));
        assert!(is_same_file(Path::new("/dev/zero"), Path::new("/dev/./zero")));
    }

    #[test]
    fn devices_are_written_directly() {
        let mut target = Target::open(Path::new("/dev/null")).unwrap();
        assert!(target.replaces.is_none());
        target.writer().write_all(b"x").unwrap();
        target.finish().unwrap();
    }
}
