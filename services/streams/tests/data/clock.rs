//! A wall clock that the journal doubts: nothing is trimmed or forgotten because of its age, and little is hidden.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_system::Clock;
use thalweg_types::Timestamp;

use crate::calls::From;
use crate::watched::{WatchedJournal, watched_world};
use crate::world::{START, World, call, hours};

/// A world whose journal doubts the clock when it is told to; with a stream "orders" of three records.
async fn world() -> (World, Arc<WatchedJournal>) {
    let (world, journal) = watched_world().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    for data in ["a", "b", "c"] {
        world.put("orders", "k", data.as_bytes()).await.expect("taken");
    }
    (world, journal)
}

pub(crate) async fn increase(world: &World, hours: i32) -> Result<(), Failure> {
    let input = IncreaseStreamRetentionPeriodInput {
        stream_name: Some("orders".to_owned()),
        retention_period_hours: hours,
        ..IncreaseStreamRetentionPeriodInput::default()
    };
    world.streams.increase_stream_retention_period(&call(), input).await
}

pub(crate) async fn decrease(world: &World, hours: i32) -> Result<(), Failure> {
    let input = DecreaseStreamRetentionPeriodInput {
        stream_name: Some("orders".to_owned()),
        retention_period_hours: hours,
        ..DecreaseStreamRetentionPeriodInput::default()
    };
    world.streams.decrease_stream_retention_period(&call(), input).await
}

/// Sets the wall clock ahead; the monotonic one stays.
fn jump(world: &World, by: Duration) {
    world.clock.set_wall(world.clock.wall().plus(by));
}

#[tokio::test]
async fn records_come_while_the_clock_is_in_doubt_and_iterators_pass_over_none() {
    let (world, journal) = world().await;
    journal.doubts.store(true, Ordering::Relaxed);
    jump(&world, hours(48));
    let first = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let output = world.try_get(&first, Some(1)).await.expect("the iterator is good");
    assert_eq!(output.records.len(), 1, "older than the retention by the clock that jumped");
    assert_eq!(output.records[0].data.as_ref(), b"a");
    let next = output.next_shard_iterator.expect("the shard goes on");
    assert_eq!(world.get(&next).await.records.len(), 2, "the others follow");
    let time = From::time(Timestamp::from_seconds(START));
    assert_eq!(world.data_from("orders", "shardId-0", time).await.concat(), "abc");
    // Once it is believed, they are gone.
    journal.doubts.store(false, Ordering::Relaxed);
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.concat(), "");
}

#[tokio::test]
async fn closed_shards_stay_while_the_clock_is_in_doubt() {
    let (world, journal) = world().await;
    world.split("orders", "shardId-0", "9").await.expect("it is split");
    world.until_active("orders").await;
    journal.doubts.store(true, Ordering::Relaxed);
    jump(&world, hours(48));
    let described = || async {
        let input =
            DescribeStreamInput { stream_name: Some("orders".to_owned()), ..DescribeStreamInput::default() };
        let output = world.streams.describe_stream(&call(), input).await.expect("it exists");
        output.stream_description.shards.len()
    };
    assert_eq!((world.shards("orders").await.len(), described().await), (3, 3));
    // The sweep's own watch on the clock gives in after an hour; the journal's doubt does not.
    for _ in 0..3 {
        world.streams.sweep().await;
        world.clock.advance(hours(1));
    }
    world.streams.sweep().await;
    let rows = world.catalog.scan(b"streams/shard/", None, 10).await.expect("the catalog answers");
    assert_eq!(rows.len(), 3, "none is forgotten");
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.concat(), "abc");
    journal.doubts.store(false, Ordering::Relaxed);
    assert_eq!((world.shards("orders").await.len(), described().await), (2, 2));
    world.streams.sweep().await;
    let rows = world.catalog.scan(b"streams/shard/", None, 10).await.expect("the catalog answers");
    assert_eq!(rows.len(), 2, "it is forgotten now");
}

#[tokio::test]
async fn a_change_of_retention_that_would_trim_is_refused_while_the_clock_is_in_doubt() {
    let (world, journal) = world().await;
    journal.doubts.store(true, Ordering::Relaxed);
    let right = world.clock.wall();
    increase(&world, 30).await.expect("nothing is too old by this clock");
    world.until_active("orders").await;
    jump(&world, hours(48));
    for refused in [increase(&world, 48).await, decrease(&world, 24).await] {
        let failure = refused.expect_err("it would trim");
        assert_eq!((failure.code, failure.status), ("LimitExceededException", 400));
        assert!(failure.message.contains("clock jumped ahead"), "{}", failure.message);
    }
    let summary = world.summary("orders").await.expect("it exists");
    assert_eq!(summary.retention_period_hours, 30, "nothing was changed");
    world.clock.set_wall(right);
    journal.doubts.store(false, Ordering::Relaxed);
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.concat(), "abc");
    increase(&world, 48).await.expect("the clock is right");
    world.until_active("orders").await;
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.concat(), "abc");
}

/// They are hidden, and a longer period would forget them: those without records, too, of which nothing is to be trimmed.
#[tokio::test]
async fn a_longer_retention_forgets_no_closed_shards_while_the_clock_is_in_doubt() {
    let (world, journal) = watched_world().await;
    let start = world.clock.wall();
    world.clock.set_wall(start.minus(hours(30)));
    world.create("orders", 1).await;
    world.split("orders", "shardId-0", "9").await.expect("it is split");
    world.until_active("orders").await;
    world.clock.set_wall(start);
    journal.doubts.store(true, Ordering::Relaxed);
    assert_eq!(world.shards("orders").await.len(), 2, "the parent is hidden");
    let failure = increase(&world, 48).await.expect_err("it would be forgotten");
    assert_eq!((failure.code, failure.status), ("LimitExceededException", 400));
    let rows = world.catalog.scan(b"streams/shard/", None, 10).await.expect("the catalog answers");
    assert_eq!(rows.len(), 3);
    journal.doubts.store(false, Ordering::Relaxed);
    increase(&world, 48).await.expect("the clock is right");
    assert_eq!(world.shards("orders").await.len(), 2, "it does not come back");
}
