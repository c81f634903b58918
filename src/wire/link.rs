//! Link layers: where the network header of a packet begins and what announces it, as libpcap's code generator
//! reads each link type (`gencode.c`), so that an address found here is one that `host` finds there.

use super::bytes::{be16, be32, le16, le32, u8_at};
use super::layer::{Decoded, Next};
use crate::packet::LinkType;

const ETHERTYPE_IP4: u16 = 0x0800;
const ETHERTYPE_IP6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_RARP: u16 = 0x8035;

/// The values of AF_INET6 that libpcap knows in capture files: NetBSD and OpenBSD, FreeBSD, macOS. AF_INET is 2 everywhere.
const AF_INET6: [u32; 3] = [24, 28, 30];

/// What the link-layer header of a packet announces.
#[inline]
pub(super) fn first(link_type: LinkType, data: &[u8]) -> Next {
    match link_type.0 {
        1 => Next::Ethernet(0),
        0 => null(data),
        // Written by OpenBSD, always big-endian.
        108 => be32(data, 0).map_or(Next::Done, |family| by_family(family, 4)),
        12 | 14 | 101 => Next::AnyIp(0),
        228 => Next::Ip4(0),
        229 => Next::Ip6(0),
        113 => cooked(data, 14, 16),
        276 => cooked(data, 0, 20),
        // libpcap takes address and control to be there always.
        9 | 50 => ppp(data, 2),
        51 => Next::Pppoe(0),
        104 => be16(data, 2).map_or(Next::Done, |t| Next::Typed(t, 4)),
        10 => Next::Llc(13),
        6 => Next::Llc(14),
        107 => frame_relay(data),
        105 => wlan(data, 0, false),
        127 => le16(data, 2).map_or(Next::Done, |len| wlan(data, len.into(), true)),
        119 => prism(data),
        163 => be32(data, 4).map_or(Next::Done, |len| wlan(data, len as usize, false)),
        192 => ppi(data),
        239 => nflog(data),
        219 => Next::Mpls(0),
        _ => Next::Done,
    }
}

/// Whether [`super::decode`] finds every packet of this link type that libpcap's `host`, `net`, `port`, `tcp`,
/// `udp`, `sctp`, `icmp`, `icmp6` and `vlan` could match, so that an index may prune for filters made of them.
pub fn plannable(link_type: LinkType) -> bool {
    matches!(
        link_type.0,
        0 | 1 | 6 | 9 | 10 | 12 | 14 | 50 | 51 | 101 | 104 | 105 | 107 | 108 | 113 | 119 | 127 | 163 | 192 | 228 | 229 | 276
    )
}

/// An address family, and the header after it.
fn by_family(family: u32, at: usize) -> Next {
    if family == 2 {
        Next::Ip4(at)
    } else if AF_INET6.contains(&family) {
        Next::Ip6(at)
    } else {
        Next::Done
    }
}

/// BSD loopback: an address family in the byte order of the machine that captured.
fn null(data: &[u8]) -> Next {
    let Some(family) = le32(data, 0) else { return Next::Done };
    by_family(if family > 0xffff { family.swap_bytes() } else { family }, 4)
}

/// Linux cooked: the protocol field is an ethertype, or one of the kernel's numbers for frames without.
fn cooked(data: &[u8], protocol_at: usize, header_len: usize) -> Next {
    const LINUX_8022: u16 = 0x0004;
    match be16(data, protocol_at) {
        None => Next::Done,
        Some(LINUX_8022) => Next::Llc8023(header_len),
        Some(t) => Next::Typed(t, header_len),
    }
}

/// An Ethernet header (not its tags).
#[inline]
pub(super) fn ethernet(data: &[u8], at: usize) -> Next {
    match be16(data, at + 12) {
        None => Next::Done,
        // A length (IEEE 802.3 3.2.6).
        Some(0..=1500) => Next::Llc8023(at + 14),
        Some(t) => Next::Typed(t, at + 14),
    }
}

