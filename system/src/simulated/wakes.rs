//! A waker that counts, for tests of who is woken and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// Counts the wakes of its wakers. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct WakeCount(Arc<Count>);

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl WakeCount {
    /// One of its wakers.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// How many wakes there were.
    pub fn get(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}
