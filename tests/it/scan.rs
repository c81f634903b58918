//! The plain scan that cuts are held against: every packet of a file, judged by its own headers, then sorted by time.

use crate::layers::{Fragments, Headers, Layer};
use crate::make::Random;
use crate::plain::{File, Packet};
use crate::support::seconds;
use base64::Engine;
use sha1::{Digest, Sha1};
use std::net::IpAddr;

/// Addresses that agree in the first bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net(pub(crate) IpAddr, pub(crate) u8);

impl Net {
    fn holds(self, a: IpAddr) -> bool {
        let bits = |a: IpAddr| match a {
            IpAddr::V4(x) => (u128::from(u32::from(x)) << 96, 4),
            IpAddr::V6(x) => (u128::from(x), 6),
        };
        let ((mine, kind), (other, other_kind)) = (bits(self.0), bits(a));
        kind == other_kind && (self.1 == 0 || (mine ^ other) >> (128 - u32::from(self.1)) == 0)
    }

    /// As the command line takes it; the network's own address where it is not one host.
    fn text(self) -> String {
        let whole = if self.0.is_ipv4() { 32 } else { 128 };
        if self.1 == whole {
            return self.0.to_string();
        }
        let masked: IpAddr = match self.0 {
            IpAddr::V4(x) => {
                std::net::Ipv4Addr::from(u32::from(x) & u32::MAX.checked_shl(32 - u32::from(self.1)).unwrap_or(0)).into()
            }
            IpAddr::V6(x) => {
                std::net::Ipv6Addr::from(u128::from(x) & u128::MAX.checked_shl(128 - u32::from(self.1)).unwrap_or(0)).into()
            }
        };
        format!("{masked}/{}", self.1)
    }
}

/// What is asked for, without interfaces and filters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) ips: Vec<Net>,
    pub(crate) peers: Vec<Net>,
    pub(crate) ports: Vec<u16>,
    pub(crate) proto: Option<u8>,
    pub(crate) vlan: Option<u16>,
    pub(crate) community_id: Option<String>,
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
}

impl Selection {
    /// The words of the command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut w = Vec::new();
        let mut say = |flag: &str, value: String| w.extend([flag.to_owned(), value]);
        self.ips.iter().for_each(|n| say("--ip", n.text()));
        self.peers.iter().for_each(|n| say("--peer", n.text()));
        self.ports.iter().for_each(|p| say("--port", p.to_string()));
        self.proto.iter().for_each(|p| say("--proto", p.to_string()));
        self.vlan.iter().for_each(|v| say("--vlan", v.to_string()));
        self.community_id.iter().for_each(|c| say("--community-id", c.clone()));
        self.from.iter().for_each(|t| say("--from", seconds(*t)));
        self.to.iter().for_each(|t| say("--to", seconds(*t)));
        w
    }

    pub(crate) fn matches(&self, time: u64, h: &Headers) -> bool {
        self.from.is_none_or(|t| t <= time)
            && self.to.is_none_or(|t| time < t)
            && self.vlan.is_none_or(|v| h.tags.contains(&v))
            && (self.asks_no_layer() || h.layers.iter().any(|l| self.layer(l)))
    }

    fn asks_no_layer(&self) -> bool {
        self.ips.is_empty()
            && self.peers.is_empty()
            && self.ports.is_empty()
            && self.proto.is_none()
            && self.community_id.is_none()
    }

    fn layer(&self, l: &Layer) -> bool {
        let among = |nets: &[Net], a: Option<IpAddr>| nets.is_empty() || a.is_some_and(|a| nets.iter().any(|n| n.holds(a)));
        let ends = if self.ips.is_empty() && self.peers.is_empty() {
            true
        } else {
            among(&self.ips, l.src) && among(&self.peers, l.dst) || among(&self.ips, l.dst) && among(&self.peers, l.src)
        };
        let port = self.ports.is_empty() || l.ports.is_some_and(|(a, b)| self.ports.contains(&a) || self.ports.contains(&b));
        ends && port
            && self.proto.is_none_or(|p| l.proto == Some(p))
            && self.community_id.as_ref().is_none_or(|id| community_id(l).as_ref() == Some(id))
    }
}

/// Community ID v1 with seed 0 (<https://github.com/corelight/community-id-spec>).
pub(crate) fn community_id(l: &Layer) -> Option<String> {
    let (src, dst, proto) = (l.src?, l.dst?, l.proto?);
    let raw = |a: IpAddr| match a {
        IpAddr::V4(x) => x.octets().to_vec(),
        IpAddr::V6(x) => x.octets().to_vec(),
    };
    let mut one_way = false;
    let ports = match (l.ports, l.icmp) {
        (Some(ports), _) => Some(ports),
        (None, Some((kind, code))) => {
            let pairs: &[(u8, u8)] = if proto == 1 {
                &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)]
            } else {
                &[(128, 129), (133, 134), (135, 136), (130, 131), (144, 145), (139, 140)]
            };
            let other = pairs.iter().find_map(|&(a, b)| if a == kind { Some(b) } else { (b == kind).then_some(a) });
            one_way = other.is_none();
            Some((u16::from(kind), u16::from(other.unwrap_or(code))))
        }
        (None, None) => None,
    };
    let (a, b) = ((raw(src), ports.map(|p| p.0)), (raw(dst), ports.map(|p| p.1)));
    let (a, b) = if one_way || a <= b { (a, b) } else { (b, a) };
    let mut sum = Sha1::new();
    sum.update([0, 0]);
    sum.update(&a.0);
    sum.update(&b.0);
    sum.update([proto, 0]);
    if let (Some(p), Some(q)) = (a.1, b.1) {
        sum.update(p.to_be_bytes());
        sum.update(q.to_be_bytes());
    }
    Some(format!("1:{}", base64::engine::general_purpose::STANDARD.encode(sum.finalize())))
}

