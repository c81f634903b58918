//! One header at a time, with bytes made by hand, and random bytes for every link type.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

fn run(link_type: u16, data: &[u8]) -> Decoded {
    let mut out = Decoded::default();
    decode(LinkType(link_type), data, &mut out);
    out
}

/// An IPv4 header for `payload`, from 10.0.0.`from` to 10.0.0.`to`.
fn ip4(from: u8, to: u8, proto: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut v = vec![0x45, 0, (len >> 8) as u8, len as u8, 0x12, 0x34, 0, 0, 64, proto, 0, 0, 10, 0, 0, from, 10, 0, 0, to];
    v.extend(payload);
    v
}

/// An IPv6 header for `payload`, from fd00::`from` to fd00::`to`.
fn ip6(from: u8, to: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16;
    let mut v = vec![0x60, 0, 0, 0, (len >> 8) as u8, len as u8, next, 64];
    v.extend(address6(from).octets());
    v.extend(address6(to).octets());
    v.extend(payload);
    v
}

fn address6(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut v = [source.to_be_bytes(), destination.to_be_bytes(), (8 + payload.len() as u16).to_be_bytes(), [0, 0]].concat();
    v.extend(payload);
    v
}

fn ether(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2; 12], &ethertype.to_be_bytes(), payload])
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The layers as `from>to`, by the last byte of each address, `-` where one is missing.
fn ways(d: &Decoded) -> String {
    let last = |a: Option<IpAddr>| match a {
        None => "-".to_string(),
        Some(IpAddr::V4(x)) => x.octets()[3].to_string(),
        Some(IpAddr::V6(x)) => x.octets()[15].to_string(),
    };
    d.layers.iter().map(|l| format!("{}>{}", last(l.src), last(l.dst))).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn regular(link_type: u16, data: &[u8], want: &str) -> Decoded {
    let d = run(link_type, data);
    assert_eq!(ways(&d), want, "{d:?}");
    assert!(!d.irregular, "{d:?}");
    d
}

#[track_caller]
fn irregular(link_type: u16, data: &[u8], want: &str) -> Decoded {
    let d = run(link_type, data);
    assert_eq!(ways(&d), want, "{d:?}");
    assert!(d.irregular, "{d:?}");
    d
}

#[test]
fn ethernet_with_ports() {
    let d = regular(1, &ether(0x0800, &ip4(1, 2, 6, &[0, 80, 4, 210])), "1>2");
    let l = d.layers[0];
    assert_eq!((l.kind, l.proto, l.ports, l.fragment), (LayerKind::Ip4, Some(6), Some((80, 1234)), None));
    assert_eq!(l.src, Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))));
    let d = regular(1, &ether(0x86dd, &ip6(3, 4, 132, &[0, 80, 4, 210])), "3>4");
    assert_eq!((d.layers[0].proto, d.layers[0].ports), (Some(132), Some((80, 1234))));
    assert_eq!(d.layers[0].dst, Some(IpAddr::V6(address6(4))));
    // ESP and others have no ports.
    assert_eq!(regular(1, &ether(0x0800, &ip4(1, 2, 50, &[0; 8])), "1>2").layers[0].ports, None);
}

#[test]
fn what_is_not_ip_is_nothing_and_regular() {
    for data in [&[][..], &[0; 13], &ether(0x88cc, &[1; 40]), &ether(38, &[0x42; 40]), &ether(0x8863, &[0x45; 40])] {
        regular(1, data, "");
    }
    regular(195, &ether(0x0800, &ip4(1, 2, 6, &[0; 20])), "");
    regular(253, &[0x45; 60], "");
    regular(101, &[0x55; 60], "");
}

