//! SASec, the scheduler agent's remote protocol: the accounts that .job tasks run as ([MS-TSCH] 3.2.5.3).

use super::described::{Described, ScheduledTask, TaskAction};
use super::exchange::Exchange;
use super::uuid::Uuid;

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("378e52b0-c0a9-11cf-822d-00aa0051e40f");

/// Wireshark's names of its operations.
pub const ALIASES: &[&str] =
    &["SetAccountInformation", "SetNSAccountInformation", "GetNSAccountInformation", "GetAccountInformation"];

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    let server = x.request.unique_wide_string()?;
    x.put_some("server", server);
    let mut task = ScheduledTask::new(TaskAction::AccountSet);
    match x.opnum {
        0 | 1 => {
            if x.opnum == 0 {
                let job = x.request.wide_string()?;
                x.put("job", job.clone());
                task.path = Some(job);
            }
            // The job's account is a reference pointer, the service's a unique one.
            let account = if x.opnum == 0 { Some(x.request.wide_string()?) } else { x.request.unique_wide_string()? };
            x.put_some("account", account.clone());
            task.account = account;
            password(x)?;
            if x.opnum == 0 {
                x.described = Some(Described::ScheduledTask(task));
                let flags = x.request.u32()?;
                x.put("flags", flags);
            } else {
                x.described = Some(Described::ScheduledTask(task));
            }
        }
        2 => {
            let characters = x.request.u32()?;
            x.put("buffer_characters", characters);
        }
        3 => {
            let job = x.request.wide_string()?;
            x.put("job", job);
            let characters = x.request.u32()?;
            x.put("buffer_characters", characters);
        }
        _ => {}
    }
    Some(())
}

/// The unique pointer to a password.
fn password(x: &mut Exchange<'_>) -> Option<()> {
    let password = x.request.unique_wide_string()?;
    if let Some(password) = password {
        let told = x.secret(&password, password.encode_utf16().count() * 2);
        x.put("password", told);
    }
    Some(())
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    if matches!(x.opnum, 2 | 3) {
        let ndr = x.response.as_mut()?;
        let count = ndr.conformance(2)?;
        let bytes = ndr.take(count.checked_mul(2)?)?;
        let account = ndr.utf16(bytes);
        x.answer("account", account);
    }
    if x.opnum <= 3 {
        x.status()?;
    }
    Some(())
}
