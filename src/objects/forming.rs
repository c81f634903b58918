//! All opens that form: notes in, jobs for the hashing thread out. Runs on one thread; knows no queues.

use super::disk::{Disk, Scratch};
use super::error::StoreError;
use super::job::Job;
use super::limits::Limits;
use super::losses::{Key, Losses};
use super::note::{Batch, Note, Of};
use super::open::{Ending, Open};
use super::piece::Piece;
use super::provenance::Sidecar;
use super::reading::Reading;
use super::versions::Tools;
use super::writing::Writing;
use crate::flow::{ConnectionId, PacketRef};
use crate::smb::event::{Action, OpenId, Opened, SessionId, SizeFrom};
use crate::time::{SECOND_NS, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;

/// FSCTL_SET_ZERO_DATA, [MS-FSCC] 2.3.85: it does not make a file longer.
const FSCTL_SET_ZERO_DATA: u32 = 0x0009_80C8;

/// Opens that are no files are remembered up to this number, so that what comes of them later is passed over. Default 65,536: half a MiB.
const FORGOTTEN_MAX: usize = 65_536;

/// How long after its CLOSE a file that was written in a session of several connections may still turn out to lack requests of another one:
/// twice as long as a hole of a connection may be filled.
const SETTLED_NS: u64 = 2 * SECOND_NS;

/// All opens that form.
#[derive(Debug)]
pub(super) struct Forming {
    opens: HashMap<OpenId, Held>,
    /// By when they were told of last.
    idle: BTreeMap<u64, OpenId>,
    clock: u64,
    cost: usize,
    disk: Disk,
    limits: Limits,
    sealed: HashMap<SealedIn, u64>,
    /// Where requests were lost.
    losses: Losses,
    /// Closed ones that wait for the other connections of their session: in the order of their CLOSEs, and by their file ids.
    closed: VecDeque<(Timestamp, OpenId)>,
    closed_keys: HashMap<Key, OpenId>,
    forgotten: HashSet<OpenId>,
    provenance: Option<PathBuf>,
    window: bool,
    _scratch: std::sync::Arc<Scratch>,
}

/// Where messages could not be decrypted: in a session that is known, or somewhere in a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum SealedIn {
    Session(SessionId),
    Connection(ConnectionId),
}

#[derive(Debug)]
struct Held {
    open: Box<Open>,
    /// The CLOSE that was answered with success, of one that waits for the other connections of its session.
    closed: Option<Option<PacketRef>>,
    used: u64,
    cost: usize,
}

impl Forming {
    /// None yet. Contents form in `scratch`; lines of provenance go to `provenance`, where they are wanted.
    pub(super) fn new(scratch: std::sync::Arc<Scratch>, limits: Limits, provenance: Option<PathBuf>, window: bool) -> Forming {
        Forming {
            opens: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
            cost: 0,
            disk: Disk::new(scratch.path().to_owned(), limits),
            limits,
            sealed: HashMap::new(),
            losses: Losses::up_to(limits.sealed_sessions),
            closed: VecDeque::new(),
            closed_keys: HashMap::new(),
            forgotten: HashSet::new(),
            provenance,
            window,
            _scratch: scratch,
        }
    }

    /// Takes a batch, in order.
    pub(super) fn take(&mut self, batch: &mut Batch, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        let notes = std::mem::take(&mut batch.notes);
        for note in notes {
            self.note(note, batch, jobs)?;
        }
        Ok(())
    }

