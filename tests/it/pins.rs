//! Pins: what they cover stays when its ring drops it, is cut exactly, and goes with the last pin.

use crate::faults::{killed, published};
use crate::make::{Made, Order, PcapNg, Random, START, numbered, pcap, v4};
use crate::support::{
    Cut, Data, FAILED, NONE_MATCHED, NOT_WHOLE, Output, Running, WHOLE, WRONG_REQUEST, eventually, has_tool, run_with, seconds,
    tools_accept,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Nanoseconds between packets.
const STEP: u64 = 100_000;

fn packets(from: u64, count: u64) -> Vec<Made> {
    (from..from + count).map(|n| Made::new(START + n * STEP, numbered("10.0.0.1", "10.0.0.2", n, 400))).collect()
}

/// The flags of a window of packets, by number.
fn window(from: u64, to: u64) -> [String; 4] {
    ["--from".into(), seconds(START + from * STEP), "--to".into(), seconds(START + to * STEP)]
}

/// An import into a ring that holds few segments.
fn feed(data: &Data, from: u64, count: u64) -> Output {
    let file = data.file("more.pcap", &pcap(&packets(from, count)));
    data.import_with(&["--interface", "eth0", "--max-bytes", "2MiB"], &[&file])
}

fn pin_with(data: &Data, from: u64, to: u64, more: &[&str]) -> Output {
    let mut c = data.command(&["pin"], &["--name", "case 7", "--json"]);
    c.args(window(from, to)).args(more);
    run_with(c, &[])
}

/// Pins a window; the pin's id.
#[track_caller]
fn pin(data: &Data, from: u64, to: u64, more: &[&str]) -> String {
    pin_with(data, from, to, more).expect(WHOLE).json()["id"].as_str().unwrap().to_owned()
}

fn pins(data: &Data) -> Vec<Value> {
    data.run(&["pins"], &["--json"]).expect(WHOLE).json().as_array().unwrap().clone()
}

fn kept_files(data: &Data) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.path().join("kept/eth0")).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[track_caller]
fn has_exactly(cut: &Cut, from: u64, to: u64) {
    let want = packets(from, to - from);
    let got = &cut.file.packets;
    assert_eq!(got.len(), want.len(), "{}", cut.coverage);
    assert!(got.iter().zip(&want).all(|(p, w)| (p.time, &p.data) == (w.time, &w.data)), "packets are not those that were pinned");
}

