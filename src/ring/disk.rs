//! The disk side of a ring: one thread writes and publishes blocks, another seals, syncs and drops.

use super::aligned::PAGE;
use super::data::sync_folder;
use super::draft::{Block, FlowStats, SegmentDraft};
use super::facts::SegmentFacts;
use super::hint::ENTERPRISE_NUMBER;
use super::ids::{SegmentId, SensorId, StreamId};
use super::join::join_small_granules;
use super::log::{self, LogState, STATE_AT, STATE_LEN};
use super::note::NoteKind;
use super::paths::{OPEN_FOLDER, data_path, index_path, log_path, new_index_path};
use super::retention::{FullDisk, is_full, keep_limits, make_room, room_of, with_room};
use super::seal::{Sealing, write_index};
use super::sections;
use super::shared::{DiskError, Growing, Pressed, Shared, Unsealed, at, lock};
use super::writer::{BLOCKS_QUEUED_MAX, Job, JobsIn};
use crate::pcap::block::{self, OPT_CUSTOM_BYTES_NO_COPY, PADDING_MIN, padding};
use crate::time::{Timestamp, Window};
use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Sealed segments that wait to be made last together.
const COMMIT_SEGMENTS: usize = 64;
/// How long sealed segments and published blocks wait at most to be made last.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// So many bytes of live packets are made to last at once, at most: a disk may do nothing else meanwhile, and the kernel's buffer must
/// hold what comes.
const SYNC_BYTES: usize = 32 << 20;
/// Blocks of a live stream that have so many bytes are written past the page cache.
const DIRECT_BYTES_MIN: usize = 128 << 10;
/// Blocks that are written in one go.
const BLOCKS_AT_ONCE: usize = 8;
/// Segments that may wait to be sealed.
pub(super) const SEALS_QUEUED_MAX: usize = 2;
/// First bytes, after the enterprise number, of the option that names a segment in its section header.
const SEGMENT_MAGIC: [u8; 4] = *b"TLsg";

/// What a sealed segment amounts to, its packet file and its index.
type Sealed = (SegmentFacts, Arc<File>, File);

/// What the sealing thread is asked for.
pub(super) enum Work {
    Seal(Box<ToSeal>),
    /// Room for the next segment, so that the disk thread finds it free: what goes for it takes long to remove.
    MakeRoom {
        need: u64,
    },
    /// What is published to be made last.
    Sync,
}

/// A segment to be sealed.
pub(super) struct ToSeal {
    pub draft: SegmentDraft,
    pub stats4: Vec<FlowStats>,
    pub stats6: Vec<FlowStats>,
    pub data: Arc<File>,
    /// When its last packet arrived, as far as that is known.
    pub arrived: Timestamp,
    pub mended: bool,
}

struct Open {
    draft: SegmentDraft,
    files: Arc<Growing>,
    /// The packet file, to be written past the page cache.
    direct: Option<File>,
    /// Bytes that were reserved for it.
    reserve: u64,
    /// Room for the next one was asked for.
    has_asked: bool,
    log_len: u64,
    records: u32,
    /// The record that is to be written, of packets that are, and how many packets.
    unwritten: Vec<u8>,
    unwritten_packets: u64,
    state: u64,
}

