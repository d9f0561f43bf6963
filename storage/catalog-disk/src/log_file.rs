//! One of the two log files: its header, its length, and how it is made and grows. What stands in it is
//! `batch`'s; what to write next is the `writer`'s.
//!
//! Both files are full of zeros or old batches from the start, and only overwritten: a durable write to blocks
//! that exist is many times faster than one that makes the file longer.

use std::sync::Arc;

use bytes::Buf;
use thalweg_system::disk::Access;
use thalweg_system::{AlignedBuffer, Disk, DiskError, DiskFile};

use crate::batch::crc32c;
use crate::settings::GROWTH_STEP;
use crate::{FORMAT_VERSION, OpenError};

const MAGIC: [u8; 4] = *b"TWCL";
const UNCHECKED_BYTES: usize = 8;
const HEADER_BYTES: usize = 24;

/// The block sizes that a header may name, in bytes.
const BLOCK_BYTES_MIN: u32 = 512;
const BLOCK_BYTES_MAX: u32 = 64 << 10;

/// The names of the two.
pub(crate) const NAMES: [&str; 2] = ["log-a", "log-b"];

/// An open log file. Clones are the same file.
#[derive(Clone)]
pub(crate) struct LogFile {
    pub(crate) path: String,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Whole blocks.
    pub(crate) length: u64,
    /// What every batch begins and ends at a multiple of.
    pub(crate) block: u64,
}

/// A log file as it was found.
pub(crate) struct ReadLog {
    pub(crate) log: LogFile,
    pub(crate) lineage: u64,
    pub(crate) content: Vec<u8>,
}

fn header(block: u32, lineage: u64) -> AlignedBuffer {
    let mut out = AlignedBuffer::with_capacity(block as usize);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&block.to_le_bytes());
    out.extend_from_slice(&lineage.to_le_bytes());
    out.pad_to(block as usize);
    let checksum = crc32c(&out[UNCHECKED_BYTES..]);
    out[4..UNCHECKED_BYTES].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Block size and lineage, or what is wrong.
fn read_header(path: &str, content: &[u8]) -> Result<(u32, u64), OpenError> {
    let corrupt = |what: &str| OpenError::Corrupt { path: path.to_owned(), offset: 0, what: what.to_owned() };
    let mut fields = content.get(..HEADER_BYTES).ok_or_else(|| corrupt("the file has no header"))?;
    if !fields.starts_with(&MAGIC) {
        return Err(corrupt("this is no log of a catalog"));
    }
    fields.advance(MAGIC.len());
    let stored = fields.get_u32_le();
    let version = fields.get_u32_le();
    let block = fields.get_u32_le();
    let lineage = fields.get_u64_le();
    if !block.is_power_of_two() || !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block) {
        return Err(corrupt("the header names an impossible block size"));
    }
    let whole =
        content.get(..block as usize).ok_or_else(|| corrupt("the file is shorter than its header"))?;
    if crc32c(&whole[UNCHECKED_BYTES..]) != stored {
        return Err(corrupt("the header's checksum does not match"));
    }
    if version != FORMAT_VERSION {
        return Err(OpenError::Version { path: path.to_owned(), version });
    }
    Ok((block, lineage))
}

/// Makes a new log file of at least `length` bytes, in place of an old one of this name. Its content is durable;
/// its name is after a sync of the directory.
pub(crate) async fn create(disk: &dyn Disk, path: &str, lineage: u64, length: u64) -> Result<(), DiskError> {
    let temporary = format!("{path}.tmp");
    let file = disk.create(&temporary, Access::Recycled).await?;
    let block = u32::try_from(file.alignment()).expect("alignments are small");
    let block = block.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    let header = header(block, lineage);
    file.write(0, &header).await?;
    let mut log = LogFile { path: temporary, file, length: u64::from(block), block: u64::from(block) };
    // The header and room for a batch.
    log.grow(length.max(2 * log.block)).await?;
    disk.rename(&log.path, path).await
}

impl LogFile {
    /// Opens and reads a log file. What it answers is on the device, not only in memory.
    pub(crate) async fn open(disk: &dyn Disk, path: &str) -> Result<ReadLog, OpenError> {
        let file = disk.open(path, Access::Recycled).await?;
        let bytes = file.length().await?;
        // A killed predecessor may have left writes in memory, and one whose sync had failed may have left there
        // what the device never took: the first become durable here, and the second are forgotten.
        file.sync().await?;
        file.drop_cache(0, bytes);
        // Read through another handle: the alignment of this one may have changed with the file system.
        let mut content = vec![0; usize::try_from(bytes).expect("log files are bounded")];
        disk.open(path, Access::ReadOnly).await?.read(0, &mut content).await?;
        let (block, lineage) = read_header(path, &content)?;
        let block = u64::from(block);
        let log = LogFile { path: path.to_owned(), file, length: bytes - bytes % block, block };
        Ok(ReadLog { log, lineage, content })
    }

    /// Where the first batch stands, in bytes.
    pub(crate) fn first(&self) -> u64 {
        self.block
    }

    /// Whether this file system can write blocks of this size: not after a move to one of larger blocks.
    pub(crate) fn is_writable(&self) -> bool {
        self.block.is_multiple_of(self.file.alignment() as u64)
    }

    /// Makes the file longer by zeros that are durable. After an error it is as long as before.
    pub(crate) async fn grow(&mut self, length: u64) -> Result<(), DiskError> {
        let length = length.next_multiple_of(self.block);
        if length <= self.length {
            return Ok(());
        }
        match self.write_zeros(length).await {
            Ok(()) => {
                self.length = length;
                Ok(())
            }
            Err(error) => {
                // Whatever stays beyond the old end is never read as a batch, and the room comes back at the
                // next growth: a failure here changes nothing.
                let _ = self.file.truncate(self.length).await;
                Err(error)
            }
        }
    }

    async fn write_zeros(&self, end: u64) -> Result<(), DiskError> {
        let step = GROWTH_STEP.next_multiple_of(self.block).min(end - self.length);
        let zeros = AlignedBuffer::zeroed(usize::try_from(step).expect("steps are small"));
        let mut offset = self.length;
        while offset < end {
            let count = step.min(end - offset);
            self.file.write(offset, &zeros[..usize::try_from(count).expect("steps are small")]).await?;
            offset += count;
        }
        self.file.sync().await
    }
}
