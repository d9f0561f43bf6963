//! The end of the log: gives batches their place and their header, and writes them.
//!
//! One write is in flight at a time. After one that failed nothing more may be written: what the file holds there
//! is not known.

use thalweg_catalog::{Version, Write};
use thalweg_system::DiskError;

use crate::batch::{BatchHeader, BatchKind, batch_bytes, encode};
use crate::log_file::LogFile;
use crate::settings::RESERVE_PART;
use crate::snapshot::Point;

/// The end of the log.
pub(crate) struct Writer {
    pub(crate) lineage: u64,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) active: LogFile,
    /// Where the next batch goes.
    pub(crate) position: u64,
    /// The last batch, which is durable.
    pub(crate) tail: Point,
}

/// The part of a log file that commits leave alone.
fn reserve(length: u64, block: u64) -> u64 {
    (length / RESERVE_PART).next_multiple_of(block)
}

impl Writer {
    /// Whether commits of this many payload bytes fit into the file that is being written.
    pub(crate) fn has_room(&self, payload_bytes: usize) -> bool {
        let end = self.position + batch_bytes(payload_bytes, self.active.block);
        end + reserve(self.active.length, self.active.block) <= self.active.length
    }

    /// Whether an empty batch fits, the reserve included.
    pub(crate) fn has_room_for_empty(&self) -> bool {
        self.position + batch_bytes(0, self.active.block) <= self.active.length
    }

    /// How long `log` must be to take commits of this many payload bytes from its start, in bytes.
    pub(crate) fn length_wanted(log: &LogFile, payload_bytes: usize) -> u64 {
        let batch = log.first() + batch_bytes(payload_bytes, log.block);
        // A quarter more: the reserve is an eighth of the length.
        if batch + reserve(log.length, log.block) <= log.length {
            log.length
        } else {
            batch + batch / 4 + log.block
        }
    }

    /// Goes on at the start of another file; answers the one before.
    pub(crate) fn switch_to(&mut self, next: LogFile) -> LogFile {
        self.generation += 1;
        self.position = next.first();
        std::mem::replace(&mut self.active, next)
    }

    /// Writes one batch and returns once it is durable.
    pub(crate) async fn append<'a>(
        &mut self,
        kind: BatchKind,
        commits: impl ExactSizeIterator<Item = &'a [Write]> + Send,
        payload_bytes: usize,
    ) -> Result<Version, DiskError> {
        let header = BatchHeader {
            kind,
            previous: self.tail.checksum,
            lineage: self.lineage,
            generation: self.generation,
            sequence: self.tail.sequence + 1,
            epoch: self.epoch,
            durable_through: self.tail.sequence,
            base_version: self.tail.version,
            commits: u32::try_from(commits.len()).expect("batches are bounded"),
            payload_bytes: u32::try_from(payload_bytes).expect("batches are bounded"),
        };
        let (bytes, checksum) = encode(&header, commits, self.active.block);
        assert!(self.position + bytes.len() as u64 <= self.active.length, "room was made before");
        self.active.file.write_durable(self.position, &bytes).await?;
        self.position += bytes.len() as u64;
        let version = header.base_version + u64::from(header.commits);
        self.tail = Point { sequence: header.sequence, checksum, epoch: self.epoch, version };
        Ok(version)
    }

    /// Writes an empty batch.
    pub(crate) async fn append_empty(&mut self, kind: BatchKind) -> Result<(), DiskError> {
        self.append(kind, std::iter::empty(), 0).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::reserve;

    #[test]
    fn the_reserve_is_whole_blocks_and_never_nothing() {
        assert_eq!(reserve(256 << 10, 4096), 32 << 10);
        assert_eq!(reserve(8192, 512), 1024);
        assert_eq!(reserve(1024, 512), 512);
    }
}
