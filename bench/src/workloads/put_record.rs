//! PutRecord of 1 KiB in closed loop, at few and at many connections.

use std::rc::Rc;

use crate::bodies::{self, Encoding};
use crate::figure::{F1, F2, Figure, THALWEG};
use crate::load::{Expect, Request, Until, Version};
use crate::workloads::put;
use crate::workloads::subject::{Bench, add};

/// Bytes of data in the record.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Different prepared requests.
const PREPARED: usize = 1024;
/// Shards of the stream that is written.
const SHARDS: usize = 8;
/// Connections of HTTP/2.
const HTTP2_CONNECTIONS: usize = 4;

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let cases = [
        (Encoding::Json, Version::Http1, 64),
        (Encoding::Json, Version::Http1, 1),
        (Encoding::Json, Version::Http1, 1024),
        (Encoding::Json, Version::Http2(HTTP2_CONNECTIONS), 64),
        (Encoding::Cbor, Version::Http1, 64),
    ];
    let mut figures = Vec::new();
    for (encoding, version, lanes) in cases {
        if bench.options.quick && !figures.is_empty() {
            break;
        }
        figures.extend(one(bench, encoding, version, lanes).await);
    }
    figures
}

async fn one(bench: &Bench<'_>, encoding: Encoding, version: Version, lanes: usize) -> Vec<Figure> {
    let shape = match version {
        Version::Http1 if lanes == 1 => "1 connection".to_owned(),
        Version::Http1 => format!("{lanes} connections"),
        Version::Http2(connections) => format!("{lanes} streams over {connections} connections"),
    };
    let workload = format!("PutRecord 1 KiB, {}, {}, {shape}", encoding.name(), version.name());
    let mut thalweg = Figure::new("put-record", &workload, THALWEG);
    let mut f1 = Figure::new("put-record", &workload, F1);
    let mut f2 = Figure::new("put-record", &workload, F2);
    let requests = requests(encoding, "put");
    let until = Until::seconds(bench.seconds());
    for number in 0..bench.runs() {
        let counts = bench.counts_calls(number);
        let subject = bench.thalweg();
        subject.create_stream("put", SHARDS).await;
        put::go_around_the_ring(&subject, "put").await;
        let answer_bytes = subject.answer_bytes(&requests[0]).await;
        let run = put::closed_counted(counts, &subject, version, lanes, &requests, until).await;
        add(&mut thalweg, put::drained(run));
        drop(subject);
        let floors: Rc<[Request]> =
            requests.iter().map(|request| request.for_floor(encoding, answer_bytes)).collect();
        if !bench.options.quick {
            add(
                &mut f1,
                put::closed_counted(counts, &bench.floor("f1"), version, lanes, &floors, until).await,
            );
        }
        add(&mut f2, put::closed_counted(counts, &bench.floor("f2"), version, lanes, &floors, until).await);
    }
    let mut figures = vec![thalweg, f1, f2];
    figures.retain(|figure| !figure.runs.is_empty());
    figures
}

/// PutRecord requests, each of another record.
pub(crate) fn requests(encoding: Encoding, stream: &str) -> Rc<[Request]> {
    (0..PREPARED)
        .map(|number| {
            let data = bodies::noise(number as u64 + 1, RECORD_BYTES);
            let body = bodies::put_record(encoding, stream, &format!("key-{number:015}"), &data);
            Request::kinesis("PutRecord", encoding, &body).moving(1, RECORD_BYTES as u64, Expect::Any)
        })
        .collect()
}
