//! Large pieces go past the kernel's cache, in blocks of their own, and small ones through it, into the same files:
//! after every crash and fault the journal holds what it answered. That no block is ever written both ways the
//! simulated disk checks at each write.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use support::history::{History, is_throttled, read_all};
use support::{Machine, seeds};
use thalweg_journal::{Health, Journal, Read, ReadError};
use thalweg_journal_disk::{BLOCK_BYTES, DiskJournal, Settings, check, set_aside};
use thalweg_system::Clock;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::simulated::{Call, CallKind, Crash, SimulatedDisk};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

const STREAM: StreamId = StreamId(7);
const BLOCK: u64 = BLOCK_BYTES as u64;

fn shard(index: u32) -> ShardKey {
    ShardKey { stream: STREAM, shard: ShardIndex(index) }
}

/// A machine whose disk has the blocks that real ones have.
fn machine(seed: u64, settings: Settings) -> Machine {
    Machine { disk: SimulatedDisk::with_alignment(BLOCK_BYTES), ..Machine::new(seed, settings) }
}

async fn open_shards(journal: &DiskJournal, history: &mut History, count: u32) {
    let indexes: Vec<_> = (0..count).map(ShardIndex).collect();
    journal.open_shards(STREAM, &indexes).await.expect("it takes writes");
    for index in indexes {
        history.opened(ShardKey { stream: STREAM, shard: index });
    }
}

/// Puts so many bytes, a kilobyte at a time, into one shard; throttled puts are tried again.
async fn put(machine: &Machine, journal: &DiskJournal, history: &mut History, shard: ShardKey, bytes: usize) {
    for _ in 0..bytes.div_ceil(1000) {
        let append = history.append_for(&[(shard, 2)], 480);
        loop {
            match journal.append(append.clone()).await {
                Err(error) if is_throttled(&error) => machine.clock.sleep(Duration::from_millis(5)).await,
                other => break drop(other.expect("it takes writes")),
            }
        }
    }
}

type Content = BTreeMap<ShardKey, Vec<(Timestamp, Bytes)>>;

async fn content(journal: &DiskJournal) -> Result<Content, ReadError> {
    let mut content = BTreeMap::new();
    for (key, _) in journal.shards() {
        content.insert(key, read_all(journal, key).await?);
    }
    Ok(content)
}

/// Writes to the data of segments: whether each could have gone past the cache.
fn segment_writes(log: &[Call]) -> Vec<bool> {
    let writes = log.iter().filter(|call| call.kind == CallKind::Write && call.path.ends_with(".seg"));
    writes.map(|call| call.offset.is_multiple_of(BLOCK) && call.length.is_multiple_of(BLOCK)).collect()
}

/// Rounds of draining of these sizes (each ends with a clean stop) into one stream; answers the machine, what its
/// journal holds, and how each round was written.
fn drained_in_rounds(seed: u64, rounds: &[usize], settings: Settings) -> (Machine, Content, Vec<Vec<bool>>) {
    let mut machine = machine(seed, settings);
    let (content, writes) = machine.spawn.clone().block_on(async {
        let mut history = History::default();
        let mut journal = machine.open().await;
        open_shards(&journal, &mut history, 2).await;
        let mut writes = Vec::new();
        for (index, bytes) in rounds.iter().enumerate() {
            machine.disk.take_log();
            put(&machine, &journal, &mut history, shard(index as u32 % 2), *bytes).await;
            journal.shutdown().await;
            writes.push(segment_writes(&machine.disk.take_log()));
            journal = machine.open().await;
        }
        (content(&journal).await.expect("reads work"), writes)
    });
    machine.crash(Crash::PowerNothing);
    (machine, content, writes)
}

