//! svcctl, the service control manager's remote protocol ([MS-SCMR] 3.1.4).

use super::described::{Described, Service, ServiceAction};
use super::exchange::{Exchange, Named, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::Value;

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("367abb81-9844-35f1-ad32-98f038001003");

/// Names of operations that Zeek does not name ([MS-SCMR] 3.1.4), by opnum.
pub const LATER_OPERATIONS: &[(u16, &str)] = &[(56, "GetServiceConfig"), (60, "CreateWowService"), (64, "OpenSCManager2")];

/// Code of the control that stops a service ([MS-SCMR] 3.1.4.2).
const CONTROL_STOP: u32 = 1;

/// "Leave it as it is" in a change of configuration ([MS-SCMR] 3.1.4.11).
const NO_CHANGE: u32 = 0xffff_ffff;

/// Strings are of UTF-16, or of bytes.
#[derive(Clone, Copy)]
enum Width {
    Wide,
    Narrow,
}

impl Width {
    fn string(self, ndr: &mut Ndr<'_>) -> Option<String> {
        match self {
            Width::Wide => ndr.wide_string(),
            Width::Narrow => ndr.narrow_string(),
        }
    }

    fn unique(self, ndr: &mut Ndr<'_>) -> Option<Option<String>> {
        if ndr.pointer()? { self.string(ndr).map(Some) } else { Some(None) }
    }

    /// The names in a list that two NULs end.
    fn multiple(self, ndr: &Ndr<'_>, bytes: &[u8]) -> Vec<String> {
        let unit = match self {
            Width::Wide => 2,
            Width::Narrow => 1,
        };
        let mut names = Vec::new();
        let mut name = Vec::new();
        for c in bytes.chunks_exact(unit) {
            if c.iter().any(|b| *b != 0) {
                name.extend_from_slice(c);
            } else if !name.is_empty() {
                names.push(match self {
                    Width::Wide => ndr.utf16(&name),
                    Width::Narrow => name.iter().map(|b| char::from(*b)).collect(),
                });
                name.clear();
            }
        }
        names
    }
}

fn width(opnum: u16) -> Width {
    if matches!(opnum, 23 | 24 | 27 | 28 | 31 | 36 | 44) { Width::Narrow } else { Width::Wide }
}

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    let width = width(x.opnum);
    match x.opnum {
        0 => {
            let handle = x.request.handle()?;
            if let Some(named) = x.handles.get(&handle).cloned() {
                x.put("service", named.name);
            }
            x.handles.remove(&handle);
        }
        1 => {
            let named = x.handle("service")?;
            let control = x.request.u32()?;
            x.put("control", control);
            let action = if control == CONTROL_STOP { ServiceAction::Stopped } else { ServiceAction::Controlled };
            describe(x, action, named);
        }
        2 => {
            let named = x.handle("service")?;
            describe(x, ServiceAction::Deleted, named);
        }
        6 | 17 | 39 | 40 => {
            x.handle("service")?;
        }
        11 | 23 => {
            let named = x.handle("service")?;
            describe(x, ServiceAction::Changed, named);
            configuration(x, width, false)?;
        }
        12 | 24 | 44 | 45 | 60 => {
            let _manager = x.request.handle()?;
            let name = width.string(&mut x.request)?;
            x.put("service", name.clone());
            x.subject = Named { name: name.clone(), binary_path: None };
            describe(x, ServiceAction::Created, x.subject.clone());
            let display = width.unique(&mut x.request)?;
            x.put_some("display_name", display.clone());
            with_service(x, |s| s.display_name = display);
            let access = x.request.u32()?;
            x.put("access", access);
            configuration(x, width, true)?;
        }
        36 | 37 => {
            let named = x.handle("service")?;
            describe(x, ServiceAction::Changed, named);
            further_configuration(x, width)?;
        }
        15 | 27 => {
            let machine = width.unique(&mut x.request)?;
            x.put_some("machine", machine);
            manager(x, width)?;
        }
        64 => manager(x, width)?,
        16 | 28 => {
            let _manager = x.request.handle()?;
            let name = width.string(&mut x.request)?;
            x.put("service", name.clone());
            x.subject = Named { name, binary_path: None };
            let access = x.request.u32()?;
            x.put("access", access);
        }
        19 | 31 => {
            let named = x.handle("service")?;
            describe(x, ServiceAction::Started, named);
            let _count = x.request.u32()?;
            if x.request.pointer()? {
                let arguments = strings(&mut x.request, width)?;
                x.put("arguments", list(arguments.clone()));
                with_service(x, |s| s.arguments = arguments);
            }
        }
        _ => {}
    }
    Some(())
}

/// A database and an access mask.
fn manager(x: &mut Exchange<'_>, width: Width) -> Option<()> {
    let database = width.unique(&mut x.request)?;
    x.put_some("database", database);
    let access = x.request.u32()?;
    x.put("access", access);
    Some(())
}

