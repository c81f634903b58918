//! atsvc, the AT service's remote protocol ([MS-TSCH] 3.2.5.2).

use super::described::{Command, Described, ScheduledTask, TaskAction};
use super::exchange::{Exchange, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::{Map, Value};

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("1ff70682-0a51-30e8-076d-740be8cee98b");

/// Wireshark's names of its operations.
pub const ALIASES: &[&str] = &["JobAdd", "JobDel", "JobEnum", "JobGetInfo"];

/// The file in the task folder that a job is kept in ([MS-TSCH] 3.2.5.2.1).
pub fn job_file(job_id: u32) -> String {
    format!("At{job_id}.job")
}

/// The fixed part of AT_INFO ([MS-TSCH] 2.3.4), or of AT_ENUM (2.3.6) after its number: whether a command follows.
fn job(ndr: &mut Ndr<'_>, into: &mut Map<String, Value>) -> Option<bool> {
    into.insert("job_time_ms".into(), ndr.u3264()?.into());
    into.insert("days_of_month".into(), ndr.u32()?.into());
    into.insert("days_of_week".into(), ndr.u8()?.into());
    into.insert("flags".into(), ndr.u8()?.into());
    ndr.pointer()
}

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    let server = x.request.unique_wide_string()?;
    x.put_some("server", server);
    match x.opnum {
        0 => {
            let mut task = ScheduledTask::new(TaskAction::Registered);
            let command = job_info(&mut x.request, &mut x.arguments)?;
            task.commands = command.map(|command| Command { command, arguments: None }).into_iter().collect();
            x.described = Some(Described::ScheduledTask(task));
        }
        1 => {
            let (first, last) = (x.request.u32()?, x.request.u32()?);
            x.put("first_job_id", first);
            x.put("last_job_id", last);
            let mut task = ScheduledTask::new(TaskAction::Deleted);
            if first == last {
                task.job_id = Some(first);
                task.path = Some(job_file(first));
            }
            x.described = Some(Described::ScheduledTask(task));
        }
        3 => {
            let id = x.request.u32()?;
            x.put("job_id", id);
            let mut task = ScheduledTask::new(TaskAction::Retrieved);
            task.job_id = Some(id);
            task.path = Some(job_file(id));
            x.described = Some(Described::ScheduledTask(task));
        }
        _ => {}
    }
    Some(())
}

/// An AT_INFO and its command.
fn job_info(ndr: &mut Ndr<'_>, into: &mut Map<String, Value>) -> Option<Option<String>> {
    ndr.align_pointer()?;
    if !job(ndr, into)? {
        return Some(None);
    }
    let command = ndr.wide_string()?;
    into.insert("command".into(), command.clone().into());
    Some(Some(command))
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    match x.opnum {
        0 => {
            let id = ndr.u32()?;
            let succeeded = x.status()?;
            // A refused job has no number: the server leaves whatever was in its place.
            if succeeded {
                x.answer("job_id", id);
                x.answer("file", job_file(id));
                if let Some(Described::ScheduledTask(task)) = &mut x.described {
                    task.job_id = Some(id);
                    task.path = Some(job_file(id));
                }
            }
        }
        1 => {
            x.status()?;
        }
        2 => {
            let jobs = jobs(ndr)?;
            x.answer("jobs", jobs);
            let ndr = x.response.as_mut()?;
            let total = ndr.u32()?;
            let _resume = ndr.unique_u32()?;
            x.answer("total", total);
            x.status()?;
        }
        3 => {
            if ndr.pointer()? {
                let command = job_info(ndr, &mut x.answer)?;
                if let Some(Described::ScheduledTask(task)) = &mut x.described {
                    task.commands = command.map(|command| Command { command, arguments: None }).into_iter().collect();
                }
            }
            x.status()?;
        }
        _ => {}
    }
    Some(())
}

/// An AT_ENUM_CONTAINER ([MS-TSCH] 2.3.7).
fn jobs(ndr: &mut Ndr<'_>) -> Option<Value> {
    ndr.align_pointer()?;
    let _entries = ndr.u32()?;
    if !ndr.pointer()? {
        return Some(Value::Array(Vec::new()));
    }
    let count = ndr.conformance(20)?;
    let mut jobs = Vec::new();
    let mut commands = Vec::new();
    for _ in 0..count {
        let mut entry = Map::new();
        ndr.align_pointer()?;
        entry.insert("job_id".into(), ndr.u32()?.into());
        commands.push(job(ndr, &mut entry)?);
        entry.insert("file".into(), entry.get("job_id").and_then(Value::as_u64).map(|id| format!("At{id}.job")).into());
        jobs.push(entry);
    }
    for (entry, _) in jobs.iter_mut().zip(&commands).filter(|pair| *pair.1) {
        entry.insert("command".into(), ndr.wide_string()?.into());
    }
    Some(list(jobs))
}
