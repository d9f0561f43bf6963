//! Which shard each record belongs to. Pure, but for the randomness that it is given.
//!
//! A route is a shard's index and a record's number in one word, so that sorting words groups the records of a
//! shard and keeps the request's order in each group.

use thalweg_journal::Record;
use thalweg_model::kinesis::RecordDistributionStrategy;
use thalweg_shape::Failure;
use thalweg_system::Random;
use thalweg_types::limits::PUT_RECORDS_COUNT_MAX;
use thalweg_types::{HashKey, ShardIndex};
use thalweg_wire::hot::PutEntry;

use crate::errors;
use crate::stream::Stream;

/// The route of a record that goes nowhere: greater than any other.
const NOWHERE: u64 = u64::MAX;

/// How many keys are hashed together, on the stack: as many as [`HashKey::of_partition_keys`] has lanes at most.
const HASHED_AT_ONCE: usize = 32;

/// From so many on, records are put into buckets instead of compared with each other: 1.2 us instead of 2.8 for 500.
const BUCKETED_MIN: usize = 64;

/// Routes of records; see [`Routes::group`] for their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Routes(Vec<u64>);

/// Gives records their shards, one after the other.
struct Router<'a> {
    stream: &'a Stream,
    /// With AUTO distribution, the place of the next record's shard among the open ones: from a random one on,
    /// in turn.
    turn: Option<usize>,
}

impl<'a> Router<'a> {
    fn new(stream: &'a Stream, random: &dyn Random) -> Self {
        let turn = (stream.distribution == RecordDistributionStrategy::Auto).then(|| {
            let open = u64::from(stream.shards.open_count().max(1));
            usize::try_from(random.next_u64() % open).expect("counts of shards are small")
        });
        Router { stream, turn }
    }

    /// Whether it matters where records lie.
    fn asks_for_hash_keys(&self) -> bool {
        self.turn.is_none()
    }

    /// The shard of the next record, whose place in the hash space is `hash_key`.
    ///
    /// # Panics
    /// When the map of open shards has a hole: it has one only while a stream is created, and then it takes
    /// no records.
    fn shard(&mut self, hash_key: HashKey) -> ShardIndex {
        let shards = &self.stream.shards;
        let shard = match &mut self.turn {
            None => shards.locate(hash_key),
            Some(turn) => {
                let shard = shards.open().nth(*turn % shards.open().len().max(1));
                *turn += 1;
                shard.map(|shard| shard.index)
            }
        };
        shard.expect("the open shards of a stream that takes records cover the space")
    }
}

impl Routes {
    /// Of the records of a request, in its order.
    ///
    /// # Errors
    /// InvalidArgument when an explicit hash key is out of range.
    pub(super) fn of_request(
        stream: &Stream,
        records: &[PutEntry<'_>],
        random: &dyn Random,
    ) -> Result<Routes, Failure> {
        let mut router = Router::new(stream, random);
        let mut routes = Vec::with_capacity(records.len());
        for records in records.chunks(HASHED_AT_ONCE) {
            let mut hash_keys = [HashKey::MIN; HASHED_AT_ONCE];
            let hash_keys = &mut hash_keys[..records.len()];
            if router.asks_for_hash_keys() {
                hash(records, hash_keys);
                stream.shards.fetch_places(hash_keys);
            }
            for (record, hash_key) in records.iter().zip(hash_keys) {
                // Checked even where the stream places records by itself.
                if let Some(text) = record.explicit_hash_key {
                    *hash_key =
                        HashKey::parse(text).ok_or_else(|| errors::explicit_hash_key_out_of_range(text))?;
                }
                let number = routes.len() as u64;
                routes.push(u64::from(router.shard(*hash_key).0) << 32 | number);
            }
        }
        Ok(Routes(routes))
    }

    /// Of records that were encoded and routed before; each comes with its number, and those of a shard in their
    /// order. They are grouped already.
    pub(super) fn again<'r>(
        stream: &Stream,
        records: impl Iterator<Item = (u32, Record<'r>)>,
        random: &dyn Random,
    ) -> Routes {
        let mut router = Router::new(stream, random);
        let routes = records.map(|(number, record)| {
            let explicit = record.explicit_hash_key.map(HashKey);
            let shard = router.shard(explicit.unwrap_or_else(|| of_partition_key(record.partition_key)));
            u64::from(shard.0) << 32 | u64::from(number)
        });
        let mut routes = Routes(routes.collect());
        routes.group();
        routes
    }

    /// The shard of each record.
    pub(super) fn shards(&self) -> impl Iterator<Item = ShardIndex> {
        self.0.iter().map(|route| shard_of(*route))
    }

    /// Lets a record go nowhere; answers where it would have gone. Before grouping.
    pub(super) fn refuse(&mut self, record: usize) -> ShardIndex {
        shard_of(std::mem::replace(&mut self.0[record], NOWHERE))
    }

    /// Puts the records of each shard next to each other, in the request's order.
    pub(super) fn group(&mut self) {
        self.0.retain(|route| *route != NOWHERE);
        if self.0.len() < BUCKETED_MIN {
            self.0.sort_unstable();
        } else {
            sort_by_shard(&mut self.0);
        }
    }

    /// Each shard and the numbers of its records. After grouping.
    pub(super) fn groups(&self) -> impl Iterator<Item = (ShardIndex, impl ExactSizeIterator<Item = u32>)> {
        self.0
            .chunk_by(|one, next| shard_of(*one) == shard_of(*next))
            .map(|group| (shard_of(group[0]), group.iter().map(|route| *route as u32)))
    }

    /// The numbers of all records.
    pub(super) fn records(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|route| *route as u32)
    }
}

