//! The newest batches, in memory: what readers at the tail read, and what the drain writes from.
//!
//! ```text
//!   batches  [11][12][13][14][15]      drained = 12: 11 and 12 stay while the budget allows,
//!             \_ _/  \__________/      13 and later stay until they are drained
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{Batch, LogPoint};
use crate::pace::{ENTRIES_PER_LOOK, Steps};

pub(crate) struct TailCache {
    state: Mutex<State>,
    /// A copy that appends may look at without the lock.
    undrained: AtomicUsize,
    /// All bytes that ever came.
    appended: AtomicU64,
}

struct State {
    /// In the order of the log; batches without entries are left out.
    batches: VecDeque<Arc<Batch>>,
    /// Behind the newest durable batch, with or without entries.
    durable: LogPoint,
    /// Everything up to this batch is in segments.
    drained: u64,
    cost: usize,
    undrained_cost: usize,
}

/// What the drain takes next.
pub(crate) struct Undrained {
    pub(crate) batches: Vec<Arc<Batch>>,
    /// The place behind them.
    pub(crate) through: LogPoint,
}

impl TailCache {
    /// With the batches that recovery found behind `drained`.
    pub(crate) fn new(batches: Vec<Arc<Batch>>, drained: u64, durable: LogPoint) -> Self {
        let cost = batches.iter().map(|batch| batch.cost).sum();
        let state = State { batches: batches.into(), durable, drained, cost, undrained_cost: cost };
        TailCache { state: Mutex::new(state), undrained: AtomicUsize::new(cost), appended: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch became durable. One without entries moves the log's end and is not kept.
    pub(crate) fn push(&self, batch: &Arc<Batch>) {
        let mut state = self.state();
        state.durable = batch.end;
        if batch.entries > 0 {
            state.cost += batch.cost;
            state.undrained_cost += batch.cost;
            state.batches.push_back(Arc::clone(batch));
            self.undrained.store(state.undrained_cost, Ordering::Relaxed);
            self.appended.fetch_add(batch.cost as u64, Ordering::Relaxed);
        }
    }

    /// Bytes that came since the engine was opened.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Bytes that are in the ring and in no segment.
    pub(crate) fn undrained_bytes(&self) -> usize {
        // Relaxed: a bound on growth, which guards no other memory.
        self.undrained.load(Ordering::Relaxed)
    }

    /// The place behind the newest durable batch.
    pub(crate) fn durable(&self) -> LogPoint {
        self.state().durable
    }

    /// All bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.state().cost
    }

    /// The oldest batches that are not drained: at most `bytes_max`, but at least one if there is any. Nothing else may
    /// drain or evict meanwhile.
    pub(crate) async fn undrained(&self, bytes_max: usize, mut steps: Steps<'_>) -> Undrained {
        let mut batches: Vec<Arc<Batch>> = Vec::new();
        let mut cost = 0;
        loop {
            {
                let state = self.state();
                let after = batches.last().map_or(state.drained, |last| last.end.position);
                let start = state.batches.partition_point(|batch| batch.end.position <= after);
                let next = state.batches.range(start..).take(ENTRIES_PER_LOOK);
                let before = batches.len();
                for batch in next {
                    if !batches.is_empty() && cost + batch.cost > bytes_max {
                        let through = batches.last().expect("it is not empty").end;
                        return Undrained { batches, through };
                    }
                    cost += batch.cost;
                    batches.push(Arc::clone(batch));
                }
                if batches.len() == before {
                    return Undrained { batches, through: state.durable };
                }
            }
            steps.did(ENTRIES_PER_LOOK).await;
        }
    }

    /// Everything up to batch `position` is in segments and both superblocks say so.
    pub(crate) fn note_drained(&self, position: u64) {
        let mut state = self.state();
        let start = state.batches.partition_point(|batch| batch.end.position <= state.drained);
        let end = state.batches.partition_point(|batch| batch.end.position <= position);
        let cost: usize = state.batches.range(start..end).map(|batch| batch.cost).sum();
        state.undrained_cost -= cost;
        state.drained = position;
        self.undrained.store(state.undrained_cost, Ordering::Relaxed);
    }

    /// Lets go of the oldest drained batches until at most `bytes_max` are held; returns them, in steps of batches that
    /// together have `entries_min` entries. Their runs must be taken out of their shards next.
    pub(crate) fn evict(&self, bytes_max: usize, entries_min: usize) -> Vec<Arc<Batch>> {
        let mut state = self.state();
        let mut evicted = Vec::new();
        let mut entries = 0;
        while state.cost > bytes_max && entries < entries_min {
            let drained = state.drained;
            let Some(batch) = state.batches.pop_front_if(|batch| batch.end.position <= drained) else {
                break;
            };
            state.cost -= batch.cost;
            entries += batch.entries as usize;
            evicted.push(batch);
        }
        if state.batches.is_empty() {
            state.batches = VecDeque::new();
        }
        evicted
    }
}
