//! Listings in pages: streams, shards, and what tokens may be combined with.

use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_journal::ReadError;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_system::Clock;
use thalweg_types::Timestamp;

use crate::world::*;

fn ids(output: &ListShardsOutput) -> Vec<&str> {
    let shards = output.shards.as_ref().expect("always there");
    shards.iter().map(|shard| shard.shard_id.trim_start_matches("shardId-00000000000")).collect()
}

async fn list(world: &World, input: ListShardsInput) -> Result<ListShardsOutput, Failure> {
    world.streams.list_shards(&call(), input).await
}

fn of(name: &str) -> ListShardsInput {
    ListShardsInput { stream_name: Some(name.to_owned()), ..ListShardsInput::default() }
}

#[tokio::test]
async fn streams_are_listed_by_name_in_pages() {
    let world = World::new().await;
    for name in ["c", "a", "e", "b", "d"] {
        world.create(name, 1).await;
    }
    let list = async |input| world.streams.list_streams(&call(), input).await;
    let all = list(ListStreamsInput::default()).await.expect("streams can be listed");
    assert_eq!(all.stream_names, ["a", "b", "c", "d", "e"]);
    assert_eq!((all.has_more_streams, all.next_token), (false, None));
    let summary = &all.stream_summaries.expect("always there")[2];
    assert_eq!(
        *summary,
        StreamSummary {
            stream_arn: arn("c"),
            stream_creation_timestamp: Some(Timestamp::from_seconds(START)),
            stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::Provisioned }),
            stream_name: "c".to_owned(),
            stream_status: StreamStatus::Active,
        }
    );
    let first = ListStreamsInput { limit: Some(2), ..ListStreamsInput::default() };
    let first = list(first).await.expect("streams can be listed");
    assert_eq!((first.stream_names, first.has_more_streams), (vec!["a".to_owned(), "b".to_owned()], true));
    // By token, and by token together with the name that the first call began after.
    for start in [None, Some("a".to_owned())] {
        let next = ListStreamsInput {
            limit: Some(3),
            next_token: first.next_token.clone(),
            exclusive_start_stream_name: start,
        };
        let next = list(next).await.expect("a page follows");
        assert_eq!((next.stream_names.join(""), next.next_token), ("cde".to_owned(), None));
    }
    let after = ListStreamsInput {
        exclusive_start_stream_name: Some("bb".to_owned()),
        ..ListStreamsInput::default()
    };
    assert_eq!(list(after).await.expect("streams can be listed").stream_names, ["c", "d", "e"]);
    let bad = ListStreamsInput { next_token: Some("nonsense".to_owned()), ..ListStreamsInput::default() };
    assert_failure(list(bad).await, "InvalidArgumentException", "Invalid NextToken.");
    world.clock.advance(Duration::from_millis(300_001));
    let late = ListStreamsInput { next_token: first.next_token, ..ListStreamsInput::default() };
    assert_eq!(list(late).await.expect_err("too late").code, "ExpiredNextTokenException");
}

