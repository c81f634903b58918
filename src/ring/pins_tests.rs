//! What pins keep while their ring drops it, and what becomes of it.

use super::data::{DataDir, Retention};
use super::dropped::Reason;
use super::facts::SegmentFacts;
use super::paths::{data_path, index_path, kept_folder};
use super::pinning::{Covering, PinError, Wanted, list, pin, unpin};
use super::pins;
use super::ring_writer::RingWriter;
use super::snapshot::{ReadContext, RingReader};
use super::tests::{OPTIONS, STREAM, read, udp};
use super::writer::StreamOptions;
use crate::packet::Packet;
use crate::time::{Timestamp, Window};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const SMALL: StreamOptions = StreamOptions { segment_bytes: 20_000, reserve: 20_000, ..OPTIONS };
const LIMIT: Retention = Retention { max_bytes: Some(1_000_000), max_age_seconds: None, min_free_bytes: None };

fn time(i: u64) -> u64 {
    1_000_000 + i * 1000
}

fn window(packets: std::ops::Range<u64>) -> Window {
    Window { from: Timestamp::from_nanos(time(packets.start)), to: Timestamp::from_nanos(time(packets.end)) }
}

fn write(data: &DataDir, limits: Retention, range: std::ops::Range<u32>) -> super::dropped::Dropped {
    let mut ring = RingWriter::open(data, "eth0", Some(limits)).unwrap();
    for i in range {
        let packet = udp(i);
        let time = Timestamp::from_nanos(time(u64::from(i)));
        let packet = Packet { time, original_length: 142, data: &packet, options: &[] };
        ring.stream(STREAM, SMALL).append(&packet).unwrap();
    }
    ring.finish().unwrap()
}

fn wanted(window: Window) -> Wanted {
    let (name, selection) = ("case 7".to_string(), "everything".to_string());
    Wanted { name, selection, interfaces: vec!["eth0".into()], window, expires_after: None, max_bytes: Some(1 << 30) }
}

fn filled() -> (tempfile::TempDir, DataDir) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, LIMIT, 0..2000);
    (dir, data)
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn kept(data: &DataDir) -> std::path::PathBuf {
    kept_folder(&data.ring_path("eth0"))
}

/// The packets of a window that are held, by number.
fn held(data: &DataDir, packets: std::ops::Range<u64>) -> Vec<u64> {
    let mut times: Vec<u64> =
        read(data).into_iter().filter(|t| window(packets.clone()).contains(Timestamp::from_nanos(*t))).collect();
    times.sort_unstable();
    times
}

fn all(packets: std::ops::Range<u64>) -> Vec<u64> {
    packets.map(time).collect()
}

#[test]
fn what_is_pinned_stays_when_the_ring_drops_it_and_goes_with_the_last_pin() {
    let (_dir, data) = filled();
    let inodes = |data: &DataDir| -> HashSet<u64> {
        let reader = RingReader::open(data, "eth0", &ReadContext::default()).unwrap();
        let found = reader.segments_in(&window(500..900)).unwrap();
        let path = |f: &SegmentFacts| [data_path(&data.ring_path("eth0"), f.id), data_path(&kept(data), f.id)];
        let existing = found.iter().map(|f| path(f).into_iter().find(|p| p.exists()).unwrap());
        existing.map(|p| p.metadata().unwrap().ino()).collect()
    };
    let before = inodes(&data);
    let one = pin(&data, &wanted(window(500..900))).unwrap();
    let two = pin(&data, &wanted(window(700..800))).unwrap();
    assert!(one.in_ring.segments > two.in_ring.segments && two.in_ring.segments > 0 && one.kept.segments == 0);
    let dropped = write(&data, LIMIT, 2000..20_000);
    assert!(dropped.older_packets > 0 && dropped.older_packets < 2000, "those that are kept are not dropped: {dropped:?}");
    assert_eq!(held(&data, 500..900), all(500..900));
    assert!(held(&data, 0..300).is_empty());
    assert_eq!(inodes(&data), before, "each file is the one it was, and is there once");
    assert_eq!(files(&kept(&data)), 2 * before.len());
    let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
    let told = reader.held().unwrap();
    assert_eq!((told.kept.segments, told.first), (one.in_ring.segments, Some(told.kept.first)));
    assert!(told.ring_first > Some(Timestamp::from_nanos(time(10_000))));
    assert!(told.summary.data_bytes + told.summary.index_bytes <= 1_000_000, "what is kept does not count");
    assert!(super::check::check(data.path(), false).unwrap().clean);
    // The first goes: what the second covers stays.
    let freed = unpin(&data, &one.pin.id).unwrap();
    assert_eq!(freed.segments, one.in_ring.segments - two.in_ring.segments);
    assert_eq!(held(&data, 700..800), all(700..800));
    assert_eq!(unpin(&data, &two.pin.id).unwrap().segments, two.in_ring.segments);
    assert_eq!((files(&kept(&data)), held(&data, 0..2000)), (0, vec![]));
    assert!(matches!(unpin(&data, &two.pin.id), Err(PinError::Unknown(_))));
    assert!(matches!(unpin(&data, "../taploop"), Err(PinError::Unknown(_))));
}