/// What an ethertype announces. Tags are taken in here.
#[inline]
pub(super) fn typed(data: &[u8], ethertype: u16, at: usize, out: &mut Decoded) -> Next {
    match ethertype {
        ETHERTYPE_IP4 => Next::Ip4(at),
        ETHERTYPE_IP6 => Next::Ip6(at),
        ETHERTYPE_ARP | ETHERTYPE_RARP => Next::Arp(at),
        // 802.1Q, 802.1ad, and what came before it.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => match be16(data, at) {
            // A filter can ask for a tag, whatever its number.
            None => Next::Irregular(None),
            Some(tci) if !out.tag(tci) => Next::Done,
            Some(_) => match be16(data, at + 2) {
                Some(0..=1500) => Next::Llc8023(at + 4),
                Some(inner) => Next::Typed(inner, at + 4),
                None => Next::Done,
            },
        },
        // 802.1BR E-tag, no VLAN.
        0x893f => be16(data, at + 6).map_or(Next::Done, |inner| Next::Typed(inner, at + 8)),
        0x8847 | 0x8848 => Next::Mpls(at),
        0x8864 => Next::Pppoe(at),
        _ => Next::Done,
    }
}

/// LLC on links that have nothing else: libpcap reads the ethertype of SNAP without looking whether it is SNAP.
pub(super) fn llc(data: &[u8], at: usize) -> Next {
    be16(data, at + 6).map_or(Next::Done, |t| Next::Typed(t, at + 8))
}

/// LLC in an 802.3 frame; only SNAP (RFC 1042, 802.1H) carries addresses.
pub(super) fn llc_8023(data: &[u8], at: usize) -> Next {
    match data.get(at..at + 6) {
        Some([0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8]) => llc(data, at),
        _ => Next::Done,
    }
}

/// A PPP protocol field of two bytes (RFC 1661 2) at `at`, and what it announces. libpcap looks for ARP behind its
/// ethertype here, too.
pub(super) fn ppp(data: &[u8], at: usize) -> Next {
    be16(data, at).map_or(Next::Done, |protocol| ppp_payload(protocol, at + 2))
}

/// A PPP frame in which HDLC's address and control, and the upper byte of the protocol, may be left out (RFC 1661 6.5, 6.6).
pub(super) fn ppp_compressed(data: &[u8], at: usize) -> Next {
    let at = if data.get(at..at + 2) == Some(&[0xff, 0x03]) { at + 2 } else { at };
    match u8_at(data, at) {
        Some(low) if low & 1 == 1 => ppp_payload(low.into(), at + 1),
        Some(_) => ppp(data, at),
        None => Next::Done,
    }
}

fn ppp_payload(protocol: u16, at: usize) -> Next {
    match protocol {
        0x0021 => Next::Ip4(at),
        0x0057 => Next::Ip6(at),
        0x0281 | 0x0283 => Next::Mpls(at),
        0x0806 | 0x8035 => Next::Arp(at),
        _ => Next::Done,
    }
}

/// Frame relay with a two-byte address, and RFC 2427's NLPIDs.
fn frame_relay(data: &[u8]) -> Next {
    match be16(data, 2) {
        Some(0x03cc) => Next::Ip4(4),
        Some(0x038e) => Next::Ip6(4),
        // A pad byte, SNAP's NLPID, the organisation and an ethertype.
        Some(0x0300) if data.get(4..8) == Some(&[0x80, 0, 0, 0]) => be16(data, 8).map_or(Next::Done, |t| Next::Typed(t, 10)),
        _ => Next::Done,
    }
}

/// Prism's header has a fixed length, but what came with it may be an AVS header, which says its length.
fn prism(data: &[u8]) -> Next {
    const AVS_MAGIC: u32 = 0x8021_1000;
    match be32(data, 0) {
        None => Next::Done,
        Some(magic) if magic & 0xffff_f000 == AVS_MAGIC => {
            be32(data, 4).map_or(Next::Done, |len| wlan(data, len as usize, false))
        }
        Some(_) => wlan(data, 144, false),
    }
}

