//! When capture ran: what one thread captured alone, or all threads that shared an interface's packets among them.

use super::ids::StreamId;
use crate::time::Window;
use std::collections::BTreeMap;

/// The stretches in which nothing can be missing, joined and in order, from those of the segments in any order.
///
/// Where threads shared the packets, one of them may have published less than the others when it was killed, or have lost its oldest
/// segment before them: capture ran where all of them have something to say.
pub(super) fn together(segments: impl Iterator<Item = (StreamId, Window)>) -> Vec<Window> {
    let mut by_sharers: BTreeMap<u16, BTreeMap<u16, Vec<Window>>> = BTreeMap::new();
    for (stream, window) in segments {
        by_sharers.entry(stream.sharers()).or_default().entry(stream.number()).or_default().push(window);
    }
    let mut all = Vec::new();
    for (sharers, numbers) in by_sharers {
        if numbers.len() < usize::from(sharers) {
            continue;
        }
        let shared = numbers.into_values().map(joined).reduce(|a, b| both(&a, &b));
        all.extend(shared.unwrap_or_default());
    }
    joined(all)
}

fn joined(mut all: Vec<Window>) -> Vec<Window> {
    all.sort_by_key(|w| w.from);
    let mut joined: Vec<Window> = Vec::new();
    for w in all {
        match joined.last_mut() {
            Some(last) if w.from <= last.to => last.to = last.to.max(w.to),
            _ => joined.push(w),
        }
    }
    joined
}

/// What lies in both of two that are joined and in order.
fn both(a: &[Window], b: &[Window]) -> Vec<Window> {
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        out.extend(x.intersect(y));
        if x.to <= y.to { i += 1 } else { j += 1 }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::time::Timestamp;

    fn stream(number: u16, sharers: u16) -> StreamId {
        StreamId::shared(number, sharers, LinkType::ETHERNET)
    }

    fn window(from: u64, to: u64) -> Window {
        Window { from: Timestamp::from_nanos(from), to: Timestamp::from_nanos(to) }
    }

    #[test]
    fn one_thread_alone_has_all_that_its_segments_say() {
        let segments = [(stream(0, 1), window(20, 30)), (stream(0, 1), window(0, 10)), (stream(0, 1), window(10, 15))];
        assert_eq!(together(segments.into_iter()), [window(0, 15), window(20, 30)]);
    }

    #[test]
    fn of_threads_that_share_the_one_that_says_least_decides() {
        let segments = [
            (stream(0, 2), window(0, 100)),
            (stream(1, 2), window(5, 60)),
            (stream(1, 2), window(70, 90)),
            // Killed, and begun again alone, and then by two of which one has said nothing.
            (stream(0, 1), window(120, 140)),
            (stream(1, 3), window(150, 160)),
        ];
        assert_eq!(together(segments.into_iter()), [window(5, 60), window(70, 90), window(120, 140)]);
    }
}
