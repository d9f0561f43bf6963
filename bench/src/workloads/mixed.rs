//! Puts, a poller and two subscribers at once, at a fixed rate: what a record costs from its put to all its readers.

use std::time::Duration;

use crate::bodies::Encoding;
use crate::figure::{Figure, Run, THALWEG};
use crate::load::{Pool, Schedule, Version};
use crate::meter;
use crate::workloads::listen::{self, Enough, Listeners};
use crate::workloads::poll;
use crate::workloads::put;
use crate::workloads::subject::{Bench, add};

/// PutRecords a second, of this many records of 1 KiB: 10 MB/s.
const RATE: f64 = 200.0;
const BATCH: usize = 50;
const RECORD_BYTES: usize = 1024;
/// Connections of the producer.
const LANES: usize = 8;
const SUBSCRIBERS: usize = 2;
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The chapter. Records are those put.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let workload = format!(
        "PutRecords {BATCH} x 1 KiB at {RATE} a second, {SUBSCRIBERS} subscribers, one poller every {} ms, JSON, HTTP/1.1",
        POLL_EVERY.as_millis()
    );
    let mut thalweg = Figure::new("mixed", &workload, THALWEG);
    for _ in 0..bench.runs() {
        add(&mut thalweg, one(bench).await);
    }
    vec![thalweg]
}

async fn one(bench: &Bench<'_>) -> Run {
    let subject = bench.thalweg();
    subject.create_stream("mixed", 1).await;
    put::go_around_the_ring(&subject, "mixed").await;
    let arns = listen::register(&subject, "mixed", SUBSCRIBERS).await;
    let puts = put::requests(Encoding::Json, "mixed", BATCH, RECORD_BYTES);
    let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
    pool.open(&puts, RATE, 0.5).await;
    let wanted = Schedule::new(RATE, bench.seconds()).count() * BATCH as u64;
    let requests = arns.iter().map(|arn| listen::subscription(Encoding::Json, arn, "LATEST")).collect();
    let enough = Enough::Records(wanted);
    let listeners = Listeners::open(subject.address(), Version::Http1, requests, enough, None).await;
    let iterator = poll::latest(&subject, "mixed").await;
    let run = meter::measure(&subject.server, async {
        let polling = poll::poll(&subject, iterator, POLL_EVERY, wanted, |_| {});
        let (work, ()) = tokio::join!(pool.open(&puts, RATE, bench.seconds()), polling);
        listeners.finish().await;
        work
    })
    .await;
    put::drained(run)
}
