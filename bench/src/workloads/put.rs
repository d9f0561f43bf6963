//! PutRecords in closed loop on four connections: against reading and discarding (F1), against the least that a durable
//! server does (F2), and against the hash that signing will ask for.

use std::rc::Rc;

use crate::bodies::{self, Encoding};
use crate::figure::{F1, F2, Figure, Run, SHA256, THALWEG};
use crate::load::{Expect, Pool, Request, Until, Version};
use crate::meter;
use crate::workloads::subject::{Bench, Subject, add};
use crate::workloads::{sha256, syscalls};

/// Concurrent requests.
pub(crate) const LANES: usize = 4;
/// Shards of the stream that is written.
const SHARDS: usize = 8;
/// Bytes of the measured server's write-ahead ring at its largest; the floor's is as large.
const RING_BYTES: u64 = 512 << 20;
/// The least that a run writes: that often around the ring.
const RINGS: u64 = 3;
/// The least that a subject is under load before it is measured.
const WARM_UP_SECONDS: f64 = 0.5;
/// Payload of all prepared bodies together: caches shall not flatter.
const PREPARED_BYTES: usize = 8 << 20;
/// The most prepared bodies.
pub(crate) const PREPARED_MAX: usize = 64;
/// The largest request: 10 MiB of data and keys.
const REQUEST_BYTES_MAX: usize = 10 << 20;
/// Length of a key of [`bodies::put_records`].
const KEY_BYTES: usize = 19;
/// The backlog counts as grown when less than this part of what belongs on the disk was written to it.
const WRITTEN_PART_MIN: f64 = 0.9;
/// A shorter run may end in the middle of its first round of draining.
const DRAINED_SECONDS_MIN: f64 = 2.0;

/// What is put.
#[derive(Clone, Copy)]
struct Case {
    encoding: Encoding,
    version: Version,
    records: usize,
    data_bytes: usize,
    /// As the report says it.
    size: &'static str,
}

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let sizes = [
        (500, 1024, "500 x 1 KiB"),
        (500, 100, "500 x 100 B"),
        (50, 10 << 10, "50 x 10 KiB"),
        (1, REQUEST_BYTES_MAX - KEY_BYTES, "1 x 10 MiB"),
    ];
    let mut figures = Vec::new();
    for (index, (records, data_bytes, size)) in sizes.into_iter().enumerate() {
        for encoding in [Encoding::Json, Encoding::Cbor] {
            for version in [Version::Http1, Version::Http2(LANES)] {
                if (bench.options.quick || version != Version::Http1) && index > 0 {
                    continue;
                }
                let case = Case { encoding, version, records, data_bytes, size };
                figures.extend(one(bench, case).await);
            }
        }
    }
    figures
}

/// All subjects under one workload.
async fn one(bench: &Bench<'_>, case: Case) -> Vec<Figure> {
    let Case { encoding, version, records, data_bytes, size } = case;
    let workload = format!("PutRecords {size}, {}, {}, {LANES} connections", encoding.name(), version.name());
    let mut thalweg = Figure::new("put", &workload, THALWEG);
    let mut f1 = Figure::new("put", &workload, F1);
    let mut f2 = Figure::new("put", &workload, F2);
    let mut hash = Figure::new("put", &workload, SHA256);
    let requests = requests(encoding, "put", records, data_bytes);
    let until = steady(bench);
    for number in 0..bench.runs() {
        let counts = bench.counts_calls(number);
        let subject = bench.thalweg();
        subject.create_stream("put", SHARDS).await;
        if data_bytes > 1 << 20 {
            allow_large_records(&subject).await;
        }
        let answer_bytes = subject.answer_bytes(&requests[0]).await;
        add(&mut thalweg, drained(closed_counted(counts, &subject, version, LANES, &requests, until).await));
        drop(subject);
        let floors: Rc<[Request]> =
            requests.iter().map(|request| request.for_floor(encoding, answer_bytes)).collect();
        if !bench.options.quick {
            let plain = Until::seconds(bench.seconds());
            add(&mut f1, closed_counted(counts, &bench.floor("f1"), version, LANES, &floors, plain).await);
        }
        add(&mut f2, closed_counted(counts, &bench.floor("f2"), version, LANES, &floors, until).await);
        if version == Version::Http1 && !bench.options.quick {
            add(&mut hash, sha256::run(&requests, 1.0));
        }
    }
    let mut figures = vec![thalweg, f1, f2, hash];
    figures.retain(|figure| !figure.runs.is_empty());
    figures
}

