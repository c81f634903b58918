//! One segment's packets of a selection, in order of time and then of arrival.

use crate::packet::{LinkType, Packet};
use crate::ring::error::SegmentError;
use crate::ring::granule::GranuleEntry;
use crate::ring::ids::SectionId;
use crate::ring::scan::{blocks, packet_block};
use crate::ring::segment::Segment;
use crate::select::{Expr, Judge, plan};
use crate::time::{Timestamp, Window};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

/// Bytes of granules that one cut holds; what does not fit is read again when its turn comes.
pub const HELD_BYTES_MAX: usize = 32 << 20;
/// Bytes that are read at once where all granules are wanted.
const RUN_BYTES: usize = 512 << 10;
/// Up to so many sources may read runs; more read granule by granule.
pub const RUN_SOURCES_MAX: usize = 16;
/// Entries of the granule table that are looked at ahead.
const ENTRIES_AHEAD: u32 = 32;
/// Selected granules beyond which a deeply disordered segment is read by its stored time order.
const SELECTED_MAX: usize = 256;
/// Granules that a source in stored time order keeps.
const ORDER_GRANULES_MAX: usize = 128;

/// What all sources of a cut share.
pub struct Budget {
    /// Bytes of granules that are held.
    pub held: usize,
    /// Packets that were judged.
    pub judged: u64,
    /// Bytes of packet files that were read.
    pub read: u64,
    /// How many sources there are.
    pub sources: usize,
}

/// A packet that waits for its turn: time, granule, place in the granule, offset of its block in the unit it was read with.
type Waiting = (Timestamp, u32, u32, usize);

enum Plan {
    /// Granules that are left, by lowest time.
    Listed(VecDeque<GranuleAt>),
    /// All granules from one on, in file order, which is their order in time.
    Range { next: u32, end: u32, ahead: VecDeque<GranuleAt> },
    /// Packets in stored time order from one on.
    Ordered { next: u64, end: u64, ahead: VecDeque<(u32, u16)>, granules: HashMap<u32, Arc<Vec<u8>>> },
}

type GranuleAt = (u32, GranuleEntry);

struct Unit {
    bytes: Option<Arc<Vec<u8>>>,
    left: usize,
    entry: GranuleEntry,
}

/// One segment's packets of a selection.
pub struct Source {
    segment: Segment,
    plan: Plan,
    waiting: BinaryHeap<Reverse<Waiting>>,
    units: HashMap<u32, Unit>,
    current: Option<(Waiting, Arc<Vec<u8>>)>,
    reread: Option<(u32, Arc<Vec<u8>>)>,
    window: Window,
}

impl Source {
    /// Plans the reading of a segment.
    pub fn new(segment: Segment, expr: &Expr, window: Window) -> Result<Source, SegmentError> {
        let link_type = segment.facts().stream.link_type;
        let chosen = plan::candidates(expr, link_type, &segment)?;
        let count = segment.granule_count();
        let many = chosen.as_ref().is_none_or(|c| c.len() > SELECTED_MAX);
        let plan = if segment.time_order_len() > 0 && many {
            Plan::Ordered { next: 0, end: segment.time_order_len(), ahead: VecDeque::new(), granules: HashMap::new() }
        } else if chosen.is_none() && segment.is_in_order() {
            Plan::Range { next: first_after(&segment, window.from)?, end: count, ahead: VecDeque::new() }
        } else {
            let mut listed = Vec::new();
            match chosen {
                Some(chosen) => {
                    for g in chosen {
                        listed.extend(segment.granules(g, 1)?.into_iter().map(|e| (g, e)));
                    }
                }
                None => listed.extend((0..count).zip(segment.granules(0, count)?)),
            }
            listed.retain(|(_, e)| window.touches(e.low, e.high));
            listed.sort_by_key(|(g, e)| (e.low, *g));
            Plan::Listed(listed.into())
        };
        Ok(Source { segment, plan, waiting: BinaryHeap::new(), units: HashMap::new(), current: None, reread: None, window })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The link type of its packets.
    pub fn link_type(&self) -> LinkType {
        self.segment.facts().stream.link_type
    }

    /// The time of the next packet; reads as far as it must to know it. Errors are handed to `failed` and cost only the granule.
    pub fn peek(
        &mut self,
        judge: &mut Judge,
        budget: &mut Budget,
        failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>),
    ) -> Option<Timestamp> {
        if let Some(((time, ..), _)) = &self.current {
            return Some(*time);
        }
        if matches!(self.plan, Plan::Ordered { .. }) {
            return self.peek_ordered(judge, budget, failed);
        }
        loop {
            let next_low = self.next_low(failed);
            let head = self.waiting.peek().map(|w| w.0.0);
            match (head, next_low) {
                (None, None) => return None,
                (Some(head), None) => return Some(head),
                (Some(head), Some(low)) if head < low => return Some(head),
                _ => self.load(judge, budget, failed),
            }
        }
    }

