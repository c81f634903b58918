//! One direction of a TCP connection: sequence numbers become offsets, acknowledgements say what must have been there.

use super::assembler::{Assembler, Content, Difference, From, Segment, Sink};
use super::delivered::{Check, Delivered};
use super::handler::{Conflict, Handler, Interest};
use super::limits::Limits;
use super::scene::{Current, Scene, Shared};
use super::terms::{Chunk, Loss, PacketRef, Way};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Gaps of a direction that are remembered, so that bytes that come late are known.
const GAPS_MAX: usize = 16;

/// What has been told of one direction.
#[derive(Default)]
pub(super) struct Told {
    kept: Delivered,
    gaps: VecDeque<(u64, u64)>,
    pub lost: u64,
    pub late: u64,
    pub stray: u64,
}

/// Where sequence numbers begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Basis {
    /// Nothing of the direction was seen.
    #[default]
    None,
    /// Only segments without payload: a keep-alive lies one before the next byte.
    Tentative,
    /// A SYN, or the first byte held.
    Firm,
}

/// One direction.
#[derive(Default)]
pub(super) struct Stream {
    basis: Basis,
    /// Sequence number of offset 0.
    base: u32,
    order: Assembler,
    pub told: Told,
    /// The offset after the last byte seen.
    high: u64,
    /// Acknowledged up to here by the other side.
    acked: u64,
    /// Acknowledged before anything of this direction was seen.
    early_ack: Option<u32>,
    /// What had been acknowledged at a time, and was missing.
    mark: Option<(u64, Timestamp)>,
    /// Since when bytes wait for a hole.
    blocked: Option<Timestamp>,
    /// Acknowledged up to here, but probably not a byte: a FIN that was not captured.
    excused: u64,
    /// Where a FIN says that it ends.
    fin: Option<u64>,
}

/// Takes what is next of one direction to the handler.
struct Out<'a, 'b, H: ?Sized> {
    scene: &'a mut Scene<'b, H>,
    told: &'a mut Told,
    way: Way,
    current: Option<&'a Current<'a>>,
}

impl<H: Handler + ?Sized> Out<'_, '_, H> {
    fn ask(&mut self) {
        if matches!(self.scene.interest, None | Some(Interest::Undecided)) {
            *self.scene.interest = Some(self.scene.handler.wants(self.scene.connection));
        }
    }

    fn is_unwanted(&self) -> bool {
        *self.scene.interest == Some(Interest::Unwanted)
    }
}

impl<H: Handler + ?Sized> Sink for Out<'_, '_, H> {
    #[inline]
    fn bytes(&mut self, offset: u64, bytes: &[u8], at: PacketRef, from: From) {
        if self.scene.interest.is_none() {
            self.ask();
        }
        if self.is_unwanted() {
            return;
        }
        self.scene.handler.data(self.scene.connection, self.way, Chunk { offset, bytes, at });
        self.ask();
        if *self.scene.interest != Some(Interest::Wanted) {
            return;
        }
        let check = match (from, self.current) {
            (From::Waited(valid), _) => Check::Known(valid),
            // Of a segment that is handed on in part the rest is not kept.
            (From::Segment, Some(current)) if bytes.len() == current.tcp.length => {
                current.sum().map_or(Check::Known(None), Check::Later)
            }
            (From::Segment, current) => Check::Known(current.and_then(Current::valid)),
        };
        let Shared { limits, kept, .. } = &mut *self.scene.shared;
        let before = self.told.kept.len();
        if *kept - before + (before + bytes.len()).min(limits.kept_bytes) > limits.kept_bytes_all {
            *kept -= before;
            self.told.kept = Delivered::default();
            self.scene.shared.hit("kept_bytes_all", self.scene.handler);
            return;
        }
        self.told.kept.push(offset, bytes, check, limits.kept_bytes);
        *kept = *kept + self.told.kept.len() - before;
    }

