//! Coverage: what an answer rests on, and why it is not whole where it is not.

use crate::ring::catalog::CATALOG_FILE;
use crate::ring::error::SegmentError;
use crate::ring::granule::GranuleEntry;
use crate::ring::note::NoteKind;
use crate::ring::snapshot::{Held, RingError, RingReader};
use crate::select::Selection;
use crate::time::{Timestamp, Window};
use serde::Serialize;
use std::fmt;

/// Why something that was asked for cannot be given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// Earlier than what the ring holds.
    BeforeRing,
    /// Later than what the ring is complete to.
    AfterRing,
    /// Capture did not run.
    NotCaptured,
    /// The filter cannot be used on the link type.
    Filtered,
    /// Packets were dropped before they reached the ring.
    KernelDrops,
    /// Packets were captured and could not be written.
    RecorderDrops,
    /// A segment was dropped while it was read.
    DroppedDuringCut,
    /// Bytes are not those that were written.
    Damaged,
    /// The disk would not give bytes.
    IoError,
    /// As many as asked for were given.
    LimitReached,
    /// Whoever read the cut went away before its end.
    ReaderGone,
    /// Kept back on purpose. Nothing gives this reason yet.
    ByPolicy,
}

/// Where in which file something is damaged or cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DamagedBytes {
    /// The file.
    pub file: String,
    /// The first byte that cannot be relied on, where that is known.
    pub from_byte: Option<u64>,
    /// The byte after the last, where that is known.
    pub to_byte: Option<u64>,
}

/// One stretch that cannot be given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reason {
    /// Why.
    pub reason: ReasonKind,
    /// Of which interface; empty where it concerns all.
    pub interface: String,
    /// From when on, where that is known.
    pub from: Option<Timestamp>,
    /// Up to when.
    pub to: Option<Timestamp>,
    /// Which bytes, where a file is to blame.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<DamagedBytes>,
    /// The rest, for people.
    pub detail: String,
}

impl Reason {
    /// What an error with a segment costs: a granule where it is that, else all of `span`.
    pub fn of(
        e: &SegmentError,
        ring: &RingReader,
        span: Option<(Timestamp, Timestamp)>,
        granule: Option<&GranuleEntry>,
    ) -> Reason {
        let reason = match e {
            SegmentError::Gone(path) if ring.still_holds(path, span) => ReasonKind::Damaged,
            SegmentError::Gone(_) => ReasonKind::DroppedDuringCut,
            SegmentError::Damaged { .. } | SegmentError::Version { .. } => ReasonKind::Damaged,
            SegmentError::Io { .. } => ReasonKind::IoError,
        };
        let (path, position) = match e {
            SegmentError::Gone(path) | SegmentError::Io { path, .. } | SegmentError::Version { path, .. } => (path, None),
            SegmentError::Damaged { path, position, .. } => (path, Some(*position)),
        };
        let from_byte = granule.map(|g| g.stored_offset).or(position);
        let to_byte = granule.map(|g| g.stored_offset + u64::from(g.stored_len));
        Reason {
            reason,
            interface: ring.interface().to_string(),
            from: span.map(|s| s.0),
            to: span.map(|s| s.1.saturating_add(1)),
            bytes: Some(DamagedBytes { file: path.display().to_string(), from_byte, to_byte }),
            detail: e.to_string(),
        }
    }
}

/// One line for people.
/// As in the coverage document.
impl fmt::Display for ReasonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if !self.interface.is_empty() {
            write!(f, " on {}", self.interface.escape_debug())?;
        }
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail.escape_debug())?;
        }
        Ok(())
    }
}

/// One interface's part.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceCoverage {
    /// The interface.
    pub interface: String,
    /// The first packet held that has a time.
    pub first_packet: Option<Timestamp>,
    /// The last packet held.
    pub last_packet: Option<Timestamp>,
    /// No packet earlier than this can still appear.
    pub complete_to: Timestamp,
    /// Packets given.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Drops recorded in the window.
    pub drops: u64,
    /// Whether capture ran for it at some time in the window.
    #[serde(skip)]
    pub captured: bool,
}

