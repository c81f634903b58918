//! DHCP messages of all connections, joined into `dhcp` rows by their transaction id as Zeek joins them (base/protocols/dhcp/main.zeek).

use super::dhcp::Dhcp;
use super::dhcp_message::{DhcpMessage, kind_name};
use super::head::{Head, Moment, interval};
use crate::time::{SECOND_NS, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What may be open.
#[derive(Clone, Copy, Debug)]
pub struct DhcpLimits {
    /// Conversations that are open; at more the one that began first is given out. Default 4,096: some MiB.
    pub open_max: usize,
    /// Nanoseconds without a message after which a conversation is over. Default 5 s, as in Zeek.
    pub silence_ns_max: u64,
    /// Nanoseconds after which a conversation is over in any case. Default 30 s, as in Zeek.
    pub length_ns_max: u64,
    /// Connections of one row. Default 10, as in Zeek.
    pub uids_max: usize,
    /// Messages of one row. Default 50, as in Zeek.
    pub messages_max: usize,
}

impl Default for DhcpLimits {
    fn default() -> Self {
        DhcpLimits {
            open_max: 4096,
            silence_ns_max: 5 * SECOND_NS,
            length_ns_max: 30 * SECOND_NS,
            uids_max: 10,
            messages_max: 50,
        }
    }
}

#[derive(Debug)]
struct Open {
    row: Dhcp,
    last: Timestamp,
    chaddr: Option<String>,
}

/// The open conversations.
#[derive(Debug, Default)]
pub struct DhcpConversations {
    limits: DhcpLimits,
    open: BTreeMap<u32, Open>,
    swept: Timestamp,
}

impl DhcpConversations {
    /// None open.
    pub fn new(limits: DhcpLimits) -> Self {
        DhcpConversations { limits, ..DhcpConversations::default() }
    }

    /// Takes the next message, and gives the rows that are over. `head` is of the connection, at the message's time; `from_orig` says that its
    /// originator sent it.
    pub fn message(&mut self, head: &Head, from_orig: bool, message: &DhcpMessage) -> Vec<Dhcp> {
        let mut out = self.sweep(head.ts);
        if !self.open.contains_key(&message.xid) && self.open.len() >= self.limits.open_max {
            let first = self.open.iter().min_by_key(|(_, o)| o.row.moment).map(|(&xid, _)| xid);
            out.extend(first.and_then(|xid| self.open.remove(&xid)).map(done));
        }
        let open = self.open.entry(message.xid).or_insert_with(|| Open { row: empty(head.ts), last: head.ts, chaddr: None });
        take(open, head, from_orig, message);
        if open.row.uids.len() >= self.limits.uids_max || open.row.msg_types.len() >= self.limits.messages_max {
            out.extend(self.open.remove(&message.xid).map(done));
        }
        out
    }

    /// The conversations that are over at this time; looks at most once a second of capture time.
    fn sweep(&mut self, now: Timestamp) -> Vec<Dhcp> {
        if now.since(self.swept) < SECOND_NS {
            return Vec::new();
        }
        self.swept = now;
        let DhcpLimits { silence_ns_max, length_ns_max, .. } = self.limits;
        let over = |o: &Open| now.since(o.last) > silence_ns_max || now.since(o.row.moment.0) > length_ns_max;
        let ended: Vec<u32> = self.open.iter().filter(|(_, o)| over(o)).map(|(&xid, _)| xid).collect();
        sorted(ended.into_iter().filter_map(|xid| self.open.remove(&xid)))
    }

    /// The capture has ended: what is open, in the order of time.
    pub fn finish(self) -> Vec<Dhcp> {
        sorted(self.open.into_values())
    }
}

fn sorted(open: impl Iterator<Item = Open>) -> Vec<Dhcp> {
    let mut rows: Vec<Dhcp> = open.map(done).collect();
    rows.sort_by_key(|row| row.moment);
    rows
}

fn done(open: Open) -> Dhcp {
    let Open { mut row, chaddr, .. } = open;
    row.mac = row.mac.or(chaddr);
    row
}

fn empty(at: Timestamp) -> Dhcp {
    Dhcp {
        moment: Moment(at),
        uids: Vec::new(),
        client_addr: None,
        server_addr: None,
        mac: None,
        host_name: None,
        client_fqdn: None,
        domain: None,
        requested_addr: None,
        assigned_addr: None,
        lease_time: None,
        client_message: None,
        server_message: None,
        msg_types: Vec::new(),
        duration: 0.0,
    }
}

fn take(open: &mut Open, head: &Head, from_orig: bool, message: &DhcpMessage) {
    let row = &mut open.row;
    open.last = head.ts;
    row.duration = interval(head.ts.since(row.moment.0));
    if !row.uids.contains(&head.uid) {
        row.uids.push(head.uid.clone());
    }
    row.msg_types.push(kind_name(message.kind).into_owned());
    let from_client = from_orig && (head.orig.ip.is_unspecified() || head.orig.port == 68 || head.resp.port == 67);
    if from_client {
        let broadcast = IpAddr::from([255, 255, 255, 255]);
        if !head.orig.ip.is_unspecified() && head.orig.ip != broadcast {
            row.client_addr = Some(head.orig.ip);
        }
        set(&mut row.client_message, message.text(56));
        set(&mut row.host_name, message.text(12));
        set(&mut row.client_fqdn, message.client_fqdn());
        set(&mut row.requested_addr, message.address(50).map(IpAddr::from));
        match message.client_id_mac() {
            Some(mac) => row.mac = Some(mac),
            None => open.chaddr = message.chaddr_mac(),
        }
        return;
    }
    set(&mut row.server_message, message.text(56));
    if !message.yiaddr.is_unspecified() {
        row.server_addr = Some(if from_orig { head.orig.ip } else { head.resp.ip });
        row.assigned_addr = Some(message.yiaddr.into());
    }
    row.mac = row.mac.take().or_else(|| message.chaddr_mac());
    row.client_addr = row.client_addr.or(row.assigned_addr);
    set(&mut row.domain, message.text(15));
    set(&mut row.lease_time, message.lease_s().map(f64::from));
}

/// What is told replaces what was told before.
fn set<T>(place: &mut Option<T>, told: Option<T>) {
    if told.is_some() {
        *place = told;
    }
}

#[cfg(test)]
mod tests {
    use super::super::dhcp_message::tests::message;
    use super::*;
    use crate::flow::End;

    fn said(open: &mut DhcpConversations, at_s: u64, from_orig: bool, ends: [(u8, u16); 2], bytes: &[u8]) -> Vec<Dhcp> {
        let end =
            |(last, port): (u8, u16)| End { ip: if last == 0 { [0; 4].into() } else { IpAddr::from([192, 0, 2, last]) }, port };
        let head = Head {
            ts: Timestamp::from_nanos(at_s * SECOND_NS),
            uid: format!("C{}", ends[0].0),
            orig: end(ends[0]),
            resp: end(ends[1]),
        };
        open.message(&head, from_orig, &DhcpMessage::parse(bytes).unwrap())
    }

    #[test]
    fn a_lease_is_one_row() {
        let mut open = DhcpConversations::default();
        let client = [(0, 68), (255, 67)];
        let server = [(1, 67), (255, 68)];
        said(&mut open, 10, true, client, &message(1, 7, 0, &[(53, &[1]), (12, b"ws1"), (50, &[192, 0, 2, 7])]));
        said(&mut open, 11, true, server, &message(2, 7, 7, &[(53, &[2]), (51, &[0, 0, 14, 16]), (15, b"example.com")]));
        said(&mut open, 11, true, client, &message(1, 7, 0, &[(53, &[3])]));
        said(&mut open, 12, true, server, &message(2, 7, 7, &[(53, &[5]), (51, &[0, 0, 14, 16])]));
        let rows = said(&mut open, 30, true, client, &message(1, 8, 0, &[(53, &[1])]));
        assert_eq!(
            serde_json::to_value(&rows).unwrap(),
            serde_json::json!([{
                "ts": 10.0, "ts_ns": 10_000_000_000u64, "uids": ["C0", "C1"], "client_addr": "192.0.2.7", "server_addr": "192.0.2.1",
                "mac": "52:54:00:12:34:56", "host_name": "ws1", "domain": "example.com", "requested_addr": "192.0.2.7",
                "assigned_addr": "192.0.2.7", "lease_time": 3600.0, "msg_types": ["DISCOVER", "OFFER", "REQUEST", "ACK"], "duration": 2.0,
            }])
        );
        assert_eq!(open.finish().len(), 1);
    }

    #[test]
    fn a_server_that_answers_a_renewal() {
        let mut open = DhcpConversations::default();
        let ends = [(7, 68), (1, 67)];
        said(&mut open, 1, true, ends, &message(1, 9, 0, &[(53, &[3])]));
        said(&mut open, 1, false, ends, &message(2, 9, 7, &[(53, &[5])]));
        let row = &open.finish()[0];
        assert_eq!((row.client_addr, row.server_addr), (Some([192, 0, 2, 7].into()), Some([192, 0, 2, 1].into())));
    }

    #[test]
    fn what_is_open_is_bounded_and_not_lost() {
        let mut open = DhcpConversations::new(DhcpLimits { open_max: 3, ..DhcpLimits::default() });
        let mut rows = 0;
        for xid in 0..20 {
            rows += said(&mut open, 1, true, [(0, 68), (255, 67)], &message(1, xid, 0, &[(53, &[1])])).len();
            assert!(open.open.len() <= 3);
        }
        assert_eq!(rows + open.finish().len(), 20);
    }
}
