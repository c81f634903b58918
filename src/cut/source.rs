//! One segment's packets of a selection, in order of time and then of arrival.

use super::ahead::{Ahead, Queue, read_now};
use super::batch::{Asked, BATCH_BYTES, Batch, Read};
use super::cold::Disk;
use super::judges::Judges;
use crate::packet::{LinkType, Packet};
use crate::ring::error::SegmentError;
use crate::ring::granule::{GranuleAt, GranuleEntry};
use crate::ring::ids::SectionId;
use crate::ring::scan::{blocks, packet_block};
use crate::ring::segment::Segment;
use crate::select::{Expr, plan};
use crate::time::{Timestamp, Window};
use ahash::AHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

/// Bytes of granules that one cut holds; what does not fit is read again when its turn comes.
pub const HELD_BYTES_MAX: usize = 32 << 20;
/// Bytes that are read at once where granules that follow each other are wanted.
const RUN_BYTES: u64 = 512 << 10;
/// Up to so many sources may read runs; more read granule by granule.
pub const RUN_SOURCES_MAX: usize = 16;
/// Entries of the granule table that are looked at ahead.
const ENTRIES_AHEAD: u32 = 1024;
/// Selected granules beyond which a deeply disordered segment is read by its stored time order.
const SELECTED_MAX: usize = 1024;
/// Granules that a source in stored time order keeps.
const ORDER_GRANULES_MAX: usize = 512;

/// What all sources of a cut share.
pub struct Budget {
    /// Bytes of granules that are held.
    pub held: usize,
    /// Packets that were judged.
    pub judged: u64,
    /// Bytes of packet files that were read.
    pub read: u64,
    /// Granules that they were read in.
    pub granules: u64,
    /// How many sources there are.
    pub sources: usize,
    /// How quick the disk is.
    pub disk: Disk,
    /// Who reads ahead.
    pub ahead: Ahead,
}

impl Budget {
    /// For the packets of a selection.
    pub fn new(expr: &Expr) -> Budget {
        Budget { held: 0, judged: 0, read: 0, granules: 0, sources: 0, disk: Disk::default(), ahead: Ahead::new(expr) }
    }
}

/// Who is told of granules that could not be had; they cost only themselves.
pub type Failed<'a> = &'a mut dyn FnMut(SegmentError, Option<&GranuleEntry>);

/// A packet that waits for its turn. Ordered by time, then by arrival: granule and place in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    time: Timestamp,
    granule: u32,
    place: u32,
    /// The first granule of the unit that it was read with.
    unit: u32,
    /// Where its block begins in the unit's bytes.
    offset: usize,
    /// And in the packet file.
    position: u64,
}

enum Plan {
    /// Granules that are left, by lowest time.
    Listed(VecDeque<GranuleAt>),
    /// All granules from one on, in file order, which is their order in time.
    Range { next: u32, end: u32, ahead: VecDeque<GranuleAt> },
    /// Packets in stored time order from one on.
    Ordered {
        next: u64,
        end: u64,
        ahead: VecDeque<u32>,
        granules: AHashMap<u32, Rc<InOrder>>,
        /// How many packets of each granule had their turn, or [`UNWANTED`].
        used: Vec<u32>,
    },
}

/// Of a granule that has nothing to give.
const UNWANTED: u32 = u32::MAX;

