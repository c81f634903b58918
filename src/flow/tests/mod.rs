//! Whole connections: packets made by hand, at random, and of the corpus.

use super::terms::{Chunk, ConnectionId, Loss, PacketRef, Way};
use super::{Conflict, Connection, Datagram, Flows, Handler, Input, Interest, Limits, Summary};
use crate::packet::LinkType;
use crate::time::Timestamp;
use std::collections::BTreeMap;

mod conn_log;
mod connections;
mod datagrams;
mod disorder;
mod hostile;
mod streams;

/// Way, offset, bytes, whether they were delivered, whether the first copy was kept; whether first and other are valid.
type Conflicting = (Way, u64, Vec<u8>, bool, bool, Option<bool>, Option<bool>);

/// All that was told.
#[derive(Default)]
struct Log {
    /// Bytes of each direction, `None` where they are lost.
    streams: BTreeMap<(u64, bool), Vec<Option<u8>>>,
    /// In the order of telling: way, offset, length, loss, packet.
    order: Vec<(Way, u64, u64, Option<Loss>, u64)>,
    conflicts: Vec<Conflicting>,
    datagrams: Vec<(Way, Vec<u8>, u64)>,
    opened: Vec<Connection>,
    closed: Vec<(Connection, Summary)>,
    limits: BTreeMap<&'static str, u64>,
    interest: Option<Interest>,
    asked: u64,
    /// Streams are not kept.
    forgetful: bool,
}

impl Log {
    fn add(&mut self, c: &Connection, way: Way, offset: u64, bytes: impl ExactSizeIterator<Item = Option<u8>>) {
        let stream = self.streams.entry((c.id.0, way == Way::ToServer)).or_default();
        if !self.forgetful {
            assert_eq!(stream.len() as u64, offset, "{way:?}");
            assert!(bytes.len() > 0);
            stream.extend(bytes);
        }
    }

    fn text(&self, connection: u64, way: Way) -> String {
        let none = Vec::new();
        let stream = self.streams.get(&(connection, way == Way::ToServer)).unwrap_or(&none);
        stream.iter().map(|b| b.map_or('_', char::from)).collect()
    }
}

impl Handler for Log {
    fn opened(&mut self, c: &Connection) {
        self.opened.push(*c);
    }

    fn wants(&mut self, _: &Connection) -> Interest {
        self.asked += 1;
        self.interest.unwrap_or(Interest::Wanted)
    }

    fn data(&mut self, c: &Connection, way: Way, chunk: Chunk<'_>) {
        self.order.push((way, chunk.offset, chunk.bytes.len() as u64, None, chunk.at.number));
        self.add(c, way, chunk.offset, chunk.bytes.iter().map(|b| Some(*b)));
    }

    fn gap(&mut self, c: &Connection, way: Way, offset: u64, length: u64, loss: Loss, at: PacketRef) {
        self.order.push((way, offset, length, Some(loss), at.number));
        if !self.forgetful {
            self.add(c, way, offset, vec![None; length as usize].into_iter());
        }
    }

    fn conflict(&mut self, _: &Connection, way: Way, c: Conflict<'_>) {
        self.conflicts.push((way, c.offset, c.bytes.to_vec(), c.was_delivered, c.first_kept, c.first_valid, c.other_valid));
    }

    fn datagram(&mut self, _: &Connection, way: Way, d: Datagram<'_>) {
        self.datagrams.push((way, d.bytes.to_vec(), d.cut));
    }

    fn closed(&mut self, c: &Connection, s: &Summary) {
        self.closed.push((*c, s.clone()));
    }

    fn limit(&mut self, name: &'static str, count: u64) {
        self.limits.insert(name, count);
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Sequence numbers of the first bytes.
const CLIENT: u32 = 1000;
const SERVER: u32 = 5000;

/// A connection's packets, as raw IPv4, from 10.0.0.1:40000 to 10.0.0.2:445.
struct Wire {
    flows: Flows,
    log: Log,
    number: u64,
    ms: u64,
    client_port: u16,
    snap: usize,
}

impl Wire {
    fn new() -> Wire {
        Wire::with(Limits::default())
    }

    fn with(limits: Limits) -> Wire {
        Wire { flows: Flows::new(limits), log: Log::default(), number: 0, ms: 1_000_000, client_port: 40_000, snap: usize::MAX }
    }

    /// A packet now, of a link type.
    fn raw(&mut self, link_type: u16, data: &[u8], original_length: usize) {
        self.number += 1;
        let at = PacketRef { time: Timestamp::from_nanos(self.ms * 1_000_000), number: self.number, source: 0, position: 0 };
        let input = Input { at, link_type: LinkType(link_type), data, original_length: original_length as u32 };
        self.flows.packet(&input, &mut self.log);
    }

    fn tcp(&mut self, way: Way, flags: u8, sequence: u32, ack: u32, payload: &[u8]) {
        let packet = tcp4(way, self.client_port, flags, sequence, ack, payload);
        self.raw(228, &packet[..packet.len().min(self.snap)], packet.len());
    }

    /// A SYN, its answer, and the answer to that.
    fn open(&mut self) {
        self.tcp(Way::ToServer, SYN, CLIENT - 1, 0, b"");
        self.tcp(Way::ToClient, SYN | ACK, SERVER - 1, CLIENT, b"");
        self.tcp(Way::ToServer, ACK, CLIENT, SERVER, b"");
    }

    /// Bytes of the client at an offset, acknowledging the server's up to an offset.
    fn client(&mut self, offset: u32, bytes: &[u8], acked: u32) {
        self.tcp(Way::ToServer, ACK, CLIENT.wrapping_add(offset), SERVER.wrapping_add(acked), bytes);
    }

    fn server(&mut self, offset: u32, bytes: &[u8], acked: u32) {
        self.tcp(Way::ToClient, ACK, SERVER.wrapping_add(offset), CLIENT.wrapping_add(acked), bytes);
    }

    fn end(&mut self) -> &Log {
        self.flows.end(&mut self.log);
        &self.log
    }
}

fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u32 = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ip4(way: Way, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let (from, to) = if way == Way::ToServer { (1, 2) } else { (2, 1) };
    let mut v = vec![0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
    v[2..4].copy_from_slice(&length.to_be_bytes());
    v.extend(payload);
    v
}

fn tcp4(way: Way, client_port: u16, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if way == Way::ToServer { (client_port, 445_u16) } else { (445, client_port) };
    let ack = if flags & ACK != 0 { ack } else { 0 };
    let mut t = [&source.to_be_bytes()[..], &destination.to_be_bytes(), &sequence.to_be_bytes(), &ack.to_be_bytes()].concat();
    t.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    t.extend(payload);
    let mut v = ip4(way, 6, &t);
    let sum = checksum(&[&v[12..20], &[0, 6], &(t.len() as u16).to_be_bytes(), &t]);
    v[36..38].copy_from_slice(&sum.to_be_bytes());
    v
}

fn udp4(way: Way, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut u = [source.to_be_bytes(), destination.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    u.extend(payload);
    ip4(way, 17, &u)
}

#[test]
fn connections_are_numbered_from_0() {
    let mut w = Wire::new();
    w.open();
    assert_eq!(w.log.opened[0].id, ConnectionId(0));
    assert_eq!(w.log.opened[0].client.port, 40_000);
}
