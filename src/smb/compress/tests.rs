//! Known answers of [MS-XCA] 3, streams of compressors that are not ours, and damaged ones.

use super::transform::{Algorithm, Compressed, DECOMPRESSED_BYTES_MAX, decompress_message, is_compressed};
use crate::smb::corpus_messages::corpus_messages;
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A compressed message without a chain.
fn unchained(algorithm: u16, plain: &[u8], size: usize, compressed: &[u8]) -> Vec<u8> {
    let mut message = b"\xFCSMB".to_vec();
    message.extend((size as u32).to_le_bytes());
    message.extend(algorithm.to_le_bytes());
    message.extend([0, 0]);
    message.extend((plain.len() as u32).to_le_bytes());
    message.extend(plain);
    message.extend(compressed);
    message
}

/// A chain: algorithm, plain length where it is told, payload.
fn chained(size: usize, payloads: &[(u16, Option<u32>, &[u8])]) -> Vec<u8> {
    let mut message = b"\xFCSMB".to_vec();
    message.extend((size as u32).to_le_bytes());
    for (index, (algorithm, plain, payload)) in payloads.iter().enumerate() {
        message.extend(algorithm.to_le_bytes());
        message.extend([u8::from(index == 0), 0]);
        message.extend((payload.len() as u32 + if plain.is_some() { 4 } else { 0 }).to_le_bytes());
        message.extend(plain.map_or(Vec::new(), |p| p.to_le_bytes().to_vec()));
        message.extend(*payload);
    }
    message
}

fn plain_of(algorithm: u16, size: usize, compressed: &[u8]) -> Result<Vec<u8>, Compressed> {
    decompress_message(&unchained(algorithm, b"", size, compressed), DECOMPRESSED_BYTES_MAX)
}

const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// [MS-XCA] 3.1 to 3.3: algorithm, plain bytes, compressed bytes.
fn published() -> Vec<(u16, Vec<u8>, Vec<u8>)> {
    let abc = b"abc".repeat(100);
    // A table of code lengths with these at their places, then the codes.
    let table = |lengths: &[(usize, &str)], codes: &str| {
        let mut all = vec![0; 256];
        for (at, hex) in lengths {
            let part = bytes(hex);
            all[*at..at + part.len()].copy_from_slice(&part);
        }
        all.extend(bytes(codes));
        all
    };
    let music = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
    vec![
        (2, ALPHABET.to_vec(), [&[0x3f, 0, 0, 0], ALPHABET].concat()),
        (2, abc.clone(), bytes("ffffff1f 61 62 63 17 00 0f ff 26 01")),
        (
            3,
            ALPHABET.to_vec(),
            table(&[(48, "5055555555555555555555454404"), (128, "04")], "d8523ed794115be9195ff9d67cdf8d04 00000000"),
        ),
        (3, abc, table(&[(48, "3023"), (128, "02"), (143, "20")], "a8dc0000 ff2601")),
        (
            1,
            music.to_vec(),
            bytes(
                "38b0884623200020 4720410010a24701 a045204400084501 507900c045200524 138805b4024a44ef 0358028c09160148 450 0be009e000401 189000",
            ),
        ),
    ]
}

/// What the streams below hold.
fn text() -> Vec<u8> {
    let words: [&[u8]; 6] = [b"share ", b"pipe ", b"ticket ", b"opnum ", &[0; 8], b"tree "];
    let (mut x, mut text) = (1u32, Vec::new());
    while text.len() < 400 {
        x = x.wrapping_mul(1_103_515_245).wrapping_add(12345) & 0x7fff_ffff;
        text.extend(words[(x >> 16) as usize % 6]);
    }
    text.truncate(400);
    text.extend([b'z'; 300]);
    text
}

/// `text` as others compress it: the lznt1 package of PyPI, Samba's lzxpress_compress, wimlib's XPRESS, liblz4.
const FOREIGN: [(u16, &str); 4] = [
    (
        1,
        "7ab0007469636b657420000104006f706e756d20700869706503207472656580207368617265200368ff032c03140d84030a022002080362090aff04\
         420be60e2b096f021c062903380506ff0268104b0a3302a4107d040609778367ff890b09318a4a903a830f05098d9007a9f707028b18832c7a7f003f\
         003f002200",
    ),
    (
        2,
        "011080007469636b6574200004006f706e756d207069706523007472656520736861726520d300ffffffff5b002b000f01262b00820022008b012f00\
         0c019f03745f017f0392e2004e01c301350042035f029f01932205ef033400bf03227b06bf00170332af04af0369fb0095000f09970a00ffffffef27\
         008f01f4cb027a0700ff2801",
    ),
    (
        3,
        "060000000000000000000000000000000400000000000000000000000000000000000000000000000000000000000000606040005660606605656500\
         000600000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
         000000000000000006000600000000600000000000000000005666606000000000600000000000000065600060000000005006060066600600660000\
         506000500066000000060000000000600000500000000000000000000000000000000000000000000000000000000000000000000000000000000000\
         000000000000000000000000000000001e394e80510e621910960a294e281061f791214cdf856e114924951aeb4a77310ca7095e14ddd9ac4bf3d60c\
         259e01d567e3eb0119dae342b3f850363631017e916ba7bab46a6a00670000ff2801",
    ),
    (
        5,
        "837469636b657420000100a26f706e756d20706970650500b274726565207368617265201b00020c0002060001270007220002160001110001050002\
         32000806000322000a74000d2c00022600023800011d00039d001300ad000407002f72654c000309340001a500024c00025800043e00028500021a00\
         020600012b00031f00021200014a00031200023e00031800023d00059800062601041300022e000252002372650a00010f0006050002240004320002\
         5a001f7a0100ff14507a7a7a7a7a",
    ),
];

