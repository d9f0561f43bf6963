//! Where work goes that must outlive the connection that asked for it.

use thalweg_system::BoxFuture;

/// Runs tasks beside the one that starts them. They share its thread or not; they must not block.
pub trait Tasks: Send + Sync + 'static {
    /// Runs `task` to its end, unless the whole program ends first.
    fn run(&self, task: BoxFuture<'static, ()>);
}

/// Tasks of the tokio runtime that the caller runs under.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTasks;

impl Tasks for TokioTasks {
    /// # Panics
    /// Outside of a tokio runtime.
    fn run(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}
