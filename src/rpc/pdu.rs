//! The protocol data units of connection-oriented DCE/RPC (C706, 12.6; [MS-RPCE] 2.2.2), read where they lie.
//!
//! Every reader takes what is there: a PDU that ends early gives the fields before its end.

use super::uuid::Uuid;
use std::ops::Range;

/// Bytes of the header that all PDUs begin with.
pub const HEADER_BYTES: usize = 16;

/// Bytes of an auth verifier before its token (C706, 13.2.6.1).
const VERIFIER_BYTES: usize = 8;

/// First fragment of its message.
pub const FIRST_FRAGMENT: u8 = 0x01;
/// Last fragment of its message.
pub const LAST_FRAGMENT: u8 = 0x02;
/// The call has "maybe" semantics: nothing answers it.
pub const MAYBE: u8 = 0x40;
/// A request carries an object UUID.
pub const OBJECT_UUID: u8 = 0x80;

/// The level at which the stub is encrypted: RPC_C_AUTHN_LEVEL_PKT_PRIVACY ([MS-RPCE] 2.2.1.1.8).
pub const LEVEL_PRIVACY: u8 = 6;
/// The level at which each PDU is signed: RPC_C_AUTHN_LEVEL_PKT_INTEGRITY.
pub const LEVEL_INTEGRITY: u8 = 5;

/// The transfer syntax NDR, here called NDR32 (C706, chapter 14).
pub const NDR32: Uuid = Uuid::known("8a885d04-1ceb-11c9-9fe8-08002b104860");
/// The transfer syntax NDR64 ([MS-RPCE] 2.2.5).
pub const NDR64: Uuid = Uuid::known("71710533-beba-4937-8319-b5dbef9ccc36");
/// The first eight bytes, as written, of bind time feature negotiation, which is no syntax ([MS-RPCE] 2.2.2.14; the rest are flags).
pub const FEATURE_NEGOTIATION: [u8; 8] = [0x6c, 0xb7, 0x1c, 0x2c, 0x98, 0x12, 0x45, 0x40];

/// What a PDU is (C706, 12.6.4.13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names of C706")]
pub enum Kind {
    Request,
    Response,
    Fault,
    Bind,
    BindAck,
    BindNak,
    AlterContext,
    AlterContextResponse,
    Auth3,
    Shutdown,
    Cancel,
    Orphaned,
}

impl Kind {
    fn from_wire(value: u8) -> Option<Kind> {
        Some(match value {
            0 => Kind::Request,
            2 => Kind::Response,
            3 => Kind::Fault,
            11 => Kind::Bind,
            12 => Kind::BindAck,
            13 => Kind::BindNak,
            14 => Kind::AlterContext,
            15 => Kind::AlterContextResponse,
            16 => Kind::Auth3,
            17 => Kind::Shutdown,
            18 => Kind::Cancel,
            19 => Kind::Orphaned,
            _ => return None,
        })
    }

    /// Bytes of the shortest PDU of this kind.
    fn bytes_min(self) -> usize {
        match self {
            Kind::Request | Kind::Response => 24,
            // The four reserved bytes after the status are left out by some servers.
            Kind::Fault => 28,
            Kind::Bind | Kind::AlterContext => 28,
            Kind::BindAck | Kind::AlterContextResponse => 26,
            Kind::BindNak => 18,
            Kind::Auth3 | Kind::Shutdown | Kind::Cancel | Kind::Orphaned => HEADER_BYTES,
        }
    }
}

/// The header that all PDUs begin with (C706, 12.6.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The flags: [`FIRST_FRAGMENT`] and the others.
    pub flags: u8,
    /// The sender's integers are little-endian (C706, 14.2.5).
    pub little_endian: bool,
    /// Bytes of the whole PDU.
    pub fragment_bytes: u16,
    /// Bytes of the security token at its end; 0 where it has no auth verifier.
    pub auth_bytes: u16,
    /// Which call it belongs to.
    pub call_id: u32,
}

