//! Questions and answers of one connection, joined into `dns` rows by their id as Zeek joins them (base/protocols/dns/main.zeek).

use super::dns::Dns;
use super::dns_message::{DnsMessage, answer_text, netbios_name};
use super::dns_words;
use super::head::{Head, between};
use crate::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// What may wait for its other half.
#[derive(Clone, Copy, Debug)]
pub struct DnsLimits {
    /// Ids that wait, of questions and of answers each; at more all are given out unpaired. Default 50, as in Zeek.
    pub ids_max: usize,
    /// Messages of one id that wait; at more they are given out unpaired. Default 50, as in Zeek.
    pub messages_max: usize,
    /// Answers of one row; more are left out. Default 1,024: a zone transfer's message has some hundred.
    pub answers_max: usize,
}

impl Default for DnsLimits {
    fn default() -> Self {
        DnsLimits { ids_max: 50, messages_max: 50, answers_max: 1024 }
    }
}

/// Port of the NetBIOS name service.
const NETBIOS_PORT: u16 = 137;

type Waiting = BTreeMap<u16, VecDeque<Dns>>;

/// One connection.
#[derive(Debug)]
pub struct DnsConversation {
    head: Head,
    proto: &'static str,
    limits: DnsLimits,
    questions: Waiting,
    answers: Waiting,
}

impl DnsConversation {
    /// A connection on which nothing was said. `proto` is `udp` or `tcp`.
    pub fn new(head: Head, proto: &'static str, limits: DnsLimits) -> Self {
        DnsConversation { head, proto, limits, questions: Waiting::new(), answers: Waiting::new() }
    }

    /// Takes the next message, and gives the rows that are done: usually the one that it completes.
    pub fn message(&mut self, at: Timestamp, message: &DnsMessage) -> Vec<Dns> {
        let (mine, others) =
            if message.answer { (&mut self.answers, &mut self.questions) } else { (&mut self.questions, &mut self.answers) };
        let waiting = others.get_mut(&message.id).and_then(VecDeque::pop_front);
        if others.get(&message.id).is_some_and(VecDeque::is_empty) {
            others.remove(&message.id);
        }
        let done = waiting.is_some();
        let mut row = waiting.unwrap_or_else(|| empty(self.head.at(at), self.proto, message));
        if message.answer {
            answer(&mut row, at, message, &self.limits);
        } else {
            question(&mut row, message);
        }
        if done {
            return vec![row];
        }
        let mut out = Vec::new();
        if !mine.contains_key(&message.id) && mine.len() >= self.limits.ids_max {
            out.extend(std::mem::take(mine).into_values().flatten());
        }
        let queue = mine.entry(message.id).or_default();
        if queue.len() >= self.limits.messages_max {
            out.extend(queue.drain(..));
        }
        queue.push_back(row);
        out
    }

    /// The connection has ended: what is left, unpaired, in the order of time.
    pub fn finish(self) -> Vec<Dns> {
        let mut rows: Vec<Dns> = self.questions.into_values().chain(self.answers.into_values()).flatten().collect();
        rows.sort_by_key(|row| row.head.ts);
        rows
    }
}

fn empty(head: Head, proto: &'static str, message: &DnsMessage) -> Dns {
    let netbios = head.resp.port == NETBIOS_PORT;
    let opcode_name = if netbios { dns_words::netbios_opcode(message.opcode) } else { dns_words::opcode(message.opcode) };
    Dns {
        head,
        proto,
        trans_id: Some(message.id),
        rtt: None,
        query: None,
        qclass: None,
        qclass_name: None,
        qtype: None,
        qtype_name: None,
        rcode: None,
        rcode_name: None,
        aa: false,
        tc: false,
        rd: false,
        ra: false,
        z: 0,
        answers: Vec::new(),
        ttls: Vec::new(),
        rejected: false,
        opcode: message.opcode,
        opcode_name: opcode_name.into_owned(),
    }
}

/// Name, class and type that are asked for: of the last question, as in Zeek.
fn asked(row: &mut Dns, message: &DnsMessage) {
    let Some(question) = message.questions.last() else { return };
    let netbios = row.head.resp.port == NETBIOS_PORT;
    row.qclass = Some(question.qclass);
    row.qclass_name = Some(dns_words::class(question.qclass).into_owned());
    row.qtype = Some(question.qtype);
    row.qtype_name = Some(match (netbios, question.qtype) {
        (true, 32) => "NB".to_owned(),
        (true, 33) => "NBSTAT".to_owned(),
        (_, other) => dns_words::query_type(other).into_owned(),
    });
    row.query = Some(if netbios { netbios_name(&question.name) } else { question.name.to_ascii_lowercase() });
}

fn question(row: &mut Dns, message: &DnsMessage) {
    asked(row, message);
    row.rd = message.recursion_desired;
    row.tc = message.truncated;
    row.z = message.z;
}

