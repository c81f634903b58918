//! The connections that carry SMB: each direction's bytes are cut into messages, and these go to the reader of their version.

use super::event::{Context, Listener, What};
use super::footing::Known;
use super::framing::{Framer, Sink};
use super::limits::Limits;
use super::netbios::{PREFIX_LEN, prefix};
use super::reader::{Carrier, Message, Shape};
use super::shared::Shared;
use super::smb1::Smb1;
use super::smb2::{COMPRESSED, ENCRYPTED, MAGIC, Smb2, Tools};
use crate::flow::{Chunk, ConnectionId, PacketRef, Way};
use std::collections::HashMap;
use std::net::IpAddr;

/// The first four bytes of SMB1.
const MAGIC_1: [u8; 4] = *b"\xffSMB";

/// Whether a stream carries SMB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognized {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// More bytes are needed.
    Unclear,
}

struct Connection {
    framers: [Framer; 2],
    versions: Versions,
    /// What is being streamed, a way, is of SMB1.
    one: [bool; 2],
}

/// The readers of one connection.
struct Versions {
    one: Option<Box<Smb1>>,
    two: Smb2,
}

impl Versions {
    /// Whether its sessions are known: those of SMB1 are of one connection alone.
    fn is_settled(&self) -> bool {
        self.one.is_some() || self.two.has_session()
    }

    /// Bytes that are kept.
    fn held_bytes(&self) -> usize {
        self.two.held_bytes() + self.one.as_ref().map_or(0, |one| one.held_bytes())
    }
}

/// All SMB of an analysis.
pub struct Smb {
    connections: HashMap<ConnectionId, Connection>,
    shared: Shared,
    /// Bytes that all framers keep, and all readers of connections.
    held: usize,
    /// Connections of which no session was seen yet.
    unsettled: usize,
    /// Bytes that readers of connections keep.
    kept: usize,
}

fn side(way: Way) -> usize {
    match way {
        Way::ToServer => 0,
        Way::ToClient => 1,
    }
}

/// What the framers of a connection tell goes on to the readers.
struct Reading<'a> {
    versions: &'a mut Versions,
    shared: &'a mut Shared,
    out: &'a mut dyn Listener,
    carrier: Carrier,
    /// What is being streamed is of SMB1.
    one: &'a mut bool,
}

impl Reading<'_> {
    /// Hands a message's part to the reader of SMB2.
    fn two(&mut self, at: PacketRef, what: impl FnOnce(&mut Smb2, &mut Tools<'_>)) {
        let Carrier { connection, way } = self.carrier;
        let mut tools = Tools { shared: self.shared, out: self.out, connection, way, at, encrypted: false, compressed: false };
        what(&mut self.versions.two, &mut tools);
    }

    fn context(&self, at: PacketRef) -> Context {
        let connection = self.carrier.connection;
        Context { connection, at, session: None, tree: None, encrypted: false, compressed: false }
    }

    /// Messages were lost.
    fn lost_messages(&mut self, at: PacketRef) {
        if self.carrier.way == Way::ToServer {
            self.two(at, Smb2::requests_lost);
        }
    }

    /// There is no room for what the connection keeps.
    fn give_up(&mut self, at: PacketRef) {
        let bytes = self.versions.held_bytes() as u64;
        self.out.smb(&self.context(at), &What::Odd { name: "limit_state_bytes", bytes });
        self.two(at, |two, tools| two.give_up(tools));
        if let Some(mut one) = self.versions.one.take() {
            one.end(self.carrier.connection, at, &mut self.shared.ids, self.out);
        }
    }

    fn is_one(&self, head: &[u8]) -> bool {
        match head.first_chunk::<4>() {
            Some(&MAGIC_1) => true,
            Some(&MAGIC | &ENCRYPTED | &COMPRESSED) => false,
            _ => self.versions.one.is_some(),
        }
    }
}