impl Header {
    /// Reads a header, and only one that a PDU can begin with: version 5.0 or 5.1, a kind that connections have, a known data
    /// representation, lengths that fit each other. Anything else, and fewer than [`HEADER_BYTES`] bytes, is `None`.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let b: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let little_endian = b[4] & 0xf0 == 0x10;
        let u16_at =
            |i: usize| if little_endian { u16::from_le_bytes([b[i], b[i + 1]]) } else { u16::from_be_bytes([b[i], b[i + 1]]) };
        let kind = Kind::from_wire(b[2])?;
        let call_id = [b[12], b[13], b[14], b[15]];
        let header = Header {
            kind,
            flags: b[3],
            little_endian,
            fragment_bytes: u16_at(8),
            auth_bytes: u16_at(10),
            call_id: if little_endian { u32::from_le_bytes(call_id) } else { u32::from_be_bytes(call_id) },
        };
        let verifier = match header.auth_bytes {
            0 => 0,
            n => VERIFIER_BYTES + usize::from(n),
        };
        let plausible = b[0] == 5
            && b[1] <= 1
            && matches!(b[4], 0x00 | 0x01 | 0x10 | 0x11)
            && b[5] <= 3
            && b[6] == 0
            && b[7] == 0
            && usize::from(header.fragment_bytes) >= kind.bytes_min()
            && usize::from(header.fragment_bytes) >= HEADER_BYTES + verifier;
        plausible.then_some(header)
    }
}

/// Bytes begin as DCE/RPC does: with a plausible header, which for the first bytes of a pipe or connection tells it from other protocols.
pub fn looks_like_rpc(bytes: &[u8]) -> bool {
    Header::read(bytes).is_some()
}

/// How a PDU is protected (C706, 13.2.6.1; [MS-RPCE] 2.2.2.11).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Auth {
    /// auth_type: 9 SPNEGO, 10 NTLM, 14 TLS, 16 Kerberos, 68 Netlogon.
    pub kind: u8,
    /// auth_level: 1 none, 2 connect, 3 call, 4 packet, 5 integrity, 6 privacy.
    pub level: u8,
    /// auth_context_id: which of the connection's security contexts.
    pub context: u32,
}

/// The auth verifier at the end of a PDU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verifier {
    /// How the PDU is protected.
    pub auth: Auth,
    /// Bytes of padding before it.
    pub pad: u8,
    /// Where in the PDU it begins.
    pub start: usize,
    /// Where in the PDU its token lies.
    pub token: Range<usize>,
}

/// An interface or transfer syntax, and its version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Syntax {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its major version.
    pub version: u16,
    /// Its minor version.
    pub minor_version: u16,
}

/// A presentation context that a bind or alter-context offers (C706, 12.6.3.1: `p_cont_elem_t`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its number on this association.
    pub context: u16,
    /// The interface.
    pub interface: Syntax,
    /// The transfer syntaxes that the client can speak.
    pub transfers: Vec<Syntax>,
}

/// What became of an offer (C706, 12.6.3.1: `p_result_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// 0 accepted, 1 refused by the user, 2 refused by the provider, 3 features negotiated.
    pub result: u16,
    /// Why it was refused.
    pub reason: u16,
    /// The syntax that was chosen.
    pub transfer: Syntax,
}

/// One PDU.
#[derive(Clone, Copy, Debug)]
pub struct Pdu<'a> {
    /// Its header.
    pub header: Header,
    bytes: &'a [u8],
}

impl<'a> Pdu<'a> {
    /// The PDU that the bytes begin with, without what follows it. `None` where they begin with none; cut short where they end early.
    pub fn read(bytes: &'a [u8]) -> Option<Pdu<'a>> {
        let header = Header::read(bytes)?;
        let bytes = bytes.get(..usize::from(header.fragment_bytes)).unwrap_or(bytes);
        Some(Pdu { header, bytes })
    }

    fn cursor(&self, at: usize) -> Cursor<'a> {
        Cursor { bytes: self.bytes, at, little_endian: self.header.little_endian }
    }

    /// The auth verifier.
    pub fn verifier(&self) -> Option<Verifier> {
        if self.header.auth_bytes == 0 {
            return None;
        }
        let end = usize::from(self.header.fragment_bytes);
        let token = end.checked_sub(usize::from(self.header.auth_bytes))?..end;
        let start = token.start.checked_sub(VERIFIER_BYTES)?;
        let mut cursor = self.cursor(start);
        let (kind, level, pad, _reserved) = (cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?);
        let context = cursor.u32()?;
        self.bytes.get(token.clone())?;
        Some(Verifier { auth: Auth { kind, level, context }, pad, start, token })
    }

