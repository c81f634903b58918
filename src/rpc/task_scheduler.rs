//! ITaskSchedulerService, the remote protocol of tasks in XML ([MS-TSCH] 3.2.5.4).

use super::described::{Described, ScheduledTask, TaskAction};
use super::exchange::{Exchange, commands, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::{Map, Value};

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("86d35949-83c9-4044-b424-db363231fd0c");

/// Names of operations that Zeek does not name ([MS-TSCH] 3.2.5.4, appendix A), by opnum.
pub const LATER_OPERATIONS: &[(u16, &str)] = &[(18, "SchRpcGetNumberOfMissedRuns"), (19, "SchRpcEnableTask")];

/// Credentials read from one registration; the specification allows one ([MS-TSCH] 3.2.5.4.2).
const CREDENTIALS_MAX: usize = 8;

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    match x.opnum {
        1 => return register(x),
        2 => {
            path(x, Some(TaskAction::Retrieved))?;
            let languages = x.request.wide_string()?;
            x.put("languages", languages);
        }
        3 => {
            path(x, None)?;
            let sddl = x.request.unique_wide_string()?;
            x.put_some("sddl", sddl);
            flags(x)?;
        }
        4 => {
            path(x, None)?;
            let sddl = x.request.wide_string()?;
            x.put("sddl", sddl);
            flags(x)?;
        }
        5 => {
            path(x, None)?;
            let information = x.request.u32()?;
            x.put("security_information", information);
        }
        6 | 7 => {
            path(x, None)?;
            flags(x)?;
            let (start, count) = (x.request.u32()?, x.request.u32()?);
            x.put("start_index", start);
            x.put("requested", count);
        }
        8 => {
            let path = x.request.unique_wide_string()?;
            x.put_some("path", path);
            flags(x)?;
        }
        9 | 10 => {
            let instance = x.request.uuid()?;
            x.put("instance", instance.to_string());
            if x.opnum == 10 {
                flags(x)?;
            }
        }
        11 => {
            let path = x.request.unique_wide_string()?;
            x.put_some("path", path.clone());
            let mut task = ScheduledTask::new(TaskAction::Stopped);
            task.path = path;
            x.described = Some(Described::ScheduledTask(task));
            flags(x)?;
        }
        12 => {
            path(x, Some(TaskAction::Run))?;
            let arguments = string_array(&mut x.request)?;
            x.put_some("arguments", arguments);
            flags(x)?;
            let session = x.request.u32()?;
            x.put("session_id", session);
            let user = x.request.unique_wide_string()?;
            x.put_some("user", user.clone());
            if let Some(Described::ScheduledTask(task)) = &mut x.described {
                task.account = user;
            }
        }
        13 => {
            path(x, Some(TaskAction::Deleted))?;
            flags(x)?;
        }
        14 => {
            path(x, Some(TaskAction::Renamed))?;
            let name = x.request.wide_string()?;
            x.put("new_name", name);
            flags(x)?;
        }
        15 | 16 | 18 => path(x, None)?,
        17 => {
            path(x, None)?;
            flags(x)?;
        }
        19 => {
            path(x, Some(TaskAction::Enabled))?;
            let enabled = x.request.u32()?;
            x.put("enabled", enabled != 0);
        }
        _ => {}
    }
    Some(())
}

/// A path, and what is done with the task there.
fn path(x: &mut Exchange<'_>, action: Option<TaskAction>) -> Option<()> {
    let path = x.request.wide_string()?;
    x.put("path", path.clone());
    if let Some(action) = action {
        let mut task = ScheduledTask::new(action);
        task.path = Some(path);
        x.described = Some(Described::ScheduledTask(task));
    }
    Some(())
}

fn flags(x: &mut Exchange<'_>) -> Option<()> {
    let flags = x.request.u32()?;
    x.put("flags", flags);
    Some(())
}

/// SchRpcRegisterTask ([MS-TSCH] 3.2.5.4.2).
fn register(x: &mut Exchange<'_>) -> Option<()> {
    let path = x.request.unique_wide_string()?;
    x.put_some("path", path.clone());
    let mut task = ScheduledTask::new(TaskAction::Registered);
    task.path = path;
    let xml = x.request.wide_string()?;
    x.put("xml", xml.clone());
    task.commands = commands(&xml);
    task.xml = Some(xml);
    x.described = Some(Described::ScheduledTask(task));
    flags(x)?;
    let sddl = x.request.unique_wide_string()?;
    x.put_some("sddl", sddl);
    let logon_type = x.request.u32()?;
    x.put("logon_type", logon_type);
    let _count = x.request.u32()?;
    let credentials = credentials(x)?;
    if let (Some(Described::ScheduledTask(task)), Some(first)) = (&mut x.described, credentials.first()) {
        task.account = first.get("user").and_then(Value::as_str).map(String::from);
    }
    if !credentials.is_empty() {
        x.put("credentials", list(credentials));
    }
    Some(())
}

