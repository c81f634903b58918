//! The read and write families ([MS-CIFS] 2.2.4.11, .12, .20 to .26, .42, .43).

use super::asked::{Asked, Asking, ReadAsked, WRITE_RAW, WriteAsked};
use super::header::Block;
use super::state::State;
use super::status::{BUFFER_OVERFLOW, SUCCESS, failed};
use super::stream::{After, Raw, Stream};
use super::tell::Tell;
use crate::flow::Way;
use crate::smb::event::{Action, OpenId, SizeFrom, What};

/// READ.
pub(super) const READ: u8 = 0x0A;
/// WRITE.
pub(super) const WRITE: u8 = 0x0B;
/// LOCK_AND_READ.
pub(super) const LOCK_AND_READ: u8 = 0x13;
/// WRITE_AND_UNLOCK.
pub(super) const WRITE_AND_UNLOCK: u8 = 0x14;
/// READ_RAW.
pub(super) const READ_RAW: u8 = 0x1A;
/// READ_MPX.
pub(super) const READ_MPX: u8 = 0x1B;
/// WRITE_MPX.
pub(super) const WRITE_MPX: u8 = 0x1E;
/// WRITE_AND_CLOSE.
pub(super) const WRITE_AND_CLOSE: u8 = 0x2C;
/// READ_ANDX.
pub(super) const READ_ANDX: u8 = 0x2E;
/// WRITE_ANDX.
pub(super) const WRITE_ANDX: u8 = 0x2F;

/// WRITE_ANDX's and WRITE_RAW's write mode: write through, and so an answer after WRITE_RAW's data.
const WRITE_THROUGH: u16 = 0x0001;
/// Write mode RAW_MODE with MSG_START: a pipe's content begins with its 16-bit length, which is not content.
const MESSAGE_START_RAW: u16 = 0x000C;

/// The open that a request's file id means.
pub(super) fn open_named(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, fid: Option<u16>) -> Option<OpenId> {
    asking.chained.or_else(|| state.open_of(tell, fid?, asking.header.tid, asking.header.pid))
}

/// Where content lies in a message: from, to. What is claimed beyond the message's end is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    start: u64,
    end: u64,
}

impl Place {
    /// `total`: bytes of the message.
    fn new(start: usize, length: usize, total: u64) -> Place {
        let start = (start as u64).min(total);
        Place { start, end: start.saturating_add(length as u64).min(total) }
    }

    fn length(self) -> u64 {
        self.end - self.start
    }
}

/// A length of 32 bits in two fields. Old servers leave something else in the upper one: then it does not fit the message.
fn long_length(low: Option<u16>, high: Option<u16>, start: usize, total: u64) -> usize {
    let low = usize::from(low.unwrap_or(0));
    let both = usize::from(high.unwrap_or(0)) << 16 | low;
    let there = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(start);
    if both > there && low <= there { low } else { both }
}

/// A 64-bit offset in two fields.
fn long_offset(low: Option<u32>, high: Option<u32>) -> u64 {
    u64::from(high.unwrap_or(0)) << 32 | u64::from(low.unwrap_or(0))
}

/// The buffer of READ's answer and WRITE's request: format 0x01, 16-bit length, content ([MS-CIFS] 2.2.4.11.2).
fn buffer(block: &Block<'_>, total: u64) -> Place {
    let length = super::fields::Fields(block.bytes()).place16(1).unwrap_or(0);
    Place::new(block.bytes_at.saturating_add(3), length, total)
}

/// Reads a read request.
pub(super) fn read_request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>) -> Asked {
    let w = block.words;
    let (fid, offset, length) = match block.command {
        READ | LOCK_AND_READ => (w.u16(0), long_offset(w.u32(4), None), u64::from(w.u16(2).unwrap_or(0))),
        READ_RAW => (w.u16(0), long_offset(w.u32(2), w.u32(16)), u64::from(w.u16(6).unwrap_or(0))),
        READ_MPX => (w.u16(0), long_offset(w.u32(2), None), u64::from(w.u16(6).unwrap_or(0))),
        _ => {
            // Of a pipe the field is a timeout; 0xFFFF is no upper half of a length.
            let high = w.u16(14).filter(|h| *h != 0xFFFF).unwrap_or(0);
            (w.u16(4), long_offset(w.u32(6), w.u32(20)), u64::from(high) << 16 | u64::from(w.u16(10).unwrap_or(0)))
        }
    };
    let Some(open) = open_named(state, tell, asking, fid) else {
        tell.odd("smb1_no_such_open", 0);
        return Asked::Other { name: super::names::command(block.command) };
    };
    let operation = tell.ids.operation();
    let pipe = state.is_pipe(open);
    if !pipe {
        tell.say(&What::ReadAsked { open, operation, offset, length });
    }
    let read = ReadAsked { open, operation, offset, length, pipe, given: 0 };
    if block.command == READ_RAW {
        state.raw = Some(Raw::Read { way: asking.way.other(), read, session: tell.context.session, tree: tell.context.tree });
        return Asked::Quiet;
    }
    Asked::Read(read)
}

