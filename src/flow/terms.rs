//! The words of a connection: its two ends, its two directions, and the packet that carried a byte.

use crate::time::Timestamp;
use std::net::IpAddr;

/// The packet that something was in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct PacketRef {
    /// When it was captured.
    pub time: Timestamp,
    /// Its number in this analysis, from 1 (of a single file: Wireshark's frame number).
    pub number: u64,
    /// Which of the analysis' files or segments it lies in.
    pub source: u32,
    /// Where its block or record begins there, in bytes.
    pub position: u64,
}

/// A connection's number in one analysis, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ConnectionId(pub u64);

/// Which way bytes go. Who opened the connection is the client: who sent the first SYN, else who speaks from the higher port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Way {
    /// The other way.
    pub fn other(self) -> Way {
        match self {
            Way::ToServer => Way::ToClient,
            Way::ToClient => Way::ToServer,
        }
    }
}

/// An address and a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
}

/// Bytes of one direction, in order, with where they stand in the stream and the packet they came in.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Offset of the first byte in the direction's stream: 0 is the first byte after the SYN, or the first byte held of a late start.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// The packet.
    pub at: PacketRef,
}

/// Why bytes of a stream are not there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Loss {
    /// They were not captured: acknowledged, and in no packet.
    NotCaptured,
    /// A snap length cut them.
    Snapped,
    /// A limit of ours was reached.
    Limit,
}