/// Writes and publishes until the last sender is gone.
pub(super) fn write_blocks(
    shared: &Shared,
    jobs: &JobsIn,
    seals: &SyncSender<Work>,
    spare: &Mutex<Vec<Block>>,
) -> Result<(), DiskError> {
    let mut open: HashMap<SegmentId, Open> = HashMap::new();
    let mut complete: HashMap<StreamId, Timestamp> = HashMap::new();
    let mut unsynced = 0;
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.next()) {
        match job {
            Job::Open { id, stream, imported, run, reserve } => {
                // What the stream's last segment said still holds.
                let said = complete.get(&stream).map(|&t| (t, Window { from: t, to: t }));
                let said = said.or(run.map(|run| (Timestamp::ZERO, run)));
                let state = said.map(|(complete_to, captured)| LogState { sequence: 0, complete_to, captured });
                make_room(shared, room_of(reserve), open.len())?;
                let segment = open_segment(shared, id, stream, imported, reserve, state, open.len())?;
                open.insert(id, segment);
            }
            Job::Block { id, block } => {
                let opened = open.len();
                let Some(segment) = open.get_mut(&id) else { continue };
                let mut blocks = vec![block];
                // What has queued up while the disk was slow is written at once.
                while blocks.len() < BLOCKS_AT_ONCE && next.is_none() {
                    match jobs.next_waiting() {
                        Some(Job::Block { id: other, block }) if other == id => blocks.push(block),
                        Some(other) => next = Some(other),
                        None => break,
                    }
                }
                publish(shared, segment, &mut blocks, opened)?;
                if !segment.draft.imported {
                    unsynced += blocks.iter().map(|b| b.data.len()).sum::<usize>();
                    // Or with the next block.
                    if unsynced >= SYNC_BYTES && seals.try_send(Work::Sync).is_ok() {
                        unsynced = 0;
                    }
                }
                if !segment.draft.imported && !segment.has_asked && segment.draft.data_len > segment.reserve / 2 {
                    let work = Work::MakeRoom { need: room_of(segment.reserve) };
                    segment.has_asked = seals.try_send(work).is_ok(); // or it is asked again with the next block
                }
                let mut spare = lock(spare);
                blocks.truncate(BLOCKS_QUEUED_MAX.saturating_sub(spare.len()));
                spare.append(&mut blocks);
            }
            Job::ClockSet { stream, after } => {
                // What it said by a clock that went further says nothing of what comes.
                if complete.get(&stream).is_some_and(|&said| said > after) {
                    complete.remove(&stream);
                }
            }
            Job::State { id, complete_to, captured } => {
                let Some(segment) = open.get_mut(&id) else { continue };
                complete.insert(segment.draft.stream, complete_to);
                segment.draft.captured = Some(captured);
                segment.state += 1;
                let state = LogState { sequence: segment.state, complete_to, captured };
                let place = STATE_AT[(segment.state % 2) as usize];
                segment.files.log.write_all_at(&state.encode(), place).map_err(at(&log_path(&shared.ring, id)))?;
            }
            Job::Close { id, stats4, stats6, captured } => {
                let Some(mut segment) = open.remove(&id) else { continue };
                segment.draft.captured = captured.or(segment.draft.captured);
                lock(&shared.growing).remove(&id);
                let Open { mut draft, files, .. } = segment;
                join_small_granules(&mut draft);
                if let Some(unsealed) = lock(&shared.unsealed).get_mut(&id) {
                    unsealed.room = draft.data_len + index_most(&draft);
                }
                keep_limits(shared, 0, &mut 0)?;
                let data = files.data.clone();
                let segment = Box::new(ToSeal { draft, stats4, stats6, data, arrived: Timestamp::now(), mended: false });
                if seals.send(Work::Seal(segment)).is_err() {
                    return Ok(()); // the sealing thread failed and tells why
                }
            }
        }
    }
    Ok(())
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
    state: Option<LogState>,
    open: usize,
) -> Result<Open, DiskError> {
    let head = segment_head(shared.sensor, &shared.interface, id, stream);
    let mut draft = SegmentDraft::new(shared.sensor, id, stream, head.len() as u64);
    draft.imported = imported;
    let (log_path, data_path) = (log_path(&shared.ring, id), data_path(&shared.ring, id));
    let create = |path: &Path| {
        let new = || OpenOptions::new().read(true).write(true).create_new(true).open(path);
        with_room(shared, path, room_of(reserve), open, new)
    };
    let log = create(&log_path)?;
    let mut header = log::header(&draft);
    if let Some(state) = state {
        let place = STATE_AT[0] as usize;
        header[place..place + STATE_LEN].copy_from_slice(&state.encode());
    }
    with_room(shared, &log_path, room_of(reserve), open, || log.write_all_at(&header, 0))?;
    let data = create(&data_path)?;
    let reserve_in = |file: &File, bytes: u64| match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes.max(1)) {
        Err(e @ (Errno::NOSPC | Errno::DQUOT)) => Err(e.into()),
        _ => Ok(()), // or this file system cannot reserve
    };
    with_room(shared, &data_path, room_of(reserve), open, || reserve_in(&data, reserve))?;
    // The index's room lies in the log. What the log does not take of it is given back for the sealed index; where that is larger, the
    // oldest segments make room.
    with_room(shared, &log_path, room_of(reserve), open, || reserve_in(&log, room_of(reserve) - reserve))?;
    with_room(shared, &data_path, room_of(reserve), open, || data.write_all_at(&head, 0))?;
    lock(&shared.unsealed).insert(id, Unsealed { room: room_of(reserve), packets: 0 });
    let files = Arc::new(Growing { data: Arc::new(data), log, imported, let_go: AtomicU64::new(0), records: Mutex::default() });
    lock(&shared.growing).insert(id, files.clone());
    let direct = if imported { None } else { open_direct(&data_path) };
    Ok(Open {
        draft,
        files,
        direct,
        reserve,
        has_asked: false,
        log_len: log::LOG_HEADER_LEN as u64,
        records: 0,
        unwritten: Vec::new(),
        unwritten_packets: 0,
        state: 0,
    })
}

