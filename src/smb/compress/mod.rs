//! Decompression of SMB 3.1.1 messages ([MS-SMB2] 2.2.42, [MS-XCA]). Pure functions: a compressed message in, the plain message or the reason
//! why not out. The output has never more bytes than the header says and the caller allows, and a stream that gives fewer is refused.

mod huffman;
mod lz4;
mod lz77;
mod lznt1;
mod output;
mod pattern;
mod transform;

pub use transform::{Algorithm, Compressed, DECOMPRESSED_BYTES_MAX, PROTOCOL_ID, decompress_message, is_compressed};

#[cfg(test)]
mod tests;
