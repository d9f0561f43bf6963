//! GetRecords: how much comes, how far behind it is, and what is at the end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_api::kinesis::{Kinesis, KinesisService};
use thalweg_api::{Call, Service};
use thalweg_model::kinesis::*;
use thalweg_types::Timestamp;

use crate::calls::{From, entry};
use crate::world::{START, World, arn, assert_failure, call, hours};

#[tokio::test]
async fn records_come_back_as_they_were_put() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let put =
        world.put_many("orders", vec![entry("ключ", b"\x00\xff"), entry("k", b"")]).await.expect("taken");
    assert_eq!(put.failed_record_count, Some(0));
    let records = world.records_from("orders", "shardId-0", From::HORIZON).await;
    let expected = |place: usize, key: &str, data: &'static [u8]| Record {
        approximate_arrival_timestamp: Some(Timestamp::from_seconds(START)),
        data: data.into(),
        encryption_type: None,
        partition_key: Some(key.to_owned()),
        sequence_number: put.records[place].sequence_number.clone().expect("placed"),
    };
    assert_eq!(records, [expected(0, "ключ", b"\x00\xff"), expected(1, "k", b"")]);
}

/// The story: hundreds of readers asked for 10 MiB each, and nearly all of what was read and encoded was thrown away.
#[tokio::test]
async fn an_answer_is_smaller_where_others_hold_much_of_the_memory_for_answers() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for data in [vec![0; 10_000], vec![0; 10]] {
        world.put_many("orders", vec![entry("k", &data); 300]).await.expect("taken");
    }
    let service = KinesisService(Arc::clone(&world.streams));
    let operation = service.operation("GetRecords").expect("the model has it");
    let room = 512 << 10;
    let call = Call { room: Arc::new(room), ..call() };
    let mut next = Some(world.iterator("orders", "shardId-0", From::HORIZON).await);
    let mut counts = Vec::new();
    while let Some(iterator) = next {
        let body = Bytes::from(format!(r#"{{"ShardIterator":"{iterator}"}}"#));
        let answer =
            service.hot(operation, &call, &body).expect("the hot path takes it").await.expect("found");
        assert!(answer.len() <= room, "{}", answer.len());
        let input = GetRecordsInput { shard_iterator: iterator, ..GetRecordsInput::default() };
        let output = world.streams.get_records(&call, input).await.expect("found");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        let count = answer["Records"].as_array().map_or(0, Vec::len);
        assert_eq!(count, output.records.len(), "both paths");
        counts.push(count);
        next = output.next_shard_iterator.filter(|_| output.millis_behind_latest != Some(0));
    }
    assert_eq!(counts.iter().sum::<usize>(), 600, "all of them, if in more answers: {counts:?}");
    assert!(counts.len() > 10, "{counts:?}");
}

#[tokio::test]
async fn an_answer_keeps_to_its_limits_and_brings_at_least_one_record() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let mebibyte = vec![0; (1 << 20) - 1];
    for _ in 0..2 {
        let records = (0..7).map(|_| entry("k", &mebibyte)).collect();
        world.put_many("orders", records).await.expect("taken");
    }
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let first = world.get(&iterator).await;
    assert_eq!(first.records.len(), 10, "10 MiB, keys included");
    let second = world.get(first.next_shard_iterator.as_deref().expect("the shard goes on")).await;
    assert_eq!((second.records.len(), second.millis_behind_latest), (4, Some(0)));

    for (limit, expected) in [(1, 1), (3, 3), (10_000, 10)] {
        let output = world.try_get(&iterator, Some(limit)).await.expect("the iterator is good");
        assert_eq!(output.records.len(), expected, "{limit}");
    }

    world.create("large", 1).await;
    let input = UpdateMaxRecordSizeInput {
        stream_arn: Some(arn("large")),
        max_record_size_in_kib: 10_240,
        ..UpdateMaxRecordSizeInput::default()
    };
    world.streams.update_max_record_size(&call(), input).await.expect("it may be so large");
    world.until_active("large").await;
    let largest = vec![7; (10 << 20) - 1];
    world.put("large", "k", &largest).await.expect("taken");
    let iterator = world.iterator("large", "shardId-0", From::HORIZON).await;
    let output = world.try_get(&iterator, Some(10)).await.expect("the iterator is good");
    assert_eq!(output.records[0].data, largest);
}

#[tokio::test]
async fn a_reader_knows_how_far_behind_it_is() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for _ in 0..3 {
        world.put("orders", "k", b"data").await.expect("taken");
        world.clock.advance(Duration::from_secs(10));
    }
    let mut iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    for expected in [30_000, 20_000, 0, 0] {
        let output = world.try_get(&iterator, Some(1)).await.expect("the iterator is good");
        assert_eq!(output.millis_behind_latest, Some(expected));
        iterator = output.next_shard_iterator.expect("the shard goes on");
    }
}

