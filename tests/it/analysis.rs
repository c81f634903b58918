//! What `taploop objects` and `taploop events` say of a capture file, as the tests of both read it.

use crate::support::{Output, run_with, taploop};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What one run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    /// One for each line of standard output.
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
}

impl Said {
    /// The events of one of Zeek's logs.
    pub(crate) fn log<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Value> {
        let name = name.to_owned();
        self.lines.iter().filter(move |e| e["_path"] == name.as_str())
    }
}

/// Runs `taploop WORD FILE --json`, with secrets where there are any.
pub(crate) fn ask(word: &str, file: &Path, keys: Option<&Path>) -> Said {
    let mut flags: Vec<&OsStr> = vec!["--json".as_ref()];
    flags.extend(keys.iter().flat_map(|k| ["--keys".as_ref(), k.as_os_str()]));
    let out = ask_with(word, file, &flags);
    let lines = out.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    let parse = |l: &[u8]| serde_json::from_slice(l).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(l)));
    Said { status: out.status, lines: lines.map(parse).collect(), stderr: out.stderr }
}

/// Runs `taploop WORD FILE` with these flags.
pub(crate) fn ask_with(word: &str, file: &Path, flags: &[&OsStr]) -> Output {
    let mut c = taploop();
    c.arg(word).arg(file).args(flags);
    run_with(c, &[])
}

/// The SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The folder of our own SMB captures.
pub(crate) fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/smb")
}

/// A text of an event or object; empty where there is none.
pub(crate) fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or("")
}

/// The entries of a list; none where there is no list.
pub(crate) fn list<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    v[key].as_array().map_or(&[], Vec::as_slice)
}

/// Fails with everything that is wrong, a line each.
#[track_caller]
pub(crate) fn none_wrong(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
