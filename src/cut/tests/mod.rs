//! The cut through the index against judging every packet one by one, on random packets and random selections.

mod complete;
mod rests;
mod traffic;

use super::flows::flows;
use super::{CutError, Format, cut};
use crate::packet::{LinkType, Packet};
use crate::pcap::block::{OPT_COMMENT, option};
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::Record;
use crate::ring::data::DataDir;
use crate::ring::ids::StreamId;
use crate::ring::ring_writer::RingWriter;
use crate::ring::snapshot::{ReadContext, RingReader};
use crate::ring::writer::StreamOptions;
use crate::select::{Expr, FilterError, Judge, LayerExpr, Prefix, Selection};
use crate::time::{Timestamp, Window};
use crate::wire::{Decoded, FlowKey, FragmentTable, KeyKind, apply_hint, community_digest, decode};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::IpAddr;
use traffic::{Given, MANY, PORTS, PROTOCOLS, TIMES, Then, VLANS, address4, address6, packets};

const INTERFACES: [&str; 2] = ["eth0", "eth1"];

fn link_type(raw: bool) -> LinkType {
    if raw { LinkType(101) } else { LinkType::ETHERNET }
}

fn options_of(p: &Given) -> Vec<u8> {
    let mut out = Vec::new();
    if p.commented {
        option(&mut out, OPT_COMMENT, b"as it was");
    }
    out
}

/// Writes the packets; the writers stay open unless `finish`.
fn write(data: &DataDir, given: &[Given], finish: bool) -> Vec<RingWriter> {
    let mut rings: Vec<_> = INTERFACES.iter().map(|name| RingWriter::open(data, name, None).unwrap()).collect();
    let (segment_bytes, segment_flows) = if given.len() < MANY { (64 << 10, 60) } else { (16 << 20, 10_000) };
    let options = StreamOptions { segment_bytes, segment_flows, imported: true, reserve: 1, segment_age: None };
    for p in given {
        let stream = rings[p.interface].stream(StreamId { fanout: 0, link_type: link_type(p.raw) }, options);
        let packet_options = options_of(p);
        let time = Timestamp::from_nanos(p.time);
        let packet = Packet { time, original_length: p.original_length, data: &p.data, options: &packet_options };
        stream.append(&packet).unwrap();
        match p.then {
            Then::Nothing => {}
            Then::Publish => stream.publish().unwrap(),
            Then::Seal => stream.close_segment().unwrap(),
        }
    }
    if finish {
        rings.drain(..).for_each(|r| drop(r.finish().unwrap()));
        return rings;
    }
    for (i, name) in INTERFACES.iter().enumerate() {
        rings[i].streams().for_each(|s| s.publish().unwrap());
        let n = given.iter().filter(|p| p.interface == i).count() as u64;
        // The threads write what was handed over.
        while RingReader::open(data, name, &ReadContext::default()).unwrap().held().unwrap().summary.packets != n {
            std::thread::yield_now();
        }
    }
    rings
}

/// A packet with what the writer must have decided of it.
struct Plain<'a> {
    given: &'a Given,
    options: Vec<u8>,
    hint: Option<(u16, u16)>,
}

impl Plain<'_> {
    fn packet(&self) -> Packet<'_> {
        let time = Timestamp::from_nanos(self.given.time);
        Packet { time, original_length: self.given.original_length, data: &self.given.data, options: &self.options }
    }

    fn decoded(&self) -> Decoded {
        let mut out = Decoded::default();
        decode(link_type(self.given.raw), &self.given.data, &mut out);
        if let Some(ports) = self.hint {
            apply_hint(&mut out, ports);
        }
        out
    }
}

