//! Reading a segment's index at start, and making it again from the segment where it is damaged.

use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{Disk, DiskFile};

use crate::checkpoint;
use crate::error::OpenError;
use crate::manifest::SegmentRow;
use crate::segment::{
    self, CHUNK_HEADER_BYTES, ChunkRow, HEADER_BYTES, HeaderFault, INDEX_ENTRY_BYTES, Part, SegmentName,
};
use crate::settings::BLOCK_BYTES;

/// Where the entry of a segment's chunk number `entry` lies in the index.
pub(crate) fn position(entry: usize) -> u64 {
    (HEADER_BYTES + entry * INDEX_ENTRY_BYTES) as u64
}

/// The chunks of a segment, in its order.
pub(crate) async fn load(
    disk: &dyn Disk,
    journal: u64,
    name: SegmentName,
    row: &SegmentRow,
) -> Result<Vec<ChunkRow>, OpenError> {
    match read(disk, journal, name, row).await {
        Ok(rows) => Ok(rows),
        Err(reason) if reason.is_damage() => {
            tracing::warn!(%reason, "a segment's index is damaged; it is made again from the segment");
            let rows = scan(disk, journal, name, row).await?;
            write(disk, journal, name, &rows).await?;
            Ok(rows)
        }
        Err(error) => Err(error),
    }
}

/// As the index says.
pub(crate) async fn read(
    disk: &dyn Disk,
    journal: u64,
    name: SegmentName,
    row: &SegmentRow,
) -> Result<Vec<ChunkRow>, OpenError> {
    let path = name.index_path();
    let file = match disk.open(&path, Access::ReadOnly).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            return Err(OpenError::Missing { file: path, what: "the checkpoint names it".to_owned() });
        }
        other => other?,
    };
    let chunks = row.chunks as usize;
    assert_eq!(row.index_bytes, position(chunks), "checkpoints with other counts are not read");
    // Before there is memory for it: a checkpoint may say anything.
    let length = file.length().await?;
    if length < row.index_bytes {
        return Err(OpenError::corrupt(&path, length, "the index is cut short"));
    }
    let mut bytes = vec![0; usize::try_from(row.index_bytes).expect("indexes are far below 4 GiB")];
    file.read(0, &mut bytes).await?;
    check_header(&path, &bytes[..HEADER_BYTES], Part::Index, journal, name)?;
    let mut rows = Vec::with_capacity(chunks);
    for (entry, cells) in bytes[HEADER_BYTES..].chunks_exact(INDEX_ENTRY_BYTES).enumerate() {
        let row = segment::decode_index_entry(cells)
            .map_err(|what| OpenError::corrupt(&path, position(entry), what))?;
        rows.push(row);
    }
    check_end(&path, &rows, row)?;
    Ok(rows)
}

fn check_header(
    path: &str,
    bytes: &[u8],
    part: Part,
    journal: u64,
    name: SegmentName,
) -> Result<(), OpenError> {
    segment::check_header(bytes, part, journal, name).map_err(|fault| match fault {
        HeaderFault::Version(found) => {
            OpenError::Version { file: path.to_owned(), found, known: segment::VERSION }
        }
        HeaderFault::Foreign => {
            OpenError::corrupt(path, 0, "the file belongs to another journal or has another's name")
        }
        HeaderFault::Damaged => OpenError::corrupt(path, 0, "the file's header does not fit its checksum"),
    })
}

/// The chunks must fill the valid part of the segment, but for the ends of blocks.
fn check_end(path: &str, rows: &[ChunkRow], row: &SegmentRow) -> Result<(), OpenError> {
    let mut end = HEADER_BYTES as u64;
    for (entry, chunk) in rows.iter().enumerate() {
        if !segment::follows(end, chunk.position) {
            return Err(OpenError::corrupt(path, position(entry), "a chunk is not behind the one before it"));
        }
        end = chunk.position.saturating_add(u64::from(chunk.length));
    }
    if !segment::follows(end, row.data_bytes) {
        return Err(OpenError::corrupt(path, position(rows.len()), "the chunks do not fill the segment"));
    }
    Ok(())
}

