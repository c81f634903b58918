//! Whether the disk makes a cut wait, and what to do about it: the next granules are asked for ahead of their turn, so that many reads
//! are under way at once. On a warm page cache asking would only cost.

use crate::ring::granule::GranuleAt;
use crate::ring::packet_file::PacketFile;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reads that are under way at once.
const AHEAD: usize = 64;
/// So many reads after a slow one the disk counts as slow.
const SLOW_FOR: u32 = 256;
/// One slow read may be the scheduler's doing; a second one within so many is the disk's.
const SUSPECT_FOR: u32 = 8;
/// Reads from the page cache take at most so long, and so much more for each read and byte.
const QUICK: Duration = Duration::from_micros(40);
const QUICK_NANOS_PER_READ: u64 = 4_000;
const QUICK_BYTES_PER_NANO: u64 = 2;

/// How quick a cut's reads are.
#[derive(Default)]
pub struct Disk {
    suspect: u32,
    slow: u32,
}

impl Disk {
    /// Reads so many bytes in so many reads, and notes whether it had to wait.
    pub fn timed<T>(&mut self, reads: usize, len: usize, read: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = read();
        let nanos = reads as u64 * QUICK_NANOS_PER_READ + len as u64 / QUICK_BYTES_PER_NANO;
        let quick = QUICK + Duration::from_nanos(nanos);
        if start.elapsed() <= quick {
            self.suspect = self.suspect.saturating_sub(1);
            self.slow = self.slow.saturating_sub(1);
        } else {
            self.slow = if self.suspect > 0 { SLOW_FOR } else { self.slow };
            self.suspect = SUSPECT_FOR;
        }
        done
    }

    /// Whether reads have to wait.
    pub fn is_slow(&self) -> bool {
        self.slow > 0
    }

    /// Asks for the granules that come next in a segment, if the disk is slow; `asked` counts those at the front that were asked for.
    pub fn look_ahead(&self, file: &PacketFile, next: &VecDeque<GranuleAt>, asked: &mut usize) {
        if self.slow == 0 || *asked > AHEAD / 2 {
            return;
        }
        let mut run: Option<(u64, u64)> = None;
        for (_, entry) in next.iter().take(AHEAD).skip(*asked) {
            let len = u64::from(entry.stored_len);
            run = match run {
                Some((start, before)) if start + before == entry.stored_offset => Some((start, before + len)),
                other => {
                    other.inspect(|(start, len)| file.will_read(*start, *len));
                    Some((entry.stored_offset, len))
                }
            };
        }
        run.inspect(|(start, len)| file.will_read(*start, *len));
        *asked = next.len().min(AHEAD);
    }
}
