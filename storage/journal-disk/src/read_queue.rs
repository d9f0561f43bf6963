//! The way to the readers: jobs in order, bounded by count. Each job wakes one reader.
//!
//! Not here: what a job is ([`crate::reader`]).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

pub(crate) struct ReadQueue<T> {
    jobs: Mutex<VecDeque<T>>,
    /// Rings when a job came, and again while there are more.
    arrived: Notify,
    /// Room for jobs; closed with the queue.
    room: Semaphore,
}

impl<T> ReadQueue<T> {
    pub(crate) fn new(count_max: usize) -> Self {
        ReadQueue {
            jobs: Mutex::default(),
            arrived: Notify::new(),
            room: Semaphore::new(count_max.min(Semaphore::MAX_PERMITS)),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job; waits while the queue is full. False once it is closed, when the job is dropped.
    pub(crate) async fn push(&self, job: T) -> bool {
        let Ok(room) = self.room.acquire().await else { return false };
        room.forget();
        {
            // Closed meanwhile: nobody would take it. Looked at under the lock that closing takes, too.
            let mut jobs = self.jobs();
            if self.room.is_closed() {
                return false;
            }
            jobs.push_back(job);
        }
        self.arrived.notify_one();
        true
    }

    /// Queues a job that nobody waits for, if no other one waits.
    pub(crate) fn push_if_idle(&self, job: T) -> bool {
        let mut jobs = self.jobs();
        let Ok(room) = self.room.try_acquire() else { return false };
        if !jobs.is_empty() {
            return false;
        }
        room.forget();
        jobs.push_back(job);
        drop(jobs);
        self.arrived.notify_one();
        true
    }

    /// The next job.
    pub(crate) async fn take(&self) -> T {
        loop {
            {
                let mut jobs = self.jobs();
                if let Some(job) = jobs.pop_front() {
                    self.room.add_permits(1);
                    // Two rings before the first was heard are one.
                    if !jobs.is_empty() {
                        self.arrived.notify_one();
                    }
                    return job;
                }
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs().is_empty()
    }

    /// Takes no more, and drops what waits.
    pub(crate) fn close(&self) {
        let mut jobs = self.jobs();
        self.room.close();
        jobs.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn jobs_come_in_order_and_wait_for_room() {
        let queue = Arc::new(ReadQueue::new(2));
        assert!(queue.push(1).await && queue.push(2).await);
        assert!(!queue.push_if_idle(9), "another one waits");
        let third = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.push(3).await })
        };
        assert_eq!((queue.take().await, queue.take().await, queue.take().await), (1, 2, 3));
        assert!(third.await.expect("it does not panic"));
        assert!(queue.push_if_idle(4));
        assert_eq!(queue.take().await, 4);
    }

    #[tokio::test]
    async fn every_waiting_taker_is_woken() {
        let queue = Arc::new(ReadQueue::new(10));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.take().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for job in 0..3 {
            assert!(queue.push(job).await);
        }
        for taker in takers {
            taker.await.expect("each gets one");
        }
    }

    #[tokio::test]
    async fn a_closed_queue_takes_nothing_and_drops_what_waited() {
        let queue = Arc::new(ReadQueue::new(1));
        let held = Arc::new(());
        assert!(queue.push(Arc::clone(&held)).await);
        let waiting = {
            let (queue, job) = (Arc::clone(&queue), Arc::clone(&held));
            tokio::spawn(async move { queue.push(job).await })
        };
        tokio::task::yield_now().await;
        queue.close();
        assert!(!waiting.await.expect("it does not panic"));
        assert!(!queue.push(Arc::clone(&held)).await && !queue.push_if_idle(Arc::clone(&held)));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
