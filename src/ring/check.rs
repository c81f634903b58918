//! Checking every byte that the ring vouches for, and mending what can be mended.

use super::catalog::{CATALOG_FILE, CatalogError, CatalogReader, CatalogWriter};
use super::catalog_check::damaged_places;
use super::clock::Clock;
use super::data::{DataDir, DataError, MARK_FILE, RING_FILE, read_ring_info, rescued_ring_info, write_ring_info};
use super::facts::SegmentFacts;
use super::files::LazyFile;
use super::footers::from_footers;
use super::hosts;
use super::ids::SectionId;
use super::kept_check::check_kept;
use super::lock::{self, LOCK_FILE};
use super::log;
use super::paths::{OPEN_FOLDER, data_path, index_path};
use super::reindex::reindex;
use super::ring_writer::RingWriter;
use super::sealed::SealedIndex;
use super::sections;
use super::segment_check::{Around, check_segment, mend_frame, mend_hosts};
use super::snapshot::log_paths;
use super::unlisted::{Unlisted, unlisted};
use super::unsealed_check::{tell_unsealed, unsealed};
use crate::time::Window;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What is said where a segment's table of sections is lost.
const SECTIONS_LOST: &str =
    "; which section its packets belong to is lost: names, secrets and descriptions no longer go with them";

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The interface.
    pub interface: String,
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it was mended.
    pub mended: bool,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Nothing is wrong.
    pub clean: bool,
    /// What is.
    pub findings: Vec<Finding>,
}

/// Reads all of every ring of a data folder. With `repair`, segments whose index or packets are damaged get a new index (damaged granules
/// are given up and stay named), a damaged catalogue is made anew, and segments that were never sealed are sealed.
pub fn check(path: &Path, repair: bool) -> Result<Report, DataError> {
    let mut report = Report::default();
    let data = match DataDir::open(path) {
        Err(e @ DataError::Mark { .. }) => {
            let Some((data, written)) = DataDir::rescue(path, repair) else { return Err(e) };
            report.add("", &path.join(MARK_FILE), e.to_string(), repair && written.is_ok());
            data
        }
        other => other?,
    };
    let (interfaces, nameless) = data.rings()?;
    for e in nameless {
        report.add("", &data.rings_path(), format!("{e}; no segment there tells it either"), false);
    }
    for interface in interfaces {
        check_ring(&data, &interface, repair, &mut report);
    }
    report.clean = report.findings.is_empty();
    Ok(report)
}

impl Report {
    fn add(&mut self, interface: &str, file: &Path, problem: String, mended: bool) {
        self.findings.push(Finding { interface: interface.to_string(), file: file.display().to_string(), problem, mended });
    }
}

