//! SMB_COM_TRANSACTION2: opens, listings, queries and changes ([MS-CIFS] 2.2.6, 2.2.8; [MS-SMB] 2.2.6, 2.2.8).

use super::asked::{Asking, OpenAsked, Target, Transacted, TransactionAsked};
use super::content::open_named;
use super::fields::Fields;
use super::names;
use super::open::{OpenAnswer, access_of, disposition_of, filetime};
use super::state::State;
use super::tell::Tell;
use super::text::{Strings, text};

/// Pass-through levels are information classes of [MS-FSCC] 2.4 with this added ([MS-SMB] 2.2.2.3.5).
const PASS_THROUGH: u16 = 1000;

/// Reads a request.
pub(super) fn request(state: &mut State, tell: &mut Tell<'_>, asking: &Asking, asked: &TransactionAsked) -> Transacted {
    let parameters = asked.request.parameters.first_part();
    let p = Fields(parameters);
    let name_at = |at: usize| Strings::new(parameters, at, parameters.len(), asking.header.unicode).next();
    match asked.request.function {
        0x00 => Transacted::Open(OpenAsked {
            path: name_at(28),
            access: p.u16(2).map(access_of),
            disposition: p.u16(12).map(disposition_of),
            ..OpenAsked::default()
        }),
        0x01 => Transacted::Find { level: p.u16(6).unwrap_or(0), resume_keys: p.u16(4).is_some_and(|f| f & 4 != 0) },
        0x02 => Transacted::Find { level: p.u16(4).unwrap_or(0), resume_keys: p.u16(10).is_some_and(|f| f & 4 != 0) },
        0x05 => Transacted::Query { target: Target::Name(name_at(6)), level: p.u16(0).unwrap_or(0) },
        0x06 => set(state, asking, Target::Name(name_at(6)), p.u16(0).unwrap_or(0), asked.request.data.first_part()),
        0x07 => {
            let target = Target::Open(open_named(state, tell, asking, p.u16(0)));
            Transacted::Query { target, level: p.u16(2).unwrap_or(0) }
        }
        0x08 => {
            let target = Target::Open(open_named(state, tell, asking, p.u16(0)));
            set(state, asking, target, p.u16(2).unwrap_or(0), asked.request.data.first_part())
        }
        _ => Transacted::Other,
    }
}

/// Reads SET_PATH_INFORMATION's and SET_FILE_INFORMATION's data.
fn set(state: &State, asking: &Asking, target: Target, level: u16, data: &[u8]) -> Transacted {
    const DISPOSITION: u16 = PASS_THROUGH + 13;
    const END_OF_FILE: u16 = PASS_THROUGH + 20;
    const RENAME: u16 = PASS_THROUGH + 10;
    let d = Fields(data);
    match level {
        0x0102 | DISPOSITION if d.u8(0).is_some_and(|delete| delete != 0) => Transacted::Delete { target },
        0x0104 | END_OF_FILE => match d.u64(0) {
            Some(size) => Transacted::SetEnd { target, size },
            None => Transacted::Other,
        },
        RENAME => {
            let name = d.place32(8).and_then(|length| d.slice(12, length)).map(|name| text(name, asking.header.unicode));
            match name {
                Some(name) => Transacted::Rename { to: beside(state, &target, &name), target },
                None => Transacted::Other,
            }
        }
        _ => Transacted::Other,
    }
}

/// A new name without a folder stays in the old one's ([MS-FSCC] 2.4.42.1).
fn beside(state: &State, target: &Target, new: &str) -> String {
    let old = match target {
        Target::Name(name) => Some(name.as_str()),
        Target::Open(open) => open.and_then(|o| state.opens.get(&o)?.file.name.as_deref()),
    };
    match old.and_then(|old| names::relative(old).rsplit_once('\\')) {
        Some((folder, _)) if !new.contains('\\') => format!("{folder}\\{new}"),
        _ => names::relative(new).to_owned(),
    }
}

/// The end of file in a query's data.
pub(super) fn size_told(level: u16, data: &[u8]) -> Option<u64> {
    let d = Fields(data);
    match level {
        // SMB_INFO_STANDARD and SMB_INFO_QUERY_EA_SIZE.
        1 | 2 => d.u32(12).map(u64::from),
        // SMB_QUERY_FILE_STANDARD_INFO; FileStandardInformation.
        0x0102 | 1005 => d.u64(8),
        // SMB_QUERY_FILE_ALL_INFO; FileAllInformation.
        0x0107 | 1018 => d.u64(48),
        // FileNetworkOpenInformation.
        1034 => d.u64(40),
        // SMB_QUERY_FILE_UNIX_BASIC.
        0x0200 => d.u64(0),
        _ => None,
    }
}

/// Reads the answer to OPEN2 ([MS-CIFS] 2.2.6.1.2).
pub(super) fn open_answer(parameters: &[u8]) -> Option<OpenAnswer> {
    let p = Fields(parameters);
    Some(OpenAnswer {
        fid: p.u16(0)?,
        action: p.u16(18).map(|a| u32::from(a & 3)).filter(|a| *a != 0),
        size: p.u32(8).map(u64::from),
        attributes: p.u16(2).map(u32::from),
        times: [p.u32(4).map_or(0, filetime), 0, 0, 0],
        directory: false,
        resource: p.u16(14).unwrap_or(0),
        name: None,
    })
}
