//! SequenceNumberForOrdering: the number that a record's own must exceed. Pure but for a look at the shard's tail.
//!
//! Numbers that clients have come from puts that were answered, so a shard's next number exceeds every number of
//! it and of its ancestors; what remains to be refused is made up. A number of another shard says nothing of this one, and
//! is taken: AWS's own sample hands each put the number of the one before it, whatever key that had.

use std::cmp::Ordering;

use thalweg_model::kinesis::RecordDistributionStrategy;
use thalweg_shape::Failure;
use thalweg_types::{HashKey, SequenceNumber, ShardIndex, Timestamp};
use thalweg_wire::hot::PutEntry;

use crate::errors;
use crate::read::numbers::{Understood, understand};
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
    let invalid = || errors::ordering_number_invalid(minimum, name, account);
    let number = understand(minimum).ok_or_else(invalid)?;
    let giver = giver(stream, &number);
    // Records of a shard may have come by a clock that was ahead.
    let tail_of_giver = giver.and_then(|giver| streams.journal.tail(stream.key(giver.index)).ok());
    let last_arrival =
        tail_of_giver.map_or(tail.last_arrival, |other| other.last_arrival.max(tail.last_arrival));
    let now = streams.now().max(last_arrival);
    // A shard that closed meanwhile gives no number; its children's exceed all that it gave.
    let next = shard.sequence_number(tail.next, now);
    if !is_taken(minimum, &number, now, shard, giver.is_some(), next) {
        return Err(invalid());
    }
    Ok(())
}

/// The stream's shard that gave the number, as far as it tells.
fn giver<'a>(stream: &'a Stream, number: &Understood) -> Option<&'a Shard> {
    let shard = stream.shards.get(ShardIndex(u32::try_from(number.shard).ok()?))?;
    (number.version == 2 && shard.created.as_seconds() == number.created).then_some(shard)
}

/// Whether `minimum` is not of the future, and of another shard or less than this one's `next`. A shard that there is may
/// have been created ahead of the clock: no two streams of a name, and no parent and child, begin in the same second.
fn is_taken(
    minimum: &str,
    number: &Understood,
    now: Timestamp,
    shard: &Shard,
    is_ours: bool,
    next: SequenceNumber,
) -> bool {
    let seconds = now.as_seconds();
    let is_past =
        number.arrival.is_none_or(|arrival| arrival <= seconds) && (is_ours || number.created <= seconds);
    let is_of_another = number.version == 2
        && (number.shard, number.created) != (shard.index.0.into(), shard.created.as_seconds());
    let is_less = || compare_decimals(minimum, next.digits().as_str()) == Ordering::Less;
    is_past && (is_of_another || is_less())
}

/// Compares numbers without leading zeros.
fn compare_decimals(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use thalweg_types::HashKeyRange;

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
            let found = understand(&minimum)
                .is_some_and(|number| is_taken(&minimum, &number, now, &shard, false, next));
            assert_eq!(found, expected, "{minimum}");
        }
    }
}
