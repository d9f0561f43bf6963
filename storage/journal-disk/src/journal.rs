//! The trait's face of the engine: what callers ask, handed to the loop that owns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, NotAppliedReason, Read, ReadAnswer, ReadError,
    Tail, TailWatch,
};
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{Clock, Disk, Random, Spawn, TaskHandle};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::{Notify, oneshot, watch};

use crate::batch_memory::BatchMemory;
use crate::buffer_pool::BufferPool;
use crate::committer::{Committer, Place};
use crate::engine::{Engine, Phase};
use crate::error::OpenError;
use crate::maintenance::Maintenance;
use crate::merge::MergeDesk;
use crate::queue::{Queue, Reply, Request};
use crate::reader::{self, LoadError, Readers};
use crate::recovery::{self, Rebuilt, Recovered};
use crate::retention::Retention;
use crate::ring::Ring;
use crate::segment::SegmentName;
use crate::settings::Settings;
use crate::shards::{ChunksFound, Found, Shard, ShardTable, TimeFound, cut};
use crate::status::Status;
use crate::tail_cache::TailCache;
use crate::{grow, merge, scrub};

/// The embedded journal: a write-ahead ring, segments, and everything read back after a crash.
pub struct DiskJournal {
    engine: Arc<Engine>,
    loops: tokio::sync::Mutex<Option<Loops>>,
}

/// What must end before the journal has.
struct Loops {
    committer: TaskHandle,
    maintenance: TaskHandle,
    others: Vec<TaskHandle>,
}

/// What the engine holds, for metrics and for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes that wait in the queue.
    pub queued_bytes: usize,
    /// Bytes of batches in memory.
    pub cached_bytes: usize,
    /// Bytes of batches that are in the ring and in no segment.
    pub undrained_bytes: usize,
    /// Bytes of chunks in memory that were read from disk.
    pub read_cache_bytes: usize,
    /// Slots of the ring.
    pub slots: u32,
    /// Slots that may be written next.
    pub slots_free: u32,
    /// Bytes of the ring.
    pub ring_bytes: u64,
    /// How often the log went on in another slot since the start.
    pub slots_entered: u64,
    /// Of these, how often in one before the last one's place.
    pub ring_wraps: u64,
    /// Segments that were begun since the start because the one before was full or old.
    pub segments_rolled: u64,
    /// Segments that were removed since the start because all in them was too old.
    pub segments_expired: u64,
    /// Shards that were forgotten since the start.
    pub shards_forgotten: u64,
    /// The wall clock jumped ahead: nothing expires until [`DiskJournal::confirm_clock`] or until it ran on evenly.
    pub expiry_paused: bool,
    /// Stored chunks that were re-read since the start.
    pub chunks_scrubbed: u64,
    /// Of these, how many were damaged; each is in the log with its file and place.
    pub chunks_damaged: u64,
}

