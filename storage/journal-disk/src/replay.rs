//! Reading the ring after a start: follow the chain of batches from the checkpoint to the log's end, and tell a torn
//! end from damage.
//!
//! ```text
//!   slot 2   | 41 | 42 | 43 |xx 44 xx|  45  |         44 does not check out. Is there a 45 (or later) anywhere
//!                                                     that says "44 is durable"? Then acknowledged records are
//!                                                     damaged: refuse. Else 44 was never answered: drop it.
//! ```
//!
//! The next batch lies right behind the last one or, where it did not fit, at the start of the slot with the next
//! generation. It carries on the chain: journal, position, the last batch's checksum, an epoch that is not older.
//! Whatever does not is a stale block: slots are overwritten, never cleaned. Nothing here writes.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_system::AlignedBuffer;
use thalweg_system::planted::{Bug, is_planted};

use crate::batch::{self, Batch, FLAG_EPOCH, Fault, Header, LogPoint};
use crate::error::OpenError;
use crate::settings::BLOCK_BYTES;
use crate::slot::{self, FIRST_BATCH, Slot};

/// The first read of a slot; short, because after a clean end there is nothing to find.
const READ_BYTES_FIRST: usize = 64 * 1024;
/// Reads grow up to this size while batches are found.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The search for later batches reads in pieces of this size.
const SEARCH_BYTES: usize = 1024 * 1024;

/// What the ring holds behind a checkpoint.
pub(crate) struct Replay {
    /// Those with entries, in order.
    pub(crate) batches: Vec<Arc<Batch>>,
    /// Behind the last one.
    pub(crate) head: LogPoint,
    /// The newest batch in each slot that holds one from behind the checkpoint, by slot index.
    pub(crate) newest: Vec<Option<u64>>,
    /// What the dropped end looked like, for the log: file, byte, reason. `None` when nothing was there.
    pub(crate) torn: Option<(String, u64, &'static str)>,
}

impl Replay {
    /// Nothing lies behind the log's end at `head`.
    pub(crate) fn nothing(head: LogPoint, slots: usize) -> Self {
        Replay { batches: Vec::new(), head, newest: vec![None; slots], torn: None }
    }
}

/// What lies at a place where a batch could.
enum Place {
    Batch(Header, Bytes),
    /// A batch that carries on the chain by its header, and is not whole.
    Torn(u64, &'static str),
    /// Nothing that carries on the chain.
    Nothing,
}

/// Reads one slot with a window that grows.
struct SlotReader<'a> {
    slot: &'a Slot,
    start: u64,
    window: Bytes,
    read_bytes: usize,
}

impl<'a> SlotReader<'a> {
    fn new(slot: &'a Slot) -> Self {
        SlotReader { slot, start: 0, window: Bytes::new(), read_bytes: READ_BYTES_FIRST }
    }

