//! What is at hand while one TCP segment is looked at: the segment, its connection, whom to tell, and what all connections share.

use super::connection::Connection;
use super::facts::Facts;
use super::handler::{Handler, Interest};
use super::headers::{Located, Tcp, checksum_is_right, header_sum, sum16};
use super::limits::Limits;
use super::terms::PacketRef;
use std::cell::OnceCell;

/// What all connections share.
#[derive(Default)]
pub(super) struct Shared {
    pub limits: Limits,
    /// Cost of all blocks that wait.
    pub waiting: usize,
    /// Delivered bytes that are kept.
    pub kept: usize,
    /// How often each bound was hit.
    hits: Vec<(&'static str, u64)>,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        Shared { limits, ..Shared::default() }
    }

    /// Counts a bound that was hit, and tells.
    pub(super) fn hit<H: Handler + ?Sized>(&mut self, name: &'static str, handler: &mut H) {
        let count = match self.hits.iter_mut().find(|h| h.0 == name) {
            Some(hit) => {
                hit.1 += 1;
                hit.1
            }
            None => {
                self.hits.push((name, 1));
                1
            }
        };
        handler.limit(name, count);
    }
}

/// The TCP segment that is looked at.
pub(super) struct Current<'a> {
    /// The whole packet.
    pub data: &'a [u8],
    pub located: &'a Located,
    pub tcp: &'a Tcp,
    pub at: PacketRef,
    /// Of a datagram in fragments: in which packet the bytes from an offset of `data` on came.
    pub pieces: &'a [(usize, PacketRef)],
    valid: OnceCell<Option<bool>>,
}

impl<'a> Current<'a> {
    pub(super) fn new(
        data: &'a [u8],
        located: &'a Located,
        tcp: &'a Tcp,
        at: PacketRef,
        pieces: &'a [(usize, PacketRef)],
    ) -> Self {
        Current { data, located, tcp, at, pieces, valid: OnceCell::new() }
    }

    /// The captured payload.
    pub(super) fn payload(&self) -> &'a [u8] {
        self.data.get(self.tcp.at..self.tcp.at + self.tcp.captured).unwrap_or_default()
    }

    /// The sum of its headers, where its whole payload was captured.
    pub(super) fn sum(&self) -> Option<u32> {
        (self.tcp.captured >= self.tcp.length).then(|| header_sum(self.data, self.located, self.tcp))?
    }

    /// Whether its checksum is right, where that can be said.
    pub(super) fn valid(&self) -> Option<bool> {
        *self.valid.get_or_init(|| self.sum().map(|sum| checksum_is_right(sum, std::iter::once(sum16(self.payload())))))
    }
}

/// What stays the same while one packet is looked at.
pub(super) struct Scene<'a, H: ?Sized> {
    pub connection: &'a Connection,
    pub interest: &'a mut Option<Interest>,
    pub facts: &'a mut Facts,
    pub shared: &'a mut Shared,
    pub handler: &'a mut H,
    /// The packet at which something is given up.
    pub at: PacketRef,
}
