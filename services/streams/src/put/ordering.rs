//! SequenceNumberForOrdering: the number that a record's own must exceed. Pure but for a look at the shard's tail.
//!
//! Numbers that clients have come from puts that were answered, so a shard's next number exceeds every number of
//! it and of its ancestors; what remains to be refused is made up. A number of another shard says nothing of this one, and
//! is taken: AWS's own sample hands each put the number of the one before it, whatever key that had.

use std::cmp::Ordering;

use thalweg_model::kinesis::RecordDistributionStrategy;
use thalweg_shape::Failure;
use thalweg_types::{HashKey, SequenceNumber, Timestamp};
use thalweg_wire::hot::PutEntry;

use crate::errors;
use crate::read::numbers::understand;
use crate::service::Streams;
use crate::shard_map::Shard;
use crate::stream::Stream;

/// Whether the record's number will exceed `minimum`.
///
/// # Errors
/// InvalidArgument; ResourceNotFound when the stream is being deleted.
pub(crate) fn check(
    streams: &Streams,
    stream: &Stream,
    record: &PutEntry<'_>,
    minimum: &str,
) -> Result<(), Failure> {
    let (name, account) = (stream.name.as_str(), streams.settings.account.as_str());
    if stream.distribution == RecordDistributionStrategy::Auto {
        return Err(errors::ordering_needs_partition_keys(name));
    }
    let hash_key = match (record.explicit_hash_key, record.partition_key) {
        (Some(text), _) => {
            HashKey::parse(text).ok_or_else(|| errors::explicit_hash_key_out_of_range(text))?
        }
        (None, key) => HashKey::of_partition_key(key.expect("the rules ask for one")),
    };
    let index = stream.shards.locate(hash_key).expect("the stream takes records");
    let shard = stream.shards.get(index).expect("it was just found");
    let tail =
        streams.journal.tail(stream.key(shard.index)).map_err(|_| errors::stream_not_found(name, account))?;
    let now = streams.now().max(tail.last_arrival);
    // A shard that closed meanwhile gives no number; its children's exceed all that it gave.
    if !is_taken(minimum, now, shard, shard.sequence_number(tail.next, now)) {
        return Err(errors::ordering_number_invalid(minimum, name, account));
    }
    Ok(())
}

/// Whether `minimum` is a number, not of the future, and of another shard or less than this one's `next`.
fn is_taken(minimum: &str, now: Timestamp, shard: &Shard, next: SequenceNumber) -> bool {
    understand(minimum).is_some_and(|number| {
        let seconds = now.as_seconds();
        let is_past = number.arrival.is_none_or(|arrival| arrival <= seconds) && number.created <= seconds;
        let is_of_another = number.version == 2
            && (number.shard, number.created) != (shard.index.0.into(), shard.created.as_seconds());
        let is_less = || compare_decimals(minimum, next.digits().as_str()) == Ordering::Less;
        is_past && (is_of_another || is_less())
    })
}

/// Compares numbers without leading zeros.
fn compare_decimals(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use thalweg_types::{HashKeyRange, ShardIndex};

    use super::*;

    #[test]
    fn a_minimum_is_exceeded_by_the_shards_next_number_or_of_another_shard() {
        let created = Timestamp::from_seconds(1_700_000_000);
        let now = Timestamp::from_seconds(1_700_001_000);
        let record = |created, shard, offset, arrival| {
            SequenceNumber::of_record(created, ShardIndex(shard), offset, arrival).to_string()
        };
        let later = Timestamp::from_seconds(1_700_001_001);
        let next = SequenceNumber::of_record(created, ShardIndex(3), 7, now);
        let shard = Shard {
            index: ShardIndex(3),
            range: HashKeyRange { start: HashKey(0), end: HashKey(u128::MAX) },
            created,
            opened: created,
            parent: None,
            adjacent_parent: None,
            closed: None,
        };
        for (minimum, expected) in [
            (record(created, 3, 6, now), true),
            (record(created, 3, 0, created), true),
            (record(created, 3, 7, now), false),
            (record(created, 3, 8, now), false),
            (record(created, 3, 6, later), false),
            (record(later, 9, 0, now), false),
            (record(created, 4, 1000, now), true),
            (record(now, 2, 1000, now), true),
            (record(created, 4, 6, later), false),
            (record(Timestamp::from_seconds(1_600_000_000), 9, 1 << 40, now), true),
            // As recorded by kinesalite: numbers of old versions, and of the beginning of time.
            ("0".to_owned(), true),
            ("5".to_owned(), true),
            ("49039857307708443467467104868809893875799651909875269634".to_owned(), true),
            ("49039857307708443467467104868809893875799651909875269633".to_owned(), true),
            ("49039857307708443467467104868809893875799651909875269632".to_owned(), false),
            ("26227199374822427428162556223570313216".to_owned(), false),
            ("9".repeat(129), false),
        ] {
            assert_eq!(is_taken(&minimum, now, &shard, next), expected, "{minimum}");
        }
    }
}