    fn gap(&mut self, offset: u64, length: u64, loss: Loss, at: PacketRef) {
        self.told.lost += length;
        if self.told.gaps.len() == GAPS_MAX {
            self.told.gaps.pop_front();
        }
        self.told.gaps.push_back((offset, offset + length));
        self.scene.facts.gap(self.way, length);
        if !self.is_unwanted() {
            self.scene.handler.gap(self.scene.connection, self.way, offset, length, loss, at);
        }
    }

    fn difference(&mut self, d: Difference<'_>) {
        if !self.is_unwanted() {
            let at = self.current.map_or(self.scene.at, |c| c.at);
            let Difference { offset, bytes, first_told, first_valid, other_valid } = d;
            let conflict = Conflict { offset, bytes, was_delivered: false, first_kept: first_told, first_valid, other_valid, at };
            self.scene.handler.conflict(self.scene.connection, self.way, conflict);
        }
    }
}

impl Stream {
    /// A sequence number's offset, where it is nearest to what was seen.
    fn offset(&self, sequence: u32) -> i64 {
        let near = self.high.max(self.acked);
        let distance = sequence.wrapping_sub(self.base.wrapping_add(near as u32)) as i32;
        near as i64 + i64::from(distance)
    }

    fn found(&mut self, base: u32) {
        self.basis = Basis::Firm;
        self.base = base;
        (self.high, self.acked, self.mark) = (0, 0, None);
        if let Some(ack) = self.early_ack.take() {
            self.acked = u64::try_from(ack.wrapping_sub(base) as i32).unwrap_or(0);
        }
    }

    fn is_untouched(&self) -> bool {
        self.order.next() == 0 && self.order.is_empty()
    }

    /// Whether its SYN, if it had this sequence number, would be the one that this stream began with.
    pub(super) fn began_with(&self, sequence: u32) -> bool {
        self.basis != Basis::None && self.base == sequence.wrapping_add(1)
    }

    /// Whether nothing of it was seen.
    pub(super) fn is_unseen(&self) -> bool {
        self.basis == Basis::None
    }

    fn acknowledge(&mut self, ack: u32, limits: &Limits) -> bool {
        match self.basis {
            Basis::None => {
                let later = self.early_ack.is_none_or(|before| (ack.wrapping_sub(before) as i32) > 0);
                if later {
                    self.early_ack = Some(ack);
                }
            }
            Basis::Tentative | Basis::Firm => {
                let offset = u64::try_from(self.offset(ack)).unwrap_or(0);
                if offset > self.high.max(self.acked) + limits.jump_bytes {
                    return false;
                }
                self.acked = self.acked.max(offset);
            }
        }
        true
    }

    /// How far its bytes were acknowledged, a FIN aside.
    fn acked_bytes(&self) -> u64 {
        match self.fin {
            Some(fin) if self.acked == fin + 1 => fin,
            _ => self.acked,
        }
    }

    /// How far the other direction's bytes need not wait for this one's.
    fn reached(&self) -> u64 {
        let next = self.order.next();
        if self.basis == Basis::None || self.fin.is_some_and(|fin| next >= fin) { u64::MAX } else { next.max(self.excused) }
    }

    /// Where what is missing next ends: at a block that waits, at what was acknowledged, or at its end.
    fn hole(&self) -> Option<u64> {
        let next = self.order.next();
        let to = match self.order.first_waiting() {
            Some(first) => first,
            None => {
                let to = self.acked_bytes().max(self.fin.unwrap_or(0));
                // One byte that nothing ever came after is a FIN that was not captured.
                if self.fin.is_none() && to == next + 1 { next } else { to }
            }
        };
        (to > next).then_some(to)
    }
}

/// Both directions.
#[derive(Default)]
pub(super) struct Streams {
    pub to_server: Stream,
    pub to_client: Stream,
}

impl Streams {
    fn pair(&mut self, way: Way) -> (&mut Stream, &mut Stream) {
        match way {
            Way::ToServer => (&mut self.to_server, &mut self.to_client),
            Way::ToClient => (&mut self.to_client, &mut self.to_server),
        }
    }

    fn cost(&self) -> usize {
        self.to_server.order.cost() + self.to_client.order.cost()
    }

