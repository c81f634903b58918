//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng).

use super::block::{
    DECRYPTION_SECRETS, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, NAME_RESOLUTION, OBSOLETE_PACKET,
    SECTION_HEADER, SIMPLE_PACKET, padded,
};
use super::byte_order::ByteOrder;
use super::limits::{BLOCK_MAX, INTERFACE_OPTIONS_MAX, INTERFACES_BYTES_MAX, INTERFACES_MAX, PACKET_OPTIONS_MAX, packet_max};
use super::ng_parts;
use super::options::{self, OptionsOf};
use super::record::{AuxiliaryKind, Counters, Damage, Grouped, Record, SourceInterface};
use super::source::Source;
use super::time_unit::TimeUnit;
use crate::packet::Packet;
use crate::time::Timestamp;
use std::io;

/// The bytes of a block beside its body: type and length before it, length after it.
const FRAME: usize = 12;
/// `epb_dropcount`.
const EPB_DROPCOUNT: u16 = 4;

/// Whether a file that begins so is pcapng: the type of a section header block, which reads the same in both byte orders.
pub(super) fn is_magic(first: [u8; 4]) -> bool {
    u32::from_le_bytes(first) == SECTION_HEADER
}

/// The byte order of a section, by the magic number after its header's length.
fn byte_order(magic: &[u8]) -> Option<ByteOrder> {
    match magic {
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(ByteOrder::Little),
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(ByteOrder::Big),
        _ => None,
    }
}

pub(super) struct Ng {
    order: ByteOrder,
    sections: u32,
    /// How many interfaces the sections before this one describe.
    first_interface: usize,
    /// What is needed of each interface to read its packets, beside the list that callers see.
    meters: Vec<Meter>,
    interfaces_bytes: usize,
    /// Options or a block, brought to little-endian.
    converted: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Meter {
    unit: TimeUnit,
    packet_max: u32,
    snap_length: u32,
}

/// What a packet block says beside its bytes.
struct PacketHead {
    interface: u32,
    time: u64,
    captured: u32,
    original: u32,
    dropped: Option<u16>,
}

impl Ng {
    pub(super) fn new() -> Self {
        Ng {
            order: ByteOrder::Little,
            sections: 0,
            first_interface: 0,
            meters: Vec::new(),
            interfaces_bytes: 0,
            converted: Vec::new(),
        }
    }

