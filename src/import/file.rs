//! One capture file: which ring each of its packets goes to, and what its sections say beside packets.

use super::description::{common, description};
use super::rings::{COPIED_BYTES_MAX, Rings, lock};
use super::terms::{ImportError, Imported, Options, Progress};
use crate::packet::{LinkType, Packet};
use crate::pcap::limits::INTERFACES_BYTES_MAX;
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::{Record, SourceInterface};
use crate::ring::ids::{SectionId, StreamId};
use crate::ring::name::kept_name;
use crate::ring::note::{Note, NoteKind};
use crate::ring::sections::{SECTION_BYTES_MAX, Section};
use crate::time::{Timestamp, Window};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;

/// Packets between two reports of progress.
const PROGRESS_PACKETS: u32 = 4096;

/// How often interfaces that join others of their name and section are described anew; beyond that they are not.
const AGAIN_MAX: u32 = 64;

/// Bytes of a file, as they lie on the disk, in which a second interface is looked for before a nameless one gets its name.
const LOOK_AHEAD: u64 = 64 << 20;

/// Imports one file. What came before a damage or an error is kept.
pub(super) fn import_file(
    rings: &Mutex<Rings>,
    path: &Path,
    options: &Options,
    done: &mut Imported,
    progress: &mut dyn FnMut(&Progress),
    warn: &mut dyn FnMut(String),
) -> Result<(), ImportError> {
    let mut reader = CaptureReader::open(path)?;
    let name = reader.name().to_string();
    let reserve = reader.size().map_or(options.segment_bytes, |n| (n + n / 4 + (1 << 20)).min(options.segment_bytes));
    let mut file = ImportedFile {
        rings,
        options,
        done,
        stem: stem(path),
        // What comes through a pipe comes once.
        ahead: (reader.size().is_some() && reader.may_describe_more()).then_some(path),
        reserve,
        sources: Vec::new(),
        section: OpenSection::default(),
        described: 0,
        left_out: false,
        drops: HashMap::new(),
    };
    let mut since_told = 0;
    loop {
        let (position, size) = (reader.position(), reader.size());
        file.learn(reader.interfaces());
        let Some(record) = reader.next()? else { break };
        match record {
            Record::Section { options, .. } => {
                file.leave_out(&name, warn);
                file.section = OpenSection { options: options.to_vec(), ..OpenSection::default() };
            }
            Record::Packet { interface, packet, .. } => {
                if file.sources.len() <= interface as usize {
                    // Described in the same step as its first packet.
                    let (time, original_length) = (packet.time, packet.original_length);
                    let owned = (packet.data.to_vec(), packet.options.to_vec());
                    file.learn(reader.interfaces());
                    file.packet(interface, &Packet { time, original_length, data: &owned.0, options: &owned.1 })?;
                } else {
                    file.packet(interface, &packet)?;
                }
                since_told += 1;
                if since_told == PROGRESS_PACKETS {
                    since_told = 0;
                    progress(&Progress { file: name.clone(), position, size, packets: file.done.packets });
                }
            }
            Record::Auxiliary { block, .. } => {
                if !file.auxiliary(block)? {
                    let max = SECTION_BYTES_MAX >> 20;
                    warn(format!("{name}: more than {max} MiB of names and secrets in one section: further ones are left out"));
                }
            }
            Record::Statistics { interface, time, start, end, dropped_interface, dropped_os, .. } => {
                let window = Window { from: start.unwrap_or(Timestamp::ZERO), to: end.unwrap_or(time) };
                let counted = (dropped_os.unwrap_or(0), dropped_interface.unwrap_or(0));
                file.learn(reader.interfaces());
                file.drops(interface, window, counted)?;
            }
            Record::Damage(damage) => {
                file.done.damaged_files += 1;
                warn(format!("{name}: {damage}; what came before is kept"));
            }
        }
        if std::mem::take(&mut file.left_out) {
            let max = COPIED_BYTES_MAX >> 20;
            warn(format!("{name}: names and secrets for more rings than {max} MiB hold: further rings go without"));
        }
    }
    file.leave_out(&name, warn);
    done.clamped_times += reader.counters().clamped_times;
    done.files += 1;
    progress(&Progress { file: name, position: reader.position(), size: reader.size(), packets: done.packets });
    Ok(())
}

