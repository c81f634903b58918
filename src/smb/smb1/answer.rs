//! Reads the answers' commands, each with the command of the request that it answers.

use super::asked::{Asked, Asking, Part, Pending, WRITE_COMPLETE};
use super::content::{self, READ_ANDX};
use super::header::{Block, Chain, Header};
use super::setup::{self, SESSION_SETUP, TREE_CONNECT, TREE_CONNECT_AND_X};
use super::state::State;
use super::status::{SUCCESS, failed};
use super::stream::Stream;
use super::tell::Tell;
use super::{names, open, transact};
use crate::flow::Way;
use crate::smb::event::What;
use crate::smb::reader::Message;

/// An answer that is being read.
struct Answer<'a> {
    header: &'a Header,
    message: &'a Message<'a>,
    total: u64,
    whole: bool,
    /// Another message of the same answer follows.
    more: bool,
    /// Content that the caller is to tell.
    untold: Option<Stream>,
}

/// Reads an answer. `total` and `whole`: as of [`super::request::read`].
pub(super) fn read(
    state: &mut State,
    tell: &mut Tell<'_>,
    way: Way,
    header: &Header,
    message: &Message<'_>,
    total: u64,
    whole: bool,
) -> Option<Stream> {
    let mut answer = Answer { header, message, total, whole, more: false, untold: None };
    let key = header.key();
    let Some(mut pending) = state.take_pending(key, |p| p.answered_by(header.command)) else {
        unmatched(state, tell, &mut answer);
        return answer.untold;
    };
    (tell.context.session, tell.context.tree, tell.asked) = (pending.session, pending.tree, pending.at.time);
    let asking = Asking { header: *header, way: way.other(), at: pending.at, chained: None };
    if pending.parts.first().is_some_and(|p| p.command == content::WRITE_MPX) {
        together(state, tell, &mut answer, &asking, &mut pending);
        return answer.untold;
    }
    let mut done = 0;
    let mut chain = Chain::new(message.bytes, header);
    for block in chain.by_ref() {
        let Some(part) = pending.parts.get_mut(done) else { break };
        if part.command != block.command && block.command != WRITE_COMPLETE {
            tell.odd("smb1_other_answer", message.bytes.len());
            break;
        }
        // The status is the last command's: those before it succeeded.
        let status = if block.has_next() { SUCCESS } else { header.status };
        one(state, tell, &mut answer, &asking, &block, status, part);
        done += 1;
    }
    if let Some(broken) = chain.broken {
        tell.odd(broken.name(), message.bytes.len());
    }
    if answer.more {
        state.keep_on(tell, key, pending);
        return answer.untold;
    }
    let mut rest = pending.parts.split_off(done.min(pending.parts.len()));
    if failed(header.status) {
        // A command that failed ends the chain: those behind it were not carried out.
        for part in &mut rest {
            one(state, tell, &mut answer, &asking, &Block::empty(part.command), header.status, part);
        }
    } else if !rest.is_empty() {
        pending.parts = rest;
        state.unanswered(tell, &pending);
    }
    answer.untold
}

/// The one answer to the requests of a WRITE_MPX.
fn together(state: &mut State, tell: &mut Tell<'_>, answer: &mut Answer<'_>, asking: &Asking, pending: &mut Pending) {
    let block = Chain::new(answer.message.bytes, answer.header).next();
    let block = block.unwrap_or(Block::empty(answer.header.command));
    for part in &mut pending.parts {
        one(state, tell, answer, asking, &block, answer.header.status, part);
    }
}

