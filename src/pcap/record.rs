//! The pieces that a capture file is read as.

use crate::packet::{LinkType, Packet};
use crate::time::Timestamp;
use std::fmt;

/// An interface that a file describes; a classic pcap file has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceInterface {
    /// The section that describes it, counted from 0.
    pub section: u32,
    /// The link layer of its packets.
    pub link_type: LinkType,
    /// Its name, invalid UTF-8 replaced, NULs at its end removed; any other control character is kept. `None` where there is none or it is empty.
    pub name: Option<String>,
    /// The longest packet that was captured on it, in bytes, as the file says; 0 is no limit.
    pub snap_length: u32,
    /// Its options (code, length, value, padding to 4), little-endian, without `if_name`, `if_tsresol`, `if_tsoffset` and `opt_endofopt`.
    pub options: Vec<u8>,
}

/// The kinds of blocks that belong to a section and not to a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuxiliaryKind {
    /// A name resolution block.
    NameResolution,
    /// A decryption secrets block.
    Secrets,
}

/// One piece of a capture file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A section begins. Classic pcap has one.
    Section {
        /// Counted from 0.
        section: u32,
        /// The options of its header (code, length, value, padding to 4), little-endian, without `opt_endofopt`.
        options: &'a [u8],
    },
    /// A packet.
    Packet {
        /// Index in the reader's list of interfaces.
        interface: u32,
        /// Where its record or block begins in the file, decompressed.
        position: u64,
        /// The packet.
        packet: Packet<'a>,
    },
    /// A block that belongs to a section.
    Auxiliary {
        /// The section.
        section: u32,
        /// What it is.
        kind: AuxiliaryKind,
        /// The whole pcapng block, little-endian, ready to be written.
        block: &'a [u8],
    },
    /// What an interface counted, in packets.
    Statistics {
        /// Index in the reader's list of interfaces.
        interface: u32,
        /// When it was counted.
        time: Timestamp,
        /// When the capture started.
        start: Option<Timestamp>,
        /// When the capture ended.
        end: Option<Timestamp>,
        /// Packets received (`isb_ifrecv`).
        received: Option<u64>,
        /// Packets that the interface dropped (`isb_ifdrop`).
        dropped_interface: Option<u64>,
        /// Packets that the operating system dropped (`isb_osdrop`).
        dropped_os: Option<u64>,
    },
    /// The file cannot be read beyond this point. Nothing follows.
    Damage(Damage),
}

/// Where and why a file cannot be read further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The byte at which the unreadable record begins; of the decompressed bytes where `compressed`.
    pub position: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
    /// The reason in plain words.
    pub reason: String,
}

/// "byte 24: file ends inside a packet of 1,514 bytes".
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.compressed { " of the decompressed bytes" } else { "" };
        write!(f, "byte {}{of}: {}", Grouped(self.position), self.reason)
    }
}

/// What the reader counted so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Packets handed out.
    pub packets: u64,
    /// Packets whose time is out of range and was clamped to it.
    pub clamped_times: u64,
    /// Option lists, name lists and secrets that are malformed or too long and were cut or left out. Their packets were kept.
    pub malformed_parts: u64,
    /// Bytes read from the underlying file, before decompression.
    pub position: u64,
    /// The underlying file's size in bytes, where it is known.
    pub size: Option<u64>,
}

/// A number with its thousands grouped by commas: 1,514.
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.bytes().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{}", char::from(digit))?;
        }
        Ok(())
    }
}
