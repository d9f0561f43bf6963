//! PutRecords whose keys spread over few and over many shards.

use crate::bodies::Encoding;
use crate::figure::{Figure, THALWEG};
use crate::load::Version;
use crate::workloads::put::{self, LANES};
use crate::workloads::subject::{Bench, add};

/// The chapter.
pub(crate) async fn run(bench: &Bench<'_>) -> Vec<Figure> {
    let counts: &[usize] = if bench.options.quick { &[1, 10_000] } else { &[1, 100, 10_000] };
    let mut figures: Vec<Figure> = counts
        .iter()
        .map(|count| {
            let shards = if *count == 1 { "1 shard".to_owned() } else { format!("{count} shards") };
            let workload =
                format!("PutRecords 500 x 1 KiB over {shards}, JSON, HTTP/1.1, {LANES} connections");
            Figure::new("shards", &workload, THALWEG)
        })
        .collect();
    let requests = put::requests_of(Encoding::Json, "put", 500, 1024, put::PREPARED_MAX);
    let until = put::steady(bench);
    for _ in 0..bench.runs() {
        for (figure, count) in figures.iter_mut().zip(counts) {
            let subject = bench.thalweg();
            subject.create_stream("put", *count).await;
            add(figure, put::drained(put::closed(&subject, Version::Http1, LANES, &requests, until).await));
        }
    }
    figures
}
