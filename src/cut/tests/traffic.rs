//! Random packets out of small pools, so that they meet: tags, tunnels, fragments, headers that are cut or changed, times that run backwards.

use proptest::prelude::*;

/// What is done after a packet.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Then {
    Nothing,
    Publish,
    Seal,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Tunnel {
    None,
    Vxlan,
    Gre,
    IpInIp,
}

/// A packet to be written.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) interface: usize,
    /// Raw IP, not Ethernet.
    pub(super) raw: bool,
    pub(super) time: u64,
    pub(super) original_length: u32,
    pub(super) data: Vec<u8>,
    pub(super) commented: bool,
    pub(super) then: Then,
}

/// One IP layer.
#[derive(Clone, Debug)]
struct Ip {
    ip6: bool,
    ends: (u8, u8),
    ports: (u16, u16),
    protocol: u8,
    /// Offset in units of eight bytes, whether more follow, identification.
    fragment: Option<(u16, bool, u16)>,
}

pub(super) const PORTS: [u16; 5] = [53, 80, 445, 4789, 50_000];
pub(super) const VLANS: [u16; 4] = [1, 7, 100, 4095];
pub(super) const PROTOCOLS: [u8; 7] = [6, 17, 1, 58, 132, 47, 200];
/// Most are near each other; a packet without a time and one far off are among them.
pub(super) const TIMES: [u64; 3] = [0, 1_600_000_000_000_000_000, 1_700_000_000_000_000_000];

/// So many packets go into one segment.
pub(super) const MANY: usize = 300;

fn pick<T: Copy + std::fmt::Debug + 'static>(pool: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(pool)
}

pub(super) fn address4(n: u8) -> [u8; 4] {
    [10, n / 2, 0, n]
}

pub(super) fn address6(n: u8) -> [u8; 16] {
    [0x20, 1, 0x0d, 0xb8, 0, n / 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]
}

fn ip() -> impl Strategy<Value = Ip> {
    let fragment = prop_oneof![
        6 => Just(None),
        1 => (0_u16..3).prop_map(|id| Some((0, true, id))),
        2 => (1_u16..4, any::<bool>(), 0_u16..3).prop_map(Some),
    ];
    (any::<bool>(), (0_u8..5, 0_u8..5), (pick(&PORTS), pick(&PORTS)), pick(&PROTOCOLS), fragment)
        .prop_map(|(ip6, ends, ports, protocol, fragment)| Ip { ip6, ends, ports, protocol, fragment })
}

