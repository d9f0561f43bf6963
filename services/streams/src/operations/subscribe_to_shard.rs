//! SubscribeToShard: everything that can be wrong is said before the stream begins; then [`crate::fan_out`] has it.

use thalweg_api::{Call, EventStream};
use thalweg_model::kinesis::{ConsumerStatus, SubscribeToShardInput};
use thalweg_shape::Failure;

use crate::errors;
use crate::fan_out::{self, Beginning};
use crate::read::{self, Asked};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    call: &Call,
    input: SubscribeToShardInput,
) -> Result<EventStream, Failure> {
    let account = streams.settings.account.as_str();
    if let Some(id) = &input.stream_id {
        return Err(errors::stream_id_not_found(id, account));
    }
    let (stream, consumer) = streams.resolve_consumer(&input.consumer_arn)?;
    let name = stream.name.as_str();
    let position = &input.starting_position;
    let asked = Asked {
        operation: "SubscribeToShard",
        shard_id: &input.shard_id,
        kind: position.type_,
        sequence_number: position.sequence_number.as_deref(),
        timestamp: position.timestamp,
    };
    let index = asked.shard_index(name, account)?;
    let shard = stream.shards.get(index).ok_or_else(|| errors::shard_not_found(index, name, account))?;
    let now = streams.now();
    let start = asked.start(&stream, shard, account, now)?;
    if consumer.status() != ConsumerStatus::Active {
        let consumer_name = consumer.name.as_str();
        return Err(errors::consumer_not_active(consumer_name, consumer.created, name, account));
    }
    if input.dry_run == Some(true) {
        return Err(errors::dry_run());
    }
    let monotonic = streams.clock.monotonic();
    if !streams.rates.subscribe(stream.key(index), &consumer.name, consumer.created, monotonic) {
        return Err(errors::subscribe_rate_exceeded(consumer.name.as_str(), index, name, account));
    }
    let position = read::offset(streams, &stream, shard, start).await?;
    let (protocol, room) = (call.protocol, &call.room);
    let beginning = Beginning { stream: &stream, consumer: &consumer, shard, position, protocol, room };
    fan_out::begin(streams.arc(), &beginning)
}
