//! The parts, made and put together. The only place in the project that names concrete types: which engine, which
//! disk, which clock.

use std::sync::Arc;
use std::time::Duration;

use thalweg_api::Service;
use thalweg_api::kinesis::KinesisService;
use thalweg_catalog::Catalog;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_catalog_disk::DiskCatalog;
use thalweg_gateway::{Gateway, Readiness};
use thalweg_journal::{Health, Journal};
use thalweg_journal_disk::DiskJournal;
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_streams::{Components, Limits, Streams};
use thalweg_system::os::{Durability, OsClock, OsDisk, OsRandom, OsSpawn, TokioTasks, raise_open_files};
use thalweg_system::{Clock, Disk, Random, Tasks};

use crate::config::{Config, LimitsChoice, StorageConfig};
use crate::descriptors::{Shares, Wanted, share_out};
use crate::start_error::StartError;

/// Where the catalog is in the data directory (docs/formats/catalog.md); the journal has its files beside it.
pub(crate) const CATALOG_DIRECTORY: &str = "meta";

/// A server's parts, recovered and ready, not listening yet.
pub(crate) struct Parts {
    pub(crate) streams: Arc<Streams>,
    pub(crate) gateway: Gateway,
    pub(crate) storage: Storage,
    /// Where and how the data is kept, for people.
    pub(crate) data: String,
}

/// What holds the data: must be told of an end.
pub(crate) struct Storage {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) catalog: Arc<dyn Catalog>,
}

impl Storage {
    /// A clean end: the next start has nothing to repair.
    pub(crate) async fn shutdown(&self) {
        self.journal.shutdown().await;
        self.catalog.shutdown().await;
    }
}

/// Shares out the descriptors that the process may have.
///
/// # Errors
/// They are too few. It is to be known before anything is opened.
pub(crate) fn descriptors(config: &Config) -> Result<Shares, StartError> {
    let (gateway, journal) = (gateway_settings(config), journal_settings(config));
    let slots = usize::try_from(journal.ring_bytes_max / journal.slot_bytes).unwrap_or(usize::MAX);
    let wanted = Wanted {
        threads: gateway.threads.get(),
        slots: slots.saturating_add(journal.slots_first as usize),
        connections: gateway.connections_max,
        segments_read: journal.open_files_max,
        segments_written: journal.unsynced_segments_max,
    };
    share_out(raise_open_files(), wanted)
}

/// Makes all parts.
pub(crate) async fn compose(config: &Config, descriptors: Shares) -> Result<Parts, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(OsClock::new());
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let tasks: Arc<dyn Tasks> = Arc::new(TokioTasks);
    let (storage, data) = open_storage(config, descriptors, &clock, &random).await?;
    let components = Components {
        journal: Arc::clone(&storage.journal),
        catalog: Arc::clone(&storage.catalog),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        tasks: Arc::clone(&tasks),
    };
    let streams = Streams::open(components, streams_settings(config)).await;
    let streams = streams.map_err(|source| StartError::Streams { data: data.clone(), source })?;
    let service: Arc<dyn Service> = Arc::new(KinesisService(Arc::clone(&streams)));
    let gateway = Gateway::new(
        thalweg_gateway::Settings { connections_max: descriptors.connections, ..gateway_settings(config) },
        vec![service],
        clock,
        &*random,
        readiness(&storage),
        tasks,
    );
    Ok(Parts { streams, gateway, storage, data })
}

async fn open_storage(
    config: &Config,
    descriptors: Shares,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Storage, String), StartError> {
    match &config.storage {
        StorageConfig::Memory { bytes_max } => {
            let mut knobs = Knobs::default();
            if let Some(bytes_max) = bytes_max {
                knobs.bytes_max = *bytes_max;
            }
            let journal = Arc::new(MemoryJournal::new(Arc::clone(clock), knobs));
            let storage = Storage { journal, catalog: Arc::new(MemoryCatalog::new()) };
            Ok((storage, "in memory, gone at the end".to_owned()))
        }
        StorageConfig::Directory { path, .. } => {
            let disk = OsDisk::open(path)?;
            // What was written may be relative; what is read in a log tomorrow must not be.
            let directory = std::path::absolute(disk.root()).unwrap_or_else(|_| disk.root().to_owned());
            let directory = directory.display().to_string();
            let durability = disk.durability().clone();
            if let Durability::Synced { reason } = &durability {
                tracing::warn!("{directory} has no direct writes ({reason}): puts wait longer");
            }
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let of_journal = |source| StartError::Journal { directory: directory.clone(), source };
            // The first start makes the catalog before the journal, and both before the catalog's first row. Where one is
            // lost, none is made in its place.
            let may_create = !thalweg_journal_disk::is_made(&*disk).await.map_err(of_journal)?;
            let catalog = DiskCatalog::open(
                Arc::clone(&disk),
                &OsSpawn,
                Arc::clone(clock),
                &**random,
                CATALOG_DIRECTORY,
                thalweg_catalog_disk::Settings { may_create, ..catalog_settings(config) },
            )
            .await
            .map_err(|source| StartError::Catalog { directory: directory.clone(), source })?;
            let may_create = catalog.scan(b"", None, 1).await.is_ok_and(|rows| rows.is_empty());
            let journal_settings = thalweg_journal_disk::Settings {
                may_create,
                open_files_max: descriptors.segments_read,
                unsynced_segments_max: descriptors.segments_written,
                ..journal_settings(config)
            };
            let journal = DiskJournal::open(
                disk,
                Arc::clone(clock),
                Arc::new(OsSpawn),
                Arc::clone(random),
                journal_settings,
            )
            .await
            .map_err(of_journal)?;
            let storage = Storage { journal: Arc::new(journal), catalog: Arc::new(catalog) };
            Ok((storage, format!("{directory} ({durability})")))
        }
    }
}

