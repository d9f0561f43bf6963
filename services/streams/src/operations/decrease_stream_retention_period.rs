//! DecreaseStreamRetentionPeriod, and what both changes of retention share: what is beyond the shorter of the old and
//! the new period is trimmed for good, so that nothing ever comes back.

use thalweg_journal::ReadError;
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
/// gone, whatever happens. While the clock is in doubt, a change that would trim is refused.
pub(super) async fn change_retention(
    streams: &Streams,
    mut changing: Changing,
    hours: u32,
) -> Result<(), Failure> {
    let stream = changing.stream.clone();
    if hours == stream.retention_hours {
        return Ok(());
    }
    // What the longer period covers is not removed while this goes on: the journal hears of it first.
    let longer = hours.max(stream.retention_hours);
    streams.journal.set_retention(stream.id, hours_long(longer));
    // In this order: a clock that jumps in between is later than `believed`.
    let believed = streams.expiry_now();
    let doubted = streams.journal.doubts_clock();
    // What grew too old by the old period while this goes on would be back by a longer one.
    changing.freeze_horizon(believed);
    let outcome = trim_and_change(streams, &mut changing, &stream, hours, believed, doubted).await;
    let held = if outcome.is_ok() { hours } else { stream.retention_hours };
    streams.journal.set_retention(stream.id, hours_long(held));
    if outcome.is_err() {
        changing.thaw_horizon();
        return outcome;
    }
    streams.carry_on(changing).await;
    Ok(())
}

async fn trim_and_change(
    streams: &Streams,
    changing: &mut Changing,
    stream: &Stream,
    hours: u32,
    believed: Timestamp,
    doubted: bool,
) -> Result<(), Failure> {
    // A clock in doubt is ahead: where even by it nothing is too old, the change harms nothing.
    let now = if doubted { streams.now() } else { believed };
    let cutoff = now.minus(hours_long(hours.min(stream.retention_hours)));
    let failed = |error: StepError| {
        tracing::error!(stream = %stream.name, %error, "retention was not changed");
        errors::internal_failure()
    };
    let trims = trims(streams, stream, cutoff).await.map_err(|error| failed(error.into()))?;
    if !trims.is_empty() {
        if doubted {
            return Err(errors::clock_in_doubt(stream.name.as_str(), now));
        }
        streams.journal.trim(&trims).await.map_err(|error| failed(error.into()))?;
    }
    let next = Stream { retention_hours: hours, change: streams.begin_settling(), ..stream.clone() };
    streams.accept(changing, next, Vec::new()).await
}

/// Where shards must be trimmed so that nothing is left that arrived before `cutoff`.
async fn trims(
    streams: &Streams,
    stream: &Stream,
    cutoff: Timestamp,
) -> Result<Vec<(ShardKey, Offset)>, ReadError> {
    let mut trims = Vec::new();
    for shard in stream.shards.all() {
        let shard = stream.key(shard.index);
        let kept = streams.journal.find_time(shard, cutoff).await?;
        if kept > streams.journal.tail(shard)?.trimmed {
            trims.push((shard, kept));
        }
    }
    Ok(trims)
}