/// PPI: the link type of what follows stands in the header.
fn ppi(data: &[u8]) -> Next {
    let (Some(len), Some(dlt)) = (le16(data, 2), le32(data, 4)) else { return Next::Done };
    // libpcap's filters match nothing but 802.11 in PPI.
    if dlt == 105 { wlan(data, len.into(), false) } else { Next::Done }
}

/// An 802.11 frame at `at`: the length of its header as libpcap reckons it, and where that is not the true one, too,
/// the true one.
fn wlan(data: &[u8], at: usize, radiotap: bool) -> Next {
    let Some(control) = u8_at(data, at) else { return Next::Done };
    // Data frames only (IEEE 802.11 9.2.4.1.3).
    if control & 0x0c != 0x08 {
        return Next::Done;
    }
    let qos = control & 0x80 != 0;
    let mut header = at + 24 + if qos { 2 } else { 0 };
    let Some(flags) = u8_at(data, at + 1) else { return Next::Done };
    let four_addresses = flags & 0x03 == 0x03;
    let ht_control = qos && flags & 0x80 != 0;
    let missed = if four_addresses { 6 } else { 0 } + if ht_control { 4 } else { 0 };
    let mut padded = false;
    if radiotap {
        match radiotap_pads(data) {
            None => return Next::Done,
            Some(pads) => padded = pads,
        }
    }
    let align = |x: usize| if padded { (x + 3) & !3 } else { x };
    let as_libpcap = align(header);
    if missed == 0 {
        return Next::Llc(as_libpcap);
    }
    header += missed;
    let known = |t| matches!(t, ETHERTYPE_IP4 | ETHERTYPE_IP6 | ETHERTYPE_ARP | ETHERTYPE_RARP | 0x8100 | 0x88a8 | 0x9100);
    if be16(data, as_libpcap + 6).is_some_and(known) { Next::Irregular(Some(as_libpcap)) } else { Next::Llc8023(align(header)) }
}

/// Whether radiotap's flags say that the 802.11 header is padded to four bytes; `None` where they were cut off
/// (libpcap then matches nothing). Only a first `present` word without extension is looked at, as libpcap does.
fn radiotap_pads(data: &[u8]) -> Option<bool> {
    const TSFT: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const MORE: u32 = 1 << 31;
    const DATAPAD: u8 = 0x20;
    let present = le32(data, 4)?;
    if present & FLAGS == 0 || present & MORE != 0 {
        return Some(false);
    }
    let flags = u8_at(data, if present & TSFT != 0 { 16 } else { 8 })?;
    Some(flags & DATAPAD != 0)
}

/// Linux netfilter log: attributes, one of which is the packet from its network header on.
fn nflog(data: &[u8]) -> Next {
    const ATTRIBUTES_MAX: usize = 64;
    const PAYLOAD: u16 = 9;
    let Some(family) = u8_at(data, 0) else { return Next::Done };
    // Attributes are in the byte order of the machine that captured; a first length that is absurd the one way
    // round is taken the other way.
    let big_endian = le16(data, 4).is_some_and(|len| usize::from(len) > data.len())
        && be16(data, 4).is_some_and(|len| usize::from(len) <= data.len());
    let u16_at = |at| if big_endian { be16(data, at) } else { le16(data, at) };
    let mut at = 4;
    for _ in 0..ATTRIBUTES_MAX {
        let (Some(len), Some(kind)) = (u16_at(at), u16_at(at + 2)) else { return Next::Done };
        let len = usize::from(len);
        if len < 4 {
            return Next::Done;
        }
        if kind & 0x7fff == PAYLOAD {
            return match family {
                2 => Next::Ip4(at + 4),
                10 => Next::Ip6(at + 4),
                _ => Next::AnyIp(at + 4),
            };
        }
        at += (len + 3) & !3;
    }
    Next::Done
}
