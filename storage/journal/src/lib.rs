//! The storage trait for records: [`Journal`]. Small, its contract drawn here, one conformance suite.
//!
//! ```text
//!                       trim point            tail (next offset)
//!                            |                      |
//!  offset  0   1   2   3   4   5   6   7   8   9   10
//!          [ - - - - - - - ] [ run ] [    run     ]        one shard: dense offsets, in runs
//!          gone, never again  readable, durable   ^ the next append lands here, unless the shard is sealed
//! ```
//!
//! What every engine promises:
//! 1. **Durable before visible.** Readers and [`Journal::tail`] see only what survives a crash.
//! 2. **Order.** Offsets of a shard are dense and are given once; arrival times never decrease along them, nor from a
//!    shard that was sealed to one that was opened after it with its last arrival time.
//! 3. **One place per append.** The records of a run are neighbours; a run is applied whole or not at all. The
//!    runs of one [`Append`] become durable together.
//! 4. **A seal is final.** Once `seal` has answered, no append to that shard is ever applied, and its last
//!    offset never changes.
//! 5. **Trimming only goes forward**, and what was trimmed never comes back.
//! 6. **What was forgotten is never made again**: no shard gives its numbers a second time.
//! 7. **Errors say what happened**: not applied, outcome unknown, or fenced ([`AppendError`]).
//!
//! A journal knows stream ids, shard indexes, offsets and arrival times. It knows nothing of names, hash keys,
//! sequence numbers or AWS.

pub mod append;
pub mod conformance;
pub mod read;
pub mod record;
pub mod tail;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

pub use append::{Append, AppendError, Commit, CommitSender, NotAppliedReason, Run, RunOutcome, checksum};
pub use read::{Read, ReadAnswer, ReadError, RunView};
pub use record::{Record, RecordError};
pub use tail::{Tail, TailWatch};

/// A future on the heap: what makes [`Journal`] usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whether the journal takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ready,
    /// It does not for now (disk full, backlog); reads go on. The reason is for people.
    Throttled(String),
    /// A write failed: no writes until restart; reads up to the tail go on.
    WritesStopped(String),
}

/// Durable records by shard. See the crate's page for the contract.
pub trait Journal: Send + Sync + 'static {
    /// Makes shards exist, empty and open. Nothing arrives in a shard before the time given with it, whatever the clock
    /// says then. Idempotent: a shard that exists is left as it is. Indexes are given in rising order: see
    /// [`Journal::forget_shards`].
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>>;

    /// As [`Journal::open_shards_after`], for shards that follow no others.
    fn open_shards(&self, stream: StreamId, shards: &[ShardIndex]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards: Vec<_> = shards.iter().map(|&shard| (shard, Timestamp::ZERO)).collect();
        self.open_shards_after(stream, &shards)
    }

    /// Queues an append and returns its outcome-to-be. Never blocks; a full queue is `NotApplied(Throttled)`.
    /// Dropping the returned future does not undo the append.
    fn append(&self, append: Append) -> Commit;

    /// Closes shards to appends, for ever. Idempotent. Answers, in the order asked, each shard's next offset
    /// (one past its last record) at its end. Where one of them does not exist, none is sealed
    /// ([`NotAppliedReason::UnknownShard`]).
    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>>;

    /// Makes everything before an offset unreadable, durably. Moves forward only: an earlier offset than the
    /// current trim point changes nothing, one past the tail means the tail, and a shard that does not exist has
    /// nothing left to trim.
    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>>;

    /// Makes shards exist no longer, durably: those that are sealed and wholly trimmed. Others are left as they are, and
    /// so is what does not exist. Idempotent. No shard of the stream with such an index, or with a lower one, is made
    /// again: [`Journal::open_shards`] is refused it ([`NotAppliedReason::UnknownShard`]).
    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>>;

    /// Removes a stream and all of its records, durably. Idempotent. Its id is never used again.
    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>>;

    /// How long records of a stream are kept before the space may be reclaimed. Told again after each start;
    /// until then nothing of the stream expires.
    fn set_retention(&self, stream: StreamId, retention: Duration);

    /// Where a shard ends now.
    ///
    /// # Errors
    /// [`ReadError::UnknownShard`]
    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError>;

    /// The tail as a stream of events: see [`TailWatch`].
    ///
    /// # Errors
    /// [`ReadError::UnknownShard`]
    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError>;

    /// Reads records in order.
    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>>;

    /// Whether a read of a shard from `from` on is answered from memory, without a wait, at this moment.
    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool;

    /// The offset of the first record of a shard that arrived at `at` or later and is not trimmed; the tail's
    /// next offset when there is none.
    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>>;

    /// A number that this journal has had since it was made and no other has: what a catalog knows its journal by. Not
    /// for clients to see. Always 0 for an engine that does not outlive its process.
    fn identity(&self) -> u64;

    /// The shards that exist, of all streams, with their tails: what a service compares with its catalog at start.
    fn shards(&self) -> Vec<(ShardKey, Tail)>;

    /// Whether the wall clock is ahead of what may be believed. While true nothing may be removed by time: not by
    /// the engine, and not by its callers (trimmed or forgotten because of its age). It may change at any moment.
    /// `false` for an engine that does not judge the clock.
    fn doubts_clock(&self) -> bool {
        false
    }

    /// The time by which callers tell what is too old to be seen, while the wall clock says `wall`: `wall`, or less
    /// where the clock is too far ahead. Goes back only with the wall clock, also over a crash: what was hidden once
    /// stays hidden. Cheap enough to be asked for every read.
    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        wall
    }

    /// Whether writes are taken.
    fn health(&self) -> Health;

    /// Finishes what is queued, makes a clean end, and stops the loops. Appends afterwards are `NotApplied`.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}