#[test]
fn what_is_pinned_is_cut_to_the_byte_after_its_ring_dropped_it() {
    let data = Data::new();
    feed(&data, 0, 3_000).expect(WHOLE);
    let before = data.cut(&window(500, 1_500)).expect(WHOLE);
    let inodes: BTreeSet<u64> = data.packet_files().iter().map(|p| p.metadata().unwrap().ino()).collect();
    let (one, two) = (pin(&data, 500, 1_500, &[]), pin(&data, 1_000, 1_200, &["--interface", "eth0", "--expires", "30d"]));
    let fed = feed(&data, 3_000, 20_000);
    assert!(fed.stderr.contains("of older segments were dropped"), "what is not pinned went: {}", fed.stderr);
    let after = data.cut(&window(500, 1_500)).expect(WHOLE);
    assert!(after.bytes == before.bytes, "the bytes of a cut do not depend on whether a segment is kept");
    has_exactly(&after, 500, 1_500);
    // Each once, whoever pins it, with its name, its index and its inode.
    let kept = kept_files(&data);
    let packet_files: Vec<_> = kept.iter().filter(|p| p.extension().is_some_and(|x| x == "pcapng")).collect();
    assert_eq!(kept.len(), 2 * packet_files.len());
    assert!(packet_files.iter().all(|p| inodes.contains(&p.metadata().unwrap().ino()) && p.metadata().unwrap().nlink() == 1));
    packet_files.iter().for_each(|p| tools_accept(p, false));
    // The ring's limit holds for the ring alone.
    let ring = &data.rings()[0].json;
    let bytes: u64 = kept.iter().map(|p| p.metadata().unwrap().len()).sum();
    assert_eq!(ring["kept_bytes"].as_u64(), Some(bytes));
    assert_eq!(ring["kept_segments"].as_u64(), Some(packet_files.len() as u64));
    assert!(ring["bytes"].as_u64().unwrap() <= 2 << 20);
    let listed = pins(&data);
    assert_eq!(listed.iter().map(|p| p["id"].as_str().unwrap()).collect::<Vec<_>>(), [&one, &two]);
    assert_eq!((listed[0]["kept"]["bytes"].as_u64(), listed[0]["in_ring"]["segments"].as_u64()), (Some(bytes), Some(0)));
    assert!(listed[1]["kept"]["bytes"].as_u64().unwrap() < bytes);
    assert_eq!(listed[0]["name"], "case 7");
    assert!(data.run(&["pins"], &[]).expect(WHOLE).stderr.contains(&one));
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    // Between what is kept and the ring's first packet nothing is held, and that is said.
    let all = data.cut_all().expect(NOT_WHOLE);
    assert_eq!(all.reasons(), ["before_ring"]);
    assert_eq!(data.cut(&window(0, 1_500)).expect(NOT_WHOLE).reasons(), ["before_ring"]);
    let flows = data.run(&["flows"], &["--json", "--from", &seconds(START + 500 * STEP), "--to", &seconds(START + 1_500 * STEP)]);
    assert_eq!(flows.expect(WHOLE).json()["packets_a_to_b"].as_u64(), Some(1_000));
    // Unpinning frees what no other pin covers.
    data.run(&["unpin"], &[&one]).expect(WHOLE);
    has_exactly(&data.cut(&window(1_000, 1_200)).expect(WHOLE), 1_000, 1_200);
    assert!(kept_files(&data).len() < kept.len());
    data.run(&["unpin"], &[&two]).expect(WHOLE);
    assert_eq!(kept_files(&data), Vec::<PathBuf>::new());
    data.cut(&window(1_000, 1_200)).expect(NONE_MATCHED);
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    data.run(&["unpin"], &[&two]).expect(WRONG_REQUEST).one_line();
}

#[test]
fn pins_that_cannot_be_made_say_what_to_do() {
    let data = Data::new();
    feed(&data, 0, 3_000).expect(WHOLE);
    let covered = pin_with(&data, 0, 3_000, &[]).expect(WHOLE).json()["in_ring"]["bytes"].to_string();
    for (from, more, says) in [
        (0, &["--max-bytes", "100kB"][..], &*format!("{covered} bytes")),
        (0, &["--max-bytes", "100kB"], "may keep 100000"),
        (0, &["--interface", "eht0"], "there are eth0"),
        (0, &["--limit-packets", "5"], "--max-bytes bounds it"),
        (0, &["--expires", "0s"], "longer time"),
        (9_000, &[], "not before"),
    ] {
        let refused = pin_with(&data, from, 3_000, more).expect(WRONG_REQUEST);
        assert!(refused.one_line().contains(says), "{more:?}: {}", refused.stderr);
    }
    assert_eq!(pins(&data).len(), 1);
    let mut unnamed = data.command(&["pin"], &[]);
    unnamed.args(window(0, 10));
    run_with(unnamed, &[]).expect(WRONG_REQUEST).one_line();
    data.run(&["unpin"], &["../taploop"]).expect(WRONG_REQUEST).one_line();
}

#[test]
fn a_pin_keeps_what_comes_and_no_more_than_it_may() {
    let data = Data::new();
    feed(&data, 0, 100).expect(WHOLE);
    let ahead = pin_with(&data, 5_000, 6_000, &[]).expect(WHOLE);
    assert!(ahead.stderr.contains("nothing that is held lies in its window yet"), "{}", ahead.stderr);
    let small = pin(&data, 8_000, 12_000, &["--max-bytes", "300kB"]);
    let fed = feed(&data, 100, 30_000).expect(NOT_WHOLE);
    assert!(fed.stderr.contains(&format!("pin {small} covers it")), "{}", fed.stderr);
    has_exactly(&data.cut(&window(5_000, 6_000)).expect(WHOLE), 5_000, 6_000);
    let listed = data.run(&["pins"], &["--json"]).expect(WHOLE);
    assert!(listed.stderr.contains(&small) && listed.stderr.contains("were dropped"), "{}", listed.stderr);
    let told = &listed.json()[1];
    let of = |part: &str| told[part]["bytes"].as_u64().unwrap();
    assert!(of("kept") <= 300_000 && of("kept") > 0 && of("not_kept") > 0, "{told}");
}

