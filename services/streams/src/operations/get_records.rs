//! GetRecords: the records at an iterator, and the iterator behind them.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_api::{Call, HotAnswer};
use thalweg_model::kinesis::{ChildShard, GetRecordsInput, GetRecordsOutput, HashKeyRange, Record};
use thalweg_shape::Failure;
use thalweg_types::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_COUNT_MAX};
use thalweg_wire::hot::{GetRecords, RecordsWriter};
use tokio::sync::SemaphorePermit;

use crate::errors;
use crate::hot;
use crate::iterator::{Place, Token};
use crate::read::{self, Page};
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// What an answer says of a record besides its key and its data, in bytes of JSON: names, arrival, sequence number.
const RECORD_TEXT_BYTES: usize = 256;

pub(crate) async fn run(
    streams: &Streams,
    call: &Call,
    input: GetRecordsInput,
) -> Result<GetRecordsOutput, Failure> {
    let arn = input.stream_arn.as_deref();
    let target = target(streams, &input.shard_iterator, arn, input.stream_id.as_deref())?;
    if input.dry_run == Some(true) {
        return Err(errors::dry_run());
    }
    let limit = input.limit.map_or(GET_RECORDS_COUNT_MAX as u32, |limit| limit.unsigned_abs());
    let _place = place(streams, &target).await;
    let answer = read(streams, call, &target, limit).await?;
    let mut records = Vec::with_capacity(answer.page.count());
    for run in &answer.page.runs {
        records.extend(read::numbered(&target.shard, run).map(|(number, record)| Record {
            approximate_arrival_timestamp: Some(run.arrival),
            data: run.bytes.slice_ref(record.data),
            encryption_type: None,
            partition_key: record.partition_key.map(str::to_owned),
            sequence_number: number.to_string(),
        }));
    }
    let child_shards = answer.parent_of.as_ref().map(|stream| {
        let child = |child: &Shard| ChildShard {
            shard_id: child.index.to_string(),
            parent_shards: child.parents().map(|parent| parent.to_string()).collect(),
            hash_key_range: HashKeyRange {
                starting_hash_key: child.range.start.to_string(),
                ending_hash_key: child.range.end.to_string(),
            },
        };
        stream.shards.children(target.shard.index).map(child).collect()
    });
    Ok(GetRecordsOutput {
        child_shards,
        millis_behind_latest: Some(answer.page.millis_behind),
        next_shard_iterator: answer.next.map(|token| token.as_str().to_owned()),
        records,
    })
}

/// From the encoded body; None: by the ordinary path.
pub(crate) fn hot<'a>(streams: &'a Streams, call: &'a Call, body: &'a Bytes) -> HotAnswer<'a> {
    let request = GetRecords::scan(call.protocol, body)?;
    let limit = match request.limit {
        None => GET_RECORDS_COUNT_MAX,
        Some(limit) => {
            usize::try_from(limit).ok().filter(|limit| (1..=GET_RECORDS_COUNT_MAX).contains(limit))?
        }
    };
    if !request.stream_arn.is_none_or(hot::arn_is_plain) {
        return None;
    }
    let target = target(streams, request.shard_iterator, request.stream_arn, None).ok()?;
    Some(Box::pin(async move {
        let _place = place(streams, &target).await;
        let answer = read(streams, call, &target, limit as u32).await?;
        Ok(encode(call, &target, &answer))
    }))
}

/// What an iterator names.
struct Target {
    stream: Arc<Stream>,
    shard: Shard,
    place: Place,
}

/// What to answer.
struct Answer {
    page: Page,
    /// Absent at the end of the shard.
    next: Option<Token>,
    /// Present at the end of the shard: a snapshot that has its children.
    parent_of: Option<Arc<Stream>>,
}

