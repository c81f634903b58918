//! SET_INFO, QUERY_INFO, QUERY_DIRECTORY and the FSCTLs that change a file.

use super::build::*;

const SRV_REQUEST_RESUME_KEY: u32 = 0x0014_0078;
const SRV_COPYCHUNK: u32 = 0x0014_40F2;
const SRV_COPYCHUNK_WRITE: u32 = 0x0014_80F2;
const DUPLICATE_EXTENTS: u32 = 0x0009_8344;
const DUPLICATE_EXTENTS_EX: u32 = 0x0009_83E8;
const SET_ZERO_DATA: u32 = 0x0009_80C8;

fn rename(to: &str) -> Vec<u8> {
    let name = wide(to);
    w().b(0).z(7).q(0).d(name.len() as u32).s(&name).0
}

#[test]
fn a_rename_counts_when_it_was_answered_with_success() {
    for class in [10, 65] {
        let mut t = Talk::new();
        t.start(false).open(3, "old", id(1, 1), 0);
        t.client(set_info(4, id(1, 1), class, &rename("no"))).server(error(17, 4, 0xC000_0035));
        assert_eq!(t.log.count("Renamed"), 0);
        t.client(set_info(5, id(1, 1), class, &rename("\\dir\\new"))).server(was_set(5));
        assert_eq!(t.log.events("Renamed"), [format!("Renamed {{ open: OpenId({}), to: \"dir\\\\new\" }}", t.opens()[0])]);
    }
}

#[test]
fn what_is_marked_is_deleted_when_it_is_closed() {
    // FileDispositionInformation; FileDispositionInformationEx, whose first bit says it.
    for (class, mark, unmark) in [(13, vec![1], vec![0]), (64, w().d(3).0, w().d(2).0)] {
        let mut t = Talk::new();
        t.start(false).open(3, "a", id(1, 1), 0).client(set_info(4, id(1, 1), class, &mark)).server(was_set(4));
        assert_eq!(t.log.count("Deleted"), 0);
        t.client(set_info(5, id(1, 1), 10, &rename("b"))).server(was_set(5));
        t.client(close(6, id(1, 1))).server(closed(6, 0));
        assert_eq!(t.log.events("Deleted"), [format!("Deleted {{ open: Some(OpenId({})), name: Some(\"b\") }}", t.opens()[0])]);
        t.open(7, "kept", id(2, 2), 0).client(set_info(8, id(2, 2), class, &mark)).server(was_set(8));
        t.client(set_info(9, id(2, 2), class, &unmark)).server(was_set(9));
        t.client(close(10, id(2, 2))).server(closed(10, 0));
        assert_eq!(t.log.count("Deleted"), 1);
    }
}

#[test]
fn ends_of_files_are_set_and_asked_for() {
    let mut t = Talk::new();
    t.start(false).open(3, "a", id(1, 1), 7);
    t.client(set_info(4, id(1, 1), 20, &w().q(5).0)).server(was_set(4));
    t.client(set_info(5, id(1, 1), 20, &w().q(6).0)).server(error(17, 5, 0xC000_0022));
    // FileStandardInformation, FileAllInformation, FileNetworkOpenInformation; one that has no size; one that is refused.
    let standard = w().q(4096).q(11).d(1).w(0).w(0).0;
    let all = w().z(40).s(&w().q(4096).q(12).d(1).w(0).w(0).0).z(32).0;
    let network = w().z(32).q(4096).q(13).d(0x20).d(0).0;
    for (mid, class, data) in [(6, 5, &standard), (7, 18, &all), (8, 34, &network), (9, 4, &standard)] {
        t.client(query_info(mid, id(1, 1), class)).server(buffer(16, mid, data));
    }
    t.client(query_info(10, id(1, 1), 5)).server(error(16, 10, 0xC000_0022));
    let sizes: Vec<_> = t.log.events("Size").iter().map(|s| s.split("size: ").nth(1).unwrap()).collect();
    // In FileNetworkOpenInformation the real size stands behind the allocated one ([MS-FSCC] 2.4.29).
    assert_eq!(
        sizes,
        ["7, from: Create }", "5, from: SetEndOfFile }", "11, from: Query }", "12, from: Query }", "13, from: Query }"]
    );
}