fn answer(row: &mut Dns, at: Timestamp, message: &DnsMessage, limits: &DnsLimits) {
    row.rcode = Some(message.rcode);
    row.rcode_name = Some(dns_words::response_code(message.rcode).into_owned());
    if row.query.is_none() {
        asked(row, message);
    }
    let [questions, answers, authority, additional] = message.counts;
    let nothing = answers == 0 && authority == 0 && additional == 0;
    row.rejected = if questions == 0 { message.rcode != 0 } else { nothing };
    let port = row.head.resp.port;
    for record in message.answers() {
        let Some(text) = answer_text(record, port) else { continue };
        if row.query.is_none() {
            row.query = Some(record.name.to_ascii_lowercase());
        }
        row.aa = message.authoritative;
        row.ra = message.recursion_available;
        row.rtt = row.rtt.or_else(|| between(row.head.ts, at));
        if !text.is_empty() && row.answers.len() < limits.answers_max {
            row.answers.push(text);
            row.ttls.push(f64::from(record.ttl));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dns_message::tests::{ask, reply};
    use super::super::head::tests::head;
    use super::*;

    fn told(conversation: &mut DnsConversation, at_us: u64, bytes: &[u8]) -> Vec<Dns> {
        conversation.message(Timestamp::from_nanos(at_us * 1000), &DnsMessage::parse(bytes).unwrap())
    }

    #[test]
    fn a_pair_is_one_row() {
        let mut conversation = DnsConversation::new(head(0, 53), "udp", DnsLimits::default());
        assert!(told(&mut conversation, 1_000_000, &ask(9, "FS1.example.com", 1)).is_empty());
        let rows = told(&mut conversation, 1_079_300, &reply(9, "FS1.example.com", 1, 0, &[(1, vec![192, 0, 2, 9])]));
        assert_eq!(
            serde_json::to_value(&rows).unwrap(),
            serde_json::json!([{
                "ts": 1.0, "ts_ns": 1_000_000_000, "uid": "C1", "id.orig_h": "192.0.2.1", "id.orig_p": 50000, "id.resp_h": "192.0.2.2",
                "id.resp_p": 53, "proto": "udp", "trans_id": 9, "rtt": 0.0793, "query": "fs1.example.com", "qclass": 1,
                "qclass_name": "C_INTERNET", "qtype": 1, "qtype_name": "A", "rcode": 0, "rcode_name": "NOERROR", "AA": true, "TC": false,
                "RD": true, "RA": true, "Z": 0, "answers": ["192.0.2.9"], "TTLs": [60.0], "rejected": false, "opcode": 0,
                "opcode_name": "query",
            }])
        );
        assert!(conversation.finish().is_empty());
    }

    #[test]
    fn unanswered_and_unasked_are_told_in_the_end() {
        let mut conversation = DnsConversation::new(head(0, 53), "udp", DnsLimits::default());
        told(&mut conversation, 20, &reply(2, "b", 1, 3, &[]));
        told(&mut conversation, 10, &ask(1, "a", 1));
        let rows = conversation.finish();
        assert_eq!(rows.iter().map(|r| r.query.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((rows[0].rcode, rows[1].rcode_name.as_deref(), rows[1].rejected), (None, Some("NXDOMAIN"), true));
    }

    #[test]
    fn an_answer_before_its_question() {
        let mut conversation = DnsConversation::new(head(0, 53), "udp", DnsLimits::default());
        told(&mut conversation, 20, &reply(2, "b", 1, 0, &[(1, vec![1, 1, 1, 1])]));
        let rows = told(&mut conversation, 21, &ask(2, "b", 1));
        assert_eq!((rows.len(), rows[0].rtt, rows[0].rd), (1, None, true));
    }

    #[test]
    fn what_waits_is_bounded_and_not_lost() {
        let limits = DnsLimits { ids_max: 3, messages_max: 2, answers_max: 1 };
        let mut conversation = DnsConversation::new(head(0, 53), "udp", limits);
        let mut out = 0;
        for id in 0..10 {
            for _ in 0..5 {
                out += told(&mut conversation, 1, &ask(id, "x", 1)).len();
                assert!(conversation.questions.len() <= 3 && conversation.questions.values().all(|q| q.len() <= 2));
            }
        }
        assert_eq!(out + conversation.finish().len(), 50);
    }

    #[test]
    fn netbios_names_are_decoded() {
        let mut conversation = DnsConversation::new(head(0, 137), "udp", DnsLimits::default());
        told(&mut conversation, 1, &ask(1, "EMEPEDEBEMCACACACACACACACACACAAA", 32));
        let rows = conversation.finish();
        assert_eq!(
            (rows[0].query.as_deref(), rows[0].qtype_name.as_deref(), rows[0].opcode_name.as_str()),
            (Some("LOCAL"), Some("NB"), "netbios-query")
        );
    }
}
