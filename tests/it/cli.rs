//! The command line as scripts see it: exit statuses, one clear line for a wrong request, coverage, where output goes.

use crate::make::{Made, Order, PcapNg, SECOND, START, arp, numbered, pcap, pcapng, traffic};
use crate::plain;
use crate::scan::{Selection, community_id, difference, headers, scan, sorted};
use crate::support::{
    Data, FAILED, NONE_MATCHED, NOT_WHOLE, WHOLE, WRONG_REQUEST, gather, has_tool, run, run_with, seconds, skip, taploop,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Ten packets, a second apart, of which the even ones are of 10.0.0.1.
fn ten() -> Vec<Made> {
    (0..10)
        .map(|n| {
            let src = if n % 2 == 0 { "10.0.0.1" } else { "10.0.0.3" };
            Made::new(START + n * SECOND, numbered(src, "10.0.0.2", n, 40))
        })
        .collect()
}

fn ten_held() -> Data {
    let data = Data::new();
    data.take("ten.pcapng", &pcapng("eth0", &ten()));
    data
}

#[track_caller]
fn refused(data: &Data, words: &[&str], hints: &[&str]) {
    let mut all = words.to_vec();
    all.extend(["-w", "-"]);
    let out = data.run(&["cut"], &all);
    assert_eq!(out.status, WRONG_REQUEST, "{words:?}: {}", out.stderr);
    assert!(out.stdout.is_empty(), "{words:?} wrote something");
    let line = out.one_line();
    for hint in hints {
        assert!(line.to_lowercase().contains(&hint.to_lowercase()), "{words:?}: no {hint:?} in {line:?}");
    }
}

#[test]
fn wrong_requests_get_one_clear_line() {
    let data = ten_held();
    data.take("other.pcapng", &pcapng("wlan7", &ten()));
    refused(&data, &["--interface", "eth9"], &["eth9", "eth0", "wlan7"]);
    refused(&data, &["--from", "2018-06-21T10:42:00"], &["zone", "2018-06-21T10:42:00"]);
    refused(&data, &["--to", "2018-06-21 10:42"], &["2018-06-21 10:42"]);
    refused(&data, &["--from", "yesterday-ish"], &["yesterday-ish"]);
    refused(&data, &["--from", "200", "--to", "100"], &["from"]);
    refused(&data, &["--from", "200", "--to", "200"], &["from"]);
    refused(&data, &["--filter", "tcp port"], &["syntax error"]);
    refused(&data, &["--filter", "ip host and and"], &["syntax error"]);
    refused(&data, &["--ip", "10.0.0.256"], &["10.0.0.256"]);
    refused(&data, &["--ip", "10.0.0.0/33"], &["10.0.0.0/33"]);
    refused(&data, &["--ip", "2001:db8::/129"], &["2001:db8::/129"]);
    refused(&data, &["--peer", "host.example"], &["host.example"]);
    refused(&data, &["--port", "65536"], &["65536"]);
    refused(&data, &["--proto", "carrier-pigeon"], &["carrier-pigeon"]);
    refused(&data, &["--proto", "256"], &["256"]);
    refused(&data, &["--vlan", "4096"], &["4096"]);
    refused(&data, &["--community-id", "not-one"], &["not-one"]);
    refused(&data, &["--around", "now", "--window", "5parsecs"], &["5parsecs"]);
}

#[test]
fn a_filter_never_looks_up_a_name() {
    let data = ten_held();
    for filter in ["host www.example.com", "tcp and src host www.example.com", "net somewhere.example"] {
        refused(&data, &["--filter", filter], &["example"]);
    }
    // Bounded: it is refused, and soon.
    let long = format!("tcp{}", " or udp port 5".repeat(200_000 / 14));
    let out = data.run(&["cut"], &["--filter", &long[..100_000.min(long.len())], "-w", "-"]);
    assert_eq!(out.status, WRONG_REQUEST);
    assert!(out.one_line().len() < 2_000, "the line does not repeat the whole filter");
}

#[test]
fn a_folder_that_is_no_data_folder() {
    let data = Data::new();
    let elsewhere = data.outside().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("notes.txt"), "x").unwrap();
    for dir in [elsewhere.as_path(), &data.outside().join("missing"), &elsewhere.join("notes.txt")] {
        for command in [&["cut"][..], &["rings"], &["flows"], &["ring", "check"]] {
            let mut c = taploop();
            c.args(command).arg("--data").arg(dir).stdin(Stdio::null());
            let out = run_with(c, &[]).expect(WRONG_REQUEST);
            assert!(out.one_line().contains(dir.to_str().unwrap()), "{}", out.stderr);
        }
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1, "nothing is made by asking");
}

