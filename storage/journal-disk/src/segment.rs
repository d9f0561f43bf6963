//! A segment's bytes: chunks of drained records, and the index beside them.
//!
//! ```text
//!   seg/42/00000001-0.seg   | header | chunk | chunk | …            one stream's chunks, each of one shard
//!   seg/42/00000001-0.idx   | header | entry | entry | …            an entry per chunk, in the same order
//!
//!   chunk   | header | directory: a row per run | run bytes | run bytes | …       runs verbatim, neighbours
//! ```
//!
//! A chunk begins right behind the one before it, or at the next block: large rounds are written past the kernel's
//! cache, in blocks that nothing else was or will be written to. What lies between is zeros
//! (docs/decisions/0031).
//!
//! A chunk without runs stands for records that were lost to damage and set aside ([`crate::set_aside`]): reads pass over
//! them.
//!
//! A chunk describes itself: the index can be made again from it. How much of both files is valid stands in the
//! checkpoint; what lies behind that is no data. Not here: when chunks are written ([`crate::drain`]) and how they
//! are found ([`crate::shards`]).

use thalweg_journal::checksum;
use thalweg_system::planted::{Bug, is_planted};
use thalweg_types::{Offset, ShardIndex, StreamId, Timestamp};

use crate::layout::{get_i64, get_u32, get_u64, put_i64, put_u32, put_u64, sum_behind_first_field};
use crate::settings::BLOCK_BYTES;

/// `TWSG` in the file.
const MAGIC_SEGMENT: u32 = u32::from_le_bytes(*b"TWSG");
/// `TWSI` in the file.
const MAGIC_INDEX: u32 = u32::from_le_bytes(*b"TWSI");
/// `TWCH` in the file.
const MAGIC_CHUNK: u32 = u32::from_le_bytes(*b"TWCH");
/// The format written here, and the latest that is read.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the first chunk, and before the first index entry.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of a chunk before its directory.
pub(crate) const CHUNK_HEADER_BYTES: usize = 80;
/// Bytes of a directory row.
pub(crate) const CHUNK_RUN_BYTES: usize = 32;
/// Bytes of an index entry.
pub(crate) const INDEX_ENTRY_BYTES: usize = 64;
/// The segments' directory.
pub(crate) const DIRECTORY: &str = "seg";

/// The directory of a stream's segments.
pub(crate) fn directory(stream: StreamId) -> String {
    format!("{DIRECTORY}/{}", stream.0)
}

/// A segment's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentName {
    pub(crate) stream: StreamId,
    pub(crate) number: u32,
    pub(crate) revision: u32,
}

impl SegmentName {
    pub(crate) fn data_path(&self) -> String {
        format!("{DIRECTORY}/{}/{:08}-{}.seg", self.stream.0, self.number, self.revision)
    }

    pub(crate) fn index_path(&self) -> String {
        format!("{DIRECTORY}/{}/{:08}-{}.idx", self.stream.0, self.number, self.revision)
    }
}

/// Which of a segment's files a header begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Data,
    Index,
}

pub(crate) fn encode_header(part: Part, journal: u64, name: SegmentName) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    put_u32(&mut bytes, 4, if part == Part::Data { MAGIC_SEGMENT } else { MAGIC_INDEX });
    put_u32(&mut bytes, 8, VERSION);
    put_u32(&mut bytes, 12, name.number);
    put_u64(&mut bytes, 16, journal);
    put_u64(&mut bytes, 24, name.stream.0);
    put_u32(&mut bytes, 32, name.revision);
    let sum = sum_behind_first_field(&bytes);
    put_u32(&mut bytes, 0, sum);
    bytes
}

/// Why a file's header is not the one that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Version(u32),
    /// It is whole, and another file's.
    Foreign,
    Damaged,
}

