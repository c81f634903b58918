//! CREATE and CLOSE: contexts, compounds, answers that come later, reconnects, reused file ids, oplocks and leases.

use super::build::*;

const OPLOCK_BREAK: u16 = 18;

#[test]
fn a_create_tells_what_was_asked_and_what_was_answered() {
    let mut t = Talk::new();
    let context = contexts(&[(b"MxAc", b""), (b"QFid", b""), (b"RqLs", &[3; 52])]);
    t.start(false).client(create_with(3, "dir\\a.txt:note:$DATA", 0x1040, &context)).server(created(3, id(1, 2), 33));
    let opened = t.log.events("Opened");
    for part in [
        "name: Some(\"dir\\\\a.txt\"), stream: Some(\"note\")",
        "create_action: Some(1), access: Some(1180063), disposition: Some(5), options: Some(4160), size: Some(33)",
        "attributes: Some(32), times: [11, 12, 13, 14], directory: false, answered: true",
    ] {
        assert!(opened.len() == 1 && opened[0].contains(part), "{part}: {opened:?}");
    }
    assert!(t.log.events("Size")[0].ends_with("size: 33, from: Create }"));
    // Deleted on close, as the options say.
    t.client(close(4, id(1, 2))).server(closed(4, 33));
    assert_eq!(t.log.count("Deleted"), 1);
    assert!(t.log.events("Closed")[0].contains("status: Some(0), by_close: true"));
}

#[test]
fn a_refused_create_is_told_with_name_and_status() {
    let mut t = Talk::new();
    t.start(false).client(create(3, "no\\such")).server(error(5, 3, 0xC000_0034));
    assert_eq!(t.log.events("Open"), [format!("OpenFailed {{ name: \"no\\\\such\", status: {} }}", 0xC000_0034u32)]);
}

/// [MS-SMB2] 3.2.4.1.4: ids of all ones in related messages stand for those of the one before.
#[test]
fn a_related_compound_takes_session_tree_and_file_from_the_message_before() {
    let related = |b: Build| b.related().session(u64::MAX).tree(u32::MAX);
    for pieces in [None, Some(7)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false);
        t.client(compound(vec![
            create(3, "c"),
            related(write(4, SAME, 0, b"AAAA")),
            related(read(5, SAME, 0, 4)),
            related(query_info(6, SAME, 5)),
            related(close(7, SAME)),
        ]));
        let (of_request, opens) = (t.opens(), 1);
        assert_eq!(of_request.len(), opens, "it is told with what came along");
        t.server(compound(vec![
            created(3, id(1, 1), 0),
            wrote(4, 4).related(),
            given(5, b"AAAA").related(),
            buffer(16, 6, &w().q(4096).q(4).d(1).d(0).0).related(),
            closed(7, 4).related(),
        ]));
        assert_eq!((t.written(), t.read()), (vec![("c", &b"AAAA"[..])], vec![("c", &b"AAAA"[..])]));
        assert!(t.opens().iter().all(|open| *open == of_request[0]));
        assert_eq!(t.log.events("Size").len(), 3);
        assert_eq!(t.log.count("Closed"), 1);
        assert!(t.log.said.iter().filter(|s| s.1.starts_with("Data")).all(|s| s.0.tree.is_some() && s.0.session.is_some()));
        // The file id is free again.
        t.open(8, "d", id(1, 1), 0);
        assert_eq!(t.log.count("Closed"), 1);
    }
}

#[test]
fn a_related_compound_whose_create_fails_wrote_nothing() {
    let related = |b: Build| b.related().session(u64::MAX).tree(u32::MAX);
    let mut t = Talk::new();
    t.start(false).client(compound(vec![create(3, "c"), related(write(4, SAME, 0, b"AAAA")), related(close(5, SAME))]));
    let failed = |command, mid| error(command, mid, 0xC000_0022);
    t.server(compound(vec![failed(5, 3), failed(9, 4).related(), failed(6, 5).related()]));
    assert!(t.log.events("WriteDone")[0].ends_with("written: Some(0) }"));
    assert_eq!((t.written(), t.log.count("OpenFailed")), (vec![], 1));
}

#[test]
fn an_unrelated_compound_is_messages_of_their_own() {
    let mut t = Talk::new();
    t.start(false).client(compound(vec![create(3, "a"), create(4, "b")]));
    t.server(compound(vec![created(3, id(1, 1), 0), created(4, id(2, 2), 0)]));
    t.client(compound(vec![write(5, id(2, 2), 0, b"bb"), write(6, id(1, 1), 0, b"a")]));
    t.server(compound(vec![wrote(5, 2), wrote(6, 1)]));
    assert_eq!(t.written(), [("a", &b"a"[..]), ("b", &b"bb"[..])]);
}

/// [MS-SMB2] 3.3.4.2: an interim answer, then the final one under the same message id, without a tree id.
#[test]
fn what_is_answered_later_is_of_its_request() {
    for pieces in [None, Some(7)] {
        let mut t = Talk::new();
        t.pieces = pieces;
        t.start(false);
        t.client(create(3, "later")).server(interim(5, 3, 9)).server(created(3, id(1, 1), 4).later(9));
        t.client(write(4, id(1, 1), 0, b"AAAA")).server(interim(9, 4, 10)).server(wrote(4, 4).later(10));
        t.client(read(5, id(1, 1), 0, 4)).server(interim(8, 5, 11)).server(given(5, b"AAAA").later(11));
        t.client(Build::ask(12, 0, bare()));
        t.client(close(6, id(1, 1))).server(closed(6, 4));
        assert_eq!((t.written(), t.read()), (vec![("later", &b"AAAA"[..])], vec![("later", &b"AAAA"[..])]));
        assert_eq!((t.log.count("Opened"), t.log.count("WriteDone"), t.log.count("ReadDone"), t.log.count("Odd")), (1, 1, 1, 0));
        assert!(t.log.said.iter().filter(|s| s.1.starts_with("Data")).all(|s| s.0.tree.is_some()));
    }
}

