//! The rings that an import writes, and the ticking that publishes what was read.

use super::terms::Options;
use crate::packet::Packet;
use crate::ring::data::{DataDir, Retention};
use crate::ring::ids::{SectionId, StreamId};
use crate::ring::note::Note;
use crate::ring::ring_writer::{RingWriteError, RingWriter};
use crate::ring::writer::{SEGMENT_FLOWS, StreamOptions, WriteStopped};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rings that one import holds open. A file with more interfaces than that closes and opens them in turn.
pub const RINGS_OPEN_MAX: usize = 64;

/// How often what was read is published while no block fills.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

pub(super) fn lock(rings: &Mutex<Rings>) -> MutexGuard<'_, Rings> {
    rings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rings that an import writes.
pub(super) struct Rings {
    data: DataDir,
    options: Options,
    open: HashMap<String, (RingWriter, u64)>,
    uses: u64,
    failed: Option<RingWriteError>,
}

impl Rings {
    pub(super) fn new(data: &DataDir, options: &Options) -> Rings {
        Rings { data: data.clone(), options: options.clone(), open: HashMap::new(), uses: 0, failed: None }
    }

    pub(super) fn ring(&mut self, interface: &str) -> Result<&mut RingWriter, RingWriteError> {
        self.uses += 1;
        let now = self.uses;
        if !self.open.contains_key(interface) {
            if self.open.len() >= RINGS_OPEN_MAX
                && let Some(oldest) = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
                && let Some((ring, _)) = self.open.remove(&oldest)
            {
                ring.finish()?;
            }
            let given = (self.options.retention != Retention::default()).then_some(self.options.retention);
            let ring = RingWriter::open(&self.data, interface, given)?;
            self.open.insert(interface.to_string(), (ring, now));
        }
        let entry = self.open.entry(interface.to_string());
        match entry {
            std::collections::hash_map::Entry::Occupied(o) => {
                let (ring, used) = o.into_mut();
                *used = now;
                Ok(ring)
            }
            std::collections::hash_map::Entry::Vacant(_) => Err(RingWriteError::Panicked),
        }
    }

    /// The options of a stream whose file needs `reserve` bytes.
    fn stream_options(&self, reserve: u64) -> StreamOptions {
        let max = self.options.retention.max_bytes.map_or(u64::MAX, |m| (m / 16).max(4096));
        let segment_bytes = self.options.segment_bytes.min(max);
        StreamOptions { segment_bytes, segment_flows: SEGMENT_FLOWS, imported: true, reserve: reserve.min(segment_bytes) }
    }

    pub(super) fn append(
        &mut self,
        interface: &str,
        stream: StreamId,
        section: SectionId,
        packet: &Packet<'_>,
        reserve: u64,
    ) -> Result<(), RingWriteError> {
        let options = self.stream_options(reserve);
        let writer = self.ring(interface)?.stream(stream, options);
        let appended = writer.set_section(section).and_then(|()| writer.append(packet));
        appended.or_else(|WriteStopped| self.stopped(interface))
    }

    /// Tells why a ring stopped.
    fn stopped(&mut self, interface: &str) -> Result<(), RingWriteError> {
        match self.open.remove(interface) {
            Some((ring, _)) => ring.finish().and(Err(RingWriteError::Panicked)),
            None => Err(RingWriteError::Panicked),
        }
    }

    /// Keeps a note, also of an interface without packets.
    pub(super) fn note(&mut self, interface: &str, stream: StreamId, note: Note, reserve: u64) -> Result<(), RingWriteError> {
        let options = self.stream_options(reserve);
        let noted = self.ring(interface)?.stream(stream, options).note(note);
        noted.or_else(|WriteStopped| self.stopped(interface))
    }

    fn publish(&mut self) {
        let mut stopped = None;
        for (name, (ring, _)) in &mut self.open {
            if ring.streams().any(|s| s.publish().is_err()) {
                stopped = Some(name.clone());
            }
        }
        if let Some(name) = stopped
            && let Err(e) = self.stopped(&name)
        {
            self.failed.get_or_insert(e);
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), RingWriteError> {
        let mut result = self.failed.take().map_or(Ok(()), Err);
        for (_, (ring, _)) in self.open.drain() {
            result = result.and(ring.finish());
        }
        result
    }
}

/// Publishes what was read while the next packet lets itself be waited for.
pub(super) struct Ticker {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(rings: Arc<Mutex<Rings>>) -> Ticker {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(PUBLISH_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                lock(&rings).publish();
            }
        });
        Ticker { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
