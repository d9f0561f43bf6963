//! JSON bodies: the scanners against the decoder, the decoder against the SDK's, and both against the encoder.

use thalweg_wire::Protocol;
use thalweg_wire::hot::agreement::check_agreement;

use super::Target;
use super::trees::{are_alike, check_round_trip, from_json};

pub(crate) const TARGET: Target = Target { name: "json", run, seeds, bytes_max: 4096, mutations: 4000 };

fn run(body: &[u8]) {
    check_agreement(Protocol::AwsJson11, body);
    let Ok(value) = Protocol::AwsJson11.decode(body) else { return };
    // The SDK's parser takes more than JSON, so that only this way round is a rule.
    let second = from_json(body).unwrap_or_else(|error| panic!("the SDK does not read {value:?}: {error}"));
    assert!(are_alike(&value, &second), "{value:?} is {second:?} to the SDK");
    check_round_trip(Protocol::AwsJson11, value);
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("put-records", r#"{"Records":[{"Data":"aGk=","PartitionKey":"a"},{"Data":"aGk=","PartitionKey":"b"},{"PartitionKey":"c","ExplicitHashKey":"0","Data":""}],"StreamName":"s"}"#),
        ("put-record", r#"{"StreamName":"s","Data":"aGk=","PartitionKey":"k","SequenceNumberForOrdering":"1","ExplicitHashKey":"2"}"#),
        ("get-records", r#"{"ShardIterator":"AAAA","Limit":10000,"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s"}"#),
        ("values", r#" {"A": [true, false, null, -7, 1.5e3, 9223372036854775808, "a\/b\u00e9\ud83d\ude00\n"], "A": {}} "#),
    ]
    .map(|(name, body)| (name, body.as_bytes().to_vec()))
    .to_vec()
}