/// [MS-SMB2] 2.2.13.2.4 and .12: by the file id, or with a GUID besides. The volatile part is a new one.
#[test]
fn a_durable_reconnect_goes_on_with_its_open() {
    let version_2 = [&id(7, 1)[..], &[b'G'; 16], &[0; 4]].concat();
    let asked_2 = [&[0; 16][..], &[b'G'; 16]].concat();
    for (asked, name, data) in
        [(contexts(&[(b"DHnQ", &[0; 16])]), b"DHnC", &id(7, 1)[..]), (contexts(&[(b"DH2Q", &asked_2)]), b"DH2C", &version_2[..])]
    {
        let mut t = Talk::new();
        t.start(false).client(create_with(3, "f.txt", 0x40, &asked)).server(created(3, id(7, 1), 0));
        t.client(write(4, id(7, 1), 0, b"AAAA")).server(wrote(4, 4)).end();
        assert_eq!(t.log.count("Closed"), 0, "the connection broke: the open lives on");
        t.on(2, [10, 0, 0, 2]);
        let again = |b: Build| b.session(0x32).tree(6);
        t.client(again(create_with(3, "", 0x40, &contexts(&[(name, data)])))).server(again(created(3, id(7, 2), 4)));
        t.client(again(write(4, id(7, 2), 4, b"BBBB"))).server(again(wrote(4, 4)));
        t.client(again(close(5, id(7, 2)))).server(again(closed(5, 8)));
        assert_eq!(t.written(), [("f.txt", &b"AAAABBBB"[..])]);
        assert_eq!((t.opens().len(), t.opens()[0] == t.opens()[1], t.log.count("Closed")), (2, true, 1));
    }
    // What is not known any more begins anew.
    let mut t = Talk::new();
    t.start(false).client(create_with(3, "f.txt", 0x40, &contexts(&[(b"DHnC", &id(7, 1))]))).server(created(3, id(7, 2), 4));
    assert_eq!((t.opens().len(), t.log.count("Closed")), (1, 0));
}

#[test]
fn a_file_id_that_is_given_anew_is_another_open() {
    let mut t = Talk::new();
    t.start(false).open(3, "one", id(7, 1), 0).client(write(4, id(7, 1), 0, b"one")).server(wrote(4, 3));
    t.open(5, "two", id(7, 1), 0).client(write(6, id(7, 1), 0, b"two")).server(wrote(6, 3));
    assert_eq!(t.written(), [("one", &b"one"[..]), ("two", &b"two"[..])]);
    assert_eq!(t.log.events("Closed"), [format!("Closed {{ open: OpenId({}), status: None, by_close: false }}", t.opens()[0])]);
}

/// [MS-SMB2] 2.2.23 to 2.2.25: what the server sends on its own, and what the client says to it.
#[test]
fn oplock_and_lease_breaks_are_passed_over() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 0);
    let told = t.said().len();
    let oplock = || w().w(24).b(1).b(0).d(0).s(&id(1, 1));
    let lease = || w().w(36).w(0).d(0).s(&[8; 16]).d(1).q(0);
    let sent = |body: W| Build::answer(OPLOCK_BREAK, u64::MAX, body).session(0).tree(0);
    t.server(sent(oplock())).client(Build::ask(OPLOCK_BREAK, 4, oplock())).server(Build::answer(OPLOCK_BREAK, 4, oplock()));
    t.server(sent(w().w(44).w(1).d(1).s(&[8; 16]).d(3).d(1).z(12)));
    t.client(Build::ask(OPLOCK_BREAK, 5, lease())).server(Build::answer(OPLOCK_BREAK, 5, lease()));
    assert_eq!(t.said().len(), told);
    t.client(write(6, id(1, 1), 0, b"x")).server(wrote(6, 1));
    assert_eq!(t.written(), [("a", &b"x"[..])]);
}

#[test]
fn a_close_tells_the_size_where_the_answer_has_it() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 9).client(close(4, id(1, 1))).server(closed(4, 12));
    t.open(5, "b", id(2, 2), 9).client(close(6, id(2, 2))).server(closed_plainly(6));
    let sizes: Vec<_> = t.log.events("Size").iter().map(|s| s.split("size: ").nth(1).unwrap()).collect();
    assert_eq!(sizes, ["9, from: Create }", "12, from: Close }", "9, from: Create }"]);
    t.open(7, "c", id(3, 3), 9).client(close(8, id(3, 3))).server(error(6, 8, 0xC000_0128));
    assert!(t.log.events("Closed")[2].contains(&format!("status: Some({}), by_close: true", 0xC000_0128u32)));
}

#[test]
fn names_lie_where_the_message_says_or_are_not_known() {
    let mut cut = create(3, "name").0;
    cut.truncate(cut.len() - 10);
    let mut t = Talk::new();
    t.start(false).client(Build(cut)).server(created(3, id(1, 1), 0));
    assert!(t.log.events("Opened")[0].contains("name: None"), "{:?}", t.said());
}
