//! DecreaseStreamRetentionPeriod, and what both changes of retention share: what is beyond the shorter of the old and
//! the new period is trimmed for good, so that nothing ever comes back.
//!
//! A shorter period is committed first: a change that is refused takes nothing. From then on it hides what it does not
//! cover, the journal removes that on its own if the trim behind the commit never happens, and a longer period trims
//! what this one hid before it is committed.

use std::sync::Arc;

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
    shorten(streams, changing, hours).await
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

/// Whether the period is known: after an increase whose outcome is not, the catalog takes no more commits, and the journal
/// must not trim by a period that may be over.
pub(super) fn check_known(stream: &Stream) -> Result<(), Failure> {
    if stream.frozen_horizon.is_some() {
        tracing::error!(stream = %stream.name, "what its retention is will be known after the next start");
        return Err(errors::internal_failure());
    }
    Ok(())
}

/// Keeps records for `hours` from now on, fewer than before. Once the catalog has it, it has happened: a trim that fails
/// then, or that is not known, leaves only the removal to the journal.
async fn shorten(streams: &Streams, mut changing: Changing, hours: u32) -> Result<(), Failure> {
    let stream = Arc::clone(&changing.stream);
    check_known(&stream)?;
    if hours == stream.retention_hours {
        return Ok(());
    }
    let trims = trims(streams, &stream, hours, Clocks::read(streams), Unreadable::IsLeft).await?;
    let next = Stream { retention_hours: hours, change: streams.begin_settling(), ..(*stream).clone() };
    streams.accept(&mut changing, next, Vec::new()).await?;
    streams.journal.set_retention(stream.id, hours_long(hours));
    if !trims.is_empty()
        && let Err(error) = streams.journal.trim(&trims).await
    {
        tracing::warn!(stream = %stream.name, %error, "what the shorter retention hides is not removed yet");
    }
    streams.carry_on(changing).await;
    Ok(())
}

/// What a change of retention knows of the time.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    /// The time to measure ages by.
    pub(super) believed: Timestamp,
    /// Whether the wall clock is in doubt.
    pub(super) doubted: bool,
}

impl Clocks {
    pub(super) fn read(streams: &Streams) -> Clocks {
        // In this order: a clock that jumps in between is later than `believed`.
        let believed = streams.expiry_now();
        Clocks { believed, doubted: streams.journal.doubts_clock() }
    }
}

/// What becomes of a shard of which the journal cannot tell where it must be trimmed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unreadable {
    /// It stays as it is.
    IsLeft,
    /// The change is refused.
    Refuses,
}

/// Where shards must be trimmed so that nothing is left that a period of `hours` does not cover.
///
/// # Errors
/// InternalFailure, and LimitExceeded for a change that would trim while the clock is in doubt.
pub(super) async fn trims(
    streams: &Streams,
    stream: &Stream,
    hours: u32,
    clocks: Clocks,
    unreadable: Unreadable,
) -> Result<Vec<(ShardKey, Offset)>, Failure> {
    // A clock in doubt is ahead: where even by it nothing is too old, the change harms nothing. That must be known.
    let (now, unreadable) =
        if clocks.doubted { (streams.now(), Unreadable::Refuses) } else { (clocks.believed, unreadable) };
    let trims = trims_before(streams, stream, now.minus(hours_long(hours)), unreadable).await;
    let trims = trims.map_err(|error| not_changed(stream, &error.into()))?;
    if clocks.doubted && !trims.is_empty() {
        return Err(errors::clock_in_doubt(stream.name.as_str(), now));
    }
    Ok(trims)
}

/// The answer where the journal stands in the way of a change.
pub(super) fn not_changed(stream: &Stream, error: &StepError) -> Failure {
    tracing::error!(stream = %stream.name, %error, "retention was not changed");
    errors::internal_failure()
}

/// Where shards must be trimmed so that nothing is left that arrived before `cutoff`.
async fn trims_before(
    streams: &Streams,
    stream: &Stream,
    cutoff: Timestamp,
    unreadable: Unreadable,
) -> Result<Vec<(ShardKey, Offset)>, ReadError> {
    let mut trims = Vec::new();
    for shard in stream.shards.all() {
        let shard = stream.key(shard.index);
        let kept = match streams.journal.find_time(shard, cutoff).await {
            Ok(kept) => kept,
            Err(error) if unreadable == Unreadable::IsLeft => {
                let name = &stream.name;
                tracing::error!(stream = %name, %shard, %error, "what a shorter retention hides is not removed yet");
                continue;
            }
            Err(error) => return Err(error),
        };
        if kept > streams.journal.tail(shard)?.trimmed {
            trims.push((shard, kept));
        }
    }
    Ok(trims)
}
