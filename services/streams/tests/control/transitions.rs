//! Statuses that stay to be seen: with a transition delay, streams and consumers are CREATING, UPDATING and DELETING
//! for as long, also across a restart; and only ACTIVE ones can be changed.

use std::task::{Context, Waker};
use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_streams::Settings;
use thalweg_types::Timestamp;

use crate::world::*;

const DELAY: Duration = Duration::from_secs(10);

async fn delayed() -> World {
    World::with(Settings { transition_delay: DELAY, ..settings() }).await
}

async fn active(shards: i32) -> World {
    let world = delayed().await;
    world.create("s", shards).await;
    world.pass(DELAY).await;
    world.until_active("s").await;
    world
}

#[track_caller]
fn assert_not_active<T: std::fmt::Debug>(result: Result<T, Failure>, status: &str) {
    let text = format!("Stream s under account 123456789012 not ACTIVE, instead in state {status}");
    assert_failure(result, "ResourceInUseException", &text);
}

#[tokio::test]
async fn a_stream_is_creating_and_then_active() {
    let world = delayed().await;
    world.create("s", 2).await;
    let summary = world.summary("s").await.expect("it is shown already");
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Creating, 0));
    assert_not_active(world.split("s", "shardId-0", "9").await, "CREATING");
    assert_not_active(world.delete("s").await, "CREATING");
    let input = ListShardsInput { stream_name: Some("s".to_owned()), ..ListShardsInput::default() };
    assert_not_active(world.streams.list_shards(&call(), input).await, "CREATING");
    assert_failure(
        world.try_create("s", 1).await,
        "ResourceInUseException",
        "Stream s under account 123456789012 already exists.",
    );
    world.pass(DELAY - Duration::from_millis(1)).await;
    assert_eq!(world.status("s").await, Some(StreamStatus::Creating));
    world.pass(Duration::from_millis(1)).await;
    world.until_active("s").await;
    assert_eq!(world.shards("s").await.len(), 2);
}

#[tokio::test]
async fn a_split_shows_its_children_at_its_end() {
    let world = active(1).await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    assert_eq!(world.status("s").await, Some(StreamStatus::Updating));
    assert_eq!(world.shards("s").await.len(), 1, "the parent is open until then");
    assert_not_active(world.split("s", "shardId-0", "1000").await, "UPDATING");
    assert_not_active(world.merge("s", "shardId-0", "shardId-1").await, "UPDATING");
    assert_not_active(world.update_shard_count("s", 2).await, "UPDATING");
    assert_not_active(world.tag("s", "k", "v").await, "UPDATING");
    assert_not_active(world.delete("s").await, "UPDATING");
    assert_not_active(world.register("s", "c").await, "UPDATING");
    world.pass(DELAY).await;
    world.until_active("s").await;
    let shards = world.shards("s").await;
    assert_eq!(shards.len(), 3);
    assert_whole(&shards);
}

#[tokio::test]
async fn a_stream_is_deleting_and_then_gone() {
    let world = active(1).await;
    world.delete("s").await.expect("it can be deleted");
    assert_eq!(world.status("s").await, Some(StreamStatus::Deleting));
    assert_not_active(world.delete("s").await, "DELETING");
    assert!(world.try_create("s", 1).await.is_err(), "the name is not free yet");
    world.pass(DELAY).await;
    assert_eq!(world.status("s").await, None);
    world.create("s", 1).await;
}

#[tokio::test]
async fn a_change_of_settings_is_done_at_once_and_updating_for_a_while() {
    let world = active(1).await;
    world.tag("s", "k", "v").await.expect("tags can be added");
    assert_eq!(world.status("s").await, Some(StreamStatus::Updating));
    let input =
        ListTagsForStreamInput { stream_name: Some("s".to_owned()), ..ListTagsForStreamInput::default() };
    let tags = world.streams.list_tags_for_stream(&call(), input).await.expect("it exists").tags;
    assert_eq!(tags.len(), 1);
    world.pass(DELAY).await;
    world.until_active("s").await;
}

