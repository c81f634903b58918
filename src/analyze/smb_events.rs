//! What SMB tells becomes events, pipes and objects.

use super::conflicts::{Conflicts, Of};
use super::ends::Ends;
use super::inside::Inside;
use super::keys::KeyRing;
use super::oddities::Oddities;
use super::pipes::{HELD_BYTES_MAX, Pipe, association, text};
use super::rpc_events::{Over, events};
use super::sessions::{Said, Sessions, Tree};
use super::stretches::OpenStretches;
use super::terms::{Found, Told, Totals};
use crate::events::dir_list::{DirEntry, DirList};
use crate::events::files::Files;
use crate::events::head::between;
use crate::events::names::HostNames;
use crate::events::pipe_stream::PipeStream;
use crate::events::server_copy::ServerCopy;
use crate::events::smb_files::{FileTimes, SmbAction, SmbFiles};
use crate::events::smb_mapping::SmbMapping;
use crate::events::{Event, EventTypes, Head};
use crate::flow::{ConnectionId, Way};
use crate::objects::collector::Objects;
use crate::objects::error::StoreError;
use crate::objects::transfer::Transfer;
use crate::rpc::{RpcEvent, looks_like_rpc, names};
use crate::smb::event::{Action, Context, Listener, OpenId, Opened, SessionId, SessionKeys, TreeId, TreeKind, What};
use std::collections::HashMap;
use std::sync::Arc;

/// Entries of a listing that one event has.
const ENTRIES_MAX: usize = 1_000;

/// Opens that are remembered. As many as SMB itself keeps.
const OPENS_MAX: usize = 262_144;
/// [MS-FSCC] 2.3.85.
const FSCTL_SET_ZERO_DATA: u32 = 0x0009_80C8;

/// Where an open's bytes go.
enum Route {
    /// Not known: the tree connect was not seen, and no byte came yet.
    Unclear,
    /// To the objects.
    Object,
    /// To a pipe.
    Pipe(Box<Pipe>),
}

/// An open.
struct Open {
    session: Option<SessionId>,
    tree: Option<TreeId>,
    file: Opened,
    route: Route,
    told: bool,
}

/// All that SMB's events go to.
pub(super) struct Findings<'o> {
    pub ends: Ends,
    pub sessions: Sessions,
    pub names: HostNames,
    pub keys: Arc<KeyRing>,
    pub reveal_passwords: bool,
    pub wanted: Option<EventTypes>,
    pub objects: Option<Objects>,
    pub totals: Totals,
    /// What our disk did wrong, until it is taken.
    pub failed: Option<StoreError>,
    pub out: &'o mut dyn FnMut(Told),
    pub conflicts: Conflicts,
    /// Where the packets of objects are, where that is wanted.
    pub stretches: Option<OpenStretches>,
    /// Told at the end: when a hash is done depends on threads, and what is told must not.
    pub files: Vec<Files>,
    opens: HashMap<OpenId, Open>,
    /// Bytes that all pipes hold.
    pipes_held: usize,
    /// What was odd.
    pub oddities: Oddities,
    /// What connections of SMB carry beside it.
    pub inside: Inside,
    /// Kept to be used again.
    calls: Vec<RpcEvent>,
}

impl<'o> Findings<'o> {
    pub(super) fn new(
        keys: Arc<KeyRing>,
        reveal_passwords: bool,
        wanted: Option<EventTypes>,
        objects: Option<Objects>,
        out: &'o mut dyn FnMut(Told),
    ) -> Self {
        Findings {
            ends: Ends::default(),
            sessions: Sessions::new(),
            names: HostNames::new(crate::events::names::NameLimits::default()),
            keys,
            reveal_passwords,
            wanted,
            objects,
            totals: Totals::default(),
            failed: None,
            out,
            conflicts: Conflicts::default(),
            stretches: None,
            files: Vec::new(),
            opens: HashMap::new(),
            pipes_held: 0,
            oddities: Oddities::default(),
            inside: Inside::default(),
            calls: Vec::new(),
        }
    }

