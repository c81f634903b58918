//! `--packets` writes packets in which other programs, and we, find the same files.

use crate::analysis::{ask, own_folder, sha256, text};
use crate::support::{Data, NOT_WHOLE, WHOLE, corpus, has_tool, run, tool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
