//! What carries whole packets: MPLS, GRE, and the tunnels that are known by their UDP port.

use super::bytes::{be16, be32, u8_at};
use super::layer::{LABELS_MAX, Next};

/// An MPLS label stack (RFC 3032). IP behind it is known by its version only; a frame behind it may have a pseudowire
/// control word (RFC 4385) or not.
pub(super) fn mpls(data: &[u8], at: usize) -> Next {
    const BOTTOM: u32 = 0x100;
    let mut at = at;
    for _ in 0..LABELS_MAX {
        let Some(label) = be32(data, at) else { return Next::Done };
        at += 4;
        if label & BOTTOM != 0 {
            return match u8_at(data, at).map(|b| b >> 4) {
                Some(4) => Next::Ip4(at),
                Some(6) => Next::Ip6(at),
                Some(0) if looks_like_ethernet(data, at + 4) => Next::Ethernet(at + 4),
                // An associated channel (RFC 5586), no traffic.
                None | Some(1) => Next::Done,
                Some(_) if looks_like_ethernet(data, at) => Next::Ethernet(at),
                Some(_) => Next::Done,
            };
        }
    }
    Next::Irregular(None)
}

/// Whether a frame at `at` has a length, or an ethertype that is looked into.
fn looks_like_ethernet(data: &[u8], at: usize) -> bool {
    matches!(
        be16(data, at + 12),
        Some(
            46..=1500 | 0x0800 | 0x0806 | 0x8035 | 0x8100 | 0x86dd | 0x8847 | 0x8848 | 0x8864 | 0x88a8 | 0x893f | 0x9100 | 0x9200
        )
    )
}

/// GRE: version 0 (RFC 2784, 2890, with RFC 1701's routing) and version 1 (RFC 2637, PPTP).
pub(super) fn gre(data: &[u8], at: usize) -> Next {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGE: u16 = 0x0080;
    let (Some(flags), Some(protocol)) = (be16(data, at), be16(data, at + 2)) else { return Next::Done };
    let word = |flag| if flags & flag != 0 { 4 } else { 0 };
    let mut at = at + 4 + word(CHECKSUM | ROUTING) + word(KEY) + word(SEQUENCE);
    match flags & 7 {
        0 => {
            if flags & ROUTING != 0 {
                match after_routes(data, at) {
                    Ok(after) => at = after,
                    Err(next) => return next,
                }
            }
        }
        // Without a sequence number there is no payload.
        1 if protocol == 0x880b && flags & SEQUENCE != 0 => return Next::Ppp(at + word(ACKNOWLEDGE)),
        _ => return Next::Done,
    }
    match protocol {
        0x6558 => Next::Ethernet(at),
        0x880b => Next::Ppp(at),
        // ERSPAN type I has no header, types II and III have (draft-foschiano-erspan-03 4).
        0x88be if flags & SEQUENCE == 0 => Next::Ethernet(at),
        0x88be | 0x22eb => erspan(data, at),
        // WCCP puts a redirect header before the packet in its version 2.
        0x883e => Next::Ip4(if u8_at(data, at).is_some_and(|b| b >> 4 == 4) { at } else { at + 4 }),
        t => Next::Typed(t, at),
    }
}

/// Steps over GRE's source route entries.
fn after_routes(data: &[u8], at: usize) -> Result<usize, Next> {
    const ROUTES_MAX: usize = 16;
    let mut at = at;
    for _ in 0..ROUTES_MAX {
        let (Some(family), Some(len)) = (be16(data, at), u8_at(data, at + 3)) else { return Err(Next::Done) };
        at += 4 + usize::from(len);
        if family == 0 && len == 0 {
            return Ok(at);
        }
    }
    Err(Next::Irregular(None))
}

