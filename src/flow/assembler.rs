//! Puts the segments of one direction in order. It knows offsets only: no sequence numbers, ports or clock.
//!
//! Invariant: blocks do not overlap, are not empty, and begin at or after `next`; everything below `next` has been told, once and in order,
//! as bytes or as a gap.

use super::terms::{Loss, PacketRef};
use std::collections::BTreeMap;

/// What a waiting block costs besides its bytes, in bytes: its place in the tree and its allocation.
pub const BLOCK_COST: usize = 128;

/// What a segment has at its offsets.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The bytes.
    Bytes(&'a [u8]),
    /// So many bytes that a snap length cut off.
    Cut(u64),
    /// So many bytes that nobody wants: they count as told.
    Unkept(u64),
}

impl Content<'_> {
    /// How many offsets it covers.
    pub fn length(&self) -> u64 {
        match *self {
            Content::Bytes(b) => b.len() as u64,
            Content::Cut(n) | Content::Unkept(n) => n,
        }
    }
}

/// A piece of the stream as it came.
pub struct Segment<'a> {
    /// Offset of its first byte.
    pub offset: u64,
    /// What it has there.
    pub content: Content<'a>,
    /// Its packet.
    pub at: PacketRef,
    /// It is not told before the other direction has come to this offset.
    pub needs: u64,
    /// Whether the checksum over it is right, where that can be said. Asked only where it matters.
    pub valid: &'a dyn Fn() -> Option<bool>,
}

/// Where told bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The segment that is being inserted.
    Segment,
    /// A block that waited; whether its checksum was right.
    Waited(Option<bool>),
}

/// Two copies of the same offsets that differ, before they were told.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The first offset at which they differ.
    pub offset: u64,
    /// The copy that is not told, from the first byte that differs to the last.
    pub bytes: &'a [u8],
    /// Whether the copy that came first is the one that is told.
    pub first_told: bool,
    /// Whether the checksum of the copy that came first is right.
    pub first_valid: Option<bool>,
    /// Whether the checksum of the copy that came later is right.
    pub other_valid: Option<bool>,
}

/// Who is told.
pub trait Sink {
    /// The next bytes.
    fn bytes(&mut self, offset: u64, bytes: &[u8], at: PacketRef, from: From);
    /// The next bytes are not there.
    fn gap(&mut self, offset: u64, length: u64, loss: Loss, at: PacketRef);
    /// Copies differ.
    fn difference(&mut self, difference: Difference<'_>);
}

enum Held {
    Bytes(Box<[u8]>),
    Cut(u64),
    Unkept(u64),
}

impl Held {
    fn length(&self) -> u64 {
        match self {
            Held::Bytes(b) => b.len() as u64,
            Held::Cut(n) | Held::Unkept(n) => *n,
        }
    }

    fn cost(&self) -> usize {
        BLOCK_COST + if let Held::Bytes(b) = self { b.len() } else { 0 }
    }

    /// The offsets from `from` to `to` of it, relative to its own first.
    fn part(&self, from: u64, to: u64) -> Held {
        match self {
            Held::Bytes(b) => Held::Bytes(b.get(from as usize..to as usize).unwrap_or_default().into()),
            Held::Cut(_) => Held::Cut(to - from),
            Held::Unkept(_) => Held::Unkept(to - from),
        }
    }
}

struct Block {
    held: Held,
    at: PacketRef,
    needs: u64,
    valid: Option<bool>,
}

impl Block {
    fn part(&self, from: u64, to: u64) -> Block {
        Block { held: self.held.part(from, to), ..*self }
    }
}

/// The segments of one direction.
#[derive(Default)]
pub struct Assembler {
    next: u64,
    blocks: BTreeMap<u64, Block>,
    cost: usize,
}

impl Assembler {
    /// Everything below this offset has been told.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What waiting costs, in bytes.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Offset of the first byte that waits.
    pub fn first_waiting(&self) -> Option<u64> {
        self.blocks.first_key_value().map(|(&offset, _)| offset)
    }

