//! Figures, not rules: run by hand, in release, with `--ignored --nocapture`, on a disk of one's choice
//! (`THALWEG_MEASURE_DIR`). Nothing is asserted about time.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement looks at the process and clears its directory itself"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use thalweg_journal::{Append, AppendError, Journal, Read, Record, Run, RunOutcome};
use thalweg_journal_disk::{DiskJournal, Settings};
use thalweg_system::Clock;
use thalweg_system::os::{OsClock, OsDisk, OsRandom, OsSpawn};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

const STREAM: StreamId = StreamId(1);

fn directory(name: &str) -> PathBuf {
    let base = std::env::var_os("THALWEG_MEASURE_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join(name)
}

async fn open(name: &str) -> DiskJournal {
    let clock = OsClock::new();
    let disk = loop {
        // An engine that was dropped lets go of its directory when its loops have ended.
        match OsDisk::open(directory(name)) {
            Ok(disk) => break disk,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let started = clock.monotonic();
    let journal = DiskJournal::open(
        Arc::new(disk),
        Arc::new(clock.clone()),
        Arc::new(OsSpawn),
        Arc::new(OsRandom),
        Settings::default(),
    )
    .await
    .expect("it opens");
    println!("open {name}: {:?}, {} MiB resident", clock.monotonic() - started, resident_mib());
    journal
}

fn resident_mib() -> u64 {
    status_mib("VmRSS")
}

/// The most that was resident at once, so far.
fn peak_mib() -> u64 {
    status_mib("VmHWM")
}

fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says so");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") / 1024
}

/// Processor time of this process so far, in user code and in the kernel, in seconds.
fn processor_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // Behind the program's name; in hundredths of a second on every Linux that matters here.
    let fields: Vec<&str> = stat.rsplit(')').next().expect("there is a name").split_whitespace().collect();
    let seconds = |index: usize| fields[index].parse::<f64>().expect("a number") / 100.0;
    (seconds(11), seconds(12))
}

/// Processor time of this process so far by thread name, in nanoseconds; and of the whole machine, of which the
/// kernel's own threads are a part, in steps of a hundredth of a second.
fn processor_nanos() -> BTreeMap<String, u64> {
    let mut nanos = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux") {
        let path = task.expect("it can be listed").path();
        // A thread may end meanwhile.
        let (Ok(name), Ok(schedule)) =
            (std::fs::read_to_string(path.join("comm")), std::fs::read_to_string(path.join("schedstat")))
        else {
            continue;
        };
        let on_processor = schedule.split_whitespace().next().expect("its first field");
        *nanos.entry(name.trim_end().to_owned()).or_default() +=
            on_processor.parse::<u64>().expect("a number");
    }
    let stat = std::fs::read_to_string("/proc/stat").expect("Linux");
    let fields: Vec<u64> =
        stat.lines().next().expect("a line").split_whitespace().flat_map(str::parse).collect();
    // User, nice, system; idle and waiting are left out; interrupts, soft interrupts.
    let busy = fields[0] + fields[1] + fields[2] + fields[5] + fields[6];
    nanos.insert("the whole machine".to_owned(), busy * 10_000_000);
    nanos
}

/// Prints what each thread took since `before`, by MiB.
fn print_by_mib(before: &BTreeMap<String, u64>, bytes: usize) {
    let mib = bytes as f64 / f64::from(1 << 20);
    for (name, nanos) in processor_nanos() {
        let took = nanos - before.get(&name).copied().unwrap_or(0);
        let by_mib = took as f64 / 1000.0 / mib;
        if by_mib >= 0.5 {
            println!("  {by_mib:6.1} us/MiB  {name}");
        }
    }
}

fn append_of(shards: u32, records: u32, data_bytes: usize) -> Append {
    let mut bytes = Vec::new();
    let mut runs = Vec::new();
    let data = vec![7; data_bytes];
    for index in 0..shards {
        let start = bytes.len();
        for _ in 0..records / shards {
            Record { partition_key: Some("key"), explicit_hash_key: None, id: None, data: &data }
                .encode(&mut bytes);
        }
        let shard = ShardKey { stream: STREAM, shard: ShardIndex(index) };
        runs.push(Run::new(shard, records / shards, &bytes[start..]));
    }
    Append { runs, bytes: Bytes::from(bytes) }
}

async fn open_shards(journal: &DiskJournal, count: u32) {
    let shards: Vec<_> = (0..count).map(ShardIndex).collect();
    journal.open_shards(STREAM, &shards).await.expect("it takes writes");
}

