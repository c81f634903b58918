//! What the parsing thread hands over: notes of what was told, with the bytes in one buffer, a batch at a time.

use super::missing::Span;
use super::versions::Carried;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::{Action, OpenId, Opened, OperationId, SessionId, SizeFrom, TreeId};

/// What was told of an open, without its bytes.
#[derive(Debug)]
pub(super) enum Note {
    /// See [`What::Opened`](crate::smb::event::What::Opened).
    Opened { open: OpenId, of: Of, file: Box<Opened> },
    /// Bytes, which stand in the batch from `start` to `end`; `packets` of the batch carried them, where that is wanted.
    Data {
        open: OpenId,
        of: Of,
        action: Action,
        operation: OperationId,
        offset: u64,
        start: usize,
        end: usize,
        carried: Carried,
        packets: (usize, usize),
    },
    /// Bytes that were lost.
    Lost { open: OpenId, of: Of, action: Action, operation: OperationId, offset: u64, length: u64 },
    /// A READ's request.
    ReadAsked { open: OpenId, of: Of, operation: OperationId, offset: u64, length: u64 },
    /// A READ's answer.
    ReadDone { open: OpenId, operation: OperationId, offset: u64, asked: Option<u64>, given: u64, status: u32 },
    /// A WRITE's answer.
    WriteDone { open: OpenId, of: Of, operation: OperationId, offset: u64, sent: u64, written: Option<u64> },
    /// A size.
    Size { open: OpenId, size: u64, from: SizeFrom, at: PacketRef },
    /// A new name.
    Renamed { open: OpenId, to: String },
    /// Deleted.
    Deleted { open: OpenId },
    /// Copied or zeroed by the server.
    ServerCopy { open: OpenId, of: Of, source: Option<OpenId>, offset: u64, length: u64, fsctl: u32 },
    /// Closed; `at` where it was by a CLOSE. `unsettled`: there are connections that may turn out to be further ones of its session.
    Closed { open: OpenId, status: Option<u32>, at: Option<PacketRef>, unsettled: bool },
    /// A message of the session could not be decrypted.
    Sealed { of: Of },
    /// The connection carries messages of the session, which has this id on the wire.
    Channel { of: Of, session: u64 },
    /// Requests of the session, or of the connection, were lost.
    RequestsLost { of: Of },
    /// What comes of an open that was closed: of other connections of its session. It counts while the open waits for that.
    Late { open: OpenId, note: Box<Note> },
    /// Bytes that were given are others, which stand in the batch from `start` to `end`.
    Replaced { open: OpenId, action: Action, operation: OperationId, offset: u64, start: usize, end: usize },
    /// Copies of bytes differ.
    Conflict { open: OpenId, action: Action, range: Span },
    /// It is no file.
    Forget { open: OpenId },
    /// Everything that is still open ends.
    End,
}

/// Whose, and in which packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) connection: ConnectionId,
    pub(super) session: Option<SessionId>,
    pub(super) tree: Option<TreeId>,
    pub(super) at: PacketRef,
}

/// Notes with their bytes, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// The notes.
    pub(super) notes: Vec<Note>,
    /// Which packets carried which offsets of the file, where that is wanted.
    pub(super) packets: Vec<(u64, u64, PacketRef)>,
    /// Bytes of strings in the notes.
    pub(super) strings: usize,
}

impl Batch {
    /// Adds bytes: to the note before where they go on from it.
    pub(super) fn data(
        &mut self,
        (open, of, action, operation): (OpenId, Of, Action, OperationId),
        offset: u64,
        bytes: &[u8],
        carried: Carried,
        name_packets: bool,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end_now = self.bytes.len();
        let first_packet = self.packets.len();
        if name_packets {
            self.packets.push((offset, offset.saturating_add(bytes.len() as u64), carried.first));
        }
        let packets_now = self.packets.len();
        if let Some(Note::Data { open: o, action: a, operation: op, offset: from, start: s, end, carried: c, packets, .. }) =
            self.notes.last_mut()
            && (*o, *a, *op, *end) == (open, action, operation, start)
            && from.checked_add((*end - *s) as u64) == Some(offset)
            && (c.in_window, c.encrypted, c.compressed) == (carried.in_window, carried.encrypted, carried.compressed)
        {
            c.packets += u64::from(c.last != carried.last);
            c.last = carried.last;
            *end = end_now;
            packets.1 = packets_now;
            return;
        }
        self.notes.push(Note::Data {
            open,
            of,
            action,
            operation,
            offset,
            start,
            end: end_now,
            carried,
            packets: (first_packet, packets_now),
        });
    }

    /// Empties it, so that it can be filled again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.notes.clear();
        self.packets.clear();
        self.strings = 0;
    }
}
