//! Which time expiry may trust. It expires nothing itself and reads no clock.

use std::time::Duration;

use thalweg_types::Timestamp;

/// A wall clock that gets ahead of monotonic time by more than this is not believed for as long as this: whoever
/// set it wrongly has that time to put it back before records are lost. (The house's rule for every engine.)
pub(crate) const WALL_AHEAD_MAX: Duration = Duration::from_secs(3600);

/// Compares the wall clock with monotonic time.
#[derive(Default)]
pub(crate) struct ExpiryTime {
    /// Both, when last seen.
    seen: Option<(Timestamp, Duration)>,
    /// Until this monotonic time nothing expires.
    paused_until: Duration,
    /// What is too old is hidden by no later time than this meanwhile.
    believable: Timestamp,
}

impl ExpiryTime {
    /// The time to measure ages by; `None` while the wall clock is not believed.
    pub(crate) fn trusted(&mut self, wall: Timestamp, monotonic: Duration) -> Option<Timestamp> {
        if let Some((wall_before, monotonic_before)) = self.seen {
            let expected = wall_before.plus(monotonic.saturating_sub(monotonic_before));
            if wall > expected.plus(WALL_AHEAD_MAX) {
                if self.is_believed(monotonic) {
                    self.believable = expected.plus(WALL_AHEAD_MAX);
                }
                self.paused_until = monotonic + WALL_AHEAD_MAX;
            } else if wall < expected.minus(WALL_AHEAD_MAX) {
                // Put back: what was wrong is right again. (And an early time expires nothing.)
                self.paused_until = Duration::ZERO;
            }
        }
        self.seen = Some((wall, monotonic));
        self.is_believed(monotonic).then_some(wall)
    }

    /// The time by which to hide what is too old.
    pub(crate) fn hide_by(&mut self, wall: Timestamp, monotonic: Duration) -> Timestamp {
        self.trusted(wall, monotonic).unwrap_or_else(|| wall.min(self.believable))
    }

    fn is_believed(&self, monotonic: Duration) -> bool {
        monotonic >= self.paused_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;

    /// Each step: wall seconds, monotonic seconds, whether the wall clock is believed.
    #[track_caller]
    fn check(steps: &[(i64, i64, bool)]) {
        let mut time = ExpiryTime::default();
        for &(wall, monotonic, believed) in steps {
            let wall = Timestamp::from_seconds(wall);
            let monotonic = Duration::from_secs(u64::try_from(monotonic).expect("after the start"));
            let expected = believed.then_some(wall);
            assert_eq!(time.trusted(wall, monotonic), expected, "wall {wall}, monotonic {monotonic:?}");
        }
    }

    #[test]
    fn time_that_passes_is_believed() {
        check(&[
            (1000, 5, true),
            (1000 + 900_000, 5 + 900_000, true),
            (1000 + 900_000 + 59 * MINUTE, 900_005, true),
        ]);
    }

    #[test]
    fn a_leap_ahead_is_believed_after_an_hour() {
        check(&[
            (0, 5, true),
            (61 * MINUTE, 5, false),
            (120 * MINUTE, 4 + 59 * MINUTE, false),
            (121 * MINUTE, 5 + 60 * MINUTE, true),
        ]);
    }

    #[test]
    fn a_leap_ahead_hides_what_an_hour_would() {
        let mut time = ExpiryTime::default();
        for (wall, monotonic, expected) in [
            (0, 5, 0),
            (30, 35, 30),
            (500 * MINUTE, 35, 30 + 60 * MINUTE),
            (600 * MINUTE, 95, 30 + 60 * MINUTE),
        ] {
            let found = time.hide_by(Timestamp::from_seconds(wall), Duration::from_secs(monotonic));
            assert_eq!(found, Timestamp::from_seconds(expected), "wall {wall}");
        }
    }

    #[test]
    fn a_leap_ahead_that_is_taken_back_is_forgotten() {
        check(&[(0, 5, true), (61 * MINUTE, 5, false), (60, 65, true)]);
    }
}
