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
use thalweg_types::{Offset, ShardKey, Timestamp};

use crate::buffer_pool::BufferPool;
use crate::checkpoint;
use crate::error::OpenError;
use crate::manifest::{Manifest, SegmentRow};
use crate::pace::Pace;
use crate::reader::read_chunk;
use crate::recovery::{self, Chunks};
use crate::salvage::{self, Part};
use crate::segment::{ChunkRow, SegmentName};
use crate::segment_writer::{SegmentWriter, Tools};
use crate::settings::Settings;
use crate::superblock::{Found, Superblocks};
use crate::survey::{Chunk, Surveyed, survey};

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

/// Writes every segment anew in which something cannot be read, without what is lost.
///
/// # Errors
/// The disk's; and where damage goes beyond segments, that damage. Nothing is changed in that case.
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
    for segment in survey_all(disk, current.journal, &manifest).await? {
        if segment.fault.is_some() || !is_whole(disk, &segment).await? {
            damaged.push(segment);
        }
    }
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    // The checkpoint that is written now may have the name of one that a superblock names which could not be read.
    superblocks.store(|_| {}).await?;
    let mut all = Vec::new();
    for segment in &damaged {
        let name = segment.name;
        let kept = keep(disk, name).await?;
        let (new, lost) = rewrite(disk, current.journal, segment).await?;
        let stream = manifest.streams.get_mut(&name.stream).expect("it was found there");
        match new {
            Some(row) => drop(stream.segments.insert(name.number, row)),
            // All that was in it was trimmed, or is told with another one.
            None => drop(stream.segments.remove(&name.number)),
        }
        all.push(SetAside { file: name.data_path(), kept, lost });
    }
    // What a start would refuse does not come to count.
    for segment in survey_all(disk, current.journal, &manifest).await? {
        if let Some(fault) = segment.fault {
            return Err(fault);
        }
    }
    manifest.number += 1;
    checkpoint::write(disk, &manifest, current.journal).await?;
    superblocks.store(|superblock| superblock.checkpoint = manifest.number).await?;
    // What is left of these after a crash here, the next start removes.
    checkpoint::remove(disk, &checkpoint::path(current.checkpoint)).await?;
    for segment in &damaged {
        for from in [segment.name.index_path(), segment.name.data_path()] {
            // Better than the copy, where not all could be read.
            match disk.rename(&from, &kept_path(segment.name, &from)).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    disk.sync_directory(DIRECTORY).await?;
    Ok(all)
}

/// All segments, in which every shard's chunks are neighbours up to the end that the checkpoint names.
async fn survey_all(disk: &dyn Disk, journal: u64, manifest: &Manifest) -> Result<Vec<Surveyed>, OpenError> {
    let mut all = Vec::new();
    let mut chunks = Chunks::new();
    for (&stream, row) in &manifest.streams {
        for segment in survey(disk, journal, manifest, stream, row).await? {
            let rows = segment.chunks.iter().map(|chunk| *chunk.row()).collect();
            recovery::add_chunks(&mut chunks, manifest, segment.name, rows)?;
            all.push(segment);
        }
    }
    recovery::check_ends(&chunks, manifest)?;
    Ok(all)
}

async fn is_whole(disk: &dyn Disk, segment: &Surveyed) -> Result<bool, DiskError> {
    let name = segment.name;
    let Some(file) = open(disk, &name.data_path()).await? else { return Ok(false) };
    for chunk in segment.chunks.iter().filter(|chunk| !matches!(chunk, Chunk::Gone(_))) {
        if read_chunk(&*file, &name, chunk.row()).await.is_err() {
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

/// Where one of a segment's files is kept.
fn kept_path(name: SegmentName, file: &str) -> String {
    let file_name = file.rsplit('/').next().expect("a path has a last part");
    format!("{DIRECTORY}/{}-{file_name}", name.stream.0)
}

/// Copies a segment's files to where they are kept, as far as they can be read; answers where its data is.
async fn keep(disk: &dyn Disk, name: SegmentName) -> Result<Option<String>, DiskError> {
    disk.create_directory(DIRECTORY).await?;
    disk.sync_directory("").await?;
    let mut kept = None;
    for from in [name.index_path(), name.data_path()] {
        let to = kept_path(name, &from);
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

/// Writes the next revision of a segment; answers its row, if there is something to write, and what is lost.
async fn rewrite(
    disk: &dyn Disk,
    journal: u64,
    segment: &Surveyed,
) -> Result<(Option<SegmentRow>, Vec<Lost>), DiskError> {
    let (old, row) = (segment.name, &segment.row);
    if segment.chunks.iter().all(|chunk| matches!(chunk, Chunk::Gone(_))) {
        return Ok((None, Vec::new()));
    }
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
    let tell = |row: &ChunkRow| Lost {
        shard: ShardKey { stream: old.stream, shard: row.shard },
        offsets: row.first..row.end(),
        arrivals: (row.first_arrival, row.last_arrival),
    };
    for chunk in &segment.chunks {
        let row = match chunk {
            Chunk::Known(row) => row,
            Chunk::Missing(row) => {
                writer.append_lost(row).await?;
                lost.push(tell(row));
                continue;
            }
            Chunk::Gone(_) => continue,
        };
        let bytes = salvage::read(file.as_deref(), row).await;
        for part in salvage::parts(&bytes, old.stream, row) {
            match part {
                Part::Whole(runs) => {
                    let runs = runs.iter().map(|run| (*run, &bytes[run.start..][..run.length as usize]));
                    writer.append(row.shard, runs).await?;
                }
                Part::LostBefore => writer.append_lost(row).await?,
                Part::Lost(row, _) => {
                    writer.append_lost(&row).await?;
                    lost.push(tell(&row));
                }
            }
        }
    }
    let mut written = writer.finish().await?;
    written.sync(disk).await?;
    written.row.open = row.open;
    Ok((Some(written.row), lost))
}
