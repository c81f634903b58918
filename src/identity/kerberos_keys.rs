//! Kerberos keys and the decryption with them: aes-cts-hmac-sha1-96 (RFC 3961, 3962), aes-cts-hmac-sha2 (RFC 8009), rc4-hmac (RFC 4757).

use crate::rpc::rc4::Rc4;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use std::fmt;

/// Key usage numbers, RFC 4120 7.5.1.
pub mod usage {
    /// The enc-part of a ticket, with the service's key.
    pub const TICKET: u32 = 2;
    /// The enc-part of an AS-REP, with the client's key.
    pub const AS_REP: u32 = 3;
    /// The enc-part of a TGS-REP, with the session key.
    pub const TGS_REP_SESSION_KEY: u32 = 8;
    /// The enc-part of a TGS-REP, with the authenticator's subkey.
    pub const TGS_REP_SUBKEY: u32 = 9;
    /// The authenticator of an AP-REQ, with the session key.
    pub const AP_REQ_AUTHENTICATOR: u32 = 11;
    /// The enc-part of an AP-REP, with the session key.
    pub const AP_REP: u32 = 12;
}

/// An encryption type whose messages can be opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Enctype {
    /// 17: aes128-cts-hmac-sha1-96.
    Aes128Sha1,
    /// 18: aes256-cts-hmac-sha1-96.
    Aes256Sha1,
    /// 19: aes128-cts-hmac-sha256-128.
    Aes128Sha256,
    /// 20: aes256-cts-hmac-sha384-192.
    Aes256Sha384,
    /// 23: rc4-hmac. Its key is the NT hash.
    Rc4Hmac,
}

impl Enctype {
    /// The type of an etype number of a message.
    pub fn from_number(number: i32) -> Option<Enctype> {
        match number {
            17 => Some(Enctype::Aes128Sha1),
            18 => Some(Enctype::Aes256Sha1),
            19 => Some(Enctype::Aes128Sha256),
            20 => Some(Enctype::Aes256Sha384),
            23 => Some(Enctype::Rc4Hmac),
            _ => None,
        }
    }

    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Enctype::Aes128Sha1 => 17,
            Enctype::Aes256Sha1 => 18,
            Enctype::Aes128Sha256 => 19,
            Enctype::Aes256Sha384 => 20,
            Enctype::Rc4Hmac => 23,
        }
    }

    /// Bytes of its keys.
    pub fn key_bytes(self) -> usize {
        match self {
            Enctype::Aes256Sha1 | Enctype::Aes256Sha384 => 32,
            _ => 16,
        }
    }
}

/// A key of a known encryption type. `Debug` shows the type only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    enctype: Enctype,
    bytes: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.enctype)
    }
}

impl Key {
    /// A key; `None` where the type is not known or the length is not the type's.
    pub fn new(enctype: i32, bytes: &[u8]) -> Option<Key> {
        let enctype = Enctype::from_number(enctype)?;
        (bytes.len() == enctype.key_bytes()).then(|| Key { enctype, bytes: bytes.to_vec() })
    }

    /// Its type.
    pub fn enctype(&self) -> Enctype {
        self.enctype
    }