fn check_ring(data: &DataDir, interface: &str, repair: bool, report: &mut Report) {
    let ring = data.ring_path(interface);
    let mut add = |file: &Path, problem: String, mended: bool| report.add(interface, file, problem, mended);
    // Only a ring that nobody writes is repaired.
    let mut lock = if repair { lock_ring(&ring, &mut add) } else { None };
    match read_ring_info(&ring) {
        Err(e @ DataError::Mark { .. }) => {
            let mended = lock.is_some() && rescued_ring_info(&ring).is_some_and(|info| write_ring_info(&ring, &info).is_ok());
            let problem = format!("{e}; the ring's limits that stood there are lost: set them with the next import");
            add(&ring.join(RING_FILE), problem, mended);
        }
        // Of a later version, or not to be read: nothing in it is touched.
        Err(e) => return add(&ring.join(RING_FILE), e.to_string(), false),
        Ok(_) => {}
    }
    let kept = check_kept(&ring, data.sensor(), interface, lock.is_some(), &mut add);
    let Some(mut live) = check_catalog(&ring, lock.is_some(), &mut add) else { return };
    // What a killed writer left comes first: the rest is then looked at as it will stay.
    let unsealed = unsealed(&ring);
    let idle = lock.is_some() || !lock::is_written(&ring);
    if lock.is_some() && !unsealed.is_empty() {
        drop(lock.take());
        // A repair drops nothing for its age: nobody has looked whether the clock is right.
        let clock = Arc::new(Clock::unproven());
        let sealed = RingWriter::open_by(data, interface, None, clock).and_then(RingWriter::finish);
        if let Err(e) = &sealed {
            add(&ring.join(OPEN_FOLDER), format!("what was not sealed cannot be mended: {e}"), false);
        }
        lock = lock_ring(&ring, &mut add);
        if let Ok(now) = CatalogReader::open(&ring).and_then(|c| c.segments_in(&Window::ALL)) {
            live = now.into_iter().map(|(_, f)| f).collect();
        }
    }
    tell_unsealed(&ring, &unsealed, &live, idle, &mut add);
    let locked = lock.is_some();
    let mut changed = false;
    if locked {
        let listed = live.len();
        live.retain(|f| !kept.contains(&f.id));
        changed = live.len() < listed;
    }
    for facts in live.iter_mut().filter(|f| !f.has(SegmentFacts::LOST) && !kept.contains(&f.id)) {
        match check_segment(&ring, interface, facts) {
            Ok(Around { problems, segment }) => {
                let mend = || mend_frame(&ring, interface, &segment).and_then(|()| mend_hosts(&ring, &segment));
                let mended = locked && !problems.is_empty() && mend().is_ok();
                problems.into_iter().for_each(|(file, problem)| add(&file, problem, mended));
            }
            // Dropped by a writer meanwhile.
            Err(_) if !locked && !still_listed(&ring, facts) => {}
            Err(wrong) if !locked || !wrong.is_damage => add(&wrong.file, wrong.problem, false),
            Err(wrong) => {
                let (mended, problem) = mend_segment(data, &ring, interface, facts, wrong.problem);
                changed |= mended;
                add(&wrong.file, problem, mended);
            }
        }
    }
    let lasting = live.clone();
    if changed && let Err(e) = CatalogWriter::rewrite(&ring, live) {
        add(&ring.join(CATALOG_FILE), e.to_string(), false);
    }
    let grows = log_paths(&ring).is_ok_and(|logs| !logs.is_empty());
    let stored: BTreeSet<SectionId> = sections::stored(&ring).unwrap_or_default().into_iter().collect();
    let named = named_sections(&ring, &lasting);
    for &section in stored.union(&named) {
        // The last one of a writer that is at work, or was killed, may end anywhere.
        let unfinished = grows || !named.contains(&section);
        let Err(e) = sections::read(&ring, section, unfinished) else { continue };
        let path = sections::path(&ring, section);
        // With its last segment, a writer drops the section.
        if !locked && !path.exists() && !still_named(&ring, section) {
            continue;
        }
        match locked.then(|| sections::give_up(&ring, section)) {
            Some(Ok(Some(aside))) => add(&path, format!("{e}; it is now {}", aside.display()), true),
            Some(Ok(None)) => add(&path, e.to_string(), true),
            Some(Err(failed)) => add(&path, format!("{e}; it cannot be set aside: {failed}"), false),
            None => add(&path, e.to_string(), false),
        }
    }
}

fn lock_ring(ring: &Path, add: &mut dyn FnMut(&Path, String, bool)) -> Option<File> {
    let file = ring.join(LOCK_FILE);
    match lock::lock(ring) {
        Ok(Some(lock)) => return Some(lock),
        Ok(None) => add(&file, "the ring is being written: stop its writer to repair it".into(), false),
        Err(e) => add(&file, format!("the ring cannot be locked, and so is not repaired: {e}"), false),
    }
    None
}

