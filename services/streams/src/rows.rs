//! What the catalog holds: one row for each stream, shard, consumer, policy, forgotten name and the account, as JSON
//! with a version. `docs/formats/rows.md` lists them; nothing else reads or writes these bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use thalweg_model::kinesis::{
    MetricsName, MinimumThroughputBillingCommitmentOutputStatus as CommitmentStatus,
    RecordDistributionStrategy, StreamMode,
};
use thalweg_types::sequence_number::SECONDS_MAX;
use thalweg_types::{ConsumerName, HashKey, HashKeyRange, ShardIndex, StreamId, StreamName, Timestamp};

use crate::change::{Change, ChangeKind};
use crate::consumer::{Consumer, ConsumerChange, ConsumerChangeKind, Consumers};
use crate::service::OpenError;
use crate::shard_map::{Closed, Shard, ShardMap};
use crate::stream::Stream;

/// What every row of this version says it is.
const VERSION: u32 = 1;

/// The account's row.
pub(crate) const ACCOUNT: &[u8] = b"streams/account";
/// What the keys of all streams begin with.
pub(crate) const STREAMS: &[u8] = b"streams/stream/";
/// What the keys of all forgotten names begin with.
pub(crate) const NAMES: &[u8] = b"streams/name/";

/// `streams/stream/` and the id in 16 hexadecimal digits.
pub(crate) fn stream_key(stream: StreamId) -> Bytes {
    format!("streams/stream/{:016x}", stream.0).into()
}

/// What the keys of a stream's shards begin with.
pub(crate) fn shards_prefix(stream: StreamId) -> Bytes {
    format!("streams/shard/{:016x}/", stream.0).into()
}

/// [`shards_prefix`] and the index in 8 hexadecimal digits.
pub(crate) fn shard_key(stream: StreamId, shard: ShardIndex) -> Bytes {
    format!("streams/shard/{:016x}/{:08x}", stream.0, shard.0).into()
}

/// What the keys of a stream's consumers begin with.
pub(crate) fn consumers_prefix(stream: StreamId) -> Bytes {
    format!("streams/consumer/{:016x}/", stream.0).into()
}

/// [`consumers_prefix`] and the consumer's name.
pub(crate) fn consumer_key(stream: StreamId, name: &ConsumerName) -> Bytes {
    format!("streams/consumer/{:016x}/{name}", stream.0).into()
}

/// The policy of a stream (`None`) or of one of its consumers.
pub(crate) fn policy_key(stream: StreamId, consumer: Option<&ConsumerName>) -> Bytes {
    match consumer {
        None => format!("streams/policy/{:016x}", stream.0).into(),
        Some(name) => format!("streams/policy/{:016x}/{name}", stream.0).into(),
    }
}

/// The name of a deleted stream.
pub(crate) fn name_key(name: &StreamName) -> Bytes {
    format!("streams/name/{name}").into()
}

/// What belongs to the account and the installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountRow {
    pub(crate) v: V1,
    /// The id that the next stream gets.
    pub(crate) next_stream: u64,
    /// What iterators and page tokens are sealed with: 64 hexadecimal digits, random.
    pub(crate) secret: String,
    /// Every shard and consumer of a deleted stream without a row of its own was created before this second.
    #[serde(deserialize_with = "seconds")]
    pub(crate) names_before: u64,
    /// The commitment to on-demand advantage, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commitment: Option<CommitmentRow>,
    /// The journal's identity: 16 hexadecimal digits. Absent in one that an earlier build wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<String>,
}

impl AccountRow {
    /// The journal's identity, as a number.
    ///
    /// # Errors
    /// When the row holds something else.
    pub(crate) fn journal(&self) -> Result<Option<u64>, OpenError> {
        let Some(text) = &self.journal else { return Ok(None) };
        let number = u64::from_str_radix(text, 16);
        number.map(Some).map_err(|_| bad_row(ACCOUNT, "the journal's identity is malformed"))
    }
}

/// The commitment to on-demand advantage. Times in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitmentRow {
    /// `ENABLED`, …
    pub(crate) status: String,
    pub(crate) started_at: i64,
    pub(crate) earliest_allowed_end_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<i64>,
}

