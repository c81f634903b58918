//! Captures of our own making: frames, capture files and mixed traffic, from a seed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Where made traffic begins: 2018-06-21T10:42:00Z.
pub(crate) const START: u64 = 1_529_577_720 * SECOND;

/// Random numbers that a seed repeats (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// A packet to be written: nanoseconds since 1970, length on the wire, bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) time: u64,
    pub(crate) orig_len: u32,
    pub(crate) data: Vec<u8>,
}

impl Made {
    pub(crate) fn new(time: u64, data: Vec<u8>) -> Self {
        Made { time, orig_len: data.len() as u32, data }
    }
}

// ---------------------------------------------------------------- frames

pub(crate) fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut o = Vec::new();
    o.extend(sport.to_be_bytes());
    o.extend(dport.to_be_bytes());
    o.extend((8 + payload.len() as u16).to_be_bytes());
    o.extend([0, 0]);
    o.extend(payload);
    o
}

pub(crate) fn tcp(sport: u16, dport: u16, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut o = Vec::new();
    o.extend(sport.to_be_bytes());
    o.extend(dport.to_be_bytes());
    o.extend(seq.to_be_bytes());
    o.extend(0_u32.to_be_bytes());
    o.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    o.extend(payload);
    o
}

/// An IP packet of either version, by the addresses (which must be of one version).
pub(crate) fn ip(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => ip4_fragment(s, d, proto, 0, 0, false, payload),
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let mut o = vec![0x60, 0, 0, 0];
            o.extend((payload.len() as u16).to_be_bytes());
            o.extend([proto, 64]);
            o.extend(s.octets());
            o.extend(d.octets());
            o.extend(payload);
            o
        }
        _ => panic!("one version of IP a packet"),
    }
}

/// An IPv4 packet; `offset` in bytes (a multiple of 8).
pub(crate) fn ip4_fragment(s: Ipv4Addr, d: Ipv4Addr, proto: u8, id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut o = vec![0x45, 0];
    o.extend((20 + payload.len() as u16).to_be_bytes());
    o.extend(id.to_be_bytes());
    o.extend(((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    o.extend([64, proto, 0, 0]);
    o.extend(s.octets());
    o.extend(d.octets());
    let sum: u32 = o.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    o[10..12].copy_from_slice(&sum.to_be_bytes());
    o.extend(payload);
    o
}

/// An Ethernet frame with VLAN tags, outermost first.
pub(crate) fn ethernet(tags: &[u16], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut o = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (i, tag) in tags.iter().enumerate() {
        o.extend(if i + 1 < tags.len() { 0x88a8_u16 } else { 0x8100 }.to_be_bytes());
        o.extend(tag.to_be_bytes());
    }
    o.extend(ether_type.to_be_bytes());
    o.extend(payload);
    o
}

/// An Ethernet frame around an IP packet.
pub(crate) fn ethernet_ip(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    ethernet(tags, if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 }, packet)
}

pub(crate) fn arp(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut o = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    o.extend(sender.octets());
    o.extend([0; 6]);
    o.extend(target.octets());
    ethernet(&[], 0x0806, &o)
}

pub(crate) fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub(crate) fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A plain UDP frame with `n` in its payload, so that no two are alike.
pub(crate) fn numbered(src: &str, dst: &str, n: u64, len: usize) -> Vec<u8> {
    let mut payload = n.to_be_bytes().to_vec();
    payload.resize(len.max(8), (n % 251) as u8);
    ethernet_ip(&[], &ip(addr(src), addr(dst), 17, &udp(4000, 53, &payload)))
}

/// Frames of many kinds between few hosts; each holds its number, so that none is alike another. About `mean_len` bytes of payload.
pub(crate) fn frame(r: &mut Random, n: u64, mean_len: u64) -> Vec<u8> {
    let host = |r: &mut Random| 1 + r.below(5).min(r.below(40)) as u8;
    let (a, b) = (host(r), 100 + host(r));
    let (a, b) = if r.one_in(2) { (a, b) } else { (b, a) };
    let v4 = |x: u8| IpAddr::V4(Ipv4Addr::new(10, 1, x / 64, x));
    let v6 = |x: u8| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(x)));
    let mut payload = n.to_be_bytes().to_vec();
    payload.resize(8 + r.below(2 * mean_len + 1) as usize, (n % 251) as u8);
    let port = *r.pick(&[53, 80, 443, 445, 8080]);
    let high = 40_000 + r.below(200) as u16;
    let (sport, dport) = if a < 100 { (high, port) } else { (port, high) };
    let inner = if r.one_in(3) { udp(sport, dport, &payload) } else { tcp(sport, dport, n as u32, 0x18, &payload) };
    let proto = if inner.len() == 8 + payload.len() { 17 } else { 6 };
    match r.below(20) {
        0..12 => ethernet_ip(&[], &ip(v4(a), v4(b), proto, &inner)),
        12..15 => ethernet_ip(&[], &ip(v6(a), v6(b), proto, &inner)),
        15 => ethernet_ip(&[10], &ip(v4(a), v4(b), proto, &inner)),
        16 => ethernet_ip(&[10, 20], &ip(v4(a), v4(b), proto, &inner)),
        17 => {
            let mut o = arp(Ipv4Addr::new(10, 1, a / 64, a), Ipv4Addr::new(10, 1, b / 64, b));
            o.extend(payload);
            o
        }
        18 => ethernet_ip(&[], &ip(v4(200), v4(201), 4, &ip(v4(a), v4(b), proto, &inner))),
        _ => ethernet(&[], 0x88b5, &payload),
    }
}

