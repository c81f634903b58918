//! [MS-NLMP] 4.2: the sealed messages and their keys.

use super::*;

const RANDOM_SESSION_KEY: [u8; 16] = [0x55; 16];
/// "Plaintext" in UTF-16LE.
const PLAINTEXT: &[u8] = b"P\0l\0a\0i\0n\0t\0e\0x\0t\0";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>().try_into().unwrap()
}

/// Opens a published message and sees that a changed one is refused.
fn opens(key: [u8; 16], flags: u32, data: [u8; 18], signature: [u8; 16]) {
    let mut opened = data;
    let mut sealer = Sealer::new(&key, flags, true);
    assert!(sealer.unseal(&mut opened, &signature));
    assert_eq!((&opened[..], sealer.sequence()), (PLAINTEXT, 1));
    for at in 0..16 {
        let mut changed = signature;
        changed[at] ^= 1;
        let fits = Sealer::new(&key, flags, true).unseal(&mut data.clone(), &changed);
        // RandomPad is not checked: it is random.
        assert_eq!(fits, is_shared(flags) && (4..8).contains(&at), "byte {at}");
    }
    let mut changed = data;
    changed[3] ^= 1;
    assert!(!Sealer::new(&key, flags, true).unseal(&mut changed, &signature));
    assert!(!Sealer::new(&[0; 16], flags, true).unseal(&mut data.clone(), &signature));
    assert!(!sealer.unseal(&mut data.clone(), &signature), "the same again is not the next");
}

#[test]
fn opens_ntlmv1_4_2_2_4() {
    let flags = 0xE202_8233;
    assert_eq!((sign_key(&RANDOM_SESSION_KEY, flags, true), is_shared(flags)), (None, true));
    opens(RANDOM_SESSION_KEY, flags, bytes("56fe04d861f9319af0d7238a2e3b4d457fb8"), bytes("01000000 45c844e5 09dcd1df 2e459d36"));
}

#[test]
fn opens_ntlmv1_with_extended_session_security_4_2_3_4() {
    let key = bytes("eb93429a8bd952f8b89c55b87f475edc");
    let flags = 0x820A_8233;
    assert_eq!(seal_key(&key, flags, true), bytes::<16>("04dd7f014d8504d265a25cc86a3a7c06"));
    assert_eq!(sign_key(&key, flags, true), Some(bytes("60e799be5c72fc92922ae8ebe961fb8d")));
    opens(key, flags, bytes("a02372f6530273f3aa1eb90190ce5200c99d"), bytes("01000000 ff2aeb52f681793a 00000000"));
}

#[test]
fn opens_ntlmv2_4_2_4_4() {
    let flags = 0xE28A_8233;
    assert_eq!(seal_key(&RANDOM_SESSION_KEY, flags, true), bytes::<16>("59f600973cc4960a25480a7c196e4c58"));
    assert_eq!(sign_key(&RANDOM_SESSION_KEY, flags, true), Some(bytes("4788dc861b4782f35d43fd98fe1a2d39")));
    opens(RANDOM_SESSION_KEY, flags, bytes("54e50165bf1936dc996020c1811b0f06fb5f"), bytes("01000000 7fb38ec5c55d4976 00000000"));
}

#[test]
fn weak_keys_are_cut_3_4_5_3() {
    let key = bytes("000102030405060708090a0b0c0d0e0f");
    assert_eq!(seal_key(&key, flags::LM_KEY | flags::KEY_56, true), bytes::<8>("00010203040506a0"));
    assert_eq!(seal_key(&key, flags::LM_KEY, true), bytes::<8>("0001020304e538b0"));
    assert_eq!(seal_key(&key, 0, false), key);
    assert_ne!(seal_key(&key, flags::EXTENDED_SESSION_SECURITY, true), seal_key(&key, flags::EXTENDED_SESSION_SECURITY, false));
}

#[test]
fn a_range_outside_the_pdu_is_refused() {
    let mut sealer = Sealer::new(&RANDOM_SESSION_KEY, 0xE28A_8233, false);
    assert!(!sealer.unseal_within(&mut [0; 8], 4..9, &[0; 16]));
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = 6..2;
    assert!(!sealer.unseal_within(&mut [0; 8], reversed.clone(), &[0; 16]));
    assert!(!sealer.check(&[0; 8], reversed, &[0; 16]));
    assert_eq!(format!("{sealer:?}"), "Sealer { sequence: 1, .. }");
}

/// Task XML of a sealed SchRpcRegisterTask and its answer, with all signatures in order, as `tshark -o ntlmssp.nt_password:clem` opens them.
#[test]
fn opens_a_sealed_connection_of_the_corpus() {
    use crate::wire::corpus;
    use std::process::Command;
    let Some(folder) = corpus::folder().filter(|_| corpus::has_tool("tshark")) else { return };
    let file = folder.join("job/tsch-two-tasks-privacy-ntlmv1ess.pcapng");
    let fields = [
        "-Tfields",
        "-etcp.srcport",
        "-etcp.payload",
        "-edcerpc.decrypted_stub_data",
        "-ontlmssp.nt_password:clem",
        "-Ytcp.len>0",
    ];
    let output = Command::new("tshark").arg("-nr").arg(file).args(fields).output().unwrap();
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    // ExportedSessionKey and flags, as `identity` finds them from the password.
    let (mut challenge, mut sealers, mut opened, mut xml) = (Vec::new(), Vec::new(), 0, Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let [_, pdu, shown]: [Vec<u8>; 3] = line.split('\t').map(unhex).collect::<Vec<_>>().try_into().unwrap();
        let mut pdu = pdu;
        let (kind, auth) = (pdu[2], usize::from(u16::from_le_bytes([pdu[10], pdu[11]])));
        let at = pdu.len() - auth;
        match kind {
            12 => challenge = pdu[at..].to_vec(),
            16 => {
                let message = &pdu[at..];
                let field = |at: usize| {
                    let number = |at: usize| usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
                    &message[number(at + 4)..number(at + 4) + number(at)]
                };
                let flags = u32::from_le_bytes(message[60..64].try_into().unwrap());
                let key = ess_session_key(b"c\0l\0e\0m\0", &challenge[24..32], &field(12)[..8], field(52));
                sealers = vec![Sealer::new(&key, flags, false), Sealer::new(&key, flags, true)];
            }
            0 | 2 => {
                let signature: [u8; 16] = pdu[at..].try_into().unwrap();
                pdu.truncate(at);
                assert!(sealers[usize::from(kind == 0)].unseal_within(&mut pdu, 24..at - 8, &signature));
                assert_eq!(pdu[24..24 + shown.len()], shown);
                opened += 1;
                xml.extend(pdu);
            }
            _ => {}
        }
    }
    assert_eq!(opened, 6);
    let needle: Vec<u8> = "<Task version=".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(xml.windows(needle.len()).any(|w| w == needle));
}

/// [MS-NLMP] 3.3.1 and 3.4.5.1: the session key of NTLMv1 with extended session security and key exchange.
fn ess_session_key(password: &[u8], server_challenge: &[u8], client_challenge: &[u8], encrypted: &[u8]) -> [u8; 16] {
    let base = md4::Md4::digest(md4::Md4::digest(password));
    let mac = <Hmac<Md5> as Mac>::new_from_slice(&base).unwrap();
    let key = mac.chain_update(server_challenge).chain_update(client_challenge).finalize().into_bytes();
    let mut session_key: [u8; 16] = encrypted.try_into().unwrap();
    Rc4::new(&key).apply(&mut session_key);
    session_key
}
