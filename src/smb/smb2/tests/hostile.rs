//! Hostile, cut and random input: no panic, nothing that the whole does not say, bounded memory.

use super::build::*;
use crate::flow::Way;
use crate::smb::limits::Limits;
use crate::smb::shared::Shared;
use proptest::prelude::*;

fn with(limits: Limits) -> Talk {
    let mut t = Talk::new();
    t.shared = Shared::new(limits);
    t
}

/// Conversations that use every command, as their messages.
fn conversations() -> Vec<Vec<(Way, Vec<u8>)>> {
    let related = |b: Build| b.related().session(u64::MAX).tree(u32::MAX);
    let mut all = Vec::new();
    let mut keep = |what: &dyn Fn(&mut Talk)| {
        let mut t = Talk::new();
        what(&mut t);
        all.push(t.sent);
    };
    keep(&|t| {
        t.client(negotiate(0, &[0x0202, 0x0311])).server(negotiated(0, 0x0311, [7; 16]));
        t.client(set_up(1, 0, b"one").session(0)).server(set_up_answer(1, b"two").status(0xC000_0016));
        t.client(set_up(2, 0, b"three")).server(set_up_answer(2, b"four"));
        t.client(tree_connect(3, "\\\\S\\D")).server(tree_connected(3, 1));
        t.client(Build::ask(4, 5, bare())).server(Build::answer(4, 5, bare()));
        t.client(Build::ask(2, 6, bare())).server(Build::answer(2, 6, bare()));
    });
    keep(&|t| {
        let context = contexts(&[(b"MxAc", b""), (b"DHnQ", &[0; 16])]);
        t.client(create_with(3, "d\\a:s", 0x1040, &context)).server(created(3, id(1, 2), 9));
        t.client(read(4, id(1, 2), 0, 9)).server(given(4, b"123456789"));
        t.client(write(5, id(1, 2), 3, b"abcdefghi")).server(wrote(5, 9));
        t.client(close(6, id(1, 2))).server(closed(6, 12));
    });
    keep(&|t| {
        t.client(compound(vec![create(3, "c"), related(write(4, SAME, 0, b"AAAA")), related(close(5, SAME))]));
        t.server(compound(vec![created(3, id(1, 1), 0), wrote(4, 4).related(), closed(5, 4).related()]));
        t.client(create(6, "later")).server(interim(5, 6, 9)).server(created(6, id(1, 1), 4).later(9));
    });
    keep(&|t| {
        t.open(3, "a", id(1, 1), 0);
        let name = wide("new");
        t.client(set_info(4, id(1, 1), 10, &w().q(0).q(0).d(name.len() as u32).s(&name).0)).server(was_set(4));
        t.client(set_info(5, id(1, 1), 13, &[1])).server(was_set(5));
        t.client(set_info(6, id(1, 1), 20, &w().q(5).0)).server(was_set(6));
        t.client(query_info(7, id(1, 1), 5)).server(buffer(16, 7, &w().q(4096).q(11).q(0).0));
        let entry = w().d(0).d(0).q(1).q(2).q(3).q(4).q(9).q(4096).d(0x20).d(2).s(&wide("x")).0;
        t.client(query_directory(8, id(1, 1), 1)).server(buffer(14, 8, &entry));
    });
    keep(&|t| {
        t.start(true).open(3, "atsvc", id(1, 1), 0);
        t.client(ioctl(4, id(1, 1), 0x0011_C017, b"more")).server(ioctl_answer(4, id(1, 1), 0x0011_C017, b"given"));
        t.client(ioctl(5, id(1, 1), 0x0014_0078, b"")).server(ioctl_answer(5, id(1, 1), 0x0014_0078, &[b'K'; 32]));
        let chunks = w().s(&[b'K'; 24]).d(1).d(0).q(0).q(0).d(5).d(0).0;
        t.client(ioctl(6, id(1, 1), 0x0014_40F2, &chunks)).server(ioctl_answer(6, id(1, 1), 0x0014_40F2, &[1; 12]));
        t.client(ioctl(7, id(1, 1), 0x0009_80C8, &w().q(4).q(8).0)).server(ioctl_answer(7, id(1, 1), 0x0009_80C8, b""));
    });
    all
}

/// What is told of a message after those before it.
fn told(before: &[(Way, Vec<u8>)], way: Way, bytes: &[u8], pieces: Option<usize>, after: &[(Way, Vec<u8>)]) -> Vec<String> {
    let mut t = Talk::new();
    for (way, bytes) in before {
        t.bytes(*way, bytes);
    }
    let from = t.log.said.len();
    t.pieces = pieces;
    t.bytes(way, bytes);
    let told = t.log.said[from..].iter().map(|s| s.1.clone()).filter(|s| !s.starts_with("Odd")).collect();
    for (way, bytes) in after {
        t.bytes(*way, bytes);
    }
    t.end();
    told
}

