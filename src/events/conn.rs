//! `conn`: a connection from its first packet to its last (Zeek's base/protocols/conn).

use super::head::Head;
use serde::Serialize;

/// A row of `conn`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Conn {
    /// Time of the first packet, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `tcp`, `udp`, `icmp`.
    pub proto: &'static str,
    /// Protocols that were found, comma-separated, as Zeek names them (`gssapi,smb,dce_rpc`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Seconds from the first packet to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Payload bytes that the originator sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_bytes: Option<u64>,
    /// Payload bytes that the responder sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resp_bytes: Option<u64>,
    /// `S0`, `S1`, `SF`, `REJ`, `S2`, `S3`, `RSTO`, `RSTR`, `RSTOS0`, `RSTRH`, `SH`, `SHR`, `OTH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn_state: Option<&'static str>,
    /// The originator's address is a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_orig: Option<bool>,
    /// The responder's address is a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_resp: Option<bool>,
    /// Bytes in content gaps.
    pub missed_bytes: u64,
    /// Zeek's letters: `ShADadFf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// Packets that the originator sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_pkts: Option<u64>,
    /// Their bytes from the IP header on, by its length field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_ip_bytes: Option<u64>,
    /// Packets that the responder sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resp_pkts: Option<u64>,
    /// Their bytes from the IP header on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resp_ip_bytes: Option<u64>,
    /// uids of the tunnels it ran in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnel_parents: Vec<String>,
    /// The IP header's protocol number (Zeek 7.1 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_proto: Option<u8>,
    /// The flow's Community ID (Zeek's policy script of this name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
}