/// All packets in the order of a cut: time, interface, stream, arrival.
fn plain(given: &[Given]) -> Vec<Plain<'_>> {
    let mut fragments: BTreeMap<(usize, bool), FragmentTable> = BTreeMap::new();
    let mut all: Vec<Plain<'_>> = given
        .iter()
        .map(|p| {
            let mut decoded = Decoded::default();
            decode(link_type(p.raw), &p.data, &mut decoded);
            let table = fragments.entry((p.interface, p.raw)).or_default();
            let hint = table.resolve(&mut decoded, Timestamp::from_nanos(p.time));
            Plain { given: p, options: options_of(p), hint }
        })
        .collect();
    all.sort_by_key(|p| (p.given.time, p.given.interface, p.given.raw));
    all
}

fn selected<'a, 'b>(selection: &Selection, all: &'b [Plain<'a>]) -> Vec<&'b Plain<'a>> {
    let mut judges = [false, true].map(|raw| Judge::new(&selection.expr, link_type(raw)).unwrap());
    let mut bytes = 0;
    let mut found: Vec<&Plain<'_>> = all
        .iter()
        .filter(|p| selection.includes_interface(INTERFACES[p.given.interface]))
        .filter(|p| selection.window.contains(Timestamp::from_nanos(p.given.time)))
        .filter(|p| judges[usize::from(p.given.raw)].matches(&p.packet(), p.hint))
        .collect();
    found.truncate(selection.limit_packets.map_or(usize::MAX, |n| n as usize));
    let fits = |p: &&Plain<'_>| {
        bytes += p.given.data.len() as u64;
        selection.limit_bytes.is_none_or(|n| bytes <= n)
    };
    let n = found.iter().copied().take_while(fits).count();
    found.truncate(n);
    found
}

/// Time, original length, data and options of each packet of a capture.
type Held = (u64, u32, Vec<u8>, Vec<u8>);

fn read(capture: Vec<u8>) -> Vec<Held> {
    let mut reader = CaptureReader::from_reader("cut", Box::new(Cursor::new(capture))).unwrap();
    let mut out = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        match record {
            Record::Packet { packet: p, .. } => {
                out.push((p.time.as_nanos(), p.original_length, p.data.to_vec(), p.options.to_vec()));
            }
            Record::Damage(damage) => panic!("{damage}"),
            _ => {}
        }
    }
    out
}

/// Key, first and last time, packets and bytes each way.
type Row = (usize, FlowKey, u64, u64, [u64; 2], [u64; 2]);

