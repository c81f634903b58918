//! What is lost on the way into a capture: starts, requests, answers.

use super::build::*;
use crate::flow::Way;

#[test]
fn a_late_start_tells_what_is_known() {
    let mut t = Talk::new();
    t.client(read(2, id(1, 1), 0, 3)).server(given(2, b"abc")).client(write(3, id(1, 1), 0, b"x")).server(wrote(3, 1));
    t.client(close(4, id(1, 1))).server(closed(4, 3)).end();
    let opened = t.log.events("Opened");
    assert_eq!(opened.len(), 1);
    assert!(opened[0].contains("name: None") && opened[0].contains("answered: false"));
    assert_eq!((t.read(), t.written()), (vec![("", &b"abc"[..])], vec![("", &b"x"[..])]));
    assert_eq!((t.log.count("Size"), t.log.count("Closed")), (1, 1));
    assert!(t.log.said.iter().filter(|s| s.1.starts_with("Data")).all(|s| s.0.session.is_some() && s.0.tree.is_some()));
}

#[test]
fn a_read_answer_without_its_request_has_no_place() {
    for pieces in [None, Some(5)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false).open(3, "a", id(1, 1), 10).server(given(9, b"0123456789")).end();
        assert_eq!(t.log.events("Odd"), ["Odd { name: \"unplaced_read\", bytes: 10 }"]);
        assert_eq!(t.log.count("Data"), 0);
    }
}

#[test]
fn answers_without_their_requests_say_what_stands_in_them() {
    let mut t = Talk::new();
    t.server(created(3, id(1, 1), 33))
        .server(wrote(4, 9))
        .server(closed(5, 33))
        .server(was_set(6))
        .server(buffer(16, 7, &[0; 40]));
    let opened = t.log.events("Opened");
    assert!(opened.len() == 1 && opened[0].contains("name: None") && opened[0].contains("size: Some(33)"));
    assert_eq!(t.log.count("WriteDone") + t.log.count("Closed") + t.log.count("Renamed") + t.log.count("Deleted"), 0);
    // The tree's path is not known, and not made up.
    t.server(tree_connected(8, 1));
    assert!(t.log.events("TreeConnected")[0].contains("path: \"\""));
}

#[test]
fn requests_without_answers_are_told_as_such() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 0);
    t.client(write(4, id(1, 1), 0, b"AAAA"));
    t.client(close(5, id(1, 1)));
    assert_eq!(t.log.count("WriteDone") + t.log.count("Closed"), 0);
    t.end();
    assert!(t.log.events("WriteDone")[0].ends_with("written: None }"));
    assert!(t.log.events("Closed")[0].ends_with("status: None, by_close: true }"));
    // A CLOSE that is answered: answers to WRITEs before it are lost.
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 0).client(write(4, id(1, 1), 0, b"AAAA"));
    t.client(close(5, id(1, 1))).server(closed(5, 4));
    let order: Vec<_> = t.said().iter().map(|s| s.split(' ').next().unwrap()).skip_while(|s| *s != "WriteDone").collect();
    assert_eq!(order, ["WriteDone", "Size", "Closed"]);
    assert!(t.log.events("WriteDone")[0].ends_with("written: None }"));
    // A compound whose answer is lost: its open was told, and is gone with the connection.
    let mut t = Talk::new();
    t.start(false).client(compound(vec![create(3, "c"), write(4, SAME, 0, b"AAAA").related()])).end();
    assert_eq!((t.log.count("Opened"), t.log.count("WriteDone"), t.log.count("Closed")), (1, 1, 1));
}

#[test]
fn a_message_that_is_not_finished_ends_with_the_gap() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 10).client(read(4, id(1, 1), 0, 10));
    let bytes = given(4, b"0123456789").0;
    t.with(Way::ToClient, |smb, tools| {
        let head = crate::smb::reader::Message { bytes: &bytes[..80], at: tools.at, pieces: &[] };
        smb.begin(&head, bytes.len() as u64, tools);
        smb.body(80, &bytes[80..91], tools);
    });
    t.gap(Way::ToClient);
    assert_eq!((t.read(), t.log.count("ReadDone")), (vec![("a", &b"012"[..])], 1));
    // What comes after is not of it.
    t.with(Way::ToClient, |smb, tools| smb.body(91, b"xyz", tools));
    assert_eq!(t.read(), [("a", &b"012"[..])]);
}

#[test]
fn a_message_id_that_is_used_again_is_another_request() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 0).client(write(4, id(1, 1), 0, b"AA")).client(write(4, id(1, 1), 2, b"BB"));
    t.server(wrote(4, 2));
    let done: Vec<_> = t.log.events("WriteDone").iter().map(|d| d.split("offset: ").nth(1).unwrap()).collect();
    assert_eq!(done, ["0, sent: 2, written: None }", "2, sent: 2, written: Some(2) }"]);
}
