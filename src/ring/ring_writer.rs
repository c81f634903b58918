//! A ring in the hands of its one writer: locked, with its threads.

use super::catalog::{CatalogError, CatalogWriter};
use super::data::{DataDir, DataError, LAYOUT_VERSION, Retention, RingInfo, read_ring_info, write_ring_info};
use super::disk::{DiskError, SEALS_QUEUED_MAX, Shared, ToSeal, seal_segments, write_blocks};
use super::draft::Block;
use super::ids::{SectionId, StreamId};
use super::mend;
use super::name::kept_name;
use super::snapshot::{OPEN_FOLDER, RingError, log_paths};
use super::writer::{BLOCKS_QUEUED_MAX, Job, StreamOptions, StreamWriter};
use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

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
    #[error("interface {interface:?}: {source}; `taploop ring check --repair` makes a new one")]
    Catalog {
        /// The interface.
        interface: String,
        /// Why.
        source: CatalogError,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A thread of ours panicked: a bug.
    #[error("a writing thread stopped unexpectedly")]
    Panicked,
}

type Worker = JoinHandle<Result<(), DiskError>>;

/// Writes one ring. Dropping it without [`RingWriter::finish`] leaves growing segments for the next writer to mend.
pub struct RingWriter {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
    spare: Arc<Mutex<Vec<Block>>>,
    next_id: Arc<AtomicU64>,
    next_section: u32,
    workers: Vec<Worker>,
    streams: HashMap<StreamId, StreamWriter>,
    _lock: File,
}

impl RingWriter {
    /// Opens or makes the ring of an interface, and mends what a killed writer left.
    pub fn open(data: &DataDir, interface: &str, retention: Option<Retention>) -> Result<RingWriter, RingWriteError> {
        let interface = &*kept_name(interface);
        let ring = data.ring_path(interface);
        let disk = |path: PathBuf| move |source: io::Error| RingWriteError::Disk(DiskError { path, source });
        fs::create_dir_all(ring.join(OPEN_FOLDER)).map_err(disk(ring.clone()))?;
        let lock = File::create(ring.join("lock")).map_err(disk(ring.join("lock")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RingWriteError::Locked(interface.to_string())),
            Err(TryLockError::Error(e)) => return Err(disk(ring.join("lock"))(e)),
        }
        let before = read_ring_info(&ring)?;
        let info = RingInfo {
            layout: LAYOUT_VERSION,
            interface: interface.to_string(),
            retention: retention.or(before.as_ref().map(|i| i.retention)).unwrap_or_default(),
        };
        if before.as_ref() != Some(&info) {
            write_ring_info(&ring, &info).map_err(disk(ring.clone()))?;
        }
        let catalog =
            CatalogWriter::open(&ring).map_err(|source| RingWriteError::Catalog { interface: interface.to_string(), source })?;
        let logs = log_paths(&ring)?;
        let in_catalog = catalog.live().map(|f| f.id).max().map_or(0, |id| id.0);
        let in_logs = logs.iter().filter_map(|p| mend::log_id(p)).max().map_or(0, |id| id.0);
        let next_section = catalog.live().map(|f| f.section_high.0).max().unwrap_or(0) + 1;
        let sealed: Vec<_> = catalog.live().map(|f| f.id).collect();
        let shared = Arc::new(Shared {
            ring: ring.clone(),
            sensor: data.sensor(),
            interface: interface.to_string(),
            retention: info.retention,
            catalog: Mutex::new(catalog),
            unsealed: Mutex::default(),
            pressed: Mutex::default(),
            committed: Condvar::new(),
            growing: Mutex::default(),
        });
        let (jobs, jobs_in) = sync_channel(BLOCKS_QUEUED_MAX);
        let (seals, seals_in) = sync_channel::<ToSeal>(SEALS_QUEUED_MAX);
        let spare = Arc::new(Mutex::new(Vec::new()));
        let sealer = {
            let shared = shared.clone();
            std::thread::spawn(move || seal_segments(&shared, &seals_in))
        };
        let disk_thread = {
            let (shared, spare) = (shared.clone(), spare.clone());
            std::thread::spawn(move || {
                // What a killed writer left is mended behind the new recording's back, on this side of the queue.
                for log in logs {
                    if let Some(segment) = mend::mend(&shared, &log, &sealed)?
                        && seals.send(segment).is_err()
                    {
                        return Ok(());
                    }
                }
                write_blocks(&shared, &jobs_in, &seals, &spare)
            })
        };
        Ok(RingWriter {
            shared,
            jobs,
            spare,
            next_id: Arc::new(AtomicU64::new(in_catalog.max(in_logs) + 1)),
            next_section,
            workers: vec![disk_thread, sealer],
            streams: HashMap::new(),
            _lock: lock,
        })
    }

    /// The writer of a stream, made when first asked for.
    pub fn stream(&mut self, stream: StreamId, options: StreamOptions) -> &mut StreamWriter {
        let (jobs, spare, next_id) = (self.jobs.clone(), self.spare.clone(), self.next_id.clone());
        self.streams.entry(stream).or_insert_with(|| StreamWriter::new(jobs, spare, next_id, stream, options))
    }

    /// All streams.
    pub fn streams(&mut self) -> impl Iterator<Item = &mut StreamWriter> {
        self.streams.values_mut()
    }

    /// A new section.
    pub fn begin_section(&mut self) -> SectionId {
        self.next_section += 1;
        SectionId(self.next_section - 1)
    }

    /// Keeps a name-resolution or secrets block of a section. `false`: the section is full.
    pub fn add_section_block(&self, section: SectionId, block: &[u8]) -> Result<bool, RingWriteError> {
        let path = super::sections::path(&self.shared.ring, section);
        super::sections::add(&self.shared.ring, section, block).map_err(|source| DiskError { path, source }.into())
    }

    /// Seals everything and waits until it is on the disk.
    pub fn finish(mut self) -> Result<(), RingWriteError> {
        for stream in self.streams.values_mut() {
            // Whatever stopped the disk side is told below.
            let _ = stream.close_segment();
        }
        self.streams.clear();
        let (unused, _) = sync_channel(0);
        drop(std::mem::replace(&mut self.jobs, unused));
        let mut first = Ok(());
        for worker in self.workers.drain(..) {
            let result = worker.join().map_err(|_| RingWriteError::Panicked).and_then(|r| r.map_err(RingWriteError::from));
            first = first.and(result);
        }
        let _ = self.spare.lock().map(|mut s| s.clear()).map_err(PoisonError::into_inner);
        first
    }
}
