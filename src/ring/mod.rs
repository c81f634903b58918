//! How packets rest: segments, index, publishing, sealing, reading.

mod bytes;
pub mod catalog;
pub mod data;
pub mod draft;
pub mod error;
pub mod facts;
pub mod files;
pub mod footer;
pub mod granule;
pub mod hint;
pub mod ids;
pub mod log;
pub mod name;
pub mod note;
pub mod page;
pub mod scan;
pub mod seal;
pub mod sealed;
pub mod sections;
pub mod segment;
mod disk;
mod mend;
pub mod ring_writer;
pub mod snapshot;
pub mod writer;
pub mod varint;
