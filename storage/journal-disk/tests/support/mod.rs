//! A journal on a simulated disk, with everything a test does to it: starts, crashes, time.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod history;

use std::sync::Arc;
use std::time::Duration;

use thalweg_journal_disk::{DiskJournal, OpenError, Settings};
use thalweg_system::simulated::{Crash, ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_types::Timestamp;

/// The adapters of one simulated machine; the disk is replaced at each crash.
pub(crate) struct Machine {
    pub(crate) disk: SimulatedDisk,
    pub(crate) clock: ManualClock,
    pub(crate) spawn: SimulatedSpawn,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) settings: Settings,
}

impl Machine {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        Machine {
            disk: SimulatedDisk::new(),
            spawn: SimulatedSpawn::new(seed, clock.clone()),
            clock,
            random: Arc::new(SeededRandom::new(seed)),
            settings,
        }
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<DiskJournal>, OpenError> {
        let journal = DiskJournal::open(
            Arc::new(self.disk.clone()),
            Arc::new(self.clock.clone()),
            Arc::new(self.spawn.clone()),
            Arc::clone(&self.random) as Arc<dyn thalweg_system::Random>,
            self.settings.clone(),
        );
        Ok(Arc::new(journal.await?))
    }

    pub(crate) async fn open(&self) -> Arc<DiskJournal> {
        self.try_open().await.unwrap_or_else(|error| panic!("the journal opens: {error}"))
    }

    /// Ends every loop where it stands, and leaves what `how` leaves of the disk.
    pub(crate) fn crash(&mut self, how: Crash) {
        let after = self.disk.crash(how);
        self.spawn.kill_tasks();
        self.disk = after;
    }
}

/// Slots of 160 KiB, so that the appends of 64 KiB that the conformance suite makes fit; everything else small
/// enough for the ring to wrap, chunks to be cut and segments to roll all the time.
pub(crate) fn small_settings() -> Settings {
    const KIB: usize = 1024;
    Settings {
        slot_bytes_first: 160 * KIB as u64,
        slot_bytes: 168 * KIB as u64,
        ring_bytes_max: 700 * KIB as u64,
        batch_bytes_max: 16 * KIB,
        request_bytes_max: 72 * KIB,
        undrained_bytes_max: 256 * KIB,
        drain_start_bytes: 48 * KIB,
        drain_bytes_max: 32 * KIB,
        drained_percent: 125,
        drain_bytes_per_second_min: 1024 * KIB as u64,
        chores_interval: Duration::from_millis(100),
        ..Settings::tiny()
    }
}

/// The seeds to try: so many, or what `THALWEG_SEEDS` says (a count, or `from..to`) when somebody hunts.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("THALWEG_SEEDS") else { return 1..count + 1 };
    let number = |text: &str| text.parse::<u64>().expect("THALWEG_SEEDS is a count or from..to");
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 1..number(&asked) + 1,
    }
}
