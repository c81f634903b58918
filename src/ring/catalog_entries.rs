//! What single entries of a catalogue say, whatever is wrong with the others.

use super::catalog::{CatalogReader, read_entry};
use super::facts::SegmentFacts;
use super::ids::SegmentId;
use std::collections::BTreeSet;
use std::ops::Range;

/// Entries at the end whose numbers tell which segment comes next: streams that are sealed side by side change their order.
const LAST: u64 = 64;

fn entries(catalog: &CatalogReader, places: Range<u64>) -> impl Iterator<Item = (u64, SegmentFacts)> {
    places.filter_map(|place| Some((place, read_entry(&catalog.file, place).ok()??)))
}

/// Takes out of `seen` what any entry names, also a dropped one. Gives the lowest number of the live ones, or where there are none, the
/// highest of the dropped ones.
pub(super) fn take_listed(catalog: &CatalogReader, seen: &mut BTreeSet<SegmentId>) -> Option<SegmentId> {
    let (mut lowest, mut dropped) = (None::<SegmentId>, None::<SegmentId>);
    for (place, facts) in entries(catalog, 0..catalog.entries) {
        seen.remove(&facts.id);
        if place < catalog.dropped {
            dropped = dropped.max(Some(facts.id));
        } else {
            lowest = Some(lowest.map_or(facts.id, |l| l.min(facts.id)));
        }
    }
    lowest.or(dropped)
}

/// The highest number in some of the last entries, dropped ones too.
pub(super) fn highest(catalog: &CatalogReader) -> Option<SegmentId> {
    entries(catalog, catalog.entries.saturating_sub(LAST)..catalog.entries).map(|(_, f)| f.id).max()
}

/// The live entries that can be read.
pub(super) fn readable(catalog: &CatalogReader) -> Vec<SegmentFacts> {
    entries(catalog, catalog.dropped..catalog.entries).map(|(_, f)| f).collect()
}
