//! What a file says of an interface beside its name and the unit of its times, as options of an interface block.
//!
//! A cut has one section of our own making, so what the file's section header says (comment, hardware, system, program) goes to the
//! interface, whose options have a place for each.

use crate::pcap::block::{OPT_COMMENT, SHB_USERAPPL, option, padded};
use crate::pcap::limits::INTERFACE_OPTIONS_MAX;
use crate::pcap::options::Options;
use std::collections::HashSet;

/// `shb_hardware` and `shb_os`, and what they are called in an interface block.
const MOVED: [(u16, u16); 2] = [(2, 15), (3, 12)];
/// `opt_custom` with a string or with bytes, that may be copied.
const CUSTOM_COPIED: [u16; 2] = [2988, 2989];

/// The options of an interface with those of its section. What does not fit into the limit of one interface is left out.
pub(super) fn description(section: &[u8], interface: &[u8]) -> Vec<u8> {
    let mut out = interface.to_vec();
    let has = MOVED.map(|(_, moved)| Options::new(interface).any(|o| o.0 == moved));
    for (code, value) in Options::new(section) {
        if let Some(i) = MOVED.iter().position(|m| m.0 == code) {
            if !has[i] {
                put(&mut out, MOVED[i].1, value);
            }
            continue;
        }
        match code {
            OPT_COMMENT => put(&mut out, code, value),
            SHB_USERAPPL if value != b"taploop" => put(&mut out, OPT_COMMENT, &[b"captured by ", value].concat()),
            _ if CUSTOM_COPIED.contains(&code) => put(&mut out, code, value),
            _ => {}
        }
    }
    out
}

/// What all descriptions have in common: true of every packet, where the packets can no longer be told apart.
pub(super) fn common<'a>(mut all: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut common = all.next().unwrap_or_default().to_vec();
    for other in all {
        let mut kept = Vec::new();
        let said: HashSet<(u16, &[u8])> = Options::new(other).collect();
        for (code, value) in Options::new(&common).filter(|o| said.contains(o)) {
            put(&mut kept, code, value);
        }
        common = kept;
    }
    common
}

fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    if out.len() + 4 + padded(value.len()) <= INTERFACE_OPTIONS_MAX {
        option(out, code, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(all: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        all.iter().for_each(|(code, value)| option(&mut out, *code, value));
        out
    }

    #[test]
    fn what_the_section_says_goes_to_the_interface() {
        let section: &[(u16, &[u8])] = &[
            (1, b"case 42"),
            (2, b"a box"),
            (3, b"Linux 6"),
            (4, b"Dumpcap"),
            (2988, b"\x01\0\0\0hi"),
            (19_373, b"\x01\0\0\0no"),
        ];
        let interface: &[(u16, &[u8])] = &[(3, b"uplink"), (12, b"Linux 5"), (13, &[4])];
        let want: &[(u16, &[u8])] = &[
            (3, b"uplink"),
            (12, b"Linux 5"),
            (13, &[4]),
            (1, b"case 42"),
            (15, b"a box"),
            (1, b"captured by Dumpcap"),
            (2988, b"\x01\0\0\0hi"),
        ];
        assert_eq!(description(&options(section), &options(interface)), options(want));
        assert_eq!(description(&options(&[(4, b"taploop")]), &[]), b"");
        let long = vec![b'x'; 65_000];
        let many = options(&[(1, &long), (1, &long), (1, &long)]);
        assert_eq!(description(&many, &options(interface)).len(), options(interface).len() + 2 * 65_004);
    }

    #[test]
    fn only_what_holds_for_all_is_common() {
        let (a, b) = (options(&[(3, b"uplink"), (13, &[4]), (1, b"x")]), options(&[(1, b"x"), (3, b"downlink"), (13, &[4])]));
        assert_eq!(common([&a[..]].into_iter()), a);
        assert_eq!(common([&a[..], &b[..]].into_iter()), options(&[(13, &[4]), (1, b"x")]));
        assert_eq!(common([&a[..], &[]].into_iter()), b"");
        assert_eq!(common(std::iter::empty()), b"");
    }
}
