//! The blocks inside a granule: enhanced packet blocks of interface 0 as the ring writes them, and padding between them.

use super::bytes::u32_at;
use super::hint::{ENTERPRISE_NUMBER, split_hint};
use crate::packet::Packet;
use crate::pcap::block::{CUSTOM_NO_COPY, ENHANCED_PACKET, ENHANCED_PACKET_HEAD, PADDING_MIN, padded};
use crate::time::Timestamp;

/// One packet of a granule.
#[derive(Clone, Copy, Debug)]
pub struct StoredPacket<'a> {
    /// The packet, without the ring's hint.
    pub packet: Packet<'a>,
    /// The ports that the writer found for a later fragment.
    pub hint: Option<(u16, u16)>,
    /// Where its block begins in the bytes scanned.
    pub offset: usize,
    /// The whole block.
    pub block: &'a [u8],
}

/// Reads blocks until the end, or the first that is not whole and well-formed.
pub fn blocks(bytes: &[u8]) -> Blocks<'_> {
    Blocks { bytes, at: 0 }
}

/// See [`blocks`].
pub struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Blocks<'_> {
    /// How many bytes were whole, well-formed blocks.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = StoredPacket<'a>;

    fn next(&mut self) -> Option<StoredPacket<'a>> {
        let mut rest = self.bytes.get(self.at..)?;
        while let Some(len) = padding_len(rest) {
            self.at += len;
            rest = &rest[len..];
        }
        let packet = packet_block(rest)?;
        let offset = self.at;
        self.at += packet.block.len();
        Some(StoredPacket { offset, ..packet })
    }
}

/// Bytes of the block at the front, if it is padding: packets may follow it.
fn padding_len(bytes: &[u8]) -> Option<usize> {
    if u32_at(bytes, 0) != CUSTOM_NO_COPY || u32_at(bytes, 8) != ENTERPRISE_NUMBER {
        return None;
    }
    let total = u32_at(bytes, 4) as usize;
    let is_whole = total >= PADDING_MIN && total.is_multiple_of(4) && total <= bytes.len();
    (is_whole && u32_at(bytes, total - 4) as usize == total).then_some(total)
}

/// The packet block at the front of `bytes`, if it is whole and as the ring writes it.
pub fn packet_block(bytes: &[u8]) -> Option<StoredPacket<'_>> {
    if bytes.len() < ENHANCED_PACKET_HEAD + 4 || u32_at(bytes, 0) != ENHANCED_PACKET {
        return None;
    }
    let total = u32_at(bytes, 4) as usize;
    let captured = u32_at(bytes, 20) as usize;
    let data_end = ENHANCED_PACKET_HEAD.checked_add(captured)?;
    if !total.is_multiple_of(4) || total > bytes.len() || padded(data_end) + 4 > total || u32_at(bytes, 8) != 0 {
        return None;
    }
    let block = &bytes[..total];
    if u32_at(block, total - 4) as usize != total {
        return None;
    }
    let tail = &block[padded(data_end)..total - 4];
    // Our options end with `opt_endofopt`.
    let options = tail.len().checked_sub(4).map_or(tail, |end| &tail[..end]);
    let (options, hint) = if options.is_empty() { (options, None) } else { split_hint(options) };
    let time = u64::from(u32_at(block, 12)) << 32 | u64::from(u32_at(block, 16));
    let packet = Packet {
        time: Timestamp::from_nanos(time),
        original_length: u32_at(block, 24),
        data: &block[ENHANCED_PACKET_HEAD..data_end],
        options,
    };
    Some(StoredPacket { packet, hint, offset: 0, block })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::block::{enhanced_packet, padding};
    use crate::ring::hint::put_hint;
    use proptest::prelude::*;

    #[test]
    fn blocks_come_back_and_every_prefix_stops_at_a_whole_one() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for i in 0..5_u64 {
            let mut options = Vec::new();
            if i % 2 == 0 {
                put_hint(&mut options, (i as u16, 9));
            }
            let data = vec![i as u8; 10 + i as usize];
            let packet = Packet { time: Timestamp::from_nanos(i << 40), original_length: 99, data: &data, options: &options };
            enhanced_packet(&mut bytes, 0, &packet);
            ends.push(bytes.len());
        }
        let hints: Vec<_> = blocks(&bytes).map(|b| b.hint).collect();
        assert_eq!(hints, [Some((0, 9)), None, Some((2, 9)), None, Some((4, 9))]);
        assert!(blocks(&bytes).all(|b| b.packet.options.is_empty()));
        for cut in 0..=bytes.len() {
            let mut it = blocks(&bytes[..cut]);
            let n = it.by_ref().count();
            assert_eq!(it.position(), ends[n]);
            assert!(ends.get(n + 1).is_none_or(|&end| end > cut));
        }
    }

    #[test]
    fn padding_is_passed_over() {
        let mut bytes = Vec::new();
        for len in [16, 4096] {
            let start = bytes.len();
            bytes.resize(start + len, 1);
            padding(&mut bytes[start..], ENTERPRISE_NUMBER);
            enhanced_packet(&mut bytes, 0, &Packet { time: Timestamp::ZERO, original_length: 1, data: &[7], options: &[] });
        }
        let all: Vec<_> = blocks(&bytes).map(|b| (b.offset, b.packet.data)).collect();
        assert_eq!(all, [(16, &[7][..]), (16 + 36 + 4096, &[7])]);
        bytes[4] = 12;
        assert_eq!(blocks(&bytes).count(), 0, "shorter than any");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = packet_block(&bytes);
            let mut headed = 6_u32.to_le_bytes().to_vec();
            headed.extend(&bytes);
            let _ = packet_block(&headed);
            headed[..4].copy_from_slice(&CUSTOM_NO_COPY.to_le_bytes());
            headed.resize(headed.len().max(12), 0);
            headed[8..12].copy_from_slice(&ENTERPRISE_NUMBER.to_le_bytes());
            let _ = blocks(&headed).count();
        }
    }
}
