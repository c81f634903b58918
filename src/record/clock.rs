//! Whether somebody sets the clock: the wall clock is held against one that only runs.

use crate::time::Timestamp;
use std::time::Instant;

/// A smaller step is drift, or a clock that is steered.
pub(super) const STEP_NS: u64 = 1_000_000_000;

/// What the wall clock shows and what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// What it would have shown.
    pub before: Timestamp,
    /// What it shows.
    pub after: Timestamp,
}

/// Watches the clock.
pub(super) struct ClockWatch {
    wall: Timestamp,
    running: Instant,
}

impl ClockWatch {
    pub(super) fn start(wall: Timestamp, running: Instant) -> ClockWatch {
        ClockWatch { wall, running }
    }

    /// Looks at both clocks; a step is told once. Steered clocks are followed.
    pub(super) fn look(&mut self, wall: Timestamp, running: Instant) -> Option<Step> {
        let passed = running.saturating_duration_since(self.running).as_nanos();
        let before = self.wall.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        (self.wall, self.running) = (wall, running);
        let apart = before.since(wall).max(wall.since(before));
        (apart > STEP_NS).then_some(Step { before, after: wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_step_is_told_once_and_drift_is_not() {
        let (start, wall) = (Instant::now(), Timestamp::from_nanos(1_700_000_000_000_000_000));
        let mut watch = ClockWatch::start(wall, start);
        let at = |s: u64| start + Duration::from_secs(s);
        let shows = |s: u64| wall.saturating_add(s * STEP_NS);
        assert_eq!(watch.look(shows(10), at(10)), None);
        assert_eq!(watch.look(shows(21), at(20)), None, "a second is drift");
        let step = Step { before: shows(31), after: shows(4000) };
        assert_eq!(watch.look(shows(4000), at(30)), Some(step));
        assert_eq!(watch.look(shows(4010), at(40)), None);
        let back = Step { before: shows(4020), after: shows(50) };
        assert_eq!(watch.look(shows(50), at(50)), Some(back));
    }
}
