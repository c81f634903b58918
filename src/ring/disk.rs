//! The disk side of a ring: one thread writes and publishes blocks, another seals, syncs and drops.

use super::catalog::CatalogWriter;
use super::data::{Retention, free_bytes, sync_folder};
use super::draft::{Block, FlowStats, SegmentDraft};
use super::facts::SegmentFacts;
use super::hint::ENTERPRISE_NUMBER;
use super::ids::{SegmentId, SensorId, StreamId};
use super::log::{self, LogState, STATE_AT, STATE_LEN};
use super::note::NoteKind;
use super::seal::{Sealing, write_index};
use super::snapshot::OPEN_FOLDER;
use super::writer::Job;
use crate::pcap::block::{self, OPT_CUSTOM_BYTES_NO_COPY};
use crate::time::{SECOND_NS, Timestamp, Window};
use rustix::fs::{FallocateFlags, fallocate};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sealed segments that wait to be made last together.
const COMMIT_SEGMENTS: usize = 64;
/// How long sealed segments and published blocks wait at most to be made last.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// Segments that may wait to be sealed.
pub(super) const SEALS_QUEUED_MAX: usize = 2;
/// First bytes, after the enterprise number, of the option that names a segment in its section header.
const SEGMENT_MAGIC: [u8; 4] = *b"TLsg";

/// What went wrong on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DiskError + '_ {
    |source| DiskError { path: path.to_path_buf(), source }
}

/// Packet file and log of a growing segment.
type GrowingFiles = (Arc<File>, Arc<File>);

/// What both threads share.
pub(super) struct Shared {
    pub ring: PathBuf,
    pub sensor: SensorId,
    pub interface: String,
    pub retention: Retention,
    pub catalog: Mutex<CatalogWriter>,
    /// Bytes of segments that are open or being sealed, with their room.
    pub unsealed: Mutex<HashMap<SegmentId, u64>>,
    /// Whether the disk thread waits for sealed segments to be committed, so that there is something to drop.
    pub pressed: Mutex<Pressed>,
    /// Tells it that some were, or that there is no more sealing.
    pub committed: Condvar,
    /// Files of growing segments, to be synced: packets first, then the log that names them.
    pub growing: Mutex<HashMap<SegmentId, GrowingFiles>>,
}

/// See [`Shared::pressed`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Pressed {
    #[default]
    No,
    Yes,
    /// The sealing thread has ended.
    Ended,
}

