//! Why a catalog could not be opened.

use thalweg_system::DiskError;

/// Why a catalog could not be opened. Nothing was changed that a later try would need. A `Disk` error may pass
/// with its cause; the others stay until someone acts on the files that they name.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A call to the disk failed.
    #[error("the catalog cannot be opened")]
    Disk(#[from] DiskError),
    /// Bytes that were durable are not what was written.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The file, relative to the data directory.
        path: String,
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A file is not there, and others show that it was.
    #[error("{path} is missing: {why}")]
    Missing {
        /// The file.
        path: String,
        /// What shows that it was there.
        why: &'static str,
    },
    /// The files of the catalog do not belong together.
    #[error("{path} comes from another data directory than {other}")]
    Foreign {
        /// The file.
        path: String,
        /// The file that it does not belong to.
        other: String,
    },
    /// A newer program wrote it.
    #[error("{path} has format version {version}; this program reads version {supported}", supported = crate::FORMAT_VERSION)]
    Version {
        /// The file.
        path: String,
        /// Its version.
        version: u32,
    },
}
