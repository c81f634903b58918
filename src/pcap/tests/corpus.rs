//! Held against what other tools said of the same files.

use super::*;
use crate::wire::corpus;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each capture with its reference result.
fn captures(corpus: &Path) -> Vec<(PathBuf, serde_json::Value)> {
    let mut captures = Vec::new();
    for folder in std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if !path.is_file() {
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let Ok(text) = std::fs::read_to_string(corpus.join("oracle").join(format!("{name}.json"))) else { continue };
            let oracle: serde_json::Value = serde_json::from_str(&text).unwrap();
            if !oracle["capture"]["frames_sha256"].is_null() {
                captures.push((path, oracle));
            }
        }
    }
    captures.sort_by(|a, b| a.0.cmp(&b.0));
    captures
}

#[test]
fn frames_are_those_that_tshark_sees() {
    let Some(corpus) = corpus::folder() else { return };
    let (mut read, mut wrong) = (0, Vec::new());
    for (path, oracle) in captures(&corpus) {
        let reader = match CaptureReader::open(&path) {
            Ok(reader) => reader,
            Err(error) => {
                assert!(path.extension().is_some_and(|ext| ext == "snoop"), "{error}");
                continue;
            }
        };
        let outcome = drain(reader);
        let mut lines = String::new();
        let mut frames = frames(&std::fs::read(&path).unwrap()).into_iter().peekable();
        for (_, time, original, data) in outcome.packets() {
            while let Some(Frame::Custom(length)) = frames.next_if(|frame| matches!(frame, Frame::Custom(_))) {
                writeln!(lines, "None {length} {length}").unwrap();
            }
            let (seconds, fraction) = (time / 1_000_000_000, time % 1_000_000_000);
            match frames.next() {
                Some(Frame::Untimed) => writeln!(lines, "None {} {original}", data.len()).unwrap(),
                _ => writeln!(lines, "{seconds}.{fraction:09} {} {original}", data.len()).unwrap(),
            }
        }
        for frame in frames {
            let Frame::Custom(length) = frame else { panic!("{}: {frame:?} was not read", path.display()) };
            writeln!(lines, "None {length} {length}").unwrap();
        }
        let mut hash = String::new();
        for byte in Sha256::digest(lines.as_bytes()) {
            write!(hash, "{byte:02x}").unwrap();
        }
        read += 1;
        if hash != oracle["capture"]["frames_sha256"] {
            wrong.push(format!(
                "{}: {} packets, {} expected",
                path.display(),
                outcome.packets().len(),
                oracle["capture"]["packets"]
            ));
        }
        if let Some((_, reason)) = outcome.damage() {
            assert!(reason.starts_with("file ends inside"), "{}: {reason}", path.display());
        }
    }
    eprintln!("{read} captures");
    assert!(read > 100 && wrong.is_empty(), "{wrong:#?}");
}

/// What tshark counts as a frame in a pcapng file.
#[derive(Debug)]
enum Frame {
    Timed,
    Untimed,
    /// A custom block, with the bytes after its number.
    Custom(u32),
}

/// The frames of a pcapng file. Empty for other files.
fn frames(file: &[u8]) -> Vec<Frame> {
    let (mut frames, mut big, mut at) = (Vec::new(), false, 0);
    if !file.starts_with(b"\x0a\x0d\x0d\x0a") {
        return frames;
    }
    while at + 12 <= file.len() {
        if file[at..].starts_with(b"\x0a\x0d\x0d\x0a") {
            big = file[at + 8] == 0x1a;
        }
        let word = |at: usize| {
            let bytes = file[at..at + 4].try_into().unwrap();
            if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let length = word(at + 4);
        match word(at) {
            2 | 6 => frames.push(Frame::Timed),
            3 => frames.push(Frame::Untimed),
            0xbad | 0x4000_0bad => frames.push(Frame::Custom(length - 16)),
            _ => {}
        }
        at += length as usize;
    }
    frames
}

/// The packets' bytes are those that tcpdump copies, where it can read the file at all.
#[test]
fn bytes_are_those_that_tcpdump_copies() {
    let Some(corpus) = corpus::folder().filter(|_| corpus::has_tool("tcpdump")) else { return };
    let mut compared = 0;
    for (path, _) in captures(&corpus) {
        let copy = Command::new("tcpdump").args(["--nano", "-w", "-", "-r"]).arg(&path).output().unwrap();
        if !copy.status.success() || copy.stdout.len() < 24 {
            continue;
        }
        let Ok(reader) = CaptureReader::open(&path) else { continue };
        let outcome = drain(reader);
        let ours: Vec<_> = outcome.packets();
        let theirs = plain(&copy.stdout);
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
        for (ours, theirs) in ours.iter().zip(theirs) {
            // libpcap cuts packets at the snap length that the file states; here they are kept whole.
            let (captured, stated) = (&ours.3[..], outcome.interfaces[ours.0 as usize].snap_length as usize);
            let captured = &captured[..if stated == 0 { captured.len() } else { captured.len().min(stated) }];
            let same = (ours.1, ours.2, captured) == theirs;
            assert!(same, "{}: {:?} and {:?}", path.display(), (ours.1, ours.2), (theirs.0, theirs.1));
        }
        compared += 1;
    }
    eprintln!("{compared} captures compared");
    assert!(compared > 100);
}

/// A reader of its own for what tcpdump writes: little-endian, nanoseconds.
fn plain(mut file: &[u8]) -> Vec<(u64, u32, &[u8])> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(file, 0), 0xa1b2_3c4d);
    file = &file[24..];
    let mut packets = Vec::new();
    while !file.is_empty() {
        let captured = word(file, 8) as usize;
        let time = u64::from(word(file, 0)) * 1_000_000_000 + u64::from(word(file, 4));
        packets.push((time, word(file, 12), &file[16..16 + captured]));
        file = &file[16 + captured..];
    }
    packets
}

#[test]
fn every_prefix_of_small_captures_reads_up_to_its_end() {
    let Some(corpus) = corpus::folder() else { return };
    let mut read = 0;
    for (path, _) in captures(&corpus) {
        let bytes = std::fs::read(&path).unwrap();
        if bytes.len() > 3000 {
            continue;
        }
        let drained = |bytes: &[u8]| CaptureReader::from_reader("prefix", Box::new(Cursor::new(bytes.to_vec()))).map(drain);
        let Ok(whole) = drained(&bytes) else { continue };
        for end in 0..bytes.len() {
            let Ok(part) = drained(&bytes[..end]) else { continue };
            let (part, whole) = (part.packets(), whole.packets());
            // Cut off inside its second header, a file can be a whole one of a variant with longer headers.
            let ambiguous = part.len() == 1 && [0xd4, 0xa1].contains(&bytes[0]);
            assert!(part.len() <= whole.len(), "{}: {end}", path.display());
            assert!(ambiguous || whole.starts_with(&part), "{}: {end}", path.display());
        }
        read += 1;
    }
    assert!(read > 40, "only {read} captures are small");
}
