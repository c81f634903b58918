//! What a recorder says of itself: counters that its threads keep, and the small file in the ring's folder that others read.

use crate::capture::Link;
use crate::ring::data::{DataDir, replace_quickly};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// The file's name in the ring's folder.
pub const STATE_FILE: &str = "recorder.json";

/// How an interface stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It is listened to.
    Up,
    /// It is down.
    Down,
    /// There is no such interface now.
    Missing,
}

impl From<Link> for LinkState {
    fn from(link: Link) -> LinkState {
        match link {
            Link::Up => LinkState::Up,
            Link::Down => LinkState::Down,
            Link::Missing => LinkState::Missing,
        }
    }
}

/// What one recorder has done so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// When this was written.
    pub updated: Timestamp,
    /// How the interface stands.
    pub link: LinkState,
    /// Packets recorded.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// How many of them the snap length cut.
    pub truncated_packets: u64,
    /// Packets in a second, lately.
    pub packets_per_second: f64,
    /// Captured bytes in a second, lately.
    pub bytes_per_second: f64,
    /// Packets that the kernel dropped.
    pub kernel_drops: u64,
    /// Packets that the interface dropped.
    pub interface_drops: u64,
    /// Packets that were captured and could not be written.
    pub unrecorded_packets: u64,
    /// Why the ring cannot be written now, or the interface not be listened to.
    pub trouble: Option<String>,
}

/// What the threads of one interface count.
#[derive(Default)]
pub struct InterfaceStatus {
    pub(super) packets: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) kernel_drops: AtomicU64,
    pub(super) interface_drops: AtomicU64,
    pub(super) unrecorded: AtomicU64,
    /// Streams, by their number, whose interface is down, or missing.
    down: AtomicU64,
    missing: AtomicU64,
    /// The time of the newest packet of all streams.
    newest: AtomicU64,
}

impl InterfaceStatus {
    /// How the interface stands as a stream sees it; there are at most 64.
    pub(super) fn set_link(&self, stream: u16, link: LinkState) {
        let bit = 1 << (stream % 64);
        for (streams, is_it) in [(&self.down, link == LinkState::Down), (&self.missing, link == LinkState::Missing)] {
            if is_it {
                streams.fetch_or(bit, Ordering::Relaxed)
            } else {
                streams.fetch_and(!bit, Ordering::Relaxed)
            };
        }
    }

    /// It is up once all streams listen.
    pub(super) fn link(&self) -> LinkState {
        if self.missing.load(Ordering::Relaxed) != 0 {
            LinkState::Missing
        } else if self.down.load(Ordering::Relaxed) != 0 {
            LinkState::Down
        } else {
            LinkState::Up
        }
    }

    pub(super) fn saw(&self, newest: Timestamp) {
        self.newest.fetch_max(newest.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn newest(&self) -> Timestamp {
        Timestamp::from_nanos(self.newest.load(Ordering::Relaxed))
    }

    /// What was told by the old clock is no measure.
    pub(super) fn clock_set(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }

    pub(super) fn count(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// Writes the file; readers see the old one or the new one.
pub(super) fn write_state(data: &DataDir, interface: &str, state: &State) -> io::Result<()> {
    replace_quickly(&data.ring_path(interface).join(STATE_FILE), &serde_json::to_vec_pretty(state)?)
}

/// What an interface's recorder last said; `None` where none ever did, or what it said cannot be read.
pub fn read_state(data: &DataDir, interface: &str) -> Option<State> {
    serde_json::from_slice(&fs::read(data.ring_path(interface).join(STATE_FILE)).ok()?).ok()
}
