//! A slow, obvious reader of headers for the tests, for what tcpdump cannot say: addresses, ports and tags of every layer, tunnels
//! included. It shares no code with taploop and goes by the specifications.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One layer with addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) src: Option<IpAddr>,
    pub(crate) dst: Option<IpAddr>,
    /// `None` for ARP.
    pub(crate) proto: Option<u8>,
    pub(crate) ports: Option<(u16, u16)>,
    /// Type and code.
    pub(crate) icmp: Option<(u8, u8)>,
    /// Identification, and whether it is the first.
    pub(crate) fragment: Option<(u32, bool)>,
}

/// What one packet's headers say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    pub(crate) layers: Vec<Layer>,
    pub(crate) tags: Vec<u16>,
    /// It has VLAN tags, LLC/SNAP, MPLS, PPPoE or a tunnel: tcpdump's `host` does not look there.
    pub(crate) nested: bool,
    /// The link type is one that this reader knows.
    pub(crate) known: bool,
}

type Datagram = (usize, IpAddr, IpAddr, u8, u32);
/// When the first fragment came, its ports, its ICMP type and code.
type First = (u64, Option<(u16, u16)>, Option<(u8, u8)>);

/// First fragments of one file, in order of arrival, and what they said.
#[derive(Default)]
pub(crate) struct Fragments(HashMap<Datagram, First>);

const THIRTY_SECONDS: u64 = 30_000_000_000;

fn byte(b: &[u8], at: usize) -> Option<u8> {
    b.get(at).copied()
}

fn be16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().unwrap()))
}

fn be32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(b.get(at..at + 4)?.try_into().unwrap()))
}

fn four(b: &[u8], at: usize) -> Option<IpAddr> {
    let x: [u8; 4] = b.get(at..at + 4)?.try_into().unwrap();
    Some(Ipv4Addr::from(x).into())
}

fn sixteen(b: &[u8], at: usize) -> Option<IpAddr> {
    let x: [u8; 16] = b.get(at..at + 16)?.try_into().unwrap();
    Some(Ipv6Addr::from(x).into())
}

fn from(b: &[u8], at: usize) -> &[u8] {
    b.get(at..).unwrap_or(&[])
}

impl Headers {
    /// Reads a packet of `interface` that arrived at `time`.
    pub(crate) fn read(link: u16, b: &[u8], interface: usize, time: u64, fragments: &mut Fragments) -> Headers {
        let mut h = Headers { known: true, ..Headers::default() };
        match link {
            1 => h.ethernet(b),
            0 => match b.get(..4) {
                Some([2, 0, 0, 0] | [0, 0, 0, 2]) => h.ip4(from(b, 4)),
                Some([f, 0, 0, 0] | [0, 0, 0, f]) if [24, 28, 30].contains(f) => h.ip6(from(b, 4)),
                _ => {}
            },
            108 => match be32(b, 0) {
                Some(2) => h.ip4(from(b, 4)),
                Some(24 | 28 | 30) => h.ip6(from(b, 4)),
                _ => {}
            },
            101 => match byte(b, 0).map(|x| x >> 4) {
                Some(4) => h.ip4(b),
                Some(6) => h.ip6(b),
                _ => {}
            },
            228 => h.ip4(b),
            229 => h.ip6(b),
            113 => h.ether_type(be16(b, 14), from(b, 16)),
            276 => h.ether_type(be16(b, 0), from(b, 20)),
            _ => h.known = false,
        }
        h.join(interface, time, fragments);
        h
    }

    /// Gives later fragments what the first of their datagram said.
    fn join(&mut self, interface: usize, time: u64, fragments: &mut Fragments) {
        for layer in &mut self.layers {
            let (Some(src), Some(dst), Some(proto), Some((id, first))) = (layer.src, layer.dst, layer.proto, layer.fragment)
            else {
                continue;
            };
            let datagram = (interface, src, dst, proto, id);
            if first {
                fragments.0.insert(datagram, (time, layer.ports, layer.icmp));
            } else if let Some(&(at, ports, icmp)) = fragments.0.get(&datagram)
                && time.saturating_sub(at) <= THIRTY_SECONDS
            {
                (layer.ports, layer.icmp) = (ports, icmp);
            }
        }
    }

    fn ethernet(&mut self, b: &[u8]) {
        let Some(kind) = be16(b, 12) else { return };
        if kind <= 1500 {
            self.llc(from(b, 14));
        } else {
            self.ether_type(Some(kind), from(b, 14));
        }
    }

    fn llc(&mut self, b: &[u8]) {
        self.nested = true;
        if let Some([0xaa, 0xaa, 3, 0, 0, 0 | 0xf8]) = b.get(..6) {
            self.ether_type(be16(b, 6), from(b, 8));
        } else if let Some([6, 6, 3]) = b.get(..3) {
            self.ip4(from(b, 3));
        }
    }

