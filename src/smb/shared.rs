//! What connections share: servers by their GUID or address, with the sessions, trees and open files of each. Bound channels of one
//! session see the same files (MS-SMB2 3.3.5.5.2), and a server's addresses may differ.

use super::crypt::Opener;
use super::event::{OpenId, Opened, SessionId, TreeId, TreeKind};
use super::limits::Limits;
use super::reader::Ids;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Servers that are told apart by which of them has a session id: one more than what decides.
const SERVERS_OF_ID_MAX: usize = 2;

/// A server's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Server(u32);

/// A session as its messages name it: which server, and the id on the wire.
pub(super) type SessionKey = (Server, u64);

/// An open file of SMB2.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub id: OpenId,
    pub tree: Option<TreeId>,
    pub is_pipe: bool,
    pub file: Opened,
    /// It goes when it is closed.
    pub delete: bool,
    /// What a resume key stands for.
    pub resume_key: Option<[u8; 24]>,
}

/// A tree connect.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub id: TreeId,
    pub kind: TreeKind,
}

/// A session of SMB2.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub id: SessionId,
    pub trees: HashMap<u32, Tree>,
    pub opens: HashMap<[u8; 16], OpenFile>,
    /// What opens its encrypted messages; `None` until that was asked for.
    pub keys: Option<Keys>,
    /// Its set-up was seen to the end.
    pub set_up: bool,
    /// Its id on the wire was told.
    pub announced: bool,
}

/// What is known of a session's keys.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// None was given.
    None,
    /// One was given, and what it takes to derive the others was not seen.
    Underivable,
    /// They are at work.
    Known(Opener),
    /// The dialect was not seen, and those of SMB 3.0 are tried.
    Guess(Opener),
}

/// All that connections share.
#[derive(Default)]
pub(super) struct Shared {
    pub ids: Ids,
    pub limits: Limits,
    by_guid: HashMap<[u8; 16], Server>,
    by_address: HashMap<IpAddr, Server>,
    servers: u32,
    sessions: HashMap<SessionKey, Session>,
    /// Which servers have set up sessions of an id; bounded as the sessions are.
    set_up: HashMap<u64, Vec<Server>>,
    /// Opens of all sessions: where each is, so that none is searched for among a hundred thousand.
    opens: HashMap<OpenId, (SessionKey, [u8; 16])>,
    /// Bytes of their names.
    name_bytes: usize,
    /// Tree connects of all sessions.
    trees: usize,
    /// Those that a durable reconnect may name: by the persistent part of the file id; of several the newest.
    durable: HashMap<(Server, [u8; 8]), OpenId>,
    /// Those of each tree.
    of_trees: BTreeSet<(TreeId, OpenId)>,
}

impl OpenFile {
    /// What its names take.
    fn name_bytes(&self) -> usize {
        self.file.name.as_ref().map_or(0, String::len) + self.file.stream.as_ref().map_or(0, String::len)
    }
}

/// The persistent part of a file id ([MS-SMB2] 2.2.14.1).
fn persistent(file_id: &[u8; 16]) -> [u8; 8] {
    file_id.first_chunk().copied().unwrap_or_default()
}

impl Shared {
    /// Nothing yet.
    pub(super) fn new(limits: Limits) -> Shared {
        Shared { limits, ..Shared::default() }
    }

    /// The server at an address, as far as it is known by that alone.
    pub(super) fn server_at(&mut self, address: IpAddr) -> Server {
        if let Some(server) = self.by_address.get(&address) {
            return *server;
        }
        self.servers = self.servers.saturating_add(1);
        let server = Server(self.servers);
        if self.by_address.len() < self.limits.servers {
            self.by_address.insert(address, server);
        }
        server
    }

