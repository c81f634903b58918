//! What only live streams do: padding, claims of completeness without handing over, a clock that is set.

use super::clock::Clock;
use super::data::{DataDir, Retention};
use super::dropped::Dropped;
use super::note::{Note, NoteKind};
use super::retention::keep_limits;
use super::ring_writer::RingWriter;
use super::snapshot::{Held, ReadContext, RingReader};
use super::tests::{OPTIONS, STREAM, read, udp};
use super::writer::{StreamOptions, StreamWriter};
use crate::packet::Packet;
use crate::time::{Timestamp, Window};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const LIVE: StreamOptions =
    StreamOptions { imported: false, segment_bytes: 8 << 20, segment_flows: 100_000, reserve: 8 << 20, ..OPTIONS };

fn time(i: u32) -> Timestamp {
    Timestamp::from_nanos(1_000_000 + u64::from(i) * 1000)
}

fn append(stream: &mut StreamWriter, range: std::ops::Range<u32>) {
    for i in range {
        stream.append(&Packet { time: time(i), original_length: 142, data: &udp(i), options: &[] }).unwrap();
    }
}

fn reader(data: &DataDir) -> RingReader {
    RingReader::open(data, "eth0", &ReadContext::default()).unwrap()
}

fn held(data: &DataDir) -> Held {
    reader(data).held().unwrap()
}

#[test]
fn large_blocks_end_on_page_edges_and_small_ones_are_not_padded() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, LIVE);
    let mut at = 0;
    // Small, large, large, small, large: bytes of packets and what is there after each.
    for (packets, is_large) in [(10, false), (2000, true), (3000, true), (7, false), (1500, true)] {
        append(stream, at..at + packets);
        at += packets;
        stream.publish().unwrap();
        let before = held(&data).summary.data_bytes;
        let bytes = loop {
            let held = held(&data);
            if held.summary.packets == u64::from(at) {
                break held.summary.data_bytes;
            }
        };
        assert_eq!(bytes % 4096 == 0, is_large, "{packets} packets: {bytes} after {before}");
        assert_eq!(read(&data).len(), at as usize);
    }
    ring.finish().unwrap();
    assert_eq!(read(&data), (0..at).map(|i| time(i).as_nanos()).collect::<Vec<_>>());
    assert!(super::check::check(data.path(), false).unwrap().findings.is_empty());
}

#[test]
fn what_is_not_handed_over_is_not_said_to_be_complete() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, LIVE);
    append(stream, 0..10);
    stream.publish().unwrap();
    append(stream, 10..20);
    let since = Window { from: time(0), to: time(30) };
    stream.say_complete(time(30), since).unwrap();
    while held(&data).complete_to != time(10) {
        std::thread::yield_now();
    }
    stream.publish_complete(time(30), since).unwrap();
    while held(&data).complete_to != time(30) {
        std::thread::yield_now();
    }
    assert_eq!(held(&data).summary.packets, 20);
    // It never goes back.
    let stream = ring.stream(STREAM, LIVE);
    stream.say_complete(time(25), since).unwrap();
    append(stream, 40..50);
    stream.publish().unwrap();
    while held(&data).summary.packets < 30 {
        std::thread::yield_now();
    }
    assert_eq!(held(&data).complete_to, time(30));
    ring.finish().unwrap();
    // Sealed, it vouches for its last packet, too.
    assert_eq!(reader(&data).captured(&Window::ALL).unwrap(), [Window { to: time(49).saturating_add(1), ..since }]);
}

#[test]
fn what_is_told_to_be_lost_is_told_before_its_time_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, LIVE);
    let since = Window { from: time(0), to: time(30) };
    stream.publish_complete(time(5), since).unwrap();
    let kind = NoteKind::Drops { os: 7, interface: 0 };
    stream.note(Note { window: Window { from: time(10), to: time(20) }, kind }).unwrap();
    assert!(stream.has_waiting(), "so that it is handed over in time");
    stream.say_complete(time(30), since).unwrap();
    while held(&data).complete_to != time(10) {
        std::thread::yield_now();
    }
    stream.publish_complete(time(30), since).unwrap();
    while held(&data).complete_to != time(30) {
        std::thread::yield_now();
    }
    assert_eq!(held(&data).summary.drops, 7);
    ring.finish().unwrap();
}

#[test]
fn a_later_segment_vouches_only_for_what_came_since_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    for k in 0..4 {
        let stream = ring.stream(STREAM, LIVE);
        append(stream, 100 * k..100 * k + 10);
        let to = time(100 * (k + 1));
        stream.publish_complete(to, Window { from: time(0), to }).unwrap();
        stream.close_segment().unwrap();
    }
    ring.finish().unwrap();
    let reader = reader(&data);
    assert_eq!(reader.captured(&Window::ALL).unwrap(), [Window { from: time(0), to: time(400) }]);
    let window = Window { from: time(120), to: time(130) };
    assert_eq!(reader.segments_in(&window).unwrap().len(), 1, "a look-up opens one segment of four");
}

/// A clock whose hands a test moves: seconds that have passed, and what was added to the time of day.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<(u64, i64)>>);

