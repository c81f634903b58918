//! Rows beside Zeek's own logs, and what tshark reads, on the captures of the corpus.

use super::corpus::{Segment, captures, folder, oracle, segments, streams};
use super::dhcp_message::DhcpMessage;
use super::dns_message::{Data, DnsMessage};
use super::dns_pairing::{DnsConversation, DnsLimits};
use super::head::Head;
use super::kerberos_pairing;
use crate::flow::Way;
use crate::identity::kerberos::KerberosMessage;
use crate::identity::kerberos_stream::KerberosStream;
use crate::identity::logon::Logon;
use crate::identity::ntlm::{NtlmBody, NtlmMessage, SIGNATURE};
use crate::identity::tickets::Tickets;
use crate::time::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TOPICS: [&str; 6] = ["auth", "smb", "lateral", "job", "smb3", "transport"];

/// The rows of one of Zeek's logs: column to text; unset columns left out.
fn zeek_log(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let fields: Vec<&str> = text.lines().find_map(|l| l.strip_prefix("#fields\t")).unwrap().split('\t').collect();
    let rows = text.lines().filter(|l| !l.starts_with('#'));
    rows.map(|l| {
        let columns = fields.iter().zip(l.split('\t')).filter(|(_, v)| *v != "-");
        columns.map(|(&f, v)| (f.to_owned(), v.to_owned())).collect()
    })
    .collect()
}

/// A value of ours as Zeek's log writes it.
fn as_zeek(value: &Value) -> String {
    match value {
        Value::Bool(b) => if *b { "T" } else { "F" }.to_owned(),
        Value::Number(n) if n.is_f64() => format!("{:.6}", n.as_f64().unwrap()),
        Value::Array(all) => all.iter().map(as_zeek).collect::<Vec<_>>().join(","),
        Value::String(s) => s.replace('\\', "\\\\"),
        other => other.to_string(),
    }
}

/// Every column that both have, but for uids and times that Zeek's tests blank.
fn compare(ours: &[Value], zeeks: &[BTreeMap<String, String>]) {
    assert_eq!(ours.len(), zeeks.len(), "rows");
    for (our, zeek) in ours.iter().zip(zeeks) {
        for (column, theirs) in zeek.iter().filter(|(c, _)| !matches!(c.as_str(), "ts" | "uid" | "fuid")) {
            assert_eq!(&as_zeek(&our[column]), theirs, "{column}");
        }
        for (column, value) in our.as_object().unwrap() {
            let own = matches!(column.as_str(), "ts" | "ts_ns" | "uid" | "account" | "auth_ticket_sha256" | "new_ticket_sha256");
            assert!(own || zeek.contains_key(column), "{column} is {value}, and unset in Zeek");
        }
    }
}

#[test]
fn dns_as_zeek() {
    let Some(corpus) = folder() else { return };
    let capture = "ipv6-fragments-dns.pcap";
    let mut conversations: BTreeMap<u16, DnsConversation> = BTreeMap::new();
    let mut rows = Vec::new();
    for s in segments(&corpus.join("transport").join(capture)) {
        let answer = s.src.port == 53;
        let (orig, resp) = if answer { (s.dst, s.src) } else { (s.src, s.dst) };
        let conversation = conversations.entry(orig.port).or_insert_with(|| {
            DnsConversation::new(Head { ts: s.at, uid: String::new(), orig, resp }, "udp", DnsLimits::default())
        });
        rows.extend(conversation.message(s.at, &DnsMessage::parse(&s.payload).unwrap()));
    }
    rows.extend(conversations.into_values().flat_map(DnsConversation::finish));
    let rows: Vec<Value> = rows.iter().map(|r| serde_json::to_value(r).unwrap()).collect();
    compare(&rows, &zeek_log(&corpus.join("zeek").join(capture).join("ipv6-frag--dns.log")));
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}

#[test]
fn kerberos_as_zeek() {
    let Some(corpus) = folder() else { return };
    let capture = "krb-smb1-gssapi.pcap";
    let all = segments(&corpus.join("auth").join(capture));
    let first: &Segment = all.iter().find(|s| s.dst.port == 445 && !s.payload.is_empty()).unwrap();
    let head = Head { ts: first.at, uid: String::new(), orig: first.src, resp: first.dst };
    let mut logon = Logon::default();
    for (_, dst, pieces) in streams(&all) {
        for bytes in pieces {
            // The object identifier of SPNEGO ends the token's head of 4 bytes; an answer's begins before its negState.
            let (way, start) = if dst.port == 445 {
                (Way::ToServer, find(&bytes, &[6, 6, 0x2b, 6, 1, 5, 5, 2]).map(|at| at - 4))
            } else {
                (Way::ToClient, find(&bytes, &[0xa0, 3, 0x0a, 1]).map(|at| at - 8))
            };
            if let Some(start) = start {
                logon.token(way, &bytes[start..], None, &Tickets::default());
            }
        }
    }
    let row = kerberos_pairing::of_logon(head, &logon).unwrap();
    compare(
        &[serde_json::to_value(row).unwrap()],
        &zeek_log(&corpus.join("zeek").join(capture).join("smb_gssapi--kerberos.log")),
    );
}

