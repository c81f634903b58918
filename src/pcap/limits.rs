//! Each limit with its unit and reason. What goes beyond one is damage or is counted, never silently lost.

use crate::packet::LinkType;

/// The largest packet of most link types, in bytes: libpcap's largest snap length.
pub const PACKET_MAX: u32 = 262_144;

/// The largest packet of the link types in [`LARGE_PACKETS`], in bytes.
pub const LARGE_PACKET_MAX: u32 = 16 << 20;

/// Link types whose packets libpcap and Wireshark allow to be larger than 262,144 bytes: D-Bus, USBPcap, Elektrobit EBHSCR.
pub const LARGE_PACKETS: [LinkType; 3] = [LinkType(231), LinkType(249), LinkType(279)];

/// The option bytes kept of one packet, in bytes: room for two comments of the longest kind.
pub const PACKET_OPTIONS_MAX: usize = 131_080;

/// The option bytes kept of one interface description or section header, in bytes.
pub const INTERFACE_OPTIONS_MAX: usize = 131_080;

/// The largest block that is looked into, in bytes: a largest packet with the options of one. Unknown blocks are skipped whatever their length.
pub const BLOCK_MAX: u32 = LARGE_PACKET_MAX + 2 * 131_080;

/// Interfaces in one file, over all its sections.
pub const INTERFACES_MAX: usize = 65_536;

/// Names and options of all interfaces of one file together, in bytes.
pub const INTERFACES_BYTES_MAX: usize = 64 << 20;

/// The buffer that records are cut from, in bytes. It grows only for a larger record.
pub const BUFFER: usize = 1 << 20;

/// The window that a zstd stream may ask for, as a power of two (128 MiB): the `zstd` tool's own bound.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The largest packet of a link type, in bytes.
pub fn packet_max(link_type: LinkType) -> u32 {
    if LARGE_PACKETS.contains(&link_type) { LARGE_PACKET_MAX } else { PACKET_MAX }
}
