//! From files to the state that an engine starts with.
//!
//! Order, and why: superblocks and checkpoint say what is durable outside the ring; the slots are opened, so that what is
//! read of them is on the device, and the chain is replayed, which may end in a refusal; only then is anything changed:
//! names synced, the epoch raised, leftovers removed. A crash at any step leaves what the next start finds the same way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use thalweg_journal::record::are_records;
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{Clock, Disk, DiskError, Random};
use thalweg_types::{ShardKey, StreamId, Timestamp};

use crate::batch::{Batch, Kind, LogPoint};
use crate::checkpoint;
use crate::error::OpenError;
use crate::index;
use crate::layout::COUNT_MAX;
use crate::manifest::{Manifest, StreamRow};
use crate::replay::{self, Replay};
use crate::segment::{self, ChunkRow, SegmentName};
use crate::settings::Settings;
use crate::shards::{ChunkRef, Shard};
use crate::slot::{self, Slot};
use crate::superblock::{self, Found, Superblock, Superblocks};

/// What a start begins with.
pub(crate) struct Recovered {
    pub(crate) journal: u64,
    pub(crate) superblocks: Superblocks,
    /// As of the checkpoint.
    pub(crate) manifest: Manifest,
    /// Each with the newest batch in it that is still needed.
    pub(crate) slots: Vec<(Arc<Slot>, Option<u64>)>,
    /// The log's end.
    pub(crate) head: LogPoint,
    /// Behind the checkpoint, in order.
    pub(crate) batches: Vec<Arc<Batch>>,
    pub(crate) rebuilt: Rebuilt,
}

/// The shards as of the log's end, and what must not be opened.
pub(crate) struct Rebuilt {
    /// With their runs in memory.
    pub(crate) shards: Vec<Arc<Shard>>,
    /// Deleted streams.
    pub(crate) tombstones: BTreeSet<StreamId>,
    /// As in [`StreamRow::forgotten_before`], where there is such a shard.
    pub(crate) forgotten_before: FxHashMap<StreamId, u32>,
}

/// Reads everything, decides whether it can be trusted, and makes the recovered state durable under a new epoch.
pub(crate) async fn recover(
    disk: &dyn Disk,
    clock: &dyn Clock,
    random: &dyn Random,
    settings: &Settings,
) -> Result<Recovered, OpenError> {
    let slot_names = list(disk, slot::DIRECTORY).await?;
    let indexes = slot_indexes(&slot_names);
    let mut superblocks = match Superblocks::find(disk).await? {
        Found::Journal { superblocks, damaged } => {
            if let Some(reason) = damaged {
                tracing::warn!(%reason, "one superblock is damaged; the other one is used, and both are rewritten");
            }
            superblocks
        }
        // The superblocks are made before anything else: where there is something, they are lost, not unmade.
        Found::Nothing { reason } if holds_data(disk, &indexes).await? => return Err(reason),
        Found::Nothing { .. } if !settings.may_create => {
            return Err(OpenError::Missing {
                file: superblock::PATHS[0].to_owned(),
                what: "there was a journal, says the catalog in use beside it".to_owned(),
            });
        }
        Found::Nothing { .. } => {
            let first = Superblock {
                journal: random.next_u64(),
                sequence: 1,
                epoch: 0,
                slots: 0,
                clean: false,
                checkpoint: 0,
                wall: clock.wall(),
            };
            Superblocks::create(disk, first).await?
        }
    };
    let known = superblocks.current();
    let journal = known.journal;
    let manifest = match known.checkpoint {
        0 => Manifest::new(),
        number => checkpoint::read(disk, journal, number).await?,
    };
    let slots = open_slots(disk, journal, known.slots, &indexes).await?;
    check_through(&manifest, &slots)?;
    if let Some(small) = slots.iter().find(|slot| slot.bytes < settings.slot_bytes_min()) {
        let (has, needs) = (small.bytes, settings.slot_bytes_min());
        let path = slot::path(small.index);
        return Err(OpenError::Settings(format!("{path} has {has} bytes and these settings need {needs}")));
    }
    // After a clean end the checkpoint is the log's end.
    let replay = if known.clean {
        Replay::nothing(manifest.through, slots.len())
    } else {
        replay::replay(&slots, journal, manifest.through, batch_bytes_max(&slots)).await?
    };
    if let Some((file, position, what)) = &replay.torn {
        tracing::info!(
            file,
            position,
            what,
            "dropped the log's last batch, which is not whole: a write that was cut short and not answered, unless it was damaged since"
        );
    }
    let mut chunks = load_chunks(disk, journal, &manifest).await?;
    let rebuilt = rebuild_shards(&manifest, &replay.batches, &mut chunks)?;

    // From here on the disk is changed.
    disk.create_directory(slot::DIRECTORY).await?;
    disk.create_directory(segment::DIRECTORY).await?;
    // The names that were found may be in a cache only: a start that follows must find them.
    disk.sync_directory(slot::DIRECTORY).await?;
    disk.sync_directory("").await?;
    let slots = if slots.is_empty() {
        let bytes = settings.slot_bytes_first;
        vec![Arc::new(slot::create(disk, clock, journal, 0, bytes, 0).await?)]
    } else {
        slots
    };
    let count = u32::try_from(slots.len()).expect("slots are few");
    superblocks
        .store(|next| {
            next.epoch += u64::from(!is_planted(Bug::EpochNotRaised));
            next.clean = false;
            next.slots = count;
            if next.wall == Timestamp::ZERO {
                // An earlier build's.
                next.wall = if manifest.number == 0 { clock.wall() } else { manifest.wall };
            }
        })
        .await?;
    remove_leftovers(disk, &manifest, &slot_names).await?;
    let head = replay.head;
    let newest = |index: usize| {
        let holds_head = head.generation > 0 && index == head.slot as usize;
        replay.newest.get(index).copied().flatten().or(holds_head.then_some(head.position))
    };
    let slots = slots.into_iter().enumerate().map(|(index, slot)| (slot, newest(index))).collect();
    Ok(Recovered { journal, superblocks, manifest, slots, head, batches: replay.batches, rebuilt })
}

