//! The plan of a filter never excludes a packet that the filter matches.

use super::super::{Expr, Filter, FilterError, Judge, plannable};
use super::corpus::{Held, captures, packets};
use super::filters::FILTERS;
use crate::packet::{LinkType, Packet};
use crate::pcap::reader::CaptureReader;
use crate::time::Timestamp;
use crate::wire::{Decoded, decode};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn plans_are_as_the_filter_says() {
    for (filter, plan) in [
        ("host 10.1.2.3", "layer(ip 10.1.2.3)"),
        ("host 10.1.2.3 and tcp port 445", "layer(ip 10.1.2.3) and layer(proto 6 and port 445)"),
        ("src host 10.1.2.3 && dst net 10.0.0.0/8", "layer(ip 10.1.2.3) and layer(ip 10.0.0.0/8)"),
        ("src or dst host 10.1.2.3 and udp", "layer(ip 10.1.2.3) and layer(proto 17)"),
        ("src and dst port 53", "layer(port 53)"),
        ("host 10.1.2.3 and 10.1.2.4", "layer(ip 10.1.2.3) and layer(ip 10.1.2.4)"),
        ("host 10.1.2.3 or host 10.1.2.4", "layer(ip 10.1.2.3) or layer(ip 10.1.2.4)"),
        ("host 10.1.2.3 and (port 80 or 443)", "layer(ip 10.1.2.3) and (layer(port 80) or layer(port 443))"),
        ("port 80 or host 10.1.2.3 and tcp", "(layer(port 80) or layer(ip 10.1.2.3)) and layer(proto 6)"),
        ("ip6 host fe80::1 and icmp6", "layer(ip fe80::1) and layer(proto 58)"),
        ("net 2001:db8::/32", "layer(ip 2001:db8::/32)"),
        ("arp host 10.1.2.3", "layer(ip 10.1.2.3)"),
        ("src 10.1.2.3", "layer(ip 10.1.2.3)"),
        ("tcp[13] & 2 != 0 and host 10.1.2.3", "layer(ip 10.1.2.3)"),
        ("not port 80 and host 10.1.2.3", "layer(ip 10.1.2.3)"),
        ("vlan 7 and host 10.1.2.3", "vlan 7 and layer(ip 10.1.2.3)"),
        ("host 10.1.2.3 and vlan", "layer(ip 10.1.2.3)"),
        ("host 10.1.2.3 and not vlan and host 10.1.2.4", "layer(ip 10.1.2.3)"),
        ("host 10.1.2.3 and mpls and host 10.1.2.4", "layer(ip 10.1.2.3)"),
        ("not vlan and host 10.1.2.4", "all"),
        ("vlan or host 10.1.2.4", "all"),
        ("(vlan or tcp) and host 10.1.2.4", "all"),
        ("host 10.1.2.3 and (vlan and port 5)", "layer(ip 10.1.2.3)"),
        ("not host 10.1.2.3", "all"),
        ("not (host 10.1.2.3 and port 5)", "all"),
        ("host 10.1 and net 10", "all"),
        ("port 0x50", "all"),
        ("port http", "all"),
        ("portrange 1-2", "all"),
        ("port 80 or ip", "all"),
        ("ether host 1:2:3:4:5:6", "all"),
        ("(tcp", "all"),
        ("", "all"),
    ] {
        assert_eq!(plannable(filter, LinkType::ETHERNET).to_string(), plan, "{filter}");
        assert_eq!(plannable(filter, LinkType(147)), Expr::All);
    }
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "192.168.1.1",
            "10.0.0.1",
            "127.0.0.1",
            "fe80::1",
            "::1",
            "8.8.8.8",
            "0.0.0.0",
            "255.255.255.255"
        ])
        .prop_map(str::to_owned),
        any::<[u8; 4]>().prop_map(|a| std::net::Ipv4Addr::from(a).to_string()),
    ]
}

/// Filters of plannable and other terms.
fn filter(addresses: Vec<String>, ports: Vec<u16>) -> impl Strategy<Value = String> {
    let address = prop_oneof![4 => prop::sample::select(addresses), 1 => address()].boxed();
    let port = prop_oneof![4 => prop::sample::select(ports), 1 => 0u16..1024].boxed();
    let direction = prop::sample::select(vec!["", "", "src ", "dst ", "src or dst ", "src and dst "]);
    let term = prop_oneof![
        4 => (direction.clone(), prop::sample::select(vec!["", "", "ip ", "ip6 ", "arp "]), address.clone()).prop_map(|(d, p, a)| format!("{p}{d}host {a}")),
        1 => (direction.clone(), address.clone()).prop_map(|(d, a)| format!("{d}net {a}")),
        1 => address.clone(),
        1 => prop::sample::select(vec!["net 10.0.0.0/8", "net 0.0.0.0/0", "net 192.168.0.0/16", "src net 128.0.0.0/1", "net fe80::/10", "net ::/0"]).prop_map(str::to_owned),
        4 => (direction, prop::sample::select(vec!["", "tcp ", "udp ", "sctp "]), port.clone()).prop_map(|(d, p, n)| format!("{p}{d}port {n}")),
        1 => port.prop_map(|n| n.to_string()),
        4 => prop::sample::select(vec!["tcp", "udp", "icmp", "icmp6", "sctp", "ip", "ip6", "arp"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["vlan", "vlan 7", "vlan 1", "vlan 0", "mpls", "pppoes", "len > 60", "tcp[13] & 2 != 0", "ip[6:2] & 0x1fff = 0", "portrange 1-1024", "broadcast"]).prop_map(str::to_owned),
    ];
    term.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(|t| t.join(" and ")),
            1 => prop::collection::vec(inner.clone(), 2..4).prop_map(|t| t.join(" or ")),
            1 => inner.clone().prop_map(|t| format!("not {t}")),
            2 => inner.prop_map(|t| format!("({t})")),
        ]
    })
}

