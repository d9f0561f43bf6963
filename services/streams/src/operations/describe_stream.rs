//! DescribeStream.

use thalweg_model::kinesis::{DescribeStreamInput, DescribeStreamOutput, EncryptionType, StreamDescription};
use thalweg_shape::Failure;
use thalweg_types::ShardIndex;
use thalweg_types::limits::DESCRIBE_STREAM_PAGE;

use crate::errors;
use crate::service::Streams;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: DescribeStreamInput,
) -> Result<DescribeStreamOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit("DescribeStream", Some(stream.name.as_str()))?;
    let after = match input.exclusive_start_shard_id.as_deref() {
        None => None,
        Some(id) => Some(ShardIndex::parse(id).ok_or_else(|| {
            errors::could_not_find_shard(id, stream.name.as_str(), &streams.settings.account)
        })?),
    };
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DESCRIBE_STREAM_PAGE);
    let limit = limit.min(DESCRIBE_STREAM_PAGE);
    let mut rest = stream.listed(streams.expiry_now()).filter(|shard| Some(shard.index) > after);
    let shards = rest.by_ref().take(limit).map(view::shard).collect();
    Ok(DescribeStreamOutput {
        stream_description: StreamDescription {
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: view::monitoring(&stream),
            has_more_shards: rest.next().is_some(),
            key_id: None,
            retention_period_hours: view::count(stream.retention_hours),
            shards,
            stream_arn: streams.stream_arn(&stream).to_string(),
            stream_creation_timestamp: stream.created,
            stream_mode_details: Some(view::mode(&stream)),
            stream_name: stream.name.to_string(),
            stream_status: stream.status(),
        },
    })
}
