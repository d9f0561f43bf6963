//! The ratchet: user-space instructions of the hot path on a fixed input.
//!
//! ```text
//! thalweg-instructions                counts every workload; fails where one grew by more than 5 % or is new
//! thalweg-instructions --update       counts, and writes the new figures
//! thalweg-instructions run NAME N     the workload itself, N requests: what is counted
//! ```
//!
//! The whole server but its sockets and its catalog's files runs in one process: gateway, service, and the disk engine
//! on a real disk. A workload is counted at N and at 2 N requests; the difference is the requests' own. `perf stat`
//! counts where the machine can and its figures are committed. Elsewhere callgrind does, whose processor lacks the widest
//! vector instructions: it watches the logic, not the kernels. Each of the two has figures of its own in `figures.json`.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measuring program starts programs and reads files"
)]

#[allow(dead_code, reason = "the benchmark needs the rest of it")]
#[path = "../../src/bodies.rs"]
mod bodies;
mod count;
mod figures;
mod pipe;
mod workloads;
mod world;

use std::process::ExitCode;

use crate::figures::Figures;

/// Growth that fails.
const GROWTH_MAX: f64 = 0.05;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run", name, requests] => {
            let requests = requests.parse().expect("how many requests");
            workloads::run(name, requests);
            ExitCode::SUCCESS
        }
        [] => check(false),
        ["--update"] => check(true),
        _ => {
            eprintln!("usage: thalweg-instructions [--update | run NAME REQUESTS]");
            ExitCode::from(2)
        }
    }
}

/// Counts every workload beside its committed figure.
fn check(update: bool) -> ExitCode {
    let mut figures = Figures::read();
    let Some(counter) = count::Counter::find(update, |counter| figures.has(counter.name())) else {
        // A skip must be seen, or the ratchet would rust.
        figures::skip(
            "instructions of the hot path: neither perf counters with committed figures nor valgrind on this machine",
        );
        return ExitCode::SUCCESS;
    };
    let mut grown = false;
    let mut missing = false;
    println!("{:<24} {:>16} {:>16} {:>8}", "workload", "instructions", "committed", "");
    for workload in workloads::ALL {
        let found = counter.per_request(workload);
        let committed = figures.get(counter.name(), workload.name);
        let change = committed.map(|committed| found as f64 / committed as f64 - 1.0);
        let words = match change {
            None => "new".to_owned(),
            Some(change) => format!("{:+.1} %", change * 100.0),
        };
        let committed = committed.map_or_else(|| "-".to_owned(), |committed| committed.to_string());
        println!("{:<24} {found:>16} {committed:>16} {words:>8}", workload.name);
        grown |= change.is_some_and(|change| change > GROWTH_MAX);
        missing |= change.is_none();
        figures.set(counter.name(), workload.name, found);
    }
    println!("counted by {}, per request", counter.name());
    if update {
        figures.write();
        return ExitCode::SUCCESS;
    }
    if grown {
        eprintln!(
            "the hot path takes more than 5 % more instructions than committed; if that is worth it, say why in the \
             commit and run: cargo run --release -p thalweg-instructions -- --update"
        );
    }
    if missing {
        eprintln!(
            "a workload without a committed figure is not held: cargo run --release -p thalweg-instructions -- --update"
        );
    }
    if grown || missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
