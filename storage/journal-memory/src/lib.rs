//! The journal in memory: for tests and for `--ephemeral`. Keeps every promise of [`thalweg_journal::Journal`]
//! except that nothing outlives the process.
//!
//! It is not a cache of anything and not a mock: what tests learn from it holds for the other engines, and its
//! [`Knobs`] show the bad days that those have (slow commits, unknown outcomes, fencing).
//!
//! One mutex guards all state; under it runs are only linked in and shared out, never copied or parsed. Memory is
//! bounded by [`Knobs::bytes_max`]; above it puts are throttled until retention or trims free some. With instant
//! commits there is no thread and no task: every call does its own work.

mod budget;
mod expiry;
mod knobs;
mod operation;
mod shard;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, NotAppliedReason, Read, ReadAnswer, ReadError,
    Tail, TailWatch,
};
use thalweg_system::Clock;
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::budget::Budget;
use crate::operation::{Operation, stage};
use crate::state::State;

pub use knobs::{Knobs, SlowCommits, UnknownOutcomes};

/// Operations that wait for a slow commit, at most. (Their bytes are bounded by [`Knobs::bytes_max`].)
const QUEUE_OPERATIONS_MAX: usize = 65_536;
/// Operations that one slow commit takes, at most.
const BATCH_OPERATIONS_MAX: usize = 4_096;

/// The engine. Dropping it ends its commits: what was queued is applied, nothing can be queued any more.
pub struct MemoryJournal {
    shared: Arc<Shared>,
    /// Where slow commits queue; `None` when commits are instant.
    queue: Option<mpsc::Sender<Queued>>,
}

/// What the committer of slow commits shares with the engine.
struct Shared {
    state: Mutex<State>,
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
}

/// What waits for a slow commit.
enum Queued {
    Operation(Operation),
    /// The end: answered when everything before it is applied.
    Stop(oneshot::Sender<()>),
}

impl MemoryJournal {
    /// An empty journal. With [`Knobs::slow_commits`] it starts one loop.
    pub fn new(clock: Arc<dyn Clock>, knobs: Knobs) -> MemoryJournal {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(knobs.unknown_outcomes)),
            budget: Arc::new(Budget::new(knobs.bytes_max)),
            clock,
        });
        let queue = knobs.slow_commits.map(|slow| {
            let (sender, receiver) = mpsc::channel(QUEUE_OPERATIONS_MAX);
            let commits = commit_slowly(Arc::clone(&shared), receiver, slow.delay);
            // The loop ends when this engine is dropped or shut down: nobody needs to wait for the task itself.
            drop(slow.spawn.spawn("journal-memory", Box::pin(commits)));
            sender
        });
        MemoryJournal { shared, queue }
    }

    /// From now on another owner holds the journal: everything that writes answers [`AppendError::Fenced`],
    /// what is queued for a slow commit included. Reads go on.
    pub fn fence(&self) {
        self.shared.lock().fence();
    }

    /// Bytes that the records held now count for, queued ones included; at most [`Knobs::bytes_max`].
    pub fn bytes_held(&self) -> usize {
        self.shared.budget.held()
    }

    /// Frees what is older than its stream's retention. Appends and reads do this by themselves, at most once
    /// a second; a journal that nobody calls frees nothing unless this is called.
    pub fn expire(&self) {
        drop(self.shared.lock_expired());
    }

    /// Lets an operation that may wait for room in the queue be applied.
    async fn submit(&self, operation: Operation) {
        match &self.queue {
            None => self.shared.apply_now(operation),
            Some(queue) => {
                if let Err(mpsc::error::SendError(Queued::Operation(refused))) =
                    queue.send(Queued::Operation(operation)).await
                {
                    refused.refuse(&stopped());
                }
            }
        }
    }

    /// Submits an operation that is answered with a `T`, and waits for the answer.
    async fn submit_and_wait<T>(
        &self,
        make: impl FnOnce(operation::Reply<T>) -> Operation,
    ) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.submit(make(Some(reply))).await;
        answer.await.unwrap_or_else(|_| Err(outcome_unknown()))
    }
}

