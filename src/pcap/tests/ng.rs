//! pcapng: sections, interfaces, time units, all packet blocks, options, damage.

use super::make::{BOTH, END, Order, everything};
use super::*;
use crate::packet::LinkType;
use crate::pcap::options::Options;

const LE: Order = Order::Little;

fn file(order: Order, blocks: &[Vec<u8>]) -> Vec<u8> {
    [order.section(), blocks.concat()].concat()
}

#[test]
fn everything_reads_the_same_in_both_orders() {
    let [little, big] = BOTH.map(|order| read(&everything(order)));
    assert_eq!(little.records, big.records);
    assert_eq!(little.interfaces, big.interfaces);
    assert_eq!(little.damage(), None);
    let packets = little.packets();
    assert_eq!(packets.len(), 8);
    assert_eq!(packets[0], (0, 5_000_000_001, 90, b"abcde".to_vec()));
    assert_eq!(packets[1], (0, 0, 7, b"simple!".to_vec()));
    assert_eq!(packets[2], (1, 1_000_001_000, 3, b"old".to_vec()));
    assert_eq!(packets[7], (3, 2000, 3, b"xyz".to_vec()));
    assert_eq!(little.options()[0], LE.option(2, &1_u32.to_le_bytes()));
    assert_eq!(little.options()[2], [LE.option(1, b"note"), LE.option(4, &3_u64.to_le_bytes())].concat());
    assert_eq!(little.interfaces[0].name.as_deref(), Some("eth0"));
    assert_eq!(
        (little.interfaces[3].section, little.interfaces[3].link_type, little.interfaces[3].snap_length),
        (1, LinkType(276), 100)
    );
    let auxiliary: Vec<_> = little.records.iter().filter(|r| matches!(r, Owned::Auxiliary(_))).collect();
    let names = LE.block(4, &[LE.option(1, b"\x0a\0\0\x01host\0"), END.to_vec(), LE.option(2, b"dns"), END.to_vec()].concat());
    let secrets = LE.block(10, &[LE.words(&[0x544c_534b, 6]), b"secret\0\0".to_vec()].concat());
    assert_eq!(auxiliary[..2], [&Owned::Auxiliary(names), &Owned::Auxiliary(secrets)]);
    let statistics = little.records.iter().find(|r| matches!(r, Owned::Other(text) if text.starts_with("Statistics"))).unwrap();
    assert_eq!(
        *statistics,
        Owned::Other(
            "Statistics { interface: 0, time: Timestamp(7000000000), start: None, end: None, received: Some(9), \
             dropped_interface: Some(2), dropped_os: None }"
                .into()
        )
    );
}

#[test]
fn integer_options_are_turned_and_others_kept() {
    for order in BOTH {
        let o = order;
        let options = |o: Order| {
            [
                o.option(1, b"five5"),
                o.option(2, &o.b32(0x0102_0304)),
                o.option(3, b"\x02abcd"),
                o.option(4, &o.b64(4)),
                o.option(5, &o.b64(5)),
                o.option(6, &o.b32(6)),
                o.option(7, &[&[1][..], &o.b64(7)].concat()),
                o.option(7, &[&[0][..], b"hardware"].concat()),
                o.option(2989, &[&o.b32(32_473)[..], b"value"].concat()),
                o.option(0x8001, b"\x01\x02\x03\x04"),
            ]
            .concat()
        };
        let interface = |o: Order| {
            [
                o.option(8, &o.b64(1_000_000_000)),
                o.option(3, b"an uplink"),
                o.option(10, &o.b32(3600)),
                o.option(4, b"\x0a\0\0\x01\xff\0\0\0"),
            ]
            .concat()
        };
        let name = [o.option(2, b"a\xff\x07b\0"), o.option(9, &[6]), o.option(14, &o.b64(2))].concat();
        let bytes = file(
            o,
            &[
                o.interface(1, 0, &[interface(o), name, END.to_vec()].concat()),
                o.enhanced(0, 1, 4, b"data", &[options(o), END.to_vec()].concat()),
                o.enhanced(0, 1, 4, b"data", &options(o)),
            ],
        );
        let got = read(&bytes);
        assert_eq!(got.options(), [options(LE), options(LE)]);
        assert_eq!(got.interfaces[0].options, interface(LE));
        assert_eq!(got.interfaces[0].name.as_deref(), Some("a\u{fffd}\u{7}b"));
        assert_eq!(got.packets()[0].1, 2_000_001_000);
        assert_eq!(got.counters.malformed_parts, 0);
        assert_eq!(Options::new(&got.options()[0]).count(), 10);
        assert_eq!(Options::new(&got.options()[0]).next(), Some((1, &b"five5"[..])));
    }
}