    /// Whether something waits, or is acknowledged and missing.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        let pending = |s: &Stream| !s.order.is_empty() || s.acked > s.order.next() && s.hole().is_some();
        pending(&self.to_server) || pending(&self.to_client)
    }

    /// Takes a segment in.
    pub(super) fn segment<H: Handler + ?Sized>(&mut self, way: Way, current: &Current<'_>, scene: &mut Scene<'_, H>) {
        let before = self.cost();
        let was_unwanted = *scene.interest == Some(Interest::Unwanted);
        self.take(way, current, scene);
        if *scene.interest == Some(Interest::Unwanted) && !was_unwanted {
            self.unkeep();
        }
        if before > 0 || self.cost() > 0 || self.is_pending() {
            self.settle(scene);
            self.bound(way, before, scene);
        }
    }

    fn take<H: Handler + ?Sized>(&mut self, way: Way, current: &Current<'_>, scene: &mut Scene<'_, H>) {
        let (own, other) = self.pair(way);
        let (tcp, flags) = (current.tcp, current.tcp.flags);
        let mut sequence = tcp.sequence;
        if flags.syn() {
            sequence = sequence.wrapping_add(1);
            if own.is_untouched() && !(own.basis == Basis::Firm && own.base == sequence) {
                own.found(sequence);
            } else if own.base != sequence {
                own.told.stray += tcp.length as u64;
                return;
            }
        }
        if flags.rst() {
            return;
        }
        if flags.ack() && !other.acknowledge(tcp.acknowledgement, &scene.shared.limits) {
            scene.shared.hit("jump_bytes", scene.handler);
        }
        if own.basis != Basis::Firm {
            if tcp.length == 0 && !flags.fin() {
                if own.basis == Basis::None {
                    own.found(sequence);
                    own.basis = Basis::Tentative;
                }
                return;
            }
            let acked = if own.basis == Basis::None { own.early_ack } else { Some(own.base.wrapping_add(own.acked as u32)) };
            // A keep-alive with a byte repeats the last one.
            if tcp.length == 1 && acked == Some(sequence.wrapping_add(1)) {
                return;
            }
            if own.is_untouched() {
                own.early_ack = acked;
                own.found(sequence);
            }
            own.basis = Basis::Firm;
        }
        if tcp.length == 0 && !flags.fin() {
            return;
        }
        let offset = own.offset(sequence);
        if offset > (own.high.max(own.acked) + scene.shared.limits.jump_bytes) as i64 {
            own.told.stray += tcp.length as u64;
            scene.shared.hit("jump_bytes", scene.handler);
            return;
        }
        let end = offset + tcp.length as i64;
        if flags.fin() && own.fin.is_none() {
            own.fin = u64::try_from(end).ok();
        }
        if tcp.length == 0 {
            return;
        }
        if offset < 0 {
            own.told.stray += (-offset).min(tcp.length as i64) as u64;
        }
        let (Ok(end), is_keep_alive) = (u64::try_from(end), tcp.length == 1 && end == own.high as i64 && offset >= 0) else {
            return;
        };
        if end == 0 || is_keep_alive {
            return;
        }
        let needs = if flags.ack() && other.basis != Basis::None {
            let ack = u64::try_from(other.offset(tcp.acknowledgement)).unwrap_or(0);
            if ack > other.high.max(other.acked) { 0 } else { ack }
        } else {
            0
        };
        own.high = own.high.max(end);
        if (offset as u64) < own.order.next() {
            own.repeated(offset, way, current, scene);
        }
        own.insert(offset, needs, other.reached(), way, current, scene);
    }

    /// The bytes that wait are not wanted.
    fn unkeep(&mut self) {
        self.to_server.order.unkeep();
        self.to_client.order.unkeep();
    }

    /// Time has passed.
    pub(super) fn wake<H: Handler + ?Sized>(&mut self, scene: &mut Scene<'_, H>) {
        let before = self.cost();
        self.settle(scene);
        scene.shared.waiting = (scene.shared.waiting + self.cost()).saturating_sub(before);
    }

    /// Tells what need not wait any more; gives up what has been missing too long.
    fn settle<H: Handler + ?Sized>(&mut self, scene: &mut Scene<'_, H>) {
        let was_unwanted = *scene.interest == Some(Interest::Unwanted);
        loop {
            self.tell(scene);
            if !self.give_up_one(scene) {
                break;
            }
        }
        if *scene.interest == Some(Interest::Unwanted) && !was_unwanted {
            self.unkeep();
        }
    }

    fn tell<H: Handler + ?Sized>(&mut self, scene: &mut Scene<'_, H>) {
        loop {
            let mut told = false;
            for way in [Way::ToServer, Way::ToClient] {
                let (own, other) = self.pair(way);
                let reached = other.reached();
                told |= own.order.tell(reached, &mut Out { scene, told: &mut own.told, way, current: None });
            }
            if !told {
                return;
            }
        }
    }

    fn give_up_one<H: Handler + ?Sized>(&mut self, scene: &mut Scene<'_, H>) -> bool {
        let (now, limits) = (scene.at.time, &scene.shared.limits);
        let (acknowledged_ns, one_sided_ns, later_bytes) = (limits.acknowledged_ns, limits.one_sided_ns, limits.later_bytes);
        let cost = self.cost();
        for way in [Way::ToServer, Way::ToClient] {
            let (own, other) = self.pair(way);
            let next = own.order.next();
            let acked = own.acked_bytes();
            let first = own.order.first_waiting();
            let mut to = 0;
            if first == Some(next) {
                // It waits for the other direction. Where that waits for this one, acknowledgements lie.
                own.mark = None;
                if other.order.first_waiting() == Some(other.order.next()) {
                    to = next + 1;
                }
            } else if other.basis == Basis::None {
                // Nobody acknowledges in what was captured.
                match first {
                    Some(first) => {
                        let since = *own.blocked.get_or_insert(now);
                        if now.since(since) >= one_sided_ns || own.order.cost() >= later_bytes {
                            own.blocked = None;
                            to = first;
                        }
                    }
                    None => own.blocked = None,
                }
            } else if acked > next {
                let (marked, since) = *own.mark.get_or_insert((acked, now));
                let hole_end = first.unwrap_or(u64::MAX);
                if marked <= next {
                    own.mark = Some((acked, now));
                } else if now.since(since) >= acknowledged_ns {
                    to = marked.min(hole_end);
                } else if cost >= later_bytes {
                    to = acked.min(hole_end);
                }
                if to == next + 1 && own.fin.is_none() && first.is_none() {
                    own.excused = own.excused.max(to);
                    own.mark = Some((acked, now));
                    self.tell(scene);
                    continue;
                }
            } else {
                own.mark = None;
            }
            if to > next {
                own.order.give_up(to, Loss::NotCaptured, scene.at, &mut Out { scene, told: &mut own.told, way, current: None });
                return true;
            }
        }
        false
    }

    /// Keeps to the bounds of what waits.
    fn bound<H: Handler + ?Sized>(&mut self, way: Way, before: usize, scene: &mut Scene<'_, H>) {
        loop {
            let (own, _) = self.pair(way);
            if own.order.cost() <= scene.shared.limits.stream_bytes {
                break;
            }
            scene.shared.hit("stream_bytes", scene.handler);
            let to = own.order.first_waiting().map_or(0, |first| first + 1);
            own.order.give_up(to, Loss::Limit, scene.at, &mut Out { scene, told: &mut own.told, way, current: None });
            self.tell(scene);
        }
        let after = self.cost();
        if after > before && scene.shared.waiting - before + after > scene.shared.limits.waiting_bytes {
            scene.shared.hit("waiting_bytes", scene.handler);
            self.give_up_all(Loss::Limit, scene);
        }
        scene.shared.waiting = (scene.shared.waiting + self.cost()).saturating_sub(before);
    }

    /// Gives up every hole, those of the other direction's first that the next bytes need.
    fn give_up_all<H: Handler + ?Sized>(&mut self, loss: Loss, scene: &mut Scene<'_, H>) {
        loop {
            self.tell(scene);
            let holes = [Way::ToServer, Way::ToClient].map(|way| self.pair(way).0.hole().map(|to| (way, to)));
            let forced = [Way::ToServer, Way::ToClient]
                .map(|way| (!self.pair(way).0.order.is_empty()).then(|| (way, self.pair(way).0.order.next() + 1)));
            let Some((way, to)) = holes.into_iter().chain(forced).flatten().next() else { return };
            let (own, _) = self.pair(way);
            own.order.give_up(to, loss, scene.at, &mut Out { scene, told: &mut own.told, way, current: None });
        }
    }

    /// The connection ends: tells all that is left.
    pub(super) fn finish<H: Handler + ?Sized>(&mut self, scene: &mut Scene<'_, H>) {
        let before = self.cost();
        self.give_up_all(Loss::NotCaptured, scene);
        scene.shared.waiting = scene.shared.waiting.saturating_sub(before);
        scene.shared.kept -= self.to_server.told.kept.len() + self.to_client.told.kept.len();
        self.to_server.told.kept = Delivered::default();
        self.to_client.told.kept = Delivered::default();
    }
}