#[test]
fn decompresses_the_published_examples() {
    for (algorithm, plain, compressed) in published() {
        assert_eq!(plain_of(algorithm, plain.len(), &compressed).as_deref(), Ok(&plain[..]), "{algorithm}");
    }
}

#[test]
fn decompresses_what_others_compressed() {
    for (algorithm, compressed) in FOREIGN {
        assert_eq!(plain_of(algorithm, 700, &bytes(compressed)).as_deref(), Ok(&text()[..]), "{algorithm}");
    }
}

#[test]
fn what_is_not_compressed_stands_before() {
    let (_, plain, compressed) = published().swap_remove(1);
    let whole = decompress_message(&unchained(2, b"\xFESMB head", plain.len(), &compressed), DECOMPRESSED_BYTES_MAX);
    assert_eq!(whole, Ok([b"\xFESMB head", &plain[..]].concat()));
}

#[test]
fn a_chain_is_its_payloads_in_order() {
    let mut payloads: Vec<(u16, Option<u32>, Vec<u8>)> = vec![(0, None, b"\xFESMB head".to_vec())];
    let mut whole = b"\xFESMB head".to_vec();
    for (algorithm, compressed) in FOREIGN {
        payloads.push((algorithm, Some(700), bytes(compressed)));
        whole.extend(text());
        payloads.push((4, None, vec![b'=', 0, 0, 0, 33, 1, 0, 0]));
        whole.extend([b'='; 289]);
    }
    let payloads: Vec<_> = payloads.iter().map(|(a, p, b)| (*a, *p, &b[..])).collect();
    let message = chained(whole.len(), &payloads);
    assert_eq!(decompress_message(&message, DECOMPRESSED_BYTES_MAX), Ok(whole.clone()));
    assert_eq!(decompress_message(&message, whole.len()), Ok(whole.clone()));
    assert_eq!(decompress_message(&message, whole.len() - 1), Err(Compressed::Limit { bytes: whole.len() as u64 }));
    for end in 0..message.len() {
        assert!(decompress_message(&message[..end], DECOMPRESSED_BYTES_MAX).is_err(), "{end}");
    }
    let longer = chained(whole.len() + 1, &payloads);
    let wrong = Compressed::Size { said: whole.len() as u32 + 1, got: whole.len() as u32 };
    assert_eq!(decompress_message(&longer, DECOMPRESSED_BYTES_MAX), Err(wrong));
}

#[test]
fn a_payload_may_not_pass_the_size_of_the_whole() {
    let broken = |payloads: &[(u16, Option<u32>, &[u8])]| decompress_message(&chained(100, payloads), DECOMPRESSED_BYTES_MAX);
    assert_eq!(broken(&[(4, None, &[1, 0, 0, 0, 101, 0, 0, 0])]), Err(Compressed::Broken(Algorithm::PatternV1)));
    assert_eq!(broken(&[(4, None, &[1, 0, 0, 0, 255, 255, 255, 255])]), Err(Compressed::Broken(Algorithm::PatternV1)));
    assert_eq!(broken(&[(0, None, &[0; 101])]), Err(Compressed::Broken(Algorithm::None)));
    assert_eq!(broken(&[(2, Some(101), &[0; 101])]), Err(Compressed::Broken(Algorithm::Lz77)));
    assert_eq!(broken(&[(9, None, &[0; 101])]), Err(Compressed::Unknown(Algorithm::Other(9))));
}