/// The headers of every packet of a file, fragments joined.
pub(crate) fn headers(file: &File) -> Vec<Headers> {
    let mut fragments = Fragments::default();
    file.packets.iter().map(|p| Headers::read(p.link, &p.data, p.interface, p.time, &mut fragments)).collect()
}

/// The packets that match, in time order, those of one time in file order.
pub(crate) fn scan<'a>(file: &'a File, headers: &[Headers], selection: &Selection) -> Vec<&'a Packet> {
    let mut found: Vec<&Packet> =
        file.packets.iter().zip(headers).filter(|(p, h)| selection.matches(p.time, h)).map(|(p, _)| p).collect();
    found.sort_by_key(|p| p.time);
    found
}

/// What must agree: time, length on the wire, bytes, link type.
pub(crate) type Essence<'a> = (u64, u32, &'a [u8], u16);

pub(crate) fn essence(p: &Packet) -> Essence<'_> {
    (p.time, p.orig_len, &p.data, p.link)
}

/// The packets in an order that does not depend on how those of one time lie.
pub(crate) fn sorted<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Vec<Essence<'a>> {
    let mut all: Vec<_> = packets.into_iter().map(essence).collect();
    all.sort_unstable();
    all
}

/// The first difference of two lists of packets, in words.
pub(crate) fn difference(want: &[Essence<'_>], have: &[Essence<'_>]) -> Option<String> {
    if want == have {
        return None;
    }
    let tell = |e: Option<&Essence<'_>>| match e {
        Some((t, len, data, link)) => {
            let start: String = data.iter().take(64).map(|b| format!("{b:02x}")).collect();
            format!("{} of {len} bytes ({} held), link type {link}, {start}", seconds(*t), data.len())
        }
        None => "nothing".to_owned(),
    };
    let at = (0..).find(|&i| want.get(i) != have.get(i)).unwrap();
    Some(format!(
        "{} expected, {} came; at {at} expected {}; came {}",
        want.len(),
        have.len(),
        tell(want.get(at)),
        tell(have.get(at))
    ))
}

/// A selection made of what the file holds, with something absent now and then.
pub(crate) fn random(r: &mut Random, file: &File, headers: &[Headers]) -> Selection {
    let mut s = Selection::default();
    let with_layers: Vec<usize> = (0..headers.len()).filter(|i| !headers[*i].layers.is_empty()).collect();
    let known = headers.iter().all(|h| h.known);
    if known && !with_layers.is_empty() {
        let layer = |r: &mut Random| {
            let at = *r.pick(&with_layers);
            r.pick(&headers[at].layers).clone()
        };
        let wide = |r: &mut Random, a: IpAddr| {
            let all: u64 = if a.is_ipv4() { 32 } else { 128 };
            Net(a, if r.one_in(4) { (all - r.below(all / 2)) as u8 } else { all as u8 })
        };
        let l = layer(r);
        let (near, far) = if r.one_in(2) { (l.src, l.dst) } else { (l.dst, l.src) };
        if !r.one_in(4) {
            s.ips.extend(near.map(|a| wide(r, a)));
            if r.one_in(4) {
                let other = layer(r).src;
                s.ips.extend(other.map(|a| wide(r, a)));
            }
        }
        if r.one_in(3) {
            s.peers.extend(far.map(|a| wide(r, a)));
        }
        if r.one_in(4)
            && let Some((a, b)) = l.ports
        {
            s.ports.push(if r.one_in(2) { a } else { b });
            if r.one_in(3) {
                s.ports.push(r.below(65_536) as u16);
            }
        }
        if r.one_in(5) {
            s.proto = l.proto;
        }
        if r.one_in(6) && (l.ports.is_some() || l.icmp.is_some()) {
            s.community_id = community_id(&l);
        }
        match r.below(24) {
            0 => s.ips.push(Net("203.0.113.77".parse().unwrap(), 32)),
            1 => s.peers = vec![Net("203.0.113.77".parse().unwrap(), 32)],
            2 => s.ports = vec![9],
            3 => s.proto = Some(253),
            _ => {}
        }
    }
    if known && r.one_in(4) {
        let tags: Vec<u16> = headers.iter().flat_map(|h| h.tags.iter().copied()).collect();
        if !tags.is_empty() {
            s.vlan = Some(*r.pick(&tags));
        } else if r.one_in(4) {
            s.vlan = Some(77);
        }
    }
    if !file.packets.is_empty() && r.one_in(2) {
        // A window exactly on packets' times, which is where an error of one shows.
        let (a, b) = (r.pick(&file.packets).time, r.pick(&file.packets).time);
        let (a, b) = (a.min(b), a.max(b) + r.below(2));
        if !r.one_in(4) {
            s.from = Some(a);
        }
        if a < b && !r.one_in(4) {
            s.to = Some(b);
        }
    }
    s
}

#[test]
fn community_ids_are_those_of_the_specification() {
    // From the baseline of the reference implementation.
    let l = |src: &str, dst: &str, proto, ports, icmp| {
        let mut l = Layer { src: src.parse().ok(), dst: dst.parse().ok(), ..Layer::default() };
        (l.proto, l.ports, l.icmp) = (Some(proto), ports, icmp);
        community_id(&l).unwrap()
    };
    assert_eq!(l("128.232.110.120", "66.35.250.204", 6, Some((34855, 80)), None), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_eq!(l("66.35.250.204", "128.232.110.120", 6, Some((80, 34855)), None), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_eq!(l("192.168.1.52", "8.8.8.8", 17, Some((54585, 53)), None), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    assert_eq!(l("192.168.0.89", "192.168.0.1", 1, None, Some((8, 0))), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
}
