//! Log engines of other protocols beside the server, at the same record size, the same records outstanding and the
//! same durability.
//!
//! Each is driven by the client that its makers publish, or over its own protocol by one that costs no more. Clients
//! are free in how they keep records outstanding (connections, batches, pipelines): a short probe of each way chooses
//! the fastest, which is then measured. What a record waits is not reported: in a closed loop it is the number
//! outstanding divided by the rate.

mod calls;
mod install;
mod kafka;
mod nats;
mod redis;
mod s2;
mod thalweg;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::figure::{Absent, Figure, Findings, Provenance, Run};
use crate::loopback;
use crate::options::Options;
use crate::process::Server;

/// The chapter.
pub(crate) const GROUP: &str = "log-engines";
/// Bytes of data in a record.
const RECORD_BYTES: usize = 1024;
/// Records sent and not yet answered, at which durable engines are compared.
const OUTSTANDING: [usize; 5] = [64, 500, 2_000, 8_000, 32_000];
/// The same for modes that answer before the disk has it: there only to show what that buys.
const OUTSTANDING_RELAXED: [usize; 1] = [32_000];
/// Shards, partitions or streams that the records are spread over.
const PARTITIONS: usize = 4;
/// How long one way to keep records outstanding is tried.
const PROBE: Duration = Duration::from_secs(1);
/// Load before each measured time.
const WARM_UP: Duration = Duration::from_secs(1);
/// The engines, by the names under which `--only` takes them one by one, beside the chapter's.
pub(crate) const ENGINES: [&str; 5] = ["thalweg", "redis", "nats", "kafka", "s2"];

/// What all of them are given.
struct Context {
    runs: usize,
    duration: Duration,
    /// Where servers keep their data; emptied at the end.
    folder: tempfile::TempDir,
    /// Where engines are installed.
    peers: PathBuf,
    thalweg: PathBuf,
}

impl Context {
    /// An empty folder, which is gone when dropped.
    fn empty_folder(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(self.folder.path()).expect("the folder can be written")
    }
}

/// An engine in one mode.
struct Mode {
    /// Name, version and mode: `Redis 7.0.15, appendfsync always`.
    subject: String,
    /// Whether its answer says that the record is on the disk.
    durable: bool,
    install: String,
    command: String,
    durability: &'static str,
}

/// An engine in one mode, which can be put under load.
trait Engine {
    /// One way to keep records outstanding.
    type Shape: Copy + Display;

    fn mode(&self) -> Mode;

    /// The ways to keep this many records outstanding, or a few less.
    fn shapes(&self, outstanding: usize) -> Vec<Self::Shape>;

    /// Warms up, and measures for at least `duration`.
    ///
    /// # Errors
    /// Why there is no figure: the engine failed, or answered with anything but success.
    async fn load(&mut self, shape: Self::Shape, duration: Duration) -> Result<Run, String>;
}

/// Installs what is missing, and measures every engine beside the server at `thalweg`.
pub(crate) async fn run(options: &Options, thalweg: &Path) -> Findings {
    let folder = match &options.data_dir {
        Some(directory) => {
            std::fs::create_dir_all(directory).expect("the data folder can be made");
            tempfile::tempdir_in(directory)
        }
        None => tempfile::tempdir(),
    };
    let context = Context {
        runs: options.runs.into(),
        duration: Duration::from_secs_f64(options.seconds),
        folder: folder.expect("a temporary folder"),
        peers: options.peers_folder(),
        thalweg: thalweg.to_owned(),
    };
    let mut findings = Findings::default();
    let named = ENGINES.iter().any(|engine| options.names(engine));
    for engine in ENGINES.into_iter().filter(|engine| !named || options.names(engine)) {
        let outcome = match engine {
            "thalweg" => thalweg::run(&context, &mut findings).await,
            "redis" => redis::run(&context, &mut findings).await,
            "nats" => nats::run(&context, &mut findings).await,
            "kafka" => kafka::run(&context, &mut findings).await,
            _ => s2::run(&context, &mut findings).await,
        };
        if let Err(reason) = outcome {
            eprintln!("{engine}: {reason}");
            findings.absent.push(Absent { subject: engine.to_owned(), reason });
        }
    }
    findings
}

