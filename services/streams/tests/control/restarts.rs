//! A crash at every step of every change that has more than one: the next start goes on, or nothing happened.

use std::sync::Arc;

use thalweg_api::kinesis::Kinesis;
use thalweg_catalog::memory::MemoryCatalog;
use thalweg_journal::Journal;
use thalweg_journal_memory::{Knobs, MemoryJournal, UnknownOutcomes};
use thalweg_model::kinesis::*;
use thalweg_shape::Failure;
use thalweg_streams::OpenError;
use thalweg_system::simulated::ManualClock;
use thalweg_types::{SequenceNumber, ShardIndex, StreamId, Timestamp};

use crate::faults::*;
use crate::world::*;

/// What is done while the engines end.
#[derive(Clone, Copy, Debug)]
enum Change {
    Create,
    Split,
    Merge,
    ScaleUp,
    ScaleDown,
    Delete,
    Recreate,
    Register,
    Deregister,
}

impl Change {
    async fn perform(self, world: &World) -> Result<(), Failure> {
        match self {
            Change::Create => world.try_create("new", 3).await,
            Change::Split => world.split("s", "shardId-0", "1000").await,
            Change::Merge => world.merge("s", "shardId-0", "shardId-1").await,
            Change::ScaleUp => world.update_shard_count("s", 5).await.map(drop),
            Change::ScaleDown => world.update_shard_count("s", 2).await.map(drop),
            Change::Delete => world.delete("s").await,
            Change::Recreate => {
                world.delete("s").await?;
                world.try_create("s", 1).await
            }
            Change::Register => world.register("s", "c").await.map(drop),
            Change::Deregister => {
                let consumer = world.register("s", "d").await?;
                world.deregister(&consumer.consumer_arn).await
            }
        }
    }

    /// How many shards are open, in stream "s" (and "new"), and how many consumers there are: what is allowed
    /// afterwards. The first is "nothing happened".
    fn outcomes(self) -> &'static [(Option<i32>, Option<i32>, Option<i32>)] {
        match self {
            Change::Create => &[(Some(4), None, Some(0)), (Some(4), Some(3), Some(0))],
            Change::Split => &[(Some(4), None, Some(0)), (Some(5), None, Some(0))],
            Change::Merge => &[(Some(4), None, Some(0)), (Some(3), None, Some(0))],
            Change::ScaleUp => &[(Some(4), None, Some(0)), (Some(5), None, Some(0))],
            Change::ScaleDown => &[(Some(4), None, Some(0)), (Some(2), None, Some(0))],
            Change::Delete => &[(Some(4), None, Some(0)), (None, None, None)],
            Change::Recreate => &[(Some(4), None, Some(0)), (None, None, None), (Some(1), None, Some(0))],
            Change::Register => &[(Some(4), None, Some(0)), (Some(4), None, Some(1))],
            Change::Deregister => &[(Some(4), None, Some(0)), (Some(4), None, Some(1))],
        }
    }
}

struct Engines {
    clock: ManualClock,
    journal: Arc<MemoryJournal>,
    catalog: Arc<MemoryCatalog>,
}

impl Engines {
    fn new(knobs: Knobs) -> Engines {
        let clock = ManualClock::new(Timestamp::from_seconds(START));
        let journal = Arc::new(MemoryJournal::new(Arc::new(clock.clone()), knobs));
        Engines { clock, journal, catalog: Arc::new(MemoryCatalog::new()) }
    }

    async fn open(&self) -> World {
        let (clock, journal, catalog) = (self.clock.clone(), self.journal.clone(), self.catalog.clone());
        World::over(clock, journal, catalog, settings()).await.expect("healthy engines start")
    }

    async fn open_fused(&self, fuse: &Arc<Fuse>) -> Option<World> {
        let journal = FusedJournal { inner: self.journal.clone(), fuse: Arc::clone(fuse) };
        let catalog = FusedCatalog { inner: self.catalog.clone(), fuse: Arc::clone(fuse) };
        World::over(self.clock.clone(), Arc::new(journal), Arc::new(catalog), settings()).await.ok()
    }

