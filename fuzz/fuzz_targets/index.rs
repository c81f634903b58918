//! Any bytes, as one of a ring's files beside sound ones: packet file, sealed index, log, catalogue. The first byte says which, and whether
//! checksums are put right, so that what lies behind them is reached. The ring is then opened, asked, checked and mended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use taploop::cut::flows::flows;
use taploop::cut::{Format, cut};
use taploop::ring::check::check;
use taploop::ring::data::DataDir;
use taploop::ring::snapshot::{ReadContext, RingReader};
use taploop::select::Selection;

const SELECTIONS: [&str; 6] = [
    "everything",
    "where layer(ip 10.1.2.3)",
    "where layer(pair 2001:db8::/32 2001:db8::2) limit-packets 3",
    "where layer(port 445) or vlan 100",
    "where layer(community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=)",
    "from 2018-06-21T10:42:00.002Z to 2018-06-21T10:42:00.009Z where not layer(proto 6)",
];

const FOOTER: usize = 384;
/// Bytes of a granule's entry in an index and in a log.
const GRANULE: usize = 16;
const LOG_GRANULE: usize = 20;
const ENTRIES_AT: usize = 4096;
const STATES_AT: [usize; 2] = [1024, 2048];

/// The bytes of a committed text (see src/ring/golden).
fn golden(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with(';')) {
        let (_, bytes) = line.split_once("  ").expect("an offset and bytes");
        match bytes.strip_prefix("00 * ") {
            Some(n) => out.resize(out.len() + n.parse::<usize>().expect("a number"), 0),
            None => out.extend(bytes.split(' ').map(|b| u8::from_str_radix(b, 16).expect("a byte"))),
        }
    }
    out
}

/// Puts the CRC of some bytes where it belongs.
fn put_crc(bytes: &mut [u8], from: usize, len: usize) {
    if from + len + 4 <= bytes.len() {
        let crc = crc32c::crc32c(&bytes[from..from + len]);
        bytes[from + len..from + len + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

/// Puts a granule entry's checksum right.
fn sum_granule(entry: &mut [u8], stored: Option<&[u8]>) {
    if let Some(stored) = stored {
        entry[4..8].copy_from_slice(&crc32c::crc32c(stored).to_le_bytes());
    }
}

fn sum_index(index: &mut [u8], packets: &[u8]) {
    let Some(end) = index.len().checked_sub(FOOTER) else { return };
    let granules = u32_at(index, end + 56).min(end / GRANULE);
    // Their table is the first, and those on its first page will do.
    let first_page = end.min(4092) / GRANULE;
    for i in 0..granules.min(first_page.saturating_sub(1)) {
        let [from, to] = [i, i + 1].map(|i| 4 * u32_at(index, GRANULE * i));
        sum_granule(&mut index[GRANULE * i..GRANULE * (i + 1)], packets.get(from..to));
    }
    for (n, page) in index[..end].chunks_mut(4096).enumerate().filter(|(_, p)| p.len() > 4) {
        let payload = page.len() - 4;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&(n as u64).to_le_bytes()), &page[..payload]);
        page[payload..].copy_from_slice(&crc.to_le_bytes());
    }
    index[end + 32..end + 40].copy_from_slice(&(end as u64).to_le_bytes());
    put_crc(index, end + 252, 124);
    put_crc(index, end, 380);
}

fn sum_log(log: &mut [u8], packets: &[u8]) {
    put_crc(log, 0, 48);
    STATES_AT.iter().for_each(|&at| put_crc(log, at, 32));
    let (mut at, mut number, mut base) = (ENTRIES_AT, 0_u32, u32_at(log, 44));
    while at + 16 <= log.len() {
        let len = u32_at(log, at);
        let Some(content) = log.get_mut(at + 16..at.saturating_add(16).saturating_add(len)) else { return };
        let granules = u32_at(content, 8).min(content.len().saturating_sub(56) / LOG_GRANULE);
        let entries = content.get_mut(56..).unwrap_or_default();
        for entry in entries.chunks_exact_mut(LOG_GRANULE).take(granules) {
            let end = base + (u32_at(entry, 0) & 0x0fff_ffff);
            sum_granule(entry, packets.get(base..end));
            base = end;
        }
        log[at + 4..at + 8].copy_from_slice(&number.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&log[at..at + 8]), &log[at + 16..at + 16 + len]);
        log[at + 8..at + 12].copy_from_slice(&crc.to_le_bytes());
        at += 16 + len;
        number += 1;
    }
}