#[test]
fn a_pin_may_look_ahead_and_keeps_no_more_than_its_bytes() {
    let (_dir, data) = filled();
    // Nothing is there yet.
    let ahead = pin(&data, &wanted(window(5000..6000))).unwrap();
    assert_eq!((ahead.in_ring.segments, ahead.kept.segments), (0, 0));
    let small = pin(&data, &Wanted { max_bytes: Some(50_000), ..wanted(window(8000..12_000)) }).unwrap();
    write(&data, LIMIT, 2000..30_000);
    assert_eq!(held(&data, 5000..6000), all(5000..6000));
    let told = list(&data).unwrap();
    assert!(told.problems.is_empty());
    let of = |id: &str| -> Covering { told.pins.iter().find(|c| c.pin.id == id).cloned().unwrap() };
    let (ahead, small) = (of(&ahead.pin.id), of(&small.pin.id));
    assert_eq!(ahead.not_kept.segments, 0);
    assert!(small.kept.bytes <= 50_000 && small.kept.segments > 0 && small.not_kept.bytes > 100_000, "{small:?}");
    assert!(small.not_kept.why.contains("--max-bytes"));
    // Of a window that is held already, too much is refused, and the bytes are named.
    match pin(&data, &Wanted { max_bytes: Some(60_000), ..wanted(window(5000..6000)) }) {
        Err(e @ PinError::OverBudget { bytes, .. }) => {
            assert_eq!(bytes, ahead.kept.bytes);
            assert!(e.to_string().contains(&bytes.to_string()) && e.to_string().contains("60000"), "{e}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        pin(&data, &Wanted { interfaces: vec!["eht0".into()], ..wanted(Window::ALL) }),
        Err(PinError::UnknownInterface { .. })
    ));
}

#[test]
fn an_expired_pin_keeps_nothing_more_and_its_segments_go() {
    let (_dir, data) = filled();
    let made = pin(&data, &wanted(window(500..900))).unwrap();
    write(&data, LIMIT, 2000..10_000);
    assert_eq!(held(&data, 500..900), all(500..900));
    pins::write(data.path(), &super::pins::Pin { expires: Some(Timestamp::now()), ..made.pin.clone() }).unwrap();
    assert!(list(&data).unwrap().pins[0].expired);
    assert_eq!(held(&data, 500..900), all(500..900), "readers delete nothing");
    RingWriter::open(&data, "eth0", None).unwrap().finish().unwrap();
    assert_eq!((files(&kept(&data)), held(&data, 500..900)), (0, vec![]));
    // Nor does it keep anything that is dropped now.
    pins::write(data.path(), &super::pins::Pin { to: None, expires: Some(Timestamp::now()), ..made.pin }).unwrap();
    write(&data, LIMIT, 10_000..20_000);
    assert_eq!(files(&kept(&data)), 0);
    pin(&data, &wanted(window(0..1))).unwrap();
    assert_eq!(list(&data).unwrap().pins.len(), 1, "who makes pins removes those that have expired");
}

#[test]
fn a_pin_that_cannot_be_understood_makes_nothing_go() {
    let (_dir, data) = filled();
    let made = pin(&data, &wanted(window(500..900))).unwrap();
    write(&data, LIMIT, 2000..10_000);
    let path = pins::path(data.path(), &made.pin.id);
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [String::new(), text.replace("\"version\": 1", "\"version\": 2"), text.replace(&made.pin.id, "00000000")] {
        fs::write(&path, damaged).unwrap();
        RingWriter::open(&data, "eth0", None).unwrap().finish().unwrap();
        assert_eq!(held(&data, 500..900), all(500..900));
        let told = list(&data).unwrap();
        assert!(told.pins.is_empty() && told.problems[0].contains(&made.pin.id), "{told:?}");
    }
    let other = pin(&data, &wanted(window(0..1))).unwrap();
    unpin(&data, &other.pin.id).unwrap();
    assert_eq!(held(&data, 500..900), all(500..900));
    unpin(&data, &made.pin.id).unwrap();
    assert!(held(&data, 500..900).is_empty());
}

#[test]
fn a_move_that_was_cut_off_loses_nothing_and_is_finished() {
    for step in 0..4 {
        let (_dir, data) = filled();
        pin(&data, &wanted(window(0..300))).unwrap();
        let (ring, kept) = (data.ring_path("eth0"), kept(&data));
        let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
        let segment = reader.segments_in(&window(0..1)).unwrap()[0];
        fs::create_dir_all(&kept).unwrap();
        let paths = [data_path as fn(&Path, _) -> _, index_path];
        // Packet file, index, both, and both with the catalogue lost.
        for path in &paths[usize::from(step == 1)..if step == 0 { 1 } else { 2 }] {
            fs::rename(path(&ring, segment.id), path(&kept, segment.id)).unwrap();
        }
        if step == 3 {
            fs::remove_file(ring.join("catalog")).unwrap();
        }
        let told = reader.open_segment(&segment).unwrap();
        told.packet_file().unwrap();
        assert_eq!(held(&data, 0..2000), all(0..2000), "step {step}");
        let report = super::check::check(data.path(), false).unwrap();
        assert_eq!(report.clean, step == 2, "step {step}: {report:?}");
        if step == 3 {
            continue;
        }
        let dropped = write(&data, LIMIT, 2000..20_000);
        assert_eq!(dropped.reasons, [Reason::MaxBytes].into());
        assert_eq!(held(&data, 0..300), all(0..300), "step {step}");
        let inside = paths.map(|path| (path(&ring, segment.id).exists(), path(&kept, segment.id).exists()));
        assert_eq!(inside, [(false, true); 2], "step {step}");
        assert!(super::check::check(data.path(), true).unwrap().clean, "step {step}");
    }
}

#[test]
fn damage_of_what_is_kept_is_named() {
    let (_dir, data) = filled();
    pin(&data, &wanted(window(0..600))).unwrap();
    write(&data, LIMIT, 2000..20_000);
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at.min(bytes.len() - 100);
        bytes[at] ^= 0x10;
        fs::write(path, bytes).unwrap();
    };
    let mut kept: Vec<_> = fs::read_dir(kept(&data)).unwrap().map(|e| e.unwrap().path()).collect();
    kept.sort();
    assert!(kept.len() >= 6);
    let check = |repair| super::check::check(data.path(), repair).unwrap();
    flip(&kept[1], 5000); // a packet file's granule
    assert_eq!(check(false).findings.len(), 1);
    assert!(check(true).findings[0].mended && check(false).clean, "its granule is given up, and that stays named");
    assert!(!data.path().join("kept/eth0/hosts").exists());
    flip(&kept[2], usize::MAX); // an index's footer
    assert!(!check(true).findings[0].mended);
    let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
    assert_eq!(reader.kept_damage()[0].0, kept[2]);
    fs::remove_file(&kept[2]).unwrap();
    let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
    assert_eq!(reader.kept_damage()[0].0, kept[3], "a packet file without an index");
}

#[test]
fn segments_get_no_number_that_a_kept_one_has() {
    let (_dir, data) = filled();
    pin(&data, &wanted(window(0..2000))).unwrap();
    let none = Retention { max_age_seconds: Some(0), ..Retention::default() };
    let ring = RingWriter::open(&data, "eth0", Some(none)).unwrap();
    let is_empty = || RingReader::open(&data, "eth0", &ReadContext::default()).unwrap().held().unwrap().summary.segments == 0;
    while !is_empty() {
        std::thread::yield_now();
    }
    let dropped = ring.finish().unwrap();
    assert_eq!(dropped.segments, 0);
    write(&data, Retention::default(), 2000..3000);
    let mut held = read(&data);
    held.sort_unstable();
    assert_eq!(held, all(0..3000));
    assert!(super::check::check(data.path(), false).unwrap().clean);
}
