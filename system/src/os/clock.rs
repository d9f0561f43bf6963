//! The computer's clocks.

use std::time::{Duration, Instant, SystemTime};

use thalweg_types::Timestamp;

use crate::clock::WALL_MAX;
use crate::{BoxFuture, Clock};

/// The wall clock and the monotonic clock of the operating system. Its sleeps need a tokio runtime with time:
/// [`super::OsSpawn`] gives each task one.
#[derive(Clone, Debug)]
pub struct OsClock {
    started: Instant,
}

impl OsClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        OsClock { started: Instant::now() }
    }
}

impl Default for OsClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for OsClock {
    fn wall(&self) -> Timestamp {
        // A computer set to before 1970 counts backwards from there; timestamps are signed for this.
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp::ZERO.plus(since).min(WALL_MAX),
            Err(before) => Timestamp::ZERO.minus(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_passes_by_both_clocks() {
        let clock = OsClock::new();
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        assert!(wall > Timestamp::from_seconds(1_700_000_000), "this code was written later than that");
        clock.sleep(Duration::from_millis(2)).await;
        assert!(clock.monotonic() >= monotonic + Duration::from_millis(2));
    }
}
