//! The decoder beside libpcap and tshark, on the captures of the corpus and on mutations of them.

use super::bytes::array;
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A packet with its link type.
struct Sample {
    link_type: LinkType,
    data: Vec<u8>,
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// A reader for tests only: sound pcap and pcapng files; nothing of others.
fn read(path: &Path) -> Vec<Sample> {
    let mut raw = std::fs::read(path).unwrap();
    if raw.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let _ = std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&raw[..]), &mut plain);
        raw = plain;
    }
    let mut out = Vec::new();
    let Some(magic) = array::<4>(&raw, 0) else { return out };
    let u32_at =
        |at: usize, big: bool| array::<4>(&raw, at).map(|b| if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) });
    match magic {
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] | [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => {
            let big = magic[0] == 0xa1;
            let link_type = LinkType(u32_at(20, big).unwrap_or(0) as u16);
            let mut at = 24;
            while let Some(len) = u32_at(at + 8, big) {
                let Some(data) = raw.get(at + 16..at + 16 + len as usize) else { break };
                out.push(Sample { link_type, data: data.to_vec() });
                at += 16 + len as usize;
            }
        }
        [0x0a, 0x0d, 0x0d, 0x0a] => {
            let (mut at, mut big, mut links) = (0, false, Vec::new());
            while let Some(kind) = u32_at(at, big) {
                if kind == 0x0a0d_0d0a {
                    big = raw.get(at + 8) == Some(&0x1a);
                    links.clear();
                }
                let Some(len @ 12..) = u32_at(at + 4, big) else { break };
                let short =
                    |x: usize| array::<2>(&raw, x).map(|b| if big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) });
                let packet = match kind {
                    1 => {
                        links.push(LinkType(short(at + 8).unwrap_or(0)));
                        None
                    }
                    6 => Some((u32_at(at + 8, big), at + 28, u32_at(at + 20, big))),
                    2 => Some((short(at + 8).map(u32::from), at + 28, u32_at(at + 20, big))),
                    3 => Some((Some(0), at + 12, u32_at(at + 8, big).map(|n| n.min(len - 16)))),
                    _ => None,
                };
                if let Some((Some(interface), from, Some(n))) = packet
                    && let (Some(&link_type), Some(data)) = (links.get(interface as usize), raw.get(from..from + n as usize))
                {
                    out.push(Sample { link_type, data: data.to_vec() });
                }
                at += len as usize;
            }
        }
        _ => {}
    }
    out
}

/// libpcap's judgement, of a filter that is compiled as `tcpdump -r` does for a file of that link type.
struct Oracle {
    capture: pcap::Capture<pcap::Offline>,
}

impl Oracle {
    fn new(link_type: LinkType) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut header = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
        header.extend(u32::from(link_type.0).to_le_bytes());
        std::io::Write::write_all(&mut file, &header).unwrap();
        Oracle { capture: pcap::Capture::from_file(file.path()).unwrap() }
    }

    /// `None` where the filter does not compile; one that rejects everything matches nothing.
    fn program(&self, filter: &str) -> Option<pcap::BpfProgram> {
        self.capture.compile(filter, true).ok()
    }
}

/// Whether the packet is one for which Taploop looks further than libpcap's `host`.
fn is_wrapped(link_type: LinkType, data: &[u8], decoded: &Decoded) -> bool {
    let ethernet = link_type == LinkType::ETHERNET
        && bytes::be16(data, 12)
            .is_some_and(|t| t <= 1500 || [0x8100, 0x88a8, 0x9100, 0x9200, 0x893f, 0x8847, 0x8848, 0x8864].contains(&t));
    ethernet || decoded.layers.len() > 1 || !decoded.tags.is_empty()
}

fn has_address(decoded: &Decoded, a: IpAddr) -> bool {
    decoded.layers.iter().any(|l| l.src == Some(a) || l.dst == Some(a))
}