impl Journal for MemoryJournal {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.iter().map(|&(shard, time)| (ShardKey { stream, shard }, time)).collect();
        Box::pin(self.submit_and_wait(|reply| Operation::OpenShards { shards, reply }))
    }

    fn append(&self, append: Append) -> Commit {
        let staged = stage(&append);
        let refusal = self.shared.lock_expired().refusal();
        let Some(charge) = self.shared.budget.charge(append.bytes.len(), append.runs.len()) else {
            return Commit::ready(Err(refusal.unwrap_or_else(|| throttled("memory is full"))));
        };
        let (reply, commit) = Commit::channel();
        let operation = Operation::Append { runs: staged, charge: Arc::new(charge), reply: Some(reply) };
        match &self.queue {
            None => self.shared.apply_now(operation),
            Some(queue) => match queue.try_send(Queued::Operation(operation)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(Queued::Operation(refused))) => {
                    refused.refuse(&throttled("too many operations wait"));
                }
                Err(mpsc::error::TrySendError::Closed(Queued::Operation(refused))) => {
                    refused.refuse(&stopped())
                }
                Err(_) => unreachable!("what comes back is what was sent"),
            },
        }
        commit
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        let shards = shards.to_vec();
        Box::pin(self.submit_and_wait(|reply| Operation::Seal { shards, reply }))
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(self.submit_and_wait(|reply| Operation::Trim { shards, reply }))
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(self.submit_and_wait(|reply| Operation::ForgetShards { shards, reply }))
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(self.submit_and_wait(move |reply| Operation::DeleteStream { stream, reply }))
    }

    fn set_retention(&self, stream: StreamId, retention: Duration) {
        let (wall, monotonic) = self.shared.now();
        self.shared.lock().set_retention(stream, retention, wall, monotonic);
    }

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        Ok(self.shared.lock().shard(shard)?.tail())
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        Ok(self.shared.lock().shard(shard)?.watch())
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            // The mutex is held only while runs are shared out; records are looked at after it.
            let found = self.shared.lock_expired().shard(read.shard)?.find(&read);
            Ok(found.cut(&read))
        })
    }

    fn is_in_memory(&self, _: ShardKey, _: Offset) -> bool {
        true
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        Box::pin(async move { Ok(self.shared.lock().shard(shard)?.find_time(at)) })
    }

    fn identity(&self) -> u64 {
        0
    }

    fn shards(&self) -> Vec<(ShardKey, Tail)> {
        self.shared.lock().tails()
    }

    fn doubts_clock(&self) -> bool {
        let (wall, monotonic) = self.shared.now();
        self.shared.lock().doubts_clock(wall, monotonic)
    }

    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        let monotonic = self.shared.clock.monotonic();
        self.shared.lock().expiry_time(wall, monotonic)
    }

    fn health(&self) -> Health {
        if let Some(reason) = self.shared.lock().refusal() {
            return Health::WritesStopped(reason.to_string());
        }
        if self.shared.budget.is_short() {
            return Health::Throttled("memory is full".to_owned());
        }
        Health::Ready
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(queue) = &self.queue {
                let (stop, stopped) = oneshot::channel();
                // An error in either means that another shutdown has ended the loop: as well.
                if queue.send(Queued::Stop(stop)).await.is_ok() {
                    let _ = stopped.await;
                }
            }
            self.shared.lock().stop();
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it changes the state")
    }

    fn now(&self) -> (Timestamp, Duration) {
        (self.clock.wall(), self.clock.monotonic())
    }

    fn apply_now(&self, mut operation: Operation) {
        let now = self.now();
        let mut state = self.lock();
        if state.decide_fate(&mut operation) {
            state.apply(operation, now);
        }
    }

    /// The state, rid of what has expired.
    fn lock_expired(&self) -> MutexGuard<'_, State> {
        let (wall, monotonic) = self.now();
        let mut state = self.lock();
        state.expire_if_due(wall, monotonic);
        state
    }
}

/// The committer of slow commits: takes all that queued while the last commit was under way, waits as long as a
/// commit takes, then applies and answers in order. Ends when the engine is dropped or at [`Queued::Stop`].
async fn commit_slowly(shared: Arc<Shared>, mut queue: mpsc::Receiver<Queued>, delay: Duration) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH_OPERATIONS_MAX).await > 0 {
        // An outcome that stays unknown is told before the commit: the caller may act before it is applied.
        let fates: Vec<bool> = {
            let mut state = shared.lock();
            batch.iter_mut().map(|queued| queued.decide_fate(&mut state)).collect()
        };
        let now = shared.now();
        shared.clock.sleep(delay).await;
        let mut stop = None;
        for (queued, applied) in batch.drain(..).zip(fates) {
            match queued {
                Queued::Operation(operation) if stop.is_some() => operation.refuse(&stopped()),
                Queued::Operation(operation) if applied => shared.lock().apply(operation, now),
                Queued::Operation(_) => {}
                Queued::Stop(sender) => stop = Some(sender),
            }
        }
        if let Some(sender) = stop {
            queue.close();
            while let Some(queued) = queue.recv().await {
                if let Queued::Operation(late) = queued {
                    late.refuse(&stopped());
                }
            }
            let _ = sender.send(());
            return;
        }
    }
}

impl Queued {
    fn decide_fate(&mut self, state: &mut State) -> bool {
        match self {
            Queued::Operation(operation) => state.decide_fate(operation),
            Queued::Stop(_) => true,
        }
    }
}

fn throttled(why: &str) -> AppendError {
    AppendError::NotApplied(NotAppliedReason::Throttled(why.to_owned()))
}

fn stopped() -> AppendError {
    AppendError::NotApplied(NotAppliedReason::Stopped("it was shut down".to_owned()))
}

fn outcome_unknown() -> AppendError {
    AppendError::OutcomeUnknown("the journal did not answer".to_owned())
}