/// What is recorded live is mostly never read again: it does not push what others work with out of the page cache, and costs less there.
fn open_direct(path: &Path) -> Option<File> {
    OpenOptions::new().write(true).custom_flags(OFlags::DIRECT.bits() as i32).open(path).ok()
}

/// Lets the last granule of a block end with padding, so that what follows begins on a page's edge.
fn pad(block: &mut Block, start: u64) {
    let Some(last) = block.granules.last_mut() else { return };
    let over = (start + block.data.len() as u64) as usize % PAGE;
    let missing = match (PAGE - over) % PAGE {
        0 => return,
        n if n < PADDING_MIN => n + PAGE,
        n => n,
    };
    let added = block.data.grow(missing);
    padding(added, ENTERPRISE_NUMBER);
    last.crc = crc32c::crc32c_append(last.crc, added);
    last.stored_len += missing as u32;
}

/// Writes blocks one behind the other.
fn write_packets(segment: &mut Open, blocks: &[Block]) -> io::Result<()> {
    let mut at = segment.draft.data_len;
    let is_even = |at: u64| {
        at.is_multiple_of(PAGE as u64) && blocks.iter().all(|b| b.data.len().is_multiple_of(PAGE) && !b.data.is_empty())
    };
    if let Some(direct) = segment.direct.as_ref().filter(|_| is_even(at)) {
        match write_together(direct, blocks, at) {
            // Not on this file system, for all that it was opened.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => segment.direct = None,
            written => return written,
        }
    }
    for block in blocks {
        segment.files.data.write_all_at(&block.data, at)?;
        at += block.data.len() as u64;
    }
    Ok(())
}

/// The same in one system call, as far as it goes: each one waits for the disk.
fn write_together(direct: &File, blocks: &[Block], mut at: u64) -> io::Result<()> {
    let slices: Vec<IoSlice<'_>> = blocks.iter().map(|b| IoSlice::new(&b.data)).collect();
    let mut done = rustix::io::pwritev(direct, &slices, at)?;
    for block in blocks {
        let n = done.min(block.data.len());
        done -= n;
        if n < block.data.len() {
            // What was written may end within a page; the whole page is written again.
            let n = n / PAGE * PAGE;
            direct.write_all_at(&block.data[n..], at + n as u64)?;
        }
        at += block.data.len() as u64;
    }
    Ok(())
}

fn publish(shared: &Shared, segment: &mut Open, blocks: &mut [Block], open: usize) -> Result<(), DiskError> {
    let mut at = segment.draft.data_len;
    for block in blocks.iter_mut() {
        if segment.direct.is_some() && block.data.len() >= DIRECT_BYTES_MIN {
            pad(block, at);
        }
        at += block.data.len() as u64;
    }
    let data_path = data_path(&shared.ring, segment.draft.id);
    with_room(shared, &data_path, at - segment.draft.data_len, open, || write_packets(segment, blocks))?;
    for block in blocks {
        log::put_record(&mut segment.unwritten, segment.records, block);
        segment.records += 1;
        segment.unwritten_packets += u64::from(block.packets);
        segment.draft.absorb(block);
    }
    write_records(shared, segment, open)
}

/// Writes the records of what is written. Those of imports wait while others are made to last.
fn write_records(shared: &Shared, segment: &mut Open, open: usize) -> Result<(), DiskError> {
    let Open { files, unwritten, log_len, .. } = segment;
    let _writing = segment.draft.imported.then(|| lock(&files.records));
    let log_path = log_path(&shared.ring, segment.draft.id);
    with_room(shared, &log_path, unwritten.len() as u64, open, || files.log.write_all_at(unwritten, *log_len))?;
    *log_len += unwritten.len() as u64;
    unwritten.clear();
    lock(&shared.unsealed).entry(segment.draft.id).or_default().packets += std::mem::take(&mut segment.unwritten_packets);
    Ok(())
}

