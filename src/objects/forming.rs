//! All opens that form: notes in, jobs for the hashing thread out. Runs on one thread; knows no queues.

use super::disk::{Disk, Scratch};
use super::error::StoreError;
use super::job::Job;
use super::limits::Limits;
use super::note::{Batch, Note, Of};
use super::open::{Ending, Open};
use super::piece::Piece;
use super::provenance::Sidecar;
use super::reading::Reading;
use super::versions::Tools;
use super::writing::Writing;
use crate::flow::ConnectionId;
use crate::smb::event::{Action, OpenId, SessionId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

/// FSCTL_SET_ZERO_DATA, [MS-FSCC] 2.3.85: it does not make a file longer.
const FSCTL_SET_ZERO_DATA: u32 = 0x0009_80C8;

/// Opens that are no files are remembered up to this number, so that what comes of them later is passed over. Default 65,536: half a MiB.
const FORGOTTEN_MAX: usize = 65_536;

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
    /// How often requests of a connection were lost.
    requests_lost: HashMap<ConnectionId, u64>,
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
            requests_lost: HashMap::new(),
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
            Note::Opened { open, of, file } => self.with(open, Some(of), jobs, |o, tools| o.opened(tools, of.at, *file)),
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
            Note::Size { open, size, from } => self.with(open, None, jobs, |o, tools| {
                o.reading.told(size, from);
                o.writing.told(tools, size, from)
            }),
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
            Note::Closed { open, status, at } => self.close(open, jobs, status == Some(0), at),
            Note::Sealed { of } => {
                let key = of.session.map_or(SealedIn::Connection(of.connection), SealedIn::Session);
                if self.sealed.len() < self.limits.sealed_sessions || self.sealed.contains_key(&key) {
                    *self.sealed.entry(key).or_default() += 1;
                }
                Ok(())
            }
            Note::RequestsLost { of } => {
                let connection = of.connection;
                if self.requests_lost.len() < self.limits.sealed_sessions || self.requests_lost.contains_key(&connection) {
                    *self.requests_lost.entry(connection).or_default() += 1;
                }
                Ok(())
            }
            Note::Conflict { open, action, range } => self.with(open, None, jobs, |o, tools| {
                let version = match action {
                    Action::Read => &mut o.reading.current,
                    Action::Write => &mut o.writing.current,
                };
                let version = version.get_or_insert_with(|| super::versions::Version::new(1, tools));
                version.limited |= version.conflicts.insert(range.from, range.to, ()).is_err();
                Ok(())
            }),
            Note::Forget { open } => {
                if self.forgotten.len() < FORGOTTEN_MAX {
                    self.forgotten.insert(open);
                }
                match self.remove(open) {
                    Some(held) => {
                        let mut tools = Tools { disk: &mut self.disk, jobs, limits: self.limits };
                        held.discard(&mut tools)
                    }
                    None => Ok(()),
                }
            }
            Note::End => {
                let mut all: Vec<OpenId> = self.opens.keys().copied().collect();
                all.sort_unstable();
                all.into_iter().try_for_each(|open| self.close(open, jobs, false, None))
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
        open.requests_lost_before = self.requests_lost(of.connection);
        self.opens.insert(id, Held { open, used: 0, cost: 0 });
        Ok(())
    }

    fn sealed(&self, connection: ConnectionId, session: Option<SessionId>) -> u64 {
        let count = |key| self.sealed.get(&key).copied().unwrap_or(0);
        count(SealedIn::Connection(connection)) + session.map_or(0, |session| count(SealedIn::Session(session)))
    }

    fn requests_lost(&self, connection: ConnectionId) -> u64 {
        self.requests_lost.get(&connection).copied().unwrap_or(0)
    }

    /// Ends the one that has been silent longest.
    fn evict(&mut self, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        let Some((_, id)) = self.idle.first_key_value() else { return Ok(()) };
        let id = *id;
        if let Some(held) = self.opens.get_mut(&id) {
            held.open.limited = true;
        }
        self.close(id, jobs, false, None)
    }

    fn remove(&mut self, id: OpenId) -> Option<Open> {
        let held = self.opens.remove(&id)?;
        self.idle.remove(&held.used);
        self.cost -= held.cost;
        Some(*held.open)
    }

    fn close(
        &mut self,
        id: OpenId,
        jobs: &mut Vec<Job>,
        success: bool,
        at: Option<crate::flow::PacketRef>,
    ) -> Result<(), StoreError> {
        self.forgotten.remove(&id);
        let Some(open) = self.remove(id) else { return Ok(()) };
        let sealed = self.sealed(open.connection(), open.session) > open.sealed_before;
        let requests_lost = self.requests_lost(open.connection()) > open.requests_lost_before;
        let mut tools = Tools { disk: &mut self.disk, jobs, limits: self.limits };
        open.end(&mut tools, Ending { success, at, sealed, requests_lost, window: self.window })
    }
}
