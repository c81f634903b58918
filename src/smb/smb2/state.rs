//! What the commands of a connection share: its dialect, its waiting requests, and how something is told.

use super::header::Header;
use super::pending::{Asked, AskedCreate, Pending, Waiting};
use crate::flow::{ConnectionId, PacketRef, Way};
use crate::smb::crypt::{Cipher, Preauth};
use crate::smb::event::{Context, Listener, TreeId, What};
use crate::smb::shared::{OpenFile, Server, SessionKey, Shared};
use std::collections::HashMap;
use std::net::IpAddr;

/// A dialect revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dialect {
    pub revision: u16,
    /// The cipher that 3.1.1 chose; 3.0 and 3.0.2 have AES-128-CCM alone.
    pub cipher: Option<Cipher>,
}

/// Session ids that are remembered of a connection, to find a beginning by.
const SESSIONS_KNOWN: usize = 32;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct State {
    /// The server's address.
    pub address: IpAddr,
    pub server: Server,
    pub dialect: Option<Dialect>,
    pub waiting: Waiting,
    /// The running hash after NEGOTIATE, and after each answer of a session's set-up (3.1.1).
    pub preauth: Option<Preauth>,
    pub preauth_of: HashMap<u64, Preauth>,
    sessions: Vec<u64>,
    /// Requests of it were lost.
    lost: bool,
    /// An answer was seen on it.
    pub answered: bool,
    /// The TREE_CONNECT and the CREATE that wait, as long as each is the only one: where the answers' direction was not captured, the id that
    /// is used next is what it was answered with.
    only_tree: Only,
    only_create: Only,
}

/// What waits of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Only {
    #[default]
    None,
    /// Its message id.
    One(u64),
    /// Which one an id belongs to cannot be said.
    Several,
}

impl Only {
    fn add(&mut self, message_id: u64) {
        *self = if *self == Only::None { Only::One(message_id) } else { Only::Several };
    }
}

/// What a message is read with.
pub(in crate::smb) struct Tools<'a> {
    pub shared: &'a mut Shared,
    pub out: &'a mut dyn Listener,
    pub connection: ConnectionId,
    pub way: Way,
    pub at: PacketRef,
    pub encrypted: bool,
    pub compressed: bool,
}

/// One message of a compound.
pub(super) struct Part<'a> {
    pub header: Header,
    /// From its header on, to the next message.
    pub bytes: &'a [u8],
    pub session: SessionKey,
}

impl Tools<'_> {
    /// Tells something of a session and tree.
    pub(super) fn tell(&mut self, session: SessionKey, tree: Option<TreeId>, what: &What<'_>) {
        self.tell_at(self.at, session, tree, what);
    }

    /// The same, of a packet that may be an earlier one.
    pub(super) fn tell_at(&mut self, at: PacketRef, session: SessionKey, tree: Option<TreeId>, what: &What<'_>) {
        let (encrypted, compressed) = (self.encrypted, self.compressed);
        let mut context = Context { connection: self.connection, at, session: None, tree, encrypted, compressed };
        if session.1 != 0 {
            let known = self.shared.session(session);
            context.session = Some(known.id);
            if !std::mem::replace(&mut known.announced, true) {
                self.out.smb(&context, &What::Channel { session: session.1 });
            }
        }
        self.out.smb(&context, what);
    }

    /// Tells that an open is gone without a CLOSE.
    pub(super) fn tell_gone(&mut self, session: SessionKey, gone: &OpenFile) {
        self.tell(session, gone.tree, &What::Closed { open: gone.id, status: None, by_close: false });
    }
}

impl State {
    /// Of a connection to a server, whose beginning was not seen where `late_start` says so.
    pub(super) fn new(address: IpAddr, server: Server, late_start: bool) -> State {
        State {
            address,
            server,
            dialect: None,
            waiting: Waiting::default(),
            preauth: None,
            preauth_of: HashMap::new(),
            sessions: Vec::new(),
            lost: late_start,
            answered: false,
            only_tree: Only::None,
            only_create: Only::None,
        }
    }

    /// Bytes that are kept.
    pub(super) fn held_bytes(&self) -> usize {
        self.waiting.held_bytes() + self.preauth_of.len() * size_of::<(u64, Preauth)>()
    }

