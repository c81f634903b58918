//! Which file bytes a conflict of a stream concerns: flow knows offsets of the stream, SMB those of the file.

use crate::flow::{Chunk, ConnectionId, Way};
use crate::smb::event::{Action, OpenId, OperationId};
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
    pub operation: OperationId,
    pub from: u64,
    pub to: u64,
}

/// File bytes that were handed on.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// The stretch of the stream that they were in.
    chunk: Range,
    of: Of,
    /// Where in the stream the first of them was, if they lay there as they are.
    at: Option<u64>,
}

/// What was handed on of late, and what is in conflict before it is.
#[derive(Default)]
pub(super) struct Conflicts {
    /// What is handed on, and where its bytes lie in memory.
    chunk: Option<(Range, usize)>,
    recent: VecDeque<Recent>,
    pending: VecDeque<Range>,
}

impl Recent {
    /// Of a conflict what concerns these bytes: its range in the stream, and in the file. `None` where it is beside them, or where they are is
    /// not known.
    fn exact(&self, conflict: &Range) -> Option<(Range, Of)> {
        let at = self.at?;
        let (first, after) = (conflict.from.max(self.chunk.from), conflict.to.min(self.chunk.to));
        if first < at || after > at + (self.of.to - self.of.from) || first >= after {
            return None;
        }
        let of = Of { from: self.of.from + (first - at), to: self.of.from + (after - at), ..self.of };
        Some((Range { from: first, to: after, ..*conflict }, of))
    }

    /// The part of the file's range that a conflict concerns; all of it where that is not known, or where what lies beside the file's bytes
    /// differs, which says where they belong.
    fn part(&self, conflict: &Range) -> Of {
        self.exact(conflict).map_or(self.of, |exact| exact.1)
    }
}

impl Conflicts {
    /// The next bytes of a stream are handed on.
    pub(super) fn chunk(&mut self, connection: ConnectionId, way: Way, chunk: &Chunk<'_>) {
        let (from, to) = (chunk.offset, chunk.offset.saturating_add(chunk.bytes.len() as u64));
        self.chunk = Some((Range { connection, way, from, to }, chunk.bytes.as_ptr().addr()));
    }

    /// They are these bytes of a file; gives what of them is in conflict.
    pub(super) fn data(&mut self, of: Of, bytes: &[u8]) -> Vec<Of> {
        let Some((chunk, begins)) = self.chunk else { return Vec::new() };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        // Bytes that were not put together or opened are a part of the chunk.
        let skipped = bytes.as_ptr().addr().checked_sub(begins).map(|skipped| skipped as u64);
        let at = skipped
            .map(|skipped| chunk.from.saturating_add(skipped))
            .filter(|at| at.saturating_add(bytes.len() as u64) <= chunk.to);
        let recent = Recent { chunk, of, at };
        self.recent.push_back(recent);
        self.pending.iter().filter(|p| p.touches(&chunk)).map(|p| recent.part(p)).collect()
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
        self.recent.iter().filter(|r| r.chunk.touches(&range)).map(|r| r.part(&range)).collect()
    }

    /// Of another copy of bytes that were handed on: what are bytes of files, each with its place.
    pub(super) fn of_files<'a>(&self, connection: ConnectionId, way: Way, offset: u64, bytes: &'a [u8]) -> Vec<(Of, &'a [u8])> {
        let range = Range { connection, way, from: offset, to: offset.saturating_add(bytes.len() as u64) };
        let found = self.recent.iter().filter(|r| r.chunk.touches(&range)).filter_map(|r| r.exact(&range));
        let bytes_of = |(of_stream, of): (Range, Of)| {
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            Some((of, bytes.get(place(of_stream.from)..place(of_stream.to))?))
        };
        found.filter_map(bytes_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PacketRef;

    #[test]
    fn a_conflict_finds_its_file_bytes_before_and_after() {
        let (connection, way) = (ConnectionId(1), Way::ToServer);
        let of = |from, to| Of { open: OpenId(7), action: Action::Write, operation: OperationId(1), from, to };
        let (stream, elsewhere) = ([7_u8; 300], [7_u8; 300]);
        let chunk =
            |from: usize| Chunk { offset: 1_000 + from as u64, bytes: &stream[from..from + 100], at: PacketRef::default() };
        let mut conflicts = Conflicts::default();
        conflicts.chunk(connection, way, &chunk(0));
        assert_eq!(conflicts.data(of(0, 100), &stream[..100]), []);
        // A chunk with a header before its file bytes.
        conflicts.chunk(connection, way, &chunk(100));
        assert_eq!(conflicts.data(of(100, 136), &stream[164..200]), []);
        assert_eq!(conflicts.conflict(connection, way, 1_010, 5, true), [of(10, 15)]);
        assert_eq!(conflicts.conflict(connection, way, 1_150, 5, true), [of(100, 136)], "the header differs");
        assert_eq!(conflicts.conflict(connection, way, 1_170, 5, true), [of(106, 111)]);
        assert_eq!(conflicts.conflict(connection, Way::ToClient, 1_010, 5, true), []);
        assert_eq!(conflicts.conflict(connection, way, 1_290, 20, false), []);
        conflicts.chunk(connection, way, &chunk(200));
        assert_eq!(conflicts.data(of(136, 236), &stream[200..]), [of(226, 236)]);
        // Another copy of what was handed on, a header between.
        let other = [9; 120];
        let found = conflicts.of_files(connection, way, 1_090, &other[..110]);
        assert_eq!(found, [(of(90, 100), &other[..10])]);
        assert_eq!(
            conflicts.of_files(connection, way, 1_170, &other[..40]),
            [(of(106, 136), &other[..30]), (of(136, 146), &other[30..40])]
        );
        // What was put together or opened first lies nowhere.
        conflicts.chunk(connection, way, &Chunk { offset: 5_000, bytes: &stream[..100], at: PacketRef::default() });
        assert_eq!(conflicts.data(of(500, 550), &elsewhere[..50]), []);
        assert_eq!(conflicts.conflict(connection, way, 5_010, 5, true), [of(500, 550)]);
        assert_eq!(conflicts.of_files(connection, way, 5_010, &other[..5]), []);
    }
}
