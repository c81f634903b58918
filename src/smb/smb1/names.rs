//! Names: of commands, and of files with their streams.

/// A command's name for the record ([MS-CIFS] 2.2.2.1).
pub(super) fn command(code: u8) -> &'static str {
    match code {
        0x00 => "SMB1::CREATE_DIRECTORY",
        0x01 => "SMB1::DELETE_DIRECTORY",
        0x02 => "SMB1::OPEN",
        0x03 => "SMB1::CREATE",
        0x04 => "SMB1::CLOSE",
        0x05 => "SMB1::FLUSH",
        0x06 => "SMB1::DELETE",
        0x07 => "SMB1::RENAME",
        0x08 => "SMB1::QUERY_INFORMATION",
        0x09 => "SMB1::SET_INFORMATION",
        0x0A => "SMB1::READ",
        0x0B => "SMB1::WRITE",
        0x0C => "SMB1::LOCK_BYTE_RANGE",
        0x0D => "SMB1::UNLOCK_BYTE_RANGE",
        0x0E => "SMB1::CREATE_TEMPORARY",
        0x0F => "SMB1::CREATE_NEW",
        0x10 => "SMB1::CHECK_DIRECTORY",
        0x11 => "SMB1::PROCESS_EXIT",
        0x12 => "SMB1::SEEK",
        0x13 => "SMB1::LOCK_AND_READ",
        0x14 => "SMB1::WRITE_AND_UNLOCK",
        0x1A => "SMB1::READ_RAW",
        0x1B => "SMB1::READ_MPX",
        0x1C => "SMB1::READ_MPX_SECONDARY",
        0x1D => "SMB1::WRITE_RAW",
        0x1E => "SMB1::WRITE_MPX",
        0x1F => "SMB1::WRITE_MPX_SECONDARY",
        0x20 => "SMB1::WRITE_COMPLETE",
        0x22 => "SMB1::SET_INFORMATION2",
        0x23 => "SMB1::QUERY_INFORMATION2",
        0x24 => "SMB1::LOCKING_ANDX",
        0x25 => "SMB1::TRANSACTION",
        0x26 => "SMB1::TRANSACTION_SECONDARY",
        0x27 => "SMB1::IOCTL",
        0x28 => "SMB1::IOCTL_SECONDARY",
        0x29 => "SMB1::COPY",
        0x2A => "SMB1::MOVE",
        0x2B => "SMB1::ECHO",
        0x2C => "SMB1::WRITE_AND_CLOSE",
        0x2D => "SMB1::OPEN_ANDX",
        0x2E => "SMB1::READ_ANDX",
        0x2F => "SMB1::WRITE_ANDX",
        0x31 => "SMB1::CLOSE_AND_TREE_DISC",
        0x32 => "SMB1::TRANSACTION2",
        0x33 => "SMB1::TRANSACTION2_SECONDARY",
        0x34 => "SMB1::FIND_CLOSE2",
        0x35 => "SMB1::FIND_NOTIFY_CLOSE",
        0x70 => "SMB1::TREE_CONNECT",
        0x71 => "SMB1::TREE_DISCONNECT",
        0x72 => "SMB1::NEGOTIATE",
        0x73 => "SMB1::SESSION_SETUP_ANDX",
        0x74 => "SMB1::LOGOFF_ANDX",
        0x75 => "SMB1::TREE_CONNECT_ANDX",
        0x7E => "SMB1::SECURITY_PACKAGE_ANDX",
        0x80 => "SMB1::QUERY_INFORMATION_DISK",
        0x81 => "SMB1::SEARCH",
        0x82 => "SMB1::FIND",
        0x83 => "SMB1::FIND_UNIQUE",
        0x84 => "SMB1::FIND_CLOSE",
        0xA0 => "SMB1::NT_TRANSACT",
        0xA1 => "SMB1::NT_TRANSACT_SECONDARY",
        0xA2 => "SMB1::NT_CREATE_ANDX",
        0xA4 => "SMB1::NT_CANCEL",
        0xA5 => "SMB1::NT_RENAME",
        0xC0 => "SMB1::OPEN_PRINT_FILE",
        0xC1 => "SMB1::WRITE_PRINT_FILE",
        0xC2 => "SMB1::CLOSE_PRINT_FILE",
        0xC3 => "SMB1::GET_PRINT_QUEUE",
        _ => "SMB1::UNKNOWN",
    }
}