#[tokio::test]
async fn shards_are_described_a_hundred_at_a_time() {
    let world = World::new().await;
    world.create("s", 250).await;
    let mut after = None;
    let mut sizes = Vec::new();
    loop {
        let input = DescribeStreamInput {
            stream_name: Some("s".to_owned()),
            limit: Some(10_000),
            exclusive_start_shard_id: after,
            ..DescribeStreamInput::default()
        };
        let page = world.streams.describe_stream(&call(), input).await.expect("it exists").stream_description;
        sizes.push(page.shards.len());
        after = page.shards.last().map(|shard| shard.shard_id.clone());
        if !page.has_more_shards {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
}

#[tokio::test]
async fn tokens_stand_alone_or_with_what_they_say() {
    let world = World::new().await;
    world.create("s", 5).await;
    world.create("t", 5).await;
    let first = ListShardsInput { max_results: Some(2), ..of("s") };
    let first = list(&world, first).await.expect("shards can be listed");
    assert_eq!(ids(&first), ["0", "1"]);
    let token = first.next_token.expect("three are left");
    let with_token = |input: ListShardsInput| ListShardsInput {
        next_token: Some(token.clone()),
        max_results: Some(2),
        ..input
    };
    let filter = |type_, shard_id: Option<&str>| ShardFilter {
        type_,
        shard_id: shard_id.map(str::to_owned),
        timestamp: None,
    };
    // Alone; and with what botocore's paginator repeats.
    let agreeing = [
        ListShardsInput::default(),
        of("s"),
        ListShardsInput { stream_arn: Some(arn("s")), ..ListShardsInput::default() },
        ListShardsInput {
            shard_filter: Some(filter(ShardFilterType::FromTrimHorizon, None)),
            stream_creation_timestamp: Some(Timestamp::from_seconds(START)),
            ..of("s")
        },
    ];
    for input in agreeing {
        let next = list(&world, with_token(input.clone())).await;
        assert_eq!(next.as_ref().map(ids), Ok(vec!["2", "3"]), "{input:?}");
    }
    let differing = [
        (of("t"), "StreamName"),
        (of("unknown"), "StreamName"),
        (ListShardsInput { stream_arn: Some(arn("t")), ..ListShardsInput::default() }, "StreamARN"),
        (
            ListShardsInput {
                shard_filter: Some(filter(ShardFilterType::AtLatest, None)),
                ..ListShardsInput::default()
            },
            "ShardFilter",
        ),
        (
            ListShardsInput { exclusive_start_shard_id: Some("shardId-0".to_owned()), ..of("s") },
            "ExclusiveStartShardId",
        ),
    ];
    for (input, member) in differing {
        let text = format!("NextToken and {member} cannot be provided together.");
        assert_failure(list(&world, with_token(input)).await, "InvalidArgumentException", &text);
    }
    let unknown_token = |input| ListShardsInput { next_token: Some("a".to_owned()), ..input };
    assert_failure(
        list(&world, unknown_token(of("s"))).await,
        "InvalidArgumentException",
        "NextToken and StreamName cannot be provided together.",
    );
    assert_failure(
        list(&world, unknown_token(ListShardsInput::default())).await,
        "InvalidArgumentException",
        "Invalid NextToken.",
    );
    assert_failure(
        list(&world, ListShardsInput::default()).await,
        "InvalidArgumentException",
        "Either NextToken or StreamName should be provided.",
    );
    let world = world.restart().await;
    let next = list(&world, with_token(ListShardsInput::default())).await;
    assert_eq!(next.as_ref().map(ids), Ok(vec!["2", "3"]), "tokens outlive a restart");
    world.delete("s").await.expect("it can be deleted");
    world.create("s", 5).await;
    assert_failure(
        list(&world, with_token(ListShardsInput::default())).await,
        "ResourceNotFoundException",
        "Stream s under account 123456789012 not found.",
    );
    world.clock.advance(Duration::from_millis(300_001));
    let failure = list(&world, with_token(ListShardsInput::default())).await.expect_err("too late");
    assert_eq!(failure.code, "ExpiredNextTokenException");
}

#[tokio::test]
async fn a_filter_goes_on_through_its_pages() {
    let world = World::new().await;
    world.create("s", 2).await;
    world.clock.advance(hours(1));
    world.split("s", "shardId-0", "9").await.expect("it can be split");
    let filter = ShardFilter { type_: ShardFilterType::AtLatest, shard_id: None, timestamp: None };
    let input = ListShardsInput { max_results: Some(1), shard_filter: Some(filter), ..of("s") };
    let mut output = list(&world, input).await.expect("shards can be listed");
    let mut found: Vec<String> = ids(&output).into_iter().map(str::to_owned).collect();
    while let Some(token) = output.next_token {
        let input =
            ListShardsInput { max_results: Some(1), next_token: Some(token), ..ListShardsInput::default() };
        output = list(&world, input).await.expect("a page follows");
        found.extend(ids(&output).into_iter().map(str::to_owned));
    }
    assert_eq!(found, ["1", "2", "3"]);
}

#[tokio::test]
async fn filters_need_what_they_compare_with() {
    let world = World::new().await;
    world.create("s", 2).await;
    for (type_, member) in [
        (ShardFilterType::AfterShardId, "ShardId"),
        (ShardFilterType::AtTimestamp, "Timestamp"),
        (ShardFilterType::FromTimestamp, "Timestamp"),
    ] {
        let filter = ShardFilter { type_, shard_id: None, timestamp: None };
        let text = format!("{member} must be provided in a ShardFilter of type {}.", type_.as_str());
        let input = ListShardsInput { shard_filter: Some(filter), ..of("s") };
        assert_failure(list(&world, input).await, "InvalidArgumentException", &text);
    }
    let after = ShardFilter {
        type_: ShardFilterType::AfterShardId,
        shard_id: Some("shardId-000000000000".to_owned()),
        timestamp: None,
    };
    let output = list(&world, ListShardsInput { shard_filter: Some(after), ..of("s") }).await;
    assert_eq!(output.as_ref().map(ids), Ok(vec!["1"]));
    let input = ListShardsInput { stream_creation_timestamp: Some(Timestamp::from_seconds(5)), ..of("s") };
    assert_eq!(list(&world, input).await.expect_err("another one").code, "ResourceNotFoundException");
    let input = ListShardsInput {
        stream_creation_timestamp: Some(Timestamp::from_millis(START * 1000 + 999)),
        ..of("s")
    };
    assert!(list(&world, input).await.is_ok(), "to the second");
}

#[tokio::test]
async fn closed_shards_are_listed_until_their_records_are_gone() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.append(1, 0).await;
    world.clock.advance(hours(1));
    world.split("s", "shardId-0", "9").await.expect("it can be split");
    world.clock.advance(hours(24) - Duration::from_millis(1));
    assert_eq!(world.shards("s").await.len(), 3);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.shards("s").await.len(), 2, "hidden at once");
    world.streams.sweep().await;
    let rows = world.catalog.scan(b"streams/shard/", None, 10).await.expect("the catalog answers");
    assert_eq!(rows.len(), 2, "and forgotten by the sweep");
    let gone = Err(ReadError::UnknownShard(key(1, 0)));
    assert_eq!(world.journal.tail(key(1, 0)), gone, "so does the journal");
    let world = world.restart().await;
    let shards = world.shards("s").await;
    assert_eq!(shards[0].parent_shard_id.as_deref(), Some("shardId-000000000000"), "children remember");
    world.split("s", "shardId-1", "5").await.expect("it can be split");
    let last = world.shards("s").await.pop().expect("four are listed");
    assert_eq!(last.shard_id, "shardId-000000000004", "indexes are not used twice");
}