#[test]
fn nothing_matched() {
    let data = ten_held();
    for words in [&["--ip", "203.0.113.5"][..], &["--port", "9"], &["--filter", "icmp"], &["--vlan", "9"], &["--proto", "sctp"]] {
        let cut = data.cut(words).expect(NONE_MATCHED);
        assert_eq!(cut.file.packets.len(), 0);
        assert!(!cut.stderr.trim().is_empty(), "the reason is told");
        crate::support::tools_accept(&data.file("empty.pcapng", &cut.bytes), true);
        let mut classic = words.to_vec();
        classic.extend(["--format", "pcap"]);
        assert_eq!(data.cut(&classic).expect(NONE_MATCHED).file.magic, [0x4d, 0x3c, 0xb2, 0xa1]);
    }
}

#[test]
fn incomplete_answers_give_typed_reasons() {
    let data = ten_held();
    let at = |s: i64| seconds(START.saturating_add_signed(s * SECOND as i64));
    let early = data.cut(&["--from", &at(-60), "--to", &at(5)]).expect(NOT_WHOLE);
    assert_eq!((early.file.packets.len(), early.reasons()), (5, vec!["before_ring".to_owned()]));
    let late = data.cut(&["--from", &at(5), "--to", &at(60)]).expect(NOT_WHOLE);
    assert_eq!((late.file.packets.len(), late.reasons()), (5, vec!["after_ring".to_owned()]));
    let inside = data.cut(&["--from", &at(2), "--to", &at(5)]).expect(WHOLE);
    assert_eq!((inside.file.packets.len(), inside.reasons().len()), (3, 0));

    let limited = data.cut(&["--limit-packets", "4"]).expect(NOT_WHOLE);
    assert_eq!((limited.file.packets.len(), limited.reasons()), (4, vec!["limit_reached".to_owned()]));
    data.cut(&["--limit-packets", "11"]).expect(WHOLE);
    let limited = data.cut(&["--limit-bytes", "300"]).expect(NOT_WHOLE);
    assert!((1..10).contains(&limited.file.packets.len()));
    assert_eq!(limited.reasons(), ["limit_reached"]);
    let limited = data.cut(&["--limit-packets", "2", "--ip", "10.0.0.3"]).expect(NOT_WHOLE);
    assert_eq!(limited.file.packets.len(), 2);

    // Two imports of one interface with a day between them: nothing was captured there.
    let data = ten_held();
    let later: Vec<_> = ten().into_iter().map(|p| Made { time: p.time + 86_400 * SECOND, ..p }).collect();
    data.take("later.pcapng", &pcapng("eth0", &later));
    let cut = data.cut(&["--from", &at(5), "--to", &at(86_400 + 5)]).expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (10, vec!["not_captured".to_owned()]));
}

