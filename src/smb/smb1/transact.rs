//! Transactions from their first message to the last of their answer.

use super::asked::{Asked, Asking, Part, Transacted, TransactionAsked};
use super::header::{Block, Header};
use super::listing;
use super::names;
use super::open::{answered, renamed, sizes};
use super::state::State;
use super::status::{SUCCESS, failed};
use super::tell::Tell;
use super::transaction::{Gathering, NT_TRANSACT, TRANSACTION, TRANSACTION2};
use super::{nt_transact, pipe, trans2};
use crate::smb::event::{SizeFrom, What};

/// Reads the first message of a request.
pub(super) fn request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>) -> Asked {
    let Some(request) = Gathering::request(block) else {
        tell.odd("smb1_cut_short", block.message.len());
        return Asked::Other { name: names::command(block.command) };
    };
    let name = if block.command == TRANSACTION { block.strings().next() } else { String::new() };
    let answer = Gathering::default();
    let mut asked = TransactionAsked { name, request, read: false, action: Transacted::Other, answer };
    if asked.request.whole() || asked.request.refused() {
        read(state, tell, asking, block.command, &mut asked);
    }
    Asked::Transaction(Box::new(asked))
}

/// Takes a secondary message of a request.
pub(super) fn secondary(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>) {
    let key = asking.header.key();
    let command = block.command.wrapping_sub(1);
    let waits = |p: &Part| p.command == command && matches!(&p.asked, Asked::Transaction(asked) if !asked.read);
    let Some(mut pending) = state.take_pending(key, |p| p.parts.iter().any(waits)) else {
        return tell.odd("smb1_unmatched_secondary", block.message.len());
    };
    (tell.context.session, tell.context.tree, tell.asked) = (pending.session, pending.tree, pending.at.time);
    for part in pending.parts.iter_mut().filter(|p| waits(p)) {
        if let Asked::Transaction(asked) = &mut part.asked {
            if !asked.request.secondary(block) {
                tell.odd("smb1_cut_short", block.message.len());
            }
            if asked.request.whole() || asked.request.refused() {
                read(state, tell, asking, command, asked);
            }
        }
    }
    state.keep_on(tell, key, pending);
}

/// Reads a request as far as it came, and lets its bytes go.
fn read(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, command: u8, asked: &mut TransactionAsked) {
    if !asked.request.whole() {
        tell.odd(
            if asked.request.refused() { "smb1_transaction_limit" } else { "smb1_incomplete_transaction" },
            asked.request.weight(),
        );
    }
    asked.action = match command {
        TRANSACTION => pipe::request(state, tell, asking, asked),
        TRANSACTION2 => trans2::request(state, tell, asking, asked),
        _ => nt_transact::request(state, tell, asking, asked),
    };
    asked.read = true;
    asked.request = Gathering { function: asked.request.function, ..Gathering::default() };
}

/// Takes a message of an answer. Returns whether another one follows.
pub(super) fn answer(
    state: &mut State,
    tell: &mut Tell<'_>,
    asking: &Asking,
    block: &Block<'_>,
    status: u32,
    asked: &mut TransactionAsked,
) -> bool {
    if status == SUCCESS && block.word_count() == 0 {
        // The server is ready for the secondary messages.
        return true;
    }
    if !asked.read {
        read(state, tell, asking, block.command, asked);
    }
    if !failed(status) {
        if !asked.answer.answer(block) {
            tell.odd("smb1_cut_short", block.message.len());
        } else if asked.answer.refused() {
            tell.odd("smb1_transaction_limit", asked.answer.weight());
        } else if !asked.answer.whole() {
            return true;
        }
    }
    finish(state, tell, &asking.header, block.command, status, asked);
    false
}

/// Tells what a whole answer says.
fn finish(state: &mut State, tell: &mut Tell<'_>, header: &Header, command: u8, status: u32, asked: &TransactionAsked) {
    let ok = !failed(status);
    let tid = header.tid;
    let parameters = asked.answer.parameters.first_part();
    let data = asked.answer.data.first_part();
    match &asked.action {
        Transacted::Pipe(open) => return pipe::answer(tell, status, asked, *open),
        Transacted::Call(open) => {
            pipe::answer(tell, status, asked, *open);
            return pipe::called(state, tell, status, *open);
        }
        Transacted::Open(open) => {
            let read = if command == NT_TRANSACT { nt_transact::create_answer } else { trans2::open_answer };
            return answered(state, tell, header, status, Some(open), Some(parameters).filter(|_| ok).and_then(read));
        }
        Transacted::Find { level, resume_keys, .. } if ok => {
            let entries = listing::entries(*level, *resume_keys, header.unicode, data);
            if !entries.is_empty() {
                return tell.say(&What::Listed { open: None, entries });
            }
        }
        Transacted::Query { target, level } if ok => {
            if let Some(size) = trans2::size_told(*level, data) {
                sizes(state, tell, target, tid, size, SizeFrom::Query);
            }
        }
        Transacted::SetEnd { target, size } if ok => {
            sizes(state, tell, target, tid, *size, SizeFrom::SetEndOfFile);
        }
        Transacted::Delete { target } if ok => {
            let opens = state.opens_of(target, tid);
            for open in &opens {
                let name = state.opens.get(open).and_then(|o| o.file.name.clone());
                tell.say(&What::Deleted { open: Some(*open), name });
            }
            if let (super::asked::Target::Name(name), true) = (target, opens.is_empty()) {
                tell.say(&What::Deleted { open: None, name: Some(names::relative(name).to_owned()) });
            }
        }
        Transacted::Rename { target, to } if ok => {
            renamed(state, tell, target, tid, to);
        }
        Transacted::ServerCopy { open, fsctl, ranges } if ok => {
            for &(source, offset, length) in ranges {
                tell.say(&What::ServerCopy { open: *open, source, offset, length, fsctl: *fsctl });
            }
        }
        Transacted::ResumeKey(open) if ok => {
            if let Some(key) = data.get(..24).and_then(|k| k.try_into().ok()) {
                state.keep_resume_key(key, *open);
            }
        }
        _ => {}
    }
    tell.command(names::transaction(command, asked.request.function), status);
}
