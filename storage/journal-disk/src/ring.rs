//! Which slot holds what, and which may be written next. Pure bookkeeping: it touches no disk.
//!
//! ```text
//!   slot 0        slot 1        slot 2
//!   [5 6 7 . ]    [8 9 10 . ]   [11 12 ---- ]      numbers are batch positions; the log is in slot 2
//!   drained       drained and not                  slot 0 is free once both superblocks point past 7
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::slot::Slot;

/// The slots and their use.
pub(crate) struct Ring {
    state: Mutex<State>,
    /// Rings (once) whenever a slot became free.
    freed: Notify,
}

struct State {
    slots: Vec<Entry>,
    /// Where the log is; nothing before the first slot is entered.
    current: Option<u32>,
    entered: u64,
    wraps: u64,
}

struct Entry {
    slot: Arc<Slot>,
    /// No batch in it is older than this; 0 when that is not known.
    oldest: u64,
    /// The newest batch in it; `None` when it is free.
    newest: Option<u64>,
}

/// The ring's measure, for people and for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingFigures {
    pub(crate) slots: u32,
    pub(crate) free: u32,
    pub(crate) bytes: u64,
    /// How often the log went on in another slot since the start…
    pub(crate) entered: u64,
    /// …and of these, in one before the last one's place.
    pub(crate) wraps: u64,
}

impl Ring {
    /// A ring of slots in the order of their indexes, each with the newest batch in it that is still needed.
    ///
    /// # Panics
    /// When an index is not its place.
    pub(crate) fn new(slots: Vec<(Arc<Slot>, Option<u64>)>, current: Option<u32>) -> Self {
        let slots: Vec<Entry> =
            slots.into_iter().map(|(slot, newest)| Entry { slot, oldest: 0, newest }).collect();
        for (place, entry) in slots.iter().enumerate() {
            assert_eq!(place, entry.slot.index as usize, "slots are numbered without gaps");
        }
        Ring { state: Mutex::new(State { slots, current, entered: 0, wraps: 0 }), freed: Notify::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a slot that is durable and free.
    ///
    /// # Panics
    /// When its index is not the next.
    pub(crate) fn add(&self, slot: Arc<Slot>) {
        let mut state = self.state();
        assert_eq!(state.slots.len(), slot.index as usize, "slots are numbered without gaps");
        state.slots.push(Entry { slot, oldest: 0, newest: None });
        drop(state);
        self.freed.notify_one();
    }

    /// Takes a free slot for the batch `position`, the log's next, and makes it the current one.
    pub(crate) fn enter_free(&self, position: u64) -> Option<Arc<Slot>> {
        let mut state = self.state();
        let entry = state.slots.iter_mut().find(|entry| entry.newest.is_none())?;
        entry.oldest = position;
        entry.newest = Some(position);
        let slot = Arc::clone(&entry.slot);
        state.entered += 1;
        state.wraps += u64::from(state.current.is_some_and(|last| slot.index < last));
        state.current = Some(slot.index);
        Some(slot)
    }

    /// Notes that a batch is in the current slot.
    ///
    /// # Panics
    /// When no slot was entered.
    pub(crate) fn note_written(&self, position: u64) {
        let mut state = self.state();
        let current = state.current.expect("a batch is written into a slot that was entered");
        state.slots[current as usize].newest = Some(position);
    }

    /// Frees every slot that holds nothing newer than `position`, but never the current one.
    pub(crate) fn release_through(&self, position: u64) {
        let mut state = self.state();
        let current = state.current;
        let mut any = false;
        for entry in &mut state.slots {
            let done = entry.newest.is_some_and(|newest| newest <= position);
            if done && current != Some(entry.slot.index) {
                entry.newest = None;
                any = true;
            }
        }
        drop(state);
        if any {
            self.freed.notify_one();
        }
    }

    /// Waits until a slot may have become free since the last wait.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(crate) fn figures(&self) -> RingFigures {
        let state = self.state();
        RingFigures {
            slots: state.slots.len() as u32,
            free: state.slots.iter().filter(|entry| entry.newest.is_none()).count() as u32,
            bytes: state.slots.iter().map(|entry| entry.slot.bytes).sum(),
            entered: state.entered,
            wraps: state.wraps,
        }
    }

    /// No slot in use holds a batch older than this.
    pub(crate) fn oldest_in_use(&self) -> u64 {
        let state = self.state();
        let in_use = state.slots.iter().filter(|entry| entry.newest.is_some());
        in_use.map(|entry| entry.oldest).min().unwrap_or(u64::MAX)
    }
}
