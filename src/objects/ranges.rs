//! A map of disjoint ranges of offsets to values: which bytes were seen, and why others were not.

use std::collections::BTreeMap;

/// Disjoint half-open ranges `[from, to)`, each with a value. Neighbours that touch and have equal values are one range.
///
/// Their number is bounded: what would go beyond is refused and changes nothing.
#[derive(Clone, Debug)]
pub struct Ranges<V> {
    map: BTreeMap<u64, (u64, V)>,
    max: usize,
    total: u64,
}

/// A plain set of ranges.
pub type RangeSet = Ranges<()>;

/// An insert or removal was refused: it would have made more ranges than the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl<V: Clone + PartialEq> Ranges<V> {
    /// None yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        Ranges { map: BTreeMap::new(), max, total: 0 }
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many offsets they hold.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The end of the last range; 0 where there is none.
    pub fn end(&self) -> u64 {
        self.map.last_key_value().map_or(0, |(_, (to, _))| *to)
    }

    /// All ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, &V)> {
        self.map.iter().map(|(from, (to, value))| (*from, *to, value))
    }

    /// The parts of `[from, to)` that are held, in order.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64, &V)> {
        let start = self.map.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let end = to.max(start);
        self.map.range(start..end).filter_map(move |(f, (t, value))| {
            let (f, t) = ((*f).max(from), (*t).min(to));
            (f < t).then_some((f, t, value))
        })
    }

    /// Whether any of `[from, to)` is held.
    pub fn touches(&self, from: u64, to: u64) -> bool {
        self.within(from, to).next().is_some()
    }

    /// The parts of `[from, to)` that are not held, in order.
    pub fn holes(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut at = from;
        for (f, t, _) in self.within(from, to) {
            if at < f {
                holes.push((at, f));
            }
            at = t;
        }
        if at < to {
            holes.push((at, to));
        }
        holes
    }

    /// Whether all of `[from, to)` is held; an empty range always is.
    pub fn covers(&self, from: u64, to: u64) -> bool {
        let mut at = from;
        for (f, t, _) in self.within(from, to) {
            if f != at {
                return false;
            }
            at = t;
        }
        at >= to
    }

    /// The end of the unbroken run of ranges that holds `at`; `at` itself where none does.
    pub fn run_end(&self, at: u64) -> u64 {
        let mut end = at;
        while let Some((_, (to, _))) = self.map.range(..=end).next_back() {
            if *to <= end {
                break;
            }
            end = *to;
        }
        end
    }

    /// Sets `[from, to)` to a value, whatever was there.
    pub fn insert(&mut self, from: u64, to: u64, value: V) -> Result<(), Full> {
        if from >= to {
            return Ok(());
        }
        // The usual case of bytes in order: the range before it grows, and nothing lies above.
        if let Some(mut last) = self.map.last_entry()
            && *last.key() <= from
            && last.get().0 == from
            && last.get().1 == value
        {
            last.get_mut().0 = to;
            self.total += to - from;
            return Ok(());
        }
        // At most one more by a cut at each side, one more by the new range: only near the limit is it worth counting.
        if self.map.len() + 2 > self.max && self.len_after_insert(from, to, &value) > self.max {
            return Err(Full);
        }
        self.cut_out(from, to);
        let (mut from, mut to) = (from, to);
        self.total += to - from;
        if let Some((f, (t, v))) = self.map.range(..from).next_back()
            && *t == from
            && *v == value
        {
            from = *f;
        }
        if let Some((t, v)) = self.map.get(&to)
            && *v == value
        {
            let end = *t;
            self.map.remove(&to);
            to = end;
        }
        self.map.insert(from, (to, value));
        Ok(())
    }

    /// Removes `[from, to)`.
    pub fn remove(&mut self, from: u64, to: u64) -> Result<(), Full> {
        if from >= to {
            return Ok(());
        }
        let splits = self.map.range(..from).next_back().is_some_and(|(_, (t, _))| *t > to);
        if splits && self.map.len() >= self.max {
            return Err(Full);
        }
        self.cut_out(from, to);
        Ok(())
    }

    /// Removes everything from `to` on.
    pub fn truncate(&mut self, to: u64) {
        self.cut_out(to, u64::MAX);
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.map.clear();
        self.total = 0;
    }

    fn len_after_insert(&self, from: u64, to: u64, value: &V) -> usize {
        let inside = self.within(from, to).count();
        let mut len = self.map.len() - inside + 1;
        if let Some((_, (t, v))) = self.map.range(..from).next_back() {
            // It is among those inside where it reaches in: what remains of it counts, unless it joins.
            if *t > from && v != value {
                len += 1;
            } else if *t == from && v == value {
                len -= 1;
            }
        }
        if let Some((_, (t, v))) = self.map.range(..to).next_back()
            && *t > to
            && v != value
        {
            len += 1;
        }
        if let Some((_, v)) = self.map.get(&to)
            && v == value
        {
            len -= 1;
        }
        len
    }

    fn cut_out(&mut self, from: u64, to: u64) {
        if let Some((f, (t, value))) = self.map.range(..from).next_back().map(|(f, e)| (*f, e.clone()))
            && t > from
        {
            self.map.insert(f, (from, value.clone()));
            self.total -= t - from;
            if t > to {
                self.map.insert(to, (t, value));
                self.total += t - to;
                return;
            }
        }
        while let Some((f, (t, value))) = self.map.range(from..to).next().map(|(f, e)| (*f, e.clone())) {
            self.map.remove(&f);
            self.total -= t - f;
            if t > to {
                self.map.insert(to, (t, value));
                self.total += t - to;
            }
        }
    }
}