    /// Its bytes: as the session key of an SMB session, for instance.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Opens the cipher of an EncryptedData for a key usage of RFC 4120 7.5.1. `None` where it is too short or its checksum is wrong: another
    /// key, another usage, or damage. Without confounder and checksum; with the type's padding, of which these types have none.
    pub fn decrypt(&self, usage: u32, cipher: &[u8]) -> Option<Vec<u8>> {
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => self.aes_sha1(usage, cipher),
            Enctype::Aes128Sha256 | Enctype::Aes256Sha384 => self.aes_sha2(usage, cipher),
            Enctype::Rc4Hmac => self.rc4_hmac(usage, cipher),
        }
    }

    /// RFC 3961 5.3 with RFC 3962 6.
    fn aes_sha1(&self, usage: u32, cipher: &[u8]) -> Option<Vec<u8>> {
        let (sealed, checksum) = cipher.split_at_checked(cipher.len().checked_sub(12)?)?;
        let mut plain = sealed.to_vec();
        cts_decrypt(&Aes::new(&self.derive(usage, 0xAA)?)?, &mut plain)?;
        let mac = <Hmac<Sha1> as Mac>::new_from_slice(&self.derive(usage, 0x55)?).ok()?.chain_update(&plain);
        mac.verify_truncated_left(checksum).ok()?;
        plain.drain(..16);
        Some(plain)
    }

    /// RFC 8009 5.
    fn aes_sha2(&self, usage: u32, cipher: &[u8]) -> Option<Vec<u8>> {
        let mac_bytes = if self.enctype == Enctype::Aes128Sha256 { 16 } else { 24 };
        let (sealed, checksum) = cipher.split_at_checked(cipher.len().checked_sub(mac_bytes)?)?;
        // The MAC covers the initial cipher state, which is zero, and the encrypted bytes.
        let integrity = self.kdf_sha2(usage, 0x55, mac_bytes)?;
        let iv = [0; 16];
        if self.enctype == Enctype::Aes128Sha256 {
            let mac = <Hmac<Sha256> as Mac>::new_from_slice(&integrity).ok()?;
            mac.chain_update(iv).chain_update(sealed).verify_truncated_left(checksum).ok()?;
        } else {
            let mac = <Hmac<Sha384> as Mac>::new_from_slice(&integrity).ok()?;
            mac.chain_update(iv).chain_update(sealed).verify_truncated_left(checksum).ok()?;
        }
        let mut plain = sealed.to_vec();
        cts_decrypt(&Aes::new(&self.kdf_sha2(usage, 0xAA, self.bytes.len())?)?, &mut plain)?;
        plain.drain(..16);
        Some(plain)
    }

    /// RFC 4757 4 and 5.
    fn rc4_hmac(&self, usage: u32, cipher: &[u8]) -> Option<Vec<u8>> {
        let (checksum, sealed) = cipher.split_first_chunk::<16>()?;
        if sealed.len() < 8 {
            return None;
        }
        // Microsoft numbers these usages otherwise, RFC 4757 3.
        let usage = match usage {
            3 | 9 => 8,
            23 => 13,
            other => other,
        };
        let integrity = hmac_md5(&self.bytes, &usage.to_le_bytes())?;
        let mut plain = sealed.to_vec();
        Rc4::new(&hmac_md5(&integrity, checksum)?).apply(&mut plain);
        if hmac_md5(&integrity, &plain)? != *checksum {
            return None;
        }
        plain.drain(..8);
        Some(plain)
    }

    /// DK(key, usage | kind), RFC 3961 5.1.
    fn derive(&self, usage: u32, kind: u8) -> Option<Vec<u8>> {
        let [a, b, c, d] = usage.to_be_bytes();
        let aes = Aes::new(&self.bytes)?;
        let mut block = n_fold(&[a, b, c, d, kind]);
        let mut derived = Vec::with_capacity(32);
        while derived.len() < self.bytes.len() {
            aes.encrypt(&mut block);
            derived.extend_from_slice(&block);
        }
        derived.truncate(self.bytes.len());
        Some(derived)
    }

    /// KDF-HMAC-SHA2(key, usage | kind, bytes), RFC 8009 3.
    fn kdf_sha2(&self, usage: u32, kind: u8, bytes: usize) -> Option<Vec<u8>> {
        let input = [&[0, 0, 0, 1][..], &usage.to_be_bytes(), &[kind, 0], &u32::try_from(bytes * 8).ok()?.to_be_bytes()].concat();
        let mut derived = if self.enctype == Enctype::Aes128Sha256 {
            <Hmac<Sha256> as Mac>::new_from_slice(&self.bytes).ok()?.chain_update(input).finalize().into_bytes().to_vec()
        } else {
            <Hmac<Sha384> as Mac>::new_from_slice(&self.bytes).ok()?.chain_update(input).finalize().into_bytes().to_vec()
        };
        derived.truncate(bytes);
        Some(derived)
    }
}

