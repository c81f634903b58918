//! Any bytes, as the packets of a capture. A byte (bit 0: small limits; bit 1: the bytes of connections are wanted only after some were
//! seen), then packets, each behind a byte: its high four bits say how long after the one before it came; without bit 3 it is a
//! packet of the link type in bits 0-2: two bytes of length, little-endian, one of bytes that were cut off, the bytes. With it, a TCP
//! segment, in bit 0 of the server: flags, sequence and acknowledgement number (two bytes each, relative to the direction's base), length of
//! its payload, in units of which bits 1-2 say the size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use taploop::flow::{
    Chunk, Connection, ConnectionId, Datagram, Flows, Handler, Input, Interest, Limits, Loss, PacketRef, Summary, Way,
};
use taploop::packet::LinkType;
use taploop::time::Timestamp;

/// Ethernet, raw IP, IPv4, IPv6, Linux cooked (both), loopback, PPP.
const LINKS: [u16; 8] = [1, 101, 228, 229, 113, 276, 0, 9];

/// The numbers that a direction's segments are relative to: near a wrap.
const BASES: [u32; 2] = [u32::MAX - 1_000, 5];

/// What holds for all that is told.
#[derive(Default)]
struct Checks {
    undecided: bool,
    /// The next offset of each direction.
    open: HashMap<ConnectionId, [u64; 2]>,
    opened: u64,
    closed: u64,
}

impl Checks {
    fn goes_on(&mut self, connection: &Connection, way: Way, offset: u64, length: u64) {
        let next = self.open.get_mut(&connection.id).expect("a connection is told before its bytes");
        let next = &mut next[usize::from(way == Way::ToClient)];
        assert_eq!(offset, *next, "bytes and gaps follow each other");
        *next += length;
    }
}

impl Handler for Checks {
    fn opened(&mut self, connection: &Connection) {
        self.opened += 1;
        assert!(self.open.insert(connection.id, [0; 2]).is_none());
        let _ = (connection.uid(), connection.community_id(), connection.vlans());
    }

    fn wants(&mut self, connection: &Connection) -> Interest {
        match self.open.get(&connection.id) {
            Some([a, b]) if self.undecided && a + b < 100 => Interest::Undecided,
            Some([a, _]) if self.undecided && a % 2 == 1 => Interest::Unwanted,
            _ => Interest::Wanted,
        }
    }

    fn data(&mut self, connection: &Connection, way: Way, chunk: Chunk<'_>) {
        assert!(!chunk.bytes.is_empty());
        self.goes_on(connection, way, chunk.offset, chunk.bytes.len() as u64);
    }

    fn gap(&mut self, connection: &Connection, way: Way, offset: u64, length: u64, _loss: Loss, _at: PacketRef) {
        assert!(length > 0);
        self.goes_on(connection, way, offset, length);
    }

    fn datagram(&mut self, connection: &Connection, _way: Way, _datagram: Datagram<'_>) {
        assert!(self.open.contains_key(&connection.id));
    }

    fn closed(&mut self, connection: &Connection, summary: &Summary) {
        self.closed += 1;
        assert!(self.open.remove(&connection.id).is_some());
        let _ = format!("{summary:?}");
    }
}

/// A segment of one connection, in IPv4, without checksums.
fn segment(side: usize, flags: u8, sequence: u16, acknowledgement: u16, payload: usize) -> Vec<u8> {
    let total = 40 + payload;
    let mut out = vec![0x45, 0, (total >> 8) as u8, total as u8, 0, 0, 0, 0, 64, 6, 0, 0];
    let (ends, ports) = ([[10, 0, 0, 1], [10, 0, 0, 2]], [40_000_u16, 445]);
    out.extend(ends[side]);
    out.extend(ends[1 - side]);
    out.extend(ports[side].to_be_bytes());
    out.extend(ports[1 - side].to_be_bytes());
    out.extend(BASES[side].wrapping_add(u32::from(sequence)).to_be_bytes());
    out.extend(BASES[1 - side].wrapping_add(u32::from(acknowledgement)).to_be_bytes());
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend((0..payload).map(|i| (sequence as u8).wrapping_add(i as u8)));
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let mut limits = Limits::default();
    if how & 1 != 0 {
        limits = Limits {
            connections: 4,
            stream_bytes: 2_000,
            waiting_bytes: 4_000,
            fragments: 2,
            fragment_bytes: 200,
            kept_bytes: 50,
            kept_bytes_all: 120,
            ..limits
        };
    }
    let mut flows = Flows::new(limits.clone());
    let mut checks = Checks { undecided: how & 2 != 0, ..Checks::default() };
    let mut at = PacketRef::default();
    while let [kind, tail @ ..] = rest {
        let (link, packet, cut);
        if kind & 8 == 0 {
            let [low, high, less, tail @ ..] = tail else { break };
            let (bytes, next) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()));
            rest = next;
            (link, packet, cut) = (LINKS[usize::from(kind & 7)], bytes.to_vec(), u32::from(*less));
        } else {
            let [flags, s0, s1, a0, a1, length, tail @ ..] = tail else { break };
            rest = tail;
            let (sequence, acknowledgement) = (u16::from_le_bytes([*s0, *s1]), u16::from_le_bytes([*a0, *a1]));
            let payload = usize::from(*length) << (kind & 6);
            (link, packet, cut) = (228, segment(usize::from(kind & 1), *flags, sequence, acknowledgement, payload), 0);
        }
        at.number += 1;
        // None, or 2 ms to 33 s.
        let later = if kind >> 4 == 0 { 0 } else { 1_000_000 << (kind >> 4) };
        at.time = Timestamp::from_nanos(at.time.as_nanos() + later);
        let original_length = packet.len() as u32 + cut;
        flows.packet(&Input { at, link_type: LinkType(link), data: &packet, original_length }, &mut checks);
        assert!(flows.len() <= limits.connections && flows.len() as u64 == checks.opened - checks.closed);
        assert!(flows.waiting_bytes() <= limits.waiting_bytes + limits.stream_bytes);
        assert!(flows.kept_bytes() <= limits.kept_bytes_all);
    }
    flows.end(&mut checks);
    assert!(checks.open.is_empty() && flows.is_empty());
    assert_eq!((flows.waiting_bytes(), flows.kept_bytes()), (0, 0));
});