    pub(super) fn next<'a>(
        &'a mut self,
        source: &'a mut Source,
        interfaces: &mut Vec<SourceInterface>,
        counters: &mut Counters,
    ) -> io::Result<Option<Record<'a>>> {
        loop {
            if !source.has(8)? {
                if source.at_hand().is_empty() && source.fault().is_none() {
                    return Ok(None);
                }
                return Ok(Some(damage(source, source.why_ended(|| "file ends inside the header of a block".to_owned()))));
            }
            let kind = self.order.u32(source.at_hand(), 0);
            if kind == SECTION_HEADER {
                if !source.has(FRAME)? {
                    return Ok(Some(damage(source, source.why_ended(|| "file ends inside a section header".to_owned()))));
                }
                let Some(order) = byte_order(&source.at_hand()[8..12]) else {
                    return Ok(Some(damage(source, "section header with an unknown byte-order magic".to_owned())));
                };
                self.order = order;
            }
            let total = self.order.u32(source.at_hand(), 4);
            let minimum = FRAME + least_body(kind);
            if !total.is_multiple_of(4) || (total as usize) < minimum {
                let reason = format!("{} with the impossible length {}", name(kind), Grouped(total.into()));
                return Ok(Some(damage(source, reason)));
            }
            if least_body(kind) == 0 && kind != NAME_RESOLUTION {
                if let Some(damage) = self.pass_over(source, kind, total)? {
                    return Ok(Some(damage));
                }
                continue;
            }
            if total > BLOCK_MAX {
                let (size, max) = (Grouped(total.into()), Grouped(BLOCK_MAX.into()));
                let reason = format!("{} of {size} bytes, more than the {max} that are allowed", name(kind));
                return Ok(Some(damage(source, reason)));
            }
            let length = total as usize;
            if !source.has(length)? {
                let reason = source.why_ended(|| self.ends_inside(source.at_hand(), kind, total));
                return Ok(Some(damage(source, reason)));
            }
            let end = self.order.u32(source.at_hand(), length - 4);
            if end != total {
                return Ok(Some(damage(source, lengths_disagree(kind, total, end))));
            }
            match kind {
                ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                    return self.packet(source, kind, length, counters).map(Some);
                }
                INTERFACE_STATISTICS => return self.statistics(source, length, counters).map(Some),
                SECTION_HEADER => return Ok(Some(self.section(source, length, counters))),
                NAME_RESOLUTION | DECRYPTION_SECRETS => {
                    if self.auxiliary(source, kind, length, counters) {
                        let names = kind == NAME_RESOLUTION;
                        let kind = if names { AuxiliaryKind::NameResolution } else { AuxiliaryKind::Secrets };
                        return Ok(Some(Record::Auxiliary { section: self.sections - 1, kind, block: &self.converted }));
                    }
                }
                _ => {
                    if let Some(damage) = self.interface(source, length, interfaces, counters) {
                        return Ok(Some(damage));
                    }
                }
            }
        }
    }

    /// Passes over a block that is not looked into.
    fn pass_over(&self, source: &mut Source, kind: u32, total: u32) -> io::Result<Option<Record<'static>>> {
        let (start, compressed) = (source.position(), source.is_compressed());
        let at_start = |reason| Some(Record::Damage(Damage { position: start, compressed, reason }));
        if !source.skip(u64::from(total) - 4)? || !source.has(4)? {
            return Ok(at_start(source.why_ended(|| self.ends_inside(&[], kind, total))));
        }
        let end = self.order.u32(source.take(4), 0);
        Ok(if end == total { None } else { at_start(lengths_disagree(kind, total, end)) })
    }

    /// Why a file that ends inside a block does so.
    fn ends_inside(&self, at_hand: &[u8], kind: u32, total: u32) -> String {
        let size = match kind {
            ENHANCED_PACKET | OBSOLETE_PACKET if at_hand.len() >= 24 => self.order.u32(at_hand, 20),
            SIMPLE_PACKET => total - 16,
            _ => return format!("file ends inside {} of {} bytes", name(kind), Grouped(total.into())),
        };
        format!("file ends inside a packet of {} bytes", Grouped(size.into()))
    }

    fn section(&mut self, source: &mut Source, length: usize, counters: &mut Counters) -> Record<'_> {
        let major = self.order.u16(source.at_hand(), 12);
        if major != 1 {
            return damage(source, format!("section of pcapng version {major}, which is not supported"));
        }
        let options = &source.take(length)[24..length - 4];
        self.converted.clear();
        let sound =
            options::convert(&mut self.converted, OptionsOf::Other, self.order, options, INTERFACE_OPTIONS_MAX, |_| false);
        counters.malformed_parts += u64::from(!sound);
        self.first_interface = self.meters.len();
        self.sections += 1;
        Record::Section { section: self.sections - 1, options: &self.converted }
    }

    fn interface(
        &mut self,
        source: &mut Source,
        length: usize,
        interfaces: &mut Vec<SourceInterface>,
        counters: &mut Counters,
    ) -> Option<Record<'static>> {
        if interfaces.len() == INTERFACES_MAX {
            return Some(damage(source, format!("more than {} interfaces", Grouped(INTERFACES_MAX as u64))));
        }
        let body = &source.at_hand()[8..length - 4];
        let described = ng_parts::interface(body, self.order, self.sections.saturating_sub(1));
        let interface = described.interface;
        let bytes = self.interfaces_bytes + interface.options.len() + interface.name.as_ref().map_or(0, String::len);
        if bytes > INTERFACES_BYTES_MAX {
            let max = Grouped(INTERFACES_BYTES_MAX as u64);
            return Some(damage(source, format!("interfaces with names and options of more than {max} bytes in all")));
        }
        self.interfaces_bytes = bytes;
        counters.malformed_parts += u64::from(!described.sound);
        let (packet_max, snap_length) = (packet_max(interface.link_type), interface.snap_length);
        self.meters.push(Meter { unit: described.unit, packet_max, snap_length });
        interfaces.push(interface);
        source.take(length);
        None
    }

    /// The index over all sections of an interface that a block of this section names, and what is known of it.
    #[inline]
    fn meter(&self, interface: u32) -> Result<(u32, Meter), String> {
        let index = self.first_interface + interface as usize;
        let undescribed = || format!("interface {interface} of section {} is not described", self.sections.saturating_sub(1));
        let meter = self.meters.get(index).ok_or_else(undescribed)?;
        Ok((index as u32, *meter)) // there are no more than INTERFACES_MAX
    }

    fn statistics(&self, source: &mut Source, length: usize, counters: &mut Counters) -> io::Result<Record<'static>> {
        let body = &source.at_hand()[8..length - 4];
        let (interface, meter) = match self.meter(self.order.u32(body, 0)) {
            Ok(known) => known,
            Err(reason) => return Ok(damage(source, reason)),
        };
        let (record, sound) = ng_parts::statistics(body, self.order, interface, meter.unit);
        counters.malformed_parts += u64::from(!sound);
        source.take(length);
        Ok(record)
    }

    /// Whether the block came out whole enough to be handed on.
    fn auxiliary(&mut self, source: &mut Source, kind: u32, length: usize, counters: &mut Counters) -> bool {
        let body = &source.take(length)[8..length - 4];
        self.converted.clear();
        let sound = match kind {
            NAME_RESOLUTION => Some(ng_parts::names(&mut self.converted, body, self.order)),
            _ => ng_parts::secrets(&mut self.converted, body, self.order),
        };
        counters.malformed_parts += u64::from(sound != Some(true));
        sound.is_some()
    }

    #[inline]
    fn packet<'a>(
        &'a mut self,
        source: &'a mut Source,
        kind: u32,
        length: usize,
        counters: &mut Counters,
    ) -> io::Result<Record<'a>> {
        let body = &source.at_hand()[8..length - 4];
        let (head, fixed) = match kind {
            ENHANCED_PACKET => (self.enhanced(body), 20),
            OBSOLETE_PACKET => (self.obsolete(body), 20),
            _ => (self.simple(body), 4),
        };
        let (interface, meter) = match self.meter(head.interface) {
            Ok(known) => known,
            Err(reason) => return Ok(damage(source, reason)),
        };
        let room = body.len() - fixed;
        let mut captured = head.captured as usize;
        if kind == SIMPLE_PACKET {
            let snap_length = if meter.snap_length == 0 { u32::MAX } else { meter.snap_length };
            captured = captured.min(snap_length as usize).min(room);
        }
        if captured > room || captured > meter.packet_max as usize {
            return Ok(damage(source, too_long(captured, room, meter.packet_max)));
        }
        let (time, clamped) = if kind == SIMPLE_PACKET { (Timestamp::ZERO, false) } else { meter.unit.timestamp(head.time) };
        counters.clamped_times += u64::from(clamped);
        let (order, converted) = (self.order, &mut self.converted);
        let position = source.position();
        let body = &source.take(length)[8..length - 4];
        let (data, after) = body[fixed..].split_at(captured);
        let options = if kind == SIMPLE_PACKET { &[] } else { &after[padded(captured) - captured..] };
        let options = if options.is_empty() && head.dropped.is_none() {
            options
        } else if order == ByteOrder::Little && head.dropped.is_none() {
            let (sound, whole) = options::sound_length(options, order, PACKET_OPTIONS_MAX);
            counters.malformed_parts += u64::from(!whole);
            &options[..sound]
        } else {
            converted.clear();
            let whole = options::convert(converted, OptionsOf::Packet, order, options, PACKET_OPTIONS_MAX - 12, |_| false);
            counters.malformed_parts += u64::from(!whole);
            if let Some(dropped) = head.dropped {
                options::append(
                    converted,
                    OptionsOf::Packet,
                    ByteOrder::Little,
                    EPB_DROPCOUNT,
                    &u64::from(dropped).to_le_bytes(),
                );
            }
            &converted[..]
        };
        let packet = Packet { time, original_length: head.original, data, options };
        Ok(Record::Packet { interface, position, packet })
    }

    #[inline]
    fn enhanced(&self, body: &[u8]) -> PacketHead {
        let order = self.order;
        PacketHead {
            interface: order.u32(body, 0),
            time: order.words(body, 4),
            captured: order.u32(body, 12),
            original: order.u32(body, 16),
            dropped: None,
        }
    }

    fn obsolete(&self, body: &[u8]) -> PacketHead {
        let dropped = Some(self.order.u16(body, 2)).filter(|&count| count != 0xffff);
        PacketHead { interface: self.order.u16(body, 0).into(), dropped, ..self.enhanced(body) }
    }

    fn simple(&self, body: &[u8]) -> PacketHead {
        let original = self.order.u32(body, 0);
        PacketHead { interface: 0, time: 0, captured: original, original, dropped: None }
    }
}

