//! What an operation itself refuses.

use serde_json::{Value, json};
use thalweg_conformance::case::{Case, case, partly};

/// What the cases refer to: made before they run.
pub(crate) struct Fixtures {
    /// `arn:aws:kinesis:us-east-1:000000000000:stream/`
    pub(crate) arn_prefix: String,
    /// The consumer `reader` of the stream `ready`.
    pub(crate) consumer_arn: String,
    /// A sequence number from shard 0 of `ready`.
    pub(crate) sequence_number: String,
    /// A sequence number from shard 0 of `resharded`, an older stream.
    pub(crate) foreign_sequence_number: String,
    /// An iterator of `ready`'s shard 0.
    pub(crate) iterator: String,
    /// An iterator of a stream that was deleted since.
    pub(crate) orphaned_iterator: String,
    /// A page token of ListShards.
    pub(crate) list_shards_token: String,
}

const NOT_FOUND: &str = "Stream missing under account 000000000000 not found.";
const SHARD_LIMIT_REST: &str =
    "Limit: 20000. Number of additional shards that would have resulted from this request: ";

/// Operations on a stream, a consumer or a resource that is not there.
pub(crate) fn not_found(fixtures: &Fixtures) -> Vec<Case> {
    let mut cases = Vec::new();
    for (operation, more) in on_streams() {
        let mut request = more;
        request["StreamName"] = json!("missing");
        let message = match operation {
            // Recorded so: this operation looks for the shard.
            "GetShardIterator" => {
                "Shard shardId-000000000000 in stream missing under account 000000000000 does not exist"
            }
            _ => NOT_FOUND,
        };
        cases.push(case("the stream is there", operation, request, "ResourceNotFoundException", message));
    }
    for (operation, more) in on_stream_arns() {
        let mut request = more.clone();
        request["StreamARN"] = json!(format!("{}missing", fixtures.arn_prefix));
        cases.push(case(
            "the ARN's stream is there",
            operation,
            request,
            "ResourceNotFoundException",
            NOT_FOUND,
        ));
        for (rule, region, account) in [
            ("the ARN is of this region", "eu-west-1", "000000000000"),
            ("the ARN is of this account", "us-east-1", "111111111111"),
        ] {
            let mut request = more.clone();
            request["StreamARN"] = json!(format!("arn:aws:kinesis:{region}:{account}:stream/ready"));
            cases.push(partly(rule, operation, request, "ResourceNotFoundException", "not found"));
        }
    }
    for (operation, more) in on_resources() {
        let mut request = more;
        request["ResourceARN"] = json!(format!("{}missing", fixtures.arn_prefix));
        cases.push(partly(
            "the resource is there",
            operation,
            request,
            "ResourceNotFoundException",
            "not found",
        ));
    }
    let consumer = format!("{}ready/consumer/nobody:1", fixtures.arn_prefix);
    cases.extend([
        partly(
            "the consumer is there",
            "DescribeStreamConsumer",
            json!({"ConsumerARN": consumer}),
            "ResourceNotFoundException",
            "not found",
        ),
        partly(
            "the consumer is there",
            "DeregisterStreamConsumer",
            json!({"ConsumerARN": consumer}),
            "ResourceNotFoundException",
            "not found",
        ),
        partly(
            "the consumer is there",
            "SubscribeToShard",
            json!({"ConsumerARN": consumer, "ShardId": "0", "StartingPosition": {"Type": "LATEST"}}),
            "ResourceNotFoundException",
            "not found",
        ),
        partly(
            "the consumer is there, by name",
            "DescribeStreamConsumer",
            json!({"StreamARN": format!("{}ready", fixtures.arn_prefix), "ConsumerName": "nobody"}),
            "ResourceNotFoundException",
            "not found",
        ),
        partly(
            "a deleted stream's iterator reads nothing of its successor",
            "GetRecords",
            json!({"ShardIterator": fixtures.orphaned_iterator}),
            "ResourceNotFoundException",
            "",
        ),
    ]);
    cases
}

