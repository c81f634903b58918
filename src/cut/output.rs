//! A cut's bytes: pcapng with lazily described interfaces, or classic pcap.
//!
//! An interface has one block for each link type and description that its packets came with: sections of imported files that say the
//! same of it share one, so that a thousand files of one capture make one interface, and those that differ (another filter, another
//! host) each make their own, because an option of an interface block holds for all its packets. The blocks of one interface have
//! one name.

use super::coverage::Coverage;
use super::merge::Taken;
use crate::packet::LinkType;
use crate::pcap::block;
use crate::pcap::pcap_write::{pcap_header, pcap_record};
use crate::ring::ids::SectionId;
use crate::ring::sections::Section;
use crate::ring::snapshot::RingReader;
use crate::select::Selection;
use crate::time::Timestamp;
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
    numbers: HashMap<(usize, SectionId, LinkType), u32>,
    described: HashMap<(usize, LinkType, Digest), u32>,
    sections: HashSet<(usize, SectionId)>,
    blocks: HashSet<Digest>,
    start: Instant,
    /// When the first byte was handed on, from the request.
    pub first_byte: Option<Duration>,
    clamped: u64,
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
            numbers: HashMap::new(),
            described: HashMap::new(),
            sections: HashSet::new(),
            blocks: HashSet::new(),
            start,
            first_byte: None,
            clamped: 0,
        }
    }

    /// Writes a packet.
    pub fn packet(&mut self, taken: &Taken<'_>, ring: &RingReader) -> io::Result<()> {
        match self.format {
            Format::Pcap => self.clamped += u64::from(!pcap_record(&mut self.buffer, taken.packet)),
            Format::Pcapng => {
                let number = match self.numbers.get(&(taken.ring, taken.section, taken.link_type)) {
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
            section => ring.section(section)?,
        };
        let plain: &[u8] = &[];
        let options = if self.described.len() < DESCRIBED_MAX { section.description(taken.link_type) } else { plain };
        let key = (taken.ring, taken.link_type, Sha256::digest(options).into());
        let number = match self.described.get(&key) {
            Some(&number) => number,
            None => {
                let number = self.interfaces.len() as u32;
                block::interface_description(&mut self.buffer, taken.link_type, Some(ring.interface()), options);
                self.interfaces.push(Interface::default());
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
    pub fn finish(&mut self) -> io::Result<()> {
        if self.format == Format::Pcapng {
            if self.interfaces.is_empty() {
                // Readers want one interface, even of an empty capture.
                block::interface_description(&mut self.buffer, LinkType::ETHERNET, None, &[]);
            }
            for (number, i) in self.interfaces.iter().enumerate() {
                let mut options = Vec::new();
                let text = format!("{} packets, {} bytes in this cut", i.packets, i.bytes);
                block::option(&mut options, block::OPT_COMMENT, text.as_bytes());
                block::option(&mut options, block::ISB_USRDELIV, &i.packets.to_le_bytes());
                block::interface_statistics(&mut self.buffer, number as u32, i.last, &options);
            }
        }
        self.flush()?;
        self.out.flush()
    }
}

/// What is fixed before the first packet: the selection, and what the indexes tell, longest gaps first.
fn comment(selection: &Selection, coverage: &Coverage) -> String {
    let mut text = format!("taploop cut: {selection}");
    let mut reasons: Vec<_> = coverage.reasons.iter().collect();
    let length = |r: &super::coverage::Reason| r.to.unwrap_or(Timestamp::MAX).since(r.from.unwrap_or(Timestamp::ZERO));
    reasons.sort_by_key(|r| std::cmp::Reverse(length(r)));
    for reason in reasons {
        let line = format!("\n{reason}");
        if text.len() + line.len() > COMMENT_MAX {
            break;
        }
        text.push_str(&line);
    }
    let mut end = text.len().min(COMMENT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
