//! One open file of the data directory, and how its writes become durable.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use crate::buffer::ALIGNMENT;
use crate::disk::{Access, DiskError, DiskErrorKind, DiskFile, around, assert_aligned};
use crate::planted::{Bug, is_planted};
use crate::{AlignedBuffer, BoxFuture};

/// How `write_durable` reaches stable storage on [`Access::Recycled`] files. Displays as a line for start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Direct writes (`O_DIRECT`) that return once the device has them for good (`RWF_DSYNC`).
    Direct {
        /// What offsets, lengths and memory are multiples of, in bytes.
        alignment: usize,
    },
    /// Plain writes, each followed by `fdatasync`: what works everywhere, and is slower.
    Synced {
        /// Why not direct.
        reason: String,
    },
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Durability::Direct { alignment } => write!(f, "direct writes in blocks of {alignment} bytes"),
            Durability::Synced { reason } => write!(f, "plain writes and fdatasync ({reason})"),
        }
    }
}

/// How a [`DiskError`] is made of the operating system's.
pub(super) fn disk_error(call: &'static str, path: &str, error: &io::Error) -> DiskError {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let kind = match (error.kind(), errno) {
        (io::ErrorKind::NotFound, _) => DiskErrorKind::NotFound,
        (io::ErrorKind::AlreadyExists, _) => DiskErrorKind::AlreadyExists,
        (io::ErrorKind::UnexpectedEof, _) => DiskErrorKind::EndOfFile,
        // A full quota is a full volume to us.
        (_, Some(Errno::NOSPC | Errno::DQUOT)) => DiskErrorKind::NoSpace,
        (_, Some(Errno::MFILE | Errno::NFILE)) => DiskErrorKind::TooManyOpen,
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, call, path: path.to_owned(), reason: error.to_string() }
}

/// Whether a direct open or write failed because the file system does not do it, rather than because it broke.
fn is_refusal(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS))
}

/// The block of direct I/O on an open file, or why there is none.
///
/// At least 4096 bytes even where the device takes 512: smaller overwrites make the device read, change and write
/// its own larger block, and put more acknowledged bytes at risk in one torn write.
fn direct_alignment(file: &File) -> Result<usize, String> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    // Kernels before 6.1, and file systems that do not say, leave the bit out of the mask: 4096 suits all known.
    let Ok(answer) = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) else {
        return Ok(ALIGNMENT);
    };
    if answer.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
        return Ok(ALIGNMENT);
    }
    let (memory, offset) = (answer.stx_dio_mem_align as usize, answer.stx_dio_offset_align as usize);
    if memory == 0 || offset == 0 {
        return Err("the file system does no direct I/O on it".to_owned());
    }
    if memory > ALIGNMENT || !offset.is_power_of_two() {
        return Err(format!("direct I/O wants memory at {memory} and offsets at {offset} bytes"));
    }
    Ok(offset.max(ALIGNMENT))
}

/// Opens for direct reads and writes where they are asked for and possible, else for plain ones.
pub(super) fn open_direct(
    path: &Path,
    options: &OpenOptions,
    wanted: &Durability,
) -> io::Result<(File, Durability)> {
    let reason = match wanted {
        Durability::Synced { reason } => reason.clone(),
        Durability::Direct { .. } => {
            let direct = i32::from_ne_bytes(OFlags::DIRECT.bits().to_ne_bytes());
            match options.clone().custom_flags(direct).open(path) {
                Ok(file) => match direct_alignment(&file) {
                    Ok(alignment) => return Ok((file, Durability::Direct { alignment })),
                    // The same open file goes on without the flag: a second open would fail when the first created it.
                    Err(reason) => {
                        let flags = rustix::fs::fcntl_getfl(&file)?;
                        rustix::fs::fcntl_setfl(&file, flags - OFlags::DIRECT)?;
                        return Ok((file, Durability::Synced { reason }));
                    }
                },
                // Some file systems refuse only after they have created the file: not so the ones that we know
                // (the flag is checked first), and the probe at start has shown that this one does not refuse.
                Err(error) if is_refusal(&error) => format!("O_DIRECT: {error}"),
                Err(error) => return Err(error),
            }
        }
    };
    Ok((options.open(path)?, Durability::Synced { reason }))
}

