//! Cuts a direction's bytes into PDUs, and finds its footing again where some are missing.

use super::pdu::{HEADER_BYTES, Header};

/// Bytes taken in at once, so that a direction holds at most twice as many: a PDU has at most 64 KiB.
const STEP_BYTES: usize = 1 << 16;

/// Bytes of memory that an idle direction keeps: most PDUs fit, and a hundred thousand idle pipes stay small.
const IDLE_BYTES: usize = 1 << 9;

/// One direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Framing {
    buffer: Vec<u8>,
    /// Where in the buffer the next PDU begins.
    at: usize,
    /// The next byte need not begin a PDU.
    searching: bool,
}

/// What a direction yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// A PDU of so many bytes, the first that are held.
    Pdu(usize),
    /// The bytes are none: a search begins.
    Stray,
}

/// Whether a PDU begins at a place.
enum Place {
    Here(usize),
    Wait(usize),
}

impl Framing {
    /// Takes the next bytes in, as many as it will: returns the rest.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.buffer.drain(..self.at.min(self.buffer.len()));
        self.at = 0;
        let (now, later) = bytes.split_at(bytes.len().min(STEP_BYTES));
        self.buffer.extend_from_slice(now);
        later
    }

    /// The bytes held.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Bytes are missing after those held, or none will come.
    pub(super) fn search(&mut self) {
        self.buffer.clear();
        self.at = 0;
        self.searching = true;
    }

    /// The next PDU or stray byte that the bytes held give; `None` where more are needed. `last`: no more will come.
    pub(super) fn next(&mut self, last: bool) -> Option<Piece> {
        if self.searching {
            match self.find(last) {
                Place::Here(skip) => {
                    self.at += skip;
                    self.searching = false;
                }
                Place::Wait(skip) => {
                    self.at += skip;
                    return None;
                }
            }
        }
        let held = self.held();
        if held.len() < HEADER_BYTES {
            return None;
        }
        let Some(header) = Header::read(held) else {
            self.searching = true;
            return Some(Piece::Stray);
        };
        let length = usize::from(header.fragment_bytes);
        (held.len() >= length).then_some(Piece::Pdu(length))
    }

    /// Where the next PDU begins is not known.
    pub(super) fn is_searching(&self) -> bool {
        self.searching
    }

    /// Gives memory back that a burst took, where little is held.
    pub(super) fn settle(&mut self) {
        if self.at >= self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        self.buffer.shrink_to(IDLE_BYTES.max(self.buffer.len()));
    }

    /// Bytes of memory taken.
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Passes over a PDU.
    pub(super) fn consume(&mut self, length: usize) {
        self.at = self.at.saturating_add(length).min(self.buffer.len());
    }

    /// How many bytes to pass over to the next PDU: a plausible header whose length lands on the next one or on the end of what is held.
    fn find(&self, last: bool) -> Place {
        let held = self.held();
        for skip in 0..held.len() {
            let rest = held.get(skip..).unwrap_or_default();
            if rest.len() < HEADER_BYTES {
                return Place::Wait(skip);
            }
            let Some(header) = Header::read(rest) else { continue };
            match rest.get(usize::from(header.fragment_bytes)..) {
                None if last => {}
                None => return Place::Wait(skip),
                Some(next) if begins_like_a_header(next) => return Place::Here(skip),
                Some(_) => {}
            }
        }
        Place::Wait(held.len())
    }
}

/// As far as they go, the bytes are those of a header.
fn begins_like_a_header(bytes: &[u8]) -> bool {
    if bytes.len() >= HEADER_BYTES {
        return Header::read(bytes).is_some();
    }
    bytes.first().is_none_or(|v| *v == 5) && bytes.get(1).is_none_or(|v| *v <= 1) && bytes.get(2).is_none_or(|k| *k <= 19)
}