/// Operations that take a stream's name, and the rest of a good request.
fn on_streams() -> Vec<(&'static str, Value)> {
    vec![
        ("AddTagsToStream", json!({"Tags": {"k": "v"}})),
        ("DecreaseStreamRetentionPeriod", json!({"RetentionPeriodHours": 24})),
        ("DeleteStream", json!({})),
        ("DescribeStream", json!({})),
        ("DescribeStreamSummary", json!({})),
        ("DisableEnhancedMonitoring", json!({"ShardLevelMetrics": ["ALL"]})),
        ("EnableEnhancedMonitoring", json!({"ShardLevelMetrics": ["ALL"]})),
        ("GetShardIterator", json!({"ShardId": "shardId-0", "ShardIteratorType": "LATEST"})),
        ("IncreaseStreamRetentionPeriod", json!({"RetentionPeriodHours": 48})),
        ("ListShards", json!({})),
        ("ListTagsForStream", json!({})),
        ("MergeShards", json!({"ShardToMerge": "0", "AdjacentShardToMerge": "1"})),
        ("PutRecord", json!({"PartitionKey": "k", "Data": ""})),
        ("PutRecords", json!({"Records": [{"PartitionKey": "k", "Data": ""}]})),
        ("RemoveTagsFromStream", json!({"TagKeys": ["k"]})),
        ("SplitShard", json!({"ShardToSplit": "0", "NewStartingHashKey": "2"})),
        ("UpdateShardCount", json!({"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})),
        ("UpdateStreamWarmThroughput", json!({"WarmThroughputMiBps": 1})),
    ]
}

/// Operations that take a stream's ARN alone, and the rest of a good request.
fn on_stream_arns() -> Vec<(&'static str, Value)> {
    vec![
        ("ListStreamConsumers", json!({})),
        ("RegisterStreamConsumer", json!({"ConsumerName": "c"})),
        ("UpdateMaxRecordSize", json!({"MaxRecordSizeInKiB": 2048})),
        ("UpdateStreamMode", json!({"StreamModeDetails": {"StreamMode": "ON_DEMAND"}})),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"RecordDistributionStrategy": "USER_PARTITION_KEY"}),
        ),
    ]
}

/// Operations that take any resource's ARN, and the rest of a good request.
fn on_resources() -> Vec<(&'static str, Value)> {
    vec![
        ("TagResource", json!({"Tags": {"k": "v"}})),
        ("UntagResource", json!({"TagKeys": ["k"]})),
        ("ListTagsForResource", json!({})),
        ("PutResourcePolicy", json!({"Policy": "{}"})),
        ("GetResourcePolicy", json!({})),
        ("DeleteResourcePolicy", json!({})),
    ]
}

/// How a stream is named.
pub(crate) fn naming(fixtures: &Fixtures) -> Vec<Case> {
    let mut cases = Vec::new();
    for (operation, request) in on_streams() {
        if operation != "ListShards" {
            cases.push(partly("a stream is named", operation, request, "InvalidArgumentException", ""));
        }
    }
    let odd = format!("{}ready/shard/1", fixtures.arn_prefix);
    for (operation, more) in on_stream_arns() {
        let mut request = more;
        request["StreamARN"] = json!(odd);
        cases.push(partly("the ARN is a stream's", operation, request, "InvalidArgumentException", ""));
    }
    for (operation, more) in on_resources() {
        let mut request = more;
        request["ResourceARN"] = json!(odd);
        cases.push(partly("the ARN is a resource's", operation, request, "InvalidArgumentException", ""));
    }
    let mut both = json!({"StreamName": "ready"});
    both["StreamARN"] = json!(format!("{}resharded", fixtures.arn_prefix));
    cases.push(partly("name and ARN agree", "DescribeStreamSummary", both, "InvalidArgumentException", ""));
    cases
}