/// PutRecords of these, enough of them that together they are in no cache.
pub(crate) fn requests(encoding: Encoding, stream: &str, records: usize, data_bytes: usize) -> Rc<[Request]> {
    let count = (PREPARED_BYTES / (records * data_bytes)).clamp(2, PREPARED_MAX);
    requests_of(encoding, stream, records, data_bytes, count)
}

/// This many different PutRecords.
pub(crate) fn requests_of(
    encoding: Encoding,
    stream: &str,
    records: usize,
    data_bytes: usize,
    count: usize,
) -> Rc<[Request]> {
    let payload = (records * data_bytes) as u64;
    let request = |seed| {
        let body = bodies::put_records(encoding, stream, seed, records, data_bytes);
        Request::kinesis("PutRecords", encoding, &body).moving(records as u64, payload, Expect::AllTaken)
    };
    (0..count as u64).map(request).collect()
}

/// How long a run lasts that puts as much as it can.
pub(crate) fn steady(bench: &Bench<'_>) -> Until {
    Until::both(bench.seconds(), RINGS * RING_BYTES)
}

/// Brings the subject into its steady state (a fast one has gone around the ring once), then measures.
pub(crate) async fn closed(
    subject: &Subject,
    version: Version,
    lanes: usize,
    requests: &Rc<[Request]>,
    until: Until,
) -> Run {
    let mut pool = Pool::connect(subject.address(), version, lanes).await;
    let warm_up = if until.moves_bytes() { RING_BYTES } else { 0 };
    pool.closed(requests, Until::both(WARM_UP_SECONDS, warm_up)).await;
    meter::measure(&subject.server, pool.closed(requests, until)).await
}

/// The same; if `counts_calls`, system calls are counted afterwards.
pub(crate) async fn closed_counted(
    counts_calls: bool,
    subject: &Subject,
    version: Version,
    lanes: usize,
    requests: &Rc<[Request]>,
    until: Until,
) -> Run {
    let mut run = closed(subject, version, lanes, requests, until).await;
    if counts_calls {
        let mut pool = Pool::connect(subject.address(), version, lanes).await;
        syscalls::count(&mut run, subject, &mut pool, requests).await;
    }
    run
}

/// Brings the measured server into its steady state before a workload that would take minutes to: its ring has been
/// gone around, and has its largest size.
pub(crate) async fn go_around_the_ring(subject: &Subject, stream: &str) {
    let requests = requests(Encoding::Json, stream, 500, 1024);
    let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
    pool.closed(&requests, Until::both(WARM_UP_SECONDS, 2 * RING_BYTES)).await;
}

/// Everything that was put must have gone to the disk twice, into the ring and into a segment: a note when it did not.
/// The ring is written in whole blocks, so that where calls are of a record or two it takes more than the data, and what
/// is missing in segments may not show.
pub(crate) fn drained(run: Run) -> Run {
    let put_bytes = run.payload_bytes;
    drained_of(run, put_bytes)
}

/// The same of a run whose payload is not what was put.
pub(crate) fn drained_of(mut run: Run, put_bytes: u64) -> Run {
    let expected = 2 * put_bytes;
    let is_short = run.seconds < DRAINED_SECONDS_MIN;
    if !is_short && (run.device_written_bytes as f64) < expected as f64 * WRITTEN_PART_MIN {
        run.add_note(&format!(
            "the backlog grew: {} MB were written for {} MB of data",
            run.device_written_bytes / 1_000_000,
            put_bytes / 1_000_000
        ));
    }
    run
}

async fn allow_large_records(subject: &Subject) {
    let summary = subject.control("DescribeStreamSummary", &[("StreamName", "put".into())]).await;
    let arn = summary["StreamDescriptionSummary"]["StreamARN"].clone();
    subject.control("UpdateMaxRecordSize", &[("StreamARN", arn), ("MaxRecordSizeInKiB", 10240.into())]).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_that_grew_is_noted() {
        #[track_caller]
        fn check(seconds: f64, put_bytes: u64, device_written_bytes: u64, grew: bool) {
            let run = Run { seconds, device_written_bytes, ..Run::default() };
            assert_eq!(drained_of(run, put_bytes).note.is_some(), grew);
        }
        check(5.0, 100, 200, false);
        check(5.0, 100, 181, false);
        check(5.0, 100, 179, true);
        check(1.0, 100, 100, false);
        check(5.0, 0, 0, false);
    }
}
