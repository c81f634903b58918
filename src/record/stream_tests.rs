//! A stream's thread, with a source that does what a test says.

use super::desk::Desk;
use super::status::InterfaceStatus;
use super::stream::Stream;
use crate::capture::{CaptureError, Drops, Link, Polled, Source};
use crate::packet::{LinkType, Packet};
use crate::ring::data::DataDir;
use crate::ring::note::{Note, NoteKind};
use crate::ring::ring_writer::RingWriter;
use crate::ring::snapshot::{ReadContext, RingReader};
use crate::ring::writer::StreamOptions;
use crate::time::{Timestamp, Window};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What one poll does: may hand on times of packets, and says how it stands.
type Poll = Box<dyn FnMut(&mut Vec<Timestamp>) -> Polled + Send>;

struct Fake {
    poll: Poll,
    drops: Arc<AtomicU64>,
    left_behind: u64,
}

impl Source for Fake {
    fn link_type(&self) -> Option<LinkType> {
        Some(LinkType::ETHERNET)
    }

    fn poll(&mut self, _: Duration, each: &mut dyn FnMut(&Packet<'_>)) -> Result<Polled, CaptureError> {
        thread::sleep(Duration::from_millis(1));
        let mut times = Vec::new();
        let polled = (self.poll)(&mut times);
        for time in times {
            each(&Packet { time, original_length: 60, data: &[7; 60], options: &[] });
        }
        Ok(polled)
    }

    fn drops(&mut self) -> Result<Drops, CaptureError> {
        Ok(Drops { kernel: self.drops.swap(0, Ordering::SeqCst), interface: 0 })
    }

    fn left_behind(&mut self, _: Timestamp) -> u64 {
        self.left_behind
    }

    fn look(&mut self) -> Result<Link, CaptureError> {
        Ok(Link::Up)
    }
}

/// A ring that is recorded into.
struct Recorded {
    dir: tempfile::TempDir,
    ring: RingWriter,
    desk: Arc<Desk>,
    status: Arc<InterfaceStatus>,
    end: Arc<AtomicU64>,
    drops: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), CaptureError>>,
}

fn record(end: Timestamp, left_behind: u64, poll: Poll) -> Recorded {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let ring = RingWriter::open(&data, "eth0", None).unwrap();
    let (desk, status, drops) = (Arc::new(Desk::default()), Arc::<InterfaceStatus>::default(), Arc::<AtomicU64>::default());
    desk.open(ring.maker(), StreamOptions { reserve: 1, ..StreamOptions::default() });
    let source = Box::new(Fake { poll, drops: drops.clone(), left_behind });
    let end = Arc::new(AtomicU64::new(end.as_nanos()));
    let stream = Stream { source, fanout: (0, 1), desk: desk.clone(), status: status.clone(), end: end.clone() };
    let thread = thread::spawn(move || stream.run().1);
    Recorded { dir, ring, desk, status, end, drops, thread }
}

impl Recorded {
    fn reader(&self) -> RingReader {
        let data = DataDir::open(self.dir.path()).unwrap();
        RingReader::open(&data, "eth0", &ReadContext::default()).unwrap()
    }

    /// Packets, notes and stretches of capture, once it has ended.
    fn finish(self) -> (u64, Vec<Note>, Vec<Window>) {
        self.thread.join().unwrap().unwrap();
        self.desk.close();
        drop(self.desk);
        self.ring.finish().unwrap();
        let data = DataDir::open(self.dir.path()).unwrap();
        let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
        let mut notes = Vec::new();
        for facts in reader.segments_in(&Window::ALL).unwrap() {
            notes.extend(reader.open_segment(&facts).unwrap().notes().unwrap());
        }
        (reader.held().unwrap().summary.packets, notes, reader.captured(&Window::ALL).unwrap())
    }
}

