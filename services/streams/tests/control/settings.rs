//! What can be set on a stream and an account: retention, tags, metrics, mode, sizes, distribution, throughput, policies.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_journal::Read;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_types::Timestamp;

use crate::world::*;

async fn increase(world: &World, hours: i32) -> Result<(), Failure> {
    let input = IncreaseStreamRetentionPeriodInput {
        stream_name: Some("s".to_owned()),
        retention_period_hours: hours,
        ..IncreaseStreamRetentionPeriodInput::default()
    };
    world.streams.increase_stream_retention_period(&call(), input).await
}

async fn decrease(world: &World, hours: i32) -> Result<(), Failure> {
    let input = DecreaseStreamRetentionPeriodInput {
        stream_name: Some("s".to_owned()),
        retention_period_hours: hours,
        ..DecreaseStreamRetentionPeriodInput::default()
    };
    world.streams.decrease_stream_retention_period(&call(), input).await
}

/// The offset of the oldest record that a reader gets who goes by the stream's retention.
async fn oldest(world: &World) -> u64 {
    let hours = world.summary("s").await.expect("it exists").retention_period_hours;
    let now = thalweg_system::Clock::wall(&world.clock);
    let retention = Duration::from_secs(3600 * u64::try_from(hours).expect("positive"));
    let read = Read {
        shard: key(1, 0),
        from: 0,
        records_max: 1,
        bytes_max: 1 << 20,
        not_before: now.minus(retention),
    };
    let answer = world.journal.read(read).await.expect("the shard can be read");
    answer.runs.first().map_or(answer.next, |run| run.first)
}

#[tokio::test]
async fn what_retention_took_away_never_comes_back() {
    let world = World::new().await;
    world.create("s", 1).await;
    increase(&world, 100).await.expect("longer");
    // Records at 0, 10, … 90 hours.
    for _ in 0..10 {
        world.append(1, 0).await;
        world.clock.advance(hours(10));
    }
    assert_eq!(oldest(&world).await, 0);
    decrease(&world, 50).await.expect("shorter");
    assert_eq!(oldest(&world).await, 5);
    increase(&world, 8760).await.expect("longer again");
    assert_eq!(oldest(&world).await, 5, "not even then");
    let world = world.restart().await;
    assert_eq!(oldest(&world).await, 5, "nor after a restart");
    // What expires by itself is not brought back by a longer period either.
    decrease(&world, 48).await.expect("shorter");
    world.clock.advance(hours(8));
    increase(&world, 100).await.expect("longer");
    assert_eq!(oldest(&world).await, 6);
}

#[tokio::test]
async fn retention_has_bounds_and_directions() {
    let world = World::new().await;
    world.create("s", 1).await;
    let short =
        "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.";
    assert_failure(increase(&world, 23).await, "InvalidArgumentException", short);
    assert_failure(decrease(&world, 23).await, "InvalidArgumentException", short);
    let long = "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.";
    assert_failure(increase(&world, 8761).await, "InvalidArgumentException", long);
    increase(&world, 24).await.expect("the same is no error");
    increase(&world, 30).await.expect("longer");
    assert_failure(
        increase(&world, 25).await,
        "InvalidArgumentException",
        "Requested retention period (25 hours) for stream s can not be shorter than existing retention period (30 \
         hours). Use DecreaseRetentionPeriod API.",
    );
    assert_failure(
        decrease(&world, 31).await,
        "InvalidArgumentException",
        "Requested retention period (31 hours) for stream s can not be longer than existing retention period (30 \
         hours). Use IncreaseRetentionPeriod API.",
    );
    decrease(&world, 30).await.expect("the same is no error");
    assert_eq!(world.summary("s").await.expect("it exists").retention_period_hours, 30);
}

