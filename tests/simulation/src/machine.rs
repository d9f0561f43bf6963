//! A simulated machine and the server on it: put together as the real one is, over a disk that outlives it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_api::kinesis::KinesisService;
use thalweg_catalog::Catalog;
use thalweg_catalog_disk::DiskCatalog;
use thalweg_gateway::Gateway;
use thalweg_journal::Journal;
use thalweg_journal_disk::DiskJournal;
use thalweg_streams::{Components, Streams};
use thalweg_system::simulated::{CallKind, Crash, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_system::{Clock, Disk, Random};

use crate::world::World;

const KIB: usize = 1024;
/// How long requests in flight have when the server ends in good order.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Machine {
    world: Arc<World>,
    /// The scheduler of all machines.
    spawn: SimulatedSpawn,
    pub(crate) disk: SimulatedDisk,
    /// Whether its disks lie about what is durable.
    is_lying: bool,
    random: Arc<SeededRandom>,
    life: Option<Life>,
}

/// A running server.
struct Life {
    spawn: SimulatedSpawn,
    gateway: Gateway,
    streams: Arc<Streams>,
    journal: Arc<dyn Journal>,
    catalog: Arc<dyn Catalog>,
}

impl Machine {
    /// A machine that has not been started, with an empty disk.
    pub(crate) fn new(seed: u64, world: &Arc<World>, spawn: &SimulatedSpawn, is_lying: bool) -> Machine {
        // Blocks as real disks have them, or of the size of a sector.
        let disk = match seed.is_multiple_of(2) {
            true => SimulatedDisk::with_alignment(thalweg_journal_disk::BLOCK_BYTES),
            false => SimulatedDisk::new(),
        };
        disk.lie_about_syncs(is_lying);
        Machine {
            world: Arc::clone(world),
            spawn: spawn.clone(),
            disk,
            is_lying,
            random: Arc::new(SeededRandom::new(seed ^ 0x6d61_6368_696e_6500)),
            life: None,
        }
    }

    /// Starts the server; it listens then.
    ///
    /// # Errors
    /// Why it does not start. Nothing of it runs then.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        let spawn = self.spawn.other_group();
        match self.open(&spawn).await {
            Ok(life) => {
                self.world.network.listen(life.gateway.clone(), spawn);
                self.life = Some(life);
                Ok(())
            }
            Err(error) => {
                spawn.kill_tasks();
                Err(error)
            }
        }
    }

    async fn open(&self, spawn: &SimulatedSpawn) -> Result<Life, String> {
        let clock: Arc<dyn Clock> = Arc::new(self.world.clock.clone());
        let random: Arc<dyn Random> = self.random.clone();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let catalog = DiskCatalog::open(
            Arc::clone(&disk),
            spawn,
            Arc::clone(&clock),
            &*random,
            "meta",
            catalog_settings(),
        );
        let catalog: Arc<dyn Catalog> = Arc::new(catalog.await.map_err(|error| chain(&error))?);
        let journal = DiskJournal::open(
            disk,
            Arc::clone(&clock),
            Arc::new(spawn.clone()),
            Arc::clone(&random),
            journal_settings(),
        );
        let journal: Arc<dyn Journal> = Arc::new(journal.await.map_err(|error| chain(&error))?);
        let components = Components {
            journal: Arc::clone(&journal),
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            tasks: Arc::new(spawn.clone()),
        };
        let streams = Streams::open(components, thalweg_streams::Settings::default()).await;
        let streams = streams.map_err(|error| chain(&error))?;
        let gateway = Gateway::new(
            thalweg_gateway::Settings::default(),
            vec![Arc::new(KinesisService(Arc::clone(&streams)))],
            clock,
            &*random,
            Box::new(|| Ok(())),
            Arc::new(spawn.clone()),
        );
        Ok(Life { spawn: spawn.clone(), gateway, streams, journal, catalog })
    }

    /// Ends everything where it stands, and leaves of the disk what `how` leaves.
    pub(crate) fn crash(&mut self, how: Crash) {
        self.world.network.silence();
        self.count_calls();
        let after = self.disk.crash(how);
        after.lie_about_syncs(self.is_lying);
        if let Some(life) = self.life.take() {
            life.spawn.kill_tasks();
        }
        self.disk = after;
    }

    /// Notes what its disk was asked for, before that is replaced.
    pub(crate) fn count_calls(&self) {
        let mut counters = self.world.counters();
        counters.add("calls to the disk", self.disk.calls());
        counters.add("files made", self.disk.calls_of(CallKind::Create));
        counters.add("files removed", self.disk.calls_of(CallKind::Unlink));
    }

    /// Ends the server in good order.
    pub(crate) async fn shut_down(&mut self) {
        self.world.network.silence();
        let Some(life) = self.life.take() else { return };
        life.gateway.start_draining();
        tokio::select! {
            biased;
            () = life.gateway.drained() => {}
            () = self.world.clock.sleep(GRACE) => {}
        }
        life.streams.shutdown().await;
        life.journal.shutdown().await;
        life.catalog.shutdown().await;
        life.spawn.kill_tasks();
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Small enough for the ring to wrap, chunks to be cut and segments to roll all the time, large enough for the largest
/// request that an actor makes.
fn journal_settings() -> thalweg_journal_disk::Settings {
    thalweg_journal_disk::Settings {
        slot_bytes_first: 360 * KIB as u64,
        slot_bytes: 368 * KIB as u64,
        ring_bytes_max: 1500 * KIB as u64,
        batch_bytes_max: 16 * KIB,
        request_bytes_max: 160 * KIB,
        undrained_bytes_max: 512 * KIB,
        drain_start_bytes: 64 * KIB,
        drain_bytes_max: 48 * KIB,
        drained_percent: 125,
        drain_bytes_per_second_min: 1024 * KIB as u64,
        chores_interval: Duration::from_millis(100),
        ..thalweg_journal_disk::Settings::tiny()
    }
}

/// Logs fill up soon.
fn catalog_settings() -> thalweg_catalog_disk::Settings {
    thalweg_catalog_disk::Settings {
        log_bytes_initial: 16 << 10,
        log_bytes_doubled_max: 32 << 10,
        log_bytes_max: 64 << 10,
        ..thalweg_catalog_disk::Settings::default()
    }
}
