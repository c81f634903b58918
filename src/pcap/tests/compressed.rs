//! gzip and zstd around any capture: told by content, damaged, more than one deep.

use super::make::{BOTH, everything};
use super::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out =
        flate2::GzBuilder::new().filename("a.pcap").comment("c").extra(vec![1; 9]).write(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 3).unwrap();
    out.include_checksum(true).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A file of `n` packets that compress evenly.
fn long(n: u32) -> Vec<u8> {
    let (o, mut state) = (BOTH[0], 1_u32);
    let mut file = o.pcap(0xa1b2_3c4d, (2, 4), 1);
    for i in 0..n {
        let data: Vec<u8> = (0..700)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 & 0x3f
            })
            .collect();
        file.extend(o.record([i, 0, 700, 700], &[], &data));
    }
    file
}

#[test]
fn compressed_reads_as_plain() {
    for plain in [everything(BOTH[0]), everything(BOTH[1]), long(6000)] {
        let want = read(&plain);
        let (a, b) = plain.split_at(plain.len() / 3);
        let members = [gzip(a), gzip(b"x")[..0].to_vec(), gzip(b)].concat();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"12345"].concat();
        for packed in [
            gzip(&plain),
            members.clone(),
            [members, vec![0; 1000]].concat(),
            [gzip(&[]), gzip(&plain)].concat(),
            zstd(&plain),
            [zstd(a), zstd(b)].concat(),
            [skippable.clone(), zstd(a), zstd(&[]), skippable, zstd(b)].concat(),
        ] {
            let got = read(&packed);
            assert_eq!(got.damage(), None);
            assert!(got.records == want.records);
            assert_eq!(got.counters.position, packed.len() as u64);
            if plain.len() < 10_000 {
                let trickle = CaptureReader::from_reader("-", Box::new(Trickle(Cursor::new(packed)))).unwrap();
                assert!(drain(trickle).records == want.records);
            }
        }
    }
}

#[test]
fn what_precedes_a_fault_is_kept() {
    let plain = long(6000);
    let want = read(&plain).packets();
    for (pack, kind) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
        let packed = pack(&plain);
        let half = packed.len() / 2;
        // Half of the stream is half of the packets; blocks lag by at most 128 KiB.
        let least = 3000 - 128 * 1024 / 716 - 100;

        let got = read(&packed[..half]);
        assert_eq!(got.damage().unwrap().1, format!("the {kind} stream is cut off"));
        assert!(got.packets().len() > least && want.starts_with(&got.packets()), "{kind} {}", got.packets().len());

        let mut corrupt = packed.clone();
        corrupt[half..half + 4096].iter_mut().for_each(|byte| *byte ^= 0xa5);
        let got = read(&corrupt);
        // Either the stream shows it, or the packets that it turns into.
        assert!(got.damage().is_some());
        let kept = got.packets().len().min(least);
        assert!(kept == least && got.packets()[..kept] == want[..kept], "{kind} {}", got.packets().len());

        let got = read(&[packed.clone(), b"garbage garbage".to_vec()].concat());
        assert_eq!(got.packets().len(), 6000);
        assert!(got.damage().unwrap().1.contains(kind), "{:?}", got.damage());

        // The last byte belongs to the checksum.
        let got = read(&packed[..packed.len() - 1]);
        if kind == "gzip" {
            assert_eq!((got.packets().len(), got.damage().unwrap().1), (6000, "the gzip stream is cut off"));
            let mut corrupt = packed;
            let at = corrupt.len() - 6;
            corrupt[at] ^= 1;
            assert_eq!(read(&corrupt).damage().unwrap().1, "the gzip stream is corrupt: its checksum does not match");
        }
    }
}