#[tokio::test]
async fn every_answer_has_a_new_iterator() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let first = world.iterator("orders", "shardId-0", From::LATEST).await;
    let second = world.get(&first).await.next_shard_iterator.expect("the shard goes on");
    assert_ne!(first, second);
    world.clock.advance(Duration::from_secs(299));
    let third = world.get(&second).await.next_shard_iterator.expect("the shard goes on");
    world.clock.advance(Duration::from_secs(299));
    world.get(&third).await;
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_gone_to_the_record() {
    let world = World::new().await;
    world.create("orders", 1).await;
    for data in ["a", "b", "c"] {
        world.put("orders", "k", data.as_bytes()).await.expect("taken");
        world.clock.advance(hours(1));
    }
    world.clock.advance(hours(22) - Duration::from_millis(1));
    // Now it is 25 hours less a moment after the first: only that one is too old.
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await.concat(), "bc");
    let time = From::time(Timestamp::from_seconds(START));
    assert_eq!(world.data_from("orders", "shardId-0", time).await.concat(), "bc");
    world.clock.advance(hours(30));
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let output = world.get(&iterator).await;
    assert_eq!((output.records.len(), output.millis_behind_latest), (0, Some(0)));
    assert!(output.next_shard_iterator.is_some());
}

#[tokio::test]
async fn a_place_that_was_trimmed_goes_on_with_what_is_left() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.until_active("orders").await;
    let first = world.number_of("orders", "k", b"a").await;
    let horizon = world.iterator("orders", "shardId-0", From::HORIZON).await;
    for data in ["b", "c"] {
        world.put("orders", "k", data.as_bytes()).await.expect("taken");
    }
    let (shard, _) = world.journal.shards()[0];
    world.journal.trim(&[(shard, 2)]).await.expect("it is trimmed");
    assert_eq!(world.get(&horizon).await.records[0].data, "c");
    for from in [From::at(&first), From::after(&first), From::HORIZON] {
        assert_eq!(world.data_from("orders", "shardId-0", from).await.concat(), "c");
    }
}

#[tokio::test]
async fn a_shard_ends_with_its_children() {
    let world = World::new().await;
    world.create("orders", 2).await;
    world.until_active("orders").await;
    world.put("orders", "a", b"a").await.expect("taken");
    let open = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let output = world.get(&open).await;
    assert_eq!((output.records.len(), output.child_shards), (1, None));
    world.split("orders", "shardId-0", "5").await.expect("it is split");
    world.until_active("orders").await;
    let output = world.get(&open).await;
    assert_eq!((output.records.len(), output.next_shard_iterator), (1, None));
    assert_eq!(output.millis_behind_latest, Some(0));
    let child = |id: &str, parents: &[&str], start: &str, end: &str| ChildShard {
        shard_id: id.to_owned(),
        parent_shards: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        hash_key_range: HashKeyRange { starting_hash_key: start.to_owned(), ending_hash_key: end.to_owned() },
    };
    let middle = "170141183460469231731687303715884105727";
    let expected = [
        child("shardId-000000000002", &["shardId-000000000000"], "0", "4"),
        child("shardId-000000000003", &["shardId-000000000000"], "5", middle),
    ];
    assert_eq!(output.child_shards.as_deref(), Some(expected.as_slice()));
    // Half of it: not the end yet.
    world.merge("orders", "shardId-2", "shardId-3").await.expect("they are merged");
    world.until_active("orders").await;
    let merged = world.iterator("orders", "shardId-3", From::HORIZON).await;
    let expected =
        [child("shardId-000000000004", &["shardId-000000000002", "shardId-000000000003"], "0", middle)];
    assert_eq!(world.get(&merged).await.child_shards.as_deref(), Some(expected.as_slice()));
    let still = world.try_get(&open, Some(1)).await.expect("the iterator is good");
    assert!(still.next_shard_iterator.is_none(), "the only record is the last one");
}

#[tokio::test]
async fn the_arn_in_a_request_names_the_iterators_stream() {
    let world = World::new().await;
    world.create("orders", 1).await;
    world.create("others", 1).await;
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    let get = |stream: &str, dry_run| GetRecordsInput {
        shard_iterator: iterator.clone(),
        stream_arn: Some(arn(stream)),
        dry_run,
        ..GetRecordsInput::default()
    };
    world.streams.get_records(&call(), get("orders", None)).await.expect("its own");
    let others = arn("others");
    assert_failure(
        world.streams.get_records(&call(), get("others", None)).await,
        "InvalidArgumentException",
        &format!("StreamARN {others} does not name the stream of the ShardIterator."),
    );
    let missing = world.streams.get_records(&call(), get("missing", None)).await;
    assert_eq!(missing.expect_err("no such stream").code, "ResourceNotFoundException");
    let dry = world.streams.get_records(&call(), get("orders", Some(true))).await;
    assert_eq!(dry.expect_err("a dry run").code, "DryRunOperationException");
}
