//! How long a ring's limits let packets stay, at the rate at which they came lately.

use super::data::Retention;
use crate::time::{SECOND_NS, Timestamp};
use serde::Serialize;

/// The rate is that of so long before now, at most.
pub const RATE_OVER_NS: u64 = 6 * 3600 * SECOND_NS;
/// Less than this says nothing about a rate.
const RATE_OVER_MIN_NS: u64 = 60 * SECOND_NS;

/// Which limit takes hold first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Bytes of the ring's files.
    Bytes,
    /// Time since packets arrived.
    Age,
    /// Bytes that stay free on the file system.
    FreeSpace,
}

/// What becomes of a ring that has a limit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Forecast {
    /// Bytes that arrive in a second; `None` where too little arrived lately to tell.
    pub bytes_per_second: Option<f64>,
    /// Seconds until the oldest segment is dropped: 0 where that is with the next segment; `None` where it cannot be told.
    pub oldest_dropped_in_seconds: Option<u64>,
    /// Seconds that packets stay, once the ring is full; `None` where it cannot be told.
    pub keeps_seconds: Option<u64>,
    /// The limit that drops the oldest; `None` where it cannot be told.
    pub limited_by: Option<Limit>,
}

/// What a forecast rests on.
pub struct Basis<'a> {
    /// The ring's limits.
    pub retention: Retention,
    /// When the last segments arrived and their bytes, oldest first; the last may still grow.
    pub recent: &'a [(Timestamp, u64)],
    /// Bytes that the ring holds.
    pub held: u64,
    /// When its oldest segment arrived.
    pub oldest: Timestamp,
    /// Bytes that are free on the file system, where that is known.
    pub free: Option<u64>,
    /// The present.
    pub now: Timestamp,
}

impl Basis<'_> {
    /// `None` where no limit is set or nothing is held.
    pub fn forecast(&self) -> Option<Forecast> {
        if self.retention == Retention::default() || self.held == 0 {
            return None;
        }
        let rate = self.rate();
        let at_rate = |bytes: u64| rate.filter(|&r| r > 0.0).map(|r| (bytes as f64 / r) as u64);
        // Until the oldest is dropped, and how long packets stay then, of each limit.
        let mut limits: Vec<(u64, Option<u64>, Limit)> = Vec::new();
        if let Some(max) = self.retention.max_bytes
            && let Some(left) = at_rate(max.saturating_sub(self.held)).or((max <= self.held).then_some(0))
        {
            limits.push((left, at_rate(max), Limit::Bytes));
        }
        if let Some(age) = self.retention.max_age_seconds {
            let left = age.saturating_sub(self.now.since(self.oldest) / SECOND_NS);
            limits.push((left, Some(age), Limit::Age));
        }
        if let Some((min, free)) = self.retention.min_free_bytes.zip(self.free)
            && let Some(left) = at_rate(free.saturating_sub(min)).or((free <= min).then_some(0))
        {
            limits.push((left, at_rate(self.held.saturating_add(free.saturating_sub(min))), Limit::FreeSpace));
        }
        let first = limits.iter().min_by_key(|l| (l.0, l.2));
        Some(Forecast {
            bytes_per_second: rate,
            oldest_dropped_in_seconds: first.map(|l| l.0),
            keeps_seconds: limits.iter().filter_map(|l| l.1).min(),
            limited_by: first.map(|l| l.2),
        })
    }

    /// Bytes a second that arrived lately, up to now: a ring that nothing reaches any more drops nothing.
    fn rate(&self) -> Option<f64> {
        let first = self.recent.first()?.0;
        // The first segment's own bytes came before it was full, nobody knows since when.
        let since = first.max(self.now.saturating_sub(RATE_OVER_NS));
        let span = self.now.since(since);
        let bytes: u64 = self.recent.iter().filter(|r| r.0 > since).map(|r| r.1).sum();
        (span >= RATE_OVER_MIN_NS).then(|| bytes as f64 / (span as f64 / SECOND_NS as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn t(seconds: u64) -> Timestamp {
        Timestamp::from_nanos((1_000_000 + seconds) * SECOND_NS)
    }

    fn of(retention: Retention, recent: &[(Timestamp, u64)], now: Timestamp) -> Option<Forecast> {
        let held = recent.iter().map(|r| r.1).sum();
        Basis { retention, recent, held, oldest: recent[0].0, free: Some(5_000), now }.forecast()
    }

    #[test]
    fn a_ring_fills_at_the_rate_of_the_last_hours() {
        let recent: Vec<_> = (0..=10).map(|i| (t(i * 100), 1000)).collect();
        let limit = |max_bytes| Retention { max_bytes, ..Retention::default() };
        assert_eq!(of(limit(None), &recent, t(1000)), None);
        let f = of(limit(Some(21_000)), &recent, t(1000)).unwrap();
        assert_eq!((f.bytes_per_second, f.oldest_dropped_in_seconds, f.keeps_seconds), (Some(10.0), Some(1000), Some(2100)));
        assert_eq!(f.limited_by, Some(Limit::Bytes));
        assert_eq!(of(limit(Some(9_000)), &recent, t(1000)).unwrap().oldest_dropped_in_seconds, Some(0));
        // Hours later, nothing arrives any more: nothing will be dropped.
        let later = of(limit(Some(21_000)), &recent, t(1000 + 7 * HOUR)).unwrap();
        assert_eq!((later.bytes_per_second, later.oldest_dropped_in_seconds), (Some(0.0), None));
        // Too short to tell.
        assert_eq!(of(limit(Some(21_000)), &recent[..1], t(30)).unwrap().bytes_per_second, None);
    }

    #[test]
    fn the_limit_that_takes_hold_first_is_told() {
        let recent: Vec<_> = (0..=10).map(|i| (t(i * 100), 1000)).collect();
        let age = |max_bytes| Retention { max_bytes, max_age_seconds: Some(4000), min_free_bytes: Some(1_000) };
        let f = of(age(Some(1 << 40)), &recent, t(1000)).unwrap();
        assert_eq!((f.oldest_dropped_in_seconds, f.limited_by), (Some(400), Some(Limit::FreeSpace)));
        let f = of(Retention { min_free_bytes: None, ..age(Some(1 << 40)) }, &recent, t(1000)).unwrap();
        assert_eq!((f.oldest_dropped_in_seconds, f.keeps_seconds, f.limited_by), (Some(3000), Some(4000), Some(Limit::Age)));
    }
}
