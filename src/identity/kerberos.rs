//! Kerberos messages (RFC 4120 5.4 to 5.9): what stands in the clear of AS, TGS and AP exchanges and of errors.

use super::der::{Der, Element};
use super::ticket_hash::TicketHash;

/// Parts of one principal's name that are read. Real names have at most four.
pub const NAME_PARTS_MAX: usize = 16;
/// Encryption types of one request that are read.
pub const ETYPES_MAX: usize = 64;
/// Pre-authentication elements of one message that are read.
pub const PADATA_MAX: usize = 64;

/// KDCOptions (RFC 4120 5.4.1): forwardable.
pub const KDC_FORWARDABLE: u32 = 0x4000_0000;
/// KDCOptions: renewable.
pub const KDC_RENEWABLE: u32 = 0x0080_0000;

/// PA-TGS-REQ: the AP-REQ that proves a TGS-REQ's sender (RFC 4120 5.2.7.1).
const PA_TGS_REQ: i64 = 1;

/// The kind of a message: its application tag and msg-type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageType {
    /// 10.
    AsReq,
    /// 11.
    AsRep,
    /// 12.
    TgsReq,
    /// 13.
    TgsRep,
    /// 14.
    ApReq,
    /// 15.
    ApRep,
    /// 30.
    Error,
}

impl MessageType {
    /// The type that an application tag (as one byte, 0x6a for 10) stands for.
    fn of_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0x6a => MessageType::AsReq,
            0x6b => MessageType::AsRep,
            0x6c => MessageType::TgsReq,
            0x6d => MessageType::TgsRep,
            0x6e => MessageType::ApReq,
            0x6f => MessageType::ApRep,
            0x7e => MessageType::Error,
            _ => return None,
        })
    }

    /// msg-type's number.
    pub fn number(self) -> i64 {
        match self {
            MessageType::AsReq => 10,
            MessageType::AsRep => 11,
            MessageType::TgsReq => 12,
            MessageType::TgsRep => 13,
            MessageType::ApReq => 14,
            MessageType::ApRep => 15,
            MessageType::Error => 30,
        }
    }

    /// A client sends it.
    pub fn is_request(self) -> bool {
        matches!(self, MessageType::AsReq | MessageType::TgsReq | MessageType::ApReq)
    }
}

/// PrincipalName (RFC 4120 5.2.2). Prints its parts joined by `/`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Principal {
    /// name-type: 1 principal, 2 service instance, 10 enterprise, ...
    pub name_type: i64,
    /// name-string.
    pub parts: Vec<String>,
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("/"))
    }
}

/// EncryptedData (RFC 4120 5.2.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncryptedData<'a> {
    /// The encryption type.
    pub etype: i64,
    /// The key's version.
    pub kvno: Option<i64>,
    /// The cipher text.
    pub cipher: &'a [u8],
}

/// A ticket (RFC 4120 5.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket<'a> {
    /// The realm that issued it.
    pub realm: String,
    /// The service that it is for.
    pub sname: Principal,
    /// What only the service can read.
    pub enc: EncryptedData<'a>,
    /// The ticket as it stood on the wire, from its application tag on.
    pub bytes: &'a [u8],
}

impl Ticket<'_> {
    /// What tells this ticket from all others: the hash of its cipher text, which stays the same however it is wrapped.
    pub fn hash(&self) -> TicketHash {
        TicketHash::of(self.enc.cipher)
    }
}

/// What is odd about a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KerberosAnomaly {
    /// It ends before its end.
    Cut,
    /// Its msg-type is not its application tag's.
    TypeMismatch,
    /// Its inside is not what its tag promises.
    Malformed,
}

/// A message. What its kind does not have, or the sender left out, is `None` or empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KerberosMessage<'a> {
    /// Its kind.
    pub kind: MessageType,
    /// The client: of an AS-REQ as asked, of answers as the KDC knows it.
    pub cname: Option<Principal>,
    /// The client's realm (answers and errors).
    pub crealm: Option<String>,
    /// The service: of requests as asked, of AS-REP, TGS-REP and AP-REQ the ticket's, of errors as told.
    pub sname: Option<Principal>,
    /// The service's realm.
    pub realm: Option<String>,
    /// kdc-options of a request to a KDC, ap-options of an AP-REQ.
    pub options: Option<u32>,
    /// From when a ticket is wanted; seconds since 1970.
    pub from: Option<i64>,
    /// Till when a ticket is wanted; seconds since 1970.
    pub till: Option<i64>,
    /// Till when it is to be renewable; seconds since 1970.
    pub rtime: Option<i64>,
    /// Encryption types that the client takes, in its order.
    pub etypes: Vec<i64>,
    /// Types of the pre-authentication elements.
    pub padata: Vec<i64>,
    /// The ticket that is given (AS-REP, TGS-REP) or shown (AP-REQ, TGS-REQ in its PA-TGS-REQ).
    pub ticket: Option<Ticket<'a>>,
    /// What an AP-REQ (or PA-TGS-REQ) proves itself with.
    pub authenticator: Option<EncryptedData<'a>>,
    /// enc-part of an answer, AP-REP included.
    pub enc_part: Option<EncryptedData<'a>>,
    /// error-code of a KRB-ERROR (RFC 4120 7.5.9).
    pub error_code: Option<i64>,
    /// e-text of a KRB-ERROR.
    pub error_text: Option<String>,
    /// What is odd.
    pub anomaly: Option<KerberosAnomaly>,
}

