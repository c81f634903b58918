//! Keeping, in the hands of a ring's writer: what pins cover is moved out of the ring before it is dropped.
//!
//! Pins are read each time. A pin keeps no more than its bytes: what would take it over them is dropped as if it was not there. So is what
//! cannot be moved (a full disk, a folder that cannot be written): recording never stops for a pin. Both are counted in
//! `not_kept.json`, and told once a pin.

use super::facts::SegmentFacts;
use super::ids::SegmentId;
use super::kept::{self, Kept};
use super::name::{folder_name, kept_name};
use super::not_kept;
use super::paths::{KEPT_FOLDER, data_of};
use super::pins::{self, Pin, Pins};
use super::purge::purge_unless_locked;
use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often kept segments that no pin covers any more are deleted.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Keeps segments of one ring.
pub(super) struct Keeper {
    ring: PathBuf,
    purged: Mutex<Instant>,
    /// Kept segments that were seen, by the folder of their interface.
    seen: Mutex<HashMap<OsString, HashMap<SegmentId, SegmentFacts>>>,
    /// Pins of which it was said that they do not get what they ask for, and files of pins that cannot be understood.
    told: Mutex<BTreeSet<String>>,
}

/// A pin that asks for segments of the ring, and how many bytes it may still keep.
struct Asking {
    pin: Pin,
    left: u64,
}

impl Keeper {
    /// Finishes what a killed writer began, and deletes what is kept for nobody. Gives what is kept.
    pub(super) fn open(ring: &Path, now: Timestamp) -> io::Result<(Keeper, Kept)> {
        if let Err(e) = kept::finish_moves(ring) {
            tracing::warn!("{}: moving what pins keep cannot be finished: {e}", ring.display());
        }
        let keeper = Keeper {
            ring: ring.to_path_buf(),
            purged: Mutex::new(Instant::now()),
            seen: Mutex::default(),
            told: Mutex::default(),
        };
        keeper.purge(now);
        Ok((keeper, kept::list(ring, |_| None)?))
    }

    /// Deletes now and then what is kept for nobody.
    pub(super) fn tick(&self, now: Timestamp) {
        let mut purged = lock(&self.purged);
        if purged.elapsed() > PURGE_EVERY {
            *purged = Instant::now();
            self.purge(now);
        }
    }

    fn purge(&self, now: Timestamp) {
        if let Err(e) = purge_unless_locked(&self.ring, now) {
            tracing::warn!("{}: what pins no longer keep cannot be deleted: {e}", self.ring.display());
        }
    }

    /// Of segments about to be dropped, oldest first, those that pins would keep which have not expired.
    pub(super) fn would_keep(&self, segments: &[SegmentFacts], now: Timestamp) -> HashSet<SegmentId> {
        let Some((mut asking, _)) = self.asking(segments, now) else { return HashSet::new() };
        segments.iter().filter(|f| charge(&mut asking, f)).map(|f| f.id).collect()
    }

    /// Of segments about to be dropped, oldest first, moves out of the ring those that pins keep which have not expired. They last there
    /// when this returns.
    pub(super) fn keep(&self, segments: &[SegmentFacts], now: Timestamp) -> HashSet<SegmentId> {
        let mut moved = HashSet::new();
        let Some((mut asking, all)) = self.asking(segments, now) else { return moved };
        let mut missed: Vec<(String, &SegmentFacts, String)> = Vec::new();
        for facts in segments.iter().filter(|f| !f.has(SegmentFacts::LOST)) {
            let why = if kept::has(&self.ring, facts.id) || charge(&mut asking, facts) {
                match kept::keep(&self.ring, facts.id) {
                    Ok(()) => {
                        moved.insert(facts.id);
                        continue;
                    }
                    Err(e) => format!("it cannot be moved to where it would be kept: {e}"),
                }
            } else {
                "the pin has no bytes left: unpin it and pin less, or with a larger --max-bytes".to_string()
            };
            let covering = asking.iter().filter(|a| a.pin.covers(facts));
            missed.extend(covering.map(|a| (a.pin.id.clone(), facts, why.clone())));
        }
        if !moved.is_empty()
            && let Err(e) = kept::sync(&self.ring)
        {
            tracing::warn!("{}: what pins keep may be lost in a loss of power: {e}", self.ring.display());
        }
        self.tell(&missed, &all);
        moved
    }

