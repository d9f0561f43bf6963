//! The shards of a stream: where each lies in the hash space, which are open, and who came of whom. A snapshot;
//! how the next one is planned is in [`crate::reshard`].

use thalweg_types::{HashKey, HashKeyRange, Offset, SequenceNumber, ShardIndex, Timestamp};

/// A shard's place in the hash space and in the history of splits and merges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shard {
    pub(crate) index: ShardIndex,
    pub(crate) range: HashKeyRange,
    /// Greater than its parents'; in whole seconds, so that it may lie a little ahead of the clock.
    pub(crate) created: Timestamp,
    /// Since when it takes records: the moment when its parents closed.
    pub(crate) opened: Timestamp,
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

    /// Whether it is open now.
    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The shards that it was made of.
    pub(crate) fn parents(&self) -> impl Iterator<Item = ShardIndex> {
        self.parent.into_iter().chain(self.adjacent_parent)
    }
}

/// All shards of a stream that are still listed, and the open ones by their place in the hash space.
///
/// About 150 bytes a shard; copying one is a copy of plain memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ShardMap {
    /// By index.
    all: Vec<Shard>,
    /// Of each open shard its first hash key and its place in `all`, in order: together they cover the whole
    /// space.
    open: Vec<(HashKey, u32)>,
    /// Parent and place of the child in `all`, in order.
    children: Vec<(ShardIndex, u32)>,
    /// The index that the next shard gets.
    next: u32,
}

impl ShardMap {
    /// From shards in any order; `next` is above every index ever given.
    pub(crate) fn new(shards: impl IntoIterator<Item = Shard>, next: u32) -> Self {
        let mut all: Vec<Shard> = shards.into_iter().collect();
        all.sort_unstable_by_key(|shard| shard.index);
        let (mut open, mut children) = (Vec::new(), Vec::new());
        for (place, shard) in (0u32..).zip(&all) {
            if shard.is_open() {
                open.push((shard.range.start, place));
            }
            children.extend(shard.parents().map(|parent| (parent, place)));
        }
        open.sort_unstable();
        children.sort_unstable();
        ShardMap { all, open, children, next }
    }

    /// A shard by its index, open or closed.
    pub(crate) fn get(&self, index: ShardIndex) -> Option<&Shard> {
        let place = self.all.binary_search_by_key(&index, |shard| shard.index).ok()?;
        Some(&self.all[place])
    }

    /// The open shard that `key` belongs to. `None` only where the map has a hole: in a stream that is being
    /// created.
    pub(crate) fn locate(&self, key: HashKey) -> Option<&Shard> {
        let place = self.open.partition_point(|(start, _)| *start <= key).checked_sub(1)?;
        let shard = &self.all[self.open[place].1 as usize];
        shard.range.contains(key).then_some(shard)
    }

    /// Every listed shard, by index.
    pub(crate) fn all(&self) -> &[Shard] {
        &self.all
    }

    /// The open shards, by hash key.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = &Shard> + DoubleEndedIterator {
        self.open.iter().map(|(_, place)| &self.all[*place as usize])
    }

    /// How many shards are open.
    pub(crate) fn open_count(&self) -> u32 {
        u32::try_from(self.open.len()).expect("shard indexes are 32 bits wide")
    }

    /// The shards that were made of `index` by a split or merge, by index.
    pub(crate) fn children(&self, index: ShardIndex) -> impl Iterator<Item = &Shard> {
        let first = self.children.partition_point(|(parent, _)| *parent < index);
        self.children[first..]
            .iter()
            .take_while(move |(parent, _)| *parent == index)
            .map(|(_, place)| &self.all[*place as usize])
    }

    /// The index that the next shard gets.
    pub(crate) fn next_index(&self) -> u32 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: u32, start: u128, end: u128) -> Shard {
        Shard {
            index: ShardIndex(index),
            range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
            created: Timestamp::from_seconds(1_700_000_000),
            opened: Timestamp::from_seconds(1_700_000_000),
            parent: None,
            adjacent_parent: None,
            closed: None,
        }
    }

    /// 0 was split at 100 into 1 and 2, which were merged into 3; 4 is the other half of the space.
    fn map() -> ShardMap {
        let closed = Some(Closed { at: Timestamp::from_seconds(1_700_000_100), end: 7 });
        let parent = |index| Some(ShardIndex(index));
        ShardMap::new(
            [
                shard(4, 1000, u128::MAX),
                Shard { closed, ..shard(0, 0, 999) },
                Shard { parent: parent(0), closed, ..shard(1, 0, 99) },
                Shard { parent: parent(0), closed, ..shard(2, 100, 999) },
                Shard { parent: parent(1), adjacent_parent: parent(2), ..shard(3, 0, 999) },
            ],
            5,
        )
    }

    #[test]
    fn every_hash_key_belongs_to_one_open_shard() {
        for (key, expected) in [(0, 3), (99, 3), (100, 3), (999, 3), (1000, 4), (u128::MAX, 4)] {
            let found = map().locate(HashKey(key)).map(|shard| shard.index.0);
            assert_eq!(found, Some(expected), "{key}");
        }
        assert_eq!(ShardMap::default().locate(HashKey(5)), None, "a stream that is being created");
    }

    #[test]
    fn shards_know_their_children() {
        for (parent, expected) in [(0, vec![1, 2]), (1, vec![3]), (2, vec![3]), (3, vec![]), (9, vec![])] {
            let map = map();
            let found: Vec<u32> = map.children(ShardIndex(parent)).map(|shard| shard.index.0).collect();
            assert_eq!(found, expected, "{parent}");
        }
    }

    #[test]
    fn shards_are_found_by_index_and_open_ones_by_place() {
        let map = map();
        assert!((0..5).all(|index| map.get(ShardIndex(index)).is_some_and(|s| s.index.0 == index)));
        assert_eq!(map.get(ShardIndex(5)), None);
        assert_eq!(map.open().map(|shard| shard.index.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((map.open_count(), map.next_index(), map.all().len()), (2, 5, 5));
    }
}
