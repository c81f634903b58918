//! What pins asked for and could not get: `not_kept.json` in a ring's folder, written by its writer when a segment is dropped that a pin
//! covers.

use super::data::replace_file;
use super::facts::SegmentFacts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The file's name.
pub const NOT_KEPT_FILE: &str = "not_kept.json";

/// What one pin did not get of one ring.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NotKept {
    /// Segments.
    pub segments: u64,
    /// Their packets.
    pub packets: u64,
    /// Their bytes, index included.
    pub bytes: u64,
    /// Why the last of them was not kept.
    pub why: String,
}

/// By pin. A file that is not there, or cannot be understood, says nothing.
pub(super) fn read(ring: &Path) -> BTreeMap<String, NotKept> {
    let told = fs::read(ring.join(NOT_KEPT_FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    told.unwrap_or_default()
}

/// Adds segments that pins did not get; what is told of pins that are no longer there goes.
pub(super) fn add(ring: &Path, missed: &[(&str, &SegmentFacts, &str)], is_pin: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut all = read(ring);
    all.retain(|id, _| is_pin(id));
    for (id, facts, why) in missed {
        let told = all.entry((*id).to_string()).or_default();
        told.segments += 1;
        told.packets = told.packets.saturating_add(facts.packets);
        told.bytes = told.bytes.saturating_add(facts.bytes());
        told.why = (*why).to_string();
    }
    replace_file(&ring.join(NOT_KEPT_FILE), serde_json::to_string_pretty(&all)?.as_bytes())
}
