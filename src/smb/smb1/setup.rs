//! Negotiation, sessions and tree connects ([MS-CIFS] 2.2.4.50 to .55, [MS-SMB] 2.2.4.5 and .6).

use super::asked::{Asked, Asking};
use super::header::{Block, Header};
use super::limits::DIALECTS_MAX;
use super::names::command;
use super::state::{NONE, Session, State, Tree};
use super::status::{MORE_PROCESSING_REQUIRED, failed};
use super::tell::Tell;
use super::text::Strings;
use crate::flow::Way;
use crate::smb::event::{SessionId, TreeKind, What};

/// TREE_CONNECT.
pub(super) const TREE_CONNECT: u8 = 0x70;
/// TREE_DISCONNECT.
pub(super) const TREE_DISCONNECT: u8 = 0x71;
/// NEGOTIATE.
pub(super) const NEGOTIATE: u8 = 0x72;
/// SESSION_SETUP_ANDX.
pub(super) const SESSION_SETUP: u8 = 0x73;
/// LOGOFF_ANDX.
pub(super) const LOGOFF: u8 = 0x74;
/// TREE_CONNECT_ANDX.
pub(super) const TREE_CONNECT_AND_X: u8 = 0x75;

/// CAP_EXTENDED_SECURITY ([MS-SMB] 2.2.4.5.2.1).
const CAP_EXTENDED_SECURITY: u32 = 0x8000_0000;

/// Reads the dialects of a NEGOTIATE.
pub(super) fn negotiate_request(block: &Block<'_>) -> Asked {
    let mut strings = block.strings();
    let mut dialects = Vec::new();
    while strings.rest().first() == Some(&2) && dialects.len() < DIALECTS_MAX {
        strings.skip(1);
        dialects.push(strings.next_oem());
    }
    Asked::Negotiate { dialects }
}

/// Tells the dialect that the server chose. Without the request only the one with 17 words is certain.
pub(super) fn negotiate_answer(tell: &mut Tell<'_>, header: &Header, block: &Block<'_>, status: u32, dialects: &[String]) {
    let w = block.words;
    let chosen = w.u16(0).filter(|index| *index != NONE && !failed(status));
    let known = chosen.and_then(|index| dialects.get(usize::from(index))).map(String::as_str);
    let long = block.word_count() == 17;
    let Some(dialect) = known.or((chosen.is_some() && long && dialects.is_empty()).then_some("NT LM 0.12")) else {
        return tell.command(command(NEGOTIATE), status);
    };
    let extended = long && header.extended_security && w.u32(19).is_some_and(|c| c & CAP_EXTENDED_SECURITY != 0);
    let server_guid = block.bytes().get(..16).filter(|_| extended).and_then(|b| b.try_into().ok());
    tell.say(&What::Negotiated { dialect, server_guid });
}

/// Reads a session set-up. Its session is numbered here, so that the first token already speaks of it.
pub(super) fn session_request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, block: &Block<'_>) -> Asked {
    let uid = asking.header.uid;
    let w = block.words;
    let extended = block.word_count() == 12;
    let session = match state.sessions.get(&uid).filter(|_| extended) {
        Some(known) => known.id,
        None => {
            let id = tell.ids.session();
            if extended && uid != 0 && uid != NONE {
                state.keep_session(tell, uid, Session { id, open: false });
            }
            id
        }
    };
    tell.context.session = Some(session);
    if extended {
        let token = block.part(block.bytes_at, w.place16(14).unwrap_or(0));
        if !token.is_empty() {
            tell.say(&What::Token { way: Way::ToServer, token, status: None });
        }
        return Asked::SetUp { session, plain: None };
    }
    let passwords = match block.word_count() {
        13 => w.place16(14).unwrap_or(0).saturating_add(w.place16(16).unwrap_or(0)),
        _ => w.place16(14).unwrap_or(0),
    };
    let mut strings = block.strings();
    strings.skip(passwords);
    let user = strings.next();
    let domain = strings.next();
    Asked::SetUp { session, plain: Some((user, domain)) }
}

