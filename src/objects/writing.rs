//! What is written through one open: WRITEs that wait for their answers, and the versions that the answered ones make.
//!
//! A version is the file's content between two overwrites: the one that follows begins with its bytes. The bytes of a WRITE that touches
//! nothing else go to their place at once and count when it is answered; those that touch seen bytes, or other waiting WRITEs, wait aside.
// one state machine: a WRITE from its bytes to its place among the others

use super::disk::{Body, PIECE_BYTES};
use super::error::StoreError;
use super::missing::Why;
use super::piece::Piece;
use super::provenance::Sidecar;
use super::ranges::RangeSet;
use super::size::{SizeSource, WriteSize};
use super::versions::{Carried, Tally, Tools, Version};
use crate::flow::PacketRef;
use crate::smb::event::{OperationId, SizeFrom};
use std::collections::{BTreeMap, HashMap};

/// The write transfer of one open.
#[derive(Debug)]
pub(super) struct Writing {
    /// Earlier versions.
    pub(super) before: Vec<Version>,
    /// The newest.
    pub(super) current: Option<Version>,
    /// Versions that were left out.
    pub(super) versions_dropped: u32,
    /// What is known of the size.
    pub(super) size: WriteSize,
    /// Where the packets are told, if they are.
    pub(super) sidecar: Option<Sidecar>,
    /// The WRITEs that wait, in the order they were sent.
    pending: BTreeMap<u64, Pending>,
    order: HashMap<OperationId, u64>,
    next: u64,
    /// All ranges of WRITEs that wait.
    claimed: RangeSet,
    /// How many that wait touch something else.
    crossing: usize,
    copied: u64,
}

/// A WRITE that waits for its answer, or for an earlier one.
#[derive(Debug, Default)]
struct Pending {
    operation: Option<OperationId>,
    offset: u64,
    parts: Vec<Part>,
    aside: Option<Body>,
    aside_bytes: u64,
    tally: Tally,
    in_window: bool,
    packets: Vec<(u64, u64, PacketRef)>,
    /// It touches bytes that were seen, or another one that waits.
    crosses: bool,
    outcome: Option<Outcome>,
    /// Where copies of its bytes differ.
    conflicts: Vec<(u64, u64)>,
}

/// Conflicts of one WRITE that are told apart. Beyond it all of its bytes are in conflict.
const CONFLICTS_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The server wrote so many bytes.
    Written(u64),
    /// No answer was captured; so many were sent.
    Unanswered(u64),
}

#[derive(Clone, Copy, Debug)]
struct Part {
    from: u64,
    to: u64,
    lies: Lies,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Lies {
    /// At its place in the current version's body.
    InPlace,
    /// Aside, from this offset on.
    Aside(u64),
    /// Nowhere.
    Nowhere(Why),
}

impl Writing {
    /// Nothing written yet.
    pub(super) fn new(ranges: usize, sidecar: Option<Sidecar>) -> Writing {
        Writing {
            before: Vec::new(),
            current: None,
            versions_dropped: 0,
            size: WriteSize::default(),
            sidecar,
            pending: BTreeMap::new(),
            order: HashMap::new(),
            next: 0,
            claimed: RangeSet::new(ranges),
            crossing: 0,
            copied: 0,
        }
    }

    /// The newest version, begun where there is none.
    pub(super) fn current(&mut self, tools: &mut Tools<'_>) -> &mut Version {
        let number = self.before.last().map_or(1, |v| v.number + 1);
        self.current.get_or_insert_with(|| Version::new(number, tools))
    }

    /// Whether anything was written, or is about to be.
    pub(super) fn begun(&self) -> bool {
        self.current.is_some() || !self.pending.is_empty()
    }

