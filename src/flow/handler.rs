//! Who is told of connections and their bytes.

use super::connection::{Connection, Summary};
use super::terms::{Chunk, Loss, PacketRef, Way};

/// Whether a connection's bytes are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Interest {
    /// Not known yet: bytes are told, and it is asked again after them.
    Undecided,
    /// They are.
    Wanted,
    /// They are not: none is told any more, nor kept. It is not asked again.
    Unwanted,
}

/// Two copies of the same bytes of a stream that differ.
#[derive(Clone, Copy, Debug)]
pub struct Conflict<'a> {
    /// Offset of the first byte that differs.
    pub offset: u64,
    /// The copy that is not in the stream, from the first byte that differs to the last.
    pub bytes: &'a [u8],
    /// The copy in the stream had been handed on before the other one came; else the stream has the copy whose checksum alone is right,
    /// or the first.
    pub was_delivered: bool,
    /// Whether the copy that came first is the one in the stream.
    pub first_kept: bool,
    /// Whether the TCP checksum of the copy that came first is right; `None` where it cannot be said (cut packets).
    pub first_valid: Option<bool>,
    /// The same of the copy that came later.
    pub other_valid: Option<bool>,
    /// The packet of the copy that came later.
    pub at: PacketRef,
}

/// A datagram's payload.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// How many more were sent.
    pub cut: u64,
    /// The packet; of a datagram in fragments the one that completed it.
    pub at: PacketRef,
}

/// Takes what [`super::Flows`] finds. What is said of one direction comes in the order of offsets, without overlap, and together covers
/// everything up to the last byte; bytes of one direction never come before those of the other that they acknowledge, where both are
/// captured (a single last byte aside, which may be a FIN that was not captured).
pub trait Handler {
    /// A connection begins.
    fn opened(&mut self, _connection: &Connection) {}

    /// Whether its bytes are wanted: asked before its first ones, and after each [`Handler::data`] until that is decided. Of UDP it is
    /// asked before each datagram until it is decided.
    fn wants(&mut self, _connection: &Connection) -> Interest {
        Interest::Wanted
    }

    /// The next bytes of one direction.
    fn data(&mut self, _connection: &Connection, _way: Way, _chunk: Chunk<'_>) {}

    /// The next `length` bytes of one direction are not there. `at` is the packet that they were cut from, or the one at which they were
    /// given up.
    fn gap(&mut self, _connection: &Connection, _way: Way, _offset: u64, _length: u64, _loss: Loss, _at: PacketRef) {}

    /// Copies of bytes differ. Of bytes that have not been handed on it is told before they are.
    fn conflict(&mut self, _connection: &Connection, _way: Way, _conflict: Conflict<'_>) {}

    /// A UDP datagram; not one that carries a tunnel.
    fn datagram(&mut self, _connection: &Connection, _way: Way, _datagram: Datagram<'_>) {}

    /// Nothing more is said of a connection. All its bytes have been told.
    fn closed(&mut self, _connection: &Connection, _summary: &Summary) {}

    /// A bound was hit: the name of the field of [`super::Limits`], or what is odd, and how often that was so by now.
    fn limit(&mut self, _name: &'static str, _count: u64) {}
}
