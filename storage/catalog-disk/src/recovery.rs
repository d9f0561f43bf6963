//! What a start finds: the newest snapshot, the batches after it, and where the log goes on.
//!
//! The rules, in short (`docs/formats/catalog.md` has them with their reasons):
//! - The log goes on from the snapshot, batch by batch: the next sequence, naming the checksum of the one before.
//! - Where it ends is its tail. A batch anywhere that knows a later one to have been durable, or that follows
//!   another one than the tail, makes the end damage: the start refuses, with file and offset. Without such a
//!   witness what comes after the tail is a torn write that no one was answered for.
//! - Nothing is changed here, but for a first start, files of an unfinished one, and a move to larger blocks.

use std::collections::BTreeMap;

use bytes::Buf;
use thalweg_catalog::Rows;
use thalweg_system::disk::DiskErrorKind;
use thalweg_system::{Disk, DiskError, Random};

use crate::batch::{Batch, BatchHeader, BatchKind, Found, decode_commit, find};
use crate::log_file::{self, LogFile, NAMES, ReadLog};
use crate::snapshot::{self, Point};
use crate::{OpenError, Settings};

/// What was found, and where to go on.
pub(crate) struct Recovered {
    pub(crate) lineage: u64,
    pub(crate) rows: Rows,
    /// The newest batch.
    pub(crate) tail: Point,
    /// The highest epoch of any batch.
    pub(crate) epoch: u64,
    /// The file that the log goes on in, from where.
    pub(crate) active: LogFile,
    pub(crate) position: u64,
    pub(crate) generation: u64,
    pub(crate) spare: LogFile,
    /// Whether everything in the other file is in the snapshot.
    pub(crate) spare_is_free: bool,
}

/// A valid batch and where it stands.
struct Placed<'a> {
    log: usize,
    offset: u64,
    batch: Batch<'a>,
}

impl Placed<'_> {
    fn end(&self) -> u64 {
        self.offset + self.batch.bytes
    }

    fn header(&self) -> &BatchHeader {
        &self.batch.header
    }
}

/// Opens the catalog in `directory`, or makes an empty one.
pub(crate) async fn recover(
    disk: &dyn Disk,
    random: &dyn Random,
    directory: &str,
    settings: &Settings,
) -> Result<Recovered, OpenError> {
    if !settings.may_create && !is_made(disk, directory).await? {
        let why = "the journal beside it was made after it";
        return Err(OpenError::Missing { path: format!("{directory}/{}", snapshot::NAME), why });
    }
    disk.create_directory(directory).await?;
    let names = disk.list(directory).await?;
    if !names.is_empty() {
        // What a killed predecessor renamed counts only once it is durable.
        disk.sync_directory(directory).await?;
    }
    for name in [NAMES[0], NAMES[1], snapshot::NAME] {
        let unfinished = format!("{name}.tmp");
        if names.contains(&unfinished) {
            disk.unlink(&format!("{directory}/{unfinished}")).await?;
        }
    }
    if !names.iter().any(|name| name == snapshot::NAME) {
        create(disk, random, directory, &names, settings).await?;
    }
    match open(disk, directory).await? {
        Opened::Ready(recovered) => Ok(*recovered),
        Opened::BlocksTooSmall(recovered) => {
            move_to_larger_blocks(disk, directory, &recovered).await?;
            match open(disk, directory).await? {
                Opened::Ready(recovered) => Ok(*recovered),
                Opened::BlocksTooSmall(_) => panic!("the log files were just made for this file system"),
            }
        }
    }
}

/// Makes the files of an empty catalog. The snapshot comes last: without it there was never a commit.
async fn create(
    disk: &dyn Disk,
    random: &dyn Random,
    directory: &str,
    names: &[String],
    settings: &Settings,
) -> Result<(), OpenError> {
    check_unmade(disk, directory, names).await?;
    let lineage = random.next_u64();
    for name in NAMES {
        let path = format!("{directory}/{name}");
        log_file::create(disk, &path, lineage, settings.log_bytes_initial).await?;
    }
    disk.sync_directory(directory).await?;
    snapshot::write(disk, directory, lineage, Point::START, &Rows::default()).await?;
    Ok(())
}

/// A directory without a snapshot is what a first start left that did not finish, or else the snapshot is lost.
async fn check_unmade(disk: &dyn Disk, directory: &str, names: &[String]) -> Result<(), OpenError> {
    for name in NAMES {
        if names.iter().any(|present| present == name) {
            let read = LogFile::open(disk, &format!("{directory}/{name}")).await?;
            if !batches(0, &read, read.log.lineage)?.is_empty() {
                let why = "the log beside it is in use";
                return Err(OpenError::Missing { path: format!("{directory}/{}", snapshot::NAME), why });
            }
        }
    }
    Ok(())
}

