//! `service` (our own): a Windows service was made, started, changed, stopped or removed (svcctl, [MS-SCMR]).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `service`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Service {
    /// Time of the request, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `create`, `start`, `change`, `stop`, `delete`.
    pub action: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_path: Option<String>,
    /// As whom it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Whether the server accepted it, where the answer was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
