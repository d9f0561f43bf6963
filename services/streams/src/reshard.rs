//! Which shards a split, a merge or a new shard count closes, and which it opens. Pure: it reads the shard map and
//! changes nothing. Carrying a plan out is in [`crate::transition`].
//!
//! A change is kept as what was asked for, not as its plan, so a plan must follow from the request and the shard
//! map alone: after a crash it is made a second time, when the journal may have sealed its parents already. Which
//! shards a kind of change closes must therefore stay what it is.
//!
//! UpdateShardCount, as AWS does it (the totals of shards ever made were recorded): up, every open shard is split
//! in its middle and neighbours are merged down to the target; down, neighbours are merged. Which neighbours is ours:
//! those that leave the ranges most even.

use thalweg_types::{HashKey, HashKeyRange, ShardIndex};

use crate::change::ChangeKind;
use crate::shard_map::{Shard, ShardMap};

/// One step: all of it happens at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Open shards that end.
    pub(crate) closing: Vec<ShardIndex>,
    /// Shards that begin; their indexes follow each other.
    pub(crate) opening: Vec<Birth>,
    /// What the step leaves to do.
    pub(crate) then: Option<ChangeKind>,
}

/// A shard to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Birth {
    pub(crate) index: ShardIndex,
    pub(crate) range: HashKeyRange,
    pub(crate) parent: ShardIndex,
    pub(crate) adjacent_parent: Option<ShardIndex>,
}

impl Birth {
    /// One parent of a split, two of a merge.
    pub(crate) fn parents(&self) -> impl Iterator<Item = ShardIndex> {
        [Some(self.parent), self.adjacent_parent].into_iter().flatten()
    }
}

/// The first step of UpdateShardCount from `open` shards to `target`; `None` when there is nothing to do.
pub(crate) fn shard_count_change(open: u32, target: u32) -> Option<ChangeKind> {
    match target.cmp(&open) {
        std::cmp::Ordering::Greater => Some(ChangeKind::SplitAll { target }),
        std::cmp::Ordering::Less => Some(ChangeKind::MergeDown { target }),
        std::cmp::Ordering::Equal => None,
    }
}

/// The next step of a change.
///
/// # Panics
/// When `kind` is not a reshard, or names shards that are not open: it was checked when it was accepted.
pub(crate) fn plan(shards: &ShardMap, kind: ChangeKind) -> Plan {
    let mut plan = Plan { closing: Vec::new(), opening: Vec::new(), then: None };
    let mut next = shards.next_index();
    match kind {
        ChangeKind::Split { shard, at } => plan.split(open_shard(shards, shard), at, &mut next),
        ChangeKind::Merge { lower, upper } => {
            plan.merge(open_shard(shards, lower), open_shard(shards, upper), &mut next);
        }
        ChangeKind::SplitAll { target } => {
            for shard in shards.open() {
                match middle(shard.range) {
                    Some(middle) => plan.split(shard, middle, &mut next),
                    None => debug_assert!(false, "a shard of one hash key cannot be split: checked before"),
                }
            }
            let open = shards.open_count() * 2;
            plan.then = (target < open).then_some(ChangeKind::MergeDown { target });
        }
        ChangeKind::MergeDown { target } => {
            let open: Vec<&Shard> = shards.open().collect();
            let merges = open.len().saturating_sub(target as usize);
            for place in pairs_to_merge(&open, merges) {
                plan.merge(open[place], open[place + 1], &mut next);
            }
        }
        ChangeKind::Create { .. } | ChangeKind::Settle | ChangeKind::Delete => {
            unreachable!("only reshards are planned")
        }
    }
    plan
}

impl Plan {
    fn split(&mut self, shard: &Shard, at: HashKey, next: &mut u32) {
        let lower = HashKeyRange { start: shard.range.start, end: HashKey(at.0 - 1) };
        let upper = HashKeyRange { start: at, end: shard.range.end };
        self.closing.push(shard.index);
        for range in [lower, upper] {
            self.opening.push(Birth {
                index: ShardIndex(*next),
                range,
                parent: shard.index,
                adjacent_parent: None,
            });
            *next += 1;
        }
    }

    fn merge(&mut self, lower: &Shard, upper: &Shard, next: &mut u32) {
        self.closing.extend([lower.index, upper.index]);
        self.opening.push(Birth {
            index: ShardIndex(*next),
            range: HashKeyRange { start: lower.range.start, end: upper.range.end },
            parent: lower.index,
            adjacent_parent: Some(upper.index),
        });
        *next += 1;
    }
}

