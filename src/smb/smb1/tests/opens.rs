//! The open family, and what is done to files by name.

use super::build::*;

#[test]
fn core_opens() {
    let mut t = Talk::new();
    t.tree(false);
    t.client(Build::request(0x02, 1).flags2(0).block(&W::default().w(2).w(0).0, b"\x04\\CAF\x90.TXT\0"));
    t.server(Build::answer(0x02, 1).flags2(0).block(&W::default().w(5).w(0x20).d(0).d(77).w(0).z(2).0, &[]));
    let opened = t.log.events("Opened")[0];
    assert!(
        opened.contains("CAFÉ.TXT") && opened.contains("size: Some(77)") && opened.contains("access: Some(1180063)"),
        "{opened}"
    );
    t.client(Build::request(0x03, 2).flags2(0).block(&W::default().w(0).d(0).0, b"\x04B.TXT\0"));
    t.server(Build::answer(0x03, 2).block(&W::default().w(6).0, &[]));
    assert!(t.log.events("Opened")[1].contains("create_action: Some(3)"));
    t.client(Build::request(0x0E, 3).flags2(0).block(&W::default().w(0).d(0).0, b"\x04\\TMP\0"));
    t.server(Build::answer(0x0E, 3).block(&W::default().w(8).0, b"\x04TMP0001\0"));
    assert!(t.log.events("Opened")[2].contains("name: Some(\"TMP\\\\TMP0001\")"), "{}", t.log.events("Opened")[2]);
}

#[test]
fn an_extended_answer_and_an_alternate_stream() {
    let mut t = Talk::new();
    t.tree(false).client(nt_create(1, "\\d\\f.txt:zone:$DATA"));
    let words = [nt_created_words(9, 5), vec![0; 16]].concat();
    t.server(Build::answer(0xA2, 1).block(&words, &[]));
    let opened = t.log.events("Opened")[0];
    assert!(opened.contains("name: Some(\"d\\\\f.txt\"), stream: Some(\"zone\")"), "{opened}");
    assert!(opened.contains("access: Some(1180063), disposition: Some(5), options: Some(64), size: Some(5)"), "{opened}");
}

#[test]
fn deleted_and_renamed() {
    let mut t = Talk::new();
    t.tree(false).open(1, "\\d\\a", 7, 0);
    // UTF-16 begins at even places: behind the first format at once, behind the second after a byte of padding.
    let names = |a: &str, b: &str| [&[4][..], &wide(a), &[4, 0], &wide(b)].concat();
    t.client(Build::request(0x07, 2).block(&[0; 2], &names("D\\A", "\\d\\b")));
    t.server(bare(0x07, 2));
    assert_eq!(t.log.events("Renamed"), ["Renamed { open: OpenId(3), to: \"d\\\\b\" }"]);
    t.client(Build::request(0xA5, 3).block(&W::default().w(0).w(0x0103).d(0).0, &names("d\\b", "d\\link"))).server(bare(0xA5, 3));
    assert_eq!(t.log.count("Renamed"), 1);
    t.client(Build::request(0x06, 4).block(&[0; 2], &[&[4][..], &wide("\\d\\b")].concat())).server(bare(0x06, 4));
    assert_eq!(t.log.events("Deleted"), ["Deleted { open: None, name: Some(\"d\\\\b\") }"]);
    t.client(Build::request(0x06, 5).block(&[0; 2], &[&[4][..], &wide("no")].concat())).server(bare(0x06, 5).status(0xC000_0034));
    assert_eq!(t.log.count("Deleted"), 1);
}

#[test]
fn the_end_of_a_process_closes_its_files() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).client(Build::request(0x11, 2).block(&[], &[])).server(bare(0x11, 2));
    assert!(t.log.events("Closed")[0].ends_with("by_close: false }"));
}

#[test]
fn close_and_tree_disconnect_in_one() {
    let mut t = Talk::new();
    t.tree(false).open(1, "a", 7, 0).client(Build::request(0x31, 2).block(&W::default().w(7).d(0).0, &[])).server(bare(0x31, 2));
    assert!(t.log.events("Closed")[0].ends_with("by_close: true }"));
    assert_eq!(t.log.count("TreeDisconnected"), 1);
}

#[test]
fn sizes_by_query() {
    let mut t = Talk::new();
    t.tree(false).open(1, "\\d\\a", 7, 0);
    t.client(Build::request(0x23, 2).block(&W::default().w(7).0, &[]));
    t.server(Build::answer(0x23, 2).block(&W::default().z(12).d(99).d(0).w(0).0, &[]));
    t.client(Build::request(0x08, 3).block(&[], &[&[4][..], &wide("d\\A")].concat()));
    t.server(Build::answer(0x08, 3).block(&W::default().w(0).d(0).d(98).z(10).0, &[]));
    assert!(t.log.events("Size")[0].contains("size: 99, from: Query"));
    assert!(t.log.events("Size")[1].contains("size: 98, from: Query"));
}
