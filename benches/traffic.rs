//! Makes a capture of mixed traffic: `cargo bench --bench traffic -- --gib 8 --out traffic.pcap`.
//!
//! One hour, or `--hours N`, from 2023-11-14T22:13:20Z (1700000000). Flows come and go, some 12,000 a GiB; seven of ten are short, the others' lengths
//! are heavy-tailed, and a few at a time are much faster than the rest. Sizes are those of bulk, of conversation and of
//! acknowledgements, 700 bytes in the mean. One flow in twenty is IPv6, one in four UDP. Payloads do not compress.
//! Host 10.77.0.1 sends and receives 2,000 packets, or `--host-packets N`, from second 1500 to 1800: the same bytes at the same times,
//! whatever the size.
//!
//! To be sent past a recorder again and again: `--flows N` has N flows that last, of which 2 % carry 60 % of the packets, and 10.77.0.1 is the
//! first of these; `--size N` makes all packets N bytes long, IPv4; `--packets N` counts packets instead of bytes.
//! The same arguments give the same bytes.

use std::fs::File;
use std::io::{BufWriter, Result, Write};

const START_S: u64 = 1_700_000_000;
const HOUR_NS: f64 = 3.6e12;
const NEEDLE_FROM_NS: u64 = 1_500_000_000_000;
const NEEDLE_NS: u64 = 300_000_000_000;
const FLOWS_PER_GIB: f64 = 7_500.0;
const LIVE_FLOWS: usize = 1_500;
const FAST_FLOWS: u64 = 60;
/// Bytes of a packet with its record header, in the mean; only the number of packets rests on it.
const RECORD_MEAN: f64 = 716.0;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A heavy-tailed length with this mean, exponent 1.3, never over 500 times the mean.
    fn heavy(&mut self, mean: f64) -> u64 {
        let least = mean * 0.3 / 1.3;
        (least / self.unit().powf(1.0 / 1.3)).min(mean * 500.0).max(1.0) as u64
    }
}

#[derive(Clone)]
struct Flow {
    six: bool,
    udp: bool,
    /// Client and server, numbered.
    hosts: [u32; 2],
    ports: [u16; 2],
    seq: [u32; 2],
    left: u64,
    /// Of 100 packets, how many are full and how many carry nothing; the others are of any size.
    full: u64,
    bare: u64,
}

impl Flow {
    fn new(r: &mut Rng, mean_long: f64) -> Flow {
        let long = r.below(10) >= 7;
        let udp = r.below(4) == 0;
        let service = if udp { [53, 443, 123, 4500] } else { [443, 445, 80, 22] }[r.below(4) as usize];
        // Some hosts talk much more than others.
        let client = (r.unit().powf(2.5) * 12_000.0) as u32;
        let server = (r.unit().powf(3.0) * 5_000.0) as u32;
        let (full, bare) = if long { (36, 46) } else { (15, 45) };
        Flow {
            six: r.below(20) == 0,
            udp,
            hosts: [0x0a09_0000 + client, 0x0a0a_0000 + server],
            ports: [1024 + r.below(60_000) as u16, service],
            seq: [r.next() as u32, r.next() as u32],
            left: if long { r.heavy(mean_long) } else { 2 + r.below(18) },
            full,
            bare,
        }
    }

    fn header_len(&self) -> usize {
        14 + if self.six { 40 } else { 20 } + if self.udp { 8 } else { 20 }
    }

    fn payload(&self, r: &mut Rng) -> usize {
        let k = r.below(100);
        let full = if self.udp { 1_400 } else { 1_460 };
        if k < self.full {
            full
        } else if k < self.full + self.bare {
            0
        } else {
            1 + r.below(full as u64) as usize
        }
    }