    /// Tells an event, if it is wanted.
    pub(super) fn tell(&mut self, event: Event) {
        if self.wanted.is_some_and(|w| w.contains(event.event_type())) {
            (self.out)(Told::Event(Box::new(event)));
        }
    }

    fn head(&self, context: &Context) -> Option<Head> {
        Some(self.ends.of(context.connection)?.head.at(context.at.time))
    }

    /// Hands what the objects have finished on.
    pub(super) fn drain_objects(&mut self) {
        let Some(objects) = &mut self.objects else { return };
        let finished = objects.finished();
        self.tell_objects(finished);
    }

    /// Tells transfers, each with its `files` event.
    pub(super) fn tell_objects(&mut self, finished: Vec<Transfer>) {
        for transfer in finished {
            let who = super::found::who(&transfer, &self.ends, &mut self.sessions, &self.names);
            if self.wanted.is_some_and(|w| w.contains(crate::events::event_types::EventType::Files)) {
                let account = self.sessions.account(transfer.session);
                self.files.extend(super::found::files(&transfer, &who, &self.ends, account));
            }
            let (carriers, stretches) = self.stretches.as_ref().map(|s| s.of(transfer.open)).unwrap_or_default();
            (self.out)(Told::Object(Box::new(Found { transfer, who, stretches, carriers })));
        }
    }

    /// To the objects.
    fn form(&mut self, context: &Context, what: &What<'_>) {
        let Some(objects) = &mut self.objects else { return };
        if self.failed.is_none()
            && let Err(e) = objects.take(context, what)
        {
            self.failed = Some(e);
        }
    }

    /// Whether there are connections of which it is not known yet whether they carry SMB, or of which sessions.
    pub(super) fn set_unsettled(&mut self, unsettled: bool) {
        if let Some(objects) = &mut self.objects {
            objects.set_unsettled(unsettled);
        }
    }

    /// To an object that was closed, if it is still there.
    fn form_late(&mut self, context: &Context, open: OpenId, what: &What<'_>) {
        let Some(objects) = &mut self.objects else { return };
        if self.failed.is_none()
            && let Err(e) = objects.take_late(context, open, what)
        {
            self.failed = Some(e);
        }
    }

    /// Where the packets of an open are.
    fn stretch(&mut self, context: &Context, what: &What<'_>) {
        let Some(stretches) = &mut self.stretches else { return };
        let (connection, at) = (context.connection, context.at.time);
        match what {
            What::Opened { open, .. }
            | What::Data { open, .. }
            | What::ReadAsked { open, .. }
            | What::ReadDone { open, .. }
            | What::WriteDone { open, .. }
            | What::Size { open, .. } => stretches.came(*open, context.session, (connection, at), &self.ends),
            What::Command { asked, .. } => stretches.asked(*asked),
            What::SessionOpened { .. } => {
                if let Some(session) = context.session {
                    stretches.channel(session, connection);
                }
            }
            What::Closed { open, .. } => stretches.close(*open, at, &self.ends),
            _ => {}
        }
    }

    /// File bytes of which copies differ.
    pub(super) fn in_conflict(&mut self, found: &[Of]) {
        let Some(objects) = &mut self.objects else { return };
        for of in found {
            if self.failed.is_none()
                && let Err(e) = objects.conflict(of.open, of.action, of.from, of.to)
            {
                self.failed = Some(e);
            }
        }
    }

    /// Bytes of a file are others than those that were handed on.
    pub(super) fn replace(&mut self, of: &Of, bytes: &[u8]) {
        let Some(objects) = &mut self.objects else { return };
        if self.failed.is_none()
            && let Err(e) = objects.replace(of.open, (of.action, of.operation), of.from, bytes)
        {
            self.failed = Some(e);
        }
    }

