//! Input made to do harm: every prefix and thousands of mutations of small captures, and names that want out of their folder.

use crate::make::{Made, Order, PcapNg, Random, START, numbered, pcap, pcap_as, traffic, v4};
use crate::plain;
use crate::scan::essence;
use crate::support::{Data, NOT_WHOLE, Output, WHOLE, WRONG_REQUEST, run_with};
use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Address space that an import of hostile files may take, in KiB: far over the need, far under a runaway.
const ADDRESS_SPACE_KIB: u64 = 2 * 1024 * 1024;

/// Small captures that between them have every block and order.
fn small() -> Vec<(&'static str, Vec<u8>)> {
    let packets = traffic(30, 4, 1_000_000, 20);
    let mut rich = PcapNg::new(Order::Little);
    rich.interface(1, Some(b"eth0"));
    rich.name_resolution(v4("10.0.0.1"), "a.example");
    rich.secrets("CLIENT_RANDOM x");
    rich.enhanced(0, START, 60, &packets[0].data, &[(1, b"comment"), (2, &[1, 0, 0, 0])]);
    rich.simple(packets[1].orig_len, &packets[1].data);
    rich.section(Order::Big, &[(1, b"second")]);
    rich.interface_with(1, 0, &[(2, b"eth1"), (9, &[0x8a]), (14, &[0; 8])]);
    rich.obsolete(0, START, packets[2].orig_len, &packets[2].data, &[(1, b"old")]);
    rich.block(0x0bad, b"custom", &[]);
    rich.packet(0, &packets[3]);
    let gzip = |b: &[u8]| {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(b).unwrap();
        e.finish().unwrap()
    };
    vec![
        ("ns", pcap(&packets)),
        ("us-big", pcap_as(Order::Big, 0xa1b2_c3d4, 1, 65_535, &packets)),
        ("modified", pcap_as(Order::Little, 0xa1b2_cd34, 1, 65_535, &packets)),
        ("gzip", gzip(&rich.bytes)),
        ("zstd", zstd::encode_all(&pcap(&packets)[..], 1).unwrap()),
        ("rich", rich.bytes),
    ]
}

