//! What readers see of the shards: tails, the runs in memory, the chunks on disk. Published after the write that
//! makes it true.
//!
//! ```text
//!   chunks (on disk)     [ 0 .. 40 ) [ 40 .. 90 )
//!   runs (in memory)                      [ 70 .. 90 ) [ 90 .. 95 ) [ 95 .. 99 )      tail.next = 99
//!                             drained, kept while the budget allows   only in the ring and here
//! ```
//!
//! Chunks and runs overlap or touch: from `tail.trimmed` to `tail.next` every offset is in one of them. A shard that
//! nobody reads costs its [`Shard`] alone; a watch is made when somebody watches.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use rustc_hash::FxHashMap;
use thalweg_journal::{Read, ReadAnswer, RunView, Tail, TailWatch};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::watch;

use crate::batch::Batch;
use crate::manifest::ShardRow;
use crate::segment::{ChunkRow, SegmentName};

/// At most this many chunks are read for one answer: with tiny chunks an answer ends early instead.
const CHUNKS_PER_READ_MAX: usize = 64;
/// Of the chunks behind them so many may be read ahead: what one large read takes, where chunks are large.
const CHUNKS_AHEAD_MAX: usize = 4;
/// What a record's encoding adds at most to what limits count: its fixed part and an explicit hash key.
const RECORD_OVERHEAD_BYTES: usize = 24;

/// All shards that exist durably, by stream.
#[derive(Default)]
pub(crate) struct ShardTable(RwLock<FxHashMap<StreamId, ShardsOfStream>>);

type ShardsOfStream = FxHashMap<ShardIndex, Arc<Shard>>;

/// One shard.
pub(crate) struct Shard {
    pub(crate) key: ShardKey,
    state: Mutex<ShardState>,
}

/// A shard's published state.
pub(crate) struct ShardState {
    pub(crate) tail: Tail,
    runs: VecDeque<TailRun>,
    chunks: VecDeque<ChunkRef>,
    watch: Option<watch::Sender<Tail>>,
}

/// A run in a batch in memory.
struct TailRun {
    first: Offset,
    arrival: Timestamp,
    batch: Arc<Batch>,
    start: u32,
    length: u32,
    count: u32,
}

/// A chunk on disk.
#[derive(Clone, Debug)]
pub(crate) struct ChunkRef {
    pub(crate) segment: Arc<SegmentName>,
    pub(crate) row: ChunkRow,
}

impl ChunkRef {
    /// The byte of its segment behind it.
    pub(crate) fn end(&self) -> u64 {
        self.row.position + u64::from(self.row.length)
    }
}

/// Where a read's records are.
pub(crate) enum Found {
    /// Here, or nowhere: cut to the read's limits already.
    Answer(ReadAnswer),
    /// On disk.
    Chunks(ChunksFound),
}

/// Chunks that hold what a read asks for.
pub(crate) struct ChunksFound {
    pub(crate) from: Offset,
    /// The one that a sequential reader had last.
    pub(crate) before: Option<ChunkRef>,
    pub(crate) chunks: Vec<ChunkRef>,
    /// Those that a sequential reader wants next.
    pub(crate) ahead: Vec<ChunkRef>,
}

/// Where the first record of a time is.
pub(crate) enum TimeFound {
    /// At this offset.
    At(Offset),
    /// In this chunk, or at its end.
    In(ChunkRef),
}

impl TailRun {
    fn end(&self) -> Offset {
        self.first + u64::from(self.count)
    }

    fn view(&self) -> RunView {
        let start = self.start as usize;
        RunView {
            first: self.first,
            count: self.count,
            arrival: self.arrival,
            bytes: self.batch.bytes.slice(start..start + self.length as usize),
        }
    }
}

