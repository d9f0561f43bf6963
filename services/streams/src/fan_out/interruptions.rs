//! What a subscription waits for beside records, and what rarely comes: watched all the time, looked at only when it
//! happened. A subscription at the tail waits once for each commit; registering with all of this anew each time would cost
//! more than the rest of the wait.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use thalweg_api::BoxFuture;
use thalweg_system::Clock;
use tokio::sync::watch;

use crate::stream::Stream;

/// Three watched values, and an alarm.
pub(super) struct Interruptions {
    clock: Arc<dyn Clock>,
    causes: FuturesUnordered<BoxFuture<'static, Option<Watched>>>,
    /// When the alarm rings; `None`: it is not set.
    alarm: Option<Duration>,
}

/// What can be watched again.
enum Watched {
    Stream(watch::Receiver<Arc<Stream>>),
    Flag(watch::Receiver<bool>),
    Alarm,
}

impl Interruptions {
    /// Changes of these, from what they are now on.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        stream: &watch::Receiver<Arc<Stream>>,
        flags: [&watch::Receiver<bool>; 2],
    ) -> Self {
        let mut interruptions = Interruptions { clock, causes: FuturesUnordered::new(), alarm: None };
        interruptions.watch(Watched::Stream(stream.clone()));
        for flag in flags {
            interruptions.watch(Watched::Flag(flag.clone()));
        }
        interruptions
    }

    /// Completes when one of them changed, and at `until` at the latest; may complete earlier without a reason.
    /// Cancelling it loses nothing.
    pub(super) async fn next(&mut self, now: Duration, until: Duration) {
        // One that rings too early is not set anew: there would be one for each wait.
        if self.alarm.is_none_or(|rings| rings > until) {
            let sleep = self.clock.sleep(until.saturating_sub(now));
            self.causes.push(Box::pin(async move {
                sleep.await;
                Some(Watched::Alarm)
            }));
            self.alarm = Some(until);
        }
        match self.causes.next().await {
            Some(Some(Watched::Alarm)) => self.alarm = None,
            Some(Some(watched)) => self.watch(watched),
            // Whoever could change it has gone; that is a change, and the last one.
            Some(None) => {}
            None => unreachable!("the alarm is set"),
        }
    }

    fn watch(&mut self, mut watched: Watched) {
        self.causes.push(Box::pin(async move {
            let outcome = match &mut watched {
                Watched::Stream(stream) => stream.changed().await,
                Watched::Flag(flag) => flag.changed().await,
                Watched::Alarm => unreachable!("it is set, not watched"),
            };
            outcome.is_ok().then_some(watched)
        }));
    }
}
