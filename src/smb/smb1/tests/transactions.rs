//! Pipes, TRANSACTION2, NT_TRANSACT.

use super::build::*;

/// TRANSACTION or TRANSACTION2 with a setup; the parameters come first, then the data.
fn trans(command: u8, mid: u16, name: &[u8], setup: &[u16], parameters: &[u8], data: &[u8], total: usize) -> Build {
    let at = 32 + 1 + 28 + setup.len() * 2 + 2 + name.len();
    let mut w = W::default().w(parameters.len() as u16).w(total as u16).w(0).w(0).b(0).b(0).w(0).d(0).w(0);
    w = w.w(parameters.len() as u16).w(at as u16).w(data.len() as u16).w((at + parameters.len()) as u16);
    w = w.b(setup.len() as u8).b(0);
    for s in setup {
        w = w.w(*s);
    }
    Build::request(command, mid).block(&w.0, &[name, parameters, data].concat())
}

fn answered(command: u8, mid: u16, parameters: &[u8], data: &[u8], total: usize, at: usize) -> Build {
    let offset = 32 + 1 + 20 + 2;
    let w = W::default().w(parameters.len() as u16).w(total as u16).w(0).w(parameters.len() as u16).w(offset).w(0);
    let w = w.w(data.len() as u16).w(offset + parameters.len() as u16).w(at as u16).b(0).b(0);
    Build::answer(command, mid).block(&w.0, &[parameters, data].concat())
}

/// `\PIPE\` with the byte that makes it begin at an even place.
fn pipe_name(name: &str) -> Vec<u8> {
    [&[0][..], &wide(name)].concat()
}

#[test]
fn transact_on_a_pipe() {
    let mut t = Talk::new();
    t.tree(true).open(1, "\\atsvc", 7, 0);
    t.client(trans(0x25, 2, &pipe_name("\\PIPE\\"), &[0x26, 7], &[], b"bind", 4)).server(answered(0x25, 2, &[], b"ack", 3, 0));
    assert_eq!(t.log.pipes[&(3, true)], b"bind");
    assert_eq!(t.log.pipes[&(3, false)], b"ack");
    let ends = t.log.events("Pipe").iter().filter(|e| e.ends_with("bytes: [] }")).count();
    assert_eq!(ends, 2);
    // An answer that is longer than the client takes goes on in a read.
    t.client(trans(0x25, 3, &pipe_name("\\PIPE\\"), &[0x26, 7], &[], b"call", 4));
    t.server(answered(0x25, 3, &[], b"lo", 2, 0).status(0x8000_0005));
    t.client(read(4, 7, 0, 10)).server(given(4, b"ng"));
    assert_eq!(t.log.pipes[&(3, false)], b"acklong");
    let ends = t.log.events("Pipe").iter().filter(|e| e.ends_with("bytes: [] }")).count();
    assert_eq!(ends, 4);
    assert_eq!(t.log.count("Data") + t.log.count("ReadAsked") + t.log.count("ReadDone"), 0);
}

#[test]
fn secondaries_and_answers_in_parts() {
    let mut t = Talk::new();
    t.tree(true).open(1, "\\atsvc", 7, 0);
    t.client(trans(0x25, 2, &pipe_name("\\PIPE\\"), &[0x26, 7], &[], b"abc", 8)).server(bare(0x25, 2));
    assert_eq!(t.log.count("Pipe"), 0);
    let words = W::default().w(0).w(8).w(0).w(0).w(0).w(5).w(52).w(3).0;
    t.client(Build::request(0x26, 2).block(&words, b"\xEEdefgh"));
    assert_eq!(t.log.pipes[&(3, true)], b"abcdefgh");
    t.server(answered(0x25, 2, &[], b"123", 5, 0));
    assert!(!t.log.pipes.contains_key(&(3, false)));
    t.server(answered(0x25, 2, &[], b"45", 5, 3));
    assert_eq!(t.log.pipes[&(3, false)], b"12345");
}

#[test]
fn writes_on_pipes() {
    let mut t = Talk::new();
    t.tree(true).open(1, "\\atsvc", 7, 0);
    t.client(write(2, 7, 0, b"plain")).server(wrote(2, 5));
    // In message mode the content begins with its length.
    let words = W::and_x().w(7).d(0).d(0).w(0x000C).w(7).w(0).w(7).w(64).d(0).0;
    t.client(Build::request(0x2F, 3).block(&words, b"\xEE\x05\x00MODES"));
    assert_eq!(t.log.pipes[&(3, true)], b"plainMODES");
    assert_eq!(t.log.count("WriteDone") + t.log.count("Data"), 0);
}

