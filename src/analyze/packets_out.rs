//! `--packets`: just the packets that carried chosen objects, with the set-up of their sessions, so that other programs find the same files.
//!
//! Of each connection that an object went over these are its packets from its first one to the end of the set-up that the open needed, and
//! from the open's request to its close. Of sessions with several channels they are all packets up to the close.

use super::ring::Plan;
use super::terms::{AnalyzeError, Found};
use crate::cut::visit::{Visited, visit};
use crate::packet::{LinkType, Packet};
use crate::pcap::block::{SHB_USERAPPL, enhanced_packet, interface_description, option, section_header};
use crate::pcap::reader::CaptureReader;
use crate::pcap::record::Record;
use crate::ring::data::DataDir;
use crate::time::{SECOND_NS, Timestamp, Window};
use crate::wire::{DatagramKey, Decoded, FlowKey, FragmentTable, datagram_of, decode};
use ahash::AHashMap;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Bytes that wait for a fragment to tell whether others that came before it are wanted. Default 4 MiB: fragments of a datagram are neighbours.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long a fragment waits for the others of its datagram.
const WAITING_NS_MAX: u64 = 30 * SECOND_NS;

/// Stretches of connections.
#[derive(Default)]
pub struct Stretches {
    by_key: AHashMap<FlowKey, Vec<Window>>,
}

