//! winreg, the registry's remote protocol ([MS-RRP] 3.1.5).

use super::exchange::{Exchange, Named, hex, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::Value;

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("338cd001-2244-31f1-aaaa-900038001003");

/// Wireshark's names of its operations, by opnum.
pub const ALIASES: &[&str] = &[
    "OpenHKCR",
    "OpenHKCU",
    "OpenHKLM",
    "OpenHKPD",
    "OpenHKU",
    "CloseKey",
    "CreateKey",
    "DeleteKey",
    "DeleteValue",
    "EnumKey",
    "EnumValue",
    "FlushKey",
    "GetKeySecurity",
    "LoadKey",
    "NotifyChangeKeyValue",
    "OpenKey",
    "QueryInfoKey",
    "QueryValue",
    "ReplaceKey",
    "RestoreKey",
    "SaveKey",
    "SetKeySecurity",
    "SetValue",
    "UnLoadKey",
    "InitiateSystemShutdown",
    "AbortSystemShutdown",
    "GetVersion",
    "OpenHKCC",
    "OpenHKDD",
    "QueryMultipleValues",
    "InitiateSystemShutdownEx",
    "SaveKeyEx",
    "OpenHKPT",
    "OpenHKPN",
    "QueryMultipleValues2",
    "DeleteKeyEx",
];

/// The predefined key that an operation opens ([MS-RRP] 3.1.5.1 and following).
fn root(opnum: u16) -> Option<&'static str> {
    Some(match opnum {
        0 => "HKEY_CLASSES_ROOT",
        1 => "HKEY_CURRENT_USER",
        2 => "HKEY_LOCAL_MACHINE",
        3 => "HKEY_PERFORMANCE_DATA",
        4 => "HKEY_USERS",
        27 => "HKEY_CURRENT_CONFIG",
        32 => "HKEY_PERFORMANCE_TEXT",
        33 => "HKEY_PERFORMANCE_NLSTEXT",
        _ => return None,
    })
}

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    if let Some(root) = root(x.opnum) {
        x.subject.name = root.into();
        // PREGISTRY_SERVER_NAME points to one character ([MS-RRP] 2.2.2).
        if x.request.pointer()? {
            x.request.u16()?;
        }
        let access = x.request.u32()?;
        x.put("access", access);
        return Some(());
    }
    match x.opnum {
        5 => {
            let handle = x.request.handle()?;
            if let Some(named) = x.handles.get(&handle).cloned() {
                x.put("key", named.name);
            }
            x.handles.remove(&handle);
        }
        6 => {
            sub_key(x)?;
            let class = x.request.counted_string()?;
            if !class.is_empty() {
                x.put("class", class);
            }
            let (options, access) = (x.request.u32()?, x.request.u32()?);
            x.put("options", options);
            x.put("access", access);
        }
        7 | 35 => sub_key(x)?,
        8 | 17 => {
            x.handle("key")?;
            let value = x.request.counted_string()?;
            x.put("value", value);
        }
        9 | 10 => {
            x.handle("key")?;
            let index = x.request.u32()?;
            x.put("index", index);
        }
        13 => {
            sub_key(x)?;
            file(x)?;
        }
        15 => {
            sub_key(x)?;
            let (options, access) = (x.request.u32()?, x.request.u32()?);
            x.put("options", options);
            x.put("access", access);
        }
        16 => {
            x.handle("key")?;
        }
        18 => {
            sub_key(x)?;
            file(x)?;
            let old = x.request.counted_string()?;
            x.put("old_file", old);
        }
        19 | 20 | 31 => {
            x.handle("key")?;
            file(x)?;
        }
        22 => {
            x.handle("key")?;
            let value = x.request.counted_string()?;
            x.put("value", value);
            let kind = x.request.u32()?;
            x.put("type", type_name(kind));
            let data = x.request.byte_array()?;
            let data = render(kind, data);
            x.put("data", data);
        }
        23 => sub_key(x)?,
        _ => {}
    }
    Some(())
}

