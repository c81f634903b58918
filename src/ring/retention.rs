//! Retention: how much of a ring is kept. Its oldest segments go to make room for what comes.
//!
//! Two limits are the ring's own: bytes and age. What is over them is dropped. Free space is not: others write on the same file system, and
//! then dropping everything would not bring it back. So for free space, and on a full disk, a segment that opens drops at most
//!
//! - `need`, the room that it takes itself, and
//! - its share of what was missing before it: that divided by the rings beside it, and at most as much again as `need`.
//!
//! Segments go as wholes; what the last of them gave beyond that is counted for the next one that opens. Those that pins cover are moved out
//! of the ring instead: that helps the ring's own limits, and frees no space.

use super::catalog::{CATALOG_FILE, CatalogWriter};
use super::data::{RING_FILE, Retention, free_bytes};
use super::dropped::Reason;
use super::facts::SegmentFacts;
use super::hosts::HOSTS_FOLDER;
use super::paths::{OPEN_FOLDER, data_path, index_path};
use super::sections::SECTIONS_FOLDER;
use super::shared::{DiskError, Shared, at, lock};
use crate::time::SECOND_NS;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The fewest bytes that a ring can be held to: room for some segments of the smallest size, their indexes and the ring's lists.
pub const MAX_BYTES_MIN: u64 = 1 << 20;
/// Segments that a limit of bytes holds at least.
const SEGMENTS_MIN: u64 = 16;
/// Part of what a ring may come to take of its disk that one segment takes at most.
const DISK_PART: u64 = 8;
/// Segments are not made smaller than that because the disk is small.
const SMALL_DISK_SEGMENT: u64 = 1 << 20;
/// Nor smaller than that because the ring is.
const SMALL_RING_SEGMENT: u64 = 4096;

/// A limit that cannot be kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// Too small for a segment.
    #[error("a ring of {0} bytes cannot hold a segment, its index and its lists: allow it at least {MAX_BYTES_MIN} bytes (1MiB)")]
    MaxBytes(u64),
    /// Larger than the file system.
    #[error("{min} bytes cannot stay free on a file system of {size}: ask for fewer")]
    MinFree {
        /// What was asked for.
        min: u64,
        /// What there is.
        size: u64,
    },
}

impl Retention {
    /// Whether the limits can be kept in a folder.
    pub fn check(&self, folder: &Path) -> Result<(), LimitError> {
        if let Some(max) = self.max_bytes.filter(|&max| max < MAX_BYTES_MIN) {
            return Err(LimitError::MaxBytes(max));
        }
        let size = rustix::fs::statvfs(folder).ok().map(|s| s.f_blocks.saturating_mul(s.f_frsize));
        match self.min_free_bytes.zip(size) {
            Some((min, size)) if min >= size => Err(LimitError::MinFree { min, size }),
            _ => Ok(()),
        }
    }
}

/// Bytes of a segment, at most, so that a ring keeps many: `held` bytes are its own already. Each of `streams` has one that grows.
pub fn segment_bytes(asked: u64, limits: &Retention, ring: &Path, held: u64, streams: u64) -> u64 {
    let streams = streams.max(1);
    let by_limit = limits.max_bytes.map_or(u64::MAX, |max| (max / SEGMENTS_MIN / streams).max(SMALL_RING_SEGMENT));
    let space = free_bytes(ring).map(|free| held.saturating_add(free.saturating_sub(limits.min_free_bytes.unwrap_or(0))));
    let by_disk = space.map_or(u64::MAX, |space| (space / DISK_PART / streams).max(SMALL_DISK_SEGMENT));
    asked.min(by_limit).min(by_disk)
}

/// The room of a segment and its index.
pub(super) fn room_of(reserve: u64) -> u64 {
    reserve + reserve / 16 + (64 << 10)
}