#[test]
fn small_and_large_rounds_share_a_segment() {
    // Where the ring is short of slots, a part of a round is drained before the others.
    let rounds = [30_000, 2000, 30_000, 2000, 1000, 30_000, 2000];
    let (machine, expected, writes) = drained_in_rounds(1, &rounds, Settings::tiny());
    for (bytes, writes) in rounds.iter().zip(&writes) {
        let bulk = writes.iter().filter(|bulk| **bulk).count();
        if *bytes > 6 * 1024 {
            assert!(bulk >= 3, "{bytes} bytes are several large writes: {writes:?}");
        } else {
            assert!(bulk == 0 && !writes.is_empty(), "{bytes} bytes are a small write: {writes:?}");
        }
    }
    let files = machine.disk.files();
    assert!(files.iter().filter(|file| file.ends_with(".seg")).count() <= 2, "{files:?}");
    machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        assert_eq!(content(&journal).await.expect("reads work"), expected);
    });
}

#[test]
fn an_open_segment_that_lost_only_its_padding_is_told_and_set_aside_without_loss() {
    let scenes = (7..40).map(|kilobytes| drained_in_rounds(1, &[kilobytes * 1000], Settings::tiny()));
    let mut padded = scenes.filter_map(|(machine, expected, _)| {
        let segment = machine.disk.files().into_iter().rfind(|file| file.ends_with(".seg"))?;
        let data = machine.disk.content(&segment)?;
        (data.len() % BLOCK_BYTES == 0 && data.ends_with(&[0; 8])).then_some((machine, expected, segment))
    });
    let (mut machine, expected, segment) = padded.next().expect("a large round ends with a full block");
    machine.disk.damage(&segment, |bytes| bytes.truncate(bytes.len() - 1));
    machine.spawn.clone().block_on(async {
        let error = machine.try_open().await.err().expect("the start goes on with the file as it was");
        assert!(error.to_string().contains(&segment), "{error}");
    });
    machine.crash(Crash::PowerNothing);
    machine.spawn.clone().block_on(async {
        let damage = check(&machine.disk).await.damage;
        assert!(damage.len() == 1 && damage[0].records.is_none(), "{damage:?}");
        let set_aside = set_aside(&machine.disk).await.expect("it is a segment");
        assert!(set_aside.len() == 1 && set_aside[0].lost.is_empty(), "{set_aside:?}");
        let journal = machine.open().await;
        assert_eq!(content(&journal).await.expect("reads work"), expected);
    });
}

#[test]
fn an_index_is_made_again_over_the_ends_of_blocks() {
    let rounds = [30_000, 2000, 30_000, 1000, 9000];
    let (machine, expected, _) = drained_in_rounds(2, &rounds, Settings::tiny());
    let (mut rebuilt, mut told) = (0, 0);
    for file in machine.disk.files().into_iter().filter(|file| file.ends_with(".idx")) {
        let data_file = file.replace(".idx", ".seg");
        let data = machine.disk.content(&data_file).expect("both are there");
        let damaged = machine.disk.copy();
        damaged.damage(&file, Vec::clear);
        let again = Machine { disk: damaged.copy(), ..Machine::new(3, Settings::tiny()) };
        again.spawn.clone().block_on(async {
            let journal = again.open().await;
            assert_eq!(content(&journal).await.expect("reads work"), expected, "without {file}");
            assert_eq!(again.disk.content(&file), machine.disk.content(&file), "{file} is as it was");
            rebuilt += 1;
        });
        // Where zeros must be, nothing else may be: it could be a chunk that has lost its head.
        let ends = data.chunks_exact(BLOCK_BYTES).enumerate();
        let mut padded = ends.rev().filter(|(_, block)| block.ends_with(&[0; 8]));
        let Some((index, _)) = padded.next() else { continue };
        damaged.flip_bit(&data_file, (index + 1) as u64 * BLOCK - 1, 0);
        let again = Machine { disk: damaged, ..Machine::new(3, Settings::tiny()) };
        again.spawn.clone().block_on(async {
            let error = again.try_open().await.err().expect("it cannot be told what was there");
            assert!(error.to_string().contains(&data_file), "{error}");
            told += 1;
        });
    }
    assert!(rebuilt > 0 && told > 0, "there are indexes and ends of blocks");
}

