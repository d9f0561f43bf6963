//! The shards of a stream: where each lies in the hash space, which are open, and who came of whom. A snapshot;
//! how the next one is planned is in [`crate::reshard`].

use std::hint::black_box;

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
    /// When a sweep found `at` far ahead of the clock.
    pub(crate) noted: Option<Timestamp>,
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
    /// The open shards by their place in the hash space: together they cover all of it, but while a stream is
    /// created.
    open: Vec<Open>,
    covers_all: bool,
    /// Parent and place of the child in `all`, in order.
    children: Vec<(ShardIndex, u32)>,
    /// The index that the next shard gets.
    next: u32,
}

/// An open shard, as far as routing a record must know it: all of them together stay in the processor's cache where
/// [`ShardMap::all`] does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    start: HashKey,
    index: ShardIndex,
    /// In `all`.
    place: u32,
}

impl ShardMap {
    /// From shards in any order; `next` is above every index ever given.
    pub(crate) fn new(shards: impl IntoIterator<Item = Shard>, next: u32) -> Self {
        let mut all: Vec<Shard> = shards.into_iter().collect();
        all.sort_unstable_by_key(|shard| shard.index);
        let (mut open, mut children) = (Vec::new(), Vec::new());
        for (place, shard) in (0u32..).zip(&all) {
            if shard.is_open() {
                open.push(Open { start: shard.range.start, index: shard.index, place });
            }
            children.extend(shard.parents().map(|parent| (parent, place)));
        }
        open.sort_unstable();
        children.sort_unstable();
        let covers_all = cover_all(open.iter().map(|one| all[one.place as usize].range));
        ShardMap { all, open, covers_all, children, next }
    }

    /// A shard by its index, open or closed.
    pub(crate) fn get(&self, index: ShardIndex) -> Option<&Shard> {
        // Nearly always no shard is missing between the first and this one, and none has to be searched: among ten
        // thousand, that would be a dozen cache misses.
        let guess = index.0.checked_sub(self.all.first()?.index.0)? as usize;
        if let Some(shard) = self.all.get(guess)
            && shard.index == index
        {
            return Some(shard);
        }
        let place = self.all.binary_search_by_key(&index, |shard| shard.index).ok()?;
        Some(&self.all[place])
    }

    /// The open shard that `key` belongs to. `None` only where the map has a hole: in a stream that is being
    /// created.
    pub(crate) fn locate(&self, key: HashKey) -> Option<ShardIndex> {
        let (count, guess) = (self.open.len(), self.guess(key));
        let (mut from, mut to) = (guess.saturating_sub(1), (guess + 2).min(count));
        let starts_before = |place: usize| self.open.get(place).is_some_and(|one| one.start <= key);
        if !starts_before(from) || starts_before(to) {
            (from, to) = (0, count);
        }
        let around = &self.open[from..to];
        let place = (from + around.partition_point(|one| one.start <= key)).checked_sub(1)?;
        let found = &self.open[place];
        let is_there = self.covers_all || self.all[found.place as usize].range.contains(key);
        is_there.then_some(found.index)
    }

    /// The place among the open shards if they are cut evenly, give or take one; if they are not, anywhere.
    fn guess(&self, key: HashKey) -> usize {
        (((key.0 >> 64) * self.open.len() as u128) >> 64) as usize
    }

    /// Brings what [`ShardMap::locate`] needs for these into the processor's cache. Of ten thousand shards hardly any is
    /// there: asked for one after the other without using them, they come at the same time.
    pub(crate) fn fetch_places(&self, keys: &[HashKey]) {
        for key in keys {
            black_box(self.open.get(self.guess(*key)).map(|open| open.index));
        }
    }

    /// As [`ShardMap::fetch_places`], for [`ShardMap::get`].
    pub(crate) fn fetch(&self, indexes: impl Iterator<Item = ShardIndex>) {
        for index in indexes {
            black_box(self.get(index).map(|shard| shard.created));
        }
    }

    /// Every listed shard, by index.
    pub(crate) fn all(&self) -> &[Shard] {
        &self.all
    }

    /// The open shards, by hash key.
    pub(crate) fn open(&self) -> impl ExactSizeIterator<Item = &Shard> + DoubleEndedIterator {
        self.open.iter().map(|one| &self.all[one.place as usize])
    }

    /// Whether the open shards cover the hash space.
    pub(crate) fn covers_all(&self) -> bool {
        self.covers_all
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

/// Whether these ranges, in order, leave nothing out.
fn cover_all(ranges: impl Iterator<Item = HashKeyRange>) -> bool {
    let mut next = Some(HashKey::MIN.0);
    for range in ranges {
        if next != Some(range.start.0) {
            return false;
        }
        next = range.end.0.checked_add(1);
    }
    next.is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        let closed = Some(Closed { at: Timestamp::from_seconds(1_700_000_100), end: 7, noted: None });
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
            assert_eq!(map().locate(HashKey(key)), Some(ShardIndex(expected)), "{key}");
        }
        assert_eq!(ShardMap::default().locate(HashKey(5)), None, "a stream that is being created");
    }

    proptest! {
        #[test]
        fn shards_are_found_however_the_space_is_cut(
            even in 1u32..300,
            cuts in prop::collection::btree_set(any::<u128>(), 0..20),
            narrow in prop::collection::btree_set(0u128..100, 0..20),
            keys in prop::collection::vec(any::<u128>(), 0..20),
            hole in any::<Option<prop::sample::Index>>(),
        ) {
            // Evenly, and then anywhere and closely.
            let starts = HashKeyRange::evenly(even).map(|range| range.start.0).chain(cuts).chain(narrow);
            let starts: Vec<u128> = starts.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let ends = starts[1..].iter().map(|start| start - 1).chain([u128::MAX]);
            let mut shards: Vec<Shard> =
                (0..).zip(starts.iter().zip(ends)).map(|(index, (start, end))| shard(index, *start, end)).collect();
            let edges: Vec<u128> =
                shards.iter().flat_map(|shard| [shard.range.start.0, shard.range.end.0]).collect();
            if let Some(hole) = hole {
                shards.remove(hole.index(shards.len()));
            }
            let map = ShardMap::new(shards.clone(), u32::MAX);
            for key in edges.into_iter().chain(keys) {
                let expected = shards.iter().find(|shard| shard.range.contains(HashKey(key)));
                prop_assert_eq!(map.locate(HashKey(key)), expected.map(|shard| shard.index), "{}", key);
            }
        }

        #[test]
        fn shards_are_found_by_their_index_whatever_is_missing(
            indexes in prop::collection::btree_set(prop_oneof![0u32..30, any::<u32>()], 0..30),
            asked in prop::collection::vec(any::<u32>(), 0..20),
        ) {
            let map = ShardMap::new(indexes.iter().map(|index| shard(*index, 0, 0)), u32::MAX);
            for index in asked.into_iter().chain(0..31).chain(indexes.iter().copied()) {
                let found = map.get(ShardIndex(index)).map(|shard| shard.index.0);
                prop_assert_eq!(found, indexes.contains(&index).then_some(index));
            }
        }
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
