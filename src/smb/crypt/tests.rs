//! Known answers, and captures whose keys are known.

use super::kdf::{Binding, DirectionKeys, derive, direction_keys};
use super::opener::{Opener, WRONG_MESSAGES_MAX};
use super::preauth::Preauth;
use super::transform::{Cipher, HEADER_BYTES, TransformHeader, is_encrypted, open};
use crate::smb::corpus_messages::corpus_messages;
use aes_gcm::Aes128Gcm;
use ccm::aead::generic_array::GenericArray;
use ccm::aead::{AeadInPlace, KeyInit};
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// "SMB 2 and SMB 3 security in Windows 10: the anatomy of signing and cryptographic keys" (Microsoft), multichannel example, dialect 3.0.
#[test]
fn derives_the_published_keys_of_smb_30() {
    let session_key = bytes("7CD451825D0450D235424E44BA6E78CC");
    assert_eq!(derive(&session_key, b"SMB2AESCMAC\0", b"SmbSign\0", 16), bytes("0B7E9C5CAC36C0F6EA9AB275298CEDCE"));
    let keys = direction_keys(&session_key, Cipher::Aes128Ccm, Binding::Fixed);
    assert_eq!(keys.to_server, bytes("FAD27796665B313EBB578F388632B4F7"));
    assert_eq!(keys.to_client, bytes("B0F0427F7CEB416D1D9DCC0CD4F99447"));
}

/// A message sealed with AES-128-GCM.
fn sealed(key: &[u8; 16], message: &[u8]) -> Vec<u8> {
    let mut whole = b"\xFDSMB".to_vec();
    whole.extend([0; 16]);
    whole.extend(1..=12u8);
    whole.extend([0; 4]);
    whole.extend((message.len() as u32).to_le_bytes());
    whole.extend([0, 0, 1, 0]);
    whole.extend(0x1122_3344_5566_7788u64.to_le_bytes());
    let mut body = message.to_vec();
    let aead = Aes128Gcm::new_from_slice(key).unwrap();
    let tag = aead.encrypt_in_place_detached(GenericArray::from_slice(&whole[20..32]), &whole[20..52], &mut body).unwrap();
    whole[4..20].copy_from_slice(&tag);
    whole.extend(body);
    whole
}

#[test]
fn opens_only_what_is_whole_and_unchanged() {
    let key = [7; 16];
    let message = sealed(&key, b"\xFESMB and so on");
    let header = TransformHeader::parse(&message).unwrap();
    assert_eq!((header.session, header.flags, header.message_bytes), (0x1122_3344_5566_7788, 1, 14));
    assert_eq!(header.whole_bytes(), message.len() as u64);
    assert_eq!(open(&message, &key, Cipher::Aes128Gcm).as_deref(), Some(&b"\xFESMB and so on"[..]));
    let mut followed = message.clone();
    followed.extend(b"\xFDSMB");
    assert!(open(&followed, &key, Cipher::Aes128Gcm).is_some(), "what follows is not part of it");
    for end in 0..message.len() {
        assert_eq!(open(&message[..end], &key, Cipher::Aes128Gcm), None);
        assert_eq!(TransformHeader::parse(&message[..end]).is_some(), end >= HEADER_BYTES);
    }
    for at in 0..message.len() {
        // The rest of the nonce is not used, but covered by the tag.
        let mut changed = message.clone();
        changed[at] ^= 1;
        assert_eq!(open(&changed, &key, Cipher::Aes128Gcm), None, "byte {at}");
    }
    for cipher in Cipher::ALL {
        assert_eq!(open(&message, &[8; 16], cipher), None);
        assert_eq!(open(&message, &key[..15], cipher), None);
        assert_eq!(open(&message, &[], cipher), None);
        assert_eq!(Cipher::ALL.into_iter().filter(|c| c.name() == cipher.name()).count(), 1);
    }
}

/// FIPS 180-4: SHA-512 of 64 zero bytes and a message.
#[test]
fn the_running_hash_covers_the_hash_before() {
    use sha2::{Digest, Sha512};
    let mut preauth = Preauth::new();
    assert_eq!(preauth.hash(), &[0; 64]);
    preauth.add(b"request");
    let first = Sha512::digest([&[0; 64][..], b"request"].concat());
    assert_eq!(preauth.hash()[..], first[..]);
    preauth.add(b"answer");
    assert_eq!(preauth.hash()[..], Sha512::digest([&first[..], b"answer"].concat())[..]);
}

