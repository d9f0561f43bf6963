//! DescribeStreamSummary.

use thalweg_model::kinesis::{
    DescribeStreamSummaryInput, DescribeStreamSummaryOutput, EncryptionType, StreamDescriptionSummary,
};
use thalweg_shape::Failure;

use crate::service::Streams;
use crate::view;

pub(crate) async fn run(
    streams: &Streams,
    input: DescribeStreamSummaryInput,
) -> Result<DescribeStreamSummaryOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit("DescribeStreamSummary", Some(stream.name.as_str()))?;
    Ok(DescribeStreamSummaryOutput {
        stream_description_summary: StreamDescriptionSummary {
            channel_count: Some(0),
            consumer_count: Some(view::count(stream.consumers.len())),
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: view::monitoring(&stream),
            key_id: None,
            max_record_size_in_kib: Some(view::count(stream.record_kib_max)),
            open_shard_count: view::count(stream.shards.open_count()),
            queue_count: Some(0),
            record_distribution_strategy: Some(stream.distribution),
            retention_period_hours: view::count(stream.retention_hours),
            stream_arn: streams.stream_arn(&stream).to_string(),
            stream_creation_timestamp: stream.created,
            // SDKs would send it back, and route by it.
            stream_id: None,
            stream_mode_details: Some(view::mode(&stream)),
            stream_name: stream.name.to_string(),
            stream_status: stream.status(),
            warm_throughput: view::warm_throughput(&stream),
        },
    })
}
