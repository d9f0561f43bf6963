//! The official Rust SDK against the running server: what a producer and a consumer written with it see.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the SDK brings its own clock and hashing"
)]

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, ShardFilter, ShardFilterType, ShardIteratorType, StartingPosition,
    StreamStatus,
};
use thalweg_conformance::{Server, ServerOptions};

fn client(server: &Server) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", server.address))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .build();
    Client::from_conf(config)
}

async fn iterator(client: &Client, shard: &str, kind: ShardIteratorType) -> String {
    let answer =
        client.get_shard_iterator().stream_name("s").shard_id(shard).shard_iterator_type(kind).send().await;
    answer.expect("an iterator").shard_iterator.expect("an iterator")
}

#[tokio::test]
async fn records_come_back_in_order_through_a_split_to_the_end_of_the_shard() {
    let server = Server::start(ServerOptions::default()).await;
    let client = client(&server);
    client.create_stream().stream_name("s").shard_count(1).send().await.expect("created");
    let summary = client.describe_stream_summary().stream_name("s").send().await.expect("described");
    let summary = summary.stream_description_summary.expect("a summary");
    assert_eq!(summary.stream_status, StreamStatus::Active);
    assert_eq!(summary.open_shard_count, 1);

    let entry = |number: usize| {
        PutRecordsRequestEntry::builder()
            .data(Blob::new(format!("record {number}")))
            .partition_key(format!("key-{}", number % 7))
            .build()
            .expect("complete")
    };
    let mut numbers = Vec::new();
    for batch in 0..10 {
        let entries = (0..100).map(|index| entry(batch * 100 + index)).collect();
        let answer =
            client.put_records().stream_name("s").set_records(Some(entries)).send().await.expect("put");
        assert_eq!(answer.failed_record_count, Some(0));
        numbers.extend(answer.records.into_iter().map(|record| record.sequence_number.expect("a number")));
    }
    assert!(numbers.is_sorted(), "one producer's numbers grow");

    let mut next = Some(iterator(&client, "shardId-000000000000", ShardIteratorType::TrimHorizon).await);
    client
        .split_shard()
        .stream_name("s")
        .shard_to_split("shardId-000000000000")
        .new_starting_hash_key("170141183460469231731687303715884105728")
        .send()
        .await
        .expect("split");
    let mut read = Vec::new();
    let mut children = 0;
    while let Some(current) = next {
        let answer = client.get_records().shard_iterator(current).limit(170).send().await.expect("records");
        for record in &answer.records {
            assert_eq!(record.data.as_ref(), format!("record {}", read.len()).as_bytes());
            read.push(record.sequence_number.clone());
        }
        children = answer.child_shards().len();
        next = answer.next_shard_iterator;
    }
    assert_eq!(read, numbers);
    assert_eq!(children, 2);

    let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().expect("complete");
    let open = client.list_shards().stream_name("s").shard_filter(open).send().await.expect("listed");
    assert_eq!(open.shards().len(), 2);
    client
        .update_shard_count()
        .stream_name("s")
        .target_shard_count(4)
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await
        .expect("scaled");
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_pushes_what_is_put_while_it_is_open() {
    let server = Server::start(ServerOptions::default()).await;
    let client = client(&server);
    client.create_stream().stream_name("s").shard_count(1).send().await.expect("created");
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let consumer = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("c")
        .send()
        .await
        .expect("registered");
    let put = async |data: &str| {
        let put = client.put_record().stream_name("s").partition_key("k").data(Blob::new(data)).send().await;
        put.expect("put").sequence_number
    };
    put("before").await;
    let mut subscription = client
        .subscribe_to_shard()
        .consumer_arn(consumer.consumer.expect("a consumer").consumer_arn)
        .shard_id("shardId-000000000000")
        .starting_position(
            StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().expect("complete"),
        )
        .send()
        .await
        .expect("subscribed");
    let mut seen = Vec::new();
    let mut last = String::new();
    while seen.len() < 2 {
        let event = subscription.event_stream.recv().await.expect("a frame").expect("the stream goes on");
        let event = event.as_subscribe_to_shard_event().expect("a known event").clone();
        for record in &event.records {
            seen.push(String::from_utf8(record.data.as_ref().to_vec()).expect("text"));
        }
        event.continuation_sequence_number.clone_into(&mut last);
        if seen.len() == 1 {
            assert!(put("while").await >= last);
        }
    }
    assert_eq!(seen, ["before", "while"]);
    server.stop().await;
}

#[tokio::test]
async fn errors_arrive_as_their_modelled_types() {
    let server = Server::start(ServerOptions::default()).await;
    let client = client(&server);
    let error = client.describe_stream().stream_name("missing").send().await.expect_err("there is none");
    let error = error.into_service_error();
    assert!(error.is_resource_not_found_exception());
    assert_eq!(error.message(), Some("Stream missing under account 000000000000 not found."));
    let error =
        client.create_stream().stream_name("a b").shard_count(1).send().await.expect_err("a bad name");
    assert_eq!(error.code(), Some("ValidationException"));
    client.create_stream().stream_name("s").shard_count(1).send().await.expect("created");
    let stale = iterator(&client, "shardId-000000000000", ShardIteratorType::Latest).await;
    server.advance(Duration::from_secs(301));
    let error =
        client.get_records().shard_iterator(stale).send().await.expect_err("too old").into_service_error();
    assert!(error.is_expired_iterator_exception());
    server.stop().await;
}