    fn ether_type(&mut self, kind: Option<u16>, b: &[u8]) {
        match kind {
            Some(0x0800) => self.ip4(b),
            Some(0x86dd) => self.ip6(b),
            Some(0x0806 | 0x8035) => {
                let (src, dst) = (four(b, 14), four(b, 24));
                if src.is_some() {
                    self.layers.push(Layer { src, dst, ..Layer::default() });
                }
            }
            Some(0x8100 | 0x88a8 | 0x9100 | 0x9200) => {
                self.nested = true;
                let Some(tag) = be16(b, 0) else { return };
                self.tags.push(tag & 0x0fff);
                match be16(b, 2) {
                    Some(len) if len <= 1500 => self.llc(from(b, 4)),
                    next => self.ether_type(next, from(b, 4)),
                }
            }
            Some(0x8847 | 0x8848) => {
                self.nested = true;
                let mut at = 0;
                while let Some(label) = be32(b, at) {
                    at += 4;
                    if label & 0x100 != 0 {
                        break;
                    }
                }
                match byte(b, at).map(|x| x >> 4) {
                    Some(4) => self.ip4(from(b, at)),
                    Some(6) => self.ip6(from(b, at)),
                    // A pseudowire with its control word (RFC 4448).
                    Some(0) => self.ethernet(from(b, at + 4)),
                    _ => {}
                }
            }
            Some(0x8864) => {
                self.nested = true;
                match be16(b, 6) {
                    Some(0x21) => self.ip4(from(b, 8)),
                    Some(0x57) => self.ip6(from(b, 8)),
                    _ => {}
                }
            }
            Some(0x8863) => self.nested = true,
            // 802.1BR: an E-tag, then the type of what follows.
            Some(0x893f) => {
                self.nested = true;
                self.ether_type(be16(b, 6), from(b, 8));
            }
            // Ethernet in Ethernet or GRE.
            Some(0x6558) => {
                self.nested = true;
                self.ethernet(b);
            }
            _ => {}
        }
    }

    fn ip4(&mut self, b: &[u8]) {
        let mut layer = Layer { src: four(b, 12), dst: four(b, 16), proto: byte(b, 9), ..Layer::default() };
        if layer.src.is_none() {
            // Cut before its addresses: what it carries may be told all the same.
            if layer.proto.is_some() {
                self.layers.push(layer);
            }
            return;
        }
        let head = usize::from(b[0] & 15) * 4;
        let fragment = be16(b, 6).unwrap_or(0);
        let id = u32::from(be16(b, 4).unwrap_or(0));
        let later = fragment & 0x1fff != 0;
        if later || fragment & 0x2000 != 0 {
            layer.fragment = Some((id, !later));
        }
        self.above(layer, later, from(b, head));
    }

    fn ip6(&mut self, b: &[u8]) {
        let Some(src) = sixteen(b, 8) else { return };
        let mut layer = Layer { src: Some(src), dst: sixteen(b, 24), ..Layer::default() };
        let (mut next, mut at, mut later) = (b[6], 40, false);
        loop {
            match next {
                0 | 43 | 60 | 135 | 139 | 140 => {
                    let (Some(n), Some(len)) = (byte(b, at), byte(b, at + 1)) else { break };
                    next = n;
                    at += 8 + 8 * usize::from(len);
                }
                51 => {
                    let (Some(n), Some(len)) = (byte(b, at), byte(b, at + 1)) else { break };
                    next = n;
                    at += 8 + 4 * usize::from(len);
                }
                44 => {
                    let (Some(n), Some(offset), Some(id)) = (byte(b, at), be16(b, at + 2), be32(b, at + 4)) else { break };
                    next = n;
                    at += 8;
                    later = offset & 0xfff8 != 0;
                    if later || offset & 1 != 0 {
                        layer.fragment = Some((id, !later));
                    }
                    if later {
                        break;
                    }
                }
                _ => break,
            }
        }
        layer.proto = Some(next);
        self.above(layer, later, from(b, at));
    }

    /// What an IP layer carries.
    fn above(&mut self, mut layer: Layer, later: bool, b: &[u8]) {
        let proto = layer.proto;
        if later {
            self.layers.push(layer);
            return;
        }
        match proto {
            Some(6 | 17 | 132) => layer.ports = be16(b, 0).zip(be16(b, 2)),
            Some(1 | 58) => layer.icmp = byte(b, 0).zip(byte(b, 1)),
            _ => {}
        }
        let ports = layer.ports;
        self.layers.push(layer);
        // Whether a tunnel was entered shows by what it adds.
        let before = (self.layers.len(), self.tags.len());
        match proto {
            Some(4) => self.ip4(b),
            Some(41) => self.ip6(b),
            Some(47) => self.gre(b),
            Some(17) => {
                if let Some(ports) = ports {
                    self.udp_tunnel(ports, from(b, 8));
                }
            }
            _ => {}
        }
        if matches!(proto, Some(4 | 41 | 47)) || (self.layers.len(), self.tags.len()) != before {
            self.nested = true;
        }
    }

