//! What is not there of an object, and why.

use super::ranges::{RangeSet, Ranges};
use serde::Serialize;

/// Why bytes of an object are not there, or not sure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// They were on the wire (asked for and answered, or sent), and are not in the capture.
    Lost,
    /// The client did not ask for them.
    NotRequested,
    /// They were in the file before, and this transfer did not write them.
    NotRewritten,
    /// The file became that long without anyone writing them in this transfer.
    NeverWritten,
    /// The server put them there itself (copy-chunk, duplicate-extents, set-zero-data).
    ServerCopy,
    /// Messages of the session could not be decrypted meanwhile.
    Encrypted,
    /// A limit of ours was reached.
    Limit,
    /// Copies of these bytes differ in the capture. Those that were chosen are kept and count as seen, but are not sure.
    Conflict,
}

impl Why {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Why::Lost => "lost",
            Why::NotRequested => "not_requested",
            Why::NotRewritten => "not_rewritten",
            Why::NeverWritten => "never_written",
            Why::ServerCopy => "server_copy",
            Why::Encrypted => "encrypted",
            Why::Limit => "limit",
            Why::Conflict => "conflict",
        }
    }
}

/// A range of an object that is not there, or not sure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Missing {
    /// Its first offset.
    pub from: u64,
    /// The offset after it.
    pub to: u64,
    /// Why.
    pub why: Why,
}

/// A range of offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    /// Its first offset.
    pub from: u64,
    /// The offset after it.
    pub to: u64,
}

/// What is known of bytes that are not there.
pub(super) struct Absence<'a> {
    /// The bytes that are.
    pub(super) seen: &'a RangeSet,
    /// Bytes whose absence has a known reason.
    pub(super) reasons: &'a Ranges<Why>,
    /// Bytes of which copies differ.
    pub(super) conflicts: &'a RangeSet,
    /// Asked for, and not answered in the capture.
    pub(super) asked: &'a RangeSet,
    /// Messages of the session could not be decrypted meanwhile.
    pub(super) sealed: bool,
}

impl Absence<'_> {
    /// All that is missing below `end`, in order. `otherwise` gives the reason for bytes of which nothing is known: up to which offset it
    /// holds, and which; the last one holds to the end.
    pub(super) fn list(&self, end: u64, otherwise: &[(u64, Why)]) -> Vec<Missing> {
        let mut all = Vec::new();
        let mut say = |from: u64, to: u64, why: Why| match all.last_mut() {
            _ if from >= to => {}
            Some(Missing { to: before, why: same, .. }) if *before == from && *same == why => *before = to,
            _ => all.push(Missing { from, to, why }),
        };
        for (from, to) in self.seen.holes(0, end) {
            let mut at = from;
            for (f, t, why) in self.reasons.within(from, to) {
                self.unexplained(at, f, otherwise, &mut say);
                say(f, t, *why);
                at = t;
            }
            self.unexplained(at, to, otherwise, &mut say);
        }
        all.extend(self.conflicts.within(0, end).map(|(from, to, ())| Missing { from, to, why: Why::Conflict }));
        all.sort_by_key(|m| m.from);
        all
    }

    fn unexplained(&self, from: u64, to: u64, otherwise: &[(u64, Why)], say: &mut impl FnMut(u64, u64, Why)) {
        if from >= to {
            return;
        }
        if self.sealed {
            return say(from, to, Why::Encrypted);
        }
        let mut at = from;
        for (f, t, ()) in self.asked.within(from, to) {
            self.rest(at, f, otherwise, say);
            say(f, t, Why::Lost);
            at = t;
        }
        self.rest(at, to, otherwise, say);
    }

    fn rest(&self, from: u64, to: u64, otherwise: &[(u64, Why)], say: &mut impl FnMut(u64, u64, Why)) {
        let mut at = from;
        for (until, why) in otherwise {
            let stop = to.min(*until).max(at);
            say(at, stop, *why);
            at = stop;
        }
    }
}
