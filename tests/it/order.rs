//! Packets that do not come in the order of their times, and how much memory a cut takes over them.

use crate::make::{Made, Random, SECOND, START, ethernet_ip, ip, numbered, pcap, pcapng, traffic, udp};
use crate::plain::{self, File};
use crate::scan::{self, Net, Selection, difference, headers, scan, sorted};
use crate::support::{Cut, Data, NOT_WHOLE, WHOLE, run_watched, seconds};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// The budget of a reader.
const PEAK_KIB: u64 = 128 * 1024;

fn agrees(cut: &Cut, source: &File, selection: &Selection) {
    let want = scan(source, &headers(source), selection);
    if let Some(d) = difference(&sorted(want), &sorted(&cut.file.packets)) {
        panic!("{:?}: {d}", selection.words());
    }
    assert!(cut.file.packets.windows(2).all(|w| w[0].time <= w[1].time), "not in time order");
}

/// Everything, then random selections.
fn agrees_throughout(data: &Data, source: &File, seed: u64, rounds: usize) {
    let all = data.cut_all();
    // Between two imports there may be a stretch that neither speaks for.
    assert!(all.status == WHOLE || all.reasons() == ["not_captured"], "{}: {}", all.status, all.coverage);
    agrees(&all, source, &Selection::default());
    let headers = headers(source);
    let mut r = Random(seed);
    for _ in 0..rounds {
        let s = scan::random(&mut r, source, &headers);
        agrees(&data.cut(&s.words()), source, &s);
    }
}

#[test]
fn a_fully_reversed_import() {
    let mut packets = traffic(1, 20_000, 1_000_000, 60);
    packets.reverse();
    let data = Data::new();
    let path = data.file("reversed.pcap", &pcap(&packets));
    data.import_with(&["--segment-bytes", "256KiB"], &[&path]).expect(WHOLE);
    assert!(data.rings()[0].segments > 3, "the import spreads over segments");
    agrees_throughout(&data, &plain::read(&path).unwrap(), 2, 10);
}

#[test]
fn one_reversed_segment() {
    let mut packets = traffic(3, 5_000, 1_000_000, 60);
    packets.reverse();
    let data = Data::new();
    let path = data.take("reversed.pcap", &pcap(&packets));
    agrees_throughout(&data, &plain::read(&path).unwrap(), 4, 10);
}

#[test]
fn imports_that_overlap_and_run_backwards() {
    let packets = traffic(5, 6_000, 1_000_000, 60);
    let mut r = Random(6);
    let mut parts: Vec<Vec<Made>> = vec![Vec::new(); 6];
    for (i, p) in packets.iter().enumerate() {
        // Three that interleave over all of the time, three that follow each other.
        let part = if r.one_in(2) { r.below(3) as usize } else { 3 + i * 3 / packets.len() };
        parts[part].push(p.clone());
    }
    parts.reverse();
    let data = Data::new();
    for (i, part) in parts.iter().enumerate() {
        let path = data.file(&format!("part-{i}.pcapng"), &pcapng("eth0", part));
        data.import(&[&path]).expect(WHOLE);
    }
    let rings = data.rings();
    assert_eq!((rings.len(), rings[0].packets), (1, packets.len() as u64), "the same interface again appends");
    agrees_throughout(&data, &plain::parse(&pcap(&packets)).unwrap(), 7, 10);
}

#[test]
fn several_files_in_one_import_over_several_interfaces() {
    let packets = traffic(8, 3_000, 1_000_000, 60);
    let data = Data::new();
    let mut files = Vec::new();
    for i in 0..3 {
        let mine: Vec<_> = packets.iter().skip(i).step_by(3).cloned().collect();
        files.push(data.file(&format!("f{i}.pcapng"), &pcapng(&format!("eth{i}"), &mine)));
    }
    let paths: Vec<&Path> = files.iter().map(|p| p.as_path()).collect();
    data.import(&paths).expect(WHOLE);
    assert_eq!(data.rings().len(), 3);
    agrees_throughout(&data, &plain::parse(&pcap(&packets)).unwrap(), 9, 8);
    let one = data.cut(&["--interface", "eth1"]);
    assert_eq!(one.file.packets.len(), 1_000);
    assert!(one.file.packets.iter().all(|p| one.file.name(p).as_deref() == Some("eth1")));
    assert_eq!(data.cut(&["--interface", "eth1", "--interface", "eth2"]).file.packets.len(), 2_000);
}

#[test]
fn random_shuffles() {
    for seed in 10..16 {
        let mut packets = traffic(seed, 3_000, 1_000_000, 60);
        let mut r = Random(seed);
        if seed % 2 == 0 {
            r.shuffle(&mut packets);
        } else {
            // Disorder of a few places, as several queues of one card make it.
            packets.chunks_mut(1 + r.below(20) as usize).for_each(|c| r.shuffle(c));
        }
        let data = Data::new();
        let path = data.file("shuffled.pcap", &pcap(&packets));
        let segment = format!("{}KiB", 64 << r.below(4));
        data.import_with(&["--segment-bytes", &segment], &[&path]).expect(WHOLE);
        agrees_throughout(&data, &plain::read(&path).unwrap(), seed, 6);
    }
}

