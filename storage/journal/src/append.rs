//! Appends: runs of records on their way in, and what became of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use thalweg_types::{Offset, ShardKey, Timestamp};
use tokio::sync::oneshot;

/// Neighbouring records of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where they go.
    pub shard: ShardKey,
    /// How many; at least one.
    pub count: u32,
    /// Length of their encoding in bytes.
    pub length: u32,
    /// CRC-32C of their encoding: made by whoever encoded them, checked by whoever reads them back.
    pub checksum: u32,
}

impl Run {
    /// A run of `count` records that are `encoded` so ([`crate::record`]).
    ///
    /// # Panics
    /// When `encoded` is 4 GiB or longer: the largest request is far below.
    pub fn new(shard: ShardKey, count: u32, encoded: &[u8]) -> Run {
        let length = u32::try_from(encoded.len()).expect("requests are far below 4 GiB");
        Run { shard, count, length, checksum: checksum(encoded) }
    }
}

/// CRC-32C, what [`Run::checksum`] holds.
pub fn checksum(encoded: &[u8]) -> u32 {
    let wide = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, encoded);
    u32::try_from(wide).expect("a CRC-32 has 32 bits")
}

/// Runs that become durable together: what one put request brings. At most one run per shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The runs, in the order of their bytes.
    pub runs: Vec<Run>,
    /// The runs' records ([`crate::record`]), end to end.
    pub bytes: Bytes,
}

/// What became of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Durable: its records have the offsets from `first` on, and all this arrival time.
    Placed {
        /// Offset of its first record.
        first: Offset,
        /// When the journal took it.
        arrival: Timestamp,
    },
    /// Not applied, because the shard is sealed: look at the shard map again.
    ShardClosed,
    /// Not applied, because there is no such shard (any more).
    UnknownShard,
}

/// Why nothing was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAppliedReason {
    /// The queue, the backlog or the disk is full: later, again.
    #[error("the journal takes no more for now: {0}")]
    Throttled(String),
    /// There is no such shard (any more), so that it cannot be sealed, or opened again. Appends say this run by run.
    #[error("there is no shard {0}")]
    UnknownShard(ShardKey),
    /// Writes were stopped by an earlier failure, or by shutdown.
    #[error("the journal takes no writes: {0}")]
    Stopped(String),
}

/// Why an append (or a seal, a trim) has no outcome. May the caller retry?
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written: retrying is safe.
    #[error("not applied: {0}")]
    NotApplied(NotAppliedReason),
    /// It may or may not be durable: a retry may write the records a second time.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
    /// Another owner has the shard now; nothing of ours was applied.
    #[error("another owner holds the journal")]
    Fenced,
}

/// The outcome of an append, once known: one [`RunOutcome`] per run, in order.
#[derive(Debug)]
pub struct Commit(oneshot::Receiver<Result<Vec<RunOutcome>, AppendError>>);

/// The engine's end of a [`Commit`]. Dropping it unanswered means "outcome unknown".
#[derive(Debug)]
pub struct CommitSender(oneshot::Sender<Result<Vec<RunOutcome>, AppendError>>);

impl Commit {
    /// Both ends.
    pub fn channel() -> (CommitSender, Commit) {
        let (sender, receiver) = oneshot::channel();
        (CommitSender(sender), Commit(receiver))
    }

    /// One that is known already.
    pub fn ready(result: Result<Vec<RunOutcome>, AppendError>) -> Commit {
        let (sender, commit) = Commit::channel();
        sender.send(result);
        commit
    }
}

impl CommitSender {
    /// Answers. Nobody may be waiting any more; that is no error.
    pub fn send(self, result: Result<Vec<RunOutcome>, AppendError>) {
        let _ = self.0.send(result);
    }
}

impl Future for Commit {
    type Output = Result<Vec<RunOutcome>, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| {
            answer.unwrap_or_else(|_| {
                Err(AppendError::OutcomeUnknown("the journal stopped before it answered".to_owned()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_crc_32c() {
        // The check value that every catalogue of CRCs gives for CRC-32/ISCSI.
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }
}
