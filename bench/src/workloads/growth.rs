//! How cost, memory and the time of a start grow with shards, with stored bytes and with consumers. Each workload begins
//! with the quantity, as a plain number, for the charts.

use std::time::Duration;

use crate::bodies::Encoding;
use crate::figure::{Absent, Figure, Findings, Run, THALWEG};
use crate::load::{Pool, Until, Version};
use crate::meter;
use crate::workloads::fan_out::live;
use crate::workloads::get::{BATCH, RECORD_BYTES};
use crate::workloads::put::{self, LANES};
use crate::workloads::subject::{Bench, Subject, add};

/// Shards of one stream.
const SHARDS: &[usize] = &[1, 10, 100, 1_000, 10_000];
/// Gigabytes of data in one stream.
const STORED_GB: &[u64] = &[1, 3, 10, 30];
/// Consumers of one shard.
const CONSUMERS: &[usize] = &[1, 5, 20, 50];
/// A volume keeps this part of itself free (the server's own reserve is 5 %), in percent.
const RESERVE_PERCENT: u64 = 6;
/// Beside the data: the ring, and what the runs between the levels write.
const SLACK_BYTES: u64 = 6 << 30;
/// How long a server that was just restarted rests before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// The chapters that were asked for. Runs are made once: what shows growth is the curve.
pub(crate) async fn run(bench: &Bench<'_>) -> Findings {
    let mut findings = Findings::default();
    if bench.options.wants("growth-shards") {
        shards(bench, &mut findings.figures).await;
    }
    if bench.options.wants("growth-stored") {
        stored(bench, &mut findings).await;
    }
    if bench.options.wants("growth-consumers") {
        consumers(bench, &mut findings.figures).await;
    }
    findings
}

fn figure(group: &'static str, workload: &str, run: Run) -> Figure {
    let mut figure = Figure::new(group, workload, THALWEG);
    add(&mut figure, run);
    figure
}

async fn shards(bench: &Bench<'_>, figures: &mut Vec<Figure>) {
    const GROUP: &str = "growth-shards";
    let requests = put::requests_of(Encoding::Json, "put", BATCH, RECORD_BYTES, put::PREPARED_MAX);
    for shards in SHARDS {
        let subject = bench.thalweg();
        subject.create_stream("put", *shards).await;
        let run = put::closed(&subject, Version::Http1, LANES, &requests, put::steady(bench)).await;
        figures.push(figure(GROUP, &format!("{shards} shards: put"), put::drained(run)));
        after_load(bench, subject, GROUP, &format!("{shards} shards"), figures).await;
    }
}

async fn stored(bench: &Bench<'_>, findings: &mut Findings) {
    const GROUP: &str = "growth-stored";
    let requests = put::requests(Encoding::Cbor, "put", BATCH, RECORD_BYTES);
    let mut subject = bench.thalweg();
    subject.create_stream("put", LANES).await;
    let mut written = 0;
    for gigabytes in STORED_GB {
        let wanted = gigabytes * 1_000_000_000;
        if !fits(bench, wanted - written.min(wanted)) {
            findings.absent.push(Absent {
                subject: format!("{THALWEG}, {gigabytes} GB stored"),
                reason: "the volume has less room".to_owned(),
            });
            continue;
        }
        let run = Until::seconds(bench.seconds());
        let mut pool = Pool::connect(subject.address(), Version::Http1, LANES).await;
        if written < wanted {
            let fill = Until::moved(wanted - written);
            written += pool.closed(&requests, fill).await.payload_bytes;
        }
        let run = meter::measure(&subject.server, pool.closed(&requests, run)).await;
        written += run.payload_bytes;
        drop(pool);
        findings.figures.push(figure(GROUP, &format!("{gigabytes} GB: put"), put::drained(run)));
        let what = format!("{gigabytes} GB");
        subject = after_load(bench, subject, GROUP, &what, &mut findings.figures).await;
    }
}

/// Whether the volume takes so many bytes more.
fn fits(bench: &Bench<'_>, bytes: u64) -> bool {
    let volume = rustix::fs::statvfs(bench.base()).expect("the data folder is there");
    let reserve = volume.f_blocks * volume.f_frsize / 100 * RESERVE_PERCENT;
    volume.f_bavail * volume.f_frsize > bytes + reserve + SLACK_BYTES
}

/// Kills the server and starts it again: how long that takes.
fn restart(
    bench: &Bench<'_>,
    subject: Subject,
    group: &'static str,
    what: &str,
    figures: &mut Vec<Figure>,
) -> Subject {
    let (subject, elapsed) = bench.kill_and_start(subject);
    let run = Run { seconds: elapsed.as_secs_f64(), requests: 1, ..Run::default() };
    figures.push(figure(group, &format!("{what}: restart"), run));
    subject
}

/// The same, and what it needs then.
async fn after_load(
    bench: &Bench<'_>,
    subject: Subject,
    group: &'static str,
    what: &str,
    figures: &mut Vec<Figure>,
) -> Subject {
    let subject = restart(bench, subject, group, what, figures);
    tokio::time::sleep(REST).await;
    let (resident_bytes, resident_peak_bytes) = meter::resident_bytes(&subject.server.processes());
    let memory = Run { seconds: REST.as_secs_f64(), resident_bytes, resident_peak_bytes, ..Run::default() };
    figures.push(figure(group, &format!("{what}: memory"), memory));
    subject
}

async fn consumers(bench: &Bench<'_>, figures: &mut Vec<Figure>) {
    const GROUP: &str = "growth-consumers";
    let alone = live::of_server(bench, Version::Http1, 0).await.run;
    for consumers in CONSUMERS {
        let live::Delivered { mut run, subject, .. } =
            live::of_server(bench, Version::Http1, *consumers).await;
        let memory = Run { note: None, ..run.clone() };
        // What the same producer costs without consumers.
        let part = run.requests as f64 / alone.requests as f64;
        run.cost_seconds = (run.cost_seconds - alone.cost_seconds * part).max(0.0);
        run.server_seconds = (run.server_seconds - alone.server_seconds * part).max(0.0);
        figures.push(figure(GROUP, &format!("{consumers} consumers: fan-out"), run));
        figures.push(figure(GROUP, &format!("{consumers} consumers: memory"), memory));
        restart(bench, subject, GROUP, &format!("{consumers} consumers"), figures);
    }
}
