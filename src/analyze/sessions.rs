//! Sessions and trees: whose they are, and where they lead. Accounts hang on sessions, not on connections.

use crate::events::kerberos_pairing::of_logon;
use crate::events::ntlm::Ntlm;
use crate::events::{Event, Head};
use crate::flow::Way;
use crate::identity::account::Account;
use crate::identity::logon::Logon;
use crate::identity::tickets::Tickets;
use crate::smb::event::{SessionId, TreeId, TreeKind};
use std::collections::{HashMap, VecDeque};

/// Sessions that are remembered. 65,536: as many as are open at once, at most.
const SESSIONS_MAX: usize = 65_536;
/// Trees that are remembered: some for each session.
const TREES_MAX: usize = 262_144;

/// STATUS_MORE_PROCESSING_REQUIRED: a set-up goes on.
const MORE_PROCESSING: u32 = 0xC000_0016;

/// A session.
#[derive(Default)]
pub(super) struct Session {
    pub logon: Logon,
    /// Of the logon's decisive token: the AUTHENTICATE or the AP-REQ.
    head: Option<Head>,
    /// Whose it was before it was set up anew.
    before: Option<Account>,
}

impl Session {
    /// The events of a set-up that has come to its end; once.
    fn events(&mut self) -> Vec<Event> {
        let Some(head) = self.head.take() else { return Vec::new() };
        let ntlm = Ntlm::of(head.clone(), &self.logon).map(|row| Event::Ntlm(Box::new(row)));
        let kerberos = of_logon(head, &self.logon).map(|row| Event::Kerberos(Box::new(row)));
        ntlm.into_iter().chain(kerberos).collect()
    }
}

/// A tree connect.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// `\\server\share`; empty where the request was not seen.
    pub path: String,
    pub kind: TreeKind,
}

/// A map that forgets what it learned first.
struct Bounded<K, V> {
    all: HashMap<K, V>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Copy + Eq + std::hash::Hash, V> Bounded<K, V> {
    fn up_to(most: usize) -> Self {
        Bounded { all: HashMap::new(), order: VecDeque::new(), most }
    }

    fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.all.contains_key(&key) {
            if self.order.len() >= self.most
                && let Some(first) = self.order.pop_front()
            {
                self.all.remove(&first);
            }
            self.order.push_back(key);
        }
        self.all.entry(key).or_insert_with(make)
    }
}

/// All sessions and trees.
pub(super) struct Sessions {
    sessions: Bounded<SessionId, Session>,
    trees: Bounded<TreeId, Tree>,
    pub tickets: Tickets,
}

impl Sessions {
    pub(super) fn new() -> Sessions {
        Sessions {
            sessions: Bounded::up_to(SESSIONS_MAX),
            trees: Bounded::up_to(TREES_MAX),
            tickets: Tickets::new(crate::identity::tickets::TicketLimits::default()),
        }
    }

    /// Takes a token of a session's set-up; gives the events of a set-up that has come to its end.
    pub(super) fn token(&mut self, id: SessionId, way: Way, token: &[u8], status: Option<u32>, head: Option<Head>) -> Vec<Event> {
        let session = self.sessions.entry(id, Session::default);
        if way == Way::ToServer && session.logon.success == Some(true) {
            // It is set up anew, or bound to a further connection.
            let before = session.logon.account().or(session.before.take());
            *session = Session { before, ..Session::default() };
        }
        session.logon.token(way, token, status, &self.tickets);
        let is_decisive =
            session.logon.ntlm.as_ref().is_some_and(|n| n.authenticate.is_some()) || session.logon.kerberos.is_some();
        if way == Way::ToServer {
            if is_decisive && session.head.is_none() {
                session.head = head;
            }
            return Vec::new();
        }
        if status.is_some_and(|s| s != MORE_PROCESSING) { session.events() } else { Vec::new() }
    }

    /// A session was set up.
    pub(super) fn opened(&mut self, id: SessionId, guest: bool) -> Vec<Event> {
        let session = self.sessions.entry(id, Session::default);
        session.logon.answered(0);
        if guest {
            session.logon.set_guest();
        }
        session.events()
    }

    /// The capture is over: logons without an answer.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        let order = std::mem::take(&mut self.sessions.order);
        order.iter().flat_map(|id| self.sessions.all.get_mut(id).map(Session::events).unwrap_or_default()).collect()
    }

    /// A session.
    pub(super) fn session(&mut self, id: SessionId) -> &mut Session {
        self.sessions.entry(id, Session::default)
    }

    /// Whose a session is.
    pub(super) fn account(&mut self, id: Option<SessionId>) -> Option<Account> {
        let tickets = &self.tickets;
        let session = self.sessions.all.get_mut(&id?)?;
        // The ticket may have been captured after its use.
        session.logon.find_holder(tickets);
        session.logon.account().or_else(|| session.before.clone())
    }

    /// Learns a tree.
    pub(super) fn add_tree(&mut self, id: TreeId, tree: Tree) {
        let known = tree.clone();
        *self.trees.entry(id, || known) = tree;
    }

    /// A tree.
    pub(super) fn tree(&self, id: Option<TreeId>) -> Option<&Tree> {
        self.trees.all.get(&id?)
    }
}
