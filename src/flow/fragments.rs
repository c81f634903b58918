//! IP fragments put together (RFC 791 3.2, RFC 8200 4.5). The first copy of a byte wins; a datagram is as complete as its captured bytes are.

use super::headers::Located;
use super::limits::Limits;
use super::terms::PacketRef;
use crate::packet::LinkType;
use crate::time::Timestamp;
use crate::wire::{Direction, KeyKind};
use std::collections::{HashMap, VecDeque};

/// The largest payload of a datagram (RFC 791 3.1, RFC 8200 4.5).
const DATAGRAM_MAX: usize = 65_535;
/// What a fragment costs besides its bytes, in bytes.
const FRAGMENT_COST: usize = 64;

/// What the fragments of one datagram share. The direction counts: ends choose identifications on their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct DatagramKey {
    a: [u8; 16],
    b: [u8; 16],
    forward: bool,
    vlan: u32,
    id: u32,
    protocol: u8,
    ip6: bool,
}

struct Waiting {
    /// Offset, bytes, true length, packet; sorted, without overlap.
    parts: Vec<(usize, Box<[u8]>, usize, PacketRef)>,
    /// IP header and unfragmentable part of the first fragment.
    header: Option<Box<[u8]>>,
    /// Of IPv6: where in that the number of the next header is to be changed, and to what.
    next_header: Option<(usize, u8)>,
    /// Length of the payload, once the last fragment is there.
    length: Option<usize>,
    since: Timestamp,
    cost: usize,
}

/// A datagram as if it had not been fragmented.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Whole {
    /// Raw IPv4 or IPv6.
    pub link_type: LinkType,
    /// The captured bytes up to the first that is not, from the IP header on.
    pub data: Vec<u8>,
    /// Its true length, in bytes.
    pub original_length: u32,
    /// In which packet the bytes from an offset of `data` on came; sorted.
    pub pieces: Vec<(usize, PacketRef)>,
}

/// What became of a fragment.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Others are missing.
    Waits,
    /// It was the last that was missing.
    Whole(Whole),
    /// It was dropped: by the name of a field of [`Limits`], or because it overlaps or cannot be.
    Dropped(&'static str),
}

/// The datagrams of which fragments wait.
#[derive(Default)]
pub(super) struct Fragments {
    waiting: HashMap<DatagramKey, Waiting, ahash::RandomState>,
    /// In the order of their first fragments; may hold keys that are gone.
    queue: VecDeque<(DatagramKey, Timestamp)>,
    cost: usize,
    /// Datagrams that made room for others.
    pub(super) dropped: u64,
}

impl Fragments {
    /// Takes a fragment in. `located` must have a part.
    pub(super) fn add(&mut self, data: &[u8], located: &Located, at: PacketRef, limits: &Limits) -> Outcome {
        self.expire(at.time, limits);
        let (body, key) = (&located.body, &located.key);
        let Some(part) = body.part else { return Outcome::Dropped("odd_fragment") };
        let end = part.offset + body.length;
        // All but the last are multiples of eight bytes long.
        if body.length == 0 || end > DATAGRAM_MAX || part.more && body.length % 8 != 0 {
            return Outcome::Dropped("odd_fragment");
        }
        let bytes = body.bytes(data);
        let datagram = DatagramKey {
            a: key.a,
            b: key.b,
            // Later fragments have no ports, so that only the addresses say which way they go.
            forward: key.a == key.b || (located.direction == Direction::AToB) == (key.a < key.b),
            vlan: key.vlan,
            id: part.id,
            protocol: body.protocol,
            ip6: key.kind() == KeyKind::Ip6,
        };
        let datagram = datagram.ordered();
        let cost = bytes.len() + FRAGMENT_COST;
        while self.cost + cost > limits.fragment_bytes {
            if !self.drop_oldest(Some(datagram)) {
                return Outcome::Dropped("fragment_bytes");
            }
        }
        if !self.waiting.contains_key(&datagram) {
            if self.waiting.len() >= limits.fragments {
                self.drop_oldest(None);
            }
            self.queue.push_back((datagram, at.time));
        }
        let waiting = self.waiting.entry(datagram).or_insert_with(|| Waiting {
            parts: Vec::new(),
            header: None,
            next_header: None,
            length: None,
            since: at.time,
            cost: 0,
        });
        let place = waiting.parts.partition_point(|p| p.0 < part.offset);
        let before = place.checked_sub(1).and_then(|i| waiting.parts.get(i)).map_or(0, |p| p.0 + p.2);
        let after = waiting.parts.get(place).map_or(usize::MAX, |p| p.0);
        let longer = waiting.length.is_some_and(|length| end > length || !part.more && end != length);
        if before > part.offset || after < end || longer {
            return Outcome::Dropped("overlapping_fragment");
        }
        waiting.parts.insert(place, (part.offset, bytes.into(), body.length, at));
        waiting.cost += cost;
        self.cost += cost;
        if !part.more {
            waiting.length = Some(end);
        }
        if part.offset == 0 {
            waiting.header = data.get(part.header.0..part.header.1).map(Into::into);
            waiting.next_header = part.next_header.map(|(place, number)| (place - part.header.0, number));
        }
        let mut reached = 0;
        let contiguous = waiting.parts.iter().all(|p| std::mem::replace(&mut reached, p.0 + p.2) == p.0);
        if !contiguous || waiting.length != Some(reached) {
            return Outcome::Waits;
        }
        match self.remove(&datagram).and_then(|w| join(w, datagram.ip6)) {
            Some(whole) => Outcome::Whole(whole),
            None => Outcome::Dropped("odd_fragment"),
        }
    }

