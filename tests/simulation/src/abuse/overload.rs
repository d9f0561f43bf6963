//! More load than the server can take, by clients that do nothing wrong.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::Scene;
use crate::client::{exchange, request};

const RECORDS: usize = 4;
const RECORD_BYTES: usize = 100_000;
/// After a refusal.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Closed loops of large puts, far more than the server can do. All that it acknowledges is there afterwards.
pub(super) async fn putters(scene: Arc<Scene>) {
    let data = base64_simd::STANDARD.encode_to_string(vec![b'a'; RECORD_BYTES]);
    let accepted: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let acknowledged: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    scene
        .run_each(scene.count(200, 600), |scene, number| {
            let (accepted, acknowledged) = (Arc::clone(&accepted), Arc::clone(&acknowledged));
            let record = |of: usize| json!({"PartitionKey": format!("{number}-{of}"), "Data": data});
            let records: Vec<Value> = (0..RECORDS).map(record).collect();
            let request = request("PutRecords", &json!({"StreamName": "abuse", "Records": records}));
            async move {
                let mut stream = scene.connect().await;
                loop {
                    let began = Instant::now();
                    let answer = exchange(&mut stream, request.as_bytes()).await;
                    let (status, body) = answer.expect("one that reads gets its answer");
                    scene.answered(status, &body);
                    if status != 200 {
                        tokio::time::sleep(RETRY_PAUSE).await;
                        continue;
                    }
                    let places = places(&scene, &body);
                    if places.is_empty() {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    } else {
                        accepted.lock().expect("no panic").push(began.elapsed());
                        acknowledged.lock().expect("no panic").extend(places);
                    }
                }
            }
        })
        .await;
    print_latencies(&mut accepted.lock().expect("no panic"));
    let mut acknowledged = std::mem::take(&mut *acknowledged.lock().expect("no panic"));
    acknowledged.sort_unstable();
    assert!(!acknowledged.is_empty(), "nothing was accepted");
    let stored = stored(&scene).await;
    let missing = acknowledged.iter().find(|place| stored.binary_search(place).is_err());
    assert!(missing.is_none(), "{missing:?} was acknowledged and is not there");
    assert!(stored.windows(2).all(|pair| pair[0] != pair[1]), "a record is there twice");
}

/// Where the accepted records of a PutRecords are; the others must be refused with what SDKs retry.
fn places(scene: &Scene, body: &[u8]) -> Vec<(String, String)> {
    let answer: Value = serde_json::from_slice(body).expect("answers are JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut places = Vec::new();
    for entry in answer["Records"].as_array().expect("records") {
        match entry["ErrorCode"].as_str() {
            None => places.push((text(&entry["ShardId"]), text(&entry["SequenceNumber"]))),
            Some(code) => {
                assert_eq!(code, "ProvisionedThroughputExceededException");
                scene.note("entries refused");
            }
        }
    }
    places
}

fn print_latencies(latencies: &mut [Duration]) {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_millis();
    println!("puts accepted: {}, ms p50 {}, p99 {}, max {}", latencies.len(), at(50), at(99), at(100));
}

/// All places that have a record, in order.
async fn stored(scene: &Scene) -> Vec<(String, String)> {
    let mut places = Vec::new();
    for shard in 0..4 {
        let mut stream = scene.connect().await;
        let mut iterator = scene.iterator(shard).await;
        loop {
            let get = request("GetRecords", &json!({"ShardIterator": iterator}));
            let answer = exchange(&mut stream, get.as_bytes()).await;
            let (status, body) = answer.expect("one that reads gets its answer");
            scene.answered(status, &body);
            if status != 200 {
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            let answer: Value = serde_json::from_slice(&body).expect("answers are JSON");
            for record in answer["Records"].as_array().expect("records") {
                let number = record["SequenceNumber"].as_str().expect("a number").to_owned();
                places.push((format!("shardId-{shard:012}"), number));
            }
            if answer["MillisBehindLatest"] == 0 {
                break;
            }
            answer["NextShardIterator"].as_str().expect("an open shard goes on").clone_into(&mut iterator);
        }
    }
    places.sort_unstable();
    places
}
