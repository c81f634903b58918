//! One segment in a reader's hands, sealed or growing: its granules, and which of them may hold packets of some flows.

use super::draft::{FlowNumber, FlowStats, SegmentDraft};
use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::{Files, LazyFile};
use super::granule::GranuleEntry;
use super::ids::SectionId;
use super::note::Note;
use super::packet_file::PacketFile;
use super::page::PageCache;
use super::paths::{data_path, index_path, kept_folder};
use super::sealed::{Access, SealedIndex};
use crate::wire::FlowKey;
use std::path::Path;
use std::sync::Arc;

enum Index {
    Sealed(Box<SealedIndex>),
    Growing(Arc<SegmentDraft>),
}

/// A segment that can be read.
pub struct Segment {
    index: Index,
    facts: SegmentFacts,
    data: LazyFile,
    path: Arc<Path>,
    sections: Vec<(u32, SectionId)>,
}

impl Segment {
    /// Opens a sealed segment of a ring's folder, or one that was moved from there because pins keep it.
    pub fn open_sealed(
        ring: &Path,
        facts: &SegmentFacts,
        files: Arc<Files>,
        cache: Arc<PageCache>,
    ) -> Result<Segment, SegmentError> {
        let kept = kept_folder(ring);
        let index = LazyFile::new(index_path(ring, facts.id), files.clone()).or_moved_to(index_path(&kept, facts.id));
        let index = SealedIndex::open(index, facts.index_bytes, cache)?;
        let data = LazyFile::new(data_path(ring, facts.id), files).or_moved_to(data_path(&kept, facts.id));
        let own = index.footer().facts;
        if own.id != facts.id || own.stream != facts.stream {
            return Err(SegmentError::damaged(index.path(), 0, "the index belongs to another segment".into()));
        }
        // Files of another ring may have the same number.
        let told = |f: &SegmentFacts| (f.packets, f.low, f.high, f.data_bytes, f.granules);
        if told(&own) != told(facts) {
            let reason = "the index and the catalogue do not agree: one of them is of another ring or time";
            return Err(SegmentError::damaged(index.path(), 0, reason.into()));
        }
        let sections = if own.section_high == SectionId::NONE { Vec::new() } else { index.sections()? };
        let path = data.path().into();
        Ok(Segment { facts: own, index: Index::Sealed(Box::new(index)), data, path, sections })
    }

    /// A growing segment, as far as its log tells.
    pub fn growing(ring: &Path, draft: Arc<SegmentDraft>, facts: SegmentFacts, files: Arc<Files>) -> Segment {
        // It may be sealed and kept while it is read.
        let moved_to = data_path(&kept_folder(ring), draft.id);
        let data = LazyFile::new(data_path(ring, draft.id), files).or_moved_to(moved_to);
        let sections = draft.sections.clone();
        let path = data.path().into();
        Segment { index: Index::Growing(draft), facts, data, path, sections }
    }

    /// What is known of it as a whole.
    pub fn facts(&self) -> &SegmentFacts {
        &self.facts
    }

    /// Its packet file.
    pub fn data_path(&self) -> &Path {
        self.data.path()
    }

    /// Whether its packets follow each other in time.
    pub fn is_in_order(&self) -> bool {
        !self.facts.has(SegmentFacts::DISORDERED)
    }

    /// How many granules it has.
    pub fn granule_count(&self) -> u32 {
        self.facts.granules
    }

    /// Granules `from .. from + n`.
    pub fn granules(&self, from: u32, n: u32) -> Result<Vec<GranuleEntry>, SegmentError> {
        match &self.index {
            Index::Sealed(index) => index.granules(from, n),
            Index::Growing(draft) => Ok(draft.granules.get(from as usize..(from + n) as usize).unwrap_or_default().to_vec()),
        }
    }

    /// The granules of a rising list.
    pub fn granule_list(&self, list: &[u32]) -> Result<Vec<GranuleEntry>, SegmentError> {
        match &self.index {
            Index::Sealed(index) => index.granule_list(list),
            Index::Growing(draft) => Ok(list.iter().filter_map(|&g| draft.granules.get(g as usize).copied()).collect()),
        }
    }

    /// The section a granule's packets belong to.
    pub fn section_of(&self, granule: u32) -> SectionId {
        let after = self.sections.partition_point(|s| s.0 <= granule);
        after.checked_sub(1).map_or(SectionId::NONE, |i| self.sections[i].1)
    }

