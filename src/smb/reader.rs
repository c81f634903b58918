//! How messages are handed to the readers of SMB1 and SMB2: whole, or, where they carry much content, the head first and then its bytes.

use super::event::{OpenId, OperationId, SessionId, TreeId};
use crate::flow::{ConnectionId, PacketRef, Way};

/// Bytes of the longest message that is put together in memory; longer ones are streamed or passed over. SMB2's largest transfer is 8 MiB,
/// and Windows allows compounds a little more.
pub const MESSAGE_BYTES_MAX: usize = 17 << 20;

/// What a reader wants of a message, from its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// To see at least so many of its first bytes.
    More(usize),
    /// The whole message in one piece (it may be refused if it is longer than [`MESSAGE_BYTES_MAX`]: then it is passed over).
    Whole,
    /// So many first bytes now, and the rest as it comes: for READ answers and WRITE requests.
    Streamed(usize),
    /// Nothing of it.
    Pass,
    /// It is no message of SMB: the place in the stream is not the right one.
    Foreign,
}

/// A whole message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// From the first byte of the SMB header on, without the NetBIOS header.
    pub bytes: &'a [u8],
    /// The packet in which it ended.
    pub at: PacketRef,
    /// Which packet its bytes came in: from which offset on. Sorted; empty where all came in `at`.
    pub pieces: &'a [(usize, PacketRef)],
}

impl Message<'_> {
    /// The packet that the byte at an offset came in.
    pub fn packet_at(&self, offset: usize) -> PacketRef {
        let place = self.pieces.partition_point(|p| p.0 <= offset);
        place.checked_sub(1).and_then(|i| self.pieces.get(i)).map_or(self.at, |p| p.1)
    }
}

/// The connection whose message it is, and which way it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carrier {
    /// The connection.
    pub connection: ConnectionId,
    /// Which way.
    pub way: Way,
}

/// Gives each open, session, tree and operation of an analysis its number.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    next: u64,
}

impl Ids {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A new open.
    pub fn open(&mut self) -> OpenId {
        OpenId(self.next())
    }

    /// A new session.
    pub fn session(&mut self) -> SessionId {
        SessionId(self.next())
    }

    /// A new tree.
    pub fn tree(&mut self) -> TreeId {
        TreeId(self.next())
    }

    /// A new operation.
    pub fn operation(&mut self) -> OperationId {
        OperationId(self.next())
    }
}
