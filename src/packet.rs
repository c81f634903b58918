//! A packet as every module passes it on, and the number of its link layer.

use crate::time::Timestamp;
use std::fmt;

/// A link-layer header type, with its number in capture files (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkType(pub u16);

impl LinkType {
    /// Ethernet.
    pub const ETHERNET: LinkType = LinkType(1);
}

/// The number.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One packet, with its bytes borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// When it was captured; [`Timestamp::ZERO`] where the file says no time.
    pub time: Timestamp,
    /// Its length on the wire, in bytes. Larger than `data.len()` where it was cut by a snap length.
    pub original_length: u32,
    /// The captured bytes, from the link-layer header on.
    pub data: &'a [u8],
    /// Its pcapng options (code, length, value, padding to 4), little-endian, without the closing `opt_endofopt`. Often empty.
    pub options: &'a [u8],
}

impl Packet<'_> {
    /// Whether bytes of it were not captured.
    pub fn is_truncated(&self) -> bool {
        self.original_length as usize > self.data.len()
    }
}
