//! ARP, IPv4, IPv6 and the first bytes of what they carry.

use super::bytes::{array, be16, be32, u8_at};
use super::layer::{Decoded, EXTENSIONS_MAX, Fragment, Layer, LayerKind, Next};
use super::protocol::{AH, ETHERIP, GRE, ICMP, ICMP6, IPIP, IPV6, MPLS_IN_IP, SCTP, TCP, UDP};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// IPv4 or IPv6, as the version says; other versions are nothing.
pub(super) fn by_version(data: &[u8], at: usize) -> Next {
    match u8_at(data, at).map(|b| b >> 4) {
        Some(4) => Next::Ip4(at),
        Some(6) => Next::Ip6(at),
        _ => Next::Done,
    }
}

/// ARP and RARP (RFC 826, 903). BPF takes the addresses to be IPv4 over Ethernet, whatever the lengths in the header say.
pub(super) fn arp(data: &[u8], at: usize, out: &mut Decoded) -> Next {
    let mut layer = Layer::new(LayerKind::Arp, out.trailing_tags);
    layer.src = address4(data, at + 14);
    layer.dst = address4(data, at + 24);
    out.irregular |= layer.src.is_none() || layer.dst.is_none();
    out.push(layer);
    Next::Done
}

fn address4(data: &[u8], at: usize) -> Option<IpAddr> {
    array::<4>(data, at).map(|b| IpAddr::V4(Ipv4Addr::from(b)))
}

fn address6(data: &[u8], at: usize) -> Option<IpAddr> {
    array::<16>(data, at).map(|b| IpAddr::V6(Ipv6Addr::from(b)))
}

/// IPv4 (RFC 791).
#[inline]
pub(super) fn ip4(data: &[u8], at: usize, out: &mut Decoded) -> Next {
    let mut layer = Layer::new(LayerKind::Ip4, out.trailing_tags);
    let Some(header) = array::<20>(data, at) else {
        layer.src = address4(data, at + 12);
        layer.proto = u8_at(data, at + 9);
        out.irregular = true;
        out.push(layer);
        return Next::Done;
    };
    layer.src = Some(IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])));
    layer.dst = Some(IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])));
    let proto = header[9];
    layer.proto = Some(proto);
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let odd = header[0] >> 4 != 4 || header_len < 20;
    out.irregular |= odd;
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    // More fragments, and the offset.
    if fragment & 0x3fff != 0 {
        let first = fragment & 0x1fff == 0;
        layer.fragment = Some(Fragment { id: u16::from_be_bytes([header[4], header[5]]).into(), first });
        out.fragmented = true;
        if !first {
            out.push(layer);
            return Next::Done;
        }
    }
    let next = transport(data, at + header_len, proto, &mut layer, out);
    // What would lie inside an odd header is not to be believed.
    if out.push(layer) && !odd { next } else { Next::Done }
}

/// IPv6 (RFC 8200) with its extension headers.
#[inline]
pub(super) fn ip6(data: &[u8], at: usize, out: &mut Decoded) -> Next {
    let mut layer = Layer::new(LayerKind::Ip6, out.trailing_tags);
    layer.src = address6(data, at + 8);
    layer.dst = address6(data, at + 24);
    let Some(&[version, _, _, _, _, _, mut proto, _]) = data.get(at..).and_then(|d| d.first_chunk::<8>()) else {
        layer.proto = u8_at(data, at + 6);
        out.irregular = true;
        out.push(layer);
        return Next::Done;
    };
    let odd = version >> 4 != 6;
    out.irregular |= odd || layer.dst.is_none();
    if layer.dst.is_none() {
        // With extension headers the last protocol is not known.
        layer.proto = (!is_extension(proto)).then_some(proto);
        out.push(layer);
        return Next::Done;
    }
    let mut payload = at + 40;
    let mut extensions = 0;
    while is_extension(proto) {
        let Some(&[next, len]) = data.get(payload..).and_then(|d| d.first_chunk::<2>()) else {
            out.irregular = true;
            out.push(layer);
            return Next::Done;
        };
        if extensions == EXTENSIONS_MAX {
            out.irregular = true;
            out.push(layer);
            return Next::Done;
        }
        extensions += 1;
        payload += match proto {
            FRAGMENT => {
                let (Some(offset), Some(id)) = (be16(data, payload + 2), be32(data, payload + 4)) else {
                    out.irregular = true;
                    out.push(layer);
                    return Next::Done;
                };
                // A whole datagram may carry the header, too (RFC 6946).
                if offset & 0xfff9 != 0 {
                    let first = offset & 0xfff8 == 0;
                    layer.fragment = Some(Fragment { id, first });
                    out.fragmented = true;
                    if !first {
                        layer.proto = Some(next);
                        out.push(layer);
                        return Next::Done;
                    }
                }
                8
            }
            AH => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        proto = next;
    }
    layer.proto = Some(proto);
    let next = transport(data, payload, proto, &mut layer, out);
    if out.push(layer) && !odd { next } else { Next::Done }
}

fn is_extension(proto: u8) -> bool {
    matches!(proto, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS | AH)
}

/// Ports, ICMP type and code, and what comes inside.
#[inline]
fn transport(data: &[u8], at: usize, proto: u8, layer: &mut Layer, out: &mut Decoded) -> Next {
    match proto {
        TCP | UDP | SCTP => {
            let Some([a, b, c, d]) = array::<4>(data, at) else {
                // A filter finds the source port even where the other one was cut off.
                out.irregular |= be16(data, at).is_some();
                return Next::Done;
            };
            let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            layer.ports = Some((source, destination));
            if proto == UDP { Next::Udp(source, destination, at + 8) } else { Next::Done }
        }
        ICMP if layer.kind == LayerKind::Ip4 => icmp(data, at, layer),
        ICMP6 if layer.kind == LayerKind::Ip6 => icmp(data, at, layer),
        IPIP => Next::Ip4(at),
        IPV6 => Next::Ip6(at),
        GRE => Next::Gre(at),
        MPLS_IN_IP => Next::Mpls(at),
        ETHERIP if u8_at(data, at).is_some_and(|b| b >> 4 == 3) => Next::Ethernet(at + 2),
        _ => Next::Done,
    }
}

fn icmp(data: &[u8], at: usize, layer: &mut Layer) -> Next {
    layer.icmp = array::<2>(data, at).map(|[kind, code]| (kind, code));
    Next::Done
}