#[test]
fn every_link_type_finds_its_network_header() {
    let four = ip4(1, 2, 17, &udp(53, 5353, &[]));
    let six = ip6(3, 4, 17, &udp(53, 5353, &[]));
    let snap = |t: u16, p: &[u8]| join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &t.to_be_bytes(), p]);
    let llc4 = snap(0x0800, &four);
    for (link_type, header) in [
        (0, &[2, 0, 0, 0][..]),
        (0, &[0, 0, 0, 2]),
        (108, &[0, 0, 0, 2]),
        (12, &[]),
        (14, &[]),
        (101, &[]),
        (228, &[]),
        (113, &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]),
        (276, &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0]),
        (9, &[0xff, 3, 0, 0x21]),
        (50, &[0xff, 3, 0, 0x21]),
        (51, &[0x11, 0, 0, 1, 0, 30, 0, 0x21]),
        (104, &[0x0f, 0, 8, 0]),
        (107, &[0x18, 0x41, 0x03, 0xcc]),
        (107, &[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0]),
        (219, &[0, 1, 0x41, 64]),
    ] {
        let d = regular(link_type, &join(&[header, &four]), "1>2");
        assert_eq!(d.layers[0].ports, Some((53, 5353)), "{link_type}");
    }
    for (link_type, header) in [
        (0, &[24, 0, 0, 0][..]),
        (0, &[0, 0, 0, 28]),
        (0, &[30, 0, 0, 0]),
        (108, &[0, 0, 0, 24]),
        (101, &[]),
        (229, &[]),
        (9, &[0xff, 3, 0, 0x57]),
        (107, &[0x18, 0x41, 0x03, 0x8e]),
    ] {
        regular(link_type, &join(&[header, &six]), "3>4");
    }
    regular(10, &join(&[&[0x57; 13], &llc4]), "1>2");
    regular(6, &join(&[&[0; 14], &llc4]), "1>2");
    regular(1, &ether(llc4.len() as u16, &llc4), "1>2");
    // Wi-Fi: plain, QoS, four addresses, radiotap with and without padding, AVS, Prism, PPI.
    let plain = [&[8, 1][..], &[0; 22]].concat();
    let qos = [&[0x88, 1][..], &[0; 24]].concat();
    regular(105, &join(&[&plain, &llc4]), "1>2");
    regular(105, &join(&[&qos, &llc4]), "1>2");
    regular(105, &join(&[&[0x88, 3], &[0; 30], &llc4]), "1>2");
    regular(105, &join(&[&[0x88, 0x81], &[0; 28], &llc4]), "1>2");
    regular(105, &join(&[&[0x80, 0], &[0; 22], &llc4]), "");
    regular(127, &join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &plain, &llc4]), "1>2");
    regular(127, &join(&[&[0, 0, 12, 0, 2, 0, 0, 0, 0x20, 0, 0, 0], &qos, &[0, 0], &llc4]), "1>2");
    regular(163, &join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &plain, &llc4]), "1>2");
    regular(119, &join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &plain, &llc4]), "1>2");
    regular(119, &join(&[&[0; 144], &plain, &llc4]), "1>2");
    regular(192, &join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &plain, &llc4]), "1>2");
    // NFLOG, either byte order.
    let attributes = |order: fn(u16) -> [u8; 2]| {
        let len = order(4 + four.len() as u16);
        join(&[&[2, 0, 0, 0], &order(6), &order(10), &[b'x', 0, 0, 0], &len, &order(9), &four])
    };
    regular(239, &attributes(u16::to_le_bytes), "1>2");
    regular(239, &attributes(u16::to_be_bytes), "1>2");
    regular(239, &[2, 0, 0, 0, 0, 0, 9, 0], "");
}

#[test]
fn arp_addresses_are_where_bpf_reads_them() {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend([2, 2, 2, 2, 2, 2, 10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 10, 0, 0, 8]);
    for ethertype in [0x0806, 0x8035] {
        let d = regular(1, &ether(ethertype, &arp), "7>8");
        assert_eq!((d.layers[0].kind, d.layers[0].proto), (LayerKind::Arp, None));
    }
    irregular(1, &ether(0x0806, &arp[..27]), "7>-");
    irregular(1, &ether(0x0806, &arp[..17]), "->-");
}

#[test]
fn addresses_count_as_soon_as_they_are_there() {
    let four = ether(0x0800, &ip4(1, 2, 6, &[0, 80, 0, 81]));
    for (len, want, odd) in [
        (13, "", false),
        (14, "->-", true),
        (29, "->-", true),
        (30, "1>-", true),
        (33, "1>-", true),
        (34, "1>2", false),
        (35, "1>2", false),
        (36, "1>2", true),
        (37, "1>2", true),
        (38, "1>2", false),
    ] {
        let d = run(1, &four[..len]);
        assert_eq!((ways(&d).as_str(), d.irregular), (want, odd), "{len}");
    }
    let six = ether(0x86dd, &ip6(3, 4, 6, &[0, 80, 0, 81]));
    for (len, want, odd) in [(14, "->-", true), (37, "->-", true), (38, "3>-", true), (54, "3>4", false), (56, "3>4", true)] {
        let d = run(1, &six[..len]);
        assert_eq!((ways(&d).as_str(), d.irregular), (want, odd), "{len}");
    }
}

