//! One version of a read or write: which bytes were seen, where they lie, and what carried them.

use super::disk::{Body, Disk};
use super::error::StoreError;
use super::job::Job;
use super::limits::Limits;
use super::missing::Why;
use super::ranges::{RangeSet, Ranges};
use super::size::SizeSource;
use crate::flow::PacketRef;

/// Bytes that may lie in a content's file unhashed while it forms, where they did not come in order: reading them back in large pieces costs less.
const UNHASHED_BYTES: u64 = 1 << 20;

/// What forming needs besides its own state.
pub(super) struct Tools<'a> {
    /// The bodies.
    pub(super) disk: &'a mut Disk,
    /// What the hashing thread is to do.
    pub(super) jobs: &'a mut Vec<Job>,
    /// The bounds.
    pub(super) limits: Limits,
}

/// Which packets carried bytes, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    /// The first packet.
    pub(super) first: PacketRef,
    /// The last.
    pub(super) last: PacketRef,
    /// How many.
    pub(super) packets: u64,
    /// They lie in the window that was asked for.
    pub(super) in_window: bool,
    /// The message was encrypted on the wire.
    pub(super) encrypted: bool,
    /// It was compressed.
    pub(super) compressed: bool,
}

/// The packets of a version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// The first and the last packet.
    pub(super) ends: Option<(PacketRef, PacketRef)>,
    /// How many.
    pub(super) packets: u64,
    /// Some were encrypted.
    pub(super) encrypted: bool,
    /// Some were compressed.
    pub(super) compressed: bool,
}

impl Tally {
    /// More packets.
    pub(super) fn add(&mut self, carried: &Carried) {
        // A packet that ends one run and begins the next is one packet.
        let shared = self.ends.is_some_and(|(_, last)| last == carried.first);
        self.packets += carried.packets - u64::from(shared && carried.packets > 0);
        self.ends = Some(match self.ends {
            None => (carried.first, carried.last),
            Some((first, last)) => (earlier(first, carried.first), later(last, carried.last)),
        });
        self.encrypted |= carried.encrypted;
        self.compressed |= carried.compressed;
    }
}

fn earlier(a: PacketRef, b: PacketRef) -> PacketRef {
    if (b.time, b.number) < (a.time, a.number) { b } else { a }
}

fn later(a: PacketRef, b: PacketRef) -> PacketRef {
    if (b.time, b.number) > (a.time, a.number) { b } else { a }
}

/// One version.
#[derive(Debug)]
pub(super) struct Version {
    /// From 1.
    pub(super) number: u32,
    /// Its bytes.
    pub(super) body: Body,
    /// Which of them were seen.
    pub(super) seen: RangeSet,
    /// Why others were not, where that is known.
    pub(super) reasons: Ranges<Why>,
    /// Of which the capture holds differing copies.
    pub(super) conflicts: RangeSet,
    /// What carried them.
    pub(super) tally: Tally,
    /// Bytes seen first by packets in the window.
    pub(super) in_window: u64,
    /// Some came by WRITEs without an answer in the capture.
    pub(super) unconfirmed: bool,
    /// Something was left out because of a limit.
    pub(super) limited: bool,
    /// The size when the next version began.
    pub(super) size_then: Option<(u64, SizeSource)>,
    /// It was alone in knowing its size from its end, when the next version began.
    pub(super) not_closed: bool,
    /// Requests were lost that may have changed its size.
    pub(super) in_doubt: bool,
    /// Up to which offset it was handed to the hash as it came; `None`: it is hashed at its end.
    hashed: Option<u64>,
}

impl Version {
    /// An empty one.
    pub(super) fn new(number: u32, tools: &mut Tools<'_>) -> Version {
        let max = tools.limits.ranges;
        Version {
            number,
            body: tools.disk.body(),
            seen: RangeSet::new(max),
            reasons: Ranges::new(max),
            conflicts: RangeSet::new(max),
            tally: Tally::default(),
            in_window: 0,
            unconfirmed: false,
            limited: false,
            size_then: None,
            not_closed: false,
            in_doubt: false,
            hashed: Some(0),
        }
    }

    /// Keeps bytes at offsets where none are. What is beyond a limit is not kept, and said to be. `start`: where they stand in the batch.
    pub(super) fn keep(
        &mut self,
        tools: &mut Tools<'_>,
        offset: u64,
        bytes: &[u8],
        start: Option<usize>,
        in_window: bool,
    ) -> Result<(), StoreError> {
        let length = bytes.len() as u64;
        let room = tools.limits.object_bytes.saturating_sub(self.seen.total());
        let room = room.min(tools.limits.offset_max.saturating_sub(offset)).min(length);
        let fits = usize::try_from(room).unwrap_or(usize::MAX);
        let end = offset.saturating_add(room);
        if room < length {
            self.absent(end, offset.saturating_add(length), Why::Limit);
        }
        if room == 0 || !self.mark_seen(offset, end) {
            return Ok(());
        }
        tools.disk.write(&mut self.body, offset, bytes.get(..fits).unwrap_or_default())?;
        self.in_window += if in_window { room } else { 0 };
        self.stream(tools, offset, end, start);
        Ok(())
    }

