//! Which chunks a stream's segments have, also where neither an index nor its segment tells all of it: then each tells
//! what it knows, and what is missing between a shard's chunks is lost.
//!
//! ```text
//!   index      | entry | ????? | entry | entry |        damaged at different places:
//!   segment    | chunk | chunk | chunk | ????? |        all four are known
//!
//!   index      | ????? | ????? | ????? | entry |        damaged at the same place: shard A had records 0 to 80 by the
//!   segment    | A 0-9 | ????? | ????? | A 50… |        checkpoint, so that 10 to 49 of it are lost here
//! ```
//!
//! For what looks at a journal that no server has open; a start asks for an index, or a segment, that is whole
//! ([`crate::index`]).

use std::collections::BTreeMap;

use thalweg_system::disk::Access;
use thalweg_system::{Disk, DiskError};
use thalweg_types::{Offset, ShardKey, StreamId, Timestamp};

use crate::error::OpenError;
use crate::index;
use crate::manifest::{Manifest, SegmentRow, ShardRow, StreamRow, shards_of};
use crate::segment::{self, ChunkRow, HEADER_BYTES, HeaderFault, INDEX_ENTRY_BYTES, Part, SegmentName};
use crate::settings::BLOCK_BYTES;

/// What is known of a segment.
pub(crate) struct Surveyed {
    pub(crate) name: SegmentName,
    pub(crate) row: SegmentRow,
    /// In order.
    pub(crate) chunks: Vec<Chunk>,
    /// What is wrong with the index: a start makes it anew, if it does not refuse the segment, too.
    pub(crate) index_fault: Option<OpenError>,
    /// Why a start refuses the segment.
    pub(crate) fault: Option<OpenError>,
    /// Whether chunks may be missing.
    is_partial: bool,
}

/// A chunk of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// One that the index or the segment names.
    Known(ChunkRow),
    /// Records that are lost with chunks of which nothing is known. Arrivals are those of their neighbours.
    Missing(ChunkRow),
    /// One that nobody reads any more: its records were trimmed, or its shard is gone.
    Gone(ChunkRow),
}

impl Chunk {
    pub(crate) fn row(&self) -> &ChunkRow {
        match self {
            Chunk::Known(row) | Chunk::Missing(row) | Chunk::Gone(row) => row,
        }
    }
}

/// The segments of a stream, in order.
///
/// # Errors
/// What is no damage; and damage that is not where records could be missing.
pub(crate) async fn survey(
    disk: &dyn Disk,
    journal: u64,
    manifest: &Manifest,
    stream: StreamId,
    row: &StreamRow,
) -> Result<Vec<Surveyed>, OpenError> {
    let mut segments = Vec::with_capacity(row.segments.len());
    for (&number, row) in &row.segments {
        let name = SegmentName { stream, number, revision: row.revision };
        segments.push(look(disk, journal, name, row).await?);
    }
    if segments.iter().any(|segment| segment.is_partial) {
        add_missing(&mut segments, manifest, stream)?;
    }
    for chunk in segments.iter_mut().flat_map(|segment| &mut segment.chunks) {
        let row = *chunk.row();
        if manifest.is_gone(ShardKey { stream, shard: row.shard }, row.end()) {
            *chunk = Chunk::Gone(row);
        }
    }
    Ok(segments)
}

async fn look(
    disk: &dyn Disk,
    journal: u64,
    name: SegmentName,
    row: &SegmentRow,
) -> Result<Surveyed, OpenError> {
    let whole = |chunks: Vec<ChunkRow>, index_fault| Surveyed {
        name,
        row: *row,
        chunks: chunks.into_iter().map(Chunk::Known).collect(),
        index_fault,
        fault: None,
        is_partial: false,
    };
    let index_fault = match index::read(disk, journal, name, row).await {
        Ok(chunks) => return Ok(Surveyed { fault: cut_short(disk, name, row).await, ..whole(chunks, None) }),
        Err(error) if !error.is_damage() => return Err(error),
        Err(error) => error,
    };
    let fault = match index::scan(disk, journal, name, row).await {
        Ok(chunks) => return Ok(whole(chunks, Some(index_fault))),
        Err(error) if !error.is_damage() => return Err(error),
        Err(error) => error,
    };
    let chunks = piece_together(disk, journal, name, row).await?;
    let is_partial = chunks.len() != row.chunks as usize;
    Ok(Surveyed { fault: Some(fault), is_partial, ..whole(chunks, Some(index_fault)) })
}

