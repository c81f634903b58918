//! A table that forgets its oldest entries when it is full, by their number or by their weight in bytes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The table. Insertion and use make an entry young.
#[derive(Clone, Debug)]
pub(super) struct Bounded<K, V> {
    entries: HashMap<K, Entry<V>>,
    by_age: BTreeMap<u64, K>,
    next_age: u64,
    weight: usize,
    count_max: usize,
    weight_max: usize,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    age: u64,
    weight: usize,
    value: V,
}

impl<K: Hash + Eq + Copy, V> Bounded<K, V> {
    /// An empty table for so many entries of so many bytes together.
    pub(super) fn new(count_max: usize, weight_max: usize) -> Self {
        Bounded { entries: HashMap::new(), by_age: BTreeMap::new(), next_age: 0, weight: 0, count_max, weight_max }
    }

    /// Puts an entry in, in place of one with the same key. Returns those that were forgotten to make room, oldest first.
    pub(super) fn insert(&mut self, key: K, value: V, weight: usize) -> Vec<(K, V)> {
        self.remove(&key);
        let mut forgotten = Vec::new();
        while self.entries.len() >= self.count_max
            || (!self.entries.is_empty() && self.weight.saturating_add(weight) > self.weight_max)
        {
            match self.oldest().and_then(|oldest| Some((oldest, self.remove(&oldest)?))) {
                Some(entry) => forgotten.push(entry),
                None => break,
            }
        }
        let age = self.age();
        self.by_age.insert(age, key);
        self.weight = self.weight.saturating_add(weight);
        self.entries.insert(key, Entry { age, weight, value });
        forgotten
    }

    fn age(&mut self) -> u64 {
        self.next_age += 1;
        self.next_age
    }

    fn oldest(&self) -> Option<K> {
        self.by_age.values().next().copied()
    }

    /// Bytes that the entries take, with what they lie in.
    pub(super) fn held_bytes(&self) -> usize {
        let each = size_of::<(K, Entry<V>)>() + size_of::<(u64, K)>() + 16;
        self.weight.saturating_add(self.entries.len() * each)
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.by_age.remove(&entry.age);
        self.weight = self.weight.saturating_sub(entry.weight);
        Some(entry.value)
    }

    /// An entry, which becomes the youngest.
    pub(super) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let age = self.age();
        let entry = self.entries.get_mut(key)?;
        self.by_age.remove(&entry.age);
        self.by_age.insert(age, *key);
        entry.age = age;
        Some(&mut entry.value)
    }

    /// An entry.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|e| &e.value)
    }

    /// An entry, to change it.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|e| &mut e.value)
    }

    /// The keys of the entries that a test chooses, oldest first.
    pub(super) fn keys_where(&self, test: impl Fn(&V) -> bool) -> Vec<K> {
        let mut found: Vec<(u64, K)> = self.entries.iter().filter(|e| test(&e.1.value)).map(|e| (e.1.age, *e.0)).collect();
        found.sort_unstable_by_key(|f| f.0);
        found.into_iter().map(|f| f.1).collect()
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn the_oldest_go_first() {
        let mut t = Bounded::new(3, 100);
        for k in 0..3 {
            assert!(t.insert(k, k * 10, 1).is_empty());
        }
        assert_eq!(t.touch(&0), Some(&mut 0));
        assert_eq!(t.insert(3, 30, 1), [(1, 10)]);
        assert_eq!(t.insert(4, 40, 99), [(2, 20), (0, 0)]);
        assert_eq!(t.insert(4, 41, 1), []);
        assert_eq!(t.keys_where(|_| true), [3, 4]);
        assert_eq!(t.remove(&3), Some(30));
        assert_eq!(t.remove(&3), None);
        assert_eq!((t.len(), t.weight), (1, 1));
    }

    #[test]
    fn one_that_is_too_heavy_stands_alone() {
        let mut t = Bounded::new(3, 10);
        t.insert(1, (), 5);
        assert_eq!(t.insert(2, (), 50).len(), 1);
        assert_eq!(t.len(), 1);
    }
}
