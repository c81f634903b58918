//! The rules of sizes, versions, completeness and reasons, one by one.

use super::*;
use crate::objects::size::SizeSource;
use crate::objects::transfer::amount;

#[test]
fn a_file_read_in_order_is_whole() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 11);
    s.read(OPEN, 0, b"hello ");
    s.read(OPEN, 6, b"world");
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert!(t.complete && t.closed && !t.unconfirmed);
    assert_eq!((t.size, t.size_from, t.seen_bytes, t.packets), (Some(11), Some(SizeSource::Create), 11, 2));
    assert_eq!(t.content.sha256.as_deref(), Some(sha256(b"hello world").as_str()));
    assert_eq!(t.content.content_id, t.content.sha256_seen);
    assert_eq!(t.content.md5.as_deref(), Some("5eb63bbbe01eeed093cb22bb8f5acdc3"));
    assert_eq!(t.content.sha1.as_deref(), Some("2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"));
    assert_eq!((t.content.mime_type, t.wholeness().as_str()), ("text/plain", "whole"));
    assert_eq!((t.ts.as_nanos(), t.ts_end.as_nanos()), (1_000, 8_000));
    assert_eq!((t.first_packet.number, t.last_packet.number), (3, 6));
}

#[test]
fn what_was_not_asked_for_is_not_lost() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 2_726_297);
    s.read(OPEN, 0, &[7; 4096]);
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert!(!t.complete && t.content.sha256.is_none() && t.content.content_id.starts_with("p-"));
    assert_eq!(missing(&t), vec![(4096, 2_726_297, Why::NotRequested)]);
    assert_eq!(t.wholeness(), "the client asked for 4 KiB of 2.6 MiB");
}

#[test]
fn lost_bytes_are_lost() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 6000);
    let operation = s.operation();
    s.tell(&What::ReadAsked { open: OPEN, operation, offset: 0, length: 6000 });
    s.data(OPEN, Action::Read, operation, 0, &[1; 1460]);
    s.tell(&What::DataLost { open: OPEN, action: Action::Read, operation, offset: 1460, length: 1460 });
    s.data(OPEN, Action::Read, operation, 2920, &[1; 3080]);
    s.tell(&What::ReadDone { open: OPEN, operation, offset: 0, asked: Some(6000), given: 6000, status: 0 });
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!(missing(&t), vec![(1460, 2920, Why::Lost)]);
    assert_eq!(t.wholeness(), "lost 1,460 bytes");
    bytes_of(&t);
}

#[test]
fn asked_and_never_answered_is_lost() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 100);
    let operation = s.operation();
    s.tell(&What::ReadAsked { open: OPEN, operation, offset: 20, length: 1000 });
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!(missing(&t), vec![(0, 20, Why::NotRequested), (20, 100, Why::Lost)]);
}

#[test]
fn a_refused_read_is_no_transfer() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 100);
    let operation = s.operation();
    s.tell(&What::ReadAsked { open: OPEN, operation, offset: 0, length: 10 });
    s.tell(&What::ReadDone { open: OPEN, operation, offset: 0, asked: Some(10), given: 0, status: 0xC000_0022 });
    s.close(OPEN);
    assert!(s.end().0.is_empty());
}

#[test]
fn the_end_of_file_tells_a_size_only_where_it_was_reached() {
    let unknown =
        |s: &mut Script| s.tell(&What::Opened { open: OPEN, file: Opened { file_id: vec![1, 2], ..Opened::default() } });
    let mut s = Script::new();
    unknown(&mut s);
    s.read(OPEN, 0, b"abc");
    s.end_of_file(OPEN, 3);
    let (t, _folder) = s.only();
    assert!(t.complete && t.size_from == Some(SizeSource::EndOfFile) && !t.closed);

    let mut s = Script::new();
    unknown(&mut s);
    s.read(OPEN, 0, b"abc");
    s.end_of_file(OPEN, 10);
    let (t, _folder) = s.only();
    assert!(!t.complete && t.size.is_none());
    assert_eq!(t.wholeness(), "its size is not known");
}

