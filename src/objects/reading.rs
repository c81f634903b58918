//! What is read through one open: the versions that READ answers show.
//!
//! A READ answer that differs from bytes that were seen begins a new version. It starts with what was read again, unchanged, since the last
//! new bytes of the version before it: all bytes of a version were read after all others of the earlier one, or in the same READ.

use super::error::StoreError;
use super::missing::Why;
use super::piece::Piece;
use super::provenance::Sidecar;
use super::ranges::RangeSet;
use super::size::{ReadSize, SizeSource};
use super::versions::{Tools, Version};
use crate::smb::event::{OperationId, SizeFrom};
use std::collections::HashMap;

/// STATUS_END_OF_FILE, [MS-ERREF] 2.3.1.
pub(super) const STATUS_END_OF_FILE: u32 = 0xC000_0011;

/// The read transfer of one open.
#[derive(Debug)]
pub(super) struct Reading {
    /// Earlier versions.
    pub(super) before: Vec<Version>,
    /// The newest.
    pub(super) current: Option<Version>,
    /// Versions that were left out.
    pub(super) versions_dropped: u32,
    /// What is known of the size.
    pub(super) size: ReadSize,
    /// Asked for, and not answered in the capture (or answered with bytes that are not in it).
    pub(super) asked: RangeSet,
    /// END_OF_FILE at offset 0.
    pub(super) empty: bool,
    /// Where the packets are told, if they are.
    pub(super) sidecar: Option<Sidecar>,
    pending: HashMap<OperationId, (u64, u64)>,
    /// Read again, unchanged, since the current version's last new bytes.
    again: RangeSet,
    operation: Option<OperationId>,
    /// What the READ under way has given, and what of it was new.
    given: RangeSet,
    new: RangeSet,
    copied: u64,
}

impl Reading {
    /// Nothing read yet.
    pub(super) fn new(ranges: usize, sidecar: Option<Sidecar>) -> Reading {
        Reading {
            before: Vec::new(),
            current: None,
            versions_dropped: 0,
            size: ReadSize::default(),
            asked: RangeSet::new(ranges),
            empty: false,
            sidecar,
            pending: HashMap::new(),
            again: RangeSet::new(ranges),
            operation: None,
            given: RangeSet::new(ranges),
            new: RangeSet::new(ranges),
            copied: 0,
        }
    }

    fn current(&mut self, tools: &mut Tools<'_>) -> &mut Version {
        let number = self.before.last().map_or(1, |v| v.number + 1);
        self.current.get_or_insert_with(|| Version::new(number, tools))
    }

    /// A READ was asked for.
    pub(super) fn ask(&mut self, operation: OperationId, offset: u64, length: u64, limit: usize) {
        if self.pending.len() < limit {
            self.pending.insert(operation, (offset, length));
        } else {
            // Only the reason for a hole hangs on it.
            let _ = self.asked.insert(offset, offset.saturating_add(length), ());
        }
    }

    /// Bytes of an answer came.
    pub(super) fn data(&mut self, tools: &mut Tools<'_>, piece: &Piece<'_>) -> Result<(), StoreError> {
        let (from, to) = (piece.offset, piece.end());
        self.remember_size();
        if self.operation != Some(piece.operation) {
            self.operation = Some(piece.operation);
            self.given.clear();
            self.new.clear();
        }
        let mut same = true;
        let version = self.current(tools);
        for (f, t, ()) in version.seen.within(from, to) {
            same = same && tools.disk.equals(&version.body, f, part(piece, f, t))?;
        }
        if !same {
            self.begin(tools, from, to)?;
        }
        self.size.read_up_to(to);
        let version = self.current(tools);
        let holes = version.seen.holes(from, to);
        for (f, t) in &holes {
            let start = usize::try_from(f - from).unwrap_or(0);
            version.keep(tools, *f, part(piece, *f, *t), Some(piece.start + start), piece.carried.in_window)?;
        }
        version.tally.add(&piece.carried);
        let number = version.number;
        if let Some(sidecar) = &mut self.sidecar {
            for (from, to, packet) in piece.packets {
                sidecar.say(number, *from, *to, packet)?;
            }
        }
        // Where these maps are full, a later version merely starts with less.
        let _ = self.given.insert(from, to, ());
        for (f, t) in &holes {
            let _ = self.new.insert(*f, *t, ());
        }
        if holes.is_empty() {
            let _ = self.again.insert(from, to, ());
        } else {
            self.again.clear();
        }
        Ok(())
    }

    /// Remembers the size that the current version has, before what comes makes it unknown.
    fn remember_size(&mut self) {
        if let Some(version) = &mut self.current {
            version.size_then = self.size.known().filter(|(size, _)| *size >= version.seen.end());
        }
    }

