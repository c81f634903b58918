//! `kerberos`: one exchange (Zeek's base/protocols/krb).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `kerberos`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Kerberos {
    /// Time of the first message, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `AS`, `TGS`, `AP`; left out where only an answer that does not tell was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_type: Option<&'static str>,
    /// `name/REALM`; of an AP-REQ, which names nobody, `/REALM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whether it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// The error's text, or its name (`KDC_ERR_PREAUTH_REQUIRED`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
    /// From when a ticket is wanted, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Till when a ticket is wanted, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub till: Option<f64>,
    /// The ticket's encryption type by Zeek's name (`aes256-cts-hmac-sha1-96`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// A forwardable ticket is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwardable: Option<bool>,
    /// A renewable ticket is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable: Option<bool>,
    /// SHA-256 of the ticket that was shown (Zeek's policy script ticket-logging).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_ticket_sha256: Option<String>,
    /// SHA-256 of the ticket that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_ticket_sha256: Option<String>,
    /// Our own: the account, of an AP-REQ by the ticket that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
