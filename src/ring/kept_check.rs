//! Checking what pins keep of a ring, and mending what can be mended.

use super::ids::{SegmentId, SensorId};
use super::kept;
use super::lock::is_written;
use super::paths::{data_path, kept_folder};
use super::reindex::reindex;
use super::segment_check::{Around, Wrong, check_segment, mend_frame};
use std::collections::HashSet;
use std::path::Path;

/// Checks all segments that are kept of a ring, and tells of each file with damage what is wrong, and whether it was mended. Only a ring
/// that is `locked` is mended. Gives the segments that are, or come to be, no longer the ring's.
pub(super) fn check_kept(
    ring: &Path,
    sensor: SensorId,
    interface: &str,
    locked: bool,
    add: &mut impl FnMut(&Path, String, bool),
) -> HashSet<SegmentId> {
    let folder = kept_folder(ring);
    let mut moved = HashSet::new();
    match kept::half_moved(ring) {
        Ok(half) => {
            let finished = locked && !half.is_empty() && kept::finish_moves(ring).is_ok();
            for id in half {
                moved.insert(id);
                // A writer that is at work is just moving it.
                if locked || !is_written(ring) {
                    let problem =
                        "its move to where pins keep it was cut off; no packet is lost by it, and the next writer finishes it";
                    add(&data_path(&folder, id), problem.into(), finished);
                }
            }
        }
        Err(e) => add(&folder, format!("it cannot be read: {e}"), false),
    }
    let kept = match kept::list(ring, |_| None) {
        Ok(kept) => kept,
        Err(e) => {
            add(&folder, format!("it cannot be read: {e}"), false);
            return moved;
        }
    };
    for (id, path, reason) in kept.damaged {
        moved.insert(id);
        add(&path, format!("{reason}; unpinning what keeps it removes it"), false);
    }
    for facts in &kept.segments {
        moved.insert(facts.id);
        let Wrong { file, problem, is_damage } = match check_segment(&folder, interface, facts) {
            Ok(Around { problems, segment }) => {
                let mended = locked && !problems.is_empty() && mend_frame(&folder, interface, &segment).is_ok();
                problems.into_iter().for_each(|(file, problem)| add(&file, problem, mended));
                continue;
            }
            Err(found) => found,
        };
        if !kept::has(ring, facts.id) {
            continue; // deleted meanwhile
        }
        if !data_path(&folder, facts.id).exists() {
            add(&file, format!("{problem}; its packets are lost, and every cut that would have them says so"), false);
            continue;
        }
        match (locked && is_damage).then(|| reindex(&folder, sensor, interface, facts)) {
            Some(Err(e)) => add(&file, format!("{problem}; it cannot be mended: {e}"), false),
            mended => add(&file, problem, mended.is_some()),
        }
    }
    moved
}
