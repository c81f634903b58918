//! What is lost on the way into a capture: starts, requests, answers, bytes.

use super::build::*;
use crate::flow::Way;
use crate::smb::reader::Message;

#[test]
fn bytes_lost_in_a_streamed_message_are_told() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 10).client(read(2, 7, 100, 10));
    let bytes = given(2, b"0123456789").done();
    let way = carrier(Way::ToClient);
    let total = bytes.len() as u64;
    let head = Message { bytes: &bytes[..60], at: packet(9), pieces: &[] };
    t.smb.begin(&way, &head, total, &mut t.ids, &mut t.log);
    t.smb.body(&way, 60, &bytes[60..62], packet(9), &mut t.ids, &mut t.log);
    t.smb.lost(&way, 62, 3, packet(10), &mut t.ids, &mut t.log);
    t.smb.body(&way, 65, &bytes[65..67], packet(10), &mut t.ids, &mut t.log);
    t.smb.finish(&way, packet(11), &mut t.ids, &mut t.log);
    let places: Vec<_> = t
        .log
        .said
        .iter()
        .filter(|s| s.1.starts_with("Data"))
        .map(|s| (s.0.at.number, s.1.split("offset").nth(1).unwrap()))
        .collect();
    assert_eq!(
        places,
        [
            (9, ": 100, bytes: [48, 49] }"),
            (10, ": 102, length: 3 }"),
            (10, ": 105, bytes: [53, 54] }"),
            (11, ": 107, length: 3 }")
        ]
    );
    assert!(t.log.events("ReadDone")[0].contains("given: 10"));
}

#[test]
fn a_message_that_is_not_finished_ends_with_the_next() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0);
    let bytes = write(2, 7, 0, b"0123456789").done();
    let head = Message { bytes: &bytes[..66], at: packet(9), pieces: &[] };
    t.smb.begin(&carrier(Way::ToServer), &head, bytes.len() as u64, &mut t.ids, &mut t.log);
    t.smb.begin(&carrier(Way::ToServer), &head, bytes.len() as u64, &mut t.ids, &mut t.log);
    assert_eq!(t.log.count("DataLost"), 1);
    t.end();
    assert_eq!((t.log.count("DataLost"), t.log.count("WriteDone")), (2, 2));
}

#[test]
fn a_read_answer_without_its_request_has_no_place() {
    for pieces in [None, Some(5)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.tree(false).open(1, "a", 7, 10).server(given(2, b"0123456789")).end();
        assert_eq!(t.log.events("Odd"), ["Odd { name: \"unplaced_read\", bytes: 10 }"]);
        assert_eq!(t.log.count("Data"), 0);
    }
}

#[test]
fn a_late_start_tells_what_is_known() {
    let mut t = Talk::new();
    t.client(read(2, 7, 0, 3)).server(given(2, b"abc")).client(write(3, 7, 0, b"x")).server(wrote(3, 1));
    t.client(close(4, 7)).server(bare(4, 4)).end();
    assert_eq!(t.log.count("SessionOpened"), 1);
    assert_eq!(t.log.count("Opened"), 1);
    assert!(t.log.events("Opened")[0].contains("name: None") && t.log.events("Opened")[0].contains("answered: false"));
    assert_eq!(t.log.read.values().next().unwrap().bytes, b"abc");
    assert!(t.log.said.iter().filter(|s| s.1.starts_with("Data")).all(|s| s.0.session.is_some() && s.0.tree.is_some()));
}

#[test]
fn an_open_without_its_request_has_its_size() {
    let mut t = Talk::new();
    t.tree(false).server(nt_created(1, 7, 33)).client(read(2, 7, 0, 3)).server(given(2, b"abc"));
    let opened = t.log.events("Opened");
    assert_eq!(opened.len(), 1);
    assert!(opened[0].contains("name: None") && opened[0].contains("size: Some(33)") && opened[0].contains("answered: true"));
}

#[test]
fn a_file_id_that_is_given_anew_is_another_open() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).open(2, "b", 7, 0);
    assert_eq!(t.log.events("Closed"), ["Closed { open: OpenId(3), status: None, by_close: false }"]);
    // Neither the answer to the CLOSE nor the next open is in the capture.
    t.client(close(3, 7)).client(write(4, 7, 0, b"x")).server(wrote(4, 1));
    assert_eq!(t.log.count("Opened"), 3);
    assert_eq!(t.log.events("Closed")[1], "Closed { open: OpenId(4), status: None, by_close: true }");
}

#[test]
fn after_gaps_of_both_ways_a_waiting_request_is_given_up() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0);
    t.client(read(2, 7, 0, 3)).client(write(3, 7, 0, b"abc")).gap(Way::ToClient);
    assert_eq!(t.log.count("WriteDone"), 0);
    t.gap(Way::ToServer);
    assert_eq!(t.log.count("WriteDone"), 1);
    t.server(given(2, b"xyz"));
    assert_eq!((t.log.count("ReadDone"), t.log.count("Odd")), (0, 1));
}

#[test]
fn one_gap_leaves_waiting_requests_alone() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).client(read(2, 7, 5, 3)).gap(Way::ToServer).server(given(2, b"xyz"));
    assert_eq!(t.log.count("ReadDone"), 1);
}

#[test]
fn a_lost_answer_gives_its_ids_to_the_next_request() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0);
    t.client(read(2, 7, 0, 3)).client(read(2, 7, 3, 3)).gap(Way::ToClient).server(given(2, b"xyz"));
    assert!(t.log.events("Data")[0].contains("offset: 3"));
    // Without a gap both wait, and are answered in order.
    t.client(read(2, 7, 6, 3)).client(read(2, 7, 9, 3)).server(given(2, b"abc")).server(given(2, b"def"));
    assert_eq!(&t.log.read.values().next().unwrap().bytes[3..], b"xyzabcdef");
}

#[test]
fn requests_alone_are_writes_without_an_answer() {
    let mut t = Talk::new();
    t.client(write(2, 7, 0, b"abc")).client(write(2, 7, 3, b"def")).client(close(3, 7)).end();
    let done = t.log.events("WriteDone");
    assert_eq!(done.len(), 2);
    assert!(done.iter().all(|d| d.ends_with("written: None }")));
    assert_eq!(t.log.events("Closed"), ["Closed { open: OpenId(3), status: None, by_close: true }"]);
}
