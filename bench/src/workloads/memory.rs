//! Resident memory: of a server that does nothing, and of one that takes all it can into many shards.

use std::time::Duration;

use crate::bodies::Encoding;
use crate::figure::{Figure, THALWEG};
use crate::load::Version;
use crate::meter::{self, Work};
use crate::workloads::put::{self, LANES};
use crate::workloads::subject::{Bench, add};

/// How long after its start a server is at rest.
const REST: Duration = Duration::from_secs(10);
/// Shards of the stream that is written.
const SHARDS: usize = 1000;

/// The chapter. What counts is each run's resident memory: at the end for the first figure, the peak for the second.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let mut rest = Figure::new("memory", "at rest, one stream", THALWEG);
    let load = format!("PutRecords 500 x 1 KiB over {SHARDS} shards, JSON, HTTP/1.1, {LANES} connections");
    let mut load = Figure::new("memory", &load, THALWEG);
    let requests = put::requests_of(Encoding::Json, "put", 500, 1024, put::PREPARED_MAX);
    let until = put::steady(bench);
    for _ in 0..bench.runs() {
        let subject = bench.thalweg();
        subject.create_stream("idle", 1).await;
        let resting = async {
            tokio::time::sleep(REST).await;
            Work::default()
        };
        add(&mut rest, meter::measure(&subject.server, resting).await);
        drop(subject);
        let subject = bench.thalweg();
        subject.create_stream("put", SHARDS).await;
        add(&mut load, put::drained(put::closed(&subject, Version::Http1, LANES, &requests, until).await));
    }
    vec![rest, load]
}