/// The sealed segments of a ring, whatever is wrong with its catalogue. `None` where it is of a later version or cannot be read: then
/// nothing in the ring is touched.
fn check_catalog(ring: &Path, locked: bool, add: &mut dyn FnMut(&Path, String, bool)) -> Option<Vec<SegmentFacts>> {
    let path = ring.join(CATALOG_FILE);
    let read = || Ok((CatalogReader::open(ring)?.segments_in(&Window::ALL)?, damaged_places(ring)?));
    let (found, places) = match read() {
        Ok((found, places)) => (found.into_iter().map(|(_, f)| f).collect(), places),
        Err(e @ (CatalogError::Damaged(_) | CatalogError::Missing)) => {
            let found = from_footers(ring);
            let mended = locked && CatalogWriter::rewrite(ring, found.clone()).is_ok();
            add(&path, format!("{e}; {} segments were found by their indexes", found.len()), mended);
            return Some(found);
        }
        Err(e @ (CatalogError::Version(_) | CatalogError::Io(_))) => {
            let why = io_reason(&e);
            add(&path, format!("{e}{why}; nothing in this ring is touched"), false);
            return None;
        }
    };
    let mut live: Vec<SegmentFacts> = found;
    let Unlisted { sealed, left_alone, .. } = unlisted(ring);
    live.extend(&sealed);
    let mended = locked && (!places.is_empty() || !sealed.is_empty()) && CatalogWriter::rewrite(ring, live.clone()).is_ok();
    for at in places {
        add(&path, format!("{}; no segment is lost by it", CatalogError::Damaged(at)), mended);
    }
    for facts in sealed {
        add(&index_path(ring, facts.id), "the catalogue does not list this segment: it was found by its index".into(), mended);
    }
    for (file, why) in left_alone {
        add(&file, format!("the catalogue does not list this segment, and its index is left alone: {why}"), false);
    }
    Some(live)
}

fn io_reason(e: &CatalogError) -> String {
    std::error::Error::source(e).map(|s| format!(": {s}")).unwrap_or_default()
}

/// Makes a segment's index anew. Whether that, or naming its packets as lost, mended it, and what there is to say.
fn mend_segment(data: &DataDir, ring: &Path, interface: &str, facts: &mut SegmentFacts, problem: String) -> (bool, String) {
    let no_packets = !data_path(ring, facts.id).exists();
    let anew = || {
        if no_packets {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let new = reindex(ring, data.sensor(), interface, facts)?;
        hosts::write(ring, facts.id, &new.hosts).map(|()| new)
    };
    match anew() {
        Ok(new) => {
            *facts = new.facts;
            (true, format!("{problem}{}", if new.sections_lost { SECTIONS_LOST } else { "" }))
        }
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            facts.flags |= SegmentFacts::LOST | SegmentFacts::DAMAGED;
            (true, format!("{problem}; its packets are lost, and every cut that would have them says so"))
        }
        Err(e) => (false, format!("{problem}; it cannot be mended: {e}")),
    }
}

/// The sections that packets of some segments, or of growing ones, belong to, as far as indexes and logs can be read.
fn named_sections(ring: &Path, segments: &[SegmentFacts]) -> BTreeSet<SectionId> {
    let mut named = BTreeSet::new();
    for facts in segments.iter().filter(|f| !f.has(SegmentFacts::LOST) && f.section_high != SectionId::NONE) {
        if facts.section_low == facts.section_high {
            named.insert(facts.section_high);
            continue;
        }
        let file = LazyFile::new(index_path(ring, facts.id), Arc::default());
        let table = SealedIndex::open(file, 0, Arc::default()).and_then(|index| index.sections());
        named.extend(table.into_iter().flatten().map(|s| s.1));
    }
    for log in log_paths(ring).into_iter().flatten() {
        let published = fs::read(log).ok().and_then(|bytes| log::read(&bytes).ok());
        named.extend(published.into_iter().flat_map(|p| p.draft.sections).map(|s| s.1));
    }
    named.remove(&SectionId::NONE);
    named
}

/// Whether packets belong to a section now, as far as the catalogue can be read.
fn still_named(ring: &Path, section: SectionId) -> bool {
    let now = CatalogReader::open(ring).and_then(|c| c.segments_in(&Window::ALL));
    let facts = |all: Vec<(_, SegmentFacts)>| all.into_iter().map(|(_, f)| f).collect::<Vec<_>>();
    now.map_or(true, |all| named_sections(ring, &facts(all)).contains(&section))
}

/// Whether the catalogue lists a segment now, as far as it can be read.
fn still_listed(ring: &Path, facts: &SegmentFacts) -> bool {
    let now = CatalogReader::open(ring).and_then(|c| c.segments_in(&Window::ALL));
    now.map_or(true, |all| all.iter().any(|(_, f)| f.id == facts.id))
}
