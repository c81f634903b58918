//! Negotiation, sessions, trees.

use super::build::*;

#[test]
fn the_dialect_is_named() {
    let names = b"\x02PC NETWORK PROGRAM 1.0\0\x02LANMAN1.0\0\x02NT LM 0.12\0";
    let mut t = Talk::new();
    t.client(Build::request(0x72, 0).tid(0xFFFF).uid(0).block(&[], names));
    t.server(Build::answer(0x72, 0).block(&W::default().w(1).z(24).0, &[]));
    assert_eq!(t.log.events("Neg"), ["Negotiated { dialect: \"LANMAN1.0\", server_guid: None }"]);
    // No dialect; and then NT LM 0.12 without its request, with the server's GUID.
    t.client(Build::request(0x72, 0).block(&[], names)).server(Build::answer(0x72, 0).block(&W::default().w(0xFFFF).0, &[]));
    assert_eq!(t.log.count("Command"), 1);
    let words = W::default().w(0).z(17).d(0x8000_0000).z(11).0;
    t.server(Build::answer(0x72, 1).flags2(0xC801).block(&words, &[5; 16]));
    assert_eq!(t.log.events("Neg")[1], format!("Negotiated {{ dialect: \"NT LM 0.12\", server_guid: Some({:?}) }}", [5; 16]));
}

#[test]
fn extended_set_up_in_two_rounds() {
    let set_up = |mid, uid, token: &[u8]| {
        let words = W::and_x().w(0).w(2).w(0).d(0).w(token.len() as u16).d(0).d(0).0;
        Build::request(0x73, mid).uid(uid).flags2(0xC801).block(&words, token)
    };
    let answer = |mid, token: &[u8]| Build::answer(0x73, mid).uid(77).block(&W::and_x().w(1).w(token.len() as u16).0, token);
    let mut t = Talk::new();
    t.client(set_up(1, 0, &[1])).server(answer(1, &[2]).status(0xC000_0016));
    t.client(set_up(2, 77, &[3])).server(answer(2, &[4]));
    let tokens = [
        "Token { way: ToServer, token: [1], status: None }",
        "Token { way: ToClient, token: [2], status: Some(3221225494) }",
        "Token { way: ToServer, token: [3], status: None }",
        "Token { way: ToClient, token: [4], status: Some(0) }",
    ];
    assert_eq!(t.log.events("Token"), tokens);
    assert_eq!(t.log.events("SessionO"), ["SessionOpened { guest: true }"]);
    let first = t.log.said[0].0.session;
    assert!(first.is_some() && t.log.said.iter().all(|s| s.0.session == first));
    t.client(Build::request(0x74, 3).uid(77).block(&W::and_x().0, &[]))
        .server(Build::answer(0x74, 3).uid(77).block(&W::and_x().0, &[]));
    assert_eq!(t.log.events("SessionC"), ["SessionClosed"]);
}

#[test]
fn plain_set_up_with_its_tree_in_one_chain() {
    let mut t = Talk::new();
    let words = W::and_x().w(0).w(2).w(0).d(0).w(3).w(2).d(0).d(0).0;
    let mut bytes = vec![9, 9, 9, 8, 8];
    bytes.extend(wide("bob"));
    bytes.extend(wide("DOM"));
    bytes.extend(wide("OS"));
    let mut tree = vec![0];
    if (32 + 1 + 26 + 2 + bytes.len() + 1 + 8 + 2 + 1) % 2 == 1 {
        tree.push(0);
    }
    tree.extend(wide("\\\\S\\C$"));
    tree.extend(b"?????\0");
    t.client(Build::request(0x73, 1).uid(0).block(&words, &bytes).and_x(0x75, &W::and_x().w(0).w(1).0, &tree));
    t.server(Build::answer(0x73, 1).tid(4).uid(6).block(&W::and_x().w(0).0, &[]).and_x(0x75, &W::and_x().w(0).0, b"A:\0"));
    assert_eq!(t.log.events("Plain"), ["PlainSetUp { user: \"bob\", domain: \"DOM\", status: Some(0) }"]);
    assert_eq!(t.log.events("SessionO"), ["SessionOpened { guest: false }"]);
    let tree = t.log.events("TreeC")[0];
    assert_eq!(tree, "TreeConnected { path: \"\\\\\\\\S\\\\C$\", kind: Disk, service: Some(\"A:\"), file_system: None }");
    let context = t.log.said.last().unwrap().0;
    assert!(context.session.is_some() && context.tree.is_some());
}

#[test]
fn a_refused_set_up_is_no_session() {
    let mut t = Talk::new();
    let words = W::and_x().w(0).w(2).w(0).d(0).w(0).d(0).0;
    t.client(Build::request(0x73, 1).uid(0).flags2(1).block(&words, b"EVE\0DOM\0"));
    t.server(bare(0x73, 1).status(u32::from_le_bytes([2, 0, 2, 0])).flags2(1));
    assert_eq!(t.log.events("Plain"), ["PlainSetUp { user: \"EVE\", domain: \"DOM\", status: Some(3221225578) }"]);
    assert_eq!(t.log.count("SessionOpened"), 0);
}

#[test]
fn core_tree_connects_and_the_end_of_a_tree() {
    let mut t = Talk::new();
    t.client(Build::request(0x70, 1).tid(0).flags2(0).block(&[], b"\x04\\\\S\\D\0\x04\0\x04A:\0"));
    t.server(Build::answer(0x70, 1).flags2(0).block(&W::default().w(4096).w(1).0, &[]));
    assert!(t.log.events("TreeC")[0].contains("kind: Disk"));
    t.open(2, "a", 7, 0).client(Build::request(0x71, 3).block(&[], &[])).server(bare(0x71, 3));
    assert!(t.log.events("Closed")[0].ends_with("status: None, by_close: false }"));
    assert_eq!(t.log.count("TreeDisconnected"), 1);
    // The same tree id is another tree now.
    let before = t.log.said.iter().find(|s| s.1.starts_with("TreeC")).unwrap().0.tree;
    t.tree(false);
    assert_ne!(t.log.said.last().unwrap().0.tree, before);
}