/// Compares packets of one link type with libpcap; gives the number of comparisons.
fn compare(link_type: LinkType, samples: &[&[u8]], name: &str) -> usize {
    let oracle = Oracle::new(link_type);
    let mut addresses = BTreeSet::new();
    let mut ports = BTreeSet::new();
    let mut vlans = BTreeSet::new();
    let mut decoded = Vec::new();
    for data in samples {
        let mut d = Decoded::default();
        decode(link_type, data, &mut d);
        addresses.extend(d.layers.iter().flat_map(|l| [l.src, l.dst]).flatten());
        ports.extend(d.layers.iter().filter_map(|l| l.ports).flat_map(|(a, b)| [a, b]));
        vlans.extend(d.tags.iter().copied());
        decoded.push(d);
    }
    let mut count = 0;
    let mut check = |filter: &str, ours: &dyn Fn(&Decoded) -> bool, exact: bool| {
        let Some(program) = oracle.program(filter) else { return };
        for (data, d) in samples.iter().zip(&decoded) {
            let (theirs, ours) = (program.filter(data), ours(d));
            count += 1;
            assert!(
                !theirs || ours || (!exact && d.irregular),
                "{name}: link type {link_type}: {filter} is missed: {d:?} {data:02x?}"
            );
            assert!(
                !exact || theirs || !ours || is_wrapped(link_type, data, d),
                "{name}: link type {link_type}: {filter} is not matched by libpcap: {d:?} {data:02x?}"
            );
        }
    };
    for a in addresses {
        check(&format!("host {a}"), &|d| has_address(d, a), true);
        check(&format!("src host {a}"), &|d| d.irregular || has_address(d, a), false);
        check(&format!("vlan and host {a}"), &|d| has_address(d, a), false);
        check(&format!("mpls and host {a}"), &|d| has_address(d, a), false);
        check(&format!("pppoes and host {a}"), &|d| has_address(d, a), false);
        check(&format!("geneve and host {a}"), &|d| has_address(d, a), false);
    }
    for p in ports.into_iter().take(300) {
        let has = |d: &Decoded| d.layers.iter().any(|l| l.ports.is_some_and(|(a, b)| a == p || b == p));
        check(&format!("port {p}"), &has, false);
    }
    for v in vlans {
        check(&format!("vlan {v}"), &|d| d.tags.contains(&v), false);
    }
    check("vlan", &|d| !d.tags.is_empty(), false);
    for (filter, number) in [("tcp", 6), ("udp", 17), ("sctp", 132), ("icmp", 1), ("icmp6", 58)] {
        check(filter, &|d| d.layers.iter().any(|l| l.proto == Some(number)), false);
    }
    for (filter, kind) in [("ip", LayerKind::Ip4), ("ip6", LayerKind::Ip6), ("arp or rarp", LayerKind::Arp)] {
        check(filter, &|d| d.layers.iter().any(|l| l.kind == kind), false);
    }
    count
}

fn by_link_type(samples: &[Sample]) -> BTreeMap<LinkType, Vec<&[u8]>> {
    let mut map: BTreeMap<LinkType, Vec<&[u8]>> = BTreeMap::new();
    for s in samples {
        map.entry(s.link_type).or_default().push(&s.data);
    }
    map
}

#[test]
fn hosts_are_those_of_libpcap() {
    let Some(dir) = corpus::folder() else { return };
    let mut paths = Vec::new();
    files(&dir, &mut paths);
    let (mut count, mut packets) = (0, 0);
    for path in paths {
        let samples = read(&path);
        packets += samples.len();
        for (link_type, data) in by_link_type(&samples) {
            count += compare(link_type, &data, &path.display().to_string());
        }
    }
    eprintln!("{packets} packets, {count} comparisons");
    assert!(packets > 10_000 && count > 100_000);
}

/// One packet of each shape in the corpus: what is the same but for addresses and payload is left out.
fn shapes(dir: &Path) -> Vec<Sample> {
    let mut paths = Vec::new();
    files(dir, &mut paths);
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    let mut d = Decoded::default();
    for sample in paths.iter().flat_map(|p| read(p)) {
        decode(sample.link_type, &sample.data, &mut d);
        let layers: Vec<_> =
            d.layers.iter().map(|l| (l.kind as u8, l.proto, l.fragment.map(|f| f.first), l.vlans.packed())).collect();
        if seen.insert((sample.link_type, layers, d.irregular)) {
            out.push(Sample { data: sample.data.get(..400).unwrap_or(&sample.data).to_vec(), ..sample });
        }
    }
    out
}

/// Random numbers that are the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

