//! Where the addressed layers of a packet lie, and what each carries: the innermost one is what belongs to a connection.

use crate::packet::LinkType;
use crate::wire::protocol::{AH, TCP};
use crate::wire::{Decoded, Direction, EXTENSIONS_MAX, FlowKey, LayerKind, decode_placed, plain_flow4};

/// Where an IP header ends and what it says of its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Body {
    /// Where the payload begins in the packet.
    pub at: usize,
    /// Where the captured part of it ends there.
    pub end: usize,
    /// The payload's true length, in bytes.
    pub length: usize,
    /// The datagram's true length, in bytes: of IPv4 its total length, of IPv6 40 more than its payload length.
    pub datagram_length: u64,
    /// The payload's protocol, after IPv6 extension headers.
    pub protocol: u8,
    /// Set on fragments.
    pub part: Option<Part>,
}

impl Body {
    /// The captured payload.
    pub(super) fn bytes<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.at..self.end).unwrap_or_default()
    }
}

/// Which part of its datagram a fragment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// The datagram's identification.
    pub id: u32,
    /// Offset of the first byte in the datagram's fragmentable part.
    pub offset: usize,
    /// More follow.
    pub more: bool,
    /// Where the IP header begins in the packet, and where its unfragmentable part ends.
    pub header: (usize, usize),
    /// Of IPv6: where the number of the fragment header lies, and what it has to become without it.
    pub next_header: Option<(usize, u8)>,
}

/// One layer of a packet that belongs to a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Located {
    /// The flow's key.
    pub key: FlowKey,
    /// Which way it goes there.
    pub direction: Direction,
    /// What it carries.
    pub body: Body,
}

/// The commonest packets: Ethernet, IPv4 without options, TCP or UDP that is no tunnel's. `None` says nothing.
#[inline]
pub(super) fn plain(link_type: LinkType, data: &[u8], original_length: u32) -> Option<Located> {
    let (key, direction) = plain_flow4(link_type, data)?;
    let body = ip4(data, 14, original_length)?;
    Some(Located { key, direction, body })
}

/// The IP layers of any packet, outermost first; `decoded` is scratch.
pub(super) fn layers(link_type: LinkType, data: &[u8], original_length: u32, decoded: &mut Decoded, out: &mut Vec<Located>) {
    let mut at = [0; crate::wire::LAYERS_MAX];
    let mut count = 0;
    decode_placed(link_type, data, decoded, |header| {
        if let Some(place) = at.get_mut(count) {
            *place = header;
            count += 1;
        }
    });
    out.clear();
    for (layer, &header) in decoded.layers.iter().zip(&at[..count]) {
        let body = match layer.kind {
            LayerKind::Ip4 => ip4(data, header, original_length),
            LayerKind::Ip6 => ip6(data, header, original_length),
            LayerKind::Arp => None,
        };
        // A later fragment's key has no ports; it is not looked up by it.
        if let (Some(body), Some((key, direction))) = (body, FlowKey::of(layer)) {
            out.push(Located { key, direction, body });
        }
    }
}

fn be16(data: &[u8], at: usize) -> Option<usize> {
    data.get(at..)?.first_chunk::<2>().map(|b| u16::from_be_bytes(*b).into())
}

/// IPv4 (RFC 791). A total length of 0 is what segmentation offload leaves: then the packet's own length counts.
#[inline]
fn ip4(data: &[u8], at: usize, original_length: u32) -> Option<Body> {
    let header = data.get(at..)?.first_chunk::<20>()?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_length < 20 {
        return None;
    }
    let said = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let total = if said == 0 { (original_length as usize).max(data.len()).saturating_sub(at) } else { said };
    let length = total.checked_sub(header_length)?;
    let body = at + header_length;
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let part = (fragment & 0x3fff != 0).then(|| Part {
        id: u16::from_be_bytes([header[4], header[5]]).into(),
        offset: usize::from(fragment & 0x1fff) * 8,
        more: fragment & 0x2000 != 0,
        header: (at, body),
        next_header: None,
    });
    let end = (body + length).min(data.len()).max(body);
    Some(Body { at: body, end, length, datagram_length: total as u64, protocol: header[9], part })
}

