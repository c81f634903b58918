use super::*;
use proptest::prelude::*;

fn bytes(hex_text: &str) -> Vec<u8> {
    hex::decode(hex_text.replace([' ', '\n'], "")).unwrap()
}

/// [MS-NLMP] 4.2.2.3: NTLMv1 CHALLENGE_MESSAGE.
fn v1_challenge() -> Vec<u8> {
    bytes(
        "4e544c4d53535000 02000000 0c000c0038000000 338202e2 0123456789abcdef 0000000000000000 0000000000000000
         060070170000000f 530065007200760065007200",
    )
}

/// [MS-NLMP] 4.2.2.3: NTLMv1 AUTHENTICATE_MESSAGE.
fn v1_authenticate() -> Vec<u8> {
    bytes(
        "4e544c4d53535000 03000000 180018006c000000 1800180084000000 0c000c0048000000 0800080054000000 100010005c000000
         100010009c000000 358280e2 0501280a0000000f 44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
         98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13 67c43011f30298a2ad35ece64f16331c44bdbed927841f94
         518822b1b3f350c8958682ecbb3e3cb7",
    )
}

/// [MS-NLMP] 4.2.4.3: NTLMv2 CHALLENGE_MESSAGE.
fn v2_challenge() -> Vec<u8> {
    bytes(
        "4e544c4d53535000 02000000 0c000c0038000000 33828ae2 0123456789abcdef 0000000000000000 2400240044000000
         060070170000000f 530065007200760065007200 02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000",
    )
}

/// [MS-NLMP] 4.2.4.3: NTLMv2 AUTHENTICATE_MESSAGE.
fn v2_authenticate() -> Vec<u8> {
    bytes(
        "4e544c4d53535000 03000000 180018006c000000 5400540084000000 0c000c0048000000 0800080054000000 100010005c000000
         10001000d8000000 358288e2 0501280a0000000f 44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
         86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa
         68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000
         02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000 00000000
         c5dad2544fc9799094ce1ce90bc9d03e",
    )
}

