//! Writing and reading together.

use super::data::DataDir;
use super::ids::StreamId;
use super::ring_writer::RingWriter;
use super::scan::blocks;
use super::sealed::Access;
use super::sections::Section;
use super::snapshot::{ReadContext, RingReader};
use super::writer::StreamOptions;
use crate::packet::{LinkType, Packet};
use crate::time::{Timestamp, Window};

pub(super) fn udp(i: u32) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    p.extend([0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, (i >> 8) as u8, i as u8, 10, 9, 9, 9]);
    p.extend([0x10, (i % 200) as u8, 0, 53, 0, 108, 0, 0]);
    p.resize(142, i as u8);
    p
}

pub(super) const OPTIONS: StreamOptions =
    StreamOptions { segment_bytes: 200_000, segment_flows: 500, imported: true, reserve: 200_000, segment_age: None };
pub(super) const STREAM: StreamId = StreamId { fanout: 0, link_type: LinkType::ETHERNET };

pub(super) fn write(data: &DataDir, range: std::ops::Range<u32>, finish: bool) {
    let mut ring = RingWriter::open(data, "eth0", None).unwrap();
    let stream = ring.stream(STREAM, OPTIONS);
    for i in range {
        let bytes = udp(i);
        let time = Timestamp::from_nanos(1_000_000 + u64::from(i) * 1000);
        stream.append(&Packet { time, original_length: 142, data: &bytes, options: &[] }).unwrap();
    }
    stream.publish().unwrap();
    if finish {
        ring.finish().unwrap();
    }
}

pub(super) fn read(data: &DataDir) -> Vec<u64> {
    let reader = RingReader::open(data, "eth0", &ReadContext::default()).unwrap();
    let mut times = Vec::new();
    for facts in reader.segments_in(&Window::ALL).unwrap() {
        let segment = reader.open_segment(&facts).unwrap();
        for granule in segment.granules(0, segment.granule_count()).unwrap() {
            let bytes = segment.packet_file().unwrap().granule(&granule).unwrap();
            times.extend(blocks(&bytes).map(|b| b.packet.time.as_nanos()));
        }
    }
    times
}

#[test]
fn what_is_written_is_read_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, 0..3000, true);
    write(&data, 3000..4000, true);
    assert_eq!(read(&data), (0..4000).map(|i| 1_000_000 + i * 1000).collect::<Vec<u64>>());
    let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
    let held = reader.held().unwrap();
    assert_eq!((held.summary.packets, held.growing), (4000, 0));
    let address = crate::wire::spread("10.0.4.210".parse().unwrap());
    let access = Access::Addresses(vec![(address, address, false)]);
    let mut found = 0;
    for facts in reader.segments_in(&Window::ALL).unwrap() {
        let segment = reader.open_segment(&facts).unwrap();
        let granules = segment.granules_of(&access, |k| k.a == address || k.b == address).unwrap().unwrap();
        found += granules.len();
        segment
            .flows(&access, |k| k.a == address || k.b == address, |_, s| assert_eq!(s.packets.iter().sum::<u64>(), 1))
            .unwrap();
    }
    assert_eq!(found, 1, "one packet of 10.0.4.210, in one granule");
    assert!(matches!(RingReader::open(&data, "eth9", &ReadContext::default()), Err(super::snapshot::RingError::Unknown(_))));
}

#[test]
fn a_growing_segment_reads_like_a_sealed_one_and_is_mended_when_its_writer_dies() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, 0..300, false);
    // The threads write what was handed over; wait for it to be published.
    let all: Vec<u64> = (0..300).map(|i| 1_000_000 + i * 1000).collect();
    while read(&data) != all {
        std::thread::yield_now();
    }
    write(&data, 300..400, true);
    let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
    assert_eq!(reader.held().unwrap().growing, 0);
    assert_eq!(read(&data), (0..400).map(|i| 1_000_000 + i * 1000).collect::<Vec<u64>>());
}