/// Ends at every call of a start that drains, in every way.
#[test]
fn a_round_that_is_cut_short_anywhere_can_be_repeated() {
    // Both kinds of rounds came before, and both follow: one stream has little to drain.
    let (mut before, mut expected, _) = drained_in_rounds(4, &[20_000, 2000], Settings::tiny());
    let little = ShardKey { stream: StreamId(8), shard: ShardIndex(0) };
    before.spawn.clone().block_on(async {
        // So that nothing is drained before the end.
        before.settings = Settings {
            slot_bytes_first: 160 * 1024,
            slot_bytes: 160 * 1024,
            drain_start_bytes: 1 << 20,
            undrained_bytes_max: 1 << 20,
            ..Settings::tiny()
        };
        let journal = before.open().await;
        let mut history = History::default();
        for _ in 0..40 {
            // Other numbers than those that were put before.
            history.append_for(&[(shard(0), 5)], 0);
        }
        journal.open_shards(little.stream, &[little.shard]).await.expect("it takes writes");
        before.clock.sleep(Duration::from_secs(1)).await;
        put(&before, &journal, &mut history, shard(0), 20_000).await;
        put(&before, &journal, &mut history, little, 2000).await;
        put(&before, &journal, &mut history, shard(1), 15_000).await;
        expected = content(&journal).await.expect("reads work");
    });
    before.crash(Crash::PowerNothing);
    let drain = async |machine: &Machine| {
        let Ok(journal) = machine.try_open().await else { return };
        for _ in 0..1000 {
            if machine.disk.is_stopped() || journal.figures().undrained_bytes == 0 {
                return;
            }
            machine.clock.sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not drain");
    };
    let settings =
        Settings { drain_start_bytes: 1, chores_interval: Duration::from_millis(10), ..Settings::tiny() };
    let settings = Settings { slot_bytes: 160 * 1024, ..settings };
    let calls = {
        let counting = Machine { disk: before.disk.copy(), ..Machine::new(4, settings.clone()) };
        counting.disk.take_log();
        counting.spawn.clone().block_on(drain(&counting));
        let writes = segment_writes(&counting.disk.take_log());
        assert!(writes.contains(&true) && writes.contains(&false), "both kinds follow: {writes:?}");
        counting.disk.calls()
    };
    for stop_at in 1..=calls {
        println!("call {stop_at} of {calls}");
        for how in [Crash::Process, Crash::PowerNothing, Crash::Power(stop_at), Crash::PowerEverything] {
            let mut machine =
                Machine { disk: before.disk.copy(), ..Machine::new(4 ^ stop_at, settings.clone()) };
            machine.disk.stop_at_call(stop_at);
            machine.spawn.clone().block_on(async {
                drain(&machine).await;
                machine.crash(how);
                let journal = machine.open().await;
                assert_eq!(content(&journal).await.expect("reads work"), expected, "{how:?}");
                drop(journal);
                // Drained after all, and from segments alone.
                drain(&machine).await;
                machine.crash(Crash::PowerNothing);
                let journal = machine.open().await;
                assert_eq!(content(&journal).await.expect("reads work"), expected, "{how:?}");
            });
        }
    }
}

#[test]
fn a_volume_that_is_full_in_the_middle_of_a_round_loses_nothing() {
    for nth in 1..=6 {
        for seed in seeds(4) {
            println!("write {nth}, seed {seed}");
            let settings = Settings { chores_interval: Duration::from_millis(20), ..Settings::tiny() };
            let mut machine = machine(seed, settings);
            machine.spawn.clone().block_on(async {
                let mut history = History::default();
                let journal = machine.open().await;
                open_shards(&journal, &mut history, 2).await;
                put(&machine, &journal, &mut history, shard(0), 2000).await;
                journal.shutdown().await;
                let journal = machine.open().await;
                machine.disk.fail_nth(CallKind::Write, ".seg", nth, DiskErrorKind::NoSpace);
                put(&machine, &journal, &mut history, shard(0), 70_000).await;
                put(&machine, &journal, &mut history, shard(1), 70_000).await;
                assert_eq!(journal.health(), Health::Ready, "it went on");
                let expected = content(&journal).await.expect("reads work");
                drop(journal);
                machine.crash(Crash::Power(seed));
                let journal = machine.open().await;
                assert_eq!(content(&journal).await.expect("reads work"), expected);
            });
        }
    }
}

#[test]
fn a_failed_large_write_stops_writes_and_loses_nothing() {
    for (kind, nth) in [(CallKind::Write, 1), (CallKind::Write, 3), (CallKind::Sync, 1), (CallKind::Open, 2)]
    {
        for seed in seeds(4) {
            println!("{kind:?} {nth}, seed {seed}");
            let mut machine = machine(seed, Settings::tiny());
            machine.spawn.clone().block_on(async {
                let mut history = History::default();
                let journal = machine.open().await;
                open_shards(&journal, &mut history, 1).await;
                machine.disk.fail_nth(kind, ".seg", nth, DiskErrorKind::Io);
                let mut answered = 0;
                while journal.append(history.append_for(&[(shard(0), 2)], 480)).await.is_ok() {
                    answered += 2;
                    assert!(answered < 10_000, "the fault is met");
                }
                assert!(matches!(journal.health(), Health::WritesStopped(_)), "health says so");
                let before = content(&journal).await.expect("reads go on")[&shard(0)].clone();
                assert!(before.len() >= answered);
                drop(journal);
                machine.crash(Crash::Power(seed));
                let journal = machine.open().await;
                let after = content(&journal).await.expect("reads work");
                assert_eq!(after[&shard(0)][..before.len()], before[..]);
            });
        }
    }
}

async fn read_at(journal: &DiskJournal, from: u64, bytes_max: usize) -> Result<u64, ReadError> {
    read_shard_at(journal, shard(0), from, bytes_max).await
}

async fn read_shard_at(
    journal: &DiskJournal,
    shard: ShardKey,
    from: u64,
    bytes_max: usize,
) -> Result<u64, ReadError> {
    let read = Read { shard, from, records_max: 1000, bytes_max, not_before: Timestamp::ZERO };
    journal.read(read).await.map(|answer| answer.next)
}

/// Reads of the data of segments.
fn segment_reads(log: &[Call]) -> Vec<(u64, u64)> {
    let reads = log.iter().filter(|call| call.kind == CallKind::Read && call.path.ends_with(".seg"));
    reads.map(|call| (call.offset, call.length)).collect()
}

#[test]
fn neighbouring_chunks_are_read_at_once_and_a_sequential_reader_finds_the_next_ones() {
    let settings =
        Settings { bulk_bytes_max: 16 * 1024, chunk_cache_bytes_max: 64 * 1024, ..Settings::tiny() };
    let (machine, ..) = drained_in_rounds(5, &[30_000, 0, 30_000], settings);
    machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        machine.disk.take_log();
        // Chunks of 4 KiB at most, so that this needs three or four.
        let mut next = read_at(&journal, 0, 12_000).await.expect("reads work");
        let reads = segment_reads(&machine.disk.take_log());
        assert!(reads[0].1 > 10_000, "several chunks at once: {reads:?}");
        let end = journal.tail(shard(0)).expect("it exists").next;
        let mut waited = 0;
        while next < end {
            // Time for what is read ahead.
            machine.clock.sleep(Duration::from_millis(1)).await;
            let before = machine.disk.calls_of(CallKind::Read);
            next = read_at(&journal, next, 2000).await.expect("reads work");
            waited += u64::from(machine.disk.calls_of(CallKind::Read) > before);
        }
        assert!(waited <= 2, "{waited} reads had to wait for the disk");
        let read: u64 = segment_reads(&machine.disk.take_log()).iter().map(|(_, length)| length).sum();
        assert!(read < 80_000, "little is read twice: {read} bytes");
    });
}