/// IPv6 (RFC 8200) with its extension headers.
fn ip6(data: &[u8], at: usize, original_length: u32) -> Option<Body> {
    const FRAGMENT: u8 = 44;
    let header = data.get(at..)?.first_chunk::<40>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let said = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let captured = (original_length as usize).max(data.len()).saturating_sub(at + 40);
    let payload = if said == 0 { captured } else { said };
    let end = at + 40 + payload;
    let (mut protocol, mut next_at, mut place) = (header[6], at + 6, at + 40);
    let mut part = None;
    let mut extensions = 0;
    while matches!(protocol, 0 | 43 | FRAGMENT | 60 | AH) {
        if extensions == EXTENSIONS_MAX {
            return None;
        }
        extensions += 1;
        let (next, extension) = (*data.get(place)?, usize::from(*data.get(place + 1)?));
        let size = match protocol {
            FRAGMENT => {
                let field = be16(data, place + 2)?;
                let id = data.get(place + 4..)?.first_chunk::<4>()?;
                if field & 0xfff9 != 0 {
                    let (offset, more) = (field & 0xfff8, field & 1 != 0);
                    let id = u32::from_be_bytes(*id);
                    part = Some(Part { id, offset, more, header: (at, place), next_header: Some((next_at, next)) });
                    protocol = next;
                    place += 8;
                    break;
                }
                8
            }
            AH => (extension + 2) * 4,
            _ => (extension + 1) * 8,
        };
        (protocol, next_at) = (next, place);
        place += size;
    }
    let length = end.checked_sub(place)?;
    let captured_end = end.min(data.len()).max(place);
    Some(Body { at: place, end: captured_end, length, datagram_length: (40 + payload) as u64, protocol, part })
}

/// The flags of TCP that matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags(pub u8);

impl Flags {
    pub(super) fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }

    pub(super) fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }

    pub(super) fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(super) fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// A TCP header (RFC 9293 3.1) and its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tcp {
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: Flags,
    pub window: u16,
    /// Where the payload begins in the packet.
    pub at: usize,
    /// Captured bytes of the payload.
    pub captured: usize,
    /// Bytes of the payload on the wire.
    pub length: usize,
}

impl Tcp {
    /// `None` where the header is cut off or says a length that cannot be.
    #[inline]
    pub(super) fn of(data: &[u8], body: &Body) -> Option<Tcp> {
        let h = body.bytes(data).first_chunk::<20>()?;
        let header_length = usize::from(h[12] >> 4) * 4;
        if header_length < 20 || header_length > body.length {
            return None;
        }
        let at = body.at + header_length;
        Some(Tcp {
            sequence: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            acknowledgement: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            flags: Flags(h[13]),
            window: u16::from_be_bytes([h[14], h[15]]),
            at,
            captured: body.end.saturating_sub(at),
            length: body.length - header_length,
        })
    }
}

/// The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) and the TCP header, its checksum included; `None` where the header is cut off.
pub(super) fn header_sum(data: &[u8], located: &Located, tcp: &Tcp) -> Option<u32> {
    let key = &located.key;
    let header = data.get(located.body.at..tcp.at)?;
    let length = u32::try_from(located.body.length).ok()?;
    // Of an IPv4 address the last twelve bytes are 0.
    let sum = sum16(&key.a) + sum16(&key.b) + u32::from(TCP) + (length >> 16) + (length & 0xffff) + sum16(header);
    Some(sum)
}

/// Whether a checksum is right, from [`header_sum`] and the whole payload.
pub(super) fn checksum_is_right(header_sum: u32, payload: impl Iterator<Item = u32>) -> bool {
    let sum = payload.fold(u64::from(header_sum), |sum, part| sum + u64::from(part));
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// The sum of the big-endian 16-bit words of at most 128 KiB, a last odd byte counting as the upper half of one.
pub(super) fn sum16(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|w| u32::from(u16::from_be_bytes(*w))).sum();
    sum + rest.first().map_or(0, |b| u32::from(*b) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksums_hold() {
        // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum up to ddf2 with the carries.
        assert_eq!(sum16(&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]), 0x2ddf0);
        assert!(checksum_is_right(0x2ddf0, [u32::from(!0xddf2_u16)].into_iter()));
        assert!(!checksum_is_right(0x2ddf0, [1].into_iter()));
        assert_eq!(sum16(&[1]), 0x100);
    }

    proptest! {
        #[test]
        fn any_bytes_give_layers_within_the_packet(
            mut data in proptest::collection::vec(any::<u8>(), 0..200),
            link_type in proptest::sample::select(vec![0_u16, 1, 101, 105, 113, 127, 228, 229, 276]),
            original: u32,
            heads in 0..5_u8,
        ) {
            let start: &[u8] = match heads {
                0 => &[],
                1 => &[0x45],
                2 => &[0x60, 0, 0, 0, 0, 60, 44],
                3 => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45],
                _ => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 0, 0, 90, 0, 0, 0, 0, 0, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 18, 181],
            };
            let n = start.len().min(data.len());
            data[..n].copy_from_slice(&start[..n]);
            let (mut decoded, mut out) = (Decoded::default(), Vec::new());
            layers(LinkType(link_type), &data, original, &mut decoded, &mut out);
            for l in &out {
                prop_assert!(l.body.at <= l.body.end && l.body.end <= data.len().max(l.body.at));
                let _ = Tcp::of(&data, &l.body).and_then(|t| header_sum(&data, l, &t));
            }
            if let Some(l) = plain(LinkType(link_type), &data, original) {
                prop_assert_eq!(out, [l]);
            }
        }
    }
}
