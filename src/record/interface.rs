//! One interface's recorder: its sources, its ring, and what becomes of both.

use super::desk::Desk;
use super::status::{InterfaceStatus, LinkState, State, write_state};
use super::stream::Stream;
use crate::capture::libpcap::Libpcap;
use crate::capture::packet_socket::PacketSocket;
use crate::capture::{CaptureError, Fanout, Options, Source};
use crate::ring::clock::Clock;
use crate::ring::data::{DataDir, Retention};
use crate::ring::ring_writer::{RingWriteError, RingWriter};
use crate::ring::writer::StreamOptions;
use crate::time::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The live segments of an interface are sealed early at so many flows, all that grow together: several are in memory at once, and a flood of
/// one-packet flows must not make them large.
const LIVE_FLOWS: usize = 150_000;
/// How often a ring that could not be written is opened again, and an interface that could not be listened to.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// So much ahead it is told when the streams end, that none is past it when it hears of it.
const END_AHEAD_NS: u64 = 10_000_000;
/// How often the state file is written.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether anything is to be done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How packets are taken from the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Packet sockets where the interface suits them, else libpcap.
    Auto,
    /// Packet sockets.
    PacketSocket,
    /// libpcap.
    Libpcap,
}

/// How an interface is recorded.
#[derive(Clone, Debug)]
pub struct InterfaceOptions {
    /// How it is listened to.
    pub capture: Options,
    /// By what means.
    pub backend: Backend,
    /// Streams that its packets are spread over.
    pub streams: u16,
    /// The ring's limits.
    pub retention: Retention,
    /// Bytes of a segment, at most.
    pub segment_bytes: u64,
    /// How long a segment grows, at most.
    pub segment_age: Duration,
}

/// Why recording ended.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The interface.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The ring, at the start.
    #[error(transparent)]
    Ring(#[from] RingWriteError),
    /// A thread of ours panicked: a bug.
    #[error("a recording thread stopped unexpectedly")]
    Panicked,
}

/// An interface that is listened to, and the ring that its packets go to.
pub struct Recorder {
    options: InterfaceOptions,
    sources: Sources,
    status: Arc<InterfaceStatus>,
    trouble: Arc<Mutex<Option<String>>>,
    /// It goes on being watched while the ring cannot be written.
    clock: Arc<Clock>,
    started: Timestamp,
    needs_capture_right: bool,
}

impl Recorder {
    /// Opens the sockets, which needs the right to capture.
    pub fn open(options: InterfaceOptions) -> Result<Recorder, CaptureError> {
        let (mut sources, libpcap) = open_sources(&options)?;
        let status = Arc::<InterfaceStatus>::default();
        for (i, source) in sources.iter_mut().enumerate() {
            status.set_link(i as u16, source.look()?.into());
        }
        Ok(Recorder {
            needs_capture_right: libpcap || options.streams > 1,
            options,
            sources,
            status,
            trouble: Arc::default(),
            clock: Arc::new(Clock::unproven()),
            started: Timestamp::now(),
        })
    }

    /// Whether it must keep the right to capture, to listen to an interface that comes back.
    pub fn needs_capture_right(&self) -> bool {
        self.needs_capture_right
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.options.capture.interface
    }

    /// With a ring of these limits.
    pub fn keeping(mut self, retention: Retention) -> Recorder {
        self.options.retention = retention;
        self
    }

    /// Starts recording in threads of its own, once the ring could be opened.
    pub fn start(self, data: &DataDir, stop: Arc<AtomicBool>) -> Result<Running, RecordError> {
        keep_freed_memory();
        let ring = open_ring(data, &self.options, &self.clock)?;
        let (status, trouble, interface) = (self.status.clone(), self.trouble.clone(), self.interface().to_string());
        let mut running =
            Running { interface, status, trouble, started: self.started, last: None, rate: (0.0, 0.0), thread: None };
        let data = data.clone();
        running.thread = Some(thread::spawn(move || self.run(&data, ring, &stop)));
        Ok(running)
    }

    fn run(mut self, data: &DataDir, ring: RingWriter, stop: &AtomicBool) -> Result<(), RecordError> {
        let desk = Arc::new(Desk::default());
        desk.open(ring.maker(), stream_options(&self.options, &ring));
        let mut open = Some(ring);
        let mut sources = std::mem::take(&mut self.sources);
        let ended = loop {
            match self.listen(data, &mut open, &desk, sources, stop) {
                Ok((_, None)) => break Ok(()),
                Ok((failed, Some(e))) => {
                    // The others go on meanwhile, and this one as soon as it can.
                    tracing::warn!(interface = self.interface(), "{e}");
                    self.tell(Some(e.to_string()));
                    let Some(again) = self.listen_again(failed, stop) else { break Err(e.into()) };
                    if open.is_some() {
                        self.tell(None);
                    }
                    sources = again;
                }
                Err(e) => break Err(e),
            }
        };
        if let Err(e) = &ended {
            self.tell(Some(e.to_string()));
        }
        desk.close();
        drop(desk);
        match open.map(RingWriter::finish) {
            Some(Err(e)) => ended.and(Err(e.into())),
            _ => ended,
        }
    }

