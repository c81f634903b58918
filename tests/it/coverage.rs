//! Coverage: what an answer rests on, told of rings that were really spoilt.

use crate::make::{Made, Order, PcapNg, SECOND, START, numbered, pcap};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, WHOLE, seconds};
use serde_json::Value;

fn packets(count: u64) -> Vec<Made> {
    (0..count).map(|n| Made::new(START + n * SECOND, numbered("10.0.0.1", "10.0.0.2", n, 1000))).collect()
}

/// The only reason of a cut.
fn reason(coverage: &Value) -> &Value {
    let reasons = coverage["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{coverage}");
    &reasons[0]
}

#[test]
fn a_damaged_stretch_names_file_bytes_and_time() {
    let data = Data::new();
    data.take("t.pcap", &pcap(&packets(200)));
    let file = data.packet_files().remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x20;
    std::fs::write(&file, &bytes).unwrap();
    let cut = data.cut_all().expect(NOT_WHOLE);
    let lost = 200 - cut.file.packets.len();
    assert!((1..20).contains(&lost), "{lost} packets of one granule are lost");
    let r = reason(&cut.coverage);
    assert_eq!((&r["reason"], &r["interface"]), (&"damaged".into(), &"t".into()), "{r}");
    assert_eq!(r["file"].as_str(), file.to_str(), "{r}");
    let (from, to) = (r["from_byte"].as_u64().unwrap(), r["to_byte"].as_u64().unwrap());
    assert!((from..to).contains(&(at as u64)) && to - from <= 16_384, "{r}");
    // The time is that of the packets which are missing.
    let have: Vec<u64> = cut.file.packets.iter().map(|p| p.time).collect();
    let first = (0..200).map(|n| START + n * SECOND).find(|t| !have.contains(t)).unwrap();
    let utc = |n: u64| format!("2018-06-21T10:4{}:{:02}", 2 + n / 60, n % 60);
    assert!(r["from"].as_str().unwrap().starts_with(&utc((first - START) / SECOND)), "{r}");
    // Outside of it nothing is missing, and nothing is said.
    data.cut(&["--from", &seconds(START), "--to", &seconds(START + SECOND)]).expect(WHOLE);
}

#[test]
fn drops_show_in_rings_and_in_their_window() {
    let p = packets(10);
    let mut f = PcapNg::new(Order::Big);
    f.interface(1, Some(b"eth0"));
    f.interface(1, Some(b"eth1"));
    p.iter().for_each(|p| f.packet(0, p));
    let statistics = |f: &mut PcapNg, interface: u32, ifdrop: u64, osdrop: u64| {
        let time = |t: u64| [((t >> 32) as u32).to_be_bytes(), (t as u32).to_be_bytes()].concat();
        let (start, end) = (time(START), time(START + 9 * SECOND));
        let body = [&interface.to_be_bytes()[..], &end].concat();
        let (own, os) = (ifdrop.to_be_bytes(), osdrop.to_be_bytes());
        f.block(5, &body, &[(2, &start), (3, &end), (5, &own), (7, &os)]);
    };
    statistics(&mut f, 0, 4, 3);
    statistics(&mut f, 1, 0, 5); // all of its packets were lost
    let data = Data::new();
    data.take("drops.pcapng", &f.bytes);
    let drops: Vec<_> =
        data.rings().iter().map(|r| (r.interface.clone(), r.packets, r.json["drops"].as_u64().unwrap())).collect();
    assert_eq!(drops, [("eth0".to_owned(), 10, 7), ("eth1".to_owned(), 0, 5)]);
    let inside = data.cut(&["--from", &seconds(START + SECOND), "--to", &seconds(START + 5 * SECOND)]).expect(NOT_WHOLE);
    assert_eq!((inside.file.packets.len(), inside.reasons()), (4, vec!["kernel_drops".to_owned()]));
    let told: Vec<_> = inside.coverage["interfaces"].as_array().unwrap().iter().map(|i| i["drops"].as_u64().unwrap()).collect();
    assert_eq!(told, [7, 5], "{}", inside.coverage);
    let after = data.cut(&["--from", &seconds(START + 60 * SECOND)]).expect(NONE_MATCHED);
    assert!(!after.reasons().contains(&"kernel_drops".to_owned()), "{}", after.coverage);
    for index in data.index_files() {
        let mut bytes = std::fs::read(&index).unwrap();
        let footer = bytes.len() - 384;
        bytes[footer + 100..footer + 103].iter_mut().for_each(|b| *b ^= 0x55);
        std::fs::write(&index, bytes).unwrap();
    }
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    let after: Vec<_> = data.rings().iter().map(|r| (r.packets, r.json["drops"].as_u64().unwrap())).collect();
    assert_eq!(after, [(10, 7), (0, 5)], "a repair keeps them");
    assert!(data.rings().iter().all(|r| r.json["recovered_packets"] == 0), "all of them had been published");
    let inside = data.cut(&["--from", &seconds(START + SECOND), "--to", &seconds(START + 5 * SECOND)]).expect(NOT_WHOLE);
    assert_eq!((inside.file.packets.len(), inside.reasons()), (4, vec!["kernel_drops".to_owned()]));
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn without_index_what_follows_damaged_packets_is_named() {
    let data = Data::new();
    data.take("t.pcap", &pcap(&packets(200)));
    let (file, index) = (data.packet_files().remove(0), data.index_files().remove(0));
    let mut bytes = std::fs::read(&file).unwrap();
    let mut at = 0;
    let length = |at: usize| u32::from_le_bytes([bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]]) as usize;
    for _ in 0..102 {
        at += length(at);
    }
    bytes[at + 4] ^= 1; // of the 101st packet
    std::fs::write(&file, bytes).unwrap();
    std::fs::remove_file(index).unwrap();
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
    let cut = data.cut_all().expect(NOT_WHOLE);
    assert_eq!((cut.file.packets.len(), cut.reasons()), (100, vec!["damaged".to_owned()]));
    data.run(&["ring", "check"], &[]).expect(WHOLE);
}

