//! Setting damaged segments aside, while no server has the journal open: what can still be read of them is written anew,
//! what cannot is spelled out, and the damaged files are kept.
//!
//! ```text
//!   seg/7/00000001-0.seg    [ chunk ][ ch?nk ][ chunk ]      set-aside/7-00000001-0.seg    the same
//!                                                            seg/7/00000001-1.seg          [ chunk ][][ chunk ]
//! ```
//!
//! Lost records keep their places: a chunk without runs stands for them, and reads pass over it. The new files count
//! from the moment when the superblocks point to a checkpoint that names them; a crash before that changes nothing.

use std::ops::Range;
use std::sync::Arc;

use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{Disk, DiskError, DiskFile};
use thalweg_types::{Offset, ShardKey, StreamId, Timestamp};

use crate::buffer_pool::BufferPool;
use crate::checkpoint;
use crate::error::OpenError;
use crate::index;
use crate::manifest::SegmentRow;
use crate::pace::Pace;
use crate::reader::read_chunk;
use crate::segment::{self, ChunkRow, ChunkRun, SegmentName};
use crate::segment_writer::{SegmentWriter, Tools};
use crate::settings::Settings;
use crate::superblock::{Found, Superblocks};

/// Where the damaged files are kept.
const DIRECTORY: &str = "set-aside";
/// So much of a file is copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A segment that was set aside.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// What it was.
    pub file: String,
    /// Where the damaged file is kept; `None` when it was not there at all.
    pub kept: Option<String>,
    /// What could not be read of it, in its order.
    pub lost: Vec<Lost>,
}

/// Records that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whose they are.
    pub shard: ShardKey,
    /// Which they are.
    pub offsets: Range<Offset>,
    /// When the first and the last of them arrived, as far as that is known.
    pub arrivals: (Timestamp, Timestamp),
}

/// A part of a chunk: neighbouring runs that are whole, or records that are lost.
enum Part {
    Whole(Vec<ChunkRun>),
    Lost(ChunkRow),
}

/// Writes every segment anew in which something cannot be read, without what is lost.
///
/// # Errors
/// The disk's; and where damage goes beyond records, that damage: neither the index nor the segment says then what was
/// there. Nothing is changed in that case.
pub async fn set_aside(disk: &dyn Disk) -> Result<Vec<SetAside>, OpenError> {
    let mut superblocks = match Superblocks::find(disk).await? {
        Found::Journal { superblocks, .. } => superblocks,
        Found::Nothing { reason } => return Err(reason),
    };
    let current = superblocks.current();
    if current.checkpoint == 0 {
        return Ok(Vec::new());
    }
    let mut manifest = checkpoint::read(disk, current.journal, current.checkpoint).await?;
    let mut damaged = Vec::new();
    for (&stream, row) in &manifest.streams {
        for (&number, row) in &row.segments {
            let name = SegmentName { stream, number, revision: row.revision };
            let chunks = match index::read(disk, current.journal, name, row).await {
                Err(error) if !error.is_damage() => return Err(error),
                Err(_) => index::scan(disk, current.journal, name, row).await?,
                Ok(chunks) => chunks,
            };
            if !is_whole(disk, name, &chunks).await? {
                damaged.push((name, *row, chunks));
            }
        }
    }
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (name, row, chunks) in &damaged {
        let kept = keep(disk, *name).await?;
        let (new, lost) = rewrite(disk, current.journal, *name, row, chunks).await?;
        let stream = manifest.streams.get_mut(&name.stream).expect("it was found there");
        stream.segments.insert(name.number, new);
        all.push(SetAside { file: name.data_path(), kept, lost });
    }
    manifest.number += 1;
    checkpoint::write(disk, &manifest, current.journal).await?;
    superblocks.store(|superblock| superblock.checkpoint = manifest.number).await?;
    // What is left of these after a crash here, the next start removes.
    checkpoint::remove(disk, &checkpoint::path(current.checkpoint)).await?;
    for (name, ..) in &damaged {
        checkpoint::remove(disk, &name.data_path()).await?;
        checkpoint::remove(disk, &name.index_path()).await?;
    }
    Ok(all)
}

