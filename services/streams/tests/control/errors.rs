//! Refusals that no other file has met: a table of what is asked and what is answered. The texts are AWS's where
//! they were recorded.

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;

use crate::world::*;

const NOT_FOUND: &str = "ResourceNotFoundException";
const INVALID: &str = "InvalidArgumentException";
const LIMIT: &str = "LimitExceededException";

/// A world with a stream of two shards, of which the first was split.
async fn world() -> World {
    let world = World::new().await;
    world.create("s", 3).await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    world
}

#[tokio::test]
async fn splits_that_cannot_be() {
    let world = world().await;
    let two = "113427455640312821154458202477256070485";
    let cases = [
        // The shard is looked at before the stream.
        (
            "nobody",
            "2147483648",
            "0",
            NOT_FOUND,
            "Could not find shard 2147483648 in stream nobody under account 123456789012.",
        ),
        (
            "nobody",
            "ABKLFD8",
            "0",
            NOT_FOUND,
            "Could not find shard ABKLFD8 in stream nobody under account 123456789012.",
        ),
        ("nobody", "-00002147483647", "0", NOT_FOUND, "Stream nobody under account 123456789012 not found."),
        (
            "s",
            "shardId-9",
            "0",
            NOT_FOUND,
            "Could not find shard shardId-000000000009 in stream s under account 123456789012.",
        ),
        (
            "s",
            "shard-0",
            "5",
            INVALID,
            "Shard shardId-000000000000 in stream s under account 123456789012 has already been merged or split, and thus is not eligible for merging or splitting.",
        ),
        (
            "s",
            "x-1",
            two,
            INVALID,
            "NewStartingHashKey 113427455640312821154458202477256070485 used in SplitShard() on shard shardId-000000000001 in stream s under account 123456789012 is not both greater than one plus the shard's StartingHashKey 113427455640312821154458202477256070485 and less than the shard's EndingHashKey 226854911280625642308916404954512140969.",
        ),
        (
            "s",
            "3",
            "1",
            INVALID,
            "NewStartingHashKey 1 used in SplitShard() on shard shardId-000000000003 in stream s under account 123456789012 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 999.",
        ),
        (
            "s",
            "3",
            "999",
            INVALID,
            "NewStartingHashKey 999 used in SplitShard() on shard shardId-000000000003 in stream s under account 123456789012 is not both greater than one plus the shard's StartingHashKey 0 and less than the shard's EndingHashKey 999.",
        ),
        (
            "s",
            "2",
            "999999999999999999999999999999999999999",
            INVALID,
            "NewStartingHashKey 999999999999999999999999999999999999999 used in SplitShard() on shard shardId-000000000002 in stream s under account 123456789012 is not both greater than one plus the shard's StartingHashKey 226854911280625642308916404954512140970 and less than the shard's EndingHashKey 340282366920938463463374607431768211455.",
        ),
    ];
    for (stream, shard, key, code, text) in cases {
        assert_failure(world.split(stream, shard, key).await, code, text);
    }
    world.split("s", "3", "2").await.expect("the smallest key that is allowed");
}

