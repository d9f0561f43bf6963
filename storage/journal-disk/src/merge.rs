//! Rewriting closed segments whose chunks came out small: many shards shared each round of draining, and a read
//! should not need a disk access for every few kilobytes.
//!
//! ```text
//!   00000007-0.seg   [A][B][C][A][B][C][A] …          00000007-1.seg   [ A A A ][ B B ][ C C ]
//! ```
//!
//! The new file has the same number and the next revision; runs are copied verbatim and checked on the way. This
//! loop only writes it: the maintenance loop, which owns the manifest, lets it count and removes the old one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use thalweg_system::disk::Access;
use thalweg_types::{ShardIndex, ShardKey};
use tokio::sync::mpsc;

use crate::checkpoint;
use crate::engine::{Engine, Phase};
use crate::index;
use crate::manifest::SegmentRow;
use crate::pace::{self, Pace};
use crate::reader::read_chunk;
use crate::segment::{self, ChunkRow, ChunkRun, SegmentName};
use crate::segment_writer::SegmentWriter;
use crate::shards::ChunkRef;

/// Chunks count as small below this part of the largest.
const SMALL_PART: u64 = 4;

/// A segment to rewrite.
pub(crate) struct Candidate {
    pub(crate) name: SegmentName,
    pub(crate) row: SegmentRow,
}

/// A segment that was rewritten.
pub(crate) struct Merged {
    pub(crate) old: SegmentName,
    pub(crate) name: SegmentName,
    pub(crate) row: SegmentRow,
    pub(crate) chunks: BTreeMap<ShardKey, Vec<ChunkRef>>,
}

/// Between the maintenance loop and this one: one candidate at a time.
pub(crate) struct MergeDesk {
    candidates: mpsc::Sender<Candidate>,
    merged: Mutex<Option<Merged>>,
}

