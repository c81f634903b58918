//! A ring in the hands of its one writer: locked, with its threads.

use super::catalog::{CatalogError, CatalogWriter};
use super::clock::Clock;
use super::data::{DataDir, DataError, LAYOUT_VERSION, Retention, RingInfo, read_ring_info, write_ring_info};
use super::disk::{SEALS_QUEUED_MAX, Work, seal_segments, sync_sections, write_blocks};
use super::dropped::Dropped;
use super::facts::SegmentFacts;
use super::ids::{SectionId, SegmentId, StreamId};
use super::keeper::Keeper;
use super::kept::Kept;
use super::lock::{self, LOCK_FILE};
use super::log;
use super::mend::{self, Mended};
use super::name::kept_name;
use super::paths::{OPEN_FOLDER, log_path, segment_of};
use super::retention::{LimitError, no_space, segment_bytes, with_room};
use super::sections::{self, Section};
use super::shared::{self, DiskError, Shared, at, lock};
use super::snapshot::{RingError, log_paths};
use super::unlisted::{Unlisted, numbers, unlisted};
use super::writer::{Run, StreamMaker, StreamOptions, StreamWriter, queue};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// By how much sealing gives way to other threads: it gets a tenth of the time that both want.
const SEALING_NICE: i32 = 10;

/// Why a ring cannot be opened for writing, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RingWriteError {
    /// Someone else writes it.
    #[error("the ring of interface {0:?} is being written by another process: wait for it or stop it")]
    Locked(String),
    /// Its folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its present contents.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Its catalogue.
    #[error("interface {interface:?}: {source}{}", catalog_advice(source))]
    Catalog {
        /// The interface.
        interface: String,
        /// Why.
        source: CatalogError,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A limit that was asked for.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A thread of ours panicked: a bug.
    #[error("a writing thread stopped unexpectedly")]
    Panicked,
}

fn catalog_advice(e: &CatalogError) -> &'static str {
    match e {
        CatalogError::Damaged(_) | CatalogError::Missing => "; `taploop ring check --repair` makes a new one",
        CatalogError::Version(_) | CatalogError::Io(_) => "",
    }
}

/// A section number that nothing in the ring has. Sections that no packet belongs to any more are removed on the way.
fn next_section(ring: &Path, catalog: &CatalogWriter, kept: &Kept, logs: &[PathBuf]) -> io::Result<u32> {
    let segments = || catalog.live().chain(&kept.segments);
    let mut highest = segments().map(|f| f.section_high.0).max().unwrap_or(0);
    for log in logs {
        // What a killed writer left belongs to sections that the catalogue does not know yet.
        let published = log::read(&fs::read(log)?);
        highest = highest.max(published.iter().flat_map(|p| &p.draft.sections).map(|s| s.1.0).max().unwrap_or(0));
    }
    let stored = sections::stored(ring)?;
    highest = highest.max(stored.iter().map(|s| s.0).max().unwrap_or(0));
    if !logs.is_empty() {
        sections::trim(ring, SectionId(highest))?;
    }
    let with_sections = || segments().filter(|f| f.section_high != SectionId::NONE);
    // A segment whose first packets have no section does not say which its lowest is.
    if logs.is_empty() && kept.damaged.is_empty() && with_sections().all(|f| f.section_low != SectionId::NONE) {
        let lowest = with_sections().map(|f| f.section_low.0).min().unwrap_or(u32::MAX);
        for section in stored.into_iter().filter(|s| s.0 < lowest) {
            sections::remove(ring, section)?;
        }
    }
    Ok(highest.saturating_add(1))
}

/// Lets the catalogue name a segment whose packets are lost.
fn enter_lost(shared: &Shared, facts: &SegmentFacts) -> Result<(), DiskError> {
    lock(&shared.catalog).append(facts).map_err(at(&shared.ring))?;
    let log = log_path(&shared.ring, facts.id);
    fs::remove_file(&log).map_err(at(&log))
}

type Worker = JoinHandle<Result<(), DiskError>>;

