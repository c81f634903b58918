//! The packets of the small ring.

use crate::pcap::block::{OPT_COMMENT, option};

/// A packet to be written.
pub(super) struct Given {
    pub(super) time: u64,
    pub(super) original_length: u32,
    pub(super) data: Vec<u8>,
    pub(super) options: Vec<u8>,
}

const CLIENT: [u8; 4] = [10, 1, 2, 3];
const SERVER: [u8; 4] = [10, 9, 9, 9];
const NAMES: [u8; 4] = [10, 0, 0, 53];
const UDP: u8 = 17;

fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for tag in tags {
        out.extend([0x81, 0]);
        out.extend(tag.to_be_bytes());
    }
    out.extend(ethertype.to_be_bytes());
    out.extend(payload);
    out
}

/// `fragment`: flags and offset as the header has them.
fn ip4(protocol: u8, source: [u8; 4], destination: [u8; 4], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x45, 0];
    out.extend((20 + payload.len() as u16).to_be_bytes());
    out.extend([0x12, 0x34]);
    out.extend(fragment.to_be_bytes());
    out.extend([64, protocol, 0, 0]);
    out.extend(source);
    out.extend(destination);
    out.extend(payload);
    out
}

fn ip6(last: u8, source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
    let address = |n: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n];
    let mut out = vec![0x60, 0, 0, 0, 0, payload.len() as u8, last, 64];
    out.extend(address(source));
    out.extend(address(destination));
    out.extend(payload);
    out
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for n in [source, destination, 8 + payload.len() as u16, 0] {
        out.extend(n.to_be_bytes());
    }
    out.extend(payload);
    out
}

fn tcp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(source.to_be_bytes());
    out.extend(destination.to_be_bytes());
    out.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 4, 0, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

/// Two ways of a TCP flow, a tagged UDP packet with a comment, IPv6, ARP, a datagram in two fragments, one-way ICMP, headers that are cut,
/// a tag without addresses, and one packet that is earlier than those before it and cut by a snap length.
pub(super) fn given() -> Vec<Given> {
    let mut comment = Vec::new();
    option(&mut comment, OPT_COMMENT, b"golden");
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1][..], &CLIENT, &[0; 6], &NAMES].concat();
    let frames = [
        ethernet(&[], 0x0800, &ip4(6, CLIENT, SERVER, 0, &tcp(50_000, 445, b"ask"))),
        ethernet(&[], 0x0800, &ip4(6, SERVER, CLIENT, 0, &tcp(445, 50_000, b"answer"))),
        ethernet(&[100], 0x0800, &ip4(UDP, CLIENT, NAMES, 0, &udp(53_000, 53, b"name"))),
        ethernet(&[], 0x86dd, &ip6(UDP, 1, 2, &udp(546, 547, b"six"))),
        ethernet(&[], 0x0806, &arp),
        ethernet(&[], 0x0800, &ip4(UDP, NAMES, [10, 1, 2, 4], 0x2000, &udp(53, 53_001, b"fragment"))),
        ethernet(&[], 0x0800, &ip4(UDP, NAMES, [10, 1, 2, 4], 2, b"the rest")),
        ethernet(&[], 0x0800, &ip4(1, SERVER, CLIENT, 0, &[3, 3, 0, 0, 0, 0, 0, 0])),
        ethernet(&[], 0x0800, &[0x45, 0, 0, 40]),
        ethernet(&[], 0x0800, &ip4(6, CLIENT, SERVER, 0, &tcp(50_000, 445, b"late"))),
        ethernet(&[7, 8], 0x88cc, &[0; 8]),
        ethernet(&[], 0x86dd, &ip6(58, 1, 3, &[128, 0, 0, 0, 0, 1, 0, 1])),
    ];
    frames
        .into_iter()
        .enumerate()
        .map(|(i, data)| Given {
            // Number nine is earlier than the eight before it were.
            time: 1_529_577_720_000_000_000 + if i == 9 { 7_500_000 } else { i as u64 * 1_000_000 } + 7,
            original_length: if i == 9 { 600 } else { data.len() as u32 },
            options: if i == 2 { comment.clone() } else { Vec::new() },
            data,
        })
        .collect()
}
