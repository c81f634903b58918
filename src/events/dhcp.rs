//! `dhcp`: a conversation about a lease (Zeek's base/protocols/dhcp).

use super::head::Moment;
use serde::Serialize;
use std::net::IpAddr;

/// A row of `dhcp`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Dhcp {
    /// Time of the first message.
    #[serde(flatten)]
    pub moment: Moment,
    /// The connections it ran over.
    pub uids: Vec<String>,
    /// The client's address: as it used it, else as it was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_addr: Option<IpAddr>,
    /// The server that handed out the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_addr: Option<IpAddr>,
    /// The client's hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The client's name (option 12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// The client's full name (option 81).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_fqdn: Option<String>,
    /// The domain that the server gives (option 15).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The address that the client asks for (option 50).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_addr: Option<IpAddr>,
    /// The address that the server assigns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_addr: Option<IpAddr>,
    /// For how many seconds (option 51).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_time: Option<f64>,
    /// The client's message (option 56).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_message: Option<String>,
    /// The server's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_message: Option<String>,
    /// What was said, in order: `DISCOVER`, `OFFER`, ...
    pub msg_types: Vec<String>,
    /// Seconds from the first message to the last.
    pub duration: f64,
}
