//! Sleeping to the microsecond: the runtime's own timer is one of milliseconds.
//!
//! The last stretch is not slept: a processor that falls asleep and is woken for every request of twenty thousand a
//! second has nothing left for the requests, and on a virtual machine the server pays for the waking.

use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Less than this is waited for awake, with whatever else there is to do in between.
const AWAKE: Duration = Duration::from_millis(1);

/// A timer of the system's.
pub(crate) struct Timer {
    /// Not a pipe, but as readable as one: it gives eight bytes when it went off.
    descriptor: Receiver,
}

impl Timer {
    /// Must be made within a runtime.
    pub(crate) fn new() -> Timer {
        let descriptor = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)
            .expect("Linux has timers");
        let descriptor = Receiver::from_owned_fd_unchecked(descriptor).expect("a timer can be waited for");
        Timer { descriptor }
    }

    /// Sleeps until then; at once when it is past.
    pub(crate) async fn until(&mut self, due: Instant) {
        let left = due.saturating_duration_since(Instant::now());
        if left > AWAKE {
            self.set(left - AWAKE);
            let read = self.descriptor.read_exact(&mut [0; 8]).await.expect("timers can be read");
            assert_eq!(read, 8, "how often it went off");
        }
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
    }

    fn set(&self, left: Duration) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let setting = Itimerspec { it_interval: zero, it_value: value };
        rustix::time::timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)
            .expect("the time is valid");
    }
}
