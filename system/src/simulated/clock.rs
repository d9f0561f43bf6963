//! A clock that only moves when told.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use thalweg_types::Timestamp;

use crate::clock::WALL_MAX;
use crate::{BoxFuture, Clock};

/// A clock advanced by hand. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    wall: Timestamp,
    monotonic: Duration,
    /// Whoever sleeps, with the time to wake at. Bounded by the number of sleeping tasks: a sleep that ends or is
    /// dropped leaves.
    sleepers: Vec<Sleeper>,
    next_sleeper: u64,
}

#[derive(Debug)]
struct Sleeper {
    id: u64,
    until: Duration,
    waker: Waker,
}

impl ManualClock {
    /// A clock whose wall says `wall` and whose monotonic time is zero.
    pub fn new(wall: Timestamp) -> Self {
        let state = State { wall, monotonic: Duration::ZERO, sleepers: Vec::new(), next_sleeper: 0 };
        ManualClock { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no one panics while holding the clock")
    }

    /// Lets `duration` pass, by both clocks, and wakes those whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.wall = state.wall.plus(duration);
        state.monotonic += duration;
        let now = state.monotonic;
        let (due, waiting) =
            std::mem::take(&mut state.sleepers).into_iter().partition(|one| one.until <= now);
        state.sleepers = waiting;
        drop(state);
        // Outside the lock: a waker may run anything.
        for sleeper in Vec::<Sleeper>::into_iter(due) {
            sleeper.waker.wake();
        }
    }

    /// Steps the wall clock, in either direction. Monotonic time stays.
    pub fn set_wall(&self, wall: Timestamp) {
        self.state().wall = wall;
    }

    /// How long until the next sleeper wakes; `None` when no one sleeps.
    pub fn until_next_wake(&self) -> Option<Duration> {
        let state = self.state();
        let next = state.sleepers.iter().map(|sleeper| sleeper.until).min()?;
        Some(next.saturating_sub(state.monotonic))
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.state().wall.min(WALL_MAX)
    }

    fn monotonic(&self) -> Duration {
        self.state().monotonic
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        let until = state.monotonic.saturating_add(duration);
        let id = state.next_sleeper;
        state.next_sleeper += 1;
        Box::pin(Sleep { clock: self.clone(), id, until })
    }
}

/// Registers itself when first polled, and leaves when dropped.
struct Sleep {
    clock: ManualClock,
    id: u64,
    until: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if self.until <= state.monotonic {
            return Poll::Ready(());
        }
        state.sleepers.retain(|sleeper| sleeper.id != self.id);
        state.sleepers.push(Sleeper { id: self.id, until: self.until, waker: context.waker().clone() });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.state().sleepers.retain(|sleeper| sleeper.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_when_their_time_has_come() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        let mut context = Context::from_waker(Waker::noop());
        let mut sleep = clock.sleep(Duration::from_secs(5));
        assert_eq!(clock.until_next_wake(), None, "a sleep begins when it is awaited");
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_secs(3));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.until_next_wake(), Some(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(2));
        assert!(sleep.as_mut().poll(&mut context).is_ready());
        assert_eq!((clock.wall(), clock.monotonic()), (Timestamp::from_seconds(105), Duration::from_secs(5)));

        let mut dropped = clock.sleep(Duration::from_secs(1));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        drop(dropped);
        assert_eq!(clock.until_next_wake(), None);
    }

    #[test]
    fn the_wall_may_step_back_and_monotonic_time_does_not() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        clock.advance(Duration::from_secs(1));
        clock.set_wall(Timestamp::from_seconds(7));
        assert_eq!((clock.wall(), clock.monotonic()), (Timestamp::from_seconds(7), Duration::from_secs(1)));
    }
}
