//! Little-endian fields at fixed places of byte slices whose length was checked by the caller; places outside read as zero.

/// Two bytes at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// Four bytes at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Six bytes at `at`.
pub(super) fn u48_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 6).map_or(0, |b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], 0, 0]))
}

/// Eight bytes at `at`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).map_or(0, |b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
}

/// Sixteen bytes at `at`.
pub(super) fn array16_at(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut out = [0; 16];
    if let Some(b) = bytes.get(at..at + 16) {
        out.copy_from_slice(b);
    }
    out
}