    async fn open_fused_catalog(&self, fuse: &Arc<Fuse>) -> Result<World, OpenError> {
        let catalog = FusedCatalog { inner: self.catalog.clone(), fuse: Arc::clone(fuse) };
        World::over(self.clock.clone(), self.journal.clone(), Arc::new(catalog), settings()).await
    }
}

/// Journal and catalog agree, and every stream is ACTIVE and whole.
async fn assert_consistent(engines: &Engines, world: &World, context: &str) {
    let input = ListStreamsInput { limit: Some(10_000), ..ListStreamsInput::default() };
    let listed = world.streams.list_streams(&call(), input).await.expect("streams can be listed");
    let mut known = Vec::new();
    for name in &listed.stream_names {
        assert_eq!(world.status(name).await, Some(StreamStatus::Active), "{context}");
        let shards = world.shards(name).await;
        assert_whole(&shards);
        for shard in &shards {
            let index = ShardIndex::parse(&shard.shard_id).expect("well formed");
            let id = stream_id(engines, name).await;
            let tail = world.journal.tail(key(id.0, index.0)).expect("the journal has every listed shard");
            let closed = shard.sequence_number_range.ending_sequence_number.is_some();
            assert_eq!(tail.sealed, closed, "{context}: {} of {name}", shard.shard_id);
            known.push(id);
        }
    }
    for (shard, _) in world.journal.shards() {
        assert!(known.contains(&shard.stream), "{context}: {shard} is nobody's");
    }
}

async fn stream_id(engines: &Engines, name: &str) -> StreamId {
    use thalweg_catalog::Catalog;
    let rows = engines.catalog.scan(b"streams/stream/", None, 100).await.expect("the catalog answers");
    let quoted = format!("\"name\":\"{name}\"");
    let row = rows
        .iter()
        .find(|row| String::from_utf8_lossy(&row.value).contains(&quoted))
        .expect("every listed stream has a row");
    let digits = String::from_utf8_lossy(&row.key["streams/stream/".len()..]).into_owned();
    StreamId(u64::from_str_radix(&digits, 16).expect("hexadecimal"))
}

async fn outcome(world: &World) -> (Option<i32>, Option<i32>, Option<i32>) {
    let s = world.summary("s").await.ok();
    let new = world.summary("new").await.ok();
    (
        s.as_ref().map(|summary| summary.open_shard_count),
        new.map(|summary| summary.open_shard_count),
        s.and_then(|summary| summary.consumer_count),
    )
}

