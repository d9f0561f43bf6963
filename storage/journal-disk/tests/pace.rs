//! A round of draining that nobody waits for is spread, in small writes, and lets the log go first; once somebody
//! waits, it hurries.

mod support;

use std::time::Duration;

use support::Machine;
use support::history::{History, is_throttled, read_all};
use thalweg_journal::Journal;
use thalweg_journal_disk::{BLOCK_BYTES, DiskJournal, Settings};
use thalweg_system::Clock;
use thalweg_system::simulated::{Call, CallKind, SimulatedDisk};
use thalweg_types::{ShardIndex, ShardKey, StreamId};

const KIB: usize = 1024;
const SHARD: ShardKey = ShardKey { stream: StreamId(7), shard: ShardIndex(0) };
const PUT_BYTES: usize = 1000;

/// Rounds of 64 KiB, which unpaced are two writes; a ring that never is short of slots while one of them is drained.
fn settings() -> Settings {
    Settings {
        slot_bytes_first: 400 * KIB as u64,
        slot_bytes: 400 * KIB as u64,
        ring_bytes_max: 1200 * KIB as u64,
        undrained_bytes_max: 512 * KIB,
        drain_start_bytes: 64 * KIB,
        drain_bytes_max: 64 * KIB,
        bulk_bytes_max: 32 * KIB,
        drained_percent: 125,
        drain_bytes_per_second_min: 0,
        paced_bytes_min: BLOCK_BYTES,
        idle_after: Duration::from_secs(3600),
        ..Settings::tiny()
    }
}

fn machine(settings: Settings) -> Machine {
    Machine { disk: SimulatedDisk::with_alignment(BLOCK_BYTES), ..Machine::new(1, settings) }
}

async fn open(machine: &Machine, history: &mut History) -> std::sync::Arc<DiskJournal> {
    let journal = machine.open().await;
    journal.open_shards(SHARD.stream, &[SHARD.shard]).await.expect("it takes writes");
    history.opened(SHARD);
    machine.disk.take_log();
    journal
}

/// So many puts, one each 10 ms; throttled ones are tried again.
async fn put(machine: &Machine, journal: &DiskJournal, history: &mut History, count: usize) {
    for _ in 0..count {
        let append = history.append_for(&[(SHARD, 1)], PUT_BYTES);
        while let Err(error) = journal.append(append.clone()).await {
            assert!(is_throttled(&error), "{error}");
            machine.clock.sleep(Duration::from_millis(5)).await;
        }
        machine.clock.sleep(Duration::from_millis(10)).await;
    }
}

fn is_write_to(call: &Call, part: &str) -> bool {
    matches!(call.kind, CallKind::Write | CallKind::WriteDurable) && call.path.contains(part)
}

#[test]
fn a_round_keeps_in_step_with_the_puts_beside_it() {
    let machine = machine(settings());
    machine.spawn.clone().block_on(async {
        let mut history = History::default();
        let journal = open(&machine, &mut history).await;
        put(&machine, &journal, &mut history, 200).await;
        let log = machine.disk.take_log();
        let segment: Vec<usize> = (0..log.len()).filter(|&at| is_write_to(&log[at], ".seg")).collect();
        assert!(segment.len() >= 16, "64 KiB and more were drained: {} writes", segment.len());
        // A put alone fills a block of the ring, which may be due as more than one piece.
        for pieces in segment.windows(3) {
            let length = log[pieces[0]].length;
            assert!(length <= 2 * BLOCK_BYTES as u64, "{length} bytes at once");
            let puts = log[pieces[0]..pieces[2]].iter().filter(|call| is_write_to(call, "wal/")).count();
            assert!(puts >= 1, "the log has its turn between three pieces");
        }
        let before = read_all(&*journal, SHARD).await.expect("reads work");
        assert_eq!(before.len(), 200);
        journal.shutdown().await;
        let journal = machine.open().await;
        assert_eq!(read_all(&*journal, SHARD).await.expect("reads work"), before);
    });
}

#[test]
fn the_end_of_the_journal_does_not_wait_for_a_pace() {
    let machine = machine(settings());
    machine.spawn.clone().block_on(async {
        let mut history = History::default();
        let journal = open(&machine, &mut history).await;
        // A round has begun, and without further puts it would never go on.
        while !machine.disk.take_log().iter().any(|call| is_write_to(call, ".seg")) {
            put(&machine, &journal, &mut history, 1).await;
        }
        let began = machine.clock.monotonic();
        journal.shutdown().await;
        let took = machine.clock.monotonic() - began;
        assert!(took < Duration::from_secs(1), "{took:?} by the machine's clock");
    });
}

#[test]
fn a_full_ring_does_not_wait_for_a_pace() {
    // Two slots that hold one and a half rounds: the log needs the first again before a paced round would be done.
    let settings = Settings {
        slot_bytes_first: 56 * KIB as u64,
        ring_bytes_max: 112 * KIB as u64,
        drained_percent: 1,
        ..settings()
    };
    let machine = machine(settings);
    machine.spawn.clone().block_on(async {
        let mut history = History::default();
        let journal = open(&machine, &mut history).await;
        let began = machine.clock.monotonic();
        put(&machine, &journal, &mut history, 300).await;
        let took = machine.clock.monotonic() - began;
        assert!(
            took < Duration::from_secs(10),
            "300 puts, one each 10 ms, took {took:?} by the machine's clock"
        );
        assert_eq!(read_all(&*journal, SHARD).await.expect("reads work").len(), 300);
        journal.shutdown().await;
    });
}
