//! What is known of a connection: its sessions, trees, opens and waiting requests.

use super::asked::{Asked, Pending, Target, Transacted};
use super::bounded::Bounded;
use super::limits::{
    OPENS_BYTES_MAX, OPENS_MAX, PENDING_BYTES_MAX, PENDING_MAX, RESUME_KEYS_MAX, SAME_ID_MAX, SESSIONS_MAX, TREES_MAX,
};
use super::names::same;
use super::stream::{Raw, Stream};
use super::tell::Tell;
use crate::smb::event::{OpenId, Opened, SessionId, TreeId, TreeKind, What};
use std::collections::HashMap;

/// No tree, user or file.
pub(super) const NONE: u16 = 0xFFFF;

/// A session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// Its number.
    pub(super) id: SessionId,
    /// It was set up.
    pub(super) open: bool,
}

/// A tree connect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    /// Its number.
    pub(super) id: TreeId,
    /// What it gives.
    pub(super) kind: TreeKind,
}

/// An open.
#[derive(Clone, Debug)]
pub(super) struct Open {
    /// Its file id; `None` before the answer.
    pub(super) fid: Option<u16>,
    /// The tree id.
    pub(super) tid: u16,
    /// The process that opened it.
    pub(super) pid: u16,
    /// Its session.
    pub(super) session: Option<SessionId>,
    /// It is known to be a pipe.
    pub(super) pipe: bool,
    /// Its CLOSE was asked for.
    pub(super) closing: bool,
    /// What was told of it.
    pub(super) file: Opened,
}

/// The state.
#[derive(Debug)]
pub(super) struct State {
    /// By user id.
    pub(super) sessions: HashMap<u16, Session>,
    /// By tree id.
    pub(super) trees: HashMap<u16, Tree>,
    /// All opens.
    pub(super) opens: Bounded<OpenId, Open>,
    /// Opens by file id.
    pub(super) fids: HashMap<u16, OpenId>,
    /// Requests without an answer, by process and multiplex id: as a rule one, else in order.
    pub(super) pending: Bounded<(u16, u16), Vec<Pending>>,
    /// Bytes without a header that are expected.
    pub(super) raw: Option<Raw>,
    /// The message of each way that is streamed.
    pub(super) streams: [Option<Stream>; 2],
    /// Resume keys, newest last.
    resume_keys: Vec<([u8; 24], OpenId)>,
}

