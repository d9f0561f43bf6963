//! What only the journal in memory promises: its bound, its expiry, its knobs. What every journal promises is in
//! `conformance.rs`.

mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_journal::{
    Append, AppendError, Health, Journal, NotAppliedReason, Read, ReadAnswer, Record, Run, RunOutcome,
};
use thalweg_journal_memory::{Knobs, MemoryJournal, SlowCommits, UnknownOutcomes};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

use crate::world::{ManualClock, TokioSpawn};

const STREAM: StreamId = StreamId(1);
const SHARD: ShardKey = ShardKey { stream: STREAM, shard: ShardIndex(0) };

async fn open(clock: &ManualClock, knobs: Knobs) -> MemoryJournal {
    let journal = MemoryJournal::new(Arc::new(clock.clone()), knobs);
    journal.open_shards(STREAM, &[SHARD.shard]).await.expect("it takes writes");
    journal
}

fn one_record(data: &[u8]) -> Append {
    let mut bytes = Vec::new();
    Record { partition_key: Some("k"), explicit_hash_key: None, id: None, data }.encode(&mut bytes);
    Append { runs: vec![Run::new(SHARD, 1, &bytes)], bytes: Bytes::from(bytes) }
}

async fn read_all(journal: &MemoryJournal) -> ReadAnswer {
    let read =
        Read { shard: SHARD, from: 0, records_max: 1000, bytes_max: 1 << 20, not_before: Timestamp::ZERO };
    journal.read(read).await.expect("the shard exists")
}

async fn first_left(journal: &MemoryJournal) -> Option<Offset> {
    read_all(journal).await.runs.first().map(|run| run.first)
}

#[tokio::test]
async fn a_full_journal_throttles_until_something_goes() {
    let clock = ManualClock::new();
    let journal = open(&clock, Knobs { bytes_max: 10_000, ..Knobs::default() }).await;
    let mut placed = 0;
    let refused = loop {
        match journal.append(one_record(&[0; 1000])).await {
            Ok(_) => placed += 1,
            Err(error) => break error,
        }
    };
    assert!((5..10).contains(&placed), "1,000 bytes and overhead fit less than ten times, not {placed}");
    assert!(matches!(refused, AppendError::NotApplied(NotAppliedReason::Throttled(_))), "{refused}");
    assert!(matches!(journal.health(), Health::Throttled(_)));
    assert!(journal.bytes_held() <= 10_000);

    journal.trim(&[(SHARD, 1)]).await.expect("trims are taken by a full journal");
    assert_eq!(journal.health(), Health::Ready);
    journal.append(one_record(&[0; 1000])).await.expect("there is room again");

    journal.delete_stream(STREAM).await.expect("it takes writes");
    assert_eq!(journal.bytes_held(), 0, "everything was given back");
}