/// Seals and syncs until the last sender is gone.
pub(super) fn seal_segments(shared: &Shared, seals: &Receiver<Work>) -> Result<(), DiskError> {
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

fn seal_until_done(shared: &Shared, seals: &Receiver<Work>) -> Result<(), DiskError> {
    let mut waiting: Vec<Sealed> = Vec::new();
    let mut synced = Instant::now();
    loop {
        let next = seals.recv_timeout(if waiting.is_empty() { SYNC_EVERY } else { Duration::from_millis(100) });
        let done = matches!(next, Err(RecvTimeoutError::Disconnected));
        let idle = next.is_err();
        match next {
            Ok(Work::Seal(segment)) => {
                let sealed = seal_with_room(shared, &segment, &mut waiting)?;
                waiting.push(sealed);
            }
            // Not by waiting for what is sealed here.
            Ok(Work::MakeRoom { need }) => make_room(shared, need, usize::MAX)?,
            Ok(Work::Sync) => sync_packets(shared)?,
            Err(_) => {}
        }
        let pressed = *lock(&shared.pressed) == Pressed::Yes;
        if !waiting.is_empty() && (idle || pressed || waiting.len() >= COMMIT_SEGMENTS || synced.elapsed() > SYNC_EVERY) {
            commit(shared, &mut waiting)?;
            // An index can be larger than the room that was kept for it.
            keep_limits(shared, 0, &mut 0)?;
        }
        if pressed {
            shared.release(Pressed::No);
        }
        if synced.elapsed() > SYNC_EVERY {
            sync_growing(shared)?;
            // Also where nothing comes, packets grow old.
            keep_limits(shared, 0, &mut 0)?;
            shared.keeper.tick(shared.clock.now_for_pins());
            synced = Instant::now();
        }
        if done {
            return Ok(());
        }
    }
}

/// Bytes of a segment's index and closing block, at most.
fn index_most(draft: &SegmentDraft) -> u64 {
    let tables = 80 * draft.keys4.len() + 112 * draft.keys6.len() + 16 * draft.granules.len() + 48 * draft.notes.len();
    let postings = 3 * draft.numbers.len() + if draft.disordered { 3 * draft.packets as usize } else { 0 };
    (tables + postings) as u64 + (16 << 10)
}

/// Makes sections last, before what names them. Only one thread does so at a time.
pub(super) fn sync_sections(shared: &Shared) -> Result<(), DiskError> {
    let unsynced = std::mem::take(&mut *lock(&shared.unsynced));
    sections::sync(&shared.ring, &unsynced).map_err(at(&shared.ring))
}

/// Makes the packets of live segments last, and not yet their records.
fn sync_packets(shared: &Shared) -> Result<(), DiskError> {
    let files: Vec<_> = lock(&shared.growing).values().filter(|f| !f.imported).cloned().collect();
    files.iter().try_for_each(|f| f.data.sync_data()).map_err(at(&shared.ring))
}

/// Makes what is published last, packets and sections before the records that name them.
///
/// Live records go on being published meanwhile: waiting would cost as long as two flushes of a busy disk, which are several times what a
/// packet may take into a cut. A few that came between the two flushes may so outlive their packets when the power fails; as of those that
/// the kernel writes on its own, the checksums tell.
pub(super) fn sync_growing(shared: &Shared) -> Result<(), DiskError> {
    let files: Vec<_> = lock(&shared.growing).values().cloned().collect();
    for files in files {
        let written = files.data.metadata().map_err(at(&shared.ring))?.len();
        files.data.sync_data().map_err(at(&shared.ring))?;
        sync_sections(shared)?;
        if files.imported {
            let _records = lock(&files.records);
            sync_sections(shared)?;
            files.data.sync_data().and_then(|()| files.log.sync_data()).map_err(at(&shared.ring))?;
        } else {
            files.log.sync_data().map_err(at(&shared.ring))?;
            let_go(&files, written);
        }
    }
    sync_folder(&shared.ring.join(OPEN_FOLDER)).and_then(|()| sync_folder(&shared.ring)).map_err(at(&shared.ring))
}

/// Lets what is written of a live packet file go from the page cache, where small blocks leave it, once: a reader may have fetched again what
/// is older.
fn let_go(files: &Growing, written: u64) {
    let to = written / PAGE as u64 * PAGE as u64;
    let from = files.let_go.swap(to, Ordering::Relaxed);
    if let Some(len) = to.checked_sub(from).and_then(NonZeroU64::new) {
        let _ = fadvise(&*files.data, from, Some(len), Advice::DontNeed); // a hint: it may stay
    }
}

/// Seals a segment; where the disk is full, drops the oldest ones, also those that are sealed and wait to be made last.
fn seal_with_room(shared: &Shared, segment: &ToSeal, waiting: &mut Vec<Sealed>) -> Result<Sealed, DiskError> {
    let mut disk = FullDisk::writing(segment.draft.data_len);
    loop {
        match seal(shared, segment) {
            Err(e) if is_full(&e.source) => {
                if disk.drop_one(shared)? {
                    continue;
                }
                if waiting.is_empty() {
                    return Err(shared.full(&e.path));
                }
                commit(shared, waiting)?;
            }
            other => return other,
        }
    }
}

fn seal(shared: &Shared, segment: &ToSeal) -> Result<Sealed, DiskError> {
    let draft = &segment.draft;
    let data_path = data_path(&shared.ring, draft.id);
    // The statistics block closes the packet file; what was reserved and not used is given back.
    let mut closing = Vec::new();
    put_statistics(&mut closing, draft);
    let data_bytes = draft.data_len + closing.len() as u64;
    segment.data.write_all_at(&closing, draft.data_len).map_err(at(&data_path))?;
    segment.data.set_len(data_bytes).map_err(at(&data_path))?;
    if !segment.mended {
        give_back_room(&log_path(&shared.ring, draft.id));
    }
    let path = index_path(&shared.ring, draft.id);
    let temporary = new_index_path(&shared.ring, draft.id);
    let out = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary).map_err(at(&temporary))?;
    let sealing = Sealing {
        draft,
        stats4: &segment.stats4,
        stats6: &segment.stats6,
        data_bytes,
        arrived: segment.arrived,
        mended: segment.mended,
        data: &segment.data,
    };
    let facts = write_index(&sealing, &out).map_err(at(&temporary))?;
    fs::rename(&temporary, &path).map_err(at(&path))?;
    super::hosts::write(&shared.ring, draft.id, &super::hosts::Hosts::of(draft)).map_err(at(&shared.ring))?;
    Ok((facts, segment.data.clone(), out))
}