fn up(more: bool, complete_to: Option<Timestamp>) -> Polled {
    Polled { link: Link::Up, more, complete_to, interrupted: false }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn what_the_end_cannot_wait_for_is_counted_and_not_vouched_for() {
    let start = Timestamp::now();
    let (mut next, newest) = (start, Arc::<AtomicU64>::default());
    let told = newest.clone();
    // There is always more.
    let poll = Box::new(move |times: &mut Vec<Timestamp>| {
        next = next.saturating_add(10);
        times.push(next);
        told.store(next.as_nanos(), Ordering::SeqCst);
        up(true, None)
    });
    let recorded = record(start.saturating_add(60 * SECOND), 1234, poll);
    let status = recorded.status.clone();
    let (packets, notes, captured) = recorded.finish();
    let newest = Timestamp::from_nanos(newest.load(Ordering::SeqCst));
    assert_eq!(packets, newest.since(start) / 10);
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].kind, NoteKind::Unrecorded { packets: 1234 });
    assert!(notes[0].window.from == newest && notes[0].window.to > newest, "{notes:?}");
    assert_eq!(captured.last().unwrap().to, newest.saturating_add(1));
    assert_eq!(status.unrecorded.load(Ordering::SeqCst), 1234);
}

#[test]
fn what_came_before_the_end_is_taken_however_much_comes_after_it() {
    let start = Timestamp::now();
    let end = start.saturating_add(1000 * 10);
    let mut next = start;
    let poll = Box::new(move |times: &mut Vec<Timestamp>| {
        // A few of before, and then what is so much later that none of before can follow.
        times.extend((0..100).map(|i| next.saturating_add(i * 10)));
        next = next.saturating_add(1000);
        if next > end {
            next = next.saturating_add(SECOND);
        }
        up(true, None)
    });
    let (packets, notes, _) = record(end, 1234, poll).finish();
    assert_eq!((packets, notes), (1000, vec![]));
}

#[test]
fn drops_are_told_before_their_time_is_complete() {
    // Nothing comes, and all is said to be complete as time goes on.
    let recorded = record(Timestamp::MAX, 0, Box::new(|_| up(false, Some(Timestamp::now()))));
    let complete_to = || recorded.reader().held().map_or(Timestamp::ZERO, |h| h.complete_to);
    while complete_to() == Timestamp::ZERO {
        thread::yield_now();
    }
    for count in 1..5 {
        recorded.drops.store(10, Ordering::SeqCst);
        let dropped = Timestamp::now();
        let told = loop {
            // What is complete is read first, and then what was told before it.
            let (complete_to, notes) = (complete_to(), recorded.reader().held().unwrap().summary.drops);
            if complete_to > dropped {
                break notes;
            }
        };
        assert_eq!(told, count * 10);
    }
    recorded.end.store(Timestamp::now().as_nanos(), Ordering::SeqCst);
    let (_, notes, _) = recorded.finish();
    assert_eq!(notes.len(), 4);
    assert!(notes.windows(2).all(|w| w[0].window.to <= w[1].window.from), "{notes:?}");
}

#[test]
fn a_link_that_was_down_between_two_looks_leaves_a_gap() {
    // A packet each poll; before the 50th the link was down and came back.
    let (mut polls, turn) = (0, Arc::new(Mutex::new((Timestamp::ZERO, Timestamp::ZERO))));
    let seen = turn.clone();
    let poll = Box::new(move |times: &mut Vec<Timestamp>| {
        polls += 1;
        let mut turn = seen.lock().unwrap();
        if polls == 50 {
            return Polled { interrupted: true, ..up(true, None) };
        }
        let now = Timestamp::now();
        times.push(now);
        if polls < 50 {
            turn.0 = now;
        } else if polls > 100 {
            turn.1 = now;
        }
        up(false, None)
    });
    let recorded = record(Timestamp::MAX, 0, poll);
    while turn.lock().unwrap().1 == Timestamp::ZERO {
        thread::yield_now();
    }
    let last = Timestamp::now();
    recorded.end.store(last.as_nanos(), Ordering::SeqCst);
    let (packets, _, captured) = recorded.finish();
    assert!(packets >= 100, "{packets}");
    assert_eq!(captured.len(), 2, "{captured:?}");
    assert_eq!(captured[0].to, turn.lock().unwrap().0.saturating_add(1), "up to the last packet before");
    assert!(captured[0].to < captured[1].from, "{captured:?}");
}
