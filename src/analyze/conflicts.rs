//! Which file bytes a conflict of a stream concerns: flow knows offsets of the stream, SMB those of the file.

use crate::flow::{ConnectionId, Way};
use crate::smb::event::{Action, OpenId};
use std::collections::VecDeque;

/// Data that are remembered: those of more bytes than flow keeps to compare.
const RECENT_MAX: usize = 8_192;
/// Conflicts that wait for their bytes to be handed on.
const PENDING_MAX: usize = 1_024;

/// A range of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    connection: ConnectionId,
    way: Way,
    from: u64,
    to: u64,
}

impl Range {
    fn touches(&self, other: &Range) -> bool {
        (self.connection, self.way) == (other.connection, other.way) && self.from < other.to && other.from < self.to
    }
}

/// A range of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Of {
    pub open: OpenId,
    pub action: Action,
    pub from: u64,
    pub to: u64,
}

/// What was handed on of late, and what is in conflict before it is.
#[derive(Default)]
pub(super) struct Conflicts {
    chunk: Option<Range>,
    recent: VecDeque<(Range, Of)>,
    pending: VecDeque<Range>,
}

/// The part of the file's range that the conflict concerns: exact where the chunk is nothing but file bytes, else all of it.
fn part(chunk: &Range, of: Of, conflict: &Range) -> Of {
    if chunk.to - chunk.from != of.to - of.from {
        return of;
    }
    let from = of.from + conflict.from.saturating_sub(chunk.from);
    let to = of.to - chunk.to.saturating_sub(conflict.to);
    Of { from, to, ..of }
}

impl Conflicts {
    /// The next bytes of a stream are handed on.
    pub(super) fn chunk(&mut self, connection: ConnectionId, way: Way, offset: u64, length: u64) {
        self.chunk = Some(Range { connection, way, from: offset, to: offset.saturating_add(length) });
    }

    /// They are these bytes of a file; gives what of them is in conflict.
    pub(super) fn data(&mut self, of: Of) -> Vec<Of> {
        let Some(chunk) = self.chunk else { return Vec::new() };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((chunk, of));
        self.pending.iter().filter(|p| p.touches(&chunk)).map(|p| part(&chunk, of, p)).collect()
    }

    /// Copies of bytes differ; gives the file ranges that they were handed on as.
    pub(super) fn conflict(&mut self, connection: ConnectionId, way: Way, offset: u64, length: u64, delivered: bool) -> Vec<Of> {
        let range = Range { connection, way, from: offset, to: offset.saturating_add(length) };
        if !delivered {
            if self.pending.len() == PENDING_MAX {
                self.pending.pop_front();
            }
            self.pending.push_back(range);
        }
        self.recent.iter().filter(|(chunk, _)| chunk.touches(&range)).map(|(chunk, of)| part(chunk, *of, &range)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_finds_its_file_bytes_before_and_after() {
        let (connection, way) = (ConnectionId(1), Way::ToServer);
        let of = |from, to| Of { open: OpenId(7), action: Action::Write, from, to };
        let mut conflicts = Conflicts::default();
        conflicts.chunk(connection, way, 1_000, 100);
        assert_eq!(conflicts.data(of(0, 100)), []);
        // A chunk with a header before its file bytes.
        conflicts.chunk(connection, way, 1_100, 100);
        assert_eq!(conflicts.data(of(100, 136)), []);
        assert_eq!(conflicts.conflict(connection, way, 1_010, 5, true), [of(10, 15)]);
        assert_eq!(conflicts.conflict(connection, way, 1_150, 5, true), [of(100, 136)]);
        assert_eq!(conflicts.conflict(connection, Way::ToClient, 1_010, 5, true), []);
        assert_eq!(conflicts.conflict(connection, way, 1_290, 20, false), []);
        conflicts.chunk(connection, way, 1_200, 100);
        assert_eq!(conflicts.data(of(136, 236)), [of(226, 236)]);
    }
}
