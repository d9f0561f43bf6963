//! A slot: one file of the ring, written with zeros once, overwritten with batches for ever after.
//!
//! ```text
//!   wal/0000.wal   | header, one block | batch | batch | batch |     what was here before      |
//!                                                              ^ the log ends, or goes on in another slot
//! ```
//!
//! The header is written when the slot is made and never again: it says whose slot this is and how large. Which
//! generation of batches it holds stands in the batches. Not here: which slot is used when ([`crate::ring`]).

use std::sync::Arc;

use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::planted::{Bug, is_planted};
use thalweg_system::{AlignedBuffer, Clock, Disk, DiskError, DiskFile};

use crate::error::OpenError;
use crate::layout::{get_u32, get_u64, put_u32, put_u64, sum_behind_first_field};
use crate::pace;
use crate::settings::BLOCK_BYTES;

/// `TWSL` in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"TWSL");
const VERSION: u32 = 1;
/// Where the first batch lies.
pub(crate) const FIRST_BATCH: u64 = BLOCK_BYTES as u64;
/// The ring's directory.
pub(crate) const DIRECTORY: &str = "wal";
/// Zeros are written in pieces of this size: large enough for the disk's full speed, small enough to pool.
const ZERO_WRITE_BYTES: usize = 1024 * 1024;

/// An open slot.
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// The file of the slot with this index.
pub(crate) fn path(index: u32) -> String {
    format!("{DIRECTORY}/{index:04}.wal")
}

/// The index in such a file name; `None` for any other file.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn encode_header(journal: u64, index: u32, bytes: u64) -> AlignedBuffer {
    let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
    put_u32(&mut block, 4, MAGIC);
    put_u32(&mut block, 8, VERSION);
    put_u32(&mut block, 12, index);
    put_u64(&mut block, 16, journal);
    put_u64(&mut block, 24, bytes);
    put_u32(&mut block, 32, BLOCK_BYTES as u32);
    let sum = sum_behind_first_field(&block);
    put_u32(&mut block, 0, sum);
    block
}

/// Makes a slot durable: zeros, sync, then its name. Until the name is there the slot does not exist, and a crash
/// leaves at most a `.new` file that the next start removes. After an error nothing is left.
pub(crate) async fn create(
    disk: &dyn Disk,
    clock: &dyn Clock,
    journal: u64,
    index: u32,
    bytes: u64,
    bytes_per_second: u64,
) -> Result<Slot, DiskError> {
    let new_path = format!("{}.new", path(index));
    match disk.unlink(&new_path).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let created = write_new(disk, clock, journal, index, bytes, bytes_per_second, &new_path).await;
    if created.is_err() {
        // The space is wanted back; that this fails, too, is for the next start.
        let _ = disk.unlink(&new_path).await;
    }
    created
}

async fn write_new(
    disk: &dyn Disk,
    clock: &dyn Clock,
    journal: u64,
    index: u32,
    bytes: u64,
    bytes_per_second: u64,
    new_path: &str,
) -> Result<Slot, DiskError> {
    let final_path = path(index);
    let file = disk.create(new_path, Access::Recycled).await?;
    check_alignment(&*file, new_path)?;
    let zeros = AlignedBuffer::zeroed(ZERO_WRITE_BYTES.min(bytes as usize));
    let mut written = 0;
    while written < bytes {
        let piece = (bytes - written).min(zeros.len() as u64);
        file.write(written, &zeros[..piece as usize]).await?;
        written += piece;
        pace::spend(clock, piece, bytes_per_second).await;
    }
    file.write(0, &encode_header(journal, index, bytes)).await?;
    file.sync().await?;
    disk.rename(new_path, &final_path).await?;
    disk.sync_directory(DIRECTORY).await?;
    Ok(Slot { index, bytes, file })
}

/// Whether the file takes writes of whole blocks of ours.
pub(crate) fn check_alignment(file: &dyn DiskFile, path: &str) -> Result<(), DiskError> {
    let alignment = file.alignment();
    if BLOCK_BYTES.is_multiple_of(alignment) {
        return Ok(());
    }
    Err(DiskError {
        kind: DiskErrorKind::Io,
        call: "use",
        path: path.to_owned(),
        reason: format!(
            "its file system writes units of {alignment} bytes, the journal blocks of {BLOCK_BYTES}"
        ),
    })
}

/// What is read of this file next is on the device, not only in memory: what a killed process left there becomes durable,
/// and what a failed sync left there, which no other sync would bring to the device, is forgotten.
pub(crate) async fn settle(file: &dyn DiskFile, bytes: u64) -> Result<(), DiskError> {
    if !is_planted(Bug::TailNotSyncedAgain) {
        file.sync().await?;
    }
    file.drop_cache(0, bytes);
    Ok(())
}

/// Opens a slot that exists and checks that it is ours. What is read of it is durable.
pub(crate) async fn open(disk: &dyn Disk, journal: u64, index: u32) -> Result<Slot, OpenError> {
    let path = path(index);
    let file = disk.open(&path, Access::Recycled).await?;
    check_alignment(&*file, &path)?;
    let length = file.length().await?;
    if length < FIRST_BATCH {
        return Err(OpenError::corrupt(&path, length, "the slot ends within its header"));
    }
    settle(&*file, length).await?;
    let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
    file.read(0, &mut block).await?;
    if sum_behind_first_field(&block) != get_u32(&block, 0) || get_u32(&block, 4) != MAGIC {
        return Err(OpenError::corrupt(&path, 0, "the slot's header does not fit its checksum"));
    }
    let version = get_u32(&block, 8);
    if version > VERSION {
        return Err(OpenError::Version { file: path, found: version, known: VERSION });
    }
    if get_u64(&block, 16) != journal {
        return Err(OpenError::corrupt(&path, 16, "the slot belongs to another journal"));
    }
    if get_u32(&block, 12) != index {
        return Err(OpenError::corrupt(&path, 12, "the slot has another slot's name"));
    }
    let bytes = get_u64(&block, 24);
    if length != bytes {
        return Err(OpenError::corrupt(
            &path,
            length.min(bytes),
            format!("the slot has {length} bytes instead of {bytes}"),
        ));
    }
    if get_u32(&block, 32) as usize != BLOCK_BYTES {
        return Err(OpenError::corrupt(&path, 32, "the slot has blocks of another size"));
    }
    Ok(Slot { index, bytes, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_told_by_their_names() {
        assert_eq!(index_of("0003.wal"), Some(3));
        assert_eq!(index_of("12345.wal"), Some(12345));
        assert_eq!(index_of("0003.wal.new"), None);
        assert_eq!(index_of("3.wal"), None);
        assert_eq!(index_of("+003.wal"), None);
        assert_eq!(path(3), "wal/0003.wal");
    }

    #[test]
    fn the_format_of_version_1_is_pinned() {
        let block = encode_header(0x0102_0304_0506_0708, 9, 0x8000);
        let mut expected = vec![0; BLOCK_BYTES];
        expected[4..12].copy_from_slice(b"TWSL\x01\0\0\0");
        expected[12] = 9;
        expected[16..24].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
        expected[25] = 0x80;
        expected[33] = 0x10;
        let sum = sum_behind_first_field(&expected);
        expected[..4].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(&block[..], &expected[..]);
    }
}
