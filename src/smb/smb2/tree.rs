//! TREE_CONNECT and TREE_DISCONNECT, [MS-SMB2] 2.2.9 to 2.2.12.

use super::header::HEADER_LEN;
use super::pending::Asked;
use super::state::{Part, State, Tools};
use crate::smb::bytes::{part as bytes_at, u8_at, u16_at, utf16};
use crate::smb::event::{TreeId, TreeKind, What};
use crate::smb::shared::{SessionKey, Tree};

/// Bytes of an answer after the header.
const ANSWER_LEN: usize = 16;

/// A request. The path stands where the offset says, also with the extension of 3.1.1, whose offsets count from the header as well.
pub(super) fn request(bytes: &[u8]) -> Asked {
    let body = &bytes[HEADER_LEN..];
    let (at, len) = (u16_at(body, 4).unwrap_or(0), u16_at(body, 6).unwrap_or(0));
    let path = bytes_at(bytes, at.into(), len.into()).map(utf16).unwrap_or_default();
    Asked::TreeConnect { path }
}

/// An answer.
pub(super) fn connected(part: &Part<'_>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    if !part.header.is_success() || part.header.is_async() && part.header.tree_id == 0 {
        return;
    }
    let path = match asked {
        Some(Asked::TreeConnect { path }) => path,
        _ => String::new(),
    };
    // One that is cut short does not say what it gives.
    if part.bytes.len() < HEADER_LEN + ANSWER_LEN {
        return;
    }
    let kind = match u8_at(part.bytes, HEADER_LEN + 2) {
        Some(1) => TreeKind::Disk,
        Some(2) => TreeKind::Pipe,
        Some(3) => TreeKind::Print,
        _ => TreeKind::Unknown,
    };
    let id = tools.shared.ids.tree();
    tools.shared.keep_tree(part.session, part.header.tree_id, Tree { id, kind });
    tools.tell(part.session, Some(id), &What::TreeConnected { path, kind, service: None, file_system: None });
}

/// The tree of an id; one that was connected before the capture began gets its number here.
fn of(session: SessionKey, wire: u32, tools: &mut Tools<'_>) -> Option<TreeId> {
    if let Some(tree) = tools.shared.session(session).trees.get(&wire) {
        return Some(tree.id);
    }
    let id = tools.shared.ids.tree();
    tools.shared.keep_tree(session, wire, Tree { id, kind: TreeKind::Unknown });
    Some(id)
}

/// A request uses a tree id. Where the answers were not captured it is what the one TREE_CONNECT that waits was answered with.
pub(super) fn used(smb: &mut State, part: &Part<'_>, tools: &mut Tools<'_>) {
    let (session, wire) = (part.session, part.header.tree_id);
    if smb.answered || part.header.is_async() || wire == 0 || wire == u32::MAX || session.1 == 0 {
        return;
    }
    if tools.shared.session(session).trees.contains_key(&wire) {
        return;
    }
    let Some(path) = smb.take_only_tree(session) else { return };
    let is_ipc = path.rsplit('\\').next().is_some_and(|share| share.eq_ignore_ascii_case("IPC$"));
    let kind = if is_ipc { TreeKind::Pipe } else { TreeKind::Disk };
    let id = tools.shared.ids.tree();
    tools.shared.keep_tree(session, wire, Tree { id, kind });
    tools.tell(session, Some(id), &What::TreeConnected { path, kind, service: None, file_system: None });
}

/// TREE_DISCONNECT was answered: what was open in it is gone.
pub(super) fn disconnected(part: &Part<'_>, tools: &mut Tools<'_>) {
    if !part.header.is_success() || part.session.1 == 0 {
        return;
    }
    let Some(tree) = tools.shared.take_tree(part.session, part.header.tree_id) else { return };
    let mut gone = tools.shared.take_of_tree(part.session, tree.id);
    gone.sort_unstable_by_key(|o| o.id);
    for open in gone {
        tools.tell_gone(part.session, &open);
    }
    tools.tell(part.session, Some(tree.id), &What::TreeDisconnected);
}

/// The tree that a message names.
pub(super) fn of_part(part: &Part<'_>, tools: &mut Tools<'_>) -> Option<TreeId> {
    if part.header.is_async() || part.header.tree_id == 0 || part.session.1 == 0 {
        return None;
    }
    of(part.session, part.header.tree_id, tools)
}
