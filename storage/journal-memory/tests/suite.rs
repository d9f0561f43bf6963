//! The conformance suite's own test: engines that break one promise each, and the rule that must notice. They are
//! the journal in memory with one fault put in front of it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_journal::conformance::{Harness, Instance, Stop, run_all, run_matching};
use thalweg_journal::{
    Append, AppendError, BoxFuture, Commit, Health, Journal, Read, ReadAnswer, ReadError, RunOutcome, Tail,
    TailWatch,
};
use thalweg_journal_memory::{Knobs, MemoryJournal};
use thalweg_system::Clock;
use thalweg_system::simulated::ManualClock;
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    // Appends
    AppliesTwice,
    RefusesAllWhenOneIsRefused,
    TellsAnotherOffset,
    OpenEmptiesShards,
    GoesOnAfterShutdown,
    // Reads
    IgnoresByteLimit,
    IgnoresCountLimit,
    HoldsBackLargeRecords,
    IgnoresNotBefore,
    SkipsARecord,
    TellsArrivalLater,
    StopsShortOfTheTail,
    FindsTimeAfter,
    FindsTimeBefore,
    // Tails
    WatchEnds,
    // Finality
    SealDoesNothing,
    SealOrderIsSorted,
    SealsKnownBesideUnknown,
    TrimDoesNothing,
    TrimIsOneTooFar,
    ForgetDoesNothing,
    ForgetsWhatIsThere,
    ForgetsWhatIsOpen,
    DeleteDoesNothing,
    RetentionIsHalf,
    // Starts
    LosesEverything,
    LosesSeals,
    ReusesOffsetsAfterFullTrim,
    BringsDeletedBack,
    BringsForgottenBack,
    // Trouble
    AppliesHalfOfUnknown,
    AppliesUnknownTwice,
    IgnoresFence,
}

struct Faulty {
    inner: MemoryJournal,
    fault: Fault,
    unknown: bool,
}

struct FaultyHarness(Fault);

struct FaultyInstance {
    journal: Arc<Faulty>,
    clock: ManualClock,
}

impl FaultyHarness {
    fn start_with(&self, unknown: bool) -> Box<dyn Instance> {
        let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
        let inner = MemoryJournal::new(Arc::new(clock.clone()), Knobs::default());
        Box::new(FaultyInstance { journal: Arc::new(Faulty { inner, fault: self.0, unknown }), clock })
    }
}

impl Harness for FaultyHarness {
    fn start(&self) -> BoxFuture<'_, Box<dyn Instance>> {
        Box::pin(async { self.start_with(false) })
    }

    fn start_with_unknown_outcomes(&self, _seed: u64) -> BoxFuture<'_, Option<Box<dyn Instance>>> {
        Box::pin(async { Some(self.start_with(true)) })
    }

    fn record_bytes_max(&self) -> usize {
        100_000
    }
}

impl Instance for FaultyInstance {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    /// The engine that never stopped is the most durable one.
    fn reopen(&mut self, _after: Stop) -> BoxFuture<'_, bool> {
        Box::pin(async {
            let inner = &self.journal.inner;
            match self.journal.fault {
                Fault::LosesEverything => {
                    let inner = MemoryJournal::new(Arc::new(self.clock.clone()), Knobs::default());
                    let (fault, unknown) = (self.journal.fault, self.journal.unknown);
                    self.journal = Arc::new(Faulty { inner, fault, unknown });
                }
                Fault::LosesSeals => {
                    for (key, _) in inner.shards().into_iter().filter(|(_, tail)| tail.sealed) {
                        // What was sealed comes back open, with as many records.
                        copy_unsealed(inner, key).await;
                    }
                }
                Fault::ReusesOffsetsAfterFullTrim => {
                    let shards = inner.shards();
                    if shards.iter().all(|(_, tail)| tail.trimmed == tail.next) {
                        for (key, _) in &shards {
                            inner.delete_stream(key.stream).await.expect("it takes writes");
                        }
                        for (key, _) in &shards {
                            inner.open_shards(key.stream, &[key.shard]).await.expect("it takes writes");
                        }
                    }
                }
                Fault::BringsForgottenBack => {
                    let of_stream = |key: &ShardKey| key.stream == StreamId(1);
                    let last = inner.shards().into_iter().map(|(key, _)| key).rfind(of_stream);
                    if let Some(last) = last {
                        copy_unsealed(inner, last).await;
                    }
                    inner.open_shards(StreamId(1), &[ShardIndex(0)]).await.expect("it takes writes");
                }
                Fault::BringsDeletedBack => {
                    inner.open_shards(StreamId(1), &[ShardIndex(0)]).await.expect("it takes writes");
                }
                _ => {}
            }
            true
        })
    }

    fn advance(&self, by: Duration) -> bool {
        self.clock.advance(by);
        true
    }

    fn step_wall(&self, millis: i64) -> bool {
        self.clock.set_wall(Timestamp::from_millis(self.clock.wall().as_millis() + millis));
        true
    }

    fn fence(&self) -> bool {
        if self.journal.fault != Fault::IgnoresFence {
            self.journal.inner.fence();
        }
        true
    }
}