/// Every valid batch of this catalog in a log file, in the file's order; old ones too.
fn batches(log: usize, read: &ReadLog, lineage: u64) -> Result<Vec<Placed<'_>>, OpenError> {
    let block = read.log.block;
    let mut placed = Vec::new();
    let mut offset = read.log.first();
    while offset < read.log.length {
        let start = usize::try_from(offset).expect("the file is in memory");
        match find(&read.content[start..], lineage, block) {
            Found::Batch(batch) => {
                placed.push(Placed { log, offset, batch });
                offset += placed.last().expect("just pushed").batch.bytes;
            }
            Found::Unknown { version } => {
                return Err(OpenError::Version { path: read.log.path.clone(), version });
            }
            Found::Nothing => offset += block,
        }
    }
    Ok(placed)
}

/// Reads all of a catalog that no server has open, and changes nothing. `None` where none was made, or its making was
/// cut short.
///
/// # Errors
/// What is damaged, and the disk's.
pub async fn check(disk: &dyn Disk, directory: &str) -> Result<Option<Rows>, OpenError> {
    let names = names(disk, directory).await?;
    if !names.iter().any(|name| name == snapshot::NAME) {
        check_unmade(disk, directory, &names).await?;
        return Ok(None);
    }
    let (Opened::Ready(recovered) | Opened::BlocksTooSmall(recovered)) = open(disk, directory).await?;
    Ok(Some(recovered.rows))
}

/// Whether a catalog was made here, to its end.
async fn is_made(disk: &dyn Disk, directory: &str) -> Result<bool, OpenError> {
    Ok(names(disk, directory).await?.iter().any(|name| name == snapshot::NAME))
}

/// The names in a directory; none when it is not there.
async fn names(disk: &dyn Disk, directory: &str) -> Result<Vec<String>, DiskError> {
    match disk.list(directory).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

enum Opened {
    Ready(Box<Recovered>),
    /// The file system of today wants larger blocks than the log has.
    BlocksTooSmall(Box<Recovered>),
}

async fn open(disk: &dyn Disk, directory: &str) -> Result<Opened, OpenError> {
    let snapshot_path = format!("{directory}/{}", snapshot::NAME);
    let snapshot = snapshot::read(disk, &snapshot_path).await?;
    let mut logs = Vec::new();
    for name in NAMES {
        let path = format!("{directory}/{name}");
        let read = match LogFile::open(disk, &path).await {
            Err(OpenError::Disk(error)) if error.kind == DiskErrorKind::NotFound => {
                return Err(OpenError::Missing { path, why: "there is a snapshot beside it" });
            }
            outcome => outcome?,
        };
        if read.log.lineage != snapshot.lineage {
            return Err(OpenError::Foreign { path, other: snapshot_path });
        }
        logs.push(read);
    }
    let mut placed = Vec::new();
    for (index, read) in logs.iter().enumerate() {
        placed.extend(batches(index, read, snapshot.lineage)?);
    }

    let mut rows = snapshot.rows;
    let (mut tail, mut chain) = follow(&placed, snapshot.point, &logs, &mut rows)?;
    // Someone who knew a later batch to be durable, or who follows another batch than the tail.
    let is_witness = |one: &&Placed<'_>| {
        let header = one.header();
        header.durable_through > tail.sequence || header.sequence == tail.sequence + 1
    };
    if let Some(witness) = placed.iter().filter(is_witness).min_by_key(|one| one.header().sequence) {
        return Err(damage(&placed, &tail, &logs, witness));
    }
    // An epoch that nothing was written in is written over, in its place: starts alone never fill the log, and no
    // two batches with one sequence remain.
    let unused = chain.pop_if(|link| link.placed.header().kind == BatchKind::Epoch);
    let last = chain.last().map(|link| link.placed);
    let (active, position) = match (&unused, last) {
        (Some(link), _) => (link.placed.log, link.placed.offset),
        (None, Some(last)) => (last.log, last.end()),
        // With nothing after the snapshot both files are free: begin either anew.
        (None, None) => (0, logs[0].log.first()),
    };
    if let Some(link) = &unused {
        tail = link.before;
    }
    let newest =
        |field: fn(&BatchHeader) -> u64| placed.iter().map(|one| field(one.header())).max().unwrap_or(0);
    let newest_generation = newest(|header| header.generation);
    let recovered = Recovered {
        lineage: snapshot.lineage,
        rows,
        tail,
        epoch: newest(|header| header.epoch).max(tail.epoch),
        position,
        // Continued, or begun with the file.
        generation: if unused.is_some() || last.is_some() {
            newest_generation
        } else {
            newest_generation + 1
        },
        active: logs[active].log.clone(),
        spare: logs[1 - active].log.clone(),
        spare_is_free: chain.iter().all(|link| link.placed.log == active),
    };
    if logs.iter().all(|read| read.log.is_writable()) {
        Ok(Opened::Ready(Box::new(recovered)))
    } else {
        Ok(Opened::BlocksTooSmall(Box::new(recovered)))
    }
}

