//! The header of a classic pcap file, and which of its many variants it is (draft-ietf-opsawg-pcap).
//!
//! The variants are those that libpcap and Wireshark read. Some share a magic number; these are told apart as Wireshark does it, by
//! how well the first three records fit each layout.

use super::byte_order::ByteOrder;
use super::limits::{BUFFER, packet_max};
use super::source::Source;
use crate::packet::LinkType;
use std::io;

/// How many records are looked at to tell variants apart.
const RECORDS_TRIED: usize = 3;

/// Which of the two lengths in a record's header comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lengths {
    /// Captured, then original.
    CapturedFirst,
    /// Original, then captured: before version 2.3, and DG/UX.
    OriginalFirst,
    /// Version 2.3 has both orders: the smaller one is the captured length.
    SmallerIsCaptured,
}

/// What has to be known to read the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) order: ByteOrder,
    /// Nanoseconds in a unit of the fraction of a second.
    pub(super) unit_ns: u32,
    /// The length of a record's header, in bytes.
    pub(super) record_header: usize,
    pub(super) lengths: Lengths,
    /// Bytes before each packet that belong to neither header nor packet.
    pub(super) padding: u32,
    /// The length of the file's header, in bytes.
    pub(super) file_header: usize,
    pub(super) link_type: LinkType,
    pub(super) snap_length: u32,
}

/// Whether a file that begins so is classic pcap.
pub(super) fn is_magic(first: [u8; 4]) -> bool {
    magic(first).is_some()
}

/// What the magic number says.
struct Magic {
    order: ByteOrder,
    unit_ns: u32,
    file_header: usize,
    /// The record headers it may stand for, in the order of preference.
    candidates: &'static [RecordKind],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    Standard,
    /// Four bytes more, of unknown meaning.
    Nokia,
    /// Interface index, protocol, packet type: Kuznetsov's patches of 1999-04-17 (under the standard magic) and 1999-10-29.
    Patched,
    /// The same and five bytes more: the patch of 1999-09-15.
    PatchedSmp,
}

impl RecordKind {
    const fn length(self) -> usize {
        match self {
            RecordKind::Standard => 16,
            RecordKind::Nokia => 20,
            RecordKind::Patched => 24,
            RecordKind::PatchedSmp => 28,
        }
    }
}

fn magic(first: [u8; 4]) -> Option<Magic> {
    use RecordKind::{Nokia, Patched, PatchedSmp, Standard};
    let known = |value, order| {
        let (unit_ns, file_header, candidates): (_, _, &[_]) = match value {
            0xa1b2_c3d4 => (1000, 24, &[Standard, Patched, Nokia]),
            0xa1b2_3c4d => (1, 24, &[Standard]),
            0xa1b2_cd34 => (1000, 24, &[Patched, PatchedSmp]),
            // Ixia, captured in hardware and in software: the length of all records follows the header.
            0x1c00_01ac => (1, 28, &[Standard]),
            0x1c00_01ab => (1000, 28, &[Standard]),
            _ => return None,
        };
        Some(Magic { order, unit_ns, file_header, candidates })
    };
    known(u32::from_le_bytes(first), ByteOrder::Little).or_else(|| known(u32::from_be_bytes(first), ByteOrder::Big))
}

