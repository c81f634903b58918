//! Packets in, connections and their bytes out.

use super::connection::{Connection, Ended, Sent, Summary};
use super::facts::Seen;
use super::fragments::{Fragments, Outcome};
use super::handler::{Datagram, Handler, Interest};
use super::headers::{Located, Tcp, layers, plain};
use super::limits::Limits;
use super::roles::{tcp_way, udp_way};
use super::scene::{Current, Scene, Shared};
use super::table::{Entry, Slot, Table};
use super::terms::{ConnectionId, PacketRef, Way};
use crate::packet::LinkType;
use crate::time::Timestamp;
use crate::wire::protocol::{ICMP, ICMP6, TCP, UDP};
use crate::wire::{Decoded, Direction};
use std::collections::VecDeque;

/// How often datagrams that were in fragments may lie in each other.
const NESTING_MAX: usize = 3;

/// How many that are gone may be left to be woken, besides two a connection.
const WOKEN_MAX: usize = 4096;

/// A packet as it comes from a capture.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Which packet it is.
    pub at: PacketRef,
    /// Its link layer.
    pub link_type: LinkType,
    /// The captured bytes.
    pub data: &'a [u8],
    /// Its length on the wire, in bytes.
    pub original_length: u32,
}

/// A frame, or a datagram that was put together.
#[derive(Clone, Copy)]
struct Frame<'a> {
    input: Input<'a>,
    /// In which packet the bytes from an offset on came; empty where all came in one.
    pieces: &'a [(usize, PacketRef)],
    /// The tags of a datagram that was put together.
    vlan: Option<u32>,
}

/// The connections of a capture, or of several read in time order.
///
/// The same packets give the same calls, in the same order.
pub struct Flows {
    table: Table,
    shared: Shared,
    fragments: Fragments,
    /// Connections with something that waits, and when to look after them.
    to_wake: VecDeque<(Timestamp, Slot, ConnectionId)>,
    opened: u64,
    /// The last packet, and the latest time.
    at: PacketRef,
    now: Timestamp,
    decoded: Decoded,
    layers: Vec<Located>,
}

impl Flows {
    /// None yet.
    pub fn new(limits: Limits) -> Flows {
        Flows {
            table: Table::new(),
            shared: Shared::new(limits),
            fragments: Fragments::default(),
            to_wake: VecDeque::new(),
            opened: 0,
            at: PacketRef::default(),
            now: Timestamp::ZERO,
            decoded: Decoded::default(),
            layers: Vec::new(),
        }
    }

