//! What the ring writes beside a later IP fragment: the ports of its datagram, in a custom pcapng option.
//!
//! The writer decides once which ports a later fragment has. The decision rests with the packet, so that every reader, a rebuilt index and a
//! copied packet file tell the same. A cut leaves the option out again.

use super::bytes::{u16_at, u32_at};
use crate::pcap::block::{OPT_CUSTOM_BYTES_NO_COPY, padded};

/// The private enterprise number in our custom options: the one that RFC 5612 sets aside for documentation, with a magic after it.
pub const ENTERPRISE_NUMBER: u32 = 32_473;

/// First bytes of a hint's value, after the enterprise number.
pub const HINT_MAGIC: [u8; 4] = *b"TLfp";

/// Bytes of the whole option.
pub const HINT_LEN: usize = 16;

/// Appends the option.
pub fn put_hint(options: &mut Vec<u8>, (source, destination): (u16, u16)) {
    options.extend_from_slice(&OPT_CUSTOM_BYTES_NO_COPY.to_le_bytes());
    options.extend_from_slice(&12_u16.to_le_bytes());
    options.extend_from_slice(&ENTERPRISE_NUMBER.to_le_bytes());
    options.extend_from_slice(&HINT_MAGIC);
    options.extend_from_slice(&source.to_le_bytes());
    options.extend_from_slice(&destination.to_le_bytes());
}

/// Splits a packet's options into those that came with it and the hint. The ring writes its hint last, as an option of its own: bytes at
/// the end of another one's value may look the same.
pub fn split_hint(options: &[u8]) -> (&[u8], Option<(u16, u16)>) {
    let Some(start) = options.len().checked_sub(HINT_LEN) else { return (options, None) };
    let tail = &options[start..];
    if is_hint(tail) && begins_option(options, start) {
        (&options[..start], Some((u16_at(tail, 12), u16_at(tail, 14))))
    } else {
        (options, None)
    }
}

/// Whether an option begins at this place.
fn begins_option(options: &[u8], place: usize) -> bool {
    let mut at = 0;
    while at < place {
        at += 4 + padded(usize::from(u16_at(options, at + 2)));
    }
    at == place
}

fn is_hint(option: &[u8]) -> bool {
    u16_at(option, 0) == OPT_CUSTOM_BYTES_NO_COPY
        && u16_at(option, 2) == 12
        && u32_at(option, 4) == ENTERPRISE_NUMBER
        && option.get(8..12) == Some(&HINT_MAGIC)
}

/// `options` without hints, as packets from outside must come in: a hint counts only where the ring itself wrote it.
pub fn without_hints(options: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(options.len());
    let mut rest = options;
    while rest.len() >= 4 {
        let end = (4 + padded(usize::from(u16_at(rest, 2)))).min(rest.len());
        if !is_hint(&rest[..end]) {
            out.extend_from_slice(&rest[..end]);
        }
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::block::option;

    #[test]
    fn a_hint_is_found_last_and_taken_out() {
        let mut options = Vec::new();
        option(&mut options, 1, b"a comment");
        let plain = options.clone();
        assert_eq!(split_hint(&plain), (plain.as_slice(), None));
        put_hint(&mut options, (1234, 53));
        assert_eq!(split_hint(&options), (plain.as_slice(), Some((1234, 53))));
        assert_eq!(without_hints(&options), plain);
        assert_eq!(split_hint(&[]), (&[][..], None));
    }

    #[test]
    fn what_looks_like_a_hint_inside_another_option_stays() {
        let mut like = Vec::new();
        put_hint(&mut like, (1234, 53));
        for before in 0..8 {
            let mut foreign = Vec::new();
            option(&mut foreign, 1, b"first");
            option(&mut foreign, 1, &[&vec![0x41; before][..], &like].concat());
            assert_eq!(without_hints(&foreign), foreign);
            assert_eq!(split_hint(&foreign), (foreign.as_slice(), None));
            let mut stored = foreign.clone();
            put_hint(&mut stored, (1, 2));
            assert_eq!(split_hint(&stored), (foreign.as_slice(), Some((1, 2))));
        }
    }
}
