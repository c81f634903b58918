//! What stands in a block of a packet socket's ring: frames of TPACKET_V3 (linux/if_packet.h, Documentation/networking/packet_mmap.rst).
//!
//! The kernel writes it, and what it says is held against the block's bounds all the same.

use crate::packet::Packet;
use crate::prefetch::prefetch;
use crate::time::{SECOND_NS, Timestamp};

/// Where in a block's header the words stand: packets in it, its first frame, its length.
const NUM_PACKETS: usize = 12;
const FIRST_FRAME: usize = 16;
/// Bytes of a block's header.
pub(super) const BLOCK_HEADER_LEN: usize = 48;
/// Bytes of a frame's header with the address behind it.
const FRAME_HEADER_LEN: usize = 48 + 20;

/// `TP_STATUS_VLAN_VALID`: the frame had a VLAN tag, which the kernel took out.
const VLAN_VALID: u32 = 1 << 4;
/// `TP_STATUS_VLAN_TPID_VALID`: and its ethertype is told.
const VLAN_TPID_VALID: u32 = 1 << 6;
/// The ethertype of a tag that tells none.
const ETHERTYPE_VLAN: u16 = 0x8100;
/// `PACKET_OUTGOING`: sent by this machine.
const PACKET_OUTGOING: u8 = 4;
/// Bytes of a VLAN tag.
pub(super) const TAG_LEN: usize = 4;
/// Where a tag stands in an Ethernet frame: after two addresses.
const TAG_AT: usize = 12;

fn u32_of(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
}

fn u16_of(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_ne_bytes([b[0], b[1]]))
}

/// Where a block's header says when the block was opened, and which time its last packet has, in seconds and nanoseconds.
const OPENED: usize = 32;
const LAST_TIME: usize = 40;

fn time_of(bytes: &[u8], at: usize) -> Timestamp {
    Timestamp::from_nanos(u64::from(u32_of(bytes, at)) * SECOND_NS + u64::from(u32_of(bytes, at + 4)))
}

/// How many packets of a block came before `end`; `None`: it was opened later.
pub(super) fn packets_before(block: &mut [u8], reading: Reading, end: Timestamp) -> Option<u64> {
    if time_of(block, OPENED) >= end {
        return None;
    }
    if time_of(block, LAST_TIME) < end && !reading.skip_outgoing {
        return Some(u64::from(u32_of(block, NUM_PACKETS)));
    }
    let mut count = 0;
    packets(block, reading, &mut |packet| count += u64::from(packet.time < end));
    Some(count)
}

/// How frames are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Tags are put back into frames of Ethernet.
    pub ethernet: bool,
    /// Sent packets are passed over: this is the loopback interface, where each comes back.
    pub skip_outgoing: bool,
    /// Bytes of a packet that are kept.
    pub snaplen: u32,
}

