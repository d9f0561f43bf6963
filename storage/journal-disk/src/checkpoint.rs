//! A checkpoint's bytes: a [`Manifest`] in a file of its own, never changed once a superblock names it.
//!
//! ```text
//!   checkpoint-17   | header | shards | streams | segments | tombstones |     each part under a checksum
//! ```

use thalweg_journal::checksum;
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{Disk, DiskError};
use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

use crate::batch::LogPoint;
use crate::error::OpenError;
use crate::index;
use crate::layout::{get_i64, get_u32, get_u64, put_i64, put_u32, put_u64, sum_behind_first_field};
use crate::manifest::{Manifest, SegmentRow, ShardRow, StreamRow};

/// `TWCP` in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"TWCP");
/// The latest format that is read. Since version 3 segments may hold chunks of shards that were forgotten…
const VERSION: u32 = 3;
/// …and as long as none was, the one before is written. Since it a chunk may begin at the next block instead of right
/// behind the one before it. Nothing else tells a program of an earlier version that it cannot read such segments.
const VERSION_2: u32 = 2;
const HEADER_BYTES: usize = 128;
const SHARD_BYTES: usize = 48;
const STREAM_BYTES: usize = 16;
const SEGMENT_BYTES: usize = 64;
const TOMBSTONE_BYTES: usize = 16;
/// The parts in the order of the file: bytes of a row, where the header counts them, where it sums them.
const PARTS: [(usize, usize, usize); 4] =
    [(SHARD_BYTES, 88, 104), (STREAM_BYTES, 92, 108), (SEGMENT_BYTES, 96, 112), (TOMBSTONE_BYTES, 100, 116)];
const SHARD_SEALED: u32 = 1;
const SEGMENT_OPEN: u32 = 1;

/// The file of the checkpoint with this number.
pub(crate) fn path(number: u64) -> String {
    format!("checkpoint-{number}")
}

/// Whether a file of the data directory is a checkpoint, whole or not.
pub(crate) fn is_checkpoint(name: &str) -> bool {
    name.starts_with("checkpoint-")
}

pub(crate) fn encode(manifest: &Manifest, journal: u64) -> Vec<u8> {
    let segments: usize = manifest.streams.values().map(|stream| stream.segments.len()).sum();
    let counts = [manifest.shards.len(), manifest.streams.len(), segments, manifest.tombstones.len()];
    let total = HEADER_BYTES + PARTS.iter().zip(counts).map(|((row, ..), count)| row * count).sum::<usize>();
    let mut bytes = Vec::with_capacity(total);
    bytes.resize(HEADER_BYTES, 0);
    for (key, row) in &manifest.shards {
        let mut cells = [0; SHARD_BYTES];
        put_u64(&mut cells, 0, key.stream.0);
        put_u32(&mut cells, 8, key.shard.0);
        put_u32(&mut cells, 12, if row.sealed { SHARD_SEALED } else { 0 });
        put_u64(&mut cells, 16, row.next);
        put_i64(&mut cells, 24, row.last_arrival.as_millis());
        put_u64(&mut cells, 32, if is_planted(Bug::TrimMovedBack) { 0 } else { row.trimmed });
        bytes.extend_from_slice(&cells);
    }
    for (id, stream) in &manifest.streams {
        let mut cells = [0; STREAM_BYTES];
        put_u64(&mut cells, 0, id.0);
        put_u32(&mut cells, 8, stream.next_segment);
        put_u32(&mut cells, 12, stream.forgotten_before);
        bytes.extend_from_slice(&cells);
    }
    for (id, stream) in &manifest.streams {
        for (number, row) in &stream.segments {
            let mut cells = [0; SEGMENT_BYTES];
            put_u64(&mut cells, 0, id.0);
            put_u32(&mut cells, 8, *number);
            put_u32(&mut cells, 12, row.revision);
            put_u32(&mut cells, 16, if row.open { SEGMENT_OPEN } else { 0 });
            put_u32(&mut cells, 20, row.chunks);
            put_u64(&mut cells, 24, row.data_bytes);
            put_u64(&mut cells, 32, row.index_bytes);
            put_i64(&mut cells, 40, row.first_arrival.as_millis());
            put_i64(&mut cells, 48, row.last_arrival.as_millis());
            put_i64(&mut cells, 56, row.misdated.map_or(0, Timestamp::as_millis));
            bytes.extend_from_slice(&cells);
        }
    }
    for (stream, position) in &manifest.tombstones {
        let mut cells = [0; TOMBSTONE_BYTES];
        put_u64(&mut cells, 0, stream.0);
        put_u64(&mut cells, 8, *position);
        bytes.extend_from_slice(&cells);
    }
    let mut start = HEADER_BYTES;
    for ((row, count_at, sum_at), count) in PARTS.into_iter().zip(counts) {
        let end = start + row * count;
        let sum = checksum(&bytes[start..end]);
        put_u32(&mut bytes, count_at, u32::try_from(count).expect("rows are far below 4 billion"));
        put_u32(&mut bytes, sum_at, sum);
        start = end;
    }
    put_u32(&mut bytes, 4, MAGIC);
    let has_forgotten = manifest.streams.values().any(|stream| stream.forgotten_before > 0);
    put_u32(&mut bytes, 8, if has_forgotten { VERSION } else { VERSION_2 });
    put_u64(&mut bytes, 16, journal);
    put_u64(&mut bytes, 24, manifest.number);
    put_u64(&mut bytes, 32, total as u64);
    put_i64(&mut bytes, 40, manifest.wall.as_millis());
    put_u64(&mut bytes, 48, manifest.through.position);
    put_u64(&mut bytes, 56, manifest.through.epoch);
    put_u64(&mut bytes, 64, manifest.through.generation);
    put_u64(&mut bytes, 72, manifest.through.offset);
    put_u32(&mut bytes, 80, manifest.through.slot);
    put_u32(&mut bytes, 84, manifest.through.checksum);
    let sum = sum_behind_first_field(&bytes[..HEADER_BYTES]);
    put_u32(&mut bytes, 0, sum);
    bytes
}