    /// Counts a range as seen; where there are too many ranges, says so instead and returns false.
    pub(super) fn mark_seen(&mut self, from: u64, to: u64) -> bool {
        if self.seen.insert(from, to, ()).is_err() {
            self.absent(from, to, Why::Limit);
            return false;
        }
        if !self.reasons.is_empty() && self.reasons.remove(from, to).is_err() {
            self.limited = true;
        }
        true
    }

    /// Says why bytes are not there; of bytes that are it says nothing.
    pub(super) fn absent(&mut self, from: u64, to: u64, why: Why) {
        let refused = self.reasons.insert(from, to, why).is_err();
        self.limited |= refused || why == Why::Limit;
    }

    /// Bytes that were seen do not count any more, and are cleared. Where a limit does not let them be told apart, all from there on are dropped.
    pub(super) fn drop_seen(&mut self, tools: &mut Tools<'_>, from: u64, to: u64) -> Result<(), StoreError> {
        let mut gone: Vec<(u64, u64)> = self.seen.within(from, to).map(|(f, t, ())| (f, t)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        if self.seen.remove(from, to).is_err() {
            gone = self.seen.within(from, u64::MAX).map(|(f, t, ())| (f, t)).collect();
            self.seen.truncate(from);
            self.absent(to, gone.last().map_or(to, |g| g.1), Why::Limit);
        }
        self.changed_from(tools, from);
        for (f, t) in gone {
            tools.disk.clear(&mut self.body, f, t)?;
        }
        Ok(())
    }

    /// Drops everything from an offset on.
    pub(super) fn truncate(&mut self, tools: &mut Tools<'_>, to: u64) -> Result<(), StoreError> {
        self.drop_seen(tools, to, u64::MAX)?;
        self.conflicts.truncate(to);
        self.reasons.truncate(to);
        Ok(())
    }

    /// Bytes that were seen are replaced.
    pub(super) fn replace(&mut self, tools: &mut Tools<'_>, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.changed_from(tools, offset);
        tools.disk.write(&mut self.body, offset, bytes)
    }

    /// The same of what of a range was seen.
    pub(super) fn replace_seen(&mut self, tools: &mut Tools<'_>, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let seen: Vec<(u64, u64)> = self.seen.within(offset, end).map(|(from, to, ())| (from, to)).collect();
        let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
        seen.into_iter()
            .try_for_each(|(from, to)| self.replace(tools, from, bytes.get(place(from)..place(to)).unwrap_or_default()))
    }

    /// Copies of a range differ.
    pub(super) fn in_conflict(&mut self, from: u64, to: u64) {
        self.limited |= self.conflicts.insert(from, to, ()).is_err();
    }

    /// Bytes from an offset on are not those that were hashed.
    fn changed_from(&mut self, tools: &mut Tools<'_>, offset: u64) {
        if self.hashed.is_some_and(|hashed| hashed > offset) {
            self.hash_at_end(tools);
        }
    }

    /// Nothing that was hashed so far counts; all is hashed when it is finished.
    pub(super) fn hash_at_end(&mut self, tools: &mut Tools<'_>) {
        if self.hashed.is_some_and(|hashed| hashed > 0) {
            tools.jobs.push(Job::StartOver { content: self.body.number });
        }
        self.hashed = None;
    }

    /// Hands new bytes to the hash, where they are its next. `start`: where they stand in the batch.
    pub(super) fn stream(&mut self, tools: &mut Tools<'_>, from: u64, to: u64, start: Option<usize>) {
        let Some(hashed) = self.hashed else { return };
        if !Disk::in_file(&self.body) {
            return;
        }
        let content = self.body.number;
        let mut next = hashed;
        if next == from
            && let Some(start) = start
            && let Ok(length) = usize::try_from(to - from)
        {
            tools.jobs.push(Job::Bytes { content, start, end: start + length });
            next = to;
        }
        let end = self.seen.run_end(next);
        if end - next >= UNHASHED_BYTES || end > next && next > hashed {
            tools.jobs.push(Job::File { content, path: tools.disk.path(content), from: next, to: end });
            next = end;
        }
        self.hashed = Some(next);
    }

    /// Up to where it was hashed as it came.
    pub(super) fn hashed(&self) -> u64 {
        self.hashed.unwrap_or(0)
    }

    /// Bytes of memory that its maps take, about.
    pub(super) fn cost(&self) -> usize {
        256 + 48 * (self.seen.len() + self.reasons.len() + self.conflicts.len())
    }
}