#[tokio::test]
async fn tags_come_and_go() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.tag("s", "a", "1").await.expect("added");
    world.tag("s", "a", "2").await.expect("replaced");
    let input = TagResourceInput {
        resource_arn: arn("s"),
        tags: BTreeMap::from([("b".to_owned(), String::new())]),
        stream_id: None,
    };
    world.streams.tag_resource(&call(), input).await.expect("the other family");
    let input = RemoveTagsFromStreamInput {
        stream_name: Some("s".to_owned()),
        tag_keys: vec!["a".to_owned(), "never".to_owned()],
        ..RemoveTagsFromStreamInput::default()
    };
    world.streams.remove_tags_from_stream(&call(), input).await.expect("removed");
    let world = world.restart().await;
    let input =
        ListTagsForStreamInput { stream_name: Some("s".to_owned()), ..ListTagsForStreamInput::default() };
    let tags = world.streams.list_tags_for_stream(&call(), input).await.expect("it exists");
    assert_eq!(tags.tags, [Tag { key: "b".to_owned(), value: Some(String::new()) }]);
    let input =
        UntagResourceInput { resource_arn: arn("s"), tag_keys: vec!["b".to_owned()], stream_id: None };
    world.streams.untag_resource(&call(), input).await.expect("removed");
    assert_failure(
        world.tag("s", "a%b", "v").await,
        "InvalidArgumentException",
        "Failed to add tags to stream s under account 123456789012 because some tags contained illegal characters. \
         The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
    );
}

#[tokio::test]
async fn metrics_are_switched_on_and_off() {
    let world = World::new().await;
    world.create("s", 1).await;
    let enable = async |metrics: &[MetricsName]| {
        let input = EnableEnhancedMonitoringInput {
            shard_level_metrics: metrics.to_vec(),
            stream_name: Some("s".to_owned()),
            ..EnableEnhancedMonitoringInput::default()
        };
        let output = world.streams.enable_enhanced_monitoring(&call(), input).await.expect("it exists");
        assert_eq!((output.stream_name, output.stream_arn), (Some("s".to_owned()), Some(arn("s"))));
        (
            output.current_shard_level_metrics.expect("there"),
            output.desired_shard_level_metrics.expect("there"),
        )
    };
    let disable = async |metrics: &[MetricsName]| {
        let input = DisableEnhancedMonitoringInput {
            shard_level_metrics: metrics.to_vec(),
            stream_name: Some("s".to_owned()),
            ..DisableEnhancedMonitoringInput::default()
        };
        let output = world.streams.disable_enhanced_monitoring(&call(), input).await.expect("it exists");
        (
            output.current_shard_level_metrics.expect("there"),
            output.desired_shard_level_metrics.expect("there"),
        )
    };
    use MetricsName::{All, IncomingBytes, IteratorAgeMilliseconds, OutgoingBytes};
    assert_eq!(enable(&[OutgoingBytes, IncomingBytes]).await, (vec![], vec![IncomingBytes, OutgoingBytes]));
    assert_eq!(disable(&[OutgoingBytes]).await, (vec![IncomingBytes, OutgoingBytes], vec![IncomingBytes]));
    let (_, all) = enable(&[All]).await;
    assert_eq!((all.len(), all.contains(&All), all.last()), (7, false, Some(&IteratorAgeMilliseconds)));
    let shown = world.summary("s").await.expect("it exists").enhanced_monitoring;
    assert_eq!(shown, [EnhancedMetrics { shard_level_metrics: Some(all.clone()) }]);
    assert_eq!(disable(&[All]).await, (all, vec![]));
}

async fn set_mode(world: &World, mode: StreamMode, warm: Option<i32>) -> Result<(), Failure> {
    let input = UpdateStreamModeInput {
        stream_arn: arn("s"),
        stream_id: None,
        stream_mode_details: StreamModeDetails { stream_mode: mode },
        warm_throughput_mibps: warm,
    };
    world.streams.update_stream_mode(&call(), input).await
}

async fn set_distribution(world: &World, strategy: RecordDistributionStrategy) -> Result<(), Failure> {
    let input = UpdateStreamRecordDistributionStrategyInput {
        record_distribution_strategy: strategy,
        stream_arn: arn("s"),
        stream_id: None,
    };
    world.streams.update_stream_record_distribution_strategy(&call(), input).await
}

