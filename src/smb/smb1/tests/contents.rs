//! The read and write families.

use super::build::*;
use crate::flow::Way;

/// Runs the same talk with whole messages and in pieces of several sizes.
fn each(talk: impl Fn(&mut Talk)) {
    for pieces in [None, Some(1), Some(7), Some(10_000)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        talk(&mut t);
    }
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn read_and_x_with_a_64_bit_offset_and_a_large_length() {
    each(|t| {
        let content = data(100_000);
        t.tree(false).open(1, "\\dir\\a.bin", 7, 100_000);
        t.client(read(2, 7, 0, 100_000)).server(given(2, &content));
        t.client(read(3, 7, 0x1_0000_0010, 9)).server(given(3, b""));
        t.client(close(4, 7)).server(bare(4, 4)).end();
        let log = &t.log;
        assert_eq!(log.read.len(), 1);
        assert!(log.read.values().all(|c| c.bytes == content && c.whole()));
        assert_eq!(log.count("ReadAsked"), 2);
        assert_eq!(
            log.events("ReadDone")[0].split("offset").nth(1).unwrap(),
            ": 0, asked: Some(100000), given: 100000, status: 0 }"
        );
        assert_eq!(
            log.events("ReadDone")[1].split("offset").nth(1).unwrap(),
            ": 4294967312, asked: Some(9), given: 0, status: 0 }"
        );
        assert_eq!(log.events("Closed").len(), 1);
        assert!(log.events("Closed")[0].ends_with("status: Some(0), by_close: true }"));
        let opened = log.events("Opened")[0];
        assert!(opened.contains("name: Some(\"dir\\\\a.bin\")") && opened.contains("size: Some(100000)"), "{opened}");
        assert!(
            opened.contains("file_id: [7, 0]") && opened.contains("answered: true") && opened.contains("times: [11, 12, 13, 14]")
        );
    });
}

#[test]
fn write_and_x_ignores_padding_and_counts_the_answer() {
    each(|t| {
        t.tree(false).open(1, "a", 7, 0);
        t.client(write(2, 7, 0x1_0000_0000, b"hello")).server(wrote(2, 5));
        t.client(write(3, 7, 5, b"world")).server(wrote(3, 3));
        t.client(write(4, 7, 10, b"no")).server(bare(0x2F, 4).status(0xC000_007F));
        t.client(write(5, 7, 12, b"lost")).end();
        let done: Vec<_> = t.log.events("WriteDone").iter().map(|e| e.split("offset: ").nth(1).unwrap()).collect();
        assert_eq!(
            done,
            [
                "4294967296, sent: 5, written: Some(5) }",
                "5, sent: 5, written: Some(3) }",
                "10, sent: 2, written: Some(0) }",
                "12, sent: 4, written: None }"
            ]
        );
        assert!(t.log.events("Data")[0].ends_with("bytes: [104, 101, 108, 108, 111] }") || t.pieces.is_some());
        assert_eq!(t.log.events("Closed"), ["Closed { open: OpenId(3), status: None, by_close: false }"]);
    });
}

#[test]
fn an_upper_length_that_does_not_fit_is_not_believed() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).client(read(2, 7, 0, 4));
    let words = W::and_x().w(0).w(0).w(0).w(4).w(60).w(0x7777).z(8);
    t.server(Build::answer(0x2E, 2).block(&words.0, b"\xEEabcd"));
    assert!(t.log.events("Data")[0].ends_with("bytes: [97, 98, 99, 100] }"));
}

