//! Wakes that a thread holds back until it has done all that it wakes others for: a committer that answers a batch of puts
//! wakes the network thread once, when all answers are there.
//!
//! Only wakes that go through [`wake`] are held back. Each thread has its own cork.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::task::Waker;

thread_local! {
    /// What is held back; `None` without a cork.
    static HELD: RefCell<Option<Vec<Waker>>> = const { RefCell::new(None) };
}

/// As long as it lives, the wakes of its thread are held back; it gives them when it is dropped.
///
/// Not to be kept while waiting: those who are to be woken wait, too. It cannot cross an await of a task that may change
/// its thread.
#[must_use = "wakes are held back as long as it lives"]
pub struct Cork {
    /// Inside another one it does nothing.
    is_outermost: bool,
    _on_this_thread: PhantomData<*const ()>,
}

impl Cork {
    /// Holds back the wakes of this thread from now on.
    #[allow(clippy::new_without_default, reason = "it does something to its thread")]
    pub fn new() -> Self {
        let is_outermost = HELD.with_borrow_mut(|held| {
            let is_outermost = held.is_none();
            held.get_or_insert_default();
            is_outermost
        });
        Cork { is_outermost, _on_this_thread: PhantomData }
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        if self.is_outermost {
            // Not while they are borrowed: a waker may wake others.
            let held = HELD.with_borrow_mut(Option::take).unwrap_or_default();
            held.into_iter().for_each(Waker::wake);
        }
    }
}

/// Wakes at once, or when this thread's [`Cork`] is dropped.
pub fn wake(waker: Waker) {
    let waker = HELD.with_borrow_mut(|held| match held {
        Some(held) => {
            held.push(waker);
            None
        }
        None => Some(waker),
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::WakeCount;

    #[test]
    fn wakes_are_given_when_the_outermost_cork_is_gone() {
        let count = WakeCount::default();
        let again = || wake(count.waker());
        let woken = || count.get();
        again();
        assert_eq!(woken(), 1, "without a cork at once");
        let outer = Cork::new();
        again();
        drop({
            let inner = Cork::new();
            again();
            inner
        });
        assert_eq!(woken(), 1);
        drop(outer);
        assert_eq!(woken(), 3);
        again();
        assert_eq!(woken(), 4, "and at once again");
    }
}