pub(crate) fn check_header(
    bytes: &[u8],
    part: Part,
    journal: u64,
    name: SegmentName,
) -> Result<(), HeaderFault> {
    if sum_behind_first_field(bytes) != get_u32(bytes, 0) {
        return Err(HeaderFault::Damaged);
    }
    if get_u32(bytes, 8) > VERSION {
        return Err(HeaderFault::Version(get_u32(bytes, 8)));
    }
    if bytes != encode_header(part, journal, name) {
        return Err(HeaderFault::Foreign);
    }
    Ok(())
}

/// A run within a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRun {
    pub(crate) first: Offset,
    pub(crate) count: u32,
    pub(crate) arrival: Timestamp,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
    /// Where its bytes start, from the chunk's first byte.
    pub(crate) start: usize,
}

/// What a chunk's header and its index entry both say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    pub(crate) shard: ShardIndex,
    pub(crate) first: Offset,
    pub(crate) count: u64,
    pub(crate) first_arrival: Timestamp,
    pub(crate) last_arrival: Timestamp,
    /// Where it starts in the segment.
    pub(crate) position: u64,
    /// All of it, header and directory included.
    pub(crate) length: u32,
    /// The checksum that its header begins with.
    pub(crate) checksum: u32,
}

impl ChunkRow {
    pub(crate) fn end(&self) -> Offset {
        self.first + self.count
    }
}

/// Bytes of a chunk of so many runs with so many bytes.
pub(crate) fn chunk_bytes(runs: usize, payload: usize) -> usize {
    CHUNK_HEADER_BYTES + runs * CHUNK_RUN_BYTES + payload
}

/// Where a chunk begins that is not right behind the one before it, which ends at `end`.
pub(crate) fn next_block(end: u64) -> u64 {
    end.checked_next_multiple_of(BLOCK_BYTES as u64).unwrap_or(u64::MAX)
}

/// Whether a chunk may begin at `position` (or the valid part of a segment end there) when the one before it ends at
/// `end`.
pub(crate) fn follows(end: u64, position: u64) -> bool {
    position == end || position == next_block(end)
}

/// Lays out, in place of what `head` holds, header and directory of the chunk of these runs that begins at `position`
/// of its segment. Their bytes follow, in the same order.
///
/// # Panics
/// When the runs are none, or not neighbours: the drain takes them so.
pub(crate) fn encode_chunk_head(
    head: &mut Vec<u8>,
    position: u64,
    stream: StreamId,
    shard: ShardIndex,
    runs: impl Iterator<Item = ChunkRun>,
) -> ChunkRow {
    head.clear();
    head.resize(CHUNK_HEADER_BYTES, 0);
    let mut rows = 0u32;
    let (mut first, mut next, mut payload) = (None, 0, 0u64);
    let (mut first_arrival, mut last_arrival) = (Timestamp::ZERO, Timestamp::ZERO);
    for run in runs {
        if first.is_none() {
            first = Some(run.first);
            next = run.first;
            first_arrival = run.arrival;
        }
        assert!(run.first == next && run.count > 0, "the runs of a chunk are neighbours");
        next += u64::from(run.count);
        last_arrival = run.arrival;
        payload += u64::from(run.length);
        rows += 1;
        let mut cells = [0; CHUNK_RUN_BYTES];
        put_i64(&mut cells, 0, run.arrival.as_millis());
        put_u32(&mut cells, 8, run.count);
        put_u32(&mut cells, 12, run.length);
        put_u32(&mut cells, 16, run.checksum);
        // 20: zero; 24: the key's id, zero means clear.
        head.extend_from_slice(&cells);
    }
    let first = first.expect("a chunk has a run");
    let length = u32::try_from(head.len() as u64 + payload).expect("settings keep chunks under 4 GiB");
    let count = next - first;
    let row = ChunkRow { shard, first, count, first_arrival, last_arrival, position, length, checksum: 0 };
    complete_head(head, stream, rows, row)
}

/// Lays out, in place of what `head` holds, a chunk at `position` that stands for records that are lost: a header without
/// runs that says which they were.
pub(crate) fn encode_lost_chunk(
    head: &mut Vec<u8>,
    position: u64,
    stream: StreamId,
    lost: &ChunkRow,
) -> ChunkRow {
    head.clear();
    head.resize(CHUNK_HEADER_BYTES, 0);
    complete_head(head, stream, 0, ChunkRow { position, length: CHUNK_HEADER_BYTES as u32, ..*lost })
}

