//! The four bytes before each message: of a NetBIOS session (RFC 1002 4.3.1) or of direct TCP ([MS-SMB2] 2.1).

/// Bytes before each message: a type and a length.
pub(super) const PREFIX_LEN: usize = 4;

/// Type and length of a message, from its first bytes. The length has 24 bits; of NetBIOS all but the lowest of the first eight are zero.
pub(super) fn prefix(bytes: &[u8]) -> Option<(u8, u64)> {
    let &[kind, a, b, c] = bytes.first_chunk::<PREFIX_LEN>()?;
    Some((kind, u64::from(u32::from_be_bytes([0, a, b, c]))))
}
