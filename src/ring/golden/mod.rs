//! A small ring's bytes, held against committed ones, and read again by a reader that was made from FORMAT.md alone.
//!
//! The committed bytes stand as text in this folder. After a change of the format that is meant (see "Versions" in FORMAT.md),
//! `TAPLOOP_GOLDEN=write cargo test --lib ring::golden` writes them anew.

mod dump;
mod packets;
mod stranger;

use super::data::DataDir;
use super::error::SegmentError;
use super::files::LazyFile;
use super::ids::StreamId;
use super::log;
use super::note::{Note, NoteKind};
use super::ring_writer::RingWriter;
use super::sealed::SealedIndex;
use super::sections::Section;
use super::writer::StreamOptions;
use crate::packet::{LinkType, Packet};
use crate::pcap::block::{NAME_RESOLUTION, block};
use crate::time::{Timestamp, Window};
use packets::{Given, given};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use stranger::{Remarks, crc, has_address};

const OPTIONS: StreamOptions =
    StreamOptions { segment_bytes: 1 << 20, segment_flows: 1000, imported: true, reserve: 1, segment_age: None };
const STREAM: StreamId = StreamId { fanout: 0, link_type: LinkType::ETHERNET };

fn data(dir: &Path) -> DataDir {
    fs::write(dir.join("taploop.json"), r#"{"layout":1,"sensor":"000102030405060708090a0b0c0d0e0f"}"#).unwrap();
    DataDir::open(dir).unwrap()
}

/// Three records: one without a section, two of section 1, with a note in the last.
fn write(ring: &mut RingWriter) {
    let section = ring.begin_section(&Section::default()).unwrap();
    let mut names = Vec::new();
    block(&mut names, NAME_RESOLUTION, b"\x01\x00\x0d\x00\x0a\x01\x02\x03client-3\0\0\0\0\0\0\0\0", &[]);
    assert!(ring.add_section_blocks(section, &names).unwrap());
    let stream = ring.stream(STREAM, OPTIONS);
    for (i, p) in given().iter().enumerate() {
        if i == 4 {
            stream.set_section(section).unwrap();
        }
        if i == 8 {
            stream.publish().unwrap();
            let window = Window { from: Timestamp::from_nanos(given()[7].time), to: Timestamp::from_nanos(p.time) };
            stream.note(Note { window, kind: NoteKind::Drops { os: 3, interface: 1 } }).unwrap();
        }
        let time = Timestamp::from_nanos(p.time);
        stream.append(&Packet { time, original_length: p.original_length, data: &p.data, options: &p.options }).unwrap();
    }
}

/// Puts a fixed time where the wall clock stands in facts, and their checksum right.
fn fix_arrived(facts: &mut [u8]) {
    facts[72..80].copy_from_slice(&1_600_000_000_000_000_000_u64.to_le_bytes());
    let sum = crc(&[&facts[..124]]);
    facts[124..128].copy_from_slice(&sum.to_le_bytes());
}

struct Sealed {
    packets: Vec<u8>,
    index: Vec<u8>,
    catalog: Vec<u8>,
    section: Vec<u8>,
}

fn sealed() -> Sealed {
    let dir = tempfile::tempdir().unwrap();
    let data = data(dir.path());
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    write(&mut ring);
    ring.finish().unwrap();
    let read = |name: &str| fs::read(data.ring_path("eth0").join(name)).unwrap();
    let (mut index, mut catalog) = (read("0000000001.idx"), read("catalog"));
    let footer = index.len() - 384;
    fix_arrived(&mut index[footer + 252..]);
    let sum = crc(&[&index[footer..footer + 380]]);
    index[footer + 380..].copy_from_slice(&sum.to_le_bytes());
    fix_arrived(&mut catalog[4096..]);
    Sealed { packets: read("0000000001.pcapng"), index, catalog, section: read("sections/0000000001.blocks") }
}

/// Packet file and log of the same segment while it grows.
fn growing() -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let data = data(dir.path());
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    write(&mut ring);
    let (first, last) = (given()[0].time, given().last().unwrap().time);
    let window = Window { from: Timestamp::from_nanos(first), to: Timestamp::from_nanos(last + 1) };
    ring.stream(STREAM, OPTIONS).publish_complete(window.to, window).unwrap();
    let folder = data.ring_path("eth0");
    // The threads write what was handed over.
    loop {
        let bytes = fs::read(folder.join("open/0000000001.log")).unwrap_or_default();
        if log::read(&bytes).is_ok_and(|p| p.state.is_some()) {
            return (fs::read(folder.join("0000000001.pcapng")).unwrap(), bytes);
        }
        std::thread::yield_now();
    }
}