/// A key's handle and the name of a key below it; their path is the call's subject.
fn sub_key(x: &mut Exchange<'_>) -> Option<()> {
    let parent = x.request.handle()?;
    let name = x.request.counted_string()?;
    let path = match x.handles.get(&parent) {
        Some(parent) if name.is_empty() => parent.name.clone(),
        Some(parent) if !parent.name.is_empty() => format!("{}\\{name}", parent.name),
        _ => name,
    };
    x.subject = Named { name: path.clone(), binary_path: None };
    x.put("key", path);
    Some(())
}

fn file(x: &mut Exchange<'_>) -> Option<()> {
    let file = x.request.counted_string()?;
    x.put("file", file);
    Some(())
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    if root(x.opnum).is_some() {
        x.opened()?;
        x.status()?;
        return Some(());
    }
    match x.opnum {
        5 => {
            let _handle = ndr.handle()?;
        }
        6 => {
            x.opened()?;
            let disposition = x.response.as_mut()?.unique_u32()?;
            // 1: a new key ([MS-RRP] 3.1.5.7).
            if let Some(disposition) = disposition {
                x.answer("created", disposition == 1);
            }
        }
        15 => x.opened()?,
        7 | 8 | 13 | 18 | 19 | 20 | 22 | 23 | 31 | 35 => {}
        9 => {
            let name = ndr.counted_string()?;
            x.answer("name", name);
            return Some(());
        }
        17 => {
            let kind = ndr.unique_u32()?;
            let data = if ndr.pointer()? {
                let count = ndr.variance(1)?;
                Some(ndr.take(count)?)
            } else {
                None
            };
            let rendered = match (kind, data) {
                (Some(kind), Some(data)) if !data.is_empty() => Some(render(kind, data)),
                _ => None,
            };
            let (_size, _length) = (ndr.unique_u32()?, ndr.unique_u32()?);
            if let Some(kind) = kind {
                x.answer("type", type_name(kind));
            }
            if let Some(data) = rendered {
                x.answer("data", data);
            }
        }
        26 => {
            let version = ndr.u32()?;
            x.answer("version", version);
        }
        _ => return Some(()),
    }
    x.status()?;
    Some(())
}

/// A value type by name, or by number ([MS-RRP] 3.1.1.5).
fn type_name(kind: u32) -> Value {
    let names = [
        "REG_NONE",
        "REG_SZ",
        "REG_EXPAND_SZ",
        "REG_BINARY",
        "REG_DWORD",
        "REG_DWORD_BIG_ENDIAN",
        "REG_LINK",
        "REG_MULTI_SZ",
        "REG_RESOURCE_LIST",
        "REG_FULL_RESOURCE_DESCRIPTOR",
        "REG_RESOURCE_REQUIREMENTS_LIST",
        "REG_QWORD",
    ];
    match usize::try_from(kind).ok().and_then(|k| names.get(k)) {
        Some(name) => (*name).into(),
        None => kind.into(),
    }
}

/// A value's data as its type says, else in hexadecimal. Data are little-endian whatever the sender's byte order is.
fn render(kind: u32, data: &[u8]) -> Value {
    let text = Ndr::new(&[], true, false);
    match kind {
        1 | 2 | 6 => text.utf16(data).into(),
        4 if data.len() == 4 => data.first_chunk().map_or(Value::Null, |b| u32::from_le_bytes(*b).into()),
        5 if data.len() == 4 => data.first_chunk().map_or(Value::Null, |b| u32::from_be_bytes(*b).into()),
        11 if data.len() == 8 => data.first_chunk().map_or(Value::Null, |b| u64::from_le_bytes(*b).into()),
        7 => {
            let mut strings = Vec::new();
            let mut one = Vec::new();
            for unit in data.chunks_exact(2) {
                if unit != [0, 0] {
                    one.extend_from_slice(unit);
                } else if !one.is_empty() {
                    strings.push(text.utf16(&one));
                    one.clear();
                }
            }
            if !one.is_empty() {
                strings.push(text.utf16(&one));
            }
            list(strings)
        }
        _ => hex(data).into(),
    }
}
