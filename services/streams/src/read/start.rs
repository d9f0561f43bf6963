//! Where a reader starts: the five types of GetShardIterator and SubscribeToShard, their rules, and the offset
//! that each means now.

use thalweg_journal::{Read, ReadError, Tail};
use thalweg_model::kinesis::ShardIteratorType;
use thalweg_shape::Failure;
use thalweg_types::{Offset, SequenceNumber, ShardIndex, Timestamp};

use super::numbers::understand;
use super::page::unreadable;
use crate::errors::{self, NumberUse};
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// For errors: `GetShardIterator`.
    pub(crate) operation: &'a str,
    /// As the request has it.
    pub(crate) shard_id: &'a str,
    pub(crate) kind: ShardIteratorType,
    pub(crate) sequence_number: Option<&'a str>,
    pub(crate) timestamp: Option<Timestamp>,
}

/// A place in a shard, as far as it can be told without looking at records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The first record that is left.
    Horizon,
    /// Behind the last record.
    Tip,
    /// The first record that arrived then or later.
    Time(Timestamp),
    /// The first record whose number is not less.
    At(SequenceNumber),
    /// The first record whose number is greater.
    After(SequenceNumber),
}

impl Asked<'_> {
    /// The shard that is meant.
    ///
    /// # Errors
    /// ResourceNotFound. The stream's name is the request's, whether there is such a stream or not.
    pub(crate) fn shard_index(&self, stream: &str, account: &str) -> Result<ShardIndex, Failure> {
        ShardIndex::parse(self.shard_id)
            .ok_or_else(|| errors::could_not_find_shard(self.shard_id, stream, account))
    }

    /// The start that is meant, by the rules in AWS's order.
    ///
    /// # Errors
    /// InvalidArgument.
    pub(crate) fn start(
        &self,
        stream: &Stream,
        shard: &Shard,
        account: &str,
        now: Timestamp,
    ) -> Result<Start, Failure> {
        use ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon};
        match (self.kind, self.sequence_number) {
            (TrimHorizon | Latest | AtTimestamp, Some(_)) => {
                Err(errors::sequence_number_against_type(self.kind.as_str(), true))
            }
            (AtSequenceNumber | AfterSequenceNumber, None) => {
                Err(errors::sequence_number_against_type(self.kind.as_str(), false))
            }
            (TrimHorizon, None) => Ok(Start::Horizon),
            (Latest, None) => Ok(Start::Tip),
            (AtTimestamp, None) => match self.timestamp {
                None => Err(errors::timestamp_missing()),
                Some(at) if at > now => Err(errors::timestamp_in_future(at, now)),
                Some(at) => Ok(Start::Time(at)),
            },
            // KCL asks so for "from the beginning" when it has a checkpoint and no number.
            (AtSequenceNumber | AfterSequenceNumber, Some("0")) => Ok(Start::Horizon),
            (AtSequenceNumber, Some(text)) => self.number(text, stream, shard, account).map(Start::At),
            (AfterSequenceNumber, Some(text)) => self.number(text, stream, shard, account).map(Start::After),
        }
    }

    /// A number of this shard.
    fn number(
        &self,
        text: &str,
        stream: &Stream,
        shard: &Shard,
        account: &str,
    ) -> Result<SequenceNumber, Failure> {
        let used = NumberUse {
            number: text,
            operation: self.operation,
            shard: shard.index,
            stream: stream.name.as_str(),
            account,
        };
        let understood = understand(text).ok_or_else(|| errors::sequence_number_invalid(used))?;
        if understood.shard != i64::from(shard.index.0) {
            return Err(errors::sequence_number_of_another_shard(understood.shard, shard.index));
        }
        // AWS answers version 0 with an internal failure here, which clients would repeat for ever.
        if understood.version != 2 || understood.created != shard.created.as_seconds() {
            return Err(errors::sequence_number_of_another_stream(used));
        }
        SequenceNumber::parse(text).map_err(|_| errors::sequence_number_invalid(used))
    }
}

/// The offset that a start means now; never past the tail, so that nothing is passed over which is written later.
///
/// # Errors
/// ResourceNotFound when the stream is gone, InternalFailure when it cannot be read.
pub(crate) async fn offset(
    streams: &Streams,
    stream: &Stream,
    shard: &Shard,
    start: Start,
) -> Result<Offset, Failure> {
    let key = stream.key(shard.index);
    let failed = |error: ReadError| unreadable(streams, stream, shard.index, &error);
    let tail = streams.journal.tail(key).map_err(failed)?;
    Ok(match start {
        Start::Horizon => tail.trimmed,
        Start::Tip => tail.next,
        Start::Time(at) => {
            let horizon = stream.horizon(streams.expiry_now());
            streams.journal.find_time(key, at.max(horizon)).await.map_err(failed)?
        }
        Start::After(number) => number.offset_after().min(tail.next),
        Start::At(number) => {
            let offset = number.offset_at().min(tail.next);
            if is_record_before(streams, stream, shard, number, &tail).await.map_err(failed)? {
                offset + 1
            } else {
                offset
            }
        }
    })
}

/// Whether the record with the counter of `number` has a smaller number: then `number` is a place behind it
/// ([`SequenceNumber::of_place`], what subscriptions continue from).
async fn is_record_before(
    streams: &Streams,
    stream: &Stream,
    shard: &Shard,
    number: SequenceNumber,
    tail: &Tail,
) -> Result<bool, ReadError> {
    let offset = number.offset_at();
    if number.is_shard_start() || offset < tail.trimmed || offset >= tail.next {
        return Ok(false);
    }
    let read = Read {
        shard: stream.key(shard.index),
        from: offset,
        records_max: 1,
        bytes_max: 0,
        not_before: stream.horizon(streams.expiry_now()),
    };
    let answer = streams.journal.read(read).await?;
    let found = answer.runs.first().filter(|run| run.first == offset);
    Ok(found.is_some_and(|run| shard.sequence_number(offset, run.arrival) < number))
}
