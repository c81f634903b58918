//! READ, WRITE and pipes: bytes, counts, ends of files.

use super::build::*;
use crate::flow::Way;

#[test]
fn reads_and_writes_have_their_offsets_and_counts() {
    for pieces in [None, Some(1), Some(5)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false).open(3, "f", id(1, 1), 8);
        // Asked in one order, answered in another.
        t.client(read(4, id(1, 1), 0, 4)).client(read(5, id(1, 1), 4, 4)).server(given(5, b"5678")).server(given(4, b"1234"));
        t.client(write(6, id(1, 1), 2, b"ab")).server(wrote(6, 2));
        assert_eq!((t.read(), t.written()), (vec![("f", &b"12345678"[..])], vec![("f", &b"\0\0ab"[..])]));
        let asked = t.log.events("ReadAsked");
        assert!(asked[0].ends_with("offset: 0, length: 4 }") && asked[1].ends_with("offset: 4, length: 4 }"));
        let done = t.log.events("ReadDone");
        assert!(done[0].ends_with("offset: 4, asked: Some(4), given: 4, status: 0 }"), "{done:?}");
        assert!(t.log.events("WriteDone")[0].ends_with("offset: 2, sent: 2, written: Some(2) }"));
        assert_eq!(t.log.count("Odd"), 0);
    }
}

#[test]
fn short_reads_and_reads_past_the_end_say_so() {
    for pieces in [None, Some(3)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false).open(3, "f", id(1, 1), 6).client(read(4, id(1, 1), 0, 100)).server(given(4, b"123456"));
        t.client(read(5, id(1, 1), 6, 100)).server(error(8, 5, 0xC000_0011));
        // Any other refusal says nothing of the file.
        t.client(read(6, id(1, 1), 6, 100)).server(error(8, 6, 0xC000_0022));
        let done = t.log.events("ReadDone");
        assert_eq!(done.len(), 2);
        assert!(done[0].ends_with("offset: 0, asked: Some(100), given: 6, status: 0 }"));
        assert!(done[1].ends_with(&format!("offset: 6, asked: Some(100), given: 0, status: {} }}", 0xC000_0011u32)));
    }
}

#[test]
fn a_write_counts_for_what_the_server_says() {
    let mut t = Talk::new();
    t.start(false).open(3, "f", id(1, 1), 0);
    t.client(write(4, id(1, 1), 0, b"AAAA")).server(wrote(4, 3));
    t.client(write(5, id(1, 1), 3, b"BB")).server(error(9, 5, 0xC000_007F));
    t.client(write(6, id(1, 1), 5, b"CC")).server(wrote(6, u32::MAX));
    t.client(write(7, id(1, 1), 9, b"DD")).end();
    let done: Vec<_> = t.log.events("WriteDone").iter().map(|d| d.split("sent: ").nth(1).unwrap()).collect();
    assert_eq!(done, ["4, written: Some(3) }", "2, written: Some(0) }", "2, written: Some(2) }", "2, written: None }"]);
}

/// [MS-SMB2] 3.3.5.13: all ones ask for the end of file, wherever that is when the server gets to it. It is in no message.
#[test]
fn a_write_to_wherever_the_end_is_has_no_place() {
    for pieces in [None, Some(3)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false).open(3, "log", id(1, 1), 4).client(write(4, id(1, 1), u64::MAX, b"line")).server(wrote(4, 4));
        assert_eq!(t.log.events("Odd"), ["Odd { name: \"unplaced_write\", bytes: 4 }"]);
        assert_eq!((t.log.count("Data"), t.log.count("WriteDone"), t.log.count("RequestsLost")), (0, 0, 1));
        assert!(t.log.said.iter().any(|s| s.1.contains("SMB2::WRITE")), "the answer is one to a WRITE");
        // What has a place keeps it.
        t.client(write(5, id(1, 1), 0, b"head")).server(wrote(5, 4));
        assert_eq!(t.written(), [("log", &b"head"[..])]);
    }
}

