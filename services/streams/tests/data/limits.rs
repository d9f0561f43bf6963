//! `--limits aws`: rates of shards, and what a call over them is answered. Without it there are none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_api::kinesis::{Kinesis, KinesisService};
use thalweg_api::{ANSWER_BYTES_LARGE, Service};
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;

use crate::calls::{From, entry};
use crate::world::{ACCOUNT, World, assert_failure, aws_limits, call};

const THROUGHPUT: &str = "ProvisionedThroughputExceededException";

fn rate_exceeded(shard: u32) -> String {
    format!("Rate exceeded for shard shardId-00000000000{shard} in stream orders under account {ACCOUNT}.")
}

async fn world() -> World {
    let world = World::with(aws_limits()).await;
    world.create("orders", 2).await;
    world.until_active("orders").await;
    world
}

/// All that a shard holds, from its beginning on.
async fn check_data(world: &World, shard: &str, expected: &[String]) {
    let found = world.data_from("orders", shard, From::HORIZON).await;
    let shown = |data: &[String]| -> Vec<_> {
        data.iter().map(|one| (one.len(), one[..one.len().min(20)].to_owned())).collect()
    };
    assert_eq!(shown(&found), shown(expected), "{shard}");
}

#[tokio::test]
async fn records_over_a_shards_rate_fail_one_by_one() {
    let world = world().await;
    let half = vec![0; (512 << 10) - 1];
    // "a" and "d" go to 0 and 1.
    let records = vec![
        entry("a", &half),
        entry("a", &half),
        entry("a", b"one too many"),
        entry("d", b"of another shard"),
        entry("a", b""),
    ];
    let output = world.put_many("orders", records).await.expect("the call itself succeeds");
    assert_eq!(output.failed_record_count, Some(2));
    let failed = PutRecordsResultEntry {
        error_code: Some(THROUGHPUT.to_owned()),
        error_message: Some(rate_exceeded(0)),
        ..PutRecordsResultEntry::default()
    };
    assert_eq!((&output.records[2], &output.records[4]), (&failed, &failed));
    for place in [0, 1, 3] {
        assert!(
            output.records[place].sequence_number.is_some() && output.records[place].error_code.is_none()
        );
    }
    assert_failure(world.put("orders", "a", b"x").await, THROUGHPUT, &rate_exceeded(0));
    world.put("orders", "d", b"x").await.expect("the other shard has room");
    world.clock.advance(Duration::from_secs(1));
    world.put("orders", "a", b"x").await.expect("a second later it has room");
    let all = vec![entry("a", &vec![0; (1 << 20) - 1]); 2];
    world.clock.advance(Duration::from_secs(1));
    let output = world.put_many("orders", all.clone()).await.expect("the call itself succeeds");
    assert_eq!(output.failed_record_count, Some(1));
    let output = world.put_many("orders", all).await.expect("the call itself succeeds");
    assert_eq!(output.failed_record_count, Some(2), "none of them was taken");
    // Nothing of what was refused is there, and what was taken is.
    let of_zeros = |length| "\0".repeat(length);
    let halves = [of_zeros(half.len()), of_zeros(half.len())];
    let expected = [&halves[..], &["x".to_owned(), of_zeros((1 << 20) - 1)]].concat();
    check_data(&world, "shardId-0", &expected).await;
    check_data(&world, "shardId-1", &["of another shard".to_owned(), "x".to_owned()]).await;
}

