//! A reader made from FORMAT.md alone: it shares no code with the ring. It also says what it reads, for the committed texts.

use std::collections::HashMap;
use std::net::IpAddr;

/// What stands at which byte.
pub(super) type Remarks = Vec<(usize, String)>;

/// A number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// CRC-32C, bit by bit.
pub(super) fn crc(parts: &[&[u8]]) -> u32 {
    let bits = parts.iter().flat_map(|p| p.iter()).fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
        crc
    });
    !bits
}

fn holds(part: &[u8], at: usize) -> bool {
    u64::from(crc(&[&part[..at]])) == number(part, at, 4)
}

fn address(host: IpAddr) -> Vec<u8> {
    match host {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

/// Whether a packet of Ethernet is from or to a host.
pub(super) fn has_address(packet: &[u8], host: IpAddr) -> bool {
    let mut at = 12;
    while packet.get(at..at + 2) == Some(&[0x81, 0]) {
        at += 4;
    }
    let places = match (packet.get(at..at + 2), host) {
        (Some([0x08, 0x00]), IpAddr::V4(_)) => [14, 18],
        (Some([0x08, 0x06]), IpAddr::V4(_)) => [16, 26],
        (Some([0x86, 0xdd]), IpAddr::V6(_)) => [10, 26],
        _ => return false,
    };
    let host = address(host);
    places.iter().any(|p| packet.get(at + p..at + p + host.len()) == Some(&host))
}

/// Remarks on the blocks of a packet file.
pub(super) fn packet_file(bytes: &[u8], remarks: &mut Remarks) {
    let mut at = 0;
    while at < bytes.len() {
        let (kind, length) = (number(bytes, at, 4), number(bytes, at + 4, 4) as usize);
        let what = match kind {
            0x0a0d_0d0a => {
                "section header: byte order, version, unspecified length; shb_userappl, sensor and segment and fan-out"
            }
            1 => "interface: link type, snap length; if_name, if_tsresol",
            5 => "interface statistics: time; first and last time, received, dropped by the interface and by the system",
            6 => "packet: interface, time (high, low), captured and original length; data, options",
            _ => "a block that FORMAT.md does not know",
        };
        remarks.push((at, what.into()));
        assert_eq!(number(bytes, at + length - 4, 4) as usize, length);
        at += length;
    }
}

/// Times and data of the packets in a granule.
fn packets(granule: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut at, mut out) = (0, Vec::new());
    while at < granule.len() {
        assert_eq!((number(granule, at, 4), number(granule, at + 8, 4)), (6, 0), "an enhanced packet block of interface 0");
        let time = number(granule, at + 12, 4) << 32 | number(granule, at + 16, 4);
        let captured = number(granule, at + 20, 4) as usize;
        out.push((time, &granule[at + 28..at + 28 + captured]));
        at += number(granule, at + 4, 4) as usize;
    }
    out
}

/// A granule, and between which times an index says that its packets are.
#[derive(Clone, Debug)]
struct Granule {
    at: usize,
    length: usize,
    crc: u32,
    low: u64,
    high: u64,
    /// How much lower and higher they may be than the packets.
    coarse: [u64; 2],
}

impl Granule {
    fn logged(entry: &[u8], at: u64) -> Granule {
        let (length, low) = (number(entry, 0, 4), number(entry, 8, 8));
        assert_eq!(length >> 28, 0, "stored as it is");
        Granule {
            at: at as usize,
            length: (length & 0x0fff_ffff) as usize,
            crc: number(entry, 4, 4) as u32,
            low,
            high: low + 1024 * number(entry, 16, 4),
            coarse: [0, 1023],
        }
    }

    fn sealed(entry: &[u8], next: &[u8], base: u64, shift: u64) -> Granule {
        assert_eq!(entry[15], 0, "stored as it is");
        let (at, end) = (4 * number(entry, 0, 4), 4 * number(next, 0, 4));
        let from = number(entry, 8, 4);
        let low = if from == 0 { 0 } else { base + ((from - 1) << shift) };
        Granule {
            at: at as usize,
            length: (end - at) as usize,
            crc: number(entry, 4, 4) as u32,
            low,
            high: low.max(base) + (number(entry, 12, 3) << (shift + 8)),
            coarse: [(1 << shift) - 1, (1 << (shift + 8)) - 1],
        }
    }

    /// Its packets, after its bytes and times were checked.
    fn packets<'a>(&self, file: &'a [u8]) -> Vec<(u64, &'a [u8])> {
        let bytes = &file[self.at..self.at + self.length];
        assert_eq!(crc(&[bytes]), self.crc);
        let found = packets(bytes);
        let (low, high) = (found.iter().map(|p| p.0).min().unwrap(), found.iter().map(|p| p.0).max().unwrap());
        assert!((self.low..=self.low + self.coarse[0]).contains(&low), "{low} {self:?}");
        assert!((high..=high + self.coarse[1]).contains(&self.high), "{high} {self:?}");
        found
    }
}

