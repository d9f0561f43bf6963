//! DescribeStreamConsumer.

use thalweg_model::kinesis::{
    ConsumerDescription, DescribeStreamConsumerInput, DescribeStreamConsumerOutput,
};
use thalweg_shape::Failure;

use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    input: DescribeStreamConsumerInput,
) -> Result<DescribeStreamConsumerOutput, Failure> {
    let (stream, consumer) = streams.resolve_named_consumer(
        input.consumer_arn.as_deref(),
        input.stream_arn.as_deref(),
        input.consumer_name.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("DescribeStreamConsumer", &stream)?;
    Ok(DescribeStreamConsumerOutput {
        consumer_description: ConsumerDescription {
            consumer_arn: streams.consumer_arn(&stream, &consumer).to_string(),
            consumer_creation_timestamp: consumer.created,
            consumer_name: consumer.name.to_string(),
            consumer_status: consumer.status(),
            stream_arn: streams.stream_arn(&stream).to_string(),
        },
    })
}