fn plain_flows(found: &[&Plain<'_>], wanted: &LayerExpr) -> Vec<Row> {
    let mut rows: BTreeMap<(usize, FlowKey), Row> = BTreeMap::new();
    for p in found {
        let mut keys: Vec<_> = p.decoded().layers.iter().filter(|l| wanted.matches_layer(l)).filter_map(FlowKey::of).collect();
        keys.retain(|(k, _)| matches!(k.kind(), KeyKind::Ip4 | KeyKind::Ip6));
        for (i, (key, direction)) in keys.iter().enumerate() {
            if keys[..i].iter().any(|k| k.0 == *key) {
                continue;
            }
            let ring = p.given.interface;
            let row = rows.entry((ring, *key)).or_insert((ring, *key, u64::MAX, 0, [0; 2], [0; 2]));
            let way = *direction as usize;
            (row.2, row.3) = (row.2.min(p.given.time), row.3.max(p.given.time));
            row.4[way] += 1;
            row.5[way] += u64::from(p.given.original_length);
        }
    }
    rows.into_values().collect()
}

fn hold(data: &DataDir, selection: &Selection, all: &[Plain<'_>]) -> Result<(), TestCaseError> {
    let found = selected(selection, all);
    let mut capture = Vec::new();
    let outcome = match cut(data, selection, Format::Pcapng, &mut capture) {
        Ok(outcome) => outcome,
        // Of no link type that is held: then nothing is selected by it either.
        Err(CutError::Filter(FilterError::Refused(_))) => {
            prop_assert_eq!(found.len(), 0, "{} is refused", selection);
            return Ok(());
        }
        Err(e) => panic!("{e}"),
    };
    let want: Vec<Held> =
        found.iter().map(|p| (p.given.time, p.given.original_length, p.given.data.clone(), p.options.clone())).collect();
    let got = read(capture);
    let differs = (0..want.len().max(got.len())).find(|&i| want.get(i) != got.get(i));
    prop_assert_eq!(differs, None, "{}: {} packets, {} by a plain scan", selection, got.len(), want.len());
    prop_assert_eq!(outcome.packets, want.len() as u64);

    // The layers that rows are made for are clear only where the selection is one predicate over layers.
    let wanted = match &selection.expr {
        Expr::All | Expr::Vlan(_) | Expr::Filter(_) => LayerExpr::And(Vec::new()),
        Expr::Layer(layer) => layer.clone(),
        _ => return Ok(()),
    };
    let mut want: Vec<String> = plain_flows(&found, &wanted)
        .into_iter()
        .map(|(ring, k, first, last, packets, bytes)| {
            let vlans: Vec<u16> = k.vlans().iter().collect();
            let id = crate::wire::community_id(&k);
            let ends =
                (k.addresses(), k.ports(), crate::wire::protocol_name(k.proto).map_or(k.proto.to_string(), str::to_string));
            format!("{} {ends:?} {vlans:?} {id:?} {first} {last} {packets:?} {bytes:?}", INTERFACES[ring])
        })
        .collect();
    let mut got: Vec<String> = flows(data, selection)
        .unwrap()
        .0
        .rows()
        .map(|r| {
            let (first, last) = (r.first.as_nanos(), r.last.as_nanos());
            let ends = (Some((r.a, r.b)), r.a_port.zip(r.b_port), r.proto);
            let (packets, bytes) = ([r.packets_a_to_b, r.packets_b_to_a], [r.bytes_a_to_b, r.bytes_b_to_a]);
            format!("{} {ends:?} {:?} {:?} {first} {last} {packets:?} {bytes:?}", r.interface, r.vlan, r.community_id)
        })
        .collect();
    want.sort();
    got.sort();
    prop_assert_eq!(got, want, "flows of {}", selection);
    Ok(())
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let four = (0_u8..6, prop_oneof![Just(32_u8), Just(16), Just(24), 0_u8..=32]);
    let six = (0_u8..6, prop_oneof![Just(128_u8), Just(48), 0_u8..=128]);
    prop_oneof![
        four.prop_map(|(n, length)| Prefix::new(IpAddr::from(address4(n)), length).unwrap()),
        six.prop_map(|(n, length)| Prefix::new(IpAddr::from(address6(n)), length).unwrap()),
    ]
}

fn layer() -> impl Strategy<Value = LayerExpr> {
    let leaf = prop_oneof![
        4 => prefix().prop_map(LayerExpr::Ip),
        2 => (prefix(), prefix()).prop_map(|(p, q)| LayerExpr::Pair(p, q)),
        2 => proptest::sample::select(&PORTS[..]).prop_map(LayerExpr::Port),
        1 => proptest::sample::select(&PROTOCOLS[..]).prop_map(LayerExpr::Proto),
        // Which flow it is of is known when the packets are.
        1 => any::<u16>().prop_map(|n| LayerExpr::CommunityId([n.to_le_bytes()[0]; 20])),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            4 => proptest::collection::vec(inner.clone(), 2..4).prop_map(LayerExpr::And),
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(LayerExpr::Or),
            1 => inner.prop_map(|e| LayerExpr::Not(Box::new(e))),
        ]
    })
}

