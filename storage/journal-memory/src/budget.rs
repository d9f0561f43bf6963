//! How many bytes are held, and whether more may be. It counts; it frees nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a stored run costs besides its bytes: its entry in the shard, its share of the append's staging, the
/// owner of its bytes. Measured by size_of and rounded up; it keeps tiny runs from costing nothing.
const RUN_OVERHEAD_BYTES: usize = 192;

/// The bound on bytes and the count of those held.
pub(crate) struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
    /// The size of the last refused charge, 0 when the last one was accepted.
    refused: AtomicUsize,
}

/// Bytes that count for as long as this lives. The runs of one append share one, because they share one buffer.
pub(crate) struct Charge {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Budget { bytes_max, held: AtomicUsize::new(0), refused: AtomicUsize::new(0) }
    }

    /// Counts an append of `bytes` in `runs` runs; `None` when that is more than may be held.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize, runs: usize) -> Option<Charge> {
        let bytes = bytes + runs * RUN_OVERHEAD_BYTES;
        // Relaxed: the count guards no other memory.
        let charged = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|&held| held <= self.bytes_max)
        });
        self.refused.store(if charged.is_ok() { 0 } else { bytes }, Ordering::Relaxed);
        charged.is_ok().then(|| Charge { bytes, budget: Arc::clone(self) })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether what was refused last would still be refused.
    pub(crate) fn is_short(&self) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        refused > 0 && self.held().saturating_add(refused) > self.bytes_max
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