    fn tell(&self, missed: &[(String, &SegmentFacts, String)], all: &Pins) {
        if missed.is_empty() {
            return;
        }
        for (id, facts, why) in missed {
            if lock(&self.told).insert(id.clone()) {
                let (packets, ring) = (facts.packets, self.ring.display());
                tracing::warn!(
                    "{ring}: segment {} of {packets} packets is dropped though pin {id} covers it, and so may be more: {why}",
                    facts.id
                );
            }
        }
        let entries: Vec<_> = missed.iter().map(|(id, facts, why)| (&**id, *facts, &**why)).collect();
        if let Err(e) = not_kept::add(&self.ring, &entries, |id| all.pins.iter().any(|p| p.id == id)) {
            tracing::warn!("{}: what pins did not get cannot be noted: {e}", self.ring.display());
        }
    }

    /// The pins that ask for any of some segments; `None` where there are none.
    fn asking(&self, segments: &[SegmentFacts], now: Timestamp) -> Option<(Vec<Asking>, Pins)> {
        let data = data_of(&self.ring);
        let all = match pins::read(data) {
            Ok(all) => all,
            Err(e) => {
                tracing::warn!("{} cannot be read, and so no pin keeps anything: {e}", data.join(pins::PINS_FOLDER).display());
                return None;
            }
        };
        for (path, reason) in &all.damaged {
            let path = path.display().to_string();
            if lock(&self.told).insert(path.clone()) {
                tracing::warn!("{path} is no pin that can be understood, and keeps nothing more: {reason}");
            }
        }
        let folder = self.ring.file_name()?;
        let asks = |p: &&Pin| !p.is_expired(now) && p.names_folder(folder) && segments.iter().any(|f| p.covers(f));
        let asking: Vec<Pin> = all.pins.iter().filter(asks).cloned().collect();
        if asking.is_empty() {
            return None;
        }
        let asking = asking.into_iter().map(|pin| Asking { left: pin.max_bytes.saturating_sub(self.kept_bytes(&pin)), pin });
        Some((asking.collect(), all))
    }

    /// Bytes that are kept, of all interfaces, and a pin covers.
    fn kept_bytes(&self, pin: &Pin) -> u64 {
        let folders: Vec<OsString> = if pin.interfaces.is_empty() {
            let entries = fs::read_dir(data_of(&self.ring).join(KEPT_FOLDER)).into_iter().flatten();
            entries.filter_map(|e| Some(e.ok()?.file_name())).collect()
        } else {
            pin.interfaces.iter().map(|i| folder_name(&kept_name(i)).into()).collect()
        };
        let rings = self.ring.parent().unwrap_or(&self.ring);
        let mut seen = lock(&self.seen);
        let mut bytes: u64 = 0;
        for folder in folders {
            let before = seen.remove(&folder).unwrap_or_default();
            let Ok(kept) = kept::list(&rings.join(&folder), |id| before.get(&id).copied()) else { continue };
            bytes = kept.segments.iter().filter(|f| pin.covers(f)).fold(bytes, |sum, f| sum.saturating_add(f.bytes()));
            seen.insert(folder, kept.segments.into_iter().map(|f| (f.id, f)).collect());
        }
        bytes
    }
}

/// Whether some pin that covers a segment has room for it; then it counts for all that cover it.
fn charge(asking: &mut [Asking], facts: &SegmentFacts) -> bool {
    let has_room = asking.iter().any(|a| a.pin.covers(facts) && a.left >= facts.bytes());
    if has_room {
        asking.iter_mut().filter(|a| a.pin.covers(facts)).for_each(|a| a.left = a.left.saturating_sub(facts.bytes()));
    }
    has_room
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
