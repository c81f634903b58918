//! Reading granules ahead of their turn: a second thread reads and verifies what comes next, while the first judges and writes.
//! The first thread takes part in it rather than wait.
//!
//! What is read comes back in the order in which it was asked for, so that a cut does not depend on the threads' timing.

use super::cold::Disk;
use crate::ring::error::SegmentError;
use crate::ring::granule::{GranuleAt, GranuleEntry};
use crate::ring::packet_file::PacketFile;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Bytes of granules that are read ahead of their turn, all sources of a cut together.
const AHEAD_BYTES_MAX: usize = 512 << 10;
/// Bytes of granules after which a batch is closed that are not all next to each other.
pub const BATCH_BYTES: usize = 64 << 10;
/// Reads that a slow disk is asked for beforehand.
const READS_AHEAD: usize = 64;
/// Granules beyond which a second thread is worth its start.
const WORTH_A_THREAD: usize = 64;
/// How often it is looked whether the other thread is done before this one sleeps: some tens of microseconds.
const SPINS: u32 = 2000;
/// Bytes of buffers that are kept for the next batches.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// Granules that are read together, in the order of their turn.
pub struct Batch {
    file: PacketFile,
    /// Which.
    pub granules: Vec<GranuleAt>,
    len: usize,
    /// The disk was asked for them beforehand.
    asked: AtomicBool,
    state: Mutex<State>,
    is_read: AtomicBool,
    was_read: Condvar,
}

#[derive(Default)]
struct State {
    /// What is read goes here.
    buffer: Vec<u8>,
    read: Option<Read>,
    /// Somebody sleeps until it is read.
    is_awaited: bool,
}

/// What reading a batch gave.
pub struct Read {
    /// The bytes of all its granules, one after the other; any bytes in place of those that could not be read, and after the last.
    pub bytes: Vec<u8>,
    /// By place in the batch, granules that could not be read, or whose bytes are not those that were written.
    pub failed: Vec<(usize, SegmentError)>,
}

impl Batch {
    fn new(file: PacketFile, granules: Vec<GranuleAt>, buffer: Vec<u8>) -> Batch {
        let len = granules.iter().map(|g| g.1.stored_len as usize).sum();
        let state = Mutex::new(State { buffer, ..State::default() });
        Batch {
            file,
            granules,
            len,
            asked: AtomicBool::new(false),
            state,
            is_read: AtomicBool::new(false),
            was_read: Condvar::new(),
        }
    }

    /// Its granules in stretches that follow each other in the file: the place of the first, how many, where and how many bytes.
    fn runs(&self) -> impl Iterator<Item = (usize, usize, u64, usize)> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.granules.get(at..).filter(|rest| !rest.is_empty())?;
            let n = 1 + rest.windows(2).take_while(|pair| pair[0].1.stored_end() == pair[1].1.stored_offset).count();
            let run = (at, n, rest[0].1.stored_offset, (rest[n - 1].1.stored_end() - rest[0].1.stored_offset) as usize);
            at += n;
            Some(run)
        })
    }

    /// Reads and verifies. Where a run cannot be read as a whole, it is read granule by granule, so that only what is damaged is lost.
    fn read(&self, disk: &mut Disk) {
        let mut bytes = std::mem::take(&mut lock(&self.state).buffer);
        let mut failed = Vec::new();
        if bytes.len() < self.len {
            bytes.resize(self.len, 0);
        }
        disk.timed(self.granules.len(), self.len, || self.fill(&mut bytes, &mut failed));
        let mut state = lock(&self.state);
        state.read = Some(Read { bytes, failed });
        self.is_read.store(true, Ordering::Release);
        if state.is_awaited {
            self.was_read.notify_one();
        }
    }

    fn fill(&self, bytes: &mut [u8], failed: &mut Vec<(usize, SegmentError)>) {
        let mut at = 0;
        for (first, n, offset, len) in self.runs() {
            let whole = self.file.read_stored(offset, &mut bytes[at..at + len]).is_ok();
            for (place, (_, granule)) in self.granules.iter().enumerate().skip(first).take(n) {
                let own = &mut bytes[at..at + granule.stored_len as usize];
                let read = if whole { Ok(()) } else { self.file.read_stored(granule.stored_offset, own) };
                failed.extend(read.and_then(|()| self.file.verify(granule, own)).err().map(|e| (place, e)));
                at += own.len();
            }
        }
    }

    fn ask_disk(&self) {
        self.runs().for_each(|(_, _, offset, len)| self.file.will_read(offset, len as u64));
    }
}

/// Batches that nobody has begun.
#[derive(Default)]
struct Waiting {
    batches: Mutex<VecDeque<Arc<Batch>>>,
    /// How many there are.
    count: AtomicUsize,
    more: Condvar,
    /// The second thread sleeps until there is more.
    is_idle: AtomicBool,
    stop: AtomicBool,
}