#[tokio::test]
async fn merges_that_cannot_be() {
    let world = world().await;
    let cases = [
        (
            "nobody",
            "x",
            "shardId-0",
            NOT_FOUND,
            "Could not find shard x in stream nobody under account 123456789012.",
        ),
        (
            "nobody",
            "shardId-0",
            "2.14E4",
            NOT_FOUND,
            "Could not find shard 2.14E4 in stream nobody under account 123456789012.",
        ),
        ("nobody", "a-0", "a-2147483647", NOT_FOUND, "Stream nobody under account 123456789012 not found."),
        (
            "s",
            "a-1",
            "shardId-9",
            NOT_FOUND,
            "Could not find shard shardId-000000000009 in stream s under account 123456789012.",
        ),
        (
            "s",
            "a-0",
            "a-1",
            INVALID,
            "Shard shardId-000000000000 in stream s under account 123456789012 has already been merged or split, and thus is not eligible for merging or splitting.",
        ),
        (
            "s",
            "a-3",
            "a-1",
            INVALID,
            "Shards shardId-000000000003 and shardId-000000000001 in stream s under account 123456789012 are not an adjacent pair of shards eligible for merging",
        ),
        (
            "s",
            "a-2",
            "a-3",
            INVALID,
            "Shards shardId-000000000002 and shardId-000000000003 in stream s under account 123456789012 are not an adjacent pair of shards eligible for merging",
        ),
        (
            "s",
            "a-1",
            "a-1",
            INVALID,
            "Shards shardId-000000000001 and shardId-000000000001 in stream s under account 123456789012 are not an adjacent pair of shards eligible for merging",
        ),
    ];
    for (stream, shard, adjacent, code, text) in cases {
        assert_failure(world.merge(stream, shard, adjacent).await, code, text);
    }
    world.merge("s", "a-4", "a-1").await.expect("across the old border they are neighbours");
}

#[tokio::test]
async fn shard_counts_that_cannot_be() {
    let world = world().await;
    let cases = [
        ("nobody", 4, NOT_FOUND, "Stream nobody under account 123456789012 not found."),
        (
            "s",
            9,
            LIMIT,
            "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 4, Target shard count: 9",
        ),
        (
            "s",
            1,
            LIMIT,
            "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 4, Target shard count: 1",
        ),
        (
            "s",
            10_001,
            LIMIT,
            "Target shard count or number of open shards cannot be greater than 10000. Current open shard count: 4, Target shard count: 10001",
        ),
    ];
    for (stream, target, code, text) in cases {
        assert_failure(world.update_shard_count(stream, target).await, code, text);
    }
}

#[tokio::test]
async fn shards_of_one_key_are_not_split_by_a_count() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.split("s", "0", "2").await.expect("keys 0 and 1, and the rest");
    // One of two keys is split into two of one key.
    world.update_shard_count("s", 4).await.expect("both can be split");
    let failure = world.update_shard_count("s", 5).await.expect_err("one key is left");
    assert_eq!(failure.code, INVALID);
    world.update_shard_count("s", 3).await.expect("they can be merged");
}

#[tokio::test]
async fn streams_that_cannot_be_created() {
    let world = World::new().await;
    world.create("s", 1).await;
    let details = |stream_mode| Some(StreamModeDetails { stream_mode });
    let input = || CreateStreamInput { stream_name: "new".to_owned(), ..CreateStreamInput::default() };
    let provisioned = CreateStreamInput { stream_mode_details: details(StreamMode::Provisioned), ..input() };
    let auto = CreateStreamInput {
        shard_count: Some(1),
        record_distribution_strategy: Some(RecordDistributionStrategy::Auto),
        ..input()
    };
    let warm = CreateStreamInput { shard_count: Some(1), warm_throughput_mibps: Some(5), ..input() };
    let warm_on_demand = CreateStreamInput { warm_throughput_mibps: Some(5), ..input() };
    let tags = |count: u32| Some((0..count).map(|n| (format!("k{n}"), String::new())).collect());
    let tagged = CreateStreamInput { tags: tags(51), ..input() };
    let strange = CreateStreamInput { tags: Some([("a;b".to_owned(), String::new())].into()), ..input() };
    let cases = [
        (
            CreateStreamInput { stream_name: "s".to_owned(), ..input() },
            "ResourceInUseException",
            "Stream s under account 123456789012 already exists.",
        ),
        (provisioned, INVALID, "ShardCount must be specified for a stream in PROVISIONED mode."),
        (
            auto,
            "ValidationException",
            "Request is invalid. Stream new under account 123456789012 has the record distribution strategy AUTO, which needs On-Demand mode.",
        ),
        (
            warm,
            "ValidationException",
            "Request is invalid. Stream new under account 123456789012 is not in On-Demand mode, which warm throughput needs.",
        ),
        (
            warm_on_demand,
            "ValidationException",
            "Request is invalid. Warm throughput needs the minimum throughput billing commitment, which is not enabled for account 123456789012.",
        ),
        (
            tagged,
            INVALID,
            "Failed to add tags to stream new under account 123456789012 because a given stream cannot have more than 50 tags associated with it.",
        ),
        (
            strange,
            INVALID,
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.",
        ),
    ];
    for (input, code, text) in cases {
        assert_failure(world.streams.create_stream(&call(), input).await, code, text);
    }
    assert_eq!(world.status("new").await, None, "none of them left anything");
    let input = CreateStreamInput { tags: tags(50), ..input() };
    world.streams.create_stream(&call(), input).await.expect("fifty tags may be");
}

