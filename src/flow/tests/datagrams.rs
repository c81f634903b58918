//! UDP, and datagrams in fragments.

use super::*;
use proptest::prelude::*;

/// An IPv4 packet in fragments whose payloads begin at these multiples of eight.
fn fragments4(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let payload = &packet[20..];
    let mut starts: Vec<usize> = std::iter::once(0).chain(cuts.iter().copied()).filter(|c| c * 8 < payload.len()).collect();
    starts.sort_unstable();
    starts.dedup();
    let ends = starts[1..].iter().map(|s| s * 8).chain([payload.len()]);
    let part = |(start, end): (&usize, usize)| {
        let mut v = [&packet[..20], &payload[start * 8..end]].concat();
        v[2..4].copy_from_slice(&((20 + end - start * 8) as u16).to_be_bytes());
        let field = *start as u16 | if end < payload.len() { 0x2000 } else { 0 };
        v[6..8].copy_from_slice(&field.to_be_bytes());
        v
    };
    starts.iter().zip(ends).map(part).collect()
}

#[test]
fn udp_tells_its_bytes_and_how_many_were_cut() {
    let mut w = Wire::new();
    let packet = udp4(Way::ToServer, 1000, 53, b"question");
    w.raw(228, &packet, packet.len());
    w.raw(228, &packet[..31], packet.len());
    w.raw(228, &packet[..27], packet.len());
    // What follows a datagram in its frame is no part of it.
    let padded = [&[2; 12], &[8, 0][..], &packet, b"padding"].concat();
    w.raw(1, &padded, padded.len());
    let log = w.end();
    let all = (Way::ToServer, b"question".to_vec(), 0);
    assert_eq!(log.datagrams, [all.clone(), (Way::ToServer, b"que".to_vec(), 5), all]);
    assert_eq!((log.closed[0].1.client.packets, log.closed[0].1.client.payload_bytes), (3, 24));
}

#[test]
fn unwanted_datagrams_are_only_counted() {
    let mut w = Wire::new();
    w.log.interest = Some(Interest::Unwanted);
    let packet = udp4(Way::ToServer, 1000, 53, b"q");
    w.raw(228, &packet, packet.len());
    w.raw(228, &packet, packet.len());
    assert_eq!((w.log.datagrams.len(), w.log.asked), (0, 1));
    assert_eq!(w.end().closed[0].1.client.packets, 2);
}

#[test]
fn fragments_of_ip6_are_joined() {
    let mut w = Wire::new();
    let udp = &udp4(Way::ToServer, 1000, 53, b"0123456789abcdef")[20..];
    let addresses = [[0xfd; 16], [0xfe; 16]].concat();
    let part = |offset: usize, end: usize, more: u8| {
        let mut v = vec![0x60, 0, 0, 0, 0, (16 + end - offset) as u8, 60, 64];
        v.extend(&addresses);
        // Destination options, then the fragment header.
        v.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        v.extend([17, 0, 0, offset as u8 | more, 0, 0, 0, 9]);
        v.extend(&udp[offset..end]);
        v
    };
    for packet in [part(16, 24, 0), part(0, 8, 1), part(8, 16, 1)] {
        w.raw(229, &packet, packet.len());
    }
    let log = w.end();
    assert_eq!(log.datagrams, [(Way::ToServer, b"0123456789abcdef".to_vec(), 0)]);
    assert_eq!(log.closed[0].1.client.ip_bytes, 40 + 8 + 24);
}

#[test]
fn fragments_that_overlap_or_are_late_or_too_many_are_dropped() {
    let packet = udp4(Way::ToServer, 1000, 53, &[7; 100]);
    let parts = fragments4(&packet, &[2, 5]);
    let mut w = Wire::new();
    for p in [&parts[0], &parts[0], &parts[1]] {
        w.raw(228, p, p.len());
    }
    assert_eq!(w.log.limits["overlapping_fragment"], 1);
    w.ms += 30_001;
    w.raw(228, &parts[2], parts[2].len());
    assert!(w.log.datagrams.is_empty());
    let mut w = Wire::with(Limits { fragments: 3, fragment_bytes: 1000, ..Limits::default() });
    for id in 0..10 {
        let mut p = parts[0].clone();
        p[5] = id;
        w.raw(228, &p, p.len());
    }
    assert_eq!(w.log.limits["fragments"], 7);
    for id in 0..10 {
        let mut p = fragments4(&udp4(Way::ToServer, 1, 2, &[7; 600]), &[70])[0].clone();
        p[5] = id;
        w.raw(228, &p, p.len());
    }
    assert!(w.log.limits["fragments"] > 10);
    // Cut by a snap length, what was captured before the cut counts.
    let mut w = Wire::new();
    for p in &parts {
        w.raw(228, &p[..30], p.len());
    }
    assert_eq!(w.log.datagrams, [(Way::ToServer, vec![7; 2], 98)]);
}

#[test]
fn a_tunnel_in_fragments_is_looked_into_and_keeps_its_tags() {
    let mut w = Wire::new();
    let inner = udp4(Way::ToServer, 1000, 53, b"question");
    let outer = ip4(Way::ToClient, 4, &inner);
    for p in fragments4(&outer, &[1, 3]) {
        let frame = [&[2; 12][..], &[0x81, 0, 0, 9, 8, 0], &p].concat();
        w.raw(1, &frame, frame.len());
    }
    assert_eq!(w.log.datagrams, [(Way::ToServer, b"question".to_vec(), 0)]);
    let packet = fragments4(&inner, &[1]);
    for p in packet {
        let frame = [&[2; 12][..], &[0x81, 0, 0, 9, 8, 0], &p].concat();
        w.raw(1, &frame, frame.len());
    }
    assert_eq!(w.log.opened[1].vlans(), (Some(9), None));
}

proptest! {
    #[test]
    fn fragments_in_any_order_are_the_datagram(
        length in 1..400_usize,
        cuts in proptest::collection::vec(1..50_usize, 0..8),
        order in proptest::collection::vec(any::<u32>(), 10),
    ) {
        let payload: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
        let packet = udp4(Way::ToServer, 1000, 53, &payload);
        let mut parts: Vec<_> = fragments4(&packet, &cuts).into_iter().zip(order).collect();
        parts.sort_by_key(|p| p.1);
        let mut w = Wire::new();
        for (p, _) in &parts {
            w.raw(228, p, p.len());
        }
        prop_assert_eq!(&w.log.datagrams, &[(Way::ToServer, payload, 0)]);
        prop_assert!(w.log.limits.is_empty());
    }
}
