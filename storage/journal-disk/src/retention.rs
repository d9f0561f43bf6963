//! How long streams are kept, and whether the wall clock may be believed when it says that something is too old.
//! Pure: times are arguments. What is removed, and how, is [`crate::maintenance`]'s.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_types::{StreamId, Timestamp};

/// What the services told us since the start.
#[derive(Default)]
pub(crate) struct Retention(Mutex<State>);

#[derive(Default)]
struct State {
    periods: FxHashMap<StreamId, Duration>,
    /// Streams whose period changed: what arrived before these times was not covered by one that held, and must not come
    /// back, whatever is told later. What it would not have covered later is covered by the next one.
    changed: FxHashMap<StreamId, Timestamp>,
}

impl Retention {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `now`: until when the period before held.
    pub(crate) fn set(&self, stream: StreamId, period: Duration, now: Timestamp) {
        let mut state = self.state();
        let before = state.periods.insert(stream, period);
        if before == Some(period) {
            return;
        }
        let gone = before.map_or(Timestamp::ZERO, |before| now.minus(before));
        let changed = state.changed.entry(stream).or_insert(gone);
        *changed = (*changed).max(gone);
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<Duration> {
        self.state().periods.get(&stream).copied()
    }

    pub(crate) fn forget(&self, stream: StreamId) {
        let mut state = self.state();
        state.periods.remove(&stream);
        state.changed.remove(&stream);
    }

    /// The streams whose period changed since the last call, in order, and before which time what arrived is gone now.
    pub(crate) fn take_changed(&self, now: Timestamp) -> Vec<(StreamId, Timestamp)> {
        let mut state = self.state();
        let State { periods, changed } = &mut *state;
        let gone = |(stream, gone): (StreamId, Timestamp)| (stream, gone.max(now.minus(periods[&stream])));
        let mut changed: Vec<_> = changed.drain().map(gone).collect();
        changed.sort_unstable();
        changed
    }

    /// Gives a change back that could not be dealt with yet.
    pub(crate) fn put_back(&self, stream: StreamId, gone: Timestamp) {
        let mut state = self.state();
        if state.periods.contains_key(&stream) {
            let changed = state.changed.entry(stream).or_insert(gone);
            *changed = (*changed).max(gone);
        }
    }
}

/// The time by which things expire: the wall clock's, as long as it goes on from what was believed before.
///
/// A wall clock that jumps ahead by years (a wrong time server, a dead battery) would expire everything. So a jump
/// stops expiry until it is confirmed: by the operator, or by the clock running on evenly for a while. A clock that
/// goes back is believed at once, since that keeps more.
pub(crate) struct ExpiryClock {
    /// The last wall time that was believed, and the monotonic time then.
    believed: (Timestamp, Duration),
    doubt: Option<Doubt>,
    jump_max: Duration,
    confirm_after: Duration,
}

/// By how many milliseconds a wall time is ahead of a monotonic one.
pub(crate) fn lead(wall: Timestamp, monotonic: Duration) -> i64 {
    let monotonic = i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX);
    wall.as_millis().saturating_sub(monotonic)
}

struct Doubt {
    wall: Timestamp,
    since: Duration,
}

impl ExpiryClock {
    /// Goes on from `believed` (what the last checkpoint says, else the clock) at monotonic time `monotonic`.
    pub(crate) fn new(
        believed: Timestamp,
        monotonic: Duration,
        jump_max: Duration,
        confirm_after: Duration,
    ) -> Self {
        ExpiryClock { believed: (believed, monotonic), doubt: None, jump_max, confirm_after }
    }

