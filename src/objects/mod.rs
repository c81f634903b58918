//! Files form: what SMB tells of opens, reads and writes becomes transfers, each with its content, its holes and why they are there.
//!
//! Promised: no byte that was not seen is called seen, and no object complete that is not; versions never mix; contents stream to disk and are
//! never held whole in memory; every bound is in [`limits::Limits`] and said when it is reached. Only our own disk gives errors.

pub mod limits;

pub mod error;

pub mod ranges;

mod disk;

pub mod size;

pub mod missing;

pub mod transfer;

mod job;

mod versions;

mod piece;

mod provenance;

mod reading;

mod writing;

mod note;

mod losses;

mod open;

mod forming;

pub mod content_id;

pub mod mime;

pub mod hashing;

pub mod collector;

pub mod safe_name;

pub mod object;

pub mod export;

#[cfg(test)]
mod tests;