    /// The offset after the last one that is known of.
    pub fn end(&self) -> u64 {
        self.blocks.last_key_value().map_or(self.next, |(&offset, b)| offset + b.held.length())
    }

    /// Takes a segment in and tells what is next. `other` is how far the other direction has come; [`u64::MAX`] where that does not matter.
    /// What lies below [`Assembler::next`] is passed over.
    #[inline]
    pub fn insert(&mut self, segment: &Segment<'_>, other: u64, sink: &mut impl Sink) {
        let end = segment.offset.saturating_add(segment.content.length());
        if end <= self.next {
            return;
        }
        if segment.offset <= self.next && self.blocks.is_empty() && segment.needs <= other {
            let skip = self.next - segment.offset;
            match segment.content {
                Content::Bytes(b) => {
                    sink.bytes(self.next, b.get(skip as usize..).unwrap_or_default(), segment.at, From::Segment);
                }
                Content::Cut(_) => sink.gap(self.next, end - self.next, Loss::Snapped, segment.at),
                Content::Unkept(_) => {}
            }
            self.next = end;
            return;
        }
        self.hold(segment, end, sink);
        self.tell(other, sink);
    }

    /// Puts what is new of a segment among the blocks, and settles what both have.
    fn hold(&mut self, segment: &Segment<'_>, end: u64, sink: &mut impl Sink) {
        let mut at = segment.offset.max(self.next);
        // A block may begin before the segment and reach into it.
        let before = self.blocks.range(..=at).next_back().filter(|(o, b)| **o + b.held.length() > at).map(|(&o, _)| o);
        let mut overlapping = before.or_else(|| self.blocks.range(at..end).next().map(|(&o, _)| o));
        while at < end {
            let Some(block_at) = overlapping else {
                self.put_new(segment, at, end);
                return;
            };
            if at < block_at {
                self.put_new(segment, at, block_at);
                at = block_at;
            }
            let block_end = self.blocks.get(&block_at).map_or(at, |b| block_at + b.held.length());
            let both_end = block_end.min(end);
            self.settle(segment, block_at, at, both_end, sink);
            at = both_end;
            overlapping = self.blocks.range(at..end).next().map(|(&o, _)| o);
        }
    }

    fn put(&mut self, offset: u64, block: Block) {
        if block.held.length() > 0 {
            self.cost += block.held.cost();
            self.blocks.insert(offset, block);
        }
    }

    fn take(&mut self, offset: u64) -> Option<Block> {
        let block = self.blocks.remove(&offset)?;
        self.cost -= block.held.cost();
        Some(block)
    }

    fn put_new(&mut self, segment: &Segment<'_>, from: u64, to: u64) {
        let held = match segment.content {
            Content::Bytes(b) => {
                Held::Bytes(b.get((from - segment.offset) as usize..(to - segment.offset) as usize).unwrap_or_default().into())
            }
            Content::Cut(_) => Held::Cut(to - from),
            Content::Unkept(_) => Held::Unkept(to - from),
        };
        let valid = if matches!(held, Held::Bytes(_)) { (segment.valid)() } else { None };
        self.put(from, Block { held, at: segment.at, needs: segment.needs, valid });
    }

    /// Decides between a block and a segment from `from` to `to`, which both have.
    fn settle(&mut self, segment: &Segment<'_>, block_at: u64, from: u64, to: u64, sink: &mut impl Sink) {
        let Content::Bytes(bytes) = segment.content else { return };
        let Some(block) = self.blocks.get(&block_at) else { return };
        let new = bytes.get((from - segment.offset) as usize..(to - segment.offset) as usize).unwrap_or_default();
        let mut at = segment.at;
        match &block.held {
            Held::Unkept(_) => return,
            Held::Cut(_) => {}
            Held::Bytes(old) => {
                let old = old.get((from - block_at) as usize..(to - block_at) as usize).unwrap_or_default();
                let differs = differing(old, new);
                if differs.is_none() && block.valid == Some(true) {
                    return;
                }
                let valid = (segment.valid)();
                let first_told = valid != Some(true) || block.valid == Some(true);
                if let Some((first, last)) = differs {
                    let bytes = if first_told { new } else { old }.get(first..last).unwrap_or_default();
                    let (first_valid, other_valid) = (block.valid, valid);
                    sink.difference(Difference { offset: from + first as u64, bytes, first_told, first_valid, other_valid });
                } else {
                    at = block.at;
                }
                if first_told {
                    return;
                }
            }
        }
        let needs = segment.needs.min(block.needs);
        let Some(block) = self.take(block_at) else { return };
        let length = block.held.length();
        self.put(block_at, block.part(0, from - block_at));
        self.put(to, block.part(to - block_at, length));
        self.put(from, Block { held: Held::Bytes(new.into()), at, needs, valid: (segment.valid)() });
    }

