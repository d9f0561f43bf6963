//! The committer: the one loop that writes the ring. It gives records their offsets and arrival times, makes one
//! durable write of all that waits, then shows it to readers and answers, in that order.
//!
//! ```text
//!   queue -> take all -> place (offsets, arrival) -> encode (one copy) -> write_durable -> publish -> answer
//!                                                                         ^ one in flight: what arrives
//!                                                                           meanwhile is the next batch
//! ```
//!
//! It is the only owner of the log's head and of the shards' next offsets. After a failed write it stops for good:
//! nobody knows what the disk holds then (a second sync would lie), and the next start finds out.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use thalweg_journal::{Append, AppendError, CommitSender, NotAppliedReason, RunOutcome};
use thalweg_system::DiskError;
use thalweg_system::cork::Cork;
use thalweg_system::planted::{Bug, is_planted};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::batch::{self, Batch, Entry, FLAG_CONFIRM, FLAG_EPOCH, Header, Kind, LogPoint};
use crate::engine::{Engine, Phase};
use crate::manifest::ShardRow;
use crate::queue::{Reply, Request};
use crate::settings::BLOCK_BYTES;
use crate::shards::Shard;
use crate::slot::{FIRST_BATCH, Slot};

/// Why nothing is applied once the journal's handle is gone.
const DROPPED: &str = "the journal was dropped";

/// A shard's next place.
pub(crate) struct Place {
    pub(crate) shard: Arc<Shard>,
    pub(crate) next: Offset,
    pub(crate) last_arrival: Timestamp,
    pub(crate) sealed: bool,
}

pub(crate) struct Committer {
    engine: Arc<Engine>,
    epoch: u64,
    head: LogPoint,
    /// The slot that the head is in; `None` before a journal's first batch.
    slot: Option<Arc<Slot>>,
    places: FxHashMap<ShardKey, Place>,
    /// Shards with lower indexes than these are not opened: they may have been there, and were forgotten.
    forgotten_before: FxHashMap<StreamId, u32>,
    /// Taken from the queue and not placed yet.
    pending: VecDeque<Request>,
    /// The newest batch with entries was followed by another.
    confirmed: bool,
}

/// Why a commit could not be made.
#[derive(Debug)]
enum Stop {
    /// The write failed: what was in the batch may or may not be durable.
    Write(DiskError),
    /// No slot will become free any more; nothing was placed.
    NoSlot(String),
    /// The journal was dropped.
    Ended,
}

/// What becomes visible with an entry.
enum Change {
    /// To this shard, as the entry says.
    Shard(Arc<Shard>),
    /// These shards exist no longer.
    Gone(Vec<Arc<Shard>>),
}

/// An answer that waits for the write.
enum Answer {
    Append(CommitSender, Vec<RunOutcome>),
    Done(Reply<()>),
    Sealed(Reply<Vec<Offset>>, Vec<Offset>),
    Refused(Request, AppendError),
}

/// A batch in the making.
#[derive(Default)]
struct Draft {
    entries: Vec<Entry>,
    /// One per entry.
    changes: Vec<Change>,
    /// The run bytes, in the order of the entries.
    parts: Vec<Bytes>,
    payload_bytes: usize,
    answers: Vec<Answer>,
    /// What the requests in it count for in the queue.
    cost: usize,
}

