//! Capture files into rings: the one place that joins `pcap/` and `ring/`.

use crate::packet::{LinkType, Packet};
use crate::pcap::reader::{CaptureReader, OpenError, ReadError};
use crate::pcap::record::Record;
use crate::ring::data::{DataDir, Retention};
use crate::ring::ids::{SectionId, StreamId};
use crate::ring::name::kept_name;
use crate::ring::note::{Note, NoteKind};
use crate::ring::ring_writer::{RingWriteError, RingWriter};
use crate::ring::writer::{SEGMENT_BYTES, SEGMENT_FLOWS, StreamOptions, WriteStopped};
use crate::time::{Timestamp, Window};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rings that one import holds open. A file with more interfaces than that closes and opens them in turn.
pub const RINGS_OPEN_MAX: usize = 64;

/// How often what was read is published while no block fills.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// How to import.
#[derive(Clone, Debug)]
pub struct Options {
    /// One interface for all packets, whatever the files say.
    pub interface: Option<String>,
    /// Limits of the rings. Without any a ring keeps those it has; a new one keeps everything.
    pub retention: Retention,
    /// Bytes of a segment.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { interface: None, retention: Retention::default(), segment_bytes: SEGMENT_BYTES }
    }
}

/// How far an import has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The file being read.
    pub file: String,
    /// Bytes of it that were read.
    pub position: u64,
    /// Its bytes, if known.
    pub size: Option<u64>,
    /// Packets of all files so far.
    pub packets: u64,
}

/// What an import did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Packets of all files.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Files that were read.
    pub files: u64,
    /// Files that were read only up to a damage.
    pub damaged_files: u64,
    /// Times out of range that were clamped.
    pub clamped_times: u64,
    /// The interfaces that got packets.
    pub interfaces: BTreeSet<String>,
    /// Files that could not be read as captures, or whose disk would not give them to their end, and why. They do not keep the others out.
    pub refused: Vec<ImportError>,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read as a capture.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading a file failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing a ring failed.
    #[error(transparent)]
    Write(#[from] RingWriteError),
}

impl ImportError {
    /// Whether the request is at fault: a file that is not there or no capture.
    pub fn is_request(&self) -> bool {
        match self {
            ImportError::Open(OpenError::Io { source, .. }) => source.kind() == std::io::ErrorKind::NotFound,
            ImportError::Open(_) => true,
            ImportError::Read(_) | ImportError::Write(_) => false,
        }
    }
}

/// Imports files in turn. What came before a damage or an error is kept, and a file that cannot be read does not stop the others.
pub fn import(
    data: &DataDir,
    files: &[PathBuf],
    options: &Options,
    progress: &mut dyn FnMut(&Progress),
    warn: &mut dyn FnMut(String),
) -> Result<Imported, ImportError> {
    let rings =
        Arc::new(Mutex::new(Rings { data: data.clone(), options: options.clone(), open: HashMap::new(), uses: 0, failed: None }));
    let ticker = Ticker::start(rings.clone());
    let mut done = Imported::default();
    // A ring that is named is opened at once, so that what a killed writer left in it is mended even if no packet comes.
    let mut result = options
        .interface
        .as_deref()
        .map_or(Ok(()), |name| lock(&rings).ring(&kept_name(name)).map(|_| ()).map_err(ImportError::from));
    for file in files {
        if result.is_err() {
            break;
        }
        match import_file(&rings, file, options, &mut done, progress, warn) {
            Err(e @ (ImportError::Open(_) | ImportError::Read(_))) => done.refused.push(e),
            other => result = other,
        }
    }
    drop(ticker);
    let closed = lock(&rings).finish();
    // A disk that failed is the cause of whatever else went wrong.
    closed?;
    result.map(|()| done)
}

