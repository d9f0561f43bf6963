//! ListShards: every filter, in pages by token.
//!
//! AWS refuses a token together with the members of the first call. botocore's paginator (and so the AWS CLI) sends
//! both, and so fails from page two on; here they are accepted as long as they say what the token says
//! (`docs/decisions/0010-list-shards-takes-what-a-token-says.md`).

use std::sync::Arc;

use thalweg_model::kinesis::{ListShardsInput, ListShardsOutput, ShardFilter, ShardFilterType};
use thalweg_shape::Failure;
use thalweg_types::limits::LIST_SHARDS_PAGE;
use thalweg_types::{ShardIndex, StreamId, Timestamp};

use crate::errors;
use crate::page_token::{Filter, Position};
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;
use crate::view;

/// What to list.
struct Query {
    stream: Arc<Stream>,
    filter: Filter,
    /// Of the first call.
    start: Option<ShardIndex>,
    /// Of this page.
    after: Option<ShardIndex>,
}

pub(crate) async fn run(streams: &Streams, input: ListShardsInput) -> Result<ListShardsOutput, Failure> {
    let query = match &input.next_token {
        None => first_page(streams, &input)?,
        Some(token) => next_page(streams, &input, token)?,
    };
    let stream = &query.stream;
    let account = &streams.settings.account;
    streams.admit_for("ListShards", stream)?;
    if input.stream_creation_timestamp.is_some_and(|at| !view::was_created_at(stream, at)) {
        return Err(errors::no_stream_created_then(stream.name.as_str(), account));
    }
    streams.check_listable(stream)?;
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_SHARDS_PAGE);
    let selected = select(stream, query.filter, streams.expiry_now());
    let mut rest = selected.into_iter().filter(|shard| Some(shard.index) > query.after);
    let page: Vec<&Shard> = rest.by_ref().take(limit).collect();
    let last = page.last().filter(|_| rest.next().is_some());
    Ok(ListShardsOutput {
        next_token: last.map(|last| {
            streams.token(Position::Shards {
                stream: stream.id.0,
                name: stream.name.to_string(),
                after: last.index.0,
                filter: query.filter,
                start: query.start.map(|index| index.0),
            })
        }),
        shards: Some(page.into_iter().map(view::shard).collect()),
    })
}

fn first_page(streams: &Streams, input: &ListShardsInput) -> Result<Query, Failure> {
    let nothing_named =
        input.stream_name.is_none() && input.stream_arn.is_none() && input.stream_id.is_none();
    if nothing_named {
        return Err(errors::neither_token_nor_stream());
    }
    let stream = resolve(streams, input)?;
    let shard_index = |id: &str| {
        let not_found = || errors::could_not_find_shard(id, stream.name.as_str(), &streams.settings.account);
        ShardIndex::parse(id).ok_or_else(not_found)
    };
    let filter = match &input.shard_filter {
        None => Filter::default(),
        Some(filter) => check_filter(filter, shard_index)?,
    };
    let start = match input.exclusive_start_shard_id.as_deref() {
        None => None,
        Some(id) => Some(shard_index(id)?),
    };
    Ok(Query { stream, filter, start, after: start })
}

/// A call with a token: whatever else it says must be what the token says.
fn next_page(streams: &Streams, input: &ListShardsInput, token: &str) -> Result<Query, Failure> {
    let Some(Position::Shards { stream: id, name, after, filter, start }) = streams.position(token)? else {
        return Err(match named(input) {
            Some(member) => errors::together_with_token(member),
            None => errors::invalid_token(),
        });
    };
    if let Some(member) = named(input) {
        let agrees = resolve(streams, input).is_ok_and(|stream| stream.id.0 == id);
        if !agrees {
            return Err(errors::together_with_token(member));
        }
    }
    let shard_index = |id: &str| ShardIndex::parse(id).ok_or_else(errors::invalid_token);
    if let Some(given) = &input.shard_filter
        && check_filter(given, shard_index) != Ok(filter)
    {
        return Err(errors::together_with_token("ShardFilter"));
    }
    let start = start.map(ShardIndex);
    if let Some(given) = &input.exclusive_start_shard_id
        && ShardIndex::parse(given) != start
    {
        return Err(errors::together_with_token("ExclusiveStartShardId"));
    }
    // The stream may have been deleted since, and another made in its name.
    let stream = streams.stream(StreamId(id));
    let stream = stream.ok_or_else(|| errors::stream_not_found(&name, &streams.settings.account))?;
    Ok(Query { stream, filter, start, after: Some(ShardIndex(after)) })
}

