//! CREATE, [MS-SMB2] 2.2.13 and 2.2.14, with its contexts, and which open a file id stands for.

use super::header::HEADER_LEN;
use super::pending::{Asked, AskedCreate};
use super::state::{Part, State, Tools};
use crate::smb::bytes::{part as bytes_at, relative, split_stream, u16_at, u32_at, u64_at, utf16};
use crate::smb::event::{OpenId, Opened, SizeFrom, TreeId, TreeKind, What};
use crate::smb::shared::{OpenFile, SessionKey};

/// A file id of all ones stands for the open of the message before, in a compound.
const SAME_FILE: [u8; 16] = [0xff; 16];
/// FILE_DELETE_ON_CLOSE, among the options.
const DELETE_ON_CLOSE: u32 = 0x1000;
/// FILE_ATTRIBUTE_DIRECTORY.
const ATTRIBUTE_DIRECTORY: u32 = 0x10;
/// Contexts that are looked at.
const CONTEXTS_MAX: usize = 64;

/// A request. Its open has a number from here on: what is related to it in a compound speaks of it.
pub(super) fn request(bytes: &[u8], last: &mut Option<OpenId>, tools: &mut Tools<'_>) -> Asked {
    let body = &bytes[HEADER_LEN..];
    let (Some(name_at), Some(name_len)) = (u16_at(body, 44), u16_at(body, 46)) else { return Asked::Other };
    // A name that does not lie in the message is not known: the share's root has one of no bytes.
    let name = if name_len == 0 { Some(&[][..]) } else { bytes_at(bytes, usize::from(name_at), usize::from(name_len)) };
    let Some(path) = name.map(utf16) else { return Asked::Other };
    let word = |at| u32_at(body, at).unwrap_or_default();
    let open = tools.shared.ids.open();
    *last = Some(open);
    Asked::Create(Box::new(AskedCreate {
        open,
        path: relative(&path).to_string(),
        access: word(24),
        disposition: word(36),
        options: word(40),
        reconnect: reconnect(bytes),
        told: false,
    }))
}

/// The contexts of a request or answer: names and data.
fn contexts(bytes: &[u8], at: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    let body = bytes.get(HEADER_LEN..).unwrap_or_default();
    let (offset, len) = (u32_at(body, at).unwrap_or(0) as usize, u32_at(body, at + 4).unwrap_or(0) as usize);
    let mut rest = (offset >= HEADER_LEN).then(|| bytes_at(bytes, offset, len)).flatten().unwrap_or_default();
    std::iter::from_fn(move || {
        let next = u32_at(rest, 0)? as usize;
        let (name_at, name_len) = (u16_at(rest, 4)?, u16_at(rest, 6)?);
        let (data_at, data_len) = (u16_at(rest, 10)?, u32_at(rest, 12)?);
        let name = bytes_at(rest, name_at.into(), name_len.into()).unwrap_or_default();
        let data = bytes_at(rest, data_at.into(), data_len as usize).unwrap_or_default();
        rest = if next == 0 { &[] } else { rest.get(next..).unwrap_or_default() };
        Some((name, data))
    })
    .take(CONTEXTS_MAX)
}

/// The file id that a durable open is reconnected by (2.2.13.2.4 and .12).
fn reconnect(bytes: &[u8]) -> Option<[u8; 16]> {
    let (_, data) = contexts(bytes, 48).find(|(name, _)| *name == b"DHnC" || *name == b"DH2C")?;
    data.first_chunk::<16>().copied()
}

