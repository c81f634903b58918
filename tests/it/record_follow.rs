//! Cutting what is being recorded: packets can be cut soon after they came, and a reader that follows sees each once.

use crate::make::numbered;
use crate::net::{Link, RECORDED};
use crate::plain::File;
use crate::support::{Cut, Data, NONE_MATCHED, WHOLE, eventually};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the number of a packet lies: after Ethernet, IPv4 and UDP.
const NUMBER: Range<usize> = 42..50;

/// The frame of a number. They are of many flows, which threads share.
pub(crate) fn frame(n: u64) -> Vec<u8> {
    numbered(&format!("10.0.0.{}", n % 31 + 1), "10.0.1.1", n, 8 + n as usize % 700)
}

/// The numbers of frames, each of which is as it was sent.
#[track_caller]
pub(crate) fn numbers(file: &File) -> Vec<u64> {
    let number = |data: &[u8]| u64::from_be_bytes(data[NUMBER].try_into().unwrap());
    for p in &file.packets {
        assert!(p.data == frame(number(&p.data)), "not as it was sent: {:x?}", p.data);
    }
    file.packets.iter().map(|p| number(&p.data)).collect()
}

/// Nanoseconds since 1970 of a time in JSON.
pub(crate) fn nanoseconds(time: &serde_json::Value) -> u64 {
    let time: jiff::Timestamp = time.as_str().unwrap_or_else(|| panic!("no time: {time}")).parse().unwrap();
    u64::try_from(time.as_nanosecond()).unwrap()
}

fn complete_to(cut: &Cut) -> String {
    cut.coverage["interfaces"][0]["complete_to"].as_str().unwrap().to_owned()
}

/// Follows the ring until `count` packets were seen: each answer goes on where the last one ended.
fn follow(data: &Data, count: u64) -> Vec<u64> {
    let (mut seen, mut from) = (Vec::new(), "0".to_owned());
    eventually("all packets were seen", || {
        let cut = data.cut(&["--from", &from]);
        let to = complete_to(&cut);
        seen.extend(numbers(&cut.file));
        assert!(
            cut.reasons().iter().all(|r| ["after_ring", "before_ring", "not_captured"].contains(&&r[..])),
            "{}",
            cut.coverage
        );
        from = to;
        (seen.len() as u64 >= count).then_some(())
    });
    seen
}

#[test]
fn a_reader_that_follows_sees_each_packet_once() {
    for flags in [&[][..], &["--fanout", "2"], &["--capture", "libpcap"]] {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let flags = [&["--segment-bytes", "256KiB"], flags].concat();
        let recorder = link.record(&data, &flags);
        let sender = link.sender();
        let seen = std::thread::scope(|s| {
            let seen = s.spawn(|| follow(&data, 6_004));
            for n in 0..6_000 {
                sender.send(&frame(n));
                if n % 3 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            // And then hardly any.
            for n in 6_000..6_004 {
                std::thread::sleep(Duration::from_secs(1));
                sender.send(&frame(n));
            }
            seen.join().unwrap()
        });
        // Two threads may give packets of one time in another order than they were sent in.
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..6_004).collect::<Vec<_>>(), "{flags:?}: each once");
        recorder.stop();
    }
}

/// How long it took is printed, not asserted.
#[test]
fn a_packet_on_a_slow_link_can_be_cut_and_the_silence_after_it_is_told() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let recorder = link.record(&data, &[]);
    let sender = link.sender();
    let slowest = AtomicU64::new(0);
    for n in 0..5 {
        sender.send(&frame(n));
        let sent = Instant::now();
        let cut = eventually("the packet can be cut", || Some(data.cut_all()).filter(|c| c.file.packets.len() as u64 > n));
        slowest.fetch_max(sent.elapsed().as_millis() as u64, Ordering::Relaxed);
        assert_eq!(numbers(&cut.file), (0..=n).collect::<Vec<_>>());
        let time = cut.file.packets.last().unwrap().time;
        let quiet = eventually("it is complete past the packet", || {
            let cut = data.cut_all();
            (nanoseconds(&complete_to(&cut).into()) > time).then_some(cut)
        });
        assert_eq!((quiet.status, quiet.reasons()), (WHOLE, vec![]), "silence is whole: {}", quiet.coverage);
        // Silence goes on, and this is told too.
        let before = complete_to(&quiet);
        eventually("complete_to moves", || (complete_to(&data.cut_all()) > before).then_some(()));
        let silent = data.cut(&["--from", &crate::support::seconds(time + 1), "--to", &before]).expect(NONE_MATCHED);
        assert_eq!(silent.reasons(), Vec::<String>::new(), "nothing came and somebody looked: {}", silent.coverage);
    }
    eprintln!("from sending to the end of the cut: {} ms at most", slowest.into_inner());
    assert_eq!(data.rings()[0].interface, RECORDED);
    recorder.stop();
}