/// Messages to and from port 88 by type, with the clients they name, beside what tshark counts.
#[test]
fn kerberos_as_tshark() {
    let Some(corpus) = folder() else { return };
    let mut compared = 0;
    for capture in captures(&corpus, &TOPICS) {
        let told = oracle(&corpus, &capture);
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for entry in told["kerberos"].as_array().into_iter().flatten().filter(|e| e["carrier"] == "kdc") {
            *wanted.entry(entry["msg_types"][0].as_str().unwrap_or("?").to_owned()).or_default() +=
                entry["frames"].as_u64().unwrap();
            let parts: Vec<&str> = entry["cname"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            names.extend((!parts.is_empty()).then(|| parts.join("/")));
        }
        if wanted.is_empty() {
            continue;
        }
        let (mut counted, mut clients) = (BTreeMap::<String, u64>::new(), BTreeSet::new());
        let mut take = |bytes: &[u8]| {
            let Some(message) = KerberosMessage::parse(bytes) else { return };
            assert_eq!(message.anomaly, None, "{capture:?}");
            *counted.entry(message.kind.number().to_string()).or_default() += 1;
            clients.extend(message.cname.map(|c| c.to_string()));
        };
        let all = segments(&capture);
        for s in all.iter().filter(|s| !s.tcp && (s.src.port == 88 || s.dst.port == 88)) {
            take(&s.payload);
        }
        for (_, _, pieces) in streams(&all).iter().filter(|(src, dst, _)| src.port == 88 || dst.port == 88) {
            let mut stream = KerberosStream::default();
            for bytes in pieces {
                stream.lost();
                for chunk in bytes.chunks(11) {
                    stream.push(chunk, &mut take);
                }
            }
        }
        eprintln!("{}: {counted:?} {clients:?}", capture.display());
        assert_eq!((counted, clients), (wanted, names), "{}", capture.display());
        compared += 1;
    }
    assert!(compared > 5, "{compared}");
}

/// Accounts and servers of every NTLMSSP message that lies whole in a stream, beside tshark's. HTTP carries them in base64, and captures in gzip
/// are not opened here.
#[test]
fn ntlm_as_tshark() {
    let Some(corpus) = folder() else { return };
    let mut compared = 0;
    for capture in captures(&corpus, &TOPICS) {
        let told = oracle(&corpus, &capture);
        let text = |v: &Value| v.as_str().unwrap_or_default().replace("NULL", "");
        let entries = || told["ntlm"].as_array().into_iter().flatten().filter(|e| e["carrier"] != "http");
        let wanted: BTreeSet<_> = entries().map(|e| (text(&e["user"]), text(&e["domain"]), text(&e["host"]))).collect();
        let servers: BTreeSet<_> = entries().map(|e| text(&e["server_nb_name"])).filter(|n| !n.is_empty()).collect();
        if wanted.is_empty() || capture.extension().is_some_and(|e| e == "gz") {
            continue;
        }
        let (mut ours, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (_, _, pieces) in streams(&segments(&capture)) {
            for bytes in pieces {
                let mut at = 0;
                while let Some(next) = bytes.get(at..).and_then(|rest| find(rest, SIGNATURE)) {
                    at += next;
                    match NtlmMessage::parse(&bytes[at..]).unwrap().body {
                        NtlmBody::Authenticate(said) => {
                            ours.insert((said.user, said.domain, said.workstation));
                        }
                        NtlmBody::Challenge(said) => names.extend(said.target_info.and_then(|i| i.nb_computer_name)),
                        _ => {}
                    }
                    at += SIGNATURE.len();
                }
            }
        }
        let missing: Vec<_> = wanted.difference(&ours).collect();
        let unnamed: Vec<_> = servers.difference(&names).collect();
        assert!(missing.is_empty() && unnamed.is_empty(), "{}: {missing:?} {unnamed:?} of {ours:?} {names:?}", capture.display());
        compared += wanted.len();
    }
    assert!(compared > 60, "{compared}");
}

/// Every DNS message over UDP to or from port 53 that both read: id, direction, name, answer code, addresses.
#[test]
fn dns_as_tshark() {
    let Some(corpus) = folder() else { return };
    let fields = ["dns.id", "dns.flags.response", "dns.qry.name", "dns.flags.rcode", "dns.a", "dns.aaaa"];
    let mut compared = 0;
    for capture in captures(&corpus, &TOPICS) {
        let all = segments(&capture);
        let mut ours: Vec<String> = Vec::new();
        for s in all.iter().filter(|s| !s.tcp && (s.src.port == 53 || s.dst.port == 53)) {
            let Some(m) = DnsMessage::parse(&s.payload) else { continue };
            let addresses = |v4: bool| {
                let all = m.records.iter().filter_map(|r| match &r.data {
                    Data::V4(ip) if v4 => Some(ip.to_string()),
                    Data::V6(ip) if !v4 && r.rtype == 28 => Some(ip.to_string()),
                    _ => None,
                });
                all.collect::<Vec<_>>().join(",")
            };
            let name = m.questions.first().map_or("", |q| if q.name.is_empty() { "<Root>" } else { &q.name });
            let rcode = if m.answer { m.rcode.to_string() } else { String::new() };
            let answer = if m.answer { "1" } else { "0" };
            ours.push(format!("0x{:04x}|{answer}|{name}|{rcode}|{}|{}", m.id, addresses(true), addresses(false)));
        }
        if ours.is_empty() || ours.len() > 2000 {
            continue;
        }
        let mut tshark = std::process::Command::new("tshark");
        tshark.arg("-n").arg("-r").arg(&capture).args([
            "-Y",
            "dns && udp.port == 53 && !icmp && !icmpv6",
            "-T",
            "fields",
            "-E",
            "separator=|",
        ]);
        tshark.args(fields.iter().flat_map(|f| ["-e", f]));
        let Ok(said) = tshark.output() else {
            eprintln!("skipped: no tshark");
            return;
        };
        let mut theirs: Vec<String> = String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect();
        compared += ours.len();
        ours.sort();
        theirs.iter_mut().for_each(|line| *line = line.replace("|True|", "|1|").replace("|False|", "|0|"));
        theirs.sort();
        assert_eq!(ours, theirs, "{}", capture.display());
    }
    assert!(compared > 100, "{compared}");
}

/// DHCP messages beside tshark: transaction, type, name, addresses.
#[test]
fn dhcp_as_tshark() {
    let Some(corpus) = folder() else { return };
    let capture = corpus.join("smb3").join("smb-on-windows-10.pcapng");
    let mut ours: Vec<String> = Vec::new();
    for s in segments(&capture).iter().filter(|s| !s.tcp) {
        let Some(m) = DhcpMessage::parse(&s.payload) else { continue };
        assert_eq!(m.anomaly, None);
        let (name, asked) = (m.text(12).unwrap_or_default(), m.address(50).map(|a| a.to_string()).unwrap_or_default());
        let lease = m.lease_s().map(|l| l.to_string()).unwrap_or_default();
        ours.push(format!(
            "0x{:08x}|{}|{name}|{asked}|{}|{lease}|{}",
            m.xid,
            m.kind,
            m.yiaddr,
            m.chaddr_mac().unwrap_or_default()
        ));
    }
    let fields = [
        "id",
        "option.dhcp",
        "option.hostname",
        "option.requested_ip_address",
        "ip.your",
        "option.ip_address_lease_time",
        "hw.mac_addr",
    ];
    let mut tshark = std::process::Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(&capture).args(["-Y", "dhcp", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f"]);
    tshark.args(fields.iter().flat_map(|f| ["-e".to_owned(), format!("dhcp.{f}")]));
    let Ok(said) = tshark.output() else {
        eprintln!("skipped: no tshark");
        return;
    };
    let theirs: Vec<String> = String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(ours.len() == 12 && ours == theirs, "{ours:#?} {theirs:#?}");
}

/// AP-REQs, found by their content in any stream, and the clients that the same capture's TGS-REPs name for their tickets.
#[test]
fn ap_reqs_find_their_clients() {
    let Some(corpus) = folder() else { return };
    let (mut shown, mut found) = (0, BTreeSet::new());
    for capture in captures(&corpus, &["auth", "lateral", "job"]) {
        let all = segments(&capture);
        let mut tickets = Tickets::default();
        let mut learn = |bytes: &[u8]| KerberosMessage::parse(bytes).iter().for_each(|m| tickets.learn(m, Timestamp::ZERO));
        for s in all.iter().filter(|s| !s.tcp && s.src.port == 88) {
            learn(&s.payload);
        }
        let streams = streams(&all);
        for (_, _, pieces) in streams.iter().filter(|(src, _, _)| src.port == 88) {
            let mut stream = KerberosStream::default();
            pieces.iter().for_each(|bytes| stream.push(bytes, &mut learn));
        }
        for (_, _, pieces) in streams.iter().filter(|(_, dst, _)| dst.port != 88) {
            for bytes in pieces {
                let places = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&[0x6e, 0x82]));
                for message in places.filter_map(|at| KerberosMessage::parse(&bytes[at..])) {
                    let Some(ticket) = message.ticket.filter(|_| message.anomaly.is_none()) else { continue };
                    shown += 1;
                    found.extend(tickets.holder(&ticket.hash()).map(|h| (ticket.sname.to_string(), h.client.clone())));
                }
            }
        }
    }
    eprintln!("{shown} shown; {found:?}");
    assert!(found.contains(&("cifs/vpc-w2k3ent.denyDC.com".to_owned(), "Administrator".to_owned())));
}
