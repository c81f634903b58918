//! Where the threads of an interface's streams get their writers from, and give them back.

use crate::ring::ids::StreamId;
use crate::ring::writer::{StreamMaker, StreamOptions, StreamWriter};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// There while the ring is open for writing.
    maker: Option<(StreamMaker, StreamOptions)>,
    /// Writers that are out.
    out: usize,
    /// The ring can no longer be written.
    failed: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ring is open.
    pub(super) fn open(&self, maker: StreamMaker, options: StreamOptions) {
        let mut state = self.state();
        (state.maker, state.failed) = (Some((maker, options)), false);
    }

    /// A writer, if the ring is open.
    pub(super) fn take(&self, stream: StreamId) -> Option<StreamWriter> {
        let mut state = self.state();
        let writer = state.maker.as_ref().map(|(maker, options)| maker.stream(stream, *options))?;
        state.out += 1;
        Some(writer)
    }

    /// Gives a writer back; `failed`: the ring could not be written.
    pub(super) fn give_back(&self, writer: StreamWriter, failed: bool) {
        drop(writer);
        let mut state = self.state();
        state.out -= 1;
        if failed {
            state.failed = true;
            state.maker = None;
        }
        self.changed.notify_all();
    }

    /// Whether writers are to be given back.
    pub(super) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Waits until the ring has failed and all writers are back.
    pub(super) fn wait_for_failure(&self, timeout: Duration) -> bool {
        let state = self.state();
        let waits = |s: &mut State| !(s.failed && s.out == 0);
        let (state, _) = self.changed.wait_timeout_while(state, timeout, waits).unwrap_or_else(PoisonError::into_inner);
        state.failed && state.out == 0
    }

    /// No more writers.
    pub(super) fn close(&self) {
        self.state().maker = None;
    }
}
