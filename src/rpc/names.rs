//! What interfaces and operations are called: by Zeek, whose names the events carry, and briefly, as Wireshark shows them.

use super::uuid::Uuid;
use super::{atsvc, epmapper, samr, sasec, srvsvc, svcctl, task_scheduler, winreg};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Zeek's table.
const TABLE: &str = include_str!("names.tsv");

#[derive(Default)]
struct Names {
    interfaces: HashMap<Uuid, &'static str, ahash::RandomState>,
    operations: HashMap<(Uuid, u16), &'static str, ahash::RandomState>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = Names::default();
        for row in TABLE.lines().filter(|row| !row.starts_with('#')) {
            let mut columns = row.split('\t');
            let (Some(uuid), Some(opnum), Some(name)) = (columns.next().and_then(Uuid::parse), columns.next(), columns.next())
            else {
                continue;
            };
            match opnum.parse() {
                Ok(opnum) => names.operations.insert((uuid, opnum), name),
                Err(_) => names.interfaces.insert(uuid, name),
            };
        }
        names
    })
}

/// Zeek's name of an interface. Where there is none Zeek writes `unknown-` and the UUID, see [`endpoint_or_unknown`].
pub fn endpoint(interface: Uuid) -> Option<&'static str> {
    names().interfaces.get(&interface).copied()
}

/// Zeek's name of an interface, as its log has it.
pub fn endpoint_or_unknown(interface: Uuid) -> String {
    endpoint(interface).map_or_else(|| format!("unknown-{interface}"), String::from)
}

/// Zeek's name of an operation. Where there is none Zeek writes `unknown-` and the opnum, see [`operation_or_unknown`].
pub fn operation(interface: Uuid, opnum: u16) -> Option<&'static str> {
    names().operations.get(&(interface, opnum)).copied()
}

/// Zeek's name of an operation, as its log has it.
pub fn operation_or_unknown(interface: Uuid, opnum: u16) -> String {
    operation(interface, opnum).map_or_else(|| format!("unknown-{opnum}"), String::from)
}

/// The interface that a pipe's calls most often go to, by the pipe's name without `\PIPE\`: for pipes whose bind was not seen Zeek takes
/// it for granted. A guess, to be said as one.
pub fn common_interface(pipe: &str) -> Option<Uuid> {
    if pipe.eq_ignore_ascii_case("winreg") {
        Some(winreg::INTERFACE)
    } else if pipe.eq_ignore_ascii_case("spoolss") {
        Some(const { Uuid::known("12345678-1234-abcd-ef00-0123456789ab") })
    } else if pipe.eq_ignore_ascii_case("srvsvc") {
        Some(srvsvc::INTERFACE)
    } else {
        None
    }
}

/// A short name of an operation of the decoded interfaces, as Wireshark 4 shows it; of operations that Zeek does not name, the
/// specification's. `None` where nothing is known beyond [`operation`].
pub fn operation_alias(interface: Uuid, opnum: u16) -> Option<&'static str> {
    let by_place = |names: &[&'static str]| names.get(usize::from(opnum)).copied();
    let by_number = |names: &[(u16, &'static str)]| names.iter().find(|n| n.0 == opnum).map(|n| n.1);
    match interface {
        atsvc::INTERFACE => by_place(atsvc::ALIASES),
        sasec::INTERFACE => by_place(sasec::ALIASES),
        // Of these two Wireshark's names are Zeek's.
        task_scheduler::INTERFACE => by_number(task_scheduler::LATER_OPERATIONS).or_else(|| operation(interface, opnum)),
        svcctl::INTERFACE => by_number(svcctl::LATER_OPERATIONS).or_else(|| operation(interface, opnum)),
        winreg::INTERFACE => by_place(winreg::ALIASES),
        samr::INTERFACE => by_place(samr::ALIASES),
        srvsvc::INTERFACE => by_number(srvsvc::ALIASES),
        epmapper::INTERFACE => by_place(epmapper::ALIASES),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeek_names() {
        assert_eq!(endpoint(atsvc::INTERFACE), Some("atsvc"));
        assert_eq!(operation(atsvc::INTERFACE, 0), Some("NetrJobAdd"));
        assert_eq!(operation_alias(atsvc::INTERFACE, 0), Some("JobAdd"));
        assert_eq!(operation(samr::INTERFACE, 64), Some("SamrConnect5"));
        assert_eq!(operation(srvsvc::INTERFACE, 0x36), None);
        assert_eq!(operation(srvsvc::INTERFACE, 0x39), Some("NetrShareDelEx"));
        assert_eq!(operation_or_unknown(svcctl::INTERFACE, 64), "unknown-64");
        assert_eq!(operation_alias(svcctl::INTERFACE, 64), Some("OpenSCManager2"));
        let none = Uuid([7; 16]);
        assert_eq!(endpoint_or_unknown(none), "unknown-07070707-0707-0707-0707-070707070707");
        assert_eq!(operation_alias(none, 0), None);
    }

    #[test]
    fn every_row_is_read() {
        let rows = TABLE.lines().filter(|row| !row.starts_with('#')).count();
        assert_eq!(names().interfaces.len(), 81);
        assert_eq!(names().interfaces.len() + names().operations.len(), rows);
        assert!(names().operations.keys().all(|(uuid, _)| names().interfaces.contains_key(uuid)));
    }

    #[test]
    fn pipes_of_one_interface() {
        assert_eq!(common_interface("WINREG").and_then(endpoint), Some("winreg"));
        assert_eq!(common_interface("spoolss").and_then(endpoint), Some("spoolss"));
        assert_eq!(common_interface("atsvc"), None);
    }
}
