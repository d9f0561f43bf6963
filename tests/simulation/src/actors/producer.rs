//! Puts records, one or several at a time, and tries again as SDKs do: all of a call that was refused or not answered,
//! and of a PutRecords the entries that were not written. An SDK sends the same bytes again, and nobody can tell its attempts
//! apart; some producers number theirs, so that the history can hold each to its own outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{patience, pick};
use crate::client::{Client, Outcome};
use crate::history::{ATTEMPT, DATA_BYTES_MIN, Put, data_of};
use crate::world::World;

/// Attempts for one record.
const ATTEMPTS_MAX: u32 = 4;
/// Records in a call.
const RECORDS_MAX: u64 = 20;
/// Where AWS's limits are kept, one call in so many has up to so many.
const MANY_ONE_IN: u64 = 8;
const RECORDS_MANY: u64 = 500;
/// Of the few long records.
const DATA_BYTES_LONG: u64 = 6_000;
/// Partition keys that producers share.
const KEYS: u64 = 12;
const PAUSE_MILLIS: u64 = 20;

/// What a producer sends when it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The same bytes.
    Same,
    /// The same but for the attempt's number.
    Numbered,
}

/// Makes so many calls.
pub(crate) async fn produce(world: Arc<World>, calls: u64, retry: Retry) {
    let mut client = world.client(patience(&world));
    for _ in 0..calls {
        world.pause(PAUSE_MILLIS).await;
        let live = world.history().live_streams();
        let Some(stream) = pick(&world, &live) else { continue };
        let mut puts = some_puts(&world);
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                prepare_again(&world, retry, &mut puts);
            }
            puts = match puts.as_slice() {
                [] => break,
                [put] if world.random.one_in(2) => one(&world, &mut client, stream, put).await,
                puts => several(&world, &mut client, stream, puts).await,
            };
            if !puts.is_empty() {
                world.pause(PAUSE_MILLIS).await;
            }
        }
    }
}

/// Makes of what is left what is sent next.
fn prepare_again(world: &World, retry: Retry, puts: &mut [Put]) {
    let name = match retry {
        Retry::Same => "puts tried again with the same bytes",
        Retry::Numbered => "puts tried again with another number",
    };
    world.counters().add(name, puts.len() as u64);
    if retry == Retry::Numbered {
        puts.iter_mut().for_each(|put| put.record += ATTEMPT);
    }
}

fn some_puts(world: &World) -> Vec<Put> {
    let random = &world.random;
    if world.keeps_aws_limits && random.one_in(MANY_ONE_IN) {
        return many_puts(world);
    }
    let count = if random.one_in(2) { 1 } else { 1 + random.below(RECORDS_MAX) };
    (0..count)
        .map(|_| Put {
            record: world.history().next_record(),
            partition_key: format!("key-{}", random.below(KEYS)),
            explicit_hash_key: random
                .one_in(6)
                .then(|| u128::from(random.below(u64::MAX)) << 64 | u128::from(random.below(u64::MAX))),
            data_bytes: DATA_BYTES_MIN
                + random.below(if random.one_in(20) { DATA_BYTES_LONG } else { world.data_bytes }) as usize,
        })
        .collect()
}

/// Short records for one shard, of which a few calls are more than AWS's limits allow it.
fn many_puts(world: &World) -> Vec<Put> {
    let partition_key = format!("key-{}", world.random.below(KEYS));
    (0..1 + world.random.below(RECORDS_MANY))
        .map(|_| Put {
            record: world.history().next_record(),
            partition_key: partition_key.clone(),
            explicit_hash_key: None,
            data_bytes: DATA_BYTES_MIN,
        })
        .collect()
}

/// A record in a request.
pub(crate) fn entry(put: &Put) -> Value {
    let mut entry = json!({
        "PartitionKey": put.partition_key,
        "Data": base64_simd::STANDARD.encode_to_string(data_of(put.record, put.data_bytes)),
    });
    if let Some(key) = put.explicit_hash_key {
        entry["ExplicitHashKey"] = key.to_string().into();
    }
    entry
}