impl Waiting {
    /// Takes the next one; a slow disk is asked for those after it.
    fn next(&self, disk: &Disk) -> Option<Arc<Batch>> {
        let mut batches = lock(&self.batches);
        let next = batches.pop_front();
        self.count.store(batches.len(), Ordering::Release);
        if disk.is_slow() {
            let mut reads = 0;
            let near = batches.iter().take_while(|batch| {
                reads += batch.granules.len();
                reads < READS_AHEAD
            });
            let new: Vec<_> = near.filter(|batch| !batch.asked.swap(true, Ordering::Relaxed)).cloned().collect();
            drop(batches);
            new.iter().for_each(|batch| batch.ask_disk());
        }
        next
    }

    /// Reads until there will be no more.
    fn read_all(&self) {
        let mut disk = Disk::default();
        loop {
            while let Some(batch) = self.next(&disk).filter(|_| !self.stop.load(Ordering::Relaxed)) {
                batch.read(&mut disk);
            }
            if soon(|| self.count.load(Ordering::Acquire) > 0) {
                continue;
            }
            let mut batches = lock(&self.batches);
            while batches.is_empty() {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                self.is_idle.store(true, Ordering::Relaxed);
                batches = self.more.wait(batches).unwrap_or_else(PoisonError::into_inner);
                self.is_idle.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// Whether something comes to hold that takes some microseconds. A thread that slept for them would be woken on the processor of whoever
/// wakes it, and both would then take turns on one.
fn soon(holds: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        std::hint::spin_loop();
        holds()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The second thread of a cut, which starts when it is first asked.
#[derive(Default)]
pub struct Ahead {
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
    /// Bytes that were asked for and not taken yet.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

impl Ahead {
    /// Whether it is worth while to ask for more now, of a source that has so many granules left.
    pub fn wants_more(&self, left: usize) -> bool {
        let worth = if self.thread.is_some() { left > 0 } else { left >= WORTH_A_THREAD };
        worth && self.bytes < AHEAD_BYTES_MAX
    }

    /// Whether there is something to read.
    pub fn is_busy(&self) -> bool {
        self.bytes > 0
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        if self.spare_bytes + buffer.len() <= SPARE_BYTES_MAX {
            self.spare_bytes += buffer.len();
            self.spare.push(buffer);
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        let buffer = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= buffer.len();
        buffer
    }

    fn add(&mut self, batch: Arc<Batch>) {
        self.bytes += batch.len;
        let mut batches = lock(&self.waiting.batches);
        batches.push_back(batch);
        self.waiting.count.store(batches.len(), Ordering::Release);
        // It is set with the lock held, before the second thread sleeps.
        if self.waiting.is_idle.load(Ordering::Relaxed) {
            self.waiting.more.notify_one();
        }
        drop(batches);
        if self.thread.is_none() {
            let waiting = self.waiting.clone();
            // Without a second thread the first does all of it.
            self.thread = Builder::new().name("read ahead".into()).spawn(move || waiting.read_all()).ok();
        }
    }

    /// Waits until a batch is read, and reads others meanwhile.
    fn wait(&mut self, batch: &Batch, disk: &mut Disk) -> Read {
        self.bytes -= batch.len;
        loop {
            if let Some(read) = lock(&batch.state).read.take() {
                return read;
            }
            if let Some(other) = self.waiting.next(disk) {
                other.read(disk);
                continue;
            }
            if soon(|| batch.is_read.load(Ordering::Acquire)) {
                continue;
            }
            let mut state = lock(&batch.state);
            if state.read.is_some() {
                continue;
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                drop(state);
                batch.read(disk); // whoever had begun it is gone
            } else {
                state.is_awaited = true;
                drop(batch.was_read.wait_timeout(state, Duration::from_millis(100)));
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut batches = lock(&self.waiting.batches);
        batches.clear();
        self.waiting.stop.store(true, Ordering::Relaxed);
        drop(batches);
        self.waiting.more.notify_one();
        self.thread.take().map(JoinHandle::join);
    }
}

/// Batches of one source on their way.
#[derive(Default)]
pub struct Queue(VecDeque<Arc<Batch>>);

impl Queue {
    /// The granule that comes next.
    pub fn first(&self) -> Option<&GranuleEntry> {
        self.0.front()?.granules.first().map(|g| &g.1)
    }

    /// Asks for granules.
    pub fn ask(&mut self, file: PacketFile, granules: Vec<GranuleAt>, ahead: &mut Ahead) {
        let batch = Arc::new(Batch::new(file, granules, ahead.buffer()));
        self.0.push_back(batch.clone());
        ahead.add(batch);
    }

    /// The batch that comes next, waited for if need be; `None` where nothing is on its way.
    pub fn take(&mut self, ahead: &mut Ahead, disk: &mut Disk) -> Option<(Arc<Batch>, Read)> {
        let batch = self.0.pop_front()?;
        let read = ahead.wait(&batch, disk);
        Some((batch, read))
    }
}

/// Reads granules at once.
pub fn read_now(file: PacketFile, granules: Vec<GranuleAt>, ahead: &mut Ahead, disk: &mut Disk) -> (Arc<Batch>, Read) {
    let batch = Arc::new(Batch::new(file, granules, ahead.buffer()));
    batch.read(disk);
    let read = lock(&batch.state).read.take();
    (batch, read.unwrap_or(Read { bytes: Vec::new(), failed: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::granule::Codec;
    use crate::time::Timestamp;
    use std::fs;

    /// Granules of 5,000 bytes, two next to each other and then a gap, whose bytes are their number.
    fn granules(n: u32) -> (Vec<u8>, Vec<GranuleAt>) {
        let mut bytes = Vec::new();
        let mut all = Vec::new();
        for i in 0..n {
            let own = [i as u8; 5000];
            let entry = GranuleEntry {
                stored_offset: bytes.len() as u64,
                stored_len: 5000,
                codec: Codec::Plain,
                crc: crc32c::crc32c(&own),
                low: Timestamp::ZERO,
                high: Timestamp::ZERO,
            };
            bytes.extend(own);
            bytes.resize(bytes.len() + if i % 2 == 0 { 0 } else { 1000 }, 0xff);
            all.push((i, entry));
        }
        (bytes, all)
    }

    #[test]
    fn batches_come_back_in_order_however_many_sources_ask() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, all) = granules(240);
        let path = dir.path().join("packets");
        fs::write(&path, bytes).unwrap();
        let file = PacketFile::open(&path).unwrap();
        let (mut ahead, mut disk) = (Ahead::default(), Disk::default());
        let mut queues = [Queue::default(), Queue::default(), Queue::default()];
        let mut want = Vec::new();
        for (i, part) in all.chunks(10).enumerate() {
            queues[i % 3].ask(file.clone(), part.to_vec(), &mut ahead);
            want.push((i % 3, part.to_vec()));
        }
        assert!(ahead.is_busy());
        for (queue, part) in want.iter().filter(|w| w.0 != 1) {
            assert_eq!(queues[*queue].first().map(|g| g.stored_offset), Some(part[0].1.stored_offset));
            let (batch, read) = queues[*queue].take(&mut ahead, &mut disk).unwrap();
            assert_eq!(&batch.granules, part);
            assert!(read.failed.is_empty());
            for (i, (number, _)) in part.iter().enumerate() {
                assert!(read.bytes[5000 * i..5000 * (i + 1)].iter().all(|b| *b == *number as u8));
            }
            ahead.give_back(read.bytes);
        }
        assert!(queues[0].take(&mut ahead, &mut disk).is_none());
        // What nobody takes any more is given up with the thread.
        assert!(ahead.is_busy());
        drop(ahead);
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_loses_only_the_granules_concerned() {
        let dir = tempfile::tempdir().unwrap();
        let (mut bytes, all) = granules(6);
        bytes[5000] ^= 1;
        bytes.truncate(all[5].1.stored_offset as usize + 100);
        let path = dir.path().join("packets");
        fs::write(&path, bytes).unwrap();
        let file = PacketFile::open(&path).unwrap();
        let (mut ahead, mut disk) = (Ahead::default(), Disk::default());
        for threaded in [false, true] {
            let (_, read) = if threaded {
                let mut queue = Queue::default();
                queue.ask(file.clone(), all.clone(), &mut ahead);
                queue.take(&mut ahead, &mut disk).unwrap()
            } else {
                read_now(file.clone(), all.clone(), &mut ahead, &mut disk)
            };
            let failed: Vec<_> =
                read.failed.iter().map(|(place, e)| (*place, e.to_string().contains("ends too early"))).collect();
            assert_eq!(failed, [(1, false), (5, true)]);
            for i in [0, 2, 3, 4] {
                assert!(read.bytes[5000 * i..5000 * (i + 1)].iter().all(|b| *b == i as u8));
            }
        }
    }

    #[test]
    fn without_a_second_thread_the_first_reads_all() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, all) = granules(20);
        let path = dir.path().join("packets");
        fs::write(&path, bytes).unwrap();
        let file = PacketFile::open(&path).unwrap();
        let (mut ahead, mut disk) = (Ahead::default(), Disk::default());
        let mut queue = Queue::default();
        queue.ask(file.clone(), all[..10].to_vec(), &mut ahead);
        // It ended, and somebody had taken the batch from the list.
        ahead.waiting.stop.store(true, Ordering::Relaxed);
        ahead.waiting.more.notify_one();
        ahead.thread.take().map(JoinHandle::join);
        lock(&ahead.waiting.batches).clear();
        let (batch, read) = queue.take(&mut ahead, &mut disk).unwrap();
        assert_eq!((batch.granules.len(), read.failed.len(), read.bytes.len()), (10, 0, 50_000));
    }
}
