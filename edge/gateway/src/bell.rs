//! Wakes from other threads, gathered: a batch that becomes durable answers all of its puts at once, and each wake of a
//! task from another thread would be a system call.
//!
//! ```text
//!   another thread:  wake, wake, wake -> list; the first one rings (one system call)
//!   this thread:     the ringer wakes everyone on the list, which costs none
//! ```
//!
//! A thread that wakes many at once rings when all are on the list (`thalweg_system::cork`). What wakes from the thread
//! itself is not gathered.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use futures_util::task::AtomicWaker;
use thalweg_system::cork;

/// The wakes of one thread's tasks. The list is as long as the thread has tasks, at most.
pub(crate) struct Bell {
    thread: ThreadId,
    waiting: Mutex<Vec<Arc<Sleeper>>>,
    ringer: AtomicWaker,
}

/// A task as its wakers know it.
struct Sleeper {
    bell: Arc<Bell>,
    task: AtomicWaker,
    /// It is on the bell's list.
    is_listed: AtomicBool,
}

impl Bell {
    /// For the tasks of the thread that calls this.
    pub(crate) fn new() -> Arc<Self> {
        let thread = thread::current().id();
        Arc::new(Bell { thread, waiting: Mutex::default(), ringer: AtomicWaker::new() })
    }

    /// Wakes whoever is on the list, for ever. To run on the bell's thread.
    pub(crate) fn ring(self: Arc<Self>) -> impl Future<Output = ()> {
        let mut woken = Vec::new();
        poll_fn(move |context| {
            // Before the list is taken: what comes later rings again.
            self.ringer.register(context.waker());
            std::mem::swap(&mut woken, &mut *self.waiting.lock().expect("no holder panics"));
            for sleeper in woken.drain(..) {
                // Before it is woken: a wake that comes while it runs is one more. Acquires what those wrote who found
                // it on the list.
                sleeper.is_listed.swap(false, Ordering::AcqRel);
                sleeper.task.wake();
            }
            Poll::Pending
        })
    }

    /// `future`, with its wakes gathered.
    pub(crate) fn gather<F: Future>(self: &Arc<Self>, future: F) -> impl Future<Output = F::Output> + use<F> {
        let sleeper =
            Sleeper { bell: Arc::clone(self), task: AtomicWaker::new(), is_listed: AtomicBool::new(false) };
        let sleeper = Arc::new(sleeper);
        let waker = Waker::from(Arc::clone(&sleeper));
        async move {
            let mut future = pin!(future);
            poll_fn(|context| {
                sleeper.task.register(context.waker());
                future.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await
        }
    }

    fn add(&self, sleeper: Arc<Sleeper>) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        waiting.push(sleeper);
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first && let Some(ringer) = self.ringer.take() {
            cork::wake(ringer);
        }
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() == self.bell.thread {
            self.task.wake();
        } else if !self.is_listed.swap(true, Ordering::AcqRel) {
            self.bell.add(Arc::clone(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_system::simulated::WakeCount;
    use tokio::sync::oneshot;

    use super::*;

    /// Runs on a thread that is not the bell's.
    #[allow(clippy::disallowed_methods, reason = "the rule is about threads")]
    fn elsewhere(work: impl FnOnce() + Send) {
        thread::scope(|scope| scope.spawn(work).join().expect("no panic"));
    }

    #[test]
    fn wakes_from_elsewhere_ring_once() {
        let bell = Bell::new();
        let (ringer_count, task_count) = (WakeCount::default(), WakeCount::default());
        let (ringer_waker, task_waker) = (ringer_count.waker(), task_count.waker());
        let counts = || (ringer_count.get(), task_count.get());
        let mut ring = Box::pin(Arc::clone(&bell).ring());
        let mut ring = || assert!(ring.as_mut().poll(&mut Context::from_waker(&ringer_waker)).is_pending());
        ring();
        let mut senders = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..10 {
            let (sender, receiver) = oneshot::channel();
            let mut task = Box::pin(bell.gather(receiver));
            assert!(task.as_mut().poll(&mut Context::from_waker(&task_waker)).is_pending());
            senders.push(sender);
            tasks.push(task);
        }
        elsewhere(|| {
            senders.drain(..9).for_each(|sender: oneshot::Sender<u32>| sender.send(7).expect("asked"))
        });
        assert_eq!(counts(), (1, 0), "one ring for nine, and nobody is woken by another thread");
        ring();
        assert_eq!(counts(), (1, 9));
        for task in &mut tasks[..9] {
            let polled = task.as_mut().poll(&mut Context::from_waker(&task_waker));
            assert_eq!(polled, Poll::Ready(Ok(7)));
        }
        let last = senders.pop().expect("the tenth");
        elsewhere(|| last.send(8).expect("asked"));
        assert_eq!(counts(), (2, 9), "it rings again once the list was taken");
        ring();
        assert_eq!(counts(), (2, 10));
        ring();
        assert_eq!(counts(), (2, 10), "nobody is woken twice");
    }

    #[test]
    fn a_wake_on_the_same_thread_needs_no_bell() {
        let bell = Bell::new();
        let count = WakeCount::default();
        let waker = count.waker();
        let (sender, receiver) = oneshot::channel();
        let mut task = Box::pin(bell.gather(receiver));
        assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sender.send(7).expect("asked");
        assert_eq!(count.get(), 1);
        assert_eq!(task.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(7)));
    }
}
