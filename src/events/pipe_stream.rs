//! `pipe_stream` (our own): what went over a pipe that speaks no DCE/RPC (RemCom, PSEXESVC-stdin, ...).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `pipe_stream`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PipeStream {
    /// Time of the first byte, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `\\server\IPC$`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The pipe's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds from the first byte to the last.
    pub duration: f64,
    /// Bytes to the server.
    pub orig_bytes: u64,
    /// Bytes to the client.
    pub resp_bytes: u64,
    /// What the client sent, where it is text; bounded by who collects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_text: Option<String>,
    /// What the server sent, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resp_text: Option<String>,
    /// The texts go on beyond the bound.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