impl ShardTable {
    fn streams(&self) -> RwLockReadGuard<'_, FxHashMap<StreamId, ShardsOfStream>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: ShardKey) -> Option<Arc<Shard>> {
        self.streams().get(&key.stream)?.get(&key.shard).cloned()
    }

    pub(crate) fn insert(&self, shard: Arc<Shard>) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        streams.entry(shard.key.stream).or_default().insert(shard.key.shard, shard);
    }

    pub(crate) fn remove(&self, key: ShardKey) {
        let mut streams = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(shards) = streams.get_mut(&key.stream) else { return };
        shards.remove(&key.shard);
        if shards.is_empty() {
            streams.remove(&key.stream);
        }
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> Vec<Arc<Shard>> {
        in_order(self.streams().values().flat_map(ShardsOfStream::values))
    }

    /// Those of a stream, in order.
    pub(crate) fn of_stream(&self, stream: StreamId) -> Vec<Arc<Shard>> {
        in_order(self.streams().get(&stream).into_iter().flat_map(ShardsOfStream::values))
    }
}

fn in_order<'a>(shards: impl Iterator<Item = &'a Arc<Shard>>) -> Vec<Arc<Shard>> {
    let mut shards: Vec<_> = shards.cloned().collect();
    shards.sort_unstable_by_key(|shard| shard.key);
    shards
}

impl Shard {
    pub(crate) fn new(key: ShardKey, row: &ShardRow, chunks: VecDeque<ChunkRef>) -> Arc<Self> {
        // What expired is trimmed for good: with its segments gone, nothing could be read there.
        let stored = chunks.front().map_or(row.next, |chunk| chunk.row.first);
        let tail = Tail {
            next: row.next,
            last_arrival: row.last_arrival,
            sealed: row.sealed,
            trimmed: row.trimmed.max(stored),
            deleted: false,
        };
        let state = ShardState { tail, runs: VecDeque::new(), chunks, watch: None };
        Arc::new(Shard { key, state: Mutex::new(state) })
    }