async fn is_whole(disk: &dyn Disk, name: SegmentName, chunks: &[ChunkRow]) -> Result<bool, DiskError> {
    let Some(file) = open(disk, &name.data_path()).await? else { return Ok(false) };
    for row in chunks {
        if read_chunk(&*file, &name, row).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn open(disk: &dyn Disk, path: &str) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
    match disk.open(path, Access::ReadOnly).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies a segment's files to where they are kept, as far as they can be read; answers where its data is.
async fn keep(disk: &dyn Disk, name: SegmentName) -> Result<Option<String>, DiskError> {
    disk.create_directory(DIRECTORY).await?;
    disk.sync_directory("").await?;
    let mut kept = None;
    for from in [name.index_path(), name.data_path()] {
        let file_name = from.rsplit('/').next().expect("a path has a last part");
        let to = format!("{DIRECTORY}/{}-{file_name}", name.stream.0);
        kept = copy(disk, &from, &to).await?.then_some(to);
    }
    disk.sync_directory(DIRECTORY).await?;
    Ok(kept)
}

/// Whether there was something to copy.
async fn copy(disk: &dyn Disk, from: &str, to: &str) -> Result<bool, DiskError> {
    let Some(source) = open(disk, from).await? else { return Ok(false) };
    checkpoint::remove(disk, to).await?;
    let target = disk.create(to, Access::Appended).await?;
    let length = source.length().await?;
    for at in (0..length).step_by(usize::try_from(PIECE_BYTES).expect("it is small")) {
        let mut piece = vec![0; usize::try_from(PIECE_BYTES.min(length - at)).expect("it is small")];
        // What cannot be read is zeros in the copy.
        let _ = source.read(at, &mut piece).await;
        target.write(at, &piece).await?;
    }
    target.sync().await?;
    Ok(true)
}

/// Writes the next revision of a segment; answers its row and what is lost.
async fn rewrite(
    disk: &dyn Disk,
    journal: u64,
    old: SegmentName,
    row: &SegmentRow,
    chunks: &[ChunkRow],
) -> Result<(SegmentRow, Vec<Lost>), DiskError> {
    let name = SegmentName { revision: old.revision + 1, ..old };
    // What a crash left of the same.
    checkpoint::remove(disk, &name.data_path()).await?;
    checkpoint::remove(disk, &name.index_path()).await?;
    let (settings, pace) = (Settings::default(), Pace::Unpaced);
    let buffers = &BufferPool::new(0);
    let tools = Tools { disk, journal, settings: &settings, buffers, pace: &pace };
    let mut writer = SegmentWriter::create(tools, name, row.data_bytes).await?;
    let file = open(disk, &old.data_path()).await?;
    let mut lost = Vec::new();
    for chunk in chunks {
        let mut bytes = vec![0; chunk.length as usize];
        let read = match &file {
            // A device that cannot read it has lost it, as one that reads something else.
            Some(file) => file.read(chunk.position, &mut bytes).await.is_ok(),
            None => false,
        };
        for part in parts(&bytes[..if read { bytes.len() } else { 0 }], old.stream, chunk) {
            match part {
                Part::Whole(runs) => {
                    let runs = runs.iter().map(|run| (*run, &bytes[run.start..][..run.length as usize]));
                    writer.append(chunk.shard, runs).await?;
                }
                Part::Lost(row) => {
                    writer.append_lost(&row).await?;
                    lost.push(Lost {
                        shard: ShardKey { stream: old.stream, shard: row.shard },
                        offsets: row.first..row.end(),
                        arrivals: (row.first_arrival, row.last_arrival),
                    });
                }
            }
        }
    }
    let mut written = writer.finish().await?;
    written.sync(disk).await?;
    written.row.open = row.open;
    Ok((written.row, lost))
}

/// What of a chunk is whole and what is lost, in order.
fn parts(bytes: &[u8], stream: StreamId, row: &ChunkRow) -> Vec<Part> {
    let runs = match segment::decode_chunk(bytes, stream, row.position) {
        Ok((found, runs)) if found == *row && !runs.is_empty() => runs,
        _ => return vec![Part::Lost(*row)],
    };
    let mut parts: Vec<Part> = Vec::new();
    for run in runs {
        match (segment::check_chunk_runs(bytes, &[run]), parts.last_mut()) {
            (Ok(()), Some(Part::Whole(runs))) => runs.push(run),
            (Ok(()), _) => parts.push(Part::Whole(vec![run])),
            (Err(_), Some(Part::Lost(lost))) => {
                lost.count += u64::from(run.count);
                lost.last_arrival = run.arrival;
            }
            (Err(_), _) => parts.push(Part::Lost(ChunkRow {
                first: run.first,
                count: u64::from(run.count),
                first_arrival: run.arrival,
                last_arrival: run.arrival,
                ..*row
            })),
        }
    }
    parts
}
