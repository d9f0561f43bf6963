//! Type errors and constraint violations: what is found before an operation runs.

use serde_json::{Value, json};
use thalweg_conformance::case::{Case, invalid, mistyped};

const NOT_NULL: &str = "Member must not be null";
const NAME_PATTERN: &str = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
const NAME_SHORT: &str = "Member must have length greater than or equal to 1";
const NAME_LONG: &str = "Member must have length less than or equal to 128";
const STREAM_ARN: &str =
    r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:stream/\S+";
const RESOURCE_ARN: &str = r"Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+";
const HASH_KEY: &str = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})";
const SEQUENCE_NUMBER: &str = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})";
const METRICS: &str = "Member must satisfy constraint: [Member must satisfy enum value set: [IncomingBytes, \
                       IncomingRecords, OutgoingBytes, OutgoingRecords, WriteProvisionedThroughputExceeded, \
                       ReadProvisionedThroughputExceeded, IteratorAgeMilliseconds, ALL]]";
const ITERATORS: &str = "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, \
                         AT_SEQUENCE_NUMBER, TRIM_HORIZON]";

/// The types of members.
pub(crate) fn types() -> Vec<Case> {
    const NUMBER_AS_TEXT: &str =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String";
    const NUMBER_AS_BLOB: &str =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob";
    vec![
        mistyped("text is no number", "CreateStream", json!({"StreamName": 1}), NUMBER_AS_TEXT),
        mistyped(
            "text is no boolean",
            "DescribeStream",
            json!({"StreamName": true}),
            "class java.lang.Boolean can not be converted to an String",
        ),
        mistyped(
            "text is no list",
            "DeleteStream",
            json!({"StreamName": ["x"]}),
            "Start of list found where not expected",
        ),
        mistyped(
            "text is no structure",
            "SplitShard",
            json!({"StreamName": {}}),
            "Start of structure or map found where not expected.",
        ),
        mistyped(
            "a number is no text",
            "CreateStream",
            json!({"StreamName": "s", "ShardCount": "2"}),
            "class java.lang.String can not be converted to an Integer",
        ),
        mistyped(
            "a number is no boolean",
            "ListStreams",
            json!({"Limit": true}),
            "class java.lang.Boolean can not be converted to an Integer",
        ),
        mistyped(
            "a number is no list",
            "GetRecords",
            json!({"ShardIterator": "x", "Limit": []}),
            "Start of list found where not expected",
        ),
        mistyped(
            "a number is no structure",
            "DescribeStream",
            json!({"StreamName": "s", "Limit": {}}),
            "Start of structure or map found where not expected.",
        ),
        mistyped(
            "a boolean is no number",
            "DeleteStream",
            json!({"StreamName": "s", "EnforceConsumerDeletion": 1}),
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an Boolean",
        ),
        mistyped(
            "a boolean is no text",
            "DeleteStream",
            json!({"StreamName": "s", "EnforceConsumerDeletion": "maybe"}),
            "'MAYBE' can not be converted to an Boolean",
        ),
        mistyped(
            "a list is no text",
            "PutRecords",
            json!({"StreamName": "s", "Records": "x"}),
            "Expected list or null",
        ),
        mistyped(
            "a list is no structure",
            "RemoveTagsFromStream",
            json!({"StreamName": "s", "TagKeys": {}}),
            "Start of structure or map found where not expected.",
        ),
        mistyped(
            "an element is no structure",
            "PutRecords",
            json!({"StreamName": "s", "Records": ["x"]}),
            "Expected null",
        ),
        mistyped(
            "a map is no number",
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": 1}),
            "Expected map or null",
        ),
        mistyped(
            "a map is no list",
            "TagResource",
            json!({"ResourceARN": "s", "Tags": []}),
            "Start of list found where not expected",
        ),
        mistyped(
            "a map's value is text",
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {"a": 1}}),
            NUMBER_AS_TEXT,
        ),
        mistyped(
            "a structure is no text",
            "UpdateStreamMode",
            json!({"StreamARN": "s", "StreamModeDetails": "ON_DEMAND"}),
            "Expected null",
        ),
        mistyped(
            "a structure is no list",
            "SubscribeToShard",
            json!({"ConsumerARN": "s", "StartingPosition": []}),
            "Start of list found where not expected",
        ),
        mistyped(
            "a timestamp is no text",
            "GetShardIterator",
            json!({"StreamName": "s", "Timestamp": "now"}),
            "class java.lang.String can not be converted to milliseconds since epoch",
        ),
        mistyped(
            "a timestamp is no boolean",
            "ListShards",
            json!({"StreamName": "s", "StreamCreationTimestamp": false}),
            "class java.lang.Boolean can not be converted to milliseconds since epoch",
        ),
        mistyped(
            "a blob is no number",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": 1}),
            NUMBER_AS_BLOB,
        ),
        mistyped(
            "a blob is whole groups of base64",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "abc"}),
            "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3",
        ),
        mistyped(
            "a blob has only base64's characters",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "ab!="}),
            "'ab!=' can not be converted to a Blob: Invalid Base64 character: '!'",
        ),
        mistyped(
            "a blob's last group has no stray bits",
            "PutRecords",
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": "YR=="}]}),
            "'YR==' can not be converted to a Blob: Invalid last non-pad Base64 character dectected",
        ),
    ]
}

