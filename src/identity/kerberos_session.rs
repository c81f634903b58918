//! The session key of a Kerberos authentication, from the service's keytab: RFC 4120 5.3, 5.5.1 and 5.5.2.

use super::kerberos_keys::{Key, usage};
use super::keytab::Keytab;
use std::fmt;

/// Keys of one keytab that are tried on a ticket; each costs a decryption. A service has one for each encryption type and version kept.
pub const KEYS_TRIED_MAX: usize = 64;
/// Components that are kept of a client's name: `user`, or `service/host`.
const NAME_PARTS_MAX: usize = 8;

/// The sealed parts of an AP-REQ and, where mutual authentication was asked for, its AP-REP.
#[derive(Clone, Copy, Debug)]
pub struct ApExchange<'a> {
    /// Encryption type of the ticket's enc-part.
    pub ticket_enctype: i32,
    /// Its key version number, where it has one.
    pub ticket_kvno: Option<u32>,
    /// Its cipher.
    pub ticket: &'a [u8],
    /// The cipher of the AP-REQ's authenticator.
    pub authenticator: &'a [u8],
    /// The cipher of the AP-REP's enc-part, where it was seen.
    pub ap_rep: Option<&'a [u8]>,
}

/// Where a session key comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyFrom {
    /// The acceptor's subkey, in the AP-REP.
    Acceptor,
    /// The initiator's subkey, in the authenticator.
    Initiator,
    /// The ticket's session key.
    Ticket,
}

/// Why there is no session key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NoKerberosKey {
    /// The keytab has no key of the ticket's encryption type.
    NoKey,
    /// None of its keys opens the ticket.
    WrongKey,
    /// The ticket opens, but what is in it, or what its key should open, is broken.
    Broken,
}

/// What a ticket tells. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct KerberosSession {
    /// The session key of SMB or DCE/RPC: 16 or 32 bytes.
    pub key: Vec<u8>,
    /// Where it comes from.
    pub from: KeyFrom,
    /// The client's name.
    pub client: String,
    /// The client's realm.
    pub realm: String,
}

impl fmt::Debug for KerberosSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KerberosSession {{ client: {}@{}, from: {:?}, .. }}", self.client, self.realm, self.from)
    }
}

/// Opens the exchange. The acceptor's subkey goes before the initiator's, and that before the ticket's session key (RFC 4121 2); where the
/// AP-REP was not seen or does not open, the session key may be another than the one found.
pub fn session(keytab: &Keytab, exchange: &ApExchange<'_>) -> Result<KerberosSession, NoKerberosKey> {
    let mut tried = 0;
    let mut candidates = keytab.candidates(exchange.ticket_enctype, exchange.ticket_kvno).take(KEYS_TRIED_MAX);
    let opened = candidates.find_map(|entry| {
        tried += 1;
        entry.key.decrypt(usage::TICKET, exchange.ticket)
    });
    let ticket = opened.ok_or(if tried == 0 { NoKerberosKey::NoKey } else { NoKerberosKey::WrongKey })?;
    with_ticket(&ticket, exchange).ok_or(NoKerberosKey::Broken)
}

/// From the plain EncTicketPart on.
fn with_ticket(ticket: &[u8], exchange: &ApExchange<'_>) -> Option<KerberosSession> {
    let ticket = sequence(ticket, 3)?;
    let (enctype, bytes) = encryption_key(field(ticket, 1)?)?;
    let realm = text(field(ticket, 2)?)?;
    let client = principal(field(ticket, 3)?)?;
    let (mut key, mut from) = (bytes.to_vec(), KeyFrom::Ticket);
    if let Some(session) = Key::new(enctype, bytes) {
        let authenticator = session.decrypt(usage::AP_REQ_AUTHENTICATOR, exchange.authenticator);
        let ap_rep = exchange.ap_rep.and_then(|cipher| session.decrypt(usage::AP_REP, cipher));
        let initiator = authenticator.as_deref().and_then(|plain| encryption_key(field(sequence(plain, 2)?, 6)?));
        let acceptor = ap_rep.as_deref().and_then(|plain| encryption_key(field(sequence(plain, 27)?, 2)?));
        for (subkey, place) in [(initiator, KeyFrom::Initiator), (acceptor, KeyFrom::Acceptor)] {
            if let Some((_, bytes)) = subkey {
                (key, from) = (bytes.to_vec(), place);
            }
        }
    }
    Some(KerberosSession { key, from, client, realm })
}

/// EncryptionKey, RFC 4120 5.2.9: type and bytes.
fn encryption_key(der: &[u8]) -> Option<(i32, &[u8])> {
    let fields = element(der, 0x30)?.0;
    let number = element(field(fields, 0)?, 0x02)?.0;
    if number.is_empty() || number.len() > 4 {
        return None;
    }
    let start = if number.first()? & 0x80 == 0 { 0 } else { -1 };
    let enctype = number.iter().fold(start, |sum: i32, &byte| sum << 8 | i32::from(byte));
    Some((enctype, element(field(fields, 1)?, 0x04)?.0))
}

/// PrincipalName, RFC 4120 5.2.2.
fn principal(der: &[u8]) -> Option<String> {
    let fields = element(der, 0x30)?.0;
    let mut parts = element(field(fields, 1)?, 0x30)?.0;
    let mut name = String::new();
    for index in 0..NAME_PARTS_MAX {
        if parts.is_empty() {
            break;
        }
        let (part, rest) = element(parts, 0x1B)?;
        if index > 0 {
            name.push('/');
        }
        name.push_str(&String::from_utf8_lossy(part));
        parts = rest;
    }
    Some(name)
}

/// KerberosString.
fn text(der: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(element(der, 0x1B)?.0).into_owned())
}

/// The fields of a SEQUENCE behind an APPLICATION tag below 31.
fn sequence(der: &[u8], application: u8) -> Option<&[u8]> {
    Some(element(element(der, 0x60 | application)?.0, 0x30)?.0)
}

/// What stands behind a context tag of a SEQUENCE's fields.
fn field(mut fields: &[u8], number: u8) -> Option<&[u8]> {
    while let Some(&tag) = fields.first() {
        let (content, rest) = element(fields, tag)?;
        if tag == 0xA0 | number {
            return Some(content);
        }
        fields = rest;
    }
    None
}

/// The content of the DER element with a tag of one byte at the start, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], mut rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let mut length = usize::from(short);
    if short & 0x80 != 0 {
        let count = usize::from(short & 0x7F);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, after) = rest.split_at_checked(count)?;
        length = bytes.iter().try_fold(0usize, |sum, &byte| sum.checked_mul(256)?.checked_add(usize::from(byte)))?;
        rest = after;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
#[path = "kerberos_session_tests.rs"]
mod tests;