/// The slots among these names.
pub(crate) fn slot_indexes(names: &[String]) -> Vec<u32> {
    names.iter().filter_map(|name| slot::index_of(name)).collect()
}

/// The place in the log up to which a checkpoint speaks lies in the ring.
pub(crate) fn check_through(manifest: &Manifest, slots: &[Arc<Slot>]) -> Result<(), OpenError> {
    let through = &manifest.through;
    if through.position.max(through.epoch).max(through.generation) > COUNT_MAX {
        let path = checkpoint::path(manifest.number);
        return Err(OpenError::corrupt(&path, 48, "a count is out of range"));
    }
    let slot = slots.get(through.slot as usize);
    let is_there = slot.is_some_and(|slot| (slot::FIRST_BATCH..=slot.bytes).contains(&through.offset));
    if is_there || through.generation == 0 {
        return Ok(());
    }
    let (path, end) = (checkpoint::path(manifest.number), slot::path(through.slot));
    Err(OpenError::corrupt(&path, 72, format!("there is no byte {} in {end}", through.offset)))
}

/// The largest batch that these slots may hold, also one made under larger settings.
pub(crate) fn batch_bytes_max(slots: &[Arc<Slot>]) -> u64 {
    slots.iter().map(|slot| slot.bytes / 2).max().unwrap_or(0)
}