/// Ends the engines at each step of a change in turn, and starts again; and at each step of that start, too.
async fn check_every_step(change: Change) {
    let mut steps = 0;
    loop {
        let mut all_done = true;
        for last_is_applied in [false, true] {
            for steps_of_restart in 0..=steps {
                let context =
                    format!("{change:?}, {steps} steps, then {steps_of_restart}, {last_is_applied}");
                let engines = Engines::new(Knobs::default());
                let world = engines.open().await;
                world.create("s", 4).await;
                world.append(1, 0).await;
                drop(world);
                let fuse = Fuse::after(steps, last_is_applied);
                let world = engines.open_fused(&fuse).await.expect("nothing is to be done at the start");
                let answer = change.perform(&world).await;
                all_done &= !fuse.has_blown();
                // The process is gone: nothing of it goes on.
                world.streams.shutdown().await;
                drop(world);
                // A start that is cut short as well.
                let fuse = Fuse::after(steps_of_restart, last_is_applied);
                drop(engines.open_fused(&fuse).await);
                let world = engines.open().await;
                assert_consistent(&engines, &world, &context).await;
                let found = outcome(&world).await;
                assert!(change.outcomes().contains(&found), "{context}: {found:?}");
                if answer.is_ok() && !matches!(change, Change::Deregister) {
                    let finished = change.outcomes().last().expect("one at least");
                    assert_eq!(found, *finished, "{context}: what was accepted happens");
                }
                // Whatever happened, the stream can be used and changed.
                if let Some(open) = found.0 {
                    world.update_shard_count("s", open * 2).await.expect(&context);
                    assert_consistent(&engines, &world, &context).await;
                } else {
                    world.create("s", 1).await;
                }
            }
        }
        if all_done {
            assert!(steps > 1, "a change has steps to fail at");
            return;
        }
        steps += 1;
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_creation_is_made_good() {
    check_every_step(Change::Create).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_split_is_made_good() {
    check_every_step(Change::Split).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_merge_is_made_good() {
    check_every_step(Change::Merge).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_scaling_up_is_made_good() {
    check_every_step(Change::ScaleUp).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_scaling_down_is_made_good() {
    check_every_step(Change::ScaleDown).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_deletion_is_made_good() {
    check_every_step(Change::Delete).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_recreation_is_made_good() {
    check_every_step(Change::Recreate).await;
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_deregistration_is_made_good() {
    check_every_step(Change::Deregister).await;
}

/// The catalog forgets an expired shard first. What is left of it in the journal, the next sweep forgets.
#[tokio::test]
async fn a_crash_at_any_step_of_a_sweep_is_made_good_by_the_next_sweep() {
    for steps in 0.. {
        let mut all_done = true;
        for last_is_applied in [false, true] {
            let context = format!("{steps} steps, {last_is_applied}");
            let engines = Engines::new(Knobs::default());
            let world = engines.open().await;
            world.create("s", 2).await;
            world.append(1, 0).await;
            world.split("s", "shardId-0", "1000").await.expect("it can be split");
            world.append(1, 3).await;
            drop(world);
            let fuse = Fuse::after(steps, last_is_applied);
            let world = engines.open_fused(&fuse).await.expect("nothing is to be done at the start");
            engines.clock.advance(hours(25));
            world.streams.sweep().await;
            all_done &= !fuse.has_blown();
            drop(world);
            let world = engines.open().await;
            engines.clock.advance(hours(2));
            world.streams.sweep().await;
            let left: Vec<u32> = engines.journal.shards().iter().map(|(key, _)| key.shard.0).collect();
            assert_eq!(left, [1, 2, 3], "{context}");
            world.split("s", "shardId-3", "2000").await.expect(&context);
            let indexes: Vec<String> =
                world.shards("s").await.into_iter().map(|shard| shard.shard_id).collect();
            assert_eq!(indexes.last().map(String::as_str), Some("shardId-000000000005"), "{context}");
        }
        if all_done {
            assert_eq!(steps, 3, "the journal trims, the catalog forgets, the journal forgets");
            return;
        }
    }
}

#[tokio::test]
async fn a_registration_is_one_step() {
    for last_is_applied in [false, true] {
        let engines = Engines::new(Knobs::default());
        engines.open().await.create("s", 4).await;
        let world = engines.open_fused(&Fuse::after(0, last_is_applied)).await.expect("it starts");
        let failure = Change::Register.perform(&world).await.expect_err("its outcome is unknown");
        assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
        drop(world);
        let count = outcome(&engines.open().await).await.2;
        assert_eq!(count, Some(i32::from(last_is_applied)));
    }
}

/// A stream that keeps records for 70 hours, with one record from each of 0, 10, … 90 hours; now it is 100 hours, and what
/// arrived before 30 hours is gone.
async fn ten_records() -> Engines {
    let engines = Engines::new(Knobs::default());
    let world = engines.open().await;
    world.create("s", 1).await;
    retain(&world, 70).await.expect("longer");
    for _ in 0..10 {
        world.append(1, 0).await;
        engines.clock.advance(hours(10));
    }
    engines
}

fn trimmed(engines: &Engines) -> u64 {
    engines.journal.tail(key(1, 0)).expect("it exists").trimmed
}

async fn retention(world: &World) -> i32 {
    world.summary("s").await.expect("it exists").retention_period_hours
}

/// What the old period hid is trimmed before the longer one is durable: nobody sees it come back.
#[tokio::test]
async fn a_crash_in_a_change_to_a_longer_retention_comes_after_its_trim() {
    let engines = ten_records().await;
    let world = engines.open_fused(&Fuse::after(1, false)).await.expect("it starts");
    engines.clock.advance(hours(1));
    retain(&world, 8760).await.expect_err("the row was lost");
    drop(world);
    assert_eq!(trimmed(&engines), 4);
    let world = engines.open().await;
    assert_eq!(retention(&world).await, 70);
    retain(&world, 8760).await.expect("again");
}

#[tokio::test]
async fn an_increase_of_unknown_outcome_takes_nothing_more_until_the_restart() {
    let engines = ten_records().await;
    let world = engines.open_fused_catalog(&Fuse::after(0, true)).await.expect("it starts");
    for _ in 0..2 {
        let failure = retain(&world, 8760).await.expect_err("nobody knows");
        assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
        engines.clock.advance(hours(3));
        engines.journal.expire();
        assert_eq!(trimmed(&engines), 3, "the longer period may be durable");
    }
    drop(world);
    assert_eq!(retention(&engines.open().await).await, 8760);
}

#[tokio::test]
async fn a_shorter_retention_that_is_refused_takes_nothing() {
    let engines = ten_records().await;
    let world = engines.open_fused_catalog(&Fuse::after(0, false)).await.expect("it starts");
    let failure = retain(&world, 50).await.expect_err("the row was lost");
    assert_eq!((failure.code, failure.status), ("InternalFailureException", 500));
    assert_eq!(trimmed(&engines), 3, "what the longer period hid, and no more");
    drop(world);
    assert_eq!(retention(&engines.open().await).await, 70);
    assert_eq!(trimmed(&engines), 3);
}

/// Whenever the crash comes: either the longer period holds and nothing was taken, or the shorter one does, and what it
/// took stays gone, also when the first thing after the start is a longer one.
#[tokio::test]
async fn a_crash_at_any_step_of_a_shorter_retention_takes_what_it_covers_or_nothing() {
    for last_is_applied in [false, true] {
        for steps in 0.. {
            let context = format!("{steps} steps, {last_is_applied}");
            let engines = ten_records().await;
            let fuse = Fuse::after(steps, last_is_applied);
            let world = engines.open_fused(&fuse).await.expect("it starts");
            let answer = retain(&world, 50).await;
            world.streams.shutdown().await;
            drop(world);
            let after = trimmed(&engines);
            let world = engines.open().await;
            if retention(&world).await == 70 {
                assert!(answer.is_err(), "{context}");
                assert_eq!(after, 3, "{context}");
            } else {
                retain(&world, 8760).await.expect("a longer one");
                assert_eq!(trimmed(&engines), 5, "{context}");
            }
            if !fuse.has_blown() {
                assert!(steps > 1, "there are steps to fail at");
                break;
            }
        }
    }
}

/// It is committed, and hides what it does not cover: the change has happened.
#[tokio::test]
async fn a_shorter_retention_whose_trim_fails_was_accepted() {
    for last_is_applied in [false, true] {
        let engines = ten_records().await;
        let world = engines.open_fused(&Fuse::after(1, last_is_applied)).await.expect("it starts");
        retain(&world, 50).await.expect("it is durable");
        assert_eq!(retention(&world).await, 50);
        drop(world);
        let world = engines.open().await;
        retain(&world, 8760).await.expect("a longer one");
        assert_eq!(trimmed(&engines), 5);
    }
}

async fn retain(world: &World, hours: i32) -> Result<(), Failure> {
    let existing = world.summary("s").await.expect("it exists").retention_period_hours;
    let stream_name = Some("s".to_owned());
    if hours > existing {
        let input = IncreaseStreamRetentionPeriodInput {
            stream_name,
            retention_period_hours: hours,
            ..IncreaseStreamRetentionPeriodInput::default()
        };
        world.streams.increase_stream_retention_period(&call(), input).await
    } else {
        let input = DecreaseStreamRetentionPeriodInput {
            stream_name,
            retention_period_hours: hours,
            ..DecreaseStreamRetentionPeriodInput::default()
        };
        world.streams.decrease_stream_retention_period(&call(), input).await
    }
}

/// Half of all answers of the journal are lost: the service asks again until it knows.
#[tokio::test]
async fn lost_answers_of_the_journal_are_asked_for_again() {
    for seed in 1..=20 {
        let unknown = UnknownOutcomes { seed, appends_per_thousand: 0, changes_per_thousand: 500 };
        let engines = Engines::new(Knobs { unknown_outcomes: Some(unknown), ..Knobs::default() });
        let world = engines.open().await;
        world.create("s", 2).await;
        settle(&world, "s").await;
        world.split("s", "shardId-0", "1000").await.expect("accepted");
        settle(&world, "s").await;
        world.update_shard_count("s", 4).await.expect("accepted");
        settle(&world, "s").await;
        assert_consistent(&engines, &world, &format!("seed {seed}")).await;
        assert_eq!(world.shards("s").await.len(), 4 + 6 + 2, "seed {seed}");
        world.delete("s").await.expect("accepted");
        for _ in 0..100 {
            world.pass(std::time::Duration::from_secs(10)).await;
        }
        assert_eq!(world.status("s").await, None, "seed {seed}");
    }
}

async fn settle(world: &World, name: &str) {
    for _ in 0..100 {
        if world.status(name).await == Some(StreamStatus::Active) {
            return;
        }
        world.pass(std::time::Duration::from_secs(10)).await;
    }
    panic!("{name} is {:?}", world.status(name).await);
}

#[tokio::test]
async fn records_of_nobody_are_not_touched() {
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    engines.journal.open_shards(StreamId(77), &[ShardIndex(0)]).await.expect("the journal takes it");
    let World { clock, journal, catalog, settings, .. } = World::with(settings()).await;
    drop((clock, journal, catalog));
    let opened =
        World::over(engines.clock.clone(), engines.journal.clone(), engines.catalog.clone(), settings).await;
    assert!(matches!(opened.err(), Some(OpenError::ForeignJournal(StreamId(77)))));
    assert!(engines.journal.tail(key(77, 0)).is_ok(), "it is still there");
}

#[tokio::test]
async fn a_shard_that_the_journal_lost_is_not_made_anew() {
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    engines.journal.delete_stream(StreamId(1)).await.expect("the journal takes it");
    let opened =
        World::over(engines.clock.clone(), engines.journal.clone(), engines.catalog.clone(), settings())
            .await;
    assert!(matches!(opened.err(), Some(OpenError::ShardMissing { shard: ShardIndex(0), .. })));
}

/// Seals are what the journal knows of a reshard whose rows were lost with the end of the catalog's log.
#[tokio::test]
async fn a_catalog_that_lost_a_reshard_does_not_start() {
    for (sealed, opened) in [(true, false), (false, true), (true, true)] {
        let engines = Engines::new(Knobs::default());
        engines.open().await.create("s", 2).await;
        if opened {
            engines.journal.open_shards(StreamId(1), &[ShardIndex(2)]).await.expect("the journal takes it");
        }
        if sealed {
            engines.journal.seal(&[key(1, 0)]).await.expect("the journal takes it");
        }
        let opened =
            World::over(engines.clock.clone(), engines.journal.clone(), engines.catalog.clone(), settings())
                .await;
        let expected = if sealed { (ShardIndex(0), "closed") } else { (ShardIndex(2), "opened") };
        match opened.err() {
            Some(OpenError::CatalogBehind { shard, what, .. }) => assert_eq!((shard, what), expected),
            other => panic!("it is behind: {other:?}"),
        }
    }
}

#[tokio::test]
async fn forgotten_streams_are_removed_from_the_journal() {
    use thalweg_catalog::{Catalog, Write};
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    let rows = ["streams/stream/0000000000000001", "streams/shard/0000000000000001/00000000"];
    let writes = rows.map(|key| Write::Delete(key.into())).to_vec();
    engines.catalog.commit(vec![], writes).await.expect("the catalog takes it");
    let world = engines.open().await;
    assert_eq!(world.journal.shards(), []);
}

/// Builds before the first version did not write the journal's identity.
#[tokio::test]
async fn a_start_with_a_full_volume_binds_an_older_account_to_its_journal_later() {
    use thalweg_catalog::{Catalog, Write};
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    let account = async || {
        let row = engines.catalog.get(b"streams/account").await.expect("the catalog answers");
        String::from_utf8(row.expect("every start has one").value.to_vec()).expect("text")
    };
    let bound = r#","journal":"0000000000000000"}"#;
    let unbound = account().await.replace(bound, "}");
    let write = Write::Put("streams/account".into(), unbound.clone().into());
    engines.catalog.commit(vec![], vec![write]).await.expect("the catalog takes it");
    let fuse = Fuse::after(-1, false);
    let world = engines.open_fused_catalog(&fuse).await.expect("it starts although nothing can be written");
    assert_eq!(account().await, unbound);
    assert_eq!(world.status("s").await, Some(StreamStatus::Active));
    world.try_create("t", 1).await.expect_err("the volume is full");
    fuse.replace();
    world.create("t", 1).await;
    assert!(account().await.ends_with(bound), "{}", account().await);
    drop(world);
    assert_eq!(engines.open().await.status("t").await, Some(StreamStatus::Active));
}

/// What a start says when this row has this value.
async fn check_row(key: &str, value: &'static str, why: &str) {
    use thalweg_catalog::{Catalog, Write};
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    let write = Write::Put(key.to_owned().into(), value.into());
    engines.catalog.commit(vec![], vec![write]).await.expect("the catalog takes it");
    let opened =
        World::over(engines.clock.clone(), engines.journal.clone(), engines.catalog.clone(), settings())
            .await;
    let error = opened.err().expect("it does not start").to_string();
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn rows_that_no_version_writes_stop_the_start() {
    // Found by fuzzing: what these say was a panic later, in some request or other.
    let shard = "streams/shard/0000000000000001/00000000";
    let hole = r#"{"v":1,"start":"0","end":"ff","created":1700000000,"opened":1700000000000}"#;
    check_row(shard, hole, "streams/stream/0000000000000001 cannot be understood: its open shards do not")
        .await;
    let created =
        r#"{"v":1,"start":"0","end":"ffffffffffffffffffffffffffffffff","created":16025175000,"opened":0}"#;
    check_row(shard, created, "a time out of range").await;
    let closed =
        r#"{"v":1,"start":"0","end":"ff","created":1,"opened":0,"closed":{"at":16025175000000,"end":0}}"#;
    check_row(shard, closed, "a time out of range").await;
}

/// A start must understand what was written while the clock was centuries ahead: sequence numbers end in 2477.
#[tokio::test]
async fn what_is_made_by_a_clock_that_is_centuries_ahead_does_not_stop_the_start() {
    let year_3000 = Timestamp::from_seconds(32_503_680_000);
    let engines = Engines::new(Knobs::default());
    let world = engines.open().await;
    world.create("s", 1).await;
    engines.clock.set_wall(year_3000);
    world.append(1, 0).await;
    world.split("s", "shardId-0", "1000").await.expect("it can be split");
    world.create("t", 1).await;
    world.register("s", "c").await.expect("it can be registered");
    world.delete("t").await.expect("it can be deleted");
    world.create("t", 1).await;
    engines.clock.set_wall(Timestamp::from_seconds(START));
    world.merge("s", "shardId-1", "shardId-2").await.expect("they are neighbours");
    world.update_shard_count("t", 2).await.expect("it can be split");
    let world = world.restart().await;
    for name in ["s", "t"] {
        assert_eq!(world.status(name).await, Some(StreamStatus::Active));
        let shards = world.shards(name).await;
        assert_whole(&shards);
        for shard in shards {
            let number = &shard.sequence_number_range.starting_sequence_number;
            SequenceNumber::parse(number).expect("it can be read back");
        }
    }
}

#[tokio::test]
async fn rows_of_a_later_version_stop_the_start() {
    use thalweg_catalog::{Catalog, Write};
    let engines = Engines::new(Knobs::default());
    engines.open().await.create("s", 1).await;
    let key = "streams/stream/0000000000000001";
    let write = Write::Put(key.into(), "{\"v\":2,\"whatever\":true}".into());
    engines.catalog.commit(vec![], vec![write]).await.expect("the catalog takes it");
    let opened =
        World::over(engines.clock.clone(), engines.journal.clone(), engines.catalog.clone(), settings())
            .await;
    let error = opened.err().expect("it does not start").to_string();
    assert_eq!(
        error,
        format!(
            "the catalog's row {key} cannot be understood: it is of version 2, and this program knows version 1"
        )
    );
}