fn erspan(data: &[u8], at: usize) -> Next {
    match u8_at(data, at).map(|b| b >> 4) {
        Some(1) => Next::Ethernet(at + 8),
        Some(2) => {
            let Some(flags) = be16(data, at + 10) else { return Next::Done };
            // Frame type 0 is Ethernet, 2 is IP; the lowest bit says that a platform's header follows.
            let at = at + 12 + if flags & 1 != 0 { 8 } else { 0 };
            if flags >> 10 & 0x1f == 2 { Next::AnyIp(at) } else { Next::Ethernet(at) }
        }
        _ => Next::Done,
    }
}

/// What UDP between these ports carries. A port alone proves nothing, so that each header is looked at for plausibility.
#[inline]
pub(super) fn udp(data: &[u8], source: u16, destination: u16, at: usize) -> Next {
    match destination {
        4789 | 8472 => vxlan(data, at),
        6081 => geneve(data, at),
        6635 => mpls(data, at),
        2152 => gtp_u(data, at),
        3544 => teredo(data, at),
        _ => match source {
            2152 => gtp_u(data, at),
            3544 => teredo(data, at),
            _ => Next::Done,
        },
    }
}

/// Whether [`udp`] may look further into what goes between these ports.
pub(super) fn may_be_tunnel(source: u16, destination: u16) -> bool {
    matches!(destination, 4789 | 8472 | 6081 | 6635 | 2152 | 3544) || matches!(source, 2152 | 3544)
}

/// VXLAN (RFC 7348 5): the I flag must be set. Group policy may set others.
fn vxlan(data: &[u8], at: usize) -> Next {
    match data.get(at..at + 8) {
        Some(&[flags, _, _, _, _, _, _, 0]) if flags & 0x08 != 0 => Next::Ethernet(at + 8),
        _ => Next::Done,
    }
}

/// Geneve (RFC 8926 3.4), version 0.
fn geneve(data: &[u8], at: usize) -> Next {
    let (Some(first), Some(protocol)) = (u8_at(data, at), be16(data, at + 2)) else { return Next::Done };
    if first >> 6 != 0 {
        return Next::Done;
    }
    let at = at + 8 + usize::from(first & 0x3f) * 4;
    if protocol == 0x6558 { Next::Ethernet(at) } else { Next::Typed(protocol, at) }
}

/// GTP-U version 1 (3GPP TS 29.281 5.1), G-PDUs.
fn gtp_u(data: &[u8], at: usize) -> Next {
    const EXTENSIONS_MAX: usize = 8;
    const G_PDU: u8 = 255;
    let Some(&[flags, G_PDU]) = data.get(at..).and_then(|d| d.first_chunk::<2>()) else { return Next::Done };
    if flags & 0xf0 != 0x30 {
        return Next::Done;
    }
    let mut at = at + 8;
    if flags & 0x07 != 0 {
        at += 4;
        let mut kind = if flags & 0x04 != 0 { u8_at(data, at - 1) } else { Some(0) };
        let mut extensions = 0;
        while kind != Some(0) {
            let Some(len @ 1..) = u8_at(data, at) else { return Next::Done };
            if kind.is_none() {
                return Next::Done;
            }
            if extensions == EXTENSIONS_MAX {
                return Next::Irregular(None);
            }
            extensions += 1;
            at += usize::from(len) * 4;
            kind = u8_at(data, at - 1);
        }
    }
    Next::AnyIp(at)
}

/// Teredo (RFC 4380 5.1.1): an authentication and an origin indication may come before the IPv6 packet.
fn teredo(data: &[u8], at: usize) -> Next {
    let mut at = at;
    if be16(data, at) == Some(1) {
        let (Some(id_len), Some(auth_len)) = (u8_at(data, at + 2), u8_at(data, at + 3)) else { return Next::Done };
        at += 4 + usize::from(id_len) + usize::from(auth_len) + 9;
    }
    if be16(data, at) == Some(0) {
        at += 8;
    }
    match u8_at(data, at) {
        Some(b) if b >> 4 == 6 => Next::Ip6(at),
        _ => Next::Done,
    }
}