    fn opened(&mut self, context: &Context, id: OpenId, file: &Opened) {
        let tree = context.tree.or_else(|| self.opens.get(&id).and_then(|o| o.tree));
        let kind = self.sessions.tree(tree).map_or(TreeKind::Unknown, |t| t.kind);
        if self.opens.len() >= OPENS_MAX && !self.opens.contains_key(&id) {
            self.odd_smb(context, "limit_opens", 0);
            return;
        }
        let open = self.opens.entry(id).or_insert_with(|| Open {
            session: context.session,
            tree,
            file: file.clone(),
            route: Route::Unclear,
            told: false,
        });
        open.file.clone_from(file);
        if matches!(open.route, Route::Unclear) {
            open.route = match kind {
                TreeKind::Pipe => Route::Pipe(Box::new(Pipe::new(context.at))),
                TreeKind::Unknown => Route::Unclear,
                _ => Route::Object,
            };
        }
        let is_pipe = matches!(open.route, Route::Pipe(_));
        // Use of its file id shows that it was opened.
        let is_open = file.answered || file.name.is_some() && !file.file_id.is_empty();
        let first = is_open && !open.told;
        open.told |= is_open;
        if first {
            let action = match (is_pipe || kind == TreeKind::Unknown && looks_like_pipe(file), kind) {
                (true, _) => SmbAction::PipeOpen,
                (_, TreeKind::Print) => SmbAction::PrintOpen,
                _ => SmbAction::FileOpen,
            };
            self.tell_file(context, id, action, None);
        }
        if !is_pipe {
            self.form(context, &What::Opened { open: id, file: file.clone() });
            // Opens that are never closed make others end, which must not pile up.
            self.drain_objects();
        }
    }

    /// An open gives no object.
    fn not_a_file(&mut self, id: OpenId) {
        let Some(objects) = &mut self.objects else { return };
        if self.failed.is_none()
            && let Err(e) = objects.not_a_file(id)
        {
            self.failed = Some(e);
        }
    }

    /// An smb_files event.
    fn tell_file(&mut self, context: &Context, id: OpenId, action: SmbAction, before: Option<String>) {
        let Some(head) = self.head(context) else { return };
        let Some(open) = self.opens.get(&id) else { return };
        let file = &open.file;
        let path = self.sessions.tree(open.tree).map(|t| t.path.clone()).filter(|p| !p.is_empty());
        // A known pipe of a tree that was not seen is IPC$'s.
        let is_pipe = action == SmbAction::PipeOpen;
        let path = path.or_else(|| is_pipe.then(|| format!("\\\\{}\\IPC$", head.resp.ip)));
        let name = file.name.as_ref().map(|n| match &file.stream {
            Some(stream) => format!("{n}:{stream}"),
            None if n.is_empty() => String::from("<share_root>"),
            None => n.clone(),
        });
        let (size, times, session) = (file.size.unwrap_or(0), file.times, open.session.or(context.session));
        let account = self.sessions.account(session);
        let times = FileTimes::from_filetimes(times);
        let row = SmbFiles { head, fuid: None, action, path, name, size, prev_name: before, times, account };
        self.tell(Event::SmbFiles(Box::new(row)));
    }

    /// Bytes of a pipe.
    fn pipe(&mut self, context: &Context, id: OpenId, way: Way, bytes: &[u8]) {
        let (keys, reveal) = (self.keys.clone(), self.reveal_passwords);
        let Some(open) = self.opens.get_mut(&id) else { return };
        if !matches!(open.route, Route::Pipe(_)) {
            open.route = Route::Pipe(Box::new(Pipe::new(context.at)));
            self.not_a_file(id);
        }
        let Some(Open { route: Route::Pipe(pipe), .. }) = self.opens.get_mut(&id) else { return };
        let mut calls = std::mem::take(&mut self.calls);
        let before = pipe.held_bytes();
        let others = self.pipes_held.saturating_sub(before);
        let room = HELD_BYTES_MAX.saturating_sub(others);
        pipe.push(way, bytes, context.at, room, || association(&keys, reveal), &mut calls);
        self.pipes_held = others + pipe.held_bytes();
        self.tell_calls(context, id, &mut calls);
        self.calls = calls;
    }