#[test]
fn damage_is_named_and_mended() {
    use super::check::check;
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, 0..3000, true);
    assert!(check(data.path(), false).unwrap().clean);
    let ring = data.ring_path("eth0");
    let flip = |name: &str, at: usize| {
        let path = ring.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = if at == usize::MAX { bytes.len() - 100 } else { at };
        bytes[at] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
    };
    for (name, at) in [("0000000001.pcapng", 5000), ("0000000001.idx", 100), ("0000000002.idx", usize::MAX), ("catalog", 4200)] {
        flip(name, at);
        assert!(!check(data.path(), false).unwrap().clean, "{name} at {at}");
        let report = check(data.path(), true).unwrap();
        assert!(report.findings.iter().all(|f| f.mended), "{report:?}");
        assert!(check(data.path(), false).unwrap().clean, "after {name} at {at}");
    }
}

#[test]
fn a_length_that_no_segment_has_is_not_believed() {
    use super::catalog::{CatalogReader, CatalogWriter};
    use super::check::check;
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, 0..3000, true);
    let (ring, before) = (data.ring_path("eth0"), read(&data));
    for claimed in [1 << 62, u64::MAX, (1 << 34) + 4, 4_000_001] {
        let found = CatalogReader::open(&ring).and_then(|c| c.segments_in(&Window::ALL)).unwrap();
        let mut live: Vec<_> = found.into_iter().map(|(_, f)| f).collect();
        live[0].data_bytes = claimed;
        CatalogWriter::rewrite(&ring, live).unwrap();
        assert!(!check(data.path(), false).unwrap().clean, "{claimed}");
        let report = check(data.path(), true).unwrap();
        assert!(report.findings.iter().all(|f| f.mended), "{report:?}");
        assert!(check(data.path(), false).unwrap().clean, "{claimed}");
        assert_eq!(read(&data), before, "{claimed}");
    }
}

#[test]
fn sections_last_before_what_names_them() {
    use super::disk::sync_growing;
    use super::shared::lock;
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let section = ring.begin_section(&Section::default()).unwrap();
    assert!(data.ring_path("eth0").join("sections/0000000001.blocks").exists(), "a section that says nothing has its file");
    let append = |ring: &mut RingWriter| {
        let stream = ring.stream(STREAM, OPTIONS);
        stream.set_section(section).unwrap();
        let packet = Packet { time: Timestamp::from_nanos(1), original_length: 142, data: &udp(1), options: &[] };
        stream.append(&packet).unwrap();
        stream.publish().unwrap();
    };
    append(&mut ring);
    // Until its segment grows, nothing names it.
    while lock(&ring.shared.growing).is_empty() {
        std::thread::yield_now();
    }
    sync_growing(&ring.shared).unwrap();
    assert!(lock(&ring.shared.unsynced).is_empty());
    assert!(ring.add_section_blocks(section, &[7; 12]).unwrap());
    let shared = ring.shared.clone();
    append(&mut ring);
    ring.finish().unwrap();
    assert!(lock(&shared.unsynced).is_empty());
}

/// Bytes of all files of a folder, as `du` counts them but for what is reserved.
fn taken(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let of = |e: std::fs::DirEntry| match e.metadata() {
        Ok(m) if m.is_dir() => taken(&e.path()),
        Ok(m) => m.len().min(m.blocks() * 512),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

#[test]
fn limits_hold_however_fast_segments_are_filled() {
    use super::data::Retention;
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let max = 1_000_000;
    let mut ring = RingWriter::open(&data, "eth0", Some(Retention { max_bytes: Some(max), ..Retention::default() })).unwrap();
    let options = StreamOptions { segment_bytes: 20_000, reserve: 20_000, ..OPTIONS };
    let bytes = || taken(&data.ring_path("eth0"));
    let section = Section { descriptions: Vec::new(), blocks: vec![7; 20_000] };
    ring.begin_section(&section).unwrap();
    for i in 0..20_000 {
        let packet = udp(i);
        let time = Timestamp::from_nanos(1_000_000 + u64::from(i) * 1000);
        let packet = Packet { time, original_length: 142, data: &packet, options: &[] };
        ring.stream(STREAM, options).append(&packet).unwrap();
        if i % 500 == 0 {
            let held: u64 = bytes();
            // While files come and go the sum is of no one moment; a segment more or less is no matter.
            assert!(held <= max + 100_000, "{held} bytes are there");
        }
    }
    ring.finish().unwrap();
    let held: u64 = bytes();
    // Room for those that were being sealed was kept until they were.
    assert!(held <= max && held > max / 10, "{held} bytes are there");
    let times = read(&data);
    assert_eq!(times.last(), Some(&(1_000_000 + 19_999 * 1000)), "the newest packets are kept");
}