fn packets_of(host: IpAddr, granules: impl Iterator<Item = Granule>, file: &[u8]) -> Vec<u64> {
    let of = |g: Granule| g.packets(file).into_iter().filter(|p| has_address(p.1, host)).map(|p| p.0).collect::<Vec<_>>();
    granules.flat_map(of).collect()
}

/// Kind 4, whose packets may match anything.
fn is_odd(key: &[u8]) -> bool {
    key[key.len() - 1] & 7 == 4
}

/// A growing segment, as its log tells it.
pub(super) struct Growing {
    pub(super) complete_to: Option<u64>,
    granules: Vec<Granule>,
    /// For each granule its flow numbers.
    flows: Vec<Vec<u64>>,
    /// All keys but IPv6, and IPv6.
    keys: [Vec<Vec<u8>>; 2],
}

impl Growing {
    pub(super) fn read(log: &[u8], remarks: &mut Remarks) -> Growing {
        let mut say = |at: usize, what: String| remarks.push((at, what));
        assert_eq!((&log[..8], number(log, 8, 4)), (&b"TLOOPLOG"[..], 1));
        assert!(holds(log, 48));
        for (at, what) in [
            (0, "magic, version, flags"),
            (16, "sensor"),
            (32, "segment; fan-out, link type; where granules begin; CRC"),
            (52, "not read"),
            (4096, "the first record"),
        ] {
            say(at, what.into());
        }
        let mut state = None;
        for at in [1024, 2048] {
            let copy = &log[at..at + 40];
            if holds(copy, 32) {
                say(at, "state: sequence, complete_to, stretch of capture, CRC".into());
                say(at + 40, "not read".into());
                state = state.max(Some((number(copy, 0, 8), number(copy, 8, 8))));
            }
        }
        let mut out =
            Growing { complete_to: state.map(|s| s.1), granules: Vec::new(), flows: Vec::new(), keys: [Vec::new(), Vec::new()] };
        let (mut at, mut sequence, mut end) = (4096, 0, number(log, 44, 4));
        while at + 16 <= log.len() {
            let length = number(log, at, 4) as usize;
            let Some(content) = log.get(at + 16..at + 16 + length) else { break };
            if number(log, at + 4, 4) != sequence || u64::from(crc(&[&log[at..at + 8], content])) != number(log, at + 8, 4) {
                break;
            }
            say(at, format!("record {sequence}: length, number, CRC"));
            say(at + 16, "counts: keys, IPv6 keys, granules, flow numbers, notes".into());
            say(at + 36, "section, flags, packets, truncated; lowest and highest time".into());
            let count = |i: usize| number(content, 4 * i, 4) as usize;
            let mut next = 56;
            let mut part = |n: usize, width: usize, what: &str| {
                if n > 0 {
                    say(at + 16 + next, format!("{n} {what}"));
                }
                let parts: Vec<&[u8]> = content[next..next + n * width].chunks(width).collect();
                next += n * width;
                parts
            };
            let granules = part(count(2), 20, "granules");
            let counts = part(count(2), 4, "counts of flow numbers");
            let mut numbers = part(count(3), 4, "flow numbers").into_iter().map(|n| number(n, 0, 4));
            out.keys[0].extend(part(count(0), 18, "keys").into_iter().map(<[u8]>::to_vec));
            out.keys[1].extend(part(count(1), 42, "IPv6 keys").into_iter().map(<[u8]>::to_vec));
            part(count(4), 40, "notes");
            assert_eq!(next, length);
            for (granule, n) in granules.into_iter().zip(counts) {
                let granule = Granule::logged(granule, end);
                end += granule.length as u64;
                out.granules.push(granule);
                out.flows.push(numbers.by_ref().take(number(n, 0, 4) as usize).collect());
            }
            at += 16 + length;
            sequence += 1;
        }
        out
    }