    /// Bytes of a WRITE came.
    pub(super) fn data(&mut self, tools: &mut Tools<'_>, piece: &Piece<'_>) -> Result<(), StoreError> {
        let (from, to) = (piece.offset, piece.end());
        let seen = self.current(tools).seen.total();
        let held = seen.saturating_add(self.claimed.total()).saturating_add(to - from);
        let too_much = to > tools.limits.offset_max || held > tools.limits.object_bytes;
        let Some(number) = self.pending_number(tools, piece.operation, from)? else { return Ok(()) };
        let crosses = self.claim(tools, from, to);
        let lies = if too_much {
            self.current(tools).limited = true;
            Lies::Nowhere(Why::Limit)
        } else if crosses {
            let Some(op) = self.pending.get_mut(&number) else { return Ok(()) };
            let at = op.aside_bytes;
            let aside = op.aside.get_or_insert_with(|| tools.disk.body());
            tools.disk.write(aside, at, piece.bytes)?;
            op.aside_bytes += to - from;
            Lies::Aside(at)
        } else {
            let version = self.current(tools);
            tools.disk.write(&mut version.body, from, piece.bytes)?;
            Lies::InPlace
        };
        let Some(op) = self.pending.get_mut(&number) else { return Ok(()) };
        self.crossing += usize::from(crosses && !op.crosses);
        op.crosses |= crosses;
        op.tally.add(&piece.carried);
        op.in_window |= piece.carried.in_window;
        op.packets.extend_from_slice(piece.packets);
        op.add(Part { from, to, lies });
        Ok(())
    }

    /// Bytes of a WRITE were lost.
    pub(super) fn lost(
        &mut self,
        tools: &mut Tools<'_>,
        operation: OperationId,
        offset: u64,
        length: u64,
    ) -> Result<(), StoreError> {
        let Some(number) = self.pending_number(tools, operation, offset)? else { return Ok(()) };
        let to = offset.saturating_add(length);
        let crosses = self.claim(tools, offset, to);
        if let Some(op) = self.pending.get_mut(&number) {
            self.crossing += usize::from(crosses && !op.crosses);
            op.crosses |= crosses;
            op.add(Part { from: offset, to, lies: Lies::Nowhere(Why::Lost) });
        }
        Ok(())
    }

    /// Copies of bytes differ: of those that are there, or of WRITEs that wait.
    pub(super) fn conflict(&mut self, tools: &mut Tools<'_>, from: u64, to: u64) {
        for op in self.pending.values_mut().filter(|op| op.parts.iter().any(|p| p.from < to && from < p.to)) {
            let whole = op.conflicts.len() >= CONFLICTS_MAX;
            op.conflicts.push(if whole { (op.offset, op.end()) } else { (from, to) });
            op.conflicts.truncate(CONFLICTS_MAX + 1);
        }
        self.current(tools).in_conflict(from, to);
    }

    /// Bytes of a WRITE that were given are others.
    pub(super) fn replace(
        &mut self,
        tools: &mut Tools<'_>,
        operation: OperationId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let waits = self.pending.values_mut().find(|op| op.operation == Some(operation));
        let (Some(op), Some(version)) = (waits, &mut self.current) else {
            return self.current.as_mut().map_or(Ok(()), |version| version.replace_seen(tools, offset, bytes));
        };
        let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
        for part in &op.parts {
            let (from, to) = (part.from.max(offset), part.to.min(end));
            let Some(bytes) = bytes.get(place(from)..place(to)).filter(|b| !b.is_empty()) else { continue };
            match (part.lies, &mut op.aside) {
                (Lies::InPlace, _) => version.replace(tools, from, bytes)?,
                (Lies::Aside(at), Some(aside)) => tools.disk.write(aside, at + (from - part.from), bytes)?,
                (Lies::Aside(_) | Lies::Nowhere(_), _) => {}
            }
        }
        Ok(())
    }

    /// A WRITE was answered, or will not be.
    pub(super) fn done(
        &mut self,
        tools: &mut Tools<'_>,
        operation: OperationId,
        offset: u64,
        sent: u64,
        written: Option<u64>,
    ) -> Result<(), StoreError> {
        if written == Some(0) && !self.order.contains_key(&operation) {
            return Ok(());
        }
        let Some(number) = self.pending_number(tools, operation, offset)? else { return Ok(()) };
        // What the server wrote and no packet showed is claimed too, so that later WRITEs to it wait.
        let end = offset.saturating_add(written.unwrap_or(sent).min(sent));
        let mut shown = RangeSet::new(usize::MAX);
        for part in self.pending.get(&number).iter().flat_map(|op| &op.parts) {
            let _ = shown.insert(part.from, part.to, ());
        }
        for (from, to) in shown.holes(offset, end) {
            self.lost(tools, operation, from, to - from)?;
        }
        self.order.remove(&operation);
        if let Some(op) = self.pending.get_mut(&number) {
            op.offset = offset;
            op.outcome = Some(match written {
                Some(written) => Outcome::Written(written.min(sent)),
                None => Outcome::Unanswered(sent),
            });
        }
        self.settle(tools)
    }