    /// Bytes of a pipe were lost.
    fn pipe_lost(&mut self, context: &Context, id: OpenId, action: Action) {
        let mut calls = std::mem::take(&mut self.calls);
        if let Some(Open { route: Route::Pipe(pipe), .. }) = self.opens.get_mut(&id) {
            let before = pipe.held_bytes();
            pipe.lost(way_of(action), context.at, &mut calls);
            self.pipes_held = self.pipes_held.saturating_sub(before) + pipe.held_bytes();
        }
        self.tell_calls(context, id, &mut calls);
        self.calls = calls;
    }

    fn tell_calls(&mut self, context: &Context, id: OpenId, calls: &mut Vec<RpcEvent>) {
        if calls.is_empty() {
            return;
        }
        self.inside.add(context.connection, "dce_rpc");
        let Some(named) = self.ends.of(context.connection) else { return calls.clear() };
        let Some(open) = self.opens.get_mut(&id) else { return calls.clear() };
        let account = self.sessions.account(open.session.or(context.session));
        let Route::Pipe(pipe) = &mut open.route else { return calls.clear() };
        let name = open.file.name.as_ref().map(|n| format!("\\PIPE\\{n}"));
        let address = pipe.address.clone().or(name);
        let over = Over { head: &named.head, pipe: address.as_deref(), account };
        let mut told = Vec::new();
        for call in calls.drain(..) {
            events(call, &over, &mut pipe.logon, &self.sessions.tickets, &mut told);
        }
        told.into_iter().for_each(|e| self.tell(e));
    }

    fn closed(&mut self, context: &Context, id: OpenId, what: &What<'_>) {
        let mut calls = std::mem::take(&mut self.calls);
        let mut texts = None;
        if let Some(Open { route: Route::Pipe(pipe), .. }) = self.opens.get_mut(&id) {
            self.pipes_held = self.pipes_held.saturating_sub(pipe.held_bytes());
            texts = pipe.end(&mut calls);
        }
        self.tell_calls(context, id, &mut calls);
        self.calls = calls;
        let Some(open) = self.opens.remove(&id) else { return };
        match open.route {
            Route::Pipe(pipe) => {
                let Some([to_server, to_client]) = texts else { return };
                let Some(head) = self.head(context) else { return };
                let path = self.sessions.tree(open.tree).map(|t| t.path.clone()).filter(|p| !p.is_empty());
                let account = self.sessions.account(open.session.or(context.session));
                let kept = [to_server.len() as u64, to_client.len() as u64];
                let row = PipeStream {
                    head: head.at(pipe.began),
                    path,
                    name: open.file.name,
                    duration: between(pipe.began, pipe.last).unwrap_or(0.0),
                    orig_bytes: pipe.bytes[0],
                    resp_bytes: pipe.bytes[1],
                    orig_text: text(&to_server),
                    resp_text: text(&to_client),
                    truncated: kept != pipe.bytes,
                    account,
                };
                self.tell(Event::PipeStream(Box::new(row)));
            }
            // Without a byte only an answer with times, which pipes do not have, says that it is a file.
            Route::Unclear if open.file.times == [0; 4] => self.not_a_file(id),
            Route::Object | Route::Unclear => {
                self.form(context, what);
                self.drain_objects();
            }
        }
    }

    /// Counts something odd, of a connection whose head is told where it is wanted.
    pub(super) fn odd(&mut self, name: &'static str, bytes: u64, of: ConnectionId, head: impl FnOnce(&Self) -> Option<Head>) {
        let of = if self.oddities.is_new(of, name) { head(self).map(|head| (of, head)) } else { None };
        let told = self.oddities.odd(&mut self.totals, name, bytes, of);
        told.into_iter().for_each(|e| self.tell(e));
    }

    fn odd_smb(&mut self, context: &Context, name: &'static str, bytes: u64) {
        self.odd(name, bytes, context.connection, |findings| findings.head(context));
    }