/// Imports many files in one process that cannot take unbounded memory, and cuts everything.
fn survive(what: &str, files: &[Vec<u8>]) -> Data {
    let data = Data::new();
    let paths: Vec<PathBuf> = files.iter().enumerate().map(|(i, b)| data.file(&format!("f{i}.cap"), b)).collect();
    let mut c = Command::new("sh");
    c.args(["-c", &format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_taploop"), "import"]);
    c.args(["--interface", "x", "--data"]).arg(data.path()).args(&paths);
    let out = run_with(c, &[]);
    // Some are no captures any more; what is asked is that the process ends by itself, and not for want of memory.
    assert!([WHOLE, WRONG_REQUEST, NOT_WHOLE].contains(&out.status), "{what}: {}: {}", out.status, tail(&out));
    assert!(no_control(out.stderr.as_bytes()), "{what}: control characters on standard error");
    if data.path().join("rings").exists() {
        data.cut_all();
        data.run(&["ring", "check"], &[]).expect(WHOLE);
    }
    data
}

fn tail(out: &Output) -> &str {
    let text = out.stderr.trim_end();
    &text[text.len() - text.len().min(400)..]
}

#[test]
fn every_prefix_of_small_captures() {
    for (name, bytes) in small() {
        let prefixes: Vec<_> = (0..bytes.len()).map(|n| bytes[..n].to_vec()).collect();
        let whole = plain::parse(&plain::unpacked(&bytes)).unwrap();
        let known: HashSet<_> = whole.packets.iter().map(essence).collect();
        for batch in prefixes.chunks(400) {
            // One that is whole goes behind them: none keeps it out.
            let data = survive(name, &[batch, std::slice::from_ref(&bytes)].concat());
            let cut = data.cut_all();
            // Cut off inside its second header, a file can be a whole one of another variant with longer headers.
            let own = cut.file.packets.iter().filter(|p| !known.contains(&essence(p))).count();
            assert!(own == 0 || name == "modified" && own < 10, "{name}: {own} packets of prefixes are not in the whole file");
            // What a decompressor gives of a piece is its own affair; of plain files each whole packet is kept.
            let whole_packets = |b: &Vec<u8>| plain::parse(&plain::unpacked(b)).map_or(0, |f| f.packets.len());
            let want: usize = batch.iter().map(whole_packets).sum::<usize>() + whole.packets.len();
            let have = cut.file.packets.len();
            let plain = !["gzip", "zstd"].contains(&name);
            assert!(have == want || !plain && have >= whole.packets.len(), "{name}: {have} packets of {want}");
        }
    }
}

/// One to four changes: bits, extreme numbers where lengths may stand, bytes taken out, put in and repeated.
fn mutated(r: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut b = bytes.to_vec();
    for _ in 0..1 + r.below(4) {
        let at = r.below(b.len() as u64) as usize;
        match r.below(6) {
            0 => b[at] ^= 1 << r.below(8),
            1 => b[at] = r.next() as u8,
            2 | 3 => {
                let at = at & !3;
                let number: u32 = *r.pick(&[
                    0,
                    1,
                    3,
                    11,
                    12,
                    0x7fff_ffff,
                    0x8000_0000,
                    u32::MAX,
                    u32::MAX - 3,
                    0x00ff_ffff,
                    262_145,
                    bytes.len() as u32,
                ]);
                let number = if r.one_in(2) { number.to_le_bytes() } else { number.to_be_bytes() };
                let end = (at + 4).min(b.len());
                b[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => {
                let end = (at + 1 + r.below(40) as usize).min(b.len());
                if b.len() - (end - at) > 8 {
                    b.drain(at..end);
                }
            }
            _ => {
                let end = (at + 1 + r.below(60) as usize).min(b.len());
                let piece = b[at..end].to_vec();
                let to = r.below(b.len() as u64) as usize;
                b.splice(to..to, piece);
            }
        }
    }
    b
}

#[test]
fn thousands_of_mutations() {
    let mut r = Random(31);
    for (name, bytes) in small() {
        for _ in 0..2 {
            let batch: Vec<_> = (0..300).map(|_| mutated(&mut r, &bytes)).collect();
            let packets = survive(name, &batch).cut_all().file.packets.len();
            // What a decompressor trips over gives nothing.
            let enough = if ["gzip", "zstd"].contains(&name) { 10 } else { 150 };
            assert!(packets > enough, "{name}: only {packets} packets came through, so that little was tried");
        }
    }
}

#[test]
fn mutations_of_the_corpus() {
    let Some(root) = crate::support::corpus() else { return };
    let mut seeds = Vec::new();
    for folder in ["formats", "broken", "transport"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap().flatten() {
            let bytes = std::fs::read(entry.path()).unwrap();
            if bytes.len() < 3_000 && plain::parse(&plain::unpacked(&bytes)).is_some() {
                seeds.push((entry.file_name().to_string_lossy().into_owned(), bytes));
            }
        }
    }
    seeds.sort();
    let (mut r, mut files) = (Random(32), 0);
    for (name, bytes) in seeds {
        let mut batch: Vec<_> = (0..40).map(|_| mutated(&mut r, &bytes)).collect();
        // And prefixes; the library's own tests read every one.
        batch.extend((0..40).map(|_| bytes[..r.below(bytes.len() as u64) as usize].to_vec()));
        batch.push(bytes);
        let source = plain::parse(&plain::unpacked(&batch[80])).unwrap();
        let held = survive(&name, &batch).cut_all();
        assert!(held.file.packets.len() >= source.packets.len(), "{name}: one of the others kept the whole file out");
        files += 1;
    }
    assert!(files > 50, "only {files} captures were small enough");
}

#[test]
fn a_compressed_flood_of_nothing() {
    // 24 MiB of zeros after two packets, in some ten KiB.
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(&pcap(&traffic(34, 2, 1_000_000, 20))).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..24).for_each(|_| e.write_all(&zeros).unwrap());
    let data = survive("zeros", &[e.finish().unwrap()]);
    assert!(data.rings()[0].packets >= 2);
}

/// Nothing that a terminal would act on.
fn no_control(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c)),
        Err(_) => false,
    }
}

