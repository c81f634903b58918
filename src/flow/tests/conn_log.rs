//! Beside Zeek's own conn.log of traces that the corpus has.

use super::*;
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::Record;
use crate::wire::corpus;
use std::collections::BTreeSet;
use std::path::Path;

/// Columns that differ, and why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[];

fn read(path: &Path) -> Log {
    let mut log = Log { forgetful: true, ..Log::default() };
    let mut flows = Flows::new(Limits::default());
    let mut reader = CaptureReader::open(path).unwrap();
    let mut number = 0;
    while let Some(record) = reader.next().unwrap() {
        if let Record::Packet { interface, packet, .. } = record {
            number += 1;
            let at = PacketRef { time: packet.time, number, source: 0, position: 0 };
            let (data, original_length) = (packet.data.to_vec(), packet.original_length);
            let link_type = reader.interfaces()[interface as usize].link_type;
            flows.packet(&Input { at, link_type, data: &data, original_length }, &mut log);
        }
    }
    flows.end(&mut log);
    log
}

/// Ours as Zeek writes it: orig_h, orig_p, resp_h, resp_p, proto and the rest.
fn row(c: &Connection, s: &Summary) -> BTreeMap<&'static str, String> {
    let timed = s.duration_ns > 0;
    let us = (s.duration_ns + 500) / 1000;
    let or_dash = |yes: bool, text: String| if yes { text } else { "-".into() };
    let proto = match c.protocol {
        6 => "tcp",
        17 => "udp",
        _ => "icmp",
    };
    BTreeMap::from([
        ("id.orig_h", c.client.ip.to_string()),
        ("id.orig_p", c.client.port.to_string()),
        ("id.resp_h", c.server.ip.to_string()),
        ("id.resp_p", c.server.port.to_string()),
        ("proto", proto.into()),
        ("duration", or_dash(timed, format!("{}.{:06}", us / 1_000_000, us % 1_000_000))),
        ("orig_bytes", or_dash(timed, s.client.payload_bytes.to_string())),
        ("resp_bytes", or_dash(timed, s.server.payload_bytes.to_string())),
        ("conn_state", s.state.into()),
        ("missed_bytes", s.missed_bytes.to_string()),
        ("history", or_dash(!s.history.is_empty(), s.history.clone())),
        ("orig_pkts", s.client.packets.to_string()),
        ("orig_ip_bytes", s.client.ip_bytes.to_string()),
        ("resp_pkts", s.server.packets.to_string()),
        ("resp_ip_bytes", s.server.ip_bytes.to_string()),
        ("ip_proto", c.protocol.to_string()),
    ])
}

fn capture(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    folders.sort();
    folders.into_iter().map(|f| f.join(name)).find(|f| f.is_file())
}