#[tokio::test]
async fn resources_that_are_not_there() {
    let world = World::new().await;
    world.create("s", 1).await;
    let tags_of = async |resource_arn: &str| {
        let input = ListTagsForResourceInput { resource_arn: resource_arn.to_owned(), stream_id: None };
        world.streams.list_tags_for_resource(&call(), input).await
    };
    let consumer = format!("{}/consumer/c:1700000000", arn("s"));
    let queue = "arn:aws:kinesis:eu-west-1:123456789012:queue/abc";
    let channel = "arn:aws:kinesis:eu-west-1:123456789012:channel/abc";
    let bucket = "arn:aws:s3:::stream/x";
    let cases = [
        (arn("x"), NOT_FOUND, "Stream x under account 123456789012 not found.".to_owned()),
        (consumer.clone(), NOT_FOUND, format!("Consumer {consumer} not found.")),
        (queue.to_owned(), NOT_FOUND, format!("Resource {queue} not found.")),
        (channel.to_owned(), NOT_FOUND, format!("Resource {channel} not found.")),
        (bucket.to_owned(), INVALID, format!("{bucket} is not the ARN of a stream.")),
        (
            format!("{}/consumer/c:x", arn("s")),
            INVALID,
            format!("{}/consumer/c:x is not the ARN of a consumer.", arn("s")),
        ),
    ];
    for (resource, code, text) in cases {
        assert_failure(tags_of(&resource).await, code, &text);
    }
    let describe = async |consumer_arn: Option<&str>, stream: Option<&str>, name: Option<&str>| {
        let input = DescribeStreamConsumerInput {
            consumer_arn: consumer_arn.map(str::to_owned),
            stream_arn: stream.map(arn),
            consumer_name: name.map(str::to_owned),
            stream_id: None,
        };
        world.streams.describe_stream_consumer(&call(), input).await
    };
    let neither = "Either ConsumerARN or both StreamARN and ConsumerName should be provided.";
    assert_failure(describe(None, None, None).await, INVALID, neither);
    assert_failure(describe(None, Some("s"), None).await, INVALID, neither);
    assert_failure(describe(None, None, Some("c")).await, INVALID, neither);
    let differ = format!("ConsumerARN {consumer} names another consumer than StreamARN and ConsumerName do.");
    assert_failure(describe(Some(&consumer), Some("s"), Some("d")).await, INVALID, &differ);
    assert_failure(describe(Some(&consumer), Some("t"), Some("c")).await, INVALID, &differ);
    assert_failure(
        describe(None, Some("s"), Some("c")).await,
        NOT_FOUND,
        "Consumer c under stream s not found for account 123456789012.",
    );
}

