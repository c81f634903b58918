//! One connection's messages, whole and streamed.

use super::asked::WRITE_RAW;
use super::content::raw_stream;
use super::header::Header;
use super::shape;
use super::state::State;
use super::stream::{After, Stream};
use super::tell::Tell;
use super::{answer, request};
use crate::flow::{ConnectionId, PacketRef, Way};
use crate::smb::event::{Context, Listener};
use crate::smb::reader::{Carrier, Ids, Message, Shape};

/// The SMB1 state of one connection: messages in, events out.
///
/// Feed both directions in the order in which they were captured. Memory is bounded whatever comes.
#[derive(Debug)]
pub(in crate::smb) struct Smb1 {
    state: State,
}

impl Default for Smb1 {
    fn default() -> Self {
        Self::new()
    }
}

fn index(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

fn tell<'a>(connection: ConnectionId, at: PacketRef, ids: &'a mut Ids, out: &'a mut dyn Listener) -> Tell<'a> {
    let context = Context { connection, at, session: None, tree: None, encrypted: false, compressed: false };
    Tell { ids, out, context, asked: at.time }
}

impl Smb1 {
    /// A connection of which nothing was seen.
    pub(in crate::smb) fn new() -> Self {
        Smb1 { state: State::new() }
    }

    /// What is wanted of a message of `total` bytes from its first bytes (from 0xFF 'S' 'M' 'B' on; or without that magic where the answer
    /// to READ_RAW or the data of WRITE_RAW is pending, of which one of no bytes is wanted as well).
    pub(in crate::smb) fn shape(&self, carrier: &Carrier, head: &[u8], total: u64) -> Shape {
        shape::of(&self.state, carrier.way, head, total)
    }

    /// Takes a whole message.
    pub(in crate::smb) fn message(&mut self, carrier: &Carrier, message: &Message<'_>, ids: &mut Ids, out: &mut dyn Listener) {
        let total = message.bytes.len() as u64;
        if let Some(mut stream) = self.read(carrier, message, total, true, ids, out) {
            let mut tell = tell(carrier.connection, message.at, ids, out);
            stream.enter(&mut tell);
            stream.feed_message(&mut tell, message);
            self.over(&mut tell, &mut stream, message.at);
        }
    }

    /// Takes the head of a streamed message of `total` bytes: at least as many bytes as [`Shape::Streamed`] said. A message of this way
    /// that was not finished is over.
    pub(in crate::smb) fn begin(
        &mut self,
        carrier: &Carrier,
        head: &Message<'_>,
        total: u64,
        ids: &mut Ids,
        out: &mut dyn Listener,
    ) {
        self.finish(carrier, head.at, ids, out);
        if let Some(mut stream) = self.read(carrier, head, total, false, ids, out) {
            let mut tell = tell(carrier.connection, head.at, ids, out);
            stream.enter(&mut tell);
            stream.feed_message(&mut tell, head);
            self.state.streams[index(carrier.way)] = Some(stream);
        }
    }

    /// Takes further bytes of a streamed message, by their offset in it.
    pub(in crate::smb) fn body(
        &mut self,
        carrier: &Carrier,
        offset: u64,
        bytes: &[u8],
        at: PacketRef,
        ids: &mut Ids,
        out: &mut dyn Listener,
    ) {
        if let Some(stream) = &mut self.state.streams[index(carrier.way)] {
            let mut tell = tell(carrier.connection, at, ids, out);
            stream.enter(&mut tell);
            stream.feed(&mut tell, offset, bytes, at);
        }
    }

    /// Bytes of a streamed message are lost.
    pub(in crate::smb) fn lost(
        &mut self,
        carrier: &Carrier,
        offset: u64,
        length: u64,
        at: PacketRef,
        ids: &mut Ids,
        out: &mut dyn Listener,
    ) {
        if let Some(stream) = &mut self.state.streams[index(carrier.way)] {
            let mut tell = tell(carrier.connection, at, ids, out);
            stream.enter(&mut tell);
            stream.lose(&mut tell, offset, length, at);
        }
    }

    /// A streamed message is over: content that was not given is lost.
    pub(in crate::smb) fn finish(&mut self, carrier: &Carrier, at: PacketRef, ids: &mut Ids, out: &mut dyn Listener) {
        if let Some(mut stream) = self.state.streams[index(carrier.way)].take() {
            let mut tell = tell(carrier.connection, at, ids, out);
            stream.enter(&mut tell);
            self.over(&mut tell, &mut stream, at);
        }
    }

    /// Messages of this direction were lost. Requests may have no answer, and what answers come may be to requests that were not seen:
    /// those of which that may be so are given up, and their answers have no place. Opens are kept: what is read and written later is
    /// most often theirs.
    pub(in crate::smb) fn gap(&mut self, carrier: &Carrier, ids: &mut Ids, out: &mut dyn Listener) {
        let mut tell = tell(carrier.connection, PacketRef::default(), ids, out);
        self.state.gap(&mut tell, index(carrier.way));
    }

    /// The connection is over: writes without an answer are told so, and opens are closed.
    pub(in crate::smb) fn end(&mut self, connection: ConnectionId, at: PacketRef, ids: &mut Ids, out: &mut dyn Listener) {
        for way in [Way::ToServer, Way::ToClient] {
            self.finish(&Carrier { connection, way }, at, ids, out);
        }
        let mut tell = tell(connection, at, ids, out);
        for key in self.state.pending.keys_where(|_| true) {
            for pending in self.state.pending.remove(&key).unwrap_or_default() {
                self.state.unanswered(&mut tell, &pending);
            }
        }
        self.state.give_up_where(&mut tell, |_| true);
        self.state = State::new();
    }

    /// Bytes that are kept.
    pub(in crate::smb) fn held_bytes(&self) -> usize {
        self.state.pending.held_bytes() + self.state.opens.held_bytes()
    }

    /// Reads a message, or the head of one. Returns content that was not told yet.
    fn read(
        &mut self,
        carrier: &Carrier,
        message: &Message<'_>,
        total: u64,
        whole: bool,
        ids: &mut Ids,
        out: &mut dyn Listener,
    ) -> Option<Stream> {
        if shape::is_raw(&self.state, carrier.way, message.bytes, total) {
            return raw_stream(&self.state, carrier.way, total);
        }
        let mut tell = tell(carrier.connection, message.at, ids, out);
        let Some(header) = Header::read(message.bytes) else {
            tell.odd("smb1_cut_short", message.bytes.len());
            return None;
        };
        let state = &mut self.state;
        if header.reply {
            answer::read(state, &mut tell, carrier.way, &header, message, total, whole)
        } else {
            request::read(state, &mut tell, carrier.way, &header, message, total, whole)
        }
    }

    /// Ends a stream.
    fn over(&mut self, tell: &mut Tell<'_>, stream: &mut Stream, at: PacketRef) {
        stream.close(tell, at);
        if stream.raw {
            self.state.raw = None;
        }
        if let After::NoAnswer(key) = stream.after
            && let Some(pending) = self.state.take_pending(key, |p| p.answered_by(WRITE_RAW))
        {
            self.state.unanswered(tell, &pending);
        }
    }
}