/// The least body of a block that is looked into, in bytes; 0 for the others and for name resolution.
const fn least_body(kind: u32) -> usize {
    match kind {
        SECTION_HEADER => 16,
        INTERFACE_DESCRIPTION | DECRYPTION_SECRETS => 8,
        ENHANCED_PACKET | OBSOLETE_PACKET => 20,
        SIMPLE_PACKET => 4,
        INTERFACE_STATISTICS => 12,
        _ => 0,
    }
}

fn name(kind: u32) -> String {
    let name = match kind {
        SECTION_HEADER => "section header",
        INTERFACE_DESCRIPTION => "interface description",
        ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => "packet block",
        NAME_RESOLUTION => "name resolution block",
        INTERFACE_STATISTICS => "interface statistics block",
        DECRYPTION_SECRETS => "decryption secrets block",
        _ => return format!("a block of type {kind:#x}"),
    };
    let article = if name.starts_with('i') { "an" } else { "a" };
    format!("{article} {name}")
}

fn lengths_disagree(kind: u32, start: u32, end: u32) -> String {
    let (start, end) = (Grouped(start.into()), Grouped(end.into()));
    format!("{} whose two lengths disagree: {start} bytes at its start, {end} at its end", name(kind))
}

#[cold]
fn too_long(captured: usize, room: usize, max: u32) -> String {
    let size = Grouped(captured as u64);
    if captured > room {
        format!("packet of {size} bytes in a block that has room for {}", Grouped(room as u64))
    } else {
        format!("packet of {size} bytes, more than the {} that are allowed", Grouped(max.into()))
    }
}

#[cold]
fn damage(source: &Source, reason: String) -> Record<'static> {
    Record::Damage(Damage { position: source.position(), compressed: source.is_compressed(), reason })
}
