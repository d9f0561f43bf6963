//! Why a journal cannot be opened. What appends and reads answer is the trait's (`thalweg_journal`).

use thalweg_system::DiskError;
use thalweg_system::disk::DiskErrorKind;

/// Why [`crate::DiskJournal::open`] refused. Trying again helps only after [`OpenError::Disk`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict one another or the volume.
    #[error("the journal's settings do not fit together: {0}")]
    Settings(String),
    /// A call to the disk failed.
    #[error("the journal's disk: {0}")]
    Disk(#[from] DiskError),
    /// What the disk holds is not what was written. Nothing was changed; acknowledged records may be affected.
    #[error("{file} is damaged at byte {position}: {what}")]
    Corrupt {
        /// The damaged file, relative to the data directory.
        file: String,
        /// Where in it.
        position: u64,
        /// What does not fit.
        what: String,
    },
    /// A file that must be there is not.
    #[error("{file} is missing: {what}")]
    Missing {
        /// The file, relative to the data directory.
        file: String,
        /// How we know.
        what: String,
    },
    /// A later version wrote this.
    #[error("{file} has format version {found}; this program knows versions up to {known}")]
    Version {
        /// The file, relative to the data directory.
        file: String,
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
}

impl OpenError {
    /// Whether something that was written is not there any more, or cannot be read.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            OpenError::Corrupt { .. } | OpenError::Missing { .. } => true,
            OpenError::Disk(error) => error.kind == DiskErrorKind::Io,
            OpenError::Settings(_) | OpenError::Version { .. } => false,
        }
    }

    pub(crate) fn corrupt(file: &str, position: u64, what: impl Into<String>) -> Self {
        OpenError::Corrupt { file: file.to_owned(), position, what: what.into() }
    }
}
