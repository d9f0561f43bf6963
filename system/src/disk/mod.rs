//! The disk: every durable byte goes through here.
//!
//! Asynchronous, so that the simulation can hold, tear and fail any call. The adapters of a real disk may block
//! the calling thread: call from a loop of its own ([`crate::Spawn`]), never from a network thread.
//!
//! Paths are relative to the data directory, with `/` between their parts, and never contain `..`.

use std::fmt;
use std::sync::Arc;

use crate::buffer::ALIGNMENT;
use crate::{AlignedBuffer, BoxFuture};

#[cfg(test)]
mod conformance;

/// What went wrong, as far as the caller must know it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// There is no such file.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The volume is full.
    NoSpace,
    /// The file ends before the bytes that were asked for.
    EndOfFile,
    /// No further file can be opened: this process, or the system, has as many open as it may.
    TooManyOpen,
    /// Another process holds the data directory.
    Locked,
    /// Reading, writing or syncing failed; what the file holds now is not known.
    Io,
}

impl DiskErrorKind {
    /// Whether the call failed for want of room or of a descriptor: nothing is broken, and it may succeed later.
    pub fn is_lack(self) -> bool {
        matches!(self, DiskErrorKind::NoSpace | DiskErrorKind::TooManyOpen)
    }
}

/// A failed call: which call, on which path, and the operating system's reason.
#[derive(Clone, Debug)]
pub struct DiskError {
    /// What kind.
    pub kind: DiskErrorKind,
    /// The call, for the message: "open", "sync"…
    pub call: &'static str,
    /// The file or directory.
    pub path: String,
    /// The operating system's words.
    pub reason: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.call, self.path, self.reason)
    }
}

impl std::error::Error for DiskError {}

/// How a file will be used: the adapter chooses flags by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Fixed-size, overwritten in place by durable writes: offsets, lengths and memory are multiples of
    /// [`DiskFile::alignment`].
    Recycled,
    /// Written once, in order, by buffered writes, and synced explicitly.
    Appended,
    /// Written once, in order, in large pieces that go past the kernel's cache where the file system allows it,
    /// and synced explicitly: offsets, lengths and memory are multiples of [`DiskFile::alignment`]. The same file
    /// may be written as [`Access::Appended`] before and after, but not within one block of that size.
    Bulk,
    /// Only read.
    ReadOnly,
    /// Only read, in large pieces past the kernel's cache where the file system allows it:
    /// [`DiskFile::read_around`].
    BulkReadOnly,
}

impl Access {
    /// Whether offsets, lengths and memory must be multiples of [`DiskFile::alignment`].
    pub(crate) fn is_aligned(self) -> bool {
        match self {
            Access::Recycled | Access::Bulk | Access::BulkReadOnly => true,
            Access::Appended | Access::ReadOnly => false,
        }
    }

    /// Whether nothing may be written.
    pub(crate) fn is_read_only(self) -> bool {
        matches!(self, Access::ReadOnly | Access::BulkReadOnly)
    }
}

/// How much room the volume has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// In all.
    pub total: u64,
    /// Free for us.
    pub available: u64,
}

/// A data directory.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file.
    fn open<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>>;

    /// Creates an empty file; `AlreadyExists` when there is one. Its name is durable only after `sync_directory`.
    fn create<'a>(
        &'a self,
        path: &'a str,
        access: Access,
    ) -> BoxFuture<'a, Result<Arc<dyn DiskFile>, DiskError>>;

    /// Creates a directory and its parents, durably: files in it are never lost with it. No error when it exists: then its
    /// name is made durable. Parents that exist are taken as durable.
    fn create_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Gives a file a new name, replacing what had it. Durable after `sync_directory`.
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Removes a file. Durable after `sync_directory`.
    fn unlink<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Removes an empty directory. Durable after `sync_directory` of the directory above.
    fn remove_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// The names of the files and directories in a directory (not their paths), sorted. An absent directory is empty.
    fn list<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<String>, DiskError>>;

    /// Makes the names in a directory durable.
    fn sync_directory<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// The volume's room.
    fn space(&self) -> BoxFuture<'_, Result<DiskSpace, DiskError>>;
}

