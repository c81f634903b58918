//! epmapper, the endpoint mapper: which port or pipe an interface is at (C706, appendix O; [MS-RPCE] 3.1.2.5.5).

use super::exchange::{Exchange, list};
use super::ndr::Ndr;
use super::uuid::Uuid;
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

/// The interface.
pub const INTERFACE: Uuid = Uuid::known("e1af8308-5d1f-11c9-91a4-08002b14a0fa");

/// Wireshark's names of its operations, by opnum.
pub const ALIASES: &[&str] =
    &["Insert", "Delete", "Lookup", "Map", "LookupHandleFree", "InqObject", "MgmtDelete", "MapAuth", "MapAuthAsync"];

/// Floors read from one tower: those in use have five or six.
const FLOORS_MAX: u16 = 16;

/// Reads a request.
pub(super) fn request(x: &mut Exchange<'_>) -> Option<()> {
    match x.opnum {
        3 => {
            if x.request.pointer()? {
                let object = x.request.uuid()?;
                if !object.is_nil() {
                    x.put("object", object.to_string());
                }
            }
            if x.request.pointer()? {
                let asked = tower(&mut x.request)?;
                x.arguments.extend(asked);
            }
            let _handle = x.request.handle()?;
            let count = x.request.u32()?;
            x.put("towers_max", count);
        }
        2 => {
            let kind = x.request.u32()?;
            x.put("inquiry", kind);
        }
        _ => {}
    }
    Some(())
}

/// Reads an answer.
pub(super) fn response(x: &mut Exchange<'_>) -> Option<()> {
    if x.opnum != 3 {
        return Some(());
    }
    let ndr = x.response.as_mut()?;
    let _handle = ndr.handle()?;
    let _count = ndr.u32()?;
    let count = ndr.variance(4)?;
    let mut present = 0;
    for _ in 0..count {
        present += usize::from(ndr.pointer()?);
    }
    let mut towers = Vec::new();
    for _ in 0..present {
        towers.push(tower(ndr)?);
    }
    x.answer("towers", list(towers));
    x.status()?;
    Some(())
}

/// A `twr_t`: its interface and where it is (C706, appendix L). Towers are little-endian whatever the sender's byte order is.
fn tower(ndr: &mut Ndr<'_>) -> Option<Map<String, Value>> {
    let conformance = ndr.conformance(1)?;
    let length = usize::try_from(ndr.u32()?).ok()?;
    let octets = ndr.take(length.min(conformance))?;
    Some(floors(octets))
}

/// What can be read of a tower.
fn floors(octets: &[u8]) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tower = Ndr::new(octets, true, false);
    // Fields of a tower are not aligned.
    fn side<'a>(tower: &mut Ndr<'a>) -> Option<&'a [u8]> {
        let length = tower.take(2)?.first_chunk().map(|b| u16::from_le_bytes(*b))?;
        tower.take(length.into())
    }
    let Some(count) = tower.take(2).and_then(<[u8]>::first_chunk).map(|b| u16::from_le_bytes(*b)) else { return told };
    for n in 0..count.min(FLOORS_MAX) {
        let (Some(left), Some(right)) = (side(&mut tower), side(&mut tower)) else { break };
        let Some((protocol, rest)) = left.split_first() else { continue };
        let number = right.first_chunk().map(|b| u16::from_be_bytes(*b));
        let text = || String::from_utf8_lossy(right.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
        match protocol {
            0x0d if n == 0 => {
                if let Some((uuid, version)) = rest.split_first_chunk().and_then(|(uuid, v)| Some((uuid, v.first_chunk()?))) {
                    told.insert("interface".into(), Uuid::from_wire(uuid, true).to_string().into());
                    told.insert("version".into(), u16::from_le_bytes(*version).into());
                }
            }
            0x07 | 0x1f => {
                told.insert(if *protocol == 0x07 { "tcp_port" } else { "http_port" }.into(), number.into());
            }
            0x08 => {
                told.insert("udp_port".into(), number.into());
            }
            0x09 => {
                if let Some(ip) = right.first_chunk::<4>() {
                    told.insert("ip".into(), Ipv4Addr::from(*ip).to_string().into());
                }
            }
            0x0f => {
                told.insert("pipe".into(), text().into());
            }
            0x10 => {
                told.insert("local".into(), text().into());
            }
            0x11 => {
                told.insert("host".into(), text().into());
            }
            _ => {}
        }
    }
    told
}