async fn commit_to_throughput(world: &World, status: MinimumThroughputBillingCommitmentInputStatus) {
    let input = UpdateAccountSettingsInput {
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput { status },
    };
    world.streams.update_account_settings(&call(), input).await.expect("it can be set");
}

#[tokio::test]
async fn the_mode_decides_what_else_may_be() {
    let world = World::new().await;
    world.create("s", 3).await;
    let auto_text = "Request is invalid. Stream s under account 123456789012 has the record distribution strategy \
                     AUTO, which needs On-Demand mode.";
    let auto = RecordDistributionStrategy::Auto;
    assert_failure(set_distribution(&world, auto).await, "ValidationException", auto_text);
    set_mode(&world, StreamMode::OnDemand, None).await.expect("it can be switched");
    assert_eq!(world.summary("s").await.expect("it exists").open_shard_count, 3, "the shards stay");
    let text = "Request is invalid. Stream s under account 123456789012 is in On-Demand mode.";
    assert_failure(world.split("s", "shardId-0", "9").await, "ValidationException", text);
    assert_failure(world.merge("s", "shardId-0", "shardId-1").await, "ValidationException", text);
    assert_failure(world.update_shard_count("s", 4).await, "ValidationException", text);
    set_distribution(&world, auto).await.expect("on demand it may be");
    assert_failure(set_mode(&world, StreamMode::Provisioned, None).await, "ValidationException", auto_text);
    set_distribution(&world, RecordDistributionStrategy::UserPartitionKey).await.expect("and back");
    set_mode(&world, StreamMode::Provisioned, None).await.expect("and back");
    world.split("s", "shardId-0", "9").await.expect("provisioned streams can be split");
}

#[tokio::test]
async fn warm_throughput_needs_on_demand_mode_and_the_commitment() {
    use MinimumThroughputBillingCommitmentInputStatus::{Disabled, Enabled};
    let world = World::new().await;
    world.create("s", 1).await;
    let warm = async |mibps| {
        let input = UpdateStreamWarmThroughputInput {
            stream_name: Some("s".to_owned()),
            warm_throughput_mibps: mibps,
            ..UpdateStreamWarmThroughputInput::default()
        };
        world.streams.update_stream_warm_throughput(&call(), input).await.map(|output| {
            let warm = output.warm_throughput.expect("always there");
            (warm.current_mibps, warm.target_mibps)
        })
    };
    assert_eq!(warm(5).await.expect_err("provisioned").code, "ValidationException");
    set_mode(&world, StreamMode::OnDemand, None).await.expect("it can be switched");
    assert_eq!(warm(5).await.expect_err("no commitment").code, "ValidationException");
    commit_to_throughput(&world, Enabled).await;
    assert_eq!(warm(5).await, Ok((None, Some(5))));
    assert_eq!(warm(7).await, Ok((Some(5), Some(7))));
    assert_eq!(warm(10_241).await.expect_err("too much").code, "InvalidArgumentException");
    let shown = world.summary("s").await.expect("it exists").warm_throughput;
    assert_eq!(shown, Some(WarmThroughputObject { current_mibps: Some(7), target_mibps: Some(7) }));
    let failure = set_mode(&world, StreamMode::Provisioned, Some(5)).await.expect_err("only on demand");
    assert_eq!(failure.code, "ValidationException");
    set_mode(&world, StreamMode::Provisioned, None).await.expect("it can be switched");
    assert_eq!(world.summary("s").await.expect("it exists").warm_throughput, None);
    commit_to_throughput(&world, Disabled).await;
    world.clock.advance(hours(24));
    let failure = set_mode(&world, StreamMode::OnDemand, Some(5)).await.expect_err("the commitment is over");
    assert_eq!(failure.code, "ValidationException");
}