    fn tell(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Records until it is to stop, or the interface cannot be listened to in this way any more; the sources, and why not.
    fn listen(
        &self,
        data: &DataDir,
        open: &mut Option<RingWriter>,
        desk: &Arc<Desk>,
        sources: Sources,
        stop: &AtomicBool,
    ) -> Result<(Sources, Option<CaptureError>), RecordError> {
        let mut threads: Vec<JoinHandle<_>> = Vec::new();
        // When they end, in nanoseconds since 1970: all at one moment, or the last stretch would lack what some no longer took.
        let streams_end = Arc::new(AtomicU64::new(u64::MAX));
        let sharers = sources.len() as u16;
        for (i, source) in sources.into_iter().enumerate() {
            let (desk, status, end) = (desk.clone(), self.status.clone(), streams_end.clone());
            let stream = Stream { source, fanout: (i as u16, sharers), desk, status, end };
            threads.push(thread::spawn(move || stream.run()));
        }
        while !stop.load(Ordering::Relaxed) && !threads.iter().any(JoinHandle::is_finished) {
            self.keep_ring_open(data, open, desk, stop);
        }
        streams_end.store(Timestamp::now().saturating_add(END_AHEAD_NS).as_nanos(), Ordering::Relaxed);
        let (mut sources, mut failed, mut panicked) = (Vec::new(), None, false);
        for thread in threads {
            match thread.join() {
                Ok((source, ended)) => {
                    sources.push(source);
                    failed = failed.or(ended.err());
                }
                Err(_) => panicked = true,
            }
        }
        if failed.is_some() {
            // Nobody listens, and who comes next may be fewer.
            (0..sharers).for_each(|i| self.status.set_link(i, if i == 0 { LinkState::Down } else { LinkState::Up }));
        }
        if panicked { Err(RecordError::Panicked) } else { Ok((sources, failed)) }
    }

    /// Opens the ring again where it could not be written; waits a little where it can.
    fn keep_ring_open(&self, data: &DataDir, open: &mut Option<RingWriter>, desk: &Desk, stop: &AtomicBool) {
        if open.is_some() {
            if !desk.wait_for_failure(LOOK_EVERY) {
                return;
            }
            if let Some(Err(e)) = open.take().map(RingWriter::finish) {
                tracing::warn!(interface = self.interface(), "{e}");
                self.tell(Some(e.to_string()));
            }
        }
        match open_ring(data, &self.options, &self.clock) {
            Ok(ring) => {
                desk.open(ring.maker(), stream_options(&self.options, &ring));
                *open = Some(ring);
                self.tell(None);
            }
            Err(e) => {
                self.tell(Some(e.to_string()));
                pause(stop);
            }
        }
    }

    /// Listens in the way that now suits the interface; `None` once it is to stop.
    fn listen_again(&self, mut failed: Sources, stop: &AtomicBool) -> Option<Sources> {
        loop {
            pause(stop);
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if PacketSocket::is_allowed() {
                // They would go on sharing the interface's packets.
                failed.clear();
                match open_sources(&self.options) {
                    Ok((sources, _)) => return Some(sources),
                    Err(e) => self.tell(Some(e.to_string())),
                }
            } else if !failed.is_empty() && failed.iter_mut().all(|source| source.look().is_ok()) {
                // Without rights there are only those, and they may do again.
                return Some(failed);
            }
        }
    }
}

type Sources = Vec<Box<dyn Source>>;

/// Opens the sockets; and whether libpcap does.
fn open_sources(options: &InterfaceOptions) -> Result<(Sources, bool), CaptureError> {
    let libpcap = match options.backend {
        Backend::Auto => !PacketSocket::suits(&options.capture.interface),
        Backend::PacketSocket => false,
        Backend::Libpcap => true,
    };
    let mut sources: Sources = Vec::new();
    if libpcap {
        sources.push(Box::new(Libpcap::open(options.capture.clone())?));
    } else {
        for i in 0..options.streams.max(1) {
            let fanout = (options.streams > 1).then(|| Fanout { group: fanout_group(), is_first: i == 0 });
            sources.push(Box::new(PacketSocket::open(Options { fanout, ..options.capture.clone() })?));
        }
    }
    let all_share = Timestamp::now();
    sources.iter_mut().for_each(|source| source.begin(all_share));
    Ok((sources, libpcap))
}

/// Waits before something is tried again.
fn pause(stop: &AtomicBool) {
    let until = Instant::now() + AGAIN_AFTER;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
    }
}

