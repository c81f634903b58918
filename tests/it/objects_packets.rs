//! `--provenance` names packets that hold the bytes, and `--packets` writes those in which other programs, and we, find the same files.

use crate::analysis::{ask, list, own_folder, sha256, text};
use crate::support::{Data, NOT_WHOLE, WHOLE, WRONG_REQUEST, corpus, has_tool, run, tool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Exports with provenance; each line's packet, found by its source and position, holds the bytes that the line speaks of.
#[track_caller]
fn lines_hold(folder: &Path, source: impl Fn(&Value) -> PathBuf, data_at: impl Fn(&[u8], usize) -> Vec<u8>) {
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let sources: Vec<Vec<u8>> = list(&manifest, "sources").iter().map(|s| fs::read(source(s)).unwrap()).collect();
    let mut held = 0;
    for object in list(&manifest, "objects") {
        let bytes = fs::read(folder.join(text(object, "file"))).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let sidecar = text(object, "provenance");
        assert!(sidecar.starts_with(text(object, "file")) && sidecar.ends_with(".packets.jsonl"), "{object}");
        let lines = fs::read_to_string(folder.join(sidecar)).unwrap();
        let mut seen = vec![false; bytes.len()];
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let number = |key: &str| line[key].as_u64().unwrap() as usize;
            let packet = data_at(&sources[number("source")], number("position"));
            let range = number("from")..number("to");
            let said = &bytes[range.clone()];
            assert!(packet.windows(said.len()).any(|w| w == said), "{sidecar}: {line}");
            seen[range].fill(true);
            held += said.len();
        }
        assert!(seen.iter().all(|s| *s), "{sidecar} leaves bytes out");
    }
    assert!(held > 10_000, "{held}");
}

#[test]
fn provenance_names_packets_that_hold_the_bytes() {
    let data = Data::new();
    let (capture, out) = (own_folder().join("smb2-10.pcap"), data.outside().join("out"));
    run(["objects".as_ref(), capture.as_os_str(), "--export-dir".as_ref(), out.as_os_str(), "--provenance".as_ref()])
        .expect(WHOLE);
    let word = |b: &[u8], at: usize| u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize;
    lines_hold(&out, |s| PathBuf::from(text(s, "file")), |b, at| b[at + 16..at + 16 + word(b, at + 8)].to_vec());

    // Of a ring: the segment and the place in its packet file.
    data.import_with(&["--interface", "eth0"], &[&capture]).expect(WHOLE);
    let out = data.outside().join("of ring");
    data.run(&["objects"], &["--export-dir", out.to_str().unwrap(), "--provenance"]).expect(WHOLE);
    let files = data.packet_files();
    let of = |s: &Value| {
        assert_eq!(s["interface"], "eth0");
        files.iter().find(|f| f.file_name().unwrap().to_str() == Some(text(s, "segment"))).unwrap().clone()
    };
    lines_hold(&out, of, |b, at| {
        assert_eq!(word(b, at), 6, "an enhanced packet block");
        b[at + 28..at + 28 + word(b, at + 20)].to_vec()
    });
    let alone = run(["objects", "--provenance", capture.to_str().unwrap()]).expect(WRONG_REQUEST);
    assert!(alone.one_line().contains("--export-dir"), "{}", alone.stderr);
}

/// What an object is, wherever its packets were read.
fn objects(file: &Path, keys: Option<&Path>) -> Vec<String> {
    let said = ask("objects", file, keys);
    let of = |o: &Value| {
        let fields = ["action", "share", "path", "stream", "version", "size", "content_id", "complete", "account"];
        fields.map(|f| o[f].to_string()).join(" ")
    };
    let mut all: Vec<String> = said.lines.iter().map(of).collect();
    all.sort();
    all
}

/// A file of which the capture lacks bytes, where tshark's content depends on what lies around it.
const TSHARK_GUESSES: &str = "smb2-upload-partial-gaps.pcap";

/// The names of pipes, which tshark exports like files.
fn pipes(file: &Path, keys: Option<&Path>) -> BTreeSet<String> {
    let said = ask("events", file, keys);
    let opened = said.log("smb_files").filter(|e| e["action"] == "SMB::PIPE_OPEN");
    opened.map(|e| text(e, "name").trim_start_matches('\\').to_lowercase()).collect()
}

/// The contents of files that tshark exports.
fn exported(file: &Path, folder: &Path, pipes: &BTreeSet<String>) -> BTreeSet<String> {
    fs::create_dir(folder).unwrap();
    let to = format!("smb,{}", folder.display());
    tool("tshark", ["-n", "-q", "-r", file.to_str().unwrap(), "--export-objects", &to]);
    let mut all = BTreeSet::new();
    for path in fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
        let name = name.trim_start_matches("%5c").split('(').next().unwrap();
        if !pipes.contains(name) {
            all.insert(sha256(&fs::read(&path).unwrap()));
        }
    }
    fs::remove_dir_all(folder).unwrap();
    all
}

/// What is not the same, a line each.
fn differences(captures: &[PathBuf]) -> Vec<String> {
    let (data, with_tshark) = (Data::new(), has_tool("tshark"));
    let (out, folder) = (data.outside().join("packets.pcapng"), data.outside().join("contents"));
    let mut wrong = Vec::new();
    for capture in captures {
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        let keys = capture.with_extension("keys");
        let keys = Some(keys.as_path()).filter(|k| k.is_file());
        let own = objects(capture, keys);
        if own.is_empty() {
            continue;
        }
        let mut flags = vec!["objects", "--json", "--packets", out.to_str().unwrap(), capture.to_str().unwrap()];
        flags.extend(keys.iter().flat_map(|k| ["--keys", k.to_str().unwrap()]));
        let said = run(&flags);
        assert!([WHOLE, NOT_WHOLE].contains(&said.status), "{name}: {}", said.stderr);
        let again = objects(&out, keys);
        wrong.extend(own.iter().filter(|o| !again.contains(o)).map(|o| format!("{name}: gone: {o}")));
        wrong.extend(again.iter().filter(|o| !own.contains(o)).map(|o| format!("{name}: new: {o}")));
        let pipes = pipes(capture, keys);
        if with_tshark && name != TSHARK_GUESSES && exported(capture, &folder, &pipes) != exported(&out, &folder, &pipes) {
            wrong.push(format!("{name}: tshark exports other contents"));
        }
    }
    wrong
}

fn captures_of(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().map(|f| f.unwrap().path());
    let mut all: Vec<PathBuf> =
        files.filter(|f| [".pcap", ".pcapng", ".cap", ".pcap.gz"].iter().any(|e| f.to_string_lossy().ends_with(e))).collect();
    all.sort();
    all
}

#[test]
fn the_packets_of_our_objects_give_the_same_objects_and_wireshark_the_same_files() {
    let wrong = differences(&captures_of(&own_folder()));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_packets_of_the_corpus_objects_give_the_same_objects_and_wireshark_the_same_files() {
    let Some(root) = corpus() else { return };
    let folders = fs::read_dir(&root).unwrap().map(|f| f.unwrap().path());
    let smb = folders.filter(|f| f.is_dir() && f.file_name().unwrap().to_string_lossy().starts_with("smb"));
    let mut all: Vec<PathBuf> = smb.flat_map(|f| captures_of(&f)).collect();
    all.extend(captures_of(&root.join("lateral")));
    let wrong = differences(&all);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