/// A granule and where its packets are in it, in order of time and then of arrival.
struct InOrder {
    /// Where it begins in the packet file.
    begins: u64,
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl InOrder {
    fn new(begins: u64, bytes: Vec<u8>) -> InOrder {
        let mut packets: Vec<(Timestamp, usize)> = blocks(&bytes).map(|b| (b.packet.time, b.offset)).collect();
        packets.sort_unstable();
        InOrder { begins, offsets: packets.into_iter().map(|p| p.1).collect(), bytes }
    }
}

/// Granules that were read together, and how many of their packets wait.
struct Unit {
    bytes: UnitBytes,
    left: usize,
}

enum UnitBytes {
    Held(Vec<u8>),
    /// There was no room: one granule, to be read again.
    Again(GranuleEntry),
}

/// One segment's packets of a selection.
pub struct Source {
    segment: Segment,
    plan: Plan,
    /// Packets that came in order; whoever came late waits in the heap.
    ready: VecDeque<Waiting>,
    late: BinaryHeap<Reverse<Waiting>>,
    units: AHashMap<u32, Unit>,
    current: Option<(Waiting, Rc<InOrder>)>,
    reread: Option<(u32, Vec<u8>)>,
    /// Granules that are read ahead.
    queue: Queue,
    /// Granules of the plan that the disk was asked for.
    asked: usize,
    /// Something was read of it.
    begun: bool,
    window: Window,
}

impl Source {
    /// Plans the reading of a segment.
    pub fn new(segment: Segment, expr: &Expr, window: Window) -> Result<Source, SegmentError> {
        let link_type = segment.facts().stream.link_type;
        let mut chosen = plan::candidates(expr, link_type, &segment)?;
        let in_order = segment.is_in_order();
        let count = segment.granule_count();
        let range = if in_order { first_after(&segment, window.from)?..count } else { 0..count };
        if let Some(chosen) = &mut chosen {
            chosen.retain(|g| range.contains(g));
            if in_order && chosen.last().is_some_and(|g| range.start + ENTRIES_AHEAD < *g) {
                let end = first_at(&segment, window.to)?;
                chosen.retain(|g| *g < end);
            }
        }
        let many = chosen.as_ref().is_none_or(|c| c.len() > SELECTED_MAX);
        let plan = match chosen {
            _ if segment.time_order_len() > 0 && many => {
                let end = segment.time_order_len();
                let used = wanted(&segment, chosen.as_deref(), &window)?;
                Plan::Ordered { next: 0, end, ahead: VecDeque::new(), granules: AHashMap::new(), used }
            }
            None if in_order => Plan::Range { next: range.start, end: count, ahead: VecDeque::new() },
            chosen => {
                let entries = match &chosen {
                    Some(chosen) => segment.granule_list(chosen)?,
                    None => segment.granules(0, count)?,
                };
                let numbers = chosen.unwrap_or_else(|| (0..count).collect());
                let mut listed: Vec<GranuleAt> = numbers.into_iter().zip(entries).collect();
                listed.retain(|(_, e)| window.touches(e.low, e.high));
                if !in_order {
                    listed.sort_by_key(|(g, e)| (e.low, *g));
                }
                Plan::Listed(listed.into())
            }
        };
        Ok(Source {
            segment,
            plan,
            ready: VecDeque::new(),
            late: BinaryHeap::new(),
            units: AHashMap::new(),
            current: None,
            reread: None,
            queue: Queue::default(),
            asked: 0,
            begun: false,
            window,
        })
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The link type of its packets.
    pub fn link_type(&self) -> LinkType {
        self.segment.facts().stream.link_type
    }

    /// The time of the next packet; reads as far as it must to know it.
    pub fn peek(&mut self, judges: &mut Judges, budget: &mut Budget, failed: Failed<'_>) -> Option<Timestamp> {
        if let Some((waiting, _)) = &self.current {
            return Some(waiting.time);
        }
        if matches!(self.plan, Plan::Ordered { .. }) {
            return self.peek_ordered(judges, budget, failed);
        }
        loop {
            let head = match (self.ready.front(), self.late.peek()) {
                (Some(a), Some(Reverse(b))) => Some(a.time.min(b.time)),
                (a, b) => a.or(b.map(|b| &b.0)).map(|w| w.time),
            };
            match (head, self.next_low(failed)) {
                (None, None) => return None,
                (Some(head), None) => return Some(head),
                (Some(head), Some(low)) if head < low => return Some(head),
                _ => self.load(judges, budget, failed),
            }
        }
    }

    fn next_low(&mut self, failed: Failed<'_>) -> Option<Timestamp> {
        if let Some(entry) = self.queue.first() {
            return Some(entry.low);
        }
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

    /// Has what comes next read ahead of its turn, as far as there is room.
    pub fn read_ahead(&mut self, budget: &mut Budget) {
        let (Plan::Listed(left) | Plan::Range { ahead: left, .. }) = &mut self.plan else { return };
        while budget.sources <= RUN_SOURCES_MAX && budget.ahead.wants_more(left.len()) {
            let Ok(file) = self.segment.packet_file() else { return };
            let granules = next_batch(left, BATCH_BYTES as u64, RUN_BYTES, self.window.to);
            if granules.is_empty() {
                return;
            }
            let link_type = self.segment.facts().stream.link_type;
            self.queue.ask(Asked { file, link_type, window: self.window, granules }, &mut budget.ahead);
        }
    }

    /// Whether nothing is left to be read ahead, so that the next segment might be.
    pub fn is_all_asked(&self) -> bool {
        match &self.plan {
            Plan::Listed(left) => left.is_empty(),
            Plan::Range { next, end, ahead } => next == end && ahead.is_empty(),
            Plan::Ordered { .. } => false,
        }
    }

    /// Takes the next granule in, or a run of them that follow each other.
    fn load(&mut self, judges: &mut Judges, budget: &mut Budget, failed: Failed<'_>) {
        // The first is read at once: it may hold the first packet.
        if std::mem::replace(&mut self.begun, true) {
            self.read_ahead(budget);
        }
        let (Plan::Listed(left) | Plan::Range { ahead: left, .. }) = &mut self.plan else { return };
        let many = budget.sources > RUN_SOURCES_MAX;
        let (batch, read) = match self.queue.take(&mut budget.ahead, &mut budget.disk, judges) {
            Some(taken) => taken,
            None => {
                let file = match self.segment.packet_file() {
                    Ok(file) => file,
                    Err(e) => return failed(e, left.pop_front().as_ref().map(|g| &g.1)),
                };
                let granules = next_batch(left, 0, if many { 0 } else { RUN_BYTES }, Timestamp::MAX);
                self.asked = self.asked.saturating_sub(granules.len());
                budget.disk.look_ahead(&file, left, &mut self.asked);
                let link_type = self.segment.facts().stream.link_type;
                let asked = Asked { file, link_type, window: self.window, granules };
                read_now(asked, &mut budget.ahead, &mut budget.disk, judges)
            }
        };
        self.take_in(&batch, read, judges, budget, failed);
    }

    /// Takes in what was found in a batch.
    fn take_in(&mut self, batch: &Batch, read: Read, judges: &mut Judges, budget: &mut Budget, failed: Failed<'_>) {
        let Read { bytes, failed: bad, found } = read;
        let run = &batch.asked.granules;
        let Some(&(unit, _)) = run.first() else { return };
        let Some(found) = found.or_else(|| judges.of(self.link_type()).map(|judge| batch.find(&bytes, &bad, judge))) else {
            return;
        };
        for (place, e) in bad {
            failed(e, Some(&run[place].1));
        }
        let left = found.packets.len();
        // Of the granule that the next packet is in: its place in the run, and where it begins in the batch's bytes.
        let (mut at, mut begins) = (0, 0);
        for found in &found.packets {
            while run.get(at).is_some_and(|g| g.0 != found.granule) {
                begins += run[at].1.stored_len as usize;
                at += 1;
            }
            let position = run.get(at).map_or(0, |g| g.1.stored_offset + found.offset.saturating_sub(begins) as u64);
            let (time, granule, place, offset) = (found.time, found.granule, found.place, found.offset);
            let waiting = Waiting { time, granule, place, unit, offset, position };
            if self.ready.back().is_none_or(|last| *last <= waiting) {
                self.ready.push_back(waiting);
            } else {
                self.late.push(Reverse(waiting));
            }
        }
        budget.judged += found.judged;
        budget.read += batch.len as u64;
        budget.granules += run.len() as u64;
        if left == 0 {
            return budget.ahead.give_back(bytes);
        }
        let len = bytes.len();
        let most = if run.len() == 1 || found.bytes >= len / 4 { HELD_BYTES_MAX } else { HELD_BYTES_MAX / 4 };
        if budget.held + len <= most {
            budget.held += len;
            self.units.insert(unit, Unit { bytes: UnitBytes::Held(bytes), left });
        } else {
            self.keep_parts(run, &bytes, budget);
            budget.ahead.give_back(bytes);
        }
    }

    /// Keeps of a run the granules that packets wait in, each by itself, or only where it is.
    fn keep_parts(&mut self, run: &[GranuleAt], bytes: &[u8], budget: &mut Budget) {
        let Some((unit, _)) = run.first().copied() else { return };
        let mut starts: AHashMap<u32, (usize, &GranuleEntry, usize)> = AHashMap::new();
        let mut at = 0;
        for (granule, entry) in run {
            starts.insert(*granule, (at, entry, 0));
            at += entry.stored_len as usize;
        }
        let mut moved = |w: &mut Waiting| {
            if w.unit == unit
                && let Some((start, _, left)) = starts.get_mut(&w.granule)
            {
                w.unit = w.granule;
                w.offset -= *start;
                *left += 1;
            }
        };
        self.ready.iter_mut().rev().take_while(|w| w.unit == unit).for_each(&mut moved);
        if self.late.iter().any(|w| w.0.unit == unit) {
            let mut late = std::mem::take(&mut self.late).into_vec();
            late.iter_mut().for_each(|w| moved(&mut w.0));
            self.late = late.into();
        }
        for (granule, (start, entry, left)) in starts {
            if left == 0 {
                continue;
            }
            let len = entry.stored_len as usize;
            let bytes = if budget.held + len <= HELD_BYTES_MAX {
                budget.held += len;
                UnitBytes::Held(bytes[start..start + len].to_vec())
            } else {
                UnitBytes::Again(*entry)
            };
            self.units.insert(granule, Unit { bytes, left });
        }
    }

    fn peek_ordered(&mut self, judges: &mut Judges, budget: &mut Budget, failed: Failed<'_>) -> Option<Timestamp> {
        let judge = judges.of(self.link_type())?;
        let Plan::Ordered { next, end, ahead, granules, used } = &mut self.plan else { return None };
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
            let granule = ahead.pop_front()?;
            let Some(place) = used.get_mut(granule as usize).filter(|n| **n != UNWANTED) else { continue };
            *place += 1;
            let place = *place - 1;
            let in_order = match granules.get(&granule) {
                Some(in_order) => in_order.clone(),
                None => {
                    let Some(entry) =
                        self.segment.granules(granule, 1).map_err(|e| failed(e, None)).ok().and_then(|v| v.first().copied())
                    else {
                        continue;
                    };
                    budget.read += u64::from(entry.stored_len);
                    budget.granules += 1;
                    let bytes = self.segment.packet_file().and_then(|file| file.granule(&entry));
                    let in_order = Rc::new(InOrder::new(
                        entry.stored_offset,
                        bytes.unwrap_or_else(|e| {
                            failed(e, Some(&entry));
                            Vec::new()
                        }),
                    ));
                    if granules.len() >= ORDER_GRANULES_MAX {
                        let any = granules.keys().next().copied();
                        any.and_then(|g| granules.remove(&g));
                    }
                    granules.insert(granule, in_order.clone());
                    in_order
                }
            };
            let Some(&offset) = in_order.offsets.get(place as usize) else { continue };
            let Some(stored) = packet_block(&in_order.bytes[offset..]) else { continue };
            budget.judged += 1;
            let time = stored.packet.time;
            if self.window.contains(time) && judge.matches(&stored.packet, stored.hint) {
                let position = in_order.begins + offset as u64;
                self.current = Some((Waiting { time, granule, place, unit: granule, offset, position }, in_order));
                return Some(time);
            }
        }
    }

    /// Takes the packet that [`Source::peek`] spoke of and hands it on, with its section and where its block begins
    /// in the packet file. `None` where its bytes could not be had again.
    pub fn take<R>(
        &mut self,
        budget: &mut Budget,
        failed: Failed<'_>,
        with: impl FnOnce(&Packet<'_>, Option<(u16, u16)>, SectionId, u64) -> R,
    ) -> Option<R> {
        if let Some((waiting, in_order)) = self.current.take() {
            return hand_on(&self.segment, &waiting, &in_order.bytes, with);
        }
        let from_late = match (self.ready.front(), self.late.peek()) {
            (Some(ready), Some(Reverse(late))) => late < ready,
            (None, _) => true,
            (_, None) => false,
        };
        let waiting = if from_late { self.late.pop()?.0 } else { self.ready.pop_front()? };
        let unit = self.units.get_mut(&waiting.unit)?;
        unit.left -= 1;
        let last = unit.left == 0;
        let handed = match &unit.bytes {
            UnitBytes::Held(bytes) => hand_on(&self.segment, &waiting, bytes, with),
            UnitBytes::Again(entry) => {
                if self.reread.as_ref().is_none_or(|(g, _)| *g != waiting.granule) {
                    budget.read += u64::from(entry.stored_len);
                    budget.granules += 1;
                    match self.segment.packet_file().and_then(|file| file.granule(entry)) {
                        Ok(bytes) => self.reread = Some((waiting.granule, bytes)),
                        Err(e) => {
                            failed(e, Some(entry));
                            self.reread = None;
                        }
                    }
                }
                self.reread.as_ref().and_then(|(_, bytes)| hand_on(&self.segment, &waiting, bytes, with))
            }
        };
        if last && let Some(Unit { bytes: UnitBytes::Held(bytes), .. }) = self.units.remove(&waiting.unit) {
            budget.held -= bytes.len();
            budget.ahead.give_back(bytes);
        }
        handed
    }
}

fn hand_on<R>(
    segment: &Segment,
    waiting: &Waiting,
    bytes: &[u8],
    with: impl FnOnce(&Packet<'_>, Option<(u16, u16)>, SectionId, u64) -> R,
) -> Option<R> {
    let section = segment.section_of(waiting.granule);
    packet_block(bytes.get(waiting.offset..)?).map(|stored| with(&stored.packet, stored.hint, section, waiting.position))
}

/// The granules of a plan that are read together next, none of a later time than `to`: so many bytes of them wherever they are, and
/// so many where each begins where the one before ends.
fn next_batch(left: &mut VecDeque<GranuleAt>, bytes_max: u64, run_max: u64, to: Timestamp) -> Vec<GranuleAt> {
    let mut batch: Vec<GranuleAt> = Vec::new();
    let (mut bytes, mut is_run) = (0, true);
    while let Some((_, next)) = left.front().filter(|g| g.1.low < to) {
        let follows = batch.last().is_none_or(|g| g.1.stored_end() == next.stored_offset);
        let most = if is_run && follows { run_max.max(bytes_max) } else { bytes_max };
        bytes += u64::from(next.stored_len);
        if !batch.is_empty() && bytes > most {
            break;
        }
        is_run &= follows;
        batch.extend(left.pop_front());
    }
    batch
}

/// For each granule 0 if it is one of the chosen and touches the window, else [`UNWANTED`].
fn wanted(segment: &Segment, chosen: Option<&[u32]>, window: &Window) -> Result<Vec<u32>, SegmentError> {
    let count = segment.granule_count();
    let mut all = vec![UNWANTED; count as usize];
    for from in (0..count).step_by(ENTRIES_AHEAD as usize) {
        for (granule, entry) in (from..).zip(segment.granules(from, ENTRIES_AHEAD.min(count - from))?) {
            if window.touches(entry.low, entry.high) && chosen.is_none_or(|c| c.binary_search(&granule).is_ok()) {
                all[granule as usize] = 0;
            }
        }
    }
    Ok(all)
}

/// The first granule of an ordered segment that may hold packets from a time on.
fn first_after(segment: &Segment, from: Timestamp) -> Result<u32, SegmentError> {
    if segment.facts().low >= from {
        return Ok(0);
    }
    partition(segment, |e| e.high < from)
}

/// The first granule of an ordered segment all whose packets are at a time or later.
fn first_at(segment: &Segment, to: Timestamp) -> Result<u32, SegmentError> {
    if segment.facts().high < to {
        return Ok(segment.granule_count());
    }
    partition(segment, |e| e.low < to)
}

fn partition(segment: &Segment, before: impl Fn(&GranuleEntry) -> bool) -> Result<u32, SegmentError> {
    let (mut low, mut high) = (0, segment.granule_count());
    while low < high {
        let middle = low + (high - low) / 2;
        if segment.granules(middle, 1)?.first().is_some_and(&before) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
