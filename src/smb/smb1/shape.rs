//! What is wanted of a message, from its first bytes.

use super::content::{READ_ANDX, WRITE_ANDX, content_start, raw_stream};
use super::header::{Chain, HEADER_BYTES, Header, MAGIC};
use super::request::is_oplock_break;
use super::state::State;
use super::stream::Raw;
use crate::flow::Way;
use crate::smb::reader::Shape;

/// Where the number of parameter words of the first command is.
const WORD_COUNT_AT: usize = HEADER_BYTES;

/// Whether a message of this way is one without a header. Its first 32 bytes suffice, or all if there are fewer.
pub(super) fn is_raw(state: &State, way: Way, head: &[u8], total: u64) -> bool {
    if raw_stream(state, way, total).is_none() {
        return false;
    }
    let Some(header) = Header::read(head) else { return true };
    // Content may look like a message. It is one if it is what can come here.
    match state.raw {
        Some(Raw::Read { .. }) => {
            let answers =
                header.reply && state.pending.get(&header.key()).is_some_and(|q| q.iter().any(|p| p.answered_by(header.command)));
            !answers && !is_oplock_break(&header, way)
        }
        Some(Raw::Write { write, sent, .. }) => header.reply || total == write.sent.saturating_sub(sent),
        None => false,
    }
}

/// The shape of a message of `total` bytes that begins so.
pub(super) fn of(state: &State, way: Way, head: &[u8], total: u64) -> Shape {
    let there = |bytes: usize| head.len() as u64 >= (bytes as u64).min(total);
    if !there(WORD_COUNT_AT + 1) {
        return Shape::More(usize::try_from(total).unwrap_or(usize::MAX).min(WORD_COUNT_AT + 1));
    }
    if is_raw(state, way, head, total) {
        return if total == 0 { Shape::Whole } else { Shape::Streamed(1) };
    }
    let Some(header) = Header::read(head) else {
        return if head.starts_with(&MAGIC) { Shape::Whole } else { Shape::Pass };
    };
    let words = usize::from(head.get(WORD_COUNT_AT).copied().unwrap_or(0));
    let streamed = match (header.command, header.reply) {
        (READ_ANDX, true) => words == 12,
        (WRITE_ANDX, false) => words == 12 || words == 14,
        _ => false,
    };
    let words_end = WORD_COUNT_AT + 1 + words * 2 + 2;
    if !streamed || (words_end as u64) >= total {
        return Shape::Whole;
    }
    if !there(words_end) {
        return Shape::More(words_end);
    }
    let Some(block) = Chain::new(head, &header).next().filter(|b| !b.has_next()) else { return Shape::Whole };
    match content_start(&block) {
        Some(start) if start >= words_end && (start as u64) < total => Shape::Streamed(start),
        _ => Shape::Whole,
    }
}