/// Whether the sweep came to them or not: it does not in the first hour after a start.
#[tokio::test]
async fn shards_that_expired_are_not_listed_again_when_retention_grows() {
    for is_swept in [false, true] {
        let mut world = World::new().await;
        world.create("s", 2).await;
        world.append(1, 0).await;
        world.clock.advance(hours(1));
        world.split("s", "shardId-0", "9").await.expect("it can be split");
        if is_swept {
            world.clock.advance(hours(25));
            world.streams.sweep().await;
        } else {
            world.streams.shutdown().await;
            world.clock.advance(hours(25));
            world = world.restart().await;
        }
        let listed = async |type_| {
            let filter = ShardFilter { type_, shard_id: None, timestamp: None };
            let input = ListShardsInput { shard_filter: Some(filter), ..of("s") };
            ids(&list(&world, input).await.expect("shards can be listed")).join(" ")
        };
        let both = async || {
            (listed(ShardFilterType::FromTrimHorizon).await, listed(ShardFilterType::AtTrimHorizon).await)
        };
        let expected = ("1 2 3".to_owned(), "1 2 3".to_owned());
        assert_eq!(both().await, expected, "before, swept: {is_swept}");
        let input = IncreaseStreamRetentionPeriodInput {
            stream_name: Some("s".to_owned()),
            retention_period_hours: 48,
            ..IncreaseStreamRetentionPeriodInput::default()
        };
        world.streams.increase_stream_retention_period(&call(), input).await.expect("longer");
        assert_eq!(both().await, expected, "after, swept: {is_swept}");
        let world = world.restart().await;
        world.clock.advance(hours(2));
        world.streams.sweep().await;
        let gone = Err(ReadError::UnknownShard(key(1, 0)));
        assert_eq!(world.journal.tail(key(1, 0)), gone, "the journal forgets it, too");
    }
}

