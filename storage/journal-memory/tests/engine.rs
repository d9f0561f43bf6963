//! What only the journal in memory promises: its bound, its expiry, its knobs. What every journal promises is in
//! `conformance.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_journal::{
    Append, AppendError, Health, Journal, NotAppliedReason, Read, ReadAnswer, Record, Run, RunOutcome,
};
use thalweg_journal_memory::{Knobs, MemoryJournal, SlowCommits, UnknownOutcomes};
use thalweg_system::Clock;
use thalweg_system::simulated::{ManualClock, SimulatedSpawn};
use thalweg_types::{Offset, ShardIndex, ShardKey, StreamId, Timestamp};

const STREAM: StreamId = StreamId(1);
const SHARD: ShardKey = ShardKey { stream: STREAM, shard: ShardIndex(0) };

fn some_day() -> ManualClock {
    ManualClock::new(Timestamp::from_seconds(1_700_000_000))
}

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
    let clock = some_day();
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
    let clock = some_day();
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
    let clock = some_day();
    let journal = open(&clock, Knobs::default()).await;
    journal.set_retention(STREAM, Duration::from_secs(24 * 3600));
    journal.append(one_record(b"x")).await.expect("it takes writes");
    clock.set_wall(clock.wall().plus(Duration::from_secs(48 * 3600)));
    clock.advance(Duration::from_secs(59 * 60));
    assert_eq!(first_left(&journal).await, Some(0), "the leap may be a mistake");
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(first_left(&journal).await, None, "it stayed: it is the time");
}

#[tokio::test]
async fn what_follows_a_record_from_a_clock_that_was_ahead_expires_all_the_same() {
    let clock = some_day();
    let journal = open(&clock, Knobs::default()).await;
    journal.set_retention(STREAM, Duration::from_secs(24 * 3600));
    let wall = clock.wall();
    clock.set_wall(wall.plus(Duration::from_secs(3650 * 24 * 3600)));
    journal.append(one_record(b"ahead")).await.expect("it takes writes");
    clock.set_wall(wall);
    clock.advance(Duration::from_secs(3600));
    for _ in 0..40 {
        journal.append(one_record(b"x")).await.expect("it takes writes");
        clock.advance(Duration::from_secs(3600));
        // By both clocks the age of a record is known to the hour.
        let next = journal.tail(SHARD).expect("it exists").next;
        let left = next - first_left(&journal).await.expect("some are young");
        assert_eq!(left, next.min(25), "{next} were put");
    }
    clock.advance(Duration::from_secs(26 * 3600));
    assert_eq!(first_left(&journal).await, None);
}

/// A journal whose commits take 100 ms, and what runs them.
fn slow() -> (MemoryJournal, SimulatedSpawn) {
    let spawn = SimulatedSpawn::new(1, some_day());
    let slow = SlowCommits { delay: Duration::from_millis(100), spawn: Arc::new(spawn.clone()) };
    let knobs = Knobs { slow_commits: Some(slow), ..Knobs::default() };
    let journal = MemoryJournal::new(Arc::new(spawn.clock().clone()), knobs);
    spawn.block_on(journal.open_shards(STREAM, &[SHARD.shard])).expect("it takes writes");
    (journal, spawn)
}

fn pass(spawn: &SimulatedSpawn, millis: u64) {
    spawn.run_until_idle();
    spawn.clock().advance(Duration::from_millis(millis));
    spawn.run_until_idle();
}

#[test]
fn slow_commits_are_invisible_until_their_time_has_passed() {
    let (journal, spawn) = slow();
    let next = || journal.tail(SHARD).expect("it exists").next;
    let commits = [b"first", b"again"].map(|data| journal.append(one_record(data)));
    pass(&spawn, 60);
    // This one comes too late for the first commit.
    let late = journal.append(one_record(b"late"));
    pass(&spawn, 39);
    assert_eq!(next(), 0, "a millisecond is missing");
    pass(&spawn, 1);
    assert_eq!(next(), 2);
    for (commit, offset) in commits.into_iter().zip(0..) {
        let outcomes = spawn.block_on(commit).expect("it takes writes");
        assert!(
            matches!(outcomes[..], [RunOutcome::Placed { first, .. }] if first == offset),
            "{outcomes:?}"
        );
    }
    pass(&spawn, 99);
    assert_eq!(next(), 2);
    pass(&spawn, 1);
    assert_eq!(next(), 3);
    spawn.block_on(late).expect("it takes writes");
}

#[test]
fn a_fenced_journal_refuses_what_is_queued_and_all_that_comes() {
    let (journal, spawn) = slow();
    let queued = journal.append(one_record(b"queued"));
    pass(&spawn, 50);
    journal.fence();
    assert_eq!(spawn.block_on(queued), Err(AppendError::Fenced));
    assert_eq!(journal.tail(SHARD).expect("reads go on").next, 0);
    assert_eq!(spawn.block_on(journal.append(one_record(b"late"))), Err(AppendError::Fenced));
    assert!(matches!(journal.health(), Health::WritesStopped(_)));
}

#[test]
fn shutdown_waits_for_what_is_queued() {
    let (journal, spawn) = slow();
    let queued = journal.append(one_record(b"queued"));
    spawn.block_on(journal.shutdown());
    assert_eq!(journal.tail(SHARD).expect("reads go on").next, 1);
    spawn.block_on(queued).expect("it was queued before");
    let late = spawn.block_on(journal.append(one_record(b"late"))).expect_err("it was shut down");
    assert!(matches!(late, AppendError::NotApplied(NotAppliedReason::Stopped(_))), "{late}");
    spawn.block_on(journal.shutdown());
}

#[test]
fn dropping_an_engine_with_slow_commits_applies_what_was_queued() {
    let (journal, spawn) = slow();
    let queued = journal.append(one_record(b"x"));
    let mut watch = journal.watch(SHARD).expect("it exists");
    drop(journal);
    let outcomes = spawn.block_on(queued).expect("it was queued before");
    assert!(matches!(outcomes[..], [RunOutcome::Placed { first: 0, .. }]), "{outcomes:?}");
    assert_eq!(watch.current().next, 1);
    spawn.run_until_idle();
    assert!(spawn.block_on(watch.changed()).deleted, "the loop has ended and let the state go");
}

#[tokio::test]
async fn unknown_outcomes_are_applied_or_lost_by_the_seed() {
    let clock = some_day();
    let unknown = UnknownOutcomes { seed: 7, appends_per_thousand: 1000, changes_per_thousand: 0 };
    let journal = open(&clock, Knobs { unknown_outcomes: Some(unknown), ..Knobs::default() }).await;
    for _ in 0..1000 {
        let error = journal.append(one_record(b"x")).await.expect_err("all outcomes are unknown");
        assert!(matches!(error, AppendError::OutcomeUnknown(_)), "{error}");
    }
    let applied = journal.tail(SHARD).expect("it exists").next;
    assert!((400..600).contains(&applied), "about half of them are there: {applied}");
}