/// Reads the answer to one command.
fn one(
    state: &mut State,
    tell: &mut Tell<'_>,
    answer: &mut Answer<'_>,
    asking: &Asking,
    block: &Block<'_>,
    status: u32,
    part: &mut Part,
) {
    let header = answer.header;
    match &mut part.asked {
        Asked::Other { name } => tell.command(name, status),
        Asked::Quiet => {}
        Asked::Negotiate { dialects } => setup::negotiate_answer(tell, header, block, status, dialects),
        Asked::SetUp { session, plain } => {
            setup::session_answer(state, tell, header, block, status, Some((*session, plain.as_ref())));
        }
        Asked::LogOff => setup::logoff_answer(state, tell, header, status),
        Asked::TreeConnect { path, service } => {
            setup::tree_answer(state, tell, header, block, status, Some((path, service)));
        }
        Asked::TreeDisconnect => setup::tree_disconnect_answer(state, tell, header.tid, status),
        Asked::Open(asked) => open::open_answer(state, tell, header, block, status, Some(asked)),
        Asked::Read(read) => {
            let (stream, last) = content::read_answer(state, tell, block, status, read, answer.total);
            answer.more |= !last;
            content_of(tell, answer, stream);
        }
        Asked::Write(write) => answer.more |= content::write_answer(state, tell, header.command, block, status, write),
        Asked::Close { open, tree } => {
            open::close_answer(state, tell, status, *open);
            if *tree && !failed(status) {
                setup::tree_disconnect_answer(state, tell, header.tid, status);
            }
        }
        Asked::Delete { name } if !failed(status) => tell.say(&What::Deleted { open: None, name: Some(name.clone()) }),
        Asked::Rename { from, to } if !failed(status) => {
            let target = super::asked::Target::Name(std::mem::take(from));
            open::renamed(state, tell, &target, header.tid, to);
            tell.command(names::command(part.command), status);
        }
        Asked::Delete { .. } | Asked::Rename { .. } => tell.command(names::command(part.command), status),
        Asked::Query(target) => open::query_answer(state, tell, header.tid, block, status, target),
        Asked::Exit => {
            if !failed(status) {
                state.give_up_where(tell, |o| o.pid == header.pid);
            }
            tell.command(names::command(part.command), status);
        }
        Asked::Transaction(asked) => answer.more |= transact::answer(state, tell, asking, block, status, asked),
    }
}

fn content_of(tell: &mut Tell<'_>, answer: &mut Answer<'_>, mut stream: Stream) {
    if answer.whole {
        stream.feed_message(tell, answer.message);
        stream.close(tell, answer.message.at);
    } else {
        answer.untold = Some(stream);
    }
}

/// An answer whose request was not seen: what it says by itself is kept.
fn unmatched(state: &mut State, tell: &mut Tell<'_>, answer: &mut Answer<'_>) {
    let header = answer.header;
    if !matches!(header.command, 0x72 | SESSION_SETUP | 0x2B) {
        tell.context.session = state.sessions.get(&header.uid).map(|s| s.id);
        tell.context.tree = state.trees.get(&header.tid).map(|t| t.id);
    }
    let mut chain = Chain::new(answer.message.bytes, header);
    for block in chain.by_ref() {
        let status = if block.has_next() { SUCCESS } else { header.status };
        match block.command {
            0x72 => setup::negotiate_answer(tell, header, &block, status, &[]),
            SESSION_SETUP => setup::session_answer(state, tell, header, &block, status, None),
            TREE_CONNECT | TREE_CONNECT_AND_X => setup::tree_answer(state, tell, header, &block, status, None),
            0x02 | 0x03 | 0x0E | 0x0F | 0x2D | 0xA2 if !failed(status) => {
                open::open_answer(state, tell, header, &block, status, None);
            }
            0x0A | 0x13 | 0x1B | READ_ANDX if !failed(status) => {
                let bytes = content::unplaced(&block, answer.total);
                tell.say(&What::Odd { name: "unplaced_read", bytes });
            }
            0x2B => {}
            _ => tell.odd("smb1_unmatched_answer", answer.message.bytes.len()),
        }
    }
    if let Some(broken) = chain.broken {
        tell.odd(broken.name(), answer.message.bytes.len());
    }
}