/// A value and where it is: `'v' at 'path'`.
fn at(value: &str, path: &str) -> String {
    if value == "null" { format!("null at '{path}'") } else { format!("'{value}' at '{path}'") }
}

fn one(
    rule: &'static str,
    operation: &'static str,
    request: Value,
    value: &str,
    path: &str,
    broken: &str,
) -> Case {
    invalid(rule, operation, request, &[(&at(value, path), broken)])
}

/// Members that must be there.
pub(crate) fn required() -> Vec<Case> {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let missing =
        |operation, request, path: &str| one("required", operation, request, "null", path, NOT_NULL);
    vec![
        missing("AddTagsToStream", json!({"StreamName": "s"}), "tags"),
        missing("CreateStream", json!({"ShardCount": 1}), "streamName"),
        missing("DecreaseStreamRetentionPeriod", json!({"StreamName": "s"}), "retentionPeriodHours"),
        missing("DeleteResourcePolicy", json!({}), "resourceARN"),
        missing("DisableEnhancedMonitoring", json!({"StreamName": "s"}), "shardLevelMetrics"),
        missing("EnableEnhancedMonitoring", json!({"StreamName": "s"}), "shardLevelMetrics"),
        missing("GetRecords", json!({}), "shardIterator"),
        missing("GetResourcePolicy", json!({}), "resourceARN"),
        invalid(
            "required",
            "GetShardIterator",
            json!({"StreamName": "s"}),
            &[(&at("null", "shardId"), NOT_NULL), (&at("null", "shardIteratorType"), NOT_NULL)],
        ),
        missing("IncreaseStreamRetentionPeriod", json!({"StreamName": "s"}), "retentionPeriodHours"),
        missing("ListStreamConsumers", json!({}), "streamARN"),
        missing("ListTagsForResource", json!({}), "resourceARN"),
        invalid(
            "required",
            "MergeShards",
            json!({"StreamName": "s"}),
            &[(&at("null", "shardToMerge"), NOT_NULL), (&at("null", "adjacentShardToMerge"), NOT_NULL)],
        ),
        missing("PutRecord", json!({"StreamName": "s", "PartitionKey": "k"}), "data"),
        missing("PutRecords", json!({"StreamName": "s"}), "records"),
        one(
            "each record has data",
            "PutRecords",
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": ""}, {"PartitionKey": "k"}]}),
            "null",
            "records.2.member.data",
            NOT_NULL,
        ),
        missing("PutResourcePolicy", json!({"ResourceARN": arn}), "policy"),
        missing("RegisterStreamConsumer", json!({"StreamARN": arn}), "consumerName"),
        missing("RemoveTagsFromStream", json!({"StreamName": "s"}), "tagKeys"),
        invalid(
            "required",
            "SplitShard",
            json!({"StreamName": "s"}),
            &[(&at("null", "newStartingHashKey"), NOT_NULL), (&at("null", "shardToSplit"), NOT_NULL)],
        ),
        missing(
            "SubscribeToShard",
            json!({"ConsumerARN": format!("{arn}/consumer/c:1"), "StartingPosition": {"Type": "LATEST"}}),
            "shardId",
        ),
        one(
            "a starting position has a type",
            "SubscribeToShard",
            json!({"ConsumerARN": format!("{arn}/consumer/c:1"), "ShardId": "0", "StartingPosition": {}}),
            "null",
            "startingPosition.type",
            NOT_NULL,
        ),
        missing("TagResource", json!({"ResourceARN": arn}), "tags"),
        missing("UntagResource", json!({"ResourceARN": arn}), "tagKeys"),
        missing("UpdateAccountSettings", json!({}), "minimumThroughputBillingCommitment"),
        missing("UpdateMaxRecordSize", json!({"StreamARN": arn}), "maxRecordSizeInKiB"),
        missing(
            "UpdateShardCount",
            json!({"StreamName": "s", "ScalingType": "UNIFORM_SCALING"}),
            "targetShardCount",
        ),
        missing("UpdateStreamMode", json!({"StreamARN": arn}), "streamModeDetails"),
        missing(
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": arn}),
            "recordDistributionStrategy",
        ),
        missing("UpdateStreamWarmThroughput", json!({"StreamARN": arn}), "warmThroughputMiBps"),
    ]
}