pub(crate) fn decode(path: &str, bytes: &[u8], journal: u64, number: u64) -> Result<Manifest, OpenError> {
    let corrupt = |at: usize, what: &str| OpenError::corrupt(path, at as u64, what);
    if bytes.len() < HEADER_BYTES {
        return Err(corrupt(bytes.len(), "the checkpoint ends within its header"));
    }
    let header = &bytes[..HEADER_BYTES];
    if sum_behind_first_field(header) != get_u32(header, 0) || get_u32(header, 4) != MAGIC {
        return Err(corrupt(0, "the checkpoint's header does not fit its checksum"));
    }
    let version = get_u32(header, 8);
    if version > VERSION {
        return Err(OpenError::Version { file: path.to_owned(), found: version, known: VERSION });
    }
    if get_u64(header, 16) != journal || get_u64(header, 24) != number {
        return Err(corrupt(16, "the checkpoint is another journal's or has another number"));
    }
    let mut parts = [&bytes[..0]; PARTS.len()];
    let mut start = HEADER_BYTES;
    for (part, (row, count_at, sum_at)) in parts.iter_mut().zip(PARTS) {
        let end = start + row * get_u32(header, count_at) as usize;
        *part = bytes.get(start..end).ok_or_else(|| corrupt(bytes.len(), "the checkpoint is cut short"))?;
        if checksum(part) != get_u32(header, sum_at) {
            return Err(corrupt(start, "a part of the checkpoint does not fit its checksum"));
        }
        start = end;
    }
    if start != bytes.len() || start as u64 != get_u64(header, 32) {
        return Err(corrupt(start, "the checkpoint is longer than it says"));
    }
    let mut manifest = Manifest {
        number,
        through: LogPoint {
            position: get_u64(header, 48),
            epoch: get_u64(header, 56),
            generation: get_u64(header, 64),
            offset: get_u64(header, 72),
            slot: get_u32(header, 80),
            checksum: get_u32(header, 84),
        },
        wall: Timestamp::from_millis(get_i64(header, 40)),
        ..Manifest::new()
    };
    for cells in parts[0].chunks_exact(SHARD_BYTES) {
        let shard = ShardKey { stream: StreamId(get_u64(cells, 0)), shard: ShardIndex(get_u32(cells, 8)) };
        let row = ShardRow {
            next: get_u64(cells, 16),
            last_arrival: Timestamp::from_millis(get_i64(cells, 24)),
            sealed: get_u32(cells, 12) & SHARD_SEALED != 0,
            trimmed: get_u64(cells, 32),
        };
        manifest.shards.insert(shard, row);
    }
    for cells in parts[1].chunks_exact(STREAM_BYTES) {
        let (next_segment, forgotten_before) = (get_u32(cells, 8), get_u32(cells, 12));
        let row = StreamRow { next_segment, forgotten_before, ..StreamRow::default() };
        manifest.streams.insert(StreamId(get_u64(cells, 0)), row);
    }
    for cells in parts[2].chunks_exact(SEGMENT_BYTES) {
        let row = SegmentRow {
            revision: get_u32(cells, 12),
            open: get_u32(cells, 16) & SEGMENT_OPEN != 0,
            chunks: get_u32(cells, 20),
            data_bytes: get_u64(cells, 24),
            index_bytes: get_u64(cells, 32),
            first_arrival: Timestamp::from_millis(get_i64(cells, 40)),
            last_arrival: Timestamp::from_millis(get_i64(cells, 48)),
            misdated: Some(Timestamp::from_millis(get_i64(cells, 56)))
                .filter(|time| *time != Timestamp::ZERO),
        };
        if row.index_bytes != index::position(row.chunks as usize) {
            return Err(corrupt(HEADER_BYTES, "a segment's counts contradict one another"));
        }
        let stream = manifest.streams.entry(StreamId(get_u64(cells, 0))).or_default();
        stream.segments.insert(get_u32(cells, 8), row);
    }
    for cells in parts[3].chunks_exact(TOMBSTONE_BYTES) {
        manifest.tombstones.insert(StreamId(get_u64(cells, 0)), get_u64(cells, 8));
    }
    Ok(manifest)
}