    /// Begins a new version: what was read now, from `from` to `to`, differs.
    fn begin(&mut self, tools: &mut Tools<'_>, from: u64, to: u64) -> Result<(), StoreError> {
        let Some(mut old) = self.current.take() else { return Ok(()) };
        let mut new = Version::new(old.number + 1, tools);
        for (f, t, ()) in self.given.iter() {
            let _ = self.again.insert(f, t, ());
        }
        let mut carry = RangeSet::new(tools.limits.ranges);
        for (start, end, ()) in self.again.iter() {
            for (f, t, ()) in old.seen.within(start, end) {
                let _ = carry.insert(f, t, ());
            }
        }
        if carry.remove(from, to).is_err() {
            carry.clear();
        }
        if self.copied.saturating_add(carry.total()) > tools.limits.version_bytes {
            carry.clear();
            new.limited = true;
        }
        self.copied += carry.total();
        tools.disk.copy(&old.body, &mut new.body, &carry)?;
        for (from, to, ()) in carry.iter() {
            new.mark_seen(from, to);
        }
        for (from, to, ()) in self.new.iter() {
            old.drop_seen(tools, from, to)?;
        }
        self.new = self.given.clone();
        self.again.clear();
        if old.seen.is_empty() || self.before.len() + 2 > tools.limits.versions as usize {
            self.versions_dropped += u32::from(!old.seen.is_empty());
            old.hash_at_end(tools);
            tools.disk.discard(old.body)?;
            if old.seen.is_empty() {
                new.number = old.number;
            }
        } else {
            self.before.push(old);
        }
        self.current = Some(new);
        Ok(())
    }

    /// Bytes of an answer were lost.
    pub(super) fn lost(&mut self, tools: &mut Tools<'_>, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        self.current(tools).absent(offset, end, Why::Lost);
    }

    /// Copies of bytes differ.
    pub(super) fn conflict(&mut self, tools: &mut Tools<'_>, from: u64, to: u64) {
        self.current(tools).in_conflict(from, to);
    }

    /// Bytes that were given are others.
    pub(super) fn replace(&mut self, tools: &mut Tools<'_>, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.current.as_mut().map_or(Ok(()), |version| version.replace_seen(tools, offset, bytes))
    }

    /// A READ was answered, and all that is in the capture of it was told.
    pub(super) fn done(
        &mut self,
        tools: &mut Tools<'_>,
        operation: OperationId,
        offset: u64,
        asked: Option<u64>,
        given: u64,
        status: u32,
    ) {
        self.pending.remove(&operation);
        let end = offset.saturating_add(given);
        if given > 0 {
            let version = self.current(tools);
            for (from, to) in version.seen.holes(offset, end) {
                if !version.reasons.covers(from, to) {
                    version.absent(from, to, Why::Lost);
                }
            }
        }
        if status == STATUS_END_OF_FILE && given == 0 {
            self.ends_by(offset);
        } else if status == 0 && asked.is_some_and(|asked| given < asked) && given > 0 {
            self.size.ends_by(end, true);
        }
    }

    /// Nothing is at an offset or beyond it.
    fn ends_by(&mut self, offset: u64) {
        self.empty |= offset == 0;
        let reached = offset.checked_sub(1).is_some_and(|last| {
            self.current.as_ref().is_some_and(|v| v.seen.touches(last, offset) || v.reasons.touches(last, offset))
        });
        self.size.ends_by(offset, reached);
    }

    /// A message told the size.
    pub(super) fn told(&mut self, size: u64, from: SizeFrom) {
        if from == SizeFrom::EndOfFile {
            self.ends_by(size);
        } else {
            self.size.told(size, from);
        }
    }

    /// If its size is 0, all of it was read.
    pub(super) fn may_be_empty(&mut self) {
        self.empty = true;
    }

    /// The open ends: what was asked for and never answered was lost.
    pub(super) fn end(&mut self, tools: &mut Tools<'_>) -> Result<Option<(u64, SizeSource)>, StoreError> {
        for (_, (offset, length)) in std::mem::take(&mut self.pending) {
            let _ = self.asked.insert(offset, offset.saturating_add(length), ());
        }
        let size = self.size.known();
        if self.current.is_none() && (self.empty && size.is_some_and(|s| s.0 == 0) || !self.asked.is_empty()) {
            self.current(tools);
        }
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
        let maps = self.asked.len() + self.again.len() + self.given.len() + self.new.len() + self.pending.len();
        48 * maps
            + self.before.iter().chain(&self.current).map(Version::cost).sum::<usize>()
            + self.sidecar.as_ref().map_or(0, Sidecar::cost)
    }
}

/// The part of a piece between two offsets.
fn part<'a>(piece: &Piece<'a>, from: u64, to: u64) -> &'a [u8] {
    let at = |offset: u64| usize::try_from(offset.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
    piece.bytes.get(at(from)..at(to)).unwrap_or_default()
}