/// Writes the first block of `path` (the lock file) as a ring's blocks will be written, and says what worked.
pub(super) fn probe(path: &Path, content: &[u8], wanted: &Durability) -> io::Result<Durability> {
    let mut block = AlignedBuffer::with_capacity(ALIGNMENT);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let (file, durability) = open_direct(path, &options, wanted)?;
    let alignment = match &durability {
        Durability::Direct { alignment } => *alignment,
        Durability::Synced { .. } => ALIGNMENT,
    };
    if alignment > block.capacity() {
        block = AlignedBuffer::with_capacity(alignment);
    }
    block.extend_from_slice(content);
    block.pad_to(alignment);
    match write_durable_all(&file, &durability, 0, &block) {
        Ok(()) => Ok(durability),
        Err(error) if is_refusal(&error) && matches!(durability, Durability::Direct { .. }) => {
            let plain = Durability::Synced { reason: format!("O_DIRECT: {error}") };
            let (file, plain) = open_direct(path, &options, &plain)?;
            write_durable_all(&file, &plain, 0, &block)?;
            Ok(plain)
        }
        Err(error) => Err(error),
    }
}

fn write_durable_all(file: &File, durability: &Durability, offset: u64, bytes: &[u8]) -> io::Result<()> {
    match durability {
        Durability::Synced { .. } => {
            file.write_all_at(bytes, offset)?;
            file.sync_data()
        }
        Durability::Direct { alignment } => {
            let flags = match is_planted(Bug::DurableFlagDropped) {
                true => ReadWriteFlags::empty(),
                false => ReadWriteFlags::DSYNC,
            };
            write_direct_all(file, *alignment, offset, bytes, flags)
        }
    }
}