#[test]
fn empty_files_need_a_reason() {
    // Opened for its attributes, or a directory, or opened as it is: nothing.
    for (action, access, directory) in [(2, 0x80, false), (2, 3, true), (1, 3, false)] {
        let mut s = Script::new();
        let file = Opened {
            create_action: Some(action),
            access: Some(access),
            size: Some(0),
            directory,
            answered: true,
            ..Opened::default()
        };
        s.tell(&What::Opened { open: OPEN, file });
        s.close(OPEN);
        assert!(s.end().0.is_empty(), "{action} {access} {directory}");
    }
    // Made with access to data.
    for action in [0, 2, 3] {
        let mut s = Script::new();
        s.opened(OPEN, action, 0);
        s.close(OPEN);
        let (t, _folder) = s.only();
        assert!(t.complete && t.action == Action::Write && t.size == Some(0), "{t:?}");
        assert_eq!(t.content.content_id, sha256(b""));
        assert_eq!(std::fs::read(t.content.stored.unwrap()).unwrap(), b"");
    }
    // The same, not closed.
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    let (t, _folder) = s.only();
    assert!(!t.complete && t.wholeness() == "not closed");
    // END_OF_FILE at 0.
    let mut s = Script::new();
    s.opened(OPEN, 1, 0);
    s.end_of_file(OPEN, 0);
    let (t, _folder) = s.only();
    assert!(t.complete && t.action == Action::Read);
    // Cut to nothing.
    let mut s = Script::new();
    s.opened(OPEN, 1, 50);
    s.size(OPEN, 0, SizeFrom::SetEndOfFile);
    let (t, _folder) = s.only();
    assert!(t.complete && t.action == Action::Write && t.size_from == Some(SizeSource::SetEndOfFile));
}

#[test]
fn a_rewritten_head_is_not_the_file() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 4896);
    s.read(OPEN, 0, &[1; 4096]);
    s.write(OPEN, 0, &[2; 4096]);
    s.tell(&What::Closed { open: OPEN, status: Some(0xC000_0128), by_close: true });
    let (all, _folder) = s.end();
    assert_eq!(all.len(), 2);
    assert_eq!(missing(&all[0]), vec![(4096, 4896, Why::NotRequested)]);
    assert_eq!((all[1].complete, missing(&all[1])), (false, vec![(4096, 4896, Why::NotRewritten)]));
    assert_eq!(all[1].wholeness(), "the client rewrote 4 KiB of 4,896 bytes");
}

#[test]
fn a_new_file_is_whole_only_when_it_was_closed() {
    for (close, told, complete) in [(true, None, true), (false, None, false), (false, Some(4), true), (true, Some(6), false)] {
        let mut s = Script::new();
        s.opened(OPEN, 2, 0);
        if let Some(size) = told {
            s.size(OPEN, size, SizeFrom::SetEndOfFile);
        }
        s.write(OPEN, 0, b"data");
        if close {
            s.close(OPEN);
        }
        let (t, _folder) = s.only();
        assert_eq!(t.complete, complete, "{close} {told:?}");
        if told == Some(6) {
            assert_eq!(missing(&t), vec![(4, 6, Why::NeverWritten)]);
        }
    }
}

#[test]
fn only_answered_writes_count() {
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    s.write(OPEN, 0, b"abcd");
    let (refused, short, silent) = (s.operation(), s.operation(), s.operation());
    s.data(OPEN, Action::Write, refused, 0, b"WXYZ");
    s.data(OPEN, Action::Write, short, 4, b"efgh");
    s.data(OPEN, Action::Write, silent, 6, b"ij");
    s.written(OPEN, short, 4, 4, Some(2));
    s.written(OPEN, refused, 0, 4, Some(0));
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!(t.content.sha256.as_deref(), Some(sha256(b"abcdefij").as_str()));
    assert!(t.unconfirmed && t.versions == 1);
}

#[test]
fn an_overwrite_begins_a_version_that_holds_the_whole_file() {
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    s.write(OPEN, 0, b"????body");
    s.write(OPEN, 4, b"body");
    s.write(OPEN, 0, b"head");
    s.close(OPEN);
    let (all, _folder) = s.end();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].content.sha256_seen, sha256(b"????body"));
    assert!(!all[0].complete, "it was never closed like this");
    assert_eq!(all[1].content.sha256.as_deref(), Some(sha256(b"headbody").as_str()));
    assert_eq!((all[0].version, all[1].version, all[1].versions), (1, 2, 2));
}

