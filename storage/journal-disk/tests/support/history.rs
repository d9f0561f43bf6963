//! What was asked of a journal, what it answered, and whether what it holds after a crash follows from both.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_journal::record::Records;
use thalweg_journal::{
    Append, AppendError, Journal, NotAppliedReason, Read, ReadError, Record, Run, RunOutcome,
};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

/// An append and its answer; `None` when none came, or one that says nothing.
pub(crate) struct Attempt {
    pub(crate) append: Append,
    pub(crate) answer: Option<Result<Vec<RunOutcome>, AppendError>>,
}

/// What a shard must hold.
#[derive(Default)]
pub(crate) struct Expected {
    /// Records by offset: known from an answer, or found once after a crash.
    records: BTreeMap<Offset, (Timestamp, Bytes)>,
    /// No tail may be before this.
    next_min: Offset,
    /// No trim point may be before this…
    trimmed_min: Offset,
    /// …nor behind this.
    trimmed_max: Offset,
    sealed: bool,
    seal_asked: bool,
    /// Somebody asked to open it, and no answer said that it was.
    is_uncertain: bool,
    /// Somebody asked to forget it…
    forget_asked: bool,
    /// …and the answer was that it is gone.
    forgotten: bool,
}

/// Everything asked of a journal.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) shards: BTreeMap<ShardKey, Expected>,
    /// Deleted, with an answer.
    deleted: Vec<StreamId>,
    /// Deletion was asked for.
    delete_asked: Vec<StreamId>,
    /// How many shards were forgotten, with an answer.
    pub(crate) forgotten: usize,
    /// By stream, one more than the highest index that was to be opened.
    next_index: BTreeMap<StreamId, u32>,
    /// Since the last start.
    pub(crate) attempts: Vec<Attempt>,
    serial: u64,
}

impl History {
    /// An append of so many records of about so many bytes for each shard, unlike any other.
    pub(crate) fn append_for(&mut self, runs: &[(ShardKey, u32)], data_bytes: usize) -> Append {
        let mut bytes = Vec::new();
        let mut described = Vec::new();
        for &(shard, count) in runs {
            let start = bytes.len();
            for _ in 0..count {
                self.serial += 1;
                let mut data = self.serial.to_be_bytes().to_vec();
                data.resize(data_bytes.max(8), self.serial as u8);
                let key = format!("{}", self.serial % 7);
                Record { partition_key: Some(&key), explicit_hash_key: None, id: None, data: &data }
                    .encode(&mut bytes);
            }
            described.push(Run::new(shard, count, &bytes[start..]));
        }
        Append { runs: described, bytes: bytes.into() }
    }

    pub(crate) fn opened(&mut self, shard: ShardKey) {
        let next = self.next_index.entry(shard.stream).or_default();
        *next = (*next).max(shard.shard.0 + 1);
        self.shards.entry(shard).or_default().is_uncertain = false;
    }

    /// The next shard of a stream, which somebody is about to open.
    pub(crate) fn asked_open(&mut self, stream: StreamId) -> ShardKey {
        let next = self.next_index.entry(stream).or_default();
        let shard = ShardKey { stream, shard: ShardIndex(*next) };
        *next += 1;
        self.shards.entry(shard).or_default().is_uncertain = true;
        shard
    }

    pub(crate) fn asked_trim(&mut self, shard: ShardKey, before: Offset, answered: bool) {
        // A deletion may have come between.
        let Some(expected) = self.shards.get_mut(&shard) else { return };
        expected.trimmed_max = expected.trimmed_max.max(before);
        if answered {
            expected.trimmed_min = expected.trimmed_min.max(before);
        }
    }

    /// Retention may have taken everything so far.
    pub(crate) fn may_expire(&mut self, shard: ShardKey) {
        if let Some(expected) = self.shards.get_mut(&shard) {
            expected.trimmed_max = Offset::MAX;
        }
    }

    /// As [`History::may_expire`], for each shard of a stream.
    pub(crate) fn may_expire_all(&mut self, stream: StreamId) {
        let shards: Vec<_> = self.shards.keys().filter(|key| key.stream == stream).copied().collect();
        shards.into_iter().for_each(|key| self.may_expire(key));
    }

    pub(crate) fn asked_seal(&mut self, shard: ShardKey, end: Option<Offset>) {
        let Some(expected) = self.shards.get_mut(&shard) else { return };
        expected.seal_asked = true;
        if let Some(end) = end {
            expected.sealed = true;
            expected.next_min = expected.next_min.max(end);
        }
    }

    /// `answered`: whether it is gone.
    pub(crate) fn asked_forget(&mut self, shard: ShardKey, answered: bool) {
        self.forgotten += usize::from(answered);
        let Some(expected) = self.shards.get_mut(&shard) else { return };
        expected.forget_asked = true;
        expected.forgotten |= answered;
    }

