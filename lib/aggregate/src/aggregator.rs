//! Putting user records together as the Kinesis Producer Library does. It sends nothing and knows no deadlines.

use md5::{Digest, Md5};
use rustc_hash::FxHashMap;
use thalweg_types::HashKey;

use crate::protobuf::{bytes_field_length, varint_field_length, write_bytes_field_start, write_varint_field};
use crate::{
    AGGREGATED_EXPLICIT_HASH_KEY, AGGREGATED_PARTITION_KEY, AGGREGATED_RECORD, DIGEST_BYTES, MAGIC,
    OUTER_PARTITION_KEY, RECORD_DATA, RECORD_EXPLICIT_HASH_KEY_INDEX, RECORD_PARTITION_KEY_INDEX,
};

/// When an aggregate is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the aggregated record's data, everything counted, at most. A user record that alone would exceed
    /// this is sent alone, as it is.
    pub bytes_max: usize,
    /// User records in one aggregate, at most; at least 1.
    pub records_max: u32,
}

impl Default for Limits {
    /// The Kinesis Producer Library's: AggregationMaxSize 51,200 and AggregationMaxCount 4,294,967,295.
    fn default() -> Self {
        Limits { bytes_max: 51_200, records_max: u32::MAX }
    }
}

/// Gathers user records for one Kinesis record. All of them must belong to the shard that the producer believes the
/// first one goes to: use one aggregator per predicted shard, and none without a shard map.
#[derive(Debug)]
pub struct Aggregator {
    limits: Limits,
    count: u32,
    /// The message's three parts, already encoded.
    partition_keys: Vec<u8>,
    explicit_hash_keys: Vec<u8>,
    records: Vec<u8>,
    /// Where each key stands in its table.
    partition_key_indexes: FxHashMap<String, u64>,
    explicit_hash_key_indexes: FxHashMap<HashKey, u64>,
    /// The keys of the first record, and how many of the first bytes in `records` come before its data.
    first: Option<First>,
}

#[derive(Debug)]
struct First {
    partition_key: String,
    explicit_hash_key: Option<HashKey>,
    data_start: usize,
}

/// Whether a record was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was.
    Taken,
    /// It was not: send what is there, then add it again.
    Full,
}

/// A Kinesis record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its partition key: the user's when there is one user record, `a` otherwise.
    pub partition_key: String,
    /// Its explicit hash key: the user's when there is one user record, the first user record's place in the hash
    /// space otherwise.
    pub explicit_hash_key: Option<HashKey>,
    /// Its data.
    pub data: Vec<u8>,
    /// How many user records are in it; one that is alone is not aggregated.
    pub count: u32,
}