#[test]
fn a_lost_overwrite_makes_older_bytes_unknown() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 8);
    s.write(OPEN, 0, b"abcdefgh");
    let operation = s.operation();
    s.tell(&What::DataLost { open: OPEN, action: Action::Write, operation, offset: 2, length: 3 });
    s.written(OPEN, operation, 2, 3, Some(3));
    s.close(OPEN);
    let (all, _folder) = s.end();
    assert!(all[0].complete);
    assert_eq!((all[1].complete, missing(&all[1])), (false, vec![(2, 5, Why::Lost)]));
    // The same where nothing at all of its bytes was told.
    let mut s = Script::new();
    s.opened(OPEN, 1, 8);
    s.write(OPEN, 0, b"abcdefgh");
    let operation = s.operation();
    s.written(OPEN, operation, 2, 3, Some(3));
    s.close(OPEN);
    assert_eq!(missing(&s.end().0[1]), vec![(2, 5, Why::Lost)]);
}

#[test]
fn server_copies_are_not_seen() {
    let mut s = Script::new();
    s.opened(OpenId(7), 1, 100);
    s.opened(OPEN, 2, 0);
    s.tell(&What::ServerCopy { open: OPEN, source: Some(OpenId(7)), offset: 0, length: 60, fsctl: 0x0014_40F2 });
    s.write(OPEN, 60, b"tail");
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!((t.size, missing(&t)), (Some(64), vec![(0, 60, Why::ServerCopy)]));
    assert_eq!(t.copied_from, Some((Some(OpenId(7)), Some(String::from("dir\\file.bin")))));
}

#[test]
fn what_could_not_be_decrypted_is_said() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 100);
    s.read(OPEN, 0, &[1; 50]);
    s.tell(&What::Sealed { session: 5, bytes: 99, why: crate::smb::event::NoPlaintext::WrongKey });
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!(missing(&t), vec![(50, 100, Why::Encrypted)]);
}

#[test]
fn conflicts_are_not_whole() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 100);
    s.read(OPEN, 0, &[1; 100]);
    s.objects.conflict(OPEN, Action::Read, 10, 20).unwrap();
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!((t.complete, t.seen_bytes, missing(&t)), (false, 100, vec![(10, 20, Why::Conflict)]));
    assert_eq!((t.conflicts[0].from, t.conflicts[0].to), (10, 20));
}

#[test]
fn bytes_are_replaced_where_they_are_and_where_they_wait() {
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    let written = s.operation();
    s.data(OPEN, Action::Write, written, 0, b"aaaaxxaaaa");
    s.objects.replace(OPEN, (Action::Write, written), 4, b"bb").unwrap();
    s.written(OPEN, written, 0, 10, Some(10));
    // Aside, for it touches what is there.
    let waits = s.operation();
    s.data(OPEN, Action::Write, waits, 8, b"aaxxaa");
    s.objects.replace(OPEN, (Action::Write, waits), 10, b"cc").unwrap();
    s.objects.conflict(OPEN, Action::Write, 10, 12).unwrap();
    s.written(OPEN, waits, 8, 6, Some(6));
    s.objects.replace(OPEN, (Action::Write, written), 0, b"d").unwrap();
    let read = s.operation();
    s.data(OPEN, Action::Read, read, 0, b"xy");
    s.objects.replace(OPEN, (Action::Read, read), 1, b"zz").unwrap();
    s.size(OPEN, 14, SizeFrom::Close);
    s.close(OPEN);
    let (all, _folder) = s.end();
    let stored = |t: &Transfer| std::fs::read(t.content.stored.as_ref().unwrap()).unwrap();
    assert_eq!((&stored(&all[0])[..2], all[0].action), (b"xz".as_slice(), Action::Read));
    assert_eq!(stored(&all[1]), b"daaabbaaaaccaa");
    assert_eq!((all[1].complete, missing(&all[1])), (false, vec![(10, 12, Why::Conflict)]));
    all.iter().for_each(|t| drop(bytes_of(t)));
}

#[test]
fn truncation_drops_bytes() {
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    s.write(OPEN, 0, &[5; 100]);
    s.size(OPEN, 40, SizeFrom::SetEndOfFile);
    s.size(OPEN, 60, SizeFrom::SetEndOfFile);
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!((t.seen_bytes, missing(&t)), (40, vec![(40, 60, Why::NeverWritten)]));
    bytes_of(&t);
}

#[test]
fn what_lost_requests_may_have_written_is_lost() {
    for lost in [false, true] {
        let mut s = Script::new();
        s.opened(OPEN, 2, 0);
        s.write(OPEN, 0, &[5; 10]);
        if lost {
            s.tell(&What::RequestsLost);
        }
        s.write(OPEN, 30, &[5; 10]);
        s.size(OPEN, 50, SizeFrom::Close);
        s.close(OPEN);
        let why = if lost { Why::Lost } else { Why::NeverWritten };
        assert_eq!(missing(&s.only().0), [(10, 30, why), (40, 50, why)]);
    }
}