    /// The server at an address that says its GUID.
    pub(super) fn server_named(&mut self, address: IpAddr, guid: [u8; 16]) -> Server {
        let at = self.server_at(address);
        if guid == [0; 16] || self.by_guid.len() >= self.limits.servers {
            return at;
        }
        let server = *self.by_guid.entry(guid).or_insert(at);
        // An address may stand for several servers one after another, and a server have several addresses.
        self.by_address.insert(address, server);
        server
    }

    /// The one server that has set up a session of that id, where exactly one has: a channel that is bound to it is that server's, whatever the
    /// address.
    pub(super) fn server_of(&self, session: u64) -> Option<Server> {
        let mut having = self.set_up.get(&session)?.iter();
        having.next().copied().filter(|_| having.next().is_none())
    }

    /// That a session's set-up was seen to the end.
    pub(super) fn note_set_up(&mut self, key: SessionKey) {
        self.session(key).set_up = true;
        let servers = self.set_up.entry(key.1).or_default();
        if !servers.contains(&key.0) && servers.len() < SERVERS_OF_ID_MAX {
            servers.push(key.0);
        }
    }

    /// A session, made where it was not seen before.
    pub(super) fn session(&mut self, key: SessionKey) -> &mut Session {
        if self.sessions.len() >= self.limits.sessions && !self.sessions.contains_key(&key) {
            // Whichever: one that still speaks is made anew, only its names are lost.
            if let Some(any) = self.sessions.keys().next().copied() {
                self.forget(any);
            }
        }
        let ids = &mut self.ids;
        self.sessions.entry(key).or_insert_with(|| Session {
            id: ids.session(),
            trees: HashMap::new(),
            opens: HashMap::new(),
            keys: None,
            set_up: false,
            announced: false,
        })
    }

    /// A session that was seen before.
    pub(super) fn known(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(&key)
    }

    /// A set-up begins anew under an id that may have been another's; its opens come back, to be closed.
    pub(super) fn renew(&mut self, key: SessionKey) -> Vec<OpenFile> {
        self.forget(key)
    }

    /// Forgets a session; its opens come back.
    pub(super) fn forget(&mut self, key: SessionKey) -> Vec<OpenFile> {
        let Some(session) = self.sessions.remove(&key) else { return Vec::new() };
        if let Some(servers) = self.set_up.get_mut(&key.1) {
            servers.retain(|server| *server != key.0);
            if servers.is_empty() {
                self.set_up.remove(&key.1);
            }
        }
        self.trees -= session.trees.len();
        session.opens.iter().for_each(|(file_id, open)| self.unlist(key.0, file_id, open));
        session.opens.into_values().collect()
    }

    /// Whether there is no room for a further open.
    pub(super) fn is_full(&self) -> bool {
        self.opens.len() >= self.limits.opens || self.name_bytes >= self.limits.name_bytes
    }

    /// Keeps an open under its file id; the one that had it before comes back, as does one that there is no more room for.
    pub(super) fn keep(&mut self, key: SessionKey, file_id: [u8; 16], open: OpenFile) -> Option<OpenFile> {
        if self.is_full() {
            return Some(open);
        }
        let (id, tree) = (open.id, open.tree);
        self.name_bytes += open.name_bytes();
        let before = self.session(key).opens.insert(file_id, open);
        if let Some(before) = &before {
            self.unlist(key.0, &file_id, before);
        }
        self.opens.insert(id, (key, file_id));
        self.of_trees.extend(tree.map(|tree| (tree, id)));
        self.durable.insert((key.0, persistent(&file_id)), id);
        before
    }

    fn unlist(&mut self, server: Server, file_id: &[u8; 16], open: &OpenFile) {
        let id = open.id;
        self.opens.remove(&id);
        if let Some(tree) = open.tree {
            self.of_trees.remove(&(tree, id));
        }
        self.name_bytes -= open.name_bytes();
        let place = (server, persistent(file_id));
        if self.durable.get(&place) == Some(&id) {
            self.durable.remove(&place);
        }
    }