/// PutRecord; answers what is left to be tried again.
async fn one(world: &World, client: &mut Client, stream: &str, put: &Put) -> Vec<Put> {
    let mut body = entry(put);
    body["StreamName"] = stream.into();
    world.count("puts attempted");
    let began = world.history().ask(stream, std::slice::from_ref(put));
    world.put_begins(stream);
    let outcome = client.call("PutRecord", &body).await;
    world.put_ends(stream);
    let mut history = world.history();
    match &outcome {
        Outcome::Success(answer) => {
            world.count("puts acknowledged");
            let (shard, number) = place_in(answer);
            history.acknowledged(stream, put, began, shard, number);
            return Vec::new();
        }
        Outcome::Refused(_) | Outcome::NoServer => history.refused(stream, put),
        Outcome::Unknown => {}
    }
    drop(history);
    again(world, &outcome, std::slice::from_ref(put))
}

/// PutRecords; as [`one`].
async fn several(world: &World, client: &mut Client, stream: &str, puts: &[Put]) -> Vec<Put> {
    let body = json!({"StreamName": stream, "Records": puts.iter().map(entry).collect::<Vec<_>>()});
    world.counters().add("puts attempted", puts.len() as u64);
    let began = world.history().ask(stream, puts);
    world.put_begins(stream);
    let outcome = client.call("PutRecords", &body).await;
    world.put_ends(stream);
    let mut history = world.history();
    let answer = match &outcome {
        Outcome::Success(answer) => answer,
        Outcome::Refused(_) | Outcome::NoServer => {
            puts.iter().for_each(|put| history.refused(stream, put));
            drop(history);
            return again(world, &outcome, puts);
        }
        Outcome::Unknown => {
            drop(history);
            return again(world, &outcome, puts);
        }
    };
    let results = answer["Records"].as_array().expect("there are results");
    assert_eq!(results.len(), puts.len(), "every record has its result");
    let mut left = Vec::new();
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for (put, result) in puts.iter().zip(results) {
        match result["ErrorCode"].as_str() {
            None => {
                world.count("puts acknowledged");
                let (shard, number) = place_in(result);
                history.acknowledged(stream, put, began, shard, number);
                let before = last.insert(shard, number);
                assert!(before < Some(number), "{number} of {shard} comes after {before:?} of the same call");
            }
            Some("ProvisionedThroughputExceededException") => {
                world.count(match world.keeps_aws_limits {
                    true => "puts over a shard's rate",
                    false => "puts throttled",
                });
                history.refused(stream, put);
                left.push(put.clone());
            }
            Some(_) => {
                world.count("puts of unknown outcome");
                left.push(put.clone());
            }
        }
    }
    let failed = answer["FailedRecordCount"].as_u64();
    assert_eq!(failed, Some(left.len() as u64), "failed records are counted");
    left
}

/// The shard and the sequence number in an answer.
pub(crate) fn place_in(answer: &Value) -> (&str, &str) {
    let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer} has no {name}"));
    (text("ShardId"), text("SequenceNumber"))
}

/// What is tried again after a call without success.
fn again(world: &World, outcome: &Outcome, puts: &[Put]) -> Vec<Put> {
    let (name, again) = match outcome {
        Outcome::Success(_) => unreachable!("it was looked at before"),
        Outcome::Refused(code) if code.contains("ProvisionedThroughputExceeded") => ("puts throttled", true),
        // The stream is gone, or was not there yet.
        Outcome::Refused(_) => ("puts refused", false),
        Outcome::NoServer => ("puts without a server", true),
        Outcome::Unknown => ("puts of unknown outcome", true),
    };
    world.counters().add(name, puts.len() as u64);
    if again { puts.to_vec() } else { Vec::new() }
}