/// How many encrypted messages of a capture with a known session key there are; each is opened. The key is the capture's, as its readme gives it.
fn open_all(name: &str, session_key: &str, cipher: Cipher, dialect_311: bool) -> Option<(usize, usize)> {
    let messages = corpus_messages(name);
    if messages.is_empty() {
        return None;
    }
    let mut preauth = Preauth::new();
    for (to_server, message) in &messages {
        // NEGOTIATE pair and SESSION_SETUPs but for the last answer, which has STATUS_SUCCESS.
        let smb2 = message.starts_with(b"\xFESMB");
        let command = message.get(12).copied();
        if smb2 && (command == Some(0) || command == Some(1) && (*to_server || message[8..12] != [0; 4])) {
            preauth.add(message);
        }
    }
    let binding = if dialect_311 { Binding::Preauth(preauth.hash()) } else { Binding::Fixed };
    let keys = direction_keys(&bytes(session_key), cipher, binding);
    let mut counts = (0, 0);
    for (to_server, message) in messages.iter().filter(|m| is_encrypted(&m.1)) {
        let (right, wrong) = if *to_server { (&keys.to_server, &keys.to_client) } else { (&keys.to_client, &keys.to_server) };
        let plain = open(message, right, cipher).unwrap();
        assert!(plain.starts_with(b"\xFESMB"));
        assert_eq!(plain[16] & 1, u8::from(!to_server), "SMB2_FLAGS_SERVER_TO_REDIR");
        assert_eq!(open(message, wrong, cipher), None);
        if *to_server { counts.0 += 1 } else { counts.1 += 1 }
    }
    Some(counts)
}

#[test]
fn opens_the_corpus() {
    let captures = [
        ("smb3/smb300-aes-128-ccm.pcap.gz", "9a9ea16a0cdbeb6064772318073f172f", Cipher::Aes128Ccm, false, (1, 1)),
        ("smb3/smb311-aes-128-gcm.pcap.gz", "e79161ded03bda1449b2c8e58f753953", Cipher::Aes128Gcm, true, (1, 1)),
        ("smb3/smb311-aes-256-ccm.pcap.gz", "6b559c2e60519e344581d086a6d3d050", Cipher::Aes256Ccm, true, (1, 1)),
        ("smb3/smb300-aes-128-ccm-whole-session.pcap", "28f2847263c83dc00621f742dd3f2e7b", Cipher::Aes128Ccm, false, (22, 22)),
    ];
    for (name, key, cipher, dialect_311, wanted) in captures {
        if let Some(counts) = open_all(name, key, cipher, dialect_311) {
            assert_eq!(counts, wanted, "{name}");
        }
    }
}

#[test]
fn an_opener_finds_cipher_and_direction() {
    let keys = |to_server: u8, to_client: u8| DirectionKeys { to_server: vec![to_server; 16], to_client: vec![to_client; 16] };
    let (asked, answered) = (sealed(&[7; 16], b"\xFESMB request"), sealed(&[8; 16], b"\xFESMB answer"));
    for keys in [keys(7, 8), keys(8, 7)] {
        let mut opener = Opener::new(keys, None);
        assert!(!opener.is_proven());
        assert!(opener.open(&asked, true).is_some() && opener.open(&answered, false).is_some());
        assert!(opener.open(&asked, false).is_none(), "the direction is known now");
        assert_eq!((opener.is_proven(), opener.wrong()), (true, 1));
    }
    assert!(Opener::new(keys(7, 8), Some(Cipher::Aes128Ccm)).open(&asked, true).is_none());
    // One key of a list may be missing.
    let mut half = Opener::new(DirectionKeys { to_server: Vec::new(), to_client: vec![8; 16] }, None);
    assert!(half.open(&asked, true).is_none() && half.open(&answered, false).is_some());
    let mut wrong = Opener::new(keys(1, 2), None);
    for _ in 0..WRONG_MESSAGES_MAX + 5 {
        assert!(wrong.open(&asked, true).is_none());
    }
    assert_eq!((wrong.is_proven(), wrong.wrong()), (false, WRONG_MESSAGES_MAX));
    assert!(!format!("{wrong:?}").contains("1, 1"));
}

#[test]
fn smb_30_opens_without_its_start() {
    let mut opener = Opener::without_negotiation(&bytes("28f2847263c83dc00621f742dd3f2e7b"));
    let messages = corpus_messages("smb3/smb300-aes-128-ccm-midstream.pcap");
    let opened = messages.iter().filter(|m| is_encrypted(&m.1) && opener.open(&m.1, m.0).is_some()).count();
    assert!(opened == 44 || messages.is_empty(), "{opened}");
}

proptest! {
    #[test]
    fn any_bytes_are_taken(mut message in prop::collection::vec(any::<u8>(), 0..200), key in prop::collection::vec(any::<u8>(), 0..40)) {
        message.splice(0..0, *b"\xFDSMB");
        for cipher in Cipher::ALL {
            prop_assert_eq!(open(&message, &key, cipher), None);
        }
        let _ = derive(&key, &message, &key, key.len() * 50);
    }
}
