//! What every way of capturing does alike.

use super::filter::FilterError;
use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;
use std::io;
use std::time::Duration;

/// How an interface is listened to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interface's name.
    pub interface: String,
    /// Bytes of a packet that are kept.
    pub snaplen: u32,
    /// Bytes of the kernel's buffer.
    pub buffer: usize,
    /// A filter in pcap-filter syntax: what it does not match is not captured.
    pub filter: Option<String>,
    /// Streams that the interface's packets are spread over, by flow, and which of them this is.
    pub fanout: Option<Fanout>,
}

/// One stream of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fanout {
    /// What the groups of one process are counted from, one for each device.
    pub group: u16,
    /// One of them tells what all have in common: what the interface dropped.
    pub is_first: bool,
}

/// Why an interface cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Not allowed.
    #[error("{interface}: recording needs root or CAP_NET_RAW: run it as root, or `setcap cap_net_raw+ep` on the program once")]
    NotAllowed {
        /// The interface.
        interface: String,
    },
    /// The filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Packet sockets do not give its packets as they are.
    #[error(
        "{interface}: its packets need headers that only libpcap makes, which needs CAP_NET_RAW now and not --capture packet-socket: \
         start the recorder again"
    )]
    Headers {
        /// The interface.
        interface: String,
    },
    /// The buffer.
    #[error("{interface}: a kernel buffer of {buffer} bytes cannot be had: ask for less with --buffer")]
    Buffer {
        /// The interface.
        interface: String,
        /// How much was asked for.
        buffer: usize,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel says no.
    #[error("{interface}: {what}")]
    Io {
        /// The interface.
        interface: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// libpcap says no.
    #[error("{interface}: libpcap cannot capture: {reason}")]
    Libpcap {
        /// The interface.
        interface: String,
        /// What it says.
        reason: String,
    },
}

/// How the link stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// Packets can come.
    Up,
    /// It is there, but down.
    Down,
    /// There is no such interface now.
    Missing,
}

/// What asking gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Polled {
    /// How the link stands.
    pub link: Link,
    /// Whether more waits already.
    pub more: bool,
    /// Whatever comes from now on has this time or a later one; `None` where something waits of which that is not known.
    pub complete_to: Option<Timestamp>,
    /// The interface was down or away since the last poll, though it may be up again. What was handed on before came before that.
    pub interrupted: bool,
}

/// Packets that did not come because there was no room for them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Drops {
    /// The kernel's buffer was full.
    pub kernel: u64,
    /// The interface had no room itself.
    pub interface: u64,
}

/// A live interface.
pub trait Source: Send {
    /// The link type of its packets now; `None` before the interface was ever there.
    fn link_type(&self) -> Option<LinkType>;

    /// All sources that share the interface's packets are there: what came before is none's.
    fn begin(&mut self, _at: Timestamp) {}

    /// Waits up to `timeout` for packets and hands them on, as many as wait, up to some MiB.
    fn poll(&mut self, timeout: Duration, each: &mut dyn FnMut(&Packet<'_>)) -> Result<Polled, CaptureError>;

    /// Packets that were dropped since this was last asked.
    fn drops(&mut self) -> Result<Drops, CaptureError>;

    /// Packets that came before `end`, wait to be handed on and will not be: recording ends. Where that cannot be told, none.
    fn left_behind(&mut self, _end: Timestamp) -> u64 {
        0
    }

    /// Looks whether the interface is there and up, and listens to it if it came back; called now and then while it is not.
    fn look(&mut self) -> Result<Link, CaptureError>;
}
