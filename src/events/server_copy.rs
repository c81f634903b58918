//! `server_copy` (our own): the server copied a range of a file (FSCTL_SRV_COPYCHUNK, [MS-SMB2] 3.3.5.15.6; FSCTL_DUPLICATE_EXTENTS_TO_FILE)
//! or zeroed one (FSCTL_SET_ZERO_DATA): content that did not cross the network.

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `server_copy`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ServerCopy {
    /// Time of the answer, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `copy` or `zero`.
    pub action: &'static str,
    /// The control code.
    pub fsctl: u32,
    /// `\\server\share` of the file that is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name of the file that is copied from, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// To where.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// Whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
