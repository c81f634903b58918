//! Any bytes, as both directions of connections that carry SMB. A byte (bit 0: small limits; bit 1: late start; bit 2: keys are given), then
//! pieces, each behind a byte (bit 0: the server's; bit 1: its length is that of a gap, and no bytes follow; bit 2: it is a message, whose
//! NetBIOS header is made for it; bit 3: of a second connection to the same server; bits 4-7: it is handed over in pieces of so many bytes)
//! and its length in two bytes, little-endian.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use taploop::flow::{Chunk, ConnectionId, PacketRef, Way};
use taploop::smb::event::{Context, Listener, OpenId, OperationId, SessionKeys, What};
use taploop::smb::{Limits, Smb};
use taploop::time::Timestamp;

/// Commands of one AndX chain that are read.
const CHAIN_MAX: u64 = 32;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Checks what is told.
#[derive(Default)]
struct Checks {
    gives_keys: bool,
    opened: HashSet<OpenId>,
    /// Where an operation's bytes went on.
    next: HashMap<OperationId, u64>,
    /// Bytes told of files and pipes, but for compressed ones, of which one can stand for many.
    told_bytes: u64,
    /// Bytes that came.
    given_bytes: u64,
}

impl Checks {
    fn bytes(&mut self, operation: OperationId, offset: u64, length: u64) {
        let next = self.next.entry(operation).or_insert(offset);
        assert!(offset >= *next, "an operation's bytes come in order");
        *next = offset.saturating_add(length);
    }
}

impl Listener for Checks {
    fn smb(&mut self, context: &Context, what: &What<'_>) {
        let _ = format!("{what:?}");
        match what {
            What::Opened { open, .. } => {
                self.opened.insert(*open);
            }
            What::Data { open, operation, offset, bytes, .. } => {
                assert!(self.opened.contains(open), "an open is told before its bytes");
                self.bytes(*operation, *offset, bytes.len() as u64);
                self.told_bytes += if context.compressed { 0 } else { bytes.len() as u64 };
            }
            What::DataLost { open, operation, offset, length, .. } => {
                assert!(self.opened.contains(open), "an open is told before its bytes");
                self.bytes(*operation, *offset, *length);
            }
            What::Pipe { open, bytes, .. } => {
                assert!(self.opened.contains(open), "an open is told before its bytes");
                self.told_bytes += if context.compressed { 0 } else { bytes.len() as u64 };
            }
            What::ReadAsked { open, .. }
            | What::ReadDone { open, .. }
            | What::WriteDone { open, .. }
            | What::Size { open, .. }
            | What::Renamed { open, .. }
            | What::ServerCopy { open, .. }
            | What::Closed { open, .. } => assert!(self.opened.contains(open), "an open is told before anything of it: {what:?}"),
            _ => {}
        }
    }

    fn session_key(&mut self, _context: &Context, session: u64) -> Option<SessionKeys> {
        self.gives_keys.then(|| SessionKeys::Session(vec![session as u8; 16]))
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let limits = if how & 1 == 0 {
        Limits::default()
    } else {
        Limits {
            servers: 2,
            sessions: 2,
            opens: 3,
            name_bytes: 100,
            trees: 2,
            trees_in_all: 3,
            pending: 4,
            footing_bytes: 2_000,
            held_bytes: 10_000,
            state_bytes: 2_000,
        }
    };
    let late_start = how & 2 != 0;
    let mut smb = Smb::new(limits);
    let mut checks = Checks { gives_keys: how & 4 != 0, ..Checks::default() };
    let mut offsets = HashMap::<(ConnectionId, Way), u64>::new();
    let mut at = PacketRef::default();
    while let [how, low, high, tail @ ..] = rest {
        let length = u16::from_le_bytes([*low, *high]);
        at.number += 1;
        at.time = Timestamp::from_nanos(at.time.as_nanos() + 1_000_000);
        let way = if how & 1 == 0 { Way::ToServer } else { Way::ToClient };
        let connection = ConnectionId(u64::from(how >> 3 & 1));
        let offset = offsets.entry((connection, way)).or_insert(0);
        if how & 2 != 0 {
            rest = tail;
            smb.gap(connection, way, SERVER, late_start, u64::from(length), at, &mut checks);
            *offset += u64::from(length);
            continue;
        }
        let (bytes, next) = tail.split_at(usize::from(length).min(tail.len()));
        rest = next;
        let mut bytes = bytes.to_vec();
        if how & 4 != 0 {
            bytes.splice(0..0, (bytes.len() as u32).to_be_bytes());
        }
        let _ = Smb::recognize(&bytes, late_start);
        let piece = if how >> 4 == 0 { bytes.len().max(1) } else { usize::from(how >> 4) };
        for bytes in bytes.chunks(piece) {
            smb.data(connection, way, SERVER, late_start, &Chunk { offset: *offset, bytes, at }, &mut checks);
            *offset += bytes.len() as u64;
            checks.given_bytes += bytes.len() as u64;
            assert!(smb.held_bytes() <= limits.held_bytes + limits.state_bytes, "{} bytes are held", smb.held_bytes());
        }
    }
    smb.finish(at, &mut checks);
    assert_eq!(smb.held_bytes(), 0, "nothing is held of connections that are over");
    // The commands of an AndX chain of SMB1 may all point at the same bytes.
    assert!(checks.told_bytes <= CHAIN_MAX * checks.given_bytes, "{} of {} bytes", checks.told_bytes, checks.given_bytes);
});
