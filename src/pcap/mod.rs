//! pcap and pcapng files, read and written: any link type, nanoseconds.
//!
//! [`CaptureReader`](crate::pcap::reader::CaptureReader) is the one door in: it tells the format by content and hands out [`Record`](crate::pcap::record::Record)s that borrow its buffer.
//! What is wrong with a file is data ([`Damage`](crate::pcap::record::Damage), counts); only what this machine did wrong is an error.

mod byte_order;

/// What bounds the memory and the patience of the reader.
pub mod limits;

/// What a capture file holds, piece by piece.
pub mod record;

/// Options of pcapng blocks, walked and brought to little-endian.
pub mod options;

/// Blocks as we write them.
pub mod block;

mod time_unit;

mod gzip;

mod zstd_stream;

mod raw;
mod source;

mod looks;

mod classic_header;

mod classic;

mod ng_parts;

mod ng;

/// Capture files, read.
pub mod reader;

/// Classic pcap files, written.
pub mod pcap_write;

#[cfg(test)]
mod tests;
