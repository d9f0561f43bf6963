//! The catalog on disk: all rows in memory, a log with group commit, and snapshots.
//!
//! ```text
//!            commit           one durable write            rows and watch
//!  callers ---------> queue ------------------> log-a  --------------------> readers, answers
//!                           committer             |  full: go on in log-b
//!                                                 v
//!                                    keeper: snapshot of everything up to its end, then log-a is free again
//! ```
//!
//! Made for some ten thousand rows of a few hundred bytes and thousands of commits a second. Reads never touch
//! the disk. An idle catalog does nothing at all. While a full log file is handed over, commits wait for a copy of
//! the order of all rows (a millisecond per ten thousand).
//!
//! Not here: what the rows mean.

mod batch;
mod committer;
mod error;
mod keeper;
mod log_file;
mod recovery;
mod settings;
mod snapshot;
mod writer;

use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thalweg_catalog::rows::check_written_once;
use thalweg_catalog::{Catalog, CatalogError, CommitError, Condition, Row, Rows, Version, Write};
use thalweg_system::{BoxFuture, Clock, Disk, Random, Spawn, TaskHandle};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::batch::{BatchKind, commit_bytes};
use crate::committer::{Committer, Request};
use crate::keeper::{Keeper, Spare};
use crate::settings::{COMMIT_BYTES_MAX, QUEUE_BYTES_MAX};
use crate::writer::Writer;

pub use error::OpenError;
pub use recovery::check;
pub use settings::Settings;

/// The version of everything that this crate writes. Version 1 is read for ever.
pub const FORMAT_VERSION: u32 = 1;

/// A catalog in a directory of the disk.
pub struct DiskCatalog {
    shared: Arc<Shared>,
    /// Gone after shutdown.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    /// How many encoded bytes may still be queued.
    queue_room: Arc<Semaphore>,
    /// The loops, until someone has waited for their end.
    tasks: tokio::sync::Mutex<Vec<TaskHandle>>,
}

/// What readers, the committer and the handle share.
struct Shared {
    /// Only what is durable.
    rows: RwLock<Rows>,
    version: watch::Sender<Version>,
    /// Why no more commits are taken.
    stopped: OnceLock<String>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().expect("no one panics while holding the rows")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().expect("no one panics while holding the rows")
    }
}

impl DiskCatalog {
    /// Opens the catalog in `directory`, or makes an empty one there, and starts its two loops by `spawn`. What
    /// it answers with is durable, an epoch of its own included: nothing that readers see can be lost to a crash.
    ///
    /// Calls the disk: with one that blocks, not from a network thread.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(
        disk: Arc<dyn Disk>,
        spawn: &dyn Spawn,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        directory: &str,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let found = recovery::recover(&*disk, random, directory, &settings).await?;
        let shared = Arc::new(Shared {
            version: watch::Sender::new(found.tail.version),
            rows: RwLock::new(found.rows),
            stopped: OnceLock::new(),
        });
        let (requests, requests_end) = mpsc::channel(settings.queue_commits_max);
        let (jobs, jobs_end) = mpsc::channel(1);
        let spare = if found.spare_is_free { Spare::Free(found.spare.clone()) } else { Spare::Busy };
        let spare = watch::Sender::new(spare);
        let mut committer = Committer {
            shared: Arc::clone(&shared),
            settings,
            writer: Writer {
                lineage: found.lineage,
                epoch: found.epoch + 1,
                generation: found.generation,
                active: found.active,
                position: found.position,
                tail: found.tail,
            },
            requests: requests_end,
            jobs,
            spare: spare.clone(),
            is_confirmed: true,
        };
        if !committer.writer.has_room_for_empty() {
            if found.spare_is_free {
                committer.switch_to(found.spare.clone());
            } else {
                let wanted = 2 * committer.writer.active.length;
                committer.writer.active.grow(wanted).await?;
            }
        }
        committer.writer.append_empty(BatchKind::Epoch).await?;
        if !found.spare_is_free {
            committer.ask_for_snapshot(found.spare);
        }
        let keeper = Keeper {
            disk,
            clock,
            directory: directory.to_owned(),
            lineage: found.lineage,
            settings,
            jobs: jobs_end,
            spare,
        };
        let tasks = vec![
            spawn.spawn("catalog-commit", Box::pin(committer.run())),
            spawn.spawn("catalog-keep", Box::pin(keeper.run())),
        ];
        Ok(DiskCatalog {
            shared,
            requests: Mutex::new(Some(requests)),
            queue_room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            tasks: tokio::sync::Mutex::new(tasks),
        })
    }

    fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.requests.lock().expect("no one panics while holding the queue's end").clone()
    }

    async fn commit_now(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> Result<Version, CommitError> {
        let not_applied = |reason: &str| Err(CommitError::NotApplied(reason.to_owned()));
        check_written_once(&writes)?;
        let bytes = commit_bytes(&writes);
        if bytes > COMMIT_BYTES_MAX {
            let reason = format!("a commit of {bytes} bytes is above the limit of {COMMIT_BYTES_MAX}");
            return not_applied(&reason);
        }
        let wanted = u32::try_from(bytes).expect("commits are bounded");
        let room = Arc::clone(&self.queue_room).acquire_many_owned(wanted).await;
        let room = room.expect("no one closes it");
        let (answer, outcome) = oneshot::channel();
        let Some(sender) = self.sender() else { return not_applied("the catalog is shut down") };
        if sender.send(Request { conditions, writes, bytes, _room: room, answer }).await.is_err() {
            return not_applied("the catalog has gone");
        }
        // The committer ends when no one can ask: waiting for an answer is not asking.
        drop(sender);
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => Err(CommitError::OutcomeUnknown("the committer went without an answer".to_owned())),
        }
    }
}

impl Catalog for DiskCatalog {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Row>, CatalogError>> {
        Box::pin(async move { Ok(self.shared.read().get(key)) })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, CatalogError>> {
        Box::pin(async move { Ok(self.shared.read().scan(prefix, after, limit)) })
    }

    fn commit(
        &self,
        conditions: Vec<Condition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, Result<Version, CommitError>> {
        Box::pin(self.commit_now(conditions, writes))
    }

    fn watch(&self) -> watch::Receiver<Version> {
        self.shared.version.subscribe()
    }

    fn stopped(&self) -> Option<&str> {
        self.shared.stopped.get().map(String::as_str)
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            drop(self.requests.lock().expect("no one panics while holding the queue's end").take());
            // Held while waiting, so that whoever comes second waits too.
            let mut tasks = self.tasks.lock().await;
            for task in tasks.drain(..) {
                task.0.await;
            }
        })
    }
}
