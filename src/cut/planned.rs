//! Whether classic pcap can hold what is planned: one link type, and times up to 2106.

use super::error::CutError;
use crate::packet::LinkType;
use crate::pcap::pcap_write::PCAP_LAST;
use crate::ring::facts::SegmentFacts;
use crate::ring::segment::Segment;
use crate::ring::snapshot::{Held, RingReader};
use crate::select::{Selection, plan};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// The link type of the planned packets, Ethernet where there are none, or why pcap cannot hold them.
pub(super) fn pcap_link_type(
    selection: &Selection,
    rings: &[(RingReader, Held)],
    segments: &[(usize, SegmentFacts)],
) -> Result<LinkType, CutError> {
    let told: BTreeSet<LinkType> = segments.iter().map(|(_, f)| f.stream.link_type).collect();
    let is_late = |high: Timestamp| high > PCAP_LAST && selection.window.to > PCAP_LAST;
    let mut planned = BTreeSet::new();
    if told.len() > 1 || segments.iter().any(|(_, f)| is_late(f.high)) {
        for (ring, facts) in segments {
            // One that cannot be opened gives no packets, and the cut says so.
            let Ok(segment) = rings[*ring].0.open_segment(facts) else { continue };
            let Some(high) = highest(selection, &segment) else { continue };
            planned.insert(facts.stream.link_type);
            if is_late(high) {
                return Err(CutError::TooLate);
            }
        }
    } else {
        planned = told;
    }
    if planned.len() > 1 {
        let list: Vec<String> = planned.iter().map(ToString::to_string).collect();
        return Err(CutError::MixedLinkTypes(list.join(", ")));
    }
    Ok(planned.first().copied().unwrap_or(LinkType::ETHERNET))
}

/// A time that no planned packet of a segment is above; `None` where none is planned.
fn highest(selection: &Selection, segment: &Segment) -> Option<Timestamp> {
    let facts = segment.facts();
    let chosen = plan::candidates(&selection.expr, facts.stream.link_type, segment);
    let entries = match chosen {
        Ok(Some(chosen)) => segment.granule_list(&chosen),
        Ok(None) => segment.granules(0, segment.granule_count()),
        Err(e) => Err(e),
    };
    let Ok(entries) = entries else { return Some(facts.high) };
    let inside = entries.iter().filter(|e| selection.window.touches(e.low, e.high));
    inside.map(|e| e.high.min(facts.high)).max()
}
