//! Storage that fails when told: wrappers around a journal and a catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_catalog::{Catalog, CatalogError, CommitError, Condition, Row, Version, Write};
use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, NotAppliedReason, Read, ReadAnswer, ReadError,
    Tail, TailWatch,
};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::watch;

/// What fails now.
#[derive(Debug, Default)]
pub struct Faults {
    /// Appends have no known outcome.
    pub appends_unknown: AtomicBool,
    /// Appends are refused for now.
    pub appends_throttled: AtomicBool,
    /// Reads fail.
    pub reads: AtomicBool,
    /// Commits have no known outcome.
    pub commits: AtomicBool,
}

fn on(fault: &AtomicBool) -> bool {
    fault.load(Ordering::SeqCst)
}

/// A journal that fails when told.
pub struct FaultyJournal {
    /// The real one.
    pub inner: Arc<dyn Journal>,
    /// What fails.
    pub faults: Arc<Faults>,
}

impl FaultyJournal {
    fn check(&self) -> Result<(), AppendError> {
        if on(&self.faults.appends_unknown) {
            return Err(AppendError::OutcomeUnknown("told to".to_owned()));
        }
        if on(&self.faults.appends_throttled) {
            return Err(AppendError::NotApplied(NotAppliedReason::Throttled("told to".to_owned())));
        }
        Ok(())
    }

    fn check_read(&self) -> Result<(), ReadError> {
        if on(&self.faults.reads) { Err(ReadError::Disk("told to".to_owned())) } else { Ok(()) }
    }
}

impl Journal for FaultyJournal {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        match self.check() {
            Ok(()) => self.inner.open_shards_after(stream, shards),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn append(&self, append: Append) -> Commit {
        match self.check() {
            Ok(()) => self.inner.append(append),
            Err(error) => Commit::ready(Err(error)),
        }
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        match self.check() {
            Ok(()) => self.inner.seal(shards),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        match self.check() {
            Ok(()) => self.inner.trim(shards),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        match self.check() {
            Ok(()) => self.inner.forget_shards(shards),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        match self.check() {
            Ok(()) => self.inner.delete_stream(stream),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn set_retention(&self, stream: StreamId, retention: Duration) {
        self.inner.set_retention(stream, retention);
    }

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        self.check_read()?;
        self.inner.tail(shard)
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        self.inner.watch(shard)
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        match self.check_read() {
            Ok(()) => self.inner.read(read),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool {
        self.inner.is_in_memory(shard, from)
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        match self.check_read() {
            Ok(()) => self.inner.find_time(shard, at),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
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

/// A catalog that fails when told.
pub struct FaultyCatalog {
    /// The real one.
    pub inner: Arc<dyn Catalog>,
    /// What fails.
    pub faults: Arc<Faults>,
}

impl Catalog for FaultyCatalog {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>> {
        if on(&self.faults.reads) {
            return Box::pin(std::future::ready(Err(CatalogError("told to".to_owned()))));
        }
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>> {
        if on(&self.faults.reads) {
            return Box::pin(std::future::ready(Err(CatalogError("told to".to_owned()))));
        }
        self.inner.scan(prefix, after, limit)
    }

    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>> {
        if on(&self.faults.commits) {
            return Box::pin(std::future::ready(Err(CommitError::OutcomeUnknown("told to".to_owned()))));
        }
        self.inner.commit(conditions, writes)
    }

    fn watch(&self) -> watch::Receiver<Version> {
        self.inner.watch()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.inner.shutdown()
    }
}