    fn note(&mut self, note: Note, batch: &Batch, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        match note {
            Note::Opened { open, of, file } => {
                self.settle(of.at.time, jobs)?;
                self.told_of(of, &file);
                self.with(open, Some(of), jobs, |o, tools| o.opened(tools, of.at, *file))
            }
            Note::Data { open, of, action, operation, offset, start, end, carried, packets } => {
                let bytes = batch.bytes.get(start..end).unwrap_or_default();
                let packets = batch.packets.get(packets.0..packets.1).unwrap_or_default();
                let piece = Piece { operation, offset, bytes, start, carried, packets };
                self.with(open, Some(of), jobs, |o, tools| {
                    o.active(carried.first, carried.last);
                    match action {
                        Action::Read => o.reading.data(tools, &piece),
                        Action::Write => o.writing.data(tools, &piece),
                    }
                })
            }
            Note::Lost { open, of, action, operation, offset, length } => self.with(open, Some(of), jobs, |o, tools| {
                o.active(of.at, of.at);
                match action {
                    Action::Read => {
                        o.reading.lost(tools, offset, length);
                        Ok(())
                    }
                    Action::Write => o.writing.lost(tools, operation, offset, length),
                }
            }),
            Note::ReadAsked { open, of, operation, offset, length } => self.with(open, Some(of), jobs, |o, tools| {
                o.active(of.at, of.at);
                o.reading.ask(operation, offset, length, tools.limits.pending_reads);
                Ok(())
            }),
            Note::ReadDone { open, operation, offset, asked, given, status } => self.with(open, None, jobs, |o, tools| {
                o.reading.done(tools, operation, offset, asked, given, status);
                Ok(())
            }),
            Note::WriteDone { open, of, operation, offset, sent, written } => {
                self.with(open, Some(of), jobs, |o, tools| o.writing.done(tools, operation, offset, sent, written))
            }
            Note::Size { open, size, from, at } => {
                if !matches!(from, SizeFrom::EndOfFile | SizeFrom::Listing)
                    && let Some(held) = self.opens.get_mut(&open)
                {
                    held.open.watch.mark(&self.losses, at.time);
                }
                self.with(open, None, jobs, |o, tools| {
                    o.reading.told(size, from);
                    o.writing.told(tools, size, from)
                })
            }
            Note::Renamed { open, to } => self.with(open, None, jobs, |o, _| {
                o.renamed_to = Some(to);
                Ok(())
            }),
            Note::Deleted { open } => self.with(open, None, jobs, |o, _| {
                o.deleted = true;
                Ok(())
            }),
            Note::ServerCopy { open, of, source, offset, length, fsctl } => {
                let name = source.and_then(|s| self.opens.get(&s)).and_then(|held| held.open.name().cloned());
                self.with(open, Some(of), jobs, |o, tools| {
                    o.active(of.at, of.at);
                    if fsctl != FSCTL_SET_ZERO_DATA {
                        o.copied_from = Some((source, name));
                    }
                    o.writing.server_copy(tools, offset, offset.saturating_add(length), fsctl != FSCTL_SET_ZERO_DATA)
                })
            }
            Note::Closed { open, status, at, unsettled } => self.closed(open, jobs, (status == Some(0), unsettled), at),
            Note::Sealed { of } => {
                let key = of.session.map_or(SealedIn::Connection(of.connection), SealedIn::Session);
                if self.sealed.len() < self.limits.sealed_sessions || self.sealed.contains_key(&key) {
                    *self.sealed.entry(key).or_default() += 1;
                }
                Ok(())
            }
            Note::Late { open, note } => match self.opens.contains_key(&open) {
                true => self.note(*note, batch, jobs),
                false => Ok(()),
            },
            Note::Channel { of, session } => {
                self.losses.channel(of, session);
                Ok(())
            }
            Note::RequestsLost { of } => {
                self.losses.add(of);
                Ok(())
            }
            Note::Replaced { open, action, operation, offset, start, end } => {
                let bytes = batch.bytes.get(start..end).unwrap_or_default();
                self.with(open, None, jobs, |o, tools| match action {
                    Action::Read => o.reading.replace(tools, offset, bytes),
                    Action::Write => o.writing.replace(tools, operation, offset, bytes),
                })
            }
            Note::Conflict { open, action, range } => self.with(open, None, jobs, |o, tools| {
                match action {
                    Action::Read => o.reading.conflict(tools, range.from, range.to),
                    Action::Write => o.writing.conflict(tools, range.from, range.to),
                }
                Ok(())
            }),
            Note::Forget { open } => {
                if self.forgotten.len() < FORGOTTEN_MAX {
                    self.forgotten.insert(open);
                }
                match self.remove(open) {
                    Some(Held { open: held, .. }) => {
                        let mut tools = Tools { disk: &mut self.disk, jobs, limits: self.limits };
                        held.discard(&mut tools)
                    }
                    None => Ok(()),
                }
            }
            Note::End => {
                let mut all: Vec<OpenId> = self.opens.keys().copied().collect();
                all.sort_unstable();
                all.into_iter().try_for_each(|open| self.close(open, jobs, false, None))?;
                self.closed.clear();
                Ok(())
            }
        }
    }