/// Which member of a request names the stream.
fn named(input: &ListShardsInput) -> Option<&'static str> {
    if input.stream_name.is_some() {
        Some("StreamName")
    } else if input.stream_arn.is_some() {
        Some("StreamARN")
    } else {
        input.stream_id.as_ref().map(|_| "StreamId")
    }
}

fn resolve(streams: &Streams, input: &ListShardsInput) -> Result<Arc<Stream>, Failure> {
    streams.resolve_stream(
        input.stream_name.as_deref(),
        input.stream_arn.as_deref(),
        input.stream_id.as_deref(),
    )
}

fn check_filter(
    filter: &ShardFilter,
    shard_index: impl Fn(&str) -> Result<ShardIndex, Failure>,
) -> Result<Filter, Failure> {
    let needs = |member| errors::filter_needs(member, filter.type_.as_str());
    let timestamp = || filter.timestamp.map(Timestamp::as_millis).ok_or_else(|| needs("Timestamp"));
    Ok(match filter.type_ {
        ShardFilterType::AfterShardId => {
            let id = filter.shard_id.as_deref().ok_or_else(|| needs("ShardId"))?;
            Filter::AfterShardId(shard_index(id)?.0)
        }
        ShardFilterType::AtTrimHorizon => Filter::AtTrimHorizon,
        ShardFilterType::FromTrimHorizon => Filter::FromTrimHorizon,
        ShardFilterType::AtLatest => Filter::AtLatest,
        ShardFilterType::AtTimestamp => Filter::AtTimestamp(timestamp()?),
        ShardFilterType::FromTimestamp => Filter::FromTimestamp(timestamp()?),
    })
}

/// The listed shards that a filter lets through, by index.
///
/// A shard is open from the moment when its parents closed until the moment when it closes itself: at each moment
/// the open shards cover the hash space. One of whose parents nothing is left counts as open since ever, whatever clock
/// it was opened by: whoever begins with what is given, and goes on to children, meets all that is left.
fn select(stream: &Stream, filter: Filter, now: Timestamp) -> Vec<&Shard> {
    let listed: Vec<&Shard> = stream.listed(now).collect();
    let is_listed = |index| listed.binary_search_by_key(&index, |shard| shard.index).is_ok();
    let is_first = |shard: &Shard| !shard.parents().any(is_listed);
    let closed_by = |shard: &Shard, at: Timestamp| shard.closed.is_some_and(|closed| closed.at <= at);
    let open_at =
        |shard: &Shard, at: Timestamp| (is_first(shard) || shard.opened <= at) && !closed_by(shard, at);
    let passes = |shard: &&Shard| match filter {
        Filter::FromTrimHorizon => true,
        Filter::AtTrimHorizon => is_first(shard),
        Filter::AtLatest => shard.is_open(),
        Filter::AtTimestamp(millis) => open_at(shard, Timestamp::from_millis(millis)),
        Filter::FromTimestamp(millis) => !closed_by(shard, Timestamp::from_millis(millis)),
        Filter::AfterShardId(index) => shard.index.0 > index,
    };
    listed.iter().copied().filter(passes).collect()
}

#[cfg(test)]
mod tests {
    use thalweg_types::{HashKey, HashKeyRange};

    use super::*;
    use crate::shard_map::{Closed, ShardMap};
    use crate::stream::tests::stream;

    const HOUR: i64 = 3_600_000;
    /// When the stream was made.
    const START: i64 = 1_700_000_000_000;

