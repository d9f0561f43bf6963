//! IncreaseStreamRetentionPeriod. What the old period has hidden is trimmed before the new one is committed: nobody sees
//! it come back. So are closed shards that it has hidden, and the same commit forgets them. A change that is refused then
//! has removed only what was hidden. Where nobody knows whether the new period is durable, nothing more is hidden or
//! removed until the next start, which knows.

use thalweg_catalog::CommitError;
use thalweg_model::kinesis::IncreaseStreamRetentionPeriodInput;
use thalweg_shape::Failure;
use thalweg_types::{Offset, ShardKey};

use super::decrease_stream_retention_period::{
    Clocks, Unreadable, check_bounds, check_known, not_changed, trims,
};
use crate::errors;
use crate::service::Streams;
use crate::stream::{Stream, hours as hours_long};
use crate::sweep::Remainder;
use crate::transition::Changing;

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
    lengthen(streams, changing, hours).await
}

/// Keeps records for `hours`, more than before: those that the period before still covers.
async fn lengthen(streams: &Streams, mut changing: Changing, hours: u32) -> Result<(), Failure> {
    let stream = changing.stream.clone();
    check_known(&stream)?;
    if hours == stream.retention_hours {
        return Ok(());
    }
    // What the longer period covers is not removed while this goes on: the journal hears of it first.
    streams.journal.set_retention(stream.id, hours_long(hours));
    let clocks = Clocks::read(streams);
    // What grew too old by the old period while this goes on would be back by the new one.
    changing.freeze_horizon(clocks.believed);
    let undo = |changing: &mut Changing| {
        streams.journal.set_retention(stream.id, stream.retention());
        changing.thaw_horizon();
    };
    let Remainder { trims, writes, shards } = stream.without_expired(stream.horizon(clocks.believed));
    let kept = Stream { shards, ..(*stream).clone() };
    if let Err(failure) = trim(streams, &kept, trims, clocks).await {
        undo(&mut changing);
        return Err(failure);
    }
    let next = Stream { retention_hours: hours, change: streams.begin_settling(), ..kept };
    match streams.commit(&mut changing, next, writes).await {
        Ok(()) => {
            streams.carry_on(changing).await;
            Ok(())
        }
        // If it is durable, the next start shows what would be hidden from now on: the horizon stays frozen.
        Err(error @ CommitError::OutcomeUnknown(_)) => Err(not_changed(&stream, &error.into())),
        Err(error) => {
            undo(&mut changing);
            Err(not_changed(&stream, &error.into()))
        }
    }
}

/// Trims what the old period hides: `of_expired` shards, which a clock in doubt is no reason to forget, and of those that
/// are kept.
async fn trim(
    streams: &Streams,
    stream: &Stream,
    of_expired: Vec<(ShardKey, Offset)>,
    clocks: Clocks,
) -> Result<(), Failure> {
    if clocks.doubted && !of_expired.is_empty() {
        return Err(errors::clock_in_doubt(stream.name.as_str(), streams.now()));
    }
    let mut trims = trims(streams, stream, stream.retention_hours, clocks, Unreadable::Refuses).await?;
    trims.extend(of_expired);
    if trims.is_empty() {
        return Ok(());
    }
    let trimmed = streams.journal.trim(&trims).await;
    trimmed.map_err(|error| not_changed(stream, &error.into()))
}
