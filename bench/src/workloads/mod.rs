//! What is asked of the server and of its floors, a file per chapter of the report.

use crate::figure::Findings;
use crate::options::Options;

/// Runs every chapter that was asked for, of the server at `thalweg` and of the floors.
pub(crate) async fn run(_options: &Options, _thalweg: &std::path::Path) -> Findings {
    Findings::default()
}