/// Writes whole blocks to a file that is open for direct writes.
fn write_direct_all(
    file: &File,
    alignment: usize,
    mut offset: u64,
    mut bytes: &[u8],
    flags: ReadWriteFlags,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = match rustix::io::pwritev2(file, &[io::IoSlice::new(bytes)], offset, flags) {
            Ok(written) => written,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        // What is left must stay aligned to be written at all.
        if written == 0 || written % alignment != 0 {
            return Err(io::Error::other(format!("only {written} of {} bytes were written", bytes.len())));
        }
        offset += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// An open file.
pub(super) struct OsFile {
    pub(super) file: File,
    pub(super) path: String,
    pub(super) access: Access,
    /// Of the kinds of access that are aligned; the others are always written plainly.
    pub(super) durability: Durability,
}

impl OsFile {
    fn error(&self, call: &'static str, error: &io::Error) -> DiskError {
        disk_error(call, &self.path, error)
    }

    fn is_direct(&self) -> bool {
        self.access.is_aligned() && matches!(self.durability, Durability::Direct { .. })
    }

    /// Fills `buffer` from `offset` on with whole blocks, of which the file must have `least` bytes.
    fn read_blocks(&self, mut offset: u64, mut buffer: &mut [u8], mut least: usize) -> io::Result<()> {
        while least > 0 {
            let count = match self.file.read_at(buffer, offset) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // Direct reads are cut between blocks, except by the end of the file.
            if count == 0 || (count < least && count % self.alignment() != 0) {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before these bytes"));
            }
            offset += count as u64;
            least = least.saturating_sub(count);
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    fn read_now(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.is_direct() {
            let length = buffer.len();
            return self.read_blocks(offset, buffer, length);
        }
        self.file.read_exact_at(buffer, offset)
    }
}

impl DiskFile for OsFile {
    fn read<'a>(&'a self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            assert_aligned(self.access, self.alignment(), offset, buffer);
            self.read_now(offset, buffer).map_err(|error| self.error("read", &error))
        })
    }

    fn read_around<'a>(
        &'a self,
        offset: u64,
        length: usize,
        buffer: &'a mut AlignedBuffer,
    ) -> BoxFuture<'a, Result<usize, DiskError>> {
        Box::pin(async move {
            let (start, blocks, before) = around(offset, length, self.alignment(), buffer);
            buffer.resize_with_any(blocks);
            let read = if self.is_direct() {
                self.read_blocks(start, buffer, before + length)
            } else {
                self.file.read_exact_at(&mut buffer[before..before + length], offset)
            };
            read.map_err(|error| self.error("read", &error))?;
            Ok(before)
        })
    }

    fn write<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            assert_aligned(self.access, self.alignment(), offset, bytes);
            let written = match &self.durability {
                Durability::Direct { alignment } if self.access.is_aligned() => {
                    write_direct_all(&self.file, *alignment, offset, bytes, ReadWriteFlags::empty())
                }
                _ => self.file.write_all_at(bytes, offset),
            };
            written.map_err(|error| self.error("write", &error))
        })
    }

    fn write_durable<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>> {
        Box::pin(async move {
            assert_aligned(self.access, self.alignment(), offset, bytes);
            let plain = Durability::Synced { reason: String::new() };
            let durability = if self.is_direct() { &self.durability } else { &plain };
            write_durable_all(&self.file, durability, offset, bytes)
                .map_err(|error| self.error("durably write", &error))
        })
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), DiskError>> {
        // fdatasync: it covers the length, and leaves out only times and owners.
        Box::pin(async move { self.file.sync_data().map_err(|error| self.error("sync", &error)) })
    }

    fn length(&self) -> BoxFuture<'_, Result<u64, DiskError>> {
        Box::pin(async move {
            let metadata = self.file.metadata().map_err(|error| self.error("measure", &error))?;
            Ok(metadata.len())
        })
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, Result<(), DiskError>> {
        Box::pin(async move { self.file.set_len(length).map_err(|error| self.error("truncate", &error)) })
    }

    fn begin_sync(&self, offset: u64, length: u64) {
        // Linux begins to write back what it is told to forget and cannot forget yet. (`sync_file_range` is made for
        // this, and not to be had without unsafe code.)
        self.drop_cache(offset, length);
    }

    fn drop_cache(&self, offset: u64, length: u64) {
        // The kernel reads a length of 0 as "to the end"; ours means nothing to drop.
        if let Some(length) = NonZeroU64::new(length) {
            // Advice: there is nothing to do about a refusal.
            let _ = rustix::fs::fadvise(&self.file, offset, Some(length), Advice::DontNeed);
        }
    }

    fn alignment(&self) -> usize {
        match (self.access, &self.durability) {
            (access, _) if !access.is_aligned() => 1,
            (_, Durability::Direct { alignment }) => *alignment,
            (_, Durability::Synced { .. }) => ALIGNMENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/proc` is a file system that refuses `O_DIRECT`, present wherever Linux is.
    #[test]
    fn a_file_system_without_direct_io_is_written_plainly() {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let wanted = Durability::Direct { alignment: ALIGNMENT };
        let (_, durability) = open_direct(Path::new("/proc/self/comm"), &options, &wanted)
            .expect("a process may open its own name");
        let Durability::Synced { reason } = durability else { panic!("/proc does direct I/O: {durability}") };
        assert!(reason.starts_with("O_DIRECT: "), "{reason}");
    }

    #[test]
    fn errors_say_what_callers_must_tell_apart() {
        for (errno, kind) in [
            (Errno::NOENT, DiskErrorKind::NotFound),
            (Errno::EXIST, DiskErrorKind::AlreadyExists),
            (Errno::NOSPC, DiskErrorKind::NoSpace),
            (Errno::DQUOT, DiskErrorKind::NoSpace),
            (Errno::MFILE, DiskErrorKind::TooManyOpen),
            (Errno::NFILE, DiskErrorKind::TooManyOpen),
            (Errno::IO, DiskErrorKind::Io),
            (Errno::ACCESS, DiskErrorKind::Io),
        ] {
            let error = disk_error("sync", "ring/0", &errno.into());
            assert_eq!(error.kind, kind, "{errno:?}");
            assert!(error.to_string().starts_with("cannot sync ring/0: "), "{error}");
        }
    }
}