#[tokio::test]
async fn what_retention_does_not_cover_is_dropped() {
    let clock = ManualClock::new();
    let journal = open(&clock, Knobs::default()).await;
    for _ in 0..3 {
        journal.append(one_record(b"x")).await.expect("it takes writes");
        clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(first_left(&journal).await, Some(0), "nothing expires before a retention is told");

    journal.set_retention(STREAM, Duration::from_secs(2 * 3600));
    assert_eq!(first_left(&journal).await, Some(1), "the first is three hours old, the second two");
    assert_eq!(journal.tail(SHARD).expect("it exists").trimmed, 1);
    journal.set_retention(STREAM, Duration::from_secs(24 * 3600));
    assert_eq!(first_left(&journal).await, Some(1), "a longer retention brings nothing back");

    let held = journal.bytes_held();
    clock.advance(Duration::from_secs(22 * 3600 + 1));
    assert_eq!(first_left(&journal).await, Some(2), "time alone expires, too");
    assert!(journal.bytes_held() < held, "and frees memory");
    clock.advance(Duration::from_secs(24 * 3600));
    journal.expire();
    assert_eq!(journal.bytes_held(), 0);
    assert_eq!(journal.tail(SHARD).expect("it exists").next, 3, "offsets go on");
}

#[tokio::test]
async fn a_wall_clock_that_leaps_ahead_drops_nothing_for_an_hour() {
    let clock = ManualClock::new();
    let journal = open(&clock, Knobs::default()).await;
    journal.set_retention(STREAM, Duration::from_secs(24 * 3600));
    journal.append(one_record(b"x")).await.expect("it takes writes");
    clock.step_wall(48 * 3600 * 1000);
    clock.advance(Duration::from_secs(59 * 60));
    assert_eq!(first_left(&journal).await, Some(0), "the leap may be a mistake");
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(first_left(&journal).await, None, "it stayed: it is the time");
}

#[tokio::test]
async fn slow_commits_are_invisible_until_their_time_has_passed() {
    let clock = ManualClock::new();
    let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(TokioSpawn) };
    let journal =
        MemoryJournal::new(Arc::new(clock.clone()), Knobs { slow_commits: Some(slow), ..Knobs::default() });
    {
        let opened = journal.open_shards(STREAM, &[SHARD.shard]);
        let (opened, ()) = tokio::join!(opened, clock.advance_when_slept_on(Duration::from_millis(100)));
        opened.expect("it takes writes");
    }
    let first = journal.append(one_record(b"first"));
    let second = journal.append(one_record(b"second"));
    clock.until_slept_on().await;
    clock.advance(Duration::from_millis(99));
    tokio::task::yield_now().await;
    assert_eq!(journal.tail(SHARD).expect("it exists").next, 0, "a millisecond is missing");
    clock.advance(Duration::from_millis(1));
    let first = first.await.expect("it takes writes");
    let second = second.await.expect("it takes writes");
    assert!(matches!(first[..], [RunOutcome::Placed { first: 0, .. }]), "{first:?}");
    assert!(matches!(second[..], [RunOutcome::Placed { first: 1, .. }]), "{second:?}");
    assert_eq!(journal.tail(SHARD).expect("it exists").next, 2);
}

#[tokio::test]
async fn a_fenced_journal_refuses_what_is_queued_and_all_that_comes() {
    let clock = ManualClock::new();
    let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(TokioSpawn) };
    let journal =
        MemoryJournal::new(Arc::new(clock.clone()), Knobs { slow_commits: Some(slow), ..Knobs::default() });
    {
        let opened = journal.open_shards(STREAM, &[SHARD.shard]);
        let (opened, ()) = tokio::join!(opened, clock.advance_when_slept_on(Duration::from_millis(100)));
        opened.expect("it takes writes");
    }
    let queued = journal.append(one_record(b"queued"));
    clock.until_slept_on().await;
    journal.fence();
    clock.advance(Duration::from_millis(100));
    assert_eq!(queued.await, Err(AppendError::Fenced));
    assert_eq!(journal.tail(SHARD).expect("reads go on").next, 0);
    let late = journal.append(one_record(b"late"));
    clock.advance_when_slept_on(Duration::from_millis(100)).await;
    assert_eq!(late.await, Err(AppendError::Fenced));
}

#[tokio::test]
async fn unknown_outcomes_are_applied_or_lost_by_the_seed() {
    let clock = ManualClock::new();
    let unknown = UnknownOutcomes { seed: 7, appends_per_thousand: 1000, changes_per_thousand: 0 };
    let journal = open(&clock, Knobs { unknown_outcomes: Some(unknown), ..Knobs::default() }).await;
    for _ in 0..1000 {
        let error = journal.append(one_record(b"x")).await.expect_err("all outcomes are unknown");
        assert!(matches!(error, AppendError::OutcomeUnknown(_)), "{error}");
    }
    let applied = journal.tail(SHARD).expect("it exists").next;
    assert!((400..600).contains(&applied), "about half of them are there: {applied}");
}

#[tokio::test]
async fn dropping_an_engine_with_slow_commits_applies_what_was_queued() {
    let clock = ManualClock::new();
    let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(TokioSpawn) };
    let journal =
        MemoryJournal::new(Arc::new(clock.clone()), Knobs { slow_commits: Some(slow), ..Knobs::default() });
    let queued = journal.append(one_record(b"x"));
    drop(journal);
    clock.advance_when_slept_on(Duration::from_millis(100)).await;
    assert_eq!(queued.await, Ok(vec![RunOutcome::UnknownShard]));
}
