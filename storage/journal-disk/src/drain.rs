//! Draining: batches in memory become chunks in segments.
//!
//! ```text
//!   batches   [A1 B1 A2] [C1 A3] [B2 seal C]        runs of shards A, B, C in the order of the log
//!   chunks    [A1 A2 A3] [B1 B2] [C1]               per shard, cut at chunk_bytes_max; runs verbatim
//! ```
//!
//! A round makes a new manifest beside the old one and writes files that nothing names yet. Only the checkpoint
//! that follows ([`crate::maintenance`]) makes it count; until then everything can be undone by cutting the files
//! back.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{Disk, DiskError};
use thalweg_types::{ShardKey, StreamId, Timestamp};

use crate::batch::{Batch, Entry, Kind};
use crate::checkpoint;
use crate::manifest::{Manifest, SegmentRow, ShardRow};
use crate::pace::{ENTRIES_PER_LOOK, Pace, Steps};
use crate::retention::Retention;
use crate::segment::{self, ChunkRun, HEADER_BYTES, SegmentName};
use crate::segment_writer::{SegmentWriter, Tools, Written};
use crate::settings::Settings;
use crate::shards::ChunkRef;

/// So many entries of a batch are looked at twice: their places in the hash table come into the processor's cache
/// together at first, then each is used.
const ENTRIES_AHEAD: usize = 64;

/// A run to drain: which batch of the round it is in, and where in that batch it starts.
type Taken = (u32, ChunkRun);

/// Where a run will be.
const NO_RUN: Taken =
    (0, ChunkRun { first: 0, count: 0, arrival: Timestamp::ZERO, length: 0, checksum: 0, start: 0 });

/// A shard of a round, as of its last run there.
struct TakenShard {
    key: ShardKey,
    row: ShardRow,
    runs: u32,
    /// Its stream was deleted in this round, or it was forgotten: nothing of it is written.
    is_gone: bool,
}

/// The shards of a round and their runs. A round may have a hundred thousand runs: each costs one look into a hash
/// table.
#[derive(Default)]
struct TakenShards {
    shards: Vec<TakenShard>,
    places: FxHashMap<ShardKey, u32>,
    /// In the order of the log, each with the place of its shard.
    runs: Vec<(u32, Taken)>,
}

/// A shard's runs to write, in order, and the shard as of the last one.
struct ShardRuns {
    key: ShardKey,
    row: ShardRow,
    runs: Range<usize>,
}

/// A chunk to write.
struct Planned<'a> {
    key: ShardKey,
    runs: &'a [Taken],
    /// All of it.
    bytes: u64,
}

/// What a round of draining writes and what it leads to.
pub(crate) struct Round {
    /// As of the end of the round's batches.
    pub(crate) next: Manifest,
    /// The chunks written: those of a shard one after the other, in order.
    pub(crate) chunks: Vec<(ShardKey, ChunkRef)>,
    /// Segments begun because their stream's last one was full or old.
    pub(crate) rolled: u64,
    /// Segments of deleted streams, to remove once the manifest counts.
    pub(crate) removed: Vec<SegmentName>,
    /// Streams that were deleted.
    pub(crate) deleted: Vec<StreamId>,
}

/// Segments that a round has touched: with the row to go back to, or `None` when they are new.
#[derive(Default)]
pub(crate) struct Touched(Vec<(SegmentName, Option<SegmentRow>)>);

/// What the writing of segments needs to know.
pub(crate) struct Place<'a> {
    pub(crate) tools: Tools<'a>,
    pub(crate) retention: &'a Retention,
    pub(crate) now: Timestamp,
}

/// Takes the batches into a copy of the manifest: which runs must be written, and which streams are gone.
///
/// # Panics
/// When the batches do not follow from the manifest: they were placed by us or checked by recovery.
async fn take_in(
    manifest: &Manifest,
    batches: &[Arc<Batch>],
    pace: &Pace<'_>,
) -> (Round, Vec<ShardRuns>, Vec<Taken>) {
    let mut round = Round {
        next: manifest.clone(),
        chunks: Vec::new(),
        rolled: 0,
        removed: Vec::new(),
        deleted: Vec::new(),
    };
    let mut taken = TakenShards::default();
    taken.runs.reserve(batches.iter().map(|batch| batch.entries as usize).sum());
    let mut ahead = Vec::with_capacity(ENTRIES_AHEAD);
    let mut steps = pace.steps();
    for (index, batch) in batches.iter().enumerate() {
        let index = u32::try_from(index).expect("a round has far fewer batches");
        let mut rest = batch.entries();
        loop {
            ahead.clear();
            ahead.extend(rest.by_ref().take(ENTRIES_AHEAD));
            if ahead.is_empty() {
                break;
            }
            taken.fetch(&ahead);
            for (entry, start) in ahead.drain(..) {
                take_entry(&mut round, &mut taken, index, batch.end.position, &entry, start);
            }
        }
        steps.did(batch.entries as usize).await;
    }
    let (shards, runs) = taken.by_shard(&mut steps).await;
    for shard in &shards {
        round.next.shards.insert(shard.key, shard.row);
    }
    (round, shards, runs)
}