impl Shared {
    /// Waits until the sealing thread has committed what it has; `false` where it has ended.
    fn wait_for_commit(&self) -> bool {
        let mut pressed = lock(&self.pressed);
        if *pressed == Pressed::Ended {
            return false;
        }
        *pressed = Pressed::Yes;
        while *pressed == Pressed::Yes {
            pressed = self.committed.wait(pressed).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Releases the disk thread.
    fn release(&self, to: Pressed) {
        let mut pressed = lock(&self.pressed);
        if *pressed != Pressed::Ended {
            *pressed = to;
        }
        self.committed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A segment to be sealed.
pub(super) struct ToSeal {
    pub draft: SegmentDraft,
    pub stats4: Vec<FlowStats>,
    pub stats6: Vec<FlowStats>,
    pub data: Arc<File>,
    pub mended: bool,
}

struct Open {
    draft: SegmentDraft,
    data: Arc<File>,
    log: Arc<File>,
    log_len: u64,
    records: u32,
    state: u64,
}

/// Writes and publishes until the last sender is gone.
pub(super) fn write_blocks(
    shared: &Shared,
    jobs: &Receiver<Job>,
    seals: &SyncSender<ToSeal>,
    spare: &Mutex<Vec<Block>>,
) -> Result<(), DiskError> {
    let mut open: HashMap<SegmentId, Open> = HashMap::new();
    let mut complete: HashMap<StreamId, Timestamp> = HashMap::new();
    let mut record = Vec::new();
    for job in jobs {
        match job {
            Job::Open { id, stream, imported, reserve } => {
                let complete_to = complete.get(&stream).copied();
                make_room(shared, room_of(reserve), open.len())?;
                open.insert(id, open_segment(shared, id, stream, imported, reserve, complete_to)?);
            }
            Job::Block { id, mut block } => {
                let Some(segment) = open.get_mut(&id) else { continue };
                publish(shared, segment, &mut block, &mut record)?;
                let mut spare = lock(spare);
                if spare.len() < 8 {
                    spare.push(block);
                }
            }
            Job::State { id, complete_to, captured } => {
                let Some(segment) = open.get_mut(&id) else { continue };
                complete.insert(segment.draft.stream, complete_to);
                segment.draft.captured = Some(captured);
                segment.state += 1;
                let state = LogState { sequence: segment.state, complete_to, captured };
                let place = STATE_AT[(segment.state % 2) as usize];
                segment.log.write_all_at(&state.encode(), place).map_err(at(&log_path(&shared.ring, id)))?;
            }
            Job::Close { id, stats4, stats6, captured } => {
                let Some(mut segment) = open.remove(&id) else { continue };
                segment.draft.captured = captured.or(segment.draft.captured);
                lock(&shared.growing).remove(&id);
                let Open { draft, data, .. } = segment;
                if seals.send(ToSeal { draft, stats4, stats6, data, mended: false }).is_err() {
                    return Ok(()); // the sealing thread failed and tells why
                }
            }
        }
    }
    Ok(())
}

fn log_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(OPEN_FOLDER).join(format!("{id}.log"))
}

fn data_path(ring: &Path, id: SegmentId) -> PathBuf {
    ring.join(format!("{id}.pcapng"))
}

/// The section header and interface block of a segment.
pub(super) fn segment_head(sensor: SensorId, interface: &str, id: SegmentId, stream: StreamId) -> Vec<u8> {
    let mut name = ENTERPRISE_NUMBER.to_le_bytes().to_vec();
    name.extend_from_slice(&SEGMENT_MAGIC);
    name.extend_from_slice(&sensor.0);
    name.extend_from_slice(&id.0.to_le_bytes());
    name.extend_from_slice(&stream.fanout.to_le_bytes());
    let mut options = Vec::new();
    block::option(&mut options, block::SHB_USERAPPL, b"taploop");
    block::option(&mut options, OPT_CUSTOM_BYTES_NO_COPY, &name);
    let mut head = Vec::new();
    block::section_header(&mut head, &options);
    block::interface_description(&mut head, stream.link_type, Some(interface), &[]);
    head
}

fn open_segment(
    shared: &Shared,
    id: SegmentId,
    stream: StreamId,
    imported: bool,
    reserve: u64,
    complete_to: Option<Timestamp>,
) -> Result<Open, DiskError> {
    let head = segment_head(shared.sensor, &shared.interface, id, stream);
    let mut draft = SegmentDraft::new(shared.sensor, id, stream, head.len() as u64);
    draft.imported = imported;
    lock(&shared.unsealed).insert(id, room_of(reserve));
    let (log_path, data_path) = (log_path(&shared.ring, id), data_path(&shared.ring, id));
    let create = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(at(path));
    let log = create(&log_path)?;
    let mut header = log::header(&draft);
    if let Some(complete_to) = complete_to {
        // What the stream's last segment said still holds.
        let state = LogState { sequence: 0, complete_to, captured: Window { from: complete_to, to: complete_to } };
        let place = STATE_AT[0] as usize;
        header[place..place + STATE_LEN].copy_from_slice(&state.encode());
    }
    log.write_all_at(&header, 0).map_err(at(&log_path))?;
    let data = create(&data_path)?;
    loop {
        match fallocate(&data, FallocateFlags::KEEP_SIZE, 0, reserve.max(1)) {
            Ok(()) => break,
            Err(rustix::io::Errno::NOSPC) => {
                if !drop_oldest(shared)? {
                    let source =
                        io::Error::new(io::ErrorKind::StorageFull, "no space left, and no older segment of this ring to drop");
                    return Err(DiskError { path: data_path, source });
                }
            }
            Err(_) => break, // this file system cannot reserve
        }
    }
    data.write_all_at(&head, 0).map_err(at(&data_path))?;
    let (data, log) = (Arc::new(data), Arc::new(log));
    lock(&shared.growing).insert(id, (data.clone(), log.clone()));
    Ok(Open { draft, data, log, log_len: log::LOG_HEADER_LEN as u64, records: 0, state: 0 })
}

fn publish(shared: &Shared, segment: &mut Open, block: &mut Block, record: &mut Vec<u8>) -> Result<(), DiskError> {
    for granule in &mut block.granules {
        let start = granule.stored_offset as usize;
        granule.crc = crc32c::crc32c(&block.data[start..start + granule.stored_len as usize]);
    }
    let id = segment.draft.id;
    segment.data.write_all_at(&block.data, segment.draft.data_len).map_err(at(&data_path(&shared.ring, id)))?;
    record.clear();
    log::put_record(record, segment.records, block);
    segment.log.write_all_at(record, segment.log_len).map_err(at(&log_path(&shared.ring, id)))?;
    segment.log_len += record.len() as u64;
    segment.records += 1;
    segment.draft.absorb(block);
    Ok(())
}

/// The room of a segment and its index.
fn room_of(reserve: u64) -> u64 {
    reserve + reserve / 16 + (64 << 10)
}

/// Drops the oldest segments until `need` more bytes keep the limits. Where those that could be dropped are still being sealed, it waits
/// for them; `open` of the unsealed ones are not.
fn make_room(shared: &Shared, need: u64, open: usize) -> Result<(), DiskError> {
    while !keep_limits(shared, need)? {
        if lock(&shared.unsealed).len() <= open || !shared.wait_for_commit() {
            break;
        }
    }
    Ok(())
}

/// Drops the oldest segments as long as the limits do not hold; `false` where none is left to drop and they still do not.
fn keep_limits(shared: &Shared, need: u64) -> Result<bool, DiskError> {
    let limits = shared.retention;
    loop {
        let (held, oldest) = {
            let catalog = lock(&shared.catalog);
            (catalog.live().map(SegmentFacts::bytes).sum::<u64>(), catalog.live().next().map(|f| f.arrived))
        };
        let unsealed: u64 = lock(&shared.unsealed).values().sum();
        let over = limits.max_bytes.is_some_and(|max| held + unsealed + need > max);
        let age = oldest.map_or(0, |t| Timestamp::now().since(t));
        let old = limits.max_age_seconds.is_some_and(|s| age > s.saturating_mul(SECOND_NS));
        let scarce =
            limits.min_free_bytes.is_some_and(|min| free_bytes(&shared.ring).is_some_and(|f| f < min.saturating_add(need)));
        if !(over || old || scarce) {
            return Ok(true);
        }
        if !drop_oldest(shared)? {
            return Ok(false);
        }
    }
}

fn drop_oldest(shared: &Shared) -> Result<bool, DiskError> {
    let dropped = lock(&shared.catalog).drop_oldest().map_err(at(&shared.ring))?;
    let Some(facts) = dropped else { return Ok(false) };
    for path in [data_path(&shared.ring, facts.id), shared.ring.join(format!("{}.idx", facts.id))] {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(DiskError { path, source: e }),
            _ => {}
        }
    }
    super::hosts::dropped(&shared.ring, facts.id);
    tracing::debug!(segment = %facts.id, "dropped");
    Ok(true)
}

/// Seals and syncs until the last sender is gone.
pub(super) fn seal_segments(shared: &Shared, seals: &Receiver<ToSeal>) -> Result<(), DiskError> {
    let _ending = Ending(shared);
    seal_until_done(shared, seals)
}

/// Releases the disk thread however sealing ends.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.release(Pressed::Ended);
    }
}

