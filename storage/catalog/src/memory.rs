//! The catalog in memory: for tests and for `--ephemeral`. Nothing outlives it.

use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::rows::{Rows, check_conditions, check_written_once};
use crate::{BoxFuture, Catalog, CatalogError, CommitError, Condition, Row, Version, Write};

/// Rows in memory, under one lock: no call holds it for longer than its own work.
#[derive(Debug)]
pub struct MemoryCatalog {
    state: RwLock<State>,
    version: watch::Sender<Version>,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    version: Version,
    is_shut_down: bool,
}

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new() -> Self {
        MemoryCatalog { state: RwLock::default(), version: watch::Sender::new(0) }
    }

    /// A catalog that holds these rows, which were committed elsewhere.
    pub fn with_rows(rows: Rows) -> Self {
        let version = rows.iter().map(|(_, _, version)| version).max().unwrap_or_default();
        let state = State { rows, version, is_shut_down: false };
        MemoryCatalog { state: RwLock::new(state), version: watch::Sender::new(version) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no one panics while holding the rows")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no one panics while holding the rows")
    }

    fn commit_now(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Version, CommitError> {
        check_written_once(&writes)?;
        let mut state = self.write();
        if state.is_shut_down {
            return Err(CommitError::NotApplied("the catalog is shut down".to_owned()));
        }
        check_conditions(conditions, |key| state.rows.version_of(key))?;
        state.version += 1;
        let version = state.version;
        state.rows.apply(writes, version);
        // Under the lock, so that the watch never goes back.
        self.version.send_replace(version);
        Ok(version)
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalog for MemoryCatalog {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>> {
        Box::pin(async move { Ok(self.read().rows.get(key)) })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>> {
        Box::pin(async move { Ok(self.read().rows.scan(prefix, after, limit)) })
    }

    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>> {
        Box::pin(async move { self.commit_now(&conditions, writes) })
    }

    fn watch(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.write().is_shut_down = true })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::{self, Open};

    #[tokio::test]
    async fn the_memory_engine_conforms() {
        let new_place = || -> Open {
            Box::new(|| Box::pin(async { Arc::new(MemoryCatalog::new()) as Arc<dyn Catalog> }))
        };
        conformance::check_all(&new_place, conformance::Keeps::Nothing).await;
    }
}