/// A record from a clock that was ahead has closed its shard, and the children, far in the future.
#[tokio::test]
async fn a_shard_that_closed_ahead_of_the_clock_goes_when_its_records_are_gone() {
    let world = World::new().await;
    world.create("s", 1).await;
    let wall = world.clock.wall();
    world.clock.set_wall(wall.plus(hours(3650 * 24)));
    world.append(1, 0).await;
    world.clock.set_wall(wall);
    world.clock.advance(hours(2));
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    // This one has no records at all.
    world.split("s", "shardId-1", "500").await.expect("it can be split");
    let five_minutes = Duration::from_secs(300);
    world.clock.advance(five_minutes);
    world.streams.sweep().await;
    world.clock.advance(hours(24) - five_minutes);
    // Records come and go.
    world.append(1, 2).await;
    world.streams.sweep().await;
    assert_eq!(world.shards("s").await.len(), 5, "as long as the retention period");
    let world = world.restart().await;
    world.clock.advance(hours(2));
    world.append(1, 2).await;
    world.streams.sweep().await;
    assert_eq!(at_trim_horizon(&world).await, "2 3 4");
    assert_eq!(world.shards("s").await.len(), 3);
    let left: Vec<u32> = world.journal.shards().iter().map(|(key, _)| key.shard.0).collect();
    assert_eq!(left, [2, 3, 4], "the journal forgets them, too");
    world.split("s", "shardId-2", "2000").await.expect("it can be split");
    assert_eq!(world.shards("s").await.len(), 5, "what closed just now is listed");
    assert_eq!(at_trim_horizon(&world).await, "2 3 4", "and has records");
}

/// Of two parents one is empty. The child, which covers the hash space with them, is behind both.
#[tokio::test]
async fn parents_that_closed_ahead_of_the_clock_go_together() {
    let world = World::new().await;
    world.create("s", 2).await;
    let wall = world.clock.wall();
    world.clock.set_wall(wall.plus(hours(3650 * 24)));
    world.append(1, 1).await;
    world.clock.set_wall(wall);
    world.clock.advance(hours(2));
    world.merge("s", "shardId-0", "shardId-1").await.expect("they can be merged");
    world.streams.sweep().await;
    world.clock.advance(hours(26));
    world.streams.sweep().await;
    assert_eq!(at_trim_horizon(&world).await, "0 1");
    // Records come and go.
    world.append(1, 2).await;
    world.streams.sweep().await;
    assert_eq!(at_trim_horizon(&world).await, "2");
}

/// What a filter gives of stream `s`.
async fn filtered(world: &World, type_: ShardFilterType, timestamp: Option<Timestamp>) -> String {
    let filter = ShardFilter { type_, shard_id: None, timestamp };
    let input = ListShardsInput { shard_filter: Some(filter), ..of("s") };
    ids(&list(world, input).await.expect("shards can be listed")).join(" ")
}

async fn at_trim_horizon(world: &World) -> String {
    filtered(world, ShardFilterType::AtTrimHorizon, None).await
}

#[tokio::test]
async fn a_shard_is_open_at_the_moment_of_its_last_record() {
    let world = World::new().await;
    world.create("s", 1).await;
    let arrival = world.clock.wall();
    world.append(1, 0).await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    assert_eq!(filtered(&world, ShardFilterType::AtTimestamp, Some(arrival)).await, "0");
}

/// The story: a stream that was made while the clock was an hour ahead and then split began, for who asks where to begin,
/// with the children: what its first shard held was passed over.
#[tokio::test]
async fn where_to_begin_does_not_depend_on_the_clock_by_which_a_shard_was_opened() {
    let world = World::new().await;
    let wall = world.clock.wall();
    world.clock.set_wall(wall.plus(hours(1)));
    world.create("s", 1).await;
    world.clock.set_wall(wall);
    world.append(1, 0).await;
    world.clock.advance(Duration::from_secs(600));
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    assert_eq!(at_trim_horizon(&world).await, "0");
}

#[tokio::test]
async fn tags_are_listed_by_key_in_pages() {
    let world = World::new().await;
    world.create("s", 1).await;
    for key in ["b", "a", "c"] {
        world.tag("s", key, "v").await.expect("tags can be added");
    }
    let list = async |limit, after: Option<&str>| {
        let input = ListTagsForStreamInput {
            stream_name: Some("s".to_owned()),
            limit,
            exclusive_start_tag_key: after.map(str::to_owned),
            ..ListTagsForStreamInput::default()
        };
        let output = world.streams.list_tags_for_stream(&call(), input).await.expect("it exists");
        let keys: Vec<String> = output.tags.into_iter().map(|tag| tag.key).collect();
        (keys.join(""), output.has_more_tags)
    };
    assert_eq!(list(None, None).await, ("abc".to_owned(), false));
    assert_eq!(list(Some(2), None).await, ("ab".to_owned(), true));
    assert_eq!(list(Some(2), Some("b")).await, ("c".to_owned(), false));
}
