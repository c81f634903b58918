//! The recording side of a stream: copies packets into blocks, notes their flows, hands blocks over. It waits for nothing but the bounded queue.

use super::draft::{Block, FlowStats, vouched};
use super::granule::{Codec, GranuleEntry, ends_before};
use super::hint::{put_hint, without_hints};
use super::ids::{SectionId, SegmentId, StreamId};
use super::note::{Note, NoteKind};
use super::tally::Tallies;
use crate::packet::Packet;
use crate::pcap::block::{enhanced_packet_len, put_enhanced_packet};
use crate::time::{Timestamp, Window};
use crate::wire::{Decoded, FragmentTable, decode, plain_flow4};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of packets after which a block is handed over.
pub const BLOCK_BYTES: usize = 1 << 20;
/// Blocks that may wait for the disk, all streams of a ring together.
pub const BLOCKS_QUEUED_MAX: usize = 24;
/// Where so much waits, the disk is slow: a block that is not full is not handed over but goes on being filled, so that what may wait is
/// large and not little.
const QUEUED_EARLY_MAX: usize = 8;
/// A segment is sealed early at so many flows.
pub const SEGMENT_FLOWS: usize = 400_000;
/// Bytes of a segment, where nothing else is asked for.
pub const SEGMENT_BYTES: u64 = 256 << 20;
/// Bytes of a segment, at most; its index can tell places up to 16 GiB.
pub const SEGMENT_BYTES_MAX: u64 = 8 << 30;

/// After so long a live segment is sealed, be it ever so small.
pub const SEGMENT_AGE: Duration = Duration::from_secs(300);

/// What goes to the disk thread.
pub(super) enum Job {
    /// `run` is what an import has seen of the stream before.
    Open {
        id: SegmentId,
        stream: StreamId,
        imported: bool,
        run: Option<Window>,
        reserve: u64,
    },
    Block {
        id: SegmentId,
        block: Block,
    },
    State {
        id: SegmentId,
        complete_to: Timestamp,
        captured: Window,
    },
    /// The clock was set, which the stream has noticed.
    ClockSet {
        stream: StreamId,
        after: Timestamp,
    },
    Close {
        id: SegmentId,
        stats4: Vec<FlowStats>,
        stats6: Vec<FlowStats>,
        captured: Option<Window>,
    },
}

/// What streams send to the disk thread, and how much of it waits.
#[derive(Clone)]
pub(super) struct Jobs {
    to: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// The disk thread's end.
pub(super) struct JobsIn {
    from: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

/// A queue of [`BLOCKS_QUEUED_MAX`].
pub(super) fn queue() -> (Jobs, JobsIn) {
    let (to, from) = sync_channel(BLOCKS_QUEUED_MAX);
    let waiting = Arc::<AtomicUsize>::default();
    (Jobs { to, waiting: waiting.clone() }, JobsIn { from, waiting })
}

impl Jobs {
    fn send(&self, job: Job) -> Result<(), WriteStopped> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.to.send(job).map_err(|_| WriteStopped)
    }

    fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= QUEUED_EARLY_MAX
    }
}

impl JobsIn {
    /// Waits for the next; `None` when nobody sends any more.
    pub(super) fn next(&self) -> Option<Job> {
        self.taken(self.from.recv().ok())
    }

    /// The next if it is there.
    pub(super) fn next_waiting(&self) -> Option<Job> {
        self.taken(self.from.try_recv().ok())
    }

    fn taken(&self, job: Option<Job>) -> Option<Job> {
        if job.is_some() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        job
    }
}

/// The disk side failed; why is told by the ring when it is finished.
#[derive(Debug, thiserror::Error)]
#[error("the ring can no longer be written")]
pub struct WriteStopped;

/// How segments are cut.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Bytes of packets in a segment, at most (a packet larger than that is alone in one).
    pub segment_bytes: u64,
    /// Flows in a segment, at most.
    pub segment_flows: usize,
    /// The packets come from a capture file.
    pub imported: bool,
    /// How much is reserved on the disk when a segment opens.
    pub reserve: u64,
    /// How long after it was opened a segment is sealed. It is looked at when the stream publishes.
    pub segment_age: Option<Duration>,
}

