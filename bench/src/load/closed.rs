//! Closed loop: each lane sends its next request when the answer to the last one is complete.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::load::{Pool, Request};
use crate::meter::{self, Work};

/// How long a lane that was told to slow down waits before it sends the same again.
pub(crate) const THROTTLE_PAUSE: Duration = Duration::from_millis(10);

/// When a loop ends: when all of this is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) seconds: f64,
    pub(crate) payload_bytes: u64,
}

impl Until {
    /// So long, whatever was moved.
    pub(crate) fn seconds(seconds: f64) -> Until {
        Until { seconds, payload_bytes: 0 }
    }
}

impl Pool {
    /// Sends the requests in turn on every lane, each lane beginning at another one. Latency is counted from when a
    /// request was first sent.
    pub(crate) async fn closed(&mut self, requests: &Rc<[Request]>, until: Until) -> Work {
        let end = Instant::now() + Duration::from_secs_f64(until.seconds);
        let done = Rc::new(RefCell::new(Work { latency: Some(meter::histogram()), ..Work::default() }));
        let mut tasks = Vec::new();
        for (number, mut lane) in self.lanes.drain(..).enumerate() {
            let (requests, done) = (Rc::clone(requests), Rc::clone(&done));
            tasks.push(tokio::task::spawn_local(async move {
                for turn in number.. {
                    let request = &requests[turn % requests.len()];
                    let sent = Instant::now();
                    while !lane.attempt(request).await {
                        done.borrow_mut().throttled += 1;
                        tokio::time::sleep(THROTTLE_PAUSE).await;
                    }
                    let now = Instant::now();
                    let mut done = done.borrow_mut();
                    done.count(request, now - sent);
                    if now >= end && done.payload_bytes >= until.payload_bytes {
                        break;
                    }
                }
                lane
            }));
        }
        for task in tasks {
            self.lanes.push(task.await.expect("lanes do not panic"));
        }
        done.take()
    }
}

impl Work {
    /// Counts a request that was answered.
    pub(crate) fn count(&mut self, request: &Request, latency: Duration) {
        self.requests += 1;
        self.records += request.records;
        self.payload_bytes += request.payload_bytes;
        if let Some(histogram) = &mut self.latency {
            histogram.record(latency.as_nanos() as u64).expect("it grows by itself");
        }
    }
}
