//! Reading granules ahead of their turn: a second thread reads, verifies and judges what comes next, while the first writes. The first
//! takes part in it rather than wait.
//!
//! What is read comes back in the order in which it was asked for, so that a cut does not depend on the threads' timing.

use super::batch::{Asked, Batch, Read, is_small, lock, soon};
use super::cold::Disk;
use super::judges::Judges;
use crate::ring::granule::GranuleEntry;
use crate::select::Expr;
use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle};

/// Bytes of granules that are read ahead of their turn, all sources of a cut together.
const AHEAD_BYTES_MAX: usize = 512 << 10;
/// Reads that a slow disk is asked for beforehand.
const READS_AHEAD: usize = 64;
/// Granules beyond which a second thread is worth its start.
const WORTH_A_THREAD: usize = 64;
/// Bytes of buffers that are kept for the next batches.
const SPARE_BYTES_MAX: usize = 4 << 20;

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
                reads += batch.asked.granules.len();
                reads < READS_AHEAD
            });
            let near: Vec<_> = near.cloned().collect();
            drop(batches);
            near.iter().for_each(|batch| batch.announce());
        }
        next
    }

    /// Reads until there will be no more.
    fn read_all(&self, judges: &mut Judges) {
        let mut disk = Disk::default();
        loop {
            while let Some(batch) = self.next(&disk).filter(|_| !self.stop.load(Ordering::Relaxed)) {
                batch.read(&mut disk, judges);
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

/// How often this thread steps aside for one that it has started.
const STEPS_ASIDE: u32 = 16;

/// Starts a thread on another processor than the one this runs on; `None` where there is none, or no thread can be had.
///
/// Left to itself, the kernel may keep both threads on one processor for milliseconds with another idle, which is as long as most cuts
/// take: the new thread waits for its turn where it was made. So it moves by itself, and the starter steps aside until it is about to.
/// The starter must not sleep meanwhile: woken by the new thread, it would take the processor before that has moved.
fn elsewhere(name: &str, work: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let mut others = sched_getaffinity(None).ok()?;
    others.unset(sched_getcpu());
    if others.count() == 0 {
        return None;
    }
    let is_there = Arc::new(AtomicBool::new(false));
    let told = is_there.clone();
    let started = Builder::new().name(name.into()).spawn(move || {
        told.store(true, Ordering::Release);
        let _ = sched_setaffinity(None, &others); // or it works where it is
        work();
    });
    let started = started.ok()?;
    for _ in 0..STEPS_ASIDE {
        if is_there.load(Ordering::Acquire) {
            break;
        }
        thread::yield_now();
    }
    Some(started)
}

/// The second thread of a cut, which starts when it is first asked.
pub struct Ahead {
    expr: Arc<Expr>,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
    /// It was tried to start it, which is not tried again.
    is_tried: bool,
    /// Bytes that were asked for and not taken yet.
    bytes: usize,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

impl Ahead {
    /// For the packets of a selection.
    pub fn new(expr: &Expr) -> Ahead {
        Ahead {
            expr: Arc::new(expr.clone()),
            waiting: Arc::default(),
            thread: None,
            is_tried: false,
            bytes: 0,
            spare: Vec::new(),
            spare_bytes: 0,
        }
    }

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
        if !is_small(buffer.len()) && self.spare_bytes + buffer.len() <= SPARE_BYTES_MAX {
            self.spare_bytes += buffer.len();
            self.spare.push(buffer);
        }
    }

    fn batch(&mut self, asked: Asked) -> Arc<Batch> {
        let mut batch = Batch::new(asked);
        if !is_small(batch.len)
            && let Some(buffer) = self.spare.pop()
        {
            self.spare_bytes -= buffer.len();
            batch.read_into(buffer);
        }
        Arc::new(batch)
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
        if !std::mem::replace(&mut self.is_tried, true) {
            let (waiting, mut judges) = (self.waiting.clone(), Judges::new(self.expr.clone()));
            // Without a second thread the first does all of it.
            self.thread = elsewhere("read ahead", move || waiting.read_all(&mut judges));
        }
    }

    /// Waits until a batch is read, and reads others meanwhile.
    fn wait(&mut self, batch: &Batch, disk: &mut Disk, judges: &mut Judges) -> Read {
        self.bytes -= batch.len;
        loop {
            if let Some(read) = batch.take() {
                return read;
            }
            if let Some(next) = self.waiting.next(disk) {
                next.read(disk, judges);
            } else if !batch.wait() && self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                batch.read(disk, judges); // whoever had begun it is gone
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
        self.0.front()?.asked.granules.first().map(|g| &g.1)
    }

    /// Asks for granules.
    pub fn ask(&mut self, asked: Asked, ahead: &mut Ahead) {
        let batch = ahead.batch(asked);
        self.0.push_back(batch.clone());
        ahead.add(batch);
    }

    /// The batch that comes next, waited for if need be; `None` where nothing is on its way.
    pub fn take(&mut self, ahead: &mut Ahead, disk: &mut Disk, judges: &mut Judges) -> Option<(Arc<Batch>, Read)> {
        let batch = self.0.pop_front()?;
        let read = ahead.wait(&batch, disk, judges);
        Some((batch, read))
    }
}

/// Reads granules at once.
pub fn read_now(asked: Asked, ahead: &mut Ahead, disk: &mut Disk, judges: &mut Judges) -> (Arc<Batch>, Read) {
    let batch = ahead.batch(asked);
    batch.read(disk, judges);
    let read = batch.take().unwrap_or(Read { bytes: Vec::new(), failed: Vec::new(), found: None });
    (batch, read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::granule::{Codec, GranuleAt};
    use crate::ring::packet_file::PacketFile;
    use crate::time::{Timestamp, Window};
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

    /// A file stays readable when its name is gone.
    fn on_disk(bytes: &[u8]) -> PacketFile {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("packets");
        fs::write(&path, bytes).unwrap();
        PacketFile::open(&path).unwrap()
    }

    fn begin() -> (Ahead, Disk, Judges) {
        let judges = Judges::new(Arc::new(Expr::All));
        (Ahead::new(&Expr::All), Disk::default(), judges)
    }

    fn asked(file: &PacketFile, granules: &[GranuleAt]) -> Asked {
        let (file, granules) = (file.clone(), granules.to_vec());
        Asked { file, link_type: LinkType::ETHERNET, window: Window::ALL, granules }
    }

    #[test]
    fn batches_come_back_in_order_however_many_sources_ask() {
        let (bytes, all) = granules(240);
        let file = on_disk(&bytes);
        let (mut ahead, mut disk, mut judges) = begin();
        let mut queues = [Queue::default(), Queue::default(), Queue::default()];
        let mut want = Vec::new();
        for (i, part) in all.chunks(10).enumerate() {
            queues[i % 3].ask(asked(&file, part), &mut ahead);
            want.push((i % 3, part.to_vec()));
        }
        assert!(ahead.is_busy());
        for (queue, part) in want.iter().filter(|w| w.0 != 1) {
            assert_eq!(queues[*queue].first().map(|g| g.stored_offset), Some(part[0].1.stored_offset));
            let (batch, read) = queues[*queue].take(&mut ahead, &mut disk, &mut judges).unwrap();
            assert_eq!(&batch.asked.granules, part);
            assert!(read.failed.is_empty());
            for (i, (number, _)) in part.iter().enumerate() {
                assert!(read.bytes[5000 * i..5000 * (i + 1)].iter().all(|b| *b == *number as u8));
            }
            ahead.give_back(read.bytes);
        }
        assert!(queues[0].take(&mut ahead, &mut disk, &mut judges).is_none());
        // What nobody takes any more is given up with the thread.
        assert!(ahead.is_busy());
        drop(ahead);
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_loses_only_the_granules_concerned() {
        let (mut bytes, all) = granules(6);
        bytes[5000] ^= 1;
        bytes.truncate(all[5].1.stored_offset as usize + 100);
        let file = on_disk(&bytes);
        let (mut ahead, mut disk, mut judges) = begin();
        for threaded in [false, true] {
            let (_, read) = if threaded {
                let mut queue = Queue::default();
                queue.ask(asked(&file, &all), &mut ahead);
                queue.take(&mut ahead, &mut disk, &mut judges).unwrap()
            } else {
                read_now(asked(&file, &all), &mut ahead, &mut disk, &mut judges)
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
        let (bytes, all) = granules(20);
        let file = on_disk(&bytes);
        let (mut ahead, mut disk, mut judges) = begin();
        let mut queue = Queue::default();
        queue.ask(asked(&file, &all[..10]), &mut ahead);
        // It ended, and somebody had taken the batch from the list.
        ahead.waiting.stop.store(true, Ordering::Relaxed);
        ahead.waiting.more.notify_one();
        ahead.thread.take().map(JoinHandle::join);
        lock(&ahead.waiting.batches).clear();
        let (batch, read) = queue.take(&mut ahead, &mut disk, &mut judges).unwrap();
        assert_eq!((batch.asked.granules.len(), read.failed.len(), read.bytes.len()), (10, 0, 65_536));
    }
}
