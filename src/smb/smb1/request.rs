//! Reads the requests' commands.

use super::asked::{Asked, Asking, Part, Pending};
use super::content::{self, READ_RAW, WRITE_MPX};
use super::header::{Block, Chain, Header};
use super::limits::MPX_MAX;
use super::names;
use super::setup::{self, LOGOFF, NEGOTIATE, SESSION_SETUP, TREE_CONNECT, TREE_CONNECT_AND_X, TREE_DISCONNECT};
use super::state::State;
use super::stream::{Raw, Stream};
use super::tell::Tell;
use super::{open, transact};
use crate::flow::Way;
use crate::smb::reader::Message;

const LOCKING: u8 = 0x24;
const ECHO: u8 = 0x2B;
const NT_CANCEL: u8 = 0xA4;
const PROCESS_EXIT: u8 = 0x11;

/// Whether a first command speaks of a session, and of a tree.
fn speaks_of(command: u8) -> (bool, bool) {
    match command {
        NEGOTIATE | SESSION_SETUP | ECHO => (false, false),
        LOGOFF | TREE_CONNECT | TREE_CONNECT_AND_X | PROCESS_EXIT => (true, false),
        _ => (true, true),
    }
}

/// Whether a request is the server's notice that an oplock is broken ([MS-CIFS] 2.2.4.32): it has no answer.
pub(super) fn is_oplock_break(header: &Header, way: Way) -> bool {
    way == Way::ToClient && header.command == LOCKING && !header.reply
}

/// Reads a request. `total`: its bytes; they are not all there where only the head of it is given (`whole` is false), and then its
/// content is returned untold.
pub(super) fn read(
    state: &mut State,
    tell: &mut Tell<'_>,
    way: Way,
    header: &Header,
    message: &Message<'_>,
    total: u64,
    whole: bool,
) -> Option<Stream> {
    if header.command == NT_CANCEL || is_oplock_break(header, way) {
        return None;
    }
    let (session, tree) = speaks_of(header.command);
    if session {
        tell.context.session = state.session_of(tell, header.uid);
    }
    if tree {
        tell.context.tree = state.tree_of(tell, header.tid);
    }
    let mut asking = Asking { header: *header, way, at: message.packet_at(0), chained: None };
    if matches!(header.command, 0x26 | 0x33 | 0xA1) {
        let mut chain = Chain::new(message.bytes, header);
        match chain.next() {
            Some(block) => transact::secondary(state, tell, &asking, &block),
            None => tell.odd("smb1_cut_short", message.bytes.len()),
        }
        return None;
    }
    drop_stale_raw(state, tell, way, header);
    let mut parts = Vec::new();
    let mut untold = None;
    let mut chain = Chain::new(message.bytes, header);
    for block in chain.by_ref() {
        let (asked, stream) = command(state, tell, &mut asking, &block, total);
        if let Some(mut stream) = stream {
            if whole {
                stream.feed_message(tell, message);
                stream.close(tell, message.at);
            } else {
                untold = Some(stream);
            }
        }
        parts.push(Part { command: block.command, asked });
    }
    if let Some(broken) = chain.broken {
        tell.odd(broken.name(), message.bytes.len());
    }
    keep(state, tell, &asking, parts);
    untold
}

/// A request shows that the client waits for no raw bytes, or sends none any more.
fn drop_stale_raw(state: &mut State, tell: &mut Tell<'_>, way: Way, header: &Header) {
    let stale = match state.raw {
        Some(Raw::Read { way: expected, .. }) => expected != way,
        Some(Raw::Write { way: expected, .. }) => expected == way,
        None => false,
    };
    if stale && header.command != LOCKING {
        state.raw = None;
        tell.odd("smb1_raw_not_seen", 0);
    }
}

/// Keeps a request until its answer.
fn keep(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, mut parts: Vec<Part>) {
    if parts.is_empty() || parts.first().is_some_and(|p| p.command == READ_RAW) {
        return;
    }
    let key = asking.header.key();
    // The requests of one WRITE_MPX share a multiplex id, and one answer.
    if parts.len() == 1 && parts.first().is_some_and(|p| p.command == WRITE_MPX) {
        let together = |p: &Pending| p.parts.len() < MPX_MAX && p.parts.iter().all(|p| p.command == WRITE_MPX);
        if let Some(mut earlier) = state.take_pending(key, together) {
            earlier.parts.append(&mut parts);
            return state.keep_pending(tell, key, earlier);
        }
    }
    let (session, tree) = (tell.context.session, tell.context.tree);
    state.keep_pending(tell, key, Pending { at: asking.at, session, tree, parts, lost: [false, false] });
}

/// Reads one command.
fn command(
    state: &mut State,
    tell: &mut Tell<'_>,
    asking: &mut Asking,
    block: &Block<'_>,
    total: u64,
) -> (Asked, Option<Stream>) {
    let asked = match block.command {
        NEGOTIATE => setup::negotiate_request(block),
        SESSION_SETUP => setup::session_request(state, tell, asking, block),
        LOGOFF => Asked::LogOff,
        TREE_CONNECT | TREE_CONNECT_AND_X => setup::tree_request(block),
        TREE_DISCONNECT => Asked::TreeDisconnect,
        0x02 | 0x03 | 0x0E | 0x0F | 0x2D | 0xA2 => open::open_request(state, tell, asking, block),
        0x04 => open::close_request(state, tell, asking, block, false),
        0x31 => open::close_request(state, tell, asking, block, true),
        0x01 | 0x06 => open::delete_request(block),
        0x07 | 0xA5 => open::rename_request(block),
        0x08 | 0x23 => open::query_request(state, tell, asking, block),
        0x0A | 0x13 | 0x1A | 0x1B | 0x2E => content::read_request(state, tell, asking, block),
        0x0B | 0x14 | 0x1D | 0x1E | 0x2C | 0x2F => return content::write_request(state, tell, asking, block, total),
        0x25 | 0x32 | 0xA0 => transact::request(state, tell, asking, block),
        PROCESS_EXIT => Asked::Exit,
        ECHO => Asked::Quiet,
        other => Asked::Other { name: names::command(other) },
    };
    (asked, None)
}
