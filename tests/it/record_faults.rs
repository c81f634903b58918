//! What goes wrong around a recorder: it is too slow, the interface goes away, it is stopped and killed.

use crate::make::Random;
use crate::net::{Link, OTHER, RECORDED, Recorder, state};
use crate::record_follow::{frame, nanoseconds, numbers};
use crate::support::{Cut, Data, NOT_WHOLE, Ring, Running, WHOLE, eventually, run_with};
use rustix::process::Signal;
use std::fs;
use std::ops::Range;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Every way of capturing.
const WAYS: [&[&str]; 3] = [&["--capture", "packet-socket"], &["--fanout", "2"], &["--capture", "libpcap"]];

/// Packets that the other end has put on the link.
fn sent(link: &Link) -> u64 {
    let table = link.there(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let line = table.lines().find_map(|l| l.trim_start().strip_prefix(OTHER)?.strip_prefix(':')).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

fn ring(data: &Data) -> Ring {
    let mut all = data.rings();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The stretches that coverage gives for a reason.
pub(crate) fn stretches(cut: &Cut, reason: &str) -> Vec<Range<u64>> {
    let all = cut.coverage["reasons"].as_array().unwrap().iter().filter(|r| r["reason"] == reason);
    all.map(|r| nanoseconds(&r["from"])..nanoseconds(&r["to"])).collect()
}

#[test]
fn what_a_stopped_recorder_cannot_take_is_counted() {
    for way in WAYS {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let mut recorder = link.record(&data, &[way, &["--buffer", "4MiB"]].concat());
        let sender = link.sender();
        let send = |from: u64, count: u64| (from..from + count).for_each(|n| sender.send(&frame(n)));
        send(0, 100);
        recorder.wait_for("the first are recorded", || (ring(&data).packets == 100).then_some(()));
        recorder.signal(Signal::STOP);
        send(100, 40_000);
        recorder.signal(Signal::CONT);
        recorder.wait_for("drops are told", || {
            let state = state(&data, RECORDED)?;
            (state["kernel_drops"].as_u64()? > 0).then_some(())?;
            let ring = ring(&data);
            (ring.packets + ring.json["drops"].as_u64()? == sent(&link)).then_some(())
        });
        send(40_100, 100);
        recorder.stop();
        let cut = data.cut_all().expect(NOT_WHOLE);
        let got = numbers(&cut.file);
        let drops = ring(&data).json["drops"].as_u64().unwrap();
        assert!(drops > 1_000, "{way:?}: {drops} drops");
        assert_eq!(got.len() as u64 + drops, sent(&link), "{way:?}: recorded, and {drops} dropped");
        assert_eq!(cut.coverage["interfaces"][0]["drops"], drops, "{way:?}");
        assert_eq!(cut.reasons(), ["kernel_drops"], "{way:?}: {}", cut.coverage);
        // They are told of where they are missing, and nowhere else.
        let told = stretches(&cut, "kernel_drops");
        let packet = |n: u64| cut.file.packets.iter().find(|p| p.data == frame(n)).map(|p| p.time);
        let missing: Vec<u64> = (0..40_200).filter(|n| !got.contains(n)).collect();
        let before = packet(missing[0] - 1).unwrap();
        let after = (missing[missing.len() - 1] + 1..40_200).find_map(packet).unwrap();
        let (from, to) = (told.iter().map(|t| t.start).min().unwrap(), told.iter().map(|t| t.end).max().unwrap());
        assert!(from <= before.max(from.min(after)) && to >= before, "{way:?}: {told:?} of {before} to {after}");
        assert!(told.iter().all(|t| t.start <= after), "{way:?}: {told:?} after {after}");
        assert!(packet(99).unwrap() < from, "{way:?}: nothing was dropped before it was stopped");
        data.run(&["ring", "check"], &[]).expect(WHOLE);
    }
}

#[track_caller]
pub(crate) fn wait_for_link(recorder: &mut Recorder, data: &Data, link: &str) {
    recorder.wait_for(&format!("the interface is {link}"), || (state(data, RECORDED)?["link"] == link).then_some(()));
}

/// The link's lives: it appears, goes down and comes back, and is deleted and made again.
fn through_all_lives(link: &Link, data: &Data, recorder: &mut Recorder) {
    let send = |life: u64| {
        let sender = link.sender();
        (life * 100..life * 100 + 100).for_each(|n| sender.send(&frame(n)));
    };
    wait_for_link(recorder, data, "up");
    send(0);
    recorder.wait_for("what was sent is recorded", || (ring(data).packets == 100).then_some(()));
    link.set(RECORDED, "down");
    wait_for_link(recorder, data, "down");
    link.set(RECORDED, "up");
    wait_for_link(recorder, data, "up");
    send(1);
    recorder.wait_for("what was sent is recorded", || (ring(data).packets == 200).then_some(()));
    for life in 2..4 {
        link.disconnect();
        wait_for_link(recorder, data, "missing");
        link.connect();
        wait_for_link(recorder, data, "up");
        send(life);
        recorder.wait_for("what was sent is recorded", || (ring(data).packets == 100 * life + 100).then_some(()));
    }
}

/// All packets of all lives are there, and the gaps between are told.
#[track_caller]
fn all_lives_are_there(data: &Data, what: &str) {
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    let cut = data.cut_all().expect(NOT_WHOLE);
    let mut got = numbers(&cut.file);
    got.sort_unstable();
    assert_eq!(got, (0..400).collect::<Vec<_>>(), "{what}");
    assert_eq!(cut.reasons(), ["not_captured"], "{what}: {}", cut.coverage);
    let gaps = stretches(&cut, "not_captured");
    let times: Vec<u64> = cut.file.packets.iter().map(|p| p.time).collect();
    assert!(times.iter().all(|t| gaps.iter().all(|g| !g.contains(t))), "{what}: a packet came where nobody looked: {gaps:?}");
    for life in 1..4 {
        let between = times[life * 100 - 1]..times[life * 100];
        assert!(gaps.iter().any(|g| between.start < g.start && g.end <= between.end), "{what}: {between:?} is no gap: {gaps:?}");
    }
}

#[test]
fn an_interface_is_waited_for_and_recorded_in_each_of_its_lives() {
    for flags in [&["--capture", "packet-socket"][..], &["--fanout", "2"]] {
        let Some(link) = Link::unconnected() else { return };
        let data = Data::new();
        let mut recorder = link.record(&data, flags);
        wait_for_link(&mut recorder, &data, "missing");
        link.connect();
        through_all_lives(&link, &data, &mut recorder);
        recorder.stop();
        all_lives_are_there(&data, &format!("{flags:?}"));
    }
}

#[test]
fn an_interface_comes_back_to_a_recorder_without_rights() {
    for way in WAYS {
        let Some(link) = Link::new() else { return };
        let data = Data::for_anyone();
        let mut recorder = link.record(&data, &[way, &["--user", "nobody"]].concat());
        through_all_lives(&link, &data, &mut recorder);
        recorder.stop();
        all_lives_are_there(&data, &format!("{way:?}"));
    }
}

/// The recording thread says something, and standard error is a pipe that is full.
#[test]
fn a_log_that_nobody_reads_holds_up_no_packet() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let (unread, full) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    for size in [4096, 1] {
        while rustix::io::write(&full, &vec![b'.'; size]).is_ok() {}
    }
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    let mut c = link.record_command(&data, &["-i", RECORDED, "--capture", "libpcap"]);
    c.env("RUST_LOG", "taploop=trace").stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
    let mut recorder = Running(c.spawn().unwrap());
    let sender = link.sender();
    for life in 0..3 {
        let last = AtomicU64::new(life * 100_000);
        eventually("what is sent is recorded", || {
            assert!(recorder.0.try_wait().unwrap().is_none(), "the recorder ended");
            let n = last.fetch_add(1, Ordering::Relaxed);
            sender.send(&frame(n));
            if !data.path().join("rings").exists() {
                return None;
            }
            let cut = data.cut_all();
            (cut.status < 4 || cut.status == NOT_WHOLE).then_some(())?;
            numbers(&cut.file).iter().any(|n| *n >= life * 100_000).then_some(())
        });
        // libpcap gives up.
        link.set(RECORDED, "down");
        std::thread::sleep(Duration::from_millis(300));
        link.set(RECORDED, "up");
    }
    recorder.kill();
    drop(unread);
}

#[test]
fn all_that_was_sent_before_it_is_told_to_stop_is_there() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let sender = link.sender();
    let mut n = 0;
    for way in WAYS {
        for signal in [Signal::TERM, Signal::INT] {
            let recorder = link.record(&data, way);
            for _ in 0..3_000 {
                sender.send(&frame(n));
                n += 1;
            }
            recorder.stop_by(signal);
            let told = state(&data, RECORDED).unwrap();
            assert_eq!(told["packets"], 3_000, "{way:?}, {signal:?}: the last that it told: {told}");
            let cut = data.cut_all();
            let mut got = numbers(&cut.file);
            got.sort_unstable();
            assert_eq!(got, (0..n).collect::<Vec<_>>(), "{way:?}, {signal:?}");
            assert_eq!(ring(&data).json["growing_segments"], 0, "{way:?}, {signal:?}: all is sealed");
        }
    }
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn killed_twenty_times_it_goes_on_and_nothing_published_is_lost() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let (done, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut r = Random(20);
    let mut kept: Vec<u64> = Vec::new();
    std::thread::scope(|s| {
        let sender = link.sender();
        let (done, next) = (&done, &next);
        s.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                for _ in 0..5 {
                    sender.send(&frame(next.fetch_add(1, Ordering::SeqCst)));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        // Also when an assertion ends the test.
        let _end = Ended(done);
        for turn in 0..20 {
            let way = WAYS[turn % WAYS.len()];
            let mut recorder = link.record(&data, &[way, &["--segment-bytes", "128KiB"]].concat());
            let before = next.load(Ordering::SeqCst);
            recorder.wait_for("what is sent now is recorded", || {
                let cut = data.cut(&["--from", "-2s"]);
                numbers(&cut.file).last().is_some_and(|n| *n > before).then_some(())
            });
            std::thread::sleep(Duration::from_millis(r.below(300)));
            let seen = numbers(&data.cut(&["--from", "-1s"]).file);
            recorder.kill();
            kept.extend(seen);
        }
    });
    // One more goes on, and ends well.
    link.record(&data, &["--segment-bytes", "128KiB"]).stop();
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    let cut = data.cut_all().expect(NOT_WHOLE);
    let mut got = numbers(&cut.file);
    got.sort_unstable();
    assert!(got.windows(2).all(|w| w[0] < w[1]), "something is there twice");
    kept.sort_unstable();
    kept.dedup();
    let lost: Vec<&u64> = kept.iter().filter(|n| got.binary_search(n).is_err()).collect();
    assert!(lost.is_empty(), "{} that could be cut are lost: {:?}", lost.len(), &lost[..lost.len().min(20)]);
    assert_eq!(cut.reasons(), ["not_captured"], "{}", cut.coverage);
    // What is missing is what came while nobody recorded, and coverage says so.
    let gaps = stretches(&cut, "not_captured");
    assert!(gaps.len() >= 20, "{} gaps", gaps.len());
    let mut in_order: Vec<(u64, u64)> = cut.file.packets.iter().map(|p| (numbers_of(&p.data), p.time)).collect();
    in_order.sort_unstable();
    for w in in_order.windows(2).filter(|w| w[0].0 + 1 != w[1].0) {
        let told = gaps.iter().any(|g| g.start <= w[1].1 && w[0].1 <= g.end);
        assert!(told, "{} to {} are missing and nothing says so: {:?} {gaps:?}", w[0].0, w[1].0, (w[0].1, w[1].1));
    }
}

fn numbers_of(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[42..50].try_into().unwrap())
}

/// Tells another thread that the test is over.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_second_recorder_of_a_ring_is_refused_by_name() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let recorder = link.record(&data, &[]);
    let out = run_with(link.record_command(&data, &["-i", RECORDED]), &[]);
    assert_eq!(out.status, 1, "{}", out.stderr);
    assert!(out.one_line().contains(RECORDED), "{}", out.stderr);
    // The first does not mind.
    link.sender().send(&frame(0));
    recorder.stop();
    assert_eq!(numbers(&data.cut_all().file), [0]);
}

/// A socket gets everything from when it is bound until it shares with the others.
#[test]
fn threads_that_share_an_interface_begin_together() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let sender = link.sender();
        let done = &done;
        s.spawn(move || {
            for n in 0.. {
                sender.send(&frame(n));
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        let _end = Ended(done);
        for _ in 0..10 {
            link.record(&data, &["--fanout", "4", "--buffer", "16MiB"]).stop();
        }
    });
    let mut got = numbers(&data.cut_all().file);
    got.sort_unstable();
    let twice = got.windows(2).filter(|w| w[0] == w[1]).count();
    assert_eq!(twice, 0, "of {} packets {twice} are there twice", got.len());
    if ring(&data).json["drops"] == 0 {
        let missing = got.windows(2).filter(|w| w[0] + 1 < w[1]).count();
        assert!(missing < 10, "packets are missing only between the ten recordings, not in {missing} places");
    }
}
