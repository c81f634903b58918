//! Arguments laid out by hand, in NDR32 and NDR64.

use super::super::described::{ServiceAction, TaskAction};
use super::*;
use proptest::prelude::*;

/// Writes NDR, little-endian.
struct Writer {
    bytes: Vec<u8>,
    ndr64: bool,
}

impl Writer {
    fn new(ndr64: bool) -> Writer {
        Writer { bytes: Vec::new(), ndr64 }
    }

    fn align(mut self, to: usize) -> Writer {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self
    }

    fn u8(mut self, value: u8) -> Writer {
        self.bytes.push(value);
        self
    }

    fn u16(self, value: u16) -> Writer {
        let mut w = self.align(2);
        w.bytes.extend(value.to_le_bytes());
        w
    }

    fn u32(self, value: u32) -> Writer {
        let mut w = self.align(4);
        w.bytes.extend(value.to_le_bytes());
        w
    }

    /// A referent, count or `__int3264`.
    fn size(self, value: u64) -> Writer {
        let width = if self.ndr64 { 8 } else { 4 };
        let mut w = self.align(width);
        w.bytes.extend(&value.to_le_bytes()[..width]);
        w
    }

    fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend(bytes);
        self
    }

    fn handle(self, n: u8) -> Writer {
        self.align(4).raw(&[n; 20])
    }

    fn wide(self, text: &str) -> Writer {
        let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let bytes: Vec<u8> = units.iter().flat_map(|u| u.to_le_bytes()).collect();
        self.size(units.len() as u64).size(0).size(units.len() as u64).raw(&bytes)
    }

    fn narrow(self, text: &str) -> Writer {
        let length = text.len() as u64 + 1;
        self.size(length).size(0).size(length).raw(text.as_bytes()).u8(0)
    }

    fn unique(self, text: &str) -> Writer {
        self.size(0x20000).wide(text)
    }

    fn null(self) -> Writer {
        self.size(0)
    }

    fn align_pointer(self) -> Writer {
        let to = if self.ndr64 { 8 } else { 4 };
        self.align(to)
    }

    fn counted(self, text: &str) -> Writer {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = units.len() as u16;
        self.align_pointer().u16(length).u16(length).size(1).size(text.len() as u64).size(0).size(text.len() as u64).raw(&units)
    }
}

struct Told {
    arguments: Value,
    described: Option<Described>,
}

fn told(interface: Uuid, opnum: u16, request: &Writer, response: Option<&Writer>, handles: &mut Handles, reveal: bool) -> Told {
    let stubs =
        Stubs { request: (&request.bytes, true), response: response.map(|w| (w.bytes.as_slice(), true)), ndr64: request.ndr64 };
    // No shorter stub is worse than cut.
    for n in 0..request.bytes.len() {
        let cut = Stubs { request: (&request.bytes[..n], true), response: None, ndr64: request.ndr64 };
        decode(interface, opnum, cut, &mut Handles::new(4), reveal);
    }
    if let Some((response, _)) = stubs.response {
        for n in 0..response.len() {
            decode(interface, opnum, Stubs { response: Some((&response[..n], true)), ..stubs }, &mut handles.clone(), reveal);
        }
    }
    let (arguments, described) = decode(interface, opnum, stubs, handles, reveal);
    let arguments = arguments.unwrap_or_default();
    assert!(arguments.get("cut").is_none() && arguments["answer"].get("cut").is_none(), "{arguments}");
    Told { arguments, described }
}

#[test]
fn passwords_are_redacted() {
    for ndr64 in [false, true] {
        let request =
            Writer::new(ndr64).unique("\\\\server").wide("AV.job").align(4).wide("DOM\\backup").unique("hunter2").u32(0x40000);
        let response = Writer::new(ndr64).u32(0);
        let mut handles = Handles::new(4);
        let hidden = told(sasec::INTERFACE, 0, &request, Some(&response), &mut handles, false);
        assert_eq!(hidden.arguments["job"], "AV.job");
        assert_eq!(hidden.arguments["account"], "DOM\\backup");
        assert_eq!(hidden.arguments["password"], "<redacted, 14 bytes>");
        assert_eq!(hidden.arguments["flags"], 0x40000);
        let Some(Described::ScheduledTask(task)) = &hidden.described else { panic!() };
        assert_eq!(
            (task.action, task.path.as_deref(), task.account.as_deref()),
            (TaskAction::AccountSet, Some("AV.job"), Some("DOM\\backup"))
        );
        let shown = told(sasec::INTERFACE, 0, &request, None, &mut handles, true);
        assert_eq!(shown.arguments["password"], "hunter2");
    }
}

