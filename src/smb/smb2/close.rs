//! CLOSE, [MS-SMB2] 2.2.15 and 2.2.16.

use super::create::file_id_of;
use super::header::HEADER_LEN;
use super::pending::Asked;
use super::state::{Part, State, Tools, unanswered};
use super::tree::of_part;
use crate::smb::bytes::{u16_at, u64_at};
use crate::smb::event::{OpenId, SizeFrom, TreeId, What};

/// The answer has the file's attributes.
const POSTQUERY_ATTRIB: u16 = 1;

/// A request.
pub(super) fn request(smb: &mut State, part: &Part<'_>, last: &mut Option<OpenId>, tools: &mut Tools<'_>) -> Asked {
    let tree = of_part(part, tools);
    let open = file_id_of(smb, part, 8, tree, last, tools).map(|o| o.0);
    let file_id = part.bytes.get(HEADER_LEN + 8..).and_then(|b| b.first_chunk::<16>()).copied().unwrap_or_default();
    Asked::Close { open, file_id }
}

/// An answer.
pub(super) fn response(smb: &mut State, part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let Some(Asked::Close { open: Some(id), file_id }) = asked else { return };
    // Their answers came before this one, and were not captured.
    for write in smb.waiting.take_writes(id) {
        unanswered(&write, tools);
    }
    if !part.header.is_success() {
        // The file stays open; one that was never open is told to be gone.
        tools.tell(part.session, tree, &What::Closed { open: id, status: Some(part.header.status), by_close: true });
        tools.shared.take(part.session, &file_id);
        return;
    }
    // In a compound the request names no file id.
    let named = tools.shared.open_of(part.session, &file_id).is_some_and(|o| o.id == id);
    let closed = if named { tools.shared.take(part.session, &file_id) } else { tools.shared.take_by_id(part.session, id) };
    let tree = closed.as_ref().and_then(|c| c.tree).or(tree);
    let body = &part.bytes[HEADER_LEN..];
    if u16_at(body, 2).is_some_and(|flags| flags & POSTQUERY_ATTRIB != 0)
        && let Some(size) = u64_at(body, 48)
    {
        tools.tell(part.session, tree, &What::Size { open: id, size, from: SizeFrom::Close });
    }
    if closed.as_ref().is_some_and(|c| c.delete) {
        let name = closed.as_ref().and_then(|c| c.file.name.clone());
        tools.tell(part.session, tree, &What::Deleted { open: Some(id), name });
    }
    tools.tell(part.session, tree, &What::Closed { open: id, status: Some(part.header.status), by_close: true });
}
