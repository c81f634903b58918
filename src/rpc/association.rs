//! The state of one pipe open or one TCP connection that speaks DCE/RPC (C706, chapter 9; [MS-RPCE] 3.3).
// one state machine: contexts, calls and fragments change together

use super::event::{Bound, Call, RpcEvent};
use super::exchange::Handles;
use super::framing::{Framing, Piece};
use super::interfaces::{Stubs, decode};
use super::limits::Limits;
use super::pdu::{
    FEATURE_NEGOTIATION, FIRST_FRAGMENT, Kind, LAST_FRAGMENT, LEVEL_INTEGRITY, LEVEL_PRIVACY, MAYBE, NDR32, NDR64, Offer, Pdu,
    Syntax,
};
use super::trailer;
use super::unsealer::Unsealer;
use crate::flow::{PacketRef, Way};
use std::collections::{BTreeMap, VecDeque};

/// Joins the fragments of an association, pairs its answers with its calls, and tells them.
///
/// Bytes of either direction are pushed as they come, in any split. Events come in the order in which they became known: a call when it
/// was answered, when [`Limits`] say that nothing is waited for any more, or at the end.
pub struct Association {
    limits: Limits,
    to_server: Framing,
    to_client: Framing,
    contexts: BTreeMap<u16, Context>,
    binds: VecDeque<Bind>,
    /// In the order in which they began.
    calls: VecDeque<Pending>,
    /// Of the calls.
    held_bytes: usize,
    handles: Handles,
    unsealer: Option<Box<dyn Unsealer>>,
}

/// A presentation context.
#[derive(Clone, Copy, Debug)]
struct Context {
    interface: Syntax,
    ndr64: Option<bool>,
    accepted: Option<bool>,
}

/// A bind or alter-context that waits for its answer.
#[derive(Debug)]
struct Bind {
    call_id: u32,
    at: PacketRef,
    offers: Vec<Offer>,
}

/// A call that waits for its answer or for more of it.
#[derive(Debug, Default)]
struct Pending {
    call: Call,
    /// Its request was seen; else the answer came first.
    asked: bool,
    request: Joining,
    response: Joining,
}

/// One direction of a call.
#[derive(Debug, Default)]
struct Joining {
    stub: Vec<u8>,
    little_endian: bool,
    /// The first fragment was seen: the stub begins where it should.
    begun: bool,
    /// The last fragment was seen.
    ended: bool,
    /// Bytes are missing after those held.
    broken: bool,
}

impl Joining {
    fn is_whole(&self) -> bool {
        self.begun && self.ended && !self.broken
    }
}

/// What is to be joined of one PDU.
struct Fragment<'a> {
    stub: &'a [u8],
    flags: u8,
    little_endian: bool,
    /// All of the PDU was there.
    whole: bool,
}

impl Association {
    /// A new association.
    pub fn new(limits: Limits) -> Association {
        Association {
            to_server: Framing::default(),
            to_client: Framing::default(),
            contexts: BTreeMap::new(),
            binds: VecDeque::new(),
            calls: VecDeque::new(),
            held_bytes: 0,
            handles: Handles::new(limits.handles_max),
            unsealer: None,
            limits,
        }
    }

    /// Gives it what opens encrypted PDUs. Best before any byte, for it is handed the tokens that come from then on.
    pub fn set_unsealer(&mut self, unsealer: Box<dyn Unsealer>) {
        self.unsealer = Some(unsealer);
    }