#[test]
fn odd_ip_headers_are_read_as_bpf_reads_them() {
    let mut version = ip4(1, 2, 6, &[0, 80, 0, 81]);
    version[0] = 0x65;
    irregular(1, &ether(0x0800, &version), "1>2");
    // IHL 4: the ports lie where the destination address does.
    let mut short = ip4(1, 2, 6, &[0, 80, 0, 81]);
    short[0] = 0x44;
    let d = irregular(1, &ether(0x0800, &short), "1>2");
    assert_eq!(d.layers[0].ports, Some((0x0a00, 2)));
    let mut six = ip6(3, 4, 17, &udp(1, 2, &[]));
    six[0] = 0x40;
    irregular(1, &ether(0x86dd, &six), "3>4");
    // Options.
    let mut options = ip4(1, 2, 17, &[]);
    options[0] = 0x46;
    options.extend([1, 1, 1, 1]);
    options.extend(udp(5, 6, &[]));
    assert_eq!(regular(1, &ether(0x0800, &options), "1>2").layers[0].ports, Some((5, 6)));
}

#[test]
fn fragments_of_ipv4() {
    let mut first = ip4(1, 2, 17, &udp(5, 6, &[0; 16]));
    first[6] = 0x20;
    let d = regular(101, &first, "1>2");
    assert!(d.fragmented);
    assert_eq!((d.layers[0].ports, d.layers[0].fragment), (Some((5, 6)), Some(Fragment { id: 0x1234, first: true })));
    // A later one, of a tunnel: nothing inside is looked at.
    let mut later = ip4(1, 2, 4, &ip4(8, 9, 6, &[0; 20]));
    later[7] = 3;
    let d = regular(101, &later, "1>2");
    assert_eq!((d.layers[0].ports, d.layers[0].fragment), (None, Some(Fragment { id: 0x1234, first: false })));
    // "Don't fragment" is none.
    let mut whole = ip4(1, 2, 17, &udp(5, 6, &[]));
    whole[6] = 0x40;
    assert!(!regular(101, &whole, "1>2").fragmented);
}