/// Has freed memory kept for what comes next. Each segment's index takes some MiB that are given up when it is sealed, and memory that the
/// kernel gives anew costs a fault a page: 0.03 s of CPU time per million packets where it was measured.
fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE: libc::c_int = 256 << 20;
        for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
            // SAFETY: it sets a number of the allocator's; where it does not take it, nothing changes.
            unsafe { libc::mallopt(parameter, LARGE) };
        }
    }
}

fn open_ring(data: &DataDir, options: &InterfaceOptions, clock: &Arc<Clock>) -> Result<RingWriter, RingWriteError> {
    options.retention.check(data.path())?;
    RingWriter::open_by(data, &options.capture.interface, Some(options.retention), clock.clone())
}

fn stream_options(options: &InterfaceOptions, ring: &RingWriter) -> StreamOptions {
    let streams = options.streams.max(1);
    let segment_bytes = ring.segment_bytes(options.segment_bytes, u64::from(streams));
    StreamOptions {
        segment_bytes,
        segment_flows: (LIVE_FLOWS / usize::from(streams)).max(1),
        imported: false,
        reserve: segment_bytes,
        segment_age: Some(options.segment_age),
    }
}

/// What this process counts its groups of sockets from. They must be no others' in the whole network namespace, so that those of
/// processes that were started one after another lie far apart.
fn fanout_group() -> u16 {
    (std::process::id() as u16).wrapping_mul(40_503)
}

/// An interface that is being recorded.
pub struct Running {
    interface: String,
    status: Arc<InterfaceStatus>,
    trouble: Arc<Mutex<Option<String>>>,
    started: Timestamp,
    last: Option<(Instant, u64, u64)>,
    rate: (f64, f64),
    thread: Option<JoinHandle<Result<(), RecordError>>>,
}

impl Running {
    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether recording has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What it has done so far. Rates are those since the last time, if that is a second ago.
    pub fn state(&mut self) -> State {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let status = &self.status;
        let (packets, bytes) = (get(&status.packets), get(&status.bytes));
        match self.last {
            Some((at, before, bytes_before)) => {
                let seconds = at.elapsed().as_secs_f64();
                if seconds >= STATE_EVERY.as_secs_f64() * 0.9 {
                    self.rate = ((packets - before) as f64 / seconds, (bytes - bytes_before) as f64 / seconds);
                    self.last = Some((Instant::now(), packets, bytes));
                }
            }
            None => self.last = Some((Instant::now(), packets, bytes)),
        }
        State {
            pid: std::process::id(),
            started: self.started,
            updated: Timestamp::now(),
            link: status.link(),
            packets,
            bytes,
            truncated_packets: get(&status.truncated),
            packets_per_second: self.rate.0,
            bytes_per_second: self.rate.1,
            kernel_drops: get(&status.kernel_drops),
            interface_drops: get(&status.interface_drops),
            unrecorded_packets: get(&status.unrecorded),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Writes what it has done so far where others find it.
    pub fn save(&self, data: &DataDir, state: &State) {
        // On a full disk others see the last one.
        if let Err(e) = write_state(data, &self.interface, state) {
            tracing::debug!(interface = self.interface, "its state cannot be written: {e}");
        }
    }

    /// Waits for the end, once it was told to stop.
    pub fn finish(&mut self) -> Result<(), RecordError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            _ => Err(RecordError::Panicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_share_an_interface_share_what_one_may_take() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open_or_create(dir.path()).unwrap();
        let retention = Retention { max_bytes: Some(64 << 20), ..Retention::default() };
        let capture = Options { interface: "eth0".into(), snaplen: 262_144, buffer: 0, filter: None, fanout: None };
        let options = |streams| InterfaceOptions {
            capture: capture.clone(),
            backend: Backend::PacketSocket,
            streams,
            retention,
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(300),
        };
        let ring = open_ring(&data, &options(1), &Arc::new(Clock::unproven())).unwrap();
        for streams in [1, 2, 16] {
            let each = stream_options(&options(streams), &ring);
            let n = u64::from(streams);
            assert!(each.segment_bytes * n <= 4 << 20 && each.reserve * n <= 4 << 20, "{streams}: {each:?}");
            assert!(each.segment_flows * usize::from(streams) <= LIVE_FLOWS, "{streams}: {each:?}");
        }
        ring.finish().unwrap();
    }
}