/// Classes by the place of the name ([MS-FSCC] 2.4): what stands between size and name is not looked at.
#[test]
fn directories_are_listed() {
    for (class, between) in [(1, 0), (2, 4), (3, 30), (37, 40), (38, 16), (60, 24)] {
        let entry = |name: &str, size: u64, last: bool| {
            let name = wide(name);
            let len = (64 + between + name.len()).next_multiple_of(8) as u32;
            let fixed = w().d(if last { 0 } else { len }).d(0).q(1).q(2).q(3).q(4).q(size).q(4096).d(0x20).d(name.len() as u32);
            fixed.z(between).s(&name).align().0
        };
        let mut t = Talk::new();
        t.start(false).open(3, "dir", id(1, 1), 0).client(query_directory(4, id(1, 1), class));
        t.server(buffer(14, 4, &[entry("a.job", 9, false), entry("\u{e4}", 10, true)].concat()));
        let open = t.opens()[0];
        let said = format!("Listed {{ open: Some(OpenId({open})), entries: [(\"a.job\", 9, 32, 3), (\"\u{e4}\", 10, 32, 3)] }}");
        assert_eq!(t.log.events("Listed"), [said], "class {class}");
        t.client(query_directory(5, id(1, 1), class)).server(error(14, 5, 0x8000_0006));
        assert_eq!(t.log.count("Listed"), 1);
    }
    // Names alone.
    let mut t = Talk::new();
    t.start(false).client(query_directory(4, id(1, 1), 12)).server(buffer(14, 4, &w().d(0).d(0).d(2).s(&wide("n")).0));
    assert!(t.log.events("Listed")[0].contains("[(\"n\", 0, 0, 0)]"));
}

#[test]
fn the_server_copies_chunks_from_the_file_of_a_key() {
    for code in [SRV_COPYCHUNK, SRV_COPYCHUNK_WRITE] {
        let mut t = Talk::new();
        t.start(false).open(3, "from", id(1, 1), 8).open(4, "to", id(2, 2), 0);
        let [from, to] = t.opens()[..] else { panic!() };
        let key = [b'K'; 24];
        t.client(ioctl(5, id(1, 1), SRV_REQUEST_RESUME_KEY, b""));
        t.server(ioctl_answer(5, id(1, 1), SRV_REQUEST_RESUME_KEY, &[&key[..], &[0; 8]].concat()));
        let chunks = w().s(&key).d(2).d(0).q(0).q(0).d(5).d(0).q(5).q(100).d(3).d(0).0;
        t.client(ioctl(6, id(2, 2), code, &chunks)).server(ioctl_answer(6, id(2, 2), code, &w().d(2).d(0).d(8).0));
        let said = |source: &str, offset, length| {
            format!("ServerCopy {{ open: OpenId({to}), source: {source}, offset: {offset}, length: {length}, fsctl: {code} }}")
        };
        let known = format!("Some(OpenId({from}))");
        assert_eq!(t.log.events("ServerCopy"), [said(&known, 0, 5), said(&known, 100, 3)]);
        // Of a key that nobody has seen; and one that is refused.
        let other = w().s(&[b'X'; 24]).d(1).d(0).q(0).q(7).d(1).d(0).0;
        t.client(ioctl(7, id(2, 2), code, &other)).server(ioctl_answer(7, id(2, 2), code, &w().d(1).d(0).d(1).0));
        t.client(ioctl(8, id(2, 2), code, &chunks)).server(error(11, 8, 0xC000_000D));
        assert_eq!(t.log.events("ServerCopy")[2..], [said("None", 7, 1)]);
    }
}

#[test]
fn extents_are_duplicated_and_ranges_zeroed() {
    let mut t = Talk::new();
    t.start(false).open(3, "from", id(1, 1), 8).open(4, "to", id(2, 2), 0);
    let [from, to] = t.opens()[..] else { panic!() };
    let range = || w().s(&id(1, 1)).q(0).q(4096).q(8);
    let mut said = Vec::new();
    for (mid, code, input) in [(5, DUPLICATE_EXTENTS, range()), (6, DUPLICATE_EXTENTS_EX, w().q(48).s(&range().0).d(0).d(0))] {
        t.client(ioctl(mid, id(2, 2), code, &input.0)).server(ioctl_answer(mid, id(2, 2), code, b""));
        said.push(format!(
            "ServerCopy {{ open: OpenId({to}), source: Some(OpenId({from})), offset: 4096, length: 8, fsctl: {code} }}"
        ));
    }
    t.client(ioctl(7, id(2, 2), SET_ZERO_DATA, &w().q(4).q(8).0)).server(ioctl_answer(7, id(2, 2), SET_ZERO_DATA, b""));
    said.push(format!("ServerCopy {{ open: OpenId({to}), source: None, offset: 4, length: 4, fsctl: {SET_ZERO_DATA} }}"));
    t.client(ioctl(8, id(2, 2), SET_ZERO_DATA, &w().q(4).q(8).0)).server(error(11, 8, 0xC000_0022));
    assert_eq!(t.log.events("ServerCopy"), said);
}

/// Those that name no file, as FSCTL_VALIDATE_NEGOTIATE_INFO does.
#[test]
fn an_ioctl_without_a_file_opens_none() {
    let mut t = Talk::new();
    t.start(false).client(ioctl(3, SAME, 0x0014_0204, &[0; 24])).server(ioctl_answer(3, SAME, 0x0014_0204, &[0; 24]));
    assert_eq!(t.log.count("Opened"), 0);
}