    /// Does something with an open. It is begun where `of` tells whose it is.
    fn with(
        &mut self,
        id: OpenId,
        of: Option<Of>,
        jobs: &mut Vec<Job>,
        f: impl FnOnce(&mut Open, &mut Tools<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.forgotten.contains(&id) {
            return Ok(());
        }
        if !self.opens.contains_key(&id) {
            match of {
                Some(of) => self.begin(id, of, jobs)?,
                None => return Ok(()),
            }
        }
        self.clock += 1;
        let Some(held) = self.opens.get_mut(&id) else { return Ok(()) };
        self.idle.remove(&held.used);
        held.used = self.clock;
        self.idle.insert(self.clock, id);
        if let Some(of) = of {
            held.open.seen(of.session, of.tree);
            held.open.watch.used(of, &self.losses);
        }
        let mut tools = Tools { disk: &mut self.disk, jobs, limits: self.limits };
        f(&mut held.open, &mut tools)?;
        let cost = held.open.cost();
        self.cost = self.cost - held.cost + cost;
        held.cost = cost;
        while self.cost > self.limits.state_bytes && self.opens.len() > 1 {
            self.evict(jobs)?;
        }
        Ok(())
    }

    fn begin(&mut self, id: OpenId, of: Of, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        while self.opens.len() >= self.limits.opens.max(1) {
            self.evict(jobs)?;
        }
        let sidecar = |action: &str| {
            let folder = self.provenance.as_ref()?;
            Some(Sidecar::new(folder.join(format!("packets-{}-{action}.jsonl", id.0))))
        };
        let ranges = self.limits.ranges;
        let reading = Reading::new(ranges, sidecar("read"));
        let writing = Writing::new(ranges, sidecar("write"));
        let mut open = Box::new(Open::new(id, of.connection, of.at, reading, writing));
        open.sealed_before = self.sealed(of.connection, of.session);
        open.watch.used(of, &self.losses);
        self.opens.insert(id, Held { open, closed: None, used: 0, cost: 0 });
        Ok(())
    }

    fn sealed(&self, connection: ConnectionId, session: Option<SessionId>) -> u64 {
        let count = |key| self.sealed.get(&key).copied().unwrap_or(0);
        count(SealedIn::Connection(connection)) + session.map_or(0, |session| count(SealedIn::Session(session)))
    }

    /// An open is told of. One whose CREATE was not seen may be another that is known: of a channel that is not known to be one of its
    /// session, or whose requests came before the CLOSE and were captured later.
    fn told_of(&mut self, of: Of, file: &Opened) {
        let Some(key) = self.losses.key(of.session, &file.file_id) else { return };
        let is_stray = file.name.is_none() && !file.answered;
        if is_stray
            && let Some(closed) = self.closed_keys.get(&key)
            && let Some(held) = self.opens.get_mut(closed)
        {
            held.open.incomplete = true;
        }
        if is_stray || file.answered {
            self.losses.stray(key, is_stray, of.at.time);
        }
    }

    /// Ends those that were closed long enough ago.
    fn settle(&mut self, now: Timestamp, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        while let Some((at, id)) = self.closed.front().copied()
            && (now.since(at) > SETTLED_NS || self.closed.len() > self.limits.opens)
        {
            self.closed.pop_front();
            self.close(id, jobs, true, None)?;
        }
        Ok(())
    }

    /// A CLOSE was answered, or an open is gone without.
    fn closed(
        &mut self,
        id: OpenId,
        jobs: &mut Vec<Job>,
        (success, unsettled): (bool, bool),
        at: Option<PacketRef>,
    ) -> Result<(), StoreError> {
        let now = at.unwrap_or_default().time;
        if at.is_some() {
            self.settle(now, jobs)?;
        }
        if success
            && let Some(held) = self.opens.get_mut(&id)
            && held.closed.is_none()
            && held.open.hangs_on_requests()
        {
            let session = held.open.session;
            if (self.losses.has_channels(session) || unsettled && self.losses.is_known(session))
                && let Some(held) = self.opens.get_mut(&id)
            {
                held.closed = Some(at);
                if let Some(key) = self.losses.key(session, held.open.file_id()) {
                    self.closed_keys.insert(key, id);
                }
                self.closed.push_back((now, id));
                return Ok(());
            }
        }
        self.close(id, jobs, success, at)
    }

    /// Ends the one that has been silent longest.
    fn evict(&mut self, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        let Some((_, id)) = self.idle.first_key_value() else { return Ok(()) };
        let id = *id;
        if let Some(held) = self.opens.get_mut(&id) {
            held.open.limited |= held.closed.is_none();
        }
        self.close(id, jobs, false, None)
    }

    fn remove(&mut self, id: OpenId) -> Option<Held> {
        let held = self.opens.remove(&id)?;
        self.idle.remove(&held.used);
        self.cost -= held.cost;
        Some(held)
    }

    fn close(&mut self, id: OpenId, jobs: &mut Vec<Job>, success: bool, at: Option<PacketRef>) -> Result<(), StoreError> {
        self.forgotten.remove(&id);
        let Some(Held { open, closed, .. }) = self.remove(id) else { return Ok(()) };
        // One that waited was closed when it was.
        let (success, at) = closed.map_or((success, at), |at| (true, at));
        let key = self.losses.key(open.session, open.file_id());
        let is_stray = key.as_ref().is_some_and(|key| open.is_named() && self.losses.is_stray(key));
        if let Some(key) = key.filter(|_| closed.is_some())
            && self.closed_keys.get(&key) == Some(&id)
        {
            self.closed_keys.remove(&key);
        }
        let sealed = self.sealed(open.connection(), open.session) > open.sealed_before;
        let requests_lost = open.watch.any(&self.losses);
        let size_in_doubt = open.incomplete || is_stray || open.watch.any_since_mark(&self.losses);
        let mut tools = Tools { disk: &mut self.disk, jobs, limits: self.limits };
        open.end(&mut tools, Ending { success, at, sealed, requests_lost, size_in_doubt, window: self.window })
    }
}
