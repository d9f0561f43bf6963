//! EnableEnhancedMonitoring, and what both switches share.

use thalweg_model::kinesis::{EnableEnhancedMonitoringInput, EnhancedMonitoringOutput, MetricsName};
use thalweg_shape::Failure;

use crate::service::Streams;
use crate::stream::Stream;

/// What ALL means. Source: facts/aws-apis.md 2.10.
const ALL: [MetricsName; 7] = [
    MetricsName::IncomingBytes,
    MetricsName::IncomingRecords,
    MetricsName::OutgoingBytes,
    MetricsName::OutgoingRecords,
    MetricsName::WriteProvisionedThroughputExceeded,
    MetricsName::ReadProvisionedThroughputExceeded,
    MetricsName::IteratorAgeMilliseconds,
];

pub(crate) async fn run(
    streams: &Streams,
    input: EnableEnhancedMonitoringInput,
) -> Result<EnhancedMonitoringOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("EnableEnhancedMonitoring", &stream)?;
    let named = expand(&input.shard_level_metrics);
    switch(streams, &stream, |metric, is_on| is_on || named.contains(&metric)).await
}

/// Metrics by name, ALL spelt out.
pub(super) fn expand(named: &[MetricsName]) -> Vec<MetricsName> {
    if named.contains(&MetricsName::All) { ALL.to_vec() } else { named.to_vec() }
}

/// Switches the metrics of a stream: `is_on_then` says of each whether it is on afterwards.
pub(super) async fn switch(
    streams: &Streams,
    stream: &Stream,
    is_on_then: impl Fn(MetricsName, bool) -> bool,
) -> Result<EnhancedMonitoringOutput, Failure> {
    let mut changing = streams.lock_active(stream).await?;
    let stream = changing.stream.clone();
    let current = stream.metrics.clone();
    let desired: Vec<MetricsName> =
        ALL.into_iter().filter(|metric| is_on_then(*metric, current.contains(metric))).collect();
    let next = Stream { metrics: desired.clone(), change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.carry_on(changing).await;
    Ok(EnhancedMonitoringOutput {
        current_shard_level_metrics: Some(current),
        desired_shard_level_metrics: Some(desired),
        stream_arn: Some(streams.stream_arn(&stream).to_string()),
        stream_name: Some(stream.name.to_string()),
    })
}