    fn pending_number(&mut self, tools: &mut Tools<'_>, operation: OperationId, offset: u64) -> Result<Option<u64>, StoreError> {
        if let Some(number) = self.order.get(&operation) {
            return Ok(Some(*number));
        }
        if self.pending.len() >= tools.limits.pending_writes.max(1) {
            self.give_up_first(tools)?;
        }
        self.next += 1;
        self.order.insert(operation, self.next);
        self.pending.insert(self.next, Pending { operation: Some(operation), offset, ..Pending::default() });
        Ok(Some(self.next))
    }

    /// Too many wait: what became of the first is not known, and its bytes are not kept.
    fn give_up_first(&mut self, tools: &mut Tools<'_>) -> Result<(), StoreError> {
        let Some((number, op)) = self.pending.iter_mut().next() else { return Ok(()) };
        let number = *number;
        let (from, to) = (op.offset, op.end());
        if let Some(operation) = op.operation {
            self.order.remove(&operation);
        }
        op.outcome = Some(Outcome::Written(0));
        self.take(tools, number)?;
        self.unknown(tools, from, to, Why::Limit)?;
        self.settle(tools)
    }

    /// Marks a range as written by one that waits. Returns whether something else is there.
    fn claim(&mut self, tools: &mut Tools<'_>, from: u64, to: u64) -> bool {
        let touches = self.claimed.touches(from, to) || self.current(tools).seen.touches(from, to);
        // Where it cannot be told apart any more, it waits aside as if it touched.
        touches | self.claimed.insert(from, to, ()).is_err()
    }

    /// Applies all WRITEs that are answered, in the order they were sent, but for those that touch an earlier one that is not.
    fn settle(&mut self, tools: &mut Tools<'_>) -> Result<(), StoreError> {
        let mut ready: Vec<u64> = Vec::new();
        if self.crossing == 0 {
            ready.extend(self.pending.iter().filter(|(_, op)| op.outcome.is_some()).map(|(n, _)| *n));
        } else {
            let mut open = RangeSet::new(usize::MAX);
            for (number, op) in &self.pending {
                let blocked = op.parts.iter().any(|p| open.touches(p.from, p.to));
                if op.outcome.is_some() && !blocked {
                    ready.push(*number);
                } else {
                    for part in &op.parts {
                        let _ = open.insert(part.from, part.to, ());
                    }
                }
            }
        }
        for number in ready {
            self.take(tools, number)?;
        }
        Ok(())
    }

    /// Applies one WRITE and forgets it.
    fn take(&mut self, tools: &mut Tools<'_>, number: u64) -> Result<(), StoreError> {
        let Some(mut op) = self.pending.remove(&number) else { return Ok(()) };
        let crossed = self.crossing > 0;
        self.crossing -= usize::from(op.crosses);
        self.apply(tools, &mut op)?;
        if let Some(aside) = op.aside.take() {
            tools.disk.discard(aside)?;
        }
        if crossed || op.parts.iter().any(|p| self.claimed.remove(p.from, p.to).is_err()) {
            self.claimed.clear();
            for part in self.pending.values().flat_map(|op| &op.parts) {
                let _ = self.claimed.insert(part.from, part.to, ());
            }
        }
        Ok(())
    }