/// The engine's sizes: its own, but for what the configuration says.
fn journal_settings(config: &Config) -> thalweg_journal_disk::Settings {
    if config.has_small_files {
        // Tests begin with records of yesterday, too.
        let clock_jump_max = Duration::from_secs(1000 * 3600);
        return thalweg_journal_disk::Settings { clock_jump_max, ..thalweg_journal_disk::Settings::small() };
    }
    let mut settings = thalweg_journal_disk::Settings::default();
    let StorageConfig::Directory {
        disk_reserve_permille,
        undrained_bytes,
        tail_cache_bytes,
        chunk_cache_bytes,
        path: _,
    } = &config.storage
    else {
        return settings;
    };
    settings.disk_reserve_permille = *disk_reserve_permille;
    if let Some(bytes) = *undrained_bytes {
        // The proportions of the engine's own settings: half of the ring is written while the other half is drained,
        // in rounds of three eighths of what may wait.
        settings.undrained_bytes_max = bytes;
        settings.ring_bytes_max = 2 * bytes as u64;
        settings.drain_start_bytes = bytes / 8 * 3;
        settings.drain_bytes_max = bytes / 8 * 3;
    }
    if let Some(bytes) = *tail_cache_bytes {
        settings.tail_cache_bytes_max = bytes;
        settings.tail_cache_idle_bytes_max = settings.tail_cache_idle_bytes_max.min(bytes);
    }
    if let Some(bytes) = *chunk_cache_bytes {
        settings.chunk_cache_bytes_max = bytes;
    }
    settings
}

fn catalog_settings(config: &Config) -> thalweg_catalog_disk::Settings {
    match config.has_small_files {
        true => thalweg_catalog_disk::Settings::small(),
        false => thalweg_catalog_disk::Settings::default(),
    }
}

fn streams_settings(config: &Config) -> thalweg_streams::Settings {
    thalweg_streams::Settings {
        region: config.region.clone(),
        account: config.account.clone(),
        limits: match config.limits {
            LimitsChoice::None => Limits::None,
            LimitsChoice::Aws => Limits::Aws,
        },
        shard_limit: config.shard_limit,
        transition_delay: config.transition_delay,
    }
}

fn gateway_settings(config: &Config) -> thalweg_gateway::Settings {
    let mut settings = thalweg_gateway::Settings::default();
    if let Some(threads) = config.threads {
        settings.threads = threads;
    }
    settings
}

/// Ready means: puts are taken, and changes of streams. A throttled journal is ready: clients wait and try again.
fn readiness(storage: &Storage) -> Readiness {
    let (journal, catalog) = (Arc::clone(&storage.journal), Arc::clone(&storage.catalog));
    Box::new(move || {
        if let Health::WritesStopped(reason) = journal.health() {
            return Err(format!("no writes until restart: {reason}"));
        }
        match catalog.stopped() {
            Some(reason) => Err(format!("no changes of streams until restart: {reason}")),
            None => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use thalweg_system::disk::DiskErrorKind;
    use thalweg_system::simulated::{CallKind, ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
    use thalweg_types::Timestamp;

    use super::*;

    #[test]
    fn a_server_whose_catalog_takes_no_commits_is_not_ready() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let spawn = SimulatedSpawn::new(1, clock.clone());
        let disk = SimulatedDisk::new();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        spawn.block_on(async {
            let (catalog_disk, settings) = (Arc::new(disk.clone()), thalweg_catalog_disk::Settings::small());
            let random = SeededRandom::new(1);
            let catalog = DiskCatalog::open(
                catalog_disk,
                &spawn,
                Arc::clone(&clock),
                &random,
                CATALOG_DIRECTORY,
                settings,
            );
            let catalog: Arc<dyn Catalog> = Arc::new(catalog.await.expect("nothing is there yet"));
            let journal = Arc::new(MemoryJournal::new(clock, Knobs::default()));
            let ready = readiness(&Storage { journal, catalog: Arc::clone(&catalog) });
            let put = |key: &'static str| vec![thalweg_catalog::Write::Put(key.into(), "value".into())];
            catalog.commit(Vec::new(), put("a")).await.expect("the disk works");
            assert_eq!(ready(), Ok(()));
            disk.fail_nth(CallKind::WriteDurable, "", 1, DiskErrorKind::Io);
            catalog.commit(Vec::new(), put("b")).await.expect_err("the disk does not");
            let reason = ready().expect_err("it takes no changes");
            assert!(reason.contains("no changes of streams") && reason.contains("meta/log-a"), "{reason}");
            catalog.shutdown().await;
        });
    }
}
