//! The key of a flow: which packets belong together, whichever way they go.

use super::layer::{Layer, LayerKind, VlanTags};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a key stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum KeyKind {
    /// A flow over IPv4.
    Ip4 = 0,
    /// A flow over IPv6.
    Ip6 = 1,
    /// ARP or RARP between two IPv4 addresses.
    Arp = 2,
    /// Packets with VLAN tags and no layer that has addresses.
    Tagged = 3,
    /// Packets whose headers are odd (cut, wrong version, too deep): an index can promise nothing of them, so every plan includes them.
    Irregular = 4,
}

/// Which way a packet goes in its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the key's `a` to its `b`.
    AToB,
    /// From the key's `b` to its `a`.
    BToA,
}

/// A bidirectional 5-tuple with its VLAN tags, in canonical order: `(a, a_port) <= (b, b_port)`, except where
/// Community ID calls the flow one-way (an ICMP type without a counterpart), which keeps source and destination.
///
/// The field order is the sort order of the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FlowKey {
    /// One address; an IPv4 address takes the first four bytes, the rest are 0.
    pub a: [u8; 16],
    /// The other address.
    pub b: [u8; 16],
    /// Packed [`VlanTags`].
    pub vlan: u32,
    /// Port of `a`, or the ICMP type or code that stands for it; 0 without [`FlowKey::PORTS`].
    pub a_port: u16,
    /// Port of `b`.
    pub b_port: u16,
    /// IP protocol number; 0 for other kinds than flows.
    pub proto: u8,
    /// [`KeyKind`] in the lowest three bits, and the flags below.
    pub bits: u8,
}

impl FlowKey {
    /// The flow has ports (TCP, UDP, SCTP) or ICMP's stand-ins for them.
    pub const PORTS: u8 = 0x08;
    /// A one-way flow (see [`FlowKey`]).
    pub const ONE_WAY: u8 = 0x10;

    /// The key of all packets with odd headers.
    pub const IRREGULAR: FlowKey =
        FlowKey { a: [0; 16], b: [0; 16], vlan: 0, a_port: 0, b_port: 0, proto: 0, bits: KeyKind::Irregular as u8 };

    /// What the key stands for.
    pub fn kind(&self) -> KeyKind {
        match self.bits & 7 {
            0 => KeyKind::Ip4,
            1 => KeyKind::Ip6,
            2 => KeyKind::Arp,
            3 => KeyKind::Tagged,
            _ => KeyKind::Irregular,
        }
    }

    /// The two addresses, `a` first; `None` for kinds without.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let four = |x: &[u8; 16]| IpAddr::V4(Ipv4Addr::new(x[0], x[1], x[2], x[3]));
        match self.kind() {
            KeyKind::Ip4 | KeyKind::Arp => Some((four(&self.a), four(&self.b))),
            KeyKind::Ip6 => Some((IpAddr::V6(Ipv6Addr::from(self.a)), IpAddr::V6(Ipv6Addr::from(self.b)))),
            KeyKind::Tagged | KeyKind::Irregular => None,
        }
    }

    /// The two numbers in the places of ports, `a`'s first: ports, or ICMP's stand-ins.
    pub fn ports(&self) -> Option<(u16, u16)> {
        (self.bits & Self::PORTS != 0).then_some((self.a_port, self.b_port))
    }

    /// Whether it is a flow with real ports (TCP, UDP or SCTP), not ICMP's stand-ins.
    pub fn has_real_ports(&self) -> bool {
        self.bits & Self::PORTS != 0 && matches!(self.proto, 6 | 17 | 132)
    }

    /// The VLAN tags before the layer.
    pub fn vlans(&self) -> VlanTags {
        VlanTags::from_packed(self.vlan)
    }

    /// The key of packets with these tags and no addressed layer.
    pub fn tagged(tags: VlanTags) -> FlowKey {
        FlowKey { vlan: tags.packed(), bits: KeyKind::Tagged as u8, ..FlowKey::IRREGULAR }
    }

    /// The key of a layer and the packet's direction in it; `None` where an address is missing or the protocol was cut off
    /// (such a packet is irregular).
    #[inline]
    pub fn of(layer: &Layer) -> Option<(FlowKey, Direction)> {
        let (src, dst) = (layer.src?, layer.dst?);
        let kind = match layer.kind {
            LayerKind::Ip4 => KeyKind::Ip4,
            LayerKind::Ip6 => KeyKind::Ip6,
            LayerKind::Arp => KeyKind::Arp,
        };
        let mut bits = kind as u8;
        let (mut src_port, mut dst_port) = (0, 0);
        let mut one_way = false;
        let proto = if layer.kind == LayerKind::Arp { 0 } else { layer.proto? };
        if let Some(pair) = layer.port_pair() {
            bits |= Self::PORTS;
            (src_port, dst_port) = (pair.source, pair.destination);
            one_way = pair.one_way;
        }
        if one_way {
            bits |= Self::ONE_WAY;
        }
        let (s, d) = (spread(src), spread(dst));
        let forward = one_way || (u128::from_be_bytes(s), src_port) <= (u128::from_be_bytes(d), dst_port);
        let vlan = layer.vlans.packed();
        Some(if forward {
            (FlowKey { a: s, b: d, vlan, a_port: src_port, b_port: dst_port, proto, bits }, Direction::AToB)
        } else {
            (FlowKey { a: d, b: s, vlan, a_port: dst_port, b_port: src_port, proto, bits }, Direction::BToA)
        })
    }
}

/// Of addresses that are not IPv6 only the four bytes that they have.
impl std::hash::Hash for FlowKey {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let rest = u64::from(self.vlan) | u64::from(self.a_port) << 32 | u64::from(self.b_port) << 48;
        let last = u64::from(self.proto) | u64::from(self.bits) << 8;
        if self.kind() == KeyKind::Ip6 {
            state.write_u128(u128::from_le_bytes(self.a));
            state.write_u128(u128::from_le_bytes(self.b));
            state.write_u128(u128::from(rest) | u128::from(last) << 64);
        } else {
            let four = |x: &[u8; 16]| u64::from(u32::from_le_bytes([x[0], x[1], x[2], x[3]]));
            state.write_u128(u128::from(four(&self.a) | four(&self.b) << 32) | u128::from(rest) << 64);
            state.write_u64(last);
        }
    }
}

/// An address in sixteen bytes, IPv4 in the first four.
#[inline]
pub fn spread(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(x) => {
            let mut o = [0; 16];
            o[..4].copy_from_slice(&x.octets());
            o
        }
        IpAddr::V6(x) => x.octets(),
    }
}
