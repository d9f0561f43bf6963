//! Calls, one after the other, in two worlds: in one the hot paths answer what they take, in the other the ordinary path
//! answers all. Both say the same, nothing fails, and what is answered can be read.
//!
//! ```text
//!  input: a line per call     operation, a letter   A: the first of the model, …
//!                             flags, a character    bit 0: CBOR, bit 1: some time passes first, bit 2: much
//!                             body, JSON            $I $N $Q $C: the last iterator, page token, sequence number, consumer
//! ```

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use thalweg_api::kinesis::OPERATIONS;
use thalweg_api::{Answer, EventStream};
use thalweg_shape::{Failure, Value};
use thalweg_wire::hot::agreement::sorted;
use thalweg_wire::{Protocol, event_stream};

use super::Target;
use crate::world::World;

pub(crate) const TARGET: Target = Target { name: "service", run, seeds, bytes_max: 2048, mutations: 400 };

/// Calls in one input.
const CALLS_MAX: usize = 16;
/// Frames that are taken of an event stream.
const FRAMES_MAX: usize = 8;
/// The first operation's letter.
const FIRST: u8 = b'A';
const TIME_PASSES: u8 = 2;
const MUCH_TIME_PASSES: u8 = 4;

/// What answers bring that later calls take, and how an input names it.
#[derive(Default)]
struct Known {
    iterator: String,
    token: String,
    number: String,
    consumer: String,
}

fn run(bytes: &[u8]) {
    let (hot, ordinary) = (World::new(), World::new());
    let mut known = Known::default();
    for line in bytes.split(|byte| *byte == b'\n').take(CALLS_MAX) {
        let [operation, flags, body @ ..] = line else { continue };
        let operation = OPERATIONS[usize::from(operation.wrapping_sub(FIRST)) % OPERATIONS.len()].name;
        let body = known.filled_in(body);
        let (protocol, body) = match flags & 1 {
            0 => (Protocol::AwsJson11, body),
            _ => (Protocol::AwsCbor11, in_cbor(body)),
        };
        let millis = match (flags & TIME_PASSES > 0, flags & MUCH_TIME_PASSES > 0) {
            (_, true) => 4_000_000,
            (true, false) => 250,
            (false, false) => 0,
        };
        hot.pass(millis);
        ordinary.pass(millis);
        let by_hot = hot
            .hot(operation, protocol, &body)
            .map_or_else(|| hot.ordinary(operation, protocol, &body), |answer| answer.map(Answer::Encoded));
        let by_ordinary = ordinary.ordinary(operation, protocol, &body);
        let (by_hot, by_ordinary) = (told(by_hot, protocol), told(by_ordinary, protocol));
        assert_eq!(by_hot, by_ordinary, "{operation} {}", String::from_utf8_lossy(&body));
        match by_hot {
            Ok(answer) => known.learn(&answer),
            Err(failure) => assert!(failure.status < 500, "{operation} {failure:?}"),
        }
    }
}

/// A JSON body in CBOR; what is no JSON stays as it is.
fn in_cbor(body: Bytes) -> Bytes {
    let Ok(tree) = Protocol::AwsJson11.decode(&body) else { return body };
    let mut cbor = Vec::new();
    Protocol::AwsCbor11.encode(&with_blobs(tree), &mut cbor);
    cbor.into()
}

/// Data are bytes in CBOR.
fn with_blobs(value: Value) -> Value {
    match value {
        Value::List(values) => Value::List(values.into_iter().map(with_blobs).collect()),
        Value::Map(members) => {
            let member = |(name, value): (String, Value)| match value {
                Value::Text(text) if name == "Data" => (name, Value::Bytes(text.into())),
                value => (name, with_blobs(value)),
            };
            Value::Map(members.into_iter().map(member).collect())
        }
        value => value,
    }
}

/// What an answer says: its members by name, whose order says nothing.
fn told(answer: Result<Answer, Failure>, protocol: Protocol) -> Result<Value, Failure> {
    let mut encoded = Vec::new();
    match answer? {
        Answer::Encoded(bytes) => encoded.extend_from_slice(&bytes),
        Answer::Value(value) => protocol.encode(&value, &mut encoded),
        Answer::Events(events) => return Ok(frames(events, protocol)),
    }
    Ok(if encoded.is_empty() { Value::Null } else { decoded(&encoded, protocol) })
}

fn decoded(bytes: &[u8], protocol: Protocol) -> Value {
    sorted(protocol.decode(bytes).unwrap_or_else(|error| panic!("an answer of ours: {error}")))
}

/// What the frames say that are there.
fn frames(mut events: EventStream, protocol: Protocol) -> Value {
    let mut told = Vec::new();
    while told.len() < FRAMES_MAX
        && let Some(Some(bytes)) = events.next().now_or_never()
    {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (frame, length) =
                event_stream::decode(rest).expect("frames of ours").expect("they come whole");
            if !frame.payload.is_empty() {
                told.push(decoded(frame.payload, protocol));
            }
            rest = &rest[length..];
        }
    }
    Value::List(told)
}