    /// At least `bytes` from `offset` on; `None` when the slot ends before.
    async fn at(&mut self, offset: u64, bytes: usize) -> Result<Option<Bytes>, OpenError> {
        let room = self.slot.bytes.saturating_sub(offset);
        if bytes as u64 > room {
            return Ok(None);
        }
        let end = self.start + self.window.len() as u64;
        if offset < self.start || offset + bytes as u64 > end {
            let length = (self.read_bytes.max(bytes.next_multiple_of(BLOCK_BYTES)) as u64).min(room);
            let length = usize::try_from(length).expect("slots have less than 4 GiB");
            let mut buffer = AlignedBuffer::zeroed(length);
            self.slot.file.read(offset, &mut buffer).await?;
            self.window = Bytes::from_owner(buffer);
            self.start = offset;
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        let skip = usize::try_from(offset - self.start).expect("the window is in memory");
        Ok(Some(self.window.slice(skip..)))
    }

    /// The header at `offset`, if one is whole there, whatever it belongs to.
    async fn header_at(&mut self, offset: u64, journal: u64) -> Result<Option<Header>, OpenError> {
        let mut needed = BLOCK_BYTES;
        loop {
            let Some(bytes) = self.at(offset, needed).await? else { return Ok(None) };
            match batch::decode(&bytes, journal) {
                Ok(header) if offset + u64::from(header.total_bytes) <= self.slot.bytes => {
                    return Ok(Some(header));
                }
                Err(Fault::Short(more)) if more > needed => needed = more,
                Err(Fault::Version(found)) => {
                    let known = u32::from(batch::VERSION);
                    return Err(OpenError::Version {
                        file: slot::path(self.slot.index),
                        found: found.into(),
                        known,
                    });
                }
                _ => return Ok(None),
            }
        }
    }

    /// What lies at `offset`, where the batch behind `head` could, in a slot of generation `generation`.
    async fn place_at(
        &mut self,
        offset: u64,
        journal: u64,
        head: &LogPoint,
        generation: u64,
    ) -> Result<Place, OpenError> {
        let Some(mut header) = self.header_at(offset, journal).await? else {
            let bytes = self.at(offset, BLOCK_BYTES).await?;
            return Ok(
                match bytes.is_some_and(|bytes| batch::resembles(&bytes, journal, head, generation)) {
                    true => Place::Torn(offset, "a batch's header does not check out"),
                    false => Place::Nothing,
                },
            );
        };
        let is_of_this_log = header.previous_checksum == head.checksum
            && header.epoch >= head.epoch
            // A start has an epoch of its own.
            && (header.epoch > head.epoch || header.flags & FLAG_EPOCH == 0)
            && header.generation == generation;
        let mut follows = is_of_this_log && header.position == head.position + 1;
        // Not at a slot's start, and by the numbers that are due: else it would go around the ring for ever.
        if is_planted(Bug::StaleBlockReplayed) && offset > FIRST_BATCH {
            header = Header { position: head.position + 1, epoch: head.epoch, generation, ..header };
            follows = true;
        }
        if !follows {
            return Ok(Place::Nothing);
        }
        let total = header.total_bytes as usize;
        let bytes = self.at(offset, total).await?.expect("the header was checked to fit the slot");
        let bytes = bytes.slice(..total);
        match batch::check_runs(&bytes, &header) {
            Ok(()) => Ok(Place::Batch(header, bytes)),
            Err(_) if is_planted(Bug::ChecksumIgnored) => Ok(Place::Batch(header, bytes)),
            Err(Fault::Damaged { at, what }) => Ok(Place::Torn(offset + at as u64, what)),
            Err(_) => Ok(Place::Torn(offset, "a batch is not whole")),
        }
    }
}

/// Follows the chain from `start` to its end.
///
/// # Panics
/// When `start` is in none of the slots.
pub(crate) async fn replay(
    slots: &[Arc<Slot>],
    journal: u64,
    start: LogPoint,
    largest_batch: u64,
) -> Result<Replay, OpenError> {
    let mut found = Replay::nothing(start, slots.len());
    let reader_at =
        |head: &LogPoint| (head.generation > 0).then(|| SlotReader::new(&slots[head.slot as usize]));
    let mut reader = reader_at(&start);
    // A read may be wrong where the disk is right, and what it hides may have been answered. A cache would give the same
    // bytes again.
    let mut looks_again = false;
    let reader_again = |head: &LogPoint| {
        slots.iter().for_each(|slot| slot.file.drop_cache(0, slot.bytes));
        reader_at(head)
    };
    loop {
        let head = found.head;
        let here = match &mut reader {
            Some(reader) => reader.place_at(head.offset, journal, &head, head.generation).await?,
            None => Place::Nothing,
        };
        let (slot, offset, place) = match here {
            Place::Nothing => match next_slot(slots, journal, &head).await? {
                Some((next, place)) => {
                    reader = Some(next);
                    let slot = reader.as_ref().expect("just set").slot.index;
                    (slot, FIRST_BATCH, place)
                }
                None if looks_again => break,
                None => {
                    looks_again = true;
                    reader = reader_again(&head);
                    continue;
                }
            },
            place => (head.slot, head.offset, place),
        };
        match place {
            Place::Batch(header, bytes) => {
                if looks_again {
                    let (file, position) = (slot::path(slot), header.position);
                    tracing::warn!(
                        file,
                        offset,
                        position,
                        "a batch was read wrongly, and rightly when read again"
                    );
                    looks_again = false;
                }
                found.head = LogPoint {
                    position: header.position,
                    epoch: header.epoch,
                    checksum: header.checksum,
                    slot,
                    generation: header.generation,
                    offset: offset + u64::from(header.total_bytes),
                };
                found.newest[slot as usize] = Some(header.position);
                if header.entries > 0 {
                    found.batches.push(Batch::new(found.head, bytes, header.entries));
                }
            }
            Place::Torn(at, what) if looks_again => {
                found.torn = Some((slot::path(slot), at, what));
                break;
            }
            Place::Torn(..) => {
                looks_again = true;
                reader = reader_again(&head);
            }
            Place::Nothing => unreachable!("a slot is next only for what is in it"),
        }
    }
    refuse_damage(slots, journal, &found, largest_batch).await?;
    Ok(found)
}

/// The slot whose first batch carries on the chain.
async fn next_slot<'a>(
    slots: &'a [Arc<Slot>],
    journal: u64,
    head: &LogPoint,
) -> Result<Option<(SlotReader<'a>, Place)>, OpenError> {
    for slot in slots {
        if slot.index == head.slot && head.generation > 0 {
            continue;
        }
        let mut reader = SlotReader::new(slot);
        // Most slots are not the next one: one block tells.
        reader.read_bytes = BLOCK_BYTES;
        let place = reader.place_at(FIRST_BATCH, journal, head, head.generation + 1).await?;
        if !matches!(place, Place::Nothing) {
            reader.read_bytes = READ_BYTES_FIRST;
            return Ok(Some((reader, place)));
        }
    }
    Ok(None)
}

/// Looks for a batch that says that the missing one, behind the chain's end, is durable.
///
/// Batches have one write in flight, so that a torn one is the last: any later one is proof of damage. Positions
/// are never given twice to batches that both check out, so that stale blocks prove nothing: theirs are smaller.
/// Searched are the rest of the last slot, and of each other slot the part in which its second batch would begin:
/// whatever followed the missing batch begins there, unless all of that is damaged, too.
async fn refuse_damage(
    slots: &[Arc<Slot>],
    journal: u64,
    found: &Replay,
    largest_batch: u64,
) -> Result<(), OpenError> {
    let missing = found.head.position + 1;
    for slot in slots {
        let is_last = found.head.generation > 0 && slot.index == found.head.slot;
        let (from, to) = if is_last {
            (found.head.offset, slot.bytes)
        } else {
            let mut reader = SlotReader::new(slot);
            reader.read_bytes = BLOCK_BYTES;
            match reader.header_at(FIRST_BATCH, journal).await? {
                // The log did not enter this slot later: that would have overwritten this header.
                Some(header) if header.position < missing => continue,
                _ => (FIRST_BATCH, (FIRST_BATCH + largest_batch + BLOCK_BYTES as u64).min(slot.bytes)),
            }
        };
        if let Some((at, header)) = search(slot, journal, from, to, missing).await? {
            let (file, position, what) = match &found.torn {
                Some((file, position, what)) => (file.clone(), *position, *what),
                // The header itself is damaged: it would lie behind the last whole batch, or begin this slot.
                None if is_last => (slot::path(slot.index), from, "no batch checks out here"),
                None if at == FIRST_BATCH => {
                    (slot::path(found.head.slot), found.head.offset, "no batch checks out here")
                }
                None => (slot::path(slot.index), FIRST_BATCH, "no batch checks out here"),
            };
            return Err(OpenError::Corrupt {
                file,
                position,
                what: format!(
                    "{what}; yet batch {missing} was durable, as batch {} at byte {at} of {} says",
                    header.position,
                    slot::path(slot.index)
                ),
            });
        }
    }
    Ok(())
}

/// The first batch between two places of a slot that says that batch `missing` is durable.
async fn search(
    slot: &Slot,
    journal: u64,
    from: u64,
    to: u64,
    missing: u64,
) -> Result<Option<(u64, Header)>, OpenError> {
    let mut reader = SlotReader::new(slot);
    reader.read_bytes = SEARCH_BYTES;
    let mut at = from;
    while at < to {
        match reader.header_at(at, journal).await? {
            Some(header) if header.durable_through >= missing => return Ok(Some((at, header))),
            _ => {}
        }
        reader.read_bytes = SEARCH_BYTES;
        at += BLOCK_BYTES as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use thalweg_journal::checksum;
    use thalweg_system::Disk;
    use thalweg_system::disk::Access;
    use thalweg_system::simulated::{ManualClock, SimulatedDisk, SimulatedSpawn};
    use thalweg_types::{ShardIndex, ShardKey, StreamId, Timestamp};

    use super::*;
    use crate::batch::{Entry, Kind};

    const JOURNAL: u64 = 77;
    const BLOCK: u64 = BLOCK_BYTES as u64;
    const SLOT_BYTES: u64 = 6 * BLOCK;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        SimulatedSpawn::new(1, ManualClock::new(Timestamp::ZERO)).block_on(future)
    }

    /// A ring in the making: batches are laid down one behind the other, each as the test wants it.
    struct Ring {
        disk: SimulatedDisk,
        slots: Vec<Arc<Slot>>,
        head: LogPoint,
    }

    impl Ring {
        fn new() -> Self {
            let disk = SimulatedDisk::new();
            let slots = block_on(async {
                disk.create_directory(slot::DIRECTORY).await.expect("no fault is set");
                let mut slots = Vec::new();
                for index in 0..3 {
                    let path = slot::path(index);
                    let file = disk.create(&path, Access::Recycled).await.expect("no fault is set");
                    let zeros = AlignedBuffer::zeroed(SLOT_BYTES as usize);
                    file.write_durable(0, &zeros).await.expect("no fault is set");
                    slots.push(Arc::new(Slot { index, bytes: SLOT_BYTES, file }));
                }
                slots
            });
            Ring { disk, slots, head: LogPoint::ORIGIN }
        }

        /// The log goes on in this slot.
        fn enter(&mut self, slot: u32) {
            self.head.slot = slot;
            self.head.generation += 1;
            self.head.offset = FIRST_BATCH;
        }

        /// Lays down a batch at the head with the header that `edit` makes of the right one.
        fn write(&mut self, edit: impl FnOnce(&mut Header)) {
            let run = b"a run";
            let shard = ShardKey { stream: StreamId(1), shard: ShardIndex(0) };
            let entry = Entry {
                kind: Kind::Records,
                shard,
                first: self.head.position,
                arrival: Timestamp::ZERO,
                count: 1,
                length: 5,
                checksum: checksum(run),
            };
            let mut header = Header {
                flags: 0,
                entries: 0,
                journal: JOURNAL,
                epoch: self.head.epoch.max(3),
                position: self.head.position + 1,
                durable_through: self.head.position,
                generation: self.head.generation,
                wall: Timestamp::ZERO,
                total_bytes: 0,
                payload_bytes: 0,
                previous_checksum: self.head.checksum,
                checksum: 0,
            };
            edit(&mut header);
            let mut buffer = AlignedBuffer::with_capacity(BLOCK_BYTES);
            let sum = batch::encode(&header, &[entry], std::iter::once(&run[..]), &mut buffer);
            let file = &self.slots[self.head.slot as usize].file;
            block_on(file.write_durable(self.head.offset, &buffer)).expect("no fault is set");
            self.head.position = header.position;
            self.head.epoch = header.epoch;
            self.head.checksum = sum;
            self.head.offset += BLOCK;
        }

        fn flip(&self, slot: u32, offset: u64) {
            block_on(async {
                let file = &self.slots[slot as usize].file;
                let start = offset / BLOCK * BLOCK;
                let mut block = AlignedBuffer::zeroed(BLOCK_BYTES);
                file.read(start, &mut block).await.expect("it is there");
                block[(offset - start) as usize] ^= 1;
                file.write_durable(start, &block).await.expect("no fault is set");
            });
        }

        fn replay(&self) -> Result<Replay, OpenError> {
            block_on(replay(&self.slots, JOURNAL, LogPoint::ORIGIN, 2 * BLOCK))
        }

        /// How many batches the chain has.
        #[track_caller]
        fn check(&self, expected: usize) {
            let found = self.replay().unwrap_or_else(|error| panic!("nothing is damaged: {error}"));
            assert_eq!(found.batches.len(), expected);
            assert_eq!(found.head.position, expected as u64);
        }

        #[track_caller]
        fn check_refused(&self, slot: u32, position: u64) {
            match self.replay().err() {
                Some(OpenError::Corrupt { file, position: at, .. }) => {
                    assert_eq!((file, at / BLOCK), (slot::path(slot), position / BLOCK));
                }
                other => panic!("damage is refused, not {other:?}"),
            }
        }
    }

    /// Two batches in slot 1, two in slot 0, and what `next` lays down behind them.
    fn ring_with(next: impl FnOnce(&mut Ring)) -> Ring {
        let mut ring = Ring::new();
        ring.enter(1);
        ring.write(|_| {});
        ring.write(|_| {});
        ring.enter(0);
        ring.write(|_| {});
        ring.write(|_| {});
        next(&mut ring);
        ring
    }

    #[test]
    fn the_chain_is_followed_through_the_slots() {
        ring_with(|_| {}).check(4);
        ring_with(|ring| ring.write(|_| {})).check(5);
        ring_with(|ring| {
            ring.enter(2);
            ring.write(|_| {});
        })
        .check(5);
    }

    #[test]
    fn a_newer_epoch_carries_on_and_an_older_one_does_not() {
        ring_with(|ring| ring.write(|header| header.epoch = 4)).check(5);
        ring_with(|ring| ring.write(|header| header.epoch = 2)).check(4);
        ring_with(|ring| ring.write(|header| header.flags = FLAG_EPOCH)).check(4);
    }

    #[test]
    fn what_does_not_carry_on_the_chain_is_stale() {
        ring_with(|ring| ring.write(|header| header.previous_checksum ^= 1)).check(4);
        ring_with(|ring| ring.write(|header| header.generation += 1)).check(4);
        ring_with(|ring| ring.write(|header| header.generation -= 1)).check(4);
        ring_with(|ring| ring.write(|header| header.position = 4)).check(4);
        ring_with(|ring| ring.write(|header| header.position = 1)).check(4);
        ring_with(|ring| ring.write(|header| header.journal = 1)).check(4);
        ring_with(|ring| {
            ring.enter(2);
            ring.write(|header| header.generation += 1);
        })
        .check(4);
    }

    #[test]
    fn a_torn_end_is_dropped_and_told() {
        for at in
            [0, 4, 16, 32, 48, 50, 72, batch::HEADER_BYTES as u64 + 3, batch::HEADER_BYTES as u64 + 64 + 2]
        {
            let ring = ring_with(|ring| ring.write(|_| {}));
            ring.flip(0, FIRST_BATCH + 2 * BLOCK + at);
            ring.check(4);
            let torn = ring.replay().expect("nothing says that it was durable").torn;
            assert!(torn.is_some_and(|(file, ..)| file == slot::path(0)), "byte {at}");
        }
    }

    #[test]
    fn a_read_that_is_wrong_drops_nothing() {
        let ring = ring_with(|ring| ring.write(|_| {}));
        for flip in [SimulatedDisk::flip_nth_read, SimulatedDisk::flip_nth_read_into_cache] {
            let mut wrong = 0;
            for nth in 1.. {
                let mut has_struck = false;
                for bit in (0..8 * SLOT_BYTES).step_by(101) {
                    flip(&ring.disk, nth, bit);
                    let replay = ring.replay();
                    has_struck = ring.disk.clear_faults() == 0;
                    wrong += u32::from(has_struck);
                    // A refusal harms nothing: the next start reads again.
                    assert!(
                        replay.is_err() || replay.is_ok_and(|found| found.batches.len() == 5),
                        "read {nth}, bit {bit}"
                    );
                    ring.slots.iter().for_each(|slot| slot.file.drop_cache(0, slot.bytes));
                }
                if !has_struck {
                    break;
                }
            }
            assert!(wrong > 1000);
        }
    }

    #[test]
    fn damage_below_a_later_batch_is_refused() {
        for at in [0, 50, batch::HEADER_BYTES as u64 + 3, batch::HEADER_BYTES as u64 + 64 + 2] {
            // In the last slot…
            let ring = ring_with(|ring| (0..2).for_each(|_| ring.write(|_| {})));
            ring.flip(0, FIRST_BATCH + 2 * BLOCK + at);
            ring.check_refused(0, FIRST_BATCH + 2 * BLOCK);
            // …the last batch of one, while the log goes on in another…
            let ring = ring_with(|_| {});
            ring.flip(1, FIRST_BATCH + BLOCK + at);
            ring.check_refused(1, FIRST_BATCH + BLOCK);
            // …the first of a slot…
            let ring = ring_with(|_| {});
            ring.flip(0, FIRST_BATCH + at);
            let found = ring.replay().err();
            assert!(matches!(found, Some(OpenError::Corrupt { .. })), "not {found:?}");
            // …and the very first.
            let ring = ring_with(|_| {});
            ring.flip(1, FIRST_BATCH + at);
            let found = ring.replay().err();
            assert!(matches!(found, Some(OpenError::Corrupt { .. })), "not {found:?}");
        }
    }

    #[test]
    fn several_damaged_batches_are_refused_while_one_later_is_whole() {
        let ring = ring_with(|ring| (0..3).for_each(|_| ring.write(|_| {})));
        ring.flip(0, FIRST_BATCH + 2 * BLOCK);
        ring.flip(0, FIRST_BATCH + 3 * BLOCK);
        ring.check_refused(0, FIRST_BATCH + 2 * BLOCK);
    }

    #[test]
    fn a_dropped_end_proves_nothing_later() {
        // Batch 5 was torn at the start of another slot; the next start wrote its own batch 5 behind batch 4, and
        // was followed by others.
        let mut ring = ring_with(|_| {});
        let before = ring.head;
        ring.enter(2);
        ring.write(|_| {});
        ring.flip(2, FIRST_BATCH + batch::HEADER_BYTES as u64 + 64);
        ring.head = before;
        ring.write(|header| header.epoch = 4);
        ring.check(5);
        ring.write(|_| {});
        ring.check(6);
    }
}
