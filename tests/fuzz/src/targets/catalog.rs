//! A catalog's directory, edited: the snapshot and both log files. A check and a start agree on it, and what a start
//! takes can be read, written and started again.
//!
//! The first byte: bit 0 says whether checksums are made right after the edits.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use thalweg_catalog::{Catalog, Write};
use thalweg_catalog_disk::{DiskCatalog, OpenError, Settings, check};
use thalweg_system::simulated::{ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_types::Timestamp;

use super::Target;
use crate::disk::{Files, disk, edit, get_u32, get_u64, has_magic, put_sum, put_u32, stored};
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "catalog", run, seeds, bytes_max: 1024, mutations: 400 };

const DIRECTORY: &str = "meta";
const LOGS: [&str; 2] = ["meta/log-a", "meta/log-b"];
const SUMS_ARE_RIGHT: u8 = 1;
/// The smallest block of a log file.
const SECTOR: usize = 512;
const SNAPSHOT_HEADER: usize = 60;
const FRAME_HEADER: usize = 16;

fn run(bytes: &[u8]) {
    static STORED: OnceLock<Files> = OnceLock::new();
    let stored = STORED.get_or_init(|| stored("storage/catalog-disk/tests/fixtures/v1", "meta/"));
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let mut files = stored.clone();
    edit(&mut files, input);
    if flags & SUMS_ARE_RIGHT > 0 {
        make_sums_right(&mut files);
    }
    try_directory(&disk(&files));
}

fn try_directory(disk: &SimulatedDisk) {
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let spawn = SimulatedSpawn::new(1, clock.clone());
    spawn.block_on(async {
        let checked = check(disk, DIRECTORY).await;
        let catalog = match (open(disk, &spawn, &clock).await, checked) {
            (Ok(catalog), Ok(_)) => catalog,
            (Err(_), Err(_)) => return,
            (Err(error), Ok(_)) => panic!("a start finds, and a check does not: {error}"),
            (Ok(_), Err(error)) => panic!("a check finds, and a start does not: {error}"),
        };
        let rows = catalog.scan(b"", None, usize::MAX).await.expect("they are in memory");
        let writes = vec![Write::Put("new".into(), "row".into()), Write::Delete("a".into())];
        let is_written = catalog.commit(vec![], writes).await.is_ok();
        catalog.shutdown().await;
        let again =
            open(disk, &spawn, &clock).await.unwrap_or_else(|error| panic!("it started once: {error}"));
        let rows_again = again.scan(b"", None, usize::MAX).await.expect("they are in memory");
        let others = |row: &&thalweg_catalog::Row| row.key != "new" && row.key != "a";
        assert!(rows.iter().filter(others).eq(rows_again.iter().filter(others)));
        assert!(!is_written || rows_again.iter().any(|row| row.key == "new"));
    });
    spawn.kill_tasks();
}

async fn open(
    disk: &SimulatedDisk,
    spawn: &SimulatedSpawn,
    clock: &ManualClock,
) -> Result<DiskCatalog, OpenError> {
    let (disk, clock, random) = (Arc::new(disk.clone()), Arc::new(clock.clone()), SeededRandom::new(1));
    DiskCatalog::open(disk, spawn, clock, &random, DIRECTORY, Settings::small()).await
}

/// As `docs/formats/catalog.md` has them.
fn make_sums_right(files: &mut Files) {
    let mut places: BTreeMap<u64, (&str, usize)> = BTreeMap::new();
    for path in LOGS {
        let Some(file) = files.get_mut(path) else { continue };
        let block = get_u32(file, 12) as usize;
        put_sum(file, 4, 8, block);
        for at in (SECTOR..file.len()).step_by(SECTOR).filter(|at| has_magic(file, *at, b"TWCB")) {
            places.insert(get_u64(file, at + 32), (path, at));
        }
    }
    let mut sums: BTreeMap<u64, u32> = BTreeMap::new();
    for (sequence, (path, at)) in places {
        let file = files.get_mut(path).expect("it was found there");
        let block = get_u32(file, 12).max(1) as usize;
        let batch = &mut file[at..];
        if let Some(before) = sequence.checked_sub(1).and_then(|before| sums.get(&before)) {
            put_u32(batch, 12, *before);
        }
        let length = (72 + get_u32(batch, 68) as usize).next_multiple_of(block);
        put_sum(batch, 4, 8, length);
        sums.insert(sequence, get_u32(batch, 4));
    }
    let Some(snapshot) = files.get_mut("meta/snapshot") else { return };
    if let Some(sum) = sums.get(&get_u64(snapshot, 20)) {
        put_u32(snapshot, 52, *sum);
    }
    put_sum(snapshot, 4, 8, SNAPSHOT_HEADER);
    let mut at = SNAPSHOT_HEADER;
    while at < snapshot.len() {
        let frame = &mut snapshot[at..];
        let length = FRAME_HEADER + get_u32(frame, 12) as usize;
        put_sum(frame, 4, 8, length);
        at += length;
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("as-it-is", vec![0]),
        ("made-right", vec![1]),
        ("cut", vec![0, 1, 0, 0, 8]),
        ("removed", vec![1, 2, 1, 0, 0]),
        ("zeros", vec![1, 3, 0, 0, 16]),
        ("sequence", vec![1, 5, 0, 32, 2, 1]),
        ("payload", vec![1, 0, 0, 72, 2, 4, 9, 9, 9, 9]),
        ("copied", vec![1, 4, 0, 0, 8, 1, 0, 4, 0, 2]),
    ]
}