fn sum_catalog(catalog: &mut [u8]) {
    STATES_AT.iter().for_each(|&at| put_crc(catalog, at, 16));
    for at in (ENTRIES_AT..catalog.len()).step_by(128) {
        put_crc(catalog, at, 124);
    }
}

/// A header page and what follows, of an input without the page's zeros.
fn with_page(input: &[u8], head: usize, state: usize) -> Vec<u8> {
    let mut out = input[..head.min(input.len())].to_vec();
    let rest = &input[out.len()..];
    let (state, rest) = rest.split_at(state.min(rest.len()));
    out.resize(STATES_AT[1], 0);
    out.extend(state);
    out.resize(ENTRIES_AT, 0);
    out.extend(rest);
    out
}

struct Sound {
    folder: PathBuf,
    packets: Vec<u8>,
    index: Vec<u8>,
    catalog: Vec<u8>,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let folder = parent.join(format!("taploop-fuzz-{}", std::process::id()));
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("the folder can be written");
        fs::create_dir_all(folder.join("rings/eth0/open")).expect("the folder can be written");
        write("taploop.json", r#"{"layout":1,"sensor":"000102030405060708090a0b0c0d0e0f"}"#);
        write("rings/eth0/ring.json", r#"{"layout":1,"interface":"eth0"}"#);
        Sound {
            folder,
            packets: golden(include_str!("../../src/ring/golden/segment.pcapng.txt")),
            index: golden(include_str!("../../src/ring/golden/segment.idx.txt")),
            catalog: golden(include_str!("../../src/ring/golden/catalog.txt")),
        }
    })
}

fn ask(data: &DataDir) {
    let context = ReadContext::default();
    let Ok(ring) = RingReader::open(data, "eth0", &context) else { return };
    let _ = ring.held();
    for text in SELECTIONS {
        let selection: Selection = text.parse().expect("a selection");
        let _ = cut(data, &selection, Format::Pcapng, &mut std::io::sink());
        let _ = flows(data, &selection);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, bytes)) = input.split_first() else { return };
    let sound = sound();
    let ring = sound.folder.join("rings/eth0");
    let sums = how & 4 != 0;
    let (mut packets, mut index, mut catalog, mut log) =
        (sound.packets.clone(), sound.index.clone(), sound.catalog.clone(), None);
    match how & 3 {
        0 => packets = bytes.to_vec(),
        1 => index = bytes.to_vec(),
        2 => log = Some(with_page(bytes, 52, 40)),
        _ => catalog = with_page(bytes, 12, 24),
    }
    if sums {
        sum_index(&mut index, &packets);
        sum_catalog(&mut catalog);
        log.iter_mut().for_each(|l| sum_log(l, &packets));
    }
    if log.is_some() {
        // Growing, and so not in the catalogue.
        catalog.truncate(ENTRIES_AT);
    }
    for entry in fs::read_dir(&ring).into_iter().flatten().chain(fs::read_dir(ring.join("open")).into_iter().flatten()).flatten()
    {
        if entry.file_name() != "ring.json" {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir_all(ring.join("hosts"));
    let write = |name: &str, bytes: &[u8]| fs::write(ring.join(name), bytes).expect("the folder can be written");
    write("0000000001.pcapng", &packets);
    write("catalog", &catalog);
    match &log {
        Some(log) => write("open/0000000001.log", log),
        None => write("0000000001.idx", &index),
    }
    let data = DataDir::open(&sound.folder).expect("a sound data folder");
    ask(&data);
    let _ = check(&sound.folder, false);
    if how & 8 != 0 {
        let _ = check(&sound.folder, true);
        ask(&data);
    }
});
