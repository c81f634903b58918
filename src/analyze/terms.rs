//! What an analysis is asked for, and what it gives.

use crate::cut::CutError;
use crate::events::{Event, EventTypes};
use crate::identity::secrets::Secrets;
use crate::objects::collector::ObjectOptions;
use crate::objects::error::StoreError;
use crate::objects::export::Source;
use crate::objects::object::Who;
use crate::objects::transfer::Transfer;
use crate::pcap::reader::{OpenError, ReadError};
use crate::time::Window;
use crate::wire::FlowKey;
use std::collections::BTreeMap;

/// What is wanted.
#[derive(Default)]
pub struct Options {
    /// Objects, and how; `None` where none are.
    pub objects: Option<ObjectOptions>,
    /// Events; `None` where none are.
    pub events: Option<EventTypes>,
    /// Secrets that open what is encrypted.
    pub secrets: Secrets,
    /// Whether it is told where the packets of objects are.
    pub stretches: bool,
    /// Whether passwords in the arguments of calls are shown.
    pub reveal_passwords: bool,
}

/// One thing found.
#[derive(Debug)]
pub enum Told {
    /// An event.
    Event(Box<Event>),
    /// An object.
    Object(Box<Found>),
}

/// An object with whose it is.
#[derive(Debug)]
pub struct Found {
    /// What was moved.
    pub transfer: Transfer,
    /// By whom, from where to where.
    pub who: Who,
    /// Where its packets and its session's set-up are, where that was asked for: stretches of connections.
    pub stretches: Vec<(FlowKey, Window)>,
    /// The connections that something of it came over, where that was asked for.
    pub carriers: Vec<FlowKey>,
}

/// Where an analysis' packets were read.
#[derive(Debug, Default)]
pub struct Origins {
    /// The names of a ring's interfaces.
    pub interfaces: Vec<String>,
    /// The capture files or segments, as a packet's `source` counts them.
    pub sources: Vec<Source>,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Packets read.
    pub packets: u64,
    /// Bytes of the files, or of the selection, that are done, where that is known.
    pub done: u64,
    /// Of how many.
    pub of: Option<u64>,
}

/// What it all came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Packets read.
    pub packets: u64,
    /// Connections of TCP, UDP and ICMP.
    pub connections: u64,
    /// Those that carried SMB.
    pub smb_connections: u64,
    /// Encrypted SMB messages that were not opened: how many, and their bytes, by why (`no_key`, `wrong_key`, `late_start`).
    pub sealed: BTreeMap<&'static str, (u64, u64)>,
    /// What was odd, or hit a limit: how often, and the bytes concerned, by name.
    pub odd: BTreeMap<&'static str, (u64, u64)>,
    /// What files could not give: said once each.
    pub warnings: Vec<String>,
}

/// What our machine, or the request, did wrong.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// A file cannot be opened or is no capture.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A selection cannot be read.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// Contents cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is written cannot be.
    #[error("packets cannot be written")]
    Write(#[source] std::io::Error),
}
