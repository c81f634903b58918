//! pcapng blocks as we write them: little-endian, one function a block type (draft-ietf-opsawg-pcapng).

use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;

/// Section header block.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Interface description block.
pub const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete packet block.
pub const OBSOLETE_PACKET: u32 = 2;
/// Simple packet block.
pub const SIMPLE_PACKET: u32 = 3;
/// Name resolution block.
pub const NAME_RESOLUTION: u32 = 4;
/// Interface statistics block.
pub const INTERFACE_STATISTICS: u32 = 5;
/// Enhanced packet block.
pub const ENHANCED_PACKET: u32 = 6;
/// Decryption secrets block.
pub const DECRYPTION_SECRETS: u32 = 10;
/// Custom block that may be copied.
pub const CUSTOM: u32 = 0x0bad;
/// Custom block that must not be copied.
pub const CUSTOM_NO_COPY: u32 = 0x4000_0bad;

/// `opt_comment`.
pub const OPT_COMMENT: u16 = 1;
/// `opt_custom` with bytes, not to be copied.
pub const OPT_CUSTOM_BYTES_NO_COPY: u16 = 19373;
/// `shb_userappl`.
pub const SHB_USERAPPL: u16 = 4;
/// `if_name`.
pub const IF_NAME: u16 = 2;
/// `if_tsresol`.
pub const IF_TSRESOL: u16 = 9;
/// `if_tsoffset`.
pub const IF_TSOFFSET: u16 = 14;
/// `isb_starttime`.
pub const ISB_STARTTIME: u16 = 2;
/// `isb_endtime`.
pub const ISB_ENDTIME: u16 = 3;
/// `isb_ifrecv`.
pub const ISB_IFRECV: u16 = 4;
/// `isb_ifdrop`.
pub const ISB_IFDROP: u16 = 5;
/// `isb_osdrop`.
pub const ISB_OSDROP: u16 = 7;
/// `isb_usrdeliv`.
pub const ISB_USRDELIV: u16 = 8;

/// The snap length that every interface block of ours states, in bytes.
pub const SNAP_LENGTH: u32 = 262_144;

/// Bytes of an enhanced packet block before the packet's data.
pub const ENHANCED_PACKET_HEAD: usize = 28;

/// The length of `len` bytes with their padding to four.
pub const fn padded(len: usize) -> usize {
    (len + 3) & !3
}

/// Appends one option (without `opt_endofopt`). Values over 65,535 bytes are cut there.
pub fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(65_535)];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + padded(value.len()) - value.len(), 0);
}

/// Appends a time as the statistics block has it: high word first.
pub fn time_option(out: &mut Vec<u8>, code: u16, time: Timestamp) {
    let ns = time.as_nanos();
    let mut value = [0; 8];
    value[..4].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
    value[4..].copy_from_slice(&(ns as u32).to_le_bytes());
    option(out, code, &value);
}

/// Appends a whole block of `kind` around `body` and `options`; `options` come without `opt_endofopt`, which is added where there are any.
pub fn block(out: &mut Vec<u8>, kind: u32, body: &[u8], options: &[u8]) {
    let end = if options.is_empty() { 0 } else { 4 };
    let total = 12 + padded(body.len()) + options.len() + end;
    out.reserve(total);
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(total as u32).to_le_bytes());
    out.extend_from_slice(body);
    out.resize(out.len() + padded(body.len()) - body.len(), 0);
    out.extend_from_slice(options);
    out.resize(out.len() + end, 0);
    out.extend_from_slice(&(total as u32).to_le_bytes());
}

/// Appends a section header block of unspecified section length.
pub fn section_header(out: &mut Vec<u8>, options: &[u8]) {
    let mut body = Vec::with_capacity(16);
    body.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
    body.extend_from_slice(&1_u16.to_le_bytes());
    body.extend_from_slice(&0_u16.to_le_bytes());
    body.extend_from_slice(&u64::MAX.to_le_bytes());
    block(out, SECTION_HEADER, &body, options);
}

