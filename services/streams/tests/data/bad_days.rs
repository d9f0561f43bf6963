//! Journals on bad days: slow commits, unknown outcomes, another owner, no room. What is acknowledged is there, what
//! is not is there at most once, and clients are told which of both it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_journal_memory::{Knobs, MemoryJournal, SlowCommits, UnknownOutcomes};
use thalweg_model::kinesis::*;
use thalweg_system::simulated::ManualClock;
use thalweg_system::{BoxFuture, Spawn, TaskHandle};
use thalweg_types::Timestamp;

use crate::calls::{From, entry};
use crate::world::{ACCOUNT, START, World, assert_failure, call, settings, yield_often};

/// Runs the journal's loop on the test's runtime.
pub(crate) struct TokioSpawn;

impl Spawn for TokioSpawn {
    fn spawn(&self, _name: &str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let task = tokio::spawn(task);
        TaskHandle(Box::pin(async move { task.await.expect("the loop does not panic") }))
    }
}

pub(crate) const COMMIT: Duration = Duration::from_millis(100);

pub(crate) fn slow() -> Knobs {
    let slow_commits = Some(SlowCommits { delay: COMMIT, spawn: Arc::new(TokioSpawn) });
    Knobs { slow_commits, ..Knobs::default() }
}

/// A world over a journal with these knobs, and that journal.
pub(crate) async fn world_with(knobs: Knobs) -> (World, Arc<MemoryJournal>) {
    let clock = ManualClock::new(Timestamp::from_seconds(START));
    let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), knobs));
    let world = World::over(clock, Arc::clone(&journal) as _, Arc::new(MemoryCatalog::new()), settings());
    (world.await.expect("nothing is there yet"), journal)
}

/// Lets time pass whenever nobody can go on without, as long as the task lives.
pub(crate) fn pump(clock: &ManualClock) -> tokio::task::JoinHandle<()> {
    let clock = clock.clone();
    tokio::spawn(async move {
        loop {
            yield_often().await;
            if let Some(duration) = clock.until_next_wake() {
                clock.advance(duration.min(Duration::from_secs(1)));
            }
        }
    })
}

#[tokio::test]
async fn nothing_is_answered_or_seen_before_it_is_durable() {
    let (world, _) = world_with(slow()).await;
    let pump = pump(&world.clock);
    world.create("orders", 1).await;
    world.until_active("orders").await;
    let iterator = world.iterator("orders", "shardId-0", From::HORIZON).await;
    pump.abort();
    yield_often().await;

    let world = Arc::new(world);
    let put = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.put("orders", "k", b"data").await }
    });
    yield_often().await;
    assert!(!put.is_finished());
    assert_eq!(world.get(&iterator).await.records.len(), 0);
    world.clock.advance(COMMIT);
    put.await.expect("it ends").expect("it is taken");
    assert_eq!(world.get(&iterator).await.records.len(), 1);
}

#[tokio::test]
async fn a_put_whose_outcome_nobody_knows_is_stored_once_or_never() {
    for seed in 0..20 {
        println!("seed {seed}");
        let unknown = UnknownOutcomes { seed, appends_per_thousand: 300, changes_per_thousand: 0 };
        let (world, _) = world_with(Knobs { unknown_outcomes: Some(unknown), ..Knobs::default() }).await;
        world.create("orders", 2).await;
        world.until_active("orders").await;
        let mut acknowledged = BTreeMap::new();
        let mut failed = 0;
        for number in 0..40 {
            let data = format!("{number:03}");
            if number % 2 == 0 {
                match world.put("orders", &data, data.as_bytes()).await {
                    Ok(output) => drop(acknowledged.insert(data, output.sequence_number)),
                    Err(failure) => {
                        assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
                        failed += 1;
                    }
                }
            } else {
                // One journal call for both shards: all of it is known, or nothing.
                let records = ["a", "d"].map(|key| entry(key, format!("{data}{key}").as_bytes())).to_vec();
                match world.put_many("orders", records).await {
                    Ok(output) => {
                        for (record, key) in output.records.into_iter().zip(["a", "d"]) {
                            acknowledged
                                .insert(format!("{data}{key}"), record.sequence_number.expect("placed"));
                        }
                    }
                    Err(failure) => {
                        assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
                        failed += 1;
                    }
                }
            }
        }
        assert!(failed > 0, "the knob does what it says");
        let mut stored: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for shard in ["shardId-0", "shardId-1"] {
            for record in world.records_from("orders", shard, From::HORIZON).await {
                let data = String::from_utf8(record.data.to_vec()).expect("ours");
                stored.entry(data).or_default().push(record.sequence_number);
            }
        }
        for (data, number) in &acknowledged {
            assert_eq!(stored.get(data), Some(&vec![number.clone()]), "{data}");
        }
        assert!(stored.values().all(|numbers| numbers.len() == 1), "at most once");
    }
}

#[tokio::test]
async fn a_journal_that_another_one_owns_takes_nothing_and_can_be_read() {
    let (world, journal) = world_with(Knobs::default()).await;
    world.create("orders", 1).await;
    world.put("orders", "k", b"before").await.expect("taken");
    journal.fence();
    let failure = world.put("orders", "k", b"after").await.expect_err("another one owns it");
    assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
    let failure =
        world.put_many("orders", vec![entry("k", b"after")]).await.expect_err("another one owns it");
    assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await, ["before"]);
}

#[tokio::test]
async fn a_journal_without_room_throttles_the_whole_call() {
    let (world, _) = world_with(Knobs { bytes_max: 10_000, ..Knobs::default() }).await;
    world.create("orders", 1).await;
    let throttled = format!("Rate exceeded for stream orders under account {ACCOUNT}.");
    let large = vec![0; 20_000];
    let code = "ProvisionedThroughputExceededException";
    assert_failure(world.put("orders", "k", &large).await, code, &throttled);
    assert_failure(world.put_many("orders", vec![entry("k", &large)]).await, code, &throttled);
    world.put("orders", "k", b"small").await.expect("there is room for this");
}

#[tokio::test]
async fn a_stopped_journal_fails_puts() {
    let (world, _) = world_with(Knobs::default()).await;
    world.create("orders", 1).await;
    world.journal.shutdown().await;
    let failure = world.put("orders", "k", b"").await.expect_err("it is stopped");
    assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
}

#[tokio::test]
async fn a_caller_who_goes_away_changes_nothing_for_others() {
    let (world, _) = world_with(slow()).await;
    let pump = pump(&world.clock);
    world.create("orders", 1).await;
    world.until_active("orders").await;
    for number in 0..10 {
        let data = number.to_string();
        let request = call();
        let input = PutRecordInput {
            stream_name: Some("orders".to_owned()),
            partition_key: Some("k".to_owned()),
            data: data.clone().into(),
            ..PutRecordInput::default()
        };
        let put = world.streams.put_record(&request, input);
        if number % 2 == 0 {
            // Polled once, so that it is on its way, and then dropped.
            tokio::select! {
                biased;
                _ = put => panic!("commits are slow"),
                () = std::future::ready(()) => {}
            }
        } else {
            put.await.expect("taken");
        }
    }
    yield_often().await;
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(world.data_from("orders", "shardId-0", From::HORIZON).await, expected);
    pump.abort();
}
