//! A file whose blocks are written again and again, each write durable before it returns: what a write-ahead ring is,
//! without what makes its contents mean something.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Direct writes are of whole blocks, from memory at a block's boundary.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The file is zero-written in pieces of this size.
const ZERO_BYTES: usize = 8 << 20;

/// See the module.
pub(crate) struct Recycled {
    file: File,
    file_bytes: u64,
    next: u64,
    memory: Vec<u8>,
    /// Where in the memory the first block begins.
    aligned: usize,
    write_bytes_max: usize,
}

impl Recycled {
    /// Makes and zero-writes the file; no write will be larger than `write_bytes_max`.
    pub(crate) fn create(path: &Path, file_bytes: u64, write_bytes_max: usize) -> Recycled {
        let file = File::create(path).expect("the folder is there");
        let zeros = vec![0; ZERO_BYTES];
        let mut at = 0;
        while at < file_bytes {
            let length = (file_bytes - at).min(ZERO_BYTES as u64);
            file.write_all_at(&zeros[..length as usize], at).expect("the disk has room");
            at += length;
        }
        file.sync_all().expect("the disk writes");
        let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::DSYNC;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .expect("the file system has direct writes");
        let memory = crate::bodies::noise(11, write_bytes_max.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES);
        let aligned = memory.as_ptr().align_offset(BLOCK_BYTES);
        Recycled { file, file_bytes, next: 0, memory, aligned, write_bytes_max }
    }

    /// Makes this many prepared bytes durable, rounded up to whole blocks.
    pub(crate) fn write(&mut self, bytes: usize) {
        assert!(bytes <= self.write_bytes_max, "{bytes} bytes at once");
        let length = bytes.next_multiple_of(BLOCK_BYTES).max(BLOCK_BYTES);
        if self.next + length as u64 > self.file_bytes {
            self.next = 0;
        }
        let blocks = &self.memory[self.aligned..self.aligned + length];
        self.file.write_all_at(blocks, self.next).expect("the disk writes");
        self.next += length as u64;
    }

    /// The prepared bytes.
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        &self.memory[self.aligned..self.aligned + length]
    }
}
