//! How large a sealed index is, of generated traffic through the real writer: under 1 % of packet bytes at 700 bytes a packet and 20 packets a
//! flow, under 4 % at 100 bytes and 50, at most 80 bytes a flow (IPv6 112) and 2 a packet and layer. Two tables are apart: granules, under 0.4 %,
//! and the time order that only deeply disordered segments have, 2 bytes a packet.

use super::data::DataDir;
use super::files::LazyFile;
use super::footer::Table;
use super::ids::StreamId;
use super::ring_writer::RingWriter;
use super::sealed::SealedIndex;
use super::writer::StreamOptions;
use crate::packet::{LinkType, Packet};
use crate::time::{SECOND_NS, Timestamp};
use std::fs;
use std::sync::Arc;

/// In which order the packets of all flows come.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// One of each flow in turn: every flow is everywhere.
    Turns,
    /// Flow after flow.
    Runs,
    /// As it comes.
    Random,
}

#[derive(Clone, Copy, Debug)]
struct Traffic {
    flows: u64,
    /// Packets a flow.
    each: u64,
    /// Bytes of a packet from the IP header on.
    size: usize,
    ip6: bool,
    order: Order,
    /// How long all of it takes.
    seconds: u64,
    /// Packets of VXLAN: two flows each.
    tunnel: bool,
}

const PLAIN: Traffic = Traffic { flows: 0, each: 0, size: 0, ip6: false, order: Order::Turns, seconds: 3600, tunnel: false };

/// What it came to.
#[derive(Debug, Default)]
struct Sizes {
    flows: u64,
    packets: u64,
    /// Captured bytes.
    bytes: u64,
    /// The index but its granule table.
    index: u64,
    granules: u64,
}

