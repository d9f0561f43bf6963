//! A clock that tests move, and tasks on tokio's runtime.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_system::{BoxFuture, Clock, Spawn, TaskHandle};
use thalweg_types::Timestamp;
use tokio::sync::watch;

/// Stands still until it is told. Clones are the same clock.
#[derive(Clone)]
pub struct ManualClock(Arc<Inner>);

struct Inner {
    wall_millis: Mutex<i64>,
    monotonic: watch::Sender<Duration>,
    /// How many sleeps wait now.
    sleepers: watch::Sender<usize>,
    /// Sleeps end at once, and move the clock themselves.
    automatic: bool,
}

impl ManualClock {
    pub fn new() -> Self {
        Self::with(false)
    }

    /// One whose sleeps move it and end at once: for code that only has to sleep, not to wait for anything else.
    pub fn automatic() -> Self {
        Self::with(true)
    }

    fn with(automatic: bool) -> Self {
        ManualClock(Arc::new(Inner {
            wall_millis: Mutex::new(1_700_000_000_000),
            monotonic: watch::Sender::new(Duration::from_secs(1)),
            sleepers: watch::Sender::new(0),
            automatic,
        }))
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.step_wall(i64::try_from(duration.as_millis()).expect("tests pass short times"));
        self.0.monotonic.send_modify(|now| *now += duration);
    }

    /// Sets the wall clock forward or back, without any time passing.
    pub fn step_wall(&self, millis: i64) {
        *self.0.wall_millis.lock().expect("no holder panics") += millis;
    }

    /// Waits until somebody sleeps on this clock.
    pub async fn until_slept_on(&self) {
        let mut sleepers = self.0.sleepers.subscribe();
        sleepers.wait_for(|&count| count > 0).await.expect("the sender lives in self");
    }

    pub async fn advance_when_slept_on(&self, duration: Duration) {
        self.until_slept_on().await;
        self.advance(duration);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.wall_millis.lock().expect("no holder panics"))
    }

    fn monotonic(&self) -> Duration {
        *self.0.monotonic.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            if clock.0.automatic {
                clock.advance(duration);
                return tokio::task::yield_now().await;
            }
            let mut monotonic = clock.0.monotonic.subscribe();
            let end = *monotonic.borrow() + duration;
            clock.0.sleepers.send_modify(|count| *count += 1);
            monotonic.wait_for(|&now| now >= end).await.expect("the sender lives in the clock");
            clock.0.sleepers.send_modify(|count| *count -= 1);
        })
    }
}

/// Runs tasks on the test's runtime.
pub struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, _name: &str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let task = tokio::spawn(task);
        TaskHandle(Box::pin(async move { task.await.expect("the task does not panic") }))
    }
}
