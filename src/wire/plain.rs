//! The commonest packet told from its first bytes: most packets that a cut looks at are of other hosts, and need not be read further.

use super::key::{Direction, FlowKey, KeyKind};
use super::protocol::{TCP, UDP};
use super::tunnel::may_be_tunnel;
use crate::packet::LinkType;

/// The addresses of a packet of Ethernet whose only layer is IPv4, without options or tags, and carries TCP, which is no tunnel's.
/// `None` says nothing.
pub fn plain_tcp4(link_type: LinkType, data: &[u8]) -> Option<[[u8; 4]; 2]> {
    let head = data.first_chunk::<34>()?;
    let is_plain = link_type == LinkType::ETHERNET && head[12..15] == [0x08, 0x00, 0x45] && head[23] == TCP;
    is_plain.then(|| [[head[26], head[27], head[28], head[29]], [head[30], head[31], head[32], head[33]]])
}

/// The flow of a packet of Ethernet whose only layer is IPv4, without options or tags, not a fragment, and carries TCP, or UDP that is no
/// tunnel's. `None` says nothing.
#[inline]
pub fn plain_flow4(link_type: LinkType, data: &[u8]) -> Option<(FlowKey, Direction)> {
    let head = data.first_chunk::<38>()?;
    let is_plain = link_type == LinkType::ETHERNET && head[12..15] == [0x08, 0x00, 0x45] && head[20] & 0x3f == 0 && head[21] == 0;
    let (proto, number) = (head[23], |at: usize| u16::from_be_bytes([head[at], head[at + 1]]));
    let (source, destination) = (number(34), number(36));
    if !is_plain || proto != TCP && (proto != UDP || may_be_tunnel(source, destination)) {
        return None;
    }
    let address = |at: usize| {
        let mut o = [0; 16];
        o[..4].copy_from_slice(&head[at..at + 4]);
        o
    };
    let bits = KeyKind::Ip4 as u8 | FlowKey::PORTS;
    let key = |a, b, a_port, b_port| FlowKey { a, b, vlan: 0, a_port, b_port, proto, bits };
    let (s, d) = (address(26), address(30));
    let first = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Some(if (first(26), source) <= (first(30), destination) {
        (key(s, d, source, destination), Direction::AToB)
    } else {
        (key(d, s, destination, source), Direction::BToA)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Decoded, decode};
    use proptest::prelude::*;
    use std::net::IpAddr;

    proptest! {
        #[test]
        fn it_says_what_decoding_says(mut data in proptest::collection::vec(any::<u8>(), 0..200), whole in 0..4_u8) {
            // One in four keeps its random first bytes.
            for (at, byte) in [(12, 8), (13, 0), (14, 0x45), (23, 6)] {
                if let Some(b) = data.get_mut(at).filter(|_| whole > 0) {
                    *b = byte;
                }
            }
            let plain = plain_tcp4(LinkType::ETHERNET, &data);
            prop_assert_eq!(plain.is_some(), whole > 0 && data.len() >= 34);
            if let Some([a, b]) = plain {
                let mut decoded = Decoded::default();
                decode(LinkType::ETHERNET, &data, &mut decoded);
                let ends: Vec<_> = decoded.layers.iter().map(|l| (l.src, l.dst)).collect();
                prop_assert_eq!(ends, [(Some(IpAddr::from(a)), Some(IpAddr::from(b)))]);
                prop_assert!(decoded.tags.is_empty());
            }
        }

        #[test]
        fn the_flow_is_that_of_decoding(
            mut data in proptest::collection::vec(any::<u8>(), 30..100),
            plain in proptest::collection::vec(any::<bool>(), 8),
            proto in proptest::sample::select(vec![6_u8, 17, 1, 47]),
            ports in proptest::collection::vec(proptest::sample::select(vec![1_u16, 53, 4789, 8472, 6081, 6635, 2152, 3544, 65_535]), 2),
        ) {
            let ports = [ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat();
            let usual = [(12, 8), (13, 0), (14, 0x45), (20, 0x40), (21, 0), (23, proto)];
            let usual = usual.into_iter().chain((34..38).zip(ports));
            for (k, (at, byte)) in usual.enumerate() {
                // All bytes are the usual ones, or one is not.
                if let Some(b) = data.get_mut(at).filter(|_| plain[k.min(7)] || plain.iter().filter(|p| !**p).count() > 1) {
                    *b = byte;
                }
            }
            let found = plain_flow4(LinkType::ETHERNET, &data);
            let mut decoded = Decoded::default();
            decode(LinkType::ETHERNET, &data, &mut decoded);
            if let Some(found) = found {
                let layers: Vec<_> = decoded.layers.iter().collect();
                prop_assert_eq!(layers.len(), 1);
                prop_assert_eq!(FlowKey::of(layers[0]), Some(found));
                prop_assert!(!decoded.irregular && decoded.tags.is_empty() && layers[0].fragment.is_none());
            }
        }

        #[test]
        fn it_says_nothing_of_other_links(data in proptest::collection::vec(any::<u8>(), 0..60), link_type: u16) {
            prop_assume!(link_type != LinkType::ETHERNET.0);
            prop_assert_eq!(plain_tcp4(LinkType(link_type), &data), None);
        }
    }
}
