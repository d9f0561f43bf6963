//! Load generator and floors: processor time per record of the hot path.
//!
//! `thalweg-bench PATH_OF_THALWEG [SECONDS] [DATA_DIR]` starts the server pinned to one core, drives each workload in
//! closed loop from another, then does the same against a bare HTTP server of the same library that only reads or
//! sends the same bytes (the floor), and prints a Markdown table. It stops everything it started.
//!
//! Processor time is read from `/proc/PID/stat` (the server alone, all of its threads) and from `/proc/stat` (the whole
//! machine less the generator: kernel threads that write back are in it, and so is everybody else on the machine).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measuring program uses the real clock and files"
)]

mod bodies;
mod client;
mod floor;
mod process;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    if let [command, port_file] = arguments.as_slice()
        && command == "floor"
    {
        runtime.block_on(floor::serve(port_file));
        return ExitCode::SUCCESS;
    }
    let Some(server) = arguments.first() else {
        eprintln!("usage: thalweg-bench PATH_OF_THALWEG [SECONDS] [DATA_DIR]");
        return ExitCode::from(2);
    };
    let seconds = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let settings = workload::Settings {
        server: server.into(),
        duration: Duration::from_secs(seconds),
        data_dir: arguments.get(2).map(Into::into),
    };
    process::pin_this(process::GENERATOR_CORE);
    runtime.block_on(workload::run_all(&settings));
    ExitCode::SUCCESS
}