    /// Takes an open out.
    pub(super) fn take(&mut self, key: SessionKey, file_id: &[u8; 16]) -> Option<OpenFile> {
        let open = self.sessions.get_mut(&key)?.opens.remove(file_id)?;
        self.unlist(key.0, file_id, &open);
        Some(open)
    }

    /// Takes an open out by its number.
    pub(super) fn take_by_id(&mut self, key: SessionKey, id: OpenId) -> Option<OpenFile> {
        let (_, file_id) = self.opens.get(&id).copied().filter(|place| place.0 == key)?;
        self.take(key, &file_id)
    }

    /// Takes out all opens of a tree.
    pub(super) fn take_of_tree(&mut self, key: SessionKey, tree: TreeId) -> Vec<OpenFile> {
        let gone: Vec<OpenId> = self.of_trees.range((tree, OpenId(0))..=(tree, OpenId(u64::MAX))).map(|(_, id)| *id).collect();
        gone.iter().filter_map(|id| self.take_by_id(key, *id)).collect()
    }

    /// That an open has a new name.
    pub(super) fn rename(&mut self, key: SessionKey, id: OpenId, name: &str) {
        let Some(open) = self.open_by_id(key, id) else { return };
        let before = open.name_bytes();
        open.file.name = Some(name.to_owned());
        let after = open.name_bytes();
        self.name_bytes = self.name_bytes - before + after;
    }

    /// Keeps a tree connect under its id, if there is room; for more than a session may have another of its goes.
    pub(super) fn keep_tree(&mut self, key: SessionKey, wire: u32, tree: Tree) {
        let (most, most_in_all) = (self.limits.trees, self.limits.trees_in_all);
        let is_full = self.trees >= most_in_all;
        let trees = &mut self.session(key).trees;
        let before = trees.len();
        if (trees.len() >= most || is_full)
            && !trees.contains_key(&wire)
            && let Some(any) = trees.keys().next().copied()
        {
            trees.remove(&any);
        }
        if !is_full || trees.len() < before || trees.contains_key(&wire) {
            trees.insert(wire, tree);
        }
        let after = trees.len();
        self.trees = self.trees + after - before;
    }

    /// Tree connects that are kept.
    #[cfg(test)]
    pub(super) fn trees_kept(&self) -> usize {
        assert_eq!(self.trees, self.sessions.values().map(|s| s.trees.len()).sum::<usize>());
        self.trees
    }

    /// Takes out a tree connect.
    pub(super) fn take_tree(&mut self, key: SessionKey, wire: u32) -> Option<Tree> {
        let tree = self.sessions.get_mut(&key)?.trees.remove(&wire)?;
        self.trees -= 1;
        Some(tree)
    }

    /// The open of a file id.
    pub(super) fn open_of(&mut self, key: SessionKey, file_id: &[u8; 16]) -> Option<&mut OpenFile> {
        self.sessions.get_mut(&key)?.opens.get_mut(file_id)
    }

    /// An open by its number.
    pub(super) fn open_by_id(&mut self, key: SessionKey, id: OpenId) -> Option<&mut OpenFile> {
        let (_, file_id) = self.opens.get(&id).copied().filter(|place| place.0 == key)?;
        self.open_of(key, &file_id)
    }

    /// Takes out a server's open by the persistent part of its file id, whichever session had it.
    pub(super) fn take_durable(&mut self, server: Server, file_id: &[u8; 16]) -> Option<OpenFile> {
        let id = *self.durable.get(&(server, persistent(file_id)))?;
        let (key, file_id) = *self.opens.get(&id)?;
        self.take(key, &file_id)
    }

