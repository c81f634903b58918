//! What an answer says of itself: bounds, gaps that do not depend on what lies outside of the window, what pcap cannot hold.

use crate::cut::coverage::{Coverage, ReasonKind};
use crate::cut::flows::flows_up_to;
use crate::cut::{CutError, Format, Outcome, cut};
use crate::packet::{LinkType, Packet};
use crate::ring::data::DataDir;
use crate::ring::ids::StreamId;
use crate::ring::ring_writer::RingWriter;
use crate::ring::writer::StreamOptions;
use crate::select::Selection;
use crate::time::{SECOND_NS, Timestamp};
use std::fs;
use std::path::Path;

/// Adds a packet from each of some hosts, a second apart from `start` on. A raw one has no Ethernet header.
fn add(dir: &Path, interface: &str, start: u64, hosts: std::ops::Range<u8>, link_type: LinkType) -> DataDir {
    let data = DataDir::open_or_create(dir).unwrap();
    let mut ring = RingWriter::open(&data, interface, None).unwrap();
    let options = StreamOptions { segment_bytes: 1 << 20, segment_flows: 1000, segment_age: None, imported: true, reserve: 1 };
    let writer = ring.stream(StreamId { fanout: 0, link_type }, options);
    for host in hosts {
        let mut frame = if link_type == LinkType::ETHERNET { vec![2; 12] } else { Vec::new() };
        if link_type == LinkType::ETHERNET {
            frame.extend_from_slice(&[8, 0]);
        }
        frame.extend_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 1, 0, 1, 0, 9, 0, 9, 0, 8, 0, 0]);
        let time = Timestamp::from_nanos((start + u64::from(host)) * SECOND_NS);
        writer.append(&Packet { time, original_length: 42, data: &frame, options: &[] }).unwrap();
    }
    ring.finish().unwrap();
    data
}

fn made(data: &DataDir, selection: &str, format: Format) -> Result<(Vec<u8>, Outcome), CutError> {
    let selection: Selection = selection.parse().unwrap();
    let mut out = Vec::new();
    cut(data, &selection, format, &mut out).map(|outcome| (out, outcome))
}

#[test]
fn more_flows_than_are_listed_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1000, 0..20, LinkType::ETHERNET);
    let all: Selection = "from 1970-01-01T00:00:00Z to 2500-01-01T00:00:00Z".parse().unwrap();
    let (found, coverage) = flows_up_to(&data, &all, 20).unwrap();
    assert!(found.len() == 20 && coverage.reasons.iter().all(|r| r.reason != ReasonKind::LimitReached));
    let (found, coverage) = flows_up_to(&data, &all, 19).unwrap();
    assert_eq!((found.len(), found.rows().count(), coverage.complete), (19, 19, false));
    assert!(coverage.reasons.iter().any(|r| r.reason == ReasonKind::LimitReached));
}

#[test]
fn a_cut_does_not_depend_on_what_lies_outside_of_its_window() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1_000_000, 50..60, LinkType::ETHERNET);
    add(dir.path(), "eth1", 1_000_000, 40..52, LinkType::ETHERNET);
    // The window begins before all that is held, and ends before it is over.
    let asked = "from 1970-01-12T13:47:10Z to 1970-01-12T13:47:35Z";
    let (before, outcome) = made(&data, asked, Format::Pcapng).unwrap();
    assert!(outcome.packets > 0);
    add(dir.path(), "eth0", 900_000, 0..5, LinkType::ETHERNET);
    add(dir.path(), "eth0", 1_100_000, 0..5, LinkType::ETHERNET);
    add(dir.path(), "eth2", 900_000, 0..5, LinkType::ETHERNET);
    add(dir.path(), "eth2", 1_100_000, 0..5, LinkType::ETHERNET);
    let (after, _) = made(&data, asked, Format::Pcapng).unwrap();
    assert_eq!(String::from_utf8_lossy(&before), String::from_utf8_lossy(&after));
}