#[test]
fn a_filter_that_one_link_type_cannot_have() {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    f.interface(253, Some(b"nl0"));
    for (i, p) in ten().iter().enumerate() {
        f.packet(i as u32 % 2, p);
    }
    let data = Data::new();
    data.take("mixed.pcapng", &f.bytes);
    let cut = data.cut(&["--filter", "ether proto 0x0800"]).expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (5, vec!["filtered".to_owned()]));
    data.cut(&["--interface", "eth0", "--filter", "ether proto 0x0800"]).expect(WHOLE);
    refused(&data, &["--interface", "nl0", "--filter", "ether proto 0x0800"], &["netlink"]);
    // Whatever is in the window, the ring is one that the filter can be used on.
    let later = seconds(START + 3_600 * SECOND);
    data.cut(&["--interface", "eth0", "--from", &later, "--filter", "ether proto 0x0800"]).expect(NONE_MATCHED);
    let odd = ["--from", &seconds(START + SECOND), "--to", &seconds(START + 2 * SECOND), "--filter", "ether proto 0x0800"];
    assert_eq!(data.cut(&odd).expect(NONE_MATCHED).reasons(), ["filtered"]);
    refused(&data, &["--interface", "nl0", "--from", &later, "--filter", "ether proto 0x0800"], &["netlink"]);
}

#[test]
fn a_filter_that_can_never_match() {
    // libpcap refuses it, and so does `tcpdump -r`.
    refused(&ten_held(), &["--filter", "ip and ip6"], &["rejects all packets"]);
    let empty = Data::new();
    empty.take("empty.pcap", &pcap(&[]));
    refused(&empty, &["--filter", "ip and ip6"], &["rejects all packets"]);
    empty.cut(&["--filter", "ip6"]).expect(NONE_MATCHED);
    // Without segments it is held against Ethernet.
    refused(&empty, &["--filter", "wlan type mgt"], &["802.11"]);
}

#[test]
fn times_in_every_form_mean_the_same() {
    let data = ten_held();
    let want = data.cut(&["--from", &seconds(START + 2 * SECOND), "--to", &seconds(START + 5 * SECOND)]).expect(WHOLE);
    assert_eq!(want.file.packets.len(), 3);
    for words in [
        ["--from", "2018-06-21T10:42:02Z", "--to", "2018-06-21T10:42:05Z"],
        ["--from", "2018-06-21T12:42:02+02:00", "--to", "2018-06-21T05:12:05.000-05:30"],
        ["--from", "1529577722", "--to", "1529577725.0"],
        ["--around", "2018-06-21T10:42:03.5Z", "--window", "3s"],
    ] {
        assert!(data.cut(&words).expect(WHOLE).bytes == want.bytes, "{words:?} gives other bytes");
    }
    let ns = |from: &str, to: &str| data.cut(&["--from", from, "--to", to]).file.packets.len();
    assert_eq!(ns("1529577722.000000001", "1529577725.000000001"), 3);
    assert_eq!(ns("1529577722.000000000", "1529577725.000000000"), 3);
    assert_eq!(ns("1529577722", "1529577722.000000001"), 1);
    // Relative to the present, of which this ring holds nothing.
    data.cut(&["--from", "-5m", "--to", "now"]).expect(NONE_MATCHED);
    data.cut(&["--around", "now", "--window", "1h"]).expect(NONE_MATCHED);
}

