//! GetRecords of records that are on the disk only: each connection reads a shard of its own from the oldest record to
//! the newest. To be held against the chapter `get`, where the same is read from memory.

use std::path::Path;

use tokio::task::JoinHandle;

use crate::bodies::{self, Encoding};
use crate::client::Client;
use crate::figure::{Figure, Run, THALWEG};
use crate::load::{Counter, Lane, Pool, Request, Until, Version};
use crate::meter::{self, Work};
use crate::workloads::get::{BATCH, RECORD_BYTES};
use crate::workloads::listen::RECORD_MARK;
use crate::workloads::put::{self, LANES};
use crate::workloads::subject::{Bench, Subject, add};

/// What is written first, and then read: more than all caches of the server hold.
const STORED_BYTES: u64 = 1 << 30;
/// Less than this part of the data from the device, and something was read from memory.
const READ_PART_MIN: f64 = 0.9;

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let encodings: &[Encoding] =
        if bench.options.quick { &[Encoding::Json] } else { &[Encoding::Json, Encoding::Cbor] };
    let mut subject = bench.thalweg();
    subject.create_stream("stored", LANES).await;
    let puts = put::requests(Encoding::Cbor, "stored", BATCH, RECORD_BYTES);
    let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
    let records = pool.closed(&puts, Until::moved(STORED_BYTES)).await.records;
    drop(pool);
    let mut figures = Vec::new();
    for encoding in encodings {
        let workload = format!(
            "GetRecords {BATCH} x 1 KiB from disk, {}, HTTP/1.1, {LANES} connections",
            encoding.name()
        );
        let mut thalweg = Figure::new("catch-up", &workload, THALWEG);
        for _ in 0..bench.runs() {
            // A clean end drains what only the ring had; a start has empty caches.
            subject = bench.restart(subject, forget);
            add(&mut thalweg, read_all(&subject, *encoding, records).await);
        }
        figures.push(thalweg);
    }
    figures
}

/// Drops the pages of all files of a folder from the system's cache, and other clean pages with them if that is allowed.
fn forget(folder: &Path) {
    rustix::fs::sync();
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok() {
        return;
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = std::fs::File::open(path).expect("it can be read");
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("it is a file");
        }
    }
}

async fn read_all(subject: &Subject, encoding: Encoding, records: u64) -> Run {
    let mut readers = Vec::new();
    for shard in 0..LANES {
        let members = [
            ("StreamName", "stored".into()),
            ("ShardId", format!("shardId-{shard:012}").into()),
            ("ShardIteratorType", "TRIM_HORIZON".into()),
        ];
        let answer = subject.control("GetShardIterator", &members).await;
        let iterator = answer["ShardIterator"].as_str().expect("an iterator").to_owned();
        readers.push((Lane::Http1(Client::connect(subject.address()).await), iterator));
    }
    let mut run = meter::measure(&subject.server, async {
        let mut total = Work { latency: Some(meter::histogram()), ..Work::default() };
        let tasks: Vec<JoinHandle<Work>> = readers
            .into_iter()
            .map(|(lane, iterator)| tokio::task::spawn_local(read_shard(lane, encoding, iterator)))
            .collect();
        for task in tasks {
            total.add(task.await.expect("readers do not panic"));
        }
        total
    })
    .await;
    assert_eq!(run.records, records, "everything is read once");
    if (run.device_read_bytes as f64) < run.payload_bytes as f64 * READ_PART_MIN {
        run.add_note(&format!("only {} MB came from the device", run.device_read_bytes / 1_000_000));
    }
    run
}

/// From an iterator to the end of the shard.
async fn read_shard(mut lane: Lane, encoding: Encoding, mut iterator: String) -> Work {
    let mut work = Work { latency: Some(meter::histogram()), ..Work::default() };
    loop {
        let members = [("ShardIterator", iterator.as_str().into()), ("Limit", BATCH.into())];
        let request = Request::kinesis("GetRecords", encoding, &bodies::flat(encoding, &members));
        let sent = std::time::Instant::now();
        let answer = lane.call(&request).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        let records = Counter::new(RECORD_MARK).feed(answer.body);
        let request = request.moving(records, records * RECORD_BYTES as u64, crate::load::Expect::Any);
        work.count(&request, sent.elapsed());
        if bodies::number_is_zero(answer.body, "MillisBehindLatest") {
            return work;
        }
        iterator = bodies::text_of(answer.body, "NextShardIterator").expect("the shard is open");
    }
}
