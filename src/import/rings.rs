//! The rings that an import writes, and the ticking that publishes what was read.

use super::terms::Options;
use crate::packet::Packet;
use crate::ring::data::{DataDir, Retention};
use crate::ring::dropped::Dropped;
use crate::ring::ids::{SectionId, StreamId};
use crate::ring::note::Note;
use crate::ring::ring_writer::{RingWriteError, RingWriter};
use crate::ring::writer::{SEGMENT_FLOWS, StreamOptions, StreamWriter, WriteStopped};
use crate::time::Window;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rings that one import holds open, if the system lets it have as many files. A file with more interfaces than that closes and opens
/// them in turn.
pub const RINGS_OPEN_MAX: usize = 256;
/// Bytes of names and secrets that one import writes at most beyond what it reads of them: every ring has a copy of its own.
pub const COPIED_BYTES_MAX: u64 = 64 << 20;
/// Files that an open ring has at most, as a rule: its lock and its catalogue, the growing segments of its streams, one that is sealed.
const RING_FILES: u64 = 12;
/// Files that are open beside those of rings.
const OTHER_FILES: u64 = 64;

/// How often what was read is published while no block fills.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

pub(super) fn lock(rings: &Mutex<Rings>) -> MutexGuard<'_, Rings> {
    rings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A ring that is open.
struct Open {
    ring: RingWriter,
    /// Bytes of its segments.
    segment_bytes: u64,
    used: u64,
}

/// How many rings can be open at once. Asks the system for as many files as it lets us have.
fn open_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = OTHER_FILES + RINGS_OPEN_MAX as u64 * RING_FILES;
    let mut files = limit.current.unwrap_or(u64::MAX);
    let raised = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    if files < raised && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).is_ok() {
        files = raised;
    }
    (files.saturating_sub(OTHER_FILES) / RING_FILES).clamp(1, RINGS_OPEN_MAX as u64) as usize
}

/// How much of names and secrets was read and written.
#[derive(Default)]
pub(super) struct Copies {
    read: u64,
    written: u64,
    left_out: bool,
}

impl Copies {
    /// Counts what was read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    /// Counts what is to be written into one ring; `false` where that is too much.
    pub(super) fn may_write(&mut self, bytes: usize) -> bool {
        let written = self.written + bytes as u64;
        let may = written <= self.read.saturating_add(COPIED_BYTES_MAX);
        if may {
            self.written = written;
        }
        may
    }

    /// `true`, once: something was left out.
    pub(super) fn leave_out(&mut self) -> bool {
        !std::mem::replace(&mut self.left_out, true)
    }
}

/// The rings that an import writes.
pub(super) struct Rings {
    data: DataDir,
    options: Options,
    open: HashMap<String, Open>,
    open_max: usize,
    uses: u64,
    /// What was seen of the rings that are closed.
    runs: HashMap<String, Window>,
    copies: Copies,
    dropped: Dropped,
    failed: Option<RingWriteError>,
}

impl Rings {
    pub(super) fn new(data: &DataDir, options: &Options) -> Rings {
        Rings {
            data: data.clone(),
            options: options.clone(),
            open: HashMap::new(),
            open_max: open_max(),
            uses: 0,
            runs: HashMap::new(),
            copies: Copies::default(),
            dropped: Dropped::default(),
            failed: None,
        }
    }

    /// How much of names and secrets the rings have.
    pub(super) fn copies(&mut self) -> &mut Copies {
        &mut self.copies
    }

    pub(super) fn ring(&mut self, interface: &str) -> Result<&mut RingWriter, RingWriteError> {
        self.open(interface).map(|open| &mut open.ring)
    }

