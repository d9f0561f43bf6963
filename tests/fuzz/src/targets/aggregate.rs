//! Aggregated records. Raw, or (first byte odd) as the message between magic and a digest that is right.

use md5::{Digest, Md5};
use thalweg_aggregate::{Added, Aggregator, Deaggregated, Limits, UserRecord, deaggregate};
use thalweg_types::{HashKey, HashKeyRange};

use super::Target;
use crate::input::Input;

pub(crate) const TARGET: Target = Target { name: "aggregate", run, seeds, bytes_max: 2048, mutations: 4000 };

/// User records that are put together again.
const RECORDS_MAX: usize = 1000;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_made = input.byte() % 2 == 1;
    let data = input.rest();
    let made = [b"\xf3\x89\x9a\xc2", data, &Md5::digest(data)[..]].concat();
    let data = if is_made { &made } else { data };
    let aggregated = match deaggregate("outer", Some(HashKey(7)), data) {
        Deaggregated::Plain(record) => return assert_eq!(record.data, data),
        Deaggregated::Aggregated(aggregated) => aggregated,
    };
    assert_eq!(aggregated.records().count() as u64, aggregated.count());
    assert!(aggregated.belongs_to(&HashKeyRange { start: HashKey::MIN, end: HashKey::MAX }));
    let records: Vec<UserRecord<'_>> = aggregated.records().take(RECORDS_MAX).collect();
    check_put_together(&records);
}

/// What was taken apart is put together, and comes apart the same way.
fn check_put_together(records: &[UserRecord<'_>]) {
    let mut aggregator = Aggregator::new(Limits { bytes_max: usize::MAX, ..Limits::default() });
    for record in records {
        let added = aggregator.add(record.partition_key, record.explicit_hash_key, record.data);
        assert_eq!(added, Added::Taken, "there is room");
    }
    let bytes = aggregator.bytes();
    let Some(outgoing) = aggregator.take() else { return assert!(records.is_empty()) };
    assert_eq!(outgoing.count as usize, records.len());
    let again = deaggregate(&outgoing.partition_key, outgoing.explicit_hash_key, &outgoing.data);
    if records.len() > 1 {
        assert_eq!(outgoing.data.len(), bytes);
        assert!(matches!(again, Deaggregated::Aggregated(_)));
        assert!(again.records().eq(records.iter().copied()), "{again:?} was {records:?}");
    } else {
        // It is sent as it is, and its data may be an aggregate itself.
        assert_eq!(outgoing.data, records[0].data);
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut aggregator = Aggregator::new(Limits::default());
    for (key, hash_key, data) in
        [("pk1", None, "hello"), ("pk1", None, "world"), ("pk2", Some(HashKey(123)), "!!")]
    {
        aggregator.add(key, hash_key, data.as_bytes());
    }
    let data = aggregator.take().expect("it has some").data;
    let message = &data[4..data.len() - 16];
    vec![
        ("whole", [&[0], &data[..]].concat()),
        ("message", [&[1], message].concat()),
        ("tags", b"\x01\x0a\x01k\x1a\x0c\x08\x00\x1a\x00\x22\x06\x0a\x01t\x12\x01v\x20\x05\x2d....".to_vec()),
    ]
}
