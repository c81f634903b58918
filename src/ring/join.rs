//! Small granules joined when a segment is sealed: each time that something is published ends one, and on a quiet link that makes granules
//! of a packet each, whose table would be larger than the packets are worth.

use super::draft::SegmentDraft;
use super::granule::{Codec, GRANULE_BYTES_MAX, GranuleEntry, SMALL_GRANULE};

/// Joins granules that follow each other as long as what comes of it is small.
pub(super) fn join_small_granules(draft: &mut SegmentDraft) {
    let granules = std::mem::take(&mut draft.granules);
    let numbers = std::mem::take(&mut draft.numbers);
    let ends = std::mem::take(&mut draft.ends);
    let mut sections = std::mem::take(&mut draft.sections).into_iter().peekable();
    let mut start = 0;
    for (i, (granule, end)) in (0..).zip(granules.into_iter().zip(ends)) {
        let own = &numbers[start as usize..end as usize];
        start = end;
        let section = sections.next_if(|s| s.0 == i).map(|s| s.1);
        match draft.granules.last_mut().filter(|last| section.is_none() && may_join(last, &granule)) {
            Some(last) => {
                last.crc = crc32c::crc32c_combine(last.crc, granule.crc, granule.stored_len as usize);
                last.stored_len += granule.stored_len;
                last.low = last.low.min(granule.low);
                last.high = last.high.max(granule.high);
                draft.ends.pop();
                let from = draft.ends.last().map_or(0, |&end| end as usize);
                draft.numbers.extend_from_slice(own);
                draft.numbers[from..].sort_unstable();
                let mut kept = from;
                for k in from..draft.numbers.len() {
                    if kept == from || draft.numbers[kept - 1] != draft.numbers[k] {
                        draft.numbers[kept] = draft.numbers[k];
                        kept += 1;
                    }
                }
                draft.numbers.truncate(kept);
            }
            None => {
                draft.sections.extend(section.map(|s| (draft.granules.len() as u32, s)));
                draft.granules.push(granule);
                draft.numbers.extend_from_slice(own);
            }
        }
        draft.ends.push(draft.numbers.len() as u32);
    }
}

fn may_join(last: &GranuleEntry, next: &GranuleEntry) -> bool {
    let plain = last.codec == Codec::Plain && next.codec == Codec::Plain;
    let follows = last.stored_end() == next.stored_offset;
    let together = last.stored_len as usize + next.stored_len as usize;
    plain && follows && (last.stored_len as usize) < SMALL_GRANULE && together <= GRANULE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::draft::FlowNumber;
    use crate::ring::ids::{SectionId, SegmentId, SensorId, StreamId};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_bytes_in_fewer_granules(
            parts in proptest::collection::vec((1..2000_u32, proptest::collection::vec(0..6_u32, 1..5), 0..10_u8, 0..10_u8), 1..60),
        ) {
            let stream = StreamId { fanout: 0, link_type: LinkType::ETHERNET };
            let mut draft = SegmentDraft::new(SensorId([0; 16]), SegmentId(1), stream, 100);
            let (mut at, mut bytes) = (100, Vec::new());
            for (i, (len, flows, section, codec)) in parts.iter().enumerate() {
                let own = vec![i as u8; 4 * *len as usize];
                let time = Timestamp::from_nanos(1 + i as u64);
                if *section == 0 {
                    draft.sections.push((i as u32, SectionId(i as u32)));
                }
                draft.granules.push(GranuleEntry {
                    stored_offset: at,
                    stored_len: own.len() as u32,
                    codec: if *codec == 0 { Codec::Damaged } else { Codec::Plain },
                    crc: crc32c::crc32c(&own),
                    low: time,
                    high: time,
                });
                at += own.len() as u64;
                bytes.extend(own);
                let mut flows = flows.clone();
                flows.dedup();
                draft.numbers.extend(flows.into_iter().map(FlowNumber));
                draft.ends.push(draft.numbers.len() as u32);
            }
            let before = draft.clone();
            join_small_granules(&mut draft);
            let (mut end, mut old) = (100, 0);
            for (i, g) in draft.granules.iter().enumerate() {
                prop_assert_eq!(g.stored_offset, end);
                let own = &bytes[(end - 100) as usize..][..g.stored_len as usize];
                end = g.stored_end();
                let first = old;
                let mut flows = Vec::new();
                while old < before.granules.len() && before.granules[old].stored_end() <= end {
                    flows.extend_from_slice(before.granule_flows(old));
                    prop_assert!(before.granules[old].low >= g.low && before.granules[old].high <= g.high);
                    prop_assert!(old == first || !before.sections.iter().any(|s| s.0 == old as u32));
                    old += 1;
                }
                prop_assert!(old == first + 1 || own.len() <= GRANULE_BYTES_MAX);
                prop_assert_eq!(g.crc, crc32c::crc32c(own));
                flows.sort_unstable();
                flows.dedup();
                let mut have = draft.granule_flows(i).to_vec();
                have.sort_unstable();
                have.dedup();
                prop_assert_eq!(have, flows);
                let named = |d: &SegmentDraft, n: usize| d.sections.iter().find(|s| s.0 == n as u32).map(|s| s.1);
                prop_assert_eq!(named(&draft, i), named(&before, first));
            }
            prop_assert_eq!(old, before.granules.len());
            // None that could still be joined.
            for pair in draft.granules.windows(2) {
                let at = before.granules.iter().position(|g| g.stored_offset == pair[1].stored_offset);
                let marked = before.sections.iter().any(|s| Some(s.0 as usize) == at);
                prop_assert!(marked || !may_join(&pair[0], &pair[1]));
            }
        }
    }
}
