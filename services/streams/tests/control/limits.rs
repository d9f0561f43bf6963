//! What only `--limits aws` keeps; and that nothing of it is kept without.

use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_streams::Settings;

use crate::world::*;

/// Requests a second do not matter here.
async fn slowly(world: &World) {
    world.pass(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn five_streams_may_be_creating_or_deleting() {
    let world = World::with(Settings { transition_delay: hours(1), ..aws_limits() }).await;
    for name in ["a", "b", "c", "d", "e"] {
        world.create(name, 1).await;
        slowly(&world).await;
    }
    let text = "This request would have exceed the limit on the number  of streams that can simultaneously be in \
                CREATING or DELETING for the account 123456789012. Limit: 5.";
    assert_failure(world.try_create("f", 1).await, "LimitExceededException", text);
    world.pass(hours(1)).await;
    world.until_active("e").await;
    world.create("f", 1).await;
}

#[tokio::test]
async fn twenty_consumers_and_five_creating() {
    let world = World::with(Settings { transition_delay: hours(1), ..aws_limits() }).await;
    world.create("s", 1).await;
    world.pass(hours(1)).await;
    world.until_active("s").await;
    for number in 0..20 {
        if number % 5 == 0 {
            world.pass(hours(1)).await;
        }
        world.register("s", &format!("c{number}")).await.expect("up to five at once");
        slowly(&world).await;
        if number % 5 == 4 && number < 19 {
            let failure = world.register("s", "sixth").await.expect_err("five are CREATING");
            let text = "Stream s under account 123456789012 cannot have more than 5 consumers in CREATING at the \
                        same time.";
            assert_eq!((failure.code, failure.message.as_str()), ("LimitExceededException", text));
        }
    }
    world.pass(hours(1)).await;
    let text = "Stream s under account 123456789012 cannot have more than 20 consumers.";
    assert_failure(world.register("s", "c20").await, "LimitExceededException", text);
}

#[tokio::test]
async fn ten_shard_counts_and_two_modes_a_day() {
    let world = World::with(aws_limits()).await;
    world.create("s", 2).await;
    for number in 0..10 {
        world.update_shard_count("s", if number % 2 == 0 { 4 } else { 2 }).await.expect("ten a day");
    }
    let world = world.restart().await;
    let failure = world.update_shard_count("s", 4).await.expect_err("the eleventh");
    assert_eq!(failure.code, "LimitExceededException");
    world.clock.advance(hours(24));
    world.update_shard_count("s", 4).await.expect("the next day");

    let switch = async |mode| {
        let input = UpdateStreamModeInput {
            stream_arn: arn("s"),
            stream_id: None,
            stream_mode_details: StreamModeDetails { stream_mode: mode },
            warm_throughput_mibps: None,
        };
        world.streams.update_stream_mode(&call(), input).await
    };
    switch(StreamMode::OnDemand).await.expect("once");
    switch(StreamMode::Provisioned).await.expect("twice");
    assert_eq!(switch(StreamMode::OnDemand).await.expect_err("the third").code, "LimitExceededException");
    switch(StreamMode::Provisioned).await.expect("the same mode is no switch");
    world.clock.advance(hours(24));
    switch(StreamMode::OnDemand).await.expect("the next day");
}

#[tokio::test]
async fn fifty_on_demand_streams() {
    let world = World::with(aws_limits()).await;
    for number in 0..50 {
        world.create_on_demand(&format!("s{number:02}")).await;
        slowly(&world).await;
    }
    let input = CreateStreamInput { stream_name: "more".to_owned(), ..CreateStreamInput::default() };
    assert_failure(
        world.streams.create_stream(&call(), input).await,
        "LimitExceededException",
        "This request would exceed the limit on the number of On-Demand streams for the account 123456789012 in \
         eu-west-1. Current On-Demand streams count: 50. Limit: 50.",
    );
    world.create("provisioned", 1).await;
}

#[tokio::test]
async fn request_rates_are_kept_by_account_and_by_stream() {
    let world = World::with(aws_limits()).await;
    world.create("s", 1).await;
    world.create("t", 1).await;
    let list = async || world.streams.list_streams(&call(), ListStreamsInput::default()).await;
    for _ in 0..5 {
        list().await.expect("five a second");
    }
    assert_failure(list().await, "LimitExceededException", "Rate exceeded for account 123456789012.");
    world.pass(Duration::from_millis(200)).await;
    list().await.expect("one more after a fifth of a second");

    let limits = async || world.streams.describe_limits(&call(), DescribeLimitsInput {}).await;
    limits().await.expect("one a second");
    assert_eq!(limits().await.expect_err("the second").code, "LimitExceededException");

    let consumers = async |stream: &str| -> Result<ListStreamConsumersOutput, Failure> {
        let input =
            ListStreamConsumersInput { stream_arn: arn(stream), ..ListStreamConsumersInput::default() };
        world.streams.list_stream_consumers(&call(), input).await
    };
    for _ in 0..5 {
        consumers("s").await.expect("five a second");
    }
    assert_failure(
        consumers("s").await,
        "LimitExceededException",
        "Rate exceeded for stream s under account 123456789012.",
    );
    consumers("t").await.expect("another stream has its own");
}

#[tokio::test]
async fn without_limits_nothing_of_this_is_kept() {
    let world = World::with(Settings { transition_delay: hours(1), ..settings() }).await;
    for number in 0..60 {
        world.create_on_demand(&format!("s{number:02}")).await;
    }
    world.pass(hours(1)).await;
    world.until_active("s59").await;
    for number in 0..25 {
        world.register("s00", &format!("c{number}")).await.expect("as many as one likes");
    }
    let world = World::new().await;
    world.create("s", 2).await;
    for number in 0..12 {
        world
            .update_shard_count("s", if number % 2 == 0 { 4 } else { 2 })
            .await
            .expect("as often as one likes");
    }
    for _ in 0..100 {
        world.streams.describe_limits(&call(), DescribeLimitsInput {}).await.expect("as often as one likes");
    }
}