    /// What it tells beside packets.
    pub fn notes(&self) -> Result<Vec<Note>, SegmentError> {
        match &self.index {
            Index::Sealed(index) => index.notes(),
            Index::Growing(draft) => Ok(draft.notes.clone()),
        }
    }

    /// How many entries [`Segment::time_order`] has: 0 unless packets are deeply disordered.
    pub fn time_order_len(&self) -> u64 {
        match &self.index {
            Index::Sealed(index) => index.time_order_len(),
            Index::Growing(_) => 0,
        }
    }

    /// The granules of packets `from .. from + n` in order of time. A granule's own packets follow in order of time and then of arrival.
    pub fn time_order(&self, from: u64, n: u64) -> Result<Vec<u32>, SegmentError> {
        match &self.index {
            Index::Sealed(index) => index.time_order(from, n),
            Index::Growing(_) => Ok(Vec::new()),
        }
    }

    /// The granules that hold packets of flows whose keys match, and those of irregular packets, in rising order.
    /// Every key that matches must be reached by `access`. `None`: so many that reading all is as good.
    pub fn granules_of(&self, access: &Access, matches: impl Fn(&FlowKey) -> bool) -> Result<Option<Vec<u32>>, SegmentError> {
        let mut granules = Vec::new();
        match &self.index {
            Index::Sealed(index) => {
                let most = index.flow_count() / 2 + 64;
                let most = if *access == Access::All { u64::MAX } else { most };
                let mut details = Vec::new();
                let whole = index.visit(access, most, |_, key, detail| {
                    if matches(key) {
                        details.push(detail);
                    }
                })?;
                if !whole {
                    return Ok(None);
                }
                details.extend(index.find(&FlowKey::IRREGULAR)?);
                details.sort_unstable();
                details.dedup();
                let most = 4 * self.granule_count() as usize + 4096;
                for detail in details {
                    index.detail(detail, Some(&mut granules))?;
                    if granules.len() > most {
                        granules.sort_unstable();
                        granules.dedup();
                        if granules.len() > self.granule_count() as usize / 2 {
                            return Ok(None);
                        }
                    }
                }
                granules.sort_unstable();
                granules.dedup();
            }
            Index::Growing(draft) => {
                let chosen =
                    |keys: &[FlowKey]| keys.iter().map(|k| *k == FlowKey::IRREGULAR || matches(k)).collect::<Vec<bool>>();
                let (four, six) = (chosen(&draft.keys4), chosen(&draft.keys6));
                if !four.contains(&true) && !six.contains(&true) {
                    return Ok(Some(granules));
                }
                let is_chosen = |n: &FlowNumber| if n.is_ip6() { six[n.index()] } else { four[n.index()] };
                for g in 0..draft.granules.len() {
                    if draft.granule_flows(g).iter().any(is_chosen) {
                        granules.push(g as u32);
                    }
                }
            }
        }
        Ok(Some(granules))
    }

    /// Calls `each` once for every flow whose key matches. `false` where only the packets can tell: the segment is not sealed. At an error
    /// it may have been called for some.
    pub fn flows(
        &self,
        access: &Access,
        matches: impl Fn(&FlowKey) -> bool,
        mut each: impl FnMut(&FlowKey, &FlowStats),
    ) -> Result<bool, SegmentError> {
        let Index::Sealed(index) = &self.index else { return Ok(false) };
        if *access == Access::All {
            // Each comes once, and all of them are too many to be held.
            let mut failed = None;
            index.visit(access, u64::MAX, |_, key, detail| {
                if failed.is_none() && matches(key) {
                    match index.detail(detail, None) {
                        Ok(stats) => each(key, &stats),
                        Err(e) => failed = Some(e),
                    }
                }
            })?;
            return failed.map_or(Ok(true), Err);
        }
        let mut found = Vec::new();
        index.visit(access, u64::MAX, |number, key, detail| {
            if matches(key) {
                found.push((number, detail));
            }
        })?;
        found.sort_unstable();
        found.dedup();
        for (number, detail) in found {
            each(&index.key(number)?, &index.detail(detail, None)?);
        }
        Ok(true)
    }

    /// Its packet file, opened if it is not.
    pub fn packet_file(&self) -> Result<PacketFile, SegmentError> {
        let file = self.data.get().map_err(|e| SegmentError::io(self.data.path(), e))?;
        Ok(PacketFile { file, path: self.path.clone() })
    }
}