    /// The server copied or zeroed a range.
    fn server_copy(&mut self, context: &Context, id: OpenId, from: Option<OpenId>, (offset, length): (u64, u64), fsctl: u32) {
        let Some(head) = self.head(context) else { return };
        let Some(open) = self.opens.get(&id) else { return };
        let row = ServerCopy {
            head,
            action: if fsctl == FSCTL_SET_ZERO_DATA { "zero" } else { "copy" },
            fsctl,
            path: self.sessions.tree(open.tree).map(|t| t.path.clone()).filter(|p| !p.is_empty()),
            name: open.file.name.clone(),
            source_name: from.and_then(|from| self.opens.get(&from)).and_then(|o| o.file.name.clone()),
            offset,
            length,
            account: self.sessions.account(open.session.or(context.session)),
        };
        self.tell(Event::ServerCopy(Box::new(row)));
    }

    /// Bytes of a READ or WRITE: whether they are a pipe's.
    fn data(&mut self, context: &Context, id: OpenId, action: Action, bytes: &[u8]) -> bool {
        let Some(open) = self.opens.get_mut(&id) else { return false };
        match open.route {
            Route::Object => return false,
            Route::Unclear if !looks_like_rpc(bytes) => {
                open.route = Route::Object;
                return false;
            }
            Route::Unclear | Route::Pipe(_) => {}
        }
        self.pipe(context, id, way_of(action), bytes);
        true
    }

    fn is_pipe(&self, id: OpenId) -> bool {
        matches!(self.opens.get(&id), Some(Open { route: Route::Pipe(_), .. }))
    }

    fn tree_connected(&mut self, context: &Context, what: &What<'_>) {
        self.ends.set_up(context.connection, context.at.time);
        let What::TreeConnected { path, kind, service, file_system } = what else { return };
        if let Some(id) = context.tree {
            self.sessions.add_tree(id, Tree { path: path.clone(), kind: *kind });
        }
        let Some(head) = self.head(context) else { return };
        let share_type = match kind {
            TreeKind::Disk => "DISK",
            TreeKind::Pipe => "PIPE",
            TreeKind::Print => "PRINT",
            TreeKind::Unknown => "UNKNOWN",
        };
        let account = self.sessions.account(context.session);
        self.tell(Event::SmbMapping(Box::new(SmbMapping {
            head,
            path: Some(path.clone()).filter(|p| !p.is_empty()),
            service: service.clone(),
            native_file_system: file_system.clone(),
            share_type,
            account,
        })));
    }

    fn listed(&mut self, context: &Context, open: Option<OpenId>, entries: &[(String, u64, u32, u64)]) {
        let Some(head) = self.head(context) else { return };
        let path = self.sessions.tree(context.tree).map(|t| t.path.clone()).filter(|p| !p.is_empty());
        let directory = open.and_then(|o| self.opens.get(&o)).and_then(|o| o.file.name.clone());
        let account = self.sessions.account(context.session);
        let shown = entries.iter().take(ENTRIES_MAX);
        let shown = shown.map(|(name, size, attributes, at)| DirEntry::new(name.clone(), *size, *attributes, *at)).collect();
        let left_out = entries.len().saturating_sub(ENTRIES_MAX) as u64;
        self.tell(Event::DirList(Box::new(DirList { head, path, directory, entries: shown, left_out, account })));
    }

    fn token(&mut self, context: &Context, way: Way, token: &[u8], status: Option<u32>) {
        self.inside.token(context.connection, token);
        let Some(session) = context.session else { return };
        let head = self.head(context);
        let told = self.sessions.token(session, context.connection, Said { way, token, status }, head);
        if let Some(server) = self.ends.of(context.connection).map(|n| n.server.ip)
            && let Some(pairs) = self.sessions.session(session).logon.ntlm.as_ref().and_then(|n| n.server.as_ref())
            && way == Way::ToClient
        {
            self.names.learn_ntlm(server, pairs, context.at.time);
        }
        told.into_iter().for_each(|e| self.tell(e));
    }
}

