//! SubscribeToShardEvents, encoded.

use std::time::Duration;

use bytes::Bytes;
use thalweg_api::{EventRoom, Room};
use thalweg_shape::Failure;
use thalweg_types::{Offset, SequenceNumber, Timestamp};
use thalweg_wire::event_stream::OpenFrame;
use thalweg_wire::hot::{ChildShard, RecordsWriter};
use thalweg_wire::{Protocol, event_stream};

use super::frames::Frame;
use crate::read;
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// Data and keys in one event, except that one record always comes: small enough to be encoded between two polls of
/// other tasks, large enough that its own overhead does not matter.
const BYTES_MAX: usize = 1 << 20;
/// Records in one event. As many as GetRecords gives.
const RECORDS_MAX: u32 = 10_000;
/// Held while records are read whose event is not made yet: what one of [`BYTES_MAX`] takes, encoded.
const UNKNOWN_BYTES: usize = 2 * BYTES_MAX;
/// Data and keys in an event where there is no room for a large one.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// What such an event takes, encoded.
const SMALL_UNKNOWN_BYTES: usize = 2 * SMALL_BYTES_MAX;
/// The event's name in the model.
const EVENT: &str = "SubscribeToShardEvent";

/// Why there is no event.
#[derive(Debug)]
pub(super) enum NoEvent {
    /// The records cannot be had.
    Failed(Failure),
    /// There is no room for it at this moment; it takes so much, or less.
    NoRoom(usize),
}

/// An event's bytes, for as long as somebody has them.
struct Held {
    bytes: Vec<u8>,
    _room: EventRoom,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The event with the records from `from` on, which may take `needed` bytes or more.
///
/// # Errors
/// [`NoEvent`]: ResourceNotFound when the stream is gone, InternalFailure when it cannot be read.
pub(super) async fn records(
    streams: &Streams,
    stream: &Stream,
    shard: &Shard,
    from: Offset,
    protocol: Protocol,
    room: &dyn Room,
    needed: usize,
) -> Result<Frame, NoEvent> {
    let large = needed.max(UNKNOWN_BYTES);
    let (reserved_bytes, bytes_max, reserved) = match room.hold_event(large) {
        Some(reserved) => (large, BYTES_MAX, reserved),
        None if needed > SMALL_UNKNOWN_BYTES => return Err(NoEvent::NoRoom(needed)),
        None => {
            let reserved = room.hold_event(SMALL_UNKNOWN_BYTES).ok_or(NoEvent::NoRoom(needed))?;
            (SMALL_UNKNOWN_BYTES, SMALL_BYTES_MAX, reserved)
        }
    };
    let page = read::page(streams, stream, shard.index, from, RECORDS_MAX, bytes_max).await;
    let page = page.map_err(NoEvent::Failed)?;
    let continuation = match page.runs.last() {
        Some(run) => shard.sequence_number(run.end() - 1, run.arrival),
        None => place(shard, page.next, streams.now()),
    };
    let mut out = Vec::new();
    let frame = OpenFrame::event(&mut out, protocol, EVENT);
    let mut writer = RecordsWriter::open(&mut out, protocol, page.count(), page.content_bytes());
    // It has its capacity now, and nothing was written there.
    if out.capacity() > reserved_bytes && room.hold_event(out.capacity()).is_none() {
        return Err(NoEvent::NoRoom(out.capacity()));
    }
    read::write_records(&mut writer, &mut out, shard, &page);
    writer.close_event(&mut out, Some(continuation), page.millis_behind, &[]);
    frame.close(&mut out);
    // Only now: keys of control characters take several times the room that they were given.
    drop(reserved);
    let held = room.hold_event(out.capacity()).ok_or(NoEvent::NoRoom(out.capacity()))?;
    let behind = Duration::from_millis(page.millis_behind.unsigned_abs());
    let oldest = page.runs.first().map(|run| (run.first, run.arrival));
    let bytes = Bytes::from_owner(Held { bytes: out, _room: held });
    Ok(Frame { bytes, next: page.next, oldest, behind })
}

/// The event that says that nothing comes: `at` is a second or more after the last record's arrival.
pub(super) fn empty(
    shard: &Shard,
    position: Offset,
    at: Timestamp,
    millis_behind: i64,
    protocol: Protocol,
) -> Bytes {
    without_records(protocol, Some(place(shard, position, at)), millis_behind, &[])
}

/// The last event of a shard.
pub(super) fn end_of_shard(children: &[ChildShard<'_>], protocol: Protocol) -> Bytes {
    without_records(protocol, None, 0, children)
}

/// A number to continue from: by AFTER_SEQUENCE_NUMBER as by AT_SEQUENCE_NUMBER, the record at `position` is next.
fn place(shard: &Shard, position: Offset, at: Timestamp) -> SequenceNumber {
    SequenceNumber::of_place(shard.created, shard.index, position, at)
}

fn without_records(
    protocol: Protocol,
    continuation: Option<SequenceNumber>,
    millis_behind: i64,
    children: &[ChildShard<'_>],
) -> Bytes {
    let mut out = Vec::new();
    let frame = OpenFrame::event(&mut out, protocol, EVENT);
    RecordsWriter::open(&mut out, protocol, 0, 0).close_event(
        &mut out,
        continuation,
        millis_behind,
        children,
    );
    frame.close(&mut out);
    Bytes::from(out)
}

/// The first frame of every stream.
pub(super) fn initial_response(protocol: Protocol) -> Bytes {
    let mut out = Vec::new();
    event_stream::initial_response(&mut out, protocol);
    Bytes::from(out)
}

/// The frame that ends a stream with an error.
pub(super) fn exception(failure: &Failure, protocol: Protocol) -> Bytes {
    let mut out = Vec::new();
    event_stream::exception(&mut out, protocol, failure);
    Bytes::from(out)
}
