//! Other servers of the Kinesis API, each at its best documented settings, driven by the same generator. What they
//! cannot do is not measured here, and neither are the floors: those are [`crate::workloads`]'.
//!
//! ```text
//!  table     which peers, which versions, how they are had and started
//!  install   installing them, once
//!  subject   a peer in one of its modes, or this project's server: starting it
//!  prepare   a server that was just started gets its stream
//!  http      a client for servers of any kind
//!  api       prepared calls, and what a good answer is like
//!  load      the closed loop
//!  put, get  what is measured
//! ```

mod api;
mod get;
mod http;
mod install;
mod load;
mod prepare;
mod put;
mod subject;
mod table;

use std::path::Path;

use self::subject::Subject;
use crate::figure::{Absent, Figure, Findings, Run};
use crate::loopback;
use crate::options::Options;

/// How the chapter is called in the figures.
pub(crate) const GROUP: &str = "peers";
/// A workload that begins with this is the subject's best combination of connections and batch size, measured again
/// and for longer; the other figures are the quick pass that found it.
pub(crate) const AT_ITS_BEST: &str = "at its best: ";

/// The peers, by the names under which `--only` takes them one by one, beside the chapter's.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    table::PEERS.iter().map(|peer| peer.name)
}

/// Installs what is missing, and measures every peer beside the server at `thalweg`.
///
/// # Panics
/// When the server at `thalweg` fails; a peer that fails is absent from the figures instead.
pub(crate) async fn run(options: &Options, thalweg: &Path) -> Findings {
    let mut findings = Findings::default();
    for (name, reason) in table::UNAVAILABLE {
        findings.absent.push(Absent { subject: (*name).to_owned(), reason: (*reason).to_owned() });
    }
    measure(options, &Subject::thalweg(thalweg), &mut findings, true).await;
    let named = table::PEERS.iter().any(|peer| options.names(peer.name));
    let tools = tempfile::TempDir::new().expect("there is a folder for temporary files");
    let preload = loopback::compile(tools.path());
    for peer in table::PEERS.iter().filter(|peer| !named || options.names(peer.name)) {
        let installed = preload.as_ref().map_err(Clone::clone).and_then(|preload| {
            let here = install::install(peer, &options.peers_folder())?;
            Ok((preload, install::describe(peer, &here), here))
        });
        let (preload, description, here) = match installed {
            Ok(installed) => installed,
            Err(reason) => {
                let subject = format!("{} {}", peer.name, peer.version);
                eprintln!("peers: {subject}: {reason}");
                findings.absent.push(Absent { subject, reason });
                continue;
            }
        };
        for mode in peer.modes {
            let subject = Subject::peer(peer, mode, &here, &description, preload);
            measure(options, &subject, &mut findings, false).await;
        }
    }
    findings
}

/// Everything about one subject. `must`: it may not fail.
async fn measure(options: &Options, subject: &Subject, findings: &mut Findings, must: bool) {
    let mut absent = Vec::new();
    let mut failed = |workload: &str, error: String| {
        eprintln!("peers: {}: {workload}: {error}", subject.name);
        assert!(!must, "{workload}: {error}");
        absent.push(Absent { subject: subject.name.clone(), reason: format!("{workload}: {error}") });
    };
    let mut figures = put::measure(options, subject, &mut failed).await;
    figures.append(&mut get::measure(options, subject, &mut failed).await);
    if !figures.is_empty() {
        findings.provenance.push(subject.provenance());
    }
    findings.figures.append(&mut figures);
    findings.absent.append(&mut absent);
}

/// The words for an operation on some connections.
fn workload(operation: &str, connections: usize) -> String {
    let plural = if connections == 1 { "" } else { "s" };
    format!("{operation}, JSON, HTTP/1.1, {connections} connection{plural}")
}

/// As many runs of one workload as the options say; `None` when all of them failed.
async fn runs(
    options: &Options,
    subject: &Subject,
    workload: &str,
    once: impl AsyncFn() -> Result<Run, String>,
    failed: &mut impl FnMut(&str, String),
) -> Option<Figure> {
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        match once().await {
            Ok(run) => {
                log(subject, workload, &run);
                runs.push(run);
            }
            Err(error) => failed(workload, error),
        }
    }
    (!runs.is_empty()).then(|| figure(subject, workload, runs))
}

fn figure(subject: &Subject, workload: &str, runs: Vec<Run>) -> Figure {
    Figure { group: GROUP, workload: workload.to_owned(), subject: subject.name.clone(), runs }
}

/// Says how it went while the benchmark is under way; answers records per second of wall time.
fn log(subject: &Subject, workload: &str, run: &Run) -> f64 {
    let rate = run.records_per_second();
    eprintln!(
        "peers: {}: {workload}: {rate:.0} records/s, {:.1} us of the server's processor each, {} MiB{}",
        subject.name,
        run.server_seconds * 1e6 / run.records as f64,
        run.resident_peak_bytes >> 20,
        run.note.as_ref().map_or(String::new(), |note| format!(" ({note})")),
    );
    rate
}
