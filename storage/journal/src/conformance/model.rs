//! What an engine must hold, kept in the simplest way, and the comparisons with what it answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_types::{Offset, ShardKey, StreamId, Timestamp};

use crate::record::Records;
use crate::{Append, Read, ReadAnswer, RunOutcome, Tail};

/// All shards that exist.
#[derive(Default)]
pub(super) struct Model {
    pub(super) shards: BTreeMap<ShardKey, ModelShard>,
    /// No shards before these indexes are made.
    pub(super) forgotten_before: BTreeMap<StreamId, u32>,
}

/// A shard: its records at the index that is their offset, the trimmed ones included.
#[derive(Default)]
pub(super) struct ModelShard {
    pub(super) records: Vec<ModelRecord>,
    pub(super) trimmed: Offset,
    pub(super) sealed: bool,
    /// What it was opened with.
    pub(super) not_before: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelRecord {
    pub(super) arrival: Timestamp,
    pub(super) encoded: Bytes,
}

/// An append and its answer; `None` when it got none, or one that says nothing.
pub(super) struct Attempt {
    pub(super) append: Append,
    pub(super) outcomes: Option<Vec<RunOutcome>>,
}

impl ModelShard {
    pub(super) fn next(&self) -> Offset {
        self.records.len() as Offset
    }

    pub(super) fn tail(&self) -> Tail {
        Tail {
            next: self.next(),
            last_arrival: self.records.last().map_or(self.not_before, |record| record.arrival),
            sealed: self.sealed,
            trimmed: self.trimmed,
            deleted: false,
        }
    }

    pub(super) fn find_time(&self, at: Timestamp) -> Offset {
        let first = self.records.partition_point(|record| record.arrival < at) as Offset;
        first.max(self.trimmed)
    }

    fn slice(&self, from: Offset, to: Offset) -> &[ModelRecord] {
        let index = |offset| usize::try_from(offset).expect("tests write few records");
        &self.records[index(from)..index(to)]
    }
}

impl Model {
    pub(super) fn shard(&self, key: ShardKey) -> &ModelShard {
        self.shards.get(&key).expect("rules ask for shards that they opened")
    }

    pub(super) fn shard_mut(&mut self, key: ShardKey) -> &mut ModelShard {
        self.shards.get_mut(&key).expect("rules ask for shards that they opened")
    }

    /// Whether it may be opened: it is there, or was not forgotten and has no lower index than one that was.
    pub(super) fn may_open(&self, key: ShardKey) -> bool {
        let before = self.forgotten_before.get(&key.stream).copied().unwrap_or(0);
        key.shard.0 >= before || self.shards.contains_key(&key)
    }

    /// Forgets a shard that is sealed and wholly trimmed.
    pub(super) fn forget(&mut self, key: ShardKey) {
        if self.shards.get(&key).is_some_and(|shard| shard.sealed && shard.trimmed == shard.next()) {
            self.shards.remove(&key);
            let before = self.forgotten_before.entry(key.stream).or_default();
            *before = (*before).max(key.shard.0 + 1);
        }
    }

    /// The shards that take records.
    pub(super) fn is_open(&self, key: ShardKey) -> bool {
        self.shards.get(&key).is_some_and(|shard| !shard.sealed)
    }

    pub(super) fn delete(&mut self, stream: StreamId) {
        self.shards.retain(|key, _| key.stream != stream);
    }

    pub(super) fn tails(&self) -> Vec<(ShardKey, Tail)> {
        self.shards.iter().map(|(&key, shard)| (key, shard.tail())).collect()
    }

    /// Compares the outcomes of an append with those that must be, and takes its records in.
    pub(super) fn take(&mut self, append: &Append, outcomes: &[RunOutcome]) {
        assert_eq!(outcomes.len(), append.runs.len(), "one outcome per run");
        for (key, records, outcome) in runs_of(append).zip(outcomes).map(|((key, r), o)| (key, r, *o)) {
            match self.shards.get_mut(&key) {
                None => assert_eq!(outcome, RunOutcome::UnknownShard, "{key} does not exist"),
                Some(shard) if shard.sealed => {
                    assert_eq!(outcome, RunOutcome::ShardClosed, "{key} is sealed")
                }
                Some(shard) => {
                    let RunOutcome::Placed { first, arrival } = outcome else {
                        panic!("{key} is open, but the run got {outcome:?}");
                    };
                    assert_eq!(first, shard.next(), "offsets of {key} are dense");
                    assert!(arrival >= shard.tail().last_arrival, "arrival times of {key} do not decrease");
                    shard.records.extend(records.into_iter().map(|encoded| ModelRecord { arrival, encoded }));
                }
            }
        }
    }

