//! What a catalogue says and cannot be: a changed state slot or summary, and segments that were dropped, though the state that said so is lost.

use super::catalog::{
    CATALOG_FILE, CatalogError, CatalogReader, GROUP_ENTRIES, HEADER_LEN, STATE_AT, STATE_LEN, Summary, decode_state, entries_in,
    entry_at, read_entry,
};
use super::facts::{FACTS_LEN, SegmentFacts};
use super::ids::SegmentId;
use super::snapshot::log_paths;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The place after the entries from one on whose segments were dropped without the catalogue saying so. That is written without waiting
/// for the disk, in a slot that may be damaged: but the oldest are dropped first, and their files go with them.
pub(super) fn dropped_unsaid(ring: &Path, file: &File, from: u64, entries: u64) -> u64 {
    let mut lowest = None;
    let mut at = from;
    while at < entries {
        let Ok(Some(facts)) = read_entry(file, at) else { break };
        let is_gone = |end: &str| matches!(fs::metadata(ring.join(format!("{}.{end}", facts.id))), Err(e) if e.kind() == std::io::ErrorKind::NotFound);
        // What a repair found lost stays, so that it is named.
        if facts.has(SegmentFacts::LOST) || !is_gone("pcapng") || !is_gone("idx") {
            break;
        }
        if lowest.get_or_insert_with(|| lowest_present(ring)).is_none_or(|lowest| facts.id >= lowest) {
            break;
        }
        at += 1;
    }
    at
}

/// The lowest segment of which a file is there.
fn lowest_present(ring: &Path) -> Option<SegmentId> {
    let files = fs::read_dir(ring).ok()?.filter_map(|e| e.map(|e| e.path()).ok());
    let of_segment = files.filter(|p| p.extension().is_some_and(|x| x == "pcapng" || x == "idx"));
    of_segment.filter_map(|p| SegmentId::parse(p.file_stem()?.to_str()?)).min()
}

/// Places of the catalogue that do not agree with their checksums and that no reader stumbles over.
pub(super) fn damaged_places(ring: &Path) -> Result<Vec<u64>, CatalogError> {
    let catalog = CatalogReader::open(ring)?;
    if let Some(at) = damaged_end(ring, &catalog) {
        return Err(CatalogError::Damaged(at));
    }
    let places = look(ring)?;
    // One that is being written looks damaged for a moment.
    let again = if places.is_empty() { Vec::new() } else { look(ring)? };
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
