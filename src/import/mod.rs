//! Capture files into rings: the one place that joins `pcap/` and `ring/`.

mod description;
mod file;
mod rings;
mod terms;

use crate::pcap::reader::{CaptureReader, OpenError};
use crate::ring::data::DataDir;
use crate::ring::name::kept_name;
use file::import_file;
use rings::{Rings, Ticker, lock};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use rings::RINGS_OPEN_MAX;
pub use terms::{ImportError, Imported, Options, Progress};

/// Looks whether every file is there and any of them begins as a capture does, before anything is made. Only regular files are looked
/// at: reading takes the bytes out of a pipe.
pub fn check_inputs(files: &[PathBuf]) -> Result<(), OpenError> {
    let mut first = None;
    let mut any = false;
    for file in files {
        let is_regular = std::fs::metadata(file).map_or(true, |m| m.is_file() || m.is_dir());
        if file == Path::new("-") || !is_regular {
            any = true;
            continue;
        }
        match CaptureReader::open(file) {
            Ok(_) => any = true,
            Err(e @ OpenError::Io { .. }) => return Err(e),
            Err(e) => _ = first.get_or_insert(e),
        }
    }
    first.filter(|_| !any).map_or(Ok(()), Err)
}

/// Imports files in turn. What came before a damage or an error is kept. What is no capture is named and passed over, and is an error
/// only where nothing else was given.
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
    let mut refused = None;
    for file in files {
        result = result.and_then(|()| match import_file(&rings, file, options, &mut done, progress, warn) {
            Err(ImportError::Open(e)) if !matches!(e, OpenError::Io { .. }) => {
                done.refused_files += 1;
                if files.len() > 1 {
                    warn(format!("{e}; it is passed over"));
                }
                refused.get_or_insert(e);
                Ok(())
            }
            other => other,
        });
    }
    if let Some(e) = refused.filter(|_| done.files == 0) {
        result = result.and(Err(e.into()));
    }
    drop(ticker);
    let closed = lock(&rings).finish();
    // A disk that failed is the cause of whatever else went wrong.
    closed?;
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
        assert!(check_inputs(&[good.clone(), PathBuf::from("-")]).is_ok());
        assert!(check_inputs(&[good.clone(), text.clone()]).is_ok(), "the other is passed over");
        for bad in [text.clone(), dir.path().join("missing"), dir.path().to_path_buf(), good.join("below")] {
            let error = ImportError::from(
                check_inputs(&[if bad == text { text.clone() } else { good.clone() }, bad.clone()]).unwrap_err(),
            );
            assert!(error.is_request() && error.to_string().contains(&bad.display().to_string()), "{error}");
        }
    }
}
