//! Taking aggregated records apart, without copying. It follows the rules of the Kinesis Client Library: what is
//! not exactly an aggregated record is an ordinary one, never an error.

use md5::{Digest, Md5};
use thalweg_types::{HashKey, HashKeyRange};

use crate::protobuf::{Fields, Malformed, Value};
use crate::{
    AGGREGATED_EXPLICIT_HASH_KEY, AGGREGATED_PARTITION_KEY, AGGREGATED_RECORD, DIGEST_BYTES, MAGIC,
    RECORD_DATA, RECORD_EXPLICIT_HASH_KEY_INDEX, RECORD_PARTITION_KEY_INDEX, RECORD_TAG, TAG_KEY, TAG_VALUE,
};

/// What a producer's user wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRecord<'a> {
    /// Its partition key.
    pub partition_key: &'a str,
    /// Its explicit place in the hash space.
    pub explicit_hash_key: Option<HashKey>,
    /// What it carries: a part of the Kinesis record's data.
    pub data: &'a [u8],
    /// Its index within the Kinesis record, from 0; 0 for an ordinary record.
    pub sub_sequence_number: u64,
}

/// A Kinesis record, looked into.
#[derive(Clone, Debug)]
pub enum Deaggregated<'a> {
    /// An ordinary record: itself.
    Plain(UserRecord<'a>),
    /// Several records (or one, or none) in one.
    Aggregated(Aggregated<'a>),
}

/// The user records of an aggregated record, found to be well-formed. Holds the tables of keys (at most eight
/// times the data's length, in the worst case) but no records.
#[derive(Clone, Debug)]
pub struct Aggregated<'a> {
    message: &'a [u8],
    partition_keys: Vec<&'a str>,
    explicit_hash_keys: Vec<HashKey>,
    count: u64,
}

/// Looks into a Kinesis record with this partition key, explicit hash key and data.
///
/// Ordinary records are: data without the magic, with a wrong digest, or with nothing between them; and a message
/// that is not as the crate's page says (cut short, a required field missing, an index outside its table, a key
/// that is not UTF-8, a hash key that is no decimal number of 128 bits).
pub fn deaggregate<'a>(
    partition_key: &'a str,
    explicit_hash_key: Option<HashKey>,
    data: &'a [u8],
) -> Deaggregated<'a> {
    match message_of(data).and_then(|message| Aggregated::parse(message).ok()) {
        Some(aggregated) => Deaggregated::Aggregated(aggregated),
        None => {
            Deaggregated::Plain(UserRecord { partition_key, explicit_hash_key, data, sub_sequence_number: 0 })
        }
    }
}

/// The protobuf message between magic and digest, if they are right and it is not empty.
fn message_of(data: &[u8]) -> Option<&[u8]> {
    let (message, digest) = data.strip_prefix(&MAGIC)?.split_last_chunk::<DIGEST_BYTES>()?;
    (!message.is_empty() && Md5::digest(message)[..] == digest[..]).then_some(message)
}

impl<'a> UserRecord<'a> {
    /// Its place in the hash space: the explicit one if there is one, else that of its partition key.
    pub fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(self.partition_key))
    }
}

impl<'a> Deaggregated<'a> {
    /// The user records, in order.
    pub fn records(&self) -> impl Iterator<Item = UserRecord<'a>> {
        let (plain, aggregated) = match self {
            Deaggregated::Plain(record) => (Some(*record), None),
            Deaggregated::Aggregated(aggregated) => (None, Some(aggregated.records())),
        };
        plain.into_iter().chain(aggregated.into_iter().flatten())
    }
}