#[test]
fn what_an_expired_pin_kept_goes_with_the_next_writer() {
    let data = Data::new();
    feed(&data, 0, 2_000).expect(WHOLE);
    let id = pin(&data, 0, 1_000, &["--expires", "1d"]);
    feed(&data, 2_000, 10_000);
    let path = data.path().join("pins").join(format!("{id}.json"));
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["expires"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&path, json.to_string()).unwrap();
    assert_eq!(pins(&data)[0]["expired"], true);
    has_exactly(&data.cut(&window(0, 1_000)).expect(WHOLE), 0, 1_000);
    feed(&data, 12_000, 10).expect(WHOLE);
    assert_eq!(kept_files(&data), Vec::<PathBuf>::new());
    data.cut(&window(0, 1_000)).expect(NONE_MATCHED);
}

#[test]
fn a_move_that_a_kill_cut_off_is_finished_and_loses_nothing() {
    for which in ["pcapng", "idx"] {
        let data = Data::new();
        feed(&data, 0, 2_000).expect(WHOLE);
        pin(&data, 0, 1_000, &[]);
        let kept = data.path().join("kept/eth0");
        std::fs::create_dir_all(&kept).unwrap();
        let first = data.packet_files()[0].with_extension(which);
        std::fs::rename(&first, kept.join(first.file_name().unwrap())).unwrap();
        has_exactly(&data.cut(&window(0, 1_999)).expect(WHOLE), 0, 1_999);
        assert!(data.run(&["ring", "check"], &[]).expect(FAILED).stderr.contains("was cut off"));
        feed(&data, 2_000, 10).expect(WHOLE);
        has_exactly(&data.cut(&window(0, 1_999)).expect(WHOLE), 0, 1_999);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        feed(&data, 2_010, 10_000);
        has_exactly(&data.cut(&window(0, 1_000)).expect(WHOLE), 0, 1_000);
    }
}

#[test]
fn imports_that_are_killed_while_they_keep_lose_nothing_of_what_is_pinned() {
    let mut r = Random(83);
    let data = Data::new();
    let flags = ["--max-bytes", "1MiB", "--segment-bytes", "32KiB"];
    let (each, rounds) = (40_000, 6);
    feed(&data, 0, 1).expect(WHOLE);
    pin(&data, 0, each * rounds, &[]);
    pin(&data, each, 2 * each, &[]);
    let none = data.file("none.pcap", &pcap(&[]));
    let mut held = vec![0];
    for round in 0..rounds {
        let first = (round * each).max(1);
        killed(&data, &mut r, pcap(&packets(first, each - 1)), &flags);
        data.import_with(&["--interface", "eth0"], &[&none]).expect(WHOLE);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        let cut = data.cut_all();
        let got: Vec<u64> = cut.file.packets.iter().map(|p| (p.time - START) / STEP).collect();
        // All that was there before, and of this round the first so many.
        let count = got.len().checked_sub(held.len()).expect("what was pinned is gone") as u64;
        held.extend(first..first + count);
        assert!(got == held, "round {round}: a packet is missing or there twice: {}", cut.coverage);
    }
    assert!(!kept_files(&data).is_empty(), "nothing was tried");
}

#[test]
fn names_and_secrets_of_what_is_kept_stay() {
    let data = Data::new();
    let mut capture = PcapNg::new(Order::Little);
    capture.interface(1, Some(b"eth0"));
    capture.name_resolution(v4("10.0.0.1"), "printer.example");
    packets(0, 60).iter().for_each(|p| capture.packet(0, p));
    data.take("named.pcapng", &capture.bytes);
    let before = data.cut(&window(0, 50)).expect(WHOLE).bytes;
    pin(&data, 0, 50, &[]);
    for round in 0..3 {
        feed(&data, 1_000 + round * 10_000, 10_000);
    }
    assert!(!kept_files(&data).is_empty());
    assert!(data.cut(&window(0, 50)).expect(WHOLE).bytes == before);
    assert!(before.windows(15).any(|w| w == b"printer.example"));
}