/// Takes in one entry of batch `index` of the round, whose run begins at `start` there.
fn take_entry(
    round: &mut Round,
    taken: &mut TakenShards,
    index: u32,
    position: u64,
    entry: &Entry,
    start: usize,
) {
    const FOLLOWS: &str = "the log follows from the manifest";
    match entry.kind {
        Kind::Records => {
            let place = taken.place(entry.shard, &round.next).expect(FOLLOWS);
            let shard = &mut taken.shards[place as usize];
            shard.row.take_records(entry).expect(FOLLOWS);
            shard.runs += 1;
            taken.runs.push((place, (index, run_of(entry, start))));
        }
        Kind::Open | Kind::Seal | Kind::Trim => {
            taken.put_back(entry.shard, &mut round.next);
            round.next.apply(entry, position).expect(FOLLOWS);
            taken.look_again(entry.shard, &round.next);
        }
        Kind::Forget => {
            taken.put_back(entry.shard, &mut round.next);
            round.next.apply(entry, position).expect(FOLLOWS);
            taken.forget_shard(entry.shard);
        }
        Kind::Delete => {
            let stream = entry.shard.stream;
            taken.forget_stream(stream);
            round.next.apply(entry, position).expect(FOLLOWS);
            if let Some(row) = round.next.streams.remove(&stream) {
                for (number, segment) in row.segments {
                    round.removed.push(SegmentName { stream, number, revision: segment.revision });
                }
            }
            round.deleted.push(stream);
        }
    }
}

fn run_of(entry: &Entry, start: usize) -> ChunkRun {
    ChunkRun {
        first: entry.first,
        count: entry.count,
        arrival: entry.arrival,
        length: entry.length,
        checksum: entry.checksum,
        start,
    }
}

impl TakenShards {
    /// Brings what these entries need into the processor's cache.
    fn fetch(&self, entries: &[(Entry, usize)]) {
        for (entry, _) in entries {
            black_box(self.places.get(&entry.shard).map(|place| self.shards[*place as usize].runs));
        }
    }

    /// `None` when there is no such shard.
    fn place(&mut self, key: ShardKey, manifest: &Manifest) -> Option<u32> {
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let place = u32::try_from(self.shards.len()).expect("a round has far fewer shards");
        self.shards.push(TakenShard { key, row: *manifest.shards.get(&key)?, runs: 0, is_gone: false });
        self.places.insert(key, place);
        Some(place)
    }

    /// Tells the manifest how far the shard has come, if it is one of these.
    fn put_back(&self, key: ShardKey, manifest: &mut Manifest) {
        if let Some(place) = self.places.get(&key) {
            manifest.shards.insert(key, self.shards[*place as usize].row);
        }
    }

    /// Takes the shard as the manifest has it now, if it is one of these.
    fn look_again(&mut self, key: ShardKey, manifest: &Manifest) {
        if let Some(place) = self.places.get(&key) {
            self.shards[*place as usize].row = manifest.shards[&key];
        }
    }

    /// The shard is gone.
    fn forget_shard(&mut self, key: ShardKey) {
        if let Some(place) = self.places.remove(&key) {
            self.shards[place as usize].is_gone = true;
        }
    }

    /// The stream is gone.
    fn forget_stream(&mut self, stream: StreamId) {
        for shard in self.shards.iter_mut().filter(|shard| shard.key.stream == stream) {
            shard.is_gone = true;
            self.places.remove(&shard.key);
        }
    }

    /// The runs by shard, and in the order of the log in each shard. Counted and put where they belong: with few runs
    /// each, ten thousand vectors that grow would cost more than the runs.
    async fn by_shard(&self, steps: &mut Steps<'_>) -> (Vec<ShardRuns>, Vec<Taken>) {
        let mut order: Vec<usize> =
            (0..self.shards.len()).filter(|place| !self.shards[*place].is_gone).collect();
        order.sort_unstable_by_key(|place| self.shards[*place].key);
        let mut nexts = vec![usize::MAX; self.shards.len()];
        let mut shards = Vec::with_capacity(order.len());
        let mut end = 0;
        for place in order {
            let TakenShard { key, row, runs, is_gone: _ } = self.shards[place];
            let start = end;
            nexts[place] = start;
            end += runs as usize;
            shards.push(ShardRuns { key, row, runs: start..end });
        }
        let mut sorted = Vec::with_capacity(end);
        // In steps, too: this is the first time that this memory is touched.
        while sorted.len() < end {
            let more = (end - sorted.len()).min(ENTRIES_PER_LOOK);
            sorted.resize(sorted.len() + more, NO_RUN);
            steps.did(more).await;
        }
        for runs in self.runs.chunks(ENTRIES_PER_LOOK) {
            for (place, taken) in runs {
                let next = &mut nexts[*place as usize];
                if *next != usize::MAX {
                    sorted[*next] = *taken;
                    *next += 1;
                }
            }
            steps.did(runs.len()).await;
        }
        (shards, sorted)
    }
}

