//! One of the two log files: its header, its length, and how it is made and grows. What stands in it is
//! `batch`'s; what to write next is the `writer`'s.
//!
//! Both files are full of zeros or old batches from the start, and only overwritten: a durable write to blocks
//! that exist is many times faster than one that makes the file longer.

use std::sync::Arc;

use bytes::Buf;
use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{AlignedBuffer, Disk, DiskError, DiskFile};

use crate::batch::crc32c;
use crate::settings::GROWTH_STEP;
use crate::{FORMAT_VERSION, OpenError};

const MAGIC: [u8; 4] = *b"TWCL";
const UNCHECKED_BYTES: usize = 8;
const HEADER_BYTES: usize = 32;

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
    pub(crate) lineage: u64,
    /// As its header says: whole blocks. The file may be longer, by zeros of a growth that was cut off.
    pub(crate) length: u64,
    /// What every batch begins and ends at a multiple of.
    pub(crate) block: u64,
}

/// A log file as it was found.
pub(crate) struct ReadLog {
    pub(crate) log: LogFile,
    pub(crate) content: Vec<u8>,
}

/// What a header says.
struct Header {
    block: u32,
    lineage: u64,
    length: u64,
}

fn encode_header(header: &Header) -> AlignedBuffer {
    let block = header.block as usize;
    let mut out = AlignedBuffer::with_capacity(block);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&header.block.to_le_bytes());
    out.extend_from_slice(&header.lineage.to_le_bytes());
    out.extend_from_slice(&header.length.to_le_bytes());
    out.pad_to(block);
    let checksum = crc32c(&out[UNCHECKED_BYTES..]);
    out[4..UNCHECKED_BYTES].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// What the header says, or what is wrong with it.
fn read_header(path: &str, content: &[u8]) -> Result<Header, OpenError> {
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
    let length = fields.get_u64_le();
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
    if length < 2 * u64::from(block) || !length.is_multiple_of(u64::from(block)) {
        return Err(corrupt("the header names an impossible length"));
    }
    Ok(Header { block, lineage, length })
}

/// Makes a new log file of at least `length` bytes, in place of an old one of this name. Its content is durable;
/// its name is after a sync of the directory.
pub(crate) async fn create(disk: &dyn Disk, path: &str, lineage: u64, length: u64) -> Result<(), DiskError> {
    let temporary = format!("{path}.tmp");
    let file = disk.create(&temporary, Access::Recycled).await?;
    let block = u32::try_from(file.alignment()).expect("alignments are small");
    let block = block.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    // The header and room for a batch.
    let length = length.max(2 * u64::from(block)).next_multiple_of(u64::from(block));
    file.write(0, &encode_header(&Header { block, lineage, length })).await?;
    let block = u64::from(block);
    let log = LogFile { path: temporary, file, lineage, length: block, block };
    log.write_zeros(length).await?;
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
        // Read through another handle: the alignment of this one may have changed with the file system. And twice: a
        // wrong bit in the last batch would make a torn write of it, which is dropped.
        let mut content = vec![0; usize::try_from(bytes).expect("log files are bounded")];
        let mut again = content.clone();
        let reader = disk.open(path, Access::ReadOnly).await?;
        reader.read(0, &mut content).await?;
        reader.drop_cache(0, bytes);
        reader.read(0, &mut again).await?;
        if let Some(at) = content.iter().zip(&again).position(|(one, other)| one != other) {
            let what = "two reads of it differ; a start may find it right".to_owned();
            return Err(OpenError::Corrupt { path: path.to_owned(), offset: at as u64, what });
        }
        let Header { block, lineage, length } = read_header(path, &content)?;
        if bytes < length {
            // Batches, and those that would tell of them, may be gone alike: only this shows it.
            let what = format!("the file is cut short: it was {length} bytes long");
            return Err(OpenError::Corrupt { path: path.to_owned(), offset: bytes, what });
        }
        let log = LogFile { path: path.to_owned(), file, lineage, length, block: u64::from(block) };
        Ok(ReadLog { log, content })
    }

    /// Where the first batch stands, in bytes.
    pub(crate) fn first(&self) -> u64 {
        self.block
    }

    /// Whether this file system can write blocks of this size: not after a move to one of larger blocks.
    pub(crate) fn is_writable(&self) -> bool {
        self.block.is_multiple_of(self.file.alignment() as u64)
    }

    /// Makes the file longer by zeros that are durable, and then lets its header say so: until that is durable too,
    /// no batch may stand in the new part, and whatever a crash leaves of it is beyond the length that counts. What
    /// differs in the header is within its first sector, which a device writes whole or not at all.
    ///
    /// After `NoSpace` the file is unchanged and can be used as before. After another error nothing more may be
    /// written to it.
    pub(crate) async fn grow(&mut self, length: u64) -> Result<(), DiskError> {
        let length = length.next_multiple_of(self.block);
        if length <= self.length {
            return Ok(());
        }
        if let Err(error) = self.write_zeros(length).await {
            // Whatever stays beyond the old end is never read as a batch, and the room comes back at the next
            // growth: a failure here changes nothing.
            let _ = self.file.truncate(self.length).await;
            return Err(error);
        }
        let block = u32::try_from(self.block).expect("it came from a header");
        let header = encode_header(&Header { block, lineage: self.lineage, length });
        // Not cut back when this fails, now or later: the new header may be there all the same. For want of space
        // too, which blocks that exist should not have: it is no reason to go on with this file.
        self.file.write_durable(0, &header).await.map_err(|mut error| {
            error.kind = DiskErrorKind::Io;
            error
        })?;
        self.length = length;
        Ok(())
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
