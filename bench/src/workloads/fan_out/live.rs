//! Records that are delivered as they are put, at a fixed rate. What delivering costs is what a run with consumers costs
//! more than the same producer alone. The floor (F3) sends frames of the same size at the same rate, and has no producer.

use std::time::Duration;

use crate::bodies::Encoding;
use crate::figure::{F3, Figure, Run, THALWEG};
use crate::load::{Pool, Request, Version};
use crate::meter::{self, Work};
use crate::workloads::fan_out::shape;
use crate::workloads::get::{BATCH, RECORD_BYTES};
use crate::workloads::listen::{self, Enough, Listeners};
use crate::workloads::put;
use crate::workloads::subject::{Bench, Subject, add};

/// PutRecords a second: 20 MB/s, so that fifty consumers get 1 GB/s (and 1.4 GB/s of JSON).
const RATE: f64 = 40.0;
/// Connections of the producer: more than one, so that a slow answer delays no other.
const PRODUCER_LANES: usize = 8;
/// The server is written to before consumers come.
const WARM_UP_SECONDS: f64 = 0.5;

/// The producer without consumers.
pub(super) async fn producer_alone(bench: &Bench<'_>) -> Vec<Figure> {
    let mut thalweg = Figure::new("fan-out", &format!("{}, no consumers", producer()), THALWEG);
    for _ in 0..bench.runs() {
        add(&mut thalweg, of_server(bench, Version::Http1, 0).await.run);
    }
    vec![thalweg]
}

fn producer() -> String {
    format!("PutRecords {BATCH} x 1 KiB at {RATE} a second, JSON")
}

/// All subjects with this many consumers. Records are those delivered, requests those of the producer.
pub(super) async fn run(bench: &Bench<'_>, version: Version, consumers: usize) -> Vec<Figure> {
    let readers = if consumers == 1 { "1 consumer".to_owned() } else { format!("{consumers} consumers") };
    let workload = format!("{}, delivered to {readers}, {}", producer(), shape(version));
    let mut thalweg = Figure::new("fan-out", &workload, THALWEG);
    let mut f3 = Figure::new("fan-out", &workload, F3);
    for _ in 0..bench.runs() {
        let Delivered { run, bytes, .. } = of_server(bench, version, consumers).await;
        let frame_bytes = bytes / consumers as u64 / run.requests;
        add(&mut thalweg, run);
        add(&mut f3, of_floor(bench, version, consumers, frame_bytes).await);
    }
    vec![thalweg, f3]
}

fn requests_of_run(bench: &Bench<'_>) -> u64 {
    (RATE * bench.seconds()).ceil() as u64
}

/// What became of one run of the server.
pub(in crate::workloads) struct Delivered {
    pub(in crate::workloads) run: Run,
    /// What all consumers received.
    bytes: u64,
    /// Still there.
    pub(in crate::workloads) subject: Subject,
}

/// A producer, and so many consumers.
pub(in crate::workloads) async fn of_server(
    bench: &Bench<'_>,
    version: Version,
    consumers: usize,
) -> Delivered {
    let subject = bench.thalweg();
    subject.create_stream("live", 1).await;
    put::go_around_the_ring(&subject, "live").await;
    let arns = listen::register(&subject, "live", consumers).await;
    let puts = put::requests(Encoding::Json, "live", BATCH, RECORD_BYTES);
    let mut pool = Pool::connect(subject.address(), Version::Http1, PRODUCER_LANES).await;
    pool.open(&puts, RATE, WARM_UP_SECONDS).await;
    let requests: Vec<Request> =
        arns.iter().map(|arn| listen::subscription(Encoding::Json, arn, "LATEST")).collect();
    let enough = Enough::Records(requests_of_run(bench) * BATCH as u64);
    let listeners = Listeners::open(subject.address(), version, requests, enough, None).await;
    let (mut received, mut put_bytes) = (0, 0);
    let run = meter::measure(&subject.server, async {
        let mut work = pool.open(&puts, RATE, bench.seconds()).await;
        let (records, bytes) = listeners.finish().await;
        received = bytes;
        put_bytes = work.payload_bytes;
        if consumers > 0 {
            work.records = records;
            work.payload_bytes = records * RECORD_BYTES as u64;
        }
        work
    })
    .await;
    Delivered { run: put::drained_of(run, put_bytes), bytes: received, subject }
}

async fn of_floor(bench: &Bench<'_>, version: Version, consumers: usize, frame_bytes: u64) -> Run {
    let subject = bench.floor("f3");
    let frames = requests_of_run(bench);
    let every = Duration::from_secs_f64(1.0 / RATE);
    let requests = vec![Request::floor_stream(frame_bytes, frames, Some(every)); consumers];
    let enough = Enough::Bytes(frame_bytes * frames);
    meter::measure(&subject.server, async {
        let listeners = Listeners::open(subject.address(), version, requests, enough, None).await;
        listeners.finish().await;
        let records = frames * consumers as u64 * BATCH as u64;
        Work { requests: frames, records, payload_bytes: records * RECORD_BYTES as u64, ..Work::default() }
    })
    .await
}
