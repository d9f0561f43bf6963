//! DisableEnhancedMonitoring.

use thalweg_model::kinesis::{DisableEnhancedMonitoringInput, EnhancedMonitoringOutput};
use thalweg_shape::Failure;

use super::enable_enhanced_monitoring::{expand, switch};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    input: DisableEnhancedMonitoringInput,
) -> Result<EnhancedMonitoringOutput, Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("DisableEnhancedMonitoring", &stream)?;
    let named = expand(&input.shard_level_metrics);
    switch(streams, &stream, |metric, is_on| is_on && !named.contains(&metric)).await
}
