//! Entries of a directory, [MS-FSCC] 2.4: the classes that QUERY_DIRECTORY gives names, sizes and attributes in.

use crate::smb::bytes::{part, u32_at, u64_at, utf16};

/// Entries that one answer is read for.
const ENTRIES_MAX: usize = 65_536;

/// Where the name and its length stand, by class; all but FileNamesInformation have times, sizes and attributes at the same places.
fn name_at(class: u8) -> Option<usize> {
    Some(match class {
        1 => 64,   // FileDirectoryInformation
        2 => 68,   // FileFullDirectoryInformation
        3 => 94,   // FileBothDirectoryInformation
        12 => 12,  // FileNamesInformation
        37 => 104, // FileIdBothDirectoryInformation
        38 => 80,  // FileIdFullDirectoryInformation
        60 => 88,  // FileIdExtdDirectoryInformation
        _ => return None,
    })
}

/// Name, size, attributes and last write time of each entry.
pub(super) fn entries(class: u8, mut rest: &[u8]) -> Vec<(String, u64, u32, u64)> {
    let Some(name_at) = name_at(class) else { return Vec::new() };
    let mut all = Vec::new();
    while all.len() < ENTRIES_MAX {
        let Some(next) = u32_at(rest, 0) else { break };
        let names_only = class == 12;
        let length_at = if names_only { 8 } else { 60 };
        let Some(name) = u32_at(rest, length_at).and_then(|len| part(rest, name_at, len as usize)) else { break };
        let (size, attributes, written) =
            if names_only { (None, None, None) } else { (u64_at(rest, 40), u32_at(rest, 56), u64_at(rest, 24)) };
        all.push((utf16(name), size.unwrap_or(0), attributes.unwrap_or(0), written.unwrap_or(0)));
        match rest.get(next as usize..) {
            Some(further) if next > 0 => rest = further,
            _ => break,
        }
    }
    all
}
