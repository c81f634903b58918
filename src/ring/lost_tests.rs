//! What a ring still gives, and what a check says, where parts of what tells of its segments are lost.

use super::check::{Report, check};
use super::data::DataDir;
use super::facts::SegmentFacts;
use super::footer::FOOTER_LEN;
use super::paths::{OPEN_FOLDER, data_path, log_path, segment_of};
use super::ring_writer::RingWriter;
use super::snapshot::{ReadContext, RingReader};
use super::tests::{read, write};
use crate::time::Window;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const SEALED: u32 = 3000;
const ALL: u32 = 3400;

/// Some sealed segments, and with `grows` one that its writer left.
fn ring(grows: bool) -> (TempDir, DataDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    write(&data, 0..SEALED, true);
    if grows {
        write(&data, SEALED..ALL, false);
        // What was handed over is still written.
        while read(&data).len() < ALL as usize {
            std::thread::yield_now();
        }
    }
    let ring = data.ring_path("eth0");
    (dir, data, ring)
}

fn packets(data: &DataDir) -> usize {
    let mut times = read(data);
    times.sort_unstable();
    let all = times.len();
    times.dedup();
    assert_eq!(times.len(), all, "none comes twice");
    all
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut_to(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// One repair mends all, and says so.
fn mends(data: &DataDir, what: &str) -> Report {
    let found = check(data.path(), false).unwrap();
    assert!(!found.clean, "{what}");
    let report = check(data.path(), true).unwrap();
    assert!(report.findings.iter().all(|f| f.mended), "{what}: {:?}", report.findings);
    let again = check(data.path(), false).unwrap();
    assert!(again.clean, "{what}: {:?}", again.findings);
    report
}

#[test]
fn a_lost_end_of_the_catalogue_hides_no_segment() {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil); 4] = [
        ("flipped", |c| flip(c, len(c) as usize - 100)),
        ("half an entry gone", |c| cut_to(c, len(c) - 64)),
        ("an entry gone", |c| cut_to(c, len(c) - 128)),
        ("all entries gone", |c| cut_to(c, 4096)),
    ];
    for (what, spoil) in ways {
        for grows in [false, true] {
            let (_dir, data, ring) = ring(grows);
            let all = if grows { ALL } else { SEALED } as usize;
            spoil(&ring.join("catalog"));
            let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
            assert!(reader.catalog_damage().is_some(), "{what} {grows}");
            assert_eq!(packets(&data), all, "{what} {grows}");
            let report = mends(&data, what);
            assert!(report.findings.iter().any(|f| f.problem.contains("does not list")), "{what}: {:?}", report.findings);
            assert_eq!(packets(&data), all, "{what} {grows}");
            // A writer goes on without a repair, too.
            spoil(&ring.join("catalog"));
            write(&data, ALL..ALL + 10, true);
            assert_eq!(packets(&data), all + 10, "{what} {grows}");
            assert!(check(data.path(), false).unwrap().clean, "{what} {grows}");
        }
    }
}

#[test]
fn a_growing_segment_outlives_its_log() {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil); 5] = [
        ("a flipped header", |log| flip(log, 20)),
        ("a flipped link type", |log| flip(log, 42)),
        ("cut off in its header", |log| cut_to(log, 100)),
        ("emptied", |log| cut_to(log, 0)),
        ("gone", |log| fs::remove_file(log).unwrap()),
    ];
    for (what, spoil) in ways {
        for repair in [true, false] {
            let (_dir, data, ring) = ring(true);
            let log = fs::read_dir(ring.join("open")).unwrap().next().unwrap().unwrap().path();
            spoil(&log);
            let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
            let segments = reader.segments_in(&Window::ALL).unwrap();
            let unread = segments.iter().any(|f| reader.open_segment(f).is_err_and(|e| e.to_string().contains("open/")));
            assert!(unread || reader.catalog_damage().is_some(), "{what}: a reader names it");
            let mut all = ALL as usize;
            if repair {
                let report = mends(&data, what);
                let stem = log.file_stem().unwrap().to_str().unwrap();
                assert!(report.findings.iter().any(|f| f.file.contains(stem)), "{what}: {:?}", report.findings);
            } else {
                write(&data, ALL..ALL + 10, true);
                all += 10;
            }
            assert_eq!(packets(&data), all, "{what}");
        }
    }
}

#[test]
fn a_log_without_packets_goes_without_a_trace() {
    let (_dir, data, ring) = ring(false);
    fs::write(ring.join("open/0000000009.log"), [0; 100]).unwrap();
    fs::write(ring.join("0000000009.pcapng"), [0; 40]).unwrap();
    mends(&data, "never begun");
    assert!(!ring.join("0000000009.pcapng").exists() && !ring.join("open/0000000009.log").exists());
    assert_eq!(packets(&data), SEALED as usize);
}

