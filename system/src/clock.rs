//! Time, passed in.

use std::time::Duration;

use thalweg_types::Timestamp;

use crate::BoxFuture;

/// No clock shows a later time: the start of the year 2470. Sequence numbers hold times until late in 2477; the years
/// between are for what must be later than something else by a second.
pub const WALL_MAX: Timestamp = Timestamp::from_seconds(15_778_540_800);

/// A source of time. Rules take the time as an argument; only the loops around them hold a clock.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock: may step in either direction. At most [`WALL_MAX`].
    fn wall(&self) -> Timestamp;

    /// Time since some fixed moment: never goes back, does not follow the wall clock's steps.
    fn monotonic(&self) -> Duration;

    /// Completes once `duration` of monotonic time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}
