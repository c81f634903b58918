//! NTLMSSP: NEGOTIATE, CHALLENGE and AUTHENTICATE ([MS-NLMP] 2.2.1), every field, with nothing computed from them.

use super::account::{Account, How};
use super::ntlm_pairs::{AvPairs, array_at, u16_at, u32_at, u64_at, utf16};

/// What an NTLMSSP message begins with.
pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// NTLMSSP_NEGOTIATE_UNICODE ([MS-NLMP] 2.2.2.5).
pub const NEGOTIATE_UNICODE: u32 = 0x0000_0001;
/// NTLMSSP_NEGOTIATE_OEM_DOMAIN_SUPPLIED.
pub const NEGOTIATE_OEM_DOMAIN_SUPPLIED: u32 = 0x0000_1000;
/// NTLMSSP_NEGOTIATE_OEM_WORKSTATION_SUPPLIED.
pub const NEGOTIATE_OEM_WORKSTATION_SUPPLIED: u32 = 0x0000_2000;
/// The bit that the specification calls J: an anonymous logon.
pub const NEGOTIATE_ANONYMOUS: u32 = 0x0000_0800;
/// NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY.
pub const NEGOTIATE_EXTENDED_SESSIONSECURITY: u32 = 0x0008_0000;
/// NTLMSSP_NEGOTIATE_VERSION.
pub const NEGOTIATE_VERSION: u32 = 0x0200_0000;
/// NTLMSSP_NEGOTIATE_KEY_EXCH.
pub const NEGOTIATE_KEY_EXCH: u32 = 0x4000_0000;

/// MsvAvFlags' bit that tells of a MIC ([MS-NLMP] 2.2.2.1).
pub const AV_FLAG_MIC: u32 = 2;

/// VERSION ([MS-NLMP] 2.2.2.10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// ProductMajorVersion.
    pub major: u8,
    /// ProductMinorVersion.
    pub minor: u8,
    /// ProductBuild.
    pub build: u16,
    /// NTLMRevisionCurrent: 15.
    pub revision: u8,
}

/// `10.0.17763`.
impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// What is wrong with a message. It is read as far as it goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NtlmAnomaly {
    /// It ends inside its fixed part.
    Short,
    /// A field lies outside the message: it is taken as empty.
    FieldOutside,
}

/// NEGOTIATE_MESSAGE ([MS-NLMP] 2.2.1.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiate {
    /// NegotiateFlags.
    pub flags: u32,
    /// DomainName (always OEM), where it is supplied.
    pub domain: Option<String>,
    /// Workstation (always OEM), where it is supplied.
    pub workstation: Option<String>,
    /// Version, where the flag tells of it.
    pub version: Option<Version>,
}

/// CHALLENGE_MESSAGE ([MS-NLMP] 2.2.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// NegotiateFlags: those that hold.
    pub flags: u32,
    /// ServerChallenge.
    pub server_challenge: [u8; 8],
    /// TargetName: the domain or server.
    pub target_name: Option<String>,
    /// TargetInfo.
    pub target_info: Option<AvPairs>,
    /// Version, where the flag tells of it.
    pub version: Option<Version>,
}

/// AUTHENTICATE_MESSAGE ([MS-NLMP] 2.2.1.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authenticate<'a> {
    /// NegotiateFlags; 0 in messages that end before them (older than NT 4 SP 4).
    pub flags: u32,
    /// LmChallengeResponse.
    pub lm_response: &'a [u8],
    /// NtChallengeResponse.
    pub nt_response: &'a [u8],
    /// DomainName.
    pub domain: String,
    /// UserName.
    pub user: String,
    /// Workstation.
    pub workstation: String,
    /// EncryptedRandomSessionKey.
    pub session_key: &'a [u8],
    /// Version, where the flag tells of it.
    pub version: Option<Version>,
    /// MIC, where the message has room for one and the response's AV pairs tell of it.
    pub mic: Option<[u8; 16]>,
    /// The NTLMv2 response, where `nt_response` is one.
    pub v2: Option<V2Response>,
    /// It names nobody ([MS-NLMP] 3.2.5.1.2): no user and no response.
    pub anonymous: bool,
}

