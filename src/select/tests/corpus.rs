//! Filters on the corpus: what ours selects is what `tcpdump -r FILE FILTER` selects.

use super::super::{Filter, FilterError};
use super::filters::FILTERS;
use crate::packet::LinkType;
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::Record;
use crate::wire::corpus;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Held {
    pub(super) link_type: LinkType,
    pub(super) original_length: u32,
    pub(super) data: Vec<u8>,
}

/// The capture files of the corpus, sorted, or a skip.
pub(super) fn captures() -> Option<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![corpus::folder()?], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "cap" || e == "trace") {
                files.push(path);
            }
        }
    }
    files.sort();
    Some(files)
}

pub(super) fn packets(mut reader: CaptureReader) -> Vec<Held> {
    let mut out = Vec::new();
    loop {
        let (interface, original_length, data) = match reader.next().unwrap() {
            Some(Record::Packet { interface, packet, .. }) => (interface, packet.original_length, packet.data.to_vec()),
            Some(_) => continue,
            None => return out,
        };
        out.push(Held { link_type: reader.interfaces()[interface as usize].link_type, original_length, data });
    }
}

/// What tcpdump writes, or what it says.
fn tcpdump(path: &Path, filter: &str) -> Result<Vec<Held>, String> {
    let out = Command::new("tcpdump").arg("-r").arg(path).args(["-w", "-", "--", filter]).output().unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(packets(CaptureReader::from_reader("tcpdump", Box::new(Cursor::new(out.stdout))).unwrap()))
}

fn same_packets<'a>(ours: impl Iterator<Item = &'a Held>, theirs: &[Held]) -> bool {
    ours.map(|p| (&p.data, p.original_length)).eq(theirs.iter().map(|p| (&p.data, p.original_length)))
}

#[test]
fn filters_select_what_tcpdump_selects() {
    let Some(captures) = captures().filter(|_| corpus::has_tool("tcpdump")) else { return };
    let (mut compared, mut skipped, mut matched) = (0, 0, 0);
    for (number, path) in captures.iter().enumerate() {
        let Ok(reader) = CaptureReader::open(path) else {
            skipped += 1;
            continue;
        };
        let all = packets(reader);
        let one_type = all.iter().all(|p| p.link_type == all[0].link_type);
        // tcpdump reads one link type a file, and cuts packets to the file's snap length, whatever is there.
        let same = one_type && tcpdump(path, "").is_ok_and(|theirs| same_packets(all.iter(), &theirs));
        if all.is_empty() || !same {
            eprintln!("not compared: {}", path.display());
            skipped += 1;
            continue;
        }
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        let every = ["transport", "formats", "broken"].iter().any(|f| folder == *f);
        for (i, filter) in FILTERS.iter().enumerate() {
            // Where captures are much alike, each takes its turn with every eighth filter.
            if !every && (i + number) % 8 != 0 {
                continue;
            }
            let ours = Filter::compile(filter, all[0].link_type);
            match (ours, tcpdump(path, filter)) {
                (Ok(ours), Ok(theirs)) => {
                    let ours: Vec<_> = all.iter().filter(|p| ours.matches(&p.data, p.original_length)).collect();
                    assert!(
                        same_packets(ours.iter().copied(), &theirs),
                        "{} {filter:?}: {} {}",
                        path.display(),
                        ours.len(),
                        theirs.len()
                    );
                    matched += ours.len();
                    compared += 1;
                }
                (Err(FilterError::Refused(ours)), Err(reason)) => assert!(reason.contains(&ours.reason), "{ours} / {reason}"),
                (ours, theirs) => {
                    let ours = ours.map_or_else(|e| e.to_string(), |_| "fine".into());
                    panic!("{} {filter:?}: {ours} / {}", path.display(), theirs.map_or_else(|e| e, |_| "fine".into()))
                }
            }
        }
    }
    eprintln!("{compared} comparisons, {matched} packets matched, {skipped} captures skipped");
    assert!(compared > 1_000 && matched > 10_000);
}