#[test]
fn protocols_by_name_and_number() {
    let data = ten_held();
    data.take("arp.pcapng", &pcapng("eth0", &[Made::new(START, arp("10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap()))]));
    assert_eq!(data.cut(&["--proto", "udp"]).file.packets.len(), 10);
    assert_eq!(data.cut(&["--proto", "17"]).file.packets.len(), 10);
    assert_eq!(data.cut(&["--proto", "UDP", "--ip", "10.0.0.1"]).file.packets.len(), 5);
    assert_eq!(data.cut(&["--ip", "10.0.0.9"]).file.packets.len(), 1, "ARP counts as tcpdump counts it");
}

#[test]
fn classic_pcap_on_request() {
    let data = ten_held();
    let cut = data.cut(&["--format", "pcap"]).expect(WHOLE);
    assert_eq!(cut.file.magic, [0x4d, 0x3c, 0xb2, 0xa1], "nanoseconds");
    let source = plain::parse(&pcap(&ten())).unwrap();
    assert_eq!(difference(&sorted(&source.packets), &sorted(&cut.file.packets)), None);
    crate::support::tools_accept(&data.file("cut.pcap", &cut.bytes), true);

    data.take("raw.pcap", &crate::make::pcap_as(Order::Little, 0xa1b2_3c4d, 101, 65_535, &[Made::new(START, vec![0x45; 60])]));
    refused(&data, &["--format", "pcap"], &["pcapng"]);
    data.cut(&["--format", "pcap", "--interface", "eth0"]).expect(WHOLE);
    data.cut(&["--format", "pcapng"]).expect(WHOLE);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let data = Data::new();
    data.take("big.pcap", &pcap(&traffic(1, 20_000, 1_000_000, 300)));
    for format in ["pcap", "pcapng"] {
        let coverage = data.file("coverage.json", b"old");
        let mut child = data
            .command(&["cut"], &["--format", format, "-w", "-", "--coverage", coverage.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "it ends quietly");
        assert_eq!(out.status.code(), Some(NOT_WHOLE));
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&coverage).unwrap()).unwrap();
        assert_eq!((&told["complete"], &told["reasons"][0]["reason"]), (&false.into(), &"reader_gone".into()), "{told}");
    }
}

#[test]
fn a_file_is_replaced_only_when_complete() {
    let data = ten_held();
    let target = data.file("cut.pcapng", b"precious");
    let path = target.to_str().unwrap();
    data.run(&["cut"], &["--filter", "tcp port", "-w", path]).expect(WRONG_REQUEST);
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    let before = std::fs::read_dir(data.outside()).unwrap().count();
    let out = data.run(&["cut"], &["-w", path]).expect(WHOLE);
    assert!(out.stdout.is_empty());
    assert_eq!(std::fs::read(&target).unwrap(), data.cut_all().bytes, "the same to a file and to a pipe");
    assert_eq!(std::fs::read_dir(data.outside()).unwrap().count(), before, "no temporary file is left");
    data.run(&["cut"], &["--ip", "203.0.113.1", "-w", path]).expect(NONE_MATCHED);
    assert_eq!(plain::read(&target).unwrap().packets.len(), 0);

    let out = data.run(&["cut"], &["-w", "no/such/folder/cut.pcapng"]).expect(FAILED);
    assert!(out.one_line().contains("no/such/folder"), "{}", out.stderr);
    // A device is written to, not replaced.
    data.run(&["cut"], &["-w", "/dev/null"]).expect(WHOLE);
    assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
}

#[test]
fn a_capture_never_goes_to_a_terminal() {
    let data = ten_held();
    if !has_tool("script") {
        return;
    }
    let binary = env!("CARGO_BIN_EXE_taploop");
    for rest in ["", "-w -", "-w /dev/stdout", "-w /dev/tty"] {
        let mut c = Command::new("script");
        c.args(["-qec", &format!("'{binary}' cut --data '{}' {rest}", data.path().display()), "/dev/null"]);
        let out = run_with(c, &[]);
        assert!(!out.stdout.windows(4).any(|w| w == [0x0a, 0x0d, 0x0d, 0x0a] || w == [0x4d, 0x3c, 0x2b, 0x1a]), "{rest}");
        assert_eq!(out.status, WRONG_REQUEST, "{rest}: {}", String::from_utf8_lossy(&out.stdout));
        assert!(String::from_utf8_lossy(&out.stdout).contains("terminal"), "{rest}");
    }
}

#[test]
fn coverage_has_its_shape() {
    let data = ten_held();
    data.take("other.pcapng", &pcapng("eth1", &ten()));
    let cut = data.cut(&["--ip", "10.0.0.1", "--from", &seconds(START), "--to", &seconds(START + 9 * SECOND)]).expect(WHOLE);
    let c = &cut.coverage;
    assert_eq!(c["complete"], Value::Bool(true), "{c}");
    assert_eq!(c["packets"], 10, "{c}");
    assert_eq!(c["bytes"], 10 * (14 + 20 + 8 + 40), "{c}");
    assert!(c["selection"].to_string().contains("2018-06-21T10:42:00Z"), "the selection is told in UTC: {c}");
    assert!(c["selection"].to_string().contains("10.0.0.1"), "{c}");
    let interfaces = c["interfaces"].as_array().unwrap();
    let names: Vec<_> = interfaces.iter().map(|i| i["interface"].as_str().unwrap()).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    for i in interfaces {
        assert_eq!(i["first_packet"], "2018-06-21T10:42:00Z", "{c}");
        assert_eq!(i["last_packet"], "2018-06-21T10:42:09Z", "{c}");
        assert_eq!(i["packets"], 5, "{c}");
    }
    assert!(data.cut(&["--limit-packets", "1"]).coverage["complete"] == Value::Bool(false));

    // To standard output where the capture goes to a file; not both to one place.
    let out = data.run(&["cut"], &["-w", "f.pcapng", "--coverage", "-"]).expect(WHOLE);
    assert_eq!(out.json()["packets"], 20);
    data.run(&["cut"], &["-w", "-", "--coverage", "-"]).expect(WRONG_REQUEST).one_line();
}

#[test]
fn coverage_in_the_cut_itself() {
    let data = ten_held();
    let cut = data.cut(&["--ip", "10.0.0.1"]);
    let comment = String::from_utf8_lossy(&cut.file.section_comments.concat()).into_owned();
    assert!(comment.contains("10.0.0.1"), "the section says what was asked: {comment:?}");
    assert!(cut.file.others.iter().any(|b| b.kind == 5), "a cut ends with statistics");
    assert!(cut.file.interfaces.iter().all(|i| i.snaplen == 262_144 && i.resolution == 9));
}

#[test]
fn statistics_of_a_cut_go_to_standard_error() {
    let data = ten_held();
    let out = data.run(&["cut"], &["--stats", "-w", "-"]).expect(WHOLE);
    assert_eq!(plain::parse(&out.stdout).unwrap().packets.len(), 10);
    for word in ["segments", "index", "packet", "first byte"] {
        assert!(out.stderr.contains(word), "no {word} in {}", out.stderr);
    }
}

#[test]
fn rings_tell_what_is_held() {
    let data = ten_held();
    let rings = data.rings();
    assert_eq!((rings.len(), rings[0].interface.as_str(), rings[0].packets, rings[0].segments), (1, "eth0", 10, 1));
    let json = &rings[0].json;
    assert_eq!(json["first_packet"], "2018-06-21T10:42:00Z", "{json}");
    assert_eq!(json["last_packet"], "2018-06-21T10:42:09Z", "{json}");
    for key in ["bytes", "complete_to", "index_bytes", "drops", "damage", "forecast"] {
        assert!(json.as_object().unwrap().keys().any(|k| k.contains(key)), "no {key} in {json}");
    }
    let out = data.run(&["rings"], &[]).expect(WHOLE);
    assert!(String::from_utf8_lossy(&out.stdout).contains("eth0") || out.stderr.contains("eth0"));
}

/// The rows of `flows --json`: a list, a list in an object, or one a line.
fn flow_rows(stdout: &[u8]) -> Vec<Value> {
    match serde_json::from_slice(stdout) {
        Ok(Value::Array(rows)) => rows,
        Ok(Value::Object(map)) if map.values().any(Value::is_array) => {
            map.into_iter().find_map(|(_, v)| v.as_array().cloned()).unwrap()
        }
        _ => String::from_utf8_lossy(stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
    }
}

#[test]
fn flows_count_exactly_in_any_window() {
    let source = plain::parse(&pcap(&traffic(5, 4_000, 1_000_000, 60))).unwrap();
    let data = Data::new();
    let path = data.file("t.pcap", &pcap(&traffic(5, 4_000, 1_000_000, 60)));
    data.import_with(&["--segment-bytes", "128KiB"], &[&path]).expect(WHOLE);
    let h = headers(&source);
    for (from, to) in [(None, None), (Some(START + SECOND), Some(START + 3 * SECOND)), (Some(START + 1_234_567_890), None)] {
        let selection = Selection { from, to, ..Selection::default() };
        let mut words = selection.words();
        words.push("--json".into());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let out = data.run(&["flows"], &words);
        assert!([WHOLE, NOT_WHOLE].contains(&out.status), "{}", out.stderr);
        let mut want: BTreeMap<String, u64> = BTreeMap::new();
        for (p, h) in source.packets.iter().zip(&h) {
            if selection.matches(p.time, h) {
                for l in h.layers.iter().filter(|l| l.ports.is_some()) {
                    *want.entry(community_id(l).unwrap()).or_default() += 1;
                }
            }
        }
        let mut have: BTreeMap<String, u64> = BTreeMap::new();
        for row in flow_rows(&out.stdout) {
            let Some(id) = row["community_id"].as_str().filter(|id| want.contains_key(*id)) else { continue };
            let mut packets = 0;
            for key in ["packets_a_to_b", "packets_b_to_a"] {
                gather(&row, key, &mut |v| packets += v.as_u64().unwrap());
            }
            // A flow's rows differ by interface and tags.
            *have.entry(id.to_owned()).or_default() += packets;
        }
        assert_eq!(want, have);
        assert!(scan(&source, &h, &selection).len() > 1_000);
    }
}

#[test]
fn a_healthy_ring_checks_clean() {
    let data = ten_held();
    data.run(&["ring", "check"], &[]).expect(WHOLE);
    data.run(&["ring", "check"], &["--json"]).expect(WHOLE).json();
    let before = data.cut_all().bytes;
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    assert!(data.cut_all().bytes == before, "repair leaves what is whole alone");
}

#[test]
fn help_and_version() {
    assert!(String::from_utf8_lossy(&run(["--version"]).expect(WHOLE).stdout).starts_with("taploop "));
    for words in [&["--help"][..], &["cut", "--help"], &["import", "--help"], &["rings", "--help"], &["flows", "--help"]] {
        assert!(!run(words).expect(WHOLE).stdout.is_empty());
    }
    assert_eq!(run::<&str>([]).status, WRONG_REQUEST);
    assert_eq!(run(["cut", "--no-such-flag"]).status, WRONG_REQUEST);
}

#[test]
fn only_one_writer_a_ring() {
    // A first import that is held open by its standard input.
    let data = Data::new();
    let path = data.file("ten.pcapng", &pcapng("eth0", &ten()));
    let mut first = data.command(&["import"], &["--interface", "eth0", "-"]);
    first.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = crate::support::Running(first.spawn().unwrap());
    let mut feed = first.0.stdin.take().unwrap();
    std::io::Write::write_all(&mut feed, &pcap(&ten())).unwrap();
    crate::support::eventually("the first import publishes", || {
        let out = data.run(&["rings"], &["--json"]);
        (out.status == WHOLE && crate::support::rings_of(&out.json()).iter().any(|r| r.packets == 10)).then_some(())
    });
    let out = data.import(&[&path]);
    assert_eq!(out.status, FAILED, "{}", out.stderr);
    assert!(out.one_line().contains("eth0"), "{}", out.stderr);
    drop(feed);
    assert_eq!(first.wait(), WHOLE);
    data.import(&[&path]).expect(WHOLE);
    assert_eq!(data.rings()[0].packets, 20);
}

#[test]
fn skips_are_seen() {
    if std::env::var_os("TAPLOOP_CI").is_some_and(|v| v == "1") {
        assert!(std::panic::catch_unwind(|| skip("a test of skipping")).is_err());
    }
}
