//! Header views: which addresses, ports and tags a packet carries, at every layer, tunnels included.
//!
//! `decode` is total: any bytes give a `Decoded`, never a panic, with the limits named here. Each file has functions
//! that read one kind of header at a position and say what comes next (`Next`); the loop in `decode` is the only one
//! that walks. An address counts as soon as its bytes were captured, and what announces a header (an ethertype, a
//! protocol number) decides what it is, as in libpcap's filters: versions, lengths and checksums do not matter.

mod bytes;
mod community_id;
mod fragments;
mod ip;
mod key;
mod link;
pub mod protocol;
mod tunnel;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod tests;

pub use community_id::{CommunityIdError, community_digest, community_id, format_community_id, parse_community_id};
pub use fragments::{FRAGMENTS_MAX, FragmentTable, apply_hint};
pub use key::{Direction, FlowKey, KeyKind, spread};
pub use link::plannable;
pub use protocol::{protocol_name, protocol_number};

use crate::packet::LinkType;
use std::net::IpAddr;

/// How many addressed layers of one packet are looked at; what lies deeper makes the packet irregular.
pub const LAYERS_MAX: usize = 8;
/// How many VLAN tags of one packet are looked at; more make it irregular.
pub const TAGS_MAX: usize = 8;
/// How many headers of one packet are walked, of any kind; more make it irregular.
pub const HEADERS_MAX: usize = 64;
/// How many labels of one MPLS stack are walked; more make the packet irregular.
pub const LABELS_MAX: usize = 16;
/// How many IPv6 extension headers of one layer are walked; more make the packet irregular.
pub const EXTENSIONS_MAX: usize = 16;

/// What kind of addressed layer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerKind {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
    /// ARP or RARP, addresses at the offsets that BPF reads.
    Arp,
}

/// The VLAN tags before one layer: the outer two VLAN identifiers, and how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VlanTags {
    packed: u32,
}

impl VlanTags {
    /// Adds the next inner tag.
    pub fn push(&mut self, id: u16) {
        let id = u32::from(id & 0x0fff);
        match self.packed >> 24 {
            0 => self.packed = 1 << 24 | id,
            1 => self.packed = 2 << 24 | self.packed & 0x0fff | id << 12,
            _ => self.packed |= 3 << 24,
        }
    }

    /// Outer identifier in bits 0-11, inner in 12-23, count (0 to 3, 3 means more than two) in 24-25.
    pub fn packed(self) -> u32 {
        self.packed
    }

    /// From [`VlanTags::packed`].
    pub fn from_packed(packed: u32) -> Self {
        VlanTags { packed }
    }

    /// The identifiers that are known, outermost first.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let known = (self.packed >> 24 & 3).min(2);
        (0..known).map(move |i| (self.packed >> (12 * i) & 0x0fff) as u16)
    }

    /// Whether there are more tags than the two that are kept.
    pub fn has_more(self) -> bool {
        self.packed >> 24 & 3 == 3
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// The datagram's identification (16 bits in IPv4, 32 in IPv6).
    pub id: u32,
    /// Whether it is the first one, which has the ports.
    pub first: bool,
}

/// Two numbers in the places of ports, as seen from the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortPair {
    /// Source port, or ICMP type.
    pub source: u16,
    /// Destination port, or ICMP's counterpart type or code (as Community ID pairs them).
    pub destination: u16,
    /// ICMP without a counterpart.
    pub one_way: bool,
}

/// One addressed layer of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layer {
    /// IPv4, IPv6 or ARP.
    pub kind: LayerKind,
    /// Source address; `None` where its bytes were not captured.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// IP protocol, after IPv6 extension headers; `None` for ARP and where it was not captured.
    pub proto: Option<u8>,
    /// Source and destination port of TCP, UDP or SCTP; for a later fragment those of its first, where known.
    pub ports: Option<(u16, u16)>,
    /// Type and code of ICMP or ICMPv6.
    pub icmp: Option<(u8, u8)>,
    /// Set on fragments.
    pub fragment: Option<Fragment>,
    /// VLAN tags between the layer before and this one.
    pub vlans: VlanTags,
}