/// Patterns, lengths, ranges and enumerations.
pub(crate) fn bounds() -> Vec<Case> {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let long = "x".repeat(129);
    let records = |count: usize| json!(vec![json!({"PartitionKey": "k", "Data": ""}); count]);
    let entries = |count: usize| {
        let entry = "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@c965e310";
        format!("[{}]", vec![entry; count].join(", "))
    };
    let mut cases = vec![
        invalid(
            "a name is not empty",
            "CreateStream",
            json!({"StreamName": "", "ShardCount": 1}),
            &[(&at("", "streamName"), NAME_PATTERN), (&at("", "streamName"), NAME_SHORT)],
        ),
        one(
            "a name has few characters",
            "CreateStream",
            json!({"StreamName": "a/b", "ShardCount": 1}),
            "a/b",
            "streamName",
            NAME_PATTERN,
        ),
        one(
            "a name is short",
            "CreateStream",
            json!({"StreamName": long, "ShardCount": 1}),
            &long,
            "streamName",
            NAME_LONG,
        ),
        invalid(
            "all violations are reported, in AWS's order",
            "CreateStream",
            json!({"StreamName": "!", "ShardCount": 0}),
            &[
                (&at("0", "shardCount"), "Member must have value greater than or equal to 1"),
                (&at("!", "streamName"), NAME_PATTERN),
            ],
        ),
        one(
            "a mode is one of two",
            "CreateStream",
            json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "FAST"}}),
            "FAST",
            "streamModeDetails.streamMode",
            "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]",
        ),
        one(
            "a record is at most 10 MiB",
            "CreateStream",
            json!({"StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": 10241}),
            "10241",
            "maxRecordSizeInKiB",
            "Member must have value less than or equal to 10240",
        ),
        one(
            "a record size is at least 1 MiB",
            "UpdateMaxRecordSize",
            json!({"StreamARN": arn, "MaxRecordSizeInKiB": 1023}),
            "1023",
            "maxRecordSizeInKiB",
            "Member must have value greater than or equal to 1024",
        ),
        one(
            "a limit is positive",
            "DescribeStream",
            json!({"StreamName": "s", "Limit": 0}),
            "0",
            "limit",
            "Member must have value greater than or equal to 1",
        ),
        one(
            "a limit is bounded",
            "DescribeStream",
            json!({"StreamName": "s", "Limit": 10001}),
            "10001",
            "limit",
            "Member must have value less than or equal to 10000",
        ),
        one(
            "a shard id has few characters",
            "DescribeStream",
            json!({"StreamName": "s", "ExclusiveStartShardId": "a b"}),
            "a b",
            "exclusiveStartShardId",
            NAME_PATTERN,
        ),
        one(
            "a shard id is short",
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": long, "ShardIteratorType": "LATEST"}),
            &long,
            "shardId",
            NAME_LONG,
        ),
        one(
            "an iterator type is one of five",
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "NEWEST"}),
            "NEWEST",
            "shardIteratorType",
            ITERATORS,
        ),
        one(
            "a sequence number is a decimal number",
            "GetShardIterator",
            json!({
                "StreamName": "s", "ShardId": "shardId-0", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": "01",
            }),
            "01",
            "startingSequenceNumber",
            SEQUENCE_NUMBER,
        ),
        invalid(
            "an iterator is not empty",
            "GetRecords",
            json!({"ShardIterator": ""}),
            &[(&at("", "shardIterator"), NAME_SHORT)],
        ),
        one(
            "an iterator is short",
            "GetRecords",
            json!({"ShardIterator": "x".repeat(513)}),
            &"x".repeat(513),
            "shardIterator",
            "Member must have length less than or equal to 512",
        ),
        invalid(
            "GetRecords' limit is positive, and reported before the iterator",
            "GetRecords",
            json!({"Limit": 0}),
            &[
                (&at("0", "limit"), "Member must have value greater than or equal to 1"),
                (&at("null", "shardIterator"), NOT_NULL),
            ],
        ),
        one(
            "GetRecords' limit is bounded",
            "GetRecords",
            json!({"ShardIterator": "x", "Limit": 10001}),
            "10001",
            "limit",
            "Member must have value less than or equal to 10000",
        ),
        one(
            "ListShards' page is positive",
            "ListShards",
            json!({"StreamName": "s", "MaxResults": 0}),
            "0",
            "maxResults",
            "Member must have value greater than or equal to 1",
        ),
        one(
            "ListShards' page is bounded",
            "ListShards",
            json!({"StreamName": "s", "MaxResults": 10001}),
            "10001",
            "maxResults",
            "Member must have value less than or equal to 10000",
        ),
        one("a token is not empty", "ListShards", json!({"NextToken": ""}), "", "nextToken", NAME_SHORT),
        one(
            "a shard filter has one of six types",
            "ListShards",
            json!({"StreamName": "s", "ShardFilter": {"Type": "OPEN"}}),
            "OPEN",
            "shardFilter.type",
            "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, \
             AT_TIMESTAMP, FROM_TIMESTAMP]",
        ),
        one(
            "a shard filter has a type",
            "ListShards",
            json!({"StreamName": "s", "ShardFilter": {}}),
            "null",
            "shardFilter.type",
            NOT_NULL,
        ),
        one(
            "ListStreams' page is positive",
            "ListStreams",
            json!({"Limit": 0}),
            "0",
            "limit",
            "Member must have value greater than or equal to 1",
        ),
        one(
            "ListStreams' start is a name",
            "ListStreams",
            json!({"ExclusiveStartStreamName": "a b"}),
            "a b",
            "exclusiveStartStreamName",
            NAME_PATTERN,
        ),
        one(
            "a tag page is bounded",
            "ListTagsForStream",
            json!({"StreamName": "s", "Limit": 51}),
            "51",
            "limit",
            "Member must have value less than or equal to 50",
        ),
        one(
            "a tag key is not empty",
            "ListTagsForStream",
            json!({"StreamName": "s", "ExclusiveStartTagKey": ""}),
            "",
            "exclusiveStartTagKey",
            NAME_SHORT,
        ),
        one(
            "a partition key is not empty",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "", "Data": ""}),
            "",
            "partitionKey",
            NAME_SHORT,
        ),
        one(
            "a partition key is short",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "ä".repeat(257), "Data": ""}),
            &"ä".repeat(257),
            "partitionKey",
            "Member must have length less than or equal to 256",
        ),
        one(
            "an explicit hash key is a decimal number",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "ExplicitHashKey": "-1"}),
            "-1",
            "explicitHashKey",
            HASH_KEY,
        ),
        one(
            "a sequence number for ordering is a decimal number",
            "PutRecord",
            json!({"StreamName": "s", "PartitionKey": "k", "Data": "", "SequenceNumberForOrdering": "x"}),
            "x",
            "sequenceNumberForOrdering",
            SEQUENCE_NUMBER,
        ),
        one(
            "each explicit hash key is a decimal number",
            "PutRecords",
            json!({"StreamName": "s", "Records": [{"PartitionKey": "k", "Data": "", "ExplicitHashKey": "1e3"}]}),
            "1e3",
            "records.1.member.explicitHashKey",
            HASH_KEY,
        ),
        one(
            "a put has records",
            "PutRecords",
            json!({"StreamName": "s", "Records": []}),
            "[]",
            "records",
            NAME_SHORT,
        ),
        one(
            "a put has at most 500 records",
            "PutRecords",
            json!({"StreamName": "s", "Records": records(501)}),
            &entries(501),
            "records",
            "Member must have length less than or equal to 500",
        ),
        one(
            "a hash key is a decimal number",
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": "shardId-0", "NewStartingHashKey": "00"}),
            "00",
            "newStartingHashKey",
            HASH_KEY,
        ),
        one(
            "a metric is known",
            "EnableEnhancedMonitoring",
            json!({"StreamName": "s", "ShardLevelMetrics": ["Everything"]}),
            "[Everything]",
            "shardLevelMetrics",
            METRICS,
        ),
        one(
            "metrics are named",
            "DisableEnhancedMonitoring",
            json!({"StreamName": "s", "ShardLevelMetrics": []}),
            "[]",
            "shardLevelMetrics",
            NAME_SHORT,
        ),
        one(
            "a scaling type is known",
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "FAST"}),
            "FAST",
            "scalingType",
            "Member must satisfy enum value set: [UNIFORM_SCALING]",
        ),
        one(
            "a target is positive",
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 0, "ScalingType": "UNIFORM_SCALING"}),
            "0",
            "targetShardCount",
            "Member must have value greater than or equal to 1",
        ),
        one(
            "warm throughput is not negative",
            "UpdateStreamWarmThroughput",
            json!({"StreamARN": arn, "WarmThroughputMiBps": -1}),
            "-1",
            "warmThroughputMiBps",
            "Member must have value greater than or equal to 0",
        ),
        one(
            "a distribution is known",
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": arn, "RecordDistributionStrategy": "RANDOM"}),
            "RANDOM",
            "recordDistributionStrategy",
            "Member must satisfy enum value set: [AUTO, USER_PARTITION_KEY]",
        ),
        one(
            "a consumer's name has few characters",
            "RegisterStreamConsumer",
            json!({"StreamARN": arn, "ConsumerName": "a b"}),
            "a b",
            "consumerName",
            NAME_PATTERN,
        ),
        one(
            "a consumer page is positive",
            "ListStreamConsumers",
            json!({"StreamARN": arn, "MaxResults": 0}),
            "0",
            "maxResults",
            "Member must have value greater than or equal to 1",
        ),
        one(
            "tags are there",
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {}}),
            "{}",
            "tags",
            NAME_SHORT,
        ),
        one(
            "tag keys are there",
            "RemoveTagsFromStream",
            json!({"StreamName": "s", "TagKeys": []}),
            "[]",
            "tagKeys",
            NAME_SHORT,
        ),
        one(
            "a tag's key is short",
            "AddTagsToStream",
            json!({"StreamName": "s", "Tags": {"x".repeat(129): "v"}}),
            &format!("{{{}=v}}", "x".repeat(129)),
            "tags",
            "Map keys must satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]",
        ),
        one(
            "a tag's value is short",
            "TagResource",
            json!({"ResourceARN": arn, "Tags": {"k": "x".repeat(257)}}),
            &format!("{{k={}}}", "x".repeat(257)),
            "tags",
            "Map value must satisfy constraint: [Member must have length less than or equal to 256, \
             Member must have length greater than or equal to 0]",
        ),
        one(
            "a removed tag's key is not empty",
            "UntagResource",
            json!({"ResourceARN": arn, "TagKeys": [""]}),
            "[]",
            "tagKeys",
            "Member must satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]",
        ),
        one(
            "a resource's ARN is one",
            "ListTagsForResource",
            json!({"ResourceARN": "orders"}),
            "orders",
            "resourceARN",
            RESOURCE_ARN,
        ),
        one(
            "a billing commitment is on or off",
            "UpdateAccountSettings",
            json!({"MinimumThroughputBillingCommitment": {"Status": "MAYBE"}}),
            "MAYBE",
            "minimumThroughputBillingCommitment.status",
            "Member must satisfy enum value set: [ENABLED, DISABLED]",
        ),
        one(
            "a starting position's type is one of five",
            "SubscribeToShard",
            json!({
                "ConsumerARN": format!("{arn}/consumer/c:1"), "ShardId": "shardId-0", "StartingPosition": {"Type": "X"},
            }),
            "X",
            "startingPosition.type",
            ITERATORS,
        ),
    ];
    for operation in
        ["ListStreamConsumers", "UpdateMaxRecordSize", "RegisterStreamConsumer", "DescribeStreamSummary"]
    {
        let request = match operation {
            "UpdateMaxRecordSize" => json!({"StreamARN": "s", "MaxRecordSizeInKiB": 1024}),
            "RegisterStreamConsumer" => json!({"StreamARN": "s", "ConsumerName": "c"}),
            _ => json!({"StreamARN": "s"}),
        };
        cases.push(one("a stream's ARN is one", operation, request, "s", "streamARN", STREAM_ARN));
    }
    for (operation, more) in [
        ("AddTagsToStream", json!({"Tags": {"a": "b"}})),
        ("DeleteStream", json!({})),
        ("DescribeStream", json!({})),
        ("DescribeStreamSummary", json!({})),
        ("IncreaseStreamRetentionPeriod", json!({"RetentionPeriodHours": 48})),
        ("DecreaseStreamRetentionPeriod", json!({"RetentionPeriodHours": 24})),
        ("ListShards", json!({})),
        ("ListTagsForStream", json!({})),
        ("MergeShards", json!({"ShardToMerge": "0", "AdjacentShardToMerge": "1"})),
        ("PutRecord", json!({"PartitionKey": "k", "Data": ""})),
        ("PutRecords", json!({"Records": [{"PartitionKey": "k", "Data": ""}]})),
        ("RemoveTagsFromStream", json!({"TagKeys": ["k"]})),
        ("SplitShard", json!({"ShardToSplit": "0", "NewStartingHashKey": "2"})),
        ("UpdateShardCount", json!({"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"})),
    ] {
        let mut request = more;
        request["StreamName"] = json!("ä");
        cases.push(one(
            "a stream's name has few characters",
            operation,
            request,
            "ä",
            "streamName",
            NAME_PATTERN,
        ));
    }
    cases
}