    /// Tells what is next and need not wait for the other direction; whether that was anything.
    pub fn tell(&mut self, other: u64, sink: &mut impl Sink) -> bool {
        let mut told = false;
        while let Some((&offset, block)) = self.blocks.first_key_value()
            && offset == self.next
            && block.needs <= other
        {
            self.tell_first(sink);
            told = true;
        }
        told
    }

    fn tell_first(&mut self, sink: &mut impl Sink) {
        let Some((offset, block)) = self.blocks.pop_first() else { return };
        self.cost -= block.held.cost();
        self.next = offset + block.held.length();
        match &block.held {
            Held::Bytes(b) => sink.bytes(offset, b, block.at, From::Waited(block.valid)),
            Held::Cut(n) => sink.gap(offset, *n, Loss::Snapped, block.at),
            Held::Unkept(_) => {}
        }
    }

    /// Gives up waiting for what is missing below `to`: tells everything up to there, whatever the other direction has come to.
    pub fn give_up(&mut self, to: u64, loss: Loss, at: PacketRef, sink: &mut impl Sink) {
        while self.next < to {
            match self.first_waiting() {
                Some(offset) if offset == self.next => self.tell_first(sink),
                first => {
                    let (from, upto) = (self.next, first.map_or(to, |offset| offset.min(to)));
                    self.next = upto;
                    sink.gap(from, upto - from, loss, at);
                }
            }
        }
    }