impl<'a> Aggregated<'a> {
    /// How many user records there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The user records, in order.
    pub fn records(&self) -> impl Iterator<Item = UserRecord<'a>> {
        // Every record was decoded once when it was parsed.
        let records = record_messages(self.message).map(|message| message.expect("it was parsed before"));
        (0..).zip(records).map(|(index, message)| self.record(index, message).expect("it was parsed before"))
    }

    /// Whether every user record's hash key lies in `range`. The Kinesis Client Library drops an aggregate that
    /// does not wholly belong to the shard it was read from: after a reshard its producer was mistaken about the
    /// shard and will send the records again.
    pub fn belongs_to(&self, range: &HashKeyRange) -> bool {
        self.records().all(|record| range.contains(record.hash_key()))
    }

    fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut parsed =
            Aggregated { message, partition_keys: Vec::new(), explicit_hash_keys: Vec::new(), count: 0 };
        for field in Fields::new(message) {
            match field? {
                (AGGREGATED_PARTITION_KEY, Value::Bytes(key)) => parsed.partition_keys.push(text(key)?),
                (AGGREGATED_EXPLICIT_HASH_KEY, Value::Bytes(key)) => {
                    parsed.explicit_hash_keys.push(hash_key(text(key)?)?);
                }
                _ => {}
            }
        }
        // Only now: the tables may come after the records that point into them.
        for record in record_messages(message) {
            parsed.record(parsed.count, record?)?;
            parsed.count += 1;
        }
        Ok(parsed)
    }

    fn record(&self, index: u64, message: &'a [u8]) -> Result<UserRecord<'a>, Malformed> {
        let (mut partition_key, mut explicit_hash_key, mut data) = (None, None, None);
        for field in Fields::new(message) {
            // A field that comes twice counts as it was last, one of another wire type not at all: protobuf's rules.
            match field? {
                (RECORD_PARTITION_KEY_INDEX, Value::Varint(index)) => partition_key = Some(index),
                (RECORD_EXPLICIT_HASH_KEY_INDEX, Value::Varint(index)) => explicit_hash_key = Some(index),
                (RECORD_DATA, Value::Bytes(bytes)) => data = Some(bytes),
                (RECORD_TAG, Value::Bytes(tag)) => check_tag(tag)?,
                _ => {}
            }
        }
        let explicit_hash_key = match explicit_hash_key {
            None => None,
            Some(index) => Some(entry(&self.explicit_hash_keys, index)?),
        };
        Ok(UserRecord {
            partition_key: entry(&self.partition_keys, partition_key.ok_or(Malformed)?)?,
            explicit_hash_key,
            data: data.ok_or(Malformed)?,
            sub_sequence_number: index,
        })
    }
}