#[test]
fn extension_headers_of_ipv6() {
    let ports = udp(5, 6, &[]);
    let chain = |parts: &[&[u8]]| ip6(3, 4, 0, &join(parts));
    // Hop-by-hop, routing, destination options, AH.
    let ah = [17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let d = regular(
        101,
        &chain(&[&[43, 0, 1, 4, 0, 0, 0, 0], &[60, 0, 0, 0, 0, 0, 0, 0], &[51, 0, 1, 4, 0, 0, 0, 0], &ah, &ports]),
        "3>4",
    );
    assert_eq!((d.layers[0].proto, d.layers[0].ports), (Some(17), Some((5, 6))));
    let fragment = |offset: u16, next: u8| join(&[&[next, 0], &offset.to_be_bytes(), &[0, 0, 0, 9]]);
    let d = regular(101, &ip6(3, 4, 44, &join(&[&fragment(1, 17), &ports])), "3>4");
    assert_eq!((d.layers[0].ports, d.layers[0].fragment), (Some((5, 6)), Some(Fragment { id: 9, first: true })));
    let d = regular(101, &ip6(3, 4, 44, &join(&[&fragment(8, 17), &ports])), "3>4");
    assert_eq!((d.layers[0].proto, d.layers[0].ports), (Some(17), None));
    assert_eq!(d.layers[0].fragment, Some(Fragment { id: 9, first: false }));
    // Offset 0 and nothing to follow: whole.
    let d = regular(101, &ip6(3, 4, 44, &join(&[&fragment(0, 58), &[128, 0]])), "3>4");
    assert_eq!((d.layers[0].icmp, d.layers[0].fragment), (Some((128, 0)), None));
    // Cut inside the chain, and a chain too long.
    irregular(101, &chain(&[&[43, 0, 1, 4, 0, 0, 0, 0]]), "3>4");
    irregular(101, &ip6(3, 4, 44, &fragment(8, 17)[..6]), "3>4");
    irregular(101, &chain(&[&[0; 8].repeat(EXTENSIONS_MAX), &[17, 0, 0, 0, 0, 0, 0, 0], &ports]), "3>4");
    regular(101, &chain(&[&[0; 8].repeat(EXTENSIONS_MAX - 1), &[17, 0, 0, 0, 0, 0, 0, 0], &ports]), "3>4");
}

#[test]
fn icmp_has_type_code_and_counterpart() {
    let d = regular(101, &ip4(1, 2, 1, &[8, 0, 0, 0]), "1>2");
    assert_eq!(d.layers[0].icmp, Some((8, 0)));
    assert_eq!(d.layers[0].port_pair(), Some(PortPair { source: 8, destination: 0, one_way: false }));
    let d = regular(101, &ip4(1, 2, 1, &[3, 1, 0, 0]), "1>2");
    assert_eq!(d.layers[0].port_pair(), Some(PortPair { source: 3, destination: 1, one_way: true }));
    let d = regular(101, &ip6(1, 2, 58, &[135, 0, 0, 0]), "1>2");
    assert_eq!(d.layers[0].port_pair(), Some(PortPair { source: 135, destination: 136, one_way: false }));
    // An echo and its answer are one flow.
    let ask = FlowKey::of(&run(101, &ip4(1, 2, 1, &[8, 0])).layers[0]).unwrap();
    let answer = FlowKey::of(&run(101, &ip4(2, 1, 1, &[0, 0])).layers[0]).unwrap();
    assert_eq!(ask.0, answer.0);
    assert_ne!(ask.1, answer.1);
    // ICMP over IPv6 is none, nor the other way round.
    assert_eq!(run(101, &ip6(1, 2, 1, &[8, 0])).layers[0].icmp, None);
    assert_eq!(run(101, &ip4(1, 2, 58, &[128, 0])).layers[0].icmp, None);
}

#[test]
fn vlan_tags_belong_to_the_layer_after_them() {
    let ip = ip4(1, 2, 6, &[0, 80, 0, 81]);
    for tpid in [0x8100, 0x88a8, 0x9100, 0x9200] {
        let d = regular(1, &ether(tpid, &join(&[&[0xe0, 5, 8, 0], &ip])), "1>2");
        assert_eq!(d.tags, [5]);
        assert_eq!(d.layers[0].vlans.iter().collect::<Vec<_>>(), [5]);
    }
    let d = regular(1, &ether(0x88a8, &join(&[&[0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 8, 0], &ip])), "1>2");
    assert_eq!(d.tags, [5, 6, 7]);
    assert!(d.layers[0].vlans.has_more());
    // No addressed layer after them.
    let d = regular(1, &ether(0x8100, &[0, 5, 0x88, 0xcc, 1, 2]), "");
    assert_eq!((d.trailing_tags.iter().collect::<Vec<_>>(), d.tags.len()), (vec![5], 1));
    // The tag's number was cut off, though a filter can ask for "any tag"; only what it announces was cut off.
    irregular(1, &ether(0x8100, &[0]), "");
    assert_eq!(regular(1, &ether(0x8100, &[0, 9, 8]), "").tags, [9]);
    // More than are looked at.
    let many = |n: usize| ether(0x8100, &join(&[&[0, 1, 0x81, 0].repeat(n - 1), &[0, 1, 8, 0], &ip]));
    assert_eq!(regular(1, &many(TAGS_MAX), "1>2").tags.len(), TAGS_MAX);
    irregular(1, &many(TAGS_MAX + 1), "");
    // E-tag, and LLC/SNAP behind a tag.
    regular(1, &ether(0x893f, &join(&[&[0, 0, 0, 1, 0, 0, 8, 0], &ip])), "1>2");
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip]);
    regular(1, &ether(0x8100, &join(&[&[0, 5, 0, 32], &snap])), "1>2");
}

#[test]
fn mpls_and_pppoe() {
    let ip = ip4(1, 2, 6, &[0, 80, 0, 81]);
    let two = [0, 1, 0x40, 64, 0, 2, 0x41, 64];
    regular(1, &ether(0x8847, &join(&[&two, &ip])), "1>2");
    regular(1, &ether(0x8848, &join(&[&two, &ip6(3, 4, 59, &[])])), "3>4");
    regular(1, &ether(0x8847, &join(&[&two, &[0, 0, 0, 0], &ether(0x0800, &ip)])), "1>2");
    regular(1, &ether(0x8847, &join(&[&two, &ether(0x0800, &ip)])), "1>2");
    regular(1, &ether(0x8847, &join(&[&two, &[0x10, 0, 0, 0x21], &ip])), "");
    regular(1, &ether(0x8847, &two[..6]), "");
    irregular(1, &ether(0x8847, &[0, 1, 0x40, 64].repeat(LABELS_MAX + 1)), "");
    regular(1, &ether(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 30, 0, 0x21], &ip])), "1>2");
    regular(1, &ether(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 30, 0, 0x57], &ip6(3, 4, 59, &[])])), "3>4");
    regular(1, &ether(0x8864, &[0x11, 0, 0, 1, 0, 10, 0xc0, 0x21, 9, 9]), "");
}

