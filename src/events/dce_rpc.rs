//! `dce_rpc`: a remote call (Zeek's base/protocols/dce-rpc).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `dce_rpc`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DceRpc {
    /// Time of the request, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// Seconds from the request to the answer, where both were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<f64>,
    /// The bind answer's secondary address: `\pipe\atsvc`, or a TCP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_pipe: Option<String>,
    /// Zeek's name of the interface (`atsvc`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Zeek's name of the operation (`NetrJobAdd`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Our own: the operation's other name (`JobAdd`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_alias: Option<String>,
    /// Our own: the interface's UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_uuid: Option<String>,
    /// Our own: the operation's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opnum: Option<u16>,
    /// Our own: its arguments were encrypted and not opened.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// Our own: what it was called with, and answered.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub arguments: serde_json::Value,
    /// Our own: whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
