//! Durable resource records behind an ordered key-value trait: [`Catalog`].
//!
//! One row per resource (stream, shard, consumer, policy, …), never one blob for many. Small enough to live on
//! disk, in a cell of the distributed engine, or in memory ([`memory`]).
//!
//! What every engine promises:
//! 1. A commit is applied whole or not at all, and is durable before it is answered or seen by anyone.
//! 2. Versions are given in commit order and never reused: a row's version is that of its last commit.
//! 3. `scan` sees one moment, in key order.

pub mod conformance;
pub mod memory;
pub mod rows;

use bytes::Bytes;
pub use thalweg_system::BoxFuture;
use tokio::sync::watch;

pub use memory::MemoryCatalog;
pub use rows::Rows;

/// Grows by one with each commit; 0 is before the first.
pub type Version = u64;

/// A stored value and the commit that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The commit that wrote it.
    pub version: Version,
}

/// What must hold for a commit to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no row with this key.
    Absent(Bytes),
    /// There is one.
    Present(Bytes),
    /// There is one, last written by this commit.
    AtVersion(Bytes, Version),
}

impl Condition {
    /// The key that it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Condition::Absent(key) | Condition::Present(key) | Condition::AtVersion(key, _) => key,
        }
    }

    /// Whether it holds where the key's row has this version, or where there is no row.
    pub fn holds(&self, version: Option<Version>) -> bool {
        match self {
            Condition::Absent(_) => version.is_none(),
            Condition::Present(_) => version.is_some(),
            Condition::AtVersion(_, wanted) => version == Some(*wanted),
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Write this value.
    Put(Bytes, Bytes),
    /// Remove the row, if there is one.
    Delete(Bytes),
}

impl Write {
    /// The key that it changes.
    pub fn key(&self) -> &Bytes {
        match self {
            Write::Put(key, _) | Write::Delete(key) => key,
        }
    }
}

/// Why rows could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalog cannot be read: {0}")]
pub struct CatalogError(pub String);

/// Why a commit was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold; nothing was written. The index of the first such condition.
    #[error("condition {0} does not hold")]
    Conflict(usize),
    /// Nothing was written: retrying is safe.
    #[error("not applied: {0}")]
    NotApplied(String),
    /// It may or may not be durable; no more commits are taken until restart.
    #[error("the outcome is not known: {0}")]
    OutcomeUnknown(String),
}

/// Ordered, durable rows. See the crate's page for the contract.
pub trait Catalog: Send + Sync + 'static {
    /// The row with this key.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>>;

    /// At most `limit` rows whose keys begin with `prefix` and come after `after`, in key order.
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>>;

    /// Applies all of `writes` if all of `conditions` hold; answers the commit's version. A key may be written
    /// at most once in a commit: otherwise it is `NotApplied`. Dropping the returned future does not undo it.
    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>>;

    /// The version of the newest commit, as a stream of events: whoever holds a cached view looks again when it moves.
    fn watch(&self) -> watch::Receiver<Version>;

    /// Why no commits are taken until the next start, once a write has failed. Reads go on. `None` for an engine that
    /// writes nothing.
    fn stopped(&self) -> Option<&str> {
        None
    }

    /// Finishes what is queued and stops.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}