#[test]
fn three_cut_loops_while_segments_are_dropped_and_kept() {
    let data = Data::new();
    feed(&data, 0, 100).expect(WHOLE);
    let (from, to, count) = (10_000, 30_000, 80_000);
    pin(&data, from, to, &[]);
    let mut c = data.command(&["import"], &["--interface", "eth0", "--max-bytes", "3MiB", "--segment-bytes", "256KiB", "-"]);
    c.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Running(c.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let (fed, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|s| {
        s.spawn(|| {
            stdin.write_all(&pcap(&[])).unwrap();
            for at in (100..count).step_by(2_000) {
                stdin.write_all(&pcap(&packets(at, 2_000.min(count - at)))[24..]).unwrap();
                if at > to + 2_000 {
                    // All of the window was read: what is handed over is published in order.
                    fed.store(true, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(40));
            }
            drop(stdin);
            assert_eq!(child.wait(), NOT_WHOLE);
            done.store(true, Ordering::SeqCst);
        });
        let (data, fed, done) = (&data, &fed, &done);
        for kind in 0..3 {
            s.spawn(move || {
                eventually("something is published", || (published(data) > 0).then_some(()));
                let mut cuts = 0;
                let mut last = 0;
                while !done.load(Ordering::SeqCst) || cuts == 0 {
                    let mut words = window(from, to).to_vec();
                    words.extend(if kind == 1 { vec!["--ip".to_owned(), "10.0.0.2".to_owned()] } else { Vec::new() });
                    let was_fed = kind != 2 && fed.load(Ordering::SeqCst);
                    let cut = data.cut(&words);
                    let got = &cut.file.packets;
                    let want = packets(from, got.len() as u64);
                    let same = got.iter().zip(&want).all(|(p, w)| (p.time, &p.data) == (w.time, &w.data));
                    assert!(same, "a packet of the pinned window is missing, or there twice: {}", cut.coverage);
                    assert!(got.len() >= last, "{} packets after {last}", got.len());
                    assert!(!cut.reasons().iter().any(|r| r == "dropped_during_cut" || r == "damaged"), "{}", cut.coverage);
                    last = got.len();
                    cuts += u64::from(was_fed || kind == 2);
                }
                assert!(cuts > 0);
            });
        }
    });
    has_exactly(&data.cut(&window(from, to)).expect(WHOLE), from, to);
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn on_a_full_disk_what_is_pinned_stays_and_the_rest_goes() {
    if !has_tool("unshare") {
        return;
    }
    let data = Data::new();
    data.file("a.pcap", &pcap(&packets(0, 5_000)));
    data.file("b.pcap", &pcap(&packets(5_000, 100_000)));
    let [_, from, _, to] = window(1_000, 2_000);
    let script = format!(
        "$T import --data $DISK/d --interface eth0 --segment-bytes 256KiB $HERE/a.pcap; echo $?
         $T pin --data $DISK/d --name x --from {from} --to {to} --max-bytes 10MB; echo $?
         $T import --data $DISK/d --interface eth0 --segment-bytes 256KiB $HERE/b.pcap; echo $?
         $T cut --data $DISK/d --from {from} --to {to} -w $HERE/cut.pcapng; echo $?
         $T ring check --data $DISK/d >&2; echo $?"
    );
    let Some(out) = crate::full_disk::on_small_disk(&data, &script) else { return };
    let words: Vec<_> = std::str::from_utf8(&out.stdout).unwrap().split_whitespace().collect();
    assert_eq!(words, ["0", "0", "4", "0", "0"], "{}", out.stderr);
    let cut = crate::plain::parse(&std::fs::read(data.outside().join("cut.pcapng")).unwrap()).unwrap();
    assert_eq!(cut.packets.len(), 1_000);
}