/// Writes the records of these batches into segments, durably.
///
/// After an error the files in `touched` must be cut back: [`undo`].
pub(crate) async fn write(
    place: &Place<'_>,
    manifest: &Manifest,
    batches: &[Arc<Batch>],
    touched: &mut Touched,
) -> Result<Round, DiskError> {
    let (mut round, shards, runs) = take_in(manifest, batches, place.tools.pace).await;
    let plans = plan(&shards, &runs, place.tools.settings.chunk_bytes_max, place.tools.pace.steps()).await;
    // Open files stay bounded however many streams there are.
    let mut unsynced: Vec<Written> = Vec::new();
    for (stream, chunks) in plans {
        let mut rest = &chunks[..];
        while !rest.is_empty() {
            let has_others = round.next.streams.get(&stream).is_some_and(|row| !row.segments.is_empty());
            let (mut writer, count) = start(place, &mut round.next, stream, rest, touched).await?;
            round.rolled += u64::from(has_others && writer.is_new());
            let (now, later) = rest.split_at(count);
            rest = later;
            let segment = Arc::new(writer.name());
            for chunk in now {
                let runs = chunk.runs.iter().map(|(batch, run)| {
                    (*run, &batches[*batch as usize].bytes[run.start..run.start + run.length as usize])
                });
                let row = writer.append(chunk.key.shard, runs.clone()).await?;
                if is_planted(Bug::ChunkDrainedTwice) {
                    writer.append(chunk.key.shard, runs).await?;
                }
                round.chunks.push((chunk.key, ChunkRef { segment: Arc::clone(&segment), row }));
            }
            let mut written = writer.finish().await?;
            // The stream's next segment follows, or the next stream's: only the former closes this one.
            if !rest.is_empty() {
                written.row.close();
            }
            let row = round.next.streams.get_mut(&stream).expect("its segment was started");
            row.segments.insert(written.name.number, written.row);
            unsynced.push(written);
            if unsynced.len() >= place.tools.settings.unsynced_segments_max {
                sync(place, &mut unsynced).await?;
            }
        }
    }
    sync(place, &mut unsynced).await?;
    Ok(round)
}

/// Makes what was written durable.
async fn sync(place: &Place<'_>, unsynced: &mut Vec<Written>) -> Result<(), DiskError> {
    for written in unsynced.drain(..) {
        written.sync(place.tools.disk).await?;
    }
    Ok(())
}

/// Which chunks the runs of each stream will make.
async fn plan<'a>(
    shards: &[ShardRuns],
    runs: &'a [Taken],
    chunk_bytes_max: usize,
    mut steps: Steps<'_>,
) -> BTreeMap<StreamId, Vec<Planned<'a>>> {
    let mut plans: BTreeMap<StreamId, Vec<Planned<'_>>> = BTreeMap::new();
    for shard in shards {
        let key = shard.key;
        let chunks = plans.entry(key.stream).or_default();
        let mut rest = &runs[shard.runs.clone()];
        while !rest.is_empty() {
            let (runs, payload_bytes) = cut_chunk(rest, chunk_bytes_max);
            rest = &rest[runs.len()..];
            chunks.push(Planned { key, runs, bytes: segment::chunk_bytes(runs.len(), payload_bytes) as u64 });
            steps.did(runs.len()).await;
        }
    }
    plans
}

