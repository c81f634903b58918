//! What an association tells.

use super::described::Described;
use super::pdu::{Auth, Syntax};
use super::uuid::Uuid;
use crate::flow::{PacketRef, Way};
use serde_json::Value;

/// One thing that was seen.
#[derive(Clone, PartialEq, Debug)]
pub enum RpcEvent {
    /// The server answered an offered presentation context, or left it without an answer to the end.
    Bound(Bound),
    /// A call, with its answer where one was seen.
    Call(Box<Call>),
    /// A security token of a bind, alter-context, auth3 or an answer to them (SPNEGO, NTLMSSP, Kerberos).
    Token {
        /// Who sent it.
        way: Way,
        /// In which packet it ended.
        at: PacketRef,
        /// By which mechanism and at which level.
        auth: Auth,
        /// The bytes.
        token: Vec<u8>,
    },
    /// Something odd, by name: `rpc_resynchronized`, `rpc_answer_without_call`, `rpc_stub_limit`, `rpc_held_limit`, `rpc_calls_limit`,
    /// `rpc_contexts_limit`, `rpc_bind_refused`, `rpc_fragment_missing`, `rpc_call_id_reused`.
    Odd(&'static str),
}

/// A presentation context and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// In which packet the answer ended; without an answer, the offer.
    pub at: PacketRef,
    /// The interface; `None` where the bind was not seen.
    pub interface: Option<Syntax>,
    /// The context's number; `None` where the bind was not seen.
    pub context: Option<u16>,
    /// The server's secondary address: `\PIPE\atsvc`, or a port. Only a bind_ack has one.
    pub secondary_address: Option<String>,
    /// The server took it; `None` where no answer was seen.
    pub accepted: Option<bool>,
    /// The transfer syntax is NDR64: the one chosen, or where no answer was seen the only one offered. `None` where it is neither NDR
    /// nor NDR64, or not known.
    pub ndr64: Option<bool>,
}

/// A call and its answer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Call {
    /// The packet in which the request's first fragment ended.
    pub asked: PacketRef,
    /// The packet in which the first fragment of the answer ended; `None` where none was seen.
    pub answered: Option<PacketRef>,
    /// Its number on the association.
    pub call_id: u32,
    /// The presentation context that it named.
    pub context: u16,
    /// The interface of that context; `None` where its bind was not seen and the call does not tell it either.
    pub interface: Option<Syntax>,
    /// The operation's number.
    pub opnum: u16,
    /// The object that it was asked of.
    pub object: Option<Uuid>,
    /// Some of its PDUs were encrypted and could not be opened: it has no stub and no arguments.
    pub sealed: bool,
    /// Some of its PDUs were encrypted, opened or not.
    pub encrypted: bool,
    /// How its request was protected; `None` where it has no auth verifier.
    pub auth: Option<Auth>,
    /// The transfer syntax is NDR64; `None` where it is not known.
    pub ndr64: Option<bool>,
    /// The request's stub, without verification trailer; what was held of it.
    pub request: Vec<u8>,
    /// All bytes of the request's stub are in `request`.
    pub request_whole: bool,
    /// The answer's stub.
    pub response: Option<Vec<u8>>,
    /// All bytes of the answer's stub are in `response`.
    pub response_whole: bool,
    /// The status of a fault that answered it.
    pub fault: Option<u32>,
    /// The arguments, where the operation is decoded: an object, with what the answer says under `answer`, and `cut: true` where the stub
    /// ended before them.
    pub arguments: Option<Value>,
    /// What it means for a task or service.
    pub described: Option<Described>,
}

impl Call {
    /// Nanoseconds from request to answer.
    pub fn round_trip_ns(&self) -> Option<u64> {
        let answered = self.answered?;
        Some(answered.time.as_nanos().saturating_sub(self.asked.time.as_nanos()))
    }
}
