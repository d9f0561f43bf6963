//! Clients that misuse the real program on a real disk, each case with a server of its own, while a well-behaved client uses
//! it, too: memory stays under the case's bound, the well-behaved client goes on and finds all that it was acknowledged,
//! who is refused is refused with an error that SDKs retry, and what was taken is given back afterwards.
//!
//! ```text
//!  cases          all of them, with their bounds
//!    connections    too many, in disorder, and gone without a word
//!    slow           heads and bodies that do not come
//!    unread         answers that nobody reads
//!    bodies         large ones, many at once
//!    frames         HTTP/2 by hand
//!    overload       more than the server can do
//!  scene          what a case has to do with
//!  neighbour      the well-behaved client
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // whole programs: processes, files, sockets, their times

mod bodies;
mod cases;
mod connections;
mod frames;
mod neighbour;
mod overload;
mod scene;
mod slow;
mod unread;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::process::{Process, free_address, runtime, serve};
use crate::vitals::{Reading, Vitals};

use cases::{CASES, Case};
use neighbour::Neighbour;
use scene::Scene;

/// How long the neighbour may wait for its next success, at the worst: generous, for machines that do other work.
const GAP_MAX: Duration = Duration::from_secs(10);
/// How soon after the abuse descriptors are given back, and memory.
const FILES_RECOVERY_MAX: Duration = Duration::from_secs(60);
const MEMORY_RECOVERY_MAX: Duration = Duration::from_secs(5);
/// What the same abuse may keep more in its next round, and how many rounds it has until it may keep no more than that.
const AGAIN_BYTES: usize = 32 << 20;
const ROUNDS_MAX: usize = 6;
/// Files that a server may have open more than before: its own for segments (`open_files_max`), and the neighbour's new
/// connections.
const FILES_MORE: usize = 256 + 12;

/// What is misused, and how.
#[derive(Clone, Debug)]
pub struct Abused {
    /// The program.
    pub program: PathBuf,
    /// A folder on the disk to be used.
    pub folder: PathBuf,
    /// Only the cases whose names contain this.
    pub case: Option<String>,
    /// Small and short, for CI.
    pub is_quick: bool,
}

/// Runs the cases, one after the other, and prints a line for each.
///
/// # Panics
/// When a bound does not hold or a rule is broken.
pub fn abuse(abused: &Abused) {
    let descriptors = raise_descriptors();
    println!(
        "{:24} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>8} {:>8} {:>6}  answers",
        "case", "before", "peak", "bound", "after", "files", "after", "put p99", "gap", "puts"
    );
    let wanted = |case: &&Case| abused.case.as_ref().is_none_or(|name| case.name.contains(name.as_str()));
    let mut ran = 0;
    for case in CASES.iter().filter(wanted) {
        run_case(case, abused, descriptors);
        ran += 1;
    }
    assert!(ran > 0, "there is no case of that name");
}

/// As many descriptors as the machine permits, for this process and the servers that it starts.
fn raise_descriptors() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    raised.expect("up to the hard limit anyone may");
    maximum.map_or(usize::MAX, |maximum| maximum as usize)
}

/// A case with a server of its own.
fn run_case(case: &Case, abused: &Abused, descriptors: usize) {
    let data = TempDir::new_in(&abused.folder).expect("the folder is there");
    let address = free_address();
    let process = Process::start(&mut server(case, abused, &data, address)).ready();
    let vitals = Vitals::of(process.id());
    let neighbour = Neighbour::start(address);
    neighbour.until_more_puts(20);
    let before = vitals.now();
    vitals.forget_peak();

    let watch = vitals.watch_files();
    let misuse = || {
        let scene = Arc::new(Scene::new(case, address, abused.is_quick, descriptors));
        runtime().block_on((case.act)(Arc::clone(&scene)));
        scene.answers()
    };
    let (files_max, kept_max) = (before.files + FILES_MORE, before.bytes + case.kept_bytes_max);
    let answers = misuse();
    let (peak_bytes, peak_files) = (vitals.peak_bytes(), watch.end());
    let after = recovered(&vitals, files_max, kept_max);
    // What is free for the next ones is no leak: then the same over and over comes to need no more.
    let mut kept = vec![after.bytes];
    while after.bytes > kept_max && kept.len() < ROUNDS_MAX && !is_level(&kept) {
        misuse();
        kept.push(recovered(&vitals, files_max, kept_max).bytes);
    }
    neighbour.until_more_puts(20);
    let report = neighbour.end();

    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    println!(
        "{:24} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>5} ms {:>5} ms {:>6}  {answers}",
        case.name,
        mib(before.bytes),
        mib(peak_bytes),
        mib(case.bytes_max),
        mib(after.bytes),
        peak_files,
        after.files,
        report.put_p99.as_millis(),
        report.gap.as_millis(),
        report.puts,
    );
    if after.bytes > kept_max {
        let kept_mib: Vec<usize> = kept.iter().map(|bytes| mib(*bytes)).collect();
        println!("  KEPT by the allocator, round after round: {kept_mib:?} MiB");
        assert!(is_level(&kept), "{}: memory is lost", case.name);
    }
    assert!(peak_bytes <= case.bytes_max, "{}: {} MiB is too much memory", case.name, mib(peak_bytes));
    assert!(report.gap <= GAP_MAX, "{}: the well-behaved client was starved", case.name);
    assert!(after.files <= files_max, "{}: descriptors stay open", case.name);
    process.end();
}

/// Whether the last of these rounds kept no more than the one before.
fn is_level(kept: &[usize]) -> bool {
    matches!(kept, [.., before, last] if *last <= before + AGAIN_BYTES)
}

/// Waits until a server has given back what it took, within bounds.
fn recovered(vitals: &Vitals, files_max: usize, bytes_max: usize) -> Reading {
    let ended = Instant::now();
    loop {
        let now = vitals.now();
        let are_files_back = now.files <= files_max || ended.elapsed() > FILES_RECOVERY_MAX;
        let is_memory_back = now.bytes <= bytes_max || ended.elapsed() > MEMORY_RECOVERY_MAX;
        if are_files_back && is_memory_back {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program with small caches, so that what clients cost stands out, and with a stream for either side.
fn server(case: &Case, abused: &Abused, data: &TempDir, address: std::net::SocketAddr) -> Command {
    let serve = serve(&abused.program, data.path(), address);
    let mut command = match case.descriptors {
        None => serve,
        Some(descriptors) => {
            let mut limited = Command::new("sh");
            limited.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""));
            limited.arg(serve.get_program()).args(serve.get_args());
            limited
        }
    };
    command.args(["--undrained-bytes", "64MiB", "--tail-cache", "16MiB", "--chunk-cache", "16MiB"]);
    command.args(["--create-stream", "neighbour:1", "--create-stream", "abuse:4"]);
    command.arg("--create-stream").arg(format!("apart:{}", unread::SHARDS_APART));
    command
}