/// As the segment itself says: every chunk's header and directory. Records are not read: reads check them.
pub(crate) async fn scan(
    disk: &dyn Disk,
    journal: u64,
    name: SegmentName,
    row: &SegmentRow,
) -> Result<Vec<ChunkRow>, OpenError> {
    let path = name.data_path();
    let file = match disk.open(&path, Access::ReadOnly).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            return Err(OpenError::Missing { file: path, what: "the checkpoint names it".to_owned() });
        }
        other => other?,
    };
    let length = file.length().await?;
    if length < row.data_bytes {
        return Err(OpenError::corrupt(&path, length, "the segment is cut short"));
    }
    let mut header = [0; HEADER_BYTES];
    file.read(0, &mut header).await?;
    check_header(&path, &header, Part::Data, journal, name)?;
    let mut rows = Vec::new();
    let mut at = HEADER_BYTES as u64;
    while at < row.data_bytes {
        match read_chunk_row(&*file, &path, name, at, row.data_bytes).await {
            Ok(chunk) => {
                at += u64::from(chunk.length);
                rows.push(chunk);
            }
            // Where no chunk begins, the block may end with zeros.
            Err(reason @ OpenError::Corrupt { .. }) => {
                let next = segment::next_block(at).min(row.data_bytes);
                if next == at || !is_gap(&*file, at, next).await? {
                    return Err(reason);
                }
                at = next;
            }
            Err(error) => return Err(error),
        }
    }
    check_end(&path, &rows, row)?;
    if rows.len() != row.chunks as usize {
        return Err(OpenError::corrupt(&path, at, "the segment has not as many chunks as it had"));
    }
    Ok(rows)
}

/// Whether nothing but zeros lies between `at` and `end`, which is in the same block.
async fn is_gap(file: &dyn DiskFile, at: u64, end: u64) -> Result<bool, OpenError> {
    let mut bytes = [0; BLOCK_BYTES];
    let between = &mut bytes[..usize::try_from(end - at).expect("it is less than a block")];
    file.read(at, between).await?;
    Ok(between.iter().all(|byte| *byte == 0))
}

async fn read_chunk_row(
    file: &dyn DiskFile,
    path: &str,
    name: SegmentName,
    at: u64,
    end: u64,
) -> Result<ChunkRow, OpenError> {
    let corrupt = |fault: segment::ChunkFault| OpenError::corrupt(path, at + fault.at as u64, fault.what);
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    if at + bytes.len() as u64 > end {
        return Err(OpenError::corrupt(path, at, "the segment ends within a chunk"));
    }
    file.read(at, &mut bytes).await?;
    let (directory_end, length) = segment::measure_chunk(&bytes).map_err(corrupt)?;
    if at + length as u64 > end {
        return Err(OpenError::corrupt(path, at, "a chunk is longer than the segment"));
    }
    bytes.resize(directory_end, 0);
    file.read(at, &mut bytes).await?;
    let (row, _) = segment::decode_chunk(&bytes, name.stream, at).map_err(corrupt)?;
    Ok(row)
}

/// Replaces a segment's index.
async fn write(disk: &dyn Disk, journal: u64, name: SegmentName, rows: &[ChunkRow]) -> Result<(), OpenError> {
    let mut bytes = segment::encode_header(Part::Index, journal, name).to_vec();
    for row in rows {
        bytes.extend_from_slice(&segment::encode_index_entry(row));
    }
    let path = name.index_path();
    let new_path = format!("{path}.new");
    checkpoint::remove(disk, &new_path).await?;
    let file = disk.create(&new_path, Access::Appended).await?;
    file.write(0, &bytes).await?;
    file.sync().await?;
    disk.rename(&new_path, &path).await?;
    disk.sync_directory(&segment::directory(name.stream)).await?;
    Ok(())
}
