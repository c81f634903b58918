//! What a check says of segments that their writer left growing.

use super::facts::SegmentFacts;
use super::ids::SegmentId;
use super::log::{self, LogError};
use super::paths::{OPEN_FOLDER, data_path, log_path, segment_of};
use super::snapshot::log_paths;
use super::unlisted::{Unlisted, unlisted};
use std::fs;
use std::path::{Path, PathBuf};

/// A segment that is not sealed.
pub(super) struct Unsealed {
    id: SegmentId,
    /// What is wrong with it, and with which file.
    wrong: Option<(PathBuf, String)>,
}

/// The segments of a ring that are not sealed: those with a log, and packet files that nothing tells of.
pub(super) fn unsealed(ring: &Path) -> Vec<Unsealed> {
    let logs = log_paths(ring).unwrap_or_default();
    let mut all: Vec<Unsealed> = logs.iter().filter_map(|log| segment_of(log)).map(|id| look(ring, id)).collect();
    let Unlisted { bare, .. } = unlisted(ring);
    all.extend(bare.into_iter().map(|id| Unsealed {
        id,
        wrong: Some((
            data_path(ring, id),
            "neither an index nor a log tells of this packet file: its whole packets are taken in".into(),
        )),
    }));
    all
}

fn look(ring: &Path, id: SegmentId) -> Unsealed {
    let (log, data) = (log_path(ring, id), data_path(ring, id));
    let len = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    let Ok(bytes) = fs::read(&log) else { return Unsealed { id, wrong: None } };
    let wrong = match log::read(&bytes) {
        Ok(published) => {
            let (told, there) = (published.draft.data_len, len(&data));
            let cut = published.draft.packets > 0 && there < told;
            cut.then(|| (data, format!("its log tells of {told} bytes, and {there} are there: packets are lost")))
        }
        Err(e @ LogError::Version(_)) => Some((log, e.to_string())),
        // Its writer makes the packet file after the log's header.
        Err(e) => (len(&data) > 0).then(|| (log, format!("{e}: what the packet file holds is taken without it"))),
    };
    Unsealed { id, wrong }
}

/// Says what was found, and which of it is mended, now that the ring holds these sealed segments. While the ring is written, or `idle` is
/// not sure, a log is no finding.
pub(super) fn tell_unsealed(
    ring: &Path,
    before: &[Unsealed],
    now: &[SegmentFacts],
    idle: bool,
    add: &mut dyn FnMut(&Path, String, bool),
) {
    let is_gone = |id: SegmentId| !log_path(ring, id).exists();
    for Unsealed { id, wrong } in before {
        let Some((file, problem)) = wrong else { continue };
        let listed = now.iter().find(|f| f.id == *id);
        // A writer that is at work is about to make it.
        if !idle && (is_gone(*id) || look(ring, *id).wrong.is_none()) {
            continue;
        }
        let lost =
            if listed.is_some_and(|f| f.has(SegmentFacts::LOST)) { "; every cut that would have them says so" } else { "" };
        let mended = is_gone(*id) && (listed.is_some() || !data_path(ring, *id).exists());
        add(file, format!("{problem}{lost}"), mended);
    }
    let count = before.iter().filter(|u| u.wrong.is_none()).count();
    if idle && count > 0 {
        let mended = before.iter().filter(|u| u.wrong.is_none()).all(|u| is_gone(u.id));
        add(&ring.join(OPEN_FOLDER), format!("{count} segments were not sealed: their writer was killed"), mended);
    }
}