/// Those of a live interface.
impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            segment_bytes: SEGMENT_BYTES,
            segment_flows: SEGMENT_FLOWS,
            imported: false,
            reserve: SEGMENT_BYTES,
            segment_age: Some(SEGMENT_AGE),
        }
    }
}

/// What makes the writers of a ring's streams. The ring is finished only when all of them, and this, are gone.
#[derive(Clone)]
pub struct StreamMaker {
    pub(super) jobs: Jobs,
    pub(super) spare: Arc<Mutex<Vec<Block>>>,
    pub(super) next_id: Arc<AtomicU64>,
    pub(super) run: Run,
}

/// The stretch that an import has seen so far of a ring's interface, in all its streams.
pub type Run = Arc<Mutex<Option<Window>>>;

impl StreamMaker {
    /// The writer of a stream, which nobody else writes.
    pub fn stream(&self, stream: StreamId, options: StreamOptions) -> StreamWriter {
        StreamWriter::new(self, stream, options)
    }
}

/// Writes one stream of packets into a ring.
pub struct StreamWriter {
    jobs: Jobs,
    spare: Arc<Mutex<Vec<Block>>>,
    next_id: Arc<AtomicU64>,
    stream: StreamId,
    options: StreamOptions,
    tallies: Tallies,
    decoded: Decoded,
    fragments: FragmentTable,
    hinted: Vec<u8>,
    block: Block,
    granule_start: usize,
    granule_captured: usize,
    granule_numbers: usize,
    granule_low: Timestamp,
    granule_high: Timestamp,
    granule_index: u32,
    segment: Option<SegmentId>,
    /// What the stream has said to be complete, and what it had said when the growing segment was opened.
    complete_to: Timestamp,
    segment_from: Timestamp,
    /// Since when the oldest packet or note waits that is not handed over.
    waits_since: Option<Instant>,
    opened: Instant,
    segment_bytes: u64,
    segment_span: Option<(Timestamp, Timestamp)>,
    newest: Timestamp,
    section: SectionId,
    run: Run,
}

impl StreamWriter {
    fn new(maker: &StreamMaker, stream: StreamId, options: StreamOptions) -> Self {
        let StreamMaker { jobs, spare, next_id, run } = maker.clone();
        let mut block = Block::default();
        block.clear();
        StreamWriter {
            jobs,
            spare,
            next_id,
            stream,
            options,
            tallies: Tallies::default(),
            decoded: Decoded::default(),
            fragments: FragmentTable::new(),
            hinted: Vec::new(),
            block,
            granule_start: 0,
            granule_captured: 0,
            granule_numbers: 0,
            granule_low: Timestamp::MAX,
            granule_high: Timestamp::ZERO,
            granule_index: 0,
            segment: None,
            complete_to: Timestamp::ZERO,
            segment_from: Timestamp::ZERO,
            waits_since: None,
            opened: Instant::now(),
            segment_bytes: 0,
            segment_span: None,
            newest: Timestamp::ZERO,
            section: SectionId::NONE,
            run,
        }
    }

    /// Adds a packet. Waits only where [`BLOCKS_QUEUED_MAX`] blocks wait for the disk.
    pub fn append(&mut self, packet: &Packet<'_>) -> Result<(), WriteStopped> {
        let plain = plain_flow4(self.stream.link_type, packet.data);
        let hint = if plain.is_some() {
            None
        } else {
            decode(self.stream.link_type, packet.data, &mut self.decoded);
            self.fragments.resolve(&mut self.decoded, packet.time)
        };
        self.hinted.clear();
        if hint.is_some() || !packet.options.is_empty() {
            self.hinted.extend_from_slice(&without_hints(packet.options));
            if let Some(ports) = hint {
                put_hint(&mut self.hinted, ports);
            }
        }
        let len = enhanced_packet_len(&Packet { options: &self.hinted, ..*packet });
        let most = self.options.segment_bytes.min(SEGMENT_BYTES_MAX);
        let full = self.segment_bytes + len as u64 > most && self.segment_bytes > 0;
        if full || self.tallies.has(self.options.segment_flows, self.granule_index, &mut self.block) {
            self.next_segment()?;
        }
        self.open_segment()?;
        if ends_before(self.block.data.len() - self.granule_start, self.granule_captured, len) {
            self.close_granule();
            if self.block.data.len() >= BLOCK_BYTES {
                self.hand_over()?;
            }
        }
        put_enhanced_packet(self.block.data.grow(len), 0, &Packet { options: &self.hinted, ..*packet });
        self.waits_since.get_or_insert_with(Instant::now);
        self.segment_bytes += len as u64;
        self.granule_captured += packet.data.len();
        self.note_time(packet);
        match plain {
            Some((key, direction)) => self.tallies.note_flow(key, direction, packet),
            None => self.tallies.note(&self.decoded, packet),
        }
        Ok(())
    }