/// An open file. Dropping it closes it.
pub trait DiskFile: Send + Sync + 'static {
    /// Fills `buffer` from `offset` on; `EndOfFile` when the file is shorter.
    fn read<'a>(&'a self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Reads `length` bytes from `offset` on into `buffer`, and what lies around them in blocks of
    /// [`DiskFile::alignment`] with them. What the buffer held goes. Answers where in it the bytes begin;
    /// `EndOfFile` when the file is shorter.
    ///
    /// # Panics
    /// When the buffer has no room for the blocks around these bytes.
    fn read_around<'a>(
        &'a self,
        offset: u64,
        length: usize,
        buffer: &'a mut AlignedBuffer,
    ) -> BoxFuture<'a, Result<usize, DiskError>>;

    /// Writes; not durable until `sync`.
    fn write<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Writes, and returns once the bytes are on stable storage. How is the adapter's choice.
    fn write_durable<'a>(&'a self, offset: u64, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Returns once everything written to this file before, and its length, are on stable storage.
    fn sync(&self) -> BoxFuture<'_, Result<(), DiskError>>;

    /// The file's length in bytes.
    fn length(&self) -> BoxFuture<'_, Result<u64, DiskError>>;

    /// Cuts the file, or lengthens it with zeros.
    fn truncate(&self, length: u64) -> BoxFuture<'_, Result<(), DiskError>>;

    /// Begins to bring these bytes to the device and does not wait: the `sync` that must follow has less to do, above
    /// all where it is one of many. Advice only.
    fn begin_sync(&self, offset: u64, length: u64);

    /// Tells the operating system that these bytes will not be read soon. What was not synced stays; after a
    /// `sync`, what is read next comes from the device and not from memory.
    fn drop_cache(&self, offset: u64, length: u64);

    /// What offsets, lengths and memory must be multiples of under [`Access::Recycled`], [`Access::Bulk`] and
    /// [`Access::BulkReadOnly`]; a power of two. 1 under the other kinds of access.
    fn alignment(&self) -> usize;
}

/// The whole blocks around `length` bytes at `offset`: where they begin, how many bytes they have, and where in
/// them those bytes begin.
///
/// # Panics
/// When they do not fit into `buffer`, as the callers of [`DiskFile::read_around`] promise.
pub(crate) fn around(
    offset: u64,
    length: usize,
    alignment: usize,
    buffer: &AlignedBuffer,
) -> (u64, usize, usize) {
    let before = usize::try_from(offset % alignment as u64).expect("it is less than a block");
    let blocks = (before + length).next_multiple_of(alignment);
    assert!(blocks <= buffer.capacity(), "the buffer has room for {length} bytes and the blocks around them");
    (offset - before as u64, blocks, before)
}

/// The directory that holds `path`; the data directory itself is "".
pub fn parent_directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Checks what callers promise about paths, in every adapter alike.
///
/// # Panics
/// When `path` could lead out of the data directory.
pub(crate) fn assert_relative(path: &str) {
    let is_plain = path.is_empty() || path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    assert!(is_plain, "paths are plain and relative to the data directory: {path:?}");
}

/// Checks what callers promise about direct I/O, in every adapter alike: code that breaks the promise must not
/// work by luck on a file system that does not need it.
///
/// # Panics
/// When the promise is broken.
pub(crate) fn assert_aligned(access: Access, alignment: usize, offset: u64, bytes: &[u8]) {
    if access.is_aligned() {
        assert!(offset.is_multiple_of(alignment as u64), "offset {offset} is a multiple of {alignment}");
        assert!(bytes.len().is_multiple_of(alignment), "length {} is a multiple of {alignment}", bytes.len());
        assert!(bytes.as_ptr().addr().is_multiple_of(alignment.min(ALIGNMENT)), "memory is aligned");
    }
}
