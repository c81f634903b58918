//! Which client a ticket was given to: an AP-REQ names no one, but the TGS-REP (or AS-REP) that carried the same ticket bytes did.

use super::kerberos::{KerberosMessage, MessageType};
use super::ticket_hash::TicketHash;
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};

/// Whom a ticket was given to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The client's name, its parts joined by `/`.
    pub client: String,
    /// The client's realm.
    pub realm: String,
    /// When the answer that carried the ticket was captured.
    pub seen: Timestamp,
}

/// What the memory of tickets may cost.
#[derive(Clone, Copy, Debug)]
pub struct TicketLimits {
    /// Tickets that are remembered. Default 65,536: a busy KDC's tickets of about an hour, at some 200 bytes each.
    pub tickets_max: usize,
    /// Bytes of one name or realm; longer ones are not remembered. Default 1,024: names are a few dozen.
    pub name_bytes_max: usize,
}

impl Default for TicketLimits {
    fn default() -> Self {
        TicketLimits { tickets_max: 65_536, name_bytes_max: 1024 }
    }
}

/// The tickets given out so far; the oldest are forgotten first.
#[derive(Debug, Default)]
pub struct Tickets {
    limits: TicketLimits,
    holders: HashMap<TicketHash, Holder, ahash::RandomState>,
    order: VecDeque<TicketHash>,
    forgotten: u64,
    refused: u64,
}

impl Tickets {
    /// An empty memory.
    pub fn new(limits: TicketLimits) -> Self {
        Tickets { limits, ..Tickets::default() }
    }

    /// Remembers the ticket of an AS-REP or TGS-REP; other messages, and answers that name no client, are passed over.
    pub fn learn(&mut self, message: &KerberosMessage<'_>, seen: Timestamp) {
        let (MessageType::AsRep | MessageType::TgsRep, Some(ticket), Some(name)) =
            (message.kind, &message.ticket, &message.cname)
        else {
            return;
        };
        let client = name.to_string();
        let realm = message.crealm.clone().unwrap_or_default();
        if client.is_empty() || ticket.enc.cipher.is_empty() {
            return;
        }
        if client.len().max(realm.len()) > self.limits.name_bytes_max || self.limits.tickets_max == 0 {
            self.refused += 1;
            return;
        }
        let hash = ticket.hash();
        // The first to be seen with a ticket keeps it: who repeats it later cannot rename its holder.
        if self.holders.contains_key(&hash) {
            return;
        }
        while self.holders.len() >= self.limits.tickets_max {
            let Some(oldest) = self.order.pop_front() else { break };
            self.holders.remove(&oldest);
            self.forgotten += 1;
        }
        self.order.push_back(hash);
        self.holders.insert(hash, Holder { client, realm, seen });
    }

    /// Whom this ticket was given to.
    pub fn holder(&self, hash: &TicketHash) -> Option<&Holder> {
        self.holders.get(hash)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// None is remembered.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// How many were forgotten at `tickets_max`, and how many not remembered at `name_bytes_max`.
    pub fn dropped(&self) -> (u64, u64) {
        (self.forgotten, self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::super::kerberos::tests::{ap_req, tgs_rep};
    use super::*;

    #[test]
    fn an_ap_req_finds_its_client() {
        let mut tickets = Tickets::default();
        let given = tgs_rep("alice", "EXAMPLE.COM", b"ticket one");
        tickets.learn(&KerberosMessage::parse(&given).unwrap(), Timestamp::from_nanos(5));
        let shown = ap_req(b"ticket one");
        let shown = KerberosMessage::parse(&shown).unwrap();
        let holder = tickets.holder(&shown.ticket.unwrap().hash()).unwrap();
        assert_eq!((holder.client.as_str(), holder.realm.as_str(), holder.seen.as_nanos()), ("alice", "EXAMPLE.COM", 5));
        assert!(tickets.holder(&TicketHash::of(b"ticket two")).is_none());
    }

    #[test]
    fn the_oldest_are_forgotten_and_no_one_is_renamed() {
        let mut tickets = Tickets::new(TicketLimits { tickets_max: 2, name_bytes_max: 8 });
        for (name, cipher) in [("a", "1"), ("b", "1"), ("c", "2"), ("d", "3"), ("much too long", "4")] {
            let given = tgs_rep(name, "R", cipher.as_bytes());
            tickets.learn(&KerberosMessage::parse(&given).unwrap(), Timestamp::ZERO);
        }
        assert_eq!((tickets.len(), tickets.dropped()), (2, (1, 1)));
        assert!(tickets.holder(&TicketHash::of(b"1")).is_none());
        assert_eq!(tickets.holder(&TicketHash::of(b"3")).unwrap().client, "d");
    }
}
