//! Order, loss and copies, on connections made by hand.

use super::*;

#[test]
fn bytes_come_in_order_whatever_the_packets_do() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"hello ", 0);
    w.client(12, b"!", 0);
    w.client(6, b"world", 0);
    w.client(6, b"world", 0);
    w.client(9, b"ld?", 0);
    w.server(0, b"yes", 13);
    let log = w.end();
    assert_eq!((log.text(0, Way::ToServer), log.text(0, Way::ToClient)), ("hello world?!".into(), "yes".into()));
    assert!(log.conflicts.is_empty() && log.limits.is_empty());
}

#[test]
fn an_acknowledged_hole_is_lost_after_100_ms_and_not_before() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"aa", 0);
    w.client(4, b"cc", 0);
    w.ms += 5000;
    w.client(6, b"dd", 0);
    assert_eq!(w.log.text(0, Way::ToServer), "aa", "nobody has acknowledged it");
    w.server(0, b"", 8);
    w.ms += 99;
    w.server(0, b"", 8);
    assert_eq!(w.log.text(0, Way::ToServer), "aa");
    w.client(2, b"b", 0);
    assert_eq!(w.log.text(0, Way::ToServer), "aab", "it may still come");
    w.ms += 1;
    w.server(0, b"", 8);
    assert_eq!(w.log.text(0, Way::ToServer), "aab_ccdd");
    w.client(2, b"bb", 0);
    let log = w.end();
    assert_eq!(log.order.iter().filter(|o| o.3 == Some(Loss::NotCaptured)).count(), 1);
    assert_eq!((log.closed[0].1.lost_bytes, log.closed[0].1.late_bytes, log.closed[0].1.missed_bytes), (1, 1, 1));
    assert_eq!(log.closed[0].1.history, "ShADaTG");
}

#[test]
fn time_passes_with_the_packets_of_others() {
    let mut w = Wire::new();
    w.open();
    w.client(2, b"bb", 0);
    w.server(0, b"", 4);
    w.ms += 300;
    w.client_port = 40_001;
    w.tcp(Way::ToServer, SYN, 1, 0, b"");
    assert_eq!(w.log.text(0, Way::ToServer), "__bb");
}

#[test]
fn an_acknowledged_hole_is_lost_after_1_mib() {
    let mut w = Wire::new();
    w.open();
    w.server(0, b"", 1);
    for i in 0..800 {
        w.client(1 + i * 1460, &[b'x'; 1460], 0);
    }
    assert!(w.log.text(0, Way::ToServer).starts_with("_xxx"));
    assert!(w.log.limits.is_empty());
}

#[test]
fn an_unacknowledged_hole_is_lost_at_the_bound() {
    let mut w = Wire::with(Limits { stream_bytes: 20_000, ..Limits::default() });
    w.open();
    for i in 0..20 {
        w.client(1 + i * 1460, &[b'x'; 1460], 0);
    }
    assert!(w.log.text(0, Way::ToServer).starts_with("_xxx"));
    assert_eq!(w.log.order[0].3, Some(Loss::Limit));
    assert_eq!(w.log.limits["stream_bytes"], 1);
    // All connections together.
    let mut w = Wire::with(Limits { waiting_bytes: 20_000, ..Limits::default() });
    for port in 0..10 {
        w.client_port = 50_000 + port;
        w.open();
        w.client(1, &[b'x'; 5000], 0);
    }
    assert_eq!(w.log.limits["waiting_bytes"], 7);
    assert_eq!(w.end().streams.len(), 10);
}

#[test]
fn one_sided_captures_wait_a_second_or_1_mib_and_hold_nothing() {
    let mut w = Wire::new();
    w.server(0, b"aa", 77);
    w.server(4, b"cc", 99_999);
    w.ms += 999;
    w.server(6, b"dd", 99_999);
    assert_eq!(w.log.text(0, Way::ToClient), "aa");
    w.ms += 200;
    w.client_port = 1;
    w.tcp(Way::ToServer, SYN, 1, 0, b"");
    assert_eq!(w.log.text(0, Way::ToClient), "aa__ccdd");
    let mut w = Wire::new();
    w.server(0, b"a", 0);
    for i in 0..800 {
        w.server(2 + i * 1460, &[b'x'; 1460], 0);
    }
    assert!(w.log.text(0, Way::ToClient).starts_with("a_x"));
}

#[test]
fn an_answer_never_overtakes_its_request() {
    let mut w = Wire::new();
    w.open();
    w.server(0, b"answer", 7);
    w.ms += 50;
    w.client(0, b"request", 0);
    let ways: Vec<_> = w.log.order.iter().map(|o| o.0).collect();
    assert_eq!(ways, [Way::ToServer, Way::ToClient]);
    // The request is in no packet.
    w.server(6, b"more", 14);
    w.ms += 99;
    w.client(14, b"", 10);
    assert_eq!(w.log.text(0, Way::ToClient), "answer");
    w.ms += 2;
    w.client(14, b"", 10);
    assert_eq!((w.log.text(0, Way::ToServer), w.log.text(0, Way::ToClient)), ("request_______".into(), "answermore".into()));
    assert_eq!(w.log.order.last().map(|o| (o.0, o.3)), Some((Way::ToClient, None)));
}