/// `count` packets in time order, `step` nanoseconds apart on average (equal times occur).
pub(crate) fn traffic(seed: u64, count: usize, step: u64, mean_len: u64) -> Vec<Made> {
    let mut r = Random(seed);
    let mut time = START;
    (0..count)
        .map(|n| {
            time += if r.one_in(5) { 0 } else { r.below(2 * step + 1) };
            Made::new(time, frame(&mut r, n as u64, mean_len))
        })
        .collect()
}

// ---------------------------------------------------------------- capture files

/// Byte order of a file that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, o: &mut Vec<u8>, x: u16) {
        o.extend(if self == Order::Little { x.to_le_bytes() } else { x.to_be_bytes() });
    }

    pub(crate) fn u32(self, o: &mut Vec<u8>, x: u32) {
        o.extend(if self == Order::Little { x.to_le_bytes() } else { x.to_be_bytes() });
    }

    pub(crate) fn u64(self, o: &mut Vec<u8>, x: u64) {
        o.extend(if self == Order::Little { x.to_le_bytes() } else { x.to_be_bytes() });
    }
}

/// A classic pcap file with the given magic number (which decides micro- or nanoseconds).
pub(crate) fn pcap_as(order: Order, magic: u32, link: u32, snaplen: u32, packets: &[Made]) -> Vec<u8> {
    let mut o = Vec::new();
    order.u32(&mut o, magic);
    order.u16(&mut o, 2);
    order.u16(&mut o, 4);
    order.u32(&mut o, 0);
    order.u32(&mut o, 0);
    order.u32(&mut o, snaplen);
    order.u32(&mut o, link);
    for p in packets {
        order.u32(&mut o, (p.time / SECOND) as u32);
        let fraction = (p.time % SECOND) as u32;
        order.u32(&mut o, if magic == 0xa1b2_3c4d { fraction } else { fraction / 1000 });
        order.u32(&mut o, p.data.len() as u32);
        order.u32(&mut o, p.orig_len);
        if magic == 0xa1b2_cd34 {
            o.extend([0; 8]);
        }
        o.extend(&p.data);
    }
    o
}

/// A nanosecond pcap file of Ethernet frames.
pub(crate) fn pcap(packets: &[Made]) -> Vec<u8> {
    pcap_as(Order::Little, 0xa1b2_3c4d, 1, 262_144, packets)
}

/// A pcapng file that grows block by block.
pub(crate) struct PcapNg {
    pub(crate) bytes: Vec<u8>,
    pub(crate) order: Order,
}

/// An option of a block: code and value.
pub(crate) type Opt<'a> = (u16, &'a [u8]);

impl PcapNg {
    /// A file with one section begun.
    pub(crate) fn new(order: Order) -> Self {
        let mut f = PcapNg { bytes: Vec::new(), order };
        f.section(order, &[]);
        f
    }