/// Holds the plan of `filter` against what libpcap matches; counts matches, and those that the plan says something of.
fn hold(filter: &str, packets: &[Held], counts: &mut (usize, usize)) {
    let Some(link_type) = packets.first().map(|p| p.link_type) else { return };
    let compiled = match Filter::compile(filter, link_type) {
        Ok(compiled) => compiled,
        Err(FilterError::Refused(_)) => return,
        Err(e) => panic!("{filter}: {e}"),
    };
    let plan = plannable(filter, link_type);
    let mut judge = Judge::new(&plan, link_type).unwrap();
    let mut decoded = Decoded::default();
    for p in packets {
        if !compiled.matches(&p.data, p.original_length) {
            continue;
        }
        counts.0 += 1;
        if plan == Expr::All {
            continue;
        }
        counts.1 += 1;
        let packet = Packet { time: Timestamp::ZERO, original_length: p.original_length, data: &p.data, options: &[] };
        if !judge.matches(&packet, None) {
            decode(link_type, &p.data, &mut decoded);
            assert!(
                decoded.irregular,
                "{filter:?} matches, {plan} does not: link type {link_type}, {:02x?}\n{decoded:?}",
                p.data
            );
        }
    }
}

/// At most `most` packets of each link type of each capture, each with a few that differ from it in bytes of the headers.
fn samples(path: &std::path::Path, most: usize, runner: &mut TestRunner) -> Vec<Vec<Held>> {
    let Ok(reader) = CaptureReader::open(path) else { return Vec::new() };
    let mut all = packets(reader);
    all.sort_by_key(|p| p.link_type);
    let mut out: Vec<Vec<Held>> = Vec::new();
    for p in all {
        if out.last().is_none_or(|l| l[0].link_type != p.link_type) {
            out.push(Vec::new());
        }
        let list = out.last_mut().unwrap();
        if list.len() >= most {
            continue;
        }
        for changes in 1..4 {
            let mut data = p.data.clone();
            for _ in 0..changes {
                let at = runner.rng().next_u32() as usize % data.len().clamp(1, 90);
                let byte = match runner.rng().next_u32() % 3 {
                    0 => runner.rng().next_u32() as u8,
                    1 => [0x81, 0x08, 0x00, 0x86, 0xdd, 0x06, 0x11, 0x88, 0x47, 0x2c][runner.rng().next_u32() as usize % 10],
                    _ => data.get(at).copied().unwrap_or(0) ^ 1 << (runner.rng().next_u32() % 8),
                };
                if let Some(b) = data.get_mut(at) {
                    *b = byte;
                }
            }
            if runner.rng().next_u32().is_multiple_of(4) {
                data.truncate(runner.rng().next_u32() as usize % 100);
            }
            list.push(Held { data, ..p });
        }
        list.push(p);
    }
    out
}

#[test]
fn a_plan_excludes_no_match_on_the_corpus() {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut counts = (0, 0);
    let Some(captures) = captures() else { return };
    for path in captures {
        for list in samples(&path, 400, &mut runner) {
            let mut addresses = Vec::new();
            let mut ports = vec![80];
            let mut decoded = Decoded::default();
            for p in &list {
                decode(p.link_type, &p.data, &mut decoded);
                addresses.extend(decoded.layers.iter().filter_map(|l| l.src).map(|a| a.to_string()));
                ports.extend(decoded.layers.iter().filter_map(|l| l.ports).map(|p| p.1));
                addresses.truncate(200);
                ports.truncate(200);
            }
            addresses.push("10.0.0.1".to_owned());
            for filter in FILTERS {
                hold(filter, &list, &mut counts);
            }
            let strategy = filter(addresses, ports);
            for _ in 0..40 {
                let filter = strategy.new_tree(&mut runner).unwrap().current();
                hold(&filter, &list, &mut counts);
            }
        }
    }
    eprintln!("{} matches, {} of them planned", counts.0, counts.1);
    assert!(counts.1 > 10_000);
}
