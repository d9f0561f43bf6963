//! The loop that frees log files: when one is full it writes a snapshot of everything up to its end, makes the
//! file longer if that pays, and hands it back. Commits go on in the other file meanwhile.
//!
//! A snapshot that fails harms nothing: it is tried again, and until both files are full no one notices.

use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::Rows;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::{Clock, Disk};
use tokio::sync::{mpsc, watch};

use crate::Settings;
use crate::log_file::LogFile;
use crate::settings::SNAPSHOT_RETRY_SECONDS;
use crate::snapshot::{self, Point};

/// The file that is not being written to.
#[derive(Clone)]
pub(crate) enum Spare {
    /// Everything in it is in the snapshot.
    Free(LogFile),
    /// The keeper has it.
    Busy,
    /// The keeper has it, and cannot write the snapshot that would free it.
    Stuck(String),
    /// A write to it failed: nothing goes into it before the next start.
    Broken(String),
}

/// A full log file, and what must be durable elsewhere before it is overwritten.
pub(crate) struct Job {
    pub(crate) log: LogFile,
    /// The last batch in the log when this was made.
    pub(crate) point: Point,
    /// All rows at that point.
    pub(crate) rows: Rows,
}

pub(crate) struct Keeper {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) directory: String,
    pub(crate) lineage: u64,
    pub(crate) settings: Settings,
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) spare: watch::Sender<Spare>,
}

impl Keeper {
    /// Runs until the committer has gone.
    pub(crate) async fn run(mut self) {
        while let Some(mut job) = self.jobs.recv().await {
            let Some(snapshot_bytes) = self.write_snapshot(&job).await else { return };
            let wanted = self.length_after(job.log.length, snapshot_bytes);
            if let Err(error) = job.log.grow(wanted).await {
                tracing::warn!(%error, "a log file of the catalog cannot grow");
                if error.kind != DiskErrorKind::NoSpace {
                    self.spare.send_replace(Spare::Broken(format!("the log cannot grow: {error}")));
                    continue;
                }
                // It stays as it was: more snapshots, nothing worse.
            }
            self.spare.send_replace(Spare::Free(job.log));
        }
    }

    /// Writes the snapshot, however often it takes; answers its length, or nothing when the committer went.
    async fn write_snapshot(&mut self, job: &Job) -> Option<u64> {
        let mut has_failed = false;
        loop {
            let written =
                snapshot::write(&*self.disk, &self.directory, self.lineage, job.point, &job.rows).await;
            match written {
                Ok(bytes) => {
                    if has_failed {
                        tracing::info!("the catalog's snapshot is written after all");
                    }
                    return Some(bytes);
                }
                Err(error) => {
                    if !has_failed {
                        tracing::warn!(%error, "the catalog's snapshot cannot be written; trying again");
                    }
                    has_failed = true;
                    self.spare.send_replace(Spare::Stuck(error.to_string()));
                }
            }
            tokio::select! {
                // Unbiased, it would draw lots that no seed repeats.
                biased;
                () = self.clock.sleep(Duration::from_secs(SNAPSHOT_RETRY_SECONDS)) => {}
                another = self.jobs.recv() => {
                    assert!(another.is_none(), "the next job comes when a file is free");
                    return None;
                }
            }
        }
    }

    /// How long a log file should be from now on, in bytes.
    fn length_after(&self, length: u64, snapshot_bytes: u64) -> u64 {
        let doubled = (2 * length).min(self.settings.log_bytes_doubled_max);
        let following = (4 * snapshot_bytes).min(self.settings.log_bytes_max);
        length.max(doubled).max(following)
    }
}