impl Stream {
    /// Compares what was handed on with a copy that came again.
    fn repeated<H: Handler + ?Sized>(&mut self, offset: i64, way: Way, current: &Current<'_>, scene: &mut Scene<'_, H>) {
        let next = self.order.next();
        let (from, to) = (offset.max(0) as u64, (offset + current.tcp.length as i64).max(0) as u64);
        let late = self.told.gaps.iter().map(|&(a, b)| b.min(to).saturating_sub(a.max(from))).sum::<u64>();
        self.told.late += late;
        let skip = (from as i64 - offset) as usize;
        let payload = current.payload().get(skip..).unwrap_or_default();
        let old = payload.get(..payload.len().min(next.saturating_sub(from) as usize)).unwrap_or_default();
        if let Some(other) = self.told.kept.compare(from, old) {
            let bytes = old.get((other.from - from) as usize..(other.to - from) as usize).unwrap_or_default();
            let conflict = Conflict {
                offset: other.from,
                bytes,
                was_delivered: true,
                first_kept: true,
                first_valid: other.valid,
                other_valid: current.valid(),
                at: current.at,
            };
            scene.handler.conflict(scene.connection, way, conflict);
        }
    }

    fn insert<H: Handler + ?Sized>(
        &mut self,
        offset: i64,
        needs: u64,
        reached: u64,
        way: Way,
        current: &Current<'_>,
        scene: &mut Scene<'_, H>,
    ) {
        let unwanted = *scene.interest == Some(Interest::Unwanted);
        let mut out = Out { scene, told: &mut self.told, way, current: Some(current) };
        let valid = || current.valid();
        let (payload, length) = (current.payload(), current.tcp.length);
        let skip = offset.min(0).unsigned_abs() as usize;
        let offset = offset.max(0) as u64;
        let mut put = |from: usize, content: Content<'_>, at: PacketRef| {
            let segment = Segment { offset: offset + (from - skip) as u64, content, at, needs, valid: &valid };
            self.order.insert(&segment, reached, &mut out);
        };
        if unwanted {
            put(skip, Content::Unkept((length - skip) as u64), current.at);
            return;
        }
        let mut from = skip;
        for (i, &(_, at)) in current.pieces.iter().enumerate() {
            let to = current.pieces.get(i + 1).map_or(usize::MAX, |p| p.0.saturating_sub(current.tcp.at)).min(payload.len());
            if let Some(bytes @ [_, ..]) = payload.get(from..to) {
                put(from, Content::Bytes(bytes), at);
                from = to;
            }
        }
        if let Some(bytes @ [_, ..]) = payload.get(from..) {
            put(from, Content::Bytes(bytes), current.at);
            from = payload.len();
        }
        if length > from {
            put(from, Content::Cut((length - from) as u64), current.at);
        }
    }
}
