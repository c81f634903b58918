//! The text form: print, parse, the same.

use super::super::text::{SELECTION_DEPTH_MAX, SELECTION_TEXT_MAX, TextError};
use super::super::{Expr, LayerExpr, Prefix, Selection};
use crate::time::{Timestamp, Window};
use proptest::prelude::*;
use std::net::IpAddr;

fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (any::<[u8; 4]>(), 0u8..=32).prop_map(|(a, n)| Prefix::new(IpAddr::from(a), n).unwrap()),
        (any::<[u8; 16]>(), 0u8..=128).prop_map(|(a, n)| Prefix::new(IpAddr::from(a), n).unwrap()),
        any::<[u8; 4]>().prop_map(|a| Prefix::single(IpAddr::V6(std::net::Ipv4Addr::from(a).to_ipv6_mapped()))),
    ]
}

fn layer() -> impl Strategy<Value = LayerExpr> {
    let leaf = prop_oneof![
        prefix().prop_map(LayerExpr::Ip),
        (prefix(), prefix()).prop_map(|(p, q)| LayerExpr::Pair(p, q)),
        any::<u16>().prop_map(LayerExpr::Port),
        any::<u8>().prop_map(LayerExpr::Proto),
        any::<[u8; 20]>().prop_map(LayerExpr::CommunityId),
        Just(LayerExpr::And(Vec::new())),
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(LayerExpr::And),
            prop::collection::vec(inner.clone(), 2..5).prop_map(LayerExpr::Or),
            inner.prop_map(|e| LayerExpr::Not(Box::new(e))),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        Just(Expr::All),
        any::<u16>().prop_map(Expr::Vlan),
        layer().prop_map(Expr::Layer),
        any::<String>().prop_map(Expr::Filter)
    ];
    leaf.prop_recursive(5, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::Or),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let times = (any::<u64>(), any::<u64>(), any::<bool>(), any::<bool>());
    let names = prop::collection::btree_set(any::<String>(), 0..4);
    (times, names, expr(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
        |((a, b, f, t), names, expr, limit_packets, limit_bytes)| {
            let (from, to) = (a.min(b).min(u64::MAX - 1), a.max(b).max(1));
            let (from, to) = if from < to { (from, to) } else { (from - 1, to) };
            Selection {
                window: Window {
                    from: if f { Timestamp::from_nanos(from) } else { Timestamp::ZERO },
                    to: if t { Timestamp::from_nanos(to) } else { Timestamp::MAX },
                },
                from_given: f,
                to_given: t,
                interfaces: names.into_iter().collect(),
                expr,
                limit_packets,
                limit_bytes,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_selection_survives_its_text(s in selection()) {
        let text = s.to_string();
        let parsed = text.parse::<Selection>();
        prop_assert_eq!(parsed.as_ref(), Ok(&s), "{}", text);
        prop_assert_eq!(parsed.unwrap().to_string(), text.clone());
        prop_assert!(!text.contains('\n'));
    }

    #[test]
    fn an_expression_survives_its_text(e in expr(), l in layer()) {
        prop_assert_eq!(e.to_string().parse(), Ok(e));
        prop_assert_eq!(l.to_string().parse(), Ok(l));
    }

    #[test]
    fn no_text_panics(text in ".{0,80}", words in prop::collection::vec("all|layer|\\(|\\)|not|and|or|ip|10.0.0.1|pair|port|7|vlan|filter|\"x\"|from|to|where|interface|everything", 0..20)) {
        let _ = text.parse::<Selection>();
        let _ = words.join(" ").parse::<Selection>();
    }
}

#[test]
fn the_text_is_what_the_documents_show() {
    for text in [
        "everything",
        "interface \"eth0\" from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z where layer(pair 10.1.2.3 10.0.0.0/8 and port 445) and vlan 7 and filter \"tcp[13] & 2 != 0\" limit-packets 100",
        "interface \"a \\\"b\\\"\\n\" interface \"é\" limit-bytes 4096",
        "where not (vlan 1 or vlan 2 and layer(any)) and not not all",
        "where (vlan 1 or vlan 2) and vlan 3",
        "where layer(community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=)",
        "from 1970-01-01T00:00:00Z to 2554-07-21T23:34:33.709551615Z",
    ] {
        assert_eq!(text.parse::<Selection>().unwrap().to_string(), text);
    }
}

#[test]
fn texts_are_read_kindly_and_printed_canonically() {
    for (text, canonical) in [
        ("where ((vlan 1))", "where vlan 1"),
        ("  where\n layer( proto TCP and ip 10.1.2.3/8 ) ", "where layer(proto 6 and ip 10.0.0.0/8)"),
        ("interface \"b\" interface \"a\" interface \"b\"", "interface \"a\" interface \"b\""),
        ("from 1529577570 to 2018-06-21T12:44:30+02:00", "from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z"),
        ("where (vlan 1 and vlan 2) and vlan 3", "where (vlan 1 and vlan 2) and vlan 3"),
        ("where all", "everything"),
    ] {
        assert_eq!(text.parse::<Selection>().map(|s| s.to_string()).as_deref(), Ok(canonical), "{text}");
    }
}

#[test]
fn odd_trees_print_what_they_mean() {
    let vlan = |n| Expr::Vlan(n);
    for (expr, text) in [
        (Expr::And(vec![]), "all"),
        (Expr::Or(vec![]), "not all"),
        (Expr::And(vec![Expr::And(vec![Expr::Or(vec![vlan(1), vlan(2)])]), vlan(3)]), "(vlan 1 or vlan 2) and vlan 3"),
        (Expr::Not(Box::new(Expr::Or(vec![Expr::And(vec![vlan(1), vlan(2)])]))), "not (vlan 1 and vlan 2)"),
        (Expr::Or(vec![Expr::Or(vec![]), vlan(1)]), "not all or vlan 1"),
        (Expr::Layer(LayerExpr::Or(vec![])), "layer(not any)"),
    ] {
        assert_eq!(expr.to_string(), text);
        assert_eq!(text.parse::<Expr>().unwrap().to_string(), text);
    }
}

#[test]
fn other_texts_are_refused() {
    for (text, want) in [
        ("", "expected \"everything\""),
        ("eth0", "expected one of interface"),
        ("everything else", "expected the end"),
        ("interface eth0", "expected an interface's name in quotes at byte 10"),
        ("interface \"eth0", "quoted text at byte 10 does not end"),
        ("interface \"\\q\"", "unknown escape"),
        ("from now", "write RFC 3339"),
        ("from 2018-06-21T10:42:00", "has no zone"),
        ("to 2 from 1", "found \"from\""),
        ("from 2 to 1", "is not after"),
        ("where", "found the end"),
        ("where vlan", "expected a VLAN identifier"),
        ("where vlan 70000", "is not a VLAN identifier"),
        ("where layer ip 10.0.0.1", "expected \"(\""),
        ("where layer(ip 10.0.0.1", "expected \"and\", \"or\" or \")\""),
        ("where layer(ip host)", "is no IP address"),
        ("where layer()", "expected \"any\""),
        ("where layer(proto smb)", "unknown protocol"),
        ("where layer(community-id 1:x)", "base64"),
        ("where filter tcp", "expected a filter in quotes"),
        ("where vlan 1 or", "found the end"),
        ("where vlan 1)", "found \")\""),
        ("limit-packets -1", "is not a number of packets"),
        ("limit-bytes 1 limit-packets 1", "in this order"),
    ] {
        let error = text.parse::<Selection>().expect_err(text).to_string();
        assert!(error.contains(want) || want == "unknown escape" && error.contains("a backslash before"), "{text}: {error}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |n: usize| format!("where {}vlan 1{}", "(".repeat(n), ")".repeat(n)).parse::<Selection>();
    assert!(deep(SELECTION_DEPTH_MAX).is_ok());
    assert_eq!(deep(SELECTION_DEPTH_MAX + 1), Err(TextError::TooDeep));
    assert_eq!(deep(SELECTION_TEXT_MAX / 3), Err(TextError::TooDeep));
    assert_eq!(format!("where {}vlan 1", "not ".repeat(100_000)).parse::<Selection>(), Err(TextError::TooDeep));
    assert_eq!(" ".repeat(SELECTION_TEXT_MAX + 1).parse::<Selection>(), Err(TextError::TooLong));
    // What flags make fits.
    let many = Expr::Layer(LayerExpr::any_of((0..10_000).map(|i| {
        let a = |x: u32| Prefix::single(IpAddr::from((u128::MAX - u128::from(x)).to_be_bytes()));
        LayerExpr::Pair(a(i), a(i + 1))
    })));
    assert_eq!(many.to_string().parse::<Expr>(), Ok(many));
}

#[test]
fn the_coverage_document_has_text_and_parts() {
    let s: Selection = "interface \"eth0\" from 1970-01-01T00:00:01Z where vlan 7".parse().unwrap();
    assert_eq!(
        serde_json::to_string(&s).unwrap(),
        r#"{"text":"interface \"eth0\" from 1970-01-01T00:00:01Z where vlan 7","interfaces":["eth0"],"from":"1970-01-01T00:00:01Z","to":null,"where":"vlan 7","limit_packets":null,"limit_bytes":null}"#
    );
    assert!(s.includes_interface("eth0") && !s.includes_interface("eth1") && Selection::everything().includes_interface("x"));
}
