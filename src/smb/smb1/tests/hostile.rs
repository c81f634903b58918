//! Hostile and random input: no panic, bounded memory.

use super::build::*;
use crate::flow::{ConnectionId, Way};
use crate::smb::reader::{Ids, Message};
use crate::smb::smb1::connection::Smb1;
use crate::smb::smb1::limits::{OPENS_MAX, PENDING_BYTES_MAX, PENDING_MAX, SESSIONS_MAX, TREES_MAX};
use proptest::prelude::*;

#[test]
fn requests_without_an_answer_are_bounded() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0);
    for i in 0..PENDING_MAX + 100 {
        t.client(read((i + 2) as u16, 7, 0, 1));
    }
    assert_eq!(t.log.events("Odd").iter().filter(|o| o.contains("smb1_pending_full")).count(), 100);
    // By their weight as well.
    let mut t = Talk::new();
    let name = "x".repeat(30_000);
    let count = PENDING_BYTES_MAX / 30_000 + 50;
    for i in 0..count {
        t.client(nt_create(i as u16, &name));
    }
    assert!(t.log.count("Odd") >= 50 && t.log.count("Odd") < 60, "{}", t.log.count("Odd"));
    // And so are those that share their ids.
    let mut t = Talk::new();
    for _ in 0..1000 {
        t.client(write(1, 7, 0, b"a"));
    }
    assert_eq!(t.log.count("WriteDone"), 1000 - 32);
}

#[test]
fn opens_sessions_and_trees_are_bounded() {
    let mut t = Talk::new();
    for i in 0..=u16::MAX {
        t.server(nt_created(1, i, 0));
    }
    assert_eq!(t.log.count("Closed"), 65_536 - OPENS_MAX);
    t.log = Log::default();
    t.end();
    assert_eq!(t.log.count("Closed"), OPENS_MAX);
    let mut t = Talk::new();
    for i in 0..5000 {
        t.client(Build::request(0x12, i).uid(i + 1).tid(i).block(&[], &[]));
    }
    assert_eq!(t.log.count("SessionOpened"), SESSIONS_MAX);
    assert!(t.log.said.iter().filter(|s| s.0.tree.is_some()).count() <= TREES_MAX);
}

#[test]
fn a_transaction_that_claims_much_holds_little() {
    let mut t = Talk::new();
    let words = W::default().b(0).w(0).d(u32::MAX).d(u32::MAX).d(0).d(0).d(0).d(0).d(0).d(0).b(0).w(2).0;
    t.client(Build::request(0xA0, 1).block(&words, &[]));
    for displacement in (0..u32::MAX - 70_000).step_by(1 << 26) {
        let words = W::default().z(3).d(u32::MAX).d(u32::MAX).d(0).d(0).d(0).d(4).d(71).d(displacement).b(0).0;
        t.client(Build::request(0xA1, 1).block(&words, b"abcd"));
    }
    assert!(t.log.events("Odd").iter().any(|o| o.contains("smb1_transaction_limit")));
}

/// Something that is nearly a message.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![
        4 => proptest::sample::select(vec![0x04u8, 0x0A, 0x0B, 0x1A, 0x1B, 0x1D, 0x1E, 0x20, 0x24, 0x25, 0x26, 0x2D, 0x2E, 0x2F, 0x32, 0x72, 0x73, 0x75, 0xA0, 0xA1, 0xA2]),
        1 => any::<u8>(),
    ];
    (
        command,
        any::<bool>(),
        0u16..3,
        0u16..3,
        0u8..32,
        proptest::collection::vec(any::<u8>(), 0..160),
        proptest::collection::vec(0u8..4, 0..60),
    )
        .prop_map(|(command, reply, tid, mid, words, tail, small)| {
            let build = if reply { Build::answer(command, mid) } else { Build::request(command, mid) };
            let mut bytes = build.tid(tid).done();
            bytes.push(words);
            // Small numbers make plausible fields.
            bytes.extend(small);
            bytes.extend(tail);
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_messages(messages in proptest::collection::vec((any::<bool>(), nearly(), 0u8..20), 1..60), piece in 1usize..100) {
        for pieces in [None, Some(piece)] {
            let mut t = Talk::new();
            t.pieces = pieces;
            for (client, bytes, gap) in &messages {
                let way = if *client { Way::ToServer } else { Way::ToClient };
                t.bytes(way, bytes);
                if *gap == 0 {
                    t.gap(way);
                }
            }
            t.end();
        }
    }

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), head in 0usize..300, total: u64) {
        let mut smb = Smb1::new();
        let (mut ids, mut log) = (Ids::default(), Log::default());
        for way in [Way::ToServer, Way::ToClient] {
            let carrier = carrier(way);
            let head = &bytes[..head.min(bytes.len())];
            smb.shape(&carrier, head, total);
            smb.begin(&carrier, &Message { bytes: head, at: packet(1), pieces: &[] }, total, &mut ids, &mut log);
            smb.body(&carrier, total, &bytes, packet(2), &mut ids, &mut log);
            smb.lost(&carrier, 3, total, packet(3), &mut ids, &mut log);
            smb.message(&carrier, &Message { bytes: &bytes, at: packet(4), pieces: &[] }, &mut ids, &mut log);
        }
        smb.end(ConnectionId(1), packet(5), &mut ids, &mut log);
    }

    /// However a read is cut into pieces and holes, told and lost bytes make up its content, in order and without overlap.
    #[test]
    fn told_and_lost_make_the_whole(cuts in proptest::collection::vec((1usize..40, any::<bool>()), 0..20)) {
        let content: Vec<u8> = (0..200).collect();
        let mut t = Talk::new();
        t.tree(false).open(1, "a", 7, 200).client(read(2, 7, 0, 200));
        let bytes = given(2, &content).done();
        let way = carrier(Way::ToClient);
        t.smb.begin(&way, &Message { bytes: &bytes[..60], at: packet(9), pieces: &[] }, bytes.len() as u64, &mut t.ids, &mut t.log);
        let mut at = 60;
        let mut lost = 0;
        for (length, is_lost) in cuts {
            let to = (at + length).min(bytes.len());
            if is_lost {
                lost += to - at;
                t.smb.lost(&way, at as u64, (to - at) as u64, packet(9), &mut t.ids, &mut t.log);
            } else {
                t.smb.body(&way, at as u64, &bytes[at..to], packet(9), &mut t.ids, &mut t.log);
            }
            at = to;
        }
        lost += bytes.len() - at;
        t.smb.finish(&way, packet(10), &mut t.ids, &mut t.log);
        let read = t.log.read.values().next().cloned().unwrap_or_default();
        prop_assert_eq!(read.seen.iter().filter(|s| **s).count(), 200 - lost);
        prop_assert!(read.seen.iter().zip(&read.bytes).zip(&content).all(|((seen, b), c)| !seen || b == c));
        let told: usize = t.log.events("DataLost").iter().map(|e| e.rsplit(": ").next().unwrap().trim_end_matches(" }").parse::<usize>().unwrap()).sum();
        prop_assert_eq!(told, lost);
    }
}
