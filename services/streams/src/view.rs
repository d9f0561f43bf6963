//! From snapshots to the shapes that answers have. Reads, never decides.

use thalweg_model::kinesis as model;
use thalweg_types::Timestamp;

use crate::consumer::Consumer;
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// A count as the model has it.
pub(crate) fn count(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

/// A shard as it is listed.
pub(crate) fn shard(shard: &Shard) -> model::Shard {
    model::Shard {
        shard_id: shard.index.to_string(),
        parent_shard_id: shard.parent.map(|index| index.to_string()),
        adjacent_parent_shard_id: shard.adjacent_parent.map(|index| index.to_string()),
        hash_key_range: hash_key_range(shard),
        sequence_number_range: model::SequenceNumberRange {
            starting_sequence_number: shard.starting_sequence_number().to_string(),
            ending_sequence_number: shard.ending_sequence_number().map(|number| number.to_string()),
        },
    }
}

/// A shard's range.
pub(crate) fn hash_key_range(shard: &Shard) -> model::HashKeyRange {
    model::HashKeyRange {
        starting_hash_key: shard.range.start.to_string(),
        ending_hash_key: shard.range.end.to_string(),
    }
}

/// A stream's capacity mode.
pub(crate) fn mode(stream: &Stream) -> model::StreamModeDetails {
    model::StreamModeDetails { stream_mode: stream.mode }
}

/// Its shard-level metrics: a list with one element, which may be empty inside.
pub(crate) fn monitoring(stream: &Stream) -> Vec<model::EnhancedMetrics> {
    vec![model::EnhancedMetrics { shard_level_metrics: Some(stream.metrics.clone()) }]
}

/// Its warm throughput, if it has one. What is asked for is there at once: nothing has to warm up here.
pub(crate) fn warm_throughput(stream: &Stream) -> Option<model::WarmThroughputObject> {
    let mibps = stream.warm_throughput_mibps.map(count);
    mibps.map(|mibps| model::WarmThroughputObject { current_mibps: Some(mibps), target_mibps: Some(mibps) })
}

/// Tags as a list.
pub(crate) fn tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<model::Tag> {
    tags.into_iter().map(|(key, value)| model::Tag { key: key.clone(), value: Some(value.clone()) }).collect()
}

/// Whether a `StreamCreationTimestamp` means this stream: to the second, as AWS gives it.
pub(crate) fn was_created_at(stream: &Stream, at: Timestamp) -> bool {
    stream.created.as_seconds() == at.as_seconds()
}

impl Streams {
    /// A consumer as it is listed.
    pub(crate) fn view_consumer(&self, stream: &Stream, consumer: &Consumer) -> model::Consumer {
        model::Consumer {
            consumer_arn: self.consumer_arn(stream, consumer).to_string(),
            consumer_creation_timestamp: consumer.created,
            consumer_name: consumer.name.to_string(),
            consumer_status: consumer.status(),
        }
    }
}