/// Much is drained at once, so that the chunks of a shard are neighbours; four chunks make a large read.
fn in_large_pieces(chunk_cache_bytes_max: usize) -> Settings {
    Settings {
        slot_bytes_first: 320 * 1024,
        slot_bytes: 320 * 1024,
        drain_start_bytes: 1 << 20,
        undrained_bytes_max: 1 << 20,
        bulk_bytes_max: 16 * 1024,
        chunk_cache_bytes_max,
        ..Settings::tiny()
    }
}

/// A journal with so many bytes in each of so many shards, all in segments.
async fn filled(machine: &Machine, shards: u32, bytes: usize) -> Arc<DiskJournal> {
    let journal = machine.open().await;
    let mut history = History::default();
    open_shards(&journal, &mut history, shards).await;
    for index in 0..shards {
        put(machine, &journal, &mut history, shard(index), bytes).await;
    }
    journal.shutdown().await;
    let journal = machine.open().await;
    machine.disk.take_log();
    journal
}

/// How many reads of segments there were since the log was taken last, of how many bytes.
fn reads_made(machine: &Machine) -> (u64, u64) {
    let reads = segment_reads(&machine.disk.take_log());
    (reads.len() as u64, reads.iter().map(|(_, length)| length).sum())
}

/// Readers of a shard each, from the oldest to the newest, page by page, with so much cache: more than there are loops, so
/// that there is never a moment to read ahead. Answers how many reads they made, of how many bytes.
fn read_side_by_side(seed: u64, readers: u32, page_bytes: usize, chunk_cache_bytes_max: usize) -> (u64, u64) {
    let machine = machine(seed, in_large_pieces(chunk_cache_bytes_max));
    machine.spawn.clone().block_on(async {
        let journal = filled(&machine, readers, 30_000).await;
        let mut next = vec![0; readers as usize];
        let ends: Vec<u64> =
            (0..readers).map(|index| journal.tail(shard(index)).expect("it exists").next).collect();
        while next != ends {
            let all = next.iter().zip(0..readers);
            let reads = all.map(|(next, index)| read_shard_at(&journal, shard(index), *next, page_bytes));
            next = join_all(reads).await.into_iter().map(|read| read.expect("reads work")).collect();
        }
        reads_made(&machine)
    })
}

