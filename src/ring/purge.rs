//! Deleting kept segments that no pin covers any more.

use super::catalog::{CatalogError, CatalogReader, reach};
use super::facts::SegmentFacts;
use super::ids::SegmentId;
use super::kept;
use super::paths::data_of;
use super::pins::{Pin, Pins};
use crate::time::{Timestamp, Window};
use std::collections::HashSet;
use std::io;
use std::path::Path;

/// What was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Freed {
    /// Segments.
    pub segments: u64,
    /// Their bytes, index included, as far as that is known.
    pub bytes: u64,
}

/// Deletes what is kept of a ring and no unexpired pin covers. The pins must have been read since they were locked.
///
/// Segments whose index cannot be read go when no pin asks for the interface at all; nothing goes as long as a pin cannot be understood, or
/// while the catalogue still lists the segment.
pub(super) fn purge(ring: &Path, pins: &Pins, now: Timestamp) -> io::Result<Freed> {
    let kept = kept::list(ring, |_| None)?;
    for &id in &kept.half_deleted {
        kept::delete(ring, id)?;
    }
    let mut freed = Freed::default();
    if !pins.damaged.is_empty() {
        return Ok(freed);
    }
    let folder = ring.file_name().unwrap_or_default();
    let live: Vec<&Pin> = pins.pins.iter().filter(|p| p.names_folder(folder) && !p.is_expired(now)).collect();
    let mut go: Vec<(SegmentId, u64)> = Vec::new();
    go.extend(kept.segments.iter().filter(|f| !live.iter().any(|p| p.covers(f))).map(|f| (f.id, f.bytes())));
    if live.is_empty() {
        go.extend(kept.damaged.iter().map(|(id, ..)| (*id, 0)));
    }
    if go.is_empty() {
        return Ok(freed);
    }
    let reaches = if live.is_empty() { Window::ALL } else { reach_of(&kept.segments) };
    let Some(listed) = listed(ring, &reaches) else { return Ok(freed) };
    for (id, bytes) in go.into_iter().filter(|(id, _)| !listed.contains(id)) {
        kept::delete(ring, id)?;
        freed.segments += 1;
        freed.bytes += bytes;
        tracing::debug!(segment = %id, "deleted: no pin covers it any more");
    }
    Ok(freed)
}

/// Purges where nobody is changing pins at this moment.
pub(super) fn purge_unless_locked(ring: &Path, now: Timestamp) -> io::Result<()> {
    if kept::is_empty(ring) {
        return Ok(());
    }
    let data = data_of(ring);
    let Some(_lock) = super::pins::lock(data)? else { return Ok(()) };
    let pins = super::pins::read(data)?;
    for (path, reason) in &pins.damaged {
        tracing::warn!(
            "{} is no pin that can be understood ({reason}): nothing that is kept is deleted until it is removed",
            path.display()
        );
    }
    purge(ring, &pins, now).map(|_| ())
}

/// The stretch in which segments have anything to say.
pub(super) fn reach_of(segments: &[SegmentFacts]) -> Window {
    let reaches = segments.iter().map(reach);
    let all = reaches.fold((Timestamp::MAX, Timestamp::ZERO), |all, (low, high)| (all.0.min(low), all.1.max(high)));
    Window { from: all.0, to: all.1.saturating_add(1) }
}

/// The segments of a window that the ring's catalogue lists; `None` where that cannot be told.
fn listed(ring: &Path, window: &Window) -> Option<HashSet<SegmentId>> {
    match CatalogReader::open(ring).and_then(|c| c.segments_in(window)) {
        Ok(found) => Some(found.into_iter().map(|(_, f)| f.id).collect()),
        Err(CatalogError::Missing) => Some(HashSet::new()),
        Err(_) => None,
    }
}
