//! Verifying a journal that no server has open: everything is read and compared with its checksums, and nothing is
//! changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_journal::{ReadError, Tail};
use thalweg_system::disk::Access;
use thalweg_system::{Disk, DiskFile};
use thalweg_types::{Offset, ShardKey};

use crate::checkpoint;
use crate::error::OpenError;
use crate::manifest::Manifest;
use crate::reader::read_chunk;
use crate::recovery::{self, Chunks};
use crate::replay::{self, Replay};
use crate::salvage::{self, Part};
use crate::segment::{ChunkRow, SegmentName};
use crate::slot::{self, Slot};
use crate::superblock::{Looked, Superblocks};
use crate::survey::{Chunk, Surveyed, survey};

/// What a journal holds, and how far it is good.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is damaged: a server does not start on it, or cannot read some records.
    pub damage: Vec<Damage>,
    /// What a start makes good by itself.
    pub notes: Vec<String>,
    /// What a catalog knows the journal by; `None` when there is none, or that cannot be told.
    pub identity: Option<u64>,
    /// The shards as of the log's end, with their tails; `None` when damage leaves that open.
    pub tails: Option<Vec<(ShardKey, Tail)>>,
    /// Whether it was closed in good order: then nothing in the ring counts.
    pub is_clean: bool,
    /// The checkpoint's number; 0 before the first.
    pub checkpoint: u64,
    /// The last batch that the checkpoint has taken in.
    pub through: u64,
    /// Batches with entries behind that.
    pub batches: u64,
    /// The number of the log's last batch.
    pub head: u64,
    /// Shards as of the log's end.
    pub shards: u64,
    /// Segments that the checkpoint names.
    pub segments: u64,
    /// Chunks in them.
    pub chunks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of chunks in them.
    pub bytes: u64,
}

/// A place that is not as it was written.
#[derive(Debug)]
pub struct Damage {
    /// File, byte and reason.
    pub what: String,
    /// The records that cannot be read because of it: a shard, and offsets in it. `None` when it is more than records.
    pub records: Option<(ShardKey, std::ops::Range<Offset>)>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.records {
            Some((shard, offsets)) => {
                write!(f, " (records {} to {} of shard {shard})", offsets.start, offsets.end - 1)
            }
            None => Ok(()),
        }
    }
}

impl Checked {
    fn damage(&mut self, error: impl fmt::Display) {
        self.damage.push(Damage { what: error.to_string(), records: None });
    }

    fn lost(&mut self, what: String, segment: SegmentName, row: &ChunkRow) {
        let key = ShardKey { stream: segment.stream, shard: row.shard };
        self.damage.push(Damage { what, records: Some((key, row.first..row.end())) });
    }
}

/// Reads all of the journal on this disk, as far as it can be read. What the disk does not give is damage as any other.
pub async fn check(disk: &dyn Disk) -> Checked {
    let mut checked = Checked::default();
    let Looked { current, damaged, .. } = match Superblocks::look(disk).await {
        Ok(looked) => looked,
        Err(error) => {
            checked.damage(error);
            return checked;
        }
    };
    let Some(current) = current else {
        let damaged = damaged.expect("neither is whole, so that one has a reason");
        match may_be_lost(disk, &damaged).await {
            Ok(true) => checked.damage(damaged),
            Ok(false) => {}
            Err(error) => checked.damage(error),
        }
        return checked;
    };
    if let Some(damaged) = damaged {
        checked
            .notes
            .push(format!("{damaged}; the other superblock is used, and the next start writes both anew"));
    }
    checked.identity = Some(current.journal);
    checked.is_clean = current.clean;
    checked.checkpoint = current.checkpoint;
    let manifest = match current.checkpoint {
        0 => Manifest::new(),
        number => match checkpoint::read(disk, current.journal, number).await {
            Ok(manifest) => manifest,
            Err(error) => {
                checked.damage(error);
                return checked;
            }
        },
    };
    checked.through = manifest.through.position;
    checked.head = manifest.through.position;
    let replay = check_ring(disk, current.journal, current.slots, &manifest, &mut checked).await;
    let mut chunks = check_segments(disk, current.journal, &manifest, &mut checked).await;
    checked.shards = manifest.shards.len() as u64;
    if let (Some(replay), Some(chunks)) = (replay, &mut chunks) {
        checked.batches = replay.batches.len() as u64;
        checked.head = replay.head.position;
        match recovery::rebuild_shards(&manifest, &replay.batches, chunks) {
            Ok(rebuilt) => {
                checked.shards = rebuilt.shards.len() as u64;
                let tails = rebuilt.shards.iter().map(|shard| (shard.key, shard.state().tail));
                checked.tails = Some(tails.collect());
            }
            Err(error) => checked.damage(error),
        }
    }
    checked
}

/// Whether a journal was here: without superblocks, for this reason, there may never have been one.
async fn may_be_lost(disk: &dyn Disk, reason: &OpenError) -> Result<bool, OpenError> {
    if let OpenError::Disk(_) = reason {
        return Ok(true);
    }
    let indexes = recovery::slot_indexes(&recovery::list(disk, slot::DIRECTORY).await?);
    recovery::holds_data(disk, &indexes).await
}

