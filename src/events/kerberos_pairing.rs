//! Kerberos requests and answers of one connection, joined into `kerberos` rows.
//!
//! As Zeek's, but for one thing: Zeek writes one row a connection, here every exchange of a connection has its row.

use super::head::{Head, epoch_seconds};
use super::kerberos::Kerberos;
use super::kerberos_words;
use crate::identity::account::{Account, How};
use crate::identity::kerberos::{KDC_FORWARDABLE, KDC_RENEWABLE, KerberosMessage, MessageType, Principal};
use crate::identity::logon::Logon;
use crate::identity::tickets::Tickets;
use crate::time::Timestamp;

/// Error texts whose exchange Zeek does not log (KRB::ignored_errors): the first half of a usual logon.
const IGNORED_ERRORS: [&str; 2] = ["NEEDED_PREAUTH", "Need to use PA-ENC-TIMESTAMP/PA-PK-AS-REQ"];

/// One connection, or the exchange inside one SMB session. It holds at most one request.
#[derive(Debug)]
pub struct KerberosConversation {
    head: Head,
    open: Option<Kerberos>,
}

impl KerberosConversation {
    /// A connection on which nothing was said.
    pub fn new(head: Head) -> Self {
        KerberosConversation { head, open: None }
    }

    /// Takes the next message, and gives the rows that are done. `tickets` has learned of the messages before it.
    pub fn message(&mut self, at: Timestamp, message: &KerberosMessage<'_>, tickets: &Tickets) -> Vec<Kerberos> {
        let mut out = Vec::new();
        if message.kind.is_request() {
            let row = request(self.head.at(at), message, tickets);
            match &self.open {
                // The same request again: UDP's repetition, or TCP after UDP.
                Some(open) if same(open, &row) => {}
                _ => out.extend(self.open.replace(row)),
            }
            return out;
        }
        let mut row = self.open.take().unwrap_or_else(|| empty(self.head.at(at)));
        match message.kind {
            MessageType::AsRep | MessageType::TgsRep => answer(&mut row, message),
            MessageType::ApRep => row.success = Some(true),
            _ => {
                if message.error_text.as_deref().is_some_and(|text| IGNORED_ERRORS.contains(&text)) {
                    return out;
                }
                error(&mut row, message);
            }
        }
        out.push(row);
        out
    }

    /// The connection has ended: a request that was not answered.
    pub fn finish(self) -> Option<Kerberos> {
        self.open
    }
}

/// The row of an AP exchange inside a session's set-up; `None` where the logon did not use Kerberos.
pub fn of_logon(head: Head, logon: &Logon) -> Option<Kerberos> {
    let facts = logon.kerberos.as_ref()?;
    Some(Kerberos {
        request_type: Some("AP"),
        client: Some(format!("/{}", facts.realm)),
        service: Some(facts.service.clone()),
        success: logon.success.or(facts.ap_rep.as_ref().map(|_| true)),
        cipher: Some(kerberos_words::cipher(facts.etype).into_owned()),
        auth_ticket_sha256: Some(facts.ticket.to_string()),
        account: logon.account(),
        ..empty(head)
    })
}

fn same(one: &Kerberos, other: &Kerberos) -> bool {
    (one.request_type, &one.client, &one.service, one.till, &one.auth_ticket_sha256)
        == (other.request_type, &other.client, &other.service, other.till, &other.auth_ticket_sha256)
}

fn empty(head: Head) -> Kerberos {
    Kerberos {
        head,
        request_type: None,
        client: None,
        service: None,
        success: None,
        error_msg: None,
        from: None,
        till: None,
        cipher: None,
        forwardable: None,
        renewable: None,
        auth_ticket_sha256: None,
        new_ticket_sha256: None,
        account: None,
    }
}

fn name(principal: Option<&Principal>) -> Option<String> {
    principal.map(Principal::to_string)
}

fn request(head: Head, message: &KerberosMessage<'_>, tickets: &Tickets) -> Kerberos {
    let mut row = empty(head);
    row.service = name(message.sname.as_ref());
    let shown = message.ticket.as_ref();
    row.auth_ticket_sha256 = shown.map(|t| t.hash().to_string());
    let holder = shown.and_then(|t| tickets.holder(&t.hash()));
    row.account = holder.map(|h| Account::new(How::Kerberos, &h.realm, &h.client, ""));
    let realm = message.realm.as_deref().unwrap_or_default();
    match message.kind {
        MessageType::ApReq => {
            row.request_type = Some("AP");
            row.client = Some(format!("/{realm}"));
            row.cipher = shown.map(|t| kerberos_words::cipher(t.enc.etype).into_owned());
            return row;
        }
        MessageType::AsReq => {
            row.request_type = Some("AS");
            row.client = Some(format!("{}/{realm}", name(message.cname.as_ref()).unwrap_or_default()));
        }
        _ => row.request_type = Some("TGS"),
    }
    row.from = message.from.and_then(epoch_seconds);
    row.till = message.till.and_then(epoch_seconds);
    row.forwardable = message.options.map(|o| o & KDC_FORWARDABLE != 0);
    row.renewable = message.options.map(|o| o & KDC_RENEWABLE != 0);
    row
}

