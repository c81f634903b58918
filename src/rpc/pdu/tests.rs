//! PDUs built field by field, whole, cut and random.

use super::*;
use proptest::prelude::*;

const ATSVC: Uuid = Uuid::known("1ff70682-0a51-30e8-076d-740be8cee98b");

fn u16_of(value: u16, little: bool) -> [u8; 2] {
    if little { value.to_le_bytes() } else { value.to_be_bytes() }
}

fn u32_of(value: u32, little: bool) -> [u8; 4] {
    if little { value.to_le_bytes() } else { value.to_be_bytes() }
}

fn syntax(uuid: Uuid, version: u32, little: bool) -> Vec<u8> {
    let mut out = Uuid::from_wire(&uuid.0, little).0.to_vec();
    out.extend(u32_of(version, little));
    out
}

fn pdu(kind: u8, flags: u8, body: &[u8], verifier: &[u8], auth_bytes: u16, little: bool) -> Vec<u8> {
    let mut out = vec![5, 0, kind, flags, if little { 0x10 } else { 0 }, 0, 0, 0];
    out.extend(u16_of((HEADER_BYTES + body.len() + verifier.len()) as u16, little));
    out.extend(u16_of(auth_bytes, little));
    out.extend(u32_of(7, little));
    out.extend(body);
    out.extend(verifier);
    out
}

fn bind(little: bool) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend([2, 0, 0, 0]);
    for (context, transfer) in [(0, NDR32), (1, NDR64)] {
        body.extend(u16_of(context, little));
        body.extend([1, 0]);
        body.extend(syntax(ATSVC, 0x0002_0001, little));
        body.extend(syntax(transfer, 2, little));
    }
    pdu(11, 3, &body, b"\x0a\x06\x00\x00\x05\x00\x00\x00TOKEN", 5, little)
}

fn bind_ack(little: bool) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(u16_of(12, little));
    body.extend(b"\\PIPE\\atsvc\0");
    body.extend([0, 0]);
    body.extend([2, 0, 0, 0]);
    body.extend(u16_of(2, little));
    body.extend(u16_of(1, little));
    body.extend([0; 20]);
    body.extend([0; 4]);
    body.extend(syntax(NDR64, 1, little));
    pdu(12, 3, &body, &[], 0, little)
}

#[test]
fn a_bind_in_either_byte_order() {
    for little in [true, false] {
        let bytes = bind(little);
        let pdu = Pdu::read(&bytes).expect("a PDU");
        assert_eq!((pdu.header.kind, pdu.header.call_id, pdu.header.little_endian), (Kind::Bind, 7, little));
        let offers = pdu.offers();
        assert_eq!(offers.len(), 2);
        assert_eq!((offers[1].context, offers[1].transfers[0].uuid), (1, NDR64));
        assert_eq!(offers[0].interface, Syntax { uuid: ATSVC, version: 1, minor_version: 2 });
        let (auth, token) = pdu.token().expect("a token");
        assert_eq!((auth.kind, auth.level, token), (10, 6, b"TOKEN".as_slice()));
    }
}

#[test]
fn a_bind_ack_in_either_byte_order() {
    for little in [true, false] {
        let bytes = bind_ack(little);
        let pdu = Pdu::read(&bytes).expect("a PDU");
        assert_eq!(pdu.secondary_address().as_deref(), Some("\\PIPE\\atsvc"));
        let verdicts = pdu.verdicts();
        assert_eq!(verdicts.iter().map(|v| v.result).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(verdicts[1].transfer.uuid, NDR64);
        assert_eq!(pdu.token(), None);
    }
}

#[test]
fn a_request_with_object_and_verifier() {
    let mut body = vec![0; 4];
    body.extend([1, 0, 9, 0]);
    body.extend([3; 16]);
    body.extend(b"STUB\0\0\0\0");
    let bytes = pdu(0, 3 | OBJECT_UUID, &body, b"\x0a\x06\x04\x00\x00\x00\x00\x00SIGNATURE_OF_16B", 16, true);
    let pdu = Pdu::read(&bytes).expect("a PDU");
    assert_eq!(pdu.target(), Some((1, 9, Some(Uuid([3; 16])))));
    let (stub, sealed) = pdu.stub();
    assert_eq!(&bytes[stub], b"STUB");
    assert_eq!(&bytes[sealed], b"STUB\0\0\0\0");
}

#[test]
fn what_is_no_header() {
    let good = bind(true);
    assert!(looks_like_rpc(&good));
    for (at, value) in [(0, 4), (1, 2), (2, 1), (2, 20), (4, 0x20), (5, 4), (6, 1), (7, 1), (8, 15), (10, 0xff), (11, 0xff)] {
        let mut bad = good.clone();
        bad[at] = value;
        if at == 8 {
            bad[9] = 0;
        }
        assert!(!looks_like_rpc(&bad), "{at}");
    }
    assert!(!looks_like_rpc(b"\xfeSMB@\0\0\0\0\0\0\0\0\0\0\0"));
    assert!(!looks_like_rpc(&good[..15]));
}

fn read_all(bytes: &[u8]) {
    if let Some(pdu) = Pdu::read(bytes) {
        let _ = (pdu.offers(), pdu.verdicts(), pdu.secondary_address(), pdu.target(), pdu.status(), pdu.token());
        let (stub, sealed) = pdu.stub();
        assert!(bytes.get(stub).is_some() && bytes.get(sealed).is_some());
    }
}

#[test]
fn every_prefix_is_borne() {
    for whole in [bind(true), bind(false), bind_ack(true)] {
        for n in 0..whole.len() {
            read_all(&whole[..n]);
        }
    }
}

proptest! {
    #[test]
    fn random_bodies_are_borne(kind in 0_u8..20, flags: u8, length: u16, auth: u16, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![5, 0, kind, flags, 0x10, 0, 0, 0];
        bytes.extend(length.to_le_bytes());
        bytes.extend(auth.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        read_all(&bytes);
    }
}