fn seal_until_done(shared: &Shared, seals: &Receiver<ToSeal>) -> Result<(), DiskError> {
    let mut waiting: Vec<(SegmentFacts, Arc<File>, File)> = Vec::new();
    let mut synced = Instant::now();
    loop {
        let next = seals.recv_timeout(if waiting.is_empty() { SYNC_EVERY } else { Duration::from_millis(100) });
        let done = matches!(next, Err(RecvTimeoutError::Disconnected));
        let idle = next.is_err();
        if let Ok(segment) = next {
            waiting.push(seal(shared, &segment)?);
        }
        let pressed = *lock(&shared.pressed) == Pressed::Yes;
        if !waiting.is_empty() && (idle || pressed || waiting.len() >= COMMIT_SEGMENTS || synced.elapsed() > SYNC_EVERY) {
            commit(shared, &mut waiting)?;
            // An index can be larger than the room that was kept for it.
            keep_limits(shared, 0)?;
        }
        if pressed {
            shared.release(Pressed::No);
        }
        if synced.elapsed() > SYNC_EVERY {
            sync_growing(shared)?;
            synced = Instant::now();
        }
        if done {
            return Ok(());
        }
    }
}

fn sync_growing(shared: &Shared) -> Result<(), DiskError> {
    let files: Vec<_> = lock(&shared.growing).values().cloned().collect();
    for (data, log) in files {
        data.sync_data().and_then(|()| log.sync_data()).map_err(at(&shared.ring))?;
    }
    sync_folder(&shared.ring.join(OPEN_FOLDER)).and_then(|()| sync_folder(&shared.ring)).map_err(at(&shared.ring))
}

