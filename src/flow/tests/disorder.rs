//! One conversation, many packetisations: lost, repeated, out of order, cut anew. What was captured comes out, in order, and nothing else.

use super::*;
use proptest::prelude::*;

/// A packet of the conversation, before disorder.
#[derive(Clone, Debug)]
struct Sent {
    to_server: bool,
    offset: u32,
    length: u32,
    acked: u32,
    ms: u64,
}

/// Requests and answers; segments of random sizes.
fn conversation() -> impl Strategy<Value = Vec<Sent>> {
    proptest::collection::vec((1..3000_u32, 1..3000_u32, 1..1461_u32), 1..8).prop_map(|turns| {
        let (mut sent, mut offsets, mut ms) = (Vec::new(), [0, 0], 0);
        for (request, answer, size) in turns {
            for (to_server, mut left) in [(true, request), (false, answer)] {
                let own = usize::from(!to_server);
                while left > 0 {
                    let length = left.min(size);
                    sent.push(Sent { to_server, offset: offsets[own], length, acked: offsets[1 - own], ms });
                    offsets[own] += length;
                    left -= length;
                    ms += 1;
                }
                // It is acknowledged, too, without bytes.
                sent.push(Sent { to_server: !to_server, offset: offsets[1 - own], length: 0, acked: offsets[own], ms });
            }
        }
        sent
    })
}

fn byte(to_server: bool, offset: u32) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 24) as u8 ^ u8::from(to_server)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_was_captured_comes_out(
        sent in conversation(),
        fates in proptest::collection::vec((0..20_u8, 0..40_u64), 200),
        base: u32,
        syn: bool,
        loss in 0..3_u8,
    ) {
        // (when it is captured, packet)
        let mut captured: Vec<(u64, Sent)> = Vec::new();
        let mut seen = [vec![false; 40_000], vec![false; 40_000]];
        for (s, (fate, delay)) in sent.iter().zip(fates.iter().cycle()) {
            let kept = *fate >= loss;
            if kept {
                captured.push((s.ms + delay, s.clone()));
                seen[usize::from(!s.to_server)][s.offset as usize..(s.offset + s.length) as usize].fill(true);
            }
            if kept && *fate > 17 && s.length > 2 {
                // Again, its middle, later.
                captured.push((s.ms + delay + 10, Sent { offset: s.offset + 1, length: s.length - 2, ..s.clone() }));
            }
        }
        captured.sort_by_key(|c| c.0);
        let bases = [base, base.wrapping_mul(31)];
        let mut w = Wire::new();
        let start = w.ms;
        if syn {
            w.tcp(Way::ToServer, SYN, bases[0].wrapping_sub(1), 0, b"");
            w.tcp(Way::ToClient, SYN | ACK, bases[1].wrapping_sub(1), bases[0], b"");
        }
        for (ms, s) in &captured {
            w.ms = start + ms;
            let (way, own) = if s.to_server { (Way::ToServer, 0) } else { (Way::ToClient, 1) };
            let bytes: Vec<u8> = (s.offset..s.offset + s.length).map(|o| byte(s.to_server, o)).collect();
            w.tcp(way, ACK, bases[own].wrapping_add(s.offset), bases[1 - own].wrapping_add(s.acked), &bytes);
        }
        let log = w.end();
        prop_assert!(log.conflicts.is_empty());
        prop_assert!(log.opened.len() <= 1);
        prop_assert_eq!(log.closed.len(), log.opened.len());
        if !syn {
            return Ok(());
        }
        for (to_server, seen) in [true, false].into_iter().zip(&seen) {
            let none = Vec::new();
            let told = log.streams.get(&(0, to_server)).unwrap_or(&none);
            let end = seen.iter().rposition(|s| *s).map_or(0, |p| p + 1);
            prop_assert!(told.len() >= end);
            for (o, b) in told.iter().enumerate() {
                let want = seen[o].then(|| byte(to_server, o as u32));
                prop_assert_eq!(*b, want, "{} {}", to_server, o);
            }
        }
        // Bytes never come before those of the other direction that their packet acknowledges; a last one may be a FIN.
        let mut reached = [0_u64; 2];
        for (way, offset, length, gap, number) in &log.order {
            let own = usize::from(*way == Way::ToClient);
            if gap.is_none() {
                let packet = &captured[*number as usize - 3].1;
                let acknowledged = u64::from(packet.acked);
                prop_assert!(reached[1 - own] + 1 >= acknowledged, "{:?} at {} acknowledges {}: {:?}", way, offset, acknowledged, reached);
            }
            reached[own] = offset + length;
        }
    }
}
