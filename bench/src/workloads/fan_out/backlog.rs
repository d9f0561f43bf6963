//! Consumers that begin at the oldest record, all at once, and read to the end of what is in the tail cache; against
//! sending the same frames to as many connections (F3).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::bodies::Encoding;
use crate::figure::{F3, Figure, Run, THALWEG};
use crate::load::{Counter, Request, Version};
use crate::meter::{self, Work};
use crate::workloads::fan_out::shape;
use crate::workloads::get::{self, BATCH, RECORD_BYTES};
use crate::workloads::listen::{self, Enough, Listeners};
use crate::workloads::subject::{Bench, Subject, add};

/// Requests that fill the shard: 51 MB, most of the tail cache.
const BATCHES: usize = 100;
const RECORDS: u64 = (BATCHES * BATCH) as u64;
/// Consumers may not come back for five seconds, so each round has its own. A stream has 1,000 at most.
const ROUNDS_MAX: usize = 24;
/// Encoded frames are kept for a second (docs/decisions/0022): a round shall not find those of the last.
const ROUND_PAUSE: Duration = Duration::from_millis(1200);

/// All subjects with this many consumers.
pub(super) async fn run(
    bench: &Bench<'_>,
    encoding: Encoding,
    version: Version,
    consumers: usize,
) -> Vec<Figure> {
    let workload = format!(
        "SubscribeToShard, {consumers} consumers of a backlog, {}, {}",
        encoding.name(),
        shape(version)
    );
    let mut thalweg = Figure::new("fan-out", &workload, THALWEG);
    let mut f3 = Figure::new("fan-out", &workload, F3);
    for _ in 0..bench.runs() {
        let subject = bench.thalweg();
        let (run, frames) = of_server(bench, &subject, encoding, version, consumers).await;
        add(&mut thalweg, run);
        drop(subject);
        add(&mut f3, of_floor(bench, version, consumers, frames).await);
    }
    vec![thalweg, f3]
}

/// What each consumer got.
#[derive(Clone, Copy)]
struct Frames {
    count: u64,
    bytes: u64,
}

async fn of_server(
    bench: &Bench<'_>,
    subject: &Subject,
    encoding: Encoding,
    version: Version,
    consumers: usize,
) -> (Run, Frames) {
    subject.create_stream("read", 1).await;
    let arns = listen::register(subject, "read", 1 + consumers * ROUNDS_MAX).await;
    get::fill(subject, Encoding::Json, "read", BATCHES).await;
    let (first, others) = arns.split_first().expect("one more than the rounds need");
    let frames = frames(subject, encoding, version, first).await;
    let mut total = Run::default();
    for arns in others.chunks(consumers) {
        tokio::time::sleep(ROUND_PAUSE).await;
        let requests = arns.iter().map(|arn| listen::subscription(encoding, arn, "TRIM_HORIZON")).collect();
        total = sum(total, round(subject, version, requests, Enough::Records(RECORDS)).await);
        if total.seconds >= bench.seconds() {
            break;
        }
    }
    (total, frames)
}

/// What a consumer gets: one reads all, alone.
async fn frames(subject: &Subject, encoding: Encoding, version: Version, consumer: &str) -> Frames {
    let events = Rc::new(RefCell::new(Counter::new(b"MillisBehindLatest")));
    let counter = Rc::clone(&events);
    let look: Rc<listen::Look> = Rc::new(move |bytes: &[u8]| {
        counter.borrow_mut().feed(bytes);
    });
    let requests = vec![listen::subscription(encoding, consumer, "TRIM_HORIZON")];
    let enough = Enough::Records(RECORDS);
    let listeners = Listeners::open(subject.address(), version, requests, enough, Some(look)).await;
    let bytes = listeners.finish().await.1;
    let count = events.borrow().count;
    Frames { count, bytes }
}

async fn of_floor(bench: &Bench<'_>, version: Version, consumers: usize, frames: Frames) -> Run {
    let subject = bench.floor("f3");
    let piece = frames.bytes / frames.count;
    let request = Request::floor_stream(piece, frames.count, None);
    let mut total = Run::default();
    while total.seconds < bench.seconds() {
        let requests = vec![request.clone(); consumers];
        let enough = Enough::Bytes(piece * frames.count);
        total = sum(total, round(&subject, version, requests, enough).await);
    }
    total
}

/// All consumers once, from the first request to the last record.
async fn round(subject: &Subject, version: Version, requests: Vec<Request>, enough: Enough) -> Run {
    let consumers = requests.len() as u64;
    meter::measure(&subject.server, async {
        let listeners = Listeners::open(subject.address(), version, requests, enough, None).await;
        listeners.finish().await;
        Work {
            requests: consumers,
            records: RECORDS * consumers,
            payload_bytes: RECORDS * consumers * RECORD_BYTES as u64,
            ..Work::default()
        }
    })
    .await
}

/// Two parts of one run.
fn sum(a: Run, b: Run) -> Run {
    Run {
        seconds: a.seconds + b.seconds,
        requests: a.requests + b.requests,
        records: a.records + b.records,
        payload_bytes: a.payload_bytes + b.payload_bytes,
        server_seconds: a.server_seconds + b.server_seconds,
        cost_seconds: a.cost_seconds + b.cost_seconds,
        device_written_bytes: a.device_written_bytes + b.device_written_bytes,
        device_read_bytes: a.device_read_bytes + b.device_read_bytes,
        pressure_percent: (a.pressure_percent * a.seconds + b.pressure_percent * b.seconds)
            / (a.seconds + b.seconds),
        note: a.note.or(b.note),
        ..b
    }
}