/// Bytes of the ring's files beside those of segments: its lists, what its sections say, the logs of what grows.
fn bytes_beside(ring: &Path) -> u64 {
    let taken = |m: fs::Metadata| m.len().min(m.blocks() * 512); // entries of hosts that are given back are holes
    let file = |name: &str| fs::metadata(ring.join(name)).map_or(0, taken);
    let folder = |name: &str| -> u64 {
        let entries = fs::read_dir(ring.join(name)).into_iter().flatten();
        entries.filter_map(|e| Some(taken(e.ok()?.metadata().ok()?))).sum()
    };
    file(CATALOG_FILE) + file(RING_FILE) + folder(OPEN_FOLDER) + folder(HOSTS_FOLDER) + folder(SECTIONS_FOLDER)
}

/// Bytes to be dropped for the sake of free space, before a segment takes `need`: see above.
pub(super) fn owed_to_disk(need: u64, min_free: u64, free: u64, rings: u64) -> u64 {
    let missing = min_free.saturating_sub(free);
    let for_itself = min_free.saturating_add(need).saturating_sub(free).min(need);
    for_itself + (missing / rings.max(1)).min(need)
}

/// How many rings are beside this one, itself included.
fn rings_beside(ring: &Path) -> u64 {
    ring.parent().and_then(|rings| fs::read_dir(rings).ok()).map_or(1, |entries| entries.count() as u64)
}

/// Drops the oldest segments until `need` more bytes keep the limits. Where those that could be dropped are still being sealed, it waits
/// for them; `open` of the unsealed ones are not.
pub(super) fn make_room(shared: &Shared, need: u64, open: usize) -> Result<(), DiskError> {
    let min_free = shared.retention.min_free_bytes.unwrap_or(0);
    let free = free_bytes(&shared.ring).unwrap_or(u64::MAX);
    let rings = if free < min_free { rings_beside(&shared.ring) } else { 1 };
    let mut owed = owed_to_disk(need, min_free, free, rings);
    if free < min_free {
        let mut ahead = lock(&shared.dropped_ahead);
        let taken = owed.min(*ahead);
        owed -= taken;
        *ahead -= taken;
    }
    while !keep_limits(shared, need, &mut owed)? {
        if lock(&shared.unsealed).len() <= open || !shared.wait_for_commit() {
            break;
        }
    }
    Ok(())
}

/// Drops the oldest segments as long as the limits do not hold, and `owed` bytes for the sake of free space; `false` where none is left to
/// drop and they still do not.
pub(super) fn keep_limits(shared: &Shared, need: u64, owed: &mut u64) -> Result<bool, DiskError> {
    let limits = shared.retention;
    let unsealed: u64 = lock(&shared.unsealed).values().map(|u| u.room).sum();
    let beside = if limits.max_bytes.is_some() { bytes_beside(&shared.ring) } else { 0 };
    // Should they take most of what is allowed, dropping segments would not help.
    let beside = beside.min(limits.max_bytes.unwrap_or(u64::MAX) / 2);
    let now = shared.clock.now();
    let mut go = Vec::new();
    let holds = {
        let catalog = lock(&shared.catalog);
        let mut bytes = catalog.live().map(SegmentFacts::bytes).sum::<u64>() + unsealed + beside + need;
        let over = |bytes: u64| limits.max_bytes.is_some_and(|max| bytes > max);
        // What is moved frees nothing, and so more must go for the sake of free space.
        let kept = if *owed > 0 {
            shared.keeper.would_keep(&oldest(&catalog, usize::MAX), shared.clock.now_for_pins())
        } else {
            HashSet::new()
        };
        for facts in catalog.live() {
            let age = now.map_or(0, |now| now.since(facts.arrived));
            let old = limits.max_age_seconds.is_some_and(|s| age > s.saturating_mul(SECOND_NS));
            let reason = match limits.min_free_bytes {
                _ if over(bytes) => Reason::MaxBytes,
                _ if old => Reason::MaxAge,
                _ if *owed == 0 => break,
                Some(_) => Reason::MinFree,
                None => Reason::DiskFull,
            };
            go.push(reason);
            bytes -= facts.bytes();
            if kept.contains(&facts.id) {
                continue;
            }
            if *owed > 0 && facts.bytes() > *owed {
                *lock(&shared.dropped_ahead) = facts.bytes() - *owed;
            }
            *owed = owed.saturating_sub(facts.bytes());
        }
        !over(bytes) && *owed == 0
    };
    drop_oldest(shared, &go)?;
    Ok(holds)
}