/// Tells that requests of a connection were lost, as SMB does: of itself, and of the sessions that it carries.
fn lose_requests(s: &mut Script, connection: u64, sessions: &[u64]) {
    s.tell_on(connection, None, &What::RequestsLost);
    sessions.iter().for_each(|session| s.tell_on(connection, Some(*session), &What::RequestsLost));
}

#[test]
fn where_requests_were_lost_the_last_write_is_not_the_end() {
    for bytes in [0, 10] {
        // Before the open, on another connection of the session, of another session, and where it is.
        for (connection, sessions, in_doubt) in
            [(1, vec![9], true), (1, vec![8], false), (0, vec![], true), (0, vec![9, 8], true)]
        {
            let mut s = Script::new();
            lose_requests(&mut s, 0, &[9]);
            s.opened(OPEN, 2, 0);
            if bytes > 0 {
                s.write(OPEN, 0, &vec![5; bytes]);
            }
            lose_requests(&mut s, connection, &sessions);
            s.close(OPEN);
            let (t, _folder) = s.only();
            let size = if in_doubt { None } else { Some(bytes as u64) };
            assert_eq!(
                (t.complete, t.size, t.size_from.is_none()),
                (!in_doubt, size, in_doubt),
                "{bytes} {connection} {sessions:?}"
            );
            assert_eq!((t.seen_bytes, missing(&t)), (bytes as u64, vec![]));
            assert_eq!(t.wholeness(), if in_doubt { "its size is not known" } else { "whole" });
        }
    }
}

#[test]
fn what_the_server_tells_after_the_loss_is_the_size() {
    for (from, lost_later, whole) in [
        (SizeFrom::Query, false, true),
        (SizeFrom::Query, true, false),
        (SizeFrom::SetEndOfFile, true, false),
        (SizeFrom::Close, false, true),
        (SizeFrom::Close, true, true),
    ] {
        let mut s = Script::new();
        s.opened(OPEN, 2, 0);
        s.write(OPEN, 0, &[5; 10]);
        lose_requests(&mut s, 0, &[9]);
        s.size(OPEN, 10, from);
        if lost_later {
            lose_requests(&mut s, 0, &[9]);
        }
        s.close(OPEN);
        let (t, _folder) = s.only();
        assert_eq!((t.complete, t.size), (whole, Some(10).filter(|_| whole)), "{from:?} {lost_later}");
    }
    // A size that was told, and is in doubt, still says up to where bytes are missing.
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    s.size(OPEN, 30, SizeFrom::SetEndOfFile);
    s.write(OPEN, 0, &[5; 10]);
    lose_requests(&mut s, 0, &[9]);
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!((t.size, missing(&t)), (None, vec![(10, 30, Why::Lost)]));
}

#[test]
fn a_close_waits_for_what_other_connections_of_the_session_lost() {
    for (lost, later, complete) in [(None, 0, true), (Some(9), 0, false), (Some(8), 0, true), (Some(9), 3_000_000, true)] {
        let mut s = Script::new();
        s.tell_on(0, Some(9), &What::Channel { session: 9 });
        s.tell_on(1, Some(9), &What::Channel { session: 9 });
        s.opened(OPEN, 2, 0);
        s.write(OPEN, 0, &[5; 10]);
        s.close(OPEN);
        // Packets come one in a microsecond.
        s.pass(later);
        s.opened(OpenId(2), 1, 0);
        if let Some(session) = lost {
            lose_requests(&mut s, 1, &[session]);
        }
        let (all, _folder) = s.end();
        let written: Vec<_> = all.iter().filter(|t| t.action == Action::Write).collect();
        assert_eq!(written.iter().map(|t| (t.complete, t.closed)).collect::<Vec<_>>(), [(complete, true)], "{lost:?} {later}");
    }
    // A WRITE of another connection that came before the CLOSE, and was captured after it.
    let mut s = Script::new();
    s.tell_on(0, Some(9), &What::Channel { session: 9 });
    s.tell_on(1, Some(9), &What::Channel { session: 9 });
    s.opened(OPEN, 2, 0);
    s.close(OPEN);
    s.tell_on(1, Some(9), &What::Opened { open: OpenId(2), file: Opened::default() });
    s.write(OpenId(2), 0, &[5; 10]);
    let (all, _folder) = s.end();
    assert_eq!(all.iter().map(|t| t.complete).collect::<Vec<_>>(), [false, false]);
}

