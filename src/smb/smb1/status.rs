//! Statuses: NTSTATUS as it is, DOS errors as the NTSTATUS they stand for ([MS-CIFS] 2.2.2.4).

/// Success.
pub(super) const SUCCESS: u32 = 0;
/// A session set-up needs another round.
pub(super) const MORE_PROCESSING_REQUIRED: u32 = 0xC000_0016;
/// The answer holds a part of the message; the rest can be read.
pub(super) const BUFFER_OVERFLOW: u32 = 0x8000_0005;
/// What DOS errors without a known counterpart become.
const UNSUCCESSFUL: u32 = 0xC000_0001;

/// Classes ERRDOS, ERRSRV and ERRHRD: class, code, NTSTATUS.
const DOS: &[(u8, u16, u32)] = &[
    (1, 1, 0xC000_0002),
    (1, 2, 0xC000_000F),
    (1, 3, 0xC000_003A),
    (1, 4, 0xC000_011F),
    (1, 5, 0xC000_0022),
    (1, 6, 0xC000_0008),
    (1, 8, 0xC000_009A),
    (1, 13, 0xC000_000D),
    (1, 14, 0xC000_009A),
    (1, 15, 0xC000_000E),
    (1, 16, 0xC000_0121),
    (1, 17, 0xC000_00D4),
    (1, 18, 0x8000_0006),
    (1, 24, 0xC000_0004),
    (1, 31, 0xC000_0001),
    (1, 32, 0xC000_0043),
    (1, 33, 0xC000_0054),
    (1, 38, 0xC000_0011),
    (1, 50, 0xC000_00BB),
    (1, 65, 0xC000_00CA),
    (1, 67, 0xC000_00CC),
    (1, 80, 0xC000_0035),
    (1, 87, 0xC000_000D),
    (1, 109, 0xC000_014B),
    (1, 112, 0xC000_007F),
    (1, 123, 0xC000_0033),
    (1, 124, 0xC000_0148),
    (1, 145, 0xC000_0101),
    (1, 158, 0xC000_007E),
    (1, 183, 0xC000_0035),
    (1, 230, 0xC000_00AD),
    (1, 231, 0xC000_00AE),
    (1, 232, 0xC000_00B1),
    (1, 233, 0xC000_00B0),
    (1, 234, BUFFER_OVERFLOW),
    (1, 267, 0xC000_0103),
    (1, 275, 0xC000_0052),
    (1, 282, 0xC000_004F),
    (2, 2, 0xC000_006A),
    (2, 4, 0xC000_0022),
    (2, 5, 0x0005_0002),
    (2, 6, 0xC000_00CC),
    (2, 7, 0xC000_00CB),
    (2, 22, 0x0016_0002),
    (2, 49, 0xC000_00C6),
    (2, 51, 0xC000_00CF),
    (2, 52, 0xC000_00C3),
    (2, 64, 0xC000_01B1),
    (2, 91, 0x005B_0002),
    (2, 2239, 0xC000_0072),
    (2, 2240, 0xC000_0070),
    (2, 2241, 0xC000_006F),
    (2, 2242, 0xC000_0071),
    (3, 19, 0xC000_00A2),
    (3, 21, 0xC000_0013),
    (3, 23, 0xC000_003F),
    (3, 27, 0xC000_0014),
    (3, 32, 0xC000_0043),
    (3, 33, 0xC000_0054),
    (3, 39, 0xC000_007F),
];

/// The status of a header: its four bytes, and whether flags2 says that it is an NTSTATUS (0x4000).
pub(super) fn ntstatus(raw: u32, is_nt: bool) -> u32 {
    if is_nt {
        return raw;
    }
    let [class, _, low, high] = raw.to_le_bytes();
    let code = u16::from_le_bytes([low, high]);
    match (class, code) {
        (0, _) => SUCCESS,
        _ => DOS.iter().find(|d| (d.0, d.1) == (class, code)).map_or(UNSUCCESSFUL, |d| d.2),
    }
}

/// Whether a command failed: an error, and not a warning with results. The SMB-specific codes (STATUS_SMB_BAD_TID and the like) have a
/// DOS error's class in the low half and no severity.
pub(super) fn failed(status: u32) -> bool {
    status >> 30 == 3 || (status >> 30 == 0 && status >> 16 != 0 && (1..=3).contains(&(status & 0xFFFF)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_errors_are_mapped() {
        assert_eq!(ntstatus(0, false), SUCCESS);
        assert_eq!(ntstatus(u32::from_le_bytes([1, 0, 2, 0]), false), 0xC000_000F);
        assert_eq!(ntstatus(u32::from_le_bytes([1, 0, 234, 0]), false), BUFFER_OVERFLOW);
        assert_eq!(ntstatus(u32::from_le_bytes([2, 0, 91, 0]), false), 0x005B_0002);
        assert_eq!(ntstatus(u32::from_le_bytes([3, 0, 0xFF, 0xFF]), false), UNSUCCESSFUL);
        assert_eq!(ntstatus(0xC000_0022, true), 0xC000_0022);
    }

    #[test]
    fn warnings_are_no_failures() {
        assert!(!failed(SUCCESS));
        assert!(!failed(BUFFER_OVERFLOW));
        assert!(!failed(0x0000_010C));
        assert!(failed(0xC000_0011));
        assert!(failed(0x0005_0002));
    }
}