/// # Errors
/// InvalidArgument, ExpiredIterator, ResourceNotFound.
fn target(
    streams: &Streams,
    iterator: &str,
    arn: Option<&str>,
    stream_id: Option<&str>,
) -> Result<Target, Failure> {
    let opened = streams.iterators.open(iterator, streams.now()).map_err(errors::iterator_unusable)?;
    let place = opened.place;
    let gone = || errors::shard_not_found(place.shard, opened.name(), &streams.settings.account);
    // Of another stream with the same name, the id differs.
    let stream = streams.stream(place.stream).ok_or_else(gone)?;
    if let Some(arn) = arn
        && streams.resolve_stream(None, Some(arn), stream_id)?.id != stream.id
    {
        return Err(errors::iterator_of_another_stream(arn));
    }
    if arn.is_none() && stream_id.is_some() {
        streams.resolve_stream(None, None, stream_id)?;
    }
    let shard = *stream.shards.get(place.shard).ok_or_else(gone)?;
    Ok(Target { stream, shard, place })
}

/// A place for an answer in the making. None where all are taken and none is needed: what is in memory is answered without
/// a wait, so that each thread makes one at a time.
async fn place<'a>(streams: &'a Streams, target: &Target) -> Option<SemaphorePermit<'a>> {
    if let Ok(place) = streams.pages.try_acquire() {
        return Some(place);
    }
    if streams.journal.is_in_memory(target.stream.key(target.shard.index), target.place.offset) {
        return None;
    }
    Some(streams.pages.acquire().await.expect("it is never closed"))
}

/// # Errors
/// ProvisionedThroughputExceeded, ResourceNotFound, InternalFailure.
async fn read(streams: &Streams, call: &Call, target: &Target, limit: u32) -> Result<Answer, Failure> {
    let Target { stream, shard, place } = target;
    let key = stream.key(shard.index);
    if !streams.rates.read(key, streams.clock.monotonic()) {
        let account = &streams.settings.account;
        return Err(errors::shard_throughput_exceeded(shard.index, stream.name.as_str(), account));
    }
    // Where others hold much of the memory for answers, a smaller page is better than one that is thrown away. Half is
    // for keys and data, which base64 makes two thirds, and the rest for what is told of each record.
    let room = call.room.answer_bytes_max();
    let bytes_max = GET_RECORDS_BYTES_MAX.min(room / 2);
    let records_max = limit.min(u32::try_from(room / (4 * RECORD_TEXT_BYTES)).unwrap_or(u32::MAX));
    let page = read::page(streams, stream, shard.index, place.offset, records_max, bytes_max).await?;
    if streams.keeps_aws_limits() {
        streams.rates.was_read(key, page.payload_bytes(), streams.clock.monotonic());
    }
    // The journal may be a moment ahead of the shard map. Clients take no iterator without children, or the other
    // way round, for a fault: until the children are there, there is an iterator.
    let parent_of = match page.at_end {
        true => {
            streams.stream(stream.id).filter(|stream| stream.shards.children(shard.index).next().is_some())
        }
        false => None,
    };
    let place = Place { offset: page.next, turn: place.turn.wrapping_add(1), ..*place };
    let next = parent_of.is_none().then(|| streams.iterators.seal(place, &stream.name, streams.now()));
    Ok(Answer { page, next, parent_of })
}

fn encode(call: &Call, target: &Target, answer: &Answer) -> Bytes {
    let page = &answer.page;
    let mut out = Vec::new();
    let mut writer = RecordsWriter::open(&mut out, call.protocol, page.count(), page.content_bytes());
    read::write_records(&mut writer, &mut out, &target.shard, page);
    let next = answer.next.as_ref().map(Token::as_str);
    match &answer.parent_of {
        None => writer.close_get_records(&mut out, next, page.millis_behind, &[]),
        Some(stream) => read::children(&stream.shards, target.shard.index, |children| {
            writer.close_get_records(&mut out, next, page.millis_behind, children);
        }),
    }
    Bytes::from(out)
}
