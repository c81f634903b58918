//! SPNEGO (RFC 4178, [MS-SPNG]) and what comes without it: raw NTLMSSP, raw Kerberos. Which mechanism, and the token inside.

use super::der::{Der, Element};
use super::kerberos;
use super::ntlm::SIGNATURE;

/// Mechanisms of one offer that are read. Windows offers at most five.
pub const MECHANISMS_MAX: usize = 16;

/// A GSS-API mechanism, by its object identifier.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mechanism {
    /// 1.3.6.1.4.1.311.2.2.10.
    Ntlm,
    /// 1.2.840.113554.1.2.2.
    Kerberos,
    /// 1.2.840.48018.1.2.2: Windows 2000's misspelling, still offered first.
    KerberosMicrosoft,
    /// 1.2.840.113554.1.2.2.3.
    KerberosUserToUser,
    /// 1.3.6.1.4.1.311.2.2.30.
    NegoEx,
    /// 1.3.6.1.5.5.2.
    Spnego,
    /// Another, in dots.
    Other(String),
}

impl Mechanism {
    fn of(element: &Element<'_>) -> Option<Mechanism> {
        let oid = element.oid().filter(|_| element.tag == 0x06)?;
        Some(match oid.as_str() {
            "1.3.6.1.4.1.311.2.2.10" => Mechanism::Ntlm,
            "1.2.840.113554.1.2.2" => Mechanism::Kerberos,
            "1.2.840.48018.1.2.2" => Mechanism::KerberosMicrosoft,
            "1.2.840.113554.1.2.2.3" => Mechanism::KerberosUserToUser,
            "1.3.6.1.4.1.311.2.2.30" => Mechanism::NegoEx,
            "1.3.6.1.5.5.2" => Mechanism::Spnego,
            _ => Mechanism::Other(oid),
        })
    }
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// NegTokenInit or NegTokenInit2: the client's first, or the server's offer in NEGOTIATE.
    Init,
    /// NegTokenResp.
    Response,
    /// No SPNEGO around it.
    Raw,
}

/// negState of a NegTokenResp (RFC 4178 4.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NegState {
    /// 0.
    AcceptCompleted,
    /// 1.
    AcceptIncomplete,
    /// 2.
    Reject,
    /// 3.
    RequestMic,
}

/// What a token carries; told by its content and not by what is declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inner<'a> {
    /// Nothing.
    None,
    /// An NTLMSSP message, from its signature on.
    Ntlm(&'a [u8]),
    /// A Kerberos message (AP-REQ, AP-REP, KRB-ERROR), from its application tag on.
    Kerberos(&'a [u8]),
    /// Something else.
    Other(&'a [u8]),
}

/// What is odd about a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenAnomaly {
    /// An element promises more bytes than there are.
    Cut,
    /// It is none of the forms that are known.
    Unknown,
}

/// A security token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityToken<'a> {
    /// What it is.
    pub step: Step,
    /// mechTypes of an Init, in the sender's order.
    pub mechanisms: Vec<Mechanism>,
    /// supportedMech of a Response; of an Init the first of `mechanisms`, whose token it carries; else by content.
    pub chosen: Option<Mechanism>,
    /// negState.
    pub state: Option<NegState>,
    /// mechToken or responseToken.
    pub inner: Inner<'a>,
    /// mechListMIC.
    pub mic: Option<&'a [u8]>,
    /// hintName of a NegTokenInit2 ([MS-SPNG] 2.2.1).
    pub hint: Option<String>,
    /// What is odd.
    pub anomaly: Option<TokenAnomaly>,
}