/// Content of an answer to a read, and whether the answer is complete with it. `total`: bytes of the message.
pub(super) fn read_answer(
    state: &State,
    tell: &Tell<'_>,
    block: &Block<'_>,
    status: u32,
    read: &mut ReadAsked,
    total: u64,
) -> (Stream, bool) {
    let w = block.words;
    let none = Place::new(0, 0, total);
    let (place, offset) = match block.command {
        _ if failed(status) => (none, read.offset),
        READ | LOCK_AND_READ => (buffer(block, total), read.offset),
        READ_MPX => (Place::new(w.place16(14).unwrap_or(0), w.place16(12).unwrap_or(0), total), long_offset(w.u32(0), None)),
        _ => (and_x_answer_place(block, total), read.offset),
    };
    read.given = read.given.saturating_add(place.length());
    // READ_MPX's count is that of all messages of the answer; -1 stands for a failure in a later one ([MS-CIFS] 2.2.4.23.2).
    let last = block.command != READ_MPX
        || failed(status)
        || w.u16(4).is_none_or(|count| u64::from(count) <= read.given)
        || place.length() == 0;
    let after = After::ReadDone {
        offset: read.offset,
        asked: Some(read.length),
        given: read.given,
        status,
        ends_message: !failed(status) && status != BUFFER_OVERFLOW,
    };
    let stream = Stream {
        open: read.open,
        operation: read.operation,
        action: Action::Read,
        pipe: read.pipe || state.is_pipe(read.open),
        raw: false,
        offset,
        start: place.start,
        end: place.end,
        next: place.start,
        session: tell.context.session,
        tree: tell.context.tree,
        after: if last { after } else { After::More },
    };
    (stream, last)
}

fn and_x_answer_place(block: &Block<'_>, total: u64) -> Place {
    let w = block.words;
    let start = w.place16(12).unwrap_or(0);
    Place::new(start, long_length(w.u16(10), w.u16(14), start, total), total)
}

/// Bytes of content in an answer whose request is not known.
pub(super) fn unplaced(block: &Block<'_>, total: u64) -> u64 {
    match block.command {
        READ | LOCK_AND_READ => buffer(block, total).length(),
        READ_MPX => u64::from(block.words.u16(12).unwrap_or(0)).min(total),
        _ => and_x_answer_place(block, total).length(),
    }
}

/// Where content begins in a READ_ANDX answer or WRITE_ANDX request, if there is any.
pub(super) fn content_start(block: &Block<'_>) -> Option<usize> {
    let at = if block.command == READ_ANDX { 12 } else { 22 };
    block.words.place16(at).filter(|start| *start > 0)
}

/// Reads a write request: what was asked, and the content that the message carries. `total`: its bytes.
pub(super) fn write_request(
    state: &mut State,
    tell: &mut Tell<'_>,
    asking: &Asking,
    block: &Block<'_>,
    total: u64,
) -> (Asked, Option<Stream>) {
    let w = block.words;
    let mut sets_end = false;
    let mut announced = None;
    let (fid, offset, mut place) = match block.command {
        WRITE | WRITE_AND_UNLOCK => {
            sets_end = block.command == WRITE && w.u16(2) == Some(0);
            (w.u16(0), long_offset(w.u32(4), None), buffer(block, total))
        }
        WRITE_AND_CLOSE => {
            let place = Place::new(block.bytes_at.saturating_add(1), w.place16(2).unwrap_or(0), total);
            (w.u16(0), long_offset(w.u32(4), None), place)
        }
        WRITE_RAW | WRITE_MPX => {
            let high = if block.command == WRITE_RAW { w.u32(24) } else { None };
            announced = w.u16(2).map(u64::from).filter(|_| block.command == WRITE_RAW);
            let place = Place::new(w.place16(22).unwrap_or(0), w.place16(20).unwrap_or(0), total);
            (w.u16(0), long_offset(w.u32(6), high), place)
        }
        _ => {
            let start = w.place16(22).unwrap_or(0);
            let place = Place::new(start, long_length(w.u16(20), w.u16(18), start, total), total);
            (w.u16(4), long_offset(w.u32(6), w.u32(24)), place)
        }
    };
    let Some(open) = open_named(state, tell, asking, fid) else {
        tell.odd("smb1_no_such_open", usize::try_from(place.length()).unwrap_or(usize::MAX));
        return (Asked::Other { name: super::names::command(block.command) }, None);
    };
    let pipe = state.is_pipe(open);
    let mode = w.u16(14).unwrap_or(0);
    let prefix = if pipe && block.command == WRITE_ANDX && mode & MESSAGE_START_RAW == MESSAGE_START_RAW { 2 } else { 0 };
    place.start = place.start.saturating_add(prefix).min(place.end);
    let operation = tell.ids.operation();
    let here = place.length();
    let write = WriteAsked {
        open,
        operation,
        offset,
        sent: announced.map_or(here, |a| a.max(here)),
        pipe,
        closes: block.command == WRITE_AND_CLOSE,
        sets_end,
        mask: if block.command == WRITE_MPX { w.u32(16).unwrap_or(0) } else { 0 },
        confirmed: block.command != WRITE_RAW || mode & WRITE_THROUGH != 0,
    };
    let (session, tree) = (tell.context.session, tell.context.tree);
    if block.command == WRITE_RAW && write.sent > here {
        let key = asking.header.key();
        state.raw = Some(Raw::Write { way: asking.way, key, write, sent: here, session, tree });
    }
    let stream = Stream {
        open,
        operation,
        action: Action::Write,
        pipe,
        raw: false,
        offset,
        start: place.start,
        end: place.end,
        next: place.start,
        session,
        tree,
        after: if write.sent > here { After::More } else { After::Answer },
    };
    (Asked::Write(write), Some(stream))
}

