//! Verifying a journal that no server has open: everything is read and compared with its checksums, and nothing is
//! changed.

use std::collections::BTreeMap;
use std::fmt;

use thalweg_journal::{ReadError, Tail};
use thalweg_system::Disk;
use thalweg_system::disk::Access;
use thalweg_types::{Offset, ShardKey};

use crate::checkpoint;
use crate::error::OpenError;
use crate::index;
use crate::manifest::Manifest;
use crate::reader::read_chunk;
use crate::recovery::{self, Chunks};
use crate::replay::{self, Replay};
use crate::segment::SegmentName;
use crate::slot;
use crate::superblock::{Looked, Superblocks};

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
    fn damage(&mut self, error: OpenError) -> Result<(), OpenError> {
        if let OpenError::Disk(_) | OpenError::Settings(_) = &error {
            return Err(error);
        }
        self.damage.push(Damage { what: error.to_string(), records: None });
        Ok(())
    }
}

/// Reads all of the journal on this disk.
///
/// # Errors
/// The disk's; damage is no error here.
pub async fn check(disk: &dyn Disk) -> Result<Checked, OpenError> {
    let mut checked = Checked::default();
    let Looked { current, damaged, .. } = match Superblocks::look(disk).await {
        Ok(looked) => looked,
        Err(error) => {
            checked.damage(error)?;
            return Ok(checked);
        }
    };
    let Some(current) = current else {
        let indexes = recovery::slot_indexes(&recovery::list(disk, slot::DIRECTORY).await?);
        if recovery::holds_data(disk, &indexes).await? {
            checked.damage(damaged.expect("neither is whole, so that one has a reason"))?;
        }
        return Ok(checked);
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
                checked.damage(error)?;
                return Ok(checked);
            }
        },
    };
    checked.through = manifest.through.position;
    checked.head = manifest.through.position;
    let replay = check_ring(disk, current.journal, current.slots, &manifest, &mut checked).await?;
    let mut chunks = check_segments(disk, current.journal, &manifest, &mut checked).await?;
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
            Err(error) => checked.damage(error)?,
        }
    }
    Ok(checked)
}

/// The ring's slots and the batches behind the checkpoint; `None` when the log cannot be followed.
async fn check_ring(
    disk: &dyn Disk,
    journal: u64,
    joined: u32,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Result<Option<Replay>, OpenError> {
    let indexes = recovery::slot_indexes(&recovery::list(disk, slot::DIRECTORY).await?);
    let slots = match recovery::open_slots(disk, journal, joined, &indexes).await {
        Ok(slots) => slots,
        Err(error) => {
            checked.damage(error)?;
            return Ok(None);
        }
    };
    if let Err(error) = recovery::check_through(manifest, &slots) {
        checked.damage(error)?;
        return Ok(None);
    }
    if checked.is_clean {
        return Ok(Some(Replay::nothing(manifest.through, slots.len())));
    }
    match replay::replay(&slots, journal, manifest.through, recovery::batch_bytes_max(&slots)).await {
        Ok(replay) => {
            if let Some((file, position, what)) = &replay.torn {
                checked.notes.push(format!(
                    "{file}: the log's end at byte {position} is not whole ({what}): a write that was cut short and not answered, unless it was damaged since"
                ));
            }
            Ok(Some(replay))
        }
        Err(error) => {
            checked.damage(error)?;
            Ok(None)
        }
    }
}

/// Every segment's index and chunks; `None` when the chunks cannot be told.
async fn check_segments(
    disk: &dyn Disk,
    journal: u64,
    manifest: &Manifest,
    checked: &mut Checked,
) -> Result<Option<Chunks>, OpenError> {
    let mut chunks: Chunks = BTreeMap::new();
    let mut are_known = true;
    for (&stream, row) in &manifest.streams {
        for (&number, segment_row) in &row.segments {
            checked.segments += 1;
            let name = SegmentName { stream, number, revision: segment_row.revision };
            let rows = match index::read(disk, journal, name, segment_row).await {
                Ok(rows) => rows,
                Err(OpenError::Disk(error)) => return Err(error.into()),
                // A start does not replace what a later version wrote.
                Err(error @ OpenError::Version { .. }) => {
                    checked.damage(error)?;
                    are_known = false;
                    continue;
                }
                Err(error) => {
                    checked.notes.push(format!("{error}; the next start makes it anew from the segment"));
                    match index::scan(disk, journal, name, segment_row).await {
                        Ok(rows) => rows,
                        Err(error) => {
                            checked.damage(error)?;
                            are_known = false;
                            continue;
                        }
                    }
                }
            };
            let file = match disk.open(&name.data_path(), Access::ReadOnly).await {
                Ok(file) => file,
                Err(error) => {
                    checked.damage.push(Damage { what: error.to_string(), records: None });
                    are_known = false;
                    continue;
                }
            };
            for row in &rows {
                checked.chunks += 1;
                checked.records += row.end() - row.first;
                checked.bytes += u64::from(row.length);
                match read_chunk(&*file, &name, row).await {
                    Ok(chunk) if chunk.runs().is_empty() => {
                        let key = ShardKey { stream, shard: row.shard };
                        let (first, last) = (row.first, row.end() - 1);
                        let path = name.data_path();
                        checked.notes.push(format!(
                            "{path}: records {first} to {last} of shard {key} were lost to damage and set aside; reads pass over them"
                        ));
                    }
                    Ok(_) => {}
                    Err(ReadError::Corrupt { file, position, what }) => {
                        let what = OpenError::corrupt(&file, position, what).to_string();
                        let key = ShardKey { stream, shard: row.shard };
                        checked.damage.push(Damage { what, records: Some((key, row.first..row.end())) });
                    }
                    Err(error) => checked.damage.push(Damage { what: error.to_string(), records: None }),
                }
            }
            if let Err(error) = recovery::add_chunks(&mut chunks, manifest, name, rows) {
                checked.damage(error)?;
                are_known = false;
            }
        }
    }
    if are_known && let Err(error) = recovery::check_ends(&chunks, manifest) {
        checked.damage(error)?;
        are_known = false;
    }
    Ok(are_known.then_some(chunks))
}
