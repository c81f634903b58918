//! Values laid out by hand in both syntaxes and byte orders.

use super::*;
use proptest::prelude::*;

#[test]
fn alignment_is_from_the_first_byte() {
    let bytes = [1, 0, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    let mut ndr = Ndr::new(&bytes, true, false);
    assert_eq!((ndr.u8(), ndr.u16(), ndr.u32(), ndr.u64()), (Some(1), Some(2), Some(3), Some(4)));
    assert_eq!((ndr.u8(), ndr.remaining()), (None, 0));
    let mut ndr = Ndr::new(&bytes, false, false);
    assert_eq!((ndr.u8(), ndr.u16(), ndr.u32()), (Some(1), Some(0x0200), Some(0x0300_0000)));
}

#[test]
fn sizes_differ_between_the_syntaxes() {
    let bytes = [7, 0, 0, 0, 0, 0, 0, 0];
    for (ndr64, read, small) in [(false, 4, 2), (true, 8, 4)] {
        let mut ndr = Ndr::new(&bytes, true, ndr64);
        assert_eq!((ndr.u3264(), ndr.remaining()), (Some(7), 8 - read));
        let mut ndr = Ndr::new(&bytes, true, ndr64);
        assert_eq!((ndr.enum16(), ndr.remaining()), (Some(7), 8 - small));
    }
}

fn string(ndr64: bool, text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let mut out = Vec::new();
    for n in [units.len() as u64, 0, units.len() as u64] {
        out.extend(&n.to_le_bytes()[..if ndr64 { 8 } else { 4 }]);
    }
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
    out
}

#[test]
fn strings() {
    for ndr64 in [false, true] {
        let bytes = string(ndr64, "c:\\täst \u{1f4be}");
        assert_eq!(Ndr::new(&bytes, true, ndr64).wide_string().as_deref(), Some("c:\\täst \u{1f4be}"));
        for n in 0..bytes.len() {
            assert_eq!(Ndr::new(&bytes[..n], true, ndr64).wide_string(), None);
        }
    }
    let narrow = b"\x05\0\0\0\0\0\0\0\x05\0\0\0\x41bc\xe9\0";
    assert_eq!(Ndr::new(narrow, true, false).narrow_string().as_deref(), Some("Abc\u{e9}"));
    // Of a string that is half a surrogate pair something is left.
    let half = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\x3d\xd8";
    assert_eq!(Ndr::new(half, true, false).wide_string().as_deref(), Some("\u{fffd}"));
}

#[test]
fn counts_beyond_the_bytes_are_refused() {
    let huge = [0xff; 24];
    for ndr64 in [false, true] {
        let ndr = Ndr::new(&huge, true, ndr64);
        assert_eq!(ndr.clone().wide_string(), None);
        assert_eq!(ndr.clone().byte_array(), None);
        assert_eq!(ndr.clone().conformance(usize::MAX), None);
        assert_eq!(ndr.clone().sid(), None);
    }
}

#[test]
fn a_sid() {
    let bytes = [4, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0xf4, 1, 0, 0];
    assert_eq!(Ndr::new(&bytes, true, false).sid().as_deref(), Some("S-1-5-21-1-2-500"));
}

#[test]
fn null_pointers() {
    let mut ndr = Ndr::new(&[0; 12], true, false);
    assert_eq!(ndr.unique_wide_string(), Some(None));
    assert_eq!(ndr.unique_u32(), Some(None));
    assert_eq!(ndr.unique_byte_array(), Some(None));
    assert_eq!(ndr.pointer(), None);
}

proptest! {
    #[test]
    fn random_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..100), little: bool, ndr64: bool, steps in prop::collection::vec(0_u8..14, 0..20)) {
        let mut ndr = Ndr::new(&bytes, little, ndr64);
        for step in steps {
            match step {
                0 => { ndr.u8(); }
                1 => { ndr.u16(); }
                2 => { ndr.u32(); }
                3 => { ndr.u64(); }
                4 => { ndr.wide_string(); }
                5 => { ndr.narrow_string(); }
                6 => { ndr.byte_array(); }
                7 => { ndr.sid(); }
                8 => { ndr.counted_string(); }
                9 => { ndr.handle(); }
                10 => { ndr.uuid(); }
                11 => { ndr.unique_byte_array(); }
                12 => { ndr.variance(3); }
                _ => { ndr.align_pointer(); }
            }
            prop_assert!(ndr.remaining() <= bytes.len());
        }
    }
}