    /// The security token of a bind, alter-context, auth3 or an answer to them.
    pub fn token(&self) -> Option<(Auth, &'a [u8])> {
        let verifier = self.verifier()?;
        Some((verifier.auth, self.bytes.get(verifier.token)?))
    }

    /// What a bind or alter-context offers; those that can be read.
    pub fn offers(&self) -> Vec<Offer> {
        let mut cursor = self.cursor(HEADER_BYTES + 8);
        let mut offers = Vec::new();
        let Some(count) = cursor.u8() else { return offers };
        cursor.skip(3);
        for _ in 0..count {
            let Some(offer) = cursor.offer() else { break };
            offers.push(offer);
        }
        offers
    }

    /// The secondary address of a bind_ack: `\PIPE\atsvc`, or a port.
    pub fn secondary_address(&self) -> Option<String> {
        let mut cursor = self.cursor(HEADER_BYTES + 8);
        let length = cursor.u16()?;
        let text = cursor.take(usize::from(length))?;
        let text = text.split(|b| *b == 0).next()?;
        (!text.is_empty()).then(|| text.iter().map(|b| char::from(*b)).collect())
    }

    /// What became of the offers, in their order; those that can be read.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut cursor = self.cursor(HEADER_BYTES + 8);
        let mut verdicts = Vec::new();
        let Some(length) = cursor.u16() else { return verdicts };
        cursor.skip(usize::from(length));
        cursor.align(4);
        let Some(count) = cursor.u8() else { return verdicts };
        cursor.skip(3);
        for _ in 0..count {
            let Some(verdict) = cursor.verdict() else { break };
            verdicts.push(verdict);
        }
        verdicts
    }

    /// The context, opnum and object UUID of a request; the context of a response or fault (its second number means nothing).
    pub fn target(&self) -> Option<(u16, u16, Option<Uuid>)> {
        let mut cursor = self.cursor(HEADER_BYTES + 4);
        let (context, opnum) = (cursor.u16()?, cursor.u16()?);
        let object = self.has_object().then(|| cursor.uuid()).flatten();
        Some((context, opnum, object))
    }

    fn has_object(&self) -> bool {
        self.header.kind == Kind::Request && self.header.flags & OBJECT_UUID != 0
    }

    /// The status of a fault.
    pub fn status(&self) -> Option<u32> {
        self.cursor(HEADER_BYTES + 8).u32()
    }

    /// Where the stub of a request or response lies, without padding, and where what is encrypted at privacy level does: the stub with its
    /// padding ([MS-RPCE] 2.2.2.11). Both lie inside the bytes held.
    pub fn stub(&self) -> (Range<usize>, Range<usize>) {
        let start = (HEADER_BYTES + 8 + if self.has_object() { 16 } else { 0 }).min(self.bytes.len());
        let verifier = self.verifier();
        let end = match &verifier {
            Some(v) => v.start.clamp(start, self.bytes.len()),
            None => self.bytes.len(),
        };
        let pad = verifier.map_or(0, |v| usize::from(v.pad));
        (start..end.saturating_sub(pad).max(start), start..end)
    }
}

/// Reads on, in the sender's byte order.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    little_endian: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|b| b[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(|b| if self.little_endian { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|b| if self.little_endian { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(|b| Uuid::from_wire(&b, self.little_endian))
    }

    fn syntax(&mut self) -> Option<Syntax> {
        let uuid = self.uuid()?;
        let version = self.u32()?;
        Some(Syntax { uuid, version: (version & 0xffff) as u16, minor_version: (version >> 16) as u16 })
    }

    fn offer(&mut self) -> Option<Offer> {
        let context = self.u16()?;
        let count = self.u8()?;
        self.skip(1);
        let interface = self.syntax()?;
        let transfers = (0..count).map_while(|_| self.syntax()).collect();
        Some(Offer { context, interface, transfers })
    }

    fn verdict(&mut self) -> Option<Verdict> {
        Some(Verdict { result: self.u16()?, reason: self.u16()?, transfer: self.syntax()? })
    }
}

#[cfg(test)]
mod tests;