/// An AUTHENTICATE of an anonymous user, as Windows sends it: an LM response of one zero byte.
fn anonymous() -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend(3u32.to_le_bytes());
    for (length, offset) in [(1u16, 72u32), (0, 73), (0, 72), (0, 72), (0, 72), (0, 73)] {
        out.extend(length.to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out.extend((NEGOTIATE_UNICODE | NEGOTIATE_ANONYMOUS | NEGOTIATE_VERSION).to_le_bytes());
    out.extend([6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
    out.push(0);
    out
}

#[test]
fn reads_the_specifications_version_1() {
    let message = v1_challenge();
    let NtlmMessage { body: NtlmBody::Challenge(challenge), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    assert_eq!(challenge.server_challenge, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    assert_eq!((challenge.target_name.as_deref(), challenge.target_info), (Some("Server"), None));
    assert_eq!(challenge.version.unwrap().to_string(), "6.0.6000");

    let message = v1_authenticate();
    let NtlmMessage { body: NtlmBody::Authenticate(said), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    assert_eq!((said.domain.as_str(), said.user.as_str(), said.workstation.as_str()), ("Domain", "User", "COMPUTER"));
    assert_eq!(hex::encode(said.nt_response), "67c43011f30298a2ad35ece64f16331c44bdbed927841f94");
    assert_eq!(hex::encode(said.lm_response), "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13");
    assert_eq!(hex::encode(said.session_key), "518822b1b3f350c8958682ecbb3e3cb7");
    assert!(said.v2.is_none() && said.mic.is_none() && !said.anonymous);
    assert_eq!(said.version.map(|v| v.to_string()).as_deref(), Some("5.1.2600"));
    assert_eq!(said.account(), Account::new(How::Ntlm, "Domain", "User", "COMPUTER"));
}

#[test]
fn reads_the_specifications_version_2() {
    let message = v2_challenge();
    let NtlmMessage { body: NtlmBody::Challenge(challenge), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    let info = challenge.target_info.unwrap();
    assert_eq!(
        (info.nb_computer_name.as_deref(), info.nb_domain_name.as_deref(), info.ended),
        (Some("Server"), Some("Domain"), true)
    );

    let message = v2_authenticate();
    let NtlmMessage { body: NtlmBody::Authenticate(said), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    let v2 = said.v2.unwrap();
    assert_eq!(hex::encode(v2.proof), "68cd0ab851e51c96aabc927bebef6a1c");
    assert_eq!((v2.client_challenge, v2.timestamp), ([0xaa; 8], 0));
    assert_eq!(v2.pairs.nb_domain_name.as_deref(), Some("Domain"));
    assert!(said.mic.is_none(), "the pairs tell of none");
}

#[test]
fn tells_the_anonymous() {
    let message = anonymous();
    let NtlmMessage { body: NtlmBody::Authenticate(said), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    assert!(said.anonymous);
    assert_eq!(said.account().how, How::Anonymous);
}

#[test]
fn a_mic_is_given_where_the_pairs_tell_of_it() {
    let mut message = v2_authenticate();
    // Room for a MIC: everything that lies behind the version moves by 16 bytes; the first AV pair becomes MsvAvFlags.
    for at in [16, 24, 32, 40, 48, 56] {
        message[at] += 16;
    }
    message.splice(72..72, [0x5a; 16]);
    let pairs = 88 + 12 + 8 + 16 + 24 + 16 + 28;
    message.splice(pairs..pairs + 16, [6, 0, 4, 0, 2, 0, 0, 0, 0xff, 0, 4, 0, 0, 0, 0, 0]);
    let NtlmMessage { body: NtlmBody::Authenticate(said), anomaly: None } = NtlmMessage::parse(&message).unwrap() else {
        panic!()
    };
    assert_eq!(said.mic, Some([0x5a; 16]));
    assert_eq!(said.user, "User");
}

#[test]
fn oem_names_and_negotiate() {
    let mut message = SIGNATURE.to_vec();
    message.extend(1u32.to_le_bytes());
    message.extend((NEGOTIATE_OEM_DOMAIN_SUPPLIED | NEGOTIATE_OEM_WORKSTATION_SUPPLIED).to_le_bytes());
    message.extend([3, 0, 3, 0, 32, 0, 0, 0, 2, 0, 2, 0, 35, 0, 0, 0]);
    message.extend(b"DOMWS");
    let NtlmMessage { body: NtlmBody::Negotiate(said), anomaly: None } = NtlmMessage::parse(&message).unwrap() else { panic!() };
    assert_eq!((said.domain.as_deref(), said.workstation.as_deref(), said.version), (Some("DOM"), Some("WS"), None));
}

#[test]
fn a_field_outside_is_odd_and_empty() {
    let mut message = v1_authenticate();
    message[40] = 0xff;
    message[41] = 0xff;
    let read = NtlmMessage::parse(&message).unwrap();
    assert_eq!(read.anomaly, Some(NtlmAnomaly::FieldOutside));
    let NtlmBody::Authenticate(said) = read.body else { panic!() };
    assert_eq!((said.user.as_str(), said.domain.as_str()), ("", "Domain"));
    assert!(!said.anonymous, "there is a response");
}

#[test]
fn every_shorter_prefix() {
    for message in [v1_challenge(), v1_authenticate(), v2_challenge(), v2_authenticate(), anonymous()] {
        for end in 0..message.len() {
            let read = NtlmMessage::parse(&message[..end]);
            assert_eq!(read.is_some(), end >= 8);
            assert!(end < 8 || end + 30 > message.len() || read.unwrap().anomaly.is_some(), "{end}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(mut noise in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..5) {
        let _ = NtlmMessage::parse(&noise);
        noise.splice(0..0, SIGNATURE.iter().copied().chain([kind, 0, 0, 0]));
        prop_assert!(NtlmMessage::parse(&noise).is_some());
    }

    #[test]
    fn any_damage(at in 8usize..216, value in any::<u8>()) {
        let mut message = v2_authenticate();
        message[at] = value;
        prop_assert!(NtlmMessage::parse(&message).is_some());
    }
}