impl<'a> SecurityToken<'a> {
    /// Reads a token. Whatever the bytes are, there is an answer.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let mut token = SecurityToken {
            step: Step::Raw,
            mechanisms: Vec::new(),
            chosen: None,
            state: None,
            inner: Inner::None,
            mic: None,
            hint: None,
            anomaly: None,
        };
        match bytes.first() {
            None => return token,
            // [APPLICATION 0]: InitialContextToken (RFC 2743 3.1).
            Some(0x60) => token.framed(bytes),
            // Without that frame: NegTokenInit [0] or NegTokenResp [1].
            Some(0xa0) => token.choice(bytes),
            Some(0xa1) => token.choice(bytes),
            Some(_) => token.inner = inner(bytes),
        }
        if matches!(token.inner, Inner::Other(_)) && token.step == Step::Raw {
            token.anomaly.get_or_insert(TokenAnomaly::Unknown);
        }
        if token.chosen.is_none() {
            token.chosen = match token.inner {
                Inner::Ntlm(_) => Some(Mechanism::Ntlm),
                Inner::Kerberos(_) => Some(Mechanism::Kerberos),
                _ => None,
            };
        }
        token
    }

    fn framed(&mut self, bytes: &'a [u8]) {
        let Some(frame) = Der::new(bytes).next() else {
            self.inner = Inner::Other(bytes);
            return;
        };
        self.note(&frame);
        let mut inside = frame.inside();
        match inside.next().as_ref().and_then(Mechanism::of) {
            Some(Mechanism::Spnego) => self.choice(inside.rest()),
            Some(mechanism) => {
                self.chosen = Some(mechanism);
                self.inner = inner(bytes);
            }
            None => self.inner = Inner::Other(bytes),
        }
    }

    /// NegotiationToken ::= CHOICE { negTokenInit [0], negTokenResp [1] }.
    fn choice(&mut self, bytes: &'a [u8]) {
        let Some(choice) = Der::new(bytes).next() else {
            self.inner = Inner::Other(bytes);
            return;
        };
        self.note(&choice);
        let Some(body) = choice.inside().tagged(0x30) else {
            self.inner = Inner::Other(bytes);
            return;
        };
        let init = choice.tag == 0xa0;
        self.step = if init { Step::Init } else { Step::Response };
        for field in body.inside() {
            self.note(&field);
            let Some(value) = field.inner() else { continue };
            self.note(&value);
            match (init, field.tag) {
                (true, 0xa0) => {
                    self.mechanisms = value.inside().filter_map(|e| Mechanism::of(&e)).take(MECHANISMS_MAX).collect();
                    self.chosen = self.mechanisms.first().cloned();
                }
                (false, 0xa0) => self.state = state(&value),
                (false, 0xa1) => self.chosen = Mechanism::of(&value),
                (_, 0xa2) if value.tag == 0x04 => self.inner = inner(value.content),
                // NegTokenInit2's negHints is a SEQUENCE; NegTokenInit's mechListMIC is an OCTET STRING.
                (true, 0xa3) if value.tag == 0x30 => {
                    self.hint = value.inside().field(0xa0).and_then(|h| h.inner()).map(|h| h.text());
                }
                (_, 0xa3 | 0xa4) if value.tag == 0x04 => self.mic = Some(value.content),
                _ => {}
            }
        }
    }

    fn note(&mut self, element: &Element<'_>) {
        if element.cut {
            self.anomaly.get_or_insert(TokenAnomaly::Cut);
        }
    }
}

fn state(value: &Element<'_>) -> Option<NegState> {
    match value.integer()? {
        0 => Some(NegState::AcceptCompleted),
        1 => Some(NegState::AcceptIncomplete),
        2 => Some(NegState::Reject),
        3 => Some(NegState::RequestMic),
        _ => None,
    }
}

