//! The session key of an NTLM authentication, from a password or NT hash: [MS-NLMP] 3.3.1, 3.3.2 and 3.4.5.1.

use crate::rpc::ntlm_seal::flags::{EXTENDED_SESSION_SECURITY, KEY_EXCHANGE, LM_KEY, NON_NT_SESSION_KEY};
use crate::rpc::rc4::Rc4;
use des::Des;
use des::cipher::generic_array::GenericArray;
use des::cipher::{BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use std::fmt;

/// A secret that opens an account's authentications. Its bytes are not shown by `Debug`.
#[derive(Clone, Copy)]
pub enum NtSecret<'a> {
    /// The password.
    Password(&'a str),
    /// NTOWFv1: the MD4 of the password.
    Hash([u8; 16]),
}

impl NtSecret<'_> {
    /// The NT hash (NTOWFv1).
    pub fn nt_hash(&self) -> [u8; 16] {
        match self {
            NtSecret::Password(password) => nt_hash(password),
            NtSecret::Hash(hash) => *hash,
        }
    }
}

impl fmt::Debug for NtSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NtSecret::Password(_) => "Password(..)",
            NtSecret::Hash(_) => "Hash(..)",
        })
    }
}

/// What the messages of an NTLM authentication say, as far as it makes the key.
#[derive(Clone, Copy, Debug)]
pub struct Authentication<'a> {
    /// CHALLENGE_MESSAGE.ServerChallenge.
    pub server_challenge: [u8; 8],
    /// AUTHENTICATE_MESSAGE.NegotiateFlags.
    pub flags: u32,
    /// LmChallengeResponse.
    pub lm_response: &'a [u8],
    /// NtChallengeResponse.
    pub nt_response: &'a [u8],
    /// UserName.
    pub user: &'a str,
    /// DomainName, as the client sent it.
    pub domain: &'a str,
    /// EncryptedRandomSessionKey.
    pub encrypted_session_key: &'a [u8],
}

/// Which algorithm answered the challenge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// No response: an anonymous (null) session.
    Anonymous,
    /// NTLMv1.
    V1,
    /// NTLMv1 with extended session security.
    V1Extended,
    /// NTLMv2.
    V2,
}

/// Why there is no session key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoKey {
    /// The response was not made with this secret.
    WrongKey,
    /// The key is made from the LM hash, which only the password gives (NTLMSSP_NEGOTIATE_LM_KEY, NTLMSSP_REQUEST_NON_NT_SESSION_KEY).
    NeedsPassword,
    /// The response is none of those known: a lone LM response, or bytes of odd length.
    UnknownResponse,
}

impl Authentication<'_> {
    /// Which algorithm the response is of; `None` for a lone LM response or odd lengths.
    pub fn version(&self) -> Option<Version> {
        match (self.nt_response.len(), self.lm_response.len()) {
            (0, 0 | 1) => Some(Version::Anonymous),
            (24, _) if self.flags & EXTENDED_SESSION_SECURITY != 0 => Some(Version::V1Extended),
            (24, _) => Some(Version::V1),
            // NTProofStr and the fixed part of NTLMv2_CLIENT_CHALLENGE, 2.2.2.7.
            (44.., _) => Some(Version::V2),
            _ => None,
        }
    }

    /// Checks the response with the secret and gives the ExportedSessionKey. An anonymous session needs no secret and takes any.
    pub fn session_key(&self, secret: &NtSecret<'_>) -> Result<[u8; 16], NoKey> {
        match self.version().ok_or(NoKey::UnknownResponse)? {
            Version::Anonymous => Ok(self.exported([0; 16])),
            Version::V1 => self.v1(secret),
            Version::V1Extended => self.v1_extended(&secret.nt_hash()),
            Version::V2 => self.v2(&secret.nt_hash()),
        }
    }

    /// The ExportedSessionKey of an anonymous session, whose keys come from sixteen zero bytes ([MS-NLMP] 3.2.5.1.2). `None` for any other.
    pub fn anonymous_session_key(&self) -> Option<[u8; 16]> {
        (self.version() == Some(Version::Anonymous)).then(|| self.exported([0; 16]))
    }

    fn v1(&self, secret: &NtSecret<'_>) -> Result<[u8; 16], NoKey> {
        let hash = secret.nt_hash();
        if desl(&hash, &self.server_challenge) != self.nt_response {
            return Err(NoKey::WrongKey);
        }
        // KXKEY, 3.4.5.1.
        let key = if self.flags & (LM_KEY | NON_NT_SESSION_KEY) == 0 {
            md4(&hash)
        } else {
            let NtSecret::Password(password) = secret else { return Err(NoKey::NeedsPassword) };
            let lm = lm_hash(password);
            let [a, b, c, d, e, f, g, h, ..] = lm;
            if self.flags & LM_KEY != 0 {
                let response = *self.lm_response.first_chunk().ok_or(NoKey::UnknownResponse)?;
                join(des(&[a, b, c, d, e, f, g], response), des(&[h, 0xBD, 0xBD, 0xBD, 0xBD, 0xBD, 0xBD], response))
            } else {
                join([a, b, c, d, e, f, g, h], [0; 8])
            }
        };
        Ok(self.exported(key))
    }

    fn v1_extended(&self, hash: &[u8; 16]) -> Result<[u8; 16], NoKey> {
        let client_challenge: [u8; 8] = *self.lm_response.first_chunk().ok_or(NoKey::UnknownResponse)?;
        let both = [self.server_challenge, client_challenge].concat();
        let digest: [u8; 16] = Md5::digest(&both).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        if desl(hash, &[a, b, c, d, e, f, g, h]) != self.nt_response {
            return Err(NoKey::WrongKey);
        }
        Ok(self.exported(hmac_md5(&md4(hash), &both)))
    }

    fn v2(&self, hash: &[u8; 16]) -> Result<[u8; 16], NoKey> {
        let (proof, temp) = self.nt_response.split_first_chunk::<16>().ok_or(NoKey::UnknownResponse)?;
        let response_key = ntowf_v2(hash, self.user, self.domain);
        if hmac_md5(&response_key, &[&self.server_challenge[..], temp].concat()) != *proof {
            return Err(NoKey::WrongKey);
        }
        Ok(self.exported(hmac_md5(&response_key, proof)))
    }

    /// The key of the session, from the KeyExchangeKey: sent encrypted where key exchange was negotiated (3.2.5.1.2).
    fn exported(&self, key_exchange_key: [u8; 16]) -> [u8; 16] {
        let mut key = key_exchange_key;
        if self.flags & KEY_EXCHANGE != 0
            && let Ok(sent) = <[u8; 16]>::try_from(self.encrypted_session_key)
        {
            key = sent;
            Rc4::new(&key_exchange_key).apply(&mut key);
        }
        key
    }
}