impl CommitmentRow {
    /// The status as the model has it; `None` when this version does not know it.
    pub(crate) fn status(&self) -> Option<CommitmentStatus> {
        CommitmentStatus::parse(&self.status)
    }
}

/// A stream, without its shards and consumers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamRow {
    pub(crate) v: V1,
    name: String,
    /// Seconds since the epoch.
    #[serde(deserialize_with = "seconds")]
    created: u64,
    mode: String,
    retention_hours: u32,
    record_kib_max: u32,
    distribution: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warm_throughput_mibps: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shard_count_updates: Vec<i64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mode_updates: Vec<i64>,
    /// Seconds since the epoch.
    #[serde(deserialize_with = "seconds")]
    consumers_gone: u64,
    next_shard: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<ChangeRow>,
}

/// A change under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRow {
    /// Milliseconds since the epoch.
    not_before: i64,
    kind: ChangeKindRow,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ChangeKindRow {
    Create { shards: u32 },
    Settle,
    Split { shard: u32, at: String },
    Merge { lower: u32, upper: u32 },
    SplitAll { target: u32 },
    MergeDown { target: u32 },
    Delete,
}

/// A shard, open or closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShardRow {
    pub(crate) v: V1,
    /// First and last hash key, in hexadecimal.
    start: String,
    end: String,
    /// Seconds since the epoch.
    #[serde(deserialize_with = "seconds")]
    created: u64,
    /// Milliseconds since the epoch.
    opened: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adjacent_parent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<ClosedRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosedRow {
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "closing_time")]
    at: i64,
    end: u64,
    /// Milliseconds since the epoch. Earlier builds refuse a row that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noted: Option<i64>,
}

/// A consumer; its name is in the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerRow {
    pub(crate) v: V1,
    /// Seconds since the epoch.
    #[serde(deserialize_with = "seconds")]
    created: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<ConsumerChangeRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerChangeRow {
    /// `create` or `delete`.
    kind: String,
    /// Milliseconds since the epoch.
    not_before: i64,
}

/// A resource policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyRow {
    pub(crate) v: V1,
    /// As it was put.
    pub(crate) policy: String,
}

/// The name of a deleted stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameRow {
    pub(crate) v: V1,
    /// The last creation second of a shard or a consumer of it.
    #[serde(deserialize_with = "seconds")]
    pub(crate) created: u64,
}

/// The version alone.
#[derive(Deserialize)]
struct AnyVersion {
    v: u32,
}

/// A row's bytes.
pub(crate) fn encode<T: Serialize>(row: &T) -> Bytes {
    serde_json::to_vec(row).expect("rows have text keys only").into()
}

/// A row from its bytes.
///
/// # Errors
/// [`OpenError::Row`] when it is of a later version, or damaged.
pub(crate) fn decode<T: DeserializeOwned>(row: &thalweg_catalog::Row) -> Result<T, OpenError> {
    match serde_json::from_slice(&row.value) {
        Ok(decoded) => Ok(decoded),
        Err(error) => Err(match serde_json::from_slice(&row.value) {
            Ok(AnyVersion { v }) if v != VERSION => {
                bad_row(&row.key, format!("it is of version {v}, and this program knows version {VERSION}"))
            }
            _ => bad_row(&row.key, error.to_string()),
        }),
    }
}

/// The version that every row of this version begins with: anything else is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub(crate) struct V1;

impl From<V1> for u32 {
    fn from(_: V1) -> u32 {
        VERSION
    }
}

impl TryFrom<u32> for V1 {
    type Error = String;

    fn try_from(version: u32) -> Result<V1, String> {
        if version == VERSION { Ok(V1) } else { Err(format!("version {version}")) }
    }
}

/// Seconds that a sequence number can hold.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if seconds < SECONDS_MAX { Ok(seconds) } else { Err(D::Error::custom("a time out of range")) }
}

/// Milliseconds whose second a sequence number can hold.
fn closing_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let millis = i64::deserialize(deserializer)?;
    let is_held = Timestamp::from_millis(millis).as_seconds() < SECONDS_MAX;
    if is_held { Ok(millis) } else { Err(D::Error::custom("a time out of range")) }
}