#[test]
fn conn_logs_are_zeeks() {
    let Some(folder) = corpus::folder() else { return };
    let (mut equal, mut unequal, mut used) = (0, Vec::new(), BTreeSet::new());
    let mut logs: Vec<_> = std::fs::read_dir(folder.join("zeek")).unwrap().map(|e| e.unwrap().path()).collect();
    logs.sort();
    for dir in logs {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let mut rows: Vec<_> = Vec::new();
        for log in std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()) {
            if !log.to_string_lossy().ends_with("--conn.log") {
                continue;
            }
            let text = std::fs::read_to_string(&log).unwrap();
            let fields: Vec<&str> = text.lines().find_map(|l| l.strip_prefix("#fields\t")).unwrap().split('\t').collect();
            for line in text.lines().filter(|l| !l.starts_with('#')) {
                rows.push(
                    fields.iter().map(|f| (*f).to_owned()).zip(line.split('\t').map(str::to_owned)).collect::<BTreeMap<_, _>>(),
                );
            }
        }
        if rows.is_empty() {
            continue;
        }
        let ours = read(&capture(&folder, &name).unwrap());
        let mut left: Vec<_> = ours.closed.iter().map(|(c, s)| row(c, s)).collect();
        let all = left.clone();
        for theirs in rows {
            let ends = ["id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"];
            let same = |r: &BTreeMap<&'static str, String>| ends.iter().all(|e| r[e] == theirs[*e]);
            let fits = |r: &BTreeMap<&'static str, String>| r.iter().filter(|(k, v)| theirs[**k] == **v).count();
            let Some(mine) =
                left.iter().filter(|r| same(r)).max_by_key(|r| fits(r)).or_else(|| all.iter().find(|r| same(r))).cloned()
            else {
                unequal.push(format!("{name}: no {theirs:?}"));
                continue;
            };
            left.retain(|r| *r != mine);
            for (column, value) in &mine {
                let want = &theirs[*column];
                if value == want {
                    equal += 1;
                } else if let Some(known) = DIFFERENCES.iter().position(|d| d.0 == name && d.1 == *column && d.2 == want) {
                    used.insert(known);
                } else {
                    unequal
                        .push(format!("{name}: {}:{} {column}: Zeek {want}, here {value}", mine["id.orig_h"], mine["id.orig_p"]));
                }
            }
        }
        for mine in left {
            unequal.push(format!("{name}: only here {mine:?}"));
        }
    }
    let text = format!("conn.log: {equal} columns equal, {} explained, {} not\n", used.len(), unequal.len());
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    assert!(unequal.is_empty(), "{}", unequal.join("\n"));
    assert_eq!(used.len(), DIFFERENCES.len());
}

/// TCP conversations that tshark sees and we do not, and why.
const TCP_DIFFERENCES: &[(&str, &str)] = &[
    ("link-ppp-fragments.pcap", "PPP without address and control, which libpcap takes to be there always"),
    ("tunnel-gre-erspan-vxlan.pcap", "VXLAN-GPE on port 4790"),
];

/// Packets and ends of every TCP conversation, against tshark's. (Of UDP, the oracle counts the headers quoted by ICMP errors, too.)
#[test]
fn conversations_are_tsharks() {
    let Some(folder) = corpus::folder() else { return };
    let (mut captures, mut conversations, mut unequal) = (0, 0, Vec::new());
    let mut oracles: Vec<_> = std::fs::read_dir(folder.join("oracle")).unwrap().map(|e| e.unwrap().path()).collect();
    oracles.sort();
    for path in oracles {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(file) = capture(&folder, &name) else { continue };
        let oracle: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let Some(flows) = oracle["flows"].as_array().filter(|f| oracle["flow_count"] == f.len()) else { continue };
        if CaptureReader::open(&file).is_err() {
            continue;
        }
        captures += 1;
        let mut theirs: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for f in flows.iter().filter(|f| f["proto"] == "tcp") {
            let text = |k: &str| f[k].as_str().unwrap_or_default().to_owned();
            let (proto, a, b) = (text("proto"), text("a"), text("b"));
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            *theirs.entry((proto, a, b)).or_default() +=
                f["packets_a_to_b"].as_u64().unwrap_or(0) + f["packets_b_to_a"].as_u64().unwrap_or(0);
        }
        let mut ours: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for (c, s) in read(&file).closed.iter().filter(|(c, _)| c.protocol == 6) {
            let text = |e: super::super::End| format!("{}:{}", e.ip, e.port);
            let (a, b) = (text(c.client), text(c.server));
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            *ours.entry(("tcp".into(), a, b)).or_default() += s.client.packets + s.server.packets;
        }
        conversations += theirs.len();
        for (k, n) in &theirs {
            if ours.get(k) != Some(n) && !TCP_DIFFERENCES.iter().any(|d| d.0 == name) {
                unequal.push(format!("{name}: {k:?}: tshark {n}, here {:?}", ours.get(k)));
            }
        }
    }
    let text = format!("{captures} captures, {conversations} conversations, {} differ\n{}\n", unequal.len(), unequal.join("\n"));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    assert!(unequal.is_empty());
}