/// A batch of the log, and where the log stood before it.
struct Link<'a> {
    placed: &'a Placed<'a>,
    before: Point,
}

/// Follows the log from the snapshot to its tail and applies the commits on the way.
fn follow<'a>(
    placed: &'a [Placed<'a>],
    start: Point,
    logs: &[ReadLog],
    rows: &mut Rows,
) -> Result<(Point, Vec<Link<'a>>), OpenError> {
    let mut by_sequence: BTreeMap<u64, Vec<&Placed<'_>>> = BTreeMap::new();
    for one in placed {
        by_sequence.entry(one.header().sequence).or_default().push(one);
    }
    let mut tail = start;
    let mut chain = Vec::new();
    loop {
        let candidates = by_sequence.get(&(tail.sequence + 1)).map_or(&[][..], Vec::as_slice);
        let follows =
            |one: &&&Placed<'_>| one.header().previous == tail.checksum && one.header().epoch >= tail.epoch;
        let Some(next) = candidates.iter().find(follows) else { return Ok((tail, chain)) };
        let header = next.header();
        let corrupt = |what: String| OpenError::Corrupt {
            path: logs[next.log].log.path.clone(),
            offset: next.offset,
            what,
        };
        if header.base_version != tail.version {
            let versions = (header.base_version, tail.version);
            return Err(corrupt(format!(
                "its commits follow version {}, the log is at {}",
                versions.0, versions.1
            )));
        }
        let mut payload = next.batch.payload;
        for number in 1..=u64::from(header.commits) {
            let writes = decode_commit(&mut payload);
            let writes =
                writes.ok_or_else(|| corrupt("the batch holds no commit where it says so".to_owned()))?;
            rows.apply(writes, header.base_version + number);
        }
        if payload.has_remaining() {
            return Err(corrupt("the batch is longer than its commits".to_owned()));
        }
        chain.push(Link { placed: next, before: tail });
        tail = Point {
            sequence: header.sequence,
            checksum: next.batch.checksum,
            epoch: header.epoch,
            version: header.base_version + u64::from(header.commits),
        };
    }
}

/// Where the batch after `tail` must have stood: `later`, the first valid one beyond it, does not follow.
fn damage(placed: &[Placed<'_>], tail: &Point, logs: &[ReadLog], later: &Placed<'_>) -> OpenError {
    let is_tail =
        |one: &&Placed<'_>| one.header().sequence == tail.sequence && one.batch.checksum == tail.checksum;
    let (log, offset) = match placed.iter().find(is_tail) {
        // Right after the tail, unless the next file was begun there: then at its start.
        Some(place) if place.log == later.log && place.offset < later.offset => (place.log, place.end()),
        Some(place) if later.offset == logs[later.log].log.first() => (place.log, place.end()),
        _ => (later.log, logs[later.log].log.first()),
    };
    let (wanted, found) = (tail.sequence + 1, later.header().sequence);
    let what = if found == wanted {
        format!("batch {wanted} follows another batch {} than the one that is there", tail.sequence)
    } else {
        format!("batch {wanted} is not there, and was durable before batch {found} was written")
    };
    OpenError::Corrupt { path: logs[log].log.path.clone(), offset, what }
}

/// Puts everything into a snapshot and makes the log files anew, with blocks that this file system can write.
/// Interrupted anywhere, the next start does the rest.
async fn move_to_larger_blocks(disk: &dyn Disk, directory: &str, found: &Recovered) -> Result<(), OpenError> {
    let length = found.active.length.max(found.spare.length);
    snapshot::write(disk, directory, found.lineage, found.tail, &found.rows).await?;
    for name in NAMES {
        log_file::create(disk, &format!("{directory}/{name}"), found.lineage, length).await?;
    }
    disk.sync_directory(directory).await?;
    Ok(())
}