fn record_messages(message: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::new(message).filter_map(|field| match field {
        Ok((AGGREGATED_RECORD, Value::Bytes(record))) => Some(Ok(record)),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

fn check_tag(message: &[u8]) -> Result<(), Malformed> {
    let mut has_key = false;
    for field in Fields::new(message) {
        match field? {
            (TAG_KEY, Value::Bytes(key)) => {
                text(key)?;
                has_key = true;
            }
            (TAG_VALUE, Value::Bytes(value)) => {
                text(value)?;
            }
            _ => {}
        }
    }
    if has_key { Ok(()) } else { Err(Malformed) }
}

fn entry<T: Copy>(table: &[T], index: u64) -> Result<T, Malformed> {
    let index = usize::try_from(index).map_err(|_| Malformed)?;
    table.get(index).copied().ok_or(Malformed)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// More lenient than the API, which refuses leading zeros: what a library has written must stay readable.
fn hash_key(decimal: &str) -> Result<HashKey, Malformed> {
    if !decimal.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    decimal.parse().map(HashKey).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::vector;

    fn wrap(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)].concat()
    }

    /// Partition key, explicit hash key, data.
    type Expected<'a> = (&'a str, Option<u128>, &'a [u8]);

    /// The records' keys, hash keys and data, or `None` for an ordinary record.
    #[track_caller]
    fn check(data: &[u8], expected: Option<&[Expected<'_>]>) {
        let deaggregated = deaggregate("outer", Some(HashKey(7)), data);
        match (&deaggregated, expected) {
            (Deaggregated::Plain(record), None) => {
                let whole = UserRecord {
                    partition_key: "outer",
                    explicit_hash_key: Some(HashKey(7)),
                    data,
                    sub_sequence_number: 0,
                };
                assert_eq!(*record, whole);
                assert_eq!(deaggregated.records().collect::<Vec<_>>(), [whole]);
            }
            (Deaggregated::Aggregated(aggregated), Some(expected)) => {
                let records: Vec<_> = aggregated.records().collect();
                let told: Vec<_> = records
                    .iter()
                    .map(|record| {
                        (record.partition_key, record.explicit_hash_key.map(|key| key.0), record.data)
                    })
                    .collect();
                assert_eq!(told, expected);
                assert_eq!(aggregated.count(), expected.len() as u64);
                let numbers = records.iter().map(|record| record.sub_sequence_number);
                assert!(numbers.eq(0..aggregated.count()), "sub-sequence numbers count from 0");
                assert_eq!(deaggregated.records().collect::<Vec<_>>(), records);
            }
            _ => panic!("{data:02x?} is {deaggregated:?}"),
        }
    }

    #[test]
    fn the_known_vector_is_taken_apart() {
        check(
            &vector(),
            Some(&[("pk1", None, b"hello"), ("pk1", None, b"world"), ("pk2", Some(123), b"!!")]),
        );
    }

    #[test]
    fn what_has_no_magic_digest_or_message_is_ordinary() {
        check(b"", None);
        check(b"\xf3\x89\x9a", None);
        check(&MAGIC, None);
        check(b"plain text that is long enough to have a digest", None);
        check(&[&MAGIC[..], &[0; 15]].concat(), None);
        check(&wrap(b""), None);
        check(&vector()[1..], None);
        check(&[&vector()[..], b"x"].concat(), None);
    }

    #[test]
    fn every_flipped_bit_makes_it_ordinary() {
        let vector = vector();
        for bit in 0..vector.len() * 8 {
            let mut flipped = vector.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped, None);
        }
    }

    #[test]
    fn messages_that_break_the_schema_are_ordinary() {
        for message in [
            &b"\x0a\x01k\x1a\x02\x08\x00"[..],            // a record without data
            b"\x0a\x01k\x1a\x02\x1a\x00",                 // a record without partition key
            b"\x0a\x01k\x1a\x04\x08\x01\x1a\x00",         // a partition key outside the table
            b"\x1a\x04\x08\x00\x1a\x00",                  // no table at all
            b"\x0a\x01k\x1a\x06\x08\x00\x10\x00\x1a\x00", // a hash key outside the table
            b"\x0a\x01k\x1a\x04\x08\x00\x1a\x01",         // a record cut short
            b"\x0a\x01k\x1a\x04\x08\x00\x1a\x00\x1a",     // the message cut short
            b"\x0a\x01\xff\x1a\x04\x08\x00\x1a\x00",      // a key that is not UTF-8
            b"\x0a\x01k\x12\x02+1\x1a\x06\x08\x00\x10\x00\x1a\x00", // a hash key that is no number
            b"\x0a\x01k\x12\x00\x1a\x06\x08\x00\x10\x00\x1a\x00", // nor is this
            b"\x0a\x01k\x1a\x06\x08\x00\x1a\x00\x22\x00", // a tag without key
            b"\x0a\x01k\x12\x27340282366920938463463374607431768211456\x1a\x06\x08\x00\x10\x00\x1a\x00",
            b"\x0a\x01k\x1a\x05\x0d\x00\x00\x00\x00", // the key's index of another type
        ] {
            check(&wrap(message), None);
        }
    }

    #[test]
    fn what_protobuf_allows_is_understood() {
        let one: &[Expected<'_>] = &[("k", None, b"")];
        // Records before their tables.
        check(&wrap(b"\x1a\x04\x08\x00\x1a\x00\x0a\x01k"), Some(one));
        // Unknown fields, of the message and of the record.
        check(&wrap(b"\x20\x05\x0a\x01k\x2d....\x1a\x07\x32\x01?\x08\x00\x1a\x00"), Some(one));
        // A field that comes twice.
        check(&wrap(b"\x0a\x01k\x1a\x06\x08\x07\x08\x00\x1a\x00"), Some(one));
        // Tags.
        check(&wrap(b"\x0a\x01k\x1a\x0c\x08\x00\x1a\x00\x22\x06\x0a\x01t\x12\x01v"), Some(one));
        // The largest hash key, and one with leading zeros.
        let max = b"\x0a\x01k\x12\x27340282366920938463463374607431768211455\x1a\x06\x08\x00\x10\x00\x1a\x00";
        check(&wrap(max), Some(&[("k", Some(u128::MAX), b"")]));
        check(&wrap(b"\x0a\x01k\x12\x03007\x1a\x06\x08\x00\x10\x00\x1a\x00"), Some(&[("k", Some(7), b"")]));
        // Tables and nothing in them.
        check(&wrap(b"\x0a\x01k"), Some(&[]));
    }

    #[test]
    fn user_records_are_placed_by_their_own_keys() {
        let vector = vector();
        let Deaggregated::Aggregated(aggregated) = deaggregate("a", None, &vector) else {
            panic!("it is aggregated");
        };
        let hash_keys: Vec<_> = aggregated.records().map(|record| record.hash_key()).collect();
        let pk1 = HashKey::of_partition_key("pk1");
        assert_eq!(hash_keys, [pk1, pk1, HashKey(123)]);
        assert!(aggregated.belongs_to(&HashKeyRange { start: HashKey(123), end: pk1 }));
        assert!(!aggregated.belongs_to(&HashKeyRange { start: HashKey(124), end: HashKey::MAX }));
        assert!(!aggregated.belongs_to(&HashKeyRange { start: HashKey(0), end: HashKey(pk1.0 - 1) }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in any::<Vec<u8>>()) {
            prop_assert!(deaggregate("k", None, &bytes).records().count() == 1);
            deaggregate("k", None, &wrap(&bytes)).records().for_each(|record| {
                record.hash_key();
            });
        }

        /// Closer to messages than any bytes are: the vector's, with a piece replaced.
        #[test]
        fn damaged_messages_are_safe(
            at in 0usize..47, cut in 0usize..10, piece in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let mut message = vector()[4..51].to_vec();
            message.splice(at..(at + cut).min(47), piece);
            let data = wrap(&message);
            let deaggregated = deaggregate("k", None, &data);
            for record in deaggregated.records() {
                prop_assert!(data.as_ptr_range().contains(&record.data.as_ptr()) || record.data.is_empty());
            }
        }
    }
}
