//! Conversations built PDU by PDU: split, cut, lost, sealed, hostile.

use super::super::described::Described;
use super::super::uuid::Uuid;
use super::super::{Auth, atsvc};
use super::*;
use crate::time::Timestamp;
use proptest::prelude::*;
use std::ops::Range;

fn at(n: u64) -> PacketRef {
    PacketRef { time: Timestamp::from_nanos(n * 1_000_000), number: n, source: 0, position: 0 }
}

fn pdu(kind: u8, flags: u8, call_id: u32, body: &[u8], verifier: &[u8]) -> Vec<u8> {
    let mut out = vec![5, 0, kind, flags, 0x10, 0, 0, 0];
    out.extend(((16 + body.len() + verifier.len()) as u16).to_le_bytes());
    out.extend((verifier.len().saturating_sub(8) as u16).to_le_bytes());
    out.extend(call_id.to_le_bytes());
    out.extend(body);
    out.extend(verifier);
    out
}

fn wire(uuid: Uuid) -> [u8; 16] {
    Uuid::from_wire(&uuid.0, true).0
}

fn bind(interface: Uuid) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend([3, 0, 0, 0]);
    let mut negotiation = [0; 16];
    negotiation[..8].copy_from_slice(&FEATURE_NEGOTIATION);
    for (context, transfer) in [(0_u16, NDR32), (1, NDR64), (2, Uuid(negotiation))] {
        body.extend(context.to_le_bytes());
        body.extend([1, 0]);
        body.extend(wire(interface));
        body.extend([1, 0, 0, 0]);
        body.extend(wire(transfer));
        body.extend([1, 0, 0, 0]);
    }
    pdu(11, 3, 1, &body, &[])
}

/// NDR32 is refused, NDR64 taken, features negotiated: as Windows answers.
fn bind_ack() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend([12, 0]);
    body.extend(b"\\PIPE\\atsvc\0\0\0");
    body.extend([3, 0, 0, 0]);
    body.extend([2, 0, 2, 0]);
    body.extend([0; 20]);
    body.extend([0; 4]);
    body.extend(wire(NDR64));
    body.extend([1, 0, 0, 0]);
    body.extend([3, 0, 3, 0]);
    body.extend([0; 20]);
    pdu(12, 3, 1, &body, &[])
}

fn request(flags: u8, call_id: u32, context: u16, opnum: u16, stub: &[u8]) -> Vec<u8> {
    pdu(0, flags, call_id, &[&[0; 4], &context.to_le_bytes()[..], &opnum.to_le_bytes(), stub].concat(), &[])
}

fn response(flags: u8, call_id: u32, context: u16, stub: &[u8]) -> Vec<u8> {
    pdu(2, flags, call_id, &[&[0; 4], &context.to_le_bytes()[..], &[0; 2], stub].concat(), &[])
}

fn string64(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let mut out: Vec<u8> = [units.len() as u64, 0, units.len() as u64].iter().flat_map(|n| n.to_le_bytes()).collect();
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// NetrJobAdd in NDR64.
fn job_add(command: &str) -> Vec<u8> {
    let mut stub = 1_u64.to_le_bytes().to_vec();
    stub.extend(string64("\\\\host"));
    stub.extend(36_000_000_u64.to_le_bytes());
    stub.extend(3_u32.to_le_bytes());
    stub.extend([0x7f, 1, 0, 0]);
    stub.extend(2_u64.to_le_bytes());
    stub.extend(string64(command));
    stub
}

fn calls(out: &[RpcEvent]) -> Vec<&Call> {
    out.iter().filter_map(|e| if let RpcEvent::Call(c) = e { Some(c.as_ref()) } else { None }).collect()
}

fn odd(out: &[RpcEvent]) -> Vec<&'static str> {
    out.iter().filter_map(|e| if let RpcEvent::Odd(name) = e { Some(*name) } else { None }).collect()
}

fn new() -> Association {
    Association::new(Limits::default())
}

/// A job that is added, its request in three fragments, and its answer.
fn conversation() -> Vec<(Way, Vec<u8>)> {
    let stub = job_add("cmd /c echo \u{fc}");
    let (a, rest) = stub.split_at(17);
    let (b, c) = rest.split_at(40);
    vec![
        (Way::ToServer, bind(atsvc::INTERFACE)),
        (Way::ToClient, bind_ack()),
        (Way::ToServer, [request(1, 2, 1, 0, a), request(0, 2, 1, 0, b)].concat()),
        (Way::ToServer, request(2, 2, 1, 0, c)),
        (Way::ToClient, response(3, 2, 1, &[5, 0, 0, 0, 0, 0, 0, 0])),
    ]
}