/// The story: an answer of 128 KiB was thrown away when there was no room for it, and its client sent again what was there.
#[tokio::test]
async fn what_puts_are_answered_is_never_thrown_away() {
    let name = "n".repeat(128);
    let world = World::with(aws_limits()).await;
    world.create(&name, 1).await;
    world.until_active(&name).await;
    let record = format!(r#"{{"PartitionKey":"a","Data":"{}"}}"#, "A".repeat(4096));
    let body =
        Bytes::from(format!(r#"{{"StreamName":"{name}","Records":[{}]}}"#, vec![record; 500].join(",")));
    let service = KinesisService(Arc::clone(&world.streams));
    let operation = service.operation("PutRecords").expect("the model has it");
    let call = call();
    let answer =
        service.hot(operation, &call, &body).expect("the hot path takes it").await.expect("some fit");
    let refused = answer.windows(THROUGHPUT.len()).filter(|part| *part == THROUGHPUT.as_bytes()).count();
    assert!((100..500).contains(&refused), "{refused}");
    // As if none had fitted.
    assert!(answer.len() / refused * 500 < ANSWER_BYTES_LARGE, "{} bytes", answer.len());
}

/// The story: the scanner once declined such bodies, and then left it to the decoder; PHP escapes every slash.
#[tokio::test]
async fn what_the_hot_path_gives_back_is_not_counted() {
    let world = world().await;
    let service = KinesisService(Arc::clone(&world.streams));
    for (operation, body) in [
        ("PutRecord", r#"{"StreamName":"orders","PartitionKey":"a","Data":"Pz8\/"}"#),
        ("PutRecord", r#"{"StreamName":"orders","PartitionKey":"a","Data":"YR=="}"#),
        ("PutRecords", r#"{"StreamName":"orders","Records":[{"PartitionKey":"a","Data":"Pz8\/"}]}"#),
    ] {
        let operation = service.operation(operation).expect("the model has it");
        for _ in 0..1_000 {
            assert!(service.hot(operation, &call(), &Bytes::from_static(body.as_bytes())).is_none());
        }
    }
    for _ in 0..2 {
        let output = world.put_many("orders", vec![entry("a", b""); 500]).await.expect("it succeeds");
        assert_eq!(output.failed_record_count, Some(0), "a thousand a second");
    }
}

#[tokio::test]
async fn shards_are_read_and_iterated_five_times_a_second() {
    let world = world().await;
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    for _ in 0..4 {
        world.iterator("orders", "shardId-0", From::LATEST).await;
    }
    let refused = world.try_iterator("orders", "shardId-0", From::LATEST).await;
    assert_failure(refused, THROUGHPUT, &rate_exceeded(0));
    world.iterator("orders", "shardId-1", From::LATEST).await;
    for _ in 0..5 {
        world.get(&iterator).await;
    }
    assert_failure(world.try_get(&iterator, None).await, THROUGHPUT, &rate_exceeded(0));
    world.clock.advance(Duration::from_millis(200));
    world.get(&iterator).await;
}

#[tokio::test]
async fn a_large_answer_is_followed_by_a_rest() {
    let world = world().await;
    let mebibyte = vec![0; (1 << 20) - 1];
    for _ in 0..4 {
        world.put("orders", "a", &mebibyte).await.expect("taken");
        world.clock.advance(Duration::from_secs(1));
    }
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    assert_eq!(world.get(&iterator).await.records.len(), 4);
    world.clock.advance(Duration::from_millis(1_000));
    assert_failure(world.try_get(&iterator, None).await, THROUGHPUT, &rate_exceeded(0));
    world.clock.advance(Duration::from_millis(1));
    world.get(&iterator).await;
}

#[tokio::test]
async fn a_consumer_subscribes_once_a_second() {
    let world = world().await;
    let consumer = world.register("orders", "billing").await.expect("registered").consumer_arn;
    crate::world::yield_often().await;
    let subscribe = async || -> Result<(), Failure> {
        let starting_position =
            StartingPosition { sequence_number: None, timestamp: None, type_: ShardIteratorType::Latest };
        let input = SubscribeToShardInput {
            consumer_arn: consumer.clone(),
            dry_run: None,
            shard_id: "shardId-0".to_owned(),
            starting_position,
            stream_id: None,
        };
        world.streams.subscribe_to_shard(&call(), input).await.map(drop)
    };
    subscribe().await.expect("the first");
    assert_failure(
        subscribe().await,
        "LimitExceededException",
        &format!(
            "Rate exceeded for consumer billing on shard shardId-000000000000 in stream orders under account \
             {ACCOUNT}."
        ),
    );
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(subscribe().await.expect_err("too early").code, "ResourceInUseException");
}

#[tokio::test]
async fn without_limits_there_are_none() {
    let world = World::new().await;
    world.create("orders", 1).await;
    let mebibyte = vec![0; (1 << 20) - 1];
    for _ in 0..3 {
        let output = world.put_many("orders", vec![entry("k", &mebibyte); 10]).await.expect("taken");
        assert_eq!(output.failed_record_count, Some(0));
    }
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    for _ in 0..20 {
        world.get(&iterator).await;
        world.iterator("orders", "shardId-0", From::LATEST).await;
    }
}