    /// The sessions that it carried, as on the wire.
    pub(super) fn sessions(&self) -> &[u64] {
        &self.sessions
    }

    /// That a session was seen here. Of requests that were lost before some may have been of it.
    pub(super) fn note_session(&mut self, session: u64, tools: &mut Tools<'_>) {
        if session == 0 || session == u64::MAX || self.sessions.contains(&session) {
            return;
        }
        if self.sessions.len() == SESSIONS_KNOWN {
            self.sessions.remove(0);
        }
        self.sessions.push(session);
        tools.tell((self.server, session), None, &What::Channel { session });
        if self.lost {
            tools.tell((self.server, session), None, &What::RequestsLost);
        }
    }

    /// Requests were lost: of whichever session.
    pub(super) fn requests_lost(&mut self, tools: &mut Tools<'_>) {
        self.lost = true;
        tools.tell((self.server, 0), None, &What::RequestsLost);
        for session in &self.sessions {
            tools.tell((self.server, *session), None, &What::RequestsLost);
        }
    }

    /// A message cannot be read.
    pub(super) fn unread(&mut self, name: &'static str, bytes: u64, tools: &mut Tools<'_>) {
        tools.tell((self.server, 0), None, &What::Odd { name, bytes });
        if tools.way == Way::ToServer {
            self.requests_lost(tools);
        }
    }

    /// Keeps a request, which began in a packet, until its answer comes.
    pub(super) fn wait_for(
        &mut self,
        part: &Part<'_>,
        (tree, at): (Option<TreeId>, PacketRef),
        asked: Asked,
        tools: &mut Tools<'_>,
    ) {
        let pending = Pending { asked, at, session: part.session, tree };
        match &pending.asked {
            Asked::TreeConnect { .. } => self.only_tree.add(part.header.message_id),
            Asked::Create(_) => self.only_create.add(part.header.message_id),
            _ => {}
        }
        let most = tools.shared.limits.pending;
        if let Some(gone) = self.waiting.add(part.header.message_id, pending, most) {
            unanswered(&gone, tools);
        }
    }
}

impl State {
    /// Whether it may be said what an id stands for though its answer was not seen: none was, of a connection of which all requests were.
    fn is_one_sided(&self) -> bool {
        !self.answered && !self.lost
    }

    /// The path of the one TREE_CONNECT of a session that waits, where no answer was captured.
    pub(super) fn take_only_tree(&mut self, session: SessionKey) -> Option<String> {
        let Only::One(message_id) = self.only_tree else { return None };
        if !self.is_one_sided() {
            return None;
        }
        let pending = self.waiting.take_if(message_id, |p| p.session == session)?;
        self.only_tree = Only::None;
        match pending.asked {
            Asked::TreeConnect { path } => Some(path),
            _ => None,
        }
    }

    /// The one CREATE of a session and tree that waits, where no answer was captured.
    pub(super) fn take_only_create(&mut self, session: SessionKey, tree: Option<TreeId>) -> Option<Box<AskedCreate>> {
        let Only::One(message_id) = self.only_create else { return None };
        if !self.is_one_sided() {
            return None;
        }
        let pending = self.waiting.take_if(message_id, |p| p.session == session && p.tree == tree)?;
        self.only_create = Only::None;
        match pending.asked {
            Asked::Create(asked) => Some(asked),
            _ => None,
        }
    }
}

/// A request that gets no answer.
pub(super) fn unanswered(pending: &Pending, tools: &mut Tools<'_>) {
    match &pending.asked {
        Asked::Write { open, operation, offset, sent, is_pipe: false } => {
            let done = What::WriteDone { open: *open, operation: *operation, offset: *offset, sent: *sent, written: None };
            tools.tell(pending.session, pending.tree, &done);
        }
        Asked::Close { open: Some(open), file_id } => {
            tools.shared.take(pending.session, file_id);
            tools.tell(pending.session, pending.tree, &What::Closed { open: *open, status: None, by_close: true });
        }
        Asked::SessionSetup { token, .. } if !token.is_empty() => {
            let what = What::Token { way: Way::ToServer, token, status: None };
            tools.tell_at(pending.at, pending.session, None, &what);
        }
        Asked::Create(asked) if asked.told => {
            tools.tell(pending.session, pending.tree, &What::Closed { open: asked.open, status: None, by_close: false });
        }
        _ => {}
    }
}