impl Sink for Reading<'_> {
    fn shape(&mut self, head: &[u8], total: u64) -> Shape {
        match head.first_chunk::<4>() {
            None if total < 4 => Shape::Pass,
            None => Shape::More(4),
            Some(&MAGIC) => self.versions.two.shape(head, total),
            Some(&ENCRYPTED | &COMPRESSED) => Shape::Whole,
            Some(&MAGIC_1) => self.versions.one.get_or_insert_with(|| Box::new(Smb1::new())).shape(&self.carrier, head, total),
            // A raw read's answer has no header.
            Some(_) => self.versions.one.as_ref().map_or(Shape::Foreign, |one| one.shape(&self.carrier, head, total)),
        }
    }

    fn message(&mut self, message: &Message<'_>) {
        if self.is_one(message.bytes) {
            let Some(one) = &mut self.versions.one else { return };
            return one.message(&self.carrier, message, &mut self.shared.ids, self.out);
        }
        match message.bytes.first_chunk::<4>() {
            None => {}
            Some(&ENCRYPTED) => self.two(message.at, |two, tools| two.encrypted(message, tools)),
            Some(&COMPRESSED) => self.two(message.at, |two, tools| two.compressed(message, tools)),
            _ => self.two(message.at, |two, tools| two.message(message, tools)),
        }
    }

    fn begin(&mut self, head: &Message<'_>, total: u64) {
        *self.one = self.is_one(head.bytes);
        if *self.one {
            let Some(one) = &mut self.versions.one else { return };
            one.begin(&self.carrier, head, total, &mut self.shared.ids, self.out);
        } else {
            self.two(head.at, |two, tools| two.begin(head, total, tools));
        }
    }

    fn body(&mut self, offset: u64, bytes: &[u8], at: PacketRef) {
        match &mut self.versions.one {
            Some(one) if *self.one => one.body(&self.carrier, offset, bytes, at, &mut self.shared.ids, self.out),
            _ => self.two(at, |two, tools| two.body(offset, bytes, tools)),
        }
    }

    fn lost(&mut self, offset: u64, length: u64, at: PacketRef) {
        match &mut self.versions.one {
            Some(one) if *self.one => one.lost(&self.carrier, offset, length, at, &mut self.shared.ids, self.out),
            _ => self.two(at, |two, tools| two.body_lost(offset, length, tools)),
        }
    }

    fn finish(&mut self, at: PacketRef) {
        match &mut self.versions.one {
            Some(one) if *self.one => one.finish(&self.carrier, at, &mut self.shared.ids, self.out),
            _ => self.two(at, |two, tools| two.finish(tools)),
        }
    }

    fn gap(&mut self, at: PacketRef) {
        if let Some(one) = &mut self.versions.one {
            one.gap(&self.carrier, &mut self.shared.ids, self.out);
        }
        self.two(at, |two, tools| two.gap(tools));
        self.lost_messages(at);
    }

    fn message_lost(&mut self, length: u64, at: PacketRef) {
        self.odd("message_with_a_gap", length, at);
        self.lost_messages(at);
    }

    fn skipped(&mut self, name: &'static str, bytes: u64, at: PacketRef) {
        self.odd(name, bytes, at);
        self.lost_messages(at);
    }

    fn odd(&mut self, name: &'static str, bytes: u64, at: PacketRef) {
        self.out.smb(&self.context(at), &What::Odd { name, bytes });
    }

    fn known(&self) -> Known {
        Known { sessions: self.versions.two.sessions().to_vec() }
    }
}

impl Smb {
    /// None yet.
    pub fn new(limits: Limits) -> Smb {
        Smb { connections: HashMap::new(), shared: Shared::new(limits), held: 0, kept: 0, unsettled: 0 }
    }

    /// Whether the first bytes of a direction are SMB's: its first message, or, where the start was not captured, one of the bytes'.
    pub fn recognize(bytes: &[u8], late_start: bool) -> Recognized {
        let is_magic = |m: &[u8]| matches!(m.first_chunk::<4>(), Some(&MAGIC | &MAGIC_1 | &ENCRYPTED | &COMPRESSED));
        if late_start {
            let mut places = memchr::memmem::find_iter(bytes, b"SMB").filter_map(|i| i.checked_sub(PREFIX_LEN + 1));
            let found = places.any(|i| bytes.get(i) == Some(&0) && is_magic(&bytes[i + PREFIX_LEN..]));
            return if found { Recognized::Yes } else { Recognized::Unclear };
        }
        match prefix(bytes) {
            None => Recognized::Unclear,
            // A session request of NetBIOS (RFC 1002 4.3.2), or its answer: two names of 34 bytes, or nothing, or an error or address.
            Some((0x81, 68) | (0x82, 0) | (0x83, 1) | (0x84, 6)) => Recognized::Yes,
            Some((0, _)) if bytes.len() < PREFIX_LEN + 4 => Recognized::Unclear,
            Some((0, _)) if is_magic(&bytes[PREFIX_LEN..]) => Recognized::Yes,
            Some(_) => Recognized::No,
        }
    }

    /// Takes the next bytes of a direction. `server` is the server's address; `late_start` that the connection's beginning was not seen.
    pub fn data(
        &mut self,
        connection: ConnectionId,
        way: Way,
        server: IpAddr,
        late_start: bool,
        chunk: &Chunk<'_>,
        out: &mut dyn Listener,
    ) {
        let footing_bytes = self.shared.limits.footing_bytes;
        self.with(connection, way, server, late_start, out, |framer, reading| framer.data(chunk, footing_bytes, reading));
    }

