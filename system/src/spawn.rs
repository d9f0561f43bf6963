//! Long-running loops (committer, drain, scrub): an OS thread each in production, a task of the seeded
//! scheduler in simulation.

use crate::BoxFuture;

/// Starts loops.
pub trait Spawn: Send + Sync + 'static {
    /// Runs `task` to its end on a thread (or simulated task) of its own, named `name`. The task may block that
    /// thread, and may sleep by the [`crate::Clock`] that came with this spawner.
    fn spawn(&self, name: &str, task: BoxFuture<'static, ()>) -> TaskHandle;
}

/// Completes when the task has ended.
pub struct TaskHandle(pub BoxFuture<'static, ()>);
