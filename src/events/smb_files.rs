//! `smb_files`: what is done to a file or pipe (Zeek's base/protocols/smb).

use super::head::{Head, filetime};
use crate::identity::account::Account;
use serde::Serialize;

/// Zeek's SMB::Action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum SmbAction {
    /// `SMB::FILE_OPEN`.
    #[serde(rename = "SMB::FILE_OPEN")]
    FileOpen,
    /// `SMB::FILE_READ`.
    #[serde(rename = "SMB::FILE_READ")]
    FileRead,
    /// `SMB::FILE_WRITE`.
    #[serde(rename = "SMB::FILE_WRITE")]
    FileWrite,
    /// `SMB::FILE_CLOSE`.
    #[serde(rename = "SMB::FILE_CLOSE")]
    FileClose,
    /// `SMB::FILE_DELETE`.
    #[serde(rename = "SMB::FILE_DELETE")]
    FileDelete,
    /// `SMB::FILE_RENAME`.
    #[serde(rename = "SMB::FILE_RENAME")]
    FileRename,
    /// `SMB::FILE_SET_ATTRIBUTE`.
    #[serde(rename = "SMB::FILE_SET_ATTRIBUTE")]
    FileSetAttribute,
    /// `SMB::PIPE_OPEN`: the row has the path `\\host\IPC$` and the pipe's name without a leading backslash (`atsvc`).
    #[serde(rename = "SMB::PIPE_OPEN")]
    PipeOpen,
    /// `SMB::PIPE_READ`.
    #[serde(rename = "SMB::PIPE_READ")]
    PipeRead,
    /// `SMB::PIPE_WRITE`.
    #[serde(rename = "SMB::PIPE_WRITE")]
    PipeWrite,
    /// `SMB::PIPE_CLOSE`.
    #[serde(rename = "SMB::PIPE_CLOSE")]
    PipeClose,
    /// `SMB::PRINT_OPEN`.
    #[serde(rename = "SMB::PRINT_OPEN")]
    PrintOpen,
    /// `SMB::PRINT_READ`.
    #[serde(rename = "SMB::PRINT_READ")]
    PrintRead,
    /// `SMB::PRINT_WRITE`.
    #[serde(rename = "SMB::PRINT_WRITE")]
    PrintWrite,
    /// `SMB::PRINT_CLOSE`.
    #[serde(rename = "SMB::PRINT_CLOSE")]
    PrintClose,
}

/// Zeek's SMB::MACTimes, flat: seconds since 1970.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct FileTimes {
    /// Last write.
    #[serde(rename = "times.modified", skip_serializing_if = "Option::is_none")]
    pub modified: Option<f64>,
    /// Last access.
    #[serde(rename = "times.accessed", skip_serializing_if = "Option::is_none")]
    pub accessed: Option<f64>,
    /// Creation.
    #[serde(rename = "times.created", skip_serializing_if = "Option::is_none")]
    pub created: Option<f64>,
    /// Change of attributes.
    #[serde(rename = "times.changed", skip_serializing_if = "Option::is_none")]
    pub changed: Option<f64>,
}

impl FileTimes {
    /// From creation, last access, last write and change as FILETIME, 0 where not told: the order of SMB's own structures.
    pub fn from_filetimes([created, accessed, modified, changed]: [u64; 4]) -> Self {
        FileTimes {
            modified: filetime(modified),
            accessed: filetime(accessed),
            created: filetime(created),
            changed: filetime(changed),
        }
    }
}

/// A row of `smb_files`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SmbFiles {
    /// Time of the request, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// The file's id, where content of it moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuid: Option<String>,
    /// What is done.
    pub action: SmbAction,
    /// The tree: `\\server\share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The name relative to it; Zeek writes `<share_root>` for the empty one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Size as told when it was opened.
    pub size: u64,
    /// The name before a rename.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_name: Option<String>,
    /// Times as told when it was opened.
    #[serde(flatten)]
    pub times: FileTimes,
    /// Our own: whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
