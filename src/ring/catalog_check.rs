//! What a catalogue says and cannot be: a changed state slot, summary or last entry.

use super::catalog::{
    CATALOG_FILE, CatalogError, CatalogReader, GROUP_ENTRIES, HEADER_LEN, STATE_AT, STATE_LEN, Summary, decode_state, entries_in,
    entry_at,
};
use super::facts::FACTS_LEN;
use super::snapshot::log_paths;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Places of the catalogue that do not agree with their checksums and that no reader stumbles over.
pub(super) fn damaged_places(ring: &Path) -> Result<Vec<u64>, CatalogError> {
    let look =
        || Ok::<_, CatalogError>([look(ring)?, damaged_end(ring, &CatalogReader::open(ring)?).into_iter().collect()].concat());
    let places = look()?;
    // One that is being written looks damaged for a moment.
    let again = if places.is_empty() { Vec::new() } else { look()? };
    Ok(places.into_iter().filter(|p| again.contains(p)).collect())
}

/// Where the last entry begins if it is damaged: while a segment is being sealed it may be in the making, and the segment's log is there.
fn damaged_end(ring: &Path, catalog: &CatalogReader) -> Option<u64> {
    let torn = catalog.torn_at()?;
    log_paths(ring).is_ok_and(|logs| logs.is_empty()).then_some(torn)
}

fn look(ring: &Path) -> Result<Vec<u64>, CatalogError> {
    let file = File::open(ring.join(CATALOG_FILE))?;
    let mut places = Vec::new();
    let mut header = [0; HEADER_LEN as usize];
    file.read_exact_at(&mut header, 0)?;
    for at in STATE_AT {
        let slot = &header[at as usize..at as usize + STATE_LEN];
        if slot.iter().any(|b| *b != 0) && decode_state(slot).is_none() {
            places.push(at);
        }
    }
    let entries = entries_in(file.metadata()?.len());
    for group in 1..=entries / GROUP_ENTRIES {
        let at = entry_at(group * GROUP_ENTRIES) - FACTS_LEN as u64;
        let mut summary = [0; FACTS_LEN];
        // The last one may be in the making.
        if file.read_exact_at(&mut summary, at).is_ok() && Summary::decode(&summary).is_none() {
            places.push(at);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::catalog::CatalogWriter;
    use std::fs;

    #[test]
    fn slots_that_were_never_written_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        drop(CatalogWriter::open(dir.path()).unwrap());
        assert_eq!(damaged_places(dir.path()).unwrap(), [0; 0]);
        let path = dir.path().join(CATALOG_FILE);
        let whole = fs::read(&path).unwrap();
        for at in STATE_AT[0] as usize..STATE_AT[0] as usize + STATE_LEN {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            fs::write(&path, changed).unwrap();
            assert_eq!(damaged_places(dir.path()).unwrap(), [STATE_AT[0]], "{at}");
        }
    }
}
