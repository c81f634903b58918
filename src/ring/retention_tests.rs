//! What is dropped, when, and how it is told.

use super::data::{DataDir, Retention};
use super::dropped::{Dropped, Reason};
use super::retention::{LimitError, MAX_BYTES_MIN, owed_to_disk, room_of, segment_bytes};
use super::ring_writer::RingWriter;
use super::tests::{OPTIONS, STREAM, read, udp};
use super::writer::StreamOptions;
use crate::packet::Packet;
use crate::time::Timestamp;

const SMALL: StreamOptions = StreamOptions { segment_bytes: 20_000, reserve: 20_000, ..OPTIONS };

fn append(ring: &mut RingWriter, range: std::ops::Range<u32>) {
    for i in range {
        let packet = udp(i);
        let time = Timestamp::from_nanos(1_000_000 + u64::from(i) * 1000);
        let packet = Packet { time, original_length: 142, data: &packet, options: &[] };
        ring.stream(STREAM, SMALL).append(&packet).unwrap();
    }
}

fn write(data: &DataDir, limits: Retention, range: std::ops::Range<u32>) -> Dropped {
    let mut ring = RingWriter::open(data, "eth0", Some(limits)).unwrap();
    append(&mut ring, range);
    ring.finish().unwrap()
}

#[test]
fn free_space_asks_for_what_is_written_and_a_share_of_what_is_missing() {
    // need, to stay free, free, rings
    assert_eq!(owed_to_disk(10, 0, 100, 1), 0);
    assert_eq!(owed_to_disk(10, 95, 100, 1), 5);
    assert_eq!(owed_to_disk(10, 0, 4, 1), 6);
    assert_eq!(owed_to_disk(10, 100, 92, 1), 18);
    assert_eq!(owed_to_disk(10, 100, 92, 4), 12);
    assert_eq!(owed_to_disk(10, u64::MAX, 92, 1), 20, "at most as much again");
    assert_eq!(owed_to_disk(0, u64::MAX, 92, 1), 0, "nothing while nothing is written");
}

#[test]
fn space_that_does_not_come_free_does_not_cost_the_ring() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    assert_eq!(write(&data, Retention::default(), 0..10_000), Dropped::default());
    let dropped = write(&data, Retention { min_free_bytes: Some(u64::MAX / 2), ..Retention::default() }, 10_000..10_010);
    assert!(dropped.bytes > 0 && dropped.bytes <= 2 * room_of(20_000) + 40_000, "{dropped:?}");
    assert_eq!((dropped.own_packets, &dropped.reasons), (0, &[Reason::MinFree].into()));
    let held = read(&data);
    assert_eq!(held.len() as u64 + dropped.older_packets, 10_010);
    assert_eq!(held.last(), Some(&(1_000_000 + 10_009 * 1000)));
}

#[test]
fn what_a_limit_costs_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, Retention::default(), 0..1000);
    let limits = Retention { max_bytes: Some(1_000_000), ..Retention::default() };
    let dropped = write(&data, limits, 1000..20_000);
    assert_eq!((dropped.older_packets, &dropped.reasons), (1000, &[Reason::MaxBytes].into()));
    assert!(dropped.own_packets > 0 && dropped.segments > 10);
    assert_eq!(read(&data).len() as u64 + dropped.own_packets, 19_000);
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let check = |limits: Retention| limits.check(dir.path());
    let bytes = |max| Retention { max_bytes: Some(max), ..Retention::default() };
    assert_eq!(check(bytes(1000)), Err(LimitError::MaxBytes(1000)));
    assert_eq!(check(bytes(MAX_BYTES_MIN)), Ok(()));
    let free = |min| Retention { min_free_bytes: Some(min), ..Retention::default() };
    assert!(matches!(check(free(u64::MAX)), Err(LimitError::MinFree { .. })));
    assert_eq!(check(free(1)), Ok(()));
    assert_eq!(segment_bytes(1 << 30, &bytes(16 << 20), dir.path(), 1 << 40, 1), 1 << 20);
    assert_eq!(
        segment_bytes(1 << 30, &bytes(64 << 20), dir.path(), 1 << 40, 16),
        256 << 10,
        "all that grow together take a sixteenth"
    );
    assert_eq!(segment_bytes(1 << 30, &free(u64::MAX), dir.path(), 0, 1), 1 << 20, "a disk without space");
}

#[test]
fn what_is_old_goes_also_while_nothing_comes() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, Retention::default(), 0..1000);
    let day = Retention { max_age_seconds: Some(86_400), ..Retention::default() };
    assert_eq!(write(&data, day, 1000..1010), Dropped::default());
    // Whatever arrived before now, down to the second.
    let ring = RingWriter::open(&data, "eth0", Some(Retention { max_age_seconds: Some(0), ..Retention::default() })).unwrap();
    while !read(&data).is_empty() {
        std::thread::yield_now();
    }
    let dropped = ring.finish().unwrap();
    assert_eq!((dropped.older_packets, dropped.own_packets, &dropped.reasons), (1010, 0, &[Reason::MaxAge].into()));
}