#[test]
fn a_call_in_fragments() {
    let (mut association, mut out) = (new(), Vec::new());
    for (n, (way, bytes)) in conversation().iter().enumerate() {
        association.push(*way, bytes, at(n as u64 + 1), &mut out);
    }
    let [RpcEvent::Bound(refused), RpcEvent::Bound(bound), RpcEvent::Call(call)] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!((refused.context, refused.accepted, refused.ndr64), (Some(0), Some(false), None));
    assert_eq!((bound.context, bound.accepted, bound.ndr64), (Some(1), Some(true), Some(true)));
    assert_eq!(bound.secondary_address.as_deref(), Some("\\PIPE\\atsvc"));
    assert_eq!((call.interface.unwrap().uuid, call.opnum, call.ndr64), (atsvc::INTERFACE, 0, Some(true)));
    assert_eq!((call.asked, call.answered, call.round_trip_ns()), (at(3), Some(at(5)), Some(2_000_000)));
    assert!(call.request_whole && call.response_whole && !call.sealed);
    let arguments = call.arguments.as_ref().unwrap();
    assert_eq!(arguments["command"], "cmd /c echo \u{fc}");
    assert_eq!(arguments["job_time_ms"], 36_000_000);
    assert_eq!(arguments["answer"]["file"], "At5.job");
    assert!(arguments.get("cut").is_none());
    let Some(Described::ScheduledTask(task)) = &call.described else { panic!() };
    assert_eq!((task.path.as_deref(), task.job_id, task.succeeded), (Some("At5.job"), Some(5), Some(true)));
    association.end(&mut out);
    assert_eq!(out.len(), 3);
}

#[test]
fn a_fault_and_a_call_without_answer() {
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToServer, &bind(atsvc::INTERFACE), at(1), &mut out);
    association.push(Way::ToServer, &request(3, 2, 0, 9, b"xx"), at(2), &mut out);
    association.push(Way::ToServer, &request(3, 3, 0, 8, b""), at(3), &mut out);
    association.push(Way::ToClient, &pdu(3, 3, 2, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x1c, 0, 0, 0, 0], &[]), at(4), &mut out);
    association.end(&mut out);
    let told = calls(&out);
    assert_eq!((told[0].opnum, told[0].fault, told[0].answered), (9, Some(0x1c01_0002), Some(at(4))));
    assert_eq!((told[1].opnum, told[1].fault, told[1].answered), (8, None, None));
    // Without a bind_ack the only syntax offered in the context is the one.
    assert_eq!(told[0].ndr64, Some(false));
    let open = out.iter().filter(|e| matches!(e, RpcEvent::Bound(b) if b.accepted.is_none())).count();
    assert_eq!(open, 2);
}

#[test]
fn a_late_start_has_no_interface_unless_the_trailer_tells_it() {
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToServer, &request(3, 9, 1, 0, &job_add("x")), at(1), &mut out);
    association.push(Way::ToClient, &response(3, 9, 1, &[1, 0, 0, 0, 0, 0, 0, 0]), at(2), &mut out);
    let call = calls(&out)[0];
    assert_eq!((call.interface, call.ndr64, &call.arguments), (None, None, &None));
    out.clear();
    let mut stub = job_add("x");
    stub.extend([0x8a, 0xe3, 0x13, 0x71, 0x02, 0xf4, 0x36, 0x71, 2, 0x40, 40, 0]);
    stub.extend([&wire(atsvc::INTERFACE)[..], &[1, 0, 0, 0], &wire(NDR64), &[1, 0, 0, 0]].concat());
    association.push(Way::ToServer, &request(3, 10, 1, 0, &stub), at(3), &mut out);
    association.end(&mut out);
    let call = calls(&out)[0];
    assert_eq!(call.interface.unwrap().uuid, atsvc::INTERFACE);
    assert_eq!(call.arguments.as_ref().unwrap()["command"], "x");
    assert_eq!(call.request, job_add("x"));
}

#[test]
fn footing_after_a_gap_and_in_the_middle() {
    let (mut association, mut out) = (new(), Vec::new());
    let whole = request(3, 1, 0, 4, &[7; 100]);
    // It begins inside a PDU.
    association.push(
        Way::ToServer,
        &[&whole[30..], &request(3, 2, 0, 5, b"abcd"), &request(3, 3, 0, 6, &[9; 60])[..50]].concat(),
        at(1),
        &mut out,
    );
    association.lost(Way::ToServer, at(2), &mut out);
    association.push(Way::ToServer, &[&[0x5a; 40][..], &request(3, 4, 0, 7, b"")].concat(), at(3), &mut out);
    association.push(Way::ToClient, &response(3, 2, 0, b"ok"), at(4), &mut out);
    association.end(&mut out);
    let told: Vec<_> = calls(&out).iter().map(|c| (c.opnum, c.request_whole, c.request.len())).collect();
    assert_eq!(told, [(5, true, 4), (6, false, 26), (7, true, 0)]);
    assert_eq!(odd(&out), ["rpc_resynchronized"]);
}