/// An interface of the file.
struct Source {
    /// The ring's interface; empty until a nameless one gets its name from the file.
    ring: String,
    link_type: LinkType,
    /// What the file says of it.
    options: Vec<u8>,
    /// The section of its ring that its packets go to, once it has one.
    section: Option<SectionId>,
}

impl Source {
    fn stream(&self) -> StreamId {
        StreamId { fanout: 0, link_type: self.link_type }
    }
}

/// The section of the file that is being read; one begins where the one before it ends.
#[derive(Default)]
struct OpenSection {
    /// Options of its header.
    options: Vec<u8>,
    /// Its name-resolution and secrets blocks so far, which go to every ring that gets packets of it.
    blocks: Vec<u8>,
    is_full: bool,
    /// The rings that its interfaces go to.
    rings: HashMap<String, Part>,
}

/// What of a file's section goes to one ring.
#[derive(Default)]
struct Part {
    /// Its interfaces, in the list over all sections.
    sources: Vec<usize>,
    /// The ring's section that it has become.
    id: Option<SectionId>,
    /// How often it began anew because another interface joined it.
    again: u32,
}

struct ImportedFile<'a> {
    rings: &'a Mutex<Rings>,
    options: &'a Options,
    done: &'a mut Imported,
    stem: String,
    /// The file, as long as it may be looked at for further interfaces.
    ahead: Option<&'a Path>,
    reserve: u64,
    sources: Vec<Source>,
    section: OpenSection,
    /// Bytes of descriptions that were written.
    described: usize,
    /// Names or secrets were left out, which was not said yet.
    left_out: bool,
    /// Drops counted so far, by the system and by the interface, of each interface.
    drops: HashMap<u32, (u64, u64)>,
}

