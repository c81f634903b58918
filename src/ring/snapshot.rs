//! What a reader sees of a ring: its sealed segments and what is published of the growing ones, as of one moment.
//!
//! The folder of growing segments is listed before the catalogue is opened: a segment that is sealed in between is then found in the
//! catalogue, and one that is found in both counts as sealed. What pins keep is listed after the catalogue is opened: a segment that is
//! moved in between is then found there, and one that is found in both counts as the ring's.

use super::captured::together;
use super::catalog::{CatalogError, CatalogReader, Summary, reach};
use super::complete::{CompleteTo, Unsealed, complete_to};
use super::data::{DataDir, DataError, RingInfo, free_bytes, read_ring_info, rescued_ring_info};
use super::draft::SegmentDraft;
use super::error::SegmentError;
use super::facts::SegmentFacts;
use super::files::Files;
use super::footers::from_footers;
use super::forecast::{Basis, Forecast};
use super::hosts::Hosts;
use super::ids::{SectionId, SegmentId, SensorId, StreamId};
use super::kept;
use super::lock;
use super::log;
use super::page::PageCache;
use super::paths::{OPEN_FOLDER, data_path, indexes, log_path, segment_of};
use super::purge::reach_of;
use super::sections::{self, Section};
use super::segment::Segment;
use super::unlisted::{newer, unlisted};
use crate::packet::LinkType;
use crate::time::{Timestamp, Window};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// How often a ring is looked at anew because segments were dropped in between.
const LOOKS_MAX: u32 = 64;

/// So many segments are worth a look at their hosts before they are opened.
const HOSTS_FROM: usize = 4;

/// What the rings of one request share: open files, index pages.
#[derive(Clone, Default)]
pub struct ReadContext {
    /// Open files.
    pub files: Arc<Files>,
    /// Index pages.
    pub pages: Arc<PageCache>,
}

/// Why a ring cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// Its folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is no such ring.
    #[error("there is no interface {0:?} here")]
    Unknown(String),
    /// Its catalogue.
    #[error("{}: {source}", ring.display())]
    Catalog {
        /// The ring's folder.
        ring: PathBuf,
        /// Why.
        source: CatalogError,
    },
    /// The disk says no.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A ring as of one moment.
pub struct RingReader {
    ring: PathBuf,
    info: RingInfo,
    catalog: Option<CatalogReader>,
    growing: Vec<(SegmentFacts, Arc<SegmentDraft>)>,
    /// What pins keep of it and the catalogue no longer lists, in the order of their numbers.
    kept: Vec<SegmentFacts>,
    kept_damage: Vec<(PathBuf, String)>,
    /// Growing segments whose log cannot be read, and why.
    unread: Vec<(SegmentFacts, String)>,
    complete_to: Option<CompleteTo>,
    /// What is wrong with the catalogue, once that was met, and the segments that were found without it.
    without_catalog: OnceLock<(String, Vec<SegmentFacts>)>,
    context: ReadContext,
}

/// What a ring holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The time of the first packet that has one.
    pub first: Option<Timestamp>,
    /// The time of the last packet.
    pub last: Option<Timestamp>,
    /// From the first packet, or since when capture has run, to the last packet, or until when it has.
    pub reach: Option<Window>,
    /// No packet earlier than this can still appear.
    pub complete_to: Timestamp,
    /// The time of the first packet of the ring itself, without what pins keep from before it.
    pub ring_first: Option<Timestamp>,
    /// The sum of the ring's own segments.
    pub summary: Summary,
    /// The sum of what pins keep.
    pub kept: Summary,
    /// How many of them grow.
    pub growing: u64,
    /// Where an end that is left open lies while a recorder writes the ring: what it has published since is of the next answer.
    pub open_end: Option<Timestamp>,
}

/// A recorder's threads publish within this of one another, in nanoseconds, unless one is held up.
const AHEAD_NS: u64 = 1_000_000_000;

