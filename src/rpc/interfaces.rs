//! Which interfaces are decoded, each by its own file.

use super::exchange::{Exchange, Handles, Named};
use super::ndr::Ndr;
use super::uuid::Uuid;
use super::{atsvc, described::Described, epmapper, samr, sasec, srvsvc, svcctl, task_scheduler, winreg};
use serde_json::{Map, Value};

/// Reads one half of a call; `None` where its stub ended early.
type Reader = fn(&mut Exchange<'_>) -> Option<()>;

fn readers(interface: Uuid) -> Option<(Reader, Reader)> {
    Some(match interface {
        atsvc::INTERFACE => (atsvc::request, atsvc::response),
        sasec::INTERFACE => (sasec::request, sasec::response),
        task_scheduler::INTERFACE => (task_scheduler::request, task_scheduler::response),
        svcctl::INTERFACE => (svcctl::request, svcctl::response),
        winreg::INTERFACE => (winreg::request, winreg::response),
        samr::INTERFACE => (samr::request, samr::response),
        srvsvc::INTERFACE => (srvsvc::request, srvsvc::response),
        epmapper::INTERFACE => (epmapper::request, epmapper::response),
        _ => return None,
    })
}

/// The interface's calls are decoded.
pub fn is_decoded(interface: Uuid) -> bool {
    readers(interface).is_some()
}

/// The arguments of one call by itself: little-endian stubs, no handles known from other calls, passwords redacted. `None` where the
/// operation is not decoded.
pub fn arguments(interface: Uuid, opnum: u16, request: &[u8], response: Option<&[u8]>, ndr64: bool) -> Option<Value> {
    let stubs = Stubs { request: (request, true), response: response.map(|stub| (stub, true)), ndr64 };
    decode(interface, opnum, stubs, &mut Handles::default(), false).0
}

/// The two stubs of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stubs<'a> {
    /// The request's, and its sender's byte order.
    pub(super) request: (&'a [u8], bool),
    /// The response's likewise, where there was one.
    pub(super) response: Option<(&'a [u8], bool)>,
    /// The transfer syntax is NDR64.
    pub(super) ndr64: bool,
}

/// The arguments of a call, and what they mean. `None` where the operation is not decoded.
pub(super) fn decode(
    interface: Uuid,
    opnum: u16,
    stubs: Stubs<'_>,
    handles: &mut Handles,
    reveal_passwords: bool,
) -> (Option<Value>, Option<Described>) {
    let Some((request, response)) = readers(interface) else { return (None, None) };
    let mut exchange = Exchange {
        opnum,
        request: Ndr::new(stubs.request.0, stubs.request.1, stubs.ndr64),
        response: stubs.response.map(|(stub, little_endian)| Ndr::new(stub, little_endian, stubs.ndr64)),
        arguments: Map::new(),
        answer: Map::new(),
        described: None,
        subject: Named::default(),
        handles,
        reveal_passwords,
    };
    let asked = request(&mut exchange);
    let answered = if exchange.response.is_some() { response(&mut exchange) } else { Some(()) };
    let Exchange { mut arguments, mut answer, described, .. } = exchange;
    if answered.is_none() {
        answer.insert("cut".into(), true.into());
    }
    if asked.is_none() {
        arguments.insert("cut".into(), true.into());
    }
    if !answer.is_empty() {
        arguments.insert("answer".into(), answer.into());
    }
    ((!arguments.is_empty()).then(|| arguments.into()), described)
}

#[cfg(test)]
mod tests;
