//! [MS-NLMP] 4.2: responses and keys.

use super::*;
use proptest::prelude::*;

const CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const PASSWORD: NtSecret<'_> = NtSecret::Password("Password");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn authentication<'a>(flags: u32, lm: &'a [u8], nt: &'a [u8], encrypted: &'a [u8]) -> Authentication<'a> {
    Authentication {
        server_challenge: CHALLENGE,
        flags,
        lm_response: lm,
        nt_response: nt,
        user: "User",
        domain: "Domain",
        encrypted_session_key: encrypted,
    }
}

/// The right secret gives the key, as password and as hash; a wrong one and a changed response do not.
fn gives(authentication: &Authentication<'_>, key: &str) {
    let key: [u8; 16] = bytes(key).try_into().unwrap();
    assert_eq!(authentication.session_key(&PASSWORD), Ok(key));
    if authentication.flags & (LM_KEY | NON_NT_SESSION_KEY) == 0 {
        assert_eq!(authentication.session_key(&NtSecret::Hash(nt_hash("Password"))), Ok(key));
    } else {
        assert_eq!(authentication.session_key(&NtSecret::Hash(nt_hash("Password"))), Err(NoKey::NeedsPassword));
    }
    assert_eq!(authentication.session_key(&NtSecret::Password("password")), Err(NoKey::WrongKey));
    assert_eq!(authentication.session_key(&NtSecret::Hash([0; 16])), Err(NoKey::WrongKey));
    for at in 0..authentication.nt_response.len() {
        let mut changed = authentication.nt_response.to_vec();
        changed[at] ^= 1;
        let changed = Authentication { nt_response: &changed, ..*authentication };
        assert_eq!(changed.session_key(&PASSWORD), Err(NoKey::WrongKey));
        let cut = Authentication { nt_response: &authentication.nt_response[..at], ..*authentication };
        assert!(cut.session_key(&PASSWORD).is_err(), "{at}");
    }
}

#[test]
fn one_way_functions_4_2_2_1_and_4_2_4_1() {
    assert_eq!(lm_hash("Password")[..], bytes("e52cac67419a9a224a3b108f3fa6cb6d"));
    assert_eq!(nt_hash("Password")[..], bytes("a4f49c406510bdcab6824ee7c30fd852"));
    assert_eq!(ntowf_v2(&nt_hash("Password"), "User", "Domain")[..], bytes("0c868a403bfd7a93a3001ef22ef02e3f"));
    assert_eq!(nt_hash("")[..], bytes("31d6cfe0d16ae931b73c59d7e0c089c0"));
    assert_eq!(lm_hash("")[..], bytes("aad3b435b51404eeaad3b435b51404ee"));
}

/// 4.2.2: flags, and the three ways to the key exchange key.
#[test]
fn ntlmv1_4_2_2() {
    let nt = bytes("67c43011f30298a2ad35ece64f16331c44bdbed927841f94");
    let lm = bytes("98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13");
    let random = "55555555555555555555555555555555";
    let flags = 0xE202_8233;
    let encrypted = bytes("518822b1b3f350c8958682ecbb3e3cb7");
    assert_eq!(authentication(flags, &lm, &nt, &encrypted).version(), Some(Version::V1));
    gives(&authentication(flags, &lm, &nt, &encrypted), random);
    gives(&authentication(flags & !KEY_EXCHANGE, &lm, &nt, &[]), "d87262b0cde4b1cb7499becccdf10784");
    let encrypted = bytes("7452ca55c225a1ca04b48fae32cf56fc");
    gives(&authentication(flags | NON_NT_SESSION_KEY, &lm, &nt, &encrypted), random);
    let encrypted = bytes("4cd7bb57d697ef9b549f02b8f9b37864");
    gives(&authentication(flags | LM_KEY, &lm, &nt, &encrypted), random);
    gives(&authentication((flags | LM_KEY) & !KEY_EXCHANGE, &lm, &nt, &[]), "b09e379f7fbecb1eaf0afdcb0383c8a0");
    assert_eq!(authentication(flags | LM_KEY, &[1; 7], &nt, &[]).session_key(&PASSWORD), Err(NoKey::UnknownResponse));
}

#[test]
fn ntlmv1_with_extended_session_security_4_2_3() {
    let nt = bytes("7537f803ae367128ca458204bde7caf81e97ed2683267232");
    let lm = bytes("aaaaaaaaaaaaaaaa00000000000000000000000000000000");
    let authentication = authentication(0x820A_8233, &lm, &nt, &[]);
    assert_eq!(authentication.version(), Some(Version::V1Extended));
    gives(&authentication, "eb93429a8bd952f8b89c55b87f475edc");
    let cut = Authentication { lm_response: &lm[..7], ..authentication };
    assert_eq!(cut.session_key(&PASSWORD), Err(NoKey::UnknownResponse));
}

#[test]
fn ntlmv2_4_2_4() {
    let nt = bytes(
        "68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000 \
         02000c00 44006f006d00610069006e00 01000c00 530065007200760065007200 00000000 00000000",
    );
    let encrypted = bytes("c5dad2544fc9799094ce1ce90bc9d03e");
    let lm = bytes("86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
    let authentication = authentication(0xE28A_8233, &lm, &nt, &encrypted);
    assert_eq!(authentication.version(), Some(Version::V2));
    gives(&authentication, "55555555555555555555555555555555");
    gives(&Authentication { user: "uSER", ..authentication }, "55555555555555555555555555555555");
    gives(&Authentication { flags: 0xA28A_8233, ..authentication }, "8de40ccadbc14a82f15cb0ad0de95ca3");
    let other = Authentication { domain: "DOMAIN", ..authentication };
    assert_eq!(other.session_key(&PASSWORD), Err(NoKey::WrongKey), "the domain's case counts");
    // Sealed key of an odd length: none was sent.
    let none = Authentication { encrypted_session_key: &encrypted[..7], ..authentication };
    gives(&none, "8de40ccadbc14a82f15cb0ad0de95ca3");
}

#[test]
fn anonymous_sessions_need_no_secret() {
    let null = authentication(0x2000_8215, &[0], &[], &[]);
    assert_eq!(null.anonymous_session_key(), Some([0; 16]));
    assert_eq!(null.session_key(&PASSWORD), Ok([0; 16]));
    let mut sent = [0x55; 16];
    Rc4::new(&[0; 16]).apply(&mut sent);
    let exchanged = authentication(0x6000_8215, &[], &[], &sent);
    assert_eq!(exchanged.anonymous_session_key(), Some([0x55; 16]));
    assert_eq!(authentication(0, &[], &[1; 24], &[]).anonymous_session_key(), None);
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{PASSWORD:?} {:?}", NtSecret::Hash([7; 16])), "Password(..) Hash(..)");
}

proptest! {
    #[test]
    fn any_response_is_taken(
        nt in prop::collection::vec(any::<u8>(), 0..80), lm in prop::collection::vec(any::<u8>(), 0..30), flags: u32, user in ".{0,8}",
        key in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let any = Authentication { user: &user, ..authentication(flags, &lm, &nt, &key) };
        let result = any.session_key(&PASSWORD);
        prop_assert_eq!(result.is_ok(), any.version() == Some(Version::Anonymous));
    }
}
