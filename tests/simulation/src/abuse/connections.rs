//! Connections: too many, in disorder, and gone without a word.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::scene::{Scene, pour, swallow};
use super::unread::register_consumers;
use crate::client::{exchange, request};

/// All that a server serves at once, but for the neighbour's.
pub(super) const MANY: usize = 9_990;
/// Those, and nearly as many more as the kernel lets wait.
pub(super) const TOO_MANY: usize = 11_000;
/// More than the descriptors of [`super::cases::SCARCE_DESCRIPTORS`].
const MORE_THAN_DESCRIPTORS: usize = 600;

/// Open, and silent.
pub(super) async fn idle(scene: Arc<Scene>) {
    let streams = scene.connect_all(scene.count(1000, MANY)).await;
    scene.run(Vec::new()).await;
    for mut stream in streams.into_iter().step_by(100) {
        let request = request("ListStreams", &json!({}));
        let (status, body) = exchange(&mut stream, request.as_bytes()).await.expect("idle ones are served");
        scene.answered(status, &body);
    }
}

/// Each with a put a second.
pub(super) async fn active(scene: Arc<Scene>) {
    let streams = scene.connect_all(scene.count(1000, MANY)).await;
    let mut streams = streams.into_iter();
    scene
        .run_each(streams.len(), |scene, number| {
            let mut stream = streams.next().expect("one for each");
            async move {
                let body = json!({"StreamName": "abuse", "PartitionKey": number.to_string(), "Data": "A".repeat(1368)});
                let request = request("PutRecord", &body);
                tokio::time::sleep(Duration::from_micros(100 * number as u64)).await;
                loop {
                    let answer = exchange(&mut stream, request.as_bytes()).await;
                    let (status, body) = answer.expect("active ones are served");
                    scene.answered(status, &body);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        })
        .await;
}

/// Each with a body of several reads, after which its buffers could stay large.
pub(super) async fn idle_after_large(scene: Arc<Scene>) {
    let mut streams = scene.connect_all(scene.count(100, 1000)).await;
    let record = json!({"PartitionKey": "a", "Data": "A".repeat(700 * 1024)});
    let request = request("PutRecords", &json!({"StreamName": "abuse", "Records": [record]}));
    for stream in &mut streams {
        let (status, body) = exchange(stream, request.as_bytes()).await.expect("it is served");
        scene.answered(status, &body);
    }
    scene.run(Vec::new()).await;
}

/// More than the server takes: the rest waits, and is served when others leave.
pub(super) async fn above_the_limit(scene: Arc<Scene>) {
    let mut streams = scene.connect_all(scene.count(TOO_MANY, TOO_MANY)).await;
    scene.run(Vec::new()).await;
    let mut last = streams.pop().expect("there are many");
    drop(streams);
    let request = request("ListStreams", &json!({}));
    let (status, body) = exchange(&mut last, request.as_bytes()).await.expect("who waited is served");
    scene.answered(status, &body);
}

/// More than the server has descriptors for, while it needs some for its files.
pub(super) async fn above_the_descriptors(scene: Arc<Scene>) {
    let streams = scene.connect_all(MORE_THAN_DESCRIPTORS).await;
    let mut streams = streams.into_iter();
    scene
        .run_each(MORE_THAN_DESCRIPTORS, |scene, number| {
            let mut stream = streams.next().expect("one for each");
            async move {
                let key = number.to_string();
                let body =
                    json!({"StreamName": "abuse", "PartitionKey": key, "Data": "A".repeat(200 * 1024)});
                let request = request("PutRecord", &body);
                // Those above the limit wait for ever.
                while let Ok((status, body)) = exchange(&mut stream, request.as_bytes()).await {
                    scene.answered(status, &body);
                }
            }
        })
        .await;
}

/// Connections that are reset: in the middle of a request, and of a subscription.
pub(super) async fn resets(scene: Arc<Scene>) {
    let consumers = register_consumers(&scene, "abuse", 4).await;
    scene
        .run_each(16, |scene, number| {
            let consumer = consumers[number % consumers.len()].clone();
            async move {
                let put = json!({"StreamName": "abuse", "PartitionKey": "a", "Data": "A".repeat(40_000)});
                let put = request("PutRecord", &put);
                let subscribe = request(
                    "SubscribeToShard",
                    &json!({
                        "ConsumerARN": consumer,
                        "ShardId": format!("shardId-{:012}", number % 4),
                        "StartingPosition": {"Type": "TRIM_HORIZON"},
                    }),
                );
                loop {
                    for bytes in [&put.as_bytes()[..put.len() / 2], put.as_bytes(), subscribe.as_bytes()] {
                        let mut stream = scene.connect().await;
                        let _ = stream.write_all(bytes).await;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        // Closes by a reset.
                        stream.set_zero_linger().expect("it is a socket");
                        scene.note("resets");
                    }
                }
            }
        })
        .await;
}

/// Bytes that are no HTTP, and some that are nearly.
pub(super) async fn garbage(scene: Arc<Scene>) {
    const GARBAGE: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\0\0\0\0",
        b"POST / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n: \r\n\r\n",
    ];
    scene
        .run_each(scene.count(12, 60), |scene, number| async move {
            loop {
                let (mut from, mut to) = scene.connect().await.into_split();
                let bytes = GARBAGE[number % GARBAGE.len()];
                let _ = to.write_all(&bytes.repeat(100)).await;
                let _ = tokio::time::timeout(Duration::from_millis(100), swallow(&mut from)).await;
                scene.note("ends");
            }
        })
        .await;
}

/// Requests one behind the other, whose answers nobody reads.
pub(super) async fn pipelined(scene: Arc<Scene>) {
    let list = request("ListShards", &json!({"StreamName": "abuse"}));
    scene
        .run_each(scene.count(50, 500), |scene, _| {
            let list = list.clone();
            async move {
                let mut stream = scene.connect().await;
                pour(&mut stream, list.as_bytes()).await;
                // What was dropped for it is found when it is read.
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            }
        })
        .await;
}
