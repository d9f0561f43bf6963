//! GetShardIterator: the five types, their rules, and how long an iterator is good.

use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_system::Clock;
use thalweg_types::{ShardIndex, Timestamp};

use crate::calls::{From, parse};
use crate::world::{ACCOUNT, START, World, arn, assert_failure, call, settings};

const INVALID: &str = "InvalidArgumentException";
const NOT_FOUND: &str = "ResourceNotFoundException";

#[tokio::test]
async fn each_type_starts_where_it_says() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let mut numbers = Vec::new();
    for data in ["a", "b", "c"] {
        numbers.push(world.number_of("orders", "k", data.as_bytes()).await);
        world.clock.advance(Duration::from_secs(10));
    }
    let time = |seconds| From::time(Timestamp::from_seconds(START + seconds));
    for (from, expected) in [
        (From::HORIZON, "abc"),
        (From::LATEST, ""),
        (From::at(&numbers[0]), "abc"),
        (From::at(&numbers[2]), "c"),
        (From::after(&numbers[0]), "bc"),
        (From::after(&numbers[2]), ""),
        (From::at("0"), "abc"),
        (From::after("0"), "abc"),
        (time(-1_000_000_000), "abc"),
        (time(0), "abc"),
        (time(1), "bc"),
        (time(10), "bc"),
        (time(20), "c"),
        (time(21), ""),
        (time(30), ""),
    ] {
        let found = world.data_from("orders", "shardId-000000000000", from.clone()).await;
        assert_eq!(found.concat(), expected, "{from:?}");
    }
}

#[tokio::test]
async fn the_newest_place_is_fixed_when_it_is_asked_for() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "k", b"before").await.expect("it is taken");
    let iterator = world.iterator("orders", "shardId-0", From::LATEST).await;
    world.put("orders", "k", b"after").await.expect("it is taken");
    for _ in 0..2 {
        let output = world.get(&iterator).await;
        assert_eq!(output.records.len(), 1, "an iterator can be used again");
        assert_eq!(output.records[0].data, "after");
    }
}

#[tokio::test]
async fn shard_ids_need_no_padding_and_any_prefix_will_do() {
    let world = World::new().await;
    world.create("orders", 3).await;
    for shard in ["shardId-000000000002", "shardId-2", "x-2", "2", "-002"] {
        world.iterator("orders", shard, From::LATEST).await;
    }
}

#[tokio::test]
async fn a_shards_own_start_and_end_are_places() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    world.put("orders", "k", b"a").await.expect("it is taken");
    world.split("orders", "shardId-0", "170141183460469231731687303715884105728").await.expect("it is split");
    world.until_active("orders").await;
    let shards = world.shards("orders").await;
    let range = &shards[0].sequence_number_range;
    let end = range.ending_sequence_number.as_deref().expect("it was split");
    for (from, expected) in [
        (From::at(&range.starting_sequence_number), "a"),
        (From::after(&range.starting_sequence_number), "a"),
        (From::at(end), ""),
        (From::after(end), ""),
    ] {
        let found = world.data_from("orders", "shardId-0", from.clone()).await;
        assert_eq!(found.concat(), expected, "{from:?}");
    }
}

