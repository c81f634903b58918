//! The kinds of capture files: what comes in survives, what is damaged is read as far as it goes and named.

use crate::make::{Made, Opt, Order, PcapNg, SECOND, START, numbered, pcap, pcap_as, pcapng, traffic, v4};
use crate::plain::{self, File};
use crate::scan::{difference, sorted};
use crate::support::{Data, NOT_WHOLE, Output, WHOLE, WRONG_REQUEST, gather, run_with};
use std::io::Write;
use std::path::Path;

/// Imports bytes as a file and holds the whole cut against the plain reading.
#[track_caller]
fn comes_out(name: &str, bytes: &[u8], status: i32) -> (Data, Output, File) {
    let data = Data::new();
    let path = data.file(name, bytes);
    let import = data.import(&[&path]).expect(status);
    let source = plain::read(&path).unwrap();
    let cut = data.cut_all();
    if let Some(d) = difference(&sorted(&source.packets), &sorted(&cut.file.packets)) {
        panic!("{name}: {d}");
    }
    assert!(cut.file.packets.windows(2).all(|w| w[0].time <= w[1].time));
    (data, import, cut.file)
}

fn few() -> Vec<Made> {
    (0..5).map(|n| Made::new(START + n * 1_234_567_891, numbered("10.0.0.1", "10.0.0.2", n, 30))).collect()
}

fn names(data: &Data) -> Vec<String> {
    let mut all: Vec<_> = data.rings().into_iter().map(|r| r.interface).collect();
    all.sort();
    all
}

#[test]
fn classic_files_of_every_magic_and_order() {
    for order in [Order::Little, Order::Big] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
            comes_out("a.pcap", &pcap_as(order, magic, 1, 65_535, &few()), WHOLE);
        }
        // The high bits of the link type speak of frame check sequences.
        let (_, _, cut) = comes_out("fcs.pcap", &pcap_as(order, 0xa1b2_c3d4, 0x1400_0001, 65_535, &few()), WHOLE);
        assert_eq!(cut.packets[0].link, 1);
    }
}

#[test]
fn every_resolution_and_offset() {
    let data = few()[0].data.clone();
    for order in [Order::Little, Order::Big] {
        for resolution in [0, 2, 3, 6, 7, 9, 12, 18, 0x80, 0x80 | 10, 0x80 | 20, 0x80 | 32, 0x80 | 60] {
            for offset in [0_i64, 1_000_000, -1_000, i64::from(u32::MAX)] {
                let mut f = PcapNg::new(order);
                let offset = if order == Order::Little { offset.to_le_bytes() } else { offset.to_be_bytes() };
                f.interface_with(1, 0, &[(2, b"eth0"), (9, &[resolution]), (14, &offset)]);
                for ticks in [0, 1, 999, 1_529_577_720, 1_529_577_720_123_456, 1_529_577_720_123_456_789, 1 << 62] {
                    f.enhanced(0, ticks, data.len() as u32, &data, &[]);
                }
                comes_out("a.pcapng", &f.bytes, WHOLE);
            }
        }
    }
}

#[test]
fn times_out_of_range_are_clamped_and_told() {
    let data = few()[0].data.clone();
    let mut f = PcapNg::new(Order::Little);
    f.interface_with(1, 0, &[(2, b"eth0"), (9, &[0]), (14, &(-10_000_i64).to_le_bytes())]);
    for ticks in [5, START / SECOND, u64::MAX, 1 << 40] {
        f.enhanced(0, ticks, data.len() as u32, &data, &[]);
    }
    let (_, import, cut) = comes_out("a.pcapng", &f.bytes, WHOLE);
    assert_eq!((cut.packets[0].time, cut.packets[3].time), (0, u64::MAX - 1));
    assert!(import.stderr.contains("clamped"), "{}", import.stderr);
}

#[test]
fn simple_packets_have_no_time() {
    for order in [Order::Little, Order::Big] {
        let mut f = PcapNg::new(order);
        f.interface_with(1, 100, &[(2, b"eth0"), (9, &[9])]);
        let long = numbered("10.0.0.1", "10.0.0.2", 0, 300);
        f.simple(long.len() as u32, &long[..100]);
        f.packet(0, &few()[1]);
        f.simple(60, &long[..60]);
        let (data, _, cut) = comes_out("a.pcapng", &f.bytes, WHOLE);
        assert_eq!((cut.packets[0].time, cut.packets[0].orig_len, cut.packets[0].data.len()), (0, long.len() as u32, 100));
        let rings = data.rings();
        assert_eq!(rings[0].packets, 3);
        // They would put the first packet held at 1970.
        assert!(!rings[0].json.to_string().contains("1970-01-01T00:00:00"), "{}", rings[0].json);
    }
}

