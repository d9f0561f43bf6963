//! Every size, count and time of the engine, with its source. All are values, so that a test can wrap the ring in
//! kilobytes.

use std::time::Duration;

use crate::batch;
use crate::error::OpenError;

/// The unit of the ring: every batch fills whole blocks. At least what any common device writes at once.
pub const BLOCK_BYTES: usize = 4096;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How the engine is laid out and bounded. [`Settings::default`] is production.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether a journal is made where there is none. `false` where other things say that there was one.
    pub may_create: bool,
    /// Size of each of the first [`Settings::slots_first`] slots, in bytes; a multiple of [`BLOCK_BYTES`]. Small,
    /// because a first start waits until one is written. 24 MiB: two largest batches (10.3 MiB each), rounded up.
    pub slot_bytes_first: u64,
    /// How many slots of that size.
    pub slots_first: u32,
    /// Size of the slots that the ring grows by.
    pub slot_bytes: u64,
    /// The ring stops growing here (its first slots it always has). Twice [`Settings::undrained_bytes_max`], so that one half is written while the
    /// other is drained.
    pub ring_bytes_max: u64,
    /// New slots are zero-written at this rate, in bytes per second; 0 is as fast as the disk goes.
    pub grow_bytes_per_second: u64,
    /// A batch takes no further request that would make it larger than this. engine.md: 8 MiB.
    pub batch_bytes_max: usize,
    /// Largest request: its records as encoded, with a directory entry per run. 10 MiB of data and keys
    /// (facts/aws-apis.md 2.5) plus at most 100 bytes for each of 500 records, rounded up.
    pub request_bytes_max: usize,
    /// Requests wait in the queue up to this many bytes…
    pub queue_bytes_max: usize,
    /// …and up to this many.
    pub queue_count_max: usize,
    /// Appends are throttled while more than this is in the ring and in no segment. engine.md: 256 MiB. It bounds
    /// memory and the time that a start takes.
    pub undrained_bytes_max: usize,
    /// Draining starts here, at the latest.
    pub drain_start_bytes: usize,
    /// One round of draining takes at most this much (and at least one batch).
    pub drain_bytes_max: usize,
    /// While nobody waits for it a round writes so many bytes for each hundred that are appended meanwhile; 0 does not
    /// pace it. More than 100: a round ends before the next one is due. See docs/decisions/0033.
    pub drained_percent: u64,
    /// …and this many bytes per second besides, so that it ends when nothing is appended.
    pub drain_bytes_per_second_min: u64,
    /// What is paced is written in pieces of at least so many bytes; a multiple of [`BLOCK_BYTES`].
    pub paced_bytes_min: usize,
    /// Batches are kept in memory up to this many bytes after they were drained.
    pub tail_cache_bytes_max: usize,
    /// …and down to this many once nothing was appended for [`Settings::idle_after`].
    pub tail_cache_idle_bytes_max: usize,
    /// An idle engine drains until no more than this is undrained. See docs/decisions/0030.
    pub idle_undrained_bytes_max: usize,
    /// Batches share memory in regions of this size. 8 MiB: four huge pages, and few batches are larger than the half
    /// of it, which have memory of their own.
    pub batch_region_bytes: usize,
    /// Memory of batches that are gone is kept for the next ones while all that batches have is at most this, in
    /// bytes. What is undrained at most: so much is in use between two rounds of draining anyway.
    pub batch_memory_bytes_max: usize,
    /// Memory for large writes to segments and large reads from them that is kept for the next ones, in bytes.
    /// As much as [`Settings::chunk_cache_bytes_max`], which gives it back in such amounts.
    pub buffer_pool_bytes_max: usize,
    /// When an engine counts as idle.
    pub idle_after: Duration,
    /// A chunk takes no further run that would make it larger than this; one run is never cut.
    pub chunk_bytes_max: usize,
    /// A segment takes no further chunk that would make it larger than this, give or take two blocks.
    pub segment_bytes_max: u64,
    /// What is written to a segment in one round goes past the kernel's cache, and so do reads, from this many bytes
    /// on. See docs/decisions/0031 and 0032.
    pub bulk_bytes_min: usize,
    /// Such writes are gathered to this size; such reads are of at most this size, or of one chunk. A multiple of
    /// [`BLOCK_BYTES`]. 4 MiB: what common devices take at once.
    pub bulk_bytes_max: usize,
    /// A segment is closed once it spans a retention divided by this, so that expiry frees space evenly.
    pub segments_per_retention: u32,
    /// Chunks read from disk are kept in memory up to this many bytes.
    pub chunk_cache_bytes_max: usize,
    /// Loops that read from disk.
    pub readers: usize,
    /// Reads that wait for such a loop.
    pub read_queue_max: usize,
    /// Segments held open for reading.
    pub open_files_max: usize,
    /// So many segments are written before they are synced, one after the other: a journaling file system makes all of them
    /// durable with the first. Each has two files open.
    pub unsynced_segments_max: usize,
    /// Appends are throttled while the volume has less than this many bytes free…
    pub disk_reserve_bytes: u64,
    /// …or less than this part of all its bytes, in thousandths. engine.md: 5 %.
    pub disk_reserve_permille: u32,
    /// How long the queue is empty before the last batch is confirmed. See docs/decisions/0030.
    pub confirm_after: Duration,
    /// How often time-driven chores (expiry, free space, idle memory) look.
    pub chores_interval: Duration,
    /// A wall clock further ahead than this pauses expiry. engine.md: an hour.
    pub clock_jump_max: Duration,
    /// …until the clock has run on evenly for this long, or until
    /// [`crate::DiskJournal::confirm_clock`].
    pub clock_confirm_after: Duration,
    /// Closed segments of small chunks are rewritten with larger ones at this rate, in bytes per second; 0 never.
    pub merge_bytes_per_second: u64,
    /// Stored chunks are re-read at this rate, in bytes per second; 0 never.
    pub scrub_bytes_per_second: u64,
    /// A round of re-reading starts at most this often.
    pub scrub_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            may_create: true,
            slot_bytes_first: 24 * MIB as u64,
            slots_first: 2,
            slot_bytes: 64 * MIB as u64,
            ring_bytes_max: 512 * MIB as u64,
            grow_bytes_per_second: 256 * MIB as u64,
            batch_bytes_max: 8 * MIB,
            request_bytes_max: 10 * MIB + 256 * KIB,
            queue_bytes_max: 64 * MIB,
            queue_count_max: 65_536,
            undrained_bytes_max: 256 * MIB,
            drain_start_bytes: 96 * MIB,
            drain_bytes_max: 96 * MIB,
            drained_percent: 125,
            drain_bytes_per_second_min: 12 * MIB as u64,
            paced_bytes_min: 64 * KIB,
            tail_cache_bytes_max: 64 * MIB,
            tail_cache_idle_bytes_max: 4 * MIB,
            idle_undrained_bytes_max: 16 * MIB,
            batch_region_bytes: 8 * MIB,
            batch_memory_bytes_max: 256 * MIB,
            buffer_pool_bytes_max: 32 * MIB,
            idle_after: Duration::from_secs(30),
            chunk_bytes_max: MIB,
            segment_bytes_max: 256 * MIB as u64,
            bulk_bytes_min: 64 * KIB,
            bulk_bytes_max: 4 * MIB,
            segments_per_retention: 24,
            chunk_cache_bytes_max: 32 * MIB,
            readers: 2,
            read_queue_max: 1024,
            open_files_max: 256,
            unsynced_segments_max: 64,
            disk_reserve_bytes: 0,
            disk_reserve_permille: 50,
            confirm_after: Duration::from_millis(1),
            chores_interval: Duration::from_secs(1),
            clock_jump_max: Duration::from_secs(3600),
            clock_confirm_after: Duration::from_secs(3600),
            merge_bytes_per_second: 32 * MIB as u64,
            scrub_bytes_per_second: 4 * MIB as u64,
            scrub_interval: Duration::from_secs(24 * 3600),
        }
    }
}

