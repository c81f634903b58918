//! How packets leave: rings merged in time order, written as pcapng or pcap, with coverage.

pub mod ahead;
pub mod batch;
pub mod cold;
pub mod coverage;
mod error;
pub mod flows;
pub mod judges;
pub mod merge;
pub mod output;
mod planned;
pub mod source;
pub mod visit;

use crate::packet::LinkType;
use crate::ring::data::DataDir;
use crate::ring::facts::SegmentFacts;
use crate::ring::snapshot::{Held, ReadContext, RingError, RingReader};
use crate::select::{Expr, FilterError, Selection, check_filter, plan};
use coverage::{Coverage, Reason, ReasonKind};
use output::Output;

pub use error::CutError;
pub use output::Format;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What a cut cost.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Segments opened.
    pub segments_opened: u64,
    /// Bytes of indexes read.
    pub index_bytes: u64,
    /// Bytes of packet files read.
    pub packet_bytes: u64,
    /// Granules that they were read in.
    pub granules: u64,
    /// Packets judged.
    pub packets_judged: u64,
    /// From the request to the first byte handed on.
    pub time_to_first_byte: Duration,
    /// From the request to the last byte.
    pub total: Duration,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "segments opened: {}", self.segments_opened)?;
        writeln!(f, "index bytes read: {}", self.index_bytes)?;
        writeln!(f, "packet bytes read: {} in {} granules", self.packet_bytes, self.granules)?;
        writeln!(f, "packets judged: {}", self.packets_judged)?;
        writeln!(f, "time to first byte: {:.3} ms", self.time_to_first_byte.as_secs_f64() * 1e3)?;
        write!(f, "time in all: {:.3} ms", self.total.as_secs_f64() * 1e3)
    }
}

/// A finished cut.
#[derive(Debug)]
pub struct Outcome {
    /// What it rests on.
    pub coverage: Coverage,
    /// What it cost.
    pub stats: Stats,
    /// Packets written.
    pub packets: u64,
    /// The reader went away before the end.
    pub reader_gone: bool,
}

/// Rings as of one moment, with what they hold.
pub(crate) type Rings = Vec<(RingReader, Held)>;

/// The rings that a selection asks for, sorted by name.
pub(crate) fn open_rings(data: &DataDir, selection: &Selection, context: &ReadContext) -> Result<Rings, CutError> {
    let known = data.interfaces()?;
    if let Some(name) = selection.interfaces.iter().find(|i| !known.contains(i)) {
        return Err(CutError::UnknownInterface { name: name.clone(), known });
    }
    let mut rings = Vec::new();
    for name in known.iter().filter(|n| selection.includes_interface(n)) {
        let ring = RingReader::open(data, name, context)?;
        let held = ring.held()?;
        rings.push((ring, held));
    }
    Ok(rings)
}

/// Segments by the place of their ring, and their link types.
type Found = (Vec<(usize, SegmentFacts)>, Vec<LinkType>);

/// The segments with packets in the window, by ring, and their link types.
pub(crate) fn segments(selection: &Selection, rings: &Rings) -> Result<Found, RingError> {
    let mut found = Vec::new();
    let mut link_types = BTreeSet::new();
    for (i, (ring, held)) in rings.iter().enumerate() {
        let window = held.window(&selection.window);
        let mut touching = ring.segments_in(&window)?;
        touching.retain(|f| f.packets > 0 && window.touches(f.low, f.high));
        link_types.extend(touching.iter().map(|f| f.stream.link_type));
        ring.keep_candidates(&mut touching, |f, hosts| plan::may_hold(&selection.expr, f.stream.link_type, hosts));
        found.extend(touching.into_iter().map(|f| (i, f)));
    }
    Ok((found, link_types.into_iter().collect()))
}

fn check_filters(expr: &Expr) -> Result<(), FilterError> {
    match expr {
        Expr::Filter(text) => check_filter(text),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().try_for_each(check_filters),
        Expr::Not(part) => check_filters(part),
        Expr::All | Expr::Vlan(_) | Expr::Layer(_) => Ok(()),
    }
}

/// Whether the selection's limits leave no room for a packet after so many before it; coverage is told.
fn is_full(selection: &Selection, packets: u64, bytes: u64, taken: &merge::Taken<'_>, coverage: &mut Coverage) -> bool {
    let next = bytes.saturating_add(taken.packet.data.len() as u64);
    let full = selection.limit_packets.is_some_and(|n| packets >= n) || selection.limit_bytes.is_some_and(|n| next > n);
    if full {
        let detail = "as many packets or bytes as asked for were given".into();
        coverage.add(Reason {
            reason: ReasonKind::LimitReached,
            interface: String::new(),
            from: Some(taken.packet.time),
            to: None,
            bytes: None,
            detail,
        });
    }
    full
}

/// Writes the packets of a selection in order of time.
pub fn cut(data: &DataDir, selection: &Selection, format: Format, out: &mut dyn Write) -> Result<Outcome, CutError> {
    let start = Instant::now();
    check_filters(&selection.expr)?;
    let context = ReadContext::default();
    let rings = open_rings(data, selection, &context)?;
    let (segments, link_types) = segments(selection, &rings)?;
    let link_type = match format {
        Format::Pcap => planned::pcap_link_type(selection, &rings, &segments)?,
        Format::Pcapng => LinkType::ETHERNET,
    };
    let mut coverage = Coverage::begin(selection, &rings)?;
    let mut judges = merge::judges(selection, &rings, &link_types, &mut coverage)?;
    let mut output = Output::new(out, format, selection, &coverage, link_type, start);
    let (stats, broken) = merge::merge(selection, &rings, segments, &mut judges, &mut coverage, |taken, coverage| {
        let bytes = taken.packet.data.len() as u64;
        if is_full(selection, coverage.packets, coverage.bytes, taken, coverage) {
            return ControlFlow::Break(None);
        }
        coverage.packets += 1;
        coverage.bytes += bytes;
        coverage.truncated_packets += u64::from(taken.packet.is_truncated());
        coverage.interfaces[taken.ring].packets += 1;
        coverage.interfaces[taken.ring].bytes += bytes;
        match output.packet(taken, &rings[taken.ring].0) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(Some(e)),
        }
    });
    for (ring, e) in std::mem::take(&mut output.damaged) {
        coverage.add(Reason::of(&e, &rings[ring].0, None, None));
    }
    let written = match broken {
        Some(Some(e)) => Err(e),
        _ => output.finish(&coverage),
    };
    let reader_gone = match written {
        Ok(()) => false,
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => true,
        Err(e) => return Err(CutError::Write(e)),
    };
    if reader_gone {
        coverage.add(Reason {
            reason: ReasonKind::ReaderGone,
            interface: String::new(),
            from: None,
            to: None,
            bytes: None,
            detail: "whoever read the cut went away before its end; packets are counted that it may not have taken".into(),
        });
    }
    coverage.finish();
    let stats = Stats {
        segments_opened: stats.segments_opened,
        index_bytes: context.pages.bytes_read(),
        packet_bytes: stats.packet_bytes,
        granules: stats.granules,
        packets_judged: stats.packets_judged,
        time_to_first_byte: output.first_byte.unwrap_or_else(|| start.elapsed()),
        total: start.elapsed(),
    };
    Ok(Outcome { packets: coverage.packets, coverage, stats, reader_gone })
}

#[cfg(test)]
mod tests;
