//! Every error text of the service. "Recorded" means that someone saw AWS answer it (kinesalite's tests, issues of
//! SDKs and Terraform); the others are ours, in the same manner. Which codes an operation may answer is in its model.

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

/// Recorded.
pub(crate) fn stream_exists(name: &str, account: &str) -> Failure {
    model::resource_in_use(format!("Stream {name} under account {account} already exists."))
}

/// Recorded.
pub(crate) fn not_active(name: &str, account: &str, status: &str) -> Failure {
    model::resource_in_use(format!(
        "Stream {name} under account {account} not ACTIVE, instead in state {status}"
    ))
}

/// Recorded.
pub(crate) fn shard_limit(account: &str, region: &str, current: u64, limit: u32, additional: u32) -> Failure {
    model::limit_exceeded(format!(
        "This request would exceed the shard limit for the account {account} in {region}. Current shard count for \
         the account: {current}. Limit: {limit}. Number of additional shards that would have resulted from this \
         request: {additional}. Refer to the AWS Service Limits page \
         (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
         request higher limits."
    ))
}

/// Recorded, two spaces included.
pub(crate) fn too_many_in_transition(account: &str, limit: usize) -> Failure {
    model::limit_exceeded(format!(
        "This request would have exceed the limit on the number  of streams that can simultaneously be in CREATING \
         or DELETING for the account {account}. Limit: {limit}."
    ))
}

/// Recorded.
pub(crate) fn on_demand_stream_limit(account: &str, region: &str, current: u32, limit: u32) -> Failure {
    model::limit_exceeded(format!(
        "This request would exceed the limit on the number of On-Demand streams for the account {account} in \
         {region}. Current On-Demand streams count: {current}. Limit: {limit}."
    ))
}

/// Recorded.
pub(crate) fn stream_rate_exceeded(name: &str, account: &str) -> Failure {
    model::limit_exceeded(format!("Rate exceeded for stream {name} under account {account}."))
}

pub(crate) fn account_rate_exceeded(account: &str) -> Failure {
    model::limit_exceeded(format!("Rate exceeded for account {account}."))
}

/// The model's pattern refuses such names before; this is for callers that skip it.
pub(crate) fn invalid_name(name: &str, why: &thalweg_types::NameError) -> Failure {
    model::invalid_argument(format!("{name} is not a name: {why}"))
}

pub(crate) fn shard_count_missing() -> Failure {
    model::invalid_argument("ShardCount must be specified for a stream in PROVISIONED mode.")
}

/// Recorded.
pub(crate) fn in_on_demand_mode(name: &str, account: &str) -> Failure {
    model::validation(format!(
        "Request is invalid. Stream {name} under account {account} is in On-Demand mode."
    ))
}

pub(crate) fn not_in_on_demand_mode(name: &str, account: &str, what: &str) -> Failure {
    model::validation(format!(
        "Request is invalid. Stream {name} under account {account} is not in On-Demand mode, which {what} needs."
    ))
}

pub(crate) fn distribution_needs_on_demand(name: &str, account: &str) -> Failure {
    model::validation(format!(
        "Request is invalid. Stream {name} under account {account} has the record distribution strategy AUTO, \
         which needs On-Demand mode."
    ))
}

pub(crate) fn commitment_missing(account: &str) -> Failure {
    model::validation(format!(
        "Request is invalid. Warm throughput needs the minimum throughput billing commitment, which is not enabled \
         for account {account}."
    ))
}

pub(crate) fn warm_throughput_too_high(requested: i32, limit: u32) -> Failure {
    model::invalid_argument(format!(
        "Maximum allowed warm throughput is {limit} MiB/s. Requested warm throughput ({requested} MiB/s) is too \
         high."
    ))
}

/// Recorded.
pub(crate) fn could_not_find_shard(shard: impl std::fmt::Display, name: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Could not find shard {shard} in stream {name} under account {account}."
    ))
}