    /// Brings it into the processor's cache. Of ten thousand shards hardly any is there: asked for one after the other
    /// without using them, they come at the same time; locked one after the other, they do not.
    pub(crate) fn fetch(&self) {
        black_box(self.state.is_poisoned());
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ShardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardState {
    /// Tells the watchers, if there are any left.
    fn publish(&mut self) {
        if let Some(watch) = &self.watch {
            if watch.receiver_count() == 0 {
                self.watch = None;
            } else {
                let tail = self.tail;
                watch.send_if_modified(|seen| {
                    let changed = *seen != tail;
                    *seen = tail;
                    changed
                });
            }
        }
    }

    pub(crate) fn subscribe(&mut self) -> TailWatch {
        let tail = self.tail;
        TailWatch::new(self.watch.get_or_insert_with(|| watch::Sender::new(tail)).subscribe())
    }

    /// Records became durable.
    ///
    /// # Panics
    /// When they do not follow the tail: the committer places them so.
    pub(crate) fn push(
        &mut self,
        batch: &Arc<Batch>,
        start: usize,
        length: u32,
        first: Offset,
        count: u32,
        arrival: Timestamp,
    ) {
        assert_eq!(first, self.tail.next, "offsets are dense");
        let start = u32::try_from(start).expect("batches are far below 4 GiB");
        self.runs.push_back(TailRun { first, arrival, batch: Arc::clone(batch), start, length, count });
        self.tail.next = first + u64::from(count);
        self.tail.last_arrival = arrival;
        self.publish();
    }

    pub(crate) fn seal(&mut self) {
        self.tail.sealed = true;
        self.publish();
    }

    pub(crate) fn trim(&mut self, before: Offset) {
        if before > self.tail.trimmed {
            self.tail.trimmed = before;
            while self.chunks.front().is_some_and(|chunk| chunk.row.end() <= before) {
                self.chunks.pop_front();
            }
            if self.chunks.capacity() > 64 && self.chunks.len() < self.chunks.capacity() / 4 {
                self.chunks.shrink_to(self.chunks.capacity() / 2);
            }
            self.publish();
        }
    }

    /// The stream is gone, or the shard alone: frees what the shard holds, whoever still holds the shard.
    pub(crate) fn delete(&mut self) {
        self.tail.deleted = true;
        self.runs = VecDeque::new();
        self.chunks = VecDeque::new();
        self.publish();
    }

    /// Chunks of drained records became durable.
    ///
    /// # Panics
    /// When they do not follow the last chunk: the drain writes them so.
    pub(crate) fn add_chunks(&mut self, chunks: impl Iterator<Item = ChunkRef>) {
        if self.tail.deleted {
            return;
        }
        for chunk in chunks {
            if chunk.row.end() <= self.tail.trimmed {
                continue;
            }
            assert!(
                self.chunks.back().is_none_or(|last| last.row.end() == chunk.row.first),
                "chunks of a shard are neighbours"
            );
            self.chunks.push_back(chunk);
        }
    }

    /// Replaces the chunks of one segment by others that hold the same records.
    pub(crate) fn replace_chunks(&mut self, old: &SegmentName, new: Vec<ChunkRef>) {
        let Some(at) = self.chunks.iter().position(|chunk| *chunk.segment == *old) else { return };
        let count = self.chunks.iter().skip(at).take_while(|chunk| *chunk.segment == *old).count();
        let mut rest = self.chunks.split_off(at);
        rest.drain(..count);
        let trimmed = self.tail.trimmed;
        self.chunks.extend(new.into_iter().filter(|chunk| chunk.row.end() > trimmed));
        self.chunks.append(&mut rest);
    }

    /// The end of the shard's chunks in a segment, if it has any.
    pub(crate) fn end_in(&self, segment: &SegmentName) -> Option<Offset> {
        self.chunks.iter().rev().find(|chunk| *chunk.segment == *segment).map(|chunk| chunk.row.end())
    }

    /// Forgets the runs of batches up to `position`, which were drained.
    pub(crate) fn evict_through(&mut self, position: u64) {
        while self.runs.front().is_some_and(|run| run.batch.end.position <= position) {
            self.runs.pop_front();
        }
        // A burst's room goes back; halving keeps this off the steady state.
        if self.runs.is_empty() {
            self.runs = VecDeque::new();
        } else if self.runs.capacity() > 64 && self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.capacity() / 2);
        }
    }

    /// From here on all records are in memory.
    pub(crate) fn in_memory_from(&self) -> Offset {
        self.runs.front().map_or(self.tail.next, |run| run.first)
    }

    /// Where the records are that a read asks for.
    pub(crate) fn find(&self, read: &Read) -> Found {
        let mut from = read.from.max(self.tail.trimmed);
        let in_memory_from = self.in_memory_from();
        if from < in_memory_from {
            let wanted = self.chunks.partition_point(|chunk| chunk.row.end() <= from);
            let timely = self.chunks.partition_point(|chunk| chunk.row.last_arrival < read.not_before);
            let index = wanted.max(timely);
            if let Some(chunk) = self.chunks.get(index) {
                from = from.max(chunk.row.first);
                return Found::Chunks(self.collect_chunks(index, from, read));
            }
            // Everything on disk is passed over; what follows is in memory.
            from = in_memory_from;
        }
        let wanted = self.runs.partition_point(|run| run.end() <= from);
        let timely = self.runs.partition_point(|run| run.arrival < read.not_before);
        let index = wanted.max(timely);
        from = from.max(self.runs.get(index).map_or(self.tail.next, |run| run.first));
        let (mut records, mut bytes) = (0, 0);
        let mut views = Vec::new();
        for run in self.runs.range(index..) {
            views.push(run.view());
            records += run.end() - from.max(run.first);
            // A run that is partly skipped counts for nothing here, so that enough comes.
            let overhead = run.count as usize * RECORD_OVERHEAD_BYTES;
            bytes += if run.first < from { 0 } else { (run.length as usize).saturating_sub(overhead) };
            if records >= u64::from(read.records_max) || bytes >= read.bytes_max {
                break;
            }
        }
        Found::Answer(cut(views, from, read, self.tail))
    }