#[test]
fn mutated_and_cut_packets_are_those_of_libpcap_too() {
    let Some(dir) = corpus::folder() else { return };
    let shapes = shapes(&dir);
    let mut random = Random(0x7a9_100b);
    let mut count = 0;
    for (link_type, originals) in by_link_type(&shapes) {
        // Other link types over the same bytes, too: what is sound there is odd here.
        for link_type in [link_type.0, 0, 105, 127, 163, 119, 108, 6, 50, 51, 276, 192].map(LinkType) {
            let mut samples: Vec<Vec<u8>> = Vec::new();
            for original in originals.iter().take(12) {
                for _ in 0..12 {
                    let mut data = original.to_vec();
                    for _ in 0..random.below(4) {
                        let at = random.below(data.len().clamp(1, 80));
                        if let Some(byte) = data.get_mut(at) {
                            *byte =
                                [0, 1, 2, 4, 6, 8, 0x2c, 0x3c, 0x11, 0x45, 0x44, 0x60, 0x81, 0x88, 0x86, 0xff][random.below(16)];
                        }
                    }
                    if random.below(2) == 0 {
                        data.truncate(random.below(90));
                    }
                    samples.push(data);
                }
            }
            let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
            count += compare(link_type, &samples, "mutated");
        }
    }
    eprintln!("{} shapes, {count} comparisons", shapes.len());
    assert!(shapes.len() > 50 && count > 50_000);
}

#[test]
fn every_prefix_decodes() {
    let Some(dir) = corpus::folder() else { return };
    let mut paths = Vec::new();
    files(&dir, &mut paths);
    let (mut packets, mut d) = (0, Decoded::default());
    for sample in paths.iter().flat_map(|p| read(p)) {
        packets += 1;
        for len in 0..=sample.data.len().min(300) {
            decode(sample.link_type, &sample.data[..len], &mut d);
            assert!(d.layers.len() <= LAYERS_MAX && d.tags.len() <= TAGS_MAX);
            assert!(d.irregular || d.layers.iter().all(|l| FlowKey::of(l).is_some()));
        }
    }
    assert!(packets > 10_000, "{packets} packets");
}

#[test]
fn ordinary_captures_are_regular() {
    let Some(dir) = corpus::folder() else { return };
    let (mut packets, mut d) = (0, Decoded::default());
    for part in ["smb", "smb3", "auth", "lateral", "transport"] {
        let mut paths = Vec::new();
        files(&dir.join(part), &mut paths);
        for path in paths {
            for sample in read(&path) {
                decode(sample.link_type, &sample.data, &mut d);
                assert!(!d.irregular, "{}: {d:?} {:02x?}", path.display(), sample.data);
                packets += 1;
            }
        }
    }
    assert!(packets > 10_000, "{packets} packets");
}

#[test]
fn community_ids_are_those_of_tshark() {
    let Some(dir) = corpus::folder().filter(|_| corpus::has_tool("tshark")) else { return };
    let mut paths = Vec::new();
    for part in ["smb", "smb3", "auth", "lateral", "transport", "formats"] {
        files(&dir.join(part), &mut paths);
    }
    let (mut compared, mut d) = (0, Decoded::default());
    for path in paths {
        let samples = read(&path);
        if samples.is_empty() || samples.len() > 2000 {
            continue;
        }
        let output = Command::new("tshark")
            .args(["-n", "--enable-protocol", "communityid", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"])
            .args(["-T", "fields", "-e", "communityid", "-r"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.lines().count() != samples.len() {
            continue; // tshark also lists blocks that are no packets
        }
        for (n, (line, sample)) in text.lines().zip(&samples).enumerate() {
            decode(sample.link_type, &sample.data, &mut d);
            // tshark hashes the ports of one layer with the addresses of another where layers are nested, and the number of
            // the fragment header in place of the protocol's.
            let odd = d.layers.iter().any(|l| l.kind == LayerKind::Ip6 && l.fragment.is_some());
            if d.layers.len() != 1 || odd || line.is_empty() {
                continue;
            }
            let ours = FlowKey::of(&d.layers[0]).and_then(|(key, _)| community_id(&key));
            assert_eq!(ours.as_deref(), Some(line), "{} packet {}: {d:?}", path.display(), n + 1);
            compared += 1;
        }
    }
    eprintln!("{compared} community ids compared");
    assert!(compared > 1000);
}
