//! Reads a capture file into SMB1 messages in the order of capture: just enough of pcap, pcapng, Ethernet, IPv4 and TCP for the corpus.

use crate::flow::Way;
use std::collections::{BTreeMap, HashMap};

/// A message of one connection.
pub(super) struct Captured {
    pub(super) connection: usize,
    pub(super) way: Way,
    pub(super) bytes: Vec<u8>,
}

fn u16le(b: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([b[at], b[at + 1]]))
}

fn u32le(b: &[u8], at: usize) -> usize {
    u32::from_le_bytes(b[at..at + 4].try_into().unwrap()) as usize
}

fn u16be(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}

/// Link type and bytes of each packet.
fn packets(file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    if file.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]) {
        let (mut at, mut link) = (0, 1);
        while at + 12 <= file.len() {
            let (kind, length) = (u32le(file, at), u32le(file, at + 4));
            match kind {
                1 => link = u16le(file, at + 8),
                6 => {
                    let taken = u32le(file, at + 20);
                    found.push((link, file[at + 28..at + 28 + taken].to_vec()));
                }
                _ => {}
            }
            at += length.max(12);
        }
        return found;
    }
    let swapped = file.starts_with(&[0xA1, 0xB2, 0xC3, 0xD4]);
    let number = |at: usize| if swapped { (u32le(file, at) as u32).swap_bytes() as usize } else { u32le(file, at) };
    let link = number(20);
    let mut at = 24;
    while at + 16 <= file.len() {
        let taken = number(at + 8);
        found.push((link, file[at + 16..(at + 16 + taken).min(file.len())].to_vec()));
        at += 16 + taken;
    }
    found
}

fn ip(link: usize, packet: &[u8]) -> Option<&[u8]> {
    let (mut kind, mut at) = match link {
        1 => (u16be(packet.get(..14)?, 12), 14),
        113 => (u16be(packet.get(..16)?, 14), 16),
        101 => (0x0800, 0),
        0 => (0x0800, 4),
        _ => return None,
    };
    while kind == 0x8100 {
        kind = u16be(packet.get(at..at + 4)?, 2);
        at += 4;
    }
    (kind == 0x0800).then(|| packet.get(at..)).flatten()
}

/// One direction: what comes next, what came too early, and the bytes of the message in the making.
#[derive(Default)]
struct Direction {
    next: Option<u32>,
    early: BTreeMap<u32, Vec<u8>>,
    bytes: Vec<u8>,
}

impl Direction {
    fn take(&mut self, seq: u32, payload: &[u8]) {
        let next = *self.next.get_or_insert(seq);
        self.early.entry(seq.wrapping_sub(next)).or_insert_with(|| payload.to_vec());
        let pending = std::mem::take(&mut self.early);
        for (ahead, payload) in pending {
            let now = self.next.unwrap();
            let behind = now.wrapping_sub(next).wrapping_sub(ahead);
            if (behind as i32) < 0 {
                self.early.insert(next.wrapping_add(ahead).wrapping_sub(now), payload);
            } else if let Some(new) = payload.get(behind as usize..) {
                self.bytes.extend(new);
                self.next = Some(now.wrapping_add(new.len() as u32));
                self.early =
                    std::mem::take(&mut self.early).into_iter().map(|(a, p)| (a.wrapping_sub(new.len() as u32), p)).collect();
            }
        }
    }

    /// The next whole session message.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        if self.bytes.len() < 4 {
            return None;
        }
        let length = u32::from_be_bytes([0, self.bytes[1], self.bytes[2], self.bytes[3]]) as usize;
        if ![0, 0x81, 0x82, 0x83, 0x85].contains(&self.bytes[0]) {
            self.bytes.clear();
            return None;
        }
        if self.bytes.len() < 4 + length {
            return None;
        }
        let message = self.bytes[4..4 + length].to_vec();
        let kind = self.bytes[0];
        self.bytes.drain(..4 + length);
        Some((kind, message))
    }
}

/// One side's address and port, and the other's.
type Ends = (Vec<u8>, u16, Vec<u8>, u16);

/// The session messages of all TCP connections, those of SMB2 left out.
pub(super) fn messages(file: &[u8]) -> Vec<Captured> {
    let mut found = Vec::new();
    let mut known: HashMap<Ends, (usize, usize)> = HashMap::new();
    let mut flows: Vec<[Direction; 2]> = Vec::new();
    for (link, packet) in packets(file) {
        // NetBIOS frames have one message each.
        if link == 1 && packet.get(14..16) == Some(&[0xF0, 0xF0]) {
            if let Some(at) = packet
                .windows(4)
                .position(|w| w == [0xFF, b'S', b'M', b'B'])
                .filter(|at| packet[0] & 1 == 0 && packet.len() - at >= 35)
            {
                let way = if packet.get(at + 9).is_some_and(|f| f & 0x80 != 0) { Way::ToClient } else { Way::ToServer };
                found.push(Captured { connection: usize::MAX, way, bytes: packet[at..].to_vec() });
            }
            continue;
        }
        let Some(ip) = ip(link, &packet).filter(|ip| ip.len() >= 20 && ip[0] >> 4 == 4 && ip[9] == 6) else { continue };
        // A length of 0 is that of an offloaded segment.
        let length = Some(usize::from(u16be(ip, 2))).filter(|l| *l > 0).unwrap_or(ip.len());
        let Some(ip) = ip.get(..length.min(ip.len())).filter(|ip| ip.len() >= 20) else { continue };
        let Some(tcp) = ip.get(usize::from(ip[0] & 15) * 4..).filter(|t| t.len() >= 20) else { continue };
        let (from, to) = (u16be(tcp, 0), u16be(tcp, 2));
        if ![139, 445, 80].contains(&from) && ![139, 445, 80].contains(&to) {
            continue;
        }
        let key = (ip[12..16].to_vec(), from, ip[16..20].to_vec(), to);
        let back = (ip[16..20].to_vec(), to, ip[12..16].to_vec(), from);
        let syn = tcp[13] & 0x12 == 0x02;
        if syn && known.get(&key).is_some_and(|k| flows[k.0][k.1].next.is_some_and(|n| n != seq(tcp).wrapping_add(1))) {
            known.remove(&key);
            known.remove(&back);
        }
        let (connection, side) = *known.entry(key).or_insert_with(|| {
            flows.push(Default::default());
            (flows.len() - 1, usize::from([139, 445, 80].contains(&from)))
        });
        known.entry(back).or_insert((connection, 1 - side));
        let direction = &mut flows[connection][side];
        if tcp[13] & 2 != 0 {
            direction.next = Some(seq(tcp).wrapping_add(1));
            continue;
        }
        let payload = tcp.get(usize::from(tcp[12] >> 4) * 4..).unwrap_or_default();
        if payload.is_empty() {
            continue;
        }
        direction.take(seq(tcp), payload);
        let way = if side == 0 { Way::ToServer } else { Way::ToClient };
        while let Some((kind, bytes)) = direction.message() {
            if kind == 0 && !bytes.starts_with(&[0xFE]) && !bytes.starts_with(&[0xFD]) {
                found.push(Captured { connection, way, bytes });
            }
        }
    }
    found
}

fn seq(tcp: &[u8]) -> u32 {
    u32::from_be_bytes(tcp[4..8].try_into().unwrap())
}
