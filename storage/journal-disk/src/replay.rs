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

use crate::batch::{self, Batch, Fault, Header, LogPoint};
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
        let Some(header) = self.header_at(offset, journal).await? else { return Ok(Place::Nothing) };
        let follows = header.position == head.position + 1
            && header.previous_checksum == head.checksum
            && header.epoch >= head.epoch
            && header.generation == generation;
        if !follows {
            return Ok(Place::Nothing);
        }
        let total = header.total_bytes as usize;
        let bytes = self.at(offset, total).await?.expect("the header was checked to fit the slot");
        let bytes = bytes.slice(..total);
        match batch::check_runs(&bytes, &header) {
            Ok(()) => Ok(Place::Batch(header, bytes)),
            Err(Fault::Damaged { at, what }) => Ok(Place::Torn(offset + at as u64, what)),
            Err(_) => Ok(Place::Torn(offset, "a batch is not whole")),
        }
    }
}

/// Follows the chain from `start` to its end.
pub(crate) async fn replay(
    slots: &[Arc<Slot>],
    journal: u64,
    start: LogPoint,
    largest_batch: u64,
) -> Result<Replay, OpenError> {
    let mut found = Replay { batches: Vec::new(), head: start, newest: vec![None; slots.len()], torn: None };
    let mut reader = None;
    if start.generation > 0 {
        let slot = slots.get(start.slot as usize).ok_or_else(|| OpenError::Missing {
            file: slot::path(start.slot),
            what: "the log ends there".to_owned(),
        })?;
        reader = Some(SlotReader::new(slot));
    }
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
                None => break,
            },
            place => (head.slot, head.offset, place),
        };
        match place {
            Place::Batch(header, bytes) => {
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
            Place::Torn(at, what) => {
                found.torn = Some((slot::path(slot), at, what));
                break;
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
