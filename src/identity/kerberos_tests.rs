use super::*;
use crate::identity::der::build::{seq, tlv};
use proptest::prelude::*;

fn int(value: u8) -> Vec<u8> {
    tlv(0x02, &[value])
}

fn field(number: u8, inner: &[u8]) -> Vec<u8> {
    tlv(0xa0 + number, inner)
}

fn text(value: &str) -> Vec<u8> {
    tlv(0x1b, value.as_bytes())
}

fn name(kind: u8, parts: &[&str]) -> Vec<u8> {
    let parts: Vec<_> = parts.iter().map(|p| text(p)).collect();
    seq(0x30, &[field(0, &int(kind)), field(1, &seq(0x30, &parts))])
}

fn sealed(etype: u8, cipher: &[u8]) -> Vec<u8> {
    seq(0x30, &[field(0, &int(etype)), field(1, &int(2)), field(2, &tlv(0x04, cipher))])
}

fn make_ticket(cipher: &[u8]) -> Vec<u8> {
    let body = seq(
        0x30,
        &[field(0, &int(5)), field(1, &text("EXAMPLE.COM")), field(2, &name(2, &["cifs", "fs1"])), field(3, &sealed(18, cipher))],
    );
    tlv(0x61, &body)
}

/// A TGS-REP that gives this client this ticket.
pub(crate) fn tgs_rep(client: &str, realm: &str, cipher: &[u8]) -> Vec<u8> {
    let body = seq(
        0x30,
        &[
            field(0, &int(5)),
            field(1, &int(13)),
            field(3, &text(realm)),
            field(4, &name(1, &[client])),
            field(5, &make_ticket(cipher)),
            field(6, &sealed(18, b"for the client")),
        ],
    );
    tlv(0x6d, &body)
}

/// An AP-REQ that shows this ticket.
pub(crate) fn ap_req(cipher: &[u8]) -> Vec<u8> {
    let body = seq(
        0x30,
        &[
            field(0, &int(5)),
            field(1, &int(14)),
            field(2, &tlv(0x03, &[0, 0x20, 0, 0, 0])),
            field(3, &make_ticket(cipher)),
            field(4, &sealed(18, b"authenticator")),
        ],
    );
    tlv(0x6e, &body)
}

/// An AS-REQ, or a TGS-REQ that shows a ticket.
pub(crate) fn kdc_req(client: Option<&str>, ticket: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![field(0, &tlv(0x03, &[0, 0x40, 0x80, 0, 0x10]))];
    body.extend(client.map(|c| field(1, &name(1, &[c]))));
    body.push(field(2, &text("EXAMPLE.COM")));
    body.push(field(3, &name(2, &["krbtgt", "EXAMPLE.COM"])));
    body.push(field(5, &tlv(0x18, b"20370913024805Z")));
    body.push(field(7, &tlv(0x02, &[0x12, 0x34])));
    body.push(field(8, &seq(0x30, &[int(18), int(17), int(23)])));
    let (tag, kind) = if ticket.is_some() { (0x6c, 12) } else { (0x6a, 10) };
    let padata = ticket.map(|t| seq(0x30, &[seq(0x30, &[field(1, &int(1)), field(2, &tlv(0x04, &ap_req(t)))])]));
    let mut fields = vec![field(1, &int(5)), field(2, &int(kind))];
    fields.extend(padata.map(|p| field(3, &p)));
    fields.push(field(4, &seq(0x30, &body)));
    tlv(tag, &seq(0x30, &fields))
}

/// A KRB-ERROR of this code, with or without e-text.
pub(crate) fn krb_error(code: u8, e_text: Option<&str>) -> Vec<u8> {
    let mut fields = vec![field(0, &int(5)), field(1, &int(30)), field(6, &int(code)), field(9, &text("EXAMPLE.COM"))];
    fields.push(field(10, &name(2, &["krbtgt", "EXAMPLE.COM"])));
    fields.extend(e_text.map(|t| field(11, &text(t))));
    tlv(0x7e, &seq(0x30, &fields))
}

#[test]
fn reads_a_request() {
    let bytes = kdc_req(Some("alice"), None);
    let message = KerberosMessage::parse(&bytes).unwrap();
    assert_eq!((message.kind, message.anomaly), (MessageType::AsReq, None));
    assert_eq!(message.cname.unwrap().to_string(), "alice");
    assert_eq!(message.sname.unwrap().to_string(), "krbtgt/EXAMPLE.COM");
    assert_eq!(message.realm.as_deref(), Some("EXAMPLE.COM"));
    assert_eq!(message.till, Some(2_136_422_885), "date -d '2037-09-13 02:48:05 UTC' +%s");
    assert_eq!(message.etypes, [18, 17, 23]);
    assert_eq!(message.options.map(|o| (o & KDC_FORWARDABLE != 0, o & KDC_RENEWABLE != 0)), Some((true, true)));
}

