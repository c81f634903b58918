//! `files`: one movement of one file's content (Zeek's base/frameworks/files).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;
use std::net::IpAddr;

/// A row of `files`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Files {
    /// Time of the first byte, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// The file's id.
    pub fuid: String,
    /// Hosts that sent it (Zeek until 5; since 5.1 `uid` and `id` tell of it).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tx_hosts: Vec<IpAddr>,
    /// Hosts that received it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rx_hosts: Vec<IpAddr>,
    /// `SMB`.
    pub source: &'static str,
    /// Depth inside its source: 0.
    pub depth: u64,
    /// Analyzers by Zeek's names (`MD5`, `SHA1`, `SHA256`).
    pub analyzers: Vec<&'static str>,
    /// MIME type by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Seconds from the first byte to the last.
    pub duration: f64,
    /// It came from a local address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_orig: Option<bool>,
    /// The connection's originator sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_orig: Option<bool>,
    /// Bytes seen.
    pub seen_bytes: u64,
    /// The file's size, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Bytes that were sent and not captured.
    pub missing_bytes: u64,
    /// Bytes that came again, or could not be placed.
    pub overflow_bytes: u64,
    /// The transfer was given up on.
    pub timedout: bool,
    /// The file it was inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_fuid: Option<String>,
    /// MD5 of a complete file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1 of a complete file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// SHA-256 of a complete file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Our own: whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
