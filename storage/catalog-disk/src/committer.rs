//! The loop that commits: all that queued while the last write was in flight goes out in one batch, and is seen
//! and answered once that is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_catalog::rows::check_conditions;
use thalweg_catalog::{CommitError, Condition, Version, Write};
use thalweg_system::disk::DiskErrorKind;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::batch::BatchKind;
use crate::keeper::{Job, Spare};
use crate::log_file::LogFile;
use crate::writer::Writer;
use crate::{Settings, Shared};

/// A commit that waits.
pub(crate) struct Request {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) writes: Vec<Write>,
    /// In a batch.
    pub(crate) bytes: usize,
    /// Its part of what may wait; given back with the answer.
    pub(crate) _room: OwnedSemaphorePermit,
    pub(crate) answer: oneshot::Sender<Result<Version, CommitError>>,
}

impl Request {
    fn answer(self, outcome: Result<Version, CommitError>) {
        // Whoever asked may have gone.
        let _ = self.answer.send(outcome);
    }
}

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Settings,
    pub(crate) writer: Writer,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// Shared with the keeper.
    pub(crate) spare: watch::Sender<Spare>,
    /// Whether a batch after the last commits shows that they were durable.
    pub(crate) is_confirmed: bool,
}

/// Why there is no room for a batch.
enum NoRoom {
    /// Nothing happened.
    ForNow(String),
    /// A write failed.
    ForGood(String),
}