/// NTLMv2_RESPONSE and its NTLMv2_CLIENT_CHALLENGE ([MS-NLMP] 2.2.2.7, 2.2.2.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V2Response {
    /// NTProofStr.
    pub proof: [u8; 16],
    /// TimeStamp: FILETIME.
    pub timestamp: u64,
    /// ChallengeFromClient.
    pub client_challenge: [u8; 8],
    /// AvPairs.
    pub pairs: AvPairs,
}

/// One of the three messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NtlmBody<'a> {
    /// From the client.
    Negotiate(Negotiate),
    /// From the server.
    Challenge(Challenge),
    /// From the client.
    Authenticate(Authenticate<'a>),
    /// A message type that does not exist.
    Unknown(u32),
}

/// A message, and what was wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NtlmMessage<'a> {
    /// Which it is.
    pub body: NtlmBody<'a>,
    /// What was wrong.
    pub anomaly: Option<NtlmAnomaly>,
}

impl<'a> NtlmMessage<'a> {
    /// Reads a message; `None` only where it does not begin with the signature.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.starts_with(SIGNATURE) {
            return None;
        }
        let mut fields = Fields { bytes, anomaly: None };
        let body = match fields.u32(8) {
            1 => NtlmBody::Negotiate(negotiate(&mut fields)),
            2 => NtlmBody::Challenge(challenge(&mut fields)),
            3 => NtlmBody::Authenticate(authenticate(&mut fields)),
            other => NtlmBody::Unknown(other),
        };
        Some(NtlmMessage { body, anomaly: fields.anomaly })
    }
}

impl Authenticate<'_> {
    /// The account that it names.
    pub fn account(&self) -> Account {
        let how = if self.anonymous { How::Anonymous } else { How::Ntlm };
        Account::new(how, &self.domain, &self.user, &self.workstation)
    }
}

/// Fixed fields and the payload that they point to.
struct Fields<'a> {
    bytes: &'a [u8],
    anomaly: Option<NtlmAnomaly>,
}

impl<'a> Fields<'a> {
    fn odd(&mut self, what: NtlmAnomaly) {
        self.anomaly.get_or_insert(what);
    }

    fn u32(&mut self, at: usize) -> u32 {
        u32_at(self.bytes, at).unwrap_or_else(|| {
            self.odd(NtlmAnomaly::Short);
            0
        })
    }

    /// The bytes that the length, maximum and offset at `at` tell of; empty where there are none.
    fn payload(&mut self, at: usize) -> &'a [u8] {
        let (Some(length), Some(offset)) = (u16_at(self.bytes, at), u32_at(self.bytes, at + 4)) else {
            self.odd(NtlmAnomaly::Short);
            return &[];
        };
        if length == 0 {
            return &[];
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(usize::from(length)).and_then(|end| self.bytes.get(start..end));
        found.unwrap_or_else(|| {
            self.odd(NtlmAnomaly::FieldOutside);
            &[]
        })
    }

    /// Where the payload that the field at `at` points to begins, if it has one.
    fn start(&self, at: usize) -> Option<usize> {
        let offset = usize::try_from(u32_at(self.bytes, at + 4)?).ok()?;
        (u16_at(self.bytes, at)? != 0).then_some(offset)
    }

    fn version(&self, flags: u32, at: usize) -> Option<Version> {
        let raw: [u8; 8] = array_at(self.bytes, at).filter(|_| flags & NEGOTIATE_VERSION != 0)?;
        Some(Version { major: raw[0], minor: raw[1], build: u16::from_le_bytes([raw[2], raw[3]]), revision: raw[7] })
    }
}

