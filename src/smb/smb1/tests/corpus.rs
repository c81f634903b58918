//! Real captures, with what other readers say of them. `TAPLOOP_CORPUS` names their folder; without it these tests say so and pass.

use super::build::{Content, Log, Talk};
use super::capture::{Captured, messages};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The captures, by folder and name.
fn captures() -> Vec<(PathBuf, Value)> {
    let Some(corpus) = std::env::var_os("TAPLOOP_CORPUS").map(PathBuf::from) else {
        eprintln!("SKIPPED: TAPLOOP_CORPUS is not set");
        return Vec::new();
    };
    let mut found = Vec::new();
    for folder in ["smb", "lateral", "auth", "broken", "job", "smb3"] {
        let Ok(files) = std::fs::read_dir(corpus.join(folder)) else { continue };
        for file in files.map(|f| f.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let oracle = corpus.join("oracle").join(format!("{name}.json"));
            let Ok(oracle) = std::fs::read(oracle) else { continue };
            let oracle: Value = serde_json::from_slice(&oracle).unwrap();
            if !name.ends_with(".gz") && oracle["smb"]["smb1_frames"].as_u64().unwrap_or(0) > 0 {
                found.push((file, oracle));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty());
    found
}

/// Reads a capture, each connection by a reader of its own.
fn read(messages: &[Captured], pieces: Option<usize>) -> Vec<Log> {
    let mut talks: BTreeMap<usize, Talk> = BTreeMap::new();
    for m in messages {
        let talk = talks.entry(m.connection).or_insert_with(Talk::new);
        talk.pieces = pieces;
        talk.bytes(m.way, &m.bytes);
    }
    talks
        .into_values()
        .map(|mut t| {
            t.end();
            t.log
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Action, name and SHA-256 of every whole content.
fn contents(logs: &[Log]) -> BTreeSet<(bool, String, String)> {
    let mut found = BTreeSet::new();
    for log in logs {
        let of = |id: &u64, c: &Content| c.whole().then(|| (log.names.get(id).cloned().unwrap_or_default(), sha256(&c.bytes)));
        found.extend(log.read.iter().filter_map(|(id, c)| of(id, c)).map(|(n, s)| (false, n, s)));
        found.extend(log.written.iter().filter_map(|(id, c)| of(id, c)).map(|(n, s)| (true, n, s)));
    }
    found
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}

#[test]
fn files_trees_and_names_are_those_of_the_oracle() {
    let (mut transfers, mut objects, mut trees, mut names) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for (path, oracle) in captures() {
        let file = std::fs::read(&path).unwrap();
        let messages = messages(&file);
        let logs = read(&messages, None);
        let ours = contents(&logs);
        assert_eq!(contents(&read(&messages, Some(1000))), ours, "streamed in pieces: {path:?}");
        let empty = Vec::new();
        let list = |key: &str| oracle[key].as_array().unwrap_or(&empty);
        for t in list("transfers").iter().filter(|t| t["proto"] == "smb1") {
            for (key, written) in [("read", false), ("write", true)] {
                if t[key]["complete"] != true {
                    continue;
                }
                let of = (written, text(t, "name").trim_start_matches('\\').to_owned(), text(&t[key], "sha256").to_owned());
                transfers += 1;
                if !ours.contains(&of) {
                    wrong.push(format!("{path:?}: transfer {of:?}"));
                }
            }
        }
        let smb1_only = oracle["smb"]["smb2_frames"] == 0;
        for o in list("smb_objects").iter().filter(|o| smb1_only && o["complete"] == true && o["named_pipe"] == false) {
            objects += 1;
            if !ours.iter().any(|c| c.2 == text(o, "sha256")) {
                wrong.push(format!("{path:?}: object {o}"));
            }
        }
        let told: BTreeSet<String> = logs.iter().flat_map(|l| l.trees.values()).map(|t| t.to_uppercase()).collect();
        for t in list("trees").iter().filter(|t| t["proto"] == "smb1") {
            trees += 1;
            if !told.contains(&text(t, "path").to_uppercase()) {
                wrong.push(format!("{path:?}: tree {t}, ours {told:?}"));
            }
        }
        let mut told: BTreeSet<&str> = logs.iter().flat_map(|l| l.names.values()).map(String::as_str).collect();
        for log in &logs {
            told.extend(log.events("OpenFailed").iter().filter_map(|e| e.split('"').nth(1)));
        }
        for f in list("files").iter().filter(|f| f["proto"] == "smb1") {
            names += 1;
            let name = text(f, "name").trim_start_matches('\\').to_owned();
            let failed = name.escape_debug().to_string();
            if !told.contains(name.as_str()) && !told.contains(failed.as_str()) {
                wrong.push(format!("{path:?}: name {f}"));
            }
        }
        if std::env::var_os("TAPLOOP_VERBOSE").is_some() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for e in logs.iter().flat_map(|l| &l.said).map(|s| s.1.as_str()) {
                let end = if e.starts_with("Odd") { e.find(", bytes") } else { e.find([' ', '{']) };
                *counts.entry(&e[..end.unwrap_or(e.len())]).or_default() += 1;
            }
            eprintln!("{path:?}: {counts:?}");
        }
    }
    eprintln!("{transfers} transfers, {objects} objects, {trees} trees, {names} names compared");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_prefix_of_every_message_is_survived() {
    let mut tried = 0usize;
    for (path, _) in captures() {
        let file = std::fs::read(&path).unwrap();
        let mut talks: BTreeMap<usize, Talk> = BTreeMap::new();
        for m in messages(&file) {
            let talk = talks.entry(m.connection).or_insert_with(Talk::new);
            // Headers and short messages byte by byte, long content in steps.
            let step = m.bytes.len().div_ceil(400).max(1);
            for cut in (0..m.bytes.len().min(160)).chain((160..m.bytes.len()).step_by(step)) {
                talk.pieces = (cut % 2 == 0).then_some(7 + cut);
                talk.bytes(m.way, &m.bytes[..cut]);
                tried += 1;
            }
            talk.pieces = None;
            talk.bytes(m.way, &m.bytes);
            talk.log = Log::default();
        }
    }
    eprintln!("{tried} prefixes");
}

/// PDU types, operation numbers and numbers of context items of a pipe's bytes of one way (DCE/RPC over pipes: [MS-RPCE] 2.2.2); `None` where they do not end with a PDU.
fn calls(bytes: &[u8]) -> Option<Vec<(u8, u16, u64)>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = usize::from(u16::from_le_bytes([*rest.get(8)?, *rest.get(9)?]));
        if rest.first() != Some(&5) || length < 16 {
            return None;
        }
        if rest.get(3)? & 1 != 0 {
            found.push((
                *rest.get(2)?,
                u16::from_le_bytes([*rest.get(22)?, *rest.get(23)?]),
                rest.get(24).copied().map_or(0, u64::from),
            ));
        }
        rest = rest.get(length..)?;
    }
    Some(found)
}

#[test]
fn pipes_hold_the_calls_of_the_oracle() {
    let mut compared = 0;
    for (path, oracle) in captures() {
        let binds = oracle["dcerpc"]["binds"].as_array().cloned().unwrap_or_default();
        if binds.is_empty() || binds.iter().any(|b| b["carrier"] != "smb1") {
            continue;
        }
        let mut theirs: BTreeMap<u16, u64> = BTreeMap::new();
        for call in oracle["dcerpc"]["calls"].as_array().unwrap() {
            *theirs.entry(call["opnum"].as_u64().unwrap() as u16).or_default() += call["count"].as_u64().unwrap();
        }
        let mut ours: BTreeMap<u16, u64> = BTreeMap::new();
        let mut bound = 0;
        for log in read(&messages(&std::fs::read(&path).unwrap()), Some(333)) {
            for ((open, to_server), bytes) in &log.pipes {
                let Some(found) = calls(bytes) else {
                    assert!(!bytes.starts_with(&[5, 0]), "{path:?}: {open} {to_server}: broken PDUs");
                    continue;
                };
                bound += found.iter().filter(|c| c.0 == 11 || c.0 == 14).map(|c| c.2).sum::<u64>();
                for call in found.iter().filter(|c| c.0 == 0) {
                    *ours.entry(call.1).or_default() += 1;
                }
            }
        }
        compared += theirs.values().sum::<u64>();
        assert_eq!(ours, theirs, "{path:?}");
        assert_eq!(bound, binds.iter().map(|b| b["count"].as_u64().unwrap()).sum::<u64>(), "{path:?}");
    }
    eprintln!("{compared} calls compared");
}
