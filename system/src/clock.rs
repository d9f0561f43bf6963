//! Time, passed in.

use std::time::Duration;

use thalweg_types::Timestamp;

use crate::BoxFuture;

/// A source of time. Rules take the time as an argument; only the loops around them hold a clock.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: may step in either direction.
    fn wall(&self) -> Timestamp;

    /// Time since some fixed moment: never goes back, does not follow the wall clock's steps.
    fn monotonic(&self) -> Duration;

    /// Completes once `duration` of monotonic time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}