#[tokio::test]
async fn a_transition_goes_on_after_a_restart_for_what_is_left_of_it() {
    for (name, begin) in [("create", 0), ("scale", 1), ("delete", 2)] {
        let world = delayed().await;
        world.create("s", 2).await;
        if begin > 0 {
            world.pass(DELAY).await;
            world.until_active("s").await;
        }
        match begin {
            1 => drop(world.update_shard_count("s", 3).await.expect("within the rules")),
            2 => world.delete("s").await.expect("it can be deleted"),
            _ => {}
        }
        let status = world.status("s").await;
        world.pass(DELAY / 2).await;
        let world = world.restart().await;
        assert_eq!(world.status("s").await, status, "{name}");
        world.pass(DELAY / 2).await;
        match begin {
            0 | 1 => world.until_active("s").await,
            _ => assert_eq!(world.status("s").await, None),
        }
        if begin == 1 {
            assert_eq!(world.shards("s").await.len(), 2 + 4 + 1);
        }
    }
}

#[tokio::test]
async fn a_transition_that_is_over_is_finished_by_the_start() {
    let world = delayed().await;
    world.create("s", 2).await;
    let World { clock, journal, catalog, settings, streams, .. } = world;
    streams.shutdown().await;
    drop(streams);
    clock.advance(DELAY);
    let world = World::over(clock, journal, catalog, settings).await.expect("it starts again");
    assert_eq!(world.status("s").await, Some(StreamStatus::Active), "before anyone can ask");
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_up() {
    let world = delayed().await;
    world.create("s", 1).await;
    yield_often().await;
    world.clock.set_wall(Timestamp::from_seconds(START - 100_000));
    world.pass(DELAY).await;
    world.until_active("s").await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    world.pass(DELAY).await;
    world.until_active("s").await;
    assert_whole(&world.shards("s").await);
}

#[tokio::test]
async fn consumers_pass_through_their_states() {
    let world = active(1).await;
    let consumer = world.register("s", "c").await.expect("it can be registered");
    let status =
        async || world.describe_consumer(&consumer.consumer_arn).await.map(|found| found.consumer_status);
    assert_eq!(status().await, Ok(ConsumerStatus::Creating));
    assert_eq!(world.status("s").await, Some(StreamStatus::Active), "the stream is not touched");
    let input = TagResourceInput {
        resource_arn: consumer.consumer_arn.clone(),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        ..TagResourceInput::default()
    };
    let text = format!(
        "Consumer c with creation timestamp {} under stream: s and account 123456789012 is not in ACTIVE status.",
        consumer.consumer_creation_timestamp.as_seconds()
    );
    assert_failure(world.streams.tag_resource(&call(), input.clone()).await, "ResourceInUseException", &text);
    world.pass(DELAY).await;
    assert_eq!(status().await, Ok(ConsumerStatus::Active));
    world.streams.tag_resource(&call(), input).await.expect("an ACTIVE consumer can be tagged");
    world.deregister(&consumer.consumer_arn).await.expect("it can be deregistered");
    assert_eq!(status().await, Ok(ConsumerStatus::Deleting));
    world.deregister(&consumer.consumer_arn).await.expect("twice is no error");
    let world = world.restart().await;
    assert_eq!(
        world.describe_consumer(&consumer.consumer_arn).await.map(|found| found.consumer_status),
        Ok(ConsumerStatus::Deleting)
    );
    world.pass(DELAY).await;
    let failure = world.describe_consumer(&consumer.consumer_arn).await.expect_err("it is gone");
    assert_eq!(failure.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_caller_who_goes_away_stops_nothing() {
    let world = World::new().await;
    world.create("s", 1).await;
    let input = SplitShardInput {
        stream_name: Some("s".to_owned()),
        shard_to_split: "shardId-0".to_owned(),
        new_starting_hash_key: "1000".to_owned(),
        ..SplitShardInput::default()
    };
    let call = call();
    let mut split = world.streams.split_shard(&call, input);
    // Begun, and dropped before it has answered.
    let mut context = Context::from_waker(Waker::noop());
    assert!(split.as_mut().poll(&mut context).is_pending());
    drop(split);
    yield_often().await;
    world.until_active("s").await;
    assert_eq!(world.shards("s").await.len(), 3);
}
