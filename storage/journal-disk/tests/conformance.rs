//! The embedded journal keeps what every journal promises, over a disk that loses and tears what was not synced.

#![allow(clippy::disallowed_methods, reason = "the test looks where it may write")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Machine, small_settings};
use thalweg_journal::conformance::{Harness, Instance, Pause, Stop, run_all};
use thalweg_journal::{BoxFuture, Journal};
use thalweg_journal_disk::{DiskJournal, Settings};
use thalweg_system::os::{OsClock, OsDisk, OsRandom, OsSpawn};
use thalweg_system::simulated::{Crash, ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_system::{Clock, Disk};
use thalweg_types::Timestamp;

struct Simulated {
    spawn: SimulatedSpawn,
    clock: ManualClock,
    random: Arc<SeededRandom>,
    settings: Settings,
}

struct SimulatedInstance {
    machine: Machine,
    journal: Option<Arc<DiskJournal>>,
}

impl Harness for Simulated {
    fn start(&self) -> BoxFuture<'_, Box<dyn Instance>> {
        Box::pin(async {
            let machine = Machine {
                disk: SimulatedDisk::new(),
                clock: self.clock.clone(),
                spawn: self.spawn.clone(),
                random: Arc::clone(&self.random),
                settings: self.settings.clone(),
            };
            let journal = Some(machine.open().await);
            Box::new(SimulatedInstance { machine, journal }) as Box<dyn Instance>
        })
    }

    fn record_bytes_max(&self) -> usize {
        self.settings.request_bytes_max - 1024
    }
}

impl Instance for SimulatedInstance {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(self.journal.as_ref().expect("it is open")) as Arc<dyn Journal>
    }

    fn reopen(&mut self, after: Stop) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let journal = self.journal.take().expect("it is open");
            match after {
                Stop::Clean => journal.shutdown().await,
                Stop::Crash => {
                    let how = match self.machine.random.below(4) {
                        0 => Crash::Process,
                        1 => Crash::PowerNothing,
                        2 => Crash::PowerEverything,
                        _ => Crash::Power(self.machine.random.below(u64::MAX)),
                    };
                    self.machine.crash(how);
                }
            }
            drop(journal);
            self.journal = Some(self.machine.open().await);
            true
        })
    }

    fn pause(&self) -> Pause {
        let clock = self.machine.clock.clone();
        Arc::new(move || clock.sleep(Duration::from_millis(1)))
    }

    fn advance(&self, by: Duration) -> bool {
        self.machine.clock.advance(by);
        true
    }

    fn step_wall(&self, millis: i64) -> bool {
        let clock = &self.machine.clock;
        clock.set_wall(Timestamp::from_millis(clock.wall().as_millis() + millis));
        true
    }
}

fn check(seed: u64, settings: Settings) {
    println!("seed {seed}");
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let spawn = SimulatedSpawn::new(seed, clock.clone());
    let harness =
        Simulated { spawn: spawn.clone(), clock, random: Arc::new(SeededRandom::new(seed)), settings };
    let report = spawn.block_on(run_all(&harness));
    let skipped: Vec<_> = report.skipped.iter().map(|(rule, _)| *rule).collect();
    // No outcome is made unknown here, and no journal on a disk of one's own has another owner.
    assert_eq!(
        skipped,
        ["an_unknown_outcome_is_there_whole_or_not_at_all", "a_fenced_journal_applies_nothing"]
    );
}

#[test]
fn the_journal_on_disk_conforms() {
    for seed in 1..=6 {
        check(seed, small_settings());
    }
}

/// The journal on a real disk, in a directory that goes with the test.
#[derive(Clone, Copy)]
enum Real {
    /// Direct I/O, where the directory for temporary files allows it.
    Direct,
    /// Plain writes everywhere, as it is told.
    Plain,
    /// Plain writes everywhere, as it finds out at the first.
    Memory,
}

const MEMORY: &str = "/dev/shm";

struct RealInstance {
    disk: Arc<OsDisk>,
    journal: Option<Arc<DiskJournal>>,
    _directory: tempfile::TempDir,
}

impl RealInstance {
    async fn open(disk: &Arc<OsDisk>) -> Arc<DiskJournal> {
        let journal = DiskJournal::open(
            Arc::clone(disk) as Arc<dyn Disk>,
            Arc::new(OsClock::new()),
            Arc::new(OsSpawn),
            Arc::new(OsRandom),
            small_settings(),
        );
        Arc::new(journal.await.expect("it opens"))
    }
}

impl Harness for Real {
    fn start(&self) -> BoxFuture<'_, Box<dyn Instance>> {
        Box::pin(async {
            let directory = match self {
                Real::Direct | Real::Plain => tempfile::tempdir(),
                Real::Memory => tempfile::tempdir_in(MEMORY),
            };
            let directory = directory.expect("tests may write");
            let disk = match self {
                Real::Direct | Real::Memory => OsDisk::open(directory.path()),
                Real::Plain => OsDisk::open_without_direct_io(directory.path()),
            };
            let disk = Arc::new(disk.expect("it is new"));
            let journal = Some(RealInstance::open(&disk).await);
            Box::new(RealInstance { disk, journal, _directory: directory }) as Box<dyn Instance>
        })
    }

    fn record_bytes_max(&self) -> usize {
        small_settings().request_bytes_max - 1024
    }

    fn seeds(&self) -> Vec<u64> {
        vec![1]
    }
}

impl Instance for RealInstance {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(self.journal.as_ref().expect("it is open")) as Arc<dyn Journal>
    }

    /// A crash of the program cannot be had within it: the simulated disk is for that.
    fn reopen(&mut self, _after: Stop) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let journal = self.journal.take().expect("it is open");
            journal.shutdown().await;
            drop(journal);
            self.journal = Some(RealInstance::open(&self.disk).await);
            true
        })
    }

    fn pause(&self) -> Pause {
        Arc::new(|| Box::pin(tokio::time::sleep(Duration::from_millis(1))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_on_a_real_disk_conforms() {
    run_all(&Real::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_on_a_real_disk_without_direct_io_conforms() {
    run_all(&Real::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_on_a_memory_file_system_conforms() {
    if !std::path::Path::new(MEMORY).is_dir() {
        eprintln!("skipped: no memory file system at {MEMORY}");
        return;
    }
    run_all(&Real::Memory).await;
}