#[test]
fn sequential_readers_that_wait_for_each_other_read_large_pieces() {
    let (reads, bytes) = read_side_by_side(9, 6, 2000, 256 * 1024);
    assert!(
        bytes / reads > 6 * 1024,
        "two chunks and more, with the first and last ones: {reads} of {bytes}"
    );
    assert!(bytes < 250_000, "little is read twice: {bytes}");
}

#[test]
fn what_is_read_ahead_is_still_there_when_it_is_wanted() {
    for cache_bytes in [48, 64, 96] {
        let (reads, bytes) = read_side_by_side(10, 6, 2000, cache_bytes * 1024);
        assert!(bytes < 330_000, "little is read twice with {cache_bytes} KiB: {reads} of {bytes}");
    }
}

/// Many share the cache, and a chunk is three pages: neither what they have begun nor what was read ahead goes before it
/// was used.
#[test]
fn many_readers_of_small_pages_read_little_twice() {
    for (readers, cache_bytes) in [(8, 128), (16, 256)] {
        let (reads, bytes) = read_side_by_side(11, readers, 1300, cache_bytes * 1024);
        let most = u64::from(readers) * 40_000;
        assert!(bytes < most, "{readers} with {cache_bytes} KiB: {reads} of {bytes}, of {most} at most");
    }
}

/// Nothing would ever ask for it again.
#[test]
fn a_read_that_overlaps_the_removal_of_its_segment_leaves_nothing_in_the_cache() {
    let settings = Settings { chores_interval: Duration::from_millis(10), ..in_large_pieces(64 * 1024) };
    let machine = machine(13, settings);
    machine.spawn.clone().block_on(async {
        let journal = filled(&machine, 1, 30_000).await;
        machine.disk.hold(CallKind::Read);
        let remove = async {
            machine.clock.sleep(Duration::from_millis(1)).await;
            journal.delete_stream(STREAM).await.expect("it takes writes");
            while machine.disk.files().iter().any(|file| file.ends_with(".seg")) {
                machine.clock.sleep(Duration::from_millis(10)).await;
            }
            machine.disk.release();
        };
        let (read, ()) = tokio::join!(read_at(&journal, 0, 12_000), remove);
        assert!(matches!(read, Err(ReadError::UnknownShard(_))), "{read:?}");
        assert_eq!(journal.figures().read_cache_bytes, 0);
    });
}