/// Hands on the packets of a block, in order; how many frames there were.
pub(super) fn packets(block: &mut [u8], reading: Reading, each: &mut dyn FnMut(&Packet<'_>)) -> u32 {
    let frames = u32_of(block, NUM_PACKETS);
    let mut at = u32_of(block, FIRST_FRAME) as usize;
    for n in 0..frames {
        let Some(frame) = block.get_mut(at..).filter(|f| f.len() >= FRAME_HEADER_LEN) else { return n };
        let next = u32_of(frame, 0) as usize;
        // Another processor wrote the frames, and they come slowly: its header and the packet's are under way meanwhile.
        for line in [0, 64, 128] {
            if let Some(soon) = frame.get(next + line) {
                prefetch(soon);
            }
        }
        if let Some(packet) = packet(frame, reading) {
            each(&packet);
        }
        if next == 0 {
            return n + 1;
        }
        at += next;
    }
    frames
}

fn packet(frame: &mut [u8], reading: Reading) -> Option<Packet<'_>> {
    let (seconds, nanos) = (u32_of(frame, 4), u32_of(frame, 8));
    let (captured, length, status) = (u32_of(frame, 12) as usize, u32_of(frame, 16), u32_of(frame, 20));
    let mut start = usize::from(u16_of(frame, 24));
    let (tag, ethertype) = (u32_of(frame, 32) as u16, u16_of(frame, 36));
    if reading.skip_outgoing && frame[58] == PACKET_OUTGOING {
        return None;
    }
    let end = (start + captured).min(frame.len());
    let mut original_length = length;
    if status & VLAN_VALID != 0 && reading.ethernet && end >= start + TAG_AT && start >= FRAME_HEADER_LEN + TAG_LEN {
        // The room before a frame takes the addresses, so that the tag stands where it was.
        frame.copy_within(start..start + TAG_AT, start - TAG_LEN);
        start -= TAG_LEN;
        let told = if status & VLAN_TPID_VALID != 0 { ethertype } else { ETHERTYPE_VLAN };
        frame[start + TAG_AT..start + TAG_AT + 2].copy_from_slice(&told.to_be_bytes());
        frame[start + TAG_AT + 2..start + TAG_AT + 4].copy_from_slice(&tag.to_be_bytes());
        original_length += TAG_LEN as u32;
    }
    let end = end.min(start + reading.snaplen as usize);
    let data = frame.get(start..end)?;
    let time = Timestamp::from_nanos(u64::from(seconds) * SECOND_NS + u64::from(nanos));
    Some(Packet { time, original_length, data, options: &[] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Reading = Reading { ethernet: true, skip_outgoing: false, snaplen: 262_144 };
    const FRAME: usize = 96;

    struct Frame {
        data: Vec<u8>,
        status: u32,
        tag: u32,
        ethertype: u16,
        kind: u8,
    }

    fn frame(byte: u8, len: usize) -> Frame {
        Frame { data: vec![byte; len], status: 1, tag: 0, ethertype: 0, kind: 0 }
    }

    fn block(frames: &[Frame]) -> Vec<u8> {
        let mut o = vec![0; BLOCK_HEADER_LEN];
        o[NUM_PACKETS..NUM_PACKETS + 4].copy_from_slice(&(frames.len() as u32).to_ne_bytes());
        o[FIRST_FRAME..FIRST_FRAME + 4].copy_from_slice(&(BLOCK_HEADER_LEN as u32).to_ne_bytes());
        for (i, f) in frames.iter().enumerate() {
            let start = o.len();
            let total = (FRAME + f.data.len()).next_multiple_of(8);
            o.resize(start + total, 0);
            let next = if i + 1 == frames.len() { 0 } else { total as u32 };
            let words = [next, 1_700_000_000, i as u32, f.data.len() as u32, f.data.len() as u32 + 1, f.status];
            for (k, w) in words.iter().enumerate() {
                o[start + 4 * k..start + 4 * k + 4].copy_from_slice(&w.to_ne_bytes());
            }
            o[start + 24..start + 26].copy_from_slice(&(FRAME as u16).to_ne_bytes());
            o[start + 32..start + 36].copy_from_slice(&f.tag.to_ne_bytes());
            o[start + 36..start + 38].copy_from_slice(&f.ethertype.to_ne_bytes());
            o[start + 58] = f.kind;
            o[start + FRAME..start + FRAME + f.data.len()].copy_from_slice(&f.data);
        }
        o
    }

    fn read(block: &mut [u8], reading: Reading) -> Vec<(u64, u32, Vec<u8>)> {
        let mut all = Vec::new();
        packets(block, reading, &mut |p| all.push((p.time.as_nanos(), p.original_length, p.data.to_vec())));
        all
    }

    #[test]
    fn frames_come_in_order_with_time_and_length() {
        let mut b = block(&[frame(1, 60), frame(2, 61), frame(3, 0)]);
        let t = 1_700_000_000 * SECOND_NS;
        assert_eq!(read(&mut b, PLAIN), [(t, 61, vec![1; 60]), (t + 1, 62, vec![2; 61]), (t + 2, 1, vec![])]);
    }

    #[test]
    fn a_tag_is_put_back() {
        let tagged = |status, ethertype| Frame { status, tag: 0x2064, ethertype, ..frame(7, 60) };
        for (status, ethertype, told) in [(VLAN_VALID, 0, [0x81, 0]), (VLAN_VALID | VLAN_TPID_VALID, 0x88a8, [0x88, 0xa8])] {
            let mut b = block(&[tagged(status, ethertype), frame(1, 5)]);
            let all = read(&mut b, PLAIN);
            let want: Vec<u8> = [&[7; 12][..], &told, &[0x20, 0x64], &[7; 48]].concat();
            assert_eq!((all[0].1, &all[0].2), (65, &want));
            assert_eq!(all[1].2, [1; 5]);
        }
        let mut b = block(&[tagged(VLAN_VALID, 0)]);
        assert_eq!(read(&mut b, Reading { ethernet: false, ..PLAIN })[0].2, [7; 60], "no place is known for it");
    }

    #[test]
    fn sent_packets_are_passed_over_where_they_come_back() {
        let sent = || Frame { kind: PACKET_OUTGOING, ..frame(1, 60) };
        assert_eq!(read(&mut block(&[sent(), frame(2, 60)]), PLAIN).len(), 2);
        assert_eq!(read(&mut block(&[sent(), frame(2, 60)]), Reading { skip_outgoing: true, ..PLAIN }).len(), 1);
    }

    #[test]
    fn packets_are_counted_up_to_a_time() {
        // The header says nothing of times: each packet is looked at.
        let mut b = block(&[frame(1, 60), frame(2, 60), frame(3, 60)]);
        let at = |nanos: u64| Timestamp::from_nanos(1_700_000_000 * SECOND_NS + nanos);
        b[LAST_TIME..LAST_TIME + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(packets_before(&mut b, PLAIN, at(2)), Some(2));
        assert_eq!(packets_before(&mut b, PLAIN, at(9)), Some(3));
        // Or the header says that all came before, or none.
        b[LAST_TIME..LAST_TIME + 4].copy_from_slice(&1_600_000_000_u32.to_ne_bytes());
        assert_eq!(packets_before(&mut b, PLAIN, at(0)), Some(3));
        b[OPENED..OPENED + 4].copy_from_slice(&1_700_000_001_u32.to_ne_bytes());
        assert_eq!(packets_before(&mut b, PLAIN, at(0)), None);
    }

    #[test]
    fn the_snap_length_cuts_and_the_length_on_the_wire_stays() {
        let all = read(&mut block(&[frame(1, 60)]), Reading { snaplen: 20, ..PLAIN });
        assert_eq!((all[0].1, all[0].2.len()), (61, 20));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_block(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), first in 0..500_u32, next in 0..200_u32, skip: bool) {
            if bytes.len() > BLOCK_HEADER_LEN + 4 {
                bytes[FIRST_FRAME..FIRST_FRAME + 4].copy_from_slice(&first.to_ne_bytes());
                bytes[BLOCK_HEADER_LEN..BLOCK_HEADER_LEN + 4].copy_from_slice(&next.to_ne_bytes());
            }
            packets(&mut bytes, Reading { skip_outgoing: skip, ..PLAIN }, &mut |_| {});
            packets_before(&mut bytes, Reading { skip_outgoing: skip, ..PLAIN }, Timestamp::MAX);
        }
    }
}
