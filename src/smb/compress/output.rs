//! The bytes that a decompressor writes: what it wrote is its dictionary, and it cannot write more than it was allowed.

/// Plain bytes, up to a bound.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// The length that must not be passed.
    end: usize,
}

impl Output {
    /// Goes on after `bytes`, and takes `more` bytes at most.
    pub(super) fn after(mut bytes: Vec<u8>, more: usize) -> Output {
        let end = bytes.len().saturating_add(more);
        bytes.reserve(more);
        Output { bytes, end }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that still fit.
    pub(super) fn room(&self) -> usize {
        self.end.saturating_sub(self.bytes.len())
    }

    /// Appends a byte; false where it does not fit.
    #[inline]
    pub(super) fn byte(&mut self, byte: u8) -> bool {
        let fits = self.bytes.len() < self.end;
        if fits {
            self.bytes.push(byte);
        }
        fits
    }

    /// Appends bytes; false (and nothing appended) where they do not fit.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Appends `count` times the same byte; false where they do not fit.
    pub(super) fn fill(&mut self, byte: u8, count: usize) -> bool {
        let fits = count <= self.room();
        if fits {
            self.bytes.resize(self.bytes.len() + count, byte);
        }
        fits
    }

    /// Appends `length` bytes that begin `distance` bytes back and may run into those being written; false where there is no such place at or
    /// after `floor`, or they do not fit.
    #[inline]
    pub(super) fn repeat(&mut self, distance: usize, length: usize, floor: usize) -> bool {
        let at = self.bytes.len();
        if distance == 0 || distance > at.saturating_sub(floor) || length > self.room() {
            return false;
        }
        let from = at - distance;
        if length <= distance {
            self.bytes.extend_from_within(from..from + length);
        } else if distance == 1 {
            let byte = self.bytes.last().copied().unwrap_or(0);
            self.bytes.resize(at + length, byte);
        } else {
            // What was written repeats with the period `distance`, so each round may copy twice as much.
            let mut left = length;
            while left > 0 {
                let count = left.min(self.bytes.len() - from);
                self.bytes.extend_from_within(from..from + count);
                left -= count;
            }
        }
        true
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads compressed bytes in order; each read is `None` after the end.
#[derive(Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// From the start.
    pub(super) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0 }
    }

    /// Whether all was read.
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next byte.
    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The next two bytes, little-endian.
    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 2;
        Some(u16::from_le_bytes(bytes))
    }

    /// The next four bytes, little-endian.
    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 4;
        Some(u32::from_le_bytes(bytes))
    }

    /// The next `count` bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }
}