#[tokio::test]
async fn a_number_between_two_records_means_the_second() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let number = parse(&world.number_of("orders", "k", b"a").await);
    world.clock.advance(Duration::from_secs(10));
    world.put("orders", "k", b"b").await.expect("it is taken");
    let created = number.created();
    let between = thalweg_types::SequenceNumber::of_place(
        created,
        ShardIndex(0),
        1,
        Timestamp::from_seconds(START + 5),
    );
    for from in [From::at(&between.to_string()), From::after(&between.to_string())] {
        assert_eq!(world.data_from("orders", "shardId-0", from).await.concat(), "b");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_as_aws_says_it() {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.create("others", 2).await;
    let own = world.put("orders", "k", b"a").await.expect("it is taken");
    let other_shard = 1 - ShardIndex::parse(&own.shard_id).expect("a shard id").0;
    world.clock.advance(Duration::from_secs(100));
    world.delete("others").await.expect("it is deleted");
    world.pass(Duration::ZERO).await;
    world.create("others", 2).await;
    world.until_active("others").await;
    let foreign = &own.sequence_number;

    let either = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber \
                  or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified";
    let with = |from: From| From { number: Some("5".to_owned()), ..from };
    let without = |from: From| From { number: None, ..from };
    let far = "26227199374822427428162556223570313216";
    let now = Timestamp::from_seconds(START + 100);
    let future = Timestamp::from_millis(now.as_millis() + 1);
    let cases = [
        ("orders", "ABKLFD8", From::LATEST, NOT_FOUND, format!(
            "Could not find shard ABKLFD8 in stream orders under account {ACCOUNT}.")),
        ("missing", "2.14E4", From::LATEST, NOT_FOUND, format!(
            "Could not find shard 2.14E4 in stream missing under account {ACCOUNT}.")),
        ("missing", "2147483648", From::LATEST, NOT_FOUND, format!(
            "Could not find shard 2147483648 in stream missing under account {ACCOUNT}.")),
        ("missing", "a-00002147483647", From::LATEST, NOT_FOUND, format!(
            "Shard shardId-002147483647 in stream missing under account {ACCOUNT} does not exist")),
        ("orders", "shardId-5", From::at("5"), NOT_FOUND, format!(
            "Shard shardId-000000000005 in stream orders under account {ACCOUNT} does not exist")),
        ("orders", "shardId-0", without(From::at("5")), INVALID, format!(
            "{either} AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")),
        ("orders", "shardId-0", without(From::after("5")), INVALID, format!(
            "{either} AFTER_SEQUENCE_NUMBER and no StartingSequenceNumber.")),
        ("orders", "shardId-0", with(From::LATEST), INVALID, format!(
            "{either} LATEST and also a StartingSequenceNumber.")),
        ("orders", "shardId-0", with(From::HORIZON), INVALID, format!(
            "{either} TRIM_HORIZON and also a StartingSequenceNumber.")),
        ("orders", "shardId-0", with(From::time(now)), INVALID, format!(
            "{either} AT_TIMESTAMP and also a StartingSequenceNumber.")),
        ("orders", "shardId-0", From::at("5"), INVALID,
            "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a \
             shard with shardId-000000000000".to_owned()),
        ("orders", "shardId-0", From::at("49039857307708443467467104868809893875799651944235008002"), INVALID,
            "Invalid StartingSequenceNumber. It encodes shardId--02147483648, while it was used in a call to a \
             shard with shardId-000000000000".to_owned()),
        ("orders", &format!("shardId-{other_shard}"), From::after(foreign), INVALID, format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
            own.shard_id, ShardIndex(other_shard))),
        ("orders", "shardId-0", From::at(far), INVALID, format!(
            "StartingSequenceNumber {far} used in GetShardIterator on shard shardId-000000000000 in stream orders \
             under account {ACCOUNT} is invalid.")),
        ("others", &own.shard_id, From::at(foreign), INVALID, format!(
            "StartingSequenceNumber {foreign} used in GetShardIterator on shard {} in stream others under account \
             {ACCOUNT} is invalid because it did not come from this stream.", own.shard_id)),
        ("orders", "shardId-0", From { time: None, ..From::time(now) }, INVALID,
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
             timestamp parameter.".to_owned()),
        ("orders", "shardId-0", From::time(future), INVALID, format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {}, currentTimestampInMillis: {}", future.as_millis(), now.as_millis())),
    ];
    for (stream, shard, from, code, message) in cases {
        assert_failure(world.try_iterator(stream, shard, from).await, code, &message);
    }
}

#[tokio::test]
async fn a_stream_can_be_named_by_its_arn_and_a_dry_run_makes_nothing() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let input = |arn: Option<String>, dry_run| GetShardIteratorInput {
        stream_name: None,
        shard_id: "shardId-0".to_owned(),
        shard_iterator_type: ShardIteratorType::Latest,
        starting_sequence_number: None,
        timestamp: None,
        stream_arn: arn,
        stream_id: None,
        dry_run,
    };
    let by_arn = world.streams.get_shard_iterator(&call(), input(Some(arn("orders")), None)).await;
    assert!(by_arn.expect("it exists").shard_iterator.is_some());
    let dry = world.streams.get_shard_iterator(&call(), input(Some(arn("orders")), Some(true))).await;
    assert_eq!(dry.expect_err("a dry run").code, "DryRunOperationException");
    let missing = world.streams.get_shard_iterator(&call(), input(Some(arn("missing")), Some(true))).await;
    assert_failure(
        missing,
        NOT_FOUND,
        &format!("Shard shardId-000000000000 in stream missing under account {ACCOUNT} does not exist"),
    );
    let nothing = world.streams.get_shard_iterator(&call(), input(None, None)).await;
    assert_eq!(nothing.expect_err("no stream is named").code, INVALID);
}

#[tokio::test]
async fn an_iterator_ends_after_five_minutes_and_with_its_stream() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    world.clock.advance(Duration::from_millis(300_000));
    world.get(&iterator).await;
    world.get(&format!("\"{iterator}\"")).await;
    world.clock.advance(Duration::from_millis(1));
    assert_failure(
        world.try_get(&iterator, None).await,
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created at time Tue Nov 14 22:13:20 UTC 2023 while right now it is Tue \
         Nov 14 22:18:20 UTC 2023 which is further in the future than the tolerated delay of 300000 milliseconds.",
    );
    assert_failure(world.try_get("garbage", None).await, INVALID, "Invalid ShardIterator.");

    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let gone = format!("Shard shardId-000000000000 in stream orders under account {ACCOUNT} does not exist");
    world.delete("orders").await.expect("it is deleted");
    world.pass(Duration::ZERO).await;
    assert_failure(world.try_get(&iterator, None).await, NOT_FOUND, &gone);
    world.create("orders", 1).await;
    world.until_active("orders").await;
    world.put("orders", "k", b"new").await.expect("it is taken");
    assert_failure(world.try_get(&iterator, None).await, NOT_FOUND, &gone);
}

