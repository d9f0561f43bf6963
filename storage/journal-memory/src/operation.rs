//! What can be asked of the journal that changes it, with the way to answer.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_journal::{Append, AppendError, CommitSender, Record, append, record};
use thalweg_types::{Offset, ShardKey, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::budget::Charge;

/// Who waits for the answer; nobody when the outcome shall stay unknown.
pub(crate) type Reply<T> = Option<oneshot::Sender<Result<T, AppendError>>>;

/// A change and who waits for it.
pub(crate) enum Operation {
    Append { runs: Vec<StagedRun>, charge: Arc<Charge>, reply: Option<CommitSender> },
    OpenShards { shards: Vec<(ShardKey, Timestamp)>, reply: Reply<()> },
    Seal { shards: Vec<ShardKey>, reply: Reply<Vec<Offset>> },
    Trim { shards: Vec<(ShardKey, Offset)>, reply: Reply<()> },
    ForgetShards { shards: Vec<ShardKey>, reply: Reply<()> },
    DeleteStream { stream: StreamId, reply: Reply<()> },
}

/// A run before it has its place.
pub(crate) struct StagedRun {
    pub(crate) shard: ShardKey,
    pub(crate) count: u32,
    /// Data and partition keys, in bytes: what reads are limited by.
    pub(crate) payload: usize,
    pub(crate) bytes: Bytes,
}

/// Looks an append over, before any lock is taken.
///
/// # Panics
/// When the runs do not describe the bytes: readers will rely on it.
pub(crate) fn stage(append: &Append) -> Vec<StagedRun> {
    let mut position = 0;
    let staged = append
        .runs
        .iter()
        .map(|run| {
            let end = position + run.length as usize;
            let bytes = append.bytes.slice(position..end);
            position = end;
            debug_assert_eq!(append::checksum(&bytes), run.checksum, "a run has its own bytes' checksum");
            let (mut count, mut payload) = (0, 0);
            for record in record::Records::new(&bytes) {
                let record: Record<'_> = record.expect("whoever appends encodes well");
                count += 1;
                payload += record.payload_bytes();
            }
            assert!(
                count == run.count && count > 0,
                "a run has as many records as it says, and at least one"
            );
            StagedRun { shard: run.shard, count, payload, bytes }
        })
        .collect();
    assert_eq!(position, append.bytes.len(), "the runs fill the append's bytes");
    staged
}

impl Operation {
    pub(crate) fn is_append(&self) -> bool {
        matches!(self, Operation::Append { .. })
    }

    /// Nobody shall hear of the outcome.
    pub(crate) fn forget_reply(&mut self) {
        match self {
            Operation::Append { reply, .. } => drop(reply.take()),
            Operation::Seal { reply, .. } => drop(reply.take()),
            Operation::OpenShards { reply, .. }
            | Operation::Trim { reply, .. }
            | Operation::ForgetShards { reply, .. }
            | Operation::DeleteStream { reply, .. } => drop(reply.take()),
        }
    }

    /// Answers that it was not applied.
    pub(crate) fn refuse(self, error: &AppendError) {
        match self {
            Operation::Append { reply, .. } => {
                if let Some(reply) = reply {
                    reply.send(Err(error.clone()));
                }
            }
            Operation::Seal { reply, .. } => answer(reply, Err(error.clone())),
            Operation::OpenShards { reply, .. }
            | Operation::Trim { reply, .. }
            | Operation::ForgetShards { reply, .. }
            | Operation::DeleteStream { reply, .. } => answer(reply, Err(error.clone())),
        }
    }
}

/// Answers, if anybody still waits.
pub(crate) fn answer<T>(reply: Reply<T>, result: Result<T, AppendError>) {
    if let Some(reply) = reply {
        let _ = reply.send(result);
    }
}
