//! `dns`: a question and its answer (Zeek's base/protocols/dns).

use super::head::Head;
use serde::Serialize;

/// A row of `dns`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Dns {
    /// Time of the first message, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `udp` or `tcp`.
    pub proto: &'static str,
    /// The messages' id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trans_id: Option<u16>,
    /// Seconds from the question to the answer; as in Zeek only where the answer has answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<f64>,
    /// The name that is asked for, in lower case; on port 137 decoded (RFC 1001 14.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// QCLASS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qclass: Option<u16>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qclass_name: Option<String>,
    /// QTYPE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtype: Option<u16>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qtype_name: Option<String>,
    /// The answer's RCODE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcode: Option<u8>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcode_name: Option<String>,
    /// Authoritative; as in Zeek only told by an answer that has answers.
    #[serde(rename = "AA")]
    pub aa: bool,
    /// Truncated, as the question says.
    #[serde(rename = "TC")]
    pub tc: bool,
    /// Recursion desired.
    #[serde(rename = "RD")]
    pub rd: bool,
    /// Recursion available; as `AA`.
    #[serde(rename = "RA")]
    pub ra: bool,
    /// The three bits before the RCODE, as the question has them.
    #[serde(rename = "Z")]
    pub z: u8,
    /// What was answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// For how many seconds each holds.
    #[serde(rename = "TTLs", skip_serializing_if = "Vec::is_empty")]
    pub ttls: Vec<f64>,
    /// The server refused: an error without a question, or an answer with nothing in it.
    pub rejected: bool,
    /// The operation (Zeek 8 and later).
    pub opcode: u8,
    /// Its name.
    pub opcode_name: String,
}