    fn open_segment(&mut self) -> Result<(), WriteStopped> {
        if self.segment.is_none() {
            self.segment = Some(self.begin_segment()?);
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<SegmentId, WriteStopped> {
        let id = SegmentId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let StreamOptions { imported, reserve, .. } = self.options;
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).filter(|_| imported);
        self.send(Job::Open { id, stream: self.stream, imported, run, reserve })?;
        self.opened = Instant::now();
        self.segment_from = self.complete_to;
        Ok(id)
    }

    /// Closes the growing segment. A live stream's next one is opened before, so that the ring claims at no moment more than this stream
    /// has said to be complete; an import's is opened when it is needed.
    fn next_segment(&mut self) -> Result<(), WriteStopped> {
        let next = if self.options.imported { None } else { Some(self.begin_segment()?) };
        self.close_segment()?;
        self.segment = next;
        Ok(())
    }

    fn note_time(&mut self, packet: &Packet<'_>) {
        let time = packet.time;
        self.granule_low = self.granule_low.min(time);
        self.granule_high = self.granule_high.max(time);
        self.block.count(packet, &mut self.newest);
        if time != Timestamp::ZERO {
            let span = self.segment_span.get_or_insert((time, time));
            *span = (span.0.min(time), span.1.max(time));
        }
    }

    fn close_granule(&mut self) {
        let len = self.block.data.len() - self.granule_start;
        if len == 0 {
            return;
        }
        self.tallies.count(self.granule_index, &mut self.block);
        self.block.granules.push(GranuleEntry {
            stored_offset: self.granule_start as u64,
            stored_len: len as u32,
            codec: Codec::Plain,
            crc: crc32c::crc32c(&self.block.data[self.granule_start..]),
            low: self.granule_low,
            high: self.granule_high,
        });
        self.block.counts.push((self.block.numbers.len() - self.granule_numbers) as u32);
        self.granule_start = self.block.data.len();
        self.granule_captured = 0;
        self.granule_numbers = self.block.numbers.len();
        self.granule_low = Timestamp::MAX;
        self.granule_high = Timestamp::ZERO;
        self.granule_index += 1;
    }

    fn hand_over(&mut self) -> Result<(), WriteStopped> {
        self.close_granule();
        if self.block.is_empty() {
            return Ok(());
        }
        let Some(id) = self.segment else { return Ok(()) };
        self.block.section = self.section;
        let next = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut next = next.unwrap_or_default();
        next.clear();
        let block = std::mem::replace(&mut self.block, next);
        self.granule_start = 0;
        self.granule_numbers = 0;
        self.waits_since = None;
        self.send(Job::Block { id, block })
    }

    fn send(&self, job: Job) -> Result<(), WriteStopped> {
        self.jobs.send(job)
    }

    /// Packets from here on belong to this section.
    pub fn set_section(&mut self, section: SectionId) -> Result<(), WriteStopped> {
        if section != self.section {
            self.hand_over()?;
            self.section = section;
        }
        Ok(())
    }

    /// Adds a note to the growing segment, which is opened if there is none.
    pub fn note(&mut self, note: Note) -> Result<(), WriteStopped> {
        self.open_segment()?;
        self.block.notes.push(note);
        self.waits_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Hands over what there is, so that readers see it.
    pub fn publish(&mut self) -> Result<(), WriteStopped> {
        self.hand_over()?;
        let old = self.options.segment_age.is_some_and(|age| self.opened.elapsed() >= age);
        // One without packets may stay: a silent link does not make segments.
        if old && self.segment_bytes > 0 { self.next_segment() } else { Ok(()) }
    }

    /// Whether packets or notes wait to be handed over.
    pub fn has_waiting(&self) -> bool {
        self.waits_since.is_some()
    }

    /// The same, unless the disk has enough to do: then it is handed over later, with what comes meanwhile.
    pub fn publish_early(&mut self) -> Result<(), WriteStopped> {
        if self.jobs.is_busy() { Ok(()) } else { self.publish() }
    }

    /// The same, if its oldest packet or note has waited for so long.
    pub fn publish_if_older(&mut self, than: Duration) -> Result<(), WriteStopped> {
        if self.waits_since.is_some_and(|since| since.elapsed() >= than) { self.publish_early() } else { Ok(()) }
    }

    /// Hands over what there is, and says up to where the stream is complete and since when capture has run, be it without a packet.
    pub fn publish_complete(&mut self, complete_to: Timestamp, captured: Window) -> Result<(), WriteStopped> {
        self.publish()?;
        self.put_state(complete_to, captured)
    }

    /// Says the same without handing anything over: what waits is not counted as complete. Where the disk has enough to do, it is left for the
    /// next time.
    pub fn say_complete(&mut self, complete_to: Timestamp, captured: Window) -> Result<(), WriteStopped> {
        if self.jobs.is_busy() { Ok(()) } else { self.put_state(complete_to, captured) }
    }

    fn put_state(&mut self, complete_to: Timestamp, captured: Window) -> Result<(), WriteStopped> {
        self.open_segment()?;
        let Some(id) = self.segment else { return Ok(()) };
        let packets_from = if self.block.data.is_empty() { Timestamp::MAX } else { self.block.first };
        let lost_from = self.block.notes.iter().filter(|n| n.kind.lost().is_some()).map(|n| n.window.from);
        let waiting = lost_from.fold(packets_from, Timestamp::min);
        let complete_to = complete_to.min(waiting).max(self.complete_to);
        self.complete_to = complete_to;
        // A segment vouches for what came since it was opened: what was before is told by those before it.
        let captured = Window { from: captured.from.max(self.segment_from), to: captured.to.min(complete_to) };
        if captured.from < captured.to { self.send(Job::State { id, complete_to, captured }) } else { Ok(()) }
    }

    /// The clock was set: what follows is told by another one and goes into a segment of its own.
    pub fn clock_set(&mut self, before: Timestamp, after: Timestamp) -> Result<(), WriteStopped> {
        self.close_segment()?;
        self.complete_to = Timestamp::ZERO;
        self.send(Job::ClockSet { stream: self.stream, after })?;
        let window = Window { from: before.min(after), to: before.max(after) };
        self.note(Note { window, kind: NoteKind::ClockSet { before, after } })
    }

    /// Closes the growing segment; it is sealed in the background.
    pub fn close_segment(&mut self) -> Result<(), WriteStopped> {
        self.hand_over()?;
        let Some(id) = self.segment.take() else { return Ok(()) };
        let captured = self.take_captured();
        let (stats4, stats6) = self.tallies.take();
        self.granule_index = 0;
        self.segment_bytes = 0;
        self.newest = Timestamp::ZERO;
        self.send(Job::Close { id, stats4, stats6, captured })
    }

    /// The stretch that an imported segment vouches for.
    fn take_captured(&mut self) -> Option<Window> {
        let (low, high) = self.segment_span.take()?;
        if !self.options.imported {
            return None;
        }
        let mut seen = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let captured = vouched(*seen, low, high);
        let run = seen.unwrap_or(captured);
        *seen = Some(Window { from: run.from.min(low), to: run.to.max(high.saturating_add(1)) });
        Some(captured)
    }
}