impl Settings {
    /// For tests with real requests: small enough for the ring to wrap, chunks to be cut and segments to roll all the time,
    /// and large enough for requests of 160 KiB.
    pub fn small() -> Self {
        Settings {
            slot_bytes_first: 360 * KIB as u64,
            slot_bytes: 368 * KIB as u64,
            ring_bytes_max: 1500 * KIB as u64,
            batch_bytes_max: 16 * KIB,
            request_bytes_max: 160 * KIB,
            undrained_bytes_max: 512 * KIB,
            drain_start_bytes: 64 * KIB,
            drain_bytes_max: 48 * KIB,
            drained_percent: 125,
            drain_bytes_per_second_min: MIB as u64,
            chores_interval: Duration::from_millis(100),
            ..Settings::tiny()
        }
    }

    /// For tests: a ring of slots of 40 KiB, segments of 64 KiB, chunks of 4 KiB, everything else to that measure.
    pub fn tiny() -> Self {
        Settings {
            slot_bytes_first: 40 * KIB as u64,
            slots_first: 2,
            slot_bytes: 48 * KIB as u64,
            ring_bytes_max: 256 * KIB as u64,
            grow_bytes_per_second: 0,
            batch_bytes_max: 8 * KIB,
            request_bytes_max: 12 * KIB,
            queue_bytes_max: MIB,
            queue_count_max: 10_000,
            undrained_bytes_max: 128 * KIB,
            drain_start_bytes: 32 * KIB,
            drain_bytes_max: 32 * KIB,
            // Many tests move the clock by hand, and do not while a round waits.
            drained_percent: 0,
            paced_bytes_min: BLOCK_BYTES,
            tail_cache_bytes_max: 8 * KIB,
            tail_cache_idle_bytes_max: 0,
            idle_undrained_bytes_max: 4 * KIB,
            batch_region_bytes: 64 * KIB,
            batch_memory_bytes_max: 64 * KIB,
            idle_after: Duration::from_secs(30),
            chunk_bytes_max: 4 * KIB,
            segment_bytes_max: 64 * KIB as u64,
            bulk_bytes_min: 6 * KIB,
            bulk_bytes_max: 8 * KIB,
            chunk_cache_bytes_max: 16 * KIB,
            read_queue_max: 16,
            open_files_max: 4,
            disk_reserve_permille: 0,
            scrub_bytes_per_second: 0,
            ..Settings::default()
        }
    }

