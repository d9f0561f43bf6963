//! Reads everything that a server has, while nobody else uses it, and compares it with the history.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_types::HashKey;

use crate::actors::{entry, place_in, range_of};
use crate::client::{Client, Outcome};
use crate::history::{Put, Seen, records_in};
use crate::world::World;

/// Nothing may take longer in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a stream that is changing, and how often it is looked at.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 1000;
/// Calls under way when the clients ended may reshard a stream while it is verified.
const RESHARDS_MAX: u32 = 20;
/// The most calls that reading a shard takes.
const CALLS_MAX: u32 = 100_000;

/// # Panics
/// When a rule is broken, or the server does not answer.
pub(crate) async fn verify(world: &World) {
    let mut client = world.client(PATIENCE);
    let streams = world.history().streams();
    for stream in streams {
        let is_there = settle(world, &mut client, &stream).await;
        {
            let mut history = world.history();
            let may_be_gone = history.is_delete_asked(&stream) || !history.is_created(&stream);
            assert!(is_there || may_be_gone, "{stream} is gone");
            assert!(!is_there || !history.is_deleted(&stream), "{stream} was deleted and is back");
        }
        if is_there {
            verify_stream(world, &mut client, &stream).await;
        }
    }
    world.count("verifications");
}

/// Calls an operation that nothing hinders.
///
/// # Panics
/// When it is refused or not answered.
pub(crate) async fn ask(client: &mut Client, operation: &str, body: &Value) -> Value {
    match client.call(operation, body).await {
        Outcome::Success(answer) => answer,
        outcome => panic!("{operation} {body}: {outcome:?}"),
    }
}

/// As [`ask`]; AWS's limits may hinder it for a while, where they are kept.
async fn ask_patiently(world: &World, client: &mut Client, operation: &str, body: &Value) -> Value {
    for _ in 0..LOOKS_MAX {
        match client.call(operation, body).await {
            Outcome::Success(answer) => return answer,
            Outcome::Refused(code) if is_over_rate(world, &code) => world.clock.sleep(PAUSE).await,
            outcome => panic!("{operation} {body}: {outcome:?}"),
        }
    }
    panic!("{operation} {body} is throttled for ever");
}

/// Whether a call was refused for AWS's limits, of which the next one has more.
fn is_over_rate(world: &World, code: &str) -> bool {
    let is_over = world.keeps_aws_limits
        && ["LimitExceeded", "ProvisionedThroughputExceeded"].iter().any(|limit| code.contains(limit));
    if is_over {
        world.count("calls over AWS's limits in verifications");
    }
    is_over
}

/// Waits until nothing is under way with a stream; says whether it is there.
pub(crate) async fn settle(world: &World, client: &mut Client, stream: &str) -> bool {
    for _ in 0..LOOKS_MAX {
        match client.call("DescribeStreamSummary", &json!({"StreamName": stream})).await {
            Outcome::Success(answer) if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" => {
                return true;
            }
            Outcome::Success(_) => {}
            Outcome::Refused(code) if is_over_rate(world, &code) => {}
            Outcome::Refused(code) if code.contains("ResourceNotFound") => return false,
            outcome => panic!("{stream} cannot be described: {outcome:?}"),
        }
        world.clock.sleep(PAUSE).await;
    }
    panic!("{stream} does not settle");
}

/// All shards of a stream, page by page.
async fn list_shards(world: &World, client: &mut Client, stream: &str) -> Vec<Value> {
    let mut shards = Vec::new();
    let mut body = json!({"StreamName": stream});
    loop {
        let mut answer = ask_patiently(world, client, "ListShards", &body).await;
        shards.append(answer["Shards"].as_array_mut().expect("there are shards"));
        match answer["NextToken"].take() {
            Value::Null => return shards,
            token => body = json!({"NextToken": token}),
        }
    }
}

async fn verify_stream(world: &World, client: &mut Client, stream: &str) {
    check_takes_puts(world, client, stream).await;
    for _ in 0..RESHARDS_MAX {
        if verify_shards(world, client, stream).await {
            return;
        }
        world.count("reshards during verifications");
    }
    panic!("{stream} is resharded though nobody asks for it");
}

/// False when a shard was closed meanwhile: a real server may come late to a call whose client has gone.
async fn verify_shards(world: &World, client: &mut Client, stream: &str) -> bool {
    let shards = &list_shards(world, client, stream).await;
    check_cover(stream, shards);
    for shard in shards {
        let id = text(shard, "ShardId");
        let began = world.history().ask_read();
        let Some(seen) = read_all(world, client, stream, shard, shards).await else {
            let shards = list_shards(world, client, stream).await;
            let is_closed = |shard: &Value| shard["ShardId"] == id && !is_open(shard);
            assert!(shards.iter().any(is_closed), "only a closed shard has an end: {id} of {stream}");
            return false;
        };
        world.counters().add("records verified", seen.len() as u64);
        world.history().all(stream, id, began, &seen);
        check_places(world, stream, shard, &seen);
        check_time(world, client, stream, id, &seen).await;
    }
    for shard in shards {
        for parent in ["ParentShardId", "AdjacentParentShardId"] {
            let Some(parent) = shard[parent].as_str() else { continue };
            let history = world.history();
            let before = history.first_and_last(stream, parent);
            let after = history.first_and_last(stream, text(shard, "ShardId"));
            if let (Some((_, last)), Some((first, _))) = (before, after) {
                assert!(
                    last < first,
                    "a child's numbers exceed its parent's: {parent} and {shard} of {stream}"
                );
            }
        }
    }
    let known = world.history().shards(stream);
    for id in known {
        if !shards.iter().any(|shard| shard["ShardId"] == id.as_str()) {
            let began = world.history().ask_read();
            world.history().all(stream, &id, began, &[]);
        }
    }
    true
}

