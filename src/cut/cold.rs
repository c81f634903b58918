//! Whether the disk makes a cut wait, and what to do about it: the next granules are asked for ahead of their turn, so that many reads
//! are under way at once. On a warm page cache asking would only cost.

use crate::ring::granule::GranuleEntry;
use crate::ring::segment::Segment;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reads that are under way at once.
const AHEAD: usize = 64;
/// So many reads after a slow one the disk counts as slow.
const SLOW_FOR: u32 = 256;
/// A read from the page cache takes at most so long, and so much more for each byte.
const QUICK: Duration = Duration::from_micros(40);
const QUICK_BYTES_PER_NANO: u32 = 2;

/// How quick a cut's reads are.
#[derive(Default)]
pub struct Disk {
    slow: u32,
}

impl Disk {
    /// Reads, and notes whether it had to wait.
    pub fn timed<T>(&mut self, len: usize, read: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = read();
        let quick = QUICK + Duration::from_nanos(len as u64 / u64::from(QUICK_BYTES_PER_NANO));
        self.slow = if start.elapsed() > quick { SLOW_FOR } else { self.slow.saturating_sub(1) };
        done
    }

    /// Asks for the granules that come next in a segment, if the disk is slow; `asked` counts those at the front that were asked for.
    pub fn look_ahead(&self, segment: &Segment, next: &VecDeque<(u32, GranuleEntry)>, asked: &mut usize) {
        if self.slow == 0 || *asked > AHEAD / 2 {
            return;
        }
        let mut run: Option<(u64, u64)> = None;
        for (_, entry) in next.iter().take(AHEAD).skip(*asked) {
            let len = u64::from(entry.stored_len);
            run = match run {
                Some((start, before)) if start + before == entry.stored_offset => Some((start, before + len)),
                other => {
                    other.inspect(|(start, len)| segment.will_read(*start, *len));
                    Some((entry.stored_offset, len))
                }
            };
        }
        run.inspect(|(start, len)| segment.will_read(*start, *len));
        *asked = next.len().min(AHEAD);
    }
}
