//! Up to where the growing segments of a ring are complete: no earlier packet can still appear.

use super::ids::{SegmentId, StreamId};
use super::log::{LogState, Published};
use crate::time::{Timestamp, Window};

/// What a growing segment's log says.
pub(super) struct Unsealed {
    pub(super) id: SegmentId,
    stream: StreamId,
    /// Of an import, which has no end before its last packet.
    imported: bool,
    state: Option<LogState>,
    /// Its first packet that is published, and what is behind the last one.
    packets: Option<Window>,
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CompleteTo {
    /// What the writers have said.
    pub(super) said: Timestamp,
    /// Behind all packets that are published: it holds where nobody writes any more.
    pub(super) told: Timestamp,
}

impl Unsealed {
    pub(super) fn of(published: &Published) -> Unsealed {
        let draft = &published.draft;
        let packets = (draft.packets > 0).then(|| Window { from: draft.low, to: draft.high.saturating_add(1) });
        Unsealed { id: draft.id, stream: draft.stream, imported: draft.imported, state: published.state, packets }
    }

    fn told(&self) -> Timestamp {
        self.packets.map_or(Timestamp::ZERO, |w| w.to)
    }

    fn said(&self) -> Timestamp {
        self.state.map_or(Timestamp::ZERO, |s| s.complete_to)
    }
}

/// Up to where all of them are; `None` where none of them says anything.
///
/// Of a stream its newest segment tells: while it is recorded, the next one begins where the one before it was. One that has not said anything
/// yet is of a writer that came after one that was killed; what that one had published it has told for good, and what a repair may find
/// beyond it is not waited for.
pub(super) fn complete_to(mut all: Vec<Unsealed>) -> Option<CompleteTo> {
    all.sort_unstable_by_key(|u| (u.stream, u.id));
    let mut whole: Option<CompleteTo> = None;
    for stream in all.chunk_by(|a, b| a.stream == b.stream) {
        let Some((newest, before)) = stream.split_last() else { continue };
        let killed = before.iter().map(|u| u.said().max(u.told())).max();
        let said = match (newest.state, killed) {
            (Some(state), _) => state.complete_to,
            // The clock may have been set back.
            (None, Some(killed)) => newest.packets.map_or(killed, |w| killed.min(w.from)),
            (None, None) if newest.imported => Timestamp::ZERO,
            (None, None) => match newest.packets {
                Some(packets) => packets.from,
                None => continue,
            },
        };
        let told = stream.iter().map(Unsealed::told).max().unwrap_or(Timestamp::ZERO);
        whole = Some(match whole {
            None => CompleteTo { said, told },
            Some(w) => CompleteTo { said: w.said.min(said), told: w.told.max(told) },
        });
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;

    fn log(id: u64, fanout: u16, state: Option<(u64, u64, u64)>, packets: Option<(u64, u64)>) -> Unsealed {
        let t = Timestamp::from_nanos;
        Unsealed {
            id: SegmentId(id),
            stream: StreamId { fanout, link_type: LinkType::ETHERNET },
            imported: false,
            state: state.map(|(complete_to, from, to)| LogState {
                sequence: 1,
                complete_to: t(complete_to),
                captured: Window { from: t(from), to: t(to) },
            }),
            packets: packets.map(|(from, to)| Window { from: t(from), to: t(to) }),
        }
    }

    fn of(all: Vec<Unsealed>) -> (u64, u64) {
        let c = complete_to(all).unwrap();
        (c.said.as_nanos(), c.told.as_nanos())
    }

    #[test]
    fn the_newest_segment_of_each_stream_tells() {
        let first = || log(1, 0, Some((50, 10, 50)), Some((12, 55)));
        assert!(complete_to(Vec::new()).is_none());
        assert_eq!(of(vec![first()]), (50, 55));
        // The next one of the same writer begins where the one before was.
        assert_eq!(of(vec![first(), log(2, 0, Some((60, 50, 60)), Some((56, 58)))]), (60, 58));
        // Two streams: both must be.
        assert_eq!(of(vec![first(), log(2, 1, Some((40, 10, 40)), Some((11, 70)))]), (40, 70));
        // One that has said nothing yet.
        assert_eq!(of(vec![log(2, 0, None, Some((12, 20)))]), (12, 20));
        assert!(complete_to(vec![log(2, 0, None, None)]).is_none());
    }

    #[test]
    fn after_a_kill_what_was_told_is_told_for_good() {
        let killed = || log(1, 0, Some((50, 10, 50)), Some((12, 55)));
        // The new writer has said nothing yet: never back to before what an answer may have given.
        assert_eq!(of(vec![killed(), log(2, 0, None, None)]), (55, 55));
        assert_eq!(of(vec![killed(), log(2, 0, None, Some((70, 75)))]), (55, 75));
        assert_eq!(of(vec![killed(), log(2, 0, Some((80, 70, 80)), Some((71, 79)))]), (80, 79));
        // The clock was set back.
        assert_eq!(of(vec![killed(), log(2, 0, None, Some((30, 35)))]), (30, 55));
        assert_eq!(of(vec![killed(), log(2, 0, Some((40, 30, 40)), None)]), (40, 55));
    }
}
