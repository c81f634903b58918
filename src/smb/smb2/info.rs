//! QUERY_INFO, SET_INFO and QUERY_DIRECTORY, [MS-SMB2] 2.2.33 to 2.2.40: sizes, ends of file, names, deletions, listings.

use super::create::file_id_of;
use super::header::HEADER_LEN;
use super::listing::entries;
use super::pending::{Asked, Set};
use super::state::{Part, State, Tools};
use super::tree::of_part;
use crate::smb::bytes::{part as bytes_at, relative, u8_at, u16_at, u32_at, u64_at, utf16};
use crate::smb::event::{OpenId, SizeFrom, TreeId, What};

/// SMB2_0_INFO_FILE.
const INFO_FILE: u8 = 1;

/// A QUERY_INFO request.
pub(super) fn query_request(smb: &mut State, part: &Part<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) -> Asked {
    let body = &part.bytes[HEADER_LEN..];
    let (Some(kind), Some(class)) = (u8_at(body, 2), u8_at(body, 3)) else { return Asked::Other };
    let tree = of_part(part, tools);
    let open = file_id_of(smb, part, 24, tree, last, tools).map(|o| o.0);
    Asked::QueryInfo { open, class: (kind, class) }
}

/// A QUERY_INFO answer.
pub(super) fn query_response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let Some(Asked::QueryInfo { open: Some(open), class: (INFO_FILE, class) }) = asked else { return };
    if !part.header.is_success() {
        return;
    }
    let Some(data) = buffer(part.bytes) else { return };
    // Where EndOfFile stands in FileStandardInformation, FileAllInformation and FileNetworkOpenInformation ([MS-FSCC] 2.4).
    let at = match class {
        5 => 8,
        18 => 48,
        34 => 40,
        _ => return,
    };
    if let Some(size) = u64_at(data, at) {
        tools.tell(part.session, tree, &What::Size { open, size, from: SizeFrom::Query });
    }
}

/// The buffer of an answer to QUERY_INFO or QUERY_DIRECTORY.
fn buffer(bytes: &[u8]) -> Option<&[u8]> {
    let body = bytes.get(HEADER_LEN..)?;
    let (at, len) = (usize::from(u16_at(body, 2)?), u32_at(body, 4)? as usize);
    // Of a cut buffer what is there.
    let rest = bytes.get(at..)?;
    Some(&rest[..len.min(rest.len())])
}

/// A QUERY_DIRECTORY request.
pub(super) fn directory_request(smb: &mut State, part: &Part<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) -> Asked {
    let Some(class) = u8_at(part.bytes, HEADER_LEN + 2) else { return Asked::Other };
    let tree = of_part(part, tools);
    let open = file_id_of(smb, part, 8, tree, last, tools).map(|o| o.0);
    Asked::QueryDirectory { open, class }
}

/// A QUERY_DIRECTORY answer.
pub(super) fn directory_response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let Some(Asked::QueryDirectory { open, class }) = asked else { return };
    if !part.header.is_success() {
        return;
    }
    let entries = entries(class, buffer(part.bytes).unwrap_or_default());
    if !entries.is_empty() {
        tools.tell(part.session, tree, &What::Listed { open, entries });
    }
}

/// A SET_INFO request.
pub(super) fn set_request(smb: &mut State, part: &Part<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) -> Asked {
    let body = &part.bytes[HEADER_LEN..];
    let (Some(kind), Some(class), Some(len), Some(at)) = (u8_at(body, 2), u8_at(body, 3), u32_at(body, 4), u16_at(body, 8))
    else {
        return Asked::Other;
    };
    let tree = of_part(part, tools);
    let open = file_id_of(smb, part, 16, tree, last, tools).map(|o| o.0);
    let data = bytes_at(part.bytes, at.into(), len as usize).unwrap_or_default();
    // FileRenameInformation, FileDispositionInformation, FileEndOfFileInformation, FileDispositionInformationEx, FileRenameInformationEx.
    let set = match (kind, class) {
        (INFO_FILE, 10 | 65) => rename(data).map(Set::Rename),
        (INFO_FILE, 13) => u8_at(data, 0).map(|delete| Set::Delete(delete != 0)),
        (INFO_FILE, 64) => u32_at(data, 0).map(|flags| Set::Delete(flags & 1 != 0)),
        (INFO_FILE, 20) => u64_at(data, 0).map(Set::EndOfFile),
        _ => None,
    };
    Asked::SetInfo { open, set: set.unwrap_or(Set::Other) }
}

/// The new name in FileRenameInformation type 2 ([MS-FSCC] 2.4.42.2).
fn rename(data: &[u8]) -> Option<String> {
    let name = utf16(bytes_at(data, 20, u32_at(data, 16)? as usize)?);
    Some(relative(&name).to_string())
}

/// A SET_INFO answer.
pub(super) fn set_response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let Some(Asked::SetInfo { open: Some(open), set }) = asked else { return };
    if !part.header.is_success() {
        return;
    }
    match set {
        Set::EndOfFile(size) => tools.tell(part.session, tree, &What::Size { open, size, from: SizeFrom::SetEndOfFile }),
        Set::Rename(to) => {
            tools.shared.rename(part.session, open, &to);
            tools.tell(part.session, tree, &What::Renamed { open, to });
        }
        Set::Delete(delete) => {
            // It goes when it is closed, and until then it may be kept after all.
            if let Some(file) = tools.shared.open_by_id(part.session, open) {
                file.delete = delete;
            }
        }
        Set::Other => {}
    }
}