#[tokio::test]
async fn an_iterator_outlives_a_restart_and_no_other_installation_takes_it() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.put("orders", "k", b"ours").await.expect("it is taken");
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    // Alike in all but their randomness: the stream has the same name, id and shards, and the time is the same.
    let other = World::with_seed(2, settings()).await;
    other.create("orders", 1).await;
    other.put("orders", "k", b"theirs").await.expect("it is taken");
    let theirs = other.iterator("orders", "shardId-0", From::HORIZON).await;
    assert_eq!(world.clock.wall(), other.clock.wall());

    let world = world.restart().await;
    for (world, own, foreign, data) in
        [(&world, &iterator, &theirs, "ours"), (&other, &theirs, &iterator, "theirs")]
    {
        let records = world.get(own).await.records;
        assert_eq!(records.iter().map(|record| &record.data[..]).collect::<Vec<_>>(), [data.as_bytes()]);
        assert_failure(world.try_get(foreign, None).await, INVALID, "Invalid ShardIterator.");
    }
    // For the rest of its five minutes, and no longer.
    world.clock.advance(Duration::from_millis(300_000));
    let world = world.restart().await;
    assert_eq!(world.get(&iterator).await.records.len(), 1);
    world.clock.advance(Duration::from_millis(1));
    let expired = world.try_get(&iterator, None).await.expect_err("it is too old");
    assert_eq!(expired.code, "ExpiredIteratorException");
}
