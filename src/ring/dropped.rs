//! What was dropped from a ring, and why.

use std::collections::BTreeSet;

/// Why segments were dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// The ring's limit of bytes.
    MaxBytes,
    /// Its limit of age.
    MaxAge,
    /// The bytes that are to stay free.
    MinFree,
    /// There was no space left.
    DiskFull,
}

/// What a writer dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dropped {
    /// Segments.
    pub segments: u64,
    /// Their bytes, index included.
    pub bytes: u64,
    /// Packets that were there before the writer.
    pub older_packets: u64,
    /// Packets that it wrote itself.
    pub own_packets: u64,
    /// Why.
    pub reasons: BTreeSet<Reason>,
}

impl Dropped {
    /// Adds what another writer dropped.
    pub fn add(&mut self, other: &Dropped) {
        self.segments += other.segments;
        self.bytes += other.bytes;
        self.older_packets += other.older_packets;
        self.own_packets += other.own_packets;
        self.reasons.extend(&other.reasons);
    }
}
