//! A slow, obvious reader of pcap and pcapng files for the tests, written from the specifications. It shares no code with taploop.

use std::io::Read;
use std::path::Path;

/// A packet as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Nanoseconds since 1970, rounded down, clamped to 0 ..= `u64::MAX - 1`; 0 where the block has no time.
    pub(crate) time: u64,
    pub(crate) orig_len: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) link: u16,
    /// Index in [`File::interfaces`].
    pub(crate) interface: usize,
    pub(crate) comments: Vec<Vec<u8>>,
    /// The direction and reception flags, where the block has the option.
    pub(crate) flags: Option<u32>,
    /// A simple packet block: no time.
    pub(crate) untimed: bool,
}

/// An interface of a file.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) link: u16,
    pub(crate) snaplen: u32,
    /// The `if_tsresol` byte (6 where there is none).
    pub(crate) resolution: u8,
    pub(crate) offset: i64,
}

/// A block that is neither header nor packet.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) kind: u32,
    pub(crate) body: Vec<u8>,
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) packets: Vec<Packet>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) others: Vec<Other>,
    /// Comments of the section headers.
    pub(crate) section_comments: Vec<Vec<u8>>,
    /// The first four bytes as they lie in the file.
    pub(crate) magic: [u8; 4],
    /// Whether statistics of an interface that had packets speak of dropped ones.
    pub(crate) drops: bool,
    /// Where reading stopped before the end, and why.
    pub(crate) damage: Option<(usize, String)>,
}

impl File {
    /// The interface's name, where it has one.
    pub(crate) fn name(&self, p: &Packet) -> Option<String> {
        self.interfaces[p.interface].name.as_ref().map(|n| String::from_utf8_lossy(n).into_owned())
    }

    /// Whether all interfaces that packets came from have one link type.
    pub(crate) fn one_link(&self) -> bool {
        self.packets.windows(2).all(|w| w[0].link == w[1].link)
    }
}

/// Reads a file, compressed or not; `None` where it is neither pcap nor pcapng.
pub(crate) fn read(path: &Path) -> Option<File> {
    parse(&unpacked(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))))
}

/// The bytes, with gzip or zstd undone as far as it goes.
pub(crate) fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => {
            let _ = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out);
            out
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let _ = zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out);
            out
        }
        _ => bytes.to_vec(),
    }
}

/// Reads the bytes of a file; `None` where they are neither pcap nor pcapng.
pub(crate) fn parse(bytes: &[u8]) -> Option<File> {
    let magic: [u8; 4] = bytes.get(..4)?.try_into().unwrap();
    let mut file = File { magic, ..File::default() };
    match u32::from_le_bytes(magic) {
        0x0a0d_0d0a => parse_pcapng(bytes, &mut file),
        0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34 => parse_pcap(bytes, false, &mut file),
        0xd4c3_b2a1 | 0x4d3c_b2a1 | 0x34cd_b2a1 => parse_pcap(bytes, true, &mut file),
        _ => return None,
    }
    Some(file)
}

fn u16_at(b: &[u8], at: usize, big: bool) -> Option<u16> {
    let x: [u8; 2] = b.get(at..at + 2)?.try_into().unwrap();
    Some(if big { u16::from_be_bytes(x) } else { u16::from_le_bytes(x) })
}

fn u32_at(b: &[u8], at: usize, big: bool) -> Option<u32> {
    let x: [u8; 4] = b.get(at..at + 4)?.try_into().unwrap();
    Some(if big { u32::from_be_bytes(x) } else { u32::from_le_bytes(x) })
}

fn u64_at(b: &[u8], at: usize, big: bool) -> Option<u64> {
    let x: [u8; 8] = b.get(at..at + 8)?.try_into().unwrap();
    Some(if big { u64::from_be_bytes(x) } else { u64::from_le_bytes(x) })
}

/// Raw IP has three numbers in old files; they mean the same.
fn one_number(link: u16) -> u16 {
    if link == 12 || link == 14 { 101 } else { link }
}

fn parse_pcap(b: &[u8], big: bool, file: &mut File) {
    let magic = u32_at(b, 0, big).unwrap();
    let (Some(snaplen), Some(network)) = (u32_at(b, 16, big), u32_at(b, 20, big)) else {
        file.damage = Some((0, "the file header is cut off".into()));
        return;
    };
    let link = one_number(network as u16);
    let resolution = if magic == 0xa1b2_3c4d { 9 } else { 6 };
    file.interfaces.push(Interface { name: None, link, snaplen, resolution, offset: 0 });
    let head = if magic == 0xa1b2_cd34 { 24 } else { 16 };
    let mut at = 24;
    while at < b.len() {
        let Some(rest) = b.get(at + head..) else {
            file.damage = Some((at, "a record header is cut off".into()));
            return;
        };
        let field = |i: usize| u32_at(b, at + 4 * i, big).unwrap();
        let (seconds, fraction, captured, orig_len) = (field(0), field(1), field(2) as usize, field(3));
        let Some(data) = rest.get(..captured) else {
            file.damage = Some((at, "a record is cut off".into()));
            return;
        };
        let unit = if resolution == 9 { 1 } else { 1000 };
        file.packets.push(Packet {
            time: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit,
            orig_len,
            data: data.to_vec(),
            link,
            interface: 0,
            comments: Vec::new(),
            flags: None,
            untimed: false,
        });
        at += head + captured;
    }
}

