//! Classic pcap: every variant magic and byte order, what is cut off, what we write.

use super::make::BOTH;
use super::*;
use crate::packet::{LinkType, Packet};
use crate::pcap::pcap_write::{pcap_header, pcap_record};
use crate::time::Timestamp;

#[test]
fn every_magic_in_both_orders() {
    // Magic, bytes after the file's header, bytes after each record's, nanoseconds in a unit.
    let patched = |kind: u8, more: usize| [&[0, 0, 0, 0, 0, 0, kind, 0][..], &vec![0; more]].concat();
    for order in BOTH {
        for (magic, file_extra, extra, unit) in [
            (0xa1b2_c3d4, 0, vec![], 1000),
            (0xa1b2_3c4d, 0, vec![], 1),
            (0xa1b2_cd34, 0, patched(4, 0), 1000),
            (0xa1b2_cd34, 0, patched(4, 4), 1000),
            (0xa1b2_c3d4, 0, patched(1, 0), 1000),
            (0x1c00_01ac, 4, vec![], 1),
            (0x1c00_01ab, 4, vec![], 1000),
        ] {
            let mut file = order.pcap(magic, (2, 4), 0xf400_0001);
            file.extend(vec![9; file_extra]);
            for i in 0..5_u32 {
                file.extend(order.record([100 + i, 7 + i, 60 + i, 1000], &extra, &vec![i as u8 + 1; 60 + i as usize]));
            }
            let got = read(&file);
            let want: Vec<_> = (0..5_u32)
                .map(|i| {
                    (0, u64::from(100 + i) * 1_000_000_000 + u64::from(7 + i) * unit, 1000, vec![i as u8 + 1; 60 + i as usize])
                })
                .collect();
            assert_eq!(got.packets(), want, "{order:?} {magic:#x} {}", extra.len());
            assert_eq!(got.damage(), None);
            assert_eq!(got.records[0], Owned::Other("Section { section: 0, options: [] }".into()));
            assert_eq!(got.interfaces[0].link_type, LinkType(1));
            assert_eq!((got.interfaces[0].snap_length, got.counters.packets), (65_535, 5));
        }
    }
}

#[test]
fn nokia_is_told_by_its_extra_field() {
    for order in BOTH {
        let mut file = order.pcap(0xa1b2_c3d4, (2, 4), 1);
        for i in 0..4 {
            file.extend(order.record([1, i, 60, 60], &order.b32(0x9fbf_b601), &[7; 60]));
        }
        let got = read(&file);
        assert_eq!((got.packets().len(), got.damage()), (4, None));
        assert_eq!(got.packets()[3].3, [7; 60]);
    }
}

#[test]
fn old_versions_swap_the_lengths() {
    for order in BOTH {
        for (version, lengths) in
            [((2, 2), [90, 3]), ((2, 3), [3, 90]), ((2, 3), [90, 3]), ((543, 0), [90, 3]), ((2, 4), [3, 90])]
        {
            let mut file = order.pcap(0xa1b2_c3d4, version, 1);
            file.extend(order.record([1, 0, lengths[0], lengths[1]], &[], b"abc"));
            assert_eq!(read(&file).packets(), [(0, 1_000_000_000, 90, b"abc".to_vec())], "{version:?}");
        }
        // AIX: interface type 15 is FDDI, nanoseconds, three bytes before each frame.
        let mut file = order.pcap(0xa1b2_c3d4, (2, 2), 15);
        file.extend(order.record([1, 5, 93, 6], &[], b"...abc"));
        let got = read(&file);
        assert_eq!((got.packets(), got.interfaces[0].link_type), (vec![(0, 1_000_000_005, 90, b"abc".to_vec())], LinkType(10)));
    }
}

#[test]
fn damage_is_named_and_what_came_before_is_kept() {
    let order = BOTH[0];
    let mut file = order.pcap(0xa1b2_3c4d, (2, 4), 1);
    file.extend(order.record([1, 0, 3, 3], &[], b"abc"));
    let sound = file.len();
    file.extend(order.record([1, 0, 1514, 1514], &[], &[0; 100]));
    let got = read(&file);
    assert_eq!(got.packets().len(), 1);
    assert_eq!(got.damage(), Some((sound as u64, "file ends inside a packet of 1,514 bytes")));
    assert_eq!(read(&file[..sound + 5]).damage(), Some((sound as u64, "file ends inside the header of a packet")));
    assert_eq!(read(&file[..sound]).damage(), None);

    for (link, length, sound) in [(1, 262_144, true), (1, 262_145, false), (231, 16 << 20, true), (249, (16 << 20) + 1, false)] {
        let mut file = order.pcap(0xa1b2_3c4d, (2, 4), link);
        file.extend(order.record([1, 0, length, length], &[], &vec![1; length as usize]));
        let got = read(&file);
        assert_eq!((got.packets().len(), got.damage().is_none()), (usize::from(sound), sound), "{link} {length}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let packets = [(0, 3, &b"abc"[..]), (4_294_967_295_999_999_999, 70, b""), (4_294_967_296_000_000_000, 1, b"z")];
    let mut file = Vec::new();
    pcap_header(&mut file, LinkType(276));
    let fits: Vec<bool> = packets
        .iter()
        .map(|&(ns, original_length, data)| {
            pcap_record(&mut file, &Packet { time: Timestamp::from_nanos(ns), original_length, data, options: &[] })
        })
        .collect();
    assert_eq!(fits, [true, true, false]);
    let got = read(&file);
    assert_eq!(got.interfaces[0].link_type, LinkType(276));
    let times: Vec<u64> = got.packets().iter().map(|p| p.1).collect();
    assert_eq!(times, [0, 4_294_967_295_999_999_999, 4_294_967_295_999_999_999]);
    assert_eq!(got.packets()[0].3, b"abc");
}

#[test]
fn a_damaged_length_does_not_make_a_file_of_another_kind() {
    let data = [0x45; 42];
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for captured in [42_u32, 0x7fff_ffff] {
        for word in [1_500_000_000, 7, captured, captured] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&data);
    }
    let mut reader = CaptureReader::from_reader("t", Box::new(std::io::Cursor::new(file))).unwrap();
    let (mut packets, mut damage) = (Vec::new(), None);
    while let Some(record) = reader.next().unwrap() {
        match record {
            Record::Packet { packet, .. } => packets.push(packet.data.to_vec()),
            Record::Damage(found) => damage = Some(found.position),
            _ => {}
        }
    }
    assert_eq!((packets, damage), (vec![data.to_vec()], Some(82)));
}
