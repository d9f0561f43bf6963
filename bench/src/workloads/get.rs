//! GetRecords of records that were just written, so that they are in the server's tail cache, against sending answers of
//! the same length from memory (F3).

use std::rc::Rc;

use crate::bodies::{self, Encoding};
use crate::client::Client;
use crate::figure::{F3, Figure, THALWEG};
use crate::load::{Expect, Request, Until, Version};
use crate::workloads::put::{self, LANES};
use crate::workloads::subject::{Bench, Subject, add};

/// Records of one request.
pub(crate) const BATCH: usize = 500;
/// Bytes of data in a record.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Requests of one pass over the shard: 30 MB, half of the tail cache.
const BATCHES: usize = 60;
/// The tail cache shrinks when nothing was put for half a minute.
const SECONDS_MAX: f64 = 20.0;

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let cases = [
        (Encoding::Json, Version::Http1),
        (Encoding::Cbor, Version::Http1),
        (Encoding::Json, Version::Http2(LANES)),
        (Encoding::Cbor, Version::Http2(LANES)),
    ];
    for (encoding, version) in cases.into_iter().take(if bench.options.quick { 1 } else { cases.len() }) {
        let workload = format!(
            "GetRecords {BATCH} x 1 KiB at the tail, {}, {}, {LANES} connections",
            encoding.name(),
            version.name()
        );
        let mut thalweg = Figure::new("get", &workload, THALWEG);
        let mut f3 = Figure::new("get", &workload, F3);
        let until = Until::seconds(bench.seconds().min(SECONDS_MAX));
        for number in 0..bench.runs() {
            let counts = bench.counts_calls(number);
            let subject = bench.thalweg();
            subject.create_stream("read", 1).await;
            fill(&subject, encoding, "read", BATCHES).await;
            let requests = pass(&subject, encoding, "read").await;
            add(&mut thalweg, put::closed_counted(counts, &subject, version, LANES, &requests, until).await);
            drop(subject);
            let floors: Rc<[Request]> =
                requests.iter().map(|request| request.for_floor(encoding, length(request))).collect();
            add(
                &mut f3,
                put::closed_counted(counts, &bench.floor("f3"), version, LANES, &floors, until).await,
            );
        }
        figures.extend([thalweg, f3]);
    }
    figures
}

fn length(request: &Request) -> usize {
    match request.expect {
        Expect::Length(length) => length,
        _ => unreachable!("a pass knows its answers"),
    }
}

/// Puts this many requests of [`BATCH`] records, one after the other.
pub(crate) async fn fill(subject: &Subject, encoding: Encoding, stream: &str, batches: usize) {
    let mut client = Client::connect(subject.address()).await;
    for seed in 0..batches {
        let body = bodies::put_records(encoding, stream, seed as u64, BATCH, RECORD_BYTES);
        let request = Request::kinesis("PutRecords", encoding, &body);
        let answer = client.call(request.whole()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        Expect::AllTaken.check(answer.body);
    }
}

/// The requests of one pass over a stream of one shard: an iterator stays valid for minutes and may be used again.
async fn pass(subject: &Subject, encoding: Encoding, stream: &str) -> Rc<[Request]> {
    let mut client = Client::connect(subject.address()).await;
    let members = [
        ("StreamName", stream.into()),
        ("ShardId", "shardId-000000000000".into()),
        ("ShardIteratorType", "TRIM_HORIZON".into()),
    ];
    let mut iterator = subject.control("GetShardIterator", &members).await["ShardIterator"].clone();
    let mut requests = Vec::new();
    for _ in 0..BATCHES {
        let members = [("ShardIterator", iterator), ("Limit", BATCH.into())];
        let request = Request::kinesis("GetRecords", encoding, &bodies::flat(encoding, &members));
        let answer = client.call(request.whole()).await;
        let records = memchr::memmem::find_iter(answer.body, "ApproximateArrivalTimestamp").count();
        assert_eq!((answer.status, records), (200, BATCH), "a whole batch is read");
        let expect = Expect::Length(answer.body.len());
        requests.push(request.moving(BATCH as u64, (BATCH * RECORD_BYTES) as u64, expect));
        iterator = subject.control("GetRecords", &members).await["NextShardIterator"].clone();
    }
    requests.into()
}