const FILTERS: [&str; 8] = [
    "tcp or udp",
    "port 445",
    "host 10.0.0.1 and udp",
    "net 10.1.0.0/16 and not port 53",
    "ip6 and (host 2001:db8:0:0::1 or port 80)",
    "arp host 10.0.0.1",
    "less 80",
    "src host 10.0.0.1 and dst port 445",
];

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        1 => Just(Expr::All),
        6 => layer().prop_map(Expr::Layer),
        1 => proptest::sample::select(&VLANS[..]).prop_map(Expr::Vlan),
        2 => proptest::sample::select(&FILTERS[..]).prop_map(|f| Expr::Filter(f.into())),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            1 => inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let time = || {
        prop_oneof![
            6 => (0_u64..3000).prop_map(|n| TIMES[1] + n),
            3 => (0_u64..200).prop_map(|n| TIMES[1] + n * 1_000_000_000),
            1 => (0_u64..3).prop_map(|n| n),
        ]
    };
    let limit = || proptest::option::weighted(0.1, 0_u64..2000);
    let interfaces = proptest::sample::subsequence(INTERFACES.map(String::from).to_vec(), 0..=2);
    (proptest::option::of(time()), proptest::option::of(time()), interfaces, expr(), limit(), limit()).prop_map(
        |(from, to, interfaces, expr, limit_packets, limit_bytes)| {
            let window = Window {
                from: from.map_or(Timestamp::ZERO, Timestamp::from_nanos),
                to: to.map_or(Timestamp::MAX, Timestamp::from_nanos),
            };
            let limit_packets = limit_packets.map(|n| n % 50);
            let (from_given, to_given) = (from.is_some(), to.is_some());
            Selection { window, from_given, to_given, interfaces, expr, limit_packets, limit_bytes: limit_bytes.map(|n| n * 10) }
        },
    )
}

/// Puts the Community IDs of flows that are there in place of made-up ones.
fn with_real_ids(expr: &mut LayerExpr, digests: &[[u8; 20]]) {
    match expr {
        LayerExpr::And(parts) | LayerExpr::Or(parts) => parts.iter_mut().for_each(|p| with_real_ids(p, digests)),
        LayerExpr::Not(part) => with_real_ids(part, digests),
        LayerExpr::CommunityId(d) if !digests.is_empty() && d[0] > 20 => *d = digests[usize::from(d[0]) % digests.len()],
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_index_selects_what_a_plain_scan_selects(
        given in packets(),
        mut selections in proptest::collection::vec(selection(), 24),
        finish in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(dir.path()).unwrap();
        let writers = write(&data, &given, finish);
        let all = plain(&given);
        let keys = all.iter().flat_map(|p| p.decoded().layers.iter().filter_map(FlowKey::of).collect::<Vec<_>>());
        let digests: Vec<[u8; 20]> = keys.filter_map(|(k, _)| community_digest(&k)).collect();
        for selection in &mut selections {
            if let Expr::Layer(layer) = &mut selection.expr {
                with_real_ids(layer, &digests);
            }
            if selection.window.from < selection.window.to {
                hold(&data, selection, &all)?;
            }
        }
        drop(writers);
    }
}

#[test]
fn a_granule_that_was_given_up_is_named_by_the_order_of_time_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "eth0", None).unwrap();
    let options = StreamOptions { segment_bytes: 4 << 20, segment_flows: 1000, imported: true, reserve: 1, segment_age: None };
    let stream = ring.stream(StreamId { fanout: 0, link_type: LinkType::ETHERNET }, options);
    for _ in 0..300 {
        for time in [1000, 2000] {
            // Two of them make a granule that is not joined with others.
            let packet = Packet { time: Timestamp::from_nanos(time), original_length: 2100, data: &[0x55; 2100], options: &[] };
            stream.append(&packet).unwrap();
        }
        stream.publish().unwrap();
    }
    ring.finish().unwrap();
    let path = data.ring_path("eth0").join("0000000001.pcapng");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(crate::ring::check::check(data.path(), true).unwrap().findings[0].mended);
    let outcome = cut(&data, &Selection::everything(), Format::Pcapng, &mut Vec::new()).unwrap();
    let damaged = |r: &&super::coverage::Reason| r.reason == super::coverage::ReasonKind::Damaged;
    assert_eq!((outcome.packets, outcome.coverage.reasons.iter().filter(damaged).count()), (598, 1));
}