/// Replaces the whole stream of a shard by copies that are open.
async fn copy_unsealed(journal: &MemoryJournal, sealed: ShardKey) {
    let keys: Vec<_> =
        journal.shards().into_iter().map(|(key, _)| key).filter(|key| key.stream == sealed.stream).collect();
    let mut copies = Vec::new();
    for &key in &keys {
        copies.push((key, journal.read(everything(key)).await.expect("it exists").runs));
    }
    journal.delete_stream(sealed.stream).await.expect("it takes writes");
    for (key, runs) in copies {
        journal.open_shards(key.stream, &[key.shard]).await.expect("it takes writes");
        for run in runs {
            let copy = thalweg_journal::Run::new(key, run.count, &run.bytes);
            let append = Append { runs: vec![copy], bytes: run.bytes };
            journal.append(append).await.expect("it takes writes");
        }
    }
}

fn everything(shard: ShardKey) -> Read {
    Read { shard, from: 0, records_max: u32::MAX, bytes_max: usize::MAX, not_before: Timestamp::ZERO }
}

fn first_half(append: &Append) -> Append {
    let runs = append.runs[..append.runs.len().div_ceil(2)].to_vec();
    let length: usize = runs.iter().map(|run| run.length as usize).sum();
    Append { runs, bytes: append.bytes.slice(..length) }
}