/// NTOWFv1, [MS-NLMP] 3.3.1: the MD4 of the password in UTF-16LE.
pub fn nt_hash(password: &str) -> [u8; 16] {
    md4(&utf16(password))
}

/// NTOWFv2, [MS-NLMP] 3.3.2. Windows makes the user name upper case by code unit, so "ß" stays.
pub fn ntowf_v2(nt_hash: &[u8; 16], user: &str, domain: &str) -> [u8; 16] {
    let mut upper = String::with_capacity(user.len());
    for c in user.chars() {
        let mut one = c.to_uppercase();
        upper.push(match (one.next(), one.next()) {
            (Some(single), None) => single,
            _ => c,
        });
    }
    hmac_md5(nt_hash, &[utf16(&upper), utf16(domain)].concat())
}

/// LMOWFv1, [MS-NLMP] 3.3.1: of the password's first 14 characters. Characters outside ASCII depend on the machine's OEM code page; they count as
/// their low byte, which will not fit.
pub fn lm_hash(password: &str) -> [u8; 16] {
    let mut oem = [0u8; 14];
    for (to, c) in oem.iter_mut().zip(password.chars()) {
        *to = (u32::from(c) as u8).to_ascii_uppercase();
    }
    let (mut first, mut second) = ([0; 7], [0; 7]);
    first.copy_from_slice(&oem[..7]);
    second.copy_from_slice(&oem[7..]);
    join(des(&first, *b"KGS!@#$%"), des(&second, *b"KGS!@#$%"))
}

/// DESL, [MS-NLMP] 6: three DES of the same 8 bytes with the three parts of a 16-byte key.
fn desl(key: &[u8; 16], data: &[u8; 8]) -> [u8; 24] {
    let mut padded = [0; 21];
    padded[..16].copy_from_slice(key);
    let mut whole = [0; 24];
    for (part, out) in padded.chunks_exact(7).zip(whole.chunks_exact_mut(8)) {
        let mut seven = [0; 7];
        seven.copy_from_slice(part);
        out.copy_from_slice(&des(&seven, *data));
    }
    whole
}

/// DES with a key of 56 bits, which stand in the upper seven bits of eight bytes.
fn des(key: &[u8; 7], data: [u8; 8]) -> [u8; 8] {
    let bits = key.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let mut spread = [0; 8];
    for (byte, shift) in spread.iter_mut().zip((0..8).rev()) {
        *byte = ((bits >> (7 * shift)) as u8) << 1;
    }
    let mut block = GenericArray::from(data);
    Des::new(&GenericArray::from(spread)).encrypt_block(&mut block);
    block.into()
}

fn md4(data: &[u8]) -> [u8; 16] {
    Md4::digest(data).into()
}

fn hmac_md5(key: &[u8], data: &[u8]) -> [u8; 16] {
    let mut result = [0; 16];
    if let Ok(mac) = <Hmac<Md5> as Mac>::new_from_slice(key) {
        result = mac.chain_update(data).finalize().into_bytes().into();
    }
    result
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn join(first: [u8; 8], last: [u8; 8]) -> [u8; 16] {
    let mut whole = [0; 16];
    whole[..8].copy_from_slice(&first);
    whole[8..].copy_from_slice(&last);
    whole
}

#[cfg(test)]
#[path = "ntlm_keys_tests.rs"]
mod tests;