/// What an answer rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// The selection as understood, times in UTC.
    pub selection: Selection,
    /// Whether all that was asked for was given.
    pub complete: bool,
    /// Packets given.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// How many of them a snap length cut.
    pub truncated_packets: u64,
    /// Per interface.
    pub interfaces: Vec<InterfaceCoverage>,
    /// What is missing, and why.
    pub reasons: Vec<Reason>,
}

impl Coverage {
    /// What the indexes tell before a packet is read.
    pub fn begin(selection: &Selection, rings: &[(RingReader, Held)]) -> Result<Coverage, RingError> {
        let mut coverage = Coverage {
            selection: selection.clone(),
            complete: false,
            packets: 0,
            bytes: 0,
            truncated_packets: 0,
            interfaces: Vec::new(),
            reasons: Vec::new(),
        };
        let window = selection.window;
        let touches = |held: &Held| held.first.zip(held.last).is_some_and(|(low, high)| window.touches(low, high));
        let any_touches = rings.iter().any(|(_, held)| touches(held));
        for (ring, held) in rings {
            let mut interface = InterfaceCoverage {
                interface: ring.interface().to_string(),
                first_packet: held.first,
                last_packet: held.last,
                complete_to: held.complete_to,
                packets: 0,
                bytes: 0,
                drops: 0,
                captured: !ring.captured(&window)?.is_empty(),
            };
            // Imported captures of another time say nothing about this one, unless they were asked by name.
            let speaks = touches(held) || !any_touches || !selection.interfaces.is_empty() || ring.has_live_segments()?;
            if speaks {
                coverage.ring_reasons(selection, ring, held)?;
            }
            interface.drops = coverage.drops(&window, ring)?;
            if let Some(damage) = ring.catalog_damage() {
                let file = ring.path().join(CATALOG_FILE).display().to_string();
                coverage.add(Reason {
                    reason: ReasonKind::Damaged,
                    interface: ring.interface().to_string(),
                    from: None,
                    to: None,
                    bytes: Some(DamagedBytes { file, from_byte: None, to_byte: None }),
                    detail: format!("{damage}; its segments were found without it: `taploop ring check --repair` makes it anew"),
                });
            }
            for (path, reason) in ring.kept_damage() {
                coverage.add(Reason {
                    reason: ReasonKind::Damaged,
                    interface: ring.interface().to_string(),
                    from: None,
                    to: None,
                    bytes: Some(DamagedBytes { file: path.display().to_string(), from_byte: None, to_byte: None }),
                    detail: format!("of what pins keep: {reason}"),
                });
            }
            coverage.interfaces.push(interface);
        }
        Ok(coverage)
    }