impl ImportedFile<'_> {
    /// Takes in the interfaces that the reader has seen since; its records borrow it, so they are copied.
    fn learn(&mut self, interfaces: &[SourceInterface]) {
        for (number, interface) in interfaces.iter().enumerate().skip(self.sources.len()) {
            let own = interface.name.clone().filter(|n| !n.is_empty());
            let ring = self.options.interface.clone().or(own).map(|n| kept_name(&n).to_string()).unwrap_or_default();
            let options = interface.options.clone();
            self.sources.push(Source { ring, link_type: interface.link_type, options, section: None });
            self.join(number);
        }
    }

    /// Enters a source that has its ring's name into the section that is being read.
    fn join(&mut self, number: usize) {
        let source = &self.sources[number];
        if source.ring.is_empty() {
            return;
        }
        let part = self.section.rings.entry(source.ring.clone()).or_default();
        let like = |&i: &usize| self.sources[i].link_type == source.link_type && self.sources[i].options == source.options;
        if part.id.is_some() && part.again < AGAIN_MAX && !part.sources.iter().any(like) {
            // From here on fewer options hold for all packets, or there is another link type.
            part.id = None;
            part.again += 1;
            for &i in &part.sources {
                self.sources[i].section = None;
            }
        }
        part.sources.push(number);
    }

    /// A source, with its ring's name; a nameless one is called after the file, and has its number where the file has several, wherever
    /// they are described.
    fn source(&mut self, interface: u32) -> Option<&Source> {
        let number = interface as usize;
        let is_nameless = self.sources.get(number)?.ring.is_empty();
        let several = is_nameless && (self.sources.len() > 1 || self.ahead.take().is_some_and(has_several));
        let source = self.sources.get_mut(number)?;
        if is_nameless {
            let name = if several { format!("{}:{number}", self.stem) } else { self.stem.clone() };
            source.ring = kept_name(&name).to_string();
            self.join(number);
        }
        self.sources.get(number)
    }

    fn packet(&mut self, interface: u32, packet: &Packet<'_>) -> Result<(), ImportError> {
        let Some(source) = self.source(interface) else { return Ok(()) };
        let section = match source.section {
            Some(section) => section,
            None => self.begin_section(interface as usize)?,
        };
        let source = &self.sources[interface as usize];
        lock(self.rings).append(&source.ring, source.stream(), section, packet, self.reserve)?;
        self.done.packets += 1;
        self.done.bytes += packet.data.len() as u64;
        Ok(())
    }

    /// The section of a source's ring.
    fn begin_section(&mut self, interface: usize) -> Result<SectionId, ImportError> {
        let ring = self.sources[interface].ring.clone();
        let id = match self.section.rings.get(&ring).and_then(|part| part.id) {
            Some(id) => id,
            None => {
                let mut section = Section { descriptions: self.descriptions(&ring), blocks: Vec::new() };
                let mut rings = lock(self.rings);
                if rings.copies().may_write(self.section.blocks.len()) {
                    section.blocks.clone_from(&self.section.blocks);
                } else {
                    self.left_out |= rings.copies().leave_out();
                }
                let id = rings.ring(&ring)?.begin_section(&section)?;
                drop(rings);
                self.section.rings.entry(ring.clone()).or_default().id = Some(id);
                id
            }
        };
        self.sources[interface].section = Some(id);
        self.done.interfaces.insert(ring);
        Ok(id)
    }

    /// What holds for all packets of a ring in this section, by link type. What several interfaces of one name and link type say of
    /// themselves is kept as far as it is the same, because their packets can no longer be told apart.
    fn descriptions(&mut self, ring: &str) -> Vec<(LinkType, Vec<u8>)> {
        let Some(part) = self.section.rings.get(ring).filter(|part| part.again < AGAIN_MAX) else { return Vec::new() };
        let mut own: BTreeMap<LinkType, Vec<&[u8]>> = BTreeMap::new();
        for &i in &part.sources {
            own.entry(self.sources[i].link_type).or_default().push(&self.sources[i].options);
        }
        let mut descriptions = Vec::new();
        for (link_type, options) in own {
            let common = common(options.into_iter());
            // The section's options are written once an interface, so that a file of many interfaces could become much larger.
            let with_section = if self.described < INTERFACES_BYTES_MAX { &self.section.options[..] } else { &[] };
            let described = description(with_section, &common);
            self.described += described.len();
            descriptions.push((link_type, described));
        }
        descriptions
    }

    /// Keeps a name-resolution or secrets block. `false`, once: the section has too many.
    fn auxiliary(&mut self, block: &[u8]) -> Result<bool, ImportError> {
        let section = &mut self.section;
        if section.is_full || (section.blocks.len() + block.len()) as u64 > SECTION_BYTES_MAX {
            return Ok(std::mem::replace(&mut section.is_full, true));
        }
        section.blocks.extend_from_slice(block);
        let mut rings = lock(self.rings);
        rings.copies().read(block.len());
        for (ring, part) in &section.rings {
            let Some(id) = part.id else { continue };
            if rings.copies().may_write(block.len()) {
                rings.ring(ring)?.add_section_blocks(id, block)?;
            } else {
                self.left_out |= rings.copies().leave_out();
            }
        }
        Ok(true)
    }

    /// Says what is lost of a section that ends without packets.
    fn leave_out(&self, name: &str, warn: &mut dyn FnMut(String)) {
        if !self.section.blocks.is_empty() && self.section.rings.values().all(|part| part.id.is_none()) {
            warn(format!("{name}: names and secrets of a section without packets are left out"));
        }
    }

    /// Notes the packets that were dropped since the last time it was told; `window` is the stretch from the start of the capture.
    fn drops(&mut self, interface: u32, window: Window, counted: (u64, u64)) -> Result<(), ImportError> {
        let seen = self.drops.entry(interface).or_insert((0, 0));
        let (os, own) = (counted.0.saturating_sub(seen.0), counted.1.saturating_sub(seen.1));
        *seen = (seen.0 + os, seen.1 + own);
        let to = window.to.saturating_add(1);
        let note = Note { window: Window { from: window.from.min(to), to }, kind: NoteKind::Drops { os, interface: own } };
        if (os, own) != (0, 0)
            && let Some(source) = self.source(interface)
        {
            let (ring, stream) = (source.ring.clone(), source.stream());
            lock(self.rings).note(&ring, stream, note, self.reserve)?;
        }
        Ok(())
    }
}

/// Whether a file describes more than one interface, as far as it is looked into.
fn has_several(path: &Path) -> bool {
    let Ok(mut reader) = CaptureReader::open(path) else { return false };
    while reader.interfaces().len() < 2 && reader.position() < LOOK_AHEAD {
        // What is wrong with the file is told when it is imported.
        if !matches!(reader.next(), Ok(Some(_))) {
            break;
        }
    }
    reader.interfaces().len() > 1
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
