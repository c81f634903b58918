//! A cut's bytes: pcapng with lazily described interfaces, or classic pcap.
//!
//! An interface has one block for each link type and description that its packets came with: sections of imported files that say the
//! same of it share one, so that a thousand files of one capture make one interface, and those that differ (another filter, another
//! host) each make their own, because an option of an interface block holds for all its packets. The blocks of one interface have
//! one name.

use super::coverage::{Coverage, Reason, ReasonKind};
use super::merge::Taken;
use crate::packet::LinkType;
use crate::pcap::block;
use crate::pcap::pcap_write::{pcap_header, pcap_record};
use crate::ring::error::SegmentError;
use crate::ring::ids::SectionId;
use crate::ring::sections::Section;
use crate::ring::snapshot::RingReader;
use crate::select::Selection;
use crate::time::Timestamp;
use ahash::AHashMap;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The file format of a cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// pcapng, each packet on its own interface.
    Pcapng,
    /// Classic pcap in nanoseconds, of one link type.
    Pcap,
}

/// Bytes that are gathered before they are handed on.
const BUFFER: usize = 256 << 10;
/// Bytes of the section's comment, at most.
const COMMENT_MAX: usize = 65_535;

/// Interface blocks with descriptions that one cut has; the packets of further ones go without, so that memory stays bounded.
const DESCRIBED_MAX: usize = 10_000;

/// What was written already, by content.
type Digest = [u8; 32];

#[derive(Default)]
struct Interface {
    ring: Option<usize>,
    packets: u64,
    bytes: u64,
    last: Timestamp,
}

/// Writes one cut.
pub struct Output<'a> {
    out: &'a mut dyn Write,
    format: Format,
    buffer: Vec<u8>,
    /// By their numbers in the cut.
    interfaces: Vec<Interface>,
    numbers: AHashMap<(usize, SectionId, LinkType), u32>,
    described: HashMap<(usize, LinkType, Digest), u32>,
    sections: HashSet<(usize, SectionId)>,
    blocks: HashSet<Digest>,
    start: Instant,
    /// When the first byte was handed on, from the request.
    pub first_byte: Option<Duration>,
    /// What sections say and cannot be had, by the place of their ring.
    pub damaged: Vec<(usize, SegmentError)>,
}

impl<'a> Output<'a> {
    /// Begins a cut; nothing is handed on before the first packet or the end.
    pub fn new(
        out: &'a mut dyn Write,
        format: Format,
        selection: &Selection,
        coverage: &Coverage,
        link_type: LinkType,
        start: Instant,
    ) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER + (64 << 10));
        match format {
            Format::Pcap => pcap_header(&mut buffer, link_type),
            Format::Pcapng => {
                let mut options = Vec::new();
                block::option(&mut options, block::OPT_COMMENT, comment(selection, coverage).as_bytes());
                block::option(&mut options, block::SHB_USERAPPL, b"taploop");
                block::section_header(&mut buffer, &options);
            }
        }
        Output {
            out,
            format,
            buffer,
            interfaces: Vec::new(),
            numbers: AHashMap::new(),
            described: HashMap::new(),
            sections: HashSet::new(),
            blocks: HashSet::new(),
            start,
            first_byte: None,
            damaged: Vec::new(),
        }
    }

    /// Writes a packet.
    pub fn packet(&mut self, taken: &Taken<'_>, ring: &RingReader) -> io::Result<()> {
        match self.format {
            Format::Pcap if pcap_record(&mut self.buffer, taken.packet) => {}
            // The plan has seen to it that there are none.
            Format::Pcap => return Err(io::Error::other("a packet is later than pcap can say: use --format pcapng")),
            Format::Pcapng => {
                let key = (taken.ring, taken.section, taken.link_type);
                let number = match self.numbers.get(&key) {
                    Some(&number) => number,
                    None => self.begin_interface(taken, ring)?,
                };
                let interface = &mut self.interfaces[number as usize];
                interface.packets += 1;
                interface.bytes += taken.packet.data.len() as u64;
                interface.last = interface.last.max(taken.packet.time);
                block::enhanced_packet(&mut self.buffer, number, taken.packet);
            }
        }
        if self.buffer.len() >= BUFFER || self.first_byte.is_none() { self.flush() } else { Ok(()) }
    }

    /// Writes what a packet's section says, and gives the number of its interface.
    fn begin_interface(&mut self, taken: &Taken<'_>, ring: &RingReader) -> io::Result<u32> {
        let section = match taken.section {
            SectionId::NONE => Section::default(),
            section => ring.section(section).unwrap_or_else(|e| {
                self.damaged.push((taken.ring, e));
                Section::default()
            }),
        };
        let plain: &[u8] = &[];
        let options = if self.described.len() < DESCRIBED_MAX { section.description(taken.link_type) } else { plain };
        let key = (taken.ring, taken.link_type, Sha256::digest(options).into());
        let number = match self.described.get(&key) {
            Some(&number) => number,
            None => {
                let number = self.interfaces.len() as u32;
                block::interface_description(&mut self.buffer, taken.link_type, Some(ring.interface()), options);
                self.interfaces.push(Interface { ring: Some(taken.ring), ..Interface::default() });
                self.described.insert(key, number);
                number
            }
        };
        self.numbers.insert((taken.ring, taken.section, taken.link_type), number);
        // Interfaces of one section have its blocks in each of their rings.
        if self.sections.insert((taken.ring, taken.section))
            && !section.blocks.is_empty()
            && self.blocks.insert(Sha256::digest(&section.blocks).into())
        {
            self.buffer.extend_from_slice(&section.blocks);
        }
        Ok(number)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.first_byte.get_or_insert_with(|| self.start.elapsed());
        Ok(())
    }

    /// Writes what only the end knows.
    pub fn finish(&mut self, coverage: &Coverage) -> io::Result<()> {
        if self.format == Format::Pcapng {
            if self.interfaces.is_empty() {
                // Readers want one interface, even of an empty capture.
                block::interface_description(&mut self.buffer, LinkType::ETHERNET, None, &[]);
            }
            for (number, i) in self.interfaces.iter().enumerate() {
                let mut options = Vec::new();
                block::option(&mut options, block::OPT_COMMENT, closing(i, coverage).as_bytes());
                block::option(&mut options, block::ISB_USRDELIV, &i.packets.to_le_bytes());
                block::interface_statistics(&mut self.buffer, number as u32, i.last, &options);
            }
        }
        self.flush()?;
        self.out.flush()
    }
}

