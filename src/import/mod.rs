//! Capture files into rings: the one place that joins `pcap/` and `ring/`.

mod description;
mod file;
mod rings;
mod terms;

use crate::pcap::reader::CaptureReader;
use crate::ring::data::DataDir;
use crate::ring::name::kept_name;
use file::import_file;
use rings::{Rings, Ticker, lock};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use rings::{COPIED_BYTES_MAX, RINGS_OPEN_MAX};
pub use terms::{ImportError, Imported, Options, Progress};

/// Looks whether any of the files can be a capture, before anything is made; else tells of each why not. Only regular files are looked
/// at: reading takes the bytes out of a pipe.
pub fn check_inputs(files: &[PathBuf]) -> Result<(), Vec<ImportError>> {
    let mut refused = Vec::new();
    for file in files {
        let is_regular = std::fs::metadata(file).map_or(true, |m| m.is_file() || m.is_dir());
        if file == Path::new("-") || !is_regular {
            return Ok(());
        }
        match CaptureReader::open(file) {
            Ok(_) => return Ok(()),
            Err(e) => refused.push(e.into()),
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Imports files in turn. What came before a damage or an error is kept, and a file that cannot be read does not stop the others.
pub fn import(
    data: &DataDir,
    files: &[PathBuf],
    options: &Options,
    progress: &mut dyn FnMut(&Progress),
    warn: &mut dyn FnMut(String),
) -> Result<Imported, ImportError> {
    let rings = Arc::new(Mutex::new(Rings::new(data, options)));
    let ticker = Ticker::start(rings.clone());
    let mut done = Imported::default();
    // A ring that is named is opened at once, so that what a killed writer left in it is mended even if no packet comes.
    let mut result = options
        .interface
        .as_deref()
        .map_or(Ok(()), |name| lock(&rings).ring(&kept_name(name)).map(|_| ()).map_err(ImportError::from));
    for file in files {
        if result.is_err() {
            break;
        }
        match import_file(&rings, file, options, &mut done, progress, warn) {
            Err(e @ (ImportError::Open(_) | ImportError::Read(_))) => done.refused.push(e),
            other => result = other,
        }
    }
    drop(ticker);
    let closed = lock(&rings).finish();
    // A disk that failed is the cause of whatever else went wrong.
    done.dropped = closed?;
    result.map(|()| done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_looked_at_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (text, good) = (dir.path().join("text"), dir.path().join("good.pcap"));
        std::fs::write(&text, "words").unwrap();
        std::fs::write(&good, [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &[0, 0, 4, 0, 1, 0, 0, 0]].concat()).unwrap();
        let missing = dir.path().join("missing");
        let bad = [text, missing, dir.path().to_path_buf(), good.join("below")];
        let refused = check_inputs(&bad).unwrap_err();
        assert_eq!(refused.len(), bad.len());
        for (error, file) in refused.iter().zip(&bad) {
            assert!(error.is_request() && error.to_string().contains(&file.display().to_string()), "{error}");
        }
        assert!(check_inputs(&[&bad[..], &[good]].concat()).is_ok(), "the others are named later");
        assert!(check_inputs(&[PathBuf::from("-")]).is_ok());
    }
}
