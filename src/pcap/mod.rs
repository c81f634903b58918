//! pcap and pcapng files, read and written: any link type, nanoseconds.

/// Blocks as we write them.
pub mod block;