fn import_file(
    rings: &Mutex<Rings>,
    file: &Path,
    options: &Options,
    done: &mut Imported,
    progress: &mut dyn FnMut(&Progress),
    warn: &mut dyn FnMut(String),
) -> Result<(), ImportError> {
    let mut reader = CaptureReader::open(file)?;
    let name = reader.name().to_string();
    let stem = stem(file);
    let reserve = reader.size().map_or(options.segment_bytes, |n| (n + n / 4 + (1 << 20)).min(options.segment_bytes));
    let mut sources: Vec<Source> = Vec::new();
    let mut sections: HashMap<(u32, String), SectionId> = HashMap::new();
    let mut waiting: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut drops: HashMap<u32, (u64, u64)> = HashMap::new();
    let mut since_told = 0_u32;
    loop {
        let position = reader.position();
        let size = reader.size();
        refresh(&mut sources, &reader, options);
        let Some(record) = reader.next()? else { break };
        match record {
            Record::Section(_) => {}
            Record::Packet { interface, packet } => {
                if sources.len() <= interface as usize {
                    // Described in the same step as its first packet: classic pcap.
                    let (time, original_length) = (packet.time, packet.original_length);
                    let owned = (packet.data.to_vec(), packet.options.to_vec());
                    refresh(&mut sources, &reader, options);
                    let packet = Packet { time, original_length, data: &owned.0, options: &owned.1 };
                    put(rings, &mut sources, &mut sections, &mut waiting, interface, &packet, &stem, reserve, done)?;
                } else {
                    put(rings, &mut sources, &mut sections, &mut waiting, interface, &packet, &stem, reserve, done)?;
                }
                since_told += 1;
                if since_told == 4096 {
                    since_told = 0;
                    progress(&Progress { file: name.clone(), position, size, packets: done.packets });
                }
            }
            Record::Auxiliary { section, block, .. } => {
                waiting.push((section, block.to_vec()));
                flush_auxiliary(rings, &mut waiting, &sections)?;
            }
            Record::Statistics { interface, time, start, end, dropped_interface, dropped_os, .. } => {
                let seen = drops.entry(interface).or_insert((0, 0));
                let os = dropped_os.unwrap_or(0).saturating_sub(seen.0);
                let own = dropped_interface.unwrap_or(0).saturating_sub(seen.1);
                *seen = (seen.0 + os, seen.1 + own);
                if os + own > 0 {
                    let to = end.unwrap_or(time).saturating_add(1);
                    let window = Window { from: start.unwrap_or(Timestamp::ZERO).min(to), to };
                    let note = Note { window, kind: NoteKind::Drops { os, interface: own } };
                    if let Some(source) = sources.get(interface as usize) {
                        lock(rings).note(&source.ring, source.stream(), note);
                    }
                }
            }
            Record::Damage(damage) => {
                done.damaged_files += 1;
                warn(format!("{name}: {damage}; what came before is kept"));
            }
        }
    }
    let counters = reader.counters();
    done.clamped_times += counters.clamped_times;
    done.files += 1;
    progress(&Progress { file: name.clone(), position: reader.position(), size: reader.size(), packets: done.packets });
    if !waiting.is_empty() {
        warn(format!(
            "{name}: {} name-resolution or secrets blocks belong to sections without packets and are left out",
            waiting.len()
        ));
    }
    Ok(())
}

struct Source {
    /// The ring's interface; empty until a nameless one gets its name from the file.
    ring: String,
    link_type: LinkType,
    section: u32,
    nameless: bool,
    number: usize,
}

impl Source {
    fn stream(&self) -> StreamId {
        StreamId { fanout: 0, link_type: self.link_type }
    }
}

/// Takes in the interfaces that the reader has seen since; its records borrow it, so they are copied.
fn refresh(sources: &mut Vec<Source>, reader: &CaptureReader, options: &Options) {
    for (number, interface) in reader.interfaces().iter().enumerate().skip(sources.len()) {
        let own = interface.name.clone().filter(|n| !n.is_empty());
        let nameless = options.interface.is_none() && own.is_none();
        let ring = options.interface.clone().or(own).map(|n| kept_name(&n).to_string()).unwrap_or_default();
        sources.push(Source { ring, link_type: interface.link_type, section: interface.section, nameless, number });
    }
}