#[test]
fn a_fin_is_no_byte() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"ab", 0);
    w.tcp(Way::ToServer, FIN | ACK, CLIENT + 2, SERVER, b"");
    w.tcp(Way::ToClient, FIN | ACK, SERVER, CLIENT + 3, b"bye");
    w.tcp(Way::ToServer, ACK, CLIENT + 3, SERVER + 4, b"");
    w.ms += 6001;
    w.client_port = 1;
    w.tcp(Way::ToServer, SYN, 1, 0, b"");
    let (_, s) = &w.log.closed[0];
    assert_eq!((s.state, s.lost_bytes, s.ended), ("SF", 0, super::super::Ended::Closed));
    assert_eq!((w.log.text(0, Way::ToServer), w.log.text(0, Way::ToClient)), ("ab".into(), "bye".into()));
    // Nor is one that was not captured.
    let mut w = Wire::new();
    w.open();
    w.client(0, b"ab", 0);
    w.server(0, b"bye", 3);
    w.ms += 200;
    w.server(3, b"", 3);
    assert_eq!(w.log.text(0, Way::ToClient), "bye");
    assert_eq!((w.end().text(0, Way::ToServer), w.log.closed[0].1.lost_bytes), ("ab".into(), 0));
}

#[test]
fn what_a_fin_says_is_missing_is_told_at_the_end() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"ab", 0);
    w.tcp(Way::ToServer, FIN | ACK, CLIENT + 5, SERVER, b"");
    assert_eq!(w.end().text(0, Way::ToServer), "ab___");
}

#[test]
fn cut_bytes_are_holes_at_true_offsets() {
    let mut w = Wire::new();
    w.open();
    w.snap = 44;
    w.client(0, b"abcdefgh", 0);
    w.client(8, b"ijklmnop", 0);
    w.snap = usize::MAX;
    w.client(16, b"qr", 0);
    assert_eq!(w.log.text(0, Way::ToServer), "abcd____ijkl____qr");
    assert!(w.log.order.iter().all(|o| o.3.is_none_or(|l| l == Loss::Snapped)));
    // A whole copy that comes before the stream gets there fills them.
    w.snap = 44;
    w.client(20, b"uvwxyz", 0);
    w.snap = usize::MAX;
    w.client(20, b"uvwxyz", 0);
    w.client(18, b"st", 0);
    assert!(w.log.text(0, Way::ToServer).ends_with("qrstuvwxyz"));
}

#[test]
fn a_copy_of_delivered_bytes_that_differs_is_told() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"abcdefgh", 0);
    w.client(2, b"cXXf", 0);
    w.client(0, b"abcdefgh", 0);
    assert_eq!(w.log.conflicts, [(Way::ToServer, 3, b"XX".to_vec(), true, true, Some(true), Some(true))]);
    let mut wrong = tcp4(Way::ToServer, w.client_port, ACK, CLIENT + 8, SERVER, b"ijkl");
    wrong[36] ^= 1;
    w.raw(228, &wrong, wrong.len());
    w.client(8, b"ijkL", 0);
    assert_eq!(w.log.conflicts[1], (Way::ToServer, 11, b"L".to_vec(), true, true, Some(false), Some(true)));
    assert_eq!(w.log.text(0, Way::ToServer), "abcdefghijkl", "bad checksums discard nothing");
}

#[test]
fn of_waiting_copies_the_only_valid_one_wins() {
    for (bad_first, want) in [(true, "ab22222"), (false, "ab11111")] {
        let mut w = Wire::new();
        w.open();
        let mut first = tcp4(Way::ToServer, w.client_port, ACK, CLIENT + 2, SERVER, b"11111");
        if bad_first {
            first[37] ^= 1;
        }
        w.raw(228, &first, first.len());
        w.client(2, b"22222", 0);
        w.client(0, b"ab", 0);
        assert_eq!(w.log.text(0, Way::ToServer), want);
        let kept = if bad_first { b"11111" } else { b"22222" };
        assert_eq!(w.log.conflicts, [(Way::ToServer, 2, kept.to_vec(), false, !bad_first, Some(!bad_first), Some(true))]);
    }
}

#[test]
fn keep_alives_and_probes_are_nothing() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"ab", 0);
    w.server(0, b"", 2);
    w.client(1, b"\0", 0);
    w.client(1, b"", 0);
    w.server(0, b"", 2);
    w.client(2, b"c", 0);
    w.server(0, b"", 2);
    w.client(2, b"cdef", 0);
    let log = w.end();
    assert_eq!((log.text(0, Way::ToServer), log.conflicts.len()), ("abcdef".into(), 0));
    // Also as the first packets held.
    for keep_alive in [&b""[..], b"\0"] {
        let mut w = Wire::new();
        w.server(0, b"", 2);
        w.client(1, keep_alive, 0);
        w.server(0, b"", 2);
        w.client(2, b"cd", 0);
        w.server(0, b"", 4);
        let log = w.end();
        assert_eq!((log.text(0, Way::ToServer), log.closed[0].1.lost_bytes), ("cd".into(), 0));
    }
}