/// Reads the file's header and passes over it. The inner error is a reason why the file cannot be read.
pub(super) fn read(source: &mut Source) -> io::Result<Result<Layout, String>> {
    let Some(magic) = source.at_hand().first_chunk().copied().and_then(magic) else {
        return Ok(Err("it does not begin with the magic number of pcap".to_owned()));
    };
    if !source.has(magic.file_header)? {
        let why = source.why_ended(|| "the file ends inside its pcap header".to_owned());
        return Ok(Err(why));
    }
    let head = source.take(magic.file_header);
    let order = magic.order;
    let (major, minor) = (order.u16(head, 4), order.u16(head, 6));
    let (snap_length, mut network) = (order.u32(head, 16), order.u32(head, 20));
    if major < 2 {
        return Ok(Err(format!("it is pcap of version {major}.{minor}, which is not supported")));
    }
    let lengths = match (major, minor) {
        (2, 0..=2) | (543, _) => Lengths::OriginalFirst,
        (2, 3) => Lengths::SmallerIsCaptured,
        _ => Lengths::CapturedFirst,
    };
    let (mut unit_ns, mut padding) = (magic.unit_ns, 0);
    if magic.candidates.len() == 3 && (major, minor) == (2, 2) {
        // AIX writes interface types (RFC 1573) instead of link types, nanoseconds, and three bytes before each FDDI frame.
        let aix = match network {
            6 => Some((1, 0)),
            9 => Some((6, 0)),
            15 => Some((10, 3)),
            24 => Some((0, 0)),
            _ => None,
        };
        if let Some((link_type, before)) = aix {
            (network, padding, unit_ns) = (link_type, before, 1);
        }
    }
    if network & 0x03ff_0000 != 0 {
        return Ok(Err(format!("the link type {network:#010x} in its pcap header has reserved bits set")));
    }
    let mut layout = Layout {
        order,
        unit_ns,
        record_header: magic.candidates[0].length(),
        lengths,
        padding,
        file_header: magic.file_header,
        link_type: LinkType(network as u16), // the upper bits say how long the frame check sequence is
        snap_length,
    };
    if lengths == Lengths::CapturedFirst && magic.candidates.len() > 1 {
        let mut best = u32::MAX;
        for &kind in magic.candidates {
            let (misfits, whole) = misfits(source, &layout, kind)?;
            // Damage makes the records of any kind look odd: a rarer one is believed only if it fits, or reads on where the first does not.
            let is_first = kind == magic.candidates[0];
            if misfits < best && (is_first || misfits == 0 || whole >= 2) {
                (best, layout.record_header) = (misfits, kind.length());
            }
            if misfits == 0 {
                break;
            }
        }
    }
    Ok(Ok(layout))
}

/// How many fields of the first records are implausible for this kind of header, and how many records are whole. Looks no further than
/// the buffer goes.
fn misfits(source: &mut Source, layout: &Layout, kind: RecordKind) -> io::Result<(u32, u32)> {
    let (mut at, mut misfits, mut whole, order) = (0, 0, 0, layout.order);
    for tried in 0..RECORDS_TRIED {
        let length = kind.length();
        if at + length > BUFFER {
            break;
        }
        if !source.has(at + length)? {
            // Nothing left is the end; a part of a header is not plausible.
            misfits += u32::from(source.at_hand().len() > at);
            // One record is no evidence for the rarest kind: a file cut off in its second header looks the same.
            misfits += u32::from(kind == RecordKind::PatchedSmp && tried == 1);
            break;
        }
        let head = &source.at_hand()[at..at + length];
        let (fraction, captured, original) = (order.u32(head, 4), order.u32(head, 8), order.u32(head, 12));
        misfits += u32::from(fraction >= 1_000_000);
        misfits += u32::from(captured > layout.snap_length);
        misfits += u32::from(original > 128 << 20);
        misfits += u32::from(captured > original);
        match kind {
            RecordKind::Standard => {}
            RecordKind::Nokia => misfits += u32::from(!is_nokia(order.u32(head, 16))),
            RecordKind::Patched | RecordKind::PatchedSmp => {
                misfits += u32::from(order.u32(head, 16) > 10_000);
                misfits += u32::from(!matches!(order.u16(head, 20), 0x0600..|0x0060| 0x0200 | 0x0400 | 0x0000..=0x0017));
                misfits += u32::from(head[22] > 4);
            }
        }
        if captured > packet_max(layout.link_type) {
            return Ok((misfits + 1, whole));
        }
        at += length + captured as usize;
        if at > BUFFER {
            break;
        }
        if !source.has(at)? {
            return Ok((misfits + 1, whole));
        }
        whole += 1;
    }
    Ok((misfits, whole))
}

/// The values seen in the extra field of Nokia's files.
fn is_nokia(extra: u32) -> bool {
    extra & 0x0fff_00f0 == 0x0fbf_0000
        && matches!(extra >> 28, 0x9 | 0xb)
        && matches!(extra >> 12 & 0xf, 0xb | 0xd)
        && matches!(extra >> 8 & 0xf, 0x6 | 0x9)
        && matches!(extra & 0xf, 1 | 2)
}
