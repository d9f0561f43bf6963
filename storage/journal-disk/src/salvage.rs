//! What can still be read of a damaged chunk: its runs, each under a checksum of its own.
//!
//! Not here: which chunks there are ([`crate::survey`]).

use thalweg_journal::record::are_records;
use thalweg_system::DiskFile;
use thalweg_types::StreamId;

use crate::segment::{self, ChunkFault, ChunkRow, ChunkRun};

/// A part of a chunk.
pub(crate) enum Part {
    /// Neighbouring runs that are whole.
    Whole(Vec<ChunkRun>),
    /// Records that are lost, and where and why.
    Lost(ChunkRow, ChunkFault),
    /// The whole chunk stands for records that were lost and told before.
    LostBefore,
}

/// A chunk's bytes, as far as the file has them and the disk can read them; zeros elsewhere.
pub(crate) async fn read(file: Option<&dyn DiskFile>, row: &ChunkRow) -> Vec<u8> {
    let mut bytes = vec![0; row.length as usize];
    let Some(file) = file else { return bytes };
    if file.read(row.position, &mut bytes).await.is_ok() {
        return bytes;
    }
    bytes.fill(0);
    let length = file.length().await.unwrap_or(u64::MAX);
    let there = usize::try_from(length.saturating_sub(row.position)).unwrap_or(usize::MAX).min(bytes.len());
    // Block by block of the file: a device that cannot read one may have the others.
    let mut start = 0;
    while start < there {
        let block_end = segment::next_block(row.position + start as u64 + 1) - row.position;
        let end = there.min(usize::try_from(block_end).expect("chunks are below 4 GiB"));
        if file.read(row.position + start as u64, &mut bytes[start..end]).await.is_err() {
            bytes[start..end].fill(0);
        }
        start = end;
    }
    bytes
}

/// What of a chunk is whole and what is lost, in order.
pub(crate) fn parts(bytes: &[u8], stream: StreamId, row: &ChunkRow) -> Vec<Part> {
    let runs = match segment::decode_chunk(bytes, stream, row.position) {
        Ok((found, runs)) if found == *row => runs,
        Ok(_) => {
            let what = "the chunk is not the one that the index names";
            return vec![Part::Lost(*row, ChunkFault { at: 0, what })];
        }
        Err(fault) => return vec![Part::Lost(*row, fault)],
    };
    if runs.is_empty() {
        return vec![Part::LostBefore];
    }
    let mut parts: Vec<Part> = Vec::new();
    for run in runs {
        match (check_run(bytes, &run), parts.last_mut()) {
            (Ok(()), Some(Part::Whole(runs))) => runs.push(run),
            (Ok(()), _) => parts.push(Part::Whole(vec![run])),
            (Err(_), Some(Part::Lost(lost, _))) => {
                lost.count += u64::from(run.count);
                lost.last_arrival = run.arrival;
            }
            (Err(fault), _) => {
                let lost = ChunkRow {
                    first: run.first,
                    count: u64::from(run.count),
                    first_arrival: run.arrival,
                    last_arrival: run.arrival,
                    ..*row
                };
                parts.push(Part::Lost(lost, fault));
            }
        }
    }
    parts
}

fn check_run(bytes: &[u8], run: &ChunkRun) -> Result<(), ChunkFault> {
    segment::check_chunk_runs(bytes, &[*run])?;
    match are_records(&bytes[run.start..][..run.length as usize], run.count) {
        true => Ok(()),
        false => Err(ChunkFault { at: run.start, what: "a run is not the records that it says" }),
    }
}
