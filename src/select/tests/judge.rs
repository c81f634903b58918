//! The judge, packet by packet.

use super::super::{Expr, Judge, LayerExpr};
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;
use crate::wire::{FlowKey, Layer, LayerKind, VlanTags};

fn packet(data: &[u8]) -> Packet<'_> {
    Packet { time: Timestamp::ZERO, original_length: 1500, data, options: &[] }
}

/// Ethernet, tags, IPv4 10.1.2.3 to 192.168.0.9, TCP from 1000 to 445; `offset` is the fragment's.
fn tcp(tags: &[u16], offset: u16) -> Vec<u8> {
    let mut p = vec![2; 12];
    for tag in tags {
        p.extend_from_slice(&[0x81, 0x00, (tag >> 8) as u8, *tag as u8]);
    }
    p.extend_from_slice(&[
        8,
        0,
        0x45,
        0,
        0,
        40,
        0,
        1,
        (offset >> 8) as u8,
        offset as u8,
        64,
        6,
        0,
        0,
        10,
        1,
        2,
        3,
        192,
        168,
        0,
        9,
    ]);
    p.extend_from_slice(&[3, 232, 1, 189, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    p
}

fn matches(expr: &str, data: &[u8], hint: Option<(u16, u16)>) -> bool {
    let expr: Expr = expr.parse().unwrap();
    Judge::new(&expr, LinkType::ETHERNET).unwrap().matches(&packet(data), hint)
}

#[test]
fn one_layer_must_satisfy_all() {
    let p = tcp(&[7, 9], 0);
    for (expr, want) in [
        ("all", true),
        ("not all", false),
        ("layer(ip 10.1.2.3)", true),
        ("layer(ip 10.1.2.4)", false),
        ("layer(pair 10.0.0.0/8 192.168.0.9)", true),
        ("layer(pair 192.168.0.9 10.0.0.0/8)", true),
        ("layer(pair 10.0.0.0/8 10.0.0.0/8)", false),
        ("layer(port 445 and proto 6 and ip 192.168.0.0/16)", true),
        ("layer(port 446 or proto 6)", true),
        ("layer(not port 445)", false),
        ("not layer(port 445)", false),
        ("vlan 7 and vlan 9 and not vlan 8", true),
        ("filter \"vlan 7 and vlan 9 and tcp port 445\"", true),
        ("filter \"tcp port 445\"", false),
        ("filter \"len = 1500\"", true),
        ("filter \"less 100\"", false),
        ("filter \"\"", true),
    ] {
        assert_eq!(matches(expr, &p, None), want, "{expr}");
    }
}

#[test]
fn a_later_fragment_takes_the_stored_ports() {
    let p = tcp(&[], 100);
    assert!(!matches("layer(port 445)", &p, None));
    assert!(matches("layer(port 445 and ip 10.1.2.3)", &p, Some((1000, 445))));
    let first = tcp(&[], 0);
    assert!(!matches("layer(port 7)", &first, Some((7, 7))), "only later fragments take them");
}

#[test]
fn addresses_count_as_soon_as_they_are_there() {
    let p = &tcp(&[], 0)[..30];
    assert!(matches("layer(ip 10.1.2.3)", p, None) && !matches("layer(ip 192.168.0.9)", p, None));
    assert!(matches("filter \"host 10.1.2.3\"", p, None));
    assert!(!matches("layer(pair 10.1.2.3 0.0.0.0/0)", p, None));
}

#[test]
fn a_refused_filter_selects_nothing() {
    let raw = LinkType(101);
    for (expr, selects) in [
        ("filter \"vlan 7\"", false),
        ("not filter \"vlan 7\"", false),
        ("not not filter \"vlan 7\"", false),
        ("filter \"vlan 7\" or all", true),
        ("all and not filter \"vlan 7\"", false),
        ("not (filter \"vlan 7\" or vlan 5)", false),
        ("not (filter \"vlan 7\" and vlan 5)", true),
    ] {
        let mut judge = Judge::new(&expr.parse().unwrap(), raw).unwrap();
        assert_eq!(judge.matches(&packet(&[0x45]), None), selects, "{expr}");
        assert_eq!(judge.refused_filters().len(), 1);
        assert!(judge.refused_filters()[0].reason.contains("no VLAN support"), "{}", judge.refused_filters()[0]);
    }
    let judge = Judge::new(&"layer(port 1) and filter \"vlan 7\"".parse().unwrap(), raw).unwrap();
    assert!(judge.is_never() && !judge.needs_decode());
    assert!(Judge::new(&"filter \"host evil.example\"".parse().unwrap(), raw).is_err());
}

#[test]
fn headers_are_read_only_if_asked_for() {
    for (expr, needs) in
        [("all", false), ("filter \"tcp\"", false), ("vlan 1", true), ("all and layer(port 1)", true), ("not vlan 1", true)]
    {
        assert_eq!(Judge::new(&expr.parse().unwrap(), LinkType::ETHERNET).unwrap().needs_decode(), needs, "{expr}");
    }
}

#[test]
fn a_key_answers_as_its_layers_do() {
    let mut layer = Layer {
        kind: LayerKind::Ip4,
        src: Some("10.1.2.3".parse().unwrap()),
        dst: Some("10.0.0.9".parse().unwrap()),
        proto: Some(6),
        ports: Some((1000, 445)),
        icmp: None,
        fragment: None,
        vlans: VlanTags::default(),
    };
    let id = crate::wire::community_id(&FlowKey::of(&layer).unwrap().0).unwrap();
    let texts = [
        "ip 10.1.2.3".to_owned(),
        "pair 10.0.0.9 10.1.0.0/16".to_owned(),
        "port 445".to_owned(),
        "port 8".to_owned(),
        "port 0".to_owned(),
        "proto 6".to_owned(),
        "proto 0".to_owned(),
        "not ip 10.1.2.3".to_owned(),
        "any".to_owned(),
        format!("community-id {id}"),
    ];
    let check = |layer: &Layer| -> Vec<bool> {
        let key = FlowKey::of(layer).unwrap().0;
        texts
            .iter()
            .map(|t| {
                let e: LayerExpr = t.parse().unwrap();
                assert_eq!(e.matches_layer(layer), e.matches_key(&key), "{t}");
                e.matches_key(&key)
            })
            .collect()
    };
    assert_eq!(check(&layer), [true, true, true, false, false, true, false, false, true, true]);
    layer.ports = None;
    assert_eq!(check(&layer)[2..5], [false; 3]);
    layer.proto = Some(1);
    layer.icmp = Some((8, 0));
    assert_eq!(check(&layer)[2..5], [false; 3], "types and codes are no ports");
    layer.kind = LayerKind::Arp;
    layer.proto = None;
    layer.icmp = None;
    assert_eq!(check(&layer), [true, true, false, false, false, false, false, false, true, false]);
    let any: LayerExpr = "any".parse().unwrap();
    assert!(!any.matches_key(&FlowKey::IRREGULAR) && !any.matches_key(&FlowKey::tagged(VlanTags::default())));
}
