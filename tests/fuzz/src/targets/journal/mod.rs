//! A journal's directory, edited: superblocks, checkpoints, the ring, segments and their indexes. A check and a start
//! agree on it, and what a start takes can be read, written and started again.
//!
//! The first byte: bits 0 and 1 choose the directory, bit 2 whether checksums are made right after the edits.

mod sums;

use std::sync::{Arc, OnceLock};

use thalweg_journal::{Append, Journal, Read, Record, Run};
use thalweg_journal_disk::{DiskJournal, OpenError, Settings, check};
use thalweg_system::simulated::{ManualClock, SeededRandom, SimulatedDisk, SimulatedSpawn};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

use super::Target;
use crate::disk::{Files, disk, edit, stored};
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "journal", run, seeds, bytes_max: 1024, mutations: 150 };

const FIXTURES: [&str; 4] = ["v2-crash", "v2-clean", "v1-crash", "v1-clean"];
const SUMS_ARE_RIGHT: u8 = 4;
/// Later than anything in the directories.
const NOW: Timestamp = Timestamp::from_millis(1_700_001_000_000);
/// Records that are read of a shard. An edit may claim that there are many more.
const READS_MAX: usize = 64;

/// Those that the directories were written with.
fn settings() -> Settings {
    Settings {
        slot_bytes_first: 12 * 1024,
        slot_bytes: 12 * 1024,
        ring_bytes_max: 36 * 1024,
        batch_bytes_max: 4096,
        request_bytes_max: 3900,
        chunk_bytes_max: 700,
        segment_bytes_max: 20_000,
        bulk_bytes_min: 700,
        bulk_bytes_max: 4096,
        ..Settings::tiny()
    }
}

fn run(bytes: &[u8]) {
    static STORED: OnceLock<[Files; 4]> = OnceLock::new();
    let stored = STORED.get_or_init(|| {
        FIXTURES.map(|name| stored(&format!("storage/journal-disk/tests/fixtures/{name}"), ""))
    });
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let mut files = stored[usize::from(flags % 4)].clone();
    edit(&mut files, input);
    if flags & SUMS_ARE_RIGHT > 0 {
        sums::make_right(&mut files);
    }
    try_directory(&disk(&files));
}

fn try_directory(disk: &SimulatedDisk) {
    let clock = ManualClock::new(NOW);
    let spawn = SimulatedSpawn::new(1, clock.clone());
    spawn.block_on(async {
        let damage = check(disk).await.damage;
        let opened = open(disk, &spawn, &clock).await;
        match &opened {
            // It is not damaged, and not for these settings.
            Err(OpenError::Settings(_)) => return,
            Err(error) => return assert!(!damage.is_empty(), "a start finds, and a check does not: {error}"),
            Ok(_) => {}
        }
        let journal = opened.expect("the others were told apart");
        let is_readable = read_all(&journal).await;
        assert!(is_readable || !damage.is_empty(), "something cannot be read, and a check does not find it");
        write(&journal).await;
        journal.shutdown().await;
        if damage.is_empty() {
            let again = open(disk, &spawn, &clock).await;
            again.unwrap_or_else(|error| panic!("it started once: {error}"));
        }
    });
    spawn.kill_tasks();
}

async fn open(
    disk: &SimulatedDisk,
    spawn: &SimulatedSpawn,
    clock: &ManualClock,
) -> Result<DiskJournal, OpenError> {
    let (disk, clock, spawn) = (Arc::new(disk.clone()), Arc::new(clock.clone()), Arc::new(spawn.clone()));
    DiskJournal::open(disk, clock, spawn, Arc::new(SeededRandom::new(1)), settings()).await
}

/// Reads every shard from its start; whether all could be read.
async fn read_all(journal: &DiskJournal) -> bool {
    for (shard, tail) in journal.shards() {
        let mut from = tail.trimmed;
        for _ in 0..READS_MAX {
            if from >= tail.next {
                break;
            }
            let read = Read { shard, from, records_max: 9, bytes_max: 9999, not_before: Timestamp::ZERO };
            let Ok(answer) = journal.read(read).await else { return false };
            assert!(answer.next > from, "a read goes on: {shard} at {from}");
            for run in &answer.runs {
                assert_eq!(run.records().count(), run.count as usize);
            }
            from = answer.next;
        }
    }
    true
}

/// One record to a shard that is open, if there is one, and a stream that goes.
async fn write(journal: &DiskJournal) {
    let open = journal.shards().into_iter().find(|(_, tail)| !tail.sealed);
    let shard = open.map_or(ShardKey { stream: StreamId(1), shard: ShardIndex(0) }, |(shard, _)| shard);
    let record = Record { partition_key: None, explicit_hash_key: None, id: None, data: b"later" };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let _ = journal.append(Append { runs: vec![Run::new(shard, 1, &bytes)], bytes: bytes.into() }).await;
    let _ = journal.delete_stream(StreamId(300)).await;
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Files in their order: checkpoint, checkpoint, indexes and segments, superblocks, slots.
    vec![
        ("v2-crash", vec![0]),
        ("v2-clean", vec![1]),
        ("v1-crash", vec![2]),
        ("v1-clean", vec![3]),
        ("made-right", vec![4]),
        ("cut", vec![0, 1, 12, 0, 0x20]),
        ("removed", vec![4, 2, 2, 0, 0]),
        ("epoch", vec![4, 0, 10, 32, 0, 1, 9]),
        ("copied", vec![4, 4, 13, 0, 16, 12, 0, 16, 0, 16]),
        ("count", vec![5, 5, 3, 80, 0, 1]),
    ]
}