/// Nothing is wrong any more, so puts are taken again, by themselves, though perhaps not at once.
async fn check_takes_puts(world: &World, client: &mut Client, stream: &str) {
    let record = world.history().next_record();
    let put = Put { record, partition_key: format!("key-{record}"), explicit_hash_key: None, data_bytes: 20 };
    let mut body = entry(&put);
    body["StreamName"] = stream.into();
    for _ in 0..LOOKS_MAX {
        world.count("puts attempted");
        let began = world.history().ask(stream, std::slice::from_ref(&put));
        match client.call("PutRecord", &body).await {
            Outcome::Success(answer) => {
                world.count("puts acknowledged");
                let (shard, number) = place_in(&answer);
                world.history().acknowledged(stream, &put, began, shard, number);
                return;
            }
            Outcome::Refused(code) if code.contains("ProvisionedThroughputExceeded") => {
                world.count("puts throttled");
                world.history().refused(stream, &put);
            }
            outcome => panic!("{stream} takes no put though nothing is wrong: {outcome:?}"),
        }
        world.clock.sleep(PAUSE).await;
    }
    panic!("{stream} throttles for ever though nothing is wrong");
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{value} has no {name}"))
}

fn is_open(shard: &Value) -> bool {
    shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null()
}

/// The open shards cover the hash space once.
fn check_cover(stream: &str, shards: &[Value]) {
    let mut ranges: Vec<_> = shards.iter().filter(|shard| is_open(shard)).map(range_of).collect();
    ranges.sort_unstable();
    let mut next = Some(0);
    for (start, end) in ranges {
        assert_eq!(Some(start), next, "the shards of {stream} leave nothing out and nothing double");
        next = end.checked_add(1);
    }
    assert_eq!(next, None, "the shards of {stream} cover all hash keys");
}

/// All records of a shard; `None` when it is listed as open, and has an end.
async fn read_all(
    world: &World,
    client: &mut Client,
    stream: &str,
    shard: &Value,
    shards: &[Value],
) -> Option<Vec<Seen>> {
    let id = text(shard, "ShardId");
    let body = json!({"StreamName": stream, "ShardId": id, "ShardIteratorType": "TRIM_HORIZON"});
    let mut iterator = ask_patiently(world, client, "GetShardIterator", &body).await["ShardIterator"].clone();
    let mut seen = Vec::new();
    for _ in 0..CALLS_MAX {
        let body = json!({"ShardIterator": iterator, "Limit": 1 + world.random.below(500)});
        let answer = ask_patiently(world, client, "GetRecords", &body).await;
        let some = records_in(&answer);
        let is_empty = some.is_empty();
        seen.extend(some);
        iterator = answer["NextShardIterator"].clone();
        if iterator.is_null() {
            if is_open(shard) {
                return None;
            }
            check_children(shards, id, &answer["ChildShards"]);
            return Some(seen);
        }
        if is_open(shard) && is_empty && answer["MillisBehindLatest"] == 0 {
            return Some(seen);
        }
    }
    panic!("{id} of {stream} has no end");
}

/// The end of a shard names all of its children, as ListShards does.
fn check_children(shards: &[Value], parent: &str, children: &Value) {
    let children = children.as_array().expect("the end of a shard names its children");
    let told: BTreeSet<_> = children.iter().map(|child| (text(child, "ShardId"), range_of(child))).collect();
    let is_parent = |shard: &Value, name: &str| shard[name].as_str() == Some(parent);
    let listed: BTreeSet<_> = shards
        .iter()
        .filter(|shard| is_parent(shard, "ParentShardId") || is_parent(shard, "AdjacentParentShardId"))
        .map(|shard| (text(shard, "ShardId"), range_of(shard)))
        .collect();
    assert!(!told.is_empty() && told == listed, "{parent} ends with {told:?}, and {listed:?} are listed");
}

/// Every record lies where its hash key does.
fn check_places(world: &World, stream: &str, shard: &Value, seen: &[Seen]) {
    let (start, end) = range_of(shard);
    for one in seen {
        let record = u64::from_be_bytes(*one.data.first_chunk().expect("the history has looked at it"));
        let explicit = world.history().explicit_hash_key(stream, record);
        let key = explicit.unwrap_or_else(|| HashKey::of_partition_key(&one.partition_key).0);
        assert!(
            (start..=end).contains(&key),
            "record {record} of {stream} lies in {}",
            text(shard, "ShardId")
        );
    }
}

/// The first record of a time is found.
async fn check_time(world: &World, client: &mut Client, stream: &str, shard: &str, seen: &[Seen]) {
    if seen.is_empty() {
        return;
    }
    let some = seen[world.random.below(seen.len() as u64) as usize].arrival_millis;
    let time = some - 1 + world.random.below(3) as i64;
    if time > world.clock.wall().as_millis() {
        // The clock was set back since.
        return;
    }
    let expected = seen.iter().find(|one| one.arrival_millis >= time);
    let body = json!({
        "StreamName": stream, "ShardId": shard, "ShardIteratorType": "AT_TIMESTAMP",
        "Timestamp": time as f64 / 1000.0,
    });
    let iterator = ask_patiently(world, client, "GetShardIterator", &body).await["ShardIterator"].clone();
    let answer =
        ask_patiently(world, client, "GetRecords", &json!({"ShardIterator": iterator, "Limit": 1})).await;
    let found = records_in(&answer);
    let found = found.first().map(|one| one.sequence_number.as_str());
    assert_eq!(
        found,
        expected.map(|one| one.sequence_number.as_str()),
        "the first record from {time} on of {shard} of {stream}"
    );
}
