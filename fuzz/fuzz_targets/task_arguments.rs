//! Any bytes, as a call's two stubs: a byte of interface (bit 7: NDR64; bit 6: an answer was seen), one of operation, two of the request's
//! length, little-endian, and both stubs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taploop::rpc::{Uuid, arguments, atsvc, epmapper, is_decoded, samr, sasec, srvsvc, svcctl, task_scheduler, winreg};

const INTERFACES: [Uuid; 8] = [
    atsvc::INTERFACE,
    sasec::INTERFACE,
    task_scheduler::INTERFACE,
    svcctl::INTERFACE,
    winreg::INTERFACE,
    samr::INTERFACE,
    srvsvc::INTERFACE,
    epmapper::INTERFACE,
];

/// Characters of JSON that a byte of a stub may become: an escaped one, in a list with names.
const JSON_PER_BYTE: usize = 64;

fuzz_target!(|data: &[u8]| {
    let [how, opnum, low, high, stubs @ ..] = data else { return };
    let interface = INTERFACES[usize::from(how & 7)];
    assert!(is_decoded(interface));
    let (request, response) = stubs.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(stubs.len()));
    let response = (how & 0x40 != 0).then_some(response);
    let told = arguments(interface, u16::from(*opnum), request, response, how & 0x80 != 0);
    let text = told.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(text.len() <= 4096 + JSON_PER_BYTE * stubs.len(), "{} characters out of {} bytes", text.len(), stubs.len());
    assert_eq!(told, arguments(interface, u16::from(*opnum), request, response, how & 0x80 != 0));
});