#[tokio::test]
async fn account_settings_outlive_a_restart() {
    use MinimumThroughputBillingCommitmentInputStatus::{Disabled, Enabled};
    use MinimumThroughputBillingCommitmentOutputStatus as Shown;
    let world = World::new().await;
    let status = async |world: &World| {
        let input = DescribeAccountSettingsInput {};
        let output = world.streams.describe_account_settings(&call(), input).await.expect("it can be asked");
        output.minimum_throughput_billing_commitment.expect("always there")
    };
    assert_eq!(status(&world).await.status, Shown::Disabled);
    commit_to_throughput(&world, Enabled).await;
    let world = world.restart().await;
    assert_eq!(
        status(&world).await,
        MinimumThroughputBillingCommitmentOutput {
            earliest_allowed_end_at: Some(Timestamp::from_seconds(START + 24 * 3600)),
            ended_at: None,
            started_at: Some(Timestamp::from_seconds(START)),
            status: Shown::Enabled,
        }
    );
    commit_to_throughput(&world, Disabled).await;
    assert_eq!(status(&world).await.status, Shown::EnabledUntilEarliestAllowedEnd);
}

#[tokio::test]
async fn the_record_size_can_be_changed() {
    let world = World::new().await;
    world.create("s", 1).await;
    let input = UpdateMaxRecordSizeInput {
        max_record_size_in_kib: 4096,
        stream_arn: Some(arn("s")),
        stream_id: None,
    };
    world.streams.update_max_record_size(&call(), input).await.expect("it can be changed");
    let world = world.restart().await;
    assert_eq!(world.summary("s").await.expect("it exists").max_record_size_in_kib, Some(4096));
}

#[tokio::test]
async fn limits_are_described() {
    let world = World::new().await;
    world.create("a", 3).await;
    world.create_on_demand("b").await;
    world.split("a", "shardId-0", "9").await.expect("it can be split");
    let output =
        world.streams.describe_limits(&call(), DescribeLimitsInput {}).await.expect("it can be asked");
    assert_eq!(
        output,
        DescribeLimitsOutput {
            channel_count: None,
            channel_count_limit: None,
            on_demand_stream_count: 1,
            on_demand_stream_count_limit: 50,
            open_shard_count: 8,
            shard_limit: 20_000,
        }
    );
}

#[tokio::test]
async fn policies_are_kept_as_they_were_put() {
    let world = World::new().await;
    world.create("s", 1).await;
    let get = async |world: &World| {
        let input = GetResourcePolicyInput { resource_arn: arn("s"), stream_id: None };
        world.streams.get_resource_policy(&call(), input).await.map(|output| output.policy)
    };
    let put = async |world: &World, policy: &str| {
        let input =
            PutResourcePolicyInput { policy: policy.to_owned(), resource_arn: arn("s"), stream_id: None };
        world.streams.put_resource_policy(&call(), input).await
    };
    let delete = async |world: &World| {
        let input = DeleteResourcePolicyInput { resource_arn: arn("s"), stream_id: None };
        world.streams.delete_resource_policy(&call(), input).await
    };
    assert_eq!(get(&world).await, Ok("{}".to_owned()), "recorded from AWS");
    assert_failure(
        delete(&world).await,
        "ResourceNotFoundException",
        "No resource policy found for resource ARN arn:aws:kinesis:eu-west-1:123456789012:stream/s",
    );
    assert_eq!(put(&world, "[]").await.expect_err("no object").code, "InvalidArgumentException");
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(20 * 1024));
    assert_eq!(put(&world, &long).await.expect_err("too long").code, "LimitExceededException");
    let policy = " {\"Version\": \"2012-10-17\", \"Statement\": []} ";
    put(&world, policy).await.expect("it can be put");
    let world = world.restart().await;
    assert_eq!(get(&world).await, Ok(policy.to_owned()));
    delete(&world).await.expect("it can be deleted");
    assert_eq!(get(&world).await, Ok("{}".to_owned()));
    put(&world, policy).await.expect("it can be put");
    world.delete("s").await.expect("it can be deleted");
    world.create("s", 1).await;
    assert_eq!(get(&world).await, Ok("{}".to_owned()), "a stream of the same name has none");
}
