//! WRITE, [MS-SMB2] 2.2.21 and 2.2.22.

use super::create::file_id_of;
use super::header::HEADER_LEN;
use super::pending::Asked;
use super::state::{Part, State, Tools};
use super::streamed::Streamed;
use crate::smb::bytes::{u16_at, u32_at, u64_at};
use crate::smb::event::{Action, OpenId, TreeId, What};
use crate::smb::reader::Message;

/// Bytes of a request between header and data.
pub(super) const FIXED_LEN: usize = 48;
/// An offset that stands for the end of the file at the time of the write (3.3.5.13).
const END_OF_FILE: u64 = u64::MAX;

/// The head of a request, which waits for its answer from here on.
pub(super) fn begin(
    smb: &mut State,
    part: &Part<'_>,
    total: u64,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) -> Option<Streamed> {
    let streamed = head(smb, part, total, tree, last, tools);
    let asked = match &streamed {
        Some(Err(asked)) => asked.clone(),
        Some(Ok(s)) => {
            Asked::Write { open: s.open, operation: s.operation, offset: s.offset, sent: s.data_len, is_pipe: s.is_pipe }
        }
        None => Asked::Other,
    };
    smb.wait_for(part, (tree, tools.at), asked, tools);
    streamed?.ok()
}

fn head(
    smb: &mut State,
    part: &Part<'_>,
    total: u64,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) -> Option<Result<Streamed, Asked>> {
    let body = part.bytes.get(HEADER_LEN..)?;
    let (data_at, length, offset) = (u64::from(u16_at(body, 2)?), u64::from(u32_at(body, 4)?), u64_at(body, 8)?);
    let (open, is_pipe) = file_id_of(smb, part, 16, tree, last, tools)?;
    if u32_at(body, 32)? != 0 {
        return Some(Err(Asked::Remote));
    }
    if offset == END_OF_FILE && !is_pipe {
        // Where that is, no message says: another client may have written meanwhile. What this one wrote is not known any more.
        tools.tell(part.session, tree, &What::Odd { name: "unplaced_write", bytes: length });
        tools.tell(part.session, tree, &What::RequestsLost);
        return Some(Err(Asked::Other));
    }
    Some(Ok(Streamed {
        open,
        operation: tools.shared.ids.operation(),
        action: Action::Write,
        session: part.session,
        tree,
        is_pipe,
        offset,
        data_at,
        data_len: length.min(total.saturating_sub(data_at)),
        asked: None,
        status: 0,
        is_whole: true,
    }))
}

/// A request in one piece.
pub(super) fn whole(
    smb: &mut State,
    part: &Part<'_>,
    message: &Message<'_>,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) {
    let Some(mut streamed) = begin(smb, part, part.bytes.len() as u64, tree, last, tools) else { return };
    streamed.body(0, message.bytes, tools);
    streamed.finish(tools);
}

/// An answer: how many bytes the server took.
pub(super) fn response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let Some(Asked::Write { open, operation, offset, sent, is_pipe: false }) = asked else { return };
    // An answer that is cut short does not say how many.
    let count = u32_at(part.bytes, HEADER_LEN + 4).map(|count| u64::from(count).min(sent));
    let written = if part.header.is_success() { count } else { Some(0) };
    tools.tell(part.session, tree, &What::WriteDone { open, operation, offset, sent, written });
}
