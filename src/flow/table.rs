//! The connections of the moment, and when each is to be forgotten.

use super::connection::Connection;
use super::facts::Facts;
use super::handler::Interest;
use super::limits::Limits;
use super::stream::Streams;
use super::terms::Way;
use crate::time::{SECOND_NS, Timestamp};
use crate::wire::protocol::{TCP, UDP};
use crate::wire::{Direction, FlowKey};
use std::collections::{BTreeMap, HashMap};

/// How many void places the calendar may have besides one a connection, before it is made anew.
const VOID_MAX: usize = 4096;

/// A connection with its state.
pub(super) struct Entry {
    pub connection: Connection,
    /// The client is the key's `a`.
    client_is_a: bool,
    pub facts: Facts,
    /// Of TCP.
    pub streams: Option<Box<Streams>>,
    pub interest: Option<Interest>,
    /// The last packet's time.
    pub last: Timestamp,
    /// The second in whose bucket of the calendar it stands.
    due: u64,
    /// It stands among those that are to be woken.
    pub to_be_woken: bool,
    /// A SYN of the client that does not fit: where its answer comes, a new connection has begun.
    pub odd_syn: Option<u32>,
}

impl Entry {
    pub(super) fn new(connection: Connection, client_is_a: bool) -> Entry {
        let last = connection.first.time;
        let streams = (connection.protocol == TCP).then(Box::default);
        let facts = Facts { last, ..Facts::default() };
        Entry { connection, client_is_a, facts, streams, interest: None, last, due: 0, to_be_woken: false, odd_syn: None }
    }

    /// Which way what goes in this direction of the key goes.
    #[inline]
    pub(super) fn way(&self, direction: Direction) -> Way {
        if (direction == Direction::AToB) == self.client_is_a { Way::ToServer } else { Way::ToClient }
    }

    /// How long it is remembered after its last packet, in nanoseconds.
    fn idle_ns(&self, limits: &Limits) -> u64 {
        match self.connection.protocol {
            TCP if self.facts.is_over() => limits.closed_idle_ns,
            TCP if self.facts.is_established() => limits.tcp_idle_ns,
            TCP => limits.attempt_idle_ns,
            UDP => limits.udp_idle_ns,
            _ => limits.icmp_idle_ns,
        }
    }

    /// When it is to be forgotten.
    pub(super) fn ends(&self, limits: &Limits) -> Timestamp {
        self.last.saturating_add(self.idle_ns(limits))
    }
}

/// The number of a slot.
pub(super) type Slot = u32;

/// Connections by key, in slots that keep their place.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Entry>>>,
    free: Vec<Slot>,
    by_key: HashMap<FlowKey, Slot, ahash::RandomState>,
    /// By second: which slots may then be due. An entry stands in one bucket; where it has moved on, what is left in others is void.
    calendar: BTreeMap<u64, Vec<Slot>>,
    /// How many stand in it, void ones included.
    planned: usize,
    /// The first second of the calendar; later than all where it is empty.
    first_due: u64,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { first_due: u64::MAX, ..Table::default() }
    }

    #[inline]
    pub(super) fn find(&self, key: &FlowKey) -> Option<Slot> {
        self.by_key.get(key).copied()
    }

    #[inline]
    pub(super) fn entry(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    #[cfg(test)]
    pub(super) fn planned(&self) -> usize {
        self.planned
    }

    pub(super) fn insert(&mut self, entry: Entry, limits: &Limits) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        self.by_key.insert(entry.connection.key, slot);
        let ends = entry.ends(limits);
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(Box::new(entry));
        }
        self.plan(slot, ends);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Box<Entry>> {
        let entry = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        self.by_key.remove(&entry.connection.key);
        Some(entry)
    }

    fn plan(&mut self, slot: Slot, ends: Timestamp) {
        let due = ends.as_nanos() / SECOND_NS + 1;
        if let Some(entry) = self.entry(slot) {
            entry.due = due;
            self.calendar.entry(due).or_default().push(slot);
            self.planned += 1;
            self.first_due = self.first_due.min(due);
        }
        if self.planned > 2 * self.by_key.len() + VOID_MAX {
            self.replan();
        }
    }

    /// Drops what is void from the calendar.
    fn replan(&mut self) {
        self.calendar.clear();
        for (slot, entry) in (0..).zip(&self.slots) {
            if let Some(entry) = entry {
                self.calendar.entry(entry.due).or_default().push(slot);
            }
        }
        self.planned = self.by_key.len();
        self.first_due = self.calendar.first_key_value().map_or(u64::MAX, |(&due, _)| due);
    }

    /// The connection ends earlier than it was planned.
    pub(super) fn hasten(&mut self, slot: Slot, limits: &Limits) {
        let Some(entry) = self.entry(slot) else { return };
        let ends = entry.ends(limits);
        if ends.as_nanos() / SECOND_NS + 1 < entry.due {
            self.plan(slot, ends);
        }
    }

    /// One that is to be forgotten by `now`.
    #[inline]
    pub(super) fn due(&mut self, now: Timestamp, limits: &Limits) -> Option<Slot> {
        let second = now.as_nanos() / SECOND_NS;
        if self.first_due > second { None } else { self.next_due(second, limits) }
    }

    /// The one that would be forgotten first.
    pub(super) fn first(&mut self, limits: &Limits) -> Option<Slot> {
        self.next_due(u64::MAX - 1, limits)
    }

    #[cold]
    fn next_due(&mut self, second: u64, limits: &Limits) -> Option<Slot> {
        while self.first_due <= second {
            let Some(mut bucket) = self.calendar.first_entry() else {
                self.first_due = u64::MAX;
                return None;
            };
            let due = *bucket.key();
            self.first_due = due;
            if due > second {
                return None;
            }
            let Some(slot) = bucket.get_mut().pop() else {
                bucket.remove();
                self.first_due = self.calendar.first_key_value().map_or(u64::MAX, |(&due, _)| due);
                continue;
            };
            self.planned = self.planned.saturating_sub(1);
            let Some(entry) = self.entry(slot).filter(|e| e.due == due) else { continue };
            let ends = entry.ends(limits);
            if ends.as_nanos() / SECOND_NS < due {
                return Some(slot);
            }
            self.plan(slot, ends);
        }
        None
    }

    /// All that are left, in the order in which they began.
    pub(super) fn all(&self) -> Vec<Slot> {
        let mut all: Vec<_> = (0..).zip(&self.slots).filter_map(|(slot, e)| Some((e.as_ref()?.connection.id, slot))).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, slot)| slot).collect()
    }
}
