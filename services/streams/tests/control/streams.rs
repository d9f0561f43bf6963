//! Making, showing and removing streams.

use std::collections::BTreeMap;

use thalweg_api::kinesis::Kinesis;
use thalweg_journal::ReadError;
use thalweg_model::kinesis::*;
use thalweg_streams::Settings;
use thalweg_types::Timestamp;

use crate::world::*;

#[tokio::test]
async fn a_new_stream_looks_as_on_aws() {
    let world = World::new().await;
    world.create("orders", 3).await;
    let input =
        DescribeStreamInput { stream_name: Some("orders".to_owned()), ..DescribeStreamInput::default() };
    let described =
        world.streams.describe_stream(&call(), input).await.expect("it exists").stream_description;
    let ranges = [
        ("0", "113427455640312821154458202477256070484"),
        ("113427455640312821154458202477256070485", "226854911280625642308916404954512140969"),
        ("226854911280625642308916404954512140970", "340282366920938463463374607431768211455"),
    ];
    let shards: Vec<_> = described
        .shards
        .iter()
        .map(|shard| {
            assert_eq!(shard.parent_shard_id, None);
            assert_eq!(shard.sequence_number_range.ending_sequence_number, None);
            assert!(shard.sequence_number_range.starting_sequence_number.starts_with("49"));
            (shard.hash_key_range.starting_hash_key.as_str(), shard.hash_key_range.ending_hash_key.as_str())
        })
        .collect();
    assert_eq!(shards, ranges);
    assert_eq!(described.shards[2].shard_id, "shardId-000000000002");
    assert_eq!(
        described,
        StreamDescription {
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: vec![EnhancedMetrics { shard_level_metrics: Some(vec![]) }],
            has_more_shards: false,
            key_id: None,
            retention_period_hours: 24,
            shards: described.shards.clone(),
            stream_arn: arn("orders"),
            stream_creation_timestamp: Timestamp::from_seconds(START),
            stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::Provisioned }),
            stream_name: "orders".to_owned(),
            stream_status: StreamStatus::Active,
        }
    );
    let summary = world.summary("orders").await.expect("it exists");
    assert_eq!(
        summary,
        StreamDescriptionSummary {
            channel_count: Some(0),
            consumer_count: Some(0),
            encryption_type: Some(EncryptionType::None),
            enhanced_monitoring: vec![EnhancedMetrics { shard_level_metrics: Some(vec![]) }],
            key_id: None,
            max_record_size_in_kib: Some(1024),
            open_shard_count: 3,
            queue_count: Some(0),
            record_distribution_strategy: Some(RecordDistributionStrategy::UserPartitionKey),
            retention_period_hours: 24,
            stream_arn: arn("orders"),
            stream_creation_timestamp: Timestamp::from_seconds(START),
            stream_id: None,
            stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::Provisioned }),
            stream_name: "orders".to_owned(),
            stream_status: StreamStatus::Active,
            warm_throughput: None,
        }
    );
    for shard in 0..3 {
        assert!(world.journal.tail(key(1, shard)).is_ok(), "the journal has it");
    }
}

#[tokio::test]
async fn without_count_and_mode_a_stream_is_on_demand_with_four_shards() {
    let world = World::new().await;
    world.create_on_demand("free").await;
    let summary = world.summary("free").await.expect("it exists");
    assert_eq!(summary.stream_mode_details.map(|mode| mode.stream_mode), Some(StreamMode::OnDemand));
    assert_eq!(summary.open_shard_count, 4);
}