#[test]
fn a_count_of_drops_that_cannot_be_is_no_fault_of_ours() {
    let mut f = PcapNg::new(Order::Little);
    f.interface(1, Some(b"eth0"));
    packets(2).iter().for_each(|p| f.packet(0, p));
    let all = u64::MAX.to_le_bytes();
    for _ in 0..2 {
        f.block(5, &[0; 12], &[(5, &all), (7, &all)]);
        f.interface(1, Some(b"eth0"));
    }
    let data = Data::new();
    data.take("drops.pcapng", &f.bytes);
    data.take("again.pcapng", &f.bytes);
    assert_eq!(data.rings()[0].json["drops"], u64::MAX);
    assert_eq!(data.cut_all().file.packets.len(), 4);
    data.run(&["ring", "check"], &["--repair"]).expect(WHOLE);
}

#[test]
fn truncated_packets_are_counted() {
    let mut all = packets(4);
    all[1].data.truncate(100);
    all[3].data.truncate(200);
    let data = Data::new();
    data.take("t.pcap", &pcap(&all));
    assert_eq!(data.cut_all().coverage["truncated_packets"], 2);
    assert_eq!(data.cut(&["--to", &seconds(START + 2 * SECOND)]).coverage["truncated_packets"], 1);
}

#[test]
fn limits_are_exact() {
    let data = Data::new();
    data.take("t.pcap", &pcap(&packets(10)));
    let one = packets(1)[0].data.len() as u64;
    for (limit, want, status) in
        [(one - 1, 0, NONE_MATCHED), (one, 1, NOT_WHOLE), (10 * one - 1, 9, NOT_WHOLE), (10 * one, 10, WHOLE)]
    {
        let cut = data.cut(&["--limit-bytes", &limit.to_string()]).expect(status);
        assert_eq!((cut.file.packets.len(), cut.coverage["bytes"].as_u64()), (want, Some(want as u64 * one)));
        if status != WHOLE {
            assert_eq!(reason(&cut.coverage)["reason"], "limit_reached");
        }
    }
    for (limit, want, status) in [(1, 1, NOT_WHOLE), (9, 9, NOT_WHOLE), (10, 10, WHOLE), (11, 10, WHOLE)] {
        let cut = data.cut(&["--limit-packets", &limit.to_string()]).expect(status);
        assert_eq!(cut.file.packets.len(), want);
    }
}
