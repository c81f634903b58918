//! NEGOTIATE, SESSION_SETUP, TREE_CONNECT and their ends; bound channels.

use super::build::*;

#[test]
fn a_dialect_with_the_servers_guid() {
    for (revision, name) in [(0x0202, "2.0.2"), (0x0210, "2.1"), (0x0300, "3.0"), (0x0302, "3.0.2"), (0x0311, "3.1.1")] {
        let mut t = Talk::new();
        t.client(negotiate(0, &[0x0202, revision])).server(negotiated(0, revision, [7; 16]));
        let guid = format!("{:?}", Some([7u8; 16]));
        assert_eq!(t.said(), [format!("Negotiated {{ dialect: {name:?}, server_guid: {guid} }}")]);
    }
    // Refused, and a revision that nobody knows.
    let mut t = Talk::new();
    t.client(negotiate(0, &[0x0202])).server(error(0, 0, 0xC000_00BB)).server(negotiated(1, 0x0999, [7; 16]));
    assert_eq!(t.said(), [""; 0]);
}

#[test]
fn tokens_are_told_under_the_session_that_the_answer_names() {
    let mut t = Talk::new();
    t.client(set_up(1, 0, b"one").session(0)).server(set_up_answer(1, b"two").status(0xC000_0016));
    t.client(set_up(2, 0, b"three")).server(set_up_answer(2, b"four"));
    let bytes = |s: &[u8]| format!("{s:?}");
    assert_eq!(
        t.said(),
        [
            format!("Token {{ way: ToServer, token: {}, status: None }}", bytes(b"one")),
            format!("Token {{ way: ToClient, token: {}, status: Some({}) }}", bytes(b"two"), 0xC000_0016u32),
            format!("Token {{ way: ToServer, token: {}, status: None }}", bytes(b"three")),
            format!("Token {{ way: ToClient, token: {}, status: Some(0) }}", bytes(b"four")),
            "SessionOpened { guest: false }".into(),
        ]
    );
    let sessions: Vec<_> = t.log.said.iter().filter(|s| s.1.starts_with("Token")).map(|s| s.0.session.unwrap()).collect();
    assert!(sessions.iter().all(|s| *s == sessions[0]));
    // The first request's token is told of the packet that it came in.
    assert_eq!(t.log.said[0].0.at.number, 1);
}

#[test]
fn a_logon_that_fails_opens_no_session() {
    let mut t = Talk::new();
    t.client(set_up(1, 0, b"x").session(0)).server(error(1, 1, 0xC000_006D));
    assert_eq!((t.log.count("SessionOpened"), t.log.count("Token")), (0, 2));
    assert!(t.log.events("Token")[1].contains(&format!("Some({})", 0xC000_006Du32)));
    // Its answer is not in the capture: the token is told all the same.
    let mut t = Talk::new();
    t.client(set_up(1, 0, b"x").session(0)).end();
    assert_eq!(t.log.count("Token"), 1);
}

#[test]
fn logoff_closes_what_the_session_had_open_and_no_other() {
    let mut t = Talk::new();
    t.start(false).open(3, "mine", id(1, 1), 0);
    t.client(create(4, "other").session(0x99)).server(created(4, id(2, 2), 0).session(0x99));
    t.client(Build::ask(2, 5, bare())).server(Build::answer(2, 5, bare()));
    let [mine, other] = t.opens()[..] else { panic!() };
    assert_eq!(t.log.events("Closed"), [format!("Closed {{ open: OpenId({mine}), status: None, by_close: false }}")]);
    assert_eq!(t.log.count("SessionClosed"), 1);
    // The other session's goes on.
    t.client(write(6, id(2, 2), 0, b"x").session(0x99)).server(wrote(6, 1).session(0x99));
    assert!(t.log.written.contains_key(&other));
    // A refused LOGOFF closes nothing.
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 0).client(Build::ask(2, 5, bare())).server(error(2, 5, 0xC000_0022));
    assert_eq!(t.log.count("Closed") + t.log.count("SessionClosed"), 0);
}

