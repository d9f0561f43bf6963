//! A simulated machine with a catalog on it.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_catalog::{Catalog, CommitError, Row, Version, Write};
use thalweg_catalog_disk::{DiskCatalog, OpenError, Settings};
use thalweg_system::simulated::{Crash, ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_types::Timestamp;

pub(crate) const DIRECTORY: &str = "meta";

/// Log files that are full after a dozen batches of one block.
pub(crate) const SMALL: Settings = Settings {
    may_create: true,
    log_bytes_initial: 8 << 10,
    log_bytes_doubled_max: 16 << 10,
    log_bytes_max: 32 << 10,
    batch_bytes_max: 2 << 10,
    queue_commits_max: 64,
};

/// Disk, scheduler and clock. A crash gives another machine with what was left on the disk.
pub(crate) struct Machine {
    pub(crate) disk: SimulatedDisk,
    pub(crate) spawn: SimulatedSpawn,
    pub(crate) clock: ManualClock,
    pub(crate) settings: Settings,
    pub(crate) seed: u64,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_disk(seed, SimulatedDisk::new())
    }

    pub(crate) fn with_disk(seed: u64, disk: SimulatedDisk) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let spawn = SimulatedSpawn::new(seed, clock.clone());
        Machine { disk, spawn, clock, settings: SMALL, seed }
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<DiskCatalog>, OpenError> {
        let random = SeededRandom::new(self.seed);
        let catalog = DiskCatalog::open(
            Arc::new(self.disk.clone()),
            &self.spawn,
            Arc::new(self.clock.clone()),
            &random,
            DIRECTORY,
            self.settings,
        );
        Ok(Arc::new(catalog.await?))
    }

    pub(crate) async fn open(&self) -> Arc<DiskCatalog> {
        self.try_open().await.expect("nothing is wrong with this disk")
    }

    /// The machine after a crash.
    pub(crate) fn crash(&self, how: Crash) -> Machine {
        let disk = self.disk.crash(how);
        self.spawn.kill_tasks();
        Machine { settings: self.settings, ..Self::with_disk(self.seed + 1, disk) }
    }

    /// Another machine with a copy of the disk.
    pub(crate) fn copy(&self) -> Machine {
        Machine { settings: self.settings, ..Self::with_disk(self.seed, self.disk.copy()) }
    }
}

pub(crate) fn put(key: &str, value: &str) -> Write {
    Write::Put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

pub(crate) async fn try_commit(catalog: &DiskCatalog, writes: Vec<Write>) -> Result<Version, CommitError> {
    catalog.commit(Vec::new(), writes).await
}

pub(crate) async fn commit(catalog: &DiskCatalog, writes: Vec<Write>) -> Version {
    try_commit(catalog, writes).await.expect("nothing is wrong with this disk")
}

pub(crate) async fn everything(catalog: &DiskCatalog) -> Vec<Row> {
    catalog.scan(b"", None, usize::MAX).await.expect("rows are in memory")
}