#[test]
fn data_that_the_message_does_not_hold_are_not_told() {
    let mut t = Talk::new();
    t.start(false).open(3, "f", id(1, 1), 0);
    let mut cut = write(4, id(1, 1), 0, b"12345678").0;
    cut.truncate(cut.len() - 5);
    t.client(Build(cut)).server(wrote(4, 8));
    assert!(t.log.events("WriteDone")[0].ends_with("sent: 3, written: Some(3) }"), "{:?}", t.said());
    let mut cut = given(5, b"12345678").0;
    cut.truncate(cut.len() - 5);
    t.client(read(5, id(1, 1), 0, 8)).server(Build(cut));
    // It is no short read: that would tell where the file ends.
    assert_eq!(t.log.count("ReadDone"), 0, "{:?}", t.said());
}

/// [MS-SMB2] 2.2.19: by direct memory access the bytes go another way.
#[test]
fn remote_reads_and_writes_have_no_bytes() {
    let remote = |mut b: Build, at: usize| {
        b.0[64 + at] = 1;
        b
    };
    let mut t = Talk::new();
    t.start(false).open(3, "f", id(1, 1), 8);
    t.client(remote(write(4, id(1, 1), 0, b""), 32)).server(wrote(4, 8));
    t.client(remote(read(5, id(1, 1), 0, 8), 36)).server(given(5, b""));
    assert_eq!(t.log.count("Data") + t.log.count("WriteDone") + t.log.count("ReadDone"), 0);
}

#[test]
fn pipes_are_read_written_and_transceived() {
    for pieces in [None, Some(2)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(true).open(3, "atsvc", id(1, 1), 0);
        let open = t.opens()[0];
        t.client(write(4, id(1, 1), 0, b"ask")).server(wrote(4, 3));
        t.client(read(5, id(1, 1), 0, 1024)).server(given(5, b"ans").status(0x8000_0005));
        t.client(read(6, id(1, 1), 0, 1024)).server(given(6, b"wer"));
        let code = 0x0011_C017;
        t.client(ioctl(7, id(1, 1), code, b"more")).server(ioctl_answer(7, id(1, 1), code, b"given"));
        assert_eq!(t.log.pipes[&(open, true)], b"askmore");
        assert_eq!(t.log.pipes[&(open, false)], b"answergiven");
        // Each message's end, and nothing of a file.
        assert_eq!(t.log.events("Pipe").iter().filter(|p| p.ends_with("bytes: [] }")).count(), 5);
        assert_eq!(t.log.count("Data") + t.log.count("ReadDone") + t.log.count("WriteDone"), 0);
        // An answer whose request is not in the capture still names its pipe.
        t.server(ioctl_answer(99, id(1, 1), code, b"!"));
        assert!(t.log.pipes[&(open, false)].ends_with(b"!"));
        t.client(ioctl(8, id(1, 1), code, b"x")).server(error(11, 8, 0xC000_00B0));
        assert!(t.log.pipes[&(open, false)].ends_with(b"!"));
    }
}

#[test]
fn bytes_lost_in_a_streamed_message_are_told() {
    use crate::smb::reader::Message;
    let mut t = Talk::new();
    t.start(false).open(3, "f", id(1, 1), 10).client(read(4, id(1, 1), 100, 10));
    let bytes = given(4, b"0123456789").0;
    t.with(Way::ToClient, |smb, tools| {
        let head = Message { bytes: &bytes[..80], at: tools.at, pieces: &[] };
        smb.begin(&head, bytes.len() as u64, tools);
        // The padding, then 2 bytes, 3 lost ones, 2, and the rest lost.
        smb.body(80, &bytes[80..90], tools);
        smb.body_lost(90, 3, tools);
        smb.body(93, &bytes[93..95], tools);
        smb.body_lost(95, 3, tools);
        smb.finish(tools);
    });
    let places: Vec<_> = t.log.events("Data").iter().map(|s| s.split("offset: ").nth(1).unwrap()).collect();
    assert_eq!(places, ["100, bytes: [48, 49] }", "102, length: 3 }", "105, bytes: [53, 54] }", "107, length: 3 }"]);
    assert!(t.log.events("ReadDone")[0].contains("given: 10"));
}
