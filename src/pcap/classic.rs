//! The records of a classic pcap file (draft-ietf-opsawg-pcap).

use super::classic_header::{self, Layout, Lengths};
use super::limits::packet_max;
use super::record::{Damage, Grouped, Record, SourceInterface};
use super::source::Source;
use crate::packet::Packet;
use crate::time::{SECOND_NS, Timestamp};
use std::io;

pub(super) struct Classic {
    layout: Layout,
    packet_max: u32,
    started: bool,
}

impl Classic {
    /// Reads the header. The inner error is a reason why the file cannot be read.
    pub(super) fn new(source: &mut Source, interfaces: &mut Vec<SourceInterface>) -> io::Result<Result<Self, String>> {
        let layout = match classic_header::read(source)? {
            Ok(layout) => layout,
            Err(reason) => return Ok(Err(reason)),
        };
        interfaces.push(SourceInterface {
            section: 0,
            link_type: layout.link_type,
            name: None,
            snap_length: layout.snap_length,
            options: Vec::new(),
        });
        Ok(Ok(Classic { layout, packet_max: packet_max(layout.link_type), started: false }))
    }

    pub(super) fn next<'a>(&mut self, source: &'a mut Source) -> io::Result<Option<Record<'a>>> {
        if !self.started {
            self.started = true;
            return Ok(Some(Record::Section { section: 0, options: &[] }));
        }
        let layout = &self.layout;
        if !source.has(layout.record_header)? {
            if source.at_hand().is_empty() && source.fault().is_none() {
                return Ok(None);
            }
            return Ok(Some(damage(source, source.why_ended(|| "file ends inside the header of a packet".to_owned()))));
        }
        let head = &source.at_hand()[..layout.record_header];
        let (seconds, fraction) = (layout.order.u32(head, 0), layout.order.u32(head, 4));
        let (first, second) = (layout.order.u32(head, 8), layout.order.u32(head, 12));
        let (captured, original) = match layout.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        };
        if captured > self.packet_max {
            let (size, max) = (Grouped(captured.into()), Grouped(self.packet_max.into()));
            return Ok(Some(damage(source, format!("packet of {size} bytes, more than the {max} that are allowed"))));
        }
        let total = layout.record_header + captured as usize;
        if !source.has(total)? {
            let size = Grouped(captured.into());
            return Ok(Some(damage(source, source.why_ended(|| format!("file ends inside a packet of {size} bytes")))));
        }
        // At most 2^32 s and 2^32 µs: this fits.
        let time = u64::from(seconds) * SECOND_NS + u64::from(fraction) * u64::from(layout.unit_ns);
        let padding = layout.padding.min(captured);
        let position = source.position();
        let record = source.take(total);
        let packet = Packet {
            time: Timestamp::from_nanos(time),
            original_length: original.saturating_sub(padding),
            data: &record[layout.record_header + padding as usize..],
            options: &[],
        };
        Ok(Some(Record::Packet { interface: 0, position, packet }))
    }
}

#[cold]
fn damage(source: &Source, reason: String) -> Record<'static> {
    Record::Damage(Damage { position: source.position(), compressed: source.is_compressed(), reason })
}