/// An answer.
pub(super) fn response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let asked = match asked {
        Some(Asked::Create(asked)) => Some(asked),
        _ => None,
    };
    if !part.header.is_success() || part.bytes.len() < HEADER_LEN + 80 {
        if let Some(asked) = asked.filter(|_| !part.header.is_success()) {
            if asked.told {
                tools.tell(part.session, tree, &What::Closed { open: asked.open, status: None, by_close: false });
            }
            tools.tell(part.session, tree, &What::OpenFailed { name: asked.path, status: part.header.status });
        }
        return;
    }
    let body = &part.bytes[HEADER_LEN..];
    let Some(file_id) = body.get(64..80).and_then(|id| id.first_chunk::<16>()).copied() else { return };
    let time = |at| u64_at(body, at).unwrap_or_default();
    let attributes = u32_at(body, 56).unwrap_or_default();
    let mut file = asked.as_deref().map(file_of).unwrap_or_default();
    file.file_id = file_id.to_vec();
    file.create_action = u32_at(body, 4);
    file.size = u64_at(body, 48);
    file.attributes = Some(attributes);
    file.times = [time(8), time(16), time(24), time(32)];
    file.directory = attributes & ATTRIBUTE_DIRECTORY != 0;
    file.answered = true;
    // A durable reconnect goes on with the open that had the persistent part of the file id.
    let continued = asked.as_deref().and_then(|a| a.reconnect).and_then(|id| tools.shared.take_durable(part.session.0, &id));
    let (delete, options) = (continued.as_ref().is_some_and(|c| c.delete), file.options.unwrap_or(0));
    let id = match (&continued, &asked) {
        (Some(c), _) => c.id,
        (None, Some(a)) => a.open,
        (None, None) => tools.shared.ids.open(),
    };
    if let Some(before) = continued
        && file.name.as_deref().is_none_or(str::is_empty)
    {
        (file.name, file.stream) = (before.file.name, before.file.stream);
    }
    let is_pipe = tree_kind(part.session, tree, tools) == TreeKind::Pipe;
    let delete = delete || options & DELETE_ON_CLOSE != 0;
    let open = OpenFile { id, tree, is_pipe, file: file.clone(), delete, resume_key: None };
    let back = tools.shared.keep(part.session, file_id, open);
    // The one that had its file id; or itself, where there is no more room: that is gone after it was told.
    let (refused, replaced) = back.into_iter().partition::<Vec<_>, _>(|b| b.id == id);
    replaced.iter().for_each(|gone| tools.tell_gone(part.session, gone));
    let size = file.size;
    tools.tell(part.session, tree, &What::Opened { open: id, file });
    if let Some(size) = size {
        tools.tell(part.session, tree, &What::Size { open: id, size, from: SizeFrom::Create });
    }
    refused.iter().for_each(|gone| tools.tell_gone(part.session, gone));
}

fn file_of(asked: &AskedCreate) -> Opened {
    let (name, stream) = split_stream(&asked.path);
    Opened {
        name: Some(name),
        stream,
        access: Some(asked.access),
        disposition: Some(asked.disposition),
        options: Some(asked.options),
        ..Opened::default()
    }
}

fn tree_kind(session: SessionKey, tree: Option<TreeId>, tools: &mut Tools<'_>) -> TreeKind {
    let known = tools.shared.known(session).and_then(|s| s.trees.values().find(|t| Some(t.id) == tree));
    known.map_or(TreeKind::Unknown, |t| t.kind)
}

/// The open that a message's file id at `at` (in bytes after the header) stands for, and whether it is a pipe. An open whose CREATE was
/// not seen begins here.
pub(super) fn file_id_of(
    smb: &mut State,
    part: &Part<'_>,
    at: usize,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) -> Option<(OpenId, bool)> {
    let file_id = *part.bytes.get(HEADER_LEN + at..)?.first_chunk::<16>()?;
    if file_id == SAME_FILE && part.header.is_related() {
        let open = (*last)?;
        // Its CREATE has no answer yet: it is told by what was asked.
        let is_pipe = tree_kind(part.session, tree, tools) == TreeKind::Pipe;
        if let Some(asked) = smb.waiting.create_mut(open).filter(|a| !a.told) {
            asked.told = true;
            let file = file_of(asked);
            tools.tell(part.session, tree, &What::Opened { open, file });
        }
        return Some((open, is_pipe));
    }
    if let Some(open) = tools.shared.open_of(part.session, &file_id) {
        *last = Some(open.id);
        return Some((open.id, open.is_pipe));
    }
    if file_id == SAME_FILE {
        return None;
    }
    if tools.shared.is_full() {
        tools.tell(part.session, tree, &What::Odd { name: "limit_opens", bytes: part.bytes.len() as u64 });
        return None;
    }
    let is_pipe = tree_kind(part.session, tree, tools) == TreeKind::Pipe;
    // Where the answers were not captured, it is what the one CREATE that waits was answered with.
    let asked = smb.take_only_create(part.session, tree);
    let id = asked.as_ref().map_or_else(|| tools.shared.ids.open(), |asked| asked.open);
    let asked = asked.as_deref().map(file_of).unwrap_or_default();
    let delete = asked.options.unwrap_or(0) & DELETE_ON_CLOSE != 0;
    let file = Opened { file_id: file_id.to_vec(), ..asked };
    let open = OpenFile { id, tree, is_pipe, file: file.clone(), delete, resume_key: None };
    // There is room, and nothing had its file id.
    let _ = tools.shared.keep(part.session, file_id, open);
    *last = Some(id);
    tools.tell(part.session, tree, &What::Opened { open: id, file });
    Some((id, is_pipe))
}
