//! The maintenance loop: the one owner of the manifest. It drains when the ring asks for it, writes checkpoints,
//! frees slots, and looks after what time brings: expiry, free space, idle memory.
//!
//! What a change of the manifest always does, in this order: files are made durable; the checkpoint; both
//! superblocks; then readers see it, slots are freed, and files that are no longer named are removed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashSet;
use thalweg_journal::NotAppliedReason;
use thalweg_system::DiskError;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::planted::{Bug, is_planted};
use thalweg_types::{ShardKey, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::batch::LogPoint;
use crate::checkpoint;
use crate::drain::{self, Touched};
use crate::engine::{Engine, Phase};
use crate::grow;
use crate::manifest::{Manifest, SegmentRow, shards_of};
use crate::merge::{self, Candidate, Merged};
use crate::pace::{ENTRIES_PER_LOOK, Pace};
use crate::queue::Request;
use crate::retention::ExpiryClock;
use crate::segment::SegmentName;
use crate::shards::TimeFound;
use crate::status::Brake;
use crate::superblock::Superblock;

/// Where there is little room a round is at least so small a part of what it may be.
const DRAIN_PARTS_MAX: usize = 64;

/// How a try to drain ended.
enum Tried {
    /// Whether there was something to drain.
    Drained(bool),
    /// Nothing was done: not all of it had room.
    NoRoom(DiskError),
}

impl Tried {
    fn has_drained(&self) -> bool {
        matches!(self, Tried::Drained(true))
    }
}

/// What there is too little of.
fn lack(error: &DiskError) -> String {
    match error.kind {
        DiskErrorKind::TooManyOpen => format!("too many files are open: {error}"),
        _ => format!("the volume is full: {error}"),
    }
}

pub(crate) struct Maintenance {
    engine: Arc<Engine>,
    manifest: Manifest,
    expiry: ExpiryClock,
    /// When the chores were last done, in monotonic time.
    chores_at: Option<Duration>,
    /// The log's end when it last moved, and when that was seen.
    last_seen: (LogPoint, Duration),
    /// Segments that were offered to the merge in this run, whatever came of it, as long as the manifest names them.
    offered: BTreeSet<SegmentName>,
    /// How much a round drains at most: less than the settings say after a round that a full volume had no room for.
    round_bytes_max: usize,
    /// What the last round has written, if it failed and could not be cut back.
    touched: Touched,
}

impl Maintenance {
    /// `remembered`: the superblocks' wall time.
    pub(crate) fn new(engine: Arc<Engine>, manifest: Manifest, remembered: Timestamp) -> Self {
        let monotonic = engine.clock.monotonic();
        let settings = &engine.settings;
        let expiry =
            ExpiryClock::new(remembered, monotonic, settings.clock_jump_max, settings.clock_confirm_after);
        engine.clock_lead.store(expiry.believed_lead(), Ordering::Relaxed);
        let last_seen = (manifest.through, monotonic);
        let offered = BTreeSet::new();
        let round_bytes_max = settings.drain_bytes_max;
        let (chores_at, touched) = (None, Touched::default());
        let maintenance =
            Maintenance { engine, manifest, expiry, chores_at, last_seen, offered, round_bytes_max, touched };
        maintenance.note_remembered(remembered);
        maintenance
    }

    /// The next start will go on from this wall time: what this run hides must be too old then, too.
    fn note_remembered(&self, wall: Timestamp) {
        let hide_through = wall.plus(self.engine.settings.clock_jump_max);
        self.engine.hide_through.store(hide_through.as_millis(), Ordering::Relaxed);
    }

    /// Runs until the journal ends; after a clean end, drains once more and marks the journal clean.
    pub(crate) async fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        loop {
            tokio::select! {
                biased;
                () = engine.reached(Phase::Committed) => break,
                () = engine.drain_wanted.notified() => {}
                () = engine.clock.sleep(engine.settings.chores_interval) => {}
            }
            // After a failed write nothing may count on the disk: what is in memory stays readable, and the next
            // start finds out.
            if engine.status.stopped().is_some() {
                continue;
            }
            let result = self.look().await;
            self.report(result);
        }
        if !engine.has_ended() && engine.status.stopped().is_none() {
            let result = self.end().await;
            self.report(result);
        }
    }

    fn report(&self, result: Result<(), DiskError>) {
        let Err(error) = result else { return };
        let reason = format!("maintenance failed: {error}");
        tracing::error!(reason, "the journal takes no more writes until restart; reads go on");
        self.engine.status.stop_writes(&reason);
        self.engine.queue.close(&reason);
    }

    async fn look(&mut self) -> Result<(), DiskError> {
        loop {
            // Between two rounds, too: under a load that never lets up, space must still be watched.
            let now = self.engine.clock.monotonic();
            let interval = self.engine.settings.chores_interval;
            if self.chores_at.is_none_or(|last| now.saturating_sub(last) >= interval) {
                self.chores_at = Some(now);
                self.chores().await?;
            }
            let engine = Arc::clone(&self.engine);
            if !self.should_drain() || !self.drain_at(&Pace::appends(&engine)).await?.has_drained() {
                return Ok(());
            }
        }
    }

    /// At a start that finds the ring full: drains until a slot is free. Where the crash came before the second
    /// slot was there, makes it.
    pub(crate) async fn make_room(&mut self) -> Result<(), DiskError> {
        while self.engine.ring.figures().free == 0 {
            match self.drain_at(&Pace::Unpaced).await? {
                Tried::Drained(true) => {}
                Tried::Drained(false) => {
                    grow::grow(&self.engine, self.engine.settings.slot_bytes_first).await?
                }
                Tried::NoRoom(error) => {
                    let (path, reason) = (crate::slot::DIRECTORY.to_owned(), lack(&error));
                    return Err(DiskError { kind: error.kind, call: "make room in", path, reason });
                }
            }
        }
        Ok(())
    }

    fn should_drain(&self) -> bool {
        let enough = self.engine.cache.undrained_bytes() >= self.engine.settings.drain_start_bytes;
        enough || self.engine.ring.figures().free == 0
    }

    /// One round of draining that someone waits for. False when there was nothing to drain, or no room to drain it to.
    pub(crate) async fn drain_once(&mut self) -> Result<bool, DiskError> {
        Ok(self.drain_at(&Pace::Unpaced).await?.has_drained())
    }

    /// One round of draining at this pace: a smaller one where there is no room for a large one. Puts are throttled when
    /// there is none for the smallest; or for any while the ring has no slot left, which must not fill up: a start that
    /// finds it full needs room on the volume.
    async fn drain_at(&mut self, pace: &Pace<'_>) -> Result<Tried, DiskError> {
        let most = self.engine.settings.drain_bytes_max;
        loop {
            match self.try_to_drain(pace).await? {
                Tried::Drained(drained) => {
                    self.round_bytes_max = self.round_bytes_max.saturating_mul(2).min(most);
                    return Ok(Tried::Drained(drained));
                }
                Tried::NoRoom(error) => {
                    let is_smallest = self.round_bytes_max <= most / DRAIN_PARTS_MAX;
                    if is_smallest || self.engine.ring.figures().free == 0 {
                        self.engine.status.set_brake(Brake::Drain, Some(lack(&error)));
                    }
                    if is_smallest {
                        return Ok(Tried::NoRoom(error));
                    }
                    self.round_bytes_max /= 2;
                }
            }
        }
    }

    async fn try_to_drain(&mut self, pace: &Pace<'_>) -> Result<Tried, DiskError> {
        let undrained = self.engine.cache.undrained(self.round_bytes_max, pace.steps()).await;
        if undrained.through == self.manifest.through {
            return Ok(Tried::Drained(false));
        }
        if let Err(error) = self.cut_back().await {
            return Ok(Tried::NoRoom(self.no_room(error).await?));
        }
        let engine = Arc::clone(&self.engine);
        let (retention, now) = (&engine.retention, engine.clock.wall());
        let place = drain::Place { tools: engine.tools(pace), retention, now };
        if is_planted(Bug::SlotFreedEarly) {
            engine.ring.release_through(undrained.through.position);
        }
        let mut touched = Touched::default();
        let drained = async {
            let mut round = drain::write(&place, &self.manifest, &undrained.batches, &mut touched).await?;
            round.next.through = undrained.through;
            self.write_checkpoint(&mut round.next).await?;
            Ok(round)
        };
        let round = match drained.await {
            Ok(round) => round,
            Err(error) => {
                self.touched = touched;
                return Ok(Tried::NoRoom(self.no_room(error).await?));
            }
        };
        self.point_to(round.next).await?;
        self.engine.status.set_brake(Brake::Drain, None);
        for chunks in round.chunks.chunk_by(|(one, _), (next, _)| one == next) {
            if let Some(shard) = self.engine.shards.get(chunks[0].0) {
                shard.state().add_chunks(chunks.iter().map(|(_, chunk)| chunk.clone()));
            }
        }
        let position = undrained.through.position;
        let mut steps = pace.steps();
        for batches in undrained.batches.chunks(ENTRIES_PER_LOOK) {
            let last = batches.last().expect("no part is empty");
            self.engine.cache.note_drained(last.end.position);
            steps.did(batches.len()).await;
        }
        self.engine.cache.note_drained(position);
        self.engine.ring.release_through(position);
        self.engine.segments_rolled.fetch_add(round.rolled, Ordering::Relaxed);
        // Before anything is evicted: what is let go of here is still held there.
        drop(undrained);
        self.evict(self.engine.settings.tail_cache_bytes_max, pace).await;
        self.remove_files(&round.removed).await;
        for stream in round.deleted {
            self.engine.retention.forget(stream);
            self.clean_up(drain::remove_stream(&*self.engine.disk, stream).await);
        }
        Ok(Tried::Drained(true))
    }

    /// A full volume is not fatal, nor is a want of descriptors: cut back, and try again later. Anything else is.
    async fn no_room(&mut self, error: DiskError) -> Result<DiskError, DiskError> {
        if !error.kind.is_lack() {
            return Err(error);
        }
        if error.kind == DiskErrorKind::TooManyOpen {
            self.engine.readers.close_files();
        }
        match self.cut_back().await {
            // That takes a descriptor, too: before the next round, then.
            Err(error) if !error.kind.is_lack() => return Err(error),
            _ => {}
        }
        let new_checkpoint = checkpoint::path(self.manifest.number + 1);
        checkpoint::remove(&*self.engine.disk, &new_checkpoint).await?;
        Ok(error)
    }

    /// Cuts back what the last round has written, if it failed.
    async fn cut_back(&mut self) -> Result<(), DiskError> {
        drain::undo(&*self.engine.disk, &mut self.touched).await
    }

    /// As [`Maintenance::no_room`], for what is not draining. Only the drain throttles: without it there would be no round
    /// that succeeds and ends that.
    async fn try_later(&mut self, error: DiskError) -> Result<(), DiskError> {
        let error = self.no_room(error).await?;
        if !self.engine.status.drain_is_stuck() {
            tracing::warn!("{}; trying again", lack(&error));
        }
        Ok(())
    }

    /// Writes `next` as the next checkpoint, without pointing to it.
    async fn write_checkpoint(&self, next: &mut Manifest) -> Result<(), DiskError> {
        next.number = self.manifest.number + 1;
        next.wall = self.expiry.believed(self.engine.clock.monotonic());
        // A deleted stream's id is refused until no slot in use holds its records.
        let oldest = self.engine.ring.oldest_in_use().min(next.through.position);
        next.tombstones.retain(|_, position| *position >= oldest);
        checkpoint::write(&*self.engine.disk, next, self.engine.journal).await
    }

    /// Points both superblocks to the checkpoint that was written for `next`; then it counts.
    async fn point_to(&mut self, next: Manifest) -> Result<(), DiskError> {
        let number = next.number;
        let wall = next.wall;
        let change = |superblock: &mut Superblock| {
            superblock.checkpoint = number;
            superblock.wall = wall;
        };
        self.engine.superblocks.lock().await.store(change).await?;
        self.note_remembered(wall);
        let old = std::mem::replace(&mut self.manifest, next);
        self.offered.retain(|&name| self.manifest.names(name));
        {
            let mut tombstones = self.engine.tombstones.lock().unwrap_or_else(PoisonError::into_inner);
            for stream in
                old.tombstones.keys().filter(|stream| !self.manifest.tombstones.contains_key(stream))
            {
                tombstones.remove(stream);
            }
        }
        if old.number > 0 {
            self.clean_up(checkpoint::remove(&*self.engine.disk, &checkpoint::path(old.number)).await);
        }
        Ok(())
    }

    /// Removing what nothing names any more may fail: the next start tries again.
    fn clean_up(&self, result: Result<(), DiskError>) {
        if let Err(error) = result {
            tracing::warn!(%error, "a file that is no longer needed stays until the next start");
        }
    }

    /// Lets go of drained batches beyond the bound.
    async fn evict(&self, bytes_max: usize, pace: &Pace<'_>) {
        let mut steps = pace.steps();
        loop {
            let evicted = self.engine.cache.evict(bytes_max, pace.entries_at_once());
            let Some(last) = evicted.last() else { return };
            // Each shard is looked for once, however many of these batches it is in.
            let mut shards: FxHashSet<ShardKey> = FxHashSet::default();
            for batch in &evicted {
                shards.extend(batch.entries().map(|(entry, _)| entry.shard));
            }
            for key in shards {
                if let Some(shard) = self.engine.shards.get(key) {
                    shard.state().evict_through(last.end.position);
                }
            }
            let entries = evicted.iter().map(|batch| batch.entries as usize).sum();
            drop(evicted);
            steps.did(entries).await;
        }
    }

    /// Removes files that the manifest no longer names.
    async fn remove_files(&self, segments: &[SegmentName]) {
        for segment in segments {
            self.engine.readers.forget(segment);
        }
        self.clean_up(drain::remove(&*self.engine.disk, segments).await);
    }

    async fn chores(&mut self) -> Result<(), DiskError> {
        self.watch_space().await;
        if self.engine.status.drain_is_stuck() {
            self.drain_once().await?;
        }
        self.rest_when_idle().await?;
        let (wall, monotonic) = (self.engine.clock.wall(), self.engine.clock.monotonic());
        let expected = self.expiry.believed(monotonic);
        if self.engine.clock_confirmed.swap(false, Ordering::Relaxed) {
            self.expiry.confirm(wall, monotonic);
        }
        let now = self.expiry.now(wall, monotonic);
        self.engine.clock_lead.store(self.expiry.believed_lead(), Ordering::Relaxed);
        if let Some(now) = now {
            self.apply_changed_retention(now).await;
            self.look_for_misdated(now, expected);
        }
        self.tidy(now).await?;
        self.keep_time().await?;
        self.merge().await
    }

    /// Looks for segments whose arrival times are ahead of the clock, which was `expected` to be where it was believed
    /// last and the time since. What is found is durable with the next checkpoint; if it is lost before, it is found
    /// again, and what it says of expires a little later.
    fn look_for_misdated(&mut self, now: Timestamp, expected: Timestamp) {
        let settings = &self.engine.settings;
        let leapt =
            if now > expected.plus(settings.clock_jump_max) { now.since(expected) } else { Duration::ZERO };
        for (&stream, row) in &mut self.manifest.streams {
            let span = self.engine.retention.get(stream).map(|kept| kept / settings.segments_per_retention);
            for segment in row.segments.values_mut() {
                segment.compare_with_clock(now, leapt, settings.clock_jump_max, span);
            }
        }
    }

    /// Notes the time where no checkpoint did for a while, or where it was set back: a start that remembered an older one
    /// would doubt the clock, and this run would hide by a time that stands still. Takes no space.
    async fn keep_time(&self) -> Result<(), DiskError> {
        let believed = self.expiry.believed(self.engine.clock.monotonic());
        let mut superblocks = self.engine.superblocks.lock().await;
        let remembered = superblocks.current().wall;
        if (remembered..=remembered.plus(self.engine.settings.clock_jump_max / 4)).contains(&believed) {
            return Ok(());
        }
        superblocks.store(|superblock| superblock.wall = believed).await?;
        self.note_remembered(believed);
        Ok(())
    }

    /// Throttles appends while the volume is below its reserve.
    async fn watch_space(&self) {
        let settings = &self.engine.settings;
        let space = match self.engine.disk.space().await {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "the volume's free space is not known");
                return;
            }
        };
        let part = space.total / 1000 * u64::from(settings.disk_reserve_permille);
        let reserve = settings.disk_reserve_bytes.max(part);
        let reason = (space.available < reserve)
            .then(|| format!("the volume has {} bytes left, its reserve is {reserve}", space.available));
        self.engine.status.set_brake(Brake::Space, reason);
    }

    /// Gives memory back when nothing was appended for a while.
    async fn rest_when_idle(&mut self) -> Result<(), DiskError> {
        let engine = Arc::clone(&self.engine);
        let (settings, monotonic) = (&engine.settings, engine.clock.monotonic());
        let durable = engine.cache.durable();
        if durable != self.last_seen.0 {
            self.last_seen = (durable, monotonic);
            return Ok(());
        }
        if monotonic.saturating_sub(self.last_seen.1) < settings.idle_after {
            return Ok(());
        }
        while engine.cache.undrained_bytes() > settings.idle_undrained_bytes_max && self.drain_once().await? {
        }
        self.evict(settings.tail_cache_idle_bytes_max, &Pace::Unpaced).await;
        engine.readers.rest();
        engine.buffers.rest();
        engine.batch_memory.rest();
        Ok(())
    }

    /// Trims what a changed retention no longer covers (or one before it did not, while it held): by an entry of the
    /// log, so that a longer retention told later does not bring it back.
    async fn apply_changed_retention(&self, now: Timestamp) {
        for (stream, limit) in self.engine.retention.take_changed(now) {
            let mut trims = Vec::new();
            for shard in self.engine.shards.of_stream(stream) {
                let found = {
                    let state = shard.state();
                    if state.oldest_arrival().is_none_or(|oldest| oldest >= limit) {
                        continue;
                    }
                    state.find_time(limit)
                };
                let offset = match found {
                    TimeFound::At(offset) => offset,
                    TimeFound::In(chunk) => {
                        match self.engine.readers.load(None, vec![chunk.clone()], Vec::new()).await {
                            Ok(loaded) => {
                                let run = loaded[0].runs().iter().find(|run| run.arrival >= limit);
                                run.map_or(chunk.row.end(), |run| run.first)
                            }
                            // Nothing from before the chunk is covered; the rest expires with its segment.
                            Err(_) => chunk.row.first,
                        }
                    }
                };
                trims.push((shard.key, offset));
            }
            for part in trims.chunks(self.engine.settings.entries_per_request_max()) {
                // Nobody waits for the answer: when it fails, the records are passed over by reads all the same.
                let (reply, _) = oneshot::channel();
                let request = Request::Trim { shards: part.to_vec(), reply };
                if let Err((_, NotAppliedReason::Throttled(_))) = self.engine.queue.push(request) {
                    self.engine.retention.put_back(stream, limit);
                }
            }
        }
    }

    /// Removes segments in which nothing can be read any more: expired, trimmed, or of a deleted stream.
    async fn tidy(&mut self, now: Option<Timestamp>) -> Result<(), DiskError> {
        let to_tidy =
            std::mem::take(&mut *self.engine.to_tidy.lock().unwrap_or_else(PoisonError::into_inner));
        let deleted = to_tidy.iter().any(|stream| {
            let row = self.manifest.streams.get(stream);
            row.is_some_and(|row| !row.segments.is_empty())
                && self.engine.shards.of_stream(*stream).is_empty()
        });
        if deleted {
            // Up to the deletion, not up to whatever is put meanwhile: under a load that would have no end.
            let through = self.engine.cache.durable().position;
            while self.manifest.through.position < through && self.drain_once().await? {}
        }
        for &stream in &to_tidy {
            // A round that ends before the deletion would still write segments: looked at until it is drained, too.
            let is_known = self.manifest.shards.range(shards_of(stream)).next().is_some();
            if is_known && self.engine.shards.of_stream(stream).is_empty() {
                self.engine.tidy_later(stream);
            }
        }
        let mut removed = Vec::new();
        let mut expired_count = 0;
        for (&stream, row) in &self.manifest.streams {
            let mut dead: BTreeSet<u32> = BTreeSet::new();
            if let (Some(now), Some(retention)) = (now, self.engine.retention.get(stream)) {
                let limit = now.minus(retention);
                let expired = row.segments.iter().filter(|(_, segment)| segment.arrived_before(limit));
                dead.extend(expired.map(|(&number, _)| number));
                expired_count += dead.len() as u64;
            }
            if to_tidy.contains(&stream) {
                let live = self.live_segments(stream);
                dead.extend(row.segments.keys().filter(|number| !live.contains(number)));
            }
            removed.extend(dead.into_iter().map(|number| {
                let revision = row.segments[&number].revision;
                SegmentName { stream, number, revision }
            }));
        }
        if removed.is_empty() {
            return Ok(());
        }
        let mut next = self.manifest.clone();
        for name in &removed {
            let row = next.streams.get_mut(&name.stream).expect("it is a copy");
            row.segments.remove(&name.number);
        }
        let trims = self.ends_of(&removed);
        for (key, end) in &trims {
            let Some(row) = next.shards.get_mut(key) else { continue };
            row.trimmed = row.trimmed.max(*end);
        }
        if let Err(error) = self.write_checkpoint(&mut next).await {
            // Nothing else would remember what was trimmed.
            to_tidy.into_iter().for_each(|stream| self.engine.tidy_later(stream));
            return self.try_later(error).await;
        }
        self.point_to(next).await?;
        for (key, end) in trims {
            if let Some(shard) = self.engine.shards.get(key) {
                shard.state().trim(end);
            }
        }
        self.remove_files(&removed).await;
        self.engine.segments_expired.fetch_add(expired_count, Ordering::Relaxed);
        Ok(())
    }

    /// Lets a rewritten segment count, and offers the next one.
    async fn merge(&mut self) -> Result<(), DiskError> {
        if let Some(merged) = self.engine.merge.take_merged() {
            self.take_merged(merged).await?;
        }
        if self.engine.settings.merge_bytes_per_second == 0 || self.engine.status.brake().is_some() {
            return Ok(());
        }
        debug_assert!(
            self.offered.iter().all(|&name| self.manifest.names(name)),
            "what left the manifest is not remembered"
        );
        let chunk_bytes_max = self.engine.settings.chunk_bytes_max;
        for (&stream, row) in &self.manifest.streams {
            for (&number, segment) in &row.segments {
                let name = SegmentName { stream, number, revision: segment.revision };
                if merge::is_candidate(segment, chunk_bytes_max) && !self.offered.contains(&name) {
                    if self.engine.merge.offer(Candidate { name, row: *segment }) {
                        self.offered.insert(name);
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take_merged(&mut self, merged: Merged) -> Result<(), DiskError> {
        let Merged { old, name, row, chunks } = merged;
        let mut next = self.manifest.clone();
        let current =
            next.streams.get_mut(&old.stream).and_then(|stream| stream.segments.get_mut(&old.number));
        let Some(current) = current.filter(|current| current.revision == old.revision) else {
            // Expired or deleted meanwhile.
            self.remove_files(&[name]).await;
            return Ok(());
        };
        *current = SegmentRow { misdated: current.misdated, ..row };
        if let Err(error) = self.write_checkpoint(&mut next).await {
            drain::remove(&*self.engine.disk, &[name]).await?;
            return self.try_later(error).await;
        }
        self.point_to(next).await?;
        for (key, chunks) in chunks {
            if let Some(shard) = self.engine.shards.get(key) {
                shard.state().replace_chunks(&old, chunks);
            }
        }
        self.remove_files(&[old]).await;
        Ok(())
    }

    /// The segments of a stream that hold something that is not trimmed.
    fn live_segments(&self, stream: StreamId) -> BTreeSet<u32> {
        let mut live = BTreeSet::new();
        for shard in self.engine.shards.of_stream(stream) {
            live.extend(shard.state().chunks().map(|chunk| chunk.segment.number));
        }
        live
    }

    /// Where the shards must be trimmed to when these segments go.
    ///
    /// Every shard of their streams is looked at, also those whose trim the manifest does not know of yet: the
    /// removed chunks must not be missed by the next start. Of one that was forgotten (which the manifest may not know
    /// of yet either) everything was trimmed.
    fn ends_of(&self, removed: &[SegmentName]) -> Vec<(ShardKey, u64)> {
        let mut ends = Vec::new();
        let streams: BTreeSet<StreamId> = removed.iter().map(|segment| segment.stream).collect();
        for stream in streams {
            for (&key, row) in self.manifest.shards.range(shards_of(stream)) {
                let Some(shard) = self.engine.shards.get(key) else {
                    ends.push((key, row.next));
                    continue;
                };
                let state = shard.state();
                let removed = removed.iter().filter(|segment| segment.stream == stream);
                let end = removed.filter_map(|segment| state.end_in(segment)).max().unwrap_or(0);
                // A trim that the log knows and the manifest does not: what it covers may be removed here.
                ends.push((key, end.max(state.tail.trimmed.min(row.next))));
            }
        }
        ends
    }

    /// A clean end: everything into segments, and a superblock that says so.
    async fn end(&mut self) -> Result<(), DiskError> {
        while self.drain_once().await? {}
        if self.engine.cache.durable() != self.manifest.through {
            // No space for it: the ring holds it, and the next start replays it.
            return Ok(());
        }
        self.engine.superblocks.lock().await.store(|superblock| superblock.clean = true).await
    }
}