/// What [`decode`] found.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The layers with addresses, outermost first.
    pub layers: Vec<Layer>,
    /// All VLAN identifiers, outermost first.
    pub tags: Vec<u16>,
    /// The tags after the last layer with addresses.
    pub trailing_tags: VlanTags,
    /// The headers are odd: an index over keys cannot vouch for this packet.
    pub irregular: bool,
    /// Some layer is a fragment.
    pub fragmented: bool,
}

/// What the headers read so far announce, and where in the packet it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// Nothing that is looked into.
    Done,
    /// What an ethertype says.
    Typed(u16, usize),
    /// An Ethernet header.
    Ethernet(usize),
    /// LLC; the ethertype of SNAP is read whatever it says.
    Llc(usize),
    /// LLC in an 802.3 frame; looked into if it is SNAP.
    Llc8023(usize),
    /// IPv4, whatever its version says.
    Ip4(usize),
    /// IPv6, whatever its version says.
    Ip6(usize),
    /// IPv4 or IPv6 by its version, or nothing.
    AnyIp(usize),
    /// ARP or RARP.
    Arp(usize),
    /// An MPLS label stack.
    Mpls(usize),
    /// A PPPoE session header.
    Pppoe(usize),
    /// GRE.
    Gre(usize),
    /// The payload of UDP between these ports.
    Udp(u16, u16, usize),
    /// PPP with compressible fields.
    Ppp(usize),
    /// As [`Next::Done`] or, with a position, [`Next::Llc`], for a packet whose keys are not to be relied on.
    Irregular(Option<usize>),
}

impl Layer {
    /// A layer of which only the kind is known yet.
    fn new(kind: LayerKind, vlans: VlanTags) -> Self {
        Layer { kind, src: None, dst: None, proto: None, ports: None, icmp: None, fragment: None, vlans }
    }

    /// The numbers in the places of ports: real ports, or for ICMP the pair that Community ID v1 defines.
    #[inline]
    pub fn port_pair(&self) -> Option<PortPair> {
        if let Some((source, destination)) = self.ports {
            return Some(PortPair { source, destination, one_way: false });
        }
        let (kind, code) = self.icmp?;
        let counterpart = match self.kind {
            LayerKind::Ip4 => community_id::icmp4_counterpart(kind),
            LayerKind::Ip6 => community_id::icmp6_counterpart(kind),
            LayerKind::Arp => None,
        };
        Some(PortPair { source: kind.into(), destination: counterpart.unwrap_or(code).into(), one_way: counterpart.is_none() })
    }
}

impl Decoded {
    /// Forgets the packet, keeps the memory.
    pub fn clear(&mut self) {
        self.layers.clear();
        self.tags.clear();
        self.trailing_tags = VlanTags::default();
        self.irregular = false;
        self.fragmented = false;
    }

    /// Takes in a VLAN tag; `false` where there are too many.
    fn tag(&mut self, tci: u16) -> bool {
        if self.tags.len() == TAGS_MAX {
            self.irregular = true;
            return false;
        }
        self.tags.push(tci & 0x0fff);
        self.trailing_tags.push(tci);
        true
    }

    /// Takes in a layer; `false` where there are too many.
    #[inline]
    fn push(&mut self, layer: Layer) -> bool {
        if self.layers.len() == LAYERS_MAX {
            self.irregular = true;
            return false;
        }
        self.layers.push(layer);
        self.trailing_tags = VlanTags::default();
        true
    }
}

/// Reads the headers of one packet into `out`, which is emptied first.
pub fn decode(link_type: LinkType, data: &[u8], out: &mut Decoded) {
    out.clear();
    let mut next = link::first(link_type, data);
    for _ in 0..HEADERS_MAX {
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
    }
    out.irregular |= next != Next::Done;
}
