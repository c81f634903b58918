//! When connections begin, who opened them, and when they end.

use super::super::Ended;
use super::*;

#[test]
fn ports_are_used_again() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"one", 0);
    // A SYN that comes again, and one that fits nothing.
    w.tcp(Way::ToServer, SYN, CLIENT - 1, 0, b"");
    w.tcp(Way::ToServer, SYN, 77, 0, b"");
    w.client(3, b" more", 0);
    assert_eq!((w.log.opened.len(), w.log.text(0, Way::ToServer)), (1, "one more".into()));
    // Its answer shows that it was meant.
    w.tcp(Way::ToClient, SYN | ACK, 9999, 78, b"");
    assert_eq!((w.log.opened.len(), w.log.closed[0].1.ended), (2, Ended::Reused));
    // After a reset.
    w.tcp(Way::ToServer, RST, 78, 0, b"");
    w.tcp(Way::ToServer, SYN, 500, 0, b"");
    assert_eq!((w.log.opened.len(), w.log.closed[1].1.ended), (3, Ended::Reused));
    // A second attempt that was never answered.
    w.tcp(Way::ToServer, SYN, 600, 0, b"");
    assert_eq!(w.log.opened.len(), 4);
    w.tcp(Way::ToClient, SYN | ACK, 1, 601, b"");
    w.ms += 10_000;
    w.tcp(Way::ToServer, SYN, 700, 0, b"");
    assert_eq!(w.log.opened.len(), 5);
    assert!(w.log.opened.iter().zip(&w.log.opened[1..]).all(|(a, b)| a.id < b.id && a.key == b.key));
}

#[test]
fn a_handshake_may_come_in_any_order() {
    let mut w = Wire::new();
    w.tcp(Way::ToClient, SYN | ACK, SERVER - 1, CLIENT, b"");
    assert!(w.log.opened[0].late_start);
    w.tcp(Way::ToServer, SYN, CLIENT - 1, 0, b"");
    w.tcp(Way::ToClient, SYN | ACK, SERVER - 1, CLIENT, b"");
    w.tcp(Way::ToServer, ACK, CLIENT, SERVER, b"");
    w.client(0, b"a", 0);
    w.server(0, b"b", 1);
    let log = w.end();
    assert_eq!((log.opened.len(), log.text(0, Way::ToServer), log.text(0, Way::ToClient)), (1, "a".into(), "b".into()));
    assert!(!log.closed[0].0.late_start);
    assert_eq!((log.closed[0].1.state, log.closed[0].1.lost_bytes), ("S1", 0));
}

#[test]
fn idle_connections_are_forgotten() {
    for (packets, idle_ms, ended) in [(1, 60_000, Ended::Idle), (3, 300_000, Ended::Idle), (4, 5_000, Ended::Closed)] {
        let mut w = Wire::new();
        w.tcp(Way::ToServer, SYN, CLIENT - 1, 0, b"");
        if packets > 1 {
            w.tcp(Way::ToClient, SYN | ACK, SERVER - 1, CLIENT, b"");
            w.tcp(Way::ToServer, ACK, CLIENT, SERVER, b"");
        }
        if packets > 3 {
            w.tcp(Way::ToServer, RST, CLIENT, 0, b"");
        }
        w.ms += idle_ms - 1001;
        w.raw(228, &udp4(Way::ToServer, 1, 2, b""), 28);
        assert_eq!(w.log.closed.len(), 0);
        w.ms += 2002;
        w.raw(228, &udp4(Way::ToServer, 1, 2, b""), 28);
        assert_eq!(w.log.closed.iter().map(|c| c.1.ended).collect::<Vec<_>>(), [ended]);
        assert_eq!(w.flows.len(), 1);
    }
}

#[test]
fn a_packet_after_the_time_is_of_a_new_connection() {
    let mut w = Wire::new();
    w.raw(228, &udp4(Way::ToServer, 1000, 53, b"q"), 29);
    w.ms += 59_999;
    w.raw(228, &udp4(Way::ToClient, 53, 1000, b"a"), 29);
    w.ms += 60_000;
    w.raw(228, &udp4(Way::ToClient, 53, 1000, b"a"), 29);
    assert_eq!(w.log.opened.len(), 2);
    assert_eq!((w.log.closed[0].1.state, w.log.closed[0].1.duration_ns), ("SF", 59_999_000_000));
    assert_eq!(w.log.opened[1].client.port, 1000);
    let log = w.end();
    assert_eq!((log.closed[1].1.state, log.closed[1].1.history.as_str()), ("SHR", "^d"));
}

#[test]
fn the_one_that_would_be_forgotten_first_makes_room() {
    let mut w = Wire::with(Limits { connections: 10, ..Limits::default() });
    for port in 0..30 {
        w.client_port = port + 1;
        w.open();
        w.ms += 2000;
        // The first one stays busy.
        w.client_port = 1;
        w.client(u32::from(port), b"x", 0);
    }
    assert_eq!((w.flows.len(), w.log.limits["connections"]), (10, 20));
    assert!(w.log.closed.iter().all(|c| c.1.ended == Ended::Limit && c.0.client.port != 1));
    assert_eq!(w.log.closed.iter().map(|c| c.0.client.port).collect::<Vec<_>>(), (2..22).collect::<Vec<_>>());
    assert_eq!(w.end().text(0, Way::ToServer).len(), 30);
}

#[test]
fn tags_tell_connections_apart() {
    let mut w = Wire::new();
    let syn = tcp4(Way::ToServer, 40_000, SYN, 1, 0, b"");
    for tag in [&[][..], &[0x81, 0, 0, 5], &[0x81, 0, 0, 6], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7]] {
        let frame = [&[2; 12], tag, &[8, 0], &syn].concat();
        w.raw(1, &frame, frame.len());
    }
    assert_eq!(
        w.log.opened.iter().map(Connection::vlans).collect::<Vec<_>>(),
        [(None, None), (Some(5), None), (Some(6), None), (Some(5), Some(7))]
    );
    assert!(w.log.opened.iter().all(|c| c.community_id() == w.log.opened[0].community_id()));
    assert_ne!(w.log.opened[1].uid(), w.log.opened[2].uid());
}

#[test]
fn a_tunnel_s_udp_is_a_connection_too() {
    let mut w = Wire::new();
    let inner = [&[2; 12][..], &[8, 0], &tcp4(Way::ToServer, 40_000, SYN, 1, 0, b"")].concat();
    let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0], &inner[..]].concat();
    let outer = udp4(Way::ToServer, 5000, 4789, &vxlan);
    w.raw(228, &outer, outer.len());
    let log = w.end();
    assert_eq!(log.opened.iter().map(|c| (c.protocol, c.tunnel.map(|t| t.0))).collect::<Vec<_>>(), [(17, None), (6, Some(0))]);
    assert!(log.datagrams.is_empty());
    assert_eq!(log.closed[0].1.client.payload_bytes, vxlan.len() as u64);
}

#[test]
fn icmp_is_counted_by_type() {
    let mut w = Wire::new();
    for (way, kind) in [(Way::ToServer, 8), (Way::ToClient, 0), (Way::ToServer, 8), (Way::ToClient, 3)] {
        let packet = ip4(way, 1, &[kind, 1, 0, 0, 0, 0, 0, 0, 9, 9]);
        w.raw(228, &packet, packet.len());
    }
    let log = w.end();
    let facts: Vec<_> =
        log.closed.iter().map(|(c, s)| (c.client.port, c.server.port, s.client.packets, s.server.payload_bytes)).collect();
    assert_eq!(facts, [(8, 0, 2, 2), (3, 1, 1, 0)]);
}
