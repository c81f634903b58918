//! NEGOTIATE, [MS-SMB2] 2.2.3 and 2.2.4: the dialect, the cipher, and the hash that 3.1.1 derives keys from.

use super::header::HEADER_LEN;
use super::pending::Asked;
use super::state::{Dialect, Part, State, Tools};
use crate::smb::bytes::{part as bytes_at, u16_at, u32_at};
use crate::smb::crypt::{Cipher, Preauth};
use crate::smb::event::What;

/// SMB2_ENCRYPTION_CAPABILITIES.
const ENCRYPTION_CAPABILITIES: u16 = 2;
/// Contexts that are looked at.
const CONTEXTS_MAX: usize = 32;
/// The server speaks SMB2 and has not chosen yet.
const WILDCARD: u16 = 0x02ff;

fn name(revision: u16) -> Option<&'static str> {
    Some(match revision {
        0x0202 => "2.0.2",
        0x0210 => "2.1",
        0x0300 => "3.0",
        0x0302 => "3.0.2",
        0x0311 => "3.1.1",
        WILDCARD => "2.???",
        _ => return None,
    })
}

/// A request: the hash begins with it.
pub(super) fn request(smb: &mut State, bytes: &[u8]) -> Asked {
    let mut hash = Preauth::new();
    hash.add(bytes);
    smb.preauth = Some(hash);
    Asked::Negotiate
}

/// An answer.
pub(super) fn response(smb: &mut State, part: &Part<'_>, tools: &mut Tools<'_>) {
    let body = &part.bytes[HEADER_LEN..];
    if !part.header.is_success() {
        return;
    }
    let Some(revision) = u16_at(body, 4) else { return };
    // One that is cut short says nothing.
    let Some(guid) = body.get(8..).and_then(|b| b.first_chunk::<16>()).copied() else { return };
    smb.server = tools.shared.server_named(smb.address, guid);
    if let Some(name) = name(revision) {
        tools.tell((smb.server, 0), None, &What::Negotiated { dialect: name, server_guid: Some(guid) });
    }
    if revision == WILDCARD {
        return;
    }
    smb.preauth = smb.preauth.filter(|_| revision == 0x0311);
    if let Some(hash) = &mut smb.preauth {
        hash.add(part.bytes);
    }
    let cipher = if revision == 0x0311 { cipher(part.bytes) } else { Some(Cipher::Aes128Ccm) };
    smb.dialect = Some(Dialect { revision, cipher });
}

/// The cipher of a 3.1.1 answer (2.2.4.1.2).
fn cipher(bytes: &[u8]) -> Option<Cipher> {
    let body = &bytes[HEADER_LEN..];
    let (count, mut at) = (usize::from(u16_at(body, 6)?), u32_at(body, 60)? as usize);
    for _ in 0..count.min(CONTEXTS_MAX) {
        let (kind, len) = (u16_at(bytes, at)?, usize::from(u16_at(bytes, at + 2)?));
        let data = bytes_at(bytes, at + 8, len)?;
        if kind == ENCRYPTION_CAPABILITIES {
            return Cipher::from_id(u16_at(data, 2)?);
        }
        at = at.checked_add(8 + len)?.next_multiple_of(8);
    }
    None
}