    /// The time to expire by; `None` while the wall clock is in doubt.
    pub(crate) fn now(&mut self, wall: Timestamp, monotonic: Duration) -> Option<Timestamp> {
        let is_ahead = |from: Timestamp, at: Duration| {
            wall > from.plus(monotonic.saturating_sub(at)).plus(self.jump_max)
        };
        if !is_ahead(self.believed.0, self.believed.1) {
            if self.doubt.take().is_some() {
                tracing::info!(%wall, "the wall clock is back where it was; expiry goes on");
            }
            self.believed = (wall, monotonic);
            return Some(wall);
        }
        match &self.doubt {
            Some(doubt) if !is_ahead(doubt.wall, doubt.since) => {
                if monotonic.saturating_sub(doubt.since) < self.confirm_after {
                    return None;
                }
                tracing::warn!(%wall, "the wall clock ran on evenly after its jump; expiry goes on by it");
                self.confirm(wall, monotonic);
                Some(wall)
            }
            _ => {
                let believed = self.believed.0.plus(monotonic.saturating_sub(self.believed.1));
                tracing::warn!(%wall, %believed, "the wall clock jumped ahead; nothing expires until that is confirmed");
                self.doubt = Some(Doubt { wall, since: monotonic });
                None
            }
        }
    }

    /// Somebody who should know says that the wall clock is right.
    pub(crate) fn confirm(&mut self, wall: Timestamp, monotonic: Duration) {
        self.believed = (wall, monotonic);
        self.doubt = None;
    }

    /// The [`lead`] of the wall clock when it was last believed: one that is ahead by more than this and the allowed
    /// jump is in doubt.
    pub(crate) fn believed_lead(&self) -> i64 {
        lead(self.believed.0, self.believed.1)
    }

    /// The wall time to remember in a checkpoint.
    pub(crate) fn believed(&self, monotonic: Duration) -> Timestamp {
        self.believed.0.plus(monotonic.saturating_sub(self.believed.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u64) -> Timestamp {
        Timestamp::ZERO.plus(HOUR * u32::try_from(hours).expect("tests are short"))
    }

    /// Each look: monotonic hour, wall hour, whether it is believed.
    #[track_caller]
    fn check_clock(start: u64, looks: &[(u64, u64, bool)]) {
        let mut clock = ExpiryClock::new(at(start), Duration::ZERO, HOUR, 3 * HOUR);
        for &(monotonic, wall, believed) in looks {
            let monotonic = HOUR * u32::try_from(monotonic).expect("tests are short");
            let expected = believed.then(|| at(wall));
            assert_eq!(clock.now(at(wall), monotonic), expected, "at {monotonic:?} with wall hour {wall}");
        }
    }

    #[test]
    fn a_jump_ahead_stops_expiry_until_the_clock_ran_on_evenly() {
        check_clock(100, &[(0, 100, true), (5, 105, true), (6, 107, true)]);
        check_clock(
            100,
            &[(0, 200, false), (1, 201, false), (2, 202, false), (3, 203, true), (4, 204, true)],
        );
        // A second jump begins the wait again.
        check_clock(100, &[(0, 200, false), (2, 300, false), (4, 302, false), (5, 303, true)]);
    }

    #[test]
    fn a_clock_that_comes_back_is_believed_at_once() {
        check_clock(100, &[(0, 200, false), (1, 101, true), (2, 102, true)]);
        check_clock(100, &[(0, 50, true), (1, 51, true), (2, 102, false)]);
    }

    #[test]
    fn what_a_period_did_not_cover_while_it_held_is_gone_and_no_more() {
        let retention = Retention::default();
        let stream = StreamId(1);
        retention.set(stream, 48 * HOUR, at(100));
        assert_eq!(retention.take_changed(at(100)), [(stream, at(52))]);
        retention.set(stream, 24 * HOUR, at(101));
        retention.set(stream, 72 * HOUR, at(102));
        assert_eq!(retention.take_changed(at(110)), [(stream, at(78))], "24 hours held until 102");
        retention.set(stream, 72 * HOUR, at(111));
        assert_eq!(retention.take_changed(at(111)), []);
        retention.set(stream, 96 * HOUR, at(120));
        assert_eq!(retention.take_changed(at(130)), [(stream, at(48))]);
        retention.set(stream, 24 * HOUR, at(140));
        assert_eq!(retention.take_changed(at(150)), [(stream, at(126))], "it still holds");
        assert_eq!(retention.get(stream), Some(24 * HOUR));
    }
}