fn answer(row: &mut Kerberos, message: &KerberosMessage<'_>) {
    let client = name(message.cname.as_ref()).unwrap_or_default();
    let realm = message.crealm.clone().unwrap_or_default();
    if row.client.is_none() && !(client.is_empty() && realm.is_empty()) {
        row.client = Some(format!("{client}/{realm}"));
    }
    if !client.is_empty() {
        row.account = Some(Account::new(How::Kerberos, &realm, &client, ""));
    }
    if let Some(ticket) = &message.ticket {
        row.service = Some(ticket.sname.to_string());
        row.cipher = Some(kerberos_words::cipher(ticket.enc.etype).into_owned());
        row.new_ticket_sha256 = Some(ticket.hash().to_string());
    }
    // A lone answer tells what was asked, though Zeek leaves the type out there.
    row.success = Some(true);
}

fn error(row: &mut Kerberos, message: &KerberosMessage<'_>) {
    let (client, realm) = (name(message.cname.as_ref()), message.crealm.clone());
    if row.client.is_none() && (client.is_some() || realm.is_some()) {
        row.client = Some(client.map(|c| c + "/").unwrap_or_default() + &realm.unwrap_or_default());
    }
    if let Some(service) = name(message.sname.as_ref()) {
        row.service = Some(service);
    }
    row.success = Some(false);
    row.error_msg = match (&message.error_text, message.error_code) {
        (Some(text), _) => Some(text.clone()),
        (None, code) => code.map(|c| kerberos_words::error(c).into_owned()),
    };
}

#[cfg(test)]
mod tests {
    use super::super::head::tests::head;
    use super::*;
    use crate::flow::Way;
    use crate::identity::kerberos::tests::{ap_req, kdc_req, krb_error, tgs_rep};

    fn told(conversation: &mut KerberosConversation, bytes: &[u8], tickets: &mut Tickets) -> Vec<Kerberos> {
        let message = KerberosMessage::parse(bytes).unwrap();
        tickets.learn(&message, Timestamp::ZERO);
        conversation.message(Timestamp::from_nanos(1_000), &message, tickets)
    }

    #[test]
    fn a_logon_and_a_ticket() {
        let (mut conversation, mut tickets) = (KerberosConversation::new(head(0, 88)), Tickets::default());
        let request = kdc_req(Some("alice"), None);
        assert!(told(&mut conversation, &request, &mut tickets).is_empty());
        assert!(told(&mut conversation, &krb_error(25, Some("NEEDED_PREAUTH")), &mut tickets).is_empty(), "as Zeek: not told");
        assert!(told(&mut conversation, &request, &mut tickets).is_empty());
        let rows = told(&mut conversation, &krb_error(24, None), &mut tickets);
        assert_eq!(
            serde_json::to_value(&rows[0]).unwrap(),
            serde_json::json!({
                "ts": 1e-6, "ts_ns": 1000, "uid": "C1", "id.orig_h": "192.0.2.1", "id.orig_p": 50000, "id.resp_h": "192.0.2.2", "id.resp_p": 88,
                "request_type": "AS", "client": "alice/EXAMPLE.COM", "service": "krbtgt/EXAMPLE.COM", "success": false,
                "error_msg": "KDC_ERR_PREAUTH_FAILED", "till": 2_136_422_885.0, "forwardable": true, "renewable": true,
            })
        );
        told(&mut conversation, &kdc_req(None, Some(b"tgt")), &mut tickets);
        let rows = told(&mut conversation, &tgs_rep("alice", "EXAMPLE.COM", b"for fs1"), &mut tickets);
        let row = &rows[0];
        assert_eq!(
            (row.request_type, row.client.as_deref(), row.service.as_deref()),
            (Some("TGS"), Some("alice/EXAMPLE.COM"), Some("cifs/fs1"))
        );
        assert_eq!((row.cipher.as_deref(), row.success), (Some("aes256-cts-hmac-sha1-96"), Some(true)));
        // The same ticket, shown to the file server inside a session's set-up.
        let mut logon = Logon::default();
        logon.token(Way::ToServer, &ap_req(b"for fs1"), None, &tickets);
        logon.answered(0);
        let row = of_logon(head(0, 445), &logon).unwrap();
        assert_eq!((row.request_type, row.client.as_deref(), row.success), (Some("AP"), Some("/EXAMPLE.COM"), Some(true)));
        assert_eq!(row.account.unwrap().to_string(), "EXAMPLE.COM\\alice");
        assert!(conversation.finish().is_none());
    }

    #[test]
    fn what_is_not_answered_is_told_once() {
        let (mut conversation, mut tickets) = (KerberosConversation::new(head(0, 88)), Tickets::default());
        for _ in 0..3 {
            assert!(told(&mut conversation, &kdc_req(Some("a"), None), &mut tickets).is_empty());
        }
        let rows = told(&mut conversation, &kdc_req(Some("b"), None), &mut tickets);
        assert_eq!(rows[0].client.as_deref(), Some("a/EXAMPLE.COM"));
        assert_eq!(conversation.finish().unwrap().client.as_deref(), Some("b/EXAMPLE.COM"));
    }
}
