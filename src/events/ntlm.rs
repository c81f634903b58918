//! `ntlm`: a logon with NTLM (Zeek's base/protocols/ntlm).

use super::head::Head;
use crate::identity::logon::Logon;
use serde::Serialize;

/// A row of `ntlm`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ntlm {
    /// Time of the first NTLM message, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// The user's name as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The workstation's name as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The domain's name as the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// MsvAvNbComputerName of the CHALLENGE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_nb_computer_name: Option<String>,
    /// MsvAvDnsComputerName of the CHALLENGE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_dns_computer_name: Option<String>,
    /// MsvAvDnsTreeName of the CHALLENGE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_tree_name: Option<String>,
    /// Whether the server accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
}

impl Ntlm {
    /// The row of a logon; `None` where it did not use NTLM.
    pub fn of(head: Head, logon: &Logon) -> Option<Ntlm> {
        let facts = logon.ntlm.as_ref()?;
        let server = facts.server.clone().unwrap_or_default();
        Some(Ntlm {
            head,
            username: facts.user.clone(),
            hostname: facts.workstation.clone(),
            domainname: facts.domain.clone(),
            server_nb_computer_name: server.nb_computer_name,
            server_dns_computer_name: server.dns_computer_name,
            server_tree_name: server.dns_tree_name,
            success: logon.success,
        })
    }
}
