//! Sessions and trees: whose they are, and where they lead. Accounts hang on sessions, not on connections.

use crate::events::kerberos_pairing::of_logon;
use crate::events::ntlm::Ntlm;
use crate::events::{Event, Head};
use crate::flow::{ConnectionId, Way};
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

/// Connections of one session whose set-ups are kept apart: a client opens no more.
const CHANNELS_MAX: usize = 64;

/// The set-up of a session over one connection.
#[derive(Default)]
struct Channel {
    logon: Logon,
    /// Of the logon's decisive token: the AUTHENTICATE or the AP-REQ.
    head: Option<Head>,
}

impl Channel {
    /// The events of a set-up that has come to its end; once.
    fn events(&mut self) -> Vec<Event> {
        let Some(head) = self.head.take() else { return Vec::new() };
        let ntlm = Ntlm::of(head.clone(), &self.logon).map(|row| Event::Ntlm(Box::new(row)));
        let kerberos = of_logon(head, &self.logon).map(|row| Event::Kerberos(Box::new(row)));
        ntlm.into_iter().chain(kerberos).collect()
    }
}

/// A session.
#[derive(Default)]
pub(super) struct Session {
    /// The set-up that came to its end last, of which its keys and account follow; of a session that is being set up first, that one.
    pub logon: Logon,
    /// Set-ups under way, or done, by connection.
    channels: Vec<(ConnectionId, Channel)>,
    /// Whose it was before it was set up anew.
    before: Option<Account>,
}

impl Session {
    fn channel(&mut self, connection: ConnectionId) -> &mut Channel {
        let known = self.channels.iter().position(|c| c.0 == connection);
        let place = known.unwrap_or_else(|| {
            if self.channels.len() == CHANNELS_MAX {
                self.channels.remove(0);
            }
            self.channels.push((connection, Channel::default()));
            self.channels.len() - 1
        });
        &mut self.channels[place].1
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

/// A token as it was said.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub way: Way,
    pub token: &'a [u8],
    pub status: Option<u32>,
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

    /// Takes a token of a session's set-up over a connection; gives the events of a set-up that has come to its end.
    pub(super) fn token(&mut self, id: SessionId, over: ConnectionId, said: Said<'_>, head: Option<Head>) -> Vec<Event> {
        let Said { way, token, status } = said;
        let session = self.sessions.entry(id, Session::default);
        let channel = session.channel(over);
        if way == Way::ToServer && channel.logon.success == Some(true) {
            // It is set up anew.
            *channel = Channel::default();
        }
        channel.logon.token(way, token, status, &self.tickets);
        let logon = &channel.logon;
        let is_decisive = logon.ntlm.as_ref().is_some_and(|n| n.authenticate.is_some()) || logon.kerberos.is_some();
        if way == Way::ToServer && is_decisive && channel.head.is_none() {
            channel.head = head;
        }
        let ends = way == Way::ToClient && status.is_some_and(|s| s != MORE_PROCESSING);
        let told = if ends { channel.events() } else { Vec::new() };
        let (is_first, logon) = (session.logon.success != Some(true), session.channel(over).logon.clone());
        if is_first || ends && logon.success == Some(true) {
            session.before = session.logon.account().or(session.before.take());
            session.logon = logon;
        }
        told
    }

    /// A session was set up.
    pub(super) fn opened(&mut self, id: SessionId, over: ConnectionId, guest: bool) -> Vec<Event> {
        let session = self.sessions.entry(id, Session::default);
        session.logon.answered(0);
        let channel = session.channel(over);
        channel.logon.answered(0);
        if guest {
            channel.logon.set_guest();
        }
        let told = channel.events();
        if guest {
            session.logon.set_guest();
        }
        told
    }

    /// The capture is over: logons without an answer.
    pub(super) fn finish(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        for id in &self.sessions.order {
            let channels = self.sessions.all.get_mut(id).map(|s| s.channels.iter_mut());
            told.extend(channels.into_iter().flatten().flat_map(|(_, channel)| channel.events()));
        }
        told
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
