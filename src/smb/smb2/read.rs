//! READ, [MS-SMB2] 2.2.19 and 2.2.20.

use super::create::file_id_of;
use super::header::HEADER_LEN;
use super::pending::Asked;
use super::state::{Part, State, Tools};
use super::streamed::Streamed;
use crate::smb::bytes::{u8_at, u32_at, u64_at};
use crate::smb::event::{Action, OpenId, TreeId, What};
use crate::smb::reader::Message;

/// Bytes of an answer between header and data.
pub(super) const FIXED_LEN: usize = 16;
/// STATUS_END_OF_FILE.
const STATUS_END_OF_FILE: u32 = 0xC000_0011;
/// The channel of a request whose data go by direct memory access.
const CHANNEL_NONE: u32 = 0;

/// A request.
pub(super) fn request(
    smb: &mut State,
    part: &Part<'_>,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) -> Asked {
    let body = &part.bytes[HEADER_LEN..];
    let (Some(length), Some(offset)) = (u32_at(body, 4), u64_at(body, 8)) else { return Asked::Other };
    let Some((open, is_pipe)) = file_id_of(smb, part, 16, tree, last, tools) else { return Asked::Other };
    if u32_at(body, 36).is_some_and(|channel| channel != CHANNEL_NONE) {
        return Asked::Remote;
    }
    let (operation, length) = (tools.shared.ids.operation(), u64::from(length));
    if !is_pipe {
        tools.tell(part.session, tree, &What::ReadAsked { open, operation, offset, length });
    }
    Asked::Read { open, operation, offset, length, is_pipe }
}

/// What an answer says of its data: where they begin in the message, and how many there are.
fn data_of(part: &Part<'_>) -> Option<(u64, u64)> {
    let body = part.bytes.get(HEADER_LEN..)?;
    Some((u64::from(u8_at(body, 2)?), u64::from(u32_at(body, 4)?)))
}

/// The head of an answer.
pub(super) fn begin(smb: &mut State, part: &Part<'_>, total: u64, tools: &mut Tools<'_>) -> Option<Streamed> {
    let (data_at, data_len) = data_of(part)?;
    // What would lie beyond the message is not there.
    let is_whole = data_len <= total.saturating_sub(data_at);
    let data_len = data_len.min(total.saturating_sub(data_at));
    let pending = smb.waiting.take(part.header.message_id);
    let asked_at = pending.as_ref().map(|p| p.at.time).unwrap_or_default();
    let (session, tree) = pending.as_ref().map_or((part.session, None), |p| (p.session, p.tree));
    let streamed = match pending.map(|p| p.asked) {
        Some(Asked::Read { open, operation, offset, length, is_pipe }) => {
            let (action, status) = (Action::Read, part.header.status);
            Some(Streamed {
                open,
                operation,
                action,
                session,
                tree,
                is_pipe,
                offset,
                data_at,
                data_len,
                asked: Some(length),
                status,
                is_whole,
            })
        }
        _ => {
            tools.tell(session, tree, &What::Odd { name: "unplaced_read", bytes: data_len });
            None
        }
    };
    let status = Some(part.header.status);
    tools.tell(session, tree, &What::Command { name: "SMB2::READ", status, asked: asked_at });
    streamed
}

/// An answer in one piece.
pub(super) fn whole_answer(smb: &mut State, part: &Part<'_>, piece: &Message<'_>, tools: &mut Tools<'_>) {
    let header = &part.header;
    if header.is_success() && part.bytes.len() >= HEADER_LEN + FIXED_LEN {
        let streamed = begin(smb, part, part.bytes.len() as u64, tools);
        if let Some(mut streamed) = streamed {
            streamed.body(0, piece.bytes, tools);
            streamed.finish(tools);
        }
        return;
    }
    let Some(pending) = smb.waiting.take(header.message_id) else { return };
    if let Asked::Read { open, operation, offset, length, is_pipe: false } = pending.asked
        && header.status == STATUS_END_OF_FILE
    {
        let (asked, status) = (Some(length), header.status);
        tools.tell(pending.session, pending.tree, &What::ReadDone { open, operation, offset, asked, given: 0, status });
    }
    let status = Some(header.status);
    tools.tell(pending.session, pending.tree, &What::Command { name: "SMB2::READ", status, asked: pending.at.time });
}
