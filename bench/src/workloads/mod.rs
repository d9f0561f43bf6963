//! What is asked of the server and of its floors, a file per chapter of the report.
//!
//! Every run has a server of its own on an empty folder, so that no run drains what another one wrote; runs of the
//! server and of its floors alternate, so that what disturbs the machine disturbs all of them.

mod catch_up;
mod delay;
mod fan_out;
mod get;
mod growth;
mod listen;
mod memory;
mod mixed;
mod poll;
mod put;
mod put_record;
mod sha256;
mod shards;
mod subject;
mod syscalls;

use std::path::Path;

use crate::figure::Findings;
use crate::options::Options;
pub(crate) use crate::workloads::delay::{ONE_WRITE, WRITE_AFTER_WRITE};
use crate::workloads::subject::Bench;

/// Runs every chapter that was asked for, of the server at `thalweg` and of the floors.
pub(crate) async fn run(options: &Options, thalweg: &Path) -> Findings {
    let bench = Bench::new(options, thalweg);
    let mut findings = Findings::default();
    let figures = &mut findings.figures;
    if options.wants("put") {
        figures.extend(put::run(&bench).await);
    }
    if options.wants("put-record") {
        figures.extend(put_record::run(&bench).await);
    }
    if options.wants("shards") {
        figures.extend(shards::run(&bench).await);
    }
    if options.wants("get") {
        figures.extend(get::run(&bench).await);
    }
    if options.wants("catch-up") {
        figures.extend(catch_up::run(&bench).await);
    }
    if options.wants("fan-out") {
        figures.extend(fan_out::run(&bench).await);
    }
    if options.quick {
        return findings;
    }
    if options.wants("delay") {
        figures.extend(delay::run(&bench).await);
    }
    if options.wants("mixed") {
        figures.extend(mixed::run(&bench).await);
    }
    if options.wants("memory") {
        figures.extend(memory::run(&bench).await);
    }
    findings.append(growth::run(&bench).await);
    findings
}
