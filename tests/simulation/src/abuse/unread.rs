//! Answers and events that nobody reads.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::frames::{self, Wire};
use super::scene::Scene;
use crate::client::{exchange, request};

/// Together one answer of GetRecords: 10 MiB, which JSON makes 13.4 MiB of.
const RECORDS: usize = 10;
const RECORD_BYTES: usize = 1_048_000;
/// Consumers that a stream may have.
pub(super) const CONSUMERS: usize = 20;
const SHARDS: usize = 4;
/// Shards of the stream in which no two subscriptions stand at the same place.
pub(super) const SHARDS_APART: usize = 32;
/// Requests on a connection.
const PIPELINED: usize = 8;

/// GetRecords of 10 MiB, several on each HTTP/1.1 connection.
pub(super) async fn answers_http1(scene: Arc<Scene>) {
    let get = large_get(&scene).await;
    let get = request("GetRecords", &get).repeat(PIPELINED);
    scene
        .run_each(scene.count(40, 200), |scene, _| {
            let get = get.clone();
            async move {
                let mut stream = scene.connect().await;
                let _ = stream.write_all(get.as_bytes()).await;
                hold(stream).await;
            }
        })
        .await;
}

/// The same over HTTP/2, to clients that give no window, or just a byte for each answer.
pub(super) async fn answers_http2(scene: Arc<Scene>) {
    let get = large_get(&scene).await.to_string();
    scene
        .run_each(scene.count(2, 10), |scene, number| {
            let get = get.clone();
            async move {
                let window = number as u32 % 2;
                let mut wire = Wire::open(&scene, &[(frames::INITIAL_WINDOW_SIZE, window)]).await;
                for stream in frames::stream_ids().take(100) {
                    wire.request(stream, "GetRecords", get.as_bytes()).await;
                }
                hold(wire).await;
            }
        })
        .await;
}

