//! Packets of a ring's selection. What the window alone does not tell is read from before it, and from after it until transfers end.

use super::joiner::Analysis;
use super::terms::{AnalyzeError, Origins, Progress};
use crate::cut::coverage::Coverage;
use crate::cut::flows::flows;
use crate::cut::visit::visit;
use crate::flow::{Input, PacketRef};
use crate::objects::export::Source;
use crate::ring::data::DataDir;
use crate::ring::ids::SegmentId;
use crate::select::{Expr, LayerExpr, Prefix, Selection};
use crate::time::{SECOND_NS, Timestamp, Window};
use crate::wire::parse_community_id;
use ahash::AHashMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// How far before the window the set-up of its sessions is looked for. 12 hours: a working day's session.
pub const LOOK_BACK_NS: u64 = 12 * 3600 * SECOND_NS;
/// How far behind the window transfers are followed to their end. 10 minutes.
pub const READ_ON_NS: u64 = 600 * SECOND_NS;
/// Flows that are looked up one by one. Of more, everything selected is read, and nothing beside it.
pub const FLOWS_MAX: usize = 2_000;

/// Port of Kerberos, whose tickets tell whose sessions are.
const PORT_KERBEROS: u16 = 88;

/// What is read for a selection: its own flows, also from before and after its window.
pub struct Plan {
    /// What is read.
    pub wide: Selection,
    /// What was asked for.
    pub asked: Selection,
    /// What the asked one rests on.
    pub coverage: Coverage,
    /// Some of the selection's packets are there.
    pub is_any: bool,
}

/// Looks up what a selection's flows are.
pub fn plan(data: &DataDir, asked: &Selection) -> Result<Plan, AnalyzeError> {
    let (found, coverage) = flows(data, asked)?;
    let (mut ids, mut clients) = (Vec::new(), BTreeSet::new());
    let is_limited = asked.limit_packets.is_some() || asked.limit_bytes.is_some();
    let is_open = !asked.from_given && !asked.to_given && asked.expr == Expr::All;
    for row in found.rows().take(FLOWS_MAX + 1) {
        let Some(digest) = row.community_id.as_deref().and_then(|id| parse_community_id(id).ok()) else { continue };
        ids.push(Expr::Layer(LayerExpr::CommunityId(digest)));
        clients.insert(row.a);
        clients.insert(row.b);
    }
    let is_any = !found.is_empty();
    if is_limited || is_open || ids.len() > FLOWS_MAX || ids.is_empty() {
        return Ok(Plan { wide: asked.clone(), asked: asked.clone(), coverage, is_any });
    }
    let tickets = clients.iter().map(|host| kerberos_of(*host));
    let expr = Expr::any_of(ids.into_iter().chain(tickets));
    let from = if asked.from_given { asked.window.from.saturating_sub(LOOK_BACK_NS) } else { asked.window.from };
    let to = if asked.to_given { asked.window.to.saturating_add(READ_ON_NS) } else { asked.window.to };
    let wide = Selection { window: Window { from, to }, expr, ..asked.clone() };
    Ok(Plan { wide, asked: asked.clone(), coverage, is_any })
}

fn kerberos_of(host: IpAddr) -> Expr {
    Expr::Layer(LayerExpr::And(vec![LayerExpr::Ip(Prefix::single(host)), LayerExpr::Port(PORT_KERBEROS)]))
}

/// Packets between two reports of progress.
const PROGRESS_PACKETS: u64 = 4096;

/// Reads a plan's packets into an analysis; says where they were.
pub fn analyze_ring(
    data: &DataDir,
    plan: &Plan,
    analysis: &mut Analysis<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Origins, AnalyzeError> {
    let (mut number, mut failed) = (0, None);
    // Segments by the place of their ring, in the order in which they were met.
    let (mut segments, mut known, mut last) = (Vec::new(), AHashMap::new(), (usize::MAX, SegmentId(0), 0));
    let mut done = 0;
    let (_, interfaces) = visit(data, &plan.wide, |visited| {
        number += 1;
        let packet = visited.packet;
        done += packet.data.len() as u64;
        let place = (visited.ring, visited.segment);
        if (last.0, last.1) != place {
            let source = *known.entry(place).or_insert_with(|| {
                segments.push(place);
                segments.len() as u32 - 1
            });
            last = (place.0, place.1, source);
        }
        let at = PacketRef { time: packet.time, number, source: last.2, position: visited.position };
        let input = Input { at, link_type: visited.link_type, data: packet.data, original_length: packet.original_length };
        if number.is_multiple_of(PROGRESS_PACKETS) {
            progress(&Progress { packets: number, done, of: None });
        }
        match analysis.packet(&input) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failed = Some(e);
                ControlFlow::Break(())
            }
        }
    })?;
    progress(&Progress { packets: number, done, of: None });
    if let Some(e) = failed {
        return Err(e);
    }
    let named = |(ring, segment): (usize, SegmentId)| {
        let interface = interfaces.get(ring).cloned().unwrap_or_default();
        Source::Segment { interface, segment: format!("{segment}.pcapng") }
    };
    let sources = segments.into_iter().map(named).collect();
    Ok(Origins { interfaces, sources })
}

/// Whether something that lasted from one time to another is of a window.
pub fn is_within(window: &Window, from: Timestamp, to: Timestamp) -> bool {
    window.touches(from.min(to), to.max(from))
}