impl RangeSet {
    /// The ranges as pairs.
    pub fn pairs(&self) -> Vec<(u64, u64)> {
        self.iter().map(|(from, to, ())| (from, to)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(ranges: &Ranges<u8>, model: &[Option<u8>]) {
        let mut naive: Vec<(u64, u64, u8)> = Vec::new();
        for (at, value) in model.iter().enumerate() {
            let Some(value) = value else { continue };
            match naive.last_mut() {
                Some(last) if last.1 == at as u64 && last.2 == *value => last.1 += 1,
                _ => naive.push((at as u64, at as u64 + 1, *value)),
            }
        }
        assert_eq!(ranges.iter().map(|(f, t, v)| (f, t, *v)).collect::<Vec<_>>(), naive);
        assert_eq!(ranges.total(), model.iter().flatten().count() as u64);
        assert_eq!(ranges.len(), naive.len());
        assert_eq!(ranges.end(), naive.last().map_or(0, |n| n.1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn it_agrees_with_a_bitmap(steps in prop::collection::vec((0u8..4, 0u64..100, 0u64..40, 0u8..2), 1..60), max in 1usize..12) {
            let mut ranges = Ranges::new(max);
            let mut model = vec![None; 160];
            for (kind, from, length, value) in steps {
                let to = from + length;
                let mut after = model.clone();
                let done = match kind {
                    0 | 1 => {
                        after[from as usize..to as usize].fill(Some(value));
                        ranges.insert(from, to, value)
                    }
                    2 => {
                        after[from as usize..to as usize].fill(None);
                        ranges.remove(from, to)
                    }
                    _ => {
                        after[from as usize..].fill(None);
                        ranges.truncate(from);
                        Ok(())
                    }
                };
                let mut naive = Ranges::new(usize::MAX);
                for (at, v) in after.iter().enumerate() {
                    if let Some(v) = v {
                        naive.insert(at as u64, at as u64 + 1, *v).unwrap();
                    }
                }
                prop_assert_eq!(done.is_ok(), naive.len() <= max, "refused exactly what is beyond the limit");
                if done.is_ok() {
                    model = after;
                }
                check(&ranges, &model);
                let (a, b) = (from, (from + length / 2 + 3).min(160));
                let holes: Vec<u64> = ranges.holes(a, b).into_iter().flat_map(|(f, t)| f..t).collect();
                let want: Vec<u64> = (a..b).filter(|at| model[*at as usize].is_none()).collect();
                prop_assert_eq!(&holes, &want);
                prop_assert_eq!(ranges.covers(a, b), want.is_empty());
                prop_assert_eq!(ranges.touches(a, b), want.len() < (b - a) as usize);
                let run = (a..160).find(|at| model[*at as usize].is_none()).unwrap_or(160);
                prop_assert_eq!(ranges.run_end(a), run);
            }
        }
    }

    #[test]
    fn offsets_at_the_end_of_all_numbers_are_held() {
        let mut ranges = RangeSet::new(4);
        ranges.insert(u64::MAX - 1, u64::MAX, ()).unwrap();
        ranges.insert(0, 1, ()).unwrap();
        assert_eq!(ranges.holes(0, u64::MAX), vec![(1, u64::MAX - 1)]);
        ranges.insert(0, u64::MAX, ()).unwrap();
        assert_eq!(ranges.pairs(), vec![(0, u64::MAX)]);
    }
}
