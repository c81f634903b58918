//! Integers in the byte order of a file or section.

/// The byte order that a file or a section was written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The two bytes at `at`. The caller has checked that they are there; so for the others.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let value = [bytes[at], bytes[at + 1]];
        if self == ByteOrder::Little { u16::from_le_bytes(value) } else { u16::from_be_bytes(value) }
    }

    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let mut value = [0; 4];
        value.copy_from_slice(&bytes[at..at + 4]);
        if self == ByteOrder::Little { u32::from_le_bytes(value) } else { u32::from_be_bytes(value) }
    }

    #[inline]
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[at..at + 8]);
        if self == ByteOrder::Little { u64::from_le_bytes(value) } else { u64::from_be_bytes(value) }
    }

    /// A 64-bit value in two words, the high one first, as pcapng has its times.
    #[inline]
    pub(super) fn words(self, bytes: &[u8], at: usize) -> u64 {
        u64::from(self.u32(bytes, at)) << 32 | u64::from(self.u32(bytes, at + 4))
    }
}
