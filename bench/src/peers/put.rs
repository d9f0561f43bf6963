//! PutRecord and PutRecords of 1 KiB records: a quick pass over connections and batch sizes, each against a server
//! that was just started, then the best combination for longer.

use std::path::Path;

use super::api::{self, puts};
use super::load;
use super::prepare::stream;
use super::subject::Subject;
use crate::figure::{Figure, Run};
use crate::options::Options;

/// Tried with each of [`BATCHES`].
const CONNECTIONS: &[usize] = &[1, 4, 16, 64];
/// Records in a call; 1 is PutRecord.
const BATCHES: &[usize] = &[1, 10, 100, 500];
/// How long each combination is tried.
const QUICK_SECONDS: f64 = 2.0;
/// Load before a measurement, for compilers at run time and for what the first calls make: of the quick pass, and of a
/// run.
const QUICK_WARM_SECONDS: f64 = 0.5;
const WARM_SECONDS: f64 = 3.0;
const STREAM: &str = "puts";
const SHARDS: usize = 4;

/// What a combination is called in the report.
pub(crate) fn workload(connections: usize, batch: usize) -> String {
    let operation = match batch {
        1 => "PutRecord 1 KiB".to_owned(),
        _ => format!("PutRecords {batch} x 1 KiB"),
    };
    super::workload(&operation, connections)
}

/// The figures of the quick pass, and after them the best combination's, marked by [`super::AT_ITS_BEST`]. Combinations
/// that fail are told to `failed` and left out.
pub(crate) async fn measure(
    options: &Options,
    subject: &Subject,
    mut failed: impl FnMut(&str, String),
) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut best: Option<(f64, usize, usize)> = None;
    let data = options.data_dir.as_deref();
    for &batch in BATCHES {
        for &connections in CONNECTIONS {
            let workload = workload(connections, batch);
            let run = once(subject, data, connections, batch, QUICK_WARM_SECONDS, QUICK_SECONDS).await;
            match run {
                Ok(run) => {
                    let rate = super::log(subject, &workload, &run);
                    if best.is_none_or(|(most, ..)| rate > most) {
                        best = Some((rate, connections, batch));
                    }
                    figures.push(super::figure(subject, &workload, vec![run]));
                }
                Err(error) => failed(&workload, error),
            }
        }
    }
    let Some((_, connections, batch)) = best else { return figures };
    let workload = format!("{}{}", super::AT_ITS_BEST, workload(connections, batch));
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        match once(subject, data, connections, batch, WARM_SECONDS, options.seconds).await {
            Ok(run) => {
                super::log(subject, &workload, &run);
                runs.push(run);
            }
            Err(error) => failed(&workload, error),
        }
    }
    if !runs.is_empty() {
        figures.push(super::figure(subject, &workload, runs));
    }
    figures
}

/// One measurement of a server that was just started.
async fn once(
    subject: &Subject,
    data: Option<&Path>,
    connections: usize,
    batch: usize,
    warm_seconds: f64,
    seconds: f64,
) -> Result<Run, String> {
    let running = subject.start(data)?;
    stream(&running.server, STREAM, SHARDS).await?;
    let calls: Vec<api::Call> = puts(STREAM, batch);
    if !subject.slows_down {
        load::run(&running.server, connections, &calls, warm_seconds).await?;
    }
    load::run(&running.server, connections, &calls, seconds).await
}