    fn collect_chunks(&self, index: usize, from: Offset, read: &Read) -> ChunksFound {
        let (mut records, mut bytes) = (0, 0);
        let mut end = index;
        for chunk in self.chunks.range(index..).take(CHUNKS_PER_READ_MAX) {
            end += 1;
            records += chunk.row.end() - from.max(chunk.row.first);
            // The bytes of a chunk, overhead included, bound what one answer loads.
            bytes += if chunk.row.first < from { 0 } else { chunk.row.length as usize };
            if records >= u64::from(read.records_max) || bytes >= read.bytes_max {
                break;
            }
        }
        ChunksFound {
            from,
            before: index.checked_sub(1).and_then(|before| self.chunks.get(before)).cloned(),
            chunks: self.chunks.range(index..end).cloned().collect(),
            ahead: self.chunks.range(end..).take(CHUNKS_AHEAD_MAX).cloned().collect(),
        }
    }

    /// Where the first record is that arrived at `at` or later.
    pub(crate) fn find_time(&self, at: Timestamp) -> TimeFound {
        // Where a run before that time is in memory, the record is, too.
        if self.runs.front().is_none_or(|run| run.arrival >= at) {
            let index = self.chunks.partition_point(|chunk| chunk.row.last_arrival < at);
            if let Some(chunk) = self.chunks.get(index) {
                return TimeFound::In(chunk.clone());
            }
        }
        let index = self.runs.partition_point(|run| run.arrival < at);
        let first = self.runs.get(index).map_or(self.tail.next, |run| run.first);
        TimeFound::At(first.max(self.tail.trimmed).min(self.tail.next))
    }

    /// The chunks that hold what is not trimmed, in order.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        self.chunks.iter()
    }

    /// The chunk that holds this offset, or the next one.
    pub(crate) fn chunk_from(&self, offset: Offset) -> Option<&ChunkRef> {
        self.chunks.get(self.chunks.partition_point(|chunk| chunk.row.end() <= offset))
    }

    /// When the oldest record that can still be read arrived, at the earliest.
    pub(crate) fn oldest_arrival(&self) -> Option<Timestamp> {
        let chunk = self.chunks.front().map(|chunk| chunk.row.first_arrival);
        chunk.or_else(|| self.runs.front().map(|run| run.arrival))
    }
}

/// Cuts whole runs to a read's limits: from `from` on, at most `records_max` records and `bytes_max` bytes of data
/// and keys, yet at least one record. The first run holds `from`.
pub(crate) fn cut(views: Vec<RunView>, from: Offset, read: &Read, tail: Tail) -> ReadAnswer {
    let mut runs: Vec<RunView> = Vec::with_capacity(views.len());
    let mut next = from;
    let (mut records_left, mut bytes_left) = (read.records_max, read.bytes_max);
    // What limits count is never longer than the encoding: when all of that fits, nothing needs decoding.
    let mut encoded_left: usize = views.iter().map(|view| view.bytes.len()).sum();
    for view in views {
        if records_left == 0 {
            break;
        }
        if view.arrival < read.not_before {
            encoded_left -= view.bytes.len();
            next = next.max(view.end());
            continue;
        }
        let skip = u32::try_from(next.saturating_sub(view.first)).expect("the offset lies in the run");
        let fits = encoded_left <= bytes_left;
        encoded_left -= view.bytes.len();
        let end = view.end();
        let part = if skip == 0 && view.count <= records_left && fits {
            Some(view)
        } else {
            view.cut(skip, records_left, bytes_left, runs.is_empty())
        };
        let Some(part) = part else { break };
        if !fits {
            let payload: usize = part.records().map(|(_, record)| record.payload_bytes()).sum();
            bytes_left = bytes_left.saturating_sub(payload);
        }
        next = part.end();
        records_left -= part.count;
        runs.push(part);
        if next < end {
            break;
        }
    }
    ReadAnswer { runs, next, tail }
}
