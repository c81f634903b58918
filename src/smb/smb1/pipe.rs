//! SMB_COM_TRANSACTION on named pipes ([MS-CIFS] 2.2.5, [MS-SMB] 2.2.5).

use super::asked::{Asking, Transacted, TransactionAsked};
use super::content::open_named;
use super::fields::Fields;
use super::names;
use super::state::{Open, State};
use super::status::{SUCCESS, failed};
use super::tell::Tell;
use crate::flow::Way;
use crate::smb::event::{OpenId, Opened, What};

/// TRANS_RAW_READ_NMPIPE.
const RAW_READ: u16 = 0x0011;
/// TRANS_RAW_WRITE_NMPIPE.
const RAW_WRITE: u16 = 0x0031;
/// TRANS_TRANSACT_NMPIPE.
const TRANSACT: u16 = 0x0026;
/// TRANS_CALL_NMPIPE.
const CALL: u16 = 0x0054;
/// Subcommands with a pipe's file id in the second setup word: set and query state and information, peek.
const ABOUT_A_PIPE: [u16; 5] = [0x0001, 0x0021, 0x0022, 0x0023, 0x0032];

/// Tells bytes of a pipe, and that a message ends there.
fn told(tell: &mut Tell<'_>, open: OpenId, way: Way, bytes: &[u8], ends: bool) {
    if !bytes.is_empty() {
        tell.say(&What::Pipe { open, way, bytes });
    }
    if ends {
        tell.say(&What::Pipe { open, way, bytes: &[] });
    }
}

/// Reads a request: what goes to the pipe is told. The remote administration protocol (`\PIPE\LANMAN`) and mailslots have other setup
/// words, or none: they are passed over.
pub(super) fn request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, asked: &TransactionAsked) -> Transacted {
    let name = asked.name.to_ascii_uppercase();
    if !name.starts_with("\\PIPE") || name == "\\PIPE\\LANMAN" {
        return Transacted::Other;
    }
    let whole = asked.request.whole();
    let data = asked.request.data.first_part();
    let function = asked.request.function;
    if function == CALL {
        return Transacted::Call(call(state, tell, asking, &asked.name, data, whole));
    }
    if ![RAW_READ, RAW_WRITE, TRANSACT].contains(&function) && !ABOUT_A_PIPE.contains(&function) {
        return Transacted::Other;
    }
    let Some(open) = open_named(state, tell, asking, Fields(&asked.request.setup).u16(2)) else { return Transacted::Other };
    if let Some(known) = state.opens.get_mut(&open) {
        known.pipe = true;
    }
    match function {
        TRANSACT => {
            told(tell, open, Way::ToServer, data, whole);
            Transacted::Pipe(open)
        }
        RAW_WRITE => {
            told(tell, open, Way::ToServer, data, whole);
            Transacted::Other
        }
        RAW_READ => Transacted::Pipe(open),
        // What is peeked at stays in the pipe and is read later.
        _ => Transacted::Other,
    }
}

/// CallNmPipe: opens a pipe by name, writes, reads and closes in one.
fn call(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, name: &str, data: &[u8], whole: bool) -> OpenId {
    let id = tell.ids.open();
    let file = Opened { name: Some(names::relative(name).to_owned()), ..Opened::default() };
    tell.say(&What::Opened { open: id, file: file.clone() });
    let (tid, pid, session) = (asking.header.tid, asking.header.pid, tell.context.session);
    state.keep_open(tell, id, Open { fid: None, tid, pid, session, pipe: true, closing: false, file });
    told(tell, id, Way::ToServer, data, whole);
    id
}

/// Tells what an answer brings out of a pipe. With BUFFER_OVERFLOW the message goes on in a later read.
pub(super) fn answer(tell: &mut Tell<'_>, status: u32, asked: &TransactionAsked, open: OpenId) {
    if !failed(status) {
        let ends = status == SUCCESS && asked.answer.whole();
        told(tell, open, Way::ToClient, asked.answer.data.first_part(), ends);
    }
}

/// CallNmPipe was answered: its pipe is closed.
pub(super) fn called(state: &mut State, tell: &mut Tell<'_>, status: u32, open: OpenId) {
    if state.drop_open(open).is_some() {
        tell.say(&What::Closed { open, status: Some(status), by_close: false });
    }
}
