//! Memory for batches, used again: a large batch in fresh memory costs a page fault for every block of it, about as
//! much as copying the records.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_system::AlignedBuffer;

/// Smaller buffers come from the allocator's own lists, which are as good.
const POOLED_BYTES_MIN: usize = 256 * 1024;
/// Buffers that are kept, at most; the bound on bytes is the caller's.
const POOLED_COUNT_MAX: usize = 32;

/// Buffers that nobody uses now.
pub(crate) struct BufferPool {
    free: Mutex<Vec<AlignedBuffer>>,
    bytes_max: usize,
}

/// A buffer that goes back when it is dropped.
pub(crate) struct PooledBuffer {
    /// `None` only while it is dropped.
    buffer: Option<AlignedBuffer>,
    pool: Arc<BufferPool>,
}

impl BufferPool {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(BufferPool { free: Mutex::new(Vec::new()), bytes_max })
    }

    fn free(&self) -> MutexGuard<'_, Vec<AlignedBuffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for `bytes`, and for at most a quarter more.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> PooledBuffer {
        // Quarters of a power of two, so that batches of about one size share their buffers.
        let capacity = bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(1));
        let found = if bytes < POOLED_BYTES_MIN {
            None
        } else {
            let mut free = self.free();
            let fitting = free.iter().position(|buffer| buffer.capacity() == capacity.next_multiple_of(4096));
            fitting.map(|index| free.swap_remove(index))
        };
        let buffer = found.unwrap_or_else(|| {
            AlignedBuffer::with_capacity(if bytes < POOLED_BYTES_MIN { bytes } else { capacity })
        });
        PooledBuffer { buffer: Some(buffer), pool: Arc::clone(self) }
    }

    /// Frees what nobody uses.
    pub(crate) fn rest(&self) {
        *self.free() = Vec::new();
    }

    fn give(&self, mut buffer: AlignedBuffer) {
        if buffer.capacity() < POOLED_BYTES_MIN {
            return;
        }
        buffer.clear();
        let mut free = self.free();
        let bytes: usize = free.iter().map(AlignedBuffer::capacity).sum();
        if free.len() < POOLED_COUNT_MAX && bytes + buffer.capacity() <= self.bytes_max {
            free.push(buffer);
        }
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let buffer = self.buffer.take().expect("it is dropped once");
        self.pool.give(buffer);
    }
}

impl Deref for PooledBuffer {
    type Target = AlignedBuffer;

    fn deref(&self) -> &AlignedBuffer {
        self.buffer.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut AlignedBuffer {
        self.buffer.as_mut().expect("it is there until it is dropped")
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn large_buffers_are_used_again_and_small_ones_are_not() {
        let pool = BufferPool::new(4 * MIB);
        for (bytes, kept) in [(MIB, 1), (MIB + 1000, 2), (MIB, 2), (4096, 2), (3 * MIB, 2)] {
            let mut buffer = pool.take(bytes);
            assert!(buffer.is_empty(), "what it held before is not seen");
            assert!((bytes..=bytes + bytes / 4 + 4096).contains(&buffer.capacity()), "{bytes} bytes");
            buffer.extend_zeros(bytes);
            drop(buffer);
            assert_eq!(pool.free().len(), kept, "after {bytes} bytes");
        }
        pool.rest();
        assert_eq!(pool.free().len(), 0);
    }
}