    /// Bytes of a direction are missing.
    #[expect(clippy::too_many_arguments, reason = "each is a plain fact of the connection")]
    pub fn gap(
        &mut self,
        connection: ConnectionId,
        way: Way,
        server: IpAddr,
        late_start: bool,
        length: u64,
        at: PacketRef,
        out: &mut dyn Listener,
    ) {
        self.with(connection, way, server, late_start, out, |framer, reading| framer.gap(length, at, reading));
    }

    fn with(
        &mut self,
        connection: ConnectionId,
        way: Way,
        server: IpAddr,
        late_start: bool,
        out: &mut dyn Listener,
        what: impl FnOnce(&mut Framer, &mut Reading<'_>),
    ) {
        let shared = &mut self.shared;
        let unsettled = &mut self.unsettled;
        let entry = self.connections.entry(connection).or_insert_with(|| {
            *unsettled += 1;
            Connection {
                framers: [Framer::new(late_start), Framer::new(late_start)],
                versions: Versions { one: None, two: Smb2::new(server, shared.server_at(server), late_start) },
                one: [false; 2],
            }
        });
        let was_settled = entry.versions.is_settled();
        let carrier = Carrier { connection, way };
        let one = &mut entry.one[side(way)];
        let mut reading = Reading { versions: &mut entry.versions, shared, out, carrier, one };
        let framer = &mut entry.framers[side(way)];
        self.held -= framer.held_bytes();
        self.kept -= reading.versions.held_bytes();
        what(framer, &mut reading);
        if self.held.saturating_add(framer.held_bytes()) > reading.shared.limits.held_bytes {
            framer.give_up(&mut reading);
        }
        self.held += framer.held_bytes();
        if self.kept.saturating_add(reading.versions.held_bytes()) > reading.shared.limits.state_bytes {
            reading.give_up(framer.at());
        }
        self.kept += reading.versions.held_bytes();
        match (was_settled, entry.versions.is_settled()) {
            (false, true) => self.unsettled -= 1,
            // Its state was given up.
            (true, false) => self.unsettled += 1,
            _ => {}
        }
    }

    /// Requests of a connection were read that may have been others: copies of their bytes differ.
    pub fn misread(&mut self, connection: ConnectionId, at: PacketRef, out: &mut dyn Listener) {
        let Some(entry) = self.connections.get_mut(&connection) else { return };
        let carrier = Carrier { connection, way: Way::ToServer };
        let one = &mut entry.one[0];
        Reading { versions: &mut entry.versions, shared: &mut self.shared, out, carrier, one }.lost_messages(at);
    }

    /// Whether there are connections of which no session was seen yet.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled > 0
    }

    /// Bytes that are kept of messages and connections: not more than the limits `held_bytes` and `state_bytes` together.
    pub fn held_bytes(&self) -> usize {
        self.held + self.kept
    }

    /// A connection is over.
    pub fn end(&mut self, connection: ConnectionId, at: PacketRef, out: &mut dyn Listener) {
        let Some(mut entry) = self.connections.remove(&connection) else { return };
        self.unsettled -= usize::from(!entry.versions.is_settled());
        let footing_bytes = self.shared.limits.footing_bytes;
        self.kept -= entry.versions.held_bytes();
        for way in [Way::ToServer, Way::ToClient] {
            let one = &mut entry.one[side(way)];
            let carrier = Carrier { connection, way };
            let mut reading = Reading { versions: &mut entry.versions, shared: &mut self.shared, out, carrier, one };
            self.held -= entry.framers[side(way)].held_bytes();
            entry.framers[side(way)].end(footing_bytes, &mut reading);
        }
        let carrier = Carrier { connection, way: Way::ToServer };
        let one = &mut entry.one[0];
        let mut reading = Reading { versions: &mut entry.versions, shared: &mut self.shared, out, carrier, one };
        reading.two(at, |two, tools| two.end(tools));
        if let Some(mut one) = entry.versions.one.take() {
            one.end(connection, at, &mut self.shared.ids, out);
        }
    }

    /// The capture is over: what is still open is told to be gone.
    pub fn finish(&mut self, at: PacketRef, out: &mut dyn Listener) {
        let mut open: Vec<ConnectionId> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for connection in open {
            self.end(connection, at, out);
        }
        for (session, file) in self.shared.drain() {
            let (session, tree) = (Some(session), file.tree);
            let connection = ConnectionId::default();
            let context = Context { connection, at, session, tree, encrypted: false, compressed: false };
            out.smb(&context, &What::Closed { open: file.id, status: None, by_close: false });
        }
    }
}