/// What only the end knows of an interface: its figures, and what could not be given.
fn closing(interface: &Interface, coverage: &Coverage) -> String {
    let mut text = format!("{} packets, {} bytes in this cut", interface.packets, interface.bytes);
    let name = interface.ring.and_then(|ring| coverage.interfaces.get(ring)).map_or("", |i| &i.interface);
    let late =
        |r: &&Reason| !is_gap(r.reason) && r.reason != ReasonKind::KernelDrops && (r.interface.is_empty() || r.interface == name);
    push_lines(&mut text, coverage.reasons.iter().filter(late).map(ToString::to_string));
    text
}

/// Whether a reason says that there are no packets because nobody captured any.
fn is_gap(reason: ReasonKind) -> bool {
    matches!(reason, ReasonKind::BeforeRing | ReasonKind::AfterRing | ReasonKind::NotCaptured)
}

/// What is fixed before the first packet: the selection, and what the indexes tell of the window, longest gaps first.
///
/// Whether a gap lies before all that is held, after it or inside is not said: that depends on what lies outside of the window, and a cut
/// does not. For the same reason interfaces that have nothing in the window are passed over unless they were asked for by name.
fn comment(selection: &Selection, coverage: &Coverage) -> String {
    let mut text = format!("taploop cut: {selection}");
    let speaks = |r: &&Reason| {
        let captured = coverage.interfaces.iter().any(|i| i.captured && i.interface == r.interface);
        !is_gap(r.reason) || captured || selection.interfaces.contains(&r.interface)
    };
    let mut reasons: Vec<&Reason> = coverage.reasons.iter().filter(speaks).collect();
    let length = |r: &&Reason| r.to.unwrap_or(Timestamp::MAX).since(r.from.unwrap_or(Timestamp::ZERO));
    reasons.sort_by_key(|r| std::cmp::Reverse(length(r)));
    let line = |r: &Reason| match is_gap(r.reason) {
        true => Reason { reason: ReasonKind::NotCaptured, detail: String::new(), ..r.clone() }.to_string(),
        false => r.to_string(),
    };
    push_lines(&mut text, reasons.into_iter().map(line));
    text
}

/// Adds lines while they fit into a comment.
fn push_lines(text: &mut String, lines: impl Iterator<Item = String>) {
    for line in lines {
        if text.len() + 1 + line.len() > COMMENT_MAX {
            break;
        }
        text.push('\n');
        text.push_str(&line);
    }
    let mut end = text.len().min(COMMENT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