    /// 0 and 1 from the start; 0 was split into 2 and 3 after 10 hours; those were merged into 4 after 20.
    fn history() -> Stream {
        let shard = |index, range: (u128, u128), opened, closed: Option<i64>, parents: &[u32]| Shard {
            index: ShardIndex(index),
            range: HashKeyRange { start: HashKey(range.0), end: HashKey(range.1) },
            created: Timestamp::from_millis(START),
            opened: Timestamp::from_millis(START + opened * HOUR),
            parent: parents.first().copied().map(ShardIndex),
            adjacent_parent: parents.get(1).copied().map(ShardIndex),
            closed: closed.map(|at| Closed {
                at: Timestamp::from_millis(START + at * HOUR),
                end: 0,
                noted: None,
            }),
        };
        let shards = [
            shard(0, (0, 99), 0, Some(10), &[]),
            shard(1, (100, u128::MAX), 0, None, &[]),
            shard(2, (0, 49), 10, Some(20), &[0]),
            shard(3, (50, 99), 10, Some(20), &[0]),
            shard(4, (0, 99), 20, None, &[2, 3]),
        ];
        Stream { shards: ShardMap::new(shards, 5).into(), ..stream("s") }
    }

    #[track_caller]
    fn check(now_hours: i64, filter: Filter, expected: &[u32]) {
        let stream = history();
        let found = select(&stream, filter, Timestamp::from_millis(START + now_hours * HOUR));
        let found: Vec<u32> = found.into_iter().map(|shard| shard.index.0).collect();
        assert_eq!(found, expected, "{filter:?} after {now_hours} hours");
    }

    #[test]
    fn filters_select_by_when_shards_were_open() {
        let hours = |hours: i64| START + hours * HOUR;
        check(21, Filter::FromTrimHorizon, &[0, 1, 2, 3, 4]);
        check(21, Filter::AtTrimHorizon, &[0, 1]);
        check(21, Filter::AtLatest, &[1, 4]);
        check(21, Filter::AtTimestamp(hours(5)), &[0, 1]);
        check(21, Filter::AtTimestamp(hours(10) - 1), &[0, 1]);
        check(21, Filter::AtTimestamp(hours(10)), &[1, 2, 3]);
        check(21, Filter::AtTimestamp(hours(20)), &[1, 4]);
        check(21, Filter::AtTimestamp(hours(30)), &[1, 4]);
        check(21, Filter::AtTimestamp(0), &[0, 1]);
        check(21, Filter::FromTimestamp(hours(0)), &[0, 1, 2, 3, 4]);
        check(21, Filter::FromTimestamp(hours(10)), &[1, 2, 3, 4]);
        check(21, Filter::FromTimestamp(hours(20)), &[1, 4]);
        check(21, Filter::AfterShardId(2), &[3, 4]);
        check(21, Filter::AfterShardId(9), &[]);
    }

    #[test]
    fn expired_shards_are_in_no_listing() {
        // 24 hours of retention: at 34, what arrived in the first ten hours is gone.
        check(33, Filter::FromTrimHorizon, &[0, 1, 2, 3, 4]);
        check(34, Filter::FromTrimHorizon, &[1, 2, 3, 4]);
        check(34, Filter::AtTrimHorizon, &[1, 2, 3]);
        check(34, Filter::AtTimestamp(START), &[1, 2, 3]);
        check(44, Filter::FromTrimHorizon, &[1, 4]);
        check(44, Filter::AtTrimHorizon, &[1, 4]);
        check(44, Filter::FromTimestamp(START), &[1, 4]);
    }

    /// Retention has grown since 0 expired, so that times before it opened are within the period again.
    #[test]
    fn at_the_oldest_moment_open_shards_cover_the_hash_space() {
        let stream = history();
        let kept = stream.shards.all().iter().filter(|shard| shard.index.0 > 0).copied();
        let stream = Stream { shards: ShardMap::new(kept, 5).into(), retention_hours: 48, ..stream };
        for filter in [Filter::AtTrimHorizon, Filter::AtTimestamp(START)] {
            let found = select(&stream, filter, Timestamp::from_millis(START + 40 * HOUR));
            let found: Vec<u32> = found.into_iter().map(|shard| shard.index.0).collect();
            assert_eq!(found, [1, 2, 3], "{filter:?}");
        }
    }
}
