//! The server without its sockets: gateway and service over the disk engine, with a clock that stands still, so that
//! no timer adds work of its own.

use std::sync::Arc;

use thalweg_api::kinesis::KinesisService;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_gateway::Gateway;
use thalweg_journal::Journal;
use thalweg_journal_disk::DiskJournal;
use thalweg_streams::{Components, Streams};
use thalweg_system::os::{OsDisk, OsSpawn, TokioTasks};
use thalweg_system::simulated::{ManualClock, SeededRandom};
use thalweg_types::Timestamp;

use crate::bodies::{self, Encoding};
use crate::pipe::Client;

/// What a pipe holds: a whole request or answer, so that nobody waits for room.
const PIPE_BYTES: usize = 4 << 20;
/// Draining begins early, so that a short workload is drained, too.
const DRAIN_BYTES: usize = 8 << 20;
/// Of 24 MiB each.
const SLOTS: u32 = 6;

/// A server in this process.
pub(crate) struct World {
    gateway: Gateway,
    pub(crate) clock: Arc<ManualClock>,
    journal: Arc<dyn Journal>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
        let random = Arc::new(SeededRandom::new(1));
        let disk = Arc::new(OsDisk::open(folder.path()).expect("a data directory"));
        let settings = thalweg_journal_disk::Settings {
            drain_start_bytes: DRAIN_BYTES,
            drain_bytes_max: DRAIN_BYTES,
            // The ring has room for a whole workload: growing would wait for a clock that stands still…
            slots_first: SLOTS,
            ring_bytes_max: 0,
            disk_reserve_permille: 0,
            // …and so would a round of draining that is paced.
            drained_percent: 0,
            ..thalweg_journal_disk::Settings::default()
        };
        let journal = DiskJournal::open(disk, clock.clone(), Arc::new(OsSpawn), random.clone(), settings);
        let journal: Arc<dyn Journal> = Arc::new(journal.await.expect("an empty directory"));
        let components = Components {
            journal: journal.clone(),
            catalog: Arc::new(MemoryCatalog::new()),
            clock: clock.clone(),
            random: random.clone(),
            tasks: Arc::new(TokioTasks),
        };
        let streams = Streams::open(components, thalweg_streams::Settings::default()).await;
        let gateway = Gateway::new(
            thalweg_gateway::Settings::default(),
            vec![Arc::new(KinesisService(streams.expect("nothing is there yet")))],
            clock.clone(),
            &*random,
            Box::new(|| Ok(())),
            Arc::new(TokioTasks),
        );
        World { gateway, clock, journal, _folder: folder }
    }

    /// A connection of its own, served by this thread.
    pub(crate) fn connect(&self) -> Client {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let gateway = self.gateway.clone();
        tokio::task::spawn_local(async move { gateway.serve_connection(far).await });
        Client::new(near)
    }

    /// A control operation; answers its body.
    pub(crate) async fn control(
        &self,
        operation: &str,
        members: &[(&str, serde_json::Value)],
    ) -> serde_json::Value {
        let request = bodies::request(operation, Encoding::Json, &bodies::flat(Encoding::Json, members));
        let mut client = self.connect();
        serde_json::from_slice(client.call(&request).await).unwrap_or_default()
    }

    /// Ends the engine, so that everything it began is done.
    pub(crate) async fn end(self) {
        self.journal.shutdown().await;
    }
}
