//! kill -9 while packets are imported: what was published is there, in order, once, and the next import goes on.

use crate::make::{Made, Random, SECOND, START, numbered, pcap};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, Running, WHOLE, rings_of};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Packets in time order, each with its number in its payload.
fn numbers(from: u64, count: u64, len: usize) -> Vec<Made> {
    (from..from + count).map(|n| Made::new(START + n * 100_000, numbered("10.0.0.1", "10.0.0.2", n, len))).collect()
}

/// How many packets the rings say are published; 0 while there is no data folder yet.
pub(crate) fn published(data: &Data) -> u64 {
    let out = data.run(&["rings"], &["--json"]);
    if out.status == WHOLE { rings_of(&out.json()).iter().map(|r| r.packets).sum() } else { 0 }
}

/// The packets held are the first so many of `source`; how many.
#[track_caller]
pub(crate) fn held_prefix(data: &Data, source: &[Made]) -> u64 {
    let cut = data.cut_all();
    assert!([WHOLE, NONE_MATCHED, NOT_WHOLE].contains(&cut.status));
    let packets = &cut.file.packets;
    assert!(packets.len() <= source.len(), "{} packets of {}", packets.len(), source.len());
    for (i, (p, s)) in packets.iter().zip(source).enumerate() {
        assert!(
            (p.time, p.orig_len, &p.data) == (s.time, s.orig_len, &s.data),
            "packet {i} of {} is partial, repeated, foreign or one is missing before it",
            packets.len()
        );
    }
    packets.len() as u64
}

/// One import that is fed through a pipe and killed: what had been published before.
pub(crate) fn killed(data: &Data, r: &mut Random, bytes: Vec<u8>, flags: &[&str]) -> u64 {
    let mut c = data.command(&["import"], &["--interface", "eth0"]);
    c.args(flags).arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Running(c.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let chunk = 1 + r.below(200_000) as usize;
    let feeder = std::thread::spawn(move || {
        // The pipe breaks when the import dies; until then it stays open, so that the import is never done.
        let fed = bytes.chunks(chunk).all(|c| stdin.write_all(c).is_ok());
        if fed { Some(stdin) } else { None }
    });
    let (begin, moment) = (Instant::now(), Duration::from_micros(r.below(250_000)));
    let mut seen = 0;
    while begin.elapsed() < moment {
        seen = published(data);
    }
    child.kill();
    drop(feeder.join().unwrap());
    seen
}

#[test]
fn killed_imports_keep_what_was_published() {
    let mut r = Random(77);
    let source = numbers(0, 40_000, 300);
    let bytes = pcap(&source);
    let (mut caught, mut round, mut recovered) = (0, 0, 0);
    while caught < 20 {
        round += 1;
        assert!(round <= 1000, "only {caught} of {round} were caught at work ({recovered} packets recovered)");
        let data = Data::new();
        let flags: &[&str] = if round % 2 == 0 { &["--segment-bytes", "512KiB"] } else { &[] };
        let seen = killed(&data, &mut r, bytes.clone(), flags);
        if !data.path().join("rings").exists() {
            continue;
        }
        let held = held_prefix(&data, &source);
        assert!(held >= seen, "{seen} were published, {held} are there");
        if held == 0 || held == source.len() as u64 {
            // Not yet at work, or done with it.
            continue;
        }
        caught += 1;

        // The next import opens the ring again, may recover more, and seals.
        let next = numbers(1_000_000, 100, 300);
        let path = data.file("next.pcap", &pcap(&next));
        data.import_with(&["--interface", "eth0"], &[&path]).expect(WHOLE);
        let total = published(&data);
        let kept = total - next.len() as u64;
        assert!(kept >= held, "{held} were held, {kept} after recovery");
        let told = data.rings()[0].json["recovered_packets"].as_u64().unwrap();
        assert_eq!(told, kept - held, "what was not published and is there is counted");
        recovered += kept - held;
        let mut all: Vec<_> = source[..kept as usize].to_vec();
        all.extend(next);
        assert_eq!(held_prefix(&data, &all), total);
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        data.packet_files().iter().for_each(|p| crate::support::tools_accept(p, false));
    }
}

#[test]
fn repeated_kills_of_one_ring() {
    let mut r = Random(78);
    let data = Data::new();
    let mut all: Vec<Made> = Vec::new();
    for round in 0..6 {
        let source = numbers(round * 1_000_000, 20_000, 200);
        let seen = killed(&data, &mut r, pcap(&source), &["--segment-bytes", "256KiB"]);
        let before = all.len() as u64;
        // What a later writer recovers of this round only shows then; an import of nothing lets it.
        let none = data.file("none.pcap", &pcap(&[]));
        data.import_with(&["--interface", "eth0"], &[&none]).expect(WHOLE);
        let total = published(&data);
        assert!(total >= seen.max(before), "{seen} were published, {total} are there");
        all.extend_from_slice(&source[..(total - before) as usize]);
        assert_eq!(held_prefix(&data, &all), total);
    }
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn a_killed_import_is_repaired_by_hand_too() {
    let mut r = Random(79);
    let source = numbers(0, 40_000, 300);
    let data = Data::new();
    let mut seen = 0;
    while seen == 0 {
        let _ = std::fs::remove_dir_all(data.path());
        seen = killed(&data, &mut r, pcap(&source), &[]);
    }
    let held = held_prefix(&data, &source);
    let first = source[0].time;
    let window = data.cut(&["--from", &crate::support::seconds(first), "--to", &crate::support::seconds(first + SECOND / 100)]);
    assert_eq!(window.file.packets.len() as u64, held.min(100));
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert!(held_prefix(&data, &source) >= held);
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn a_repair_after_a_kill_leaves_no_gap_where_none_was() {
    let mut r = Random(81);
    let source = numbers(0, 40_000, 300);
    let data = Data::new();
    // Killed in a later segment than the first.
    while data.packet_files().len() < 3 {
        let _ = std::fs::remove_dir_all(data.path());
        killed(&data, &mut r, pcap(&source), &["--segment-bytes", "256KiB"]);
    }
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    let held = held_prefix(&data, &source);
    let (first, last) = (source[0].time, source[held as usize - 1].time);
    let cut = data.cut(&["--from", &crate::support::seconds(first), "--to", &crate::support::seconds(last)]).expect(WHOLE);
    assert_eq!(cut.file.packets.len() as u64, held - 1);
}
