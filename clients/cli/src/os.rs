//! What the commands take from the operating system themselves: threads for blocking reads and writes, the time, and
//! the length of standard input. They run in no simulation, and clients reach neither `system` nor its adapters.

#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// Runs something that blocks on a thread of its own. Nobody waits for it.
pub(crate) fn run_on_a_thread(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// A moment to count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Instant);

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Moment(Instant::now())
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// How many bytes standard input has; `None` when it is no file.
pub(crate) fn standard_input_bytes() -> Option<u64> {
    let metadata = std::fs::metadata("/dev/stdin").ok()?;
    metadata.is_file().then_some(metadata.len())
}
