//! Whether somebody sets the clock, and whether ages can be told by it: the wall clock is held against one that only runs.

use crate::time::Timestamp;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A smaller step is drift, or a clock that is steered.
const STEP_NS: u64 = 1_000_000_000;

/// After the clock was set, nothing is dropped for its age until it has held for so long: whoever set it may set it again.
pub const CLOCK_HOLDS: Duration = Duration::from_secs(600);

/// What the wall clock shows and what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// What it would have shown.
    pub before: Timestamp,
    /// What it shows.
    pub after: Timestamp,
}

/// Watches the clock.
pub struct ClockWatch {
    wall: Timestamp,
    running: Instant,
}

impl ClockWatch {
    /// Watches from now on, where both clocks show this.
    pub fn start(wall: Timestamp, running: Instant) -> ClockWatch {
        ClockWatch { wall, running }
    }

    /// Looks at both clocks; a step is told once. Steered clocks are followed.
    pub fn look(&mut self, wall: Timestamp, running: Instant) -> Option<Step> {
        let passed = running.saturating_duration_since(self.running).as_nanos();
        let before = self.wall.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        (self.wall, self.running) = (wall, running);
        let apart = before.since(wall).max(wall.since(before));
        (apart > STEP_NS).then_some(Step { before, after: wall })
    }
}

type Read = Box<dyn Fn() -> (Timestamp, Instant) + Send>;

/// The clock that the ages of a ring's segments are told by. It looks for steps itself whenever it is asked: nobody has to tell it first.
pub struct Clock {
    state: Mutex<State>,
}

struct State {
    watch: ClockWatch,
    /// Since when it has to hold; `None` where nothing speaks against it.
    since: Option<Instant>,
    read: Read,
}

impl Clock {
    /// One that is believed until it is set.
    pub fn believed() -> Clock {
        Clock::new(false, Box::new(both))
    }

    /// One that has to hold first: it may have been set while nobody looked.
    pub fn unproven() -> Clock {
        Clock::new(true, Box::new(both))
    }

    fn new(has_to_hold: bool, read: Read) -> Clock {
        let (wall, running) = read();
        Clock {
            state: Mutex::new(State { watch: ClockWatch::start(wall, running), since: has_to_hold.then_some(running), read }),
        }
    }

    /// A believed or unproven one of a test's own.
    #[cfg(test)]
    pub(crate) fn faked(has_to_hold: bool, read: impl Fn() -> (Timestamp, Instant) + Send + 'static) -> Clock {
        Clock::new(has_to_hold, Box::new(read))
    }

    /// The present, if ages can be told.
    pub fn now(&self) -> Option<Timestamp> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, running) = (state.read)();
        if state.watch.look(wall, running).is_some() {
            state.since = Some(running);
        }
        if state.since.is_some_and(|since| running.saturating_duration_since(since) < CLOCK_HOLDS) {
            return None;
        }
        state.since = None;
        Some(wall)
    }

    /// The present as far as pins go: where it cannot be told, none has expired.
    pub fn now_for_pins(&self) -> Timestamp {
        self.now().unwrap_or(Timestamp::ZERO)
    }
}

/// The running one first: a wait between the two looks like a step at most, and then nothing is dropped.
fn both() -> (Timestamp, Instant) {
    let running = Instant::now();
    (Timestamp::now(), running)
}

/// Nothing that would help.
impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

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
    #[test]
    fn ages_are_told_only_by_a_clock_that_has_held() {
        let (start, wall) = (Instant::now(), Timestamp::from_nanos(1_700_000_000_000_000_000));
        // Seconds that have passed, and what was added to the wall clock.
        let shown = Arc::new(Mutex::new((0_u64, 0_i64)));
        let read = |shown: Arc<Mutex<(u64, i64)>>| {
            move || {
                let (passed, added) = *shown.lock().unwrap();
                (wall.saturating_add(passed.saturating_add_signed(added) * STEP_NS), start + Duration::from_secs(passed))
            }
        };
        let believed = Clock::faked(false, read(shown.clone()));
        let unproven = Clock::faked(true, read(shown.clone()));
        let at = |passed: u64, added: i64| {
            *shown.lock().unwrap() = (passed, added);
            [believed.now().is_some(), unproven.now().is_some()]
        };
        assert_eq!(at(0, 0), [true, false]);
        assert_eq!(at(599, 0), [true, false]);
        assert_eq!(at(600, 0), [true, true]);
        assert_eq!(at(601, 172_800), [false, false], "seen at once by whoever asks");
        assert_eq!(at(1200, 172_800), [false, false]);
        assert_eq!(at(1201, 172_800), [true, true]);
        assert_eq!(at(1500, -300), [false, false]);
        assert_eq!(at(1800, 0), [false, false], "and again");
        assert_eq!(at(2300, 0), [false, false]);
        assert_eq!(at(2400, 0), [true, true]);
    }
}
