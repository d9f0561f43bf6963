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
const QUICK_SECONDS: f64 = 1.0;
/// Load before a measurement, for compilers at run time and for what the first calls make: of the quick pass, and of a
/// run.
const QUICK_WARM_SECONDS: f64 = 0.3;
const WARM_SECONDS: f64 = 3.0;
/// The fastest of the quick pass, which are tried again before one of them is the best: a lucky one would make the
/// subject look worse than it is.
const FINALISTS: usize = 4;
/// How often.
const FINAL_TRIES: usize = 2;
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
    let data = options.data_dir.as_deref();
    let mut tried: Vec<(usize, usize, Figure)> = Vec::new();
    for &batch in BATCHES {
        for &connections in CONNECTIONS {
            let workload = workload(connections, batch);
            let run = once(subject, data, connections, batch, QUICK_WARM_SECONDS, QUICK_SECONDS).await;
            match run {
                Ok(run) => {
                    super::log(subject, &workload, &run);
                    tried.push((connections, batch, super::figure(subject, &workload, vec![run])));
                }
                Err(error) => failed(&workload, error),
            }
        }
    }
    tried.sort_by(|(.., one), (.., other)| rate(other).total_cmp(&rate(one)));
    for (connections, batch, figure) in tried.iter_mut().take(FINALISTS) {
        for _ in 0..FINAL_TRIES {
            let run = once(subject, data, *connections, *batch, QUICK_WARM_SECONDS, QUICK_SECONDS).await;
            match run {
                Ok(run) => {
                    super::log(subject, &figure.workload, &run);
                    figure.runs.push(run);
                }
                Err(error) => failed(&figure.workload, error),
            }
        }
    }
    let finalists = tried.iter().take(FINALISTS);
    let best = finalists.max_by(|(.., one), (.., other)| rate(one).total_cmp(&rate(other)));
    let best = best.map(|(connections, batch, _)| (*connections, *batch));
    tried.sort_by_key(|(connections, batch, _)| (*batch, *connections));
    let mut figures: Vec<Figure> = tried.into_iter().map(|(.., figure)| figure).collect();
    let Some((connections, batch)) = best else { return figures };
    let workload = format!("{}{}", super::AT_ITS_BEST, workload(connections, batch));
    let once = async || once(subject, data, connections, batch, WARM_SECONDS, options.seconds).await;
    figures.extend(super::runs(options, subject, &workload, once, &mut failed).await);
    figures
}

/// Records per second of wall time, in the middle of its runs.
fn rate(figure: &Figure) -> f64 {
    figure.median(Run::records_per_second).unwrap_or(0.0)
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
