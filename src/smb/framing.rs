//! Where messages begin and end in one direction of a stream: NetBIOS session packets (RFC 1002 4.3, 17-bit lengths) and direct TCP
//! (MS-SMB2 2.1, 24 bits), which differ in nothing that matters here.
//!
//! A message that lies whole in what came is handed on without a copy. After a late start or a gap a beginning is looked for (`footing`).

use super::footing::{Footing, Known, find, is_beginning};
use super::netbios::{PREFIX_LEN, prefix};
use super::reader::{MESSAGE_BYTES_MAX, Message, Shape};
use crate::flow::{Chunk, PacketRef};

/// What is told of one direction.
pub(super) trait Sink {
    /// What is wanted of a message, from its first bytes.
    fn shape(&mut self, head: &[u8], total: u64) -> Shape;
    /// A whole message.
    fn message(&mut self, message: &Message<'_>);
    /// The head of a streamed one.
    fn begin(&mut self, head: &Message<'_>, total: u64);
    /// Further bytes of it, by their offset in the message.
    fn body(&mut self, offset: u64, bytes: &[u8], at: PacketRef);
    /// Bytes of it that were lost.
    fn lost(&mut self, offset: u64, length: u64, at: PacketRef);
    /// Its end.
    fn finish(&mut self, at: PacketRef);
    /// Messages were lost, or cannot be told apart.
    fn gap(&mut self, at: PacketRef);
    /// A message that is read in one piece has a gap: nothing can be read of it.
    fn message_lost(&mut self, length: u64, at: PacketRef);
    /// Bytes are passed over in which there may be messages.
    fn skipped(&mut self, name: &'static str, bytes: u64, at: PacketRef);
    /// Something odd, with the bytes concerned.
    fn odd(&mut self, name: &'static str, bytes: u64, at: PacketRef);
    /// What helps to tell a beginning.
    fn known(&self) -> Known;
}

/// What comes next in the stream.
#[derive(Debug)]
enum State {
    /// Nothing is known: a beginning is looked for in what is held.
    Lost,
    /// The prefix of a message, or its head, as far as it is held.
    Head,
    /// The rest of a message of `total` bytes, of which all are held.
    Whole { total: usize },
    /// A streamed message of `total` bytes, of which `done` were handed on.
    Streaming { total: u64, done: u64 },
    /// A message of which nothing is wanted: so many bytes are left.
    Passing { left: u64 },
}

/// One direction.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    /// Bytes of the message that is being put together, from its prefix on, or of what is looked through.
    held: Vec<u8>,
    /// Which packets they came in: from which place on.
    pieces: Vec<(usize, PacketRef)>,
    /// Of what is looked through: where a packet's bytes end.
    ends: Vec<usize>,
    /// Up to where that was done.
    looked: usize,
    at: PacketRef,
}

/// Pieces that are kept of one message; of longer ones the last packets are not told apart.
const PIECES_MAX: usize = 65_536;

impl Framer {
    /// Of a stream whose first byte is the connection's first, or not.
    pub(super) fn new(late_start: bool) -> Framer {
        let state = if late_start { State::Lost } else { State::Head };
        Framer { state, held: Vec::new(), pieces: Vec::new(), ends: Vec::new(), looked: 0, at: PacketRef::default() }
    }

    /// Bytes that are kept.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
            + self.pieces.capacity() * size_of::<(usize, PacketRef)>()
            + self.ends.capacity() * size_of::<usize>()
    }

    /// The packet of the newest bytes.
    pub(super) fn at(&self) -> PacketRef {
        self.at
    }

    /// Takes the next bytes.
    pub(super) fn data(&mut self, chunk: &Chunk<'_>, footing_bytes: usize, sink: &mut dyn Sink) {
        self.at = chunk.at;
        let mut rest = chunk.bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Lost => return self.look(rest, footing_bytes, sink),
                State::Head => self.head(rest, sink),
                State::Whole { total } => self.whole(rest, total, sink),
                State::Streaming { total, done } => {
                    let n = (rest.len() as u64).min(total - done) as usize;
                    sink.body(done, &rest[..n], self.at);
                    self.streamed(total, done + n as u64, sink);
                    &rest[n..]
                }
                State::Passing { left } => {
                    let n = (rest.len() as u64).min(left) as usize;
                    let left = left - n as u64;
                    self.state = if left == 0 { State::Head } else { State::Passing { left } };
                    &rest[n..]
                }
            };
        }
    }

