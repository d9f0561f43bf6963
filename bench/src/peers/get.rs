//! GetRecords at the tail: the newest 500 records of 1 KiB, by one iterator again and again.

use serde_json::json;

use super::http::Connection;
use super::prepare::stream;
use super::subject::Subject;
use super::{api, load};
use crate::figure::{Figure, Run};
use crate::options::Options;
use crate::process::Server;

/// What is tried.
const CONNECTIONS: &[usize] = &[1, 4, 16];
/// How long each is tried, and how long there is load before a measurement.
const QUICK_SECONDS: f64 = 1.0;
const WARM_SECONDS: f64 = 1.0;
/// Records that a call reads: all that the stream has.
const RECORDS: usize = 500;
const STREAM: &str = "tail";

/// As [`super::put::measure`].
pub(crate) async fn measure(
    options: &Options,
    subject: &Subject,
    mut failed: impl FnMut(&str, String),
) -> Vec<Figure> {
    let operation = format!("GetRecords {RECORDS} x 1 KiB at the tail");
    let mut figures = Vec::new();
    let prepared = async {
        let running = subject.start(options.data_dir.as_deref())?;
        let call = prepare(&running.server).await?;
        Ok((running, [call]))
    };
    let (running, calls) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            failed(&operation, error);
            return figures;
        }
    };
    let mut best: Option<(f64, usize)> = None;
    for &connections in CONNECTIONS {
        let workload = super::workload(&operation, connections);
        match once(&running.server, connections, &calls, QUICK_SECONDS).await {
            Ok(run) => {
                let rate = super::log(subject, &workload, &run);
                if best.is_none_or(|(most, _)| rate > most) {
                    best = Some((rate, connections));
                }
                figures.push(super::figure(subject, &workload, vec![run]));
            }
            Err(error) => failed(&workload, error),
        }
    }
    let Some((_, connections)) = best else { return figures };
    let workload = format!("{}{}", super::AT_ITS_BEST, super::workload(&operation, connections));
    let once = async || once(&running.server, connections, &calls, options.seconds).await;
    figures.extend(super::runs(options, subject, &workload, once, &mut failed).await);
    figures
}

/// Puts the records into one shard; answers the call that reads them.
async fn prepare(server: &Server) -> Result<api::Call, String> {
    stream(server, STREAM, 1).await?;
    let mut connection = Connection::new(&server.address);
    let put = api::puts(STREAM, RECORDS).remove(0);
    let answer = connection.call(&put.request).await?;
    put.good.check(answer.body)?;
    let shard = json!({
        "StreamName": STREAM, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON",
    });
    let answer = api::ask(&mut connection, "GetShardIterator", &shard).await?;
    api::get(&mut connection, &answer["ShardIterator"], RECORDS).await
}

async fn once(server: &Server, connections: usize, calls: &[api::Call], seconds: f64) -> Result<Run, String> {
    load::run(server, connections, calls, WARM_SECONDS).await?;
    load::run(server, connections, calls, seconds).await
}