    fn remove(&mut self, key: &DatagramKey) -> Option<Waiting> {
        let waiting = self.waiting.remove(key)?;
        self.cost -= waiting.cost;
        Some(waiting)
    }

    fn expire(&mut self, now: Timestamp, limits: &Limits) {
        while let Some(&(key, since)) = self.queue.front()
            && now.since(since) > limits.fragment_ns
        {
            self.queue.pop_front();
            if self.waiting.get(&key).is_some_and(|w| w.since == since) {
                self.remove(&key);
            }
        }
        // Keys of datagrams that became whole stay in the queue until their time is up, or until they are too many.
        if self.queue.len() > 2 * limits.fragments {
            let waiting = &self.waiting;
            self.queue.retain(|(key, since)| waiting.get(key).is_some_and(|w| w.since == *since));
        }
    }

    /// Whether one other than `but` could be dropped.
    fn drop_oldest(&mut self, but: Option<DatagramKey>) -> bool {
        while let Some((key, since)) = self.queue.pop_front() {
            if Some(key) == but {
                self.queue.push_front((key, since));
                return false;
            }
            if self.waiting.get(&key).is_some_and(|w| w.since == since) {
                self.remove(&key);
                self.dropped += 1;
                return true;
            }
        }
        false
    }
}

impl DatagramKey {
    /// With the lower address first: keys of first fragments are ordered by their ports, too.
    fn ordered(self) -> DatagramKey {
        if self.a <= self.b { self } else { DatagramKey { a: self.b, b: self.a, ..self } }
    }
}

fn join(waiting: Waiting, ip6: bool) -> Option<Whole> {
    let mut data = waiting.header?.into_vec();
    let length = waiting.length?;
    let original_length = u32::try_from(data.len() + length).ok()?;
    if ip6 {
        let (place, number) = waiting.next_header?;
        *data.get_mut(place)? = number;
        let payload = u16::try_from(data.len().checked_sub(40)? + length).ok()?;
        data.get_mut(4..6)?.copy_from_slice(&payload.to_be_bytes());
    } else {
        let total = u16::try_from(original_length).ok()?;
        data.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
        data.get_mut(6..8)?.copy_from_slice(&[0, 0]);
    }
    let mut pieces = Vec::with_capacity(waiting.parts.len());
    for (_, bytes, length, at) in &waiting.parts {
        pieces.push((if pieces.is_empty() { 0 } else { data.len() }, *at));
        data.extend_from_slice(bytes);
        if bytes.len() < *length {
            break;
        }
    }
    Some(Whole { link_type: LinkType(if ip6 { 229 } else { 228 }), data, original_length, pieces })
}