#[test]
fn core_reads_and_writes() {
    let mut t = Talk::new();
    t.tree(false);
    t.client(Build::request(0x0F, 1).block(&W::default().w(0x20).d(0).0, &[&[4][..], &wide("\\new.txt")].concat()));
    t.server(Build::answer(0x0F, 1).block(&W::default().w(9).0, &[]));
    let core = |offset: u32, count: u16| W::default().w(9).w(count).d(offset).w(0).0;
    t.client(Build::request(0x0B, 2).block(&core(0, 3), &[1, 3, 0, b'a', b'b', b'c', 0xEE]));
    t.server(Build::answer(0x0B, 2).block(&W::default().w(3).0, &[]));
    t.client(Build::request(0x14, 3).block(&core(3, 2), &[1, 2, 0, b'd', b'e']));
    t.server(Build::answer(0x14, 3).block(&W::default().w(2).0, &[]));
    // No bytes: the file ends there.
    t.client(Build::request(0x0B, 4).block(&core(4, 0), &[1, 0, 0]));
    t.server(Build::answer(0x0B, 4).block(&W::default().w(0).0, &[]));
    for (mid, command) in [(5, 0x0A), (6, 0x13)] {
        t.client(Build::request(command, mid).block(&core(1, 100), &[]));
        t.server(Build::answer(command, mid).block(&W::default().w(3).z(8).0, &[1, 3, 0, b'b', b'c', b'd']));
    }
    // WRITE_AND_CLOSE.
    let words = W::default().w(9).w(2).d(4).d(0).0;
    t.client(Build::request(0x2C, 7).block(&words, &[0, b'X', b'Y']));
    t.server(Build::answer(0x2C, 7).block(&W::default().w(2).0, &[]));
    t.end();
    assert!(t.log.written.values().all(|c| c.bytes == b"abcdXY"), "{:?}", t.log.written);
    assert_eq!(t.log.read.values().map(|c| &c.bytes[1..]).collect::<Vec<_>>(), [b"bcd"]);
    assert!(t.log.events("Size")[0].contains("size: 4, from: SetEndOfFile"));
    assert!(t.log.events("Opened")[0].contains("create_action: Some(2)"));
    assert_eq!(t.log.count("Closed"), 1);
    assert!(t.log.events("Closed")[0].contains("by_close: true"));
}

fn read_raw(mid: u16, offset: u32, count: u16) -> Build {
    Build::request(0x1A, mid).block(&W::default().w(7).d(offset).w(count).w(0).d(0).w(0).d(1).0, &[])
}

#[test]
fn raw_reads_take_their_place_from_the_request() {
    each(|t| {
        t.tree(false).open(1, "a", 7, 0);
        t.client(read_raw(2, 16, 100));
        t.bytes(Way::ToClient, b"raw bytes, longer than a header is long");
        t.client(read_raw(3, 16, 100)).bytes(Way::ToClient, b"short");
        t.client(read_raw(4, 90, 100)).bytes(Way::ToClient, b"");
        let done: Vec<_> = t.log.events("ReadDone").iter().map(|e| e.split("offset: ").nth(1).unwrap()).collect();
        assert_eq!(
            done,
            [
                "4294967312, asked: Some(100), given: 39, status: 0 }",
                "4294967312, asked: Some(100), given: 5, status: 0 }",
                "4294967386, asked: Some(100), given: 0, status: 0 }"
            ]
        );
        assert_eq!(t.log.count("Odd"), 0);
    });
}

#[test]
fn raw_bytes_are_never_guessed() {
    // Longer than asked for; after a gap; after another request; none expected.
    let odd = |t: &mut Talk| {
        t.bytes(Way::ToClient, &[b'x'; 50]);
        assert_eq!(t.log.count("Data"), 0);
    };
    let mut t = Talk::new();
    odd(t.tree(false).open(1, "a", 7, 0).client(read_raw(2, 0, 49)));
    let mut t = Talk::new();
    odd(t.tree(false).open(1, "a", 7, 0).client(read_raw(2, 0, 100)).gap(Way::ToClient));
    let mut t = Talk::new();
    odd(t.tree(false).open(1, "a", 7, 0).client(read_raw(2, 0, 100)).client(close(3, 7)));
    let mut t = Talk::new();
    odd(t.tree(false).open(1, "a", 7, 0));
}

#[test]
fn an_oplock_break_may_come_before_raw_bytes() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).client(read_raw(2, 0, 100));
    t.server(Build::request(0x24, 0xFFFF).uid(0).block(&W::and_x().w(7).b(2).b(1).d(0).w(0).w(0).0, &[]));
    // Content that looks like a message: a capture of SMB copied over SMB.
    let content = write(9, 9, 0, b"x").done();
    t.bytes(Way::ToClient, &content);
    assert!(t.log.events("Data")[0].ends_with(&format!("offset: 4294967296, bytes: {content:?} }}")));
}

