//! How packets rest: segments, index, publishing, sealing, recovery, retention, pins, reading. The format's one page is `FORMAT.md`.

pub mod aligned;
mod bytes;
mod captured;
pub mod catalog;
mod catalog_check;
mod catalog_entries;
pub mod check;
pub mod clock;
mod complete;
pub mod data;
mod disk;
pub mod draft;
pub mod dropped;
mod dropped_unsaid;
pub mod error;
pub mod facts;
pub mod files;
mod flow_table;
pub mod footer;
mod footers;
pub mod forecast;
pub mod granule;
mod headless;
pub mod hint;
pub mod hosts;
pub mod ids;
mod join;
mod keeper;
mod kept;
mod kept_check;
mod lock;
pub mod log;
mod mend;
pub mod name;
pub mod not_kept;
pub mod note;
pub mod packet_file;
pub mod page;
pub mod paths;
pub mod pinning;
pub mod pins;
pub mod purge;
mod reindex;
mod rescue;
pub mod retention;
pub mod ring_writer;
pub mod scan;
pub mod seal;
pub mod sealed;
pub mod sections;
pub mod segment;
mod segment_check;
mod shared;
pub mod snapshot;
mod tally;
mod unlisted;
mod unsealed_check;
pub mod varint;
pub mod writer;

#[cfg(test)]
mod writer_tests;

#[cfg(test)]
mod golden;

#[cfg(test)]
mod index_size_tests;

#[cfg(test)]
mod live_tests;

#[cfg(test)]
mod lost_tests;

#[cfg(test)]
mod pins_tests;

#[cfg(test)]
mod retention_tests;

#[cfg(test)]
mod tests;
