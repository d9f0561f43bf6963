//! Every error text of the service. Those that AWS was recorded with say so by their wording; where no recording
//! is known the text is ours, in the same manner. Which code an operation may answer is in its model.

use std::fmt;

use thalweg_model::kinesis::errors as model;
use thalweg_shape::{Failure, validation_message};
use thalweg_types::limits::ITERATOR_MILLIS;
use thalweg_types::{ShardIndex, Timestamp};

use crate::iterator::IteratorError;

// ---- Both: streams, consumers and ARNs that do not resolve -------------------------------------------------

pub(crate) fn stream_not_found(name: &str, account: &str) -> Failure {
    model::resource_not_found(format!("Stream {name} under account {account} not found."))
}

pub(crate) fn stream_id_not_found(id: &str, account: &str) -> Failure {
    model::resource_not_found(format!("Stream with StreamId {id} under account {account} not found."))
}

pub(crate) fn no_stream_named() -> Failure {
    model::invalid_argument("Either StreamName or StreamARN should be provided.")
}

pub(crate) fn stream_names_differ(arn: &str, name: &str) -> Failure {
    model::invalid_argument(format!("StreamARN {arn} and StreamName {name} do not name the same stream."))
}

pub(crate) fn not_a_stream_arn(arn: &str) -> Failure {
    model::invalid_argument(format!("{arn} is not the ARN of a stream."))
}

pub(crate) fn not_a_consumer_arn(arn: &str) -> Failure {
    model::invalid_argument(format!("{arn} is not the ARN of a consumer."))
}

pub(crate) fn consumer_arn_not_found(arn: &str) -> Failure {
    model::resource_not_found(format!("Consumer {arn} not found."))
}

pub(crate) fn resource_not_found(arn: &str) -> Failure {
    model::resource_not_found(format!("Resource {arn} not found."))
}

/// Something of ours failed; the log says what.
pub(crate) fn internal_failure() -> Failure {
    model::internal_failure("Internal Service Failure")
}

// ---- Control operations ------------------------------------------------------------------------------------

// ---- Data operations: put, iterate, get, subscribe -----------------------------------------------------------

/// The answer to DryRun when everything is in order.
pub(crate) fn dry_run() -> Failure {
    model::dry_run_operation("Request would have succeeded, but DryRun is set.")
}

/// Rules that the model does not know, worded as the constraints that it knows.
pub(crate) fn constraints(violations: &[String]) -> Failure {
    model::validation(validation_message(violations))
}

/// How AWS words a required member that is absent; `path` as in `records.1.member.partitionKey`.
pub(crate) fn must_not_be_null(path: &str) -> String {
    format!("Value null at '{path}' failed to satisfy constraint: Member must not be null")
}

/// As recorded from AWS in 2025, when streams got their own limits: the value is not shown any more.
pub(crate) fn record_too_large(path: &str, bytes_max: usize) -> String {
    format!(
        "Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {bytes_max}"
    )
}

/// As recorded from AWS when the limit was 5 MB.
pub(crate) fn records_too_large() -> Failure {
    model::invalid_argument("Records size exceeds 10 MB limit")
}

pub(crate) fn explicit_hash_key_out_of_range(explicit_hash_key: &str) -> Failure {
    model::invalid_argument(format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
         Specified value was {explicit_hash_key}"
    ))
}

pub(crate) fn ordering_number_invalid(number: &str, stream: &str, account: &str) -> Failure {
    model::invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {stream} under account {account} \
         is invalid."
    ))
}

pub(crate) fn ordering_needs_partition_keys(stream: &str) -> Failure {
    model::invalid_argument(format!(
        "SequenceNumberForOrdering cannot be used with stream {stream}: its record distribution strategy is AUTO."
    ))
}

/// The text of a record's failure, too.
pub(crate) fn rate_exceeded(shard: ShardIndex, stream: &str, account: &str) -> String {
    format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.")
}

/// One shard cannot keep up, or may not.
pub(crate) fn shard_throughput_exceeded(shard: ShardIndex, stream: &str, account: &str) -> Failure {
    model::provisioned_throughput_exceeded(rate_exceeded(shard, stream, account))
}

/// The whole service cannot keep up for now.
pub(crate) fn put_throughput_exceeded(stream: &str, account: &str) -> Failure {
    model::provisioned_throughput_exceeded(format!(
        "Rate exceeded for stream {stream} under account {account}."
    ))
}

/// The text of a record's failure; a whole call's is [`internal_failure`].
pub(crate) const INTERNAL_FAILURE_TEXT: &str = "Internal Service Failure";
/// The code of a record's failure, which is not the modelled error's name.
pub(crate) const INTERNAL_FAILURE_CODE: &str = "InternalFailure";
/// The code of a record's failure.
pub(crate) const THROUGHPUT_EXCEEDED_CODE: &str = "ProvisionedThroughputExceededException";