    /// How many connections are remembered.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no connection is remembered.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// What bytes that wait for earlier ones cost at the moment, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.waiting
    }

    /// How many bytes that were handed on are kept at the moment.
    pub fn kept_bytes(&self) -> usize {
        self.shared.kept
    }

    /// How many places calendar and waking list hold.
    #[cfg(test)]
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.table.planned(), self.to_wake.len())
    }

    /// Takes the next packet.
    #[inline]
    pub fn packet<H: Handler + ?Sized>(&mut self, input: &Input<'_>, handler: &mut H) {
        self.at = input.at;
        self.now = self.now.max(input.at.time);
        self.pass_time(handler);
        let frame = Frame { input: *input, pieces: &[], vlan: None };
        match plain(input.link_type, input.data, input.original_length) {
            Some(located) => {
                self.innermost(&frame, &located, None, handler);
            }
            None => self.any(&frame, None, NESTING_MAX, handler),
        }
    }

    /// The capture ends: tells what is left.
    pub fn end<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        for slot in self.table.all() {
            self.close(slot, Ended::CaptureEnd, handler);
        }
        self.to_wake.clear();
    }

    #[inline]
    fn pass_time<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        while self.to_wake.front().is_some_and(|w| w.0 <= self.now) {
            self.wake(handler);
        }
        while let Some(slot) = self.table.due(self.now, &self.shared.limits) {
            self.close(slot, Ended::Idle, handler);
        }
    }

    fn wake<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        let Some((_, slot, id)) = self.to_wake.pop_front() else { return };
        let at = PacketRef { time: self.now, ..self.at };
        let Some(entry) = self.table.entry(slot).filter(|e| e.connection.id == id) else { return };
        entry.to_be_woken = false;
        let Some(streams) = &mut entry.streams else { return };
        let mut scene = Scene {
            connection: &entry.connection,
            interest: &mut entry.interest,
            facts: &mut entry.facts,
            shared: &mut self.shared,
            handler,
            at,
        };
        streams.wake(&mut scene);
        if streams.is_pending() {
            entry.to_be_woken = true;
            self.to_wake.push_back((self.now.saturating_add(self.shared.limits.acknowledged_ns), slot, id));
        }
    }

    /// Drops those that are gone from the ones to be woken, where time stands still and they are many.
    fn forget_woken(&mut self) {
        if self.to_wake.len() > 2 * self.table.len() + WOKEN_MAX {
            let table = &mut self.table;
            self.to_wake.retain(|w| table.entry(w.1).is_some_and(|e| e.connection.id == w.2));
        }
    }

    /// A packet that is not of the commonest kind.
    fn any<H: Handler + ?Sized>(&mut self, frame: &Frame<'_>, tunnel: Option<ConnectionId>, nesting: usize, handler: &mut H) {
        let input = &frame.input;
        let mut found = std::mem::take(&mut self.layers);
        layers(input.link_type, input.data, input.original_length, &mut self.decoded, &mut found);
        if let (Some(vlan), Some(first)) = (frame.vlan, found.first_mut()) {
            first.key.vlan = vlan;
        }
        let mut tunnel = tunnel;
        if let Some((last, outer)) = found.split_last() {
            for layer in outer.iter().filter(|l| l.body.protocol == UDP && l.key.ports().is_some()) {
                tunnel = self.datagram(frame, layer, tunnel, true, handler).or(tunnel);
            }
            if last.body.part.is_some() {
                self.fragment(frame, last, tunnel, nesting, handler);
            } else {
                self.innermost(frame, last, tunnel, handler);
            }
        }
        self.layers = found;
    }

    #[cold]
    fn fragment<H: Handler + ?Sized>(
        &mut self,
        frame: &Frame<'_>,
        located: &Located,
        tunnel: Option<ConnectionId>,
        nesting: usize,
        handler: &mut H,
    ) {
        let input = &frame.input;
        let dropped = self.fragments.dropped;
        let outcome = self.fragments.add(input.data, located, input.at, &self.shared.limits);
        if self.fragments.dropped > dropped {
            self.shared.hit("fragments", handler);
        }
        match outcome {
            Outcome::Waits => {}
            Outcome::Dropped(why) => self.shared.hit(why, handler),
            Outcome::Whole(_) if nesting == 0 => self.shared.hit("nested_fragments", handler),
            Outcome::Whole(mut whole) => {
                // Inside of another datagram that came in pieces: the bytes are said to be of the packet that completed it.
                if !frame.pieces.is_empty() {
                    whole.pieces.clear();
                }
                let (link_type, original_length) = (whole.link_type, whole.original_length);
                let input = Input { at: input.at, link_type, data: &whole.data, original_length };
                let frame = Frame { input, pieces: &whole.pieces, vlan: Some(located.key.vlan) };
                self.any(&frame, tunnel, nesting - 1, handler);
            }
        }
    }

    #[inline]
    fn innermost<H: Handler + ?Sized>(
        &mut self,
        frame: &Frame<'_>,
        located: &Located,
        tunnel: Option<ConnectionId>,
        handler: &mut H,
    ) {
        match located.body.protocol {
            TCP => self.tcp(frame, located, tunnel, handler),
            UDP | ICMP | ICMP6 => {
                self.datagram(frame, located, tunnel, false, handler);
            }
            _ => {}
        }
    }

    /// The slot of the connection that a key belongs to, if it has not been idle for too long.
    #[inline]
    fn find<H: Handler + ?Sized>(&mut self, located: &Located, time: Timestamp, handler: &mut H) -> Option<Slot> {
        let slot = self.table.find(&located.key)?;
        let over = self.table.entry(slot)?.ends(&self.shared.limits) <= time;
        if over {
            self.close(slot, Ended::Idle, handler);
            return None;
        }
        Some(slot)
    }

    fn open<H: Handler + ?Sized>(
        &mut self,
        at: PacketRef,
        located: &Located,
        way: Way,
        late_start: bool,
        tunnel: Option<ConnectionId>,
        handler: &mut H,
    ) -> Option<Slot> {
        let key = located.key;
        let (a, b) = Connection::ends(&key)?;
        let client_is_a = (located.direction == Direction::AToB) == (way == Way::ToServer);
        let (client, server) = if client_is_a { (a, b) } else { (b, a) };
        while self.table.len() >= self.shared.limits.connections.max(1) {
            self.shared.hit("connections", handler);
            let first = self.table.first(&self.shared.limits)?;
            self.close(first, Ended::Limit, handler);
        }
        let id = ConnectionId(self.opened);
        self.opened += 1;
        let connection = Connection { id, key, protocol: located.body.protocol, client, server, first: at, late_start, tunnel };
        handler.opened(&connection);
        let entry = Entry::new(connection, client_is_a);
        Some(self.table.insert(entry, &self.shared.limits))
    }

    /// UDP and ICMP.
    fn datagram<H: Handler + ?Sized>(
        &mut self,
        frame: &Frame<'_>,
        located: &Located,
        tunnel: Option<ConnectionId>,
        carries: bool,
        handler: &mut H,
    ) -> Option<ConnectionId> {
        let at = frame.input.at;
        let body = &located.body;
        let is_udp = body.protocol == UDP;
        let header = body.bytes(frame.input.data).first_chunk::<8>()?;
        let slot = match self.find(located, at.time, handler) {
            Some(slot) => slot,
            None => {
                let (source, destination) =
                    (u16::from_be_bytes([header[0], header[1]]), u16::from_be_bytes([header[2], header[3]]));
                let way = if is_udp { udp_way(source, destination) } else { Way::ToServer };
                let slot = self.open(at, located, way, false, tunnel, handler)?;
                if way == Way::ToClient
                    && let Some(entry) = self.table.entry(slot)
                {
                    entry.facts.flipped();
                }
                slot
            }
        };
        let entry = self.table.entry(slot)?;
        entry.last = entry.last.max(at.time);
        let way = entry.way(located.direction);
        entry.facts.count(way, body.datagram_length);
        let said = if is_udp { usize::from(u16::from_be_bytes([header[4], header[5]])) } else { 0 };
        // Offload, and jumbograms (RFC 2675 4), leave 0.
        let length = if said < 8 { body.length } else { said.min(body.length) } - 8;
        let counted = if said < 8 { length } else { said - 8 };
        entry.facts.datagram(way, counted as u64, at.time, is_udp);
        if is_udp && !carries {
            let interest = entry.interest;
            if matches!(interest, None | Some(Interest::Undecided)) {
                entry.interest = Some(handler.wants(&entry.connection));
            }
            if entry.interest != Some(Interest::Unwanted) {
                let captured = body.bytes(frame.input.data).get(8..).unwrap_or_default();
                let bytes = captured.get(..length.min(captured.len())).unwrap_or_default();
                handler.datagram(&entry.connection, way, Datagram { bytes, cut: (length - bytes.len()) as u64, at });
            }
        }
        Some(entry.connection.id)
    }

    #[inline]
    fn tcp<H: Handler + ?Sized>(&mut self, frame: &Frame<'_>, located: &Located, tunnel: Option<ConnectionId>, handler: &mut H) {
        let input = &frame.input;
        let Some(tcp) = Tcp::of(input.data, &located.body) else {
            self.shared.hit("odd_tcp_header", handler);
            return;
        };
        let mut slot = self.find(located, input.at.time, handler);
        if tcp.flags.syn()
            && let Some(old) = slot
        {
            let begins = self.table.entry(old).is_some_and(|e| begins_anew(e, located, &tcp, input.at.time, &self.shared.limits));
            if begins {
                self.close(old, Ended::Reused, handler);
                slot = None;
            }
        }
        let slot = match slot {
            Some(slot) => slot,
            None => match self.open_tcp(frame, located, &tcp, tunnel, handler) {
                Some(slot) => slot,
                None => return,
            },
        };
        let Some(entry) = self.table.entry(slot) else { return };
        entry.last = entry.last.max(input.at.time);
        let way = entry.way(located.direction);
        entry.facts.count(way, located.body.datagram_length);
        let was_over = entry.facts.is_over();
        entry.facts.segment(
            way,
            &Seen {
                flags: tcp.flags,
                sequence: tcp.sequence,
                acknowledgement: tcp.acknowledgement,
                window: tcp.window,
                length: tcp.length,
                time: input.at.time,
            },
        );
        let is_over = entry.facts.is_over();
        let Some(streams) = &mut entry.streams else { return };
        let current = Current::new(input.data, located, &tcp, input.at, frame.pieces);
        let mut scene = Scene {
            connection: &entry.connection,
            interest: &mut entry.interest,
            facts: &mut entry.facts,
            shared: &mut self.shared,
            handler,
            at: input.at,
        };
        streams.segment(way, &current, &mut scene);
        if entry.connection.late_start && tcp.flags.syn() && !tcp.flags.ack() && streams.to_server.began_with(tcp.sequence) {
            entry.connection.late_start = false;
        }
        if !entry.to_be_woken && streams.is_pending() {
            entry.to_be_woken = true;
            let id = entry.connection.id;
            self.to_wake.push_back((self.now.saturating_add(self.shared.limits.acknowledged_ns), slot, id));
            self.forget_woken();
        }
        if is_over && !was_over {
            self.table.hasten(slot, &self.shared.limits);
        }
    }

    fn open_tcp<H: Handler + ?Sized>(
        &mut self,
        frame: &Frame<'_>,
        located: &Located,
        tcp: &Tcp,
        tunnel: Option<ConnectionId>,
        handler: &mut H,
    ) -> Option<Slot> {
        let ports = located.key.ports()?;
        let (source, destination) = if located.direction == Direction::AToB { ports } else { (ports.1, ports.0) };
        let is_first = tcp.flags.syn() && !tcp.flags.ack();
        let way = match (tcp.flags.syn(), tcp.flags.ack()) {
            (true, false) => Way::ToServer,
            (true, true) => Way::ToClient,
            _ => tcp_way(source, destination),
        };
        let slot = self.open(frame.input.at, located, way, !is_first, tunnel, handler)?;
        if way == Way::ToClient
            && let Some(entry) = self.table.entry(slot)
        {
            entry.facts.flipped();
        }
        Some(slot)
    }

    fn close<H: Handler + ?Sized>(&mut self, slot: Slot, ended: Ended, handler: &mut H) {
        let Some(mut entry) = self.table.remove(slot) else { return };
        let at = PacketRef { time: self.now, ..self.at };
        let mut told = [(0, 0, 0); 2];
        if let Some(streams) = &mut entry.streams {
            let mut scene = Scene {
                connection: &entry.connection,
                interest: &mut entry.interest,
                facts: &mut entry.facts,
                shared: &mut self.shared,
                handler,
                at,
            };
            streams.finish(&mut scene);
            told = [&streams.to_server, &streams.to_client].map(|s| (s.told.lost, s.told.late, s.told.stray));
        }
        let facts = &entry.facts;
        let protocol = entry.connection.protocol;
        let (client_bytes, server_bytes) = facts.sizes(protocol == TCP);
        let sent =
            |end: &super::facts::EndFacts, payload_bytes| Sent { packets: end.packets, ip_bytes: end.ip_bytes, payload_bytes };
        let over = matches!(ended, Ended::Idle) && protocol == TCP && facts.is_over();
        let summary = Summary {
            duration_ns: facts.last.since(entry.connection.first.time),
            last: entry.last,
            client: sent(&facts.client, client_bytes),
            server: sent(&facts.server, server_bytes),
            state: match protocol {
                TCP => facts.tcp_state(),
                UDP => facts.udp_state(),
                _ => "OTH",
            },
            history: entry.facts.history.clone(),
            missed_bytes: facts.missed_bytes,
            lost_bytes: told[0].0 + told[1].0,
            late_bytes: told[0].1 + told[1].1,
            stray_bytes: told[0].2 + told[1].2,
            ended: if over { Ended::Closed } else { ended },
        };
        handler.closed(&entry.connection, &summary);
    }
}

/// Whether a SYN begins a new connection between the ends of an old one.
fn begins_anew(entry: &mut Entry, located: &Located, tcp: &Tcp, time: Timestamp, limits: &Limits) -> bool {
    let way = entry.way(located.direction);
    let Some(streams) = &entry.streams else { return false };
    let (own, other) = match way {
        Way::ToServer => (&streams.to_server, &streams.to_client),
        Way::ToClient => (&streams.to_client, &streams.to_server),
    };
    let late = entry.facts.is_over() || time.since(entry.last) >= limits.reuse_ns;
    if own.began_with(tcp.sequence) {
        return false;
    }
    if own.is_unseen() {
        return late && !tcp.flags.ack();
    }
    if tcp.flags.ack() {
        // The answer to a SYN that did not fit.
        let answers = entry.odd_syn.is_some_and(|odd| odd.wrapping_add(1) == tcp.acknowledgement);
        return answers || entry.facts.is_over() && !other.began_with(tcp.acknowledgement.wrapping_sub(1));
    }
    let begins = late || other.is_unseen();
    if !begins {
        entry.odd_syn = Some(tcp.sequence);
    }
    begins
}