impl Journal for Faulty {
    fn open_shards_after(
        &self,
        stream: StreamId,
        shards: &[(ShardIndex, Timestamp)],
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            if self.fault == Fault::OpenEmptiesShards {
                self.inner.delete_stream(stream).await?;
            }
            self.inner.open_shards_after(stream, &shards).await
        })
    }

    fn append(&self, append: Append) -> Commit {
        let unknown = || Commit::ready(Err(AppendError::OutcomeUnknown("by the test".to_owned())));
        // Of an engine with unknown outcomes: every one that holds more than one record.
        if self.unknown && append.runs.iter().map(|run| run.count).sum::<u32>() > 1 {
            match self.fault {
                Fault::AppliesHalfOfUnknown => drop(self.inner.append(first_half(&append))),
                Fault::AppliesUnknownTwice => {
                    drop(self.inner.append(append.clone()));
                    drop(self.inner.append(append));
                }
                _ => drop(self.inner.append(append)),
            }
            return unknown();
        }
        match self.fault {
            Fault::AppliesTwice => {
                drop(self.inner.append(append.clone()));
                self.inner.append(append)
            }
            Fault::RefusesAllWhenOneIsRefused => {
                let refused = |shard| self.inner.tail(shard).map_or(true, |tail: Tail| tail.sealed);
                if append.runs.iter().any(|run| refused(run.shard)) {
                    return Commit::ready(Ok(vec![RunOutcome::ShardClosed; append.runs.len()]));
                }
                self.inner.append(append)
            }
            Fault::TellsAnotherOffset => {
                let outcomes = append
                    .runs
                    .iter()
                    .map(|run| match self.inner.tail(run.shard) {
                        Ok(tail) => RunOutcome::Placed { first: tail.next + 1, arrival: tail.last_arrival },
                        Err(_) => RunOutcome::UnknownShard,
                    })
                    .collect();
                drop(self.inner.append(append));
                Commit::ready(Ok(outcomes))
            }
            _ => self.inner.append(append),
        }
    }

    fn seal(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<Vec<Offset>, AppendError>> {
        let mut shards = shards.to_vec();
        Box::pin(async move {
            match self.fault {
                Fault::SealDoesNothing => {
                    Ok(shards.iter().map(|&key| self.inner.tail(key).expect("it exists").next).collect())
                }
                Fault::SealsKnownBesideUnknown => {
                    let mut ends = Vec::new();
                    for key in shards {
                        ends.extend(self.inner.seal(&[key]).await?);
                    }
                    Ok(ends)
                }
                Fault::SealOrderIsSorted => {
                    shards.sort_unstable();
                    self.inner.seal(&shards).await
                }
                _ => self.inner.seal(&shards).await,
            }
        })
    }

    fn trim(&self, shards: &[(ShardKey, Offset)]) -> BoxFuture<'_, Result<(), AppendError>> {
        let mut shards = shards.to_vec();
        Box::pin(async move {
            match self.fault {
                Fault::TrimDoesNothing => return Ok(()),
                Fault::TrimIsOneTooFar => shards.iter_mut().for_each(|(_, before)| *before += 1),
                _ => {}
            }
            self.inner.trim(&shards).await
        })
    }

    fn forget_shards(&self, shards: &[ShardKey]) -> BoxFuture<'_, Result<(), AppendError>> {
        let shards = shards.to_vec();
        Box::pin(async move {
            match self.fault {
                Fault::ForgetDoesNothing => return Ok(()),
                Fault::ForgetsWhatIsThere => {
                    let ends: Vec<_> = shards.iter().map(|&key| (key, Offset::MAX)).collect();
                    self.inner.trim(&ends).await?;
                }
                Fault::ForgetsWhatIsOpen => {
                    let open: Vec<_> =
                        shards.iter().filter(|key| self.inner.tail(**key).is_ok()).copied().collect();
                    self.inner.seal(&open).await?;
                }
                _ => {}
            }
            self.inner.forget_shards(&shards).await
        })
    }

    fn delete_stream(&self, stream: StreamId) -> BoxFuture<'_, Result<(), AppendError>> {
        if self.fault == Fault::DeleteDoesNothing {
            return Box::pin(async { Ok(()) });
        }
        self.inner.delete_stream(stream)
    }

    fn set_retention(&self, stream: StreamId, retention: Duration) {
        let retention = if self.fault == Fault::RetentionIsHalf { retention / 2 } else { retention };
        self.inner.set_retention(stream, retention);
    }

    fn tail(&self, shard: ShardKey) -> Result<Tail, ReadError> {
        self.inner.tail(shard)
    }

    fn watch(&self, shard: ShardKey) -> Result<TailWatch, ReadError> {
        if self.fault == Fault::WatchEnds {
            return Ok(TailWatch::new(watch::Sender::new(self.inner.tail(shard)?).subscribe()));
        }
        self.inner.watch(shard)
    }

    fn read(&self, mut read: Read) -> BoxFuture<'_, Result<ReadAnswer, ReadError>> {
        let asked = read;
        match self.fault {
            Fault::IgnoresByteLimit => read.bytes_max = usize::MAX,
            Fault::IgnoresCountLimit => read.records_max = u32::MAX,
            Fault::IgnoresNotBefore => read.not_before = Timestamp::ZERO,
            Fault::SkipsARecord if read.from > 0 => read.from += 1,
            _ => {}
        }
        Box::pin(async move {
            let mut answer = self.inner.read(read).await?;
            match self.fault {
                Fault::HoldsBackLargeRecords => {
                    let first = answer.runs.first();
                    let payload = first
                        .map_or(0, |run| run.records().next().expect("views have records").1.payload_bytes());
                    if payload > asked.bytes_max {
                        (answer.runs, answer.next) = (Vec::new(), asked.from);
                    }
                }
                Fault::TellsArrivalLater => {
                    for run in &mut answer.runs {
                        run.arrival = run.arrival.plus(Duration::from_millis(1));
                    }
                }
                Fault::StopsShortOfTheTail if answer.next == answer.tail.next => {
                    answer.runs.pop();
                    answer.next = answer.runs.last().map_or(asked.from, thalweg_journal::RunView::end);
                }
                _ => {}
            }
            Ok(answer)
        })
    }

    fn is_in_memory(&self, shard: ShardKey, from: Offset) -> bool {
        self.inner.is_in_memory(shard, from)
    }

    fn find_time(&self, shard: ShardKey, at: Timestamp) -> BoxFuture<'_, Result<Offset, ReadError>> {
        let millis = match self.fault {
            Fault::FindsTimeAfter => at.as_millis().saturating_add(1),
            Fault::FindsTimeBefore => at.as_millis().saturating_sub(1),
            _ => at.as_millis(),
        };
        self.inner.find_time(shard, Timestamp::from_millis(millis))
    }

    fn identity(&self) -> u64 {
        self.inner.identity()
    }

    fn shards(&self) -> Vec<(ShardKey, Tail)> {
        self.inner.shards()
    }

    fn doubts_clock(&self) -> bool {
        self.inner.doubts_clock()
    }

    fn expiry_time(&self, wall: Timestamp) -> Timestamp {
        self.inner.expiry_time(wall)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        if self.fault == Fault::GoesOnAfterShutdown {
            return Box::pin(async {});
        }
        self.inner.shutdown()
    }
}

/// The rule must be broken by the fault, and be named.
async fn check(fault: Fault, rule: &'static str) {
    let run = tokio::spawn(async move { run_matching(&FaultyHarness(fault), rule).await });
    let panic = run.await.expect_err(&format!("{rule} does not notice {fault:?}")).into_panic();
    let message = panic.downcast_ref::<String>().expect("the suite says what is broken");
    assert!(message.contains(rule), "{fault:?}: {message}");
}

