//! The keys of a session, from its session key: NIST SP 800-108 in counter mode with HMAC-SHA256, [MS-SMB2] 3.1.4.2.

use super::transform::Cipher;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;

/// A preauthentication integrity hash: SHA-512 ([MS-SMB2] 3.1.4.4.1).
pub type PreauthHash = [u8; 64];

/// Bytes of Session.SessionKey, [MS-SMB2] 3.2.1.3: a longer key of the authentication is cut, a shorter one is filled with zeros.
pub const SESSION_KEY_BYTES: usize = 16;

/// What a session's keys are bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding<'a> {
    /// SMB 3.0 and 3.0.2: fixed labels and contexts.
    Fixed,
    /// SMB 3.1.1: Session.PreauthIntegrityHashValue, which covers the connection's NEGOTIATE pair and this session's SESSION_SETUP messages up
    /// to the last request.
    Preauth(&'a PreauthHash),
}

/// The keys that open a session's encrypted messages. Their bytes are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectionKeys {
    /// For what the client sends (Wireshark: client-to-server; [MS-SMB2]: the server's DecryptionKey).
    pub to_server: Vec<u8>,
    /// For what the server sends.
    pub to_client: Vec<u8>,
}

impl fmt::Debug for DirectionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectionKeys(..)")
    }
}

/// The encryption keys of a session ([MS-SMB2] 3.2.5.3.1). `session_key` is the key of the authentication as it is: AES-256 derives from all of
/// it (Session.FullSessionKey), AES-128 from its first 16 bytes.
pub fn direction_keys(session_key: &[u8], cipher: Cipher, binding: Binding<'_>) -> DirectionKeys {
    let mut short = [0; SESSION_KEY_BYTES];
    for (to, from) in short.iter_mut().zip(session_key) {
        *to = *from;
    }
    let length = cipher.key_bytes();
    let base = if length > SESSION_KEY_BYTES && session_key.len() > SESSION_KEY_BYTES { session_key } else { &short };
    let (to_server, to_client) = match binding {
        Binding::Fixed => {
            (derive(base, b"SMB2AESCCM\0", b"ServerIn \0", length), derive(base, b"SMB2AESCCM\0", b"ServerOut\0", length))
        }
        Binding::Preauth(hash) => {
            (derive(base, b"SMBC2SCipherKey\0", hash, length), derive(base, b"SMBS2CCipherKey\0", hash, length))
        }
    };
    DirectionKeys { to_server, to_client }
}

/// The first `length` bytes (at most 8,160) of SP 800-108 in counter mode (5.1): HMAC-SHA256, a counter of 32 bits, a zero byte between label and
/// context, the length in bits at the end. The label's own end (a zero byte) is part of `label`.
pub fn derive(key: &[u8], label: &[u8], context: &[u8], length: usize) -> Vec<u8> {
    const BLOCK_BYTES: usize = 32;
    let length = length.min(255 * BLOCK_BYTES);
    let bits = u32::try_from(length * 8).unwrap_or(u32::MAX);
    let mut derived = Vec::with_capacity(length.next_multiple_of(BLOCK_BYTES));
    let mut counter = 0u32;
    while derived.len() < length {
        counter += 1;
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { break }; // HMAC takes keys of any length
        mac.update(&counter.to_be_bytes());
        mac.update(label);
        mac.update(&[0]);
        mac.update(context);
        mac.update(&bits.to_be_bytes());
        derived.extend_from_slice(&mac.finalize().into_bytes());
    }
    derived.truncate(length);
    derived
}