#[test]
fn directions_come_in_any_order() {
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToClient, &response(3, 2, 0, b"ok"), at(9), &mut out);
    association.push(Way::ToServer, &request(3, 2, 0, 5, b"abcd"), at(8), &mut out);
    let told = calls(&out);
    assert_eq!((told.len(), told[0].answered, told[0].response.as_deref()), (1, Some(at(9)), Some(b"ok".as_slice())));
    // An answer captured before the request is that of another.
    out.clear();
    association.push(Way::ToClient, &response(3, 3, 0, b"ok"), at(10), &mut out);
    association.push(Way::ToServer, &request(3, 3, 0, 5, b"abcd"), at(11), &mut out);
    association.end(&mut out);
    assert_eq!(calls(&out)[0].answered, None);
    assert!(odd(&out).contains(&"rpc_answer_without_call"));
}

#[test]
fn a_call_nobody_answers_is_told_at_once() {
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToServer, &request(3 | MAYBE, 2, 0, 5, b""), at(1), &mut out);
    assert_eq!(calls(&out).len(), 1);
}

#[test]
fn old_calls_are_given_up() {
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToServer, &request(3, 2, 0, 5, b""), at(1), &mut out);
    association.push(Way::ToServer, &request(3, 3, 0, 6, b""), at(2 + 300_000), &mut out);
    assert_eq!(calls(&out).iter().map(|c| c.opnum).collect::<Vec<_>>(), [5]);
}

#[test]
fn limits_are_kept_and_told() {
    let limits = Limits { stub_bytes_max: 100, held_bytes_max: 250, calls_max: 3, ..Limits::default() };
    let (mut association, mut out) = (Association::new(limits), Vec::new());
    for id in 0..5 {
        association.push(Way::ToServer, &request(3, id, 0, 1, &[1; 120]), at(u64::from(id)), &mut out);
        assert!(association.held_bytes <= 250 && association.calls.len() <= 3);
    }
    association.end(&mut out);
    assert_eq!(association.held_bytes, 0);
    let told = calls(&out);
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|c| c.request.len() <= 100 && !c.request_whole));
    for name in ["rpc_stub_limit", "rpc_held_limit", "rpc_calls_limit"] {
        assert!(odd(&out).contains(&name), "{name}");
    }
}

/// Opens what was sealed by inverting it, once it has seen a token.
#[derive(Default)]
struct Inverting {
    ready: bool,
}

impl Unsealer for Inverting {
    fn token(&mut self, _: Way, _: Auth, token: &[u8]) {
        self.ready = token == b"KEY";
    }

    fn unseal(&mut self, _: Way, auth: Auth, pdu: &mut [u8], sealed: Range<usize>, token: Range<usize>) -> bool {
        assert_eq!((auth.kind, auth.level), (10, LEVEL_PRIVACY));
        assert_eq!(pdu.get(token), Some(b"SIGN".as_slice()));
        pdu[sealed].iter_mut().for_each(|b| *b = !*b);
        self.ready
    }

    fn lost(&mut self, _: Way) {
        self.ready = false;
    }
}

fn sealed(kind: u8, call_id: u32, body: &[u8], stub: &[u8]) -> Vec<u8> {
    let mut padded = stub.to_vec();
    padded.resize(stub.len().next_multiple_of(16), 0);
    let pad = (padded.len() - stub.len()) as u8;
    padded.iter_mut().for_each(|b| *b = !*b);
    pdu(kind, 3, call_id, &[body, &padded].concat(), &[&[10, 6, pad, 0, 0, 0, 0, 0][..], b"SIGN"].concat())
}

fn sealed_conversation(association: &mut Association) -> Vec<RpcEvent> {
    let mut out = Vec::new();
    association.push(Way::ToServer, &bind(atsvc::INTERFACE), at(1), &mut out);
    association.push(Way::ToClient, &bind_ack(), at(2), &mut out);
    // AUTH3 and the first call in one segment.
    let auth3 = pdu(16, 3, 1, &[0; 4], &[&[10, 6, 0, 0, 0, 0, 0, 0][..], b"KEY"].concat());
    let call = sealed(0, 2, &[0, 0, 0, 0, 1, 0, 0, 0], &job_add("secret"));
    association.push(Way::ToServer, &[auth3, call].concat(), at(3), &mut out);
    association.push(Way::ToClient, &sealed(2, 2, &[0, 0, 0, 0, 1, 0, 0, 0], &[8, 0, 0, 0, 0, 0, 0, 0]), at(4), &mut out);
    association.lost(Way::ToServer, at(5), &mut out);
    association.push(Way::ToServer, &sealed(0, 3, &[0, 0, 0, 0, 1, 0, 0, 0], &job_add("later")), at(6), &mut out);
    association.end(&mut out);
    out
}