/// Fills in the header before a directory of so many runs; answers the row with its checksum.
fn complete_head(head: &mut [u8], stream: StreamId, runs: u32, row: ChunkRow) -> ChunkRow {
    put_u32(head, 4, MAGIC_CHUNK);
    put_u32(head, 8, row.shard.0);
    put_u32(head, 12, runs);
    put_u64(head, 16, stream.0);
    put_u64(head, 24, row.first);
    put_u64(head, 32, row.count);
    put_i64(head, 40, row.first_arrival.as_millis());
    put_i64(head, 48, row.last_arrival.as_millis());
    put_u32(head, 56, row.length);
    put_u32(head, 60, row.length - head.len() as u32);
    put_u64(head, 64, row.position);
    let checksum = sum_behind_first_field(head);
    put_u32(head, 0, checksum);
    ChunkRow { checksum, ..row }
}

/// Why bytes are not the chunk that they should be, and at which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkFault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

fn fault<T>(at: usize, what: &'static str) -> Result<T, ChunkFault> {
    Err(ChunkFault { at, what })
}

/// Reads and checks a chunk's header at the start of `bytes`, as far as that goes without its directory: how many
/// bytes header and directory have together, and how many the whole chunk.
pub(crate) fn measure_chunk(bytes: &[u8]) -> Result<(usize, usize), ChunkFault> {
    if bytes.len() < CHUNK_HEADER_BYTES || get_u32(bytes, 4) != MAGIC_CHUNK {
        return fault(4, "no chunk begins here");
    }
    let directory_end = CHUNK_HEADER_BYTES + get_u32(bytes, 12) as usize * CHUNK_RUN_BYTES;
    let length = get_u32(bytes, 56) as usize;
    if directory_end + get_u32(bytes, 60) as usize != length {
        return fault(56, "a chunk's lengths contradict one another");
    }
    Ok((directory_end, length))
}

/// Reads and checks the header and directory of the chunk at `position`. `bytes` may end with the directory.
pub(crate) fn decode_chunk(
    bytes: &[u8],
    stream: StreamId,
    position: u64,
) -> Result<(ChunkRow, Vec<ChunkRun>), ChunkFault> {
    let (directory_end, length) = measure_chunk(bytes)?;
    let Some(summed) = bytes.get(..directory_end) else {
        return fault(bytes.len(), "a chunk ends within its directory");
    };
    let sum = sum_behind_first_field(summed);
    if sum != get_u32(bytes, 0) {
        return fault(0, "a chunk's header does not fit its checksum");
    }
    if get_u64(bytes, 16) != stream.0 || get_u64(bytes, 64) != position {
        return fault(16, "a chunk is not where it was written");
    }
    let row = ChunkRow {
        shard: ShardIndex(get_u32(bytes, 8)),
        first: get_u64(bytes, 24),
        count: get_u64(bytes, 32),
        first_arrival: Timestamp::from_millis(get_i64(bytes, 40)),
        last_arrival: Timestamp::from_millis(get_i64(bytes, 48)),
        position,
        length: length as u32,
        checksum: sum,
    };
    if row.count == 0 || row.first.checked_add(row.count).is_none() {
        return fault(24, "a chunk's offsets are out of range");
    }
    let mut runs = Vec::with_capacity((directory_end - CHUNK_HEADER_BYTES) / CHUNK_RUN_BYTES);
    let (mut first, mut start) = (row.first, directory_end);
    for (index, cells) in summed[CHUNK_HEADER_BYTES..].chunks_exact(CHUNK_RUN_BYTES).enumerate() {
        if get_u64(cells, 24) != 0 {
            let at = CHUNK_HEADER_BYTES + index * CHUNK_RUN_BYTES;
            return fault(at, "a run that is encrypted, which this version cannot read");
        }
        let run = ChunkRun {
            first,
            count: get_u32(cells, 8),
            arrival: Timestamp::from_millis(get_i64(cells, 0)),
            length: get_u32(cells, 12),
            checksum: get_u32(cells, 16),
            start,
        };
        first = first.saturating_add(u64::from(run.count));
        start += run.length as usize;
        runs.push(run);
    }
    // A chunk without runs stands for records that are lost.
    if (first != row.end() && !runs.is_empty()) || start != length {
        return fault(CHUNK_HEADER_BYTES, "a chunk's runs are not what its header says");
    }
    Ok((row, runs))
}

