//! One page of a shard's records, and what follows it.

use thalweg_journal::{Read, ReadError, Record, RunView};
use thalweg_shape::Failure;
use thalweg_types::{Offset, SequenceNumber, ShardIndex};
use thalweg_wire::hot;
use tracing::error;

use crate::errors;
use crate::service::Streams;
use crate::shard_map::{Shard, ShardMap};
use crate::stream::Stream;

/// A read that finds only what retention passes over is repeated so often, at most, before an empty page is
/// answered: the client then goes on by itself.
const READS_MAX: u32 = 4;

/// Records in order, as they lie in memory.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) runs: Vec<RunView>,
    /// Where to go on.
    pub(crate) next: Offset,
    /// How old the newest record of the page is when there are more behind it, at least 1; 0 when there are none.
    pub(crate) millis_behind: i64,
    /// No record will follow.
    pub(crate) at_end: bool,
}

impl Page {
    /// How many records.
    pub(crate) fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }

    /// At least as many bytes as data and keys have; at most 26 more for each record.
    pub(crate) fn content_bytes(&self) -> usize {
        self.runs.iter().map(|run| run.bytes.len()).sum()
    }

    /// Exactly as many bytes as data and keys have.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.runs.iter().flat_map(RunView::records).map(|(_, record)| record.payload_bytes()).sum()
    }
}

/// The records from `from` on: at most `records_max`, and `bytes_max` of data and keys, except that one record
/// always comes.
///
/// # Errors
/// ResourceNotFound when the stream is gone, InternalFailure when it cannot be read.
pub(crate) async fn page(
    streams: &Streams,
    stream: &Stream,
    shard: ShardIndex,
    from: Offset,
    records_max: u32,
    bytes_max: usize,
) -> Result<Page, Failure> {
    let now = streams.now();
    let not_before = stream.horizon(streams.expiry_now());
    let mut read = Read { shard: stream.key(shard), from, records_max, bytes_max, not_before };
    let mut reads = 1;
    let answer = loop {
        let answer = streams.journal.read(read).await;
        let answer = answer.map_err(|error| unreadable(streams, stream, shard, &error))?;
        if !answer.runs.is_empty() || answer.next >= answer.tail.next || reads == READS_MAX {
            break answer;
        }
        read.from = answer.next;
        reads += 1;
    };
    let at_tail = answer.next >= answer.tail.next;
    let newest = answer.runs.last().map_or(not_before, |run| run.arrival);
    let millis_behind = if at_tail { 0 } else { (now.as_millis() - newest.as_millis()).max(1) };
    Ok(Page { runs: answer.runs, next: answer.next, millis_behind, at_end: at_tail && answer.tail.sealed })
}

/// The records of a run with their numbers.
pub(crate) fn numbered<'r>(
    shard: &'r Shard,
    run: &'r RunView,
) -> impl Iterator<Item = (SequenceNumber, Record<'r>)> {
    run.records().map(|(offset, record)| (shard.sequence_number(offset, run.arrival), record))
}

/// Appends a page's records to an answer that is open.
pub(crate) fn write_records(writer: &mut hot::RecordsWriter, out: &mut Vec<u8>, shard: &Shard, page: &Page) {
    for run in &page.runs {
        for (sequence_number, record) in numbered(shard, run) {
            let record = hot::Record {
                sequence_number,
                arrival: run.arrival,
                data: record.data,
                partition_key: record.partition_key,
                encryption_type: None,
            };
            writer.record(out, &record);
        }
    }
}

/// Calls `with` with what answers say of the shards that followed `shard`: empty until they are there.
pub(crate) fn children<T>(
    shards: &ShardMap,
    shard: ShardIndex,
    with: impl FnOnce(&[hot::ChildShard<'_>]) -> T,
) -> T {
    let found: Vec<(&Shard, Vec<ShardIndex>)> =
        shards.children(shard).map(|child| (child, child.parents().collect())).collect();
    let children: Vec<_> = found
        .iter()
        .map(|(child, parents)| hot::ChildShard { shard: child.index, parents, range: child.range })
        .collect();
    with(&children)
}

/// What a failed read means to the client. The log has the rest.
pub(super) fn unreadable(
    streams: &Streams,
    stream: &Stream,
    shard: ShardIndex,
    failure: &ReadError,
) -> Failure {
    match failure {
        ReadError::UnknownShard(_) => {
            errors::shard_not_found(shard, stream.name.as_str(), &streams.settings.account)
        }
        ReadError::Corrupt { .. } | ReadError::Disk(_) => {
            error!(stream = %stream.name, %shard, %failure, "records cannot be read");
            errors::internal_failure()
        }
    }
}