#[test]
fn sealed_calls_say_so() {
    let out = sealed_conversation(&mut new());
    for call in calls(&out) {
        assert!(call.sealed && call.encrypted && call.arguments.is_none() && call.request.is_empty() && call.response.is_none());
        assert_eq!(call.auth.map(|a| a.level), Some(LEVEL_PRIVACY));
    }
    assert_eq!(calls(&out).len(), 2);
    assert!(out.iter().any(|e| matches!(e, RpcEvent::Token { token, way: Way::ToServer, .. } if token == b"KEY")));
}

#[test]
fn sealed_calls_are_opened() {
    let mut association = new();
    association.set_unsealer(Box::<Inverting>::default());
    let out = sealed_conversation(&mut association);
    let told = calls(&out);
    assert!(!told[0].sealed && told[0].encrypted);
    let arguments = told[0].arguments.as_ref().unwrap();
    assert_eq!((&arguments["command"], &arguments["answer"]["job_id"]), (&"secret".into(), &8.into()));
    assert_eq!(told[0].request, job_add("secret"));
    // After a gap the key stream is lost.
    assert!(told[1].sealed && told[1].arguments.is_none());
}

#[test]
fn every_prefix_is_borne() {
    let whole: Vec<u8> = conversation().into_iter().flat_map(|(_, bytes)| bytes).collect();
    for way in [Way::ToServer, Way::ToClient] {
        for n in 0..whole.len() {
            let (mut association, mut out) = (new(), Vec::new());
            association.push(way, &whole[..n], at(1), &mut out);
            association.end(&mut out);
        }
    }
}

#[test]
fn many_small_pdus_at_once_are_quick() {
    let one = request(3, 1, 0, 1, b"");
    let bytes: Vec<u8> = one.iter().copied().cycle().take(one.len() * 50_000).collect();
    let (mut association, mut out) = (new(), Vec::new());
    association.push(Way::ToServer, &bytes, at(1), &mut out);
    association.end(&mut out);
    assert_eq!(calls(&out).len(), 50_000);
}

proptest! {
    #[test]
    fn any_split_tells_the_same(cuts in prop::collection::vec(1_usize..60, 1..80)) {
        let mut expected = Vec::new();
        let mut association = new();
        for (way, bytes) in conversation() {
            association.push(way, &bytes, at(1), &mut expected);
        }
        let (mut association, mut out) = (new(), Vec::new());
        let mut cuts = cuts.into_iter().cycle();
        for (way, bytes) in conversation() {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                association.push(way, now, at(1), &mut out);
                rest = later;
            }
        }
        prop_assert_eq!(out, expected);
    }

    /// Whatever part of a request is lost, nothing wrong is told of the rest.
    #[test]
    fn a_gap_never_makes_a_wrong_argument(from in 0_usize..300, length in 1_usize..200) {
        let (mut association, mut out) = (new(), Vec::new());
        let mut offset = 0;
        for (n, (way, bytes)) in conversation().into_iter().enumerate() {
            let gap = (from.saturating_sub(offset), (from + length).saturating_sub(offset));
            if n < 2 || way == Way::ToClient {
                association.push(way, &bytes, at(1), &mut out);
                continue;
            }
            offset += bytes.len();
            association.push(way, &bytes[..gap.0.min(bytes.len())], at(1), &mut out);
            if gap.0 < bytes.len() && gap.1 > 0 {
                association.lost(way, at(1), &mut out);
            }
            association.push(way, &bytes[gap.1.min(bytes.len())..], at(1), &mut out);
        }
        association.end(&mut out);
        for call in calls(&out) {
            prop_assert_eq!(call.opnum, 0);
            let command = call.arguments.as_ref().and_then(|a| a.get("command"));
            let right = command.is_none_or(|c| c == "cmd /c echo \u{fc}");
            prop_assert!(right);
        }
    }

    #[test]
    fn random_bytes_are_borne(pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80), 0_u8..20, any::<u8>(), 0_u8..4), 0..40)) {
        let limits = Limits { held_bytes_max: 1000, ..Limits::default() };
        let (mut association, mut out) = (Association::new(limits), Vec::new());
        for (server, bytes, kind, flags, how) in pieces {
            let way = if server { Way::ToServer } else { Way::ToClient };
            match how {
                0 => association.lost(way, at(1), &mut out),
                1 => association.push(way, &bytes, at(1), &mut out),
                _ => association.push(way, &pdu(kind, flags, 1, &bytes, &[]), at(1), &mut out),
            }
            prop_assert!(association.held_bytes <= 1000);
        }
        association.end(&mut out);
        prop_assert_eq!(association.held_bytes, 0);
    }
}