/// The ring's slots and the batches behind the checkpoint; `None` when the log cannot be followed.
async fn check_ring(
    disk: &dyn Disk,
    journal: u64,
    joined: u32,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Option<Replay> {
    let slots = open_slots(disk, journal, joined, checked).await?;
    if let Err(error) = recovery::check_through(manifest, &slots) {
        checked.damage(error);
        return None;
    }
    if checked.is_clean {
        return Some(Replay::nothing(manifest.through, slots.len()));
    }
    match replay::replay(&slots, journal, manifest.through, recovery::batch_bytes_max(&slots)).await {
        Ok(replay) => {
            if let Some((file, position, what)) = &replay.torn {
                checked.notes.push(format!(
                    "{file}: the log's end at byte {position} is not whole ({what}): a write that was cut short and not answered, unless it was damaged since"
                ));
            }
            Some(replay)
        }
        Err(error) => {
            checked.damage(error);
            None
        }
    }
}

/// All of the ring's slots; `None` when one of them is damaged.
async fn open_slots(
    disk: &dyn Disk,
    journal: u64,
    joined: u32,
    checked: &mut Checked,
) -> Option<Vec<Arc<Slot>>> {
    let names = match recovery::list(disk, slot::DIRECTORY).await {
        Ok(names) => names,
        Err(error) => {
            checked.damage(OpenError::from(error));
            return None;
        }
    };
    let indexes = recovery::slot_indexes(&names);
    let count = recovery::slot_count(joined, &indexes);
    let mut slots = Vec::with_capacity(indexes.len());
    for index in 0..count {
        match recovery::open_slot(disk, journal, index, &indexes, count).await {
            Ok(slot) => slots.push(slot),
            Err(error) => checked.damage(error),
        }
    }
    (slots.len() == count as usize).then_some(slots)
}

/// Every segment's index and chunks; `None` when the chunks cannot be told.
async fn check_segments(
    disk: &dyn Disk,
    journal: u64,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Option<Chunks> {
    let mut chunks: Chunks = BTreeMap::new();
    let mut are_known = true;
    for (&stream, row) in &manifest.streams {
        checked.segments += row.segments.len() as u64;
        let segments = match survey(disk, journal, manifest, stream, row).await {
            Ok(segments) => segments,
            Err(error) => {
                checked.damage(error);
                are_known = false;
                continue;
            }
        };
        for segment in segments {
            are_known &= check_segment(disk, &segment, checked).await;
            let rows = segment.chunks.iter().map(|chunk| *chunk.row()).collect();
            if let Err(error) = recovery::add_chunks(&mut chunks, manifest, segment.name, rows) {
                checked.damage(error);
                are_known = false;
            }
        }
    }
    if are_known && let Err(error) = recovery::check_ends(&chunks, manifest) {
        checked.damage(error);
        are_known = false;
    }
    are_known.then_some(chunks)
}

/// All that is stored in a segment. False when a start refuses it.
async fn check_segment(disk: &dyn Disk, segment: &Surveyed, checked: &mut Checked) -> bool {
    let path = segment.name.data_path();
    match (&segment.index_fault, &segment.fault) {
        (Some(error), None) => {
            checked.notes.push(format!("{error}; the next start makes it anew from the segment"));
        }
        (index_fault, fault) => {
            [index_fault, fault].into_iter().flatten().for_each(|error| checked.damage(error))
        }
    }
    let file = match disk.open(&path, Access::ReadOnly).await {
        Ok(file) => Some(file),
        // Told already, if not only the segment is gone.
        Err(_) if segment.fault.is_some() => None,
        Err(error) => {
            checked.damage(error);
            None
        }
    };
    for chunk in &segment.chunks {
        match chunk {
            Chunk::Known(row) => check_chunk(file.as_deref(), segment.name, row, checked).await,
            Chunk::Missing(row) => {
                let what =
                    format!("{path} has lost a chunk of which neither it nor its index tells anything");
                checked.lost(what, segment.name, row);
            }
            Chunk::Gone(_) => {}
        }
    }
    segment.fault.is_none() && file.is_some()
}

/// A chunk and its runs. What is told as damaged is what would be lost were the segment set aside.
async fn check_chunk(
    file: Option<&dyn DiskFile>,
    segment: SegmentName,
    row: &ChunkRow,
    checked: &mut Checked,
) {
    checked.chunks += 1;
    checked.records += row.end() - row.first;
    checked.bytes += u64::from(row.length);
    let path = segment.data_path();
    let error = match file {
        None => ReadError::Disk(format!("{path} cannot be opened")),
        Some(file) => match read_chunk(file, &segment, row).await {
            Ok(chunk) => {
                if chunk.runs().is_empty() {
                    let key = ShardKey { stream: segment.stream, shard: row.shard };
                    let (first, last) = (row.first, row.end() - 1);
                    checked.notes.push(format!(
                        "{path}: records {first} to {last} of shard {key} were lost to damage and set aside; reads pass over them"
                    ));
                }
                return;
            }
            Err(error) => error,
        },
    };
    let bytes = salvage::read(file, row).await;
    let mut is_told = false;
    for part in salvage::parts(&bytes, segment.stream, row) {
        let Part::Lost(lost, fault) = part else { continue };
        let what = match &error {
            ReadError::Corrupt { .. } => {
                OpenError::corrupt(&path, row.position + fault.at as u64, fault.what).to_string()
            }
            other => other.to_string(),
        };
        checked.lost(what, segment, &lost);
        is_told = true;
    }
    if !is_told {
        // The second time it could be read.
        checked.damage(error);
    }
}
