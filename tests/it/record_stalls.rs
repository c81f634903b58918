//! What a recorder does that was held up: it takes what the kernel has kept for it, and says what it did not get.

use crate::net::{Link, RECORDED, state};
use crate::record_faults::stretches;
use crate::record_follow::{frame, numbers};
use crate::support::{Data, NOT_WHOLE, WHOLE};
use rustix::process::Signal;
use std::time::Duration;

fn packets(data: &Data) -> Option<u64> {
    state(data, RECORDED)?["packets"].as_u64()
}

#[test]
fn a_recorder_that_is_held_up_on_a_slow_link_loses_nothing() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let mut recorder = link.record(&data, &["--capture", "packet-socket"]);
    let sender = link.sender();
    sender.send(&frame(0));
    recorder.wait_for("the first is recorded", || (packets(&data)? == 1).then_some(()));
    recorder.signal(Signal::STOP);
    // So far apart that the kernel hands over a block for each.
    for n in 1..=100 {
        sender.send(&frame(n));
        std::thread::sleep(Duration::from_millis(41));
    }
    recorder.signal(Signal::CONT);
    recorder.wait_for("all are recorded", || (packets(&data)? == 101).then_some(()));
    recorder.stop();
    let cut = data.cut_all().expect(WHOLE);
    assert_eq!(numbers(&cut.file), (0..=100).collect::<Vec<_>>());
}

#[test]
fn what_is_told_to_stop_with_much_to_do_takes_it_or_says_what_it_left() {
    const SENT: u64 = 60_000;
    for way in [&["--capture", "packet-socket"][..], &["--fanout", "2"]] {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let mut recorder = link.record(&data, &[way, &["--buffer", "64MiB"]].concat());
        let sender = link.sender();
        sender.send(&frame(0));
        recorder.wait_for("the first is recorded", || (packets(&data)? == 1).then_some(()));
        recorder.signal(Signal::STOP);
        (1..SENT).for_each(|n| sender.send(&frame(n)));
        // Told to stop as soon as it goes on.
        recorder.signal(Signal::CONT);
        recorder.stop();
        let cut = data.cut_all();
        let got = numbers(&cut.file).len() as u64;
        let told = cut.coverage["interfaces"][0]["drops"].as_u64().unwrap();
        assert_eq!(got + told, SENT, "{way:?}: {}", cut.coverage);
        if told > 0 {
            cut.expect(NOT_WHOLE);
        }
    }
}

#[test]
fn a_link_that_was_down_while_nobody_looked_leaves_a_gap() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let mut recorder = link.record(&data, &["--capture", "packet-socket"]);
    link.sender().send(&frame(0));
    recorder.wait_for("the first is recorded", || (packets(&data)? == 1).then_some(()));
    recorder.signal(Signal::STOP);
    link.set(RECORDED, "down");
    link.set(RECORDED, "up");
    recorder.signal(Signal::CONT);
    recorder.wait_for("what comes after is recorded", || {
        // The link takes its time.
        link.sender().send(&frame(1));
        (packets(&data)? > 1).then_some(())
    });
    recorder.stop();
    let cut = data.cut_all().expect(NOT_WHOLE);
    assert_eq!(cut.reasons(), ["not_captured"], "{}", cut.coverage);
    let gaps = stretches(&cut, "not_captured");
    let (first, next) = (cut.file.packets[0].time, cut.file.packets[1].time);
    assert!(gaps.iter().any(|g| first < g.start && g.start < next), "{gaps:?} between {first} and {next}");
}
