//! What a decoded call means for the two things that intruders leave behind: scheduled tasks and services.

/// What a call did, or asked for, with a task or a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Described {
    /// A scheduled task.
    ScheduledTask(ScheduledTask),
    /// A service.
    Service(Service),
}

/// What is done with a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskAction {
    /// Added or registered, or replaced.
    Registered,
    /// Its account was set.
    AccountSet,
    /// Started at once.
    Run,
    /// Its instances were stopped.
    Stopped,
    /// Enabled or disabled.
    Enabled,
    /// Renamed.
    Renamed,
    /// Deleted.
    Deleted,
    /// Read: the answer tells its definition.
    Retrieved,
}

/// A scheduled task, as far as one call tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduledTask {
    /// What is done with it.
    pub action: TaskAction,
    /// Its path in the task folder (`\name`), or the file of an AT job (`At1.job`).
    pub path: Option<String>,
    /// An AT job's number.
    pub job_id: Option<u32>,
    /// The commands that it runs, with their arguments.
    pub commands: Vec<Command>,
    /// Its definition.
    pub xml: Option<String>,
    /// The account it runs as.
    pub account: Option<String>,
    /// The answer says success; `None` where no answer was seen.
    pub succeeded: Option<bool>,
}

/// A command line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// The program, or the whole line where it was told in one.
    pub command: String,
    /// Its arguments.
    pub arguments: Option<String>,
}

impl ScheduledTask {
    /// A task of which only the action is known.
    pub(super) fn new(action: TaskAction) -> ScheduledTask {
        ScheduledTask { action, path: None, job_id: None, commands: Vec::new(), xml: None, account: None, succeeded: None }
    }
}

/// What is done with a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServiceAction {
    /// Created.
    Created,
    /// Its configuration was changed.
    Changed,
    /// Started.
    Started,
    /// Told to stop.
    Stopped,
    /// Sent another control.
    Controlled,
    /// Deleted.
    Deleted,
}

/// A service, as far as one call, and the opens before it, tell of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// What is done with it.
    pub action: ServiceAction,
    /// Its name.
    pub name: Option<String>,
    /// Its display name.
    pub display_name: Option<String>,
    /// The command line of its program.
    pub binary_path: Option<String>,
    /// dwServiceType ([MS-SCMR] 3.1.4.12).
    pub service_type: Option<u32>,
    /// dwStartType: 2 automatic, 3 on demand, 4 disabled.
    pub start_type: Option<u32>,
    /// The account it runs as.
    pub account: Option<String>,
    /// The arguments it was started with.
    pub arguments: Vec<String>,
    /// The answer says success; `None` where no answer was seen.
    pub succeeded: Option<bool>,
}

impl Service {
    /// A service of which only the action is known.
    pub(super) fn new(action: ServiceAction) -> Service {
        Service {
            action,
            name: None,
            display_name: None,
            binary_path: None,
            service_type: None,
            start_type: None,
            account: None,
            arguments: Vec::new(),
            succeeded: None,
        }
    }
}
