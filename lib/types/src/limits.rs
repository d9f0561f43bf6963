//! The numbers of the Kinesis API, each with its source. Bounds of our own live beside what they bound.

/// Largest number of records in one PutRecords. Source: model, `PutRecordsRequestEntryList`.
pub const PUT_RECORDS_COUNT_MAX: usize = 500;
/// Largest PutRecords, data and keys, in bytes. Source: facts/aws-apis.md 2.5.
pub const PUT_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Largest record that any stream can be set to take, in bytes. Source: model, `Data`.
pub const RECORD_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What a stream takes unless told otherwise, in KiB; data and partition key. Source: facts/aws-apis.md 2.5.
pub const RECORD_KIB_DEFAULT: u32 = 1024;
/// Bounds of UpdateMaxRecordSize, in KiB. Source: model, `MaxRecordSizeInKiB`.
pub const RECORD_KIB_MAX: u32 = 10_240;
/// Largest GetRecords answer, in bytes of data. Source: facts/aws-apis.md 2.6.
pub const GET_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Default and largest number of records in a GetRecords answer. Source: model, `GetRecordsInputLimit`.
pub const GET_RECORDS_COUNT_MAX: usize = 10_000;
/// How long a shard iterator is valid, in milliseconds. Source: facts/aws-behaviour.md, Iterators.
pub const ITERATOR_MILLIS: i64 = 300_000;
/// How long a page token is valid, in milliseconds. Source: facts/aws-apis.md 2.7.
pub const NEXT_TOKEN_MILLIS: i64 = 300_000;
/// Shards in a page of DescribeStream. Source: facts/aws-apis.md 2.1.
pub const DESCRIBE_STREAM_PAGE: usize = 100;
/// Shards in a page of ListShards. Source: facts/aws-apis.md 2.7.
pub const LIST_SHARDS_PAGE: usize = 1000;
/// Streams in a page of ListStreams. Source: facts/aws-apis.md 2.1.
pub const LIST_STREAMS_PAGE: usize = 100;
/// Consumers in a page of ListStreamConsumers. Source: facts/aws-apis.md 2.8.
pub const LIST_CONSUMERS_PAGE: usize = 100;
/// Shards of a new on-demand stream. Source: facts/aws-apis.md 2.2.
pub const ON_DEMAND_SHARDS: u32 = 4;
/// Retention of a new stream and its lower bound, in hours. Source: facts/aws-behaviour.md.
pub const RETENTION_HOURS_MIN: u32 = 24;
/// Longest retention, in hours (365 days). Source: facts/aws-behaviour.md.
pub const RETENTION_HOURS_MAX: u32 = 8760;
/// Tags on a resource. Source: facts/aws-apis.md 2.1.
pub const TAGS_MAX: usize = 50;
/// Shards in an account, unless `--shard-limit` says otherwise. Source: facts/aws-apis.md 2.2.
pub const SHARD_LIMIT_DEFAULT: u32 = 20_000;
/// On-demand streams in an account. Source: facts/aws-apis.md 2.2.
pub const ON_DEMAND_STREAMS_MAX: u32 = 50;
/// Consumers of a stream. Source: facts/aws-apis.md 2.8.
pub const CONSUMERS_MAX: usize = 20;
/// Streams (and consumers of one stream) that may be CREATING at once. Source: facts/aws-apis.md 2.1, 2.8.
pub const CREATING_MAX: usize = 5;
/// How long one SubscribeToShard lasts, in seconds. Source: facts/aws-apis.md 2.9.
pub const SUBSCRIPTION_SECONDS: u64 = 300;
/// How soon after a SubscribeToShard the same consumer and shard may be taken over, in seconds. Source: 2.9.
pub const SUBSCRIPTION_TAKE_OVER_SECONDS: u64 = 5;
/// Largest target of UpdateShardCount. Source: facts/aws-apis.md 2.3.
pub const UPDATE_SHARD_COUNT_MAX: u32 = 10_000;