    fn next_low(&mut self, failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>)) -> Option<Timestamp> {
        match &mut self.plan {
            Plan::Listed(left) => left.front().map(|g| g.1.low),
            Plan::Range { next, end, ahead } => {
                while ahead.is_empty() && next < end {
                    let n = ENTRIES_AHEAD.min(*end - *next);
                    match self.segment.granules(*next, n) {
                        Ok(entries) => ahead.extend((*next..).zip(entries)),
                        Err(e) => failed(e, None),
                    }
                    *next += n;
                }
                let low = ahead.front().map(|g| g.1.low);
                if low.is_some_and(|t| t >= self.window.to) {
                    *next = *end;
                    ahead.clear();
                    return None;
                }
                low
            }
            Plan::Ordered { .. } => None,
        }
    }

    /// Reads the next granule, or a run of them.
    fn load(&mut self, judge: &mut Judge, budget: &mut Budget, failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>)) {
        let mut run: Vec<GranuleAt> = Vec::new();
        match &mut self.plan {
            Plan::Listed(left) => run.extend(left.pop_front()),
            Plan::Range { ahead, .. } => {
                let mut bytes = 0;
                while let Some((_, e)) = ahead.front() {
                    let follows = run.last().is_none_or(|(_, l)| l.stored_offset + u64::from(l.stored_len) == e.stored_offset);
                    let fits =
                        run.is_empty() || (bytes + e.stored_len as usize <= RUN_BYTES && budget.sources <= RUN_SOURCES_MAX);
                    if !follows || !fits {
                        break;
                    }
                    bytes += e.stored_len as usize;
                    run.extend(ahead.pop_front());
                }
            }
            Plan::Ordered { .. } => {}
        }
        run.retain(|(_, e)| self.window.touches(e.low, e.high));
        let Some(start) = run.first().map(|g| g.1.stored_offset) else { return };
        let len = run.last().map_or(0, |(_, e)| (e.stored_offset - start) as usize + e.stored_len as usize);
        let mut bytes = vec![0; len];
        let read = self.segment.read_stored(start, &mut bytes);
        budget.read += len as u64;
        if let Err(e) = read {
            if run.len() == 1 {
                failed(e, Some(&run[0].1));
                return;
            }
            // One at a time, so that only what is damaged is lost.
            for (g, entry) in run {
                let mut one = vec![0; entry.stored_len as usize];
                match self.segment.read_stored(entry.stored_offset, &mut one) {
                    Ok(()) => self.take_in(g, &entry, &Arc::new(one), 0, judge, budget, failed),
                    Err(e) => failed(e, Some(&entry)),
                }
            }
            return;
        }
        let bytes = Arc::new(bytes);
        for (g, entry) in run {
            let at = (entry.stored_offset - start) as usize;
            self.take_in(g, &entry, &bytes, at, judge, budget, failed);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one step of load, split out for its two callers")]
    fn take_in(
        &mut self,
        granule: u32,
        entry: &GranuleEntry,
        bytes: &Arc<Vec<u8>>,
        at: usize,
        judge: &mut Judge,
        budget: &mut Budget,
        failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>),
    ) {
        let own = &bytes[at..at + entry.stored_len as usize];
        if let Err(e) = self.segment.verify(entry, own) {
            failed(e, Some(entry));
            return;
        }
        let mut left = 0;
        for (place, stored) in blocks(own).enumerate() {
            budget.judged += 1;
            if self.window.contains(stored.packet.time) && judge.matches(&stored.packet, stored.hint) {
                self.waiting.push(Reverse((stored.packet.time, granule, place as u32, stored.offset)));
                left += 1;
            }
        }
        if left > 0 {
            let fits = budget.held + own.len() <= HELD_BYTES_MAX;
            // A unit keeps its own bytes, not the whole run's, unless it is the whole run.
            let kept = fits.then(|| if own.len() == bytes.len() { bytes.clone() } else { Arc::new(own.to_vec()) });
            if kept.is_some() {
                budget.held += own.len();
            }
            self.units.insert(granule, Unit { bytes: kept, left, entry: *entry });
        }
    }

    fn peek_ordered(
        &mut self,
        judge: &mut Judge,
        budget: &mut Budget,
        failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>),
    ) -> Option<Timestamp> {
        let Plan::Ordered { next, end, ahead, granules } = &mut self.plan else { return None };
        loop {
            if ahead.is_empty() {
                if next >= end {
                    return None;
                }
                let n = 1024.min(*end - *next);
                match self.segment.time_order(*next, n) {
                    Ok(places) => ahead.extend(places),
                    Err(e) => failed(e, None),
                }
                *next += n;
                continue;
            }
            let (granule, place) = ahead.pop_front()?;
            let bytes = match granules.get(&granule) {
                Some(bytes) => bytes.clone(),
                None => {
                    let Some(entry) =
                        self.segment.granules(granule, 1).map_err(|e| failed(e, None)).ok().and_then(|v| v.first().copied())
                    else {
                        continue;
                    };
                    let mut bytes = vec![0; entry.stored_len as usize];
                    budget.read += bytes.len() as u64;
                    let read = self.segment.read_stored(entry.stored_offset, &mut bytes);
                    if let Err(e) = read.and_then(|()| self.segment.verify(&entry, &bytes)) {
                        failed(e, Some(&entry));
                        bytes.clear();
                    }
                    if granules.len() >= ORDER_GRANULES_MAX {
                        let any = granules.keys().next().copied();
                        any.and_then(|g| granules.remove(&g));
                    }
                    let bytes = Arc::new(bytes);
                    granules.insert(granule, bytes.clone());
                    bytes
                }
            };
            let Some(stored) = blocks(&bytes).nth(usize::from(place)) else { continue };
            budget.judged += 1;
            let time = stored.packet.time;
            if self.window.contains(time) && judge.matches(&stored.packet, stored.hint) {
                let offset = stored.offset;
                self.current = Some(((time, granule, u32::from(place), offset), bytes));
                return Some(time);
            }
        }
    }

    /// Takes the packet that [`Source::peek`] spoke of and hands it on, with its section. `None` where its bytes could not be had again.
    pub fn take<R>(
        &mut self,
        budget: &mut Budget,
        failed: &mut dyn FnMut(SegmentError, Option<&GranuleEntry>),
        with: impl FnOnce(&Packet<'_>, Option<(u16, u16)>, SectionId) -> R,
    ) -> Option<R> {
        let (granule, offset, bytes) = match self.current.take() {
            Some(((_, granule, _, offset), bytes)) => (granule, offset, bytes),
            None => {
                let Reverse((_, granule, _, offset)) = self.waiting.pop()?;
                let unit = self.units.get_mut(&granule)?;
                unit.left -= 1;
                let entry = unit.entry;
                let bytes = match (&unit.bytes, &self.reread) {
                    (Some(bytes), _) => bytes.clone(),
                    (None, Some((g, bytes))) if *g == granule => bytes.clone(),
                    (None, _) => {
                        let mut bytes = vec![0; entry.stored_len as usize];
                        budget.read += bytes.len() as u64;
                        let read = self.segment.read_stored(entry.stored_offset, &mut bytes);
                        if let Err(e) = read.and_then(|()| self.segment.verify(&entry, &bytes)) {
                            failed(e, Some(&entry));
                            return None;
                        }
                        Arc::new(bytes)
                    }
                };
                if unit.left == 0 {
                    if unit.bytes.is_some() {
                        budget.held -= entry.stored_len as usize;
                    }
                    self.units.remove(&granule);
                    self.reread = None;
                }
                (granule, offset, bytes)
            }
        };
        let section = self.segment.section_of(granule);
        packet_block(bytes.get(offset..)?).map(|stored| with(&stored.packet, stored.hint, section))
    }
}

/// The first granule of an ordered segment that may hold packets from a time on.
fn first_after(segment: &Segment, from: Timestamp) -> Result<u32, SegmentError> {
    let (mut low, mut high) = (0, segment.granule_count());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = segment.granules(middle, 1)?.first().is_some_and(|e| e.high < from);
        if before { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