fn shard_of(route: u64) -> ShardIndex {
    ShardIndex((route >> 32) as u32)
}

/// Sorts routes that are in order within each shard already: byte by byte of the shards, from the lowest, and those
/// bytes only in which any two of them differ.
///
/// # Panics
/// When there are more than a request has.
fn sort_by_shard(routes: &mut [u64]) {
    let Some(first) = routes.first() else { return };
    let differences = routes.iter().fold(0, |all, route| all | (route ^ first));
    let mut sorted = [0; PUT_RECORDS_COUNT_MAX];
    let sorted = &mut sorted[..routes.len()];
    for shift in [32, 40, 48, 56] {
        if (differences >> shift) & 0xff == 0 {
            continue;
        }
        let bucket = |route: u64| (route >> shift) as usize & 0xff;
        let mut starts = [0; 256];
        for route in &*routes {
            starts[bucket(*route)] += 1;
        }
        let mut start = 0;
        for place in &mut starts {
            start += std::mem::replace(place, start);
        }
        for route in &*routes {
            let place = &mut starts[bucket(*route)];
            sorted[*place] = *route;
            *place += 1;
        }
        routes.copy_from_slice(sorted);
    }
}

/// Where a record lies by its partition key. Without one (AUTO distribution, and never asked for there): where the
/// empty key does.
fn of_partition_key(partition_key: Option<&str>) -> HashKey {
    HashKey::of_partition_key(partition_key.unwrap_or_default())
}