/// The name of a transaction's subcommand for the record ([MS-CIFS] 2.2.2.2): of TRANSACTION2 (0x32) and NT_TRANSACT (0xA0).
pub(super) fn transaction(command_code: u8, function: u16) -> &'static str {
    match (command_code, function) {
        (0x32, 0x0001) => "SMB1::TRANS2_FIND_FIRST2",
        (0x32, 0x0002) => "SMB1::TRANS2_FIND_NEXT2",
        (0x32, 0x0003) => "SMB1::TRANS2_QUERY_FS_INFORMATION",
        (0x32, 0x0004) => "SMB1::TRANS2_SET_FS_INFORMATION",
        (0x32, 0x0005) => "SMB1::TRANS2_QUERY_PATH_INFORMATION",
        (0x32, 0x0006) => "SMB1::TRANS2_SET_PATH_INFORMATION",
        (0x32, 0x0007) => "SMB1::TRANS2_QUERY_FILE_INFORMATION",
        (0x32, 0x0008) => "SMB1::TRANS2_SET_FILE_INFORMATION",
        (0x32, 0x000D) => "SMB1::TRANS2_CREATE_DIRECTORY",
        (0x32, 0x000E) => "SMB1::TRANS2_SESSION_SETUP",
        (0x32, 0x0010) => "SMB1::TRANS2_GET_DFS_REFERRAL",
        (0xA0, 0x0002) => "SMB1::NT_TRANSACT_IOCTL",
        (0xA0, 0x0003) => "SMB1::NT_TRANSACT_SET_SECURITY_DESC",
        (0xA0, 0x0004) => "SMB1::NT_TRANSACT_NOTIFY_CHANGE",
        (0xA0, 0x0005) => "SMB1::NT_TRANSACT_RENAME",
        (0xA0, 0x0006) => "SMB1::NT_TRANSACT_QUERY_SECURITY_DESC",
        _ => command(command_code),
    }
}

/// A name without its leading backslashes.
pub(super) fn relative(name: &str) -> &str {
    name.trim_start_matches('\\')
}

/// A path as name and alternate stream ([MS-FSCC] 2.1.5): `dir\file:stream:$DATA` is `dir\file` and `stream`. The unnamed stream
/// (`file::$DATA`) is the file itself. Leading backslashes are dropped.
pub(super) fn split(path: &str) -> (String, Option<String>) {
    let path = relative(path);
    let last = path.rfind('\\').map_or(0, |i| i + 1);
    let (folder, file) = path.split_at(last);
    let Some((name, rest)) = file.split_once(':') else {
        return (path.to_owned(), None);
    };
    let stream = rest.split_once(':').map_or(rest, |s| s.0);
    (format!("{folder}{name}"), (!stream.is_empty()).then(|| stream.to_owned()))
}

/// Whether two names mean the same file: servers ignore case ([MS-CIFS] 2.2.1.1.1), and leading backslashes say nothing.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (relative(a), relative(b));
    a == b
        || (a.len() == b.len() && a.is_ascii() && a.eq_ignore_ascii_case(b))
        || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_split_off() {
        assert_eq!(split("\\a\\b.txt"), ("a\\b.txt".into(), None));
        assert_eq!(split("\\a:b\\c"), ("a:b\\c".into(), None));
        assert_eq!(split("\\a\\b.txt:s:$DATA"), ("a\\b.txt".into(), Some("s".into())));
        assert_eq!(split("b.txt:s"), ("b.txt".into(), Some("s".into())));
        assert_eq!(split("b.txt::$DATA"), ("b.txt".into(), None));
        assert_eq!(split(""), (String::new(), None));
    }

    #[test]
    fn names_are_the_same_in_either_case() {
        assert!(same("\\Dir\\A.TXT", "dir\\a.txt"));
        assert!(same("ÄB", "\\äb"));
        assert!(!same("a", "ab"));
    }
}
