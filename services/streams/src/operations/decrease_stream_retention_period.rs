//! DecreaseStreamRetentionPeriod, and what both changes of retention share: what is beyond the shorter of the old and
//! the new period is trimmed for good, so that nothing ever comes back.

use thalweg_model::kinesis::DecreaseStreamRetentionPeriodInput;
use thalweg_shape::Failure;
use thalweg_types::limits::{RETENTION_HOURS_MAX, RETENTION_HOURS_MIN};
use thalweg_types::{Offset, ShardKey, Timestamp};

use crate::errors;
use crate::service::Streams;
use crate::stream::{Stream, hours as hours_long};
use crate::transition::{Changing, StepError};

pub(crate) async fn run(streams: &Streams, input: DecreaseStreamRetentionPeriodInput) -> Result<(), Failure> {
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    streams.admit_for("DecreaseStreamRetentionPeriod", &stream)?;
    let requested = input.retention_period_hours;
    let hours = check_bounds(requested)?;
    let changing = streams.lock_active(&stream).await?;
    let existing = changing.stream.retention_hours;
    if hours > existing {
        return Err(errors::retention_not_longer(requested, stream.name.as_str(), existing));
    }
    change_retention(streams, changing, hours).await
}

/// A period that some stream may have.
pub(super) fn check_bounds(requested: i32) -> Result<u32, Failure> {
    match u32::try_from(requested) {
        Ok(hours) if hours > RETENTION_HOURS_MAX => {
            Err(errors::retention_too_long(requested, RETENTION_HOURS_MAX))
        }
        Ok(hours) if hours >= RETENTION_HOURS_MIN => Ok(hours),
        _ => Err(errors::retention_too_short(requested)),
    }
}

/// Trims, then keeps records for `hours`. The trim comes first: between the two, what is gone by either period is
/// gone, whatever happens.
pub(super) async fn change_retention(
    streams: &Streams,
    mut changing: Changing,
    hours: u32,
) -> Result<(), Failure> {
    let stream = changing.stream.clone();
    if hours == stream.retention_hours {
        return Ok(());
    }
    let cutoff = streams.now().minus(hours_long(hours.min(stream.retention_hours)));
    if let Err(error) = trim(streams, &stream, cutoff).await {
        tracing::error!(stream = %stream.name, %error, "retention was not changed");
        return Err(errors::internal_failure());
    }
    let next = Stream { retention_hours: hours, change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.journal.set_retention(stream.id, hours_long(hours));
    streams.carry_on(changing).await;
    Ok(())
}

async fn trim(streams: &Streams, stream: &Stream, cutoff: Timestamp) -> Result<(), StepError> {
    let mut trims: Vec<(ShardKey, Offset)> = Vec::with_capacity(stream.shards.all().len());
    for shard in stream.shards.all() {
        let shard = stream.key(shard.index);
        trims.push((shard, streams.journal.find_time(shard, cutoff).await?));
    }
    streams.journal.trim(&trims).await?;
    Ok(())
}