#[test]
fn an_empty_file_that_was_opened_to_be_read_may_have_been_read_by_what_was_lost() {
    for lost in [false, true] {
        let mut s = Script::new();
        let file = Opened { create_action: Some(1), access: Some(1), size: Some(0), answered: true, ..Opened::default() };
        s.tell(&What::Opened { open: OPEN, file });
        if lost {
            lose_requests(&mut s, 0, &[9]);
        }
        s.close(OPEN);
        assert_eq!(s.end().0.iter().filter(|t| t.complete).count(), usize::from(!lost));
    }
}

#[test]
fn what_lost_requests_may_have_asked_for_lies_between_what_others_did() {
    for lost in [false, true] {
        let mut s = Script::new();
        s.opened(OPEN, 1, 50);
        s.read(OPEN, 0, &[5; 10]);
        if lost {
            s.tell(&What::RequestsLost);
        }
        s.read(OPEN, 30, &[5; 10]);
        s.close(OPEN);
        let why = if lost { Why::Lost } else { Why::NotRequested };
        assert_eq!(missing(&s.only().0), [(10, 30, why), (40, 50, Why::NotRequested)]);
    }
}

#[test]
fn a_second_reading_that_differs_is_another_version() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 12);
    for part in [b"aaaa", b"bbbb", b"cccc"].into_iter().enumerate() {
        s.read(OPEN, part.0 as u64 * 4, part.1);
    }
    for part in [b"aaaa", b"BBBB", b"cccc"].into_iter().enumerate() {
        s.read(OPEN, part.0 as u64 * 4, part.1);
    }
    s.close(OPEN);
    let (all, _folder) = s.end();
    assert_eq!(all.iter().map(|t| t.complete).collect::<Vec<_>>(), [true, true]);
    assert_eq!(all[0].content.content_id, sha256(b"aaaabbbbcccc"));
    assert_eq!(all[1].content.content_id, sha256(b"aaaaBBBBcccc"));
}

#[test]
fn one_reading_is_not_mixed_with_another() {
    let mut s = Script::new();
    s.opened(OPEN, 1, 12);
    s.read(OPEN, 0, b"aaaabbbb");
    // This READ brings new bytes first and then shows that the file is another one.
    let operation = s.operation();
    s.data(OPEN, Action::Read, operation, 8, b"CCCC");
    s.data(OPEN, Action::Read, operation, 4, b"BBBB");
    s.close(OPEN);
    let (all, _folder) = s.end();
    assert_eq!(all[0].content.seen, vec![(0, 8)]);
    assert_eq!(all[1].content.seen, vec![(4, 12)]);
    assert_eq!(all[1].content.sha256_seen, sha256(b"BBBBCCCC"));
}

#[test]
fn pipes_and_what_is_told_of_nothing_give_nothing() {
    let mut s = Script::new();
    s.write(OPEN, 0, b"\x05\0\x0b\x03");
    s.objects.not_a_file(OPEN).unwrap();
    s.write(OPEN, 0, b"\x05\0\x0b\x03");
    s.close(OPEN);
    s.close(OpenId(77));
    s.size(OpenId(78), 5, SizeFrom::Query);
    let (all, folder) = s.end();
    assert!(all.is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn bytes_in_the_window_are_counted() {
    let t = Timestamp::from_nanos;
    let mut s = Script::made(|o| o.window = Some(crate::time::Window { from: t(5_000), to: t(7_000) }));
    s.opened(OPEN, 1, 30);
    let operation = s.operation();
    for part in 0..6 {
        s.data(OPEN, Action::Read, operation, part * 5, &[1; 5]);
    }
    let (t, _folder) = s.only();
    assert_eq!((t.bytes_in_window, t.seen_bytes, t.packets, t.complete), (Some(10), 30, 6, true));
}

#[test]
fn amounts_read_well() {
    for (bytes, said) in [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1460, "1,460 bytes"),
        (4096, "4 KiB"),
        (15_000, "14.6 KiB"),
        (2_726_297, "2.6 MiB"),
        (4 << 30, "4 GiB"),
    ] {
        assert_eq!(amount(bytes), said);
    }
}
