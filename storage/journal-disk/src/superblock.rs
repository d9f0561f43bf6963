//! The two superblocks: where everything begins. Each holds all of it; they are written one after the other, so
//! that one of them is whole at any moment.
//!
//! What both say holds: a slot may be reused, a file removed, only after both were written.

use std::sync::Arc;

use thalweg_system::disk::{Access, DiskErrorKind};
use thalweg_system::{AlignedBuffer, Disk, DiskError, DiskFile};
use thalweg_types::Timestamp;

use crate::error::OpenError;
use crate::layout::{COUNT_MAX, get_u32, get_u64, put_u32, put_u64, sum_behind_first_field};
use crate::settings::BLOCK_BYTES;
use crate::slot::{check_alignment, settle};

/// `TWSB` in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"TWSB");
const VERSION: u32 = 1;
/// The files, in the order of writing.
pub(crate) const PATHS: [&str; 2] = ["superblock-a", "superblock-b"];
/// Set by a clean end, cleared by the next start.
const FLAG_CLEAN: u32 = 1;

/// What a superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Made at random with the journal, known to nobody outside: batches in a payload cannot pass for ours.
    pub(crate) journal: u64,
    /// Grows with every write of a superblock.
    pub(crate) sequence: u64,
    /// Grows with every start.
    pub(crate) epoch: u64,
    /// Slots that have joined the ring.
    pub(crate) slots: u32,
    /// The journal ended cleanly: the log ends where the checkpoint does.
    pub(crate) clean: bool,
    /// The checkpoint's number; 0 when there is none yet.
    pub(crate) checkpoint: u64,
    /// The wall time that was last believed ([`crate::retention::ExpiryClock`]); zero in one that an earlier build wrote.
    pub(crate) wall: Timestamp,
}

impl Superblock {
    fn encode(&self) -> AlignedBuffer {
        let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
        put_u32(&mut block, 4, MAGIC);
        put_u32(&mut block, 8, VERSION);
        put_u32(&mut block, 12, if self.clean { FLAG_CLEAN } else { 0 });
        put_u64(&mut block, 16, self.journal);
        put_u64(&mut block, 24, self.sequence);
        put_u64(&mut block, 32, self.epoch);
        put_u32(&mut block, 40, self.slots);
        put_u64(&mut block, 48, self.checkpoint);
        put_u64(&mut block, 56, self.wall.as_millis().max(0).cast_unsigned());
        let sum = sum_behind_first_field(&block);
        put_u32(&mut block, 0, sum);
        block
    }

    fn decode(path: &str, block: &[u8]) -> Result<Self, OpenError> {
        if sum_behind_first_field(block) != get_u32(block, 0) || get_u32(block, 4) != MAGIC {
            return Err(OpenError::corrupt(path, 0, "the superblock does not fit its checksum"));
        }
        let version = get_u32(block, 8);
        if version > VERSION {
            return Err(OpenError::Version { file: path.to_owned(), found: version, known: VERSION });
        }
        let counts = [24, 32, 48, 56].map(|at| get_u64(block, at));
        if counts.into_iter().any(|count| count > COUNT_MAX) {
            return Err(OpenError::corrupt(path, 24, "a count is out of range"));
        }
        Ok(Superblock {
            journal: get_u64(block, 16),
            sequence: get_u64(block, 24),
            epoch: get_u64(block, 32),
            slots: get_u32(block, 40),
            clean: get_u32(block, 12) & FLAG_CLEAN != 0,
            checkpoint: get_u64(block, 48),
            wall: Timestamp::from_millis(get_u64(block, 56).cast_signed()),
        })
    }
}

/// What the device has of one of the files.
async fn read(file: &dyn DiskFile, path: &str) -> Result<Superblock, OpenError> {
    settle(file, BLOCK_BYTES as u64).await?;
    let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
    match file.read(0, &mut block).await {
        Err(error) if error.kind == DiskErrorKind::EndOfFile => {
            Err(OpenError::corrupt(path, 0, "the superblock is cut short"))
        }
        other => {
            other?;
            Superblock::decode(path, &block)
        }
    }
}

/// Both files, and what they say.
pub(crate) struct Superblocks {
    files: [Arc<dyn DiskFile>; 2],
    current: Superblock,
}