/// Holds bytes against the committed ones.
fn hold(name: &str, bytes: &[u8], remarks: Remarks) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/ring/golden").join(name);
    let text = dump::print(bytes, remarks);
    if std::env::var("TAPLOOP_GOLDEN").is_ok_and(|v| v == "write") {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    let want = dump::parse(&committed);
    let differs = (0..bytes.len().max(want.len())).find(|&i| bytes.get(i) != want.get(i));
    assert_eq!(differs, None, "{name} differs from this byte on; is the change of the format meant? (golden/mod.rs)");
    assert_eq!(committed, text, "the remarks in {name}");
}

fn times_of(host: IpAddr, packets: &[Given]) -> Vec<u64> {
    packets.iter().filter(|p| has_address(&p.data, host)).map(|p| p.time).collect()
}

const HOSTS: [(&str, usize); 6] =
    [("10.1.2.3", 6), ("10.9.9.9", 4), ("10.0.0.53", 4), ("2001:db8::1", 2), ("2001:db8::2", 1), ("10.9.9.8", 0)];

#[test]
fn a_sealed_segment_is_its_committed_bytes_and_a_stranger_finds_hosts_in_it() {
    let s = sealed();
    let (mut packets, mut index, mut catalog) = (Remarks::new(), Remarks::new(), Remarks::new());
    stranger::packet_file(&s.packets, &mut packets);
    let stranger = stranger::Sealed::read(&s.index, &mut index);
    let entries = stranger::catalog(&s.catalog, &mut catalog);
    hold("segment.pcapng.txt", &s.packets, packets);
    hold("segment.idx.txt", &s.index, index);
    hold("catalog.txt", &s.catalog, catalog);
    hold("section.blocks.txt", &s.section, Remarks::new());

    assert_eq!(entries.concat(), stranger.facts, "the catalogue says what the index says");
    for (host, n) in HOSTS {
        let host = host.parse().unwrap();
        let want = times_of(host, &given());
        assert_eq!(want.len(), n, "{host}");
        let found = stranger.host(host, &s.packets);
        assert_eq!(found, want, "{host}");
    }
    // SMB's port leads to one flow: its packets and bytes each way.
    let smb = stranger.port(445);
    assert_eq!(smb.len(), 1);
    let (a, b) = (given()[0].original_length, given()[1].original_length);
    assert_eq!((smb[0].packets, smb[0].bytes), ([2, 1], [u64::from(a) + 600, u64::from(b)]));
    assert_eq!((smb[0].first, smb[0].last), (given()[0].time, given()[9].time));
    assert_eq!(stranger.community_numbers(), 6);
    assert_eq!(stranger.sections(), [(1, 1)]);
    // The section said nothing at first, and names later.
    let (nothing, added) = s.section.split_at(24);
    let (names, sum) = added.split_at(added.len() - 24);
    let closing = [&[0xad, 0x0b, 0, 0x40, 24, 0, 0, 0, 0xd9, 0x7e, 0, 0][..], b"TLcr"].concat();
    for (sum, at, of) in [(nothing, 0_u64, &[][..]), (sum, 24, names)] {
        assert_eq!(sum[..16], closing);
        assert_eq!(sum[16..20], crc(&[&1_u32.to_le_bytes(), &at.to_le_bytes(), of]).to_le_bytes());
    }
    assert_eq!(stranger.notes(), [(1, given()[7].time, given()[8].time, 3, 1)]);
}