/// Making streams.
pub(crate) fn creation() -> Vec<Case> {
    vec![
        case(
            "a name is given once",
            "CreateStream",
            json!({"StreamName": "ready", "ShardCount": 1}),
            "ResourceInUseException",
            "Stream ready under account 000000000000 already exists.",
        ),
        partly(
            "a hundred thousand shards are refused, not tried",
            "CreateStream",
            json!({"StreamName": "huge", "ShardCount": 100000}),
            "LimitExceededException",
            SHARD_LIMIT_REST,
        ),
        partly(
            "AUTO distribution needs an on-demand stream",
            "CreateStream",
            json!({"StreamName": "auto", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"}),
            "ValidationException",
            "",
        ),
        partly(
            "a stream has at most 50 tags",
            "CreateStream",
            json!({"StreamName": "tagged", "ShardCount": 1, "Tags": many_tags(51)}),
            "InvalidArgumentException",
            "",
        ),
        partly(
            "a stream with consumers is deleted only when told so",
            "DeleteStream",
            json!({"StreamName": "ready"}),
            "ResourceInUseException",
            "consumers",
        ),
    ]
}

fn many_tags(count: usize) -> Value {
    (0..count).map(|index| (format!("key-{index}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

/// Splits, merges and shard counts. `ready` has two shards; `resharded` had one, which was split.
pub(crate) fn resharding(fixtures: &Fixtures) -> Vec<Case> {
    let in_ready = "in stream ready under account 000000000000";
    let shard = |index: u32| format!("shardId-{index:012}");
    let (middle, end) =
        ("170141183460469231731687303715884105728", "170141183460469231731687303715884105727");
    let split = |key: &str| json!({"StreamName": "ready", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": key});
    let merge = |first: &str, second: &str| json!({"StreamName": "ready", "ShardToMerge": first, "AdjacentShardToMerge": second});
    let out_of_range = |key: &str| {
        format!(
            "NewStartingHashKey {key} used in SplitShard() on shard {} {in_ready} is not both greater than one plus the \
             shard's StartingHashKey 0 and less than the shard's EndingHashKey {end}.",
            shard(0)
        )
    };
    let count = |target: u32| json!({"StreamName": "ready", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
    vec![
        case("a split is inside", "SplitShard", split("0"), "InvalidArgumentException", out_of_range("0")),
        case(
            "a split leaves two keys below",
            "SplitShard",
            split("1"),
            "InvalidArgumentException",
            out_of_range("1"),
        ),
        case(
            "a split leaves one key above",
            "SplitShard",
            split(end),
            "InvalidArgumentException",
            out_of_range(end),
        ),
        case(
            "a split is in the shard's own range",
            "SplitShard",
            split(middle),
            "InvalidArgumentException",
            out_of_range(middle),
        ),
        case(
            "the shard to split is there",
            "SplitShard",
            json!({"StreamName": "ready", "ShardToSplit": "shardId-5", "NewStartingHashKey": "9"}),
            "ResourceNotFoundException",
            format!("Could not find shard {} {in_ready}.", shard(5)),
        ),
        case(
            "a shard id to split ends in a number",
            "SplitShard",
            json!({"StreamName": "ready", "ShardToSplit": "first", "NewStartingHashKey": "9"}),
            "ResourceNotFoundException",
            format!("Could not find shard first {in_ready}."),
        ),
        partly(
            "a shard is split once",
            "SplitShard",
            json!({"StreamName": "resharded", "ShardToSplit": "0", "NewStartingHashKey": "9"}),
            "InvalidArgumentException",
            "has already been merged or split, and thus is not eligible for merging or splitting.",
        ),
        partly(
            "an on-demand stream is not split by hand",
            "SplitShard",
            json!({"StreamName": "demand", "ShardToSplit": "0", "NewStartingHashKey": "9"}),
            "ValidationException",
            "On-Demand mode",
        ),
        case(
            "merged shards are neighbours, in order",
            "MergeShards",
            merge("1", "0"),
            "InvalidArgumentException",
            format!(
                "Shards {} and {} {in_ready} are not an adjacent pair of shards eligible for merging",
                shard(1),
                shard(0)
            ),
        ),
        case(
            "a shard is not merged with itself",
            "MergeShards",
            merge("0", "0"),
            "InvalidArgumentException",
            format!(
                "Shards {} and {} {in_ready} are not an adjacent pair of shards eligible for merging",
                shard(0),
                shard(0)
            ),
        ),
        case(
            "the shard to merge is there",
            "MergeShards",
            merge("7", "1"),
            "ResourceNotFoundException",
            format!("Could not find shard {} {in_ready}.", shard(7)),
        ),
        case(
            "the adjacent shard is there",
            "MergeShards",
            merge("0", "8"),
            "ResourceNotFoundException",
            format!("Could not find shard {} {in_ready}.", shard(8)),
        ),
        case(
            "a shard id to merge ends in a number",
            "MergeShards",
            merge("0", "x"),
            "ResourceNotFoundException",
            format!("Could not find shard x {in_ready}."),
        ),
        partly(
            "a closed shard is not merged",
            "MergeShards",
            json!({"StreamName": "resharded", "ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
            "InvalidArgumentException",
            "",
        ),
        partly(
            "an on-demand stream is not merged by hand",
            "MergeShards",
            json!({"StreamName": "demand", "ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
            "ValidationException",
            "On-Demand mode",
        ),
        case(
            "a stream at most doubles",
            "UpdateShardCount",
            count(5),
            "LimitExceededException",
            "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, \
             Target shard count: 5",
        ),
        case(
            "a stream at most halves",
            "UpdateShardCount",
            json!({"StreamName": "wide", "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
            "LimitExceededException",
            "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: 4, \
             Target shard count: 1",
        ),
        partly(
            "an on-demand stream is not scaled by hand",
            "UpdateShardCount",
            json!({"StreamName": "demand", "TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}),
            "ValidationException",
            "On-Demand mode",
        ),
        partly(
            "AUTO distribution is for on-demand streams",
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": format!("{}ready", fixtures.arn_prefix), "RecordDistributionStrategy": "AUTO"}),
            "ValidationException",
            "",
        ),
        partly(
            "warm throughput needs the billing commitment",
            "UpdateStreamWarmThroughput",
            json!({"StreamName": "demand", "WarmThroughputMiBps": 10}),
            "ValidationException",
            "",
        ),
    ]
}

/// Retention periods. `ready` keeps 24 hours, `long` keeps 48.
pub(crate) fn retention() -> Vec<Case> {
    let request = |stream: &str, hours: i32| json!({"StreamName": stream, "RetentionPeriodHours": hours});
    let short = |hours: i32| {
        format!(
            "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
        )
    };
    vec![
        case(
            "retention is at least a day",
            "IncreaseStreamRetentionPeriod",
            request("ready", 23),
            "InvalidArgumentException",
            short(23),
        ),
        case(
            "retention is at least a day",
            "DecreaseStreamRetentionPeriod",
            request("long", 1),
            "InvalidArgumentException",
            short(1),
        ),
        case(
            "retention is not negative",
            "DecreaseStreamRetentionPeriod",
            request("long", -1),
            "InvalidArgumentException",
            short(-1),
        ),
        partly(
            "retention is at most a year",
            "IncreaseStreamRetentionPeriod",
            request("ready", 8761),
            "InvalidArgumentException",
            "8760",
        ),
        case(
            "an increase is none below what is",
            "IncreaseStreamRetentionPeriod",
            request("long", 36),
            "InvalidArgumentException",
            "Requested retention period (36 hours) for stream long can not be shorter than existing retention period (48 \
             hours). Use DecreaseRetentionPeriod API.",
        ),
        case(
            "a decrease is none above what is",
            "DecreaseStreamRetentionPeriod",
            request("long", 72),
            "InvalidArgumentException",
            "Requested retention period (72 hours) for stream long can not be longer than existing retention period (48 \
             hours). Use IncreaseRetentionPeriod API.",
        ),
    ]
}

/// Iterators.
pub(crate) fn iterators(fixtures: &Fixtures) -> Vec<Case> {
    let at = |kind: &str, more: &[(&str, Value)]| {
        let mut request =
            json!({"StreamName": "ready", "ShardId": "shardId-000000000000", "ShardIteratorType": kind});
        for (name, value) in more {
            request[*name] = value.clone();
        }
        request
    };
    let which = |kind: &str, rest: &str| {
        format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
             TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {rest} StartingSequenceNumber."
        )
    };
    let invalid = "InvalidArgumentException";
    let number = || ("StartingSequenceNumber", json!(fixtures.sequence_number));
    vec![
        case(
            "AT needs a number",
            "GetShardIterator",
            at("AT_SEQUENCE_NUMBER", &[]),
            invalid,
            which("AT_SEQUENCE_NUMBER", "no"),
        ),
        case(
            "AFTER needs a number",
            "GetShardIterator",
            at("AFTER_SEQUENCE_NUMBER", &[]),
            invalid,
            which("AFTER_SEQUENCE_NUMBER", "no"),
        ),
        case(
            "LATEST takes no number",
            "GetShardIterator",
            at("LATEST", &[number()]),
            invalid,
            which("LATEST", "also a"),
        ),
        case(
            "TRIM_HORIZON takes no number",
            "GetShardIterator",
            at("TRIM_HORIZON", &[number()]),
            invalid,
            which("TRIM_HORIZON", "also a"),
        ),
        case(
            "AT_TIMESTAMP needs a time",
            "GetShardIterator",
            at("AT_TIMESTAMP", &[]),
            invalid,
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp \
             parameter.",
        ),
        partly(
            "AT_TIMESTAMP's time is not in the future",
            "GetShardIterator",
            at("AT_TIMESTAMP", &[("Timestamp", json!(9_999_999_999.0))]),
            invalid,
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. ",
        ),
        case(
            "a number is of its shard",
            "GetShardIterator",
            json!({
                "StreamName": "ready", "ShardId": "shardId-000000000001", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": fixtures.sequence_number,
            }),
            invalid,
            "Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a shard with \
             shardId-000000000001",
        ),
        case(
            "a number is of its stream",
            "GetShardIterator",
            at(
                "AFTER_SEQUENCE_NUMBER",
                &[("StartingSequenceNumber", json!(fixtures.foreign_sequence_number))],
            ),
            invalid,
            format!(
                "StartingSequenceNumber {} used in GetShardIterator on shard shardId-000000000000 in stream ready under \
                 account 000000000000 is invalid because it did not come from this stream.",
                fixtures.foreign_sequence_number
            ),
        ),
        case(
            "a number is a sequence number",
            "GetShardIterator",
            at("AT_SEQUENCE_NUMBER", &[("StartingSequenceNumber", json!("9".repeat(56)))]),
            invalid,
            format!(
                "StartingSequenceNumber {} used in GetShardIterator on shard shardId-000000000000 in stream ready under \
                 account 000000000000 is invalid.",
                "9".repeat(56)
            ),
        ),
        case(
            "an iterator's shard is there",
            "GetShardIterator",
            json!({"StreamName": "ready", "ShardId": "shardId-9", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
            "Shard shardId-000000000009 in stream ready under account 000000000000 does not exist",
        ),
        case(
            "an iterator's shard id ends in a number",
            "GetShardIterator",
            json!({"StreamName": "ready", "ShardId": "ship", "ShardIteratorType": "LATEST"}),
            "ResourceNotFoundException",
            "Could not find shard ship in stream ready under account 000000000000.",
        ),
        case(
            "an iterator is one of ours",
            "GetRecords",
            json!({"ShardIterator": "AAAA"}),
            invalid,
            "Invalid ShardIterator.",
        ),
        case(
            "an iterator is base64",
            "GetRecords",
            json!({"ShardIterator": "not base64!"}),
            invalid,
            "Invalid ShardIterator.",
        ),
        case(
            "an iterator is unchanged",
            "GetRecords",
            json!({"ShardIterator": tampered(&fixtures.iterator)}),
            invalid,
            "Invalid ShardIterator.",
        ),
        partly(
            "a dry run of GetRecords succeeds as an error",
            "GetRecords",
            json!({"ShardIterator": fixtures.iterator, "DryRun": true}),
            "DryRunOperationException",
            "",
        ),
        partly(
            "a dry run of GetShardIterator succeeds as an error",
            "GetShardIterator",
            at("LATEST", &[("DryRun", json!(true))]),
            "DryRunOperationException",
            "",
        ),
    ]
}

/// An iterator with one character changed in its middle.
fn tampered(iterator: &str) -> String {
    let mut bytes = iterator.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("base64 is ASCII")
}

/// Puts.
pub(crate) fn puts() -> Vec<Case> {
    let above = "340282366920938463463374607431768211456";
    let hash_key = format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {above}"
    );
    let future = "49999999999999999999999999999999999999999999999999999999";
    let large = "A".repeat(1_398_104);
    let record = |more: &[(&str, Value)]| {
        let mut request = json!({"StreamName": "ready", "PartitionKey": "k", "Data": "aGk="});
        for (name, value) in more {
            request[*name] = value.clone();
        }
        request
    };
    let records = |records: Value| json!({"StreamName": "ready", "Records": records});
    vec![
        case(
            "an explicit hash key is in range",
            "PutRecord",
            record(&[("ExplicitHashKey", json!(above))]),
            "InvalidArgumentException",
            hash_key.clone(),
        ),
        case(
            "every explicit hash key is in range",
            "PutRecords",
            records(
                json!([{"PartitionKey": "a", "Data": ""}, {"PartitionKey": "b", "Data": "", "ExplicitHashKey": above}]),
            ),
            "InvalidArgumentException",
            hash_key,
        ),
        case(
            "a number for ordering is not of the future",
            "PutRecord",
            record(&[("SequenceNumberForOrdering", json!(future))]),
            "InvalidArgumentException",
            format!(
                "ExclusiveMinimumSequenceNumber {future} used in PutRecord on stream ready under account 000000000000 is \
                 invalid."
            ),
        ),
        partly(
            "a record has a partition key",
            "PutRecord",
            json!({"StreamName": "ready", "Data": ""}),
            "ValidationException",
            "Value null at 'partitionKey' failed to satisfy constraint: Member must not be null",
        ),
        partly(
            "each record has a partition key",
            "PutRecords",
            records(json!([{"PartitionKey": "a", "Data": ""}, {"Data": ""}])),
            "ValidationException",
            "Value null at 'records.2.member.partitionKey' failed to satisfy constraint: Member must not be null",
        ),
        partly(
            "a record is no larger than its stream takes",
            "PutRecord",
            record(&[("Data", json!(large))]),
            "ValidationException",
            "1048576",
        ),
        partly(
            "each record is no larger than its stream takes",
            "PutRecords",
            records(json!([{"PartitionKey": "a", "Data": large}])),
            "ValidationException",
            "1048576",
        ),
        partly(
            "a dry run of PutRecord succeeds as an error",
            "PutRecord",
            record(&[("DryRun", json!(true))]),
            "DryRunOperationException",
            "",
        ),
        partly(
            "a dry run of PutRecords succeeds as an error",
            "PutRecords",
            json!({"StreamName": "ready", "Records": [{"PartitionKey": "a", "Data": ""}], "DryRun": true}),
            "DryRunOperationException",
            "",
        ),
        partly(
            "AUTO distribution has no order",
            "PutRecord",
            json!({
                "StreamName": "auto-distributed", "PartitionKey": "k", "Data": "",
                "SequenceNumberForOrdering": "49543463076548007577105092703039560359975228518395019266",
            }),
            "InvalidArgumentException",
            "",
        ),
    ]
}

/// Pages and filters.
pub(crate) fn listing(fixtures: &Fixtures) -> Vec<Case> {
    let invalid = "InvalidArgumentException";
    let list = |more: Value| {
        let mut request = json!({"StreamName": "ready"});
        for (name, value) in more.as_object().expect("an object") {
            request[name.as_str()] = value.clone();
        }
        request
    };
    vec![
        case(
            "ListShards names a stream or a token",
            "ListShards",
            json!({}),
            invalid,
            "Either NextToken or StreamName should be provided.",
        ),
        case(
            "ListShards' token is of the named stream",
            "ListShards",
            json!({"StreamName": "resharded", "NextToken": fixtures.list_shards_token}),
            invalid,
            "NextToken and StreamName cannot be provided together.",
        ),
        partly("ListShards' token is one of ours", "ListShards", json!({"NextToken": "abc"}), invalid, ""),
        partly(
            "AFTER_SHARD_ID needs a shard",
            "ListShards",
            list(json!({"ShardFilter": {"Type": "AFTER_SHARD_ID"}})),
            invalid,
            "",
        ),
        partly(
            "AT_TIMESTAMP needs a time",
            "ListShards",
            list(json!({"ShardFilter": {"Type": "AT_TIMESTAMP"}})),
            invalid,
            "",
        ),
        partly(
            "FROM_TIMESTAMP needs a time",
            "ListShards",
            list(json!({"ShardFilter": {"Type": "FROM_TIMESTAMP"}})),
            invalid,
            "",
        ),
        partly("ListStreams' token is one of ours", "ListStreams", json!({"NextToken": "abc"}), invalid, ""),
        partly(
            "ListStreamConsumers' token is one of ours",
            "ListStreamConsumers",
            json!({"StreamARN": format!("{}ready", fixtures.arn_prefix), "NextToken": "abc"}),
            invalid,
            "",
        ),
    ]
}

/// Tags, consumers and policies.
pub(crate) fn attachments(fixtures: &Fixtures) -> Vec<Case> {
    let illegal = |what: &str| {
        format!(
            "Failed to {what} stream ready under account 000000000000 because some tags contained illegal characters. The \
             allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
        )
    };
    let characters = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.";
    let invalid = "InvalidArgumentException";
    let ready = format!("{}ready", fixtures.arn_prefix);
    let subscribe =
        |more: Value| json!({"ConsumerARN": fixtures.consumer_arn, "ShardId": "0", "StartingPosition": more});
    vec![
        case(
            "a tag has few characters",
            "AddTagsToStream",
            json!({"StreamName": "ready", "Tags": {"a;b": "c"}}),
            invalid,
            characters,
        ),
        case(
            "a tag's value has few characters",
            "AddTagsToStream",
            json!({"StreamName": "ready", "Tags": {"a": "b;c"}}),
            invalid,
            characters,
        ),
        case(
            "a tag has no percent sign after all",
            "AddTagsToStream",
            json!({"StreamName": "ready", "Tags": {"a%b": "c"}}),
            invalid,
            illegal("add tags to"),
        ),
        case(
            "a removed tag has few characters",
            "RemoveTagsFromStream",
            json!({"StreamName": "ready", "TagKeys": ["a;b"]}),
            invalid,
            characters,
        ),
        case(
            "a removed tag has no percent sign",
            "RemoveTagsFromStream",
            json!({"StreamName": "ready", "TagKeys": ["a%b"]}),
            invalid,
            illegal("remove tags from"),
        ),
        partly(
            "a stream has at most 50 tags",
            "AddTagsToStream",
            json!({"StreamName": "ready", "Tags": many_tags(51)}),
            invalid,
            "50 tags",
        ),
        partly(
            "a resource has at most 50 tags",
            "TagResource",
            json!({"ResourceARN": ready, "Tags": many_tags(51)}),
            invalid,
            "",
        ),
        partly(
            "a consumer's name is given once",
            "RegisterStreamConsumer",
            json!({"StreamARN": ready, "ConsumerName": "reader"}),
            "ResourceInUseException",
            "already exists",
        ),
        partly("a consumer is named", "DescribeStreamConsumer", json!({}), invalid, ""),
        partly("a consumer is named", "DeregisterStreamConsumer", json!({"StreamARN": ready}), invalid, ""),
        partly(
            "a subscription's shard is there",
            "SubscribeToShard",
            json!({"ConsumerARN": fixtures.consumer_arn, "ShardId": "77", "StartingPosition": {"Type": "LATEST"}}),
            "ResourceNotFoundException",
            "",
        ),
        partly(
            "a subscription AT a number needs one",
            "SubscribeToShard",
            subscribe(json!({"Type": "AT_SEQUENCE_NUMBER"})),
            invalid,
            "",
        ),
        partly(
            "a subscription AT a time needs one",
            "SubscribeToShard",
            subscribe(json!({"Type": "AT_TIMESTAMP"})),
            invalid,
            "",
        ),
        partly(
            "a subscription's number is of its stream",
            "SubscribeToShard",
            subscribe(
                json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": fixtures.foreign_sequence_number}),
            ),
            invalid,
            "",
        ),
        partly(
            "a dry run of SubscribeToShard succeeds as an error",
            "SubscribeToShard",
            json!({
                "ConsumerARN": fixtures.consumer_arn, "ShardId": "0", "StartingPosition": {"Type": "LATEST"}, "DryRun": true,
            }),
            "DryRunOperationException",
            "",
        ),
        partly(
            "a policy is JSON",
            "PutResourcePolicy",
            json!({"ResourceARN": ready, "Policy": "allow all"}),
            invalid,
            "",
        ),
    ]
}

/// Operations of the model that are not written yet.
pub(crate) fn not_available() -> Vec<Case> {
    let queue = "arn:aws:kinesis:us-east-1:000000000000:queue/q";
    let receipts = json!([{"ReceiptHandle": "r"}]);
    let visibility = json!([{"ReceiptHandle": "r", "VisibilityTimeoutSeconds": 1}]);
    let channel = "arn:aws:kinesis:us-east-1:000000000000:channel/c";
    [
        ("AcknowledgeDeadLetterQueueRecords", json!({"QueueARN": queue, "Entries": receipts})),
        ("AcknowledgeQueueRecords", json!({"QueueARN": queue, "Entries": receipts})),
        ("DeleteChannel", json!({"ChannelARN": channel})),
        ("DeleteQueue", json!({"QueueARN": queue})),
        ("DescribeChannel", json!({"ChannelARN": channel})),
        ("DescribeQueue", json!({"QueueARN": queue})),
        ("ListChannels", json!({})),
        ("ListQueues", json!({})),
        ("ReceiveDeadLetterQueueRecords", json!({"QueueARN": queue})),
        ("ReceiveQueueRecords", json!({"QueueARN": queue})),
        ("RestoreDeadLetterQueueRecords", json!({"QueueARN": queue, "Entries": receipts})),
        (
            "StartStreamEncryption",
            json!({"StreamName": "ready", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ),
        (
            "StopStreamEncryption",
            json!({"StreamName": "ready", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ),
        ("UpdateChannel", json!({"ChannelARN": channel})),
        ("UpdateDeadLetterQueueRecordsVisibility", json!({"QueueARN": queue, "Entries": visibility})),
        ("UpdateQueue", json!({"QueueARN": queue, "QueueAttributes": {}})),
        ("UpdateQueueRecordsVisibility", json!({"QueueARN": queue, "Entries": visibility})),
        (
            "CreateQueue",
            json!({"QueueName": "q", "StreamConfigurationList": [
                {"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/ready"}]}),
        ),
        // Known or not is told before what is wrong with the request.
        ("CreateChannel", json!({})),
    ]
    .into_iter()
    .map(|(operation, request)| {
        let message =
            format!("{operation} is known but not available in Thalweg {}", env!("CARGO_PKG_VERSION"));
        case("known but not available", operation, request, "UnknownOperationException", message)
    })
    .collect()
}
