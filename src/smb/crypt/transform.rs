//! SMB2 TRANSFORM_HEADER, [MS-SMB2] 2.2.41, and what is sealed behind it.

use aes::{Aes128, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use ccm::aead::generic_array::GenericArray;
use ccm::aead::{AeadInPlace, KeyInit};
use ccm::consts::{U11, U16};

/// The first bytes of an encrypted message.
pub const PROTOCOL_ID: [u8; 4] = [0xFD, b'S', b'M', b'B'];
/// Bytes of the header; the sealed message follows.
pub const HEADER_BYTES: usize = 52;

/// What the tag also covers: Nonce, OriginalMessageSize, Reserved, Flags and SessionId.
const AAD_START: usize = 20;

/// An encryption algorithm, [MS-SMB2] 2.2.3.1.2. SMB 3.0 and 3.0.2 know AES-128-CCM only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cipher {
    /// 0x0001.
    Aes128Ccm,
    /// 0x0002.
    Aes128Gcm,
    /// 0x0003.
    Aes256Ccm,
    /// 0x0004.
    Aes256Gcm,
}

impl Cipher {
    /// The algorithm of a number of SMB2_ENCRYPTION_CAPABILITIES.
    pub fn from_id(id: u16) -> Option<Cipher> {
        match id {
            1 => Some(Cipher::Aes128Ccm),
            2 => Some(Cipher::Aes128Gcm),
            3 => Some(Cipher::Aes256Ccm),
            4 => Some(Cipher::Aes256Gcm),
            _ => None,
        }
    }

    /// All, in the order in which they are likely: to be tried where the NEGOTIATE answer was not seen.
    pub const ALL: [Cipher; 4] = [Cipher::Aes128Gcm, Cipher::Aes128Ccm, Cipher::Aes256Gcm, Cipher::Aes256Ccm];

    /// Bytes of its keys.
    pub fn key_bytes(self) -> usize {
        match self {
            Cipher::Aes128Ccm | Cipher::Aes128Gcm => 16,
            Cipher::Aes256Ccm | Cipher::Aes256Gcm => 32,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Cipher::Aes128Ccm => "AES-128-CCM",
            Cipher::Aes128Gcm => "AES-128-GCM",
            Cipher::Aes256Ccm => "AES-256-CCM",
            Cipher::Aes256Gcm => "AES-256-GCM",
        }
    }
}

/// The fields of a TRANSFORM_HEADER.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransformHeader {
    /// Signature: the tag.
    pub tag: [u8; 16],
    /// Nonce; CCM uses its first 11 bytes, GCM its first 12.
    pub nonce: [u8; 16],
    /// OriginalMessageSize: bytes of the sealed message.
    pub message_bytes: u32,
    /// Flags of SMB 3.1.1 (0x0001: encrypted), EncryptionAlgorithm of SMB 3.0 and 3.0.2 (0x0001: AES-128-CCM).
    pub flags: u16,
    /// SessionId, as a little-endian number.
    pub session: u64,
}

impl TransformHeader {
    /// Reads the header at the start of a message. `None` where it is no encrypted message or shorter than a header.
    pub fn parse(transform: &[u8]) -> Option<TransformHeader> {
        if !transform.starts_with(&PROTOCOL_ID) {
            return None;
        }
        Some(TransformHeader {
            tag: *transform.get(4..)?.first_chunk()?,
            nonce: *transform.get(AAD_START..)?.first_chunk()?,
            message_bytes: u32::from_le_bytes(*transform.get(36..)?.first_chunk()?),
            flags: u16::from_le_bytes(*transform.get(42..)?.first_chunk()?),
            session: u64::from_le_bytes(*transform.get(44..)?.first_chunk()?),
        })
    }

    /// Bytes of header and sealed message: where the next encrypted message of the same transport message begins, if there is one.
    pub fn whole_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.message_bytes)
    }
}

/// Whether bytes begin as an encrypted message does.
pub fn is_encrypted(message: &[u8]) -> bool {
    message.starts_with(&PROTOCOL_ID)
}

/// The message sealed in an encrypted one, which begins at its 0xFD 'S' 'M' 'B'. `None` where it is cut short, where the key has another length
/// than the cipher's, or where the tag is wrong: then nothing of it is to be believed.
pub fn open(transform: &[u8], key: &[u8], cipher: Cipher) -> Option<Vec<u8>> {
    let header = TransformHeader::parse(transform)?;
    let aad = transform.get(AAD_START..HEADER_BYTES)?;
    let end = HEADER_BYTES.checked_add(usize::try_from(header.message_bytes).ok()?)?;
    let mut message = transform.get(HEADER_BYTES..end)?.to_vec();
    match cipher {
        Cipher::Aes128Ccm => unseal::<Ccm<Aes128, U16, U11>>(key, header.nonce.get(..11)?, aad, &mut message, &header.tag),
        Cipher::Aes256Ccm => unseal::<Ccm<Aes256, U16, U11>>(key, header.nonce.get(..11)?, aad, &mut message, &header.tag),
        Cipher::Aes128Gcm => unseal::<Aes128Gcm>(key, header.nonce.get(..12)?, aad, &mut message, &header.tag),
        Cipher::Aes256Gcm => unseal::<Aes256Gcm>(key, header.nonce.get(..12)?, aad, &mut message, &header.tag),
    }?;
    Some(message)
}

fn unseal<A: AeadInPlace + KeyInit>(key: &[u8], nonce: &[u8], aad: &[u8], message: &mut [u8], tag: &[u8]) -> Option<()> {
    let cipher = A::new_from_slice(key).ok()?;
    cipher.decrypt_in_place_detached(GenericArray::from_slice(nonce), aad, message, GenericArray::from_slice(tag)).ok()
}