/// The names in a directory; none when it is not there.
pub(crate) async fn list(disk: &dyn Disk, directory: &str) -> Result<Vec<String>, DiskError> {
    match disk.list(directory).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// Whether a journal was made in this directory, or something of one is left.
///
/// # Errors
/// The disk's.
pub async fn is_made(disk: &dyn Disk) -> Result<bool, OpenError> {
    let root = list(disk, "").await?;
    let indexes = slot_indexes(&list(disk, slot::DIRECTORY).await?);
    Ok(superblock::PATHS.iter().any(|path| root.iter().any(|name| name == path))
        || holds_data(disk, &indexes).await?)
}

/// Whether a directory without superblocks holds what only a journal with superblocks can have made.
pub(crate) async fn holds_data(disk: &dyn Disk, slots: &[u32]) -> Result<bool, OpenError> {
    let streams = list(disk, segment::DIRECTORY).await?;
    let root = disk.list("").await?;
    Ok(!slots.is_empty() || !streams.is_empty() || root.iter().any(|name| checkpoint::is_checkpoint(name)))
}

/// Opens the ring's slots. Those that joined must be there; a later one whose name is durable joins now.
async fn open_slots(
    disk: &dyn Disk,
    journal: u64,
    joined: u32,
    indexes: &[u32],
) -> Result<Vec<Arc<Slot>>, OpenError> {
    let mut slots = Vec::with_capacity(indexes.len());
    let count = slot_count(joined, indexes);
    for index in 0..count {
        slots.push(open_slot(disk, journal, index, indexes, count).await?);
    }
    Ok(slots)
}

/// How many slots there must be.
pub(crate) fn slot_count(joined: u32, indexes: &[u32]) -> u32 {
    joined.max(u32::try_from(indexes.len()).expect("slots are few"))
}

/// Opens one of so many slots.
pub(crate) async fn open_slot(
    disk: &dyn Disk,
    journal: u64,
    index: u32,
    indexes: &[u32],
    count: u32,
) -> Result<Arc<Slot>, OpenError> {
    if !indexes.contains(&index) {
        let what = format!("the ring has at least {count} slots");
        return Err(OpenError::Missing { file: slot::path(index), what });
    }
    Ok(Arc::new(slot::open(disk, journal, index).await?))
}

/// The chunks of every shard, in order.
pub(crate) type Chunks = BTreeMap<ShardKey, VecDeque<ChunkRef>>;

/// The chunks of every shard from the segments' indexes.
async fn load_chunks(disk: &dyn Disk, journal: u64, manifest: &Manifest) -> Result<Chunks, OpenError> {
    let mut chunks = Chunks::new();
    for (&stream, row) in &manifest.streams {
        let directory = segment::directory(stream);
        let files: BTreeSet<String> = disk.list(&directory).await?.into_iter().collect();
        for (&number, segment_row) in &row.segments {
            let name = SegmentName { stream, number, revision: segment_row.revision };
            let path = name.data_path();
            if !files.contains(path.rsplit('/').next().expect("a path has a last part")) {
                return Err(OpenError::Missing { file: path, what: "the checkpoint names it".to_owned() });
            }
            let rows = index::load(disk, journal, name, segment_row).await?;
            add_chunks(&mut chunks, manifest, name, rows)?;
        }
    }
    check_ends(&chunks, manifest)?;
    Ok(chunks)
}

/// Adds a segment's chunks behind those before it.
pub(crate) fn add_chunks(
    chunks: &mut Chunks,
    manifest: &Manifest,
    name: SegmentName,
    rows: Vec<ChunkRow>,
) -> Result<(), OpenError> {
    let segment = Arc::new(name);
    for (entry, row) in rows.into_iter().enumerate() {
        let key = ShardKey { stream: name.stream, shard: row.shard };
        // No longer whole: segments that held nothing else were removed.
        if manifest.is_gone(key, row.end()) {
            continue;
        }
        let neighbours = chunks.entry(key).or_default();
        if neighbours.back().is_some_and(|last| last.row.end() != row.first) {
            return Err(OpenError::corrupt(
                &name.index_path(),
                index::position(entry),
                format!("a chunk of {key} does not follow the one before it"),
            ));
        }
        neighbours.push_back(ChunkRef { segment: Arc::clone(&segment), row });
    }
    Ok(())
}

/// Every shard's chunks end where the checkpoint says.
pub(crate) fn check_ends(chunks: &Chunks, manifest: &Manifest) -> Result<(), OpenError> {
    for (key, neighbours) in chunks {
        let last = neighbours.back().expect("a shard is listed with its first chunk");
        if manifest.shards.get(key).is_none_or(|row| row.next != last.row.end()) {
            return Err(OpenError::corrupt(
                &last.segment.index_path(),
                0,
                format!("the last chunk of {key} does not end where the checkpoint says"),
            ));
        }
    }
    Ok(())
}

/// Takes the batches in.
pub(crate) fn rebuild_shards(
    manifest: &Manifest,
    batches: &[Arc<Batch>],
    chunks: &mut Chunks,
) -> Result<Rebuilt, OpenError> {
    let mut state = manifest.clone();
    state.streams.values_mut().for_each(|row| row.segments = BTreeMap::new());
    let mut shards: BTreeMap<ShardKey, Arc<Shard>> = BTreeMap::new();
    for (&key, row) in &manifest.shards {
        shards.insert(key, Shard::new(key, row, chunks.remove(&key).unwrap_or_default()));
    }
    for batch in batches {
        for (entry, start) in batch.entries() {
            let corrupt = |what| {
                let position = batch.end.offset - batch.bytes.len() as u64;
                OpenError::corrupt(&slot::path(batch.end.slot), position, what)
            };
            state.apply(&entry, batch.end.position).map_err(corrupt)?;
            let run = &batch.bytes[start..][..entry.length as usize];
            // Only we could have written it so; but who reads on relies on it.
            if entry.kind == Kind::Records && !are_records(run, entry.count) {
                return Err(corrupt("a run is not the records that it says"));
            }
            let shard = |shards: &BTreeMap<ShardKey, Arc<Shard>>| Arc::clone(&shards[&entry.shard]);
            match entry.kind {
                Kind::Open => {
                    let row = &state.shards[&entry.shard];
                    shards.insert(entry.shard, Shard::new(entry.shard, row, VecDeque::new()));
                }
                Kind::Records => {
                    let shard = shard(&shards);
                    shard.state().push(batch, start, entry.length, entry.first, entry.count, entry.arrival);
                }
                Kind::Seal => shard(&shards).state().seal(),
                Kind::Trim => shard(&shards).state().trim(entry.first),
                Kind::Forget => drop(shards.remove(&entry.shard)),
                Kind::Delete => {
                    shards.retain(|key, _| key.stream != entry.shard.stream);
                    state.streams.remove(&entry.shard.stream);
                }
            }
        }
    }
    let forgotten_before = state.streams.iter().map(|(&stream, row)| (stream, row.forgotten_before));
    Ok(Rebuilt {
        shards: shards.into_values().collect(),
        tombstones: state.tombstones.into_keys().collect(),
        forgotten_before: forgotten_before.filter(|(_, before)| *before > 0).collect(),
    })
}

/// Removes what a crash left behind and nothing points to any more, and cuts open segments to their valid length.
/// Both superblocks point to `manifest` by now.
async fn remove_leftovers(
    disk: &dyn Disk,
    manifest: &Manifest,
    slot_names: &[String],
) -> Result<(), OpenError> {
    for name in slot_names.iter().filter(|name| slot::index_of(name).is_none()) {
        checkpoint::remove(disk, &format!("{}/{name}", slot::DIRECTORY)).await?;
    }
    for name in disk.list("").await? {
        let current = manifest.number > 0 && name == checkpoint::path(manifest.number);
        if checkpoint::is_checkpoint(&name) && !current {
            checkpoint::remove(disk, &name).await?;
        }
    }
    let none = StreamRow::default();
    for stream_name in disk.list(segment::DIRECTORY).await? {
        let Ok(id) = stream_name.parse() else { continue };
        let stream = StreamId(id);
        let directory = segment::directory(stream);
        let row = manifest.streams.get(&stream).unwrap_or(&none);
        let mut wanted = BTreeSet::new();
        for (&number, segment) in &row.segments {
            let name = SegmentName { stream, number, revision: segment.revision };
            wanted.insert(name.data_path());
            wanted.insert(name.index_path());
        }
        for file in disk.list(&directory).await? {
            let path = format!("{directory}/{file}");
            if !wanted.contains(&path) {
                checkpoint::remove(disk, &path).await?;
            }
        }
        if wanted.is_empty() {
            match disk.remove_directory(&directory).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    for (&stream, row) in &manifest.streams {
        for (&number, segment) in row.segments.iter().filter(|(_, segment)| segment.open) {
            let name = SegmentName { stream, number, revision: segment.revision };
            for (path, bytes) in
                [(name.data_path(), segment.data_bytes), (name.index_path(), segment.index_bytes)]
            {
                let file = disk.open(&path, Access::Appended).await?;
                let length = file.length().await?;
                if length < bytes {
                    return Err(OpenError::corrupt(
                        &path,
                        length,
                        format!("the file had {bytes} valid bytes"),
                    ));
                }
                file.truncate(bytes).await?;
            }
        }
    }
    Ok(())
}