fn transport(ip: &Ip, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match ip.protocol {
        1 | 58 => out.extend([ip.ports.0 as u8, ip.ports.1 as u8, 0, 0, 0, 1, 0, 1]),
        47 => out.extend([0, 0, 0x65, 0x58]),
        _ => {
            out.extend(ip.ports.0.to_be_bytes());
            out.extend(ip.ports.1.to_be_bytes());
            out.extend(((8 + payload.len()) as u16).to_be_bytes());
            out.extend([0, 0]);
            if ip.protocol == 6 {
                out.extend([0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
            }
        }
    }
    out.extend(payload);
    out
}

fn network(ip: &Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if ip.ip6 {
        let length = payload.len() + if ip.fragment.is_some() { 8 } else { 0 };
        out.extend([0x60, 0, 0, 0, (length >> 8) as u8, length as u8, if ip.fragment.is_some() { 44 } else { protocol }, 64]);
        out.extend(address6(ip.ends.0));
        out.extend(address6(ip.ends.1));
        if let Some((offset, more, id)) = ip.fragment {
            out.extend([protocol, 0]);
            out.extend((offset << 3 | u16::from(more)).to_be_bytes());
            out.extend(u32::from(id).to_be_bytes());
        }
    } else {
        let (offset, more, id) = ip.fragment.unwrap_or_default();
        out.extend([0x45, 0]);
        out.extend(((20 + payload.len()) as u16).to_be_bytes());
        out.extend(id.to_be_bytes());
        out.extend((offset | u16::from(more) << 13).to_be_bytes());
        out.extend([64, protocol, 0, 0]);
        out.extend(address4(ip.ends.0));
        out.extend(address4(ip.ends.1));
    }
    out.extend(payload);
    out
}

fn frame(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for (i, tag) in tags.iter().enumerate() {
        out.extend(if i + 1 < tags.len() { [0x88, 0xa8] } else { [0x81, 0] });
        out.extend(tag.to_be_bytes());
    }
    out.extend(ethertype.to_be_bytes());
    out.extend(payload);
    out
}

fn ip_frame(tags: &[u16], ip: &Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame(tags, if ip.ip6 { 0x86dd } else { 0x0800 }, &network(ip, protocol, payload))
}

/// The bytes of a packet: raw IP or Ethernet.
fn bytes(raw: bool, tags: &[u16], outer: &Ip, tunnel: Tunnel, inner_tags: &[u16], inner: &Ip, pad: usize) -> Vec<u8> {
    let plain = transport(inner, &vec![0x61; pad]);
    let (protocol, payload) = match tunnel {
        Tunnel::None => (outer.protocol, transport(outer, &vec![0x61; pad])),
        Tunnel::Vxlan => {
            let mut inside = vec![8, 0, 0, 0, 0, 0, 7, 0];
            inside.extend(ip_frame(inner_tags, inner, inner.protocol, &plain));
            (17, transport(&Ip { ports: (50_000, 4789), protocol: 17, ..outer.clone() }, &inside))
        }
        Tunnel::Gre => {
            let mut inside = vec![0, 0, 0x65, 0x58];
            inside.extend(ip_frame(inner_tags, inner, inner.protocol, &plain));
            (47, inside)
        }
        Tunnel::IpInIp => (if inner.ip6 { 41 } else { 4 }, network(inner, inner.protocol, &plain)),
    };
    if raw { network(outer, protocol, &payload) } else { ip_frame(tags, outer, protocol, &payload) }
}

fn data(raw: bool) -> BoxedStrategy<Vec<u8>> {
    let tags = || proptest::collection::vec(pick(&VLANS), 0..4);
    let tunnel =
        prop_oneof![4 => Just(Tunnel::None), 1 => Just(Tunnel::Vxlan), 1 => Just(Tunnel::Gre), 1 => Just(Tunnel::IpInIp)];
    let pad = prop_oneof![8 => 0_usize..60, 1 => 3000_usize..9000];
    let whole = (tags(), ip(), tunnel, tags(), ip(), pad)
        .prop_map(move |(tags, outer, tunnel, inner_tags, inner, pad)| {
            // Tags are rare enough that packets without meet too.
            let some = |t: &[u16]| t[..t.len().saturating_sub(1)].to_vec();
            bytes(raw, &some(&tags), &outer, tunnel, &some(&inner_tags), &inner, pad)
        })
        .boxed();
    let arp = (tags(), 0_u8..5, 0_u8..5).prop_map(|(tags, a, b)| {
        let body = [&[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1][..], &address4(a), &[0; 6], &address4(b)].concat();
        frame(&tags, 0x0806, &body)
    });
    let garbage = proptest::collection::vec(any::<u8>(), 0..80);
    let cut = (whole.clone(), 0_usize..90).prop_map(|(mut d, n)| {
        d.truncate(n);
        d
    });
    let changed = (whole.clone(), 0_usize..90, any::<u8>()).prop_map(|(mut d, at, byte)| {
        if let Some(b) = d.get_mut(at) {
            *b = byte;
        }
        d
    });
    prop_oneof![8 => whole, 1 => arp, 1 => garbage, 1 => cut, 1 => changed].boxed()
}

/// Packets in the order in which they are written.
pub(super) fn packets() -> impl Strategy<Value = Vec<Given>> {
    let time = prop_oneof![
        8 => (0_u64..3000).prop_map(|n| TIMES[1] + n),
        4 => (0_u64..200).prop_map(|n| TIMES[1] + n * 1_000_000_000),
        1 => pick(&TIMES),
    ];
    let then = |seal: u32| prop_oneof![20 => Just(Then::Nothing), 8 => Just(Then::Publish), seal => Just(Then::Seal)];
    let one = move |then| {
        (0_usize..2, prop_oneof![3 => Just(false), 1 => Just(true)], time.clone(), proptest::bool::weighted(0.1), 0_u32..2, then)
            .prop_flat_map(|(interface, raw, time, commented, longer, then)| {
                data(raw).prop_map(move |data| Given {
                    interface,
                    raw,
                    time,
                    original_length: data.len() as u32 + longer * 1000,
                    data,
                    commented,
                    then,
                })
            })
            .boxed()
    };
    // Sometimes in order of time, sometimes so disordered over so many granules that the time order is stored.
    let many = proptest::collection::vec(one(Just(Then::Nothing).boxed()), MANY..MANY + 60).prop_map(|mut packets| {
        for (i, p) in packets.iter_mut().enumerate() {
            (p.interface, p.raw, p.time) = (0, false, p.time.max(1));
            p.then = if i % 3 == 2 { Then::Publish } else { Then::Nothing };
        }
        packets
    });
    let few = proptest::collection::vec(one(then(1).boxed()), 1..120);
    let ordered = proptest::collection::vec(one(then(2).boxed()), 1..120).prop_map(|mut packets| {
        let mut times: Vec<u64> = packets.iter().map(|p| p.time).collect();
        times.sort_unstable();
        packets.iter_mut().zip(times).for_each(|(p, t)| p.time = t);
        packets
    });
    prop_oneof![6 => few, 6 => ordered, 1 => many]
}
