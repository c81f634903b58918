//! AndX chains.

use super::build::*;

#[test]
fn a_write_in_the_chain_of_its_open() {
    for fid in [0xFFFF, 0x4000] {
        let mut t = Talk::new();
        t.tree(false).open(9, "other", 0x4000, 0);
        let mut name = vec![0];
        name.extend(wide("\\new"));
        let open = Build::request(0xA2, 2).block(&nt_create_words("\\new"), &name);
        let at = open.clone().done().len() + 1 + 28 + 2;
        let chain = open.and_x(0x2F, &write_words(fid, 5, 3, at as u16), b"abc").and_x(0x04, &W::default().w(fid).d(0).0, &[]);
        t.client(chain);
        t.server(
            Build::answer(0xA2, 2).block(&nt_created_words(8, 0), &[]).and_x(0x2F, &W::and_x().w(3).w(0).d(0).0, &[]).and_x(
                0x04,
                &[],
                &[],
            ),
        );
        let opened = t.log.events("Opened");
        assert_eq!(opened.len(), 3);
        assert!(opened[1].contains("OpenId(4)") && opened[1].contains("answered: false"), "{opened:?}");
        assert!(opened[2].contains("OpenId(4)") && opened[2].contains("file_id: [8, 0]"));
        assert_eq!(&t.log.written[&4].bytes[5..], b"abc");
        assert_eq!(t.log.events("Closed"), ["Closed { open: OpenId(4), status: Some(0), by_close: true }"]);
    }
}

#[test]
fn a_chain_whose_open_fails_writes_nothing() {
    let mut t = Talk::new();
    t.tree(false);
    let open = Build::request(0xA2, 2).block(&nt_create_words("x"), &[&[0][..], &wide("x")].concat());
    let at = open.clone().done().len() + 1 + 28 + 2;
    t.client(open.and_x(0x2F, &write_words(0xFFFF, 0, 3, at as u16), b"abc"));
    t.server(bare(0xA2, 2).status(0xC000_0022));
    assert_eq!(t.log.events("OpenFailed"), ["OpenFailed { name: \"x\", status: 3221225506 }"]);
    assert!(t.log.events("WriteDone")[0].ends_with("written: Some(0) }"));
    assert_eq!(t.log.events("Closed"), ["Closed { open: OpenId(3), status: Some(3221225506), by_close: false }"]);
}

#[test]
fn open_and_read_answered_in_one() {
    let mut t = Talk::new();
    t.tree(false);
    let words = W::and_x().w(0).w(0).w(0).w(0).d(0).w(1).d(0).d(0).d(0).0;
    let open = Build::request(0x2D, 2).block(&words, &[&[0][..], &wide("\\f")].concat());
    t.client(open.and_x(0x2E, &W::and_x().w(0).d(2).w(9).w(0).d(0).w(0).0, &[]));
    let words = W::and_x().w(5).w(0x20).d(1).d(44).w(0).w(0).w(0).w(1).z(6).0;
    let answer = Build::answer(0x2D, 2).block(&words, &[]);
    let at = answer.clone().done().len() + 1 + 24 + 2;
    let words = W::and_x().w(0).w(0).w(0).w(3).w(at as u16).w(0).z(8).0;
    t.server(answer.and_x(0x2E, &words, b"abc"));
    assert!(t.log.events("Opened")[1].contains("size: Some(44)"));
    assert!(t.log.events("Opened")[1].contains("116444736010000000"), "seconds become FILETIME");
    assert_eq!(&t.log.read.values().next().unwrap().bytes[2..], b"abc");
}

#[test]
fn a_chain_that_does_not_advance_is_odd() {
    let mut t = Talk::new();
    let mut bytes = Build::request(0x74, 2).block(&W::and_x().0, &[]).done();
    bytes[33..37].copy_from_slice(&[0x74, 0, 32, 0]);
    t.bytes(crate::flow::Way::ToServer, &bytes);
    assert_eq!(t.log.events("Odd"), ["Odd { name: \"smb1_andx_no_advance\", bytes: 39 }"]);
}