fn open_shard(shards: &ShardMap, index: ShardIndex) -> &Shard {
    shards.get(index).filter(|shard| shard.is_open()).expect("checked when the change was accepted")
}

/// Where the upper half of a range begins; `None` when it has one key only.
pub(crate) fn middle(range: HashKeyRange) -> Option<HashKey> {
    let half = (range.end.0 - range.start.0) / 2;
    (range.end > range.start).then(|| HashKey(range.start.0 + half + 1))
}

/// Whether `upper` begins where `lower` ends.
pub(crate) fn are_adjacent(lower: &Shard, upper: &Shard) -> bool {
    lower.range.end.0.checked_add(1) == Some(upper.range.start.0)
}

/// `count` pairs of neighbours to merge, no shard in two of them: for each pair the place of its lower shard in
/// `open`, rising. The widest merged range is as narrow as it can be; among equals the lowest pairs are taken.
///
/// # Panics
/// When there are fewer than `2 * count` shards: the half-to-double rule was checked.
fn pairs_to_merge(open: &[&Shard], count: usize) -> Vec<usize> {
    assert!(open.len() >= 2 * count, "at most half of the shards go");
    // One less than the number of keys, so that the whole space fits.
    let width = |place: usize| open[place + 1].range.end.0 - open[place].range.start.0;
    let matched = |bound: u128| {
        let mut places = Vec::with_capacity(count);
        let mut place = 0;
        while place + 1 < open.len() {
            if width(place) <= bound {
                places.push(place);
                place += 1;
            }
            place += 1;
        }
        places
    };
    if count == 0 {
        return Vec::new();
    }
    let mut bounds: Vec<u128> = (0..open.len() - 1).map(width).collect();
    bounds.sort_unstable();
    bounds.dedup();
    // Taking each pair that fits, from below, gives the most pairs that a bound allows; more fit a wider bound.
    let narrowest = bounds.partition_point(|bound| matched(*bound).len() < count);
    let mut places = matched(bounds[narrowest]);
    places.sort_by_key(|place| (width(*place), *place));
    places.truncate(count);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_types::Timestamp;

    use super::*;
    use crate::shard_map::Closed;

    fn even(count: u32) -> ShardMap {
        let shards = HashKeyRange::evenly(count).zip(0..).map(|(range, index)| Shard {
            index: ShardIndex(index),
            range,
            created: Timestamp::from_seconds(1),
            opened: Timestamp::from_seconds(1),
            parent: None,
            adjacent_parent: None,
            closed: None,
        });
        ShardMap::new(shards, count)
    }

    /// The map after a step, as [`crate::transition`] makes it, without times.
    fn apply(shards: &ShardMap, plan: &Plan) -> ShardMap {
        let closed = Some(Closed { at: Timestamp::from_seconds(2), end: 0, noted: None });
        let mut all: Vec<Shard> = shards.all().to_vec();
        for shard in &mut all {
            if plan.closing.contains(&shard.index) {
                assert!(shard.is_open(), "only open shards close");
                shard.closed = closed;
            }
        }
        all.extend(plan.opening.iter().map(|birth| Shard {
            index: birth.index,
            range: birth.range,
            created: Timestamp::from_seconds(2),
            opened: Timestamp::from_seconds(2),
            parent: Some(birth.parent),
            adjacent_parent: birth.adjacent_parent,
            closed: None,
        }));
        let next = shards.next_index() + u32::try_from(plan.opening.len()).expect("small");
        ShardMap::new(all, next)
    }

    fn carry_out(shards: &ShardMap, first: Option<ChangeKind>) -> ShardMap {
        let (mut shards, mut kind) = (shards.clone(), first);
        while let Some(step) = kind {
            let plan = plan(&shards, step);
            shards = apply(&shards, &plan);
            kind = plan.then;
        }
        shards
    }

    #[track_caller]
    fn assert_covered(shards: &ShardMap) {
        let mut next = Some(0);
        for shard in shards.open() {
            assert_eq!(Some(shard.range.start.0), next, "no gap and no overlap before {:?}", shard.index);
            next = shard.range.end.0.checked_add(1);
        }
        assert_eq!(next, None, "the space ends with the last shard");
        let indexes: Vec<u32> = shards.all().iter().map(|shard| shard.index.0).collect();
        assert_eq!(indexes, (0..shards.next_index()).collect::<Vec<_>>(), "indexes are given once, in order");
    }

    #[test]
    fn totals_of_shards_ever_made_are_those_recorded_on_aws() {
        for (open, target, total) in
            [(2, 4, 6), (4, 5, 15), (10, 13, 37), (4, 2, 6), (5, 3, 7), (1, 2, 3), (3, 3, 3), (6, 5, 7)]
        {
            let after = carry_out(&even(open), shard_count_change(open, target));
            assert_covered(&after);
            assert_eq!(
                (after.open_count(), after.all().len()),
                (target, total),
                "open and total after {open} to {target}"
            );
        }
    }

    #[test]
    fn doubling_and_halving_keep_ranges_even() {
        for (open, target) in [(4, 8), (8, 4), (1, 2), (128, 64)] {
            let after = carry_out(&even(open), shard_count_change(open, target));
            let ranges: Vec<_> = after.open().map(|shard| shard.range).collect();
            assert_eq!(ranges, HashKeyRange::evenly(target).collect::<Vec<_>>(), "{open} to {target}");
        }
    }

    #[test]
    fn a_merge_names_both_parents_lower_first() {
        let shards = even(2);
        let plan = plan(&shards, ChangeKind::Merge { lower: ShardIndex(0), upper: ShardIndex(1) });
        let whole = HashKeyRange { start: HashKey::MIN, end: HashKey::MAX };
        let birth = Birth {
            index: ShardIndex(2),
            range: whole,
            parent: ShardIndex(0),
            adjacent_parent: Some(ShardIndex(1)),
        };
        assert_eq!(
            plan,
            Plan { closing: vec![ShardIndex(0), ShardIndex(1)], opening: vec![birth], then: None }
        );
    }

    #[test]
    fn a_split_gives_the_lower_part_the_lower_index() {
        let shards = even(1);
        let plan = plan(&shards, ChangeKind::Split { shard: ShardIndex(0), at: HashKey(10) });
        let ranges: Vec<_> = plan
            .opening
            .iter()
            .map(|birth| (birth.index.0, birth.range.start.0, birth.range.end.0))
            .collect();
        assert_eq!(ranges, [(1, 0, 9), (2, 10, u128::MAX)]);
    }

    #[test]
    fn ranges_have_a_middle_unless_they_are_one_key() {
        for (start, end, expected) in
            [(0, u128::MAX, Some(1 << 127)), (0, 1, Some(1)), (4, 8, Some(7)), (4, 7, Some(6)), (3, 3, None)]
        {
            let range = HashKeyRange { start: HashKey(start), end: HashKey(end) };
            assert_eq!(middle(range), expected.map(HashKey), "{start} to {end}");
        }
    }

    #[test]
    fn uneven_neighbours_are_merged_narrowest_first() {
        // Quarter, quarter, eighth, eighth, quarter: the eighths belong together.
        let eighth = 1u128 << 125;
        let cuts = [0, 2 * eighth, 4 * eighth, 5 * eighth, 6 * eighth];
        let shards = (0u32..).zip(cuts).map(|(index, start)| {
            let end = cuts.get(index as usize + 1).map_or(u128::MAX, |next| next - 1);
            Shard {
                index: ShardIndex(index),
                range: HashKeyRange { start: HashKey(start), end: HashKey(end) },
                ..even(1).all()[0]
            }
        });
        let shards = ShardMap::new(shards, 5);
        let plan = plan(&shards, ChangeKind::MergeDown { target: 4 });
        assert_eq!(plan.closing, [ShardIndex(2), ShardIndex(3)]);
    }

    proptest! {
        #[test]
        fn any_series_of_counts_covers_the_space(
            start in 1u32..20,
            factors in prop::collection::vec(50u32..=200, 1..6),
        ) {
            let mut shards = even(start);
            for percent in factors {
                let open = shards.open_count();
                let target = (open * percent / 100).clamp(open.div_ceil(2), open * 2);
                let planned = shard_count_change(open, target);
                prop_assert_eq!(planned, shard_count_change(open, target), "the same plan each time");
                shards = carry_out(&shards, planned);
                assert_covered(&shards);
                prop_assert_eq!(shards.open_count(), target);
            }
        }
    }

    #[test]
    fn ten_thousand_shards_are_planned_quickly_enough_to_test() {
        let shards = even(10_000);
        let split = plan(&shards, ChangeKind::SplitAll { target: 12_000 });
        assert_eq!((split.closing.len(), split.opening.len()), (10_000, 20_000));
    }
}