fn oldest(catalog: &CatalogWriter, most: usize) -> Vec<SegmentFacts> {
    catalog.live().take(most).copied().collect()
}

/// What became of the oldest segments.
struct Gone {
    /// How many left the ring.
    segments: usize,
    /// Bytes that were freed.
    bytes: u64,
}

/// Drops the oldest segments, one a reason; those that pins cover are moved to where they are kept.
fn drop_oldest(shared: &Shared, reasons: &[Reason]) -> Result<Gone, DiskError> {
    let mut gone = Vec::new();
    if reasons.is_empty() {
        return Ok(Gone { segments: 0, bytes: 0 });
    }
    let kept = {
        let mut catalog = lock(&shared.catalog);
        // Before the catalogue lets go of them, so that they are found at every moment.
        let kept = shared.keeper.keep(&oldest(&catalog, reasons.len()), shared.clock.now_for_pins());
        for _ in reasons {
            gone.extend(catalog.drop_oldest().map_err(at(&shared.ring))?);
        }
        // Before their files go, and once for all of them: after a power loss the catalogue names none that is gone.
        if !gone.is_empty() {
            catalog.sync().map_err(at(&shared.ring))?;
        }
        kept
    };
    let mut bytes = 0;
    for (facts, reason) in gone.iter().zip(reasons) {
        super::hosts::dropped(&shared.ring, facts.id);
        if kept.contains(&facts.id) {
            tracing::debug!(segment = %facts.id, ?reason, "kept for a pin");
            continue;
        }
        for path in [data_path(&shared.ring, facts.id), index_path(&shared.ring, facts.id)] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(DiskError { path, source: e }),
                _ => {}
            }
        }
        bytes += facts.bytes();
        let mut dropped = lock(&shared.dropped);
        dropped.segments += 1;
        dropped.bytes += facts.bytes();
        let own = facts.id >= shared.first_own;
        *(if own { &mut dropped.own_packets } else { &mut dropped.older_packets }) += facts.packets;
        dropped.reasons.insert(*reason);
        tracing::debug!(segment = %facts.id, ?reason, "dropped");
    }
    Ok(Gone { segments: gone.len(), bytes })
}

/// Whether there was no space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Says what to do where there was no space for a new ring.
pub(super) fn no_space(error: io::Error) -> io::Error {
    if is_full(&error) {
        io::Error::new(error.kind(), "no space left on the disk for a new ring: free some space and try again")
    } else {
        error
    }
}

/// What may be dropped while one thing is written on a full disk.
pub(super) struct FullDisk {
    left: u64,
}

impl FullDisk {
    /// Twice what is to be written, and so at least one segment.
    pub(super) fn writing(bytes: u64) -> FullDisk {
        FullDisk { left: bytes.saturating_mul(2).max(1) }
    }

    /// Drops the oldest segment. `false`: there is none, or so much was dropped that it can be no help.
    pub(super) fn drop_one(&mut self, shared: &Shared) -> Result<bool, DiskError> {
        if self.left == 0 {
            return Ok(false);
        }
        // Those that are kept free nothing.
        loop {
            let gone = drop_oldest(shared, &[Reason::DiskFull])?;
            self.left = self.left.saturating_sub(gone.bytes);
            if gone.segments == 0 || gone.bytes > 0 {
                return Ok(gone.bytes > 0);
            }
        }
    }
}

/// Writes something of `bytes`; where the disk is full, drops the oldest segments, waits for those that are being sealed (`open` of the
/// unsealed ones are not) and drops them, and writes it again.
pub(super) fn with_room<T>(
    shared: &Shared,
    path: &Path,
    bytes: u64,
    open: usize,
    mut write: impl FnMut() -> io::Result<T>,
) -> Result<T, DiskError> {
    let mut disk = FullDisk::writing(bytes);
    loop {
        match write() {
            Err(e) if is_full(&e) => {
                if !disk.drop_one(shared)? && (lock(&shared.unsealed).len() <= open || !shared.wait_for_commit()) {
                    return Err(shared.full(path));
                }
            }
            other => return other.map_err(at(path)),
        }
    }
}