    fn gre(&mut self, b: &[u8]) {
        let (Some(flags), Some(kind)) = (be16(b, 0), be16(b, 2)) else { return };
        if flags & 7 > 1 {
            return;
        }
        let mut at = 4;
        if flags & 0xc000 != 0 {
            at += 4;
        }
        if flags & 0x2000 != 0 {
            at += 4;
        }
        let sequence = flags & 0x1000 != 0;
        if sequence {
            at += 4;
        }
        // Enhanced GRE (version 1, RFC 2637) carries PPP.
        if flags & 7 == 1 {
            if flags & 0x80 != 0 {
                at += 4;
            }
            let mut ppp = from(b, at);
            if ppp.starts_with(&[0xff, 3]) {
                ppp = from(ppp, 2);
            }
            match ppp {
                [0, 0x21, rest @ ..] | [0x21, rest @ ..] => self.ip4(rest),
                [0, 0x57, rest @ ..] | [0x57, rest @ ..] => self.ip6(rest),
                _ => {}
            }
            return;
        }
        match kind {
            // ERSPAN: type I has no header of its own (and no sequence number), type II has 8 bytes.
            0x88be => self.ethernet(from(b, if sequence { at + 8 } else { at })),
            // Type III has 12, and 8 more where the lowest bit says so.
            0x22eb => {
                let more = byte(b, at + 11).is_some_and(|x| x & 1 != 0);
                self.ethernet(from(b, at + if more { 20 } else { 12 }));
            }
            _ => self.ether_type(Some(kind), from(b, at)),
        }
    }

    fn udp_tunnel(&mut self, (sport, dport): (u16, u16), b: &[u8]) {
        if matches!(dport, 4789 | 8472) && byte(b, 0).is_some_and(|x| x & 8 != 0) {
            self.ethernet(from(b, 8));
        } else if dport == 6081 && byte(b, 0).is_some_and(|x| x >> 6 == 0) {
            let options = usize::from(b[0] & 0x3f) * 4;
            match be16(b, 2) {
                Some(0x6558) => self.ethernet(from(b, 8 + options)),
                kind => self.ether_type(kind, from(b, 8 + options)),
            }
        } else if dport == 2152 || sport == 2152 {
            self.gtp(b);
        } else if dport == 3544 || sport == 3544 {
            let mut b = b;
            // Authentication (RFC 4380, 5.1.1), then origin indication.
            if let Some([0, 1, client, value]) = b.get(..4) {
                b = from(b, 13 + usize::from(*client) + usize::from(*value));
            }
            if let Some([0, 0]) = b.get(..2) {
                b = from(b, 8);
            }
            if byte(b, 0).is_some_and(|x| x >> 4 == 6) {
                self.ip6(b);
            }
        }
    }

    /// GTP-U (3GPP TS 29.281): only G-PDUs carry IP.
    fn gtp(&mut self, b: &[u8]) {
        let (Some(flags), Some(255)) = (byte(b, 0), byte(b, 1)) else { return };
        if flags >> 4 != 3 {
            return;
        }
        let mut at = 8;
        if flags & 7 != 0 {
            let mut next = byte(b, 11).unwrap_or(0);
            at = 12;
            if flags & 4 == 0 {
                next = 0;
            }
            while next != 0 {
                let Some(len) = byte(b, at).filter(|l| *l != 0) else { return };
                at += usize::from(len) * 4;
                let Some(n) = byte(b, at - 1) else { return };
                next = n;
            }
        }
        match byte(b, at).map(|x| x >> 4) {
            Some(4) => self.ip4(from(b, at)),
            Some(6) => self.ip6(from(b, at)),
            _ => {}
        }
    }
}

#[test]
fn made_frames_read_as_they_were_made() {
    use crate::make::{addr, ethernet_ip, ip, udp};
    let inner = ip(addr("10.0.0.1"), addr("10.0.0.2"), 17, &udp(7, 8, b"x"));
    let outer = ethernet_ip(&[5, 6], &ip(addr("192.0.2.1"), addr("192.0.2.2"), 4, &inner));
    let h = Headers::read(1, &outer, 0, 0, &mut Fragments::default());
    assert_eq!((h.tags.as_slice(), h.layers.len(), h.nested), (&[5, 6][..], 2, true));
    assert_eq!((h.layers[1].src, h.layers[1].ports), (Some(addr("10.0.0.1")), Some((7, 8))));
    // Cut at every length it gives no more than before.
    let mut layers = 0;
    for n in 0..=outer.len() {
        let h = Headers::read(1, &outer[..n], 0, 0, &mut Fragments::default());
        assert!(h.layers.len() >= layers);
        layers = h.layers.len();
    }
}