impl Hands {
    fn clock(&self, has_to_hold: bool) -> Arc<Clock> {
        let (hands, wall, running) = (self.clone(), Timestamp::now(), Instant::now());
        Arc::new(Clock::faked(has_to_hold, move || {
            let (passed, added) = *hands.0.lock().unwrap();
            (
                wall.saturating_add(passed.saturating_add_signed(added) * 1_000_000_000),
                running + std::time::Duration::from_secs(passed),
            )
        }))
    }

    fn show(&self, passed: u64, added: i64) {
        *self.0.lock().unwrap() = (passed, added);
    }
}

const DAY: i64 = 86_400;

/// A ring of sealed segments that may be a day old.
fn sealed_ring(data: &DataDir, clock: Arc<Clock>) -> RingWriter {
    let limits = Retention { max_age_seconds: Some(DAY as u64), ..Retention::default() };
    let mut ring = RingWriter::open_by(data, "eth0", Some(limits), clock).unwrap();
    append(ring.stream(STREAM, SMALL), 0..1000);
    ring.stream(STREAM, SMALL).close_segment().unwrap();
    while held(data).summary.packets < 1000 || held(data).growing > 0 {
        std::thread::yield_now();
    }
    ring
}

const SMALL: StreamOptions = StreamOptions { segment_bytes: 20_000, reserve: 1, ..LIVE };

#[test]
fn a_clock_that_is_set_spares_what_seems_old_whoever_looks_first() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let hands = Hands::default();
    let mut ring = sealed_ring(&data, hands.clock(false));
    let look = |ring: &RingWriter| keep_limits(&ring.shared, 0, &mut 0).unwrap();
    // Forth, back and forth again; the stream has not noticed, or there is none.
    for (passed, added) in [(10, 2 * DAY), (20, -2 * DAY), (30, 2 * DAY), (629, 2 * DAY)] {
        hands.show(passed, added);
        look(&ring);
        assert_eq!(held(&data).summary.packets, 1000, "{passed} s on, {added} s added");
    }
    // Nor when it notices, which closes its segment.
    append(ring.stream(STREAM, SMALL), 1000..1010);
    ring.stream(STREAM, SMALL).clock_set(time(1010), time(3)).unwrap();
    append(ring.stream(STREAM, SMALL), 3..13);
    ring.stream(STREAM, SMALL).publish().unwrap();
    while held(&data).summary.packets < 1020 {
        std::thread::yield_now();
    }
    // It has held.
    hands.show(631, 2 * DAY);
    look(&ring);
    assert!(held(&data).summary.packets < 1000, "what is two days old by a clock that has held goes");
    ring.finish().unwrap();
}

#[test]
fn a_recorder_that_has_just_begun_does_not_believe_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let hands = Hands::default();
    sealed_ring(&data, hands.clock(false)).finish().unwrap();
    // Set while nobody recorded; and by the same clock the ring is opened again, as after a failure.
    hands.show(0, 2 * DAY);
    let (clock, limits) = (hands.clock(true), Retention { max_age_seconds: Some(DAY as u64), ..Retention::default() });
    for passed in [0, 300, 599] {
        hands.show(passed, 2 * DAY);
        let ring = RingWriter::open_by(&data, "eth0", Some(limits), clock.clone()).unwrap();
        keep_limits(&ring.shared, 0, &mut 0).unwrap();
        assert_eq!(ring.finish().unwrap(), Dropped::default(), "after {passed} s");
    }
    hands.show(600, 4 * DAY);
    let ring = RingWriter::open_by(&data, "eth0", Some(limits), clock.clone()).unwrap();
    keep_limits(&ring.shared, 0, &mut 0).unwrap();
    assert_eq!(ring.finish().unwrap(), Dropped::default(), "set again");
    hands.show(1200, 4 * DAY);
    let ring = RingWriter::open_by(&data, "eth0", Some(limits), clock).unwrap();
    keep_limits(&ring.shared, 0, &mut 0).unwrap();
    assert_eq!(ring.finish().unwrap().older_packets, 1000);
}

#[test]
fn a_clock_that_is_set_begins_a_segment_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    ring.stream(STREAM, LIVE).clock_set(time(5000), time(3)).unwrap();
    append(ring.stream(STREAM, LIVE), 3..1000);
    ring.finish().unwrap();
    assert_eq!(read(&data).len(), 997);
    let first = reader(&data).segments_in(&Window::ALL).unwrap()[0];
    let notes = reader(&data).open_segment(&first).unwrap().notes().unwrap();
    assert_eq!(notes[0].kind, NoteKind::ClockSet { before: time(5000), after: time(3) });
    assert_eq!(notes[0].window, Window { from: time(3), to: time(5000) });
}

#[test]
fn a_clock_that_is_set_back_takes_what_was_complete_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    append(ring.stream(STREAM, LIVE), 0..10);
    ring.stream(STREAM, LIVE).publish_complete(time(5000), Window { from: time(0), to: time(5000) }).unwrap();
    ring.stream(STREAM, LIVE).clock_set(time(5000), time(1000)).unwrap();
    append(ring.stream(STREAM, LIVE), 1000..1010);
    ring.stream(STREAM, LIVE).publish().unwrap();
    while held(&data).summary.packets < 20 {
        std::thread::yield_now();
    }
    // Until it is said anew: what comes now has earlier times than what was said to be complete.
    assert!(held(&data).complete_to <= time(1000), "{}", held(&data).complete_to);
    ring.finish().unwrap();
}
