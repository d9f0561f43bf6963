//! Tasks of tokio.

use crate::{BoxFuture, Tasks};

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
