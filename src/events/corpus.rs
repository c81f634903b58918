//! For tests only: the datagrams and byte streams of sound capture files of the corpus, without the crate's own readers.

use crate::flow::End;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// What one packet carried.
pub(crate) struct Segment {
    pub(crate) at: Timestamp,
    pub(crate) src: End,
    pub(crate) dst: End,
    pub(crate) tcp: bool,
    pub(crate) seq: u32,
    pub(crate) payload: Vec<u8>,
}

/// The corpus' folder, where it is given.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("TAPLOOP_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TAPLOOP_CORPUS is not set");
    }
    folder
}

/// Every capture of these topics.
pub(crate) fn captures(corpus: &Path, topics: &[&str]) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> =
        topics.iter().flat_map(|t| std::fs::read_dir(corpus.join(t)).unwrap()).map(|e| e.unwrap().path()).collect();
    out.sort();
    out
}

/// What tshark says of a capture.
pub(crate) fn oracle(corpus: &Path, capture: &Path) -> serde_json::Value {
    let name = format!("{}.json", capture.file_name().unwrap().to_str().unwrap());
    serde_json::from_slice(&std::fs::read(corpus.join("oracle").join(name)).unwrap()).unwrap()
}

/// The TCP and UDP payloads of a file, IPv6 fragments joined.
pub(crate) fn segments(path: &Path) -> Vec<Segment> {
    let raw = std::fs::read(path).unwrap();
    let mut fragments = BTreeMap::new();
    packets(&raw).into_iter().filter_map(|(at, link, data)| segment(at, link, data, &mut fragments)).collect()
}

/// The bytes of each direction in the order of sequence numbers, from first to last; a gap ends a piece.
pub(crate) fn streams(segments: &[Segment]) -> Vec<(End, End, Vec<Vec<u8>>)> {
    let mut all: BTreeMap<(End, End), Vec<&Segment>> = BTreeMap::new();
    for s in segments.iter().filter(|s| s.tcp && !s.payload.is_empty()) {
        all.entry((s.src, s.dst)).or_default().push(s);
    }
    let mut out = Vec::new();
    for ((src, dst), mut parts) in all {
        let first = parts[0].seq;
        parts.sort_by_key(|s| s.seq.wrapping_sub(first).cast_signed());
        let (mut pieces, mut next): (Vec<Vec<u8>>, Option<u32>) = (Vec::new(), None);
        for part in parts {
            let known = next.map_or(0, |n| n.wrapping_sub(part.seq).cast_signed());
            if known < 0 || next.is_none() {
                pieces.push(Vec::new());
            }
            let new = part.payload.get(usize::try_from(known).unwrap_or(0)..).unwrap_or_default();
            pieces.last_mut().unwrap().extend_from_slice(new);
            let end = part.seq.wrapping_add(part.payload.len() as u32);
            if next.is_none_or(|n| end.wrapping_sub(n).cast_signed() > 0) {
                next = Some(end);
            }
        }
        out.push((src, dst, pieces));
    }
    out
}