impl Aggregator {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Aggregator {
            limits,
            count: 0,
            partition_keys: Vec::new(),
            explicit_hash_keys: Vec::new(),
            records: Vec::new(),
            partition_key_indexes: FxHashMap::default(),
            explicit_hash_key_indexes: FxHashMap::default(),
            first: None,
        }
    }

    /// How many user records are in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Length in bytes of the aggregated data if it was sent now. (One record alone is sent as it is.)
    pub fn bytes(&self) -> usize {
        MAGIC.len()
            + self.partition_keys.len()
            + self.explicit_hash_keys.len()
            + self.records.len()
            + DIGEST_BYTES
    }

    /// Takes a user record, if there is room. An empty aggregator takes any.
    pub fn add(&mut self, partition_key: &str, explicit_hash_key: Option<HashKey>, data: &[u8]) -> Added {
        // Where the keys are in the tables, or would be, and what the tables grow by.
        let known = self.partition_key_indexes.get(partition_key).copied();
        let key_index = known.unwrap_or(self.partition_key_indexes.len() as u64);
        let mut growth = if known.is_some() { 0 } else { bytes_field_length(partition_key.len()) };
        let is_new_key = known.is_none();
        let mut hash = None;
        if let Some(hash_key) = explicit_hash_key {
            let known = self.explicit_hash_key_indexes.get(&hash_key).copied();
            let index = known.unwrap_or(self.explicit_hash_key_indexes.len() as u64);
            let new = known.is_none().then(|| hash_key.to_string());
            growth += new.as_ref().map_or(0, |decimal| bytes_field_length(decimal.len()));
            hash = Some((index, hash_key, new));
        }
        let before_data = varint_field_length(key_index)
            + hash.as_ref().map_or(0, |&(index, ..)| varint_field_length(index));
        let record_length = before_data + bytes_field_length(data.len());
        growth += bytes_field_length(record_length);
        let full = self.count >= self.limits.records_max || self.bytes() + growth > self.limits.bytes_max;
        if full && self.count > 0 {
            return Added::Full;
        }

        if is_new_key {
            write_bytes_field_start(&mut self.partition_keys, AGGREGATED_PARTITION_KEY, partition_key.len());
            self.partition_keys.extend_from_slice(partition_key.as_bytes());
            self.partition_key_indexes.insert(partition_key.to_owned(), key_index);
        }
        write_bytes_field_start(&mut self.records, AGGREGATED_RECORD, record_length);
        write_varint_field(&mut self.records, RECORD_PARTITION_KEY_INDEX, key_index);
        if let Some((index, hash_key, new)) = hash {
            if let Some(decimal) = new {
                let out = &mut self.explicit_hash_keys;
                write_bytes_field_start(out, AGGREGATED_EXPLICIT_HASH_KEY, decimal.len());
                out.extend_from_slice(decimal.as_bytes());
                self.explicit_hash_key_indexes.insert(hash_key, index);
            }
            write_varint_field(&mut self.records, RECORD_EXPLICIT_HASH_KEY_INDEX, index);
        }
        write_bytes_field_start(&mut self.records, RECORD_DATA, data.len());
        if self.first.is_none() {
            let data_start = self.records.len();
            self.first =
                Some(First { partition_key: partition_key.to_owned(), explicit_hash_key, data_start });
        }
        self.records.extend_from_slice(data);
        self.count += 1;
        Added::Taken
    }

    /// What is to be sent, if anything was added; the aggregator is empty afterwards.
    pub fn take(&mut self) -> Option<Outgoing> {
        let first = self.first.take()?;
        let count = std::mem::take(&mut self.count);
        let outgoing = if count == 1 {
            Outgoing {
                partition_key: first.partition_key,
                explicit_hash_key: first.explicit_hash_key,
                data: self.records[first.data_start..].to_vec(),
                count,
            }
        } else {
            let place =
                first.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(&first.partition_key));
            let mut data = Vec::with_capacity(self.bytes());
            data.extend_from_slice(&MAGIC);
            data.extend_from_slice(&self.partition_keys);
            data.extend_from_slice(&self.explicit_hash_keys);
            data.extend_from_slice(&self.records);
            let digest = Md5::digest(&data[MAGIC.len()..]);
            data.extend_from_slice(&digest);
            Outgoing {
                partition_key: OUTER_PARTITION_KEY.to_owned(),
                explicit_hash_key: Some(place),
                data,
                count,
            }
        };
        self.partition_keys.clear();
        self.explicit_hash_keys.clear();
        self.records.clear();
        self.partition_key_indexes.clear();
        self.explicit_hash_key_indexes.clear();
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::vector;
    use crate::{Deaggregated, deaggregate};

    #[test]
    fn the_known_vector_is_made() {
        let mut aggregator = Aggregator::new(Limits::default());
        for (key, hash_key, data) in
            [("pk1", None, &b"hello"[..]), ("pk1", None, b"world"), ("pk2", Some(HashKey(123)), b"!!")]
        {
            assert_eq!(aggregator.add(key, hash_key, data), Added::Taken);
        }
        assert_eq!(aggregator.count(), 3);
        assert_eq!(aggregator.bytes(), vector().len());
        let outgoing = Outgoing {
            partition_key: "a".to_owned(),
            explicit_hash_key: Some(HashKey::of_partition_key("pk1")),
            data: vector(),
            count: 3,
        };
        assert_eq!(aggregator.take(), Some(outgoing));
        assert_eq!(aggregator.take(), None);
    }

    #[test]
    fn the_first_records_explicit_hash_key_places_the_aggregate() {
        let mut aggregator = Aggregator::new(Limits::default());
        aggregator.add("k", Some(HashKey(5)), b"1");
        aggregator.add("l", Some(HashKey(6)), b"2");
        assert_eq!(aggregator.take().expect("two were added").explicit_hash_key, Some(HashKey(5)));
    }

    #[test]
    fn one_record_stays_as_it_is() {
        let mut aggregator = Aggregator::new(Limits::default());
        for hash_key in [None, Some(HashKey(9))] {
            assert_eq!(aggregator.add("key", hash_key, b"data"), Added::Taken);
            let plain = Outgoing {
                partition_key: "key".to_owned(),
                explicit_hash_key: hash_key,
                data: b"data".to_vec(),
                count: 1,
            };
            assert_eq!(aggregator.take(), Some(plain));
        }
    }

    #[test]
    fn it_is_full_at_exactly_the_limit() {
        // 20 for magic and digest, 3 for the key, 8 for each record.
        for (bytes_max, second) in [(39, Added::Taken), (38, Added::Full)] {
            let mut aggregator = Aggregator::new(Limits { bytes_max, ..Limits::default() });
            assert_eq!(aggregator.add("k", None, b"12"), Added::Taken);
            assert_eq!(aggregator.bytes(), 31);
            assert_eq!(aggregator.add("k", None, b"34"), second, "{bytes_max}");
        }
        let mut aggregator = Aggregator::new(Limits { records_max: 2, ..Limits::default() });
        let added: Vec<_> = (0..3).map(|_| aggregator.add("k", None, b"")).collect();
        assert_eq!(added, [Added::Taken, Added::Taken, Added::Full]);
    }

    #[test]
    fn a_record_above_the_limit_goes_alone() {
        let mut aggregator = Aggregator::new(Limits { bytes_max: 100, ..Limits::default() });
        assert_eq!(aggregator.add("k", None, &[0; 200]), Added::Taken);
        assert_eq!(aggregator.add("k", None, b""), Added::Full);
        assert_eq!(aggregator.take().expect("one was added").data, [0; 200]);
    }

    proptest! {
        #[test]
        fn what_was_put_together_is_taken_apart(
            records in prop::collection::vec(
                ("[a-c]|.{0,300}", prop::option::of(prop_oneof![0..3u128, any::<u128>()]),
                 prop::collection::vec(any::<u8>(), 0..400)),
                1..60),
            bytes_max in 20usize..2000,
            records_max in 1u32..20,
        ) {
            let mut aggregator = Aggregator::new(Limits { bytes_max, records_max });
            let mut sent = Vec::new();
            for (key, hash_key, data) in &records {
                let hash_key = hash_key.map(HashKey);
                if aggregator.add(key, hash_key, data) == Added::Full {
                    sent.push(aggregator.take().expect("it is full"));
                    prop_assert_eq!(aggregator.add(key, hash_key, data), Added::Taken);
                }
            }
            sent.extend(aggregator.take());

            let mut received = Vec::new();
            for outgoing in &sent {
                let deaggregated =
                    deaggregate(&outgoing.partition_key, outgoing.explicit_hash_key, &outgoing.data);
                prop_assert_eq!(matches!(deaggregated, Deaggregated::Plain(_)), outgoing.count == 1);
                prop_assert!(outgoing.count <= records_max);
                prop_assert!(outgoing.count == 1 || outgoing.data.len() <= bytes_max);
                let before = received.len();
                for record in deaggregated.records() {
                    received.push((
                        record.partition_key.to_owned(),
                        record.explicit_hash_key.map(|key| key.0),
                        record.data.to_vec(),
                    ));
                }
                prop_assert_eq!(received.len() - before, outgoing.count as usize);
                let first = deaggregated.records().next().expect("it has records").hash_key();
                let outer = outgoing.explicit_hash_key
                    .unwrap_or_else(|| HashKey::of_partition_key(&outgoing.partition_key));
                prop_assert_eq!(outer, first, "the aggregate goes where its first record goes");
            }
            prop_assert_eq!(received, records);
        }
    }
}