fn describe(x: &mut Exchange<'_>, action: ServiceAction, named: Named) {
    let mut service = Service::new(action);
    service.name = (!named.name.is_empty()).then_some(named.name);
    service.binary_path = named.binary_path;
    x.described = Some(Described::Service(service));
}

fn with_service(x: &mut Exchange<'_>, change: impl FnOnce(&mut Service)) {
    if let Some(Described::Service(service)) = &mut x.described {
        change(service);
    }
}

/// What CreateService and ChangeServiceConfig share ([MS-SCMR] 3.1.4.11, 3.1.4.12), from the type on.
fn configuration(x: &mut Exchange<'_>, width: Width, created: bool) -> Option<()> {
    let (kind, start, error) = (x.request.u32()?, x.request.u32()?, x.request.u32()?);
    for (name, value) in [("service_type", kind), ("start_type", start), ("error_control", error)] {
        if value != NO_CHANGE {
            x.put(name, value);
        }
    }
    let binary = if created { Some(width.string(&mut x.request)?) } else { width.unique(&mut x.request)? };
    x.put_some("binary_path", binary.clone());
    x.subject.binary_path.clone_from(&binary);
    with_service(x, |s| {
        s.service_type = (kind != NO_CHANGE).then_some(kind);
        s.start_type = (start != NO_CHANGE).then_some(start);
        s.binary_path = binary.or(s.binary_path.take());
    });
    let group = width.unique(&mut x.request)?;
    x.put_some("load_order_group", group);
    let tag = x.request.unique_u32()?;
    x.put_some("tag", tag);
    let depends = x.request.unique_byte_array()?;
    let _depend_bytes = x.request.u32()?;
    if let Some(depends) = depends {
        let names = width.multiple(&x.request, depends);
        x.put("dependencies", list(names));
    }
    let account = width.unique(&mut x.request)?;
    x.put_some("account", account.clone());
    with_service(x, |s| s.account = account);
    let password = x.request.unique_byte_array()?;
    let _password_bytes = x.request.u32()?;
    if let Some(password) = password {
        let text = match width {
            Width::Wide => x.request.utf16(password),
            Width::Narrow => password.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect(),
        };
        let told = x.secret(&text, password.len());
        x.put("password", told);
    }
    if !created {
        let display = width.unique(&mut x.request)?;
        x.put_some("display_name", display.clone());
        with_service(x, |s| s.display_name = display);
    }
    Some(())
}

/// SC_RPC_CONFIG_INFO ([MS-SCMR] 2.2.22): a description, or what is done, and which command is run, when the service fails.
fn further_configuration(x: &mut Exchange<'_>, width: Width) -> Option<()> {
    x.request.align_pointer()?;
    let level = x.request.u32()?;
    x.put("level", level);
    x.request.align_pointer()?;
    let _which = x.request.u32()?;
    if !x.request.pointer()? || !matches!(level, 1 | 2) {
        return Some(());
    }
    x.request.align_pointer()?;
    if level == 1 {
        let description = width.unique(&mut x.request)?;
        x.put_some("description", description);
        return Some(());
    }
    let reset_seconds = x.request.u32()?;
    let (message, command) = (x.request.pointer()?, x.request.pointer()?);
    let _actions = (x.request.u32()?, x.request.pointer()?);
    x.put("reset_seconds", reset_seconds);
    if message {
        let message = width.string(&mut x.request)?;
        x.put("reboot_message", message);
    }
    if command {
        let command = width.string(&mut x.request)?;
        x.put("failure_command", command);
    }
    Some(())
}

/// A conformant array of structures that hold a pointer to a string each ([MS-SCMR] 2.2.23).
fn strings(ndr: &mut Ndr<'_>, width: Width) -> Option<Vec<String>> {
    let count = ndr.conformance(4)?;
    let mut present = 0;
    for _ in 0..count {
        present += usize::from(ndr.pointer()?);
    }
    (0..present).map(|_| width.string(ndr)).collect()
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    match x.opnum {
        0 => {
            let _handle = ndr.handle()?;
        }
        2 | 19 | 31 | 36 | 37 => {}
        1 | 6 => {
            // SERVICE_STATUS ([MS-SCMR] 2.2.47).
            let (_kind, state) = (ndr.u32()?, ndr.u32()?);
            for _ in 0..5 {
                ndr.u32()?;
            }
            x.answer("state", state_name(state));
        }
        11 | 23 => {
            let _tag = ndr.unique_u32()?;
        }
        12 | 24 | 44 | 45 | 60 => {
            let _tag = ndr.unique_u32()?;
            x.opened()?;
        }
        15 | 16 | 27 | 28 | 64 => x.opened()?,
        _ => return Some(()),
    }
    x.status()?;
    Some(())
}

/// dwCurrentState by name, or by number.
fn state_name(state: u32) -> Value {
    match state {
        1 => "stopped".into(),
        2 => "start_pending".into(),
        3 => "stop_pending".into(),
        4 => "running".into(),
        5 => "continue_pending".into(),
        6 => "pause_pending".into(),
        7 => "paused".into(),
        n => n.into(),
    }
}
