//! A disk that others fill and free while packets are recorded.

use crate::net::{Link, RECORDED, state};
use crate::record_faults::stretches;
use crate::record_follow::{frame, numbers};
use crate::support::{Data, WHOLE, has_tool, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A file system of its own in a file, gone after the test.
struct Disk {
    file: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Of so many MiB, mounted at `at`; or a skip.
    fn new(folder: &Path, at: PathBuf, mib: u64) -> Option<Disk> {
        if !has_tool("mkfs.ext4") {
            return None;
        }
        let disk = Disk { file: folder.join("disk.img"), at };
        fs::File::create(&disk.file).unwrap().set_len(mib << 20).unwrap();
        fs::create_dir(&disk.at).unwrap();
        let run = |name: &str, args: &[&std::ffi::OsStr]| {
            Command::new(name).args(args).stdin(Stdio::null()).output().is_ok_and(|o| o.status.success())
        };
        let (file, at) = (disk.file.as_os_str(), disk.at.as_os_str());
        // No part of it is kept for root.
        let made = run("mkfs.ext4", &["-q".as_ref(), "-m".as_ref(), "0".as_ref(), file]);
        if !made || !run("mount", &["-o".as_ref(), "loop".as_ref(), file, at]) {
            skip("this user may not mount a file system (mount -o loop)");
            return None;
        }
        Some(disk)
    }

    /// Bytes that are free.
    fn free(&self) -> u64 {
        let s = rustix::fs::statvfs(&self.at).unwrap();
        s.f_bavail * s.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.at).status();
        if !unmounted.is_ok_and(|s| s.success()) {
            eprintln!("{} cannot be unmounted", self.at.display());
        }
    }
}

/// Sends packets until it is dropped, some thousand a second.
fn sending<'s>(s: &'s std::thread::Scope<'s, '_>, link: &Link, next: &'s AtomicU64, done: &'s AtomicBool) -> Ended<'s> {
    let sender = link.sender();
    s.spawn(move || {
        while !done.load(Ordering::SeqCst) {
            for _ in 0..5 {
                sender.send(&frame(next.fetch_add(1, Ordering::SeqCst)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    Ended(done)
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Bytes of the files of a folder and those below.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { bytes_in(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

#[test]
fn a_disk_that_others_fill_and_free_is_written_again_each_time() {
    for flags in [&[][..], &["--fanout", "2"]] {
        let Some(link) = Link::new() else { return };
        let data = Data::new();
        let Some(disk) = Disk::new(data.outside(), data.path(), 48) else { return };
        let flags = [&["--segment-bytes", "256KiB", "--min-free", "1MiB"], flags].concat();
        let mut recorder = link.record(&data, &flags);
        let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|s| {
            let _end = sending(s, &link, &next, &done);
            for turn in 0..5 {
                let from = next.load(Ordering::SeqCst);
                recorder.wait_for("it records, again", || {
                    let cut = data.cut(&["--from", "-3s"]);
                    numbers(&cut.file).last().is_some_and(|n| *n > from).then_some(())
                });
                // All of it, in small pieces, also what the recorder gives up meanwhile.
                let other = disk.at.join("other");
                let mut filled = fs::File::create(&other).unwrap();
                for _ in 0..20 {
                    while std::io::Write::write_all(&mut filled, &[turn; 65_536]).is_ok() {}
                    std::thread::sleep(Duration::from_millis(50));
                }
                drop(filled);
                fs::remove_file(other).unwrap();
            }
            let from = next.load(Ordering::SeqCst);
            recorder.wait_for("it records at last", || {
                let cut = data.cut(&["--from", "-3s"]);
                numbers(&cut.file).last().is_some_and(|n| *n > from + 10_000).then_some(())
            });
        });
        recorder.stop();
        data.run(&["ring", "check"], &[]).expect(WHOLE);
        let cut = data.cut_all();
        let mut got = numbers(&cut.file);
        got.sort_unstable();
        assert!(got.windows(2).all(|w| w[0] < w[1]), "{flags:?}: something is there twice");
        assert_eq!(got.last().map(|n| n + 1), Some(next.load(Ordering::SeqCst)), "{flags:?}: the last is there");
        // What could not be written is counted, and the rest is there, from the oldest held on.
        let told = state(&data, RECORDED).unwrap();
        let unrecorded = told["unrecorded_packets"].as_u64().unwrap() + told["kernel_drops"].as_u64().unwrap();
        let missing = got[got.len() - 1] - got[0] + 1 - got.len() as u64;
        assert!(missing <= unrecorded, "{flags:?}: {missing} are missing and {unrecorded} are counted: {}", cut.coverage);
        let reasons = cut.reasons();
        assert!(missing == 0 || !reasons.is_empty(), "{flags:?}: {missing} are missing");
        let known = |r: &String| ["recorder_drops", "not_captured", "kernel_drops"].contains(&&r[..]);
        assert!(reasons.iter().all(known), "{flags:?}: {}", cut.coverage);
        // Of two threads one may have nowhere to write while the other goes on.
        let alone = !flags.contains(&"--fanout");
        for gap in stretches(&cut, "not_captured").into_iter().filter(|_| alone) {
            let inside = cut.file.packets.iter().filter(|p| gap.contains(&p.time)).count();
            assert_eq!(inside, 0, "{flags:?}: {inside} packets came where nobody looked: {}", cut.coverage);
        }
        drop(disk);
    }
}

#[test]
fn limits_hold_at_every_look() {
    let Some(link) = Link::new() else { return };
    let data = Data::new();
    let Some(disk) = Disk::new(data.outside(), data.path(), 32) else { return };
    let free = disk.free() - (10 << 20);
    for (flags, bytes, spare) in [
        (vec!["--max-bytes".to_owned(), "4MiB".to_owned()], 4 << 20, 0),
        (vec!["--min-free".to_owned(), free.to_string()], u64::MAX, free),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut recorder = link.record(&data, &flags);
        let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|s| {
            let _end = sending(s, &link, &next, &done);
            let begun = data.rings()[0].json["first_packet"].clone();
            let (mut looks, mut dropped) = (0, false);
            recorder.wait_for("its oldest packets are dropped", || {
                let held = bytes_in(&data.path().join("rings").join(RECORDED));
                assert!(held <= bytes, "{flags:?}: {held} bytes are held");
                assert!(disk.free() >= spare, "{flags:?}: {} bytes are free", disk.free());
                looks += 1;
                if looks % 20 == 0 {
                    let first = &data.rings()[0].json["first_packet"];
                    dropped |= !first.is_null() && !begun.is_null() && *first != begun;
                    dropped |= begun.is_null() && numbers(&data.cut_all().file).first().is_some_and(|n| *n > 5_000);
                }
                (dropped && looks > 200).then_some(())
            });
        });
        recorder.stop();
        assert!(disk.free() >= spare && bytes_in(&data.path().join("rings").join(RECORDED)) <= bytes, "{flags:?}: at the end");
        data.run(&["ring", "check"], &[]).expect(WHOLE);
    }
    drop(disk);
}