    fn apply(&mut self, tools: &mut Tools<'_>, op: &mut Pending) -> Result<(), StoreError> {
        let (count, unanswered) = match op.outcome {
            Some(Outcome::Written(count)) => (count, false),
            Some(Outcome::Unanswered(count)) => (count, true),
            None => (0, false),
        };
        let end = op.offset.saturating_add(count);
        if count > 0 && self.differs(tools, op, end)? {
            self.begin(tools)?;
        }
        let end = if count == 0 { op.offset } else { self.size.wrote(end) };
        let version = self.current(tools);
        for part in &op.parts {
            let to = part.to.min(end).max(part.from);
            let held = part.from < to && self::put(tools, version, op.aside.as_ref(), *part, to, op.in_window)?;
            if part.lies == Lies::InPlace {
                let gone = if held { to } else { part.from };
                tools.disk.clear(&mut version.body, gone, part.to)?;
            }
        }
        for (from, to) in op.conflicts.drain(..).filter(|c| c.0 < end) {
            version.in_conflict(from, to.min(end));
        }
        if count > 0 {
            version.tally.add(&Carried {
                first: op.tally.ends.unwrap_or_default().0,
                last: op.tally.ends.unwrap_or_default().1,
                packets: op.tally.packets,
                in_window: op.in_window,
                encrypted: op.tally.encrypted,
                compressed: op.tally.compressed,
            });
            version.unconfirmed |= unanswered;
            let number = version.number;
            if let Some(sidecar) = &mut self.sidecar {
                for (from, to, packet) in op.packets.iter().filter(|p| p.0 < end) {
                    sidecar.say(number, *from, (*to).min(end), packet)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a WRITE changes bytes that were seen.
    fn differs(&mut self, tools: &mut Tools<'_>, op: &Pending, end: u64) -> Result<bool, StoreError> {
        let Some(version) = &self.current else { return Ok(false) };
        let mut piece = Vec::new();
        for part in &op.parts {
            let to = part.to.min(end);
            let overlaps: Vec<(u64, u64)> = version.seen.within(part.from, to).map(|(f, t, ())| (f, t)).collect();
            match (part.lies, &op.aside) {
                (Lies::InPlace, _) => {}
                (Lies::Aside(at), Some(aside)) => {
                    for (from, to) in overlaps {
                        let mut next = from;
                        while next < to {
                            piece.resize(usize::try_from(to - next).unwrap_or(usize::MAX).min(PIECE_BYTES), 0);
                            tools.disk.read(aside, at + (next - part.from), &mut piece)?;
                            if !tools.disk.equals(&version.body, next, &piece)? {
                                return Ok(true);
                            }
                            next += piece.len() as u64;
                        }
                    }
                }
                _ if overlaps.is_empty() => {}
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Begins a new version: the one before it is kept as it is now, where the limits allow.
    fn begin(&mut self, tools: &mut Tools<'_>) -> Result<(), StoreError> {
        let Some(version) = &mut self.current else { return Ok(()) };
        let bytes = version.seen.total();
        version.hash_at_end(tools);
        if self.before.len() + 2 > tools.limits.versions as usize
            || self.copied.saturating_add(bytes) > tools.limits.version_bytes
        {
            self.versions_dropped += 1;
        } else {
            self.copied += bytes;
            let mut old = Version::new(version.number, tools);
            tools.disk.copy(&version.body, &mut old.body, &version.seen)?;
            old.seen = version.seen.clone();
            old.reasons = version.reasons.clone();
            old.conflicts = version.conflicts.clone();
            old.tally = version.tally;
            old.in_window = version.in_window;
            old.unconfirmed = version.unconfirmed;
            old.limited = version.limited;
            old.size_then = self.size.known();
            old.not_closed = self.size.needs_close();
            old.hash_at_end(tools);
            self.before.push(old);
        }
        version.number += 1;
        Ok(())
    }

    /// What is in a range is not known any more.
    pub(super) fn unknown(&mut self, tools: &mut Tools<'_>, from: u64, to: u64, why: Why) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        if self.current(tools).seen.touches(from, to) {
            self.begin(tools)?;
        }
        let version = self.current(tools);
        version.drop_seen(tools, from, to)?;
        version.absent(from, to, why);
        Ok(())
    }

    /// The server put bytes into a range itself.
    pub(super) fn server_copy(&mut self, tools: &mut Tools<'_>, from: u64, to: u64, grows: bool) -> Result<(), StoreError> {
        self.unknown(tools, from, to, Why::ServerCopy)?;
        if grows {
            self.size.wrote(to);
        }
        Ok(())
    }

    /// A message told the size after the open.
    pub(super) fn told(&mut self, tools: &mut Tools<'_>, size: u64, from: SizeFrom) -> Result<(), StoreError> {
        if self.size.told(size, from)
            && let Some(version) = &mut self.current
        {
            version.truncate(tools, size)?;
        }
        Ok(())
    }

    /// The open ends: WRITEs that still wait have no answer in the capture.
    pub(super) fn end(&mut self, tools: &mut Tools<'_>) -> Result<Option<(u64, SizeSource)>, StoreError> {
        self.order.clear();
        for op in self.pending.values_mut() {
            let sent = op.end() - op.offset;
            op.outcome.get_or_insert(Outcome::Unanswered(sent));
        }
        self.settle(tools)?;
        let size = self.size.known();
        if let (Some(version), Some((size, _))) = (&mut self.current, size) {
            version.truncate(tools, size)?;
        }
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.flush()?;
        }
        Ok(size)
    }

    /// Bytes of memory it takes, about.
    pub(super) fn cost(&self) -> usize {
        let parts: usize = self.pending.values().map(|op| 256 + 40 * op.parts.len() + 56 * op.packets.len()).sum();
        parts
            + 48 * self.claimed.len()
            + self.before.iter().chain(&self.current).map(Version::cost).sum::<usize>()
            + self.sidecar.as_ref().map_or(0, Sidecar::cost)
    }

    /// Gives up what waits: its bodies are discarded.
    pub(super) fn forget_pending(&mut self, tools: &mut Tools<'_>) -> Result<(), StoreError> {
        for (_, op) in std::mem::take(&mut self.pending) {
            if let Some(aside) = op.aside {
                tools.disk.discard(aside)?;
            }
        }
        Ok(())
    }
}

impl Pending {
    fn end(&self) -> u64 {
        self.parts.iter().map(|p| p.to).max().unwrap_or(self.offset).max(self.offset)
    }

    fn add(&mut self, part: Part) {
        if let Some(last) = self.parts.last_mut()
            && last.to == part.from
        {
            let joins = match (last.lies, part.lies) {
                (Lies::Aside(a), Lies::Aside(b)) => a + (last.to - last.from) == b,
                (a, b) => a == b,
            };
            if joins {
                last.to = part.to;
                return;
            }
        }
        self.parts.push(part);
    }
}

/// Puts a part, up to `to`, to its place. Returns whether its bytes are there now.
fn put(
    tools: &mut Tools<'_>,
    version: &mut Version,
    aside: Option<&Body>,
    part: Part,
    to: u64,
    in_window: bool,
) -> Result<bool, StoreError> {
    let new: u64 = version.seen.holes(part.from, to).iter().map(|(f, t)| t - f).sum();
    match (part.lies, aside) {
        (Lies::InPlace, _) => {
            if !version.mark_seen(part.from, to) {
                return Ok(false);
            }
        }
        (Lies::Aside(at), Some(aside)) => {
            if !version.mark_seen(part.from, to) {
                version.drop_seen(tools, part.from, to)?;
                return Ok(false);
            }
            let mut piece = Vec::new();
            let mut next = part.from;
            while next < to {
                piece.resize(usize::try_from(to - next).unwrap_or(usize::MAX).min(PIECE_BYTES), 0);
                tools.disk.read(aside, at + (next - part.from), &mut piece)?;
                version.replace(tools, next, &piece)?;
                next += piece.len() as u64;
            }
            // Where too many ranges are in conflict, a doubt that is resolved stays said.
            let _ = version.conflicts.remove(part.from, to);
        }
        (Lies::Aside(_), None) => return Ok(false),
        (Lies::Nowhere(why), _) => {
            version.drop_seen(tools, part.from, to)?;
            version.absent(part.from, to, why);
            return Ok(false);
        }
    }
    version.in_window += if in_window { new } else { 0 };
    version.stream(tools, part.from, to, None);
    Ok(true)
}