    fn open(&mut self, interface: &str) -> Result<&mut Open, RingWriteError> {
        self.uses += 1;
        let used = self.uses;
        if !self.open.contains_key(interface) {
            if self.open.len() >= self.open_max
                && let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.used).map(|(name, _)| name.clone())
                && let Some(open) = self.open.remove(&oldest)
            {
                let run = open.ring.run();
                self.dropped.add(&open.ring.finish()?);
                let seen = *run.lock().unwrap_or_else(PoisonError::into_inner);
                self.runs.extend(seen.map(|seen| (oldest, seen)));
            }
            let limits = self.options.retention;
            limits.check(self.data.path())?;
            let ring = RingWriter::open(&self.data, interface, (limits != Retention::default()).then_some(limits))?;
            *ring.run().lock().unwrap_or_else(PoisonError::into_inner) = self.runs.remove(interface);
            let segment_bytes = ring.segment_bytes(self.options.segment_bytes, 1);
            self.open.insert(interface.to_string(), Open { ring, segment_bytes, used });
        }
        let open = self.open.get_mut(interface).ok_or(RingWriteError::Panicked)?;
        open.used = used;
        Ok(open)
    }

    /// The writer of a stream whose file needs `reserve` bytes.
    fn stream(&mut self, interface: &str, stream: StreamId, reserve: u64) -> Result<&mut StreamWriter, RingWriteError> {
        let Open { ring, segment_bytes, .. } = self.open(interface)?;
        let (segment_bytes, reserve) = (*segment_bytes, reserve.min(*segment_bytes));
        Ok(ring.stream(
            stream,
            StreamOptions { segment_bytes, segment_flows: SEGMENT_FLOWS, imported: true, reserve, segment_age: None },
        ))
    }

    pub(super) fn append(
        &mut self,
        interface: &str,
        stream: StreamId,
        section: SectionId,
        packet: &Packet<'_>,
        reserve: u64,
    ) -> Result<(), RingWriteError> {
        let writer = self.stream(interface, stream, reserve)?;
        let appended = writer.set_section(section).and_then(|()| writer.append(packet));
        appended.or_else(|WriteStopped| self.stopped(interface))
    }

    /// Tells why a ring stopped.
    fn stopped(&mut self, interface: &str) -> Result<(), RingWriteError> {
        match self.open.remove(interface) {
            Some(open) => open.ring.finish().and(Err(RingWriteError::Panicked)),
            None => Err(RingWriteError::Panicked),
        }
    }

    /// Keeps a note, also of an interface without packets.
    pub(super) fn note(&mut self, interface: &str, stream: StreamId, note: Note, reserve: u64) -> Result<(), RingWriteError> {
        let noted = self.stream(interface, stream, reserve)?.note(note);
        noted.or_else(|WriteStopped| self.stopped(interface))
    }

    fn publish(&mut self) {
        let mut stopped = None;
        for (name, open) in &mut self.open {
            if open.ring.streams().any(|s| s.publish().is_err()) {
                stopped = Some(name.clone());
            }
        }
        if let Some(name) = stopped
            && let Err(e) = self.stopped(&name)
        {
            self.failed.get_or_insert(e);
        }
    }

    /// Finishes all rings and tells what was dropped.
    pub(super) fn finish(&mut self) -> Result<Dropped, RingWriteError> {
        let mut result = self.failed.take().map_or(Ok(()), Err);
        for (_, open) in self.open.drain() {
            match open.ring.finish() {
                Ok(dropped) => self.dropped.add(&dropped),
                Err(e) => result = result.and(Err(e)),
            }
        }
        result.map(|()| std::mem::take(&mut self.dropped))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::ring::snapshot::{ReadContext, RingReader};
    use crate::time::Timestamp;

    #[test]
    fn copies_of_names_and_secrets_are_bounded() {
        let mut copies = Copies::default();
        copies.read(1000);
        assert!(copies.may_write(COPIED_BYTES_MAX as usize) && copies.may_write(1000));
        assert!(!copies.may_write(1) && copies.leave_out() && !copies.leave_out());
        copies.read(1);
        assert!(copies.may_write(1));
    }

    #[test]
    fn a_ring_that_is_closed_in_between_and_one_of_two_streams_have_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(dir.path()).unwrap();
        let options = Options { interface: None, retention: Retention::default(), segment_bytes: 1 << 20 };
        let mut rings = Rings::new(&data, &options);
        rings.open_max = 2;
        for i in 0..18 {
            let link_type = if i < 9 { LinkType::ETHERNET } else { LinkType(101) };
            let packet = Packet { time: Timestamp::from_nanos((i + 1) << 32), original_length: 4, data: &[0; 4], options: &[] };
            let name = ["a", "b", "c"][i as usize % 3];
            rings.append(name, StreamId { fanout: 0, link_type }, SectionId::NONE, &packet, 1 << 20).unwrap();
        }
        rings.finish().unwrap();
        for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
            let reader = RingReader::open(&data, name, &ReadContext::default()).unwrap();
            let [from, to] = [1, 16].map(|n| Timestamp::from_nanos((i as u64 + n) << 32));
            assert_eq!(reader.captured(&Window::ALL).unwrap(), [Window { from, to: to.saturating_add(1) }]);
        }
    }
}
