//! Known answers: RFC 3961 A.1, RFC 3962 B, RFC 8009 A, and messages sealed by impacket.

use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 3961 A.1 where the result has 128 bits, and the constants of 6.1 as RFC 3962 folds them.
#[test]
fn n_fold_spreads_all_bits() {
    assert_eq!(n_fold(b"kerberos")[..], bytes("6b65726265726f737b9b5b2b93132b93"));
    assert_eq!(n_fold(&[0; 5]), [0; 16]);
    assert_eq!(n_fold(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])[..], (1..=16).collect::<Vec<u8>>());
    assert_eq!(n_fold(&[]), [0; 16]);
}

/// RFC 3962 B: "chicken teriyaki".
#[test]
fn cipher_text_stealing_takes_every_length() {
    let plain = b"I would like the General Gau's Chicken, please, and wonton soup.";
    let aes = Aes::new(b"chicken teriyaki").unwrap();
    let known = [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
        (47, "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5"),
        (48, "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8"),
        (
            64,
            "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8\
             4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
        ),
    ];
    for (length, sealed) in known {
        let mut data = bytes(sealed);
        assert_eq!(data.len(), length);
        cts_decrypt(&aes, &mut data).unwrap();
        assert_eq!(data, plain[..length]);
    }
    // One block is plain AES.
    let mut one = [9; 16];
    aes.encrypt(&mut one);
    cts_decrypt(&aes, &mut one).unwrap();
    assert_eq!(one, [9; 16]);
    for length in 0..16 {
        assert_eq!(cts_decrypt(&aes, &mut vec![0; length]), None);
    }
}

/// RFC 8009 A: key derivation and encryption, usage 2.
#[test]
fn opens_the_messages_of_rfc_8009() {
    let short = Key::new(19, &bytes("3705D96080C17728A0E800EAB6E0D23C")).unwrap();
    assert_eq!(short.kdf_sha2(2, 0xAA, 16), Some(bytes("9B197DD1E8C5609D6E67C3E37C62C72E")));
    assert_eq!(short.kdf_sha2(2, 0x55, 16), Some(bytes("9FDA0E56AB2D85E1569A688696C26A6C")));
    let long = Key::new(20, &bytes("6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52")).unwrap();
    assert_eq!(long.kdf_sha2(2, 0xAA, 32), Some(bytes("56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49")));
    assert_eq!(long.kdf_sha2(2, 0x55, 24), Some(bytes("69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F")));
    let known = [
        (&short, &b""[..], "EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718"),
        (&short, &[0, 1, 2, 3, 4, 5], "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C"),
        (
            &short,
            &(0..16).collect::<Vec<u8>>(),
            "3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC295FB4852E7D83E1E7C48C37EEBE6B0D3",
        ),
        (
            &short,
            &(0..21).collect::<Vec<u8>>(),
            "720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BCE1E6D072C186B39A413C2F92CA9B8334A287FFCBFC",
        ),
        (&long, b"", "41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C"),
        (
            &long,
            &[0, 1, 2, 3, 4, 5],
            "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B6092237526EA0D1F61CB20D69D10F2",
        ),
        (
            &long,
            &(0..16).collect::<Vec<u8>>(),
            "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F68CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266",
        ),
        (
            &long,
            &(0..21).collect::<Vec<u8>>(),
            "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62",
        ),
    ];
    for (key, plain, sealed) in known {
        holds(key, 2, plain, &bytes(sealed));
    }
}