/// Measures one engine in one mode at every number outstanding. What fails is listed as absent.
async fn measure<E: Engine>(context: &Context, mut engine: E, findings: &mut Findings) {
    let mode = engine.mode();
    let promise = if mode.durable { "durable before the answer" } else { "not durable before the answer" };
    let levels: &[usize] = if mode.durable { &OUTSTANDING } else { &OUTSTANDING_RELAXED };
    let mut best: Option<Figure> = None;
    let mut ways = Vec::new();
    for &outstanding in levels {
        let workload = format!("1 KiB records, {} outstanding, {promise}", thousands(outstanding));
        let mut figure = Figure::new(GROUP, &workload, &mode.subject);
        match measure_at(context, &mut engine, outstanding, &mut figure).await {
            Ok(Some(shape)) => ways.push(format!("{}: {shape}", thousands(outstanding))),
            Ok(None) => continue,
            Err(reason) => {
                eprintln!("{}, {workload}: {reason}", mode.subject);
                let subject = format!("{}, {} outstanding", mode.subject, thousands(outstanding));
                findings.absent.push(Absent { subject, reason });
                continue;
            }
        }
        let rate = |figure: &Figure| figure.median(Run::records_per_second).unwrap_or(0.0);
        let cost = figure.median(|run| run.server_seconds * 1e6 / run.records as f64).unwrap_or(0.0);
        eprintln!("{}, {workload}: {:.0} records/s, {cost:.2} us of the server", mode.subject, rate(&figure));
        if best.as_ref().is_none_or(|best| rate(best) < rate(&figure)) {
            best = Some(figure.clone());
        }
        findings.figures.push(figure);
    }
    let Some(mut best) = best else { return };
    best.workload = format!("1 KiB records, as many outstanding as are fastest, {promise}");
    findings.figures.push(best);
    findings.provenance.push(Provenance {
        subject: mode.subject,
        install: mode.install,
        command: format!("{}. Records outstanding: {}", mode.command, ways.join("; ")),
        durability: mode.durability.to_owned(),
    });
}

/// Adds all runs at one number outstanding, and says how the records were kept outstanding; `None` when the engine has
/// no way to do that.
async fn measure_at<E: Engine>(
    context: &Context,
    engine: &mut E,
    outstanding: usize,
    figure: &mut Figure,
) -> Result<Option<E::Shape>, String> {
    let Some(shape) = fastest(engine, outstanding).await? else { return Ok(None) };
    for _ in 0..context.runs {
        figure.runs.push(engine.load(shape, context.duration).await?);
    }
    Ok(Some(shape))
}

/// The way that a short probe says is the fastest. The first to fail is told when all of them do.
async fn fastest<E: Engine>(engine: &mut E, outstanding: usize) -> Result<Option<E::Shape>, String> {
    let shapes = engine.shapes(outstanding);
    if let [] | [_] = shapes.as_slice() {
        return Ok(shapes.first().copied());
    }
    let mut best: Option<(f64, E::Shape)> = None;
    let mut failure = None;
    for shape in shapes {
        match engine.load(shape, PROBE).await {
            Ok(run) => {
                let rate = run.records_per_second();
                eprintln!("  {} outstanding as {shape}: {rate:.0} records/s", thousands(outstanding));
                if best.is_none_or(|(fastest, _)| fastest < rate) {
                    best = Some((rate, shape));
                }
            }
            Err(reason) => {
                eprintln!("  {} outstanding as {shape}: {reason}", thousands(outstanding));
                failure = failure.or(Some(reason));
            }
        }
    }
    match (best, failure) {
        (None, Some(reason)) => Err(reason),
        (best, _) => Ok(best.map(|(_, shape)| shape)),
    }
}

/// Starts an engine that was told its port.
///
/// # Errors
/// It does not listen, or on more than the loopback interface.
fn start(command: Command, port: u16, folder: &Path) -> Result<Server, String> {
    let server = Server::start_on_port(command, port, folder)?;
    loopback::check(port)?;
    Ok(server)
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// `8000` as `8,000`.
fn thousands(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
