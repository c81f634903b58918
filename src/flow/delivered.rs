//! The last bytes of a direction that were handed on, to be compared with retransmissions.

use super::assembler::differing;
use super::headers::{checksum_is_right, sum16};
use std::collections::VecDeque;

/// Segments of which the checksum is still known. With 64 KiB kept, that is all but those of the smallest segments.
const SEGMENTS_MAX: usize = 512;

/// How a segment's checksum can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// It was looked at.
    Known(Option<bool>),
    /// The sum of its headers; its payload is kept.
    Later(u32),
}

struct Handed {
    offset: u64,
    length: u64,
    check: Check,
}

/// The bytes that were handed on last, without a hole.
#[derive(Default)]
pub(super) struct Delivered {
    /// Offset of the first byte kept.
    start: u64,
    bytes: VecDeque<u8>,
    segments: VecDeque<Handed>,
}

/// How a copy differs from what was handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Other {
    /// First offset that differs, and the one after the last.
    pub from: u64,
    pub to: u64,
    /// Whether the checksum of what was handed on is right.
    pub valid: Option<bool>,
}

impl Delivered {
    /// How many bytes are kept.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps bytes, and no more than `most`.
    pub(super) fn push(&mut self, offset: u64, bytes: &[u8], check: Check, most: usize) {
        if offset != self.start + self.bytes.len() as u64 {
            self.clear(offset);
        }
        self.segments.push_back(Handed { offset, length: bytes.len() as u64, check });
        let mut surplus = (self.bytes.len() + bytes.len()).saturating_sub(most);
        if self.segments.len() > SEGMENTS_MAX {
            self.segments.pop_front();
            let first = self.segments.front().map_or(self.start, |s| s.offset);
            surplus = surplus.max(first.saturating_sub(self.start) as usize);
        }
        let old = surplus.min(self.bytes.len());
        self.bytes.drain(..old);
        self.bytes.extend(bytes.get(surplus - old..).unwrap_or_default());
        self.start += surplus as u64;
        while self.segments.front().is_some_and(|s| s.offset + s.length <= self.start) {
            self.segments.pop_front();
        }
    }

    /// Forgets all; the next byte will be the one at `offset`.
    pub(super) fn clear(&mut self, offset: u64) {
        self.bytes.clear();
        self.segments.clear();
        self.start = offset;
    }

    /// Compares a copy with what is kept of it.
    pub(super) fn compare(&self, offset: u64, bytes: &[u8]) -> Option<Other> {
        let from = offset.max(self.start);
        let to = (offset + bytes.len() as u64).min(self.start + self.bytes.len() as u64);
        let new = bytes.get(from.checked_sub(offset)? as usize..to.checked_sub(offset)? as usize)?;
        let (one, two) = self.slices(from, to)?;
        let (new_one, new_two) = new.split_at_checked(one.len())?;
        if one == new_one && two == new_two {
            return None;
        }
        let (first, last) = match (differing(one, new_one), differing(two, new_two)) {
            (Some(a), Some(b)) => (a.0, one.len() + b.1),
            (Some(a), None) => a,
            (None, Some(b)) => (one.len() + b.0, one.len() + b.1),
            (None, None) => return None,
        };
        let (from, to) = (from + first as u64, from + last as u64);
        Some(Other { from, to, valid: self.valid(from, to) })
    }

    fn slices(&self, from: u64, to: u64) -> Option<(&[u8], &[u8])> {
        let (from, to) = (from.checked_sub(self.start)? as usize, to.checked_sub(self.start)? as usize);
        if from > to || to > self.bytes.len() {
            return None;
        }
        let (a, b) = self.bytes.as_slices();
        let split = a.len();
        Some((a.get(from.min(split)..to.min(split))?, b.get(from.saturating_sub(split)..to.saturating_sub(split))?))
    }

    /// Whether the checksums over these bytes are right: all, or not all, or it cannot be said.
    fn valid(&self, from: u64, to: u64) -> Option<bool> {
        let mut all = Some(true);
        for s in self.segments.iter().filter(|s| s.offset < to && s.offset + s.length > from) {
            let valid = match s.check {
                Check::Known(valid) => valid,
                Check::Later(sum) => self.slices(s.offset, s.offset + s.length).map(|(a, b)| {
                    // Where the first slice is of odd length, the second one's words begin in the middle of one.
                    let second = if a.len() % 2 == 0 { sum16(b) } else { swapped(sum16(b)) };
                    checksum_is_right(sum, [sum16(a), second].into_iter())
                }),
            };
            all = match (all, valid) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (None, _) | (_, None) => None,
                _ => Some(true),
            };
        }
        all
    }
}

/// The sum with the bytes of its words swapped (RFC 1071 2).
fn swapped(sum: u32) -> u32 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum << 8 & 0xff00) | sum >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header sum with which a payload's checksum is right.
    fn sum_for(payload: &[u8]) -> u32 {
        (0..=0xffff).find(|s| checksum_is_right(*s, [sum16(payload)].into_iter())).unwrap()
    }

    #[test]
    fn copies_are_compared_with_what_is_kept() {
        let mut d = Delivered::default();
        d.push(0, b"abcdefgh", Check::Later(sum_for(b"abcdefgh")), 16);
        d.push(8, b"ijklmnop", Check::Known(Some(false)), 16);
        assert_eq!(d.compare(0, b"abcdefghijklmnop"), None);
        assert_eq!(d.compare(2, b"cxyf"), Some(Other { from: 3, to: 5, valid: Some(true) }));
        assert_eq!(d.compare(6, b"g.i.k"), Some(Other { from: 7, to: 10, valid: Some(false) }));
        assert_eq!(d.compare(14, b"op--"), None);
        // The first bytes make room; of their segment the checksum can no longer be told.
        d.push(16, b"qrs", Check::Known(None), 16);
        assert_eq!((d.len(), d.start), (16, 3));
        assert_eq!(d.compare(0, b"xxxdxf"), Some(Other { from: 4, to: 5, valid: None }));
        // After a hole it begins anew.
        d.push(30, b"z", Check::Known(None), 16);
        assert_eq!((d.len(), d.compare(10, b"......")), (1, None));
        assert_eq!(d.compare(100, b"x"), None);
    }

    #[test]
    fn checksums_hold_wherever_the_ring_is_broken() {
        for skip in 0..40_u64 {
            let mut d = Delivered::default();
            for i in 0..skip {
                d.push(i, b"-", Check::Known(None), 30);
            }
            let payload = b"some payload, of odd length";
            d.push(skip, payload, Check::Later(sum_for(payload)), 30);
            let mut copy = payload.to_vec();
            copy[5] ^= 1;
            assert_eq!(d.compare(skip, &copy).map(|o| o.valid), Some(Some(true)));
        }
    }

    #[test]
    fn tiny_segments_do_not_grow_it() {
        let mut d = Delivered::default();
        for i in 0..100_000 {
            d.push(i, b"x", Check::Known(None), 65_536);
        }
        assert!(d.segments.len() <= SEGMENTS_MAX && d.len() <= SEGMENTS_MAX);
    }
}