    /// The largest batch: a full one, or one with the largest request alone; in whole blocks.
    pub(crate) fn largest_batch_bytes(&self) -> usize {
        let content = batch::HEADER_BYTES + self.request_bytes_max;
        content.max(self.batch_bytes_max).next_multiple_of(BLOCK_BYTES)
    }

    /// The smallest slot: its header and two largest batches.
    pub(crate) fn slot_bytes_min(&self) -> u64 {
        BLOCK_BYTES as u64 + 2 * self.largest_batch_bytes() as u64
    }

    /// How many entries without records one request may bring.
    pub(crate) fn entries_per_request_max(&self) -> usize {
        self.request_bytes_max / batch::ENTRY_BYTES
    }

    /// Whether they fit together.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let block = BLOCK_BYTES as u64;
        let rule = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(OpenError::Settings(what.to_owned())) }
        };
        let slot_min = self.slot_bytes_min();
        let whole = |bytes: u64| bytes.is_multiple_of(block);
        rule(whole(self.slot_bytes_first) && whole(self.slot_bytes), "slots have whole blocks")?;
        rule(self.slot_bytes_first >= slot_min, "a first slot holds two largest batches")?;
        rule(self.slot_bytes >= slot_min, "a slot holds two largest batches")?;
        rule(self.slots_first >= 2, "the ring has at least two slots")?;
        rule(self.slot_bytes <= u64::from(u32::MAX), "a slot has less than 4 GiB")?;
        rule(self.queue_bytes_max >= self.request_bytes_max, "the queue takes the largest request")?;
        rule(self.request_bytes_max <= 1 << 30, "a request has at most 1 GiB")?;
        let bulk_max = self.bulk_bytes_max as u64;
        rule(whole(bulk_max) && bulk_max > 0, "large writes have whole blocks")?;
        rule(
            self.paced_bytes_min > 0 && whole(self.paced_bytes_min as u64),
            "paced writes have whole blocks",
        )?;
        rule(self.unsynced_segments_max > 0, "a round writes to a segment")?;
        rule(self.readers > 0 && self.read_queue_max > 0, "there is a reader")?;
        rule(self.segments_per_retention > 0, "a retention has at least one segment")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_settings_fit_together() {
        Settings::default().check().expect("production fits");
        Settings::tiny().check().expect("the tests' fit");
    }

    #[test]
    fn a_slot_that_cannot_hold_two_largest_batches_is_refused() {
        let settings = Settings { slot_bytes_first: 16 * KIB as u64, ..Settings::tiny() };
        assert!(matches!(settings.check(), Err(OpenError::Settings(_))));
    }
}
