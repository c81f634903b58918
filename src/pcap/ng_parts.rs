//! Bodies of pcapng blocks: interface descriptions, statistics, names, secrets (draft-ietf-opsawg-pcapng, section 4).

use super::block::{
    self, DECRYPTION_SECRETS, IF_NAME, IF_TSOFFSET, IF_TSRESOL, ISB_ENDTIME, ISB_IFDROP, ISB_IFRECV, ISB_OSDROP, ISB_STARTTIME,
    NAME_RESOLUTION, padded,
};
use super::byte_order::ByteOrder;
use super::limits::{INTERFACE_OPTIONS_MAX, PACKET_OPTIONS_MAX};
use super::options::{self, OptionsOf};
use super::record::{Record, SourceInterface};
use super::time_unit::TimeUnit;
use crate::packet::LinkType;
use crate::time::Timestamp;
use std::ops::ControlFlow;

/// An interface description, with the unit of its times and whether its options were sound.
pub(super) struct Description {
    pub(super) interface: SourceInterface,
    pub(super) unit: TimeUnit,
    pub(super) sound: bool,
}

/// Reads the body of an interface description block, of 8 bytes at least.
pub(super) fn interface(body: &[u8], order: ByteOrder, section: u32) -> Description {
    let (mut name, mut resolution, mut offset) = (None, None, None);
    let options = &body[8..];
    options::walk(options, order, |code, value| {
        match (code, value) {
            (IF_NAME, _) => _ = name.get_or_insert(value),
            (IF_TSRESOL, [exponent, ..]) => _ = resolution.get_or_insert(*exponent),
            (IF_TSOFFSET, _) if value.len() == 8 => _ = offset.get_or_insert(order.u64(value, 0) as i64),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let mut kept = Vec::new();
    let left_out = |code| matches!(code, IF_NAME | IF_TSRESOL | IF_TSOFFSET);
    let sound = options::convert(&mut kept, OptionsOf::Interface, order, options, INTERFACE_OPTIONS_MAX, left_out);
    kept.shrink_to_fit();
    let name = name.map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()).filter(|name| !name.is_empty());
    let (link_type, snap_length) = (LinkType(order.u16(body, 0)), order.u32(body, 4));
    Description {
        interface: SourceInterface { section, link_type, name, snap_length, options: kept },
        unit: TimeUnit::new(resolution.unwrap_or(6), offset.unwrap_or(0)),
        sound,
    }
}

/// Reads the body of an interface statistics block, of 12 bytes at least. Also whether its options were sound.
pub(super) fn statistics(body: &[u8], order: ByteOrder, interface: u32, unit: TimeUnit) -> (Record<'static>, bool) {
    let at = |value| unit.timestamp(order.words(value, 0)).0;
    let (mut times, mut counts) = ([None::<Timestamp>; 2], [None; 3]);
    let sound = options::walk(&body[12..], order, |code, value| {
        if value.len() == 8 {
            match code {
                ISB_STARTTIME => _ = times[0].get_or_insert(at(value)),
                ISB_ENDTIME => _ = times[1].get_or_insert(at(value)),
                ISB_IFRECV => _ = counts[0].get_or_insert(order.u64(value, 0)),
                ISB_IFDROP => _ = counts[1].get_or_insert(order.u64(value, 0)),
                ISB_OSDROP => _ = counts[2].get_or_insert(order.u64(value, 0)),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    });
    let ([start, end], [received, dropped_interface, dropped_os]) = (times, counts);
    let time = unit.timestamp(order.words(body, 4)).0;
    (Record::Statistics { interface, time, start, end, received, dropped_interface, dropped_os }, sound)
}

/// Writes the body of a name resolution block as a little-endian block: all records that fit, then the options. Whether nothing was lost.
pub(super) fn names(out: &mut Vec<u8>, body: &[u8], order: ByteOrder) -> bool {
    let (mut records, mut at, mut sound) = (Vec::with_capacity(body.len()), 0, false);
    while body.len() - at >= 4 {
        let (kind, length) = (order.u16(body, at), usize::from(order.u16(body, at + 2)));
        let next = at + 4 + padded(length);
        if kind == 0 || next > body.len() {
            sound = kind == 0;
            at = if kind == 0 { next.min(body.len()) } else { body.len() };
            break;
        }
        // A record is laid out as an option is, and holds no integers.
        options::append(&mut records, OptionsOf::Other, ByteOrder::Little, kind, &body[at + 4..at + 4 + length]);
        at = next;
    }
    records.extend_from_slice(&[0; 4]); // nrb_record_end
    let (converted, options_sound) = other_options(&body[at..], order);
    block::block(out, NAME_RESOLUTION, &records, &converted);
    sound && options_sound
}

/// Writes the body of a decryption secrets block, of 8 bytes at least, as a little-endian block. `None` where the secrets do not fit in
/// it, else whether nothing was lost.
pub(super) fn secrets(out: &mut Vec<u8>, body: &[u8], order: ByteOrder) -> Option<bool> {
    let (kind, length) = (order.u32(body, 0), order.u32(body, 4) as usize);
    if length > body.len() - 8 {
        return None;
    }
    let mut head = Vec::with_capacity(8 + length);
    head.extend_from_slice(&kind.to_le_bytes());
    head.extend_from_slice(&(length as u32).to_le_bytes());
    head.extend_from_slice(&body[8..8 + length]);
    let (converted, sound) = other_options(&body[(8 + padded(length)).min(body.len())..], order);
    block::block(out, DECRYPTION_SECRETS, &head, &converted);
    Some(sound)
}

fn other_options(options: &[u8], order: ByteOrder) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let sound = options::convert(&mut out, OptionsOf::Other, order, options, PACKET_OPTIONS_MAX, |_| false);
    (out, sound)
}
