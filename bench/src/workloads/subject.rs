//! Starting what is measured: the server or a floor, each on an empty folder of the disk under test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::bodies::{self, Encoding};
use crate::client::Client;
use crate::figure::{Figure, Run};
use crate::load::Request;
use crate::options::Options;
use crate::process::Server;

/// The shortest time of a run of `--quick`.
const QUICK_SECONDS: f64 = 2.5;

/// How runs are made.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    thalweg: &'a Path,
    /// On the disk under test.
    base: PathBuf,
    /// The base, unless the options name one.
    _own: Option<TempDir>,
}

/// A running server, which is killed, and its folders removed, when dropped.
pub(crate) struct Subject {
    // Before the folders: it is dropped first.
    pub(crate) server: Server,
    pub(crate) data: TempDir,
    output: TempDir,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(options: &'a Options, thalweg: &'a Path) -> Bench<'a> {
        let own = options.data_dir.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        let base = match (&options.data_dir, &own) {
            (Some(given), _) => given.clone(),
            (None, Some(own)) => own.path().to_owned(),
            (None, None) => unreachable!("one of them is there"),
        };
        Bench { options, thalweg, base, _own: own }
    }

    pub(crate) fn runs(&self) -> usize {
        if self.options.quick { 1 } else { self.options.runs.into() }
    }

    /// The shortest time of a run.
    pub(crate) fn seconds(&self) -> f64 {
        if self.options.quick { QUICK_SECONDS } else { self.options.seconds }
    }

    /// Whether system calls are counted after the run of this number: once is enough, they hardly vary.
    pub(crate) fn counts_calls(&self, number: usize) -> bool {
        number == 0 && !self.options.quick
    }

    /// Starts the server under test, durable and with one thread for the network.
    pub(crate) fn thalweg(&self) -> Subject {
        let data = self.folder();
        let output = self.folder();
        let server = serve(self.thalweg, &data, &output);
        Subject { server, data, output }
    }

    /// Starts a floor: `f1`, `f2` or `f3`.
    pub(crate) fn floor(&self, kind: &str) -> Subject {
        let (data, output) = (self.folder(), self.folder());
        let own = std::env::current_exe().expect("this program has a path");
        let arguments = ["floor", kind, "--data-dir", path(&data)];
        let server = Server::start(&own, &arguments, output.path());
        Subject { server, data, output }
    }

    /// An empty folder. What earlier ones left to be written back is on the disk before this returns.
    pub(crate) fn folder(&self) -> TempDir {
        rustix::fs::sync();
        tempfile::tempdir_in(&self.base).expect("the data folder is writable")
    }

    /// Kills the server as it is and starts it again on the same data: how long until it listens.
    pub(crate) fn kill_and_start(&self, subject: Subject) -> (Subject, Duration) {
        let Subject { server, data, output } = subject;
        drop(server);
        let begun = Instant::now();
        let server = serve(self.thalweg, &data, &output);
        (Subject { server, data, output }, begun.elapsed())
    }

    /// The folder that all data is in.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Ends the server in good order and starts it again on the same data; `between` runs while it is down.
    pub(crate) fn restart(&self, subject: Subject, between: impl FnOnce(&Path)) -> Subject {
        let Subject { server, data, output } = subject;
        server.terminate();
        between(data.path());
        let server = serve(self.thalweg, &data, &output);
        Subject { server, data, output }
    }
}

fn serve(program: &Path, data: &TempDir, output: &TempDir) -> Server {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--data-dir", path(data)];
    Server::start(program, &arguments, output.path())
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("temporary folders have plain names")
}

impl Subject {
    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    /// A control operation in JSON; answers the body.
    pub(crate) async fn control(&self, operation: &str, members: &[(&str, Value)]) -> Value {
        let mut client = Client::connect(self.address()).await;
        let request = Request::kinesis(operation, Encoding::Json, &bodies::flat(Encoding::Json, members));
        let answer = client.call(request.whole()).await;
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(answer.body));
        serde_json::from_slice(answer.body).unwrap_or_default()
    }

    /// A stream with this many shards.
    pub(crate) async fn create_stream(&self, name: &str, shards: usize) {
        self.control("CreateStream", &[("StreamName", name.into()), ("ShardCount", shards.into())]).await;
    }

    /// The length of the answer to a request, which it must have taken.
    pub(crate) async fn answer_bytes(&self, request: &Request) -> usize {
        let mut client = Client::connect(self.address()).await;
        let answer = client.call(request.whole()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        request.expect.check(answer.body);
        answer.body.len()
    }
}

/// Adds a run and tells whoever watches.
pub(crate) fn add(figure: &mut Figure, run: Run) {
    let mut said = format!("{} | {} | {} | ", figure.group, figure.workload, figure.subject);
    if run.requests > 0 {
        said += &format!(
            "{:.0} requests/s, {:.1} MB/s, server {:.2} us/request, with the kernel {:.2} us/request",
            run.requests_per_second(),
            run.megabytes_per_second(),
            run.server_seconds * 1e6 / run.requests as f64,
            run.cost_micros_per_request(),
        );
    } else {
        said += &format!("{} KiB resident", run.resident_bytes >> 10);
    }
    if let Some(latency) = run.latency {
        said += &format!(", p50 {:.0} us, p99 {:.0} us", latency.p50, latency.p99);
    }
    if let Some(calls) = run.syscalls {
        said += &format!(", {:.1} system calls/request", calls as f64 / run.requests as f64);
    }
    if let Some(note) = &run.note {
        said += &format!(" ({note})");
    }
    eprintln!("{said}");
    figure.runs.push(run);
}