/// Tells what the answer to a write says. Returns whether another answer follows.
pub(super) fn write_answer(
    state: &mut State,
    tell: &mut Tell<'_>,
    header_command: u8,
    block: &Block<'_>,
    status: u32,
    write: &WriteAsked,
) -> bool {
    let w = block.words;
    if block.command == WRITE_RAW && header_command == WRITE_RAW && !failed(status) {
        // The server is ready for the second part; its last word comes as WRITE_COMPLETE, if at all.
        if write.confirmed || state.raw.is_some() {
            return true;
        }
        let (open, operation, offset, sent) = (write.open, write.operation, write.offset, write.sent);
        if !write.pipe && !state.is_pipe(open) {
            tell.say(&What::WriteDone { open, operation, offset, sent, written: None });
        }
        return false;
    }
    if block.command == WRITE_RAW && header_command == WRITE_RAW {
        state.raw = None;
    }
    // In a chain the header names the first command only.
    let command = if block.command == WRITE_ANDX { WRITE_ANDX } else { header_command };
    let count = match command {
        _ if failed(status) && block.word_count() == 0 => 0,
        WRITE_ANDX => u64::from(w.u16(8).unwrap_or(0)) << 16 | u64::from(w.u16(4).unwrap_or(0)),
        WRITE_MPX => {
            let written = write.mask == 0 || w.u32(0).is_some_and(|mask| mask & write.mask == write.mask);
            if written && !failed(status) { write.sent } else { 0 }
        }
        _ => u64::from(w.u16(0).unwrap_or(0)),
    };
    let (open, operation, offset, sent) = (write.open, write.operation, write.offset, write.sent);
    if !write.pipe && !state.is_pipe(open) {
        tell.say(&What::WriteDone { open, operation, offset, sent, written: Some(count.min(sent)) });
        if write.sets_end && !failed(status) {
            tell.say(&What::Size { open, size: offset, from: SizeFrom::SetEndOfFile });
        }
    }
    if write.closes && !failed(status) {
        state.drop_open(open);
        tell.say(&What::Closed { open, status: Some(status), by_close: true });
    }
    false
}

/// Whether a message without a header, of this way and length, is one that is expected, and its content if so.
pub(super) fn raw_stream(state: &State, way: Way, total: u64) -> Option<Stream> {
    match state.raw? {
        Raw::Read { way: expected, read, session, tree } if expected == way && total <= read.length => Some(Stream {
            open: read.open,
            operation: read.operation,
            action: Action::Read,
            pipe: read.pipe || state.is_pipe(read.open),
            raw: true,
            offset: read.offset,
            start: 0,
            end: total,
            next: 0,
            session,
            tree,
            after: After::ReadDone {
                offset: read.offset,
                asked: Some(read.length),
                given: total,
                status: SUCCESS,
                ends_message: true,
            },
        }),
        Raw::Write { way: expected, key, write, sent, session, tree }
            if expected == way && total <= write.sent.saturating_sub(sent) =>
        {
            Some(Stream {
                open: write.open,
                operation: write.operation,
                action: Action::Write,
                pipe: write.pipe || state.is_pipe(write.open),
                raw: true,
                offset: write.offset.saturating_add(sent),
                start: 0,
                end: total,
                next: 0,
                session,
                tree,
                after: if write.confirmed { After::Answer } else { After::NoAnswer(key) },
            })
        }
        _ => None,
    }
}
