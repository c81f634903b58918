//! A growing segment whose log has lost its header, or is lost: what its packet file says of itself.

use super::bytes::{u16_at, u32_at};
use super::disk::segment_head;
use super::draft::SegmentDraft;
use super::facts::SegmentFacts;
use super::ids::{SegmentId, StreamId};
use super::log::{LOG_HEADER_LEN, Published, read_on};
use super::paths::data_path;
use super::shared::{Shared, lock};
use crate::packet::LinkType;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of the section header block after the fan-out: padding, the end of its options, its length again.
const AFTER_FANOUT: usize = 2 + 4 + 4;

/// What is left of a growing segment.
pub(super) enum Left {
    /// Its packet file says whose it is; with it goes what the log still proves.
    Published(Box<Published>),
    /// There is no packet.
    Nothing,
    /// The packet file does not say whose packets it has, or says another segment.
    Strange,
}

/// Looks at the packet file of a segment, of whose log these bytes are there.
pub(super) fn left(shared: &Shared, id: SegmentId, log: &[u8]) -> io::Result<Left> {
    let path = data_path(&shared.ring, id);
    let file = match fs::metadata(&path) {
        Ok(about) if about.is_file() => File::open(&path)?,
        Ok(_) => return Ok(Left::Strange),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Left::Nothing),
        Err(e) => return Err(e),
    };
    let head_of = |stream| segment_head(shared.sensor, &shared.interface, id, stream);
    // However it is numbered, the head has the same length.
    let len = head_of(StreamId { fanout: 0, link_type: LinkType::ETHERNET }).len();
    if file.metadata()?.len() <= len as u64 {
        return Ok(Left::Nothing);
    }
    let mut head = vec![0; len];
    file.read_exact_at(&mut head, 0)?;
    let interface = u32_at(&head, 4) as usize;
    let fanout = interface.checked_sub(AFTER_FANOUT + 2).map_or(0, |at| u16_at(&head, at));
    let stream = StreamId { fanout, link_type: LinkType(u16_at(&head, interface.saturating_add(8).min(len))) };
    if head_of(stream) != head {
        return Ok(Left::Strange);
    }
    let mut draft = SegmentDraft::new(shared.sensor, id, stream, len as u64);
    let like_others = || lock(&shared.catalog).live().last().is_none_or(|f| f.has(SegmentFacts::IMPORTED));
    draft.imported = if log.len() >= LOG_HEADER_LEN { u32_at(log, 12) & 1 != 0 } else { like_others() };
    Ok(Left::Published(Box::new(read_on(log, draft))))
}