#[test]
fn tree_connects_tell_path_and_kind() {
    for (kind, name) in [(1, "Disk"), (2, "Pipe"), (3, "Print"), (9, "Unknown")] {
        let mut t = Talk::new();
        t.client(tree_connect(2, "\\\\S\\sh\u{e4}re")).server(tree_connected(2, kind));
        let said = format!("TreeConnected {{ path: {:?}, kind: {name}, service: None, file_system: None }}", "\\\\S\\sh\u{e4}re");
        assert_eq!(t.said(), [said]);
    }
    let mut t = Talk::new();
    t.client(tree_connect(2, "\\\\S\\no")).server(error(3, 2, 0xC000_00CC));
    assert_eq!(t.said(), [""; 0]);
}

#[test]
fn tree_disconnect_closes_what_was_open_in_it() {
    let mut t = Talk::new();
    t.start(false).open(3, "in", id(1, 1), 0);
    t.client(create(4, "out").tree(6)).server(created(4, id(2, 2), 0).tree(6));
    t.client(Build::ask(4, 5, bare())).server(Build::answer(4, 5, bare()));
    let within = t.opens()[0];
    assert_eq!(t.log.events("Closed"), [format!("Closed {{ open: OpenId({within}), status: None, by_close: false }}")]);
    assert_eq!(t.log.count("TreeDisconnected"), 1);
    t.client(write(6, id(2, 2), 0, b"x").tree(6)).server(wrote(6, 1).tree(6));
    assert_eq!(t.written(), [("out", &b"x"[..])]);
}

/// [MS-SMB2] 3.3.5.5.2: a channel is bound to a session; the server's addresses may differ.
#[test]
fn a_bound_channel_moves_the_same_file() {
    for guid in [true, false] {
        let mut t = Talk::new();
        let first = [10, 0, 0, 2];
        let second = if guid { [10, 0, 9, 2] } else { first };
        if guid {
            t.client(negotiate(0, &[0x0300])).server(negotiated(0, 0x0300, [7; 16]));
        }
        t.start(false).open(3, "big", id(1, 1), 0);
        t.on(2, second);
        if guid {
            t.client(negotiate(0, &[0x0300])).server(negotiated(0, 0x0300, [7; 16]));
        }
        t.client(set_up(1, 1, b"bind")).server(set_up_answer(1, b""));
        t.client(write(2, id(1, 1), 4, b"BBBB")).server(wrote(2, 4));
        t.on(1, first).client(write(4, id(1, 1), 0, b"AAAA")).server(wrote(4, 4));
        assert_eq!((t.written(), t.log.count("Opened"), t.log.count("Closed")), (vec![("big", &b"AAAABBBB"[..])], 1, 0));
    }
}

#[test]
fn a_session_id_that_is_given_anew_is_another_session() {
    let mut t = Talk::new();
    t.start(false).open(3, "old", id(1, 1), 0).start(false);
    assert_eq!(t.log.count("Closed"), 1);
    let sessions: Vec<_> = t.log.said.iter().filter(|s| s.1.starts_with("SessionOpened")).map(|s| s.0.session.unwrap()).collect();
    assert_ne!(sessions[0], sessions[1]);
}

/// Signatures are passed over, whatever they are.
#[test]
fn signed_messages_are_read_like_others() {
    let mut t = Talk::new();
    t.start(false).client(create(3, "s").signed()).server(created(3, id(1, 1), 0).signed());
    t.client(write(4, id(1, 1), 0, b"abc").signed()).server(wrote(4, 3).signed());
    t.client(read(5, id(1, 1), 0, 3).signed()).server(given(5, b"abc").signed());
    assert_eq!((t.written(), t.read()), (vec![("s", &b"abc"[..])], vec![("s", &b"abc"[..])]));
}