impl MergeDesk {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Candidate>) {
        let (candidates, receiver) = mpsc::channel(1);
        (MergeDesk { candidates, merged: Mutex::new(None) }, receiver)
    }

    /// Offers a segment; false when another one is still waiting.
    pub(crate) fn offer(&self, candidate: Candidate) -> bool {
        self.candidates.try_send(candidate).is_ok()
    }

    pub(crate) fn take_merged(&self) -> Option<Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, merged: Merged) {
        *self.merged.lock().unwrap_or_else(PoisonError::into_inner) = Some(merged);
    }

    fn is_free(&self) -> bool {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// Whether rewriting could be worth it, by what the manifest knows.
pub(crate) fn is_candidate(row: &SegmentRow, chunk_bytes_max: usize) -> bool {
    !row.open
        && row.revision == 0
        && row.chunks > 1
        && row.data_bytes / u64::from(row.chunks) < chunk_bytes_max as u64 / SMALL_PART
}

/// Rewrites what is offered, until the journal ends.
pub(crate) async fn run(engine: Arc<Engine>, mut candidates: mpsc::Receiver<Candidate>) {
    loop {
        let candidate = tokio::select! {
            biased;
            () = engine.reached(Phase::Closing) => return,
            candidate = candidates.recv() => candidate,
        };
        let Some(candidate) = candidate else { return };
        while !engine.merge.is_free() {
            // The last one has not been taken yet.
            tokio::select! {
                biased;
                () = engine.reached(Phase::Closing) => return,
                () = engine.clock.sleep(engine.settings.chores_interval) => {}
            }
        }
        let merged = tokio::select! {
            biased;
            // The new files are leftovers then, and the next start removes them.
            () = engine.reached(Phase::Closing) => return,
            merged = merge(&engine, &candidate) => merged,
        };
        match merged {
            Ok(Some(merged)) => engine.merge.put(merged),
            Ok(None) => {}
            Err(reason) => {
                // Not tried again before the next start. Damage is met by reads and by the scrub, which tell it.
                tracing::warn!(segment = candidate.name.data_path(), reason, "a segment was not rewritten");
                remove(&engine, new_name(candidate.name)).await;
            }
        }
    }
}

fn new_name(old: SegmentName) -> SegmentName {
    SegmentName { revision: old.revision + 1, ..old }
}

async fn remove(engine: &Engine, name: SegmentName) {
    for path in [name.data_path(), name.index_path()] {
        if let Err(error) = checkpoint::remove(&*engine.disk, &path).await {
            tracing::warn!(%error, "a leftover stays until the next start");
        }
    }
}

/// A run on its way: its row and its bytes.
type Copied = (ChunkRun, Bytes);

/// Writes the new segment. `None` when its chunks would not be much fewer.
async fn merge(engine: &Engine, candidate: &Candidate) -> Result<Option<Merged>, String> {
    let Candidate { name: old, row } = candidate;
    let disk = &*engine.disk;
    let chunk_bytes_max = engine.settings.chunk_bytes_max;
    let rows = index::load(disk, engine.journal, *old, row).await.map_err(|error| error.to_string())?;
    let mut by_shard: BTreeMap<ShardIndex, Vec<ChunkRow>> = BTreeMap::new();
    for row in rows {
        by_shard.entry(row.shard).or_default().push(row);
    }
    let fewest: u64 = by_shard
        .values()
        .map(|rows| {
            let bytes: u64 = rows.iter().map(|row| u64::from(row.length)).sum();
            bytes.div_ceil(chunk_bytes_max as u64)
        })
        .sum();
    if fewest * 2 > u64::from(row.chunks) {
        return Ok(None);
    }
    let file = disk.open(&old.data_path(), Access::ReadOnly).await.map_err(|error| error.to_string())?;
    let name = new_name(*old);
    remove(engine, name).await;
    let failed = |error: thalweg_system::DiskError| error.to_string();
    // What the new chunks have at most: rows of runs stay, headers become fewer.
    let bytes = by_shard.values().flatten().map(|row| u64::from(row.length)).sum();
    let (clock, bytes_per_second) = (&*engine.clock, engine.settings.merge_bytes_per_second.max(1));
    let pace = Pace::Rate { clock, bytes_per_second, piece_bytes: engine.settings.paced_bytes_min };
    let mut writer = SegmentWriter::create(engine.tools(&pace), name, bytes).await.map_err(failed)?;
    let segment = Arc::new(name);
    let mut chunks: BTreeMap<ShardKey, Vec<ChunkRef>> = BTreeMap::new();
    for (shard, rows) in by_shard {
        let written = chunks.entry(ShardKey { stream: old.stream, shard }).or_default();
        let mut runs: Vec<Copied> = Vec::new();
        let mut payload_bytes = 0;
        for row in rows {
            let chunk = read_chunk(&*file, old, &row).await.map_err(|error| error.to_string())?;
            for run in chunk.runs() {
                let next = payload_bytes + run.length as usize;
                if !runs.is_empty() && segment::chunk_bytes(runs.len() + 1, next) > chunk_bytes_max {
                    let row = append(&mut writer, shard, &runs).await.map_err(failed)?;
                    written.push(ChunkRef { segment: Arc::clone(&segment), row });
                    runs.clear();
                    payload_bytes = 0;
                }
                payload_bytes += run.length as usize;
                runs.push((*run, chunk.view(run).bytes));
            }
            pace::spend(clock, u64::from(row.length), bytes_per_second).await;
        }
        let row = append(&mut writer, shard, &runs).await.map_err(failed)?;
        written.push(ChunkRef { segment: Arc::clone(&segment), row });
    }
    let mut written = writer.finish().await.map_err(failed)?;
    written.sync(disk).await.map_err(failed)?;
    written.row.open = false;
    Ok(Some(Merged { old: *old, name, row: written.row, chunks }))
}

async fn append(
    writer: &mut SegmentWriter<'_>,
    shard: ShardIndex,
    runs: &[Copied],
) -> Result<ChunkRow, thalweg_system::DiskError> {
    writer.append(shard, runs.iter().map(|(run, bytes)| (*run, &bytes[..]))).await
}