    /// The shard of a stream that was opened last.
    pub(crate) fn newest(&self, stream: StreamId) -> Option<ShardKey> {
        self.shards.keys().rfind(|key| key.stream == stream).copied()
    }

    pub(crate) fn asked_delete(&mut self, stream: StreamId, answered: bool) {
        self.delete_asked.push(stream);
        if answered {
            self.deleted.push(stream);
        }
    }

    pub(crate) fn is_deleted(&self, stream: StreamId) -> bool {
        self.delete_asked.contains(&stream)
    }

    pub(crate) fn is_sealed(&self, shard: ShardKey) -> bool {
        self.shards[&shard].seal_asked
    }

    /// Compares all that the journal holds with what must and may be, and takes what it found as known from now on.
    pub(crate) async fn verify(&mut self, journal: &dyn Journal) {
        let attempts = std::mem::take(&mut self.attempts);
        self.know_answers(&attempts);
        // By record (each is unique): which one, of which run, of which attempt.
        let mut origins: BTreeMap<Bytes, (usize, usize, usize)> = BTreeMap::new();
        let mut places: Vec<Vec<Option<Offset>>> = Vec::new();
        for (index, attempt) in attempts.iter().enumerate() {
            for (run_index, (_, records)) in runs_of(&attempt.append).enumerate() {
                for (record_index, record) in records.into_iter().enumerate() {
                    origins.insert(record, (index, run_index, record_index));
                }
            }
            places.push(vec![None; attempt.append.runs.len()]);
        }
        let gone: Vec<StreamId> = self.gone(journal);
        self.shards.retain(|key, expected| {
            let is_there = journal.tail(*key).is_ok();
            assert!(!(expected.forgotten && is_there), "{key} was forgotten and is back");
            let may_be_gone = expected.is_uncertain || expected.forget_asked;
            expected.is_uncertain = false;
            !gone.contains(&key.stream) && (is_there || !may_be_gone)
        });
        for (key, _) in journal.shards() {
            assert!(self.shards.contains_key(&key), "{key} is there, and nobody opened it, or not again");
        }
        for (&key, expected) in &mut self.shards {
            let tail = journal.tail(key).unwrap_or_else(|error| panic!("{key} is there: {error}"));
            assert!(
                tail.next >= expected.next_min,
                "{key} ends at {} and had {}",
                tail.next,
                expected.next_min
            );
            assert!(
                (expected.trimmed_min..=expected.trimmed_max).contains(&tail.trimmed),
                "{key} is trimmed to {}, which must lie in {}..={}",
                tail.trimmed,
                expected.trimmed_min,
                expected.trimmed_max
            );
            assert!(!expected.sealed || tail.sealed, "a seal of {key} was answered");
            assert!(!tail.sealed || expected.seal_asked, "nobody asked to seal {key}");
            let found =
                read_all(journal, key).await.unwrap_or_else(|error| panic!("{key} can be read: {error}"));
            assert_eq!(
                found.len() as u64,
                tail.next - tail.trimmed,
                "{key} holds everything from its trim point on"
            );
            let mut rest = tail.trimmed..tail.next;
            while let Some(offset) = rest.next() {
                let (arrival, record) = &found[(offset - tail.trimmed) as usize];
                if let Some((known_arrival, known)) = expected.records.get(&offset) {
                    assert!(
                        record == known,
                        "the record at {offset} of {key} is the one that was there before"
                    );
                    assert_eq!(arrival, known_arrival, "the record at {offset} of {key} keeps its time");
                    continue;
                }
                // Not known: it belongs to an append that was not answered, with the whole of its run; only where
                // the trim point lies inside the run, its start is not seen.
                let Some(&(attempt, run, skipped)) = origins.get(record) else {
                    panic!("the record at {offset} of {key} was never appended");
                };
                assert!(skipped == 0 || offset == tail.trimmed, "the run at {offset} of {key} is whole");
                let (run_key, records) = runs_of(&attempts[attempt].append).nth(run).expect("found there");
                let records = &records[skipped..];
                assert_eq!(run_key, key, "a run is in its own shard");
                assert!(attempts[attempt].answer.is_none(), "an answered append is where it was answered");
                for (index, expected_record) in records.iter().enumerate() {
                    let at = (offset - tail.trimmed) as usize + index;
                    let (time, found) =
                        found.get(at).unwrap_or_else(|| panic!("the run at {offset} of {key} is whole"));
                    assert!(
                        found == expected_record && time == arrival,
                        "the run at {offset} of {key} is whole"
                    );
                    expected.records.insert(offset + index as u64, (*time, found.clone()));
                }
                assert_eq!(
                    places[attempt][run].replace(offset),
                    None,
                    "the run at {offset} of {key} is there once"
                );
                for _ in 1..records.len() {
                    rest.next();
                }
            }
            let mut last = Timestamp::ZERO;
            for (arrival, _) in &found {
                assert!(*arrival >= last, "arrival times of {key} do not decrease");
                last = *arrival;
            }
            expected.next_min = tail.next;
            expected.trimmed_min = tail.trimmed;
            expected.sealed |= tail.sealed;
        }
        for (attempt, places) in attempts.iter().zip(places) {
            if attempt.answer.is_some() {
                continue;
            }
            // All or nothing, except for runs that could not be applied or cannot be seen any more.
            let mut visible = Vec::new();
            for (run, place) in attempt.append.runs.iter().zip(places) {
                let Some(expected) = self.shards.get(&run.shard) else { continue };
                if !expected.seal_asked && expected.trimmed_max == 0 {
                    visible.push(place.is_some());
                }
            }
            assert!(
                visible.iter().all(|there| *there == visible[0]),
                "the runs of an append are durable together"
            );
        }
    }