    /// All that is still open.
    pub(super) fn drain(&mut self) -> Vec<(SessionId, OpenFile)> {
        self.opens.clear();
        self.durable.clear();
        self.of_trees.clear();
        self.set_up.clear();
        let sessions = std::mem::take(&mut self.sessions);
        let mut all: Vec<_> = sessions.into_values().flat_map(|s| s.opens.into_values().map(move |o| (s.id, o))).collect();
        all.sort_by_key(|(_, o)| o.id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn open(id: u64) -> OpenFile {
        OpenFile { id: OpenId(id), tree: None, is_pipe: false, file: Opened::default(), delete: false, resume_key: None }
    }

    fn file_id(persistent: u8, volatile: u8) -> [u8; 16] {
        let mut id = [volatile; 16];
        id[..8].fill(persistent);
        id
    }

    #[test]
    fn opens_are_found_by_number_and_by_persistent_id_until_they_go() {
        let mut shared = Shared::new(Limits { opens: 3, ..Limits::default() });
        let server = shared.server_at(Ipv4Addr::LOCALHOST.into());
        let (one, two) = ((server, 1), (server, 2));
        assert!(shared.keep(one, file_id(1, 1), open(1)).is_none());
        assert!(shared.keep(two, file_id(2, 2), open(2)).is_none());
        assert_eq!(shared.open_by_id(one, OpenId(1)).map(|o| o.id), Some(OpenId(1)));
        assert!(shared.open_by_id(two, OpenId(1)).is_none(), "another session's");
        // A reused file id: the one before is found no more.
        assert_eq!(shared.keep(one, file_id(1, 1), open(3)).map(|o| o.id), Some(OpenId(1)));
        assert!(shared.open_by_id(one, OpenId(1)).is_none());
        // A reconnect from another session, once.
        assert_eq!(shared.take_durable(server, &file_id(1, 9)).map(|o| o.id), Some(OpenId(3)));
        assert!(shared.take_durable(server, &file_id(1, 9)).is_none());
        // What goes with its session makes room.
        assert!(shared.keep(two, file_id(4, 4), open(4)).is_none() && shared.keep(two, file_id(5, 5), open(5)).is_none());
        assert_eq!(shared.keep(one, file_id(6, 6), open(6)).map(|o| o.id), Some(OpenId(6)), "no room");
        assert_eq!(shared.forget(two).len(), 3);
        assert!(shared.opens.is_empty() && shared.durable.is_empty());
        assert!(shared.keep(one, file_id(6, 6), open(6)).is_none());
        assert_eq!(shared.take_by_id(one, OpenId(6)).map(|o| o.id), Some(OpenId(6)));
        assert!(shared.opens.is_empty() && shared.durable.is_empty());
    }

    #[test]
    fn the_opens_of_a_tree_go_with_it() {
        let mut shared = Shared::default();
        let key = (shared.server_at(Ipv4Addr::LOCALHOST.into()), 1);
        for n in 1..=6 {
            let of_tree = OpenFile { tree: Some(TreeId(n % 2)), ..open(n) };
            shared.keep(key, file_id(n as u8, n as u8), of_tree);
        }
        assert!(shared.take(key, &file_id(3, 3)).is_some());
        let gone: Vec<u64> = shared.take_of_tree(key, TreeId(1)).iter().map(|o| o.id.0).collect();
        assert_eq!(gone, [1, 5]);
        assert!(shared.take_of_tree(key, TreeId(1)).is_empty());
        assert_eq!(shared.forget(key).len(), 3);
        assert!(shared.of_trees.is_empty());
    }

    #[test]
    fn a_hundred_thousand_opens_cost_no_search() {
        let mut shared = Shared::default();
        let server = shared.server_at(Ipv4Addr::LOCALHOST.into());
        let key = (server, 1);
        let id = |n: u64| u128::from(n).to_le_bytes();
        for n in 0..100_000 {
            shared.keep(key, id(n), open(n));
        }
        for n in 0..100_000 {
            assert!(shared.open_by_id(key, OpenId(n)).is_some());
            assert!(shared.take_durable(server, &id(n + 1_000_000)).is_none());
        }
    }
}
