//! One logon: the tokens of a session's set-up in their order, and the account that comes out.
//!
//! Accounts belong to sessions, not to connections: keep one [`Logon`] for each session id. A set-up that is begun anew on a session
//! (re-authentication) is another `Logon`.

use super::account::{Account, How};
use super::kerberos::{EncryptedData, KerberosMessage, MessageType};
use super::ntlm::{NtlmBody, NtlmMessage};
use super::ntlm_pairs::AvPairs;
use super::spnego::{Inner, NegState, SecurityToken};
use super::ticket_hash::TicketHash;
use super::tickets::Tickets;
use crate::flow::Way;

/// STATUS_SUCCESS.
const STATUS_SUCCESS: u32 = 0;
/// STATUS_MORE_PROCESSING_REQUIRED: the set-up goes on.
const STATUS_MORE_PROCESSING_REQUIRED: u32 = 0xc000_0016;

/// What NTLM told. Zeek's `ntlm` row is made of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NtlmFacts {
    /// Names of the server, from its CHALLENGE.
    pub server: Option<AvPairs>,
    /// ServerChallenge, needed to derive keys.
    pub server_challenge: Option<[u8; 8]>,
    /// NegotiateFlags that hold in the end.
    pub flags: Option<u32>,
    /// User, domain and workstation of the AUTHENTICATE; empty strings are `None`.
    pub user: Option<String>,
    /// See `user`.
    pub domain: Option<String>,
    /// See `user`.
    pub workstation: Option<String>,
    /// AUTHENTICATE_MESSAGE as it stood on the wire, for who derives keys from it.
    pub authenticate: Option<Vec<u8>>,
}

/// What Kerberos told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KerberosFacts {
    /// The service that the ticket is for (`cifs/fs1.example.com`).
    pub service: String,
    /// The realm that issued the ticket.
    pub realm: String,
    /// The ticket's encryption type.
    pub etype: i64,
    /// The version of the service's key.
    pub kvno: Option<i64>,
    /// The ticket's hash.
    pub ticket: TicketHash,
    /// AP-REQ as it stood on the wire, for who has the service's key.
    pub ap_req: Vec<u8>,
    /// AP-REP as it stood on the wire.
    pub ap_rep: Option<Vec<u8>>,
}

/// A set-up in progress, or done.
#[derive(Clone, Debug, Default)]
pub struct Logon {
    /// What NTLM told, where it was used.
    pub ntlm: Option<NtlmFacts>,
    /// What Kerberos told, where it was used.
    pub kerberos: Option<KerberosFacts>,
    /// Whether the server accepted: told by the last answer's status, else by negState. `None` while it is open.
    pub success: Option<bool>,
    /// The account, as soon as it is known.
    account: Option<Account>,
    guest: bool,
}

/// Bytes of the longest token whose message is kept in [`NtlmFacts`] or [`KerberosFacts`]. SMB's set-ups carry at most 64 KiB.
pub const KEPT_BYTES_MAX: usize = 64 << 10;

impl Logon {
    /// Takes the next token, of a request (`status` is `None`) or of an answer.
    pub fn token(&mut self, way: Way, token: &[u8], status: Option<u32>, tickets: &Tickets) {
        let read = SecurityToken::parse(token);
        match read.inner {
            Inner::Ntlm(message) => self.ntlm(message),
            Inner::Kerberos(message) => self.kerberos(message, tickets),
            Inner::None | Inner::Other(_) => {}
        }
        if way == Way::ToClient {
            match read.state {
                Some(NegState::AcceptCompleted) => self.success = Some(true),
                Some(NegState::Reject) => self.success = Some(false),
                _ => {}
            }
        }
        if let Some(status) = status {
            self.answered(status);
        }
    }

    /// Takes an answer's status: success, failure, or more to come.
    pub fn answered(&mut self, status: u32) {
        match status {
            STATUS_SUCCESS => self.success = Some(true),
            STATUS_MORE_PROCESSING_REQUIRED => {}
            _ => self.success = Some(false),
        }
    }

    /// SMB1's set-up without a token: its names.
    pub fn plain(&mut self, user: &str, domain: &str) {
        let how = if user.is_empty() { How::Anonymous } else { How::Plain };
        self.account = Some(Account::new(how, domain, user, ""));
    }

    /// The server says that the session is a guest's.
    pub fn set_guest(&mut self) {
        self.guest = true;
    }

    /// Looks for the ticket's holder again: of use where the TGS-REP was captured after the AP-REQ (another interface, another file).
    pub fn find_holder(&mut self, tickets: &Tickets) {
        let Some(facts) = &self.kerberos else { return };
        if let Some(holder) = tickets.holder(&facts.ticket) {
            self.account = Some(Account::new(How::Kerberos, &holder.realm, &holder.client, ""));
        }
    }

    /// Whose ticket it was, from the opened ticket.
    pub fn set_holder(&mut self, realm: &str, client: &str) {
        self.account = Some(Account::new(How::Kerberos, realm, client, ""));
    }

    /// The account: of Kerberos without a known holder the user is `None` and the realm is the ticket's.
    pub fn account(&self) -> Option<Account> {
        let mut account = self.account.clone()?;
        if self.guest {
            account.how = How::Guest;
        }
        Some(account)
    }

