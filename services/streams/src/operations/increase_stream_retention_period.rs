//! IncreaseStreamRetentionPeriod.

use thalweg_model::kinesis::IncreaseStreamRetentionPeriodInput;
use thalweg_shape::Failure;

use super::decrease_stream_retention_period::{change_retention, check_bounds};
use crate::errors;
use crate::service::Streams;

pub(crate) async fn run(streams: &Streams, input: IncreaseStreamRetentionPeriodInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("IncreaseStreamRetentionPeriod", &stream)?;
    let requested = input.retention_period_hours;
    let hours = check_bounds(requested)?;
    let changing = streams.lock_active(&stream).await?;
    let existing = changing.stream.retention_hours;
    if hours < existing {
        return Err(errors::retention_not_shorter(requested, stream.name.as_str(), existing));
    }
    change_retention(streams, changing, hours).await
}