/// Appends `count` times from each of `tasks` tasks; answers how many were throttled first.
async fn put(journal: &DiskJournal, tasks: usize, count: usize, append: &Append) -> u64 {
    let throttled = join_all((0..tasks).map(|_| async {
        let mut throttled = 0;
        for _ in 0..count {
            loop {
                match journal.append(append.clone()).await {
                    Ok(outcomes) => {
                        assert!(matches!(outcomes[0], RunOutcome::Placed { .. }));
                        break;
                    }
                    Err(AppendError::NotApplied(_)) => {
                        throttled += 1;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        throttled
    }));
    throttled.await.into_iter().sum()
}

async fn measure_puts(journal: &DiskJournal, tasks: usize, count: usize, append: &Append, what: &str) {
    let clock = OsClock::new();
    let (user, kernel) = processor_seconds();
    let throttled = put(journal, tasks, count, append).await;
    let elapsed = clock.monotonic().as_secs_f64();
    let (user, kernel) = (processor_seconds().0 - user, processor_seconds().1 - kernel);
    let records: u32 = append.runs.iter().map(|run| run.count).sum();
    let total = tasks as f64 * count as f64;
    println!(
        "{what}: {:.0} appends/s, {:.0} records/s, {:.0} MB/s, {throttled} throttled, {:.2} us user and {:.2} us kernel \
         per record, {} MiB resident",
        total / elapsed,
        total * f64::from(records) / elapsed,
        total * append.bytes.len() as f64 / elapsed / 1e6,
        user * 1e6 / total / f64::from(records),
        kernel * 1e6 / total / f64::from(records),
        resident_mib()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    let _ = std::fs::remove_dir_all(directory("figures"));
    let journal = open("figures").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("idle: {} MiB resident, {:?}", resident_mib(), journal.figures());
    open_shards(&journal, 8).await;
    measure_puts(&journal, 1, 2000, &append_of(1, 1, 1024), "1 task, 1 record of 1 KiB").await;
    measure_puts(&journal, 64, 1000, &append_of(1, 1, 1024), "64 tasks, 1 record of 1 KiB").await;
    measure_puts(&journal, 4, 1000, &append_of(8, 500, 1024), "4 tasks, 500 records of 1 KiB").await;
    measure_puts(&journal, 16, 400, &append_of(8, 500, 1024), "16 tasks, 500 records of 1 KiB").await;
    println!("{:?}", journal.figures());
    journal.shutdown().await;
    drop(journal);
    let journal = open("figures").await;
    let clock = OsClock::new();
    let mut records = 0u64;
    let mut bytes = 0;
    for index in 0..8 {
        let shard = ShardKey { stream: STREAM, shard: ShardIndex(index) };
        let mut read =
            Read { shard, from: 0, records_max: 10_000, bytes_max: 10 << 20, not_before: Timestamp::ZERO };
        loop {
            let answer = journal.read(read).await.expect("it can be read");
            records += answer.runs.iter().map(|run| u64::from(run.count)).sum::<u64>();
            bytes += answer.runs.iter().map(|run| run.bytes.len()).sum::<usize>();
            read.from = answer.next;
            if answer.next >= answer.tail.next {
                break;
            }
        }
    }
    let elapsed = clock.monotonic().as_secs_f64();
    println!("catch-up: {records} records, {:.0} MB/s", bytes as f64 / elapsed / 1e6);
}

/// Takes the pages of every segment out of memory, so that what is read next comes from the device.
fn drop_segments_from_memory() {
    for stream in std::fs::read_dir(directory("processor/seg")).expect("it is there") {
        for file in std::fs::read_dir(stream.expect("it can be listed").path()).expect("it is there") {
            let file = std::fs::File::open(file.expect("it can be listed").path()).expect("it is there");
            file.sync_all().expect("the disk works");
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("Linux takes advice");
        }
    }
}

/// Reads every shard from its start to its end; answers the bytes of the runs.
async fn read_all(journal: &DiskJournal, shards: u32) -> usize {
    let mut bytes = 0;
    for index in 0..shards {
        let shard = ShardKey { stream: STREAM, shard: ShardIndex(index) };
        let mut read =
            Read { shard, from: 0, records_max: 10_000, bytes_max: 10 << 20, not_before: Timestamp::ZERO };
        loop {
            let answer = journal.read(read).await.expect("it can be read");
            bytes += answer.runs.iter().map(|run| run.bytes.len()).sum::<usize>();
            read.from = answer.next;
            if answer.next >= answer.tail.next {
                break;
            }
        }
    }
    bytes
}

/// What the drain and the committer cost by MiB put, and the readers by MiB read.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn processor_time() {
    let _ = std::fs::remove_dir_all(directory("processor"));
    let clock = OsClock::new();
    for (shards, tasks, count) in [(1, 4, 1000), (8, 4, 1000), (1000, 4, 1000)] {
        let journal = open("processor").await;
        let stream_shards: Vec<_> = (0..shards).map(ShardIndex).collect();
        journal.open_shards(STREAM, &stream_shards).await.expect("it takes writes");
        // The ring has grown by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let append = append_of(shards, 500.max(shards), if shards > 500 { 512 } else { 1024 });
        let bytes = tasks * count * append.bytes.len();
        // Memory that the system gives for the first time is dear; a server that runs has it.
        put(&journal, tasks, count / 2, &append).await;
        let (before, started) = (processor_nanos(), clock.monotonic());
        let throttled = put(&journal, tasks, count, &append).await;
        let seconds = (clock.monotonic() - started).as_secs_f64();
        let (resident, peak) = (resident_mib(), peak_mib());
        println!(
            "{shards} shards: {} MiB put, {:.0} MB/s, {throttled} throttled",
            bytes >> 20,
            bytes as f64 / seconds / 1e6
        );
        println!("  {resident} MiB resident, {peak} at most, {:?}", journal.figures());
        print_by_mib(&before, bytes);
        let before = processor_nanos();
        let started = clock.monotonic();
        let undrained = journal.figures().undrained_bytes;
        journal.shutdown().await;
        println!("  end: {} MiB drained in {:?}", undrained >> 20, clock.monotonic() - started);
        print_by_mib(&before, undrained);
        drop(journal);
        let journal = open("processor").await;
        read_all(&journal, shards.div_ceil(4)).await;
        drop_segments_from_memory();
        let (before, started) = (processor_nanos(), clock.monotonic());
        let bytes = read_all(&journal, shards).await;
        let seconds = (clock.monotonic() - started).as_secs_f64();
        println!("  catch-up: {} MiB, {:.0} MB/s", bytes >> 20, bytes as f64 / seconds / 1e6);
        print_by_mib(&before, bytes);
        journal.delete_stream(STREAM).await.expect("it takes writes");
        journal.shutdown().await;
        drop(journal);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = std::fs::remove_dir_all(directory("processor"));
    }
}

/// What the drain costs when each stream has little in each round.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn many_streams() {
    const STREAMS: u64 = 2000;
    let _ = std::fs::remove_dir_all(directory("streams"));
    let clock = OsClock::new();
    let journal = open("streams").await;
    for stream in 1..=STREAMS {
        journal.open_shards(StreamId(stream), &[ShardIndex(0)]).await.expect("it takes writes");
    }
    let mut append = append_of(500, 500, 1024);
    let (before, started) = (processor_nanos(), clock.monotonic());
    let (mut bytes, mut throttled) = (0, 0);
    for round in 0..800 {
        for (index, run) in append.runs.iter_mut().enumerate() {
            let stream = StreamId(1 + (round % 4 * 500 + index as u64) % STREAMS);
            run.shard = ShardKey { stream, shard: ShardIndex(0) };
        }
        throttled += put(&journal, 1, 1, &append).await;
        bytes += append.bytes.len();
    }
    let seconds = (clock.monotonic() - started).as_secs_f64();
    println!(
        "{STREAMS} streams: {} MiB put, {:.0} MB/s, {throttled} throttled",
        bytes >> 20,
        bytes as f64 / seconds / 1e6
    );
    print_by_mib(&before, bytes);
    println!("  {} MiB resident, {} at most, {:?}", resident_mib(), peak_mib(), journal.figures());
    journal.shutdown().await;
    drop(journal);
    let _ = std::fs::remove_dir_all(directory("streams"));
}

/// What stays in memory half a minute after a load.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn rest() {
    let _ = std::fs::remove_dir_all(directory("rest"));
    let journal = open("rest").await;
    open_shards(&journal, 8).await;
    measure_puts(&journal, 4, 1000, &append_of(8, 500, 1024), "4 tasks, 500 records of 1 KiB").await;
    read_all(&journal, 8).await;
    println!("  {} MiB resident, {} at most, {:?}", resident_mib(), peak_mib(), journal.figures());
    tokio::time::sleep(Duration::from_secs(35)).await;
    println!("  after a rest: {} MiB resident, {:?}", resident_mib(), journal.figures());
    journal.shutdown().await;
    drop(journal);
    let _ = std::fs::remove_dir_all(directory("rest"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn starts() {
    let _ = std::fs::remove_dir_all(directory("starts"));
    let journal = open("starts").await;
    open_shards(&journal, 100).await;
    let append = append_of(100, 500, 1024);
    // 5 GB, and what the ring holds besides.
    measure_puts(&journal, 8, 1250, &append, "5 GB").await;
    println!("{:?}", journal.figures());
    // No shutdown: what is in the ring stays there, as after kill -9.
    drop(journal);
    let journal = open("starts").await;
    println!("after a kill: {:?}", journal.figures());
    journal.shutdown().await;
    drop(journal);
    let journal = open("starts").await;
    println!("after a clean end: {:?}", journal.figures());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn many_shards() {
    let _ = std::fs::remove_dir_all(directory("many"));
    let journal = open("many").await;
    open_shards(&journal, 10_000).await;
    println!("10,000 shards: {} MiB resident", resident_mib());
    // Each shard gets records, a few at a time.
    measure_puts(&journal, 4, 60, &append_of(10_000, 10_000, 100), "10,000 shards, a record each").await;
    println!("{} MiB resident, {:?}", resident_mib(), journal.figures());
    drop(journal);
    let journal = open("many").await;
    println!("{} MiB resident, {:?}", resident_mib(), journal.figures());
    journal.shutdown().await;
    drop(journal);
    open("many").await;
}