/// Makes a checkpoint durable. Its name means nothing before a superblock names its number.
pub(crate) async fn write(disk: &dyn Disk, manifest: &Manifest, journal: u64) -> Result<(), DiskError> {
    let path = path(manifest.number);
    // What a round left that failed.
    remove(disk, &path).await?;
    let file = disk.create(&path, Access::Appended).await?;
    file.write(0, &encode(manifest, journal)).await?;
    file.sync().await?;
    disk.sync_directory("").await
}

/// Reads one that a superblock points to.
pub(crate) async fn read(disk: &dyn Disk, journal: u64, number: u64) -> Result<Manifest, OpenError> {
    let path = path(number);
    let file = match disk.open(&path, Access::ReadOnly).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            return Err(OpenError::Missing { file: path, what: "the superblocks point to it".to_owned() });
        }
        other => other?,
    };
    let length = file.length().await?;
    let mut bytes = vec![0; usize::try_from(length).expect("checkpoints are far below 4 GiB")];
    file.read(0, &mut bytes).await?;
    decode(&path, &bytes, journal, number)
}

/// Removes a file that may have gone already.
pub(crate) async fn remove(disk: &dyn Disk, path: &str) -> Result<(), DiskError> {
    match disk.unlink(path).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let shard = ShardKey { stream: StreamId(7), shard: ShardIndex(1) };
        let mut manifest = Manifest::new();
        manifest.number = 17;
        manifest.wall = Timestamp::from_millis(99);
        manifest.through =
            LogPoint { position: 5, epoch: 2, checksum: 0xabcd, slot: 1, generation: 3, offset: 0x2000 };
        let last_arrival = Timestamp::from_millis(44);
        manifest.shards.insert(shard, ShardRow { next: 12, last_arrival, sealed: true, trimmed: 4 });
        let segment = SegmentRow {
            revision: 1,
            open: true,
            chunks: 2,
            data_bytes: 300,
            index_bytes: 192,
            first_arrival: Timestamp::from_millis(33),
            last_arrival,
            misdated: Some(Timestamp::from_millis(22)),
        };
        let segments = [(8, segment)].into();
        manifest.streams.insert(StreamId(7), StreamRow { next_segment: 9, forgotten_before: 0, segments });
        manifest.tombstones.insert(StreamId(6), 3);
        manifest
    }

    #[test]
    fn the_format_of_version_2_is_pinned() {
        let bytes = encode(&sample(), 0x0102);
        let mut expected = vec![0; 128 + 48 + 16 + 64 + 16];
        let fields: &[(usize, &[u8])] = &[
            (4, b"TWCP\x02"),
            (16, &[2, 1]),
            (24, &[17]),
            (32, &[16, 1]),
            (40, &[99]),
            (48, &[5]),
            (56, &[2]),
            (64, &[3]),
            (72, &[0, 0x20]),
            (80, &[1]),
            (84, &[0xcd, 0xab]),
            (88, &[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]),
            (128, &[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 12]),
            (152, &[44]),
            (160, &[4]),
            (176, &[7, 0, 0, 0, 0, 0, 0, 0, 9]),
            (192, &[7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]),
            (216, &[44, 1, 0, 0, 0, 0, 0, 0, 192]),
            (232, &[33, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 22]),
            (256, &[6, 0, 0, 0, 0, 0, 0, 0, 3]),
        ];
        for (at, field) in fields {
            expected[*at..at + field.len()].copy_from_slice(field);
        }
        for (at, range) in [(104, 128..176), (108, 176..192), (112, 192..256), (116, 256..272)] {
            let sum = checksum(&expected[range]);
            put_u32(&mut expected, at, sum);
        }
        let sum = sum_behind_first_field(&expected[..128]);
        put_u32(&mut expected, 0, sum);
        assert_eq!(bytes, expected);
        assert_eq!(decode("c", &bytes, 0x0102, 17).expect("it is whole"), sample());
        // Version 1 was laid out alike.
        expected[8] = 1;
        let sum = sum_behind_first_field(&expected[..128]);
        put_u32(&mut expected, 0, sum);
        assert_eq!(decode("c", &expected, 0x0102, 17).expect("it is whole"), sample());
    }

    #[test]
    fn what_was_forgotten_makes_it_version_3() {
        let mut manifest = sample();
        manifest.streams.get_mut(&StreamId(7)).expect("it is there").forgotten_before = 5;
        let bytes = encode(&manifest, 0x0102);
        assert_eq!((bytes[8], &bytes[176..192]), (3, &[7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0][..]));
        assert_eq!(decode("c", &bytes, 0x0102, 17).expect("it is whole"), manifest);
    }

    #[test]
    fn no_bit_of_a_checkpoint_may_flip_unseen() {
        let bytes = encode(&sample(), 0x0102);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode("c", &flipped, 0x0102, 17).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode("c", &bytes[..length], 0x0102, 17).is_err(), "cut to {length}");
        }
    }
}
