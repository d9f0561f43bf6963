//! What a checkpoint says: the durable state as of one place in the log. Pure data and the rules of its change.
//!
//! The maintenance loop owns the manifest; recovery makes the first one of a run. Not here: its bytes
//! ([`crate::checkpoint`]).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::batch::{Entry, Kind, LogPoint};
use crate::segment::SegmentName;

/// Everything durable outside the ring, as of `through`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// Grows with every checkpoint; 0 before the first.
    pub(crate) number: u64,
    /// Every batch up to here has been taken in.
    pub(crate) through: LogPoint,
    /// The wall clock when this was made.
    pub(crate) wall: Timestamp,
    pub(crate) shards: BTreeMap<ShardKey, ShardRow>,
    pub(crate) streams: BTreeMap<StreamId, StreamRow>,
    /// Deleted streams, each with the batch that deleted it: kept until no slot holds their records.
    pub(crate) tombstones: BTreeMap<StreamId, u64>,
}

/// One shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardRow {
    pub(crate) next: Offset,
    /// Before the first record: the time that the shard was opened with.
    pub(crate) last_arrival: Timestamp,
    pub(crate) sealed: bool,
    pub(crate) trimmed: Offset,
}

impl ShardRow {
    /// A shard that was just opened, in which nothing arrives before this time.
    pub(crate) fn opened(not_before: Timestamp) -> Self {
        ShardRow { next: 0, last_arrival: not_before, sealed: false, trimmed: 0 }
    }

    /// Takes in records. `Err` when they do not follow from what was before.
    pub(crate) fn take_records(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let follows = entry.first == self.next && entry.arrival >= self.last_arrival;
        let next = self.next.checked_add(u64::from(entry.count));
        let Some(next) = next.filter(|_| !self.sealed && follows && entry.count > 0) else {
            return Err("records that do not follow the shard's last ones");
        };
        self.next = next;
        self.last_arrival = entry.arrival;
        Ok(())
    }
}

/// The segments of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StreamRow {
    /// The next segment's number; never used before.
    pub(crate) next_segment: u32,
    /// Shards with a lower index that do not exist were forgotten, or are never made. Segments may hold chunks of
    /// them, which mean nothing.
    pub(crate) forgotten_before: u32,
    /// By number. At most the last one is open.
    pub(crate) segments: BTreeMap<u32, SegmentRow>,
}

/// One segment: the valid part of its two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    /// 0 as drained; grows when the segment is rewritten with larger chunks.
    pub(crate) revision: u32,
    /// Takes further chunks.
    pub(crate) open: bool,
    pub(crate) chunks: u32,
    pub(crate) data_bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) first_arrival: Timestamp,
    pub(crate) last_arrival: Timestamp,
    /// Its latest arrival times were given by a clock that was ahead: of a closed segment, by when all of it had arrived in
    /// truth; of an open one, since when that is known. [`SegmentRow::compare_with_clock`] sets it.
    pub(crate) misdated: Option<Timestamp>,
}

impl SegmentRow {
    /// Takes no further chunks.
    pub(crate) fn close(&mut self) {
        self.open = false;
        // What came last may have come after that time.
        self.misdated = None;
    }

    /// Compares the arrival times with a clock that is believed. Those of a shard never go back, so that one record that
    /// arrives while the clock is years ahead gives its time to all that follow: by their arrival they would never
    /// expire. `leapt` is by how much the clock has leapt since the last look: that is no time in which the segment was
    /// misdated, as far as we know. `tolerance` is by how much a clock may be wrong; an open segment is closed once it has
    /// been misdated for `span`.
    pub(crate) fn compare_with_clock(
        &mut self,
        now: Timestamp,
        leapt: Duration,
        tolerance: Duration,
        span: Option<Duration>,
    ) {
        if self.last_arrival <= now.plus(tolerance) {
            self.misdated = None;
            return;
        }
        // Set back again, it is now that counts.
        let since = self.misdated.map_or(now, |since| since.plus(leapt).min(now));
        self.misdated = Some(since);
        if self.open && span.is_some_and(|span| since.plus(span) <= now) {
            self.close();
            self.misdated = Some(now);
        }
    }

    /// Whether everything in it arrived before `limit`.
    pub(crate) fn arrived_before(&self, limit: Timestamp) -> bool {
        let arrived_by = self.misdated.filter(|_| !self.open);
        self.last_arrival < limit || arrived_by.is_some_and(|by| by < limit)
    }
}

/// All shards that a stream can have.
pub(crate) fn shards_of(stream: StreamId) -> RangeInclusive<ShardKey> {
    ShardKey { stream, shard: ShardIndex(0) }..=ShardKey { stream, shard: ShardIndex(u32::MAX) }
}

