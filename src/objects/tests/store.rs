//! Contents on disk: many, huge, limited, and a disk that is full.

use super::*;

#[test]
fn ten_thousand_small_files() {
    let mut s = Script::new();
    for number in 0..10_000u64 {
        let open = OpenId(number);
        s.opened(open, 2, 0);
        s.write(open, 0, format!("file {}", number % 5_000).as_bytes());
        s.close(open);
    }
    let (all, folder) = s.end();
    assert_eq!(all.len(), 10_000);
    assert!(all.iter().all(|t| t.complete));
    assert_eq!(all[4_999].content.content_id, sha256(b"file 4999"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5_000, "equal contents lie once");
}

#[test]
fn a_huge_sparse_file_costs_nothing() {
    use std::os::unix::fs::MetadataExt as _;
    let mut s = Script::new();
    s.opened(OPEN, 2, 0);
    s.size(OPEN, 3 << 30, SizeFrom::SetEndOfFile);
    s.write(OPEN, (3 << 30) - 4, b"tail");
    s.write(OPEN, 0, b"head");
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert_eq!(missing(&t), vec![(4, (3 << 30) - 4, Why::NeverWritten)]);
    assert_eq!(t.content.sha256_seen, sha256(b"headtail"));
    let stored = std::fs::metadata(t.content.stored.unwrap()).unwrap();
    assert!(stored.len() == 3 << 30 && stored.blocks() < 64, "{} blocks", stored.blocks());
}

#[test]
fn a_large_file_in_and_out_of_order() {
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for order in [0, 1, 2] {
        for keep in [true, false] {
            let mut s = Script::made(|o| o.keep_contents = keep);
            s.opened(OPEN, 1, bytes.len() as u64);
            let mut parts: Vec<(usize, &[u8])> = bytes.chunks(65_536).enumerate().collect();
            match order {
                1 => parts.reverse(),
                2 => parts.sort_by_key(|p| (p.0 / 4, (p.0 * 3) % 4)),
                _ => {}
            }
            for (number, part) in parts {
                let operation = s.operation();
                for (i, piece) in part.chunks(1460).enumerate() {
                    s.data(OPEN, Action::Read, operation, (number * 65_536 + i * 1460) as u64, piece);
                }
            }
            s.close(OPEN);
            let (t, folder) = s.only();
            assert_eq!(t.content.sha256.as_deref(), Some(sha256(&bytes).as_str()));
            assert_eq!(t.packets, bytes.chunks(65_536).map(|c| c.len().div_ceil(1460) as u64).sum::<u64>());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), usize::from(keep));
            if keep {
                assert_eq!(std::fs::read(t.content.stored.unwrap()).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn limits_are_said() {
    let mut s = Script::with(Limits { object_bytes: 100, ..Limits::default() });
    s.opened(OPEN, 1, 300);
    s.read(OPEN, 0, &[1; 80]);
    s.read(OPEN, 80, &[1; 80]);
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert!(t.limited && !t.complete);
    assert_eq!(missing(&t), vec![(100, 160, Why::Limit), (160, 300, Why::NotRequested)]);

    let mut s = Script::with(Limits { ranges: 3, ..Limits::default() });
    s.opened(OPEN, 2, 0);
    for part in 0..20 {
        s.write(OPEN, part * 10, &[1; 5]);
    }
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert!(t.limited && !t.complete && t.content.seen.len() == 3);
    bytes_of(&t);

    let mut s = Script::with(Limits { pending_writes: 4, ..Limits::default() });
    s.opened(OPEN, 2, 0);
    let operations: Vec<OperationId> = (0..8)
        .map(|part| {
            let operation = s.operation();
            s.data(OPEN, Action::Write, operation, part * 10, &[1; 10]);
            operation
        })
        .collect();
    for (part, operation) in operations.into_iter().enumerate() {
        s.written(OPEN, operation, part as u64 * 10, 10, Some(10));
    }
    s.close(OPEN);
    let (t, _folder) = s.only();
    assert!(!t.complete && t.limited, "{t:?}");
    assert!(t.content.seen.iter().all(|s| s.0 >= 40));

    let mut s = Script::with(Limits { opens: 3, ..Limits::default() });
    for open in 0..6 {
        s.opened(OpenId(open), 1, 2);
        s.read(OpenId(open), 0, b"a");
    }
    s.read(OpenId(4), 1, b"b");
    let (all, _folder) = s.end();
    assert_eq!(all.iter().filter(|t| t.limited).count(), 3);
    assert!(all.iter().any(|t| t.complete && t.open == OpenId(4)));
}

#[test]
fn hostile_offsets_do_no_harm() {
    for offset in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 2, 5 << 40] {
        let mut s = Script::new();
        s.opened(OPEN, 1, u64::MAX);
        s.read(OPEN, offset, b"read");
        s.write(OPEN, offset, b"written");
        s.write(OPEN, offset, b"WRITTEN");
        let operation = s.operation();
        s.tell(&What::DataLost { open: OPEN, action: Action::Write, operation, offset, length: u64::MAX });
        s.written(OPEN, operation, offset, u64::MAX, Some(u64::MAX));
        s.tell(&What::ServerCopy { open: OPEN, source: None, offset, length: u64::MAX, fsctl: 0 });
        s.end_of_file(OPEN, offset);
        s.objects.conflict(OPEN, Action::Write, offset, 5).unwrap();
        s.size(OPEN, offset, SizeFrom::Query);
        s.close(OPEN);
        let (all, _folder) = s.end();
        assert!(all.iter().all(|t| !t.complete && t.seen_bytes == 0), "{all:#?}");
    }
}

#[test]
fn many_silent_opens_take_bounded_memory() {
    let mut s = Script::with(Limits { state_bytes: 1 << 20, ..Limits::default() });
    for open in 0..20_000 {
        let file = Opened { name: Some("n".repeat(1_000)), size: Some(9), answered: true, ..Opened::default() };
        s.tell(&What::Opened { open: OpenId(open), file });
        s.read(OpenId(open), 0, b"x");
    }
    let (all, _folder) = s.end();
    assert_eq!(all.len(), 20_000);
    assert!(all.iter().filter(|t| t.limited).count() > 19_000);
}

#[test]
fn the_lines_of_provenance_name_the_packets() {
    let mut s = Script::made(|o| o.provenance = true);
    s.opened(OPEN, 2, 0);
    let (refused, done) = (s.operation(), s.operation());
    s.data(OPEN, Action::Write, refused, 0, b"no");
    s.data(OPEN, Action::Write, done, 10, b"yes");
    s.data(OPEN, Action::Write, done, 13, b"!");
    s.written(OPEN, refused, 0, 2, Some(0));
    s.written(OPEN, done, 10, 4, Some(4));
    s.close(OPEN);
    let (t, _folder) = s.only();
    let lines = std::fs::read_to_string(t.provenance.unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        serde_json::json!({"version": 1, "from": 10, "to": 13, "source": 0, "number": 3, "position": 300,
        "time": "1970-01-01T00:00:00.000003000Z"})
    );
    assert_eq!((lines[1]["from"].as_u64(), lines[1]["number"].as_u64()), (Some(13), Some(4)));
}

/// Needs the right to mount; says so where it is not there.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|o| o.status.success());
    if !mounted {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let mut s = Script::made(|o| o.folder = folder.path().to_owned());
    let mut failed = None;
    let context = Context {
        connection: ConnectionId(0),
        at: PacketRef::default(),
        session: None,
        tree: None,
        encrypted: false,
        compressed: false,
    };
    for part in 0..1_000 {
        let what = What::Data {
            open: OPEN,
            action: Action::Read,
            operation: OperationId(1),
            offset: part * 65_536,
            bytes: &[1; 65_536],
        };
        if let Err(error) = s.objects.take(&context, &what) {
            failed = Some(error);
            break;
        }
    }
    let failed = failed.or_else(|| s.objects.end(drop).err());
    let unmounted = std::process::Command::new("umount").arg(folder.path()).status().is_ok_and(|s| s.success());
    let said = failed.unwrap().to_string();
    assert!(said.contains("cannot write") && said.contains("free some space") && said.contains(".forming-"), "{said}");
    assert!(unmounted);
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0u64..200,
            1 => prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 4 << 40, (4 << 40) - 3, u64::from(u32::MAX)]),
        ]
    }

    type Step = (u8, u64, u64, u64, bool, u64);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// Events in no sensible order, with numbers of all sizes: nothing fails, and nothing is called whole that is not.
        #[test]
        fn events_in_any_order(steps in prop::collection::vec((0u8..16, 0u64..3, number(), number(), any::<bool>(), 0u64..12), 1..60), ranges in 1usize..8) {
            let limits = Limits { ranges, versions: 3, pending_writes: 5, pending_reads: 3, opens: 2, memory_per_content: 40, object_bytes: 150,
                files_open: 1, ..Limits::default() };
            let mut s = Script::with(limits);
            for step in steps {
                let (kind, open, offset, length, flag, operation): Step = step;
                let (open, operation) = (OpenId(open), OperationId(operation));
                let action = if flag { Action::Read } else { Action::Write };
                let bytes = vec![kind; (length % 60) as usize];
                let from = [SizeFrom::Create, SizeFrom::Query, SizeFrom::Close, SizeFrom::SetEndOfFile, SizeFrom::EndOfFile, SizeFrom::Listing];
                match kind {
                    0 | 1 => s.opened(open, (length % 4) as u32, offset),
                    2..=5 => s.data(open, action, operation, offset, &bytes),
                    6 => s.tell(&What::DataLost { open, action, operation, offset, length }),
                    7 => s.tell(&What::ReadAsked { open, operation, offset, length }),
                    8 => {
                        let status = if flag { 0xC000_0011 } else { 0 };
                        s.tell(&What::ReadDone { open, operation, offset, asked: Some(length), given: length / 2, status });
                    }
                    9 | 10 => s.written(open, operation, offset, length, flag.then_some(length / 2)),
                    11 => s.size(open, offset, from[(length % 6) as usize]),
                    12 => s.tell(&What::ServerCopy { open, source: Some(OpenId(0)), offset, length, fsctl: if flag { 0x0009_80C8 } else { 1 } }),
                    13 => s.objects.conflict(open, action, offset, length).unwrap(),
                    14 => s.tell(&What::Closed { open, status: flag.then_some(0), by_close: flag }),
                    _ if offset == 7 => s.objects.not_a_file(open).unwrap(),
                    _ => s.tell(&What::Sealed { session: 1, bytes: 2, why: crate::smb::event::NoPlaintext::NoKey }),
                }
            }
            let (all, folder) = s.end();
            let mut ids = std::collections::HashSet::new();
            for t in &all {
                let whole = t.size.is_some_and(|size| t.seen_bytes == size);
                prop_assert!(!t.complete || whole && t.missing.is_empty() && t.conflicts.is_empty(), "{:?}", t);
                prop_assert!(t.size.is_none_or(|size| t.seen_bytes <= size), "{:?}", t);
                prop_assert!(t.seen_bytes <= 150 && t.content.seen.len() <= ranges);
                prop_assert!(t.missing.iter().all(|m| m.from < m.to));
                if std::fs::metadata(t.content.stored.as_ref().unwrap()).unwrap().len() < 10_000 {
                    bytes_of(t);
                }
                ids.insert(t.content.content_id.clone());
                t.wholeness();
            }
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), ids.len(), "nothing is left over");
        }
    }
}
