//! The benchmark: the server beside its floors and its peers, in one run, and the report of it.
//!
//! `cargo run --release -p thalweg-bench` builds the server, starts everything that is measured on one core, drives it
//! from another, stops it, and writes `docs/benchmarks`. `--quick` and `--only` print ratios and write nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measuring program uses the real clock and files"
)]

mod bodies;
mod build;
mod client;
mod figure;
mod floor;
mod load;
mod log_engines;
mod loopback;
mod meter;
mod options;
mod peers;
mod process;
mod processor;
mod report;
mod workloads;

use std::process::ExitCode;

use clap::Parser;

use crate::figure::Findings;
use crate::options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    if let Some(Command::Floor { kind, data_dir }) = &options.command {
        thalweg_system::os::look_after_memory();
        runtime.block_on(floor::serve(kind, data_dir.as_deref()));
        return ExitCode::SUCCESS;
    }
    let server = options.server.clone().unwrap_or_else(build::server);
    std::fs::create_dir_all(options.data_folder()).expect("the data folder can be made");
    // Before measuring, which takes long: meanwhile the checkout may move on.
    let report =
        options.report_folder().map(|folder| (folder, report::Machine::read(&options.data_folder())));
    process::pin_this(process::GENERATOR_CORE);
    let mut written = Ok(());
    let keep = |findings: &Findings| {
        if let Some((folder, machine)) = &report {
            written = report::write(&options, folder, machine, findings);
        }
    };
    // The generator's tasks share their counts: they all run on this thread.
    let findings = tokio::task::LocalSet::new().block_on(&runtime, measure(&options, &server, keep));
    report::print_ratios(&findings);
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the report cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All that was asked for. `keep` is given what there is after each part: two hours of measuring are not lost when
/// the last quarter of an hour is.
async fn measure(options: &Options, server: &std::path::Path, mut keep: impl FnMut(&Findings)) -> Findings {
    let mut findings = workloads::run(options, server).await;
    keep(&findings);
    if !options.quick && options.wants("peers") {
        findings.append(peers::run(options, server).await);
        keep(&findings);
    }
    if !options.quick && options.wants("log-engines") {
        findings.append(log_engines::run(options, server).await);
        keep(&findings);
    }
    findings
}
