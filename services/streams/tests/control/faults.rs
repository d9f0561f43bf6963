//! Engines that stop at a chosen step, as a crash stops them: from then on nothing is written any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thalweg_catalog::{Catalog, CatalogError, CommitError, Condition, Row, Version, Write};
use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, NotAppliedReason, Read, ReadAnswer, ReadError,
    Tail, TailWatch,
};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::watch;

/// Counts the writing steps of both engines, and ends them at one of them.
pub(crate) struct Fuse {
    left: AtomicI64,
    /// Whether the step at which it ends is still applied, although its caller learns nothing.
    last_is_applied: bool,
}

/// What becomes of a step.
enum Fate {
    Done,
    LostAnswer,
    Lost,
    Dead,
}

impl Fuse {
    pub(crate) fn after(steps: i64, last_is_applied: bool) -> Arc<Fuse> {
        Arc::new(Fuse { left: AtomicI64::new(steps), last_is_applied })
    }

    fn step(&self) -> Fate {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Fate::Done,
            0 if self.last_is_applied => Fate::LostAnswer,
            0 => Fate::Lost,
            _ => Fate::Dead,
        }
    }

    /// From now on every step is done.
    pub(crate) fn replace(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Whether the end was reached.
    pub(crate) fn has_blown(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

/// A journal with a fuse.
pub(crate) struct FusedJournal {
    pub(crate) inner: Arc<dyn Journal>,
    pub(crate) fuse: Arc<Fuse>,
}

/// A catalog with a fuse.
pub(crate) struct FusedCatalog {
    pub(crate) inner: Arc<dyn Catalog>,
    pub(crate) fuse: Arc<Fuse>,
}

async fn through<T>(
    fuse: &Fuse,
    step: impl Future<Output = Result<T, AppendError>>,
) -> Result<T, AppendError> {
    match fuse.step() {
        Fate::Done => step.await,
        Fate::LostAnswer => {
            let _ = step.await;
            Err(AppendError::OutcomeUnknown("blown".to_owned()))
        }
        Fate::Lost => Err(AppendError::OutcomeUnknown("blown".to_owned())),
        Fate::Dead => Err(AppendError::NotApplied(NotAppliedReason::Stopped("blown".to_owned()))),
    }
}

impl Journal for FusedJournal {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move { through(&self.fuse, self.inner.open_shards_after(stream, &shards)).await })
    }

    fn append(&self, append: Append) -> Commit {
        self.inner.append(append)
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move { through(&self.fuse, self.inner.seal(&shards)).await })
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move { through(&self.fuse, self.inner.trim(&shards)).await })
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move { through(&self.fuse, self.inner.forget_shards(&shards)).await })
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move { through(&self.fuse, self.inner.delete_stream(stream)).await })
    }

    fn set_retention(&self, stream: StreamId, retention: Duration) {
        self.inner.set_retention(stream, retention);
    }

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        self.inner.tail(shard)
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        self.inner.watch(shard)
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        self.inner.read(read)
    }

    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool {
        self.inner.is_in_memory(shard, from)
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        self.inner.find_time(shard, at)
    }

    fn identity(&self) -> u64 {
        self.inner.identity()
    }

    fn shards(&self) -> Vec<(ShardKey, Tail)> {
        self.inner.shards()
    }

    fn doubts_clock(&self) -> bool {
        self.inner.doubts_clock()
    }

    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        self.inner.expiry_time(wall)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.inner.shutdown()
    }
}

impl Catalog for FusedCatalog {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>> {
        self.inner.scan(prefix, after, limit)
    }

    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>> {
        Box::pin(async move {
            let unknown = || CommitError::OutcomeUnknown("blown".to_owned());
            match self.fuse.step() {
                Fate::Done => self.inner.commit(conditions, writes).await,
                Fate::LostAnswer => {
                    let _ = self.inner.commit(conditions, writes).await;
                    Err(unknown())
                }
                Fate::Lost => Err(unknown()),
                Fate::Dead => Err(CommitError::NotApplied("blown".to_owned())),
            }
        })
    }

    fn watch(&self) -> watch::Receiver<Version> {
        self.inner.watch()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.inner.shutdown()
    }
}