    fn ntlm(&mut self, bytes: &[u8]) {
        let Some(message) = NtlmMessage::parse(bytes) else { return };
        let facts = self.ntlm.get_or_insert_default();
        match message.body {
            NtlmBody::Negotiate(said) => facts.flags = Some(said.flags),
            NtlmBody::Challenge(said) => {
                facts.flags = Some(said.flags);
                facts.server_challenge = Some(said.server_challenge);
                facts.server = said.target_info;
            }
            NtlmBody::Authenticate(said) => {
                let account = said.account();
                facts.flags = Some(said.flags);
                facts.user.clone_from(&account.user);
                facts.domain.clone_from(&account.domain);
                facts.workstation.clone_from(&account.workstation);
                facts.authenticate = (bytes.len() <= KEPT_BYTES_MAX).then(|| bytes.to_vec());
                self.account = Some(account);
            }
            NtlmBody::Unknown(_) => {}
        }
    }

    fn kerberos(&mut self, bytes: &[u8], tickets: &Tickets) {
        let Some(message) = KerberosMessage::parse(bytes) else { return };
        match (message.kind, message.ticket) {
            (MessageType::ApReq, Some(ticket)) => {
                let EncryptedData { etype, kvno, .. } = ticket.enc;
                self.kerberos = Some(KerberosFacts {
                    service: ticket.sname.to_string(),
                    realm: ticket.realm.clone(),
                    etype,
                    kvno,
                    ticket: ticket.hash(),
                    ap_req: if bytes.len() <= KEPT_BYTES_MAX { bytes.to_vec() } else { Vec::new() },
                    ap_rep: None,
                });
                self.account = Some(Account::new(How::Kerberos, &ticket.realm, "", ""));
                self.find_holder(tickets);
            }
            (MessageType::ApRep, _) => {
                if let Some(facts) = &mut self.kerberos {
                    facts.ap_rep = (bytes.len() <= KEPT_BYTES_MAX).then(|| bytes.to_vec());
                }
            }
            (MessageType::Error, _) => self.success = Some(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kerberos::tests::{ap_req, tgs_rep};
    use super::*;
    use crate::time::Timestamp;
    use proptest::prelude::*;

    /// An AUTHENTICATE with OEM names, short as NT 4 sent it.
    fn authenticate(domain: &str, user: &str) -> Vec<u8> {
        let mut out = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let names = [&b"L"[..], &[b'N'; 24], domain.as_bytes(), user.as_bytes(), b"WS", b""];
        let mut offset = 64u32;
        for name in names {
            out.extend((name.len() as u16).to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += name.len() as u32;
        }
        out.extend(0u32.to_le_bytes());
        out.extend(names.concat());
        out
    }

    #[test]
    fn two_users_interleaved_keep_their_names() {
        let tickets = Tickets::default();
        let (mut one, mut two) = (Logon::default(), Logon::default());
        one.token(Way::ToServer, b"NTLMSSP\0\x01\0\0\0\0\0\0\0", None, &tickets);
        two.token(Way::ToServer, &authenticate("D", "bob"), None, &tickets);
        one.token(Way::ToServer, &authenticate("D", "alice"), None, &tickets);
        one.answered(0);
        two.answered(0xc000_006d);
        assert_eq!(one.account().unwrap().to_string(), "D\\alice");
        assert_eq!((two.account().unwrap().to_string().as_str(), two.success), ("D\\bob", Some(false)));
        assert_eq!(one.success, Some(true));
    }

    #[test]
    fn a_kerberos_client_is_found_by_its_ticket_or_is_none() {
        let mut tickets = Tickets::default();
        let mut logon = Logon::default();
        logon.token(Way::ToServer, &ap_req(b"ticket"), None, &tickets);
        let unknown = logon.account().unwrap();
        assert_eq!((unknown.how, unknown.user, unknown.domain.as_deref()), (How::Kerberos, None, Some("EXAMPLE.COM")));
        assert_eq!(logon.kerberos.as_ref().unwrap().service, "cifs/fs1");
        let given = tgs_rep("alice", "USERS.EXAMPLE.COM", b"ticket");
        tickets.learn(&KerberosMessage::parse(&given).unwrap(), Timestamp::ZERO);
        logon.find_holder(&tickets);
        assert_eq!(logon.account().unwrap().to_string(), "USERS.EXAMPLE.COM\\alice");
    }

    #[test]
    fn guests_and_plain_set_ups() {
        let mut logon = Logon::default();
        logon.plain("carol", "W");
        assert_eq!(logon.account().unwrap().how, How::Plain);
        logon.set_guest();
        assert_eq!(logon.account().unwrap().how, How::Guest);
        let mut logon = Logon::default();
        logon.plain("", "");
        assert_eq!(logon.account().unwrap().how, How::Anonymous);
    }

    #[test]
    fn more_processing_is_no_end() {
        let mut logon = Logon::default();
        logon.token(Way::ToClient, b"NTLMSSP\0\x02\0\0\0", Some(STATUS_MORE_PROCESSING_REQUIRED), &Tickets::default());
        assert_eq!(logon.success, None);
        assert!(logon.ntlm.unwrap().server_challenge.is_some());
    }

    proptest! {
        #[test]
        fn any_tokens(tokens in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..5)) {
            let mut logon = Logon::default();
            for token in tokens {
                logon.token(Way::ToServer, &token, None, &Tickets::default());
            }
            prop_assert!(logon.account().is_none());
        }
    }
}
