//! What a segment tells beside its packets: drops, and the stretches in which capture ran.

use super::bytes::{u32_at, u64_at};
use crate::time::{Timestamp, Window};

/// Bytes of one note.
pub const NOTE_LEN: usize = 40;

/// Notes that one segment keeps; further ones of a kind are joined into the last.
pub const NOTES_MAX: usize = 65_536;

/// What a note says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteKind {
    /// Packets that never reached the ring: dropped by the operating system (first) and by the interface (second).
    Drops {
        /// Dropped for want of room in a buffer (`isb_osdrop`).
        os: u64,
        /// Dropped by the interface (`isb_ifdrop`).
        interface: u64,
    },
    /// Capture ran all through: silence inside is quiet.
    Captured,
    /// Packets that were captured and could not be written.
    Unrecorded {
        /// How many.
        packets: u64,
    },
    /// The clock was set: capture went on, but times from here on are told by another clock.
    ClockSet {
        /// What it would have shown.
        before: Timestamp,
        /// What it showed.
        after: Timestamp,
    },
    /// A kind that this version does not know.
    Unknown(u32),
}

/// One note and its stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// The stretch it speaks of.
    pub window: Window,
    /// What it says.
    pub kind: NoteKind,
}

impl NoteKind {
    /// Packets that are not there, if it speaks of such.
    pub fn lost(&self) -> Option<u64> {
        match *self {
            NoteKind::Drops { os, interface } => Some(os.saturating_add(interface)),
            NoteKind::Unrecorded { packets } => Some(packets),
            _ => None,
        }
    }
}

impl Note {
    /// Appends the note's [`NOTE_LEN`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, a, b) = match self.kind {
            NoteKind::Drops { os, interface } => (1_u32, os, interface),
            NoteKind::Captured => (2, 0, 0),
            NoteKind::Unrecorded { packets } => (3, packets, 0),
            NoteKind::ClockSet { before, after } => (4, before.as_nanos(), after.as_nanos()),
            NoteKind::Unknown(n) => (n, 0, 0),
        };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for word in [self.window.from.as_nanos(), self.window.to.as_nanos(), a, b] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// From [`NOTE_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Note {
        let time = |at| Timestamp::from_nanos(u64_at(bytes, at));
        let kind = match u32_at(bytes, 0) {
            1 => NoteKind::Drops { os: u64_at(bytes, 24), interface: u64_at(bytes, 32) },
            2 => NoteKind::Captured,
            3 => NoteKind::Unrecorded { packets: u64_at(bytes, 24) },
            4 => NoteKind::ClockSet { before: time(24), after: time(32) },
            n => NoteKind::Unknown(n),
        };
        Note { window: Window { from: time(8), to: time(16) }, kind }
    }
}