/// Checks every run of a whole chunk.
pub(crate) fn check_chunk_runs(bytes: &[u8], runs: &[ChunkRun]) -> Result<(), ChunkFault> {
    for run in runs {
        let Some(content) = bytes.get(run.start..run.start + run.length as usize) else {
            return fault(bytes.len(), "a chunk is cut short");
        };
        if checksum(content) != run.checksum && !is_planted(Bug::ChecksumIgnored) {
            return fault(run.start, "a run's checksum does not fit");
        }
    }
    Ok(())
}

pub(crate) fn encode_index_entry(row: &ChunkRow) -> [u8; INDEX_ENTRY_BYTES] {
    let mut bytes = [0; INDEX_ENTRY_BYTES];
    put_u32(&mut bytes, 4, row.shard.0);
    put_u64(&mut bytes, 8, row.first);
    put_u64(&mut bytes, 16, row.count);
    put_i64(&mut bytes, 24, row.first_arrival.as_millis());
    put_i64(&mut bytes, 32, row.last_arrival.as_millis());
    put_u64(&mut bytes, 40, row.position);
    put_u32(&mut bytes, 48, row.length);
    put_u32(&mut bytes, 52, row.checksum);
    let sum = sum_behind_first_field(&bytes);
    put_u32(&mut bytes, 0, sum);
    bytes
}

