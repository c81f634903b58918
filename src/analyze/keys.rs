//! Session keys: from the list of secrets, from an NTLM logon and its password, or from a Kerberos ticket and a keytab.

use super::sessions::Session;
use crate::identity::kerberos::KerberosMessage;
use crate::identity::kerberos_session::{self, ApExchange, KerberosSession};
use crate::identity::keytab::Keytab;
use crate::identity::logon::NtlmFacts;
use crate::identity::ntlm::{NtlmBody, NtlmMessage};
use crate::identity::ntlm_keys::Authentication;
use crate::identity::secrets::Secrets;
use crate::smb::event::SessionKeys;

/// The secrets, with what their files hold.
#[derive(Default)]
pub(super) struct KeyRing {
    pub secrets: Secrets,
    pub keytabs: Vec<Keytab>,
}

impl KeyRing {
    /// The keys of a session of SMB2 with this id on the wire.
    pub(super) fn of_smb(&self, wire: u64, session: Option<&mut Session>) -> Option<SessionKeys> {
        if let Some(given) = self.secrets.session(wire) {
            if let (Some(to_server), Some(to_client)) = (&given.to_server, &given.to_client) {
                return Some(SessionKeys::Directions { to_server: to_server.clone(), to_client: to_client.clone() });
            }
            if let Some(key) = &given.session_key {
                return Some(SessionKeys::Session(key.clone()));
            }
        }
        let logon = &mut session?.logon;
        if let Some(facts) = &logon.ntlm {
            return Some(SessionKeys::Session(self.of_ntlm(facts)?.0.to_vec()));
        }
        let kerberos = logon.kerberos.as_ref()?;
        let opened = self.of_kerberos(&kerberos.ap_req, kerberos.ap_rep.as_deref())?;
        // The ticket also says whose it is, which the AP-REQ does not.
        logon.set_holder(&opened.realm, &opened.client);
        Some(SessionKeys::Session(opened.key))
    }

    /// The exported session key of an NTLM logon, and its flags.
    pub(super) fn of_ntlm(&self, facts: &NtlmFacts) -> Option<([u8; 16], u32)> {
        let message = NtlmMessage::parse(facts.authenticate.as_deref()?)?;
        let NtlmBody::Authenticate(said) = message.body else { return None };
        let authentication = Authentication {
            server_challenge: facts.server_challenge?,
            flags: said.flags,
            lm_response: said.lm_response,
            nt_response: said.nt_response,
            user: &said.user,
            domain: &said.domain,
            encrypted_session_key: said.session_key,
        };
        let secrets = self.secrets.account(&said.domain, &said.user);
        let known = secrets.filter_map(|s| authentication.session_key(&s.secret()).ok()).next();
        Some((known.or_else(|| authentication.anonymous_session_key())?, said.flags))
    }

    /// What a Kerberos logon's ticket tells, where a keytab opens it: its key, and whose it is.
    pub(super) fn of_kerberos(&self, ap_req: &[u8], ap_rep: Option<&[u8]>) -> Option<KerberosSession> {
        let request = KerberosMessage::parse(ap_req)?;
        let ticket = request.ticket.as_ref()?;
        let answer = ap_rep.and_then(KerberosMessage::parse);
        let exchange = ApExchange {
            ticket_enctype: i32::try_from(ticket.enc.etype).ok()?,
            ticket_kvno: ticket.enc.kvno.and_then(|k| u32::try_from(k).ok()),
            ticket: ticket.enc.cipher,
            authenticator: request.authenticator.as_ref()?.cipher,
            ap_rep: answer.as_ref().and_then(|a| Some(a.enc_part.as_ref()?.cipher)),
        };
        self.keytabs.iter().find_map(|keytab| kerberos_session::session(keytab, &exchange).ok())
    }
}
