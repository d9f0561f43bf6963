//! GetRecords of records that are on the disk only: each connection reads a shard of its own from the oldest record to
//! the newest. To be held against the chapter `get`, where the same is read from memory.

use std::path::Path;
use std::time::{Duration, Instant};

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
const STORED_BYTES: u64 = 2 << 30;
/// How long the server that was just started reads before it is measured, as at the tail.
const WARM_UP: Duration = Duration::from_millis(500);
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
        readers.push(Reader {
            lane: Lane::Http1(Client::connect(subject.address()).await),
            encoding,
            iterator,
        });
    }
    let (before, readers) = read_on(readers, Some(Instant::now() + WARM_UP)).await;
    let mut run = meter::measure(&subject.server, async { read_on(readers, None).await.0 }).await;
    assert_eq!(before.records + run.records, records, "everything is read once");
    if (run.device_read_bytes as f64) < run.payload_bytes as f64 * READ_PART_MIN {
        run.add_note(&format!("only {} MB came from the device", run.device_read_bytes / 1_000_000));
    }
    run
}

/// A connection that reads a shard.
struct Reader {
    lane: Lane,
    encoding: Encoding,
    /// Where it goes on.
    iterator: String,
}

/// All of them, side by side, to the end of their shards or for so long.
async fn read_on(readers: Vec<Reader>, until: Option<Instant>) -> (Work, Vec<Reader>) {
    let mut total = Work { latency: Some(meter::histogram()), ..Work::default() };
    let tasks: Vec<JoinHandle<(Work, Reader)>> = readers
        .into_iter()
        .map(|mut reader| tokio::task::spawn_local(async move { (reader.read(until).await, reader) }))
        .collect();
    let mut readers = Vec::new();
    for task in tasks {
        let (work, reader) = task.await.expect("readers do not panic");
        total.add(work);
        readers.push(reader);
    }
    (total, readers)
}

impl Reader {
    async fn read(&mut self, until: Option<Instant>) -> Work {
        let mut work = Work { latency: Some(meter::histogram()), ..Work::default() };
        while until.is_none_or(|until| Instant::now() < until) {
            let members = [("ShardIterator", self.iterator.as_str().into()), ("Limit", BATCH.into())];
            let request =
                Request::kinesis("GetRecords", self.encoding, &bodies::flat(self.encoding, &members));
            let sent = Instant::now();
            let answer = self.lane.call(&request).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
            let records = Counter::new(RECORD_MARK).feed(answer.body);
            let request = request.moving(records, records * RECORD_BYTES as u64, crate::load::Expect::Any);
            work.count(&request, sent.elapsed());
            self.iterator = bodies::text_of(answer.body, "NextShardIterator").expect("the shard is open");
            if bodies::number_is_zero(answer.body, "MillisBehindLatest") {
                break;
            }
        }
        work
    }
}
