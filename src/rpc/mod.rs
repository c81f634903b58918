//! DCE/RPC: calls and their arguments out of the bytes of pipes and TCP connections (C706, [MS-RPCE]).
//!
//! An [`Association`] is the state of one pipe open or one connection. It takes the bytes of either direction in any split, bears gaps and
//! late starts, and tells contexts, calls and security tokens as [`RpcEvent`]s. No bytes make it fail, and what it holds is bounded by
//! [`Limits`]. Interfaces that are decoded have a file each; one more is a file and a line in `interfaces.rs`.

mod association;
mod described;
mod event;
mod exchange;
mod framing;
mod interfaces;
mod limits;
pub mod names;
pub mod ndr;
pub mod ntlm_seal;
pub mod pdu;
pub mod rc4;
mod trailer;
mod unsealer;
mod uuid;

pub mod atsvc;
pub mod epmapper;
pub mod samr;
pub mod sasec;
pub mod srvsvc;
pub mod svcctl;
pub mod task_scheduler;
pub mod winreg;

pub use association::Association;
pub use described::{Command, Described, ScheduledTask, Service, ServiceAction, TaskAction};
pub use event::{Bound, Call, RpcEvent};
pub use interfaces::{arguments, is_decoded};
pub use limits::Limits;
pub use pdu::{Auth, Syntax, looks_like_rpc};
pub use unsealer::Unsealer;
pub use uuid::Uuid;