/// Spreads numbers over all 64 bits.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// An IP packet of UDP whose flow is told by `flow`; `reply` turns it around.
fn datagram(out: &mut Vec<u8>, flow: u64, ip6: bool, size: usize, reply: bool) {
    let start = out.len();
    let words = [mix(flow), mix(flow ^ 1 << 40), mix(flow ^ 1 << 41), mix(flow ^ 1 << 42), mix(flow ^ 1 << 43)];
    let mut ends: Vec<[u8; 16]> =
        words[..4].chunks(2).map(|w| (u128::from(w[0]) << 64 | u128::from(w[1])).to_be_bytes()).collect();
    // Not VXLAN's, GENEVE's or another tunnel's port.
    let mut ports = [20_000 + (words[4] % 20_000) as u16, 40_001 + (words[4] >> 32) as u16 % 20_000];
    if reply {
        ends.reverse();
        ports.reverse();
    }
    let head = if ip6 {
        out.extend([0x60, 0, 0, 0]);
        out.extend(((size - 40) as u16).to_be_bytes());
        out.extend([17, 64]);
        ends.iter().for_each(|e| out.extend(e));
        40
    } else {
        out.extend([0x45, 0]);
        out.extend((size as u16).to_be_bytes());
        out.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        ends.iter().for_each(|e| out.extend(&e[..4]));
        20
    };
    ports.iter().for_each(|p| out.extend(p.to_be_bytes()));
    out.extend(((size - head) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.resize(start + size, 0);
}

fn packet(out: &mut Vec<u8>, t: &Traffic, flow: u64, reply: bool) {
    out.clear();
    if t.tunnel {
        let inner = t.size - 50;
        datagram(out, !flow, false, t.size, reply);
        out[22..24].copy_from_slice(&4789_u16.to_be_bytes());
        out.truncate(28);
        out.extend([8, 0, 0, 0, 0, 0, 7, 0]);
        out.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        datagram(out, flow, false, inner, reply);
    } else {
        datagram(out, flow, t.ip6, t.size, reply);
    }
}

fn sizes(t: &Traffic) -> Sizes {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(dir.path()).unwrap();
    let mut ring = RingWriter::open(&data, "x", None).unwrap();
    // Raw IP: no byte of a link layer flatters the figures.
    let stream = StreamId { fanout: 0, link_type: LinkType(101) };
    let options =
        StreamOptions { segment_bytes: 256 << 20, segment_flows: 400_000, imported: true, reserve: 1, segment_age: None };
    let writer = ring.stream(stream, options);
    let mut bytes = Vec::new();
    let total = t.flows * t.each;
    let step = t.seconds * SECOND_NS / total;
    for i in 0..total {
        let flow = match t.order {
            Order::Turns => i % t.flows,
            Order::Runs => i / t.each,
            Order::Random => mix(i) % t.flows,
        };
        packet(&mut bytes, t, flow, mix(i) & 1 << 50 != 0);
        let time = Timestamp::from_nanos(1_600_000_000 * SECOND_NS + i * step + mix(i) % step);
        writer.append(&Packet { time, original_length: bytes.len() as u32, data: &bytes, options: &[] }).unwrap();
    }
    ring.finish().unwrap();
    let mut sum = Sizes { packets: total, bytes: total * t.size as u64, ..Sizes::default() };
    for entry in fs::read_dir(data.ring_path("x")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "idx") {
            let size = fs::metadata(&path).unwrap().len();
            let index = SealedIndex::open(LazyFile::new(path, Arc::default()), size, Arc::default()).unwrap();
            let granules = index.footer().table(Table::Granules).count * 16;
            sum.granules += granules;
            sum.index += size - granules;
            sum.flows += index.flow_count();
        }
    }
    sum
}

fn percent(part: u64, of: u64) -> f64 {
    100.0 * part as f64 / of as f64
}

/// What holds of any traffic; `packets` counts a packet once a layer.
fn hold(t: &Traffic) -> Sizes {
    let s = sizes(t);
    let layers = if t.tunnel { 2 } else { 1 };
    let most = s.flows * if t.ip6 { 112 } else { 80 } + 2 * s.packets * layers;
    let told = format!(
        "{t:?}\n{s:?}: index {:.3} %, granules {:.3} %, {:.2} bytes a flow, {:.2} beside 2 a packet",
        percent(s.index, s.bytes),
        percent(s.granules, s.bytes),
        s.index as f64 / s.flows as f64,
        (s.index as f64 - 2.0 * (s.packets * layers) as f64) / s.flows as f64
    );
    println!("{told}");
    assert!(s.index <= most, "over {most} bytes: {told}");
    assert!(percent(s.granules, s.bytes) < 0.4, "{told}");
    s
}

#[test]
fn long_flows_of_ordinary_packets_cost_under_one_percent() {
    for (ip6, order) in [(false, Order::Turns), (true, Order::Turns), (true, Order::Random), (true, Order::Runs)] {
        let t = Traffic { flows: 4800, each: 20, size: 700, ip6, order, ..PLAIN };
        let s = hold(&t);
        assert!(percent(s.index, s.bytes) < 1.0, "{t:?} {s:?}");
    }
}

#[test]
fn long_flows_of_small_packets_cost_under_four_percent() {
    for (ip6, order) in [(false, Order::Random), (true, Order::Turns)] {
        let t = Traffic { flows: 18_000, each: 50, size: 100, ip6, order, ..PLAIN };
        let s = hold(&t);
        assert!(percent(s.index, s.bytes) < 4.0, "{t:?} {s:?}");
    }
}

#[test]
fn no_traffic_costs_more_than_a_flow_and_a_packet_may() {
    for t in [
        // A scan, or a spoofed flood.
        Traffic { flows: 100_000, each: 1, size: 40, ..PLAIN },
        Traffic { flows: 100_000, each: 1, size: 60, ip6: true, ..PLAIN },
        // The same over a year: every time takes nine bytes.
        Traffic { flows: 50_000, each: 2, size: 60, ip6: true, seconds: 365 * 86_400, ..PLAIN },
        Traffic { flows: 50_000, each: 2, size: 40, order: Order::Random, seconds: 365 * 86_400, ..PLAIN },
        // A few flows in every granule, with packets that have one each.
        Traffic { flows: 10, each: 1000, size: 9000, ..PLAIN },
        Traffic { flows: 10_000, each: 1, size: 8200, ..PLAIN },
        // Two layers.
        Traffic { flows: 2000, each: 100, size: 400, tunnel: true, ..PLAIN },
        Traffic { flows: 50_000, each: 1, size: 100, tunnel: true, ..PLAIN },
    ] {
        hold(&t);
    }
}
