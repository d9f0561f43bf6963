//! What the loops of an open journal share. Each piece has one writer; see the pieces.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashSet;
use thalweg_system::{Clock, Disk};
use thalweg_types::{StreamId, Timestamp};
use tokio::sync::{Notify, watch};

use crate::batch_memory::BatchMemory;
use crate::buffer_pool::BufferPool;
use crate::merge::MergeDesk;
use crate::pace::Pace;
use crate::queue::Queue;
use crate::reader::Readers;
use crate::retention::{self, Retention};
use crate::ring::Ring;
use crate::segment_writer::Tools;
use crate::settings::Settings;
use crate::shards::ShardTable;
use crate::status::Status;
use crate::superblock::Superblocks;
use crate::tail_cache::TailCache;

/// How far an end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    /// A clean end: the committer finishes what is queued.
    Closing,
    /// The committer has ended; what is in the ring is drained once more.
    Committed,
    /// Every loop ends at its next look.
    Ended,
}

pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The journal's secret name, in all of its files.
    pub(crate) journal: u64,
    pub(crate) queue: Queue,
    pub(crate) shards: ShardTable,
    pub(crate) cache: TailCache,
    pub(crate) ring: Ring,
    pub(crate) batch_memory: BatchMemory,
    /// For large writes to segments and reads from them.
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) status: Status,
    /// Off the write path: taken by the loops that end a checkpoint or add a slot.
    pub(crate) superblocks: tokio::sync::Mutex<Superblocks>,
    /// Rings when there may be enough to drain, or the ring is short of free slots.
    pub(crate) drain_wanted: Notify,
    /// Rings when the ring is short of free slots.
    pub(crate) slot_wanted: Notify,
    pub(crate) phase: watch::Sender<Phase>,
    /// Streams that were deleted or trimmed, or had shards forgotten, since the last look: there may be files to remove.
    pub(crate) to_tidy: Mutex<BTreeSet<StreamId>>,
    /// Deleted streams whose ids must not be opened again.
    pub(crate) tombstones: Mutex<FxHashSet<StreamId>>,
    pub(crate) retention: Retention,
    /// Somebody said that the wall clock is right; the maintenance loop takes it.
    pub(crate) clock_confirmed: AtomicBool,
    /// By how many milliseconds the wall clock is ahead of monotonic time, as far as it is believed
    /// ([`crate::retention::ExpiryClock::believed_lead`]); the maintenance loop writes it.
    pub(crate) clock_lead: AtomicI64,
    /// By no later time than this, in milliseconds, is hidden what is too old: the time that the superblocks remember
    /// and the jump that is believed without doubt. The maintenance loop writes it.
    pub(crate) hide_through: AtomicI64,
    pub(crate) readers: Readers,
    pub(crate) merge: MergeDesk,
    /// Chunks that the scrub has read…
    pub(crate) chunks_scrubbed: AtomicU64,
    /// …and those that were damaged.
    pub(crate) chunks_damaged: AtomicU64,
    /// Segments since the start that followed one that was full or old…
    pub(crate) segments_rolled: AtomicU64,
    /// …and that were removed because all in them was too old.
    pub(crate) segments_expired: AtomicU64,
    /// Shards since the start that were forgotten.
    pub(crate) shards_forgotten: AtomicU64,
}

impl Engine {
    /// What writing a segment at this pace needs.
    pub(crate) fn tools<'a>(&'a self, pace: &'a Pace<'a>) -> Tools<'a> {
        let Engine { disk, journal, settings, buffers, .. } = self;
        Tools { disk: &**disk, journal: *journal, settings, buffers, pace }
    }

    /// Waits until the phase is at least this.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender lives in `self`.
        let _ = phases.wait_for(|now| *now >= phase).await;
    }

    /// There may be files of this stream to remove.
    pub(crate) fn tidy_later(&self, stream: StreamId) {
        self.to_tidy.lock().unwrap_or_else(PoisonError::into_inner).insert(stream);
    }

    /// Whether the wall clock is, now, further ahead than is believed. What [`crate::retention::ExpiryClock`] would
    /// say, without waiting for the chores: between a jump and their next look nothing may expire either.
    pub(crate) fn doubts_clock(&self) -> bool {
        let lead = retention::lead(self.clock.wall(), self.clock.monotonic());
        let believed = self.clock_lead.load(Ordering::Relaxed);
        let jump_max = i64::try_from(self.settings.clock_jump_max.as_millis()).unwrap_or(i64::MAX);
        lead > believed.saturating_add(jump_max)
    }

    /// The wall clock's time; while that is in doubt, the time that was believed last and what has passed since.
    pub(crate) fn believed_wall(&self) -> Timestamp {
        let wall = self.clock.wall();
        if !self.doubts_clock() {
            return wall;
        }
        let monotonic = i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.clock_lead.load(Ordering::Relaxed).saturating_add(monotonic))
    }

    /// The time by which to hide what is too old. Bounded by what the next start will believe at least, so that it
    /// shows nothing again.
    pub(crate) fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        wall.min(Timestamp::from_millis(self.hide_through.load(Ordering::Relaxed)))
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.phase.borrow() == Phase::Ended
    }

    /// Moves on to `phase`; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        });
    }
}
