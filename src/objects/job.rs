//! What the hashing thread is given to do: bytes in order, and contents to finish.

use super::disk::Formed;
use super::transfer::Transfer;
use std::path::PathBuf;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Job {
    /// The next bytes of a content: a part of the batch that the job comes with.
    Bytes { content: u64, start: usize, end: usize },
    /// The next bytes of a content: they lie in its file, and do not change any more before it is finished or started over.
    File { content: u64, path: PathBuf, from: u64, to: u64 },
    /// What was hashed of it does not count any more.
    StartOver { content: u64 },
    /// It is done.
    Finish(Box<Finish>),
}

/// A content that is done, and the transfer it is of.
#[derive(Debug)]
pub(super) struct Finish {
    /// Its number.
    pub(super) content: u64,
    /// Up to which offset its bytes were hashed as they came.
    pub(super) hashed: u64,
    /// Its bytes.
    pub(super) formed: Formed,
    /// The ranges that were seen, in order.
    pub(super) seen: Vec<(u64, u64)>,
    /// All but what the content tells.
    pub(super) transfer: Transfer,
}
