//! IOCTL, [MS-SMB2] 2.2.31 and 2.2.32: pipe transceive, and copies that the server makes.

use super::create::file_id_of;
use super::header::HEADER_LEN;
use super::pending::{Asked, IoctlInput};
use super::state::{Part, State, Tools};
use crate::flow::Way;
use crate::smb::bytes::{part as bytes_at, u32_at, u64_at};
use crate::smb::event::{OpenId, TreeId, What};

const FSCTL_PIPE_TRANSCEIVE: u32 = 0x0011_C017;
const FSCTL_SRV_COPYCHUNK: u32 = 0x0014_40F2;
const FSCTL_SRV_COPYCHUNK_WRITE: u32 = 0x0014_80F2;
const FSCTL_SRV_REQUEST_RESUME_KEY: u32 = 0x0014_0078;
const FSCTL_DUPLICATE_EXTENTS: u32 = 0x0009_8344;
const FSCTL_DUPLICATE_EXTENTS_EX: u32 = 0x0009_83E8;
const FSCTL_SET_ZERO_DATA: u32 = 0x0009_80C8;

/// Chunks of a copy that are looked at; Windows allows 256.
const CHUNKS_MAX: usize = 1024;

/// A request.
pub(super) fn request(
    smb: &mut State,
    part: &Part<'_>,
    tree: Option<TreeId>,
    last: &mut Option<OpenId>,
    tools: &mut Tools<'_>,
) -> Asked {
    let body = &part.bytes[HEADER_LEN..];
    let (Some(fsctl), Some(at), Some(len)) = (u32_at(body, 4), u32_at(body, 24), u32_at(body, 28)) else {
        return Asked::Other;
    };
    // Some speak of no file: their id is all ones, and not related.
    let is_of_file = body.get(8..24).is_some_and(|id| id != [0xff; 16]) || part.header.is_related();
    let open = is_of_file.then(|| file_id_of(smb, part, 8, tree, last, tools)).flatten().map(|o| o.0);
    let input = bytes_at(part.bytes, at as usize, len as usize).unwrap_or_default();
    let input = match fsctl {
        FSCTL_PIPE_TRANSCEIVE => {
            if let Some(open) = open {
                tools.tell(part.session, tree, &What::Pipe { open, way: Way::ToServer, bytes: input });
                tools.tell(part.session, tree, &What::Pipe { open, way: Way::ToServer, bytes: &[] });
            }
            IoctlInput::Transceive
        }
        FSCTL_SRV_COPYCHUNK | FSCTL_SRV_COPYCHUNK_WRITE => copy_chunks(input),
        FSCTL_DUPLICATE_EXTENTS | FSCTL_DUPLICATE_EXTENTS_EX => duplicate(input, fsctl == FSCTL_DUPLICATE_EXTENTS_EX),
        FSCTL_SET_ZERO_DATA => match (u64_at(input, 0), u64_at(input, 8)) {
            (Some(from), Some(to)) => IoctlInput::Zero { from, to },
            _ => IoctlInput::None,
        },
        _ => IoctlInput::None,
    };
    Asked::Ioctl { open, fsctl, input }
}

/// SRV_COPYCHUNK_COPY (2.2.31.1): a resume key, and ranges as source offset, target offset, length.
fn copy_chunks(input: &[u8]) -> IoctlInput {
    let key = input.first_chunk::<24>().copied();
    let count = u32_at(input, 24).unwrap_or(0) as usize;
    let chunks = input.get(32..).unwrap_or_default().chunks_exact(24).take(count.min(CHUNKS_MAX));
    let ranges = chunks.filter_map(|c| Some((u64_at(c, 8)?, u64::from(u32_at(c, 16)?)))).collect();
    IoctlInput::Copy { key, source: None, ranges }
}

/// FSCTL_DUPLICATE_EXTENTS_TO_FILE ([MS-FSCC] 2.3.7, 2.3.9): the source's file id, source offset, target offset, length.
fn duplicate(input: &[u8], extended: bool) -> IoctlInput {
    let at = if extended { 8 } else { 0 };
    let source = input.get(at..).and_then(|b| b.first_chunk::<16>()).copied();
    let ranges = u64_at(input, at + 24).zip(u64_at(input, at + 32)).into_iter().collect();
    IoctlInput::Copy { key: None, source, ranges }
}

/// An answer.
pub(super) fn response(part: &Part<'_>, tree: Option<TreeId>, asked: Option<Asked>, tools: &mut Tools<'_>) {
    let body = &part.bytes[HEADER_LEN..];
    let output = || {
        let (at, len) = (u32_at(body, 32)?, u32_at(body, 36)?);
        bytes_at(part.bytes, at as usize, len as usize)
    };
    // Without its request an answer still says what it is of.
    let (open, fsctl, input) = match asked {
        Some(Asked::Ioctl { open: Some(open), fsctl, input }) => (open, fsctl, input),
        None if u32_at(body, 4) == Some(FSCTL_PIPE_TRANSCEIVE) => {
            let Some(open) = answered_open(part, tools) else { return };
            (open, FSCTL_PIPE_TRANSCEIVE, IoctlInput::Transceive)
        }
        _ => return,
    };
    if !part.header.is_success() {
        return;
    }
    match input {
        IoctlInput::Transceive => {
            if let Some(bytes) = output() {
                tools.tell(part.session, tree, &What::Pipe { open, way: Way::ToClient, bytes });
                tools.tell(part.session, tree, &What::Pipe { open, way: Way::ToClient, bytes: &[] });
            }
        }
        IoctlInput::Copy { key, source, ranges } => {
            let source = match (key, source) {
                (Some(key), _) => {
                    tools.shared.known(part.session).and_then(|s| s.opens.values().find(|o| o.resume_key == Some(key)))
                }
                (_, Some(id)) => tools.shared.known(part.session).and_then(|s| s.opens.get(&id)),
                _ => None,
            };
            let source = source.map(|o| o.id);
            for (offset, length) in ranges {
                tools.tell(part.session, tree, &What::ServerCopy { open, source, offset, length, fsctl });
            }
        }
        IoctlInput::Zero { from, to } => {
            let length = to.saturating_sub(from);
            tools.tell(part.session, tree, &What::ServerCopy { open, source: None, offset: from, length, fsctl });
        }
        IoctlInput::None if fsctl == FSCTL_SRV_REQUEST_RESUME_KEY => {
            let key = output().and_then(|o| o.first_chunk::<24>()).copied();
            if let Some(file) = tools.shared.open_by_id(part.session, open) {
                file.resume_key = key;
            }
        }
        IoctlInput::None => {}
    }
}

fn answered_open(part: &Part<'_>, tools: &mut Tools<'_>) -> Option<OpenId> {
    let id = *part.bytes.get(HEADER_LEN + 8..)?.first_chunk::<16>()?;
    Some(tools.shared.open_of(part.session, &id)?.id)
}
