//! The SMB2 header, [MS-SMB2] 2.2.1.

use crate::smb::bytes::{u16_at, u32_at, u64_at};

/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 64;

/// The first four bytes.
pub(crate) const MAGIC: [u8; 4] = *b"\xfeSMB";

/// A message from the server.
const FLAG_RESPONSE: u32 = 0x1;
/// The header has an async id where tree and process ids stand otherwise.
const FLAG_ASYNC: u32 = 0x2;
/// Of a compound: session, tree and file are those of the message before.
const FLAG_RELATED: u32 = 0x4;

/// STATUS_PENDING: an interim answer.
pub(super) const STATUS_PENDING: u32 = 0x0000_0103;
/// STATUS_MORE_PROCESSING_REQUIRED: the session set-up goes on.
pub(super) const STATUS_MORE_PROCESSING: u32 = 0xC000_0016;
/// STATUS_BUFFER_OVERFLOW: a warning; part of the data is there.
pub(super) const STATUS_BUFFER_OVERFLOW: u32 = 0x8000_0005;

/// Command codes.
pub(super) mod command {
    pub(in crate::smb::smb2) const NEGOTIATE: u16 = 0;
    pub(in crate::smb::smb2) const SESSION_SETUP: u16 = 1;
    pub(in crate::smb::smb2) const LOGOFF: u16 = 2;
    pub(in crate::smb::smb2) const TREE_CONNECT: u16 = 3;
    pub(in crate::smb::smb2) const TREE_DISCONNECT: u16 = 4;
    pub(in crate::smb::smb2) const CREATE: u16 = 5;
    pub(in crate::smb::smb2) const CLOSE: u16 = 6;
    pub(in crate::smb::smb2) const READ: u16 = 8;
    pub(in crate::smb::smb2) const WRITE: u16 = 9;
    pub(in crate::smb::smb2) const IOCTL: u16 = 11;
    pub(in crate::smb::smb2) const CANCEL: u16 = 12;
    pub(in crate::smb::smb2) const QUERY_DIRECTORY: u16 = 14;
    pub(in crate::smb::smb2) const QUERY_INFO: u16 = 16;
    pub(in crate::smb::smb2) const SET_INFO: u16 = 17;
    pub(in crate::smb::smb2) const OPLOCK_BREAK: u16 = 18;
}

/// Zeek's names of the commands, by code.
const NAMES: [&str; 19] = [
    "SMB2::NEGOTIATE_PROTOCOL",
    "SMB2::SESSION_SETUP",
    "SMB2::LOGOFF",
    "SMB2::TREE_CONNECT",
    "SMB2::TREE_DISCONNECT",
    "SMB2::CREATE",
    "SMB2::CLOSE",
    "SMB2::FLUSH",
    "SMB2::READ",
    "SMB2::WRITE",
    "SMB2::LOCK",
    "SMB2::IOCTL",
    "SMB2::CANCEL",
    "SMB2::ECHO",
    "SMB2::QUERY_DIRECTORY",
    "SMB2::CHANGE_NOTIFY",
    "SMB2::QUERY_INFO",
    "SMB2::SET_INFO",
    "SMB2::OPLOCK_BREAK",
];

/// The header's fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub command: u16,
    /// Of an answer.
    pub status: u32,
    flags: u32,
    /// Where the next message of a compound begins, in bytes from this one; 0 in the last.
    pub next: u32,
    pub message_id: u64,
    pub tree_id: u32,
    pub session_id: u64,
}

impl Header {
    /// From the first 64 bytes, if they are a header's.
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.get(..4)? != MAGIC || u16_at(bytes, 4)? != HEADER_LEN as u16 {
            return None;
        }
        Some(Header {
            status: u32_at(bytes, 8)?,
            command: u16_at(bytes, 12)?,
            flags: u32_at(bytes, 16)?,
            next: u32_at(bytes, 20)?,
            message_id: u64_at(bytes, 24)?,
            tree_id: u32_at(bytes, 36)?,
            session_id: u64_at(bytes, 40)?,
        })
        .filter(|_| bytes.len() >= HEADER_LEN)
    }

    /// It comes from the server.
    pub(super) fn is_response(&self) -> bool {
        self.flags & FLAG_RESPONSE != 0
    }

    /// It has no tree id.
    pub(super) fn is_async(&self) -> bool {
        self.flags & FLAG_ASYNC != 0
    }

    /// It takes session, tree and file from the message before.
    pub(super) fn is_related(&self) -> bool {
        self.flags & FLAG_RELATED != 0
    }

    /// The status says that what was asked for was done, at least in part.
    pub(super) fn is_success(&self) -> bool {
        self.status >> 30 < 2 || self.status == STATUS_BUFFER_OVERFLOW
    }

    /// Zeek's name of the command.
    pub(super) fn name(&self) -> Option<&'static str> {
        NAMES.get(usize::from(self.command)).copied()
    }

    /// As a header of any SMB2 message could be, with all its fixed values.
    pub(crate) fn is_plausible(&self) -> bool {
        usize::from(self.command) < NAMES.len()
            && self.flags & !0x3000_007f == 0
            && self.next.is_multiple_of(8)
            && self.next < 1 << 24
            && (self.message_id < 1 << 40 || self.message_id == u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_needs_all_its_bytes() {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = 64;
        bytes[12] = 8;
        bytes[16] = 1;
        bytes[24] = 5;
        let header = Header::parse(&bytes).unwrap();
        assert!(header.is_response() && header.is_success() && header.is_plausible() && !header.is_related());
        assert_eq!((header.command, header.message_id, header.name()), (8, 5, Some("SMB2::READ")));
        for len in 0..HEADER_LEN {
            assert_eq!(Header::parse(&bytes[..len]), None);
        }
    }
}
