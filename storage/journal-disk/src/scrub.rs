//! Re-reading stored chunks at a low rate, so that rot is found while there may still be something to do about it.
//! It repairs nothing: it says which file and where.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use thalweg_journal::ReadError;
use thalweg_system::disk::{Access, DiskErrorKind};

use crate::engine::{Engine, Phase};
use crate::pace;
use crate::reader::read_chunk;
use crate::shards::ChunkRef;

/// Goes round for ever, until the journal ends.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        tokio::select! {
            biased;
            () = engine.reached(Phase::Closing) => return,
            () = engine.clock.sleep(engine.settings.scrub_interval) => {}
        }
        if engine.settings.scrub_bytes_per_second > 0 && round(&engine).await {
            return;
        }
    }
}

/// Reads every chunk once. True when the journal ended meanwhile.
async fn round(engine: &Engine) -> bool {
    let rate = engine.settings.scrub_bytes_per_second;
    let (mut chunks_read, mut damaged) = (0u64, 0u64);
    for shard in engine.shards.all() {
        let mut next = 0;
        // One at a time: the list may change between two looks, and a copy of it would be large.
        loop {
            let Some(chunk) = shard.state().chunk_from(next).cloned() else { break };
            next = chunk.row.end();
            if let Err(error) = read(engine, &chunk).await {
                damaged += 1;
                engine.chunks_damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, shard = %shard.key, "stored records are damaged");
            }
            chunks_read += 1;
            engine.chunks_scrubbed.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                biased;
                () = engine.reached(Phase::Closing) => return true,
                () = pace::spend(&*engine.clock, u64::from(chunk.row.length), rate) => {}
            }
        }
    }
    tracing::info!(chunks_read, damaged, "re-read the stored records");
    false
}

/// Reads a chunk from the device, not from memory, and checks it.
async fn read(engine: &Engine, chunk: &ChunkRef) -> Result<(), ReadError> {
    let path = chunk.segment.data_path();
    let file = match engine.disk.open(&path, Access::ReadOnly).await {
        // Removed or replaced meanwhile; or it must wait for the next round.
        Err(error) if matches!(error.kind, DiskErrorKind::NotFound | DiskErrorKind::TooManyOpen) => {
            return Ok(());
        }
        other => other.map_err(|error| ReadError::Disk(error.to_string()))?,
    };
    file.drop_cache(chunk.row.position, u64::from(chunk.row.length));
    let read = read_chunk(&*file, &chunk.segment, &chunk.row).await;
    file.drop_cache(chunk.row.position, u64::from(chunk.row.length));
    read.map(drop)
}