#[test]
fn obsolete_packets_and_unknown_blocks() {
    for order in [Order::Little, Order::Big] {
        let mut f = PcapNg::new(order);
        f.block(0x0bad, &[1, 2, 3, 4, 5], &[]);
        f.interface(1, Some(b"eth0"));
        f.interface(1, Some(b"eth1"));
        f.block(0x7777_7777, b"whatever", &[]);
        for (i, p) in few().iter().enumerate() {
            let flags = if order == Order::Little { 1_u32.to_le_bytes() } else { 1_u32.to_be_bytes() };
            f.obsolete((i % 2) as u16, p.time, p.orig_len, &p.data, &[(1, b"old"), (2, &flags)]);
        }
        let (data, _, cut) = comes_out("a.pcapng", &f.bytes, WHOLE);
        assert_eq!(names(&data), ["eth0", "eth1"]);
        assert!(cut.packets.iter().all(|p| p.flags == Some(1) && p.comments == [b"old"]));
    }
}

#[test]
fn comments_and_directions_survive() {
    for order in [Order::Little, Order::Big] {
        let mut f = PcapNg::new(order);
        f.interface(1, Some(b"eth0"));
        let long = vec![b'x'; 60_000];
        for (i, p) in few().iter().enumerate() {
            let flags = (i as u32 % 3) | 0x40;
            let flags = if order == Order::Little { flags.to_le_bytes() } else { flags.to_be_bytes() };
            let mut options: Vec<Opt<'_>> =
                vec![(1, b"first"), (1, "zweiter \u{1f980}".as_bytes()), (2, &flags), (3, b"\x02\0\0\0\0\0\0\0\0")];
            if i == 3 {
                options.push((1, &long));
            }
            f.enhanced(0, p.time, p.orig_len, &p.data, &options);
        }
        f.packet(0, &few()[4]);
        let source = plain::parse(&f.bytes).unwrap();
        let (_, _, cut) = comes_out("a.pcapng", &f.bytes, WHOLE);
        for (a, b) in source.packets.iter().zip(&cut.packets) {
            assert_eq!((&a.comments, a.flags), (&b.comments, b.flags));
        }
    }
}

#[test]
fn names_and_secrets_reappear_with_their_section_only() {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    f.name_resolution(v4("10.0.0.1"), "first.example");
    f.secrets("CLIENT_RANDOM first");
    f.packet(0, &few()[0]);
    f.section(Order::Big, &[]);
    f.interface(1, Some(b"eth1"));
    f.secrets("CLIENT_RANDOM other");
    f.packet(0, &few()[1]);
    f.name_resolution(v4("10.0.0.2"), "other.example");
    let (data, _, all) = comes_out("a.pcapng", &f.bytes, WHOLE);
    let holds =
        |file: &File, text: &str| file.others.iter().filter(|b| b.body.windows(text.len()).any(|w| w == text.as_bytes())).count();
    for text in ["first.example", "CLIENT_RANDOM first", "other.example", "CLIENT_RANDOM other"] {
        assert_eq!(holds(&all, text), 1, "{text}");
    }
    let one = data.cut(&["--interface", "eth0"]).file;
    let two = data.cut(&["--interface", "eth1"]).file;
    for (mine, other) in [("first.example", "other.example"), ("CLIENT_RANDOM first", "CLIENT_RANDOM other")] {
        assert_eq!((holds(&one, mine), holds(&one, other)), (1, 0));
        assert_eq!((holds(&two, mine), holds(&two, other)), (0, 1));
    }
    let none = data.cut(&["--ip", "203.0.113.9"]).file;
    assert_eq!(holds(&none, "example") + holds(&none, "CLIENT_RANDOM"), 0);
}

