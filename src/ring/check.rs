//! Checking every byte that the ring vouches for, and mending what can be mended.

use super::catalog::{CATALOG_FILE, CatalogError, CatalogReader, CatalogWriter};
use super::catalog_check::damaged_places;
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
use crate::time::Window;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
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
    let lock = if repair { lock::lock(&ring) } else { Ok(None) };
    let locked = matches!(lock, Ok(Some(_)));
    match &lock {
        Ok(None) if repair => {
            add(&ring.join(LOCK_FILE), "the ring is being written: stop its writer to repair it".into(), false);
        }
        Err(e) => add(&ring.join(LOCK_FILE), format!("the ring cannot be locked, and so is not repaired: {e}"), false),
        Ok(_) => {}
    }
    match read_ring_info(&ring) {
        Err(e @ DataError::Mark { .. }) => {
            let mended = locked && rescued_ring_info(&ring).is_some_and(|info| write_ring_info(&ring, &info).is_ok());
            let problem = format!("{e}; the ring's limits that stood there are lost: set them with the next import");
            add(&ring.join(RING_FILE), problem, mended);
        }
        // Of a later version, or not to be read: nothing in it is touched.
        Err(e) => return add(&ring.join(RING_FILE), e.to_string(), false),
        Ok(_) => {}
    }
    let kept = check_kept(&ring, data.sensor(), interface, locked, &mut add);
    let catalog = CatalogReader::open(&ring).and_then(|c| c.segments_in(&Window::ALL));
    let mut changed = false;
    let catalog = catalog.and_then(|found| Ok((found, damaged_places(&ring)?)));
    let mut live: Vec<SegmentFacts> = match catalog {
        Ok((found, places)) => {
            changed = locked && !places.is_empty();
            for at in places {
                add(&ring.join(CATALOG_FILE), format!("{}; no segment is lost by it", CatalogError::Damaged(at)), locked);
            }
            found.into_iter().map(|(_, f)| f).collect()
        }
        Err(e) => {
            let found = from_footers(&ring);
            let mended = locked && CatalogWriter::rewrite(&ring, found.clone()).is_ok();
            add(&ring.join(CATALOG_FILE), format!("{e}; {} segments were found by their indexes", found.len()), mended);
            found
        }
    };
    if locked {
        let listed = live.len();
        live.retain(|f| !kept.contains(&f.id));
        changed |= live.len() < listed;
    }
    for facts in live.iter_mut().filter(|f| !f.has(SegmentFacts::LOST) && !kept.contains(&f.id)) {
        let (file, problem) = match check_segment(&ring, interface, facts) {
            Ok(Around { problems, segment }) => {
                let mend = || mend_frame(&ring, interface, &segment).and_then(|()| mend_hosts(&ring, &segment));
                let mended = locked && !problems.is_empty() && mend().is_ok();
                problems.into_iter().for_each(|(file, problem)| add(&file, problem, mended));
                continue;
            }
            // Dropped by a writer meanwhile.
            Err(_) if !locked && !still_listed(&ring, facts) => continue,
            Err(found) => found,
        };
        if !data_path(&ring, facts.id).exists() {
            if locked {
                facts.flags |= SegmentFacts::LOST | SegmentFacts::DAMAGED;
                changed = true;
            }
            add(Path::new(&file), format!("{problem}; its packets are lost, and every cut that would have them says so"), locked);
            continue;
        }
        let anew = || {
            let new = reindex(&ring, data.sensor(), interface, facts)?;
            hosts::write(&ring, facts.id, &new.hosts).map(|()| new)
        };
        let mended = locked.then(anew);
        let (mended, problem) = match mended {
            Some(Ok(new)) => {
                *facts = new.facts;
                changed = true;
                let lost = if new.sections_lost { SECTIONS_LOST } else { "" };
                (true, format!("{problem}{lost}"))
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                facts.flags |= SegmentFacts::LOST | SegmentFacts::DAMAGED;
                changed = true;
                (true, format!("{problem}; its packets are lost, and every cut that would have them says so"))
            }
            Some(Err(e)) => (false, format!("{problem}; it cannot be mended: {e}")),
            None => (false, problem),
        };
        add(Path::new(&file), problem, mended);
    }
    let lasting = live.clone();
    if changed && let Err(e) = CatalogWriter::rewrite(&ring, live) {
        add(&ring.join(CATALOG_FILE), e.to_string(), false);
    }
    let unsealed = log_paths(&ring).map(|l| l.len()).unwrap_or(0);
    let stored: BTreeSet<SectionId> = sections::stored(&ring).unwrap_or_default().into_iter().collect();
    let named = named_sections(&ring, &lasting);
    for &section in stored.union(&named) {
        // The last one of a writer that is at work, or was killed, may end anywhere.
        let unfinished = unsealed > 0 || !named.contains(&section);
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
    drop(lock);
    // A writer that began or ended meanwhile had its own growing segments.
    let idle = |ring: &Path| locked || !lock::is_written(ring);
    let unsealed = if idle(&ring) { log_paths(&ring).map(|l| l.len()).unwrap_or(0) } else { 0 };
    if unsealed > 0 && idle(&ring) {
        let problem = format!("{unsealed} segments were not sealed: their writer was killed");
        let sealed = locked && RingWriter::open(data, interface, None).and_then(RingWriter::finish).is_ok();
        add(&ring.join(OPEN_FOLDER), problem, sealed);
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