fn negotiate(fields: &mut Fields<'_>) -> Negotiate {
    let flags = fields.u32(12);
    let mut supplied = |flag: u32, at: usize| (flags & flag != 0).then(|| oem(fields.payload(at)));
    let domain = supplied(NEGOTIATE_OEM_DOMAIN_SUPPLIED, 16);
    let workstation = supplied(NEGOTIATE_OEM_WORKSTATION_SUPPLIED, 24);
    Negotiate { flags, domain, workstation, version: fields.version(flags, 32) }
}

fn challenge(fields: &mut Fields<'_>) -> Challenge {
    let target = fields.payload(12);
    let flags = fields.u32(20);
    let server_challenge = array_at(fields.bytes, 24).unwrap_or_else(|| {
        fields.odd(NtlmAnomaly::Short);
        [0; 8]
    });
    // TargetInfo and Version came later: a shorter message has a payload that begins before them.
    let first = fields.start(12).unwrap_or(usize::MAX).min(fields.bytes.len());
    let target_info = (first >= 48).then(|| fields.payload(40)).filter(|info| !info.is_empty()).map(AvPairs::parse);
    let target_name = (!target.is_empty()).then(|| text(target, flags));
    let version = if first >= 56 { fields.version(flags, 48) } else { None };
    Challenge { flags, server_challenge, target_name, target_info, version }
}

fn authenticate<'a>(fields: &mut Fields<'a>) -> Authenticate<'a> {
    const PAYLOADS: [usize; 6] = [12, 20, 28, 36, 44, 52];
    let first = PAYLOADS.iter().filter_map(|&at| fields.start(at)).min().unwrap_or(usize::MAX).min(fields.bytes.len());
    let lm_response = fields.payload(12);
    let nt_response = fields.payload(20);
    let names = [28, 36, 44].map(|at| fields.payload(at));
    // The fixed part grew over time: session key and flags, then the version, then the MIC.
    let session_key = if first >= 60 { fields.payload(52) } else { &[] };
    let flags = if first >= 64 { fields.u32(60) } else { 0 };
    let version = if first >= 72 { fields.version(flags, 64) } else { None };
    let v2 = v2_response(nt_response);
    let told = v2.as_ref().and_then(|r| r.pairs.flags).is_some_and(|f| f & AV_FLAG_MIC != 0);
    let mic = if told && first >= 88 { array_at(fields.bytes, 72) } else { None };
    // Messages that end before the flags carry OEM strings.
    let [domain, user, workstation] = names.map(|name| text(name, flags));
    // A null session sends no response, or one zero byte as LM response.
    let unanswered = nt_response.is_empty() && (lm_response.is_empty() || lm_response == [0]);
    let anonymous = user.is_empty() && (unanswered || flags & NEGOTIATE_ANONYMOUS != 0);
    Authenticate { flags, lm_response, nt_response, domain, user, workstation, session_key, version, mic, v2, anonymous }
}

/// NTLMv1 responses are 24 bytes; version 2 has 16 of proof, then RespType and HiRespType 1.
fn v2_response(response: &[u8]) -> Option<V2Response> {
    let blob = response.get(16..)?;
    if response.len() <= 24 || blob.get(..2)? != [1, 1] {
        return None;
    }
    Some(V2Response {
        proof: array_at(response, 0)?,
        timestamp: u64_at(blob, 8)?,
        client_challenge: array_at(blob, 16)?,
        pairs: AvPairs::parse(blob.get(28..).unwrap_or_default()),
    })
}

fn text(bytes: &[u8], flags: u32) -> String {
    if flags & NEGOTIATE_UNICODE != 0 { utf16(bytes) } else { oem(bytes) }
}

/// OEM strings carry no code page: ASCII is sure, higher bytes are taken as Latin-1.
fn oem(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|&b| char::from(b)).collect();
    text.trim_end_matches('\0').to_owned()
}

#[cfg(test)]
#[path = "ntlm_tests.rs"]
mod tests;
