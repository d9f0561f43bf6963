//! The way to the committer: a queue bounded by bytes and by count.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thalweg_journal::{Append, AppendError, CommitSender, NotAppliedReason};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::{Notify, oneshot};

use crate::batch::ENTRY_BYTES;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// A change that is asked for, and who waits for it. With a shard to open comes the time before which nothing arrives in it.
pub(crate) enum Request {
    Append { append: Append, reply: CommitSender },
    Open { stream: StreamId, shards: Vec<(ShardIndex, Timestamp)>, reply: Reply<()> },
    Seal { shards: Vec<ShardKey>, reply: Reply<Vec<Offset>> },
    Trim { shards: Vec<(ShardKey, Offset)>, reply: Reply<()> },
    Forget { shards: Vec<ShardKey>, reply: Reply<()> },
    Delete { stream: StreamId, reply: Reply<()> },
}

impl Request {
    /// Directory entries that it needs, at most.
    pub(crate) fn entries(&self) -> usize {
        match self {
            Request::Append { append, .. } => append.runs.len(),
            Request::Open { shards, .. } => shards.len(),
            Request::Seal { shards, .. } => shards.len(),
            Request::Trim { shards, .. } => shards.len(),
            Request::Forget { shards, .. } => shards.len(),
            Request::Delete { .. } => 1,
        }
    }

    /// Run bytes that it brings.
    pub(crate) fn payload_bytes(&self) -> usize {
        match self {
            Request::Append { append, .. } => append.bytes.len(),
            _ => 0,
        }
    }

    /// What it counts for in the queue, and in a batch at most.
    pub(crate) fn cost(&self) -> usize {
        self.entries() * ENTRY_BYTES + self.payload_bytes()
    }

    /// Answers with an error.
    pub(crate) fn refuse(self, error: AppendError) {
        // Nobody may be waiting any more; that is no error.
        match self {
            Request::Append { reply, .. } => reply.send(Err(error)),
            Request::Seal { reply, .. } => drop(reply.send(Err(error))),
            Request::Open { reply, .. }
            | Request::Trim { reply, .. }
            | Request::Forget { reply, .. }
            | Request::Delete { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Requests that wait for the committer.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Rings (once) when a request came into an empty queue, and when the queue closes.
    arrived: Notify,
    bytes_max: usize,
    count_max: usize,
}

struct State {
    waiting: VecDeque<Request>,
    /// Of all requests that were pushed and not released: also those that the committer took and has not placed.
    bytes: usize,
    count: usize,
    closed: Option<String>,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, count_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, count: 0, closed: None };
        Queue { state: Mutex::new(state), arrived: Notify::new(), bytes_max, count_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request, or gives it back with the reason.
    ///
    /// Only appends are held to the bound on bytes: seals, trims, deletions and what is forgotten are small, and all
    /// but the first free space.
    pub(crate) fn push(&self, request: Request) -> Result<(), (Request, NotAppliedReason)> {
        let cost = request.cost();
        let mut state = self.state();
        if let Some(reason) = &state.closed {
            let reason = NotAppliedReason::Stopped(reason.clone());
            return Err((request, reason));
        }
        let is_append = matches!(request, Request::Append { .. });
        if state.count >= self.count_max || (is_append && state.bytes + cost > self.bytes_max) {
            let reason = NotAppliedReason::Throttled("the queue is full".to_owned());
            return Err((request, reason));
        }
        state.bytes += cost;
        state.count += 1;
        let wake = state.waiting.is_empty();
        state.waiting.push_back(request);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Moves everything that waits into `into`.
    pub(crate) fn take(&self, into: &mut VecDeque<Request>) {
        let mut state = self.state();
        if into.is_empty() {
            std::mem::swap(into, &mut state.waiting);
        } else {
            into.append(&mut state.waiting);
        }
    }

    /// Requests with this cost have left the committer's hands.
    pub(crate) fn release(&self, cost: usize, count: usize) {
        let mut state = self.state();
        state.bytes -= cost;
        state.count -= count;
    }

    /// Waits until something may have arrived, or the queue was closed, since the last wait.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes no more from now on. The first reason stays.
    pub(crate) fn close(&self, reason: &str) {
        let mut state = self.state();
        state.closed.get_or_insert_with(|| reason.to_owned());
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }
}
