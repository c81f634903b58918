//! A data folder that somebody has spoilt: nothing passes for whole that is not.

use crate::make::{Made, SECOND, START, numbered, pcap};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, WRONG_REQUEST};
use std::fs;
use std::process::Command;

fn packets(count: u64) -> Vec<u8> {
    let made: Vec<Made> = (0..count).map(|n| Made::new(START + n * SECOND, numbered("10.0.0.1", "10.0.0.2", n, 1000))).collect();
    pcap(&made)
}

/// Two rings of 100 packets each, `a` and `b`, in small segments.
fn two() -> Data {
    let data = Data::new();
    for name in ["a", "b"] {
        let file = data.file(&format!("{name}.pcap"), &packets(100));
        data.import_with(&["--segment-bytes", "20KiB"], &[&file]).expect(0);
    }
    data
}

#[test]
fn a_cut_is_not_written_into_the_data_folder() {
    let data = two();
    let segment = data.packet_files().remove(0);
    let before = fs::read(&segment).unwrap();
    let link = data.outside().join("link");
    std::os::unix::fs::symlink(&segment, &link).unwrap();
    for path in [&segment, &link, &data.path().join("taploop.json"), &data.path().join("new.pcapng")] {
        for option in ["-w", "--coverage"] {
            let out = data.run(&["cut"], &[option, path.to_str().unwrap(), "--ip", "10.0.0.1"]).expect(WRONG_REQUEST);
            assert!(out.one_line().contains("data folder"), "{}", out.stderr);
        }
    }
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn a_lost_catalogue_or_its_last_entry_hides_no_packet() {
    let whole = fs::read(two().path().join("rings/b/catalog")).unwrap();
    let mut flipped = whole.clone();
    let last = flipped.len() - 60;
    flipped[last] ^= 1;
    for (what, bytes) in [("lost", None), ("cut off", Some(&whole[..whole.len() - 100])), ("flipped", Some(&flipped[..]))] {
        let data = two();
        let path = data.path().join("rings/b/catalog");
        match bytes {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        let cut = data.cut_all().expect(NOT_WHOLE);
        assert_eq!((cut.file.packets.len(), cut.reasons()), (200, vec!["damaged".to_owned()]), "{what}");
        data.run(&["ring", "check"], &["--repair"]);
        let cut = data.cut_all().expect(0);
        assert_eq!(cut.file.packets.len(), 200, "{what}");
    }
}

#[test]
fn a_fifo_in_place_of_a_file_is_not_waited_for() {
    let data = two();
    for file in [data.packet_files().remove(0), data.index_files().remove(0)] {
        fs::remove_file(&file).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let cut = data.cut_all().expect(NOT_WHOLE);
        assert!(cut.file.packets.len() >= 100, "{}", file.display());
    }
}

#[test]
fn an_open_end_is_no_evidence() {
    let data = two();
    let cut = data.cut(&["--from", "-5m"]).expect(NONE_MATCHED);
    assert_eq!(cut.reasons(), ["after_ring"]);
    let cut = data.cut(&["--to", "2001-01-01T00:00:00Z"]).expect(NONE_MATCHED);
    assert_eq!(cut.reasons(), ["before_ring"]);
    let cut = data.cut(&["--from", "2001-01-01T00:00:00Z"]).expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (200, vec!["before_ring".to_owned()]));
}

#[test]
fn one_damaged_length_does_not_shift_what_came_before() {
    let data = Data::new();
    let mut file = packets(1);
    let head = file.len();
    file.extend_from_slice(&packets(2)[head..]);
    file[head + 8..head + 16].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    let path = data.file("t.pcap", &file);
    let out = data.import(&[&path]).expect(NOT_WHOLE);
    assert!(head == 1082 && out.stderr.contains("byte 1,082:"), "{head}: {}", out.stderr);
    let cut = data.cut_all().expect(0);
    assert_eq!(cut.file.packets[0].data, numbered("10.0.0.1", "10.0.0.2", 0, 1000));
}

#[test]
fn files_of_another_ring_are_not_taken_for_its_own() {
    let data = Data::new();
    for (name, count) in [("a", 100), ("b", 90)] {
        let file = data.file(&format!("{name}.pcap"), &packets(count));
        data.import_with(&[], &[&file]).expect(0);
    }
    let rings = data.path().join("rings");
    for end in ["pcapng", "idx"] {
        fs::copy(rings.join(format!("a/0000000001.{end}")), rings.join(format!("b/0000000001.{end}"))).unwrap();
    }
    let cut = data.cut_all().expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (100, vec!["damaged".to_owned()]));
}