impl Committer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        epoch: u64,
        head: LogPoint,
        slot: Option<Arc<Slot>>,
        places: FxHashMap<ShardKey, Place>,
        forgotten_before: FxHashMap<StreamId, u32>,
    ) -> Self {
        let pending = VecDeque::new();
        Committer { engine, epoch, head, slot, places, forgotten_before, pending, confirmed: true }
    }

    /// Whether the first batch of this epoch has a place without anything being drained first.
    pub(crate) fn has_room(&self) -> bool {
        self.fits(BLOCK_BYTES) || self.engine.ring.figures().free > 0
    }

    /// Writes the batch that begins this epoch, chained to the recovered tail. Before it nothing may be served:
    /// what a crash left in a cache must not be shown and then lost.
    ///
    /// # Panics
    /// When there is no room for it ([`Committer::has_room`]).
    pub(crate) async fn begin_epoch(&mut self) -> Result<(), DiskError> {
        match self.write_mark(FLAG_EPOCH).await {
            Ok(()) => Ok(()),
            Err(Stop::Write(error)) => Err(error),
            Err(Stop::NoSlot(_) | Stop::Ended) => unreachable!("there was room, and nobody can end it yet"),
        }
    }

    /// Runs until the journal is closed and everything queued is answered, or until a write fails.
    pub(crate) async fn run(mut self) {
        while self.wait_for_work().await {
            if let Err(stop) = self.commit().await {
                self.stop(stop);
                return;
            }
        }
        if self.confirmed || self.engine.has_ended() {
            return;
        }
        if let Err(stop) = self.confirm().await {
            self.stop(stop);
        }
    }

    /// Fills `pending`; confirms the last batch when nothing comes for a while. False when no more will come.
    async fn wait_for_work(&mut self) -> bool {
        loop {
            if self.engine.has_ended() {
                self.refuse_pending(&AppendError::NotApplied(NotAppliedReason::Stopped(DROPPED.to_owned())));
                return false;
            }
            // Where a network thread shares our core, it goes on first with what it has, and all of it is one batch; else
            // its first request would wake us, be a batch alone, and the others would wait for its write.
            std::thread::yield_now();
            self.engine.queue.take(&mut self.pending);
            if !self.pending.is_empty() {
                return true;
            }
            if self.engine.queue.is_closed() {
                return false;
            }
            if self.confirmed {
                self.engine.queue.arrived().await;
                continue;
            }
            // Not at once: a client that waits for its answer before it sends the next record would meet the
            // confirming write in flight every time.
            let idle = tokio::select! {
                biased;
                () = self.engine.queue.arrived() => false,
                () = self.engine.clock.sleep(self.engine.settings.confirm_after) => true,
            };
            if idle && let Err(stop) = self.confirm().await {
                self.stop(stop);
                return false;
            }
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.slot.as_ref().is_some_and(|slot| self.head.offset + bytes as u64 <= slot.bytes)
    }

    /// Moves the head into a free slot if there is one. The batch that follows has the next position.
    fn enter_free_slot(&mut self) -> bool {
        let Some(slot) = self.engine.ring.enter_free(self.head.position + 1) else { return false };
        self.head.slot = slot.index;
        self.head.generation += 1;
        self.head.offset = FIRST_BATCH;
        self.slot = Some(slot);
        if self.engine.ring.figures().free == 0 {
            self.engine.drain_wanted.notify_one();
            self.engine.slot_wanted.notify_one();
        }
        true
    }

    /// Makes room for `bytes` at the head, waiting for a free slot where it must.
    async fn make_room(&mut self, bytes: usize) -> Result<(), Stop> {
        while !self.fits(bytes) {
            if self.enter_free_slot() {
                continue;
            }
            self.engine.drain_wanted.notify_one();
            self.engine.slot_wanted.notify_one();
            if self.engine.has_ended() {
                return Err(Stop::Ended);
            }
            if let Some(reason) = self.engine.status.stopped() {
                return Err(Stop::NoSlot(reason));
            }
            if self.engine.queue.is_closed() && self.engine.status.drain_is_stuck() {
                return Err(Stop::NoSlot("the ring is full and cannot be drained".to_owned()));
            }
            tokio::select! {
                biased;
                () = self.engine.ring.freed() => {}
                () = self.engine.reached(Phase::Ended) => {}
                // Looks again whether draining is stuck; nothing rings for that.
                () = self.engine.clock.sleep(self.engine.settings.chores_interval) => {}
            }
        }
        Ok(())
    }

    /// Makes one batch of what is pending, as much as fits, and answers it.
    async fn commit(&mut self) -> Result<(), Stop> {
        let first = self.pending.front().expect("there is work");
        let needed = batch::total_bytes(first.entries(), first.payload_bytes());
        self.make_room(needed).await?;
        let slot = self.slot.as_ref().expect("room was made in it");
        let room = usize::try_from(slot.bytes - self.head.offset).unwrap_or(usize::MAX);
        let limit = self.engine.settings.batch_bytes_max.min(room).max(needed);
        // What arrived while we waited for room goes in, too.
        self.engine.queue.take(&mut self.pending);
        let now = self.engine.clock.wall();
        let mut draft = Draft::default();
        let (mut entries, mut payload) = (0, 0);
        while let Some(request) = self.pending.front() {
            entries += request.entries();
            payload += request.payload_bytes();
            if !draft.answers.is_empty() && batch::total_bytes(entries, payload) > limit {
                break;
            }
            let request = self.pending.pop_front().expect("it is in front");
            draft.cost += request.cost();
            self.place(request, now, &mut draft);
        }
        let count = draft.answers.len();
        if is_planted(Bug::AnsweredBeforeWrite) {
            draft.answers.drain(..).for_each(Answer::give);
        }
        // Without entries nothing changes: everything asked for was so already, durably.
        let batch = if draft.entries.is_empty() {
            None
        } else {
            let parts = std::mem::take(&mut draft.parts);
            Some(self.write(0, &draft.entries, draft.payload_bytes, &parts, now).await?)
        };
        let _cork = Cork::new();
        if let Some(batch) = batch {
            self.confirmed = false;
            self.publish(&batch, &draft.entries, draft.changes);
            // Only now may the drain take it: it expects the shards to be there.
            self.engine.cache.push(&batch);
        }
        self.engine.queue.release(draft.cost, count);
        for answer in draft.answers {
            answer.give();
        }
        if self.engine.cache.undrained_bytes() >= self.engine.settings.drain_start_bytes {
            self.engine.drain_wanted.notify_one();
        }
        Ok(())
    }

    /// Gives a request its place in the batch.
    fn place(&mut self, request: Request, now: Timestamp, draft: &mut Draft) {
        match request {
            Request::Append { append, reply } => {
                let outcomes = self.place_append(&append, now, draft);
                draft.answers.push(Answer::Append(reply, outcomes));
            }
            Request::Open { stream, shards, reply } => {
                if let Some(refused) = self.refused_to_open(stream, &shards) {
                    let reason = NotAppliedReason::UnknownShard(refused);
                    let request = Request::Open { stream, shards, reply };
                    draft.answers.push(Answer::Refused(request, AppendError::NotApplied(reason)));
                    return;
                }
                for (shard, not_before) in shards {
                    let key = ShardKey { stream, shard };
                    if self.places.contains_key(&key) {
                        continue;
                    }
                    let shard = Shard::new(key, &ShardRow::opened(not_before), VecDeque::new());
                    let place =
                        Place { shard: Arc::clone(&shard), next: 0, last_arrival: not_before, sealed: false };
                    self.places.insert(key, place);
                    draft.push(Entry::open(key, not_before, now), Change::Shard(shard));
                }
                draft.answers.push(Answer::Done(reply));
            }
            Request::Seal { shards, reply } => {
                if let Some(&unknown) = shards.iter().find(|shard| !self.places.contains_key(shard)) {
                    let reason = NotAppliedReason::UnknownShard(unknown);
                    let request = Request::Seal { shards, reply };
                    draft.answers.push(Answer::Refused(request, AppendError::NotApplied(reason)));
                    return;
                }
                let mut ends = Vec::with_capacity(shards.len());
                for key in shards {
                    let place = self.places.get_mut(&key).expect("all were found");
                    ends.push(place.next);
                    if !place.sealed {
                        place.sealed = true;
                        let change = Change::Shard(Arc::clone(&place.shard));
                        draft.push(Entry::mark(Kind::Seal, key, place.next, now), change);
                    }
                }
                draft.answers.push(Answer::Sealed(reply, ends));
            }
            Request::Trim { shards, reply } => {
                for (key, before) in shards {
                    let Some(place) = self.places.get(&key) else { continue };
                    let before = before.min(place.next);
                    // Two trims in one batch may both pass; applying both is right, too.
                    if before > place.shard.state().tail.trimmed {
                        let change = Change::Shard(Arc::clone(&place.shard));
                        draft.push(Entry::mark(Kind::Trim, key, before, now), change);
                    }
                }
                draft.answers.push(Answer::Done(reply));
            }
            Request::Forget { shards, reply } => {
                for key in shards {
                    let Some(place) = self.places.get(&key) else { continue };
                    // By what readers see: a trim in the same batch comes too late.
                    if !place.sealed || place.shard.state().tail.trimmed < place.next {
                        continue;
                    }
                    let Place { shard, next, .. } = self.places.remove(&key).expect("just found");
                    let before = self.forgotten_before.entry(key.stream).or_default();
                    *before = (*before).max(key.shard.0.saturating_add(1));
                    draft.push(Entry::mark(Kind::Forget, key, next, now), Change::Gone(vec![shard]));
                }
                draft.answers.push(Answer::Done(reply));
            }
            Request::Delete { stream, reply } => {
                let keys: Vec<ShardKey> =
                    self.places.keys().copied().filter(|key| key.stream == stream).collect();
                if !keys.is_empty() {
                    let gone =
                        keys.iter().map(|key| self.places.remove(key).expect("just found").shard).collect();
                    self.tombstones().insert(stream);
                    self.forgotten_before.remove(&stream);
                    let key = ShardKey { stream, shard: ShardIndex(0) };
                    draft.push(Entry::mark(Kind::Delete, key, 0, now), Change::Gone(gone));
                }
                draft.answers.push(Answer::Done(reply));
            }
        }
    }

    fn tombstones(&self) -> MutexGuard<'_, FxHashSet<StreamId>> {
        self.engine.tombstones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of these shards that must not be opened.
    fn refused_to_open(&self, stream: StreamId, shards: &[(ShardIndex, Timestamp)]) -> Option<ShardKey> {
        if self.tombstones().contains(&stream) {
            let shard = shards.first().map_or(ShardIndex(0), |(shard, _)| *shard);
            return Some(ShardKey { stream, shard });
        }
        let before = *self.forgotten_before.get(&stream)?;
        let mut keys = shards.iter().map(|&(shard, _)| ShardKey { stream, shard });
        keys.find(|key| key.shard.0 < before && !self.places.contains_key(key))
    }

    fn place_append(&mut self, append: &Append, now: Timestamp, draft: &mut Draft) -> Vec<RunOutcome> {
        for run in &append.runs {
            if let Some(place) = self.places.get(&run.shard) {
                place.shard.fetch();
            }
        }
        let mut outcomes = Vec::with_capacity(append.runs.len());
        let mut start = 0;
        // Neighbouring runs that are placed are copied as one part.
        let mut part = 0..0;
        for run in &append.runs {
            let end = start + run.length as usize;
            let outcome = match self.places.get_mut(&run.shard) {
                None => RunOutcome::UnknownShard,
                Some(place) if place.sealed => RunOutcome::ShardClosed,
                Some(place) => {
                    let (first, arrival) = (place.next, now.max(place.last_arrival));
                    place.next += u64::from(run.count);
                    place.last_arrival = arrival;
                    let change = Change::Shard(Arc::clone(&place.shard));
                    let entry = Entry {
                        kind: Kind::Records,
                        shard: run.shard,
                        first,
                        arrival,
                        count: run.count,
                        length: run.length,
                        checksum: run.checksum,
                    };
                    draft.push(entry, change);
                    if part.end == start && !part.is_empty() {
                        part.end = end;
                    } else {
                        draft.push_part(append, part);
                        part = start..end;
                    }
                    RunOutcome::Placed { first, arrival }
                }
            };
            outcomes.push(outcome);
            start = end;
        }
        draft.push_part(append, part);
        outcomes
    }

    /// Writes a batch at the head, where there is room for it, and moves the head behind it.
    async fn write(
        &mut self,
        flags: u16,
        entries: &[Entry],
        payload_bytes: usize,
        parts: &[Bytes],
        now: Timestamp,
    ) -> Result<Arc<Batch>, Stop> {
        let slot = Arc::clone(self.slot.as_ref().expect("room was made in it"));
        let total = batch::total_bytes(entries.len(), payload_bytes);
        let header = Header {
            flags,
            entries: 0,
            journal: self.engine.journal,
            epoch: self.epoch,
            position: self.head.position + 1,
            // One write is in flight at a time: everything before this one is durable.
            durable_through: self.head.position,
            generation: self.head.generation,
            wall: now,
            total_bytes: 0,
            payload_bytes: 0,
            previous_checksum: self.head.checksum,
            checksum: 0,
        };
        let mut buffer = self.engine.batch_memory.take(total);
        let checksum = batch::encode(&header, entries, parts.iter().map(|part| &part[..]), &mut buffer);
        slot.file.write_durable(self.head.offset, &buffer).await.map_err(Stop::Write)?;
        self.head = LogPoint {
            position: header.position,
            epoch: self.epoch,
            checksum,
            slot: slot.index,
            generation: self.head.generation,
            offset: self.head.offset + total as u64,
        };
        self.engine.ring.note_written(header.position);
        let count = u32::try_from(entries.len()).expect("settings keep batches under 4 GiB");
        Ok(Batch::new(self.head, Bytes::from_owner(buffer), count))
    }

    /// Writes a batch without entries.
    async fn write_mark(&mut self, flags: u16) -> Result<(), Stop> {
        self.make_room(BLOCK_BYTES).await?;
        let now = self.engine.clock.wall();
        let batch = self.write(flags, &[], 0, &[], now).await?;
        self.engine.cache.push(&batch);
        Ok(())
    }

    /// Writes an empty batch, whose header says that the last one is durable: rot in that one is told from a torn
    /// write from now on. Where that would need a slot that is not free, it is left out.
    async fn confirm(&mut self) -> Result<(), Stop> {
        if self.fits(BLOCK_BYTES) || self.enter_free_slot() {
            self.write_mark(FLAG_CONFIRM).await?;
        }
        self.confirmed = true;
        Ok(())
    }

    /// Shows a durable batch to readers.
    fn publish(&self, batch: &Arc<Batch>, entries: &[Entry], changes: Vec<Change>) {
        for change in &changes {
            if let Change::Shard(shard) = change {
                shard.fetch();
            }
        }
        let mut start = batch::HEADER_BYTES + entries.len() * batch::ENTRY_BYTES;
        for (entry, change) in entries.iter().zip(changes) {
            match (entry.kind, change) {
                (Kind::Records, Change::Shard(shard)) => {
                    shard.state().push(batch, start, entry.length, entry.first, entry.count, entry.arrival);
                    start += entry.length as usize;
                }
                (Kind::Open, Change::Shard(shard)) => self.engine.shards.insert(shard),
                (Kind::Seal, Change::Shard(shard)) => shard.state().seal(),
                (Kind::Trim, Change::Shard(shard)) => {
                    shard.state().trim(entry.first);
                    self.engine.tidy_later(entry.shard.stream);
                }
                (Kind::Delete | Kind::Forget, Change::Gone(shards)) => {
                    if entry.kind == Kind::Forget {
                        self.engine.shards_forgotten.fetch_add(1, Ordering::Relaxed);
                    }
                    for shard in shards {
                        self.engine.shards.remove(shard.key);
                        shard.state().delete();
                    }
                    self.engine.tidy_later(entry.shard.stream);
                }
                _ => unreachable!("only what is deleted or forgotten makes shards go"),
            }
        }
    }

    /// Ends for good. What was in the failed batch was dropped unanswered, which says "outcome unknown".
    fn stop(&mut self, stop: Stop) {
        let reason = match stop {
            Stop::Write(error) => {
                let reason = format!("a write to the ring failed: {error}");
                tracing::error!(reason, "the journal takes no more writes until restart; reads go on");
                self.engine.status.stop_writes(&reason);
                NotAppliedReason::Stopped(reason)
            }
            Stop::NoSlot(reason) => NotAppliedReason::Throttled(reason),
            Stop::Ended => NotAppliedReason::Stopped(DROPPED.to_owned()),
        };
        let (NotAppliedReason::Stopped(text) | NotAppliedReason::Throttled(text)) = &reason else {
            unreachable!("one of the two was just made")
        };
        self.engine.queue.close(text);
        self.engine.queue.take(&mut self.pending);
        self.refuse_pending(&AppendError::NotApplied(reason));
    }

    fn refuse_pending(&mut self, error: &AppendError) {
        for request in self.pending.drain(..) {
            request.refuse(error.clone());
        }
    }
}

impl Draft {
    fn push(&mut self, entry: Entry, change: Change) {
        self.entries.push(entry);
        self.changes.push(change);
    }

    fn push_part(&mut self, append: &Append, part: std::ops::Range<usize>) {
        if !part.is_empty() {
            self.payload_bytes += part.len();
            self.parts.push(append.bytes.slice(part));
        }
    }
}

impl Answer {
    /// Nobody may be waiting any more; that is no error.
    fn give(self) {
        match self {
            Answer::Append(reply, outcomes) => reply.send(Ok(outcomes)),
            Answer::Done(reply) => drop(reply.send(Ok(()))),
            Answer::Sealed(reply, ends) => drop(reply.send(Ok(ends))),
            Answer::Refused(request, error) => request.refuse(error),
        }
    }
}