/// Tells what an answer to a session set-up says. `asked`: its session, and user and domain of a plain one; `None` if it was not seen.
pub(super) fn session_answer(
    state: &mut State,
    tell: &mut Tell<'_>,
    header: &Header,
    block: &Block<'_>,
    status: u32,
    asked: Option<(SessionId, Option<&(String, String)>)>,
) {
    let known = state.sessions.get(&header.uid).copied();
    let session = asked.map(|a| a.0).or(known.map(|s| s.id));
    let more = status == MORE_PROCESSING_REQUIRED;
    if failed(status) && !more {
        tell.context.session = session;
        if known.is_some_and(|k| !k.open && Some(k.id) == session) {
            state.sessions.remove(&header.uid);
        }
    } else {
        let id = session.unwrap_or_else(|| tell.ids.session());
        tell.context.session = Some(id);
        if header.uid != NONE {
            state.keep_session(tell, header.uid, Session { id, open: !more });
        }
    }
    let w = block.words;
    if block.word_count() == 4 {
        let token = block.part(block.bytes_at, w.place16(6).unwrap_or(0));
        if !token.is_empty() {
            tell.say(&What::Token { way: Way::ToClient, token, status: Some(status) });
        }
    }
    if let Some((user, domain)) = asked.and_then(|a| a.1) {
        tell.say(&What::PlainSetUp { user: user.clone(), domain: domain.clone(), status: Some(status) });
    }
    if !failed(status) {
        tell.say(&What::SessionOpened { guest: w.u16(4).is_some_and(|action| action & 1 != 0) });
    } else if !more && asked.is_none_or(|a| a.1.is_none()) {
        tell.command(command(SESSION_SETUP), status);
    }
}

/// A LOGOFF was answered: its opens are over.
pub(super) fn logoff_answer(state: &mut State, tell: &mut Tell<'_>, header: &Header, status: u32) {
    if failed(status) {
        return tell.command(command(LOGOFF), status);
    }
    if let Some(session) = tell.context.session {
        state.give_up_where(tell, |o| o.session == Some(session));
        state.sessions.retain(|_, s| s.id != session);
    }
    state.sessions.remove(&header.uid);
    tell.say(&What::SessionClosed);
}

/// Reads a tree connect of either form.
pub(super) fn tree_request(block: &Block<'_>) -> Asked {
    let mut strings = block.strings();
    if block.command == TREE_CONNECT {
        let mut next = || {
            strings.skip_format(4);
            strings.next_oem()
        };
        let path = next();
        let _password = next();
        return Asked::TreeConnect { path, service: next() };
    }
    strings.skip(block.words.place16(6).unwrap_or(0));
    let path = strings.next();
    Asked::TreeConnect { path, service: strings.next_oem() }
}

/// What a service name stands for ([MS-CIFS] 2.2.4.55.1).
fn kind_of(service: &str) -> Option<TreeKind> {
    match service {
        "IPC" => Some(TreeKind::Pipe),
        "A:" => Some(TreeKind::Disk),
        "LPT1:" => Some(TreeKind::Print),
        _ => None,
    }
}

/// Tells a tree connect. `asked`: path and service of the request; `None` if it was not seen: then the tree's kind is kept, and nothing told.
pub(super) fn tree_answer(
    state: &mut State,
    tell: &mut Tell<'_>,
    header: &Header,
    block: &Block<'_>,
    status: u32,
    asked: Option<(&str, &str)>,
) {
    if failed(status) || block.word_count() < 2 {
        return tell.command(command(block.command), status);
    }
    let (tid, service, file_system) = if block.command == TREE_CONNECT {
        (block.words.u16(2).unwrap_or(NONE), String::new(), String::new())
    } else {
        let mut strings: Strings<'_> = block.strings();
        let service = strings.next_oem();
        (header.tid, service, strings.next())
    };
    let by_name = asked.is_some_and(|a| a.0.to_ascii_uppercase().ends_with("\\IPC$")).then_some(TreeKind::Pipe);
    let kind = kind_of(&service).or_else(|| by_name.or_else(|| kind_of(asked?.1))).unwrap_or(TreeKind::Unknown);
    let id = tell.ids.tree();
    state.keep_tree(tell, tid, Tree { id, kind });
    tell.context.tree = Some(id);
    if let Some((path, _)) = asked {
        let some = |s: String| (!s.is_empty()).then_some(s);
        let path = path.to_owned();
        tell.say(&What::TreeConnected { path, kind, service: some(service), file_system: some(file_system) });
    }
}

/// A tree disconnect was answered: its opens are over.
pub(super) fn tree_disconnect_answer(state: &mut State, tell: &mut Tell<'_>, tid: u16, status: u32) {
    if failed(status) {
        return tell.command(command(TREE_DISCONNECT), status);
    }
    state.give_up_where(tell, |o| o.tid == tid);
    if let Some(tree) = state.trees.remove(&tid) {
        tell.context.tree = Some(tree.id);
    }
    tell.say(&What::TreeDisconnected);
}
