//! The content of one READ answer or WRITE request, told as its bytes come.

use super::asked::{ReadAsked, WriteAsked};
use super::tell::Tell;
use crate::flow::{PacketRef, Way};
use crate::smb::event::{Action, OpenId, OperationId, SessionId, TreeId, What};
use crate::smb::reader::Message;

/// Content that lies in one message.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Of which open.
    pub(super) open: OpenId,
    /// By which read or write.
    pub(super) operation: OperationId,
    /// Read or written.
    pub(super) action: Action,
    /// The open is a pipe.
    pub(super) pipe: bool,
    /// It has no header: it is the raw bytes that were expected.
    pub(super) raw: bool,
    /// Offset in the file of the first byte.
    pub(super) offset: u64,
    /// Where the content begins in the message.
    pub(super) start: u64,
    /// Where it ends.
    pub(super) end: u64,
    /// Up to where in the message it was told or is lost.
    pub(super) next: u64,
    /// The session.
    pub(super) session: Option<SessionId>,
    /// The tree.
    pub(super) tree: Option<TreeId>,
    /// What is to be told at its end.
    pub(super) after: After,
}

/// What follows the last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The write waits for its answer.
    Answer,
    /// The write will have no answer: the request with this process and multiplex id is done.
    NoAnswer((u16, u16)),
    /// The read is done.
    ReadDone {
        /// From where.
        offset: u64,
        /// How many bytes were asked for.
        asked: Option<u64>,
        /// How many were given, with those of earlier messages.
        given: u64,
        /// The status.
        status: u32,
        /// On a pipe: a message ends here.
        ends_message: bool,
    },
    /// More messages of the same answer follow.
    More,
}

/// Bytes without a header that are expected.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw {
    /// The answer to READ_RAW ([MS-CIFS] 2.2.4.22.2).
    Read {
        /// Which way it comes.
        way: Way,
        /// What was asked.
        read: ReadAsked,
        /// Its session.
        session: Option<SessionId>,
        /// Its tree.
        tree: Option<TreeId>,
    },
    /// The second part of WRITE_RAW's data ([MS-CIFS] 2.2.4.25.1).
    Write {
        /// Which way it comes.
        way: Way,
        /// Process and multiplex id of the request.
        key: (u16, u16),
        /// What was asked.
        write: WriteAsked,
        /// Bytes that came with the request.
        sent: u64,
        /// Its session.
        session: Option<SessionId>,
        /// Its tree.
        tree: Option<TreeId>,
    },
}

impl Stream {
    /// Makes the events speak of its session and tree.
    pub(super) fn enter(&self, tell: &mut Tell<'_>) {
        (tell.context.session, tell.context.tree) = (self.session, self.tree);
    }

    /// Tells those of a message's bytes that are content. `at`: the packet they came in.
    pub(super) fn feed(&mut self, tell: &mut Tell<'_>, offset: u64, bytes: &[u8], at: PacketRef) {
        let after = offset.saturating_add(bytes.len() as u64);
        let (from, to) = (offset.max(self.next), after.min(self.end));
        if from >= to {
            return;
        }
        if from > self.next {
            self.lose(tell, self.next, from - self.next, at);
        }
        let place = |v: u64| usize::try_from(v.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(place(from)..place(to)) else { return };
        self.next = to;
        let (open, action, operation) = (self.open, self.action, self.operation);
        if self.pipe {
            tell.say_at(at, &What::Pipe { open, way: self.way(), bytes });
        } else {
            let offset = self.in_file(from);
            tell.say_at(at, &What::Data { open, action, operation, offset, bytes });
        }
    }

    /// Tells those of a message's lost bytes that were content.
    pub(super) fn lose(&mut self, tell: &mut Tell<'_>, offset: u64, length: u64, at: PacketRef) {
        let (from, to) = (offset.max(self.next), offset.saturating_add(length).min(self.end));
        if from >= to {
            return;
        }
        // What lies before it and was not told is lost as well.
        let from = from.min(self.next);
        self.next = to;
        let (open, action, operation) = (self.open, self.action, self.operation);
        tell.say_at(at, &What::DataLost { open, action, operation, offset: self.in_file(from), length: to - from });
    }

    /// Tells the content of a message that is there as a whole, packet by packet.
    pub(super) fn feed_message(&mut self, tell: &mut Tell<'_>, message: &Message<'_>) {
        let mut from = 0;
        for place in message.pieces.iter().map(|p| p.0).chain([message.bytes.len()]) {
            let to = place.min(message.bytes.len());
            if let Some(bytes) = message.bytes.get(from..to).filter(|b| !b.is_empty()) {
                self.feed(tell, from as u64, bytes, message.packet_at(from));
            }
            from = from.max(to);
        }
    }

    /// The message is over: what was not told of its content is lost, and what follows the last byte is told.
    pub(super) fn close(&mut self, tell: &mut Tell<'_>, at: PacketRef) {
        self.lose(tell, self.next, self.end.saturating_sub(self.next), at);
        let (open, operation) = (self.open, self.operation);
        match self.after {
            After::ReadDone { offset, asked, given, status, ends_message } => {
                if !self.pipe {
                    tell.say_at(at, &What::ReadDone { open, operation, offset, asked, given, status });
                } else if ends_message {
                    tell.say_at(at, &What::Pipe { open, way: self.way(), bytes: &[] });
                }
            }
            After::Answer if self.pipe => tell.say_at(at, &What::Pipe { open, way: self.way(), bytes: &[] }),
            After::Answer | After::NoAnswer(_) | After::More => {}
        }
    }

    fn in_file(&self, in_message: u64) -> u64 {
        self.offset.saturating_add(in_message.saturating_sub(self.start))
    }

    fn way(&self) -> Way {
        match self.action {
            Action::Read => Way::ToClient,
            Action::Write => Way::ToServer,
        }
    }
}