    fn ring_reasons(&mut self, selection: &Selection, ring: &RingReader, held: &Held) -> Result<(), RingError> {
        let window = selection.window;
        let mut add = |reason, from: Timestamp, to: Timestamp, detail: &str| {
            let (from, to) = (Some(from).filter(|t| *t != Timestamp::ZERO), Some(to).filter(|t| *t != Timestamp::MAX));
            self.reasons.push(Reason {
                reason,
                interface: ring.interface().to_string(),
                from,
                to,
                bytes: None,
                detail: detail.into(),
            });
        };
        // Before the first packet, and without one, there may have been silence.
        let reach = held.reach.filter(|w| w.from > Timestamp::ZERO && held.first.is_none_or(|first| w.from < first));
        let quiet = reach.map(|w| Window { from: w.from, to: held.first.unwrap_or(w.to) });
        let quiet = quiet.map(|w| ring.captured(&w)).transpose()?.and_then(|all| all.first().map(|w| w.from));
        let Some((first, last)) = quiet.or(held.first).zip(held.last.or(reach.map(|w| w.to.saturating_sub(1)))) else {
            if selection.from_given || selection.to_given {
                add(ReasonKind::NotCaptured, window.from, window.to, "no packets are held");
            }
            return Ok(());
        };
        let mut inside = Window { from: window.from.max(first), to: window.to.min(last.saturating_add(1)) };
        if selection.from_given && window.from < first {
            add(ReasonKind::BeforeRing, window.from, window.to.min(first), "earlier than the first packet held");
        }
        if selection.to_given && window.to > held.complete_to {
            let detail =
                if held.growing > 0 { "not yet complete: packets may still arrive" } else { "later than the last packet held" };
            add(ReasonKind::AfterRing, window.from.max(held.complete_to), window.to, detail);
            inside.to = inside.to.min(held.complete_to);
        }
        // An end that was left open asks for what is held. But no answer may pass for whole where its writer has not finished,
        // or where the window lies wholly beside what is held.
        if !selection.to_given {
            if let Some(end) = held.open_end {
                inside.to = inside.to.min(end);
                if selection.from_given && window.from > end {
                    add(ReasonKind::AfterRing, window.from, window.to, "not yet complete: packets may still arrive");
                }
            } else if held.growing > 0 && held.complete_to <= last {
                let detail = "not yet complete: its writer has not finished, or was killed";
                add(ReasonKind::AfterRing, window.from.max(held.complete_to), window.to, detail);
                inside.to = inside.to.min(held.complete_to);
            } else if selection.from_given && window.from > last {
                add(ReasonKind::AfterRing, window.from, window.to, "later than the last packet held");
            }
        }
        if !selection.from_given && selection.to_given && window.to <= first {
            add(ReasonKind::BeforeRing, window.from, window.to, "earlier than the first packet held");
        }
        if inside.from < inside.to {
            // Before the ring's own first packet there is only what pins keep.
            let ring_first = held.ring_first.unwrap_or(Timestamp::MAX);
            let mut gap = |from: Timestamp, to: Timestamp| {
                let dropped_to = to.min(ring_first);
                if from < dropped_to {
                    let detail = "earlier than the first packet of the ring, and nothing of it is kept by a pin";
                    add(ReasonKind::BeforeRing, from, dropped_to, detail);
                }
                if from.max(dropped_to) < to {
                    add(ReasonKind::NotCaptured, from.max(dropped_to), to, "capture did not run");
                }
            };
            let mut at = inside.from;
            for captured in ring.captured(&inside)? {
                if captured.from > at {
                    gap(at, captured.from);
                }
                at = at.max(captured.to);
            }
            let end = inside.to.min(held.complete_to);
            if at < end {
                gap(at, end);
            }
        }
        Ok(())
    }

    /// The drops that are recorded in the window.
    fn drops(&mut self, window: &Window, ring: &RingReader) -> Result<u64, RingError> {
        let mut drops = 0;
        for facts in ring.segments_in(window)?.iter().filter(|f| f.drops > 0) {
            let notes = match ring.open_segment(facts).and_then(|s| s.notes()) {
                Ok(notes) => notes,
                Err(e) => {
                    self.add(Reason::of(&e, ring, Some((facts.low, facts.high)), None));
                    continue;
                }
            };
            for note in notes {
                let Some(lost) = note.kind.lost().filter(|&n| n > 0) else { continue };
                if let Some(part) = note.window.intersect(window) {
                    drops = lost.saturating_add(drops);
                    let unrecorded = matches!(note.kind, NoteKind::Unrecorded { .. });
                    let (reason, why) = if unrecorded {
                        (ReasonKind::RecorderDrops, "captured and could not be written")
                    } else {
                        (ReasonKind::KernelDrops, "dropped before they were recorded")
                    };
                    self.add(Reason {
                        reason,
                        interface: ring.interface().to_string(),
                        from: Some(part.from).filter(|t| *t != Timestamp::ZERO),
                        to: Some(part.to).filter(|t| *t != Timestamp::MAX),
                        bytes: None,
                        detail: format!("{lost} packets were {why}"),
                    });
                }
            }
        }
        Ok(drops)
    }

    /// Adds a reason once.
    pub fn add(&mut self, reason: Reason) {
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Says whether the answer is whole, now that it was given.
    pub fn finish(&mut self) {
        self.complete = self.reasons.is_empty();
    }
}

/// Reasons that one coverage lists; a ring damaged in more places is damaged enough.
pub const REASONS_MAX: usize = 10_000;
