use super::*;
use proptest::prelude::*;

/// The labels of a name.
pub(crate) fn wire_name(name: &str) -> Vec<u8> {
    let mut out: Vec<u8> =
        name.split('.').filter(|l| !l.is_empty()).flat_map(|l| [&[l.len() as u8][..], l.as_bytes()].concat()).collect();
    out.push(0);
    out
}

/// A question.
pub(crate) fn ask(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend(wire_name(name));
    out.extend(qtype.to_be_bytes());
    out.extend([0, 1]);
    out
}

/// An answer to it with these records (type, data), their owner a pointer to the question's name.
pub(crate) fn reply(id: u16, name: &str, qtype: u16, rcode: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = ask(id, name, qtype);
    out[2] = 0x85;
    out[3] = 0x80 | rcode;
    out[7] = records.len() as u8;
    for (rtype, data) in records {
        out.extend([0xc0, 12]);
        out.extend(rtype.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

#[test]
fn reads_compressed_names() {
    let bytes = reply(7, "Fs1.Example.com", 1, 0, &[(5, vec![0xc0, 16]), (1, vec![192, 0, 2, 9])]);
    let message = DnsMessage::parse(&bytes).unwrap();
    assert_eq!((message.id, message.answer, message.authoritative, message.rcode, message.anomaly), (7, true, true, 0, None));
    assert_eq!(message.questions[0].name, "Fs1.Example.com");
    let said: Vec<_> = message.answers().map(|r| answer_text(r, 53).unwrap()).collect();
    assert_eq!(said, ["example.com", "192.0.2.9"]);
    assert_eq!(message.records[1].name, "Fs1.Example.com");
}

#[test]
fn texts_and_others_read_as_zeek_writes_them() {
    let mut soa = wire_name("ns.example");
    soa.extend(wire_name("root.example"));
    soa.extend([0; 20]);
    let records = [
        (16u16, b"\x02hi\x05there".to_vec(), Some("TXT 2 hi TXT 5 there")),
        (6, soa, Some("ns.example")),
        (15, [&[0, 5][..], &wire_name("mx.example")].concat(), Some("mx.example")),
        (33, [&[0; 6][..], &wire_name("srv.example")].concat(), Some("srv.example")),
        (39, wire_name("x"), Some("<unknown type=39>")),
        (44, vec![1, 1, 0xab, 0xcd], Some("SSHFP: abcd")),
        (43, vec![0, 1, 8, 2, 9], Some("DS 8 2")),
        (41, vec![], None),
        (1, vec![1, 2], None),
    ];
    let wire: Vec<_> = records.iter().map(|r| (r.0, r.1.clone())).collect();
    let bytes = reply(1, "a.b", 255, 0, &wire);
    let message = DnsMessage::parse(&bytes).unwrap();
    for (record, wanted) in message.answers().zip(&records) {
        assert_eq!(answer_text(record, 53).as_deref(), wanted.2, "type {}", wanted.0);
    }
}

#[test]
fn pointers_in_a_circle_end() {
    for pointer in [12u8, 14, 200] {
        let mut bytes = ask(1, "", 1);
        bytes.truncate(12);
        bytes.extend([0xc0, pointer, 0xc0, 12, 0, 1, 0, 1]);
        let message = DnsMessage::parse(&bytes).unwrap();
        assert_eq!(message.anomaly, Some(DnsAnomaly::BadName));
    }
}

#[test]
fn text_is_bounded_however_often_it_is_pointed_to() {
    let long = [&[63u8][..], &[b'a'; 63]].concat().repeat(3);
    let mut bytes = [&ask(1, "", 1)[..12], &long, &[0, 0, 1, 0, 1]].concat();
    bytes[6..8].copy_from_slice(&0xffffu16.to_be_bytes());
    while bytes.len() < 65_000 {
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]);
    }
    let message = DnsMessage::parse(&bytes).unwrap();
    assert_eq!(message.anomaly, Some(DnsAnomaly::Limit));
    let held: usize = message.records.iter().map(|r| r.name.len() * 2).sum();
    assert!(held <= TEXT_BYTES_MAX + 1024);
}

#[test]
fn netbios_names() {
    assert_eq!(netbios_name("FEGIGFCAEOGFHEECEJEPFDCAGOGBGNGF"), "The");
    assert_eq!(netbios_name("EMEPEDEBEMCACACACACACACACACACAAA"), "LOCAL");
    assert_eq!(netbios_name("example"), "example");
}

#[test]
fn every_shorter_prefix_is_cut() {
    let bytes = reply(7, "fs1.example.com", 1, 0, &[(1, vec![192, 0, 2, 9]), (16, b"\x02hi".to_vec())]);
    for end in 0..bytes.len() {
        let read = DnsMessage::parse(&bytes[..end]);
        assert_eq!(read.is_some(), end >= 12);
        assert!(read.is_none_or(|m| m.anomaly == Some(DnsAnomaly::Cut)), "{end}");
    }
}

proptest! {
    #[test]
    fn any_bytes(mut noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = DnsMessage::parse(&noise);
        if noise.len() > 12 {
            noise[4..12].copy_from_slice(&[0, 2, 0, 9, 0, 9, 0, 9]);
            let message = DnsMessage::parse(&noise).unwrap();
            for record in &message.records {
                let _ = answer_text(record, 53);
            }
        }
    }
}