impl State {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        State {
            sessions: HashMap::new(),
            trees: HashMap::new(),
            opens: Bounded::new(OPENS_MAX, OPENS_BYTES_MAX),
            fids: HashMap::new(),
            pending: Bounded::new(PENDING_MAX, PENDING_BYTES_MAX),
            raw: None,
            streams: [None, None],
            resume_keys: Vec::new(),
        }
    }

    /// Keeps a session under its user id.
    pub(super) fn keep_session(&mut self, tell: &mut Tell<'_>, uid: u16, session: Session) {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&uid) {
            tell.odd("smb1_sessions_full", 0);
        } else {
            self.sessions.insert(uid, session);
        }
    }

    /// The session that a request names. One whose set-up was not seen is told as opened.
    pub(super) fn session_of(&mut self, tell: &mut Tell<'_>, uid: u16) -> Option<SessionId> {
        if let Some(known) = self.sessions.get(&uid) {
            return Some(known.id);
        }
        if uid == 0 || uid == NONE || self.sessions.len() >= SESSIONS_MAX {
            return None;
        }
        let id = tell.ids.session();
        self.sessions.insert(uid, Session { id, open: true });
        tell.context.session = Some(id);
        tell.say(&What::SessionOpened { guest: false });
        Some(id)
    }

    /// Keeps a tree under its tree id.
    pub(super) fn keep_tree(&mut self, tell: &mut Tell<'_>, tid: u16, tree: Tree) {
        if self.trees.len() >= TREES_MAX && !self.trees.contains_key(&tid) {
            tell.odd("smb1_trees_full", 0);
        } else {
            self.trees.insert(tid, tree);
        }
    }

    /// The tree that a request names. One whose connect was not seen is of unknown kind.
    pub(super) fn tree_of(&mut self, tell: &mut Tell<'_>, tid: u16) -> Option<TreeId> {
        if let Some(known) = self.trees.get(&tid) {
            return Some(known.id);
        }
        if tid == NONE || self.trees.len() >= TREES_MAX {
            return None;
        }
        let id = tell.ids.tree();
        self.trees.insert(tid, Tree { id, kind: TreeKind::Unknown });
        Some(id)
    }

    /// What a tree gives.
    pub(super) fn tree_kind(&self, tid: u16) -> TreeKind {
        self.trees.get(&tid).map_or(TreeKind::Unknown, |t| t.kind)
    }

    /// Keeps an open. One that had its file id before is over.
    pub(super) fn keep_open(&mut self, tell: &mut Tell<'_>, id: OpenId, open: Open) {
        if let Some(fid) = open.fid {
            if let Some(old) = self.fids.get(&fid).copied().filter(|old| *old != id) {
                self.give_up(tell, old);
            }
            self.fids.insert(fid, id);
        }
        let weight = 256 + open.file.name.as_ref().map_or(0, String::len) + open.file.stream.as_ref().map_or(0, String::len);
        for (lost, open) in self.opens.insert(id, open, weight) {
            self.forget_fid(lost, open.fid);
            tell.odd("smb1_opens_full", 0);
            tell.say(&What::Closed { open: lost, status: None, by_close: open.closing });
        }
    }

    fn forget_fid(&mut self, id: OpenId, fid: Option<u16>) {
        if let Some(fid) = fid.filter(|f| self.fids.get(f) == Some(&id)) {
            self.fids.remove(&fid);
        }
    }

    /// Takes an open out of the tables.
    pub(super) fn drop_open(&mut self, id: OpenId) -> Option<Open> {
        let open = self.opens.remove(&id)?;
        self.forget_fid(id, open.fid);
        Some(open)
    }

    /// An open is over, and no answer to a CLOSE said so.
    pub(super) fn give_up(&mut self, tell: &mut Tell<'_>, id: OpenId) {
        if let Some(open) = self.drop_open(id) {
            tell.say(&What::Closed { open: id, status: None, by_close: open.closing });
        }
    }

    /// Opens for which a test holds are over.
    pub(super) fn give_up_where(&mut self, tell: &mut Tell<'_>, test: impl Fn(&Open) -> bool) {
        for id in self.opens.keys_where(test) {
            self.give_up(tell, id);
        }
    }

    /// The open that a request names by file id. One whose CREATE was not seen is told as opened, and so is one that is used after its
    /// CLOSE: its file id was given anew. `None`: the file id names none.
    pub(super) fn open_of(&mut self, tell: &mut Tell<'_>, fid: u16, tid: u16, pid: u16) -> Option<OpenId> {
        if fid == NONE {
            return None;
        }
        if let Some(id) = self.fids.get(&fid).copied() {
            match self.opens.touch(&id) {
                Some(open) if !open.closing => return Some(id),
                _ => self.give_up(tell, id),
            }
        }
        let id = tell.ids.open();
        let file = Opened { file_id: fid.to_le_bytes().to_vec(), ..Opened::default() };
        tell.say(&What::Opened { open: id, file: file.clone() });
        let pipe = self.tree_kind(tid) == TreeKind::Pipe;
        self.keep_open(tell, id, Open { fid: Some(fid), tid, pid, session: tell.context.session, pipe, closing: false, file });
        Some(id)
    }

    /// Whether an open is known to be a pipe.
    pub(super) fn is_pipe(&self, id: OpenId) -> bool {
        self.opens.get(&id).is_some_and(|o| o.pipe)
    }

    /// The opens that a query or change is about.
    pub(super) fn opens_of(&self, target: &Target, tid: u16) -> Vec<OpenId> {
        match target {
            Target::Open(id) => id.iter().copied().collect(),
            Target::Name(path) => {
                let (name, stream) = super::names::split(path);
                self.opens.keys_where(|o| {
                    o.tid == tid && o.file.stream == stream && !o.pipe && o.file.name.as_ref().is_some_and(|n| same(n, &name))
                })
            }
        }
    }

    /// Keeps a request until its answer, behind those with the same process and multiplex id.
    pub(super) fn keep_pending(&mut self, tell: &mut Tell<'_>, key: (u16, u16), pending: Pending) {
        let mut queue = self.pending.remove(&key).unwrap_or_default();
        queue.push(pending);
        if queue.len() > SAME_ID_MAX {
            let old = queue.remove(0);
            tell.odd("smb1_pending_full", 0);
            self.unanswered(tell, &old);
        }
        self.keep_queue(tell, key, queue);
    }

    /// Keeps a request on, whose answer goes on: it stays the first.
    pub(super) fn keep_on(&mut self, tell: &mut Tell<'_>, key: (u16, u16), pending: Pending) {
        let mut queue = self.pending.remove(&key).unwrap_or_default();
        queue.insert(0, pending);
        self.keep_queue(tell, key, queue);
    }

    fn keep_queue(&mut self, tell: &mut Tell<'_>, key: (u16, u16), queue: Vec<Pending>) {
        if queue.is_empty() {
            return;
        }
        let weight = queue.iter().map(Pending::weight).sum();
        for old in self.pending.insert(key, queue, weight).into_iter().flat_map(|entry| entry.1) {
            tell.odd("smb1_pending_full", 0);
            self.unanswered(tell, &old);
        }
    }

    /// Takes the first request with this key for which a test holds.
    pub(super) fn take_pending(&mut self, key: (u16, u16), test: impl Fn(&Pending) -> bool) -> Option<Pending> {
        let place = self.pending.get(&key)?.iter().position(test)?;
        let mut queue = self.pending.remove(&key)?;
        let taken = queue.remove(place);
        if !queue.is_empty() {
            let weight = queue.iter().map(Pending::weight).sum();
            self.pending.insert(key, queue, weight);
        }
        Some(taken)
    }

    /// Messages of one way (0 to the server, 1 to the client) were lost. A request is given up once messages of both ways were lost while
    /// it waited, for its ids may belong to another one by then; and one behind which the client used its ids again, for it did so after
    /// the answer, which is lost then.
    pub(super) fn gap(&mut self, tell: &mut Tell<'_>, way: usize) {
        let keys = self.pending.keys_where(|queue| !queue.is_empty());
        for key in keys {
            let Some(mut queue) = self.pending.remove(&key) else { continue };
            queue.iter_mut().filter_map(|p| p.lost.get_mut(way)).for_each(|lost| *lost = true);
            let count = queue.len();
            let mut kept = Vec::new();
            for (i, pending) in queue.into_iter().enumerate() {
                if pending.lost == [true, true] || (way == 1 && i + 1 < count) {
                    tell.context.at = pending.at;
                    self.unanswered(tell, &pending);
                } else {
                    kept.push(pending);
                }
            }
            self.keep_queue(tell, key, kept);
        }
        // The raw bytes themselves may be among what was lost, and then the next ones belong elsewhere.
        self.raw = None;
    }

    /// Tells what becomes of a request without an answer.
    pub(super) fn unanswered(&mut self, tell: &mut Tell<'_>, pending: &Pending) {
        let own = tell.context;
        (tell.context.session, tell.context.tree) = (pending.session, pending.tree);
        for part in &pending.parts {
            match &part.asked {
                Asked::Write(w) if !w.pipe && !self.is_pipe(w.open) => {
                    let (open, operation, offset, sent) = (w.open, w.operation, w.offset, w.sent);
                    tell.say(&What::WriteDone { open, operation, offset, sent, written: None });
                }
                Asked::SetUp { plain: Some((user, domain)), .. } => {
                    tell.say(&What::PlainSetUp { user: user.clone(), domain: domain.clone(), status: None });
                }
                Asked::Close { open: Some(open), .. } => self.give_up(tell, *open),
                Asked::Transaction(t) => {
                    if let Transacted::Call(open) = t.action {
                        self.give_up(tell, open);
                    }
                }
                _ => {}
            }
        }
        tell.context = own;
    }

    /// Keeps a resume key.
    pub(super) fn keep_resume_key(&mut self, key: [u8; 24], open: OpenId) {
        if self.resume_keys.len() >= RESUME_KEYS_MAX {
            self.resume_keys.remove(0);
        }
        self.resume_keys.push((key, open));
    }

    /// The open that a resume key stands for.
    pub(super) fn resume_key(&self, key: &[u8]) -> Option<OpenId> {
        self.resume_keys.iter().rev().find(|k| k.0 == key).map(|k| k.1)
    }
}
