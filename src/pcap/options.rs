//! Options of pcapng blocks (draft-ietf-opsawg-pcapng, section 3.5): code, length, value, padding to 4.

use super::byte_order::ByteOrder;
use std::ops::ControlFlow;

/// Walks little-endian options. Total over any bytes: it ends at `opt_endofopt`, at the end, and before an option that does not fit.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    /// Over the options of a packet, an interface or a block.
    pub fn new(options: &'a [u8]) -> Self {
        Options { rest: options }
    }
}

/// Code and value.
impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (code, value, rest) = split(self.rest, ByteOrder::Little)?;
        self.rest = rest;
        Some((code, value))
    }
}

/// The first option and what follows it; `None` at the end and where none fits. Its padding may be missing at the very end.
fn split(options: &[u8], order: ByteOrder) -> Option<(u16, &[u8], &[u8])> {
    if options.len() < 4 {
        return None;
    }
    let (code, length) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
    if code == 0 || length > options.len() - 4 {
        return None;
    }
    let next = (4 + length + 3) & !3;
    Some((code, &options[4..4 + length], options.get(next..).unwrap_or_default()))
}

/// Calls `each` for every option in `order`. Whether the list is sound to its end.
pub(super) fn walk<'a>(mut options: &'a [u8], order: ByteOrder, mut each: impl FnMut(u16, &'a [u8]) -> ControlFlow<()>) -> bool {
    while let Some((code, value, rest)) = split(options, order) {
        if each(code, value).is_break() {
            return false;
        }
        options = rest;
    }
    options.is_empty() || (options.len() >= 4 && order.u16(options, 0) == 0)
}

/// How many bytes at the start are whole options with their padding, at most `max`, and whether that is all of them.
pub(super) fn sound_length(options: &[u8], order: ByteOrder, max: usize) -> (usize, bool) {
    let mut sound = 0;
    let whole = walk(options, order, |_, value| {
        let next = sound + 4 + ((value.len() + 3) & !3);
        if next > max.min(options.len()) {
            return ControlFlow::Break(());
        }
        sound = next;
        ControlFlow::Continue(())
    });
    (sound, whole)
}

/// Whose options they are: the codes mean something else in each block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OptionsOf {
    Packet,
    Interface,
    /// Blocks whose own options hold no integers.
    Other,
}

/// How a value is made of integers.
enum Layout {
    Bytes,
    /// Integers of four bytes, one after the other.
    Words,
    /// One of eight bytes.
    Long,
    /// One of four bytes, then bytes: a private enterprise number and what it says.
    WordThenBytes,
    /// One byte that tells the kind, then for kinds 1 and 2 an integer of eight: a verdict.
    Verdict,
}

fn layout(of: OptionsOf, code: u16) -> Layout {
    match (of, code) {
        (_, 2988 | 2989 | 19_372 | 19_373) => Layout::WordThenBytes,
        // epb_flags, epb_queue, epb_processid_threadid
        (OptionsOf::Packet, 2 | 6 | 8) => Layout::Words,
        // epb_dropcount, epb_packetid
        (OptionsOf::Packet, 4 | 5) => Layout::Long,
        (OptionsOf::Packet, 7) => Layout::Verdict,
        // if_tzone
        (OptionsOf::Interface, 10) => Layout::Words,
        // if_speed, if_tsoffset, if_txspeed, if_rxspeed
        (OptionsOf::Interface, 8 | 14 | 16 | 17) => Layout::Long,
        _ => Layout::Bytes,
    }
}

/// Appends one option, its integers turned from `order` to little-endian.
pub(super) fn append(out: &mut Vec<u8>, of: OptionsOf, order: ByteOrder, code: u16, value: &[u8]) {
    let length = value.len() as u16; // it came out of a 16-bit length
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    let start = out.len();
    out.extend_from_slice(value);
    if order == ByteOrder::Big {
        let value = &mut out[start..];
        match layout(of, code) {
            Layout::Bytes => {}
            Layout::Words => value.chunks_exact_mut(4).for_each(<[u8]>::reverse),
            Layout::Long if value.len() == 8 => value.reverse(),
            Layout::WordThenBytes if value.len() >= 4 => value[..4].reverse(),
            Layout::Verdict if value.len() == 9 && matches!(value[0], 1 | 2) => value[1..].reverse(),
            Layout::Long | Layout::WordThenBytes | Layout::Verdict => {}
        }
    }
    out.resize(start + ((value.len() + 3) & !3), 0);
}

/// Appends all options that fit into `max` bytes, little-endian, but those that `leave_out` names. Whether nothing else was lost.
pub(super) fn convert(
    out: &mut Vec<u8>,
    of: OptionsOf,
    order: ByteOrder,
    options: &[u8],
    max: usize,
    leave_out: impl Fn(u16) -> bool,
) -> bool {
    let start = out.len();
    walk(options, order, |code, value| {
        if leave_out(code) {
            return ControlFlow::Continue(());
        }
        if out.len() - start + 4 + ((value.len() + 3) & !3) > max {
            return ControlFlow::Break(());
        }
        append(out, of, order, code, value);
        ControlFlow::Continue(())
    })
}