/// The unique pointer to an array of TASK_USER_CRED ([MS-TSCH] 2.3.11).
fn credentials(x: &mut Exchange<'_>) -> Option<Vec<Map<String, Value>>> {
    if !x.request.pointer()? {
        return Some(Vec::new());
    }
    let count = x.request.conformance(12)?.min(CREDENTIALS_MAX);
    let mut heads = Vec::new();
    for _ in 0..count {
        x.request.align_pointer()?;
        heads.push((x.request.pointer()?, x.request.pointer()?, x.request.u32()?));
        x.request.align_pointer()?;
    }
    let mut all = Vec::new();
    for (user, password, flags) in heads {
        let mut one = Map::new();
        one.insert("flags".into(), flags.into());
        if user {
            one.insert("user".into(), x.request.wide_string()?.into());
        }
        if password {
            let text = x.request.wide_string()?;
            one.insert("password".into(), x.secret(&text, text.encode_utf16().count() * 2).into());
        }
        all.push(one);
    }
    Some(all)
}

/// A count, and the unique pointer to an array of so many pointers to strings.
fn string_array(ndr: &mut Ndr<'_>) -> Option<Option<Value>> {
    let _count = ndr.u32()?;
    if !ndr.pointer()? { Some(None) } else { strings(ndr).map(Some) }
}

/// A conformant array of unique pointers to strings.
fn strings(ndr: &mut Ndr<'_>) -> Option<Value> {
    let count = ndr.conformance(4)?;
    let mut present = Vec::new();
    for _ in 0..count {
        present.push(ndr.pointer()?);
    }
    let mut all = Vec::new();
    for present in present {
        all.push(if present { Value::from(ndr.wide_string()?) } else { Value::Null });
    }
    Some(list(all))
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    match x.opnum {
        0 => {
            let version = ndr.u32()?;
            x.answer("version", format!("{}.{}", version >> 16, version & 0xffff));
        }
        1 => {
            let path = ndr.unique_wide_string()?;
            // Where the XML is wrong, the error's place follows; it ends the answer's interest.
            let error = ndr.pointer()?;
            if !error {
                x.status()?;
            }
            if let Some(path) = path {
                x.answer("path", path.clone());
                if let Some(Described::ScheduledTask(task)) = &mut x.described {
                    task.path = Some(path);
                }
            }
            if error {
                xml_error(x)?;
                x.status()?;
            }
            return Some(());
        }
        2 => {
            let xml = ndr.unique_wide_string()?;
            if let Some(xml) = xml {
                x.answer("xml", xml.clone());
                if let Some(Described::ScheduledTask(task)) = &mut x.described {
                    task.commands = commands(&xml);
                    task.xml = Some(xml);
                }
            }
        }
        3 | 4 | 10 | 11 | 13 | 14 | 19 => {}
        5 => {
            let sddl = ndr.unique_wide_string()?;
            if let Some(sddl) = sddl {
                x.answer("sddl", sddl);
            }
        }
        6 | 7 => {
            let _start = ndr.u32()?;
            let _count = ndr.u32()?;
            let names = if ndr.pointer()? { strings(ndr)? } else { Value::Array(Vec::new()) };
            x.answer("names", names);
        }
        8 => {
            let _count = ndr.u32()?;
            if ndr.pointer()? {
                let count = ndr.conformance(16)?;
                let mut instances = Vec::new();
                for _ in 0..count {
                    instances.push(ndr.uuid()?.to_string());
                }
                x.answer("instances", list(instances));
            }
        }
        12 => {
            let instance = ndr.uuid()?;
            x.answer("instance", instance.to_string());
        }
        16 => {
            let time = system_time(ndr)?;
            let code = ndr.u32()?;
            x.answer("last_run", time);
            x.answer("last_return_code", code);
        }
        17 => {
            let (enabled, state) = (ndr.u32()?, ndr.u32()?);
            x.answer("enabled", enabled != 0);
            x.answer("state", state);
        }
        18 => {
            let missed = ndr.u32()?;
            x.answer("missed_runs", missed);
        }
        _ => return Some(()),
    }
    x.status()?;
    Some(())
}

/// TASK_XML_ERROR_INFO ([MS-TSCH] 2.3.10).
fn xml_error(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    ndr.align_pointer()?;
    let (line, column) = (ndr.u32()?, ndr.u32()?);
    let (node, value) = (ndr.pointer()?, ndr.pointer()?);
    let node = if node { Some(ndr.wide_string()?) } else { None };
    let _value = if value { Some(ndr.wide_string()?) } else { None };
    x.answer("xml_error_line", line);
    x.answer("xml_error_column", column);
    if let Some(node) = node {
        x.answer("xml_error_node", node);
    }
    Some(())
}

/// A SYSTEMTIME ([MS-DTYP] 2.3.13) as `2017-06-21T10:42:00.000`, in the server's own zone.
fn system_time(ndr: &mut Ndr<'_>) -> Option<String> {
    let mut field = || ndr.u16();
    let (year, month, _day_of_week, day) = (field()?, field()?, field()?, field()?);
    let (hour, minute, second, ms) = (field()?, field()?, field()?, field()?);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}"))
}