fn packets(raw: &[u8]) -> Vec<(Timestamp, u32, &[u8])> {
    let u32_at = |at: usize, big: bool| -> Option<u32> {
        let b = raw.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    let mut out = Vec::new();
    match raw.first_chunk::<4>() {
        Some([0xa1, 0xb2, ..] | [0xd4 | 0x4d, ..]) => {
            let big = raw[0] == 0xa1;
            let nanos = raw.starts_with(&[0xa1, 0xb2, 0x3c]) || raw[0] == 0x4d;
            let link = u32_at(20, big).unwrap() & 0xffff;
            let mut at = 24;
            while let (Some(s), Some(f), Some(len)) = (u32_at(at, big), u32_at(at + 4, big), u32_at(at + 8, big)) {
                let Some(data) = raw.get(at + 16..at + 16 + len as usize) else { break };
                let ns = u64::from(s) * 1_000_000_000 + u64::from(f) * if nanos { 1 } else { 1000 };
                out.push((Timestamp::from_nanos(ns), link, data));
                at += 16 + len as usize;
            }
        }
        Some([0x0a, 0x0d, ..]) => {
            let (mut at, mut links) = (0, Vec::new());
            while let (Some(kind), Some(len @ 12..)) = (u32_at(at, false), u32_at(at + 4, false)) {
                match kind {
                    1 => links.push(u32_at(at + 8, false).unwrap() & 0xffff),
                    6 => {
                        let us = u64::from(u32_at(at + 12, false).unwrap()) << 32 | u64::from(u32_at(at + 16, false).unwrap());
                        let cap = u32_at(at + 20, false).unwrap() as usize;
                        let link = links[u32_at(at + 8, false).unwrap() as usize];
                        out.push((Timestamp::from_nanos(us.saturating_mul(1000)), link, &raw[at + 28..at + 28 + cap]));
                    }
                    _ => {}
                }
                at += len as usize;
            }
        }
        _ => {}
    }
    out
}

type Fragments = BTreeMap<(u32, Ipv6Addr), BTreeMap<usize, (Vec<u8>, bool)>>;

fn segment(at: Timestamp, link: u32, data: &[u8], fragments: &mut Fragments) -> Option<Segment> {
    let ip = match link {
        1 => match data.get(12..14)? {
            [0x81, 0] => data.get(18..)?,
            [0x08, 0] | [0x86, 0xdd] => data.get(14..)?,
            _ => return None,
        },
        12 | 101 | 228 | 229 => data,
        113 => data.get(16..)?,
        _ => return None,
    };
    let (protocol, src, dst, body): (u8, IpAddr, IpAddr, Vec<u8>) = match ip.first()? >> 4 {
        4 => {
            if u16::from_be_bytes(ip.get(6..8)?.try_into().ok()?) & 0x3fff != 0 {
                return None;
            }
            let head = usize::from(ip[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes(ip.get(2..4)?.try_into().ok()?));
            let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
            let address =
                |at: usize| -> Option<IpAddr> { Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?).into()) };
            (ip[9], address(12)?, address(16)?, ip.get(head..end)?.to_vec())
        }
        6 => {
            let address =
                |at: usize| -> Option<Ipv6Addr> { Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?)) };
            let (src, dst) = (address(8)?, address(24)?);
            let length = usize::from(u16::from_be_bytes(ip.get(4..6)?.try_into().ok()?));
            let body = ip.get(40..(40 + length).min(ip.len()))?;
            if ip[6] == 44 {
                let word = usize::from(u16::from_be_bytes(body.get(2..4)?.try_into().ok()?));
                let id = u32::from_be_bytes(body.get(4..8)?.try_into().ok()?);
                let parts = fragments.entry((id, src)).or_default();
                parts.insert(word & !7, (body.get(8..)?.to_vec(), word & 1 != 0));
                let mut whole = Vec::new();
                let mut ended = false;
                for (offset, (bytes, more)) in parts.iter() {
                    if *offset != whole.len() {
                        return None;
                    }
                    whole.extend_from_slice(bytes);
                    ended = !more;
                }
                if !ended {
                    return None;
                }
                (body[0], src.into(), dst.into(), whole)
            } else {
                (ip[6], src.into(), dst.into(), body.to_vec())
            }
        }
        _ => return None,
    };
    let port = |at: usize| -> Option<u16> { Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?)) };
    let (src, dst) = (End { ip: src, port: port(0)? }, End { ip: dst, port: port(2)? });
    match protocol {
        17 => Some(Segment { at, src, dst, tcp: false, seq: 0, payload: body.get(8..)?.to_vec() }),
        6 => {
            let seq = u32::from_be_bytes(body.get(4..8)?.try_into().ok()?);
            let head = usize::from(body.get(12)? >> 4) * 4;
            Some(Segment { at, src, dst, tcp: true, seq, payload: body.get(head..)?.to_vec() })
        }
        _ => None,
    }
}
