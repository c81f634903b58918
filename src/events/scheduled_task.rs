//! `scheduled_task` (our own): a task was made, changed, run or removed, by whatever interface (atsvc, SASec, ITaskSchedulerService) or file (.job).

use super::head::Head;
use crate::identity::account::Account;
use serde::Serialize;

/// A row of `scheduled_task`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ScheduledTask {
    /// Time of the request, and the connection.
    #[serde(flatten)]
    pub head: Head,
    /// `register`, `run`, `delete`, `enumerate`, `set_account`, ...
    pub action: String,
    /// The interface: `atsvc`, `SASec`, `ITaskSchedulerService`; `file` for a .job file or task XML that was written.
    pub via: String,
    /// The task's name or path (`\Microsoft\X`, `At1`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// With which arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_arguments: Option<String>,
    /// As whom it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Its definition, where one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml: Option<String>,
    /// Whether the server accepted it, where the answer was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Whose session it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}