#[allow(clippy::too_many_arguments, reason = "one step of the loop above, split out for its two callers")]
fn put(
    rings: &Mutex<Rings>,
    sources: &mut [Source],
    sections: &mut HashMap<(u32, String), SectionId>,
    waiting: &mut Vec<(u32, Vec<u8>)>,
    interface: u32,
    packet: &Packet<'_>,
    stem: &str,
    reserve: u64,
    done: &mut Imported,
) -> Result<(), ImportError> {
    let several = sources.len() > 1;
    let Some(source) = sources.get_mut(interface as usize) else { return Ok(()) };
    if source.nameless && source.ring.is_empty() {
        let name = if several { format!("{stem}:{}", source.number) } else { stem.to_string() };
        source.ring = kept_name(&name).to_string();
    }
    let mut open = lock(rings);
    let key = (source.section, source.ring.clone());
    let section = match sections.get(&key) {
        Some(&section) => section,
        None => {
            let section = open.ring(&source.ring)?.begin_section();
            sections.insert(key, section);
            if !waiting.is_empty() {
                drop(open);
                flush_auxiliary(rings, waiting, sections)?;
                open = lock(rings);
            }
            section
        }
    };
    if !done.interfaces.contains(&source.ring) {
        done.interfaces.insert(source.ring.clone());
    }
    open.append(&source.ring, source.stream(), section, packet, reserve)?;
    done.packets += 1;
    done.bytes += packet.data.len() as u64;
    Ok(())
}

/// Hands blocks to the sections whose packets have shown which rings they go to; the others wait.
fn flush_auxiliary(
    rings: &Mutex<Rings>,
    waiting: &mut Vec<(u32, Vec<u8>)>,
    sections: &HashMap<(u32, String), SectionId>,
) -> Result<(), ImportError> {
    let mut open = lock(rings);
    let mut left = Vec::new();
    for (section, block) in waiting.drain(..) {
        let mut kept = false;
        for ((of, ring), id) in sections {
            if *of == section {
                open.ring(ring)?.add_section_block(*id, &block)?;
                kept = true;
            }
        }
        if !kept {
            left.push((section, block));
        }
    }
    *waiting = left;
    Ok(())
}

fn lock(rings: &Mutex<Rings>) -> MutexGuard<'_, Rings> {
    rings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rings that an import writes.
struct Rings {
    data: DataDir,
    options: Options,
    open: HashMap<String, (RingWriter, u64)>,
    uses: u64,
    failed: Option<RingWriteError>,
}

impl Rings {
    fn ring(&mut self, interface: &str) -> Result<&mut RingWriter, RingWriteError> {
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

    fn append(
        &mut self,
        interface: &str,
        stream: StreamId,
        section: SectionId,
        packet: &Packet<'_>,
        reserve: u64,
    ) -> Result<(), RingWriteError> {
        let max = self.options.retention.max_bytes.map_or(u64::MAX, |m| (m / 16).max(4096));
        let segment_bytes = self.options.segment_bytes.min(max);
        let options =
            StreamOptions { segment_bytes, segment_flows: SEGMENT_FLOWS, imported: true, reserve: reserve.min(segment_bytes) };
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

    fn note(&mut self, interface: &str, stream: StreamId, note: Note) {
        if let Some((ring, _)) = self.open.get_mut(interface) {
            let options = StreamOptions {
                segment_bytes: self.options.segment_bytes,
                segment_flows: SEGMENT_FLOWS,
                imported: true,
                reserve: 0,
            };
            ring.stream(stream, options).note(note);
        }
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

    fn finish(&mut self) -> Result<(), RingWriteError> {
        let mut result = self.failed.take().map_or(Ok(()), Err);
        for (_, (ring, _)) in self.open.drain() {
            result = result.and(ring.finish());
        }
        result
    }
}

/// Publishes what was read while the next packet lets itself be waited for.
struct Ticker {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(rings: Arc<Mutex<Rings>>) -> Ticker {
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

/// A file's name without compression's and one other extension: the interface of nameless packets.
fn stem(file: &Path) -> String {
    if file == Path::new("-") {
        return "stdin".into();
    }
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = [".gz", ".zst"].iter().find_map(|x| name.strip_suffix(x)).unwrap_or(&name);
    match plain.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_string(),
        _ => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_lose_their_extensions() {
        for (file, want) in
            [("a/b.pcap", "b"), ("b.pcap.gz", "b"), ("-", "stdin"), (".pcap", ".pcap"), ("x.pcapng.1", "x.pcapng")]
        {
            assert_eq!(stem(Path::new(file)), want);
        }
    }
}