#[tokio::test]
async fn every_operation_on_a_stream_misses_one_that_is_not_there() {
    let world = World::new().await;
    let name = || Some("x".to_owned());
    let text = "Stream x under account 123456789012 not found.";
    macro_rules! misses {
        ($($method:ident($input:expr)),+ $(,)?) => {
            $(assert_failure(world.streams.$method(&call(), $input).await, NOT_FOUND, text);)+
        };
    }
    misses!(
        add_tags_to_stream(AddTagsToStreamInput { stream_name: name(), ..Default::default() }),
        decrease_stream_retention_period(DecreaseStreamRetentionPeriodInput {
            stream_name: name(),
            ..Default::default()
        }),
        delete_resource_policy(DeleteResourcePolicyInput { resource_arn: arn("x"), stream_id: None }),
        delete_stream(DeleteStreamInput { stream_name: name(), ..Default::default() }),
        deregister_stream_consumer(DeregisterStreamConsumerInput {
            stream_arn: Some(arn("x")),
            consumer_name: name(),
            ..Default::default()
        }),
        describe_stream(DescribeStreamInput { stream_name: name(), ..Default::default() }),
        describe_stream_consumer(DescribeStreamConsumerInput {
            stream_arn: Some(arn("x")),
            consumer_name: name(),
            ..Default::default()
        }),
        describe_stream_summary(DescribeStreamSummaryInput { stream_name: name(), ..Default::default() }),
        disable_enhanced_monitoring(DisableEnhancedMonitoringInput {
            stream_name: name(),
            ..Default::default()
        }),
        enable_enhanced_monitoring(EnableEnhancedMonitoringInput {
            stream_name: name(),
            ..Default::default()
        }),
        get_resource_policy(GetResourcePolicyInput { resource_arn: arn("x"), stream_id: None }),
        increase_stream_retention_period(IncreaseStreamRetentionPeriodInput {
            stream_name: name(),
            ..Default::default()
        }),
        list_shards(ListShardsInput { stream_name: name(), ..Default::default() }),
        list_stream_consumers(ListStreamConsumersInput { stream_arn: arn("x"), ..Default::default() }),
        list_tags_for_resource(ListTagsForResourceInput { resource_arn: arn("x"), stream_id: None }),
        list_tags_for_stream(ListTagsForStreamInput { stream_name: name(), ..Default::default() }),
        put_resource_policy(PutResourcePolicyInput {
            resource_arn: arn("x"),
            policy: "{}".to_owned(),
            stream_id: None
        }),
        register_stream_consumer(RegisterStreamConsumerInput {
            stream_arn: arn("x"),
            consumer_name: "c".to_owned(),
            ..Default::default()
        }),
        remove_tags_from_stream(RemoveTagsFromStreamInput { stream_name: name(), ..Default::default() }),
        tag_resource(TagResourceInput { resource_arn: arn("x"), ..Default::default() }),
        untag_resource(UntagResourceInput { resource_arn: arn("x"), ..Default::default() }),
        update_max_record_size(UpdateMaxRecordSizeInput { stream_arn: Some(arn("x")), ..Default::default() }),
        update_stream_mode(UpdateStreamModeInput {
            stream_arn: arn("x"),
            stream_id: None,
            stream_mode_details: StreamModeDetails { stream_mode: StreamMode::OnDemand },
            warm_throughput_mibps: None,
        }),
        update_stream_record_distribution_strategy(UpdateStreamRecordDistributionStrategyInput {
            stream_arn: arn("x"),
            stream_id: None,
            record_distribution_strategy: RecordDistributionStrategy::Auto,
        }),
        update_stream_warm_throughput(UpdateStreamWarmThroughputInput {
            stream_name: name(),
            ..Default::default()
        }),
    );
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let world = World::new().await;
    let input = StopStreamEncryptionInput {
        encryption_type: EncryptionType::Kms,
        key_id: "k".to_owned(),
        stream_arn: None,
        stream_id: None,
        stream_name: Some("s".to_owned()),
    };
    let failure = world.streams.stop_stream_encryption(&call(), input).await.expect_err("not available");
    assert_eq!(failure.code, "UnknownOperationException");
    assert!(failure.message.starts_with("StopStreamEncryption is known but not available in Thalweg "));
}
