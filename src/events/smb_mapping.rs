//! `smb_mapping`: a tree connect (Zeek's base/protocols/smb).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `smb_mapping`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SmbMapping {
    /// Time of the request, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `\\server\share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SMB1's service (`A:`, `IPC`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// SMB1's native file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_file_system: Option<String>,
    /// `DISK`, `PIPE`, `PRINT`.
    pub share_type: &'static str,
    /// Our own: whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