#[tokio::test]
async fn everything_given_at_creation_is_kept() {
    let world = World::new().await;
    let input = CreateStreamInput {
        stream_name: "full".to_owned(),
        // Ignored on demand.
        shard_count: Some(9),
        stream_mode_details: Some(StreamModeDetails { stream_mode: StreamMode::OnDemand }),
        max_record_size_in_kib: Some(10_240),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        tags: Some(BTreeMap::from([("team".to_owned(), "blue".to_owned())])),
        warm_throughput_mibps: None,
    };
    world.streams.create_stream(&call(), input).await.expect("it is created");
    let world = world.restart().await;
    let summary = world.summary("full").await.expect("it exists");
    assert_eq!(summary.open_shard_count, 4);
    assert_eq!(summary.max_record_size_in_kib, Some(10_240));
    assert_eq!(summary.record_distribution_strategy, Some(RecordDistributionStrategy::Auto));
    let input = ListTagsForResourceInput { resource_arn: arn("full"), ..ListTagsForResourceInput::default() };
    let tags = world.streams.list_tags_for_resource(&call(), input).await.expect("it exists").tags;
    assert_eq!(tags, Some(vec![Tag { key: "team".to_owned(), value: Some("blue".to_owned()) }]));
}

#[tokio::test]
async fn a_stream_whose_rows_no_commit_could_take_is_refused() {
    let world = World::with(Settings { shard_limit: u32::MAX, ..settings() }).await;
    let failure = world.try_create("s", 100_001).await.expect_err("its creation would never end");
    assert_eq!((failure.code, failure.status), ("LimitExceededException", 400));
    assert!(failure.message.contains("Limit: 100000."), "{}", failure.message);
    assert_eq!(world.status("s").await, None);
}

#[tokio::test]
async fn the_shard_limit_is_always_kept_and_costs_nothing() {
    let world = World::with(Settings { shard_limit: 10, ..settings() }).await;
    world.create("a", 6).await;
    let text = |current, additional| {
        format!(
            "This request would exceed the shard limit for the account 123456789012 in eu-west-1. Current shard \
             count for the account: {current}. Limit: 10. Number of additional shards that would have resulted \
             from this request: {additional}. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
             request higher limits."
        )
    };
    assert_failure(world.try_create("b", 100_000).await, "LimitExceededException", &text(6, 100_000));
    assert_failure(world.try_create("b", i32::MAX).await, "LimitExceededException", &text(6, i32::MAX));
    world.create("b", 4).await;
    assert_failure(world.split("a", "shardId-0", "9").await, "LimitExceededException", &text(10, 1));
    assert_failure(world.update_shard_count("a", 8).await, "LimitExceededException", &text(10, 2));
    world.update_shard_count("a", 3).await.expect("fewer is no problem");
    world.split("b", "shardId-0", "9").await.expect("there is room again");
}

#[tokio::test]
async fn a_deleted_stream_is_gone_with_all_that_was_its() {
    let world = World::new().await;
    world.create("s", 2).await;
    world.append(1, 0).await;
    world.register("s", "c").await.expect("a consumer can be registered");
    let text = "DeleteStream can\u{2019}t delete 123456789012:s because there are consumers associated with this \
                data stream. To delete s anyway, set the EnforceConsumerDeletion parameter to true to force the \
                deletion of all the consumers that are associated with it.";
    assert_failure(world.delete("s").await, "ResourceInUseException", text);
    let input = DeleteStreamInput {
        stream_arn: Some(arn("s")),
        enforce_consumer_deletion: Some(true),
        ..DeleteStreamInput::default()
    };
    world.streams.delete_stream(&call(), input).await.expect("consumers go, too");
    assert_failure(
        world.summary("s").await,
        "ResourceNotFoundException",
        "Stream s under account 123456789012 not found.",
    );
    assert_eq!(world.journal.tail(key(1, 0)), Err(ReadError::UnknownShard(key(1, 0))));
    let rows = world.catalog.scan(b"streams/", None, 100).await.expect("the catalog answers");
    let keys: Vec<_> = rows.iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()).collect();
    assert_eq!(keys, ["streams/account", "streams/name/s"], "nothing else is left");
}

