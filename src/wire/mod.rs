//! Header views: which addresses, ports and tags a packet carries, at every layer, tunnels included.
//!
//! `decode` is total: any bytes give a `Decoded`, never a panic, with the limits named here. Each file has functions
//! that read one kind of header at a position and say what comes next (`Next`); the loop in `decode` is the only one
//! that walks. An address counts as soon as its bytes were captured, and what announces a header (an ethertype, a
//! protocol number) decides what it is, as in libpcap's filters: versions, lengths and checksums do not matter.

mod bytes;
mod community_id;
mod fragments;
mod icmp;
mod ip;
mod key;
mod layer;
mod link;
mod plain;
pub mod protocol;
mod tunnel;

#[cfg(test)]
pub(crate) mod corpus;
#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;

pub use community_id::{CommunityIdError, community_digest, community_id, format_community_id, parse_community_id};
pub use fragments::{DatagramKey, FRAGMENTS_MAX, FragmentTable, apply_hint, datagram_of};
pub use key::{Direction, FlowKey, KeyKind, spread};
pub use layer::{
    Decoded, EXTENSIONS_MAX, Fragment, HEADERS_MAX, LABELS_MAX, LAYERS_MAX, Layer, LayerKind, PortPair, TAGS_MAX, VlanTags,
};
pub use link::plannable;
pub use plain::{plain_flow4, plain_tcp4};
pub use protocol::{protocol_name, protocol_number};

use crate::packet::LinkType;
use layer::Next;

/// Reads the headers of one packet into `out`, which is emptied first.
pub fn decode(link_type: LinkType, data: &[u8], out: &mut Decoded) {
    decode_placed(link_type, data, out, |_| {});
}

/// As [`decode`]; tells for each layer that is added to `out` at which position of `data` its header begins.
pub fn decode_placed(link_type: LinkType, data: &[u8], out: &mut Decoded, mut place: impl FnMut(usize)) {
    out.clear();
    let mut next = link::first(link_type, data);
    for _ in 0..HEADERS_MAX {
        let layers = out.layers.len();
        let header = match next {
            Next::Ip4(at) | Next::Ip6(at) | Next::Arp(at) => at,
            _ => 0,
        };
        next = match next {
            Next::Done => return,
            Next::Ethernet(at) => link::ethernet(data, at),
            Next::Typed(ethertype, at) => link::typed(data, ethertype, at, out),
            Next::Ip4(at) => ip::ip4(data, at, out),
            Next::Ip6(at) => ip::ip6(data, at, out),
            Next::Udp(source, destination, at) => tunnel::udp(data, source, destination, at),
            Next::AnyIp(at) => ip::by_version(data, at),
            Next::Arp(at) => ip::arp(data, at, out),
            Next::Llc(at) => link::llc(data, at),
            Next::Llc8023(at) => link::llc_8023(data, at),
            Next::Mpls(at) => tunnel::mpls(data, at),
            Next::Pppoe(at) => link::ppp(data, at + 6),
            Next::Gre(at) => tunnel::gre(data, at),
            Next::Ppp(at) => link::ppp_compressed(data, at),
            Next::Irregular(rest) => {
                out.irregular = true;
                rest.map_or(Next::Done, Next::Llc)
            }
        };
        if out.layers.len() > layers {
            place(header);
        }
    }
    out.irregular |= next != Next::Done;
}
