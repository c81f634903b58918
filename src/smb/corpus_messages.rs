//! Messages of the captures that tests are held against.

use crate::wire::corpus;
use std::collections::BTreeMap;
use std::process::Command;

/// The SMB messages of a capture without loss, each with whether it goes to port 445, in the order in which they began; none where the captures or
/// tshark, which takes the frames apart, are missing.
pub(crate) fn corpus_messages(name: &str) -> Vec<(bool, Vec<u8>)> {
    let Some(folder) = corpus::folder().filter(|_| corpus::has_tool("tshark")) else { return Vec::new() };
    let fields = ["-Tfields", "-etcp.stream", "-etcp.dstport", "-etcp.payload", "-Ytcp.len>0"];
    let output = Command::new("tshark").arg("-nr").arg(folder.join(name)).args(fields).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut messages = Vec::new();
    let mut streams: BTreeMap<(&str, &str), Vec<u8>> = BTreeMap::new();
    for line in text.lines() {
        let [stream, port, payload] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let pending = streams.entry((stream, port)).or_default();
        pending.extend((0..payload.len() / 2).map(|i| u8::from_str_radix(&payload[2 * i..2 * i + 2], 16).unwrap()));
        while let Some(&[0, a, b, c]) = pending.first_chunk() {
            let end = 4 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
            if pending.len() < end {
                break;
            }
            messages.push((port == "445", pending[4..end].to_vec()));
            pending.drain(..end);
        }
    }
    messages
}
