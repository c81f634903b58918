//! Cuts of rings that a recorder writes: the same bytes whatever happens to the segments behind them.

use crate::cut::{Format, cut};
use crate::packet::{LinkType, Packet};
use crate::ring::data::{DataDir, Retention};
use crate::ring::ids::StreamId;
use crate::ring::note::{Note, NoteKind};
use crate::ring::ring_writer::RingWriter;
use crate::ring::snapshot::{Held, ReadContext, RingReader};
use crate::ring::writer::{StreamOptions, StreamWriter};
use crate::select::{Expr, Selection};
use crate::time::{Timestamp, Window};

const LIVE: StreamOptions =
    StreamOptions { segment_bytes: 100_000, segment_flows: 500, imported: false, reserve: 0, segment_age: None };
const STREAM: StreamId = StreamId { fanout: 0, link_type: LinkType::ETHERNET };
/// Between two packets.
const STEP: u64 = 1_000;

fn time(n: u64) -> Timestamp {
    Timestamp::from_nanos(1_529_577_720_000_000_000 + n * STEP)
}

fn append(stream: &mut StreamWriter, packets: std::ops::Range<u64>) {
    for n in packets {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        bytes.extend([0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, (n % 7) as u8, 10, 9, 9, 9]);
        bytes.extend([0x10, 0, 0, 53, 0, 108, 0, 0]);
        bytes.extend(n.to_be_bytes());
        bytes.resize(142, 0);
        stream.append(&Packet { time: time(n), original_length: 142, data: &bytes, options: &[] }).unwrap();
    }
}

/// Publishes up to packet `to`, and waits until readers see it.
fn complete(data: &DataDir, ring: &mut RingWriter, since: u64, to: u64) {
    ring.stream(STREAM, LIVE).publish_complete(time(to), Window { from: time(since), to: time(to) }).unwrap();
    while held(data).complete_to != time(to) {
        std::thread::yield_now();
    }
}

fn held(data: &DataDir) -> Held {
    RingReader::open(data, "eth0", &ReadContext::default()).unwrap().held().unwrap()
}

/// Cuts of windows that end at or before packet `to`: short ones and long ones, of all packets, of one host, and by a filter.
fn cuts(data: &DataDir, from: u64, to: u64) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (from, to) in [(from, to), (from, from + 1), (from + (to - from) / 3, to - (to - from) / 3), (to - 10, to)] {
        for expr in ["all", "layer(ip 10.0.0.3)", "filter \"host 10.0.0.4\"", "layer(ip 10.1.1.1)"] {
            let mut selection = Selection::everything();
            selection.window = Window { from: time(from), to: time(to) };
            (selection.from_given, selection.to_given) = (true, true);
            selection.expr = expr.parse::<Expr>().unwrap();
            let mut bytes = Vec::new();
            let outcome = cut(data, &selection, Format::Pcapng, &mut bytes).unwrap();
            all.push((format!("{selection}: {:?}", outcome.coverage.reasons), bytes));
        }
    }
    all
}

#[track_caller]
fn same(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)], what: &str) {
    for (b, a) in before.iter().zip(after) {
        assert!(b.1 == a.1, "{what} changed the bytes of a cut:\n{}\n{}", b.0, a.0);
    }
}

#[test]
fn a_window_up_to_complete_to_is_cut_the_same_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    append(ring.stream(STREAM, LIVE), 0..2_000);
    let window = Window { from: time(1_900), to: time(1_950) };
    ring.stream(STREAM, LIVE).note(Note { window, kind: NoteKind::Drops { os: 5, interface: 0 } }).unwrap();
    // Nothing came in the last tenth of the stretch.
    complete(&data, &mut ring, 0, 2_200);
    let (early, late) = (cuts(&data, 0, 2_200), cuts(&data, 1_800, 2_200));
    assert!(held(&data).growing > 0);
    let packets: usize = early[0].1.windows(4).filter(|w| *w == [0x45, 0, 0, 128]).count();
    assert_eq!(packets, 2_000);
    assert!(early[0].0.contains("KernelDrops") && !early[0].0.contains("AfterRing"), "{}", early[0].0);

    append(ring.stream(STREAM, LIVE), 2_200..3_000);
    ring.stream(STREAM, LIVE).publish().unwrap();
    while held(&data).summary.packets != 2_800 {
        std::thread::yield_now();
    }
    same(&early, &cuts(&data, 0, 2_200), "a later packet");
    assert!(held(&data).complete_to >= time(2_200), "what was complete stays complete over a change of segments");
    complete(&data, &mut ring, 0, 3_000);
    let whole = cuts(&data, 0, 3_000);
    ring.finish().unwrap();
    assert_eq!(held(&data).growing, 0);
    same(&early, &cuts(&data, 0, 2_200), "sealing");
    same(&whole, &cuts(&data, 0, 3_000), "sealing");

    // A second run, after a stretch in which nobody recorded.
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    append(ring.stream(STREAM, LIVE), 5_000..5_100);
    complete(&data, &mut ring, 5_000, 5_200);
    let gap = cuts(&data, 2_500, 5_200);
    assert!(gap[0].0.contains("NotCaptured"), "{}", gap[0].0);
    same(&early, &cuts(&data, 0, 2_200), "a second run");
    ring.finish().unwrap();
    same(&gap, &cuts(&data, 2_500, 5_200), "sealing behind a gap");

    // A third that drops the oldest segments.
    let retention = Retention { max_bytes: Some(400_000), ..Retention::default() };
    let first = held(&data).summary.segments;
    let mut ring = RingWriter::open(&data, "eth0", Some(retention)).unwrap();
    append(ring.stream(STREAM, LIVE), 6_000..6_100);
    ring.finish().unwrap();
    assert!(held(&data).summary.segments <= first && held(&data).first > Some(time(0)), "the oldest are dropped");
    same(&late, &cuts(&data, 1_800, 2_200), "dropping what is older");
}

#[test]
fn without_traffic_complete_to_outlives_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    append(ring.stream(STREAM, LIVE), 0..10);
    complete(&data, &mut ring, 0, 100);
    ring.finish().unwrap();
    assert_eq!(held(&data).complete_to, time(100));
    assert_eq!(held(&data).last, Some(time(9)));
}

#[test]
fn a_cut_is_in_order_of_time_though_the_clock_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    // Back into what was recorded before, and forth.
    let stretches = [0..2_000, 500..1_500, 9_000..9_500, 1_000..1_800];
    let mut before = time(0);
    for (i, stretch) in stretches.iter().enumerate() {
        let stream = ring.stream(STREAM, LIVE);
        if i > 0 {
            stream.clock_set(before, time(stretch.start)).unwrap();
        }
        append(stream, stretch.clone());
        before = time(stretch.end);
        stream.publish_complete(before, Window { from: time(stretch.start), to: before }).unwrap();
    }
    let mut want: Vec<u64> = stretches.into_iter().flatten().map(|n| time(n).as_nanos()).collect();
    want.sort_unstable();
    let times = || {
        let mut bytes = Vec::new();
        cut(&data, &Selection::everything(), Format::Pcapng, &mut bytes).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut times) = (0, Vec::new());
        while at < bytes.len() {
            if word(at) == 6 {
                times.push(u64::from(word(at + 12)) << 32 | u64::from(word(at + 16)));
            }
            at += word(at + 4) as usize;
        }
        times
    };
    ring.finish().unwrap();
    assert!(times() == want, "each once, in order of time");
}