impl Committer {
    /// Runs until no one can ask any more and everyone is answered.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::new();
        let queue_commits_max = self.settings.queue_commits_max;
        while self.requests.recv_many(&mut taken, queue_commits_max).await > 0 {
            let mut waiting = std::mem::take(&mut taken).into_iter().peekable();
            while waiting.peek().is_some() {
                let mut batch = Vec::new();
                let mut bytes = 0;
                while let Some(request) = waiting
                    .next_if(|next| batch.is_empty() || bytes + next.bytes <= self.settings.batch_bytes_max)
                {
                    bytes += request.bytes;
                    batch.push(request);
                }
                self.commit(batch).await;
            }
            if self.requests.is_empty() {
                self.confirm().await;
            }
        }
        self.confirm().await;
    }

    /// Commits one batch and answers everyone in it.
    async fn commit(&mut self, batch: Vec<Request>) {
        if let Some(reason) = self.shared.stopped.get() {
            return refuse_all(batch, &format!("the catalog has stopped: {reason}"));
        }
        let (accepted, refused) = self.decide(batch);
        // A refusal may rest on commits of this very batch: it is answered when they are durable.
        if accepted.is_empty() {
            return refused.into_iter().for_each(|(request, outcome)| request.answer(Err(outcome)));
        }
        let bytes = accepted.iter().map(|request| request.bytes).sum();
        match self.make_room(bytes).await {
            Ok(()) => {}
            Err(NoRoom::ForNow(reason)) => {
                refuse_all(accepted, &reason);
                return refuse_all(refused.into_iter().map(|(request, _)| request), &reason);
            }
            Err(NoRoom::ForGood(reason)) => {
                refuse_all(accepted, &reason);
                refuse_all(refused.into_iter().map(|(request, _)| request), &reason);
                return self.stop(reason);
            }
        }
        let base_version = self.writer.tail.version;
        let commits = accepted.iter().map(|request| request.writes.as_slice());
        match self.writer.append(BatchKind::Commits, commits, bytes).await {
            Ok(version) => {
                self.is_confirmed = false;
                self.publish(base_version, version, accepted);
                for (request, outcome) in refused {
                    request.answer(Err(outcome));
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.stop(reason.clone());
                for request in accepted {
                    request.answer(Err(CommitError::OutcomeUnknown(reason.clone())));
                }
                refuse_all(refused.into_iter().map(|(request, _)| request), &reason);
            }
        }
    }

    /// Sorts out whose conditions hold, each after all before it.
    fn decide(&self, batch: Vec<Request>) -> (Vec<Request>, Vec<(Request, CommitError)>) {
        // What the accepted ones before would leave: a version, or no row.
        let mut changed: BTreeMap<Bytes, Option<Version>> = BTreeMap::new();
        let mut version = self.writer.tail.version;
        let mut accepted = Vec::new();
        let mut refused = Vec::new();
        let rows = self.shared.read();
        let is_alone = batch.len() == 1;
        for request in batch {
            let version_of = |key: &[u8]| changed.get(key).copied().unwrap_or_else(|| rows.version_of(key));
            if let Err(conflict) = check_conditions(&request.conditions, version_of) {
                refused.push((request, conflict));
                continue;
            }
            version += 1;
            if !is_alone {
                for write in &request.writes {
                    let left = matches!(write, Write::Put(..)).then_some(version);
                    changed.insert(write.key().clone(), left);
                }
            }
            accepted.push(request);
        }
        (accepted, refused)
    }

    /// Shows durable commits to readers, then answers those who made them.
    fn publish(&self, base_version: Version, newest: Version, accepted: Vec<Request>) {
        let mut answers = Vec::with_capacity(accepted.len());
        {
            let mut rows = self.shared.write();
            for (request, version) in accepted.into_iter().zip(base_version + 1..) {
                rows.apply(request.writes, version);
                answers.push((request.answer, version));
            }
        }
        self.shared.version.send_replace(newest);
        for (answer, version) in answers {
            // Whoever asked may have gone.
            let _ = answer.send(Ok(version));
        }
    }

    /// Goes on in the other file when this one is full, as soon as that is free.
    async fn make_room(&mut self, payload_bytes: usize) -> Result<(), NoRoom> {
        if self.writer.has_room(payload_bytes) {
            return Ok(());
        }
        let mut states = self.spare.subscribe();
        let mut next = loop {
            // In a statement of its own: the borrow must not last into the waiting.
            let state = states.borrow_and_update().clone();
            match state {
                Spare::Free(log) => break log,
                Spare::Stuck(reason) => {
                    return Err(NoRoom::ForNow(format!("the log is full and has no snapshot: {reason}")));
                }
                Spare::Broken(reason) => return Err(NoRoom::ForGood(reason)),
                Spare::Busy => states.changed().await.expect("we hold a sender"),
            }
        };
        let wanted = Writer::length_wanted(&next, payload_bytes);
        if let Err(error) = next.grow(wanted).await {
            let reason = format!("the log cannot grow for a large commit: {error}");
            return match error.kind {
                DiskErrorKind::NoSpace => Err(NoRoom::ForNow(reason)),
                _ => Err(NoRoom::ForGood(reason)),
            };
        }
        self.switch_to(next);
        Ok(())
    }

    /// Goes on in `next`, which is free, and gives the full file to the keeper.
    pub(crate) fn switch_to(&mut self, next: LogFile) {
        self.spare.send_replace(Spare::Busy);
        let log = self.writer.switch_to(next);
        self.ask_for_snapshot(log);
    }

    /// Lets the keeper free `log`. The rows are those of the tail: everything written is published.
    pub(crate) fn ask_for_snapshot(&self, log: LogFile) {
        let rows = self.shared.read().clone();
        let job = Job { log, point: self.writer.tail, rows };
        // A keeper that has gone takes the whole program with it; there is no one left to tell.
        let sent = self.jobs.try_send(job);
        assert!(!matches!(sent, Err(mpsc::error::TrySendError::Full(_))), "the keeper has one file at most");
    }

    /// Shows whoever reads the log that its last commits were durable: rot in them is then told from a torn tail.
    async fn confirm(&mut self) {
        if self.is_confirmed || self.shared.stopped.get().is_some() || !self.writer.has_room_for_empty() {
            return;
        }
        match self.writer.append_empty(BatchKind::Confirmation).await {
            Ok(()) => self.is_confirmed = true,
            Err(error) => self.stop(error.to_string()),
        }
    }

    /// Takes no more commits until the next start.
    fn stop(&self, reason: String) {
        tracing::error!(%reason, "the catalog takes no more commits until the next start");
        // Set once: the first reason is the one that matters.
        let _ = self.shared.stopped.set(reason);
    }
}

fn refuse_all(requests: impl IntoIterator<Item = Request>, reason: &str) {
    for request in requests {
        request.answer(Err(CommitError::NotApplied(reason.to_owned())));
    }
}