    /// From now on waiting blocks count as told when they are reached; their bytes are dropped.
    pub fn unkeep(&mut self) {
        for block in self.blocks.values_mut() {
            block.held = Held::Unkept(block.held.length());
        }
        self.cost = self.blocks.len() * BLOCK_COST;
    }
}

/// Where two slices of one length differ: the first place, and the one after the last.
pub(super) fn differing(a: &[u8], b: &[u8]) -> Option<(usize, usize)> {
    if a == b {
        return None;
    }
    let first = a.iter().zip(b).position(|(x, y)| x != y)?;
    let last = a.iter().zip(b).rposition(|(x, y)| x != y)?;
    Some((first, last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What was told, byte by byte: `None` is a gap.
    #[derive(Default)]
    struct Told {
        stream: Vec<Option<u8>>,
        losses: Vec<(u64, u64, Loss)>,
        differences: Vec<(u64, Vec<u8>, bool)>,
    }

    impl Sink for Told {
        fn bytes(&mut self, offset: u64, bytes: &[u8], _: PacketRef, _: From) {
            assert_eq!(offset, self.stream.len() as u64);
            assert!(!bytes.is_empty());
            self.stream.extend(bytes.iter().map(|b| Some(*b)));
        }

        fn gap(&mut self, offset: u64, length: u64, loss: Loss, _: PacketRef) {
            assert_eq!(offset, self.stream.len() as u64);
            assert!(length > 0);
            self.stream.extend((0..length).map(|_| None));
            self.losses.push((offset, length, loss));
        }

        fn difference(&mut self, d: Difference<'_>) {
            self.differences.push((d.offset, d.bytes.to_vec(), d.first_told));
        }
    }

    fn put(a: &mut Assembler, told: &mut Told, offset: u64, content: Content<'_>, valid: Option<bool>) {
        a.insert(&Segment { offset, content, at: PacketRef::default(), needs: 0, valid: &move || valid }, 0, told);
    }

    fn text(told: &Told) -> String {
        told.stream.iter().map(|b| b.map_or('_', char::from)).collect()
    }

    #[test]
    fn order_overlap_and_gaps() {
        let (mut a, mut told) = (Assembler::default(), Told::default());
        for (offset, bytes) in [(0, "abc"), (6, "ghi"), (3, "de"), (7, "hij"), (2, "cdef"), (0, "abcdefgh")] {
            put(&mut a, &mut told, offset, Content::Bytes(bytes.as_bytes()), None);
        }
        assert_eq!((text(&told), a.next(), a.cost()), ("abcdefghij".into(), 10, 0));
        put(&mut a, &mut told, 12, Content::Bytes(b"xy"), None);
        put(&mut a, &mut told, 16, Content::Bytes(b"z"), None);
        assert_eq!((a.next(), a.end(), a.first_waiting()), (10, 17, Some(12)));
        a.give_up(13, Loss::NotCaptured, PacketRef::default(), &mut told);
        assert_eq!((text(&told), a.next()), ("abcdefghij__xy".into(), 14));
        a.give_up(17, Loss::Limit, PacketRef::default(), &mut told);
        assert_eq!(text(&told), "abcdefghij__xy__z");
        assert_eq!(told.losses, [(10, 2, Loss::NotCaptured), (14, 2, Loss::Limit)]);
        assert!(told.differences.is_empty() && a.is_empty() && a.cost() == 0);
    }

    #[test]
    fn cut_bytes_are_holes_that_a_later_copy_fills() {
        let (mut a, mut told) = (Assembler::default(), Told::default());
        put(&mut a, &mut told, 2, Content::Bytes(b"c"), None);
        put(&mut a, &mut told, 3, Content::Cut(5), None);
        put(&mut a, &mut told, 4, Content::Bytes(b"ef"), None);
        put(&mut a, &mut told, 0, Content::Bytes(b"ab"), None);
        assert_eq!(text(&told), "abc_ef__");
        put(&mut a, &mut told, 8, Content::Cut(1), None);
        put(&mut a, &mut told, 8, Content::Bytes(b"x"), None);
        assert_eq!(text(&told), "abc_ef___");
        assert!(told.losses.iter().all(|l| l.2 == Loss::Snapped));
    }

    #[test]
    fn the_only_valid_copy_wins_else_the_first() {
        for (first, second, third, want) in [
            (None, None, None, "a11111"),
            (Some(false), Some(true), Some(true), "a12221"),
            (Some(true), Some(true), None, "a11111"),
            (Some(true), Some(false), None, "a11111"),
            (None, Some(true), Some(false), "a12221"),
            (Some(false), Some(false), Some(true), "a33333"),
        ] {
            let (mut a, mut told) = (Assembler::default(), Told::default());
            put(&mut a, &mut told, 1, Content::Bytes(b"11111"), first);
            put(&mut a, &mut told, 2, Content::Bytes(b"222"), second);
            put(&mut a, &mut told, 1, Content::Bytes(b"33333"), third.filter(|_| want == "a33333"));
            put(&mut a, &mut told, 0, Content::Bytes(b"a"), None);
            assert_eq!(text(&told), want);
            assert_eq!(told.differences.first().map(|d| (d.0, d.2)), Some((2, want != "a12221")));
        }
        // An equal copy that is valid vouches for the first.
        let (mut a, mut told) = (Assembler::default(), Told::default());
        for (bytes, valid) in [(b"11", Some(false)), (b"11", Some(true)), (b"22", Some(true))] {
            put(&mut a, &mut told, 1, Content::Bytes(bytes), valid);
        }
        put(&mut a, &mut told, 0, Content::Bytes(b"a"), None);
        assert_eq!((text(&told), told.differences), ("a11".into(), vec![(1, b"22".to_vec(), true)]));
    }

    #[test]
    fn what_the_other_direction_has_not_come_to_waits() {
        let (mut a, mut told) = (Assembler::default(), Told::default());
        let segment = |offset, bytes, needs| Segment {
            offset,
            content: Content::Bytes(bytes),
            at: PacketRef::default(),
            needs,
            valid: &|| None,
        };
        a.insert(&segment(0, b"a", 5), 4, &mut told);
        a.insert(&segment(1, b"b", 9), 4, &mut told);
        assert_eq!(text(&told), "");
        assert!(a.tell(5, &mut told) && !a.tell(8, &mut told));
        assert_eq!(text(&told), "a");
        a.insert(&segment(1, b"b", 3), 8, &mut told);
        assert_eq!(text(&told), "a");
        a.give_up(2, Loss::Limit, PacketRef::default(), &mut told);
        assert_eq!((text(&told), told.losses.len()), ("ab".into(), 0));
    }

    #[test]
    fn unkept_bytes_only_advance() {
        let (mut a, mut told) = (Assembler::default(), Told::default());
        put(&mut a, &mut told, 1, Content::Bytes(b"bc"), None);
        a.unkeep();
        assert_eq!(a.cost(), BLOCK_COST);
        put(&mut a, &mut told, 0, Content::Unkept(1), None);
        assert_eq!((a.next(), a.cost(), told.stream.len()), (3, 0, 0));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Bytes(u64, u64, u8, Option<bool>),
        Cut(u64, u64),
        GiveUp(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let valid = prop_oneof![4 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
        prop_oneof![
            8 => (0..200_u64, 1..40_u64, prop_oneof![9 => Just(0_u8), 1 => 1..3_u8], valid).prop_map(|(o, n, x, v)| Step::Bytes(o, n, x, v)),
            1 => (0..200_u64, 1..40_u64).prop_map(|(o, n)| Step::Cut(o, n)),
            1 => (0..240_u64).prop_map(Step::GiveUp),
        ]
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Cell {
        Missing,
        Cut,
        Byte(u8, Option<bool>),
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Against a table of cells, one an offset.
        #[test]
        fn it_is_the_naive_table(steps in proptest::collection::vec(step(), 1..60)) {
            let (mut a, mut told) = (Assembler::default(), Told::default());
            let mut cells = [Cell::Missing; 300];
            let mut next = 0_usize;
            let mut want: Vec<Option<u8>> = Vec::new();
            for s in steps {
                match s {
                    Step::Bytes(offset, length, salt, valid) => {
                        let bytes: Vec<u8> = (offset..offset + length).map(|o| (o as u8).wrapping_mul(7) ^ salt).collect();
                        put(&mut a, &mut told, offset, Content::Bytes(&bytes), valid);
                        for (o, b) in (offset as usize..).zip(&bytes).filter(|(o, _)| *o >= next) {
                            cells[o] = match cells[o] {
                                Cell::Byte(_, v) if v == Some(true) || valid != Some(true) => cells[o],
                                _ => Cell::Byte(*b, valid),
                            };
                        }
                    }
                    Step::Cut(offset, length) => {
                        put(&mut a, &mut told, offset, Content::Cut(length), None);
                        for c in &mut cells[(offset as usize).max(next)..((offset + length) as usize).max(next)] {
                            if *c == Cell::Missing {
                                *c = Cell::Cut;
                            }
                        }
                    }
                    Step::GiveUp(to) => {
                        a.give_up(to, Loss::NotCaptured, PacketRef::default(), &mut told);
                        a.tell(u64::MAX, &mut told);
                        for c in &mut cells[next..(to as usize).max(next)] {
                            if *c == Cell::Missing {
                                *c = Cell::Cut;
                            }
                        }
                    }
                }
                while cells[next] != Cell::Missing {
                    want.push(if let Cell::Byte(b, _) = cells[next] { Some(b) } else { None });
                    next += 1;
                }
                prop_assert_eq!(a.next(), next as u64);
                prop_assert_eq!(&told.stream, &want);
                let waiting = a.blocks.values().map(|b| b.held.cost()).sum::<usize>();
                prop_assert_eq!(a.cost(), waiting);
                let mut end = a.next();
                for (o, b) in &a.blocks {
                    prop_assert!(*o >= end && b.held.length() > 0);
                    end = o + b.held.length();
                }
            }
        }
    }
}