#[test]
fn reads_the_ticket_that_a_tgs_req_shows() {
    let bytes = kdc_req(None, Some(b"the tgt"));
    let message = KerberosMessage::parse(&bytes).unwrap();
    assert_eq!((message.kind, &message.padata[..], message.anomaly), (MessageType::TgsReq, &[1][..], None));
    assert_eq!(message.ticket.unwrap().enc.cipher, b"the tgt");
    assert_eq!(message.sname.unwrap().to_string(), "krbtgt/EXAMPLE.COM", "what is asked for, not what is shown");
    assert_eq!(message.authenticator.unwrap().cipher, b"authenticator");
}

#[test]
fn reads_answers_and_what_they_carry() {
    let bytes = tgs_rep("alice", "EXAMPLE.COM", b"sealed");
    let message = KerberosMessage::parse(&bytes).unwrap();
    let ticket = message.ticket.unwrap();
    assert_eq!(
        (ticket.sname.to_string().as_str(), ticket.enc.etype, ticket.enc.kvno, ticket.enc.cipher),
        ("cifs/fs1", 18, Some(2), &b"sealed"[..])
    );
    assert_eq!(ticket.bytes, make_ticket(b"sealed"));
    assert_eq!((message.cname.unwrap().to_string().as_str(), message.crealm.as_deref()), ("alice", Some("EXAMPLE.COM")));
    assert_eq!(message.enc_part.unwrap().cipher, b"for the client");
    let bytes = ap_req(b"sealed");
    let shown = KerberosMessage::parse(&bytes).unwrap();
    assert_eq!(shown.ticket.unwrap().hash(), ticket.hash());
    assert_eq!(shown.options, Some(0x2000_0000), "mutual-required");
}

#[test]
fn reads_an_error() {
    let bytes = krb_error(25, Some("NEEDED_PREAUTH"));
    let message = KerberosMessage::parse(&bytes).unwrap();
    assert_eq!(
        (message.kind, message.error_code, message.error_text.as_deref()),
        (MessageType::Error, Some(25), Some("NEEDED_PREAUTH"))
    );
}

#[test]
fn times_that_are_none_are_none() {
    let time_of = |bytes: &[u8]| time(&Der::new(&tlv(0x18, bytes)).next().unwrap());
    assert_eq!(time_of(b"19700101000000Z"), Some(0));
    assert_eq!(time_of(b"20240229120000Z"), Some(1_709_208_000), "date -d '2024-02-29 12:00 UTC' +%s");
    for wrong in [&b"20241301000000Z"[..], b"2024", b"20240101000000", b"2024010100000aZ", b"20240101250000Z"] {
        assert_eq!(time_of(wrong), None);
    }
}

#[test]
fn a_type_that_is_not_its_tags_is_told() {
    let mut bytes = ap_req(b"x");
    bytes[0] = 0x6d;
    assert_eq!(KerberosMessage::parse(&bytes).unwrap().anomaly, Some(KerberosAnomaly::TypeMismatch));
    assert!(KerberosMessage::parse(b"0hello").is_none());
}

#[test]
fn every_shorter_prefix_is_told_to_be_cut() {
    for bytes in [kdc_req(Some("a"), None), kdc_req(None, Some(b"t")), tgs_rep("a", "R", b"t"), ap_req(b"t"), krb_error(6, None)]
    {
        assert!(looks(&bytes) && looks_cut(&bytes));
        for end in 0..bytes.len() {
            let read = KerberosMessage::parse(&bytes[..end]);
            assert!(read.is_none_or(|m| m.anomaly.is_some()), "{end}");
            assert!(!looks(&bytes[..end]));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(tag in proptest::sample::select(vec![0x6au8, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x7e]), noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KerberosMessage::parse(&[&tlv(tag, &tlv(0x30, &noise))[..], &noise].concat());
        let _ = KerberosMessage::parse(&noise);
    }

    #[test]
    fn any_damage(at in any::<proptest::sample::Index>(), value in any::<u8>()) {
        let mut bytes = kdc_req(None, Some(b"ticket"));
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = KerberosMessage::parse(&bytes);
    }
}
