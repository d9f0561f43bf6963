//! One shard: its runs, its tail, and the rules of both. It reads no clock and takes no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use thalweg_journal::{Read, ReadAnswer, RunView, Tail, TailWatch};
use thalweg_types::{Offset, Timestamp};
use tokio::sync::watch;

use crate::budget::Charge;
use crate::operation::StagedRun;

/// ```text
///   runs   [ 4 5 6 ][ 7 8 ][ 9 ]        tail.next = 10
///                ^ tail.trimmed = 6: the first run that is not wholly gone stays
/// ```
pub(crate) struct Shard {
    tail: Tail,
    /// Neighbours, in order; arrival times never decrease along them; none of them ends at or before
    /// `tail.trimmed`.
    runs: VecDeque<StoredRun>,
    /// Holds the same tail, once published.
    events: watch::Sender<Tail>,
}

struct StoredRun {
    view: RunView,
    /// In monotonic time; it never decreases along the runs.
    placed: Duration,
    payload: usize,
    _charge: Arc<Charge>,
}

/// Whole runs that cover what a read asks for, to be cut to its limits.
pub(crate) struct Found {
    /// The first offset to answer.
    from: Offset,
    /// The runs and their payloads; the first holds `from`.
    runs: Vec<(RunView, usize)>,
    tail: Tail,
}

impl Shard {
    /// An empty one, in which nothing arrives before this time.
    pub(crate) fn new(not_before: Timestamp) -> Self {
        let tail = Tail { next: 0, last_arrival: not_before, sealed: false, trimmed: 0, deleted: false };
        Shard { tail, runs: VecDeque::new(), events: watch::Sender::new(tail) }
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail
    }

    pub(crate) fn watch(&self) -> TailWatch {
        TailWatch::new(self.events.subscribe())
    }

    /// Wakes the watchers if the tail is not what they saw.
    fn publish(&self) {
        self.events.send_if_modified(|seen| {
            let changed = *seen != self.tail;
            *seen = self.tail;
            changed
        });
    }

    /// Gives a run its place at the end.
    ///
    /// # Panics
    /// When the shard is sealed.
    pub(crate) fn place(
        &mut self,
        run: StagedRun,
        charge: &Arc<Charge>,
        (now, monotonic): (Timestamp, Duration),
    ) -> (Offset, Timestamp) {
        assert!(!self.tail.sealed, "a seal is final");
        let first = self.tail.next;
        let arrival = now.max(self.tail.last_arrival);
        let view = RunView { first, count: run.count, arrival, bytes: run.bytes };
        let (payload, charge) = (run.payload, Arc::clone(charge));
        self.runs.push_back(StoredRun { view, placed: monotonic, payload, _charge: charge });
        self.tail.next = first + u64::from(run.count);
        self.tail.last_arrival = arrival;
        self.publish();
        (first, arrival)
    }

    /// Answers the tail's next offset.
    pub(crate) fn seal(&mut self) -> Offset {
        self.tail.sealed = true;
        self.publish();
        self.tail.next
    }

    pub(crate) fn trim(&mut self, before: Offset) {
        self.tail.trimmed = self.tail.trimmed.max(before.min(self.tail.next));
        while self.runs.front().is_some_and(|run| run.view.end() <= self.tail.trimmed) {
            self.runs.pop_front();
        }
        // A burst's room goes back, too; halving keeps this off the steady state.
        if self.runs.capacity() > 64 && self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.capacity() / 2);
        }
        self.publish();
    }

    /// Trims what arrived before `limit`, and what was placed before `placed`, whatever its arrival time: that may be of a
    /// clock that was ahead, and is then of all that follows.
    pub(crate) fn expire(&mut self, limit: Timestamp, placed: Duration) {
        let is_gone = |run: &StoredRun| run.view.arrival < limit || run.placed < placed;
        if self.runs.front().is_some_and(is_gone) {
            let index = self.runs.partition_point(is_gone);
            self.trim(self.runs.get(index).map_or(self.tail.next, |run| run.view.first));
        }
    }

    /// Tells the watchers that this is the end: the stream was deleted, or the shard forgotten.
    pub(crate) fn delete(mut self) {
        self.tail.deleted = true;
        self.publish();
    }

    pub(crate) fn find_time(&self, at: Timestamp) -> Offset {
        let index = self.runs.partition_point(|run| run.view.arrival < at);
        let first = self.runs.get(index).map_or(self.tail.next, |run| run.view.first);
        first.max(self.tail.trimmed)
    }

    /// The runs that a read needs, and no more than it may need.
    pub(crate) fn find(&self, read: &Read) -> Found {
        let from = read.from.max(self.find_time(read.not_before));
        let index = self.runs.partition_point(|run| run.view.end() <= from);
        let (mut records, mut payload) = (0, 0);
        let mut runs = Vec::new();
        for run in self.runs.range(index..) {
            runs.push((run.view.clone(), run.payload));
            records += (run.view.end() - from.max(run.view.first)).min(u64::from(u32::MAX));
            // Of the first run a part may be skipped: it counts for nothing here, so that enough comes.
            payload += if run.view.first < from { 0 } else { run.payload };
            if records >= u64::from(read.records_max) || payload >= read.bytes_max {
                break;
            }
        }
        Found { from, runs, tail: self.tail }
    }
}

impl Found {
    /// Cuts to the read's limits: at most `records_max` and `bytes_max`, but at least one record.
    pub(crate) fn cut(self, read: &Read) -> ReadAnswer {
        let mut runs: Vec<RunView> = Vec::with_capacity(self.runs.len());
        let mut next = self.from;
        let (mut records_left, mut bytes_left) = (read.records_max, read.bytes_max);
        for (run, payload) in self.runs {
            let skip = u32::try_from(next - run.first).expect("the offset lies in the run");
            let whole = skip == 0 && run.count <= records_left && payload <= bytes_left;
            let part = if whole {
                Some(run.clone())
            } else {
                run.cut(skip, records_left, bytes_left, runs.is_empty())
            };
            let Some(part) = part else { break };
            let part_payload =
                if whole { payload } else { part.records().map(|(_, record)| record.payload_bytes()).sum() };
            next = part.end();
            let ends_inside = next < run.end();
            records_left -= part.count;
            bytes_left = bytes_left.saturating_sub(part_payload);
            runs.push(part);
            if ends_inside || records_left == 0 {
                break;
            }
        }
        ReadAnswer { runs, next, tail: self.tail }
    }
}