#[test]
fn interfaces_get_their_names() {
    let p = &few()[0];
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, None);
    f.interface(1, None);
    f.packet(0, p);
    f.packet(1, p);
    let (data, _, _) = comes_out("two.pcapng", &f.bytes, WHOLE);
    assert_eq!(names(&data), ["two:0", "two:1"]);

    let mut f = PcapNg::new(Order::Little);
    f.interface(1, None);
    f.packet(0, p);
    let (data, _, _) = comes_out("one.pcapng", &f.bytes, WHOLE);
    assert_eq!(names(&data), ["one"]);

    let data = Data::new();
    let path = data.file("c.pcap", &pcap(&few()));
    data.import_with(&["--interface", "tap 7"], &[&path]).expect(WHOLE);
    data.import(&[&path]).expect(WHOLE);
    assert_eq!(names(&data), ["c", "tap 7"]);
    data.import(&[&path]).expect(WHOLE);
    let packets: Vec<_> = data.rings().iter().map(|r| r.packets).collect();
    assert_eq!(packets.iter().sum::<u64>(), 15, "importing again appends");
}

#[test]
fn many_interfaces_and_link_types_of_one_name() {
    let mut f = PcapNg::new(Order::Little);
    for i in 0..40 {
        f.interface(1, Some(format!("if{}", i % 20).as_bytes()));
    }
    f.interface(101, Some(b"if0"));
    for (i, p) in traffic(1, 400, SECOND, 30).iter().enumerate() {
        f.packet(i as u32 % 41, p);
    }
    let (data, _, _) = comes_out("many.pcapng", &f.bytes, WHOLE);
    assert_eq!(data.rings().len(), 20);
}

#[test]
fn any_link_type_is_retained() {
    for link in [
        0, 1, 6, 7, 9, 10, 12, 14, 50, 51, 101, 104, 105, 107, 108, 113, 119, 127, 147, 163, 192, 195, 228, 229, 239, 253, 276,
        65_000,
    ] {
        let mut f = PcapNg::new(Order::Little);
        f.interface(link, Some(b"eth0"));
        for n in 0..40 {
            let mut data = numbered("10.0.0.1", "10.0.0.2", n, 20);
            data.rotate_left(n as usize);
            data.truncate(data.len() - n as usize);
            f.packet(0, &Made::new(START + n, data));
        }
        let (data, _, _) = comes_out("a.pcapng", &f.bytes, WHOLE);
        let from = crate::support::seconds(START + 10);
        assert_eq!(data.cut(&["--from", &from]).file.packets.len(), 30, "link type {link}");
    }
}

