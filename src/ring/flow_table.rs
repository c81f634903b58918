//! Flow numbers by the hash of their keys: an open table whose slots can be fetched ahead of the look-up.

use super::draft::FlowNumber;
use crate::prefetch::prefetch;

/// No number has this slot.
const EMPTY: u64 = u64::MAX;
/// Slots of a new table.
const SLOTS_MIN: usize = 1024;

/// See the module. Whoever asks hashes, with a hash that is keyed, and compares keys.
#[derive(Default)]
pub(super) struct FlowTable {
    /// The upper half of the hash, and the number. At most half of them are taken.
    slots: Vec<u64>,
    len: usize,
}

impl FlowTable {
    /// How many numbers.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.len = 0;
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// Has the slot of a hash fetched.
    pub(super) fn prefetch(&self, hash: u64) {
        if !self.slots.is_empty() {
            prefetch(&self.slots[self.home(hash)]);
        }
    }

    /// The number of this hash that `is_it` says yes to.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(FlowNumber) -> bool) -> Option<FlowNumber> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            let number = FlowNumber(slot as u32);
            if slot >> 32 == hash >> 32 && is_it(number) {
                return Some(number);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a number that is not there yet; `hash_of` hashes those that are.
    pub(super) fn insert(&mut self, hash: u64, number: FlowNumber, hash_of: impl Fn(FlowNumber) -> u64) {
        if 2 * (self.len + 1) > self.slots.len() {
            let slots = vec![EMPTY; (2 * self.slots.len()).max(SLOTS_MIN)];
            let old = std::mem::replace(&mut self.slots, slots);
            for number in old.into_iter().filter(|s| *s != EMPTY).map(|s| FlowNumber(s as u32)) {
                self.put(hash_of(number), number);
            }
        }
        self.put(hash, number);
        self.len += 1;
    }

    fn put(&mut self, hash: u64, number: FlowNumber) {
        let mut at = self.home(hash);
        while self.slots[at] != EMPTY {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = hash >> 32 << 32 | u64::from(number.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_is_a_map(keys in proptest::collection::vec((0..400_u64, any::<bool>()), 1..3000)) {
            // Few hashes, so that many numbers share one and its slot.
            let hash = |key: u64| ((key % 37) << 32) | (key % 11);
            let mut table = FlowTable::default();
            let mut want: HashMap<u64, FlowNumber> = HashMap::new();
            let mut all: Vec<u64> = Vec::new();
            for (key, insert) in keys {
                table.prefetch(hash(key));
                let found = table.find(hash(key), |n| all[n.0 as usize] == key);
                prop_assert_eq!(found, want.get(&key).copied());
                if insert && found.is_none() {
                    let number = FlowNumber(all.len() as u32);
                    all.push(key);
                    table.insert(hash(key), number, |n| hash(all[n.0 as usize]));
                    want.insert(key, number);
                }
                prop_assert_eq!(table.len(), want.len());
            }
            table.clear();
            prop_assert_eq!(table.find(hash(1), |_| true), None);
        }
    }
}