#[tokio::test]
async fn every_fault_is_noticed() {
    for (fault, rule) in [
        (Fault::AppliesTwice, "offsets_are_dense_and_runs_stay_together"),
        (Fault::AppliesTwice, "concurrent_appends_get_dense_unique_offsets"),
        (Fault::TellsAnotherOffset, "offsets_are_dense_and_runs_stay_together"),
        (Fault::TellsAnotherOffset, "concurrent_appends_get_dense_unique_offsets"),
        (Fault::RefusesAllWhenOneIsRefused, "a_run_for_a_sealed_shard_is_refused_alone"),
        (Fault::RefusesAllWhenOneIsRefused, "a_run_for_an_unknown_shard_is_refused_alone"),
        (Fault::OpenEmptiesShards, "opening_shards_again_changes_nothing"),
        (Fault::GoesOnAfterShutdown, "after_shutdown_nothing_is_applied"),
        (Fault::IgnoresByteLimit, "a_byte_limit_is_kept"),
        (Fault::IgnoresCountLimit, "a_count_limit_cuts_inside_runs"),
        (Fault::HoldsBackLargeRecords, "a_large_record_comes_whole"),
        (Fault::IgnoresNotBefore, "records_before_the_time_asked_for"),
        (Fault::SkipsARecord, "a_count_limit_cuts_inside_runs"),
        (Fault::TellsArrivalLater, "offsets_are_dense_and_runs_stay_together"),
        (Fault::StopsShortOfTheTail, "the_runs_of_an_append_each_go_to_their_shard"),
        (Fault::StopsShortOfTheTail, "a_follower_sees_every_record_once"),
        (Fault::FindsTimeAfter, "find_time_is_exact"),
        (Fault::FindsTimeBefore, "find_time_is_exact"),
        (Fault::WatchEnds, "nothing_is_missed_between_current_and_changed"),
        (Fault::WatchEnds, "a_seal_wakes_watchers"),
        (Fault::WatchEnds, "a_trim_wakes_watchers"),
        (Fault::SealDoesNothing, "a_seal_is_final"),
        (Fault::SealDoesNothing, "a_seal_that_races_with_appends"),
        (Fault::SealOrderIsSorted, "a_seal_is_final"),
        (Fault::SealsKnownBesideUnknown, "a_seal_with_an_unknown_shard_seals_none"),
        (Fault::TrimDoesNothing, "trimming_only_goes_forward"),
        (Fault::TrimDoesNothing, "a_read_below_the_trim_point"),
        (Fault::TrimIsOneTooFar, "trimming_only_goes_forward"),
        (Fault::ForgetDoesNothing, "a_forgotten_shard_is_gone"),
        (Fault::ForgetsWhatIsThere, "a_forgotten_shard_is_gone"),
        (Fault::ForgetsWhatIsOpen, "a_forgotten_shard_is_gone"),
        (Fault::BringsForgottenBack, "a_forgotten_shard_stays_forgotten"),
        (Fault::DeleteDoesNothing, "a_deleted_stream_is_gone"),
        (Fault::DeleteDoesNothing, "what_is_not_there_is_an_unknown_shard"),
        (Fault::RetentionIsHalf, "retention_takes_nothing_too_early"),
        (Fault::LosesEverything, "what_was_answered_survives_a_clean_stop"),
        (Fault::LosesEverything, "what_was_answered_survives_a_crash"),
        (Fault::LosesEverything, "many_starts_lose_nothing"),
        (Fault::LosesSeals, "what_was_answered_survives_a_crash"),
        (Fault::ReusesOffsetsAfterFullTrim, "offsets_are_never_reused_after_a_full_trim"),
        (Fault::BringsDeletedBack, "a_deleted_stream_stays_deleted"),
        (Fault::AppliesTwice, "unanswered_appends_are_there_whole"),
        (Fault::AppliesHalfOfUnknown, "an_unknown_outcome_is_there_whole"),
        (Fault::AppliesUnknownTwice, "an_unknown_outcome_is_there_whole"),
        (Fault::IgnoresFence, "a_fenced_journal_applies_nothing"),
        (Fault::LosesEverything, "random_operations_and_starts_match_the_model"),
        (Fault::SkipsARecord, "random_operations_match_the_model"),
        (Fault::FindsTimeBefore, "random_operations_match_the_model"),
    ] {
        check(fault, rule).await;
    }
}

#[tokio::test]
async fn without_a_fault_nothing_is_noticed_and_nothing_skipped() {
    let report = run_all(&FaultyHarness(Fault::None)).await;
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
}
