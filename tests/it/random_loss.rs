//! Our own SMB captures with packets lost at random, of whatever carries them: several connections and users, NetBIOS, IPv6, compressed and
//! encrypted messages. What is called whole is the file of that name, and no byte is another's.

use crate::analysis::{list, none_wrong, own_folder, sha256, text};
use crate::make::{Made, Random, pcap};
use crate::packetisation::{Object, export_with};
use crate::plain;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const CAPTURES: [&str; 12] = [
    "multichannel",
    "two-users",
    "smb-port139",
    "smb2-port139",
    "smb-over-ipv6",
    "smb1-plain",
    "smb2-02",
    "smb3-signed",
    "smb-compressed",
    "smb-compressed-chained",
    "smb3-encrypted",
    "smb311-encrypted",
];

/// How often each capture loses packets, at each of these rates: one in so many.
const ROUNDS: u64 = 4;
const ONE_IN: [u64; 3] = [100, 30, 10];

/// A file as it really was: action, path, bytes.
type File = (String, String, Vec<u8>);

fn packets(name: &str) -> Vec<Made> {
    let file = plain::read(&own_folder().join(format!("{name}.pcap"))).unwrap();
    file.packets.into_iter().map(|p| Made { time: p.time, orig_len: p.orig_len, data: p.data }).collect()
}

fn keys(name: &str) -> Option<PathBuf> {
    Some(own_folder().join(format!("{name}.keys"))).filter(|k| k.is_file())
}

/// The files in a capture, which are those that its script knew.
fn files(name: &str) -> Vec<File> {
    let expected = fs::read(own_folder().join(format!("{name}.expected.json"))).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let objects = export_with(&pcap(&packets(name)), keys(name).as_deref());
    let find = |want: &Value| {
        let same = |o: &&Object| ["action", "path", "sha256"].iter().all(|key| o.entry[key] == want[key]);
        let o = objects.iter().find(same).unwrap_or_else(|| panic!("{name}: no {want}"));
        assert_eq!(sha256(&o.bytes), text(want, "sha256"));
        (text(want, "action").to_owned(), text(want, "path").to_owned(), o.bytes.clone())
    };
    list(&expected, "objects").iter().map(find).collect()
}

/// Whether an object can be what was seen of a file.
fn fits(o: &Object, (action, path, bytes): &File) -> bool {
    let named = text(&o.entry, "path");
    let whole = o.entry["complete"] == true;
    o.entry["action"] == action.as_str()
        && (named.is_empty() || named == path)
        && o.seen().all(|r| bytes.get(r.clone()).is_some_and(|truth| o.bytes.get(r) == Some(truth)))
        && (!whole || o.bytes == *bytes)
}

#[test]
fn what_is_called_whole_is_the_file_of_that_name() {
    let mut wrong = Vec::new();
    let (mut whole, mut partial) = (0, 0);
    for name in CAPTURES {
        let (packets, files, keys) = (packets(name), files(name), keys(name));
        for round in 0..ROUNDS * ONE_IN.len() as u64 {
            let one_in = ONE_IN[round as usize % ONE_IN.len()];
            let mut random = Random(round * 31 + 5);
            let mut made: Vec<Made> = packets.iter().filter(|_| !random.one_in(one_in)).cloned().collect();
            if round % 4 == 3 {
                // And what is near each other in another order, at the same times.
                let times: Vec<u64> = made.iter().map(|p| p.time).collect();
                made.chunks_mut(3).for_each(|window| random.shuffle(window));
                made.iter_mut().zip(times).for_each(|(p, time)| p.time = time);
            }
            for o in export_with(&pcap(&made), keys.as_deref()) {
                let is_whole = o.entry["complete"] == true;
                (whole, partial) = (whole + usize::from(is_whole), partial + usize::from(!is_whole));
                if !files.iter().any(|f| fits(&o, f)) {
                    let what = if is_whole { "called whole" } else { "other bytes" };
                    wrong.push(format!("{name}, round {round}, one in {one_in} lost: {}: {what}", o.named()));
                }
            }
        }
    }
    none_wrong(&wrong);
    assert!(whole > 300 && partial > 100, "{whole} whole, {partial} not");
}