/// Recorded.
pub(crate) fn hash_key_not_inside(
    key: &str,
    shard: &crate::shard_map::Shard,
    name: &str,
    account: &str,
) -> Failure {
    let (index, start, end) = (shard.index, shard.range.start, shard.range.end);
    model::invalid_argument(format!(
        "NewStartingHashKey {key} used in SplitShard() on shard {index} in stream {name} under account {account} \
         is not both greater than one plus the shard's StartingHashKey {start} and less than the shard's \
         EndingHashKey {end}."
    ))
}

/// Recorded, as far as the facts quote it.
pub(crate) fn shard_already_closed(shard: thalweg_types::ShardIndex, name: &str, account: &str) -> Failure {
    model::invalid_argument(format!(
        "Shard {shard} in stream {name} under account {account} has already been merged or split, and thus is not \
         eligible for merging or splitting."
    ))
}

/// Recorded.
pub(crate) fn not_adjacent(
    first: thalweg_types::ShardIndex,
    second: thalweg_types::ShardIndex,
    name: &str,
    account: &str,
) -> Failure {
    model::invalid_argument(format!(
        "Shards {first} and {second} in stream {name} under account {account} are not an adjacent pair of shards \
         eligible for merging"
    ))
}

/// Recorded.
pub(crate) fn more_than_double(open: u32, target: i64) -> Failure {
    model::limit_exceeded(format!(
        "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: \
         {open}, Target shard count: {target}"
    ))
}

/// Recorded.
pub(crate) fn less_than_half(open: u32, target: i64) -> Failure {
    model::limit_exceeded(format!(
        "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: \
         {open}, Target shard count: {target}"
    ))
}

/// Recorded.
pub(crate) fn target_too_high(limit: u32, open: u32, target: i64) -> Failure {
    model::limit_exceeded(format!(
        "Target shard count or number of open shards cannot be greater than {limit}. Current open shard count: \
         {open}, Target shard count: {target}"
    ))
}

pub(crate) fn too_many_a_day(operation: &str, limit: usize, name: &str, account: &str) -> Failure {
    model::limit_exceeded(format!(
        "{operation} was called {limit} times for stream {name} under account {account} in the last 24 hours, which \
         is the limit."
    ))
}

pub(crate) fn shard_cannot_be_split(shard: thalweg_types::ShardIndex, name: &str, account: &str) -> Failure {
    model::invalid_argument(format!(
        "Shard {shard} in stream {name} under account {account} has a single hash key and cannot be split."
    ))
}

/// Recorded.
pub(crate) fn retention_too_short(requested: i32) -> Failure {
    model::invalid_argument(format!(
        "Minimum allowed retention period is 24 hours. Requested retention period ({requested} hours) is too short."
    ))
}

/// The mirror image of a recorded one.
pub(crate) fn retention_too_long(requested: i32, limit: u32) -> Failure {
    model::invalid_argument(format!(
        "Maximum allowed retention period is {limit} hours. Requested retention period ({requested} hours) is too \
         long."
    ))
}

/// Recorded.
pub(crate) fn retention_not_shorter(requested: i32, name: &str, existing: u32) -> Failure {
    model::invalid_argument(format!(
        "Requested retention period ({requested} hours) for stream {name} can not be shorter than existing \
         retention period ({existing} hours). Use DecreaseRetentionPeriod API."
    ))
}

/// Recorded.
pub(crate) fn retention_not_longer(requested: i32, name: &str, existing: u32) -> Failure {
    model::invalid_argument(format!(
        "Requested retention period ({requested} hours) for stream {name} can not be longer than existing retention \
         period ({existing} hours). Use IncreaseRetentionPeriod API."
    ))
}

/// Ours, and without a counterpart: AWS's clocks are not the customer's. LimitExceeded, since both changes of retention
/// may answer it and it asks to try again later; ResourceInUse would make clients wait for ACTIVE, which it is.
pub(crate) fn clock_in_doubt(name: &str, now: Timestamp) -> Failure {
    model::limit_exceeded(format!(
        "The server's clock jumped ahead to {now} and is not confirmed yet. Changing the retention period of stream \
         {name} now could remove records for good. Correct the clock, or try again when it is confirmed."
    ))
}

