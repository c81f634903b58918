//! TCP over IPv4 in Ethernet taken apart into segments and written again as a pcap file, for tests that change how one conversation is
//! cut into packets.

use crate::make::{self, Made, Random, START};
use crate::plain;
use std::net::Ipv4Addr;
use std::path::Path;

const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: (Ipv4Addr, u16),
    pub(crate) to: (Ipv4Addr, u16),
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// The segments of a capture in which there is one TCP connection, in the file's order.
pub(crate) fn read(path: &Path) -> Vec<Segment> {
    let file = plain::read(path).unwrap();
    let mut all: Vec<Segment> = Vec::new();
    for p in &file.packets {
        let ip = &p.data[14..];
        assert!(p.link == 1 && p.data[12..14] == [8, 0] && ip[0] == 0x45 && ip[9] == 6, "IPv4 and TCP only");
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let tcp = &ip[20..total];
        let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        all.push(Segment {
            from: (address(12), port(0)),
            to: (address(16), port(2)),
            seq: word(4),
            ack: word(8),
            flags: tcp[13],
            payload: tcp[usize::from(tcp[12] >> 4) * 4..].to_vec(),
        });
    }
    let (a, b) = (all[0].from, all[0].to);
    assert!(all.iter().all(|s| (s.from, s.to) == (a, b) || (s.from, s.to) == (b, a)), "one connection");
    all
}

/// A frame with right checksums and without TCP options.
fn frame(s: &Segment) -> Vec<u8> {
    let mut tcp = make::tcp(s.from.1, s.to.1, s.seq, s.flags, &s.payload);
    tcp[8..12].copy_from_slice(&s.ack.to_be_bytes());
    let mut summed = [s.from.0.octets(), s.to.0.octets()].concat();
    summed.extend([0, 6]);
    summed.extend((tcp.len() as u16).to_be_bytes());
    summed.extend(&tcp);
    summed.resize(summed.len().next_multiple_of(2), 0);
    let mut sum: u32 = summed.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    tcp[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    make::ethernet_ip(&[], &make::ip(s.from.0.into(), s.to.0.into(), 6, &tcp))
}

/// The segments as a pcap file, 20 µs from one to the next.
pub(crate) fn write(segments: &[Segment]) -> Vec<u8> {
    let packets: Vec<Made> = segments.iter().enumerate().map(|(i, s)| Made::new(START + i as u64 * 20_000, frame(s))).collect();
    make::pcap(&packets)
}

/// The same, where a copy of one segment comes before it in which a byte of the payload differs: its checksum is wrong.
pub(crate) fn write_with_spoilt(segments: &[Segment], at: usize, byte: usize) -> Vec<u8> {
    let mut frames: Vec<Vec<u8>> = segments.iter().map(frame).collect();
    let mut spoilt = frames[at].clone();
    let payload = spoilt.len() - segments[at].payload.len();
    spoilt[payload + byte] ^= 0x55;
    frames.insert(at, spoilt);
    let packets: Vec<Made> =
        frames.into_iter().enumerate().map(|(i, frame)| Made::new(START + i as u64 * 20_000, frame)).collect();
    make::pcap(&packets)
}

/// The same bytes cut anew: what one side sends without a word of the other is joined and cut into pieces of random sizes,
/// `least` and less than `most` more.
pub(crate) fn recut(segments: &[Segment], random: &mut Random, least: usize, most: u64) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    let mut joined: Option<Segment> = None;
    for s in segments {
        let fits = joined.as_ref().is_some_and(|j| j.from == s.from && j.seq.wrapping_add(j.payload.len() as u32) == s.seq);
        if s.payload.is_empty() && s.flags & !(ACK | PSH) == 0 && joined.as_ref().is_some_and(|j| j.from != s.from) {
            // A bare acknowledgement in the middle of what the other side sends.
            out.push(s.clone());
        } else if fits && !s.payload.is_empty() {
            joined.as_mut().unwrap().payload.extend(&s.payload);
        } else {
            cut(joined.take(), random, least, most, &mut out);
            if s.payload.is_empty() {
                out.push(s.clone());
            } else {
                joined = Some(s.clone());
            }
        }
    }
    cut(joined, random, least, most, &mut out);
    out
}

fn cut(joined: Option<Segment>, random: &mut Random, least: usize, most: u64, out: &mut Vec<Segment>) {
    let Some(s) = joined else { return };
    let mut at = 0;
    while at < s.payload.len() {
        let end = s.payload.len().min(at + least + random.below(most) as usize);
        out.push(Segment { seq: s.seq.wrapping_add(at as u32), payload: s.payload[at..end].to_vec(), ..s.clone() });
        at = end;
    }
}

/// The bytes that one side sends, from its first one, and where the segment's begin in them.
pub(crate) fn stream(segments: &[Segment], from: (Ipv4Addr, u16)) -> (Vec<u8>, u32) {
    let syn = segments.iter().find(|s| s.from == from && s.flags & SYN != 0).unwrap();
    let first = syn.seq.wrapping_add(1);
    let mut bytes = Vec::new();
    for s in segments.iter().filter(|s| s.from == from && !s.payload.is_empty()) {
        let at = s.seq.wrapping_sub(first) as usize;
        bytes.resize(bytes.len().max(at + s.payload.len()), 0);
        bytes[at..at + s.payload.len()].copy_from_slice(&s.payload);
    }
    (bytes, first)
}

/// Two ends that talk: builds a connection's segments from messages.
pub(crate) struct Talk {
    ends: [(Ipv4Addr, u16); 2],
    next: [u32; 2],
    pub(crate) segments: Vec<Segment>,
}

impl Talk {
    /// The client's end first; with the handshake.
    pub(crate) fn new(client: (Ipv4Addr, u16), server: (Ipv4Addr, u16)) -> Self {
        let mut talk = Talk { ends: [client, server], next: [1_000, 70_000], segments: Vec::new() };
        talk.push(0, SYN, Vec::new());
        talk.push(1, SYN | ACK, Vec::new());
        talk.push(0, ACK, Vec::new());
        talk
    }

    fn push(&mut self, side: usize, flags: u8, payload: Vec<u8>) {
        let (seq, ack) = (self.next[side], if flags & ACK == 0 { 0 } else { self.next[1 - side] });
        let used = payload.len() as u32 + u32::from(flags & SYN != 0);
        self.next[side] = seq.wrapping_add(used);
        self.segments.push(Segment { from: self.ends[side], to: self.ends[1 - side], seq, ack, flags, payload });
    }

    /// Sends bytes in segments of at most 1,448, and acknowledges them.
    pub(crate) fn send(&mut self, side: usize, bytes: &[u8]) {
        for piece in bytes.chunks(1_448) {
            self.push(side, ACK | PSH, piece.to_vec());
        }
        self.push(1 - side, ACK, Vec::new());
    }
}
