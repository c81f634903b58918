//! The merge: packets of all rings in the order of time, interface, stream, segment, arrival, with segments opened when their time comes.

use super::coverage::{Coverage, Reason, ReasonKind};
use super::error::CutError;
use super::judges::Judges;
use super::source::{Budget, Source};
use crate::packet::{LinkType, Packet};
use crate::ring::error::SegmentError;
use crate::ring::facts::SegmentFacts;
use crate::ring::granule::GranuleEntry;
use crate::ring::ids::{SectionId, SegmentId, StreamId};
use crate::ring::snapshot::{Held, RingReader};
use crate::select::{FilterError, Judge, Selection};
use crate::time::{Timestamp, Window};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A packet with where it comes from.
pub struct Taken<'a> {
    /// Which of the rings.
    pub ring: usize,
    /// Its link type.
    pub link_type: LinkType,
    /// The section it belongs to.
    pub section: SectionId,
    /// The segment that it lies in.
    pub segment: SegmentId,
    /// Where its block begins in the segment's packet file, in bytes.
    pub position: u64,
    /// The packet.
    pub packet: &'a Packet<'a>,
    /// Ports the ring found for a later fragment.
    pub hint: Option<(u16, u16)>,
}

/// What the merge cost.
#[derive(Clone, Copy, Default, Debug)]
pub struct MergeStats {
    /// Segments that were opened.
    pub segments_opened: u64,
    /// Bytes read of packet files.
    pub packet_bytes: u64,
    /// Granules that they were read in.
    pub granules: u64,
    /// Packets judged.
    pub packets_judged: u64,
}

/// Place of a source in the order: time, ring, stream, segment.
type Turn = (Timestamp, usize, StreamId, SegmentId, usize);

/// Hands every packet of the selection to `each`, in order, until it breaks. `segments` are those of each ring that may hold some.
pub fn merge<B>(
    selection: &Selection,
    rings: &[(RingReader, Held)],
    segments: Vec<(usize, SegmentFacts)>,
    judges: &mut Judges,
    coverage: &mut Coverage,
    mut each: impl FnMut(&Taken<'_>, &mut Coverage) -> ControlFlow<B>,
) -> (MergeStats, Option<B>) {
    let mut segments = segments;
    segments.sort_by_key(|(ring, f)| (f.low, *ring, f.stream, f.id));
    let mut unopened = segments.into_iter().peekable();
    let mut sources: Vec<Option<(usize, Source)>> = Vec::new();
    let mut turns: BinaryHeap<Reverse<Turn>> = BinaryHeap::new();
    let mut budget = Budget::new(&selection.expr);
    let mut opened = 0;
    let mut early = false;
    let broken = 'all: loop {
        // Open whatever may have a packet before the one whose turn it is.
        while let Some((ring, facts)) = unopened.next_if(|(_, f)| early || turns.peek().is_none_or(|t| f.low <= t.0.0)) {
            early = false;
            if judges.of(facts.stream.link_type).is_none_or(|j| j.is_never()) {
                continue;
            }
            let (reader, held) = &rings[ring];
            opened += 1;
            let window = held.window(&selection.window);
            let made = reader.open_segment(&facts).and_then(|s| Source::new(s, &selection.expr, window));
            let mut source = match made {
                Ok(source) => source,
                Err(e) => {
                    coverage.add(Reason::of(&e, reader, Some((facts.low, facts.high)), None));
                    continue;
                }
            };
            budget.sources = turns.len() + 1;
            let mut failed = |e: SegmentError, g: Option<&GranuleEntry>| note(coverage, reader, &e, g);
            if let Some(time) = source.peek(judges, &mut budget, &mut failed) {
                source.read_ahead(&mut budget);
                turns.push(Reverse((time, ring, facts.stream, facts.id, sources.len())));
                sources.push(Some((ring, source)));
            }
        }
        let Some(Reverse((_, ring, stream, id, slot))) = turns.pop() else { break None };
        budget.sources = turns.len() + 1;
        let Some((_, source)) = &mut sources[slot] else { continue };
        let reader = &rings[ring].0;
        let link_type = source.link_type();
        // It keeps its turn as long as nobody else has an earlier packet.
        loop {
            let mut errors = Vec::new();
            let flow = source.take(&mut budget, &mut |e, g| errors.push((e, g.copied())), |packet, hint, section, position| {
                each(&Taken { ring, link_type, section, segment: id, position, packet, hint }, coverage)
            });
            if let Some(ControlFlow::Break(b)) = flow {
                break 'all Some(b);
            }
            for (e, g) in errors {
                note(coverage, reader, &e, g.as_ref());
            }
            let mut failed = |e: SegmentError, g: Option<&GranuleEntry>| note(coverage, reader, &e, g);
            let Some(time) = source.peek(judges, &mut budget, &mut failed) else {
                sources[slot] = None;
                break;
            };
            let turn = (time, ring, stream, id, slot);
            // While the last granules of the only segment are read, the next one is opened.
            early = turns.is_empty() && budget.ahead.is_busy() && source.is_all_asked() && unopened.peek().is_some();
            if early || unopened.peek().is_some_and(|(_, f)| f.low <= time) || turns.peek().is_some_and(|other| other.0 < turn) {
                turns.push(Reverse(turn));
                break;
            }
        }
    };
    (
        MergeStats {
            segments_opened: opened,
            packet_bytes: budget.read,
            granules: budget.granules,
            packets_judged: budget.judged,
        },
        broken,
    )
}

