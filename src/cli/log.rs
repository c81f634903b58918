//! Log lines on standard error. Nobody may be reading it, and a full pipe would hold up whoever logs: a thread that records must not be.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines that wait to be written, at most; more are dropped and counted.
const LINES_MAX: usize = 256;
/// So long the last ones are waited for.
const LAST_LINES: Duration = Duration::from_millis(200);

static QUEUE: OnceLock<SyncSender<Vec<u8>>> = OnceLock::new();
static WAITING: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Where the log's lines go.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(queue) = QUEUE.get() else { return io::stderr().write(line) };
        WAITING.fetch_add(1, Ordering::SeqCst);
        if queue.try_send(line.to_vec()).is_err() {
            WAITING.fetch_sub(1, Ordering::SeqCst);
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has lines written by a thread of their own from now on.
pub(super) fn write_apart() {
    let (queue, lines) = sync_channel::<Vec<u8>>(LINES_MAX);
    if QUEUE.set(queue).is_err() {
        return; // there is one
    }
    std::thread::spawn(move || {
        for line in lines {
            let dropped = DROPPED.swap(0, Ordering::SeqCst);
            if dropped > 0 {
                let _ = writeln!(io::stderr(), "taploop: {dropped} lines of the log were dropped: nobody took them");
            }
            let _ = io::stderr().write_all(&line);
            WAITING.fetch_sub(1, Ordering::SeqCst);
        }
    });
}

/// Waits until all lines are written, if somebody takes them.
pub(super) fn finish() {
    let until = Instant::now() + LAST_LINES;
    while WAITING.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}
