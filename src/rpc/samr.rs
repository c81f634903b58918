//! samr, the account database's remote protocol ([MS-SAMR] 3.1.5): who is asked for, made and changed.

use super::exchange::{Exchange, Named, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::{Map, Value};

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("12345778-1234-abcd-ef00-0123456789ac");

/// Wireshark's names of its operations, by opnum.
pub const ALIASES: &[&str] = &[
    "Connect",
    "Close",
    "SetSecurity",
    "QuerySecurity",
    "Shutdown",
    "LookupDomain",
    "EnumDomains",
    "OpenDomain",
    "QueryDomainInfo",
    "SetDomainInfo",
    "CreateDomainGroup",
    "EnumDomainGroups",
    "CreateUser",
    "EnumDomainUsers",
    "CreateDomAlias",
    "EnumDomainAliases",
    "GetAliasMembership",
    "LookupNames",
    "LookupRids",
    "OpenGroup",
    "QueryGroupInfo",
    "SetGroupInfo",
    "AddGroupMember",
    "DeleteDomainGroup",
    "DeleteGroupMember",
    "QueryGroupMember",
    "SetMemberAttributesOfGroup",
    "OpenAlias",
    "QueryAliasInfo",
    "SetAliasInfo",
    "DeleteDomAlias",
    "AddAliasMember",
    "DeleteAliasMember",
    "GetMembersInAlias",
    "OpenUser",
    "DeleteUser",
    "QueryUserInfo",
    "SetUserInfo",
    "ChangePasswordUser",
    "GetGroupsForUser",
    "QueryDisplayInfo",
    "GetDisplayEnumerationIndex",
    "TestPrivateFunctionsDomain",
    "TestPrivateFunctionsUser",
    "GetUserPwInfo",
    "RemoveMemberFromForeignDomain",
    "QueryDomainInfo2",
    "QueryUserInfo2",
    "QueryDisplayInfo2",
    "GetDisplayEnumerationIndex2",
    "CreateUser2",
    "QueryDisplayInfo3",
    "AddMultipleMembersToAlias",
    "RemoveMultipleMembersFromAlias",
    "OemChangePasswordUser2",
    "ChangePasswordUser2",
    "GetDomPwInfo",
    "Connect2",
    "SetUserInfo2",
    "SetBootKeyInformation",
    "GetBootKeyInformation",
    "Connect3",
    "Connect4",
    "ChangePasswordUser3",
    "Connect5",
    "RidToSid",
    "SetDsrmPassword",
    "ValidatePassword",
];

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    match x.opnum {
        0 => {
            // PSAMPR_SERVER_NAME of this operation points to one character ([MS-SAMR] 3.1.5.1.4).
            if x.request.pointer()? {
                x.request.u16()?;
            }
            access(x)?;
        }
        57 | 64 => {
            server(x)?;
            access(x)?;
        }
        61 | 62 => {
            server(x)?;
            let revision = x.request.u32()?;
            x.put("client_revision", revision);
            access(x)?;
        }
        1 => {
            let handle = x.request.handle()?;
            if let Some(named) = x.handles.get(&handle).cloned() {
                x.put("object", named.name);
            }
            x.handles.remove(&handle);
        }
        5 => {
            let _server = x.request.handle()?;
            let name = x.request.counted_string()?;
            x.put("domain", name);
        }
        7 => {
            let _server = x.request.handle()?;
            access(x)?;
            let sid = x.request.sid()?;
            x.put("domain", sid.clone());
            x.subject.name = sid;
        }
        10 | 14 => {
            x.handle("domain")?;
            name(x)?;
            access(x)?;
        }
        12 => {
            x.handle("domain")?;
            name(x)?;
            access(x)?;
        }
        50 => {
            x.handle("domain")?;
            name(x)?;
            let kind = x.request.u32()?;
            x.put("account_type", kind);
            access(x)?;
        }
        11 | 13 | 15 => {
            x.handle("domain")?;
        }
        17 => {
            x.handle("domain")?;
            let _count = x.request.u32()?;
            let count = x.request.variance(8)?;
            let names = names(&mut x.request, count)?;
            x.put("names", list(names));
        }
        18 => {
            x.handle("domain")?;
            let _count = x.request.u32()?;
            let count = x.request.variance(4)?;
            let ids: Option<Vec<u32>> = (0..count).map(|_| x.request.u32()).collect();
            x.put("rids", list(ids?));
        }
        19 | 27 | 34 => {
            let domain = x.handle("domain")?;
            access(x)?;
            let rid = x.request.u32()?;
            x.put("rid", rid);
            x.subject.name = if domain.name.is_empty() { format!("RID {rid}") } else { format!("{}-{rid}", domain.name) };
        }
        20 | 21 | 28 | 29 | 36 | 37 | 47 | 58 => {
            x.handle("object")?;
            let class = x.request.enum16()?;
            x.put("information_class", class);
        }
        22 | 24 => {
            x.handle("object")?;
            let member = x.request.u32()?;
            x.put("member_rid", member);
        }
        31 | 32 => {
            x.handle("object")?;
            let member = x.request.sid()?;
            x.put("member", member);
        }
        23 | 25 | 30 | 33 | 35 | 39 => {
            x.handle("object")?;
        }
        54 | 55 => {
            // The server's name, then the account's; what follows is the new password, encrypted with the old one.
            if x.request.pointer()? {
                let server = if x.opnum == 55 { x.request.counted_string()? } else { narrow_counted(&mut x.request)? };
                x.put("server", server);
            }
            let account = if x.opnum == 55 { x.request.counted_string()? } else { narrow_counted(&mut x.request)? };
            x.put("name", account);
        }
        _ => {}
    }
    Some(())
}