impl DiskJournal {
    /// Opens the journal of a data directory, or makes one. When this returns, everything that was ever answered
    /// can be read, and writes are taken.
    ///
    /// # Errors
    /// What [`OpenError`] says; nothing acknowledged is dropped silently.
    pub async fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        random: Arc<dyn Random>,
        settings: Settings,
    ) -> Result<DiskJournal, OpenError> {
        settings.check()?;
        let recovered = recovery::recover(&*disk, &*clock, &*random, &settings).await?;
        let Recovered { journal, superblocks, manifest, slots, head, batches, rebuilt } = recovered;
        let Rebuilt { shards, tombstones, forgotten_before } = rebuilt;
        let (epoch, remembered) = (superblocks.current().epoch, superblocks.current().wall);
        let current = (head.generation > 0).then_some(head.slot);
        let slot = current.map(|index| Arc::clone(&slots[index as usize].0));
        let mut places = FxHashMap::default();
        let table = ShardTable::default();
        for shard in shards {
            places.insert(shard.key, place(&shard));
            table.insert(shard);
        }
        let buffers = BufferPool::new(settings.buffer_pool_bytes_max);
        let readers = Readers::new(&settings, Arc::clone(&buffers));
        let (merge, candidates) = MergeDesk::new();
        let engine = Arc::new(Engine {
            queue: Queue::new(settings.queue_bytes_max, settings.queue_count_max),
            shards: table,
            cache: TailCache::new(batches, manifest.through.position, head),
            ring: Ring::new(slots, current),
            batch_memory: BatchMemory::new(settings.batch_region_bytes, settings.batch_memory_bytes_max),
            buffers,
            status: Status::default(),
            superblocks: tokio::sync::Mutex::new(superblocks),
            drain_wanted: Notify::new(),
            slot_wanted: Notify::new(),
            phase: watch::Sender::new(Phase::Running),
            to_tidy: std::sync::Mutex::default(),
            tombstones: std::sync::Mutex::new(tombstones.into_iter().collect()),
            retention: Retention::default(),
            clock_confirmed: AtomicBool::new(false),
            // Set before anybody can ask.
            clock_lead: AtomicI64::new(0),
            hide_through: AtomicI64::new(0),
            readers,
            merge,
            chunks_scrubbed: AtomicU64::new(0),
            chunks_damaged: AtomicU64::new(0),
            segments_rolled: AtomicU64::new(0),
            segments_expired: AtomicU64::new(0),
            shards_forgotten: AtomicU64::new(0),
            journal,
            settings,
            disk,
            clock,
        });
        let mut maintenance = Maintenance::new(Arc::clone(&engine), manifest, remembered);
        let mut committer = Committer::new(Arc::clone(&engine), epoch, head, slot, places, forgotten_before);
        if !committer.has_room() {
            // The crash came when the ring was full. What it holds was synced, so that it may be drained.
            maintenance.make_room().await?;
        }
        committer.begin_epoch().await?;
        let run = |name: &str, task| spawn.spawn(name, task);
        let mut others = vec![
            run("journal-grow", Box::pin(grow::run(Arc::clone(&engine)))),
            run("journal-scrub", Box::pin(scrub::run(Arc::clone(&engine)))),
            run("journal-merge", Box::pin(merge::run(Arc::clone(&engine), candidates))),
        ];
        for number in 0..engine.settings.readers {
            others.push(run(&format!("journal-read-{number}"), Box::pin(reader::run(Arc::clone(&engine)))));
        }
        let loops = Loops {
            committer: run("journal-commit", Box::pin(committer.run())),
            maintenance: run("journal-drain", Box::pin(maintenance.run())),
            others,
        };
        // What recovery found may already be enough to drain.
        engine.drain_wanted.notify_one();
        Ok(DiskJournal { engine, loops: tokio::sync::Mutex::new(Some(loops)) })
    }

    /// What the engine holds now.
    pub fn figures(&self) -> Figures {
        let ring = self.engine.ring.figures();
        Figures {
            queued_bytes: self.engine.queue.bytes(),
            cached_bytes: self.engine.cache.bytes(),
            undrained_bytes: self.engine.cache.undrained_bytes(),
            read_cache_bytes: self.engine.readers.cached_bytes(),
            slots: ring.slots,
            slots_free: ring.free,
            ring_bytes: ring.bytes,
            slots_entered: ring.entered,
            ring_wraps: ring.wraps,
            segments_rolled: self.engine.segments_rolled.load(Ordering::Relaxed),
            segments_expired: self.engine.segments_expired.load(Ordering::Relaxed),
            shards_forgotten: self.engine.shards_forgotten.load(Ordering::Relaxed),
            expiry_paused: self.engine.doubts_clock(),
            chunks_scrubbed: self.engine.chunks_scrubbed.load(Ordering::Relaxed),
            chunks_damaged: self.engine.chunks_damaged.load(Ordering::Relaxed),
        }
    }

    /// Says that the wall clock is right, after it jumped ahead and stopped expiry; the next chores take it.
    pub fn confirm_clock(&self) {
        self.engine.clock_confirmed.store(true, Ordering::Relaxed);
    }

    fn shard(&self, key: ShardKey) -> Result<Arc<Shard>, ReadError> {
        self.engine.shards.get(key).ok_or(ReadError::UnknownShard(key))
    }

    /// Queues a request that is not an append, and waits for its answer.
    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T, AppendError> {
        let (reply, answer) = oneshot::channel();
        if let Err((_, reason)) = self.engine.queue.push(make(reply)) {
            return Err(AppendError::NotApplied(reason));
        }
        answer.await.unwrap_or_else(|_| {
            Err(AppendError::OutcomeUnknown("the journal stopped before it answered".to_owned()))
        })
    }

    /// Why an append is not even queued.
    fn refusal(&self, request_bytes: usize) -> Option<NotAppliedReason> {
        let engine = &self.engine;
        if let Some(reason) = engine.status.brake() {
            return Some(NotAppliedReason::Throttled(reason));
        }
        let undrained = engine.cache.undrained_bytes();
        if undrained > engine.settings.undrained_bytes_max {
            return Some(NotAppliedReason::Throttled(format!("{undrained} bytes wait to be drained")));
        }
        if request_bytes > engine.settings.request_bytes_max {
            let most = engine.settings.request_bytes_max;
            return Some(NotAppliedReason::Throttled(format!(
                "a request of {request_bytes} bytes is larger than the journal's bound of {most}"
            )));
        }
        None
    }

    async fn read_chunks(
        &self,
        shard: &Shard,
        read: Read,
        found: ChunksFound,
    ) -> Result<ReadAnswer, LoadError> {
        let loaded = self.engine.readers.load(found.before.as_ref(), found.chunks, found.ahead).await?;
        // Records that were lost to damage are passed over.
        let lost = loaded.iter().take_while(|chunk| chunk.runs().is_empty());
        let from = lost.last().map_or(found.from, |chunk| chunk.end());
        let mut views = Vec::new();
        for chunk in &loaded {
            let wanted = chunk.runs().iter().filter(|run| run.first + u64::from(run.count) > from);
            views.extend(wanted.map(|run| chunk.view(run)));
        }
        // The shard may have moved on (or gone) while the disk was read.
        let tail = shard.state().tail;
        if tail.deleted {
            return Err(LoadError::Failed(ReadError::UnknownShard(shard.key)));
        }
        let from = from.max(tail.trimmed);
        views.retain(|view| view.end() > from);
        Ok(cut(views, from, &read, tail))
    }

    async fn read_shard(&self, read: Read) -> Result<ReadAnswer, ReadError> {
        let shard = self.shard(read.shard)?;
        let mut gone = None;
        loop {
            let found = {
                let state = shard.state();
                if state.tail.deleted {
                    return Err(ReadError::UnknownShard(read.shard));
                }
                state.find(&read)
            };
            let chunks = match found {
                Found::Answer(answer) => return Ok(answer),
                Found::Chunks(chunks) => chunks,
            };
            match self.read_chunks(&shard, read, chunks).await {
                Ok(answer) => return Ok(answer),
                Err(LoadError::Failed(error)) => return Err(error),
                Err(LoadError::Gone(segment)) => look_again(&mut gone, segment)?,
            }
        }
    }

    async fn find_time_in_shard(&self, key: ShardKey, at: Timestamp) -> Result<Offset, ReadError> {
        let shard = self.shard(key)?;
        let mut gone = None;
        loop {
            let found = shard.state().find_time(at);
            let chunk = match found {
                TimeFound::At(offset) => return Ok(offset),
                TimeFound::In(chunk) => chunk,
            };
            match self.engine.readers.load(None, vec![chunk.clone()], Vec::new()).await {
                Ok(loaded) => {
                    let run = loaded[0].runs().iter().find(|run| run.arrival >= at);
                    let first = run.map_or(chunk.row.end(), |run| run.first);
                    return Ok(first.max(shard.state().tail.trimmed));
                }
                Err(LoadError::Failed(error)) => return Err(error),
                Err(LoadError::Gone(segment)) => look_again(&mut gone, segment)?,
            }
        }
    }

    async fn end(&self) {
        let mut loops = self.loops.lock().await;
        self.engine.enter(Phase::Closing);
        self.engine.queue.close("the journal was shut down");
        // A second caller waits for the first and finds nothing left to do.
        let Some(loops) = loops.take() else { return };
        loops.committer.0.await;
        self.engine.enter(Phase::Committed);
        loops.maintenance.0.await;
        self.engine.status.stop_writes("the journal was shut down");
        self.engine.enter(Phase::Ended);
        for task in loops.others {
            task.0.await;
        }
    }
}

