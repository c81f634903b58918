//! Bytes that mean harm: any prefix, any change, any lengths, within the limits on memory.

use super::make::{BOTH, everything};
use super::*;
use proptest::prelude::*;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = BOTH.map(everything).to_vec();
    for order in BOTH {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34, 0x1c00_01ac] {
            let mut file = order.pcap(magic, (2, 4), 1);
            for i in 0..4 {
                file.extend(order.record([i, i, 20, 40], &[0; 8][..if magic == 0xa1b2_cd34 { 8 } else { 0 }], &[9; 20]));
            }
            seeds.push(file);
        }
    }
    let plain = seeds.clone();
    seeds.extend(plain.iter().map(|seed| zstd::encode_all(&seed[..], 3).unwrap()));
    for seed in plain {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, &seed).unwrap();
        seeds.push(out.finish().unwrap());
    }
    seeds
}

/// Reads whatever it is and holds that the records are no more than the bytes allow.
fn survive(bytes: &[u8]) -> Vec<Owned> {
    let Ok(mut reader) = CaptureReader::from_reader("hostile", Box::new(Cursor::new(bytes.to_vec()))) else { return Vec::new() };
    // No record takes fewer than 12 bytes, decompressed; deflate makes at most 1032 bytes of one.
    let most = bytes.len() * 1032 / 12 + 3;
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        if let Record::Packet { interface, packet, .. } = &record {
            assert!(packet.data.len() <= 16 << 20 && packet.options.len() <= 131_080 && packet.options.len() % 4 == 0);
            let interface = *interface as usize;
            records.push(owned(record));
            assert!(interface < reader.interfaces().len());
        } else {
            records.push(owned(record));
        }
        assert!(records.len() <= most);
    }
    records
}

#[test]
fn every_prefix_reads_as_the_whole_does_up_to_its_end() {
    for seed in seeds() {
        let whole = survive(&seed);
        for end in 0..seed.len() {
            let mut part = survive(&seed[..end]);
            if let Some(Owned::Damage(..)) = part.last() {
                part.pop();
            }
            // With the modified magic number, what the end cuts off may tell which variant it is.
            let ambiguous = whole.len() == 5 && seed.len() == 200;
            assert!(ambiguous || whole.starts_with(&part), "{end} of {}", seed.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn mutations_are_survived(
        seed in 0..seeds().len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0_u8), Just(0xff), Just(4)]), 1..6),
        cut in prop::option::of((any::<prop::sample::Index>(), 1..40_usize)),
    ) {
        let mut bytes = seeds().swap_remove(seed);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((at, n)) = cut {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + n).min(bytes.len()));
        }
        survive(&bytes);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0..seeds().len()) {
        survive(&bytes);
        let seed = seeds().swap_remove(magic);
        survive(&[&seed[..seed.len().min(48)], &bytes].concat());
    }

    #[test]
    fn options_are_total(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let n = crate::pcap::options::Options::new(&bytes).count();
        prop_assert!(n <= bytes.len() / 4 + 1);
    }
}