impl Held {
    /// What is asked of this ring.
    pub fn window(&self, selection: &Window) -> Window {
        let to = self.open_end.filter(|_| selection.to == Timestamp::MAX).unwrap_or(selection.to);
        Window { from: selection.from, to: to.max(selection.from) }
    }
}

impl RingReader {
    /// Looks at a ring now.
    pub fn open(data: &DataDir, interface: &str, context: &ReadContext) -> Result<RingReader, RingError> {
        for _ in 0..LOOKS_MAX {
            if let Some(reader) = RingReader::look(data, interface, context)? {
                return Ok(reader);
            }
        }
        let source = io::Error::other("its segments are dropped faster than they can be listed: give the ring more bytes");
        Err(RingError::Io { path: data.ring_path(interface), source })
    }

    /// `None` where a segment that was listed was sealed and dropped before it could be read: nothing would name it.
    fn look(data: &DataDir, interface: &str, context: &ReadContext) -> Result<Option<RingReader>, RingError> {
        let ring = data.ring_path(interface);
        let mut vanished = Vec::new();
        let info = match read_ring_info(&ring) {
            Err(e @ DataError::Mark { .. }) => {
                tracing::warn!("{e}");
                Some(rescued_ring_info(&ring).ok_or(e)?)
            }
            told => told?,
        };
        let info = info.ok_or_else(|| RingError::Unknown(interface.to_string()))?;
        let mut growing = Vec::new();
        let mut unread = Vec::new();
        let mut complete = Vec::new();
        for path in log_paths(&ring)? {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    vanished.push(path);
                    continue;
                }
                Err(source) => return Err(RingError::Io { path, source }),
            };
            context.pages.count_read(bytes.len() as u64);
            let published = match log::read(&bytes) {
                Ok(published) => published,
                Err(_) => {
                    unread.extend(unread_log(&ring, &path));
                    continue;
                }
            };
            complete.push(Unsealed::of(&published));
            growing.push((growing_facts(&published.draft), Arc::new(published.draft)));
        }
        let without_catalog = OnceLock::new();
        let catalog = match CatalogReader::open(&ring) {
            Ok(catalog) => Some(catalog),
            // A ring that is only just made has none yet.
            Err(CatalogError::Missing) if indexes(&ring).next().is_none() => None,
            Err(e @ (CatalogError::Damaged(_) | CatalogError::Missing)) => {
                without_catalog.get_or_init(|| (e.to_string(), from_footers(&ring)));
                None
            }
            Err(source) => return Err(RingError::Catalog { ring, source }),
        };
        if let Some(why) = catalog.as_ref().and_then(|c| lost_end(&ring, c)) {
            without_catalog.get_or_init(|| (why, from_footers(&ring)));
        }
        let mut reader = RingReader {
            ring,
            info,
            catalog,
            growing,
            unread,
            kept: Vec::new(),
            kept_damage: Vec::new(),
            complete_to: None,
            without_catalog,
            context: context.clone(),
        };
        reader.find_kept()?;
        if !reader.growing.is_empty() || !reader.unread.is_empty() || !vanished.is_empty() {
            let newest = reader.ask_catalog(CatalogReader::newest, <[_]>::to_vec)?;
            let sealed: HashSet<SegmentId> = newest.iter().chain(&reader.kept).map(|f| f.id).collect();
            if !vanished.iter().all(|log| segment_of(log).is_some_and(|id| sealed.contains(&id))) {
                return Ok(None);
            }
            reader.growing.retain(|(f, _)| !sealed.contains(&f.id));
            reader.unread.retain(|(f, _)| !sealed.contains(&f.id));
            // Streams of segments that are sealed by now have later ones, or have ended.
            complete.retain(|u| !sealed.contains(&u.id));
            reader.complete_to = complete_to(complete);
        }
        Ok(Some(reader))
    }

    /// Lists what pins keep. Those that the catalogue still lists are not told twice: they are just being moved.
    fn find_kept(&mut self) -> Result<(), RingError> {
        let found = kept::list(&self.ring, |_| None)
            .map_err(|source| RingError::Io { path: super::paths::kept_folder(&self.ring), source })?;
        if !found.segments.is_empty() {
            let listed: HashSet<SegmentId> = self.sealed_in(&reach_of(&found.segments))?.iter().map(|f| f.id).collect();
            self.kept = found.segments;
            self.kept.retain(|f| !listed.contains(&f.id));
        }
        self.kept_damage = found.damaged.into_iter().map(|(_, path, reason)| (path, reason)).collect();
        Ok(())
    }

    /// Whether a segment was dropped from the ring and pins keep it.
    pub fn is_kept(&self, facts: &SegmentFacts) -> bool {
        self.kept.binary_search_by_key(&facts.id, |f| f.id).is_ok()
    }

    /// Files of what pins keep whose packets no answer can have, since their index is damaged, and why.
    pub fn kept_damage(&self) -> &[(PathBuf, String)] {
        &self.kept_damage
    }

    /// The interface's true name.
    pub fn interface(&self) -> &str {
        &self.info.interface
    }

    /// What the ring's folder says of itself.
    pub fn info(&self) -> &RingInfo {
        &self.info
    }

    fn sealed_in(&self, window: &Window) -> Result<Vec<SegmentFacts>, RingError> {
        self.ask_catalog(
            |catalog| Ok(catalog.segments_in(window)?.into_iter().map(|(_, f)| f).collect()),
            |all| all.iter().filter(|f| window.touches(reach(f).0, reach(f).1)).copied().collect(),
        )
    }

    /// Asks the catalogue, or the segments themselves where it is damaged.
    fn ask_catalog<R>(
        &self,
        ask: impl FnOnce(&CatalogReader) -> Result<R, CatalogError>,
        without: impl FnOnce(&[SegmentFacts]) -> R,
    ) -> Result<R, RingError> {
        let Some(catalog) = self.catalog.as_ref().filter(|_| self.without_catalog.get().is_none()) else {
            return Ok(without(self.without_catalog.get().map_or(&[], |w| &w.1)));
        };
        match ask(catalog) {
            Ok(answer) => Ok(answer),
            Err(e @ CatalogError::Damaged(_)) => {
                Ok(without(&self.without_catalog.get_or_init(|| (e.to_string(), from_footers(&self.ring))).1))
            }
            Err(source) => Err(RingError::Catalog { ring: self.ring.clone(), source }),
        }
    }

    /// What is wrong with the catalogue, as far as it was looked at; the segments were found without it.
    pub fn catalog_damage(&self) -> Option<&str> {
        self.without_catalog.get().map(|w| &*w.0)
    }

    /// The segments that have packets in the window or for which capture ran in it, lowest time first.
    pub fn segments_in(&self, window: &Window) -> Result<Vec<SegmentFacts>, RingError> {
        let mut found = self.sealed_in(window)?;
        found.extend(self.kept.iter().filter(|f| window.touches(reach(f).0, reach(f).1)));
        let captured = |f: &SegmentFacts| f.captured.intersect(window).is_some();
        let grow = self.growing.iter().map(|(f, _)| *f);
        found.extend(grow.filter(|f| (f.packets > 0 && window.touches(f.low, f.high)) || captured(f)));
        // Of one whose log cannot be read it is not known what it has.
        found.extend(self.unread.iter().map(|(f, _)| *f));
        found.sort_by_key(|f| (f.low, f.stream, f.id));
        Ok(found)
    }

    /// Of [`RingReader::segments_in`], those that `may_hold` cannot rule out by their hosts.
    pub fn keep_candidates(&self, segments: &mut Vec<SegmentFacts>, may_hold: impl Fn(&SegmentFacts, &Hosts) -> bool) {
        if segments.len() < HOSTS_FROM {
            return;
        }
        let is_growing = |facts: &SegmentFacts| self.growing.iter().any(|(f, _)| f.id == facts.id);
        let read = super::hosts::keep_candidates(&self.ring, segments, |f, hosts| is_growing(f) || may_hold(f, hosts));
        self.context.pages.count_read(read);
    }

    /// Opens one of [`RingReader::segments_in`].
    pub fn open_segment(&self, facts: &SegmentFacts) -> Result<Segment, SegmentError> {
        let files = self.context.files.clone();
        if let Some((facts, draft)) = self.growing.iter().find(|(f, _)| f.id == facts.id) {
            return Ok(Segment::growing(&self.ring, draft.clone(), *facts, files));
        }
        if let Some((_, why)) = self.unread.iter().find(|(f, _)| f.id == facts.id) {
            let advice = "`taploop ring check --repair` takes its packets in";
            return Err(SegmentError::damaged(&log_path(&self.ring, facts.id), 0, format!("{why}: {advice}")));
        }
        if facts.has(SegmentFacts::LOST) {
            let path = data_path(&self.ring, facts.id);
            return Err(SegmentError::damaged(&path, 0, format!("a repair found its {} packets lost", facts.packets)));
        }
        Segment::open_sealed(&self.ring, facts, files, self.context.pages.clone())
    }

    /// Whether the ring still counts on a file that is gone, with packets of these times: then it is lost. A dropped one leaves the
    /// catalogue first.
    pub fn still_holds(&self, file: &Path, span: Option<(Timestamp, Timestamp)>) -> bool {
        let Some(id) = segment_of(file) else { return false };
        let window = span.map_or(Window::ALL, |(low, high)| Window { from: low, to: high.saturating_add(1) });
        if log_path(&self.ring, id).exists() || kept::has(&self.ring, id) {
            return true;
        }
        let listed = CatalogReader::open(&self.ring).and_then(|c| c.segments_in(&window));
        listed.is_ok_and(|all| all.iter().any(|(_, f)| f.id == id))
    }

    /// What the ring holds.
    pub fn held(&self) -> Result<Held, RingError> {
        let sum = |all: &[SegmentFacts]| {
            let mut sum = Summary::EMPTY;
            all.iter().for_each(|f| sum.add(f));
            sum
        };
        let mut summary = self.ask_catalog(CatalogReader::summary, sum)?;
        for (facts, _) in &self.growing {
            summary.add(facts);
        }
        let kept = sum(&self.kept);
        let mut all = summary;
        all.join(&kept);
        let any = all.first != Timestamp::MAX;
        // Capture ran there, be it without a packet.
        let reach = (all.low <= all.high).then(|| Window { from: all.low, to: all.high.saturating_add(1) });
        let ended = reach.map_or(Timestamp::ZERO, |w| w.to.max(all.last.saturating_add(1)));
        let is_written = self.is_written();
        let is_live = !self.growing.is_empty() && self.growing.iter().all(|(f, _)| !f.has(SegmentFacts::IMPORTED));
        let complete_to = match self.complete_to {
            // What nobody records any more has told all that it will tell.
            Some(CompleteTo { said, told }) if is_live && !is_written => said.max(told),
            Some(CompleteTo { said, .. }) => said,
            None => ended,
        };
        // Where the clock was set back, or one of the threads has stopped, what is later than that has come for good.
        let follows = match complete_to {
            Timestamp::ZERO => all.last.saturating_add(AHEAD_NS) > Timestamp::now(),
            _ => all.last < complete_to.saturating_add(AHEAD_NS),
        };
        let is_recorded = any && is_live && follows && is_written;
        Ok(Held {
            first: any.then_some(all.first),
            last: any.then_some(all.last),
            reach,
            complete_to,
            ring_first: Some(summary.first).filter(|t| *t != Timestamp::MAX),
            summary,
            kept,
            growing: self.growing.len() as u64,
            open_end: is_recorded.then_some(complete_to),
        })
    }

    /// How long its limits let packets stay.
    pub fn forecast(&self, held: &Held, now: Timestamp) -> Result<Option<Forecast>, RingError> {
        let last = self.ask_catalog(CatalogReader::newest, <[_]>::to_vec)?;
        let recent: Vec<_> = last.iter().chain(self.growing.iter().map(|(f, _)| f)).map(|f| (f.arrived, f.bytes())).collect();
        let free = free_bytes(&self.ring);
        let (retention, oldest) = (self.info.retention, held.summary.arrived_first);
        let bytes = held.summary.data_bytes.saturating_add(held.summary.index_bytes);
        Ok(Basis { retention, recent: &recent, held: bytes, oldest, free, now }.forecast())
    }

    /// The stretches of the window in which capture ran, joined and in order.
    pub fn captured(&self, window: &Window) -> Result<Vec<Window>, RingError> {
        let facts = self.segments_in(window)?;
        Ok(together(facts.iter().filter_map(|f| Some((f.stream, f.captured.intersect(window)?)))))
    }

    /// Whether any segment held is of a live interface.
    pub fn has_live_segments(&self) -> Result<bool, RingError> {
        let held = self.held()?;
        Ok(held.summary.live > 0 || held.kept.live > 0)
    }

    /// What is kept of a section beside its packets.
    pub fn section(&self, section: SectionId) -> Result<Section, SegmentError> {
        sections::read(&self.ring, section, !self.growing.is_empty())
    }

    /// Whether someone writes it now, as far as that can be told.
    pub fn is_written(&self) -> bool {
        lock::is_written(&self.ring)
    }

    /// The ring's folder.
    pub fn path(&self) -> &Path {
        &self.ring
    }
}