impl Drop for DiskJournal {
    /// Without [`Journal::shutdown`] this is the end that a crash makes, as far as the disk can tell.
    fn drop(&mut self) {
        self.engine.enter(Phase::Ended);
        self.engine.queue.close("the journal was dropped");
    }
}

/// A segment was not there. It may have been replaced or removed after it was looked up; the second time it is the
/// same one, somebody else took it away. (Each replacement has a name of its own, so that this comes to an end.)
fn look_again(gone: &mut Option<SegmentName>, segment: SegmentName) -> Result<(), ReadError> {
    if gone.replace(segment) == Some(segment) {
        let what = "the file is missing".to_owned();
        return Err(ReadError::Corrupt { file: segment.data_path(), position: 0, what });
    }
    Ok(())
}

/// Where a recovered shard goes on.
fn place(shard: &Arc<Shard>) -> Place {
    let mut tail = shard.state().tail;
    if is_planted(Bug::NumberReused) {
        tail.next = tail.next.saturating_sub(1);
    }
    Place { shard: Arc::clone(shard), next: tail.next, last_arrival: tail.last_arrival, sealed: tail.sealed }
}

impl Journal for DiskJournal {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            for part in shards.chunks(self.engine.settings.entries_per_request_max()) {
                self.ask(|reply| Request::Open { stream, shards: part.to_vec(), reply }).await?;
            }
            Ok(())
        })
    }

    /// # Panics
    /// When the runs do not describe the bytes: recovery and readers rely on it.
    fn append(&self, append: Append) -> Commit {
        let described: usize = append.runs.iter().map(|run| run.length as usize).sum();
        assert_eq!(described, append.bytes.len(), "the runs fill the append's bytes");
        assert!(append.runs.iter().all(|run| run.count > 0 && run.length > 0), "a run has a record");
        if cfg!(debug_assertions) {
            check_runs(&append);
        }
        let (reply, commit) = Commit::channel();
        let request = Request::Append { append, reply };
        let refused = match self.refusal(request.cost()) {
            Some(reason) => Some((request, reason)),
            None => self.engine.queue.push(request).err(),
        };
        if let Some((request, reason)) = refused {
            request.refuse(AppendError::NotApplied(reason));
        }
        commit
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            let most = self.engine.settings.entries_per_request_max();
            if shards.len() > most {
                // All are sealed or none, so that the request cannot be split.
                let reason = format!("{} shards are more than the {most} that one seal takes", shards.len());
                return Err(AppendError::NotApplied(NotAppliedReason::Throttled(reason)));
            }
            self.ask(|reply| Request::Seal { shards, reply }).await
        })
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            for part in shards.chunks(self.engine.settings.entries_per_request_max()) {
                self.ask(|reply| Request::Trim { shards: part.to_vec(), reply }).await?;
            }
            Ok(())
        })
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            for part in shards.chunks(self.engine.settings.entries_per_request_max()) {
                self.ask(|reply| Request::Forget { shards: part.to_vec(), reply }).await?;
            }
            Ok(())
        })
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(self.ask(move |reply| Request::Delete { stream, reply }))
    }

    fn set_retention(&self, stream: StreamId, retention: Duration) {
        // A clock in doubt may be put right again: what it would hide meanwhile is not gone.
        let now = self.engine.expiry_time(self.engine.believed_wall());
        self.engine.retention.set(stream, retention, now);
    }

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        Ok(self.shard(shard)?.state().tail)
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        Ok(self.shard(shard)?.state().subscribe())
    }

    fn read(&self, read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        Box::pin(self.read_shard(read))
    }

    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool {
        self.shard(shard).is_ok_and(|shard| shard.state().in_memory_from() <= from)
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        Box::pin(self.find_time_in_shard(shard, at))
    }

    fn identity(&self) -> u64 {
        self.engine.journal
    }

    fn shards(&self) -> Vec<(ShardKey, Tail)> {
        self.engine.shards.all().iter().map(|shard| (shard.key, shard.state().tail)).collect()
    }

    fn doubts_clock(&self) -> bool {
        self.engine.doubts_clock()
    }

    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        self.engine.expiry_time(wall)
    }

    fn health(&self) -> Health {
        let health = self.engine.status.health();
        let undrained = self.engine.cache.undrained_bytes();
        if health == Health::Ready && undrained > self.engine.settings.undrained_bytes_max {
            return Health::Throttled(format!("{undrained} bytes wait to be drained"));
        }
        health
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.end())
    }
}

/// Whether the runs are what they say. Too dear for production: it reads every byte once more.
fn check_runs(append: &Append) {
    let mut start = 0;
    for run in &append.runs {
        let bytes = &append.bytes[start..start + run.length as usize];
        assert_eq!(thalweg_journal::checksum(bytes), run.checksum, "a run has its own bytes' checksum");
        let count = thalweg_journal::record::Records::new(bytes)
            .inspect(|record| assert!(record.is_ok(), "whoever appends encodes well"))
            .count();
        assert_eq!(count, run.count as usize, "a run has as many records as it says");
        start += run.length as usize;
    }
}