#[test]
fn gre_of_every_kind() {
    let inner = ip4(8, 9, 17, &udp(5, 6, &[]));
    let frame = ether(0x0800, &inner);
    let gre = |header: &[u8], payload: &[u8]| ip4(1, 2, 47, &join(&[header, payload]));
    for (header, payload) in [
        (&[0, 0, 8, 0][..], &inner),
        (&[0x80, 0, 8, 0, 1, 2, 0, 0], &inner),
        (&[0x20, 0, 8, 0, 0, 0, 0, 1], &inner),
        (&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2], &inner),
        // Routing: an entry of four bytes, then the end.
        (&[0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0], &inner),
        (&[0, 0, 0x65, 0x58], &frame),
        (&[0, 0, 0x88, 0x47, 0, 2, 0x41, 64], &inner),
        // ERSPAN I, II, III, III with a platform header, and III with IP inside.
        (&[0, 0, 0x88, 0xbe], &frame),
        (&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 0, 0, 0, 0, 0], &frame),
        (&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &frame),
        (&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1], &frame),
        (&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], &inner),
        // PPTP, with the ways to write PPP's header.
        (&[0x30, 1, 0x88, 0x0b, 0, 32, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], &inner),
        (&[0x30, 0x81, 0x88, 0x0b, 0, 32, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x21], &inner),
        (&[0x30, 1, 0x88, 0x0b, 0, 32, 0, 1, 0, 0, 0, 1, 0x21], &inner),
        (&[0, 0, 0x88, 0x3e], &inner),
        (&[0, 0, 0x88, 0x3e, 1, 2, 3, 4], &inner),
    ] {
        let d = regular(101, &gre(header, payload), "1>2 8>9");
        assert_eq!(d.layers[1].ports, Some((5, 6)));
    }
    // An acknowledgement alone, version 2, an unknown protocol, nothing at all.
    regular(101, &gre(&[0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 1], &inner), "1>2");
    regular(101, &gre(&[0, 2, 8, 0], &inner), "1>2");
    regular(101, &gre(&[0, 0, 0x12, 0x34], &inner), "1>2");
    regular(101, &gre(&[], &[]), "1>2");
    // A tag inside belongs to the inner layer.
    let tagged = ether(0x8100, &join(&[&[0, 7, 8, 0], &inner]));
    let d = regular(101, &gre(&[0, 0, 0x65, 0x58], &tagged), "1>2 8>9");
    assert_eq!((d.layers[0].vlans.packed(), d.layers[1].vlans.iter().next()), (0, Some(7)));
}

#[test]
fn ip_in_ip() {
    let inner4 = ip4(8, 9, 6, &[0, 1, 0, 2]);
    let inner6 = ip6(6, 7, 6, &[0, 1, 0, 2]);
    regular(101, &ip4(1, 2, 4, &inner4), "1>2 8>9");
    regular(101, &ip4(1, 2, 41, &inner6), "1>2 6>7");
    regular(101, &ip6(1, 2, 4, &inner4), "1>2 8>9");
    regular(101, &ip6(1, 2, 41, &inner6), "1>2 6>7");
    regular(101, &ip4(1, 2, 137, &join(&[&[0, 1, 0x41, 64], &inner4])), "1>2 8>9");
    regular(101, &ip4(1, 2, 97, &join(&[&[0x30, 0], &ether(0x0800, &inner4)])), "1>2 8>9");
    let nested = |depth: usize| (1..depth).fold(ip4(8, 9, 6, &[0, 1, 0, 2]), |packet, _| ip4(1, 2, 4, &packet));
    assert_eq!(run(101, &nested(LAYERS_MAX)).layers.len(), LAYERS_MAX);
    assert!(!run(101, &nested(LAYERS_MAX)).irregular);
    assert_eq!(run(101, &nested(LAYERS_MAX + 1)).layers.len(), LAYERS_MAX);
    assert!(run(101, &nested(LAYERS_MAX + 1)).irregular);
}