#[test]
fn malformed_options_cost_only_themselves() {
    for o in BOTH {
        let broken = [o.option(1, b"kept"), o.b16(1).to_vec(), o.b16(400).to_vec()].concat();
        let got = read(&file(o, &[o.interface(1, 0, &broken), o.enhanced(0, 1, 4, b"data", &broken)]));
        assert_eq!(got.options(), [LE.option(1, b"kept")]);
        assert_eq!(got.interfaces[0].options, LE.option(1, b"kept"));
        assert_eq!((got.counters.malformed_parts, got.damage()), (2, None));
        // More options than are kept: whole ones up to the limit.
        let long: Vec<u8> = (0..4).flat_map(|_| o.option(1, &[b'c'; 60_000])).collect();
        let got = read(&file(o, &[o.interface(1, 0, &[]), o.enhanced(0, 1, 4, b"data", &long)]));
        assert_eq!((got.options()[0].len(), got.counters.malformed_parts), (2 * 60_004, 1));
    }
}

#[test]
fn simple_packets_are_bounded_by_snap_length_and_block() {
    for o in BOTH {
        let got = read(&file(o, &[o.interface(1, 3, &[]), o.interface(1, 9, &[]), o.simple(60, b"abc."), o.simple(2, b"ab")]));
        assert_eq!(got.packets(), [(0, 0, 60, b"abc".to_vec()), (0, 0, 2, b"ab".to_vec())]);
        let got = read(&file(o, &[o.interface(1, 0, &[]), o.simple(60, b"abcd")]));
        assert_eq!(got.packets(), [(0, 0, 60, b"abcd".to_vec())]);
    }
}

#[test]
fn times_out_of_range_are_clamped_and_counted() {
    let o = LE;
    let ns = o.option(9, &[9]);
    let before = [o.option(9, &[0]), o.option(14, &(-10_i64).to_le_bytes())].concat();
    let got = read(&file(
        o,
        &[
            o.interface(1, 0, &ns),
            o.interface(1, 0, &before),
            o.interface(1, 0, &o.option(9, &[12])),
            o.enhanced(0, u64::MAX, 1, b"a", &[]),
            o.enhanced(1, 9, 1, b"a", &[]),
            o.enhanced(1, 11, 1, b"a", &[]),
            o.enhanced(2, 1999, 1, b"a", &[]),
        ],
    ));
    let times: Vec<u64> = got.packets().iter().map(|p| p.1).collect();
    assert_eq!((times, got.counters.clamped_times), (vec![u64::MAX - 1, 0, 1_000_000_000, 1], 2));
}

