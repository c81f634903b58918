//! Classic pcap as we write it: nanoseconds, little-endian (draft-ietf-opsawg-pcap).

use super::block::SNAP_LENGTH;
use crate::packet::{LinkType, Packet};
use crate::time::{SECOND_NS, Timestamp};

/// The last time that pcap can say, whose seconds are 32 bits without a sign: 2106-02-07T06:28:15.999999999Z.
pub const PCAP_LAST: Timestamp = Timestamp::from_nanos(u32::MAX as u64 * SECOND_NS + SECOND_NS - 1);

/// Appends the file's header: magic number a1b23c4d, version 2.4, snap length [`SNAP_LENGTH`].
pub fn pcap_header(out: &mut Vec<u8>, link_type: LinkType) {
    out.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    out.extend_from_slice(&2_u16.to_le_bytes());
    out.extend_from_slice(&4_u16.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
    out.extend_from_slice(&u32::from(link_type.0).to_le_bytes());
}

/// Appends one packet. False where its time lies beyond [`PCAP_LAST`], which is then written instead.
#[must_use]
pub fn pcap_record(out: &mut Vec<u8>, packet: &Packet<'_>) -> bool {
    let ns = packet.time.as_nanos();
    let (seconds, fraction, fits) = match u32::try_from(ns / SECOND_NS) {
        Ok(seconds) => (seconds, (ns % SECOND_NS) as u32, true),
        Err(_) => (u32::MAX, (SECOND_NS - 1) as u32, false),
    };
    let mut head = [0; 16];
    head[..4].copy_from_slice(&seconds.to_le_bytes());
    head[4..8].copy_from_slice(&fraction.to_le_bytes());
    head[8..12].copy_from_slice(&(packet.data.len() as u32).to_le_bytes());
    head[12..].copy_from_slice(&packet.original_length.to_le_bytes());
    out.reserve(16 + packet.data.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(packet.data);
    fits
}
