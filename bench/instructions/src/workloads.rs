//! The fixed inputs.

use std::time::Duration;

use serde_json::Value;
use tokio::task::LocalSet;

use crate::bodies::{self, Encoding};
use crate::world::World;

/// A workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// How many requests are counted.
    pub(crate) requests: u64,
}

/// All of them.
pub(crate) const ALL: &[Workload] = &[
    Workload { name: "put-records-json", requests: 32 },
    Workload { name: "put-records-cbor", requests: 32 },
    Workload { name: "put-record-json", requests: 500 },
    Workload { name: "get-records-json", requests: 32 },
    Workload { name: "get-records-cbor", requests: 32 },
    Workload { name: "subscribe-json", requests: 8 },
];

/// Records in one PutRecords, GetRecords and event.
const BATCH: usize = 500;
/// Bytes of data in a record.
const RECORD_BYTES: usize = 1024;
/// Different bodies.
const BODIES: u64 = 8;
/// More than the five seconds in which a consumer cannot subscribe again.
const SUBSCRIBED_EVERY: Duration = Duration::from_secs(6);
/// Batches that each subscription reads.
const SUBSCRIBED_BATCHES: usize = 4;
/// The name that every record of an answer has once.
const ONCE_PER_RECORD: &[u8] = b"ApproximateArrivalTimestamp";

/// Runs so many requests of a workload.
///
/// # Panics
/// When there is no such workload, or a request fails.
pub(crate) fn run(name: &str, requests: u64) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new().await;
        let members = [("StreamName", Value::from("orders")), ("ShardCount", 4.into())];
        world.control("CreateStream", &members).await;
        match name {
            "put-records-json" => put(&world, "PutRecords", Encoding::Json, requests).await,
            "put-records-cbor" => put(&world, "PutRecords", Encoding::Cbor, requests).await,
            "put-record-json" => put(&world, "PutRecord", Encoding::Json, requests).await,
            "get-records-json" => get(&world, Encoding::Json, requests).await,
            "get-records-cbor" => get(&world, Encoding::Cbor, requests).await,
            "subscribe-json" => subscribe(&world, requests).await,
            other => panic!("there is no workload {other}"),
        }
        world.end().await;
    });
}

async fn put(world: &World, operation: &str, encoding: Encoding, requests: u64) {
    let body = |seed| match operation {
        "PutRecord" => {
            let data = base64_simd::STANDARD.encode_to_string(bodies::noise(seed + 1, RECORD_BYTES));
            let members = [
                ("StreamName", Value::from("orders")),
                ("PartitionKey", format!("key-{seed:06}").into()),
                ("Data", data.into()),
            ];
            bodies::flat(encoding, &members)
        }
        _ => bodies::put_records(encoding, "orders", seed, BATCH, RECORD_BYTES),
    };
    let prepared: Vec<_> =
        (0..BODIES).map(|seed| bodies::request(operation, encoding, &body(seed))).collect();
    let mut client = world.connect();
    for number in 0..requests {
        client.call(&prepared[(number % BODIES) as usize]).await;
    }
}

/// A stream of one shard with some batches.
async fn filled(world: &World, batches: usize) {
    let members = [("StreamName", Value::from("read")), ("ShardCount", 1.into())];
    world.control("CreateStream", &members).await;
    let body = bodies::put_records(Encoding::Json, "read", 1, BATCH, RECORD_BYTES);
    let mut client = world.connect();
    for _ in 0..batches {
        client.call(&bodies::request("PutRecords", Encoding::Json, &body)).await;
    }
}

async fn get(world: &World, encoding: Encoding, requests: u64) {
    filled(world, 1).await;
    let members = [
        ("StreamName", Value::from("read")),
        ("ShardId", "shardId-000000000000".into()),
        ("ShardIteratorType", "TRIM_HORIZON".into()),
    ];
    let iterator = world.control("GetShardIterator", &members).await["ShardIterator"].clone();
    let body = bodies::flat(encoding, &[("ShardIterator", iterator)]);
    let request = bodies::request("GetRecords", encoding, &body);
    let mut client = world.connect();
    for _ in 0..requests {
        let answer = client.call(&request).await;
        assert!(answer.len() > BATCH * RECORD_BYTES, "all records are there");
    }
}

async fn subscribe(world: &World, requests: u64) {
    filled(world, SUBSCRIBED_BATCHES).await;
    let summary = world.control("DescribeStreamSummary", &[("StreamName", "read".into())]).await;
    let arn = summary["StreamDescriptionSummary"]["StreamARN"].clone();
    let members = [("StreamARN", arn), ("ConsumerName", "one".into())];
    let consumer = world.control("RegisterStreamConsumer", &members).await;
    let consumer = consumer["Consumer"]["ConsumerARN"].as_str().expect("an ARN").to_owned();
    let body = format!(
        "{{\"ConsumerARN\":\"{consumer}\",\"ShardId\":\"shardId-000000000000\",\
         \"StartingPosition\":{{\"Type\":\"TRIM_HORIZON\"}}}}"
    );
    let request = bodies::request("SubscribeToShard", Encoding::Json, body.as_bytes());
    for _ in 0..requests {
        // A consumer may not come back at once; and what others have encoded is forgotten by then.
        world.clock.advance(SUBSCRIBED_EVERY);
        let mut client = world.connect();
        client.stream_until(&request, ONCE_PER_RECORD, SUBSCRIBED_BATCHES * BATCH).await;
    }
}