/// What a mechanism's token is: NTLMSSP, Kerberos in its GSS-API frame (RFC 4121 4.1) or bare, or nothing of these.
fn inner(bytes: &[u8]) -> Inner<'_> {
    if bytes.is_empty() {
        return Inner::None;
    }
    if bytes.starts_with(SIGNATURE) {
        return Inner::Ntlm(bytes);
    }
    if kerberos::looks(bytes) {
        return Inner::Kerberos(bytes);
    }
    if let Some(frame) = Der::new(bytes).tagged(0x60) {
        let mut inside = frame.inside();
        // After the object identifier come two bytes of token id: 01 00 AP-REQ, 02 00 AP-REP, 03 00 KRB-ERROR.
        if inside.tagged(0x06).is_some() {
            let token = inside.rest();
            if token.starts_with(SIGNATURE) {
                return Inner::Ntlm(token);
            }
            match (token.first(), token.get(2..)) {
                (Some(1..=3), Some(message)) if kerberos::looks_cut(message) => return Inner::Kerberos(message),
                _ => {}
            }
        }
    }
    Inner::Other(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::der::build::{seq, tlv};
    use super::*;
    use proptest::prelude::*;

    const NTLM_OID: &str = "2b06010401823702020a";
    const KRB_OID: &str = "2a864886f712010202";
    const MS_KRB_OID: &str = "2a864882f712010202";

    fn oid(hex_text: &str) -> Vec<u8> {
        tlv(0x06, &hex::decode(hex_text).unwrap())
    }

    fn init(mechanisms: &[&str], token: &[u8]) -> Vec<u8> {
        let list = seq(0x30, &mechanisms.iter().map(|m| oid(m)).collect::<Vec<_>>());
        let body = seq(0x30, &[tlv(0xa0, &list), tlv(0xa2, &tlv(0x04, token))]);
        seq(0x60, &[oid("2b0601050502"), tlv(0xa0, &body)])
    }

    #[test]
    fn an_init_with_ntlm() {
        let token = init(&[NTLM_OID], b"NTLMSSP\0\x01\0\0\0");
        let read = SecurityToken::parse(&token);
        assert_eq!((read.step, &read.mechanisms[..], read.anomaly), (Step::Init, &[Mechanism::Ntlm][..], None));
        assert_eq!(read.inner, Inner::Ntlm(b"NTLMSSP\0\x01\0\0\0"));
    }

    #[test]
    fn an_init_with_kerberos() {
        let ap = tlv(0x6e, &tlv(0x30, &[]));
        let framed = seq(0x60, &[oid(KRB_OID), [&[1, 0][..], &ap].concat()]);
        let token = init(&[MS_KRB_OID, KRB_OID, NTLM_OID], &framed);
        let read = SecurityToken::parse(&token);
        assert_eq!(read.chosen, Some(Mechanism::KerberosMicrosoft));
        assert_eq!(read.mechanisms.len(), 3);
        assert_eq!(read.inner, Inner::Kerberos(&ap));
        // The same without SPNEGO, and without any frame.
        assert_eq!(SecurityToken::parse(&framed).inner, Inner::Kerberos(&ap));
        assert_eq!(SecurityToken::parse(&framed).chosen, Some(Mechanism::Kerberos));
        assert_eq!(SecurityToken::parse(&ap).inner, Inner::Kerberos(&ap));
    }

    #[test]
    fn a_response() {
        let body = seq(
            0x30,
            &[
                tlv(0xa0, &tlv(0x0a, &[1])),
                tlv(0xa1, &oid(NTLM_OID)),
                tlv(0xa2, &tlv(0x04, b"NTLMSSP\0\x02\0\0\0")),
                tlv(0xa3, &tlv(0x04, b"0123456789abcdef")),
            ],
        );
        let token = tlv(0xa1, &body);
        let read = SecurityToken::parse(&token);
        assert_eq!(
            (read.step, read.state, read.chosen),
            (Step::Response, Some(NegState::AcceptIncomplete), Some(Mechanism::Ntlm))
        );
        assert_eq!(read.mic, Some(&b"0123456789abcdef"[..]));
        for end in 0..token.len() {
            let _ = SecurityToken::parse(&token[..end]);
        }
    }

    #[test]
    fn what_is_none_says_so() {
        assert_eq!(SecurityToken::parse(b"hello").anomaly, Some(TokenAnomaly::Unknown));
        assert_eq!(SecurityToken::parse(b"").inner, Inner::None);
        assert_eq!(SecurityToken::parse(b"NTLMSSP\0").chosen, Some(Mechanism::Ntlm));
    }

    #[test]
    fn a_hint_is_no_mic() {
        let hint = tlv(0xa0, &tlv(0x1b, b"not_defined_in_RFC4178@please_ignore"));
        let body = seq(0x30, &[tlv(0xa0, &seq(0x30, &[oid(NTLM_OID)])), tlv(0xa3, &seq(0x30, &[hint]))]);
        let token = seq(0x60, &[oid("2b0601050502"), tlv(0xa0, &body)]);
        let read = SecurityToken::parse(&token);
        assert_eq!(read.hint.as_deref(), Some("not_defined_in_RFC4178@please_ignore"));
        assert_eq!((read.mic, read.inner), (None, Inner::None));
    }

    proptest! {
        #[test]
        fn any_bytes(first in proptest::sample::select(vec![0x60u8, 0xa0, 0xa1, 0x30, 0x6e]), rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[first][..], &rest].concat();
            let _ = SecurityToken::parse(&bytes);
        }

        #[test]
        fn any_damage(at in any::<proptest::sample::Index>(), value in any::<u8>()) {
            let mut token = init(&[MS_KRB_OID, NTLM_OID], b"NTLMSSP\0\x01\0\0\0");
            let at = at.index(token.len());
            token[at] = value;
            let _ = SecurityToken::parse(&token);
        }
    }
}
