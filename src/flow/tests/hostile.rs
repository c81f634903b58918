//! Any bytes, and every prefix of sound packets: no panic, and bounded memory.

use super::*;
use proptest::prelude::*;

/// Sound packets of several kinds.
fn samples() -> Vec<(u16, Vec<u8>)> {
    let tcp = tcp4(Way::ToServer, 40_000, ACK, CLIENT, SERVER, b"payload of some length");
    let udp = udp4(Way::ToServer, 1000, 53, b"question");
    let ethernet = [&[2; 12][..], &[8, 0], &tcp].concat();
    let vxlan = udp4(Way::ToServer, 5000, 4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet[..]].concat());
    let tagged = [&[2; 12][..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0], &udp].concat();
    let gre = ip4(Way::ToServer, 47, &[&[0, 0, 8, 0], &tcp[..]].concat());
    let icmp = ip4(Way::ToServer, 1, &[8, 0, 0, 0, 0, 1, 0, 1]);
    let mut fragment = udp.clone();
    fragment[6] = 0x20;
    let mut six = vec![0x60, 0, 0, 0, 0, (udp.len() - 20 + 16) as u8, 0, 64];
    six.extend([1; 32]);
    six.extend([44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 7]);
    six.extend(&udp[20..]);
    vec![(228, tcp), (1, ethernet), (228, vxlan), (1, tagged), (101, gre), (228, icmp), (228, fragment), (229, six)]
}

#[test]
fn every_prefix_of_sound_packets_is_taken() {
    let mut w = Wire::new();
    for (link_type, packet) in samples() {
        for end in 0..=packet.len() {
            w.raw(link_type, &packet[..end], packet.len());
            w.raw(link_type, &packet[..end], end);
            w.ms += 1;
        }
    }
    w.end();
    assert_eq!(w.log.opened.len(), w.log.closed.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn sound_packets_with_random_bytes_are_taken(
        edits in proptest::collection::vec((0..8_usize, proptest::collection::vec((0..120_usize, any::<u8>()), 0..5), 0..120_usize, 0..400_u64), 1..40)
    ) {
        let samples = samples();
        let mut w = Wire::with(Limits { stream_bytes: 2000, waiting_bytes: 4000, connections: 5, fragments: 2, fragment_bytes: 200, kept_bytes: 50, kept_bytes_all: 120, ..Limits::default() });
        w.log.forgetful = true;
        for (sample, bytes, cut, ms) in edits {
            let (link_type, mut packet) = samples[sample].clone();
            for (at, b) in bytes {
                if let Some(x) = packet.get_mut(at) {
                    *x = b;
                }
            }
            let length = packet.len();
            packet.truncate(length.saturating_sub(cut / 4));
            w.ms += ms;
            w.raw(link_type, &packet, length);
            prop_assert!(w.flows.len() <= 5);
            prop_assert!(w.flows.waiting_bytes() <= 4000 + 2000);
            prop_assert!(w.flows.kept_bytes() <= 120);
        }
        w.end();
        prop_assert_eq!(w.log.opened.len(), w.log.closed.len());
        prop_assert_eq!((w.flows.waiting_bytes(), w.flows.kept_bytes()), (0, 0));
    }

    /// One connection, and segments anywhere in it.
    #[test]
    fn random_segments_are_taken(
        segments in proptest::collection::vec((any::<bool>(), 0..64_u8, prop_oneof![0..5000_u32, any::<u32>()], prop_oneof![0..5000_u32, any::<u32>()], 0..300_usize, 0..300_u64), 1..60)
    ) {
        let mut w = Wire::with(Limits { stream_bytes: 2000, waiting_bytes: 3000, kept_bytes: 500, ..Limits::default() });
        w.log.forgetful = true;
        for (to_server, flags, sequence, ack, length, ms) in segments {
            w.ms += ms;
            let way = if to_server { Way::ToServer } else { Way::ToClient };
            w.tcp(way, flags, sequence, ack, &vec![flags; length]);
            prop_assert!(w.flows.waiting_bytes() <= 3000 + 2000);
        }
        w.end();
        // What is told of a direction is contiguous.
        let mut next = BTreeMap::new();
        for (way, offset, length, ..) in w.log.order.iter().filter(|_| w.log.opened.len() == 1) {
            let n = next.entry(*way == Way::ToServer).or_insert(0);
            prop_assert_eq!(*offset, *n);
            *n += length;
        }
        prop_assert_eq!((w.flows.waiting_bytes(), w.flows.kept_bytes()), (0, 0));
    }
}

#[test]
fn tiny_segments_before_a_hole_cost_no_more_than_the_bound() {
    let mut w = Wire::new();
    w.log.forgetful = true;
    w.open();
    for i in 0..200_000_u32 {
        w.client(1 + 2 * i, b"x", 0);
        assert!(w.flows.waiting_bytes() <= (4 << 20) + 1000);
    }
    assert!(w.log.limits["stream_bytes"] > 0);
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let mut w = Wire::with(Limits { connections: 50, ..Limits::default() });
    w.log.forgetful = true;
    for i in 0..100_000_u32 {
        // The same ports again and again, with something that waits, and no time passes.
        w.tcp(Way::ToServer, SYN, i * 1000, 0, b"");
        w.tcp(Way::ToServer, ACK, i * 1000 + 5, 1, b"x");
        if i % 1000 == 0 {
            (w.log.opened, w.log.closed, w.log.order) = Default::default();
        }
    }
    assert_eq!(w.flows.len(), 1);
    let (planned, to_wake) = w.flows.queued();
    assert!(planned < 10_000 && to_wake < 10_000, "{planned} {to_wake}");
}
