//! Cutting while packets come in: nothing is missed, nothing comes twice, and the growing segment is an ordinary file.

use crate::faults::published;
use crate::make::{Made, SECOND, START, numbered, pcap};
use crate::plain::File;
use crate::support::{Cut, Data, NOT_WHOLE, Running, WHOLE, eventually, seconds, tools_accept};
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where the number of a packet lies: after Ethernet, IPv4 and UDP.
const NUMBER: std::ops::Range<usize> = 42..50;
/// Every so many packets one of the host that is looked up.
const EACH: u64 = 10;

fn made(n: u64) -> Made {
    let src = if n.is_multiple_of(EACH) { "10.7.7.7" } else { "10.0.0.1" };
    Made::new(START + n * 10_000, numbered(src, "10.0.0.2", n, 400))
}

fn numbers(file: &File) -> Vec<u64> {
    file.packets
        .iter()
        .map(|p| {
            let n = u64::from_be_bytes(p.data[NUMBER].try_into().unwrap());
            assert!(made(n) == Made { time: p.time, orig_len: p.orig_len, data: p.data.clone() }, "packet {n} is not as it was");
            n
        })
        .collect()
}

/// An import that reads from a pipe which stays open.
fn importing(data: &Data, flags: &[&str]) -> (Running, ChildStdin) {
    let mut c = data.command(&["import"], &["--interface", "eth0"]);
    c.args(flags).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Running(c.spawn().unwrap());
    let stdin = child.0.stdin.take().unwrap();
    (child, stdin)
}

/// The stretches that coverage gives for a reason.
fn stretches(cut: &Cut, reason: &str) -> Vec<std::ops::Range<i128>> {
    let time = |v: &serde_json::Value| v.as_str().map(|t| t.parse::<jiff::Timestamp>().unwrap().as_nanosecond());
    let all = cut.coverage["reasons"].as_array().unwrap().iter().filter(|r| r["reason"] == reason);
    all.map(|r| time(&r["from"]).unwrap_or(0)..time(&r["to"]).unwrap_or(i128::MAX)).collect()
}

/// Three loops of cuts while `count` packets come in; `dropping` says whether the ring is too small for them.
fn cut_while_importing(flags: &[&str], count: u64, dropping: bool) -> (Data, Vec<u64>) {
    let data = Data::new();
    let (mut child, mut stdin) = importing(&data, flags);
    let done = AtomicBool::new(false);
    let cuts: Vec<u64> = std::thread::scope(|s| {
        s.spawn(|| {
            stdin.write_all(&pcap(&[])).unwrap();
            for from in (0..count).step_by(2_000) {
                let part: Vec<_> = (from..(from + 2_000).min(count)).map(made).collect();
                // The file header was written before.
                stdin.write_all(&pcap(&part)[24..]).unwrap();
                // So slow that cuts see many states of the ring; nothing is asserted of it.
                std::thread::sleep(Duration::from_millis(40));
            }
            drop(stdin);
            // Packets of this very import are dropped, and its status says so.
            assert_eq!(child.wait(), if dropping { NOT_WHOLE } else { WHOLE });
            done.store(true, Ordering::SeqCst);
        });
        let data = &data;
        let done = &done;
        let loops: Vec<_> = (0..3)
            .map(|kind| {
                s.spawn(move || {
                    eventually("something is published", || (published(data) > 0).then_some(()));
                    let (mut cuts, mut last) = (0, 0);
                    let mut whole = 0;
                    while !done.load(Ordering::SeqCst) {
                        let (words, step) = match kind {
                            0 => (vec![], 1),
                            1 => (vec!["--ip".to_owned(), "10.7.7.7".to_owned()], EACH),
                            _ => (vec!["--from".to_owned(), seconds(START + last / 2 * 10_000)], 1),
                        };
                        // Nothing is dropped: the ring's count is a number of packets that a later cut must have.
                        let before = if dropping || kind != 0 { 0 } else { published(data) };
                        if dropping && kind == 0 {
                            let held: u64 = data.rings().iter().map(|r| r.json["bytes"].as_u64().unwrap()).sum();
                            assert!(held <= 3 << 20, "{held} bytes are held");
                        }
                        let cut = data.cut(&words);
                        let got = numbers(&cut.file);
                        assert!(got.len() as u64 >= before, "{before} were published, {} were cut", got.len());
                        assert!(got.windows(2).all(|w| w[0] < w[1]), "repeated or out of order: {words:?}");
                        let disturbed = cut.reasons().iter().any(|r| r == "dropped_during_cut");
                        assert!(dropping || !disturbed, "nothing is dropped here");
                        if disturbed {
                            // What is missing is what coverage says is missing.
                            let gone = stretches(&cut, "dropped_during_cut");
                            for w in got.windows(2) {
                                for n in (w[0] + step..w[1]).step_by(step as usize) {
                                    let time = i128::from(made(n).time);
                                    assert!(
                                        gone.iter().any(|g| g.contains(&time)),
                                        "{n} is missing and nothing says so: {gone:?}"
                                    );
                                }
                            }
                        } else {
                            whole += 1;
                            let gap = got.windows(2).find(|w| w[0] + step != w[1]);
                            assert_eq!(gap, None, "packets are missing: {words:?} {}", cut.coverage);
                            if !dropping && kind == 2 && !got.is_empty() {
                                assert_eq!(got[0], last / 2, "the beginning is missing");
                            } else if !dropping && !got.is_empty() {
                                assert_eq!(got[0], 0, "the beginning is missing");
                            }
                        }
                        if let Some(&n) = got.last() {
                            assert!(n >= last, "what was cut before is no longer there");
                            last = n;
                        }
                        cuts += 1;
                    }
                    assert!(whole > 0, "all of the {cuts} cuts were disturbed, so that little was tried");
                    cuts
                })
            })
            .collect();
        loops.into_iter().map(|l| l.join().unwrap()).collect()
    });
    (data, cuts)
}

