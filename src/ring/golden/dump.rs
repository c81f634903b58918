//! Bytes as text: lines of an offset and up to sixteen bytes, all hexadecimal; `00 * N` for a run of zeros; remarks after a `;`.

use super::stranger::Remarks;
use std::fmt::Write;

const RUN_MIN: usize = 33;

/// The text of bytes. A remark begins a new line, and stands above it.
pub(super) fn print(bytes: &[u8], mut remarks: Remarks) -> String {
    remarks.sort_by_key(|r| r.0);
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        for (_, text) in remarks.iter().filter(|r| r.0 == at) {
            let _ = writeln!(out, "; {text}");
        }
        let end = remarks.iter().map(|r| r.0).find(|&r| r > at).unwrap_or(bytes.len()).min(bytes.len());
        let zeros = bytes[at..end].iter().take_while(|b| **b == 0).count();
        if zeros >= RUN_MIN {
            let _ = writeln!(out, "{at:06x}  00 * {zeros}");
            at += zeros;
            continue;
        }
        let end = end.min(at + 16);
        let line: Vec<String> = bytes[at..end].iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(out, "{at:06x}  {}", line.join(" "));
        at = end;
    }
    out
}

/// The bytes of a text.
pub(super) fn parse(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with(';')) {
        let (at, bytes) = line.split_once("  ").unwrap();
        assert_eq!(usize::from_str_radix(at, 16), Ok(out.len()), "{line}");
        match bytes.strip_prefix("00 * ") {
            Some(n) => out.resize(out.len() + n.parse::<usize>().unwrap(), 0),
            None => out.extend(bytes.split(' ').map(|b| u8::from_str_radix(b, 16).unwrap())),
        }
    }
    out
}