    /// Times of a host's packets, in order of arrival.
    pub(super) fn host(&self, host: IpAddr, file: &[u8]) -> Vec<u64> {
        let wanted = address(host);
        let may_hold = |flow: &u64| {
            let key = &self.keys[(flow >> 31) as usize][(flow & 0x7fff_ffff) as usize];
            let width = (key.len() - 10) / 2;
            is_odd(key) || key[..width] == wanted || key[width..2 * width] == wanted
        };
        let chosen = self.granules.iter().zip(&self.flows).filter(|(_, flows)| flows.iter().any(may_hold));
        packets_of(host, chosen.map(|c| c.0.clone()), file)
    }
}

/// A flow's figures.
pub(super) struct Figures {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    granules: Vec<u64>,
}

/// A sealed index.
pub(super) struct Sealed {
    payload: Vec<u8>,
    /// Payload position and number of entries.
    tables: Vec<(usize, usize)>,
    /// Base and shift of the granules' times.
    scale: (u64, u64),
    pub(super) facts: Vec<u8>,
}

const NAMES: [&str; 11] = [
    "granules, and where the last ends",
    "flows but IPv6: key, place of its details",
    "IPv6 flows: key, place of its details",
    "by b, but IPv6",
    "by b, IPv6",
    "ports: port, flow number",
    "Community ID: first of the digest, flow number",
    "details",
    "time order",
    "notes",
    "sections: from which granule on, section",
];
/// Of at most 65,536 granules.
const WIDTHS: [usize; 11] = [16, 24, 48, 4, 4, 6, 8, 1, 2, 40, 8];

impl Sealed {
    pub(super) fn read(index: &[u8], remarks: &mut Remarks) -> Sealed {
        let end = index.len() - 384;
        let footer = &index[end..];
        assert_eq!((&footer[..8], number(footer, 8, 4)), (&b"TLOOPIDX"[..], 1));
        assert!(holds(footer, 380));
        assert_eq!(number(footer, 32, 8) as usize, end);
        let mut payload = Vec::new();
        for (n, page) in index[..end].chunks(4096).enumerate() {
            let length = page.len() - 4;
            assert_eq!(u64::from(crc(&[&(n as u64).to_le_bytes(), &page[..length]])), number(page, length, 4));
            remarks.push((4096 * n + length, format!("CRC of page {n}")));
            payload.extend(&page[..length]);
        }
        let table = |i: usize| (number(footer, 48 + 16 * i, 8) as usize, number(footer, 56 + 16 * i, 8) as usize);
        let tables: Vec<(usize, usize)> = (0..11).map(table).collect();
        for (i, (at, count)) in tables.iter().enumerate().filter(|(_, t)| t.1 > 0) {
            remarks.push((at / 4092 * 4096 + at % 4092, format!("{}: {count}", NAMES[i])));
        }
        for (at, what) in [
            (0, "footer: magic, version, where granules begin"),
            (16, "sensor; bytes of all pages; not read"),
            (48, "place and number of entries of each table"),
            (224, "not read"),
            (240, "base and unit of the granules' times"),
            (252, "facts: segment, lowest and highest time, lowest but 0"),
            (284, "facts: stretch of capture, packets, bytes of both files, arrival (here a fixed time), drops"),
            (340, "facts: granules, fan-out, link type, sections, flags, truncated, recovered; not read; CRC"),
            (380, "CRC of the footer"),
        ] {
            remarks.push((end + at, what.into()));
        }
        let facts = footer[252..380].to_vec();
        assert!(holds(&facts, 124));
        let scale = (number(footer, 240, 8), number(footer, 248, 4));
        Sealed { payload, tables, scale, facts }
    }