#[test]
fn a_growing_segment_is_its_committed_bytes_and_a_stranger_finds_hosts_in_it() {
    let (packets, log) = growing();
    let mut remarks = Remarks::new();
    let stranger = stranger::Growing::read(&log, &mut remarks);
    hold("growing.log.txt", &log, remarks);
    assert_eq!(packets, sealed().packets[..packets.len()], "sealing only appends");
    assert_eq!(stranger.complete_to, Some(given().last().unwrap().time + 1));
    for (host, _) in HOSTS {
        let host = host.parse().unwrap();
        assert_eq!(stranger.host(host, &packets), times_of(host, &given()), "{host}");
    }
}

#[test]
fn a_stranger_reads_the_time_order() {
    let dir = tempfile::tempdir().unwrap();
    let data = data(dir.path());
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, StreamOptions { segment_bytes: 4 << 20, ..OPTIONS });
    // 300 granules of two packets, all across the same moment, and large enough not to be joined.
    let mut times = Vec::new();
    let large = [&given()[0].data[..], &[0; 2100]].concat();
    for i in 0..300_u64 {
        for time in [1_000_000 + i * 7919 % 300, 2_000_000 - i * 7919 % 300] {
            let p = &given()[0];
            let time_of = Timestamp::from_nanos(time);
            let packet = Packet { time: time_of, original_length: p.original_length, data: &large, options: &[] };
            stream.append(&packet).unwrap();
            times.push(time);
        }
        stream.publish().unwrap();
    }
    ring.finish().unwrap();
    let read = |name: &str| fs::read(data.ring_path("eth0").join(name)).unwrap();
    let stranger = stranger::Sealed::read(&read("0000000001.idx"), &mut Remarks::new());
    times.sort_unstable();
    assert_eq!(stranger.in_order_of_time(&read("0000000001.pcapng")), times);
}

#[test]
fn a_stranger_rules_segments_out_by_their_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let data = data(dir.path());
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, OPTIONS);
    let sound: Vec<Given> = given().into_iter().filter(|p| p.data.len() > 20).collect();
    for p in &sound {
        let time = Timestamp::from_nanos(p.time);
        stream.append(&Packet { time, original_length: p.original_length, data: &p.data, options: &[] }).unwrap();
    }
    ring.finish().unwrap();
    let hosts = fs::read(data.ring_path("eth0").join("hosts/0")).unwrap();
    let entry = &hosts[512..1024];
    for (host, n) in HOSTS {
        assert!(n == 0 || stranger::may_hold(entry, 1, host.parse().unwrap()), "{host}");
    }
    let others = (0..=255_u8).filter(|&n| stranger::may_hold(entry, 1, IpAddr::from([192, 0, 2, n]))).count();
    assert!(others < 20, "{others} of 256");
    assert!(stranger::may_hold(entry, 2, IpAddr::from([192, 0, 2, 1])), "another segment's entry says nothing");
}

#[test]
fn a_footer_that_agrees_with_its_checksum_and_makes_no_sense_is_damage() {
    let sound = sealed().index;
    let footer = sound.len() - 384;
    let dir = tempfile::tempdir().unwrap();
    // Counts and places of tables, and the facts' number of granules.
    let places = (0..22).map(|i| 48 + 8 * i).chain([252 + 88]);
    for at in places {
        let mut index = sound.clone();
        let width = if at < 252 { 8 } else { 4 };
        index[footer + at..footer + at + width].fill(0xff);
        let sum = crc(&[&index[footer + 252..footer + 376]]);
        index[footer + 376..footer + 380].copy_from_slice(&sum.to_le_bytes());
        let sum = crc(&[&index[footer..footer + 380]]);
        index[footer + 380..].copy_from_slice(&sum.to_le_bytes());
        let path = dir.path().join("0000000001.idx");
        fs::write(&path, &index).unwrap();
        let opened = SealedIndex::open(LazyFile::new(path, Default::default()), index.len() as u64, Default::default());
        assert!(matches!(opened, Err(SegmentError::Damaged { .. })), "footer byte {at}");
    }
}
