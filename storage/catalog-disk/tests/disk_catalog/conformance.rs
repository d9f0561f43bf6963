//! The suite of the trait, over the simulated disk and over the real one.

use std::sync::Arc;

use thalweg_catalog::Catalog;
use thalweg_catalog::conformance::{Keeps, Open, check_all};
use thalweg_catalog_disk::{DiskCatalog, Settings};
use thalweg_system::os::{OsClock, OsDisk, OsRandom, OsSpawn};
use thalweg_system::simulated::{ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_system::{Disk, Spawn};
use thalweg_types::Timestamp;

use crate::support::{DIRECTORY, SMALL};

fn check_simulated(seed: u64, settings: Settings, alignment: usize) {
    let clock = ManualClock::new(Timestamp::ZERO);
    let spawn = SimulatedSpawn::new(seed, clock.clone());
    let new_place = || -> Open {
        let disk = SimulatedDisk::with_alignment(alignment);
        let (clock, spawn) = (clock.clone(), spawn.clone());
        Box::new(move || {
            let (disk, clock, spawn) = (disk.clone(), clock.clone(), spawn.clone());
            Box::pin(async move {
                let random = SeededRandom::new(seed);
                let catalog =
                    DiskCatalog::open(Arc::new(disk), &spawn, Arc::new(clock), &random, DIRECTORY, settings);
                Arc::new(catalog.await.expect("nothing is wrong with this disk")) as Arc<dyn Catalog>
            })
        })
    };
    spawn.block_on(check_all(&new_place, Keeps::Rows));
}

#[test]
fn the_disk_engine_conforms_on_a_simulated_disk() {
    check_simulated(1, Settings::default(), 4096);
}

#[test]
fn the_disk_engine_conforms_with_logs_that_are_always_full() {
    for seed in 0..3 {
        check_simulated(seed, SMALL, 512);
    }
}

fn check_real(open_disk: fn(&std::path::Path) -> OsDisk, settings: Settings) {
    let parent = tempfile::tempdir().expect("tests may write");
    let number = std::sync::atomic::AtomicU32::new(0);
    let new_place = || -> Open {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let disk: Arc<dyn Disk> = Arc::new(open_disk(&parent.path().join(number.to_string())));
        Box::new(move || {
            let disk = Arc::clone(&disk);
            Box::pin(async move {
                let spawn: &dyn Spawn = &OsSpawn;
                let clock = Arc::new(OsClock::new());
                let catalog = DiskCatalog::open(disk, spawn, clock, &OsRandom, DIRECTORY, settings);
                Arc::new(catalog.await.expect("nothing is wrong with this disk")) as Arc<dyn Catalog>
            })
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
    runtime.block_on(check_all(&new_place, Keeps::Rows));
}

#[test]
fn the_disk_engine_conforms_on_a_real_disk() {
    check_real(|path| OsDisk::open(path).expect("tests may write"), Settings::default());
}

#[test]
fn the_disk_engine_conforms_on_a_real_disk_without_direct_io() {
    let settings =
        Settings { log_bytes_initial: 64 << 10, log_bytes_doubled_max: 128 << 10, ..Settings::default() };
    check_real(|path| OsDisk::open_without_direct_io(path).expect("tests may write"), settings);
}