/// Gives back what was reserved for a log and that it has not taken. (Not of one that is mended: the log says when it was written.)
fn give_back_room(log: &Path) {
    let opened = OpenOptions::new().write(true).open(log);
    if let Err(e) = opened.and_then(|file| file.set_len(file.metadata()?.len())) {
        tracing::debug!("{}: its room stays reserved until it is removed: {e}", log.display());
    }
}

/// Makes sealed segments last, enters them in the catalogue, and only then removes their logs.
fn commit(shared: &Shared, waiting: &mut Vec<Sealed>) -> Result<(), DiskError> {
    let ring = &shared.ring;
    sync_sections(shared)?;
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
    for (facts, ..) in waiting.iter() {
        let mut disk = FullDisk::writing(facts.bytes());
        loop {
            let appended = lock(&shared.catalog).append(facts);
            match appended {
                Err(e) if is_full(&e) && disk.drop_one(shared)? => {}
                Err(e) if is_full(&e) => return Err(shared.full(ring)),
                other => break other.map_err(at(ring))?,
            }
        }
    }
    for (facts, data, index) in waiting.drain(..) {
        if !facts.has(SegmentFacts::IMPORTED) {
            for file in [&*data, &index] {
                let _ = fadvise(file, 0, None, Advice::DontNeed); // a hint: it may stay
            }
        }
        lock(&shared.unsealed).remove(&facts.id);
        let log = log_path(ring, facts.id);
        match fs::remove_file(&log) {
            // It was lost, and the segment mended without it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(at(&log))?,
        }
    }
    Ok(())
}

/// The statistics block that closes a packet file.
pub(super) fn put_statistics(out: &mut Vec<u8>, draft: &SegmentDraft) {
    let mut options = Vec::new();
    let first = if draft.first == Timestamp::MAX { Timestamp::ZERO } else { draft.first };
    block::time_option(&mut options, block::ISB_STARTTIME, first);
    block::time_option(&mut options, block::ISB_ENDTIME, draft.high);
    let (mut os, mut interface, mut unrecorded) = (0_u64, 0_u64, 0_u64);
    for note in &draft.notes {
        match note.kind {
            NoteKind::Drops { os: o, interface: i } => {
                os = o.saturating_add(os);
                interface = i.saturating_add(interface);
            }
            NoteKind::Unrecorded { packets } => unrecorded = unrecorded.saturating_add(packets),
            _ => {}
        }
    }
    let counters = [
        (block::ISB_IFRECV, draft.packets.saturating_add(draft.drops())),
        (block::ISB_IFDROP, interface),
        (block::ISB_OSDROP, os),
        // What was captured and not written was not delivered.
        (block::ISB_USRDELIV, draft.packets),
    ];
    for (code, value) in counters.into_iter().filter(|c| c.0 != block::ISB_USRDELIV || unrecorded > 0) {
        block::option(&mut options, code, &value.to_le_bytes());
    }
    block::interface_statistics(out, 0, draft.high, &options);
}
