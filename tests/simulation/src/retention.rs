//! How long a stream may have kept its records, as far as clients can know.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::history::{Sent, believed};

/// A stream's, when it is made.
const HOURS_FIRST: u64 = 24;

#[derive(Clone)]
pub(crate) struct RetentionHistory {
    /// Periods of which one holds, in hours.
    maybe: BTreeSet<u64>,
    /// Those that were asked for without an answer yet, or ever.
    open: Vec<u64>,
    /// From when on which was the shortest that may hold, in monotonic time.
    least: Vec<(Duration, Duration)>,
}

impl Default for RetentionHistory {
    fn default() -> Self {
        let least = vec![(Duration::ZERO, hours(HOURS_FIRST))];
        RetentionHistory { maybe: BTreeSet::from([HOURS_FIRST]), open: Vec::new(), least }
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

impl RetentionHistory {
    pub(crate) fn ask(&mut self, hours: u64, now: Duration) {
        self.open.push(hours);
        self.note(now);
    }

    pub(crate) fn answered(&mut self, hours: u64, is_set: bool, now: Duration) {
        // The answer may outlive its server.
        if let Some(at) = self.open.iter().rposition(|open| *open == hours) {
            self.open.remove(at);
        }
        if is_set {
            self.maybe = BTreeSet::from([hours]);
        }
        self.note(now);
    }

    /// What was open will not be begun any more.
    pub(crate) fn server_is_gone(&mut self, now: Duration) {
        self.maybe.extend(self.open.drain(..));
        self.note(now);
    }

    fn all(&self) -> impl Iterator<Item = u64> {
        self.maybe.iter().chain(&self.open).copied()
    }

    fn note(&mut self, now: Duration) {
        let least = hours(self.all().min().expect("one holds"));
        if self.least.last().is_none_or(|(_, last)| *last != least) {
            self.least.push((now, least));
        }
    }

    /// The longest that may hold now.
    pub(crate) fn most(&self) -> Duration {
        hours(self.all().max().expect("one holds"))
    }

    /// Whether a record may have been too old at some time up to `now`. `leaps`: when the wall clock was set ahead, and by how
    /// much.
    pub(crate) fn may_have_ended(&self, sent: &Sent, leaps: &[(Duration, Duration)], now: Duration) -> bool {
        let ends = self.least[1..].iter().map(|(at, _)| *at).chain([now]);
        self.least.iter().zip(ends).any(|(&(_, period), end)| {
            let end = end.min(now);
            end >= sent.since && end - sent.since + believed(&leaps[sent.leaps..], end) >= period
        })
    }
}
