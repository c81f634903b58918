//! `dir_list` (our own): a directory was listed.

use super::head::{Head, filetime};
use crate::identity::account::Account;
use serde::Serialize;

/// An entry of a listing.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DirEntry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// It is a directory (FILE_ATTRIBUTE_DIRECTORY).
    pub directory: bool,
    /// FILE_ATTRIBUTE_* ([MS-FSCC] 2.6).
    pub attributes: u32,
    /// Last write, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<f64>,
}

impl DirEntry {
    /// From name, size, attributes and last write time (FILETIME).
    pub fn new(name: String, size: u64, attributes: u32, modified: u64) -> Self {
        const DIRECTORY: u32 = 0x10;
        DirEntry { name, size, directory: attributes & DIRECTORY != 0, attributes, modified: filetime(modified) }
    }
}

/// A row of `dir_list`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DirList {
    /// Time of the answer, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `\\server\share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The directory relative to it; empty for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Its entries: at most as many as the limit of who collects them allows.
    pub entries: Vec<DirEntry>,
    /// Entries that were left out at that limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

// serde's skip_serializing_if hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