/// What is wrong with the end of a catalogue, if segments are there that it should list.
fn lost_end(ring: &Path, catalog: &CatalogReader) -> Option<String> {
    match catalog.torn_at() {
        // An entry in the making is of a segment whose log is still there; else it was whole once.
        Some(at) => (!unlisted(ring).is_empty()).then(|| CatalogError::Damaged(at).to_string()),
        None => newer(ring, catalog).map(|id| format!("the catalogue does not list segment {id}, whose files are there")),
    }
}

/// A growing segment whose log cannot be read, and why, if it may have packets: its writer makes the packet file after the log's header.
fn unread_log(ring: &Path, log: &Path) -> Option<(SegmentFacts, String)> {
    let id = segment_of(log)?;
    if !fs::metadata(data_path(ring, id)).is_ok_and(|m| m.len() > 0) {
        return None;
    }
    let why = log::read(&fs::read(log).ok()?).err()?.to_string();
    let stream = StreamId { fanout: 0, link_type: LinkType::ETHERNET };
    let mut facts = growing_facts(&SegmentDraft::new(SensorId([0; 16]), id, stream, 0));
    facts.flags |= SegmentFacts::LOST | SegmentFacts::DAMAGED;
    // It may have any packet.
    (facts.low, facts.high, facts.packets) = (Timestamp::ZERO, Timestamp::MAX, 1);
    Some((facts, why))
}