/// Ticks of an interface as nanoseconds since 1970.
fn nanoseconds(ticks: u64, resolution: u8, offset: i64) -> u64 {
    let wide = u128::from(ticks) * 1_000_000_000;
    let n = u32::from(resolution & 0x7f);
    let ns = if resolution & 0x80 != 0 {
        wide.checked_shr(n).unwrap_or(0)
    } else {
        10_u128.checked_pow(n).map_or(0, |unit| wide / unit)
    };
    let ns = ns as i128 + i128::from(offset) * 1_000_000_000;
    ns.clamp(0, i128::from(u64::MAX - 1)) as u64
}

/// The options in `b`: code and value.
fn options(b: &[u8], big: bool) -> Vec<(u16, Vec<u8>)> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let (Some(code), Some(len)) = (u16_at(b, at, big), u16_at(b, at + 2, big)) {
        let len = usize::from(len);
        if code == 0 {
            break;
        }
        let Some(value) = b.get(at + 4..at + 4 + len) else { break };
        out.push((code, value.to_vec()));
        at += 4 + len.next_multiple_of(4);
    }
    out
}

fn parse_pcapng(b: &[u8], file: &mut File) {
    let (mut at, mut big) = (0, false);
    // Where the interfaces of the section begin in `file.interfaces`.
    let mut base = 0;
    while at < b.len() {
        if b.get(at..at + 4) == Some(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            match u32_at(b, at + 8, true) {
                Some(0x1a2b_3c4d) => big = true,
                Some(0x4d3c_2b1a) => big = false,
                _ => {
                    file.damage = Some((at, "no byte-order magic".into()));
                    return;
                }
            }
            base = file.interfaces.len();
        }
        let whole = (|| {
            let kind = u32_at(b, at, big)?;
            let total = u32_at(b, at + 4, big)? as usize;
            (total >= 12 && total.is_multiple_of(4)).then_some(())?;
            let block = b.get(at..at + total)?;
            (u32_at(block, total - 4, big)? as usize == total).then_some(())?;
            Some((kind, &block[8..total - 4]))
        })();
        let Some((kind, body)) = whole else {
            file.damage = Some((at, "no whole block".into()));
            return;
        };
        if read_block(kind, body, big, base, file).is_none() {
            file.damage = Some((at, format!("block {kind} makes no sense")));
            return;
        }
        at += body.len() + 12;
    }
}

/// Takes one block into `file`; `None` where it cannot be read.
fn read_block(kind: u32, body: &[u8], big: bool, base: usize, file: &mut File) -> Option<()> {
    match kind {
        0x0a0d_0d0a => {
            let opts = options(body.get(16..)?, big);
            file.section_comments.extend(opts.into_iter().filter(|o| o.0 == 1).map(|o| o.1));
        }
        1 => {
            let opts = options(body.get(8..)?, big);
            let value = |code| opts.iter().find(|o| o.0 == code).map(|o| o.1.clone());
            file.interfaces.push(Interface {
                // Some writers put a zero byte behind the text.
                name: value(2)
                    .map(|n| n[..n.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1)].to_vec())
                    .filter(|n| !n.is_empty()),
                link: one_number(u16_at(body, 0, big)?),
                snaplen: u32_at(body, 4, big)?,
                resolution: value(9).and_then(|v| v.first().copied()).unwrap_or(6),
                offset: value(14).and_then(|v| u64_at(&v, 0, big)).map_or(0, u64::cast_signed),
            });
        }
        2 | 6 => {
            let interface = base + if kind == 6 { u32_at(body, 0, big)? as usize } else { usize::from(u16_at(body, 0, big)?) };
            let i = file.interfaces.get(interface)?.clone();
            let ticks = u64::from(u32_at(body, 4, big)?) << 32 | u64::from(u32_at(body, 8, big)?);
            let captured = u32_at(body, 12, big)? as usize;
            let data = body.get(20..20 + captured)?.to_vec();
            let opts = options(body.get(20 + captured.next_multiple_of(4)..).unwrap_or(&[]), big);
            file.packets.push(Packet {
                time: nanoseconds(ticks, i.resolution, i.offset),
                orig_len: u32_at(body, 16, big)?,
                data,
                link: i.link,
                interface,
                flags: opts.iter().find(|o| o.0 == 2).and_then(|o| u32_at(&o.1, 0, big)),
                comments: opts.into_iter().filter(|o| o.0 == 1).map(|o| o.1).collect(),
                untimed: false,
            });
        }
        3 => {
            let i = file.interfaces.get(base)?.clone();
            let orig_len = u32_at(body, 0, big)?;
            let limit = if i.snaplen == 0 { u32::MAX } else { i.snaplen };
            let captured = orig_len.min(limit) as usize;
            file.packets.push(Packet {
                time: 0,
                orig_len,
                data: body.get(4..4 + captured)?.to_vec(),
                link: i.link,
                interface: base,
                comments: Vec::new(),
                flags: None,
                untimed: true,
            });
        }
        5 => {
            let interface = base + u32_at(body, 0, big)? as usize;
            let dropped = |o: &(u16, Vec<u8>)| [5, 7].contains(&o.0) && o.1.iter().any(|b| *b != 0);
            let spoke = options(body.get(12..)?, big).iter().any(dropped);
            file.drops |= spoke && file.packets.iter().any(|p| p.interface == interface);
            file.others.push(Other { kind, body: body.to_vec() });
        }
        _ => file.others.push(Other { kind, body: body.to_vec() }),
    }
    Some(())
}