    /// Takes in what attempts left behind that were made at the same time or were not answered. `found` is what
    /// the engine holds of each shard past what the model knows. Every record must belong to a run of an attempt
    /// that is there whole and once; where the engine answered it must be as it said; where it did not, all
    /// runs of the append are there that could be, or none.
    pub(super) fn reconcile(&mut self, attempts: &[Attempt], found: &BTreeMap<ShardKey, Vec<ModelRecord>>) {
        // By the first record of a run (records are unique): which run of which attempt.
        let mut starts: BTreeMap<(ShardKey, Bytes), (usize, usize)> = BTreeMap::new();
        let mut places: Vec<Vec<Option<RunOutcome>>> = Vec::new();
        for (attempt_index, attempt) in attempts.iter().enumerate() {
            for (run_index, (key, records)) in runs_of(&attempt.append).enumerate() {
                let first = records.first().expect("runs have records").clone();
                let before = starts.insert((key, first), (attempt_index, run_index));
                assert!(before.is_none(), "the suite makes every record unique");
            }
            places.push(vec![None; attempt.append.runs.len()]);
        }
        for (&key, found) in found {
            let mut rest = &found[..];
            while let Some(first) = rest.first() {
                let offset = self.shard(key).next();
                let Some(&(attempt, run)) = starts.get(&(key, first.encoded.clone())) else {
                    panic!("the record at {offset} of {key} starts no run that was ever appended");
                };
                let records = runs_of(&attempts[attempt].append).nth(run).expect("it was found there").1;
                let arrival = first.arrival;
                let (taken, left) = rest.split_at(records.len().min(rest.len()));
                let expected: Vec<_> =
                    records.into_iter().map(|encoded| ModelRecord { arrival, encoded }).collect();
                assert!(
                    taken == expected,
                    "the run at {offset} of {key} is there whole, in order, with one time"
                );
                let before = places[attempt][run].replace(RunOutcome::Placed { first: offset, arrival });
                assert_eq!(before, None, "the run at {offset} of {key} is there once");
                let shard = self.shard_mut(key);
                assert!(arrival >= shard.tail().last_arrival, "arrival times of {key} do not decrease");
                shard.records.extend(expected);
                rest = left;
            }
        }
        for (attempt, places) in attempts.iter().zip(places) {
            match &attempt.outcomes {
                Some(outcomes) => {
                    for ((run, told), place) in attempt.append.runs.iter().zip(outcomes).zip(places) {
                        let told = Some(*told).filter(|told| matches!(told, RunOutcome::Placed { .. }));
                        assert_eq!(place, told, "a run for {} is where the answer said", run.shard);
                    }
                }
                None => {
                    let open = |run: &&crate::Run| self.is_open(run.shard);
                    let could_be = attempt.append.runs.iter().filter(open).count();
                    let there = places.iter().flatten().count();
                    assert!(
                        there == 0 || there >= could_be,
                        "an unanswered append is there whole or not at all, not with {there} of {could_be} runs"
                    );
                }
            }
        }
    }

    /// Compares an answer with the records that the read asked for.
    pub(super) fn check_read(&self, read: &Read, answer: &ReadAnswer) {
        let shard = self.shard(read.shard);
        let start = read.from.max(shard.find_time(read.not_before));
        assert_eq!(answer.tail, shard.tail(), "a read tells the tail");
        let mut next = start;
        for run in &answer.runs {
            assert_eq!(run.first, next, "the records are those after {start}");
            assert!(run.end() <= shard.next(), "there are only {} records", shard.next());
            let told: Vec<_> = records_of(&run.bytes)
                .into_iter()
                .map(|encoded| ModelRecord { arrival: run.arrival, encoded })
                .collect();
            assert!(told == shard.slice(run.first, run.end()), "the records at {next} are those appended");
            next = run.end();
        }
        assert!(answer.next <= next, "nothing is skipped: next is {}, not above {next}", answer.next);
    }
}

/// What any answer must look like, whatever the shard holds.
pub(super) fn check_shape(read: &Read, answer: &ReadAnswer) {
    let (mut records, mut payload) = (0, 0);
    let mut last: Option<&crate::RunView> = None;
    for run in &answer.runs {
        assert!(run.count > 0, "a run view has records");
        assert!(run.first >= read.from, "nothing comes from before {}", read.from);
        assert!(run.arrival >= read.not_before, "nothing comes from before the time asked for");
        if let Some(last) = last {
            assert_eq!(run.first, last.end(), "runs are neighbours");
            assert!(run.arrival >= last.arrival, "arrival times do not decrease");
        }
        assert_eq!(records_of(&run.bytes).len(), run.count as usize, "a run view has exactly its records");
        records += run.count;
        payload += run.records().map(|(_, record)| record.payload_bytes()).sum::<usize>();
        last = Some(run);
    }
    assert!(records <= read.records_max, "{records} records for at most {}", read.records_max);
    assert!(payload <= read.bytes_max || records == 1, "{payload} bytes for at most {}", read.bytes_max);
    assert!(answer.next >= read.from, "next is never before from");
    if let Some(last) = last {
        assert_eq!(answer.next, last.end(), "next is past what came");
    }
    if read.from < answer.tail.next {
        assert!(answer.next > read.from, "a read below the tail gets on");
        let left = read.from.max(answer.tail.trimmed) < answer.tail.next;
        assert!(records > 0 || !left || read.not_before > Timestamp::ZERO, "one record always comes");
    }
}

/// The runs of an append: shard and records.
fn runs_of(append: &Append) -> impl Iterator<Item = (ShardKey, Vec<Bytes>)> {
    let mut position = 0;
    append.runs.iter().map(move |run| {
        let end = position + run.length as usize;
        let records = records_of(&append.bytes.slice(position..end));
        position = end;
        (run.shard, records)
    })
}

/// The encodings of the records in a run's bytes, one by one.
pub(super) fn records_of(run: &Bytes) -> Vec<Bytes> {
    let mut records = Records::new(run);
    let mut encodings = Vec::new();
    let mut start = 0;
    while let Some(record) = records.next() {
        record.expect("a journal gives back well-formed records");
        encodings.push(run.slice(start..records.position()));
        start = records.position();
    }
    encodings
}