#[test]
fn pcap_is_refused_only_where_the_plan_has_what_it_cannot_hold() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1000, 0..5, LinkType::ETHERNET);
    add(dir.path(), "tun0", 1000, 100..105, LinkType(101));
    add(dir.path(), "eth0", 9_000_000_000, 200..205, LinkType::ETHERNET);
    let all = "from 1970-01-01T00:00:00Z to 2500-01-01T00:00:00Z";
    let ask = |rest: &str| made(&data, &format!("{all} {rest}"), Format::Pcap);
    assert_eq!(ask("where layer(ip 10.0.0.1)").unwrap().1.packets, 1);
    assert_eq!(ask("where layer(ip 10.0.0.101)").unwrap().1.packets, 1);
    assert_eq!(ask("where layer(ip 10.9.9.9)").unwrap().1.packets, 0);
    assert!(matches!(ask("where layer(ip 10.1.0.1)"), Err(CutError::MixedLinkTypes(_) | CutError::TooLate)));
    assert!(matches!(ask("where layer(ip 10.0.0.201)"), Err(CutError::TooLate)));
    let early = "from 1970-01-01T00:00:00Z to 2100-01-01T00:00:00Z where layer(ip 10.0.0.201)";
    assert_eq!(made(&data, early, Format::Pcap).unwrap().1.packets, 0);
}

#[test]
fn the_end_of_a_cut_says_what_was_missing() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1000, 0..200, LinkType::ETHERNET);
    let path = data.ring_path("eth0").join("0000000001.pcapng");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 400;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    add(dir.path(), "eth0", 2000, 0..3, LinkType::ETHERNET);
    let (file, outcome) = made(&data, "from 1970-01-01T00:00:01Z to 1970-01-01T01:00:00Z", Format::Pcapng).unwrap();
    // The damaged byte costs its granule, which has 98 packets.
    assert_eq!(outcome.packets, 200 - 98 + 3);
    let text = String::from_utf8_lossy(&file);
    let (_, end) = text.split_once("105 packets, ").unwrap();
    assert!(end.contains("damaged on eth0") && end.contains("0000000001.pcapng"), "{end}");
}

#[test]
fn flows_of_whole_segments_come_from_the_index_and_those_astride_an_edge_from_the_packets() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1000, 0..200, LinkType::ETHERNET);
    // No packet can be read.
    let path = data.ring_path("eth0").join("0000000001.pcapng");
    let len = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![0; len as usize]).unwrap();
    let of = |text: &str| flows_up_to(&data, &text.parse().unwrap(), 1000).unwrap();
    let (found, coverage) = of("from 1970-01-01T00:16:40Z to 1970-01-01T00:20:00Z");
    let damaged = |c: &Coverage| c.reasons.iter().any(|r| r.reason == ReasonKind::Damaged);
    assert_eq!((found.len(), damaged(&coverage)), (200, false));
    let (found, coverage) = of("from 1970-01-01T00:16:40Z to 1970-01-01T00:19:59Z");
    assert_eq!((found.len(), damaged(&coverage)), (0, true));
}

#[test]
fn what_a_cut_cost_is_what_it_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = add(dir.path(), "eth0", 1000, 0..250, LinkType::ETHERNET);
    let (_, one) = made(&data, "where layer(ip 10.0.0.7)", Format::Pcapng).unwrap();
    let (_, all) = made(&data, "where layer(ip 10.1.0.1)", Format::Pcapng).unwrap();
    // Of packets of 42 bytes 98 make a granule, in blocks of 76; the other end is in all three.
    assert_eq!((one.stats.segments_opened, all.stats.segments_opened), (1, 1));
    assert_eq!((all.stats.packets_judged, all.stats.packet_bytes), (250, 250 * 76));
    assert_eq!((one.stats.packets_judged, one.stats.packet_bytes), (98, 98 * 76));
    assert_eq!((one.stats.granules, all.stats.granules), (1, 3));
    assert!(one.stats.time_to_first_byte <= one.stats.total);
    let (_, none) = made(&data, "where layer(ip 10.9.9.9)", Format::Pcapng).unwrap();
    assert_eq!((none.stats.packets_judged, none.stats.packet_bytes), (0, 0));
}
