//! What a scanner finds, as the tree that the decoder must find as well: for tests and fuzzing, which hold one against
//! the other. Nothing else uses it.

use bytes::Bytes;
use thalweg_shape::Value;

use super::{Data, GetRecords, NotBase64, PutEntry, PutRecord, PutRecords};
use crate::Protocol;

/// Text as a tree.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A map of these members.
pub fn map(members: Vec<(&str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An absent member is a null one.
pub fn optional(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

/// The data as a tree has it after the type checks.
fn data(data: &Data<'_>) -> Result<Value, NotBase64> {
    let mut appended = b"before".to_vec();
    let outcome = data.append_to(&mut appended);
    assert_eq!(data.check(), outcome);
    let expected = if outcome.is_ok() { data.len() } else { 0 };
    assert_eq!((&appended[..6], appended.len()), (&b"before"[..], 6 + expected));
    assert!(outcome.is_err() || data.is_empty() == (expected == 0));
    outcome.map(|()| Value::Bytes(Bytes::from(appended.split_off(6))))
}

fn entry(entry: &PutEntry<'_>) -> Result<Vec<(&'static str, Value)>, NotBase64> {
    Ok(vec![
        ("Data", data(&entry.data)?),
        ("PartitionKey", optional(entry.partition_key)),
        ("ExplicitHashKey", optional(entry.explicit_hash_key)),
    ])
}

fn put_records_tree(request: &PutRecords<'_>) -> Result<Value, NotBase64> {
    let records: Result<Vec<Value>, NotBase64> =
        request.records.iter().map(|record| entry(record).map(map)).collect();
    Ok(map(vec![
        ("Records", Value::List(records?)),
        ("StreamName", optional(request.stream_name)),
        ("StreamARN", optional(request.stream_arn)),
    ]))
}

fn put_record_tree(request: &PutRecord<'_>) -> Result<Value, NotBase64> {
    let mut members = entry(&request.record)?;
    members.push(("StreamName", optional(request.stream_name)));
    members.push(("StreamARN", optional(request.stream_arn)));
    members.push(("SequenceNumberForOrdering", optional(request.sequence_number_for_ordering)));
    Ok(map(members))
}

fn get_records_tree(request: &GetRecords<'_>) -> Value {
    map(vec![
        ("ShardIterator", text(request.shard_iterator)),
        ("Limit", request.limit.map_or(Value::Null, Value::Integer)),
        ("StreamARN", optional(request.stream_arn)),
    ])
}

/// What a scanner finds in a body, as a tree; `None` when it declines, or the data turns out not to be base64.
pub type Scanned = fn(Protocol, &[u8]) -> Option<Value>;

/// Of PutRecords, PutRecord and GetRecords.
pub const SCANNERS: [Scanned; 3] = [
    |protocol, body| put_records_tree(&PutRecords::scan(protocol, body)?).ok(),
    |protocol, body| put_record_tree(&PutRecord::scan(protocol, body)?).ok(),
    |protocol, body| Some(get_records_tree(&GetRecords::scan(protocol, body)?)),
];

/// As the first of the scanners, by guessing.
pub const GUESSER: Scanned = |protocol, body| put_records_tree(&PutRecords::guess(protocol, body)?).ok();

/// A decoded tree with the blobs that a schema would make of texts, nulls left out and members sorted.
///
/// # Panics
/// When a blob's text is not base64: no scanner accepts that.
pub fn normal(value: Value) -> Value {
    match value {
        Value::List(elements) => Value::List(elements.into_iter().map(normal).collect()),
        Value::Map(members) => {
            let mut members: Vec<(String, Value)> = members
                .into_iter()
                .filter(|(_, value)| *value != Value::Null)
                .map(|(name, value)| match value {
                    Value::Text(text) if name == "Data" => {
                        let bytes =
                            base64_simd::STANDARD.decode_to_vec(&text).expect("the scanner accepted it");
                        (name, Value::Bytes(Bytes::from(bytes)))
                    }
                    value => (name, normal(value)),
                })
                .collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Map(members)
        }
        other => other,
    }
}

/// A tree with its members by name: their order says nothing.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Map(mut members) => {
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Map(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::List(values) => Value::List(values.into_iter().map(sorted).collect()),
        value => value,
    }
}

/// The rule that lets the scanners exist: what one of them takes, the decoder reads alike.
///
/// # Panics
/// When it is broken.
#[track_caller]
pub fn check_agreement(protocol: Protocol, body: &[u8]) {
    for scanner in SCANNERS.into_iter().chain([GUESSER]) {
        if let Some(scanned) = scanner(protocol, body) {
            let decoded = protocol.decode(body).expect("what a scanner accepts is well formed");
            assert_eq!(normal(scanned), normal(decoded), "{}", String::from_utf8_lossy(body));
        }
    }
}
