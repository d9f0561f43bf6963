//! Closed loop: each lane sends its next request when the answer to the last one is complete.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::load::{Pool, Request};
use crate::meter::{self, Work};

/// How long a lane that was told to slow down waits before it sends the same again.
pub(crate) const THROTTLE_PAUSE: Duration = Duration::from_millis(10);

/// A loop that moves less than this a second does not go on for the sake of its bytes.
const SLOW_BYTES_PER_SECOND: f64 = 60e6;

/// When a loop ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    seconds: f64,
    payload_bytes: u64,
    slow_bytes_per_second: f64,
}

impl Until {
    /// So long, whatever was moved.
    pub(crate) fn seconds(seconds: f64) -> Until {
        Until { seconds, payload_bytes: 0, slow_bytes_per_second: 0.0 }
    }

    /// When so much was moved, however long it takes.
    pub(crate) fn moved(payload_bytes: u64) -> Until {
        Until { payload_bytes, ..Until::seconds(0.0) }
    }

    /// So long and until so much was moved; the bytes do not count where they would take for ever.
    pub(crate) fn both(seconds: f64, payload_bytes: u64) -> Until {
        Until { seconds, payload_bytes, slow_bytes_per_second: SLOW_BYTES_PER_SECOND }
    }

    /// Whether bytes count.
    pub(crate) fn moves_bytes(self) -> bool {
        self.payload_bytes > 0
    }

    /// Whether it is over after so long, when so much was moved.
    fn is_over(self, after: Duration, payload_bytes: u64) -> bool {
        let seconds = after.as_secs_f64();
        let slow = (payload_bytes as f64) < seconds * self.slow_bytes_per_second;
        seconds >= self.seconds && (payload_bytes >= self.payload_bytes || slow)
    }
}

impl Pool {
    /// Sends the requests in turn on every lane, each lane beginning at another one. Latency is counted from when a
    /// request was first sent.
    pub(crate) async fn closed(&mut self, requests: &Rc<[Request]>, until: Until) -> Work {
        let started = Instant::now();
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
                    if until.is_over(now - started, done.payload_bytes) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_ends_when_both_time_and_bytes_are_reached_unless_it_is_slow() {
        #[track_caller]
        fn check(until: Until, seconds: f64, payload_bytes: u64, over: bool) {
            assert_eq!(until.is_over(Duration::from_secs_f64(seconds), payload_bytes), over, "{until:?}");
        }
        check(Until::seconds(2.0), 1.9, 1 << 40, false);
        check(Until::seconds(2.0), 2.0, 0, true);
        check(Until::moved(1000), 1e6, 999, false);
        check(Until::moved(1000), 0.001, 1000, true);
        check(Until::both(2.0, 1 << 30), 1.0, 2 << 30, false);
        check(Until::both(2.0, 1 << 30), 2.0, 900_000_000, false);
        check(Until::both(2.0, 1 << 30), 2.0, 1 << 30, true);
        check(Until::both(2.0, 1 << 30), 5.0, 250_000_000, true);
    }
}