/// A text that is no shard's id in any stream.
pub(crate) fn no_shard_id(text: &str, stream: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Could not find shard {text} in stream {stream} under account {account}."
    ))
}

pub(crate) fn shard_not_found(shard: ShardIndex, stream: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Shard {shard} in stream {stream} under account {account} does not exist"
    ))
}

pub(crate) fn iterator_unusable(error: IteratorError) -> Failure {
    match error {
        IteratorError::Invalid => model::invalid_argument("Invalid ShardIterator."),
        IteratorError::Expired { issued, now } => model::expired_iterator(format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} which is further in \
             the future than the tolerated delay of {ITERATOR_MILLIS} milliseconds.",
            java_date(issued),
            java_date(now),
        )),
    }
}

pub(crate) fn iterator_of_another_stream(arn: &str) -> Failure {
    model::invalid_argument(format!("StreamARN {arn} does not name the stream of the ShardIterator."))
}

/// A starting type and a sequence number that do not go together.
pub(crate) fn sequence_number_against_type(kind: &str, given: bool) -> Failure {
    let given = if given { "also a" } else { "no" };
    model::invalid_argument(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {given} \
         StartingSequenceNumber."
    ))
}

pub(crate) fn timestamp_missing() -> Failure {
    model::invalid_argument(
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
         timestamp parameter.",
    )
}

pub(crate) fn timestamp_in_future(at: Timestamp, now: Timestamp) -> Failure {
    model::invalid_argument(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
         timestampInMillis: {}, currentTimestampInMillis: {}",
        at.as_millis(),
        now.as_millis(),
    ))
}

/// `encoded` as AWS prints an index, which may be negative.
pub(crate) fn sequence_number_of_another_shard(encoded: i64, shard: ShardIndex) -> Failure {
    let sign = if encoded < 0 { "-" } else { "" };
    let width = if encoded < 0 { 11 } else { 12 };
    model::invalid_argument(format!(
        "Invalid StartingSequenceNumber. It encodes shardId-{sign}{:0width$}, while it was used in a call to a \
         shard with {shard}",
        encoded.unsigned_abs(),
    ))
}

/// Where a starting sequence number was used, for its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumberUse<'a> {
    pub(crate) number: &'a str,
    /// `GetShardIterator`
    pub(crate) operation: &'a str,
    pub(crate) shard: ShardIndex,
    pub(crate) stream: &'a str,
    pub(crate) account: &'a str,
}

impl fmt::Display for NumberUse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NumberUse { number, operation, shard, stream, account } = self;
        write!(
            f,
            "StartingSequenceNumber {number} used in {operation} on shard {shard} in stream {stream} under \
             account {account} is invalid"
        )
    }
}

pub(crate) fn sequence_number_invalid(used: NumberUse<'_>) -> Failure {
    model::invalid_argument(format!("{used}."))
}

pub(crate) fn sequence_number_of_another_stream(used: NumberUse<'_>) -> Failure {
    model::invalid_argument(format!("{used} because it did not come from this stream."))
}

/// As recorded from AWS, but for punctuation that the recordings disagree on.
pub(crate) fn consumer_not_active(
    consumer: &str,
    created: Timestamp,
    stream: &str,
    account: &str,
) -> Failure {
    model::resource_in_use(format!(
        "Consumer {consumer} with creation timestamp {} under stream: {stream} and account {account} is not in \
         ACTIVE status.",
        created.as_seconds(),
    ))
}

/// Too soon after another one, or displaced by another one.
pub(crate) fn subscription_exists(account: &str, stream: &str, shard: ShardIndex, consumer: &str) -> Failure {
    model::resource_in_use(format!(
        "Another active subscription exists for this consumer: {account}:{stream}:{shard}:{consumer}"
    ))
}

pub(crate) fn subscribe_rate_exceeded(
    consumer: &str,
    shard: ShardIndex,
    stream: &str,
    account: &str,
) -> Failure {
    model::limit_exceeded(format!(
        "Rate exceeded for consumer {consumer} on shard {shard} in stream {stream} under account {account}."
    ))
}

/// `Thu Jan 22 01:22:02 UTC 2015`
fn java_date(time: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(time.as_millis()) {
        Ok(time) => time.strftime("%a %b %d %H:%M:%S UTC %Y").to_string(),
        // Beyond the year 9999: nothing that a reader could compare anyway.
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_printed_as_java_prints_them() {
        for (millis, expected) in [
            (1_421_889_722_500, "Thu Jan 22 01:22:02 UTC 2015"),
            (1_709_164_801_000, "Thu Feb 29 00:00:01 UTC 2024"),
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
        ] {
            assert_eq!(java_date(Timestamp::from_millis(millis)), expected);
        }
    }
}
