//! The telling of events.

use crate::flow::PacketRef;
use crate::smb::event::{Context, Listener, What};
use crate::smb::reader::Ids;
use crate::time::Timestamp;

/// Gives numbers and tells events, with what they are about.
pub(super) struct Tell<'a> {
    /// Gives numbers.
    pub(super) ids: &'a mut Ids,
    /// Who is told.
    pub(super) out: &'a mut dyn Listener,
    /// What the events are about.
    pub(super) context: Context,
    /// When the request was captured that is being read or answered.
    pub(super) asked: Timestamp,
}

impl Tell<'_> {
    /// Tells an event.
    pub(super) fn say(&mut self, what: &What<'_>) {
        self.out.smb(&self.context, what);
    }

    /// Tells an event of bytes in a packet.
    pub(super) fn say_at(&mut self, at: PacketRef, what: &What<'_>) {
        self.out.smb(&Context { at, ..self.context }, what);
    }

    /// Tells a command of which nothing else is told.
    pub(super) fn command(&mut self, name: &'static str, status: u32) {
        self.say(&What::Command { name, status: Some(status), asked: self.asked });
    }

    /// Tells an oddity.
    pub(super) fn odd(&mut self, name: &'static str, bytes: usize) {
        self.say(&What::Odd { name, bytes: bytes as u64 });
    }
}