    fn streamed(&mut self, total: u64, done: u64, sink: &mut dyn Sink) {
        if done < total {
            self.state = State::Streaming { total, done };
        } else {
            sink.finish(self.at);
            self.state = State::Head;
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.pieces.last().is_none_or(|p| p.1 != self.at) && self.pieces.len() < PIECES_MAX {
            self.pieces.push((self.held.len(), self.at));
        }
        self.held.extend_from_slice(bytes);
    }

    fn let_go(&mut self) {
        // A message of several MiB is rare: its room is not kept for each connection.
        if self.held.capacity() > 1 << 16 {
            self.held = Vec::new();
        }
        if self.pieces.capacity() > 1 << 10 {
            self.pieces = Vec::new();
        }
        if self.ends.capacity() > 1 << 12 {
            self.ends = Vec::new();
        }
        self.held.clear();
        self.looked = 0;
        self.pieces.clear();
        self.ends.clear();
    }

    /// A message begins, or goes on within its head. Gives what is left.
    fn head<'a>(&mut self, rest: &'a [u8], sink: &mut dyn Sink) -> &'a [u8] {
        if self.held.is_empty() {
            let (used, wants) = self.judge(rest, &[], sink);
            if used > 0 || !wants {
                return &rest[used..];
            }
            self.hold(rest);
            return &[];
        }
        // A head is short, and no more than that is copied: what is wanted grows with what is known.
        let before = self.held.len();
        let want = self.wanted(sink);
        let n = rest.len().min(want.saturating_sub(before).max(1));
        self.hold(&rest[..n]);
        let held = std::mem::take(&mut self.held);
        let pieces = std::mem::take(&mut self.pieces);
        let (used, wants) = self.judge(&held, &pieces, sink);
        if used == 0 && wants {
            (self.held, self.pieces) = (held, pieces);
        } else if used < held.len() {
            // Told whole, and more was held than it had: cannot be, for no more is held than was wanted.
            (self.held, self.pieces) = (held, pieces);
            self.let_go();
        } else {
            (self.held, self.pieces) = (held, pieces);
            if matches!(self.state, State::Whole { .. }) {
                return &rest[n..];
            }
            self.let_go();
        }
        &rest[n..]
    }

    /// How many bytes of the message that is held must be there to go on.
    fn wanted(&self, sink: &mut dyn Sink) -> usize {
        let Some((_, length)) = prefix(&self.held) else { return PREFIX_LEN };
        let head = &self.held[PREFIX_LEN..];
        match sink.shape(head, length) {
            Shape::More(n) => PREFIX_LEN.saturating_add(n.min(length as usize)),
            Shape::Streamed(n) => PREFIX_LEN.saturating_add(n),
            Shape::Whole | Shape::Pass | Shape::Foreign => self.held.len(),
        }
    }

    /// Looks at the bytes from a prefix on; says how many of them are done with, and, where none are, whether to wait for more.
    fn judge(&mut self, bytes: &[u8], pieces: &[(usize, PacketRef)], sink: &mut dyn Sink) -> (usize, bool) {
        let Some((kind, length)) = prefix(bytes) else { return (0, true) };
        if kind != 0 {
            // Session request, its answers, keep-alive (RFC 1002 4.3.1).
            if !(0x81..=0x85).contains(&kind) || length > 1024 {
                return self.stumble(bytes, sink);
            }
            self.state = State::Passing { left: length };
            if length == 0 {
                self.state = State::Head;
            }
            return (PREFIX_LEN, false);
        }
        if length == 0 {
            // Of SMB1 an empty message can be the answer to a raw read.
            sink.message(&Message { bytes: &[], at: self.at, pieces: &[] });
            return (PREFIX_LEN, false);
        }
        let total = length as usize;
        let body = &bytes[PREFIX_LEN..];
        let have = body.len().min(total);
        if have < 4.min(total) {
            return (0, true);
        }
        match sink.shape(&body[..have], length) {
            Shape::More(n) if n.min(total) > have => (0, true),
            Shape::More(_) | Shape::Pass => self.pass(length, have),
            Shape::Foreign => self.stumble(bytes, sink),
            Shape::Whole if total > MESSAGE_BYTES_MAX => {
                sink.skipped("message_too_long", length, self.at);
                self.pass(length, have)
            }
            Shape::Whole if have == total => {
                let moved = moved(pieces);
                sink.message(&Message { bytes: &body[..total], at: self.at, pieces: &moved });
                self.state = State::Head;
                (PREFIX_LEN + total, false)
            }
            Shape::Whole => {
                self.state = State::Whole { total };
                if pieces.is_empty() {
                    self.hold(bytes);
                }
                (bytes.len(), false)
            }
            Shape::Streamed(n) if n > have => (0, true),
            Shape::Streamed(n) => {
                let n = n.min(have);
                let moved = moved(pieces);
                sink.begin(&Message { bytes: &body[..n], at: self.at, pieces: &moved }, length);
                self.streamed(length, n as u64, sink);
                (PREFIX_LEN + n, false)
            }
        }
    }

    fn pass(&mut self, length: u64, have: usize) -> (usize, bool) {
        let left = length - have as u64;
        self.state = if left == 0 { State::Head } else { State::Passing { left } };
        (PREFIX_LEN + have, false)
    }

    /// What comes is no message: a beginning is looked for from here on.
    fn stumble(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> (usize, bool) {
        sink.odd("no_message", bytes.len() as u64, self.at);
        sink.gap(self.at);
        self.state = State::Lost;
        // Not to stumble over the same byte again.
        (1, false)
    }

    fn whole<'a>(&mut self, rest: &'a [u8], total: usize, sink: &mut dyn Sink) -> &'a [u8] {
        let n = rest.len().min((PREFIX_LEN + total).saturating_sub(self.held.len()));
        self.hold(&rest[..n]);
        if self.held.len() >= PREFIX_LEN + total {
            let moved = moved(&self.pieces);
            sink.message(&Message { bytes: &self.held[PREFIX_LEN..PREFIX_LEN + total], at: self.at, pieces: &moved });
            self.state = State::Head;
            self.let_go();
        }
        &rest[n..]
    }

    /// Looks for a beginning in what is held and what came.
    fn look(&mut self, rest: &[u8], footing_bytes: usize, sink: &mut dyn Sink) {
        self.hold(rest);
        self.ends.push(self.held.len());
        let known = sink.known();
        loop {
            match find(&self.held, self.looked, &self.ends, &known) {
                Footing::At(at) => {
                    if at > 0 {
                        sink.skipped("skipped_to_a_message", at as u64, self.at);
                    }
                    return self.replay(at, footing_bytes, sink);
                }
                Footing::Wait(from) if self.held.len() - from.min(self.held.len()) <= footing_bytes => {
                    self.looked = from.min(self.held.len());
                    // Not at each chunk, for what is kept is moved.
                    if self.looked > self.held.len() / 2 {
                        self.drop_before(self.looked);
                    }
                    return;
                }
                Footing::Wait(from) => {
                    // Its length lands too far away: it was none.
                    sink.skipped("no_footing", (self.held.len() - from) as u64, self.at);
                    self.looked = from + PREFIX_LEN + 1;
                }
            }
        }
    }

    /// Hands on what is held from a beginning on.
    fn replay(&mut self, from: usize, footing_bytes: usize, sink: &mut dyn Sink) {
        self.state = State::Head;
        self.looked = 0;
        let held = std::mem::take(&mut self.held);
        let pieces = std::mem::take(&mut self.pieces);
        self.ends.clear();
        for (i, (start, at)) in pieces.iter().enumerate() {
            let end = pieces.get(i + 1).map_or(held.len(), |p| p.0);
            let part = held.get((*start).max(from)..end.max(from)).unwrap_or_default();
            if !part.is_empty() {
                self.data(&Chunk { offset: 0, bytes: part, at: *at }, footing_bytes, sink);
            }
        }
    }

    fn drop_before(&mut self, from: usize) {
        let from = from.min(self.held.len());
        if from == 0 {
            return;
        }
        self.held.drain(..from);
        self.looked = self.looked.saturating_sub(from);
        let kept = self.pieces.partition_point(|p| p.0 <= from).saturating_sub(1);
        self.pieces.drain(..kept);
        self.pieces.iter_mut().for_each(|p| p.0 = p.0.saturating_sub(from));
        self.ends.retain(|e| *e > from);
        self.ends.iter_mut().for_each(|e| *e -= from);
        if self.held.is_empty() {
            self.let_go();
        }
    }

    /// So many bytes are missing here.
    pub(super) fn gap(&mut self, length: u64, at: PacketRef, sink: &mut dyn Sink) {
        self.at = at;
        match self.state {
            State::Streaming { total, done } => {
                let n = length.min(total - done);
                sink.lost(done, n, at);
                self.streamed(total, done + n, sink);
                if length > n {
                    self.lose(sink);
                }
            }
            State::Passing { left } if length <= left => {
                self.state = if left == length { State::Head } else { State::Passing { left: left - length } };
            }
            State::Whole { total } => {
                // Of a message that is read in one piece nothing can be read; where the next one begins is known.
                let left = ((PREFIX_LEN + total) - self.held.len()) as u64;
                sink.message_lost(total as u64, at);
                sink.gap(at);
                self.let_go();
                self.state = match left.checked_sub(length) {
                    Some(0) => State::Head,
                    Some(left) => State::Passing { left },
                    None => State::Lost,
                };
            }
            State::Head => {
                // A head that is partly there tells how long its message is.
                let known = prefix(&self.held).filter(|(kind, _)| *kind == 0).map(|(_, total)| total);
                let left = known.map(|total| (PREFIX_LEN as u64 + total).saturating_sub(self.held.len() as u64));
                sink.gap(at);
                self.let_go();
                self.state = match left.and_then(|left| left.checked_sub(length)) {
                    Some(0) => State::Head,
                    Some(left) => State::Passing { left },
                    None => State::Lost,
                };
            }
            State::Lost | State::Passing { .. } => self.lose(sink),
        }
    }

    fn lose(&mut self, sink: &mut dyn Sink) {
        sink.gap(self.at);
        self.let_go();
        self.state = State::Lost;
    }

    /// There is no room for what is held.
    pub(super) fn give_up(&mut self, sink: &mut dyn Sink) {
        sink.odd("limit_held_bytes", self.held.len() as u64, self.at);
        let left = match self.state {
            State::Whole { total } => Some(((PREFIX_LEN + total) - self.held.len()) as u64),
            _ => None,
        };
        self.lose(sink);
        // Room that is kept for the next message as a rule goes as well.
        (self.held, self.pieces, self.ends) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(left) = left {
            self.state = State::Passing { left };
        }
    }

    /// The stream is over: of what is being looked through a beginning at its start is believed.
    pub(super) fn end(&mut self, footing_bytes: usize, sink: &mut dyn Sink) {
        if matches!(self.state, State::Lost) && is_beginning(&self.held, &sink.known()) {
            self.replay(0, footing_bytes, sink);
        }
        if let State::Streaming { total, done } = self.state {
            sink.lost(done, total - done, self.at);
            sink.finish(self.at);
        }
        if !self.held.is_empty() {
            sink.skipped("not_ended", self.held.len() as u64, self.at);
        }
        self.state = State::Head;
        self.let_go();
    }
}

/// The packets of a message, without its prefix.
fn moved(pieces: &[(usize, PacketRef)]) -> Vec<(usize, PacketRef)> {
    if pieces.len() < 2 {
        return Vec::new();
    }
    pieces.iter().map(|(start, at)| (start.saturating_sub(PREFIX_LEN), *at)).collect()
}
