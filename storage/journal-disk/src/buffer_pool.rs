//! Large pieces of memory, used again: for what is written to segments and read from them. A large buffer in fresh
//! memory costs the processor about as much as copying what goes into it.
//!
//! Not here: the memory of batches ([`crate::batch_memory`]), which are many and of all sizes.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_system::{AlignedBuffer, HUGE_PAGE};

/// Smaller buffers come from the allocator's own lists, which are as good.
const POOLED_BYTES_MIN: usize = 64 * 1024;
/// Buffers that are kept, at most; the bound on bytes is the caller's.
const POOLED_COUNT_MAX: usize = 64;

/// Buffers that nobody uses now.
pub(crate) struct BufferPool {
    free: Mutex<Vec<AlignedBuffer>>,
    bytes_max: usize,
}

/// A buffer that goes back to its pool, if it has one, when it is dropped.
pub(crate) struct PooledBuffer {
    /// `None` only while it is dropped.
    buffer: Option<AlignedBuffer>,
    pool: Option<Arc<BufferPool>>,
}

impl BufferPool {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(BufferPool { free: Mutex::new(Vec::new()), bytes_max })
    }

    fn free(&self) -> MutexGuard<'_, Vec<AlignedBuffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for `bytes`, and for at most as much again, or to the end of a huge page.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> PooledBuffer {
        let buffer = if bytes < POOLED_BYTES_MIN {
            AlignedBuffer::with_capacity(bytes)
        } else {
            self.find(bytes).unwrap_or_else(|| {
                if bytes < HUGE_PAGE / 2 {
                    AlignedBuffer::with_capacity(bytes)
                } else {
                    AlignedBuffer::in_huge_pages(bytes)
                }
            })
        };
        PooledBuffer { buffer: Some(buffer), pool: Some(Arc::clone(self)) }
    }

    /// The smallest free buffer that fits.
    fn find(&self, bytes: usize) -> Option<AlignedBuffer> {
        // A cache that holds the buffer counts all of it.
        let most = if bytes < HUGE_PAGE / 2 { 2 * bytes } else { bytes.next_multiple_of(HUGE_PAGE) };
        let mut free = self.free();
        let mut best: Option<(usize, usize)> = None;
        for (index, buffer) in free.iter().enumerate() {
            let capacity = buffer.capacity();
            if (bytes..=most).contains(&capacity) && best.is_none_or(|(_, found)| capacity < found) {
                best = Some((index, capacity));
            }
        }
        best.map(|(index, _)| free.swap_remove(index))
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

impl PooledBuffer {
    /// One that goes where its memory came from.
    pub(crate) fn without_pool(buffer: AlignedBuffer) -> Self {
        PooledBuffer { buffer: Some(buffer), pool: None }
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let buffer = self.buffer.take().expect("it is dropped once");
        if let Some(pool) = &self.pool {
            pool.give(buffer);
        }
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
        let pool = BufferPool::new(6 * MIB);
        for (bytes, kept) in [(MIB, 1), (MIB + 1000, 1), (3 * MIB, 2), (MIB, 2), (4096, 2), (5 * MIB, 2)] {
            let mut buffer = pool.take(bytes);
            assert!(buffer.is_empty(), "what it held before is not seen");
            assert!((bytes..=2 * bytes + 4096).contains(&buffer.capacity()), "{bytes} bytes");
            buffer.extend_zeros(bytes);
            drop(buffer);
            assert_eq!(pool.free().len(), kept, "after {bytes} bytes");
        }
        pool.rest();
        assert_eq!(pool.free().len(), 0);
    }

    #[test]
    fn the_smallest_that_fits_is_taken() {
        let pool = BufferPool::new(64 * MIB);
        drop([8, 4, 6].map(|mib| pool.take(mib * MIB)));
        assert_eq!(pool.take(3 * MIB).capacity(), 4 * MIB);
        assert_eq!(pool.take(5 * MIB).capacity(), 6 * MIB);
        assert_eq!(pool.take(MIB).capacity(), 2 * MIB, "none of these is for so little");
        drop(pool.take(2 * MIB));
        assert!(pool.take(100_000).capacity() <= 200_000, "nor is that");
    }
}