#[test]
fn three_cut_loops_during_sealing() {
    let (data, cuts) = cut_while_importing(&["--segment-bytes", "256KiB"], 50_000, false);
    assert!(cuts.iter().all(|n| *n > 2), "{cuts:?}");
    assert_eq!(numbers(&data.cut_all().file), (0..50_000).collect::<Vec<_>>());
}

#[test]
fn three_cut_loops_during_sealing_and_dropping() {
    let (data, cuts) = cut_while_importing(&["--segment-bytes", "256KiB", "--max-bytes", "3MiB"], 60_000, true);
    assert!(cuts.iter().all(|n| *n > 2), "{cuts:?}");
    let held = numbers(&data.cut_all().file);
    assert_eq!(held.last(), Some(&59_999));
    assert!(held[0] > 30_000, "old segments were dropped");
    assert!(held.windows(2).all(|w| w[0] + 1 == w[1]));
    let bytes: u64 = data.packet_files().iter().chain(&data.index_files()).map(|p| p.metadata().unwrap().len()).sum();
    assert!(bytes <= 3 << 20, "{bytes} bytes are held");
}

#[test]
fn a_growing_segment_is_an_ordinary_file() {
    let data = Data::new();
    let (mut child, mut stdin) = importing(&data, &[]);
    stdin.write_all(&pcap(&[])).unwrap();
    let mut fed = 0;
    for count in [1, 7, 100, 2_000, 5_000] {
        let part: Vec<_> = (fed..fed + count).map(made).collect();
        stdin.write_all(&pcap(&part)[24..]).unwrap();
        fed += count;
        eventually("what was fed is published", || (published(&data) == fed).then_some(()));
        assert_eq!(numbers(&data.cut_all().file), (0..fed).collect::<Vec<_>>());
        let host = data.cut(&["--ip", "10.7.7.7"]);
        assert_eq!(numbers(&host.file), (0..fed).step_by(EACH as usize).collect::<Vec<_>>());
        let files = data.packet_files();
        assert_eq!(files.len(), 1);
        tools_accept(&files[0], true);
    }
    drop(stdin);
    assert_eq!(child.wait(), WHOLE);
    assert_eq!(numbers(&data.cut_all().file), (0..fed).collect::<Vec<_>>());
}

/// An import says that it is complete only when it is done, so until then coverage says more; the packets are the same. That a whole
/// file is the same, up to where the ring says that it is complete, is held by the library's own tests of recorded rings.
#[test]
fn a_cut_has_the_same_packets_from_a_growing_and_a_sealed_segment() {
    let data = Data::new();
    let (mut child, mut stdin) = importing(&data, &[]);
    stdin.write_all(&pcap(&(0..3_000).map(made).collect::<Vec<_>>())).unwrap();
    eventually("what was fed is published", || (published(&data) == 3_000).then_some(()));
    let window = ["--from", &seconds(START), "--to", &seconds(START + 2_000 * 10_000)];
    let host = [&window[..], &["--ip", "10.7.7.7"]].concat();
    let (growing, of_host) = (data.cut(&window), data.cut(&host));
    assert_eq!((growing.file.packets.len(), of_host.file.packets.len()), (2_000, 200));
    assert_eq!(growing.reasons(), ["after_ring"], "packets may still come");
    let same = |what: &str, now: &Cut, before: &Cut| {
        assert!(now.file.packets == before.file.packets, "{what} changed the packets of a cut");
        let name = |c: &Cut| c.file.packets.iter().map(|p| c.file.name(p)).collect::<Vec<_>>();
        assert_eq!(name(now), name(before), "{what}");
    };
    drop(stdin);
    assert_eq!(child.wait(), WHOLE);
    let sealed = data.cut(&window).expect(WHOLE);
    same("sealing", &sealed, &growing);
    same("sealing", &data.cut(&host), &of_host);
    // Later packets change not a byte of what is sealed.
    let later: Vec<_> = (0..100).map(|n| Made { time: START + SECOND + n, ..made(n) }).collect();
    let later = data.file("later.pcap", &pcap(&later));
    data.import_with(&["--interface", "eth0"], &[&later]).expect(WHOLE);
    assert!(data.cut(&window).bytes == sealed.bytes, "a later import changed the bytes of a cut");
    // Nor do packets of another interface.
    let other = data.file("other.pcap", &pcap(&[Made { time: START + SECOND, ..made(0) }]));
    data.import_with(&["--interface", "eth1"], &[&other]).expect(WHOLE);
    assert!(data.cut(&[&window[..], &["--interface", "eth0"]].concat()).file.packets == sealed.file.packets);
}