/// That an open segment, which a start goes on with, is shorter than it was, be it only by what is behind its last chunk.
async fn cut_short(disk: &dyn Disk, name: SegmentName, row: &SegmentRow) -> Option<OpenError> {
    if !row.open {
        return None;
    }
    let path = name.data_path();
    let length = disk.open(&path, Access::ReadOnly).await.ok()?.length().await.ok()?;
    let what = || format!("the file had {} valid bytes", row.data_bytes);
    (length < row.data_bytes).then(|| OpenError::corrupt(&path, length, what()))
}

/// What is left of a file: as much as it should have, zeros where it cannot be read.
struct Remains {
    bytes: Vec<u8>,
}

impl Remains {
    /// # Errors
    /// What says nothing of the file: that no further one can be opened.
    async fn of(disk: &dyn Disk, path: &str, length: u64) -> Result<Remains, DiskError> {
        let mut bytes = Vec::new();
        let file = match disk.open(path, Access::ReadOnly).await {
            Ok(file) => file,
            Err(error) if error.kind.is_lack() => return Err(error),
            Err(_) => return Ok(Remains { bytes }),
        };
        let there = file.length().await.unwrap_or(length).min(length);
        bytes.resize(usize::try_from(there).expect("segments are far below 4 GiB"), 0);
        for (block, bytes) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
            if file.read((block * BLOCK_BYTES) as u64, bytes).await.is_err() {
                bytes.fill(0);
            }
        }
        Ok(Remains { bytes })
    }

    /// Whether it is another one's: a header that is whole and not the one that it should be.
    fn is_foreign(&self, part: Part, journal: u64, name: SegmentName) -> bool {
        let header = self.bytes.get(..HEADER_BYTES);
        let checked = header.map(|header| segment::check_header(header, part, journal, name));
        matches!(checked, Some(Err(HeaderFault::Foreign | HeaderFault::Version(_))))
    }
}

/// The chunks that the index or the segment names, in order.
async fn piece_together(
    disk: &dyn Disk,
    journal: u64,
    name: SegmentName,
    row: &SegmentRow,
) -> Result<Vec<ChunkRow>, DiskError> {
    let index = Remains::of(disk, &name.index_path(), row.index_bytes).await?;
    let data = Remains::of(disk, &name.data_path(), row.data_bytes).await?;
    let mut known: BTreeMap<u64, ChunkRow> = BTreeMap::new();
    if !index.is_foreign(Part::Index, journal, name) {
        let entries = index.bytes.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(INDEX_ENTRY_BYTES);
        known.extend(
            entries
                .filter_map(|cells| segment::decode_index_entry(cells).ok())
                .map(|row| (row.position, row)),
        );
    }
    if !data.is_foreign(Part::Data, journal, name) {
        follow(&data.bytes, name, &mut known);
    }
    // Each is under a checksum; that they fit together is not.
    let mut end = HEADER_BYTES as u64;
    let mut chunks: Vec<ChunkRow> = Vec::with_capacity(known.len());
    for (_, chunk) in known {
        let chunk_end = chunk.position.saturating_add(u64::from(chunk.length));
        if chunk.position >= end && chunk_end <= row.data_bytes {
            end = chunk_end;
            chunks.push(chunk);
        }
    }
    Ok(chunks)
}

