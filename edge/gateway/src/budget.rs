//! Memory that all connections have together, and what one request takes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_api::{ANSWER_BYTES_LARGE, EventRoom, Room};

/// So many bytes for all.
pub(crate) struct Budget {
    taken: AtomicUsize,
    bytes_max: usize,
}

/// What one takes; given back when it is dropped.
pub(crate) struct Share {
    bytes: usize,
    budget: Arc<Budget>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Budget { taken: AtomicUsize::new(0), bytes_max })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.taken() >= self.bytes_max
    }

    fn bytes_max_for_long(&self) -> usize {
        self.bytes_max / 4 * 3
    }

    /// Whether those that hold much of it for long should go.
    pub(crate) fn is_crowded(&self) -> bool {
        self.taken() > self.bytes_max / 2
    }

    /// A share of nothing, yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { bytes: 0, budget: Arc::clone(self) }
    }
}

/// The memory for what clients have not taken yet.
pub(crate) struct Outgoing {
    pub(crate) answers: Arc<Budget>,
    /// Those of subscriptions: each counts once, however many clients it is for.
    pub(crate) events: Arc<Budget>,
}

impl Room for Outgoing {
    /// A quarter of what is left to large ones, because others are being made; less than a large one there always is.
    fn answer_bytes_max(&self) -> usize {
        let left = self.answers.bytes_max_for_long().saturating_sub(self.answers.taken());
        (left / 4).max(ANSWER_BYTES_LARGE)
    }

    /// Large ones leave a quarter of it to small ones.
    fn hold_event(&self, bytes: usize) -> Option<EventRoom> {
        let mut share = self.events.share();
        let taken = if bytes < ANSWER_BYTES_LARGE { share.take(bytes) } else { share.take_for_long(bytes) };
        taken.ok()?;
        Some(Box::new(share))
    }
}

impl Share {
    /// Takes more, of all that there is.
    pub(crate) fn take(&mut self, more: usize) -> Result<(), Full> {
        self.take_up_to(self.budget.bytes_max, more)
    }

    /// Takes more, of three quarters of it: for what may be held for long. The rest is for those who are soon done.
    pub(crate) fn take_for_long(&mut self, more: usize) -> Result<(), Full> {
        self.take_up_to(self.budget.bytes_max_for_long(), more)
    }

    /// Takes more, a little beyond [`Share::take_for_long`]: for what found no room there, until it is told so.
    pub(crate) fn take_to_refuse(&mut self, more: usize) -> Result<(), Full> {
        self.take_up_to(self.budget.bytes_max / 16 * 13, more)
    }

    /// Takes more, of seven eighths of it: for what is small, but may be held for long all the same.
    pub(crate) fn take_small(&mut self, more: usize) -> Result<(), Full> {
        self.take_up_to(self.budget.bytes_max / 8 * 7, more)
    }

    /// Takes more, whether there is room or not.
    pub(crate) fn take_anyway(&mut self, more: usize) {
        self.budget.taken.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// Gives all of it back.
    pub(crate) fn clear(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    fn take_up_to(&mut self, bytes_max: usize, more: usize) -> Result<(), Full> {
        let before = self.budget.taken.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > bytes_max {
            self.budget.taken.fetch_sub(more, Ordering::Relaxed);
            return Err(Full);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_for_long_leaves_a_quarter_to_others_and_half_of_that_if_it_is_small() {
        let budget = Budget::new(1000);
        let (mut long, mut small, mut short) = (budget.share(), budget.share(), budget.share());
        assert_eq!(long.take_for_long(751), Err(Full));
        assert_eq!((long.take_for_long(750), long.take_for_long(1)), (Ok(()), Err(Full)));
        assert_eq!((small.take_small(125), small.take_small(1)), (Ok(()), Err(Full)));
        assert_eq!((short.take(125), short.take(1)), (Ok(()), Err(Full)));
        assert!(budget.is_full() && budget.is_crowded());
        short.take_anyway(10);
        assert_eq!(budget.taken(), 1010);
        drop((long, small, short));
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn an_answer_gets_a_quarter_of_what_is_left_to_large_ones() {
        let room = outgoing();
        assert_eq!(room.answer_bytes_max(), 3 * ANSWER_BYTES_LARGE);
        let mut long = room.answers.share();
        long.take_for_long(4 * ANSWER_BYTES_LARGE).expect("there is room");
        assert_eq!(room.answer_bytes_max(), 2 * ANSWER_BYTES_LARGE);
        long.take_anyway(12 * ANSWER_BYTES_LARGE);
        assert_eq!(
            room.answer_bytes_max(),
            ANSWER_BYTES_LARGE,
            "so much is taken whether there is room or not"
        );
    }

    #[test]
    fn events_have_room_of_their_own_until_they_are_dropped() {
        let room = outgoing();
        let first = room.hold_event(900).expect("there is room");
        assert!(room.hold_event(101).is_none());
        let second = room.hold_event(100).expect("there is room");
        assert_eq!((room.answers.taken(), room.events.taken()), (0, 1000));
        drop((first, second));
        assert_eq!(room.events.taken(), 0);
    }

    #[test]
    fn large_events_leave_room_to_small_ones() {
        let room = Outgoing { answers: Budget::new(0), events: Budget::new(4 * ANSWER_BYTES_LARGE) };
        let _large = room.hold_event(3 * ANSWER_BYTES_LARGE).expect("there is room");
        assert!(room.hold_event(ANSWER_BYTES_LARGE).is_none());
        assert!(room.hold_event(ANSWER_BYTES_LARGE - 1).is_some());
    }

    fn outgoing() -> Outgoing {
        Outgoing { answers: Budget::new(16 * ANSWER_BYTES_LARGE), events: Budget::new(1000) }
    }
}
