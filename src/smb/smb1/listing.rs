//! Directory entries in the answers to FIND_FIRST2 and FIND_NEXT2 ([MS-CIFS] 2.2.8.1, [MS-SMB] 2.2.8.1).

use super::fields::Fields;
use super::limits::LISTED_MAX;
use super::text::{Strings, text};

/// An entry: name, size, attributes, last write time as FILETIME.
pub(super) type Entry = (String, u64, u32, u64);

/// Where the fields of a level with a NextEntryOffset are.
struct Layout {
    /// Length of the name.
    length: usize,
    /// The name.
    name: usize,
    /// It has times, size and attributes, at 24, 40 and 56.
    told: bool,
}

/// The layout of an information level.
fn layout(level: u16) -> Option<Layout> {
    let (length, name, told) = match level {
        0x0101 => (60, 64, true),
        0x0102 => (60, 68, true),
        0x0103 => (8, 12, false),
        0x0104 => (60, 94, true),
        0x0105 => (60, 80, true),
        0x0106 => (60, 104, true),
        _ => return None,
    };
    Some(Layout { length, name, told })
}

/// The entries of an answer's data. An unknown level gives none.
pub(super) fn entries(level: u16, resume_keys: bool, unicode: bool, data: &[u8]) -> Vec<Entry> {
    match layout(level) {
        Some(layout) => linked(&layout, unicode, data),
        None if level == 1 || level == 2 => packed(level, resume_keys, unicode, data),
        None => Vec::new(),
    }
}

fn linked(layout: &Layout, unicode: bool, data: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut at = 0usize;
    while found.len() < LISTED_MAX {
        let f = Fields(data.get(at..).unwrap_or_default());
        let Some(name) = f.place32(layout.length).and_then(|length| f.slice(layout.name, length)) else { break };
        let told = |v: Option<u64>| v.filter(|_| layout.told).unwrap_or(0);
        let attributes = f.u32(56).filter(|_| layout.told).unwrap_or(0);
        found.push((text(name, unicode), told(f.u64(40)), attributes, told(f.u64(24))));
        match f.place32(0) {
            Some(next) if next >= layout.name => at = at.saturating_add(next),
            _ => break,
        }
    }
    found
}

/// SMB_INFO_STANDARD and SMB_INFO_QUERY_EA_SIZE: entries one after the other, each with a resume key before it if asked for.
fn packed(level: u16, resume_keys: bool, unicode: bool, data: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut at = 0usize;
    while found.len() < LISTED_MAX {
        let start = at.saturating_add(if resume_keys { 4 } else { 0 });
        let f = Fields(data.get(start..).unwrap_or_default());
        let (Some(date), Some(time), Some(size), Some(attributes)) = (f.u16(8), f.u16(10), f.u32(12), f.u16(20)) else { break };
        let length_at = if level == 2 { 26 } else { 22 };
        let Some(length) = f.u8(length_at).map(usize::from) else { break };
        let mut strings = Strings::new(data, start + length_at + 1, data.len(), unicode);
        strings.align();
        let before = strings.rest().len();
        let name = strings.take(length);
        // A NUL follows the name that its length does not count.
        let nul = if unicode { 2 } else { 1 };
        if strings.rest().get(..nul).is_some_and(|b| b.iter().all(|b| *b == 0)) {
            strings.skip(nul);
        }
        found.push((name, u64::from(size), u32::from(attributes), dos_time(date, time)));
        if before == strings.rest().len() {
            break;
        }
        at = data.len() - strings.rest().len();
    }
    found
}

/// SMB_DATE and SMB_TIME ([MS-CIFS] 2.2.1.4.1, .2) as FILETIME, as if they were UTC; 0 where they are no date.
fn dos_time(date: u16, time: u16) -> u64 {
    let (year, month, day) = (u64::from(date >> 9) + 1980, u64::from(date >> 5 & 15), u64::from(date & 31));
    if !(1..=12).contains(&month) || day == 0 {
        return 0;
    }
    // Days since 1601-01-01 in the calendar that begins its years in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 584_694;
    let seconds = u64::from(time >> 11) * 3600 + u64::from(time >> 5 & 63) * 60 + u64::from(time & 31) * 2;
    (days * 86_400 + seconds) * 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both_directory_info(names: &[&str]) -> Vec<u8> {
        let mut data = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let mut e = vec![0u8; 94];
            e[24..32].copy_from_slice(&7u64.to_le_bytes());
            e[40..48].copy_from_slice(&(i as u64 + 100).to_le_bytes());
            e[56..60].copy_from_slice(&0x20u32.to_le_bytes());
            e[60..64].copy_from_slice(&(name.len() as u32 * 2).to_le_bytes());
            e.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            e.resize(e.len().div_ceil(8) * 8, 0);
            let next = if i + 1 < names.len() { e.len() as u32 } else { 0 };
            e[..4].copy_from_slice(&next.to_le_bytes());
            data.extend(e);
        }
        data
    }

    #[test]
    fn linked_entries() {
        let data = both_directory_info(&["a.txt", "b"]);
        assert_eq!(entries(0x104, false, true, &data), [("a.txt".to_owned(), 100, 0x20, 7), ("b".to_owned(), 101, 0x20, 7)]);
        for cut in 0..data.len() {
            assert!(entries(0x104, false, true, &data[..cut]).len() <= 2);
        }
    }

    #[test]
    fn packed_entries() {
        let mut data = Vec::new();
        for name in ["FOO", "BA"] {
            data.extend([9, 9, 9, 9]);
            data.extend([0; 8]);
            data.extend([0x21, 0x28, 0, 0]); // 2000-01-01
            data.extend(5u32.to_le_bytes());
            data.extend(512u32.to_le_bytes());
            data.extend(0x20u16.to_le_bytes());
            data.push(name.len() as u8);
            data.extend(name.bytes());
            data.push(0);
        }
        let at = 125_911_584_000_000_000;
        assert_eq!(entries(1, true, false, &data), [("FOO".to_owned(), 5, 0x20, at), ("BA".to_owned(), 5, 0x20, at)]);
    }

    #[test]
    fn an_entry_that_points_at_itself_is_the_last() {
        let mut data = both_directory_info(&["a", "b"]);
        data[0] = 1;
        assert_eq!(entries(0x104, false, true, &data).len(), 1);
    }

    proptest! {
        #[test]
        fn random_bytes(level in 0u16..0x108, keys: bool, unicode: bool, data in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(entries(level, keys, unicode, &data).len() <= LISTED_MAX);
        }

        #[test]
        fn no_date_overflows(date: u16, time: u16) {
            dos_time(date, time);
        }
    }
}