/// Sealed by impacket 0.13 (impacket.krb5.crypto), with keys of 1, 2, 3, ... and confounders of 0x40, 0x41, ...: type, usage, sealed.
const IMPACKET: [(i32, u32, &str); 12] = [
    (17, 2, "1043215964ba176d7103463be295542862ef24fc6449e225eae7c2eb"),
    (17, 3, "6d41a8d82817eec616e075833bc2a1d0d8620521827d7a662528a6e1d2"),
    (17, 11, "ad203784460ab6b5681a955daee1bdcfec8288858b7b573a65890fd5f28d0262d0c4fa9403792dfe0c640271"),
    (
        17,
        12,
        "d31e0e785f0b60f7f7e4b1a6b01d6424c800bad0b8361265160fb16f4c2e48bdcc23a5092db57c08a5d95073f7467fbba105\
         b95a0bb32b2c131dd86556bdd80d70829d23b5a9cf3726",
    ),
    (18, 2, "dbfab3afe770ec0cc20560d08a9d3ab755811bbb7e6e9f7f59bc864d"),
    (18, 3, "dff9c846774e9d830c61c14c9f918fc49b5fdc658b323770ed2457b776"),
    (18, 11, "295dd2eb1854a33bd34bef23532be8dd9580bcc8300d4c7016ea71098e5af27dabc039285ffd33609a7b6394"),
    (
        18,
        12,
        "00bfd8dadba39dcf075465ffd468e043d4b2c013096e7bc0dcb1e096da346e34c247220114f9996041d8f913f4f5ff603d4d\
         1a70033817317c9085155ed468e2443a58143a2063b692",
    ),
    (23, 2, "dd051e9135e5626e44f88d941cd9b36f1ea3df2f5f847e5e"),
    (23, 3, "8e7e6a9a6ac7e366687415e2624efbd18f12c6e1753d69ed10"),
    (23, 11, "e4967083f3563ba8b86968e199f79113c404f064604849e0f9129f1004692e8d8baecba41ca0c69c"),
    (
        23,
        12,
        "fa2598c126372207ab4d737248d435ed0006fd31d78bc581df1e9ed3c806ebb4582d7ad325fce42b2b9822d2cd0c30c82097\
         db64c7fd9f9ec3d64006ce2bfce508ebc9f60f",
    ),
];

/// What they hold, by usage.
fn plain(usage: u32) -> &'static [u8] {
    match usage {
        2 => b"",
        3 => b"a",
        11 => b"sixteen bytes !!",
        _ => b"a text of more than two blocks, of odd length",
    }
}

#[test]
fn opens_what_others_sealed() {
    for (enctype, usage, sealed) in IMPACKET {
        let length = Enctype::from_number(enctype).unwrap().key_bytes() as u8;
        let key = Key::new(enctype, &(1..=length).collect::<Vec<u8>>()).unwrap();
        holds(&key, usage, plain(usage), &bytes(sealed));
    }
}

/// The message opens with its key and usage, and with nothing else; cut or changed it does not.
fn holds(key: &Key, usage: u32, plain: &[u8], sealed: &[u8]) {
    assert_eq!(key.decrypt(usage, sealed).as_deref(), Some(plain));
    assert_eq!(key.decrypt(usage + 64, sealed), None);
    let mut other = key.clone();
    other.bytes[0] ^= 1;
    assert_eq!(other.decrypt(usage, sealed), None);
    for end in 0..sealed.len() {
        assert_eq!(key.decrypt(usage, &sealed[..end]), None);
        let mut changed = sealed.to_vec();
        changed[end] ^= 0x80;
        assert_eq!(key.decrypt(usage, &changed), None, "byte {end}");
    }
}

#[test]
fn rc4_counts_the_usages_of_microsoft() {
    let key = Key::new(23, &(1..=16).collect::<Vec<u8>>()).unwrap();
    let (_, _, sealed) = IMPACKET[9];
    assert!(key.decrypt(8, &bytes(sealed)).is_some() && key.decrypt(9, &bytes(sealed)).is_some());
}

#[test]
fn keys_have_the_length_of_their_type_and_stay_hidden() {
    assert_eq!(Key::new(18, &[0; 16]), None);
    assert_eq!(Key::new(1, &[0; 8]), None);
    assert_eq!(format!("{:?}", Key::new(17, &[9; 16]).unwrap()), "Key(Aes128Sha1)");
    for enctype in [17, 18, 19, 20, 23] {
        assert_eq!(Enctype::from_number(enctype).unwrap().number(), enctype);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(cipher in prop::collection::vec(any::<u8>(), 0..200), usage: u32) {
        for enctype in [17, 18, 19, 20, 23] {
            let key = Key::new(enctype, &vec![3; Enctype::from_number(enctype).unwrap().key_bytes()]).unwrap();
            prop_assert_eq!(key.decrypt(usage, &cipher), None);
        }
    }
}
