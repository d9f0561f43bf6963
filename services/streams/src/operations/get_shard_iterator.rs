//! GetShardIterator: a place in a shard, as a text that is good for five minutes.

use thalweg_api::Call;
use thalweg_model::kinesis::{GetShardIteratorInput, GetShardIteratorOutput};
use thalweg_shape::Failure;
use thalweg_types::StreamArn;

use crate::errors;
use crate::iterator::Place;
use crate::read::{self, Asked};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    _call: &Call,
    input: GetShardIteratorInput,
) -> Result<GetShardIteratorOutput, Failure> {
    let account = streams.settings.account.as_str();
    let asked = Asked {
        operation: "GetShardIterator",
        shard_id: &input.shard_id,
        kind: input.shard_iterator_type,
        sequence_number: input.starting_sequence_number.as_deref(),
        timestamp: input.timestamp,
    };
    let (name, arn) = (input.stream_name.as_deref(), input.stream_arn.as_deref());
    let found = streams.resolve_stream(name, arn, input.stream_id.as_deref());
    // AWS looks at the shard's id first, and words both errors with the stream's name as it was given.
    let parsed = arn.and_then(StreamArn::parse);
    let named = name.or(parsed.as_ref().map(|arn| arn.name.as_str()));
    let stream = match (found, named) {
        (Err(_), Some(named)) if streams.registry.find(named).is_none() => {
            let index = asked.shard_index(named, account)?;
            return Err(errors::shard_not_found(index, named, account));
        }
        (found, _) => found?,
    };
    let name = stream.name.as_str();
    let index = asked.shard_index(name, account)?;
    let shard = stream.shards.get(index).ok_or_else(|| errors::shard_not_found(index, name, account))?;
    let now = streams.now();
    let start = asked.start(&stream, shard, account, now)?;
    if input.dry_run == Some(true) {
        return Err(errors::dry_run());
    }
    if !streams.rates.iterator(stream.key(index), streams.clock.monotonic()) {
        return Err(errors::shard_throughput_exceeded(index, name, account));
    }
    let offset = read::offset(streams, &stream, shard, start).await?;
    let token =
        streams.iterators.seal(Place { stream: stream.id, shard: index, offset, turn: 0 }, &stream.name, now);
    Ok(GetShardIteratorOutput { shard_iterator: Some(token.as_str().to_owned()) })
}
