//! One stream as operations see it: an immutable snapshot that is replaced whole at each change, and its shard map.

use std::collections::BTreeMap;

use thalweg_model::kinesis::{MetricsName, RecordDistributionStrategy, StreamMode, StreamStatus};
use thalweg_types::{
    HashKey, HashKeyRange, Offset, SequenceNumber, ShardIndex, ShardKey, StreamId, StreamName, Timestamp,
};

/// A stream at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: StreamName,
    /// Greater than that of any earlier stream of this name.
    pub(crate) created: Timestamp,
    pub(crate) status: StreamStatus,
    pub(crate) mode: StreamMode,
    pub(crate) retention_hours: u32,
    pub(crate) record_kib_max: u32,
    pub(crate) distribution: RecordDistributionStrategy,
    pub(crate) warm_throughput_mibps: Option<u32>,
    pub(crate) metrics: Vec<MetricsName>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) shards: ShardMap,
}

/// A shard's place in the hash space and in the history of splits and merges.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shard {
    pub(crate) index: ShardIndex,
    pub(crate) range: HashKeyRange,
    /// Greater than its parents'; in whole seconds.
    pub(crate) created: Timestamp,
    pub(crate) parent: Option<ShardIndex>,
    pub(crate) adjacent_parent: Option<ShardIndex>,
    /// Present once the shard was split or merged away.
    pub(crate) closed: Option<Closed>,
}

/// How a shard ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Closed {
    pub(crate) at: Timestamp,
    /// One past its last record.
    pub(crate) end: Offset,
}

impl Shard {
    /// The number it starts with: less than any record's.
    pub(crate) fn starting_sequence_number(&self) -> SequenceNumber {
        SequenceNumber::shard_start(self.created, self.index)
    }

    /// The number it ended with, if it did: more than any record's.
    pub(crate) fn ending_sequence_number(&self) -> Option<SequenceNumber> {
        self.closed.map(|closed| SequenceNumber::shard_end(self.created, self.index, closed.at))
    }

    /// The number of one of its records.
    pub(crate) fn sequence_number(&self, offset: Offset, arrival: Timestamp) -> SequenceNumber {
        SequenceNumber::of_record(self.created, self.index, offset, arrival)
    }
}

/// All shards of a stream that are still listed, and the open ones by their place in the hash space.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardMap {
    all: BTreeMap<ShardIndex, Shard>,
    /// Of each open shard its first hash key, in order: together they cover the whole space.
    open: Vec<(HashKey, ShardIndex)>,
    /// The index that the next shard gets.
    next: u32,
}

impl ShardMap {
    /// From the stored shards; `next` is above every index ever given.
    pub(crate) fn new(shards: impl IntoIterator<Item = Shard>, next: u32) -> Self {
        let all: BTreeMap<ShardIndex, Shard> = shards.into_iter().map(|shard| (shard.index, shard)).collect();
        let mut open: Vec<_> = all
            .values()
            .filter(|shard| shard.closed.is_none())
            .map(|shard| (shard.range.start, shard.index))
            .collect();
        open.sort_unstable();
        ShardMap { all, open, next }
    }

    /// A shard by its index, open or closed.
    pub(crate) fn get(&self, index: ShardIndex) -> Option<&Shard> {
        self.all.get(&index)
    }

    /// The open shard that `key` belongs to. `None` only where the map has a hole: before the children of a
    /// reshard are open.
    pub(crate) fn locate(&self, key: HashKey) -> Option<&Shard> {
        let place = self.open.partition_point(|(start, _)| *start <= key).checked_sub(1)?;
        let shard = &self.all[&self.open[place].1];
        shard.range.contains(key).then_some(shard)
    }

    /// Every listed shard, by index.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.all.values()
    }

    /// The open shards, by hash key.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.open.iter().map(|(_, index)| &self.all[index])
    }

    /// The shards that were made of `index` by a split or merge.
    pub(crate) fn children(&self, index: ShardIndex) -> impl Iterator<Item = &Shard> {
        self.all
            .range(index..)
            .map(|(_, shard)| shard)
            .filter(move |shard| shard.parent == Some(index) || shard.adjacent_parent == Some(index))
    }

    /// The index that the next shard gets.
    pub(crate) fn next_index(&self) -> u32 {
        self.next
    }
}

impl Stream {
    /// The journal's name of one of its shards.
    pub(crate) fn key(&self, shard: ShardIndex) -> ShardKey {
        ShardKey { stream: self.id, shard }
    }
}
