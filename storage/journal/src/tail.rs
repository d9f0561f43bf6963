//! Where a shard ends, and how readers learn that it moved.

use thalweg_types::{Offset, Timestamp};
use tokio::sync::watch;

/// A shard's end, as readers may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The offset that the next record will get; everything before it is durable.
    pub next: Offset,
    /// When the last record arrived; when there was none, the time that the shard was opened with
    /// ([`crate::Journal::open_shards_after`]). What follows arrives no earlier.
    pub last_arrival: Timestamp,
    /// No record will follow.
    pub sealed: bool,
    /// Everything before this offset is gone.
    pub trimmed: Offset,
    /// The stream was deleted, or the shard forgotten; nothing can be read any more.
    pub deleted: bool,
}

/// The tail as a stream of events: each is the newest [`Tail`] (events in between may be merged).
#[derive(Clone, Debug)]
pub struct TailWatch(watch::Receiver<Tail>);

impl TailWatch {
    /// For engines: a watch fed by `receiver`'s sender.
    pub fn new(receiver: watch::Receiver<Tail>) -> Self {
        TailWatch(receiver)
    }

    /// The tail now; the next [`TailWatch::changed`] waits for something newer.
    pub fn current(&mut self) -> Tail {
        *self.0.borrow_and_update()
    }

    /// Waits until the tail is newer than the last one seen, and returns it. When the journal has gone, the last
    /// tail marked deleted.
    pub async fn changed(&mut self) -> Tail {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            Err(_) => Tail { deleted: true, ..*self.0.borrow() },
        }
    }
}