#[test]
fn hostile_interface_names_stay_in_their_folder() {
    let long = vec![b'n'; 10_000];
    let mut longer = long.clone();
    *longer.last_mut().unwrap() = b'm';
    let names: Vec<&[u8]> = vec![
        b"../../x",
        b"..",
        b".",
        b"a/b",
        b"a%2Fb",
        b"a%2fb",
        b"a_b",
        b"A_B",
        b"/etc/passwd",
        b"/",
        b"a\0b",
        b"\xff\xfe\x80",
        b"\x1b]0;owned\x07\x1b[31m",
        b"line\nbreak\r",
        "\u{202e}gpj.exe".as_bytes(),
        "\u{9b}31m".as_bytes(),
        b"-rf",
        b"--data",
        b"con",
        b" ",
        b"trailing. ",
        b".hidden",
        b"name.pcapng",
        b"\\\\server\\share",
        b"\"quoted\"",
        b"$(reboot)",
        &long,
        &longer,
        "fünf".as_bytes(),
        "fu\u{308}nf".as_bytes(),
    ];
    let data = Data::new();
    let mut f = PcapNg::new(Order::Little);
    for (i, name) in names.iter().enumerate() {
        f.interface(1, Some(name));
        f.packet(i as u32, &Made::new(START + i as u64, numbered("10.0.0.1", "10.0.0.2", i as u64, 20)));
    }
    let path = data.file("names.pcapng", &f.bytes);
    let outside = |data: &Data| {
        let mut all: Vec<_> = std::fs::read_dir(data.outside()).unwrap().flatten().map(|e| e.file_name()).collect();
        all.sort();
        all
    };
    let import = data.import(&[&path]).expect(WHOLE);
    assert_eq!(outside(&data), ["data", "names.pcapng"]);
    assert!(no_control(import.stderr.as_bytes()), "{:?}", import.stderr);

    let rings = data.rings();
    assert_eq!(rings.len(), names.len(), "each name has its own ring");
    let folders: Vec<_> = std::fs::read_dir(data.path().join("rings")).unwrap().flatten().collect();
    assert_eq!(folders.len(), names.len());
    for folder in &folders {
        assert!(folder.path().is_dir() && folder.file_name().len() <= 255, "{folder:?}");
        assert!(no_control(folder.file_name().as_encoded_bytes()), "{folder:?}");
    }
    for words in [&["rings"][..], &["cut", "--interface", "unknown", "-w", "-"], &["flows"], &["ring", "check"]] {
        let out = data.run(&words[..1 + usize::from(words[0] == "ring")], &words[1 + usize::from(words[0] == "ring")..]);
        assert!(no_control(out.stderr.as_bytes()), "{words:?} lets control characters through: {:?}", out.stderr);
        assert!(no_control(&out.stdout), "{words:?} lets control characters through");
    }

    let cut = data.cut_all().expect(WHOLE);
    assert_eq!(cut.file.packets.len(), names.len());
    for ring in &rings {
        assert_eq!(ring.packets, 1, "{:?}", ring.interface);
        // By the name that the listing gives.
        if !ring.interface.contains('\0') {
            let one = data.cut(&[format!("--interface={}", ring.interface)]);
            assert_eq!(one.file.packets.len(), 1, "{:?}", ring.interface);
        }
    }
    for (i, name) in names.iter().enumerate() {
        if let Ok(name) = std::str::from_utf8(name)
            && !name.contains('\0')
            && name.len() < 1_000
        {
            let one = data.cut(&[format!("--interface={name}")]);
            assert_eq!(one.file.packets[0].time, START + i as u64, "{name:?}");
        }
    }
}

#[test]
fn an_empty_name_is_none() {
    let data = Data::new();
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b""));
    f.packet(0, &Made::new(START, numbered("10.0.0.1", "10.0.0.2", 0, 20)));
    data.take("stem.pcapng", &f.bytes);
    assert_eq!(data.rings()[0].interface, "stem");
}

#[test]
fn names_and_secrets_are_not_copied_into_rings_without_end() {
    let mut f = PcapNg::new(Order::Little);
    f.secrets(&"x".repeat(2 << 20));
    for i in 0..40_u32 {
        f.interface(1, Some(format!("if{i}").as_bytes()));
        f.packet(i, &Made::new(START + u64::from(i), numbered("10.0.0.1", "10.0.0.2", u64::from(i), 20)));
    }
    let data = Data::new();
    let path = data.file("many.pcapng", &f.bytes);
    let out = data.import(&[&path]).expect(WHOLE);
    assert_eq!(out.stderr.matches("further rings go without").count(), 1, "{}", out.stderr);
    let rings = std::fs::read_dir(data.path().join("rings")).unwrap().flatten();
    let sections = rings.flat_map(|ring| std::fs::read_dir(ring.path().join("sections")).into_iter().flatten().flatten());
    let bytes: u64 = sections.map(|file| file.metadata().unwrap().len()).sum();
    assert!((60 << 20..67 << 20).contains(&bytes), "{bytes}");
    assert_eq!(data.cut_all().expect(WHOLE).file.packets.len(), 40);
}