    /// Takes the next bytes of a direction, which came in the packet `at`.
    pub fn push(&mut self, way: Way, bytes: &[u8], at: PacketRef, out: &mut Vec<RpcEvent>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.framing(way).feed(rest);
            self.read(way, at, false, out);
        }
        self.framing(way).settle();
    }

    /// Bytes held: of PDUs that are not complete, and of calls that wait. Bounded by 256 KiB and [`Limits::held_bytes_max`].
    pub fn held_bytes(&self) -> usize {
        self.held_bytes + self.to_server.memory() + self.to_client.memory()
    }

    /// Bytes of a direction are missing here. What began before is told as far as it was seen.
    pub fn lost(&mut self, way: Way, at: PacketRef, out: &mut Vec<RpcEvent>) {
        self.drain(way, at, out);
        if let Some(unsealer) = &mut self.unsealer {
            unsealer.lost(way);
        }
        for pending in &mut self.calls {
            let joining = match way {
                Way::ToServer => &mut pending.request,
                Way::ToClient => &mut pending.response,
            };
            joining.broken |= joining.begun && !joining.ended;
        }
        if way == Way::ToClient {
            // Their answers have begun, and their ends are lost or would be taken for those of others.
            while let Some(place) = self.calls.iter().position(|p| p.call.answered.is_some()) {
                self.tell(place, out);
            }
        }
    }

    /// Nothing comes any more: what waits is told.
    pub fn end(&mut self, out: &mut Vec<RpcEvent>) {
        for way in [Way::ToServer, Way::ToClient] {
            let at = self.calls.back().map_or_else(PacketRef::default, |p| p.call.asked);
            self.drain(way, at, out);
        }
        while !self.calls.is_empty() {
            self.tell(0, out);
        }
        while let Some(bind) = self.binds.pop_front() {
            tell_unanswered(&bind, None, out);
        }
    }

    fn framing(&mut self, way: Way) -> &mut Framing {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }

    fn read(&mut self, way: Way, at: PacketRef, last: bool, out: &mut Vec<RpcEvent>) {
        // Taken out, so that its bytes can be read while the rest of the state changes.
        let mut framing = std::mem::take(self.framing(way));
        while let Some(piece) = framing.next(last) {
            match piece {
                Piece::Pdu(length) => {
                    let bytes = framing.held().get(..length).unwrap_or_default();
                    self.pdu(way, bytes, true, at, out);
                    framing.consume(length);
                }
                Piece::Stray => {
                    framing.consume(1);
                    if let Some(unsealer) = &mut self.unsealer {
                        unsealer.lost(way);
                    }
                    out.push(RpcEvent::Odd("rpc_resynchronized"));
                }
            }
        }
        *self.framing(way) = framing;
    }

    /// Reads what a direction still holds, as far as it makes sense without what should follow.
    fn drain(&mut self, way: Way, at: PacketRef, out: &mut Vec<RpcEvent>) {
        self.read(way, at, true, out);
        let framing = std::mem::take(self.framing(way));
        if !framing.is_searching() {
            self.pdu(way, framing.held(), false, at, out);
        }
        self.framing(way).search();
    }

    fn pdu(&mut self, way: Way, bytes: &[u8], whole: bool, at: PacketRef, out: &mut Vec<RpcEvent>) {
        let Some(pdu) = Pdu::read(bytes) else { return };
        self.give_up_old(at, out);
        match pdu.header.kind {
            Kind::Bind | Kind::AlterContext => self.bind(&pdu, at, out),
            Kind::BindAck | Kind::AlterContextResponse => self.bind_answer(&pdu, at, out),
            Kind::BindNak => self.bind_refused(&pdu, at, out),
            Kind::Request => self.request(way, &pdu, bytes, whole, at, out),
            Kind::Response | Kind::Fault => self.answer(way, &pdu, bytes, whole, at, out),
            Kind::Auth3 | Kind::Shutdown | Kind::Cancel | Kind::Orphaned => {}
        }
        let carries_token =
            matches!(pdu.header.kind, Kind::Bind | Kind::BindAck | Kind::AlterContext | Kind::AlterContextResponse | Kind::Auth3);
        if let Some((auth, token)) = pdu.token().filter(|_| carries_token) {
            if let Some(unsealer) = &mut self.unsealer {
                unsealer.token(way, auth, token);
            }
            out.push(RpcEvent::Token { way, at, auth, token: token.to_vec() });
        }
    }

    fn bind(&mut self, pdu: &Pdu<'_>, at: PacketRef, out: &mut Vec<RpcEvent>) {
        let offers = pdu.offers();
        for offer in offers.iter().filter(|o| !negotiates_features(o)) {
            let taken = self.contexts.get(&offer.context).is_some_and(|c| c.accepted == Some(true));
            if taken {
                // A bind begins anew only on another connection: an accepted context keeps its meaning.
                continue;
            }
            if self.contexts.len() >= self.limits.contexts_max && !self.contexts.contains_key(&offer.context) {
                out.push(RpcEvent::Odd("rpc_contexts_limit"));
                break;
            }
            // Until the answer says which, a sole syntax is the one.
            let ndr64 = match offer.transfers.as_slice() {
                [transfer] => is_ndr64(transfer),
                _ => None,
            };
            self.contexts.insert(offer.context, Context { interface: offer.interface, ndr64, accepted: None });
        }
        if self.binds.len() >= self.limits.binds_max
            && let Some(oldest) = self.binds.pop_front()
        {
            tell_unanswered(&oldest, None, out);
        }
        self.binds.push_back(Bind { call_id: pdu.header.call_id, at, offers });
    }

    fn answered_bind(&mut self, call_id: u32) -> Option<Bind> {
        let place = self.binds.iter().position(|b| b.call_id == call_id)?;
        self.binds.remove(place)
    }

    fn bind_answer(&mut self, pdu: &Pdu<'_>, at: PacketRef, out: &mut Vec<RpcEvent>) {
        let secondary_address = match pdu.header.kind {
            Kind::BindAck => pdu.secondary_address(),
            _ => None,
        };
        let mut offers = self.answered_bind(pdu.header.call_id).map(|b| b.offers).unwrap_or_default().into_iter();
        for verdict in pdu.verdicts() {
            let offer = offers.next();
            if verdict.result == 3 || offer.as_ref().is_some_and(negotiates_features) {
                continue;
            }
            let accepted = verdict.result == 0;
            let ndr64 = is_ndr64(&verdict.transfer).filter(|_| accepted);
            if let Some(context) = offer.as_ref().and_then(|o| self.contexts.get_mut(&o.context))
                && context.accepted != Some(true)
            {
                context.accepted = Some(accepted);
                if accepted {
                    context.ndr64 = ndr64;
                }
            }
            out.push(RpcEvent::Bound(Bound {
                at,
                interface: offer.as_ref().map(|o| o.interface),
                context: offer.as_ref().map(|o| o.context),
                secondary_address: secondary_address.clone(),
                accepted: Some(accepted),
                ndr64,
            }));
        }
    }

    fn bind_refused(&mut self, pdu: &Pdu<'_>, at: PacketRef, out: &mut Vec<RpcEvent>) {
        out.push(RpcEvent::Odd("rpc_bind_refused"));
        if let Some(mut bind) = self.answered_bind(pdu.header.call_id) {
            bind.at = at;
            tell_unanswered(&bind, Some(false), out);
        }
    }

    fn request(&mut self, way: Way, pdu: &Pdu<'_>, bytes: &[u8], whole: bool, at: PacketRef, out: &mut Vec<RpcEvent>) {
        let Some((context, opnum, object)) = pdu.target() else { return };
        let call_id = pdu.header.call_id;
        let first = pdu.header.flags & FIRST_FRAGMENT != 0;
        let known = self.calls.iter().position(|p| p.call.call_id == call_id);
        let place = match known {
            // The answer was read first, though it was captured later: the directions come in any order.
            Some(place) if self.calls.get(place).is_some_and(|p| !p.asked && first && p.call.answered >= Some(at)) => place,
            Some(place) if !first && self.calls.get(place).is_some_and(|p| p.asked && !p.request.ended) => place,
            _ => {
                if let Some(place) = known {
                    out.push(RpcEvent::Odd("rpc_call_id_reused"));
                    self.tell(place, out);
                }
                if !first {
                    out.push(RpcEvent::Odd("rpc_fragment_missing"));
                }
                self.begin(out)
            }
        };
        let opened = self.open(way, pdu, bytes);
        let context_known = self.contexts.get(&context).copied();
        let Some(pending) = self.calls.get_mut(place) else { return };
        let call = &mut pending.call;
        if !pending.asked {
            pending.asked = true;
            call.asked = at;
            call.call_id = call_id;
            call.context = context;
            call.opnum = opnum;
            call.object = object;
            call.auth = pdu.verifier().map(|v| v.auth);
            call.interface = context_known.map(|c| c.interface);
            call.ndr64 = context_known.and_then(|c| c.ndr64);
        }
        let fragment =
            Fragment { stub: opened.stub(bytes), flags: pdu.header.flags, little_endian: pdu.header.little_endian, whole };
        opened.mark(call);
        let limited = join(&mut pending.request, &fragment, &self.limits, &mut self.held_bytes);
        let unanswerable = pdu.header.flags & MAYBE != 0 && pending.request.ended;
        let done = unanswerable || pending.response.ended;
        out.extend(limited.map(RpcEvent::Odd));
        if done {
            self.tell(place, out);
        }
    }

    fn answer(&mut self, way: Way, pdu: &Pdu<'_>, bytes: &[u8], whole: bool, at: PacketRef, out: &mut Vec<RpcEvent>) {
        let call_id = pdu.header.call_id;
        let opened = self.open(way, pdu, bytes);
        let known = self.calls.iter().position(|p| p.call.call_id == call_id);
        let place = match known {
            Some(place) => place,
            None => {
                let place = self.begin(out);
                if let Some(pending) = self.calls.get_mut(place) {
                    pending.call.call_id = call_id;
                }
                place
            }
        };
        let Some(pending) = self.calls.get_mut(place) else { return };
        pending.call.answered.get_or_insert(at);
        if pdu.header.kind == Kind::Fault {
            pending.call.fault = pdu.status();
            pending.response.ended = true;
        } else {
            opened.mark(&mut pending.call);
            let flags = pdu.header.flags;
            let fragment = Fragment { stub: opened.stub(bytes), flags, little_endian: pdu.header.little_endian, whole };
            let limited = join(&mut pending.response, &fragment, &self.limits, &mut self.held_bytes);
            out.extend(limited.map(RpcEvent::Odd));
        }
        if pending.response.ended && pending.asked {
            self.tell(place, out);
        }
    }

    /// The stub of a PDU, decrypted where it must and can be.
    fn open(&mut self, way: Way, pdu: &Pdu<'_>, bytes: &[u8]) -> Opened {
        let (stub, sealed) = pdu.stub();
        let Some(verifier) = pdu.verifier() else {
            // The end of a protected PDU is missing: what is there may be encrypted.
            return if pdu.header.auth_bytes == 0 { Opened::Plain(stub) } else { Opened::Unknown };
        };
        if verifier.auth.level == LEVEL_PRIVACY && pdu.header.kind != Kind::Fault {
            let Some(unsealer) = &mut self.unsealer else { return Opened::Sealed };
            let mut copy = bytes.to_vec();
            if !unsealer.unseal(way, verifier.auth, &mut copy, sealed, verifier.token) {
                return Opened::Sealed;
            }
            return Opened::Unsealed(copy.get(stub).unwrap_or_default().to_vec());
        }
        if verifier.auth.level >= LEVEL_INTEGRITY
            && let Some(unsealer) = &mut self.unsealer
        {
            unsealer.signed(way, verifier.auth, bytes, verifier.token);
        }
        Opened::Plain(stub)
    }

    /// Makes place for a call and begins it, at the end.
    fn begin(&mut self, out: &mut Vec<RpcEvent>) -> usize {
        while self.calls.len() >= self.limits.calls_max.max(1) {
            out.push(RpcEvent::Odd("rpc_calls_limit"));
            self.tell(0, out);
        }
        self.calls.push_back(Pending::default());
        self.calls.len() - 1
    }

    /// Tells the calls that have waited for their answer too long.
    fn give_up_old(&mut self, at: PacketRef, out: &mut Vec<RpcEvent>) {
        while self.calls.front().is_some_and(|p| at.time.since(p.begun()) > self.limits.answer_ns_max) {
            self.tell(0, out);
        }
    }

    fn tell(&mut self, place: usize, out: &mut Vec<RpcEvent>) {
        let Some(pending) = self.calls.remove(place) else { return };
        self.held_bytes = self.held_bytes.saturating_sub(pending.request.stub.len() + pending.response.stub.len());
        if !pending.asked {
            out.push(RpcEvent::Odd("rpc_answer_without_call"));
            return;
        }
        let Pending { mut call, mut request, response, .. } = pending;
        call.request_whole = request.is_whole();
        call.response_whole = response.is_whole();
        if call.sealed {
            request.stub.clear();
        } else if call.request_whole
            && let Some(found) = trailer::find(&request.stub)
        {
            request.stub.truncate(found.start);
            if let Some((interface, transfer)) = found.target.filter(|_| call.interface.is_none()) {
                call.interface = Some(interface);
                call.ndr64 = is_ndr64(&transfer);
            }
        }
        let answered = response.begun && call.fault.is_none() && !call.sealed;
        if let (Some(interface), Some(ndr64)) = (call.interface, call.ndr64)
            && request.begun
            && !call.sealed
        {
            let stubs = Stubs {
                request: (&request.stub, request.little_endian),
                response: answered.then_some((&response.stub, response.little_endian)),
                ndr64,
            };
            let reveal = self.limits.reveal_passwords;
            (call.arguments, call.described) = decode(interface.uuid, call.opnum, stubs, &mut self.handles, reveal);
        }
        call.response = answered.then_some(response.stub);
        call.request = request.stub;
        out.push(RpcEvent::Call(Box::new(call)));
    }
}