impl Stretches {
    /// Those of an object.
    pub fn add(&mut self, found: &Found) {
        for (key, window) in &found.stretches {
            let known = self.by_key.entry(*key).or_default();
            known.push(*window);
            if known.len() >= 2 * JOIN_EVERY && known.len().is_multiple_of(JOIN_EVERY) {
                join(known);
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// In order, as they are asked for.
    fn joined(&self) -> Stretches {
        let mut by_key = self.by_key.clone();
        by_key.values_mut().for_each(join);
        Stretches { by_key }
    }

    fn has(&self, decoded: &Decoded, packet: &Packet<'_>) -> bool {
        let keys = decoded.layers.iter().filter_map(|layer| FlowKey::of(layer).map(|k| k.0));
        keys.filter_map(|key| self.by_key.get(&key)).any(|windows| {
            let next = windows.partition_point(|w| w.from <= packet.time);
            next.checked_sub(1).and_then(|i| windows.get(i)).is_some_and(|w| w.contains(packet.time))
        })
    }
}

/// So many stretches of a connection are joined now and then: files of one connection mostly follow one another.
const JOIN_EVERY: usize = 1024;

fn join(windows: &mut Vec<Window>) {
    windows.sort_by_key(|w| w.from);
    let mut kept: Vec<Window> = Vec::new();
    for w in windows.drain(..) {
        match kept.last_mut() {
            Some(last) if w.from <= last.to => last.to = last.to.max(w.to),
            _ => kept.push(w),
        }
    }
    *windows = kept;
}

/// Where the packets go.
struct Target<'a> {
    stretches: Stretches,
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    interfaces: Vec<(u64, LinkType)>,
    fragments: FragmentTable,
    decoded: Decoded,
    packets: u64,
    /// Fragments of which it is not known yet whether they are wanted, and whatever comes after the first of them.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

/// A packet's block that waits.
struct Waiting {
    block: Vec<u8>,
    time: Timestamp,
    /// The datagram that decides; `None` where it is wanted.
    of: Option<DatagramKey>,
}

impl<'a> Target<'a> {
    fn new(stretches: &Stretches, out: &'a mut dyn Write) -> Self {
        let (mut buffer, mut options) = (Vec::with_capacity(BUFFER), Vec::new());
        option(&mut options, SHB_USERAPPL, b"taploop");
        section_header(&mut buffer, &options);
        let (fragments, decoded, waiting) = (FragmentTable::new(), Decoded::default(), VecDeque::new());
        Target {
            stretches: stretches.joined(),
            out,
            buffer,
            interfaces: Vec::new(),
            fragments,
            decoded,
            packets: 0,
            waiting,
            waiting_bytes: 0,
        }
    }

    /// Takes a packet of an interface, which is told apart by `source`.
    fn packet(&mut self, source: u64, name: Option<&str>, link_type: LinkType, packet: &Packet<'_>) -> io::Result<()> {
        decode(link_type, packet.data, &mut self.decoded);
        self.fragments.resolve(&mut self.decoded, packet.time);
        let datagram = datagram_of(&self.decoded);
        let is_wanted = self.stretches.has(&self.decoded, packet);
        if let Some(datagram) = datagram.filter(|_| is_wanted) {
            self.waiting.iter_mut().filter(|w| w.of == Some(datagram)).for_each(|w| w.of = None);
        }
        let of = datagram.filter(|_| !is_wanted);
        if !is_wanted && of.is_none() {
            return self.decide(packet.time);
        }
        let known = self.interfaces.iter().position(|i| *i == (source, link_type));
        let interface = known.unwrap_or_else(|| {
            interface_description(&mut self.buffer, link_type, name, &[]);
            self.interfaces.push((source, link_type));
            self.interfaces.len() - 1
        });
        if of.is_none() && self.waiting.is_empty() {
            enhanced_packet(&mut self.buffer, interface as u32, packet);
            self.packets += 1;
            return self.write_full();
        }
        let mut block = Vec::new();
        enhanced_packet(&mut block, interface as u32, packet);
        self.waiting_bytes += block.len();
        self.waiting.push_back(Waiting { block, time: packet.time, of });
        self.decide(packet.time)
    }

    /// Writes what does not wait any more, and gives up what has waited for too long, or for too many.
    fn decide(&mut self, now: Timestamp) -> io::Result<()> {
        while let Some(first) = self.waiting.front() {
            let is_over = self.waiting_bytes > WAITING_BYTES_MAX || now.since(first.time) > WAITING_NS_MAX;
            if first.of.is_some() && !is_over {
                break;
            }
            let Some(first) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= first.block.len();
            if first.of.is_none() {
                self.buffer.extend_from_slice(&first.block);
                self.packets += 1;
                self.write_full()?;
            }
        }
        Ok(())
    }

    fn write_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.decide(Timestamp::MAX)?;
        self.out.write_all(&self.buffer)?;
        self.out.flush()?;
        Ok(self.packets)
    }
}

/// Writes those of capture files, and says how many there are.
pub fn write_of_files(files: &[PathBuf], stretches: &Stretches, out: &mut dyn Write) -> Result<u64, AnalyzeError> {
    let mut target = Target::new(stretches, out);
    for (i, path) in files.iter().enumerate() {
        let mut reader = CaptureReader::open(path)?;
        let mut link_types = Vec::new();
        loop {
            if link_types.len() != reader.interfaces().len() {
                link_types = reader.interfaces().iter().map(|i| i.link_type).collect();
            }
            match reader.next()? {
                None => break,
                Some(Record::Packet { interface, packet, .. }) => {
                    let Some(link_type) = link_types.get(interface as usize).copied() else { continue };
                    target
                        .packet((i as u64) << 32 | u64::from(interface), None, link_type, &packet)
                        .map_err(AnalyzeError::Write)?;
                }
                Some(_) => {}
            }
        }
    }
    target.finish().map_err(AnalyzeError::Write)
}

/// Writes those of a ring's selection, and says how many there are. `names` are those of its interfaces.
pub fn write_of_ring(
    data: &DataDir,
    plan: &Plan,
    names: &[String],
    stretches: &Stretches,
    out: &mut dyn Write,
) -> Result<u64, AnalyzeError> {
    let mut target = Target::new(stretches, out);
    let mut failed = None;
    let mut each = |visited: &Visited<'_>| {
        let name = names.get(visited.ring).map(String::as_str);
        match target.packet(visited.ring as u64, name, visited.link_type, visited.packet) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failed = Some(e);
                ControlFlow::Break(())
            }
        }
    };
    for read in &plan.reads {
        visit(data, read, &mut each)?;
    }
    match failed {
        Some(e) => Err(AnalyzeError::Write(e)),
        None => target.finish().map_err(AnalyzeError::Write),
    }
}