/// Packets so that each segment, whatever its size, holds times from all of the window.
fn overlapping(count: usize) -> Vec<Made> {
    let mut r = Random(20);
    (0..count)
        .map(|n| {
            let host = if n % 500 == 7 { "10.9.9.9" } else { "10.1.1.1" };
            Made::new(START + r.below(3_600 * SECOND), numbered(host, "10.2.2.2", n as u64, 40))
        })
        .collect()
}

#[test]
fn ten_thousand_overlapping_segments_in_little_memory() {
    let packets = overlapping(40_000);
    let data = Data::new();
    let path = data.file("overlapping.pcap", &pcap(&packets));
    // The smallest that is accepted: four packets or so a segment.
    data.import_with(&["--segment-bytes", "512"], &[&path]).expect(WHOLE);
    let segments = data.rings()[0].segments;
    assert!(segments >= 10_000, "only {segments} segments");
    let source = plain::read(&path).unwrap();

    let (out, peak) = run_watched(data.command(&["cut"], &["-w", "-"]));
    assert_eq!(out.status, WHOLE, "{}", out.stderr);
    let all = plain::parse(&out.stdout).unwrap();
    if let Some(d) = difference(&sorted(&source.packets), &sorted(&all.packets)) {
        panic!("{d}");
    }
    assert!(all.packets.windows(2).all(|w| w[0].time <= w[1].time), "not in time order");
    assert!(peak < PEAK_KIB, "the cut took {peak} KiB");

    for (words, rest) in [
        (&["cut"][..], &["--ip", "10.9.9.9", "-w", "-"][..]),
        (&["cut"], &["--filter", "ip[8] < 65", "-w", "-"]),
        (&["flows"], &["--ip", "10.9.9.9"]),
        (&["rings"], &["--json"]),
        (&["ring", "check"], &[]),
    ] {
        let (out, peak) = run_watched(data.command(words, rest));
        assert_eq!(out.status, WHOLE, "{words:?}: {}", out.stderr);
        assert!(peak < PEAK_KIB, "{words:?} {rest:?} took {peak} KiB");
    }

    let some = Selection { ips: vec![Net("10.9.9.9".parse().unwrap(), 32)], ..Selection::default() };
    agrees(&data.cut(&some.words()), &source, &some);
    let short = Selection { from: Some(START + 900 * SECOND), to: Some(START + 960 * SECOND), ..Selection::default() };
    agrees(&data.cut(&short.words()), &source, &short);
}

#[test]
fn many_flows_are_listed_in_little_memory() {
    // Three segments of as many flows as one has, all over IPv6 and none twice.
    let packets: Vec<_> = (0..1_200_000_u64)
        .map(|n| {
            let host = |net: u128| IpAddr::V6(Ipv6Addr::from_bits(net << 64 | u128::from(n)));
            Made::new(START + n * 1_000, ethernet_ip(&[], &ip(host(1), host(2), 17, &udp(4000, 53, &[]))))
        })
        .collect();
    let data = Data::new();
    data.take("many.pcap", &pcap(&packets));
    drop(packets);
    assert_eq!(data.rings()[0].segments, 3);
    for rest in [&[][..], &["--ip", "::/0"], &["--port", "53"], &["--ip", "::/0", "--port", "53", "--json"]] {
        let (out, peak) = run_watched(data.command(&["flows"], rest));
        // As many are listed as one answer has.
        assert_eq!(out.status, NOT_WHOLE, "{rest:?}: {}", out.stderr);
        assert!(peak < PEAK_KIB, "{rest:?} took {peak} KiB");
    }
}

#[test]
fn a_large_shuffled_segment_is_cut_in_little_memory() {
    // Larger than the budget in all, with no order at all.
    let mut packets: Vec<_> =
        (0..150_000_u64).map(|n| Made::new(START + n * 1_000, numbered("10.1.1.1", "10.2.2.2", n, 1_200))).collect();
    Random(21).shuffle(&mut packets);
    let data = Data::new();
    data.take("large.pcap", &pcap(&packets));
    drop(packets);
    let (out, peak) = run_watched(data.command(&["cut"], &["-w", "-"]));
    assert_eq!(out.status, WHOLE, "{}", out.stderr);
    assert!(peak < PEAK_KIB, "the cut took {peak} KiB");
    let cut = plain::parse(&out.stdout).unwrap();
    assert_eq!(cut.packets.len(), 150_000);
    assert!(cut.packets.iter().zip(0_u64..).all(|(p, n)| p.time == START + n * 1_000 && p.data[42..50] == n.to_be_bytes()));
    let window = data.cut(&["--from", &seconds(START + 1_000_000), "--to", &seconds(START + 2_000_000)]);
    assert_eq!(window.file.packets.len(), 1_000);
}