impl Known {
    fn filled_in(&self, body: &[u8]) -> Bytes {
        let mut filled = Vec::with_capacity(body.len());
        let mut rest = body;
        while let Some((byte, after)) = rest.split_first() {
            let text = match (byte, after.first()) {
                (b'$', Some(b'I')) => Some(&self.iterator),
                (b'$', Some(b'N')) => Some(&self.token),
                (b'$', Some(b'Q')) => Some(&self.number),
                (b'$', Some(b'C')) => Some(&self.consumer),
                _ => None,
            };
            match text {
                Some(text) => filled.extend_from_slice(text.as_bytes()),
                None => filled.push(*byte),
            }
            rest = &after[usize::from(text.is_some())..];
        }
        filled.into()
    }

    fn learn(&mut self, answer: &Value) {
        match answer {
            Value::List(values) => values.iter().for_each(|value| self.learn(value)),
            Value::Map(members) => {
                for (name, value) in members {
                    let place = match name.as_str() {
                        "ShardIterator" | "NextShardIterator" => &mut self.iterator,
                        "NextToken" => &mut self.token,
                        "SequenceNumber" | "StartingSequenceNumber" => &mut self.number,
                        "ConsumerARN" => &mut self.consumer,
                        _ => {
                            self.learn(value);
                            continue;
                        }
                    };
                    if let Value::Text(text) = value {
                        place.clone_from(text);
                    }
                }
            }
            _ => {}
        }
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let line = |operation: &str, flags: u8, body: &str| {
        let number = OPERATIONS.iter().position(|known| known.name == operation).expect("the model has it");
        [&[FIRST + number as u8, b'0' + flags], body.as_bytes(), b"\n"].concat()
    };
    let shard = r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}"#;
    let put = r#"{"Records":[{"Data":"aGk=","PartitionKey":"a"},{"Data":"aGk=","PartitionKey":"b"}],"StreamName":"s"}"#;
    vec![
        (
            "put-get",
            [
                line("PutRecords", 0, put),
                line("PutRecord", 1, r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k","ExplicitHashKey":"0"}"#),
                line("PutRecord", 0, r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k","SequenceNumberForOrdering":"$Q"}"#),
                line("GetShardIterator", 0, shard),
                line("GetRecords", 0, r#"{"ShardIterator":"$I","Limit":1}"#),
                line("GetRecords", 3, r#"{"ShardIterator":"$I"}"#),
                line("GetShardIterator", 0, r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1700000000.1}"#),
                line("GetShardIterator", 1, r#"{"StreamName":"s","ShardId":"shardId-000000000001","ShardIteratorType":"AFTER_SEQUENCE_NUMBER","StartingSequenceNumber":"$Q"}"#),
            ]
            .concat(),
        ),
        (
            "reshard",
            [
                line("SplitShard", 0, r#"{"StreamName":"s","ShardToSplit":"shardId-000000000000","NewStartingHashKey":"1000"}"#),
                line("ListShards", 2, r#"{"StreamName":"s","MaxResults":1}"#),
                line("ListShards", 0, r#"{"NextToken":"$N","MaxResults":1}"#),
                line("MergeShards", 2, r#"{"StreamName":"s","ShardToMerge":"shardId-000000000002","AdjacentShardToMerge":"shardId-000000000003"}"#),
                line("UpdateShardCount", 2, r#"{"StreamName":"s","TargetShardCount":4,"ScalingType":"UNIFORM_SCALING"}"#),
                line("DescribeStream", 4, r#"{"StreamName":"s"}"#),
                line("ListShards", 0, r#"{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1700000000}}"#),
            ]
            .concat(),
        ),
        (
            "fan-out",
            [
                line("PutRecords", 0, put),
                line("ListStreamConsumers", 0, r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s"}"#),
                line("SubscribeToShard", 0, r#"{"ConsumerARN":"$C","ShardId":"shardId-000000000000","StartingPosition":{"Type":"TRIM_HORIZON"}}"#),
                line("SubscribeToShard", 5, r#"{"ConsumerARN":"$C","ShardId":"shardId-000000000001","StartingPosition":{"Type":"AT_SEQUENCE_NUMBER","SequenceNumber":"$Q"}}"#),
                line("DeregisterStreamConsumer", 0, r#"{"ConsumerARN":"$C"}"#),
            ]
            .concat(),
        ),
        (
            "settings",
            [
                line("AddTagsToStream", 0, r#"{"StreamName":"s","Tags":{"a":"b"}}"#),
                line("ListTagsForStream", 0, r#"{"StreamName":"s"}"#),
                line("TagResource", 0, r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Tags":{"c":"d"}}"#),
                line("IncreaseStreamRetentionPeriod", 0, r#"{"StreamName":"s","RetentionPeriodHours":48}"#),
                line("PutResourcePolicy", 0, r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#),
                line("UpdateStreamMode", 0, r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}"#),
                line("ListStreams", 0, r#"{"Limit":1}"#),
                line("DeleteStream", 0, r#"{"StreamName":"s"}"#),
                line("CreateStream", 2, r#"{"StreamName":"t","ShardCount":3}"#),
            ]
            .concat(),
        ),
    ]
}
