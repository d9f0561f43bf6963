//! The memory of batches: cut from large regions in the order of the log, which is the order in which batches are let
//! go of. So it is packed tightly, used again as it is, and made of huge pages, from which direct writes cost less.
//!
//! ```text
//!   busy     [b7 b8 .. ]  [.. .. b11]  [b12 b13 b14]      a region is free once its last batch is gone
//!   current  [b15 b16         ]                           the next batch goes here
//!   free     [                ]
//! ```
//!
//! Whoever holds a part of one batch (an answer on its way to a slow client) holds its whole region.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_system::BufferRegion;

use crate::buffer_pool::{BufferPool, PooledBuffer};

pub(crate) struct BatchMemory {
    regions: Mutex<Regions>,
    /// For batches that would waste a region.
    large: Arc<BufferPool>,
    region_bytes: usize,
    /// A region that has become free is kept while all of them together have at most this many bytes.
    bytes_max: usize,
}

#[derive(Default)]
struct Regions {
    current: Option<BufferRegion>,
    busy: Vec<BufferRegion>,
    free: Vec<BufferRegion>,
}

impl BatchMemory {
    pub(crate) fn new(region_bytes: usize, bytes_max: usize) -> Self {
        // Large batches are rare; a few buffers do.
        let large = BufferPool::new(bytes_max / 4);
        BatchMemory { regions: Mutex::default(), large, region_bytes, bytes_max }
    }

    fn regions(&self) -> MutexGuard<'_, Regions> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer with room for `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> PooledBuffer {
        if bytes > self.region_bytes / 2 {
            return self.large.take(bytes);
        }
        let mut regions = self.regions();
        if let Some(buffer) = regions.current.as_mut().and_then(|region| region.cut(bytes)) {
            return PooledBuffer::without_pool(buffer);
        }
        let full = regions.current.take();
        regions.busy.extend(full);
        regions.sort(self.bytes_max);
        let mut region = regions.free.pop().unwrap_or_else(|| BufferRegion::new(self.region_bytes));
        let buffer = region.cut(bytes).expect("a region takes two of these");
        regions.current = Some(region);
        PooledBuffer::without_pool(buffer)
    }

    /// Frees what no batch needs.
    pub(crate) fn rest(&self) {
        let mut regions = self.regions();
        if regions.current.as_mut().is_some_and(BufferRegion::recycle) {
            regions.current = None;
        }
        regions.sort(0);
        self.large.rest();
    }
}

impl Regions {
    /// Finds out which regions have become free, and keeps so many of them that all have at most `bytes_max`.
    fn sort(&mut self, bytes_max: usize) {
        self.free.extend(self.busy.extract_if(.., |region| region.recycle()));
        let mut bytes: usize = self.busy.iter().chain(&self.current).map(BufferRegion::capacity).sum();
        self.free.retain(|region| {
            bytes += region.capacity();
            bytes <= bytes_max
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn counts(memory: &BatchMemory) -> (usize, usize) {
        let regions = memory.regions();
        (regions.busy.len(), regions.free.len())
    }

    #[test]
    fn regions_are_used_again_once_their_batches_are_gone() {
        let memory = BatchMemory::new(8 * MIB, 32 * MIB);
        let mut batches: Vec<_> = (0..20).map(|_| memory.take(2 * MIB)).collect();
        assert_eq!(counts(&memory), (4, 0));
        // The last of the first region stays.
        batches.drain(..3);
        let first = batches.remove(0);
        batches.drain(..10);
        batches.push(memory.take(2 * MIB));
        assert_eq!(counts(&memory), (3, 0), "two are free; one is kept, and is current now");
        drop(first);
        batches.clear();
        batches.extend((0..4).map(|_| memory.take(2 * MIB)));
        assert_eq!(counts(&memory), (1, 2), "all together have no more than the bound");
        memory.rest();
        assert_eq!(counts(&memory), (1, 0));
        batches.clear();
        memory.rest();
        assert_eq!(counts(&memory), (0, 0));
    }

    #[test]
    fn a_batch_that_would_waste_a_region_has_memory_of_its_own() {
        let memory = BatchMemory::new(8 * MIB, 16 * MIB);
        let batch = memory.take(5 * MIB);
        assert!(batch.capacity() >= 5 * MIB);
        assert_eq!(counts(&memory), (0, 0));
        assert!(memory.regions().current.is_none());
    }
}