    fn granule(&self, i: u64) -> Granule {
        let (base, shift) = self.scale;
        Granule::sealed(self.entry(0, i as usize), self.entry(0, i as usize + 1), base, shift)
    }

    fn count(&self, table: usize) -> usize {
        self.tables[table].1
    }

    fn entry(&self, table: usize, i: usize) -> &[u8] {
        let at = self.tables[table].0 + i * WIDTHS[table];
        &self.payload[at..at + WIDTHS[table]]
    }

    /// The first entry of `0 .. n` that is not before what is looked for.
    fn search(n: usize, is_before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, n);
        while low < high {
            let middle = (low + high) / 2;
            if is_before(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn details(&self, ip6: usize, rank: usize) -> Figures {
        let entry = self.entry(1 + ip6, rank);
        let mut at = self.tables[7].0 + number(entry, entry.len() - 6, 6) as usize;
        let mut leb128 = || {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = self.payload[at];
                at += 1;
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        };
        let first = number(&self.facts, 8, 8) + leb128();
        let last = first + leb128();
        let packets = [leb128(), leb128()];
        let bytes = [leb128(), leb128()];
        assert_eq!(leb128(), 0, "as many are stored as were seen");
        let mut granules = Vec::new();
        for i in 0..leb128() {
            let before = if i == 0 { 0 } else { granules[granules.len() - 1] };
            granules.push(before + leb128());
        }
        Figures { first, last, packets, bytes, granules }
    }

    /// Times of a host's packets, in order of arrival.
    pub(super) fn host(&self, host: IpAddr, file: &[u8]) -> Vec<u64> {
        let wanted = address(host);
        let width = wanted.len();
        let ip6 = usize::from(width == 16);
        let n = self.count(1 + ip6);
        let key = |i: usize| self.entry(1 + ip6, i);
        let mut found = Vec::new();
        let mut i = Self::search(n, |i| key(i)[..width] < wanted[..]);
        while i < n && key(i)[..width] == wanted {
            found.push((ip6, i));
            i += 1;
        }
        let flow = |i: usize| number(self.entry(3 + ip6, i), 0, 4) as usize;
        let b = |i: usize| &key(flow(i))[width..2 * width];
        let mut i = Self::search(n, |i| b(i) < &wanted[..]);
        while i < n && b(i) == wanted {
            found.push((ip6, flow(i)));
            i += 1;
        }
        // The key of kind 4 is 0 but for its last byte.
        let odd = Self::search(self.count(1), |i| self.entry(1, i)[..8] < [0; 8][..]);
        found.extend(
            (odd..self.count(1))
                .take_while(|&i| self.entry(1, i)[..8] == [0; 8])
                .filter(|&i| is_odd(&self.entry(1, i)[..18]))
                .map(|i| (0, i)),
        );
        let mut granules: Vec<u64> = found.into_iter().flat_map(|(ip6, rank)| self.details(ip6, rank).granules).collect();
        granules.sort_unstable();
        granules.dedup();
        packets_of(host, granules.into_iter().map(|g| self.granule(g)), file)
    }

    /// The flows of a port.
    pub(super) fn port(&self, port: u64) -> Vec<Figures> {
        let n = self.count(5);
        let from = Self::search(n, |i| number(self.entry(5, i), 0, 2) < port);
        let flows = (from..n).map(|i| self.entry(5, i)).take_while(|e| number(e, 0, 2) == port).map(|e| number(e, 2, 4));
        flows.map(|f| self.details((f >> 31) as usize, (f & 0x7fff_ffff) as usize)).collect()
    }

    /// How many Community IDs there are; they rise.
    pub(super) fn community_numbers(&self) -> usize {
        let numbers: Vec<u64> = (0..self.count(6)).map(|i| number(self.entry(6, i), 0, 4)).collect();
        assert!(numbers.is_sorted());
        numbers.len()
    }

    /// First granule and section.
    pub(super) fn sections(&self) -> Vec<(u64, u64)> {
        (0..self.count(10)).map(|i| self.entry(10, i)).map(|e| (number(e, 0, 4), number(e, 4, 4))).collect()
    }

    /// Kind, stretch, two numbers.
    pub(super) fn notes(&self) -> Vec<(u64, u64, u64, u64, u64)> {
        let note = |e: &[u8]| (number(e, 0, 4), number(e, 8, 8), number(e, 16, 8), number(e, 24, 8), number(e, 32, 8));
        (0..self.count(9)).map(|i| note(self.entry(9, i))).collect()
    }

    /// Times of all packets, by the time order.
    pub(super) fn in_order_of_time(&self, file: &[u8]) -> Vec<u64> {
        assert_eq!(number(&self.facts, 104, 4) & 2, 2);
        let mut left: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut next = |g: u64| {
            let times = left.entry(g).or_insert_with(|| {
                let granule = self.granule(g);
                let packets = granule.packets(file);
                let mut times: Vec<u64> = packets.iter().map(|p| p.0).collect();
                times.sort_unstable_by(|a, b| b.cmp(a));
                times
            });
            times.pop().unwrap()
        };
        (0..self.count(8)).map(|i| next(number(self.entry(8, i), 0, 2))).collect()
    }
}

/// The facts of the live segments.
pub(super) fn catalog(bytes: &[u8], remarks: &mut Remarks) -> Vec<Vec<u8>> {
    assert_eq!((&bytes[..8], number(bytes, 8, 4)), (&b"TLOOPCAT"[..], 1));
    remarks.push((0, "magic, version; not read".into()));
    let mut state = None;
    for at in [1024, 2048] {
        if holds(&bytes[at..at + 20], 16) {
            remarks.push((at, "state: sequence, dropped, CRC".into()));
            remarks.push((at + 20, "not read".into()));
            state = state.max(Some((number(bytes, at, 8), number(bytes, at + 8, 8))));
        }
    }
    let dropped = state.unwrap().1 as usize;
    let (mut at, mut entries) = (4096, Vec::new());
    while let Some(entry) = bytes.get(at..at + 128) {
        assert!(holds(entry, 124));
        assert!(entries.len() < 255, "a summary would follow");
        remarks.push((at, "facts".into()));
        entries.push(entry.to_vec());
        at += 128;
    }
    entries.split_off(dropped)
}

/// Whether a segment may have packets of a host, by its entry in `hosts/`.
pub(super) fn may_hold(entry: &[u8], segment: u64, host: IpAddr) -> bool {
    if number(entry, 0, 8) != segment || number(entry, 8, 2) != 1 || !holds(entry, 508) || number(entry, 10, 2) & 1 == 1 {
        return true;
    }
    let mix = |x: u64| {
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    let mut bytes = address(host);
    let ip6 = u64::from(bytes.len() == 16);
    bytes.resize(16, 0);
    let m = mix(number(&bytes, 0, 8) ^ mix(number(&bytes, 8, 8) ^ ip6));
    let (one, two) = (m & 0xffff_ffff, m >> 32 | 1);
    (0..4).all(|i| {
        let bit = (((one + i * two) % (1 << 32) * 3968) >> 32) as usize;
        entry[12 + bit / 8] >> (bit % 8) & 1 == 1
    })
}
