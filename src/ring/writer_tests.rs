//! When a segment ends, and what a stream says to be complete.

use super::data::DataDir;
use super::disk::sync_growing;
use super::ids::{SegmentId, StreamId};
use super::paths::{data_path, log_path};
use super::ring_writer::RingWriter;
use super::snapshot::{Held, ReadContext, RingReader};
use super::tests::{OPTIONS, STREAM, udp};
use super::writer::{BLOCK_BYTES, BLOCKS_QUEUED_MAX, Job, SEGMENT_AGE, StreamMaker, StreamOptions, queue};
use crate::packet::{LinkType, Packet};
use crate::time::{Timestamp, Window};
use std::fs;
use std::io::IoSliceMut;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
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

#[test]
fn while_the_disk_waits_what_comes_is_gathered_and_not_lost_for_want_of_places() {
    let (jobs, jobs_in) = queue();
    let maker = StreamMaker { jobs, spare: Arc::default(), next_id: Arc::default(), run: Arc::default() };
    let live = StreamOptions { imported: false, segment_bytes: 64 << 20, segment_flows: 1_000_000, ..OPTIONS };
    let mut stream = maker.stream(STREAM, live);
    let mut put = |i: u32| {
        stream.append(&Packet { time: time(i), original_length: 142, data: &udp(i), options: &[] }).unwrap();
        // As often as a slow link's packets come.
        stream.publish_early().unwrap();
        stream.say_complete(time(i), Window { from: time(0), to: time(i) }).unwrap();
    };
    // Nobody takes anything, and it returns: far more than there are places is one block.
    let few = 5_000;
    assert!(few as usize > 100 * BLOCKS_QUEUED_MAX && few as usize * 176 < BLOCK_BYTES);
    (0..few).for_each(&mut put);
    let taker = std::thread::spawn(move || {
        let mut sizes = Vec::new();
        while let Some(job) = jobs_in.next() {
            if let Job::Block { block, .. } = job {
                sizes.push(block.packets);
            }
        }
        sizes
    });
    // What is full is handed over and waits, so that the queue ends with room for early ones again.
    (few..3 * few).for_each(&mut put);
    stream.close_segment().unwrap();
    drop((stream, maker));
    let sizes = taker.join().unwrap();
    assert_eq!(sizes.iter().sum::<u32>(), 3 * few);
    assert!(sizes.iter().any(|&n| n > 4_900), "{sizes:?}");
}

#[test]
fn the_room_of_the_index_is_reserved_too_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let live = StreamOptions { imported: false, reserve: 4 << 20, segment_bytes: 4 << 20, ..OPTIONS };
    append(&mut ring, live, 0..10);
    ring.stream(STREAM, live).publish().unwrap();
    while held(&data).summary.packets < 10 {
        std::thread::yield_now();
    }
    let path = data.ring_path("eth0");
    let taken = |path: &Path| fs::metadata(path).map_or(0, |m| m.blocks() * 512);
    let (log, packets) = (log_path(&path, SegmentId(1)), data_path(&path, SegmentId(1)));
    // Where the file system can reserve at all.
    if taken(&packets) >= 4 << 20 {
        assert!(taken(&log) >= (4 << 20) / 16, "{} bytes", taken(&log));
    }
    assert!(fs::metadata(&log).unwrap().len() < 8192, "without changing its size");
    ring.finish().unwrap();
    assert!(taken(&packets) < 64 << 10 && taken(&log) == 0, "what was not used is free again");
}

#[test]
fn what_lasts_of_a_slow_link_leaves_the_page_cache() {
    const TMPFS: u64 = 0x0102_1994;
    let dir = tempfile::tempdir().unwrap();
    if rustix::fs::statfs(dir.path()).unwrap().f_type as u64 == TMPFS {
        return; // there is nothing but a cache
    }
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let live = StreamOptions { imported: false, segment_bytes: 4 << 20, segment_flows: 100_000, ..OPTIONS };
    for tens in 0..300 {
        append(&mut ring, live, 10 * tens..10 * tens + 10);
        ring.stream(STREAM, live).publish().unwrap();
    }
    while held(&data).summary.packets < 3_000 {
        std::thread::yield_now();
    }
    sync_growing(&ring.shared).unwrap();
    let file = fs::File::open(data_path(&data.ring_path("eth0"), SegmentId(1))).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    let cached = (0..pages).filter(|page| {
        let mut byte = [0];
        let mut into = [IoSliceMut::new(&mut byte)];
        // Without waiting for the disk.
        rustix::io::preadv2(&file, &mut into, page * 4096, rustix::io::ReadWriteFlags::NOWAIT).is_ok()
    });
    assert!(pages > 100 && cached.count() < 10, "of {pages} pages");
    ring.finish().unwrap();
}
