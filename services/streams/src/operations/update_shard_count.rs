//! UpdateShardCount.

use std::time::Duration;

use thalweg_model::kinesis::{UpdateShardCountInput, UpdateShardCountOutput};
use thalweg_shape::Failure;
use thalweg_types::Timestamp;
use thalweg_types::limits::UPDATE_SHARD_COUNT_MAX;

use crate::errors;
use crate::on_demand;
use crate::reshard;
use crate::service::Streams;
use crate::stream::Stream;
use crate::view;

/// Calls in 24 hours, for each stream, under `--limits aws`. Source: facts/aws-apis.md 2.3.
pub(crate) const CALLS_PER_DAY: usize = 10;
/// A rolling day.
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn run(
    streams: &Streams,
    input: UpdateShardCountInput,
) -> Result<UpdateShardCountOutput, Failure> {
    let account = &streams.settings.account;
    let stream = streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )?;
    let mut changing = streams.lock_active(&stream).await?;
    let stream = changing.stream.clone();
    on_demand::refuse(&stream, account)?;
    let open = stream.shards.open_count();
    let target = check_target(open, input.target_shard_count)?;
    let now = streams.now();
    let shard_count_updates = recent(&stream.shard_count_updates, now, CALLS_PER_DAY);
    if streams.keeps_aws_limits() && shard_count_updates.len() >= CALLS_PER_DAY {
        let name = stream.name.as_str();
        return Err(errors::too_many_a_day("UpdateShardCount", CALLS_PER_DAY, name, account));
    }
    if target > open
        && let Some(single) = stream.shards.open().find(|shard| reshard::middle(shard.range).is_none())
    {
        return Err(errors::shard_cannot_be_split(single.index, stream.name.as_str(), account));
    }
    // The limit holds from here on, until the claim is published.
    let locked = streams.account.lock().await;
    streams.check_shard_limit(target.saturating_sub(open))?;
    let next = Stream {
        change: reshard::shard_count_change(open, target)
            .map(|kind| streams.begin(kind))
            .or_else(|| streams.begin_settling()),
        shard_count_updates: with(shard_count_updates, now, CALLS_PER_DAY),
        ..(*stream).clone()
    };
    streams.accept(&mut changing, next, Vec::new()).await?;
    drop(locked);
    streams.carry_on(changing).await;
    Ok(UpdateShardCountOutput {
        current_shard_count: Some(view::count(open)),
        stream_arn: Some(streams.stream_arn(&stream).to_string()),
        stream_name: Some(stream.name.to_string()),
        target_shard_count: Some(view::count(target)),
    })
}

/// At most double, at least half, at most 10,000 (or fewer than there are, where there are more).
fn check_target(open: u32, target: i32) -> Result<u32, Failure> {
    let (wide, open_wide) = (i64::from(target), i64::from(open));
    let limit = UPDATE_SHARD_COUNT_MAX;
    if wide > i64::from(limit) {
        return Err(errors::target_too_high(limit, open, wide));
    }
    if wide > open_wide * 2 {
        return Err(errors::more_than_double(open, wide));
    }
    if wide * 2 < open_wide {
        return Err(errors::less_than_half(open, wide));
    }
    Ok(u32::try_from(target).expect("the model wants at least 1"))
}

/// The calls of the last 24 hours, at most `max` of them.
pub(super) fn recent(calls: &[Timestamp], now: Timestamp, max: usize) -> Vec<Timestamp> {
    let mut recent: Vec<Timestamp> = calls.iter().copied().filter(|at| now.since(*at) < DAY).collect();
    recent.drain(..recent.len().saturating_sub(max));
    recent
}

/// These calls and one now, at most `max` of them.
pub(super) fn with(mut calls: Vec<Timestamp>, now: Timestamp, max: usize) -> Vec<Timestamp> {
    calls.push(now);
    calls.drain(..calls.len().saturating_sub(max));
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(open: u32, target: i32, expected: Result<u32, Failure>) {
        assert_eq!(check_target(open, target), expected, "{open} to {target}");
    }

    #[test]
    fn targets_are_between_half_and_double() {
        check(4, 8, Ok(8));
        check(4, 9, Err(errors::more_than_double(4, 9)));
        check(4, 2, Ok(2));
        check(4, 1, Err(errors::less_than_half(4, 1)));
        check(5, 3, Ok(3));
        check(5, 2, Err(errors::less_than_half(5, 2)));
        check(10, 3, Err(errors::less_than_half(10, 3)));
        check(1, 1, Ok(1));
        check(6000, 10_000, Ok(10_000));
        check(6000, 10_001, Err(errors::target_too_high(10_000, 6000, 10_001)));
        check(12_000, 11_000, Err(errors::target_too_high(10_000, 12_000, 11_000)));
        check(12_000, 9_000, Ok(9_000));
        check(1, i32::MAX, Err(errors::target_too_high(10_000, 1, i64::from(i32::MAX))));
    }

    #[test]
    fn calls_count_for_a_day() {
        let at = |hours: i64| Timestamp::from_seconds(1_700_000_000 + hours * 3600);
        let calls = [at(0), at(1), at(2)];
        for (now, max, expected) in
            [(2, 10, vec![0, 1, 2]), (24, 10, vec![1, 2]), (26, 10, vec![]), (2, 2, vec![1, 2])]
        {
            let expected: Vec<_> = expected.into_iter().map(at).collect();
            assert_eq!(recent(&calls, at(now), max), expected, "after {now} hours");
        }
        assert_eq!(with(vec![at(0), at(1)], at(2), 2), [at(1), at(2)]);
    }
}