/// Writes one ring. Dropping it without [`RingWriter::finish`] leaves growing segments for the next writer to mend.
pub struct RingWriter {
    pub(super) shared: Arc<Shared>,
    maker: StreamMaker,
    next_section: u32,
    /// Bytes of its segments when it was opened.
    held: u64,
    workers: Vec<Worker>,
    streams: HashMap<StreamId, StreamWriter>,
    _lock: File,
}

impl RingWriter {
    /// Opens or makes the ring of an interface, and mends what a killed writer left.
    pub fn open(data: &DataDir, interface: &str, retention: Option<Retention>) -> Result<RingWriter, RingWriteError> {
        RingWriter::open_by(data, interface, retention, Arc::new(Clock::believed()))
    }

    /// The same, with the clock that ages are told by.
    pub fn open_by(
        data: &DataDir,
        interface: &str,
        retention: Option<Retention>,
        clock: Arc<Clock>,
    ) -> Result<RingWriter, RingWriteError> {
        let interface = &*kept_name(interface);
        let ring = data.ring_path(interface);
        let disk = |path: PathBuf| move |source: io::Error| RingWriteError::Disk(DiskError { path, source });
        fs::create_dir_all(ring.join(OPEN_FOLDER)).map_err(disk(ring.clone()))?;
        let lock = lock::lock(&ring).map_err(disk(ring.join(LOCK_FILE)))?;
        let lock = lock.ok_or_else(|| RingWriteError::Locked(interface.to_string()))?;
        let before = read_ring_info(&ring)?;
        let info = RingInfo {
            layout: LAYOUT_VERSION,
            interface: interface.to_string(),
            retention: retention.or(before.as_ref().map(|i| i.retention)).unwrap_or_default(),
        };
        if before.as_ref() != Some(&info) {
            write_ring_info(&ring, &info).map_err(no_space).map_err(disk(ring.clone()))?;
        }
        let failed = |source| RingWriteError::Catalog { interface: interface.to_string(), source };
        let mut catalog = CatalogWriter::open(&ring).map_err(failed)?;
        let (keeper, kept) = Keeper::open(&ring, clock.now_for_pins()).map_err(disk(ring.clone()))?;
        let Unlisted { sealed: unlisted, bare, .. } = unlisted(&ring);
        for facts in unlisted {
            tracing::warn!(
                "interface {interface}: the catalogue does not list segment {}, whose files are there: it is entered again",
                facts.id
            );
            catalog.append(&facts).map_err(disk(ring.clone()))?;
        }
        let logs = log_paths(&ring)?;
        let mut unsealed: Vec<_> = logs.iter().filter_map(|p| segment_of(p)).chain(bare).collect();
        unsealed.sort_unstable();
        let listed = catalog.live().map(|f| f.id).max();
        let highest = listed.max(kept.newest).max(unsealed.last().copied()).max(numbers(&ring).last().copied());
        let next_section = next_section(&ring, &catalog, &kept, &logs).map_err(disk(ring.clone()))?;
        let sealed: Vec<_> = catalog.live().map(|f| f.id).collect();
        let next_id = highest.map_or(0, |id| id.0) + 1;
        let held = catalog.live().map(SegmentFacts::bytes).sum();
        let shared = Arc::new(Shared {
            ring: ring.clone(),
            sensor: data.sensor(),
            interface: interface.to_string(),
            retention: info.retention,
            catalog: Mutex::new(catalog),
            unsealed: Mutex::default(),
            keeper,
            dropped: Mutex::default(),
            dropped_ahead: Mutex::default(),
            first_own: SegmentId(next_id),
            pressed: Mutex::default(),
            committed: Condvar::new(),
            clock,
            growing: Mutex::default(),
            unsynced: Mutex::default(),
        });
        let (jobs, jobs_in) = queue();
        let (seals, seals_in) = sync_channel::<Work>(SEALS_QUEUED_MAX);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let sealer = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                // Where there is not time for all, what comes in goes before what can wait. On Linux this is of the thread alone.
                let _ = rustix::process::nice(SEALING_NICE);
                seal_segments(&shared, &seals_in)
            })
        };
        let disk_thread = {
            let (shared, spare) = (shared.clone(), spare.clone());
            std::thread::spawn(move || {
                // What a killed writer left is mended behind the new recording's back, on this side of the queue.
                for id in unsealed {
                    match mend::mend(&shared, id, &sealed)? {
                        Mended::Seal(segment) => {
                            let named = segment.draft.sections.iter().map(|s| s.1).filter(|s| *s != SectionId::NONE);
                            shared::lock(&shared.unsynced).extend(named);
                            if seals.send(Work::Seal(segment)).is_err() {
                                return Ok(());
                            }
                        }
                        Mended::Lost(facts) => enter_lost(&shared, &facts)?,
                        Mended::Nothing => {}
                    }
                }
                write_blocks(&shared, &jobs_in, &seals, &spare)
            })
        };
        Ok(RingWriter {
            shared,
            maker: StreamMaker { jobs, spare, next_id: Arc::new(AtomicU64::new(next_id)), run: Arc::default() },
            next_section,
            held,
            workers: vec![disk_thread, sealer],
            streams: HashMap::new(),
            _lock: lock,
        })
    }

    /// The writer of a stream, made when first asked for.
    pub fn stream(&mut self, stream: StreamId, options: StreamOptions) -> &mut StreamWriter {
        self.streams.entry(stream).or_insert_with(|| self.maker.stream(stream, options))
    }

    /// What an import has seen of the interface. One that closes a ring and opens it again hands over what it had seen before, so that
    /// it does not pass for a time without capture.
    pub fn run(&self) -> Run {
        self.maker.run.clone()
    }

    /// Makes writers of streams for other threads.
    pub fn maker(&self) -> StreamMaker {
        self.maker.clone()
    }

    /// Bytes of a segment that fit the ring's limits and its disk, `asked` at most, where so many streams are written at once.
    pub fn segment_bytes(&self, asked: u64, streams: u64) -> u64 {
        segment_bytes(asked, &self.shared.retention, &self.shared.ring, self.held, streams)
    }

    /// All streams.
    pub fn streams(&mut self) -> impl Iterator<Item = &mut StreamWriter> {
        self.streams.values_mut()
    }

    /// A new section, with what it says beside packets so far.
    pub fn begin_section(&mut self, section: &Section) -> Result<SectionId, RingWriteError> {
        let id = SectionId(self.next_section);
        self.next_section += 1;
        let described = Section { descriptions: section.descriptions.clone(), blocks: Vec::new() }.encode();
        let mut parts: Vec<&[u8]> = [&described[..], &section.blocks].into_iter().filter(|b| !b.is_empty()).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for blocks in parts {
            self.add_section_blocks(id, blocks)?;
        }
        Ok(id)
    }

    /// Keeps name-resolution or secrets blocks of a section. `false`: the section is full.
    pub fn add_section_blocks(&mut self, section: SectionId, blocks: &[u8]) -> Result<bool, RingWriteError> {
        let ring = &self.shared.ring;
        let added = with_room(&self.shared, ring, blocks.len() as u64, usize::MAX, || sections::add(ring, section, blocks))?;
        lock(&self.shared.unsynced).insert(section);
        Ok(added)
    }

    /// Seals everything and waits until it is on the disk; tells what was dropped on the way. Writers of streams that were made for other
    /// threads must be gone by then.
    pub fn finish(self) -> Result<Dropped, RingWriteError> {
        let RingWriter { shared, maker, workers, mut streams, .. } = self;
        for stream in streams.values_mut() {
            // Whatever stopped the disk side is told below.
            let _ = stream.close_segment();
        }
        drop((streams, maker));
        let mut first = Ok(());
        for worker in workers {
            let result = worker.join().map_err(|_| RingWriteError::Panicked).and_then(|r| r.map_err(RingWriteError::from));
            first = first.and(result);
        }
        // What was added to a section without a packet after it.
        first = first.and_then(|()| sync_sections(&shared).map_err(RingWriteError::from));
        first.map(|()| std::mem::take(&mut *lock(&shared.dropped)))
    }
}