#[test]
fn a_snap_length_keeps_the_original_length() {
    let packets: Vec<_> = few()
        .into_iter()
        .map(|mut p| {
            p.data.truncate(40);
            p.orig_len = 60_000;
            p
        })
        .collect();
    let (data, _, cut) = comes_out("a.pcap", &pcap(&packets), WHOLE);
    assert!(cut.packets.iter().all(|p| p.orig_len == 60_000 && p.data.len() == 40));
    let mut truncated = Vec::new();
    gather(&data.cut_all().coverage, "truncated_packets", &mut |v| truncated.extend(v.as_u64()));
    assert!(truncated.contains(&5), "truncated packets are counted: {truncated:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

#[test]
fn compressed_files_by_content() {
    let raw = pcapng("eth0", &traffic(2, 2_000, SECOND, 200));
    let (half, rest) = raw.split_at(raw.len() / 2);
    let zstd = |b: &[u8]| zstd::encode_all(b, 1).unwrap();
    for (name, bytes) in [
        ("a.pcapng.gz", gzip(&raw)),
        ("two-members.pcap", [gzip(half), gzip(rest)].concat()),
        ("b.bin", zstd(&raw)),
        ("two-frames.gz", [zstd(half), zstd(rest)].concat()),
    ] {
        comes_out(name, &bytes, WHOLE);
    }
    for bytes in [gzip(&raw), zstd(&raw)] {
        let data = Data::new();
        let path = data.file("cut.bin", &bytes[..bytes.len() * 2 / 3]);
        let import = data.import(&[&path]).expect(NOT_WHOLE);
        assert!(import.stderr.contains("cut.bin"), "{}", import.stderr);
        let (cut, source) = (data.cut_all().file, plain::parse(&raw).unwrap());
        assert!(cut.packets.len() > 200, "only {}", cut.packets.len());
        assert_eq!(difference(&sorted(&source.packets[..cut.packets.len()]), &sorted(&cut.packets)), None);
    }
}

#[test]
fn from_standard_input() {
    let packets = traffic(3, 500, SECOND, 100);
    for bytes in [pcap(&packets), gzip(&pcapng("eth0", &packets)), zstd::encode_all(&pcap(&packets)[..], 1).unwrap()] {
        let data = Data::new();
        let out = run_with(data.command(&["import"], &["--interface", "eth0", "-"]), &bytes);
        out.expect(WHOLE);
        let source = plain::parse(&pcap(&packets)).unwrap();
        assert_eq!(difference(&sorted(&source.packets), &sorted(&data.cut_all().file.packets)), None);
        assert_eq!(names(&data), ["eth0"]);
    }
}

/// A warning that names the file and a byte position between `low` and `high`.
#[track_caller]
fn names_damage(import: &Output, name: &str, low: usize, high: usize) {
    assert!(import.stderr.contains(name), "the file is named: {}", import.stderr);
    let numbers = import.stderr.split(|c: char| !c.is_ascii_digit()).filter_map(|w| w.parse::<usize>().ok());
    assert!(
        numbers.into_iter().any(|n| (low..=high).contains(&n)),
        "a position from {low} to {high} is named: {}",
        import.stderr
    );
}

#[test]
fn damaged_files_are_read_up_to_the_damage() {
    let packets = few();
    for (name, whole) in [("a.pcap", pcap(&packets)), ("a.pcapng", pcapng("eth0", &packets))] {
        // Cut off inside the fourth packet, at its first byte of header, inside its header and inside its data.
        let three = if name == "a.pcap" { pcap(&packets[..3]) } else { pcapng("eth0", &packets[..3]) }.len();
        for end in [three + 1, three + 10, three + 30, three + 40] {
            let (_, import, cut) = comes_out(name, &whole[..end], NOT_WHOLE);
            assert_eq!(cut.packets.len(), 3);
            names_damage(&import, name, three, end);
        }
        // A length that cannot be.
        let mut bad = whole.clone();
        let at = if name == "a.pcap" { three + 8 } else { three + 4 };
        bad[at..at + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
        let (_, import, cut) = comes_out(name, &bad, NOT_WHOLE);
        assert_eq!(cut.packets.len(), 3);
        names_damage(&import, name, three, whole.len());
    }
    // A packet of an interface that the section does not have.
    let mut f = PcapNg::new(Order::Big);
    f.interface(1, Some(b"eth0"));
    f.packet(0, &packets[0]);
    let before = f.bytes.len();
    f.packet(7, &packets[1]);
    let (_, import, _) = comes_out("b.pcapng", &f.bytes, NOT_WHOLE);
    names_damage(&import, "b.pcapng", before, f.bytes.len());
}

#[test]
fn a_bad_file_does_not_keep_the_others_out() {
    let data = Data::new();
    let good = pcap(&few());
    let a = data.file("a.pcap", &good);
    let b = data.file("b.pcap", &good[..good.len() - 3]);
    let c = data.file("c.pcap", &good);
    let import = data.import(&[&a, &b, &c]).expect(NOT_WHOLE);
    assert!(import.stderr.contains("b.pcap"), "{}", import.stderr);
    assert_eq!(data.cut_all().file.packets.len(), 14);

    // Nor does one that is no capture, or not there.
    let data = Data::new();
    let (a, d) = (data.file("a.pcap", &good), data.file("d.pcap", &good));
    let b = data.file("notes.txt", b"these are words and not a capture at all");
    let import = data.import(&[&a, &b, Path::new("gone.pcap"), &d]).expect(WRONG_REQUEST);
    assert!(import.stderr.contains("notes.txt") && import.stderr.contains("gone.pcap"), "{}", import.stderr);
    assert_eq!(data.cut_all().file.packets.len(), 10);
}

#[test]
fn what_is_no_capture_is_refused() {
    let data = Data::new();
    for (name, bytes) in [
        ("snoop.snoop", &b"snoop\0\0\0\0\0\0\x02\0\0\0\x04 and so on, which is another format"[..]),
        ("text.txt", b"these are words and not a capture at all"),
        ("empty.pcap", b""),
        ("short.pcap", b"\xd4\xc3"),
    ] {
        let path = data.file(name, bytes);
        let out = data.import(&[&path]);
        assert_ne!(out.status, WHOLE, "{name}");
        assert!(out.stderr.contains(name), "the file is named: {}", out.stderr);
    }
    let snoop = data.outside().join("snoop.snoop");
    assert!(data.import(&[&snoop]).stderr.contains("snoop"));
    let out = data.import(&[Path::new("no-such-file.pcap")]);
    assert_ne!(out.status, WHOLE);
    assert!(out.one_line().contains("no-such-file.pcap"));
}

#[test]
fn an_empty_capture_is_no_fault() {
    let data = Data::new();
    let path = data.file("none.pcap", &pcap(&[]));
    data.import(&[&path]).expect(WHOLE);
    assert_eq!(data.cut_all().file.packets.len(), 0);
}

/// How often `text` stands in a file.
fn count(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).filter(|w| *w == text.as_bytes()).count()
}

#[test]
fn what_a_file_says_of_an_interface_reappears_where_its_packets_are() {
    let p = &few()[0];
    let mut f = PcapNg::new(Order::Little);
    f.bytes.clear();
    f.section(Order::Big, &[(1, b"case 42"), (2, b"a sensor box"), (3, b"Linux 6.1"), (4, b"Dumpcap 4")]);
    let speed = 10_000_000_000_u64.to_be_bytes();
    f.interface_with(1, 96, &[(2, b"eth0"), (3, b"the uplink"), (8, &speed), (11, b"\0tcp port 445"), (13, &[4])]);
    f.interface_with(1, 0, &[(2, b"eth1"), (3, b"the downlink"), (12, b"its own system")]);
    f.packet(0, p);
    f.packet(1, p);
    // The same interface in a later section, described otherwise.
    f.section(Order::Little, &[]);
    f.interface_with(1, 0, &[(2, b"eth0"), (3, b"rewired"), (1, b"after noon")]);
    f.packet(0, p);
    let (data, _, _) = comes_out("a.pcapng", &f.bytes, WHOLE);

    let all = data.cut_all();
    for text in ["the uplink", "the downlink", "rewired", "after noon", "tcp port 445", "its own system", "Linux 6.1"] {
        assert_eq!(count(&all.bytes, text), 1, "{text}");
    }
    for text in ["case 42", "a sensor box", "captured by Dumpcap 4"] {
        assert_eq!(count(&all.bytes, text), 2, "{text} holds for both interfaces");
    }
    let names: Vec<_> =
        all.file.interfaces.iter().map(|i| String::from_utf8_lossy(i.name.as_ref().unwrap()).into_owned()).collect();
    assert_eq!(names, ["eth0", "eth0", "eth1"], "one block for each description, of one name");
    let path = data.file("all.pcapng", &all.bytes);
    crate::support::tools_accept(&path, true);
    if crate::support::has_tool("capinfos") {
        let told = String::from_utf8_lossy(&crate::support::tool("capinfos", [&path]).stdout).into_owned();
        for text in ["the uplink", "tcp port 445", "10000000000", "a sensor box"] {
            assert!(told.contains(text), "no {text} in {told}");
        }
    }

    let one = data.cut(&["--interface", "eth1"]);
    assert_eq!((count(&one.bytes, "the downlink"), count(&one.bytes, "the uplink"), count(&one.bytes, "rewired")), (1, 0, 0));

    // A cut is a capture like any other. Its two interfaces of one name are joined then, and keep what they share.
    let (again, _, _) = comes_out("again.pcapng", &all.bytes, WHOLE);
    let again = again.cut_all().bytes;
    assert_eq!((count(&again, "the downlink"), count(&again, "its own system"), count(&again, "rewired")), (1, 1, 0));
}

#[test]
fn files_that_say_the_same_make_one_interface() {
    let data = Data::new();
    for n in 0..3 {
        let mut f = PcapNg::new(Order::Little);
        f.interface_with(1, 0, &[(2, b"eth0"), (3, b"the uplink")]);
        f.packet(0, &few()[n]);
        data.take(&format!("{n}.pcapng"), &f.bytes);
    }
    let cut = data.cut_all();
    assert_eq!((cut.file.interfaces.len(), cut.file.packets.len()), (1, 3));
    assert_eq!(count(&cut.bytes, "the uplink"), 1);
}

#[test]
fn interfaces_joined_under_one_name_keep_what_they_share() {
    let p = &few()[0];
    let mut f = PcapNg::new(Order::Little);
    f.interface_with(1, 0, &[(3, b"uplink side"), (12, b"Linux 6.1")]);
    f.packet(0, p);
    f.interface_with(1, 0, &[(3, b"downlink side"), (12, b"Linux 6.1")]);
    for _ in 0..50 {
        f.packet(0, p);
        f.packet(1, p);
    }
    let data = Data::new();
    let path = data.file("joined.pcapng", &f.bytes);
    data.import_with(&["--interface", "lan"], &[&path]).expect(WHOLE);
    let cut = data.cut_all();
    assert_eq!(cut.file.packets.len(), 101);
    assert_eq!(count(&cut.bytes, "Linux 6.1"), 2, "of the first packet, and of those after the second interface came");
    assert_eq!((count(&cut.bytes, "uplink side"), count(&cut.bytes, "downlink side")), (1, 0));
    crate::support::tools_accept(&data.file("cut.pcapng", &cut.bytes), true);
}

#[test]
fn names_and_secrets_come_with_each_interface_of_their_section() {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    f.interface(1, Some(b"eth1"));
    f.secrets("CLIENT_RANDOM early");
    f.packet(0, &few()[0]);
    f.secrets("CLIENT_RANDOM later");
    f.packet(1, &few()[1]);
    let (data, _, all) = comes_out("a.pcapng", &f.bytes, WHOLE);
    let secrets = |file: &File| file.others.iter().filter(|b| b.kind == 10).count();
    assert_eq!(secrets(&all), 2, "each once");
    for interface in ["eth0", "eth1"] {
        assert_eq!(secrets(&data.cut(&["--interface", interface]).file), 2, "{interface}");
    }
}

#[test]
fn every_option_of_a_packet_survives() {
    let data = Data::new();
    let p = &few()[0];
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    let packet_id = 0x1122_3344_5566_7788_u64.to_le_bytes();
    let options: &[(u16, &[u8])] = &[
        (1, b"one comment"),
        (1, b"another comment"),
        (2, &[1, 0, 0, 0]),
        (3, &[2, 0xca, 0xfe, 0xba, 0xbe]),
        (4, &7_u64.to_le_bytes()),
        (5, &packet_id),
        (6, &3_u32.to_le_bytes()),
        (7, &[0, b'x']),
        (2988, b"\x01\0\0\0custom text"),
    ];
    f.enhanced(0, p.time / 1000, p.orig_len, &p.data, options);
    let source = f.bytes.clone();
    data.take("options.pcapng", &source);
    let cut = data.cut_all();
    let mut want = Vec::new();
    for (code, value) in options {
        want.extend_from_slice(&code.to_le_bytes());
        want.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
        want.extend_from_slice(value);
        want.resize(want.len().next_multiple_of(4), 0);
    }
    assert!(cut.bytes.windows(want.len()).any(|w| w == want), "the options are there, in their order");
}

/// A file of nameless interfaces; an `i` describes one, a digit is a packet of it.
fn nameless(order: &str) -> Vec<u8> {
    let mut f = PcapNg::new(Order::Little);
    for (n, c) in order.bytes().enumerate() {
        match c {
            b'i' => f.interface(1, None),
            c => f.packet(u32::from(c - b'0'), &Made::new(START + n as u64, numbered("10.0.0.1", "10.0.0.2", n as u64, 20))),
        }
    }
    f.bytes
}

#[test]
fn nameless_interfaces_are_called_the_same_wherever_they_are_described() {
    for (order, want) in [
        ("i00", &[("x", 2)][..]),
        ("ii010", &[("x:0", 2), ("x:1", 1)]),
        ("i0i10", &[("x:0", 2), ("x:1", 1)]),
        ("i00ii2", &[("x:0", 2), ("x:2", 1)]),
    ] {
        let data = Data::new();
        data.take("x.pcapng", &nameless(order));
        let rings = data.rings();
        let have: Vec<_> = rings.iter().map(|r| (r.interface.as_str(), r.packets)).collect();
        assert_eq!(have, want, "{order}");
    }
    // A pipe cannot be looked ahead into.
    let data = Data::new();
    run_with(data.command(&["import"], &["-"]), &nameless("i0i10")).expect(WHOLE);
    let rings = data.rings();
    let have: Vec<_> = rings.iter().map(|r| (r.interface.as_str(), r.packets)).collect();
    assert_eq!(have, [("stdin", 2), ("stdin:1", 1)]);
    let data = Data::new();
    data.take("x.pcap", &pcap(&traffic(1, 5, 1_000, 60)));
    assert_eq!(data.rings()[0].interface, "x");
}
