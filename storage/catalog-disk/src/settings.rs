//! Sizes and bounds, with their reasons.

/// Sizes of a catalog on disk. The defaults suit production; tests make them small, so that logs fill up soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether an empty catalog is made where there is none. `false` where other things say that there was one.
    pub may_create: bool,
    /// The length of each of the two log files at first, in bytes. Small: a first start writes both.
    pub log_bytes_initial: u64,
    /// Each time a log file is used anew its length doubles, up to this, in bytes: a busy catalog writes a
    /// snapshot less often.
    pub log_bytes_doubled_max: u64,
    /// Log files grow to four times the snapshot's length, up to this, in bytes: so snapshots cost at most a
    /// quarter of the writing, and a start reads at most twice this. A single commit that is larger still gets
    /// its room.
    pub log_bytes_max: u64,
    /// A batch takes no more commits beyond this, in bytes. One commit is never cut.
    pub batch_bytes_max: usize,
    /// Commits that wait for the committer; those beyond wait with their callers.
    pub queue_commits_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            may_create: true,
            log_bytes_initial: 256 << 10,
            log_bytes_doubled_max: 16 << 20,
            log_bytes_max: 64 << 20,
            batch_bytes_max: 8 << 20,
            queue_commits_max: 4096,
        }
    }
}

impl Settings {
    /// For tests: logs that fill up soon.
    pub fn small() -> Self {
        Settings {
            log_bytes_initial: 16 << 10,
            log_bytes_doubled_max: 32 << 10,
            log_bytes_max: 64 << 10,
            ..Settings::default()
        }
    }
}

/// The largest commit, in encoded bytes. Far above what services make (30,000 rows of 300 bytes are 9 MB); the
/// format could carry 4 GiB.
pub(crate) const COMMIT_BYTES_MAX: usize = 64 << 20;

/// What waits for the committer may hold this many encoded bytes; commits beyond wait with their callers. A large
/// commit fits twice.
pub(crate) const QUEUE_BYTES_MAX: usize = 2 * COMMIT_BYTES_MAX;

/// The part of a log file that only epochs and confirmations may use, so that a catalog whose disk is full can
/// still be opened: an eighth.
pub(crate) const RESERVE_PART: u64 = 8;

/// What is written at once while a log file grows, in bytes.
pub(crate) const GROWTH_STEP: u64 = 1 << 20;

/// How much of a snapshot is checked and written at once, in bytes; a row is never cut.
pub(crate) const FRAME_BYTES: usize = 256 << 10;

/// How long to wait before a snapshot that failed is tried again, in seconds. Commits are refused meanwhile only
/// when both log files are full.
pub(crate) const SNAPSHOT_RETRY_SECONDS: u64 = 1;