/// AES with a key of either length.
enum Aes {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Aes {
    fn new(key: &[u8]) -> Option<Aes> {
        match key.len() {
            16 => Aes128::new_from_slice(key).ok().map(|aes| Aes::Short(Box::new(aes))),
            _ => Aes256::new_from_slice(key).ok().map(|aes| Aes::Long(Box::new(aes))),
        }
    }

    fn encrypt(&self, block: &mut [u8; 16]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Aes::Short(aes) => aes.encrypt_block(block),
            Aes::Long(aes) => aes.encrypt_block(block),
        }
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Aes::Short(aes) => aes.decrypt_block(block),
            Aes::Long(aes) => aes.decrypt_block(block),
        }
    }
}

/// CBC with ciphertext stealing and a zero initial vector, RFC 3962 5: the last two blocks are always exchanged, and the last is cut. A single
/// block is plain CBC. `None` where there is less than a block.
fn cts_decrypt(aes: &Aes, data: &mut [u8]) -> Option<()> {
    if data.len() < 16 {
        return None;
    }
    // Bytes before the last two blocks, which hold 17 to 32 bytes.
    let before = if data.len() == 16 { 0 } else { (data.len() - 1) / 16 * 16 - 16 };
    let mut previous = [0u8; 16];
    let (head, tail) = data.split_at_mut_checked(if data.len() == 16 { 16 } else { before })?;
    let (blocks, _) = head.as_chunks_mut::<16>();
    for block in blocks {
        let sealed = *block;
        aes.decrypt(block);
        xor(block, &previous);
        previous = sealed;
    }
    let Some((next_to_last, last)) = tail.split_first_chunk_mut::<16>() else { return Some(()) };
    let mut mixed = *next_to_last;
    aes.decrypt(&mut mixed);
    // Of the block that was cut, the rest is found in the other's plain text.
    let mut stolen = mixed;
    for (to, from) in stolen.iter_mut().zip(last.iter()) {
        *to = *from;
    }
    for (to, from) in last.iter_mut().zip(mixed) {
        *to ^= from;
    }
    aes.decrypt(&mut stolen);
    xor(&mut stolen, &previous);
    *next_to_last = stolen;
    Some(())
}

fn xor(block: &mut [u8; 16], with: &[u8; 16]) {
    for (to, from) in block.iter_mut().zip(with) {
        *to ^= from;
    }
}

/// n-fold to 128 bits, RFC 3961 5.1: copies of the input, each turned right by 13 bits more, are added with end-around carry.
fn n_fold(input: &[u8]) -> [u8; 16] {
    let bits = input.len() * 8;
    let mut sum = 0u128;
    if bits == 0 {
        return [0; 16];
    }
    // The copies end together with a block of the result after the least common multiple of both lengths.
    let total = bits / gcd(bits, 128) * 128;
    for chunk in 0..total / 128 {
        let mut block = 0u128;
        for at in chunk * 128..(chunk + 1) * 128 {
            // Which bit of the input stands here: of copy number `at / bits`, turned by 13 each.
            let bit = (at % bits + bits * 13 - at / bits * 13 % bits) % bits;
            let set = input.get(bit / 8).is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1);
            block = block << 1 | u128::from(set);
        }
        let (added, carry) = sum.overflowing_add(block);
        sum = if carry { added.wrapping_add(1) } else { added };
    }
    sum.to_be_bytes()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn hmac_md5(key: &[u8], data: &[u8]) -> Option<[u8; 16]> {
    Some(<Hmac<Md5> as Mac>::new_from_slice(key).ok()?.chain_update(data).finalize().into_bytes().into())
}

#[cfg(test)]
#[path = "kerberos_keys_tests.rs"]
mod tests;