#[test]
fn two_readers_of_the_same_chunks_make_one_read() {
    let (machine, ..) = drained_in_rounds(6, &[30_000], Settings::tiny());
    machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        machine.disk.take_log();
        let (one, other) = tokio::join!(read_at(&journal, 0, 2000), read_at(&journal, 0, 2000));
        assert_eq!(one.expect("reads work"), other.expect("reads work"));
        let reads = segment_reads(&machine.disk.take_log());
        // Of the first chunk, behind the header; a large read begins with its block.
        assert_eq!(reads.iter().filter(|(offset, _)| *offset <= 64).count(), 1, "{reads:?}");
    });
}

/// Those behind the first are not wanted at any price.
#[test]
fn the_first_chunk_is_read_alone_when_the_large_read_fails() {
    let machine = machine(12, in_large_pieces(64 * 1024));
    machine.spawn.clone().block_on(async {
        let journal = filled(&machine, 1, 30_000).await;
        machine.disk.fail_nth(CallKind::Read, ".seg", 1, DiskErrorKind::Io);
        let next = read_at(&journal, 0, 12_000).await.expect("the first chunk can be read");
        assert!(next > 0);
        let reads = segment_reads(&machine.disk.take_log());
        assert!(
            reads[0].1 > 8 * 1024 && reads[1].0 < 4096 && reads[1].1 <= 4096,
            "one of all, one of the first: {reads:?}"
        );
    });
}

#[test]
fn a_read_that_fails_is_told_and_tried_again_the_next_time() {
    let (machine, expected, _) = drained_in_rounds(7, &[30_000], Settings::tiny());
    machine.spawn.clone().block_on(async {
        let journal = machine.open().await;
        // The large read, and the one for the first chunk alone.
        machine.disk.fail_nth(CallKind::Read, ".seg", 1, DiskErrorKind::Io);
        machine.disk.fail_nth(CallKind::Read, ".seg", 1, DiskErrorKind::Io);
        let error = read_at(&journal, 0, 20_000).await.expect_err("both failed");
        assert!(matches!(error, ReadError::Disk(_)), "{error}");
        assert_eq!(content(&journal).await.expect("reads work"), expected);
    });
}

#[test]
fn what_lies_behind_damage_in_a_large_read_is_read() {
    let (machine, expected, _) = drained_in_rounds(8, &[30_000], Settings::tiny());
    let journal_of = |disk: SimulatedDisk| Machine { disk, ..Machine::new(1, Settings::tiny()) };
    let file = "seg/7/00000000-0.seg";
    let length = machine.disk.content(file).expect("it is there").len() as u64;
    let mut damaged = 0;
    for at in (100..length).step_by(1500) {
        let disk = machine.disk.copy();
        disk.flip_bit(file, at, 2);
        let machine = journal_of(disk);
        machine.spawn.clone().block_on(async {
            let journal: Arc<DiskJournal> = machine.open().await;
            let end = journal.tail(shard(0)).expect("it exists").next;
            let (mut next, mut found, mut skipped) = (0, 0, 0);
            while next < end {
                let read = Read {
                    shard: shard(0),
                    from: next,
                    records_max: 3,
                    bytes_max: 20_000,
                    not_before: Timestamp::ZERO,
                };
                match journal.read(read).await {
                    Ok(answer) => {
                        for run in &answer.runs {
                            for record in support::history::records_of(&run.bytes) {
                                assert_eq!(record, expected[&shard(0)][next as usize].1);
                                next += 1;
                                found += 1;
                            }
                        }
                    }
                    Err(ReadError::Corrupt { file: named, position, .. }) => {
                        assert_eq!(named, file);
                        assert!(position <= at, "{position} is in the damaged chunk, as {at} is");
                        next += 1;
                        skipped += 1;
                    }
                    Err(error) => panic!("only damage is expected: {error}"),
                }
            }
            assert!(skipped <= 10, "one chunk's records at most, and not {skipped}");
            damaged += u32::from(skipped > 0);
            assert!(found >= expected[&shard(0)].len() - 10);
        });
    }
    assert!(damaged > 10, "most places hold records");
}