fn note(coverage: &mut Coverage, reader: &RingReader, e: &SegmentError, granule: Option<&GranuleEntry>) {
    if granule.is_some_and(|g| !coverage.selection.window.touches(g.low, g.high)) {
        return; // read ahead in one run with what was asked for: nothing in the window is missing
    }
    coverage.add(Reason::of(e, reader, granule.map(|g| (g.low, g.high)), granule));
}

/// Whether something can be selected: no filter was refused, or what else is asked for does not need it.
fn is_usable_as(judge: &Judge) -> bool {
    judge.refused_filters().is_empty() || !judge.is_never()
}

/// A judge for each link type. Where the filter cannot be used nothing matches and coverage says so.
///
/// Where it can be used for none of the link types that the rings hold, that is an error; rings that hold nothing count as Ethernet.
pub fn judges(
    selection: &Selection,
    rings: &[(RingReader, Held)],
    link_types: &[LinkType],
    coverage: &mut Coverage,
) -> Result<Judges, CutError> {
    let mut judges = Judges::new(Arc::new(selection.expr.clone()));
    let mut is_usable = false;
    let mut refused = Vec::new();
    for &link_type in link_types {
        let judge = Judge::new(&selection.expr, link_type)?;
        refused.extend(judge.refused_filters().iter().cloned());
        is_usable |= is_usable_as(&judge);
        judges.add(link_type, judge);
    }
    if selection.expr.has_filter() && !is_usable {
        // Those of the window do not take it; another one that is held may.
        let mut held: BTreeSet<LinkType> = BTreeSet::new();
        for (ring, _) in rings {
            held.extend(ring.segments_in(&Window::ALL)?.iter().map(|f| f.stream.link_type));
        }
        if held.is_empty() {
            held.insert(LinkType::ETHERNET);
        }
        let mut first = None;
        let mut any = false;
        for &link_type in &held {
            let judge = Judge::new(&selection.expr, link_type)?;
            any |= is_usable_as(&judge);
            first = first.or_else(|| judge.refused_filters().first().cloned());
        }
        if let Some(why) = first.filter(|_| !any) {
            return Err(FilterError::Refused(why).into());
        }
    }
    for r in refused {
        coverage.add(Reason {
            reason: ReasonKind::Filtered,
            interface: String::new(),
            from: None,
            to: None,
            bytes: None,
            detail: r.to_string(),
        });
    }
    Ok(judges)
}
