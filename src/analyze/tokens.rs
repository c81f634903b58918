//! NTLM inside protocols that are not read any further: LDAP, HTTP, TDS, mail. A logon's three messages are found by their signature.

use crate::events::Head;
use crate::events::ntlm::Ntlm;
use crate::flow::Way;
use crate::identity::logon::Logon;
use crate::identity::tickets::Tickets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Ports where such logons are usual: HTTP and its proxies, WinRM, LDAP, global catalogue, SQL Server, mail.
const PORTS: [u16; 13] = [80, 8080, 8000, 3128, 5985, 389, 3268, 1433, 25, 587, 110, 143, 593];

/// Bytes of a connection that are looked at: a logon is at its beginning.
const LOOK_BYTES: u64 = 256 << 10;

/// The longest message that is decoded from base 64.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// NTLM's signature, and what every message of it begins with in base 64.
const SIGNATURE: &[u8] = b"NTLMSSP\0";
const SIGNATURE_64: &[u8] = b"TlRMTVNTUAA";

/// Whether a port is one of those.
pub(super) fn is_usual(port: u16) -> bool {
    PORTS.contains(&port)
}

/// A connection that is looked through.
#[derive(Default)]
pub(super) struct Tokens {
    logon: Logon,
    looked: u64,
    told: bool,
}

impl Tokens {
    /// Whether there is more to look at.
    pub(super) fn goes_on(&self) -> bool {
        self.looked < LOOK_BYTES
    }

    /// Looks at the next bytes; gives the event of a logon that they complete.
    pub(super) fn push(&mut self, way: Way, bytes: &[u8], head: impl FnOnce() -> Head) -> Option<Ntlm> {
        self.looked = self.looked.saturating_add(bytes.len() as u64);
        let tickets = Tickets::new(crate::identity::tickets::TicketLimits::default());
        if let Some(at) = find(bytes, SIGNATURE) {
            self.logon.token(way, &bytes[at..], None, &tickets);
        } else if let Some(at) = find(bytes, SIGNATURE_64) {
            let text = &bytes[at..];
            let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
            let len = text.iter().take(MESSAGE_BYTES_MAX).take_while(|b| is_digit(b)).count();
            // What a cut leaves of the last four digits is left out.
            let message = STANDARD_NO_PAD.decode(&text[..len]).or_else(|_| STANDARD_NO_PAD.decode(&text[..len - len % 4]));
            self.logon.token(way, &message.ok()?, None, &tickets);
        }
        let is_named = self.logon.ntlm.as_ref().is_some_and(|n| n.authenticate.is_some());
        if !is_named || std::mem::replace(&mut self.told, true) {
            return None;
        }
        Ntlm::of(head(), &self.logon)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
