//! The hot paths allocate for a request, never for a record: as many allocations for 500 records as for 50.

#![allow(unsafe_code, reason = "a global allocator that counts can only be written so")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use thalweg_api::kinesis::{Kinesis, KinesisService};
use thalweg_api::{Call, Service};
use thalweg_model::kinesis::*;
use thalweg_shape::Value;
use thalweg_streams::Streams;
use thalweg_wire::Protocol;

#[allow(dead_code, reason = "the tests of the control operations need the rest of it")]
#[path = "control/world.rs"]
mod world;

use world::{World, yield_often};

/// Counts what each thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() -> usize {
    COUNT.with(Cell::get)
}

fn one_more() {
    // Not while a thread ends: then nobody counts any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        one_more();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        one_more();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PROTOCOLS: [Protocol; 2] = [Protocol::AwsJson11, Protocol::AwsCbor11];

fn call(protocol: Protocol) -> Call {
    Call::unlimited("test", protocol)
}

fn put_records(records: usize, protocol: Protocol) -> Bytes {
    let record = |number: usize| {
        Value::Map(vec![
            ("PartitionKey".to_owned(), Value::Text(format!("key-{number}"))),
            ("Data".to_owned(), Value::Bytes(vec![7; 100].into())),
        ])
    };
    let request = Value::Map(vec![
        ("StreamName".to_owned(), Value::Text("orders".to_owned())),
        ("Records".to_owned(), Value::List((0..records).map(record).collect())),
    ]);
    let mut body = Vec::new();
    protocol.encode(&request, &mut body);
    body.into()
}

/// The allocations of one hot call, the journal's included.
async fn allocations_of(
    service: &KinesisService<Streams>,
    operation: &str,
    protocol: Protocol,
    body: &Bytes,
) -> usize {
    let operation = service.operation(operation).expect("the model has it");
    let call = call(protocol);
    // The journal's tables grow now and then: the fewest of several calls are the call's own.
    let mut fewest = usize::MAX;
    for _ in 0..20 {
        let before = count();
        let answer =
            service.hot(operation, &call, body).expect("a plain request").await.expect("it succeeds");
        fewest = fewest.min(count() - before);
        drop(answer);
    }
    fewest
}

async fn world_of(shards: i32) -> (World, KinesisService<Streams>) {
    let world = World::new().await;
    world.create("orders", shards).await;
    world.until_active("orders").await;
    let service = KinesisService(Arc::clone(&world.streams));
    (world, service)
}

#[tokio::test]
async fn puts_allocate_for_the_request_only() {
    for shards in [1, 4] {
        let (_world, service) = world_of(shards).await;
        for protocol in PROTOCOLS {
            let few = allocations_of(&service, "PutRecords", protocol, &put_records(50, protocol)).await;
            let many = allocations_of(&service, "PutRecords", protocol, &put_records(500, protocol)).await;
            println!("PutRecords, {shards} shards, {protocol:?}: {few} and {many}");
            assert_eq!(few, many);
        }
    }
}

/// What a PutRecord may ask for: its routes, fates, run and bytes, the journal's part, its future, and the answer.
const PUT_RECORD_MAX: usize = 13;

#[tokio::test]
async fn a_single_put_allocates_little() {
    let (_world, service) = world_of(4).await;
    for protocol in PROTOCOLS {
        let request = Value::Map(vec![
            ("StreamName".to_owned(), Value::Text("orders".to_owned())),
            ("PartitionKey".to_owned(), Value::Text("key".to_owned())),
            ("Data".to_owned(), Value::Bytes(vec![7; 1024].into())),
        ]);
        let mut body = Vec::new();
        protocol.encode(&request, &mut body);
        let found = allocations_of(&service, "PutRecord", protocol, &body.into()).await;
        println!("PutRecord, {protocol:?}: {found}");
        assert!(found <= PUT_RECORD_MAX, "{found}");
    }
}

#[tokio::test]
async fn reads_allocate_for_the_answer_only() {
    let (world, service) = world_of(1).await;
    let operation = service.operation("PutRecords").expect("the model has it");
    let mut counts = Vec::new();
    for records in [50, 500] {
        let input = GetShardIteratorInput {
            stream_name: Some("orders".to_owned()),
            shard_id: "shardId-0".to_owned(),
            shard_iterator_type: ShardIteratorType::Latest,
            starting_sequence_number: None,
            timestamp: None,
            stream_arn: None,
            stream_id: None,
            dry_run: None,
        };
        let output = world.streams.get_shard_iterator(&world::call(), input).await.expect("it exists");
        let iterator = output.shard_iterator.expect("always there");
        let put = call(Protocol::AwsJson11);
        let body = put_records(records, Protocol::AwsJson11);
        service.hot(operation, &put, &body).expect("a plain request").await.expect("it succeeds");
        for protocol in PROTOCOLS {
            let request = Value::Map(vec![("ShardIterator".to_owned(), Value::Text(iterator.clone()))]);
            let mut body = Vec::new();
            protocol.encode(&request, &mut body);
            let found = allocations_of(&service, "GetRecords", protocol, &body.into()).await;
            println!("GetRecords, {records} records, {protocol:?}: {found}");
            counts.push(found);
        }
    }
    assert_eq!(counts[..2], counts[2..]);
}

#[tokio::test]
async fn events_allocate_for_the_event_only() {
    let (world, service) = world_of(1).await;
    let consumer = world.register("orders", "billing").await.expect("registered");
    yield_often().await;
    let operation = service.operation("PutRecords").expect("the model has it");
    for protocol in PROTOCOLS {
        world.clock.advance(Duration::from_secs(5));
        let input = SubscribeToShardInput {
            consumer_arn: consumer.consumer_arn.clone(),
            dry_run: None,
            shard_id: "shardId-0".to_owned(),
            starting_position: StartingPosition {
                sequence_number: None,
                timestamp: None,
                type_: ShardIteratorType::Latest,
            },
            stream_id: None,
        };
        let subscribe = call(protocol);
        let mut events = world.streams.subscribe_to_shard(&subscribe, input).await.expect("it can be read");
        let mut poll = || events.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
        yield_often().await;
        assert!(matches!(poll(), Poll::Ready(Some(_))), "the initial response");
        let mut fewest = [usize::MAX; 2];
        for _ in 0..20 {
            for (fewest, records) in fewest.iter_mut().zip([50, 500]) {
                assert!(poll().is_pending());
                let body = put_records(records, protocol);
                service
                    .hot(operation, &subscribe, &body)
                    .expect("a plain request")
                    .await
                    .expect("it succeeds");
                // A task that never waits is made to: not while this counts.
                yield_often().await;
                let before = count();
                let event = poll();
                *fewest = (*fewest).min(count() - before);
                assert!(matches!(event, Poll::Ready(Some(_))));
            }
        }
        println!("SubscribeToShard, {protocol:?}: {fewest:?}");
        assert_eq!(fewest[0], fewest[1]);
    }
}
