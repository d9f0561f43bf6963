//! Inputs of every operation of the model: from a body to the generated type. The first byte chooses the operation, the
//! second the protocol.

use std::sync::Arc;

use futures_util::FutureExt;
use thalweg_api::kinesis::{Kinesis, KinesisService, OPERATIONS};
use thalweg_api::{Call, Service};
use thalweg_shape::{Schema, Value, coerce, validation_message, violations};
use thalweg_wire::Protocol;

use super::Target;
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "models", run, seeds, bytes_max: 4096, mutations: 4000 };

/// Has no operation, so that each answers right after its input was read.
struct Nothing;

impl Kinesis for Nothing {}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let operation = &OPERATIONS[usize::from(input.byte()) % OPERATIONS.len()];
    let protocol = [Protocol::AwsJson11, Protocol::AwsCbor11][usize::from(input.byte()) % 2];
    // A body must be a structure; a list is told what is wrong with it.
    let Ok(value @ (Value::Map(_) | Value::List(_))) = protocol.decode(input.rest()) else { return };
    let Ok(value) = coerce(value, &Schema::Structure(operation.input)) else { return };
    assert_eq!(
        coerce(value.clone(), &Schema::Structure(operation.input)).ok().as_ref(),
        Some(&value),
        "once is enough"
    );
    let violations = violations(&value, operation.input);
    if !violations.is_empty() {
        assert!(validation_message(&violations).starts_with(&violations.len().to_string()));
        return;
    }
    let call = Call::unlimited("fuzzing", protocol);
    let answer = KinesisService(Arc::new(Nothing)).call(operation, &call, value).now_or_never();
    assert!(answer.expect("it waits for nothing").is_err(), "no operation is written");
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |operation: &str, body: &str| {
        let number = OPERATIONS.iter().position(|known| known.name == operation).expect("the model has it");
        [&[number as u8, 0], body.as_bytes()].concat()
    };
    vec![
        (
            "create-stream",
            seed(
                "CreateStream",
                r#"{"StreamName":"s","ShardCount":2,"StreamModeDetails":{"StreamMode":"PROVISIONED"},"Tags":{"a":"b"}}"#,
            ),
        ),
        (
            "list-shards",
            seed(
                "ListShards",
                r#"{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1.5e9},"MaxResults":1}"#,
            ),
        ),
        (
            "put-records",
            seed("PutRecords", r#"{"Records":[{"Data":"aGk=","PartitionKey":"a"}],"StreamName":"s"}"#),
        ),
        (
            "subscribe",
            seed(
                "SubscribeToShard",
                r#"{"ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1","ShardId":"shardId-000000000000","StartingPosition":{"Type":"LATEST"}}"#,
            ),
        ),
        (
            "policy",
            seed(
                "PutResourcePolicy",
                r#"{"ResourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","Policy":"{}"}"#,
            ),
        ),
    ]
}