/// Where records lie by their partition keys; at most [`HASHED_AT_ONCE`].
fn hash(records: &[PutEntry<'_>], places: &mut [HashKey]) {
    if let ([record], [place]) = (records, &mut *places) {
        *place = of_partition_key(record.partition_key);
        return;
    }
    let mut keys = [""; HASHED_AT_ONCE];
    for (key, record) in keys.iter_mut().zip(records) {
        *key = record.partition_key.unwrap_or_default();
    }
    HashKey::of_partition_keys(&keys[..records.len()], places);
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use thalweg_system::simulated::SeededRandom;
    use thalweg_types::{HashKeyRange, Timestamp};
    use thalweg_wire::hot::Data;

    use super::*;
    use crate::shard_map::{Shard, ShardMap};

    /// A stream of so many open shards.
    pub(crate) fn stream(shards: u32) -> Stream {
        let created = Timestamp::from_seconds(1_700_000_000);
        let shard = |(index, range)| Shard {
            index: ShardIndex(index),
            range,
            created,
            opened: created,
            parent: None,
            adjacent_parent: None,
            closed: None,
        };
        let map = ShardMap::new((0..).zip(HashKeyRange::evenly(shards)).map(shard), shards);
        Stream { shards: Arc::new(map), ..crate::stream::tests::stream("orders") }
    }

    pub(crate) fn record<'a>(key: Option<&'a str>, explicit_hash_key: Option<&'a str>) -> PutEntry<'a> {
        PutEntry { partition_key: key, explicit_hash_key, data: Data::Raw(b"data") }
    }

    #[track_caller]
    fn check_groups(routes: &Routes, expected: &[(u32, &[u32])]) {
        let found: Vec<_> =
            routes.groups().map(|(shard, records)| (shard.0, records.collect::<Vec<_>>())).collect();
        let expected: Vec<_> = expected.iter().map(|(shard, records)| (*shard, records.to_vec())).collect();
        assert_eq!(found, expected);
    }

    const LAST: &str = "340282366920938463463374607431768211455";

    #[test]
    fn records_go_where_their_keys_lie_in_the_requests_order() {
        // As kinesalite recorded for three shards: "b" and "f" to 1, "a" to 0, "e" to 2.
        let records = [
            record(Some("a"), None),
            record(Some("b"), None),
            record(Some("e"), None),
            record(Some("f"), None),
            record(Some("a"), Some(LAST)),
            record(Some("a"), Some("226854911280625642308916404954512140969")),
            record(Some("a"), Some("226854911280625642308916404954512140970")),
        ];
        let mut routes = Routes::of_request(&stream(3), &records, &SeededRandom::new(0)).expect("in range");
        routes.group();
        check_groups(&routes, &[(0, &[0]), (1, &[1, 3, 5]), (2, &[2, 4, 6])]);
    }

    #[test]
    fn refused_records_go_nowhere() {
        let records = [record(Some("a"), None), record(Some("b"), None), record(Some("a"), None)];
        let mut routes = Routes::of_request(&stream(3), &records, &SeededRandom::new(0)).expect("in range");
        assert_eq!(routes.refuse(0), ShardIndex(0));
        assert_eq!(routes.refuse(1), ShardIndex(1));
        routes.group();
        check_groups(&routes, &[(0, &[2])]);
    }

    #[test]
    fn explicit_hash_keys_are_in_range() {
        let beyond = "340282366920938463463374607431768211456";
        for distribution in [RecordDistributionStrategy::Auto, RecordDistributionStrategy::UserPartitionKey] {
            let stream = Stream { distribution, ..stream(2) };
            let records = [record(Some("a"), Some(beyond))];
            let failure =
                Routes::of_request(&stream, &records, &SeededRandom::new(0)).expect_err("too large");
            assert_eq!(
                failure.message,
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
                 340282366920938463463374607431768211456"
            );
        }
    }

    #[test]
    fn auto_distribution_goes_round_whatever_the_keys_say() {
        let stream = Stream { distribution: RecordDistributionStrategy::Auto, ..stream(4) };
        let records = [record(Some("a"), Some("0")), record(None, None), record(Some("a"), Some(LAST))];
        let records: Vec<_> = records.iter().cycle().take(40).copied().collect();
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let routes = Routes::of_request(&stream, &records, &SeededRandom::new(seed)).expect("in range");
            let shards: Vec<u32> = routes.shards().map(|shard| shard.0).collect();
            assert!(shards.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 4), "seed {seed}: {shards:?}");
            firsts.insert(shards[0]);
        }
        assert_eq!(firsts.len(), 4, "the first one is random");
    }

    proptest! {
        #[test]
        fn routes_are_sorted_by_buckets_as_by_comparing(
            shards in prop_oneof![
                prop::collection::vec(any::<u32>(), 0..300),
                prop::collection::vec(0u32..10, 0..300),
                prop::collection::vec(100_000u32..101_000, 0..300),
            ],
        ) {
            let routes = (0..).zip(&shards).map(|(number, shard)| u64::from(*shard) << 32 | number);
            let mut found: Vec<u64> = routes.collect();
            let mut expected = found.clone();
            sort_by_shard(&mut found);
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn every_record_is_in_the_group_of_its_shard(
            keys in prop::collection::vec((any::<String>(), any::<Option<u128>>()), 1..200),
            shards in 1u32..20,
        ) {
            let stream = stream(shards);
            let explicit: Vec<_> = keys.iter().map(|(_, key)| key.map(|key| key.to_string())).collect();
            let records: Vec<_> = keys
                .iter()
                .zip(&explicit)
                .map(|((key, _), explicit)| record(Some(key), explicit.as_deref()))
                .collect();
            let mut routes = Routes::of_request(&stream, &records, &SeededRandom::new(0)).expect("in range");
            routes.group();
            let mut seen = 0;
            for (index, numbers) in routes.groups() {
                let numbers: Vec<u32> = numbers.collect();
                prop_assert!(numbers.is_sorted());
                seen += numbers.len();
                let range = stream.shards.get(index).expect("an open shard").range;
                for number in numbers {
                    let (key, explicit) = &keys[number as usize];
                    let place = explicit.map_or_else(|| HashKey::of_partition_key(key), HashKey);
                    prop_assert!(range.contains(place));
                }
            }
            prop_assert_eq!(seen, keys.len());
        }
    }
}
