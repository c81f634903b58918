//! Any bytes, as both directions of one DCE/RPC association: pieces, each behind a byte (bit 0: the server's; bit 1: bytes are missing before
//! it; bits 4-7: it is handed over in pieces of so many bytes) and its length in two bytes, little-endian.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taploop::flow::{PacketRef, Way};
use taploop::rpc::{Association, Limits};
use taploop::time::Timestamp;

/// Bytes of PDUs that are not complete, as `Association::held_bytes` promises.
const FRAMING_BYTES_MAX: usize = 256 << 10;

fuzz_target!(|data: &[u8]| {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let mut limits = Limits::default();
    if how & 1 != 0 {
        limits = Limits {
            stub_bytes_max: 100,
            held_bytes_max: 400,
            calls_max: 3,
            contexts_max: 3,
            binds_max: 2,
            handles_max: 2,
            ..limits
        };
    }
    limits.reveal_passwords = how & 2 != 0;
    let mut association = Association::new(limits);
    let mut told = Vec::new();
    let mut at = PacketRef::default();
    while let [how, low, high, tail @ ..] = rest {
        let (bytes, next) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(tail.len()));
        rest = next;
        at.number += 1;
        at.time = Timestamp::from_nanos(at.time.as_nanos() + 1_000_000);
        let way = if how & 1 == 0 { Way::ToServer } else { Way::ToClient };
        if how & 2 != 0 {
            association.lost(way, at, &mut told);
        }
        let piece = if how >> 4 == 0 { bytes.len().max(1) } else { usize::from(how >> 4) };
        for piece in bytes.chunks(piece) {
            association.push(way, piece, at, &mut told);
            assert!(association.held_bytes() <= FRAMING_BYTES_MAX + limits.held_bytes_max);
            told.clear();
        }
    }
    association.end(&mut told);
    assert!(association.held_bytes() <= FRAMING_BYTES_MAX, "nothing waits after the end");
});