impl Pending {
    fn begun(&self) -> crate::time::Timestamp {
        if self.asked { self.call.asked.time } else { self.call.answered.unwrap_or_default().time }
    }
}

/// A PDU's stub.
enum Opened {
    /// As it was on the wire.
    Plain(std::ops::Range<usize>),
    /// Decrypted.
    Unsealed(Vec<u8>),
    /// Encrypted.
    Sealed,
    /// Its end is missing, so that nobody knows whether it was encrypted.
    Unknown,
}

impl Opened {
    fn stub<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Opened::Plain(range) => bytes.get(range.clone()).unwrap_or_default(),
            Opened::Unsealed(stub) => stub,
            Opened::Sealed | Opened::Unknown => &[],
        }
    }

    fn mark(&self, call: &mut Call) {
        call.encrypted |= matches!(self, Opened::Sealed | Opened::Unsealed(_));
        call.sealed |= matches!(self, Opened::Sealed);
    }
}

/// Puts a fragment behind those before it; says which limit it met.
fn join(joining: &mut Joining, fragment: &Fragment<'_>, limits: &Limits, held: &mut usize) -> Option<&'static str> {
    let first = fragment.flags & FIRST_FRAGMENT != 0;
    if first && !joining.begun && !joining.ended {
        joining.begun = true;
        joining.little_endian = fragment.little_endian;
    } else if !joining.begun || first {
        // The stub's beginning is missing, or it begins twice.
        joining.broken = true;
    }
    let mut limited = None;
    if joining.begun && !joining.broken {
        let room = limits.stub_bytes_max.saturating_sub(joining.stub.len());
        let room_overall = limits.held_bytes_max.saturating_sub(*held);
        let taken = fragment.stub.get(..room.min(room_overall)).unwrap_or(fragment.stub);
        joining.stub.extend_from_slice(taken);
        *held += taken.len();
        if taken.len() < fragment.stub.len() {
            joining.broken = true;
            limited = Some(if room < room_overall { "rpc_stub_limit" } else { "rpc_held_limit" });
        }
    }
    joining.broken |= !fragment.whole;
    joining.ended |= fragment.flags & LAST_FRAGMENT != 0;
    limited
}

fn is_ndr64(transfer: &Syntax) -> Option<bool> {
    match transfer.uuid {
        NDR64 => Some(true),
        NDR32 => Some(false),
        _ => None,
    }
}

/// An offer that is none: it negotiates features of the connection ([MS-RPCE] 3.3.1.5.3).
fn negotiates_features(offer: &Offer) -> bool {
    !offer.transfers.is_empty() && offer.transfers.iter().all(|t| t.uuid.0.starts_with(&FEATURE_NEGOTIATION))
}

fn tell_unanswered(bind: &Bind, accepted: Option<bool>, out: &mut Vec<RpcEvent>) {
    for offer in bind.offers.iter().filter(|o| !negotiates_features(o)) {
        let ndr64 = match offer.transfers.as_slice() {
            [transfer] => is_ndr64(transfer),
            _ => None,
        };
        out.push(RpcEvent::Bound(Bound {
            at: bind.at,
            interface: Some(offer.interface),
            context: Some(offer.context),
            secondary_address: None,
            accepted,
            ndr64: ndr64.filter(|_| accepted.is_none()),
        }));
    }
}

#[cfg(test)]
mod tests;