    /// Takes in what was answered since the last start.
    fn know_answers(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            let outcomes = match &attempt.answer {
                Some(Ok(outcomes)) => outcomes,
                Some(Err(AppendError::NotApplied(_))) | None => continue,
                Some(Err(error)) => panic!("an answer that says nothing counts as none: {error}"),
            };
            for ((key, records), outcome) in runs_of(&attempt.append).zip(outcomes) {
                let RunOutcome::Placed { first, arrival } = *outcome else { continue };
                let Some(expected) = self.shards.get_mut(&key) else { continue };
                for (record, offset) in records.into_iter().zip(first..) {
                    let before = expected.records.insert(offset, (arrival, record));
                    assert!(before.is_none(), "offset {offset} of {key} was given twice");
                    expected.next_min = expected.next_min.max(offset + 1);
                }
            }
        }
    }

    /// The streams that are not there any more, all of which somebody asked to delete.
    fn gone(&mut self, journal: &dyn Journal) -> Vec<StreamId> {
        let there: Vec<StreamId> = journal.shards().iter().map(|(key, _)| key.stream).collect();
        let mut gone = Vec::new();
        for key in self.shards.keys() {
            if !there.contains(&key.stream) && !gone.contains(&key.stream) {
                assert!(self.delete_asked.contains(&key.stream), "nobody asked to delete {}", key.stream);
                gone.push(key.stream);
            }
        }
        for stream in &self.deleted {
            assert!(!there.contains(stream), "{stream} was deleted and is back");
        }
        self.deleted.extend(&gone);
        gone
    }
}

/// Every record from the trim point on, with its arrival, in several reads.
pub(crate) async fn read_all(
    journal: &dyn Journal,
    shard: ShardKey,
) -> Result<Vec<(Timestamp, Bytes)>, ReadError> {
    let mut read = Read {
        shard,
        from: 0,
        records_max: 50,
        bytes_max: 20_000,
        not_before: Timestamp::from_millis(i64::MIN),
    };
    let mut found = Vec::new();
    loop {
        let answer = journal.read(read).await?;
        for run in &answer.runs {
            assert!(run.first >= read.from, "a read never goes back");
            found.extend(records_of(&run.bytes).into_iter().map(|record| (run.arrival, record)));
        }
        assert!(answer.next >= read.from, "a read never goes back");
        let at_end = answer.next >= answer.tail.next;
        assert!(at_end || answer.next > read.from, "a read below the tail gets on");
        read.from = answer.next;
        if at_end {
            return Ok(found);
        }
    }
}

/// The records of a run, each as it is encoded.
pub(crate) fn records_of(run: &Bytes) -> Vec<Bytes> {
    let mut records = Records::new(run);
    let mut found = Vec::new();
    loop {
        let start = records.position();
        match records.next() {
            Some(record) => drop(record.expect("engines hand out checked runs")),
            None => return found,
        }
        found.push(run.slice(start..records.position()));
    }
}

/// The runs of an append with their records.
pub(crate) fn runs_of(append: &Append) -> impl Iterator<Item = (ShardKey, Vec<Bytes>)> {
    let mut start = 0;
    append.runs.iter().map(move |run| {
        let end = start + run.length as usize;
        let records = records_of(&append.bytes.slice(start..end));
        start = end;
        (run.shard, records)
    })
}

/// Whether an append may be tried again as it is.
pub(crate) fn is_throttled(error: &AppendError) -> bool {
    matches!(error, AppendError::NotApplied(NotAppliedReason::Throttled(_)))
}