/// Whether a whole message stands here: the application tag of one, a length that fits, a SEQUENCE inside.
pub fn looks(bytes: &[u8]) -> bool {
    Der::new(bytes).next().is_some_and(|e| !e.cut) && looks_cut(bytes)
}

/// As [`looks`], but the message may go on after these bytes.
pub fn looks_cut(bytes: &[u8]) -> bool {
    let Some(element) = Der::new(bytes).next() else { return false };
    MessageType::of_tag(element.tag).is_some() && element.content.first() == Some(&0x30)
}

impl<'a> KerberosMessage<'a> {
    /// Reads one message; `None` only where no application tag of a known message stands at the beginning.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let frame = Der::new(bytes).next()?;
        let kind = MessageType::of_tag(frame.tag)?;
        let mut message = KerberosMessage {
            kind,
            cname: None,
            crealm: None,
            sname: None,
            realm: None,
            options: None,
            from: None,
            till: None,
            rtime: None,
            etypes: Vec::new(),
            padata: Vec::new(),
            ticket: None,
            authenticator: None,
            enc_part: None,
            error_code: None,
            error_text: None,
            anomaly: frame.cut.then_some(KerberosAnomaly::Cut),
        };
        match frame.inside().tagged(0x30) {
            Some(body) => message.fields(&body),
            None => message.odd(KerberosAnomaly::Malformed),
        }
        Some(message)
    }

    fn odd(&mut self, what: KerberosAnomaly) {
        self.anomaly.get_or_insert(what);
    }

    fn fields(&mut self, body: &Element<'a>) {
        if body.cut {
            self.odd(KerberosAnomaly::Cut);
        }
        for field in body.inside() {
            let Some(value) = field.inner() else {
                self.odd(KerberosAnomaly::Malformed);
                continue;
            };
            if value.cut {
                self.odd(KerberosAnomaly::Cut);
            }
            match self.kind {
                MessageType::AsReq | MessageType::TgsReq => self.request(field.tag, &value),
                MessageType::AsRep | MessageType::TgsRep => self.answer(field.tag, &value),
                MessageType::ApReq => self.ap_request(field.tag, &value),
                MessageType::ApRep => match field.tag {
                    0xa1 => self.check_type(&value),
                    0xa2 => self.enc_part = encrypted(&value),
                    _ => {}
                },
                MessageType::Error => self.error(field.tag, &value),
            }
        }
    }

    fn check_type(&mut self, value: &Element<'_>) {
        if value.integer() != Some(self.kind.number()) {
            self.odd(KerberosAnomaly::TypeMismatch);
        }
    }

    /// KDC-REQ (RFC 4120 5.4.1): 1 pvno, 2 msg-type, 3 padata, 4 req-body.
    fn request(&mut self, tag: u8, value: &Element<'a>) {
        match tag {
            0xa2 => self.check_type(value),
            0xa3 => self.read_padata(value),
            0xa4 => {
                for field in value.inside() {
                    let Some(value) = field.inner() else { continue };
                    match field.tag {
                        0xa0 => self.options = value.bits(),
                        0xa1 => self.cname = principal(&value),
                        0xa2 => self.realm = Some(value.text()),
                        0xa3 => self.sname = principal(&value),
                        0xa4 => self.from = time(&value),
                        0xa5 => self.till = time(&value),
                        0xa6 => self.rtime = time(&value),
                        0xa8 => self.etypes = value.inside().filter_map(|e| e.integer()).take(ETYPES_MAX).collect(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// KDC-REP (RFC 4120 5.4.2): 1 msg-type, 2 padata, 3 crealm, 4 cname, 5 ticket, 6 enc-part.
    fn answer(&mut self, tag: u8, value: &Element<'a>) {
        match tag {
            0xa1 => self.check_type(value),
            0xa2 => self.read_padata(value),
            0xa3 => self.crealm = Some(value.text()),
            0xa4 => self.cname = principal(value),
            0xa5 => self.take_ticket(value),
            0xa6 => self.enc_part = encrypted(value),
            _ => {}
        }
    }

    /// AP-REQ (RFC 4120 5.5.1): 1 msg-type, 2 ap-options, 3 ticket, 4 authenticator.
    fn ap_request(&mut self, tag: u8, value: &Element<'a>) {
        match tag {
            0xa1 => self.check_type(value),
            0xa2 => self.options = value.bits(),
            0xa3 => self.take_ticket(value),
            0xa4 => self.authenticator = encrypted(value),
            _ => {}
        }
    }

    fn take_ticket(&mut self, value: &Element<'a>) {
        self.ticket = ticket(value);
        if let Some(ticket) = &self.ticket {
            self.sname = Some(ticket.sname.clone());
            self.realm = Some(ticket.realm.clone());
        } else {
            self.odd(KerberosAnomaly::Malformed);
        }
    }

    /// KRB-ERROR (RFC 4120 5.9.1).
    fn error(&mut self, tag: u8, value: &Element<'a>) {
        match tag {
            0xa1 => self.check_type(value),
            0xa6 => self.error_code = value.integer(),
            0xa7 => self.crealm = Some(value.text()),
            0xa8 => self.cname = principal(value),
            0xa9 => self.realm = Some(value.text()),
            0xaa => self.sname = principal(value),
            0xab => self.error_text = Some(value.text()),
            _ => {}
        }
    }

    /// PA-DATA ::= SEQUENCE { padata-type [1], padata-value [2] } (RFC 4120 5.2.7).
    fn read_padata(&mut self, list: &Element<'a>) {
        for entry in list.inside().take(PADATA_MAX) {
            let inside = entry.inside();
            let Some(kind) = inside.field(0xa1).and_then(|k| k.inner()).and_then(|k| k.integer()) else { continue };
            self.padata.push(kind);
            let value = inside.field(0xa2).and_then(|v| v.inner());
            // An AP-REQ holds no further pre-authentication: this goes one step deep.
            if let (PA_TGS_REQ, MessageType::TgsReq, Some(value)) = (kind, self.kind, value)
                && let Some(shown) = KerberosMessage::parse(value.content).filter(|m| m.kind == MessageType::ApReq)
            {
                self.ticket = shown.ticket;
                self.authenticator = shown.authenticator;
            }
        }
    }
}

fn principal(value: &Element<'_>) -> Option<Principal> {
    let inside = value.inside();
    let name_type = inside.field(0xa0).and_then(|t| t.inner()).and_then(|t| t.integer()).unwrap_or(0);
    let names = inside.field(0xa1)?.inner()?;
    Some(Principal { name_type, parts: names.inside().take(NAME_PARTS_MAX).map(|e| e.text()).collect() })
}

fn encrypted<'a>(value: &Element<'a>) -> Option<EncryptedData<'a>> {
    let inside = value.inside();
    let number = |tag| inside.field(tag).and_then(|e| e.inner()).and_then(|e| e.integer());
    Some(EncryptedData { etype: number(0xa0)?, kvno: number(0xa1), cipher: inside.field(0xa2)?.inner()?.content })
}

/// Ticket ::= [APPLICATION 1] SEQUENCE { tkt-vno [0], realm [1], sname [2], enc-part [3] }.
fn ticket<'a>(value: &Element<'a>) -> Option<Ticket<'a>> {
    let body = (value.tag == 0x61).then(|| value.inner()).flatten()?.inside();
    Some(Ticket {
        realm: body.field(0xa1)?.inner()?.text(),
        sname: principal(&body.field(0xa2)?.inner()?)?,
        enc: encrypted(&body.field(0xa3)?.inner()?)?,
        bytes: value.whole,
    })
}

/// KerberosTime: `YYYYMMDDHHMMSSZ` (RFC 4120 5.2.3), as seconds since 1970.
fn time(value: &Element<'_>) -> Option<i64> {
    let digits = value.content.strip_suffix(b"Z").filter(|d| d.len() == 14 && d.iter().all(u8::is_ascii_digit))?;
    let number =
        |from: usize, count: usize| digits.iter().skip(from).take(count).fold(0i64, |n, &d| n * 10 + i64::from(d - b'0'));
    let (year, month, day) = (number(0, 4), number(4, 2), number(6, 2));
    let (hour, minute, second) = (number(8, 2), number(10, 2), number(12, 2));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from a civil date (Hinnant, "chrono-compatible low-level date algorithms").
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
#[path = "kerberos_tests.rs"]
pub(crate) mod tests;