/// Whether an open of a tree that was not seen is told as a pipe: it has the name of one, and its answer no times, as pipes have none. What it is
/// its content says.
fn looks_like_pipe(file: &Opened) -> bool {
    let is_name = file.name.as_deref().is_some_and(|n| names::common_interface(n).is_some());
    is_name && file.times == [0; 4] && file.size.unwrap_or(0) == 0
}

fn way_of(action: Action) -> Way {
    match action {
        Action::Read => Way::ToClient,
        Action::Write => Way::ToServer,
    }
}

impl Listener for Findings<'_> {
    fn smb(&mut self, context: &Context, what: &What<'_>) {
        if self.stretches.is_some() {
            self.stretch(context, what);
        }
        match what {
            What::Data { open, action, operation, bytes, offset } => {
                if !self.data(context, *open, *action, bytes) {
                    self.form(context, what);
                    let to = offset.saturating_add(bytes.len() as u64);
                    let of = Of { open: *open, action: *action, operation: *operation, from: *offset, to };
                    let found = self.conflicts.data(of, bytes);
                    self.in_conflict(&found);
                }
            }
            What::Opened { open, file } => self.opened(context, *open, file),
            What::Pipe { open, way, bytes } => self.pipe(context, *open, *way, bytes),
            What::DataLost { open, action, .. } if self.is_pipe(*open) => self.pipe_lost(context, *open, *action),
            What::DataLost { open, .. }
            | What::ReadAsked { open, .. }
            | What::ReadDone { open, .. }
            | What::WriteDone { open, .. }
            | What::Size { open, .. }
            | What::ServerCopy { open, .. } => {
                if let What::ServerCopy { open, source, offset, length, fsctl } = what {
                    self.server_copy(context, *open, *source, (*offset, *length), *fsctl);
                }
                match self.opens.get(open) {
                    Some(Open { route: Route::Pipe(_), .. }) => {}
                    Some(_) => self.form(context, what),
                    // Of another channel, after the close.
                    None => self.form_late(context, *open, what),
                }
            }
            What::Renamed { open, to } => {
                let before = self.opens.get(open).and_then(|o| o.file.name.clone());
                if let Some(open) = self.opens.get_mut(open) {
                    open.file.name = Some(to.clone());
                }
                self.tell_file(context, *open, SmbAction::FileRename, before);
                self.form(context, what);
            }
            What::Deleted { open, .. } => {
                if let Some(open) = open {
                    self.tell_file(context, *open, SmbAction::FileDelete, None);
                }
                self.form(context, what);
            }
            What::Closed { open, .. } => self.closed(context, *open, what),
            What::Token { way, token, status } => self.token(context, *way, token, *status),
            What::PlainSetUp { user, domain, .. } => {
                if let Some(session) = context.session {
                    self.sessions.session(session).logon.plain(user, domain);
                }
            }
            What::SessionOpened { guest } => {
                self.ends.set_up(context.connection, context.at.time);
                if let Some(session) = context.session {
                    let told = self.sessions.opened(session, context.connection, *guest);
                    told.into_iter().for_each(|e| self.tell(e));
                }
            }
            What::TreeConnected { .. } => self.tree_connected(context, what),
            What::Listed { open, entries } => self.listed(context, *open, entries),
            What::Sealed { session, bytes, why } => {
                let place = (context.connection, context.at);
                self.oddities.sealed(&mut self.totals, (*session, *bytes, *why), place, &self.ends);
                self.form(context, what);
            }
            What::RequestsLost | What::Channel { .. } => self.form(context, what),
            What::Odd { name, bytes } => self.odd_smb(context, name, *bytes),
            What::Negotiated { .. }
            | What::SessionClosed
            | What::TreeDisconnected
            | What::OpenFailed { .. }
            | What::Command { .. } => {}
        }
    }

    fn session_key(&mut self, context: &Context, session: u64) -> Option<SessionKeys> {
        let known = context.session.map(|id| self.sessions.session(id));
        self.keys.of_smb(session, known)
    }
}
