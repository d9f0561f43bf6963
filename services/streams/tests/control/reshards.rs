//! Splits, merges and new shard counts: what comes of them, and what the journal knows.

use thalweg_journal::RunOutcome;
use thalweg_model::kinesis::*;
use thalweg_types::{SequenceNumber, Timestamp};

use crate::world::*;

#[tokio::test]
async fn a_split_closes_the_parent_and_opens_two() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.append(1, 0).await;
    world.append(1, 0).await;
    world.clock.advance(hours(1));
    world.split("s", "shardId-000000000000", "1000").await.expect("it can be split");
    let shards = world.shards("s").await;
    assert_whole(&shards);
    let parent = Some("shardId-000000000000".to_owned());
    let lines: Vec<_> = shards
        .iter()
        .map(|shard| {
            let range = &shard.hash_key_range;
            (&shard.parent_shard_id, range.starting_hash_key.as_str(), range.ending_hash_key.as_str())
        })
        .collect();
    let end = "340282366920938463463374607431768211455";
    assert_eq!(lines, [(&None, "0", end), (&parent, "0", "999"), (&parent, "1000", end)]);
    let ending = shards[0].sequence_number_range.ending_sequence_number.as_ref().expect("it is closed");
    let ending = SequenceNumber::parse(ending).expect("well formed");
    assert!(ending.is_shard_end());
    assert_eq!(ending.arrival().as_seconds(), u64::try_from(START + 3600).expect("after the epoch"));
    assert_eq!(world.append(1, 0).await, RunOutcome::ShardClosed);
    assert!(matches!(world.append(1, 1).await, RunOutcome::Placed { .. }));
    assert_eq!(world.journal.tail(key(1, 0)).expect("it exists").next, 2);
    assert_eq!(world.status("s").await, Some(StreamStatus::Active));
}

#[tokio::test]
async fn a_merge_joins_two_neighbours_in_order() {
    let world = World::new().await;
    world.create("s", 3).await;
    assert_failure(
        world.merge("s", "x-1", "x-0").await,
        "InvalidArgumentException",
        "Shards shardId-000000000001 and shardId-000000000000 in stream s under account 123456789012 are not an \
         adjacent pair of shards eligible for merging",
    );
    world.merge("s", "x-0", "x-1").await.expect("they are neighbours");
    let shards = world.shards("s").await;
    assert_whole(&shards);
    let child = &shards[3];
    assert_eq!(child.parent_shard_id.as_deref(), Some("shardId-000000000000"));
    assert_eq!(child.adjacent_parent_shard_id.as_deref(), Some("shardId-000000000001"));
    assert_eq!(child.hash_key_range.starting_hash_key, "0");
    for shard in [0, 1] {
        assert_eq!(world.append(1, shard).await, RunOutcome::ShardClosed);
    }
}

#[tokio::test]
async fn a_new_count_ends_with_the_totals_recorded_on_aws() {
    for (open, target, total) in [(2, 4, 6), (4, 5, 15), (10, 13, 37), (4, 2, 6), (5, 3, 7)] {
        let world = World::new().await;
        world.create("s", open).await;
        let output = world.update_shard_count("s", target).await.expect("within the rules");
        assert_eq!((output.current_shard_count, output.target_shard_count), (Some(open), Some(target)));
        assert_eq!((output.stream_name, output.stream_arn), (Some("s".to_owned()), Some(arn("s"))));
        let shards = world.shards("s").await;
        assert_eq!(shards.len(), total, "{open} to {target}");
        assert_whole(&shards);
        assert_eq!(world.summary("s").await.expect("it exists").open_shard_count, target);
        assert_eq!(world.status("s").await, Some(StreamStatus::Active));
    }
}

#[tokio::test]
async fn the_same_count_changes_nothing() {
    let world = World::new().await;
    world.create("s", 3).await;
    world.update_shard_count("s", 3).await.expect("within the rules");
    assert_eq!(world.shards("s").await.len(), 3);
}

#[tokio::test]
async fn many_splits_within_a_second_keep_numbers_rising() {
    let world = World::new().await;
    world.create("s", 1).await;
    for generation in 0..5 {
        let shard = world.shards("s").await.pop().expect("the newest");
        let range = &shard.hash_key_range;
        let number = |text: &str| text.parse::<u128>().expect("a hash key");
        let (start, end) = (number(&range.starting_hash_key), number(&range.ending_hash_key));
        let at = (start + (end - start) / 2).to_string();
        world.split("s", &shard.shard_id, &at).await.expect("it can be split");
        let shards = world.shards("s").await;
        assert_whole(&shards);
        let newest =
            shards.last().expect("the newest").sequence_number_range.starting_sequence_number.clone();
        let created = SequenceNumber::parse(&newest).expect("well formed").created().as_seconds();
        let expected = u64::try_from(START + 1 + generation).expect("after the epoch");
        assert_eq!(created, expected, "one second after its parent, though no time passed");
    }
}

#[tokio::test]
async fn times_of_shards_follow_each_other_though_the_clock_is_set_back() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.append(1, 0).await;
    world.clock.set_wall(Timestamp::from_seconds(START - 1000));
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    world.clock.set_wall(Timestamp::from_seconds(START - 2000));
    world.merge("s", "shardId-1", "shardId-2").await.expect("they are neighbours");
    let shards = world.shards("s").await;
    assert_whole(&shards);
    for shard in &shards[..3] {
        let ending = shard.sequence_number_range.ending_sequence_number.as_ref().expect("it is closed");
        let ending = SequenceNumber::parse(ending).expect("well formed");
        assert_eq!(ending.arrival(), Timestamp::from_seconds(START), "{}", shard.shard_id);
    }
}

/// What a record that is put into a shard arrives at.
async fn arrival(world: &World, shard: u32) -> Timestamp {
    match world.append(1, shard).await {
        RunOutcome::Placed { arrival, .. } => arrival,
        other => panic!("shard {shard} is open: {other:?}"),
    }
}

#[tokio::test]
async fn arrival_times_do_not_go_back_from_parents_to_children() {
    let at = |seconds: i64| Timestamp::from_seconds(START + seconds);
    let world = World::new().await;
    world.create("s", 1).await;
    assert_eq!(arrival(&world, 0).await, at(0));
    world.clock.set_wall(at(-1000));
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    assert_eq!(arrival(&world, 1).await, at(0));
    world.clock.set_wall(at(500));
    assert_eq!(arrival(&world, 2).await, at(500));
    world.clock.set_wall(at(-2000));
    world.merge("s", "shardId-1", "shardId-2").await.expect("they are neighbours");
    assert_eq!(arrival(&world, 3).await, at(500));
    world.update_shard_count("s", 2).await.expect("it can be split");
    let world = world.restart().await;
    for shard in [4, 5] {
        assert_eq!(arrival(&world, shard).await, at(500));
    }
}