#[test]
fn every_prefix_of_every_message_tells_nothing_that_the_whole_does_not() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for messages in conversations() {
        for (i, (way, bytes)) in messages.iter().enumerate() {
            // The same pieces begin at the same places.
            let whole = [None, Some(3)].map(|pieces| told(&messages[..i], *way, bytes, pieces, &[])).concat();
            for cut in 0..bytes.len() {
                for pieces in [None, Some(3)] {
                    for said in told(&messages[..i], *way, &bytes[..cut], pieces, &messages[i + 1..]) {
                        // Of bytes and of lists the first ones; that it is not known how much was written is less than how much.
                        let begin = match said.find("bytes: [").or(said.find("token: [")).or(said.find("entries: [")) {
                            Some(at) => &said[..at + said[at..].find(']').unwrap()],
                            None => said.strip_suffix("written: None }").unwrap_or(&said),
                        };
                        // A message that is cut is one that is lost.
                        if said != "RequestsLost" && !whole.iter().any(|w| w.starts_with(begin)) {
                            wrong.push(format!("{cut} of message {i}: {said}, whole: {whole:?}"));
                        }
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn requests_without_an_answer_are_bounded() {
    let mut t = with(Limits { pending: 100, ..Limits::default() });
    t.start(false).open(3, "a", id(1, 1), 0);
    for mid in 10..1_010 {
        t.client(write(mid, id(1, 1), 0, b"x"));
    }
    assert_eq!(t.log.count("WriteDone"), 900);
    assert!(t.log.events("WriteDone").iter().all(|w| w.ends_with("written: None }")));
}

#[test]
fn opens_names_and_trees_are_bounded() {
    let mut t = with(Limits { opens: 100, ..Limits::default() });
    t.start(false);
    for n in 0..300 {
        t.server(created(n, id(n, n), 0));
    }
    // Each is told; those that there is no room for are gone at once.
    assert_eq!((t.log.count("Opened"), t.log.count("Closed")), (300, 200));
    t.client(write(999, id(9_999, 1), 0, b"x"));
    assert_eq!(t.log.events("Odd").len(), 1);
    // By the bytes of their names, which a CLOSE gives back, and a rename changes.
    let mut t = with(Limits { name_bytes: 1_000, ..Limits::default() });
    t.start(false);
    for n in 10..30 {
        t.open(n, &"n".repeat(100), id(n, n), 0);
    }
    assert_eq!(t.log.count("Closed"), 10);
    let name = wide(&"m".repeat(300));
    t.client(set_info(40, id(10, 10), 10, &w().q(0).q(0).d(name.len() as u32).s(&name).0)).server(was_set(40));
    for n in 10..14 {
        t.client(close(50 + n, id(n, n))).server(closed(50 + n, 0));
    }
    for n in 70..80 {
        t.open(n, &"n".repeat(100), id(n, n), 0);
    }
    assert_eq!(t.log.count("Closed"), 10 + 4 + 6);
    let mut t = with(Limits { trees: 10, trees_in_all: 25, ..Limits::default() });
    for n in 0..1_000 {
        t.client(create(n, "a").tree(n as u32 + 1).session(n % 7 + 1));
    }
    assert!(t.shared.trees_kept() <= 25);
}

#[test]
fn sessions_are_bounded() {
    let mut t = with(Limits { sessions: 10, ..Limits::default() });
    for n in 0..1_000 {
        let of = |b: Build| b.session(n + 1);
        t.client(of(create(2, "a")))
            .server(of(created(2, id(n, n), 0)))
            .client(of(write(3, id(n, n), 0, b"x")))
            .server(of(wrote(3, 1)));
    }
    assert_eq!(t.log.count("WriteDone"), 1_000);
}

#[test]
fn an_endless_compound_ends() {
    // Each part points at the next; the last at itself, backwards, or far away.
    for last in [0u32, 1, 8, 63, 64, u32::MAX - 7, u32::MAX] {
        let mut bytes = compound((0..5_000).map(|n| Build::ask(13, n, bare())).collect()).0;
        let at = bytes.len() - 68;
        bytes[at + 20..at + 24].copy_from_slice(&last.to_le_bytes());
        let mut t = Talk::new();
        t.bytes(Way::ToServer, &bytes).end();
    }
    // And contexts, and entries of a directory, that point at themselves.
    let mut context = contexts(&[(b"MxAc", b"12345678")]);
    context[0] = 1;
    let mut t = Talk::new();
    t.client(create_with(3, "a", 0, &context)).server(created(3, id(1, 1), 0));
    let entry = w().d(1).d(0).q(1).q(2).q(3).q(4).q(9).q(4096).d(0x20).d(0).z(70_000).0;
    t.client(query_directory(8, id(1, 1), 1)).server(buffer(14, 8, &entry));
    assert_eq!(t.log.count("Opened"), 1);
}

/// Something that is nearly a message.
fn nearly() -> impl Strategy<Value = Build> {
    let small = proptest::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..80);
    let command = prop_oneof![8 => 0u16..19, 1 => any::<u16>()];
    let status = prop_oneof![4 => Just(0u32), 1 => Just(0x103), 1 => Just(0xC000_0011), 1 => any::<u32>()];
    (command, any::<bool>(), 0u64..4, 0u8..16, status, small, proptest::collection::vec(any::<u8>(), 0..60)).prop_map(
        |(command, reply, mid, flags, status, small, tail)| {
            let body = w().s(&small).s(&tail);
            let mut build = if reply { Build::answer(command, mid, body) } else { Build::ask(command, mid, body) };
            build.0[16] = flags & 0xe | u8::from(reply);
            build.status(status)
        },
    )
}

/// Real messages with some bytes changed.
fn changed() -> impl Strategy<Value = (Way, Build)> {
    let all: Vec<_> = conversations().into_iter().flatten().collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(all), changes).prop_map(|((way, mut bytes), changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        (way, Build(bytes))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_messages(
        messages in proptest::collection::vec((any::<bool>(), nearly(), changed(), 0u8..20), 1..60),
        piece in 1usize..100,
    ) {
        for pieces in [None, Some(piece)] {
            let mut t = with(Limits { opens: 3, name_bytes: 9, trees: 2, trees_in_all: 3, sessions: 2, pending: 4, ..Limits::default() });
            t.pieces = pieces;
            for (client, random, (way, build), gap) in &messages {
                t.bytes(if *client { Way::ToServer } else { Way::ToClient }, &random.0);
                t.bytes(*way, &build.0);
                if *gap == 0 {
                    t.gap(*way);
                }
            }
            t.end();
        }
    }
}