#[tokio::test]
async fn a_recreated_stream_is_another_one_with_greater_numbers() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    let before = world.shards("s").await;
    world.delete("s").await.expect("it can be deleted");
    // The clock is set back, and the service restarted: neither makes numbers that were given.
    world.clock.set_wall(Timestamp::from_seconds(START - 5000));
    let world = world.restart().await;
    world.create("s", 1).await;
    let after = world.shards("s").await;
    let start = |shard: &Shard| shard.sequence_number_range.starting_sequence_number.clone();
    assert!(before.iter().all(|shard| start(shard) < start(&after[0])), "{before:#?} {after:#?}");
    assert!(world.journal.tail(key(2, 0)).is_ok(), "ids are not used twice");
    assert!(world.journal.tail(key(1, 0)).is_err());
}

#[tokio::test]
async fn names_are_forgotten_after_a_day_but_not_their_times() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.delete("s").await.expect("it can be deleted");
    world.clock.advance(hours(26));
    world.streams.sweep().await;
    let names = world.catalog.scan(b"streams/name/", None, 10).await.expect("the catalog answers");
    assert_eq!(names, []);
    world.clock.set_wall(Timestamp::from_seconds(START));
    let world = world.restart().await;
    world.create("s", 1).await;
    let created = world.summary("s").await.expect("it exists").stream_creation_timestamp;
    assert_eq!(created, Timestamp::from_seconds(START + 1), "later than its predecessor");
}

#[tokio::test]
async fn streams_are_named_by_name_or_arn_or_both() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.create("t", 1).await;
    let describe = async |name: Option<&str>, arn: Option<&str>, id: Option<&str>| {
        let input = DescribeStreamSummaryInput {
            stream_name: name.map(str::to_owned),
            stream_arn: arn.map(str::to_owned),
            stream_id: id.map(str::to_owned),
        };
        let output = world.streams.describe_stream_summary(&call(), input).await;
        output.map(|output| output.stream_description_summary.stream_name)
    };
    assert_eq!(describe(Some("s"), None, None).await, Ok("s".to_owned()));
    assert_eq!(describe(None, Some(&arn("s")), None).await, Ok("s".to_owned()));
    assert_eq!(describe(Some("s"), Some(&arn("s")), None).await, Ok("s".to_owned()));
    let other_partition = arn("s").replace("arn:aws:", "arn:aws-cn:");
    assert_eq!(describe(None, Some(&other_partition), None).await, Ok("s".to_owned()));
    let not_found = |name: &str, account: &str| format!("Stream {name} under account {account} not found.");
    for (arn, account) in [
        (arn("s").replace("eu-west-1", "us-east-1"), ACCOUNT),
        (arn("s").replace(ACCOUNT, "000000000000"), "000000000000"),
    ] {
        let found = describe(None, Some(&arn), None).await;
        assert_failure(found, "ResourceNotFoundException", &not_found("s", account));
    }
    assert_failure(
        describe(Some("t"), Some(&arn("s")), None).await,
        "InvalidArgumentException",
        "StreamARN arn:aws:kinesis:eu-west-1:123456789012:stream/s and StreamName t do not name the same stream.",
    );
    assert_failure(
        describe(None, None, None).await,
        "InvalidArgumentException",
        "Either StreamName or StreamARN should be provided.",
    );
    let id = "abcdefghij0123456789-abc";
    assert_failure(
        describe(Some("s"), None, Some(id)).await,
        "ResourceNotFoundException",
        &format!("Stream with StreamId {id} under account {ACCOUNT} not found."),
    );
}

#[tokio::test]
async fn ten_thousand_shards_are_no_trouble() {
    let world = World::new().await;
    world.create("wide", 10_000).await;
    assert_eq!(world.summary("wide").await.expect("it exists").open_shard_count, 10_000);
    let version = *world.catalog.watch().borrow();
    world.update_shard_count("wide", 5_000).await.expect("half is allowed");
    let commits = *world.catalog.watch().borrow() - version;
    assert!(commits <= 3, "a few commits, not thousands: {commits}");
    let world = world.restart().await;
    let shards = world.shards("wide").await;
    assert_eq!(shards.len(), 15_000);
    assert_whole(&shards);
}
