//! One stream as operations see it: an immutable snapshot that is replaced whole at each change. Its shards are in
//! [`crate::shard_map`], its consumers in [`crate::consumer`]; who replaces it is [`crate::registry`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_model::kinesis::{MetricsName, RecordDistributionStrategy, StreamMode, StreamStatus};
use thalweg_types::{ShardIndex, ShardKey, StreamId, StreamName, Timestamp};

use crate::change::Change;
use crate::consumer::Consumers;
use crate::shard_map::ShardMap;

/// A stream at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: StreamName,
    /// Greater than that of any earlier stream of this name, its shards and its consumers; in whole seconds.
    pub(crate) created: Timestamp,
    pub(crate) mode: StreamMode,
    pub(crate) retention_hours: u32,
    pub(crate) record_kib_max: u32,
    pub(crate) distribution: RecordDistributionStrategy,
    pub(crate) warm_throughput_mibps: Option<u32>,
    /// Shard-level metrics that are switched on; sorted, never `All`.
    pub(crate) metrics: Vec<MetricsName>,
    pub(crate) tags: BTreeMap<String, String>,
    /// When UpdateShardCount was last called: the newest, oldest first.
    pub(crate) shard_count_updates: Vec<Timestamp>,
    /// When UpdateStreamMode was last called: the newest, oldest first.
    pub(crate) mode_updates: Vec<Timestamp>,
    /// No consumer that was ever deregistered was created later than this; in whole seconds.
    pub(crate) consumers_gone: Timestamp,
    /// Empty while the stream is CREATING.
    pub(crate) shards: Arc<ShardMap>,
    pub(crate) consumers: Arc<Consumers>,
    /// What is under way; it decides the status.
    pub(crate) change: Option<Change>,
    /// While retention grows nothing more grows too old: what arrived before this is gone, and what arrived later is
    /// not, whatever the time. It stays where the outcome is unknown. In memory only.
    pub(crate) frozen_horizon: Option<Timestamp>,
    /// The last attempt to finish the change failed, and when the next one succeeds nobody knows. In memory only.
    pub(crate) is_held_up: bool,
}

impl Stream {
    /// What AWS calls the stream's state.
    pub(crate) fn status(&self) -> StreamStatus {
        self.change.as_ref().map_or(StreamStatus::Active, Change::status)
    }

    /// The journal's name of one of its shards.
    pub(crate) fn key(&self, shard: ShardIndex) -> ShardKey {
        ShardKey { stream: self.id, shard }
    }

    /// How long records are kept.
    pub(crate) fn retention(&self) -> Duration {
        hours(self.retention_hours)
    }

    /// What arrived before this is gone, as of `now` ([`crate::service::Streams::expiry_now`]).
    pub(crate) fn horizon(&self, now: Timestamp) -> Timestamp {
        let horizon = now.minus(self.retention());
        self.frozen_horizon.map_or(horizon, |frozen| horizon.min(frozen))
    }

    /// How many shards it may have open soon: what the account's shard limit counts.
    pub(crate) fn shards_claimed(&self) -> u32 {
        let open = self.shards.open_count();
        self.change.as_ref().map_or(open, |change| open.max(change.shards_claimed(open)))
    }
}

/// Hours as a duration.
pub(crate) fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3600)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ACTIVE stream without shards.
    pub(crate) fn stream(name: &str) -> Stream {
        Stream {
            id: StreamId(1),
            name: StreamName::new(name).expect("tests use good names"),
            created: Timestamp::from_seconds(1_700_000_000),
            mode: StreamMode::Provisioned,
            retention_hours: 24,
            record_kib_max: 1024,
            distribution: RecordDistributionStrategy::UserPartitionKey,
            warm_throughput_mibps: None,
            metrics: Vec::new(),
            tags: BTreeMap::new(),
            shard_count_updates: Vec::new(),
            mode_updates: Vec::new(),
            consumers_gone: Timestamp::ZERO,
            shards: Arc::default(),
            consumers: Arc::default(),
            change: None,
            frozen_horizon: None,
            is_held_up: false,
        }
    }
}