#[test]
fn sequence_numbers_wrap_and_streams_outgrow_them() {
    let mut w = Wire::new();
    w.log.forgetful = true;
    let start = u32::MAX - 3;
    w.tcp(Way::ToServer, SYN, start - 1, 0, b"");
    w.tcp(Way::ToClient, SYN | ACK, SERVER - 1, start, b"");
    // Offload: no length, and a snap length cuts most of it.
    let mut sequence = start;
    for _ in 0..60 {
        let mut packet = tcp4(Way::ToServer, w.client_port, ACK, sequence, SERVER, b"abcd");
        packet[2..4].copy_from_slice(&[0, 0]);
        w.raw(228, &packet, 100_000_040);
        sequence = sequence.wrapping_add(100_000_000);
        w.tcp(Way::ToClient, ACK, SERVER, sequence, b"");
    }
    let last = w.log.order.last().copied();
    assert_eq!(last.map(|o| (o.1, o.2, o.3)), Some((5_900_000_004, 99_999_996, Some(Loss::Snapped))));
    assert_eq!(w.end().closed[0].1.client.payload_bytes, 6_000_000_000);
}

#[test]
fn what_lies_far_away_is_no_part_of_the_stream() {
    let mut w = Wire::new();
    w.open();
    w.client(0, b"ab", 0);
    w.client(1_500_000_000, b"xx", 0);
    w.server(0, b"", 1_500_000_000);
    w.client(u32::MAX - 4, b"old", 0);
    w.client(2, b"cd", 0);
    w.ms += 1000;
    w.client(4, b"ef", 0);
    let log = w.end();
    assert_eq!((log.text(0, Way::ToServer), log.limits["jump_bytes"]), ("abcdef".into(), 2));
    assert_eq!(log.closed[0].1.stray_bytes, 5);
}

#[test]
fn a_late_start_begins_with_the_first_byte_held() {
    let mut w = Wire::new();
    w.server(100, b"answer", 60);
    w.client(60, b"next", 106);
    w.client(50, b"before that", 0);
    let log = w.end();
    let (c, s) = &log.closed[0];
    assert!(c.late_start);
    assert_eq!((c.client.port, c.server.port), (40_000, 445));
    assert_eq!((log.text(0, Way::ToServer), log.text(0, Way::ToClient)), ("next".into(), "answer".into()));
    assert_eq!((s.state, s.history.as_str(), s.stray_bytes), ("OTH", "^dDT", 10));
}

#[test]
fn unwanted_bytes_are_neither_told_nor_kept() {
    let mut w = Wire::new();
    w.log.interest = Some(Interest::Undecided);
    w.open();
    w.client(0, b"ab", 0);
    assert_eq!(w.log.asked, 2);
    w.log.interest = Some(Interest::Unwanted);
    w.client(2, b"cd", 0);
    assert_eq!(w.log.asked, 3);
    w.client(4, b"ef", 0);
    w.client(8, b"ij", 0);
    w.server(0, b"xyz", 10);
    w.ms += 200;
    w.client(10, b"", 3);
    assert_eq!((w.log.asked, w.log.text(0, Way::ToServer), w.log.text(0, Way::ToClient)), (3, "abcd".into(), String::new()));
    let log = w.end();
    assert_eq!((log.closed[0].1.lost_bytes, log.closed[0].1.client.payload_bytes), (2, 10));
}

#[test]
fn a_syn_may_carry_bytes() {
    let mut w = Wire::new();
    w.tcp(Way::ToServer, SYN, CLIENT - 1, 0, b"early");
    w.tcp(Way::ToClient, SYN | ACK, SERVER - 1, CLIENT + 5, b"");
    w.client(5, b" late", 0);
    assert_eq!(w.end().text(0, Way::ToServer), "early late");
}

#[test]
fn each_fragment_s_bytes_are_of_its_packet() {
    let mut w = Wire::new();
    w.open();
    let packet = tcp4(Way::ToServer, w.client_port, ACK, CLIENT, SERVER, b"0123456789abcdef");
    for (offset, end, more) in [(24, 36, 0_u8), (0, 24, 0x20)] {
        let mut part = ip4(Way::ToServer, 6, &packet[20 + offset..20 + end]);
        part[6] = more;
        part[7] = (offset / 8) as u8;
        w.raw(228, &part, part.len());
    }
    assert_eq!(w.log.text(0, Way::ToServer), "0123456789abcdef");
    assert_eq!(w.log.order.iter().map(|o| (o.1, o.4)).collect::<Vec<_>>(), [(0, 5), (4, 4)]);
}