/// What the two files say.
pub(crate) struct Looked {
    /// Those that are there.
    files: Vec<(&'static str, Arc<dyn DiskFile>)>,
    /// The newer whole one.
    pub(crate) current: Option<Superblock>,
    /// What is wrong with one that is not whole, cannot be read, or is not there.
    pub(crate) damaged: Option<OpenError>,
}

/// What a start finds.
pub(crate) enum Found {
    /// Neither is whole. Before the first slot exists that means that no journal was ever made here, or that its
    /// making was cut short; afterwards it is damage.
    Nothing { reason: OpenError },
    /// A journal. `None` in `damaged` when both superblocks were whole.
    Journal { superblocks: Superblocks, damaged: Option<OpenError> },
}

impl Superblocks {
    /// Makes both files for a new journal.
    pub(crate) async fn create(disk: &dyn Disk, first: Superblock) -> Result<Self, DiskError> {
        let mut files = Vec::with_capacity(2);
        for path in PATHS {
            let file = match disk.create(path, Access::Recycled).await {
                Err(error) if error.kind == DiskErrorKind::AlreadyExists => {
                    disk.open(path, Access::Recycled).await?
                }
                other => other?,
            };
            check_alignment(&*file, path)?;
            file.write_durable(0, &first.encode()).await?;
            files.push(file);
        }
        disk.sync_directory("").await?;
        let files = files.try_into().unwrap_or_else(|_| unreachable!("there are two paths"));
        Ok(Superblocks { files, current: first })
    }

    /// Reads what the device has of both, and changes nothing.
    pub(crate) async fn look(disk: &dyn Disk) -> Result<Looked, OpenError> {
        let mut files = Vec::with_capacity(2);
        let mut whole: Option<Superblock> = None;
        let mut damaged = None;
        for path in PATHS {
            let file = match disk.open(path, Access::Recycled).await {
                Err(error) if error.kind == DiskErrorKind::NotFound => {
                    damaged = Some(OpenError::Missing {
                        file: path.to_owned(),
                        what: "a journal has two superblocks".to_owned(),
                    });
                    continue;
                }
                other => other?,
            };
            check_alignment(&*file, path)?;
            match read(&*file, path).await {
                Ok(found) => {
                    if whole.is_none_or(|other| other.sequence < found.sequence) {
                        whole = Some(found);
                    }
                }
                Err(version @ OpenError::Version { .. }) => return Err(version),
                // Of two reasons the one stays that may pass.
                Err(_) if matches!(damaged, Some(OpenError::Disk(_))) => {}
                Err(error) => damaged = Some(error),
            }
            files.push((path, file));
        }
        Ok(Looked { files, current: whole, damaged })
    }

    /// Reads both and believes the newer whole one.
    ///
    /// One that the disk cannot read is no worse than one that does not fit its checksum: until both were written, nothing
    /// relies on what only the newer one says, so that the older one does as well.
    pub(crate) async fn find(disk: &dyn Disk) -> Result<Found, OpenError> {
        let Looked { files, current, damaged } = Self::look(disk).await?;
        let Some(current) = current else {
            return match damaged.expect("neither is whole, so that one has a reason") {
                // It may be whole when it can be read again.
                error @ OpenError::Disk(_) => Err(error),
                reason => Ok(Found::Nothing { reason }),
            };
        };
        // A missing one is made anew: whatever is written next goes to both.
        let mut both = Vec::with_capacity(2);
        for path in PATHS {
            match files.iter().find(|(found, _)| *found == path) {
                Some((_, file)) => both.push(Arc::clone(file)),
                None => both.push(disk.create(path, Access::Recycled).await?),
            }
        }
        if damaged.is_some() {
            disk.sync_directory("").await?;
        }
        let files = both.try_into().unwrap_or_else(|_| unreachable!("there are two paths"));
        Ok(Found::Journal { superblocks: Superblocks { files, current }, damaged })
    }

    pub(crate) fn current(&self) -> Superblock {
        self.current
    }

    /// Writes what `change` makes of the present superblock to both files. After an error neither the old nor the
    /// new content may be relied upon: call it again or stop.
    pub(crate) async fn store(&mut self, change: impl FnOnce(&mut Superblock)) -> Result<(), DiskError> {
        let mut next = self.current;
        change(&mut next);
        next.sequence = self.current.sequence + 1;
        let block = next.encode();
        for file in &self.files {
            file.write_durable(0, &block).await?;
        }
        self.current = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        let wall = Timestamp::from_millis(7);
        Superblock { journal: 0x0807_0605, sequence: 3, epoch: 4, slots: 2, clean: true, checkpoint: 6, wall }
    }

    #[test]
    fn the_format_of_version_1_is_pinned() {
        let mut expected = vec![0; BLOCK_BYTES];
        expected[4..13].copy_from_slice(b"TWSB\x01\0\0\0\x01");
        expected[16..20].copy_from_slice(&[5, 6, 7, 8]);
        (expected[24], expected[32], expected[40], expected[48], expected[56]) = (3, 4, 2, 6, 7);
        let sum = sum_behind_first_field(&expected);
        expected[..4].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(&sample().encode()[..], &expected[..]);
        assert_eq!(Superblock::decode("a", &expected).expect("it is whole"), sample());
    }

    #[test]
    fn no_bit_of_a_superblock_may_flip_unseen() {
        let block = sample().encode();
        for bit in 0..64 * 8 {
            let mut flipped = block.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::decode("a", &flipped).is_err(), "bit {bit}");
        }
    }
}