/// Small answers to clients without a window, as many as there may be streams.
pub(super) async fn small_answers_http2(scene: Arc<Scene>) {
    scene
        .run_each(scene.count(20, 200), |scene, _| async move {
            let mut wire = Wire::open(&scene, &[(frames::INITIAL_WINDOW_SIZE, 0)]).await;
            for stream in frames::stream_ids().take(128) {
                wire.request(stream, "ListShards", br#"{"StreamName":"abuse"}"#).await;
            }
            hold(wire).await;
        })
        .await;
}

/// Subscriptions over HTTP/1.1, while there is much to deliver.
pub(super) async fn subscribers_http1(scene: Arc<Scene>) {
    let consumers = register_consumers(&scene, "abuse", CONSUMERS).await;
    scene
        .run_each(CONSUMERS * SHARDS + 1, |scene, number| {
            let subscribe = subscription(&consumers, number);
            async move {
                let Some(subscribe) = subscribe else { return put_much(&scene).await };
                let mut stream = scene.connect().await;
                let _ = stream.write_all(request("SubscribeToShard", &subscribe).as_bytes()).await;
                hold(stream).await;
            }
        })
        .await;
}

/// Subscriptions over HTTP/2, all of a consumer's on one connection with the window that the standard gives.
pub(super) async fn subscribers_http2(scene: Arc<Scene>) {
    let consumers = register_consumers(&scene, "abuse", CONSUMERS).await;
    scene
        .run_each(CONSUMERS + 1, |scene, number| {
            let subscriptions: Vec<Value> =
                (0..SHARDS).filter_map(|shard| subscription(&consumers, number * SHARDS + shard)).collect();
            async move {
                if subscriptions.is_empty() {
                    return put_much(&scene).await;
                }
                let mut wire = Wire::open(&scene, &[]).await;
                for (stream, subscribe) in frames::stream_ids().zip(&subscriptions) {
                    wire.request(stream, "SubscribeToShard", subscribe.to_string().as_bytes()).await;
                }
                hold(wire).await;
            }
        })
        .await;
}

/// Subscriptions that all stand at another place, so that each has an event of a megabyte for itself, over HTTP/2 to clients
/// that give a window of a byte for each stream.
pub(super) async fn subscribers_apart(scene: Arc<Scene>) {
    let consumers = register_consumers(&scene, "apart", CONSUMERS).await;
    let mut numbers = Vec::new();
    for shard in 0..SHARDS_APART {
        numbers.push(fill(&scene, shard).await);
    }
    scene
        .run_each(CONSUMERS, |scene, number| {
            let subscriptions: Vec<Value> = (0..SHARDS_APART)
                .map(|shard| {
                    json!({
                        "ConsumerARN": consumers[number],
                        "ShardId": format!("shardId-{shard:012}"),
                        "StartingPosition":
                            {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[shard][number]},
                    })
                })
                .collect();
            async move {
                // Without a byte of it the first events would not be asked for.
                let mut wire = Wire::open(&scene, &[(frames::INITIAL_WINDOW_SIZE, 1)]).await;
                for (stream, subscribe) in frames::stream_ids().zip(&subscriptions) {
                    wire.request(stream, "SubscribeToShard", subscribe.to_string().as_bytes()).await;
                }
                hold(wire).await;
            }
        })
        .await;
}

/// Puts a record for each consumer into a shard of the stream `apart`; answers their numbers.
async fn fill(scene: &Scene, shard: usize) -> Vec<String> {
    let hash = (u128::MAX / SHARDS_APART as u128 * shard as u128 + u128::MAX / 100).to_string();
    let data = base64_simd::STANDARD.encode_to_string(vec![b'a'; RECORD_BYTES]);
    let mut numbers = Vec::new();
    for _ in 0..CONSUMERS {
        let body = json!({"StreamName": "apart", "PartitionKey": "a", "ExplicitHashKey": hash, "Data": data});
        let answer = scene.must("PutRecord", &body).await;
        numbers.push(answer["SequenceNumber"].as_str().expect("a number").to_owned());
    }
    numbers
}

/// The subscription of this number, if there is one.
fn subscription(consumers: &[String], number: usize) -> Option<Value> {
    let consumer = consumers.get(number / SHARDS)?;
    Some(json!({
        "ConsumerARN": consumer,
        "ShardId": format!("shardId-{:012}", number % SHARDS),
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    }))
}

/// Registers consumers of one of the abusers' streams; answers their ARNs.
pub(super) async fn register_consumers(scene: &Scene, stream: &str, count: usize) -> Vec<String> {
    let described = scene.must("DescribeStreamSummary", &json!({"StreamName": stream})).await;
    let stream = &described["StreamDescriptionSummary"]["StreamARN"];
    let mut consumers = Vec::new();
    for number in 0..count {
        let body = json!({"StreamARN": stream, "ConsumerName": format!("consumer-{number}")});
        let registered = scene.must("RegisterStreamConsumer", &body).await;
        consumers.push(registered["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned());
    }
    consumers
}

/// Puts records of 100 KB to all shards, 10 MB in a second.
async fn put_much(scene: &Scene) {
    let mut stream = scene.connect().await;
    for number in 0_u64.. {
        let hash = (u128::MAX / SHARDS as u128 * u128::from(number % SHARDS as u64)).to_string();
        let body = json!({
            "StreamName": "abuse",
            "PartitionKey": "a",
            "ExplicitHashKey": hash,
            "Data": "A".repeat(133_332),
        });
        let answer = exchange(&mut stream, request("PutRecord", &body).as_bytes()).await;
        let (status, body) = answer.expect("one that reads is served");
        scene.answered(status, &body);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Makes as much as one GetRecords answers; answers what asks for it.
async fn large_get(scene: &Scene) -> Value {
    let data = base64_simd::STANDARD.encode_to_string(vec![b'a'; RECORD_BYTES]);
    for _ in 0..RECORDS {
        let body = json!({"StreamName": "abuse", "PartitionKey": "a", "ExplicitHashKey": "0", "Data": data});
        scene.must("PutRecord", &body).await;
    }
    json!({"ShardIterator": scene.iterator(0).await})
}

/// Keeps a connection and does nothing with it.
pub(super) async fn hold<T>(connection: T) {
    std::future::pending::<()>().await;
    drop(connection);
}