#[test]
fn the_answer_names_the_account() {
    let mut response = Writer::new(true).size(5);
    for u in "ab\0xx".encode_utf16() {
        response = response.u16(u);
    }
    let response = response.u32(0);
    let request = Writer::new(true).null().wide("A.job").u32(5).size(5).raw(&[0; 10]);
    let told = told(sasec::INTERFACE, 3, &request, Some(&response), &mut Handles::new(4), false);
    assert_eq!((&told.arguments["job"], &told.arguments["answer"]["account"]), (&"A.job".into(), &"ab".into()));
}

fn create_service(ndr64: bool, wide: bool) -> Writer {
    let text = |w: Writer, text: &str| if wide { w.wide(text) } else { w.narrow(text) };
    let w = text(Writer::new(ndr64).handle(1), "svc");
    let w = text(w.size(2), "Display").u32(0xf01ff).u32(16).u32(2).u32(1);
    let w = text(w, "C:\\evil.exe -k").null().null();
    let depends: &[u8] = if wide { b"R\0p\0c\0\0\0\0\0" } else { b"Rpc\0\0" };
    let w = w.size(3).size(depends.len() as u64).raw(depends).u32(depends.len() as u32);
    text(w.size(4), "LocalSystem").size(5).size(4).raw(b"p\0\0\0").u32(4)
}

#[test]
fn a_service_is_created_and_started_by_its_handle() {
    for (ndr64, wide, opnum, start) in [(false, true, 12, 19), (true, true, 12, 19), (false, false, 24, 31), (true, true, 45, 19)]
    {
        let mut handles = Handles::new(4);
        let answer = Writer::new(ndr64).null().handle(9).u32(0);
        let made = told(svcctl::INTERFACE, opnum, &create_service(ndr64, wide), Some(&answer), &mut handles, false);
        assert_eq!(made.arguments["dependencies"], Value::from(vec!["Rpc"]));
        assert_eq!(made.arguments["password"], "<redacted, 4 bytes>");
        let Some(Described::Service(service)) = made.described else { panic!() };
        assert_eq!((service.action, service.succeeded), (ServiceAction::Created, Some(true)));
        assert_eq!(service.name.as_deref(), Some("svc"));
        assert_eq!(service.display_name.as_deref(), Some("Display"));
        assert_eq!(service.binary_path.as_deref(), Some("C:\\evil.exe -k"));
        assert_eq!(
            (service.service_type, service.start_type, service.account.as_deref()),
            (Some(16), Some(2), Some("LocalSystem"))
        );

        let w = Writer::new(ndr64).handle(9).u32(2).size(1).size(2).size(3).size(4);
        let w = if wide { w.wide("one").wide("two") } else { w.narrow("one").narrow("two") };
        let started = told(svcctl::INTERFACE, start, &w, Some(&Writer::new(ndr64).u32(0)), &mut handles, false);
        let Some(Described::Service(service)) = started.described else { panic!() };
        assert_eq!((service.action, service.name.as_deref()), (ServiceAction::Started, Some("svc")));
        assert_eq!(
            (service.binary_path.as_deref(), service.arguments),
            (Some("C:\\evil.exe -k"), vec!["one".into(), "two".into()])
        );
    }
}

#[test]
fn a_refused_service_is_no_success() {
    let answer = Writer::new(false).null().handle(0).u32(1073);
    let made = told(svcctl::INTERFACE, 12, &create_service(false, true), Some(&answer), &mut Handles::new(4), false);
    let Some(Described::Service(service)) = made.described else { panic!() };
    assert_eq!(service.succeeded, Some(false));
}