/// The logs of a ring's growing segments.
pub fn log_paths(ring: &Path) -> Result<Vec<PathBuf>, RingError> {
    let folder = ring.join(OPEN_FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RingError::Io { path: folder, source }),
    };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|x| x == "log")).collect();
    paths.sort();
    Ok(paths)
}

/// What a growing segment amounts to.
pub(super) fn growing_facts(draft: &SegmentDraft) -> SegmentFacts {
    SegmentFacts {
        id: draft.id,
        stream: draft.stream,
        low: draft.low,
        high: draft.high,
        first: draft.first,
        captured: draft.captured.unwrap_or(Window { from: Timestamp::ZERO, to: Timestamp::ZERO }),
        packets: draft.packets,
        data_bytes: draft.data_len,
        index_bytes: 0,
        arrived: Timestamp::now(),
        drops: draft.drops(),
        granules: draft.granules.len() as u32,
        section_low: draft.sections.iter().map(|s| s.1).min().unwrap_or_default(),
        section_high: draft.sections.iter().map(|s| s.1).max().unwrap_or_default(),
        flags: if draft.disordered { SegmentFacts::DISORDERED } else { 0 }
            | if draft.imported { SegmentFacts::IMPORTED } else { 0 },
        truncated: u32::try_from(draft.truncated).unwrap_or(u32::MAX),
        recovered: 0,
    }
}
