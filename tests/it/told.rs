//! What people are told: tables of whatever captures hold, and what was odd or stayed closed on the way.

use crate::analysis::{ask, ask_with, none_wrong, own_folder, sha256, text};
use crate::support::{WRONG_REQUEST, corpus};
use serde_json::Value;
use sha1::Digest;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

fn captures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        let is_capture = entry.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "gz");
        if entry.is_dir() {
            captures(&entry, found);
        } else if is_capture {
            found.push(entry);
        }
    }
}

#[test]
fn every_capture_gives_tables_without_controls() {
    let mut all = Vec::new();
    captures(&own_folder(), &mut all);
    if let Some(corpus) = corpus() {
        ["smb", "lateral", "job", "rpc", "krb", "ntlm"].iter().map(|f| corpus.join(f)).filter(|f| f.is_dir()).for_each(|f| {
            captures(&f, &mut all);
        });
    }
    let mut wrong = Vec::new();
    for file in &all {
        for word in ["events", "objects"] {
            let out = ask_with(word, file, &[]);
            if !matches!(out.status, 0 | 3 | 4) {
                wrong.push(format!("{word} {}: status {}: {}", file.display(), out.status, out.stderr));
            }
            if out.stderr.chars().any(|c| c.is_control() && c != '\n') {
                wrong.push(format!("{word} {}: control characters in the table", file.display()));
            }
        }
    }
    none_wrong(&wrong);
}

#[test]
fn sessions_that_stay_closed_say_why() {
    let capture = own_folder().join("smb3-encrypted.pcap");
    let why = |keys: Option<&Path>| {
        let said = ask("events", &capture, keys);
        let all: Vec<String> = said.log("smb_sealed").map(|e| text(e, "why").to_owned()).collect();
        assert!(said.log("smb_sealed").all(|e| e["messages"].as_u64() > Some(0) && text(e, "session_id").len() == 18));
        assert!(all.iter().all(|why| said.stderr.contains(why.as_str())), "{}", said.stderr);
        all
    };
    assert!(why(None).iter().all(|w| w == "no_key") && !why(None).is_empty());
    assert_eq!(why(Some(&own_folder().join("smb3-encrypted.keys"))), Vec::<String>::new());
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let line = std::fs::read_to_string(own_folder().join("smb3-encrypted.keys")).unwrap();
    let id = line.lines().find(|l| !l.starts_with('#')).and_then(|l| l.split([',', ' ']).next().map(str::to_owned)).unwrap();
    std::fs::write(&keys, format!("{id},{}\n", "00".repeat(16))).unwrap();
    assert!(why(Some(&keys)).contains(&"wrong_key".to_owned()), "{line}");
}

#[test]
fn what_cannot_be_placed_is_told() {
    // Only what the server sent: answers to READs that nobody is seen to ask.
    let folder = tempfile::tempdir().unwrap();
    let data = std::fs::read(own_folder().join("smb2-10.pcap")).unwrap();
    let mut half = data[..24].to_vec();
    let mut at = 24;
    while at + 16 <= data.len() {
        let len = u32::from_le_bytes(data[at + 8..at + 12].try_into().unwrap()) as usize;
        let packet = &data[at..at + 16 + len];
        // Ethernet, IPv4 without options: the source port.
        if packet[16 + 34..16 + 36] == 445_u16.to_be_bytes() {
            half.extend_from_slice(packet);
        }
        at += 16 + len;
    }
    let file = folder.path().join("half.pcap");
    std::fs::write(&file, half).unwrap();
    let said = ask("events", &file, None);
    let names: Vec<&str> = said.log("weird").map(|e| text(e, "name")).collect();
    assert!(names.contains(&"unplaced_read"), "{names:?}\n{}", said.stderr);
    assert!(said.stderr.contains("unplaced_read"), "{}", said.stderr);
}

/// MD5 and SHA-1 of contents that `objects` wrote, reckoned here.
#[test]
fn files_have_the_hashes_that_are_asked_for() {
    let capture = own_folder().join("smb2-10.pcap");
    let folder = tempfile::tempdir().unwrap();
    ask_with("objects", &capture, &["--export-dir".as_ref(), folder.path().as_os_str()]);
    let mut contents = std::collections::BTreeMap::new();
    for file in std::fs::read_dir(folder.path()).unwrap().flatten().filter(|f| f.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        contents.insert(sha256(&bytes), (hex::encode(md5::Md5::digest(&bytes)), hex::encode(sha1::Sha1::digest(&bytes))));
    }
    let flags: [&OsStr; 5] = ["--json", "--type", "files", "--hash", "md5,sha1"].map(AsRef::as_ref);
    let out = ask_with("events", &capture, &flags);
    let lines: Vec<Value> =
        out.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    let whole: Vec<&Value> = lines.iter().filter(|e| e["sha256"].is_string() && e["seen_bytes"] != 0).collect();
    assert!(whole.len() > 3, "{lines:?}");
    for e in whole {
        let (md5, sha1) = &contents[text(e, "sha256")];
        assert_eq!((text(e, "md5"), text(e, "sha1")), (&md5[..], &sha1[..]), "{e}");
    }
    assert!(ask("events", &capture, None).log("files").all(|e| e["md5"].is_null() && e["sha1"].is_null()));
    let refused = ask_with("events", &capture, &["--type", "conn", "--hash", "md5"].map(AsRef::as_ref));
    assert!(refused.status == WRONG_REQUEST && refused.stderr.contains("--hash"), "{}", refused.stderr);
}