#[test]
fn a_task_is_registered_with_credentials() {
    let xml = "<Task><Actions><Exec><Command>a.exe</Command></Exec></Actions></Task>";
    for ndr64 in [false, true] {
        let request = Writer::new(ndr64)
            .unique("\\T")
            .wide(xml)
            .u32(6)
            .null()
            .u32(1)
            .u32(1)
            .size(1)
            .size(1)
            .size(2)
            .size(3)
            .u32(0)
            .align_pointer()
            .wide("DOM\\u")
            .align(4)
            .wide("pass");
        let answer = Writer::new(ndr64).unique("\\T").null().u32(0);
        let made = told(task_scheduler::INTERFACE, 1, &request, Some(&answer), &mut Handles::new(4), false);
        assert_eq!(made.arguments["credentials"][0]["user"], "DOM\\u");
        assert_eq!(made.arguments["credentials"][0]["password"], "<redacted, 8 bytes>");
        let Some(Described::ScheduledTask(task)) = made.described else { panic!() };
        assert_eq!(
            (task.commands[0].command.as_str(), task.account.as_deref(), task.succeeded),
            ("a.exe", Some("DOM\\u"), Some(true))
        );
        assert_eq!(task.xml.as_deref(), Some(xml));
    }
}

#[test]
fn jobs_are_enumerated() {
    for ndr64 in [false, true] {
        let request = Writer::new(ndr64).null().u32(0).null().u32(0xffff).null();
        let mut response = Writer::new(ndr64).u32(2).size(1).size(2);
        for id in [1, 7] {
            response = response.align_pointer().u32(id).size(1000).u32(0).u8(1).u8(2).size(u64::from(id));
        }
        let response = response.wide("first").align(4).wide("second").u32(2).null().u32(0);
        let told = told(atsvc::INTERFACE, 2, &request, Some(&response), &mut Handles::new(4), false);
        let jobs = &told.arguments["answer"]["jobs"];
        assert_eq!(
            (&jobs[1]["file"], &jobs[1]["command"], &jobs[0]["command"]),
            (&"At7.job".into(), &"second".into(), &"first".into())
        );
        assert_eq!(told.arguments["answer"]["total"], 2);
    }
}

#[test]
fn a_registry_value_is_set_in_a_known_key() {
    for ndr64 in [false, true] {
        let mut handles = Handles::new(4);
        let opened = Writer::new(ndr64).handle(3).u32(0);
        told(winreg::INTERFACE, 2, &Writer::new(ndr64).null().u32(1), Some(&opened), &mut handles, false);
        let request = Writer::new(ndr64).handle(3).counted("Software\\Run").align_pointer().u32(0).u32(2);
        told(winreg::INTERFACE, 15, &request, Some(&Writer::new(ndr64).handle(4).u32(0)), &mut handles, false);
        let data: Vec<u8> = "x.exe\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let request = Writer::new(ndr64)
            .handle(4)
            .counted("updater")
            .align(4)
            .u32(1)
            .size(data.len() as u64)
            .raw(&data)
            .u32(data.len() as u32);
        let set = told(winreg::INTERFACE, 22, &request, Some(&Writer::new(ndr64).u32(0)), &mut handles, false);
        assert_eq!(set.arguments["key"], "HKEY_LOCAL_MACHINE\\Software\\Run");
        assert_eq!((&set.arguments["value"], &set.arguments["data"]), (&"updater".into(), &"x.exe".into()));
        assert_eq!(set.arguments["type"], "REG_SZ");
    }
}

proptest! {
    #[test]
    fn random_stubs_are_borne(which in 0_usize..8, opnum in 0_u16..70, request in prop::collection::vec(any::<u8>(), 0..200), response in prop::collection::vec(any::<u8>(), 0..200), little: bool, ndr64: bool) {
        let interfaces = [atsvc::INTERFACE, sasec::INTERFACE, task_scheduler::INTERFACE, svcctl::INTERFACE, winreg::INTERFACE, samr::INTERFACE, srvsvc::INTERFACE, epmapper::INTERFACE];
        let stubs = Stubs { request: (&request, little), response: Some((&response, little)), ndr64 };
        decode(interfaces[which], opnum, stubs, &mut Handles::new(4), false);
    }

    /// Small numbers make counts that fit and pointers that point: they lead further than wholly random bytes.
    #[test]
    fn sparse_stubs_are_borne(which in 0_usize..8, opnum in 0_u16..70, numbers in prop::collection::vec(0_u32..4, 0..100), ndr64: bool) {
        let interfaces = [atsvc::INTERFACE, sasec::INTERFACE, task_scheduler::INTERFACE, svcctl::INTERFACE, winreg::INTERFACE, samr::INTERFACE, srvsvc::INTERFACE, epmapper::INTERFACE];
        let stub: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let stubs = Stubs { request: (&stub, true), response: Some((&stub, true)), ndr64 };
        decode(interfaces[which], opnum, stubs, &mut Handles::new(4), false);
    }
}