#[test]
fn refuses_what_the_header_makes_too_large() {
    for (size, offset) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (DECOMPRESSED_BYTES_MAX as u32, 1)] {
        let mut message = unchained(2, b"", 0, &[0; 40]);
        message[4..8].copy_from_slice(&size.to_le_bytes());
        message[12..16].copy_from_slice(&offset.to_le_bytes());
        let bytes = u64::from(size) + u64::from(offset);
        assert_eq!(decompress_message(&message, DECOMPRESSED_BYTES_MAX), Err(Compressed::Limit { bytes }));
    }
    let huge = chained(u32::MAX as usize, &[(4, None, &[0, 0, 0, 0, 255, 255, 255, 255])]);
    assert_eq!(decompress_message(&huge, DECOMPRESSED_BYTES_MAX), Err(Compressed::Limit { bytes: u64::from(u32::MAX) }));
}

#[test]
fn algorithms_of_chains_do_not_stand_alone() {
    assert_eq!(plain_of(0, 4, b"1234"), Err(Compressed::Unknown(Algorithm::None)));
    assert_eq!(plain_of(4, 4, &[0, 0, 0, 0, 4, 0, 0, 0]), Err(Compressed::Unknown(Algorithm::PatternV1)));
    assert_eq!(plain_of(77, 4, b"1234"), Err(Compressed::Unknown(Algorithm::Other(77))));
}

#[test]
fn no_prefix_and_no_other_length_passes_for_the_whole() {
    let streams = published().into_iter().chain(FOREIGN.map(|(algorithm, hex)| (algorithm, text(), bytes(hex))));
    for (algorithm, plain, compressed) in streams {
        // The last bytes may be an end mark, or words that are read ahead.
        let needed = (0..=compressed.len()).find(|&end| plain_of(algorithm, plain.len(), &compressed[..end]).is_ok()).unwrap();
        assert!(needed + 8 >= compressed.len(), "{algorithm}: {needed} of {}", compressed.len());
        assert!(plain_of(algorithm, plain.len() + 4096, &compressed).is_err());
        for end in 0..16 {
            assert!(decompress_message(&unchained(algorithm, b"", plain.len(), &compressed)[..end], 1 << 20).is_err());
        }
    }
}

#[test]
fn references_before_the_segment_are_refused() {
    // A match of three bytes, one byte back, as the very first: the plain part before it is no dictionary.
    let first_match = [0, 0, 0, 0x80, 0, 0];
    assert_eq!(plain_of(2, 3, &first_match), Err(Compressed::Broken(Algorithm::Lz77)));
    let message = unchained(2, b"plain", 3, &first_match);
    assert_eq!(decompress_message(&message, 100), Err(Compressed::Broken(Algorithm::Lz77)));
    assert_eq!(plain_of(5, 4, &[0, 1, 0, 0]), Err(Compressed::Broken(Algorithm::Lz4)));
    assert_eq!(plain_of(1, 3, &[2, 0xB0, 1, 0, 0]), Err(Compressed::Broken(Algorithm::Lznt1)));
}

#[test]
fn decompresses_the_corpus() {
    let messages = corpus_messages("smb3/smb311-compressed-lz77-lz77huff-lznt1.pcap.gz");
    let compressed: Vec<_> = messages.iter().filter(|m| is_compressed(&m.1)).collect();
    for (_, message) in &compressed {
        let plain = decompress_message(message, DECOMPRESSED_BYTES_MAX).unwrap();
        assert!(plain.starts_with(b"\xFESMB"));
        // An answer to a READ of 4,096 bytes.
        assert_eq!((plain.len(), plain[68]), (64 + 16 + 4096, 0));
        assert!(plain[80..].iter().all(|&b| b == plain[80]), "one byte, repeated");
    }
    assert!(compressed.len() == 3 || messages.is_empty());
    for (_, message) in corpus_messages("smb3/smb311-smbghost-compressed-loopback.pcapng") {
        assert!(!is_compressed(&message) || decompress_message(&message, DECOMPRESSED_BYTES_MAX).is_err());
    }
}

proptest! {
    #[test]
    fn random_bytes_are_bounded(stream in prop::collection::vec(any::<u8>(), 0..600), algorithm in 0u16..7, size in 0usize..70_000, flag: bool) {
        let mut message = unchained(algorithm, b"", size, &stream);
        message[10] = u8::from(flag);
        if let Ok(plain) = decompress_message(&message, 66_000) {
            prop_assert!(plain.len() <= 66_000);
            if !flag {
                prop_assert_eq!(plain.len(), size);
            }
        }
    }

    #[test]
    fn damaged_streams_are_bounded(which in 0usize..4, at in 0usize..400, byte: u8, size in 600usize..800) {
        let (algorithm, hex) = FOREIGN[which];
        let mut compressed = bytes(hex);
        let at = at % compressed.len();
        compressed[at] = byte;
        if let Ok(plain) = plain_of(algorithm, size, &compressed) {
            prop_assert_eq!(plain.len(), size);
        }
    }

    #[test]
    fn any_bytes_are_taken(message in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(decompress_message(&message, 1000).map_or(true, |plain| plain.len() <= 1000));
    }
}