/// Adds the chunks that begin where the header, or one that is known, ends. Only there: elsewhere a client may have stored
/// what looks like a chunk.
fn follow(data: &[u8], name: SegmentName, known: &mut BTreeMap<u64, ChunkRow>) {
    let mut ends: Vec<u64> =
        known.values().map(|chunk| chunk.position.saturating_add(u64::from(chunk.length))).collect();
    ends.push(HEADER_BYTES as u64);
    while let Some(end) = ends.pop() {
        for at in [end, segment::next_block(end)] {
            let bytes = usize::try_from(at).ok().and_then(|at| data.get(at..)).unwrap_or_default();
            if known.contains_key(&at) {
                continue;
            }
            match (segment::decode_chunk(bytes, name.stream, at), segment::measure_chunk(bytes)) {
                (Ok((chunk, _)), _) => {
                    known.insert(at, chunk);
                    ends.push(at + u64::from(chunk.length));
                }
                // Its length may be right all the same: a chunk that is whole begins behind it, then.
                (Err(_), Ok((_, length))) if length > 0 => ends.push(at + length as u64),
                _ => {}
            }
        }
    }
}

/// Puts in what the shards of this stream lack: their chunks are neighbours from the trim point to the end that the
/// checkpoint names.
fn add_missing(segments: &mut [Surveyed], manifest: &Manifest, stream: StreamId) -> Result<(), OpenError> {
    let mut chunks: BTreeMap<ShardKey, Vec<(usize, ChunkRow)>> = BTreeMap::new();
    for (index, segment) in segments.iter().enumerate() {
        for chunk in &segment.chunks {
            let key = ShardKey { stream, shard: chunk.row().shard };
            chunks.entry(key).or_default().push((index, *chunk.row()));
        }
    }
    for (&key, shard) in manifest.shards.range(shards_of(stream)) {
        let of_shard = chunks.remove(&key).unwrap_or_default();
        for gap in gaps(key, shard, &of_shard) {
            let place = (gap.from..=gap.to.min(segments.len() - 1)).find(|at| segments[*at].is_partial);
            let Some(place) = place else {
                let path = segments[gap.to.min(segments.len() - 1)].name.index_path();
                let what = format!("a chunk of {key} does not follow the one before it");
                return Err(OpenError::corrupt(&path, 0, what));
            };
            let span = &segments[gap.from..=gap.to.min(segments.len() - 1)];
            let partial = span.iter().filter(|segment| segment.is_partial).map(|segment| segment.row);
            let (first, last) = partial.fold((Timestamp::MAX, Timestamp::ZERO), |(first, last), row| {
                (first.min(row.first_arrival), last.max(row.last_arrival))
            });
            // Not before the records before them, and behind no other.
            let first = gap.lost.first_arrival.max(first);
            let last = gap.lost.last_arrival.min(last).max(first);
            let lost = ChunkRow { first_arrival: first, last_arrival: last, ..gap.lost };
            let segment = &mut segments[place];
            let behind = |chunk: &Chunk| {
                let row = chunk.row();
                row.shard == key.shard && row.first >= gap.lost.end()
            };
            let at = segment.chunks.iter().position(behind).unwrap_or(segment.chunks.len());
            segment.chunks.insert(at, Chunk::Missing(lost));
        }
    }
    Ok(())
}

/// Records that a shard lacks, somewhere from one of the segments to another one.
struct Gap {
    lost: ChunkRow,
    from: usize,
    to: usize,
}

fn gaps(key: ShardKey, shard: &ShardRow, chunks: &[(usize, ChunkRow)]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let (mut next, mut from, mut first_arrival) = (shard.trimmed, 0, Timestamp::ZERO);
    let mut look = |next: Offset, first: Offset, arrivals: (Timestamp, Timestamp), from, to| {
        if next < first {
            let lost = ChunkRow {
                shard: key.shard,
                first: next,
                count: first - next,
                first_arrival: arrivals.0,
                last_arrival: arrivals.1,
                position: 0,
                length: 0,
                checksum: 0,
            };
            gaps.push(Gap { lost, from, to });
        }
    };
    for (segment, row) in chunks.iter().filter(|(_, row)| row.end() > shard.trimmed) {
        look(next, row.first, (first_arrival, row.first_arrival), from, *segment);
        (next, from, first_arrival) = (next.max(row.end()), *segment, row.last_arrival);
    }
    look(next, shard.next, (first_arrival, shard.last_arrival), from, usize::MAX);
    gaps
}