    pub(crate) fn section(&mut self, order: Order, options: &[Opt<'_>]) {
        self.order = order;
        let mut body = Vec::new();
        order.u32(&mut body, 0x1a2b_3c4d);
        order.u16(&mut body, 1);
        order.u16(&mut body, 0);
        order.u64(&mut body, u64::MAX);
        self.block(0x0a0d_0d0a, &body, options);
    }

    pub(crate) fn block(&mut self, kind: u32, body: &[u8], options: &[Opt<'_>]) {
        let order = self.order;
        let mut all = body.to_vec();
        all.resize(all.len().next_multiple_of(4), 0);
        for (code, value) in options {
            order.u16(&mut all, *code);
            order.u16(&mut all, value.len() as u16);
            all.extend(*value);
            all.resize(all.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            all.extend([0; 4]);
        }
        let total = all.len() as u32 + 12;
        order.u32(&mut self.bytes, kind);
        order.u32(&mut self.bytes, total);
        self.bytes.extend(all);
        order.u32(&mut self.bytes, total);
    }

    /// An interface with any options.
    pub(crate) fn interface_with(&mut self, link: u16, snaplen: u32, options: &[Opt<'_>]) {
        let mut body = Vec::new();
        self.order.u16(&mut body, link);
        self.order.u16(&mut body, 0);
        self.order.u32(&mut body, snaplen);
        self.block(1, &body, options);
    }

    /// An interface in nanoseconds, with or without a name.
    pub(crate) fn interface(&mut self, link: u16, name: Option<&[u8]>) {
        let resolution: Opt<'_> = (9, &[9]);
        match name {
            Some(name) => self.interface_with(link, 262_144, &[(2, name), resolution]),
            None => self.interface_with(link, 262_144, &[resolution]),
        }
    }

    /// An enhanced packet block; `ticks` in the interface's own unit.
    pub(crate) fn enhanced(&mut self, interface: u32, ticks: u64, orig_len: u32, data: &[u8], options: &[Opt<'_>]) {
        let order = self.order;
        let mut body = Vec::new();
        order.u32(&mut body, interface);
        order.u32(&mut body, (ticks >> 32) as u32);
        order.u32(&mut body, ticks as u32);
        order.u32(&mut body, data.len() as u32);
        order.u32(&mut body, orig_len);
        body.extend(data);
        self.block(6, &body, options);
    }

    pub(crate) fn packet(&mut self, interface: u32, p: &Made) {
        self.enhanced(interface, p.time, p.orig_len, &p.data, &[]);
    }

    pub(crate) fn simple(&mut self, orig_len: u32, data: &[u8]) {
        let mut body = Vec::new();
        self.order.u32(&mut body, orig_len);
        body.extend(data);
        self.block(3, &body, &[]);
    }

    /// An obsolete packet block.
    pub(crate) fn obsolete(&mut self, interface: u16, ticks: u64, orig_len: u32, data: &[u8], options: &[Opt<'_>]) {
        let order = self.order;
        let mut body = Vec::new();
        order.u16(&mut body, interface);
        order.u16(&mut body, 0);
        order.u32(&mut body, (ticks >> 32) as u32);
        order.u32(&mut body, ticks as u32);
        order.u32(&mut body, data.len() as u32);
        order.u32(&mut body, orig_len);
        body.extend(data);
        self.block(2, &body, options);
    }

    /// A name resolution block with one IPv4 name.
    pub(crate) fn name_resolution(&mut self, address: Ipv4Addr, name: &str) {
        let mut body = Vec::new();
        let mut record = address.octets().to_vec();
        record.extend(name.as_bytes());
        record.push(0);
        self.order.u16(&mut body, 1);
        self.order.u16(&mut body, record.len() as u16);
        body.extend(record);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([0; 4]);
        self.block(4, &body, &[]);
    }

    /// A decryption secrets block with a TLS key log.
    pub(crate) fn secrets(&mut self, text: &str) {
        let mut body = Vec::new();
        self.order.u32(&mut body, 0x544c_534b);
        self.order.u32(&mut body, text.len() as u32);
        body.extend(text.as_bytes());
        self.block(10, &body, &[]);
    }
}

/// A pcapng file of one Ethernet interface.
pub(crate) fn pcapng(name: &str, packets: &[Made]) -> Vec<u8> {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(name.as_bytes()));
    for p in packets {
        f.packet(0, p);
    }
    f.bytes
}
