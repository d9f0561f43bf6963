//! A journal that doubts the clock when it is told to, cannot look up times in a shard when it is told to, expires nothing
//! itself, and counts what is read of it: whatever the service holds of records, it has read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_catalog::memory::MemoryCatalog;
use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, Read, ReadAnswer, ReadError, Tail, TailWatch,
};
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_system::simulated::ManualClock;
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::world::{START, World, hours, settings};

/// See the module.
pub(crate) struct WatchedJournal {
    inner: MemoryJournal,
    /// Whether it doubts the clock.
    pub(crate) doubts: AtomicBool,
    /// The shard in which no time is found: a chunk of it is damaged.
    pub(crate) unreadable: Mutex<Option<ShardKey>>,
    bytes_read: AtomicUsize,
}

impl WatchedJournal {
    /// How many bytes of records were read since this was asked last.
    pub(crate) fn take_bytes_read(&self) -> usize {
        self.bytes_read.swap(0, Ordering::Relaxed)
    }
}

/// A world over such a journal, and that journal.
pub(crate) async fn watched_world() -> (World, Arc<WatchedJournal>) {
    let clock = ManualClock::new(Timestamp::from_seconds(START));
    let inner = MemoryJournal::new(Arc::new(clock.clone()), Knobs::default());
    let (doubts, bytes_read) = (AtomicBool::new(false), AtomicUsize::new(0));
    let journal = Arc::new(WatchedJournal { inner, doubts, unreadable: Mutex::default(), bytes_read });
    let world = World::over(clock, Arc::clone(&journal) as _, Arc::new(MemoryCatalog::new()), settings());
    (world.await.expect("nothing is there yet"), journal)
}

impl Journal for WatchedJournal {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.open_shards_after(stream, shards)
    }

    fn append(&self, append: Append) -> Commit {
        self.inner.append(append)
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        self.inner.seal(shards)
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.trim(shards)
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.forget_shards(shards)
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        self.inner.delete_stream(stream)
    }

    /// Not passed on: what is gone is the service's doing.
    fn set_retention(&self, _: StreamId, _: Duration) {}

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        self.inner.tail(shard)
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        self.inner.watch(shard)
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            let answer = self.inner.read(read).await?;
            let bytes = answer.runs.iter().map(|run| run.bytes.len()).sum();
            self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
            Ok(answer)
        })
    }

    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool {
        self.inner.is_in_memory(shard, from)
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        if *self.unreadable.lock().expect("no test panics with it") == Some(shard) {
            return Box::pin(std::future::ready(Err(ReadError::Disk("told to".to_owned()))));
        }
        self.inner.find_time(shard, at)
    }

    fn identity(&self) -> u64 {
        self.inner.identity()
    }

    fn shards(&self) -> Vec<(ShardKey, Tail)> {
        self.inner.shards()
    }

    fn doubts_clock(&self) -> bool {
        self.doubts.load(Ordering::Relaxed)
    }

    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        let believable = Timestamp::from_seconds(START).plus(hours(1));
        if self.doubts_clock() { wall.min(believable) } else { wall }
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.inner.shutdown()
    }
}