/// A row that cannot be understood.
pub(crate) fn bad_row(key: &[u8], why: impl Into<String>) -> OpenError {
    OpenError::Row { key: String::from_utf8_lossy(key).into_owned(), why: why.into() }
}

fn millis(times: &[Timestamp]) -> Vec<i64> {
    times.iter().map(|time| time.as_millis()).collect()
}

fn times(millis: &[i64]) -> Vec<Timestamp> {
    millis.iter().map(|millis| Timestamp::from_millis(*millis)).collect()
}

/// A second as rows hold it.
pub(crate) fn second(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

impl StreamRow {
    /// What is stored of a stream itself.
    pub(crate) fn of(stream: &Stream) -> Self {
        StreamRow {
            v: V1,
            name: stream.name.as_str().to_owned(),
            created: stream.created.as_seconds(),
            mode: stream.mode.as_str().to_owned(),
            retention_hours: stream.retention_hours,
            record_kib_max: stream.record_kib_max,
            distribution: stream.distribution.as_str().to_owned(),
            warm_throughput_mibps: stream.warm_throughput_mibps,
            metrics: stream.metrics.iter().map(|metric| metric.as_str().to_owned()).collect(),
            tags: stream.tags.clone(),
            shard_count_updates: millis(&stream.shard_count_updates),
            mode_updates: millis(&stream.mode_updates),
            consumers_gone: stream.consumers_gone.as_seconds(),
            next_shard: stream.shards.next_index(),
            change: stream.change.as_ref().map(ChangeRow::of),
        }
    }

    /// The stream with the shards and consumers of other rows; `None` when a text in it is of no known value.
    pub(crate) fn into_stream(
        self,
        id: StreamId,
        shards: Vec<Shard>,
        consumers: Consumers,
    ) -> Option<Stream> {
        Some(Stream {
            id,
            name: StreamName::new(&self.name).ok()?,
            created: second(self.created),
            mode: StreamMode::parse(&self.mode)?,
            retention_hours: self.retention_hours,
            record_kib_max: self.record_kib_max,
            distribution: RecordDistributionStrategy::parse(&self.distribution)?,
            warm_throughput_mibps: self.warm_throughput_mibps,
            metrics: self.metrics.iter().map(|metric| MetricsName::parse(metric)).collect::<Option<_>>()?,
            tags: self.tags,
            shard_count_updates: times(&self.shard_count_updates),
            mode_updates: times(&self.mode_updates),
            consumers_gone: second(self.consumers_gone),
            shards: ShardMap::new(shards, self.next_shard).into(),
            consumers: consumers.into(),
            change: match self.change {
                None => None,
                Some(change) => Some(change.into_change()?),
            },
            frozen_horizon: None,
            is_held_up: false,
        })
    }
}

impl ChangeRow {
    fn of(change: &Change) -> Self {
        let kind = match change.kind {
            ChangeKind::Create { shards } => ChangeKindRow::Create { shards },
            ChangeKind::Settle => ChangeKindRow::Settle,
            ChangeKind::Split { shard, at } => ChangeKindRow::Split { shard: shard.0, at: hex(at) },
            ChangeKind::Merge { lower, upper } => ChangeKindRow::Merge { lower: lower.0, upper: upper.0 },
            ChangeKind::SplitAll { target } => ChangeKindRow::SplitAll { target },
            ChangeKind::MergeDown { target } => ChangeKindRow::MergeDown { target },
            ChangeKind::Delete => ChangeKindRow::Delete,
        };
        ChangeRow { not_before: change.not_before.as_millis(), kind }
    }

    fn into_change(self) -> Option<Change> {
        let kind = match self.kind {
            ChangeKindRow::Create { shards } => ChangeKind::Create { shards },
            ChangeKindRow::Settle => ChangeKind::Settle,
            ChangeKindRow::Split { shard, at } => {
                ChangeKind::Split { shard: ShardIndex(shard), at: unhex(&at)? }
            }
            ChangeKindRow::Merge { lower, upper } => {
                ChangeKind::Merge { lower: ShardIndex(lower), upper: ShardIndex(upper) }
            }
            ChangeKindRow::SplitAll { target } => ChangeKind::SplitAll { target },
            ChangeKindRow::MergeDown { target } => ChangeKind::MergeDown { target },
            ChangeKindRow::Delete => ChangeKind::Delete,
        };
        Some(Change { kind, not_before: Timestamp::from_millis(self.not_before) })
    }
}

fn hex(key: HashKey) -> String {
    format!("{:x}", key.0)
}

fn unhex(text: &str) -> Option<HashKey> {
    u128::from_str_radix(text, 16).ok().map(HashKey)
}

impl ShardRow {
    /// What is stored of a shard.
    pub(crate) fn of(shard: &Shard) -> Self {
        ShardRow {
            v: V1,
            start: hex(shard.range.start),
            end: hex(shard.range.end),
            created: shard.created.as_seconds(),
            opened: shard.opened.as_millis(),
            parent: shard.parent.map(|index| index.0),
            adjacent_parent: shard.adjacent_parent.map(|index| index.0),
            closed: shard.closed.map(|closed| ClosedRow {
                at: closed.at.as_millis(),
                end: closed.end,
                noted: closed.noted.map(Timestamp::as_millis),
            }),
        }
    }

    /// The shard; `None` when a hash key is not one.
    pub(crate) fn into_shard(self, index: ShardIndex) -> Option<Shard> {
        Some(Shard {
            index,
            range: HashKeyRange { start: unhex(&self.start)?, end: unhex(&self.end)? },
            created: second(self.created),
            opened: Timestamp::from_millis(self.opened),
            parent: self.parent.map(ShardIndex),
            adjacent_parent: self.adjacent_parent.map(ShardIndex),
            closed: self.closed.map(|closed| Closed {
                at: Timestamp::from_millis(closed.at),
                end: closed.end,
                noted: closed.noted.map(Timestamp::from_millis),
            }),
        })
    }
}

impl ConsumerRow {
    /// What is stored of a consumer.
    pub(crate) fn of(consumer: &Consumer) -> Self {
        ConsumerRow {
            v: V1,
            created: consumer.created.as_seconds(),
            tags: consumer.tags.clone(),
            change: consumer.change.map(|change| ConsumerChangeRow {
                kind: match change.kind {
                    ConsumerChangeKind::Create => "create".to_owned(),
                    ConsumerChangeKind::Delete => "delete".to_owned(),
                },
                not_before: change.not_before.as_millis(),
            }),
        }
    }

    /// The consumer; `None` when its change is of no known kind.
    pub(crate) fn into_consumer(self, name: ConsumerName) -> Option<Consumer> {
        let change = match self.change {
            None => None,
            Some(row) => Some(ConsumerChange {
                kind: match row.kind.as_str() {
                    "create" => ConsumerChangeKind::Create,
                    "delete" => ConsumerChangeKind::Delete,
                    _ => return None,
                },
                not_before: Timestamp::from_millis(row.not_before),
            }),
        };
        Some(Consumer { name, created: second(self.created), tags: self.tags, change })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stream::tests::stream;

    /// A row's text is what it was, and reads as what it was.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(row: &T, text: &str) {
        let encoded = encode(row);
        assert_eq!(String::from_utf8_lossy(&encoded), text);
        let stored = thalweg_catalog::Row { key: Bytes::new(), value: text.to_owned().into(), version: 1 };
        assert_eq!(decode::<T>(&stored).expect("written by us"), *row);
    }

    fn shard() -> Shard {
        Shard {
            index: ShardIndex(3),
            range: HashKeyRange { start: HashKey(0), end: HashKey(u128::MAX) },
            created: Timestamp::from_seconds(1_700_000_001),
            opened: Timestamp::from_millis(1_700_000_000_123),
            parent: None,
            adjacent_parent: None,
            closed: None,
        }
    }

    #[test]
    fn keys_of_version_1_are_pinned() {
        let (id, name) = (StreamId(255), ConsumerName::new("c").expect("well formed"));
        let stream = StreamName::new("s").expect("well formed");
        for (key, expected) in [
            (stream_key(id), "streams/stream/00000000000000ff"),
            (shard_key(id, ShardIndex(16)), "streams/shard/00000000000000ff/00000010"),
            (consumer_key(id, &name), "streams/consumer/00000000000000ff/c"),
            (policy_key(id, None), "streams/policy/00000000000000ff"),
            (policy_key(id, Some(&name)), "streams/policy/00000000000000ff/c"),
            (name_key(&stream), "streams/name/s"),
            (Bytes::from_static(ACCOUNT), "streams/account"),
        ] {
            assert_eq!(key, expected.as_bytes());
        }
        assert!(stream_key(id).starts_with(STREAMS) && name_key(&stream).starts_with(NAMES));
        assert!(shard_key(id, ShardIndex(0)).starts_with(&shards_prefix(id)));
        assert!(consumer_key(id, &name).starts_with(&consumers_prefix(id)));
    }

    #[test]
    fn rows_of_version_1_are_pinned() {
        let commitment = CommitmentRow {
            status: "ENABLED".to_owned(),
            started_at: 1,
            earliest_allowed_end_at: 2,
            ended_at: None,
        };
        let mut account = AccountRow {
            v: V1,
            next_stream: 7,
            secret: "00ff".to_owned(),
            names_before: 5,
            commitment: None,
            journal: None,
        };
        check(&account, r#"{"v":1,"next_stream":7,"secret":"00ff","names_before":5}"#);
        account.commitment = Some(commitment);
        account.journal = Some("00000000000000ff".to_owned());
        check(
            &account,
            r#"{"v":1,"next_stream":7,"secret":"00ff","names_before":5,"commitment":{"status":"ENABLED","started_at":1,"earliest_allowed_end_at":2},"journal":"00000000000000ff"}"#,
        );
        check(&PolicyRow { v: V1, policy: "{}".to_owned() }, r#"{"v":1,"policy":"{}"}"#);
        check(&NameRow { v: V1, created: 9 }, r#"{"v":1,"created":9}"#);
    }

    #[test]
    fn shard_rows_of_version_1_are_pinned() {
        check(
            &ShardRow::of(&shard()),
            r#"{"v":1,"start":"0","end":"ffffffffffffffffffffffffffffffff","created":1700000001,"opened":1700000000123}"#,
        );
        let full = Shard {
            parent: Some(ShardIndex(1)),
            adjacent_parent: Some(ShardIndex(2)),
            closed: Some(Closed { at: Timestamp::from_millis(1_700_000_009_999), end: 12, noted: None }),
            ..shard()
        };
        check(
            &ShardRow::of(&full),
            r#"{"v":1,"start":"0","end":"ffffffffffffffffffffffffffffffff","created":1700000001,"opened":1700000000123,"parent":1,"adjacent_parent":2,"closed":{"at":1700000009999,"end":12}}"#,
        );
        assert_eq!(ShardRow::of(&full).into_shard(ShardIndex(3)), Some(full));
        let noted = Some(Timestamp::from_millis(1_600_000_000_001));
        let full = Shard { closed: full.closed.map(|closed| Closed { noted, ..closed }), ..full };
        check(
            &ShardRow::of(&full),
            r#"{"v":1,"start":"0","end":"ffffffffffffffffffffffffffffffff","created":1700000001,"opened":1700000000123,"parent":1,"adjacent_parent":2,"closed":{"at":1700000009999,"end":12,"noted":1600000000001}}"#,
        );
        assert_eq!(ShardRow::of(&full).into_shard(ShardIndex(3)), Some(full));
    }

    #[test]
    fn consumer_rows_of_version_1_are_pinned() {
        let consumer = Consumer {
            name: ConsumerName::new("c").expect("well formed"),
            created: Timestamp::from_seconds(1_700_000_000),
            tags: BTreeMap::new(),
            change: None,
        };
        check(&ConsumerRow::of(&consumer), r#"{"v":1,"created":1700000000}"#);
        for (kind, text) in [(ConsumerChangeKind::Create, "create"), (ConsumerChangeKind::Delete, "delete")] {
            let change = Some(ConsumerChange { kind, not_before: Timestamp::from_millis(5) });
            let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
            let full = Consumer { tags, change, ..consumer.clone() };
            check(
                &ConsumerRow::of(&full),
                &format!(
                    r#"{{"v":1,"created":1700000000,"tags":{{"k":"v"}},"change":{{"kind":"{text}","not_before":5}}}}"#
                ),
            );
            assert_eq!(ConsumerRow::of(&full).into_consumer(full.name.clone()), Some(full));
        }
    }

    #[test]
    fn stream_rows_of_version_1_are_pinned() {
        let plain = Stream { shards: Arc::new(ShardMap::new([shard()], 4)), ..stream("s") };
        check(
            &StreamRow::of(&plain),
            r#"{"v":1,"name":"s","created":1700000000,"mode":"PROVISIONED","retention_hours":24,"record_kib_max":1024,"distribution":"USER_PARTITION_KEY","consumers_gone":0,"next_shard":4}"#,
        );
        let full = Stream {
            mode: StreamMode::OnDemand,
            distribution: RecordDistributionStrategy::Auto,
            warm_throughput_mibps: Some(8),
            metrics: vec![MetricsName::IncomingBytes],
            tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            shard_count_updates: vec![Timestamp::from_millis(1)],
            mode_updates: vec![Timestamp::from_millis(2)],
            consumers_gone: Timestamp::from_seconds(3),
            change: Some(Change { kind: ChangeKind::Settle, not_before: Timestamp::from_millis(4) }),
            ..plain.clone()
        };
        check(
            &StreamRow::of(&full),
            r#"{"v":1,"name":"s","created":1700000000,"mode":"ON_DEMAND","retention_hours":24,"record_kib_max":1024,"distribution":"AUTO","warm_throughput_mibps":8,"metrics":["IncomingBytes"],"tags":{"k":"v"},"shard_count_updates":[1],"mode_updates":[2],"consumers_gone":3,"next_shard":4,"change":{"not_before":4,"kind":"settle"}}"#,
        );
        let read = StreamRow::of(&full).into_stream(full.id, vec![shard()], Consumers::new());
        assert_eq!(read, Some(full));
    }

    #[test]
    fn changes_of_version_1_are_pinned() {
        let (one, two) = (ShardIndex(1), ShardIndex(2));
        for (kind, text) in [
            (ChangeKind::Create { shards: 4 }, r#"{"create":{"shards":4}}"#),
            (ChangeKind::Settle, r#""settle""#),
            (ChangeKind::Split { shard: one, at: HashKey(255) }, r#"{"split":{"shard":1,"at":"ff"}}"#),
            (ChangeKind::Merge { lower: one, upper: two }, r#"{"merge":{"lower":1,"upper":2}}"#),
            (ChangeKind::SplitAll { target: 5 }, r#"{"split_all":{"target":5}}"#),
            (ChangeKind::MergeDown { target: 6 }, r#"{"merge_down":{"target":6}}"#),
            (ChangeKind::Delete, r#""delete""#),
        ] {
            let change = Change { kind, not_before: Timestamp::ZERO };
            let row = ChangeRow::of(&change);
            check(&row, &format!(r#"{{"not_before":0,"kind":{text}}}"#));
            assert_eq!(row.into_change(), Some(change));
        }
    }

    #[test]
    fn rows_of_later_versions_and_strange_rows_are_refused() {
        let why = |text: &str| {
            let key = Bytes::from_static(b"streams/name/s");
            let stored = thalweg_catalog::Row { key, value: text.to_owned().into(), version: 1 };
            decode::<NameRow>(&stored).expect_err("refused").to_string()
        };
        assert!(why(r#"{"v":2,"created":9,"more":1}"#).contains("of version 2"));
        for text in ["", "{}", r#"{"v":1}"#, r#"{"v":1,"created":9,"more":1}"#, r#"{"v":1,"created":"9"}"#] {
            assert!(why(text).contains("streams/name/s"), "{text}");
        }
    }
}
