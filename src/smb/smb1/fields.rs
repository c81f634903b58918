//! Little-endian numbers at fixed places of bytes that may be too short.

/// Bytes with numbers in them. A number that is not wholly there reads as `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// How many bytes there are.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// A range of the bytes.
    pub(super) fn slice(self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(length)?)
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.slice(at, N)?.try_into().ok()
    }

    /// One byte.
    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// Two bytes.
    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub(super) fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// Two bytes as a place or a length.
    pub(super) fn place16(self, at: usize) -> Option<usize> {
        self.u16(at).map(usize::from)
    }

    /// Four bytes as a place or a length.
    pub(super) fn place32(self, at: usize) -> Option<usize> {
        self.u32(at).and_then(|v| usize::try_from(v).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn what_is_not_wholly_there_is_none() {
        let f = Fields(&[1, 2, 3, 4, 5]);
        assert_eq!(f.u16(0), Some(0x0201));
        assert_eq!(f.u32(1), Some(0x0504_0302));
        assert_eq!(f.u32(2), None);
        assert_eq!(f.u64(0), None);
        assert_eq!(f.u16(usize::MAX), None);
        assert_eq!(f.slice(5, 0), Some(&[][..]));
        assert_eq!(f.slice(2, usize::MAX), None);
    }
}
