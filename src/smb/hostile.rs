//! What is held of hostile streams, against the limits. Each test drives whole streams, as they come out of TCP.

use super::limits::Limits;
use super::log::packet;
use super::streams::Smb;
use crate::flow::{Chunk, ConnectionId, Way};
use crate::smb::event::{Context, Listener, SessionKeys, What};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Counts what it is told.
#[derive(Default)]
struct Counts {
    odd: BTreeMap<&'static str, usize>,
    opened: usize,
    closed: usize,
}

impl Listener for Counts {
    fn smb(&mut self, _: &Context, what: &What<'_>) {
        match what {
            What::Odd { name, .. } => *self.odd.entry(name).or_default() += 1,
            What::Opened { .. } => self.opened += 1,
            What::Closed { .. } => self.closed += 1,
            _ => {}
        }
    }

    fn session_key(&mut self, _: &Context, _: u64) -> Option<SessionKeys> {
        None
    }
}

/// All connections, and the most that was held.
struct Streams {
    smb: Smb,
    limits: Limits,
    counts: Counts,
    number: u64,
    most: usize,
}

impl Streams {
    fn new(limits: Limits) -> Streams {
        Streams { smb: Smb::new(limits), limits, counts: Counts::default(), number: 0, most: 0 }
    }

    fn send(&mut self, connection: u64, way: Way, bytes: &[u8]) {
        self.number += 1;
        let chunk = Chunk { offset: 0, bytes, at: packet(self.number) };
        self.smb.data(ConnectionId(connection), way, SERVER, false, &chunk, &mut self.counts);
        self.most = self.most.max(self.smb.held_bytes());
        let bound = self.limits.held_bytes + self.limits.state_bytes;
        assert!(self.smb.held_bytes() <= bound, "{} bytes are held", self.smb.held_bytes());
    }

    fn finish(&mut self) {
        self.smb.finish(packet(self.number), &mut self.counts);
        assert_eq!(self.smb.held_bytes(), 0);
    }
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// A header of SMB2 and a body.
fn message(command: u16, mid: u64, response: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xfeSMB\x40\0\x01\0\0\0\0\0".to_vec();
    bytes.extend(command.to_le_bytes());
    bytes.extend([1, 0, u8::from(response), 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(mid.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 5, 0, 0, 0, 0x31, 0, 0, 0, 0, 0, 0, 0]);
    bytes.resize(64, 0);
    bytes.extend(body);
    bytes
}

fn create(mid: u64, name_bytes: u16) -> Vec<u8> {
    let mut body = vec![0; 56];
    body[44..46].copy_from_slice(&120u16.to_le_bytes());
    body[46..48].copy_from_slice(&name_bytes.to_le_bytes());
    body.resize(56 + usize::from(name_bytes), b'n');
    message(5, mid, false, &body)
}

fn created(mid: u64) -> Vec<u8> {
    let mut body = vec![0; 88];
    body[64..72].copy_from_slice(&mid.to_le_bytes());
    message(5, mid, true, &body)
}

/// A limit that a test reaches soon.
fn small() -> Limits {
    Limits { held_bytes: 1 << 20, state_bytes: 1 << 20, name_bytes: 1 << 20, ..Limits::default() }
}

#[test]
fn messages_that_never_end_hold_no_more_than_the_limit() {
    // In pieces of any size: a packet's place is held with its bytes.
    for piece in [1, 60, 1460] {
        let mut s = Streams::new(small());
        let begin = [&[0, 0xff, 0xff, 0xff][..], &message(5, 1, false, &[0; 56])].concat();
        for connection in 0..40 {
            s.send(connection, Way::ToServer, &begin);
            for _ in 0..(60_000 / piece) {
                s.send(connection, Way::ToServer, &vec![0; piece]);
            }
        }
        assert!(s.counts.odd["limit_held_bytes"] > 0 && s.most > s.limits.held_bytes / 2, "{:?} {}", s.counts.odd, s.most);
        s.finish();
    }
}

#[test]
fn a_stream_without_footing_holds_no_more_than_the_limit() {
    let mut s = Streams::new(Limits { footing_bytes: 100_000, ..small() });
    s.smb.gap(ConnectionId(1), Way::ToServer, SERVER, true, 10, packet(1), &mut s.counts);
    // Beginnings whose lengths lead nowhere.
    let bait = [&[0, 0xf0, 0, 0][..], &message(5, 1, false, &[0; 56])].concat();
    for _ in 0..20_000 {
        s.send(1, Way::ToServer, &bait[..bait.len() - 3]);
    }
    assert!(s.counts.odd["no_footing"] > 0);
    s.finish();
}

#[test]
fn a_hundred_thousand_requests_without_an_answer_are_given_up() {
    // Over many connections, each within what one may have; and with long names in one.
    for (connections, name) in [(1_000, 40), (1, 60_000)] {
        let mut s = Streams::new(small());
        for n in 0..100_000u64 {
            if name > 1_000 && n > 2_000 {
                break;
            }
            s.send(n % connections, Way::ToServer, &framed(&create(n, name)));
        }
        assert!(s.counts.odd["limit_state_bytes"] > 0 && s.most > s.limits.state_bytes / 2, "{:?} {}", s.counts.odd, s.most);
        s.finish();
    }
}

#[test]
fn a_hundred_thousand_opens_are_within_the_limits() {
    let mut s = Streams::new(Limits { opens: 50_000, ..small() });
    for n in 1..=100_000u64 {
        s.send(1, Way::ToServer, &framed(&create(n, 8)));
        s.send(1, Way::ToClient, &framed(&created(n)));
    }
    // Those beyond the limit are told, and gone at once.
    assert_eq!((s.counts.opened, s.counts.closed), (100_000, 50_000));
    assert!(s.most < 100_000, "nothing waits: {}", s.most);
    s.finish();
    assert_eq!(s.counts.closed, 100_000);
}

#[test]
fn endless_compounds_hold_one_message() {
    let mut s = Streams::new(small());
    let mut compound = Vec::new();
    for n in 0..5_000u64 {
        let mut part = message(13, n, false, &[4, 0, 0, 0, 0, 0, 0, 0]);
        let len = part.len() as u32;
        part[20..24].copy_from_slice(&len.to_le_bytes());
        compound.extend(part);
    }
    let bytes = framed(&compound);
    for _ in 0..10 {
        for piece in bytes.chunks(1460) {
            s.send(1, Way::ToServer, piece);
        }
    }
    s.finish();
}

/// SMB1's readers hold what they know of each connection.
#[test]
fn connections_of_smb1_hold_no_more_than_the_limit() {
    let mut s = Streams::new(small());
    for connection in 0..50 {
        for mid in 0..200u16 {
            // NT_CREATE_ANDX.
            let mut bytes = b"\xffSMB\xa2\0\0\0\0\x08\x01\xc0".to_vec();
            bytes.resize(24, 0);
            bytes.extend([1, 0, 0x34, 0x12, 1, 0]);
            bytes.extend(mid.to_le_bytes());
            bytes.extend([24, 0xff, 0, 0, 0, 0]);
            bytes.extend(600u16.to_le_bytes());
            bytes.resize(32 + 1 + 48, 0);
            bytes.extend(603u16.to_le_bytes());
            bytes.resize(bytes.len() + 603, b'n');
            s.send(connection, Way::ToServer, &framed(&bytes));
        }
    }
    assert!(s.counts.odd["limit_state_bytes"] > 0 && s.most > s.limits.state_bytes / 2, "{:?} {}", s.counts.odd, s.most);
    s.finish();
}
