//! When a segment ends, and what a stream says to be complete.

use super::data::DataDir;
use super::ids::StreamId;
use super::ring_writer::RingWriter;
use super::snapshot::{Held, ReadContext, RingReader};
use super::tests::{OPTIONS, STREAM, udp};
use super::writer::{SEGMENT_AGE, StreamOptions};
use crate::packet::{LinkType, Packet};
use crate::time::{Timestamp, Window};
use std::time::Duration;

fn time(i: u32) -> Timestamp {
    Timestamp::from_nanos(1_000_000 + u64::from(i) * 1000)
}

fn append(ring: &mut RingWriter, options: StreamOptions, range: std::ops::Range<u32>) {
    for i in range {
        let packet = Packet { time: time(i), original_length: 142, data: &udp(i), options: &[] };
        ring.stream(STREAM, options).append(&packet).unwrap();
    }
}

fn reader(data: &DataDir) -> RingReader {
    RingReader::open(data, "eth0", &ReadContext::default()).unwrap()
}

fn held(data: &DataDir) -> Held {
    reader(data).held().unwrap()
}

/// The packets of each segment, of 100 that come by tens, each ten published.
fn sealed_with(options: StreamOptions) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    for tens in 0..10 {
        append(&mut ring, options, 10 * tens..10 * tens + 10);
        ring.stream(STREAM, options).publish().unwrap();
    }
    ring.finish().unwrap();
    reader(&data).segments_in(&Window::ALL).unwrap().iter().map(|f| f.packets).filter(|&n| n > 0).collect()
}

#[test]
fn a_segment_is_sealed_by_flows_by_size_and_by_age() {
    for imported in [true, false] {
        let options = StreamOptions { imported, ..OPTIONS };
        assert_eq!(sealed_with(options), [100]);
        assert_eq!(sealed_with(StreamOptions { segment_flows: 25, ..options }), [25; 4], "each packet is a flow");
        let each = 176; // 142 bytes, padded, as an enhanced packet block
        assert_eq!(sealed_with(StreamOptions { segment_bytes: 20 * each + each / 2, ..options }), [20; 5]);
        assert_eq!(sealed_with(StreamOptions { segment_age: Some(Duration::ZERO), ..options }), [10; 10]);
        assert_eq!(sealed_with(StreamOptions { segment_age: Some(SEGMENT_AGE), ..options }), [100]);
    }
    assert_eq!(StreamOptions::default().segment_age, Some(SEGMENT_AGE), "a live stream's");
}

#[test]
fn a_quiet_interface_says_that_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let live = StreamOptions { imported: false, ..OPTIONS };
    let captured = Window { from: time(0), to: time(50) };
    ring.stream(STREAM, live).publish_complete(time(50), captured).unwrap();
    while held(&data).complete_to != time(50) {
        std::thread::yield_now();
    }
    assert_eq!((held(&data).first, held(&data).growing), (None, 1));
    // A second one that has said less.
    let other = StreamId { link_type: LinkType(101), ..STREAM };
    ring.stream(other, live).publish_complete(time(40), captured).unwrap();
    while held(&data).complete_to != time(40) {
        std::thread::yield_now();
    }
    ring.finish().unwrap();
    assert_eq!(reader(&data).captured(&Window::ALL).unwrap(), [captured]);
}

#[test]
fn between_segments_nothing_more_is_said_to_be_complete() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let live = StreamOptions { imported: false, segment_flows: 20, reserve: 1, ..OPTIONS };
    ring.stream(STREAM, live).publish_complete(time(5), Window { from: time(0), to: time(5) }).unwrap();
    while held(&data).complete_to != time(5) {
        std::thread::yield_now();
    }
    for i in (10..2000).step_by(10) {
        append(&mut ring, live, i..i + 10);
        assert_eq!(held(&data).complete_to, time(5));
    }
    while held(&data).summary.packets < 1_960 {
        assert_eq!(held(&data).complete_to, time(5));
    }
    ring.finish().unwrap();
}
