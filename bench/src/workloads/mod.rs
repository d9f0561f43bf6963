//! What is asked of the server and of its floors, a file per chapter of the report.
//!
//! Every run has a server of its own on an empty folder, so that no run drains what another one wrote; runs of the
//! server and of its floors alternate, so that what disturbs the machine disturbs all of them.

mod get;
mod put;
mod put_record;
mod sha256;
mod subject;

use std::path::Path;

use crate::figure::Findings;
use crate::options::Options;
use crate::workloads::subject::Bench;

/// Runs every chapter that was asked for, of the server at `thalweg` and of the floors.
pub(crate) async fn run(options: &Options, thalweg: &Path) -> Findings {
    let bench = Bench::new(options, thalweg);
    let mut findings = Findings::default();
    if options.wants("put") {
        findings.figures.extend(put::run(&bench).await);
    }
    if options.wants("put-record") {
        findings.figures.extend(put_record::run(&bench).await);
    }
    if options.wants("get") {
        findings.figures.extend(get::run(&bench).await);
    }
    findings
}
