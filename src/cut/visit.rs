//! The packets of a selection handed to whoever reads them, instead of being written.

use super::coverage::Coverage;
use super::error::CutError;
use super::merge::{self, Taken};
use crate::packet::{LinkType, Packet};
use crate::ring::data::DataDir;
use crate::ring::ids::SegmentId;
use crate::ring::snapshot::ReadContext;
use crate::select::Selection;
use std::ops::ControlFlow;

/// One packet of a selection.
pub struct Visited<'a> {
    /// Which of the selection's interfaces, in the order of their names.
    pub ring: usize,
    /// Its link type.
    pub link_type: LinkType,
    /// The segment that it lies in: the packet file is called after it.
    pub segment: SegmentId,
    /// Where its block begins there, in bytes.
    pub position: u64,
    /// The packet.
    pub packet: &'a Packet<'a>,
}

/// Hands every packet of a selection on, in the order of a cut, until `each` breaks. Gives the coverage, as a cut has it, and the names of the
/// interfaces.
pub fn visit(
    data: &DataDir,
    selection: &Selection,
    mut each: impl FnMut(&Visited<'_>) -> ControlFlow<()>,
) -> Result<(Coverage, Vec<String>), CutError> {
    super::check_filters(&selection.expr)?;
    let context = ReadContext::default();
    let rings = super::open_rings(data, selection, &context)?;
    let (segments, link_types) = super::segments(selection, &rings)?;
    let mut coverage = Coverage::begin(selection, &rings)?;
    let mut judges = merge::judges(selection, &rings, &link_types, &mut coverage)?;
    merge::merge(selection, &rings, segments, &mut judges, &mut coverage, |taken, coverage| {
        if super::is_full(selection, coverage.packets, coverage.bytes, taken, coverage) {
            return ControlFlow::Break(());
        }
        coverage.packets += 1;
        coverage.bytes += taken.packet.data.len() as u64;
        let Taken { ring, link_type, segment, position, packet, .. } = *taken;
        each(&Visited { ring, link_type, segment, position, packet })
    });
    coverage.finish();
    Ok((coverage, rings.iter().map(|(ring, _)| ring.interface().to_string()).collect()))
}
