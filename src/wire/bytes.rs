//! Reading numbers at a position that may lie outside of the captured bytes.

/// The byte at `at`.
#[inline(always)]
pub(super) fn u8_at(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

/// The big-endian number in the two bytes at `at`.
#[inline(always)]
pub(super) fn be16(data: &[u8], at: usize) -> Option<u16> {
    array(data, at).map(u16::from_be_bytes)
}

/// The big-endian number in the four bytes at `at`.
#[inline(always)]
pub(super) fn be32(data: &[u8], at: usize) -> Option<u32> {
    array(data, at).map(u32::from_be_bytes)
}

/// The little-endian number in the two bytes at `at`.
#[inline(always)]
pub(super) fn le16(data: &[u8], at: usize) -> Option<u16> {
    array(data, at).map(u16::from_le_bytes)
}

/// The little-endian number in the four bytes at `at`.
#[inline(always)]
pub(super) fn le32(data: &[u8], at: usize) -> Option<u32> {
    array(data, at).map(u32::from_le_bytes)
}

/// The `N` bytes at `at`.
#[inline(always)]
pub(super) fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk::<N>().copied()
}
