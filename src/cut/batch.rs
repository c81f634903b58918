//! Granules that are read, verified and judged together, by whichever thread comes to it.

use super::cold::Disk;
use super::judges::Judges;
use crate::packet::LinkType;
use crate::ring::error::SegmentError;
use crate::ring::granule::GranuleAt;
use crate::ring::packet_file::PacketFile;
use crate::ring::scan::blocks;
use crate::select::Judge;
use crate::time::{Timestamp, Window};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of granules after which a batch is closed that are not all next to each other.
pub const BATCH_BYTES: usize = 64 << 10;
/// How often it is looked whether another thread is done before this one sleeps: some tens of microseconds.
const SPINS: u32 = 2000;
/// So long a sleeping thread trusts that it will be woken.
const TRUST: Duration = Duration::from_millis(100);

/// What granules are asked for.
#[derive(Clone)]
pub struct Asked {
    /// The file they are in.
    pub file: PacketFile,
    /// The link type of their packets.
    pub link_type: LinkType,
    /// The packets wanted of them.
    pub window: Window,
    /// Which.
    pub granules: Vec<GranuleAt>,
}

/// Granules that are read together, in the order of their turn.
pub struct Batch {
    /// What was asked for.
    pub asked: Asked,
    /// Bytes of its granules.
    pub len: usize,
    /// The disk was asked for them beforehand.
    is_announced: AtomicBool,
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

/// A packet that was asked for.
#[derive(Clone, Copy)]
pub struct Match {
    /// Its time.
    pub time: Timestamp,
    /// Its granule.
    pub granule: u32,
    /// Its place in the granule.
    pub place: u32,
    /// Where its block begins in the batch's bytes.
    pub offset: usize,
}

/// Which packets of a batch are wanted.
#[derive(Default)]
pub struct Found {
    /// These, in order of arrival.
    pub packets: Vec<Match>,
    /// Bytes of their blocks.
    pub bytes: usize,
    /// How many were judged.
    pub judged: u64,
}

/// What reading a batch gave.
pub struct Read {
    /// The bytes of all its granules, one after the other; any bytes in place of those that could not be read, and after the last.
    pub bytes: Vec<u8>,
    /// By place in the batch, granules that could not be read, or whose bytes are not those that were written.
    pub failed: Vec<(usize, SegmentError)>,
    /// What was found; `None` where the thread had no judge.
    pub found: Option<Found>,
}

impl Batch {
    /// To be read.
    pub fn new(asked: Asked) -> Batch {
        let len = asked.granules.iter().map(|g| g.1.stored_len as usize).sum();
        Batch {
            asked,
            len,
            is_announced: AtomicBool::new(false),
            state: Mutex::default(),
            is_read: AtomicBool::new(false),
            was_read: Condvar::new(),
        }
    }

    /// Has it read into a buffer that is there already.
    pub fn read_into(&mut self, buffer: Vec<u8>) {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).buffer = buffer;
    }

    /// Its granules in stretches that follow each other in the file: the place of the first, how many, where and how many bytes.
    fn runs(&self) -> impl Iterator<Item = (usize, usize, u64, usize)> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.asked.granules.get(at..).filter(|rest| !rest.is_empty())?;
            let n = 1 + rest.windows(2).take_while(|pair| pair[0].1.stored_end() == pair[1].1.stored_offset).count();
            let run = (at, n, rest[0].1.stored_offset, (rest[n - 1].1.stored_end() - rest[0].1.stored_offset) as usize);
            at += n;
            Some(run)
        })
    }

    /// Reads, verifies and judges. Where a run cannot be read as a whole, it is read granule by granule, so that only what is damaged is lost.
    pub fn read(&self, disk: &mut Disk, judges: &mut Judges) {
        let mut bytes = std::mem::take(&mut lock(&self.state).buffer);
        let mut failed = Vec::new();
        if bytes.len() < self.len {
            // Not resized: nothing of it is worth a copy. Small ones are as small as can be, because many may have to be held.
            bytes = vec![0; if is_small(self.len) { self.len } else { self.len.max(BATCH_BYTES) }];
        }
        disk.timed(self.asked.granules.len(), self.len, || self.fill(&mut bytes, &mut failed));
        let found = judges.of(self.asked.link_type).map(|judge| self.find(&bytes, &failed, judge));
        let mut state = lock(&self.state);
        state.read = Some(Read { bytes, failed, found });
        self.is_read.store(true, Ordering::Release);
        if state.is_awaited {
            self.was_read.notify_one();
        }
    }

    fn fill(&self, bytes: &mut [u8], failed: &mut Vec<(usize, SegmentError)>) {
        let mut at = 0;
        for (first, n, offset, len) in self.runs() {
            let whole = self.asked.file.read_stored(offset, &mut bytes[at..at + len]).is_ok();
            for (place, (_, granule)) in self.asked.granules.iter().enumerate().skip(first).take(n) {
                let own = &mut bytes[at..at + granule.stored_len as usize];
                let read = if whole { Ok(()) } else { self.asked.file.read_stored(granule.stored_offset, own) };
                failed.extend(read.and_then(|()| self.asked.file.verify(granule, own)).err().map(|e| (place, e)));
                at += own.len();
            }
        }
    }

    /// The packets that are wanted of what was read.
    pub fn find(&self, bytes: &[u8], failed: &[(usize, SegmentError)], judge: &mut Judge) -> Found {
        let mut found = Found::default();
        let mut failed = failed.iter().map(|f| f.0).peekable();
        let mut at = 0;
        for (i, (granule, entry)) in self.asked.granules.iter().enumerate() {
            let len = entry.stored_len as usize;
            if failed.next_if_eq(&i).is_none() {
                for (place, stored) in blocks(&bytes[at..at + len]).enumerate() {
                    found.judged += 1;
                    let time = stored.packet.time;
                    if self.asked.window.contains(time) && judge.matches(&stored.packet, stored.hint) {
                        found.bytes += stored.block.len();
                        let offset = at + stored.offset;
                        found.packets.push(Match { time, granule: *granule, place: place as u32, offset });
                    }
                }
            }
            at += len;
        }
        found
    }

    /// What reading gave, if it was read and not taken.
    pub fn take(&self) -> Option<Read> {
        lock(&self.state).read.take()
    }

    /// Waits until it is read. `false`: waited in vain for longer than that can take, unless the disk is slow.
    pub fn wait(&self) -> bool {
        if soon(|| self.is_read.load(Ordering::Acquire)) {
            return true;
        }
        let mut state = lock(&self.state);
        if state.read.is_none() {
            state.is_awaited = true;
            state = self.was_read.wait_timeout(state, TRUST).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.read.is_some()
    }

    /// Asks the disk for its bytes, once; does not wait for them.
    pub fn announce(&self) {
        if self.is_announced.swap(true, Ordering::Relaxed) {
            return;
        }
        self.runs().for_each(|(_, _, offset, len)| self.asked.file.will_read(offset, len as u64));
    }
}

/// Whether so many bytes are not worth a buffer that is used again.
pub fn is_small(len: usize) -> bool {
    len < BATCH_BYTES / 2
}

/// Whether something comes to hold that takes some microseconds. A thread that slept for them would be woken on the processor of whoever
/// wakes it, and both would then take turns on one.
pub fn soon(holds: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        std::hint::spin_loop();
        holds()
    })
}

/// The value behind a lock, also where a thread ended while it had it: nothing here is ever half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