fn seal(shared: &Shared, segment: &ToSeal) -> Result<(SegmentFacts, Arc<File>, File), DiskError> {
    let draft = &segment.draft;
    let data_path = data_path(&shared.ring, draft.id);
    // The statistics block closes the packet file; what was reserved and not used is given back.
    let mut closing = Vec::new();
    put_statistics(&mut closing, draft);
    let data_bytes = draft.data_len + closing.len() as u64;
    segment.data.write_all_at(&closing, draft.data_len).map_err(at(&data_path))?;
    segment.data.set_len(data_bytes).map_err(at(&data_path))?;
    let path = shared.ring.join(format!("{}.idx", draft.id));
    let temporary = shared.ring.join(format!("{}.idx.tmp", draft.id));
    let out = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary).map_err(at(&temporary))?;
    let sealing = Sealing {
        draft,
        stats4: &segment.stats4,
        stats6: &segment.stats6,
        data_bytes,
        arrived: Timestamp::now(),
        mended: segment.mended,
        data: &segment.data,
    };
    let facts = write_index(&sealing, &out).map_err(at(&temporary))?;
    fs::rename(&temporary, &path).map_err(at(&path))?;
    super::hosts::write(&shared.ring, draft.id, &super::hosts::Hosts::of(draft)).map_err(at(&shared.ring))?;
    Ok((facts, segment.data.clone(), out))
}

/// Makes sealed segments last, enters them in the catalogue, and only then removes their logs.
fn commit(shared: &Shared, waiting: &mut Vec<(SegmentFacts, Arc<File>, File)>) -> Result<(), DiskError> {
    let ring = &shared.ring;
    if waiting.len() > 8 {
        // One sync of the file system costs less than two a segment.
        let folder = File::open(ring).map_err(at(ring))?;
        rustix::fs::syncfs(&folder).map_err(|e| DiskError { path: ring.clone(), source: e.into() })?;
    } else {
        for (_, data, index) in waiting.iter() {
            data.sync_data().and_then(|()| index.sync_data()).map_err(at(ring))?;
        }
        sync_folder(ring).map_err(at(ring))?;
    }
    let mut catalog = lock(&shared.catalog);
    for (facts, ..) in waiting.iter() {
        catalog.append(facts).map_err(at(ring))?;
    }
    drop(catalog);
    for (facts, ..) in waiting.drain(..) {
        lock(&shared.unsealed).remove(&facts.id);
        let log = log_path(ring, facts.id);
        fs::remove_file(&log).map_err(at(&log))?;
    }
    Ok(())
}

/// The statistics block that closes a packet file.
pub(super) fn put_statistics(out: &mut Vec<u8>, draft: &SegmentDraft) {
    let mut options = Vec::new();
    let first = if draft.first == Timestamp::MAX { Timestamp::ZERO } else { draft.first };
    block::time_option(&mut options, block::ISB_STARTTIME, first);
    block::time_option(&mut options, block::ISB_ENDTIME, draft.high);
    let (mut os, mut interface) = (0, 0);
    for note in &draft.notes {
        if let NoteKind::Drops { os: o, interface: i } = note.kind {
            os = o.saturating_add(os);
            interface = i.saturating_add(interface);
        }
    }
    let counters = [
        (block::ISB_IFRECV, draft.packets.saturating_add(os).saturating_add(interface)),
        (block::ISB_IFDROP, interface),
        (block::ISB_OSDROP, os),
    ];
    for (code, value) in counters {
        block::option(&mut options, code, &value.to_le_bytes());
    }
    block::interface_statistics(out, 0, draft.high, &options);
}

/// The stretch that a mended segment vouches for, where its state was never told.
pub(super) fn own_span(draft: &SegmentDraft) -> Option<Window> {
    (draft.first != Timestamp::MAX).then(|| Window { from: draft.first, to: draft.high.saturating_add(1) })
}
