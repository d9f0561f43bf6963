//! How work in the background shares the device and the processor with the log: in small steps, spread over the time
//! there is. docs/decisions/0033 says why.
//!
//! ```text
//!   log     |w|  |w|  |w|  |w|  |w|  |w|  |w|       a write waits for what the device has at hand
//!   drain      [p]     [p]     [p]     [p]          …which is a small piece, and there is time behind it
//!   unpaced    [ 4 MiB               ]              …or milliseconds
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_system::Clock;

use crate::engine::{Engine, Phase};

/// How long a loop that is ahead waits before it looks again.
const WAIT: Duration = Duration::from_millis(1);
/// A round is paced while no more than this is appended in a second, after so much to begin with. Under a heavier load
/// there is no time to lose: large writes cost the processor a tenth of small ones.
const PACED_BYTES_PER_SECOND_MAX: u64 = 64 << 20;
const PACED_BYTES_AT_FIRST: u64 = 4 << 20;
/// Work that writes nothing is done in steps of so much time, or of so many entries of batches, whichever is less; the
/// clock is looked at in between.
const STEP: Duration = Duration::from_micros(100);
const ENTRIES_PER_STEP: usize = 1024;
pub(crate) const ENTRIES_PER_LOOK: usize = 64;

/// How much may be done, and when.
pub(crate) enum Pace<'a> {
    /// All of it, at once.
    Unpaced,
    /// So many bytes a second, in small pieces.
    Rate { clock: &'a dyn Clock, bytes_per_second: u64, piece_bytes: usize },
    /// In step with what is appended.
    Appends(Appends<'a>),
}

/// Work that writes nothing, with a pause after each step of it.
pub(crate) struct Steps<'a> {
    pace: &'a Pace<'a>,
    /// When the step began, and the entries that were done in it.
    began: Duration,
    entries: usize,
    /// Entries since the clock was looked at.
    unseen: usize,
}

/// A round of draining that keeps in step with the appends that come meanwhile.
pub(crate) struct Appends<'a> {
    engine: &'a Engine,
    /// What had been appended when the round began, and when that was.
    appended: u64,
    began: Duration,
    /// Bytes that were taken, or passed up.
    taken: AtomicU64,
}

/// Waits as long as so many bytes take at this rate; not at all at 0, which is no limit.
pub(crate) async fn spend(clock: &dyn Clock, bytes: u64, bytes_per_second: u64) {
    if let Some(micros) = bytes.saturating_mul(1_000_000).checked_div(bytes_per_second) {
        clock.sleep(Duration::from_micros(micros)).await;
    }
}

impl<'a> Pace<'a> {
    /// That of a round of draining that begins now and for whose end nobody waits.
    pub(crate) fn appends(engine: &'a Engine) -> Self {
        if engine.settings.drained_percent == 0 {
            return Pace::Unpaced;
        }
        let (appended, began) = (engine.cache.appended_bytes(), engine.clock.monotonic());
        Pace::Appends(Appends { engine, appended, began, taken: AtomicU64::new(0) })
    }

    /// Waits until something may be written, and says how much, up to `bytes_max`.
    pub(crate) async fn take(&self, bytes_max: usize) -> usize {
        match self {
            Pace::Unpaced => bytes_max,
            Pace::Rate { clock, bytes_per_second, piece_bytes } => {
                let piece = bytes_max.min(*piece_bytes);
                spend(*clock, piece as u64, *bytes_per_second).await;
                piece
            }
            Pace::Appends(appends) => appends.take(bytes_max).await,
        }
    }

    /// How many entries may be dealt with in one go, where that makes each of them cheaper.
    pub(crate) fn entries_at_once(&self) -> usize {
        match self {
            Pace::Appends(appends) if appends.has_time() => ENTRIES_PER_LOOK,
            _ => usize::MAX,
        }
    }

    /// Begins work that writes nothing.
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps { pace: self, began: self.now(), entries: 0, unseen: 0 }
    }

    /// Monotonic time, where it matters.
    fn now(&self) -> Duration {
        match self {
            Pace::Appends(appends) => appends.engine.clock.monotonic(),
            Pace::Unpaced | Pace::Rate { .. } => Duration::ZERO,
        }
    }

    /// Lets others have the processor.
    async fn rest(&self) {
        if let Pace::Appends(appends) = self {
            appends.rest().await;
        }
    }
}

impl Steps<'_> {
    /// So many entries were done: pauses when that is enough for one step. To be called every [`ENTRIES_PER_LOOK`] or so.
    pub(crate) async fn did(&mut self, entries: usize) {
        self.entries += entries;
        self.unseen += entries;
        if self.unseen < ENTRIES_PER_LOOK {
            return;
        }
        self.unseen = 0;
        if self.entries >= ENTRIES_PER_STEP || self.pace.now().saturating_sub(self.began) >= STEP {
            self.pace.rest().await;
            self.entries = 0;
            self.began = self.pace.now();
        }
    }
}

impl Appends<'_> {
    async fn take(&self, bytes_max: usize) -> usize {
        let piece_min = self.engine.settings.paced_bytes_min.min(bytes_max);
        // Relaxed, here and below: one loop looks, and it guards no other memory.
        let taken = self.taken.load(Ordering::Relaxed);
        while self.has_time() {
            let due = usize::try_from(self.earned().saturating_sub(taken)).unwrap_or(usize::MAX);
            if due >= piece_min {
                let bytes = due.min(bytes_max);
                self.taken.store(taken + bytes as u64, Ordering::Relaxed);
                return bytes;
            }
            self.engine.clock.sleep(WAIT).await;
        }
        bytes_max
    }

    async fn rest(&self) {
        if !self.has_time() {
            return;
        }
        self.engine.clock.sleep(WAIT).await;
        // What could have been written meanwhile shall not be written at once now.
        self.taken.store(self.earned(), Ordering::Relaxed);
    }

    /// Whether the load is light, and nobody waits for the end of the round: an append without a slot, or the end of
    /// the journal.
    fn has_time(&self) -> bool {
        let engine = self.engine;
        let at_most = self.micros().saturating_mul(PACED_BYTES_PER_SECOND_MAX) / 1_000_000;
        self.appended() <= PACED_BYTES_AT_FIRST + at_most
            && engine.ring.figures().free > 0
            && *engine.phase.borrow() == Phase::Running
            && engine.status.brake().is_none()
    }

    /// Bytes that were appended since the round began.
    fn appended(&self) -> u64 {
        self.engine.cache.appended_bytes() - self.appended
    }

    /// Since the round began.
    fn micros(&self) -> u64 {
        let elapsed = self.engine.clock.monotonic().saturating_sub(self.began);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    /// What may have been written by now: in proportion to what was appended, and a little when nothing is.
    fn earned(&self) -> u64 {
        let settings = &self.engine.settings;
        let by_time = self.micros().saturating_mul(settings.drain_bytes_per_second_min) / 1_000_000;
        (self.appended().saturating_mul(settings.drained_percent) / 100).saturating_add(by_time)
    }
}