#[test]
fn packets_that_were_published_and_are_lost_stay_named() {
    for gone in [true, false] {
        let (_dir, data, ring) = ring(true);
        let log = fs::read_dir(ring.join("open")).unwrap().next().unwrap().unwrap().path();
        let file = ring.join(log.with_extension("pcapng").file_name().unwrap());
        if gone {
            fs::remove_file(&file).unwrap();
        } else {
            cut_to(&file, 0);
        }
        let report = mends(&data, "lost");
        assert!(report.findings.iter().any(|f| f.file == file.display().to_string()), "{:?}", report.findings);
        let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
        let segments = reader.segments_in(&Window::ALL).unwrap();
        let lost = segments.iter().find(|f| f.has(SegmentFacts::LOST)).unwrap();
        assert_eq!(lost.packets, u64::from(ALL - SEALED));
        let e = reader.open_segment(lost).err().unwrap().to_string();
        assert!(e.contains("400 packets lost"), "{e}");
    }
}

#[test]
fn what_a_later_version_made_or_the_disk_withholds_is_left_alone() {
    let (_dir, data, ring) = ring(true);
    let catalog = ring.join("catalog");
    let whole = fs::read(&catalog).unwrap();
    let mut later = whole.clone();
    later[8] = 2;
    fs::write(&catalog, &later).unwrap();
    let report = check(data.path(), true).unwrap();
    assert!(report.findings.len() == 1 && !report.findings[0].mended, "{:?}", report.findings);
    assert!(report.findings[0].problem.contains("version 2"));
    assert_eq!(fs::read(&catalog).unwrap(), later);
    fs::write(&catalog, &whole).unwrap();

    let index = ring.join("0000000002.idx");
    let packets = fs::read(ring.join("0000000002.pcapng")).unwrap();
    let mut later = fs::read(&index).unwrap();
    let footer = later.len() - FOOTER_LEN;
    later[footer + 8] = 2;
    let crc = crc32c::crc32c(&later[footer..later.len() - 4]).to_le_bytes();
    let end = later.len() - 4;
    later[end..].copy_from_slice(&crc);
    for listed in [true, false] {
        fs::write(&index, &later).unwrap();
        if !listed {
            cut_to(&catalog, 4096);
        }
        let report = check(data.path(), true).unwrap();
        let finding = report.findings.iter().find(|f| !f.mended).unwrap();
        assert!(finding.problem.contains("version 2"), "{:?}", report.findings);
        assert_eq!(fs::read(&index).unwrap(), later);
        // A folder in its place cannot be read.
        fs::remove_file(&index).unwrap();
        fs::create_dir(&index).unwrap();
        let report = check(data.path(), true).unwrap();
        assert!(report.findings.iter().any(|f| !f.mended), "{:?}", report.findings);
        assert!(index.is_dir());
        assert_eq!(fs::read(ring.join("0000000002.pcapng")).unwrap(), packets);
        fs::remove_dir(&index).unwrap();
    }
}

#[test]
fn one_repair_is_enough() {
    let (_dir, data, ring) = ring(true);
    flip(&ring.join("hosts/0"), 2 * 512 + 40);
    fs::create_dir_all(ring.join("sections")).unwrap();
    for section in [1, 2] {
        fs::write(ring.join(format!("sections/{section:010}.blocks")), [4, 0, 0, 0, 16]).unwrap();
    }
    mends(&data, "hosts and sections");
    assert_eq!(packets(&data), ALL as usize);
}

#[test]
fn what_a_killed_writer_left_is_as_old_as_its_files() {
    let day = Duration::from_secs(86_400);
    for (packets_days, log_days, arrived_days) in [(3, 2, 3), (1, 2, 2)] {
        let (_dir, data, ring) = ring(true);
        let now = SystemTime::now();
        let open = fs::read_dir(ring.join(OPEN_FOLDER)).unwrap().map(|e| e.unwrap().path()).next().unwrap();
        let id = segment_of(&open).unwrap();
        for (path, days) in [(data_path(&ring, id), packets_days), (log_path(&ring, id), log_days)] {
            OpenOptions::new().write(true).open(path).unwrap().set_modified(now - days * day).unwrap();
        }
        RingWriter::open(&data, "eth0", None).unwrap().finish().unwrap();
        let reader = RingReader::open(&data, "eth0", &ReadContext::default()).unwrap();
        let facts = reader.segments_in(&Window::ALL).unwrap().into_iter().find(|f| f.id == id).unwrap();
        let want = (now - arrived_days * day).duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(u128::from(facts.arrived.as_nanos()), want.as_nanos());
    }
}