/// How many of these chunks go into a segment that ends at `end`, and their bytes. One is taken at
/// least: a segment that is not empty was looked at before.
fn fitting(chunks: &[Planned<'_>], end: u64, segment_bytes_max: u64) -> (usize, u64) {
    let mut bytes = 0;
    for (count, chunk) in chunks.iter().enumerate() {
        if count > 0 && end + bytes + chunk.bytes > segment_bytes_max {
            return (count, bytes);
        }
        bytes += chunk.bytes;
    }
    (chunks.len(), bytes)
}

/// The runs at the front that make one chunk, and their bytes.
fn cut_chunk(runs: &[Taken], chunk_bytes_max: usize) -> (&[Taken], usize) {
    let mut payload = 0;
    for (count, (_, run)) in runs.iter().enumerate() {
        let next = payload + run.length as usize;
        if count > 0 && segment::chunk_bytes(count + 1, next) > chunk_bytes_max {
            return (&runs[..count], payload);
        }
        payload = next;
    }
    (runs, payload)
}

/// The stream's open segment if it takes the first of these chunks and is not too old, else a new one; and how many of
/// the chunks it takes.
async fn start<'a>(
    place: &Place<'a>,
    next: &mut Manifest,
    stream: StreamId,
    chunks: &[Planned<'_>],
    touched: &mut Touched,
) -> Result<(SegmentWriter<'a>, usize), DiskError> {
    let settings = place.tools.settings;
    let row = next.streams.entry(stream).or_default();
    if let Some((&number, last)) = row.segments.iter_mut().next_back().filter(|(_, last)| last.open) {
        let name = SegmentName { stream, number, revision: last.revision };
        let full = last.data_bytes + chunks[0].bytes > settings.segment_bytes_max;
        if !full && !is_old(last, place.retention.get(stream), settings, place.now) {
            let (count, bytes) = fitting(chunks, last.data_bytes, settings.segment_bytes_max);
            touched.0.push((name, Some(*last)));
            return Ok((SegmentWriter::open(place.tools, name, *last, bytes).await?, count));
        }
        last.close();
    }
    let name = SegmentName { stream, number: row.next_segment, revision: 0 };
    row.next_segment += 1;
    let (count, bytes) = fitting(chunks, HEADER_BYTES as u64, settings.segment_bytes_max);
    touched.0.push((name, None));
    Ok((SegmentWriter::create(place.tools, name, bytes).await?, count))
}

/// Whether a segment spans as much time as it may, so that expiry frees space evenly.
pub(crate) fn is_old(
    segment: &SegmentRow,
    retention: Option<Duration>,
    settings: &Settings,
    now: Timestamp,
) -> bool {
    retention.is_some_and(|retention| {
        segment.first_arrival.plus(retention / settings.segments_per_retention) <= now
    })
}

/// Cuts back what a failed round has written: new segments go, others get their last good length. After an error what is
/// still touched is left to do.
pub(crate) async fn undo(disk: &dyn Disk, touched: &mut Touched) -> Result<(), DiskError> {
    while let Some((name, row)) = touched.0.last() {
        match row {
            None => {
                checkpoint::remove(disk, &name.data_path()).await?;
                checkpoint::remove(disk, &name.index_path()).await?;
            }
            Some(row) => {
                cut(disk, &name.data_path(), row.data_bytes).await?;
                cut(disk, &name.index_path(), row.index_bytes).await?;
            }
        }
        touched.0.pop();
    }
    Ok(())
}

/// Cuts a file that may have been removed since it was written to.
async fn cut(disk: &dyn Disk, path: &str, bytes: u64) -> Result<(), DiskError> {
    match disk.open(path, Access::Appended).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        other => other?.truncate(bytes).await,
    }
}

/// Removes the files of segments that nothing names any more, and directories that this empties.
pub(crate) async fn remove(disk: &dyn Disk, segments: &[SegmentName]) -> Result<(), DiskError> {
    for name in segments {
        checkpoint::remove(disk, &name.data_path()).await?;
        checkpoint::remove(disk, &name.index_path()).await?;
    }
    Ok(())
}

/// Removes the directory of a stream that was deleted, if it has one.
pub(crate) async fn remove_stream(disk: &dyn Disk, stream: StreamId) -> Result<(), DiskError> {
    match disk.remove_directory(&segment::directory(stream)).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, length: u32) -> Taken {
        (0, ChunkRun { first, count: 1, arrival: Timestamp::ZERO, length, checksum: 0, start: 0 })
    }

    #[track_caller]
    fn check_cut(lengths: &[u32], chunk_bytes_max: usize, expected: usize) {
        let runs: Vec<_> = lengths.iter().zip(0..).map(|(&length, first)| run(first, length)).collect();
        let (chunk, payload) = cut_chunk(&runs, chunk_bytes_max);
        assert_eq!(chunk.len(), expected);
        assert_eq!(payload, lengths[..expected].iter().sum::<u32>() as usize);
    }

    #[test]
    fn chunks_are_cut_between_runs() {
        // Header 80, a row of 32 per run.
        check_cut(&[100, 100, 100], 80 + 2 * 132, 2);
        check_cut(&[100, 100, 100], 80 + 2 * 132 - 1, 1);
        check_cut(&[100, 100, 100], 10_000, 3);
        // A run is never cut.
        check_cut(&[5000, 10], 1000, 1);
    }
}