/// Recorded.
pub(crate) fn tag_characters() -> Failure {
    model::invalid_argument(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - \
         % @.",
    )
}

/// Recorded. `action` is "add tags to" or "remove tags from".
pub(crate) fn tag_percent(action: &str, resource: &str, account: &str) -> Failure {
    model::invalid_argument(format!(
        "Failed to {action} {resource} under account {account} because some tags contained illegal characters. The \
         allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
    ))
}

/// Recorded, when the limit was 10.
pub(crate) fn too_many_tags(resource: &str, account: &str, limit: usize) -> Failure {
    model::invalid_argument(format!(
        "Failed to add tags to {resource} under account {account} because a given stream cannot have more than \
         {limit} tags associated with it."
    ))
}

/// Recorded, with the apostrophe that AWS uses.
pub(crate) fn stream_has_consumers(name: &str, account: &str) -> Failure {
    model::resource_in_use(format!(
        "DeleteStream can\u{2019}t delete {account}:{name} because there are consumers associated with this data \
         stream. To delete {name} anyway, set the EnforceConsumerDeletion parameter to true to force the deletion \
         of all the consumers that are associated with it."
    ))
}

pub(crate) fn consumer_exists(consumer: &str, name: &str, account: &str) -> Failure {
    model::resource_in_use(format!(
        "Consumer {consumer} under stream {name} already exists for account {account}."
    ))
}

pub(crate) fn consumer_not_found(consumer: &str, name: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Consumer {consumer} under stream {name} not found for account {account}."
    ))
}

pub(crate) fn too_many_consumers(name: &str, account: &str, limit: usize) -> Failure {
    model::limit_exceeded(format!(
        "Stream {name} under account {account} cannot have more than {limit} consumers."
    ))
}

pub(crate) fn too_many_consumers_creating(name: &str, account: &str, limit: usize) -> Failure {
    model::limit_exceeded(format!(
        "Stream {name} under account {account} cannot have more than {limit} consumers in CREATING at the same time."
    ))
}

pub(crate) fn no_consumer_named() -> Failure {
    model::invalid_argument("Either ConsumerARN or both StreamARN and ConsumerName should be provided.")
}

pub(crate) fn consumer_names_differ(arn: &str) -> Failure {
    model::invalid_argument(format!(
        "ConsumerARN {arn} names another consumer than StreamARN and ConsumerName do."
    ))
}

/// Recorded.
pub(crate) fn neither_token_nor_stream() -> Failure {
    model::invalid_argument("Either NextToken or StreamName should be provided.")
}

/// Recorded, for StreamName, StreamARN, ExclusiveStartShardId and ShardFilter.
pub(crate) fn together_with_token(member: &str) -> Failure {
    model::invalid_argument(format!("NextToken and {member} cannot be provided together."))
}

pub(crate) fn invalid_token() -> Failure {
    model::invalid_argument("Invalid NextToken.")
}

pub(crate) fn expired_token() -> Failure {
    model::expired_next_token("NextToken expired: it is older than the tolerated 300000 milliseconds.")
}

pub(crate) fn filter_needs(member: &str, filter: &str) -> Failure {
    model::invalid_argument(format!("{member} must be provided in a ShardFilter of type {filter}."))
}

pub(crate) fn no_stream_created_then(name: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Stream {name} under account {account} with this StreamCreationTimestamp not found."
    ))
}

pub(crate) fn policy_malformed(why: &str) -> Failure {
    model::invalid_argument(format!("The resource policy is not a JSON object: {why}"))
}

pub(crate) fn policy_too_long(limit: usize) -> Failure {
    model::limit_exceeded(format!("A resource policy cannot be longer than {limit} bytes."))
}

pub(crate) fn no_policy(arn: &str) -> Failure {
    model::resource_not_found(format!("No resource policy found for resource ARN {arn}"))
}

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

/// The consumer was deregistered while it was subscribed.
pub(crate) fn consumer_gone(consumer: &str, stream: &str, account: &str) -> Failure {
    model::resource_not_found(format!(
        "Consumer {consumer} in stream {stream} under account {account} not found."
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
