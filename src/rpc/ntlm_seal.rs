//! NTLM session security, [MS-NLMP] 3.4: opens sealed messages of one direction, in their order.

use super::rc4::Rc4;
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use std::fmt;
use std::ops::Range;

/// NTLMSSP_NEGOTIATE_* flags, [MS-NLMP] 2.2.2.5, that bear on keys.
pub mod flags {
    /// NTLMSSP_NEGOTIATE_SIGN.
    pub const SIGN: u32 = 0x0000_0010;
    /// NTLMSSP_NEGOTIATE_SEAL.
    pub const SEAL: u32 = 0x0000_0020;
    /// NTLMSSP_NEGOTIATE_DATAGRAM.
    pub const DATAGRAM: u32 = 0x0000_0040;
    /// NTLMSSP_NEGOTIATE_LM_KEY.
    pub const LM_KEY: u32 = 0x0000_0080;
    /// NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY.
    pub const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    /// NTLMSSP_REQUEST_NON_NT_SESSION_KEY.
    pub const NON_NT_SESSION_KEY: u32 = 0x0040_0000;
    /// NTLMSSP_NEGOTIATE_128.
    pub const KEY_128: u32 = 0x2000_0000;
    /// NTLMSSP_NEGOTIATE_KEY_EXCH.
    pub const KEY_EXCHANGE: u32 = 0x4000_0000;
    /// NTLMSSP_NEGOTIATE_56.
    pub const KEY_56: u32 = 0x8000_0000;
}

use flags::{DATAGRAM, EXTENDED_SESSION_SECURITY, KEY_56, KEY_128, KEY_EXCHANGE, LM_KEY};

/// SIGNKEY, [MS-NLMP] 3.4.5.2; `None` without extended session security, where there is none.
pub fn sign_key(session_key: &[u8; 16], flags: u32, from_client: bool) -> Option<[u8; 16]> {
    let magic: &[u8] = if from_client {
        b"session key to client-to-server signing key magic constant\0"
    } else {
        b"session key to server-to-client signing key magic constant\0"
    };
    (flags & EXTENDED_SESSION_SECURITY != 0).then(|| Md5::new().chain_update(session_key).chain_update(magic).finalize().into())
}

/// SEALKEY, [MS-NLMP] 3.4.5.3: 8 or 16 bytes. Without extended session security both directions have the same.
pub fn seal_key(session_key: &[u8; 16], flags: u32, from_client: bool) -> Vec<u8> {
    let (first5, first7) = (&session_key[..5], &session_key[..7]);
    if flags & EXTENDED_SESSION_SECURITY != 0 {
        let magic: &[u8] = if from_client {
            b"session key to client-to-server sealing key magic constant\0"
        } else {
            b"session key to server-to-client sealing key magic constant\0"
        };
        let key = if flags & KEY_128 != 0 {
            &session_key[..]
        } else if flags & KEY_56 != 0 {
            first7
        } else {
            first5
        };
        Md5::new().chain_update(key).chain_update(magic).finalize().to_vec()
    } else if flags & (LM_KEY | DATAGRAM) != 0 {
        if flags & KEY_56 != 0 { [first7, &[0xA0]].concat() } else { [first5, &[0xE5, 0x38, 0xB0]].concat() }
    } else {
        session_key.to_vec()
    }
}

/// Whether both directions run on one cipher state and one sequence number: without extended session security. Then one [`Sealer`] takes the
/// messages of both, in the order in which they were sent.
pub fn is_shared(flags: u32) -> bool {
    flags & EXTENDED_SESSION_SECURITY == 0
}

/// The state of one direction. It must see each signed or sealed message since the AUTHENTICATE, in order: after a missed one the rest cannot
/// be opened. It is a secret: `Debug` does not show it.
#[derive(Clone)]
pub struct Sealer {
    cipher: Rc4,
    sign_key: Option<[u8; 16]>,
    key_exchange: bool,
    sequence: u32,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer {{ sequence: {}, .. }}", self.sequence)
    }
}

impl Sealer {
    /// Before the first message. `session_key` is the ExportedSessionKey, `flags` are those of the AUTHENTICATE message.
    pub fn new(session_key: &[u8; 16], flags: u32, from_client: bool) -> Sealer {
        Sealer {
            cipher: Rc4::new(&seal_key(session_key, flags, from_client)),
            sign_key: sign_key(session_key, flags, from_client),
            key_exchange: flags & KEY_EXCHANGE != 0,
            sequence: 0,
        }
    }

    /// Messages opened or checked so far.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Decrypts a message of which all is sealed and signed. False where the signature does not fit: key or order are wrong, and the bytes
    /// mean nothing.
    pub fn unseal(&mut self, data: &mut [u8], signature: &[u8; 16]) -> bool {
        let whole = 0..data.len();
        self.unseal_within(data, whole, signature)
    }

    /// Decrypts the part of a DCE/RPC PDU that is sealed: stub and padding (RPC_C_AUTHN_LEVEL_PKT_PRIVACY, [MS-RPCE] 2.2.2.11). `pdu` is the PDU
    /// from its first byte to the end of the sec_trailer, without the auth_value, which is `signature`. The signature may cover the PDU (header
    /// signing) or only the sealed part. False as for [`Sealer::unseal`].
    pub fn unseal_within(&mut self, pdu: &mut [u8], sealed: Range<usize>, signature: &[u8; 16]) -> bool {
        let Some(data) = pdu.get_mut(sealed.clone()) else { return false };
        self.cipher.apply(data);
        self.verify(pdu, sealed, signature)
    }

    /// Checks the signature of a PDU that is only signed (RPC_C_AUTHN_LEVEL_PKT_INTEGRITY); `body` is its stub and padding. It advances the state
    /// as the sealed ones do.
    pub fn check(&mut self, pdu: &[u8], body: Range<usize>, signature: &[u8; 16]) -> bool {
        self.verify(pdu, body, signature)
    }

    fn verify(&mut self, pdu: &[u8], body: Range<usize>, signature: &[u8; 16]) -> bool {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let body = pdu.get(body).unwrap_or(&[]);
        match self.sign_key {
            Some(key) => {
                let mut checksum = [0; 8];
                checksum.copy_from_slice(&signature[4..12]);
                if self.key_exchange {
                    self.cipher.apply(&mut checksum);
                }
                let signed = |bytes: &[u8]| mac(&key, sequence, bytes) == checksum;
                let known = signature[..4] == [1, 0, 0, 0] && signature[12..] == sequence.to_le_bytes();
                known && (signed(pdu) || signed(body))
            }
            None => {
                // RandomPad, Checksum and SeqNum are encrypted in this order; SeqNum is then XORed, so that a zero stands there.
                let mut rest = [0; 12];
                rest.copy_from_slice(&signature[4..]);
                self.cipher.apply(&mut rest);
                let known = signature[..4] == [1, 0, 0, 0] && rest[8..] == sequence.to_le_bytes();
                let checks = |bytes: &[u8]| rest[4..8] == crc32fast::hash(bytes).to_le_bytes();
                known && (checks(body) || checks(pdu))
            }
        }
    }
}

/// The first 8 bytes of HMAC-MD5 over sequence number and message, [MS-NLMP] 3.4.4.2.
fn mac(key: &[u8; 16], sequence: u32, message: &[u8]) -> [u8; 8] {
    let mut first = [0; 8];
    if let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) {
        mac.update(&sequence.to_le_bytes());
        mac.update(message);
        first.copy_from_slice(&mac.finalize().into_bytes()[..8]);
    }
    first
}

#[cfg(test)]
#[path = "ntlm_seal_tests.rs"]
mod tests;
