//! Texts within requests: ARNs, names, shard ids, hash keys, sequence numbers, content types. What is read is written
//! as it was, and read again the same.

use thalweg_types::{
    ConsumerArn, ConsumerName, FollowingDigits, HashKey, SequenceNumber, ShardIndex, StreamArn, StreamName,
    Timestamp,
};
use thalweg_wire::Protocol;

use super::Target;

pub(crate) const TARGET: Target = Target { name: "texts", run, seeds, bytes_max: 512, mutations: 8000 };

fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(arn) = StreamArn::parse(text) {
        assert_eq!(StreamArn::parse(&arn.to_string()), Some(arn), "{text}");
    }
    if let Some(arn) = ConsumerArn::parse(text) {
        let again =
            ConsumerArn::parse(&arn.to_string()).unwrap_or_else(|| panic!("{arn:?} of {text} is lost"));
        assert_eq!((again.stream, again.name), (arn.stream, arn.name), "{text}");
    }
    for name in [
        StreamName::new(text).map(|name| name.to_string()),
        ConsumerName::new(text).map(|name| name.to_string()),
    ] {
        assert!(name.is_err() || name.as_deref() == Ok(text));
    }
    if let Some(shard) = ShardIndex::parse(text) {
        assert_eq!(ShardIndex::parse(&shard.to_string()), Some(shard), "{text}");
    }
    if let Some(key) = HashKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(number) = SequenceNumber::parse(text) {
        check_number(number, text);
    }
    let _ = Protocol::of_content_type(text);
    let _ = HashKey::of_partition_key(text);
}

fn check_number(number: SequenceNumber, text: &str) {
    assert_eq!(number.to_string(), text);
    let mut digits = FollowingDigits::new(number);
    for places in 0..3 {
        let next = number.following(places);
        assert_eq!(digits.go_to(next).as_str(), next.to_string());
    }
    if !number.is_shard_start() && !number.is_shard_end() {
        let made =
            SequenceNumber::of_record(number.created(), number.shard(), number.offset_at(), number.arrival());
        assert_eq!(made, number);
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let at = Timestamp::from_seconds(1_700_000_000);
    let number = SequenceNumber::of_record(at, ShardIndex(5), 41, at);
    [
        ("stream-arn", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders.v2".to_owned()),
        (
            "consumer-arn",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/o/consumer/billing:1700000000".to_owned(),
        ),
        ("shard", "shardId-000000000005".to_owned()),
        ("hash-key", u128::MAX.to_string()),
        ("number", number.to_string()),
        ("number-end", SequenceNumber::shard_end(at, ShardIndex(5), at).to_string()),
        ("content-type", "application/x-amz-cbor-1.1; charset=utf-8".to_owned()),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .to_vec()
}