impl Manifest {
    /// A journal's before its first batch.
    pub(crate) fn new() -> Self {
        Manifest {
            number: 0,
            through: LogPoint::ORIGIN,
            wall: Timestamp::ZERO,
            shards: BTreeMap::new(),
            streams: BTreeMap::new(),
            tombstones: BTreeMap::new(),
        }
    }

    /// Whether a segment counts, in this revision.
    pub(crate) fn names(&self, segment: SegmentName) -> bool {
        let row = self.streams.get(&segment.stream).and_then(|stream| stream.segments.get(&segment.number));
        row.is_some_and(|row| row.revision == segment.revision)
    }

    /// Whether a shard was forgotten: what segments hold of it means nothing.
    pub(crate) fn has_forgotten(&self, key: ShardKey) -> bool {
        let row = self.streams.get(&key.stream);
        row.is_some_and(|row| key.shard.0 < row.forgotten_before) && !self.shards.contains_key(&key)
    }

    /// Whether nobody reads records of a shard that end there: they were trimmed, or the shard was forgotten.
    pub(crate) fn is_gone(&self, key: ShardKey, end: Offset) -> bool {
        match self.shards.get(&key) {
            Some(shard) => end <= shard.trimmed,
            None => self.has_forgotten(key),
        }
    }

    /// Takes in what an entry of batch `position` does to the shards. Records themselves go into segments by other
    /// means. `Err` when the entry does not follow from what was before: the log is damaged or we have a bug.
    pub(crate) fn apply(&mut self, entry: &Entry, position: u64) -> Result<(), &'static str> {
        if entry.kind == Kind::Delete {
            let stream = entry.shard.stream;
            let keys: Vec<ShardKey> = self.shards.range(shards_of(stream)).map(|(&key, _)| key).collect();
            for key in keys {
                self.shards.remove(&key);
            }
            self.tombstones.insert(stream, position);
            return Ok(());
        }
        if entry.kind == Kind::Open {
            if self.has_forgotten(entry.shard) {
                return Err("a shard that was forgotten is opened");
            }
            return match self.shards.insert(entry.shard, ShardRow::opened(entry.not_before())) {
                None => Ok(()),
                Some(_) => Err("a shard is opened twice"),
            };
        }
        let Some(row) = self.shards.get_mut(&entry.shard) else {
            return Err("an entry for a shard that does not exist");
        };
        match entry.kind {
            Kind::Records => row.take_records(entry)?,
            Kind::Seal => {
                if entry.first != row.next {
                    return Err("a seal elsewhere than at the shard's end");
                }
                row.sealed = true;
            }
            Kind::Trim => {
                if entry.first > row.next {
                    return Err("a trim past the shard's end");
                }
                row.trimmed = row.trimmed.max(entry.first);
            }
            Kind::Forget => {
                // Its trim point may lie behind what readers saw: segments that are removed trim, too.
                if !row.sealed || entry.first != row.next {
                    return Err("a shard is forgotten that is not sealed, or elsewhere than at its end");
                }
                self.shards.remove(&entry.shard);
                let stream = self.streams.entry(entry.shard.stream).or_default();
                // The highest index there is, is never given.
                let behind = entry.shard.shard.0.saturating_add(1);
                stream.forgotten_before = stream.forgotten_before.max(behind);
            }
            Kind::Open | Kind::Delete => unreachable!("handled above"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardKey = ShardKey { stream: StreamId(1), shard: ShardIndex(2) };

    fn records(first: Offset, count: u32, arrival: i64) -> Entry {
        let arrival = Timestamp::from_millis(arrival);
        Entry { kind: Kind::Records, shard: SHARD, first, arrival, count, length: 9, checksum: 0 }
    }

    fn mark(kind: Kind, first: Offset) -> Entry {
        Entry::mark(kind, SHARD, first, Timestamp::ZERO)
    }

    #[track_caller]
    fn check_applies(entries: &[Entry], last: Result<(), &'static str>) {
        let mut manifest = Manifest::new();
        let (final_entry, before) = entries.split_last().expect("there is one");
        for entry in before {
            manifest.apply(entry, 1).expect("only the last may be wrong");
        }
        assert_eq!(manifest.apply(final_entry, 1), last);
    }

    #[test]
    fn entries_must_follow_one_another() {
        let open = mark(Kind::Open, 0);
        check_applies(&[open, records(0, 3, 5), records(3, 1, 5)], Ok(()));
        check_applies(&[open, open], Err("a shard is opened twice"));
        check_applies(&[records(0, 1, 5)], Err("an entry for a shard that does not exist"));
        let gap = Err("records that do not follow the shard's last ones");
        check_applies(&[open, records(0, 3, 5), records(4, 1, 5)], gap);
        check_applies(&[open, records(0, 3, 5), records(2, 1, 5)], gap);
        check_applies(&[open, records(0, 3, 5), records(3, 1, 4)], gap);
        check_applies(&[open, mark(Kind::Seal, 0), records(0, 1, 5)], gap);
        check_applies(&[open, mark(Kind::Seal, 0), mark(Kind::Seal, 0)], Ok(()));
        check_applies(&[open, mark(Kind::Seal, 1)], Err("a seal elsewhere than at the shard's end"));
        check_applies(&[open, records(0, 3, 5), mark(Kind::Trim, 3)], Ok(()));
        check_applies(&[open, mark(Kind::Trim, 1)], Err("a trim past the shard's end"));
        check_applies(&[open, mark(Kind::Delete, 0), open], Ok(()));
        let forget = |first| mark(Kind::Forget, first);
        check_applies(&[open, records(0, 3, 5), mark(Kind::Seal, 3), forget(3)], Ok(()));
        let too_early = Err("a shard is forgotten that is not sealed, or elsewhere than at its end");
        check_applies(&[open, forget(0)], too_early);
        check_applies(&[open, records(0, 3, 5), mark(Kind::Seal, 3), forget(0)], too_early);
        let sealed = mark(Kind::Seal, 0);
        let gone = Err("an entry for a shard that does not exist");
        check_applies(&[open, sealed, forget(0), sealed], gone);
        check_applies(&[open, sealed, forget(0), open], Err("a shard that was forgotten is opened"));
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> Timestamp {
        Timestamp::ZERO.plus(HOUR * hours)
    }

    fn segment(open: bool, last_arrival: Timestamp) -> SegmentRow {
        let (first_arrival, misdated) = (last_arrival, None);
        let (revision, chunks, data_bytes, index_bytes) = (0, 1, 1, 1);
        SegmentRow { revision, open, chunks, data_bytes, index_bytes, first_arrival, last_arrival, misdated }
    }

    /// Each look: hour, the hours that the clock has leapt since the one before, and by then what the segment says of
    /// itself: open, misdated.
    #[track_caller]
    fn check_dates(mut segment: SegmentRow, looks: &[(u32, u32, bool, Option<u32>)]) -> SegmentRow {
        for &(now, leapt, open, misdated) in looks {
            segment.compare_with_clock(at(now), HOUR * leapt, HOUR, Some(10 * HOUR));
            assert_eq!((segment.open, segment.misdated), (open, misdated.map(at)), "at {now}");
        }
        segment
    }

    #[test]
    fn a_segment_whose_times_are_ahead_of_the_clock_expires_by_when_that_was_seen() {
        let seen =
            check_dates(segment(false, at(1000)), &[(50, 0, false, Some(50)), (70, 0, false, Some(50))]);
        assert!(seen.arrived_before(at(51)) && !seen.arrived_before(at(50)));
        // An open one is closed in time, and what it got until then counts.
        let seen = check_dates(
            segment(true, at(1000)),
            &[(50, 0, true, Some(50)), (59, 0, true, Some(50)), (60, 0, false, Some(60))],
        );
        assert!(seen.arrived_before(at(61)) && !seen.arrived_before(at(60)));
        let seen = check_dates(segment(true, at(1000)), &[(50, 0, true, Some(50))]);
        assert!(!seen.arrived_before(at(999)), "more may come");
        // Closed by the drain, it is looked at again.
        let mut seen = check_dates(segment(true, at(1000)), &[(50, 0, true, Some(50))]);
        seen.close();
        check_dates(seen, &[(55, 0, false, Some(55))]);
    }

    #[test]
    fn a_segment_is_not_misdated_for_as_long_as_a_clock_leaps_nor_when_the_clock_was_wrong() {
        check_dates(segment(false, at(51)), &[(50, 0, false, None)]);
        check_dates(
            segment(false, at(1000)),
            &[
                (50, 0, false, Some(50)),
                (55, 0, false, Some(50)),
                (500, 440, false, Some(490)),
                (999, 0, false, None),
            ],
        );
        // Set back further.
        check_dates(segment(false, at(1000)), &[(50, 0, false, Some(50)), (20, 0, false, Some(20))]);
    }

    #[test]
    fn trimming_only_goes_forward() {
        let mut manifest = Manifest::new();
        for entry in [mark(Kind::Open, 0), records(0, 9, 1), mark(Kind::Trim, 5), mark(Kind::Trim, 2)] {
            manifest.apply(&entry, 1).expect("they follow one another");
        }
        assert_eq!(manifest.shards[&SHARD].trimmed, 5);
    }
}