pub(crate) fn decode_index_entry(bytes: &[u8]) -> Result<ChunkRow, &'static str> {
    if sum_behind_first_field(bytes) != get_u32(bytes, 0) {
        return Err("an index entry does not fit its checksum");
    }
    let (first, count, length) = (get_u64(bytes, 8), get_u64(bytes, 16), get_u32(bytes, 48));
    if count == 0 || first.checked_add(count).is_none() {
        return Err("an index entry's offsets are out of range");
    }
    // One without runs is a header alone.
    let is_lost = length as usize == CHUNK_HEADER_BYTES;
    if !is_lost && (length as usize) < CHUNK_HEADER_BYTES + CHUNK_RUN_BYTES {
        return Err("an index entry's chunk is shorter than any");
    }
    Ok(ChunkRow {
        shard: ShardIndex(get_u32(bytes, 4)),
        first,
        count,
        first_arrival: Timestamp::from_millis(get_i64(bytes, 24)),
        last_arrival: Timestamp::from_millis(get_i64(bytes, 32)),
        position: get_u64(bytes, 40),
        length,
        checksum: get_u32(bytes, 52),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamId = StreamId(42);
    const RUNS: [&[u8]; 2] = [b"first run", b"and another"];

    fn runs() -> [(ChunkRun, &'static [u8]); 2] {
        let run = |first, count, arrival, bytes: &[u8]| ChunkRun {
            first,
            count,
            arrival: Timestamp::from_millis(arrival),
            length: bytes.len() as u32,
            checksum: checksum(bytes),
            start: 0,
        };
        [(run(10, 2, 77, RUNS[0]), RUNS[0]), (run(12, 1, 78, RUNS[1]), RUNS[1])]
    }

    fn sample() -> (Vec<u8>, ChunkRow) {
        let mut bytes = b"what was there before".to_vec();
        let runs = runs().into_iter().map(|(run, _)| run);
        let row = encode_chunk_head(&mut bytes, 64, STREAM, ShardIndex(3), runs);
        bytes.extend(RUNS.concat());
        (bytes, row)
    }

    #[test]
    fn a_chunk_follows_at_once_or_at_the_next_block() {
        for (end, position, expected) in [
            (64, 64, true),
            (64, 4096, true),
            (64, 65, false),
            (64, 8192, false),
            (4096, 4096, true),
            (4096, 8192, false),
            (4097, 4096, false),
        ] {
            assert_eq!(follows(end, position), expected, "{end}, {position}");
        }
    }

    fn accept(bytes: &[u8]) -> Result<(), ChunkFault> {
        let (row, runs) = decode_chunk(bytes, STREAM, 64)?;
        if row.length as usize != bytes.len() {
            return fault(56, "another length");
        }
        check_chunk_runs(bytes, &runs)
    }

    #[test]
    fn the_chunk_format_of_version_1_is_pinned() {
        let (bytes, row) = sample();
        let mut expected = vec![0; 80 + 2 * 32 + 20];
        let fields: &[(usize, &[u8])] = &[
            (4, b"TWCH\x03\0\0\0\x02"),
            (16, &[42]),
            (24, &[10]),
            (32, &[3]),
            (40, &[77]),
            (48, &[78]),
            (56, &[164, 0, 0, 0, 20]),
            (64, &[64]),
            (80, &[77, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9]),
            (96, &checksum(RUNS[0]).to_le_bytes()),
            (112, &[78, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11]),
            (128, &checksum(RUNS[1]).to_le_bytes()),
            (144, b"first runand another"),
        ];
        for (at, field) in fields {
            expected[*at..at + field.len()].copy_from_slice(field);
        }
        let sum = sum_behind_first_field(&expected[..144]);
        put_u32(&mut expected, 0, sum);
        assert_eq!(bytes, expected);
        let (found, found_runs) = decode_chunk(&bytes, STREAM, 64).expect("it is whole");
        assert_eq!(found, row);
        assert_eq!((found_runs[0].start, found_runs[1].start), (144, 153));
        accept(&bytes).expect("it is whole");
    }

    #[test]
    fn the_index_format_of_version_1_is_pinned() {
        let (_, row) = sample();
        let bytes = encode_index_entry(&row);
        let mut expected = [0; INDEX_ENTRY_BYTES];
        (expected[4], expected[8], expected[16], expected[24], expected[32]) = (3, 10, 3, 77, 78);
        (expected[40], expected[48]) = (64, 164);
        expected[52..56].copy_from_slice(&row.checksum.to_le_bytes());
        let sum = sum_behind_first_field(&expected);
        put_u32(&mut expected, 0, sum);
        assert_eq!(bytes, expected);
        assert_eq!(decode_index_entry(&bytes), Ok(row));
    }

    #[test]
    fn the_header_format_of_version_1_is_pinned() {
        let name = SegmentName { stream: STREAM, number: 9, revision: 1 };
        let bytes = encode_header(Part::Data, 0x0201, name);
        let mut expected = [0; HEADER_BYTES];
        expected[4..13].copy_from_slice(b"TWSG\x01\0\0\0\x09");
        (expected[16], expected[17], expected[24], expected[32]) = (1, 2, 42, 1);
        let sum = sum_behind_first_field(&expected);
        put_u32(&mut expected, 0, sum);
        assert_eq!(bytes, expected);
        assert_eq!(check_header(&bytes, Part::Data, 0x0201, name), Ok(()));
        assert!(check_header(&bytes, Part::Index, 0x0201, name).is_err());
        assert_eq!(name.data_path(), "seg/42/00000009-1.seg");
        assert_eq!(name.index_path(), "seg/42/00000009-1.idx");
    }

    #[test]
    fn no_bit_of_a_chunk_may_flip_unseen() {
        let (bytes, row) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(accept(&flipped).is_err(), "bit {bit} of the chunk");
        }
        for length in 0..bytes.len() {
            assert!(accept(&bytes[..length]).is_err(), "cut to {length}");
        }
        let entry = encode_index_entry(&row);
        for bit in 0..entry.len() * 8 {
            let mut flipped = entry;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_index_entry(&flipped).is_err(), "bit {bit} of the entry");
        }
    }
}
