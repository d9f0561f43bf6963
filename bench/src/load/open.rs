//! Open loop: requests are due at fixed times, whether or not the last ones were answered, and latency is counted from
//! when a request was due. So a server that stalls is charged for all that it kept waiting.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::load::closed::THROTTLE_PAUSE;
use crate::load::{Lane, Pool, Request, Timer};
use crate::meter::{self, Work};

/// The generator is late when more than one in a hundred requests was handed out this long after it was due.
const LATE: Duration = Duration::from_millis(1);

/// When requests are due: `rate` a second, evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rate: f64,
    count: u64,
}

impl Schedule {
    /// All that are due within these seconds, the first one at once.
    pub(crate) fn new(rate: f64, seconds: f64) -> Schedule {
        assert!(rate > 0.0, "requests come at a rate");
        Schedule { rate, count: (rate * seconds).ceil() as u64 }
    }

    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        self.count
    }

    /// How long after the start a request is due; `None` after the last.
    pub(crate) fn due(self, number: u64) -> Option<Duration> {
        (number < self.count).then(|| Duration::from_secs_f64(number as f64 / self.rate))
    }
}

/// Makes the request of this number, which is due then.
pub(crate) type Next = dyn Fn(u64, Instant) -> Request;

/// Due requests on their way to a free lane.
#[derive(Default)]
struct Queue {
    due: RefCell<VecDeque<(u64, Instant)>>,
    arrived: Notify,
    over: Cell<bool>,
}

impl Pool {
    /// Sends the requests in turn, `rate` a second for so long, each on a lane that is free.
    pub(crate) async fn open(&mut self, requests: &Rc<[Request]>, rate: f64, seconds: f64) -> Work {
        let requests = Rc::clone(requests);
        let next = move |number: u64, _| requests[number as usize % requests.len()].clone();
        self.open_with(Schedule::new(rate, seconds), Rc::new(next)).await
    }

    /// Sends what `next` makes of a request's number, and of when it was due, when it is handed to a lane.
    pub(crate) async fn open_with(&mut self, schedule: Schedule, next: Rc<Next>) -> Work {
        let queue = Rc::new(Queue::default());
        let done = Rc::new(RefCell::new(Work { latency: Some(meter::histogram()), ..Work::default() }));
        let mut tasks = Vec::new();
        for lane in self.lanes.drain(..) {
            let work = work(lane, Rc::clone(&queue), Rc::clone(&next), Rc::clone(&done));
            tasks.push(tokio::task::spawn_local(work));
        }
        let note = hand_out(schedule, &queue).await;
        for task in tasks {
            self.lanes.push(task.await.expect("lanes do not panic"));
        }
        Work { note, ..done.take() }
    }
}

/// Puts requests into the queue when they are due; answers whether the generator fell behind.
async fn hand_out(schedule: Schedule, queue: &Queue) -> Option<String> {
    let (mut timer, start) = (Timer::new(), Instant::now());
    let (mut late, mut longest, mut number) = (0, 0, 0);
    while let Some(after) = schedule.due(number) {
        let due = start + after;
        timer.until(due).await;
        late += u64::from(due.elapsed() > LATE);
        let mut waiting = queue.due.borrow_mut();
        waiting.push_back((number, due));
        longest = longest.max(waiting.len());
        queue.arrived.notify_one();
        number += 1;
    }
    queue.over.set(true);
    queue.arrived.notify_waiters();
    let behind = late * 100 > number;
    behind
        .then(|| format!("the generator was late with {late} of {number} requests; {longest} waited at most"))
}

/// Takes requests from the queue until no more will come.
async fn work(mut lane: Lane, queue: Rc<Queue>, next: Rc<Next>, done: Rc<RefCell<Work>>) -> Lane {
    loop {
        let first = queue.due.borrow_mut().pop_front();
        let Some((number, due)) = first else {
            let arrived = queue.arrived.notified();
            if queue.over.get() {
                return lane;
            }
            arrived.await;
            continue;
        };
        let request = next(number, due);
        while !lane.attempt(&request).await {
            done.borrow_mut().throttled += 1;
            tokio::time::sleep(THROTTLE_PAUSE).await;
        }
        done.borrow_mut().count(&request, due.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly_and_none_after_the_end() {
        #[track_caller]
        fn check(rate: f64, seconds: f64, due_millis: &[u64]) {
            let schedule = Schedule::new(rate, seconds);
            let mut all = Vec::new();
            while let Some(due) = schedule.due(all.len() as u64) {
                all.push(due.as_millis() as u64);
            }
            assert_eq!(all, due_millis, "{rate} a second for {seconds} s");
        }
        check(10.0, 0.5, &[0, 100, 200, 300, 400]);
        check(4.0, 0.6, &[0, 250, 500]);
        check(1000.0, 0.002, &[0, 1]);
        check(2.0, 0.0, &[]);
    }
}