#[test]
fn each_damage_is_named() {
    for o in BOTH {
        let sound = [o.interface(1, 0, &[]), o.enhanced(0, 1, 3, b"abc", &[])].concat();
        let at = (o.section().len() + sound.len()) as u64;
        let packet = o.enhanced(0, 1, 1516, &[1; 1516], &[]);
        let with = |block: &[u8], at: usize, value: u32| {
            let mut block = block.to_vec();
            block[at..at + 4].copy_from_slice(&o.b32(value));
            block
        };
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (packet[..700].to_vec(), "file ends inside a packet of 1,516 bytes"),
            (packet[..7].to_vec(), "file ends inside the header of a block"),
            (with(&packet, 4, 1549), "a packet block with the impossible length 1,549"),
            (with(&packet, 4, 28), "a packet block with the impossible length 28"),
            (vec![0; 40], "a block of type 0x0 with the impossible length 0"),
            (
                with(&packet, 4, 1544),
                "a packet block whose two lengths disagree: 1,544 bytes at its start, 16,843,009 at its end",
            ),
            (with(&packet, 8, 5), "interface 5 of section 0 is not described"),
            (with(&packet, 20, 1517), "packet of 1,517 bytes in a block that has room for 1,516"),
            (
                o.enhanced(0, 1, 300_000, &vec![0; 300_000], &[]),
                "packet of 300,000 bytes, more than the 262,144 that are allowed",
            ),
            (with(&packet, 4, 20_000_000), "a packet block of 20,000,000 bytes, more than the 17,039,376 that are allowed"),
            (o.block(0x7777, &[0; 4000])[..900].to_vec(), "file ends inside a block of type 0x7777 of 4,012 bytes"),
            (
                with(&o.block(0x7777, &[0; 400]), 408, 1),
                "a block of type 0x7777 whose two lengths disagree: 412 bytes at its start, 1 at its end",
            ),
            (o.statistics(3, 0, &[]), "interface 3 of section 0 is not described"),
            (with(&o.section(), 8, 77), "section header with an unknown byte-order magic"),
            ([o.section(), o.simple(1, b"a")].concat(), "interface 0 of section 1 is not described"),
        ];
        for (block, reason) in cases {
            let got = read(&[&file(o, std::slice::from_ref(&sound))[..], &block].concat());
            let damage = got.damage().unwrap();
            assert_eq!(damage.1, reason, "{o:?}");
            assert!(damage.0 == at || reason.ends_with("section 1 is not described"), "{reason}: {}", damage.0);
            assert_eq!(got.packets()[0].3, b"abc");
        }
    }
}

#[test]
fn unknown_blocks_larger_than_any_limit_are_skipped() {
    let o = LE;
    let bytes = file(o, &[o.interface(1, 0, &[]), o.block(0x7777, &vec![0; 30 << 20]), o.enhanced(0, 1, 3, b"abc", &[])]);
    let got = read(&bytes);
    assert_eq!((got.packets().len(), got.damage()), (1, None));
}

#[test]
fn interfaces_are_limited() {
    let o = LE;
    let many: Vec<u8> = (0..65_537).flat_map(|_| o.interface(1, 0, &[])).collect();
    let got = read(&file(o, &[many]));
    assert_eq!((got.interfaces.len(), got.damage().unwrap().1), (65_536, "more than 65,536 interfaces"));
    let comment: Vec<u8> = o.interface(1, 0, &[o.option(1, &[b'c'; 65_000]), o.option(1, &[b'c'; 65_000])].concat());
    let got = read(&file(o, &vec![comment; 600]));
    assert!(got.interfaces.len() > 400 && got.damage().unwrap().1.starts_with("interfaces with names and options of more than"));
}

#[test]
fn malformed_names_and_secrets_are_cut_or_left_out() {
    for o in BOTH {
        let names = o.block(4, &[o.option(1, b"\x0a\0\0\x01a\0"), o.b16(1).to_vec(), o.b16(99).to_vec()].concat());
        let secrets = o.block(10, &o.words(&[1, 99]));
        let got = read(&file(o, &[names, secrets, o.block(4, &[])]));
        let whole = LE.block(4, &[LE.option(1, b"\x0a\0\0\x01a\0"), END.to_vec()].concat());
        assert_eq!(got.records[1..], [Owned::Auxiliary(whole), Owned::Auxiliary(LE.block(4, &END))]);
        assert_eq!((got.counters.malformed_parts, got.damage()), (3, None));
    }
}