    /// Writes the next packet's headers for `payload` bytes into `out`, `way` 0 from the client.
    fn headers(&mut self, way: usize, payload: usize, out: &mut Vec<u8>) {
        let (from, to) = (self.hosts[way], self.hosts[1 - way]);
        out.clear();
        out.extend_from_slice(&[2, 0]);
        out.extend_from_slice(&to.to_be_bytes());
        out.extend_from_slice(&[2, 0]);
        out.extend_from_slice(&from.to_be_bytes());
        let transport = if self.udp { 8 } else { 20 } + payload;
        let proto = if self.udp { 17 } else { 6 };
        if self.six {
            out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend_from_slice(&(transport as u16).to_be_bytes());
            out.extend_from_slice(&[proto, 64]);
            for host in [from, to] {
                out.extend_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0]);
                out.extend_from_slice(&host.to_be_bytes());
            }
        } else {
            out.extend_from_slice(&[8, 0, 0x45, 0]);
            out.extend_from_slice(&(20 + transport as u16).to_be_bytes());
            out.extend_from_slice(&((self.seq[0] ^ self.seq[1]) as u16).to_be_bytes());
            out.extend_from_slice(&[0x40, 0, 64, proto, 0, 0]);
            out.extend_from_slice(&from.to_be_bytes());
            out.extend_from_slice(&to.to_be_bytes());
        }
        out.extend_from_slice(&self.ports[way].to_be_bytes());
        out.extend_from_slice(&self.ports[1 - way].to_be_bytes());
        if self.udp {
            out.extend_from_slice(&(transport as u16).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        } else {
            out.extend_from_slice(&self.seq[way].to_be_bytes());
            out.extend_from_slice(&self.seq[1 - way].to_be_bytes());
            out.extend_from_slice(&[0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
            self.seq[way] = self.seq[way].wrapping_add(payload as u32);
        }
    }
}

struct Output {
    file: BufWriter<File>,
    noise: Vec<u8>,
    /// Bytes of every packet, where all have the same.
    size: Option<usize>,
    /// Bytes of a packet, at most.
    longest: usize,
    head: Vec<u8>,
    packets: u64,
    bytes: u64,
}

impl Output {
    fn packet(&mut self, ns: u64, flow: &mut Flow, way: usize, r: &mut Rng) -> Result<()> {
        let payload = match self.size {
            Some(size) => size - flow.header_len(),
            None => flow.payload(r).min(self.longest - flow.header_len()),
        };
        flow.headers(way, payload, &mut self.head);
        let length = self.head.len() + payload;
        let mut record = [0; 16];
        record[..4].copy_from_slice(&((START_S + ns / 1_000_000_000) as u32).to_le_bytes());
        record[4..8].copy_from_slice(&((ns % 1_000_000_000) as u32).to_le_bytes());
        record[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        record[12..].copy_from_slice(&(length as u32).to_le_bytes());
        let at = r.below((self.noise.len() - payload) as u64) as usize;
        self.file.write_all(&record)?;
        self.file.write_all(&self.head)?;
        self.file.write_all(&self.noise[at..at + payload])?;
        self.packets += 1;
        self.bytes += length as u64;
        Ok(())
    }
}

fn main() -> Result<()> {
    let (mut gib, mut hours, mut out, mut seed, mut needles_max) = (1.0, 1.0, None, 1, 2_000_u64);
    let (mut size, mut lasting, mut packets) = (None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        // cargo bench adds this one.
        if name == "--bench" {
            continue;
        }
        let value = arguments.next().unwrap_or_default();
        let expected = "--gib N, --hours N, --host-packets N, --flows N (50 at least), --size 60 to 1514, --packets N, --out FILE or --seed N";
        let bad = || std::io::Error::other(format!("{name} {value:?}: expected {expected}"));
        match name.as_str() {
            "--gib" => gib = value.parse().map_err(|_| bad())?,
            "--hours" => hours = value.parse().map_err(|_| bad())?,
            "--host-packets" => needles_max = value.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?,
            "--flows" => lasting = Some(value.parse().ok().filter(|n| (50..1 << 20).contains(n)).ok_or_else(bad)?),
            "--size" => size = Some(value.parse().ok().filter(|n| (60..=1514).contains(n)).ok_or_else(bad)?),
            "--packets" => packets = Some(value.parse().map_err(|_| bad())?),
            "--seed" => seed = value.parse().map_err(|_| bad())?,
            "--out" => out = Some(value),
            _ => return Err(bad()),
        }
    }
    // Without a file there is nothing to do: `cargo bench` runs this along with all others.
    let Some(out) = out else { return Ok(()) };

    let mut r = Rng(seed);
    let noise = (0..1 << 17).flat_map(|_| r.next().to_le_bytes()).collect();
    // What is to be sent must fit the link.
    let longest = if lasting.is_some() { 1514 } else { usize::MAX };
    let mut out = Output {
        file: BufWriter::with_capacity(1 << 20, File::create(out)?),
        noise,
        size,
        longest,
        head: Vec::new(),
        packets: 0,
        bytes: 0,
    };
    let mut header = [0; 24];
    for (at, value) in [(0, 0xa1b2_3c4d_u32), (4, 0x0004_0002), (16, 262_144), (20, 1)] {
        header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    out.file.write_all(&header)?;

    let packets = packets.unwrap_or((gib * (1_u64 << 30) as f64 / RECORD_MEAN) as u64);
    // Short flows, seven of ten, have 10.5 packets in the mean; the long ones share the rest. The tail is cut, hence the factor.
    let mean_all = packets as f64 / (gib * FLOWS_PER_GIB);
    let mean_long = ((mean_all - 7.35) / 0.3).max(20.0) * 1.2;
    let live_flows = lasting.unwrap_or(LIVE_FLOWS);
    let fast_flows = if lasting.is_some() { live_flows as u64 / 50 } else { FAST_FLOWS };
    let mut live: Vec<Flow> = (0..live_flows).map(|_| Flow::new(&mut r, mean_long)).collect();
    let mut flows = live_flows as u64;

    let mut needle_rng = Rng(77);
    let mut needle = Flow::new(&mut needle_rng, 1e6);
    (needle.six, needle.udp, needle.hosts, needle.ports) = (false, false, [0x0a4d_0001, 0x0a0a_0005], [50_077, 445]);
    (needle.full, needle.bare) = (36, 46);
    let mut needles = 0;
    if lasting.is_some() {
        live[0] = needle.clone();
        needles_max = 0;
        live.iter_mut().for_each(|flow| {
            flow.left = u64::MAX;
            flow.six &= size.is_none();
            (flow.full, flow.bare) = (36, 46);
        });
    }
    let needle_at = |n: u64| NEEDLE_FROM_NS + n * (NEEDLE_NS / needles_max) + n * 7_919 % 100_000;

    let step = (HOUR_NS * hours) as u64 / packets.max(1);
    for i in 0..packets {
        let ns = i * step + r.below(step.max(1));
        while needles < needles_max && needle_at(needles) <= ns {
            out.packet(needle_at(needles), &mut needle, (needles % 3 == 0).into(), &mut needle_rng)?;
            needles += 1;
        }
        let slot = if r.below(10) < 6 { r.below(fast_flows) } else { r.below(live_flows as u64) } as usize;
        // Mostly full packets one way, mostly none the other: who sends is drawn anew each time.
        let way = (r.below(5) < 3).into();
        let mut flow = live[slot].clone();
        out.packet(ns, &mut flow, way, &mut r)?;
        flow.left -= 1;
        needles += u64::from(lasting.is_some() && slot == 0);
        live[slot] = if flow.left == 0 {
            flows += 1;
            Flow::new(&mut r, mean_long)
        } else {
            flow
        };
    }
    out.file.flush()?;
    eprintln!(
        "{} packets, {} flows, mean {} bytes, 10.77.0.1 in {needles}",
        out.packets,
        flows + u64::from(lasting.is_none()),
        out.bytes / out.packets.max(1)
    );
    Ok(())
}
