//! srvsvc, the server service's remote protocol: shares and sessions ([MS-SRVS] 3.1.4).

use super::exchange::{Exchange, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::{Map, Value};

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("4b324fc8-1670-01d3-1278-5a47bf6ee188");

/// Wireshark's names of its operations.
pub const ALIASES: &[(u16, &str)] = &[
    (0, "NetCharDevEnum"),
    (8, "NetConnEnum"),
    (9, "NetFileEnum"),
    (10, "NetFileGetInfo"),
    (11, "NetFileClose"),
    (12, "NetSessEnum"),
    (13, "NetSessDel"),
    (14, "NetShareAdd"),
    (15, "NetShareEnumAll"),
    (16, "NetShareGetInfo"),
    (17, "NetShareSetInfo"),
    (18, "NetShareDel"),
    (19, "NetShareDelSticky"),
    (20, "NetShareCheck"),
    (21, "NetSrvGetInfo"),
    (22, "NetSrvSetInfo"),
    (23, "NetDiskEnum"),
    (28, "NetRemoteTOD"),
    (30, "NetPathType"),
    (31, "NetPathCanonicalize"),
    (32, "NetPathCompare"),
    (36, "NetShareEnum"),
    (39, "NetGetFileSecurity"),
    (40, "NetSetFileSecurity"),
];

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    if !matches!(x.opnum, 12..=16 | 18 | 21 | 28) {
        return Some(());
    }
    let server = x.request.unique_wide_string()?;
    x.put_some("server", server);
    match x.opnum {
        12 | 13 => {
            let (client, user) = (x.request.unique_wide_string()?, x.request.unique_wide_string()?);
            x.put_some("client", client);
            x.put_some("user", user);
            if x.opnum == 12 {
                // The level begins a structure that holds a pointer.
                x.request.align_pointer()?;
                level(x)?;
            }
        }
        15 => {
            x.request.align_pointer()?;
            level(x)?;
        }
        14 | 21 => level(x)?,
        16 => {
            let share = x.request.wide_string()?;
            x.put("share", share);
            level(x)?;
        }
        18 => {
            let share = x.request.wide_string()?;
            x.put("share", share);
        }
        _ => {}
    }
    Some(())
}

fn level(x: &mut Exchange<'_>) -> Option<()> {
    let level = x.request.u32()?;
    x.put("level", level);
    Some(())
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    match x.opnum {
        12 => {
            let (known, sessions) = entries(ndr, session_fields)?;
            x.answer("sessions", sessions);
            if !known {
                return Some(());
            }
        }
        15 => {
            let (known, shares) = entries(ndr, share_fields)?;
            x.answer("shares", shares);
            if !known {
                return Some(());
            }
        }
        13 | 18 => {
            x.status()?;
            return Some(());
        }
        _ => return Some(()),
    }
    let ndr = x.response.as_mut()?;
    let total = ndr.u32()?;
    let _resume = ndr.unique_u32()?;
    x.answer("total", total);
    x.status()?;
    Some(())
}

/// A field of an entry: a pointer to a string, or a number.
enum Field {
    Text(&'static str),
    Number(&'static str),
}

use Field::{Number, Text};

/// The fields of a share's entry at a level ([MS-SRVS] 2.2.4.22 and following), where it is known here.
fn share_fields(level: u32) -> Option<&'static [Field]> {
    Some(match level {
        0 => &[Text("name")],
        1 => &[Text("name"), Number("type"), Text("remark")],
        2 => &[
            Text("name"),
            Number("type"),
            Text("remark"),
            Number("permissions"),
            Number("uses_max"),
            Number("uses"),
            Text("path"),
            Text("password"),
        ],
        _ => return None,
    })
}

/// Likewise of a session's entry ([MS-SRVS] 2.2.4.12 and following).
fn session_fields(level: u32) -> Option<&'static [Field]> {
    Some(match level {
        0 => &[Text("client")],
        1 => &[Text("client"), Text("user"), Number("opens"), Number("seconds"), Number("idle_seconds"), Number("flags")],
        10 => &[Text("client"), Text("user"), Number("seconds"), Number("idle_seconds")],
        _ => return None,
    })
}

/// SHARE_ENUM_STRUCT or SESSION_ENUM_STRUCT: its level is known here, and its entries.
fn entries(ndr: &mut Ndr<'_>, fields: fn(u32) -> Option<&'static [Field]>) -> Option<(bool, Value)> {
    ndr.align_pointer()?;
    let level = ndr.u32()?;
    // The union is aligned as its arms are, which are pointers ([MS-RPCE] 2.2.5.3.4.4).
    ndr.align_pointer()?;
    let _which = ndr.u32()?;
    let Some(fields) = fields(level) else { return Some((false, Value::Null)) };
    if !ndr.pointer()? {
        return Some((true, Value::Array(Vec::new())));
    }
    ndr.align_pointer()?;
    let _count = ndr.u32()?;
    if !ndr.pointer()? {
        return Some((true, Value::Array(Vec::new())));
    }
    let count = ndr.conformance(4)?;
    let mut all = Vec::new();
    let mut texts = Vec::new();
    for n in 0..count {
        let mut entry = Map::new();
        ndr.align_pointer()?;
        for field in fields {
            match field {
                Number(name) => {
                    entry.insert((*name).into(), ndr.u32()?.into());
                }
                Text(name) => {
                    if ndr.pointer()? {
                        texts.push((n, *name));
                    }
                }
            }
        }
        all.push(entry);
    }
    for (n, name) in texts {
        let text = ndr.wide_string()?;
        if let Some(entry) = all.get_mut(n).filter(|_| name != "password") {
            entry.insert(name.into(), text.into());
        }
    }
    Some((true, list(all)))
}