/// Appends an interface description block: nanoseconds, snap length [`SNAP_LENGTH`]. `options` come beside `if_name` and `if_tsresol`,
/// which this adds.
pub fn interface_description(out: &mut Vec<u8>, link_type: LinkType, name: Option<&str>, options: &[u8]) {
    let mut body = [0; 8];
    body[..2].copy_from_slice(&link_type.0.to_le_bytes());
    body[4..].copy_from_slice(&SNAP_LENGTH.to_le_bytes());
    let mut all = Vec::with_capacity(options.len() + 32);
    if let Some(name) = name {
        option(&mut all, IF_NAME, name.as_bytes());
    }
    option(&mut all, IF_TSRESOL, &[9]);
    all.extend_from_slice(options);
    block(out, INTERFACE_DESCRIPTION, &body, &all);
}

fn enhanced_packet_head(interface: u32, packet: &Packet<'_>, total: usize) -> [u8; ENHANCED_PACKET_HEAD] {
    let ns = packet.time.as_nanos();
    let mut head = [0; ENHANCED_PACKET_HEAD];
    head[..4].copy_from_slice(&ENHANCED_PACKET.to_le_bytes());
    head[4..8].copy_from_slice(&(total as u32).to_le_bytes());
    head[8..12].copy_from_slice(&interface.to_le_bytes());
    head[12..16].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
    head[16..20].copy_from_slice(&(ns as u32).to_le_bytes());
    head[20..24].copy_from_slice(&(packet.data.len() as u32).to_le_bytes());
    head[24..28].copy_from_slice(&packet.original_length.to_le_bytes());
    head
}

/// Bytes of an enhanced packet block.
pub fn enhanced_packet_len(packet: &Packet<'_>) -> usize {
    let end = if packet.options.is_empty() { 0 } else { 4 };
    ENHANCED_PACKET_HEAD + padded(packet.data.len()) + packet.options.len() + end + 4
}

/// Fills `to`, which has [`enhanced_packet_len`] bytes, with an enhanced packet block.
pub fn put_enhanced_packet(to: &mut [u8], interface: u32, packet: &Packet<'_>) {
    let total = to.len();
    let (head, rest) = to.split_at_mut(ENHANCED_PACKET_HEAD);
    head.copy_from_slice(&enhanced_packet_head(interface, packet, total));
    let (data, rest) = rest.split_at_mut(packet.data.len());
    data.copy_from_slice(packet.data);
    let (padding, rest) = rest.split_at_mut(padded(packet.data.len()) - packet.data.len());
    padding.fill(0);
    let (options, rest) = rest.split_at_mut(packet.options.len());
    options.copy_from_slice(packet.options);
    let (end, last) = rest.split_at_mut(rest.len() - 4);
    end.fill(0);
    last.copy_from_slice(&(total as u32).to_le_bytes());
}

/// Appends an enhanced packet block.
pub fn enhanced_packet(out: &mut Vec<u8>, interface: u32, packet: &Packet<'_>) {
    let caplen = packet.data.len();
    let end = if packet.options.is_empty() { 0 } else { 4 };
    let total = enhanced_packet_len(packet);
    out.reserve(total);
    out.extend_from_slice(&enhanced_packet_head(interface, packet, total));
    out.extend_from_slice(packet.data);
    out.extend_from_slice(&[0; 3][..padded(caplen) - caplen]);
    out.extend_from_slice(packet.options);
    out.extend_from_slice(&[0; 4][..end]);
    out.extend_from_slice(&(total as u32).to_le_bytes());
}

/// The fewest bytes of a [`padding`] block.
pub const PADDING_MIN: usize = 16;

/// Fills `to`, at least [`PADDING_MIN`] bytes and a multiple of four, with a custom block that says nothing and is not to be copied.
pub fn padding(to: &mut [u8], enterprise: u32) {
    let len = to.len();
    to.fill(0);
    to[..4].copy_from_slice(&CUSTOM_NO_COPY.to_le_bytes());
    to[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    to[8..12].copy_from_slice(&enterprise.to_le_bytes());
    to[len - 4..].copy_from_slice(&(len as u32).to_le_bytes());
}

/// Appends an interface statistics block of `time`.
pub fn interface_statistics(out: &mut Vec<u8>, interface: u32, time: Timestamp, options: &[u8]) {
    let ns = time.as_nanos();
    let mut body = [0; 12];
    body[..4].copy_from_slice(&interface.to_le_bytes());
    body[4..8].copy_from_slice(&((ns >> 32) as u32).to_le_bytes());
    body[8..].copy_from_slice(&(ns as u32).to_le_bytes());
    block(out, INTERFACE_STATISTICS, &body, options);
}
