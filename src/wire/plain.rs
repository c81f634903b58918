//! The commonest packet told from its first bytes: most packets that a cut looks at are of other hosts, and need not be read further.

use crate::packet::LinkType;

/// The addresses of a packet of Ethernet whose only layer is IPv4, without options or tags, and carries TCP, which is no tunnel's.
/// `None` says nothing.
pub fn plain_tcp4(link_type: LinkType, data: &[u8]) -> Option<[[u8; 4]; 2]> {
    const TCP: u8 = 6;
    let head = data.first_chunk::<34>()?;
    let is_plain = link_type == LinkType::ETHERNET && head[12..15] == [0x08, 0x00, 0x45] && head[23] == TCP;
    is_plain.then(|| [[head[26], head[27], head[28], head[29]], [head[30], head[31], head[32], head[33]]])
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
        fn it_says_nothing_of_other_links(data in proptest::collection::vec(any::<u8>(), 0..60), link_type: u16) {
            prop_assume!(link_type != LinkType::ETHERNET.0);
            prop_assert_eq!(plain_tcp4(LinkType(link_type), &data), None);
        }
    }
}