#[test]
fn tunnels_known_by_their_ports() {
    let inner = ip4(8, 9, 6, &[0, 1, 0, 2]);
    let inner6 = ip6(8, 9, 6, &[0, 1, 0, 2]);
    let frame = ether(0x0800, &inner);
    let vxlan = [8, 0, 0, 0, 0, 0, 1, 0];
    let gtp = |flags: u8, more: &[u8]| join(&[&[flags, 255, 0, 44, 0, 0, 0, 1], more]);
    for (source, destination, header, payload) in [
        (5000, 4789, &vxlan[..], &frame),
        (5000, 8472, &vxlan, &frame),
        (5000, 6081, &[0, 0, 0x65, 0x58, 0, 0, 1, 0], &frame),
        (5000, 6081, &[1, 0, 8, 0, 0, 0, 1, 0, 1, 2, 3, 0], &inner),
        (5000, 6635, &[0, 1, 0x41, 64], &inner),
        (2152, 2152, &gtp(0x30, &[]), &inner),
        (2152, 7000, &gtp(0x32, &[0, 1, 0, 0]), &inner6),
        (7000, 2152, &gtp(0x34, &[0, 1, 0, 0x85, 1, 0, 0, 0xc0, 1, 0, 0, 0]), &inner),
        (5000, 3544, &[], &inner6),
        (3544, 5000, &[0, 0, 1, 2, 3, 4, 5, 6], &inner6),
        (3544, 5000, &[0, 1, 1, 2, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6], &inner6),
    ] {
        let packet = ip4(1, 2, 17, &udp(source, destination, &join(&[header, payload])));
        let d = regular(101, &packet, "1>2 8>9");
        assert_eq!(d.layers[1].ports, Some((1, 2)), "{source} {destination}");
        for len in 20..packet.len() {
            run(101, &packet[..len]);
        }
    }
    // The port alone proves nothing.
    for (destination, payload) in [
        (4789, join(&[&[0, 0, 0, 0, 0, 0, 1, 0], &frame])),
        (4789, join(&[&[8, 0, 0, 0, 0, 0, 1, 1], &frame])),
        (6081, join(&[&[0x40, 0, 0x65, 0x58, 0, 0, 1, 0], &frame])),
        (2152, join(&[&[0x32, 1, 0, 4, 0, 0, 0, 0], &inner])),
        (2152, join(&[&[0x12, 255, 0, 4, 0, 0, 0, 0], &inner])),
        (2152, gtp(0x30, &[0x55; 20])),
        (2152, gtp(0x34, &[0, 1, 0, 0x85, 0, 0, 0, 0])),
        (3544, inner.clone()),
    ] {
        regular(101, &ip4(1, 2, 17, &udp(5000, destination, &payload)), "1>2");
    }
}

#[test]
fn what_was_decoded_before_leaves_no_trace() {
    let mut out = Decoded::default();
    let mut fragment = ip4(1, 2, 17, &[0; 8]);
    fragment[7] = 1;
    decode(LinkType::ETHERNET, &ether(0x8100, &join(&[&[0, 5, 8, 0], &fragment])), &mut out);
    decode(LinkType::ETHERNET, &ether(0x8100, &[0]), &mut out);
    assert!(out.irregular);
    decode(LinkType::ETHERNET, &ether(0x88cc, &[]), &mut out);
    assert!(out.layers.is_empty() && out.tags.is_empty() && !out.irregular && !out.fragmented);
    assert_eq!(out.trailing_tags, VlanTags::default());
}

const LINK_TYPES: [u16; 25] =
    [0, 1, 6, 9, 10, 12, 14, 50, 51, 101, 104, 105, 107, 108, 113, 119, 127, 163, 192, 219, 228, 229, 239, 253, 276];

/// Bytes that headers are made of, more often than chance has it.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(&[0u8, 1, 2, 4, 6, 8, 0x11, 0x2c, 0x29, 0x2f, 0x45, 0x60, 0x81, 0x86, 0x88, 0xdd, 0xff][..])
    ]
}

proptest! {
    #[test]
    fn any_bytes_decode(data in prop::collection::vec(byte(), 0..200)) {
        let mut out = Decoded::default();
        for link_type in LINK_TYPES {
            decode(LinkType(link_type), &data, &mut out);
            prop_assert!(out.layers.len() <= LAYERS_MAX && out.tags.len() <= TAGS_MAX);
            for layer in &out.layers {
                prop_assert!(out.irregular || FlowKey::of(layer).is_some());
            }
        }
    }
}