fn write_raw(mid: u16, total: u16, mode: u16, first: &[u8]) -> Build {
    let words = W::default().w(7).w(total).w(0).d(100).d(0).w(mode).d(0).w(first.len() as u16).w(60).0;
    Build::request(0x1D, mid).block(&words, &[&[0xEE][..], first].concat())
}

#[test]
fn raw_writes_in_two_parts() {
    each(|t| {
        t.tree(false).open(1, "a", 7, 0);
        t.client(write_raw(2, 9, 1, b"abc")).server(Build::answer(0x1D, 2).block(&W::default().w(0xFFFF).0, &[]));
        t.bytes(Way::ToServer, b"defghi");
        assert_eq!(t.log.count("WriteDone"), 0);
        t.server(Build::answer(0x20, 2).block(&W::default().w(9).0, &[]));
        assert!(t.log.events("WriteDone")[0].ends_with("offset: 100, sent: 9, written: Some(9) }"));
        assert_eq!(&t.log.written.values().next().unwrap().bytes[100..], b"abcdefghi");
        // Write-behind has no last answer.
        t.client(write_raw(3, 9, 0, b"abc")).server(Build::answer(0x1D, 3).block(&W::default().w(0xFFFF).0, &[]));
        t.bytes(Way::ToServer, b"defghi");
        assert!(t.log.events("WriteDone")[1].ends_with("sent: 9, written: None }"));
        // The server refuses.
        t.client(write_raw(4, 9, 1, b"abc")).server(bare(0x1D, 4).status(0xC000_0022));
        assert!(t.log.events("WriteDone")[2].ends_with("written: Some(0) }"));
        t.bytes(Way::ToServer, b"defghi").end();
        assert_eq!(t.log.count("WriteDone"), 3);
    });
}

#[test]
fn multiplexed_reads_and_writes() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0);
    t.client(Build::request(0x1B, 2).block(&W::default().w(7).d(10).w(6).w(0).d(0).w(0).0, &[]));
    for (offset, part) in [(13u32, b"def"), (10, b"abc")] {
        let words = W::default().d(offset).w(6).w(0xFFFF).w(0).w(0).w(3).w(52).0;
        t.server(Build::answer(0x1B, 2).block(&words, &[&[0xEE][..], part].concat()));
    }
    assert_eq!(&t.log.read.values().next().unwrap().bytes[10..], b"abcdef");
    assert_eq!(t.log.count("ReadDone"), 1);
    for (mask, offset, part) in [(1u32, 0u32, b"abc"), (2, 3, b"def"), (4, 6, b"ghi")] {
        let words = W::default().w(7).w(9).w(0).d(offset).d(0).w(0x80).d(mask).w(3).w(60).0;
        t.client(Build::request(0x1E, 3).block(&words, &[&[0xEE][..], part].concat()));
    }
    t.server(Build::answer(0x1E, 3).block(&W::default().d(5).0, &[]));
    let done: Vec<_> = t.log.events("WriteDone").iter().map(|e| e.split("offset: ").nth(1).unwrap()).collect();
    assert_eq!(done, ["0, sent: 3, written: Some(3) }", "3, sent: 3, written: Some(0) }", "6, sent: 3, written: Some(3) }"]);
}

#[test]
fn pieces_name_the_packet_that_each_byte_came_in() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 10).client(read(2, 7, 0, 10));
    let bytes = given(2, b"0123456789").done();
    let pieces = [(0, packet(50)), (63, packet(51)), (66, packet(52))];
    let message = crate::smb::reader::Message { bytes: &bytes, at: packet(52), pieces: &pieces };
    t.smb.message(&carrier(Way::ToClient), &message, &mut t.ids, &mut t.log);
    let at: Vec<_> = t.log.said.iter().filter(|s| s.1.starts_with("Data")).map(|s| s.0.at.number).collect();
    assert_eq!(at, [50, 51, 52]);
    assert_eq!(t.log.read.values().next().unwrap().bytes, b"0123456789");
}
