//! Where work goes that must outlive whoever began it: a connection, a call.

use crate::BoxFuture;

/// Runs tasks beside the one that starts them. They share its thread or not; they must not block.
pub trait Tasks: Send + Sync + 'static {
    /// Runs `task` to its end, unless the whole program ends first.
    fn run(&self, task: BoxFuture<'static, ()>);
}