fn server(x: &mut Exchange<'_>) -> Option<()> {
    let server = x.request.unique_wide_string()?;
    x.put_some("server", server);
    Some(())
}

fn access(x: &mut Exchange<'_>) -> Option<()> {
    let access = x.request.u32()?;
    x.put("access", access);
    Some(())
}

/// The name of what is made, which is the call's subject.
fn name(x: &mut Exchange<'_>) -> Option<()> {
    let name = x.request.counted_string()?;
    x.put("name", name.clone());
    x.subject = Named { name, binary_path: None };
    Some(())
}

/// An RPC_STRING: as [`Ndr::counted_string`], of bytes.
fn narrow_counted(ndr: &mut Ndr<'_>) -> Option<String> {
    if ndr.counted_string_head()? { ndr.narrow_string() } else { Some(String::new()) }
}

/// So many RPC_UNICODE_STRINGs of an array: their fixed parts, then their buffers.
fn names(ndr: &mut Ndr<'_>, count: usize) -> Option<Vec<String>> {
    let mut present = Vec::new();
    for _ in 0..count {
        present.push(ndr.counted_string_head()?);
    }
    present.into_iter().map(|p| if p { ndr.wide_string() } else { Some(String::new()) }).collect()
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    let ndr = x.response.as_mut()?;
    match x.opnum {
        0 | 7 | 19 | 27 | 34 | 57 | 61 | 62 => x.opened()?,
        1 | 23 | 35 | 30 => {
            let _handle = ndr.handle()?;
        }
        5 => {
            let sid = if ndr.pointer()? { Some(ndr.sid()?) } else { None };
            if let Some(sid) = sid {
                x.answer("sid", sid);
            }
        }
        6 | 11 | 13 | 15 => {
            let _context = ndr.u32()?;
            let entries = enumeration(ndr)?;
            x.answer("entries", entries);
            let _count = x.response.as_mut()?.u32()?;
        }
        10 | 12 | 14 | 50 => {
            x.opened()?;
            let ndr = x.response.as_mut()?;
            if x.opnum == 50 {
                ndr.u32()?;
            }
            let rid = ndr.u32()?;
            x.answer("rid", rid);
        }
        17 => {
            let rids = numbers(ndr)?;
            let uses = numbers(ndr)?;
            x.answer("rids", list(rids));
            x.answer("uses", list(uses));
        }
        18 => {
            // SAMPR_RETURNED_USTRING_ARRAY ([MS-SAMR] 2.2.7.4).
            ndr.align_pointer()?;
            let _count = ndr.u32()?;
            let names = if ndr.pointer()? {
                let count = ndr.conformance(8)?;
                names(ndr, count)?
            } else {
                Vec::new()
            };
            x.answer("names", list(names));
            let uses = numbers(x.response.as_mut()?)?;
            x.answer("uses", list(uses));
        }
        64 => {
            // OutVersion, and SAMPR_REVISION_INFO with its discriminant.
            let (_version, _which, _revision, _features) = (ndr.u32()?, ndr.u32()?, ndr.u32()?, ndr.u32()?);
            x.opened()?;
        }
        22 | 24 | 31 | 32 | 37 | 54 | 55 | 58 => {}
        _ => return Some(()),
    }
    x.status()?;
    Some(())
}

/// A SAMPR_ULONG_ARRAY ([MS-SAMR] 2.2.7.6).
fn numbers(ndr: &mut Ndr<'_>) -> Option<Vec<u32>> {
    ndr.align_pointer()?;
    let _count = ndr.u32()?;
    if !ndr.pointer()? {
        return Some(Vec::new());
    }
    let count = ndr.conformance(4)?;
    (0..count).map(|_| ndr.u32()).collect()
}

/// A pointer to a SAMPR_ENUMERATION_BUFFER ([MS-SAMR] 2.2.7.10).
fn enumeration(ndr: &mut Ndr<'_>) -> Option<Value> {
    if !ndr.pointer()? {
        return Some(Value::Array(Vec::new()));
    }
    ndr.align_pointer()?;
    let _entries = ndr.u32()?;
    if !ndr.pointer()? {
        return Some(Value::Array(Vec::new()));
    }
    let count = ndr.conformance(12)?;
    let mut heads = Vec::new();
    for _ in 0..count {
        ndr.align_pointer()?;
        heads.push((ndr.u32()?, ndr.counted_string_head()?));
    }
    let mut entries = Vec::new();
    for (rid, named) in heads {
        let mut entry = Map::new();
        entry.insert("rid".into(), rid.into());
        if named {
            entry.insert("name".into(), ndr.wide_string()?.into());
        }
        entries.push(entry);
    }
    Some(list(entries))
}