#[test]
fn a_pipe_is_known_by_its_answer_or_its_use() {
    let mut t = Talk::new();
    let words = W::and_x().b(0).w(7).d(1).z(36).q(0).q(0).w(2).w(0).b(0).0;
    t.client(nt_create(1, "x")).server(Build::answer(0xA2, 1).block(&words, &[])).client(write(2, 7, 0, b"a"));
    t.client(trans(0x25, 3, &pipe_name("\\PIPE\\"), &[0x26, 9], &[], b"b", 1)).client(write(4, 9, 0, b"c"));
    assert_eq!(t.log.count("Data"), 0);
    assert_eq!(t.log.pipes.values().cloned().collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
}

#[test]
fn call_opens_and_closes_its_pipe() {
    let mut t = Talk::new();
    t.tree(true);
    t.client(trans(0x25, 1, &pipe_name("\\PIPE\\lsarpc"), &[0x54, 0], &[], b"in", 2)).server(answered(
        0x25,
        1,
        &[],
        b"out",
        3,
        0,
    ));
    assert!(t.log.events("Opened")[0].contains("PIPE\\\\lsarpc"));
    assert_eq!(t.log.pipes.values().cloned().collect::<Vec<_>>(), [&b"out"[..], b"in"]);
    assert_eq!(t.log.count("Closed"), 1);
    // The remote administration protocol is passed over.
    t.client(trans(0x25, 2, &pipe_name("\\PIPE\\LANMAN"), &[], b"params", b"", 0)).server(answered(0x25, 2, b"p", b"x", 1, 0));
    assert_eq!(t.log.events("Command").len(), 1);
    assert_eq!(t.log.count("Opened"), 1);
}

#[test]
fn open2_and_queries() {
    let mut t = Talk::new();
    t.tree(false);
    let p = W::default().w(0).w(2).w(0).w(0).d(0).w(0x11).d(0).z(10).s(&wide("\\d\\new")).0;
    t.client(trans(0x32, 1, &[0], &[0], &p, &[], 0));
    let p = W::default().w(7).w(0x20).d(0).d(12).w(2).w(0).w(0).w(2).d(0).w(0).d(0).0;
    t.server(answered(0x32, 1, &p, &[], 0, 0));
    let opened = t.log.events("Opened")[0];
    assert!(
        opened.contains("d\\\\new") && opened.contains("create_action: Some(2)") && opened.contains("disposition: Some(3)"),
        "{opened}"
    );
    for (mid, level, data) in
        [(2, 0x0102, W::default().q(8).q(100).z(8).0), (3, 1018, W::default().z(48).q(101).z(16).0), (4, 0x0101, vec![0; 40])]
    {
        t.client(trans(0x32, mid, &[0], &[7], &W::default().w(7).w(level).0, &[], 0));
        t.server(answered(0x32, mid, &[0, 0], &data, data.len(), 0));
    }
    let p = W::default().w(0x0107).d(0).s(&wide("\\D\\NEW")).0;
    t.client(trans(0x32, 5, &[0], &[5], &p, &[], 0));
    let data = W::default().z(48).q(102).z(20).0;
    t.server(answered(0x32, 5, &[0, 0], &data, data.len(), 0));
    let sizes: Vec<_> = t.log.events("Size").iter().map(|s| s.split("size: ").nth(1).unwrap()).collect();
    assert_eq!(sizes, ["100, from: Query }", "101, from: Query }", "102, from: Query }"]);
}

#[test]
fn changes_count_when_answered_with_success() {
    let mut t = Talk::new();
    t.tree(false).open(1, "\\d\\a", 7, 0);
    let mut set = |mid: u16, level: u16, data: &[u8], status: u32| {
        t.client(trans(0x32, mid, &[0], &[8], &W::default().w(7).w(level).w(0).0, data, data.len()));
        t.server(answered(0x32, mid, &[0, 0], &[], 0, 0).status(status));
    };
    set(2, 0x0104, &55u64.to_le_bytes(), 0);
    set(3, 1020, &56u64.to_le_bytes(), 0xC000_0022);
    set(4, 1013, &[1], 0);
    set(5, 0x0102, &[0], 0);
    let name: Vec<u8> = "new".encode_utf16().flat_map(u16::to_le_bytes).collect();
    set(6, 1010, &W::default().d(0).d(0).d(6).s(&name).0, 0);
    assert_eq!(t.log.events("Size"), ["Size { open: OpenId(3), size: 55, from: SetEndOfFile }"]);
    assert_eq!(t.log.events("Deleted"), ["Deleted { open: Some(OpenId(3)), name: Some(\"d\\\\a\") }"]);
    assert_eq!(t.log.events("Renamed"), ["Renamed { open: OpenId(3), to: \"d\\\\new\" }"]);
}

#[test]
fn listings() {
    let mut t = Talk::new();
    t.tree(false);
    let p = W::default().w(0x16).w(100).w(6).w(0x0101).d(0).s(&wide("\\*")).0;
    t.client(trans(0x32, 1, &[0], &[1], &p, &[], 0));
    let data = W::default().d(0).d(0).z(16).q(5).q(0).q(77).q(0).d(0x20).d(6).s(&[b'a', 0, b'b', 0, b'c', 0]).0;
    t.server(answered(0x32, 1, &[0; 10], &data, data.len(), 0));
    assert_eq!(t.log.events("Listed"), ["Listed { open: None, entries: [(\"abc\", 77, 32, 5)] }"]);
}

fn nt(mid: u16, function: u16, setup: &[u8], parameters: &[u8], data: &[u8]) -> Build {
    let at = (32 + 1 + 38 + setup.len() + 2) as u32;
    let (p, d) = (parameters.len() as u32, data.len() as u32);
    let w = W::default().b(0).w(0).d(p).d(d).d(0).d(0).d(p).d(at).d(d).d(at + p).b((setup.len() / 2) as u8).w(function).s(setup);
    Build::request(0xA0, mid).block(&w.0, &[parameters, data].concat())
}

fn nt_answered(mid: u16, parameters: &[u8], data: &[u8]) -> Build {
    let at = 32 + 1 + 36 + 2;
    let (p, d) = (parameters.len() as u32, data.len() as u32);
    let w = W::default().z(3).d(p).d(d).d(p).d(at).d(0).d(d).d(at + p).d(0).b(0);
    Build::answer(0xA0, mid).block(&w.0, &[parameters, data].concat())
}

#[test]
fn nt_create_zero_and_copy() {
    let mut t = Talk::new();
    t.tree(false);
    let name = wide("\\f");
    let p = W::default().d(0).d(0).d(3).q(0).d(0).d(0).d(5).d(0).d(0).d(0).d(4).d(0).b(0).b(0).s(&name).0;
    t.client(nt(1, 1, &[], &p, &[]));
    let p = W::default().b(0).b(0).w(7).d(2).d(0).q(1).q(2).q(3).q(4).d(0x20).q(0).q(9).w(0).w(0).b(0).0;
    t.server(nt_answered(1, &p, &[]));
    let opened = t.log.events("Opened")[0];
    assert!(
        opened.contains("name: Some(\"f\")") && opened.contains("size: Some(9)") && opened.contains("times: [1, 2, 3, 4]"),
        "{opened}"
    );
    t.open(2, "g", 8, 0);
    let control = |code: u32, fid: u16| W::default().d(code).w(fid).w(1).0;
    t.client(nt(3, 2, &control(0x0009_80C8, 7), &[], &W::default().q(10).q(30).0)).server(nt_answered(3, &[], &[]));
    t.client(nt(4, 2, &control(0x0014_0078, 7), &[], &[])).server(nt_answered(4, &[], &[3; 32]));
    let copy = W::default().s(&[3; 24]).d(1).d(0).q(5).q(6).d(4).d(0).0;
    t.client(nt(5, 2, &control(0x0014_40F2, 8), &[], &copy)).server(nt_answered(5, &[], &[]));
    assert_eq!(
        t.log.events("ServerCopy"),
        [
            "ServerCopy { open: OpenId(3), source: None, offset: 10, length: 20, fsctl: 622792 }",
            "ServerCopy { open: OpenId(4), source: Some(OpenId(3)), offset: 6, length: 4, fsctl: 1327346 }"
        ]
    );
}
